"""Losses of many classes: with a margin between angles, and down a tree."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import composed, summed
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops


def _on_host():
    return not paddle.get_device().startswith("mps")


def _labels(rows, classes):
    return paddle.to_tensor(np.random.default_rng(rows).integers(0, classes, rows))


def _margin(by, more, off, scale):
    def call(logits):
        label = _labels(*logits.shape)
        if not _on_host():
            return _ops.margin_cross_entropy(logits, label, False, 0, 0, 1, by, more, off, scale)[1]
        is_class = F.one_hot(label, logits.shape[1]).astype(logits.dtype)  # the CPU has no kernel
        turned = paddle.cos(paddle.acos(logits) * by + more) - off
        scores = (logits + is_class * (turned - logits)) * scale
        return F.cross_entropy(scores, label, reduction="none").unsqueeze(1)

    return call


MARGIN = tuple(
    Case(
        kernel="margin_cross_entropy",
        name=name,
        call=_margin(*numbers),
        shapes=(((3, 5),), ((7, 33),)),
        dtypes=FLOATS,
        domain="inside_unit",
        # A loss of up to the scale; the cosine of an angle in half formats has been rounded.
        rule=summed(lambda x: 64 * x[1], nodes=4, scale=8.0),
        gradient=Gradient(
            kernel="margin_cross_entropy_grad",
            rule=composed(16),
            magnitude=lambda x, d: [np.full(x.shape, 64 * float(np.abs(d).max()))],
        ),
    )
    for name, numbers in (
        ("", (1.0, 0.5, 0.0, 8.0)),
        ("of_cosines", (1.0, 0.0, 0.25, 4.0)),
        ("of_angles", (1.25, 0.0, 0.0, 2.0)),
    )
)

_PATH = [[0, 2, -1], [0, 1, 4], [0, -1, -1], [0, 2, 3]]
_CODE = [[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]]


def _tree(classes, table=False):
    def call(x, w, bias):
        paths = [paddle.to_tensor(n, dtype="int64") for n in (_PATH, _CODE)] if table else []
        path, code = paths or (None, None)
        label = _labels(x.shape[0], classes).unsqueeze(1)
        return _ops.hsigmoid_loss(x, label, w, bias, path, code, classes, False)[0]

    return call


def _terms(x, w, bias):
    return 16 * (x[1] + 16)


def _slopes(x, w, bias):
    return 64 * (x[0] + x[1])


TREES = tuple(
    Case(
        kernel="hsigmoid_loss",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="unit",
        rule=summed(_terms, scale=4.0),
        gradient=Gradient(kernel="hsigmoid_loss_grad", rule=summed(_slopes, nodes=4, scale=4.0)),
    )
    for name, call, shapes in (
        ("", _tree(6), (((4, 3), (5, 3), (5, 1)), ((9, 7), (5, 7), (5, 1)))),
        ("of_two", _tree(2), (((3, 3), (1, 3), (1, 1)),)),
        ("table", _tree(6, True), (((4, 3), (5, 3), (5, 1)),)),
    )
)

CASES = (*MARGIN, *TREES)
