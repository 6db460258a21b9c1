"""Arrays and tensors over the same memory: who sees what, who keeps it alive, who refuses."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle_mps
import pytest

pytestmark = pytest.mark.usefixtures("mps")

STAND_INS = {"bfloat16": "uint16", "float8_e4m3fn": "int8", "float8_e5m2": "int8"}
SHARED = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "bfloat16",
)


@pytest.fixture(autouse=True)
def device(mps: None) -> None:
    paddle.set_device("mps")
    gc.collect()
    yield
    gc.collect()
    assert external() == (0, 0), "memory of the program is still shared with the device"


def external() -> tuple[int, int]:
    stats = paddle_mps.memory_stats()
    return stats["external_count"], stats["external_bytes"]


def filled(shape: Any = 6, dtype: Any = "float32") -> np.ndarray:
    array = paddle_mps.empty_numpy(shape, dtype)
    array[...] = np.arange(array.size).reshape(array.shape) % 7
    return array


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


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


# -- from_numpy: copying --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SHARED)
def test_a_copy_takes_any_array(dtype: str) -> None:
    plain = np.arange(24).reshape(4, 6) % 5
    plain = plain.astype(STAND_INS.get(dtype, dtype))
    layouts = {
        "dense": plain,
        "transposed": plain.T,
        "sliced": plain[1:3, 2:],
        "reversed": plain[::-1, ::-2],
        "Fortran": np.asfortranarray(plain),
        "read-only": np.broadcast_to(plain[0], (4, 6)),
        "shareable": filled((4, 6), dtype),
        "0-D": np.array(plain[0, 1]),
    }
    for name, array in layouts.items():
        for copy in (True, None):
            x = paddle_mps.from_numpy(array, copy=copy)
            assert str(x.dtype) == f"paddle.{dtype}" and x.shape == list(array.shape), name
            np.testing.assert_array_equal(x.numpy(), array, err_msg=name)
            if name == "shareable":
                assert (x.data_ptr() == address(array)) is (copy is None)


def test_the_source_of_a_copy_may_change_at_once() -> None:
    for count in (10, 1000, 60_000, 100_000, 3_000_000):
        source = np.full(count, 3.0, "float32")
        x = paddle_mps.from_numpy(source, copy=True)
        source[:] = 4
        assert x.numpy().min() == 3.0 == x.numpy().max()


def test_a_copy_is_the_tensors_alone() -> None:
    array = filled(10)
    x = paddle_mps.from_numpy(array, copy=True)
    x.fill_(9.0)
    paddle_mps.synchronize()
    assert array[1] == 1.0
    assert external() == (0, 0)


# -- DLPack ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [d for d in SHARED if d != "bfloat16"])
def test_numpy_takes_a_tensor(dtype: str) -> None:
    x = paddle.full([3, 4], 2, dtype="float32").cast(dtype)
    array = np.from_dlpack(paddle_mps.to_dlpack(x))
    assert array.dtype == np.dtype(dtype) and address(array) == x.data_ptr()
    np.testing.assert_array_equal(array, x.numpy())
    np.testing.assert_array_equal(np.from_dlpack(paddle_mps.to_dlpack(x.t())), x.numpy().T)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "bool"])
def test_paddle_takes_a_tensor_as_one_of_the_cpu(dtype: str) -> None:
    x = paddle.full([5], 2, dtype="float32").cast(dtype)
    y = paddle.from_dlpack(paddle_mps.to_dlpack(x))
    assert str(y.place) == "Place(cpu)" and y.dtype == x.dtype and y.data_ptr() == x.data_ptr()
    assert y.cast("float32").tolist() == x.cast("float32").tolist()
    empty = paddle.from_dlpack(paddle_mps.to_dlpack(paddle.empty([0, 3], dtype=dtype)))
    assert empty.shape == [0, 3]


# What a library in C sees: the structs of dlpack.h, version 0.8 (github.com/dmlc/dlpack).
class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class DLManagedTensor(ctypes.Structure):
    _fields_ = (
        ("tensor", DLTensor),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    )


def take(capsule: Any) -> DLManagedTensor:
    """Consume a capsule as torch does: rename it, and call the deleter when done."""
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    api.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
    pointer = api.PyCapsule_GetPointer(capsule, b"dltensor")
    assert api.PyCapsule_SetName(capsule, b"used_dltensor") == 0
    return ctypes.cast(pointer, ctypes.POINTER(DLManagedTensor)).contents


def test_a_library_in_c_takes_a_tensor() -> None:
    paddle_mps.synchronize()
    before = paddle_mps.memory_allocated()
    x = paddle.full([6, 4], 2.0).cast("bfloat16")
    offer = paddle_mps.to_dlpack(x.t()[1:, :])
    assert offer.__dlpack_device__() == (1, 0)
    managed = take(offer.__dlpack__())
    tensor = managed.tensor
    assert (tensor.device_type, tensor.device_id) == (1, 0)
    assert (tensor.code, tensor.bits, tensor.lanes) == (4, 16, 1)  # kDLBfloat
    assert [tensor.shape[i] for i in range(tensor.ndim)] == [3, 6]
    assert [tensor.strides[i] for i in range(tensor.ndim)] == [1, 4]
    assert tensor.data + tensor.byte_offset == x.data_ptr() + 2
    del x, offer
    gc.collect()
    paddle.full([6, 4], -1.0).cast("bfloat16")
    paddle_mps.synchronize()
    words = ctypes.cast(tensor.data, ctypes.POINTER(ctypes.c_uint16))
    assert words[0] == 0x4000  # 2.0
    assert paddle_mps.memory_allocated() > before
    managed.deleter(ctypes.addressof(managed))
    gc.collect()
    assert paddle_mps.memory_allocated() == before


def test_torch_takes_and_gives() -> None:
    torch = pytest.importorskip("torch")
    x = paddle.full([3, 4], 2.0)
    theirs = torch.from_dlpack(paddle_mps.to_dlpack(x))
    theirs[1, 2] = 5
    assert float(x[1, 2]) == 5.0
    array = filled((3, 4))
    y = paddle_mps.from_dlpack(torch.from_numpy(array))
    assert y.data_ptr() == address(array)


SOURCES: dict[str, Callable[[np.ndarray], Any]] = {
    "an array": lambda array: array,
    "a tensor of Paddle on the CPU": paddle.from_dlpack,
    "a capsule": lambda array: array.__dlpack__(),
    "an object": lambda array: Offer(array),
}


class Offer:
    """An array of another library."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("copy", [False, None, True])
def test_what_speaks_dlpack_becomes_a_tensor(source: str, copy: bool | None) -> None:
    array = filled((3, 4))
    x = paddle_mps.from_dlpack(SOURCES[source](array), copy=copy)
    assert str(x.place) == "Place(mps:0)" and x.shape == [3, 4]
    assert (x.data_ptr() == address(array)) is (copy is not True)
    np.testing.assert_array_equal((x + 1.0).numpy(), array + 1)
    del x
    gc.collect()


@pytest.mark.parametrize("source", [s for s in SOURCES if s != "an array"])
def test_what_cannot_be_shared_by_dlpack_is_copied_or_refused(source: str) -> None:
    dense = np.arange(12, dtype="float32")
    dense = np.frombuffer(bytearray(4 * 12 + 8192), "float32")[1:13]
    if address(dense) % mmap.PAGESIZE == 0:
        dense = dense[1:]
    for array in (dense, filled((3, 4)).T):
        with pytest.raises(ValueError, match=r"^\[from_dlpack\] the source cannot be shared: exp"):
            paddle_mps.from_dlpack(SOURCES[source](array))
        x = paddle_mps.from_dlpack(SOURCES[source](array), copy=None)
        np.testing.assert_array_equal(x.numpy(), array)
        assert external() == (0, 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "bool", "int64"])
def test_dlpack_keeps_the_dtype(dtype: str) -> None:
    on_cpu = paddle.full([5], 1, dtype=dtype, device="cpu")
    x = paddle_mps.from_dlpack(on_cpu, copy=None)
    assert str(x.dtype) == f"paddle.{dtype}"
    assert x.cast("float32").tolist() == [1.0] * 5
    assert paddle_mps.from_dlpack(paddle.empty([0], dtype=dtype, device="cpu")).shape == [0]
