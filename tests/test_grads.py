"""Every gradient against Paddle's CPU device in float64, and that against finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
import pytest
from conftest import rows
from paddle_mps.selftest import gradients as questions
from paddle_mps.selftest import harness
from paddle_mps.selftest.cases import ALL_CASES, Case
from paddle_mps.selftest.gradients import gradients, seeds
from paddle_mps.selftest.harness import draw
from paddle_mps.selftest.tolerance import Values, assert_close, rounded

pytestmark = pytest.mark.usefixtures("on_mps")


@pytest.mark.parametrize(("case", "dtype"), rows(questions.pairs()))
def test_gradient(case: Case, dtype: str) -> None:
    questions.gradient(case, dtype)


@pytest.mark.parametrize("shape", [[], [1]])
def test_gradient_of_the_value_of_masked_fill(shape: list[int]) -> None:
    """The sum of what was filled. Not a case: Paddle 3.3.1's CPU device says 0."""
    x = paddle.to_tensor([-1.0, 2.0, -3.0, 4.0])
    value = paddle.to_tensor(9.0).reshape(shape).detach()
    x.stop_gradient = value.stop_gradient = False
    paddle.masked_fill(x, x < 0, value).backward(paddle.to_tensor([1.0, 2.0, 4.0, 8.0]))
    assert value.grad.shape == shape
    assert value.grad.item() == 5.0
    np.testing.assert_array_equal(x.grad.numpy(), [0.0, 2.0, 0.0, 8.0])


@pytest.mark.parametrize(("case", "dtype"), rows(questions.ALONE))
def test_gradient_of_one_input_alone(case: Case, dtype: str) -> None:
    questions.one_input_alone(case, dtype)


@pytest.mark.parametrize(("case", "dtype"), rows(questions.LAID_OUT))
def test_incoming_gradient_in_any_layout(case: Case, dtype: str) -> None:
    questions.in_any_layout(case, dtype)


SPECIAL = {
    "abs": [0.0, -0.0, np.nan],  # at infinity Paddle's CPU device has NaN
    "exp": [0.0, np.inf, -np.inf, np.nan, 88.0, -104.0],
    "log": [0.0, 1.0, np.inf, -1.0, np.nan],
    "sqrt": [0.0, np.inf, 4.0, -1.0, np.nan],
    "relu": [0.0, -0.0, np.inf, -np.inf],
    "sigmoid": [0.0, np.inf, -np.inf, np.nan, 100.0, -80.0],
    "tanh": [0.0, np.inf, -np.inf, np.nan, 20.0],
    "silu": [0.0, np.nan, 100.0, -80.0],
    "square": [0.0, np.inf, -np.inf, np.nan],
    "reciprocal": [0.0, -0.0, np.inf, -np.inf, np.nan],
}


@pytest.mark.parametrize("op", SPECIAL)
def test_gradient_where_it_is_infinite_or_has_a_kink(op: str) -> None:
    """What Paddle's CPU device in float64 gives, rounded: zeros at kinks, NaN where it is NaN."""
    case = next(c for c in ALL_CASES if c.id == op)
    assert case.gradient is not None
    numbers = [rounded(np.array(SPECIAL[op]), "float32")]
    incoming = [np.full(numbers[0].shape, 2.0)]
    got = gradients(case, "float32", numbers, incoming)[0]
    expected = gradients(case, "float64", numbers, incoming, "cpu")[0]
    what = f"[{op}] float32, gradient at {SPECIAL[op]}"
    scale = np.where(np.isfinite(expected.numbers), np.abs(expected.numbers), 0.0)
    truth = Values("float32", expected.numbers)
    assert_close(got, truth, case.gradient.rule, what, magnitude=scale, signed_zeros=False)


@pytest.mark.parametrize("norm", ["p_norm", "p_norm-2_last", "frobenius_norm"])
def test_gradient_of_the_norm_of_zeros_is_zero(norm: str) -> None:
    case = next(c for c in ALL_CASES if c.id == norm)
    numbers = [np.array([[[0.0, 0.0], [0.0, 0.0]]])]
    incoming = [np.ones(harness.evaluate(case, "float64", numbers, "cpu")[0].shape)]
    for device, dtype in (("mps", "float32"), ("cpu", "float64")):
        (got,) = gradients(case, dtype, numbers, incoming, device)
        np.testing.assert_array_equal(got.numbers, numbers[0], err_msg=device)


@pytest.mark.parametrize(
    "case", [c for c in ALL_CASES if c.gradient and not c.name and not c.gradient.inputs], ids=str
)
def test_paddles_cpu_gradient_agrees_with_finite_differences(case: Case) -> None:
    """A second opinion on the truth: central differences along one random direction per input."""
    shapes = next(
        (s for s in case.shapes if all(0 < np.prod(one) <= 400 for one in s) and any(s)),
        case.shapes[0],
    )
    numbers = [n.astype(np.float64) for n in draw(case, shapes, "float32")]
    if case.kernel in ("abs", "relu"):
        numbers = [np.where(np.abs(n) < 0.01, 0.5, n) for n in numbers]  # away from the kink
    incoming = seeds(case, "float32", shapes)
    analytic = gradients(case, "float64", numbers, incoming, "cpu")
    rng = np.random.default_rng(0)

    def loss(at: Sequence[np.ndarray]) -> float:
        results = harness.evaluate(case, "float64", at, "cpu")
        return sum(float((r.numbers * g).sum()) for r, g in zip(results, incoming))

    for i, gradient in enumerate(analytic):
        direction = rng.standard_normal(numbers[i].shape)
        step = 1e-5
        ahead = loss([n + step * direction if j == i else n for j, n in enumerate(numbers)])
        behind = loss([n - step * direction if j == i else n for j, n in enumerate(numbers)])
        along = float((gradient.numbers * direction).sum())
        assert (ahead - behind) / (2 * step) == pytest.approx(along, rel=1e-5, abs=1e-6), (
            f"{case.id}, input {i}"
        )


@pytest.mark.parametrize("name", ["rnn-lstm_lengths", "rnn-gru_lengths"])
def test_gradient_of_sequences_of_different_length(name: str) -> None:
    """Against finite differences of the result in float64: Paddle's CPU device has another one
    where a sequence is shorter than the longest and runs backwards."""
    case = next(c for c in ALL_CASES if c.id == name)
    numbers = [n.astype(np.float64) for n in draw(case, case.shapes[0], "float32")]
    incoming = seeds(case, "float32", case.shapes[0])
    with harness.on("mps"):
        inputs = [harness.tensor(n, "float32") for n in numbers]
        for tensor in inputs:
            tensor.stop_gradient = False
        grads = [harness.tensor(n, "float32") for n in incoming]
        paddle.autograd.backward(harness.as_list(case.call(*inputs)), grads)
        found = [harness.values(tensor.grad).numbers for tensor in inputs]

    def loss(at: Sequence[np.ndarray]) -> float:
        results = harness.evaluate(case, "float64", at, "cpu")
        return sum(float((r.numbers * g).sum()) for r, g in zip(results, incoming))

    rng = np.random.default_rng(0)
    step = 1e-6
    for i, gradient in enumerate(found):
        direction = rng.standard_normal(numbers[i].shape)
        ahead = loss([n + step * direction if j == i else n for j, n in enumerate(numbers)])
        behind = loss([n - step * direction if j == i else n for j, n in enumerate(numbers)])
        along = float((gradient * direction).sum())
        assert (ahead - behind) / (2 * step) == pytest.approx(along, rel=1e-4, abs=1e-4), i


def test_gradient_of_matmul_with_both_batches_broadcast_and_different_ranks() -> None:
    """Not a case: Paddle 3.3.1's CPU device refuses it. With equal ranks it must be the same."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1, 5, 7)), rng.standard_normal((3, 7, 4))
    case = next(c for c in ALL_CASES if c.id == "matmul-broadcast_batches")
    numbers, expanded = (
        [rounded(n, "float32") for n in (x, y)],
        [rounded(n, "float32") for n in (x, y[None])],
    )
    incoming = [rounded(rng.standard_normal((2, 3, 5, 4)), "float32")]
    got, expected = (gradients(case, "float32", n, incoming) for n in (numbers, expanded))
    for g, e in zip(got, expected):
        np.testing.assert_array_equal(g.numbers, e.numbers.reshape(g.shape))


@pytest.mark.parametrize("op", [paddle.median, paddle.nanmedian])
@pytest.mark.parametrize("mode", ["avg", "min"])
def test_an_incoming_nan_stays_where_the_median_is(op: object, mode: str) -> None:
    x = paddle.to_tensor([[3.0, 1.0, 2.0], [5.0, 4.0, 6.0]], stop_gradient=False)
    result = op(x, axis=1, mode=mode)
    result = result[0] if isinstance(result, tuple) else result
    result.backward(paddle.to_tensor([float("nan"), 2.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 0, np.nan], [2, 0, 0]])
