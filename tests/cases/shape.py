"""Ops that move elements without changing them, and casts."""

import numpy as np
import paddle
from tolerance import EXACT, composed, summed

from cases.case import ALL, EVERY, FLOATS, MOVED, NUMBERS, UNARY_SHAPES, Case, Gradient


def _elements(*shapes):
    """A gradient of a repeated element adds up at most this many copies in the cases below."""
    return 64 * max(1, *(int(np.prod(shape, dtype=np.int64)) for shape in shapes))


_CAST_TARGETS = (
    "float32",
    "float16",
    "bfloat16",
    "int32",
    "int64",
    "int16",
    "int8",
    "uint8",
    "bool",
)

CAST = (
    Case(
        kernel="cast",
        call=lambda x: [x.cast(target) for target in _CAST_TARGETS],
        shapes=UNARY_SHAPES,
        dtypes=ALL,
        domain="bytes",
        large=((2053, 1999),),
    ),
    Case(
        kernel="cast",
        name="round",
        call=lambda x: [x.cast("float16"), x.cast("bfloat16")],
        shapes=(((8209,),),),
        dtypes=("float32",),
        domain="any",
        gradient=Gradient(kernel="", rule=EXACT, dtypes=("float32",)),
    ),
    Case(
        kernel="cast",
        name="widen",
        call=lambda x: x.cast("float32"),
        shapes=(((8209,),),),
        dtypes=("float16", "bfloat16"),
        domain="any",
        gradient=Gradient(kernel="", rule=EXACT, dtypes=("float16", "bfloat16")),
    ),
    Case(
        kernel="cast",
        name="wrap",
        call=lambda x: [x.cast(target) for target in ("int8", "uint8", "int16", "int32")],
        shapes=(((4099,),),),
        dtypes=("int64", "int32", "int16", "int8", "uint8"),
        domain="any",
    ),
)


def _assigned(x):
    return paddle.assign(x)


COPY = (
    Case(
        kernel="assign",
        call=paddle.assign,
        shapes=UNARY_SHAPES,
        dtypes=EVERY,
        numpy=np.copy,
        large=((2053, 1999),),
        gradient=Gradient(kernel="", rule=EXACT),
    ),
    Case(
        kernel="assign",
        name="clone",
        call=lambda x: x.clone(),
        shapes=(((2, 3),),),
        dtypes=ALL,
        numpy=np.copy,
        gradient=Gradient(kernel="", rule=EXACT),
    ),
    Case(
        kernel="assign_raw",
        call=paddle.jit.to_static(_assigned, full_graph=True),  # assign, in a static program
        shapes=(((2, 3),), ((7,),)),
        dtypes=tuple(dtype for dtype in MOVED if dtype != "float8_e5m2"),
        numpy=np.copy,
    ),
    Case(
        kernel="contiguous",
        call=lambda x: x.transpose(list(range(x.ndim))[::-1]).contiguous(),
        shapes=(((7, 5),), ((2, 3, 4),), ((1, 6),), ((0, 3),), ((257, 263),), ((3, 4, 5, 2),)),
        dtypes=MOVED,
        numpy=lambda x: np.ascontiguousarray(x.T),
        large=((2053, 1999),),
    ),
    Case(
        kernel="contiguous",
        name="permuted",
        call=lambda x: x.transpose([1, 2, 0]).contiguous(),
        shapes=(((2, 3, 4),), ((31, 37, 41),)),
        dtypes=MOVED,
        numpy=lambda x: np.ascontiguousarray(x.transpose(1, 2, 0)),
    ),
    Case(
        kernel="contiguous",
        name="stepped",
        call=lambda x: x[1:, ::2].contiguous(),
        shapes=(((4, 7),), ((61, 67),)),
        dtypes=MOVED,
        numpy=lambda x: np.ascontiguousarray(x[1:, ::2]),
    ),
    Case(
        kernel="contiguous",
        name="repeated",
        layouts=False,
        call=lambda x: paddle.as_strided(x, [5, 3, 4], [0, 4, 1]).contiguous(),
        shapes=(((3, 4),),),
        dtypes=MOVED,
        numpy=lambda x: np.broadcast_to(x, (5, 3, 4)).copy(),
    ),
    Case(
        kernel="contiguous",
        name="windows",
        layouts=False,
        call=lambda x: paddle.as_strided(x, [9, 4], [1, 1]).contiguous(),
        shapes=(((12,),),),
        dtypes=MOVED,
        numpy=lambda x: np.lib.stride_tricks.sliding_window_view(x, 4).copy(),
    ),
)


def _copied_into_view(view):
    """`x` with `y` written into a view of a copy of it: what in-place ops on views end in."""

    def call(x, y):
        x = x.clone()
        view(x).add_(y)
        return x

    def numpy(x, y):
        x = x.copy()
        view(x)[...] += y
        return x

    return call, numpy


_INTO_COLUMNS = _copied_into_view(lambda x: x[:, 1:3])
_INTO_TRANSPOSED = _copied_into_view(lambda x: x.T)

STRIDED_COPY = (
    Case(
        kernel="strided_copy",
        name="columns",
        call=_INTO_COLUMNS[0],
        shapes=(((4, 5), (4, 2)), ((257, 259), (257, 2))),
        dtypes=ALL,
        also=("add",),
        numpy=_INTO_COLUMNS[1],
    ),
    Case(
        kernel="strided_copy",
        name="transposed",
        call=_INTO_TRANSPOSED[0],
        shapes=(((4, 5), (5, 4)), ((61, 67), (67, 61))),
        dtypes=ALL,
        also=("add",),
        numpy=_INTO_TRANSPOSED[1],
    ),
)


def _assigned_into_view(x, y):
    x = x.clone()
    paddle.assign(y, x.T[1:3])
    return x


def _assigned_into_view_numpy(x, y):
    x = x.copy()
    x.T[1:3] = y
    return x


STRIDED_COPY += (
    Case(
        kernel="strided_copy",
        name="assigned",
        call=_assigned_into_view,
        shapes=(((4, 5), (2, 4)), ((61, 67), (2, 61))),
        dtypes=MOVED,
        also=("assign",),
        numpy=_assigned_into_view_numpy,
    ),
)

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

# Slices, reshapes and splits are views, made by Paddle's own kernels; their gradients write into
# zeros.
VIEWS = (
    Case(
        kernel="split_with_num",
        name="then_contiguous",
        call=lambda x: [part.contiguous() for part in paddle.split(x, 3, axis=1)],
        shapes=(((4, 6),), ((2, 9, 5),)),
        dtypes=ALL,
        numpy=lambda x: np.split(x, 3, axis=1),
    ),
    Case(
        kernel="add",
        name="split_sections",
        call=lambda x: [part + part for part in paddle.split(x, [1, 2, -1], axis=-1)],
        shapes=(((4, 6),), ((7,),)),
        dtypes=FLOATS,
        numpy=lambda x: [2 * part for part in np.split(x, [1, 3], axis=-1)],
        gradient=Gradient(kernel="concat", rule=composed(1)),
    ),
    Case(
        kernel="add",
        name="split_even",
        call=lambda x: [part + part for part in paddle.split(x, 3, axis=0)],
        shapes=(((6, 4),), ((9,),)),
        dtypes=FLOATS,
        numpy=lambda x: [2 * part for part in np.split(x, 3)],
        gradient=Gradient(kernel="concat", rule=composed(1)),
    ),
    Case(
        kernel="add",
        name="reshaped",
        call=lambda x: [
            v + v
            for v in (
                x.reshape([-1]),
                x.flatten(),
                x.unsqueeze(1),
                x.unsqueeze(0).squeeze(0),
                x.t().reshape([-1]),
            )
        ],
        shapes=(((4, 6),),),
        dtypes=FLOATS,
        also=("contiguous",),
        numpy=lambda x: [2 * v for v in (x.ravel(), x.ravel(), x[:, None], x, x.T.ravel())],
        gradient=Gradient(kernel="add_grad", rule=composed(4)),
    ),
    Case(
        kernel="add",
        name="sliced",
        call=lambda x: [v + v for v in (x[1], x[:, 2], x[1:3, ::2], x[-1:], x[..., 3:])],
        shapes=(((4, 6),),),
        dtypes=FLOATS,
        also=("contiguous",),
        numpy=lambda x: [2 * v for v in (x[1], x[:, 2], x[1:3, ::2], x[-1:], x[..., 3:])],
        gradient=Gradient(kernel="add_grad", rule=composed(4), also=("fill", "strided_copy")),
    ),
)

# The same ops as kernels of their own, which static programs run.
COPIES = (
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

CASES = (*CAST, *COPY, *STRIDED_COPY, *EXPAND, *EXPAND_AS, *STACK, *CONCAT, *VIEWS, *COPIES)
