"""Every case, from the tables beside this file."""

from . import (
    activations,
    binary,
    creation,
    elementwise,
    functions,
    linalg,
    movement,
    reduce,
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
)

__all__ = ["ALL_CASES", "Case", "Gradient"]
