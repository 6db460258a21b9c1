"""How much memory is held, by whom, and giving it back.

Each figure is at least the one before it: what was asked for, the blocks that were given for it,
the heaps ("arenas") that blocks are cut from, and what the system says that all of this takes. All
are in bytes.

With PADDLE_MPS_ALLOCATOR=mps, the default, each tensor is a block, so the bytes in tensors
(Paddle's statistic) and in blocks (the plugin's) are one number. With PADDLE_MPS_ALLOCATOR=paddle,
blocks are what Paddle's own cache has taken from the plugin, and tensors are cut from those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _library
from ._index import device_index
from .report import clear_graph_cache

if TYPE_CHECKING:
    from ._index import DeviceLike


def memory_allocated(device: DeviceLike = None) -> int:
    r"""Return the bytes that live tensors hold.

    Each tensor counts as a whole number of units:
    $\sum_t \lceil bytes(t) / unit \rceil \cdot unit$. The unit is 256 bytes on the host backend for
    tensors of up to 64 KiB, and 16 KiB for larger ones. Views and tensors without elements count
    nothing.

    This is `memory_stats()["blocks_bytes"]` too, as Paddle counts it. With
    PADDLE_MPS_ALLOCATOR=paddle the unit is 256 bytes throughout, and blocks are more: they include
    what Paddle's own cache keeps.

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


def memory_requested(device: DeviceLike = None) -> int:
    """Return the bytes that were asked for by those who hold memory now.

    What `memory_allocated` has more is lost to rounding. With PADDLE_MPS_ALLOCATOR=paddle, it is
    Paddle's own cache that asks, for more than tensors need, so this may be the larger of the two.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The bytes asked for. Neither synchronises nor allocates.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> before = paddle_mps.memory_requested()
        >>> x = paddle.zeros([1000], dtype="float32") + 1.0
        >>> paddle_mps.memory_requested() - before
        4000
    """
    return _plugin_figure("memory_requested", "requested_bytes", device)


def max_memory_requested(device: DeviceLike = None) -> int:
    """Return the most bytes that were held at once, as they were asked for.

    Counted since the start or the last `reset_peak_memory_stats`.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The peak of `memory_requested`. Neither synchronises nor allocates.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.max_memory_requested() >= paddle_mps.memory_requested()
        True
    """
    return _plugin_figure("max_memory_requested", "peak_requested_bytes", device)


def memory_reserved(device: DeviceLike = None) -> int:
    """Return the bytes that the plugin has taken from the system for tensors.

    Tensors live in heaps ("arenas") of 1 MiB or more, kept for reuse until `empty_cache`, or until
    the process would otherwise hold more than it ever did. So this is what the process costs the
    machine, and not what `paddle.device.memory_reserved` calls by that name: the blocks that Paddle
    has taken from these heaps.

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
    return _plugin_figure("memory_reserved", "reserved_bytes", device)


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
    return _plugin_figure("max_memory_reserved", "peak_reserved_bytes", device)


def reset_max_memory_reserved(device: DeviceLike = None) -> None:
    """Make the present value of `memory_reserved` its peak.

    The other peaks of the plugin's own count (of `peak_requested_bytes` and `peak_blocks_bytes` in
    `memory_stats`) are reset with it.

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


def reset_peak_memory_stats(device: DeviceLike = None) -> None:
    """Make the present value of every figure that has a peak its peak.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates. Mirrors `torch.cuda.reset_peak_memory_stats`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.reset_peak_memory_stats()
        >>> stats = paddle_mps.memory_stats()
        >>> stats["peak_allocated_bytes"] == stats["allocated_bytes"]
        True
        >>> stats["peak_reserved_bytes"] == stats["reserved_bytes"]
        True
    """
    index = device_index("reset_peak_memory_stats", device)
    reset_max_memory_allocated(index)
    _library.require("reset_peak_memory_stats").reset_peak_memory(index)


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
    library = _library.require("empty_cache")
    before: int = library.memory(index)["reserved_bytes"]
    import paddle

    paddle.device.empty_cache()  # Paddle's own cache first, where there is one
    if graphs:
        clear_graph_cache(index)
    library.release_unused(index)
    return max(0, before - library.memory(index)["reserved_bytes"])


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
    return _plugin_figure("driver_allocated_memory", "driver_allocated_bytes", device)


def memory_stats(device: DeviceLike = None) -> dict[str, int]:
    """Return every figure of a device's memory at once.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        In bytes:

        - `allocated_bytes`: what live tensors hold (Paddle's statistic; see `memory_allocated`)
        - `requested_bytes`: what was asked for by the blocks that are in use
        - `blocks_bytes`: those blocks, which are requests rounded up
        - `reserved_bytes`: what was taken from the system, in heaps ("arenas")
        - `peak_allocated_bytes`, `peak_requested_bytes`, `peak_blocks_bytes`,
          `peak_reserved_bytes`: the most of each at once, since the start or
          `reset_peak_memory_stats`
        - `waiting_bytes`: blocks that were freed while other streams than their own used them
        - `limit_bytes`: most bytes that may be reserved (2^63 - 1: no limit)
        - `largest_free_block_bytes`: the largest piece of free space in the heaps
        - `driver_allocated_bytes`: what the system says that this process holds on the device
        - `external_bytes`: pages of the program's that tensors lie in (see `from_numpy`); not part
          of the others

        Plain numbers:

        - `block_count`, `heap_count`, `external_count`: of blocks in use, of heaps, of ranges of
          the program's memory
        - `allocation_count`, `free_count`: of blocks, ever
        - `retry_count`: allocations that found no room and had to wait for the device
        - `failure_count`: allocations that found none even then

        Neither synchronises nor allocates. Mirrors `torch.cuda.memory_stats`, with names of its
        own.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> stats = paddle_mps.memory_stats()
        >>> stats["requested_bytes"] <= stats["blocks_bytes"] <= stats["reserved_bytes"]
        True
    """
    index = device_index("memory_stats", device)
    extension = _library.require("memory_stats")
    ranges, bytes_of_pages = extension.external_memory(index)
    return {
        "allocated_bytes": memory_allocated(index),
        "peak_allocated_bytes": max_memory_allocated(index),
        **extension.memory(index),
        "external_count": ranges,
        "external_bytes": bytes_of_pages,
    }


def _plugin_figure(name: str, figure: str, device: DeviceLike) -> int:
    return int(_library.require(name).memory(device_index(name, device))[figure])


def _paddle_statistic(name: str, device: DeviceLike) -> Any:
    """Call the function of that name in paddle.device."""
    index = device_index(name, device)
    import paddle

    return getattr(paddle.device, name)(f"{_library.DEVICE_TYPE}:{index}")
