"""Programs as text: what is run is what is printed, and what was printed can be run again."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import paddle
from paddle_mps.selftest.cases import ALL_CASES

CASES = {case.id: case for case in ALL_CASES}


def _set_part(x: paddle.Tensor, index: tuple, value: float) -> paddle.Tensor:
    x[index] = value
    return x


# What the text of a line may name, beside the operands.
WORDS = {
    "paddle": paddle,
    "np": np,
    "case": lambda name: CASES[name].call,
    "in_place": lambda name: CASES[name].in_place,
    "set_part": _set_part,
}


@functools.lru_cache(maxsize=20_000)
def function(template: str, count: int) -> Callable:
    """Return a line's text as a function of its operands."""
    names = [f"x{i}" for i in range(count)]
    return eval(f"lambda {', '.join(names)}: {template.format(*names)}", dict(WORDS))


@dataclass(frozen=True)
class Line:
    """`targets = template(operands)`, by a row of the table; or new numbers, without a row.

    Targets may be left out, and the machine names them; a change in place has none.
    """

    targets: tuple[str, ...]
    template: str
    operands: tuple[str, ...] = ()
    row: str = ""

    def __str__(self) -> str:
        text = self.template.format(*self.operands) if self.row else self.template
        if self.targets:
            text = f"{', '.join(self.targets)} = {text}"
        return f"{text}  # {self.row}: {' '.join(self.operands)}" if self.row else text


def given(domain: str, shape: list[int], dtype: str, layout: str, seed: int) -> str:
    """Return the text of new numbers."""
    return f"given({domain!r}, {shape}, {dtype!r}, {layout!r}, seed={seed})"


@functools.lru_cache(maxsize=20_000)
def given_arguments(text: str) -> tuple:
    """Return what given() was told."""
    call = ast.parse(text, mode="eval").body
    return tuple(ast.literal_eval(a) for a in (*call.args, call.keywords[0].value))


def show(lines: list[Line]) -> str:
    """Return the program's text."""
    return "".join(f"{line}\n" for line in lines)


def read(text: str) -> list[Line]:
    """Return the program that show() wrote."""
    found = []
    for line in text.strip().splitlines():
        code, _, comment = line.partition("  # ")
        targets, _, code = code.strip().rpartition(" = ")
        row, _, names = comment.rpartition(": ")
        operands = tuple(names.split())
        if row:
            places = {name: f"{{{i}}}" for i, name in reversed(list(enumerate(operands)))}
            code = re.sub(r"\bv\d+\b", lambda m, p=places: p[m[0]], code)
        found.append(Line(tuple(targets.split(", ")) if targets else (), code, operands, row))
    return found
