"""Trains one network on two devices from the same numbers, for the tests of whole networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
from paddle_mps.selftest import harness

STEPS = 20


def adamw(parameters: list) -> paddle.optimizer.Optimizer:
    # A large epsilon: where a gradient is 0 but for rounding, Adam would make a whole step of it.
    return paddle.optimizer.AdamW(0.01, epsilon=1e-3, parameters=parameters, weight_decay=0.01)


def train(
    model: type,
    device: str,
    start: dict[str, np.ndarray] | None,
    optimizer: Callable = adamw,
    step: Callable | None = None,
) -> tuple[dict[str, np.ndarray], list[float], dict[str, np.ndarray]]:
    """Parameters at the start, the loss of each step, parameters at the end."""
    with harness.on(device):
        paddle.seed(7)
        net = model()
        if start is not None:
            net.set_state_dict({name: paddle.to_tensor(value) for name, value in start.items()})
        start = {name: value.numpy() for name, value in net.state_dict().items()}
        steps = optimizer(net.parameters())
        losses = []
        for _ in range(STEPS):
            if step is not None:
                losses.append(step(net, steps))
                continue
            loss = net.loss()
            loss.backward()
            steps.step()
            steps.clear_grad()
            losses.append(loss.item())
        return start, losses, {name: value.numpy() for name, value in net.state_dict().items()}


def compare(model: type, optimizer: Callable = adamw) -> None:
    start, expected, final = train(model, "cpu", None, optimizer)
    _, losses, got = train(model, "mps", start, optimizer)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-6)
    for name, value in final.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-3, atol=1e-3, err_msg=name)


def amp_step(level: str, dtype: str) -> Callable:
    scaler = paddle.amp.GradScaler(init_loss_scaling=1024.0, enable=dtype == "float16")

    def step(net: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer) -> float:
        with paddle.amp.auto_cast(level=level, dtype=dtype):
            loss = net.loss()
            scaled = scaler.scale(loss)  # outside, Paddle turns the scaler off
        assert scaler.is_enable() == (dtype == "float16")
        scaled.backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad()
        return loss.astype("float32").item()

    return step


def decorated(model: type, dtype: str, optimizer: Callable = adamw) -> tuple[Callable, Callable]:
    """The model in the dtype, and an optimiser with float32 copies of its parameters."""
    nets = []

    def make() -> paddle.nn.Layer:
        nets.append(model())
        return nets[-1]

    def wide(parameters: list) -> paddle.optimizer.Optimizer:
        _, steps = paddle.amp.decorate(nets[-1], optimizer(parameters), level="O2", dtype=dtype)
        return steps

    return make, wide
