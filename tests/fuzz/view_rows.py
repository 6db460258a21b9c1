"""Rows of views, in words that Paddle and NumPy share where they can, and of changes to a part."""

from __future__ import annotations

import numpy as np
from choices import Choices, Shape
from paddle_mps.selftest.cases.case import ALL
from paddle_mps.selftest.tolerance import EXACT, summed
from rows import CHANGES, MOST_AXES, VIEWS, any_row, elements, slices_of


def _write_slice(c, shapes, dtype):
    index = slices_of(c, shapes[0])
    # x[...] is x itself, with its gradient
    return f"{{0}}[{index}]" if index.strip(":., ") else None


def _write_reshape(c, shapes, dtype):
    shape = shapes[0]
    elements = int(np.prod(shape, dtype=np.int64))
    target, left = [], elements
    for n in (2, 3, 5, 7):
        if left and left % n == 0 and c.flag():
            target.append(n)
            left //= n
    target.insert(c.below(len(target) + 1), left)
    if c.below(4) == 1:
        target.insert(c.below(len(target) + 1), 1)
    return f"{{0}}.reshape({target})"


def _write_expand(c, shapes, dtype):
    if len(shapes[0]) == MOST_AXES:
        return None
    shape = [c.pick((2, 3, 1)) if n == 1 else n for n in shapes[0]]
    shape = ([c.pick((2, 1, 3))] if c.flag() else []) + shape
    return f"paddle.expand({{0}}, {shape})"


def _write_unsqueeze(c, shapes, dtype):
    if len(shapes[0]) == MOST_AXES:
        return None
    return f"paddle.unsqueeze({{0}}, {c.below(len(shapes[0]) + 1)})"


def _write_squeeze(c, shapes, dtype):
    ones = [i for i, n in enumerate(shapes[0]) if n == 1]
    return f"paddle.squeeze({{0}}, {c.pick(ones)})" if ones else None


def _two_axes(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape] if len(shape) > 1 else None


def _write_part(c, shapes, dtype):
    part = slices_of(c, shapes[0])
    return f"set_part({{0}}, np.s_[{part}], {c.below(4) if dtype != 'bool' else c.flag()})"


VIEW_ROWS = (
    any_row(
        "transpose",
        lambda c, s, d: f"{{0}}.transpose({c.permutation(len(s[0]))})",
        name="transpose view",
        shapes=_two_axes,
        kind=VIEWS,
        gradient=EXACT,
    ),
    any_row("strided_slice", _write_slice, name="slice view", kind=VIEWS, gradient=EXACT),
    any_row("reshape", _write_reshape, name="reshape view", kind=VIEWS, gradient=EXACT),
    any_row(
        "expand",
        _write_expand,
        name="expand view",
        kind=VIEWS,
        gradient=summed(elements),
        numpy=lambda t: t.replace("paddle.expand", "np.broadcast_to"),
    ),
    any_row(
        "unsqueeze",
        _write_unsqueeze,
        name="unsqueeze view",
        kind=VIEWS,
        gradient=EXACT,
        numpy=lambda t: t.replace("paddle.unsqueeze", "np.expand_dims"),
    ),
    any_row(
        "squeeze",
        _write_squeeze,
        name="squeeze view",
        kind=VIEWS,
        gradient=EXACT,
        numpy=lambda t: t.replace("paddle.squeeze", "np.squeeze"),
    ),
)


# In place: NumPy's words for what Paddle's method does are in machine.py's way of running them.

CHANGES_ROWS = (
    any_row(
        "fill",
        lambda c, s, d: f"{{0}}.fill_({c.below(3)})",
        name="fill in place",
        kind=CHANGES,
    ),
    any_row(
        "strided_copy",
        _write_part,
        name="part in place",
        kind=CHANGES,
        dtypes=ALL,
    ),
)
