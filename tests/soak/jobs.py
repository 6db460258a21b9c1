"""What the soak does over and over: small jobs in which every part of the runtime takes part.

A job gets a random number generator, checks what it computes against NumPy, and keeps nothing. The
sizes change from call to call, so that memory is cut and joined in ever new ways.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import numpy as np
import paddle
import paddle_mps
from paddle_mps import _testing

Job = Callable[[np.random.Generator], None]

MIB = 2**20


def _expect(what: str, got: np.ndarray, want: np.ndarray, tolerance: float = 0.0) -> None:
    difference = float(np.max(np.abs(got - want), initial=0.0))
    if got.shape != want.shape or not difference <= tolerance:
        raise AssertionError(
            f"[soak] {what} is wrong: expected a difference of at most {tolerance}, "
            f"got {difference} in shape {got.shape} of {want.shape}."
        )


class Training:
    """A network that goes on learning a fixed function, with batches of every size."""

    def __init__(self) -> None:
        paddle.seed(0)
        self.net = paddle.nn.Sequential(
            paddle.nn.Linear(16, 64), paddle.nn.ReLU(), paddle.nn.Linear(64, 4)
        )
        self.optimizer = paddle.optimizer.Adam(1e-3, parameters=self.net.parameters())
        self.map = np.random.default_rng(1).standard_normal((16, 4)).astype("float32")

    def __call__(self, rng: np.random.Generator) -> None:
        losses = []
        for _ in range(8):
            x = rng.standard_normal((int(rng.integers(1, 600)), 16)).astype("float32")
            y = self.net(paddle.to_tensor(x))
            loss = ((y - paddle.to_tensor(x @ self.map)) ** 2).mean()
            loss.backward()
            self.optimizer.step()
            self.optimizer.clear_grad()
            losses.append(float(loss))
        if not np.isfinite(losses).all():
            raise AssertionError(f"[soak] training diverged: expected finite losses, got {losses}.")


def streams(rng: np.random.Generator) -> None:
    """Several streams pass tensors on to each other, behind events."""
    lanes = [paddle_mps.Stream() for _ in range(int(rng.integers(1, 5)))]
    start = rng.integers(-4, 5, (int(rng.integers(1, 300)), 257)).astype("float32")
    x = paddle.to_tensor(start)
    event = paddle_mps.current_stream().record_event()
    want = start
    for _ in range(8):
        lane = lanes[int(rng.integers(len(lanes)))]
        lane.wait_event(event)
        with paddle_mps.stream(lane):
            x = x * 0.5 + 1.0
        event = lane.record_event()
        want = want * np.float32(0.5) + np.float32(1.0)
    event.synchronize()
    _expect("a tensor that went from stream to stream", x.numpy(), want)


def copies(rng: np.random.Generator) -> None:
    """Copies of every size, from and to every byte, in every direction."""
    count = int(rng.choice([0, 1, 63, 4097, 70_001, int(rng.integers(1, 2 * MIB))]))
    first = int(rng.integers(0, 7))
    source = rng.integers(0, 256, first + count, dtype=np.uint8)[first:]
    on_device = paddle.to_tensor(source)
    _expect("a copy there and back", on_device.numpy(), source)
    if count > 2:
        clone = on_device[1:-1].clone()
        _expect("a copy of a part", clone.cpu().numpy(), source[1:-1])


def shared_memory(rng: np.random.Generator) -> None:
    """Arrays over tensors and tensors over arrays."""
    array = paddle_mps.empty_numpy((int(rng.integers(1, 200)), 33), "float32")
    array[:] = rng.integers(-9, 10, array.shape)
    x = paddle_mps.from_numpy(array)
    y = x * 3.0
    _expect("an array over a tensor", paddle_mps.as_numpy(y), array * np.float32(3))
    z = np.from_dlpack(paddle_mps.to_dlpack(y + 1.0))
    _expect("an array through DLPack", z, array * np.float32(3) + np.float32(1))


def threads(rng: np.random.Generator) -> None:
    """Threads that launch at the same time, on streams of their own."""
    problems: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            paddle.set_device("mps")
            mine = np.random.default_rng(seed)
            with paddle_mps.stream(paddle_mps.Stream() if seed % 2 else None):
                a = mine.integers(-3, 4, (int(mine.integers(1, 90)), 40)).astype("float32")
                b = mine.integers(-3, 4, (40, int(mine.integers(1, 90)))).astype("float32")
                for _ in range(3):
                    got = paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(b))
                    _expect("a product in a thread", got.numpy(), a @ b)
        except BaseException as error:
            problems.append(error)

    crew = [threading.Thread(target=work, args=(int(rng.integers(1000)),)) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    if problems:
        raise problems[0]


def faults(rng: np.random.Generator) -> None:
    """The device fails somewhere; the next try succeeds."""
    kind = str(rng.choice(["encode", "upload", "synchronize", "heap", "record", "wait"]))
    a = rng.integers(-3, 4, (int(rng.integers(1, 400)), 50)).astype("float32")

    def work() -> np.ndarray:
        side = paddle_mps.Stream()
        x = paddle.to_tensor(a)
        side.wait_stream(paddle_mps.current_stream())
        with paddle_mps.stream(side):
            y = paddle.matmul(x, x.t())
        paddle_mps.current_stream().wait_stream(side)
        return (y + 1.0).numpy()

    _testing.inject(f"{kind}:{int(rng.integers(1, 4))}")
    for attempt in (work, paddle_mps.synchronize):
        with contextlib.suppress(RuntimeError, OSError, MemoryError):
            attempt()
    _testing.inject("none")
    _expect("what was computed after a fault", work(), a @ a.T + np.float32(1))


def shortage(rng: np.random.Generator) -> None:
    """Too little memory for something large; afterwards all is well."""
    most = paddle_mps.memory_reserved() + 64 * MIB
    paddle_mps.set_per_process_memory_fraction(most / paddle_mps.recommended_max_memory())
    try:
        with contextlib.suppress(MemoryError):
            paddle.zeros([most // 4 + int(rng.integers(MIB))], "float32")
            raise AssertionError(f"[soak] more than the limit of {most} bytes was allocated.")
        got = (paddle.ones([1000]) * 2.0).numpy()
        _expect("what was computed at a limit", got, np.full(1000, 2, "float32"))
    finally:
        paddle_mps.set_per_process_memory_fraction(1.0)


def all_jobs() -> dict[str, Job]:
    """Return the jobs by name, with a fresh network."""
    return {
        "training": Training(),
        "streams": streams,
        "copies": copies,
        "shared memory": shared_memory,
        "threads": threads,
        "faults": faults,
        "shortage": shortage,
    }
