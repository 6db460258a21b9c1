"""Turns integers into a program while it runs: which operands fit is known only then."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from choices import Choices, Shape
from documented import leaves_out_empty, leaves_out_repeated
from machine import Machine, Refused, Variable, lies_in
from paddle_mps.selftest import harness
from program import Line, given, show
from rows import CHANGES, Row

LAYOUTS = tuple(harness.LAYOUTS)
# Integers of both signs, all of which the dtype holds, with the middle of any two of them.
MOST_DISTINCT = {"bfloat16": 256, "float16": 2048, "int8": 256, "uint8": 256}
RECENT = 8  # values that a line chooses among
# Rows that the CPU device refused: how often, and its last words.
refused: dict[str, tuple[int, str]] = {}

DTYPES = ("float32", "float16", "bfloat16", "int32", "int64", "bool", "int16", "int8", "uint8")


def new_name(machine: Machine) -> str:
    return f"v{len(machine.variables)}"


def _fresh(c: Choices, machine: Machine, row: Row, i: int, shape: Shape, dtype: str) -> str | None:
    name = new_name(machine)
    if row.domain(i) == "distinct" and int(np.prod(shape)) > MOST_DISTINCT.get(dtype, 2**20):
        return None
    layout = c.pick(LAYOUTS) if row.layouts else "contiguous"
    if not harness.fits(layout, shape):
        layout = "contiguous"
    if row.domain(i) == "distinct" and layout == "repeated":
        layout = "contiguous"
    machine.run(Line((name,), given(row.domain(i), list(shape), dtype, layout, c.below(64))))
    return name


def _takes(row: Row, i: int, variable: Variable, dtype: str) -> bool:
    if variable.dtype != dtype or not (row.layouts or variable.plain):
        return False
    return lies_in(row, i, variable)


def _operands(c: Choices, machine: Machine, row: Row) -> list[str] | None:
    """Names of operands, new ones where no value fits."""
    fitting = []
    for name in reversed(machine.variables):
        v = machine.variables[name]
        fits = v.dtype in row.case.dtypes and _takes(row, 0, v, v.dtype)
        if fits and (row.kind != CHANGES or machine.may_change(name)):
            fitting.append(name)
        if len(fitting) == RECENT:
            break
    first = c.pick(fitting) if fitting and c.below(8) != 1 else None
    if first is None:
        dtype = c.pick([d for d in DTYPES if d in row.case.dtypes] or row.case.dtypes)
        shape = c.shape()
    else:
        dtype, shape = machine.variables[first].dtype, machine.variables[first].model.shape
    shapes = row.shapes(c, shape)
    if shapes is None:
        first, shape = None, (2, 3)
        shapes = row.shapes(c, shape)
    if first is not None and tuple(shapes[0]) != shape:
        first = None
    names = []
    for i, wanted in enumerate(shapes):
        if i == 0 and first is not None:
            names.append(first)
            continue
        there = [
            name
            for name, v in machine.variables.items()
            if v.model.shape == tuple(wanted) and _takes(row, i, v, dtype)
        ]
        if i and row.kind == CHANGES:  # what is read must not be a part of what is written
            family = machine.variables[names[0]].family
            there = [n for n in there if n == names[0] or machine.variables[n].family != family]
        if i == 0 and row.kind == CHANGES:
            there = []
        if there and c.below(3) != 1:
            names.append(c.pick(there[-RECENT:][::-1]))
        else:
            names.append(_fresh(c, machine, row, i, tuple(wanted), dtype))
        if names[-1] is None:
            return None
    if row.kind == CHANGES and not machine.may_change(names[0]):
        return None
    return names


def add_line(
    machine: Machine,
    row: Row,
    c: Choices,
    *,
    changes: bool = True,
    note: Callable[[str], None] | None = None,
) -> bool:
    """Add a line to the program, and run it; `note` is told what it will be.

    Return whether there is one: not every row fits what is there.
    """
    if row.kind == CHANGES and not changes:
        return False
    operands = _operands(c, machine, row)
    if operands is None:
        return False
    first = machine.variables[operands[0]]
    shapes = [machine.variables[n].model.shape for n in operands]
    if leaves_out_empty(row.name) and any(0 in shape for shape in shapes):
        return False
    if leaves_out_repeated(row.name) and 0 in first.tensor.strides:
        return False
    template = row.write(c, shapes, first.dtype)
    if template is None:
        return False
    try:
        line = Line((), template, tuple(operands), row.name)
        if note is not None:
            note(show([*machine.lines, line]))
        machine.run(line)
        return True
    except Refused as error:
        count, _ = refused.get(row.name, (0, ""))
        refused[row.name] = (count + 1, str(error))
    return False
