"""Attention of queries, keys and values in one tensor, and with queries hidden from each key."""

import numpy as np
import paddle

from ..tolerance import composed, rounded_once
from .attention import _causal, _composed, _on_host
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops
# As in attention.py.
_RULE, _SLOPE = rounded_once(16, 4), composed(8)


def _parts(qkv):
    query = qkv[..., :-2, :, :]
    return (
        query.reshape([*qkv.shape[:-3], -1, qkv.shape[-1]]),
        qkv[..., -2, :, :],
        qkv[..., -1, :, :],
    )


def _packed(causal):
    def call(qkv):
        if not _on_host():
            return _ops.flash_attn_qkvpacked(qkv, None, None, 0.0, causal, False, False, "")[0]
        tokens = qkv.shape[1]
        return _composed(*_parts(qkv), _causal(tokens, tokens) if causal else None)

    return call


# Sequences of 3, 0, 5 and 1 tokens; with room for 5 each, the first are there.
_STARTS, _ROOM = (0, 3, 3, 8, 9), 5


def _varlen(causal, padded):
    lengths = np.diff(_STARTS)
    begins = np.arange(len(lengths)) * _ROOM if padded else _STARTS[:-1]
    total = len(lengths) * _ROOM if padded else _STARTS[-1]
    seen = np.zeros((total, total), bool)
    for begin, length in zip(begins, lengths):
        here = slice(begin, begin + length)
        seen[here, here] = _causal(length, length) if causal else True

    def call(qkv):
        if _on_host():
            return _composed(*(t.unsqueeze(0) for t in _parts(qkv)), seen, scale=0.5)[0]
        starts = paddle.to_tensor(_STARTS, dtype="int32", place=qkv.place)
        return _ops.flash_attn_varlen_qkvpacked(
            qkv, starts, starts, None, None, _ROOM, _ROOM, 0.5, 0.0,
            causal, False, False, "", padded,
        )[0]  # fmt: skip

    return call


def _sizes(qkv, dy):
    size = float(np.sqrt(qkv.shape[1])) * (1 + float(np.abs(dy).max()))
    return [np.full(qkv.shape, size * 4)]


def _one_tensor(kernel, name, call, shapes):
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="unit",
        rule=_RULE,
        gradient=Gradient(kernel=f"{kernel}_grad", rule=_SLOPE, magnitude=_sizes),
    )


ONE_TENSOR = (
    _one_tensor(
        "flash_attn_qkvpacked", "", _packed(False), (((2, 5, 3, 2, 4),), ((1, 7, 4, 2, 8),))
    ),
    _one_tensor("flash_attn_qkvpacked", "causal", _packed(True), (((2, 9, 5, 2, 4),),)),
    *(
        _one_tensor(
            "flash_attn_varlen_qkvpacked",
            f"{'causal_' if causal else ''}{'padded' if padded else 'dense'}",
            _varlen(causal, padded),
            (((20 if padded else 9, 4, 2, 8),),),
        )
        for causal in (False, True)
        for padded in (False, True)
    ),
)

# -- flashmask_attention --------------------------------------------------------------------------


def _bounds(heads, keys, count, queries):
    """For each key, where the ranges of queries that it is hidden from begin and end."""
    numbers = np.random.default_rng(count).integers(0, queries + 1, (2, heads, keys, count))
    return np.sort(numbers, -1).astype("int32")


def _seen(bounds, queries, causal):
    row = np.arange(queries)[:, None]
    first, *more = (bounds[..., i][:, :, None] for i in range(bounds.shape[-1]))
    hidden = row >= first
    if causal:
        hidden = hidden & (row < more[0]) if more else hidden
        return ~hidden & _causal(queries, bounds.shape[2])
    if len(more) == 1:
        return ~(hidden | (row < more[0]))
    return ~((hidden & (row < more[0])) | ((row >= more[1]) & (row < more[2])))


def _flashmask(causal, count, heads):
    def call(q, k, v):
        queries, keys = q.shape[1], k.shape[1]
        bounds = _bounds(heads, keys, count, queries)
        if _on_host():
            seen = _seen(bounds, queries, causal)
            if heads not in (1, q.shape[2]):
                seen = np.repeat(seen, q.shape[2] // heads, 1)
            return _composed(q, k, v, seen)
        at = paddle.to_tensor(bounds, place=q.place)
        return _ops.flashmask_attention(q, k, v, at, None, 0.0, causal, False, False, "")[0]

    return call


FLASHMASK = tuple(
    Case(
        kernel="flashmask_attention",
        name=f"{'causal_' if causal else ''}{count}_of_{heads}",
        call=_flashmask(causal, count, heads),
        shapes=(((2, 9, 4, 8), (2, 9, 2, 8), (2, 9, 2, 8)),),
        dtypes=FLOATS,
        domain="unit",
        rule=_RULE,
        gradient=Gradient(
            kernel="flashmask_attention_grad",
            rule=_SLOPE,
            magnitude=lambda *a: [np.full(x.shape, 16.0) for x in a[:-1]],
        ),
    )
    for causal, count, heads in ((True, 1, 1), (True, 2, 2), (False, 2, 4), (False, 4, 1))
)

CASES = (*ONE_TENSOR, *FLASHMASK)
