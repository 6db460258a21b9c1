"""Arrays and tensors over the same memory: who sees what, who keeps it alive, who refuses."""

from __future__ import annotations

import gc
import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle_mps
import pytest
from shared_memory import SHARED, STAND_INS, address, external, filled

pytestmark = pytest.mark.usefixtures("mps", "nothing_stays_shared")

# -- as_numpy -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*SHARED, "float8_e4m3fn", "float8_e5m2"])
def test_an_array_is_the_tensors_memory(dtype: str) -> None:
    x = paddle.full([3, 5], 2, dtype="float32").cast(dtype)
    view = paddle_mps.as_numpy(x)
    assert view.dtype == np.dtype(STAND_INS.get(dtype, dtype)) == x.numpy().dtype
    assert view.shape == (3, 5) and view.flags.c_contiguous and view.flags.writeable
    assert address(view) == x.data_ptr()
    np.testing.assert_array_equal(view, x.numpy())
    view[1, 2] = 0
    assert x.numpy()[1, 2] == 0


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (7,), (2, 3, 5)], ids=str)
def test_an_array_has_the_tensors_shape(shape: tuple[int, ...]) -> None:
    x = paddle.ones(shape)
    view = paddle_mps.as_numpy(x)
    assert view.shape == shape
    np.testing.assert_array_equal(view, np.ones(shape, "float32"))


def test_an_array_of_a_view_has_its_strides() -> None:
    x = paddle.arange(24, dtype="float32").reshape([4, 6])
    expected = np.arange(24, dtype="float32").reshape(4, 6)
    cases = {
        "transposed": (x.t(), expected.T),
        "sliced": (x[1:3, 2:], expected[1:3, 2:]),
        "stepped": (x[::2, ::3], expected[::2, ::3]),
        "one row": (x[2], expected[2]),
        "broadcast": (x[:, :1].expand([4, 5]), np.broadcast_to(expected[:, :1], (4, 5))),
    }
    for name, (tensor, want) in cases.items():
        view = paddle_mps.as_numpy(tensor)
        np.testing.assert_array_equal(view, want, err_msg=name)
        assert address(view) == tensor.data_ptr(), name
    paddle_mps.as_numpy(x.t())[5, 3] = -1
    assert float(x[3, 5]) == -1


def test_each_sees_what_the_other_writes() -> None:
    x = paddle.zeros([4])
    view = paddle_mps.as_numpy(x)
    view[:] = 3
    y = x + 1
    x.fill_(8)
    paddle_mps.synchronize()
    assert view.tolist() == [8.0] * 4
    assert y.tolist() == [4.0] * 4


def test_an_array_keeps_the_memory() -> None:
    paddle_mps.synchronize()
    before = paddle_mps.memory_allocated()
    x = paddle.full([1000], 5.0)
    view = paddle_mps.as_numpy(x)[10:20]
    del x
    gc.collect()
    others = [paddle.full([1000], -1.0) for _ in range(20)]  # would lie there
    paddle_mps.synchronize()
    assert view.tolist() == [5.0] * 10
    del others
    gc.collect()
    assert paddle_mps.memory_allocated() == before + 4096
    del view
    gc.collect()
    assert paddle_mps.memory_allocated() == before


def test_an_array_keeps_the_memory_of_a_tensor_that_gets_other() -> None:
    x = paddle.full([1000], 5.0)
    view = paddle_mps.as_numpy(x)
    paddle.full([3000], 1.0)._share_buffer_to(x)  # as ops do that need more room
    gc.collect()
    others = [paddle.full([1000], -1.0) for _ in range(20)]
    paddle_mps.synchronize()
    assert view.tolist() == [5.0] * 1000
    assert x.data_ptr() != address(view)
    del others


def test_a_tensor_with_a_gradient_can_be_looked_at() -> None:
    w = paddle.ones([3])
    w.stop_gradient = False
    (w * 2.0).sum().backward()
    assert paddle_mps.as_numpy(w.grad).tolist() == [2.0] * 3
    paddle_mps.as_numpy(w)[0] = 7
    assert w.tolist() == [7.0, 1.0, 1.0]
    assert w.stop_gradient is False


# -- empty_numpy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [3, (), (2, 3), [4, 1, 5], np.int64(7), (1000, 1001)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", np.int8, "bfloat16", "complex128", bool])
def test_empty_arrays_start_a_page(shape: Any, dtype: Any) -> None:
    array = paddle_mps.empty_numpy(shape, dtype)
    plain = np.empty(shape, STAND_INS.get(dtype, dtype) if isinstance(dtype, str) else dtype)
    assert array.shape == plain.shape and array.dtype == plain.dtype
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    assert address(array) % mmap.PAGESIZE == 0
    array[...] = 1
    assert (array == np.ones_like(plain)).all()


def test_empty_arrays_may_have_no_elements() -> None:
    assert paddle_mps.empty_numpy((3, 0)).shape == (3, 0)
    assert paddle_mps.empty_numpy(0).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((-1,), ValueError, r"^\[empty_numpy\] wrong shape: expected .+, got \[-1\]\. .+"),
        (((2, -3),), ValueError, r"^\[empty_numpy\] wrong shape"),
        ((3, object), TypeError, r"^\[empty_numpy\] wrong dtype: expected numbers, got object\. "),
        ((3, "no dtype"), TypeError, "not understood"),
        ((1 << 62,), MemoryError, r"^\[empty_numpy\] no memory: expected room for "),
        (((1 << 40, 1 << 40),), MemoryError, r"^\[empty_numpy\] no memory"),
    ],
)
def test_empty_arrays_that_cannot_be(arguments: Any, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        paddle_mps.empty_numpy(*arguments)


# -- from_numpy: sharing --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SHARED)
def test_a_tensor_is_the_arrays_memory(dtype: str) -> None:
    array = filled((3, 4), dtype)
    x = paddle_mps.from_numpy(array)
    assert str(x.dtype) == f"paddle.{dtype}"
    assert x.shape == [3, 4] and x.stop_gradient is True
    assert str(x.place) == "Place(mps:0)"
    assert x.data_ptr() == address(array)
    assert external() == (1, mmap.PAGESIZE)
    np.testing.assert_array_equal(x.numpy(), array)
    np.testing.assert_array_equal((x + x).numpy(), paddle.to_tensor(array).add(x).numpy())
    array[2, 1] = 1
    assert x.numpy()[2, 1] == 1
    x.fill_(0)
    paddle_mps.synchronize()
    assert not array.any()


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3, 4), (513, 1025)], ids=str)
def test_a_shared_tensor_has_the_arrays_shape(shape: tuple[int, ...]) -> None:
    array = filled(shape)
    x = paddle_mps.from_numpy(array)
    assert x.shape == list(shape)
    np.testing.assert_array_equal((x * 2.0).numpy(), array * 2)


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("copy", [False, None, True])
def test_nothing_is_shared_too(shape: tuple[int, ...], copy: bool | None) -> None:
    x = paddle_mps.from_numpy(np.empty(shape, "int64"), copy=copy)
    assert x.shape == list(shape) and str(x.dtype) == "paddle.int64"
    assert str(x.place) == "Place(mps:0)"
    assert paddle_mps.as_numpy(x).shape == shape


def test_ops_in_place_write_the_array() -> None:
    array = filled(4)
    x = paddle_mps.from_numpy(array)
    assert x.add_(x) is x
    x[1:3].fill_(-1.0)
    paddle_mps.synchronize()
    assert array.tolist() == [0.0, -1.0, -1.0, 6.0]


def test_a_shared_tensor_trains() -> None:
    weights = filled((3, 2))
    w = paddle_mps.from_numpy(weights)
    w.stop_gradient = False
    x = paddle.ones([4, 3])
    (paddle.matmul(x, w)).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.full((3, 2), 4.0))
    with paddle.no_grad():
        w.subtract_(w.grad)
    paddle_mps.synchronize()
    np.testing.assert_array_equal(weights, np.arange(6).reshape(3, 2) - 4)


def test_the_array_lives_as_long_as_its_tensors() -> None:
    array = filled(5000)
    array_gone = weakref.ref(array)
    pages_gone = weakref.ref(pages_of(array))
    x = paddle_mps.from_numpy(array)
    del array
    row = x[10:20]
    del x
    gc.collect()
    assert external()[0] == 1
    assert row.tolist() == [float(i % 7) for i in range(10, 20)]
    again = paddle_mps.as_numpy(row)
    del row
    gc.collect()
    assert pages_gone() is not None
    assert again.tolist() == [float(i % 7) for i in range(10, 20)]
    del again
    gc.collect()
    assert array_gone() is None and pages_gone() is None
    assert external() == (0, 0)


def pages_of(array: np.ndarray) -> Any:
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def test_an_array_may_be_shared_several_times() -> None:
    array = filled(3 * mmap.PAGESIZE // 4)
    page = mmap.PAGESIZE // 4
    whole, again = paddle_mps.from_numpy(array), paddle_mps.from_numpy(array)
    inner = paddle_mps.from_numpy(array[page : 2 * page])
    assert external() == (1, 3 * mmap.PAGESIZE)
    inner.fill_(-1.0)
    np.testing.assert_array_equal(whole.numpy(), again.numpy())
    assert float(whole[page]) == -1.0 == float(again[2 * page - 1])
    del whole, again
    gc.collect()
    assert external()[0] == 1
    assert float(inner[0]) == -1.0


def test_ops_see_that_shared_tensors_overlap() -> None:
    """A result over part of its operand is computed aside first, as for views of one tensor."""
    page = mmap.PAGESIZE // 4
    array = filled(4 * page)
    whole = paddle_mps.from_numpy(array)
    front, back = (
        paddle_mps.from_numpy(array[: 2 * page]),
        paddle_mps.from_numpy(array[page : 3 * page]),
    )
    expected = array[: 2 * page] + 1
    paddle.assign(front + 1.0, back)
    np.testing.assert_array_equal(back.numpy(), expected)
    np.testing.assert_array_equal(whole.numpy()[page : 3 * page], expected)


def test_sharing_more_than_what_is_shared_is_refused() -> None:
    page = mmap.PAGESIZE // 4
    array = filled(4 * page)
    inner = paddle_mps.from_numpy(array[page : 2 * page])
    with pytest.raises(ValueError, match=r"memory is shared with the device already, in part"):
        paddle_mps.from_numpy(array)
    assert paddle_mps.from_numpy(array, copy=True).shape == [4 * page]
    del inner
    gc.collect()
    assert paddle_mps.from_numpy(array).shape == [4 * page]


def test_a_tensors_own_memory_goes_both_ways() -> None:
    x = paddle.full([10], 3.0)
    y = paddle_mps.from_numpy(paddle_mps.as_numpy(x))
    z = paddle_mps.from_numpy(paddle_mps.as_numpy(x)[2:5])
    assert y.data_ptr() == x.data_ptr() and external() == (0, 0)
    z.fill_(1.0)
    assert x.tolist() == [3, 3, 1, 1, 1, 3, 3, 3, 3, 3]
    del x
    gc.collect()
    paddle.full([10], -1.0)
    assert y.tolist()[0] == 3.0


def test_a_file_can_be_shared(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(3000, dtype="float32").tofile(path)
    array = np.memmap(path, "float32", "r+")
    x = paddle_mps.from_numpy(array)
    assert float(x[2999]) == 2999.0
    x.fill_(4.0)
    paddle_mps.synchronize()
    array.flush()
    assert np.fromfile(path, "float32").tolist() == [4.0] * 3000
    read_only = np.memmap(path, "float32", "r")
    with pytest.raises(ValueError, match="expected one that may be written, got a read-only one"):
        paddle_mps.from_numpy(read_only)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts as Linux does")
def test_nothing_is_left_behind() -> None:
    array = filled(50_000)
    x = paddle.ones([50_000])

    def once() -> None:
        shared = paddle_mps.from_numpy(array)
        paddle_mps.as_numpy(shared + 1.0)
        paddle_mps.as_numpy(x)
        np.from_dlpack(paddle_mps.to_dlpack(x))
        paddle_mps.from_dlpack(array)
        paddle_mps.from_numpy(paddle_mps.empty_numpy(50_000))
        paddle_mps.from_numpy(array, copy=True)

    def resident_kb() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") // 1024

    for _ in range(100):
        once()
    gc.collect()
    before, held = resident_kb(), paddle_mps.memory_allocated()
    for _ in range(1000):
        once()
    gc.collect()
    assert resident_kb() - before < 8_000  # each round touches a megabyte
    assert paddle_mps.memory_allocated() == held
