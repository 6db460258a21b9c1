"""Attention: by Paddle's function, and by the names of kernels that only other GPUs have.

Those have no kernel on the CPU: there the truth is composed of products and a softmax.
"""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import composed, rounded_once
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops
_EFFICIENT = "memory_efficient_attention"


def _on_host():
    return paddle.get_device() == "cpu"


def _composed(q, k, v, seen=None, mask=None, scale=None):
    """The formula; `seen` is a NumPy array of truth values, [queries, keys] or more axes.

    A query that sees nothing is left out, whatever its gradient is.
    """
    group = q.shape[2] // k.shape[2]
    heads = [paddle.transpose(x, [0, 2, 1, 3]) for x in (q, k, v)]
    keys, values = (paddle.repeat_interleave(x, group, axis=1) for x in heads[1:])
    scores = paddle.matmul(heads[0], keys, transpose_y=True) * (scale or q.shape[3] ** -0.5)
    if mask is not None:
        scores = scores + mask
    if seen is None:
        weights = F.softmax(scores)
    else:
        shown = paddle.to_tensor(seen, place=q.place).expand(scores.shape)
        lowest = paddle.full_like(scores, -1e300)
        weights = F.softmax(paddle.where(shown, scores, lowest))
        weights = paddle.where(shown, weights, paddle.zeros_like(weights))
    out = paddle.matmul(weights, values)
    if seen is not None:
        sees = shown.any(-1, keepdim=True).expand(out.shape)
        out = paddle.where(sees, out, paddle.zeros_like(out))
    return paddle.transpose(out, [0, 2, 1, 3])


def _causal(queries, keys):
    """The last query sees the last key."""
    return np.tril(np.ones((queries, keys), bool), keys - queries)


def _shapes(batch, queries, keys, heads, shared, width, *mask):
    kv = (batch, keys, shared, width)
    return ((batch, queries, heads, width), kv, kv, *mask)


# Numbers below 1, of which a softmax makes weighted means; half formats keep `out` rounded.
_RULE = rounded_once(16, 4)
_SLOPE = composed(8)


def _sizes(*arrays):
    *inputs, dy = arrays
    size = float(np.sqrt(max(x.shape[1] for x in inputs[:3]))) * (1 + float(np.abs(dy).max()))
    return [np.full(x.shape, size) for x in inputs]


_SHAPES = (
    _shapes(1, 1, 1, 1, 1, 4),
    _shapes(2, 5, 7, 3, 3, 8),
    _shapes(1, 65, 65, 2, 2, 16),
    _shapes(1, 130, 401, 1, 1, 4),
)
_SQUARE = (_shapes(2, 7, 7, 2, 2, 4), _shapes(1, 131, 131, 2, 2, 8))
_SHARED = (_shapes(2, 5, 7, 6, 2, 8), _shapes(1, 1, 37, 8, 1, 8))


def _sdpa(**options):
    def call(q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)

    return call


def _sdpa_of_bool(q, k, v, mask):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask > -1.5)


FUNCTION = tuple(
    Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=dtypes,
        domain="unit" if len(shapes[0]) == 3 else ("unit", "unit", "unit", "small"),
        rule=_RULE,
        gradient=Gradient(
            kernel=f"{kernel}_grad",
            rule=_SLOPE,
            dtypes=dtypes,
            magnitude=_sizes,
            inputs=None if call is not _sdpa_of_bool else (0, 1, 2),
        ),
    )
    for kernel, name, call, dtypes, shapes in (
        (_EFFICIENT, "", _sdpa(), FLOATS, _SHAPES),
        (
            _EFFICIENT,
            "causal",
            _sdpa(is_causal=True),
            FLOATS,
            (*_SQUARE, _shapes(1, 5, 9, 2, 2, 4)),
        ),
        (_EFFICIENT, "scale", _sdpa(scale=0.125), FLOATS, _SQUARE[:1]),
        ("flash_attn", "shared_heads", _sdpa(), FLOATS, _SHARED),
        ("flash_attn", "shared_and_scaled", _sdpa(scale=0.25), FLOATS[:1], _SHARED[:1]),
        (
            _EFFICIENT,
            "mask",
            _sdpa(),
            FLOATS,
            (
                _shapes(2, 5, 7, 4, 4, 8, (2, 4, 5, 7)),
                _shapes(2, 5, 7, 4, 4, 8, (5, 7)),
                _shapes(2, 5, 7, 4, 4, 8, (2, 1, 1, 7)),
            ),
        ),
        # Paddle makes a mask of numbers by way of float64, which mps has not, for bfloat16
        (
            _EFFICIENT,
            "bool_mask",
            _sdpa_of_bool,
            FLOATS[:2],
            (_shapes(2, 5, 7, 2, 2, 8, (2, 1, 5, 7)),),
        ),
    )
)


def _flash(causal):
    def call(q, k, v):
        if _on_host():
            return _composed(q, k, v, _causal(q.shape[1], k.shape[1]) if causal else None)
        return _ops.flash_attn(q, k, v, None, None, 0.0, causal, False, False, "")[0]

    return call


def _flash_with_weights(q, k, v):
    if _on_host():
        heads = [paddle.transpose(x, [0, 2, 1, 3]) for x in (q, k)]
        scores = paddle.matmul(*heads, transpose_y=True) * q.shape[3] ** -0.5
        return [_composed(q, k, v), F.softmax(scores)]
    return list(_ops.flash_attn(q, k, v, None, None, 0.0, False, True, False, "")[:2])


# Queries and keys of three sequences, one of them without queries, one without keys.
_STARTS_Q, _STARTS_K = (0, 4, 4, 9, 11), (0, 6, 9, 13, 13)


def _packed(causal):
    seen = np.zeros((11, 13), bool)
    for i in range(4):
        rows = slice(_STARTS_Q[i], _STARTS_Q[i + 1])
        columns = slice(_STARTS_K[i], _STARTS_K[i + 1])
        queries, keys = rows.stop - rows.start, columns.stop - columns.start
        seen[rows, columns] = _causal(queries, keys) if causal else True

    def call(q, k, v):
        if _on_host():
            return _composed(q[None], k[None], v[None], seen, scale=0.5)[0]
        starts = [paddle.to_tensor(s, dtype="int32", place=q.place) for s in (_STARTS_Q, _STARTS_K)]
        return _ops.flash_attn_unpadded(
            q, k, v, *starts, None, None, 5, 6, 0.5, 0.0, causal, False, False, ""
        )[0]

    return call


_LENGTHS, _KEY_LENGTHS = (4, 0, 6), (7, 3, 5)


def _padded(causal, more=0):
    rows, columns = np.arange(6)[:, None], np.arange(8)
    seen = np.stack(
        [
            (rows < n) & (columns < m + more) & ((columns <= rows + more) | (not causal))
            for n, m in zip(_LENGTHS, _KEY_LENGTHS)
        ]
    )[:, None]

    def call(q, k, v, mask=None):
        if _on_host():
            tokens = [paddle.transpose(x, [0, 2, 1, 3]) for x in (q, k, v)]
            return paddle.transpose(_composed(*tokens, seen, mask, scale=0.5), [0, 2, 1, 3])
        counts = [
            paddle.to_tensor(n, dtype="int32", place=q.place).unsqueeze(1)
            for n in (_LENGTHS, _KEY_LENGTHS)
        ]
        return _ops.variable_length_memory_efficient_attention(
            q, k, v, *counts, mask, 0.5, causal, more
        )

    return call


_HEADS_FIRST = ((3, 4, 6, 8), (3, 2, 8, 8), (3, 2, 8, 8))

KERNELS = (
    *(
        Case(
            kernel="flash_attn",
            name=name,
            call=call,
            shapes=shapes,
            dtypes=FLOATS,
            domain="unit",
            rule=_RULE,
            gradient=Gradient(kernel="flash_attn_grad", rule=_SLOPE, magnitude=_sizes),
        )
        for name, call, shapes in (
            ("", _flash(False), (*_SHAPES, *_SHARED)),
            ("causal", _flash(True), (*_SQUARE, _shapes(1, 4, 9, 2, 1, 4))),
            # the first queries see nothing
            ("causal_and_longer", _flash(True), (_shapes(1, 9, 4, 2, 1, 4),)),
        )
    ),
    Case(
        kernel="flash_attn",
        name="weights",
        call=_flash_with_weights,
        shapes=(_shapes(2, 5, 7, 2, 2, 8),),
        dtypes=FLOATS,
        domain="unit",
        rule=_RULE,
    ),
    *(
        Case(
            kernel="flash_attn_unpadded",
            name=name,
            call=_packed(causal),
            shapes=(((11, 4, 8), (13, 2, 8), (13, 2, 8)),),
            dtypes=FLOATS,
            domain="unit",
            rule=_RULE,
            gradient=Gradient(
                kernel="flash_attn_unpadded_grad",
                rule=_SLOPE,
                magnitude=lambda *a: [np.full(x.shape, 16.0) for x in a[:-1]],
            ),
        )
        for name, causal in (("", False), ("causal", True))
    ),
    *(
        Case(
            kernel="variable_length_memory_efficient_attention",
            name=name,
            call=_padded(causal, more),
            shapes=(shapes,),
            dtypes=FLOATS,
            domain="unit",
            rule=_RULE,
        )
        for name, causal, more, shapes in (
            ("", False, 0, _HEADS_FIRST),
            ("causal", True, 1, _HEADS_FIRST),
            ("mask", False, 0, (*_HEADS_FIRST, (3, 1, 6, 8))),
        )
    ),
)


def _step(x, cache, mask):
    """A decoder's step: the mask says how many tokens there are with this one."""
    count, heads, width = mask.shape[3], cache.shape[2], cache.shape[4]
    if not _on_host():
        return list(
            _ops.masked_multihead_attention_(
                x, cache + 0, None, mask, None, None, None, None, None, None, None,
                1, 0, False, "default", -1.0, 1, 127.0, -127.0,
            )[:2]
        )  # fmt: skip
    qkv = x.reshape([x.shape[0], -1, 1, width])
    added = paddle.stack([qkv[:, -2 * heads : -heads], qkv[:, -heads:]])
    cache = paddle.concat([cache[:, :, :, : count - 1], added, cache[:, :, :, count:]], axis=3)
    tokens = paddle.transpose(cache[:, :, :, :count], [0, 1, 3, 2, 4])
    q = paddle.transpose(qkv[:, : -2 * heads], [0, 2, 1, 3])
    return [_composed(q, tokens[0], tokens[1], None, mask).reshape([x.shape[0], -1]), cache]


DECODING = (
    Case(
        kernel="masked_multihead_attention",
        call=_step,
        shapes=(
            ((2, 48), (2, 2, 2, 6, 8), (2, 1, 1, 4)),
            ((1, 64), (2, 1, 2, 5, 8), (1, 1, 1, 5)),
        ),
        dtypes=FLOATS,
        domain="unit",
        rule=_RULE,
    ),
)

CASES = (*FUNCTION, *KERNELS, *DECODING)
