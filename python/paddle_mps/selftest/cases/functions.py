"""Functions of one number, and tests of numbers: kernels/functions.def."""

import math

import numpy as np
import paddle

from ..tolerance import EXACT, FUNCTION, WITH_ZEROS, composed
from .case import ALL, FLOATS, NUMBERS, UNARY_SHAPES, Case
from .elementwise import FLOATS_AND_INTS, _unary

_gamma = np.vectorize(math.lgamma, otypes=[float])
_erf = np.vectorize(math.erf, otypes=[float])


def _function(
    kernel,
    numpy,
    domain="small",
    *,
    roundings=4,
    magnitude=None,
    rule=FUNCTION,
    dtypes=FLOATS,
    **more,
):
    """A transcendental function. `roundings` and `magnitude` are those of its gradient."""
    in_place = getattr(paddle.Tensor, f"{kernel}_", None)
    return _unary(
        kernel,
        numpy,
        rule=rule,
        dtypes=dtypes,
        domain=domain,
        in_place=in_place,
        gradient={"rule": composed(roundings), "magnitude": magnitude} if roundings else None,
        **more,
    )


def _step(kernel, numpy, dtypes):
    """Values in whole steps: exact, and without a slope."""
    return _unary(
        kernel,
        numpy,
        dtypes=dtypes,
        in_place=getattr(paddle.Tensor, f"{kernel}_", None),
        gradient={"rule": EXACT},
    )


FUNCTIONS = (
    # of `out`, which is rounded: a slope of 1 + out
    _function(
        "expm1",
        np.expm1,
        dtypes=FLOATS_AND_INTS,
        magnitude=lambda x, g: [np.abs(g) * (1 + np.abs(np.expm1(x)))],
    ),
    _function("log1p", np.log1p, "positive", dtypes=FLOATS_AND_INTS),
    _function("log2", np.log2, "positive", dtypes=FLOATS_AND_INTS),
    _function("log10", np.log10, "positive", dtypes=FLOATS_AND_INTS),
    _function("rsqrt", lambda x: 1 / np.sqrt(x), "positive", roundings=8),
    _function("sin", np.sin, magnitude=lambda x, g: [np.abs(g)]),
    _function("cos", np.cos, magnitude=lambda x, g: [np.abs(g)]),
    _function("tan", np.tan, "unit", roundings=6),
    _function("asin", np.arcsin, "inside_unit"),
    _function("acos", np.arccos, "inside_unit"),
    _function("atan", np.arctan),
    _function("sinh", np.sinh),
    _function("cosh", np.cosh),
    _function("asinh", np.arcsinh),
    _function("acosh", np.arccosh, "above_one"),
    _function("atanh", np.arctanh, "inside_unit", roundings=6),
    _function("erf", _erf, roundings=12),
    # of `out`: an error grows by 2 out^2, which is below 6 here
    _function("erfinv", None, "inside_unit", roundings=12, pointwise=False),
    _function(
        "lgamma",
        _gamma,
        "positive",
        rule=WITH_ZEROS,
        roundings=8,  # digamma's
        magnitude=lambda x, g: [np.abs(g) * (1 + 1 / x)],
    ),
    _function(
        "gammaln",
        _gamma,
        "positive",
        rule=WITH_ZEROS,
        roundings=8,  # digamma's
        call=paddle.gammaln,
        magnitude=lambda x, g: [np.abs(g) * (1 + 1 / x)],
    ),
    _function("digamma", None, "positive", rule=WITH_ZEROS, roundings=8),
)

STEPS = (
    _step("ceil", np.ceil, NUMBERS),
    _step("floor", np.floor, NUMBERS),
    _step("trunc", np.trunc, FLOATS),
    Case(
        kernel="trunc",
        name="integers",  # which Paddle's CPU device truncates as float64
        call=paddle.trunc,
        shapes=UNARY_SHAPES,
        dtypes=("int32", "int64"),
        domain="small",
        numpy=np.trunc,
    ),
    _step("round", np.round, FLOATS_AND_INTS),
    Case(
        kernel="round",
        name="decimals",
        call=lambda x: [paddle.round(x, decimals=1), paddle.round(x, decimals=-1)],
        shapes=(((7,),), ((4, 5, 6),)),
        dtypes=FLOATS,
        domain="wide",
        rule=composed(2),
        numpy=lambda x: [np.round(x, 1), np.round(x, -1)],
    ),
    _unary("sign", np.sign, dtypes=NUMBERS),
)

TESTS = (
    _unary("isnan", np.isnan, dtypes=NUMBERS),
    _unary("isinf", np.isinf, dtypes=NUMBERS),
    _unary("isfinite", np.isfinite, dtypes=NUMBERS),
    _unary("logical_not", np.logical_not, dtypes=ALL),
)

# Where functions are hard: far arguments of the periodic ones, near their ends and zeros.
TAILS = tuple(
    Case(
        kernel=kernel,
        name=name,
        call=lambda x, kernel=kernel, scale=scale: getattr(paddle, kernel)(x * scale),
        shapes=(((8209,),),),
        dtypes=("float32",),
        domain=domain,
        rule=FUNCTION,
        also=("scale",),
        numpy=numpy and (lambda x, numpy=numpy, scale=scale: numpy(x * scale)),
    )
    for kernel, name, scale, domain, numpy in (
        ("sin", "many_turns", 2.0**20, "wide", np.sin),
        ("cos", "many_turns", 2.0**20, "wide", np.cos),
        ("tan", "many_turns", 2.0**20, "wide", np.tan),
        ("expm1", "near_zero", 2.0**-12, "unit", np.expm1),
        ("log1p", "near_zero", 2.0**-12, "unit", np.log1p),
        ("sinh", "whole_range", 2.0, "wide", np.sinh),
        ("cosh", "whole_range", 2.0, "wide", np.cosh),
        ("asinh", "near_zero", 2.0**-12, "unit", np.arcsinh),
        ("erf", "near_zero", 2.0**-12, "unit", _erf),
        ("erf", "whole_range", 2.0, "small", _erf),
        ("erfinv", "to_the_ends", 1.0, "unit", None),
        ("acosh", "near_one", 1.0, "near_one", None),
        ("log2", "near_one", 1.0, "near_one", np.log2),
        ("log10", "near_one", 1.0, "near_one", np.log10),
    )
)

CASES = (*FUNCTIONS, *STEPS, *TESTS, *TAILS)
