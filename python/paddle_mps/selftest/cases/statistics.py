"""What is there, how often, and what lies in the middle: unique, histogram, median."""

import numpy as np
import paddle

from ..tolerance import EXACT, composed
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")


UNIQUE = (
    *(
        Case(
            kernel="unique",
            name=name,
            call=lambda x, a=axis: paddle.unique(
                x, return_index=a is None, return_inverse=True, return_counts=True, axis=a
            ),
            shapes=shapes,
            dtypes=_INTS,
            domain="classes",
        )
        for name, axis, shapes in (
            ("", None, (((1,),), ((7,),), ((4, 5),), ((1009,),))),
            ("rows", 0, (((7, 2),), ((40, 1),), ((127, 3),), ((9, 2, 1),))),
            ("columns", 1, (((2, 7),), ((2, 60),))),
        )
    ),
    Case(
        kernel="unique",
        name="values",
        call=lambda x: paddle.unique(x, dtype="int32", return_index=True),
        shapes=(((7,),), ((4, 5),)),
        dtypes=_INTS,
        domain="distinct",
        numpy=lambda x: np.unique(x, return_index=True),
    ),
    *(
        Case(
            kernel="unique_consecutive",
            name=name,
            call=lambda x, a=axis: paddle.unique_consecutive(
                x, return_inverse=True, return_counts=True, axis=a
            ),
            shapes=shapes,
            dtypes=_INTS,
            domain="fractions",
        )
        for name, axis, shapes in (
            ("", None, (((1,),), ((7,),), ((4, 5),), ((1009,),))),
            ("rows", 0, (((7, 1),), ((40, 2),))),
        )
    ),
)

HISTOGRAM = (
    Case(
        kernel="histogram",
        call=lambda x: [
            paddle.histogram(x, bins=5, min=-4, max=4),
            paddle.histogram(x, bins=1),
        ],
        shapes=(((7,),), ((4, 5),), ((1009,),)),
        dtypes=_INTS,
        domain="few",
    ),
    Case(
        kernel="histogram",
        name="density",
        call=lambda x: paddle.histogram(x, bins=4, min=-4, max=4, density=True),
        shapes=(((40,),), ((64, 5),)),
        dtypes=_INTS,
        domain="few",
        rule=composed(4),
    ),
    Case(
        kernel="histogram",
        name="weight",
        call=lambda x: paddle.histogram(x, bins=4, min=-4, max=4, weight=paddle.ones_like(x)),
        shapes=(((40,),), ((64, 5),)),
        dtypes=("float32",),
        domain="few",
    ),
)


def _median(op, mode, axis):
    def call(x):
        result = op(x, axis=axis, mode=mode)
        return result[0] if isinstance(result, (list, tuple)) else result

    return call


def _taken(op, mode):
    """Paddle's Python computes the mean of two in float32, for median of half formats as well."""
    if mode == "min":
        return _INTS
    return FLOATS if op is paddle.nanmedian else ("float32",)


_MIDDLES = tuple(
    Case(
        kernel=op.__name__,
        name=f"{mode}_{name}",
        call=_median(op, mode, axis),
        shapes=(((7,),), ((8,),), ((4, 5),), ((3, 4, 5),), ((15, 16),)),
        dtypes=_taken(op, mode),
        domain="distinct",
        rule=EXACT if mode == "min" else composed(2),
        gradient=Gradient(
            kernel=f"{op.__name__}_grad",
            rule=composed(2),
            dtypes=_taken(op, mode),
        ),
    )
    for op in (paddle.median, paddle.nanmedian)
    for mode in ("avg", "min")
    for name, axis in (("all", None), ("last", -1), ("first", 0))
)

MEDIAN = (
    *_MIDDLES,
    *(
        Case(
            kernel=op.__name__,
            name="places",
            call=lambda x, o=op: o(x, axis=-1, mode="min"),
            shapes=(((7,),), ((8,),), ((4, 5),)),
            dtypes=_INTS,
            layouts=False,
            domain="distinct",
        )
        for op in (paddle.median, paddle.nanmedian)
    ),
    *(
        Case(
            kernel=op.__name__,
            name="nan",
            call=lambda x, o=op: o(paddle.where(x > 1, paddle.full_like(x, np.nan), x), axis=-1),
            shapes=(((7,),), ((64, 5),)),
            dtypes=_taken(op, "avg"),
            domain="small",
            rule=composed(2),
        )
        for op in (paddle.median, paddle.nanmedian)
    ),
)

CASES = (*UNIQUE, *HISTOGRAM, *MEDIAN)
