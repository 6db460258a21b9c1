"""Products beyond matmul: einsum, chains, powers, kron, cross; and norms of differences."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import EXACT, composed, rounded_once, summed
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")


def _all_elements(*shapes):
    """No sum below has more terms than all its operands together have elements."""
    return int(sum(np.prod(shape, dtype=np.int64) for shape in shapes)) + 8


_GRADIENT = {"rule": summed(_all_elements)}


def _einsum(equation, *shapes):
    return Case(
        kernel="einsum",
        name=equation.replace(" ", ""),
        call=lambda *x: paddle.einsum(equation, *x),
        shapes=shapes,
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_all_elements),
        numpy=lambda *x: np.einsum(equation, *x),
        gradient=Gradient(kernel="einsum_grad", **_GRADIENT),
    )


EINSUM = (
    _einsum("ij,jk->ik", ((5, 7), (7, 3)), ((61, 67), (67, 71))),
    _einsum("ij,kj->ik", ((5, 7), (3, 7))),
    _einsum("ij,jk", ((5, 7), (7, 3))),
    _einsum("ba,cb", ((5, 7), (3, 5))),
    _einsum("bij,bjk->bik", ((2, 5, 7), (2, 7, 3))),
    _einsum("bij,jk->bik", ((2, 5, 7), (7, 3))),
    _einsum("...ij,...jk->...ik", ((2, 5, 7), (2, 7, 3)), ((1, 5, 7), (2, 7, 3))),
    # The heads lie between the rows; with one number each there are strides of 1 on two axes.
    _einsum("bqhd,bkhd->bhqk", ((2, 5, 3, 4), (2, 6, 3, 4)), ((1, 3, 2, 1), (1, 13, 2, 1))),
    _einsum("ijk,ilm->jklm", ((2, 3, 4), (2, 5, 6))),
    _einsum("ijk,k->i", ((3, 2, 4), (4,))),
    _einsum("i,j->ij", ((5,), (7,))),
    _einsum("i,i->", ((7,), (7,))),
    _einsum("ij,ij->ij", ((5, 7), (5, 7))),
    _einsum("ij,ij->i", ((5, 7), (5, 7))),
    _einsum("ij->ji", ((5, 7),)),
    _einsum("ij->j", ((5, 7),), ((0, 7),)),
    _einsum("ii->i", ((5, 5),)),
    _einsum("ii", ((5, 5),)),
)

# Longer sums are broken into products of two, whose order NumPy and Paddle need not share.
LONG_SUMS = (
    Case(
        kernel="einsum",
        name="chain",
        call=lambda *x: paddle.einsum("ij,jk,kl->il", *x),
        shapes=(((2, 3), (3, 4), (4, 5)),),
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_all_elements, nodes=8),
        gradient=Gradient(kernel="einsum_grad", rule=summed(_all_elements, nodes=16)),
    ),
)


def _power(n):
    # Halved, so that high powers stay small.
    return Case(
        kernel="matrix_power",
        name=str(n),
        call=lambda x: paddle.linalg.matrix_power(x / 2, n),
        shapes=(((3, 3),), ((1, 1),), ((2, 4, 4),)),
        dtypes=("float32",),
        domain="unit",
        rule=summed(lambda x: 8 * n * x[-1]),
        numpy=lambda x: np.linalg.matrix_power(x / 2, n),
        gradient=Gradient(
            kernel="matrix_power_grad",
            rule=summed(lambda x: 16 * (n + 1) * x[-1] + 64),
            dtypes=("float32",),
        ),
    )


PRODUCTS = (
    Case(
        kernel="baddbmm",
        call=paddle.baddbmm,
        shapes=(((2, 5, 3), (2, 5, 7), (2, 7, 3)), ((1, 1, 1), (1, 1, 1), (1, 1, 1))),
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_all_elements),
        numpy=lambda z, x, y: z + x @ y,
        gradient=Gradient(kernel="baddbmm_grad", **_GRADIENT),
    ),
    Case(
        kernel="baddbmm",
        name="alpha_beta",
        call=lambda z, x, y: paddle.baddbmm(z, x, y, beta=0.5, alpha=2.0),
        shapes=(((2, 5, 3), (2, 5, 7), (2, 7, 3)), ((2, 1, 3), (2, 5, 7), (2, 7, 3))),
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_all_elements),
        numpy=lambda z, x, y: 0.5 * z + 2 * (x @ y),
        gradient=Gradient(kernel="baddbmm_grad", **_GRADIENT),
    ),
    Case(
        kernel="multi_dot",
        call=lambda *x: paddle.linalg.multi_dot(x),
        shapes=(
            ((3, 4), (4, 5), (5, 2), (2, 6)),
            ((4,), (4, 5), (5,)),
            ((4,), (4, 5)),
            ((4, 5), (5,)),
        ),
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_all_elements),
        numpy=lambda *x: np.linalg.multi_dot(x),
        gradient=Gradient(kernel="multi_dot_grad", **_GRADIENT),
    ),
    *(_power(n) for n in (0, 1, 2, 5, 8)),
    Case(
        kernel="kron",
        call=paddle.kron,
        shapes=(((2, 3), (4, 5)), ((3,), (2, 5)), ((2, 3, 4), (5,)), ((1,), (1,))),
        dtypes=_INTS,
        domain="small",
        numpy=np.kron,
        gradient=Gradient(kernel="kron_grad", rule=summed(_all_elements), dtypes=_INTS),
    ),
    *(
        Case(
            kernel="cross",
            name=name,
            call=lambda x, y, a=axis: paddle.cross(x, y) if a is None else paddle.cross(x, y, a),
            shapes=shapes,
            dtypes=_INTS,
            domain="classes",  # whose products float32 holds
            gradient=Gradient(kernel="cross_grad", rule=EXACT, dtypes=_INTS),
        )
        for name, axis, shapes in (
            ("", None, (((3,), (3,)), ((3, 5), (3, 5)), ((4, 3, 5), (4, 3, 5)))),
            ("last", -1, (((4, 3), (4, 3)), ((3, 5, 3), (3, 5, 3)))),
        )
    ),
    Case(
        kernel="conj",
        call=paddle.conj,
        shapes=(((7,),), ((4, 5),)),
        dtypes=_INTS,
        numpy=np.conj,
    ),
)

_DISTANCE_ROUNDINGS = 8  # a difference, a logarithm, two exponentials, and what they amplify

NORMS = (
    *(
        Case(
            kernel="dist",
            name=name,
            call=lambda x, y, p=p: paddle.dist(x, y, p),
            shapes=(((4, 5), (4, 5)), ((4, 5), (5,)), ((7,), ())),
            dtypes=FLOATS,
            domain="small",
            rule=rule,
            gradient=Gradient(kernel="dist_grad", rule=gradient),
        )
        for name, p, rule, gradient in (
            ("", 2, summed(_all_elements), summed(_all_elements, nodes=4)),
            ("1", 1, summed(_all_elements), summed(_all_elements, nodes=1)),
            ("3", 3, summed(_all_elements, nodes=8), summed(_all_elements, nodes=16)),
            ("most", float("inf"), composed(1), summed(_all_elements, nodes=1)),
            ("0", 0, EXACT, EXACT),
        )
    ),
    *(
        Case(
            kernel="renorm",
            name=name,
            call=lambda x, p=p: paddle.renorm(x, p, 1, 1.5),
            shapes=(((4, 5),), ((3, 4, 2),)),
            dtypes=FLOATS,
            domain="small",
            rule=composed(_DISTANCE_ROUNDINGS),
            gradient=Gradient(
                kernel="renorm_grad",
                rule=composed(4 * _DISTANCE_ROUNDINGS),
                magnitude=lambda x, d: [np.full_like(x, 4.0)],
            ),
        )
        for name, p in (("", 2.0), ("1", 1.0), ("3", 3.0))
    ),
    Case(
        kernel="l1_norm",
        call=lambda x: (  # the CPU device has it in float32 alone
            x.abs().sum() if x.place.is_cpu_place() else paddle._C_ops.l1_norm(x)
        ),
        layouts=False,  # a static program has no place to ask for
        shapes=(((7,),), ((4, 5),)),
        dtypes=("float32",),
        domain="small",
        rule=summed(_all_elements),
        numpy=lambda x: np.abs(x).sum(),
        gradient=Gradient(kernel="l1_norm_grad", rule=EXACT, dtypes=("float32",)),
    ),
)

BILINEAR = (
    Case(
        kernel="bilinear",
        call=lambda x, y, weight, bias: F.bilinear(x, y, weight, bias),
        shapes=(((1, 2), (1, 3), (1, 2, 3), (1, 1)), ((5, 4), (5, 6), (3, 4, 6), (1, 3))),
        dtypes=FLOATS,
        domain="unit",
        rule=rounded_once(32, 24),
        numpy=lambda x, y, w, b: np.einsum("ni,oij,nj->no", x, w, y) + b,
        gradient=Gradient(kernel="bilinear_grad", rule=rounded_once(64, 24)),
    ),
)

CASES = (*EINSUM, *LONG_SUMS, *PRODUCTS, *NORMS, *BILINEAR)
