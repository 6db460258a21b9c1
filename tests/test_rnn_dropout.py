"""What the recurrent kernel drops between its layers: by seed, and forward and backward alike."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

pytestmark = pytest.mark.usefixtures("on_mps")


def network(kind: type, dropout: float) -> nn.Layer:
    paddle.seed(3)
    return kind(4, 5, num_layers=2, dropout=dropout)


def output(layer: nn.Layer, x: paddle.Tensor, seed: int = 7) -> paddle.Tensor:
    paddle.seed(seed)
    return layer(x)[0]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.SimpleRNN])
def test_a_seed_drops_the_same_and_evaluation_nothing(kind: type) -> None:
    layer, x = network(kind, 0.5), paddle.rand([3, 6, 4])
    once, again, other = (output(layer, x, seed).numpy() for seed in (7, 7, 8))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    layer.eval()
    without = network(kind, 0.0)
    np.testing.assert_array_equal(output(layer, x).numpy(), output(without, x).numpy())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.SimpleRNN])
def test_what_is_always_dropped_never_reaches_the_second_layer(kind: type) -> None:
    layer, x = network(kind, 1 - 1e-7), paddle.rand([3, 6, 4])
    deaf = network(kind, 0.0)
    for name, parameter in deaf.named_parameters():
        if "weight_ih_l1" in name:
            parameter.set_value(paddle.zeros_like(parameter))
    np.testing.assert_allclose(
        output(layer, x).numpy(), output(deaf, x).numpy(), rtol=1e-5, atol=1e-6
    )


def test_the_gradient_drops_what_was_dropped_forward() -> None:
    layer, x = network(nn.LSTM, 0.5), paddle.rand([2, 3, 4])
    x.stop_gradient = False
    output(layer, x).sum().backward()
    step, slopes = 1e-2, np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.numpy()
            moved[place] += sign * step
            ends.append(float(output(layer, paddle.to_tensor(moved)).sum()))
        slopes[place] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=0.02, atol=2e-3)
