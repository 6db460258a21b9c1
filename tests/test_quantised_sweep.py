"""Whatever else bitsandbytes' torch kernels and its CUDA library returned: all cases, both sides.

test_quantised_blocks.py and test_quantised_matmul.py ask the same functions one property at a time.
"""

from __future__ import annotations

import json
import re

import numpy as np
import paddle
import paddle_mps.functional as F
import pytest
from vectors import DTYPES, assert_same, load, values

pytestmark = pytest.mark.usefixtures("on_mps")

ALL = load("sweep_bitsandbytes")
# A point between two codes, in float32, is a few steps off in one library or the other.
NEAR = 2e-6


def cases(pattern: str) -> list[tuple[str, ...]]:
    """The groups of the pattern in all keys that it fits, each once."""
    return sorted({match.groups() for key in ALL.keys if (match := re.fullmatch(pattern, key))})


FOUR = cases(r"4bit\.(full|tail|small)\.(f32|f16|bf16)\.(nf4|fp4)\.bs(\d+)\.q_exact")
EIGHT = cases(r"8bit\.(full|tail|odd2d)\.(f32|f16|bf16)\.bs(\d+)\.q_exact")
NESTED = cases(r"nested\.(\w)\.(nf4|fp4)\.q_exact")
PRODUCTS = cases(
    r"gemm\.(N(\d+)K(\d+)bs(\d+)\.(nf4|fp4))\.M(\d+)\.(f32|f16|bf16)\.out(?:_bf16bits)?"
)
INT8 = cases(r"int8\.(M\d+K\d+N\d+)\.thr(\d)\.CA")
TOLERANCE = {"f32": 1e-6, "f16": 1.2e-3, "bf16": 1e-2}


def test_there_are_vectors() -> None:
    assert (len(FOUR), len(EIGHT), len(NESTED), len(PRODUCTS), len(INT8)) >= (48, 18, 4, 24, 4)


def numbers_of(packed: np.ndarray, code: np.ndarray, count: int) -> np.ndarray:
    flat = packed.reshape(-1)
    return code[np.stack([flat >> 4, flat & 15], 1).reshape(-1)][:count]


def near_a_point(x: np.ndarray, absmax: np.ndarray, blocksize: int, code: np.ndarray) -> np.ndarray:
    """Whether each scaled number lies on the middle of two codes, as near as float32 can tell."""
    flat = x.astype(np.float64).reshape(-1)
    reach = absmax.astype(np.float64).repeat(blocksize)[: flat.size]
    scaled = np.divide(flat, reach, out=np.zeros_like(flat), where=reach > 0)
    ordered = np.unique(code.astype(np.float64))
    middles = (ordered[1:] + ordered[:-1]) / 2
    at = np.searchsorted(middles, scaled).clip(1, middles.size - 1)
    distance = np.minimum(np.abs(scaled - middles[at - 1]), np.abs(scaled - middles[at]))
    return distance <= NEAR * np.maximum(np.abs(scaled), 1e-3)


@pytest.mark.parametrize(("case", "dtype", "kind", "blocksize"), FOUR)
def test_4_bits(case: str, dtype: str, kind: str, blocksize: str) -> None:
    x, size, code = ALL.tensor(f"4bit.{case}.{dtype}.x"), int(blocksize), ALL[f"book.{kind}"]
    packed, state = F.quantize_4bit(x, blocksize=size, quant_type=kind)
    absmax = ALL[f"4bit.{case}.{dtype}.bs{size}.absmax"]
    assert_same(state.absmax, absmax)
    got = numbers_of(packed.numpy(), code, x.size)
    for key in (
        f"4bit.{case}.{dtype}.{kind}.bs{size}.q_exact",
        f"cuda.b4.{case}.{dtype}.{kind}.bs{size}.q_cuda",
    ):
        if key not in ALL:
            continue
        different = got != numbers_of(ALL[key], code, x.size)
        if kind == "nf4":
            assert not different.any()
        else:
            assert not (different & ~near_a_point(values(x), absmax, size, code)).any()
    cuda = f"cuda.b4.{case}.{dtype}.bs{size}.absmax_cuda"
    if cuda in ALL:
        assert_same(state.absmax, ALL[cuda])


@pytest.mark.parametrize(("case", "dtype", "blocksize"), EIGHT)
def test_8_bits(case: str, dtype: str, blocksize: str) -> None:
    x, size, code = ALL.tensor(f"8bit.{case}.{dtype}.x"), int(blocksize), ALL["book.dynamic_signed"]
    codes, state = F.quantize_blockwise(x, blocksize=size)
    absmax = ALL[f"8bit.{case}.{dtype}.bs{size}.absmax"]
    assert_same(state.absmax, absmax)
    got = codes.numpy().reshape(-1)
    exact = ALL[f"8bit.{case}.{dtype}.bs{size}.q_exact"].reshape(-1)
    # The torch kernel divides the numbers of a short last block, and multiplies all others.
    whole = got.size // size * size
    np.testing.assert_array_equal(got[:whole], exact[:whole])
    on_point = near_a_point(values(x), absmax, size, code)
    cuda = f"cuda.blk8.{case}.{dtype}.bs{size}.q_cuda"
    for expected in (exact, ALL[cuda].reshape(-1) if cuda in ALL else exact):
        difference = np.abs(got.astype(int) - expected)
        assert difference.max() <= 1
        assert not ((difference != 0) & ~on_point).any()


@pytest.mark.parametrize(("case", "kind"), NESTED)
def test_nested(case: str, kind: str) -> None:
    key = f"nested.{case}"
    x, theirs = (
        ALL.tensor(f"{key}.x"),
        f"{key}.{kind}.packed_state:quant_state.bitsandbytes__{kind}",
    )
    facts = json.loads(ALL[theirs].tobytes())
    packed, state = F.quantize_4bit(
        x, quant_type=kind, compress_statistics=True, blocksize=facts["blocksize"]
    )
    code = ALL[f"book.{kind}"]
    got = numbers_of(packed.numpy(), code, x.size)
    plain = ALL[f"{key}.absmax_plain"]
    different = got != numbers_of(ALL[f"{key}.{kind}.q_exact"], code, x.size)
    assert not (different & ~near_a_point(values(x), plain, state.blocksize, code)).any()
    offset = float(ALL[f"{key}.offset"])
    assert float(state.offset) == pytest.approx(offset, rel=1e-6)
    # A mean that is a step off moves a code where it lies on a point.
    for expected in (f"{key}.qabsmax_exact", f"cuda.{key}.qabsmax_cuda"):
        difference = np.abs(state.absmax.numpy().astype(int) - ALL[expected])
        assert difference.max() <= 1
        assert (difference != 0).mean() <= 0.01
    np.testing.assert_allclose(state.state2.absmax.numpy(), ALL[f"{key}.absmax2"], rtol=1e-6)

    # Restored, from the codes that they wrote.
    restored = F.QuantState.from_dict(
        {
            "absmax": paddle.to_tensor(ALL[f"{key}.qabsmax_exact"]),
            "quant_map": paddle.to_tensor(code),
            "nested_absmax": ALL.tensor(f"{key}.absmax2"),
            "nested_quant_map": ALL.tensor("book.dynamic_signed"),
            f"quant_state.bitsandbytes__{kind}": ALL.tensor(theirs),
        }
    )
    absmax = F.dequantize_blockwise(restored.absmax, restored.state2) + restored.offset
    expected = ALL[f"{key}.absmax_restored_exact"]
    np.testing.assert_allclose(absmax.numpy().reshape(-1), expected, rtol=1e-6)
    ours = json.loads(
        bytes(state.as_dict(packed=True)[f"quant_state.bitsandbytes__{kind}"].numpy())
    )
    assert ours.pop("nested_offset") == pytest.approx(facts.pop("nested_offset"), rel=1e-6)
    assert ours == facts
    if kind == "nf4":
        restored.absmax = paddle.to_tensor(ALL[f"cuda.{key}.qabsmax_cuda"])
        restored.state2.absmax = ALL.tensor(f"cuda.{key}.absmax2_cuda")
        back = F.dequantize_4bit(ALL.tensor(f"cuda.{key}.nf4.q_cuda"), restored)
        assert_same(back.reshape(x.shape), ALL[f"cuda.{key}.nf4.deq_cuda"])


def test_nested_of_8_bits() -> None:
    x = ALL.tensor("nestedapi.x")
    codes, state = F.quantize_blockwise(x, blocksize=64, nested=True)
    # bitsandbytes has the blocks of the numbers here, and blocks of 256 beside 4 bits.
    assert state.state2.blocksize == 64
    assert float(state.offset) == pytest.approx(float(ALL["nestedapi.offset"]), rel=1e-6)
    np.testing.assert_allclose(state.state2.absmax.numpy(), ALL["nestedapi.absmax2"], rtol=1e-6)
    # Its CPU library quantises by a coarse table, so codes are near and no target.
    difference = np.abs(state.absmax.numpy().astype(int) - ALL["nestedapi.qabsmax_cpu"])
    assert (difference != 0).mean() <= 0.01
    state.absmax = paddle.to_tensor(ALL["nestedapi.qabsmax_cpu"])
    back = F.dequantize_blockwise(paddle.to_tensor(ALL["nestedapi.q_cpu"]), state)
    np.testing.assert_allclose(back.numpy(), ALL["nestedapi.deq"], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("backend", ["8bit.edge.q_exact", "cuda.blk8.edge.q_cuda"])
def test_degenerate_blocks_of_8_bits(backend: str) -> None:
    x, code = ALL.tensor("8bit.edge.x"), ALL["book.dynamic_signed"]
    codes, state = F.quantize_blockwise(x, blocksize=64)
    assert_same(state.absmax, ALL["8bit.edge.absmax_exact"])
    expected = code[ALL[backend].reshape(-1)] * ALL["8bit.edge.absmax_exact"].repeat(64)
    on_point = near_a_point(values(x), state.absmax.numpy(), 64, code)
    got = values(F.dequantize_blockwise(codes, state)).reshape(-1)
    assert not ((got != expected) & ~on_point).any()


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_degenerate_blocks_of_4_bits(kind: str) -> None:
    x, code = ALL.tensor("4bit.edge.x"), ALL[f"book.{kind}"]
    packed, state = F.quantize_4bit(x, blocksize=64, quant_type=kind)
    got = values(F.dequantize_4bit(packed, state)).reshape(-1)
    on_point = near_a_point(values(x), state.absmax.numpy(), 64, code)
    for key in (f"4bit.edge.{kind}.deq", f"cuda.b4.edge.{kind}.deq_cuda"):
        assert not ((got != ALL[key].reshape(-1)) & ~on_point).any()


def test_decision_points_of_cuda() -> None:
    codes, _ = F.quantize_blockwise(ALL.tensor("8bit.ties.x"), blocksize=1024)
    difference = np.abs(codes.numpy().astype(int) - ALL["cuda.blk8.ties.q_cuda"])
    assert difference.max() <= 1


@pytest.mark.parametrize(("key", "n", "k", "blocksize", "kind", "m", "dtype"), PRODUCTS)
def test_products(key: str, n: str, k: str, blocksize: str, kind: str, m: str, dtype: str) -> None:
    state = F.QuantState(
        ALL.tensor(f"gemm.{key}.absmax"), [int(n), int(k)], None, int(blocksize), kind, "float32"
    )
    prefix = f"gemm.{key}.M{m}.{dtype}"
    x, packed = ALL.tensor(f"{prefix}.x"), ALL.tensor(f"gemm.{key}.q")
    bias = ALL.tensor(f"gemm.{key[: -len(kind) - 1]}.bias").astype(DTYPES[dtype])
    plain, with_bias = F.matmul_4bit(x, packed, state), F.matmul_4bit(x, packed, state, bias=bias)
    assert distance(plain, ALL[f"{prefix}.out64"]) <= TOLERANCE[dtype]
    # Theirs are off by as much, to either side.
    assert distance(plain, ALL[f"{prefix}.out"]) <= 2 * TOLERANCE[dtype]
    assert distance(with_bias, ALL[f"{prefix}.out_bias"]) <= 2 * TOLERANCE[dtype]
    for name in ("gemm_cuda", "gemv_cuda"):
        cuda = f"cuda.{prefix}.{name}"
        if cuda in ALL and not (name == "gemv_cuda" and int(k) % 32 != 0):  # it is wrong there
            assert distance(plain, ALL[cuda]) <= 2 * TOLERANCE[dtype]


def distance(got: paddle.Tensor, expected: np.ndarray) -> float:
    """The greatest error, relative to the greatest number."""
    exact = expected.astype(np.float64)
    return float(np.abs(values(got).astype(np.float64) - exact).max() / np.abs(exact).max())


def same_codes(got: paddle.Tensor, expected: np.ndarray) -> None:
    """All but one in a thousand, which are one off: on a half, the last bit of a factor tells."""
    difference = np.abs(got.numpy().astype(int) - expected)
    assert difference.max() <= 1
    assert (difference != 0).mean() <= 1e-3


@pytest.mark.parametrize(("shape", "threshold"), INT8)
def test_int8(shape: str, threshold: str) -> None:
    key, limit = f"int8.{shape}.thr{threshold}", float(threshold)
    x, w = ALL.tensor(f"int8.{shape}.x_f16"), ALL.tensor(f"int8.{shape}.w_f16")
    rows, reach, outliers = F.int8_vectorwise_quant(x, threshold=limit)
    weight, weight_reach, _ = F.int8_vectorwise_quant(w)
    same_codes(weight, ALL[f"int8.{shape}.CB"])
    assert_same(weight_reach, ALL[f"int8.{shape}.SCB"])
    assert_same(
        F.int8_vectorwise_dequant(ALL.tensor(f"int8.{shape}.CB"), weight_reach),
        ALL[f"int8.{shape}.wdeq_f32"],
    )
    sums = F.int8_linear_matmul(ALL.tensor(f"{key}.CA"), ALL.tensor(f"int8.{shape}.CB"))
    assert_same(sums, ALL[f"{key}.C32"])
    bias = ALL.tensor(f"int8.{shape}.bias_f16")
    plain = F.int8_mm_dequant(sums, reach, weight_reach)
    exact = ALL[f"{key}.mm_dequant64"]
    unit = np.abs(np.spacing(plain.numpy().astype(np.float16)))
    assert (np.abs(plain.numpy().astype(np.float64) - exact) <= 2e-5 * np.abs(exact) + unit).all()
    with_bias = F.int8_mm_dequant(sums, reach, weight_reach, bias=bias).numpy()
    for source in (f"{key}.mm_dequant_bias_f16", f"cuda.{key}.mm_dequant_bias_f16_cuda"):
        np.testing.assert_allclose(with_bias, ALL[source], rtol=2e-3, atol=4e-3)
    for source in (f"{key}.CA", f"cuda.{key}.CA_cuda"):
        same_codes(rows, ALL[source])
    assert_same(reach, ALL[f"{key}.SCA"])
    assert_same(reach, ALL[f"cuda.{key}.SCA_cuda"])
    if limit:
        assert outliers.numpy().tolist() == ALL[f"{key}.outlier_cols"].tolist()
