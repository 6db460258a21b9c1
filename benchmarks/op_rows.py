"""The rows of all_ops.py: every family of operators, on a million elements or more.

A row is what to call, on what, and which promise it is held to:

    memory    does next to no arithmetic: no slower than the CPU, within 1.25 of STREAM's time. On
              16M elements, four times a cache of 32 MB with the result: 4M just fit it or not
    function  a transcendental function: 4 times as fast as the CPU
    outer     a reduction over outer axes, or a strided copy: twice as fast
    plain     anything else: no slower
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import paddle
import paddle.nn.functional as F

SIDE = 2048
SMALL = 1024
WIDE = 4096

Make = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Row:
    """One op: its family, the promise, Paddle code, and what makes its inputs.

    `rest` is how many bytes Paddle's own Python moves besides inputs and results.
    """

    name: str
    bar: str
    call: Callable
    inputs: tuple[Make, ...]
    rest: int = 0


def real(*shape: int, low: float = 0.1, high: float = 4.0, dtype: str = "float32") -> Make:
    return lambda rng: rng.uniform(low, high, shape or (SIDE, SIDE)).astype(dtype)


def pairs(*shape: int) -> Make:
    return lambda rng: (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype("complex64")


def whole(*shape: int, low: int = 0, high: int = 100, dtype: str = "int64") -> Make:
    return lambda rng: rng.integers(low, high, shape or (SIDE, SIDE)).astype(dtype)


def truth(*shape: int, share: float = 0.5) -> Make:
    return lambda rng: rng.random(shape or (SIDE, SIDE)) < share


def ordered(*shape: int) -> Make:
    return lambda rng: np.sort(rng.random(shape), axis=-1).astype("float32")


X = real()
S = real(SMALL, SMALL)
UNIT = real(low=-0.99, high=0.99)
BOTH = real(low=-3.0, high=3.0)
LONG = real(SIDE * SIDE)
INT = whole()
INT32 = whole(dtype="int32")
WIDE_X = real(WIDE, WIDE)
WIDE_BOTH = real(WIDE, WIDE, low=-3.0, high=3.0)
WIDE_INT = whole(WIDE, WIDE)
WIDE_INT32 = whole(WIDE, WIDE, dtype="int32")
WIDE_TRUTH = truth(WIDE, WIDE)


def rows(bar: str, inputs: tuple[Make, ...], **calls: Callable) -> list[Row]:
    return [Row(name, bar, call, inputs) for name, call in calls.items()]


def named(bar: str, inputs: tuple[Make, ...], *names: str, module=paddle) -> list[Row]:
    return [Row(name, bar, getattr(module, name), inputs) for name in names]


ELEMENTWISE = [
    *named("function", (X,), "exp", "log", "log2", "log10", "log1p", "expm1", "sin", "cos", "tan"),
    *named("function", (X,), "sinh", "cosh", "tanh", "asinh", "lgamma", "digamma", "atan", "erf"),
    *named("function", (UNIT,), "asin", "acos", "atanh", "erfinv"),
    *rows("function", (real(low=1.1),), acosh=paddle.acosh),
    *named("memory", (WIDE_BOTH,), "abs", "square", "sign", "floor", "ceil", "round", "trunc"),
    *rows("memory", (WIDE_BOTH,), neg=lambda x: -x, scale=lambda x: paddle.scale(x, 2.0, 1.0)),
    *rows("memory", (WIDE_BOTH,), clip=lambda x: paddle.clip(x, -1.0, 1.0)),
    *named("memory", (WIDE_X,), "sqrt", "rsqrt", "reciprocal"),
    *named("memory", (WIDE_BOTH,), "isnan", "isinf", "isfinite"),
    *named(
        "memory", (WIDE_X, WIDE_BOTH), "add", "subtract", "multiply", "divide", "maximum", "minimum"
    ),
    *named("memory", (WIDE_X, WIDE_BOTH), "fmax", "fmin"),
    *named(
        "memory",
        (WIDE_X, WIDE_BOTH),
        "less_than",
        "less_equal",
        "greater_than",
        "equal",
        "not_equal",
    ),
    *named("function", (X, BOTH), "pow", "atan2"),
    *named("plain", (X, real(low=1.0)), "remainder", "floor_divide"),
    *rows("memory", (WIDE_X,), pow_2=lambda x: paddle.pow(x, 2.0)),
    *rows("function", (X,), pow_1_7=lambda x: paddle.pow(x, 1.7)),
    *rows("memory", (WIDE_X, WIDE_X), lerp=lambda x, y: paddle.lerp(x, y, 0.3)),
    *rows("memory", (WIDE_INT, WIDE_INT), add_int64=paddle.add, multiply_int64=paddle.multiply),
    *rows(
        "memory", (WIDE_INT, WIDE_INT), less_than_int64=paddle.less_than, equal_int64=paddle.equal
    ),
    *rows("plain", (INT, whole(low=1)), floor_divide_int64=paddle.floor_divide),
    *rows("plain", (INT, whole(low=1)), remainder_int64=paddle.remainder),
    *named("memory", (WIDE_INT32, WIDE_INT32), "bitwise_and", "bitwise_or", "bitwise_xor"),
    *named("memory", (WIDE_TRUTH, WIDE_TRUTH), "logical_and", "logical_or", "logical_xor"),
    *named("memory", (WIDE_TRUTH,), "logical_not"),
    *rows("memory", (WIDE_TRUTH, WIDE_X, WIDE_X), where=paddle.where),
    *rows("memory", (WIDE_X,), cast_float16=lambda x: x.cast("float16")),
    *rows(
        "memory",
        (WIDE_X,),
        cast_int64=lambda x: x.cast("int64"),
        cast_bool=lambda x: x.cast("bool"),
    ),
    *rows("memory", (WIDE_INT,), cast_float32=lambda x: x.cast("float32")),
]

ACTIVATIONS = [
    *named("function", (BOTH,), "sigmoid", "silu", "gelu", "elu", "selu", "celu", module=F),
    *named("function", (BOTH,), "softplus", "mish", "log_sigmoid", "tanhshrink", "swish", module=F),
    *named(
        "memory", (WIDE_BOTH,), "relu", "relu6", "leaky_relu", "hardtanh", "hardswish", module=F
    ),
    *named("memory", (WIDE_BOTH,), "hardsigmoid", "hardshrink", "softshrink", "softsign", module=F),
    *named("memory", (WIDE_BOTH,), "thresholded_relu", module=F),
    *named("plain", (BOTH,), "softmax", "log_softmax", module=F),
    *rows("plain", (BOTH,), glu=F.glu, maxout=lambda x: F.maxout(x.reshape([4, 8, 512, 256]), 2)),
    *rows(
        "plain",
        (X, real(SIDE), real(SIDE)),
        layer_norm=lambda x, w, b: F.layer_norm(x, SIDE, weight=w, bias=b),
    ),
]

REDUCTIONS = [
    *rows("memory", (WIDE_X,), sum=paddle.sum, mean=paddle.mean, max=paddle.max, min=paddle.min),
    *rows("plain", (X,), prod=paddle.prod, logsumexp=paddle.logsumexp, std=paddle.std),
    *rows("plain", (X,), norm=paddle.linalg.norm, argmax=paddle.argmax, argmin=paddle.argmin),
    *(
        Row(f"{name}_axis_{axis}", bar, lambda x, c=call, a=axis: c(x, axis=a), (X,))
        for name, call in {
            "sum": paddle.sum,
            "mean": paddle.mean,
            "max": paddle.max,
            "min": paddle.min,
            "prod": paddle.prod,
            "argmax": paddle.argmax,
            "logsumexp": paddle.logsumexp,
            "amax": paddle.amax,
            "var": paddle.var,
        }.items()
        for axis, bar in ((0, "outer"), (1, "plain"))
    ),
    *rows("outer", (real(16, 512, 512),), sum_axis_01=lambda x: paddle.sum(x, axis=[0, 1])),
    *rows("outer", (real(16, 512, 512),), max_axis_1_of_3=lambda x: paddle.max(x, axis=1)),
    *rows("plain", (truth(share=0.0),), any=paddle.any),
    *rows("plain", (truth(share=1.0),), all=paddle.all),
    *rows("plain", (INT,), sum_int64=paddle.sum, max_int64=paddle.max),
    *rows("plain", (X, X), equal_all=paddle.equal_all, allclose=paddle.allclose, dist=paddle.dist),
    *rows("plain", (S,), median=paddle.median),
    *rows("plain", (X,), trace=paddle.trace),
]

SCANS = [
    *rows("plain", (LONG,), cumsum_flat=paddle.cumsum),
    *rows("plain", (X,), cumsum_axis_1=lambda x: paddle.cumsum(x, axis=1)),
    *rows("plain", (X,), cumsum_axis_0=lambda x: paddle.cumsum(x, axis=0)),
    *rows("plain", (INT,), cumsum_int64=lambda x: paddle.cumsum(x, axis=1)),
    *rows("plain", (real(low=0.9, high=1.1),), cumprod=lambda x: paddle.cumprod(x, dim=1)),
    *rows("plain", (S,), cummax=lambda x: paddle.cummax(x, axis=1)),
    *rows("plain", (S,), cummin=lambda x: paddle.cummin(x, axis=1)),
    *rows("plain", (S,), logcumsumexp=lambda x: paddle.logcumsumexp(x, axis=1)),
]

ORDER = [
    *rows("plain", (LONG,), argsort_flat=paddle.argsort, sort_flat=paddle.sort),
    *rows("plain", (X,), argsort=paddle.argsort, sort=paddle.sort),
    *rows("plain", (X,), sort_axis_0=lambda x: paddle.sort(x, axis=0)),
    *rows("plain", (whole(SMALL * SMALL, high=1 << 40),), argsort_int64=paddle.argsort),
    *rows("plain", (INT32,), sort_int32=paddle.sort),
    *rows(
        "plain", (X,), topk_8=lambda x: paddle.topk(x, 8), kthvalue=lambda x: paddle.kthvalue(x, 9)
    ),
    *rows("plain", (LONG,), topk_flat=lambda x: paddle.topk(x, 100)),
    *rows("plain", (S,), mode=paddle.mode),
    *rows("plain", (whole(SMALL * SMALL, high=1000),), unique=paddle.unique),
    *rows("plain", (whole(SMALL * SMALL, high=4),), unique_consecutive=paddle.unique_consecutive),
    *rows(
        "plain",
        (ordered(SMALL), real(SMALL * SMALL, low=0, high=1)),
        searchsorted=paddle.searchsorted,
    ),
    *rows("plain", (LONG,), histogram=lambda x: paddle.histogram(x, 100, 0, 4)),
    *rows("plain", (whole(SIDE * SIDE),), bincount=paddle.bincount),
]

INDEXING = [
    *rows(
        "memory",
        (WIDE_X, whole(WIDE, high=WIDE)),
        gather=paddle.gather,
        index_select=paddle.index_select,
    ),
    *rows(
        "plain",
        (X, whole(SIDE, high=SIDE)),
        index_select_1=lambda x, i: paddle.index_select(x, i, 1),
    ),
    *rows("plain", (LONG, whole(SIDE * SMALL, high=SIDE * SIDE)), gather_flat=paddle.gather),
    *rows("plain", (X, whole(SIDE * SMALL, 2, high=SIDE)), gather_nd=paddle.gather_nd),
    *rows("plain", (X, whole(SIDE, SIDE, high=SIDE)), index_sample=paddle.index_sample),
    *rows(
        "plain",
        (X, whole(SIDE, SIDE, high=SIDE)),
        take_along_0=lambda x, i: paddle.take_along_axis(x, i, 0),
        take_along_1=lambda x, i: paddle.take_along_axis(x, i, 1),
    ),
    *rows(
        "plain",
        (X, whole(SIDE, SIDE, high=SIDE), X),
        put_along=lambda x, i, v: paddle.put_along_axis(x, i, v, 1),
        put_along_add=lambda x, i, v: paddle.put_along_axis(x, i, v, 1, reduce="add"),
    ),
    *rows(
        "plain",
        (X, lambda rng: rng.permutation(SIDE), X),
        scatter=paddle.scatter,
        scatter_add=lambda x, i, v: paddle.scatter(x, i, v, overwrite=False),
        index_add=lambda x, i, v: paddle.index_add(x, i, 0, v),
        index_put=lambda x, i, v: paddle.index_put(x, (i,), v),
    ),
    *rows(
        "plain",
        (X, whole(SMALL * SMALL, 2, high=SIDE), real(SMALL * SMALL)),
        scatter_nd_add=paddle.scatter_nd_add,
    ),
    # Every row of the table once, so that what is counted is what must be read.
    *rows(
        "memory",
        (lambda rng: rng.permutation(SIDE * 16).reshape(256, 128), real(SIDE * 16, 512)),
        embedding=F.embedding,
    ),
    *rows("plain", (X, truth()), masked_select=paddle.masked_select),
    *rows("plain", (truth(),), nonzero=paddle.nonzero),
    # Paddle 3.3.1 casts every mask to bool, also one of bool: a copy.
    Row(
        "masked_fill",
        "memory",
        lambda x, m: paddle.masked_fill(x, m, 0.0),
        (WIDE_X, WIDE_TRUTH),
        rest=2 * WIDE * WIDE,
    ),
    *rows("plain", (whole(SIDE, high=SMALL),), one_hot=lambda i: F.one_hot(i, SMALL)),
]

MOVEMENT = [
    *rows("outer", (X,), transposed=lambda x: x.t().contiguous()),
    *rows(
        "outer",
        (real(64, 256, 256),),
        transpose_021=lambda x: paddle.transpose(x, [0, 2, 1]).contiguous(),
    ),
    *rows(
        "outer",
        (real(64, 256, 256),),
        transpose_102=lambda x: paddle.transpose(x, [1, 0, 2]).contiguous(),
    ),
    *rows(
        "outer",
        (real(64, 256, 256),),
        transpose_120=lambda x: paddle.transpose(x, [1, 2, 0]).contiguous(),
    ),
    *rows("outer", (real(16, 512, 8, 64),), heads=lambda x: x.transpose([0, 2, 1, 3]).contiguous()),
    *rows(
        "outer", (X,), step_2=lambda x: x[:, ::2].contiguous(), rows_2=lambda x: x[::2].contiguous()
    ),
    *rows("outer", (X,), slice=lambda x: x[:, 5:1900].contiguous()),
    *rows("outer", (INT,), transposed_int64=lambda x: x.t().contiguous()),
    *rows("outer", (whole(dtype="uint8"),), transposed_uint8=lambda x: x.t().contiguous()),
    *rows("memory", (WIDE_X, WIDE_X), concat=lambda x, y: paddle.concat([x, y])),
    *rows(
        "memory",
        (WIDE_X, WIDE_X),
        concat_1=lambda x, y: paddle.concat([x, y], axis=1),
        stack=lambda x, y: paddle.stack([x, y]),
    ),
    *rows("plain", (S, S), stack_last=lambda x, y: paddle.stack([x, y], axis=-1)),
    *rows("plain", (X,), flip=lambda x: paddle.flip(x, [1]), flip_0=lambda x: paddle.flip(x, [0])),
    *rows(
        "plain", (X,), roll=lambda x: paddle.roll(x, 3, 1), tile=lambda x: paddle.tile(x, [2, 1])
    ),
    *rows("plain", (X,), split=lambda x: [y.contiguous() for y in paddle.split(x, 2, 1)]),
    *rows("plain", (X,), tril=paddle.tril, triu=paddle.triu),
    *rows("plain", (S,), expand=lambda x: paddle.expand(x, [4, SMALL, SMALL]).contiguous()),
    *rows("plain", (S,), repeat_interleave=lambda x: paddle.repeat_interleave(x, 4, 1)),
    *rows("plain", (X,), clone=paddle.clone, pad=lambda x: F.pad(x, [1, 1, 1, 1])),
    *rows(
        "plain",
        (real(8, 64, 64, 64),),
        pad_reflect=lambda x: F.pad(x, [1, 1, 1, 1], mode="reflect"),
    ),
    *rows("plain", (real(8, 64, 64, 64),), pixel_shuffle=lambda x: F.pixel_shuffle(x, 2)),
    *rows("plain", (real(8, 64, 64, 64),), channel_shuffle=lambda x: F.channel_shuffle(x, 8)),
    *rows("plain", (real(8, 16, 64, 64),), unfold=lambda x: F.unfold(x, 3, paddings=1)),
    *rows("plain", (real(8, 144, 4096),), fold=lambda x: F.fold(x, 64, 3, paddings=1)),
    *rows("plain", (real(SIDE),), diag=paddle.diag, diag_embed=paddle.diag_embed),
    *rows(
        "plain",
        (real(SIDE), real(SIDE)),
        meshgrid=lambda x, y: [z.contiguous() for z in paddle.meshgrid(x, y)],
    ),
    *rows("plain", (real(64, 64), real(32, 32)), kron=paddle.kron),
]

CREATION = [
    *rows(
        "plain",
        (),
        full=lambda: paddle.full([SIDE, SIDE], 3.0),
        zeros=lambda: paddle.zeros([SIDE, SIDE]),
    ),
    *rows("plain", (), arange=lambda: paddle.arange(SIDE * SIDE), eye=lambda: paddle.eye(SIDE)),
    *rows("plain", (), linspace=lambda: paddle.linspace(0, 1, SIDE * SIDE)),
    *rows("plain", (), tril_indices=lambda: paddle.tril_indices(SIDE, SIDE)),
    *rows("plain", (X,), ones_like=paddle.ones_like, full_like=lambda x: paddle.full_like(x, 2.0)),
    *rows("plain", (X,), fill_=lambda x: x.fill_(1.0)),
]

RANDOM = [
    *rows(
        "plain",
        (),
        uniform=lambda: paddle.uniform([SIDE, SIDE]),
        randn=lambda: paddle.randn([SIDE, SIDE]),
    ),
    *rows("plain", (), randint=lambda: paddle.randint(0, 100, [SIDE, SIDE])),
    *rows("plain", (), randperm=lambda: paddle.randperm(SMALL * SMALL)),
    *rows("plain", (real(low=0, high=1),), bernoulli=paddle.bernoulli),
    *rows("plain", (real(SMALL, SMALL),), multinomial=lambda p: paddle.multinomial(p, SMALL, True)),
    *rows("plain", (real(SMALL, SMALL),), multinomial_5=lambda p: paddle.multinomial(p, 5)),
    *rows("plain", (S,), poisson=paddle.poisson, standard_gamma=paddle.standard_gamma),
    *rows("plain", (X,), dropout=F.dropout, exponential_=lambda x: x.exponential_()),
]

PRODUCTS = [
    *rows("plain", (S, S), matmul=paddle.matmul),
    *rows("plain", (real(64, 128, 128), real(64, 128, 128)), bmm=paddle.bmm),
    *rows("plain", (X, real(SIDE)), mv=paddle.mv, add_row=paddle.add),
    *rows("plain", (X, real(SIDE, 1)), add_column=paddle.add),
    *rows("plain", (LONG, LONG), dot=paddle.dot),
    *rows("plain", (S, S, S), addmm=paddle.addmm),
    *rows(
        "plain",
        (real(SIDE * SMALL, 3), real(SIDE * SMALL, 3)),
        cross=lambda x, y: paddle.cross(x, y, axis=1),
    ),
    *rows("plain", (X, X, X), add_n=lambda *x: paddle.add_n(list(x))),
]

SPECTRA = [
    *rows("plain", (real(SIDE, 512),), rfft=paddle.fft.rfft),
    *rows("plain", (S,), rfft2=paddle.fft.rfft2),
    *rows("plain", (pairs(SMALL, SMALL),), fft=paddle.fft.fft),
    *rows("plain", (pairs(SIDE, 257),), irfft=paddle.fft.irfft),
    *rows(
        "plain",
        (real(16, 65536), real(512)),
        stft=lambda x, window: paddle.signal.stft(x, 512, 160, window=window),
    ),
]

ROWS = tuple(
    [
        *ELEMENTWISE,
        *ACTIVATIONS,
        *REDUCTIONS,
        *SCANS,
        *ORDER,
        *INDEXING,
        *MOVEMENT,
        *CREATION,
        *RANDOM,
        *PRODUCTS,
        *SPECTRA,
    ]
)
