"""Streams and events: queues of work, points in them, and the time between two points.

They are made of Paddle's own (`paddle.base.core.CustomDeviceStream` and `CustomDeviceEvent`), so
Paddle's functions take them and these take Paddle's. What they add: errors with words, waiting
without the GIL, the time between events, callbacks, and a current stream per thread.
"""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING, Any, Callable, Union

from . import _library
from ._index import device_index
from .device import set_device

if TYPE_CHECKING:
    from types import TracebackType

    import paddle
    from paddle import CustomPlace

    from ._index import DeviceLike

    StreamLike = Union["Stream", "paddle.device.Stream", "paddle.base.core.CustomDeviceStream"]
    EventLike = Union["Event", "paddle.device.Event", "paddle.base.core.CustomDeviceEvent"]

# What Paddle takes for a priority, and what torch does: 1 and -1 are high, 0 and 2 are normal.
_PRIORITIES = {-1: 1, 0: 2, 1: 1, 2: 2}
_PATIENCE_S = 5.0  # for callbacks that are left when the process ends

# The stream that each device began with; kept, because nobody else might.
_defaults: dict[int, Any] = {}


class Stream:
    """A queue of work on a device: what is in it happens in order, beside other streams.

    Work of different streams is ordered by events alone: `wait_event`, `wait_stream`. Ops go to the
    current stream; `paddle_mps.stream` makes another one current.

    Memory belongs to the stream on which a tensor was made. Keep a tensor that another stream uses
    until that stream is done with it, or has been waited for: see docs/streams_and_memory.md.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.
        priority: -1 or 1 (high), 0 or 2 (normal). Accepted and kept, without effect: neither the
            host nor Metal has queues with priorities.
        stream_base: A stream of Paddle's to wrap, instead of making one: `paddle.device.Stream`, or
            what that has as its `stream_base`. The device is then that stream's.

    Attributes:
        device: The place, `paddle.CustomPlace("mps", N)`.
        priority: As given; 0 for a wrapped stream.
        stream_base: Paddle's stream. Every function of Paddle's that takes a stream takes this
            object, because of it.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: No such device or priority.
        TypeError: `stream_base` is no stream.

    Making one neither synchronises nor allocates device memory. Mirrors `torch.cuda.Stream` and
    `paddle.device.Stream`.

    Example:
        >>> import paddle, paddle_mps
        >>> side = paddle_mps.Stream()
        >>> x = paddle.ones([3])
        >>> with paddle_mps.stream(side):
        ...     side.wait_stream(paddle_mps.default_stream())
        ...     y = x + 1
        >>> paddle_mps.current_stream().wait_stream(side)
        >>> y.tolist()
        [2.0, 2.0, 2.0]
    """

    def __init__(
        self,
        device: DeviceLike = None,
        priority: int = 0,
        *,
        stream_base: StreamLike | None = None,
    ) -> None:
        """See the class."""
        if priority not in _PRIORITIES or isinstance(priority, bool):
            raise ValueError(
                f"[Stream] no such priority: expected -1 or 1 (high), or 0 or 2 (normal), got "
                f"{priority!r}. It has no effect, so leave it out."
            )
        self.priority = priority
        if stream_base is not None:
            _library.require("Stream")
            self.stream_base = _stream_base("Stream", stream_base)
            self._index = int(self.stream_base.place.get_device_id())
            if device is not None and device_index("Stream", device) != self._index:
                raise ValueError(
                    f"[Stream] two devices: expected that of the stream, mps:{self._index}, got "
                    f"{device!r} beside it. Leave `device` out."
                )
        else:
            self._index = device_index("Stream", device)
            _default(self._index)
            self.stream_base = _core().CustomDeviceStream(
                _library.DEVICE_TYPE, self._index, _PRIORITIES[priority], False
            )

    @property
    def device(self) -> CustomPlace:
        """The place of the device."""
        return _place(self._index)

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this point of the stream.

        Args:
            event: The event to record. Default: a new one, without timing.

        Returns:
            The event. Neither synchronises nor allocates. Mirrors `torch.cuda.Stream.record_event`.

        Raises:
            ValueError: The event belongs to another device.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.current_stream().record_event().synchronize()
        """
        if event is None:
            event = Event(self._index)
        event.record(self)
        return event

    def wait_event(self, event: EventLike) -> None:
        """Let what comes later in this stream wait for an event; the caller does not.

        Args:
            event: An event of any mps device, this package's or Paddle's. One that was never
                recorded is not waited for.

        Raises:
            TypeError: It is no event.

        Neither synchronises nor allocates. Mirrors `torch.cuda.Stream.wait_event`.

        Example:
            >>> import paddle_mps
            >>> side = paddle_mps.Stream()
            >>> side.wait_event(paddle_mps.current_stream().record_event())
        """
        self.stream_base.wait_event(_event_base("wait_event", event))

    def wait_stream(self, stream: StreamLike) -> None:
        """Let what comes later in this stream wait for what is in another one now.

        Args:
            stream: A stream of any mps device, this package's or Paddle's.

        Raises:
            TypeError: It is no stream.

        Neither synchronises nor allocates. Mirrors `torch.cuda.Stream.wait_stream`.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.Stream().wait_stream(paddle_mps.current_stream())
        """
        base = _stream_base("wait_stream", stream)
        event = _core().CustomDeviceEvent(_library.DEVICE_TYPE, int(base.place.get_device_id()))
        event.record(base)
        self.stream_base.wait_event(event)

    def query(self) -> bool:
        """Say whether everything in this stream is done.

        Returns:
            True if it is. Neither synchronises nor allocates. Mirrors `torch.cuda.Stream.query`.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.Stream().query()
            True
        """
        return bool(self.stream_base.query())

    def synchronize(self) -> None:
        """Wait until everything in this stream is done, with the GIL released.

        Raises:
            OSError: Work of this stream failed since the last wait; the message names the op and
                has the device's own words. The stream can be used afterwards.

        Allocates nothing. Mirrors `torch.cuda.Stream.synchronize`.

        Example:
            >>> import paddle_mps
            >>> paddle_mps.current_stream().synchronize()
        """
        _library.require("synchronize").synchronize_stream(self.stream_base.raw_stream)

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Call a function once everything that is in this stream now is done.

        The function runs on a thread of the plugin's, one at a time. Later work does not wait for
        it, and `synchronize` does not either; it may itself wait for streams and free tensors. What
        it raises goes to `sys.unraisablehook`. Callbacks that are left when the process ends are
        run before that, for at most five seconds.

        Args:
            callback: Called without arguments.

        Raises:
            TypeError: It cannot be called.

        Neither synchronises nor allocates. Mirrors `cudaLaunchHostFunc`, which torch does not
        offer.

        Example:
            >>> import threading, paddle_mps
            >>> done = threading.Event()
            >>> paddle_mps.current_stream().add_callback(done.set)
            >>> done.wait(30)
            True
        """
        if not callable(callback):
            raise TypeError(
                "[add_callback] not a function: expected something to call without arguments, got "
                f"{type(callback).__name__}. Pass the function itself, not its result."
            )
        _finish_callbacks_at_exit()
        _library.require("add_callback").add_callback(self.stream_base.raw_stream, callback)

    def __eq__(self, other: object) -> bool:
        """Say whether both are the same queue; `paddle.device.Stream` objects count too."""
        raw = getattr(getattr(other, "stream_base", None), "raw_stream", None)
        return bool(raw == self.stream_base.raw_stream)

    def __hash__(self) -> int:
        """Return the same for the same queue."""
        return hash(self.stream_base.raw_stream)

    def __repr__(self) -> str:
        """Return the device and the handle."""
        return (
            f"<paddle_mps.Stream device=mps:{self._index} handle={self.stream_base.raw_stream:#x}>"
        )


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
            self.event_base = _event_base("Event", event_base)
            self._index = int(self.event_base.place.get_device_id())
            if device is not None and device_index("Event", device) != self._index:
                raise ValueError(
                    f"[Event] two devices: expected that of the event, mps:{self._index}, got "
                    f"{device!r} beside it. Leave `device` out."
                )
        else:
            self._index = device_index("Event", device)
            self.event_base = _core().CustomDeviceEvent(_library.DEVICE_TYPE, self._index)
        if self.enable_timing:
            _library.require("Event").enable_timing(self.event_base.raw_event)

    @property
    def device(self) -> CustomPlace:
        """The place of the device."""
        return _place(self._index)

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
            base = _current(self._index)
        else:
            base = _stream_base("record", stream)
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
        base = _current(self._index) if stream is None else _stream_base("wait", stream)
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
        base = _event_base("elapsed_time", end_event)
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


class StreamContext:
    """What `paddle_mps.stream` returns; it may be entered several times."""

    def __init__(self, stream: StreamLike | None) -> None:
        """See `paddle_mps.stream`."""
        self._base = None if stream is None else _stream_base("stream", stream)
        self._before: list[tuple[Any, str | None]] = []

    def __enter__(self) -> None:
        """Make the stream current."""
        if self._base is None:
            return
        import paddle

        index = int(self._base.place.get_device_id())
        _default(index)
        _library.require("stream").enter_thread_context(index)
        stream_before = _current(index)
        _set_current(index, self._base)
        device = paddle.device.get_device()
        elsewhere = device.startswith(f"{_library.DEVICE_TYPE}:") and device != f"mps:{index}"
        if elsewhere:
            set_device(index)
        self._before.append((stream_before, device if elsewhere else None))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make the stream current that was current before."""
        if self._base is None:
            return
        index = int(self._base.place.get_device_id())
        stream_before, device_before = self._before.pop()
        if device_before is not None:
            set_device(device_before)
        _set_current(index, stream_before)
        _library.require("stream").leave_thread_context(index)


def stream(stream: StreamLike | None) -> StreamContext:
    """Run the ops of a `with` block on a stream.

    The stream becomes the current one of its device, and its device the current one if that was
    another mps device; afterwards everything is as before. Only this thread's ops go there: within
    the block `paddle.device.current_stream` and `paddle.device.set_stream` speak of this thread
    too. (`paddle.device.stream_guard` takes these streams as well, but changes the current stream
    of every thread.)

    Entering orders nothing. Let the stream wait for what it reads (`wait_stream`), and whoever
    reads the results for the stream. As in Paddle, this is for eager programs: a static program
    runs on the stream that was current when it was first run.

    Args:
        stream: This package's or Paddle's; None changes nothing.

    Returns:
        A context manager. Neither synchronises nor allocates. Mirrors `torch.cuda.stream`.

    Raises:
        TypeError: It is no stream.

    Example:
        >>> import paddle, paddle_mps
        >>> side = paddle_mps.Stream()
        >>> with paddle_mps.stream(side):
        ...     x = paddle.ones([2]) * 3
        ...     paddle_mps.current_stream() == side
        True
        >>> side.synchronize()
        >>> x.tolist()
        [3.0, 3.0]
    """
    return StreamContext(stream)


def current_stream(device: DeviceLike = None) -> Stream:
    """Return the stream that ops of this thread go to on a device.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The stream. Neither synchronises nor allocates. Mirrors `torch.cuda.current_stream` and
        `paddle.device.current_stream`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.current_stream() == paddle_mps.default_stream()
        True
    """
    index = device_index("current_stream", device)
    _default(index)
    return Stream(stream_base=_current(index))


def default_stream(device: DeviceLike = None) -> Stream:
    """Return the stream that a device begins with.

    Paddle does not say which one that was. It is the one that was current when a function of this
    package first asked, so a program that calls `paddle.device.set_stream` before that should keep
    what it returns.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The stream. Neither synchronises nor allocates. Mirrors `torch.cuda.default_stream`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.default_stream().synchronize()
    """
    return Stream(stream_base=_default(device_index("default_stream", device)))


# -- Paddle's side --------------------------------------------------------------------------------


def _core() -> Any:
    import paddle

    return paddle.base.core


def _place(index: int) -> CustomPlace:
    import paddle

    return paddle.CustomPlace(_library.DEVICE_TYPE, index)


def _current(index: int) -> Any:
    return _core()._get_current_custom_device_stream(_library.DEVICE_TYPE, index)


def _set_current(index: int, base: Any) -> None:
    _core()._set_current_custom_device_stream(_library.DEVICE_TYPE, index, base)


def _default(index: int) -> Any:
    if index not in _defaults:
        _defaults[index] = _current(index)
    return _defaults[index]


def _stream_base(op: str, stream: Any) -> Any:
    """Return Paddle's stream behind one of this package's or Paddle's."""
    base = getattr(stream, "stream_base", stream)
    return _checked(op, "a stream", _core().CustomDeviceStream, base, stream)


def _event_base(op: str, event: Any) -> Any:
    """Return Paddle's event behind one of this package's or Paddle's."""
    base = getattr(event, "event_base", event)
    return _checked(op, "an event", _core().CustomDeviceEvent, base, event)


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


@functools.cache
def _finish_callbacks_at_exit() -> None:
    atexit.register(_library.require("add_callback").finish_callbacks, _PATIENCE_S)
