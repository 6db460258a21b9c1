"""Rows of what runs along axes: reductions, scans, sorts."""

from __future__ import annotations

from choices import Choices, Shape
from paddle_mps.selftest.cases.case import ALL, FLOATS
from paddle_mps.selftest.tolerance import EXACT, composed, summed
from rows import INTS, any_row, axis_of, elements, if_any, with_axis


def _axes(c: Choices, shape: Shape):
    """None, one axis from either end, or several."""
    rank = len(shape)
    if not rank or c.below(4) == 0:
        return None
    if c.flag():
        return c.below(2 * rank) - rank
    return c.subset(range(rank))


def _reduction(name, rule=EXACT, dtypes=INTS, domain="small", kernel="", **more):
    def write(c, shapes, dtype):
        axes, keepdim = _axes(c, shapes[0]), c.flag()
        return f"paddle.{name}({{0}}, axis={axes}, keepdim={keepdim})"

    return any_row(
        kernel or name, write, rule=rule, dtypes=dtypes, domain=domain, name=f"{name} any", **more
    )


REDUCTIONS = (
    _reduction("sum", summed(elements), ALL, gradient=composed(1)),
    _reduction("mean", summed(elements), FLOATS, shapes=if_any, gradient=composed(2)),
    _reduction("max", shapes=if_any, domain="any", gradient=composed(2)),
    _reduction("min", shapes=if_any, domain="any", gradient=composed(2)),
    _reduction("amax", shapes=if_any, domain="any"),
    _reduction("amin", shapes=if_any, domain="any"),
    _reduction("prod", summed(elements), FLOATS, "near_one", shapes=if_any),
    _reduction("logsumexp", summed(elements, nodes=4), FLOATS, shapes=if_any),
    _reduction("any", dtypes=("bool",), domain="any"),
    _reduction("all", dtypes=("bool",), domain="any"),
    *(
        any_row(
            name,
            lambda c, s, d, name=name: (
                f"paddle.{name}({{0}}, axis={axis_of(c, s[0])}, keepdim={c.flag()})"
            ),
            name=f"{name} any",
            dtypes=INTS,
            domain="distinct",
            shapes=with_axis,
        )
        for name in ("argmax", "argmin")
    ),
    any_row(
        "cumsum",
        lambda c, s, d: f"paddle.cumsum({{0}}, axis={axis_of(c, s[0])})",
        name="cumsum any",
        rule=summed(elements),
        dtypes=INTS,
        domain="small",
        shapes=with_axis,
        gradient=summed(elements),
    ),
    any_row(
        "argsort",
        lambda c, s, d: f"paddle.sort({{0}}, axis={axis_of(c, s[0])}, descending={c.flag()})",
        name="sort any",
        dtypes=INTS,
        shapes=with_axis,
    ),
    any_row(
        "topk",
        lambda c, s, d: (
            lambda axis: (
                f"paddle.topk({{0}}, {1 + c.below(s[0][axis])}, axis={axis}, largest={c.flag()})"
            )
        )(axis_of(c, s[0])),
        name="topk any",
        dtypes=FLOATS,
        domain="distinct",
        shapes=with_axis,
    ),
)
