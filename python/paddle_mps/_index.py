"""What a device argument means: every function that takes one asks here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Union

from . import _library

if TYPE_CHECKING:
    from paddle import CustomPlace

    DeviceLike = Union[int, str, CustomPlace, None]


def device_index(op: str, device: DeviceLike = None) -> int:
    """Return the index of a device that exists.

    Args:
        op: Name of the calling function, for messages.
        device: An index; "mps" (what `paddle.set_device("mps")` would select) or "mps:N"; a place
            of a device or tensor; None for the current device if that is an mps device, else for
            the first one.

    Raises:
        RuntimeError: There is no mps device at all; the message says why.
        ValueError: This one does not exist, or is not an mps device.
        TypeError: `device` is none of the above.
    """
    _library.require(op)
    index = _parse(op, device)
    count = _library.state().device_count
    if not 0 <= index < count:
        raise ValueError(
            f"[{op}] no such device: expected an index from 0 to {count - 1}, got {index}. "
            "See paddle_mps.device_count()."
        )
    return index


def _parse(op: str, device: Any) -> int:
    if device is None:
        return _current()
    if isinstance(device, int) and not isinstance(device, bool):
        return device
    if isinstance(device, str):
        name = device
    elif hasattr(device, "custom_device_type") or hasattr(device, "get_device_type"):
        name = _name_of_place(device)
    else:
        raise TypeError(
            f"[{op}] not a device: expected an int, a str, a place or None, got "
            f"{type(device).__name__}. Write 0 or 'mps:0', for example."
        )
    match = re.fullmatch(r"mps(?::(\d+))?", name)
    if match is None:
        raise ValueError(
            f"[{op}] not an mps device: expected 'mps' or 'mps:N', got {name!r}. "
            "See paddle_mps.device_count()."
        )
    return _first_selected() if match[1] is None else int(match[1])


def _name_of_place(place: Any) -> str:
    if hasattr(place, "get_device_type"):  # paddle.CustomPlace
        return f"{place.get_device_type()}:{place.get_device_id()}"
    if place.is_custom_place():  # a tensor's place, of whatever kind
        return f"{place.custom_device_type()}:{place.custom_device_id()}"
    return str(place)


def _current() -> int:
    import paddle

    kind, _, index = paddle.device.get_device().partition(":")
    return int(index) if kind == _library.DEVICE_TYPE else _first_selected()


def _first_selected() -> int:
    """Return what Paddle takes "mps" for; FLAGS_selected_mpss can shift it."""
    import paddle

    return int(paddle.device.device_to_place(_library.DEVICE_TYPE).get_device_id())
