"""Whole convolutional networks trained on mps, without a step on the CPU, next to Paddle's CPU
device; see test_models.py for how far they may differ.

A rectifier or a maximum whose arguments differ by a rounding can take the other side, which a batch
norm of few numbers then spreads. Step sizes are such that 20 steps stay within the bounds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle_mps.selftest import harness
from training import amp_step, compare, decorated, train
from vision_models import Crnn, DbNet, LeNet, MobileNet, ResNet18, ResNet50, Vgg

pytestmark = pytest.mark.usefixtures("no_fallback")


def momentum(parameters: list) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.Momentum(1e-3, 0.9, parameters, weight_decay=1e-4)


def slowly(parameters: list) -> paddle.optimizer.Optimizer:
    return paddle.optimizer.Momentum(3e-4, 0.9, parameters, weight_decay=1e-4)


def adam(parameters: list) -> paddle.optimizer.Optimizer:
    clip = paddle.nn.ClipGradByGlobalNorm(1.0)
    return paddle.optimizer.Adam(1e-3, epsilon=1e-3, parameters=parameters, grad_clip=clip)


NETWORKS = {
    "resnet18": (ResNet18, momentum),
    "resnet50": (ResNet50, slowly),
    "mobilenet_v3": (MobileNet, momentum),
    "vgg": (Vgg, momentum),
    "dbnet": (DbNet, adam),
    "crnn": (Crnn, adam),
}
OPTIMIZERS: dict[str, Callable] = {
    "sgd": lambda p: paddle.optimizer.SGD(2e-3, p),
    "momentum": momentum,
    "adam": adam,
    "adamw": lambda p: paddle.optimizer.AdamW(5e-4, epsilon=1e-3, parameters=p),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_training_follows_the_cpu_device(name: str) -> None:
    compare(*NETWORKS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lenet_follows_the_cpu_device(name: str) -> None:
    compare(LeNet, OPTIMIZERS[name])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("level", ["O1", "O2"])
@pytest.mark.parametrize("name", ["lenet", "resnet18", "dbnet"])
def test_mixed_precision_follows_float32_on_the_cpu_device(
    name: str, level: str, dtype: str
) -> None:
    model, optimizer = {"lenet": (LeNet, adam), **NETWORKS}[name]
    start, expected, _ = train(model, "cpu", None, optimizer)
    make, steps = model, optimizer
    if level == "O2":
        make, steps = decorated(model, dtype, optimizer)
    _, losses, _ = train(make, "mps", start, steps, amp_step(level, dtype))
    rtol = 0.02 if dtype == "float16" else 0.06
    np.testing.assert_allclose(losses, expected, rtol=rtol, atol=1e-4)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_inference_is_the_cpu_device_s(name: str) -> None:
    """With the running statistics of three batches; the best classes and their order too."""
    model, _ = NETWORKS[name]
    start, results = None, {}
    for device in ("cpu", "mps"):
        with harness.on(device), paddle.no_grad():
            net = model()
            if start is None:
                for _ in range(3):
                    net.scores()
                start = {key: value.numpy() for key, value in net.state_dict().items()}
            net.set_state_dict({key: paddle.to_tensor(value) for key, value in start.items()})
            net.eval()
            scores = F.softmax(net.scores(), -1)
            top, at = paddle.topk(scores, 3)
            order = paddle.argsort(scores, -1)
            results[device] = [scores, top, paddle.argmax(scores, -1), at, order]
            results[device] = [result.numpy() for result in results[device]]
    expected, got = results["cpu"], results["mps"]
    for g, e in zip(got[:2], expected[:2]):
        np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-6)
    for g in got[2:]:  # where two scores are one rounding apart, either may come first
        by_place = np.take_along_axis(expected[0], g.reshape(*expected[0].shape[:-1], -1), -1)
        best = np.sort(expected[0], -1)
        best = best if g.shape == best.shape else best[..., ::-1][..., : by_place.shape[-1]]
        np.testing.assert_allclose(by_place, best, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["mobilenet_v3", "vgg"])
def test_networks_with_dropout_learn(name: str) -> None:
    """Two devices draw different numbers: there is nothing to follow, but the loss falls."""

    class Dropping(NETWORKS[name][0]):
        def __init__(self) -> None:
            super().__init__()
            for layer in self.sublayers():
                if isinstance(layer, paddle.nn.Dropout):
                    layer.p = 0.2

    _, losses, _ = train(Dropping, "mps", None, adam)
    assert losses[-1] < 0.7 * losses[0]
