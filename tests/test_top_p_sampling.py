"""top_p_sampling: what it draws, how often, and by which seed."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

pytestmark = pytest.mark.usefixtures("on_mps")

WEIGHTS = np.array([0.1, 0.4, 0.05, 0.3, 0.15], "float32")
ROWS = 4096


def sample(p: float, **options) -> np.ndarray:
    x = paddle.to_tensor(np.tile(WEIGHTS, (ROWS, 1)))
    scores, ids = paddle.tensor.top_p_sampling(x, paddle.full([ROWS], p), **options)
    assert scores.shape == ids.shape == [ROWS, 1]
    assert ids.dtype == paddle.int64
    ids = ids.numpy()[:, 0]
    np.testing.assert_array_equal(scores.numpy()[:, 0], WEIGHTS[ids])
    return ids


def expect_shares(ids: np.ndarray, shares: np.ndarray) -> None:
    found = np.bincount(ids, minlength=5) / len(ids)
    deviation = np.sqrt(shares * (1 - shares) / len(ids))
    assert (np.abs(found - shares) <= 5 * deviation).all(), (found, shares)


def test_tokens_come_as_often_as_they_are_likely() -> None:
    expect_shares(sample(1.0), WEIGHTS)
    # 0.4 and 0.3 make 0.7; the last token may come for what is left of p alone.
    expect_shares(sample(0.6), np.array([0, 0.4, 0, 0.2, 0]) / 0.6)
    assert (sample(0.0) == 1).all()


def test_without_truncation_p_does_not_matter() -> None:
    expect_shares(sample(0.1, mode="non-truncated"), WEIGHTS)


def test_unlikely_tokens_do_not_pass_the_threshold() -> None:
    ids = sample(1.0, threshold=paddle.full([ROWS], 0.2))
    assert set(ids) == {1, 3}


def test_seeds() -> None:
    np.testing.assert_array_equal(sample(0.9, seed=5), sample(0.9, seed=5))
    assert (sample(0.9, seed=5) != sample(0.9, seed=6)).any()
    assert (sample(0.9) != sample(0.9)).any()
    x = paddle.to_tensor(np.tile(WEIGHTS, (3, 1)))
    seeds = paddle.to_tensor([7, 8, 7], dtype="int64")
    draws = [
        paddle.tensor.top_p_sampling(x, paddle.full([3], 1.0), topp_seed=seeds)[1].numpy()[:, 0]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*draws)
    assert draws[0][0] == draws[0][2]


def test_the_likeliest_come_along() -> None:
    x = paddle.to_tensor(WEIGHTS[None])
    _, _, scores, ids = paddle.tensor.top_p_sampling(x, paddle.full([1], 0.5), k=3, return_top=True)
    np.testing.assert_array_equal(ids.numpy(), [[1, 3, 4]])
    np.testing.assert_array_equal(scores.numpy(), WEIGHTS[[[1, 3, 4]]])
