"""Random numbers: real and whole ones are distributed as they should be (see test_random.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from draws import (
    COUNT,
    FLOATS,
    HALVES,
    RARE,
    assert_even,
    numbers,
    truncated,
)
from paddle import _C_ops
from paddle.nn import functional as F
from scipy import stats

pytestmark = pytest.mark.usefixtures("on_mps")


# -- distributions of real numbers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "distribution"),
    [
        (lambda: paddle.uniform([COUNT], min=-1, max=3), stats.uniform(-1, 4)),
        (lambda: paddle.zeros([COUNT]).uniform_(2, 2.5), stats.uniform(2, 0.5)),
        (lambda: paddle.normal(1.0, 2.0, [COUNT]), stats.norm(1, 2)),
        (lambda: paddle.randn([COUNT + 1]), stats.norm()),
        (lambda: paddle.zeros([COUNT]).normal_(-3, 0.5), stats.norm(-3, 0.5)),
        (lambda: truncated([COUNT], -1.0, 2.0), stats.truncnorm(-1, 0.5, 1, 2)),
        (lambda: paddle.zeros([COUNT]).exponential_(4.0), stats.expon(scale=0.25)),
        (lambda: F.rrelu(paddle.full([COUNT], -1.0), 0.2, 0.7), stats.uniform(-0.7, 0.5)),
    ],
    ids=["uniform", "uniform_", "normal", "randn", "normal_", "truncated", "exponential_", "rrelu"],
)
def test_the_distribution_is_right(make: Callable, distribution: object) -> None:
    """Kolmogorov and Smirnov's, then the moments, which see the tails better."""
    paddle.seed(1)
    drawn = numbers(make())
    assert stats.kstest(drawn, distribution.cdf).pvalue > RARE
    mean, variance = distribution.stats("mv")
    kurtosis = float(distribution.stats("k")) + 3
    assert abs(drawn.mean() - mean) < 4 * np.sqrt(variance / drawn.size)
    spread = np.sqrt((kurtosis - 1) / drawn.size)
    assert abs(drawn.var() / variance - 1) < 4 * spread


@pytest.mark.parametrize("dtype", HALVES)
def test_short_floats_have_the_same_distributions(dtype: str) -> None:
    """Rounded from float32, once."""
    step = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for make in (
        lambda dtype: paddle.uniform([COUNT], dtype, 1, 2),
        lambda dtype: paddle.zeros([COUNT], dtype).normal_(1, 2),
        lambda dtype: paddle.zeros([COUNT], dtype).exponential_(2.0),
    ):
        paddle.seed(2)
        long = numbers(make("float32"))
        paddle.seed(2)
        short = numbers(make(dtype))
        # Only next to an end that does not belong to the range is there more than rounding.
        np.testing.assert_allclose(short, long, rtol=2 * step, atol=1e-7)


def test_the_tails_of_the_normal_distribution_are_there() -> None:
    paddle.seed(4)
    drawn = np.abs(numbers(paddle.randn([4_000_000])))
    for bound in (3, 4, 4.75):
        expected = drawn.size * 2 * stats.norm.sf(bound)
        assert abs((drawn > bound).sum() - expected) < 4 * np.sqrt(expected)
    assert np.isfinite(drawn).all()


def test_pairs_of_normal_numbers_are_independent() -> None:
    """The two halves are made of the same words."""
    paddle.seed(5)
    first, second = numbers(paddle.randn([2, COUNT]))
    for x, y in ((first, second), (first**2, second**2), (np.abs(first), second)):
        assert stats.pearsonr(x, y).pvalue > RARE


def test_neighbours_are_independent() -> None:
    paddle.seed(6)
    drawn = numbers(paddle.rand([COUNT]))
    for distance in (1, 2, 3, 4, 5, 16, 64):
        assert stats.pearsonr(drawn[distance:], drawn[:-distance]).pvalue > RARE


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 2), (-1, 0), (-3, 5), (1000, 1001), (0, 7)])
def test_a_range_has_its_low_end_and_not_its_high_end(dtype: str, low: int, high: int) -> None:
    paddle.seed(7)
    drawn = numbers(paddle.uniform([300_000], dtype, low, high))
    assert drawn.min() >= low
    assert drawn.max() < high or dtype == "bfloat16" and high - low == 1 and low == 1000
    if dtype != "float32" and high - low <= 8 and abs(low) <= 8:
        assert drawn.min() <= low + 0.01 * (high - low)
        assert drawn.max() >= high - 0.01 * (high - low)


def test_exponential_numbers_are_never_0() -> None:
    paddle.seed(8)
    drawn = numbers(paddle.zeros([10_000_000]).exponential_())
    assert drawn.min() > 0
    assert np.isfinite(drawn).all()


def test_the_diagonal_of_a_uniform_tensor() -> None:
    paddle.seed(9)
    x = paddle.zeros([4, 5])
    _C_ops.uniform_inplace_(x, 1.0, 2.0, 0, 3, 5, 9.0)
    drawn = numbers(x)
    assert (drawn == 9).sum() == 3
    assert [drawn[i, i] for i in range(3)] == [9, 9, 9]


def test_initializers_draw_on_the_device() -> None:
    from paddle.nn import initializer as init

    paddle.seed(10)
    for start, deviation in (
        (init.Normal(0.0, 0.5), 0.5),
        (init.Uniform(-1.0, 1.0), np.sqrt(1 / 3)),
        (init.TruncatedNormal(0.0, 1.0), 0.8796),
        (init.XavierUniform(), np.sqrt(2 / 600)),
        (init.KaimingNormal(), np.sqrt(2 / 300)),
    ):
        layer = paddle.nn.Linear(300, 300, weight_attr=paddle.ParamAttr(initializer=start))
        assert numbers(layer.weight).std() == pytest.approx(deviation, rel=0.02)


# -- whole numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (0, 10), (-(2**31), 2**31 - 1)])
def test_whole_numbers_are_evenly_spread(dtype: str, low: int, high: int) -> None:
    paddle.seed(1)
    drawn = numbers(paddle.randint(low, high, [COUNT], dtype)).astype(np.int64)
    assert drawn.min() >= low
    assert drawn.max() < high
    bins = min(high - low, 64)
    assert_even(np.bincount((drawn - low) * bins // (high - low), minlength=bins))


def test_no_number_of_a_large_range_is_twice_as_likely() -> None:
    """A remainder of 32 bits would make the lower third of 3 * 2^30 numbers so."""
    paddle.seed(2)
    drawn = numbers(paddle.randint(-(2**30), 2**31 - 1, [COUNT], "int64")).astype(np.int64)
    assert_even(np.bincount((drawn + 2**30) >> 30, minlength=3))


@pytest.mark.parametrize(("low", "high"), [(0, 2**40), (-5, 3 * 2**40), (-(2**63), 2**63 - 1)])
def test_whole_numbers_of_64_bits(low: int, high: int) -> None:
    paddle.seed(3)
    drawn = paddle.zeros([COUNT], "int64").random_(low, high).numpy()
    assert drawn.min() >= low
    assert drawn.max() < high
    if high - low < 2**63:
        bins = np.array([(int(x) - low) * 16 // (high - low) for x in drawn])
        assert_even(np.bincount(bins, minlength=16))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int64"])
def test_random_in_place(dtype: str) -> None:
    paddle.seed(4)
    drawn = numbers(paddle.zeros([COUNT], dtype).random_(-2, 6)).astype(np.int64)
    assert_even(np.bincount(drawn + 2, minlength=8))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 300_001])
def test_a_permutation_has_every_number_once(count: int) -> None:
    paddle.seed(5)
    drawn = numbers(paddle.randperm(count))
    np.testing.assert_array_equal(np.sort(drawn), np.arange(count))
    if count >= 1000:
        assert (drawn == np.arange(count)).sum() < 10
        half = drawn[: count // 2] < count // 2
        assert abs(half.mean() - 0.5) < 4 * 0.5 / np.sqrt(count / 2)


def test_every_permutation_is_as_likely() -> None:
    paddle.seed(6)
    drawn = [tuple(numbers(paddle.randperm(4))) for _ in range(4800)]
    counts = [drawn.count(order) for order in set(drawn)]
    assert len(counts) == 24
    assert_even(np.array(counts))
