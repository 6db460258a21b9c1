"""Deformable convolution: strides, dilation, groups of both kinds, with a mask and without."""

import numpy as np
from paddle.vision.ops import deform_conv2d

from ..tolerance import summed
from .case import FLOATS, Case, Gradient

# Offsets change which elements are read, so their absolute values say nothing of a sum: terms do.
_SCALE = 8.0


def _products(*shapes):
    """Four elements around each tap of the filter."""
    return 8 * int(np.prod(shapes[2], dtype=np.int64)) + 64


def _gradient_products(*shapes):
    """Weights of both signs: what cancels is larger than the result at absolute values."""
    return 64 * sum(int(np.prod(s, dtype=np.int64)) for s in shapes)


def _deformable(name, shapes, **options):
    has_mask = len(shapes[0]) == 4

    def call(x, offset, weight, mask=None):
        return deform_conv2d(x, offset, weight, mask=mask, **options)

    return Case(
        kernel="deformable_conv",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain=("unit", "small", "unit", "unit") if has_mask else ("unit", "small", "unit"),
        rule=summed(_products, scale=_SCALE),
        gradient=Gradient(
            kernel="deformable_conv_grad",
            rule=summed(_gradient_products, scale=_SCALE),
            inputs=tuple(range(len(shapes[0]))),  # of one alone, Paddle's shape inference crashes
        ),
    )


CASES = (
    _deformable(
        "",
        (
            ((2, 3, 5, 6), (2, 18, 5, 6), (4, 3, 3, 3), (2, 9, 5, 6)),
            ((1, 1, 1, 1), (1, 18, 1, 1), (1, 1, 3, 3), (1, 9, 1, 1)),
        ),
        padding=1,
    ),
    _deformable("no_mask", (((2, 2, 4, 5), (2, 12, 3, 5), (3, 2, 2, 3)),), padding=(0, 1)),
    _deformable(
        "groups",
        (((1, 8, 6, 5), (1, 36, 3, 2), (6, 4, 3, 3), (1, 18, 3, 2)),),
        stride=(2, 3),
        padding=1,
        deformable_groups=2,
        groups=2,
    ),
    _deformable(
        "dilation",
        (((2, 4, 7, 8), (2, 8, 5, 6), (2, 2, 2, 2), (2, 4, 5, 6)),),
        dilation=2,
        groups=2,
    ),
)
