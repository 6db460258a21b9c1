"""How long does a training step of a whole network take, next to Paddle's CPU device?

    python benchmarks/models.py --only resnet18 --rounds 7
    python benchmarks/models.py --torch          # torch's CPU too, if it is installed

Each network is made twice with the same numbers, on mps and on the CPU device. A step is a forward
pass, a backward pass and an update of every parameter, from numbers already on the device; "decode"
is one more word with a cache of keys and values. See README.md for how they are timed and how many
threads the CPU gets. "Submissions" are the graphs a step hands to the device, and "ops" the kernels
that Paddle calls for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import timing

timing.prepare()

import model_rows  # noqa: E402
import paddle  # noqa: E402
import paddle_mps  # noqa: E402

CORES = timing.physical_cores()
BAR = 2.0  # times as fast as Paddle's CPU device


def ways(row: model_rows.Row, with_torch: bool) -> list[timing.Way]:
    """On mps, on the CPU with one thread and with all, and on torch's CPU."""

    def before(device: str, threads: int) -> Callable[[], None]:
        def switch() -> None:
            paddle.set_device(device)
            paddle.base.core.set_num_threads(threads)

        return switch

    found = []
    start: dict | None = None
    for device in ("mps", "cpu"):
        paddle.set_device(device)
        paddle.seed(1)
        step, net = row.make()
        if start is None:
            start = {name: value.numpy() for name, value in net.state_dict().items()}
        net.set_state_dict({name: paddle.to_tensor(value) for name, value in start.items()})
        if device == "mps":
            found.append(timing.Way("mps", step, paddle_mps.synchronize, before("mps", CORES)))
            continue
        for count in sorted({1, CORES}):
            found.append(timing.Way(f"cpu {count}", step, before=before("cpu", count)))
    if with_torch and row.torch is not None:
        import torch

        step = row.torch()
        for count in sorted({1, CORES}):
            found.append(
                timing.Way(f"torch {count}", step, before=lambda c=count: torch.set_num_threads(c))
            )
    return found


def counts(way: timing.Way) -> tuple[int, int]:
    """Submissions and ops of a step, and the assertion that none of them ran on the CPU."""
    way.before()
    way.call()
    way.wait()
    paddle_mps.reset_fallback_report()
    before = paddle_mps.graph_cache_info()
    way.call()
    way.wait()
    after = paddle_mps.graph_cache_info()
    rows = paddle_mps.fallback_report().rows
    strays = [row.op for row in rows if row.cpu_calls]
    assert not strays, f"ran on the CPU: {strays}"
    submitted = after.hits + after.misses - before.hits - before.misses
    return submitted, sum(row.mps_calls for row in rows)


def measure(row: model_rows.Row, rounds: int, with_torch: bool) -> dict:
    chosen = ways(row, with_torch)
    submitted, ops = counts(chosen[0])
    times = timing.compare(chosen, rounds=rounds, sample_s=row.sample_s)
    names = [way.name for way in chosen]
    cpu = times.best([name for name in names if name.startswith("cpu")])
    result = {
        "mps": times.median("mps"),
        "cpu": times.median(cpu),
        "cpu_threads": int(cpu.split()[1]),
        "faster": times.ratio(cpu, "mps"),
        "spread": times.spread("mps"),
        "submissions": submitted,
        "ops": ops,
        "seconds": times.seconds,
    }
    torch_names = [name for name in names if name.startswith("torch")]
    if torch_names:
        best = times.best(torch_names)
        result |= {"torch": times.median(best), "faster_than_torch": times.ratio(best, "mps")}
    return result


def main() -> int:
    """Measure, print, save; with --check the exit status says whether a bar was missed."""
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.set_defaults(rounds=7)
    parser.add_argument("--torch", action="store_true", help="against torch's CPU too")
    args = parser.parse_args()
    found = timing.conditions()
    timing.print_conditions(found)

    results, table, missed = {}, [], []
    for row in model_rows.ROWS:
        if args.only not in row.name:
            continue
        result = results[row.name] = measure(row, args.rounds, args.torch)
        cells = [row.name, f"{result['mps'] * 1e3:,.2f}", f"+-{result['spread']:.0%}"]
        cells += [f"{result['cpu'] * 1e3:,.2f}", str(result["cpu_threads"])]
        cells += [f"{result['faster']:.2f}", str(result["submissions"]), str(result["ops"])]
        if args.torch:
            ratio = result.get("faster_than_torch")
            cells.append("" if ratio is None else f"{ratio:.2f}")
        table.append(cells)
        if result["faster"] < BAR:
            missed.append(f"{row.name}: expected {BAR} times as fast, got {result['faster']:.2f}")
        print(f"measured {row.name}", file=sys.stderr)

    header = ["a step of", "mps ms", "", "cpu ms", "threads", "faster", "submissions", "ops"]
    timing.print_table(header + ["than torch"] * args.torch, table)
    timing.save("models", args.json, results, found)
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
