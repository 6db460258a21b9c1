"""What a device's memory holds: as a table for people, and as data with every block."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _library
from ._index import device_index
from ._words import bytes_in_words, limit_in_words
from .device import get_device_properties
from .memory import memory_stats
from .memory_record import events_of, figures_after_history

if TYPE_CHECKING:
    import os

    from ._index import DeviceLike
    from .memory_record import MemoryEvent

SCHEMA = "paddle_mps.memory_snapshot"
VERSION = 1
# In the order of `state` in plugin/paddle/exports.h.
STATES = ("free", "in use", "idle", "waiting")
FIGURES_OVER_TIME = ("requested_bytes", "blocks_bytes", "reserved_bytes")
_TRIES = 10


def memory_summary(device: DeviceLike = None) -> str:
    """Return a table of a device's memory, for people.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The table; its figures are those of `memory_stats`. Neither synchronises nor allocates.
        Mirrors `torch.cuda.memory_summary`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> print(paddle_mps.memory_summary())
        memory of mps:0, ...
        bytes                        now          peak
        ----------------------------------------------
        in tensors ...
    """
    index = device_index("memory_summary", device)
    stats = memory_stats(index)
    mode = _library.require("memory_summary").allocator(index)
    name = get_device_properties(index).name

    def line(label: str, now: str, peak: str = "") -> str:
        return f"{label:<18}{now:>14}{peak:>14}".rstrip()

    def size(label: str, figure: str) -> str:
        peak = stats.get(f"peak_{figure}")
        return line(
            label, bytes_in_words(stats[figure]), "" if peak is None else bytes_in_words(peak)
        )

    def count(label: str, figure: str) -> str:
        return line(label, f"{stats[figure]:,}")

    rule = "-" * 46
    return "\n".join(
        [
            f"memory of {_library.DEVICE_TYPE}:{index}, {name}; idle memory is kept by {mode}",
            line("bytes", "now", "peak"),
            rule,
            size("in tensors", "allocated_bytes"),
            size("requested", "requested_bytes"),
            size("in blocks", "blocks_bytes"),
            size("reserved", "reserved_bytes"),
            size("waiting", "waiting_bytes"),
            line("limit", limit_in_words(stats["limit_bytes"])),
            size("largest free", "largest_free_block_bytes"),
            size("by the driver", "driver_allocated_bytes"),
            rule,
            count("blocks", "block_count"),
            count("heaps", "heap_count"),
            count("allocations", "allocation_count"),
            count("frees", "free_count"),
            count("waited for room", "retry_count"),
            count("found no room", "failure_count"),
        ]
    )


def memory_snapshot(
    path: str | os.PathLike[str] | None = None, device: DeviceLike = None
) -> dict[str, Any]:
    """Return every heap and block of a device's memory, and its history if that was recorded.

    `python -m paddle_mps.memory_plot FILE` draws it.

    Args:
        path: A file to write it to, as JSON. Default: none.
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        Plain data, fit for JSON. Addresses and sizes are in bytes, times in seconds since 1970.

        - `schema`: "paddle_mps.memory_snapshot", and `version`: 1
        - `time`, `paddle_mps` (the package's version), `allocator` ("mps" or "paddle": who keeps
          idle memory)
        - `device`: `index`, `name`, `backend`, `total_memory`, `recommended_max_memory`
        - `statistics`: what `memory_stats` returns
        - `consistent`: whether all of this is of one moment; False if other threads kept changing
          memory meanwhile
        - `streams`: the numbers of the streams that have heaps
        - `arenas`: the heaps by address. Each has `address`, `bytes`, `class` ("small" or "large":
          of blocks up to 64 KiB or above), `stream`, `unit_bytes` (what blocks are multiples of)
          and `blocks`, which cover it from end to end. Each block has `offset`, `bytes`,
          `requested_bytes` (0 if not in use) and `state`: "in use"; "idle", which is kept as it
          is for the next request of its size; "waiting", which was freed while another stream than
          its own used it; or "free". If its allocation is in the history, `op` and `stack` too.
        - `history`: events as in `memory_history`, with `stack` as a number
        - `after_history`: `requested_bytes`, `blocks_bytes` and `reserved_bytes` after the last
          event: those of now, unless recording has ended
        - `stacks`: for each such number a list of [file, line, function], the innermost first

        Neither synchronises nor allocates on a device. Mirrors `torch.cuda.memory_snapshot`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.
        OSError: The file cannot be written.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000], dtype="float32") + 1.0
        >>> snapshot = paddle_mps.memory_snapshot()
        >>> blocks = [block for arena in snapshot["arenas"] for block in arena["blocks"]]
        >>> used = sum(block["bytes"] for block in blocks if block["state"] == "in use")
        >>> used == snapshot["statistics"]["blocks_bytes"]
        True
    """
    index = device_index("memory_snapshot", device)
    extension = _library.require("memory_snapshot")
    statistics, rows, event_rows, consistent = _look(index, extension)
    events = events_of(event_rows, extension)
    stacks: dict[Any, int] = {}
    properties = get_device_properties(index)
    arenas = _arenas(rows, _allocations(events), stacks)
    after = figures_after_history(index, statistics)
    snapshot = {
        "schema": SCHEMA,
        "version": VERSION,
        "time": time.time(),
        "paddle_mps": extension.plugin_version(),
        "allocator": extension.allocator(index),
        "device": {
            "index": index,
            "name": properties.name,
            "backend": properties.backend,
            "total_memory": properties.total_memory,
            "recommended_max_memory": properties.recommended_max_memory,
        },
        "statistics": statistics,
        "consistent": consistent,
        "streams": sorted({arena["stream"] for arena in arenas}),
        "arenas": arenas,
        "history": [{**event._asdict(), "stack": _number(event.stack, stacks)} for event in events],
        "after_history": {name: after[name] for name in FIGURES_OVER_TIME},
        "stacks": [[list(frame) for frame in stack] for stack in stacks],
    }
    if path is not None:
        Path(path).write_text(json.dumps(snapshot), encoding="utf-8")
    return snapshot


def _look(index: int, extension: Any) -> tuple[dict[str, int], list[Any], list[Any], bool]:
    """Return figures, blocks and events of one moment, if other threads leave one."""
    for _ in range(_TRIES):
        before = memory_stats(index)
        rows, events = extension.blocks(index), extension.memory_history(index)
        if all(before[name] == value for name, value in memory_stats(index).items()):
            return before, rows, events, True
    return before, rows, events, False


def _allocations(events: list[MemoryEvent]) -> dict[int, MemoryEvent]:
    """Return the event behind each block that is in use, by address."""
    live = {}
    for event in events:
        if event.action == "allocate":
            live[event.address] = event
        elif event.action == "free":
            live.pop(event.address, None)
    return live


def _arenas(
    rows: list[Any], allocations: dict[int, MemoryEvent], stacks: dict[Any, int]
) -> list[dict[str, Any]]:
    arenas = []
    for base, size, unit, stream, is_small, block_rows in rows:
        blocks = []
        for address, block_size, requested, state in block_rows:
            block = {
                "offset": address - base,
                "bytes": block_size,
                "requested_bytes": requested,
                "state": STATES[state],
            }
            event = allocations.get(address) if STATES[state] == "in use" else None
            if event is not None and event.bytes == requested:
                block["op"] = event.op
                block["stack"] = _number(event.stack, stacks)
            blocks.append(block)
        arenas.append(
            {
                "address": base,
                "bytes": size,
                "class": "small" if is_small else "large",
                "stream": stream,
                "unit_bytes": unit,
                "blocks": blocks,
            }
        )
    return arenas


def _number(stack: Any, stacks: dict[Any, int]) -> int | None:
    """Return the stack's number in this snapshot; a new one if need be."""
    return None if stack is None else stacks.setdefault(stack, len(stacks))
