"""Every case again with views as inputs: transposed, offset, sliced, stepped, repeated."""

from __future__ import annotations

import itertools

import numpy as np

from . import harness
from .cases import Case
from .harness import (
    LAYOUTS,
    check_all,
    describe,
    draw,
    evaluate,
    fits,
    fitted,
    magnitudes,
    on,
    terms,
    truth,
)
from .tolerance import EXACT, Values, assert_close
from .values import changes_in_place, pairs

VIEWS = [name for name in LAYOUTS if name != "contiguous"]


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
    (case, dtype, layout)
    for case, dtype in pairs(takes_views)
    for layout in VIEWS
    if any(fits(layout, shape) for shapes in case.shapes for shape in shapes)
]


def layout(case: Case, dtype: str, layout: str) -> None:
    """All inputs in one layout."""
    ran = harness.Watch()
    with ran:
        for shapes in case.shapes:
            layouts = _layouts_of(shapes, layout)
            if layout in layouts:
                _check(case, dtype, shapes, layouts)
    ran.assert_ran([], dtype, f"[{case.id}] {layout}")


def takes_two_views(case: Case, dtype: str) -> bool:
    return takes_views(case, dtype) and dtype == "float32" and len(case.shapes[0]) == 2


def mixed(case: Case, dtype: str) -> None:
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
_PARTS = {
    "transposed": (lambda a, b: (b, a), lambda x: x.T),
    "sliced": (lambda a, b: (a + 2, b + 3), lambda x: x[1:-1, 1:-2]),
    "stepped": (lambda a, b: (a, 2 * b), lambda x: x[:, ::2]),
    "offset": (lambda a, b: (3, a, b), lambda x: x[1]),
}
PARTS = [
    (case, dtype, part)
    for case, dtype in pairs(changes_in_place)
    if dtype in ("float32", "int64")
    for part in _PARTS
]


def part_in_place(case: Case, dtype: str, part: str) -> None:
    """A change in place of a part leaves the rest alone."""
    whole_shape, take = _PARTS[part]
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
    assert_close(harness.values(whole), Values(dtype, wanted), EXACT, what)
