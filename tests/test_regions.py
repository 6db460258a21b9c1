"""roi_pool, psroi_pool and yolo_loss against Paddle's CPU device in float32, in all corners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle.vision import ops

pytestmark = pytest.mark.usefixtures("on_mps")


def both_ways(call: Callable, *numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The result, and the gradient of the first number."""
    tensors = [paddle.to_tensor(n) for n in numbers]
    tensors[0].stop_gradient = False
    result = call(*tensors)
    incoming = np.random.default_rng(5).integers(-8, 9, result.shape) / 4
    result.backward(paddle.to_tensor(incoming.astype("float32")))
    return result.numpy(), tensors[0].grad.numpy()


def compare(call: Callable, *numbers: np.ndarray, close: float = 0.0) -> None:
    expected, got = [], []
    for device, results in (("cpu", expected), ("mps", got)):
        paddle.set_device(device)
        results.extend(both_ways(call, *numbers))
    np.testing.assert_allclose(got[0], expected[0], close, close)
    np.testing.assert_allclose(got[1], expected[1], 1e-5, 1e-5)


def regions_of(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in halves, some outside of the image, some the wrong way round; and how many each
    image has, which may be none."""
    counts = rng.integers(0, 4, images)
    counts[rng.integers(images)] += 1
    boxes = rng.integers(-16, 64, (counts.sum(), 4)) / 2
    return boxes.astype("float32"), counts.astype("int32")


@pytest.mark.parametrize("seed", range(12))
def test_pooled_regions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, height, width = rng.integers(1, 4), *rng.integers(1, 20, 2)
    parts = tuple(int(n) for n in rng.integers(1, 6, 2))
    boxes, counts = regions_of(rng, images)
    scale = float(rng.choice([1.0, 0.5, 0.0625, 1.5]))
    x = np.round(rng.standard_normal((images, 2 * parts[0] * parts[1], height, width)) * 2)
    x = x.astype("float32")  # many are equal: the first is the greatest
    compare(lambda x, b, n: ops.roi_pool(x, b, n, parts, scale), x, boxes, counts)
    compare(lambda x, b, n: ops.psroi_pool(x, b, n, parts, scale), x, boxes, counts, close=1e-6)


def test_greatest_of_what_is_not_a_number() -> None:
    """NaN and -inf are never greatest; where nothing is, the result is the lowest number."""
    x = np.full((1, 1, 4, 4), np.nan, "float32")
    x[0, 0, 1, 2], x[0, 0, 3, 3], x[0, 0, 2, 0] = -5.0, np.inf, -np.inf
    boxes = np.array([[0, 0, 3, 3], [0, 0, 1, 1], [2, 1, 2, 1]], "float32")
    compare(lambda x, b, n: ops.roi_pool(x, b, n, 2), x, boxes, np.array([3], "int32"))


def test_no_regions_at_all() -> None:
    x = paddle.ones([2, 8, 5, 5])
    boxes, counts = paddle.zeros([0, 4]), paddle.to_tensor([0, 0], "int32")
    assert ops.roi_pool(x, boxes, counts, 2).shape == [0, 8, 2, 2]
    assert ops.psroi_pool(x, boxes, counts, 2).shape == [0, 2, 2, 2]


def test_a_number_of_regions_is_missing() -> None:
    x, boxes = paddle.ones([2, 8, 5, 5]), paddle.ones([3, 4])
    with pytest.raises(ValueError, match="expected a number for each of 2 images, got 1"):
        ops.roi_pool(x, boxes, paddle.to_tensor([3], "int32"), 2)


@pytest.mark.parametrize("seed", range(8))
def test_yolo_loss(seed: int) -> None:
    """Boxes of nothing are padding; of boxes that ask the same cell the last one tells it."""
    rng = np.random.default_rng(seed)
    images, size, boxes, classes = (int(n) for n in rng.integers((1, 1, 1, 1), (4, 7, 9, 20)))
    anchors = [int(n) for n in rng.integers(4, 60, 12)]
    mask = [int(n) for n in rng.permutation(6)[: rng.integers(1, 7)]]
    x = rng.standard_normal((images, len(mask) * (5 + classes), size, size)).astype("float32")
    true_boxes = rng.uniform(0, 0.999, (images, boxes, 4)).astype("float32")
    true_boxes[rng.random((images, boxes)) < 0.3] = 0
    labels = rng.integers(0, classes, (images, boxes)).astype("int32")
    scores = rng.random((images, boxes)).astype("float32")
    scores[rng.random((images, boxes)) < 0.2] = 0

    def call(x: paddle.Tensor, *rest: paddle.Tensor) -> paddle.Tensor:
        return ops.yolo_loss(
            x,
            *rest[:2],
            anchors=anchors,
            anchor_mask=mask,
            class_num=classes,
            ignore_thresh=0.3,
            downsample_ratio=8,
            gt_score=rest[2] if seed % 2 else None,
            use_label_smooth=seed % 3 == 0,
            scale_x_y=1.0 + seed % 4 / 10,
        )

    compare(call, x, true_boxes, labels, scores, close=2e-5)
