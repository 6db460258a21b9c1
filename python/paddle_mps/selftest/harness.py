"""Runs cases: numbers into tensors and back, memory layouts, the truth, and where each op ran.

The truth is Paddle's CPU device computing in float64. Where NumPy can say the same, the tests hold
them against each other, so that no case rests on one opinion.
"""

from __future__ import annotations

import contextlib
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import paddle

from .cases.case import Case, Shape
from .cases.domains import DOMAINS
from .tolerance import FORMATS, FUNCTION, Values, assert_close

# dtypes that nothing computes with, and how their bits get in and out of a tensor
_AS_BYTES = ("float8_e4m3fn", "float8_e5m2")
_AS_INTEGERS = ("uint32", "uint64")
_COMPLEX = ("complex64", "complex128")
MOVED_ONLY = ("float64", *_COMPLEX, *_AS_BYTES, *_AS_INTEGERS)


@contextlib.contextmanager
def on(device: str) -> Iterator[None]:
    """Makes `device` the one that creates tensors."""
    previous = paddle.get_device()
    paddle.set_device(device)
    try:
        yield
    finally:
        paddle.set_device(previous)


@contextlib.contextmanager
def flags(**changes: bool) -> Iterator[None]:
    """Paddle's flags, `FLAGS_` left out, for the length of a block."""
    names = {f"FLAGS_{name}": value for name, value in changes.items()}
    previous = paddle.get_flags(list(names))
    paddle.set_flags(names)
    try:
        yield
    finally:
        paddle.set_flags(previous)


@contextlib.contextmanager
def on_mps() -> Iterator[None]:
    """mps is the device, numbers are the same in every run, and a missing kernel is an error."""
    np.random.seed(0)
    paddle.seed(0)
    with on("mps"), flags(enable_api_kernel_fallback=False):
        yield


def backend() -> str:
    """What stands behind the device: "metal", "host" or "null"."""
    import paddle_mps

    return paddle_mps.get_device_properties().backend


def dtype_name(tensor: paddle.Tensor) -> str:
    return str(tensor.dtype).rpartition(".")[2]


# -- numbers and tensors --------------------------------------------------------------------------


def tensor(numbers: np.ndarray, dtype: str, device: str = "mps") -> paddle.Tensor:
    """A contiguous tensor; floats come as float64 that the dtype holds exactly."""
    place = paddle.CPUPlace() if device == "cpu" else paddle.CustomPlace(device, 0)
    if dtype in _AS_BYTES:
        return paddle.to_tensor(numbers, place=place).view(dtype)
    if dtype in _AS_INTEGERS:
        on_cpu = paddle.to_tensor(numbers.astype("int64"), place=paddle.CPUPlace())
        return on_cpu.cast(getattr(paddle, dtype))._copy_to(place, True)
    if dtype == "bfloat16":
        bits = numbers.astype(np.float32).view(np.uint32) >> np.uint32(16)
        return paddle.to_tensor(bits.astype(np.uint16), place=place)
    return paddle.to_tensor(
        np.ascontiguousarray(numbers.astype(dtype)).reshape(numbers.shape), place=place
    )


def values(result: paddle.Tensor) -> Values:
    """The tensor's numbers, read back."""
    dtype = dtype_name(result)
    if dtype in _AS_BYTES:
        return Values(dtype, result.view("uint8").numpy())
    if dtype in _AS_INTEGERS:
        return Values(dtype, result.cpu().cast("int64").numpy())
    numbers = result.numpy()
    if dtype == "bfloat16":
        numbers = (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return Values(dtype, numbers.astype(np.float64) if dtype in FORMATS else numbers)


def describe(case: Case, dtype: str, shapes: Sequence[Shape], **more) -> str:
    """Op, dtype, shapes and what else matters, for messages."""
    extra = "".join(f", {k} {v}" for k, v in more.items())
    return f"[{case.id}] {dtype}, shapes {[list(s) for s in shapes]}{extra}"


def as_list(results: paddle.Tensor | Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
    return list(results) if isinstance(results, (list, tuple)) else [results]


def draw(case: Case, shapes: Sequence[Shape], dtype: str, seed: int = 0) -> list[np.ndarray]:
    """Numbers for the inputs of a case; the same ones in every run."""
    rng = np.random.default_rng(zlib.crc32(f"{case.id} {dtype} {shapes} {seed}".encode()))
    domains = [case.domain] * len(shapes) if isinstance(case.domain, str) else case.domain
    return [_draw_one(rng, domain, shape, dtype) for domain, shape in zip(domains, shapes)]


def _draw_one(rng: np.random.Generator, domain: str, shape: Shape, dtype: str) -> np.ndarray:
    if dtype in _COMPLEX:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    if dtype in _AS_BYTES:
        return DOMAINS["any"](rng, shape, "uint8")
    if dtype in _AS_INTEGERS:
        return DOMAINS["bytes"](rng, shape, "int64")
    return DOMAINS[domain](rng, shape, dtype)


# -- layouts --------------------------------------------------------------------------------------
# Each makes a tensor with given numbers whose memory is not a plain contiguous block. What lies
# around the numbers would spoil any result that read it.


def _poison(dtype: str) -> float:
    if dtype in FORMATS:
        return float("nan")
    return 1 if dtype == "bool" else 111


def _contiguous(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    return tensor(numbers, dtype, device)


def _transposed(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    axes = list(range(numbers.ndim))[::-1]
    return tensor(np.ascontiguousarray(numbers.transpose(axes)), dtype, device).transpose(axes)


def _permuted(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    axes = [*range(1, numbers.ndim), 0]  # the last axis of the tensor is the first in memory
    back = [numbers.ndim - 1, *range(numbers.ndim - 1)]
    return tensor(np.ascontiguousarray(numbers.transpose(back)), dtype, device).transpose(axes)


def _offset(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    storage = np.full((3, *numbers.shape), _poison(dtype)).astype(numbers.dtype)
    storage[1] = numbers
    return tensor(storage, dtype, device)[1]


def _sliced(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    storage = np.full([n + 3 for n in numbers.shape], _poison(dtype)).astype(numbers.dtype)
    window = tuple(slice(1, 1 + n) for n in numbers.shape)
    storage[window] = numbers
    return tensor(storage, dtype, device)[window]


def _stepped(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    storage = np.full((*numbers.shape[:-1], 2 * numbers.shape[-1]), _poison(dtype)).astype(
        numbers.dtype
    )
    storage[..., ::2] = numbers
    return tensor(storage, dtype, device)[..., ::2]


def _repeated(numbers: np.ndarray, dtype: str, device: str) -> paddle.Tensor:
    row = tensor(np.ascontiguousarray(numbers[0]), dtype, device)
    return paddle.as_strided(row, list(numbers.shape), [0, *row.strides][: numbers.ndim])


LAYOUTS: dict[str, tuple[Callable, int]] = {  # name -> (maker, least rank)
    "contiguous": (_contiguous, 0),
    "transposed": (_transposed, 2),
    "permuted": (_permuted, 3),
    "offset": (_offset, 0),
    "sliced": (_sliced, 1),
    "stepped": (_stepped, 1),
    "repeated": (_repeated, 1),
}


def fits(layout: str, shape: Shape) -> bool:
    return len(shape) >= LAYOUTS[layout][1] and (
        0 not in shape or layout in ("contiguous", "sliced", "transposed")
    )


def fitted(numbers: np.ndarray, layout: str) -> np.ndarray:
    """The numbers that a layout can hold: a repeated row can hold nothing else."""
    if layout == "repeated":
        return np.ascontiguousarray(np.broadcast_to(numbers[:1], numbers.shape))
    return numbers


def laid_out(numbers: np.ndarray, dtype: str, device: str, layout: str) -> paddle.Tensor:
    result = LAYOUTS[layout][0](numbers, dtype, device)
    assert list(result.shape) == list(numbers.shape), f"layout {layout} gave {result.shape}"
    return result


# -- running --------------------------------------------------------------------------------------


def views_as(case: Case, device: str) -> contextlib.AbstractContextManager:
    """Whether the case's views are views, or copies made by the device's own kernels."""
    return flags(use_stride_kernel=not (case.copies and device == "mps"))


def run(
    case: Case, dtype: str, tensors: Sequence[paddle.Tensor], device: str
) -> list[paddle.Tensor]:
    """Calls the case."""
    with views_as(case, device):
        return as_list(case.call(dtype, *tensors) if case.creates else case.call(*tensors))


def evaluate(
    case: Case,
    dtype: str,
    numbers: Sequence[np.ndarray],
    device: str = "mps",
    layouts: Sequence[str] | None = None,
) -> list[Values]:
    """The results of a case on a device."""
    with on(device):
        layouts = layouts or ["contiguous"] * len(numbers)
        tensors = [laid_out(n, dtype, device, at) for n, at in zip(numbers, layouts)]
        return [values(r) for r in run(case, dtype, tensors, device)]


_CPU_KERNELS = paddle.base.core._get_registered_phi_kernels()


def cpu_has(kernel: str, dtype: str) -> bool:
    return any(
        key.startswith("(CPU") and key.endswith(f" {dtype})")
        for key in _CPU_KERNELS.get(kernel, ())
    )


def dtype_of_truth(kernels: Sequence[str], dtype: str) -> str:
    """In which dtype Paddle's CPU device computes the truth: floats in float64, others as they are.

    Integers without a CPU kernel are computed in int64 and wrapped: what add, subtract and multiply
    do anyway.
    """
    if dtype in FORMATS:
        return "float64"
    if dtype in _AS_INTEGERS:
        return "int64"
    return dtype if all(cpu_has(kernel, dtype) for kernel in kernels) else "int64"


def narrowed(result: Values, wide: str, dtype: str) -> Values:
    """A result in the wide dtype stands for one in the dtype of the inputs."""
    if result.dtype != wide or wide == dtype:
        return result
    return Values(dtype, result.numbers if dtype in FORMATS else result.numbers.astype(dtype))


def truth(case: Case, dtype: str, numbers: Sequence[np.ndarray]) -> list[Values]:
    """What a case should give; floats are not yet rounded to the dtype."""
    results = cpu_truth(case, dtype, numbers)
    if case.rule is FUNCTION and dtype not in FORMATS:
        return numpy_truth(case, numbers, results)  # of integers, the CPU device makes float32
    numpy_decides = case.numpy_decides or case.cpu_is_wrong
    return numpy_truth(case, numbers, results) if numpy_decides else results


def cpu_truth(case: Case, dtype: str, numbers: Sequence[np.ndarray]) -> list[Values]:
    """The opinion of Paddle's CPU device."""
    wide = dtype_of_truth([case.kernel, *case.also], dtype)
    return [narrowed(r, wide, dtype) for r in evaluate(case, wide, numbers, "cpu")]


def numpy_truth(case: Case, numbers: Sequence[np.ndarray], like: Sequence[Values]) -> list[Values]:
    """NumPy's opinion, in the dtypes of `like`."""
    with np.errstate(all="ignore"):
        results = case.numpy(*numbers)
    results = list(results) if isinstance(results, (list, tuple)) else [results]
    cast = [
        np.asarray(r, np.float64) if v.is_float else np.asarray(r).astype(v.dtype)
        for r, v in zip(results, like)
    ]
    return [Values(v.dtype, r) for r, v in zip(cast, like)]


def magnitudes(
    case: Case, dtype: str, numbers: Sequence[np.ndarray]
) -> list[np.ndarray | None] | None:
    """The scale of the error: the case at its inputs' absolute values, where no sum cancels."""
    if not case.rule.needs_magnitude or dtype not in FORMATS:
        return None
    return [np.abs(r.numbers) for r in truth(case, dtype, [np.abs(n) for n in numbers])]


def terms(case: Case, shapes: Sequence[Shape]) -> int:
    return case.rule.terms(*shapes) if case.rule.terms else 0


def check_all(
    got: Sequence[Values],
    expected: Sequence[Values],
    case: Case,
    what: str,
    scales: Sequence | None,
    count: int,
    **more,
) -> None:
    assert len(got) == len(expected), f"{what}: expected {len(expected)} results, got {len(got)}"
    for i, (g, e) in enumerate(zip(got, expected)):
        which = f"{what} result {i}" if len(got) > 1 else what
        scale = scales[i] if scales is not None else np.abs(e.numbers) if e.is_float else None
        assert_close(g, e, case.rule, which, magnitude=scale, terms=count, **more)


# -- where ops ran --------------------------------------------------------------------------------


def op_calls() -> dict[tuple[str, str, str], int]:
    """(kernel, dtype, "mps" or "cpu") -> calls since the last reset."""
    from paddle_mps import _library

    # What fallback_report() is made of, which takes long to ask twice for every case.
    extension = _library.require("op_calls")
    problem = extension.fallback_tracking_problem()
    # On macOS they cannot be counted (plugin/paddle/fallback_apple.cc); kernels of mps are.
    counted = not problem or sys.platform == "darwin"
    assert counted, f"calls that ran on the CPU are not counted: {problem}"
    calls: Counter[tuple[str, str, str]] = Counter()
    for op, dtype, where, count in extension.ops():
        if count:
            calls[op, dtype, ("mps", "cpu")[where]] += count
    return calls


class Watch:
    """What ran on mps, and what Paddle moved to the CPU, while the block ran."""

    def __enter__(self) -> Watch:
        self._before = op_calls()
        return self

    def __exit__(self, *exception: object) -> None:
        before = self._before
        self.calls = {
            key: n - before.get(key, 0) for key, n in op_calls().items() if n > before.get(key, 0)
        }

    def assert_ran(self, kernels: Sequence[str], dtype: str, what: str) -> None:
        """Every kernel ran on mps in this dtype, and nothing ran on the CPU in its stead."""
        fell_back = sorted(f"{op} ({dt})" for op, dt, where in self.calls if where == "cpu")
        assert not fell_back, f"{what}: Paddle ran on the CPU: {', '.join(fell_back)}"
        ran = sorted({f"{op} ({dt})" for op, dt, _ in self.calls})
        for kernel in kernels:
            assert (kernel, dtype, "mps") in self.calls, (
                f"{what}: {kernel} ({dtype}) did not run; ran: {ran}"
            )
