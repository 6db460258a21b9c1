"""Train a small convolutional network on real handwritten digits, on `mps` or on the CPU.

    python examples/train_digits.py --device mps

The data are scikit-learn's bundled digits: 1,797 scans of 8x8 pixels (UCI "Optical Recognition of
Handwritten Digits"), 80 % for training and 20 % for testing. The program is ordinary Paddle code;
the only line about the device is `paddle.set_device`. At the end it reports accuracy, time, memory,
and which ops ran on the device and which ones Paddle ran on the CPU.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm


class DigitsNet(nn.Layer):
    """Two convolutions with pooling in between, then two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(1, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2D(16, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2D(kernel_size=2)
        self.hidden = nn.Linear(32 * 4 * 4, 64)
        self.classes = nn.Linear(64, 10)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Turn images [N, 1, 8, 8] into scores [N, 10]."""
        x = F.relu(self.conv1(x))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.hidden(x.flatten(start_axis=1)))
        return self.classes(x)


def load_data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images, test images, training labels, test labels; pixels are in 0..1."""
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[:, np.newaxis]
    labels = digits.target.astype("int64")
    return train_test_split(images, labels, test_size=0.2, random_state=seed, stratify=labels)


def train(net: DigitsNet, images: np.ndarray, labels: np.ndarray, args: argparse.Namespace) -> None:
    """Train with Adam on shuffled batches, showing loss and progress."""
    optimizer = paddle.optimizer.Adam(learning_rate=args.learning_rate, parameters=net.parameters())
    shuffle = np.random.default_rng(args.seed)
    batches = -(-len(images) // args.batch_size)
    with tqdm(total=args.epochs * batches, unit="batch", disable=not sys.stderr.isatty()) as bar:
        for epoch in range(args.epochs):
            order = shuffle.permutation(len(images))
            total = 0.0
            for start in range(0, len(images), args.batch_size):
                batch = order[start : start + args.batch_size]
                x, y = paddle.to_tensor(images[batch]), paddle.to_tensor(labels[batch])
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                optimizer.clear_grad()
                total += float(loss) * len(batch)
                bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{total / len(images):.4f}")
            if bar.disable:
                print(
                    f"epoch {epoch + 1}/{args.epochs}  loss {total / len(images):.4f}", flush=True
                )


def accuracy(net: DigitsNet, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose highest score is that of their label."""
    with paddle.no_grad():
        scores = net(paddle.to_tensor(images)).numpy()
    return float((scores.argmax(axis=1) == labels).mean())


def report_device(device: str) -> None:
    """Print memory statistics and where each op ran."""
    if device != "mps":
        return
    mps = paddle.mps
    print(
        f"memory: {mps.memory_allocated():,} allocated / {mps.max_memory_allocated():,} at most / "
        f"{mps.memory_reserved():,} reserved (bytes)"
    )
    print()
    print(mps.fallback_report())


def main() -> int:
    """Parse the command line, train, test, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["mps", "cpu"], default="mps")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    if args.device == "mps":
        import paddle_mps

        if not paddle_mps.is_available():
            print(paddle_mps.unavailable_reason(), file=sys.stderr)
            return 1
    paddle.set_device(args.device)
    paddle.seed(args.seed)

    train_images, test_images, train_labels, test_labels = load_data(args.seed)
    name = paddle.mps.get_device_name() if args.device == "mps" else "Paddle's CPU device"
    print(f"device: {args.device} ({name})")
    print(f"digits: {len(train_images)} to train on, {len(test_images)} to test on")

    net = DigitsNet()
    begin = time.perf_counter()
    train(net, train_images, train_labels, args)
    seconds = time.perf_counter() - begin
    print()
    print(f"test accuracy: {100 * accuracy(net, test_images, test_labels):.1f} %")
    print(f"training time: {seconds:.1f} s")
    report_device(args.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
