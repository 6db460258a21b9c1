"""Rows of what moves, joins, chooses and compares elements."""

from __future__ import annotations

from choices import Choices, Shape
from paddle_mps.selftest.cases.case import ALL, FLOATS
from paddle_mps.selftest.tolerance import EXACT, composed, summed
from rows import INTS, MOST_AXES, any_row, broadcast, elements, with_axis


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
    any_row(
        "gather", _write_gather, name="gather any", shapes=with_axis, gradient=summed(elements)
    ),
    any_row(
        "index_select",
        _write_index_select,
        name="index_select any",
        dtypes=(*INTS, "bool"),
        shapes=with_axis,
        gradient=summed(elements),
    ),
    any_row(
        "scatter",
        _write_scatter_add,
        name="scatter any",
        arity=2,
        rule=summed(elements, nodes=1),
        dtypes=INTS,
        domain="small",
        shapes=_scatter_shapes,
    ),
    any_row(
        "index_add",
        _write_index_add,
        name="index_add any",
        arity=2,
        rule=summed(elements, nodes=1),
        dtypes=INTS,
        domain="small",
        shapes=_index_add_shapes,
    ),
    any_row(
        "flip",
        lambda c, s, d: f"paddle.flip({{0}}, {c.subset(range(len(s[0])))})",
        name="flip any",
        shapes=lambda c, shape: [shape] if shape else None,
        gradient=EXACT,
    ),
    any_row(
        "roll",
        _write_roll,
        name="roll any",
        shapes=lambda c, shape: [shape] if shape else None,
        gradient=EXACT,
    ),
    any_row(
        "tile",
        lambda c, s, d: f"paddle.tile({{0}}, {[1 + c.below(3) for _ in range(1 + c.below(3))]})",
        name="tile any",
        gradient=summed(elements),
    ),
    any_row("pad", _write_pad, name="pad any", dtypes=INTS, shapes=with_axis, gradient=EXACT),
    any_row(
        "concat", _write_concat, name="concat any", arity=2, shapes=_cat_shapes, gradient=EXACT
    ),
    any_row(
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
    any_row("split", _write_split, name="split any", shapes=with_axis, gradient=EXACT),
    any_row(
        "cast",
        lambda c, s, d: f"paddle.cast({{0}}, '{c.pick(ALL)}')",
        name="cast any",
        domain="bytes",
    ),
    any_row("assign", lambda c, s, d: "{0}.clone()", name="clone any", gradient=EXACT),
    any_row("contiguous", lambda c, s, d: "{0}.contiguous()", name="contiguous any"),
    any_row(
        "scale",
        _write_scalar,
        name="scalar any",
        dtypes=INTS,
        domain="small",
        rule=composed(1),
        gradient=composed(2),
    ),
    any_row("equal", _write_compare, name="compare any", arity=2, dtypes=ALL, shapes=broadcast),
    any_row(
        "where",
        lambda c, s, d: "paddle.where({0} > {1}, {0}, {1})",
        name="where any",
        arity=2,
        dtypes=INTS,
    ),
    any_row(
        "masked_fill",
        lambda c, s, d: f"paddle.masked_fill({{0}}, {{0}} == {{1}}, {c.below(3)})",
        name="masked_fill any",
        arity=2,
        dtypes=INTS,
        domain="few",
    ),
)
