"""Every case again with views as inputs: transposed, offset, sliced, stepped, repeated."""

from __future__ import annotations

import itertools

import harness
import numpy as np
import pytest
from cases import Case
from harness import (
    LAYOUTS,
    check_all,
    draw,
    evaluate,
    fits,
    fitted,
    magnitudes,
    on,
    terms,
    truth,
    values,
)
from test_ops import changes_in_place, describe, pairs
from tolerance import EXACT, Values, assert_close

pytestmark = pytest.mark.usefixtures("on_mps")

VIEWS = [name for name in LAYOUTS if name != "contiguous"]


def test_layouts_are_what_they_say() -> None:
    """A view that had quietly become a copy would test nothing."""
    numbers = np.arange(210.0).reshape(5, 6, 7)
    plain = harness.laid_out(numbers, "float32", "mps", "contiguous")
    assert plain.is_contiguous()
    for layout in VIEWS:
        view = harness.laid_out(fitted(numbers, layout), "float32", "mps", layout)
        assert view.is_contiguous() == (layout == "offset"), layout
        np.testing.assert_array_equal(view.numpy(), fitted(numbers, layout))


def takes_views(case: Case, dtype: str) -> bool:
    """Paddle's own view kernels do not know the unsigned types."""
    return case.layouts and not (case.creates or case.copies) and dtype not in ("uint32", "uint64")


def _check(case: Case, dtype: str, shapes, layouts) -> None:
    numbers = [fitted(n, layout) for n, layout in zip(draw(case, shapes, dtype), layouts)]
    got = evaluate(case, dtype, numbers, layouts=layouts)
    what = describe(case, dtype, shapes, layouts=list(layouts))
    check_all(
        got,
        truth(case, dtype, numbers),
        case,
        what,
        magnitudes(case, dtype, numbers),
        terms(case, shapes),
    )


def _layouts_of(shapes, layout: str) -> list[str]:
    return [layout if fits(layout, shape) else "contiguous" for shape in shapes]


LAID_OUT = [
    pytest.param(*p.values, layout, id=f"{p.id}-{layout}")
    for p in pairs(takes_views)
    for layout in VIEWS
    if any(fits(layout, shape) for shapes in p.values[0].shapes for shape in shapes)
]


@pytest.mark.parametrize(("case", "dtype", "layout"), LAID_OUT)
def test_layout(case: Case, dtype: str, layout: str) -> None:
    """All inputs in one layout."""
    ran = harness.Watch()
    with ran:
        for shapes in case.shapes:
            layouts = _layouts_of(shapes, layout)
            if layout in layouts:
                _check(case, dtype, shapes, layouts)
    ran.assert_ran([], dtype, f"[{case.id}] {layout}")


@pytest.mark.parametrize(
    ("case", "dtype"),
    pairs(lambda c, d: takes_views(c, d) and d == "float32" and len(c.shapes[0]) == 2),
)
def test_mixed_layouts(case: Case, dtype: str) -> None:
    """Two inputs in every pair of layouts."""
    for shapes in case.shapes[-3:]:
        if sum(int(np.prod(s)) for s in shapes) > 40_000:
            continue
        tried = {
            tuple(_layouts_of([s], x)[0] for s, x in zip(shapes, p))
            for p in itertools.product(LAYOUTS, repeat=2)
        }
        for layouts in sorted(tried):
            _check(case, dtype, shapes, layouts)


# A matrix as a part of something larger: the larger shape, and how to take the part in NumPy and
# Paddle alike.
PARTS = {
    "transposed": (lambda a, b: (b, a), lambda x: x.T),
    "sliced": (lambda a, b: (a + 2, b + 3), lambda x: x[1:-1, 1:-2]),
    "stepped": (lambda a, b: (a, 2 * b), lambda x: x[:, ::2]),
    "offset": (lambda a, b: (3, a, b), lambda x: x[1]),
}


def in_place_in_two_dtypes(case: Case, dtype: str) -> bool:
    return changes_in_place(case, dtype) and dtype in ("float32", "int64")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("case", "dtype"), pairs(in_place_in_two_dtypes))
def test_in_place_on_a_part_leaves_the_rest_alone(case: Case, dtype: str, part: str) -> None:
    whole_shape, take = PARTS[part]
    shapes = ((5, 3), (5, 7), (7, 3)) if case.kernel == "addmm" else ((5, 6),) * len(case.shapes[0])
    numbers = draw(case, shapes, dtype)
    expected = evaluate(case, dtype, numbers)[0]
    around = np.random.default_rng(3).integers(1, 9, whole_shape(*shapes[0]))
    before, wanted = around.astype(numbers[0].dtype), around.astype(numbers[0].dtype)
    take(before)[...] = numbers[0]
    take(wanted)[...] = expected.numbers
    with on("mps"):
        whole = harness.tensor(before, dtype)
        case.in_place(take(whole), *(harness.tensor(n, dtype) for n in numbers[1:]))
    what = describe(case, dtype, shapes, layout=f"in place, {part}")
    assert_close(values(whole), Values(dtype, wanted), EXACT, what)
