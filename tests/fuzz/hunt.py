"""Looks for programs that differ, and makes what it finds small."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import hypothesis
import hypothesis.errors
import hypothesis.strategies as st
from choices import Choices
from generate import add_line
from gradient import check_gradients
from machine import Difference, Machine, Refused
from paddle_mps.selftest import harness
from program import Line, given, read, show
from rows import Row
from table import ROWS

BATCH = 200  # programs that one run of Hypothesis draws
LINE_BYTES = 10


@st.composite
def programs(draw: st.DrawFn) -> tuple[bool, bytes]:
    """Draw whether gradients are asked for, and the bytes that become 5 to 30 lines.

    Bytes rather than lists of numbers: two draws instead of a hundred, and Hypothesis does not
    spend five programs of six on repeating the parts of one.
    """
    size = draw(st.integers(5, 30)) * LINE_BYTES
    drawn = draw(st.binary(min_size=size, max_size=size))
    return drawn[0] % 4 == 3, drawn


@dataclass
class Found:
    """A program that differs."""

    text: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.message}\n\n"
            f"# To see it again: python tests/fuzz --replay FILE, with this file:\n{self.text}"
        )


@dataclass
class Hunt:
    """Runs batches of programs, each of them drawn from the seed and the batch's number."""

    seed: int
    rows: Sequence[Row] = ROWS
    note: object = None  # is told every program before it runs
    programs: int = 0
    gradients: int = 0
    ran: Counter[str] = field(default_factory=Counter)  # lines, by row
    found: list[Found] = field(default_factory=list)

    def run(self, programs: int, seconds: float, keep_going: bool = False) -> None:
        """Run so many programs, or as long; stop at the first difference unless told to go on."""
        until = time.monotonic() + seconds
        batch = 0
        while self.programs < programs and time.monotonic() < until:
            wanted = min(BATCH, programs - self.programs)
            found = self._batch(self.seed * 1_000_003 + batch, wanted, until)
            batch += 1
            if found is None:
                continue
            self.found.append(found)
            if not keep_going:
                return
            name = read(found.text)[-1].row
            self.rows = [row for row in self.rows if row.name != name]

    def _batch(self, seed: int, count: int, until: float) -> Found | None:
        last: list[Found] = []

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            print_blob=False,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            suppress_health_check=list(hypothesis.HealthCheck),
            report_multiple_bugs=False,
        )
        @hypothesis.given(programs())
        def differ(drawn: tuple[bool, bytes]) -> None:
            if not last and time.monotonic() > until:
                return
            machine = Machine()
            try:
                self._draw(machine, *drawn, counts=not last)
            except Difference as error:
                last[:] = [Found(show(machine.lines), str(error))]
                raise

        try:
            differ()
        except Difference:
            return smaller(last[0])
        except hypothesis.errors.FlakyFailure:  # the program differs, but not always in one way
            return last[0]
        return None

    def _draw(self, machine: Machine, with_gradient: bool, drawn: bytes, counts: bool) -> None:
        self.programs += counts  # not those that only make a difference smaller
        for start in range(0, len(drawn), LINE_BYTES):
            row = self.rows[int.from_bytes(drawn[start : start + 2], "big") % len(self.rows)]
            choices = Choices(drawn[start + 2 : start + LINE_BYTES])
            added = add_line(machine, row, choices, changes=not with_gradient, note=self.note)
            self.ran[row.name] += added and counts
        _end(machine, with_gradient)
        self.gradients += with_gradient and counts


def _end(machine: Machine, with_gradient: bool) -> None:
    machine.finish()
    if harness.backend() != "metal":  # which may add in another order each time
        machine.run_blind()
    if with_gradient:
        check_gradients(machine)


def replay(lines: Sequence[Line]) -> str:
    """Return what differs in a program, "" if nothing does."""
    machine = Machine()
    try:
        for line in lines:
            machine.run(line)
        _end(machine, with_gradient=not machine.changes)
    except Difference as error:
        return str(error)
    return ""


def _differs(lines: Sequence[Line]) -> str:
    try:
        return replay(lines)
    except (Refused, KeyError):
        return ""  # no program without the line that is missing


def smaller(found: Found) -> Found:
    """Leave out lines that the difference does not need, or put plain numbers in their place."""
    found = _fewer_lines(found)
    lines = read(found.text)
    for i, line in enumerate(lines[:-1]):
        plain = _plain(lines, line)
        other = [*lines[:i], *plain, *lines[i + 1 :]]
        message = _differs(other) if plain else ""
        if message:
            lines, found = other, Found(show(other), message)
    return _fewer_lines(found)


def _fewer_lines(found: Found) -> Found:
    lines = read(found.text)
    for line in reversed(list(lines)):
        fewer = [other for other in lines if other is not line]
        message = _differs(fewer)
        if message:
            lines, found = fewer, Found(show(fewer), message)
    return found


def _plain(lines: Sequence[Line], line: Line) -> list[Line]:
    """Return a line that makes numbers like those of one that computes; none if it is no such."""
    machine = Machine()
    if not line.row or len(line.targets) != 1:
        return []
    try:
        for one in lines:
            machine.run(one)
    except Difference:
        pass
    made = machine.variables.get(line.targets[0])
    if made is None:
        return []
    text = given("small", list(made.model.shape), made.dtype, "contiguous", 0)
    return [Line(line.targets, text)]
