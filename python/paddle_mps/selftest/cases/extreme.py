"""Greatest and least, their places; any and all; products."""

import numpy as np
import paddle

from ..tolerance import composed, summed
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_COMPARED = (*_INTS, "int16", "uint8")
_SHAPES = (((2, 3, 4),), ((1, 1, 1),), ((5, 7, 3),), ((7, 11, 13),))
_AXES = (("", None), ("last", -1), ("first", 0), ("middle", 1), ("two_axes", [0, 2]))


def _tuple(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def _extremes(kernel, call, numpy):
    return tuple(
        Case(
            kernel=kernel,
            name=name,
            call=lambda x, a=axis, n=name: call(x, a, n == "middle"),
            shapes=(((),), ((7,),), *_SHAPES) if axis is None else _SHAPES,
            dtypes=_INTS,
            numpy=lambda x, a=axis, n=name: numpy(x, axis=_tuple(a), keepdims=n == "middle"),
            large=((512, 61, 67),) if name else ((2053, 1999),),
            gradient=Gradient(kernel=f"{kernel}_grad", rule=composed(2), dtypes=_INTS),
        )
        for name, axis in _AXES
    )


def _factors(*shapes):
    return int(np.prod(shapes[0], dtype=np.int64))


PROD = tuple(
    Case(
        kernel="prod",
        name=name,
        call=lambda x, a=axis: paddle.prod(x, axis=a),
        shapes=(((2, 3, 4),), ((1, 1, 1),), ((3, 7, 2),)),
        dtypes=_INTS,
        domain="near_one",
        rule=summed(_factors),
        numpy=lambda x, a=axis: np.prod(x, axis=_tuple(a)),
        gradient=Gradient(kernel="prod_grad", rule=composed(4), dtypes=_INTS),
    )
    for name, axis in _AXES
)


def _truths(kernel, call, numpy):
    return tuple(
        Case(
            kernel=kernel,
            name=name,
            call=lambda x, a=axis: call(x.cast("bool") if x.dtype != paddle.bool else x, axis=a),
            shapes=(((2, 3, 4),), ((5, 7, 3),), ((2, 0, 3),)),
            dtypes=("bool",),
            numpy=lambda x, a=axis: numpy(x.astype(bool), axis=_tuple(a)),
        )
        for name, axis in _AXES
    ) + (
        Case(
            kernel=kernel,
            name="of_numbers",
            call=lambda x: getattr(paddle._C_ops, kernel)(x, [1], False),
            shapes=(((2, 3, 4),), ((50, 2, 60),)),
            dtypes=_INTS,
            domain="unit",
            layouts=False,
        ),
    )


def _places(kernel, call, numpy):
    return tuple(
        Case(
            kernel=kernel,
            name=name,
            call=lambda x, a=axis: call(x, axis=a),
            shapes=(((7,),), ((2, 3),), ((41, 43, 47),), ((300, 2),)),
            dtypes=_COMPARED,
            numpy=lambda x, a=axis: numpy(x, axis=a),
            large=((2053, 1999),),
        )
        for name, axis in (("", None), ("last", -1), ("first", 0))
    )


CASES = (
    *_extremes("max", lambda x, a, k: paddle.max(x, axis=a, keepdim=k), np.max),
    *_extremes("min", lambda x, a, k: paddle.min(x, axis=a, keepdim=k), np.min),
    *_extremes("amax", lambda x, a, k: paddle.amax(x, axis=a, keepdim=k), np.max),
    *_extremes("amin", lambda x, a, k: paddle.amin(x, axis=a, keepdim=k), np.min),
    *PROD,
    *_truths("any", paddle.any, np.any),
    *_truths("all", paddle.all, np.all),
    *_places("argmax", paddle.argmax, np.argmax),
    *_places("argmin", paddle.argmin, np.argmin),
)
