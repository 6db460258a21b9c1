"""Gradients of some rows of a table, as embeddings have them that are asked for sparse ones."""

import paddle
from paddle.nn import clip
from paddle.nn import functional as F

from ..tolerance import EXACT, rounded_once
from .case import FLOATS, Case
from .optimizers import _HALVES, _adam, _momentum, _ops, _rmsprop, _step

_TABLE, _READ, _ROWS = (7, 3), (4, 3), [1, 2, 2, 5]


def _gradient(table, dout, sparse=True):
    """That of a table of which some rows were read."""
    with paddle.enable_grad():
        table = table.detach()
        table.stop_gradient = False
        rows = paddle.to_tensor(_ROWS, place=table.place)
        F.embedding(rows, table, sparse=sparse).backward(dout)
    return table.grad


def _values(rows):
    return clip.get_tensor_from_selected_rows(rows)


def _on_host():
    return not paddle.get_device().startswith("mps")


def _clipped(rows):
    if _on_host():  # whose CPU device clips no rows of float64
        values = _values(clip.merge_selected_rows(rows))
        return values * (1.5 / paddle.clip(values.norm(), min=1.5))
    return _values(clip.clip_by_norm(rows, 1.5))


ROWS = tuple(
    Case(
        kernel=kernel,
        call=call,
        shapes=((_TABLE, _READ),),
        dtypes=FLOATS,
        domain="small",
        rule=rule,
        layouts=False,
    )
    for kernel, call, rule in (
        ("embedding_sparse_grad", lambda x, dout: _values(_gradient(x, dout)), EXACT),
        ("get_tensor_from_selected_rows", lambda x, dout: _values(_gradient(x, dout)), EXACT),
        (
            "merge_selected_rows",
            lambda x, dout: _values(clip.merge_selected_rows(_gradient(x, dout))),
            rounded_once(1, 4),
        ),
        (
            "clip_by_norm_sr",
            lambda x, dout: _clipped(_gradient(x, dout)),
            rounded_once(8, 1),
        ),
        (
            "multiply_sr",
            lambda x, dout: _values(paddle.multiply(_gradient(x, dout), x.flatten()[:1].sum())),
            rounded_once(1, 4),
        ),
    )
)


def _lazy_adam(p, g, s, rate, master, number):
    """Rows that were not read stay as they are."""
    changed = [t for t in (p, *s, master) if t is not None]
    before = [t.clone() for t in changed]
    _ops.adam_(
        p, g, rate, s[0], s[1], None, number(0.75), number(0.5), master, None,
        0.875, 0.9375, 2.0**-10, True, 1000, master is not None, False, False,
    )  # fmt: skip
    if _on_host():  # where the gradient is a dense one
        read = paddle.zeros_like(p)
        read[_ROWS] = 1.0
        for now, old in zip(changed, before):
            paddle.assign(paddle.where(read > 0, now, old), now)


def _sgd(p, g, s, rate, master, number):
    _ops.sgd_(p, rate, g, master, master is not None)


def _adagrad(p, g, s, rate, master, number):
    _ops.adagrad_(p, g, s[0], rate, master, 2.0**-10, master is not None)


def _stepped(kernel, apply, keeps_master, on_host):
    step = _step(apply, keeps_master, on_host)

    def call(param, dout, *state):
        # Paddle's CPU device moves Adam's powers before it reads them, if rows are given to it.
        dense = kernel == "adam" and _on_host()
        return step(param, _gradient(param, dout, not dense), *state)

    return call


_STEPS = (
    ("sgd", "", (), _sgd, None),
    ("momentum", "", ("small",), _momentum(), None),
    ("momentum", "nesterov", ("small",), _momentum(nesterov=True), None),
    ("adagrad", "", ("positive",), _adagrad, None),
    ("rmsprop", "", ("positive", "small"), _rmsprop(False), None),
    ("rmsprop", "centered", ("positive", "small", "fractions"), _rmsprop(True), None),
    ("adam", "", ("small", "positive"), _adam(), True),
    ("adam", "lazy", ("small", "positive"), _lazy_adam, True),
)

STEPS = tuple(
    Case(
        kernel=f"{kernel}_dense_param_sparse_grad",
        name="_".join(filter(None, (name, "master" if keeps_master else ""))),
        call=_stepped(kernel, apply, keeps_master, on_host),
        shapes=((_TABLE, _READ, *((_TABLE,) * len(state))),),
        dtypes=_HALVES if keeps_master else FLOATS,
        domain=("small", "small", *state),
        rule=rounded_once(16, 8),
        layouts=False,
        like_cpu=False,
    )
    for keeps_master in (False, True)
    for kernel, name, state, apply, on_host in _STEPS
    if not (keeps_master and name)
)

CASES = (*ROWS, *STEPS)
