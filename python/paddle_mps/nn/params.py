"""Weights of 4 bits, and layers that keep something which is no parameter in their state dict."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .. import functional as F
from .._tensor import tensor_device
from ..functional.state import dtype_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paddle import Tensor


class Params4bit:
    """A weight [N, K] quantised to 4 bits: packed bytes and a `QuantState`.

    It is no tensor, so that casting a layer leaves it alone, and no parameter: nothing trains it.

    Args:
        data: The weight, float32, float16 or bfloat16, on mps; or its packed bytes.
        quant_state: Of packed bytes. Default: the weight is quantised now.
        blocksize: 32 to 4096. Default: 64.
        compress_statistics: Quantise absmax, too. Default: True.
        quant_type: "nf4" or "fp4". Default: "fp4".
        quant_storage: A dtype that the bytes are shown as. Default: uint8.

    Raises:
        ValueError: What `functional.quantize_4bit` refuses.

    Source:
        `bitsandbytes.nn.Params4bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import Params4bit
        >>> weight = Params4bit(paddle.ones([4, 64]), quant_type="nf4")
        >>> weight.shape, list(weight.dequantize().shape)
        ([128, 1], [4, 64])
    """

    def __init__(
        self,
        data: Tensor,
        quant_state: F.QuantState | None = None,
        blocksize: int = 64,
        compress_statistics: bool = True,
        quant_type: str = "fp4",
        quant_storage: Any = "uint8",
    ) -> None:
        """Quantise the weight, unless there is a state already."""
        self.data, self.quant_state = data, quant_state
        if quant_state is None:
            self.data, self.quant_state = F.quantize_4bit(
                data.detach(),
                blocksize=blocksize,
                compress_statistics=compress_statistics,
                quant_type=quant_type,
                quant_storage=quant_storage,
            )

    @classmethod
    def from_prequantized(
        cls, data: Tensor, quantized_stats: Mapping[str, Any], device: Any = None
    ) -> Params4bit:
        """Return a weight that a file holds: its packed bytes, and the other tensors of its state.

        Args:
            data: The packed bytes.
            quantized_stats: As `QuantState.as_dict(packed=True)` gave them, prefixes allowed.
            device: Where to put them. Default: where they are.
        """
        moved = data if device is None else data.to(device)
        return cls(moved, F.QuantState.from_dict(quantized_stats, device))

    @property
    def state(self) -> F.QuantState:
        """The state; a weight always has one."""
        assert self.quant_state is not None
        return self.quant_state

    @property
    def shape(self) -> list[int]:
        """The shape of the packed bytes."""
        return list(self.data.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of the codes and of everything that belongs to them."""
        tensors = [self.data, *(t for t in self.state.as_dict().values() if hasattr(t, "numpy"))]
        return sum(int(tensor.size) * tensor.element_size() for tensor in tensors)

    def dequantize(self) -> Tensor:
        """Return the weight in its own dtype. Does not synchronise."""
        return F.dequantize_4bit(self.data, self.state)

    def to(self, device: Any) -> Params4bit:
        """Return the weight on another device."""
        return Params4bit(self.data.to(device), self.state.to(device))

    def entries(self) -> dict[str, Tensor]:
        """Return what goes into a state dict: "" for the bytes, then ".absmax" and so on."""
        packed = self.state.as_dict(packed=True)
        return {"": self.data} | {f".{key}": value for key, value in packed.items()}

    def __repr__(self) -> str:
        """Return the facts without the numbers."""
        return f"Params4bit({self.state!r})"


class _Refusing:
    """Stands for a quantised weight when Paddle loads a state dict: it cannot be loaded so."""

    def __init__(self, key: str, tensor: Tensor) -> None:
        self.name, self.shape, self._key = key, tensor.shape, key

    def set_value(self, value: Any) -> None:
        raise RuntimeError(
            f"[set_state_dict] {self._key} is quantised: expected its codes and scales to be "
            "loaded together, got set_state_dict, which loads tensor by tensor. Call "
            "paddle_mps.nn.load_state_dict(model, state_dict)."
        )


class QuantizedState:
    """What a layer adds that keeps tensors which are no parameters in its state dict.

    A class that inherits from it and from `paddle.nn.Layer` says what they are
    (`quantized_entries`) and takes them back (`load_quantized`).
    """

    def quantized_entries(self) -> dict[str, Tensor]:
        """Return the tensors by key."""
        raise NotImplementedError

    def load_quantized(self, entries: Mapping[str, Tensor]) -> None:
        """Take the tensors that the layer's own keys name, of any shape."""
        raise NotImplementedError

    def _state_dict_impl(
        self,
        destination: Any = None,
        include_sublayers: bool = True,
        structured_name_prefix: str = "",
        include_non_persistable_buffer: bool = False,
        use_hook: bool = True,
        keep_vars: bool = True,
    ) -> Any:
        """Add them to what `paddle.nn.Layer` collects."""
        found = OrderedDict() if destination is None else destination
        for key, tensor in self.quantized_entries().items():
            name = structured_name_prefix + key
            # Paddle collects without hooks when it loads.
            found[name] = tensor if use_hook else _Refusing(name, tensor)
        return super()._state_dict_impl(  # type: ignore[misc]
            found,
            include_sublayers,
            structured_name_prefix,
            include_non_persistable_buffer,
            use_hook,
            keep_vars,
        )


def load_state_dict(model: Any, state_dict: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Load a state dict into a model with quantised layers, their codes and scales together.

    Reads what `model.state_dict()` gave, and what bitsandbytes wrote for the same layers. (Paddle's
    `set_state_dict` loads tensor by tensor, and refuses quantised weights.)

    Args:
        model: A `paddle.nn.Layer` on mps.
        state_dict: Tensors (or NumPy arrays) by key.

    Returns:
        The keys that were missing, and those that nobody wanted. Synchronises.

    Raises:
        ValueError: A quantised weight does not fit its layer, or is damaged.

    Source:
        `torch.nn.Module.load_state_dict`.

    Example:
        >>> import paddle, paddle_mps
        >>> a, b = (paddle_mps.nn.LinearNF4(64, 8) for _ in range(2))
        >>> paddle_mps.nn.load_state_dict(b, a.state_dict())
        ([], [])
        >>> x = paddle.ones([1, 64])
        >>> bool((a(x) == b(x)).all())
        True
    """
    import paddle

    rest = dict(state_dict)
    missing: list[str] = []
    place = paddle.CustomPlace("mps", int(paddle.get_device().rpartition(":")[2] or 0))
    for prefix, layer in model.named_sublayers(include_self=True):
        if not isinstance(layer, QuantizedState):
            continue
        start = f"{prefix}." if prefix else ""
        keys = {key: f"{start}{key}" for key in layer.quantized_entries()}
        wanted = {
            key
            for key in rest
            if any(key == full or key.startswith(f"{full}.") for full in keys.values())
        }
        if not wanted:
            missing += keys.values()
            continue
        found = {key: _on(rest.pop(key), place) for key in sorted(wanted)}
        layer.load_quantized({key[len(start) :]: tensor for key, tensor in found.items()})
    own = model.state_dict()
    plain = {key: value for key, value in rest.items() if key in own}
    for key, value in plain.items():
        if list(own[key].shape) != list(value.shape):
            raise ValueError(
                f"[load_state_dict] {key} does not fit: expected shape {list(own[key].shape)}, got "
                f"{list(value.shape)}. Load it into the model that it was saved from."
            )
        own[key].set_value(_on(value, place).astype(own[key].dtype))
    names = {name for name, _ in model.named_parameters()} | {n for n, _ in model.named_buffers()}
    missing += sorted(name for name in names & set(own) if name not in plain)
    return missing, sorted(set(rest) - set(plain))


def _on(value: Any, place: Any) -> Tensor:
    """Return a tensor, or an array, as a tensor on the device."""
    import paddle

    if isinstance(value, paddle.Tensor):
        moved: Tensor = value.detach().to(place)
        return moved
    made: Tensor = paddle.to_tensor(value, place=place)
    return made


def to_float(op: str, weight: Any) -> Tensor:
    """Return a weight matrix that can be quantised; refuse what is none."""
    tensor_device(op, weight)
    if weight.ndim != 2:
        raise ValueError(f"[{op}] not a matrix: expected [N, K], got {weight.shape}. Reshape it.")
    result: Tensor = weight.detach()
    return result


def told(entries: Mapping[str, Tensor]) -> str:
    """Return what tensors a state dict has, for messages."""
    return ", ".join(f"{key} {dtype_name(t.dtype)} {t.shape}" for key, t in sorted(entries.items()))
