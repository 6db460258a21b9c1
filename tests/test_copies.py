"""Copies in every direction: the right bytes, in the order of the program, from and to any address.

Each program runs in a process of its own with a time limit, once as it is and once with every piece
of work late (PADDLE_MPS_HOST_DELAY_US), so that a copy that does not wait shows. The conformance
exam (tests/cpp/conformance/copies_test.cc) asks the same of the seam; streams and events that come
and go are in test_streams.py.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import paddle
import pytest
from child import SECONDS, run_python

pytestmark = pytest.mark.usefixtures("mps")

# Every way that there is, by direction: name -> function from a source to a new copy.
PRELUDE = """
import numpy as np
import paddle, paddle_mps
from paddle_mps import _library
CPU = paddle.CPUPlace()
MPS = [paddle.CustomPlace("mps", i) for i in range(paddle_mps.device_count())]
rng = np.random.default_rng(0)
upload = _library.require("tests").upload

def on_cpu(numbers):
    return paddle.to_tensor(numbers, place=CPU)

def on(place, numbers):
    return paddle.to_tensor(numbers, place=place)

def into(place, copy):
    # The target is there before, with other numbers in it, written by work that may be queued.
    def way(source):
        shape, dtype = list(source.shape), str(source.dtype).rpartition(".")[2]
        to = on(place, np.full(shape, 77, dtype))
        to.fill_(66)
        copy(to, source)
        # Paddle's copy_ lets an empty tensor go where its source is.
        assert to.place == place or to.size == 0, (to.place, place)
        return to
    return way

def tensor_ways(place):
    return {
        "copy_": into(place, lambda to, x: to.copy_(x, True)),
        "copy_, not blocking": into(place, lambda to, x: to.copy_(x, False)),
        "_copy_to": lambda x: x._copy_to(place, True),
        "_copy_to, not blocking": lambda x: x._copy_to(place, False),
        "to": lambda x: x.to(place),
    }

def from_array(place):
    return {
        "to_tensor": lambda a: on(place, a),
        "from_numpy": lambda a: paddle_mps.from_numpy(a, place, copy=True),
        "set_value": into(place, lambda to, a: to.set_value(a)),
        **{
            name: lambda a, way=way: way(on_cpu(a))
            for name, way in tensor_ways(place).items()
        },
    }

to_host = {
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu().numpy(),
    "tolist": lambda x: np.array(x.tolist(), str(x.dtype).rpartition(".")[2]),
    "as_numpy": lambda x: paddle_mps.as_numpy(x).copy(),
    **{name: lambda x, way=way: way(x).numpy() for name, way in tensor_ways(CPU).items()},
}

def on_device(place):
    return {
        "clone": lambda x: x.clone(),
        "assign": lambda x: paddle.assign(x),
        **{n: w for n, w in tensor_ways(place).items() if n != "to"},  # `to` gives the same tensor
    }

def between(place):
    return tensor_ways(place)
"""

PROGRAMS = {
    # Sources change and go as soon as the copy has returned; an op comes before and one behind.
    "from the host": """
        paddle.set_device("mps")
        for shape in ([7], [150, 200], [1100, 300]):
            for name, way in from_array(MPS[0]).items():
                for i in range(3):
                    numbers = rng.random(shape, "float32")
                    expected = numbers * np.float32(2)
                    busy = paddle.full(shape, 9.0) * 3.0
                    del busy  # its memory may be what the copy gets
                    x = way(numbers)
                    numbers[:] = -1
                    y = x * 2.0
                    x.fill_(0)
                    assert (y.numpy() == expected).all(), (name, shape, i)
        """,
    "to the host": """
        paddle.set_device("mps")
        for shape in ([7], [150, 200]):
            for name, way in to_host.items():
                for i in range(3):
                    numbers = rng.random(shape, "float32")
                    x = on(MPS[0], numbers) * 2.0
                    x.add_(x)
                    got = way(x)
                    x.fill_(5)  # behind the copy
                    del x
                    assert got.dtype == np.float32
                    assert (got == numbers * np.float32(4)).all(), (name, shape, i)
        """,
    "on the device": """
        paddle.set_device("mps")
        for shape in ([7], [150, 200], [1100, 300]):
            for name, way in on_device(MPS[0]).items():
                for i in range(3):
                    numbers = rng.random(shape, "float32")
                    x = on(MPS[0], numbers) * 2.0
                    y = way(x)
                    x.fill_(5)
                    z = y * 2.0
                    assert y.data_ptr() != x.data_ptr(), name
                    assert (z.numpy() == numbers * np.float32(4)).all(), (name, shape, i)
        """,
    "between two devices": """
        assert len(MPS) == 2
        for here, there in (MPS, MPS[::-1]):
            for shape in ([7], [150, 200], [1100, 300]):
                for name, way in between(there).items():
                    paddle.set_device(str(here)[6:-1])
                    numbers = rng.random(shape, "float32")
                    x = on(here, numbers) * 2.0
                    y = way(x)
                    x.fill_(5)
                    del x
                    assert y.place == there, (name, y.place)
                    paddle.set_device(str(there)[6:-1])
                    z = y * 2.0
                    assert (z.numpy() == numbers * np.float32(4)).all(), (name, shape)
        """,
    "through memory for the device": """
        # What pinned memory is elsewhere: an array that the device can share, as source and target.
        paddle.set_device("mps")
        for i in range(10):
            pages = paddle_mps.empty_numpy([150, 200])
            pages[:] = i
            x = paddle.full([150, 200], -1.0)
            shared = paddle_mps.from_numpy(pages)
            x.copy_(shared, False)
            x = x * 2.0
            shared.copy_(x, False)
            paddle_mps.synchronize()
            assert (pages == 2.0 * i).all(), (i, pages)
        """,
    "any address and size": """
        paddle.set_device("mps")
        source = rng.integers(0, 256, 5000, "uint8")
        for size in (1, 2, 3, 63, 64, 65, 4095, 4097):
            for first in (0, 1, 7, 64, 129):
                part = source[first : first + size]
                for name, way in from_array(MPS[0]).items():
                    assert (way(part).numpy() == part).all(), (name, size, first)
                x = on(MPS[0], source)
                view = x[first : first + size]
                assert view.data_ptr() == x.data_ptr() + first
                for name, way in to_host.items():
                    assert (way(view) == part).all(), (name, size, first)
                for name, way in on_device(MPS[0]).items():
                    assert (way(view).numpy() == part).all(), (name, size, first)
                # Into the middle of a tensor, and nothing beside it.
                expected = np.full(5000, 3, "uint8")
                expected[first + 2 : first + 2 + size] = part
                def fresh():
                    whole = paddle.full([5000], 3, "uint8")
                    return whole, whole[first + 2 : first + 2 + size]
                whole, middle = fresh()
                upload(0, whole.data_ptr() + first + 2, part)
                assert (whole.numpy() == expected).all(), (size, first)
                for given in (view, on_cpu(source)[first : first + size]):
                    whole, middle = fresh()
                    middle.copy_(given, True)
                    assert (whole.numpy() == expected).all(), (size, first, given.place)
                back = on_cpu(np.full(5000, 3, "uint8"))
                back[first + 2 : first + 2 + size].copy_(view, True)
                assert (back.numpy() == expected).all(), (size, first)
        """,
    "nothing": """
        paddle.set_device("mps")
        for shape in ([0], [0, 3], [4, 0]):
            numbers = np.empty(shape, "float32")
            for name, way in from_array(MPS[0]).items():
                x = way(numbers).to("mps")
                assert list(x.shape) == shape, name
                for other, back in {**to_host, **on_device(MPS[0])}.items():
                    got = back(x)
                    assert other == "tolist" or list(got.shape) == shape, (name, other, got.shape)
        x = paddle.full([3], 5.0)
        upload(0, x.data_ptr() + 4, np.empty(0, "uint8"))
        assert x.tolist() == [5.0] * 3
        """,
    "every dtype": """
        paddle.set_device("mps")
        for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32",
                      "float64", "complex64", "complex128"):
            numbers = rng.integers(0, 2, [13, 5]).astype(dtype)
            for name, way in from_array(MPS[0]).items():
                if name.startswith("copy_") or name == "set_value":
                    continue  # need a target of that dtype, which the ways below make
                x = way(numbers)
                assert str(x.dtype) == f"paddle.{dtype}", (name, x.dtype)
                for other, back in to_host.items():
                    if other.startswith("copy_"):
                        continue
                    got = back(x)
                    assert got.dtype == numbers.dtype and (got == numbers).all(), (name, other)
        """,
    "side by side": """
        # Threads with streams of their own copy there, on the device and back at once.
        import threading
        problems = []
        def work(seed):
            paddle.set_device("mps")
            with paddle_mps.stream(paddle_mps.Stream() if seed % 2 else None):
                for i in range(15):
                    numbers = np.full([150, 200], 100.0 * seed + i, "float32")
                    x = on(MPS[0], numbers)
                    y = x.clone()
                    z = paddle.zeros([150, 200])
                    z.copy_(y + 1.0, False)
                    if not (z.numpy() == numbers + 1).all():
                        problems.append((seed, i))
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems
        """,
}

# Rows of a MiB, so that no dimension is too large; a little more than 2 GiB.
LARGE = """
paddle.set_device("mps")
rows = 2049
numbers = np.empty([rows, 1 << 20], "uint8")
numbers[:] = rng.integers(0, 256, 1 << 20, "uint8")
numbers[:, 0] = np.arange(rows) % 251
numbers[:, -1] = np.arange(rows) % 241

def check(got):
    assert got.nbytes > 2**31
    for row in range(0, rows, 64):  # a comparison of all at once would take another 2 GiB
        assert (got[row : row + 64] == numbers[row : row + 64]).all(), row

def clear(tensor):
    for row in (0, rows // 2, rows - 1):
        tensor[row].fill_(0)

# Fresh memory costs seconds, so what is there is used again.
x = on(MPS[0], numbers)
cpu = on_cpu(numbers)
check(x.numpy())
y = x.clone()
clear(x)
cpu.fill_(0)
cpu.copy_(y, True)
check(np.from_dlpack(cpu))
x.copy_(y, True)
check(paddle_mps.as_numpy(x))
del x
z = y._copy_to(MPS[1], True)
del y
check(paddle_mps.as_numpy(z))
clear(z)
z.copy_(cpu, True)
check(paddle_mps.as_numpy(z))
clear(z)
paddle.set_device("mps:1")
z.set_value(numbers)
check(paddle_mps.as_numpy(z))
clear(z)
upload(1, z.data_ptr(), numbers)
check(paddle_mps.as_numpy(z))
"""
LARGE_NEEDS = 11 << 30


def run_program(
    code: str, *, delay_us: str = "0", devices: str = "1", seconds: float = SECONDS
) -> None:
    process = run_python(
        "-c",
        PRELUDE + textwrap.dedent(code),
        seconds=seconds,
        PADDLE_MPS_HOST_DELAY_US=delay_us,
        PADDLE_MPS_HOST_DEVICES=devices,
    )
    assert process.returncode == 0, process.stderr[-2000:]


@pytest.mark.parametrize("delay_us", ["0", "1000"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_copies(name: str, delay_us: str, backend: str) -> None:
    two = name == "between two devices"
    if backend != "host" and (two or delay_us != "0"):
        pytest.skip("only the host backend can be slowed down, or pretend to be two")
    run_program(PROGRAMS[name], delay_us=delay_us, devices="2" if two else "1")


@pytest.mark.timeout(430)
def test_more_than_two_gib(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can pretend to be two")
    available = _available_memory()
    if available < LARGE_NEEDS:
        pytest.skip(
            f"COPIES OF MORE THAN 2 GiB WERE NOT TESTED: they need {LARGE_NEEDS >> 30} GiB of free "
            f"memory, got {available / 2**30:.1f} GiB"
        )
    run_program(LARGE, devices="2", seconds=400)  # the system hands memory out slowly


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    raise AssertionError("/proc/meminfo has no MemAvailable")


def test_paddle_pins_no_memory_for_other_devices() -> None:
    """docs/streams_and_memory.md says so; if that changes, pinned memory belongs above."""
    with pytest.raises(RuntimeError, match="CUDAPinnedPlace"):
        paddle.ones([2], device="cpu").pin_memory()
