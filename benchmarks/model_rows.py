"""The networks of models.py: each `make` returns a step, which may be repeated, and its network."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F
import timing
from paddle import nn

sys.path.insert(0, str(timing.ROOT / "examples"))
import char_gpt  # noqa: E402

Step = Callable[[], object]
RNG = np.random.default_rng(0)


@dataclass
class Row:
    """One network.

    Attributes:
        name: What the table calls it.
        make: Makes it on the current device.
        bound: What limits it, for readers of a row that misses its bar.
        torch: The function of model_rows_torch.py that makes the same step, or empty.
        sample_s: Seconds a sample takes, about.
    """

    name: str
    make: Callable[[], tuple[Step, nn.Layer]]
    bound: str
    torch: str = ""
    sample_s: float = 0.2

    def make_with_torch(self) -> Step:
        return getattr(importlib.import_module("model_rows_torch"), self.torch)()


def training(net: nn.Layer, loss: Callable[[], paddle.Tensor], optimizer: str = "adamw") -> Step:
    if optimizer == "adamw":
        steps = paddle.optimizer.AdamW(1e-4, parameters=net.parameters(), weight_decay=0.01)
    else:
        steps = paddle.optimizer.Momentum(1e-3, 0.9, net.parameters(), weight_decay=1e-4)

    def step() -> None:
        loss().backward()
        steps.step()
        steps.clear_grad()

    return step


IMAGES = RNG.standard_normal((16, 3, 64, 64)).astype("float32")
CLASSES = RNG.integers(0, 10, 16)


def resnet18() -> tuple[Step, nn.Layer]:
    net = paddle.vision.models.resnet18(num_classes=10)
    images, classes = paddle.to_tensor(IMAGES), paddle.to_tensor(CLASSES)
    return training(net, lambda: F.cross_entropy(net(images), classes), "momentum"), net


TOKENS = RNG.standard_normal((8, 128, 256)).astype("float32")
TOKEN_CLASSES = RNG.integers(0, 10, 8)


def encoder() -> tuple[Step, nn.Layer]:
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.1, activation="gelu")
    net = nn.Sequential(nn.TransformerEncoder(layer, 4), nn.Linear(256, 10))
    x, classes = paddle.to_tensor(TOKENS), paddle.to_tensor(TOKEN_CLASSES)
    return training(net, lambda: F.cross_entropy(net(x).mean(1), classes)), net


WORDS = RNG.integers(0, 5000, (32, 64))
WORD_CLASSES = RNG.integers(0, 10, 32)


class LstmClassifier(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5000, 128)
        self.network = nn.LSTM(128, 128, num_layers=2)
        self.head = nn.Linear(128, 10)

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        return self.head(self.network(self.embedding(ids))[0][:, -1])


def lstm() -> tuple[Step, nn.Layer]:
    net = LstmClassifier()
    ids, classes = paddle.to_tensor(WORDS), paddle.to_tensor(WORD_CLASSES)
    return training(net, lambda: F.cross_entropy(net(ids), classes)), net


CHARACTERS = RNG.integers(0, 96, (16, 65))


def gpt() -> tuple[Step, nn.Layer]:
    net = char_gpt.Gpt(96, 64, 3, 128, 4)
    ids = paddle.to_tensor(CHARACTERS)
    return training(net, lambda: net.loss(ids)), net


class RmsNorm(nn.Layer):
    def __init__(self, width: int) -> None:
        super().__init__()
        ones = nn.initializer.Constant(1.0)
        self.weight = self.create_parameter([width], default_initializer=ones)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x * paddle.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.weight


class DecoderLayer(nn.Layer):
    """As in Llama: norms by squares, rotary positions, fewer heads of keys, a gated MLP."""

    def __init__(self, width: int, heads: int, key_heads: int, hidden: int, past: int) -> None:
        super().__init__()
        self.heads, self.key_heads, size = heads, key_heads, width // heads
        self.norms = nn.LayerList([RmsNorm(width), RmsNorm(width)])
        self.mix = nn.Linear(width, (heads + 2 * key_heads) * size, bias_attr=False)
        self.out = nn.Linear(width, width, bias_attr=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias_attr=False)
        self.down = nn.Linear(hidden, width, bias_attr=False)
        shape = [1, past, key_heads, size]
        self.keys, self.values = paddle.randn(shape), paddle.randn(shape)

    def forward(self, x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
        size = x.shape[-1] // self.heads
        mixed = self.mix(self.norms[0](x)).reshape([1, 1, -1, size])
        query, key, value = mixed.split([self.heads, self.key_heads, self.key_heads], 2)
        query, key = self.rotated(query, cos, sin), self.rotated(key, cos, sin)
        keys = paddle.concat([self.keys, key], 1)
        values = paddle.concat([self.values, value], 1)
        group = self.heads // self.key_heads
        query = query.reshape([1, self.key_heads, group, size])
        scores = paddle.matmul(query, keys.transpose([0, 2, 3, 1])) * size**-0.5
        seen = paddle.matmul(F.softmax(scores, -1), values.transpose([0, 2, 1, 3]))
        x = x + self.out(seen.reshape(x.shape))
        gate, up = self.gate_up(self.norms[1](x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)

    @staticmethod
    def rotated(x: paddle.Tensor, cos: paddle.Tensor, sin: paddle.Tensor) -> paddle.Tensor:
        first, second = x.chunk(2, -1)
        return x * cos + paddle.concat([-second, first], -1) * sin


class Decoder(nn.Layer):
    def __init__(self, width: int, layers: int, heads: int, key_heads: int, past: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4000, width)
        self.layers = nn.LayerList(
            [DecoderLayer(width, heads, key_heads, 3 * width, past) for _ in range(layers)]
        )
        self.norm, self.head = RmsNorm(width), nn.Linear(width, 4000, bias_attr=False)
        half = width // heads // 2
        angles = past * 10000.0 ** (-np.arange(half, dtype="float32") / half)
        angles = np.concatenate([angles, angles]).reshape(1, 1, 1, -1)
        self.cos, self.sin = paddle.to_tensor(np.cos(angles)), paddle.to_tensor(np.sin(angles))

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.head(self.norm(x)).argmax(-1)


DECODE_MB = 109  # of the weights that a word reads


def decode() -> tuple[Step, nn.Layer]:
    net = Decoder(512, 8, 8, 4, past=127)
    ids = paddle.to_tensor([[17]])

    def step() -> int:
        with paddle.no_grad():
            return net(ids).item()

    return step, net


ARITHMETIC = (
    "its convolutions and products take most of the time, on both sides: in oneDNN, but for large "
    "products where the processor has AMX."
)
ROWS = [
    Row("resnet18", resnet18, ARITHMETIC, "resnet18", sample_s=0.5),
    Row("encoder", encoder, ARITHMETIC, "encoder", sample_s=0.5),
    Row(
        "lstm",
        lstm,
        "3.2 GFLOP of products. With AMX those of all steps at once take three eighths of the "
        "time; they read and write the gates, 4 MB per layer. The 256 steps, a product and the "
        "loop over its gates each, take as much, every one waiting for the one before. The "
        "optimiser and the gradient of the embedding come on top.",
        "lstm",
    ),
    Row("char_gpt", gpt, ARITHMETIC, "gpt"),
    Row(
        "decode",
        decode,
        "each word reads all weights once, which takes two cores 2 to 3 ms, and Paddle and Python "
        "take 2 to 3 ms to call the ops. The two overlap, but while one of two cores calls, the "
        "other reads alone, at half the speed.",
    ),
]
