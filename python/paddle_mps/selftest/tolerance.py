"""How far a result may be from the truth, and the one comparison that every test uses.

Truth is float64. A result is rounded to its dtype somewhere, so it cannot be equal; how far it may
be off is argued here once, by what the op does, and nowhere else. u is the unit roundoff of the
result's dtype (half the distance from 1 to the next number), and ulp(x) the distance between
neighbours at x.

EXACT         One correctly rounded operation (IEEE 754: add, subtract, multiply, divide, square
              root, casts), or none at all (copies, maximum, sign changes, integers). The result is
              the truth rounded once: bit equality, signed zeros included. float16 and bfloat16 may
              be computed in float32 and rounded again: for these operations the second rounding
              changes nothing, because 24 >= 2 * 11 + 2 (Figueroa, "When is double rounding
              innocuous?", 1995).
FUNCTION      One transcendental function. The device contract allows 4 ULP in float32. A half
              format is computed in float32 and rounded: half an ULP, and the float32 error on top.
WITH_ZEROS    A function with zeros where terms cancel: lgamma, digamma. What rounding takes from
              terms of about 1, 2^-21 in float32, is allowed on top of the 4 ULP.
rounded_once(n, scale)
              A composition that is computed in float32 whatever the dtype, and rounded once: n
              ULP in float32 of the result and of terms of this scale, which cancel in it. This is
              the bound that catches statistics in float16.
composed(n)   n operations after one another, each rounded to the dtype: each adds at most one ULP
              of the largest number that appears on the way, the magnitude. Cancellation can make
              the result smaller than what it was made of, which is why the magnitude and not the
              result sets the scale.
summed(terms) A sum of products. Whatever the order, n terms accumulated in float32 are off by at
              most n * 2^-24 * sum |term| to first order (Higham, "Accuracy and Stability of
              Numerical Algorithms", section 4.2); one rounding per product is part of n. Rounding
              to the dtype adds half an ULP of the result. This is the bound that catches a float16
              sum accumulated in float16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: precision in bits, and the exponents at its ends."""

    precision: int
    smallest: int  # the smallest denormal is 2**smallest
    overflow: int  # numbers from 2**overflow on are infinite

    @property
    def largest(self) -> float:
        return float(np.ldexp(1.0 - 2.0**-self.precision, self.overflow))


FORMATS = {
    "float64": Format(53, -1074, 1024),
    "float32": Format(24, -149, 128),
    "float16": Format(11, -24, 16),
    "bfloat16": Format(8, -133, 128),
}
SMALLEST_NORMAL = {name: 2.0 ** (f.smallest + f.precision - 1) for name, f in FORMATS.items()}


def ulp(x: np.ndarray, dtype: str) -> np.ndarray:
    """The distance between neighbours of `dtype` at |x|; for infinities, at the largest number."""
    form = FORMATS[dtype]
    size = np.minimum(np.abs(x), form.largest)
    _, exponent = np.frexp(size)
    exponent = np.where(size > 0, exponent - form.precision, form.smallest)  # 0 and NaN
    return np.ldexp(1.0, np.maximum(exponent, form.smallest))


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """float64 numbers rounded once to `dtype`, to nearest with ties to even, as float64."""
    x = np.asarray(x, np.float64)
    if dtype == "float64":
        return x
    if dtype != "bfloat16":  # NumPy has the others, and rounds to them once
        with np.errstate(over="ignore", invalid="ignore"):
            return x.astype(dtype).astype(np.float64)
    form = FORMATS[dtype]
    with np.errstate(invalid="ignore", over="ignore"):
        unit = ulp(x, dtype)
        result = np.where(np.isfinite(x), np.rint(x / unit) * unit, x)
        result = np.where(np.abs(result) > form.largest, np.copysign(np.inf, x), result)
    return np.copysign(result, x)


@dataclass(frozen=True)
class Rule:
    """A row of the table in this file's head."""

    name: str
    exact: bool = False
    ulps: float = (
        0.0  # ULP of the result in float32; float32 ULP before the one rounding in half formats
    )
    absolute: float = 0.0  # whatever the result
    nodes: int = 0  # roundings at the scale of the magnitude
    terms: Callable[..., int] | None = (
        None  # shapes of the inputs -> number of accumulated products
    )

    @property
    def needs_magnitude(self) -> bool:
        return self.nodes > 0 or self.terms is not None


EXACT = Rule("exact", exact=True)
FUNCTION = Rule("function", ulps=4.0)
WITH_ZEROS = Rule("with zeros", ulps=4.0, absolute=2.0**-21)


def composed(nodes: int) -> Rule:
    return Rule(f"composed({nodes})", nodes=nodes)


def rounded_once(ulps: float, scale: float = 0.0) -> Rule:
    return Rule(
        f"rounded_once({ulps}, {scale})", ulps=float(ulps), absolute=float(ulps) * scale * 2.0**-23
    )


def summed(terms: Callable[..., int], nodes: int = 0, scale: float = 0.0) -> Rule:
    """`terms` takes the shapes of the inputs and says how many products a result adds up.

    `nodes` counts the roundings to the dtype before or between sums, as in composed(n).
    `scale` is that of the terms where their weights have both signs: they cancel in the magnitude
    too, and four roundings of such a term are allowed whatever the magnitude.
    """
    return Rule("summed", terms=terms, nodes=nodes, absolute=scale * 2.0**-22)


@dataclass(frozen=True)
class Values:
    """What a tensor holds: its dtype, and its numbers; floats as float64, others as they are."""

    dtype: str
    numbers: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    @property
    def is_float(self) -> bool:
        return self.dtype in FORMATS


def allowed_error(
    rule: Rule, dtype: str, truth: np.ndarray, magnitude: np.ndarray | None, terms: int
) -> np.ndarray:
    """The largest |got - truth| that the rule accepts, element by element."""
    at_result = ulp(truth, dtype)
    error = np.zeros_like(at_result)
    if rule.ulps:
        if dtype == "float32":
            error = rule.ulps * at_result
        else:
            error = 0.5 * at_result + rule.ulps * 2.0**-23 * np.abs(truth)
    error = error + rule.absolute
    if rule.nodes:
        error = error + rule.nodes * np.maximum(ulp(magnitude, dtype), at_result)
    if rule.terms is not None:
        # Terms together are no less than their sum; in a magnitude, that of |x| - |y|, they may be.
        scale = np.maximum(np.abs(magnitude), np.where(np.isfinite(truth), np.abs(truth), 0))
        # The small constant covers an alpha, a beta, a mean's division and float32's own denormals.
        error = error + 0.5 * at_result + (terms + 4) * 2.0**-24 * scale + 2.0**-149
    return error


def _ulp_distance(got: float, truth: float, dtype: str) -> str:
    if not (np.isfinite(got) and np.isfinite(truth)):
        return "not finite"
    return f"{abs(got - truth) / float(ulp(np.asarray(truth), dtype)):.3g} ULP"


def assert_close(
    got: Values,
    truth: Values,
    rule: Rule,
    what: str,
    *,
    magnitude: np.ndarray | None = None,
    terms: int = 0,
    signed_zeros: bool | None = None,
    flushed_denormals: bool = False,
) -> None:
    """Fails, naming the first wrong element, unless `got` has the truth's dtype, shape and, within
    the rule, values.

    Args:
        got: What the device gave.
        truth: What it should be; floats in float64, not yet rounded to the dtype.
        rule: How far apart they may be. Integers and bool are always exact.
        what: Op, dtype and layout, for the message.
        magnitude: The scale of composed and summed rules; broadcasts to the result.
        terms: Number of products in a sum.
        signed_zeros: Whether -0 and 0 differ; by default if the rule is exact.
        flushed_denormals: Whether the device may take denormals for zero.
    """
    assert got.dtype == truth.dtype, f"{what}: dtype: expected {truth.dtype}, got {got.dtype}"
    assert got.shape == truth.shape, (
        f"{what}: shape: expected {list(truth.shape)}, got {list(got.shape)}"
    )
    if got.numbers.size == 0:
        return
    if not got.is_float:
        good = got.numbers == truth.numbers
        expected = truth.numbers
    else:
        expected = rounded(truth.numbers, got.dtype)
        signed_zeros = rule.exact if signed_zeros is None else signed_zeros
        good = got.numbers == expected
        if signed_zeros:
            good &= (expected != 0) | (np.signbit(got.numbers) == np.signbit(expected))
        good |= np.isnan(got.numbers) & np.isnan(expected)
        if not rule.exact and not np.all(good):
            # An infinite truth allows no slack, unless it is the rounding to the dtype that made it
            # infinite.
            with np.errstate(invalid="ignore"):
                error = np.abs(got.numbers - truth.numbers)
                allowed = allowed_error(rule, got.dtype, truth.numbers, magnitude, terms)
                largest = FORMATS[got.dtype].largest
                overflow = np.isfinite(truth.numbers) & (np.abs(truth.numbers) + allowed > largest)
                overflow &= np.isinf(got.numbers) & (
                    np.signbit(got.numbers) == np.signbit(truth.numbers)
                )
                within = (error <= allowed) | overflow
            if signed_zeros:
                within &= (got.numbers != 0) | (expected != 0)
            good |= within
        if flushed_denormals:
            good |= (got.numbers == 0) & (np.abs(expected) < SMALLEST_NORMAL[got.dtype])
    bad = np.argwhere(~np.asarray(good))
    if len(bad) == 0:
        return
    index = tuple(int(i) for i in bad[0])
    got_one, expected_one = got.numbers[index], expected[index]
    distance = ""
    if got.is_float:
        distance = (
            f" ({_ulp_distance(float(got_one), float(truth.numbers[index]), got.dtype)} apart)"
        )
    wrong = f"{len(bad)} of {got.numbers.size} are wrong"
    raise AssertionError(
        f"{what}: rule {rule.name}: first wrong element at {list(index)} of {list(got.shape)}: "
        f"expected {expected_one!r}, got {got_one!r}{distance}; {wrong}"
    )
