"""What streams and events are made of: Paddle's own, behind this package's or given as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from . import _library

if TYPE_CHECKING:
    import paddle
    from paddle import CustomPlace

    from .events import Event
    from .streams import Stream

    StreamLike = Union[Stream, paddle.device.Stream, paddle.base.core.CustomDeviceStream]
    EventLike = Union[Event, paddle.device.Event, paddle.base.core.CustomDeviceEvent]

# The stream that each device began with; kept, because nobody else might.
_defaults: dict[int, Any] = {}


def core() -> Any:
    """Return the part of Paddle that has its streams and events."""
    import paddle

    return paddle.base.core


def place(index: int) -> CustomPlace:
    """Return the place of a device."""
    import paddle

    return paddle.CustomPlace(_library.DEVICE_TYPE, index)


def current(index: int) -> Any:
    """Return Paddle's stream that ops of this thread go to on a device."""
    return core()._get_current_custom_device_stream(_library.DEVICE_TYPE, index)


def set_current(index: int, base: Any) -> None:
    """Make a stream of Paddle's the current one of its device."""
    core()._set_current_custom_device_stream(_library.DEVICE_TYPE, index, base)


def default(index: int) -> Any:
    """Return Paddle's stream that a device began with."""
    if index not in _defaults:
        _defaults[index] = current(index)
    return _defaults[index]


def stream_base(op: str, stream: Any) -> Any:
    """Return Paddle's stream behind one of this package's or Paddle's."""
    base = getattr(stream, "stream_base", stream)
    return _checked(op, "a stream", core().CustomDeviceStream, base, stream)


def event_base(op: str, event: Any) -> Any:
    """Return Paddle's event behind one of this package's or Paddle's."""
    base = getattr(event, "event_base", event)
    return _checked(op, "an event", core().CustomDeviceEvent, base, event)


def _checked(op: str, what: str, kind: type, base: Any, given: Any) -> Any:
    ours = f"paddle_mps.{what.split()[1].capitalize()}"
    if not isinstance(base, kind):
        raise TypeError(
            f"[{op}] not {what}: expected a {ours} or one of Paddle's for mps, got "
            f"{type(given).__name__}. Make one: {ours}()."
        )
    if base.place.get_device_type() != _library.DEVICE_TYPE:
        raise ValueError(
            f"[{op}] wrong device: expected {what} of mps, got one of {base.place}. "
            f"Make one: {ours}()."
        )
    return base
