"""Random numbers: samples of a distribution, and dropout (see test_random.py)."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from draws import (
    COUNT,
    FLOATS,
    RARE,
    assert_counts,
    assert_even,
    numbers,
    weights,
)
from paddle import _C_ops
from paddle.nn import functional as F
from paddle_mps.selftest import harness
from scipy import stats

pytestmark = pytest.mark.usefixtures("on_mps")


# -- samples of a distribution --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli(dtype: str) -> None:
    paddle.seed(1)
    rates = np.array([0.0, 1e-3, 0.25, 0.5, 0.999, 1.0])
    x = harness.tensor(np.repeat(rates[:, None], COUNT, 1), dtype)
    drawn, rates = numbers(paddle.bernoulli(x)), numbers(x)[:, 0]
    assert set(np.unique(drawn)) == {0, 1}
    for row, rate in zip(drawn, rates):
        assert abs(row.mean() - rate) <= 4 * np.sqrt(rate * (1 - rate) / COUNT)


@pytest.mark.parametrize("dtype", FLOATS)
def test_multinomial_with_replacement(dtype: str) -> None:
    paddle.seed(2)
    x = weights().astype(dtype)
    drawn = numbers(paddle.multinomial(x, COUNT, replacement=True))
    counts = np.bincount(drawn, minlength=6)
    assert counts[1] == counts[4] == 0
    share = numbers(x) / numbers(x).sum()
    assert_even(counts[share > 0], share[share > 0] * COUNT)


def test_multinomial_without_replacement() -> None:
    """First and second place, against what their probabilities are."""
    paddle.seed(3)
    drawn = numbers(paddle.multinomial(paddle.tile(weights(), [50_000, 1]), 4))
    assert all(sorted(row) == [0, 2, 3, 5] for row in drawn[:100])
    share = numbers(weights()) / 16
    pairs = np.bincount(drawn[:, 0] * 6 + drawn[:, 1], minlength=36).reshape(6, 6)
    expected = share[:, None] * share / (1 - share[:, None]) * len(drawn)
    np.fill_diagonal(expected, 0)
    assert (pairs[expected == 0] == 0).all()
    assert_even(pairs[expected > 0], expected[expected > 0])


def test_multinomial_by_rows() -> None:
    paddle.seed(4)
    x = paddle.to_tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [20.0, 20.0, 40.0]])
    drawn = numbers(paddle.multinomial(x, 20_000, replacement=True))
    assert drawn.shape == (3, 20_000)
    assert set(drawn[0]) == {1, 2}
    assert set(drawn[1]) == {0}
    assert_even(np.bincount(drawn[2]), np.array([5000, 5000, 10_000]))


def test_multinomial_of_many_categories() -> None:
    """Sums of 100,000 weights: the last ones are reached, and nothing beyond them."""
    paddle.seed(5)
    drawn = numbers(paddle.multinomial(paddle.ones([100_000]), COUNT, replacement=True))
    assert drawn.max() < 100_000
    assert_even(np.bincount(drawn // 1000, minlength=100))


@pytest.mark.parametrize("mean", [1e-3, 0.5, 4.0, 11.9, 12.0, 13.5, 60.0, 1000.0, 3e5])
def test_poisson(mean: float) -> None:
    paddle.seed(7)
    drawn = numbers(paddle.poisson(paddle.full([COUNT], mean)))
    assert_counts(drawn, stats.poisson(np.float64(np.float32(mean))))


@pytest.mark.parametrize(
    ("trials", "rate"),
    [(1, 0.3), (7, 0.5), (20, 0.5), (20, 0.51), (25, 0.9), (1000, 0.002), (1000, 0.01)]
    + [(1000, 0.5), (1000, 0.997), (100_000, 0.25), (10_000_000, 0.6)],
)
def test_binomial(trials: int, rate: float) -> None:
    paddle.seed(7)
    counts, rates = paddle.full([COUNT], float(trials)), paddle.full([COUNT], rate)
    drawn = numbers(_C_ops.binomial(counts, rates))
    assert drawn.min() >= 0
    assert drawn.max() <= trials
    assert_counts(drawn, stats.binom(trials, np.float64(np.float32(rate))))


def test_poisson_of_what_is_no_mean() -> None:
    drawn = numbers(paddle.poisson(paddle.to_tensor([0.0, -1.0, float("nan")])))
    np.testing.assert_array_equal(drawn, [0, 0, np.nan])


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.99, 1.0, 1.5, 7.0, 2000.0])
def test_standard_gamma(alpha: float) -> None:
    paddle.seed(8)
    drawn = numbers(paddle.standard_gamma(paddle.full([COUNT], alpha)))
    assert drawn.min() > 0
    assert stats.kstest(drawn, stats.gamma(np.float32(alpha)).cdf).pvalue > RARE
    assert abs(drawn.mean() - alpha) < 4 * np.sqrt(alpha / COUNT)


def test_dirichlet() -> None:
    """Each share is of a beta distribution."""
    paddle.seed(9)
    alpha = np.array([0.5, 1.0, 3.0])
    drawn = numbers(_C_ops.dirichlet(paddle.to_tensor(np.tile(alpha, (COUNT, 1)), "float32")))
    np.testing.assert_allclose(drawn.sum(1), 1, rtol=1e-6)
    for share, a in zip(drawn.T, alpha):
        assert stats.kstest(share, stats.beta(a, alpha.sum() - a).cdf).pvalue > RARE


def test_gumbel_softmax() -> None:
    paddle.seed(6)
    logits = np.log([0.1, 0.2, 0.7])
    x = paddle.to_tensor(np.tile(logits, (50_000, 1)), dtype="float32")
    soft, hard = numbers(F.gumbel_softmax(x, 0.5)), numbers(F.gumbel_softmax(x, hard=True))
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
    for drawn in (soft, hard):
        assert_even(np.bincount(drawn.argmax(1)), 50_000 * np.array([0.1, 0.2, 0.7]))
    assert set(np.unique(hard)) == {0, 1}


# -- dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mode", ["upscale_in_train", "downscale_in_infer"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout(dtype: str, mode: str, rate: float) -> None:
    paddle.seed(1)
    x = paddle.full([COUNT], 2.0, dtype)
    x.stop_gradient = False
    out = F.dropout(x, rate, mode=mode)
    factor = 1 / (1 - rate) if mode == "upscale_in_train" else 1
    drawn = numbers(out)
    keep = drawn != 0
    assert abs(keep.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / COUNT)
    np.testing.assert_allclose(drawn[keep], 2 * factor, rtol=2**-8)
    if dtype == "float32":
        expected = 2 if mode == "upscale_in_train" else 2 * (1 - rate)
        assert drawn.mean() == pytest.approx(expected, rel=0.02)
    (3 * out).sum().backward()
    gradient = numbers(x.grad)
    np.testing.assert_array_equal(gradient != 0, keep)
    np.testing.assert_allclose(gradient[keep], 3 * factor, rtol=2**-7)


def test_dropout_drops_what_is_not_finite() -> None:
    paddle.seed(2)
    x = paddle.full([1000], float("nan"))
    drawn = numbers(F.dropout(x, 0.5))
    assert 400 < (drawn == 0).sum() < 600
    assert np.isnan(drawn[drawn != 0]).all()


def test_dropout_with_a_rate_that_is_a_tensor() -> None:
    paddle.seed(3)
    drawn = numbers(F.dropout(paddle.ones([COUNT]), paddle.to_tensor(0.25)))
    assert abs((drawn != 0).mean() - 0.75) < 4 * np.sqrt(0.1875 / COUNT)


def _seeded_dropout(seed: int, tensor: bool, x: paddle.Tensor | None = None) -> np.ndarray:
    x = paddle.ones([1000]) if x is None else x
    seeds = paddle.to_tensor([seed], dtype="int32") if tensor else None
    out = _C_ops.dropout(x, seeds, 0.5, False, "upscale_in_train", 0 if tensor else seed, True)
    return numbers(out)


@pytest.mark.parametrize("tensor", [False, True], ids=["attribute", "tensor"])
def test_a_fixed_seed_of_dropout_is_honoured(tensor: bool) -> None:
    paddle.seed(4)
    first = _seeded_dropout(9, tensor)
    np.testing.assert_array_equal(_seeded_dropout(9, tensor), first)
    assert (_seeded_dropout(10, tensor) != first).any()
    np.testing.assert_array_equal(_seeded_dropout(9, not tensor), first)


def test_dropout_by_axis_drops_whole_lines() -> None:
    paddle.seed(5)
    rows = numbers(F.dropout(paddle.ones([200, 30]), 0.5, axis=0))
    assert all(len(set(row)) == 1 for row in rows)
    assert set(rows[:, 0]) == {0, 2}
    channels = numbers(F.dropout2d(paddle.ones([20, 10, 4, 4]), 0.5)).reshape(200, 16)
    assert all(len(set(channel)) == 1 for channel in channels)


def test_dropout_in_a_static_program() -> None:
    paddle.enable_static()
    try:
        program = paddle.static.Program()
        with paddle.static.program_guard(program):
            x = paddle.static.data("x", [1000], "float32")
            out = F.dropout(x, 0.5)
            assert out.shape == [1000]
        executor = paddle.static.Executor(paddle.CustomPlace("mps", 0))
        feed = {"x": np.ones(1000, np.float32)}
        drawn = [executor.run(program, feed=feed, fetch_list=[out])[0] for _ in range(2)]
    finally:
        paddle.disable_static()
    assert set(np.unique(drawn[0])) == {0, 2}
    assert (drawn[0] != drawn[1]).any()


def test_rrelu_and_its_gradient_have_the_same_slopes() -> None:
    paddle.seed(6)
    x = paddle.to_tensor(np.linspace(-2, 2, 1001), dtype="float32", stop_gradient=False)
    out = F.rrelu(x, 0.1, 0.4)
    out.sum().backward()
    line, drawn, gradient = numbers(x), numbers(out), numbers(x.grad)
    np.testing.assert_allclose(drawn, line * gradient, rtol=1e-6)
    assert (gradient[line >= 0] == 1).all()
    below = gradient[line < 0]
    assert below.min() >= 0.1 - 1e-7
    assert below.max() < 0.4
    assert len(set(below)) > 400
