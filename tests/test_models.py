"""Networks trained on mps, without a step on the CPU, next to Paddle's CPU device.

Both start from the same numbers. Each step's rounding enters the next, so that 20 steps are
compared less strictly than one op: losses to 1e-4 of themselves and parameters to 1e-3, in float32.
In mixed precision the truth is still float32 on the CPU device, and a rounding to float16 (2^-11)
or bfloat16 (2^-8) stands between each two layers: losses may differ by 2% or 6%.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from models import Decoder, Encoder, Gru, Lstm, Mlp
from paddle_mps.selftest import harness
from training import STEPS, adamw, amp_step, compare, decorated, train

MODELS = {"mlp": Mlp, "encoder": Encoder, "decoder": Decoder, "lstm": Lstm, "gru": Gru}


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("name", MODELS)
def test_training_follows_the_cpu_device(name: str) -> None:
    compare(MODELS[name])


def clipped(parameters: list) -> paddle.optimizer.Optimizer:
    """A schedule, gradients clipped by their common norm, decay that is part of the gradient."""
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(0.05, STEPS)
    clip = paddle.nn.ClipGradByGlobalNorm(0.5)
    return paddle.optimizer.Momentum(
        schedule, 0.9, parameters, use_nesterov=True, weight_decay=1e-3, grad_clip=clip
    )


_optimizers = paddle.optimizer
OPTIMIZERS: dict[str, Callable] = {
    "sgd": lambda p: _optimizers.SGD(0.1, p),
    "momentum_clipped": clipped,
    "adam": lambda p: _optimizers.Adam(0.01, epsilon=1e-3, parameters=p),
    "adam_amsgrad": lambda p: _optimizers.Adam(0.01, epsilon=1e-3, parameters=p, amsgrad=True),
    "adam_merged": lambda p: _optimizers.Adam(
        0.01, epsilon=1e-3, parameters=p, use_multi_tensor=True
    ),
    "momentum_merged": lambda p: _optimizers.Momentum(0.05, 0.9, p, use_multi_tensor=True),
    "adamax": lambda p: _optimizers.Adamax(0.01, epsilon=1e-3, parameters=p),
    "adagrad": lambda p: _optimizers.Adagrad(0.01, epsilon=1e-3, parameters=p),
    "adadelta": lambda p: _optimizers.Adadelta(0.1, epsilon=1e-3, parameters=p),
    "rmsprop": lambda p: _optimizers.RMSProp(0.01, epsilon=1e-3, parameters=p, centered=True),
    "lamb": lambda p: _optimizers.Lamb(0.01, epsilon=1e-3, parameters=p),
    "nadam": lambda p: _optimizers.NAdam(0.01, epsilon=1e-3, parameters=p),
    "radam": lambda p: _optimizers.RAdam(0.01, epsilon=1e-3, parameters=p),
    "asgd": lambda p: _optimizers.ASGD(0.05, batch_num=4, parameters=p),
}


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_follow_the_cpu_device(name: str) -> None:
    compare(Mlp, OPTIMIZERS[name])


@pytest.mark.usefixtures("no_fallback")
def test_rprop_reduces_the_loss() -> None:
    """It goes by the signs of gradients, which rounding turns: there is nothing to follow."""
    _, losses, _ = train(Mlp, "mps", None, lambda p: _optimizers.Rprop(0.01, parameters=p))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


# -- mixed precision ------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("level", ["O1", "O2"])
@pytest.mark.parametrize("name", MODELS)
def test_mixed_precision_follows_float32_on_the_cpu_device(
    name: str, level: str, dtype: str
) -> None:
    start, expected, _ = train(MODELS[name], "cpu", None)
    make, optimizer = (MODELS[name], adamw) if level == "O1" else decorated(MODELS[name], dtype)
    _, losses, _ = train(make, "mps", start, optimizer, amp_step(level, dtype))
    np.testing.assert_allclose(losses, expected, rtol=0.02 if dtype == "float16" else 0.06)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.usefixtures("no_fallback")
def test_an_overflow_skips_the_step() -> None:
    with harness.on("mps"):
        net = paddle.nn.Linear(4, 4)
        optimizer = adamw(net.parameters())
        # Not at the first: Paddle prints a scale then, as NumPy 2.4 does not let it.
        scaler = paddle.amp.GradScaler(init_loss_scaling=2.0**15, decr_every_n_nan_or_inf=2)
        before = net.weight.numpy()
        with paddle.amp.auto_cast(dtype="float16"):
            loss = net(paddle.full([2, 4], 1e4)).astype("float32").sum() * 1e4
            scaled = scaler.scale(loss)
        scaled.backward()
        scaler.step(optimizer)
        scaler.update()
        np.testing.assert_array_equal(net.weight.numpy(), before)
        assert scaler.state_dict()["decr_count"] == 1


def test_a_label_that_is_no_class_makes_the_loss_nan(on_mps: None) -> None:
    """Paddle's CPU device raises; the device does not stop for it, and does not hide it."""
    label = paddle.to_tensor([0, 5, -100, -1])
    _, loss = paddle._C_ops.cross_entropy_with_softmax(
        paddle.zeros([4, 3]), label.unsqueeze(-1), False, True, True, -100, -1
    )
    assert np.isnan(loss.numpy()).flatten().tolist() == [False, True, False, True]
    assert loss.numpy()[2] == 0
