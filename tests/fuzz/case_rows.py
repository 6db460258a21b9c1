"""The cases of the self-test as rows: the shapes of a case, and others like them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from choices import LENGTHS, Choices, Shape
from paddle_mps.selftest.cases import (
    attention,
    attention_packed,
    best_ways,
    boxes,
    channels,
    checks,
    class_losses,
    conv,
    ctc,
    deformable,
    detection,
    fused,
    group_norm,
    index,
    layer_norm,
    losses,
    messages,
    optimizers,
    pool,
    quantization,
    random,
    recurrent,
    resize,
    selected_rows,
    slots,
    softmax,
    spectra,
    weights,
)
from paddle_mps.selftest.cases.case import BINARY_SHAPES, UNARY_SHAPES, Case
from rows import CHANGES, Row, broadcast, same

# Random numbers differ each time, an optimiser is asked for a step of its own making, and of what
# is rounded to whole numbers the last digit decides. Selected rows are gradients of a program of
# their own, and for one slope of batch_fc alone Paddle's shape inference ends the process.
NOT_DRAWN = (optimizers, quantization, random, selected_rows, slots, weights)
# Layers of networks need shapes that fit each other (a window that is larger than its image ends
# Paddle's CPU device): they are drawn with the shapes of their cases.
LAYERS = (
    attention,
    attention_packed,
    best_ways,
    boxes,
    channels,
    checks,
    class_losses,
    conv,
    ctc,
    deformable,
    detection,
    fused,
    group_norm,
    layer_norm,
    losses,
    messages,
    pool,
    recurrent,
    resize,
    softmax,
    spectra,
)
# Calls that know the shapes which their case names.
RIGID = {
    "contiguous",
    "fused_gemm_epilogue-gelu",  # Paddle wants multiples of 8, and of 128
    "fused_gemm_epilogue-relu",
    "label_smooth-prior",
}
MOST_FIXED = 4000  # elements of the inputs of cases with shapes of their own


def _fixed(case: Case) -> Callable[[Choices, Shape], list[Shape]]:
    """One of the case's own shapes, or one like it: equal lengths become other equal lengths."""
    few = [s for s in case.shapes if sum(int(np.prod(one)) for one in s) <= MOST_FIXED]
    positions = case in index.CASES or not case.layouts
    rigid = positions or case.id in RIGID or any(case in layers.CASES for layers in LAYERS)

    def shapes(c: Choices, shape: Shape) -> list[Shape]:
        own = list(c.pick(few or case.shapes))
        if rigid or c.below(3) == 0:
            return own
        ones = {0: 0, 1: 1} if len(own) > 1 else {}  # a 1 may be there to be broadcast
        fitting = len(shape) == len(own[0]) and c.flag()
        lengths = {**dict(zip(own[0], shape)), **ones} if fitting else {}
        for one in own:
            for n in one:
                lengths.setdefault(n, n if n <= 1 else c.pick(LENGTHS))
        like = [tuple(lengths[n] for n in one) for one in own]
        return like if max(int(np.prod(s)) for s in like) <= MOST_FIXED else own

    return shapes


def rows_of_case(case: Case) -> list[Row]:
    arity = len(case.shapes[0])
    if case.creates or case.copies or any(len(s) != arity for s in case.shapes):
        return []
    if any(case in table.CASES for table in NOT_DRAWN):
        return []
    if case.shapes == UNARY_SHAPES:
        shapes = same(1)
    elif case.shapes == BINARY_SHAPES:
        shapes = broadcast
    elif case.shapes == tuple((*s, *s) for s in UNARY_SHAPES):
        shapes = same(2)
    else:
        shapes = _fixed(case)
    names = ", ".join(f"{{{i}}}" for i in range(arity))
    text = f'case("{case.id}")({names})'
    found = [Row(case.id, case, lambda c, s, d: text, shapes, layouts=case.layouts)]
    if case.in_place is not None and (shapes is broadcast or case.shapes == UNARY_SHAPES):
        changing = f'in_place("{case.id}")({names})'
        row = Row(f"{case.id} in place", case, lambda c, s, d: changing, shapes, CHANGES)
        found.append(row)
    return found
