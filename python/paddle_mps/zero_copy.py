"""Arrays and tensors over the same memory: NumPy, DLPack.

Device memory is host-visible, so NumPy can look into a tensor, and a tensor can lie in an array
that starts a page. Nothing is copied; in exchange, the program has to wait before it looks: see
docs/streams_and_memory.md.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from . import _library
from ._index import device_index
from ._tensor import run_op, tensor_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from paddle import Tensor

    from ._index import DeviceLike

# The arrays that Paddle makes of dtypes that NumPy has not; tensor.numpy() does the same.
_STAND_INS = {"bfloat16": "uint16", "float8_e4m3fn": "int8", "float8_e5m2": "int8"}
# Dtypes of arrays that can become tensors. Paddle takes uint16 for bfloat16 everywhere.
_DTYPES = {
    **{
        name: name
        for name in (
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
        )
    },
    "uint16": "bfloat16",
}
_K_DL_CPU = 1
_LARGE_PAGE = 2 << 20


class _Window:
    """The memory of a tensor, as NumPy asks for it. An array made of it keeps the memory."""

    def __init__(self, tensor: Tensor, dtype: np.dtype[Any]) -> None:
        # Not the tensor itself: that may be given other memory, by an op in place for example.
        self._memory = _on_cpu(tensor)
        self.__array_interface__ = {
            "version": 3,
            "data": (tensor.data_ptr(), False),
            "shape": tuple(tensor.shape),
            "typestr": dtype.str,
            "strides": tuple(stride * dtype.itemsize for stride in tensor.strides),
        }


def as_numpy(tensor: Tensor) -> npt.NDArray[Any]:
    """Return an array over the memory of a tensor, without a copy.

    Waits until the device is done, so the array shows what the tensor holds now. It is the tensor's
    own memory: what either side writes later, the other sees. Before reading what ops have written
    since, or writing what queued ops still read, call `paddle_mps.synchronize`.

    Args:
        tensor: A tensor on mps, of any shape and dtype, contiguous or not.

    Returns:
        An array of the same shape, strides and dtype; bfloat16 comes as uint16 and float8 as int8,
        as from `tensor.numpy()`. It keeps the memory, whatever becomes of the tensor. Synchronises;
        allocates nothing.

    Raises:
        TypeError: Not a tensor.
        ValueError: The tensor is not on mps.
        OSError: Work failed on the device since the last wait.

    Source:
        `torch.Tensor.numpy` for CPU tensors.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([2, 2], device="mps")
        >>> view = paddle_mps.as_numpy(x)
        >>> view[0, 1] = 5
        >>> x.tolist()
        [[0.0, 5.0], [0.0, 0.0]]
    """
    index = tensor_device("as_numpy", tensor)
    import numpy as np

    name = str(tensor.dtype).rpartition(".")[2]
    dtype = np.dtype(_STAND_INS.get(name, name))
    _library.require("as_numpy").synchronize(index)
    if tensor.size == 0:
        return np.empty(tuple(tensor.shape), dtype)
    return np.asarray(_Window(tensor, dtype))


def empty_numpy(shape: int | Sequence[int], dtype: npt.DTypeLike = "float32") -> npt.NDArray[Any]:
    """Return an array that `from_numpy` can share with the device.

    Its memory is its own mapping from the system: it starts a page and fills whole pages. Fill it
    (by `np.copyto`, `file.readinto`, `np.random.Generator.random(out=...)`), then share it.

    Args:
        shape: Of the array.
        dtype: Of the array, what `numpy.dtype` takes; "bfloat16" gives a uint16 array. Default:
            float32.

    Returns:
        A C-contiguous array with unspecified contents. Neither synchronises nor allocates device
        memory.

    Raises:
        ValueError: A negative size.
        TypeError: Not a dtype, or one of Python objects.
        MemoryError: The system has no memory of that size.

    Source:
        `numpy.empty`; the counterpart of pinned memory on devices that do not share theirs.

    Example:
        >>> import paddle_mps
        >>> a = paddle_mps.empty_numpy([2, 3])
        >>> a[:] = 1
        >>> paddle_mps.from_numpy(a).sum().item()
        6.0
    """
    import numpy as np

    found = np.dtype(_STAND_INS.get(dtype, dtype) if isinstance(dtype, str) else dtype)
    if found.hasobject:
        raise TypeError(
            f"[empty_numpy] wrong dtype: expected numbers, got {found}. Objects cannot be shared."
        )
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(size < 0 for size in sizes):
        raise ValueError(
            f"[empty_numpy] wrong shape: expected sizes from 0 on, got {list(sizes)}. Correct it."
        )
    count = int(np.prod(sizes, dtype=object)) if sizes else 1
    if count == 0:
        return np.empty(sizes, found)
    pages = _pages(count * found.itemsize)
    return np.frombuffer(pages, found, count).reshape(sizes)


def _pages(size: int) -> mmap.mmap:
    whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    try:
        pages = mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)
    except (OSError, OverflowError) as error:
        raise MemoryError(
            f"[empty_numpy] no memory: expected room for {size} bytes, got none. Free something."
        ) from error
    if whole >= _LARGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def from_numpy(
    array: npt.NDArray[Any], device: DeviceLike = None, copy: bool | None = False
) -> Tensor:
    """Return a tensor on mps over the memory of an array, without a copy.

    The device reads and writes the array's memory: what either side writes, the other sees. Before
    reading what ops have written, or writing what queued ops still read, call
    `paddle_mps.synchronize`. The tensor keeps the array alive; when the last tensor over the memory
    goes, it waits for the device.

    Args:
        array: C-contiguous, writeable, in the machine's byte order, and starting a page, which is
            what `empty_numpy` gives. Its dtype: bool, uint8, int8, int16, int32, int64, float16,
            float32, float64, complex64, complex128, or uint16, which is taken for bfloat16 as
            everywhere in Paddle.
        device: An index, "mps", "mps:N" or a place. Default: the current device.
        copy: False (the default) shares or raises. None shares if it can, and copies otherwise.
            True copies: any array will do, and the result is the tensor's alone.

    Returns:
        A tensor of the same shape and dtype, with `stop_gradient`. Sharing neither synchronises nor
        allocates; copying allocates, and returns when the array may change.

    Raises:
        RuntimeError: There is no mps device.
        TypeError: Not an array, or its dtype is none of the above.
        ValueError: The array cannot be shared and `copy` is False; the message says why. No such
            device.
        MemoryError: No room for the copy, or the system refuses to share the memory.

    Source:
        `torch.from_numpy`; `copy` is that of the Python array API standard.

    Example:
        >>> import numpy as np, paddle_mps
        >>> a = paddle_mps.empty_numpy(4)
        >>> a[:] = [1, 2, 3, 4]
        >>> x = paddle_mps.from_numpy(a)
        >>> y = x.add_(x)
        >>> paddle_mps.synchronize()
        >>> a.tolist()
        [2.0, 4.0, 6.0, 8.0]
        >>> paddle_mps.from_numpy(np.arange(3.0), copy=True).tolist()
        [0.0, 1.0, 2.0]
    """
    index = device_index("from_numpy", device)
    import numpy as np
    import paddle

    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"[from_numpy] not an array: expected a numpy.ndarray, got {type(array).__name__}. "
            "For lists and numbers see paddle.to_tensor, for others from_dlpack."
        )
    name = _DTYPES.get(array.dtype.name)
    if name is None or not array.dtype.isnative:
        raise TypeError(
            f"[from_numpy] wrong dtype: expected one of {', '.join(_DTYPES)} in the machine's byte "
            f"order, got {array.dtype.str if name else array.dtype}. Convert it: "
            "array.astype('float32')."
        )
    if copy:
        return _copied(array, name, index)
    problem = _why_not_shared(array, index)
    if problem:
        if copy is None:
            return _copied(array, name, index)
        raise ValueError(
            f"[from_numpy] the array cannot be shared: {problem}. Fill an array of "
            "paddle_mps.empty_numpy() instead, or pass copy=True."
        )
    if array.size == 0:
        return _empty(array.shape, name, index)
    library = _library.require("from_numpy")
    owner, drop = library.keep(array)
    at = (array.ctypes.data, owner, drop, list(array.shape))
    try:
        any_tensor = paddle.empty([1], dtype="uint8", device="cpu")
        dtype = getattr(paddle, name).value
        return run_op("mps_from_memory", any_tensor, index, dtype, *at)[0]
    except BaseException:
        library.unkeep(array)
        raise


def to_dlpack(tensor: Tensor) -> DLPack:
    """Offer the memory of a tensor to another library, without a copy.

    The other library sees memory of the CPU: device memory is host-visible. Waits until the device
    is done; later writes of either side are seen by the other, as with `as_numpy`.

    Args:
        tensor: A tensor on mps, of any shape and dtype.

    Returns:
        An object for `numpy.from_dlpack`, `torch.from_dlpack`, `paddle.from_dlpack` and the like.
        It, and what is made of it, keep the memory. Synchronises; allocates nothing.

    Raises:
        TypeError: Not a tensor.
        ValueError: The tensor is not on mps.
        OSError: Work failed on the device since the last wait.

    Source:
        `torch.utils.dlpack.to_dlpack`, which gives a capsule; `paddle.utils.dlpack.to_dlpack`
        refuses tensors on mps.

    Example:
        >>> import numpy as np, paddle, paddle_mps
        >>> x = paddle.arange(3, dtype="float32")
        >>> np.from_dlpack(paddle_mps.to_dlpack(x)).tolist()
        [0.0, 1.0, 2.0]
    """
    index = tensor_device("to_dlpack", tensor)
    import paddle

    _library.require("to_dlpack").synchronize(index)
    if tensor.size == 0:
        return DLPack(paddle.empty(tensor.shape, tensor.dtype, device="cpu"))
    return DLPack(_on_cpu(tensor))


class DLPack:
    """A tensor's memory by the DLPack protocol: `__dlpack__` and `__dlpack_device__`."""

    def __init__(self, on_cpu: Tensor) -> None:
        """Take a tensor on the CPU, over the same memory."""
        self._on_cpu = on_cpu

    def __dlpack__(self, **options: Any) -> Any:
        """Return a capsule; the options are the protocol's."""
        return self._on_cpu.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the type and index of the device that the memory is offered as: the CPU."""
        return (_K_DL_CPU, 0)


def from_dlpack(source: Any, device: DeviceLike = None, copy: bool | None = False) -> Tensor:
    """Return a tensor on mps over the memory of another library's array, without a copy.

    Memory is shared as by `from_numpy`, with the same conditions.

    Args:
        source: Something with `__dlpack__` (an array of NumPy, a tensor of torch or of Paddle on
            the CPU) or a DLPack capsule. Dense, in memory of the CPU, and starting a page.
        device: An index, "mps", "mps:N" or a place. Default: the current device.
        copy: False (the default) shares or raises; None shares if it can, and copies otherwise;
            True copies.

    Returns:
        A tensor of the same shape and dtype, with `stop_gradient`. Sharing neither synchronises nor
        allocates; copying allocates, and returns when the source may change.

    Raises:
        RuntimeError: There is no mps device.
        TypeError: The source does not speak DLPack.
        ValueError: It is not in memory of the CPU; or it cannot be shared and `copy` is False; no
            such device.
        MemoryError: No room for the copy, or the system refuses to share the memory.

    Source:
        `torch.from_dlpack`; `copy` is that of the Python array API standard.

    Example:
        >>> import paddle_mps
        >>> a = paddle_mps.empty_numpy(2)
        >>> a[:] = 7
        >>> paddle_mps.from_dlpack(a).tolist()
        [7.0, 7.0]
    """
    index = device_index("from_dlpack", device)
    import numpy as np
    import paddle

    if isinstance(source, np.ndarray):
        return from_numpy(source, index, copy)

    is_capsule = type(source).__name__ == "PyCapsule"
    if not is_capsule and not hasattr(source, "__dlpack__"):
        raise TypeError(
            "[from_dlpack] not a DLPack source: expected an object with __dlpack__ or a capsule, "
            f"got {type(source).__name__}. For lists and numbers see paddle.to_tensor."
        )
    where = "the CPU" if is_capsule else _dlpack_device(source)
    if where != "the CPU":
        raise ValueError(
            f"[from_dlpack] wrong device: expected memory of the CPU, got a source on {where}. "
            "Move it to the CPU first."
        )
    # A tensor that came to Paddle by DLPack and goes there again never lets go (Paddle 3.3.1 locks
    # a mutex twice), so Paddle's own tensors are taken as they are.
    is_paddle = isinstance(source, paddle.Tensor)
    on_cpu = source.detach() if is_paddle else paddle.utils.dlpack.from_dlpack(source)
    if not on_cpu.place.is_cpu_place():  # a capsule says so only now
        raise ValueError(
            "[from_dlpack] wrong device: expected memory of the CPU, got a source on "
            f"{on_cpu.place}. Move it to the CPU first."
        )
    problem = "" if copy else _why_not_shared_tensor(on_cpu, index)
    if problem and copy is False:
        raise ValueError(
            f"[from_dlpack] the source cannot be shared: {problem}. Fill an array of "
            "paddle_mps.empty_numpy() instead, or pass copy=True."
        )
    name = str(on_cpu.dtype).rpartition(".")[2]
    if on_cpu.size == 0:
        return _empty(on_cpu.shape, name, index)
    if copy or problem:
        return on_cpu._copy_to(paddle.CustomPlace(_library.DEVICE_TYPE, index), True)
    return _shared(on_cpu, name, index)


# -- how it is done -------------------------------------------------------------------------------


def _why_not_shared(array: npt.NDArray[Any], index: int) -> str:
    """Return why an array cannot be shared; an empty string if it can."""
    if not array.flags.c_contiguous:
        return f"expected a C-contiguous one, got strides {array.strides} for shape {array.shape}"
    if not array.flags.writeable:
        return "expected one that may be written, got a read-only one"
    return _why_not_aligned(array.ctypes.data, index) if array.size else ""


def _why_not_shared_tensor(on_cpu: Tensor, index: int) -> str:
    if not on_cpu.is_contiguous():
        return f"expected a dense one, got strides {on_cpu.strides} for shape {on_cpu.shape}"
    return _why_not_aligned(on_cpu.data_ptr(), index) if on_cpu.size else ""


def _why_not_aligned(address: int, index: int) -> str:
    behind = address % mmap.PAGESIZE
    if behind == 0 or _library.require("from_numpy").owns(index, address):
        return ""
    return (
        f"expected memory from the start of a page of {mmap.PAGESIZE} bytes on, got an address "
        f"{behind} bytes behind one"
    )


def _dlpack_device(source: Any) -> str:
    if hasattr(source, "place") and not source.place.is_cpu_place():
        return str(source.place)  # Paddle does not know mps by DLPack's numbers
    kind = int(source.__dlpack_device__()[0])
    return "the CPU" if kind == _K_DL_CPU else f"DLPack device {kind}"


def _on_cpu(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU over the memory of one on mps, with its shape and strides."""
    import paddle

    # An op of a plugin gets a dense copy of a tensor that is not dense, so it is given the first
    # element of the memory instead.
    first = paddle.as_strided(tensor.detach(), [1], [1], 0)
    whole = run_op("mps_alias", first, -1, tensor.dtype.value)[0]
    offset = tensor.data_ptr() - first.data_ptr()
    return paddle.as_strided(whole, tensor.shape, tensor.strides, offset)


def _empty(shape: Sequence[int], name: str, index: int) -> Tensor:
    import paddle

    place = paddle.CustomPlace(_library.DEVICE_TYPE, index)
    empty: Tensor = paddle._C_ops.empty(list(shape), getattr(paddle, name), place)
    return empty


def _copied(array: npt.NDArray[Any], name: str, index: int) -> Tensor:
    tensor = _empty(array.shape, name, index)
    if array.size:
        dense = array if array.flags.c_contiguous else array.copy()
        _library.require("from_numpy").upload(index, tensor.data_ptr(), dense)
    return tensor


def _shared(on_cpu: Tensor, name: str, index: int) -> Tensor:
    import paddle

    return run_op("mps_alias", on_cpu, index, getattr(paddle, name).value)[0]
