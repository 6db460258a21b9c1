"""Train a network whose weights are -1, 0 and 1 on real handwritten digits, and pack it.

    python examples/bitnet_digits.py

BitNet b1.58 (Ma and others, 2024): every linear layer but the last keeps floats while it is
trained, and multiplies with their signs and zeros; `pack()` then leaves two bits per weight. The
data are scikit-learn's bundled digits, as in train_digits.py. At the end it reports the accuracy of
the packed network, how far its scores are from the trained one's, and bytes.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import paddle
import paddle.nn.functional as F
import paddle_mps
from paddle import nn
from paddle_mps.nn import BitLinear
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm


def network(width: int) -> nn.Sequential:
    """Return 64 -> width -> width -> 10, of which the first two layers are ternary."""
    return nn.Sequential(
        BitLinear(64, width, use_rms_norm=True),
        nn.ReLU(),
        BitLinear(width, width, use_rms_norm=True),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def train(net: nn.Layer, images: np.ndarray, labels: np.ndarray, args: argparse.Namespace) -> None:
    """Train with AdamW on shuffled batches."""
    steps = args.epochs * -(-len(images) // args.batch_size)
    rate = paddle.optimizer.lr.CosineAnnealingDecay(args.learning_rate, steps)
    optimizer = paddle.optimizer.AdamW(rate, parameters=net.parameters(), weight_decay=0.01)
    shuffle = np.random.default_rng(args.seed)
    with tqdm(total=steps, unit="batch", disable=not sys.stderr.isatty()) as bar:
        for _ in range(args.epochs):
            order = shuffle.permutation(len(images))
            for start in range(0, len(images), args.batch_size):
                batch = order[start : start + args.batch_size]
                x, y = paddle.to_tensor(images[batch]), paddle.to_tensor(labels[batch])
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
                optimizer.clear_grad()
                rate.step()
                bar.update()


def scores(net: nn.Layer, images: np.ndarray) -> np.ndarray:
    """Return the scores of all images."""
    net.eval()
    with paddle.no_grad():
        found: np.ndarray = net(paddle.to_tensor(images)).numpy()
    return found


def results_of_layers(
    net: nn.Sequential, images: np.ndarray
) -> tuple[list[paddle.Tensor], list[paddle.Tensor]]:
    """Return what each layer is given, and what it makes of it."""
    net.eval()
    inputs, results = [], []
    x = paddle.to_tensor(images)
    with paddle.no_grad():
        for layer in net:
            inputs.append(x)
            x = layer(x)
            results.append(x)
    return inputs, results


def main() -> int:
    """Train, pack, report; return the exit status."""
    parser = argparse.ArgumentParser(description="BitNet b1.58 on digits")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not paddle_mps.is_available():
        print(paddle_mps.unavailable_reason(), file=sys.stderr)
        return 1
    paddle.set_device("mps")
    paddle.seed(args.seed)
    digits = load_digits()
    pixels = (digits.images.reshape(-1, 64) / 16).astype("float32")
    train_x, test_x, train_y, test_y = train_test_split(
        pixels, digits.target, test_size=0.2, random_state=args.seed, stratify=digits.target
    )
    net = network(args.width)
    train(net, train_x, train_y, args)
    layers = [layer for layer in net if isinstance(layer, BitLinear)]
    halves = sum(2 * layer.in_features * layer.out_features for layer in layers)
    inputs, trained = results_of_layers(net, test_x)
    for layer in layers:
        layer.pack()
    packed = scores(net, test_x)
    with paddle.no_grad():
        apart = max(float((layer(x) - y).abs().max()) for layer, x, y in zip(net, inputs, trained))
    two_bits = sum(layer.weight_bytes for layer in layers)
    print(f"test accuracy: {(packed.argmax(1) == test_y).mean() * 100:.1f} %")
    print(f"packed layers, given the same, differ by at most {apart:.1e}")
    print(
        f"ternary weights: {two_bits:,} bytes packed, {halves:,} in float16: "
        f"{halves / two_bits:.1f} times smaller"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
