"""What brings elements to mean 0 and variance 1: layer and batch norm, and their relatives."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import composed, rounded_once
from .case import FLOATS, Case, Gradient


def wide(tensor):
    """Statistics and parameters are float32 where the input is half as wide."""
    name = str(tensor.dtype)
    return paddle.cast(tensor, "float32") if name.endswith(("float16", "bfloat16")) else tensor


def _normalized(x, axes, epsilon=1e-5):
    mean, variance = np.mean(x, axes, keepdims=True), np.var(x, axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def _norm_terms(axes, each, epsilon=1e-5):
    """What the gradients by x, scale and bias add up, before anything cancels."""

    def terms(x, scale, bias, dy):
        along = tuple(i for i in range(x.ndim) if each[i] == 1)
        y, weight = _normalized(x, axes, epsilon), np.abs(scale.reshape(_fit(each, scale)))
        size = np.abs(dy) * weight
        inverse = 1 / np.sqrt(np.var(x, axes, keepdims=True) + epsilon)
        sums = np.mean(size, axes, keepdims=True)
        tilt = np.abs(y) * np.mean(size * np.abs(y), axes, keepdims=True)
        dx = inverse * (size + sums + tilt) * (1 + np.abs(y))
        # y itself comes from rounded means; its error counts for each term
        dscale = np.sum(np.abs(dy) * (1 + np.abs(y)), along)
        return [dx, dscale.reshape(scale.shape), np.sum(np.abs(dy), along).reshape(bias.shape)]

    return terms


def _fit(each, scale):
    sizes = list(scale.shape)
    return [sizes.pop(0) if kept != 1 else 1 for kept in each]


def _layer_norm(x, scale, bias):
    shape = scale.shape
    if len(shape) > 1:
        scale, bias = scale.flatten(), bias.flatten()
    return F.layer_norm(x, shape, scale, bias)


LAYER_NORM = (
    *(
        Case(
            kernel="layer_norm",
            name=name,
            call=_layer_norm,
            shapes=shapes,
            dtypes=FLOATS,
            domain=("small", "nonzero", "small"),
            rule=rounded_once(8, 64),
            numpy=lambda x, s, b, a=axes: _normalized(x, a) * s + b,
            layouts=name == "",
            large=large,
            gradient=Gradient(
                kernel="layer_norm_grad", rule=composed(8), magnitude=_norm_terms(axes, each)
            ),
        )
        for name, shapes, axes, each, large in (
            (
                "",
                (((2, 3, 8), (8,), (8,)), ((5, 7, 33), (33,), (33,))),
                (2,),
                (1, 1, 0),
                ((64, 61, 512), (512,), (512,)),
            ),
            ("two_axes", (((3, 4, 5), (4, 5), (4, 5)),), (1, 2), (1, 0, 0), None),
        )
    ),
    Case(
        kernel="layer_norm",
        name="plain",
        call=lambda x: F.layer_norm(x, x.shape[1:]),
        shapes=(((4, 16),), ((3, 257),)),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(8, 16),
        numpy=lambda x: _normalized(x, (1,)),
    ),
    Case(
        kernel="layer_norm",
        name="far_from_zero",  # the mean of squares less the square of the mean has no digits left
        call=lambda x: F.layer_norm(x + 1000.0, x.shape[1:]),
        shapes=(((4, 64),),),
        dtypes=("float32",),
        domain="eighths",
        rule=rounded_once(8, 128),
        numpy=lambda x: _normalized(x, (1,)),
    ),
    Case(
        kernel="layer_norm",
        name="statistics",
        call=lambda x: list(paddle._C_ops.layer_norm(x, None, None, 1e-5, 1)),
        shapes=(((4, 16),), ((3, 5, 7),)),
        dtypes=("float32",),
        domain="small",
        rule=rounded_once(8, 16),
        layouts=False,
    ),
)

# -- batch_norm: x, mean, variance, scale, bias ---------------------------------------------------


def _batch_norm(layout="NCHW", training=True, global_stats=None, results=1):
    use_global = (not training) if global_stats is None else global_stats
    trainable = False if global_stats is None else not global_stats

    def call(x, scale, bias):
        scale, bias = wide(scale), wide(bias)
        mean, variance = scale * 0.25, paddle.abs(bias) + 0.5
        mean.stop_gradient = variance.stop_gradient = True
        out = paddle._C_ops.batch_norm(
            x, mean, variance, scale, bias, not training, 0.9, 1e-5, layout, use_global, trainable
        )
        return out[0] if results == 1 else list(out[:results])

    return call


def _channel_terms(channel, is_global):
    def terms(x, scale, bias, dy):
        each = [0 if i == channel else 1 for i in range(x.ndim)]
        axes = tuple(i for i in range(x.ndim) if i != channel)
        if not is_global:
            return _norm_terms(axes, each)(x, scale, bias, dy)
        shape = _fit(each, scale)
        inverse = 1 / np.sqrt(np.abs(bias) + 0.5 + 1e-5)
        y = np.abs(x) + np.abs(scale.reshape(shape)) * 0.25
        dscale = np.sum(np.abs(dy) * y, axes) * inverse
        return [
            np.abs(dy) * (np.abs(scale) * inverse).reshape(shape),
            dscale,
            np.sum(np.abs(dy), axes),
        ]

    return terms


_NCHW = (((4, 3, 5, 6), (3,), (3,)), ((2, 5, 7, 11), (5,), (5,)))
_NHWC = (((4, 5, 6, 3), (3,), (3,)),)

BATCH_NORM = tuple(
    Case(
        kernel="batch_norm",
        name=name,
        call=_batch_norm(**options),
        shapes=shapes,
        dtypes=dtypes,
        domain=("small", "nonzero", "small"),
        rule=rounded_once(8, 64),
        layouts=False,
        large=large,
        gradient=None
        if options.get("results")
        else Gradient(
            kernel="batch_norm_grad",
            rule=composed(8),
            magnitude=_channel_terms(
                channel, options.get("training") is False or options.get("global_stats")
            ),
        ),
    )
    for name, shapes, channel, dtypes, large, options in (
        ("", _NCHW, 1, FLOATS, ((16, 31, 61, 67), (31,), (31,)), {}),
        ("channels_last", _NHWC, 3, FLOATS, ((16, 61, 67, 31), (31,), (31,)), {"layout": "NHWC"}),
        ("rank_2", (((17, 5), (5,), (5,)),), 1, FLOATS, None, {}),
        ("rank_3", (((4, 5, 9), (5,), (5,)),), 1, FLOATS, None, {}),
        ("rank_5", (((2, 3, 4, 5, 2), (3,), (3,)),), 1, ("float32",), None, {}),
        ("evaluation", _NCHW, 1, FLOATS, None, {"training": False}),
        ("evaluation_channels_last", _NHWC, 3, FLOATS, None, {"training": False, "layout": "NHWC"}),
        ("global_statistics", _NCHW, 1, FLOATS, None, {"global_stats": True}),
        ("running_statistics", _NCHW, 1, ("float32",), None, {"results": 3}),
        ("saved_statistics", _NCHW, 1, ("float32",), None, {"results": 5}),
    )
)

CASES = (*LAYER_NORM, *BATCH_NORM)
