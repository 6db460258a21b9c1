"""models.Decoder as those write it who have a GPU, for test_llama.py: one kernel for each step.

Parameters have the names of models.Decoder's, so that either computes with the other's.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.incubate.nn.functional as fused
import paddle.nn.functional as F
from models import WIDTH, Decoder, DecoderLayer, RmsNorm, angles_of, rotated
from paddle import nn

EPSILON = 1e-5
HEADS, KEY_HEADS = DecoderLayer.heads, DecoderLayer.key_heads
SIZE = WIDTH // HEADS


class FusedRmsNorm(RmsNorm):
    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.rms_norm(x, [WIDTH], self.weight.astype(x.dtype), EPSILON)[0]


class FusedLayer(DecoderLayer):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.LayerList([FusedRmsNorm(), FusedRmsNorm()])

    def heads_of(self, normal: paddle.Tensor, angles: paddle.Tensor) -> list[paddle.Tensor]:
        """Queries, keys and values, [batch, tokens, heads, size], the first two turned."""
        shape = [*normal.shape[:2], -1, SIZE]
        query, key = self.query(normal).reshape(shape), self.key(normal).reshape(shape)
        sin, cos = (f(angles).astype(query.dtype) for f in (paddle.sin, paddle.cos))
        query, key, _ = fused.fused_rotary_position_embedding(
            query, key, sin=sin, cos=cos, use_neox_rotary_style=False
        )
        return [query, key, self.value(normal).reshape(shape)]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        normal = self.norms[0](x)
        query, key, value = self.heads_of(normal, angles_of(x.shape[1], SIZE))
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(out.reshape(x.shape))
        normal = self.norms[1](x)
        return x + self.down(F.swiglu(self.gate(normal), self.up(normal)))


class FusedDecoder(Decoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LayerList([FusedLayer() for _ in range(2)])
        self.norm = FusedRmsNorm()


class Writer:
    """Writes on from prompts of different length, each layer's keys and values kept.

    A cache is [2, batch, heads of keys, length, size]. The prompts go through at once, and then a
    word at a time.
    """

    def __init__(self, net: FusedDecoder, batch: int, length: int) -> None:
        self.net = net
        shape = [2, batch, KEY_HEADS, length, SIZE]
        self.caches = [paddle.zeros(shape) for _ in net.layers]

    def read(self, ids: paddle.Tensor, lengths: np.ndarray) -> paddle.Tensor:
        """The scores of the word after each prompt; ids behind a prompt's end count for nothing."""
        batch, tokens = ids.shape
        known = paddle.to_tensor(lengths.astype("int32")).unsqueeze(1)
        x = self.net.embedding(ids)
        for layer, cache in zip(self.net.layers, self.caches):
            heads = layer.heads_of(layer.norms[0](x), angles_of(tokens, SIZE))
            query, key, value = (h.transpose([0, 2, 1, 3]) for h in heads)
            cache[0, :, :, :tokens], cache[1, :, :, :tokens] = key, value
            out = fused.variable_length_memory_efficient_attention(
                query, key, value, known, known, scale=SIZE**-0.5, causal=True
            )
            x = self.rest(layer, x, out.transpose([0, 2, 1, 3]).reshape(x.shape))
        rows = paddle.to_tensor(np.arange(batch) * tokens + lengths - 1)
        return self.net.head(self.net.norm(paddle.gather(x.reshape([-1, WIDTH]), rows)))

    def step(self, ids: paddle.Tensor, at: np.ndarray) -> paddle.Tensor:
        """The scores of the word after `ids`, [batch], which stand at those places."""
        x = self.net.embedding(ids)
        turns = angles_of(self.caches[0].shape[3], SIZE)
        angles = paddle.gather(turns, paddle.to_tensor(at), 1).reshape([1, len(at), 1, SIZE])
        places = paddle.to_tensor(at.astype("int32")).unsqueeze(1)
        for layer, cache in zip(self.net.layers, self.caches):
            # The batch stands where tokens do: each has its own angle.
            heads = layer.heads_of(layer.norms[0](x).unsqueeze(0), angles)
            qkv = paddle.concat([h.reshape([len(at), -1]) for h in heads], -1)
            out = fused.masked_multihead_attention(qkv, cache, sequence_lengths=places)[0]
            x = self.rest(layer, x, out)
        return self.net.head(self.net.norm(x))

    @staticmethod
    def rest(layer: FusedLayer, x: paddle.Tensor, attended: paddle.Tensor) -> paddle.Tensor:
        normal, x = fused.fused_rms_norm(
            layer.out(attended),
            layer.norms[1].weight,
            None,
            EPSILON,
            begin_norm_axis=x.ndim - 1,
            residual=x,
        )
        both = paddle.concat([layer.gate(normal), layer.up(normal)], -1)
        return x + layer.down(fused.fused_bias_act(both, act_method="swiglu"))


class PlainWriter:
    """The same word by word for one prompt and without fused kernels; keys and values grow."""

    def __init__(self, net: Decoder) -> None:
        self.net = net
        self.caches: list[tuple | None] = [None] * len(net.layers)
        self.at = 0

    def step(self, ids: paddle.Tensor) -> paddle.Tensor:
        """The scores of the word after `ids`, [batch, tokens], all of which follow what came."""
        x = self.net.embedding(ids)
        for i, layer in enumerate(self.net.layers):
            normal = layer.norms[0](x)
            shape = [*ids.shape, -1, SIZE]
            query, key = (
                rotated(linear(normal).reshape(shape), self.at)
                for linear in (layer.query, layer.key)
            )
            value = layer.value(normal).reshape(shape)
            if self.caches[i] is not None:
                key, value = (
                    paddle.concat([old, new], 1) for old, new in zip(self.caches[i], (key, value))
                )
            self.caches[i] = key, value
            keys, values = (
                paddle.repeat_interleave(t, HEADS // KEY_HEADS, 2).transpose([0, 2, 1, 3])
                for t in (key, value)
            )
            scores = query.transpose([0, 2, 1, 3]).matmul(keys, transpose_y=True) * SIZE**-0.5
            ahead = paddle.triu(paddle.full(scores.shape[2:], -1e9), 1 + self.at)
            out = F.softmax(scores + ahead).matmul(values).transpose([0, 2, 1, 3])
            x = x + layer.out(out.reshape(x.shape))
            normal = layer.norms[1](x)
            x = x + layer.down(F.silu(layer.gate(normal)) * layer.up(normal))
        self.at += ids.shape[1]
        return self.net.head(self.net.norm(x[:, -1]))
