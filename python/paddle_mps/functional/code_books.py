"""Code books: the numbers that places of 4 or 8 bits stand for, and the points between them.

A number is quantised to the place whose entry is nearest to it. The decision points between
neighbours are their means in float32, but for NF4 and FP4 they are those of bitsandbytes' CUDA
kernels, which differ from the means in some last bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from . import _tables

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from paddle import Tensor

    Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CodeBook:
    """A code book as NumPy arrays: numbers[codes[how many points lie below x]] is near x."""

    numbers: Floats
    points: Floats
    codes: npt.NDArray[np.uint8]


_NF4_POINTS = (
    "-0x1.b239b2p-1 -0x1.38a4e0p-1 -0x1.d70900p-2 -0x1.5bd4ecp-2 -0x1.e079d8p-3 -0x1.1a7178p-3 "
    "-0x1.74f0e2p-5 0x1.45f5fep-5 0x1.ec90c6p-4 0x1.a0cfc0p-3 0x1.2b05a8p-2 0x1.8ea7f2p-2 "
    "0x1.00da06p-1 0x1.491b5ep-1 0x1.b913b2p-1"
)
_NF4 = (
    "-0x1.0p+0 -0x1.647362p-1 -0x1.0cd660p-1 -0x1.946540p-2 -0x1.23449ap-2 -0x1.7a6a7ep-3 "
    "-0x1.74f0e2p-4 0x0.0p+0 0x1.45f5fep-4 0x1.4995c6p-3 0x1.f809bap-3 0x1.5a0674p-2 "
    "0x1.c34970p-2 0x1.200f56p-1 0x1.722766p-1 0x1.0p+0"
)
# On the absolute value, between the codes in order of their size.
_FP4_POINTS = (
    "0x1.555572p-9 0x1.6p-4 0x1.aaaaaap-3 0x1.2aaaaap-2 0x1.aaaaacp-2 0x1.2aaaa0p-1 0x1.aaaaaap-1"
)
_FP4_BY_SIZE = (0, 1, 6, 7, 4, 5, 2, 3)
_FP4 = (0.0, 0.0625 / 12, 8 / 12, 1.0, 4 / 12, 6 / 12, 2 / 12, 3 / 12)


def _hex(text: str) -> Floats:
    import numpy as np

    return np.array([float.fromhex(word) for word in text.split()], np.float32)


def _table(text: str) -> Floats:
    import numpy as np

    return np.frombuffer(bytes.fromhex(text), ">f4").astype(np.float32)


def _nf4() -> CodeBook:
    import numpy as np

    return CodeBook(_hex(_NF4), _hex(_NF4_POINTS), np.arange(16, dtype=np.uint8))


def _fp4() -> CodeBook:
    import numpy as np

    size = np.array(_FP4, np.float32)
    points = _hex(_FP4_POINTS)
    # A negative number at a point belongs to the smaller size: it must not lie below the point. So
    # must 0 (code 0) not, nor the least negative number (code 8, which is -0) lie above.
    least = np.float32(-np.inf)
    below = np.nextafter(np.concatenate([-points[::-1], np.zeros(1, np.float32)]), least)
    codes = [8 + code for code in reversed(_FP4_BY_SIZE)] + list(_FP4_BY_SIZE)
    return CodeBook(
        np.concatenate([size, -size]),
        np.concatenate([below, points]).astype(np.float32),
        np.array(codes, np.uint8),
    )


def of_numbers(op: str, numbers: Any) -> CodeBook:
    """Return the code book of 256 numbers that rise.

    Raises:
        ValueError: They are not 256, do not rise, or lie outside of -1 to 1.
    """
    import numpy as np

    code = np.array(numbers, np.float32)
    rises = code.shape == (256,) and bool(np.all(code[1:] >= code[:-1]))
    if not rises or code[0] < -1 or code[-1] > 1:
        raise ValueError(
            f"[{op}] bad code: expected 256 numbers from -1 to 1 that rise, got shape "
            f"{list(code.shape)}"
            + (f", from {code.min()} to {code.max()}" if code.size else "")
            + ". Take create_dynamic_map(), say."
        )
    points = (code[1:] + code[:-1]) / np.float32(2)
    return CodeBook(code, points, np.arange(256, dtype=np.uint8))


@functools.cache
def named(name: str) -> CodeBook:
    """Return "nf4", "fp4", "dynamic" or "dynamic_unsigned"."""
    if name == "nf4":
        return _nf4()
    if name == "fp4":
        return _fp4()
    return of_numbers("code book", dynamic_map(name == "dynamic"))


@functools.cache
def on_device(name: str, device: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return numbers, points and codes of a named code book as tensors of an mps device."""
    return to_device(named(name), device)


def to_device(book: CodeBook, device: int) -> tuple[Tensor, Tensor, Tensor]:
    """Copy a code book to an mps device."""
    import paddle

    place = paddle.CustomPlace("mps", device)
    numbers, points, codes = (
        paddle.to_tensor(array, place=place) for array in (book.numbers, book.points, book.codes)
    )
    return numbers, points, codes


def dynamic_map(signed: bool) -> Floats:
    """Return the numbers of `create_dynamic_map`."""
    import numpy as np

    positive = _table(_tables.DYNAMIC_SIGNED if signed else _tables.DYNAMIC_UNSIGNED)
    negative = -positive[::-1] if signed else positive[:0]
    return np.concatenate(
        [negative, np.array([0], np.float32), positive, np.array([1], np.float32)]
    )


def create_dynamic_map(signed: bool = True) -> Tensor:
    """Return the dynamic code book: 256 numbers, dense around 0.

    Seven decades, 10^(e - 6) for e = 0 .. 6, have 2^e numbers each (2^(e + 1) if unsigned), the
    midpoints of an even division of 0.1 to 1; both signs if signed; and 0 and 1. So there is no -1.

    Args:
        signed: From -0.993 to 1; else from 0 to 1, for what is never negative. Default: True.

    Returns:
        float32 [256], rising, on the current device. Does not synchronise.

    Raises:
        RuntimeError: There is no current device to put it on.

    Accuracy:
        The bits of bitsandbytes 0.50.2.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise quantization",
        2022; `bitsandbytes.functional.create_dynamic_map`.

    Example:
        >>> import paddle_mps.functional as F
        >>> code = F.create_dynamic_map()
        >>> list(code.shape), float(code[127]), float(code[255])
        ([256], 0.0, 1.0)
    """
    import paddle

    return paddle.to_tensor(dynamic_map(signed))


def create_linear_map(signed: bool = True) -> Tensor:
    """Return the linear code book: 256 numbers at even distances.

    Args:
        signed: -1 to 1, with one more number at 0; else 0 to 1. Default: True.

    Returns:
        float32 [256], rising, on the current device. Does not synchronise.

    Raises:
        RuntimeError: There is no current device to put it on.

    Accuracy:
        The bits of bitsandbytes 0.50.2.

    Source:
        `bitsandbytes.functional.create_linear_map`.

    Example:
        >>> import paddle_mps.functional as F
        >>> float(F.create_linear_map()[0]), float(F.create_linear_map(signed=False)[255])
        (-1.0, 1.0)
    """
    import paddle

    return paddle.to_tensor(_table(_tables.LINEAR_SIGNED if signed else _tables.LINEAR_UNSIGNED))


def create_fp8_map(signed: bool = True, exponent_bits: int = 5, precision_bits: int = 2) -> Tensor:
    """Return the numbers of a float of 8 bits, divided by the greatest of them.

    With bias B = 2^(exponent_bits - 1), an exponent e > 0 and a fraction f mean
    (1 + f) 2^(B + 1 - e), and e = 0 means f 2^-B.

    Args:
        signed: One bit is the sign. Default: True.
        exponent_bits: Default: 5.
        precision_bits: The bits of the fraction. Default: 2. The bits are 8 in all.

    Returns:
        float32 [256], rising, on the current device. Does not synchronise.

    Raises:
        ValueError: The bits are not 8 in all.

    Accuracy:
        The bits of bitsandbytes 0.50.2.

    Source:
        `bitsandbytes.functional.create_fp8_map`.

    Example:
        >>> import paddle_mps.functional as F
        >>> float(F.create_fp8_map(True, 4, 3)[0])
        -1.0
    """
    import numpy as np
    import paddle

    if exponent_bits + precision_bits + int(signed) != 8 or min(exponent_bits, precision_bits) < 1:
        raise ValueError(
            f"[create_fp8_map] bad bits: expected {8 - int(signed)} in all, got {exponent_bits} + "
            f"{precision_bits}. Correct them."
        )
    bias = 2 ** (exponent_bits - 1)
    numbers: list[float] = []
    for exponent in range(2**exponent_bits):
        for bits in range(2**precision_bits):
            fraction = bits / 2**precision_bits
            value = fraction * 2.0**-bias
            if exponent != 0:
                value = (1 + fraction) * 2.0 ** (bias + 1 - exponent)
            numbers += [value, -value] if signed else [value]
    code = np.array(sorted(numbers), np.float32)
    return paddle.to_tensor(code / code.max())


def create_normal_map(offset: float = 0.9677083, use_extra_value: bool = True) -> Tensor:
    """Return quantiles of the normal distribution: 15 or 14 numbers that are not 0, and zeros.

    This is where NF4 comes from. The quantiles of 8 probabilities from `offset` down to 1/2 without
    it, and of 7 (or 7 and 7) on the other side, are divided by the greatest.

    Args:
        offset: The outermost probability, 0.5 to 1. Default: that of NF4.
        use_extra_value: One more number on one side. Default: True.

    Returns:
        float32 [256], rising, on the current device. Does not synchronise.

    Raises:
        ValueError: The offset is not a probability above 1/2.

    Accuracy:
        1e-6 relative to bitsandbytes, which computes the quantiles with SciPy.

    Source:
        Dettmers, Pagnoni, Holtzman and Zettlemoyer, "QLoRA", 2023, section 3;
        `bitsandbytes.functional.create_normal_map`.

    Example:
        >>> import paddle_mps.functional as F
        >>> float(F.create_normal_map()[255])
        1.0
    """
    import numpy as np
    import paddle

    if not 0.5 < offset < 1:
        raise ValueError(
            f"[create_normal_map] bad offset: expected a number between 0.5 and 1, got {offset}. "
            "Leave it out for that of NF4."
        )

    def quantiles(count: int) -> list[float]:
        return [
            NormalDist().inv_cdf(float(p))
            for p in np.linspace(offset, 0.5, count + 1, dtype=np.float32)[:-1]
        ]

    one, other = quantiles(8 if use_extra_value else 7), quantiles(7)
    zeros = [0.0] * (256 - len(one) - len(other))
    code = np.array(sorted(one + zeros + [-value for value in other]), np.float32)
    return paddle.to_tensor(code / code.max())


def get_4bit_type(typename: str) -> Tensor:
    """Return the code book of a 4-bit type, in the order of its codes.

    Args:
        typename: "nf4" or "fp4".

    Returns:
        float32 [16] on the current device. Does not synchronise.

    Raises:
        ValueError: Another name.

    Accuracy:
        The bits of bitsandbytes 0.50.2.

    Source:
        Dettmers, Pagnoni, Holtzman and Zettlemoyer, "QLoRA", 2023;
        `bitsandbytes.functional.get_4bit_type`.

    Example:
        >>> import paddle_mps.functional as F
        >>> [round(float(x), 4) for x in F.get_4bit_type("nf4")[:3]]
        [-1.0, -0.6962, -0.5251]
    """
    import paddle

    check_4bit_type("get_4bit_type", typename)
    return paddle.to_tensor(named(typename).numbers)


def check_4bit_type(op: str, name: str) -> None:
    """Raise ValueError unless there is such a type."""
    if name not in ("nf4", "fp4"):
        raise ValueError(
            f'[{op}] bad quant_type: expected "nf4" or "fp4", got {name!r}. Take "nf4" for weights.'
        )
