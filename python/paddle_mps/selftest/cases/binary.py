"""Ops of two tensors, and those that choose or gate: kernels/binary.def and ops/select.cc."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import EXACT, FUNCTION, composed, summed
from .case import ALL, BINARY_SHAPES, FLOATS, INTEGERS, NUMBERS, UNARY_SHAPES, Case, Gradient
from .elementwise import _LARGE_BINARY, FLOATS_AND_INTS, _broadcast_terms, _sigmoid

SAME_SHAPES = tuple((*shapes, *shapes) for shapes in UNARY_SHAPES)


def _gradient(kernel, nodes=1, dtypes=FLOATS, **more):
    return Gradient(
        kernel=f"{kernel}_grad", rule=summed(_broadcast_terms, nodes=nodes), dtypes=dtypes, **more
    )


def _binary(kernel, numpy, dtypes, domain="any", **more):
    settings = {
        "call": getattr(paddle, kernel, None),
        "shapes": BINARY_SHAPES,
        "pointwise": True,
        "large": _LARGE_BINARY,
    }
    return Case(kernel=kernel, dtypes=dtypes, domain=domain, numpy=numpy, **{**settings, **more})


def _next_after(x, y):
    """In float32, whose neighbours are not those of the float64 that the CPU device is asked in."""
    return np.nextafter(x.astype(np.float32), y.astype(np.float32)).astype(np.float64)


NUMERIC = (
    _binary("nextafter", _next_after, ("float32",), cpu_is_wrong=True),
    _binary("maximum", np.maximum, NUMBERS, gradient=_gradient("maximum", 2)),
    _binary("minimum", np.minimum, NUMBERS, gradient=_gradient("minimum", 2)),
    _binary("fmax", np.fmax, FLOATS, gradient=_gradient("fmax")),
    _binary("fmin", np.fmin, FLOATS, gradient=_gradient("fmin")),
    # of integers Paddle's CPU device takes them as floats
    _binary("fmax", np.fmax, ("int32", "int64"), "small", name="integers", pointwise=False),
    _binary("fmin", np.fmin, ("int32", "int64"), "small", name="integers", pointwise=False),
    _binary(
        "remainder",
        np.remainder,
        FLOATS,
        ("any", "nonzero"),
        in_place=lambda x, y: x.remainder_(y),
        gradient=_gradient("remainder", 2),
    ),
    _binary(
        "floor_divide",
        np.floor_divide,
        FLOATS,
        ("any", "nonzero"),
        rule=composed(1),
        in_place=lambda x, y: x.floor_divide_(y),
    ),
    _binary(
        "trunc_divide",
        lambda x, y: np.trunc(x / y),
        FLOATS,
        ("eighths", "nonzero"),
        call=lambda x, y: paddle.divide(x, y, rounding_mode="trunc"),
        pointwise=False,  # a quotient just below an integer is that integer in float32
    ),
    # An integer divided by 0 is an error on Paddle's CPU device: not pointwise.
    _binary(
        "remainder",
        np.remainder,
        ("int32", "int64"),
        ("any", "nonzero"),
        name="integers",
        pointwise=False,
    ),
    _binary(
        "floor_divide",
        np.floor_divide,
        INTEGERS,
        ("any", "nonzero"),
        name="integers",
        pointwise=False,
    ),
    _binary(
        "trunc_divide",
        lambda x, y: np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y)),
        INTEGERS,
        ("small", "nonzero"),
        name="integers",
        call=lambda x, y: paddle.divide(x, y, rounding_mode="trunc"),
        pointwise=False,
    ),
    _binary(
        "elementwise_pow",
        np.power,
        FLOATS,
        ("positive", "small"),
        call=paddle.pow,
        rule=FUNCTION,
        gradient=_gradient("elementwise_pow", 8),
    ),
    _binary(
        "elementwise_pow",
        np.power,
        ("int32", "int64"),
        ("small", "few"),
        name="integers",
        call=paddle.pow,
        pointwise=False,
    ),
    _binary("heaviside", np.heaviside, FLOATS_AND_INTS, "small", gradient=_gradient("heaviside")),
    _binary("copysign", np.copysign, FLOATS, gradient=_gradient("copysign", 2)),
    _binary(
        "atan2",
        np.arctan2,
        FLOATS,
        shapes=SAME_SHAPES,
        rule=FUNCTION,
        gradient=_gradient("atan2", 8),
    ),
)

# Paddle takes float32 and float64 that are nearer than 1e-15 for equal, but not bfloat16.
_EXACT = tuple(dtype for dtype in ALL if dtype != "bfloat16")

COMPARISONS = tuple(
    _binary(kernel, numpy, dtypes, "small", **more)
    for kernel, numpy, dtypes, more in (
        ("equal", np.equal, _EXACT, {}),
        ("equal", np.equal, ("bfloat16",), {"name": "bfloat16", "pointwise": False}),
        ("not_equal", np.not_equal, _EXACT, {}),
        ("not_equal", np.not_equal, ("bfloat16",), {"name": "bfloat16", "pointwise": False}),
    )
) + tuple(
    _binary(kernel, numpy, ALL, "small")
    for kernel, numpy in (
        ("less_than", np.less),
        ("less_equal", np.less_equal),
        ("greater_than", np.greater),
        ("greater_equal", np.greater_equal),
        ("logical_and", np.logical_and),
        ("logical_or", np.logical_or),
        ("logical_xor", np.logical_xor),
    )
)

BITS = (
    *(
        _binary(kernel, getattr(np, kernel), (*INTEGERS, "bool"))
        for kernel in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ),
    Case(
        kernel="bitwise_not",
        call=paddle.bitwise_not,
        shapes=UNARY_SHAPES,
        dtypes=(*INTEGERS, "bool"),
        numpy=np.bitwise_not,
        in_place=lambda x: x.bitwise_not_(),
        pointwise=True,
    ),
    *(
        _binary(kernel, None, INTEGERS, ("any", "few"))
        for kernel in ("bitwise_left_shift", "bitwise_right_shift")
    ),
    *(
        _binary(
            shift.__name__,
            None,
            INTEGERS,
            ("any", "few"),
            name="logical",
            call=lambda x, y, shift=shift: shift(x, y, is_arithmetic=False),
        )
        for shift in (paddle.bitwise_left_shift, paddle.bitwise_right_shift)
    ),
)

CLOSENESS = (
    Case(
        kernel="isclose",
        call=lambda x, y: [
            paddle.isclose(x, y, rtol=2.0**-7, atol=0.0),
            paddle.isclose(x, y, rtol=0.0, atol=2.0**-8, equal_nan=True),
        ],
        shapes=SAME_SHAPES,
        dtypes=FLOATS,
        domain="near_one",
        pointwise=True,
    ),
    Case(
        kernel="allclose",
        call=lambda x, y: [
            paddle.allclose(x, y, rtol=0.0, atol=0.5),
            paddle.allclose(x, y, rtol=0.0, atol=0.0),
            paddle.allclose(x, x),
        ],
        shapes=SAME_SHAPES,
        dtypes=FLOATS_AND_INTS,
        domain="near_one",
    ),
    Case(
        kernel="equal_all",
        call=lambda x, y: [paddle.equal_all(x, y), paddle.equal_all(x, x)],
        shapes=(*SAME_SHAPES, ((2, 3), (3, 2))),
        dtypes=("float32", "int32", "int64", "bool"),
    ),
)

CHOICES = (
    Case(
        kernel="where",
        call=lambda x, y: paddle.where(x > y, x, y),
        shapes=SAME_SHAPES,
        dtypes=NUMBERS,
        numpy=np.maximum,
        pointwise=True,
        large=_LARGE_BINARY,
        also=("greater_than",),
        gradient=_gradient("where"),
    ),
    Case(
        kernel="where",
        name="bool",
        call=lambda x, y: paddle.where(x, y, x),
        shapes=SAME_SHAPES,
        dtypes=("bool",),
        numpy=np.logical_and,
    ),
    Case(
        kernel="masked_fill",
        call=lambda x, y: paddle.masked_fill(x, x < y, 3),
        shapes=SAME_SHAPES,
        dtypes=NUMBERS,
        numpy=lambda x, y: np.where(x < y, 3, x),
        also=("less_than",),
        gradient=Gradient(kernel="masked_fill_grad", rule=EXACT, inputs=(0,)),
    ),
    Case(
        kernel="masked_fill",
        name="bool",
        call=lambda x, y: paddle.masked_fill(x, y, True),
        shapes=SAME_SHAPES,
        dtypes=("bool",),
        numpy=np.logical_or,
    ),
    Case(
        kernel="masked_fill",
        name="with_tensor",
        call=lambda x, y: paddle.masked_fill(x, x < 0, y),
        shapes=(((4, 5, 6), ()), ((127, 521), ())),
        dtypes=FLOATS,
        numpy=lambda x, y: np.where(x < 0, y, x),
        also=("less_than",),
        gradient=Gradient(
            kernel="masked_fill_grad",
            rule=summed(_broadcast_terms, nodes=1),
            inputs=(0,),  # of the value, Paddle's CPU device says 0; see test_grads.py
        ),
    ),
    Case(
        kernel="lerp",
        call=lambda x, y: paddle.lerp(x, y, 0.25),
        shapes=BINARY_SHAPES,
        dtypes=FLOATS,
        domain="positive",
        rule=composed(4),
        numpy=lambda x, y: x + 0.25 * (y - x),
        gradient=_gradient("lerp"),
    ),
    Case(
        kernel="lerp",
        name="with_tensor",
        call=paddle.lerp,
        shapes=(((4, 5, 6),) * 3, ((127, 521),) * 3),
        dtypes=FLOATS,
        domain=("near_one", "near_one", "fractions"),
        rule=composed(4),
        numpy=lambda x, y, w: x + w * (y - x),
        gradient=Gradient(kernel="lerp_grad", rule=composed(4), inputs=(0, 1)),
    ),
)


def _slope_terms(channel):
    """What the gradients by x and the slopes add up: numbers above 0 have no part in a slope's."""

    def terms(x, slopes, g):
        others = tuple(i for i in range(x.ndim) if slopes.size == 1 or i != channel % x.ndim)
        below = np.abs(np.minimum(x, 0.0) * g).sum(others, keepdims=True)
        dx = np.where(x > 0, g, g * slopes.reshape(below.shape))
        return [np.abs(dx), below.reshape(slopes.shape)]

    return terms


def _slopes_gradient(channel):
    rule = summed(lambda x, _: int(np.prod(x)), nodes=1)
    return Gradient(kernel="prelu_grad", rule=rule, magnitude=_slope_terms(channel))


GATES = (
    Case(
        kernel="prelu",
        call=F.prelu,
        shapes=(((4, 5, 6), (1,)), ((2, 3, 4, 5), (3,)), ((127, 521), (521,))),
        dtypes=FLOATS,
        domain=("nonzero", "small"),  # no slope at 0
        gradient=_slopes_gradient(1),
    ),
    Case(
        kernel="prelu",
        name="channels_last",
        call=lambda x, w: F.prelu(x, w, data_format="NHWC"),
        shapes=(((2, 4, 5, 3), (3,)),),
        dtypes=FLOATS,
        numpy=lambda x, w: np.where(x > 0, x, x * w),
        gradient=_slopes_gradient(-1),
    ),
    Case(
        kernel="swiglu",
        call=F.swiglu,
        shapes=(((7,), (7,)), ((4, 5, 6), (4, 5, 6)), ((127, 521), (127, 521))),
        dtypes=FLOATS,
        rule=composed(4),
        numpy=lambda x, y: x * _sigmoid(x) * y,
        gradient=Gradient(
            kernel="swiglu_grad",
            rule=composed(6),
            magnitude=lambda x, y, g: [
                np.abs(g * y) * (1 + np.abs(x)),
                np.abs(g * x),
            ],
        ),
    ),
    Case(
        kernel="swiglu",
        name="halves",
        call=F.swiglu,
        shapes=(((8,),), ((4, 5, 6),), ((127, 522),)),
        dtypes=FLOATS,
        rule=composed(4),
        numpy=lambda x: (
            np.split(x, 2, -1)[0] * _sigmoid(np.split(x, 2, -1)[0]) * np.split(x, 2, -1)[1]
        ),
        gradient=Gradient(
            kernel="swiglu_grad",
            rule=composed(6),
            magnitude=lambda x, g: [
                np.concatenate([g, g], -1) * (1 + np.abs(x).max()) * np.abs(x).max()
            ],
        ),
    ),
    Case(
        kernel="increment",
        call=lambda x: paddle.increment(x.clone(), 3),
        shapes=(((1,),),),
        dtypes=FLOATS_AND_INTS,
        domain="small",
        rule=composed(1),
        numpy=lambda x: x + 3,
        also=("assign",),
    ),
)

CASES = (*NUMERIC, *COMPARISONS, *BITS, *CLOSENESS, *CHOICES, *GATES)
