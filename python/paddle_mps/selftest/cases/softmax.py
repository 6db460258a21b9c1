"""Softmax, its logarithm, and cross entropy."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import composed, rounded_once
from .case import FLOATS, Case, Gradient

_SHAPES = (((),), ((1,),), ((7,),), ((5, 7, 3),), ((127, 131),))
_RANK_3 = (((2, 3, 4),), ((5, 7, 3),), ((13, 11, 17),))


def _softmax(x, axis=-1):
    if x.ndim == 0:
        return np.ones(())
    part = np.exp(x - np.max(x, axis, keepdims=True))
    return part / np.sum(part, axis, keepdims=True)


def _softmax_terms(axis):
    """What y (dy - sum(y dy)) is made of."""

    def terms(x, dy):
        y = _softmax(x, axis)
        size = np.sum(y * np.abs(dy), axis, keepdims=True) if x.ndim else np.abs(dy)
        return [y * (np.abs(dy) + size)]

    return terms


def _log_softmax_terms(axis):
    def terms(x, dy):
        if x.ndim == 0:
            return [np.abs(dy)]
        # exp of a rounded logarithm: off by as many ULP as the logarithm is large
        y = _softmax(x, axis) * (1 - np.log(_softmax(x, axis)))
        return [np.abs(dy) + y * np.sum(np.abs(dy), axis, keepdims=True)]

    return terms


SOFTMAX = tuple(
    Case(
        kernel=kernel,
        name=name,
        call=lambda x, f=function, a=axis: f(x, axis=a),
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(8, scale),
        numpy=numpy,
        large=large,
        gradient=Gradient(kernel=f"{kernel}_grad", rule=composed(8), magnitude=terms),
    )
    for name, axis, shapes, large in (
        ("", -1, _SHAPES, ((2053, 1999),)),
        ("first", 0, _RANK_3, None),
        ("middle", 1, _RANK_3, ((61, 512, 67),)),
    )
    for kernel, function, scale, numpy, terms in (
        ("softmax", F.softmax, 0, lambda x, a=axis: _softmax(x, a), _softmax_terms(axis)),
        (
            "log_softmax",
            F.log_softmax,
            8,
            lambda x, a=axis: np.log(_softmax(x, a)),
            _log_softmax_terms(axis),
        ),
    )
)


def _upper_triangle(x):
    # Paddle's CPU device does not have it.
    if x.place.is_custom_place():
        return paddle.incubate.softmax_mask_fuse_upper_triangle(x)
    part = paddle.exp(x) * paddle.tril(paddle.ones_like(x))
    return part / paddle.sum(part, -1, keepdim=True)


def _triangle_terms(x, dy):
    return _softmax_terms(-1)(np.where(np.tril(np.ones(x.shape)) > 0, x, -np.inf), dy)


def _mask_terms(x, mask, dy):
    return [_softmax_terms(-1)(x + mask, dy)[0], np.zeros(mask.shape)]


MASKED = (
    Case(
        kernel="fused_softmax_mask",
        call=lambda x, mask: paddle.incubate.softmax_mask_fuse(x, mask),
        shapes=(((2, 3, 4, 4), (2, 1, 4, 4)), ((3, 5, 7, 32), (3, 1, 7, 32))),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(24),
        numpy=lambda x, mask: _softmax(x + mask),
        gradient=Gradient(
            kernel="fused_softmax_mask_grad", rule=composed(24), magnitude=_mask_terms, inputs=(0,)
        ),
    ),
    Case(
        kernel="fused_softmax_mask_upper_triangle",
        call=_upper_triangle,
        shapes=(((2, 3, 4, 4),), ((1, 2, 32, 32),)),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(8),
        layouts=False,  # a program has no place to ask
        gradient=Gradient(
            kernel="fused_softmax_mask_upper_triangle_grad",
            rule=composed(8),
            magnitude=_triangle_terms,
        ),
    ),
)

# -- cross entropy --------------------------------------------------------------------------------


def _losses(soft=False, use_softmax=True, ignored=-100, axis=-1, both=False):
    def call(logits, label):
        if soft:
            target = F.softmax(label, axis=axis)
        else:
            target = paddle.cast(label, "int64").unsqueeze(axis)
        if not use_softmax:
            logits = paddle.clip(paddle.abs(logits), 0.01, 3.0)
        probability, loss = paddle._C_ops.cross_entropy_with_softmax(
            logits, target, soft, use_softmax, True, ignored, axis
        )
        loss = loss.astype(logits.dtype)  # of bfloat16 it comes in float32
        return [probability, loss] if both else loss

    return call


def _loss_of_hard_labels(logits, label):
    rows = logits - np.max(logits, -1, keepdims=True)
    rows = rows - np.log(np.sum(np.exp(rows), -1, keepdims=True))
    return -np.take_along_axis(rows, label.astype(np.int64)[..., None], -1)


def _slope_terms(axis):
    def terms(logits, label, dy):
        size = np.abs(np.asarray(dy))
        return [np.broadcast_to(size, logits.shape), np.zeros(label.shape)]

    return terms


CROSS_ENTROPY = tuple(
    Case(
        kernel="cross_entropy_with_softmax",
        name=name,
        call=_losses(**options),
        shapes=shapes,
        dtypes=FLOATS,
        domain=("small", "small" if options.get("soft") else "classes"),
        rule=rule,
        numpy=numpy,
        layouts=not options.get("soft"),
        gradient=None
        if options.get("both")
        else Gradient(
            kernel="cross_entropy_with_softmax_grad",
            rule=composed(terms),
            magnitude=_slope_terms(options.get("axis", -1)),
            inputs=(0,),
        ),
    )
    for name, shapes, rule, numpy, terms, options in (
        (
            "",
            (((1, 7), (1,)), ((5, 6), (5,)), ((2, 3, 11), (2, 3)), ((67, 251), (67,))),
            rounded_once(8, 8),
            _loss_of_hard_labels,
            4,
            {},
        ),
        ("with_softmax", (((5, 7), (5,)),), rounded_once(8, 8), None, 4, {"both": True}),
        (
            "ignored",
            (((9, 6), (9,)), ((67, 251), (67,))),
            rounded_once(8, 8),
            None,
            4,
            {"ignored": 2},
        ),
        ("axis", (((5, 7, 3), (5, 3)),), rounded_once(8, 8), None, 4, {"axis": 1}),
        # the label's own softmax is rounded to the dtype first
        (
            "soft",
            (((5, 7), (5, 7)), ((3, 4, 11), (3, 4, 11))),
            composed(24),
            None,
            24,
            {"soft": True},
        ),
        (
            "of_probabilities",
            (((5, 6), (5,)), ((7, 11), (7,))),
            rounded_once(8, 8),
            None,
            800,
            {"use_softmax": False},
        ),
    )
)

CROSS_ENTROPY += (
    Case(
        kernel="cross_entropy_with_softmax",
        name="large",
        call=_losses(),
        shapes=(((5, 6), (5,)),),
        dtypes=("float32",),
        domain=("wide", "classes"),
        rule=rounded_once(8, 64),
        large=((1021, 4099), (1021,)),
    ),
)

CASES = (*SOFTMAX, *MASKED, *CROSS_ENTROPY)
