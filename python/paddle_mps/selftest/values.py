"""What is asked of the values of every case: shapes, sizes, special values, in place, programs."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import paddle

from . import harness
from .cases import ALL_CASES, Case
from .cases.domains import denormals, special_values
from .harness import check_all, describe, draw, evaluate, magnitudes, on, terms, truth
from .tolerance import EXACT, FORMATS, FUNCTION, Values, assert_close

Pair = tuple[Case, str]


def pairs(keep: Callable[[Case, str], bool] = lambda case, dtype: True) -> list[Pair]:
    """Every case in every of its dtypes that `keep` wants."""
    return [(c, d) for c in ALL_CASES for d in c.dtypes if keep(c, d)]


def value(case: Case, dtype: str) -> None:
    """The truth, on every shape, by the device's own kernels."""
    ran = harness.Watch()
    with ran:
        for shapes in case.shapes:
            numbers = draw(case, shapes, dtype)
            got = evaluate(case, dtype, numbers)
            scales = magnitudes(case, dtype, numbers)
            check_all(
                got,
                truth(case, dtype, numbers),
                case,
                describe(case, dtype, shapes),
                scales,
                terms(case, shapes),
            )
    ran.assert_ran([case.kernel, *case.also], case.runs_in or dtype, f"[{case.id}]")


def is_large(case: Case, dtype: str) -> bool:
    return case.large is not None and dtype == "float32"


def large(case: Case, dtype: str) -> None:
    """Some millions of elements."""
    assert case.large is not None
    numbers = draw(case, case.large, dtype)
    got = evaluate(case, dtype, numbers)
    scales = magnitudes(case, dtype, numbers)
    what = describe(case, dtype, case.large)
    check_all(got, truth(case, dtype, numbers), case, what, scales, terms(case, case.large))


def _special_inputs(case: Case, dtype: str) -> list[np.ndarray]:
    """Every special value, or every pair of them."""
    special = special_values(dtype)
    rank = len(case.shapes[0])
    grid = np.array(list(itertools.product(special, repeat=rank)), special.dtype).reshape(-1, rank)
    return [np.ascontiguousarray(grid[:, i]) for i in range(rank)]


def is_pointwise(case: Case, dtype: str) -> bool:
    return case.pointwise


def special(case: Case, dtype: str) -> None:
    """NaN, infinities, signed zeros, limits."""
    numbers = _special_inputs(case, dtype)
    got = evaluate(case, dtype, numbers)
    with np.errstate(all="ignore"):
        check_all(
            got,
            truth(case, dtype, numbers),
            case,
            f"[{case.id}] {dtype}, special values {[n.tolist() for n in numbers]}",
            [np.full(numbers[0].shape, 0.0)] if case.rule.needs_magnitude else None,
            0,
            signed_zeros=True,
        )


def has_denormals(case: Case, dtype: str) -> bool:
    return case.pointwise and dtype in FORMATS


def denormal(case: Case, dtype: str) -> None:
    """The host keeps them. Metal may take them for zero (MSL Specification, section 8.1)."""
    small = denormals(dtype)
    numbers = [small] if len(case.shapes[0]) == 1 else [small, np.full_like(small, 2.0)]
    got = evaluate(case, dtype, numbers)
    check_all(
        got,
        truth(case, dtype, numbers),
        case,
        f"[{case.id}] {dtype}, denormals {small.tolist()}",
        None,
        0,
        flushed_denormals=harness.backend() == "metal",
    )


def changes_in_place(case: Case, dtype: str) -> bool:
    """Whether the result can take the place of an input: some functions of integers are floats."""
    fits = dtype in FORMATS or (case.rule is not FUNCTION and dtype != "bool")
    return case.in_place is not None and fits


def in_place(case: Case, dtype: str) -> None:
    """The bits of the call out of place, in the first input's memory; the others stay."""
    for shapes in case.shapes:
        numbers = draw(case, shapes, dtype)
        expected = evaluate(case, dtype, numbers)[0]
        if expected.shape != shapes[0]:
            continue  # the input was broadcast
        with on("mps"):
            tensors = [harness.tensor(n, dtype) for n in numbers]
            address = tensors[0].data_ptr()
            case.in_place(*tensors)
        what = describe(case, dtype, shapes, layout="in place")
        assert tensors[0].data_ptr() == address, f"{what}: the result moved to other memory"
        assert_close(harness.values(tensors[0]), expected, EXACT, what)
        for i, (other, before) in enumerate(zip(tensors[1:], numbers[1:])):
            which = f"{what}, input {i + 1} afterwards"
            assert_close(harness.values(other), Values(dtype, before), EXACT, which)


def _run_program(case: Case, numbers: list[np.ndarray]) -> list[Values]:
    """The results of a case in a static program, in float32."""
    paddle.enable_static()
    try:
        program = paddle.static.Program()
        with paddle.static.program_guard(program):
            inputs = [
                paddle.static.data(f"x{i}", list(n.shape), "float32") for i, n in enumerate(numbers)
            ]
            results = harness.as_list(case.call(*inputs))
        feed = {f"x{i}": n.astype("float32") for i, n in enumerate(numbers)}
        executor = paddle.static.Executor(paddle.CustomPlace("mps", 0))
        fetched = executor.run(program, feed=feed, fetch_list=results)
    finally:
        paddle.disable_static()
    return [
        Values(str(f.dtype), f.astype(np.float64) if str(f.dtype) in FORMATS else f)
        for f in fetched
    ]


# Not here: in-place changes of views, which are eager mode's own; bfloat16, which cannot be
# fetched; what a case runs as a program anyway; and a division by a number, which PIR makes a
# multiplication.
_EAGER_ONLY = ("strided_copy", "fill", "contiguous", "cast", "assign_raw", "div_scale")


def is_program(case: Case, dtype: str) -> bool:
    runs = case.layouts and not case.creates and case.kernel not in _EAGER_ONLY
    return runs and dtype == "float32"


def in_a_program(case: Case, dtype: str) -> None:
    """PIR calls kernels another way than eager mode, and copies where eager mode makes views."""
    shapes = case.shapes[-1]
    numbers = draw(case, shapes, dtype)
    ran = harness.Watch()
    with ran:
        got = _run_program(case, numbers)
    scales = magnitudes(case, dtype, numbers)
    what = describe(case, dtype, shapes, run_in="a static program")
    check_all(got, truth(case, dtype, numbers), case, what, scales, terms(case, shapes))
    kernel = "assign_raw" if case.kernel == "assign" else case.kernel
    ran.assert_ran([kernel], case.runs_in or dtype, what)
