"""Large ops on mps, side by side with Paddle's CPU device and with the machine's memory bandwidth.

    python benchmarks/ops.py --check

Each op runs on mps and in several ways on the CPU, in one process, interleaved. The CPU runs with
one thread and with a thread per physical core, because threads make some of its ops slower; the
better counts. Everything is done twice, with fresh and with kept memory: what glibc's malloc gives
for a large result is fresh from the system on every call, and touching it first costs more than
most ops, unless the program has freed something larger before. README.md says more. Ops that do
nothing but move memory are also held against STREAM, and matrix products against what the cores
could multiply and add at most (machine.cc), both measured in the same rounds.

Bars: transcendental functions at least 4 times as fast as the CPU, a 1024-cubed matrix product 3
times, memory-bound ops no slower than the CPU and within 1.2 of STREAM. They are held against the
CPU with fresh memory; `--kept` holds them against kept memory.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import timing

timing.prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402
import paddle_mps  # noqa: E402
from machine import CORES, Machine  # noqa: E402

MILLIONS = 4 * 1024 * 1024
MALLOPT = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's own
STREAM_BAR = 1.2
PASSES = 20  # of which the best counts, of STREAM and of the op
MEMORY = ("fresh", "kept") if MALLOPT is not None else ("kept",)


@dataclass(frozen=True)
class Row:
    """One op: Paddle code, shapes of its inputs, and what is expected of it."""

    name: str
    call: Callable
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"
    faster: float | None = None  # at least this many times as fast as the CPU
    bound: str | None = None  # copy, add: STREAM's; fma: arithmetic (machine.cc)
    operations: float = 0.0  # of float32, for fma
    low: float = 0.1
    high: float = 4.0


def unary(name: str, call: Callable, **more) -> Row:
    return Row(f"{name} 4M", call, ((MILLIONS,),), **more)


def binary(name: str, call: Callable, **more) -> Row:
    return Row(f"{name} 4M", call, ((MILLIONS,), (MILLIONS,)), **more)


def product(name: str, rows: int, inner: int, columns: int, **more) -> Row:
    operations = 2.0 * rows * inner * columns
    shapes = ((rows, inner), (inner, columns))
    return Row(f"matmul {name}", paddle.matmul, shapes, bound="fma", operations=operations, **more)


ROWS = (
    unary("exp", paddle.exp, faster=4.0),
    unary("log", paddle.log, faster=4.0),
    unary("sigmoid", F.sigmoid, faster=4.0),
    unary("tanh", paddle.tanh, faster=4.0),
    unary("silu", F.silu, faster=4.0),
    product("1024", 1024, 1024, 1024, faster=3.0),
    binary("add", paddle.add, faster=1.0, bound="add"),
    binary("multiply", paddle.multiply, faster=1.0, bound="add"),
    unary("relu", F.relu, faster=1.0, bound="copy", low=-1.0, high=1.0),
    # The rest has no bar: it is here to be looked at.
    unary("scale", lambda x: x * 2.0 + 1.0),
    unary("sqrt", paddle.sqrt),
    binary("divide", paddle.divide),
    unary("sum", paddle.sum),
    Row("sum rows 2048", lambda x: paddle.sum(x, axis=1), ((2048, 2048),)),
    Row("sum columns 2048", lambda x: paddle.sum(x, axis=0), ((2048, 2048),)),
    unary("mean", paddle.mean),
    unary("cast to float16", lambda x: x.cast("float16")),
    unary("cast from float16", lambda x: x.cast("float32"), dtype="float16"),
    Row("transposed copy 2048", lambda x: x.t().contiguous(), ((2048, 2048),)),
    Row("add a row 2048", paddle.add, ((2048, 2048), (2048,))),
    Row("add a column 2048", paddle.add, ((2048, 2048), (2048, 1))),
    Row("concat 2 x 2M", lambda x, y: paddle.concat([x, y]), ((MILLIONS // 2,),) * 2),
    product("256", 256, 256, 256),
    product("64 x 1024 x 1024", 64, 1024, 1024),
    Row("matmul 1024 x 1024 vector", paddle.matmul, ((1024, 1024), (1024,))),
    Row("bmm 16 x 256", paddle.bmm, ((16, 256, 256), (16, 256, 256))),
)


def best_call(way: timing.Way) -> float:
    """The best of PASSES calls, each waited for: what STREAM's best pass is held against."""
    best = float("inf")
    for _ in range(PASSES):
        begin = time.perf_counter()
        way.call()
        way.wait()
        best = min(best, time.perf_counter() - begin)
    return best


def tensors(row: Row, device: str) -> list[paddle.Tensor]:
    rng = np.random.default_rng(0)
    place = paddle.CPUPlace() if device == "cpu" else paddle.CustomPlace("mps", 0)
    arrays = (rng.uniform(row.low, row.high, s).astype(row.dtype) for s in row.shapes)
    return [paddle.to_tensor(a, place=place) for a in arrays]


def set_malloc(memory: str) -> None:
    """Make malloc give large blocks back to the system at once ("fresh"), or keep them ("kept").

    Not to be undone: what was kept stays where fresh memory would be looked for.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
    least = 1 << 20 if memory == "fresh" else 1 << 30
    if MALLOPT is not None:
        MALLOPT(m_mmap_threshold, least)
        MALLOPT(m_trim_threshold, least)


def ways(row: Row) -> list[timing.Way]:
    """On mps, and on the CPU with one thread and with all."""
    on_cpu, on_mps = tensors(row, "cpu"), tensors(row, "mps")

    def threads(count: int) -> Callable[[], None]:
        return lambda: paddle.base.core.set_num_threads(count)

    # The host backend may compute on the calling thread, so it gets all cores back.
    found = [timing.Way("mps", lambda: row.call(*on_mps), paddle_mps.synchronize, threads(CORES))]
    for count in sorted({1, CORES}):
        name = f"cpu {count}"
        found.append(timing.Way(name, lambda: row.call(*on_cpu), before=threads(count)))
    return found


def fallbacks() -> list[str]:
    return [f"{r.op} ({r.dtype})" for r in paddle_mps.fallback_report().fell_back]


def to_bound(way: timing.Way, row: Row, machine: Machine, rounds: int) -> list[float]:
    """How many times as long as the machine's bound the op's best call takes, once per round."""
    way.before()
    best_call(way)

    def seconds() -> float:
        if row.bound == "fma":
            return machine.fma_seconds(row.operations)
        return machine.stream_seconds(row.bound)

    return [best_call(way) / seconds() for _ in range(rounds)]


def measure(row: Row, machine: Machine, rounds: int) -> dict:
    """Everything about one op: times, the better way on the CPU, how much faster mps is."""
    paddle_mps.reset_fallback_report()
    chosen = ways(row)
    times = timing.compare(chosen, rounds=rounds)
    cpu = times.best([way.name for way in chosen[1:]])
    result = {
        "seconds": times.seconds,
        "mps": times.median("mps"),
        "mps_spread": times.spread("mps"),
        "cpu": times.median(cpu),
        "cpu_threads": int(cpu.split()[1]),
        "speed_up": times.ratio(cpu, "mps"),
        "fell_back": fallbacks(),
    }
    if row.bound:
        result["bound_ratios"] = to_bound(chosen[0], row, machine, rounds)
        result["to_bound"] = statistics.median(result["bound_ratios"])
    return result


def misses(row: Row, result: dict) -> list[str]:
    """The bars that an op does not meet."""
    found = [f"{row.name}: {op} ran on the CPU" for op in result["fell_back"]]
    if row.faster is not None and result["speed_up"] < row.faster:
        speed_up = f"{result['speed_up']:.2f} times as fast as the CPU"
        found.append(f"{row.name}: {speed_up}, expected {row.faster}")
    if row.bound in ("add", "copy") and result["to_bound"] > STREAM_BAR:
        to_stream = f"{result['to_bound']:.2f} of STREAM's time"
        found.append(f"{row.name}: {to_stream}, expected at most {STREAM_BAR}")
    return found


def line(row: Row, results: dict[str, dict]) -> list[str]:
    """A row of the table; the times of mps are those of the first kind of memory."""
    first = results[MEMORY[0]]
    cells = [row.name, timing.microseconds(first["mps"]), f"{100 * first['mps_spread']:.0f} %"]
    for memory in MEMORY:
        result = results[memory]
        cells += [timing.microseconds(result["cpu"]), str(result["cpu_threads"])]
        cells.append(f"{result['speed_up']:.2f}")
    cells.append(f"{row.faster:g}" if row.faster else "")
    cells.append(f"{first['to_bound']:.2f}" if row.bound else "")
    return cells


def main() -> int:
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.add_argument("--kept", action="store_true", help="bars hold against kept memory")
    args = parser.parse_args()
    machine = Machine(MILLIONS, PASSES)
    found = timing.conditions()
    timing.print_conditions(found)
    rows = [row for row in ROWS if args.only in row.name]
    results: dict[str, dict[str, dict]] = {row.name: {} for row in rows}
    for memory in MEMORY:
        set_malloc(memory)
        for row in rows:
            results[row.name][memory] = measure(row, machine, args.rounds)
            print(".", end="", flush=True)
    print("\n")
    header = ["op", "mps us", "+-"]
    for memory in MEMORY:
        header += [f"cpu us, {memory}", "threads", "faster"]
    table = [line(row, results[row.name]) for row in rows]
    timing.print_table([*header, "bar", "/ bound"], table)
    timing.save("ops", args.json, results, found)
    against = MEMORY[-1] if args.kept else MEMORY[0]
    missed = [m for row in rows for m in misses(row, results[row.name][against])]
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
