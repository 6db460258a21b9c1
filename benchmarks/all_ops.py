"""Every family of operators on mps, side by side with Paddle's CPU device, the losses first.

    python benchmarks/all_ops.py --check
    python benchmarks/all_ops.py --only 'sort|cumsum'
    python benchmarks/all_ops.py --markdown docs/benchmarks.md

The device and the CPU take turns of some calls each, and the best call of each counts: so a row
takes a second or two, and a busy machine only makes it less likely that a call is undisturbed.
(`ops.py` measures a few ops with care.) The CPU runs with one thread and with a thread per physical
core; the better counts. Its memory is fresh, as programs start out: see README.md; `--kept`
measures the other.

Memory that other machines share changes its speed by half within a second, and the best call of an
op may come from another moment than the best of STREAM. So a turn of the device is held against the
turn of STREAM behind it, and the median of these ratios counts. STREAM copies or, where an op reads
two arrays and more, adds. Writing goes on beside reading, so no op that reads two arrays and
writes next to nothing moves as many bytes as that; it is held against BabelStream's dot.

A second can be too short to find an undisturbed call. So what missed its bar is asked `--again`
times more, after all other rows: device, CPU and STREAM alike, and all turns count.

op_rows.py holds the rows, and says which bar each is held to.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import timing

# Intel's OpenMP, which Paddle computes with on the CPU, keeps a core busy for 200 ms after each
# loop. That would be taken from the device, whose turn comes next; a millisecond is longer than
# what lies between two loops of one op.
timing.prepare(KMP_BLOCKTIME="1")

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle_mps  # noqa: E402
from machine import CORES, Machine  # noqa: E402
from op_rows import ROWS, Row  # noqa: E402
from ops import set_malloc  # noqa: E402

FASTER = {"memory": 1.0, "function": 4.0, "outer": 2.0, "plain": 1.0}
STREAM_BAR = 1.25
STREAM_ELEMENTS = 16 * 1024 * 1024  # as the rows that are held against it
NEXT_TO_NOTHING = 16  # a result is this small a part of what is read
LEAST_PASSES = 2
PAIRS = 3  # turns of a row that is held against STREAM, in each pass
TURN_S = 0.012
TURN_CALLS = 2


@dataclass
class Result:
    """What came of a row: seconds of the best turns, and multiples of what memory alone takes."""

    mps: float
    cpu: float
    threads: int
    to_bound: float
    fell_back: list[str]
    asked: int

    @property
    def faster(self) -> float:
        return self.cpu / self.mps

    def score(self, row: Row) -> float:
        """Below 1 where a bar is missed; the least first."""
        score = self.faster / FASTER[row.bar]
        if row.bar == "memory":
            score = min(score, STREAM_BAR / self.to_bound)
        return 0.0 if self.fell_back else score


def tensors(row: Row, place: paddle.base.core.Place) -> list[paddle.Tensor]:
    rng = np.random.default_rng(0)
    return [paddle.to_tensor(make(rng), place=place) for make in row.inputs]


def tensors_of(found: object) -> list[paddle.Tensor]:
    results = found if isinstance(found, (list, tuple)) else [found]
    return [t for t in results if isinstance(t, paddle.Tensor)]


def bytes_of(tensors: list[paddle.Tensor]) -> int:
    return sum(t.size * t.element_size() for t in tensors)


def stream_kernel(inputs: list[paddle.Tensor], results: list[paddle.Tensor]) -> tuple[str, int]:
    """STREAM's kernel that reads and writes as these do, and the bytes that a pass of it moves."""
    arrays = sum(t.size >= STREAM_ELEMENTS for t in inputs)
    name, moved = ("add", 3) if arrays > 1 else ("copy", 2)
    if arrays > 1 and bytes_of(results) * NEXT_TO_NOTHING <= bytes_of(inputs):
        name, moved = "dot", 2
    return name, moved * 4 * STREAM_ELEMENTS


class Race:
    """A row's device, CPU and STREAM: the least seconds so far, and all turns next to STREAM's."""

    def __init__(self, row: Row, machine: Machine) -> None:
        self.row, self.machine = row, machine
        self.threads = {f"cpu {n}": n for n in sorted({1, CORES})}
        self.best = dict.fromkeys(["mps", *self.threads], float("inf"))
        self.to_bound: list[float] = []
        self.fell_back: set[str] = set()
        self.asked = 0

    def run(self, seconds: float) -> Result:
        """Passes of every way in turn, until the time is up."""
        on_mps = tensors(self.row, paddle.CustomPlace("mps", 0))
        on_cpu = tensors(self.row, paddle.CPUPlace())
        paddle_mps.reset_fallback_report()
        paddle.set_device("mps")
        results = tensors_of(self.row.call(*on_mps))
        moved = bytes_of(on_mps) + bytes_of(results) + self.row.rest
        kernel, streamed = stream_kernel(on_mps, results)
        del results
        device = ("mps", "mps", on_mps, CORES)
        others = [(name, "cpu", on_cpu, count) for name, count in self.threads.items()]
        for way in (device, *others):
            self._turn(*way)
        begin, passes = time.perf_counter(), 0
        while passes < LEAST_PASSES or time.perf_counter() - begin < seconds:
            for _ in range(PAIRS if self.row.bar == "memory" else 1):
                self._pair(device, kernel, moved / streamed)
            for way in others:
                self._count(way[0], self._turn(*way))
            passes += 1
        fell_back = paddle_mps.fallback_report().fell_back
        self.fell_back |= {f"{r.op} ({r.dtype})" for r in fell_back}
        self.asked += 1
        return self._result()

    def _turn(self, name: str, device: str, inputs: list[paddle.Tensor], threads: int) -> float:
        """The best of some calls, each waited for."""
        paddle.set_device(device)
        paddle.base.core.set_num_threads(threads)
        taken, start = [], time.perf_counter()
        while len(taken) < TURN_CALLS or time.perf_counter() - start < TURN_S:
            begin = time.perf_counter()
            found = self.row.call(*inputs)
            if device == "mps":
                paddle_mps.synchronize()
            taken.append(time.perf_counter() - begin)
            del found
        return min(taken)

    def _pair(self, device: tuple, kernel: str, passes: float) -> None:
        """A turn of the device and one of STREAM; in so many passes it moves as many bytes."""
        taken = self._turn(*device)
        self._count("mps", taken)
        self.to_bound.append(taken / (passes * self.machine.stream_seconds(kernel)))

    def _count(self, name: str, seconds: float) -> None:
        self.best[name] = min(self.best[name], seconds)

    def _result(self) -> Result:
        cpu = min(self.threads, key=self.best.__getitem__)
        times = self.best["mps"], self.best[cpu], self.threads[cpu]
        return Result(*times, median(self.to_bound), sorted(self.fell_back), self.asked)


def run_races(chosen: list[Row], machine: Machine, seconds: float, again: int) -> dict[str, Result]:
    """All rows once, then those that missed their bars `again` times, whatever comes of it.

    To stop at the first turn that meets a bar would be to choose it.
    """
    races = {row.name: Race(row, machine) for row in chosen}
    results: dict[str, Result] = {}
    asked = chosen
    for _ in range(1 + again):
        for row in asked:
            results[row.name] = races[row.name].run(seconds)
            print(".", end="", flush=True)
        if asked is chosen:
            asked = [row for row in chosen if results[row.name].score(row) < 1.0]
    print("\n")
    return results


def cells(row: Row, result: Result) -> list[str]:
    bar = f"{FASTER[row.bar]:g}" + (f", {STREAM_BAR:g}" if row.bar == "memory" else "")
    return [
        row.name,
        timing.microseconds(result.mps),
        timing.microseconds(result.cpu),
        str(result.threads),
        f"{result.faster:.2f}",
        f"{result.to_bound:.2f}",
        bar,
        _remark(row, result),
    ]


def _remark(row: Row, result: Result) -> str:
    if result.fell_back:
        return "CPU: " + ", ".join(result.fell_back)
    missed = ["missed"] if result.score(row) < 1.0 else []
    return ", ".join(missed + ([f"asked {result.asked} times"] if result.asked > 1 else []))


HEADER = ["op", "mps us", "cpu us", "threads", "faster", "/ memory", "bar", ""]


def markdown(path: Path, table: list[list[str]], found: dict, kept: bool) -> None:
    """The table as a page, with the conditions that it was measured under."""
    memory = "kept" if kept else "fresh"
    text = f"""# Benchmarks of every operator

Written by `benchmarks/all_ops.py --markdown docs/benchmarks.md`, which also explains how it is
measured; the rows are in `benchmarks/op_rows.py`. These are figures of a CPU: the host device
against Paddle's CPU device. They say nothing about a Mac.

- {found["machine"]}, {found["physical_cores"]} cores
- {found["time"]}, load {found["load_average"]:.1f}
- commit {found["commit"]}, Paddle {found["paddle"]}; the CPU device with {memory} memory

"Faster" is how many times as fast as the CPU device at its better number of threads; the best turn
of each counts. "/ memory" is the time as a multiple of what STREAM takes for the bytes of all
inputs and results, its copy or, for two inputs and more, its add (BabelStream's dot, where their
result is 1/{NEXT_TO_NOTHING} of them or less): the median of all turns, each held against the turn
of STREAM behind it. "Bar" is what is promised: so many times as fast, and for
ops that only move memory at most {STREAM_BAR:g} of that time. Rows are in order of how far they are
from their bar. What missed its bar was asked again, device, CPU and STREAM alike, and all turns
count; the last column says how often.

| {" | ".join(HEADER)} |
|{"---|" * len(HEADER)}
"""
    lines = ["| " + " | ".join(line) + " |\n" for line in table]
    path.write_text(text + "".join(lines))
    print(f"written: {path}")


def main() -> int:
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.add_argument("--kept", action="store_true", help="with kept memory")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each row (default 1)")
    parser.add_argument("--again", type=int, default=4, help="times more for misses (default 4)")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    args = parser.parse_args()
    set_malloc("kept" if args.kept else "fresh")
    machine = Machine(STREAM_ELEMENTS, passes=4)
    found = timing.conditions()
    timing.print_conditions(found)
    chosen = [row for row in ROWS if re.search(args.only, row.name)]
    if not chosen:
        parser.error(f"no row's name contains {args.only}")
    results = run_races(chosen, machine, args.seconds, args.again)
    chosen.sort(key=lambda row: results[row.name].score(row))
    table = [cells(row, results[row.name]) for row in chosen]
    timing.print_table(HEADER, table)
    numbers = {name: vars(result) for name, result in results.items()}
    timing.save("all_ops", args.json, numbers, found)
    if args.markdown:
        markdown(args.markdown, table, found, args.kept)
    missed = [row.name for row in chosen if results[row.name].score(row) < 1.0]
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
