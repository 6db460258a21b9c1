"""Streams: queues of work, and which of them the ops of a thread go to.

They are made of Paddle's own (`paddle.base.core.CustomDeviceStream`, and `CustomDeviceEvent` in
events.py), so Paddle's functions take them and these take Paddle's. What they add: errors with
words, waiting without the GIL, the time between events, callbacks, and a current stream per thread.
"""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING, Any, Callable

from . import _library
from . import _stream_base as _base
from ._index import device_index
from .device import set_device
from .events import Event

if TYPE_CHECKING:
    from types import TracebackType

    from paddle import CustomPlace

    from ._index import DeviceLike
    from ._stream_base import EventLike, StreamLike

# What Paddle takes for a priority, and what torch does: 1 and -1 are high, 0 and 2 are normal.
_PRIORITIES = {-1: 1, 0: 2, 1: 1, 2: 2}
_PATIENCE_S = 5.0  # for callbacks that are left when the process ends


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
            self.stream_base = _base.stream_base("Stream", stream_base)
            self._index = int(self.stream_base.place.get_device_id())
            if device is not None and device_index("Stream", device) != self._index:
                raise ValueError(
                    f"[Stream] two devices: expected that of the stream, mps:{self._index}, got "
                    f"{device!r} beside it. Leave `device` out."
                )
        else:
            self._index = device_index("Stream", device)
            _base.default(self._index)
            self.stream_base = _base.core().CustomDeviceStream(
                _library.DEVICE_TYPE, self._index, _PRIORITIES[priority], False
            )

    @property
    def device(self) -> CustomPlace:
        """The place of the device."""
        return _base.place(self._index)

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
        self.stream_base.wait_event(_base.event_base("wait_event", event))

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
        base = _base.stream_base("wait_stream", stream)
        event = _base.core().CustomDeviceEvent(
            _library.DEVICE_TYPE, int(base.place.get_device_id())
        )
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


class StreamContext:
    """What `paddle_mps.stream` returns; it may be entered several times."""

    def __init__(self, stream: StreamLike | None) -> None:
        """See `paddle_mps.stream`."""
        self._base = None if stream is None else _base.stream_base("stream", stream)
        self._before: list[tuple[Any, str | None]] = []

    def __enter__(self) -> None:
        """Make the stream current."""
        if self._base is None:
            return
        import paddle

        index = int(self._base.place.get_device_id())
        _base.default(index)
        _library.require("stream").enter_thread_context(index)
        stream_before = _base.current(index)
        _base.set_current(index, self._base)
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
        _base.set_current(index, stream_before)
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
    _base.default(index)
    return Stream(stream_base=_base.current(index))


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
    return Stream(stream_base=_base.default(device_index("default_stream", device)))


@functools.cache
def _finish_callbacks_at_exit() -> None:
    atexit.register(_library.require("add_callback").finish_callbacks, _PATIENCE_S)
