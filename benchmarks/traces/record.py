"""Records what benchmarks/memory.py replays: the allocations and frees of real trainings.

    python benchmarks/traces/record.py [resnet18] [transformer] [transformer_variable]

A trace is a packed text file of numbers: n >= 0 allocates n bytes, -k frees the k-th allocation,
counted from 1. Ops that have no mps kernel yet run on the CPU; their tensors live on the device all
the same.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import paddle_mps
from tqdm import tqdm

FOLDER = Path(__file__).parent
WIDTH = 256


def resnet18(steps: int) -> None:
    """ResNet-18 with batches of 16 x 3 x 64 x 64, trained with momentum."""
    net = paddle.vision.models.resnet18(num_classes=10)
    optimizer = paddle.optimizer.Momentum(0.01, parameters=net.parameters())
    rng = np.random.default_rng(0)
    for _ in tqdm(range(steps), desc="resnet18"):
        images = paddle.to_tensor(rng.standard_normal((16, 3, 64, 64)).astype("float32"))
        labels = paddle.to_tensor(rng.integers(0, 10, 16))
        paddle.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        optimizer.clear_grad()


def _transformer(name: str, steps: int, length: Callable[[np.random.Generator], int]) -> None:
    layer = paddle.nn.TransformerEncoderLayer(WIDTH, 8, 4 * WIDTH, dropout=0.1)
    net = paddle.nn.TransformerEncoder(layer, 4)
    head = paddle.nn.Linear(WIDTH, 100)
    parameters = net.parameters() + head.parameters()
    optimizer = paddle.optimizer.AdamW(1e-4, parameters=parameters)
    rng = np.random.default_rng(0)
    for _ in tqdm(range(steps), desc=name):
        shape = (8, length(rng))
        tokens = paddle.to_tensor(rng.standard_normal((*shape, WIDTH)).astype("float32"))
        labels = paddle.to_tensor(rng.integers(0, 100, shape))
        paddle.nn.functional.cross_entropy(head(net(tokens)), labels).backward()
        optimizer.step()
        optimizer.clear_grad()


def transformer(steps: int) -> None:
    """Four layers of width 256, batches of 8 x 128 tokens, trained with AdamW."""
    _transformer("transformer", steps, lambda rng: 128)


def transformer_variable(steps: int) -> None:
    """The same with sequences of 16 to 256 tokens, another length in each batch."""
    _transformer("transformer_variable", steps, lambda rng: int(rng.integers(16, 257)))


# name -> (training, steps)
TRAININGS = {
    "resnet18": (resnet18, 4),
    "transformer": (transformer, 5),
    "transformer_variable": (transformer_variable, 30),
}


def numbers_of(events: list[paddle_mps.MemoryEvent]) -> list[int]:
    """Return the events as a trace holds them."""
    numbers, live, count = [], {}, 0
    for event in events:
        if event.action == "allocate":
            count += 1
            live[event.address] = count
            numbers.append(event.bytes)
        elif event.action == "free":
            numbers.append(-live.pop(event.address))
    return numbers


def record(name: str) -> None:
    """Run a training and write its trace."""
    training, steps = TRAININGS[name]
    paddle.seed(0)
    paddle_mps.record_memory_history(max_entries=10_000_000, stacks=None)
    training(steps)
    numbers = numbers_of(paddle_mps.memory_history())
    paddle_mps.record_memory_history(False)
    text = "".join(f"{number}\n" for number in numbers)
    path = FOLDER / f"{name}.txt.gz"
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{path.name}: {len(numbers)} events")


def main() -> None:
    """Record what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRAININGS)}")
    names = parser.parse_args().names or list(TRAININGS)
    unknown = [name for name in names if name not in TRAININGS]
    if unknown:
        parser.error(f"no such training: expected one of {', '.join(TRAININGS)}, got {unknown[0]}")
    paddle.set_device("mps")
    for name in names:
        record(name)


if __name__ == "__main__":
    main()
