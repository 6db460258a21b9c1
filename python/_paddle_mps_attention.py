"""Gives attention on mps a kernel that keeps no score matrix.

Paddle chooses its attention kernels by flags that only builds for other GPUs have; without them,
`scaled_dot_product_attention` and `flash_attention` compute all scores, softmax them and multiply
again. Both do so in one function, `_math_attention`, which is exchanged here for one that calls the
kernel `memory_efficient_attention` where all tensors are on mps: the same formula, upper left
causal masks included, in memory that grows with the lengths and not with their product.

Like `_paddle_mps_hook` this stands beside the package, and imports nothing before it is needed:
install() is called while Paddle is being imported, and the two modules come later.
"""

from __future__ import annotations

from typing import Any

from _paddle_mps_imports import when_imported

_MODULES = ("paddle.nn.functional.flash_attention", "paddle.nn.functional.sdpa")
_DTYPES = ("float32", "float16", "bfloat16")


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).rsplit(".", maxsplit=1)[-1].lower()


def _on_mps(tensor: Any) -> bool:
    import paddle

    dynamic = paddle.in_dynamic_mode()
    place = tensor.place if dynamic else paddle.framework._current_expected_place_()
    if not (place.is_custom_place() and place.custom_device_type() == "mps"):
        return False
    return bool(dynamic or paddle.framework.in_pir_mode())


def _has_kernel(query: Any, key: Any, value: Any, mask: Any) -> bool:
    tensors = (query, key, value)
    if not all(t.ndim == 4 and 0 not in t.shape and _dtype(t) in _DTYPES for t in tensors):
        return False
    if len({_dtype(t) for t in tensors}) != 1 or not all(_on_mps(t) for t in tensors):
        return False
    return mask is None or (mask.ndim <= 4 and _dtype(mask) in _DTYPES and _on_mps(mask))


# Two kernels: one has the gradient of a mask, the other shares heads.


def _flash_attn_does(query: Any, key: Any, mask: Any, causal: bool) -> bool:
    square = query.shape[1] == key.shape[1] and query.shape[1] > 0
    return (mask is None or mask.stop_gradient) and (square or not causal)


def _flash_attn(
    query: Any, key: Any, value: Any, mask: Any, dropout: float, causal: bool, training: bool
) -> Any:
    from paddle import _C_ops

    fixed_seed, show_weights, generator = None, False, ""
    return _C_ops.flash_attn(
        query, key, value, fixed_seed, mask, dropout, causal, show_weights, not training, generator
    )[0]


def _efficient(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    dropout: float,
    causal: bool,
    training: bool,
    scale: float,
) -> Any:
    from paddle import _C_ops

    packed = (None, None, None, None, -1, -1)  # of sequences that lie one behind the other
    return _C_ops.memory_efficient_attention(
        query, key, value, mask, *packed, causal, float(dropout), float(scale), not training
    )[0]


def _attention(compose: Any, repeat: Any) -> Any:
    def _math_attention(
        query: Any,
        key: Any,
        value: Any,
        mask: Any = None,
        dropout_rate: float = 0.0,
        causal: bool = False,
        return_softmax: bool = False,
        training: bool = True,
        scale: float | None = None,
    ) -> tuple[Any, Any]:
        mask = None if causal else mask  # Paddle's own does not look at it either
        scale = scale or None
        unusual = return_softmax or (scale is not None and scale < 0) or dropout_rate >= 1
        if unusual or not _has_kernel(query, key, value, mask):
            if key.shape[2] not in (0, query.shape[2]):
                key, value = repeat(key, value, query.shape[2] // key.shape[2])
            return compose(
                query, key, value, mask, dropout_rate, causal, return_softmax, training, scale
            )
        if key.shape[2] != query.shape[2]:
            if _flash_attn_does(query, key, mask, causal):
                if scale is not None:
                    query = query * (float(scale) * query.shape[3] ** 0.5)
                return _flash_attn(query, key, value, mask, dropout_rate, causal, training), None
            key, value = repeat(key, value, query.shape[2] // key.shape[2])
        return _efficient(
            query, key, value, mask, dropout_rate, causal, training, scale or -1.0
        ), None

    _math_attention.composed = compose  # type: ignore[attr-defined]
    return _math_attention


def _repeat_kv(repeat: Any) -> Any:
    def _repeat_kv(key: Any, value: Any, num_repeats: int) -> tuple[Any, Any]:
        # The kernel shares heads itself. What it cannot do is repeated by _math_attention.
        if _has_kernel(key, key, value, None):
            return key, value
        return repeat(key, value, num_repeats)

    _repeat_kv.repeated = repeat  # type: ignore[attr-defined]
    return _repeat_kv


def _repeat_heads(key: Any, value: Any, count: int) -> tuple[Any, Any]:
    def repeated(x: Any) -> Any:
        batch, length, heads, width = x.shape
        return x.unsqueeze(3).expand([batch, length, heads, count, width]).flatten(2, 3)

    return repeated(key), repeated(value)


def _exchange(module: Any) -> None:
    if not hasattr(module._math_attention, "composed"):
        module._math_attention = _attention(module._math_attention, _repeat_heads)
    if hasattr(module, "_repeat_kv") and not hasattr(module._repeat_kv, "repeated"):
        module._repeat_kv = _repeat_kv(module._repeat_kv)


def install() -> None:
    """Exchange Paddle's composition of attention, now or as soon as it is imported."""
    for name in _MODULES:
        when_imported(name, _exchange)
