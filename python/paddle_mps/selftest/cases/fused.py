"""Kernels that do the work of several, by names that only other GPUs have: composed on the CPU."""

import numpy as np
import paddle
import paddle.nn.functional as F

from ..tolerance import composed, rounded_once, summed
from .case import FLOATS, Case, Gradient

_ops = paddle._C_ops


def _on_host():
    return paddle.get_device() == "cpu"


# -- fused_rotary_position_embedding ---------------------------------------------------------------


def _partners(x, neighbours):
    if neighbours:
        return paddle.stack([-x[..., 1::2], x[..., 0::2]], axis=-1).reshape(x.shape)
    half = x.shape[-1] // 2
    return paddle.concat([-x[..., half:], x[..., :half]], axis=-1)


def _turned(x, sin, cos, neighbours):
    return x * cos + _partners(x, neighbours) * sin


def _rotary(neighbours=True, positions=None, time_major=False):
    def call(q, k, sin, cos):
        rows = None if positions is None else paddle.to_tensor(positions, place=q.place)
        if not _on_host():
            return list(
                _ops.fused_rotary_position_embedding(
                    q, k, None, sin, cos, rows, neighbours, time_major, 10000.0
                )[:2]
            )
        length = q.shape[0 if time_major else 1]
        tables = []
        for table in (sin, cos):
            flat = table.reshape([-1, q.shape[3]])
            flat = flat[:length][None] if rows is None else flat[rows]
            flat = flat.unsqueeze(2)
            tables.append(paddle.transpose(flat, [1, 0, 2, 3]) if time_major else flat)
        return [_turned(x, *tables, neighbours) for x in (q, k)]

    return call


def _rotary_by_base(q):
    if not _on_host():
        none = (None,) * 5
        return _ops.fused_rotary_position_embedding(q, *none, True, False, 100.0)[0]
    width, length = q.shape[3], q.shape[1]
    speed = 100.0 ** (-np.arange(0, width, 2) / width)
    angle = np.repeat(np.arange(length)[:, None] * speed, 2, axis=1)[None, :, None]
    sin, cos = (paddle.to_tensor(f(angle), dtype=q.dtype) for f in (np.sin, np.cos))
    return _turned(q, sin, cos, True)


_POSITIONS = np.array([[3, 0, 8, 1], [5, 5, 2, 7]], "int64")
_ROTATED = ((2, 4, 3, 6), (2, 4, 1, 6))

ROTARY = (
    *(
        Case(
            kernel="fused_rotary_position_embedding",
            name=name,
            call=call,
            shapes=shapes,
            dtypes=FLOATS,
            domain="unit",
            rule=rounded_once(2, 2),
            gradient=Gradient(
                kernel="fused_rotary_position_embedding_grad",
                rule=composed(2),
                magnitude=lambda *a: [np.full(x.shape, 8.0) for x in a[:4]],
                inputs=(0, 1),
            ),
        )
        for name, call, shapes in (
            ("", _rotary(), ((*_ROTATED, (4, 6), (4, 6)),)),
            ("halves", _rotary(False), ((*_ROTATED, (1, 5, 1, 6), (1, 5, 1, 6)),)),
            ("positions", _rotary(True, _POSITIONS), ((*_ROTATED, (9, 6), (9, 6)),)),
            (
                "time_major",
                _rotary(False, _POSITIONS, True),
                (((4, 2, 3, 6), (4, 2, 1, 6), (9, 6), (9, 6)),),
            ),
        )
    ),
    Case(
        kernel="fused_rotary_position_embedding",
        name="by_base",
        call=_rotary_by_base,
        shapes=(((1, 1, 1, 2),), ((2, 7, 3, 8),)),
        dtypes=FLOATS,
        domain="unit",
        rule=rounded_once(4, 16),
        gradient=Gradient(
            kernel="fused_rotary_position_embedding_grad",
            rule=composed(16),
            magnitude=lambda q, dy: [np.full(q.shape, 2 * float(np.abs(dy).max()))],
        ),
    ),
)

# -- fused_gemm_epilogue, fused_bias_act -----------------------------------------------------------


def _gelu(x):
    return F.gelu(x, approximate=True)


def _linear(activation, transpose_x=False, transpose_y=False):
    function = {"none": lambda x: x, "relu": F.relu, "gelu": _gelu}[activation]

    def call(x, y, bias):
        if _on_host():
            flat = x if transpose_x else x.reshape([-1, x.shape[-1]])
            result = function(paddle.matmul(flat, y, transpose_x, transpose_y) + bias)
            return result if transpose_x else result.reshape([*x.shape[:-1], bias.shape[0]])
        return _ops.fused_gemm_epilogue(x, y, bias, transpose_x, transpose_y, activation)[0]

    return call


def _linear_sizes(x, y, bias, dy):
    width = float(dy.size) ** 0.5 * (1 + float(np.abs(dy).max()))
    return [np.full(a.shape, 4 * width) for a in (x, y, bias)]


LINEAR = tuple(
    Case(
        kernel="fused_gemm_epilogue",
        name=name,
        call=call,
        shapes=shapes,
        dtypes=FLOATS,
        domain="unit",
        # the sum of products is rounded to the dtype before the bias is added
        rule=summed(lambda x, y, bias: max(x), nodes=2),
        gradient=Gradient(
            kernel="fused_gemm_epilogue_grad", rule=composed(4), magnitude=_linear_sizes
        ),
    )
    for name, call, shapes in (
        ("", _linear("none"), (((5, 7), (7, 3), (3,)), ((2, 5, 7), (7, 4), (4,)))),
        ("transposed", _linear("none", True, True), (((7, 5), (3, 7), (3,)),)),
        ("relu", _linear("relu", False, True), (((2, 5, 8), (128, 8), (128,)),)),
        ("gelu", _linear("gelu"), (((5, 8), (8, 16), (16,)),)),
    )
)


def _bias_act(name):
    def gated(function):
        def call(x):
            first, second = paddle.split(x, 2, axis=-1)
            return function(first) * second

        return call

    function = {
        "gelu": F.gelu, "relu": F.relu, "geglu": gated(F.gelu), "swiglu": gated(F.silu),
    }[name]  # fmt: skip

    def call(x, bias=None):
        if _on_host():
            return function(x if bias is None else x + bias)
        return _ops.fused_bias_act(x, bias, None, None, None, name, "default", -1.0, 0, 0.0, 0.0)

    return call


BIAS_ACT = tuple(
    Case(
        kernel="fused_bias_act",
        name=name,
        call=_bias_act(name),
        shapes=(((5, 8), (8,)), ((2, 3, 16), (16,)), ((3, 4),)),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(16, 8),
    )
    for name in ("gelu", "relu", "geglu", "swiglu")
)

# -- fused_bias_dropout_residual_layer_norm --------------------------------------------------------


def _residual_norm(rate, is_test, mode):
    def call(x, residual, bias, scale, shift):
        if _on_host():
            kept = (x + bias) * (1 - rate if is_test and mode != "upscale_in_train" else 1)
            return F.layer_norm(residual + kept, x.shape[-1:], scale, shift, 2.0**-10)
        return _ops.fused_bias_dropout_residual_layer_norm(
            x, residual, bias, scale, shift, rate, is_test, False, 0, mode, 2.0**-10
        )

    return call


def _norm_sizes(x, residual, bias, scale, shift, dy):
    # Rows differ by about 1 from their mean; one of equal numbers would be divided by 2^-5.
    size = 64.0 * float(np.abs(dy).max())
    rows = x.size / x.shape[-1]
    return [
        np.full(a.shape, size * (rows if a.ndim == 1 else 1))
        for a in (x, residual, bias, scale, shift)
    ]


RESIDUAL_NORM = tuple(
    Case(
        kernel="fused_bias_dropout_residual_layer_norm",
        name=name,
        call=_residual_norm(rate, is_test, mode),
        shapes=(((2, 3, 8), (2, 3, 8), (8,), (8,), (8,)), ((5, 33), (5, 33), (33,), (33,), (33,))),
        dtypes=FLOATS[:1],
        domain="unit",
        # the sum is rounded to the dtype, and then divided by its deviation
        rule=rounded_once(16.0, scale=2.0),
        gradient=None
        if is_test
        else Gradient(
            kernel="fused_bias_dropout_residual_layer_norm_grad",
            rule=composed(2),
            dtypes=FLOATS[:1],
            magnitude=_norm_sizes,
        ),
    )
    for name, rate, is_test, mode in (
        ("", 0.0, False, "upscale_in_train"),
        ("infer", 0.25, True, "upscale_in_train"),
        ("infer_less", 0.25, True, "downgrade_in_infer"),
    )
)

# -- top_p_sampling, accuracy ----------------------------------------------------------------------


def _likeliest(x):
    """Of p = 0 only the likeliest token is left. No two of the first scores are rounded to one."""
    scores = F.softmax(x.astype("float32") / 4).astype(x.dtype)
    if _on_host():
        top, ids = paddle.topk(scores, 3)
        return [top[:, :1], ids[:, :1], top, ids]
    none = paddle.zeros([x.shape[0]], x.dtype)
    return list(_ops.top_p_sampling(scores, none, None, None, -1, 3, "truncated"))


def _accuracy(k):
    def call(scores, labels):
        top, ids = paddle.topk(scores, k)
        labels = labels.astype("int64").unsqueeze(1)
        if not _on_host():
            return list(_ops.accuracy(top, ids, labels))
        found = (ids == labels).any(axis=1).astype("int32").sum().astype("int32")
        total = paddle.full_like(found, scores.shape[0])
        return [found.astype(top.dtype) / total.astype(top.dtype), found, total]

    return call


CHOICE = (
    Case(
        kernel="top_p_sampling",
        name="likeliest",
        call=_likeliest,
        shapes=(((1, 5),), ((4, 37),)),
        dtypes=FLOATS,
        domain="distinct",
        rule=rounded_once(8),
    ),
    *(
        Case(
            kernel="accuracy",
            name=name,
            call=_accuracy(k),
            shapes=(((5, 6), (5,)), ((12, 20), (12,))),
            dtypes=FLOATS,
            domain=("distinct", "classes"),
            rule=rounded_once(2),
        )
        for name, k in (("", 1), ("of_three", 3))
    ),
)

CASES = (*ROTARY, *LINEAR, *BIAS_ACT, *RESIDUAL_NORM, *CHOICE)
