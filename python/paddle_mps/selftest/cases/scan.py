"""Scans: sums, products, extremes and logarithms of sums of everything up to here."""

import numpy as np
import paddle

from ..tolerance import composed, summed
from .case import FLOATS, NUMBERS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_SHAPES = (((7,),), ((1, 1),), ((5, 6),), ((2, 3, 4),), ((127, 131),))


def _length(*shapes):
    return 2 * int(np.prod(shapes[0], dtype=np.int64))


CUMSUM = tuple(
    Case(
        kernel="cumsum",
        name=name,
        call=lambda x, a=axis: paddle._C_ops.cumsum(
            x, -1 if a is None else a, a is None, False, False
        ),
        shapes=shapes,
        dtypes=dtypes,
        domain="small",
        rule=summed(_length),
        numpy=lambda x, a=axis: np.cumsum(x, axis=a),
        large=((2053, 1999),),
        gradient=Gradient(kernel="cumsum_grad", rule=summed(_length), dtypes=dtypes),
    )
    for name, axis, shapes, dtypes in (
        ("", -1, _SHAPES, NUMBERS),
        ("first", 0, (*_SHAPES, ((0, 3),)), _INTS),
        ("flat", None, _SHAPES, _INTS),
    )
) + tuple(
    Case(
        kernel="cumsum",
        name=name,
        call=lambda x, e=exclusive, r=reverse: paddle._C_ops.cumsum(x, 0, False, e, r),
        # Not of a line of one: Paddle's CPU device copies it, even if the element is excluded.
        shapes=(((7,),), ((5, 6),), ((2, 3, 4),), ((127, 131),)),
        dtypes=_INTS,
        domain="small",
        rule=summed(_length),
        layouts=False,
        gradient=Gradient(kernel="cumsum_grad", rule=summed(_length), dtypes=_INTS),
    )
    for name, exclusive, reverse in (
        ("exclusive", True, False),
        ("reverse", False, True),
        ("exclusive_reverse", True, True),
    )
)

CUMPROD = (
    Case(
        kernel="cumprod",
        call=lambda x: paddle.cumprod(x, dim=-1),
        shapes=(((7,),), ((5, 6),), ((2, 3, 4),)),
        dtypes=_INTS,
        domain="small",
        rule=summed(_length),
        numpy=lambda x: np.cumprod(x, axis=-1),
        gradient=Gradient(kernel="cumprod_grad", rule=summed(_length, nodes=8)),
    ),
    Case(
        kernel="cumprod",
        name="first",
        call=lambda x: paddle.cumprod(x, dim=0),
        shapes=(((7,),), ((5, 6),), ((2, 3, 4),)),
        dtypes=_INTS,
        domain="small",
        rule=summed(_length),
        numpy=lambda x: np.cumprod(x, axis=0),
        gradient=Gradient(kernel="cumprod_grad", rule=summed(_length, nodes=8)),
    ),
)


def _extremes(kernel, call, numpy):
    return tuple(
        Case(
            kernel=kernel,
            name=name,
            call=lambda x, a=axis: call(x, axis=a),
            shapes=_SHAPES,
            dtypes=_INTS,
            large=((2053, 1999),),
        )
        for name, axis in (("", -1), ("first", 0))
    ) + (
        Case(
            kernel=kernel,
            name="values",
            call=lambda x: call(x, axis=0)[0],
            shapes=_SHAPES,
            dtypes=_INTS,
            numpy=lambda x: numpy.accumulate(x, axis=0),
            gradient=Gradient(kernel=f"{kernel}_grad", rule=summed(_length), dtypes=_INTS),
        ),
    )


LOG = tuple(
    Case(
        kernel="logcumsumexp",
        name=name,
        call=lambda x, a=axis: paddle.logcumsumexp(x, axis=a),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain="small",
        rule=composed(8),
        numpy=lambda x, a=axis: (
            np.logaddexp.accumulate(x.ravel() if a is None else x, axis=a or 0)
            if a != -1
            else np.logaddexp.accumulate(x, axis=-1)
        ),
        gradient=Gradient(kernel="logcumsumexp_grad", rule=summed(_length, nodes=32)),
    )
    for name, axis in (("", -1), ("first", 0), ("flat", None))
)

CASES = (
    *CUMSUM,
    *CUMPROD,
    *_extremes("cummax", paddle.cummax, np.maximum),
    *_extremes("cummin", paddle.cummin, np.minimum),
    *LOG,
)
