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

CASES = (*UNARY, *BINARY)
