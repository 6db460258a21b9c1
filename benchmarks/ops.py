"""Large ops on mps, side by side with Paddle's CPU device and with the machine's memory bandwidth.

    python benchmarks/ops.py --check

Each op runs on mps and in several ways on the CPU, in one process, interleaved. The CPU runs with
one thread and with a thread per physical core, because threads make some of its ops slower; the
better counts. Everything is done twice, with fresh and with kept memory: what glibc's malloc gives
for a large result is fresh from the system on every call, and touching it first costs more than
most ops, unless the program has freed something larger before. README.md says more. Ops that do
nothing but move memory are also held against STREAM (stream.cc), measured in the same rounds on
arrays of the same size.

Bars: transcendental functions at least 4 times as fast as the CPU, a 1024-cubed matrix product 3
times, memory-bound ops no slower than the CPU and within 1.2 of STREAM. They are held against the
CPU with fresh memory; `--kept` holds them against kept memory.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import timing

timing.prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402
import paddle_mps  # noqa: E402

MILLIONS = 4 * 1024 * 1024
CORES = timing.physical_cores()
MALLOPT = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's own
STREAM_BAR = 1.2
MEMORY = ("fresh", "kept") if MALLOPT is not None else ("kept",)


@dataclass(frozen=True)
class Row:
    """One op: Paddle code, shapes of its inputs, and what is expected of it."""

    name: str
    call: Callable
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"
    faster: float | None = None  # at least this many times as fast as the CPU
    stream: str | None = None  # the function of stream.cc that moves the same bytes
    low: float = 0.1
    high: float = 4.0


def unary(name: str, call: Callable, **more) -> Row:
    return Row(f"{name} 4M", call, ((MILLIONS,),), **more)


def binary(name: str, call: Callable, **more) -> Row:
    return Row(f"{name} 4M", call, ((MILLIONS,), (MILLIONS,)), **more)


ROWS = (
    unary("exp", paddle.exp, faster=4.0),
    unary("log", paddle.log, faster=4.0),
    unary("sigmoid", F.sigmoid, faster=4.0),
    unary("tanh", paddle.tanh, faster=4.0),
    unary("silu", F.silu, faster=4.0),
    Row("matmul 1024", paddle.matmul, ((1024, 1024), (1024, 1024)), faster=3.0),
    binary("add", paddle.add, faster=1.0, stream="add"),
    binary("multiply", paddle.multiply, faster=1.0, stream="add"),
    unary("relu", F.relu, faster=1.0, stream="copy", low=-1.0, high=1.0),
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
    Row("matmul 256", paddle.matmul, ((256, 256), (256, 256))),
    Row("matmul 64 x 1024 x 1024", paddle.matmul, ((64, 1024), (1024, 1024))),
    Row("matmul 1024 x 1024 vector", paddle.matmul, ((1024, 1024), (1024,))),
    Row("bmm 16 x 256", paddle.bmm, ((16, 256, 256), (16, 256, 256))),
)


class Stream:
    """The memory bound, measured by stream.cc."""

    def __init__(self) -> None:
        source = timing.ROOT / "benchmarks" / "stream.cc"
        library = timing.OUT / "libstream.so"
        if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
            library.parent.mkdir(parents=True, exist_ok=True)
            flags = ["-O3", "-std=c++17", "-shared", "-fPIC", "-pthread"]
            if sys.platform != "darwin":
                flags.append("-march=native")
            subprocess.run(["c++", *flags, str(source), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))
        self._arrays = [self._aligned(MILLIONS) for _ in range(3)]

    @staticmethod
    def _aligned(size: int) -> np.ndarray:
        storage = np.ones(size + 16, np.float32)
        skip = -storage.ctypes.data % 64 // 4
        return storage[skip : skip + size]

    def seconds(self, name: str) -> float:
        """The best time of a few passes, with one thread and with all."""
        function = getattr(self._library, f"stream_{name}")
        function.restype = ctypes.c_double
        *inputs, result = self._arrays if name == "add" else self._arrays[:2]
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*inputs, result)]
        size = ctypes.c_int64(MILLIONS)
        return min(function(*pointers, size, threads, 5) for threads in {1, CORES}) * 1e-9


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


def with_stream(first: timing.Way, stream: Stream, name: str, bounds: list[float]) -> timing.Way:
    """The way, with STREAM measured just before each of its samples."""

    def before() -> None:
        bounds.append(stream.seconds(name))
        first.before()

    return timing.Way(first.name, first.call, first.wait, before)


def measure(row: Row, stream: Stream, rounds: int) -> dict:
    """Everything about one op: times, the better way on the CPU, how much faster mps is."""
    paddle_mps.reset_fallback_report()
    chosen, bounds = ways(row), []
    if row.stream:
        chosen[0] = with_stream(chosen[0], stream, row.stream, bounds)
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
    if row.stream:
        # STREAM reports its best pass, so it is held against the best round.
        times.seconds["stream"] = bounds[-rounds:]
        result["to_stream"] = min(times.seconds["mps"]) / min(times.seconds["stream"])
    return result


def misses(row: Row, result: dict) -> list[str]:
    """The bars that an op does not meet."""
    found = [f"{row.name}: {op} ran on the CPU" for op in result["fell_back"]]
    if row.faster is not None and result["speed_up"] < row.faster:
        speed_up = f"{result['speed_up']:.2f} times as fast as the CPU"
        found.append(f"{row.name}: {speed_up}, expected {row.faster}")
    if result.get("to_stream", 0) > STREAM_BAR:
        to_stream = f"{result['to_stream']:.2f} of STREAM's time"
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
    cells.append(f"{first['to_stream']:.2f}" if row.stream else "")
    return cells


def main() -> int:
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.add_argument("--kept", action="store_true", help="bars hold against kept memory")
    args = parser.parse_args()
    stream = Stream()
    found = timing.conditions()
    timing.print_conditions(found)
    rows = [row for row in ROWS if args.only in row.name]
    results: dict[str, dict[str, dict]] = {row.name: {} for row in rows}
    for memory in MEMORY:
        set_malloc(memory)
        for row in rows:
            results[row.name][memory] = measure(row, stream, args.rounds)
            print(".", end="", flush=True)
    print("\n")
    header = ["op", "mps us", "+-"]
    for memory in MEMORY:
        header += [f"cpu us, {memory}", "threads", "faster"]
    table = [line(row, results[row.name]) for row in rows]
    timing.print_table([*header, "bar", "/ STREAM"], table)
    timing.save("ops", args.json, results, found)
    against = MEMORY[-1] if args.kept else MEMORY[0]
    missed = [m for row in rows for m in misses(row, results[row.name][against])]
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
