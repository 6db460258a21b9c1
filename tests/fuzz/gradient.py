"""Gradients of a whole program on mps, judged line by line like its values.

Paddle keeps the gradient of every variable (retain_grads). That of a variable is the sum of what
the lines that read it give back, and what a line gives back is known from the gradients of its
results: each sum is compared with the same sum of the CPU device's in float64.
"""

from __future__ import annotations

import numpy as np
import paddle
from documented import leaves_out_gradient
from machine import Difference, Machine, Refused, Step, short
from paddle_mps.selftest import gradients as questions
from paddle_mps.selftest import harness
from paddle_mps.selftest.cases import second
from paddle_mps.selftest.tolerance import FORMATS, allowed_error, rounded, ulp
from program import function


def _has_gradient(step: Step, machine: Machine) -> bool:
    gradient = step.case.gradient
    if gradient is None or gradient.inputs is not None:
        return False
    if leaves_out_gradient(step.line.row):
        return False
    if step.case in second.CASES:  # Paddle trips there over retained gradients of several results
        return False
    dtype = machine.variables[step.line.operands[0]].dtype
    return dtype in gradient.dtypes and dtype in FORMATS


def _seed(name: str, shape: tuple) -> np.ndarray:
    rng = np.random.default_rng(int(name[1:]))
    return rounded(rng.uniform(0.25, 2.0, shape) * rng.choice((-1, 1), shape), "bfloat16")


def _backward(machine: Machine) -> dict[str, paddle.Tensor]:
    """Run the program with gradients; return its variables."""
    steps = {step.line: step for step in machine.steps}
    tensors: dict[str, paddle.Tensor] = {}
    for line in machine.lines:
        if not line.row:
            name = line.targets[0]
            tensors[name] = machine.variables[name].tensor.detach().clone()
            tensors[name].stop_gradient = machine.variables[name].dtype not in FORMATS
            continue
        operands = [tensors[name] for name in line.operands]
        if not _has_gradient(steps[line], machine):
            operands = [o.detach() for o in operands]
        results = harness.as_list(function(line.template, len(operands))(*operands))
        tensors.update(zip(line.targets, results))
        for result in results:
            if not result.stop_gradient:
                result.retain_grads()
    return tensors


def _contributions(step: Step, machine: Machine, grads: dict) -> list[tuple] | None:
    """What a line gives back to each operand, and how far off it may be; None if nothing."""
    if not _has_gradient(step, machine):
        return None
    names = step.line.targets
    if all(grads.get(name) is None for name in names):
        return None
    incoming = [
        np.zeros(out.shape) if grads.get(name) is None else grads[name]
        for name, out in zip(names, step.outputs)
    ]
    dtype = machine.variables[step.line.operands[0]].dtype
    case = step.case
    try:
        truth = questions.true_gradients(case, dtype, step.inputs, incoming)
        scales = questions.gradient_scales(case, step.inputs, incoming, truth)
    except Exception as error:  # the CPU device's own, of many kinds
        raise Refused from error
    rule = case.gradient.rule
    count = rule.terms(*(n.shape for n in step.inputs)) if rule.terms else 0
    most = sum(np.max(np.abs(n), initial=0.0) for n in incoming) if len(incoming) > 1 else 0.0
    found = []
    for t, scale in zip(truth, scales):
        with np.errstate(all="ignore"):
            error = allowed_error(rule, dtype, t.numbers, np.abs(scale), count)
            # Where terms overflow the dtype and cancel, nothing can be asked.
            error = np.where(np.abs(scale) > FORMATS[dtype].largest, np.inf, error)
            # What several results give back is added up, each sum rounded.
            sums = len(incoming) * ulp(np.max(np.abs(scale), initial=0.0) + most, dtype)
            found.append((t.numbers, error + sums))
    return found


def check_gradients(machine: Machine) -> None:
    """Compare the gradients of all variables of a program."""
    if machine.changes:
        return
    with harness.on("mps"):
        tensors = _backward(machine)
        used = {n for s in machine.steps if _has_gradient(s, machine) for n in s.line.operands}
        ends = [
            n
            for n, t in tensors.items()
            if n not in used and not t.stop_gradient and machine.variables[n].dtype in FORMATS
        ]
        if not ends:
            return
        seeds = {n: _seed(n, machine.variables[n].model.shape) for n in ends}
        given = [harness.tensor(seeds[n], machine.variables[n].dtype) for n in ends]
        try:
            paddle.autograd.backward([tensors[n] for n in ends], given)
        except Exception as error:
            raise Difference(f"[gradient] mps refuses: {str(error)[-300:]}") from error
    grads = {
        n: harness.values(t.grad).numbers
        for n, t in tensors.items()
        if not t.stop_gradient and t.grad is not None
    }
    expected: dict[str, list] = {n: [(seed, np.zeros(seed.shape))] for n, seed in seeds.items()}
    unknown = set()
    for step in machine.steps:
        for name in step.line.targets:  # Paddle gives some tensors back as they are: one gradient
            same = [n for n in step.line.operands if tensors[n].name == tensors[name].name]
            unknown.update([name, *same] if same else [])
        try:
            back = _contributions(step, machine, grads)
        except Refused:
            unknown.update(step.line.operands)
            continue
        for name, one in zip(step.line.operands, back or ()):
            expected.setdefault(name, []).append(one)
    for name, parts in expected.items():
        if name in grads and name not in unknown and machine.variables[name].dtype in FORMATS:
            _judge(machine, name, grads[name], parts)


def _judge(machine: Machine, name: str, got: np.ndarray, parts: list) -> None:
    dtype = machine.variables[name].dtype
    with np.errstate(all="ignore"):
        truth = sum(value for value, _ in parts)
        size = sum(np.abs(value) for value, _ in parts)
        allowed = sum(error for _, error in parts) + (len(parts) - 1) * ulp(size, dtype)
        good = (np.abs(got - truth) <= allowed) | (got == truth) | ~np.isfinite(truth)
        good |= ~np.isfinite(size) | (size + allowed > FORMATS[dtype].largest)
    if got.shape == truth.shape and good.all():
        return
    made = next(str(line) for line in machine.lines if name in line.targets)
    readers = "; ".join(str(s.line) for s in machine.steps if name in s.line.operands)
    raise Difference(
        f"[gradient] of {name} ({made}), which is read by: {readers}: expected {short(truth)}, "
        f"got {short(got)}"
    )
