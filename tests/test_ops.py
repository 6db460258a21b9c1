"""Every case against the truth: values, dtype, shape, special values, in place, large, in PIR."""

from __future__ import annotations

import functools
import itertools

import harness
import numpy as np
import paddle
import pytest
from cases import ALL_CASES, Case
from cases.domains import denormals, special_values
from harness import (
    check_all,
    draw,
    evaluate,
    magnitudes,
    numpy_truth,
    on,
    tensor,
    terms,
    truth,
    values,
)
from tolerance import EXACT, FORMATS, FUNCTION, Values, assert_close

pytestmark = pytest.mark.usefixtures("on_mps")


def pairs(keep=lambda case, dtype: True):
    return [pytest.param(c, d, id=f"{c.id}-{d}") for c in ALL_CASES for d in c.dtypes if keep(c, d)]


def describe(case: Case, dtype: str, shapes, **more) -> str:
    extra = "".join(f", {k} {v}" for k, v in more.items())
    return f"[{case.id}] {dtype}, shapes {[list(s) for s in shapes]}{extra}"


@pytest.mark.parametrize(("case", "dtype"), pairs())
def test_value(case: Case, dtype: str) -> None:
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
    ran.assert_ran([case.kernel, *case.also], dtype, f"[{case.id}]")


@pytest.mark.parametrize("case", [c for c in ALL_CASES if c.numpy is not None], ids=str)
def test_the_truth_is_also_numpys(case: Case) -> None:
    """Paddle's CPU device in float64, which every test believes, against NumPy."""
    for dtype in dict.fromkeys(
        ("float64" if d in FORMATS else d) for d in case.dtypes if d not in harness.MOVED_ONLY
    ):
        for shapes in case.shapes:
            numbers = draw(case, shapes, dtype)
            expected = harness.cpu_truth(case, dtype, numbers)
            for ours, theirs in zip(expected, numpy_truth(case, numbers, expected)):
                what = describe(case, dtype, shapes, truth="NumPy")
                assert ours.shape == theirs.shape, what
                close = 1e-6 if ours.dtype == "float32" else 1e-12  # of integers: float32
                np.testing.assert_allclose(ours.numbers, theirs.numbers, close, 1e-12, err_msg=what)


@functools.cache
def cpu_rounds_quotients() -> bool:
    """Whether Paddle's CPU device divides exactly; with AVX-512 it multiplies by a reciprocal."""
    x = np.random.default_rng(0).uniform(0.5, 9.0, 10_000).astype("float32")
    quotients = paddle.to_tensor(1.5, place="cpu") / paddle.to_tensor(x, place="cpu")
    return bool((quotients.numpy() == np.float32(1.5) / x).all())


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in ALL_CASES
        if c.rule is EXACT and c.like_cpu and not c.creates and "float32" in c.dtypes
    ],
    ids=str,
)
def test_exact_ops_give_the_bits_of_paddles_cpu_device(case: Case) -> None:
    if case.kernel == "divide" and not cpu_rounds_quotients():
        pytest.skip("Paddle's CPU device rounds quotients wrongly on this processor")
    for shapes in case.shapes:
        numbers = draw(case, shapes, "float32", seed=1)
        what = describe(case, "float32", shapes, against="CPU")
        check_all(
            evaluate(case, "float32", numbers),
            evaluate(case, "float32", numbers, "cpu"),
            case,
            what,
            None,
            0,
        )


@pytest.mark.parametrize(
    ("case", "dtype"), pairs(lambda c, d: c.large is not None and d == "float32")
)
def test_large(case: Case, dtype: str) -> None:
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


@pytest.mark.parametrize(("case", "dtype"), pairs(lambda c, d: c.pointwise))
def test_special_values(case: Case, dtype: str) -> None:
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


@pytest.mark.parametrize(("case", "dtype"), pairs(lambda c, d: c.pointwise and d in FORMATS))
def test_denormals(case: Case, dtype: str, backend: str) -> None:
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
        flushed_denormals=backend == "metal",
    )


def changes_in_place(case: Case, dtype: str) -> bool:
    """Whether the result can take the place of an input: some functions of integers are floats."""
    fits = dtype in FORMATS or (case.rule is not FUNCTION and dtype != "bool")
    return case.in_place is not None and fits


@pytest.mark.parametrize(("case", "dtype"), pairs(changes_in_place))
def test_in_place(case: Case, dtype: str) -> None:
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
        assert_close(values(tensors[0]), expected, EXACT, what)
        for i, (other, before) in enumerate(zip(tensors[1:], numbers[1:])):
            assert_close(
                values(other), Values(dtype, before), EXACT, f"{what}, input {i + 1} afterwards"
            )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int64"])
def test_matmul_with_both_batches_broadcast_and_different_ranks(dtype: str) -> None:
    """Not a case: Paddle 3.3.1's CPU device cannot, and for integers writes beyond its memory."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-9, 10, shape).astype(np.float64) for shape in ((2, 1, 5, 7), (3, 7, 4)))
    product = np.matmul(x, y)  # small integers: no format rounds them but bfloat16
    if dtype not in FORMATS:
        product = product.astype(dtype)
    got = values(paddle.matmul(tensor(x, dtype), tensor(y, dtype)))
    assert_close(got, Values(dtype, product), EXACT, f"[matmul] {dtype}")


def run_program(case: Case, numbers: list[np.ndarray]) -> list[Values]:
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
EAGER_ONLY = ("strided_copy", "fill", "contiguous", "cast", "assign_raw", "div_scale")
PROGRAMS = [
    c
    for c in ALL_CASES
    if "float32" in c.dtypes and c.layouts and not c.creates and c.kernel not in EAGER_ONLY
]


@pytest.mark.parametrize("case", PROGRAMS, ids=str)
def test_in_a_static_program(case: Case) -> None:
    """PIR calls kernels another way than eager mode, and copies where eager mode makes views."""
    shapes = case.shapes[-1]
    numbers = draw(case, shapes, "float32")
    ran = harness.Watch()
    with ran:
        got = run_program(case, numbers)
    scales = magnitudes(case, "float32", numbers)
    what = describe(case, "float32", shapes, run_in="a static program")
    check_all(got, truth(case, "float32", numbers), case, what, scales, terms(case, shapes))
    kernel = "assign_raw" if case.kernel == "assign" else case.kernel
    ran.assert_ran([kernel], "float32", what)
