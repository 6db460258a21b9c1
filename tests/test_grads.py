"""Every gradient against Paddle's CPU device in float64, and that against finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import harness
import numpy as np
import paddle
import pytest
from cases import ALL_CASES, Case
from harness import as_list, draw, laid_out, on, values
from test_ops import describe
from tolerance import FORMATS, Values, assert_close, rounded

pytestmark = pytest.mark.usefixtures("on_mps")


def pairs():
    return [
        pytest.param(c, d, id=f"{c.id}-{d}")
        for c in ALL_CASES
        if c.gradient
        for d in c.gradient.dtypes
        if d in c.dtypes
    ]


def seeds(case: Case, dtype: str, shapes: Sequence) -> list[np.ndarray]:
    """One incoming gradient per result: numbers that its dtype holds, whatever it is."""
    rng = np.random.default_rng(len(case.id))
    results = harness.truth(case, dtype, draw(case, shapes, dtype))
    if dtype not in FORMATS:
        return [
            rng.integers(0, 2 if dtype == "bool" else 5, r.shape).astype(dtype) for r in results
        ]
    return [
        rounded(rng.uniform(0.25, 2.0, r.shape) * rng.choice((-1, 1), r.shape), "bfloat16")
        for r in results
    ]


def gradients(
    case: Case,
    dtype: str,
    numbers: Sequence[np.ndarray],
    incoming: Sequence[np.ndarray],
    device: str = "mps",
    *,
    wanted: Sequence[int] | None = None,
    layout: str = "contiguous",
) -> list[Values | None]:
    """The gradients of the wanted inputs; None for one that was not asked for."""
    wanted = case.gradient.inputs if wanted is None else wanted
    with on(device), harness.views_as(case, device):
        inputs = [harness.tensor(n, dtype, device) for n in numbers]
        for i, tensor in enumerate(inputs):
            tensor.stop_gradient = wanted is not None and i not in wanted
        results = as_list(case.call(*inputs))
        grads = [
            laid_out(
                n,
                harness.dtype_name(r),
                device,
                layout if harness.fits(layout, n.shape) else "contiguous",
            )
            for n, r in zip(incoming, results)
        ]
        paddle.autograd.backward(results, grads)
        return [None if t.stop_gradient else values(t.grad) for t in inputs]


def true_gradients(
    case: Case, dtype: str, numbers: Sequence, incoming: Sequence
) -> list[Values | None]:
    kernels = [k for k in (case.kernel, case.gradient.kernel) if k]
    wide = harness.dtype_of_truth(kernels, dtype)
    grads = gradients(case, wide, numbers, incoming, "cpu")
    # The CPU's gradient of an empty integer sum is int64; a gradient has the dtype of its input.
    grads = [None if g is None else Values(wide, g.numbers) for g in grads]
    return [None if g is None else harness.narrowed(g, wide, dtype) for g in grads]


def gradient_scales(case: Case, numbers: Sequence, incoming: Sequence, truth: Sequence) -> list:
    gradient = case.gradient
    if gradient.magnitude is not None:
        return gradient.magnitude(*numbers, *incoming)
    plain = [None if t is None else np.abs(t.numbers) for t in truth]
    if gradient.rule.terms is None:
        return plain
    absolute = true_gradients(
        case, "float64", [np.abs(n) for n in numbers], [np.abs(g) for g in incoming]
    )
    return [p if a is None else np.maximum(np.abs(a.numbers), p) for a, p in zip(absolute, plain)]


def check_gradients(
    got: Sequence, case: Case, dtype: str, shapes, numbers, incoming, what: str
) -> None:
    expected = true_gradients(case, dtype, numbers, incoming)
    is_float = dtype in FORMATS
    scales = gradient_scales(case, numbers, incoming, expected) if is_float else [None] * len(got)
    rule = case.gradient.rule
    count = rule.terms(*shapes) if rule.terms else 0
    for i, (g, e, scale) in enumerate(zip(got, expected, scales)):
        if g is not None:
            which = f"{what}, gradient of input {i}"
            assert_close(g, e, rule, which, magnitude=scale, terms=count, signed_zeros=False)


@pytest.mark.parametrize(("case", "dtype"), pairs())
def test_gradient(case: Case, dtype: str) -> None:
    ran = harness.Watch()
    with ran:
        for shapes in case.shapes:
            numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
            got = gradients(case, dtype, numbers, incoming)
            check_gradients(
                got, case, dtype, shapes, numbers, incoming, describe(case, dtype, shapes)
            )
    kernels = [case.gradient.kernel] if case.gradient.kernel else []
    ran.assert_ran([*kernels, *case.gradient.also], dtype, f"[{case.id}] gradient")


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


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        p
        for p in pairs()
        if p.values[1] == "float32"
        and len(p.values[0].shapes[-1]) > 1
        and not p.values[0].gradient.inputs
    ],
)
def test_gradient_of_one_input_alone(case: Case, dtype: str) -> None:
    """The kernel gets null for what is not wanted, and perhaps inputs without memory."""
    shapes = case.shapes[-1]
    numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
    for i in range(len(shapes)):
        got = gradients(case, dtype, numbers, incoming, wanted=[i])
        assert [g is not None for g in got] == [j == i for j in range(len(shapes))]
        check_gradients(
            got, case, dtype, shapes, numbers, incoming, describe(case, dtype, shapes, wanted=i)
        )


@pytest.mark.parametrize(
    ("case", "dtype"),
    [p for p in pairs() if p.values[1] in ("float32", "float16") and not p.values[0].copies],
)
def test_incoming_gradient_in_any_layout(case: Case, dtype: str) -> None:
    for shapes in case.shapes[-3:]:
        numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
        for layout in ("transposed", "offset", "sliced", "stepped"):
            if not any(harness.fits(layout, n.shape) for n in incoming):
                continue
            got = gradients(case, dtype, numbers, incoming, layout=layout)
            what = describe(case, dtype, shapes, layout=layout)
            check_gradients(got, case, dtype, shapes, numbers, incoming, what)


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
