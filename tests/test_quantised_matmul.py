"""Products with matrices of 4 bits, LLM.int8's products, and their gradients."""

from __future__ import annotations

import re
import sys
import textwrap

import numpy as np
import paddle
import paddle_mps
import paddle_mps.functional as F
import paddle_mps.optimizer
import pytest
from child import tell
from vectors import DTYPES, assert_same, load, values

pytestmark = pytest.mark.usefixtures("on_mps")

FOUR, INT8 = load("matmul_4bit"), load("int8")
TOLERANCE = {"f32": 1e-6, "f16": 1.2e-3, "bf16": 1e-2}
CASES = sorted(
    {
        match[0]
        for key in FOUR.keys
        if (match := re.match(r"N\d+K\d+bs\d+\.(nf4|fp4)\.M\d+\.(f32|f16|bf16)(?=\.)", key))
    }
)


def quantised(case: str) -> tuple[paddle.Tensor, F.QuantState]:
    rows, columns, blocksize, kind = re.match(r"N(\d+)K(\d+)bs(\d+)\.(nf4|fp4)", case).groups()  # type: ignore[union-attr]
    key = case[: case.index(kind) + 3]
    state = F.QuantState(
        FOUR.tensor(f"{key}.absmax"),
        [int(rows), int(columns)],
        None,
        int(blocksize),
        kind,
        "float32",
    )
    return FOUR.tensor(f"{key}.q"), state


def test_there_are_vectors() -> None:
    assert len(CASES) >= 24


@pytest.mark.parametrize("case", CASES)
def test_matmul_4bit(case: str) -> None:
    dtype = case.rpartition(".")[2]
    packed, state = quantised(case)
    x = FOUR.tensor(f"{case}.x")
    expected = FOUR[f"{case}.out64"]
    for weight in (packed, packed.t() if packed.ndim == 2 else packed):
        got = F.matmul_4bit(x, weight, state)
        assert got.dtype == x.dtype
        error = np.abs(values(got).astype(np.float64) - expected).max()
        assert error <= TOLERANCE[dtype] * np.abs(expected).max()


def test_gradients_of_matmul_4bit() -> None:
    for case in CASES:
        if not case.endswith("f32"):
            continue
        key = case[: -len(".f32")]
        packed, state = quantised(case)
        x = FOUR.tensor(f"{case}.x")
        x.stop_gradient = False
        bias = paddle.zeros([state.shape[0]])
        bias.stop_gradient = False
        dy = FOUR.tensor(f"{key}.grad_out")
        F.matmul_4bit(x, packed, state, bias=bias).backward(dy)
        expected = FOUR[f"{key}.grad_x64"]
        np.testing.assert_allclose(
            x.grad.numpy(), expected, rtol=0, atol=2e-6 * np.abs(expected).max()
        )
        np.testing.assert_allclose(
            bias.grad.numpy(), dy.numpy().reshape(-1, dy.shape[-1]).sum(0), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 13, 100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_nested_absmax_is_restored_in_the_product(dtype: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    w = paddle.to_tensor(rng.normal(size=(96, 256)).astype("float32"))
    packed, state = F.quantize_nf4(w, compress_statistics=True)
    x = paddle.to_tensor(rng.normal(size=(rows, 256)).astype("float32")).astype(DTYPES[dtype])
    expected = values(x).astype(np.float64) @ F.dequantize_4bit(packed, state).numpy().T.astype(
        np.float64
    )
    got = F.matmul_4bit(x, packed, state)
    error = np.abs(values(got) - expected).max()
    assert error <= TOLERANCE[dtype] * np.abs(expected).max()


def test_leading_axes_and_a_bias() -> None:
    rng = np.random.default_rng(3)
    packed, state = F.quantize_fp4(paddle.to_tensor(rng.normal(size=(8, 64)).astype("float32")))
    x = paddle.to_tensor(rng.normal(size=(2, 3, 64)).astype("float32"))
    bias = paddle.arange(8, dtype="float32")
    got = F.matmul_4bit(x, packed, state, bias=bias)
    assert got.shape == [2, 3, 8]
    flat = F.matmul_4bit(x.reshape([6, 64]), packed, state)
    np.testing.assert_allclose(
        got.numpy().reshape(6, 8), flat.numpy() + bias.numpy(), rtol=1e-6, atol=1e-6
    )
    one = F.gemv_4bit(x[0, :1], packed, state=state)
    np.testing.assert_allclose(one.numpy(), flat.numpy()[:1], rtol=1e-5, atol=1e-5)
    assert F.matmul_4bit(paddle.zeros([0, 64]), packed, state).shape == [0, 8]


@pytest.mark.skipif(sys.platform != "linux", reason="on Metal it is a composition")
@pytest.mark.parametrize("rows", [1, 32, 512])
def test_a_product_never_holds_the_whole_weight(rows: int) -> None:
    """Neither in the device's memory nor in what the host device takes for itself."""
    told = tell(
        textwrap.dedent(rf"""
        import pathlib, re, numpy as np, paddle, paddle_mps, paddle_mps.functional as F
        paddle.set_device("mps")

        def mebibytes(name):
            text = pathlib.Path("/proc/self/status").read_text()
            return int(re.search(name + r":\s+(\d+) kB", text)[1]) // 1024

        def grown_by(work):
            paddle_mps.synchronize()
            paddle_mps.empty_cache()
            before = mebibytes("VmRSS")
            pathlib.Path("/proc/self/clear_refs").write_text("5")  # forget the peak
            result = work()
            paddle_mps.synchronize()
            told["first"] = float(result[0, 0])
            return mebibytes("VmHWM") - before

        packed, state = F.quantize_nf4(paddle.ones([4096, 4096]))
        x = paddle.ones([{rows}, 4096])
        F.matmul_4bit(x[:1, :64], *F.quantize_nf4(paddle.ones([64, 64])))  # what is loaded once
        told["product"] = grown_by(lambda: F.matmul_4bit(x, packed, state))
        told["right"] = told["first"] == 4096
        told["whole"] = grown_by(lambda: F.dequantize_4bit(packed, state))
        """)
    )
    assert told["right"]
    assert told["whole"] >= 60, "the measure sees 64 MiB of weight"
    assert told["product"] < 32


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, p, s: F.matmul_4bit(x[:, :32], p, s), "inner dimensions differ"),
        (lambda x, p, s: F.matmul_4bit(x, p, s, bias=paddle.ones([3])), "bad bias"),
        (lambda x, p, s: F.matmul_4bit(x, p[:10], s), "bad codes"),
        (lambda x, p, s: F.gemv_4bit(x, p, state=s), "bad arguments"),
        (lambda x, p, s: F.gemv_4bit(x[:1], p), "bad arguments"),
        (lambda x, p, s: F.matmul_4bit(x.astype("int32"), p, s), "wrong dtype"),
        (lambda x, p, s: F.int8_linear_matmul(x, x), "wrong dtype"),
        (
            lambda x, p, s: F.int8_linear_matmul(x.astype("int8"), x[:, :5].astype("int8")),
            "inner dimensions differ",
        ),
        (lambda x, p, s: F.int8_vectorwise_quant(x, threshold=-1), "bad threshold"),
        (lambda x, p, s: F.int8_mm_dequant(x.astype("int32"), x[0], x[0]), "stats do not fit"),
    ],
)
def test_bad_input_is_refused(call, sentence: str) -> None:
    packed, state = F.quantize_nf4(paddle.ones([8, 64]))
    with pytest.raises(ValueError, match=rf"\[\w+\] {sentence}"):
        call(paddle.ones([4, 64]), packed, state)


# -- LLM.int8

SHAPES = ["M6K64N32", "M1K256N20"]


def assert_codes(got: paddle.Tensor, expected: np.ndarray) -> None:
    difference = np.abs(got.numpy().astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference != 0).mean() <= 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_int8(shape: str) -> None:
    weight, stats, none = F.int8_vectorwise_quant(INT8.tensor(f"{shape}.w_f16"))
    assert none is None
    assert_codes(weight, INT8[f"{shape}.CB"])
    assert_same(stats, INT8[f"{shape}.SCB"])
    np.testing.assert_array_equal(
        F.int8_vectorwise_dequant(paddle.to_tensor(INT8[f"{shape}.CB"]), stats).numpy(),
        INT8[f"{shape}.wdeq_f32"],
    )
    for dtype in DTYPES.values():
        x = INT8.tensor(f"{shape}.x_f16").astype(dtype)
        q, stats, _ = F.int8_vectorwise_quant(x)
        absmax = np.abs(values(x).astype(np.float32)).max(1)
        assert_same(stats, absmax)
        scale = np.float32(127) / absmax[:, None]
        assert_codes(q, np.rint(values(x).astype(np.float32) * scale))


@pytest.mark.parametrize("threshold", [0, 6])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_int8_product(shape: str, threshold: int) -> None:
    key = f"{shape}.thr{threshold}"
    x = INT8.tensor(f"{shape}.x_f16")
    q, stats, columns = F.int8_vectorwise_quant(x, threshold)
    if x.shape[0] > 1 or threshold == 0:  # of one row bitsandbytes keeps the outliers
        assert_codes(q, INT8[f"{key}.CA"])
    assert_same(stats, INT8[f"{key}.SCA"])
    if threshold:
        assert_same(columns, INT8[f"{key}.outlier_cols"])
    theirs, weight = INT8.tensor(f"{key}.CA"), INT8.tensor(f"{shape}.CB")
    sums = F.int8_linear_matmul(theirs, weight)
    assert sums.dtype == paddle.int32
    assert_same(sums, INT8[f"{key}.C32"])
    scb = INT8.tensor(f"{shape}.SCB")
    exact = INT8[f"{key}.mm_dequant64"]
    result = F.int8_mm_dequant(sums, stats, scb, dtype="float32")
    np.testing.assert_allclose(result.numpy(), exact, rtol=1e-6)
    half = F.int8_mm_dequant(sums, stats, scb)
    assert half.dtype == paddle.float16
    np.testing.assert_allclose(half.numpy(), exact, rtol=1e-3, atol=1e-6)
    bias = INT8.tensor(f"{shape}.bias_f16")
    with_bias = F.int8_scaled_mm(theirs, weight, stats, scb, bias)
    np.testing.assert_allclose(
        with_bias.numpy(), INT8[f"{key}.mm_dequant_bias_f16"], rtol=2e-3, atol=2e-3
    )
    if threshold and x.shape[0] > 1:
        mixed = F.int8_mixed_scaled_mm(x, theirs, weight, stats, scb, columns, bias)
        expected = INT8[f"{key}.mixed_out_f16"].astype(np.float32)
        np.testing.assert_allclose(
            mixed.numpy(), expected, rtol=4e-3, atol=4e-3 * np.abs(expected).max()
        )


@pytest.mark.parametrize("threshold", [0, 6])
def test_double_quant(threshold: int) -> None:
    key = f"int8.M6K64N32.thr{threshold}"
    x = INT8.tensor("M6K64N32.x_f16")
    _, by_column, _, stats, _ = F.int8_double_quant(x, threshold)
    assert_same(stats, INT8[f"{key}.double_quant_colstats_cuda"])
    assert_same(by_column, INT8[f"{key}.double_quant_col_cuda"])


def test_columns_of_zeros_and_of_numbers_whose_products_leave_float16() -> None:
    x = paddle.to_tensor(np.array([[0, 60000], [0, -30000]], "float16"))
    _, by_column, _, stats, _ = F.int8_double_quant(x)
    assert stats.tolist() == [0, 60000]
    assert by_column.tolist() == [[0, 127], [0, -64]]


def test_the_fused_int8_linear_is_its_parts() -> None:
    rng = np.random.default_rng(5)
    x = paddle.to_tensor(rng.normal(size=(2, 9, 128)).astype("float32"))
    w, scb, _ = F.int8_vectorwise_quant(
        paddle.to_tensor(rng.normal(size=(40, 128)).astype("float32"))
    )
    bias = paddle.to_tensor(rng.normal(size=40).astype("float32"))
    q, stats, _ = F.int8_vectorwise_quant(x)
    parts = F.int8_scaled_mm(q, w, stats, scb, bias, dtype="float32")
    np.testing.assert_array_equal(F.int8_linear(x, w, scb, bias).numpy(), parts.numpy())


def test_degenerate_rows_of_int8() -> None:
    x = paddle.to_tensor([[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0], [1e-30, -1e-30]])
    q, stats, _ = F.int8_vectorwise_quant(x)
    assert q.tolist() == [[0, 0], [0, 0], [0, 0], [127, -127]]
    assert stats.numpy()[:2].tolist() == [0, np.inf]
    q, stats, _ = F.int8_vectorwise_quant(paddle.zeros([0, 4]))
    assert (q.shape, stats.shape) == ([0, 4], [0])


def test_sums_of_int8_beyond_float32_are_exact() -> None:
    rng = np.random.default_rng(6)
    x, y = (rng.integers(-128, 128, size=(n, 5000)).astype("int8") for n in (33, 70))
    got = F.int8_linear_matmul(paddle.to_tensor(x), paddle.to_tensor(y))
    np.testing.assert_array_equal(got.numpy(), x.astype(np.int64) @ y.T.astype(np.int64))


def test_the_report_counts_products_and_updates() -> None:
    packed, state = F.quantize_nf4(paddle.ones([8, 64]))
    layer = paddle.nn.Linear(64, 6000)  # its state is updated piece by piece
    x = paddle.ones([2, 64], "float16")
    layer(paddle.ones([2, 64])).sum().backward()
    optimizer = paddle_mps.optimizer.Adam8bit(1e-3, parameters=[layer.weight])
    paddle_mps.reset_fallback_report()
    F.matmul_4bit(x, packed, state)
    F.matmul_4bit(x, packed, state)
    optimizer.step()
    report = paddle_mps.fallback_report()
    assert report.row("matmul_4bit", "float16").mps_calls == 2
    assert report.row("optimizer_update", "float32").mps_calls == 1
    assert not report.fell_back
