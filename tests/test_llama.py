"""Decoders as in Llama: trained with fused kernels, and writing on with keys and values kept.

What is fused Paddle's CPU device does not have; the truth is the same network there without
(models.Decoder), and how far both may differ stands in test_models.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from llama import FusedDecoder, PlainWriter, Writer
from models import TOKENS, WORDS, Decoder, words
from paddle_mps.selftest import harness
from training import adamw, amp_step, decorated, train

pytestmark = pytest.mark.usefixtures("no_fallback")


def test_training_with_fused_kernels_follows_the_cpu_device() -> None:
    start, expected, final = train(Decoder, "cpu", None)
    _, losses, got = train(FusedDecoder, "mps", start)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-6)
    for name, value in final.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(("level", "dtype"), [("O1", "float16"), ("O2", "bfloat16")])
def test_mixed_precision_with_fused_kernels(level: str, dtype: str) -> None:
    start, expected, _ = train(Decoder, "cpu", None)
    make, optimizer = (FusedDecoder, adamw) if level == "O1" else decorated(FusedDecoder, dtype)
    _, losses, _ = train(make, "mps", start, optimizer, amp_step(level, dtype))
    np.testing.assert_allclose(losses, expected, rtol=0.02 if dtype == "float16" else 0.06)
    assert losses[-1] < 0.9 * losses[0]


# -- writing --------------------------------------------------------------------------------------

STEPS = 5


@pytest.fixture(scope="module")
def trained() -> dict[str, np.ndarray]:
    """Parameters after some steps, so that one word is likelier than the others."""
    return train(Decoder, "cpu", None)[2]


def made(model: type, parameters: dict[str, np.ndarray]) -> Decoder:
    net = model()
    net.set_state_dict({name: paddle.to_tensor(value) for name, value in parameters.items()})
    net.eval()
    return net


def written(parameters: dict, device: str, prompt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest words after a prompt [batch, tokens], and the scores of each step."""
    with harness.on(device), paddle.no_grad():
        writer = PlainWriter(made(Decoder, parameters))
        ids, chosen, scores = paddle.to_tensor(prompt), [], []
        for _ in range(STEPS):
            scores.append(writer.step(ids))
            ids = paddle.argmax(scores[-1], -1, keepdim=True)
            chosen.append(ids)
        return paddle.concat(chosen, 1).numpy(), paddle.stack(scores, 1).numpy()


def test_the_likeliest_words_are_the_cpu_device_s(trained: dict[str, np.ndarray]) -> None:
    prompt = words()[:, :6]
    chosen, scores = written(trained, "mps", prompt)
    expected, expected_scores = written(trained, "cpu", prompt)
    np.testing.assert_array_equal(chosen, expected)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-4)


def test_fused_steps_write_the_same(trained: dict[str, np.ndarray]) -> None:
    """Prompts of different length at once, against one by one on the CPU device."""
    lengths = np.array([3, 6, 1, 5])
    prompts = words()[: len(lengths), : lengths.max()]
    with paddle.no_grad():
        writer = Writer(made(FusedDecoder, trained), len(lengths), TOKENS)
        scores, chosen = [writer.read(paddle.to_tensor(prompts), lengths)], []
        for step in range(STEPS - 1):
            chosen.append(paddle.argmax(scores[-1], -1))
            scores.append(writer.step(chosen[-1], lengths + step))
        chosen.append(paddle.argmax(scores[-1], -1))
    chosen, scores = paddle.stack(chosen, 1).numpy(), paddle.stack(scores, 1).numpy()
    for i, length in enumerate(lengths):
        expected, expected_scores = written(trained, "cpu", prompts[i : i + 1, :length])
        np.testing.assert_array_equal(chosen[i : i + 1], expected)
        np.testing.assert_allclose(scores[i : i + 1], expected_scores, rtol=1e-4, atol=1e-4)


def top_k(scores: paddle.Tensor) -> paddle.Tensor:
    """One of the three likeliest."""
    best, at = paddle.topk(scores / 0.8, 3)
    return paddle.take_along_axis(at, paddle.multinomial(F.softmax(best)), -1)


def top_p(scores: paddle.Tensor) -> paddle.Tensor:
    """As PaddleNLP writes it: of the likeliest that make up 0.7 together."""
    order = paddle.argsort(scores, descending=True)
    shares = paddle.take_along_axis(F.softmax(scores), order, -1)
    before = paddle.cumsum(shares, -1) - shares
    kept = paddle.masked_fill(shares, before > 0.7, 0.0)
    return paddle.take_along_axis(order, paddle.multinomial(kept), -1)


def top_p_fused(scores: paddle.Tensor) -> paddle.Tensor:
    share = paddle.full([scores.shape[0], 1], 0.7)
    return paddle.tensor.top_p_sampling(F.softmax(scores), share)[1]


@pytest.mark.parametrize("draw", [top_k, top_p, top_p_fused])
def test_words_are_drawn_from_the_likeliest(draw: Callable, trained: dict) -> None:
    with paddle.no_grad():
        paddle.seed(3)
        scores = PlainWriter(made(Decoder, trained)).step(paddle.to_tensor(words()))
        drawn = np.concatenate([draw(scores).numpy() for _ in range(20)], 1)
    shares = F.softmax(scores.cpu()).numpy()
    assert drawn.min() >= 0
    assert drawn.max() < WORDS
    for row, ids in zip(shares, drawn):
        order = np.argsort(-row)
        kept = 3 if draw is top_k else 1 + int((np.cumsum(row[order]) < 0.7).sum())
        assert set(ids) <= set(order[:kept])
    assert len(np.unique(drawn)) > 1
