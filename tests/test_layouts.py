"""Every case again with views as inputs: transposed, offset, sliced, stepped, repeated."""

from __future__ import annotations

import numpy as np
import paddle
import paddle_mps
import pytest
from conftest import rows
from paddle_mps.selftest import harness
from paddle_mps.selftest import layouts as questions
from paddle_mps.selftest.cases import Case
from paddle_mps.selftest.harness import fitted
from paddle_mps.selftest.layouts import VIEWS
from paddle_mps.selftest.values import pairs

pytestmark = pytest.mark.usefixtures("on_mps")


def test_layouts_are_what_they_say() -> None:
    """A view that had quietly become a copy would test nothing."""
    numbers = np.arange(210.0).reshape(5, 6, 7)
    plain = harness.laid_out(numbers, "float32", "mps", "contiguous")
    assert plain.is_contiguous()
    for layout in VIEWS:
        view = harness.laid_out(fitted(numbers, layout), "float32", "mps", layout)
        assert view.is_contiguous() == (layout == "offset"), layout
        np.testing.assert_array_equal(view.numpy(), fitted(numbers, layout))


@pytest.mark.parametrize(("case", "dtype", "layout"), rows(questions.LAID_OUT))
def test_layout(case: Case, dtype: str, layout: str) -> None:
    questions.layout(case, dtype, layout)


@pytest.mark.parametrize(("case", "dtype"), rows(pairs(questions.takes_two_views)))
def test_mixed_layouts(case: Case, dtype: str) -> None:
    questions.mixed(case, dtype)


READ_VIEWS = {
    "matmul": lambda x: paddle.matmul(x, x, transpose_y=True),
    "exp": paddle.exp,
    "leaky_relu": lambda x: paddle.nn.functional.leaky_relu(x, 0.3),
    "add": lambda x: x + x,
    "maximum": lambda x: paddle.maximum(x, x * 0.5),
    "less_than": lambda x: x < x * x,
    "scale": lambda x: x * 2.0 + 1.0,
    "concat": lambda x: paddle.concat([x, x], 1),
    "stack": lambda x: paddle.stack([x, x], -1),
    "softmax": lambda x: paddle.nn.functional.softmax(x, 0),
    "mean": lambda x: x.mean(0),
    "where": lambda x: paddle.where(x > 0, x, -x),
}


@pytest.mark.parametrize("op", READ_VIEWS)
@pytest.mark.parametrize("view", ["transposed", "part", "stepped"])
def test_views_are_read_without_a_copy(op: str, view: str) -> None:
    """Forward and on the way back no dense copy is made, and results are dense, on both devices."""
    numbers = np.random.default_rng(0).standard_normal((6, 8, 10)).astype("float32")
    found = {}
    for device in ("cpu", "mps"):
        base = paddle.to_tensor(numbers, place=device, stop_gradient=False)
        x = {
            "transposed": lambda base=base: base.transpose([0, 2, 1]),
            "part": lambda base=base: base[1:4, 2:, 3:9],
            "stepped": lambda base=base: base[::2, :, 1::3],
        }[view]()
        assert not x.is_contiguous()
        paddle_mps.reset_fallback_report()
        result = READ_VIEWS[op](x)
        assert result.is_contiguous()
        found[device] = [result.numpy(), result.strides]
        if not result.stop_gradient:
            (result * result).sum().backward()
            found[device].append(base.grad.numpy())
        called = {row.op for row in paddle_mps.fallback_report().rows}
        # Paddle 3.3.1 does not ask for where_grad as a kernel of views.
        assert "contiguous" not in called or op == "where", called
        assert op in called or device == "cpu"
    for on_mps, on_cpu in zip(found["mps"], found["cpu"]):
        np.testing.assert_allclose(on_mps, on_cpu, rtol=1e-5, atol=1e-5)


def test_a_gradient_leaves_what_lies_between_a_view_alone() -> None:
    """Paddle gives a gradient the memory of the one it comes from, which may be a view."""
    for axis in (0, 1, -1):
        numbers = np.arange(24, dtype="float32").reshape(2, 3, 4) / 10
        x, y = (paddle.to_tensor(n, stop_gradient=False) for n in (numbers, numbers * 2))
        both = paddle.stack([paddle.exp(x), paddle.exp(y)], axis)
        weights = paddle.arange(48, dtype="float32").reshape(both.shape)
        (both * weights).sum().backward()
        by_x, by_y = (w.numpy() for w in paddle.unbind(weights, axis))
        np.testing.assert_allclose(x.grad.numpy(), np.exp(numbers) * by_x, rtol=1e-5)
        np.testing.assert_allclose(y.grad.numpy(), np.exp(numbers * 2) * by_y, rtol=1e-5)
    base = paddle.arange(14, dtype="float32")
    x = paddle.to_tensor(np.arange(7, dtype="float32") / 10, stop_gradient=False)
    paddle.autograd.backward([paddle.floor(x)], [base[::2]])
    np.testing.assert_array_equal(base.numpy(), np.arange(14, dtype="float32"))
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros(7, "float32"))


@pytest.mark.parametrize(("case", "dtype", "part"), rows(questions.PARTS))
def test_in_place_on_a_part_leaves_the_rest_alone(case: Case, dtype: str, part: str) -> None:
    questions.part_in_place(case, dtype, part)
