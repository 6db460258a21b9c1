"""Special functions: kernels/special.def; maxout."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, composed, rounded_once
from .case import FLOATS, Case, Gradient


def _bessel(kernel):
    """A gradient is a difference of two such functions; e^x of 24 moves by 24 roundings of x."""
    op = getattr(paddle, kernel)
    return tuple(
        Case(
            kernel=kernel,
            name=name,
            call=lambda x, s=scale: op(x * s),
            shapes=(((),), ((7,),), ((0,),), ((4, 5),), ((127, 131),)),
            dtypes=FLOATS,
            domain="small",
            rule=composed(8 if scale == 1 else 16),
            gradient=Gradient(
                kernel=f"{kernel}_grad",
                rule=composed(16),
                magnitude=lambda x, g, s=scale: [np.abs(g) * s * _size(kernel, x * s)],
            ),
        )
        for name, scale in (("", 1), ("large", 8))
    )


def _size(kernel, x):
    """More than a function and its slope."""
    return np.ones_like(x) if kernel.endswith("e") else np.i0(x)


def _polygamma(n, domain):
    return Case(
        kernel="polygamma",
        name=f"{n}_{domain}",
        call=lambda x: paddle.polygamma(x, n),
        shapes=(((),), ((7,),), ((0,),), ((4, 5),), ((127, 131),)),
        dtypes=FLOATS,
        domain=domain,
        rule=composed(16),
        gradient=Gradient(kernel="polygamma_grad", rule=composed(24)),
    )


BESSEL = (*_bessel("i0"), *_bessel("i0e"), *_bessel("i1"), *_bessel("i1e"))

GAMMA = tuple(
    Case(
        kernel="gammaincc",
        name=name,
        call=call,
        shapes=(((), ()), ((7,), (7,)), ((0,), (0,)), ((4, 5), (4, 5)), ((127, 131), (127, 131))),
        dtypes=("float32",),
        domain="positive",
        rule=rounded_once(32, 1),  # x + y is rounded in float32, and sqrt(x) times as steep
        like_cpu=False,  # whose error in float32 grows with the numbers
        # of large numbers the CPU device's is NaN: tests/test_gamma.py
        gradient=None
        if name in ("large", "near")
        else Gradient("gammaincc_grad", rounded_once(64, 1), dtypes=("float32",), inputs=(1,)),
    )
    for name, call in (
        ("", lambda a, x: paddle.gammaincc(a.detach(), x)),
        ("large", lambda a, x: paddle.gammaincc(a.detach() * 512, x * 512)),
        ("near", lambda a, x: paddle.gammaincc(a.detach() * 512, a.detach() * 512 + x)),
        ("small", lambda a, x: paddle.gammaincc(a.detach() / 40, x)),
    )
)

POLYGAMMA = tuple(_polygamma(n, "positive") for n in (1, 2, 3, 6))

SLOPES = (
    *(
        Case(
            kernel="maxout",
            name=name,
            call=lambda x, a=axis: F.maxout(x, 2, a),
            shapes=shapes,
            dtypes=FLOATS,
            domain="distinct",
            gradient=Gradient(kernel="maxout_grad", rule=EXACT),
        )
        for name, axis, shapes in (
            ("", 1, (((2, 6, 3, 4),), ((1, 2, 1, 1),))),
            ("last", -1, (((2, 3, 1, 6),),)),
        )
    ),
)

CASES = (*BESSEL, *GAMMA, *POLYGAMMA, *SLOPES)
