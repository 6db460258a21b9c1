"""Swaps the linear layers of a model for quantised ones."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paddle.nn import Layer

FORMATS = ("nf4", "fp4", "int8", "bitnet")
_BAR = 30


@dataclass(frozen=True)
class QuantizationReport:
    """What `quantize_model` did.

    `layers` names what was swapped, `skipped` the linear layers that were left; bytes are those of
    all parameters and quantised weights of the model.
    """

    layers: tuple[str, ...]
    skipped: tuple[str, ...]
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        """Return it in one line."""
        ratio = self.bytes_before / self.bytes_after if self.bytes_after else 1.0
        return (
            f"{len(self.layers)} layers quantised, {len(self.skipped)} left: "
            f"{self.bytes_before:,} bytes before, {self.bytes_after:,} after "
            f"({ratio:.2f} times smaller)"
        )


def model_bytes(model: Layer) -> int:
    """Return the bytes of a model's parameters and of its quantised weights."""
    from .nn.params import QuantizedState

    total = sum(int(p.size) * p.element_size() for p in model.parameters())
    for layer in model.sublayers(include_self=True):
        if isinstance(layer, QuantizedState):
            tensors = layer.quantized_entries().values()
            total += sum(int(tensor.size) * tensor.element_size() for tensor in tensors)
    return total


def quantize_model(
    model: Layer,
    format: str = "nf4",  # noqa: A002
    skip: Sequence[str] = (),
    progress: bool | None = None,
    **options: Any,
) -> QuantizationReport:
    """Swap every `paddle.nn.Linear` of a model for a quantised layer, in place.

    Args:
        model: On mps. Layers are swapped one after the other, so that the model is never there
            twice.
        format: "nf4" or "fp4" (`nn.Linear4bit`), "int8" (`nn.Linear8bitLt` without float weights)
            or "bitnet" (`nn.BitLinear`, to be trained; a model that was not loses its mind).
            Default: "nf4".
        skip: Names of layers to leave, or patterns such as "*.head". Default: none.
        progress: Whether to draw a bar on stderr. Default: if that is a terminal.
        options: For the layers, such as blocksize=128 or threshold=6.0.

    Returns:
        What was swapped, and the bytes before and after. Synchronises if a statistic is nested.

    Raises:
        ValueError: Another format; a model that is itself a linear layer; a pattern that matches
            nothing; what the layers refuse.

    Source:
        transformers' `replace_with_bnb_linear`.

    Example:
        >>> import paddle, paddle_mps
        >>> model = paddle.nn.Sequential(paddle.nn.Linear(64, 64), paddle.nn.Linear(64, 10))
        >>> report = paddle_mps.quantize_model(model, "nf4", skip=["1"])
        >>> report.layers, report.skipped
        (('0',), ('1',))
        >>> type(model[0]).__name__, list(model(paddle.ones([1, 64])).shape)
        ('Linear4bit', [1, 10])
    """
    from paddle.nn import Linear

    op = "quantize_model"
    if format not in FORMATS:
        raise ValueError(
            f"[{op}] bad format: expected one of {', '.join(FORMATS)}, got {format!r}. Take nf4."
        )
    if isinstance(model, Linear):
        raise ValueError(
            f"[{op}] the model is a linear layer itself: expected one that has such layers, got "
            f"{type(model).__name__}. Call from_linear of the layer you want."
        )
    found = [name for name, layer in model.named_sublayers() if isinstance(layer, Linear)]
    idle = [pattern for pattern in skip if not fnmatch.filter(found, pattern)]
    if idle:
        raise ValueError(
            f"[{op}] skip names what is not there: expected some of "
            f"{', '.join(found) or 'no layers'}, got {', '.join(idle)}. Correct it."
        )
    skipped = [name for name in found if any(fnmatch.fnmatch(name, p) for p in skip)]
    names = [name for name in found if name not in skipped]
    convert, before = _converter(format, options), model_bytes(model)
    show = sys.stderr.isatty() if progress is None else progress
    for done, name in enumerate(names):
        if show:
            _draw(done, len(names), name)
        _swap(model, name, convert)
    if show:
        _draw(len(names), len(names), "")
    return QuantizationReport(tuple(names), tuple(skipped), before, model_bytes(model))


def _converter(format: str, options: dict[str, Any]) -> Callable[[Any], Any]:  # noqa: A002
    from .nn import BitLinear, Linear4bit, Linear8bitLt

    if format == "bitnet":
        return lambda linear: BitLinear.from_linear(linear, **options)
    if format == "int8":
        options = {"has_fp16_weights": False, **options}
        return lambda linear: Linear8bitLt.from_linear(linear, **options)
    return lambda linear: Linear4bit.from_linear(linear, quant_type=format, **options)


def _swap(model: Layer, name: str, convert: Callable[[Any], Any]) -> None:
    parent_name, _, own = name.rpartition(".")
    parent = dict(model.named_sublayers(include_self=True))[parent_name]
    old = parent._sub_layers[own]
    new = convert(old)
    if not old.training:
        new.eval()
    parent._sub_layers[own] = new


def _draw(done: int, total: int, name: str) -> None:
    filled = _BAR * done // max(total, 1)
    bar = "#" * filled + "." * (_BAR - filled)
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r\x1b[K[{bar}] {done}/{total} {name}{end}")
    sys.stderr.flush()
