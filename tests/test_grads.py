"""Every case with a gradient against Paddle's CPU device in float64, and that against finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import harness
import numpy as np
import paddle
import pytest
from cases import ALL_CASES, Case
from harness import as_list, draw, laid_out, on, values
from test_ops import describe
from tolerance import EXACT, Values, assert_close, rounded

pytestmark = pytest.mark.usefixtures("no_fallback")


def pairs():
    return [
        pytest.param(c, d, id=f"{c.id}-{d}") for c in ALL_CASES if c.gradient for d in c.gradient.dtypes if d in c.dtypes
    ]


def seeds(case: Case, dtype: str, shapes: Sequence) -> list[np.ndarray]:
    """One incoming gradient per floating-point result: numbers that the result's dtype holds."""
    rng = np.random.default_rng(len(case.id))
    results = harness.truth(case, dtype, draw(case, shapes, dtype))
    return [rounded(rng.uniform(0.25, 2.0, r.shape) * rng.choice((-1, 1), r.shape), "bfloat16") for r in results]


def gradients(
    case: Case,
    dtype: str,
    numbers: Sequence[np.ndarray],
    incoming: Sequence[np.ndarray],
    device: str,
    *,
    wanted: Sequence[int] | None = None,
    layout: str = "contiguous",
) -> list[Values | None]:
    """The gradients of the wanted inputs; None for one that was not asked for."""
    with on(device):
        inputs = [harness.tensor(n, dtype, device) for n in numbers]
        for i, tensor in enumerate(inputs):
            tensor.stop_gradient = wanted is not None and i not in wanted
        results = as_list(case.call(*inputs))
        grads = [
            laid_out(n, harness.dtype_name(r), device, layout if harness.fits(layout, n.shape) else "contiguous")
            for n, r in zip(incoming, results)
        ]
        paddle.autograd.backward(results, grads)
        return [None if t.stop_gradient else values(t.grad) for t in inputs]


def true_gradients(case: Case, dtype: str, numbers: Sequence, incoming: Sequence) -> list[Values]:
    grads = gradients(case, "float64", numbers, incoming, "cpu")
    return [Values(dtype, g.numbers) for g in grads]


def gradient_scales(case: Case, numbers: Sequence, incoming: Sequence, truth: Sequence[Values]) -> list[np.ndarray]:
    gradient = case.gradient
    if gradient.magnitude is not None:
        return gradient.magnitude(*numbers, *incoming)
    if gradient.rule.terms is not None:
        absolute = true_gradients(case, "float64", [np.abs(n) for n in numbers], [np.abs(g) for g in incoming])
        return [np.maximum(np.abs(a.numbers), np.abs(t.numbers)) for a, t in zip(absolute, truth)]
    return [np.abs(t.numbers) for t in truth]


def check_gradients(got: Sequence[Values | None], case: Case, dtype: str, shapes, numbers, incoming, what: str) -> None:
    expected = true_gradients(case, dtype, numbers, incoming)
    scales = gradient_scales(case, numbers, incoming, expected)
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
            got = gradients(case, dtype, numbers, incoming, harness.DEVICE)
            check_gradients(got, case, dtype, shapes, numbers, incoming, describe(case, dtype, shapes))
    kernels = [case.gradient.kernel] if case.gradient.seed_kernel else []
    ran.assert_ran([*kernels, *case.gradient.also], dtype, f"[{case.id}] gradient")


@pytest.mark.parametrize(("case", "dtype"), [p for p in pairs() if p.values[1] == "float32"])
def test_gradient_of_one_input_alone(case: Case, dtype: str) -> None:
    """The other gradients are not wanted: the kernel gets null outputs, and perhaps inputs without memory."""
    shapes = case.shapes[-1]
    if len(shapes) < 2:
        return
    numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
    for i in range(len(shapes)):
        got = gradients(case, dtype, numbers, incoming, harness.DEVICE, wanted=[i])
        assert [g is not None for g in got] == [j == i for j in range(len(shapes))]
        check_gradients(got, case, dtype, shapes, numbers, incoming, describe(case, dtype, shapes, wanted=i))


@pytest.mark.parametrize("layout", ["transposed", "offset", "sliced", "stepped"])
@pytest.mark.parametrize(("case", "dtype"), [p for p in pairs() if p.values[1] in ("float32", "float16")])
def test_incoming_gradient_in_any_layout(case: Case, dtype: str, layout: str) -> None:
    for shapes in case.shapes[-3:]:
        numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
        got = gradients(case, dtype, numbers, incoming, harness.DEVICE, layout=layout)
        check_gradients(got, case, dtype, shapes, numbers, incoming, describe(case, dtype, shapes, layout=layout))


@pytest.mark.parametrize("case", [c for c in ALL_CASES if c.gradient and not c.name], ids=str)
def test_paddles_cpu_gradient_agrees_with_finite_differences(case: Case) -> None:
    """A second opinion on the truth: central differences in float64 along one random direction per input."""
    shapes = next((s for s in case.shapes if all(0 < np.prod(one) <= 400 for one in s) and any(s)), case.shapes[0])
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
        assert (ahead - behind) / (2 * step) == pytest.approx(along, rel=1e-5, abs=1e-6), f"{case.id}, input {i}"


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int8", "int16"])
@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "divide"])
def test_binary_gradients_of_integers(op: str, dtype: str) -> None:
    """Paddle lets integers have gradients. They are asked for by kernel: exact, truncated like the forward op."""
    case = next(c for c in ALL_CASES if c.kernel == op and not c.name)
    if dtype not in case.dtypes:
        return
    shapes = ((3, 4), (4,))
    numbers = draw(case, shapes, dtype)
    if op == "divide":
        numbers[0] = numbers[0] % 50
    incoming = [np.random.default_rng(1).integers(0, 5, (3, 4)).astype(dtype)]

    def run(device: str) -> list[Values]:
        with on(device):
            x, y = (harness.tensor(n, dtype, device) for n in numbers)
            x.stop_gradient = y.stop_gradient = False
            result = case.call(x, y)
            paddle.autograd.backward([result], [harness.tensor(incoming[0], dtype, device)])
            return [values(x.grad), values(y.grad)]

    got, expected = run(harness.DEVICE), run("cpu")
    for i, (g, e) in enumerate(zip(got, expected)):
        assert_close(g, e, EXACT, f"[{op}] {dtype}, gradient of input {i}")
