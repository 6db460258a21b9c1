"""Every case again with views as inputs: transposed, offset, sliced, stepped, repeated."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import rows
from paddle_mps.selftest import harness
from paddle_mps.selftest import layouts as questions
from paddle_mps.selftest.cases import Case
from paddle_mps.selftest.harness import fitted
from paddle_mps.selftest.layouts import VIEWS
from paddle_mps.selftest.values import pairs

pytestmark = pytest.mark.usefixtures("on_mps")


def test_layouts_are_what_they_say() -> None:
    """A view that had quietly become a copy would test nothing."""
    numbers = np.arange(210.0).reshape(5, 6, 7)
    plain = harness.laid_out(numbers, "float32", "mps", "contiguous")
    assert plain.is_contiguous()
    for layout in VIEWS:
        view = harness.laid_out(fitted(numbers, layout), "float32", "mps", layout)
        assert view.is_contiguous() == (layout == "offset"), layout
        np.testing.assert_array_equal(view.numpy(), fitted(numbers, layout))


@pytest.mark.parametrize(("case", "dtype", "layout"), rows(questions.LAID_OUT))
def test_layout(case: Case, dtype: str, layout: str) -> None:
    questions.layout(case, dtype, layout)


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.takes_two_views)))
def test_mixed_layouts(case: Case, dtype: str) -> None:
    questions.mixed(case, dtype)


@pytest.mark.parametrize(("case", "dtype", "part"), rows(questions.PARTS))
def test_in_place_on_a_part_leaves_the_rest_alone(case: Case, dtype: str, part: str) -> None:
    questions.part_in_place(case, dtype, part)
