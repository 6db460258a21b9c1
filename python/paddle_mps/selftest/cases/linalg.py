"""Products of matrices and vectors: transposed, in batches, broadcast, and degenerate shapes."""

import numpy as np
import paddle

from ..tolerance import summed
from .case import FLOATS, Case, Gradient


def _inner(x, y):
    """Length of the sum in x @ y."""
    return x[-1]


def _result_elements(*shapes):
    """No gradient below adds up more products than this."""
    return int(max(np.prod(shape, dtype=np.int64) for shape in shapes)) * 4


_GRADIENT = {"rule": summed(_result_elements)}


def _matmul(name, transpose_x, transpose_y, shapes, large=None, dtypes=(*FLOATS, "int32", "int64")):
    def numpy(x, y):
        if transpose_x and x.ndim > 1:
            x = np.swapaxes(x, -1, -2)
        if transpose_y and y.ndim > 1:
            y = np.swapaxes(y, -1, -2)
        return np.matmul(x, y)

    def terms(x, y):
        return x[-2] if transpose_x and len(x) > 1 else x[-1]

    return Case(
        kernel="matmul",
        name=name,
        call=lambda x, y: paddle.matmul(x, y, transpose_x, transpose_y),
        shapes=shapes,
        dtypes=dtypes,
        domain="unit",
        rule=summed(terms),
        numpy=numpy,
        large=large,
        gradient=Gradient(kernel="matmul_grad", **_GRADIENT),
    )


MATMUL = (
    _matmul(
        "",
        False,
        False,
        (
            ((5, 7), (7, 3)),
            ((1, 1), (1, 1)),
            ((1, 9), (9, 1)),
            ((4, 1), (1, 6)),
            ((127, 131), (131, 137)),
            ((64, 1031), (1031, 16)),
        ),
        large=((512, 768), (768, 384)),
    ),
    _matmul(
        "transpose_y", False, True, (((5, 7), (3, 7)), ((61, 67), (71, 67)), ((2, 5, 7), (2, 3, 7)))
    ),
    _matmul(
        "transpose_x", True, False, (((7, 5), (7, 3)), ((67, 61), (67, 71)), ((2, 7, 5), (2, 7, 3)))
    ),
    _matmul(
        "transpose_both",
        True,
        True,
        (((7, 5), (3, 7)), ((67, 61), (71, 67)), ((2, 7, 5), (2, 3, 7))),
    ),
    _matmul(
        "batch",
        False,
        False,
        (
            ((2, 5, 7), (2, 7, 3)),
            ((2, 3, 5, 7), (2, 3, 7, 4)),
            ((1, 5, 7), (1, 7, 3)),
            ((6, 33, 17), (6, 17, 29)),
        ),
    ),
    _matmul(
        "broadcast_batch",
        False,
        False,
        (((4, 5, 7), (7, 3)), ((5, 7), (4, 7, 3)), ((2, 3, 5, 7), (1, 1, 7, 4))),
    ),
    # Where both batches are broadcast, Paddle 3.3.1's CPU device computes integers wrongly, and
    # refuses gradients if the ranks differ as well: test_ops.py and test_grads.py ask about these
    # without it.
    _matmul(
        "broadcast_batches",
        False,
        False,
        (((2, 1, 5, 7), (1, 3, 7, 4)), ((1, 3, 4, 6), (2, 1, 6, 5))),
        dtypes=FLOATS,
    ),
    _matmul("vectors", False, False, (((7,), (7,)), ((1,), (1,)), ((1031,), (1031,)))),
    _matmul("vector_matrix", False, False, (((7,), (7, 3)), ((7,), (2, 7, 3)))),
    _matmul(
        "matrix_vector", False, False, (((5, 7), (7,)), ((4, 5, 7), (7,)), ((2, 3, 5, 7), (7,)))
    ),
    _matmul("transposed_matrix_vector", True, False, (((7, 5), (7,)),)),
    _matmul("empty_inner", False, False, (((3, 0), (0, 4)), ((2, 3, 0), (2, 0, 4)))),
    _matmul(
        "empty_result", False, False, (((0, 3), (3, 2)), ((2, 3), (3, 0)), ((0, 2, 3), (0, 3, 2)))
    ),
)


def _addmm_numpy(beta, alpha):
    return lambda z, x, y: beta * z + alpha * (x @ y)


ADDMM_SHAPES = (
    ((5, 3), (5, 7), (7, 3)),
    ((3,), (5, 7), (7, 3)),
    ((1, 3), (5, 7), (7, 3)),
    ((5, 1), (5, 7), (7, 3)),
    ((1,), (5, 7), (7, 3)),
    ((61, 71), (61, 67), (67, 71)),
)

ADDMM = (
    Case(
        kernel="addmm",
        call=paddle.addmm,
        shapes=ADDMM_SHAPES,
        dtypes=FLOATS,
        domain="unit",
        rule=summed(lambda z, x, y: x[-1]),
        numpy=_addmm_numpy(1.0, 1.0),
        in_place=lambda z, x, y: z.addmm_(x, y),
        large=((300, 400), (300, 700), (700, 400)),
        gradient=Gradient(kernel="addmm_grad", **_GRADIENT),
    ),
    Case(
        kernel="addmm",
        name="alpha_beta",
        call=lambda z, x, y: paddle.addmm(z, x, y, beta=0.5, alpha=2.0),
        shapes=ADDMM_SHAPES,
        dtypes=FLOATS,
        domain="unit",
        rule=summed(lambda z, x, y: 2 * x[-1]),
        numpy=_addmm_numpy(0.5, 2.0),
        gradient=Gradient(kernel="addmm_grad", **_GRADIENT),
    ),
    Case(
        kernel="addmm",
        name="beta_zero",
        call=lambda z, x, y: paddle.addmm(z, x, y, beta=0.0, alpha=1.0),
        shapes=ADDMM_SHAPES[:2],
        dtypes=FLOATS,
        domain="unit",
        rule=summed(lambda z, x, y: x[-1]),
        numpy=_addmm_numpy(0.0, 1.0),
        gradient=Gradient(kernel="addmm_grad", **_GRADIENT),
    ),
)

VECTORS = (
    Case(
        kernel="mv",
        call=paddle.mv,
        shapes=(((5, 7), (7,)), ((1, 1), (1,)), ((131, 1031), (1031,))),
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_inner),
        numpy=np.matmul,
        gradient=Gradient(kernel="mv_grad", **_GRADIENT),
    ),
    Case(
        kernel="dot",
        call=paddle.dot,
        shapes=(((7,), (7,)), ((1,), (1,)), ((5, 7), (5, 7)), ((65539,), (65539,))),
        dtypes=(*FLOATS, "int32", "int64"),
        domain="unit",
        rule=summed(_inner),
        numpy=lambda x, y: (x * y).sum(-1),
        gradient=Gradient(kernel="dot_grad", dtypes=(*FLOATS, "int32", "int64"), **_GRADIENT),
    ),
    Case(
        kernel="bmm",
        call=paddle.bmm,
        shapes=(((2, 5, 7), (2, 7, 3)), ((1, 1, 1), (1, 1, 1)), ((3, 61, 67), (3, 67, 71))),
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_inner),
        numpy=np.matmul,
        large=((8, 128, 192), (8, 192, 160)),
        gradient=Gradient(kernel="bmm_grad", **_GRADIENT),
    ),
)

CASES = (*MATMUL, *ADDMM, *VECTORS)
