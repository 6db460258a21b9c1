"""One side of a diagonal, or the diagonal itself."""

import numpy as np
import paddle

from ..tolerance import EXACT, summed
from .case import ALL, FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_SHAPES = (((3, 4),), ((5, 2),), ((2, 3, 3),), ((1, 1),), ((0, 3),), ((127, 521),))


def _sides(kernel, call, numpy):
    return tuple(
        Case(
            kernel=kernel,
            name=name,
            call=lambda x, k=k: call(x, k),
            shapes=_SHAPES,
            dtypes=(*_INTS, "bool"),
            numpy=lambda x, k=k: numpy(x, k),
            gradient=Gradient(kernel=f"{kernel}_grad", rule=EXACT, dtypes=(*_INTS, "bool")),
        )
        for k, name in ((0, ""), (1, "above"), (-2, "below"))
    )


def _on_diagonal(x, y):
    x = x.copy()
    np.fill_diagonal(x, y)
    return x


CASES = (
    *_sides("tril", paddle.tril, np.tril),
    *_sides("triu", paddle.triu, np.triu),
    *(
        Case(
            kernel=op.__name__,
            call=lambda dtype, o=op: [
                o(rows, columns, offset, dtype)
                for rows, columns in ((1, 1), (4, 6), (6, 3))
                for offset in (-9, -2, 0, 1, 9)
            ],
            shapes=((),),
            dtypes=("int32", "int64"),
            creates=True,
        )
        for op in (paddle.tril_indices, paddle.triu_indices)
    ),
    Case(
        kernel="diag_embed",
        call=lambda x: [
            paddle.diag_embed(x),
            paddle.diag_embed(x, 1),
            paddle.diag_embed(x, -2, 0, -1),
        ],
        shapes=(((4,),), ((2, 3),), ((5, 1, 4),)),
        dtypes=_INTS,
    ),
    *(
        Case(
            kernel="trace",
            name=name,
            call=lambda x, o=offset, a=axes: paddle.trace(x, o, *a),
            shapes=shapes,
            dtypes=_INTS,
            domain="small",
            rule=summed(lambda x: max(x)),
            numpy=lambda x, o=offset, a=axes: np.trace(x, o, *a),
            gradient=Gradient(kernel="trace_grad", rule=EXACT, dtypes=_INTS),
        )
        for name, offset, axes, shapes in (
            ("", 0, (0, 1), (((3, 4),), ((5, 2),), ((3, 4, 2),))),
            ("above", 1, (2, 0), (((3, 1, 4),), ((5, 2, 2),))),
            ("below", -2, (-1, -2), (((3, 4),), ((2, 5, 6),))),
        )
    ),
    Case(
        kernel="eye",
        call=lambda dtype: [paddle.eye(4, dtype=dtype), paddle.eye(3, 7, dtype=dtype)],
        shapes=((),),
        dtypes=_INTS,
        creates=True,
    ),
    *(
        Case(
            kernel="diag",
            name=name,
            call=lambda x, k=k: paddle.diag(x, k),
            shapes=(((3, 4),), ((5, 2),), ((3, 3),)),
            dtypes=_INTS,
            numpy=lambda x, k=k: np.diag(x, k),
            gradient=Gradient(kernel="diag_grad", rule=EXACT, dtypes=_INTS),
        )
        for k, name in ((0, ""), (1, "above"), (-1, "below"))
    ),
    *(
        Case(
            kernel="diag",
            name=f"of_a_line{name}",
            call=lambda x, k=k, v=value: paddle.diag(x, k, v),
            shapes=(((3,),), ((1,),), ((67,),)),
            dtypes=_INTS,
            numpy=lambda x, k=k, v=value: np.where(
                np.diag(np.ones(len(x), bool), k), np.diag(x, k), v
            ),
            gradient=Gradient(kernel="diag_grad", rule=EXACT, dtypes=_INTS),
        )
        for k, value, name in ((0, 0, ""), (1, 0, "_above"), (-2, 5, "_padded"))
    ),
    Case(
        kernel="diagonal",
        call=lambda x: paddle.diagonal(x, 1, 0, -1),
        shapes=(((3, 4),), ((3, 2, 5),)),
        dtypes=ALL,
        copies=True,
        numpy=lambda x: np.diagonal(x, 1, 0, -1),
        gradient=Gradient(kernel="diagonal_grad", rule=EXACT, dtypes=ALL),
    ),
    *(
        Case(
            kernel="fill_diagonal",
            name=name,
            call=lambda x, k=k, w=wrap: paddle._C_ops.fill_diagonal(x, 3.0, k, w),
            shapes=(((3, 4),), ((7, 2),), ((3, 3),)),
            dtypes=_INTS,
            layouts=False,
            gradient=Gradient(kernel="fill_diagonal_grad", rule=EXACT, dtypes=_INTS),
        )
        for k, wrap, name in ((0, False, ""), (1, False, "above"), (0, True, "wrap"))
    ),
    Case(
        kernel="fill_diagonal_tensor",
        call=lambda x, y: paddle._C_ops.fill_diagonal_tensor(x, y, 0, 0, 1),
        shapes=(((3, 4), (3,)), ((5, 2), (2,))),
        dtypes=ALL,
        numpy=_on_diagonal,
        layouts=False,
        gradient=Gradient(kernel="fill_diagonal_tensor_grad", rule=EXACT, dtypes=ALL, inputs=(0,)),
    ),
)
