"""How detectors choose among boxes: the order of results, and everything, against Paddle's CPU.

The cases of the self-test ask the values in general; here it is ties, images without boxes, and
arguments in all their combinations, in float32 on both devices.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import paddle
import paddle_mps
import pytest
from paddle import _C_ops
from paddle.vision import ops

pytestmark = pytest.mark.usefixtures("on_mps")


def compare(call: Callable, *numbers: np.ndarray) -> list[np.ndarray]:
    """Results on mps; integers and shapes are those of the CPU device, floats within rounding."""
    results = []
    for device in ("cpu", "mps"):
        paddle.set_device(device)
        tensors = [paddle.to_tensor(n) for n in numbers]
        results.append([r.numpy() for r in call(*tensors) if r is not None])
    paddle.set_device("mps")
    for expected, got in zip(*results):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        close = 2e-6 if got.dtype == np.float32 else 0
        np.testing.assert_allclose(got, expected, close, close * 16)
    return results[1]


def boxes_of(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Multiples of 1/8, many of them equal; some are points, and some the wrong way round."""
    low = rng.integers(0, 40, (*shape, 2)) / 8
    return np.concatenate([low, low + rng.integers(-1, 40, (*shape, 2)) / 8], -1).astype("float32")


def scores_of(rng: np.random.Generator, *shape: int, ties: bool = False) -> np.ndarray:
    if ties:
        return (rng.integers(0, 8, shape) / 8).astype("float32")
    count = int(np.prod(shape))
    return ((rng.permutation(count) + 1) / (count + 1)).reshape(shape).astype("float32")


@pytest.mark.parametrize("pixel_offset", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("numbers", [(30,), (0, 7, 0, 13), (1, 1, 1), (0,), ()], ids=str)
def test_boxes_go_to_their_levels(numbers: tuple, dtype: str, pixel_offset: bool) -> None:
    rng = np.random.default_rng(1)
    boxes = boxes_of(rng, sum(numbers))

    def call(boxes: paddle.Tensor, counts: paddle.Tensor) -> list[paddle.Tensor]:
        found, index, of_images = ops.distribute_fpn_proposals(
            boxes, 2, 5, 4, 3, pixel_offset, rois_num=counts
        )
        return [*found, index, *of_images]

    *found, index = compare(call, boxes, np.array(numbers, dtype))[:5]
    np.testing.assert_array_equal(np.concatenate(found)[index[:, 0]], boxes)


def test_a_box_of_the_size_of_a_level_belongs_to_it() -> None:
    sizes = np.array([14, 28, 56, 112, 224, 448, 896, 0, 1e4], "float32")
    boxes = np.stack([0 * sizes, 0 * sizes, sizes, sizes], 1)
    boxes[-2, 0] = np.nan
    compare(
        lambda x, n: ops.distribute_fpn_proposals(x, 2, 5, 4, 224, rois_num=n)[0],
        boxes,
        np.array([len(sizes)], "int32"),
    )


def test_levels_in_a_static_program() -> None:
    """PIR passes lists of results another way."""
    boxes, numbers = boxes_of(np.random.default_rng(12), 20), np.array([8, 12], "int32")
    paddle.enable_static()
    try:
        program = paddle.static.Program()
        with paddle.static.program_guard(program):
            x = paddle.static.data("boxes", [-1, 4], "float32")
            counts = paddle.static.data("numbers", [2], "int32")
            found, index, own = ops.distribute_fpn_proposals(x, 2, 5, 4, 3, rois_num=counts)
            best = _C_ops.collect_fpn_proposals(found, [f[:, :1] for f in found], own, 9)
        results = []
        for place in (paddle.CPUPlace(), paddle.CustomPlace("mps", 0)):
            # In a scope of its own: what is fetched next would be said to have levels, too.
            with paddle.static.scope_guard(paddle.static.Scope()):
                fetched = paddle.static.Executor(place).run(
                    program,
                    feed={"boxes": boxes, "numbers": numbers},
                    fetch_list=[*found, index, *own, *best],
                    return_numpy=False,  # the CPU device's have levels of detail
                )
                results.append([np.array(f) for f in fetched])
    finally:
        paddle.disable_static()
    for expected, got in zip(*results):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("most", [12, 30, 1000])
@pytest.mark.parametrize("ties", [False, True])
def test_the_best_of_all_levels(ties: bool, most: int) -> None:
    rng = np.random.default_rng(2)
    numbers = np.array([[30, 21], [9, 4], [1, 1]], "int32")
    arrays = []
    for own in numbers:
        arrays += [boxes_of(rng, own.sum()), scores_of(rng, own.sum(), 1, ties=ties), own]

    def call(*x: paddle.Tensor) -> list[paddle.Tensor]:
        return _C_ops.collect_fpn_proposals(list(x[::3]), list(x[1::3]), list(x[2::3]), most)

    compare(call, *arrays)


@pytest.mark.parametrize(
    ("most", "best", "of_images"), [(4, [0, 4, 2, 3], [1, 0, 3]), (0, [], [0] * 3)]
)
def test_an_image_may_have_none_of_the_best(most: int, best: list, of_images: list) -> None:
    """Not against Paddle's CPU device, which then reads counts that it has not made."""
    boxes = boxes_of(np.random.default_rng(3), 5)
    scores = np.array([[3], [1], [4], [2], [5]], "float32")
    numbers = np.array([2, 0, 3], "int32")
    got, counts = _C_ops.collect_fpn_proposals(
        *([paddle.to_tensor(x)] for x in (boxes, scores, numbers)), most
    )
    np.testing.assert_array_equal(got.numpy(), boxes[best].reshape(-1, 4))
    assert counts.tolist() == of_images


MATRIX = list(itertools.product((0.1, 0.6, 2.0), (-1, 7), (-1, 5), (False, True), (False, True)))


@pytest.mark.parametrize(("post", "top", "keep", "gaussian", "normalized"), MATRIX)
def test_scores_decay(post: float, top: int, keep: int, gaussian: bool, normalized: bool) -> None:
    rng = np.random.default_rng(4)
    got = compare(
        lambda boxes, scores: ops.matrix_nms(
            boxes,
            scores,
            score_threshold=0.3,
            post_threshold=post,
            nms_top_k=top,
            keep_top_k=keep,
            use_gaussian=gaussian,
            gaussian_sigma=2.0,
            background_label=1,
            normalized=normalized,
            return_index=True,
        ),
        boxes_of(rng, 3, 33),
        scores_of(rng, 3, 4, 33),
    )
    assert (len(got[0]) == 0) == (post == 2.0)


def test_many_boxes_decay_some_at_a_time() -> None:
    """More pairs of boxes than are compared at once."""
    rng = np.random.default_rng(5)
    compare(
        lambda boxes, scores: ops.matrix_nms(
            boxes, scores, 0.0, 0.0, -1, 100, background_label=-1, return_index=True
        ),
        (rng.random((1, 2500, 4)) * [8, 8, 16, 16]).astype("float32"),
        scores_of(rng, 1, 4, 2500),
    )


@pytest.mark.parametrize("pixel_offset", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "threshold", "eta"),
    [
        (0, 0, 0.5, 1.0),
        (30, 6, 0.8, 0.9),
        (1000, 1000, 0.3, 0.5),
        (60, 3, 0.9, 0.99),
        (7, 1, 0.0, 1.0),
    ],
)
def test_proposals(
    before: int, after: int, threshold: float, eta: float, pixel_offset: bool
) -> None:
    rng = np.random.default_rng(6)
    scores = scores_of(rng, 3, 4, 5, 6)

    def call(*x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        found, probabilities, counts = ops.generate_proposals(
            *x, before, after, threshold, 0.1, eta, pixel_offset, return_rois_num=True
        )
        if threshold:
            return found, probabilities, counts
        # Without suppression the CPU device gives them in no order.
        image = paddle.to_tensor(np.arange(3, dtype="float32").repeat(counts.numpy()))
        order = paddle.argsort(2 * image + probabilities[:, 0])
        return found[order], probabilities[order], counts

    got = compare(
        call,
        scores,
        rng.uniform(-1, 1, (3, 16, 5, 6)).astype("float32"),
        np.array([[5, 7], [3, 4], [0.5, 9]], "float32"),
        boxes_of(rng, 5, 6, 4) * 2,
        rng.uniform(0.1, 0.5, (5, 6, 4, 4)).astype("float32"),
    )
    if not pixel_offset:
        assert got[2][2] == 1, "the last image is too small for any"


def test_of_equal_proposals_the_last_comes_first() -> None:
    rng = np.random.default_rng(7)  # so few that the CPU device keeps their order
    compare(
        lambda *x: ops.generate_proposals(*x, return_rois_num=True),
        scores_of(rng, 1, 4, 2, 2, ties=True),
        np.zeros((1, 16, 2, 2), "float32"),
        np.array([[40, 40]], "float32"),
        boxes_of(rng, 2, 2, 4) * 4,
        np.ones((2, 2, 4, 4), "float32"),
    )


def test_no_scores_and_too_few_anchors() -> None:
    def call(images: int, height: int, anchors: int) -> list[list[int]]:
        results = ops.generate_proposals(
            paddle.zeros([images, 2, height, 3]),
            paddle.zeros([images, 8, height, 3]),
            paddle.full([images, 2], 9.0),
            paddle.zeros([anchors, 3, 2, 4]),
            paddle.zeros([anchors, 3, 2, 4]),
            return_rois_num=True,
        )
        return [r.shape for r in results]

    assert call(2, 0, 0) == [[2, 4], [2, 1], [2]]
    assert call(0, 2, 2) == [[0, 4], [0, 1], [0]]
    with pytest.raises(ValueError, match="too few anchors"):
        call(1, 2, 1)


CLASSES = list(
    itertools.product((0.2, 2.0), (-1, 0, 9), (-1, 0, 11), (0.4, 0.9), (1.0, 0.9), (False, True))
)


@pytest.mark.parametrize("options", CLASSES, ids=str)
@pytest.mark.parametrize("of_classes", [False, True], ids=["shared", "of_classes"])
def test_the_best_of_each_class(options: tuple, of_classes: bool) -> None:
    rng = np.random.default_rng(8)
    arrays = [boxes_of(rng, 3, 33), scores_of(rng, 3, 4, 33, ties=True)]
    if of_classes:
        arrays = [boxes_of(rng, 33, 4), scores_of(rng, 33, 4, ties=True)]
        arrays.append(np.array([20, 0, 13], "int32"))
    least, top, keep, threshold, eta, normalized = options

    def call(boxes: paddle.Tensor, scores: paddle.Tensor, numbers: paddle.Tensor | None = None):
        return _C_ops.multiclass_nms3(
            boxes, scores, numbers, least, top, keep, threshold, normalized, eta, 0
        )

    compare(call, *arrays)


def test_boxes_are_suppressed_some_at_a_time() -> None:
    """More pairs of boxes than are compared at once."""
    rng = np.random.default_rng(9)
    compare(
        lambda boxes, scores: _C_ops.multiclass_nms3(
            boxes, scores, None, 0.0, 3000, 500, 0.5, True, 1.0, -1
        ),
        boxes_of(rng, 1, 2500),
        scores_of(rng, 1, 4, 2500),
    )


def test_polygons_are_suppressed_on_the_cpu_and_the_report_says_so() -> None:
    rng = np.random.default_rng(10)
    x, y = rng.integers(0, 20, (2, 2, 12, 1)).astype("float32")
    polygons = np.concatenate([x, y, x + 6, y, x + 7, y + 5, x, y + 4], -1)
    paddle_mps.reset_fallback_report()
    compare(
        lambda boxes, scores: _C_ops.multiclass_nms3(
            boxes, scores, None, 0.2, -1, -1, 0.3, True, 1.0, -1
        ),
        polygons,
        scores_of(rng, 2, 3, 12),
    )
    calls = {row.op: row.cpu_calls for row in paddle_mps.fallback_report().rows}
    assert calls["multiclass_nms3"] == 1


@pytest.mark.parametrize("kind", ["bipartite", "per_prediction"])
@pytest.mark.parametrize(
    ("shape", "ties"),
    [
        *itertools.product([(1, 1), (5, 80), (80, 5), (129, 20), (4, 0)], (False, True)),
        ((131, 40), False),  # the CPU device sorts so many distances, and equal ones in no order
    ],
    ids=str,
)
def test_matches(shape: tuple, kind: str, ties: bool) -> None:
    rng = np.random.default_rng(11)
    distances = scores_of(rng, *shape, ties=ties) - np.float32(0.25)
    compare(lambda x: _C_ops.bipartite_match(x, kind, 0.5), distances)


def test_long_chains_of_matches_and_of_boxes() -> None:
    """Each one follows from the one before it: more rounds than are asked at once."""
    count = 60
    row, column = np.mgrid[:count, :count]
    near = np.where(column == row, 2 * (count - row), 0) + np.where(
        column == row + 1, 2 * (count - row) - 1, 0
    )
    compare(lambda x: _C_ops.bipartite_match(x, "bipartite", 0.5), near.astype("float32"))
    at = np.arange(count, dtype="float32")
    boxes = np.stack([at, 0 * at, at + 3, 0 * at + 1], 1)[None]
    got = compare(
        lambda boxes, scores: _C_ops.multiclass_nms3(
            boxes, scores, None, 0.0, -1, -1, 0.4, True, 1.0, -1
        ),
        boxes,
        (1 / (1 + at)).reshape(1, 1, count),
    )
    assert len(got[0]) == count // 2


def test_numbers_of_boxes_must_be_given() -> None:
    with pytest.raises(NotImplementedError, match="Pass the number of boxes of each image"):
        _C_ops.distribute_fpn_proposals(paddle.ones([3, 4]), None, 2, 5, 4, 224, False)
    with pytest.raises(NotImplementedError, match="Pass the number of boxes of each image"):
        _C_ops.multiclass_nms3(
            paddle.ones([3, 2, 4]), paddle.ones([3, 2]), None, 0.0, -1, -1, 0.5, True, 1.0, -1
        )
    with pytest.raises(ValueError, match="bad number of levels"):
        _C_ops.collect_fpn_proposals([paddle.ones([3, 4])], [paddle.ones([3, 1])], None, 2)
