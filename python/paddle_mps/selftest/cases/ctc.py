"""warpctc: the loss of texts whose letters are somewhere in the frames."""

import numpy as np
import paddle

from ..tolerance import rounded_once
from .case import FLOATS, Case, Gradient

# Letters that repeat, a text of none, one that does not fit into its frames, and padding.
_LABELS = np.array([[1, 1, 2], [3, 2, 1], [2, 2, 2], [3, -1, -1], [0, 0, 0]], "int32")
_LETTERS, _FRAMES = (3, 3, 3, 1, 0), (9, 7, 4, 2, 9)


def _ctc(normalise=False, blank=0):
    labels = np.where(_LABELS == blank, 0, _LABELS)

    def call(logits):
        batch = logits.shape[1]

        def tensor(values, dtype):
            return paddle.to_tensor(np.asarray(values)[:batch], dtype=dtype, place=logits.place)

        frames = np.minimum(_FRAMES, logits.shape[0])
        lengths = tensor(frames, "int64"), tensor(_LETTERS, "int64")
        return paddle._C_ops.warpctc(logits, tensor(labels, "int32"), *lengths, blank, normalise)

    return call


CASES = tuple(
    Case(
        kernel="warpctc",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(32, 32),
        # logarithms of some tens are kept in float32
        gradient=Gradient(kernel="warpctc_grad", rule=rounded_once(32, 16)),
    )
    for name, call, shapes in (
        ("", _ctc(), (((1, 1, 4),), ((9, 5, 4),), ((9, 5, 11),))),
        ("norm_by_times", _ctc(normalise=True), (((9, 4, 5),),)),
        ("last_is_blank", _ctc(blank=3), (((9, 2, 4),),)),
    )
)
