"""Recording what happens to memory, and where the program was."""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING, NamedTuple

from . import _library
from ._index import device_index

if TYPE_CHECKING:
    from typing import Any, Literal

    from ._index import DeviceLike

# In the order of `kind` in plugin/paddle/exports.h.
_ACTIONS = ("allocate", "free", "reserve", "release", "out of memory")
OUTSIDE = "mps"  # what an event's `op` is if nothing of the plugin's was running
_MOST_ENTRIES = 100_000_000  # 7 GB of them

_recording: set[int] = set()  # devices
_figures_at_end: dict[int, dict[str, int]] = {}  # by device, when recording ended


class StackFrame(NamedTuple):
    """A place in a Python program.

    Attributes:
        file: The file of the code.
        line: The line, from 1.
        function: The function, with its class where Python knows it (3.11 and newer).
    """

    file: str
    line: int
    function: str


class MemoryEvent(NamedTuple):
    """Something that happened to a device's memory.

    Attributes:
        number: Counted from 0 since recording began. A history that lost its first events begins
            with a higher one.
        time: Seconds since 1970.
        action: "allocate" and "free" are of a block; "reserve" and "release" of a heap that was
            taken from the system and given back; "out of memory" is an allocation that failed.
        op: What was running: the name of Paddle's kernel, "matmul" for example, or of the runtime's
            call; "mps" if neither was, as when Paddle copies a tensor to the device.
        stream: Number of the stream whose memory it is.
        address: Where it begins; 0 when out of memory.
        bytes: What was asked for.
        block_bytes: What the block, or heap, takes.
        stack: Where the program was, the innermost frame first; None if that was not recorded or
            the thread was none of Python's.
    """

    number: int
    time: float
    action: str
    op: str
    stream: int
    address: int
    bytes: int
    block_bytes: int
    stack: tuple[StackFrame, ...] | None


def record_memory_history(
    enabled: bool = True,
    max_entries: int = 100_000,
    stacks: Literal["python"] | None = "python",
    device: DeviceLike = None,
) -> None:
    """Begin or end recording what happens to a device's memory, for `memory_history`.

    Beginning forgets what was recorded before; ending keeps it. The last events are kept, 72 bytes
    each, and every different stack once. Recording without stacks is hardly noticed; with stacks,
    each allocation takes Python's lock (GIL) for a microsecond or so, and where several threads run
    Python it may wait for it as long as they do for each other. See `docs/memory.md` for figures.
    While nothing is recorded this costs nothing.

    With PADDLE_MPS_ALLOCATOR=paddle events are those of Paddle's own cache, which are few, and
    they have a stack only where the thread already holds Python's lock. Threads that Python does
    not know have none. A forked child records nothing.

    Args:
        enabled: Whether to begin or to end.
        max_entries: Most events to keep.
        stacks: "python" to note where the Python program is at each event; None not to.
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates on a device. Mirrors
    `torch.cuda.memory._record_memory_history`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: The device does not exist, `max_entries` is not from 1 to 100 million, or
            `stacks` is neither "python" nor None.
        TypeError: `enabled` is not a bool or `max_entries` is not an int.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.record_memory_history()
        >>> x = paddle.ones([1000]) + 1.0
        >>> paddle_mps.record_memory_history(False)
        >>> [event.bytes for event in paddle_mps.memory_history() if event.op == "scale"]
        [4000]
    """
    op = "record_memory_history"
    index = device_index(op, device)
    extension = _library.require(op)
    if not isinstance(enabled, bool):
        raise TypeError(
            f"[{op}] bad value of enabled: expected True or False, got "
            f"{type(enabled).__name__}. Pass False to end recording."
        )
    if not enabled:
        extension.stop_memory_history(index)
        if index in _recording:
            _recording.discard(index)
            _figures_at_end[index] = extension.memory(index)
        return
    if not isinstance(max_entries, int) or isinstance(max_entries, bool):
        raise TypeError(
            f"[{op}] bad number of events: expected an int, got {type(max_entries).__name__}. "
            "Leave max_entries out to keep 100,000."
        )
    if not 1 <= max_entries <= _MOST_ENTRIES:
        raise ValueError(
            f"[{op}] bad number of events: expected max_entries from 1 to {_MOST_ENTRIES:,}, got "
            f"{max_entries:,}. Leave it out to keep 100,000."
        )
    if stacks not in ("python", None):
        raise ValueError(
            f"[{op}] no such stacks: expected 'python' or None, got {stacks!r}. Pass None to "
            "record without them."
        )
    if stacks:
        _end_stacks_at_exit(extension)
    extension.start_memory_history(index, max_entries, stacks == "python")
    _recording.add(index)


def memory_history(device: DeviceLike = None) -> list[MemoryEvent]:
    """Return what was recorded since the last `record_memory_history()`.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The events, oldest first; none if nothing was ever recorded. Neither synchronises nor
        allocates on a device.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> def work():
        ...     return paddle.ones([1000]) + 1.0
        >>> paddle_mps.record_memory_history()
        >>> x = work()
        >>> paddle_mps.record_memory_history(False)
        >>> event = next(e for e in paddle_mps.memory_history() if e.op == "scale")
        >>> event.action, event.bytes, event.stack[0].function
        ('allocate', 4000, 'work')
    """
    index = device_index("memory_history", device)
    extension = _library.require("memory_history")
    return events_of(extension.memory_history(index), extension)


def events_of(rows: list[tuple[Any, ...]], extension: Any) -> list[MemoryEvent]:
    """Turn rows of the extension into events; those of one stack share it."""

    @functools.cache
    def stack_of(number: int) -> tuple[StackFrame, ...] | None:
        frames = extension.frames_of(number) if number else None
        return None if frames is None else tuple(StackFrame(*frame) for frame in frames)

    return [
        MemoryEvent(
            number, time_ns / 1e9, _ACTIONS[kind], op, stream, address, size, block, stack_of(stack)
        )
        for number, time_ns, kind, stream, op, address, size, block, stack in rows
    ]


def figures_after_history(index: int, now: dict[str, int]) -> dict[str, int]:
    """Return the plugin's figures right after the last event: those of now if recording goes on."""
    return now if index in _recording else _figures_at_end.get(index, now)


@functools.cache
def _end_stacks_at_exit(extension: Any) -> None:
    """Ask Python no more once it takes itself apart."""
    atexit.register(extension.switch_stacks_off)
