"""Every case, from the tables beside this file."""

from . import (
    activations,
    arrange,
    binary,
    conv,
    creation,
    diagonal,
    elementwise,
    extreme,
    functions,
    index,
    linalg,
    movement,
    norm,
    order,
    pad,
    pool,
    reduce,
    resize,
    scan,
    sequence,
    shape,
)
from .case import Case, Gradient

ALL_CASES: tuple[Case, ...] = (
    *elementwise.CASES,
    *functions.CASES,
    *activations.CASES,
    *binary.CASES,
    *linalg.CASES,
    *reduce.CASES,
    *movement.CASES,
    *shape.CASES,
    *creation.CASES,
    *arrange.CASES,
    *pad.CASES,
    *diagonal.CASES,
    *sequence.CASES,
    *extreme.CASES,
    *norm.CASES,
    *scan.CASES,
    *index.CASES,
    *order.CASES,
    *conv.CASES,
    *pool.CASES,
    *resize.CASES,
)

__all__ = ["ALL_CASES", "Case", "Gradient"]
