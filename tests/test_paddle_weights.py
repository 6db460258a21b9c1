"""Weights of 8 and 4 bits: bytes and scales of Paddle's CPU device, and products with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import paddle_mps
import pytest
from paddle.nn import quant
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")

_rng = np.random.default_rng(7)
BITS = {"weight_only_int8": 8, "weight_only_int4": 4, "llm.int8": 8}
SHAPES = [(64, 64), (192, 64), (256, 32)]


def weights(shape: tuple[int, int]) -> np.ndarray:
    """With a column of zeros, and one of a single number."""
    w = _rng.normal(size=shape) * 10.0 ** _rng.uniform(-2, 1, shape[1])
    w[:, 3] = 0
    w[:, 5] = 0.25
    return w.astype("float32")


def numbers_of(w: paddle.Tensor, algorithm: str, group: int) -> np.ndarray:
    """What the weight stands for, in float64: whole numbers of steps."""
    rows, most = w.shape[0], 2 ** (BITS[algorithm] - 1) - 1
    x = w.cast("float32").numpy()
    each = rows if group == -1 else group
    found = np.zeros(x.shape)
    for first in range(0, rows, each):
        part = x[first : first + each]
        step = np.abs(part).max(0) / np.float32(most)
        if algorithm != "llm.int8":
            step = paddle.to_tensor(step).cast(w.dtype).cast("float32").numpy()
        safe = np.where(step == 0, np.float32(1), step)
        ratio = part / safe
        away = np.trunc(ratio) + np.sign(ratio) * (np.abs(ratio - np.trunc(ratio)) >= 0.5)
        whole = np.clip(away, -most, most)
        found[first : first + each] = whole * step.astype(np.float64)
    return found


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("algorithm", "group", "arch"),
    [
        *((a, g, arch) for a in list(BITS)[:2] for g in (-1, 64, 128) for arch in (70, 80, 90)),
        ("llm.int8", -1, 80),
    ],
)
def test_bytes_and_scales_are_those_of_the_cpu_device(
    algorithm: str, group: int, arch: int, shape: tuple[int, int], dtype: str
) -> None:
    w = weights(shape)
    results = []
    for device in ("mps", "cpu"):
        with harness.on(device):
            given = paddle.to_tensor(w).cast(dtype)
            results.append(quant.weight_quantize(given, algorithm, arch, group))
    for got, expected in zip(*results):
        assert got.dtype == expected.dtype and got.shape == expected.shape
        np.testing.assert_array_equal(got.cast("float32").numpy(), expected.cast("float32").numpy())


def test_without_an_architecture_the_order_is_that_of_80() -> None:
    w = paddle.to_tensor(weights((128, 64))).cast("float16")
    for algorithm in BITS:
        for group in (-1,) if algorithm == "llm.int8" else (-1, 64):
            default = quant.weight_quantize(w, algorithm, group_size=group)
            named = quant.weight_quantize(w, algorithm, 80, group)
            for got, expected in zip(default, named):
                np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("group", [-1, 64, 128])
@pytest.mark.parametrize("algorithm", ["weight_only_int8", "weight_only_int4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_back_from_what_was_quantised(shape: tuple, algorithm: str, group: int) -> None:
    w = paddle.to_tensor(weights(shape)).cast("float16")
    packed, scale = quant.weight_quantize(w, algorithm, group_size=group)
    got = quant.weight_dequantize(packed, scale, algorithm, group_size=group)
    assert got.dtype == paddle.float16 and got.shape == w.shape
    expected = numbers_of(w, algorithm, group).astype("float16")
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("arch", [0, 70, 80])
@pytest.mark.parametrize("group", [-1, 64, 128])
@pytest.mark.parametrize("bits", [8, 4])
def test_products(bits: int, group: int, arch: int, dtype: str) -> None:
    rows, columns = 192, 256
    algorithm = f"weight_only_int{bits}"
    w = paddle.to_tensor(weights((rows, columns)) * 0.1).cast("float16")
    packed, scale = quant.weight_quantize(w, algorithm, arch, group)
    x = paddle.to_tensor(_rng.normal(size=(2, 5, rows)).astype("float32")).cast(dtype)
    bias = paddle.to_tensor(_rng.normal(size=columns).astype("float32")).cast(dtype)
    for lines in (x, x[0, :1], x[:, :0]):
        got = quant.weight_only_linear(lines, packed, bias, scale, f"int{bits}", arch, group)
        assert got.dtype == lines.dtype and got.shape == [*lines.shape[:-1], columns]
        numbers = numbers_of(w, algorithm, group)
        exact = lines.cast("float32").numpy().astype("float64") @ numbers
        expected = exact + bias.cast("float32").numpy()
        size = np.abs(lines.cast("float32").numpy()).astype("float64") @ np.abs(numbers) + 5
        rounding = {"float32": 0, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
        error = np.abs(got.cast("float32").numpy() - expected)
        allowed = rounding * np.abs(expected) + (rows + 4) * 2.0**-24 * size
        assert (error <= allowed).all(), float((error - allowed).max())


def test_wide_weights_are_unpacked_some_columns_at_a_time() -> None:
    """A block of a weight of 4096 rows has 256 columns."""
    rows, columns = 4096, 1056
    w = paddle.to_tensor(_rng.normal(size=(rows, columns)).astype("float16"))
    x = paddle.to_tensor(_rng.normal(size=(3, rows)).astype("float32"))
    for bits in (8, 4):
        packed, scale = quant.weight_quantize(w, f"weight_only_int{bits}")
        got = quant.weight_only_linear(x, packed, None, scale, f"int{bits}")
        expected = x.numpy().astype("float64") @ numbers_of(w, f"weight_only_int{bits}", -1)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("bits", [8, 4])
def test_the_gradient_is_that_of_the_product_with_the_numbers(bits: int) -> None:
    w = paddle.to_tensor(weights((128, 64))).cast("float16")
    algorithm = f"weight_only_int{bits}"
    packed, scale = quant.weight_quantize(w, algorithm, 80)
    x = paddle.to_tensor(_rng.normal(size=(5, 128)).astype("float32"), stop_gradient=False)
    incoming = _rng.normal(size=(5, 64)).astype("float32")
    y = quant.weight_only_linear(x, packed, None, scale, f"int{bits}", 80)  # Paddle wants one here
    (gradient,) = paddle.grad([y], [x], [paddle.to_tensor(incoming)])
    expected = incoming.astype("float64") @ numbers_of(w, algorithm, -1).T
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("rows", [128, 2048])
@pytest.mark.parametrize("threshold", [2.5, 6.0, 1e9])
def test_outliers_are_multiplied_as_they_are(rows: int, threshold: float) -> None:
    columns = 64
    w = paddle.to_tensor(weights((rows, columns))).cast("float16")
    packed, scale = quant.weight_quantize(w, "llm.int8")
    x = _rng.normal(size=(4, rows)).astype("float16").astype("float32")
    x[1, 7], x[2, 40], x[3] = 9.5, -7.0, 0
    got = quant.llm_int8_linear(paddle.to_tensor(x), packed, None, scale, threshold).numpy()

    numbers = numbers_of(w, "llm.int8", -1)
    beyond = np.abs(x) > threshold
    flagged = beyond.any(0)
    reach = np.where(beyond, 0, np.abs(x)).max(1, keepdims=True)
    ratio = x * np.float32(127) / np.where(reach == 0, 1, reach).astype("float32")
    ratio = np.clip(ratio, -127, 127)
    whole = np.trunc(ratio) + np.sign(ratio) * (np.abs(ratio - np.trunc(ratio)) >= 0.5)
    whole[:, flagged] = 0
    expected = (whole * (reach / 127.0)) @ numbers + (x * flagged) @ numbers
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())
    assert (got[3] == 0).all()


def test_scales_of_channels() -> None:
    x = _rng.normal(size=(5, 64)).astype("float16")
    scales = _rng.uniform(0.5, 2, 64).astype("float16")
    got = paddle._C_ops.apply_per_channel_scale(paddle.to_tensor(x), paddle.to_tensor(scales))
    np.testing.assert_array_equal(got.numpy(), x * scales)


def test_layers_of_a_model_run_on_the_device_alone() -> None:
    """A linear layer whose weight is 8 bits is about as good as the one it was made of."""
    linear = paddle.nn.Linear(128, 64)
    packed, scale = quant.weight_quantize(linear.weight.cast("float16"))
    x = paddle.to_tensor(_rng.normal(size=(16, 128)).astype("float32"))
    paddle_mps.reset_fallback_report()
    got = quant.weight_only_linear(x, packed, linear.bias, scale)
    assert not paddle_mps.fallback_report().fell_back
    expected = linear(x)
    assert float((got - expected).abs().max() / expected.abs().max()) < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: paddle._C_ops.weight_quantize(w, "w4a8", 80, -1), "algo"),
        (lambda w: paddle._C_ops.weight_quantize(w, "weight_only_int8", 20, -1), "arch"),
        (lambda w: paddle._C_ops.weight_quantize(w[:48], "weight_only_int8", 80, -1), "64"),
        (lambda w: paddle._C_ops.weight_quantize(w, "llm.int8", 80, 64), "group_size"),
    ],
)
def test_bad_arguments(call: Callable, message: str) -> None:
    w = paddle.ones([64, 64], "float16")
    with pytest.raises((ValueError, RuntimeError, NotImplementedError), match=message):
        call(w)
