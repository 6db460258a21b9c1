"""How long does a training step of a whole network take, next to Paddle's CPU device?

    python benchmarks/models.py --only resnet18 --rounds 7
    python benchmarks/models.py --torch          # torch's CPU too, if it is installed
    python benchmarks/models.py --markdown docs/benchmarks_models.md

Each network is made twice with the same numbers, on mps and on the CPU device. A step is a forward
pass, a backward pass and an update of every parameter, from numbers already on the device; "decode"
is one more word with a cache of keys and values. See README.md for how they are timed and how many
threads the CPU gets. "Submissions" are the graphs a step hands to the device, and "ops" the kernels
that Paddle calls for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import timing

timing.prepare()

import model_rows  # noqa: E402
import paddle  # noqa: E402
import paddle_mps  # noqa: E402

CORES = timing.physical_cores()
BAR = 2.0  # times as fast as Paddle's CPU device


def ways(row: model_rows.Row) -> list[timing.Way]:
    """On mps, and on the CPU with one thread and with all."""

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
    return found


def torch_ways(row: model_rows.Row) -> list[timing.Way]:
    """With torch on the CPU, with one thread and with all."""
    import torch

    step = row.make_with_torch()
    return [
        timing.Way(f"torch {count}", step, before=lambda c=count: torch.set_num_threads(c))
        for count in sorted({1, CORES})
    ]


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


def compare(row: model_rows.Row, chosen: list[timing.Way], rounds: int) -> timing.Times:
    return timing.compare(chosen, rounds=rounds, sample_s=row.sample_s, rest_s=timing.OPENMP_REST_S)


def measure(row: model_rows.Row, rounds: int) -> dict:
    chosen = ways(row)
    submitted, ops = counts(chosen[0])
    times = compare(row, chosen, rounds)
    names = [way.name for way in chosen]
    cpu = times.best([name for name in names if name.startswith("cpu")])
    return {
        "mps": times.median("mps"),
        "cpu": times.median(cpu),
        "cpu_threads": int(cpu.split()[1]),
        "faster": times.ratio(cpu, "mps"),
        "spread": times.spread("mps"),
        "submissions": submitted,
        "ops": ops,
        "seconds": times.seconds,
    }


def measure_torch(row: model_rows.Row, rounds: int) -> dict:
    """After all else: torch is not to change what Paddle's CPU device finds in the process."""
    if not row.torch:
        return {}
    times = compare(row, [ways(row)[0], *torch_ways(row)], rounds)
    best = times.best([name for name in times.seconds if name.startswith("torch")])
    return {"torch": times.median(best), "faster_than_torch": times.ratio(best, "mps")}


def cells(row: model_rows.Row, result: dict, with_torch: bool) -> list[str]:
    found = [row.name, f"{result['mps'] * 1e3:,.2f}", f"+-{result['spread']:.0%}"]
    found += [f"{result['cpu'] * 1e3:,.2f}", str(result["cpu_threads"])]
    found += [f"{result['faster']:.2f}", str(result["submissions"]), str(result["ops"])]
    if with_torch:
        ratio = result.get("faster_than_torch")
        found.append("" if ratio is None else f"{ratio:.2f}")
    return found


def markdown(path: Path, rows: list[model_rows.Row], results: dict, found: dict) -> None:
    """The table as a page, with the conditions it was measured under and what holds a row back."""
    with_torch = any("faster_than_torch" in result for result in results.values())
    header = ["a step of", "mps ms", "", "cpu ms", "threads", "faster", "submissions", "ops"]
    header += ["than torch"] * with_torch
    lines = []
    for row in rows:
        line = cells(row, results[row.name], with_torch)
        line.append("missed" if results[row.name]["faster"] < BAR else "")
        lines.append("| " + " | ".join(line) + " |\n")
    missed = [row for row in rows if results[row.name]["faster"] < BAR]
    text = f"""# Benchmarks of whole networks

Written by `benchmarks/models.py --markdown docs/benchmarks_models.md`; the networks are in
`benchmarks/model_rows.py`, and `benchmarks/README.md` says how they are timed. These are figures of
a CPU: the host device against Paddle's CPU device. They say nothing about a Mac.

- {found["machine"]}, {found["physical_cores"]} cores
- {found["time"]}, load {found["load_average"]:.1f}
- commit {found["commit"]}, Paddle {found["paddle"]}, float32

A step is a forward pass, a backward pass and an update of every parameter; of "decode", one more
word of a model of {model_rows.DECODE_MB} MB. "Faster" is how many times as fast as the CPU device
at its better number of threads, {BAR:g} is the bar. "Submissions" are the graphs that a step hands
to the device, "ops" the kernels that Paddle calls for it.

| {" | ".join(header)} |  |
|{"---|" * (len(header) + 1)}
"""
    text += "".join(lines)
    if missed:
        text += "\nWhat keeps a row below its bar:\n\n"
        text += "".join(f"- **{row.name}**: {row.bound}\n" for row in missed)
    path.write_text(text)
    print(f"written: {path}")


def main() -> int:
    """Measure, print, save; with --check the exit status says whether a bar was missed."""
    parser = timing.arguments(__doc__.splitlines()[0])
    parser.set_defaults(rounds=7)
    parser.add_argument("--torch", action="store_true", help="against torch's CPU too")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    args = parser.parse_args()
    found = timing.conditions()
    timing.print_conditions(found)

    measured = [row for row in model_rows.ROWS if args.only in row.name]
    results, missed = {}, []
    for row in measured:
        result = results[row.name] = measure(row, args.rounds)
        if result["faster"] < BAR:
            missed.append(f"{row.name}: expected {BAR} times as fast, got {result['faster']:.2f}")
        print(f"measured {row.name}", file=sys.stderr)
    for row in measured if args.torch else ():
        results[row.name] |= measure_torch(row, args.rounds)
    table = [cells(row, results[row.name], args.torch) for row in measured]

    header = ["a step of", "mps ms", "", "cpu ms", "threads", "faster", "submissions", "ops"]
    timing.print_table(header + ["than torch"] * args.torch, table)
    timing.save("models", args.json, results, found)
    if args.markdown:
        markdown(args.markdown, measured, results, found)
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
