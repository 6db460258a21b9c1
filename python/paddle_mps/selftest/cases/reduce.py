"""Sums and means: over everything, one axis, several, none, and over nothing at all."""

import numpy as np
import paddle

from ..tolerance import composed, summed
from .case import ALL, FLOATS, NUMBERS, Case, Gradient

_SHAPES = (((2, 3, 4),), ((1, 1, 1),), ((5, 7, 3),), ((41, 43, 47),))


def _all(x):
    return int(np.prod(x, dtype=np.int64))


def _along(*axes):
    return lambda x: int(np.prod([x[a] for a in axes], dtype=np.int64))


def _sum_numpy(axis, keepdim):
    # NumPy sums small integers in its own widest type, Paddle in int64: the same numbers.
    return lambda x: np.sum(x, axis=axis, keepdims=keepdim)


def _sum(name, axis, keepdim, terms, shapes=_SHAPES, large=None):
    return Case(
        kernel="sum",
        name=name,
        call=lambda x: paddle.sum(x, axis=axis, keepdim=keepdim),
        shapes=shapes,
        dtypes=ALL,
        domain="small",
        rule=summed(terms),
        numpy=_sum_numpy(axis if not isinstance(axis, list) else tuple(axis), keepdim),
        large=large,
        gradient=Gradient(kernel="sum_grad", rule=composed(1), dtypes=NUMBERS),
    )


def _mean(name, axis, keepdim, terms, shapes=_SHAPES, large=None):
    return Case(
        kernel="mean",
        name=name,
        call=lambda x: paddle.mean(x, axis=axis, keepdim=keepdim),
        shapes=shapes,
        dtypes=(*FLOATS, "int32", "int64"),
        domain="small",
        rule=summed(terms),
        numpy=lambda x: np.mean(
            x, axis=axis if not isinstance(axis, list) else tuple(axis), keepdims=keepdim
        ),
        large=large,
        gradient=Gradient(kernel="mean_grad", rule=composed(2), dtypes=(*FLOATS, "int32", "int64")),
    )


SUM = (
    _sum("", None, False, _all, shapes=(((),), ((1,),), ((7,),), *_SHAPES), large=((2053, 1999),)),
    _sum("keepdim", None, True, _all),
    _sum("last", -1, False, _along(2), large=((512, 61, 67),)),
    _sum("first", 0, False, _along(0), large=((4099, 31, 17),)),
    _sum("middle", 1, True, _along(1), large=((61, 512, 67),)),
    _sum("two_axes", [0, 2], False, _along(0, 2), large=((67, 64, 512),)),
    _sum("all_axes", [0, 1, 2], True, _all),
    _sum("of_nothing", None, False, _all, shapes=(((0,),), ((2, 0, 3),))),
    _sum("of_an_empty_axis", 1, False, _along(1), shapes=(((2, 0, 3),),)),
    _sum("with_an_empty_result", 0, False, _along(0), shapes=(((2, 0, 3),),)),
)

SUM_DTYPE = (
    Case(
        kernel="sum",
        name="to_float32",
        call=lambda x: paddle.sum(x, axis=-1, dtype="float32"),
        shapes=(((5, 7),), ((3, 257),)),
        dtypes=(*FLOATS, "int32", "int64", "bool"),
        domain="small",
        rule=summed(_along(1)),  # no NumPy: Paddle rounds before it sums
    ),
)

MEAN = (
    _mean("", None, False, _all, shapes=(((),), ((1,),), ((7,),), *_SHAPES), large=((2053, 1999),)),
    _mean("keepdim", None, True, _all),
    _mean("last", -1, False, _along(2)),
    _mean("first", 0, False, _along(0)),
    _mean("two_axes", [0, 2], True, _along(0, 2)),
)


def _nansum(name, axis, terms):
    """Numbers above 2 become NaN."""

    def call(x):
        if x.dtype in (paddle.float32, paddle.float64, paddle.float16, paddle.bfloat16):
            x = paddle.where(x > 2, paddle.full_like(x, float("nan")), x)
        return paddle._C_ops.nansum(x, [] if axis is None else [axis], None, False)

    return Case(
        kernel="nansum",
        name=name,
        call=call,
        shapes=(((),), ((7,),), ((4, 5, 6),)) if axis is None else (((4, 5, 6),), ((3, 7),)),
        dtypes=ALL,
        domain="small",
        rule=summed(terms),
        gradient=Gradient(kernel="nansum_grad", rule=composed(1)),
    )


NANSUM = (_nansum("", None, _all), _nansum("last", -1, lambda x: x[-1]))

MEAN_ALL = (
    Case(
        kernel="mean_all",
        call=lambda x: paddle._C_ops.mean_all(x),  # what losses with reduction="mean" call
        shapes=(((),), ((1,),), ((7,),), ((41, 43, 47),)),
        dtypes=FLOATS,
        domain="small",
        rule=summed(_all),
        numpy=lambda x: np.mean(x),
        large=((2053, 1999),),
        gradient=Gradient(kernel="mean_all_grad", rule=composed(2)),
    ),
)

IDENTITY_LOSS = tuple(
    Case(
        kernel="identity_loss",
        name=reduction,
        call=lambda x, r=reduction: paddle.incubate.identity_loss(x, r),
        shapes=(((7,),), ((4, 5, 6),)),
        dtypes=FLOATS,
        domain="small",
        rule=summed(_all),
        gradient=Gradient(kernel="identity_loss_grad", rule=composed(2)),
    )
    for reduction in ("sum", "mean", "none")
)

CASES = (*IDENTITY_LOSS, *SUM, *SUM_DTYPE, *NANSUM, *MEAN, *MEAN_ALL)
