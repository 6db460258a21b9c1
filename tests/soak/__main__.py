"""`python tests/soak`: everything at once, for as long as you like, and nothing may grow.

Runs the jobs of jobs.py in random order and looks at the process between them. It fails if

- a job computes something wrong, or raises what it does not expect;
- the resident memory grows by more than one percent from the end of the warm-up to the end (medians
  of the first and the last fifth of what was measured after it);
- at the end, with everything deleted, a figure of the device's memory is not zero.

With --plant-leak the soak keeps one tensor a round, and has to fail: a check of the check.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import statistics
import sys
import time
from pathlib import Path

# Read by `import paddle`: faults can be injected.
os.environ.setdefault("PADDLE_MPS_FAULT", "none")
# oneDNN keeps the last so many primitives, 1,024 unless told: they would come by all day.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")

import numpy as np
import paddle
import paddle_mps
from jobs import MIB, all_jobs
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

WARM_UP = 0.3  # of the time
MOST_GROWTH = 0.01
ROUND = 20  # jobs between two looks at the process
MUST_BE_ZERO = (
    "allocated_bytes",
    "requested_bytes",
    "blocks_bytes",
    "waiting_bytes",
    "block_count",
    "external_bytes",
    "reserved_bytes",
)


def resident_bytes() -> int:
    """Return what the process has in memory; the C library's own cache is given back before."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def settle() -> None:
    """Wait for everything and give back what nobody uses."""
    gc.collect()
    paddle_mps.synchronize()
    paddle_mps.empty_cache(graphs=True)


def run_jobs(seconds: float, seed: int, plant_leak: bool, progress: Progress) -> list[int]:
    """Run jobs; return the resident memory after each round that came after the warm-up."""
    rng = np.random.default_rng(seed)
    jobs = all_jobs()
    names = list(jobs)
    kept, resident = [], []
    start = time.monotonic()
    bar = progress.add_task("soak", total=seconds, note="")
    done = 0
    while (elapsed := time.monotonic() - start) < seconds:
        for _ in range(ROUND):
            name = str(rng.choice(names))
            try:
                jobs[name](rng)
            except BaseException:
                print(f"[soak] job {done} ({name}) of --seed {seed} failed.", file=sys.stderr)
                raise
            done += 1
        if plant_leak:
            kept.append(paddle.zeros([MIB // 8]))
        settle()
        now = resident_bytes()
        if elapsed > WARM_UP * seconds:
            resident.append(now)
        note = f"{done} jobs, {now / MIB:.1f} MiB"
        progress.update(bar, completed=min(elapsed, seconds), note=note)
    return resident


def growth(resident: list[int]) -> float:
    """Return by which share the last fifth lies above the first one."""
    fifth = max(1, len(resident) // 5)
    return statistics.median(resident[-fifth:]) / statistics.median(resident[:fifth]) - 1.0


def main() -> int:
    """Run the soak; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random order")
    parser.add_argument(
        "--most-growth", type=float, default=MOST_GROWTH, help="allowed (default: 0.01)"
    )
    parser.add_argument(
        "--plant-leak", action="store_true", help="leak on purpose, to see it found"
    )
    arguments = parser.parse_args()
    paddle.set_device("mps")
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        resident = run_jobs(arguments.seconds, arguments.seed, arguments.plant_leak, progress)
    settle()
    stats = paddle_mps.memory_stats()
    problems = [
        f"{name} is {stats[name]} at the end: expected 0" for name in MUST_BE_ZERO if stats[name]
    ]
    if len(resident) < 10:
        problems.append(
            f"only {len(resident)} rounds after the warm-up: expected 10, run it longer"
        )
    else:
        grown = growth(resident)
        tenths = np.array_split(np.array(resident) / MIB, 10)
        print(f"resident MiB over {len(resident)} rounds after the warm-up, medians of tenths:")
        print("  " + " ".join(f"{np.median(tenth):.1f}" for tenth in tenths))
        print(f"growth {100 * grown:+.2f} %")
        if grown > arguments.most_growth:
            problems.append(
                f"resident memory grew by {100 * grown:.2f} %: expected at most "
                f"{100 * arguments.most_growth:.0f} %"
            )
    for problem in problems:
        print(f"[soak] {problem}.", file=sys.stderr)
    outcome = "FAILED" if problems else "passed"
    print(f"soak of {arguments.seconds:.0f} s, --seed {arguments.seed}: {outcome}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
