"""Events: points in streams, to wait for, and the time between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _library
from . import _stream_base as _base
from ._index import device_index

if TYPE_CHECKING:
    from paddle import CustomPlace

    from ._index import DeviceLike
    from ._stream_base import EventLike, StreamLike


class Event:
    """A point in a stream, to wait for and to measure from.

    An event that was never recorded counts as reached. Recording it again moves it.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.
        enable_timing: Whether `elapsed_time` is going to be asked. Recording costs a little more
            then: the moment has to be looked at on the device.
        blocking: Accepted without effect: waiting never keeps a core busy for long.
        event_base: An event of Paddle's to wrap, instead of making one: `paddle.device.Event`, or
            what that has as its `event_base`. With `enable_timing`, it is timed from its next
            record on.

    Attributes:
        device: The place, `paddle.CustomPlace("mps", N)`.
        enable_timing: As given.
        event_base: Paddle's event. Every function of Paddle's that takes an event takes this
            object, because of it.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.
        TypeError: `event_base` is no event.

    Making one neither synchronises nor allocates device memory. Mirrors `torch.mps.Event` and
    `torch.cuda.Event`. `paddle.device.Event("mps")` fails in Paddle 3.3.1, and Paddle's events
    have no `elapsed_time` on mps.

    Example:
        >>> import paddle, paddle_mps
        >>> start = paddle_mps.Event(enable_timing=True)
        >>> end = paddle_mps.Event(enable_timing=True)
        >>> start.record()
        >>> x = paddle.ones([64, 64]) @ paddle.ones([64, 64])
        >>> end.record()
        >>> end.synchronize()
        >>> start.elapsed_time(end) >= 0
        True
    """

    def __init__(
        self,
        device: DeviceLike = None,
        enable_timing: bool = False,
        blocking: bool = False,
        *,
        event_base: EventLike | None = None,
    ) -> None:
        """See the class."""
        self.enable_timing = bool(enable_timing)
        if event_base is not None:
            _library.require("Event")
            self.event_base = _base.event_base("Event", event_base)
            self._index = int(self.event_base.place.get_device_id())
            if device is not None and device_index("Event", device) != self._index:
                raise ValueError(
                    f"[Event] two devices: expected that of the event, mps:{self._index}, got "
                    f"{device!r} beside it. Leave `device` out."
                )
        else:
            self._index = device_index("Event", device)
            self.event_base = _base.core().CustomDeviceEvent(_library.DEVICE_TYPE, self._index)
        if self.enable_timing:
            _library.require("Event").enable_timing(self.event_base.raw_event)

    @property
    def device(self) -> CustomPlace:
        """The place of the device."""
        return _base.place(self._index)

    def record(self, stream: StreamLike | None = None) -> None:
        """Mark the point that a stream has come to; the event moves there.

        Args:
            stream: A stream of the event's device, this package's or Paddle's. Default: the
                device's current one.

        Raises:
            ValueError: The stream belongs to another device.
            TypeError: It is no stream.

        Neither synchronises nor allocates. Mirrors `torch.cuda.Event.record`.

        Example:
            >>> import paddle_mps
            >>> event = paddle_mps.Event()
            >>> event.record(paddle_mps.Stream())
        """
        if stream is None:
            base = _base.current(self._index)
        else:
            base = _base.stream_base("record", stream)
            if int(base.place.get_device_id()) != self._index:
                raise ValueError(
                    f"[record] two devices: expected a stream of the event's, mps:{self._index}, "
                    f"got one of {base.place}. Make an event for that device."
                )
        self.event_base.record(base)

    def wait(self, stream: StreamLike | None = None) -> None:
        """Let what comes later in a stream wait for this event; the caller does not.

        Args:
            stream: A stream of any mps device. Default: the current one of the event's device.

        Raises:
            TypeError: It is no stream.

        Neither synchronises nor allocates. Mirrors `torch.cuda.Event.wait`.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.Event().wait()
        """
        base = _base.current(self._index) if stream is None else _base.stream_base("wait", stream)
        base.wait_event(self.event_base)

    def query(self) -> bool:
        """Say whether the event is reached.

        Returns:
            True if it is, or if it was never recorded. Neither synchronises nor allocates. Mirrors
            `torch.cuda.Event.query`.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.Event().query()
            True
        """
        return bool(self.event_base.query())

    def synchronize(self) -> None:
        """Wait until the event is reached, with the GIL released.

        Raises:
            OSError: Work before the event failed since the last wait; the message names the op and
                has the device's own words.

        Allocates nothing. Mirrors `torch.cuda.Event.synchronize`.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.Event().synchronize()
        """
        _library.require("synchronize").synchronize_event(self.event_base.raw_event)

    def elapsed_time(self, end_event: EventLike) -> float:
        """Return the milliseconds from this event to another one.

        On the host these are moments at which the streams' threads got to the events; on Metal they
        are the GPU's own time stamps. Nothing of Python's is in them.

        Args:
            end_event: An event of the same device. Both must be reached, and were recorded with
                timing on.

        Returns:
            The time in milliseconds; negative if the other event was reached first. Neither
            synchronises nor allocates. Mirrors `torch.cuda.Event.elapsed_time`.

        Raises:
            ValueError: One of them has no time, or is not reached yet, or they are of two devices.
            TypeError: The other one is no event.

        Example:
            >>> import paddle_mps
            >>> first, second = (paddle_mps.Event(enable_timing=True) for _ in range(2))
            >>> first.record()
            >>> second.record()
            >>> second.synchronize()
            >>> first.elapsed_time(second) < 1000.0
            True
        """
        base = _base.event_base("elapsed_time", end_event)
        if int(base.place.get_device_id()) != self._index:
            raise ValueError(
                f"[elapsed_time] two devices: expected two events of mps:{self._index}, got one of "
                f"{base.place}. Their clocks cannot be compared."
            )
        extension = _library.require("elapsed_time")
        ms: float = extension.elapsed_ms(self.event_base.raw_event, base.raw_event)
        return ms

    def __repr__(self) -> str:
        """Return the device, and whether the event is timed."""
        return f"<paddle_mps.Event device=mps:{self._index} enable_timing={self.enable_timing}>"
