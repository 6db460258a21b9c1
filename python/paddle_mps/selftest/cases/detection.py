"""How detectors of objects choose among boxes. How many they choose is data."""

import paddle
from paddle import _C_ops
from paddle.vision import ops

from ..tolerance import EXACT, rounded_once
from .case import Case


def _boxes(low, size):
    """Boxes of some length, from their first corners: few are apart."""
    return paddle.concat([low, low + paddle.abs(size) + 1], -1)


def _counts(x, numbers):
    return paddle.to_tensor(numbers, "int32", place=x.place)


def _case(kernel, name, call, shapes, domain, rule=EXACT, **options):
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=("float32",),
        domain=domain,
        rule=rule,
        **options,
    )


def _distribute(name, numbers, **options):
    def call(low, size):
        boxes, index, counts = ops.distribute_fpn_proposals(
            _boxes(low, size), 2, 4, 3, 4, rois_num=_counts(low, numbers), **options
        )
        return [*boxes, index, *counts]

    count = sum(numbers)
    return _case(
        "distribute_fpn_proposals",
        name,
        call,
        (((count, 2), (count, 2)),),
        "eighths",
        layouts=False,
    )


DISTRIBUTE = (
    _distribute("", (5, 0, 12)),
    _distribute("pixels", (40,), pixel_offset=True),
    _distribute("none", (0, 0)),
)


def _collect(name, most):
    def call(low, size, scores):
        boxes, levels = _boxes(low, size), (4, 0, 7, 3)
        numbers = ((3, 1), (0, 0), (2, 5), (1, 2))
        outputs = _C_ops.collect_fpn_proposals(
            paddle.split(boxes, levels),
            paddle.split(scores, levels),
            [_counts(low, each) for each in numbers],
            most,
        )
        return list(outputs)

    shapes = (((14, 2), (14, 2), (14, 1)),)
    domain = ("eighths", "eighths", "distinct")
    return _case("collect_fpn_proposals", name, call, shapes, domain, layouts=False)


COLLECT = (_collect("", 9), _collect("all", 100))


def _matrix(name, **options):
    def call(low, size, scores):
        return list(
            ops.matrix_nms(
                _boxes(low, size),
                paddle.abs(scores),
                return_index=True,
                **{"background_label": -1, "nms_top_k": -1, "keep_top_k": -1, **options},
            )
        )

    return _case(
        "matrix_nms",
        name,
        call,
        (((2, 9, 2), (2, 9, 2), (2, 3, 9)), ((1, 200, 2), (1, 200, 2), (1, 2, 200))),
        ("eighths", "eighths", "any"),
        rounded_once(16.0, scale=1.0),
    )


MATRIX = (
    _matrix("", score_threshold=0.5, post_threshold=0.1),
    _matrix(
        "gaussian",
        score_threshold=0.01,
        post_threshold=0.05,
        nms_top_k=50,
        keep_top_k=20,
        use_gaussian=True,
        gaussian_sigma=0.5,
        background_label=0,
        normalized=False,
    ),
    _matrix("none", score_threshold=1e6, post_threshold=0.0),
)


def _generate(name, **options):
    def call(scores, deltas, low, size):
        anchors = _boxes(low, size)
        return list(
            ops.generate_proposals(
                scores,
                deltas,
                paddle.full([2, 2], 6.0, scores.dtype),
                anchors,
                paddle.full_like(anchors, 0.5),
                return_rois_num=True,
                **options,
            )
        )

    return _case(
        "generate_proposals",
        name,
        call,
        (((2, 3, 4, 5), (2, 12, 4, 5), (4, 5, 3, 2), (4, 5, 3, 2)),),
        ("distinct", "unit", "eighths", "eighths"),
        rounded_once(16.0, scale=8.0),
    )


GENERATE = (
    _generate("", pre_nms_top_n=40, post_nms_top_n=10),
    _generate("pixels", nms_thresh=0.7, eta=0.9, pixel_offset=True, min_size=2.0),
    _generate("none", min_size=100.0),
)


def _multiclass(name, **options):
    def call(low, size, scores):
        return list(
            _C_ops.multiclass_nms3(
                _boxes(low, size),
                scores,
                None,
                *{
                    "score_threshold": 0.0,
                    "nms_top_k": -1,
                    "keep_top_k": -1,
                    "nms_threshold": 0.3,
                    "normalized": True,
                    "nms_eta": 1.0,
                    "background_label": -1,
                    **options,
                }.values(),
            )
        )

    return _case(
        "multiclass_nms3",
        name,
        call,
        (((2, 9, 2), (2, 9, 2), (2, 3, 9)), ((1, 200, 2), (1, 200, 2), (1, 2, 200))),
        ("eighths", "eighths", "distinct"),
    )


def _multiclass_of_classes(low, size, scores):
    numbers = _counts(low, (4, 0, 5))
    boxes = _boxes(low, size)
    return list(_C_ops.multiclass_nms3(boxes, scores, numbers, 0.0, 4, 6, 0.3, False, 1.0, 1))


MULTICLASS = (
    _multiclass(""),
    _multiclass(
        "pixels", nms_top_k=50, keep_top_k=10, nms_threshold=0.6, normalized=False, nms_eta=0.9
    ),
    _multiclass("none", score_threshold=1e6, background_label=0),
    _case(
        "multiclass_nms3",
        "of_classes",
        _multiclass_of_classes,
        (((9, 3, 2), (9, 3, 2), (9, 3)),),
        ("eighths", "eighths", "distinct"),
        layouts=False,
    ),
)

MATCH = tuple(
    _case(
        "bipartite_match",
        name,
        lambda x, o=options: list(_C_ops.bipartite_match(x, *o)),
        (((3, 5),), ((6, 4),), ((40, 300),), ((0, 3),)),
        "distinct",
    )
    for name, options in (("", ("bipartite", 0.5)), ("each", ("per_prediction", 2.0)))
)

CASES = (*DISTRIBUTE, *COLLECT, *MATRIX, *GENERATE, *MULTICLASS, *MATCH)
