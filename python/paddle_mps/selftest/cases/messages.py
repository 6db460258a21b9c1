"""Rows that go to other rows: segments, and messages along the edges of graphs."""

import numpy as np
import paddle

from ..tolerance import summed
from .case import FLOATS, Case, Gradient

_DTYPES = (*FLOATS, "int32", "int64")
# Some rows get no message, some several; rows are sent twice, and one is not.
_FROM, _TO = (0, 1, 2, 0, 4, 4, 1), (3, 3, 0, 0, 3, 1, 3)
_SEGMENTS = (0, 0, 1, 3, 3, 3, 4)


def _few(*shapes):
    """More messages than any row below gets, times the features that are summed over."""
    return 64


# Of each kernel one case is asked in every layout: the others differ in what comes after.


def _places(numbers):
    return paddle.to_tensor(np.array(numbers))


def _segments(kind):
    call = getattr(paddle.geometric, f"segment_{kind}")
    extreme = kind in ("min", "max")
    return Case(
        kernel="segment_pool",
        name=kind,
        call=lambda x: call(x, _places(_SEGMENTS)),
        shapes=(((7,),), ((7, 3),), ((7, 2, 5),)),
        # The CPU device's mean of integers is a float32 quotient, cut.
        dtypes=FLOATS if kind == "mean" else _DTYPES,
        domain="distinct" if extreme else "small",
        rule=summed(_few),
        layouts=kind == "sum",
        gradient=Gradient(
            kernel="segment_pool_grad",
            rule=summed(_few),
            dtypes=_DTYPES,
        ),
    )


SEGMENTS = tuple(_segments(kind) for kind in ("sum", "mean", "min", "max"))


def _send_u(kind, name="", size=None, to=_TO):
    extreme = kind in ("min", "max")
    return Case(
        kernel="send_u_recv",
        name=f"{kind}{name}",
        call=lambda x: paddle.geometric.send_u_recv(x, _places(_FROM), _places(to), kind, size),
        shapes=(((5,),), ((5, 3),), ((5, 2, 3),)),
        dtypes=FLOATS if kind == "mean" else _DTYPES,
        domain="distinct" if extreme else "small",
        rule=summed(_few),
        layouts=kind == "sum" and not name,
        gradient=Gradient(kernel="send_u_recv_grad", rule=summed(_few), dtypes=_DTYPES),
    )


SEND_U = (
    *(_send_u(kind) for kind in ("sum", "mean", "min", "max")),
    _send_u("sum", "_to_more_rows", 9, (8, 3, 0, 0, 3, 7, 3)),
    _send_u("mean", "_to_fewer_rows", 4),
)


def _send_ue(message, kind):
    extreme = kind in ("min", "max")
    return Case(
        kernel="send_ue_recv",
        name=f"{message}_{kind}",
        call=lambda x, y: paddle.geometric.send_ue_recv(
            x, y, _places(_FROM), _places(_TO), message, kind
        ),
        shapes=(((5,), (7,)), ((5, 3), (7, 3)), ((5, 4), (7, 1)), ((5, 1, 3), (7, 2, 1))),
        dtypes=FLOATS if kind == "mean" else _DTYPES,
        domain="distinct" if extreme else "small",
        # What is subtracted cancels in |x| - |y| too: "small" numbers are of this size.
        rule=summed(_few, nodes=2, scale=4.0 if message == "sub" else 0.0),
        layouts=(message, kind) == ("mul", "sum"),
        gradient=Gradient(kernel="send_ue_recv_grad", rule=summed(_few, nodes=2), dtypes=_DTYPES),
    )


SEND_UE = tuple(
    _send_ue(message, kind)
    for message, kind in (
        ("add", "sum"), ("mul", "sum"), ("mul", "mean"), ("add", "min"), ("mul", "max"),
        ("sub", "mean"),
    )
)  # fmt: skip

SEND_UV = tuple(
    Case(
        kernel="send_uv",
        name=message,
        call=lambda x, y, m=message: paddle.geometric.send_uv(
            x, y, _places(_FROM), _places(_TO), m
        ),
        shapes=(((5,), (4,)), ((5, 3), (4, 3)), ((5, 4), (4, 1)), ((5, 1, 3), (4, 2, 1))),
        dtypes=_DTYPES,
        domain=("small", "nonzero"),
        rule=summed(_few, nodes=2),
        layouts=message == "mul",
        gradient=Gradient(kernel="send_uv_grad", rule=summed(_few, nodes=4), dtypes=_DTYPES),
    )
    for message in ("add", "mul")
)

CASES = (*SEGMENTS, *SEND_U, *SEND_UE, *SEND_UV)
