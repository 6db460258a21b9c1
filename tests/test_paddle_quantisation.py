"""Paddle's simulated quantisation: bit for bit what Paddle's CPU device gives, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import paddle
import pytest
from paddle import _C_ops, _legacy_C_ops
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")

_rng = np.random.default_rng(20261128)
TENSORS = {
    "matrix": _rng.normal(size=(4, 6)),
    "weights": _rng.normal(size=(8, 5, 3, 3)) * 0.1,
    "ties": np.arange(-27, 27).reshape(6, 9) / 2,
    "zeros": np.zeros((2, 3)),
    "a zero channel": np.concatenate([_rng.normal(size=(2, 5)), np.zeros((1, 5))]),
    "large": _rng.normal(size=(7, 5000)),
    "not a number": np.array([[1, np.nan, -2], [3, 4, 5]]),
    "infinite": np.array([[1, np.inf, -2], [3, -4, 5]]),
    "tiny": _rng.normal(size=(3, 4)) * 1e-31,
}


def both(call: Callable, *arrays: np.ndarray | None) -> None:
    """The same call on mps and on the CPU gives the same bits, in every result."""
    results = []
    for device in ("mps", "cpu"):
        with harness.on(device):
            tensors = [a if a is None else paddle.to_tensor(a) for a in arrays]
            found = call(*tensors)
            found = found if isinstance(found, (list, tuple)) else [found]
            results.append([r.numpy() for r in found if r is not None and r._is_initialized()])
    assert len(results[0]) >= len(results[1]) > 0
    for got, expected in zip(*results):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


@pytest.fixture(params=TENSORS)
def x(request: pytest.FixtureRequest) -> Iterator[np.ndarray]:
    yield TENSORS[request.param].astype("float32")


def number(value: float) -> np.ndarray:
    return np.array([value], "float32")


@pytest.mark.parametrize("round_type", [0, 1])
@pytest.mark.parametrize("bits", [8, 4])
class TestFakeQuantize:
    def test_by_the_greatest_magnitude(self, x: np.ndarray, bits: int, round_type: int) -> None:
        both(lambda t: _C_ops.fake_quantize_abs_max(t, bits, round_type), x)
        both(lambda t: _C_ops.fake_quantize_dequantize_abs_max(t, bits, round_type), x)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_by_that_of_each_channel(
        self, x: np.ndarray, bits: int, round_type: int, axis: int
    ) -> None:
        both(
            lambda t: _C_ops.fake_channel_wise_quantize_abs_max(t, bits, round_type, axis, False), x
        )
        both(
            lambda t: _C_ops.fake_channel_wise_quantize_dequantize_abs_max(
                t, bits, round_type, axis
            ),
            x,
        )

    @pytest.mark.parametrize("is_test", [False, True])
    def test_by_a_running_average(
        self, x: np.ndarray, bits: int, round_type: int, is_test: bool
    ) -> None:
        for op in (
            _C_ops.fake_quantize_moving_average_abs_max,
            _C_ops.fake_quantize_dequantize_moving_average_abs_max,
        ):
            both(
                lambda t, s, a, n, op=op: op(t, s, a, n, 0.9, bits, is_test, round_type)[
                    : 1 if is_test else 4
                ],
                x,
                number(3.0),
                number(2.7),
                number(1.9),
            )

    # A step with smaller numbers than those before it looks into the window, which is the CPU
    # device's uninitialised memory here: there the answer is calculated.
    @pytest.mark.parametrize(("scale", "is_test"), [(0.5, False), (0.5, True), (100.0, True)])
    def test_by_a_window_of_steps(
        self, x: np.ndarray, bits: int, round_type: int, scale: float, is_test: bool
    ) -> None:
        if not is_test and np.abs(x).max() < scale:
            return keeps_the_greater_scale(x, bits, round_type, scale)
        both(
            lambda t, s, i: _C_ops.fake_quantize_range_abs_max(
                t, s, i, 16, bits, is_test, round_type
            )[: 1 if is_test else 2],
            x,
            number(scale),
            np.array([0], "int64"),
        )


def keeps_the_greater_scale(x: np.ndarray, bits: int, round_type: int, before: float) -> None:
    out, scale, window = _C_ops.fake_quantize_range_abs_max(
        paddle.to_tensor(x),
        paddle.to_tensor(number(before)),
        paddle.to_tensor(np.array([0])),
        16,
        bits,
        False,
        round_type,
    )
    limit = 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(out.numpy(), np.rint(x / before * limit))
    assert scale.item() == before
    assert window.numpy().tolist() == [np.abs(x).max(), *[0.0] * 15]


@pytest.mark.parametrize("round_type", [0, 1])
@pytest.mark.parametrize("bits", [8, 4])
def test_a_window_without_a_past_keeps_the_scale_that_is_greater(
    bits: int, round_type: int
) -> None:
    keeps_the_greater_scale((TENSORS["matrix"] * 10).astype("float32"), bits, round_type, 100.0)


def test_what_is_dequantised(x: np.ndarray) -> None:
    both(lambda t, s: _C_ops.fake_dequantize_max_abs(t, s, 127.0), x, number(0.37))
    for axis in (0, 1):
        scale = np.abs(_rng.normal(size=x.shape[axis])).astype("float32")
        both(
            lambda t, s, axis=axis: _C_ops.fake_channel_wise_dequantize_max_abs(
                t, [s], [8], axis, 1
            ),
            x,
            scale,
        )


def test_8_bit_numbers_are_dequantised() -> None:
    codes = np.arange(-128, 128).reshape(16, 16).astype("int8")
    table = np.abs(_rng.normal(size=128)).astype("float32")
    both(lambda t, s: _C_ops.dequantize_abs_max(t, s, 127.0), codes, number(0.6))
    both(_C_ops.dequantize_log, codes, table)


def test_gradients_pass_straight_through(x: np.ndarray) -> None:
    for call in (
        lambda t: _C_ops.fake_quantize_dequantize_abs_max(t, 8, 1)[0],
        lambda t: _C_ops.fake_channel_wise_quantize_dequantize_abs_max(t, 8, 1, 0)[0],
        lambda t: _C_ops.fake_quantize_dequantize_moving_average_abs_max(
            t, *map(paddle.to_tensor, (number(3), number(2), number(1))), 0.9, 8, False, 1
        )[0],
    ):
        t = paddle.to_tensor(x, stop_gradient=False)
        incoming = paddle.to_tensor(_rng.normal(size=x.shape).astype("float32"))
        (gradient,) = paddle.grad([call(t)], [t], [incoming])
        np.testing.assert_array_equal(gradient.numpy(), incoming.numpy())


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("round_type", [0, 1])
def test_linear(x: np.ndarray, axis: int, round_type: int) -> None:
    count = 1 if axis < 0 else x.shape[axis]
    scale = np.abs(_rng.normal(size=count)).astype("float32")
    zero_point = np.zeros(count, "float32")
    attributes = ("quant_axis", axis, "bit_length", 8, "qmin", -128, "qmax", 127)
    rounding = ("round_type", round_type)
    both(
        lambda t, s, z: _legacy_C_ops.quantize_linear(t, s, z, *attributes, *rounding),
        x,
        scale,
        zero_point,
    )
    whole = np.clip(np.rint(x * 40), -128, 127).astype("float32")
    both(
        lambda t, s, z: _legacy_C_ops.dequantize_linear(t, s, z, *attributes),
        whole,
        scale,
        zero_point,
    )


@pytest.mark.parametrize("only_observer", [False, True])
def test_a_program_of_the_old_representation_watches_the_scale(only_observer: bool) -> None:
    x = TENSORS["matrix"].astype("float32")
    feeds = {"x": x, "scale": number(3), "zero_point": number(0), "count": number(1.5)}

    def run(place: paddle.base.core.Place) -> list[np.ndarray]:
        main, startup = paddle.static.Program(), paddle.static.Program()
        with paddle.static.program_guard(main, startup):
            given = {
                name: paddle.static.data(name, a.shape, "float32") for name, a in feeds.items()
            }
            helper = paddle.base.layer_helper.LayerHelper("quantize_linear")
            names = ("Y", "OutState", "OutAccum", "OutScale")
            found = {n: helper.create_variable_for_type_inference("float32") for n in names}
            helper.append_op(
                type="quantize_linear",
                inputs={
                    "X": given["x"],
                    "Scale": given["scale"],
                    "ZeroPoint": given["zero_point"],
                    "InAccum": given["scale"],
                    "InState": given["count"],
                },
                outputs=found,
                attrs={
                    "quant_axis": -1,
                    "bit_length": 8,
                    "qmin": -128,
                    "qmax": 127,
                    "is_test": False,
                    "only_observer": only_observer,
                },
            )
        return paddle.static.Executor(place).run(main, feed=feeds, fetch_list=[*found.values()])

    paddle.enable_static()
    try:
        with paddle.pir_utils.OldIrGuard():
            got, expected = run(paddle.CustomPlace("mps", 0)), run(paddle.CPUPlace())
    finally:
        paddle.disable_static()
    assert len(got) == len(expected) == 4
    for g, e in zip(got, expected):
        np.testing.assert_array_equal(g, e)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_of_nothing_the_scale_is_zero(shape: tuple[int, int]) -> None:
    """Paddle's CPU device ends the process."""
    x = paddle.zeros(shape)
    for out, scale in (
        _C_ops.fake_quantize_abs_max(x, 8, 0),
        _C_ops.fake_channel_wise_quantize_dequantize_abs_max(x, 8, 1, 0),
    ):
        assert out.shape == list(shape)
        assert (scale.numpy() == 0).all()
