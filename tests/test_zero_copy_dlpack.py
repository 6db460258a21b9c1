"""Arrays copied to the device, and tensors that go between libraries by DLPack."""

from __future__ import annotations

import ctypes
import gc
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import paddle_mps
import pytest
from shared_memory import SHARED, STAND_INS, address, external, filled

pytestmark = pytest.mark.usefixtures("mps", "nothing_stays_shared")

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
