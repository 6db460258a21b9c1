"""Relatives of layer and batch norm: of groups, of instances, by squares alone, by a singular
value."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import composed, rounded_once
from .case import FLOATS, Case, Gradient
from .layer_norm import wide

_ops = paddle._C_ops


def _on_host(x):
    """Paddle's CPU device lacks these in float64, or at all: the truth is composed."""
    return not x.place.is_custom_place()


def _group_norm(groups, layout):
    return lambda x, scale, bias: _ops.group_norm(x, scale, bias, 1e-5, groups, layout)


def _spread_terms(groups, last=False):
    """What the gradients by x, scale and bias add up, before anything cancels."""

    def terms(x, scale, bias, dy):
        order = [0, x.ndim - 1, *range(1, x.ndim - 1)] if last else list(range(x.ndim))
        rows, size = x.transpose(order), np.abs(dy).transpose(order)
        count = rows.shape[1] if groups is None else groups
        flat = rows.reshape(rows.shape[0], count, -1)
        inverse = 1 / np.sqrt(np.var(flat, -1, keepdims=True) + 1e-5)
        y = np.abs((flat - np.mean(flat, -1, keepdims=True)) * inverse)
        shape = (1, -1, *[1] * (rows.ndim - 2))
        slope = (size * np.abs(scale).reshape(shape)).reshape(flat.shape)
        tilt = np.mean(slope, -1, keepdims=True) + y * np.mean(slope * y, -1, keepdims=True)
        dx = (inverse * (slope + tilt) * (1 + y)).reshape(rows.shape)
        axes = (0, *range(2, rows.ndim))
        dscale = np.sum(size * (1 + y.reshape(rows.shape)), axes)
        return [dx.transpose(np.argsort(order)), dscale, np.sum(size, axes)]

    return terms


_SHAPES = (((2, 6, 5, 7), (6,), (6,)), ((3, 6, 11), (6,), (6,)))

GROUPS = (
    *(
        Case(
            kernel="group_norm",
            name=name,
            call=_group_norm(groups, layout),
            shapes=shapes,
            dtypes=FLOATS,
            domain=("small", "nonzero", "small"),
            rule=rounded_once(8, 64),
            layouts=layout == "NCHW",
            gradient=Gradient(
                kernel="group_norm_grad",
                rule=composed(8),
                magnitude=_spread_terms(groups, layout == "NHWC"),
            ),
        )
        for name, groups, layout, shapes in (
            ("", 3, "NCHW", _SHAPES),
            ("one_group", 1, "NCHW", _SHAPES),
            ("channels_last", 2, "NHWC", (((2, 5, 7, 6), (6,), (6,)),)),
        )
    ),
    Case(
        kernel="instance_norm",
        call=lambda x, scale, bias: F.instance_norm(x, weight=wide(scale), bias=wide(bias)),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain=("small", "nonzero", "small"),
        rule=rounded_once(8, 64),
        layouts=False,  # its statistics are made of the channels in memory
        gradient=Gradient(
            kernel="instance_norm_grad",
            rule=composed(8),
            magnitude=_spread_terms(None),
            inputs=(0, 1, 2),  # Paddle refuses to leave out that of x
        ),
    ),
    Case(
        kernel="group_norm",
        name="plain",
        call=lambda x: _ops.group_norm(x, None, None, 1e-5, 2, "NCHW"),
        shapes=(((2, 4, 5),),),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(8, 16),
    ),
)

# -- rms_norm -------------------------------------------------------------------------------------


def _by_squares(x, axes, epsilon):
    return x * paddle.rsqrt(paddle.mean(x * x, axes, keepdim=True) + epsilon)


def _rms_norm(x, scale):
    shape = scale.shape
    if _on_host(x):
        axes = list(range(len(x.shape) - len(shape), len(x.shape)))
        return _by_squares(x, axes, 2.0**-16) * scale
    return _ops.rms_norm(x, scale, shape, 2.0**-16)[0]


def _rms_terms(x, scale, dy):
    axes = tuple(range(x.ndim - scale.ndim, x.ndim))
    inverse = 1 / np.sqrt(np.mean(x * x, axes, keepdims=True) + 2.0**-16)
    y, slope = np.abs(x) * inverse, np.abs(dy * scale)
    dx = inverse * (slope + y * np.mean(slope * y, axes, keepdims=True))
    return [dx, np.sum(np.abs(dy) * y, tuple(range(x.ndim - scale.ndim)))]


def _fused_rms_norm(x, weight, norm_bias, bias, residual):
    if _on_host(x):
        total = x + bias + residual
        return [_by_squares(total, [-1], 2.0**-16) * weight + norm_bias, total]
    results = _ops.fused_rms_norm_quant(
        x, bias, residual, weight, norm_bias, 2.0**-16, len(x.shape) - 1, -1.0, 0, 0.0, 0.0
    )
    return list(results[:2])


def _fused_layer_norm(x, weight, norm_bias, bias, residual):
    if _on_host(x):
        total = x + bias + residual * 0.5
        mean = paddle.mean(total, -1, keepdim=True)
        spread = paddle.mean((total - mean) ** 2, -1, keepdim=True)
        normal = (total - mean) * paddle.rsqrt(spread + 2.0**-16)
        return [normal * weight + norm_bias, total]
    results = _ops.fused_bias_residual_layernorm(
        x, bias, residual, weight, norm_bias, 2.0**-16, 0.5, len(x.shape) - 1, -1.0, 0, 0.0, 0.0
    )
    return list(results[:2])


def _last_rms_norm(kernel):
    def call(x, scale):
        if _on_host(x):
            return _by_squares(x, [-1], 2.0**-16) * scale
        return getattr(_ops, kernel)(x, scale, 2.0**-16)[0]

    return call


ROWS = (
    *(
        Case(
            kernel=kernel,
            call=_last_rms_norm(kernel),
            shapes=(((2, 3, 8), (8,)), ((5, 33), (33,))),
            dtypes=FLOATS,
            domain=("small", "nonzero"),
            rule=rounded_once(8, 4),
            layouts=False,
            gradient=Gradient(kernel=f"{kernel}_grad", rule=composed(8), magnitude=_rms_terms),
        )
        for kernel in ("fast_rms_norm", "fused_rms_norm_ext")
    ),
    Case(
        kernel="rms_norm",
        call=_rms_norm,
        shapes=(((2, 3, 8), (8,)), ((5, 7, 33), (33,)), ((3, 4, 5), (4, 5))),
        dtypes=FLOATS,
        domain=("small", "nonzero"),
        rule=rounded_once(8, 4),
        layouts=False,
        gradient=Gradient(kernel="rms_norm_grad", rule=composed(8), magnitude=_rms_terms),
    ),
    *(
        Case(
            kernel=kernel,
            call=call,
            shapes=(
                ((4, 8), (8,), (8,), (8,), (4, 8)),
                ((2, 3, 33), (33,), (33,), (33,), (2, 3, 33)),
            ),
            dtypes=FLOATS,
            domain=("small", "nonzero", "small", "small", "small"),
            rule=rounded_once(8, 64),
            layouts=False,
        )
        for kernel, call in (
            ("fused_rms_norm_quant", _fused_rms_norm),
            ("fused_bias_residual_layernorm", _fused_layer_norm),
        )
    ),
)

# -- spectral_norm --------------------------------------------------------------------------------


def _spectral_norm(dim, iterations):
    def call(weight, u, v):
        if not _on_host(weight):
            return _ops.spectral_norm(weight, u, v, dim, iterations, 1e-12)
        # The gradient of Paddle's CPU device is not that of its result: for a matrix W, it sums W
        # alone where W times the incoming gradient belongs.
        order = [dim, *(i for i in range(len(weight.shape)) if i != dim)]
        rows = weight.transpose(order)
        matrix = rows.reshape([rows.shape[0], -1])
        fixed = matrix.detach()
        for _ in range(iterations):
            v = F.normalize(paddle.mv(fixed.t(), u), axis=0)
            u = F.normalize(paddle.mv(fixed, v), axis=0)
        value = paddle.sum(u * paddle.mv(matrix, v))
        return (
            (matrix / value)
            .reshape(rows.shape)
            .transpose([order.index(i) for i in range(len(order))])
        )

    return call


def _spectral_terms(weight, u, v, dy):
    size = np.max(np.abs(dy)) * (1 + weight.size**0.5) * np.ones(weight.shape)
    return [size, np.zeros(u.shape), np.zeros(v.shape)]


SPECTRAL = tuple(
    Case(
        kernel="spectral_norm",
        name=name,
        call=_spectral_norm(dim, iterations),
        shapes=shapes,
        dtypes=FLOATS,
        domain=("small", "fractions", "fractions"),
        rule=rounded_once(64, 2),
        layouts=False,
        gradient=Gradient(
            kernel="spectral_norm_grad", rule=composed(8), magnitude=_spectral_terms, inputs=(0,)
        ),
    )
    for name, dim, iterations, shapes in (
        ("", 0, 2, (((5, 7), (5,), (7,)), ((4, 3, 2, 5), (4,), (30,)))),
        ("second_axis", 1, 1, (((3, 5, 2), (5,), (6,)),)),
    )
)

CASES = (*GROUPS, *ROWS, *SPECTRAL)
