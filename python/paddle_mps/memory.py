"""How much memory there is, who holds it, and giving it back.

Three layers hold memory, each more than the one before: tensors (Paddle's statistic), blocks that
the plugin gave to Paddle (Paddle keeps some for reuse), and heaps that the plugin took from the
system. All figures are in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _library
from ._index import device_index
from .device import get_device_properties
from .report import clear_graph_cache

if TYPE_CHECKING:
    from ._index import DeviceLike


def memory_allocated(device: DeviceLike = None) -> int:
    r"""Return the bytes that live tensors hold.

    Each tensor counts as a whole number of the smallest unit of memory (256 bytes on the host
    backend): $\sum_t \lceil bytes(t) / unit \rceil \cdot unit$. Views and tensors without elements
    count nothing.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The bytes held now. Neither synchronises nor allocates. Mirrors
        `paddle.device.memory_allocated`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> before = paddle_mps.memory_allocated()
        >>> x = paddle.zeros([1000], dtype="float32")
        >>> paddle_mps.memory_allocated() - before >= 4000
        True
        >>> del x
        >>> paddle_mps.memory_allocated() == before
        True
    """
    return int(_paddle_statistic("memory_allocated", device))


def max_memory_allocated(device: DeviceLike = None) -> int:
    """Return the most bytes that live tensors held at once, since the start or the last reset.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The peak. Neither synchronises nor allocates. Mirrors `paddle.device.max_memory_allocated`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> paddle_mps.max_memory_allocated() >= paddle_mps.memory_allocated()
        True
    """
    return int(_paddle_statistic("max_memory_allocated", device))


def reset_max_memory_allocated(device: DeviceLike = None) -> None:
    """Make the present value of `memory_allocated` its peak.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates. Mirrors `paddle.device.reset_max_memory_allocated`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.reset_max_memory_allocated()
        >>> paddle_mps.max_memory_allocated() == paddle_mps.memory_allocated()
        True
    """
    _paddle_statistic("reset_max_memory_allocated", device)


def memory_reserved(device: DeviceLike = None) -> int:
    """Return the bytes that the plugin has taken from the system for tensors.

    Tensors live in heaps of 32 MiB or more, kept for reuse until `empty_cache`. So this is what the
    process costs the machine, and not what `paddle.device.memory_reserved` calls by that name: the
    blocks that Paddle has taken from these heaps.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The bytes reserved now. Neither synchronises nor allocates.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> paddle_mps.memory_reserved() >= paddle_mps.memory_allocated()
        True
    """
    return memory_stats(device_index("memory_reserved", device))["reserved_bytes"]


def max_memory_reserved(device: DeviceLike = None) -> int:
    """Return the most bytes that the plugin had taken from the system at once.

    Counted since the start or the last reset.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The peak of `memory_reserved`. Neither synchronises nor allocates.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.max_memory_reserved() >= paddle_mps.memory_reserved()
        True
    """
    return memory_stats(device_index("max_memory_reserved", device))["peak_reserved_bytes"]


def reset_max_memory_reserved(device: DeviceLike = None) -> None:
    """Make the present value of `memory_reserved` its peak.

    The peak of the plugin's blocks (see `memory_stats`) is reset with it.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates. Mirrors `paddle.device.reset_max_memory_reserved`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.reset_max_memory_reserved()
        >>> paddle_mps.max_memory_reserved() == paddle_mps.memory_reserved()
        True
    """
    index = device_index("reset_max_memory_reserved", device)
    _library.require("reset_max_memory_reserved").reset_peak_memory(index)


def empty_cache(device: DeviceLike = None, *, graphs: bool = False) -> int:
    """Give memory that no tensor uses back to the system.

    Takes the idle blocks from Paddle, then the heaps in which no block is left from the plugin.
    Nothing that is in use is touched, and a heap with one live tensor stays as a whole. Not needed
    to avoid running out of memory: an allocation that finds no room does all this by itself. It
    helps other programs, or the CPU part of this one.

    Compiled graphs stay unless asked for. They are few bytes, bounded by PADDLE_MPS_CACHE_ENTRIES
    and PADDLE_MPS_CACHE_BYTES, and each costs milliseconds to compile again, so a program that
    calls this once per epoch would pay in time for memory that it hardly gets.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.
        graphs: Forget compiled graphs too, as `clear_graph_cache` does.

    Returns:
        The bytes that went back to the system. Synchronises the device.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Source:
        `paddle.device.empty_cache`, which ends at Paddle's own cache.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1 << 24])
        >>> del x
        >>> paddle_mps.empty_cache() > 0
        True
    """
    index = device_index("empty_cache", device)
    import paddle

    paddle.device.empty_cache()
    if graphs:
        clear_graph_cache(index)
    released: int = _library.require("empty_cache").release_unused(index)
    return released


def driver_allocated_memory(device: DeviceLike = None) -> int:
    """Return the bytes that, by the system's own count, this process holds on a device.

    Tensors, compiled graphs and what the system's libraries keep for themselves:
    `currentAllocatedSize` of the Metal device.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The bytes held now. Neither synchronises nor allocates. Mirrors
        `torch.mps.driver_allocated_memory`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> paddle_mps.driver_allocated_memory() > 0
        True
    """
    return memory_stats(device_index("driver_allocated_memory", device))["driver_allocated_bytes"]


def recommended_max_memory(device: DeviceLike = None) -> int:
    """Return the most bytes that should be in use at once on a device, for good speed.

    `recommendedMaxWorkingSetSize` of the Metal device. It is also the limit of what the plugin
    takes from the system, unless PADDLE_MPS_MEMORY_LIMIT says otherwise.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The bytes. Neither synchronises nor allocates. Mirrors `torch.mps.recommended_max_memory`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.recommended_max_memory() > 0
        True
    """
    return get_device_properties(
        device_index("recommended_max_memory", device)
    ).recommended_max_memory


def memory_stats(device: DeviceLike = None) -> dict[str, int]:
    """Return every figure of the plugin's allocator at once.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        In bytes: `requested_bytes` (what Paddle asked for), `blocks_bytes` (given for it),
        `reserved_bytes` (taken from the system in heaps), the peak of each as `peak_...`,
        `limit_bytes` (most that may be reserved), `largest_free_block_bytes` (what still fits
        without another heap), `driver_allocated_bytes` (the system's count) and `external_bytes`
        (pages of the program's that tensors lie in, see `from_numpy`; not part of the others).
        Plain numbers: `block_count`, `heap_count`, `external_count`. Neither synchronises nor
        allocates.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> stats = paddle_mps.memory_stats()
        >>> stats["blocks_bytes"] <= stats["reserved_bytes"] <= stats["limit_bytes"]
        True
    """
    index = device_index("memory_stats", device)
    extension = _library.require("memory_stats")
    stats: dict[str, int] = extension.memory(index)
    stats["external_count"], stats["external_bytes"] = extension.external_memory(index)
    return stats


def _paddle_statistic(name: str, device: DeviceLike) -> Any:
    """Call the function of that name in paddle.device."""
    index = device_index(name, device)
    import paddle

    return getattr(paddle.device, name)(f"{_library.DEVICE_TYPE}:{index}")
