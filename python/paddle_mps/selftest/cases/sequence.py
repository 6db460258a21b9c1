"""Numbers in a row: arange, linspace, one_hot."""

import paddle
from paddle.nn import functional as F

from ..tolerance import composed
from .case import FLOATS, Case

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
    Case(
        kernel="one_hot",
        call=lambda x: F.one_hot(x, 6),
        shapes=(((),), ((7,),), ((4, 5),), ((2, 3, 4),), ((0,),)),
        dtypes=("int32", "int64"),
        domain="classes",
    ),
)
