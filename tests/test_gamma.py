"""The incomplete gamma function where Paddle's CPU device has no digits left, or NaN."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

pytestmark = pytest.mark.usefixtures("no_fallback")


def density(a: float, x: float) -> float:
    return math.exp(a * math.log(x) - x - math.lgamma(a)) / x


@pytest.mark.parametrize("a", [0.01, 0.5, 1.0, 7.75, 8.0, 50.0, 1000.0, 10000.0])
def test_it_is_the_integral_of_its_slope(a: float) -> None:
    """Simpson's rule in float64, from some deviations below a to some above."""
    low, high = max(a - 3 * math.sqrt(a), a / 4), a + 3 * math.sqrt(a)
    points = np.linspace(low, high, 2001).astype("float32")
    x = paddle.to_tensor(points, stop_gradient=False)
    found = paddle.gammaincc(paddle.full([2001], a), x)
    found.sum().backward()
    slope = np.array([-density(np.float64(np.float32(a)), t) for t in points.astype("float64")])
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=5e-5)
    weights = np.full(2001, 2.0)
    weights[1::2], weights[0], weights[-1] = 4, 1, 1
    exact = np.linspace(low, high, 2001)
    area = (weights * [density(float(np.float32(a)), t) for t in exact]).sum() * (high - low) / 6000
    assert abs(float(found[0] - found[-1]) - area) < 5e-6


def test_the_ends() -> None:
    a = paddle.to_tensor([1.0, 0.0, 2.0])
    x = paddle.to_tensor([0.0, 1.0, 1000.0])
    found = paddle.gammaincc(a, x).numpy()
    np.testing.assert_array_equal(found, [1, 1, 0])
