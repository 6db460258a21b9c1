"""Data so long, or numbers so large, that the host device takes another way than for little."""

import numpy as np
import paddle
import pytest

LONG = 200_003


def on_mps(array):
    return paddle.to_tensor(array, place=paddle.CustomPlace("mps", 0))


def numbers(kind, rng):
    if kind == "wide int64":
        few = rng.integers(-(1 << 62), 1 << 62, 1000)
        return np.concatenate([rng.choice(few, LONG // 2), rng.integers(-(1 << 62), 1 << 62, LONG)])
    if kind == "equal above":  # what differs are the low bits of a wide range
        low = rng.integers(0, 1 << 20, LONG)
        return np.concatenate([low, low + (1 << 61)])
    if kind == "few":
        return rng.integers(0, 7, LONG)
    values = rng.normal(size=LONG).astype("float32")
    values[::1001] = np.nan
    values[::777] = -0.0
    return values


@pytest.mark.parametrize("kind", ["wide int64", "equal above", "few", "float32"])
@pytest.mark.parametrize("columns", [1, 3])
def test_argsort_is_stable(kind, columns):
    values = numbers(kind, np.random.default_rng(1))
    values = values[: len(values) // columns * columns].reshape(-1, columns)
    got = paddle.argsort(on_mps(values), axis=0, stable=True).numpy()
    np.testing.assert_array_equal(got, np.argsort(values, axis=0, kind="stable"))


@pytest.mark.parametrize("count", [1, 5, 3000])
@pytest.mark.parametrize("kind", ["wide int64", "few"])
def test_topk(kind, count):
    values = numbers(kind, np.random.default_rng(2))
    got, at = paddle.topk(on_mps(values), count, largest=False)
    np.testing.assert_array_equal(got.numpy(), np.sort(values)[:count])
    np.testing.assert_array_equal(at.numpy(), np.argsort(values, kind="stable")[:count])


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7, 1000])
def test_searchsorted(length, right):
    rng = np.random.default_rng(3)
    sequence, values = np.sort(rng.integers(0, 50, length)), rng.integers(-2, 53, LONG)
    got = paddle.searchsorted(on_mps(sequence), on_mps(values), right=right).numpy()
    side = "right" if right else "left"
    np.testing.assert_array_equal(got, np.searchsorted(sequence, values, side))


@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_what_a_mask_chooses(share):
    rng = np.random.default_rng(4)
    mask, data = rng.random((53, 61, 67)) < share, rng.normal(size=(53, 61, 67)).astype("float32")
    got = paddle.masked_select(on_mps(data), on_mps(mask)).numpy()
    np.testing.assert_array_equal(got, data[mask])
    np.testing.assert_array_equal(paddle.nonzero(on_mps(mask)).numpy(), np.argwhere(mask))


def test_counting():
    values = np.random.default_rng(5).integers(0, 100, LONG)
    got = paddle.bincount(on_mps(values)).numpy()
    np.testing.assert_array_equal(got, np.bincount(values))
    got = paddle.histogram(on_mps(values), bins=10, min=0, max=50).numpy()
    np.testing.assert_array_equal(got, np.histogram(values, 10, (0, 50))[0])


def test_scatter_of_repeated_rows_keeps_their_order():
    rng = np.random.default_rng(6)
    rows, updates = rng.integers(0, LONG, LONG), np.arange(LONG, dtype="float32")
    expected = np.zeros(LONG, "float32")
    expected[rows] = updates  # of equal rows the last
    got = paddle.index_put(on_mps(np.zeros(LONG, "float32")), (on_mps(rows),), on_mps(updates))
    np.testing.assert_array_equal(got.numpy(), expected)


@pytest.mark.parametrize("limit", [1 << 49, 1 << 62])
def test_division_of_int64(limit):
    rng = np.random.default_rng(7)
    x, y = rng.integers(-limit, limit, LONG), rng.integers(-limit, limit, LONG)
    y[: LONG // 2] = rng.integers(1, 9, LONG // 2)
    x[::3] = y[::3] * (x[::3] // y[::3])  # multiples, and what is one off
    x[::6] -= 1
    y[y == 0] = 1
    np.testing.assert_array_equal(paddle.floor_divide(on_mps(x), on_mps(y)).numpy(), x // y)
    np.testing.assert_array_equal(paddle.remainder(on_mps(x), on_mps(y)).numpy(), x % y)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_an_angle_does_not_depend_on_its_neighbours(name):
    angles = np.random.default_rng(8).uniform(-600, 600, LONG).astype("float32")
    usual = angles[np.abs(angles) < 500]
    function = getattr(paddle, name)
    alone = function(on_mps(usual)).numpy()
    among = function(on_mps(angles)).numpy()[np.abs(angles) < 500]
    np.testing.assert_array_equal(alone, among)
    exact = getattr(np, name)(usual.astype("float64"))
    np.testing.assert_allclose(alone, exact, rtol=3e-7, atol=0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "int64"])
@pytest.mark.parametrize("shape", [(256, 384), (131, 517)])
def test_transposed_copy(dtype, shape):
    data = np.random.default_rng(9).integers(0, 100, shape).astype(dtype)
    np.testing.assert_array_equal(on_mps(data).t().contiguous().numpy(), data.T)
