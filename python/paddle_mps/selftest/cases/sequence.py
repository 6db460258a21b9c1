"""Numbers in a row, and numbers as places in a row."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import composed
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")


def _tensors(dtype, *numbers):
    return [paddle.full([1], number, dtype) for number in numbers]


CASES = (
    Case(
        kernel="arange_tensor",
        call=lambda dtype: [
            paddle.arange(*_tensors(dtype, 0, 7, 1), dtype=dtype),
            paddle.arange(*_tensors(dtype, 3, -4, -2), dtype=dtype),
            paddle.arange(*_tensors(dtype, 0, 100, 3), dtype=dtype),
        ],
        shapes=((),),
        dtypes=_INTS,
        creates=True,
    ),
    Case(
        kernel="linspace",
        call=lambda dtype: [
            paddle.linspace(start, stop, number, dtype)
            for start, stop, number in ((0, 10, 5), (-3, 3, 7), (2, 2, 1), (5, 45, 101))
        ],
        shapes=((),),
        dtypes=_INTS,
        rule=composed(4),
        creates=True,
    ),
    # A float32 exponent of 10 is off by 2^-21, which moves 10^10 by 10 ln(10) / 2 of its ULP.
    Case(
        kernel="logspace",
        call=lambda dtype: [
            paddle.logspace(start, stop, number, base, dtype)
            for start, stop, number, base in ((0, 4, 5, 10), (-3, 3, 7, 2), (2, 2, 1, 3))
        ],
        shapes=((),),
        dtypes=FLOATS,
        rule=composed(16),
        creates=True,
    ),
    Case(
        kernel="sequence_mask_scalar",
        call=lambda x: (
            [F.sequence_mask(x, 7, d) for d in ("int64", "float32", "bool")]
            + [F.sequence_mask(x, dtype="int32")]
        ),
        shapes=(((1,),), ((7,),), ((4, 5),), ((0, 5),)),
        dtypes=_INTS,
        domain="bytes",
    ),
    Case(
        kernel="shard_index",
        call=lambda x: (
            [paddle.shard_index(x, 100 + 1, 3, shard) for shard in (0, 1, 2)]
            + [paddle.shard_index(x, 100 + 1, 2, 1, -7)]
        ),
        shapes=(((7, 1),), ((4, 5, 1),)),
        dtypes=("int32", "int64"),
        domain="bytes",
    ),
    Case(
        kernel="label_smooth",
        call=lambda x: F.label_smooth(x, epsilon=0.25),
        shapes=(((4, 5),), ((2, 3, 7),)),
        dtypes=FLOATS,
        domain="fractions",
        rule=composed(2),
        gradient=Gradient(kernel="label_smooth_grad", rule=composed(1)),
    ),
    Case(
        kernel="label_smooth",
        name="prior",
        call=lambda x: F.label_smooth(
            x, prior_dist=paddle.to_tensor([[0.5, 0.125, 0.375]]).cast(x.dtype), epsilon=0.25
        ),
        shapes=(((4, 3),), ((2, 5, 3),)),
        dtypes=FLOATS,
        domain="fractions",
        rule=composed(2),
        numpy=lambda x: x * 0.75 + np.array([0.5, 0.125, 0.375]) * 0.25,
        gradient=Gradient(kernel="label_smooth_grad", rule=composed(1)),
    ),
    Case(
        kernel="is_empty",
        call=paddle.is_empty,
        shapes=(((),), ((0,),), ((2, 0, 3),), ((4, 5),)),
        dtypes=_INTS,
    ),
    Case(
        kernel="one_hot",
        call=lambda x: F.one_hot(x, 6),
        shapes=(((),), ((7,),), ((4, 5),), ((2, 3, 4),), ((0,),)),
        dtypes=("int32", "int64"),
        domain="classes",
    ),
)
