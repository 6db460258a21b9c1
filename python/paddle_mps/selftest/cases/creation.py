"""Ops that make tensors out of numbers."""

import numpy as np
import paddle

from ..tolerance import EXACT, composed
from .case import ALL, EVERY, FLOATS, MOVED, Case, Gradient

_SHAPES = ([], [1], [0], [3, 0], [7], [2, 3], [127, 521])


def _filled(x, value):
    x = x.clone()
    x.fill_(value)
    return x


def _column_filled(x):
    x = x.clone()
    x[:, 1:3].fill_(3)
    return x


def _column_filled_numpy(x):
    x = x.copy()
    x[:, 1:3] = 3
    return x


CASES = (
    Case(
        kernel="empty",  # without values; what is compared is what they are filled with
        call=lambda x: paddle.empty(x.shape, x.dtype).fill_(3),
        shapes=(((),), ((0,),), ((7,),), ((2, 3),), ((127, 521),)),
        dtypes=MOVED,
        numpy=lambda x: np.full_like(x, 3),
        layouts=False,
        also=("fill",),
    ),
    Case(
        kernel="full",
        call=lambda dtype: [paddle.full(shape, 3, dtype) for shape in _SHAPES],
        shapes=((),),
        dtypes=ALL,
        creates=True,
    ),
    Case(
        kernel="full",
        name="fractions",
        call=lambda dtype: [paddle.full([5], value, dtype) for value in (0.1, -2.5, 1e-3, 333.3)],
        shapes=((),),
        dtypes=FLOATS,
        rule=EXACT,
        creates=True,
    ),
    Case(
        kernel="full",
        name="special",
        call=lambda dtype: [
            paddle.full([5], value, dtype) for value in (np.inf, -np.inf, np.nan, -0.0, 0.0)
        ],
        shapes=((),),
        dtypes=FLOATS,
        creates=True,
    ),
    Case(
        kernel="full",
        name="zeros_and_ones",
        call=lambda dtype: [paddle.zeros([2, 3], dtype), paddle.ones([4], dtype)],
        shapes=((),),
        dtypes=ALL,
        creates=True,
    ),
    Case(
        kernel="full",
        name="limits",
        call=lambda dtype: [
            paddle.full([5], limit, dtype) for limit in (np.iinfo(dtype).min, np.iinfo(dtype).max)
        ],
        shapes=((),),
        dtypes=("int8", "uint8", "int16", "int32"),
        creates=True,
    ),
    Case(
        kernel="full_with_tensor",
        call=lambda x: [paddle._C_ops.full_with_tensor(x, shape, x.dtype) for shape in _SHAPES],
        shapes=(((),), ((1,),)),
        dtypes=ALL,
        numpy=lambda x: [np.full(shape, x.reshape(())) for shape in _SHAPES],
    ),
    Case(
        kernel="full_batch_size_like",
        call=lambda x: paddle._C_ops.full_batch_size_like(
            x, [2, 7, 3], x.dtype, 1.0, 0, 1, paddle.framework._current_expected_place()
        ),
        shapes=(((5, 4),),),
        dtypes=ALL,
        numpy=lambda x: np.ones((2, x.shape[0], 3)),
    ),
    Case(
        kernel="full_like",
        call=lambda x: [paddle.full_like(x, 1), paddle.zeros_like(x), paddle.ones_like(x)],
        shapes=(((),), ((0,),), ((7,),), ((2, 3),), ((127, 521),)),
        dtypes=ALL,
    ),
    Case(
        kernel="full_like",
        name="other_dtype",
        call=lambda x: [
            paddle.full_like(x, 1, dtype="float32"),
            paddle.ones_like(x, dtype="int64"),
        ],
        shapes=(((2, 3),),),
        dtypes=ALL,
    ),
    Case(
        kernel="fill",
        call=lambda x: _filled(x, 3),
        shapes=(((),), ((0,),), ((7,),), ((2, 3),), ((127, 521),)),
        dtypes=EVERY,
        numpy=lambda x: np.full_like(x, 3),
        also=("assign",),
    ),
    Case(
        kernel="fill",
        name="gradient",
        call=lambda x: paddle._C_ops.fill_(x * 2, 3.0) + x,
        shapes=(((),), ((2, 3),)),
        dtypes=FLOATS,
        domain="small",
        rule=composed(1),
        gradient=Gradient(kernel="fill_grad", rule=composed(1)),
    ),
    Case(
        kernel="fill",
        name="view",
        call=_column_filled,
        shapes=(((4, 5),), ((61, 67),)),
        dtypes=MOVED,
        numpy=_column_filled_numpy,
        also=("assign",),
    ),
)
