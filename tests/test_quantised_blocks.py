"""Blocks of 8 and 4 bits: the codes, scales and numbers of bitsandbytes."""

from __future__ import annotations

import json

import numpy as np
import paddle
import paddle_mps.functional as F
import pytest
from vectors import DTYPES, Vectors, assert_same, load, values

pytestmark = pytest.mark.usefixtures("on_mps")

EIGHT, FOUR = load("blocks_8bit"), load("blocks_4bit")
CASES_8 = [
    pytest.param(case, dtype, blocksize, id=f"{case}-{dtype}-{blocksize}")
    for case in ("odd2d", "tail")
    for dtype in DTYPES
    for blocksize in (64, 256, 4096)
    if f"{case}.{dtype}.bs{blocksize}.q_exact" in EIGHT
]
CASES_4 = [
    pytest.param(case, dtype, kind, blocksize, id=f"{case}-{dtype}-{kind}-{blocksize}")
    for case in ("small", "tail")
    for dtype in DTYPES
    for kind in ("nf4", "fp4")
    for blocksize in F.blocks.BLOCKSIZES
    if f"{case}.{dtype}.{kind}.bs{blocksize}.q_exact" in FOUR
]


def nibbles(packed: np.ndarray) -> np.ndarray:
    flat = packed.reshape(-1)
    return np.stack([flat >> 4, flat & 15], 1).reshape(-1)


def scaled(x: np.ndarray, absmax: np.ndarray, blocksize: int) -> np.ndarray:
    flat = x.astype(np.float32).reshape(-1)
    scale = (np.float32(1) / absmax.astype(np.float32)).repeat(blocksize)[: flat.size]
    return flat * scale


def test_there_are_vectors() -> None:
    assert len(CASES_8) >= 12
    assert len(CASES_4) >= 48


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("dynamic_signed", F.create_dynamic_map),
        ("dynamic_unsigned", lambda: F.create_dynamic_map(signed=False)),
        ("linear_signed", F.create_linear_map),
        ("linear_unsigned", lambda: F.create_linear_map(signed=False)),
        ("fp8_e4m3_map", lambda: F.create_fp8_map(True, 4, 3)),
        ("fp8_e5m2_map", F.create_fp8_map),
        ("nf4", lambda: F.get_4bit_type("nf4")),
        ("fp4", lambda: F.get_4bit_type("fp4")),
    ],
)
def test_code_books_have_the_bits_of_bitsandbytes(key: str, code) -> None:
    assert_same(code(), EIGHT[f"codebook.{key}"])


def test_the_normal_map_has_the_quantiles_of_nf4() -> None:
    numbers = F.create_normal_map().numpy()
    np.testing.assert_allclose(
        np.unique(numbers), np.sort(EIGHT["codebook.nf4"]), rtol=2e-6, atol=1e-7
    )


@pytest.mark.parametrize(("case", "dtype", "blocksize"), CASES_8)
def test_8_bits(case: str, dtype: str, blocksize: int) -> None:
    x = EIGHT.tensor(f"{case}.{dtype}.x")
    key = f"{case}.{dtype}.bs{blocksize}"
    codes, state = F.quantize_blockwise(x, blocksize=blocksize)
    assert codes.shape == x.shape
    assert codes.dtype == paddle.uint8
    assert_same(state.absmax, EIGHT[f"{key}.absmax"])
    expected = EIGHT[f"{key}.q_exact"].reshape(-1)
    got = codes.numpy().reshape(-1)
    # bitsandbytes divides the numbers of a short last block, and multiplies those of all others.
    whole = got.size // blocksize * blocksize
    np.testing.assert_array_equal(got[:whole], expected[:whole])
    assert (got[whole:] != expected[whole:]).mean() <= 0.01 if whole != got.size else True
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1
    if f"{key}.deq" not in EIGHT:
        return
    theirs = paddle.to_tensor(EIGHT[f"{key}.q_exact"].reshape(x.shape))
    back = F.dequantize_blockwise(theirs, state)
    assert back.dtype == x.dtype
    assert_same(back, EIGHT[f"{key}.deq"])


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("udynamic", lambda: F.create_dynamic_map(signed=False)),
        ("linear", F.create_linear_map),
        ("fp8e4m3", lambda: F.create_fp8_map(True, 4, 3)),
    ],
)
def test_other_code_books(key: str, code) -> None:
    absmax = EIGHT[f"unsigned.f32.{key}.absmax"]
    x = EIGHT.tensor("unsigned.f32.x")
    blocksize = -(-x.size // absmax.size)
    for size in (64, 256, 4096):
        if -(-x.size // size) == absmax.size:
            blocksize = size
    codes, state = F.quantize_blockwise(x, code(), blocksize=blocksize)
    assert_same(state.absmax, absmax)
    expected = EIGHT[f"unsigned.f32.{key}.q_exact"].reshape(-1)
    numbers = code().numpy()
    got = codes.numpy().reshape(-1)
    different = got != expected
    assert different.mean() <= 0.001
    # fp8 maps have 0 twice
    assert np.abs(numbers[got] - numbers[expected]).max() <= np.diff(numbers).max()


def test_every_code_of_8_bits_is_read_as_bitsandbytes_does() -> None:
    codes, absmax = EIGHT.tensor("allcodes.q"), EIGHT.tensor("allcodes.absmax")
    for dtype, name in DTYPES.items():
        out = paddle.empty(codes.shape, dtype=name)
        F.dequantize_blockwise(codes, absmax=absmax, out=out, blocksize=64)
        assert_same(out, EIGHT[f"allcodes.bs64.{dtype}.deq"])


def test_ties_go_to_the_lower_code() -> None:
    codes, _ = F.quantize_blockwise(EIGHT.tensor("ties.x"), blocksize=1024)
    assert_same(codes, EIGHT["ties.q_exact"])


def test_degenerate_blocks_of_8_bits() -> None:
    codes, state = F.quantize_blockwise(EIGHT.tensor("edge.x"), blocksize=64)
    assert_same(codes, EIGHT["edge.q_exact"])
    assert_same(state.absmax, EIGHT["edge.absmax_exact"])


@pytest.mark.parametrize(("case", "dtype", "kind", "blocksize"), CASES_4)
def test_4_bits(case: str, dtype: str, kind: str, blocksize: int) -> None:
    x, key = FOUR.tensor(f"{case}.{dtype}.x"), f"{case}.{dtype}.{kind}.bs{blocksize}"
    packed, state = F.quantize_4bit(x, blocksize=blocksize, quant_type=kind)
    assert packed.shape == [(x.size + 1) // 2, 1]
    absmax = FOUR[f"{case}.{dtype}.bs{blocksize}.absmax"]
    assert_same(state.absmax, absmax)
    sources = [key + end for end in (".q_exact", ".q_cuda")]
    for source in [*sources[:1], *(f"b4.{name}" for name in sources[1:])]:
        if source not in FOUR:
            continue
        expected, got = nibbles(FOUR[source])[: x.size], nibbles(packed.numpy())[: x.size]
        if kind == "nf4":
            np.testing.assert_array_equal(got, expected)
            continue
        fold = np.where(expected == 8, 0, expected)
        different = np.where(got == 8, 0, got) != fold
        # On a decision point either code is right, and the torch kernel's points are a step off.
        points = F.code_books.named("fp4").points
        s = scaled(values(x), absmax, blocksize)
        near = np.abs(s[:, None] - points[None]).min(1) <= 2e-6
        assert not (different & ~near).any()
    if f"{key}.deq" in FOUR:
        theirs = paddle.to_tensor(FOUR[f"{key}.q_exact"].reshape(-1, 1))
        back = F.dequantize_4bit(theirs, state)
        assert (back.dtype, back.shape) == (x.dtype, x.shape)
        assert_same(back, FOUR[f"{key}.deq"])


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_byte_is_read_as_bitsandbytes_does(dtype: str, kind: str) -> None:
    expected = FOUR[f"allbytes.{kind}.{dtype}.deq"]
    absmax = FOUR.tensor("allbytes.absmax_bs64")
    every = np.arange(256, dtype=np.uint8)
    packed = paddle.to_tensor(np.resize(every, expected.size // 2))
    out = paddle.empty([expected.size], dtype=DTYPES[dtype])
    F.dequantize_4bit(packed, absmax=absmax, out=out, blocksize=64, quant_type=kind)
    assert_same(out, expected.reshape(-1))


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_degenerate_blocks_of_4_bits(kind: str) -> None:
    packed, state = F.quantize_4bit(FOUR.tensor("edge.x"), blocksize=64, quant_type=kind)
    assert_same(state.absmax, FOUR[f"edge.{kind}.absmax"])
    numbers = values(F.dequantize_4bit(packed, state)).reshape(-1)
    expected = FOUR[f"edge.{kind}.deq"].reshape(-1)
    # The rows of decision points may go either way.
    assert (numbers != expected).mean() < 0.1
    assert np.isfinite(numbers).all()


def test_storage_is_the_same_bytes() -> None:
    x = FOUR.tensor("storage.x")
    for name, dtype in {
        "uint8": "uint8",
        "f16": "float16",
        "bf16": "bfloat16",
        "f32": "float32",
    }.items():
        packed, state = F.quantize_4bit(x, quant_type="nf4", quant_storage=dtype)
        assert packed.dtype == getattr(paddle, dtype)
        flat = packed.reshape([-1])
        got = flat if dtype == "uint8" else flat.view("uint8")
        np.testing.assert_array_equal(got.numpy(), FOUR[f"storage.{name}.bytes"].reshape(-1))
        assert F.dequantize_4bit(packed, state).shape == x.shape


def test_nested_absmax() -> None:
    x = FOUR.tensor("nested.b.x")
    for kind in ("nf4", "fp4"):
        packed, state = F.quantize_4bit(x, quant_type=kind, compress_statistics=True)
        if kind == "nf4":
            assert_same(packed, FOUR["nested.b.nf4.q_exact"])
        np.testing.assert_allclose(float(state.offset), FOUR["nested.b.offset"], rtol=1e-6)
        got = state.absmax.numpy().astype(int)
        assert np.abs(got - FOUR["nested.b.qabsmax_exact"].astype(int)).max() <= 1
        assert (got != FOUR["nested.b.qabsmax_exact"]).mean() < 0.02
        np.testing.assert_allclose(state.state2.absmax.numpy(), FOUR["nested.b.absmax2"], rtol=1e-5)
        written = state.as_dict(packed=True)[f"quant_state.bitsandbytes__{kind}"]
        theirs = json.loads(
            bytes(FOUR[f"nested.b.{kind}.packed_state:quant_state.bitsandbytes__{kind}"])
        )
        ours = json.loads(bytes(written.numpy()))
        assert list(ours) == list(theirs)
        assert ours.pop("nested_offset") == pytest.approx(theirs.pop("nested_offset"), rel=1e-6)
        assert ours == theirs


def test_the_package_writes_the_bytes_of_a_state_that_it_read() -> None:
    modules: Vectors = load("modules")
    for kind in ("nf4", "fp4"):
        for nested in ("plain", "nested"):
            prefix = f"Linear4bit.{kind}.{nested}.sd:"
            theirs = {
                key[len(prefix) :]: modules.tensor(key)
                for key in modules.keys
                if key.startswith(prefix)
            }
            facts = {key: value for key, value in theirs.items() if key.startswith("weight.")}
            state = F.QuantState.from_dict(facts)
            assert state.nested == (nested == "nested")
            written = state.as_dict(packed=True)
            assert {f"weight.{key}" for key in written} == set(facts)
            for key, value in written.items():
                assert value.numpy().tobytes() == facts[f"weight.{key}"].numpy().tobytes(), key


@pytest.mark.parametrize("blocksize", [1, 3, 64, 100, 5000, 2**31 - 1])
def test_any_blocksize(blocksize: int) -> None:
    rng = np.random.default_rng(blocksize)
    x = rng.normal(size=(37, 29)).astype("float32")
    codes, state = F.quantize_blockwise(paddle.to_tensor(x), blocksize=blocksize)
    back = F.dequantize_blockwise(codes, state).numpy()
    blocks = np.arange(x.size) // blocksize
    absmax = np.zeros(blocks[-1] + 1, np.float32)
    np.maximum.at(absmax, blocks, np.abs(x.reshape(-1)))
    np.testing.assert_array_equal(state.absmax.numpy(), absmax)
    assert np.abs(back - x).max() <= 0.0071 * absmax.max() + 1e-6


def test_views_and_sizes_of_nothing() -> None:
    x = paddle.arange(12, dtype="float32").reshape([3, 4])
    codes, state = F.quantize_blockwise(x.t(), blocksize=4)
    expected, _ = F.quantize_blockwise(x.t().clone(), blocksize=4)
    assert codes.tolist() == expected.tolist()
    assert state.shape == [4, 3]
    codes, state = F.quantize_blockwise(paddle.zeros([0, 5]))
    assert (codes.shape, state.absmax.shape) == ([0, 5], [0])
    assert F.dequantize_blockwise(codes, state).shape == [0, 5]
    packed, state = F.quantize_4bit(paddle.zeros([0]))
    assert F.dequantize_4bit(packed, state).shape == [0]


def test_nan_and_infinity_stay_in_their_blocks() -> None:
    x = np.ones(256, np.float32)
    x[10], x[70] = np.nan, -np.inf
    codes, state = F.quantize_blockwise(paddle.to_tensor(x), blocksize=64)
    assert np.isnan(state.absmax.numpy()[0])
    assert state.absmax.numpy()[1:].tolist() == [np.inf, 1, 1]
    assert (codes.numpy()[:64] == 255).all()
    assert (np.delete(codes.numpy()[64:128], 6) == 127).all()
    assert F.dequantize_blockwise(codes, state).numpy()[128:].tolist() == [1.0] * 128


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_nan_and_infinity_stay_in_their_blocks_of_4_bits(kind: str) -> None:
    x = np.ones(192, np.float32)
    x[10], x[70] = np.nan, np.inf
    packed, state = F.quantize_4bit(paddle.to_tensor(x), quant_type=kind)
    assert np.isnan(state.absmax.numpy()[0])
    assert state.absmax.numpy()[1:].tolist() == [np.inf, 1]
    back = F.dequantize_4bit(packed, state).numpy()
    assert np.isnan(back[:64]).all()
    assert back[70] == np.inf
    assert back[128:].tolist() == [1.0] * 64


def test_nested_8_bits() -> None:
    x = paddle.to_tensor(np.random.default_rng(1).normal(size=5000).astype("float32"))
    codes, state = F.quantize_blockwise(x, blocksize=64, nested=True)
    assert state.absmax.dtype == paddle.uint8
    error = (F.dequantize_blockwise(codes, state) - x).abs().max().item()
    assert error < 0.05


def test_a_static_program_quantises() -> None:
    @paddle.jit.to_static
    def there_and_back(x):
        codes, state = F.quantize_blockwise(x, blocksize=64)
        return F.dequantize_blockwise(codes, state)

    x = paddle.to_tensor(np.random.default_rng(1).normal(size=(8, 64)).astype("float32"))
    codes, state = F.quantize_blockwise(x, blocksize=64)
    np.testing.assert_array_equal(
        there_and_back(x).numpy(), F.dequantize_blockwise(codes, state).numpy()
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: F.quantize_4bit(x, blocksize=33), "bad blocksize"),
        (lambda x: F.quantize_4bit(x, quant_type="int4"), "bad quant_type"),
        (lambda x: F.quantize_4bit(x, quant_storage="int32"), "bad quant_storage"),
        (lambda x: F.quantize_4bit(x[:3], quant_storage="float32"), "bad quant_storage"),
        (lambda x: F.quantize_4bit(x.astype("int32")), "wrong dtype"),
        (lambda x: F.quantize_blockwise(x, blocksize=0), "bad blocksize"),
        (lambda x: F.quantize_blockwise(x, code=paddle.arange(256, dtype="float32")), "bad code"),
        (lambda x: F.quantize_blockwise(x, code=paddle.ones([16])), "bad code"),
        (
            lambda x: F.quantize_blockwise(x, code=paddle.full([256], float("nan"))),
            "bad code",
        ),
        (lambda x: F.quantize_blockwise(x.astype("float64")), "wrong dtype"),
        (lambda x: F.quantize_blockwise(x.cpu()), "wrong device"),
        (lambda x: F.dequantize_blockwise(x), "wrong dtype"),
        (lambda x: F.dequantize_blockwise(x.astype("uint8")), "no scales"),
        (lambda x: F.dequantize_4bit(x.astype("uint8")), "no scales"),
        (lambda x: F.dequantize_blockwise(x.astype("uint8"), absmax=x, blocksize=64), "bad absmax"),
        (lambda x: F.QuantState.from_dict({"absmax": x}), "not a quantised state"),
        (lambda x: F.create_fp8_map(True, 4, 4), "bad bits"),
        (lambda x: F.create_normal_map(0.2), "bad offset"),
    ],
)
def test_bad_input_is_refused(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"\[\w+\] {sentence}"):
        call(paddle.ones([64]))


def test_a_damaged_state_is_refused() -> None:
    packed, state = F.quantize_nf4(paddle.ones([4, 64]))
    key = "quant_state.bitsandbytes__nf4"
    good = state.as_dict(packed=True)
    assert F.QuantState.from_dict(good) == state
    cases = {
        "is damaged": {key: paddle.to_tensor(np.frombuffer(b"{nonsense", np.uint8).copy())},
        "contradicts itself": {
            key: paddle.to_tensor(np.frombuffer(b'{"quant_type": "fp4"}', np.uint8).copy())
        },
        "absmax does not fit": {"absmax": paddle.ones([7])},
        "not a quantised state": {"surprise": paddle.ones([1])},
    }
    for sentence, change in cases.items():
        with pytest.raises(ValueError, match=sentence):
            F.QuantState.from_dict(good | change)
