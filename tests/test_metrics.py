"""Areas under curves, and classes drawn for a classifier of very many."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

pytestmark = pytest.mark.usefixtures("no_fallback")


def area(likelihood: np.ndarray, label: np.ndarray, thresholds: int) -> float:
    """By counting pairs; those in one bin are half right."""
    bins = (likelihood.astype("float32") * np.float32(thresholds)).astype(int)
    positive, negative = bins[label > 0][:, None], bins[label == 0][None]
    return float(np.mean((positive > negative) + 0.5 * (positive == negative)))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_area_under_the_curve(steps: int) -> None:
    rng = np.random.default_rng(steps)
    thresholds, rows = 63, 40
    size = thresholds + 1 if steps == 0 else (steps + 1) * (thresholds + 1) + 1
    positive, negative = (paddle.zeros([1, size], "int64") for _ in range(2))
    seen = []
    for _ in range(4):
        label = rng.integers(0, 2, rows)
        likelihood = np.clip(rng.random(rows) * 0.6 + 0.3 * label, 0, 1).astype("float32")
        seen.append((likelihood, label))
        columns = np.stack([1 - likelihood, likelihood], 1)
        found, positive, negative = paddle._C_ops.auc(
            paddle.to_tensor(columns),
            paddle.to_tensor(label[:, None]),
            positive,
            negative,
            paddle.ones([1, 1]),
            "ROC",
            thresholds,
            steps,
        )
        last = seen if steps == 0 else seen[-steps:]
        truth = area(*(np.concatenate(part) for part in zip(*last, strict=True)), thresholds)
        assert found.dtype == paddle.float64
        assert abs(float(found.numpy()) - truth) < 5e-7 * truth


def test_area_of_one_class_and_of_what_is_no_data() -> None:
    stats = paddle.zeros([1, 8], "int64")
    likelihood, label = paddle.to_tensor([[0.5], [0.75]]), paddle.ones([2, 1], "int64")
    found, positive, negative = paddle._C_ops.auc(
        likelihood, label, stats, stats, paddle.ones([1, 1]), "ROC", 7, 0
    )
    assert float(found.numpy()) == 0
    assert positive.sum().item() == 2
    assert negative.sum().item() == 0
    _, positive, negative = paddle._C_ops.auc(
        likelihood, label, positive, negative, paddle.zeros([1, 1]), "ROC", 7, 0
    )
    assert positive.sum().item() == 2


def test_a_static_program_measures() -> None:
    """paddle.static.auc, as it is written into programs."""
    paddle.enable_static()
    try:
        main = paddle.static.Program()
        with paddle.static.program_guard(main):
            x = paddle.static.data("x", [8, 2], "float32")
            label = paddle.static.data("label", [8, 1], "int64")
            found = paddle.static.auc(x, label)
        rng = np.random.default_rng(3)
        likelihood, labels = rng.random((8, 2)).astype("float32"), np.arange(8)[:, None] % 2
        program = paddle.static.Executor(paddle.CustomPlace("mps", 0))
        result = program.run(main, feed={"x": likelihood, "label": labels}, fetch_list=[found[0]])
    finally:
        paddle.disable_static()
    truth = area(likelihood[:, 1], labels[:, 0], 4095)
    assert abs(float(result[0]) - truth) < 5e-7


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_drawn_classes(dtype: str) -> None:
    """Those of the labels first, in their order; then others, all different, each as likely."""
    label = np.array([11, 3, 3, 17, 11, 0])
    named = np.unique(label)
    tensor = paddle.to_tensor(label, dtype=dtype)
    paddle.seed(5)
    first = F.class_center_sample(tensor, 20, 12)[1].numpy()
    paddle.seed(5)
    assert (F.class_center_sample(tensor, 20, 12)[1].numpy() == first).all()
    times = np.zeros(20)
    for _ in range(300):
        remapped, drawn = F.class_center_sample(tensor, 20, 12)
        drawn, places = drawn.numpy(), remapped.numpy()
        assert drawn.dtype == places.dtype == np.dtype(dtype)
        assert len(set(drawn.tolist())) == len(drawn) == 12
        np.testing.assert_array_equal(drawn[:4], named)
        np.testing.assert_array_equal(drawn[places], label)
        times[drawn] += 1
    others = np.setdiff1d(np.arange(20), named)
    # 300 draws of 8 of 16: 150 each, with a deviation of 8.7
    assert (np.abs(times[others] - 150) < 5 * 8.7).all()


def test_more_labels_than_samples() -> None:
    remapped, drawn = F.class_center_sample(paddle.to_tensor([4, 2, 9]), 10, 2)
    assert drawn.tolist() == [2, 4, 9]
    assert remapped.tolist() == [1, 0, 2]
