"""What the monitor draws, with rich: a panel per device, and the list of processes."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from ._tools import require_package
from ._words import bytes_in_words, limit_in_words

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from .monitor_page import DeviceReading, Reading

require_package("monitor", "rich")

from rich.console import Group  # noqa: E402
from rich.panel import Panel  # noqa: E402
from rich.table import Table  # noqa: E402, F811
from rich.text import Text  # noqa: E402, F811

# Layers of memory, the outermost first: name, figure, colour.
_LAYERS = (
    ("reserved", "reserved_bytes", "grey62"),
    ("allocated", "blocks_bytes", "dodger_blue2"),
    ("requested", "requested_bytes", "sky_blue2"),
)
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 400  # of history that are kept; as many are shown as there is room for
_LABEL = 11  # width of the column of names
_AMOUNTS = 28  # and of the one of amounts


class View:
    """Turns one reading after the other into what is to be shown."""

    def __init__(self) -> None:
        """Begin without any reading."""
        self._readings: deque[Reading] = deque(maxlen=2)
        # For each column of the history: when it began, and the most of each layer of each device.
        self._columns: deque[tuple[float, list[dict[str, int]]]] = deque(maxlen=_COLUMNS)

    def add(self, reading: Reading) -> None:
        """Take a reading, and begin a new column of the history."""
        self._readings.append(reading)
        self._columns.append((reading.time, [dict(d.figures) for d in reading.devices]))

    def add_between(self, reading: Reading) -> None:
        """Take a reading for the last column of the history alone, which shows the most."""
        for most, device in zip(self._columns[-1][1], reading.devices):
            for _, figure, _ in _LAYERS:
                most[figure] = max(most[figure], device.figures[figure])

    def render(self, width: int) -> RenderableType:
        """Return the picture of what was read, for a terminal of this width."""
        now = self._readings[-1]
        age = time.strftime("%H:%M:%S", time.gmtime(max(0.0, now.time - now.started)))
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(f"process {now.pid}", "bold")
        head.append(f"  up {age}  ")
        head.append(now.command, "dim")
        parts: list[RenderableType] = [head]
        parts += [self._device(index, width) for index in range(len(now.devices))]
        if now.allocator == "paddle":
            parts.append(Text("allocated: what Paddle's own cache has taken, idle or not", "dim"))
        if not now.consistent:
            parts.append(Text("the process was stopped in the middle of a change", "yellow"))
        return Group(*parts)

    def _device(self, index: int, width: int) -> Panel:
        now = self._readings[-1].devices[index]
        figures = now.figures
        inner = max(width - 4, 20)
        bar = max(inner - _LABEL - _AMOUNTS - 2, 8)
        # Bars and history have one scale, so that they can be compared.
        scale = max(figures["peak_reserved_bytes"], 1)
        lines = Table.grid(padding=(0, 1))
        lines.add_column(width=_LABEL, no_wrap=True)
        lines.add_column(width=bar, no_wrap=True)
        lines.add_column(width=_AMOUNTS, no_wrap=True)
        for name, figure, colour in _LAYERS:
            peak = figures[f"peak_{figure}"]
            amounts = f"{bytes_in_words(figures[figure]):>10}  peak {bytes_in_words(peak)}"
            lines.add_row(name, _bar(figures[figure] / scale, bar, colour), amounts)
        limit = figures["limit_bytes"]
        lines.add_row(
            "of limit",
            _bar(figures["reserved_bytes"] / max(limit, 1), bar, "orange3"),
            f"{figures['reserved_bytes'] / max(limit, 1):>10.1%}  of {limit_in_words(limit)}",
        )
        lines.add_row()
        shown = list(self._columns)[-bar:]
        span = self._readings[-1].time - shown[0][0]
        for name, figure, colour in _LAYERS:
            values = [devices[index][figure] / scale for _, devices in shown]
            note = f"{'last':>10}  {span:.0f} s" if name == "reserved" else ""
            lines.add_row(name, _sparkline(values, colour), Text(note, "dim"))
        return Panel(
            Group(lines, Text(), self._numbers(now)),
            title=f"mps:{now.index}  {now.name}",
            title_align="left",
            border_style="blue",
        )

    def _numbers(self, now: DeviceReading) -> Table:
        figures = now.figures
        lookups = figures["graph_cache_hits"] + figures["graph_cache_misses"]
        hits = f"{figures['graph_cache_hits'] / lookups:.1%}" if lookups else "-"
        cells = [
            ("largest free", bytes_in_words(figures["largest_free_block_bytes"])),
            ("by the driver", bytes_in_words(figures["driver_allocated_bytes"])),
            ("waiting", bytes_in_words(figures["waiting_bytes"])),
            ("blocks", f"{figures['block_count']:,}"),
            ("heaps", f"{figures['heap_count']:,}"),
            ("graphs", f"{figures['graph_cache_entries']:,}"),
            ("allocations", self._counted(now, "allocation_count")),
            ("frees", self._counted(now, "free_count")),
            ("launches", self._counted(now, "launches")),
            ("waited", f"{figures['retry_count']:,}"),
            ("no room", f"{figures['failure_count']:,}"),
            ("graph hits", hits),
        ]
        table = Table.grid(padding=(0, 1), expand=True)
        for _ in range(3):
            table.add_column(style="dim", no_wrap=True, width=13)
            table.add_column(ratio=1, no_wrap=True)
        for first in range(0, len(cells), 3):
            table.add_row(*(text for cell in cells[first : first + 3] for text in cell))
        return table

    def _counted(self, now: DeviceReading, figure: str) -> str:
        """Return a count, and how fast it grew since the reading before."""
        total = f"{now.figures[figure]:,}"
        if len(self._readings) < 2:
            return total
        before, after = self._readings[-2], self._readings[-1]
        grown = now.figures[figure] - before.devices[now.index].figures[figure]
        return f"{total} ({grown / max(after.time - before.time, 1e-6):,.0f}/s)"


def list_of(readings: list[Reading]) -> RenderableType:
    """Return the table of processes."""
    if not readings:
        return Text("no process with paddle_mps shows its memory")
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), expand=True)
    table.add_column("process", justify="right", no_wrap=True, min_width=7)
    table.add_column("device", no_wrap=True, min_width=6)
    for name in ("allocated", "reserved", "limit"):
        table.add_column(name, justify="right", no_wrap=True, min_width=10)
    table.add_column("command", no_wrap=True, overflow="ellipsis", ratio=1)
    for reading in readings:
        for device in reading.devices:
            figures = device.figures
            table.add_row(
                str(reading.pid),
                f"mps:{device.index}",
                bytes_in_words(figures["blocks_bytes"]),
                bytes_in_words(figures["reserved_bytes"]),
                limit_in_words(figures["limit_bytes"]),
                reading.command,
            )
    return table


def _bar(share: float, width: int, colour: str) -> Text:
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    filled = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Text.assemble((filled, colour), ("·" * (width - len(filled)), "grey30"))


def _sparkline(values: list[float], colour: str) -> Text:
    """Return a character per value; what is not nothing shows."""
    top = len(_LEVELS) - 1
    levels = [min(max(round(value * top), 1 if value > 0 else 0), top) for value in values]
    return Text("".join(_LEVELS[level] for level in levels), colour)
