"""Losses of elements and of classes."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import composed, rounded_once
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops
_SHAPES = (((7,), (7,)), ((5, 7, 3), (5, 7, 3)), ((127, 131), (127, 131)))


def _on_host(x):
    """Paddle's CPU device has hinge_loss and log_loss in float32 alone: it composes the truth."""
    return not x.place.is_custom_place()


def _log_loss(x, label, epsilon=2.0**-12):
    if _on_host(x):
        other = (1 - label) * paddle.log(1 - x + epsilon)
        return -(label * paddle.log(x + epsilon)) - other
    return _ops.log_loss(x, label, epsilon)


def _hinge_loss(x, label):
    label = (label > 0.5).astype(x.dtype)
    if _on_host(x):
        return F.relu(1 - x * (2 * label - 1))
    return _ops.hinge_loss(x, label)


def _sigmoid_loss(weighted=False, normalize=False, ignored=-100):
    def call(x, label, weight=None):
        return _ops.sigmoid_cross_entropy_with_logits(
            x, label, weight if weighted else None, normalize, ignored
        )

    return call


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# What slopes are made of, before they cancel.
def _bce_terms(x, label, dy):
    return [np.abs(dy) * (x + label) / (x * (1 - x)), np.zeros(label.shape)]


def _log_loss_terms(x, label, dy):
    small = 2.0**-12
    slope = label / (x + small) + (1 - label) / (1 - x + small)
    return [np.abs(dy) * slope, np.zeros(label.shape)]


def _sigmoid_terms(x, label, *rest):
    dy, weights = np.abs(rest[-1]), rest[:-1]
    tail = 1.0 + (np.abs(weights[0]) if weights else 0.0)
    size = dy * (tail + np.abs(label))
    return [size, np.zeros(label.shape), *(np.zeros(w.shape) for w in weights)]


def _huber_terms(x, label, dy, *_):
    size = np.abs(dy) * np.maximum(np.abs(x) + np.abs(label), 1.0)
    return [size, size]


ELEMENTS = (
    Case(
        kernel="bce_loss",
        call=lambda x, label: _ops.bce_loss(x, label),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain="fractions",
        rule=rounded_once(8, 4),
        numpy=lambda x, label: -label * np.log(x) - (1 - label) * np.log(1 - x),
        gradient=Gradient(
            kernel="bce_loss_grad", rule=composed(6), magnitude=_bce_terms, inputs=(0,)
        ),
    ),
    Case(
        kernel="log_loss",
        call=_log_loss,
        shapes=(((7, 1), (7, 1)), ((131, 1), (131, 1))),
        dtypes=FLOATS,
        domain="fractions",
        rule=rounded_once(8, 8),
        layouts=False,
        gradient=Gradient(
            kernel="log_loss_grad", rule=composed(6), magnitude=_log_loss_terms, inputs=(0,)
        ),
    ),
    Case(
        kernel="hinge_loss",
        call=_hinge_loss,
        shapes=(((7, 1), (7, 1)), ((131, 1), (131, 1))),
        dtypes=FLOATS,
        domain=("small", "fractions"),
        rule=rounded_once(2, 4),
        layouts=False,
        gradient=Gradient(kernel="hinge_loss_grad", rule=composed(1), inputs=(0,)),
    ),
    *(
        Case(
            kernel="kldiv_loss",
            name=name,
            call=lambda x, label, r=reduction, at=log_target: _ops.kldiv_loss(x, label, r, at),
            shapes=(((7,), (7,)), ((5, 7, 3), (5, 7, 3))),
            dtypes=FLOATS,
            domain=("small", "fractions"),
            rule=rounded_once(8, 4 if reduction in ("none", "mean") else 128),
            gradient=Gradient(kernel="kldiv_loss_grad", rule=composed(4), inputs=(0,)),
        )
        for name, reduction, log_target in (
            ("", "none", False),
            ("log_target", "none", True),
            ("mean", "mean", False),
            ("sum", "sum", False),
            ("batchmean", "batchmean", True),
        )
    ),
    Case(
        kernel="sigmoid_cross_entropy_with_logits",
        call=_sigmoid_loss(),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain=("small", "fractions"),
        rule=rounded_once(8, 4),
        numpy=lambda x, label: _softplus(x) - x * label,
        gradient=Gradient(
            kernel="sigmoid_cross_entropy_with_logits_grad",
            rule=composed(6),
            magnitude=_sigmoid_terms,
            inputs=(0,),
        ),
    ),
    Case(
        kernel="sigmoid_cross_entropy_with_logits",
        name="wide",  # exponents that would overflow
        call=_sigmoid_loss(),
        shapes=(((127,), (127,)),),
        dtypes=("float32",),
        domain=("wide", "fractions"),
        rule=rounded_once(8, 32),
    ),
    Case(
        kernel="sigmoid_cross_entropy_with_logits",
        name="weighted",
        call=_sigmoid_loss(weighted=True),
        shapes=tuple((*s, s[0]) for s in _SHAPES),
        dtypes=FLOATS,
        domain=("small", "fractions", "positive"),
        rule=rounded_once(8, 64),
        numpy=lambda x, label, weight: (1 - label) * x + weight * _softplus(-x),
        gradient=Gradient(
            kernel="sigmoid_cross_entropy_with_logits_grad",
            rule=composed(6),
            magnitude=_sigmoid_terms,
            inputs=(0,),
        ),
    ),
    Case(
        kernel="sigmoid_cross_entropy_with_logits",
        name="normalized",
        call=_sigmoid_loss(normalize=True, ignored=2),
        shapes=_SHAPES,
        dtypes=FLOATS,
        domain=("small", "classes"),
        rule=rounded_once(8, 32),
        gradient=Gradient(
            kernel="sigmoid_cross_entropy_with_logits_grad",
            rule=composed(6),
            magnitude=_sigmoid_terms,
            inputs=(0,),
        ),
    ),
    *(
        Case(
            kernel="huber_loss",
            name=name,
            call=lambda x, label, d=delta: F.smooth_l1_loss(x, label, reduction="none", delta=d),
            shapes=_SHAPES,
            dtypes=FLOATS,
            domain="small",
            rule=rounded_once(8, 8),
            gradient=Gradient(kernel="huber_loss_grad", rule=composed(3), magnitude=_huber_terms),
        )
        for name, delta in (("", 1.0), ("wider", 2.5))
    ),
)

# -- of classes -----------------------------------------------------------------------------------


def _nll(reduction, weighted=False, ignored=-100):
    def call(x, label, weight=None):
        label, weight = label.astype("int64"), weight if weighted else None
        if _on_host(x) and reduction != "none":
            # Paddle's CPU device writes a 0 beyond the one element for each label that it ignores.
            losses, _ = _ops.nll_loss(x, label, weight, ignored, "none")
            counts, _ = _ops.nll_loss(-paddle.ones_like(x), label, weight, ignored, "none")
            return losses.sum() / counts.sum() if reduction == "mean" else losses.sum()
        return _ops.nll_loss(x, label, weight, ignored, reduction)[0]

    return call


def _nll_terms(x, label, *rest):
    return [np.ones(x.shape), np.zeros(label.shape), *(np.zeros(w.shape) for w in rest[:-1])]


NLL = tuple(
    Case(
        kernel="nll_loss",
        name=name,
        call=_nll(reduction, weighted, ignored),
        shapes=tuple((*s, s[0][1:2]) if weighted else s for s in shapes),
        dtypes=FLOATS,
        domain=("small", "classes", "positive") if weighted else ("small", "classes"),
        rule=rounded_once(8, 1 if reduction == "none" else 256),
        layouts=False,
        gradient=Gradient(
            kernel="nll_loss_grad",
            rule=composed(4),
            magnitude=None if reduction == "none" else _nll_terms,
            inputs=(0,),
        ),
    )
    for name, shapes, reduction, weighted, ignored in (
        ("", (((5, 6), (5,)), ((67, 11), (67,))), "mean", False, -100),
        ("weighted", (((5, 6), (5,)), ((67, 11), (67,))), "mean", True, 1),
        ("none", (((5, 6), (5,)), ((67, 11), (67,))), "none", True, 2),
        ("sum", (((5, 6), (5,)),), "sum", False, 2),
        ("of_images", (((2, 6, 3, 5), (2, 3, 5)),), "mean", True, 2),
        ("of_images_none", (((2, 6, 3, 5), (2, 3, 5)),), "none", False, -100),
    )
)

CASES = (*ELEMENTS, *NLL)
