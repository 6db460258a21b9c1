"""What the tests of random numbers share: the sequence by another hand, even counts."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import _C_ops
from paddle_mps.selftest import harness
from scipy import stats

HALVES = ("float16", "bfloat16")
FLOATS = ("float32", *HALVES)
RARE = 1e-4  # of a p-value
COUNT = 200_000


def place() -> object:
    return paddle.framework._current_expected_place()


def numbers(x: paddle.Tensor) -> np.ndarray:
    """The elements in float64, or as they are if they are whole."""
    return harness.values(x).numbers


def truncated(shape: list[int], low: float, high: float) -> paddle.Tensor:
    return _C_ops.truncated_gaussian_random(shape, 1.0, 2.0, 0, low, high, paddle.float32, place())


def weights() -> paddle.Tensor:
    return paddle.to_tensor([1.0, 0.0, 3.0, 2.0, 0.0, 10.0])


def philox(seed: int, block: int, blocks: int) -> np.ndarray:
    """Words of Philox4x32-10 in NumPy, written from the paper and not from the plugin."""
    mask = np.uint64(0xFFFFFFFF)
    counter = np.arange(blocks, dtype=np.uint64) + np.uint64(block)
    x = [counter & mask, counter >> np.uint64(32), counter * 0, counter * 0]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        x = [
            (second >> np.uint64(32)) ^ x[1] ^ np.uint64(key[0]),
            second & mask,
            (first >> np.uint64(32)) ^ x[3] ^ np.uint64(key[1]),
            first & mask,
        ]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return np.stack(x, axis=-1).reshape(-1)


def assert_even(counts: np.ndarray, expected: np.ndarray | None = None) -> None:
    assert stats.chisquare(counts, expected).pvalue > RARE


def assert_counts(drawn: np.ndarray, distribution: object) -> None:
    """Chi-square over counts that come often enough, and the mean."""
    assert (drawn == np.round(drawn)).all()
    edges = np.unique(distribution.ppf(np.linspace(0.002, 0.998, 40)))
    counts = np.histogram(drawn, np.concatenate([[-np.inf], edges + 0.5, [np.inf]]))[0]
    expected = np.diff(np.concatenate([[0], distribution.cdf(edges), [1]])) * COUNT
    keep = expected > 5
    counts = np.append(counts[keep], counts[~keep].sum())
    expected = np.append(expected[keep], expected[~keep].sum())
    assert_even(counts[expected > 0], expected[expected > 0])
    mean, variance = distribution.stats("mv")
    assert abs(drawn.mean() - mean) < 4 * np.sqrt(variance / COUNT)
