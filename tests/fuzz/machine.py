"""Runs a program line by line, on mps and in a model, and compares.

The model of memory is NumPy: a view is a NumPy view, so that what a change in place reaches is
known. The model of arithmetic is Paddle's CPU device in float64 (harness.truth). After each line
the model takes over what mps gave, so that every line is judged alone, by its own rule, on the
numbers that mps really had; a rounding of the first line excuses nothing in the last one.
"""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass, replace

import numpy as np
import paddle
from documented import is_fresh, rule_of, tells_zeros_apart
from paddle_mps.selftest import harness
from paddle_mps.selftest.cases.case import Case
from paddle_mps.selftest.cases.domains import DOMAINS
from program import Line, function, given_arguments
from rows import CHANGES, VIEWS, Row
from table import BY_NAME

WILD = 1e3  # cases that were not tried with special values are not given larger numbers


class Difference(AssertionError):
    """mps and the model disagree."""


class Refused(Exception):
    """Paddle's CPU device does not take this line, so nobody knows what it should give."""


@dataclass
class Variable:
    """A tensor on mps and its model."""

    tensor: paddle.Tensor
    model: np.ndarray
    dtype: str
    family: int  # variables that may share memory
    plain: bool = True  # no view of anything
    _range: tuple[float, float] | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest number; NaN if there is one."""
        if self._range is None:
            empty = self.model.size == 0
            self._range = (0, 0) if empty else (self.model.min(), self.model.max())
        return self._range

    def forget(self) -> None:
        """Its numbers have changed."""
        self._range = None


@dataclass
class Step:
    """What a line read and made, in numbers."""

    line: Line
    case: Case
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


@functools.lru_cache(maxsize=20_000)
def case_of(row: str, template: str, count: int) -> Case:
    """Return the row's case, calling this line."""
    return replace(BY_NAME[row].case, call=function(template, count))


@functools.lru_cache(maxsize=2_000)
def draw(domain: str, shape: tuple, dtype: str, layout: str, seed: int) -> np.ndarray:
    """Return the numbers of a line that makes new ones."""
    rng = np.random.default_rng(zlib.crc32(f"{domain} {shape} {dtype} {seed}".encode()))
    return harness.fitted(np.asarray(DOMAINS[domain](rng, shape, dtype)), layout)


def lies_in(row: Row, i: int, variable: Variable) -> bool:
    """Whether a value may be operand i of the row."""
    name = row.domain(i)
    if is_fresh(row.name):
        return False
    if name == "any":
        if row.case.pointwise or not row.case.rule.needs_magnitude and row.case.name == "":
            return True
        return variable.dtype == "bool" or _within(variable, -WILD, WILD)
    if variable.dtype == "bool":
        return name in ("small", "few", "bytes", "unit")
    bounds = getattr(DOMAINS[name], "bounds", None)
    if bounds is None:
        return variable.model.size == 0
    low, high = bounds["floats" if variable.model.dtype == np.float64 else "integers"]
    return _within(variable, low, high)


def _within(variable: Variable, low: float, high: float) -> bool:
    least, greatest = variable.range
    return bool(least >= low and greatest <= high)


def short(numbers: np.ndarray) -> str:
    """Some of the numbers, for messages."""
    return " ".join(np.array2string(numbers, threshold=24, edgeitems=2).split())


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equality that tells signed zeros apart, and takes one NaN for another."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    equal = a == b
    if a.dtype == np.float64:
        equal = equal & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)
    return bool(np.all(equal))


class Machine:
    """The variables of a program, and its lines so far."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.variables: dict[str, Variable] = {}
        self.frozen: set[int] = set()  # families of which the model does not know what is shared
        self.steps: list[Step] = []
        self.changes = False  # whether a line changed something in place

    def may_change(self, name: str) -> bool:
        """Whether a line may change the variable in place."""
        variable = self.variables[name]
        return variable.model.flags.writeable and variable.family not in self.frozen

    def run(self, line: Line) -> None:
        """Run and judge a line; a Refused one leaves everything as it was."""
        if not line.row:
            self._give(line)
            self.lines.append(line)
            return
        row = BY_NAME[line.row]
        operands = [self.variables[name] for name in line.operands]
        truth = None if row.kind == VIEWS else self._truth(line, row, operands)
        if not line.targets and row.kind != CHANGES:
            first = len(self.variables)
            count = 1 if row.kind == VIEWS else len(truth)
            line = replace(line, targets=tuple(f"v{first + i}" for i in range(count)))
        self.lines.append(line)  # before it is judged: it belongs to what is printed then
        if row.kind == VIEWS:
            self._view(line, row, *operands)
        elif row.kind == CHANGES:
            self._change(line, operands, truth)
        else:
            self._compute(line, operands, truth)

    def _truth(self, line: Line, row: Row, operands: list[Variable]) -> list[harness.Values]:
        case = case_of(line.row, line.template, len(operands))
        call = _changed(case) if row.kind == CHANGES else case
        try:
            with np.errstate(all="ignore"):
                truth = harness.truth(call, operands[0].dtype, [o.model.copy() for o in operands])
        except Exception as error:
            raise Refused(_head(error)) from error
        if row.kind == CHANGES and (
            truth[0].shape != operands[0].model.shape or truth[0].dtype != operands[0].dtype
        ):
            raise Refused("the result does not fit into its first operand")
        return truth

    def _give(self, line: Line) -> None:
        domain, shape, dtype, layout, seed = given_arguments(line.template)
        model = draw(domain, tuple(shape), dtype, layout, seed).copy()
        tensor = harness.laid_out(model, dtype, "mps", layout)
        self.variables[line.targets[0]] = Variable(tensor, model, dtype, len(self.variables))
        self.variables[line.targets[0]].plain = layout == "contiguous"
        if layout == "repeated":
            self.frozen.add(self.variables[line.targets[0]].family)

    def _what(self, line: Line, operands: list[Variable]) -> str:
        shapes = [list(o.model.shape) for o in operands]
        return f"[{line.row}] {operands[0].dtype}, shapes {shapes}: {line}"

    def _call(self, line: Line, operands: list[Variable]) -> list[paddle.Tensor]:
        try:
            return harness.as_list(
                function(line.template, len(operands))(*(o.tensor for o in operands))
            )
        except Exception as error:
            what = self._what(line, operands)
            raise Difference(f"{what}: mps refuses what the CPU does: {_head(error)}") from error

    def _judge(self, line: Line, operands: list[Variable], results, case: Case, truth) -> list:
        """Compare results with the truth; return their numbers."""
        what = self._what(line, operands)
        numbers = [o.model for o in operands]
        dtype = operands[0].dtype
        case = replace(case, rule=rule_of(case))
        got = [harness.values(r) for r in results]
        with np.errstate(all="ignore"):
            scales = harness.magnitudes(case, dtype, numbers)
            count = harness.terms(case, [n.shape for n in numbers])
            try:
                signs = {} if tells_zeros_apart(case) else {"signed_zeros": False}
                harness.check_all(got, truth, case, what, scales, count, **signs)
            except AssertionError as error:
                raise Difference(str(error)) from None
        return got

    def _compute(self, line: Line, operands: list[Variable], truth: list) -> None:
        case = case_of(line.row, line.template, len(operands))
        numbers = [o.model.copy() for o in operands]
        results = self._call(line, operands)
        got = self._judge(line, operands, results, case, truth)
        for name, result, value in zip(line.targets, results, got):
            family = len(self.variables)
            made = Variable(result, np.array(value.numbers), value.dtype, family, False)
            for operand in operands:
                if result._is_shared_buffer_with(operand.tensor):
                    made.family = operand.family
                    self.frozen.add(operand.family)
            made.plain = made.family == family and result.is_contiguous()
            if not result.place.is_custom_place():  # is_empty's: to change it would move it
                self.frozen.add(made.family)
            self.variables[name] = made
        self.steps.append(Step(line, case, numbers, [v.numbers for v in got]))

    def _view(self, line: Line, row: Row, operand: Variable) -> None:
        (result,) = self._call(line, [operand])
        model = np.asarray(function(row.numpy(line.template), 1)(operand.model))
        got = harness.values(result)
        if got.dtype != operand.dtype or not same_bits(got.numbers, model):
            what = self._what(line, [operand])
            raise Difference(f"{what}: expected {short(model)}, got {short(got.numbers)}")
        family = operand.family
        shared = result._is_shared_buffer_with(operand.tensor)
        if not shared:
            model, family = model.copy(), len(self.variables)
        elif not np.may_share_memory(model, operand.model):
            self.frozen.add(family)
        self.variables[line.targets[0]] = Variable(result, model, operand.dtype, family, False)
        case = case_of(line.row, line.template, 1)
        self.steps.append(Step(line, case, [operand.model.copy()], [model.copy()]))

    def _change(self, line: Line, operands: list[Variable], truth: list) -> None:
        case = case_of(line.row, line.template, len(operands))
        address = operands[0].tensor.data_ptr()
        self._call(line, operands)
        if operands[0].tensor.data_ptr() != address and operands[0].model.size:
            raise Difference(f"{self._what(line, operands)}: the result moved to other memory")
        got = self._judge(line, operands, [operands[0].tensor], case, truth)
        operands[0].model[...] = got[0].numbers
        for variable in self.variables.values():
            variable.forget()
        self.changes = True

    def finish(self) -> None:
        """Compare every variable once more: changes in place reach what they must, and no more."""
        self._compare(self.variables, "at the end")

    def _compare(
        self, variables: dict[str, Variable] | dict[str, paddle.Tensor], when: str
    ) -> None:
        for name, mine in self.variables.items():
            if mine.family in self.frozen and when == "at the end" and not mine.plain:
                continue
            theirs = variables[name]
            got = harness.values(theirs.tensor if isinstance(theirs, Variable) else theirs)
            if not same_bits(got.numbers, mine.model):
                made = next(line for line in self.lines if name in line.targets)
                what = f"{name}, made by `{made}`, is not what it was {when}"
                raise Difference(f"{what}: expected {short(mine.model)}, got {short(got.numbers)}")

    def run_blind(self) -> None:
        """Run the program again without looking between its lines: the same bits."""
        tensors: dict[str, paddle.Tensor] = {}
        for line in self.lines:
            if line.row:
                operands = [tensors[name] for name in line.operands]
                results = harness.as_list(function(line.template, len(operands))(*operands))
                if BY_NAME[line.row].kind == CHANGES:
                    continue
                tensors.update(zip(line.targets, results))
            else:
                domain, shape, dtype, layout, seed = given_arguments(line.template)
                numbers = draw(domain, tuple(shape), dtype, layout, seed)
                tensors[line.targets[0]] = harness.laid_out(numbers, dtype, "mps", layout)
        self._compare(tensors, "when nobody looked between the lines")


def _changed(case: Case) -> Case:
    """Return the case of what the first operand holds afterwards."""

    def call(*operands: paddle.Tensor) -> paddle.Tensor:
        case.call(*operands)
        return operands[0]

    return replace(case, call=call)


def _head(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "Error:" in line), lines[0] if lines else "")
    return f"{type(error).__name__}: {told.strip()[:300]}"
