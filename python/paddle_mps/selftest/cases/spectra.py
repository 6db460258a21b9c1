"""Fourier transforms, and frames of signals. Complex inputs are real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle

from ..tolerance import EXACT, Rule, rounded_once
from .case import Case, Gradient

# Rounding is spread over all frequencies, so that what matters is the size of the whole: some
# roots of the lengths below.
_RULE = rounded_once(4, 16)
_OF_MANY = rounded_once(4, 256)


def _parts(tensor: paddle.Tensor) -> paddle.Tensor:
    return paddle.as_real(tensor) if tensor.is_complex() else tensor


def _case(
    kernel: str,
    name: str,
    op: Callable,
    shapes: tuple,
    rule: Rule = _RULE,
    *,
    takes_pairs: bool,
    **more,
) -> Case:
    back = {"fft_r2c": "complex64", "fft_c2r": "float32"}.get(kernel, "")

    def call(*parts: paddle.Tensor) -> paddle.Tensor:
        return _parts(op(paddle.complex(*parts) if takes_pairs else parts[0]))

    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=tuple((shape,) * (2 if takes_pairs else 1) for shape in shapes),
        dtypes=("float32",),
        rule=rule,
        domain="unit",
        like_cpu=False,
        copies=True,  # as_real makes views, which static programs do not have
        runs_in="complex64" if takes_pairs else "",
        gradient=Gradient(f"{kernel}_grad", rule, dtypes=("float32",), runs_in=back),
        **more,
    )


# One stage of 64 or less, several, primes of one product, and those that take a chirp.
_LENGTHS = tuple((2, n) for n in (1, 2, 3, 8, 17, 30, 64, 67, 96, 128))
_LONG = tuple((1, n) for n in (257, 514, 1009, 4096))
_PLANES = ((3, 4, 6), (2, 5, 3), (2, 3, 8, 5))

TRANSFORMS = (
    _case("fft_c2c", "", paddle.fft.fft, _LENGTHS, takes_pairs=True),
    _case(
        "fft_c2c",
        "long",
        lambda x: paddle.fft.ifft(x, norm="ortho"),
        _LONG,
        _OF_MANY,
        takes_pairs=True,
    ),
    *(
        _case("fft_c2c", f"planes_{norm}", op, _PLANES, takes_pairs=True)
        for norm, op in (
            ("forward", lambda x: paddle.fft.fft2(x, norm="forward")),
            ("backward", lambda x: paddle.fft.ifft2(x, axes=(0, 2))),
            ("ortho", lambda x: paddle.fft.fftn(x, norm="ortho")),
        )
    ),
    _case("fft_r2c", "", paddle.fft.rfft, _LENGTHS, takes_pairs=False),
    _case("fft_r2c", "long", paddle.fft.rfft, _LONG, _OF_MANY, takes_pairs=False),
    _case("fft_r2c", "planes", lambda x: paddle.fft.rfftn(x), _PLANES, takes_pairs=False),
    _case(
        "fft_r2c",
        "inverse",
        lambda x: paddle.fft.ihfft2(x, axes=(1, 0), norm="forward"),
        _PLANES,
        takes_pairs=False,
    ),
    _case(
        "fft_r2c",
        "two_sided",
        lambda x: paddle._C_ops.fft_r2c(x, [1, 2], "backward", True, False),
        _PLANES,
        takes_pairs=False,
    ),
    _case("fft_c2r", "", paddle.fft.irfft, _LENGTHS[1:], takes_pairs=True),
    _case("fft_c2r", "odd", lambda x: paddle.fft.irfft(x, 7, 1), _PLANES, takes_pairs=True),
    _case("fft_c2r", "planes", paddle.fft.irfft2, _PLANES, takes_pairs=True),
    _case(
        "fft_c2r",
        "forward",
        lambda x: paddle.fft.hfftn(x, norm="ortho"),
        _PLANES,
        takes_pairs=True,
    ),
)


def _window(size: int, like: paddle.Tensor) -> paddle.Tensor:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return paddle.to_tensor(window, dtype=like.dtype, place=like.place)


def _stft(size: int, hop: int, normalised: bool) -> Callable:
    # The CPU device refuses frequencies on both sides.
    return lambda x: paddle._C_ops.stft(x, _window(size, x), size, hop, normalised, True)


_SIGNALS = ("float32", "int32", "int64")


def _frames(kernel: str, name: str, call: Callable, shapes: tuple, rule: Rule, slope: Rule) -> Case:
    return Case(
        kernel=kernel,
        name=name,
        call=call,
        shapes=shapes,
        dtypes=_SIGNALS,
        domain="small",
        rule=rule,
        like_cpu=False,
        gradient=Gradient(f"{kernel}_grad", slope, dtypes=("float32",)),
    )


_FRAMED = (((9,),), ((2, 16),), ((3, 2, 9),))
_SUM = rounded_once(8, 8)

FRAMES = (
    _frames("frame", "", lambda x: paddle.signal.frame(x, 4, 2), _FRAMED, EXACT, _SUM),
    _frames("frame", "rows", lambda x: paddle.signal.frame(x, 3, 1, 0), _FRAMED[2:], EXACT, _SUM),
    _frames("frame", "gaps", lambda x: paddle.signal.frame(x, 2, 3), _FRAMED, EXACT, EXACT),
    _frames(
        "overlap_add",
        "",
        lambda x: paddle.signal.overlap_add(x, 2),
        (((4, 5),), ((2, 4, 3),), ((2, 2, 3, 5),)),
        _SUM,
        EXACT,
    ),
    _frames(
        "overlap_add",
        "rows",
        lambda x: paddle.signal.overlap_add(x, 1, 0),
        (((4, 5),), ((4, 3, 2),)),
        _SUM,
        EXACT,
    ),
    _case(
        "frame",
        "complex",
        lambda x: paddle.signal.frame(x, 4, 2),
        ((9,), (2, 16)),
        takes_pairs=True,
    ),
    _case(
        "overlap_add",
        "complex",
        lambda x: paddle.signal.overlap_add(x, 2),
        ((4, 5), (2, 4, 3)),
        takes_pairs=True,
        layouts=False,  # Paddle's static programs take the result for real
    ),
    _case("stft", "", _stft(16, 5, False), ((1, 40), (3, 65)), takes_pairs=False),
    _case("stft", "normalised", _stft(15, 4, True), ((2, 40),), takes_pairs=False),
)

CASES = (*TRANSFORMS, *FRAMES)
