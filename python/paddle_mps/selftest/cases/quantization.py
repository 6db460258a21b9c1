"""Simulated quantisation: whole numbers in a float tensor, and what comes back of them.

The truth is NumPy's, in float32 and in the order of roundings of Paddle's CPU device, which has
these kernels in float32 alone; tests/test_paddle_quantisation.py compares with it bit by bit.
"""

import numpy as np
import paddle

from ..tolerance import EXACT
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops
_legacy = paddle._legacy_C_ops
_F = np.float32


def _on_host(x):
    """A static program has no place to ask for, and is made for the device."""
    return x.place is not None and not x.place.is_custom_place()


class _Through(paddle.autograd.PyLayer):
    """Other numbers in the place of x, whose gradient passes."""

    @staticmethod
    def forward(ctx, x, numbers):
        return _tensor(x, numbers)

    @staticmethod
    def backward(ctx, dy):
        return dy


def _whole(x, scale, bits, kind):
    most = _F(2 ** (bits - 1) - 1)
    scale = np.asarray(scale, _F)
    factor = most * (_F(1) / np.where(scale <= _F(1e-30), scale + _F(1e-6), scale))
    if kind == 0:
        return np.maximum(np.minimum(np.rint(factor * x), most), -most - _F(1))
    y = factor * np.clip(x, -scale, scale)
    return np.trunc(y) + (np.abs(y - np.trunc(y)) >= _F(0.5)) * np.sign(y)


def _back(whole, scale, bits):
    return whole * np.asarray(scale, _F) / _F(2 ** (bits - 1) - 1)


def _greatest(x, axis=None):
    """Of the tensor or of each channel, in a shape that broadcasts."""
    axes = tuple(a for a in range(x.ndim) if a != axis)
    return np.max(np.abs(x), axes, keepdims=True, initial=_F(0))


def _numbers(tensor):
    return tensor.numpy().astype(_F)


def _composed(x, scale, bits, kind, back):
    whole = _whole(_numbers(x), scale, bits, kind)
    return _Through.apply(x, _back(whole, scale, bits) if back else whole)


def _tensor(like, numbers):
    dtype = np.float64 if like.dtype == paddle.float64 else _F
    return paddle.to_tensor(np.asarray(numbers, dtype), place=like.place)


def _abs_max(op, bits, kind, axis=None, *, back, more=()):
    def call(x):
        if not _on_host(x):
            attributes = (bits, kind) if axis is None else (bits, kind, axis)
            found = op(x, *attributes, *more)
            return found[0] if back else list(found)
        scale = _greatest(_numbers(x), axis)
        out = _composed(x, scale, bits, kind, back)
        return out if back else [out, _tensor(x, scale.reshape(-1))]

    return call


def _average(op, bits, kind, is_test, *, back):
    """Of inputs without their signs: a state is a count."""

    def call(x, scale, accum, state):
        scale, accum, state = (t.abs() for t in (scale, accum, state))
        if not _on_host(x):
            found = op(x, scale, accum, state, 0.5, bits, is_test, kind)
            return found[0] if back or is_test else list(found)
        scale, accum, state = (_numbers(t) for t in (scale, accum, state))
        if not is_test:
            state = _F(0.5) * state + _F(1)
            accum = _F(0.5) * accum + _greatest(_numbers(x)).reshape(1)
            scale = accum / state
        out = _composed(x, scale, bits, kind, back)
        return out if back or is_test else [out, *(_tensor(x, t) for t in (scale, state, accum))]

    return call


def _watched(x, accum, state):
    accum, state = accum.abs(), state.abs()
    if not _on_host(x):
        results = (paddle.zeros(x.shape, x.dtype), *(paddle.zeros([1], x.dtype) for _ in range(3)))
        call = _legacy.moving_average_abs_max_scale
        return list(call(x, accum, state, *results, "moving_rate", 0.5, "is_test", False))
    next_state = _F(0.5) * _numbers(state) + _F(1)
    next_accum = _F(0.5) * _numbers(accum) + _greatest(_numbers(x)).reshape(1)
    return [x, *(_tensor(x, t) for t in (next_accum / next_state, next_state, next_accum))]


def _range(x, scale):
    scale = scale.abs()
    if not _on_host(x):
        step = paddle.zeros([1], "int64")
        return list(_ops.fake_quantize_range_abs_max(x, scale, step, 4, 8, False, 1))[:2]
    greatest = np.maximum(_numbers(scale), _greatest(_numbers(x)).reshape(1))
    return [_composed(x, greatest, 8, 1, False), _tensor(x, greatest)]


_SPEC = ("bit_length", 8, "qmin", -128, "qmax", 127)


def _channels(x, axis):
    return 1 if axis < 0 else x.shape[axis]


def _lies(numbers, x, axis):
    return numbers.reshape([-1 if a == axis else 1 for a in range(len(x.shape))])


def _quantize_linear(is_test):
    """Eager mode has only the older spelling. A program does not return what was watched."""

    def quantized(x, scale, accum, state, zero_point):
        attributes = (-1, 8, -128, 127, 1, is_test, False)
        return _ops.quantize_linear(x, scale, zero_point, accum, state, *attributes)[0]

    program = paddle.jit.to_static(quantized, full_graph=True)

    def call(x, *more):
        scale, accum, state = (t.abs() for t in more)
        if not _on_host(x):
            return program(x, scale, accum, state, paddle.zeros([1], x.dtype))
        scale, accum, state = (_numbers(t) for t in (scale, accum, state))
        if not is_test:
            accum = _F(0.9) * accum + _greatest(_numbers(x)).reshape(1)
            scale = accum / (_F(0.9) * state + _F(1))
        return _composed(x, scale, 8, 1, False)

    return call


def _quantize_linear_old(axis, kind):
    def call(x, scale):
        scale = scale[: _channels(x, axis)].abs()
        if not _on_host(x):
            zero = paddle.zeros(scale.shape, scale.dtype)
            return _legacy.quantize_linear(
                x, scale, zero, "quant_axis", axis, *_SPEC, "round_type", kind
            )
        return _composed(x, _lies(_numbers(scale), x, axis), 8, kind, False)

    return call


def _dequantize_linear_old(x, scale):
    scale = scale[:1].cast("float32").abs()
    if not _on_host(x):
        zero = paddle.zeros([1])
        found = _legacy.dequantize_linear(x, scale, zero, "quant_axis", -1, *_SPEC)
        return found.cast(x.dtype) if x.is_floating_point() else found
    return _tensor(x, _back(_numbers(x), _numbers(scale), 8))


def _dequantize_channels(x, scale):
    scale = scale[: x.shape[0]].abs()
    if not _on_host(x):
        return _ops.fake_channel_wise_dequantize_max_abs(x, [scale], [8], 0, 1)
    return _tensor(x, _back(_numbers(x), _lies(_numbers(scale), x, 0), 8))


def _dequantize_max_abs(x, scale):
    if not _on_host(x):
        return _ops.fake_dequantize_max_abs(x, scale, 127.0)
    return _tensor(x, _back(_numbers(x), _numbers(scale), 8))


def _dequantize_abs_max(x):
    if not _on_host(x):
        return _ops.dequantize_abs_max(x, paddle.full([1], 0.7), 127.0)
    return _tensor(x, _back(_numbers(x), _F(0.7), 8))


def _dequantize_log(x):
    table = np.exp2(-np.arange(128, dtype=_F) / _F(8))
    if not _on_host(x):
        return _ops.dequantize_log(x, paddle.to_tensor(table))
    codes = x.numpy().astype(int)
    return _tensor(x, np.where(codes < 0, -table[codes + 128 * (codes < 0)], table[codes % 128]))


_ONE = (1,)
_SHAPES = (((5, 7),), ((3, 4, 2, 3),), ((1, 1),), ((61, 53),))


def _with(*shapes):
    return tuple((shape, *shapes) for (shape,) in _SHAPES)


CASES = (
    *(
        Case(
            kernel=kernel,
            name=f"{bits}_{kind}",
            call=_abs_max(getattr(_ops, kernel), bits, kind, axis, back=back, more=more),
            shapes=_SHAPES,
            dtypes=FLOATS,
            gradient=Gradient(kernel=f"{kernel}_grad", rule=EXACT) if back else None,
        )
        for kernel, axis, back, more in (
            ("fake_quantize_abs_max", None, False, ()),
            ("fake_quantize_dequantize_abs_max", None, True, ()),
            ("fake_channel_wise_quantize_abs_max", 1, False, (False,)),
            ("fake_channel_wise_quantize_dequantize_abs_max", 0, True, ()),
        )
        for bits, kind in ((8, 0), (4, 1))
    ),
    *(
        Case(
            kernel=kernel,
            name="test" if is_test else "",
            call=_average(getattr(_ops, kernel), 8, 1, is_test, back=back),
            shapes=_with(_ONE, _ONE, _ONE),
            domain=("any", "nonzero", "nonzero", "nonzero"),
            dtypes=FLOATS,
            gradient=Gradient(kernel=f"{kernel}_grad", rule=EXACT, inputs=(0,)) if back else None,
        )
        for kernel, back in (
            ("fake_quantize_moving_average_abs_max", False),
            ("fake_quantize_dequantize_moving_average_abs_max", True),
        )
        for is_test in (False, True)
    ),
    Case(
        kernel="moving_average_abs_max_scale",
        call=_watched,
        layouts=False,  # no static program has this spelling
        shapes=_with(_ONE, _ONE),
        domain=("any", "nonzero", "nonzero"),
        dtypes=FLOATS,
        gradient=Gradient(kernel="straight_through_estimator_grad", rule=EXACT, inputs=(0,)),
    ),
    Case(
        kernel="fake_quantize_range_abs_max",
        call=_range,
        shapes=_with(_ONE),
        domain=("any", "nonzero"),
        dtypes=FLOATS,
    ),
    *(
        Case(
            kernel="quantize_linear",
            name="test" if is_test else "",
            call=_quantize_linear(is_test),
            shapes=_with(_ONE, _ONE, _ONE),
            domain=("any", "nonzero", "nonzero", "nonzero"),
            dtypes=FLOATS,
            layouts=False,  # a static program takes what is contiguous
        )
        for is_test in (False, True)
    ),
    *(
        Case(
            kernel="quantize_linear_deprecated_infer",
            name=f"axis{axis}_{kind}",
            call=_quantize_linear_old(axis, kind),
            layouts=False,  # no static program has this spelling
            shapes=_with((61,)),
            domain=("any", "nonzero"),
            dtypes=FLOATS,
        )
        for axis, kind in ((-1, 0), (0, 1), (1, 0))
    ),
    Case(
        kernel="dequantize_linear_deprecated",
        call=_dequantize_linear_old,
        layouts=False,  # no static program has this spelling
        shapes=_with((61,)),
        domain=("any", "nonzero"),
        dtypes=(*FLOATS, "int8", "uint8", "int32"),
    ),
    Case(
        kernel="fake_dequantize_max_abs",
        call=_dequantize_max_abs,
        shapes=_with(_ONE),
        domain=("any", "nonzero"),
        dtypes=FLOATS,
    ),
    Case(
        kernel="fake_channel_wise_dequantize_max_abs",
        call=_dequantize_channels,
        shapes=_with((61,)),
        domain=("any", "nonzero"),
        dtypes=FLOATS,
    ),
    Case(
        kernel="dequantize_abs_max",
        call=_dequantize_abs_max,
        shapes=_SHAPES,
        dtypes=("int8", "int16"),
    ),
    Case(kernel="dequantize_log", call=_dequantize_log, shapes=_SHAPES, dtypes=("int8",)),
)
