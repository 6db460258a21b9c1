"""What models.py measures: each makes a step of training, or of decoding, on the current device.

A workload is a class: building one makes the model and its data on the device that is set, and
`step()` does one step and returns a tensor, without waiting for it.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn


def numbers(*shape: int) -> paddle.Tensor:
    rng = np.random.default_rng(0)
    return paddle.to_tensor(rng.standard_normal(shape).astype("float32"))


def integers(high: int, *shape: int) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(1).integers(0, high, shape))


class Training:
    """One step: the loss, its gradients, an optimiser's step."""

    def __init__(self, model: nn.Layer, optimizer: type, **options: float) -> None:
        self.model = model
        self.optimizer = optimizer(parameters=model.parameters(), **options)

    def loss(self) -> paddle.Tensor:
        raise NotImplementedError

    def step(self) -> paddle.Tensor:
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        return loss


class ResNet18(Training):
    """ResNet-18, 16 images of 3 x 64 x 64, momentum."""

    def __init__(self) -> None:
        model = paddle.vision.models.resnet18(num_classes=100)
        super().__init__(model, paddle.optimizer.Momentum, learning_rate=1e-3)
        self.images, self.labels = numbers(16, 3, 64, 64), integers(100, 16)

    def loss(self) -> paddle.Tensor:
        return F.cross_entropy(self.model(self.images), self.labels)


class Encoder(Training):
    """A Transformer encoder: 4 layers of width 256, 8 texts of 128 tokens, AdamW."""

    def __init__(self) -> None:
        layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, activation="gelu")
        model = nn.Sequential(
            nn.Embedding(1000, 256), nn.TransformerEncoder(layer, 4), nn.Linear(256, 10)
        )
        super().__init__(model, paddle.optimizer.AdamW, learning_rate=1e-4)
        self.words, self.labels = integers(1000, 8, 128), integers(10, 8)

    def loss(self) -> paddle.Tensor:
        return F.cross_entropy(self.model(self.words).mean(1), self.labels)


class LstmClassifier(Training):
    """An LSTM of width 128 over 32 texts of 64 words, Adam."""

    def __init__(self) -> None:
        model = nn.LayerList([nn.Embedding(1000, 128), nn.LSTM(128, 128), nn.Linear(128, 10)])
        super().__init__(model, paddle.optimizer.Adam, learning_rate=1e-3)
        self.words, self.labels = integers(1000, 32, 64), integers(10, 32)

    def loss(self) -> paddle.Tensor:
        embedding, lstm, head = self.model
        found, _ = lstm(embedding(self.words))
        return F.cross_entropy(head(found[:, -1]), self.labels)


class GptBlock(nn.Layer):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.joined, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        batch, tokens, width = x.shape
        joined = self.joined(self.before(x)).reshape([batch, tokens, 3, self.heads, -1])
        q, k, v = joined.unbind(2)
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.reshape([batch, tokens, width]))
        return x + self.down(F.gelu(self.up(self.between(x))))


class CharGpt(Training):
    """A GPT over characters: 4 layers of width 128, 16 texts of 128 characters, AdamW."""

    def __init__(self) -> None:
        parts = [GptBlock(128, 4) for _ in range(4)]
        model = nn.LayerList(
            [nn.Embedding(96, 128), nn.Embedding(128, 128), nn.Sequential(*parts)]
            + [nn.LayerNorm(128), nn.Linear(128, 96)]
        )
        super().__init__(model, paddle.optimizer.AdamW, learning_rate=1e-3)
        self.text, self.next = integers(96, 16, 128), integers(96, 16, 128)

    def loss(self) -> paddle.Tensor:
        words, positions, blocks, norm, head = self.model
        x = words(self.text) + positions(paddle.arange(self.text.shape[1]))
        logits = head(norm(blocks(x)))
        return F.cross_entropy(logits.reshape([-1, 96]), self.next.reshape([-1]))


class LlamaLayer(nn.Layer):
    """One layer that sees one token, and the keys and values of those before it."""

    def __init__(self, width: int, heads: int, hidden: int, past: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.before, self.between = self.scale(), self.scale()
        self.q, self.k, self.v, self.o = (self.linear(width, width) for _ in range(4))
        self.gate, self.up = self.linear(width, hidden), self.linear(width, hidden)
        self.down = self.linear(hidden, width)
        self.keys, self.values = (numbers(1, past, heads, width // heads) for _ in range(2))
        angles = numbers(1, 1, 1, width // heads)
        self.sin, self.cos = angles.sin(), angles.cos()

    def scale(self) -> paddle.Tensor:
        return self.create_parameter([self.width], default_initializer=nn.initializer.Constant(1))

    def linear(self, rows: int, columns: int) -> nn.Linear:
        return nn.Linear(rows, columns, bias_attr=False)

    def norm(self, x: paddle.Tensor, scale: paddle.Tensor) -> paddle.Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * scale

    def turned(self, x: paddle.Tensor) -> paddle.Tensor:
        low, high = x.chunk(2, -1)
        return x * self.cos + paddle.concat([-high, low], -1) * self.sin

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        heads = [1, 1, self.heads, self.width // self.heads]
        normed = self.norm(x, self.before)
        q, k = (
            self.turned(self.q(normed).reshape(heads)),
            self.turned(self.k(normed).reshape(heads)),
        )
        keys = paddle.concat([self.keys, k], 1)
        values = paddle.concat([self.values, self.v(normed).reshape(heads)], 1)
        found = F.scaled_dot_product_attention(q, keys, values)
        x = x + self.o(found.reshape(x.shape))
        normed = self.norm(x, self.between)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class LlamaDecode:
    """A decoder as Llama's, 4 layers of width 512: one token after 256 others."""

    def __init__(self) -> None:
        self.embedding, self.head = nn.Embedding(4000, 512), nn.Linear(512, 4000, bias_attr=False)
        self.layers = nn.Sequential(*(LlamaLayer(512, 8, 1376, 256) for _ in range(4)))
        self.word = integers(4000, 1, 1)

    @paddle.no_grad()
    def step(self) -> paddle.Tensor:
        return self.head(self.layers(self.embedding(self.word))).argmax(-1)


WORKLOADS = (ResNet18, Encoder, LstmClassifier, CharGpt, LlamaDecode)
