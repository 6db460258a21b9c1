"""Whole networks, a step of training or decoding each, on mps and on Paddle's CPU device.

    python benchmarks/models.py --check
    python benchmarks/models.py --only lstm --markdown docs/benchmarks_models.md

Both devices run the same model on the same numbers in one process, interleaved (timing.py), and the
CPU with one thread and with a thread per physical core; the better counts. `submissions` are the
graphs that mps launches in a step, and `memory` is the most that it held. An op that ran on the CPU
instead is named, and makes --check fail. The bar is twice as fast as the CPU device.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timing

timing.prepare(KMP_BLOCKTIME="1")  # see all_ops.py

import paddle  # noqa: E402
import paddle_mps  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

BAR = 2.0
HEADER = ("workload", "mps ms", "cpu ms", "threads", "faster", "submissions", "memory MiB", "")


def launches() -> int:
    cache = paddle_mps.graph_cache_info()
    return cache.hits + cache.misses


class Device:
    """A workload on one device, as ways to time it."""

    def __init__(self, workload: type, device: str) -> None:
        self.name = device
        paddle.set_device(device)
        paddle.seed(0)
        self.workload = workload()

    def way(self, threads: int) -> timing.Way:
        def before() -> None:
            paddle.set_device(self.name)
            paddle.base.core.set_num_threads(threads)

        wait = paddle_mps.synchronize if self.name == "mps" else (lambda: None)
        return timing.Way(f"{self.name} {threads}", self.workload.step, wait, before)


def measure(workload: type, rounds: int) -> tuple[list[str], bool]:
    """A row of the table, and whether it holds its bar."""
    mps, cpu = Device(workload, "mps"), Device(workload, "cpu")
    cores = timing.physical_cores()
    on_mps, *on_cpu = mps.way(cores), *(cpu.way(n) for n in sorted({1, cores}))
    times = timing.compare([on_mps, *on_cpu], rounds=rounds, sample_s=0.1)
    best = times.best([way.name for way in on_cpu])
    faster = times.ratio(best, on_mps.name)

    on_mps.before()
    paddle_mps.reset_fallback_report()
    paddle_mps.reset_peak_memory_stats()
    before = launches()
    mps.workload.step()
    paddle_mps.synchronize()
    fell_back = [f"{r.op} ({r.dtype})" for r in paddle_mps.fallback_report().fell_back]
    row = [
        f"{workload.__name__}: {workload.__doc__}",
        f"{times.median(on_mps.name) * 1e3:,.1f}",
        f"{times.median(best) * 1e3:,.1f}",
        best.split()[-1],
        f"{faster:.2f}",
        f"{launches() - before:,}",
        f"{paddle_mps.max_memory_allocated() / 2**20:,.0f}",
        "CPU: " + ", ".join(fell_back) if fell_back else "" if faster >= BAR else "missed",
    ]
    return row, not fell_back and faster >= BAR


def main() -> int:
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    options = parser.parse_args()
    rows, missed = [], []
    for workload in WORKLOADS:
        if options.only.lower() not in workload.__name__.lower():
            continue
        row, holds = measure(workload, options.rounds)
        rows.append(row)
        if not holds:
            missed.append(workload.__name__)
        print(f"{workload.__name__}: {row[4]} times as fast", file=sys.stderr)
    print()
    timing.print_table(HEADER, rows)
    if options.markdown:
        options.markdown.write_text(page(rows))
    for name in missed:
        print(f"MISSED: {name}")
    return 1 if options.check and missed else 0


def page(rows: list[list[str]]) -> str:
    facts = timing.conditions()
    lines = [
        "# Benchmarks of whole networks",
        "",
        "Written by `benchmarks/models.py --markdown docs/benchmarks_models.md`, which also",
        "explains how it is measured; the networks are in `benchmarks/workloads.py`. These are",
        "figures of a CPU: the host device against Paddle's CPU device. They say nothing about a",
        "Mac.",
        "",
        f"- {facts['machine']}, {facts['physical_cores']} cores, load {facts['load_average']:.1f}; "
        f"{facts['time']}",
        f"- commit {facts['commit']}, Paddle {facts['paddle']}",
        "",
        '"Faster" is how many times as fast as the CPU device at its better number of threads; the',
        f"bar is {BAR:g}.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
