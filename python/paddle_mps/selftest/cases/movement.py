"""Ops that move elements without changing them, in and out of views, and casts."""

import numpy as np
import paddle

from ..tolerance import EXACT, composed
from .case import ALL, EVERY, FLOATS, MOVED, UNARY_SHAPES, Case, Gradient

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
        numpy=lambda x: [2 * v for v in (x[1], x[:, 2], x[1:3, ::2], x[-1:], x[..., 3:])],
        gradient=Gradient(kernel="add_grad", rule=composed(4), also=("fill", "strided_copy")),
    ),
)

CASES = (*CAST, *COPY, *STRIDED_COPY, *VIEWS)
