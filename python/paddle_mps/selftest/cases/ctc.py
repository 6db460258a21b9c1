"""Texts whose letters are somewhere in the frames: warpctc, warprnnt, and ctc_align."""

import numpy as np
import paddle

from ..tolerance import EXACT, rounded_once, summed
from .case import FLOATS, Case, Gradient

# Letters that repeat, a text of none, one that does not fit into its frames, and padding.
_LABELS = np.array([[1, 1, 2], [3, 2, 1], [2, 2, 2], [3, -1, -1], [0, 0, 0]], "int32")
_LETTERS, _FRAMES = (3, 3, 3, 1, 0), (9, 7, 4, 2, 9)


def _slope(kernel, roundings, texts, dtypes=FLOATS):
    """A difference of probabilities, which can cancel, times what comes to the loss of its text.

    Logarithms of some tens are kept in float32. `texts` is their axis.
    """

    def magnitude(scores, incoming):
        shape = [-1 if axis == texts else 1 for axis in range(scores.ndim)]
        return [np.broadcast_to(np.abs(incoming).reshape(shape), scores.shape)]

    rule = summed(lambda *shapes: roundings)
    return Gradient(kernel=kernel, rule=rule, dtypes=dtypes, magnitude=magnitude)


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


WARPCTC = tuple(
    Case(
        kernel="warpctc",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(32, 32),
        gradient=_slope("warpctc_grad", 512, texts=1),
    )
    for name, call, shapes in (
        ("", _ctc(), (((1, 1, 4),), ((9, 5, 4),), ((9, 5, 11),))),
        ("norm_by_times", _ctc(normalise=True), (((9, 4, 5),),)),
        ("last_is_blank", _ctc(blank=3), (((9, 2, 4),),)),
    )
)


def _rnnt(blank: int, fastemit: float):
    def call(scores):
        texts, frames, letters, classes = scores.shape
        rng = np.random.default_rng(letters)
        labels = (blank + rng.integers(1, classes, (texts, letters - 1))) % classes
        frame_counts = [max(frames - i, 1) for i in range(texts)]
        letter_counts = [max(letters - 1 - i, 0) for i in range(texts)]

        def tensor(values):
            return paddle.to_tensor(values, dtype="int32", place=scores.place)

        lengths = tensor(frame_counts), tensor(letter_counts)
        return paddle._C_ops.warprnnt(scores, tensor(labels), *lengths, blank, fastemit)

    return call


WARPRNNT = tuple(
    Case(
        kernel="warprnnt",
        name=name,
        call=_rnnt(blank, fastemit),
        shapes=shapes,
        dtypes=("float32",),
        domain="small",
        rule=rounded_once(32, 32),
        gradient=_slope("warprnnt_grad", 1024, texts=0, dtypes=("float32",)),
    )
    for name, blank, fastemit, shapes in (
        ("", 0, 0.0, (((1, 1, 2, 3),), ((2, 3, 2, 4),), ((4, 6, 5, 7),), ((1, 17, 9, 5),))),
        ("last_is_blank", 4, 0.0, (((3, 5, 4, 5),),)),
        ("fastemit", 0, 0.25, (((3, 5, 4, 5),),)),
    )
)


def _align(blank: int, merges: bool, padding: int):
    def call(letters):
        counts = [[max(letters.shape[1] - i, 0)] for i in range(letters.shape[0])]
        lengths = paddle.to_tensor(counts, dtype=letters.dtype, place=letters.place)
        found = paddle._C_ops.ctc_align(letters, lengths, blank, merges, padding)
        return list(found)

    return call


CTC_ALIGN = tuple(
    Case(
        kernel="ctc_align",
        name=name,
        call=_align(*how),
        shapes=(((1, 1),), ((3, 7),), ((5, 64),)),
        dtypes=("int32", "int64"),
        domain="unit",
        rule=EXACT,
    )
    for name, how in (
        ("", (0, True, 0)),
        ("repeated", (0, False, -7)),
        ("other_blank", (1, True, 9)),
    )
)

CASES = (*WARPCTC, *WARPRNNT, *CTC_ALIGN)
