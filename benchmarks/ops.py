"""Large ops on mps, side by side with Paddle's CPU device and with the memory bandwidth of the machine.

    python benchmarks/ops.py --check

Each op runs three ways in one process, interleaved: on mps, on the CPU with one thread, and on the CPU
with a thread per physical core. The CPU's time is the better of its two: threads make some of its ops
slower. Ops that do nothing but move memory are also held against STREAM (stream.cc), measured in the
same rounds on arrays of the same size.

Bars: transcendental functions at least 4 times as fast as the CPU, a 1024-cubed matrix product 3 times,
memory-bound ops no slower than the CPU and within 1.2 of STREAM.
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


def ways(row: Row) -> list[timing.Way]:
    def threads(count: int) -> Callable[[], None]:
        return lambda: paddle.base.core.set_num_threads(count)

    on_cpu, on_mps = tensors(row, "cpu"), tensors(row, "mps")
    # The host backend may compute on the calling thread, so it gets all cores back.
    found = [
        timing.Way("mps", lambda: row.call(*on_mps), paddle_mps.synchronize, threads(CORES)),
        timing.Way("cpu 1", lambda: row.call(*on_cpu), before=threads(1)),
    ]
    if CORES > 1:
        found.append(timing.Way(f"cpu {CORES}", lambda: row.call(*on_cpu), before=threads(CORES)))
    return found


def fallbacks() -> list[str]:
    return [f"{r.op} ({r.dtype})" for r in paddle_mps.fallback_report().fell_back]


def main() -> int:
    args = timing.arguments(__doc__.splitlines()[0]).parse_args()
    stream = Stream()
    found = timing.conditions()
    timing.print_conditions(found)
    table, results, missed = [], {}, []
    for row in (r for r in ROWS if args.only in r.name):
        paddle_mps.reset_fallback_report()
        chosen = ways(row)
        if row.stream:  # its samples are seconds already, so it is timed by hand
            bounds: list[float] = []
            first = chosen[0]
            chosen[0] = timing.Way(
                first.name,
                first.call,
                first.wait,
                lambda: (bounds.append(stream.seconds(row.stream)), first.before()),
            )
        times = timing.compare(chosen, rounds=args.rounds)
        if fallbacks():
            missed.append(f"{row.name}: fell back to the CPU: {', '.join(fallbacks())}")
        cpu = times.best([way.name for way in chosen[1:]])
        speed_up = times.ratio(cpu, "mps")
        result = {"seconds": times.seconds, "cpu": cpu, "speed_up": speed_up, "bar": row.faster}
        to_stream = ""
        if row.stream:
            times.seconds["stream"] = bounds[-args.rounds :]
            result["to_stream"] = times.ratio("mps", "stream")
            to_stream = f"{result['to_stream']:.2f}"
            if result["to_stream"] > 1.2:
                missed.append(f"{row.name}: {to_stream} of STREAM's time; at most 1.2 expected")
        if row.faster is not None and speed_up < row.faster:
            missed.append(
                f"{row.name}: {speed_up:.2f} times as fast as the CPU; {row.faster} expected"
            )
        results[row.name] = result
        table.append(
            (
                row.name,
                timing.microseconds(times.median("mps")),
                f"{100 * times.spread('mps'):.0f} %",
                timing.microseconds(times.median(cpu)),
                cpu.removeprefix("cpu ") if sys.version_info >= (3, 9) else cpu,
                f"{100 * times.spread(cpu):.0f} %",
                f"{speed_up:.2f}",
                f"{row.faster:g}" if row.faster else "",
                to_stream,
            )
        )
        print(f"{row.name}: {speed_up:.2f}", flush=True)
    print()
    header = ("op", "mps us", "+-", "cpu us", "threads", "+-", "speed-up", "bar", "/ STREAM")
    timing.print_table(header, table)
    timing.save("ops", args.json, results, found)
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
