"""Fourier transforms against NumPy in float64, and what Paddle makes of them for signals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from paddle.audio.features import MFCC, LogMelSpectrogram, MelSpectrogram, Spectrogram

pytestmark = pytest.mark.usefixtures("no_fallback")

# By how much a spectrum in float32 is off, as a part of its norm: what
# plugin/metal/legal/fourier.h says of the way that is off most.
ACCURACY = 6e-7
LENGTHS = [1, 2, 3, 5, 7, 16, 30, 63, 64, 65, 67, 97, 100, 128, 210, 251, 256, 257, 400, 509, 512]
LONG = [514, 1009, 1024, 2310, 4096, 4099, 65536, 66049, 67591, 2**18, 92681]


def off(got: paddle.Tensor, truth: np.ndarray) -> float:
    assert tuple(got.shape) == truth.shape
    return float(np.linalg.norm(got.numpy() - truth) / max(np.linalg.norm(truth), 1e-30))


@pytest.mark.parametrize("length", LENGTHS + LONG)
def test_a_transform_of_any_length(length: int) -> None:
    rng = np.random.default_rng(length)
    x = (rng.normal(size=(2, length)) + 1j * rng.normal(size=(2, length))).astype("complex64")
    exact, tensor = x.astype("complex128"), paddle.to_tensor(x)
    assert off(paddle.fft.fft(tensor), np.fft.fft(exact)) < ACCURACY
    assert off(paddle.fft.ifft(tensor, norm="ortho"), np.fft.ifft(exact, norm="ortho")) < ACCURACY
    assert off(paddle.fft.rfft(tensor.real()), np.fft.rfft(exact.real)) < ACCURACY
    assert off(paddle.fft.irfft(tensor, length), np.fft.irfft(exact, length)) < ACCURACY


@pytest.mark.parametrize("length", [64, 67, 96, 509, 4096])
def test_a_single_frequency_is_where_it_should_be(length: int) -> None:
    """Each twiddle factor by itself: what a norm would hide."""
    for frequency in {1, length // 3, length - 1}:
        wave = np.exp(2j * np.pi * frequency * np.arange(length) / length)
        found = paddle.fft.fft(paddle.to_tensor(wave.astype("complex64"))).numpy() / length
        expected = np.zeros(length)
        expected[frequency] = 1
        np.testing.assert_allclose(found, expected, atol=3e-7)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize(
    "name", ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]
)
def test_several_axes(name: str, norm: str) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 6, 5, 8)) + 1j * rng.normal(size=(3, 6, 5, 8))
    x = x.real.astype("float32") if name.startswith("rfft") else x.astype("complex64")
    for axes, sizes in (((1, 3), None), ((2, 0), (5, 4)), ((-1, -2), (3, 9))):
        got = getattr(paddle.fft, name)(paddle.to_tensor(x), sizes, axes, norm)
        wide = x.astype("complex128" if x.dtype == np.complex64 else "float64")
        assert off(got, getattr(np.fft, name)(wide, sizes, axes, norm)) < ACCURACY


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("size", [7, 8, 14, 16])
def test_hermitian_signals(norm: str, size: int) -> None:
    rng = np.random.default_rng(6)
    x = (rng.normal(size=(3, 8)) + 1j * rng.normal(size=(3, 8))).astype("complex64")
    wide = x.astype("complex128")
    assert (
        off(
            paddle.fft.hfft(paddle.to_tensor(x), size, norm=norm),
            np.fft.hfft(wide, size, norm=norm),
        )
        < ACCURACY
    )
    real = wide.real.copy()
    assert (
        off(
            paddle.fft.ihfft(paddle.to_tensor(x.real.copy()), norm=norm),
            np.fft.ihfft(real, norm=norm),
        )
        < ACCURACY
    )


def test_nothing_and_nan() -> None:
    assert paddle.fft.fft(paddle.zeros([0, 8], "complex64")).shape == [0, 8]
    x = paddle.ones([2, 8])
    x[0, 3] = float("nan")
    spectrum = paddle.fft.rfft(x)
    assert paddle.isnan(spectrum.real()[0]).all()
    np.testing.assert_array_equal(spectrum.real()[1].numpy(), [8, 0, 0, 0, 0])


def test_istft_gives_the_signal_back() -> None:
    rng = np.random.default_rng(7)
    signal = paddle.to_tensor(rng.normal(size=(2, 1000)).astype("float32"))
    window = paddle.audio.functional.get_window("hann", 64, dtype="float32")
    for onesided in (True, False):
        there = paddle.signal.stft(signal, 64, 16, window=window, onesided=onesided)
        assert there.shape == [2, 33 if onesided else 64, 63]
        back = paddle.signal.istft(there, 64, 16, window=window, onesided=onesided)
        np.testing.assert_allclose(back.numpy(), signal.numpy()[:, : back.shape[1]], atol=2e-6)


def test_stft_on_both_sides() -> None:
    """Which Paddle's CPU device refuses."""
    rng = np.random.default_rng(8)
    x, window = rng.normal(size=(2, 40)).astype("float32"), rng.normal(size=8).astype("float32")
    tensor = paddle.to_tensor(x, stop_gradient=False)
    found = paddle._C_ops.stft(tensor, paddle.to_tensor(window), 8, 4, True, False)
    frames = np.stack([x[:, i * 4 : i * 4 + 8] * window for i in range(9)], -1).astype("float64")
    truth = np.fft.fft(frames, axis=1, norm="ortho")
    assert off(found, truth) < ACCURACY
    weights = rng.normal(size=truth.shape).astype("float32")
    (found.real() * paddle.to_tensor(weights)).sum().backward()
    slope = np.zeros_like(x)
    back = np.fft.fft(weights, axis=1, norm="ortho").real * window[:, None]
    for i in range(9):
        slope[:, i * 4 : i * 4 + 8] += back[..., i]
    assert off(tensor.grad, slope) < ACCURACY


@pytest.mark.parametrize(
    "make",
    [
        lambda: Spectrogram(n_fft=128),
        lambda: MelSpectrogram(sr=8000, n_fft=256, n_mels=32, f_min=20.0),
        lambda: LogMelSpectrogram(sr=8000, n_fft=256, n_mels=32, f_min=20.0),
        lambda: MFCC(sr=8000, n_fft=256, n_mels=32, n_mfcc=13, f_min=20.0),
    ],
    ids=["spectrogram", "mel", "log_mel", "mfcc"],
)
def test_features_of_sound(make: Callable) -> None:
    """Forward and backward as on the CPU device, without the CPU."""
    numbers = np.random.default_rng(9).normal(size=(2, 2000)).astype("float32")
    found = []
    for device in ("cpu", "mps"):
        paddle.set_device(device)
        signal = paddle.to_tensor(numbers, stop_gradient=False)
        features = make()(signal)
        features.sum().backward()
        found.append((features.numpy(), signal.grad.numpy()))
    (features, slope), (got, got_slope) = found
    assert np.linalg.norm(got - features) < 2e-6 * np.linalg.norm(features)
    assert np.linalg.norm(got_slope - slope) < 1e-5 * np.linalg.norm(slope)
