"""Times several ways of doing one thing side by side, and says on what machine.

A single time says little on a machine that does other things too. So the ways are interleaved: each
round takes one sample of every way, in an order that rotates, and what counts is the ratio within a
round. A sample is as many calls as take about `sample_s` seconds, ended by waiting for the device.
Reported are medians over the rounds, and the spread between the first and third quartile.

Import this module and call `prepare()` before importing Paddle: thread counts are read at import.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out" / "benchmarks"


@dataclass
class Way:
    """One way of doing the thing.

    Attributes:
        name: What the table calls it.
        call: Does it once; may return before the work is done.
        wait: Waits for the work.
        before: Runs before each sample, untimed: sets a thread count, for example.
    """

    name: str
    call: Callable[[], object]
    wait: Callable[[], object] = lambda: None
    before: Callable[[], object] = lambda: None


@dataclass
class Times:
    """Seconds per call of every way, one number per round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def spread(self, name: str) -> float:
        """Distance of the quartiles as a share of the median."""
        low, middle, high = statistics.quantiles(self.seconds[name], n=4)
        return (high - low) / middle

    def best(self, names: Sequence[str]) -> str:
        """The way with the least median."""
        return min(names, key=self.median)

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as long `slow` takes: the median of the rounds' ratios."""
        pairs = zip(self.seconds[slow], self.seconds[fast])
        return statistics.median(s / f for s, f in pairs)


def _sample(way: Way, calls: int, warm: int = 0) -> float:
    way.before()
    for _ in range(warm):
        way.call()
    way.wait()
    begin = time.perf_counter()
    for _ in range(calls):
        way.call()
    way.wait()
    return (time.perf_counter() - begin) / calls


# Intel's OpenMP, which Paddle computes with on the CPU, keeps cores busy for 200 ms after its last
# loop. Whoever's turn is next would have to share the cores with it.
OPENMP_REST_S = 0.25


def compare(
    ways: Sequence[Way], *, rounds: int = 15, sample_s: float = 0.02, rest_s: float = 0.0
) -> Times:
    """Time the ways against each other; see the head of this file.

    If it sleeps `rest_s` between turns, each begins with a fifth more calls that are not timed:
    caches are cold then and clocks low, which says nothing of a program that goes on.
    """
    calls = {}
    for way in ways:
        _sample(way, 2)  # compiles, fills caches
        calls[way.name] = max(1, round(sample_s / max(_sample(way, 3), 1e-7)))
        _sample(way, calls[way.name])
    times = Times({way.name: [] for way in ways})
    for turn in range(rounds):
        for i in range(len(ways)):
            way = ways[(i + turn) % len(ways)]
            time.sleep(rest_s)
            warm = -(-calls[way.name] // 5) if rest_s > 0 else 0
            times.seconds[way.name].append(_sample(way, calls[way.name], warm))
    return times


# -- the machine ----------------------------------------------------------------------------------


def physical_cores() -> int:
    """Cores without hyper-threads; every core there is, if the system does not say."""
    try:
        if platform.system() == "Darwin":
            return int(subprocess.check_output(["sysctl", "-n", "hw.physicalcpu"], text=True))
        cores = set()
        package = "0"
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "physical id":
                package = value.strip()
            elif key.strip() == "core id":
                cores.add((package, value.strip()))
        usable = len(os.sched_getaffinity(0))
        return min(len(cores) or usable, usable)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return os.cpu_count() or 1


def _cpu_name() -> str:
    if platform.system() == "Darwin":
        brand = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.check_output(brand, text=True).strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    """The commit, with "+" if the tree has changes; empty outside of a repository."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changes = subprocess.run(
        [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
    )
    return found.stdout.strip() + ("+" if changes.stdout.strip() else "")


def prepare(**environment: str) -> None:
    """Set what is read when Paddle is imported. Variables that the user has set stay."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("OMP_NUM_THREADS", str(physical_cores()))
    for name, value in environment.items():
        os.environ[name] = value


def conditions() -> dict[str, Any]:
    """What a reader needs to know to believe or repeat the numbers."""
    import numpy
    import paddle
    import paddle_mps

    properties = paddle_mps.get_device_properties()
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": _cpu_name(),
        "system": platform.platform(),
        "physical_cores": physical_cores(),
        "load_average": os.getloadavg()[0],
        "mps_device": f"{properties.name} ({properties.backend})",
        "commit": _commit(),
        "python": platform.python_version(),
        "paddle": paddle.__version__,
        "paddle_mps": paddle_mps.__version__,
        "numpy": numpy.__version__,
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("PADDLE_MPS_", "FLAGS_", "OMP_", "MKL_"))
        },
    }


# -- command line and output ----------------------------------------------------------------------


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each way (default 15)")
    parser.add_argument("--only", default="", help="run the rows whose name contains this")
    parser.add_argument("--json", type=Path, help="where to write the numbers (default: out/)")
    return parser


def microseconds(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us:,.2f}" if us < 100 else f"{us:,.0f}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Left column to the left, numbers to the right."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, ["-" * w for w in widths], *rows]:
        first, *rest = (
            text.ljust(w) if i == 0 else text.rjust(w)
            for i, (text, w) in enumerate(zip(line, widths))
        )
        print("  ".join([first, *rest]))


def save(name: str, path: Path | None, results: dict[str, Any], found: dict[str, Any]) -> None:
    """Write the numbers, every round of them, with the conditions beside them."""
    path = path or OUT / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"conditions": found, "results": results}, indent=1) + "\n")
    print(f"\nwritten: {path}")


def print_conditions(found: dict[str, Any]) -> None:
    print(
        f"{found['machine']}, {found['physical_cores']} cores, load {found['load_average']:.1f}; "
        f"mps: {found['mps_device']}; Paddle {found['paddle']}, commit {found['commit']}\n"
    )


def verdict(missed: Sequence[str], *, check: bool) -> int:
    """Print which bars were missed; the exit status."""
    for line in missed:
        print(f"MISSED: {line}")
    if not missed:
        print("all bars met")
    return 1 if missed and check else 0
