"""Every case again with its inputs as views: transposed, permuted, offset, sliced, stepped, with stride 0."""

from __future__ import annotations

import itertools

import harness
import numpy as np
import pytest
from cases import ALL_CASES, Case
from harness import LAYOUTS, check_all, draw, evaluate, fits, fitted, magnitudes, on, terms, truth, values
from test_ops import describe, pairs
from tolerance import EXACT, Values, assert_close

pytestmark = pytest.mark.usefixtures("no_fallback")

VIEWS = [name for name in LAYOUTS if name != "contiguous"]


def _check(case: Case, dtype: str, shapes, layouts) -> None:
    numbers = [fitted(n, layout) for n, layout in zip(draw(case, shapes, dtype), layouts)]
    got = evaluate(case, dtype, numbers, harness.DEVICE, layouts)
    what = describe(case, dtype, shapes, layouts=list(layouts))
    check_all(got, truth(case, dtype, numbers), case, what, magnitudes(case, dtype, numbers), terms(case, shapes))


def _layouts_of(shapes, layout: str) -> list[str]:
    return [layout if fits(layout, shape) else "contiguous" for shape in shapes]


@pytest.mark.parametrize("layout", VIEWS)
@pytest.mark.parametrize(("case", "dtype"), pairs(lambda c, d: not c.creates))
def test_layout(case: Case, dtype: str, layout: str) -> None:
    """All inputs in one layout."""
    ran = harness.Watch()
    with ran:
        for shapes in case.shapes:
            layouts = _layouts_of(shapes, layout)
            if set(layouts) != {"contiguous"}:
                _check(case, dtype, shapes, layouts)
    ran.assert_ran([], dtype, f"[{case.id}] {layout}")


@pytest.mark.parametrize(("case", "dtype"), pairs(lambda c, d: d == "float32" and len(c.shapes[0]) == 2))
def test_mixed_layouts(case: Case, dtype: str) -> None:
    """Two inputs in every pair of layouts."""
    for shapes in case.shapes[-3:]:
        if sum(int(np.prod(s)) for s in shapes) > 40_000:
            continue
        tried = {tuple(_layouts_of([s], x)[0] for s, x in zip(shapes, p)) for p in itertools.product(LAYOUTS, repeat=2)}
        for layouts in sorted(tried):
            _check(case, dtype, shapes, layouts)


# A matrix as a part of something larger: the larger shape, and how to take the part in NumPy and Paddle alike.
PARTS = {
    "transposed": (lambda a, b: (b, a), lambda x: x.T),
    "sliced": (lambda a, b: (a + 2, b + 3), lambda x: x[1:-1, 1:-2]),
    "stepped": (lambda a, b: (a, 2 * b), lambda x: x[:, ::2]),
    "offset": (lambda a, b: (3, a, b), lambda x: x[1]),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("case", "dtype"), pairs(lambda c, d: c.in_place is not None and d in ("float32", "int64")))
def test_in_place_on_a_part_leaves_the_rest_alone(case: Case, dtype: str, part: str) -> None:
    whole_shape, take = PARTS[part]
    shapes = ((5, 3), (5, 7), (7, 3)) if case.kernel == "addmm" else ((5, 6),) * len(case.shapes[0])
    numbers = draw(case, shapes, dtype)
    expected = evaluate(case, dtype, numbers, harness.DEVICE)[0]
    around = np.random.default_rng(3).integers(1, 9, whole_shape(*shapes[0]))
    before, wanted = around.astype(numbers[0].dtype), around.astype(numbers[0].dtype)
    take(before)[...] = numbers[0]
    take(wanted)[...] = expected.numbers
    with on(harness.DEVICE):
        whole = harness.tensor(before, dtype, harness.DEVICE)
        case.in_place(take(whole), *(harness.tensor(n, dtype, harness.DEVICE) for n in numbers[1:]))
    what = describe(case, dtype, shapes, layout=f"in place, {part}")
    assert_close(values(whole), Values(dtype, wanted), EXACT, what)


@pytest.mark.parametrize("dtype", [*harness.MOVED_ONLY])
def test_kernels_that_move_bits_take_every_dtype(dtype: str) -> None:
    """contiguous, strided_copy and fill never fall back to the CPU: they must take what nothing computes with."""
    if dtype in ("uint32", "uint64") and harness.DEVICE == "cpu":
        pytest.skip("the round trip is what is tested")
    numbers = harness.draw(MOVE, [(5, 6)], dtype)[0]
    ran = harness.Watch()
    with ran, on(harness.DEVICE):
        x = harness.tensor(numbers, dtype, harness.DEVICE)
        moved = values(x.t().contiguous())
        filled = x.t().contiguous()
        filled[1:3].fill_(2.0)
        filled = values(filled)
        whole = harness.tensor(numbers, dtype, harness.DEVICE)
        part = harness.tensor(numbers[:, ::-1].copy(), dtype, harness.DEVICE)
        paddle.assign(part.t()[1:3], whole.t()[1:3])
    ran.assert_ran(["contiguous", "fill"], dtype, f"[contiguous] {dtype}")
    assert_close(moved, Values(dtype, numbers.T), EXACT, f"[contiguous] {dtype}")
    two = values(harness.tensor(np.full((2, 5), 2.0), "float64", "cpu").cast(dtype))
    expected = numbers.T.copy()
    expected[1:3] = two.numbers
    assert_close(filled, Values(dtype, expected), EXACT, f"[fill] {dtype}")
