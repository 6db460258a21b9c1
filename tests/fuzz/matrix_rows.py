"""Rows of products of matrices."""

from __future__ import annotations

from choices import Choices, Shape
from paddle_mps.selftest.cases.case import FLOATS
from paddle_mps.selftest.tolerance import summed
from rows import any_row, elements


def _matmul_shapes(c: Choices, shape: Shape) -> list[Shape]:
    m, k, n = (c.pick((2, 1, 3, 5, 7, 13, 0)) for _ in range(3))
    batch = tuple(c.pick((2, 1, 3)) for _ in range(c.below(3)))
    return [(*batch, m, k), (*batch, k, n)] if c.flag() else [(*batch, m, k), (k, n)]


MATRICES = (
    any_row(
        "matmul",
        lambda c, s, d: "paddle.matmul({0}, {1})",
        name="matmul any",
        arity=2,
        rule=summed(elements),
        dtypes=FLOATS,
        domain="unit",
        shapes=_matmul_shapes,
        gradient=summed(lambda *s: 3 * elements(*s)),
    ),
    any_row(
        "matmul",
        lambda c, s, d: "paddle.matmul({0}, {1}, transpose_y=True)",
        name="matmul transposed",
        arity=2,
        rule=summed(elements),
        dtypes=FLOATS,
        domain="unit",
        shapes=lambda c, shape: (lambda x, y: [x, (*y[:-2], y[-1], y[-2])])(
            *_matmul_shapes(c, shape)
        ),
        gradient=summed(lambda *s: 3 * elements(*s)),
    ),
)
