"""Every gradient against Paddle's CPU device in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle

from . import harness
from .cases import ALL_CASES, Case
from .harness import as_list, describe, draw, laid_out, on, values
from .tolerance import FORMATS, Values, assert_close, rounded
from .values import Pair


def pairs() -> list[Pair]:
    return [(c, d) for c in ALL_CASES if c.gradient for d in c.gradient.dtypes if d in c.dtypes]


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


def gradient(case: Case, dtype: str) -> None:
    """On every shape, by the device's own kernels."""
    ran = harness.Watch()
    with ran:
        for shapes in case.shapes:
            numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
            got = gradients(case, dtype, numbers, incoming)
            what = describe(case, dtype, shapes)
            check_gradients(got, case, dtype, shapes, numbers, incoming, what)
    kernels = [case.gradient.kernel] if case.gradient.kernel else []
    dtype = case.gradient.runs_in or case.runs_in or dtype
    ran.assert_ran([*kernels, *case.gradient.also], dtype, f"[{case.id}] gradient")


ALONE = [
    (c, d) for c, d in pairs() if d == "float32" and len(c.shapes[-1]) > 1 and not c.gradient.inputs
]


def one_input_alone(case: Case, dtype: str) -> None:
    """The kernel gets null for what is not wanted, and perhaps inputs without memory."""
    shapes = case.shapes[-1]
    numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
    for i in range(len(shapes)):
        got = gradients(case, dtype, numbers, incoming, wanted=[i])
        what = describe(case, dtype, shapes, wanted=i)
        there = [g is not None for g in got]
        assert there == [j == i for j in range(len(shapes))], f"{what}: there are {there}"
        check_gradients(got, case, dtype, shapes, numbers, incoming, what)


LAID_OUT = [(c, d) for c, d in pairs() if d in ("float32", "float16") and not c.copies]


def in_any_layout(case: Case, dtype: str) -> None:
    """The incoming gradient is a view."""
    for shapes in case.shapes[-3:]:
        numbers, incoming = draw(case, shapes, dtype), seeds(case, dtype, shapes)
        for layout in ("transposed", "offset", "sliced", "stepped"):
            if not any(harness.fits(layout, n.shape) for n in incoming):
                continue
            got = gradients(case, dtype, numbers, incoming, layout=layout)
            what = describe(case, dtype, shapes, layout=layout)
            check_gradients(got, case, dtype, shapes, numbers, incoming, what)
