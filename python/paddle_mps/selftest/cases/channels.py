"""What is done to channels: scaled, moved in time, divided by those around, normalised."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, composed, rounded_once, summed
from .case import FLOATS, Case, Gradient
from .layer_norm import _channel_terms

_NCHW, _NHWC = ((2, 3, 4, 5), (3,), (3,)), ((2, 4, 5, 3), (3,), (3,))


def _on_host():
    return not paddle.get_device().startswith("mps")


def _images(x, scale, bias):
    return x[0] * x[1] * x[2]


AFFINE = tuple(
    Case(
        kernel="affine_channel",
        name=name,
        call=lambda x, scale, bias, f=layout: paddle._C_ops.affine_channel(x, scale, bias, f),
        shapes=shapes,
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(1, 16),
        gradient=Gradient(kernel="affine_channel_grad", rule=summed(_images)),
    )
    for name, layout, shapes in (
        ("", "NCHW", (_NCHW, ((1, 7, 1, 1), (7,), (7,)))),
        ("channels_last", "NHWC", (_NHWC,)),
    )
)

TEMPORAL_SHIFT = tuple(
    Case(
        kernel="temporal_shift",
        name=name,
        call=lambda x, n=frames, r=ratio, f=layout: F.temporal_shift(x, n, r, data_format=f),
        shapes=shapes,
        dtypes=FLOATS,
        layouts=not name,
        gradient=Gradient(kernel="temporal_shift_grad", rule=EXACT),
    )
    for name, frames, ratio, layout, shapes in (
        ("", 3, 0.25, "NCHW", (((6, 8, 2, 3),), ((3, 5, 1, 1),))),
        ("channels_last", 2, 0.2, "NHWC", (((4, 2, 3, 11),),)),
        ("of_one_frame", 1, 0.25, "NCHW", (((2, 4, 2, 2),),)),
        ("of_none", 2, 0.1, "NCHW", (((4, 6, 2, 1),),)),
    )
)


def _lrn(layout, size, k, alpha, beta):
    def call(x):
        if not _on_host():
            return paddle._legacy_C_ops.lrn(
                x, "n", size, "k", k, "alpha", alpha, "beta", beta, "data_format", layout
            )[0]  # fmt: skip
        axis = layout.index("C")  # the CPU device has float32 alone
        none = paddle.zeros_like(x.sum(axis, keepdim=True))
        before = (size - 1) // 2
        padded = paddle.concat([none] * before + [x * x] + [none] * (size - 1 - before), axis)
        count = x.shape[axis]
        energy = sum(padded.slice([axis], [i], [i + count]) for i in range(size))
        return x * (k + alpha * energy) ** -beta

    return call


LRN = tuple(
    Case(
        kernel="lrn",
        name=name,
        call=_lrn(layout, size, k, 0.25, 0.75),
        shapes=(((2, 7, 3, 4),), ((1, 3, 2, 2),)),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(8, 1),
        layouts=False,  # static programs have no such op
        gradient=Gradient(
            kernel="lrn_grad",
            rule=composed(16),
            magnitude=lambda x, dy: [np.full(x.shape, 2 * float(np.abs(dy).max()))],
        ),
    )
    for name, layout, size, k in (
        ("", "NCHW", 5, 1.0),
        ("channels_last", "NHWC", 3, 2.0),
        ("wider_than_the_channels", "NCHW", 9, 1.0),
    )
)


def _infer(x, scale, bias):
    """As programs of the old representation run a batch norm for inference."""
    scale, bias = (t.astype("float32") if x.dtype != paddle.float64 else t for t in (scale, bias))
    mean, variance = scale * 0.25, paddle.abs(bias) + 0.5
    return paddle._legacy_C_ops.batch_norm(
        x, scale, bias, mean, variance, None, mean, variance,
        "momentum", 0.9, "epsilon", 1e-5, "is_test", True, "data_layout", "NCHW",
        "use_global_stats", False, "trainable_statistics", False,
    )[0]  # fmt: skip


BATCH_NORM_INFER = (
    Case(
        kernel="batch_norm_infer",
        call=_infer,
        shapes=(_NCHW, ((3, 5, 1, 1), (5,), (5,))),
        dtypes=FLOATS,
        domain=("small", "nonzero", "small"),
        rule=rounded_once(8, 64),
        layouts=False,
    ),
)


def _sync_batch_norm(layout):
    """Of one device: a batch norm, which the CPU device has under that name alone."""

    def call(x, scale, bias):
        scale, bias = (
            t if x.dtype == paddle.float64 else t.astype("float32") for t in (scale, bias)
        )
        mean, variance = scale.detach() * 0.25, paddle.abs(bias.detach()) + 0.5
        op = paddle._C_ops.batch_norm if _on_host() else paddle._C_ops.sync_batch_norm_
        return op(x, mean, variance, scale, bias, False, 0.9, 1e-5, layout, False, False)[0]

    return call


SYNC_BATCH_NORM = tuple(
    Case(
        kernel="sync_batch_norm",
        name=layout,
        call=_sync_batch_norm(layout),
        shapes=shapes,
        dtypes=FLOATS,
        domain=("small", "nonzero", "small"),
        rule=rounded_once(8, 64),
        layouts=False,
        gradient=Gradient(
            kernel="sync_batch_norm_grad", rule=composed(8), magnitude=_channel_terms(axis, False)
        ),
    )
    for layout, axis, shapes in (("NCHW", 1, (_NCHW,)), ("NHWC", 3, (_NHWC,)))
)

CASES = (*SYNC_BATCH_NORM, *AFFINE, *TEMPORAL_SHIFT, *LRN, *BATCH_NORM_INFER)
