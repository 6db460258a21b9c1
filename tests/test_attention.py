"""Attention by default: which kernel Paddle's functions take, its memory, and what it drops."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from child import tell
from paddle.nn.attention import SDPBackend, sdpa_kernel
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")

_ops = paddle._C_ops
COMPOSED = ("matmul", "softmax", "bmm", "repeat_interleave", "tile")


def tensors(*shapes: tuple[int, ...], dtype: str = "float32", seed: int = 1) -> list:
    rng = np.random.default_rng(seed)
    made = [paddle.to_tensor(rng.uniform(-1, 1, s).astype("float32")).astype(dtype) for s in shapes]
    for tensor in made:
        tensor.stop_gradient = False
    return made


def ran(watch: harness.Watch) -> set[str]:
    return {kernel for kernel, _, device in watch.calls if device == "mps"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("causal", [False, True])
def test_paddles_functions_take_the_kernel_by_default(dtype: str, causal: bool) -> None:
    q, k, v = tensors(*[(2, 9, 4, 8)] * 3, dtype=dtype)
    for function in (F.scaled_dot_product_attention, F.flash_attention.flash_attention):
        with (watch := harness.Watch()):
            scaled = function is F.scaled_dot_product_attention
            out = function(q, k, v, **{"is_causal" if scaled else "causal": causal})
            (out if scaled else out[0]).sum().backward()
        watch.assert_ran(
            ["memory_efficient_attention", "memory_efficient_attention_grad"], dtype, "attention"
        )
        assert not set(COMPOSED) & ran(watch)


def test_heads_of_keys_are_not_repeated() -> None:
    q, k, v = tensors((2, 3, 8, 4), (2, 50, 2, 4), (2, 50, 2, 4))
    with (watch := harness.Watch()):
        out = F.scaled_dot_product_attention(q, k, v)
    assert not {"expand", *COMPOSED} & ran(watch)
    repeated = [paddle.repeat_interleave(x, 4, axis=2) for x in (k, v)]
    same = F.scaled_dot_product_attention(q, *repeated)
    np.testing.assert_allclose(out.numpy(), same.numpy(), rtol=1e-5, atol=1e-6)


def test_who_asks_for_flash_attention_gets_it() -> None:
    q, k, v = tensors(*[(1, 7, 2, 8)] * 3, dtype="float16")
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION]), (watch := harness.Watch()):
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out.sum().backward()
    watch.assert_ran(["flash_attn", "flash_attn_grad"], "float16", "attention")
    usual = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_array_equal(out.numpy(), usual.numpy())


def test_sequences_in_one_tensor_are_those_in_three() -> None:
    (qkv,) = tensors((9, 4, 2, 8), dtype="float16")
    starts = paddle.to_tensor([0, 3, 8, 9], dtype="int32")
    packed = F.flash_attn_varlen_qkvpacked(
        qkv, starts, starts, 5, 5, 0.5, causal=True, varlen_padded=False
    )[0]
    query = qkv[:, :2].reshape([9, 4, 8])
    three = F.flash_attention.flash_attn_unpadded(
        query, qkv[:, 2], qkv[:, 3], starts, starts, 5, 5, 0.5, causal=True
    )[0]
    np.testing.assert_array_equal(packed.numpy(), three.numpy())


def test_what_comes_to_padding_has_no_part_in_gradients() -> None:
    starts = paddle.to_tensor([0, 3, 7], dtype="int32")
    is_padding = np.isin(np.arange(10), (3, 4, 9))  # room for 5 tokens each
    slopes = []
    for filling in (0, np.nan, np.inf):
        (qkv,) = tensors((10, 4, 2, 8))
        out = _ops.flash_attn_varlen_qkvpacked(
            qkv, starts, starts, None, None, 5, 5, 0.5, 0.0, False, False, False, "", True
        )[0]
        dout = np.where(is_padding[:, None, None], np.float32(filling), np.float32(1))
        out.backward(paddle.to_tensor(np.broadcast_to(dout, out.shape)))
        slopes.append(qkv.grad.numpy())
    assert not slopes[0][is_padding].any()
    assert slopes[0][~is_padding].all()
    for slope in slopes[1:]:
        np.testing.assert_array_equal(slope, slopes[0])


def test_one_sequence_keeps_its_nan_to_itself() -> None:
    starts = paddle.to_tensor([0, 4, 9], dtype="int32")
    q, k, v = tensors(*[(9, 2, 8)] * 3)
    out = F.flash_attention.flash_attn_unpadded(q, k, v, starts, starts, 5, 5, 0.5)[0]
    dout = np.ones(out.shape, np.float32)
    dout[:4] = np.nan
    out.backward(paddle.to_tensor(dout))
    for x in (q, k):  # of values, 0 times NaN is NaN, as where weights are multiplied with values
        assert np.isnan(x.grad.numpy()[:4]).all()
        assert np.isfinite(x.grad.numpy()[4:]).all()


def test_what_the_kernel_cannot_do_is_composed() -> None:
    q, k, v = tensors((1, 5, 4, 8), (1, 5, 2, 8), (1, 5, 2, 8))
    both = [paddle.repeat_interleave(x, 2, axis=2) for x in (k, v)]
    out, weights = F.flash_attention.flash_attention(q, *both, return_softmax=True)
    assert weights.shape == [1, 4, 5, 5]
    np.testing.assert_allclose(weights.sum(-1).numpy(), 1, rtol=1e-6)
    usual = F.scaled_dot_product_attention(q, k, v)
    np.testing.assert_allclose(out.numpy(), usual.numpy(), rtol=1e-5, atol=1e-6)
    none = F.scaled_dot_product_attention(q[:, :0], k, v)
    assert none.shape == [1, 0, 4, 8]


def test_static_programs_take_the_kernel() -> None:
    q, k, v = tensors(*[(2, 6, 2, 4)] * 3)

    def attend(q: paddle.Tensor, k: paddle.Tensor, v: paddle.Tensor) -> paddle.Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    usual = attend(q, k, v)
    static = paddle.jit.to_static(attend, full_graph=True)
    static(q, k, v)
    with (watch := harness.Watch()):
        out = static(q, k, v)
        out.sum().backward()
    assert "memory_efficient_attention_grad" in ran(watch)
    assert not set(COMPOSED) & ran(watch)
    np.testing.assert_array_equal(out.numpy(), usual.numpy())


def test_a_query_that_sees_nothing_gives_zero_and_no_gradient() -> None:
    q, k, v = tensors(*[(1, 3, 1, 4)] * 3)
    mask = paddle.to_tensor([[0.0, 0, 0], [-np.inf] * 3, [0, 0, -np.inf]])
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out.sum().backward()
    assert not out[0, 1].numpy().any()
    for tensor in (q, k, v):
        assert np.isfinite(tensor.grad.numpy()).all()
    assert not q.grad[0, 1].numpy().any()


def test_without_the_hook_the_package_exchanges_it() -> None:
    told = tell(
        """
import paddle
from paddle.nn.functional import sdpa
told["before"] = hasattr(sdpa._math_attention, "composed")
import paddle_mps
told["after"] = [hasattr(sdpa._math_attention, "composed"), hasattr(sdpa._repeat_kv, "repeated")]
""",
        PADDLE_MPS_PYTHON_HOOK="0",
    )
    assert told == {"before": False, "after": [True, True]}


def test_the_cpu_device_keeps_its_own() -> None:
    with harness.on("cpu"):
        q, k, v = tensors(*[(1, 5, 2, 4)] * 3)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out.sum().backward()
    usual = tensors(*[(1, 5, 2, 4)] * 3)
    same = F.scaled_dot_product_attention(*usual, is_causal=True)
    assert out.place.is_cpu_place()
    np.testing.assert_allclose(same.numpy(), out.numpy(), rtol=1e-5, atol=1e-6)


# -- dropout: with values that are one-hot, the result shows the weights that are left -------------


def shown_weights(length: int, p: float, seed: int, kernel: str) -> tuple[list, paddle.Tensor]:
    q, k, _ = inputs = tensors(*[(2, length, 3, length)] * 3)
    v = paddle.tile(paddle.eye(length).reshape([1, length, 1, length]), [2, 1, 3, 1])
    v.stop_gradient = False
    inputs[2] = v
    paddle.seed(seed)
    if kernel == "flash_attn":
        out = _ops.flash_attn(q, k, v, None, None, p, False, False, False, "")[0]
    else:
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
    return inputs, out


@pytest.mark.parametrize("kernel", ["flash_attn", "memory_efficient_attention"])
def test_dropout_drops_its_part_and_makes_up_for_it(kernel: str) -> None:
    _, whole = shown_weights(64, 0.0, 5, kernel)
    _, once = shown_weights(64, 0.25, 5, kernel)
    _, again = shown_weights(64, 0.25, 5, kernel)
    _, other = shown_weights(64, 0.25, 6, kernel)
    np.testing.assert_array_equal(once.numpy(), again.numpy())
    assert (once.numpy() != other.numpy()).any()
    left = once.numpy() != 0
    assert abs(left.mean() - 0.75) < 4 * (0.25 * 0.75 / left.size) ** 0.5
    np.testing.assert_allclose(once.numpy()[left], whole.numpy()[left] / 0.75, rtol=1e-5)


@pytest.mark.parametrize("kernel", ["flash_attn", "memory_efficient_attention"])
def test_the_gradient_drops_what_was_dropped_forward(kernel: str) -> None:
    (_, _, v), out = shown_weights(24, 0.5, 7, kernel)
    dout = paddle.rand(out.shape)
    out.backward(dout)
    # out = P v, so that the gradient of v is P^T dout.
    weights = paddle.transpose(out, [0, 2, 3, 1])
    expected = paddle.matmul(weights, paddle.transpose(dout, [0, 2, 1, 3]))
    np.testing.assert_allclose(
        v.grad.numpy(), paddle.transpose(expected, [0, 2, 1, 3]).numpy(), rtol=1e-4, atol=1e-5
    )


def test_evaluation_drops_nothing() -> None:
    q, k, v = tensors(*[(1, 9, 2, 4)] * 3)
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5, training=False)
    np.testing.assert_array_equal(out.numpy(), F.scaled_dot_product_attention(q, k, v).numpy())


# -- memory ----------------------------------------------------------------------------------------

LONG = """
import resource
import paddle
import paddle.nn.functional as F
paddle.set_device("mps")
def attend(length):
    q = paddle.rand([1, length, 2, 16])
    q.stop_gradient = False
    F.scaled_dot_product_attention(q, q, q, is_causal=True, dropout_p=0.1).sum().backward()
    told["finite"] = bool(paddle.isfinite(q.grad).all())
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # MiB
attend(512)
before = peak()
attend(8192)
told["grown"] = peak() - before
"""


def test_memory_grows_with_the_length_and_not_with_its_square() -> None:
    told = tell(LONG)
    assert told["finite"]
    # One score matrix of two heads has 512 MiB; q and its like have 1 MiB each.
    assert told["grown"] < 100


# -- what does not fit -----------------------------------------------------------------------------


def test_messages_say_what_is_wrong() -> None:
    q, k, v = tensors((1, 5, 4, 8), (1, 5, 3, 8), (1, 5, 3, 8))
    with pytest.raises(Exception, match="H a multiple of G"):
        _ops.flash_attn(q, k, v, None, None, 0.0, False, False, False, "")
    q, k, v = tensors(*[(1, 5, 2, 8)] * 3)
    with pytest.raises(Exception, match="bad mask"):
        _ops.flash_attn(q, k, v, None, paddle.zeros([1, 1, 4, 5]), 0.0, False, False, False, "")
    with pytest.raises(Exception, match="expected dropout = 0"):
        _ops.flash_attn(q, k, v, None, None, 0.5, False, True, False, "")
