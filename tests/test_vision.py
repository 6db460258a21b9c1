"""Small vision networks, forward and backward, without a kernel that is missing on the device."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")


def lenet() -> nn.Layer:
    return nn.Sequential(
        nn.Conv2D(1, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2D(2, 2),
        nn.Conv2D(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2D(2, 2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 32),
        nn.Linear(32, 10),
    )


class Block(nn.Layer):
    """A residual block whose shortcut is a convolution; its scale and shift stand for a norm."""

    def __init__(self, inputs: int, outputs: int, data_format: str) -> None:
        super().__init__()
        last = data_format == "NHWC"
        shape = [1, 1, 1, outputs] if last else [1, outputs, 1, 1]
        self.first = nn.Conv2D(
            inputs, outputs, 3, stride=2, padding=1, bias_attr=False, data_format=data_format
        )
        self.second = nn.Conv2D(outputs, outputs, 3, padding=1, data_format=data_format)
        self.shortcut = nn.Conv2D(inputs, outputs, 1, stride=2, data_format=data_format)
        self.scale = self.create_parameter(shape, default_initializer=nn.initializer.Constant(1.5))
        self.shift = self.create_parameter(shape, default_initializer=nn.initializer.Constant(0.1))
        self.pool = nn.AdaptiveAvgPool2D(1, data_format=data_format)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = nn.functional.relu(self.first(x) * self.scale + self.shift)
        return self.pool(nn.functional.relu(self.second(y) + self.shortcut(x)))


def separable() -> nn.Layer:
    """Depthwise and pointwise, as in the networks for telephones, then up again."""
    return nn.Sequential(
        nn.Conv2D(8, 8, 3, padding=1, groups=8),
        nn.Hardswish(),
        nn.Conv2D(8, 12, 1),
        nn.AvgPool2D(3, 2, 1),
        nn.Conv2DTranspose(12, 6, 4, stride=2, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2D(6, 3, 3, dilation=2),
    )


NETWORKS = {
    "lenet": (lenet, [4, 1, 28, 28]),
    "residual": (lambda: Block(8, 16, "NCHW"), [3, 8, 14, 14]),
    "residual_channels_last": (lambda: Block(8, 16, "NHWC"), [3, 14, 14, 8]),
    "separable": (separable, [2, 8, 9, 10]),
}


def gradients(
    network: nn.Layer, weights: list[np.ndarray], image: np.ndarray, device: str, dtype: str
) -> list[np.ndarray]:
    """The result, and what a mean square has for the image and for every parameter."""
    with harness.on(device):
        for parameter, value in zip(network.parameters(), weights):
            parameter.set_value(paddle.to_tensor(value, dtype))
        x = paddle.to_tensor(image, dtype)
        x.stop_gradient = False
        result = network(x)
        (result * result).mean().backward()
        grads = [x.grad, *(p.grad for p in network.parameters())]
        return [result.numpy(), *(g.numpy() for g in grads)]


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name: str) -> None:
    """As on the CPU device in float64, to what sums in float32 lose; nothing falls back."""
    make, shape = NETWORKS[name]
    rng = np.random.default_rng(0)
    image = rng.standard_normal(shape)
    with harness.flags(enable_api_kernel_fallback=True):  # first weights may come from anywhere
        here = make()
    weights = [
        rng.standard_normal(p.shape) / np.sqrt(np.prod(p.shape[1:])) for p in here.parameters()
    ]
    with harness.on("cpu"):
        there = make()
        there.to(dtype="float64")
    ran = harness.Watch()
    with ran:
        got = gradients(here, weights, image, "mps", "float32")
    ran.assert_ran(["conv2d", "conv2d_grad"], "float32", name)
    for g, e in zip(got, gradients(there, weights, image, "cpu", "float64")):
        np.testing.assert_allclose(g, e, rtol=2e-4, atol=2e-5 * np.abs(e).max())


def test_lenet_learns_with_automatic_mixed_precision() -> None:
    """float16 convolutions and pools have no kernels on the CPU: each must be the device's."""
    with harness.flags(enable_api_kernel_fallback=True):
        network = lenet()
    rng = np.random.default_rng(0)
    images = paddle.to_tensor(rng.standard_normal([8, 1, 28, 28]).astype("float32"))
    wanted = paddle.to_tensor(rng.standard_normal([8, 10]).astype("float32"))
    losses = []
    for _ in range(8):
        with paddle.amp.auto_cast(level="O1", dtype="float16"):
            result = network(images)
        loss = ((result.cast("float32") - wanted) ** 2).mean()
        loss.backward()
        for parameter in network.parameters():
            parameter.set_value(parameter.detach() - 0.001 * parameter.grad)
        network.clear_gradients()
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0], losses
