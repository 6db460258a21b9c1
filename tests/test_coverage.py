"""The case tables against what is registered: neither may promise what the other does not have.

Whether a case really ran its kernel is asked where it runs (test_ops.py, test_grads.py), and once
more for the whole run by the gate in conftest.py.
"""

from __future__ import annotations

import pytest
from conftest import is_unreachable, registered_kernels
from paddle_mps.selftest.cases import ALL_CASES


def promised() -> set[tuple[str, str]]:
    """(kernel, dtype) of every row: the kernel that a case is about, and that of its gradient."""
    pairs = {(case.kernel, dtype) for case in ALL_CASES for dtype in case.dtypes}
    for case in ALL_CASES:
        if case.gradient and case.gradient.kernel:
            pairs |= {(case.gradient.kernel, dtype) for dtype in case.gradient.dtypes}
    return pairs


@pytest.mark.usefixtures("mps")
def test_every_registered_kernel_has_a_case() -> None:
    missing = {p for p in registered_kernels() - promised() if not is_unreachable(*p)}
    assert not missing, f"add cases to paddle_mps/selftest/cases for: {sorted(missing)}"


@pytest.mark.usefixtures("mps")
def test_every_case_has_a_registered_kernel() -> None:
    missing = promised() - registered_kernels()
    assert not missing, f"cases of kernels that are not registered for mps: {sorted(missing)}"


@pytest.mark.usefixtures("mps")
def test_nothing_is_registered_for_types_that_metal_does_not_have() -> None:
    """Kernels that only move elements take them; whatever computes must leave them to the CPU."""
    movers = {"assign", "assign_raw", "contiguous", "empty", "fill", "strided_copy"}
    wide = {(k, d) for k, d in registered_kernels() if d in ("float64", "complex64", "complex128")}
    assert {kernel for kernel, _ in wide} <= movers


@pytest.mark.usefixtures("mps")
def test_nothing_unreachable_is_excused_twice() -> None:
    excused = {p for p in registered_kernels() if is_unreachable(*p)}
    assert not excused & promised(), "reached after all: remove it from UNREACHABLE in conftest.py"


def test_case_names_are_unique() -> None:
    names = [case.id for case in ALL_CASES]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})
