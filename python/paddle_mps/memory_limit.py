"""How much memory a process may take from the system.

Whoever asks for more than there is room for waits until the device is done with everything, then
what is not in use goes back to the system, and it is tried once more. Only then a MemoryError says
what there is, and the program can go on.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from . import _library
from ._index import device_index
from ._words import NO_LIMIT
from .device import get_device_properties

if TYPE_CHECKING:
    from ._index import DeviceLike

_MOST = 2.0


def recommended_max_memory(device: DeviceLike = None) -> int:
    """Return the most bytes that should be in use at once on a device, for good speed.

    `recommendedMaxWorkingSetSize` of the Metal device. It is also the limit of what the plugin
    takes from the system, unless PADDLE_MPS_MEMORY_LIMIT or `set_per_process_memory_fraction` says
    otherwise.

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


def set_per_process_memory_fraction(fraction: float, device: DeviceLike = None) -> None:
    r"""Limit what this process takes from the system for tensors.

    The limit is $fraction \cdot recommended\_max\_memory$ bytes, and takes the place of
    PADDLE_MPS_MEMORY_LIMIT. It is a limit of whole heaps (`memory_reserved`), so the last few
    megabytes below it may not be of use. What is held already stays, also if it is more: then the
    next allocation that needs another heap fails.

    Args:
        fraction: From 0 to 2; 1 is the recommendation, more than 1 may make everything slow. 0: no
            limit, so that the system decides, which may then stop this process or others.
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates. Mirrors `torch.mps.set_per_process_memory_fraction`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: The device does not exist, or the fraction is not from 0 to 2.
        TypeError: The fraction is not a number.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.set_per_process_memory_fraction(0.5)
        >>> limit = paddle_mps.memory_stats()["limit_bytes"]
        >>> limit == paddle_mps.recommended_max_memory() // 2
        True
        >>> paddle_mps.set_per_process_memory_fraction(1.0)
    """
    op = "set_per_process_memory_fraction"
    index = device_index(op, device)
    if not isinstance(fraction, Real) or isinstance(fraction, bool):
        raise TypeError(
            f"[{op}] not a fraction: expected a number from 0 to 2, got "
            f"{type(fraction).__name__}. Write 0.5 for half of recommended_max_memory()."
        )
    if not 0 <= fraction <= _MOST:
        raise ValueError(
            f"[{op}] fraction out of range: expected a number from 0 to 2, got {fraction}. It is a "
            "share of recommended_max_memory(), and 0 means no limit."
        )
    limit = max(1, int(float(fraction) * recommended_max_memory(index)))
    _library.require(op).set_memory_limit(index, NO_LIMIT if fraction == 0 else limit)


def get_per_process_memory_fraction(device: DeviceLike = None) -> float:
    r"""Return the limit of what this process takes from the system, as a fraction.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        $limit / recommended\_max\_memory$, wherever the limit comes from; 0.0 if there is none.
        Neither synchronises nor allocates. Mirrors `torch.cuda.get_per_process_memory_fraction`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.set_per_process_memory_fraction(0.25)
        >>> paddle_mps.get_per_process_memory_fraction()
        0.25
        >>> paddle_mps.set_per_process_memory_fraction(1.0)
    """
    op = "get_per_process_memory_fraction"
    index = device_index(op, device)
    limit = int(_library.require(op).memory(index)["limit_bytes"])
    return 0.0 if limit >= NO_LIMIT else limit / recommended_max_memory(index)
