"""Every case against the truth: values, dtype, shape, special values, in place, large, in PIR."""

from __future__ import annotations

import functools

import numpy as np
import paddle
import pytest
from conftest import rows
from paddle_mps.selftest import harness
from paddle_mps.selftest import values as questions
from paddle_mps.selftest.cases import ALL_CASES, Case
from paddle_mps.selftest.harness import (
    check_all,
    describe,
    draw,
    evaluate,
    numpy_truth,
    tensor,
    values,
)
from paddle_mps.selftest.tolerance import EXACT, FORMATS, Values, assert_close
from paddle_mps.selftest.values import pairs

pytestmark = pytest.mark.usefixtures("on_mps")


@pytest.mark.parametrize(("case", "dtype"), rows(pairs()))
def test_value(case: Case, dtype: str) -> None:
    questions.value(case, dtype)


@pytest.mark.parametrize(
    "case", [c for c in ALL_CASES if c.numpy is not None and not c.cpu_is_wrong], ids=str
)
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
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(0.5, 9.0, 10_000).astype("float32") for _ in range(2))
    quotients = paddle.to_tensor(y, place="cpu") / paddle.to_tensor(x, place="cpu")
    return bool((quotients.numpy() == y / x).all())


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


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.is_large)))
def test_large(case: Case, dtype: str) -> None:
    questions.large(case, dtype)


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.is_pointwise)))
def test_special_values(case: Case, dtype: str) -> None:
    questions.special(case, dtype)


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.has_denormals)))
def test_denormals(case: Case, dtype: str) -> None:
    questions.denormal(case, dtype)


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.changes_in_place)))
def test_in_place(case: Case, dtype: str) -> None:
    questions.in_place(case, dtype)


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


@pytest.mark.parametrize("power", [-1, -3])
def test_matrices_are_inverted_on_the_cpu_and_the_report_says_so(power: int) -> None:
    """Not a case: a case may not fall back."""
    import paddle_mps

    numbers = np.array([[2.0, 1.0], [0.5, 1.0]])
    paddle_mps.reset_fallback_report()
    got = values(paddle.linalg.matrix_power(tensor(numbers, "float32"), power))
    np.testing.assert_allclose(got.numbers, np.linalg.matrix_power(numbers, power), rtol=1e-5)
    calls = {row.op: row.cpu_calls for row in paddle_mps.fallback_report().rows}
    assert calls["matrix_power"] == 1


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.is_program)))
def test_in_a_static_program(case: Case, dtype: str) -> None:
    questions.in_a_program(case, dtype)
