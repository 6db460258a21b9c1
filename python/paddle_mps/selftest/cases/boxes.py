"""What detectors of objects do with boxes."""

import functools
from dataclasses import replace

import numpy as np
import paddle
from paddle.vision import ops

from ..tolerance import EXACT, rounded_once, summed
from .case import FLOATS, Case, Gradient


def _samples(x, boxes):
    """No element of a result has more samples, of four elements each; places are rounded too."""
    return 64 * int(np.prod(x[2:], dtype=np.int64))


def _all_samples(x, boxes):
    return 4 * _samples(x, boxes) * boxes[0]


def _corners(x):
    """Boxes whose corners are in order, one apart or more: others end the CPU device.

    And its gradient takes those that are narrower for wider than the values do.
    """
    low, high = paddle.minimum(x[:, :2], x[:, 2:]), paddle.maximum(x[:, :2], x[:, 2:])
    return paddle.concat([low, high + 1], 1)


def _regions(
    function, name, numbers, *sizes, channels=3, sorted_corners=True, rule=None, **options
):
    """Regions of images: `numbers` of each."""

    def call(x, boxes):
        counts = paddle.to_tensor(numbers, "int32", place=x.place)
        corners = _corners(boxes) if sorted_corners else boxes
        return function(x, corners, counts, *sizes, **options)

    kernel = function.__name__
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=(((len(numbers), channels, 6, 7), (sum(numbers), 4)),),
        dtypes=FLOATS,
        domain=("small", "eighths"),
        rule=rule or summed(_samples, scale=4.0),
        layouts=False,
        gradient=Gradient(
            kernel=f"{kernel}_grad", rule=summed(_all_samples, scale=8.0), inputs=(0,)
        ),
    )


ROI_ALIGN = (
    _regions(ops.roi_align, "", (2, 3), output_size=(3, 2), spatial_scale=1.0),
    _regions(ops.roi_align, "areas", (4,), output_size=2, spatial_scale=0.5, aligned=False),
    _regions(
        ops.roi_align,
        "two_samples",
        (1, 0, 3),
        output_size=(2, 3),
        spatial_scale=1.0,
        sampling_ratio=2,
    ),
)


_POOL = functools.partial(_regions, ops.roi_pool, rule=EXACT)
ROI_POOL = (
    _POOL("", (2, 3), output_size=(3, 2)),
    _POOL("scaled", (1, 0, 4), output_size=2, spatial_scale=0.5),
    _POOL("any_corners", (0, 6), sorted_corners=False, output_size=(1, 4), spatial_scale=1.5),
    replace(
        _POOL("of_integers", (2, 3), output_size=(2, 3)),
        dtypes=("int32",),
        domain="small",
        gradient=None,
    ),
)


def _psroi_pool(name, numbers, parts, **options):
    channels = 2 * parts[0] * parts[1]
    return _regions(ops.psroi_pool, name, numbers, parts, channels=channels, **options)


PSROI_POOL = (
    _psroi_pool("", (2, 3), (3, 2)),
    _psroi_pool("scaled", (1, 0, 4), (2, 2), spatial_scale=0.5),
    _psroi_pool("any_corners", (0, 6), (1, 4), sorted_corners=False, spatial_scale=1.5),
)


def _decoded_rows(prior, target):
    """In pixels, a prior for each row; in float64 the CPU device takes variances for others."""
    low, high = np.minimum(prior[:, :2], prior[:, 2:]), np.maximum(prior[:, :2], prior[:, 2:]) + 1
    size = (high - low + 1)[:, None]
    centre = 0.1 * target[..., :2] * size + low[:, None] + size / 2
    half = np.exp(0.2 * target[..., 2:]) * size / 2
    return np.concatenate([centre - half, centre + half - 1], -1)


def _box_coder(name, call, shapes, domain, numpy=None):
    return Case(
        kernel="box_coder",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain=domain,
        rule=rounded_once(8.0, scale=16.0),
        layouts=False,
        numpy=numpy,
        cpu_is_wrong=numpy is not None,
    )


_CODER = ("eighths", "positive", "eighths")
BOX_CODER = (
    _box_coder(
        "",
        lambda prior, var, target: ops.box_coder(_corners(prior), var, _corners(target)),
        (((5, 4), (5, 4), (3, 4)),),
        _CODER,
    ),
    _box_coder(
        "pixels",
        lambda prior, target: ops.box_coder(
            _corners(prior), [0.1, 0.1, 0.2, 0.2], _corners(target), box_normalized=False
        ),
        (((5, 4), (3, 4)),),
        "eighths",
    ),
    _box_coder(
        "decode",
        lambda prior, var, target: ops.box_coder(
            _corners(prior), var, target, code_type="decode_center_size"
        ),
        (((5, 4), (5, 4), (3, 5, 4)),),
        ("eighths", "inside_unit", "unit"),
    ),
    _box_coder(
        "decode_rows",
        lambda prior, target: ops.box_coder(
            _corners(prior), [0.1, 0.1, 0.2, 0.2], target, "decode_center_size", False, axis=1
        ),
        (((3, 4), (3, 5, 4)),),
        ("eighths", "unit"),
        _decoded_rows,
    ),
)

PRIOR_BOX = tuple(
    Case(
        kernel="prior_box",
        name=name,
        call=lambda x, image, o=options: ops.prior_box(x, image, **o),
        shapes=(((1, 2, 3, 4), (1, 3, 24, 40)), ((1, 0, 3, 4), (1, 3, 24, 40))),
        dtypes=("float32",),
        domain="small",
        rule=rounded_once(4.0, scale=1.0),
    )
    for name, options in (
        ("", {"min_sizes": [4.0]}),
        (
            "ratios",
            {
                "min_sizes": [2.0, 4.0],
                "max_sizes": [5.0, 10.0],
                "aspect_ratios": [2.0, 3.0],
                "flip": True,
                "clip": True,
            },
        ),
        (
            "min_max_first",
            {
                "min_sizes": [2.0],
                "max_sizes": [5.0],
                "aspect_ratios": [1.0, 2.0],
                "steps": [6.0, 7.0],
                "offset": 0.25,
                "variance": [0.5, 0.25, 0.125, 1.0],
                "min_max_aspect_ratios_order": True,
            },
        ),
    )
)


def _yolo_box(name, channels, **options):
    def call(x):
        sizes = paddle.to_tensor([[40, 60], [24, 32]], "int32", place=x.place)
        anchors = [10, 13, 16, 30, 33, 23]
        return ops.yolo_box(x, sizes, anchors, 2, downsample_ratio=8, **options)

    return Case(
        kernel="yolo_box",
        name=name,
        call=call,
        shapes=(((2, channels, 3, 4),),),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(16.0, scale=60.0),
    )


YOLO_BOX = (
    _yolo_box("", 21, conf_thresh=0.01),
    _yolo_box("some", 21, conf_thresh=0.5, clip_bbox=False, scale_x_y=1.2),
    _yolo_box("iou_aware", 24, conf_thresh=0.3, iou_aware=True, iou_aware_factor=0.4),
)


def _yolo_loss(name, shapes, domain, **options):
    def call(x, boxes, score=None):
        labels = np.arange(boxes.shape[0] * boxes.shape[1]).reshape(boxes.shape[:2]) % 2
        return ops.yolo_loss(
            x,
            boxes,
            paddle.to_tensor(labels, "int32", place=x.place),
            anchors=[10, 13, 16, 30, 33, 23, 4, 5],
            downsample_ratio=8,
            gt_score=score,
            **options,
        )

    return Case(
        kernel="yolo_loss",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain=domain,
        rule=rounded_once(16.0, scale=100.0),
        layouts=False,
        gradient=Gradient(kernel="yolo_loss_grad", rule=rounded_once(16.0, scale=8.0), inputs=(0,)),
    )


YOLO_LOSS = (
    _yolo_loss(
        "",
        (((2, 21, 5, 5), (2, 6, 4)),),
        ("small", "fractions"),
        anchor_mask=[0, 1, 2],
        class_num=2,
        ignore_thresh=0.3,
    ),
    _yolo_loss(
        "scores",
        (((3, 16, 4, 4), (3, 5, 4), (3, 5)),),
        ("small", "fractions", "fractions"),
        anchor_mask=[3, 1],
        class_num=3,
        ignore_thresh=0.1,
        use_label_smooth=False,
        scale_x_y=1.2,
    ),
)

NMS = (
    Case(
        kernel="nms",
        call=lambda boxes: ops.nms(_corners(boxes), 0.2),
        shapes=(((40, 4),), ((1, 4),), ((300, 4),)),
        dtypes=("float32",),
        domain="eighths",
        layouts=False,
        like_cpu=False,
    ),
)

CASES = (
    *ROI_ALIGN,
    *ROI_POOL,
    *PSROI_POOL,
    *BOX_CODER,
    *PRIOR_BOX,
    *YOLO_BOX,
    *YOLO_LOSS,
    *NMS,
)
