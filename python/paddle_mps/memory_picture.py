"""Pictures of a memory snapshot, drawn with matplotlib.

Figures are made without pyplot: no window opens, nothing global changes, and any thread may draw.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._tools import require_package
from ._words import bytes_in_words
from .memory_record import OUTSIDE
from .memory_timeline import Holder, Timeline, load, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Snapshot = dict[str, Any] | str | os.PathLike[str]

# Okabe and Ito's colours, which colour-blind people can tell apart.
_COLOURS = {
    "in use": "#0072B2",
    "rounding": "#8EC6E8",
    "waiting": "#D55E00",
    "idle": "#E69F00",
    "free": "#ECECEC",
}
_MEANINGS = {
    "in use": "in use: what was asked for",
    "rounding": "in use: lost to rounding",
    "waiting": "freed, used by another stream",
    "idle": "idle, kept for the next of its size",
    "free": "free",
}
_LINES = {"reserved_bytes": "#999999", "blocks_bytes": "#0072B2", "requested_bytes": "#8EC6E8"}
_NAMES = {
    "reserved_bytes": "reserved",
    "blocks_bytes": "allocated (in blocks)",
    "requested_bytes": "requested",
}
_INK = "#333333"
_WIDTH = 12.0  # inches
_ROW = 0.34
_TOTALS = 1.25
_CHARACTERS = 130  # fit into a row
_MOST_ROWS = 60
_MOST_POINTS = 3000
_MOST_HOLDERS = 8
_LEAST_SHARE = 0.005  # of the peak; what holds less is not shown by itself
_FRAMES_SHOWN = 3


def plot_memory_snapshot(snapshot: Snapshot, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw every heap and block of a snapshot.

    A row is a heap, from its first byte to its last, with its blocks coloured by their state. Rows
    are equally long; their sizes stand beside them. Above them is the sum of all heaps.

    Args:
        snapshot: What `memory_snapshot` returned, or the file that it wrote.
        path: A file for the picture; its ending says of which kind (.png, .svg, .pdf). Default:
            none.

    Returns:
        The picture, a `matplotlib.figure.Figure`. Neither synchronises nor allocates on a device;
        needs none.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: This is not a snapshot, or not a kind of picture.
        OSError: A file cannot be read or written.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.zeros([1000])
        >>> figure = paddle_mps.plot_memory_snapshot(paddle_mps.memory_snapshot())
        >>> type(figure).__name__
        'Figure'
    """
    op = "plot_memory_snapshot"
    figure_module = require_package(op, "matplotlib.figure")
    snapshot = load(op, snapshot)
    arenas = snapshot["arenas"]
    shown = sorted(sorted(arenas, key=lambda arena: -arena["bytes"])[:_MOST_ROWS], key=_order)
    height = _TOTALS + 0.3 + _ROW * max(len(shown), 1)
    figure = figure_module.Figure(figsize=(_WIDTH, height), dpi=120)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    grid = figure.add_gridspec(2, 1, height_ratios=(_TOTALS, height - _TOTALS))
    _draw_totals(figure.add_subplot(grid[0]), snapshot, _sums(arenas))
    _draw_arenas(figure.add_subplot(grid[1]), shown, len(arenas) - len(shown))
    return _saved(op, figure, path)


def plot_memory_history(snapshot: Snapshot, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the figures of a snapshot over time, and who held memory at their peak.

    Args:
        snapshot: What `memory_snapshot` returned, or the file that it wrote; with a history (see
            `record_memory_history`).
        path: A file for the picture; its ending says of which kind (.png, .svg, .pdf). Default:
            none.

    Returns:
        The picture, a `matplotlib.figure.Figure`. Neither synchronises nor allocates on a device;
        needs none.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: This is not a snapshot, it has no history, or this is not a kind of picture.
        OSError: A file cannot be read or written.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.record_memory_history()
        >>> x = paddle.zeros([1000]) + 1.0
        >>> paddle_mps.record_memory_history(False)
        >>> figure = paddle_mps.plot_memory_history(paddle_mps.memory_snapshot())
        >>> type(figure).__name__
        'Figure'
    """
    op = "plot_memory_history"
    figure_module = require_package(op, "matplotlib.figure")
    snapshot = load(op, snapshot)
    line = timeline(snapshot)
    if line is None:
        raise ValueError(
            f"[{op}] the snapshot has no history: expected events, got none. Call "
            "paddle_mps.record_memory_history() before what you want to see."
        )
    holders = _most(line.holders, int(line.figures["blocks_bytes"][line.peak]))
    below = 0.6 + 0.52 * len(holders)
    figure = figure_module.Figure(figsize=(_WIDTH, 4.6 + below), dpi=120)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    grid = figure.add_gridspec(2, 1, height_ratios=(4.6, below))
    _draw_lines(figure.add_subplot(grid[0]), snapshot, line)
    _draw_holders(figure.add_subplot(grid[1]), holders, line)
    return _saved(op, figure, path)


# -- heaps and blocks -----------------------------------------------------------------------------


def _order(arena: dict[str, Any]) -> tuple[int, str, int]:
    return (arena["stream"], arena["class"], arena["address"])


def _pieces(arena: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return (kind, offset, bytes) of what is to be coloured."""
    pieces = []
    for block in arena["blocks"]:
        start, size, asked = block["offset"], block["bytes"], block["requested_bytes"]
        if block["state"] == "in use":
            pieces += [("in use", start, asked), ("rounding", start + asked, size - asked)]
        else:
            pieces.append((block["state"], start, size))
    return pieces


def _sums(arenas: list[dict[str, Any]]) -> dict[str, int]:
    sums = dict.fromkeys(_COLOURS, 0)
    for arena in arenas:
        for kind, _, size in _pieces(arena):
            sums[kind] += size
    return sums


def _draw_totals(axes: Axes, snapshot: dict[str, Any], sums: dict[str, int]) -> None:
    device, stats = snapshot["device"], snapshot["statistics"]
    reserved = sum(sums.values())
    axes.set_title(
        f"mps:{device['index']}, {device['name']}: {bytes_in_words(reserved)} reserved in "
        f"{len(snapshot['arenas'])} heaps, {bytes_in_words(stats['blocks_bytes'])} in "
        f"{stats['block_count']:,} blocks",
        loc="left",
        fontsize=13,
        fontweight="bold",
        color=_INK,
    )
    start = 0
    for kind, size in sums.items():
        share = f" ({size / reserved:.1%})" if size else ""
        label = f"{_MEANINGS[kind]}: {bytes_in_words(size)}{share}"
        axes.barh(0, size, left=start, color=_COLOURS[kind], label=label, height=1)
        start += size
    axes.set_xlim(0, max(reserved, 1))
    axes.set_ylim(-0.5, 0.5)
    axes.axis("off")
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.12),
        ncols=3,
        frameon=False,
        fontsize=9.5,
        labelcolor=_INK,
        handlelength=1.2,
        borderaxespad=0,
    )


def _draw_arenas(axes: Axes, arenas: list[dict[str, Any]], left_out: int) -> None:
    collections = require_package("plot_memory_snapshot", "matplotlib.collections")
    boxes: dict[str, list[list[tuple[float, float]]]] = {kind: [] for kind in _COLOURS}
    for row, arena in enumerate(arenas):
        top, bottom, scale = row - 0.39, row + 0.39, 1.0 / arena["bytes"]
        for kind, start, size in _pieces(arena):
            left, right = start * scale, (start + size) * scale
            boxes[kind].append([(left, top), (right, top), (right, bottom), (left, bottom)])
        for block in arena["blocks"]:
            _name_block(axes, row, block, scale)
    for kind, polygons in boxes.items():
        # A thin light edge tells neighbours apart.
        axes.add_collection(
            collections.PolyCollection(
                polygons, facecolors=_COLOURS[kind], edgecolors="white", linewidths=0.4
            )
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(arenas), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(arenas)), [_row_label(arena) for arena in arenas])
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=_INK)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(arenas)), [_used_label(arena) for arena in arenas])
    right.tick_params(axis="y", length=0, labelsize=9, labelcolor=_INK)
    right.spines[:].set_visible(False)
    if not arenas:
        axes.text(0.5, 0, "nothing is reserved", ha="center", va="center", color=_INK)
    if left_out:
        axes.set_xlabel(f"and {left_out} smaller heaps", loc="left", fontsize=9, color=_INK)


def _name_block(axes: Axes, row: int, block: dict[str, Any], scale: float) -> None:
    """Write into a block what made it and its size, or its size alone, where there is room."""
    if block["state"] != "in use":
        return
    size, op = bytes_in_words(block["bytes"]), block.get("op", OUTSIDE)
    share = block["bytes"] * scale
    for words in [size] if op == OUTSIDE else [f"{op} {size}", size]:
        if share * _CHARACTERS > len(words) + 2:
            middle = block["offset"] * scale + share / 2
            axes.text(middle, row, words, ha="center", va="center", fontsize=8, color="white")
            return


def _row_label(arena: dict[str, Any]) -> str:
    return f"{bytes_in_words(arena['bytes'])}, {arena['class']}, stream {arena['stream']}"


def _used_label(arena: dict[str, Any]) -> str:
    used = [block["bytes"] for block in arena["blocks"] if block["state"] == "in use"]
    if not used:
        return "no block in use"
    return f"{sum(used) / arena['bytes']:.0%} in {_blocks(len(used))}"


def _blocks(count: int) -> str:
    return f"{count:,} block{'s' if count != 1 else ''}"


# -- over time ------------------------------------------------------------------------------------


def _draw_lines(axes: Axes, snapshot: dict[str, Any], line: Timeline) -> None:
    device, blocks = snapshot["device"], line.figures["blocks_bytes"]
    peak_time, peak_bytes = line.seconds[line.peak], int(blocks[line.peak])
    for name, values in line.figures.items():
        seconds, low, high = _columns(line.seconds, values)
        label = f"{_NAMES[name]}: {bytes_in_words(int(values.max()))} at most"
        axes.step(seconds, high, where="post", color=_LINES[name], label=label, linewidth=1.2)
        if name == "blocks_bytes":
            fill = {"step": "post", "color": _LINES[name], "linewidth": 0}
            axes.fill_between(seconds, low, alpha=0.12, **fill)
            axes.fill_between(seconds, low, high, alpha=0.4, **fill)
    top = max(int(values.max()) for values in line.figures.values())
    limit = snapshot["statistics"]["limit_bytes"]
    if limit < 1.5 * top:
        axes.axhline(limit, color="#D55E00", linestyle="--", linewidth=1, label="limit")
        top = max(top, limit)
    if line.failures:
        axes.plot(
            line.seconds[line.failures],
            blocks[line.failures],
            "x",
            color="#D55E00",
            markersize=9,
            markeredgewidth=2,
            label=f"out of memory ({len(line.failures):,})",
        )
    axes.plot(peak_time, peak_bytes, "o", color=_INK, markersize=6, zorder=5)
    last = line.seconds[-1]
    to_the_left = peak_time > last / 2
    axes.annotate(
        f"peak: {bytes_in_words(peak_bytes)} at {peak_time:.3f} s",
        (peak_time, peak_bytes),
        xytext=(-10 if to_the_left else 10, 12),
        textcoords="offset points",
        ha="right" if to_the_left else "left",
        fontsize=10,
        color=_INK,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )
    axes.axvline(peak_time, color=_INK, linewidth=0.8, linestyle=":")
    axes.set_title(
        f"mps:{device['index']}, {device['name']}: {len(snapshot['history']):,} events in "
        f"{last:.3g} s",
        loc="left",
        pad=26,
        fontsize=13,
        fontweight="bold",
        color=_INK,
    )
    axes.set_xlim(0, last or 1)
    axes.set_ylim(0, max(top, 1) * 1.18)
    step = _tick_step(top)
    ticks = range(0, top + step, step)
    axes.set_yticks(ticks, [bytes_in_words(value).replace(".00", "") for value in ticks])
    axes.set_xlabel("seconds since the first event", color=_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=5,
        frameon=False,
        fontsize=9.5,
        labelcolor=_INK,
        borderaxespad=0,
        columnspacing=1.6,
    ).set_in_layout(False)  # else a wide one makes the axes narrow


def _columns(seconds: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times with the least and the most from each to the next: all of them, or what fits.

    Of many, the events of a column are one point with their least and most, then one with the last
    value, which holds until the next column with events.
    """
    if len(seconds) <= _MOST_POINTS:
        return seconds, values, values
    edges = np.linspace(0, seconds[-1], _MOST_POINTS // 2)
    firsts = np.unique(np.minimum(np.searchsorted(seconds, edges), len(seconds) - 1))
    before = values[np.maximum(firsts - 1, 0)]  # what it still was when the column begins
    low = np.minimum(np.minimum.reduceat(values, firsts), before)
    high = np.maximum(np.maximum.reduceat(values, firsts), before)
    lasts = np.append(firsts[1:], len(seconds)) - 1
    times, low, high = (
        np.stack([at_first, at_last[lasts]], axis=1).ravel()
        for at_first, at_last in ((seconds[firsts], seconds), (low, values), (high, values))
    )
    return times, low, high


def _tick_step(top: int) -> int:
    """Return a power of two, so that labels are round."""
    step = 1
    while step * 6 < top:
        step *= 2
    return step


def _most(holders: list[Holder], total: int) -> list[Holder]:
    """Return those that hold most, and one for all others."""
    shown = [h for h in holders[: _MOST_HOLDERS - 1] if h.bytes >= _LEAST_SHARE * total]
    rest = holders[len(shown) :]
    if len(rest) < 2:
        return holders
    sums = sum(holder.bytes for holder in rest), sum(holder.blocks for holder in rest)
    return [*shown, Holder(f"{len(rest):,} other places", None, *sums)]


def _draw_holders(axes: Axes, holders: list[Holder], line: Timeline) -> None:
    total = max(int(line.figures["blocks_bytes"][line.peak]), 1)
    axes.set_title("who held memory at the peak", loc="left", fontsize=11, color=_INK)
    for row, holder in enumerate(holders):
        axes.barh(row - 0.22, 1, height=0.36, color=_COLOURS["free"])
        axes.barh(row - 0.22, holder.bytes / total, height=0.36, color=_COLOURS["in use"])
        axes.text(
            1.01,
            row - 0.22,
            f"{bytes_in_words(holder.bytes)} ({holder.bytes / total:.0%}){_blocks_of(holder)}",
            va="center",
            fontsize=9.5,
            fontweight="bold",
            color=_INK,
        )
        axes.text(0, row + 0.2, _place_of(holder), va="center", fontsize=8.5, color="#666666")
    axes.set_xlim(0, 1.28)
    axes.set_ylim(len(holders) - 0.5, -0.6)
    axes.axis("off")


def _blocks_of(holder: Holder) -> str:
    if holder.blocks == 0:
        return ""
    return f", {_blocks(holder.blocks)}"


def _place_of(holder: Holder) -> str:
    """Return what allocated it and from where: the program's own frames, if there are any."""
    if not holder.op:
        return "older than the history"
    op = "outside of the plugin's ops" if holder.op == OUTSIDE else holder.op
    if holder.stack is None:
        return op
    own = [frame for frame in holder.stack if "site-packages" not in frame[0]] or holder.stack
    frames = [f"{function} ({os.path.basename(file)}:{line})" for file, line, function in own]
    more = f" < {len(frames) - _FRAMES_SHOWN} more" if len(frames) > _FRAMES_SHOWN else ""
    return f"{op}, in " + " < ".join(frames[:_FRAMES_SHOWN]) + more


# -- files ----------------------------------------------------------------------------------------


def _saved(op: str, figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    if path is None:
        return figure
    kinds = figure.canvas.get_supported_filetypes()
    ending = os.path.splitext(path)[1].lstrip(".").lower()
    if ending not in kinds:
        raise ValueError(
            f"[{op}] no such kind of picture: expected a file that ends in one of "
            f"{', '.join(sorted(kinds))}, got {os.fspath(path)!r}. Write picture.png, for example."
        )
    figure.savefig(path)
    return figure
