"""Train at a limit of memory, see where it ran out, and draw what holds it.

    python examples/watch_memory.py --output out/memory

A multi-layer perceptron learns scikit-learn's handwritten digits from all of them at once. With the
limit that is set here there is no room for that: the exception says what there is, and the program
goes on with half the batch until it fits. Two pictures show what memory holds in the middle of a
step, and what happened over time.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import paddle_mps
from paddle import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

MIB = 1 << 20


class Net(nn.Layer):
    """Three linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(64, width)
        self.second = nn.Linear(width, width)
        self.classes = nn.Linear(width, 10)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Turn images [N, 64] into scores [N, 10]."""
        return self.classes(F.relu(self.second(F.relu(self.first(x)))))


def train(
    images: np.ndarray, labels: np.ndarray, batch: int, epochs: int, look: Callable[[], object]
) -> Net:
    """Train with Adam on batches of this size; `look` in the middle of a step of the last epoch."""
    paddle.seed(0)
    net = Net(width=512)
    optimizer = paddle.optimizer.Adam(1e-3, parameters=net.parameters())
    for epoch in range(epochs):
        for start in range(0, len(images), batch):
            x = paddle.to_tensor(images[start : start + batch])
            y = paddle.to_tensor(labels[start : start + batch])
            loss = F.cross_entropy(net(x), y)
            if epoch == epochs - 1 and start == 0:
                look()
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
    return net


def main() -> None:
    """Train, show, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=12, help="MiB to train in (default: 12)")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("out/memory"), help="a folder")
    args = parser.parse_args()

    paddle.set_device("mps")
    digits = load_digits()
    images, test_images, labels, test_labels = train_test_split(
        (digits.data / 16).astype("float32"), digits.target, test_size=0.2, random_state=0
    )
    paddle_mps.set_per_process_memory_fraction(
        args.limit * MIB / paddle_mps.recommended_max_memory()
    )
    paddle_mps.record_memory_history()
    args.output.mkdir(parents=True, exist_ok=True)

    def look() -> None:
        snapshot = paddle_mps.memory_snapshot(args.output / "step.json")
        paddle_mps.plot_memory_snapshot(snapshot, args.output / "step.png")

    batch, net = len(images), None
    while net is None:
        try:
            net = train(images, labels, batch, args.epochs, look)
        except MemoryError as error:
            print(f"batch {batch}: {str(error).strip()}\n")
            batch //= 2
        gc.collect()  # networks and optimisers refer to themselves, so Python lets go of them late
    accuracy = float((net(paddle.to_tensor(test_images)).numpy().argmax(1) == test_labels).mean())
    print(f"batch {batch}: test accuracy {100 * accuracy:.1f} %\n")
    print(paddle_mps.memory_summary())

    paddle_mps.plot_memory_history(paddle_mps.memory_snapshot(), args.output / "history.png")
    print("\nwritten:", *sorted(str(path) for path in args.output.iterdir()))


if __name__ == "__main__":
    main()
