"""More than 2^24 elements, as far as float32 counts: positions and counts must not pass through it.

The expected numbers are NumPy's, and exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle_mps.selftest import harness

SIDE = 4099
COUNT = SIDE * SIDE  # 16,801,801
LAST = COUNT - 3

pytestmark = pytest.mark.usefixtures("on_mps")


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    """Whole numbers from -8 to 7 as float32; one 9 and one -9 behind position 2^24."""
    x = (np.arange(COUNT, dtype=np.uint32) * np.uint32(2654435761) >> 28).astype("float32") - 8
    x[LAST], x[LAST - 1] = 9, -9
    return x


def _far_positions() -> np.ndarray:
    return np.array([0, 2**24 - 1, 2**24 + 1, LAST, COUNT - 1])


def _taken(x: paddle.Tensor) -> paddle.Tensor:
    return paddle.to_tensor(_far_positions())


def _square(x):
    return x.reshape([SIDE, SIDE])


def _changed(x: paddle.Tensor) -> paddle.Tensor:
    y = x.clone()
    y[2**24 - 1 :] = 5.0
    return y


def _changed_in_numpy(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y[2**24 - 1 :] = 5.0
    return y


def _scattered(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y[_far_positions()] = 100
    return y


# name -> what Paddle and NumPy compute of the same array.
OPS: dict[str, tuple[Callable, Callable]] = {
    "add": (lambda x: x + x, lambda x: x + x),
    "abs": (paddle.abs, np.abs),
    "cast": (lambda x: x.astype("int32"), lambda x: x.astype("int32")),
    "compare": (lambda x: x > 6, lambda x: x > 6),
    "where": (lambda x: paddle.where(x > 0, x, -x), np.abs),
    "sum": (lambda x: x.astype("int64").sum(), lambda x: x.sum(dtype="int64")),
    "count": (lambda x: (x > 6).astype("int32").sum(), lambda x: (x > 6).sum(dtype="int64")),
    "sum of rows": (lambda x: _square(x).sum(0), lambda x: _square(x).sum(0)),
    "max": (paddle.max, np.max),
    "argmax": (paddle.argmax, np.argmax),
    "argmin": (paddle.argmin, np.argmin),
    "topk": (lambda x: paddle.topk(x, 1)[1], lambda x: np.array([LAST])),
    "argsort": (lambda x: paddle.argsort(x, stable=True), lambda x: np.argsort(x, kind="stable")),
    "cumsum": (lambda x: x.astype("int64").cumsum(), lambda x: x.astype("int64").cumsum()),
    "cummax": (lambda x: paddle.cummax(x)[0], np.maximum.accumulate),
    "nonzero": (
        lambda x: paddle.nonzero(x > 8).flatten(),
        lambda x: np.array([LAST]),
    ),
    "masked_select": (lambda x: paddle.masked_select(x, x > 6), lambda x: x[x > 6]),
    "bincount": (
        lambda x: paddle.bincount((x + 9).astype("int64")),
        lambda x: np.bincount((x + 9).astype("int64")),
    ),
    "gather": (lambda x: paddle.gather(x, _taken(x)), lambda x: x[_far_positions()]),
    "index_select": (lambda x: x.index_select(_taken(x)), lambda x: x[_far_positions()]),
    "scatter": (
        lambda x: paddle.scatter(x, _taken(x), paddle.full([5], 100.0)),
        _scattered,
    ),
    "slice": (lambda x: x[2**24 - 2 :], lambda x: x[2**24 - 2 :]),
    "step": (lambda x: x[::-3], lambda x: x[::-3]),
    "set": (_changed, _changed_in_numpy),
    "flip": (lambda x: paddle.flip(x, [0]), lambda x: x[::-1]),
    "roll": (lambda x: paddle.roll(x, 5), lambda x: np.roll(x, 5)),
    "concat": (lambda x: paddle.concat([x, x[:7]]), lambda x: np.concatenate([x, x[:7]])),
    "transpose": (lambda x: _square(x).t().contiguous(), lambda x: _square(x).T),
    "tril": (lambda x: paddle.tril(_square(x)), lambda x: np.tril(_square(x))),
    "arange": (
        lambda x: paddle.arange(COUNT, dtype="int32").astype("int64").sum(),
        lambda x: np.int64(COUNT) * (COUNT - 1) // 2,
    ),
    "searchsorted": (
        lambda x: paddle.searchsorted(paddle.arange(COUNT), _taken(x)),
        lambda x: _far_positions(),
    ),
    "matrix times vector": (
        lambda x: _square(x) @ paddle.ones([SIDE]),
        lambda x: _square(x).sum(1),
    ),
}


@pytest.mark.parametrize("name", OPS)
def test_position_behind_what_float32_counts_to(name: str, numbers: np.ndarray) -> None:
    op, like = OPS[name]
    watch = harness.Watch()
    with watch:
        got = op(paddle.to_tensor(numbers)).numpy()
    watch.assert_ran([], "", name)
    np.testing.assert_array_equal(got, like(numbers))
