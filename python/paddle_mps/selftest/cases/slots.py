"""What Paddle keeps for rankings and optical flow: slots of features, and pairs of images."""

import math

import paddle
from paddle.nn import functional as F

from ..tolerance import EXACT, rounded_once, summed
from .case import FLOATS, Case, Gradient

_MOVED = (*FLOATS, "int32", "int64")


def _on_host():
    return not paddle.get_device().startswith("mps")


PARTIAL = tuple(
    Case(
        kernel=kernel,
        name=name,
        call=lambda *slots, f=call, a=at: f(list(slots), *a),
        shapes=(((3, 5),) * 3, ((1, 5),)),
        dtypes=_MOVED,
        domain="small",
        rule=rule,
        layouts=False,  # Paddle's Python does not make these ops in a PIR program
        gradient=Gradient(kernel=f"{kernel}_grad", rule=EXACT, dtypes=_MOVED),
    )
    for kernel, call, rule in (
        ("partial_concat", paddle.incubate.layers.partial_concat, EXACT),
        ("partial_sum", paddle.incubate.layers.partial_sum, rounded_once(2, 8)),
    )
    for name, at in (("", (1, 3)), ("to_the_end", (2, -1)))
)


def _batch_fc(x, weight, bias):
    if _on_host():  # whose CPU device refuses it
        return paddle.bmm(x, weight) + bias.unsqueeze(1)
    return paddle._C_ops.batch_fc(x, weight, bias)


BATCH_FC = (
    Case(
        kernel="batch_fc",
        call=_batch_fc,
        shapes=(((3, 4, 5), (3, 5, 2), (3, 2)), ((1, 7, 1), (1, 1, 6), (1, 6))),
        dtypes=FLOATS,
        domain="small",
        rule=summed(lambda x, weight, bias: weight[1] + 1),
        layouts=False,  # as above
        gradient=Gradient(
            kernel="batch_fc_grad",
            rule=summed(lambda x, weight, bias: x[1] + weight[2]),
            inputs=(0, 1, 2),  # with one of them alone Paddle's shape inference ends the process
        ),
    ),
)


def _correlation(name, shape, pad, kernel, most, step, apart):
    radius, reach = (kernel - 1) // 2, most // apart

    def by_hand(x, y):
        margins = [pad + radius] * 4
        x, y = F.pad(x, margins), F.pad(y, margins)
        lengths = [math.ceil((n + 2 * pad - 2 * (radius + most)) / step) for n in shape[2:]]
        rows, columns = ((n - 1) * step + 1 for n in lengths)
        results = []
        for down in range(-reach, reach + 1):
            for right in range(-reach, reach + 1):
                parts = []
                for i in range(2 * radius + 1):
                    for j in range(2 * radius + 1):
                        at, to = most + i, most + j
                        below, beside = at + down * apart, to + right * apart
                        here = x[:, :, at : at + rows : step, to : to + columns : step]
                        there = y[
                            :, :, below : below + rows : step, beside : beside + columns : step
                        ]
                        parts.append((here * there).sum(1))
                results.append(sum(parts) / (kernel * kernel * shape[1]))
        return paddle.stack(results, 1)

    def call(x, y):
        if _on_host():  # whose CPU device refuses it
            return by_hand(x, y)
        return paddle.incubate.layers.correlation(x, y, pad, kernel, most, step, apart)

    places = (2 * radius + 1) ** 2
    return Case(
        kernel="correlation",
        name=name,
        call=call,
        shapes=((shape, shape),),
        dtypes=FLOATS,
        domain="small",
        rule=summed(lambda x, y: x[1] * places + 2),
        layouts=False,  # as above
        gradient=Gradient(
            kernel="correlation_grad",
            rule=summed(lambda x, y: (2 * reach + 1) ** 2 * places + 2),
        ),
    )


CORRELATION = (
    _correlation("", (2, 3, 5, 6), 2, 1, 2, 1, 1),
    _correlation("apart", (1, 2, 6, 5), 4, 1, 4, 1, 2),
    _correlation("squares", (2, 2, 7, 6), 3, 3, 2, 1, 1),
    _correlation("steps", (1, 3, 8, 7), 3, 3, 3, 2, 2),
)

CASES = (*PARTIAL, *BATCH_FC, *CORRELATION)
