"""Unary and binary ops of one element each."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import EXACT, FUNCTION, composed, summed
from .case import ALL, BINARY_SHAPES, FLOATS, NUMBERS, UNARY_SHAPES, Case, Gradient

FLOATS_AND_INTS = (*FLOATS, "int32", "int64")
_LARGE_UNARY = ((2053, 1999),)
_LARGE_BINARY = ((2053, 1999), (2053, 1999))
_SCALAR_SHAPES = (((),), ((0,),), ((2, 3),), ((127, 521),))


def _sigmoid(x):
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def _broadcast_terms(*shapes):
    """A broadcast operand's gradient adds up at most as many products as there are results."""
    return int(np.prod(np.broadcast_shapes(*shapes), dtype=np.int64))


def _binary(kernel, numpy, dtypes, domain="any", in_place=None, gradients=NUMBERS):
    # The gradients of divide are built from its rounded result.
    gradient_rule = summed(_broadcast_terms, nodes=1 if kernel == "divide" else 0)
    return Case(
        kernel=kernel,
        call=getattr(paddle, kernel),
        shapes=BINARY_SHAPES,
        dtypes=dtypes,
        domain=domain,
        numpy=numpy,
        in_place=in_place,
        pointwise=True,
        large=_LARGE_BINARY,
        gradient=Gradient(kernel=f"{kernel}_grad", rule=gradient_rule, dtypes=gradients),
    )


BINARY = (
    _binary("add", np.add, ALL, in_place=lambda x, y: x.add_(y)),
    _binary("subtract", np.subtract, NUMBERS, in_place=lambda x, y: x.subtract_(y)),
    _binary("multiply", np.multiply, ALL, in_place=lambda x, y: x.multiply_(y)),
    _binary(
        "divide",
        np.divide,
        FLOATS,
        domain=("any", "nonzero"),
        in_place=lambda x, y: x.divide_(y),
        gradients=FLOATS,
    ),
    Case(
        kernel="divide",
        name="bool",  # of integers, Paddle makes floats first
        call=paddle.divide,
        shapes=BINARY_SHAPES,
        dtypes=("bool",),
        domain=("any", "nonzero"),
    ),
)

# Python operators and scalars: what programs write. Scalars are numbers that every float format
# holds.
OPERATORS = (
    Case(
        kernel="add",
        name="operator",
        call=lambda x, y: x + y,
        shapes=(((2, 3), (3,)),),
        dtypes=FLOATS_AND_INTS,
        numpy=np.add,
    ),
    Case(
        kernel="subtract",
        name="operator",
        call=lambda x, y: x - y,
        shapes=(((2, 3), (3,)),),
        dtypes=FLOATS_AND_INTS,
        numpy=np.subtract,
    ),
    Case(
        kernel="multiply",
        name="operator",
        call=lambda x, y: x * y,
        shapes=(((2, 3), (3,)),),
        dtypes=FLOATS_AND_INTS,
        numpy=np.multiply,
    ),
    Case(
        kernel="divide",
        name="operator",
        call=lambda x, y: x / y,
        shapes=(((2, 3), (3,)),),
        dtypes=FLOATS,
        domain="nonzero",
        numpy=np.divide,
    ),
    Case(
        kernel="scale",
        name="scalars",
        call=lambda x: [x + 2, x - 3, 5 - x, x * 2, -x],
        shapes=_SCALAR_SHAPES,
        dtypes=FLOATS_AND_INTS,
        domain="small",
        rule=composed(1),
        numpy=lambda x: [x + 2, x - 3, 5 - x, x * 2, -x],
    ),
    Case(
        kernel="scale",
        name="float_scalars",
        call=lambda x: [x + 1.5, x - 0.75, 0.5 - x, x * 2.5],
        shapes=_SCALAR_SHAPES,
        dtypes=FLOATS,
        domain="small",
        rule=composed(1),
        numpy=lambda x: [x + 1.5, x - 0.75, 0.5 - x, x * 2.5],
    ),
    Case(
        kernel="div_scale",
        name="operator",
        call=lambda x: x / 3,
        shapes=_SCALAR_SHAPES,
        dtypes=FLOATS,
        numpy=lambda x: x / 3.0,
        gradient=Gradient(kernel="", rule=composed(2)),
    ),
    Case(
        kernel="div_scale",
        call=lambda x: paddle._C_ops.div_scale(x, 3.0),
        shapes=_SCALAR_SHAPES,
        dtypes=ALL,
    ),
    Case(
        kernel="divide",
        name="scalar_by_tensor",
        call=lambda x: 3.0 / x,
        shapes=_SCALAR_SHAPES,
        dtypes=FLOATS,
        domain="nonzero",
        numpy=lambda x: 3.0 / x,
    ),
)

SCALE = (
    Case(
        kernel="scale",
        call=lambda x: paddle.scale(x, 3.0, bias=2.0),
        shapes=UNARY_SHAPES,
        dtypes=NUMBERS,
        domain="small",
        rule=composed(2),
        numpy=lambda x: 3 * x + 2,
        in_place=lambda x: x.scale_(3.0, bias=2.0),
        large=_LARGE_UNARY,
        gradient=Gradient(kernel="scale", rule=composed(2)),
    ),
    Case(
        kernel="scale",
        name="of_bool",
        call=lambda x: paddle.scale(x, 1.0),
        shapes=(((),), ((7,),), ((4, 5, 6),)),
        dtypes=("bool",),
        numpy=np.copy,
    ),
    Case(
        kernel="scale",
        name="bias_first",
        call=lambda x: paddle.scale(x, 3.0, bias=2.0, bias_after_scale=False),
        shapes=(((),), ((7,),), ((4, 5, 6),)),
        dtypes=FLOATS_AND_INTS,
        domain="small",
        rule=composed(2),
        numpy=lambda x: 3 * (x + 2),
        gradient=Gradient(kernel="scale", rule=composed(2)),
    ),
)


def _unary(
    kernel,
    numpy,
    *,
    rule=EXACT,
    dtypes=FLOATS,
    domain="any",
    gradient=None,
    call=None,
    in_place=None,
    pointwise=True,
    **more,
):
    return Case(
        kernel=kernel,
        call=call or getattr(paddle, kernel),
        shapes=UNARY_SHAPES,
        dtypes=dtypes,
        domain=domain,
        rule=rule,
        numpy=numpy,
        in_place=in_place,
        pointwise=pointwise,
        large=_LARGE_UNARY,
        gradient=Gradient(kernel=f"{kernel}_grad", **gradient) if gradient else None,
        **more,
    )


# Gradients are built from the forward's result, which is already rounded: an error of `out` comes
# back multiplied by how fast the formula changes with `out`. The magnitudes are that formula with
# every sign turned to plus.
UNARY = (
    _unary(
        "abs",
        np.abs,
        dtypes=FLOATS_AND_INTS,
        in_place=lambda x: x.abs_(),
        gradient={"rule": composed(1), "dtypes": FLOATS_AND_INTS},
    ),
    _unary(
        "exp",
        np.exp,
        rule=FUNCTION,
        dtypes=FLOATS_AND_INTS,
        domain="exponents",
        in_place=lambda x: x.exp_(),
        gradient={"rule": composed(5)},
    ),
    _unary(
        "log",
        np.log,
        rule=FUNCTION,
        dtypes=FLOATS_AND_INTS,
        domain="positive",
        in_place=lambda x: x.log_(),
        gradient={"rule": composed(1)},
    ),
    _unary(
        "sqrt",
        np.sqrt,
        like_cpu=False,  # Paddle 3.3.1's own is off by 2 ULP, and NaN at infinity
        domain="positive",
        in_place=lambda x: x.sqrt_(),
        gradient={"rule": composed(3)},
    ),
    _unary(
        "relu",
        lambda x: np.maximum(x, 0),
        call=F.relu,
        in_place=F.relu_,
        gradient={"rule": composed(1)},
    ),
    _unary(
        "sigmoid",
        _sigmoid,
        rule=FUNCTION,
        domain="wide",
        call=F.sigmoid,
        in_place=lambda x: x.sigmoid_(),
        gradient={
            "rule": composed(6),
            "magnitude": lambda x, g: [np.abs(g) * _sigmoid(x) * (1 + _sigmoid(x))],
        },
    ),
    _unary(
        "tanh",
        np.tanh,
        rule=FUNCTION,
        domain="small",
        in_place=lambda x: x.tanh_(),
        gradient={
            "rule": composed(10),
            "magnitude": lambda x, g: [np.abs(g) * (1 + np.tanh(x) ** 2)],
        },
    ),
    _unary(
        "silu",
        lambda x: x * _sigmoid(x),
        rule=composed(5),  # 4 ULP for the sigmoid, one for the product
        domain="wide",
        call=F.silu,
        gradient={
            "rule": composed(10),
            "magnitude": lambda x, g: [
                np.abs(g) * _sigmoid(x) * (1 + np.abs(x) * (1 + _sigmoid(x)))
            ],
        },
    ),
    _unary(
        "softsign",
        lambda x: x / (1 + np.abs(x)),
        rule=composed(2),
        call=F.softsign,
        gradient={"rule": composed(4)},
    ),
    _unary(
        "square",
        np.square,
        dtypes=FLOATS_AND_INTS,
        in_place=lambda x: x.square_(),
        gradient={"rule": composed(2), "dtypes": FLOATS_AND_INTS},
    ),
    _unary(
        "reciprocal",
        np.reciprocal,
        domain="nonzero",
        in_place=lambda x: x.reciprocal_(),
        gradient={"rule": composed(4)},
    ),
)

# Where a formula that is right on paper loses its digits.
TAILS = (
    Case(
        kernel="log",
        name="near_one",
        call=paddle.log,
        shapes=(((4099,),),),
        dtypes=FLOATS,
        domain="near_one",
        rule=FUNCTION,
        numpy=np.log,
    ),
    Case(
        kernel="exp",
        name="whole_range",
        call=lambda x: paddle.exp(x * 64.0),
        shapes=(((8209,),),),
        dtypes=("float32",),
        domain="small",
        rule=FUNCTION,
        also=("scale",),
        numpy=lambda x: np.exp(x * 64.0),
    ),
    Case(
        kernel="tanh",
        name="near_zero",
        call=lambda x: paddle.tanh(x * 2.0**-9),
        shapes=(((8209,),),),
        dtypes=FLOATS,
        domain="unit",
        rule=FUNCTION,
        also=("scale",),
        numpy=lambda x: np.tanh(x * 2.0**-9),
    ),
    Case(
        kernel="sigmoid",
        name="far_out",
        call=lambda x: F.sigmoid(x * 4.0),
        shapes=(((8209,),),),
        dtypes=("float32", "bfloat16"),
        domain="wide",
        rule=FUNCTION,
        also=("scale",),
        numpy=lambda x: _sigmoid(x * 4.0),
    ),
)

CASES = (*BINARY, *OPERATORS, *SCALE, *UNARY, *TAILS)
