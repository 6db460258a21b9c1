"""Second derivatives: gradients of gradients, kernels/second.def and second_derivatives.cc.

`composite`: Paddle makes it of other ops.

A case is the gradient of an op, taken so that it has a gradient itself: the kernel in question.
"""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import composed, summed
from .case import FLOATS, Case, Gradient


def _start(x):
    """A tensor that a gradient can be taken by, the given one if it is wanted."""
    if not x.stop_gradient:
        return x
    leaf = x.detach()
    leaf.stop_gradient = False
    return leaf


def _slope(op):
    def call(x, d):
        x = _start(x)
        return paddle.grad(op(x), x, d, create_graph=True)[0]

    return call


def _slopes(op):
    def call(x, y, d):
        x, y = _start(x), _start(y)
        return paddle.grad(op(x, y), [x, y], d, create_graph=True)

    return call


def _second(kernel, op, domain, *, bounded=False, linear=False, composite=False):
    """`bounded`: a slope of at most 1, of a rounded result, so that what is lost is absolute."""
    return Case(
        kernel=f"{kernel}_grad",
        name="second",
        call=_slope(op),
        shapes=(((), ()), ((7,), (7,)), ((4, 5), (4, 5)), ((127, 131), (127, 131))),
        dtypes=FLOATS,
        layouts=False,  # static programs have no paddle.grad
        domain=(domain, "nonzero"),
        rule=composed(16),
        gradient=Gradient(
            kernel="" if composite else f"{kernel}_double_grad",
            rule=composed(16),
            magnitude=(lambda x, d, g: [np.abs(d * g), np.abs(g)]) if bounded else None,
            inputs=(1,) if linear else None,
        ),
    )


UNARY = (
    _second("tanh", paddle.tanh, "unit", bounded=True),
    _second("sigmoid", F.sigmoid, "unit", bounded=True),
    _second("sin", paddle.sin, "small", bounded=True),
    _second("cos", paddle.cos, "small", bounded=True),
    _second("log", paddle.log, "positive", composite=True),
    _second("square", paddle.square, "small"),
    _second("sqrt", paddle.sqrt, "positive"),
    _second("rsqrt", paddle.rsqrt, "positive"),
    _second("elu", lambda x: F.elu(x, 0.7), "nonzero"),
    _second("celu", lambda x: F.celu(x, 0.7), "nonzero"),
    _second("softplus", lambda x: F.softplus(x, 2, 5), "small", bounded=True),
    _second("pow", lambda x: paddle.pow(x, 2.5), "positive"),
    _second("relu", F.relu, "nonzero", linear=True),
    _second("abs", paddle.abs, "nonzero", linear=True),
    _second("leaky_relu", lambda x: F.leaky_relu(x, 0.2), "nonzero", linear=True),
)


def _few(*shapes):
    """More terms than any sum below has."""
    return 512


def _binary(kernel, op, *, linear=False, composite=False):
    return Case(
        kernel=f"{kernel}_grad",
        name="second",
        call=_slopes(op),
        shapes=(
            ((7,), (7,), (7,)),
            ((4, 5), (5,), (4, 5)),
            ((4, 1), (3, 1, 5), (3, 4, 5)),
        ),
        dtypes=FLOATS,
        layouts=False,
        domain="nonzero",
        rule=summed(_few, nodes=16),
        gradient=Gradient(
            kernel="" if composite else f"{kernel}_double_grad",
            rule=summed(_few, nodes=16),
            inputs=(2,) if linear else None,
        ),
    )


def _matmul(name, shapes, transpose_x=False, transpose_y=False):
    return Case(
        kernel="matmul_grad",
        name=f"second{name}",
        call=_slopes(lambda x, y: paddle.matmul(x, y, transpose_x, transpose_y)),
        shapes=shapes,
        dtypes=FLOATS,
        layouts=False,
        domain="unit",
        rule=summed(_few),
        gradient=Gradient(kernel="", rule=summed(_few, nodes=4)),
    )


BINARY = (
    _binary("add", paddle.add, linear=True),
    _binary("subtract", paddle.subtract, linear=True, composite=True),
    _binary("multiply", paddle.multiply, composite=True),
    _binary("divide", paddle.divide),
    _matmul(
        "",
        (
            ((4, 5), (5, 3), (4, 3)),
            ((2, 4, 5), (2, 5, 3), (2, 4, 3)),
            ((2, 4, 5), (5, 3), (2, 4, 3)),
            ((4, 5), (5,), (4,)),
        ),
    ),
    _matmul("_transposed", (((5, 4), (3, 5), (4, 3)),), True, True),
)

# -- windows that slide ---------------------------------------------------------------------------


def _on_host():
    return not paddle.get_device().startswith("mps")


def _windows(kernel, name, call, shapes):
    """Of products of x and w; the CPU device has two of the kernels under other names."""
    return Case(
        kernel=f"{kernel}_grad",
        name=f"second{name}",
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        layouts=False,
        domain="unit",
        rule=summed(_few),
        gradient=Gradient(kernel=f"{kernel}_double_grad", rule=summed(_few, nodes=2)),
    )


def _depthwise(x, w):
    channels = x.shape[1]
    if _on_host():
        return paddle._C_ops.conv2d(x, w, [1, 1], [1, 1], "EXPLICIT", [1, 1], channels, "NCHW")
    return paddle._C_ops.depthwise_conv2d(
        x, w, [1, 1], [1, 1], "EXPLICIT", channels, [1, 1], "NCHW"
    )


def _transposed(x, w, d):
    if not _on_host():
        return _slopes(lambda x, w: F.conv2d_transpose(x, w, stride=2, padding=1))(x, w, d)
    # Its gradients are a convolution of d, and the gradient of that by w along x.
    x, w, d = _start(x), _start(w), _start(d)
    dx = F.conv2d(d, w, stride=2, padding=1)
    return [dx, paddle.grad(dx, [d, w], x, create_graph=True)[1]]


WINDOWS = (
    _windows(
        "conv2d",
        "",
        _slopes(lambda x, w: F.conv2d(x, w, stride=(1, 2), padding=1)),
        (((2, 3, 4, 5), (2, 3, 3, 3), (2, 2, 4, 3)),),
    ),
    _windows(
        "conv2d",
        "_groups",
        _slopes(lambda x, w: F.conv2d(x, w, groups=2, dilation=2, data_format="NHWC")),
        (((1, 5, 4, 4), (4, 2, 2, 2), (1, 3, 2, 4)),),
    ),
    _windows(
        "depthwise_conv2d",
        "",
        _slopes(_depthwise),
        (((2, 3, 4, 5), (3, 1, 3, 3), (2, 3, 4, 5)),),
    ),
    _windows(
        "conv3d",
        "",
        _slopes(lambda x, w: F.conv3d(x, w, padding=1)),
        (((1, 2, 3, 3, 4), (2, 2, 2, 3, 3), (1, 2, 4, 3, 4)),),
    ),
    _windows(
        "conv2d_transpose",
        "",
        _transposed,
        (((2, 3, 3, 2), (3, 2, 4, 4), (2, 2, 6, 4)),),
    ),
    *(
        Case(
            kernel="pool2d_grad",
            name=f"second{name}",
            call=_slope(call),
            shapes=(shapes,),
            dtypes=FLOATS,
            layouts=False,
            domain="small",
            rule=summed(_few),
            gradient=Gradient(kernel="pool2d_double_grad", rule=summed(_few), inputs=(1,)),
        )
        for name, call, shapes in (
            ("", lambda x: F.avg_pool2d(x, 3, 2, 1), ((2, 3, 5, 6), (2, 3, 3, 3))),
            ("_adaptive", lambda x: F.adaptive_avg_pool2d(x, 2), ((2, 3, 5, 6), (2, 3, 2, 2))),
        )
    ),
)

# -- norms: x, scale, bias, and what comes in for the result --------------------------------------


def _norm_slopes(op):
    def call(x, scale, bias, d):
        x, scale, bias = (_start(t) for t in (x, scale, bias))
        wide = [t if x.dtype == paddle.float64 else t.astype("float32") for t in (scale, bias)]
        # Of all three: asked for two of them, Paddle gives one.
        return paddle.grad(op(x, *wide), [x, scale, bias], d, create_graph=True)

    return call


def _batch_norm(layout, is_global=False):
    def op(x, scale, bias):
        mean, variance = (paddle.full(scale.shape, n, bias.dtype) for n in (0.25, 0.5))
        return F.batch_norm(
            x, mean, variance, scale, bias, True, data_format=layout, use_global_stats=is_global
        )

    return op


def _norm_sizes(x, scale, bias, d, *incoming):
    """Of variances near 1/3 and a few dozen numbers in each mean."""
    size = 64 * max(float(np.abs(a).max()) for a in (d, *incoming))
    return [np.full(a.shape, size) for a in (x, scale, bias, d)]


NORMS = tuple(
    Case(
        kernel=f"{kernel}_grad",
        name=f"second_{name}",
        call=_norm_slopes(op),
        shapes=(shapes,),
        dtypes=FLOATS,
        layouts=False,
        domain=("unit", "fractions", "unit", "unit"),
        rule=summed(_few, nodes=16, scale=16.0),  # of terms that cancel where d is like x
        gradient=Gradient(
            kernel=f"{kernel}_double_grad",
            rule=composed(8),
            magnitude=_norm_sizes,
            inputs=(0, 1, 3),
        ),
    )
    for kernel, name, op, shapes in (
        ("batch_norm", "", _batch_norm("NCHW"), ((3, 2, 2, 3), (2,), (2,), (3, 2, 2, 3))),
        ("batch_norm", "last", _batch_norm("NHWC"), ((3, 2, 3, 2), (2,), (2,), (3, 2, 3, 2))),
        (
            "batch_norm",
            "global",
            _batch_norm("NCHW", True),
            ((3, 2, 2, 3), (2,), (2,), (3, 2, 2, 3)),
        ),
        (
            "instance_norm",
            "",
            lambda x, scale, bias: F.instance_norm(x, weight=scale, bias=bias),
            ((3, 2, 3, 4), (2,), (2,), (3, 2, 3, 4)),
        ),
    )
)

CASES = (*UNARY, *BINARY, *WINDOWS, *NORMS)
