"""Every case, from the tables beside this file."""

from . import (
    activations,
    arrange,
    binary,
    creation,
    diagonal,
    elements,
    elementwise,
    extreme,
    functions,
    index,
    linalg,
    movement,
    norm,
    order,
    pad,
    reduce,
    scan,
    sequence,
    shape,
    statistics,
    windows,
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
    *windows.CASES,
    *statistics.CASES,
    *elements.CASES,
    *order.CASES,
)

__all__ = ["ALL_CASES", "Case", "Gradient"]
