"""The fused norms with a quantised result: whole numbers between bounds, rounded either way."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.incubate.nn import functional as F

pytestmark = pytest.mark.usefixtures("on_mps")

SCALE, HIGHEST, LOWEST = 0.3, 127.0, -127.0


def quantised(y: np.ndarray, round_type: int) -> np.ndarray:
    scaled = y * SCALE * HIGHEST
    away = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
    return np.clip(np.rint(scaled) if round_type == 0 else away, LOWEST, HIGHEST)


@pytest.mark.parametrize("round_type", [0, 1])
@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_the_result_is_the_norm_in_whole_numbers(kind: str, round_type: int) -> None:
    rng = np.random.default_rng(5)
    x, residual = (rng.normal(size=(7, 32)).astype("float32") for _ in range(2))
    bias, weight, norm_bias = (rng.normal(size=32).astype("float32") for _ in range(3))
    weight *= 3  # so that some are beyond the bounds
    norm = F.fused_rms_norm if kind == "rms" else F.fused_layer_norm
    arguments = [paddle.to_tensor(each) for each in (x, weight, norm_bias)]
    result = norm(
        *arguments,
        1e-6,
        begin_norm_axis=1,
        bias=paddle.to_tensor(bias),
        residual=paddle.to_tensor(residual),
        quant_scale=SCALE,
        quant_round_type=round_type,
        quant_max_bound=HIGHEST,
        quant_min_bound=LOWEST,
    )
    total = (x + bias + residual).astype("float64")
    centre = 0 if kind == "rms" else total.mean(1, keepdims=True)
    size = np.sqrt(((total - centre) ** 2).mean(1, keepdims=True) + 1e-6)
    y = (total - centre) / size * weight + norm_bias
    expected = quantised(y, round_type)
    got = result[0]
    assert got.dtype == paddle.int8
    np.testing.assert_allclose(result[1].numpy(), total, rtol=1e-5, atol=1e-5)
    scaled = y * SCALE * HIGHEST
    clear = np.abs(np.abs(scaled - np.floor(scaled)) - 0.5) > 1e-3  # not as good as a tie
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(got.numpy()[clear], expected[clear])
    assert (np.abs(expected) == HIGHEST).any()
