"""How fast numbers go to the device and back, against a memcpy of the same bytes.

    python benchmarks/copies.py --check

256 MB each way, beside the C library's memmove between the very same addresses: device memory is
host-visible, so a program may copy there itself, and the size of its pages strikes both. Where the
copy makes its own destination, the memmove gets a fresh array of NumPy's too. And 4 KB
there and back, beside the same calls on Paddle's CPU device, which show what is Paddle's own. (For
every copy between a tensor of the CPU and one of another device, Paddle 3.3.1 starts a thread and
ends it again: `copy_`, `cpu`, `to`. `numpy` and `set_value` go without.)

Ways with a bar are those that lead into the runtime with nothing but a copy in them:

    upload     `upload` of the plugin's C interface, by which from_numpy(copy=True) copies
    copy_      Paddle's copy between two tensors: async_memory_copy_h2d and _d2h of the plugin
    set_value  from an array into a tensor: memory_copy_h2d
    numpy      from a tensor into a new array: memory_copy_d2h

Bars: 90 % of memmove's speed; 10 us for 4 KB there and back.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass

import timing

ARGS = timing.arguments(__doc__.splitlines()[0])
timing.prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle_mps  # noqa: E402
from paddle_mps import _library  # noqa: E402

LARGE, SMALL = 256 << 20, 4 << 10  # bytes
SPEED_BAR = 0.9  # of memmove's
ROUND_TRIP_BAR_US = 10.0
ON_CPU = "; CPU device"
CPU, MPS = paddle.CPUPlace(), paddle.CustomPlace("mps", 0)


@dataclass
class Row:
    """Ways of copying the same bytes; the first one is what the others are held against."""

    name: str
    ways: dict[str, Callable[[], object]]
    barred: tuple[str, ...]
    round_trip: bool = False


def arrays(size: int) -> tuple[np.ndarray, paddle.Tensor, paddle.Tensor, paddle.Tensor]:
    """An array, and tensors of as many bytes: one on mps and two on the CPU."""
    numbers = np.random.default_rng(0).random(size // 4, "float32")
    on_mps = paddle.to_tensor(numbers, place=MPS)
    return numbers, on_mps, *(paddle.to_tensor(numbers, place=CPU) for _ in range(2))


def large_rows() -> list[Row]:
    numbers, x, cpu, out = arrays(LARGE)
    upload = _library.require("benchmarks").upload

    def memmove_to_fresh_memory() -> None:
        fresh = np.empty_like(numbers)
        ctypes.memmove(fresh.ctypes.data, x.data_ptr(), LARGE)

    from_array = {
        "memmove": lambda: ctypes.memmove(x.data_ptr(), numbers.ctypes.data, LARGE),
        "upload": lambda: upload(0, x.data_ptr(), numbers),
        "set_value": lambda: x.set_value(numbers),
        "to_tensor": lambda: paddle.to_tensor(numbers, place=MPS),
        "from_numpy(copy=True)": lambda: paddle_mps.from_numpy(numbers, copy=True),
    }
    from_tensor = {
        "memmove": lambda: ctypes.memmove(x.data_ptr(), cpu.data_ptr(), LARGE),
        "copy_": lambda: x.copy_(cpu, True),
    }
    to_tensor = {
        "memmove": lambda: ctypes.memmove(out.data_ptr(), x.data_ptr(), LARGE),
        "copy_": lambda: out.copy_(x, True),
    }
    to_fresh_memory = {"memmove": memmove_to_fresh_memory, "numpy": x.numpy, "cpu": x.cpu}
    return [
        Row("256 MB to the device, of an array", from_array, ("upload", "set_value")),
        Row("256 MB to the device, of a tensor", from_tensor, ("copy_",)),
        Row("256 MB to the host, into a tensor", to_tensor, ("copy_",)),
        Row("256 MB to the host, fresh memory", to_fresh_memory, ("numpy",)),
    ]


def round_trips() -> Row:
    numbers, x, cpu, out = arrays(SMALL)
    upload = _library.require("benchmarks").upload

    def memmove_twice() -> None:
        ctypes.memmove(x.data_ptr(), numbers.ctypes.data, SMALL)
        ctypes.memmove(out.data_ptr(), x.data_ptr(), SMALL)

    def upload_numpy() -> None:
        upload(0, x.data_ptr(), numbers)
        x.numpy()

    def set_value_numpy(tensor: paddle.Tensor) -> None:
        tensor.set_value(numbers)
        tensor.numpy()

    def copy_twice(tensor: paddle.Tensor) -> None:
        tensor.copy_(cpu, True)
        out.copy_(tensor, True)

    other = cpu.clone()
    return Row(
        "4 KB to the device and back",
        {
            "memmove": memmove_twice,
            "upload, numpy": upload_numpy,
            "set_value, numpy": lambda: set_value_numpy(x),
            "set_value, numpy" + ON_CPU: lambda: set_value_numpy(other),
            "to_tensor, numpy": lambda: paddle.to_tensor(numbers, place=MPS).numpy(),
            "to_tensor, numpy" + ON_CPU: lambda: paddle.to_tensor(numbers, place=CPU).numpy(),
            "copy_, copy_": lambda: copy_twice(x),
            "copy_, copy_" + ON_CPU: lambda: copy_twice(other),
        },
        ("upload, numpy", "set_value, numpy"),
        round_trip=True,
    )


def measure(row: Row, rounds: int, missed: list[str]) -> dict[str, object]:
    def way(name: str, call: Callable[[], object]) -> timing.Way:
        # set_value moves a tensor to the current device.
        device = "cpu" if name.endswith(ON_CPU) else "mps"
        return timing.Way(name, call, paddle_mps.synchronize, lambda: paddle.set_device(device))

    times = timing.compare([way(*item) for item in row.ways.items()], rounds=rounds)
    table, speeds = [], {}
    for name in row.ways:
        speed = speeds[name] = 1 / times.ratio(name, "memmove")
        us = times.median(name) * 1e6
        bar = ""
        if name in row.barred and row.round_trip:
            bar = f"{ROUND_TRIP_BAR_US:.0f} us"
            if us > ROUND_TRIP_BAR_US:
                missed.append(f"{row.name}, {name}: {us:.2f} us, at most {bar} expected")
        elif name in row.barred:
            bar = f"{SPEED_BAR:.0%}"
            if speed < SPEED_BAR:
                missed.append(f"{row.name}, {name}: {speed:.0%} of memmove, at least {bar}")
        table.append((name, f"{us:,.2f}", f"{times.spread(name):.0%}", f"{speed:.0%}", bar))
    timing.print_table((row.name, "us", "+-", "of memmove's speed", "bar"), table)
    print()
    return {"seconds": times.seconds, "of_memmove": speeds, "barred": row.barred}


def main() -> int:
    args = ARGS.parse_args()
    found = timing.conditions()
    timing.print_conditions(found)
    missed: list[str] = []
    rows = [row for row in [*large_rows(), round_trips()] if args.only in row.name]
    results = {row.name: measure(row, args.rounds, missed) for row in rows}
    timing.save("copies", args.json, results, found)
    return timing.verdict(missed, check=args.check)


if __name__ == "__main__":
    sys.exit(main())
