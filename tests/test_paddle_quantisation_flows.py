"""The flows of paddle.quantization and the layers of paddle.nn.quant: the same as on Paddle's CPU
device, with the fallback turned into an error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn.quant import format as quant_format
from paddle.nn.quant import lsq, quant_layers
from paddle.quantization import PTQ, QAT, QuantConfig
from paddle.quantization.observers import AbsmaxObserver, GroupWiseWeightObserver
from paddle.quantization.quanters import FakeQuanterWithAbsMaxObserver
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")

_rng = np.random.default_rng(11)
IMAGES = _rng.normal(size=(16, 3, 8, 8)).astype("float32")
ROWS = _rng.normal(size=(16, 12)).astype("float32")
STEPS = 20


def filled(layer: nn.Layer) -> nn.Layer:
    """The same parameters every time."""
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.set_value((rng.normal(size=parameter.shape) * 0.2).astype("float32"))
    return layer


def network() -> nn.Layer:
    return filled(nn.Sequential(nn.Conv2D(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)))


def on_both(run: Callable[[], list[paddle.Tensor]]) -> None:
    """Within the rounding of the products between what is quantised."""
    results = []
    for device in ("mps", "cpu"):
        with harness.on(device):
            results.append([result.numpy() for result in run()])
    assert len(results[0]) == len(results[1]) > 0
    for got, expected in zip(*results):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_training_with_simulated_quantisation() -> None:
    def run() -> list[paddle.Tensor]:
        quanter = FakeQuanterWithAbsMaxObserver(moving_rate=0.9)
        flow = QAT(QuantConfig(activation=quanter, weight=quanter))
        model = flow.quantize(network())
        optimizer = paddle.optimizer.SGD(0.01, parameters=model.parameters())
        found, x = [], paddle.to_tensor(IMAGES)
        for _ in range(STEPS):
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            found.append(loss)
        assert float(found[-1]) < float(found[0])
        model.eval()
        return [*found, model(x), *model.state_dict().values()]

    on_both(run)


@pytest.mark.parametrize("bits", [8, 4])
def test_quantisation_after_training(bits: int) -> None:
    def run() -> list[paddle.Tensor]:
        observer = AbsmaxObserver(quant_bits=bits)
        flow = PTQ(QuantConfig(activation=observer, weight=observer))
        model = network()
        model.eval()
        x = paddle.to_tensor(IMAGES)
        watched = flow.quantize(model)
        plain = watched(x)
        converted = flow.convert(watched)
        error = (converted(x) - plain).abs().max() / plain.abs().max()
        assert 0 < float(error) < (0.05 if bits == 8 else 0.6)
        return [plain, converted(x)]

    on_both(run)


LAYERS = {
    "abs_max": (lambda: quant_layers.FakeQuantAbsMax(name="a"), ROWS),
    "moving_average": (lambda: quant_layers.FakeQuantMovingAverageAbsMax(name="a"), ROWS),
    "watched": (lambda: quant_layers.MovingAverageAbsMaxScale(name="a"), ROWS),
    "linear": (
        lambda: quant_layers.QuantizedLinear(
            filled(nn.Linear(12, 4)), weight_quantize_type="channel_wise_abs_max"
        ),
        ROWS,
    ),
    "conv": (lambda: quant_layers.QuantizedConv2D(filled(nn.Conv2D(3, 4, 3))), IMAGES),
    "conv_channels": (
        lambda: quant_layers.QuantizedConv2D(
            filled(nn.Conv2D(3, 4, 3)), weight_quantize_type="channel_wise_abs_max"
        ),
        IMAGES,
    ),
    "conv_transpose": (
        lambda: quant_layers.QuantizedConv2DTranspose(
            filled(nn.Conv2DTranspose(3, 4, 3)), weight_quantize_type="channel_wise_abs_max"
        ),
        IMAGES,
    ),
    "scale_behind": (
        lambda: quant_layers.MAOutputScaleLayer(filled(nn.Linear(12, 4)), name="b"),
        ROWS,
    ),
    "quantised_behind": (
        lambda: quant_layers.FakeQuantMAOutputScaleLayer(filled(nn.Linear(12, 4)), name="b"),
        ROWS,
    ),
    "learned_steps": (lambda: lsq.FakeQuantActLSQPlus(quant_bits=8), ROWS),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, training: bool) -> None:
    make, array = LAYERS[name]

    def run() -> list[paddle.Tensor]:
        layer = make()
        layer.train() if training else layer.eval()
        x = paddle.to_tensor(array, stop_gradient=False)
        y = layer(x)
        (y * y).sum().backward()
        gradients = [p.grad for p in layer.parameters() if p.grad is not None]
        return [y, x.grad, *layer.state_dict().values(), *gradients]

    on_both(run)


def test_scales_by_groups() -> None:
    weights = _rng.normal(size=(256, 16)).astype("float32")

    def run() -> list[paddle.Tensor]:
        layer = filled(nn.Linear(256, 16))
        observer = GroupWiseWeightObserver(quant_bits=8, group_size=128)._instance(layer)
        observer(paddle.to_tensor(weights))
        observer.cal_thresholds()
        return [observer.scales()]

    on_both(run)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_quanters_of_a_converted_model(dtype: str) -> None:
    """Rounded to 8 bits and back, a tensor is at most half a step off."""
    scale = 2.5
    x = paddle.to_tensor(_rng.uniform(-scale, scale, (5, 7)).astype("float32")).cast(dtype)
    arguments = ([scale], [0.0], -1, 8)
    whole = quant_format.LinearQuanter(*arguments)(x)
    assert whole.dtype == x.dtype
    codes = whole.cast("float32").numpy()
    np.testing.assert_array_equal(codes, np.rint(codes))
    back = quant_format.LinearDequanter(*arguments)(whole)
    error = np.abs((back - x).cast("float32").numpy())
    rounding = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    assert error.max() <= scale / 127 / 2 + 2 * scale * rounding


def test_scales_of_float16_give_float16() -> None:
    codes = np.arange(-24, 24).reshape(6, 8).astype("int8")

    def run() -> list[paddle.Tensor]:
        return [
            paddle._legacy_C_ops.dequantize_linear(
                paddle.to_tensor(codes),
                paddle.to_tensor(np.array([0.37], "float16")),
                paddle.to_tensor(np.zeros(1, "float32")),
                *("quant_axis", -1, "bit_length", 8, "qmin", -128, "qmax", 127),
            )
        ]

    assert run()[0].dtype == paddle.float16
    on_both(run)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: paddle._C_ops.fake_quantize_abs_max(x, 1, 0), "bit_length"),
        (lambda x: paddle._C_ops.fake_quantize_abs_max(x, 8, 2), "round_type"),
        (
            lambda x: paddle._C_ops.fake_channel_wise_quantize_abs_max(x, 8, 0, 0, True),
            "is_test",
        ),
    ],
)
def test_bad_attributes(call: Callable, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        call(paddle.ones([2, 3]))
