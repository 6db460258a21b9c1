"""Quantised layers: results and state dicts of bitsandbytes, gradients, adapters, whole models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import paddle_mps
import paddle_mps.functional as F
import pytest
from paddle_mps import nn
from vectors import assert_same, load

pytestmark = pytest.mark.usefixtures("on_mps")

MODULES = load("modules")


def theirs(prefix: str) -> dict[str, paddle.Tensor]:
    start = f"{prefix}.sd:"
    return {key[len(start) :]: MODULES.tensor(key) for key in MODULES.keys if key.startswith(start)}


@pytest.mark.parametrize("nested", ["plain", "nested"])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_a_state_dict_of_bitsandbytes(kind: str, nested: str) -> None:
    state = theirs(f"Linear4bit.{kind}.{nested}")
    layer = nn.Linear4bit(64, 32, quant_type="nf4")
    assert nn.load_state_dict(layer, state) == ([], [])
    got = layer(MODULES.tensor("x_f32"))
    np.testing.assert_allclose(
        got.numpy(), MODULES[f"Linear4bit.{kind}.{nested}.forward"], rtol=1e-5, atol=1e-5
    )
    written = layer.state_dict()
    assert set(written) == set(state)
    for key, value in state.items():
        assert written[key].numpy().tobytes() == value.numpy().tobytes(), key
    fresh = nn.Linear4bit(
        64,
        32,
        quant_type=kind,
        compress_statistics=nested == "nested",
        weight=MODULES.tensor("weight_f32"),
    )
    assert_same(fresh.weight.dequantize(), layer.weight.dequantize().numpy())


def test_a_state_dict_of_int8() -> None:
    state = theirs("Linear8bitLt")
    for threshold in (0, 6):
        layer = nn.Linear8bitLt(64, 32, has_fp16_weights=False, threshold=float(threshold))
        assert nn.load_state_dict(layer, state) == ([], [])
        x = MODULES.tensor(f"Linear8bitLt.thr{threshold}.x_f16")
        expected = MODULES[f"Linear8bitLt.thr{threshold}.forward_f16"].astype(np.float32)
        np.testing.assert_allclose(
            layer(x).numpy(), expected, rtol=4e-3, atol=4e-3 * np.abs(expected).max()
        )
    written = layer.state_dict()
    assert set(written) == set(state)
    for key in ("weight", "SCB", "weight_format"):
        assert written[key].numpy().tobytes() == state[key].numpy().tobytes(), key
    assert_same(written["bias"], state["bias"].numpy())  # of float16 there
    fresh = nn.Linear8bitLt(
        64, 32, has_fp16_weights=False, weight=MODULES.tensor("weight_f32").astype("float16")
    )
    difference = (
        fresh.state_dict()["weight"].numpy().astype(int) - MODULES["Linear8bitLt.sd:weight"]
    )
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_embeddings(kind: str) -> None:
    table, ids = MODULES.tensor("Embedding.weight_f32"), MODULES.tensor("Embedding.ids")
    layer = nn.Embedding4bit(32, 64, quant_type=kind, weight=table)
    assert_same(layer(ids), MODULES[f"Embedding4bit.{kind}.out"])
    np.testing.assert_array_equal(layer(ids).numpy(), layer.weight.dequantize()[ids].numpy())
    odd = nn.EmbeddingNF4(32, 50, weight=table[:, :50])  # rows that blocks cross
    assert (odd(ids.reshape([2, 2])) - table[:, :50][ids].reshape([2, 2, 50])).abs().max() < 0.5
    eight = nn.Embedding8bit(32, 64, weight=table)
    np.testing.assert_allclose(
        eight(ids).numpy(), MODULES["Embedding8bit.out"], rtol=1e-3, atol=1e-3
    )


def test_paddle_does_not_load_half_of_a_weight() -> None:
    layer = nn.LinearNF4(64, 8)
    with pytest.raises(RuntimeError, match="load_state_dict"):
        layer.set_state_dict(layer.state_dict())


def test_casting_a_model_leaves_codes_alone() -> None:
    model = paddle.nn.Sequential(paddle.nn.LayerNorm(64), nn.LinearNF4(64, 8))
    before = model[1].weight.data.numpy().copy()
    model.to(dtype="bfloat16")
    assert model[1].weight.data.dtype == paddle.uint8
    np.testing.assert_array_equal(model[1].weight.data.numpy(), before)
    assert model[1].weight.state.absmax.numpy().size
    assert model(paddle.ones([2, 64], dtype="bfloat16")).dtype == paddle.bfloat16


def test_files(tmp_path: Path) -> None:
    a, b = (
        paddle.nn.Sequential(
            nn.LinearNF4(64, 32), paddle.nn.ReLU(), nn.Linear8bitLt(32, 8, has_fp16_weights=False)
        )
        for _ in range(2)
    )
    paddle.save(a.state_dict(), str(tmp_path / "model.pdparams"))
    assert nn.load_state_dict(b, paddle.load(str(tmp_path / "model.pdparams"))) == ([], [])
    x = paddle.randn([3, 64])
    np.testing.assert_array_equal(a(x).numpy(), b(x).numpy())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.pop("weight.absmax"), "not a quantised state"),
        (lambda s: s.update({"weight": s["weight"][:10]}), "the weight does not fit"),
        (lambda s: s.pop("weight"), "the weight is incomplete"),
        (lambda s: s.update({"bias": paddle.ones([3])}), "bias does not fit"),
    ],
)
def test_foreign_state_dicts_are_refused(change, sentence: str) -> None:
    layer = nn.LinearNF4(64, 8, compress_statistics=False)
    state = dict(layer.state_dict())
    change(state)
    with pytest.raises(ValueError, match=sentence):
        nn.load_state_dict(layer, state)


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        (lambda: nn.Linear8bitLt(64, 8, has_fp16_weights=False), {"SCB": paddle.ones([3])}),
        (lambda: nn.Linear8bitLt(64, 8, has_fp16_weights=False), {"weight": paddle.ones([8, 64])}),
        (
            lambda: nn.Linear8bitLt(64, 8, has_fp16_weights=False),
            {"weight_format": paddle.ones([2], "uint8")},  # bitsandbytes' others are not by row
        ),
        (lambda: nn.Embedding8bit(8, 64), {"weight": paddle.ones([8, 64])}),
        (lambda: nn.Embedding8bit(8, 64), {"SCB": paddle.ones([7])}),
        (lambda: nn.BitLinear(64, 8).pack(), {"weight": paddle.ones([2, 64])}),
        (lambda: nn.BitLinear(64, 8).pack(), {"weight_scale": paddle.ones([3])}),
    ],
)
def test_other_layers_refuse_what_does_not_fit(layer, change) -> None:
    made = layer()
    with pytest.raises(ValueError, match="does not fit"):
        nn.load_state_dict(made, dict(made.state_dict()) | change)


def test_a_state_of_another_layer_is_refused() -> None:
    four, eight = nn.LinearNF4(64, 8), nn.Linear8bitLt(64, 8, has_fp16_weights=False)
    for layer, other in ((four, eight), (eight, four)):
        with pytest.raises(ValueError, match="does not fit|is incomplete"):
            nn.load_state_dict(layer, dict(other.state_dict()))


def test_what_is_missing_or_not_wanted_is_told() -> None:
    layer = nn.LinearNF4(64, 8, compress_statistics=False)
    state = {"bias": paddle.ones([8]), "other": paddle.ones([1])}
    missing, unexpected = nn.load_state_dict(layer, state)
    assert "weight" in missing
    assert unexpected == ["other"]
    assert layer.bias.tolist() == [1.0] * 8


@pytest.mark.parametrize(
    "make",
    [
        nn.LinearNF4,
        nn.Linear8bitLt,
        lambda i, o: nn.Linear8bitLt(i, o, has_fp16_weights=False, threshold=2.0),
    ],
)
def test_gradients_reach_the_input(make) -> None:
    layer = make(64, 16)
    x = paddle.randn([5, 64])
    x.stop_gradient = False
    dy = paddle.randn([5, 16])
    layer(x).backward(dy)
    if isinstance(layer, nn.Linear4bit):
        w = layer.weight.dequantize()
    else:
        w = F.int8_vectorwise_dequant(*layer.quantized())
    expected = dy.numpy() @ w.numpy()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.bias.grad.numpy(), dy.numpy().sum(0), rtol=1e-4, atol=1e-5)
    if isinstance(layer, nn.Linear8bitLt) and layer.has_fp16_weights:
        np.testing.assert_allclose(
            layer.weight.grad.numpy(), dy.numpy().T @ x.numpy(), rtol=1e-4, atol=1e-4
        )


def test_a_compute_dtype() -> None:
    layer = nn.Linear4bit(64, 8, compute_dtype="bfloat16", quant_type="nf4")
    y = layer(paddle.ones([2, 64]))
    assert y.dtype == paddle.float32
    exact = layer.weight.dequantize().sum(1).numpy()
    np.testing.assert_allclose(y.numpy()[0], exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("base", [lambda: nn.LinearNF4(64, 16), lambda: paddle.nn.Linear(64, 16)])
def test_adapters(base) -> None:
    layer = nn.LoRALinear(base(), rank=4)
    x = paddle.randn([6, 64])
    start = layer.base(x).numpy()
    np.testing.assert_allclose(layer(x).numpy(), start, rtol=1e-6)
    optimizer = paddle.optimizer.SGD(
        0.1, parameters=[p for p in layer.parameters() if not p.stop_gradient]
    )
    for _ in range(3):
        layer(x).square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
    learnt = layer(x).numpy()
    assert np.abs(learnt - start).max() > 1e-3
    layer.merge()
    layer.merge()  # once is enough
    merged = layer(x).numpy()
    tolerance = 1e-4 if isinstance(layer.base, paddle.nn.Linear) else 1.5
    np.testing.assert_allclose(merged, learnt, rtol=1e-3, atol=tolerance)
    layer.unmerge()
    np.testing.assert_array_equal(layer(x).numpy(), learnt)


def test_bad_adapters_are_refused() -> None:
    with pytest.raises(TypeError, match="wrong base"):
        nn.LoRALinear(paddle.nn.ReLU())
    with pytest.raises(ValueError, match="bad rank"):
        nn.LoRALinear(paddle.nn.Linear(4, 4), rank=0)


def network() -> paddle.nn.Layer:
    paddle.seed(1)
    return paddle.nn.Sequential(
        paddle.nn.Linear(64, 128),
        paddle.nn.ReLU(),
        paddle.nn.Sequential(paddle.nn.Linear(128, 128)),
        paddle.nn.Linear(128, 10),
    )


@pytest.mark.parametrize(("kind", "error"), [("nf4", 0.2), ("fp4", 0.3), ("int8", 0.03)])
def test_a_model_is_quantised(kind: str, error: float) -> None:
    model = network()
    x = paddle.randn([32, 64])
    before = model(x).numpy()
    report = paddle_mps.quantize_model(model, kind, skip=["3"])
    assert report.layers == ("0", "2.0")
    assert report.skipped == ("3",)
    assert isinstance(model[3], paddle.nn.Linear)
    assert report.bytes_before == sum(p.size * 4 for p in network().parameters())
    assert report.bytes_after < report.bytes_before / 2.5
    after = model(x).numpy()
    assert np.abs(after - before).mean() < error * np.abs(before).mean()
    assert "2 layers quantised, 1 left" in str(report)


def test_a_model_becomes_a_bitnet() -> None:
    model = network()
    paddle_mps.quantize_model(model, "bitnet")
    assert isinstance(model[2][0], nn.BitLinear)
    loss = model(paddle.randn([4, 64])).square().mean()
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_bar_shows_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    paddle_mps.quantize_model(network(), progress=True)
    drawn = capsys.readouterr().err
    assert drawn.count("\r") == 4
    assert drawn.endswith("] 3/3 \n")
    paddle_mps.quantize_model(network())
    assert capsys.readouterr().err == ""  # no terminal


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: paddle_mps.quantize_model(network(), "int3"), "bad format"),
        (lambda: paddle_mps.quantize_model(network(), skip=["head"]), "skip names"),
        (lambda: paddle_mps.quantize_model(paddle.nn.Linear(4, 4)), "linear layer itself"),
        (lambda: nn.Linear4bit(4, 4, weight=paddle.ones([4])), "not a matrix"),
        (lambda: nn.Linear4bit(4, 4, blocksize=5), "bad blocksize"),
    ],
)
def test_bad_input_is_refused(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
