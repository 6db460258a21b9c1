"""Windows over images as columns and back, rows chosen one by one, tensors stretched together."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, summed
from .case import ALL, FLOATS, NUMBERS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")


def _few(*shapes):
    """More terms than any sum below has."""
    return 512


WINDOWS = (
    Case(
        kernel="unfold",
        call=lambda x: F.unfold(x, [2, 3], 1),
        shapes=(((1, 1, 4, 5),), ((2, 3, 7, 8),)),
        dtypes=FLOATS,
        gradient=Gradient(kernel="unfold_grad", rule=summed(_few)),
    ),
    Case(
        kernel="unfold",
        name="strides",
        call=lambda x: F.unfold(x, [2, 3], [1, 2], [1, 0, 2, 1], [2, 1]),
        shapes=(((1, 1, 4, 5),), ((2, 3, 7, 8),)),
        dtypes=FLOATS,
        gradient=Gradient(kernel="unfold_grad", rule=summed(_few)),
    ),
    Case(
        kernel="fold",
        call=lambda x: F.fold(x, [4, 5], 2, 1, [1, 1]),
        shapes=(((1, 4, 30),), ((2, 12, 30),)),
        dtypes=FLOATS,
        rule=summed(_few),
        gradient=Gradient(kernel="fold_grad", rule=EXACT),
    ),
)


def _which(x):
    return paddle.to_tensor((np.arange(x.shape[0]) % 2).reshape(-1, 1).astype("int32"))


def _repeats(size):
    return np.arange(size) % 3


CHOOSE = (
    Case(
        kernel="multiplex",
        call=lambda x, y: paddle.multiplex([x, y], _which(x)),
        shapes=(((4, 1), (4, 1)), ((5, 6), (5, 6)), ((3, 2, 4), (3, 2, 4))),
        dtypes=_INTS,
        gradient=Gradient(kernel="multiplex_grad", rule=EXACT, dtypes=_INTS),
    ),
    *(
        Case(
            kernel="repeat_interleave_with_tensor_index",
            name=name,
            call=lambda x, a=axis, d=dtype: paddle.repeat_interleave(
                x, paddle.to_tensor(_repeats(x.shape[a]).astype(d)), a
            ),
            shapes=shapes,
            dtypes=_INTS,
            numpy=lambda x, a=axis: np.repeat(x, _repeats(x.shape[a]), a),
            gradient=Gradient(
                kernel="repeat_interleave_with_tensor_index_grad",
                rule=summed(_few),
                dtypes=_INTS,
            ),
        )
        for name, axis, dtype, shapes in (
            ("", 0, "int64", (((4,),), ((5, 6),))),
            ("last", -1, "int32", (((4,),), ((3, 2, 5),))),
        )
    ),
)

STRETCH = (
    Case(
        kernel="broadcast_tensors",
        call=lambda x, y: paddle.broadcast_tensors([x, y]),
        shapes=(((3, 1), (4,)), ((2, 1, 5), (3, 1)), ((7,), (7,))),
        dtypes=ALL,
        numpy=lambda x, y: np.broadcast_arrays(x, y),
        gradient=Gradient(kernel="broadcast_tensors_grad", rule=summed(_few), dtypes=_INTS),
    ),
    Case(
        kernel="reduce_as",
        call=lambda x: paddle.reduce_as(x, paddle.ones([x.shape[-2], 1], x.dtype)),
        shapes=(((3, 4),), ((5, 3, 4),), ((2, 5, 3, 4),), ((5, 1),)),
        dtypes=NUMBERS,
        domain="small",
        rule=summed(_few),
        gradient=Gradient(kernel="reduce_as_grad", rule=EXACT, dtypes=NUMBERS),
    ),
)

CASES = (*WINDOWS, *CHOOSE, *STRETCH)
