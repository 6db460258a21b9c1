"""What one small op costs on mps: the price of the way, not of the work.

    python benchmarks/dispatch.py --check
    python benchmarks/dispatch.py --backend null

Ops of about ten elements on mps and on Paddle's CPU device in one process, interleaved. The
difference is what a call pays for the device: recording a graph, finding it compiled, encoding, and
running it. With `--backend null` nothing is run, so what is left is the plugin's own overhead.
Every op must run on the device: one that falls back to the CPU costs about a hundred times as much,
and fails the run.

Bar: an add takes at most 1.6 times as long as on the CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import timing

PARSER = timing.arguments(__doc__.splitlines()[0])
PARSER.add_argument("--backend", choices=("metal", "host", "null"), help="device to open")
ARGS = PARSER.parse_args() if __name__ == "__main__" else PARSER.parse_args([])
timing.prepare(**({"PADDLE_MPS_BACKEND": ARGS.backend} if ARGS.backend else {}))

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402
import paddle_mps  # noqa: E402

BARS = {"add": 1.6}


def calls(device: str) -> dict[str, Callable[[], object]]:
    """The ops, on tensors of one device."""
    place = paddle.CPUPlace() if device == "cpu" else paddle.CustomPlace("mps", 0)
    rng = np.random.default_rng(0)

    def tensor(*shape: int, grad: bool = False) -> paddle.Tensor:
        numbers = rng.standard_normal(shape).astype("float32")
        return paddle.to_tensor(numbers, place=place, stop_gradient=not grad)

    x, y, row = tensor(10), tensor(10), tensor(1, 10)
    square, other, tall = tensor(8, 8), tensor(8, 8), tensor(10, 3)
    weight = tensor(10, grad=True)

    def forward_and_backward() -> None:
        F.relu(weight * x).sum().backward()
        weight.clear_grad()

    def in_place() -> None:
        x.add_(y)
        x.subtract_(y)

    return {
        "add": lambda: paddle.add(x, y),
        "x + y": lambda: x + y,
        "x + 1": lambda: x + 1.0,
        "add, broadcast": lambda: paddle.add(row, y),
        "relu": lambda: F.relu(x),
        "exp": lambda: paddle.exp(x),
        "matmul 8 x 8": lambda: paddle.matmul(square, other),
        "sum": lambda: paddle.sum(x),
        "cast": lambda: x.cast("float16"),
        "full": lambda: paddle.full([10], 1.0),
        "transposed copy": lambda: tall.t().contiguous(),
        "view": lambda: x.reshape([2, 5]),
        "add_, subtract_": in_place,
        "relu(w * x).sum(), backward": forward_and_backward,
    }


def main() -> int:
    found = timing.conditions()
    timing.print_conditions(found)
    on_cpu, on_mps = calls("cpu"), calls("mps")
    table, results, missed = [], {}, []
    paddle_mps.reset_fallback_report()
    for name in (n for n in on_mps if ARGS.only in n):
        times = timing.compare(
            [
                timing.Way(
                    "mps", on_mps[name], paddle_mps.synchronize, lambda: paddle.set_device("mps")
                ),
                timing.Way("cpu", on_cpu[name], before=lambda: paddle.set_device("cpu")),
            ],
            rounds=ARGS.rounds,
        )
        ratio = times.ratio("mps", "cpu")
        bar = BARS.get(name)
        if bar is not None and ratio > bar:
            missed.append(
                f"{name}: {ratio:.2f} times as long as on the CPU; at most {bar} expected"
            )
        results[name] = {"seconds": times.seconds, "ratio": ratio, "bar": bar}
        table.append(
            (
                name,
                timing.microseconds(times.median("mps")),
                f"{100 * times.spread('mps'):.0f} %",
                timing.microseconds(times.median("cpu")),
                f"{100 * times.spread('cpu'):.0f} %",
                f"{ratio:.2f}",
                f"{bar:g}" if bar else "",
            )
        )
    missed += [
        f"{row.op} ({row.dtype}) ran on the CPU {row.cpu_calls} times"
        for row in paddle_mps.fallback_report().fell_back
    ]
    timing.print_table(("op", "mps us", "+-", "cpu us", "+-", "ratio", "bar"), table)
    timing.save(
        f"dispatch-{ARGS.backend}" if ARGS.backend else "dispatch", ARGS.json, results, found
    )
    return timing.verdict(missed, check=ARGS.check)


if __name__ == "__main__":
    sys.exit(main())
