"""fused_bias_dropout_residual_layer_norm: what it drops, forward and back."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.incubate.nn import FusedBiasDropoutResidualLayerNorm
from paddle.incubate.nn.functional import fused_bias_dropout_residual_layer_norm

pytestmark = pytest.mark.usefixtures("on_mps")


def run(seed: int, mode: str) -> tuple[paddle.Tensor, ...]:
    rng = np.random.default_rng(2)
    x, residual = (paddle.to_tensor(rng.normal(size=(64, 96)).astype("float32")) for _ in "xr")
    x.stop_gradient = residual.stop_gradient = False
    paddle.seed(seed)
    y = fused_bias_dropout_residual_layer_norm(x, residual, dropout_rate=0.25, mode=mode)
    y.backward(paddle.to_tensor(rng.normal(size=(64, 96)).astype("float32")))
    return y, x, residual


@pytest.mark.parametrize("mode", ["upscale_in_train", "downscale_in_infer"])
def test_a_part_is_dropped_and_has_no_gradient(mode: str) -> None:
    y, x, residual = run(3, mode)
    np.testing.assert_array_equal(y.numpy(), run(3, mode)[0].numpy())
    assert (y.numpy() != run(4, mode)[0].numpy()).any()
    kept = x.grad.numpy() != 0
    assert abs(kept.mean() - 0.75) < 5 * (0.25 * 0.75 / kept.size) ** 0.5
    factor = 0.75 if mode == "upscale_in_train" else 1
    np.testing.assert_allclose(
        x.grad.numpy()[kept], residual.grad.numpy()[kept] / factor, rtol=1e-5, atol=1e-7
    )
    total = residual.numpy() + np.where(kept, x.numpy() / factor, 0)
    total -= total.mean(1, keepdims=True)
    expected = total / np.sqrt((total**2).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_layer_trains() -> None:
    layer = FusedBiasDropoutResidualLayerNorm(16, dropout_rate=0.1)
    x = paddle.rand([4, 5, 16])
    layer(x, x).sum().backward()
    for parameter in layer.parameters():
        assert np.isfinite(parameter.grad.numpy()).all()
