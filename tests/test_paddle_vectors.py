"""Paddle's own quantised numbers, as its CPU device gave them: bytes, scales, simulated codes."""

from __future__ import annotations

import re

import numpy as np
import paddle
import pytest
from paddle import _C_ops, _legacy_C_ops
from paddle.nn import quant
from vectors import assert_same, load, values

pytestmark = pytest.mark.usefixtures("on_mps")

FAKE, WEIGHTS = load("paddle_fake_quantize"), load("paddle_weights")
CASES = ("4x6", "8x5x3x3", "ties", "zeros")
# What stood before: a scale, and the sum and the number of a running average.
SCALE, SUM, COUNT, RATE = 3.0, 2.7, 1.9, 0.9


def linear(axis: int, bits: int) -> tuple[object, ...]:
    """Attributes of quantize_linear and of its inverse."""
    limit = 2 ** (bits - 1)
    return ("quant_axis", axis, "bit_length", bits, "qmin", -limit, "qmax", limit - 1)


def number(value: float) -> paddle.Tensor:
    return paddle.to_tensor(np.array([value], "float32"))


def cases(keys: list[str], pattern: str) -> list[tuple[str, ...]]:
    """The groups of the pattern in all keys that it fits, each once."""
    found = [match.groups() for key in keys if (match := re.match(pattern, key))]
    return sorted(set(found))


def test_there_are_vectors() -> None:
    assert {case for (case,) in cases(FAKE.keys, r"(\w+)\.x$")} >= set(CASES)
    assert len(QUANTISED) >= 30


@pytest.mark.parametrize("round_type", [0, 1])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("case", CASES)
class TestFakeQuantize:
    def test_by_the_greatest_magnitude(self, case: str, bits: int, round_type: int) -> None:
        x, key = FAKE.tensor(f"{case}.x"), f"{case}.b{bits}.r{round_type}"
        out, scale = _C_ops.fake_quantize_abs_max(x, bits, round_type)
        assert_same(out, FAKE[f"{key}.fake_quantize_abs_max"])
        assert_same(scale, FAKE[f"{key}.fake_quantize_abs_max.scale"])
        out = _C_ops.fake_quantize_dequantize_abs_max(x, bits, round_type)[0]
        assert_same(out, FAKE[f"{key}.fake_quantize_dequantize_abs_max"])

    @pytest.mark.parametrize("axis", [0, 1])
    def test_by_that_of_each_channel(
        self, case: str, bits: int, round_type: int, axis: int
    ) -> None:
        x, key = FAKE.tensor(f"{case}.x"), f"{case}.b{bits}.r{round_type}.ax{axis}"
        out, scale = _C_ops.fake_channel_wise_quantize_abs_max(x, bits, round_type, axis, False)
        assert_same(out, FAKE[f"{key}.fake_channel_wise_quantize_abs_max"])
        assert_same(scale, FAKE[f"{key}.fake_channel_wise_quantize_abs_max.scale"])
        back = _C_ops.fake_channel_wise_dequantize_max_abs(out, [scale], [bits], axis, 1)
        assert_same(back, FAKE[f"{key}.fake_channel_wise_dequantize_max_abs"])
        out = _C_ops.fake_channel_wise_quantize_dequantize_abs_max(x, bits, round_type, axis)[0]
        assert_same(out, FAKE[f"{key}.fake_channel_wise_quantize_dequantize_abs_max"])

    @pytest.mark.parametrize("mode", ["train", "test"])
    def test_by_a_running_average(self, case: str, bits: int, round_type: int, mode: str) -> None:
        x, key = FAKE.tensor(f"{case}.x"), f"{case}.b{bits}.r{round_type}.{mode}"
        before = number(SCALE), number(SUM), number(COUNT)
        for name in (
            "fake_quantize_moving_average_abs_max",
            "fake_quantize_dequantize_moving_average_abs_max",
        ):
            found = getattr(_C_ops, name)(x, *before, RATE, bits, mode == "test", round_type)
            assert_same(found[0], FAKE[f"{key}.{name}"])
            if mode == "train":
                for got, what in zip(found[1:4], ("scale", "state", "accum")):
                    assert_same(got, FAKE[f"{key}.ma.{what}"])

    @pytest.mark.parametrize("mode", ["train", "test"])
    def test_by_a_window_of_steps(self, case: str, bits: int, round_type: int, mode: str) -> None:
        x, key = FAKE.tensor(f"{case}.x"), f"{case}.b{bits}.r{round_type}.{mode}"
        step = paddle.to_tensor(np.array([0], "int64"))
        found = _C_ops.fake_quantize_range_abs_max(
            x, number(SCALE), step, 16, bits, mode == "test", round_type
        )
        assert_same(found[0], FAKE[f"{key}.fake_quantize_range_abs_max"])
        if mode == "train":
            assert_same(found[1], FAKE[f"{key}.range.scale"])

    @pytest.mark.parametrize("axis", [-1, 0, 1])
    def test_linear(self, case: str, bits: int, round_type: int, axis: int) -> None:
        x, key = FAKE.tensor(f"{case}.x"), f"ql.{case}.b{bits}.ax{axis}"
        scale = FAKE.tensor(f"{key}.scale")
        attributes = linear(axis, bits)
        zero = paddle.zeros_like(scale)
        out = _legacy_C_ops.quantize_linear(x, scale, zero, *attributes, "round_type", round_type)
        assert_same(out, FAKE[f"{key}.r{round_type}.quantize_linear"])
        if round_type == 0:
            given = FAKE.tensor(f"{key}.r0.dequantize_linear_in")
            back = _legacy_C_ops.dequantize_linear(given, scale, zero, *attributes)
            assert_same(back, FAKE[f"{key}.r0.dequantize_linear"])


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_scaled_back(case: str) -> None:
    out = _C_ops.fake_dequantize_max_abs(FAKE.tensor(f"{case}.x"), number(0.8), 127.0)
    assert_same(out, FAKE[f"{case}.fake_dequantize_max_abs"])


def test_a_zero_point_is_ignored() -> None:
    scale = FAKE.tensor("ql.4x6.b8.ax-1.scale")
    out = _legacy_C_ops.quantize_linear(FAKE.tensor("4x6.x"), scale, number(5), *linear(-1, 8))
    assert_same(out, FAKE["ql.zero_point5.quantize_linear"])


def test_8_bit_numbers_are_dequantised() -> None:
    x = FAKE.tensor("int8.x")
    assert_same(_C_ops.dequantize_abs_max(x, number(1.7), 127.0), FAKE["int8.dequantize_abs_max"])
    table = FAKE.tensor("int8.dequantize_log.dict")
    assert_same(_C_ops.dequantize_log(x, table), FAKE["int8.dequantize_log"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_8_bit_numbers_are_dequantised_by_channel(axis: int, dtype: str) -> None:
    scale = FAKE.tensor(f"int8.ax{axis}.scale").astype(dtype)
    back = _legacy_C_ops.dequantize_linear(
        FAKE.tensor("int8.x"), scale, paddle.full_like(scale, 3), *linear(axis, 8)
    )
    assert back.dtype == scale.dtype
    assert_same(back, FAKE[f"int8.ax{axis}.{dtype}.dequantize_linear"])


# -- weights --------------------------------------------------------------------------------------

QUANTISED = cases(
    WEIGHTS.keys,
    r"(m\d+n\d+)\.(f16|bf16)\.(weight_only_int\d|llm\.int8)\.arch(\d+)\.gs(-?\d+)\.out",
)


@pytest.mark.parametrize(("shape", "dtype", "algorithm", "arch", "group"), QUANTISED)
def test_weights(shape: str, dtype: str, algorithm: str, arch: str, group: str) -> None:
    key = f"{shape}.{dtype}.{algorithm}.arch{arch}.gs{group}"
    w = WEIGHTS.tensor(f"{shape}.{dtype}.w")
    packed, scale = quant.weight_quantize(w, algorithm, int(arch), int(group))
    assert_same(packed, WEIGHTS[f"{key}.out"])
    assert_same(scale, WEIGHTS[f"{key}.scale"])
    if f"{key}.q_int8_kn" not in WEIGHTS:
        return
    numbers, step = WEIGHTS[f"{key}.q_int8_kn"].astype(np.float32), WEIGHTS[f"{key}.scale"]
    x, bias = WEIGHTS.tensor(f"{shape}.x_f16"), WEIGHTS.tensor(f"{shape}.bias_f32")
    x = x.astype(w.dtype)
    if algorithm == "llm.int8":
        got = quant.llm_int8_linear(x, packed, None, scale, 6.0)
        expected = WEIGHTS[f"{key}.llm_int8_linear64_thr6_nobias"]
    elif packed.shape[0] % 16 != 0:  # Paddle itself refuses to multiply it
        return
    else:
        if int(arch) == 80:
            back = quant.weight_dequantize(packed, scale, algorithm, group_size=int(group))
            steps = np.atleast_2d(step).astype(np.float32)
            each = -(-numbers.shape[0] // steps.shape[0])
            exact = paddle.to_tensor(numbers * steps.repeat(each, 0)[: numbers.shape[0]])
            assert_same(back, values(exact.astype(w.dtype)))
        got = quant.weight_only_linear(
            x, packed, bias.astype(w.dtype), scale, algorithm[-4:], int(arch), int(group)
        )
        expected = WEIGHTS[f"{key}.weight_only_linear64"]
    error = np.abs(values(got).astype(np.float64) - expected).max()
    assert error <= 1e-2 * np.abs(expected).max()


@pytest.mark.parametrize("shape", [shape for (shape,) in cases(WEIGHTS.keys, r"(m\d+n\d+)\.x_f16")])
def test_scales_of_channels(shape: str) -> None:
    x, scales = WEIGHTS.tensor(f"{shape}.x_f16"), WEIGHTS.tensor(f"{shape}.per_channel_scales_f16")
    got = _C_ops.apply_per_channel_scale(x, scales)
    assert_same(got, WEIGHTS[f"{shape}.apply_per_channel_scale_f16"])
