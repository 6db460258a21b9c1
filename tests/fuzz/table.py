"""The rows that programs are drawn from: every case of the self-test, and ops on any shape.

A row names an op once. Its `write` gives the op's Python text for some shapes, or None if the op
does not take them; the text is what runs and what is printed. Tolerances, domains and gradients are
those of a Case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from choices import LENGTHS, Choices, Shape
from paddle_mps.selftest.cases import (
    ALL_CASES,
    conv,
    index,
    losses,
    normalize,
    norms,
    optimizers,
    pool,
    random,
    recurrent,
    resize,
    softmax,
)
from paddle_mps.selftest.cases.case import (
    ALL,
    BINARY_SHAPES,
    FLOATS,
    UNARY_SHAPES,
    Case,
    Gradient,
)
from paddle_mps.selftest.tolerance import EXACT, composed, summed

# A row's text for operands of these shapes and this dtype; {0} stands for the first operand.
Write = Callable[[Choices, "list[Shape]", str], "str | None"]

COMPUTES, VIEWS, CHANGES = "computes", "views", "changes"
INTS = (*FLOATS, "int32", "int64")
MOST_AXES = 6  # most of Paddle's CPU kernels take no more
# Random numbers differ each time. Layers of networks need shapes that fit each other: their cases
# ask them, programs do not draw them yet.
LAYERS = (conv, losses, normalize, norms, optimizers, pool, recurrent, resize, softmax)
NOT_DRAWN = (random, *LAYERS)
# Calls that know the shapes which their case names.
RIGID = {"contiguous", "label_smooth-prior"}
MOST_FIXED = 4000  # elements of the inputs of cases with shapes of their own


@dataclass(frozen=True)
class Row:
    """One op.

    `shapes` gives the operands' shapes, of which the first may be that of a value that is there
    already; None if that does not do.
    """

    name: str
    case: Case
    write: Write
    shapes: Callable[[Choices, Shape], list[Shape] | None]
    kind: str = COMPUTES
    numpy: Callable[[str], str] = staticmethod(lambda text: text)  # a view's text for NumPy
    layouts: bool = True

    @property
    def arity(self) -> int:
        return len(self.case.shapes[0])

    def domain(self, i: int) -> str:
        return self.case.domain if isinstance(self.case.domain, str) else self.case.domain[i]


# -- cases ----------------------------------------------------------------------------------------


def _same(count: int) -> Callable[[Choices, Shape], list[Shape]]:
    return lambda c, shape: [shape] * count


def _broadcast(c: Choices, shape: Shape) -> list[Shape]:
    other = tuple(1 if c.below(4) == 1 else n for n in shape)[c.below(len(shape) + 1) :]
    return [shape, other]


def _fixed(case: Case) -> Callable[[Choices, Shape], list[Shape]]:
    """One of the case's own shapes, or one like it: equal lengths become other equal lengths."""
    few = [s for s in case.shapes if sum(int(np.prod(one)) for one in s) <= MOST_FIXED]
    rigid = case in index.CASES or not case.layouts or case.id in RIGID  # positions

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


def _of_case(case: Case) -> list[Row]:
    arity = len(case.shapes[0])
    if case.creates or case.copies or any(len(s) != arity for s in case.shapes):
        return []
    if any(case in table.CASES for table in NOT_DRAWN):
        return []
    if case.shapes == UNARY_SHAPES:
        shapes = _same(1)
    elif case.shapes == BINARY_SHAPES:
        shapes = _broadcast
    elif case.shapes == tuple((*s, *s) for s in UNARY_SHAPES):
        shapes = _same(2)
    else:
        shapes = _fixed(case)
    names = ", ".join(f"{{{i}}}" for i in range(arity))
    text = f'case("{case.id}")({names})'
    found = [Row(case.id, case, lambda c, s, d: text, shapes, layouts=case.layouts)]
    if case.in_place is not None and shapes in (_broadcast,) or case.shapes == UNARY_SHAPES:
        if case.in_place is not None:
            changing = f'in_place("{case.id}")({names})'
            row = Row(f"{case.id} in place", case, lambda c, s, d: changing, shapes, CHANGES)
            found.append(row)
    return found


# -- ops on any shape -----------------------------------------------------------------------------


def _elements(*shapes: Shape) -> int:
    return int(max(np.prod(s, dtype=np.int64) for s in shapes)) + 1


def _row(
    kernel,
    write,
    *,
    name="",
    arity=1,
    rule=EXACT,
    dtypes=ALL,
    domain="any",
    shapes=None,
    kind=COMPUTES,
    gradient=None,
    gradients=FLOATS,
    numpy=lambda text: text,
):
    case = Case(
        kernel=kernel,
        call=lambda *x: None,
        shapes=(((),) * arity,),
        dtypes=dtypes,
        rule=rule,
        domain=domain,
        gradient=Gradient(kernel="", rule=gradient, dtypes=gradients) if gradient else None,
    )
    return Row(name or kernel, case, write, shapes or _same(arity), kind, numpy)


def _if_any(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape] if 0 not in shape else None


def _with_axis(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape] if shape and 0 not in shape else None


def _axes(c: Choices, shape: Shape):
    """None, one axis from either end, or several."""
    rank = len(shape)
    if not rank or c.below(4) == 0:
        return None
    if c.flag():
        return c.below(2 * rank) - rank
    return c.subset(range(rank))


def _axis(c: Choices, shape: Shape) -> int:
    return c.below(2 * len(shape)) - len(shape)


def _reduction(name, rule=EXACT, dtypes=INTS, domain="small", kernel="", **more):
    def write(c, shapes, dtype):
        axes, keepdim = _axes(c, shapes[0]), c.flag()
        return f"paddle.{name}({{0}}, axis={axes}, keepdim={keepdim})"

    return _row(
        kernel or name, write, rule=rule, dtypes=dtypes, domain=domain, name=f"{name} any", **more
    )


REDUCTIONS = (
    _reduction("sum", summed(_elements), ALL, gradient=composed(1)),
    _reduction("mean", summed(_elements), FLOATS, shapes=_if_any, gradient=composed(2)),
    _reduction("max", shapes=_if_any, domain="any", gradient=composed(2)),
    _reduction("min", shapes=_if_any, domain="any", gradient=composed(2)),
    _reduction("amax", shapes=_if_any, domain="any"),
    _reduction("amin", shapes=_if_any, domain="any"),
    _reduction("prod", summed(_elements), FLOATS, "near_one", shapes=_if_any),
    _reduction("logsumexp", summed(_elements, nodes=4), FLOATS, shapes=_if_any),
    _reduction("any", dtypes=("bool",), domain="any"),
    _reduction("all", dtypes=("bool",), domain="any"),
    *(
        _row(
            name,
            lambda c, s, d, name=name: (
                f"paddle.{name}({{0}}, axis={_axis(c, s[0])}, keepdim={c.flag()})"
            ),
            name=f"{name} any",
            dtypes=INTS,
            domain="distinct",
            shapes=_with_axis,
        )
        for name in ("argmax", "argmin")
    ),
    _row(
        "cumsum",
        lambda c, s, d: f"paddle.cumsum({{0}}, axis={_axis(c, s[0])})",
        name="cumsum any",
        rule=summed(_elements),
        dtypes=INTS,
        domain="small",
        shapes=_with_axis,
        gradient=summed(_elements),
    ),
    _row(
        "argsort",
        lambda c, s, d: f"paddle.sort({{0}}, axis={_axis(c, s[0])}, descending={c.flag()})",
        name="sort any",
        dtypes=INTS,
        shapes=_with_axis,
    ),
    _row(
        "topk",
        lambda c, s, d: (
            lambda axis: (
                f"paddle.topk({{0}}, {1 + c.below(s[0][axis])}, axis={axis}, largest={c.flag()})"
            )
        )(_axis(c, s[0])),
        name="topk any",
        dtypes=FLOATS,
        domain="distinct",
        shapes=_with_axis,
    ),
)


# Views, in words that Paddle and NumPy share where they can.


def _slices(c: Choices, shape: Shape) -> str:
    """An index that keeps at least one axis as a view in NumPy too."""
    parts = []
    for n in shape:
        start = c.below(n + 1)
        kind = c.below(4)
        if kind == 0:
            parts.append(":")
        elif kind == 1 and n:
            parts.append(str(c.below(n) - (n if c.flag() else 0)))
        else:
            stop = start + c.below(n - start + 1)
            parts.append(f"{start}:{stop}" + (f":{2 + c.below(2)}" if c.flag() else ""))
    return ", ".join([*parts, "..."])


def _write_slice(c, shapes, dtype):
    index = _slices(c, shapes[0])
    # x[...] is x itself, with its gradient
    return f"{{0}}[{index}]" if index.strip(":., ") else None


def _write_reshape(c, shapes, dtype):
    shape = shapes[0]
    elements = int(np.prod(shape, dtype=np.int64))
    target, left = [], elements
    for n in (2, 3, 5, 7):
        if left and left % n == 0 and c.flag():
            target.append(n)
            left //= n
    target.insert(c.below(len(target) + 1), left)
    if c.below(4) == 1:
        target.insert(c.below(len(target) + 1), 1)
    return f"{{0}}.reshape({target})"


def _write_expand(c, shapes, dtype):
    if len(shapes[0]) == MOST_AXES:
        return None
    shape = [c.pick((2, 3, 1)) if n == 1 else n for n in shapes[0]]
    shape = ([c.pick((2, 1, 3))] if c.flag() else []) + shape
    return f"paddle.expand({{0}}, {shape})"


def _write_unsqueeze(c, shapes, dtype):
    if len(shapes[0]) == MOST_AXES:
        return None
    return f"paddle.unsqueeze({{0}}, {c.below(len(shapes[0]) + 1)})"


def _write_squeeze(c, shapes, dtype):
    ones = [i for i, n in enumerate(shapes[0]) if n == 1]
    return f"paddle.squeeze({{0}}, {c.pick(ones)})" if ones else None


def _two_axes(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape] if len(shape) > 1 else None


VIEW_ROWS = (
    _row(
        "transpose",
        lambda c, s, d: f"{{0}}.transpose({c.permutation(len(s[0]))})",
        name="transpose view",
        shapes=_two_axes,
        kind=VIEWS,
        gradient=EXACT,
    ),
    _row("strided_slice", _write_slice, name="slice view", kind=VIEWS, gradient=EXACT),
    _row("reshape", _write_reshape, name="reshape view", kind=VIEWS, gradient=EXACT),
    _row(
        "expand",
        _write_expand,
        name="expand view",
        kind=VIEWS,
        gradient=summed(_elements),
        numpy=lambda t: t.replace("paddle.expand", "np.broadcast_to"),
    ),
    _row(
        "unsqueeze",
        _write_unsqueeze,
        name="unsqueeze view",
        kind=VIEWS,
        gradient=EXACT,
        numpy=lambda t: t.replace("paddle.unsqueeze", "np.expand_dims"),
    ),
    _row(
        "squeeze",
        _write_squeeze,
        name="squeeze view",
        kind=VIEWS,
        gradient=EXACT,
        numpy=lambda t: t.replace("paddle.squeeze", "np.squeeze"),
    ),
)


# Movement.


def _write_gather(c, shapes, dtype):
    axis = c.below(len(shapes[0]))
    at = c.positions(1 + c.below(5), shapes[0][axis])
    kind = "int32" if c.flag() else "int64"
    return f"paddle.gather({{0}}, paddle.to_tensor({at}, dtype='{kind}'), axis={axis})"


def _write_index_select(c, shapes, dtype):
    axis = c.below(len(shapes[0]))
    at = c.positions(1 + c.below(5), shapes[0][axis])
    return f"paddle.index_select({{0}}, paddle.to_tensor({at}, dtype='int64'), axis={axis})"


def _write_scatter_add(c, shapes, dtype):
    at = c.positions(shapes[1][0], shapes[0][0])
    return f"paddle.scatter({{0}}, paddle.to_tensor({at}, dtype='int64'), {{1}}, overwrite=False)"


def _scatter_shapes(c: Choices, shape: Shape) -> list[Shape] | None:
    return [shape, (1 + c.below(4), *shape[1:])] if shape and 0 not in shape else None


def _write_index_add(c, shapes, dtype):
    axis = next(
        i for i, (a, b) in enumerate(zip(shapes[0], shapes[1])) if a != b or i + 1 == len(shapes[0])
    )
    at = c.positions(shapes[1][axis], shapes[0][axis])
    return f"paddle.index_add({{0}}, paddle.to_tensor({at}, dtype='int64'), {axis}, {{1}})"


def _index_add_shapes(c: Choices, shape: Shape) -> list[Shape] | None:
    if not shape or 0 in shape:
        return None
    axis = c.below(len(shape))
    return [shape, (*shape[:axis], 1 + c.below(4), *shape[axis + 1 :])]


def _write_roll(c, shapes, dtype):
    axes = c.subset(range(len(shapes[0])))
    return f"paddle.roll({{0}}, {[c.below(7) - 3 for _ in axes]}, {axes})"


def _write_pad(c, shapes, dtype):
    pads = [c.below(3) for _ in range(2 * len(shapes[0]))]
    return f"paddle.nn.functional.pad({{0}}, {pads}, value={c.below(3)}.0, pad_from_left_axis=True)"


def _cat_shapes(c: Choices, shape: Shape) -> list[Shape] | None:
    if not shape:
        return None
    axis = c.below(len(shape))
    return [shape, (*shape[:axis], c.below(4), *shape[axis + 1 :])]


def _write_concat(c, shapes, dtype):
    differ = [i for i, (a, b) in enumerate(zip(*shapes)) if a != b]
    axis = differ[0] if differ else c.below(len(shapes[0]))
    return f"paddle.concat([{{0}}, {{1}}], axis={axis})"


def _write_split(c, shapes, dtype):
    axis = c.below(len(shapes[0]))
    n = shapes[0][axis]
    if n == 0:
        return None
    first = c.below(n + 1)
    return f"paddle.split({{0}}, {[first, n - first]}, axis={axis})"


def _write_scalar(c, shapes, dtype):
    if dtype in FLOATS:
        number = c.pick((2.0, 0.5, 1.5, 3.0))
        return c.pick(("{0} + %s", "{0} * %s", "%s - {0}", "{0} / %s")) % number
    return c.pick(("{0} + %s", "{0} * %s", "{0} - %s")) % (1 + c.below(3))


def _write_compare(c, shapes, dtype):
    return "{0} " + c.pick(("==", "<", "<=", ">", ">=", "!=")) + " {1}"


MOVEMENT = (
    _row("gather", _write_gather, name="gather any", shapes=_with_axis, gradient=summed(_elements)),
    _row(
        "index_select",
        _write_index_select,
        name="index_select any",
        dtypes=(*INTS, "bool"),
        shapes=_with_axis,
        gradient=summed(_elements),
    ),
    _row(
        "scatter",
        _write_scatter_add,
        name="scatter any",
        arity=2,
        rule=summed(_elements, nodes=1),
        dtypes=INTS,
        domain="small",
        shapes=_scatter_shapes,
    ),
    _row(
        "index_add",
        _write_index_add,
        name="index_add any",
        arity=2,
        rule=summed(_elements, nodes=1),
        dtypes=INTS,
        domain="small",
        shapes=_index_add_shapes,
    ),
    _row(
        "flip",
        lambda c, s, d: f"paddle.flip({{0}}, {c.subset(range(len(s[0])))})",
        name="flip any",
        shapes=lambda c, shape: [shape] if shape else None,
        gradient=EXACT,
    ),
    _row(
        "roll",
        _write_roll,
        name="roll any",
        shapes=lambda c, shape: [shape] if shape else None,
        gradient=EXACT,
    ),
    _row(
        "tile",
        lambda c, s, d: f"paddle.tile({{0}}, {[1 + c.below(3) for _ in range(1 + c.below(3))]})",
        name="tile any",
        gradient=summed(_elements),
    ),
    _row("pad", _write_pad, name="pad any", dtypes=INTS, shapes=_with_axis, gradient=EXACT),
    _row("concat", _write_concat, name="concat any", arity=2, shapes=_cat_shapes, gradient=EXACT),
    _row(
        "stack",
        lambda c, s, d: (
            f"paddle.stack([{{0}}, {{1}}], axis={c.below(len(s[0]) + 1)})"
            if len(s[0]) < MOST_AXES
            else None
        ),
        name="stack any",
        arity=2,
        dtypes=INTS,
        gradient=EXACT,
    ),
    _row("split", _write_split, name="split any", shapes=_with_axis, gradient=EXACT),
    _row(
        "cast",
        lambda c, s, d: f"paddle.cast({{0}}, '{c.pick(ALL)}')",
        name="cast any",
        domain="bytes",
    ),
    _row("assign", lambda c, s, d: "{0}.clone()", name="clone any", gradient=EXACT),
    _row("contiguous", lambda c, s, d: "{0}.contiguous()", name="contiguous any"),
    _row(
        "scale",
        _write_scalar,
        name="scalar any",
        dtypes=INTS,
        domain="small",
        rule=composed(1),
        gradient=composed(2),
    ),
    _row("equal", _write_compare, name="compare any", arity=2, dtypes=ALL, shapes=_broadcast),
    _row(
        "where",
        lambda c, s, d: "paddle.where({0} > {1}, {0}, {1})",
        name="where any",
        arity=2,
        dtypes=INTS,
    ),
    _row(
        "masked_fill",
        lambda c, s, d: f"paddle.masked_fill({{0}}, {{0}} == {{1}}, {c.below(3)})",
        name="masked_fill any",
        arity=2,
        dtypes=INTS,
        domain="few",
    ),
)


# Products of matrices.


def _matmul_shapes(c: Choices, shape: Shape) -> list[Shape]:
    m, k, n = (c.pick((2, 1, 3, 5, 7, 13, 0)) for _ in range(3))
    batch = tuple(c.pick((2, 1, 3)) for _ in range(c.below(3)))
    return [(*batch, m, k), (*batch, k, n)] if c.flag() else [(*batch, m, k), (k, n)]


MATRICES = (
    _row(
        "matmul",
        lambda c, s, d: "paddle.matmul({0}, {1})",
        name="matmul any",
        arity=2,
        rule=summed(_elements),
        dtypes=FLOATS,
        domain="unit",
        shapes=_matmul_shapes,
        gradient=summed(lambda *s: 3 * _elements(*s)),
    ),
    _row(
        "matmul",
        lambda c, s, d: "paddle.matmul({0}, {1}, transpose_y=True)",
        name="matmul transposed",
        arity=2,
        rule=summed(_elements),
        dtypes=FLOATS,
        domain="unit",
        shapes=lambda c, shape: (lambda x, y: [x, (*y[:-2], y[-1], y[-2])])(
            *_matmul_shapes(c, shape)
        ),
        gradient=summed(lambda *s: 3 * _elements(*s)),
    ),
)


# In place: NumPy's words for what Paddle's method does are in machine.py's way of running them.

CHANGES_ROWS = (
    _row(
        "fill",
        lambda c, s, d: f"{{0}}.fill_({c.below(3)})",
        name="fill in place",
        kind=CHANGES,
    ),
    _row(
        "strided_copy",
        lambda c, s, d: (
            f"set_part({{0}}, np.s_[{_slices(c, s[0])}], {c.below(4) if d != 'bool' else c.flag()})"
        ),
        name="part in place",
        kind=CHANGES,
        dtypes=ALL,
    ),
)

ROWS: tuple[Row, ...] = (
    *(row for case in ALL_CASES for row in _of_case(case)),
    *REDUCTIONS,
    *VIEW_ROWS,
    *MOVEMENT,
    *MATRICES,
    *CHANGES_ROWS,
)
BY_NAME = {row.name: row for row in ROWS}
assert len(BY_NAME) == len(ROWS), "two rows of one name"
