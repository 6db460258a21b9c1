"""BitNet b1.58: quantisers, packed weights, layers: what transformers and microsoft/BitNet give."""

from __future__ import annotations

import numpy as np
import paddle
import paddle_mps.functional as F
import pytest
from paddle_mps import nn
from paddle_mps.nn import bitlinear
from vectors import DTYPES, assert_same, load, values

pytestmark = pytest.mark.usefixtures("on_mps")

BITNET = load("bitnet")
SHAPES = sorted({key.split(".")[0] for key in BITNET.keys if key.startswith("N")})
TOLERANCE = {"f32": 1e-6, "f16": 1e-3, "bf16": 8e-3}
ROUNDING = {"f32": 1e-6, "f16": 2.0**-10, "bf16": 2.0**-7}  # a unit in the last place


def test_there_are_vectors() -> None:
    assert SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_weights(shape: str) -> None:
    q, scale = F.ternary_quantize(BITNET.tensor(f"{shape}.w_f32"))
    assert_same(q, BITNET[f"{shape}.ternary_int8"])
    packed = F.pack_ternary(q)
    assert_same(packed, BITNET[f"{shape}.hf_packed"])
    assert_same(F.unpack_ternary(packed, q.shape[0]), BITNET[f"{shape}.ternary_int8"])
    np.testing.assert_allclose(scale.numpy(), BITNET[f"{shape}.inv_absmean"], rtol=1e-6)
    back = F.unpack_ternary(paddle.to_tensor(BITNET[f"{shape}.hf_packed"]), q.shape[0])
    assert_same(back, BITNET[f"{shape}.hf_unpacked_int8"][: q.shape[0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_activations(shape: str, dtype: str) -> None:
    q, scale = F.int8_absmax_quantize(BITNET.tensor(f"{shape}.x_f32").astype(DTYPES[dtype]))
    assert_same(q, BITNET[f"{shape}.{dtype}.act_int8"])
    assert_same(scale, BITNET[f"{shape}.{dtype}.act_scale"].astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_training_sees_what_is_quantised(shape: str, dtype: str) -> None:
    """AutoBitLinear: both quantisers widen to float32, then a product in the dtype of x."""
    w, x = (BITNET.tensor(f"{shape}.{name}").astype(DTYPES[dtype]) for name in ("w_f32", "x_f32"))
    layer = nn.BitLinear(w.shape[1], w.shape[0], weight=w)
    seen = bitlinear._fake_ternary(layer.weight), bitlinear._fake_int8(x)
    for got, name in zip(seen, ("weight_quant", "act_quant_fake")):
        if (key := f"{shape}.{dtype}.{name}") in BITNET:
            expected = BITNET[key].astype(np.float32)
            np.testing.assert_allclose(values(got), expected, rtol=ROUNDING[dtype], atol=0)
    # "offline" the weight was quantised before it was narrowed, and its scale multiplies the sums.
    ternary = BITNET.tensor(f"{shape}.ternary_int8").astype(DTYPES[dtype])
    mean = 1 / BITNET.tensor(f"{shape}.inv_absmean").astype(DTYPES[dtype])
    products = layer(x), paddle.matmul(seen[1], ternary, transpose_y=True) * mean
    for got, name in zip(products, ("autobit_online_out", "autobit_offline_out")):
        if (key := f"{shape}.{dtype}.{name}") in BITNET:
            error = np.abs(values(got).astype(np.float32) - BITNET[key]).max()
            assert error <= TOLERANCE[dtype] * np.abs(BITNET[key]).max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [s for s in SHAPES if f"{s}.f32.bitlinear_acc_int32" in BITNET])
def test_products(shape: str, dtype: str) -> None:
    w = BITNET.tensor(f"{shape}.w_f32")
    q, scale = F.ternary_quantize(w)
    packed, rows = F.pack_ternary(q), w.shape[0]
    sums = F.ternary_matmul(BITNET.tensor(f"{shape}.{dtype}.act_int8"), packed, rows)
    assert_same(sums, BITNET[f"{shape}.{dtype}.bitlinear_acc_int32"])
    x = BITNET.tensor(f"{shape}.x_f32").astype(DTYPES[dtype])
    bias = BITNET.tensor(f"{shape}.{dtype}.bitlinear_bias")
    got = values(F.bitnet_linear(x, packed, scale, rows, bias))
    expected = BITNET[f"{shape}.{dtype}.bitlinear_out"].astype(np.float32)
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max()
    )


@pytest.mark.parametrize("shape", [s for s in SHAPES if f"{s}.f32.bitlinear_rms_out" in BITNET])
def test_a_norm_first(shape: str) -> None:
    q, scale = F.ternary_quantize(BITNET.tensor(f"{shape}.w_f32"))
    norm, bias = BITNET.tensor(f"{shape}.rms_weight"), BITNET.tensor(f"{shape}.f32.bitlinear_bias")
    x = BITNET.tensor(f"{shape}.x_f32")
    expected = BITNET[f"{shape}.f32.bitlinear_rms_out"]
    errors = []
    for epsilon in (1e-6, 1e-5):
        for b in (bias, None):
            got = F.bitnet_linear(x, F.pack_ternary(q), scale, q.shape[0], b, norm, epsilon)
            errors.append(np.abs(got.numpy() - expected).max())
    assert min(errors) <= 1e-5 * np.abs(expected).max()


def test_the_bytes_of_microsoft() -> None:
    w = BITNET.tensor("ms.ternary_int8")
    assert_same(F.pack_int2(w), BITNET["ms.gpu_packed_int8"])
    assert_same(F.unpack_int2(BITNET.tensor("ms.gpu_packed_int8")), BITNET["ms.ternary_int8"])
    sums = F.ternary_matmul(BITNET.tensor("ms.x_int8"), F.pack_ternary(w), w.shape[0])
    assert_same(sums, BITNET["ms.acc_int32"])
    theirs = BITNET["ms.i2_s_x86_bytes"].tobytes()
    scale = float(BITNET["ms.i2_s_scale"].reshape(-1)[0])
    back, found = F.unpack_i2_s(theirs, *w.shape)
    assert_same(back, BITNET["ms.ternary_int8"])
    assert found == pytest.approx(scale)
    ours = F.pack_i2_s(w, scale)
    used = w.size // 4 + 4
    assert ours[:used] == theirs[:used]


@pytest.mark.parametrize("order", ["x86", "arm"])
def test_both_block_orders_of_i2_s(order: str) -> None:
    w = np.random.default_rng(2).integers(-1, 2, size=(6, 128)).astype("int8")
    data = F.pack_i2_s(paddle.to_tensor(w), 0.25, order)
    back, scale = F.unpack_i2_s(data, 6, 128, order)
    assert_same(back, w)
    assert scale == 0.25
    size = 128 if order == "x86" else 64
    for element in (0, size // 4, 3 * size // 4 + 5):  # group and place in it
        code = data[element % (size // 4)] >> (6 - 2 * (element // (size // 4))) & 3
        assert code == w.reshape(-1)[element] + 1


@pytest.mark.parametrize("rows", [1, 3, 24, 50])
@pytest.mark.parametrize(("n", "k"), [(1, 5), (6, 64), (130, 257)])
def test_products_of_any_size_are_exact(rows: int, n: int, k: int) -> None:
    rng = np.random.default_rng(n * k)
    w = rng.integers(-1, 2, size=(n, k)).astype("int8")
    x = rng.integers(-128, 128, size=(rows, k)).astype("int8")
    packed = F.pack_ternary(paddle.to_tensor(w))
    got = F.ternary_matmul(paddle.to_tensor(x), packed, n)
    np.testing.assert_array_equal(got.numpy(), x.astype(int) @ w.T.astype(int))
    np.testing.assert_array_equal(F.unpack_ternary(packed, n).numpy(), w)


def test_degenerate_input() -> None:
    q, scale = F.ternary_quantize(paddle.zeros([4, 4]))
    assert not q.numpy().any()
    assert scale.item() == pytest.approx(1e5)
    y = F.bitnet_linear(paddle.zeros([2, 4]), F.pack_ternary(q), scale, 4)
    assert y.tolist() == [[0.0] * 4] * 2
    assert F.bitnet_linear(paddle.zeros([0, 4]), F.pack_ternary(q), scale, 4).shape == [0, 4]


def test_nan_stays_in_its_row() -> None:
    packed = F.pack_ternary(paddle.ones([8, 64], dtype="int8"))
    x = np.ones((3, 64), np.float32)
    x[0, 5], x[1, 5] = np.nan, np.inf
    y = F.bitnet_linear(paddle.to_tensor(x), packed, paddle.ones([1]), 8).numpy()
    assert np.isnan(y[:2]).all()
    np.testing.assert_allclose(y[2], 64, rtol=1e-6)


@pytest.mark.parametrize("use_norm", [False, True])
def test_a_packed_layer_gives_what_it_was_trained_to(use_norm: bool) -> None:
    paddle.seed(3)
    layer = nn.BitLinear(96, 40, bias=True, use_rms_norm=use_norm)
    x = paddle.randn([7, 96])
    trained = layer(x).numpy()
    floats = layer.weight_bytes
    packed = layer.pack()
    assert packed.weight_bytes * 16 == floats
    np.testing.assert_allclose(packed(x).numpy(), trained, rtol=1e-4, atol=1e-4)
    other = nn.BitLinear(96, 40, bias=True, use_rms_norm=use_norm).pack()
    assert nn.load_state_dict(other, packed.state_dict()) == ([], [])
    np.testing.assert_array_equal(other(x).numpy(), packed(x).numpy())


def test_gradients_pass_the_quantisers() -> None:
    layer = nn.BitLinear(32, 8)
    x = paddle.randn([5, 32])
    x.stop_gradient = False
    dy = paddle.randn([5, 8])
    layer(x).backward(dy)
    q, scale = F.ternary_quantize(layer.weight.detach())
    np.testing.assert_allclose(
        x.grad.numpy(), dy.numpy() @ (q.numpy() / scale.numpy()), rtol=1e-4, atol=1e-5
    )
    qx, a = F.int8_absmax_quantize(x.detach())
    np.testing.assert_allclose(
        layer.weight.grad.numpy(), dy.numpy().T @ (qx.numpy() / a.numpy()), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: F.pack_ternary(paddle.ones([4, 4])), "wrong dtype"),
        (lambda: F.pack_i2_s(paddle.full([2, 64], 2, dtype="int8"), 1.0), "not a ternary"),
        (lambda: F.pack_i2_s(paddle.ones([2, 63], dtype="int8"), 1.0), "not full"),
        (lambda: F.pack_i2_s(paddle.ones([2, 64], dtype="int8"), 1.0, "mips"), "bad order"),
        (lambda: F.unpack_i2_s(b"short", 2, 64), "do not fit"),
        (lambda: F.unpack_i2_s(b"\xff" * 64, 2, 64), "damaged"),
        (lambda: F.pack_int2(paddle.ones([8, 32], dtype="int8")), "bad shape"),
        (lambda: F.unpack_int2(paddle.ones([8, 32], dtype="int8")), "bad bytes"),
        (lambda: F.pack_ternary(paddle.ones([4], dtype="int8")), "not a matrix"),
        (lambda: F.unpack_ternary(paddle.ones([4, 4], dtype="uint8"), 20), "packed weight"),
        (
            lambda: F.ternary_matmul(
                paddle.ones([1, 3], dtype="int8"), paddle.ones([1, 4], dtype="uint8"), 4
            ),
            "inner dim",
        ),
    ],
)
def test_bad_input_is_refused(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
