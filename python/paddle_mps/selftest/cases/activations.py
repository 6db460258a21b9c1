"""Activations: kernels/activations.def. Their numbers are some that every float format holds."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import EXACT, composed
from .case import FLOATS, Case, Gradient
from .elementwise import FLOATS_AND_INTS, _sigmoid, _unary


def _softplus(x):
    return np.logaddexp(x, 0)


def _tanh_shrink(x):
    """x - tanh(x), which below 0.1 is a series."""
    z = x * x
    series = 1 / 3 - z * (2 / 15 - z * (17 / 315 - z * (62 / 2835 - z * (1382 / 155925))))
    return np.where(np.abs(x) < 0.1, x * z * series, x - np.tanh(x))


def _activation(kernel, call, numpy, *, roundings=4, gradient=4, magnitude=None, **more):
    """`roundings` of the forward pass, 0 if it is exact, and of the gradient."""
    return _unary(
        kernel,
        numpy,
        rule=composed(roundings) if roundings else EXACT,
        call=call,
        gradient={"rule": composed(gradient), "magnitude": magnitude},
        **more,
    )


def _at_least_incoming(x, g):
    """Slopes near 1 that are sums of terms near 1."""
    return [np.abs(g) * (1 + np.abs(x))]


ACTIVATIONS = (
    _activation("relu6", F.relu6, lambda x: np.clip(x, 0, 6), roundings=0),
    _activation(
        "leaky_relu",
        lambda x: F.leaky_relu(x, 0.125),
        lambda x: np.where(x < 0, x * 0.125, x),
        in_place=lambda x: F.leaky_relu_(x, 0.125),
        roundings=0,
    ),
    _activation(
        "elu",
        lambda x: F.elu(x, 0.75),
        lambda x: np.where(x < 0, 0.75 * np.expm1(x), x),
        numpy_decides=True,
        in_place=lambda x: F.elu_(x, 0.75),
        magnitude=_at_least_incoming,
    ),
    _activation(
        "celu",
        lambda x: F.celu(x, 0.75),
        lambda x: np.where(x < 0, 0.75 * np.expm1(x / 0.75), x),
        numpy_decides=True,
        magnitude=_at_least_incoming,
    ),
    _activation(
        "selu",
        lambda x: F.selu(x, 1.125, 1.75),
        lambda x: 1.125 * np.where(x > 0, x, 1.75 * np.expm1(x)),
        numpy_decides=True,
        magnitude=lambda x, g: [4 * np.abs(g)],
    ),
    # 1 + erf(x) cancels below 0, on every device of Paddle: not pointwise
    _activation("gelu", F.gelu, None, magnitude=_at_least_incoming, pointwise=False),
    _activation("swish", F.swish, lambda x: x * _sigmoid(x), magnitude=_at_least_incoming),
    _activation("mish", F.mish, lambda x: x * np.tanh(_softplus(x)), magnitude=_at_least_incoming),
    _activation(
        "softplus",
        lambda x: F.softplus(x, beta=0.5, threshold=15.0),
        lambda x: np.where(0.5 * x > 15, x, _softplus(0.5 * x) / 0.5),
        domain="wide",
    ),
    _activation(
        "hard_shrink",
        lambda x: F.hardshrink(x, 0.5),
        lambda x: np.where(np.abs(x) >= 0.5, x, x * 0),
        roundings=0,
    ),
    _activation(
        "softshrink",
        lambda x: F.softshrink(x, 0.5),
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        roundings=2,
    ),
    _activation(
        "tanh_shrink", F.tanhshrink, _tanh_shrink, roundings=8, gradient=8, numpy_decides=True
    ),
    _activation(
        "thresholded_relu",
        lambda x: F.thresholded_relu(x, 0.5, 0.25),
        lambda x: np.where(x > 0.5, x, 0.25),
        in_place=lambda x: F.thresholded_relu_(x, 0.5, 0.25),
        roundings=0,
    ),
    _activation(
        "hardtanh",
        lambda x: F.hardtanh(x, -0.5, 0.75),
        lambda x: np.clip(x, -0.5, 0.75),
        in_place=lambda x: F.hardtanh_(x, -0.5, 0.75),
        roundings=0,
    ),
    _activation(
        "hardsigmoid",
        lambda x: F.hardsigmoid(x, 0.125, 0.5),
        lambda x: np.clip(x * 0.125 + 0.5, 0, 1),
        domain="eighths",  # the gradient asks where the rounded result is 0 or 1
        roundings=2,
    ),
    _activation(
        "hardswish",
        F.hardswish,
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        magnitude=_at_least_incoming,
    ),
    _activation(
        "stanh",
        lambda x: paddle.stanh(x, 0.625, 1.75),
        lambda x: 1.75 * np.tanh(0.625 * x),
        gradient=8,
        magnitude=lambda x, g: [2 * np.abs(g)],
    ),
    _activation(
        "logit",
        paddle.logit,
        lambda x: np.log(x / (1 - x)),
        domain="fractions",
        in_place=paddle.Tensor.logit_,
        gradient=6,
    ),
    _activation("angle", paddle.angle, np.angle, roundings=1, gradient=1),
)

# Not pointwise: at -infinity Paddle's CPU device says NaN, and we the limit.
OTHERS = (
    Case(
        kernel="logsigmoid",
        call=F.log_sigmoid,
        shapes=ACTIVATIONS[0].shapes,
        dtypes=FLOATS,
        domain="wide",
        rule=composed(6),
        numpy=lambda x: -_softplus(-x),
        numpy_decides=True,
        large=ACTIVATIONS[0].large,
        gradient=Gradient(kernel="logsigmoid_grad", rule=composed(6)),
    ),
    Case(
        kernel="gelu",
        name="tanh",
        call=lambda x: F.gelu(x, approximate=True),
        shapes=ACTIVATIONS[0].shapes,
        dtypes=FLOATS,
        rule=composed(6),
        numpy=lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        gradient=Gradient(
            kernel="gelu_grad", rule=composed(6), magnitude=lambda x, g: [np.abs(g) * (1 + x**2)]
        ),
    ),
    Case(
        kernel="logit",
        name="clipped",
        call=lambda x: paddle.logit(x, 0.125),
        shapes=ACTIVATIONS[0].shapes,
        dtypes=FLOATS,
        domain="unit",
        rule=composed(4),
        numpy=lambda x: np.log(np.clip(x, 0.125, 0.875) / (1 - np.clip(x, 0.125, 0.875))),
        gradient=Gradient(kernel="logit_grad", rule=composed(6)),
    ),
    Case(
        kernel="elu",
        name="negative",
        call=lambda x: F.elu(x, -0.5),
        shapes=(((4, 5, 6),),),
        dtypes=FLOATS,
        rule=composed(4),
        numpy=lambda x: np.where(x < 0, -0.5 * np.expm1(x), x),
        numpy_decides=True,
        gradient=Gradient(kernel="elu_grad", rule=composed(4)),
    ),
)


def _power(name, exponent, numpy, domain, dtypes=FLOATS, **more):
    return Case(
        kernel="pow",
        name=name,
        call=lambda x: paddle.pow(x, exponent),
        shapes=ACTIVATIONS[0].shapes,
        dtypes=dtypes,
        domain=domain,
        rule=composed(4),
        numpy=numpy,
        gradient=Gradient(kernel="pow_grad", rule=composed(8), dtypes=dtypes),
        **more,
    )


NUMBERS_OF_THE_CALL = (
    _power("", 2.5, lambda x: x**2.5, "positive", in_place=lambda x: x.pow_(2.5)),
    _power("square", 2, lambda x: x**2, "small", dtypes=FLOATS_AND_INTS),
    _power("cube", 3, lambda x: x**3, "small", dtypes=FLOATS_AND_INTS),
    _power("inverse", -1.0, lambda x: 1 / x, "nonzero"),
    Case(
        kernel="clip",
        call=lambda x: paddle.clip(x, -2, 3),
        shapes=ACTIVATIONS[0].shapes,
        dtypes=FLOATS_AND_INTS,
        numpy=lambda x: np.clip(x, -2, 3),
        in_place=lambda x: x.clip_(-2, 3),
        pointwise=True,
        large=ACTIVATIONS[0].large,
        gradient=Gradient(kernel="clip_grad", rule=EXACT, dtypes=FLOATS_AND_INTS),
    ),
    Case(
        kernel="clip",
        name="one_side",
        call=lambda x: [paddle.clip(x, min=-1), paddle.clip(x, max=2)],
        shapes=(((4, 5, 6),),),
        dtypes=FLOATS_AND_INTS,
        numpy=lambda x: [np.maximum(x, -1), np.minimum(x, 2)],
    ),
)

CASES = (*ACTIVATIONS, *OTHERS, *NUMBERS_OF_THE_CALL)
