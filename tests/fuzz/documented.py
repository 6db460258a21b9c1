"""Where mps and Paddle's CPU device differ on purpose, and why: what a hunt does not report.

Rows of the table are named by the starts of their names.
"""

from __future__ import annotations

from dataclasses import replace

from paddle_mps.selftest.cases.case import Case
from paddle_mps.selftest.tolerance import Rule

# Not drawn on tensors without elements.
EMPTY: dict[str, str] = {
    "argmax": "the CPU device returns memory that nobody wrote",
    "argmin": "the CPU device returns memory that nobody wrote",
    "amax": "the CPU device returns memory that nobody wrote; mps refuses, as both do for max",
    "amin": "the CPU device returns memory that nobody wrote; mps refuses, as both do for min",
    "full_batch_size_like": "the CPU device's result has the shape of its input",
    "crop": "the CPU device takes nothing beyond nothing for nothing; mps refuses",
    "expand_as": "the CPU device takes three elements for none; mps refuses, as both do for expand",
    "mean": "of integers, the CPU device casts NaN to them",
    "topk": "the CPU device asks for more elements than there are, and writes nothing",
    "bilinear": "the CPU device returns memory that nobody wrote where the sums are empty",
    "bmm": "the CPU device returns memory that nobody wrote where the sums are empty",
    "unique_consecutive": "Paddle's Python makes the results, through float64",
    "median": "of integers, the CPU device casts NaN to them",
    "nanmedian": "of integers, the CPU device casts NaN to them",
    "multiplex": "the gradient on the CPU device divides by zero, which ends the process",
    "histogram": "the CPU device forgets to set the dtype of the result",
    "frame": "the CPU device divides by zero, which ends the process",
    "overlap_add": "the CPU device divides by zero, which ends the process",
    "sum-to_float32": "the CPU device forgets the dtype that was asked for",
}
# Not drawn on views that name an element more than once, by strides of 0.
REPEATED: dict[str, str] = {
    "reshape": "Paddle's own reshape takes a line of one element for as many as it names; the CPU "
    "device then finds its memory too small, mps reads what lies behind it",
}
# Drawn on numbers of their own domain only, never on what another line computed.
FRESH: dict[str, str] = {
    "floor_divide": "a quotient rounded to float32 may reach a whole number that it lies below",
    "erfinv": "of numbers below 1e-16 the CPU device makes 0",
    "matrix_nms": "boxes are sorted by products of scores, whose last digits decide where they tie",
}
# Of the same kind, by a part of the name. Paddle's engine loses count of slots where an operand,
# itself the slope of such a row, is asked for a slope again: on the CPU device too.
SECOND = "-second"
# Zeros of either sign are equal.
ZEROS: dict[str, str] = {
    name: "which of two equal numbers a reduction keeps is not said anywhere"
    for name in ("max", "min", "amax", "amin", "topk", "cummax", "cummin", "mode", "kthvalue")
}
# How much results may be off besides what the rule of the case allows.
ROUNDED: dict[str, tuple[float, str]] = {
    "grid_sample": (
        4e-6,
        "float32 holds a place to some 2^-21 of a pixel, and neighbours differ by up to 8: in 300 "
        "random images mps was off by 3.1e-6 at most, the CPU device in float32 by 3.3e-6",
    ),
}
# Values are compared, gradients are not.
GRADIENTS: dict[str, str] = {
    "i0e": "the CPU device takes the slope on one side of the kink at 0, mps the middle",
    "max any": "of five axes, the CPU device's gradient is in part memory that nobody wrote",
    "min any": "of five axes, the CPU device's gradient is in part memory that nobody wrote",
    "fused_gemm_epilogue-relu": "rounding decides on which side of the kink a small sum is",
    "cumprod": "a product that overflows makes 0 times infinity of a gradient of 0",
    "put_along_axis-amax_without_self": "the CPU device counts x among equals that it leaves out",
}


def leaves_out_empty(name: str) -> bool:
    """Whether the row is not drawn on tensors without elements."""
    return name.startswith(tuple(EMPTY))


def leaves_out_repeated(name: str) -> bool:
    """Whether the row is not drawn on views with strides of 0."""
    return name.startswith(tuple(REPEATED))


def is_fresh(name: str) -> bool:
    """Whether the row takes new numbers only."""
    return name.startswith(tuple(FRESH)) or SECOND in name


def tells_zeros_apart(case: Case) -> bool:
    """Whether zeros are compared with their signs; False where they are equal."""
    return case.kernel not in ZEROS


def rule_of(case: Case) -> Rule:
    """The rule that results are held to."""
    more, _ = ROUNDED.get(case.kernel, (0.0, ""))
    return replace(case.rule, absolute=case.rule.absolute + more) if more else case.rule


def leaves_out_gradient(name: str) -> bool:
    """Whether the gradient of the row is not compared."""
    return name.startswith(tuple(GRADIENTS))
