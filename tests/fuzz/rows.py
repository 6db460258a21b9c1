"""What a row of the fuzzer's table is, and what rows have in common.

A row names an op once. Its `write` gives the op's Python text for some shapes, or None if the op
does not take them; the text is what runs and what is printed. Tolerances, domains and gradients are
those of a Case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from choices import Choices, Shape
from paddle_mps.selftest.cases.case import ALL, FLOATS, Case, Gradient
from paddle_mps.selftest.tolerance import EXACT

# A row's text for operands of these shapes and this dtype; {0} stands for the first operand.
Write = Callable[[Choices, "list[Shape]", str], "str | None"]

COMPUTES, VIEWS, CHANGES = "computes", "views", "changes"
INTS = (*FLOATS, "int32", "int64")
MOST_AXES = 6  # most of Paddle's CPU kernels take no more


@dataclass(frozen=True)
class Row:
    """One op.

    `shapes` gives the operands' shapes, of which the first may be that of a value that is there
    already; None if that does not do.
    """

    name: str
    case: Case
    write: Write
    shapes: Callable[[Choices, Shape], list[Shape] | None]
    kind: str = COMPUTES
    numpy: Callable[[str], str] = staticmethod(lambda text: text)  # a view's text for NumPy
    layouts: bool = True

    @property
    def arity(self) -> int:
        return len(self.case.shapes[0])

    def domain(self, i: int) -> str:
        return self.case.domain if isinstance(self.case.domain, str) else self.case.domain[i]


# -- shapes of the operands


def same(count: int) -> Callable[[Choices, Shape], list[Shape]]:
    return lambda c, shape: [shape] * count


def broadcast(c: Choices, shape: Shape) -> list[Shape]:
    other = tuple(1 if c.below(4) == 1 else n for n in shape)[c.below(len(shape) + 1) :]
    return [shape, other]


def if_any(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape] if 0 not in shape else None


def with_axis(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape] if shape and 0 not in shape else None


# -- an op on any shape


def elements(*shapes: Shape) -> int:
    return int(max(np.prod(s, dtype=np.int64) for s in shapes)) + 1


def any_row(
    kernel,
    write,
    *,
    name="",
    arity=1,
    rule=EXACT,
    dtypes=ALL,
    domain="any",
    shapes=None,
    kind=COMPUTES,
    gradient=None,
    gradients=FLOATS,
    numpy=lambda text: text,
):
    case = Case(
        kernel=kernel,
        call=lambda *x: None,
        shapes=(((),) * arity,),
        dtypes=dtypes,
        rule=rule,
        domain=domain,
        gradient=Gradient(kernel="", rule=gradient, dtypes=gradients) if gradient else None,
    )
    return Row(name or kernel, case, write, shapes or same(arity), kind, numpy)


def axis_of(c: Choices, shape: Shape) -> int:
    return c.below(2 * len(shape)) - len(shape)


def slices_of(c: Choices, shape: Shape) -> str:
    """An index that keeps at least one axis as a view in NumPy too."""
    parts = []
    for n in shape:
        start = c.below(n + 1)
        kind = c.below(4)
        if kind == 0:
            parts.append(":")
        elif kind == 1 and n:
            parts.append(str(c.below(n) - (n if c.flag() else 0)))
        else:
            stop = start + c.below(n - start + 1)
            parts.append(f"{start}:{stop}" + (f":{2 + c.below(2)}" if c.flag() else ""))
    return ", ".join([*parts, "..."])
