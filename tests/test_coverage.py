"""The case tables against what is registered: neither may promise what the other does not have.

Whether a case really ran its kernel is asked where it runs (test_ops.py, test_grads.py), and once
more for the whole run by the gate in conftest.py.
"""

from __future__ import annotations

import re

import kernel_gaps
import paddle
import pytest
from conftest import is_unreachable, registered_kernels
from paddle_mps.selftest.cases import ALL_CASES


def promised() -> set[tuple[str, str]]:
    """(kernel, dtype) of every row: the kernel that a case is about, and that of its gradient."""
    pairs = {(case.kernel, case.runs_in or d) for case in ALL_CASES for d in case.dtypes}
    for case in ALL_CASES:
        if case.gradient and case.gradient.kernel:
            runs_in = case.gradient.runs_in or case.runs_in
            dtypes = (runs_in,) if runs_in else case.gradient.dtypes
            pairs |= {(case.gradient.kernel, dtype) for dtype in dtypes}
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
    wide = {(k, d) for k, d in registered_kernels() if d in ("float64", "complex128")}
    assert {kernel for kernel, _ in wide} <= movers


@pytest.mark.usefixtures("mps")
def test_nothing_unreachable_is_excused_twice() -> None:
    excused = {p for p in registered_kernels() if is_unreachable(*p)}
    assert not excused & promised(), "reached after all: remove it from UNREACHABLE in conftest.py"


def test_case_names_are_unique() -> None:
    names = [case.id for case in ALL_CASES]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})


# -- against Paddle's CPU device (kernel_gaps.py) -------------------------------------------------


def backends_of_kernels() -> dict[str, dict[str, set[str]]]:
    """kernel -> backend -> dtypes, of all that is registered with Paddle."""
    found: dict[str, dict[str, set[str]]] = {}
    for kernel, keys in paddle.base.core._get_registered_phi_kernels().items():
        for key in keys:
            backend, _, dtype = key.strip("()").split(", ")
            found.setdefault(kernel, {}).setdefault(backend, set()).add(dtype)
    return found


def kernels_without_mps() -> set[str]:
    """What the CPU device has and mps has not; Paddle brings some for every custom device."""
    return {
        kernel
        for kernel, backends in backends_of_kernels().items()
        if "CPU" in backends and not {"mps", "CUSTOM"} & set(backends)
    }


@pytest.mark.usefixtures("mps")
def test_what_the_cpu_device_has_is_registered_or_a_known_gap() -> None:
    unknown = {
        kernel
        for kernel in kernels_without_mps()
        if not (kernel_gaps.is_listed(kernel) or kernel_gaps.is_out_of_scope(kernel))
    }
    assert not unknown, f"register them, or say in kernel_gaps.py why not: {sorted(unknown)}"


@pytest.mark.usefixtures("mps")
def test_no_known_gap_is_filled() -> None:
    without = kernels_without_mps()
    filled = {
        name
        for name in kernel_gaps.listed_kernels()
        if not {name, f"{name}_grad"} & without or name in {k for k, _ in registered_kernels()}
    }
    assert not filled, f"no gaps any more: take them out of kernel_gaps.py: {sorted(filled)}"


@pytest.mark.usefixtures("mps")
def test_what_other_gpus_alone_have_is_callable_and_missing() -> None:
    named = kernel_gaps.gpu_only_kernels()
    unknown = {name for name in named if not hasattr(paddle._C_ops, name)}
    assert not unknown, f"no such function in Paddle: {sorted(unknown)}"
    filled = {name for name in named if name.rstrip("_") in backends_of_kernels()}
    assert not filled, f"no gaps any more: take them out of kernel_gaps.py: {sorted(filled)}"


@pytest.mark.usefixtures("mps")
def test_every_pattern_of_what_is_out_of_scope_fits_something() -> None:
    left = {k for k in kernels_without_mps() if not kernel_gaps.is_listed(k)}
    fits_none = [
        pattern
        for pattern in kernel_gaps.OUT_OF_SCOPE
        if not any(re.fullmatch(pattern, kernel) for kernel in left)
    ]
    assert not fits_none


@pytest.mark.usefixtures("mps")
def test_dtypes_that_the_cpu_device_has_are_registered_or_known_gaps() -> None:
    absent = {
        (kernel, dtype)
        for kernel, backends in backends_of_kernels().items()
        if {"CPU", "mps"} <= set(backends)
        for dtype in backends["CPU"] - backends["mps"]
        if dtype not in ("float64", "complex64", "complex128")
    }
    listed = kernel_gaps.listed_dtypes()
    assert not absent - listed, f"not in kernel_gaps.DTYPES: {sorted(absent - listed)}"
    assert not listed - absent, f"no gaps any more: {sorted(listed - absent)}"
