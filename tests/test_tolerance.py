"""The comparison itself: it rounds as IEEE 754 does, and it notices what it is there to notice."""

from __future__ import annotations

import numpy as np
import pytest
from paddle_mps.selftest.tolerance import (
    EXACT,
    FORMATS,
    FUNCTION,
    SMALLEST_NORMAL,
    Rule,
    Values,
    assert_close,
    composed,
    rounded,
    summed,
    ulp,
)


def accepts(got: float, truth: float, rule: Rule, dtype: str = "float32", **more) -> bool:
    got_values, truth_values = (Values(dtype, np.array([n], np.float64)) for n in (got, truth))
    try:
        assert_close(got_values, truth_values, rule, "test", **more)
    except AssertionError as error:
        assert "first wrong element at [0]" in str(error)
        return False
    return True


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rounding_is_numpys(dtype: str) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.standard_normal(20_000) * 2.0 ** rng.integers(-150, 130, 20_000)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 65504.0, 65519.9, 65520.0, 2.0**-25, 3 * 2.0**-26]
    numbers = np.concatenate([numbers, edges])
    with np.errstate(over="ignore"):
        expected = numbers.astype(dtype).astype(np.float64)
    np.testing.assert_array_equal(rounded(numbers, dtype), expected)
    np.testing.assert_array_equal(np.signbit(rounded(numbers, dtype)), np.signbit(expected))


def test_bfloat16_rounds_ties_to_even() -> None:
    step = 2.0**-7
    for got, expected in ((1 + step / 2, 1.0), (1 + 3 * step / 2, 1 + 2 * step), (3.4e38, np.inf)):
        assert rounded(np.array(got), "bfloat16") == expected


@pytest.mark.parametrize("dtype", FORMATS)
def test_an_ulp_is_the_distance_to_the_next_number(dtype: str) -> None:
    step = 2.0 ** (1 - FORMATS[dtype].precision)
    assert ulp(np.array(1.0), dtype) == step
    assert ulp(np.array(-1.99), dtype) == step
    assert ulp(np.array(2.0), dtype) == 2 * step
    assert ulp(np.array(0.0), dtype) == ulp(np.array(SMALLEST_NORMAL[dtype]), dtype)


def test_exact_means_the_same_bits() -> None:
    third = float(np.float32(1 / 3))
    assert accepts(third, 1 / 3, EXACT)
    assert not accepts(np.nextafter(np.float32(third), np.float32(1)), 1 / 3, EXACT)
    assert not accepts(-0.0, 0.0, EXACT)
    assert accepts(-0.0, 0.0, EXACT, signed_zeros=False)
    assert accepts(np.nan, np.nan, EXACT)
    assert not accepts(np.nan, 1.0, EXACT)
    assert not accepts(np.inf, -np.inf, EXACT)


def test_a_function_may_be_four_ulp_off_and_no_more() -> None:
    unit = 2.0**-23
    assert accepts(1 + 4 * unit, 1.0, FUNCTION)
    assert not accepts(1 + 5 * unit, 1.0, FUNCTION)
    assert not accepts(np.inf, 1e38, FUNCTION)
    assert not accepts(np.nan, 1.0, FUNCTION)
    assert accepts(np.inf, 3.5e38, FUNCTION)  # rounds to infinity
    half = 2.0**-10
    assert not accepts(1 + half, 1 + 0.4 * half, FUNCTION, "float16")  # rounded the wrong way


def test_a_composed_rule_is_measured_at_its_magnitude() -> None:
    unit = 2.0**-23
    assert accepts(1e-3 + 2 * unit, 1e-3, composed(2), magnitude=np.array([1.0]))
    assert not accepts(1e-3 + 2 * unit, 1e-3, composed(2), magnitude=np.array([1e-3]))


def test_a_float16_sum_accumulated_in_float16_is_caught() -> None:
    numbers = np.random.default_rng(0).random(4096).astype(np.float16)
    truth = float(numbers.astype(np.float64).sum())
    right = float(np.float16(numbers.astype(np.float32).sum()))
    wrong = 0.0
    for number in numbers:
        wrong = float(np.float16(wrong + float(number)))
    more = {"magnitude": np.array([truth]), "terms": 4096}
    rule = summed(lambda x: x[0])
    assert accepts(right, truth, rule, "float16", **more)
    assert not accepts(wrong, truth, rule, "float16", **more)


def test_dtype_and_shape_count() -> None:
    one = Values("float32", np.ones(3))
    with pytest.raises(AssertionError, match="dtype: expected float16, got float32"):
        assert_close(one, Values("float16", np.ones(3)), FUNCTION, "test")
    with pytest.raises(AssertionError, match=r"shape: expected \[1, 3\], got \[3\]"):
        assert_close(one, Values("float32", np.ones((1, 3))), FUNCTION, "test")
