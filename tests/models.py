"""Small networks as people write them, for test_models.py. They need no convolution."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

BATCH, TOKENS, WORDS, CLASSES, WIDTH = 8, 12, 50, 5, 32


def words(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, WORDS, (BATCH, TOKENS))


def classes(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, BATCH)


class Mlp(nn.Layer):
    """With a batch norm, a dropout that drops nothing, and an activation of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(16, WIDTH),
            nn.BatchNorm1D(WIDTH),
            nn.ReLU(),
            nn.Dropout(0.0),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, CLASSES),
        )

    def loss(self) -> paddle.Tensor:
        numbers = np.random.default_rng(2).standard_normal((BATCH, 16)).astype("float32")
        logits = self.layers(paddle.to_tensor(numbers))
        return F.cross_entropy(logits, paddle.to_tensor(classes()))


class Encoder(nn.Layer):
    """Two layers of a Transformer encoder under a classifier, as BERT is fine-tuned."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Embedding(TOKENS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 64, dropout=0.0, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(WIDTH, CLASSES)

    def loss(self) -> paddle.Tensor:
        x = self.embedding(paddle.to_tensor(words())) + self.positions(paddle.arange(TOKENS))
        logits = self.head(self.encoder(x)[:, 0])
        return F.cross_entropy(logits, paddle.to_tensor(classes()))


class RmsNorm(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.weight = self.create_parameter(
            [WIDTH], default_initializer=nn.initializer.Constant(1.0)
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        wide = x.astype("float32")
        spread = wide.square().mean(-1, keepdim=True)
        return (wide * paddle.rsqrt(spread + 1e-5)).astype(x.dtype) * self.weight.astype(x.dtype)


def angles_of(tokens: int, size: int, start: int = 0) -> paddle.Tensor:
    """Of rotary positions (Su et al., 2021): [1, tokens, 1, size], the first token at `start`."""
    half = size // 2
    rates = paddle.pow(paddle.to_tensor(100.0), -paddle.arange(half, dtype="float32") / half)
    angles = paddle.outer(paddle.arange(start, start + tokens, dtype="float32"), rates)
    return paddle.concat([angles, angles], -1).reshape([1, tokens, 1, size])


def rotated(x: paddle.Tensor, start: int = 0) -> paddle.Tensor:
    """x, [batch, tokens, heads, size], turned by its tokens' positions."""
    half = x.shape[-1] // 2
    angles = angles_of(x.shape[1], x.shape[-1], start)
    turned = paddle.concat([-x[..., half:], x[..., :half]], -1)
    return x * paddle.cos(angles).astype(x.dtype) + turned * paddle.sin(angles).astype(x.dtype)


class DecoderLayer(nn.Layer):
    """As in Llama: norms by squares, rotary positions, fewer heads of keys, a gated MLP."""

    heads, key_heads = 4, 2

    def __init__(self) -> None:
        super().__init__()
        size = WIDTH // self.heads
        self.norms = nn.LayerList([RmsNorm(), RmsNorm()])
        self.query = nn.Linear(WIDTH, WIDTH, bias_attr=False)
        self.key = nn.Linear(WIDTH, self.key_heads * size, bias_attr=False)
        self.value = nn.Linear(WIDTH, self.key_heads * size, bias_attr=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias_attr=False)
        self.gate = nn.Linear(WIDTH, 64, bias_attr=False)
        self.up = nn.Linear(WIDTH, 64, bias_attr=False)
        self.down = nn.Linear(64, WIDTH, bias_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        normal = self.norms[0](x)
        shape = [x.shape[0], x.shape[1], -1, WIDTH // self.heads]
        query, key = (
            rotated(self.query(normal).reshape(shape)),
            rotated(self.key(normal).reshape(shape)),
        )
        repeats = self.heads // self.key_heads
        key = paddle.repeat_interleave(key, repeats, 2)
        value = paddle.repeat_interleave(self.value(normal).reshape(shape), repeats, 2)
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(out.reshape(x.shape))
        normal = self.norms[1](x)
        return x + self.down(F.silu(self.gate(normal)) * self.up(normal))


class Decoder(nn.Layer):
    """Predicts the next word."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.LayerList([DecoderLayer() for _ in range(2)])
        self.norm = RmsNorm()
        self.head = nn.Linear(WIDTH, WORDS, bias_attr=False)

    def scores(self, ids: paddle.Tensor) -> paddle.Tensor:
        """[batch, tokens, WORDS], of the word after each."""
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))

    def loss(self) -> paddle.Tensor:
        ids = paddle.to_tensor(words())
        logits = self.scores(ids[:, :-1])
        return F.cross_entropy(logits.reshape([-1, WORDS]), ids[:, 1:].flatten())


class Recurrent(nn.Layer):
    """Two layers in both directions over sequences of different length, under a classifier."""

    kind: type = nn.LSTM

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.network = self.kind(WIDTH, 16, num_layers=2, direction="bidirect")
        self.head = nn.Linear(WIDTH, CLASSES)

    def loss(self) -> paddle.Tensor:
        out, _ = self.network(self.embedding(paddle.to_tensor(words())))
        return F.cross_entropy(self.head(out.mean(1)), paddle.to_tensor(classes()))


class Lstm(Recurrent):
    kind = nn.LSTM


class Gru(Recurrent):
    kind = nn.GRU
