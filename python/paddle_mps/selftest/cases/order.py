"""Sorting, and what is made of it."""

import numpy as np
import paddle

from ..tolerance import EXACT
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_SORTED = (*_INTS, "int16", "uint8")
_SHAPES = (((7,),), ((4, 5),), ((2, 3, 4),), ((127, 131),))


def _stable(x, axis, descending):
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.flip(x, axis)
    order = np.argsort(backwards, axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(order, axis)


ARGSORT = tuple(
    Case(
        kernel="argsort",
        name=name,
        call=lambda x, a=axis, d=descending: paddle.argsort(x, axis=a, descending=d, stable=True),
        shapes=(*_SHAPES, ((2, 5000),)),
        dtypes=_SORTED,
        numpy=lambda x, a=axis, d=descending: _stable(x, a, d),
        large=((513, 2003),),
    )
    for name, axis, descending in (
        ("", -1, False),
        ("first", 0, False),
        ("descending", -1, True),
    )
)

SORT = tuple(
    Case(
        kernel="argsort",
        name=f"sort{name}",
        call=lambda x, a=axis, d=descending: paddle.sort(x, axis=a, descending=d, stable=True),
        shapes=_SHAPES,
        dtypes=_SORTED,
        gradient=Gradient(kernel="argsort_grad", rule=EXACT, dtypes=_INTS),
    )
    for name, axis, descending in (("", -1, False), ("_first", 0, True))
)

TOPK = tuple(
    Case(
        kernel="topk",
        name=name,
        call=lambda x, a=axis, g=largest: paddle.topk(x, 2, axis=a, largest=g)[0],
        shapes=_SHAPES[:3],
        dtypes=_INTS,
        domain="distinct",
        large=((513, 2003),),
        gradient=Gradient(kernel="topk_grad", rule=EXACT, dtypes=FLOATS),
    )
    for name, axis, largest in (("", -1, True), ("least", 0, False))
)

_DISTINCT = "distinct"

CHOSEN = (
    Case(
        kernel="topk",
        name="places",
        call=lambda x: paddle.topk(x, 3, axis=-1)[1],
        layouts=False,  # one of them repeats, and of equals each device takes another
        shapes=(((7,),), ((4, 5),)),
        dtypes=_INTS,
        domain=_DISTINCT,
    ),
    *(
        Case(
            kernel="kthvalue",
            name=name,
            call=lambda x, a=axis: paddle.kthvalue(x, 2, axis=a),
            layouts=False,
            shapes=(((7,),), ((4, 5),), ((3, 2, 4),)),
            dtypes=_INTS,
            domain=_DISTINCT,
        )
        for name, axis in (("", -1), ("first", 0))
    ),
    Case(
        kernel="kthvalue",
        name="value",
        call=lambda x: paddle.kthvalue(x, 2)[0],
        shapes=(((7,),), ((4, 5),)),
        dtypes=_INTS,
        domain=_DISTINCT,
        gradient=Gradient(kernel="kthvalue_grad", rule=EXACT, dtypes=_INTS),
    ),
    *(
        Case(
            kernel="mode",
            name=name,
            call=lambda x, a=axis: paddle.mode(x, axis=a),
            layouts=False,
            shapes=(((7,),), ((4, 5),), ((3, 2, 40),), ((5, 1),)),
            dtypes=_INTS,
            domain=_DISTINCT,
        )
        for name, axis in (("", -1), ("first", 0))
    ),
    Case(
        kernel="mode",
        name="value",
        call=lambda x: paddle.mode(x)[0],
        shapes=(((7,),), ((4, 5),), ((3, 2, 40),)),
        dtypes=_INTS,
        domain="classes",
    ),
    Case(
        kernel="mode",
        name="gradient",
        call=lambda x: paddle.mode(x)[0],
        shapes=(((7,),), ((4, 5),)),
        dtypes=_INTS,
        domain=_DISTINCT,
        gradient=Gradient(kernel="mode_grad", rule=EXACT, dtypes=_INTS),
    ),
)

COUNTS = (
    Case(
        kernel="searchsorted",
        call=lambda x: [
            paddle.searchsorted(paddle.arange(-4, 5).cast(x.dtype), x, right=right)
            for right in (False, True)
        ],
        shapes=(((7,),), ((4, 5),)),
        dtypes=_INTS,
        domain="small",
    ),
    Case(
        kernel="bincount",
        call=lambda x: [paddle.bincount(x), paddle.bincount(x, minlength=20)],
        shapes=(((7,),), ((1,),), ((1009,),)),
        dtypes=("int32", "int64"),
        domain="classes",
    ),
)

CASES = (*ARGSORT, *SORT, *TOPK, *CHOSEN, *COUNTS)
