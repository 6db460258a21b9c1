"""Norms, logarithms of sums, and sums of many tensors."""

import numpy as np
import paddle

from ..tolerance import composed, rounded_once, summed
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_SHAPES = (((2, 3, 4),), ((1, 1, 1),), ((5, 7, 3),), ((7, 11, 13),))
_AXES = (("", None), ("last", -1), ("two_axes", [0, 2]))


def _count(*shapes):
    return int(np.prod(shapes[0], dtype=np.int64))


def _tuple(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def _logsumexp(x, axis):
    return np.log(np.sum(np.exp(x), axis=axis))


def _norm_terms(x, dout):
    """What the gradient of x / norm subtracts from each other."""
    norm = np.sqrt(np.sum(x * x, 1, keepdims=True))
    along = np.abs(x) * np.sum(np.abs(x * dout), 1, keepdims=True) / norm**2
    return [(np.abs(dout) + along) / norm]


LOGSUMEXP = tuple(
    Case(
        kernel="logsumexp",
        name=name,
        call=lambda x, a=axis: paddle.logsumexp(x, axis=a),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain="small",
        rule=summed(_count, nodes=4),
        numpy=lambda x, a=axis: _logsumexp(x, _tuple(a)),
        gradient=Gradient(kernel="logsumexp_grad", rule=composed(16)),
    )
    for name, axis in _AXES
)

P_NORM = tuple(
    Case(
        kernel="p_norm",
        name=f"{name}",
        call=lambda x, p=p, a=axis: (
            paddle._C_ops.p_norm(x, p, a, 1e-12, False, a is None)
            if a is not None
            else paddle._C_ops.p_norm(x, p, -1, 1e-12, False, True)
        ),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain="nonzero",
        rule=summed(_count, nodes=8),
        numpy=numpy,
        layouts=False,
        gradient=Gradient(kernel="p_norm_grad", rule=composed(48)),
    )
    for name, p, axis, numpy in (
        ("", 2.0, None, lambda x: np.sqrt(np.sum(x * x))),
        ("2_last", 2.0, -1, lambda x: np.sqrt(np.sum(x * x, -1))),
        ("1", 1.0, 0, lambda x: np.sum(np.abs(x), 0)),
        ("3", 3.0, 1, None),
        ("0", 0.0, 1, lambda x: np.sum(x != 0, 1).astype(np.float64)),
        ("inf", float("inf"), 1, lambda x: np.max(np.abs(x), 1)),
        ("minus_inf", float("-inf"), 1, lambda x: np.min(np.abs(x), 1)),
    )
)

SQUARES = (
    Case(
        kernel="norm",
        call=lambda x: paddle._C_ops.norm(x, 1, 1e-10, False)[0],
        shapes=(((2, 3, 4),), ((5, 7, 3),)),
        dtypes=FLOATS,
        domain="nonzero",
        rule=composed(8),
        numpy=lambda x: x / np.sqrt(np.sum(x * x, 1, keepdims=True) + 1e-10),
        layouts=False,
        gradient=Gradient(kernel="norm_grad", rule=composed(8), magnitude=_norm_terms),
    ),
    Case(
        kernel="squared_l2_norm",
        call=lambda x: paddle._C_ops.squared_l2_norm(x),
        shapes=_SHAPES,
        dtypes=FLOATS,
        rule=summed(_count, nodes=1),
        numpy=lambda x: np.sum(x * x).reshape(1),
        layouts=False,
        gradient=Gradient(kernel="squared_l2_norm_grad", rule=composed(2)),
    ),
    *(
        Case(
            kernel="frobenius_norm",
            name=name,
            call=lambda x, a=axis: paddle._C_ops.frobenius_norm(x, a, False, not a),
            shapes=_SHAPES,
            dtypes=FLOATS,
            rule=summed(_count, nodes=2),
            numpy=lambda x, a=axis: np.sqrt(np.sum(x * x, tuple(a) or None)),
            layouts=False,
            gradient=Gradient(kernel="frobenius_norm_grad", rule=composed(8)),
        )
        for name, axis in (("", []), ("two_axes", [0, 2]))
    ),
)

ADD_N = (
    Case(
        kernel="add_n",
        call=lambda *xs: paddle.add_n(list(xs)),
        shapes=(((2, 3),) * 3, ((),) * 2, ((7,),), ((127, 131),) * 4),
        dtypes=_INTS,
        domain="small",
        rule=composed(4),
        numpy=lambda *xs: np.sum(xs, 0),
    ),
)


def _clip(most):
    def call(x):
        if paddle.get_device() != "cpu":
            return paddle._C_ops.clip_by_norm(x, most)
        norm = (x * x).sum().sqrt()  # the CPU device has it in float32 alone
        return x * paddle.where(norm > most, most / norm, paddle.ones_like(norm))

    return call


CLIPPED = tuple(
    Case(
        kernel="clip_by_norm",
        name=name,
        call=_clip(most),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(8),
        numpy=lambda x, n=most: x * min(1.0, n / np.sqrt(np.sum(x * x))),
    )
    for name, most in (("", 2.0), ("whole", 1e4))
)

CASES = (*LOGSUMEXP, *P_NORM, *SQUARES, *ADD_N, *CLIPPED)
