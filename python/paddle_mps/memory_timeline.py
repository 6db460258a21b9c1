"""A snapshot's history as figures over time, and who held memory at their peak.

Plain data in, plain data out: it needs neither a device nor a tool.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .memory_report import FIGURES_OVER_TIME, SCHEMA, VERSION

# What an event changes: figure -> (field of the event, sign by action).
_CHANGES = {
    "requested_bytes": ("bytes", {"allocate": 1, "free": -1}),
    "blocks_bytes": ("block_bytes", {"allocate": 1, "free": -1}),
    "reserved_bytes": ("block_bytes", {"reserve": 1, "release": -1}),
}
assert tuple(_CHANGES) == FIGURES_OVER_TIME


@dataclass(frozen=True)
class Holder:
    """Blocks that were allocated in one place of the program.

    Attributes:
        op: What allocated them; empty for blocks that are older than the history.
        stack: [file, line, function], innermost first; None if it was not recorded.
        bytes: Of the blocks together.
        blocks: How many; 0 if unknown.
    """

    op: str
    stack: list[list[Any]] | None
    bytes: int
    blocks: int


@dataclass(frozen=True)
class Timeline:
    """Figures after each event.

    Attributes:
        seconds: Since the first event.
        figures: By name; one value more than there are events, the first from before them.
        peak: Where `blocks_bytes` is largest.
        holders: Who held memory then, most bytes first.
        failures: Where an allocation found no room.
    """

    seconds: np.ndarray
    figures: dict[str, np.ndarray]
    peak: int
    holders: list[Holder]
    failures: list[int]


def load(op: str, snapshot: Any) -> dict[str, Any]:
    """Return a snapshot, read from its file if that is what it is."""
    if isinstance(snapshot, (str, os.PathLike)):
        try:
            snapshot = json.loads(Path(snapshot).read_text(encoding="utf-8"))
        except ValueError as error:  # neither text nor JSON
            raise ValueError(
                f"[{op}] not a snapshot: expected JSON, got {error} in {snapshot}. Write one with "
                "paddle_mps.memory_snapshot(path)."
            ) from None
    got = (
        (snapshot.get("schema"), snapshot.get("version"))
        if isinstance(snapshot, dict)
        else type(snapshot).__name__
    )
    if got != (SCHEMA, VERSION):
        raise ValueError(
            f"[{op}] not a snapshot: expected schema and version {(SCHEMA, VERSION)}, got {got}. "
            "Write one with paddle_mps.memory_snapshot(path)."
        )
    return snapshot


def timeline(snapshot: dict[str, Any]) -> Timeline | None:
    """Return the snapshot's figures over time; None if it has no history."""
    events = snapshot["history"]
    if not events:
        return None
    figures = {
        name: _figure(events, snapshot["after_history"][name], *_CHANGES[name])
        for name in FIGURES_OVER_TIME
    }
    times = np.array([event["time"] for event in events])
    peak = int(np.argmax(figures["blocks_bytes"]))
    return Timeline(
        seconds=np.concatenate([times[:1], times]) - times[0],
        figures=figures,
        peak=peak,
        holders=_holders(snapshot, peak, int(figures["blocks_bytes"][peak])),
        failures=[i + 1 for i, e in enumerate(events) if e["action"] == "out of memory"],
    )


def _figure(
    events: list[dict[str, Any]], at_end: int, field: str, signs: dict[str, int]
) -> np.ndarray:
    """Return the values that end at `at_end`; what was before the first event follows from that."""
    changes = np.array([event[field] * signs.get(event["action"], 0) for event in events])
    sums = np.concatenate([[0], np.cumsum(changes)])
    return sums + (at_end - sums[-1])


def _holders(snapshot: dict[str, Any], peak: int, bytes_at_peak: int) -> list[Holder]:
    live: dict[int, dict[str, Any]] = {}
    for event in snapshot["history"][:peak]:
        if event["action"] == "allocate":
            live[event["address"]] = event
        elif event["action"] == "free":
            live.pop(event["address"], None)
    groups: dict[tuple[str, int | None], list[int]] = {}
    for event in live.values():
        groups.setdefault((event["op"], event["stack"]), []).append(event["block_bytes"])
    holders = [
        Holder(op, None if stack is None else snapshot["stacks"][stack], sum(sizes), len(sizes))
        for (op, stack), sizes in groups.items()
    ]
    older = bytes_at_peak - sum(holder.bytes for holder in holders)
    if older > 0:
        holders.append(Holder("", None, older, 0))
    return sorted(holders, key=lambda holder: -holder.bytes)
