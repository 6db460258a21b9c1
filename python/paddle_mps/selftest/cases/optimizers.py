"""Optimisers, one step each, and what surrounds them: loss scaling, averages of parameters.

Steps are in place: what is looked at is the memory of the inputs. State is float32 where a
parameter is half as wide. Rates and betas are numbers that float32 has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle

from ..tolerance import rounded_once
from .case import FLOATS, Case

_SHAPES = ((7,), (3, 5, 11), (127, 131))
_HALVES = ("float16", "bfloat16")


def _is_half(tensor):
    return str(tensor.dtype).endswith(_HALVES)


def _wide(tensor):
    return paddle.cast(tensor, "float32") if _is_half(tensor) else tensor.clone()


def _number(
    value: float, like: paddle.Tensor, on_host: bool = False, shape: tuple = (1,)
) -> paddle.Tensor:
    place = paddle.CPUPlace() if on_host else like.place
    numbers = np.full(shape, value)
    dtype = "float32" if _is_half(like) else like.dtype
    return paddle.to_tensor(numbers, dtype=dtype, place=place)


def _step(apply: Callable, keeps_master: bool = False, on_host: bool | None = None) -> Callable:
    """`apply` takes parameter, gradient, state, rate, master copy and a function that makes
    numbers; it returns those that change. The CPU device needs no master copy in float64."""

    def call(param, grad, *state):
        param, state = param.clone(), [_wide(s) for s in state]
        master = _wide(param) if keeps_master and _is_half(param) else None
        made = []

        def number(value, shape=(1,)):
            made.append(_number(value, param, bool(on_host), tuple(shape)))
            return made[-1]

        apply(param, grad, state, _number(0.125, param), master, number)
        copies = [master if master is not None else param] if keeps_master else []
        return [param, *(t.astype(param.dtype) for t in (*state, *copies, *made))]

    return call


_ops = paddle._C_ops


def _momentum(nesterov=False, regularization="", coefficient=0.0, rescale=1.0):
    return lambda p, g, s, rate, master, number: _ops.momentum_(
        p, g, s[0], rate, master, 0.875, nesterov, regularization, coefficient,
        master is not None, rescale,
    )  # fmt: skip


def _merged_momentum(p, g, s, rate, master, number):
    masters = None if master is None else [master]
    _ops.merged_momentum_(
        [p],
        [g],
        [s[0]],
        [rate],
        masters,
        0.875,
        True,
        ["l2_decay"],
        [0.25],
        master is not None,
        1.0,
    )


def _lars(decay):
    # paddle.incubate.optimizer.LarsMomentumOptimizer calls this one, which takes no master copies.
    return lambda p, g, s, rate, master, number: paddle._legacy_C_ops.lars_momentum(
        [p], [g], [s[0]], [rate], [p], [s[0]], "mu", 0.875, "lars_coeff", 0.25,
        "lars_weight_decay", [decay], "multi_precision", False, "epsilon", 0.0, "rescale_grad", 0.5,
    )  # fmt: skip


def _adam(amsgrad=False):
    return lambda p, g, s, rate, master, number: _ops.adam_(
        p, g, rate, s[0], s[1], s[2] if amsgrad else None, number(0.75), number(0.5), master, None,
        0.875, 0.9375, 2.0**-10, False, 1000, master is not None, False, amsgrad,
    )  # fmt: skip


def _adamw(ratio=1.0, amsgrad=False, decays=True):
    return lambda p, g, s, rate, master, number: _ops.adamw_(
        p, g, rate, s[0], s[1], s[2] if amsgrad else None, number(0.75), number(0.5), master, None,
        0.875, 0.9375, 2.0**-10, ratio, 0.25, decays, False, 1000, master is not None, False,
        amsgrad,
    )  # fmt: skip


def _merged_adam(p, g, s, rate, master, number):
    masters = None if master is None else [master]
    _ops.merged_adam_(
        [p], [g], [rate], [s[0]], [s[1]], None, [number(0.75)], [number(0.5)], masters,
        0.875, 0.9375, 2.0**-10, master is not None, False, False,
    )  # fmt: skip


def _lamb(decay, always=False):
    return lambda p, g, s, rate, master, number: _ops.lamb_(
        p, g, rate, s[0], s[1], number(0.75), number(0.5), master, None,
        decay, 0.875, 0.9375, 2.0**-10, always, master is not None,
    )  # fmt: skip


def _rprop(p, g, s, rate, master, number):
    limits = paddle.concat([number(2.0**-6), number(1.0)])
    etas = paddle.concat([number(0.5), number(1.25)])
    _ops.rprop_(p, g, s[0], s[1], master, limits, etas, master is not None)


def _rmsprop(centered, mu=0.875):
    def apply(p, g, s, rate, master, number):
        mean = s[2] if centered else None
        _ops.rmsprop_(
            p, s[0], g, s[1], rate, mean, master, 2.0**-4, 0.9375, mu, centered, master is not None
        )

    return apply


# -- in NumPy, whose word counts where Paddle's CPU device is wrong: it forgets rescale_grad, and
# applies lr_ratio to the decay alone, while Paddle's documents say the learning rate.

_CPU_IS_WRONG = (("momentum", "rescaled"), ("adamw", "rate_ratio"))


def _rescaled_momentum(p, g, velocity):
    velocity = velocity * 0.875 + g * 0.5
    return [p - 0.125 * velocity, velocity]


def _moments(g, mean, square):
    return mean * 0.875 + g * 0.125, square * 0.9375 + g * g * 0.0625


def _adamw_by_ratio(p, g, mean, square):
    mean, square = _moments(g, mean, square)
    rate, root = 0.125 * 0.5, np.sqrt(0.5)
    step = rate * root / 0.25 * mean / (np.sqrt(square) + 2.0**-10 * root)
    one = np.ones(1)
    return [p * (1 - rate * 0.25) - step, mean, square, one * 0.75 * 0.875, one * 0.5 * 0.9375]


def _nadam(p, g, mean, square):
    decay, power, one = 0.5 * 0.96, 0.75 * 0.9375, np.ones(p.shape)
    half = 0.5 * decay ** (2.0**-8)
    mu, next_mu = 0.875 * (1 - half), 0.875 * (1 - half * 0.96 ** (2.0**-8))
    product = 0.25 * mu
    mean, square = _moments(g, mean, square)
    ahead = next_mu * mean / (1 - product * next_mu) + (1 - mu) * g / (1 - product)
    p = p - 0.125 * ahead / (np.sqrt(square / (1 - power)) + 2.0**-10)
    return [p, mean, square, one * decay, one * power, one * product]


def _radam(rho):
    def step(p, g, mean, square):
        power_1, power_2, one = 0.75 * 0.875, 0.5 * 0.9375, np.ones(p.shape)
        next_rho = (rho * (0.9375 - power_2) + power_2) / (1 - power_2)
        mean, square = _moments(g, mean, square)
        last = 2 / (1 - 0.9375) - 1
        length = last - 2 * next_rho
        size = 1.0
        if length > 5:
            size = np.sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length))
            size = size * np.sqrt(1 - power_2) / (np.sqrt(square) + 2.0**-10)
        p = p - 0.125 * mean / (1 - power_1) * size
        return [p, mean, square, one * power_1, one * power_2, one * next_rho]

    return step


_NUMPY = {
    ("momentum", "rescaled"): _rescaled_momentum,
    ("adamw", "rate_ratio"): _adamw_by_ratio,
    ("nadam", ""): _nadam,
    ("radam", ""): _radam(1.0),
    ("radam", "early"): _radam(20.0),
}


def _numpy(kernel: str, name: str, states: int, keeps_master: bool) -> Callable | None:
    step = _NUMPY.get((kernel, name))
    if step is None or not keeps_master:
        return step

    def with_master(*numbers):
        results = step(*numbers)
        return [*results[: 1 + states], results[0], *results[1 + states :]]

    return with_master


# kernel, name, domains of the state, step, whether its numbers lie on the host
_ROWS = (
    ("sgd", "", (), lambda p, g, s, rate, m, n: _ops.sgd_(p, rate, g, m, m is not None), None),
    ("momentum", "", ("small",), _momentum(), None),
    ("momentum", "rescaled", ("small",), _momentum(rescale=0.5), None),
    ("momentum", "nesterov", ("small",), _momentum(True, "l2_decay", 0.25), None),
    ("merged_momentum", "", ("small",), _merged_momentum, None),
    ("lars_momentum", "", ("small",), _lars(0.25), None),
    ("lars_momentum", "without_decay", ("small",), _lars(0.0), None),
    (
        "adagrad",
        "",
        ("positive",),
        lambda p, g, s, rate, m, n: _ops.adagrad_(p, g, s[0], rate, m, 2.0**-10, m is not None),
        None,
    ),
    (
        "adadelta",
        "",
        ("positive", "positive"),
        lambda p, g, s, rate, m, n: _ops.adadelta_(
            p, g, s[0], s[1], rate, m, 0.875, 2.0**-10, m is not None
        ),
        None,
    ),
    ("rmsprop", "", ("positive", "small"), _rmsprop(False), None),
    ("rmsprop", "centered", ("positive", "small", "fractions"), _rmsprop(True), None),
    ("adam", "", ("small", "positive"), _adam(), True),
    ("adam", "powers_on_device", ("small", "positive"), _adam(), False),
    ("adam", "amsgrad", ("small", "positive", "positive"), _adam(True), True),
    ("adamw", "", ("small", "positive"), _adamw(), True),
    ("adamw", "powers_on_device", ("small", "positive"), _adamw(), False),
    ("adamw", "rate_ratio", ("small", "positive"), _adamw(0.5), True),
    ("adamw", "amsgrad", ("small", "positive", "positive"), _adamw(amsgrad=True), True),
    ("adamw", "without_decay", ("small", "positive"), _adamw(decays=False), True),
    ("merged_adam", "", ("small", "positive"), _merged_adam, True),
    (
        "adamax",
        "",
        ("small", "positive"),
        lambda p, g, s, rate, m, n: _ops.adamax_(
            p, g, rate, s[0], s[1], n(0.75), m, 0.875, 0.9375, 2.0**-10, m is not None
        ),
        None,
    ),
    ("lamb", "", ("small", "positive"), _lamb(0.25), True),
    ("lamb", "without_decay", ("small", "positive"), _lamb(0.0), True),
    ("lamb", "always", ("small", "positive"), _lamb(0.0, True), False),
    (
        "nadam",
        "",
        ("small", "positive"),
        lambda p, g, s, rate, m, n: _ops.nadam_(
            p, g, rate, n(0.5, p.shape), n(0.75, p.shape), n(0.25, p.shape), s[0], s[1], m,
            0.875, 0.9375, 2.0**-10, 2.0**-8, m is not None,
        ),
        None,
    ),
    *(
        (
            "radam",
            name,
            ("small", "positive"),
            lambda p, g, s, rate, m, n, rho=rho: _ops.radam_(
                p, g, rate, n(0.75, p.shape), n(0.5, p.shape), n(rho, p.shape), s[0], s[1], m,
                0.875, 0.9375, 2.0**-10, m is not None,
            ),
            None,
        )
        for name, rho in (("", 1.0), ("early", 20.0))
    ),
    (
        "asgd",
        "",
        ("small", "small"),
        lambda p, g, s, rate, m, n: _ops.asgd_(p, g, rate, s[0], s[1], n(4.0), m, m is not None),
        None,
    ),
    ("rprop", "", ("small", "fractions"), _rprop, None),
)  # fmt: skip

OPTIMIZERS = tuple(
    Case(
        kernel=kernel,
        name="_".join(filter(None, (name, "master" if keeps_master else ""))),
        call=_step(apply, keeps_master, on_host),
        shapes=tuple((shape,) * (2 + len(state)) for shape in _SHAPES),
        dtypes=_HALVES if keeps_master else FLOATS,
        domain=("small", "small", *state),
        rule=rounded_once(16, 8),
        numpy=_numpy(kernel, name, len(state), keeps_master),
        cpu_is_wrong=(kernel, name) in _CPU_IS_WRONG,
        layouts=False,
        like_cpu=False,
    )
    for keeps_master in (False, True)
    for kernel, name, state, apply, on_host in _ROWS
    if not (keeps_master and (name or kernel == "lars_momentum"))
)

# -- around them ----------------------------------------------------------------------------------


def _unscale(value):
    def call(*xs):
        xs = [x.clone() for x in xs]
        if value is not None:
            xs[-1] = paddle.where(
                paddle.ones_like(xs[-1]) > 0, paddle.full_like(xs[-1], value), xs[-1]
            )
        outs, found = _ops.check_finite_and_unscale_(xs, _number(16.0, xs[0]))
        return [found] if value is not None else [*outs, found]

    return call


def _scaling(found, good, bad, stops=False, scale=16.0):
    def call(x, y):
        x, y = x.clone(), y.clone()
        loss_scale = _number(scale, x)
        steps = [paddle.to_tensor([n], dtype="int32", place=x.place) for n in (good, bad)]
        flag = paddle.to_tensor([found], place=x.place)
        _ops.update_loss_scaling_([x, y], flag, loss_scale, *steps, 4, 2, 2.0, 0.5, stops)
        return [x, y, loss_scale.astype(x.dtype), *steps]

    return call


AROUND = (
    *(
        Case(
            kernel="check_finite_and_unscale",
            name=name,
            call=_unscale(value),
            shapes=(((7,), (3, 5)), ((127, 131), (11,))),
            dtypes=FLOATS,
            domain="small",
            rule=rounded_once(2),
            layouts=False,
            like_cpu=False,
        )
        for name, value in (("", None), ("infinite", float("-inf")), ("nan", float("nan")))
    ),
    *(
        Case(
            kernel="update_loss_scaling",
            name=name,
            call=_scaling(*numbers),
            shapes=(((7,), (3, 5)),),
            dtypes=FLOATS,
            domain="small",
            layouts=False,
            like_cpu=False,
        )
        for name, numbers in (
            ("", (False, 1, 1)),
            ("grows", (False, 3, 1)),
            ("overflowed", (True, 3, 0)),
            ("shrinks", (True, 3, 1)),
            ("shrinks_to_1", (True, 0, 1, False, 1.0)),
            ("stopped", (True, 3, 1, True)),
        )
    ),
)


def _averages(accumulates, updates):
    def call(param, *sums):
        sums = [_wide(s) for s in sums] if not _is_half(param) else [s.clone() for s in sums]
        counts = [
            paddle.to_tensor([n], dtype="int64", place=param.place)
            for n in (accumulates, 3, updates)
        ]
        _ops.average_accumulates_(param, *sums, *counts, 0.5, 10, 2)
        return [*sums, *counts]

    return call


AVERAGES = tuple(
    Case(
        kernel="average_accumulates",
        name=name,
        call=_averages(*numbers),
        shapes=tuple((shape,) * 4 for shape in _SHAPES),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(4, 8),
        layouts=False,
        like_cpu=False,
    )
    for name, numbers in (("", (2, 40)), ("window_ends", (9, 40)), ("spills", (0, 16383)))
)

CASES = (*OPTIMIZERS, *AROUND, *AVERAGES)
