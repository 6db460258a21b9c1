"""What it costs to be watched: the monitor's page, and recording the history of memory.

    python benchmarks/observing.py --check

Blocks: the plugin's own allocator on the null device, called from C++, with its figures in memory
of its own or in a mapped file that a monitor could read, with history and without. Ops: `x + 1` of
ten elements from Python, with recording off, without stacks, and with stacks of several depths.

Bars: a page costs at most 3 ns per call of the allocator more than figures that nobody sees.
"""

from __future__ import annotations

import ctypes
import glob
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import timing

PARSER = timing.arguments(__doc__.splitlines()[0])
ARGS = PARSER.parse_args() if __name__ == "__main__" else PARSER.parse_args([])
timing.prepare()

import paddle  # noqa: E402
import paddle_mps  # noqa: E402

PAIRS = 1000  # of allocating and freeing, per call from Python
SIZES = {"a small block": 1000, "a large block": 1 << 20}
BAR_NS = 3.0
DEPTHS = (3, 20, 60)


def library() -> ctypes.CDLL:
    """The allocator with the null device, compiled as the plugin is."""
    path = timing.OUT / "libobserving.so"
    sources = [str(timing.ROOT / "benchmarks" / "observing.cc")]
    for room in ("core", "null"):
        sources += sorted(glob.glob(str(timing.ROOT / "plugin" / room / "*.cc")))
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-O2", "-std=c++17", "-shared", "-fPIC", "-pthread", f"-I{timing.ROOT}"]
    subprocess.run(["c++", *flags, *sources, "-o", str(path)], check=True)
    found = ctypes.CDLL(str(path))
    found.bench_open.restype = ctypes.c_void_p
    found.bench_open.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int]
    found.bench_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
    return found


def blocks(folder: Path) -> tuple[list[tuple[str, ...]], dict[str, object], list[str]]:
    code = library()
    table, results, missed = [], {}, []
    for name, size in SIZES.items():

        def way(label: str, path: str, history: int, size: int = size) -> timing.Way:
            bench = code.bench_open(path.encode(), size, history)
            assert bench, f"cannot use {path}"
            return timing.Way(label, lambda: code.bench_run(bench, PAIRS))

        ways = [
            way("unseen", "", 0),
            way("page", str(folder / f"page-{size}"), 0),
            way("history", "", 1),
            way("history, hook", "", 2),
        ]
        times = timing.compare(ways, rounds=ARGS.rounds)
        ns = {way.name: times.median(way.name) / PAIRS / 2 * 1e9 for way in ways}
        extra = ns["page"] - ns["unseen"]
        if extra > BAR_NS:
            missed.append(
                f"{name}: a page costs {extra:.1f} ns per call; at most {BAR_NS} expected"
            )
        results[name] = {"seconds": times.seconds, "pairs": PAIRS}
        table.append((name, *(f"{ns[way.name]:.1f}" for way in ways)))
    return table, results, missed


def at_depth(depth: int) -> Callable[[], object]:
    """`x + 1`, called from so many functions deep."""
    x = paddle.ones([10])

    def call(left: int) -> object:
        return x + 1.0 if left == 1 else call(left - 1)

    return lambda: call(depth)


def record(stacks: str | None) -> None:
    paddle_mps.record_memory_history(max_entries=10_000, stacks=stacks)


def ops() -> tuple[list[tuple[str, ...]], dict[str, object]]:
    states: dict[str, Callable[[], object]] = {
        "off": lambda: paddle_mps.record_memory_history(False),
        "no stacks": lambda: record(None),
        "stacks": lambda: record("python"),
    }
    table, results = [], {}
    for depth in DEPTHS:
        call = at_depth(depth)
        ways = [
            timing.Way(name, call, paddle_mps.synchronize, before=before)
            for name, before in states.items()
        ]
        times = timing.compare(ways, rounds=ARGS.rounds)
        paddle_mps.record_memory_history(False)
        off, *others = (times.median(way.name) for way in ways)
        row = [timing.microseconds(off)] + [f"{(seconds - off) * 1e6:+.2f}" for seconds in others]
        results[f"x + 1, {depth} frames"] = {"seconds": times.seconds}
        table.append((f"x + 1, {depth} frames deep", *row))
    return table, results


def main() -> int:
    paddle.set_device("mps")
    found = timing.conditions()
    timing.print_conditions(found)
    with tempfile.TemporaryDirectory() as folder:
        table, results, missed = blocks(Path(folder))
    header = ("ns per call", "unseen", "page", "history", "history, hook")
    timing.print_table(header, table)
    print()
    table, of_ops = ops()
    header = ("us per op", "off", "without stacks", "with stacks")
    timing.print_table(header, table)
    print()
    timing.save("observing", ARGS.json, {**results, **of_ops}, found)
    return timing.verdict(missed, check=ARGS.check)


if __name__ == "__main__":
    sys.exit(main())
