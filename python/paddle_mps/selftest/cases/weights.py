"""Weights of 8 and 4 bits, and products with them: Paddle has these kernels for CUDA alone.

The weights of the cases are eighths, and the greatest of each column is such that its scale is a
power of two: then every dtype holds all of it. tests/test_paddle_weights.py has other numbers.
"""

import numpy as np
import paddle

from ..tolerance import EXACT, summed
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops
_GREATEST = {8: 127 / 16, 4: 7.0}  # of a column: 127 and 7 steps
_ARCHITECTURE = 80


def _on_host(x):
    """A static program has no place to ask for, and is made for the device."""
    return x.place is not None and not x.place.is_custom_place()


def _algorithm(bits):
    return f"weight_only_int{bits}"


def _prepared(w, bits):
    """In the first row of each group the greatest number."""
    top = paddle.full([1, w.shape[1]], _GREATEST[bits], w.dtype)
    groups = [w[first : first + 64] for first in range(0, w.shape[0], 64)]
    return paddle.concat([part for group in groups for part in (top, group[1:])])


def _step(bits):
    return _GREATEST[bits] / (2 ** (bits - 1) - 1)


def _codes(w, bits):
    steps = _prepared(w, bits).numpy() / _step(bits)
    return np.trunc(steps + np.copysign(0.5, steps)).astype(np.int64)


def _packed(codes, bits):
    """The bytes, each put where Paddle's CUDA kernels look for it."""
    rows, columns = codes.shape
    k, j = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    if bits == 8:
        within = np.array([0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15])
        place = within[k % 16] + k // 16 * 16
        at = place % 64 + 128 * (place // 64) + 64 * (j % 2) + 2 * rows * (j // 2)
        found = np.empty(codes.size, np.uint8)
        found[at.ravel()] = (codes + 128).ravel()
        return found.view(np.int8).reshape(columns, rows)
    t = np.arange(32)
    row_of = 8 * (t % 8 // 2) + t % 2 + 2 * (t // 8)
    tiled = codes.reshape(rows // 32, 32, columns)[:, row_of].reshape(rows, columns)
    runs = tiled.T.reshape(columns // 4, 4, rows // 64, 64).swapaxes(1, 2)
    nibbles = (runs.reshape(-1, 8) + 8)[:, [0, 2, 4, 6, 1, 3, 5, 7]].reshape(-1, 2)
    found = (nibbles[:, 0] + 16 * nibbles[:, 1]).astype(np.uint8)
    return found.view(np.int8).reshape(columns // 2, rows)


def _int8(x, numbers):
    return paddle.to_tensor(np.ascontiguousarray(numbers.astype(np.int8)), place=x.place)


def _scales(w, bits, group):
    groups = [] if group == -1 else [-(-w.shape[0] // group)]
    return paddle.full([*groups, w.shape[1]], _step(bits), w.dtype)


def _quantize(bits, group=-1, algorithm=""):
    def call(w):
        if not _on_host(w):
            name = algorithm or _algorithm(bits)
            return list(_ops.weight_quantize(_prepared(w, bits), name, _ARCHITECTURE, group))
        codes = _codes(w, bits)
        return [_int8(w, _packed(codes, bits)), _scales(w, bits, group)]

    return call


def _quantize_plain(w):
    if not _on_host(w):
        return list(_ops.weight_quantize(_prepared(w, 8), "llm.int8", _ARCHITECTURE, -1))
    scales = paddle.full([w.shape[1]], _step(8), "float32")
    return [_int8(w, _codes(w, 8).T), scales]


def _on_device(w, bits, group):
    """Quantised by the device, with scales in w's dtype."""
    algorithm = _algorithm(bits)
    packed, _ = _ops.weight_quantize(_prepared(w, bits).cast("float16"), algorithm, 80, group)
    return packed, _scales(w, bits, group)


def _numbers(w, bits):
    """What the weight stands for."""
    return paddle.to_tensor(_codes(w, bits) * _step(bits), place=w.place).cast(w.dtype)


def _dequantize(bits, group=-1):
    def call(w):
        if _on_host(w):
            return _numbers(w, bits)
        return _ops.weight_dequantize(*_on_device(w, bits, group), _algorithm(bits), group)

    return call


def _linear(bits, group=-1):
    def call(x, w, bias):
        w = w.detach()
        if _on_host(x):
            return paddle.matmul(x, _numbers(w, bits)) + bias
        packed, scales = _on_device(w, bits, group)
        attributes = (f"int{bits}", _ARCHITECTURE, group)
        return _ops.weight_only_linear(x, packed, bias.detach(), scales, *attributes)

    return call


def _int8_linear(x, w):
    """With the greatest number of each row such that it too has a scale of a power of two."""
    top = paddle.full([*x.shape[:-1], 1], _GREATEST[8], x.dtype)
    x = paddle.concat([top, x[..., 1:]], axis=-1)
    if _on_host(x):
        return paddle.matmul(x, _numbers(w, 8))
    packed, scales = _ops.weight_quantize(_prepared(w, 8).cast("float16"), "llm.int8", 80, -1)
    return _ops.llm_int8_linear(x, packed, None, scales, 100.0)


def _per_channel(x, scales):
    return x * scales if _on_host(x) else _ops.apply_per_channel_scale(x, scales)


_WEIGHTS = (((64, 32),), ((192, 64),))
_PRODUCTS = (((3, 64), (64, 32)), ((2, 3, 128), (128, 32)), ((1, 192), (192, 64)))


CASES = (
    *(
        Case(
            kernel="weight_quantize",
            name=f"int{bits}_{group}",
            call=_quantize(bits, group),
            shapes=_WEIGHTS,
            dtypes=("float16", "bfloat16"),
            domain="eighths",
        )
        for bits in (8, 4)
        for group in (-1, 64, 128)
    ),
    Case(
        kernel="weight_quantize",
        name="plain",
        call=_quantize_plain,
        shapes=_WEIGHTS,
        dtypes=("float16", "bfloat16"),
        domain="eighths",
    ),
    *(
        Case(
            kernel="weight_dequantize",
            name=f"int{bits}_{group}",
            call=_dequantize(bits, group),
            shapes=_WEIGHTS,
            dtypes=FLOATS,
            domain="eighths",
        )
        for bits, group in ((8, -1), (8, 64), (4, -1), (4, 128))
    ),
    *(
        Case(
            kernel="weight_only_linear",
            name=f"int{bits}_{group}",
            call=_linear(bits, group),
            shapes=tuple((*shapes, shapes[1][1:]) for shapes in _PRODUCTS),
            dtypes=FLOATS,
            domain=("any", "eighths", "any"),
            rule=summed(lambda x, w, bias: w[0] + 1),
            gradient=None  # Paddle refuses it with groups
            if group != -1
            else Gradient(
                kernel="weight_only_linear_grad",
                rule=summed(lambda x, w, bias: w[1]),
                inputs=(0,),
            ),
        )
        for bits, group in ((8, -1), (8, 128), (4, -1), (4, 64))
    ),
    Case(
        kernel="llm_int8_linear",
        call=_int8_linear,
        shapes=_PRODUCTS,
        dtypes=FLOATS,
        domain="eighths",
        rule=summed(lambda x, w: w[0]),
    ),
    Case(
        kernel="apply_per_channel_scale",
        call=_per_channel,
        shapes=(((5, 7), (7,)), ((1, 64), (64,)), ((129, 33), (33,))),
        dtypes=FLOATS,
        rule=EXACT,
    ),
)
