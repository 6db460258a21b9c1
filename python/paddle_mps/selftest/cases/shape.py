"""Ops that make one shape of another: expand, stack, concat, and transpose, slice and split."""

import numpy as np
import paddle

from ..tolerance import EXACT, summed
from .case import ALL, NUMBERS, Case, Gradient


def _elements(*shapes):
    """A gradient of a repeated element adds up at most this many copies in the cases below."""
    return 64 * max(1, *(int(np.prod(shape, dtype=np.int64)) for shape in shapes))


EXPAND = (
    Case(
        kernel="expand",
        call=lambda x: paddle.expand(x, [4, 3, 5]),
        shapes=(((),), ((1,),), ((5,),), ((3, 1),), ((4, 1, 5),), ((4, 3, 5),)),
        dtypes=ALL,
        numpy=lambda x: np.broadcast_to(x, (4, 3, 5)),
        gradient=Gradient(kernel="expand_grad", rule=summed(_elements), dtypes=NUMBERS),
    ),
    Case(
        kernel="expand",
        name="keep",
        call=lambda x: paddle.expand(x, [2, -1, -1]),
        shapes=(((3, 5),), ((1, 3, 5),), ((0, 5),)),
        dtypes=ALL,
        numpy=lambda x: np.broadcast_to(x, (2, *x.shape[-2:])),
        gradient=Gradient(kernel="expand_grad", rule=summed(_elements), dtypes=NUMBERS),
    ),
)


def _seen(x, y):
    return x.clone().set_(y.clone(), [2, 3], [1, 2], 0)


SET = (
    Case(
        kernel="set",
        call=_seen,
        shapes=(((), (6,)), ((5,), (3, 4)), ((2, 0), (2, 3, 5))),
        dtypes=ALL,
        layouts=False,  # static programs have no views
        numpy=lambda x, y: y.reshape(-1)[:6].reshape(3, 2).T,
    ),
)

EXPAND_AS = (
    Case(
        kernel="expand_as",
        call=lambda x, y: paddle.expand_as(x, y),
        shapes=(((), (2, 3)), ((3,), (2, 3)), ((4, 1), (4, 3)), ((2, 3), (2, 3)), ((1,), (0,))),
        dtypes=ALL,
        numpy=lambda x, y: np.broadcast_to(x, y.shape),
        gradient=Gradient(
            kernel="expand_as_grad", rule=summed(_elements), dtypes=NUMBERS, inputs=(0,)
        ),
    ),
)


def _stack(name, axis, shapes, large=None):
    return Case(
        kernel="stack",
        name=name,
        call=lambda *xs: paddle.stack(list(xs), axis=axis),
        shapes=shapes,
        dtypes=ALL,
        numpy=lambda *xs: np.stack(xs, axis=axis),
        large=large,
        gradient=Gradient(kernel="stack_grad", rule=EXACT, dtypes=ALL),
    )


STACK = (
    _stack(
        "", 0, (((2, 3),) * 2, ((),) * 3, ((1,),) * 2, ((0, 3),) * 2, ((5,),)), ((1031, 999),) * 2
    ),
    _stack("last", -1, (((2, 3),) * 2, ((),) * 3, ((127, 131),) * 3)),
    _stack("middle", 1, (((2, 3, 4),) * 2,)),
    _stack("many", 0, (((2, 3),) * 19,)),
)


def _concat(name, axis, shapes, large=None):
    return Case(
        kernel="concat",
        name=name,
        call=lambda *xs: paddle.concat(list(xs), axis=axis),
        shapes=shapes,
        dtypes=ALL,
        numpy=lambda *xs: np.concatenate(xs, axis=axis),
        large=large,
        gradient=Gradient(kernel="concat_grad", rule=EXACT, dtypes=ALL),
    )


CONCAT = (
    _concat(
        "",
        0,
        (((2, 3), (4, 3)), ((3,), (1,), (5,)), ((1, 1), (1, 1)), ((2, 3),)),
        ((1031, 999), (1033, 999)),
    ),
    _concat(
        "last", -1, (((2, 3), (2, 1), (2, 4)), ((5, 4, 3), (5, 4, 7)), ((127, 263), (127, 257)))
    ),
    _concat("middle", 1, (((2, 3, 4), (2, 1, 4)),)),
    _concat("with_empty", 0, (((2, 3), (0, 3), (1, 3)), ((0, 3), (2, 3)))),
    _concat("of_nothing", 0, (((0, 3), (0, 3)),)),
    _concat("many", 0, (((2, 3),) * 19,)),
)

# The same ops as kernels of their own, which static programs run.
COPIES = (
    *(
        Case(
            kernel="squeeze",
            name=name,
            call=lambda x, a=axis: paddle.squeeze(x, a),
            shapes=shapes,
            dtypes=ALL,
            copies=True,
            numpy=lambda x, a=axis: np.squeeze(x, a),
            gradient=Gradient(kernel="squeeze_grad", rule=EXACT, dtypes=ALL),
        )
        for name, axis, shapes in (
            ("", None, (((1,),), ((4, 1, 6),), ((1, 0, 1),), ((1, 127, 1, 131),))),
            ("axes", (0, -1), (((1, 1),), ((1, 5, 1, 1),))),
        )
    ),
    *(
        Case(
            kernel="unsqueeze",
            name=name,
            call=lambda x, a=axes: paddle.unsqueeze(x, a),
            shapes=(((),), ((5,),), ((4, 6),), ((0, 3),), ((127, 131),)),
            dtypes=ALL,
            copies=True,
            gradient=Gradient(kernel="unsqueeze_grad", rule=EXACT, dtypes=ALL),
        )
        for name, axes in (("", 0), ("axes", (0, -1, 2)))
    ),
    Case(
        kernel="transpose",
        call=lambda x: x.transpose(list(range(x.ndim))[::-1]),
        shapes=(((),), ((5,),), ((4, 6),), ((2, 3, 4),), ((0, 3),), ((127, 131),)),
        dtypes=ALL,
        copies=True,
        numpy=np.transpose,
        large=((2053, 1999),),
        gradient=Gradient(kernel="transpose_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="transpose",
        name="permuted",
        call=lambda x: x.transpose([1, 3, 0, 2]),
        shapes=(((2, 3, 4, 5),), ((1, 3, 1, 5),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: np.transpose(x, (1, 3, 0, 2)),
        gradient=Gradient(kernel="transpose_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="slice",
        call=lambda x: x[-2:, 1:-1],
        shapes=(((4, 6),), ((127, 131),), ((3, 4, 5),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: x[-2:, 1:-1],
        gradient=Gradient(kernel="slice_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="slice",
        name="index",
        call=lambda x: x[1, :, 2],
        shapes=(((4, 6, 5),), ((2, 131, 3, 2),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: x[1, :, 2],
        gradient=Gradient(kernel="slice_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="slice",
        name="empty",
        call=lambda x: x[2:2],
        shapes=(((4, 6),), ((7,),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: x[2:2],
        gradient=Gradient(kernel="slice_grad", rule=EXACT),
    ),
    Case(
        kernel="strided_slice",
        call=lambda x: x[1:, ::3],
        shapes=(((4, 6),), ((127, 131),), ((3, 5, 4),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: x[1:, ::3],
        gradient=Gradient(kernel="strided_slice_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="strided_slice",
        name="backwards",
        call=lambda x: x[::-1, 4:0:-2],
        shapes=(((4, 6),), ((127, 131),), ((3, 5, 4),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: x[::-1, 4:0:-2],
        gradient=Gradient(kernel="strided_slice_grad", rule=EXACT, dtypes=ALL),
    ),
    Case(
        kernel="split",
        call=lambda x: paddle.split(x, [1, 2, -1], axis=1),
        shapes=(((4, 6),), ((2, 9, 5),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: np.split(x, [1, 3], axis=1),
        gradient=Gradient(kernel="concat", rule=EXACT),
    ),
    Case(
        kernel="split_with_num",
        call=lambda x: paddle.split(x, 3, axis=-1),
        shapes=(((4, 6),), ((9,),), ((2, 5, 3),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: np.split(x, 3, axis=-1),
        gradient=Gradient(kernel="concat", rule=EXACT),
    ),
)

CASES = (*SET, *EXPAND, *EXPAND_AS, *STACK, *CONCAT, *COPIES)
