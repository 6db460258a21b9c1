"""Where the numbers of a case come from: one function per domain.

Floats come as float64, already representable in the dtype, so that every device starts from the
same numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..tolerance import FORMATS, rounded

LIMITS = {d: np.iinfo(d) for d in ("int8", "uint8", "int16", "int32", "int64")}


def _integers(
    rng: np.random.Generator, shape: tuple, dtype: str, low: int, high: int
) -> np.ndarray:
    limits = LIMITS[dtype]
    low, high = max(low, limits.min), min(high, limits.max)
    return rng.integers(low, high, shape, dtype=np.dtype(dtype), endpoint=True)


def _uniform(low: float, high: float, integers: tuple[int, int]) -> Callable:
    def draw(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
        if dtype == "bool":
            return rng.random(shape) < 0.5
        if dtype in FORMATS:
            return rounded(np.asarray(rng.uniform(low, high, shape)), dtype)
        return np.asarray(_integers(rng, shape, dtype, *integers))

    draw.bounds = {"floats": (low, high), "integers": integers}
    return draw


def _any(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    """Floats of both signs and some magnitudes, and zeros; integers over their whole range."""
    if dtype in LIMITS:
        limits = LIMITS[dtype]
        return np.asarray(_integers(rng, shape, dtype, limits.min, limits.max))
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    numbers = rng.standard_normal(shape) * 10.0 ** rng.uniform(-2, 1, shape)
    return rounded(np.where(rng.random(shape) < 0.05, 0.0, numbers), dtype)


def _nonzero(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.ones(shape, bool)
    if dtype in LIMITS:
        numbers = _integers(rng, shape, dtype, 1, 100)
        signs = rng.random(shape) < 0.5
        return np.asarray(
            numbers if dtype == "uint8" else np.where(signs, -numbers, numbers).astype(dtype)
        )
    numbers = rng.uniform(0.1, 10.0, shape)
    return rounded(np.where(rng.random(shape) < 0.5, -numbers, numbers), dtype)


def _eighths(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    """Floats with few digits, so that sums and products of some are exact in every format."""
    return np.asarray(rng.integers(-48, 49, shape) / 8.0)


def _distinct(rng: np.random.Generator, shape: tuple, dtype: str) -> np.ndarray:
    """Numbers of which no two are equal, for ops that choose one of equals in their own way."""
    count = int(np.prod(shape, dtype=np.int64))
    numbers = rng.permutation(count).reshape(shape) - (0 if dtype == "uint8" else count // 2)
    return numbers.astype(np.float64 if dtype in FORMATS else dtype)


DOMAINS: dict[str, Callable] = {
    "any": _any,
    "nonzero": _nonzero,
    "small": _uniform(-3.0, 3.0, (-5, 5)),
    "unit": _uniform(-1.0, 1.0, (-1, 1)),
    "positive": _uniform(0.05, 20.0, (1, 100)),
    "inside_unit": _uniform(-0.95, 0.95, (0, 0)),
    "above_one": _uniform(1.05, 20.0, (2, 100)),
    "eighths": _eighths,
    "few": _uniform(0.0, 9.0, (0, 9)),
    "fractions": _uniform(0.01, 0.99, (0, 1)),
    "near_one": _uniform(0.99, 1.01, (1, 1)),
    "exponents": _uniform(-20.0, 10.0, (-20, 10)),
    "wide": _uniform(-30.0, 30.0, (-30, 30)),
    "distinct": _distinct,
    "classes": lambda rng, shape, dtype: np.asarray(rng.integers(0, 6, shape)).astype(
        np.float64 if dtype in FORMATS else dtype
    ),
    "bytes": _uniform(
        0.0, 100.0, (0, 100)
    ),  # in the range of every integer type, so that casts are defined
}


def special_values(dtype: str) -> np.ndarray:
    """The numbers that ops get wrong: NaN, infinities, signed zeros, the ends of the range."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in LIMITS:
        limits = LIMITS[dtype]
        return np.array(
            sorted({limits.min, limits.min + 1, 0, 1, 2, 7, limits.max - 1, limits.max}), dtype
        )
    form = FORMATS[dtype]
    normal = 2.0 ** (form.smallest + form.precision - 1)
    positive = [
        0.0,
        normal,
        2.0**-3,
        0.5,
        1.0,
        1.0 + 2.0 ** (1 - form.precision),
        3.0,
        2.0**10,
        form.largest,
    ]
    return np.array([np.nan, np.inf, -np.inf, *positive, *(-p for p in positive)])


def denormals(dtype: str) -> np.ndarray:
    form = FORMATS[dtype]
    normal = 2.0 ** (form.smallest + form.precision - 1)
    positive = [2.0**form.smallest, 3 * 2.0**form.smallest, normal / 2, normal - 2.0**form.smallest]
    return np.array([*positive, *(-p for p in positive)])
