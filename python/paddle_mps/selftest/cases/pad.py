"""Padding with constants, reflections, edges, and around in circles."""

import numpy as np
from paddle.nn import functional as F

from ..tolerance import EXACT, summed
from .case import FLOATS, Case, Gradient

_INTS = (*FLOATS, "int32", "int64")
_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _few(*shapes):
    return 512


def _spatial(mode):
    return Case(
        kernel="pad3d",
        name=mode,
        call=lambda x: F.pad(x, [1, 2, 0, 1, 2, 1], mode=mode, data_format="NCDHW"),
        shapes=(((2, 3, 4, 5, 6),), ((1, 1, 3, 2, 3),)),
        dtypes=_INTS,
        numpy=lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1), (0, 1), (1, 2)), _MODES[mode]),
        gradient=Gradient(kernel="pad3d_grad", rule=summed(_few)),
    )


CASES = (
    Case(
        kernel="pad",
        call=lambda x: F.pad(x, [1, 2, 0, 3], value=2.0, pad_from_left_axis=True),
        shapes=(((2, 3),), ((1, 1),), ((127, 131),)),
        dtypes=_INTS,
        numpy=lambda x: np.pad(x, ((1, 2), (0, 3)), constant_values=2),
        gradient=Gradient(kernel="pad_grad", rule=EXACT, dtypes=_INTS),
    ),
    Case(
        kernel="pad3d",
        call=lambda x: F.pad(x, [1, 2, 0, 1, 2, 1], value=-3.0, data_format="NCDHW"),
        shapes=(((2, 3, 4, 5, 6),), ((1, 1, 1, 1, 1),)),
        dtypes=_INTS,
        numpy=lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1), (0, 1), (1, 2)), constant_values=-3),
        gradient=Gradient(kernel="pad3d_grad", rule=EXACT),
    ),
    Case(
        kernel="pad3d",
        name="channels_last",
        call=lambda x: F.pad(x, [1, 0, 2, 1], mode="replicate", data_format="NHWC"),
        shapes=(((2, 4, 5, 3),),),
        dtypes=FLOATS,
        numpy=lambda x: np.pad(x, ((0, 0), (2, 1), (1, 0), (0, 0)), "edge"),
        layouts=False,
        gradient=Gradient(kernel="pad3d_grad", rule=summed(_few)),
    ),
    *(_spatial(mode) for mode in _MODES),
)
