"""masked_multihead_attention: a decoder's step, with its cache written in place."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.incubate.nn.functional import masked_multihead_attention

pytestmark = pytest.mark.usefixtures("on_mps")

BATCH, HEADS, SHARED, LENGTH, WIDTH = 3, 4, 2, 9, 8


def step(x: np.ndarray, cache: np.ndarray, steps: list[int], mask: np.ndarray) -> np.ndarray:
    """The same in NumPy; writes to the cache."""
    qkv = x.reshape(BATCH, -1, WIDTH)
    heads = qkv.shape[1] - 2 * cache.shape[2]
    group = heads // cache.shape[2]
    out = np.zeros((BATCH, heads, WIDTH))
    for b, t in enumerate(steps):
        cache[0, b, :, t] = qkv[b, heads : heads + cache.shape[2]]
        cache[1, b, :, t] = qkv[b, heads + cache.shape[2] :]
        for h in range(heads):
            keys, values = cache[0, b, h // group, : t + 1], cache[1, b, h // group, : t + 1]
            scores = keys @ qkv[b, h] / np.sqrt(WIDTH)
            scores[: mask.shape[-1]] += mask[b, 0, 0, : t + 1]
            weights = np.exp(scores - scores.max())
            out[b, h] = weights @ values / weights.sum()
    return out.reshape(BATCH, -1)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shared", [HEADS, SHARED])
def test_steps_follow_one_another(dtype: str, shared: int) -> None:
    rng = np.random.default_rng(3)
    cache = paddle.zeros([2, BATCH, shared, LENGTH, WIDTH], dtype)
    expected_cache = np.zeros(cache.shape)
    tolerance = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[dtype]
    for turn in range(4):
        numbers = rng.normal(size=(BATCH, (HEADS + 2 * shared) * WIDTH))
        x = paddle.to_tensor(numbers.astype("float32")).astype(dtype)
        mask = rng.normal(size=(BATCH, 1, 1, LENGTH)).astype("float32")
        steps = [turn, turn + 2, 2 * turn]
        out, same = masked_multihead_attention(
            x,
            cache,
            src_mask=paddle.to_tensor(mask).astype(dtype),
            sequence_lengths=paddle.to_tensor(steps, dtype="int32").unsqueeze(1),
        )[:2]
        rounded = paddle.to_tensor(mask).astype(dtype).astype("float32").numpy()
        truth = step(x.astype("float32").numpy(), expected_cache, steps, rounded)
        np.testing.assert_allclose(
            out.astype("float32").numpy(), truth, rtol=tolerance, atol=tolerance
        )
        np.testing.assert_array_equal(cache.astype("float32").numpy(), expected_cache)
        assert same.data_ptr() == cache.data_ptr()


def test_the_mask_may_say_where_the_step_is() -> None:
    rng = np.random.default_rng(4)
    cache = paddle.zeros([2, BATCH, HEADS, LENGTH, WIDTH])
    expected = np.zeros(cache.shape)
    x = rng.normal(size=(BATCH, 3 * HEADS * WIDTH)).astype("float32")
    bias = rng.normal(size=(3, HEADS, WIDTH)).astype("float32")
    mask = np.zeros((BATCH, 1, 1, 5), "float32")
    out, _ = masked_multihead_attention(
        paddle.to_tensor(x), cache, paddle.to_tensor(bias), paddle.to_tensor(mask)
    )[:2]
    truth = step(x + bias.reshape(1, -1), expected, [4] * BATCH, mask)
    np.testing.assert_allclose(out.numpy(), truth, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cache.numpy(), expected, rtol=1e-6, atol=1e-7)


def test_what_it_does_not_do_is_said() -> None:
    x, cache = paddle.zeros([1, 24]), paddle.zeros([2, 1, 1, 4, 8])
    with pytest.raises(Exception, match="expected sequence_lengths, or a src_mask"):
        masked_multihead_attention(x, cache)
    with pytest.raises(Exception, match="rotary_emb_dims = 0, got 1"):
        masked_multihead_attention(
            x, cache, sequence_lengths=paddle.zeros([1, 1], "int32"), rotary_emb_dims=1
        )
