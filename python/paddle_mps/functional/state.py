"""What a quantised tensor is besides its codes, as bitsandbytes keeps it and writes it to files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import code_books

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paddle import Tensor

_PACKED = "quant_state.bitsandbytes__"
_TENSORS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
_DTYPES = ("float32", "float16", "bfloat16")


def dtype_name(dtype: Any) -> str:
    """Return "float32" for `paddle.float32` and for "float32"."""
    return str(dtype).rpartition(".")[2]


class QuantState:
    """Scales, code book and shape of a tensor quantised by blocks.

    Args:
        absmax: float32 [blocks], the greatest absolute value of every block; uint8 if nested.
        shape: Of the tensor.
        code: float32 [16] or [256], the code book. Default: that of `quant_type`.
        blocksize: Elements per block, counted flat.
        quant_type: "nf4" or "fp4"; None for 8 bits.
        dtype: Of the tensor.
        offset: float32 [], which was subtracted from absmax before that was quantised; None if it
            was not.
        state2: A QuantState of absmax; None if it was not quantised.

    Source:
        `bitsandbytes.functional.QuantState`, to the byte in what it reads and writes.

    Example:
        >>> import paddle
        >>> import paddle_mps.functional as F
        >>> packed, state = F.quantize_nf4(paddle.ones([3, 64]))
        >>> state.shape, state.blocksize, state.absmax.tolist()
        ([3, 64], 64, [1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        absmax: Tensor,
        shape: Sequence[int] | None = None,
        code: Tensor | None = None,
        blocksize: int | None = None,
        quant_type: str | None = None,
        dtype: Any = None,
        offset: Tensor | None = None,
        state2: QuantState | None = None,
    ) -> None:
        """Keep what is given."""
        self.absmax = absmax
        self.shape = None if shape is None else list(shape)
        self.code = code_books.get_4bit_type(quant_type) if code is None and quant_type else code
        self.dtype = dtype
        self.blocksize = blocksize
        self.quant_type = quant_type
        self.offset = offset
        self.state2 = state2

    @property
    def nested(self) -> bool:
        """Whether absmax is quantised itself."""
        return self.state2 is not None

    def __getitem__(self, index: int) -> Any:
        """Return an entry of the list that older versions of bitsandbytes had in its place."""
        nested = [self.offset, self.state2] if self.nested else None
        return [self.absmax, self.shape, self.dtype, self.blocksize, nested, self.quant_type][index]

    def __eq__(self, other: object) -> bool:
        """Say whether two states mean the same. Synchronises."""
        if not isinstance(other, QuantState):
            return NotImplemented
        return self._comparable() == other._comparable()

    __hash__ = None  # type: ignore[assignment]

    def _comparable(self) -> Any:
        facts = self.as_dict()
        return {
            key: value.numpy().tobytes() if key in _TENSORS else value
            for key, value in facts.items()
        }

    def __repr__(self) -> str:
        """Return the facts without the numbers."""
        return (
            f"QuantState({self.quant_type or '8 bits'}, blocksize={self.blocksize}, "
            f"shape={self.shape}, dtype={dtype_name(self.dtype)}, nested={self.nested})"
        )

    def to(self, device: Any) -> QuantState:
        """Return this state on another device; itself is left as it is."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return QuantState(
            self.absmax.to(device),
            self.shape,
            moved(self.code),
            self.blocksize,
            self.quant_type,
            self.dtype,
            moved(self.offset),
            self.state2.to(device) if self.state2 is not None else None,
        )

    def as_dict(self, packed: bool = False) -> dict[str, Any]:
        """Return the state under the names that bitsandbytes writes. Synchronises if nested.

        Args:
            packed: All that is no tensor goes into one, of the bytes of its JSON, under the key
                "quant_state.bitsandbytes__" and the type: for files that hold tensors only.
        """
        facts: dict[str, Any] = {
            "quant_type": self.quant_type,
            "absmax": self.absmax,
            "blocksize": self.blocksize,
            "quant_map": self.code,
            "dtype": dtype_name(self.dtype),
            "shape": tuple(self.shape or ()),
        }
        if self.state2 is not None and self.offset is not None:
            facts |= {
                "nested_absmax": self.state2.absmax,
                "nested_blocksize": self.state2.blocksize,
                "nested_quant_map": self.state2.code,
                "nested_dtype": dtype_name(self.state2.dtype),
                "nested_offset": float(self.offset),
            }
        if not packed:
            return facts
        import numpy as np
        import paddle

        tensors = {key: value for key, value in facts.items() if key in _TENSORS}
        rest = {key: value for key, value in facts.items() if key not in _TENSORS}
        text = np.frombuffer(json.dumps(rest).encode(), np.uint8).copy()
        tensors[f"{_PACKED}{self.quant_type}"] = paddle.to_tensor(text, place=self.absmax.place)
        return tensors

    @classmethod
    def from_dict(cls, qs_dict: Mapping[str, Any], device: Any = None) -> QuantState:
        """Return the state that `as_dict` wrote, or bitsandbytes. Synchronises if packed.

        Args:
            qs_dict: Its keys may have a prefix that ends in a point, such as "weight.".
            device: Where its tensors are to be. Default: where they are.

        Raises:
            ValueError: A key is missing or unknown; the JSON is none, or says what cannot be.
        """
        facts = {_short(key): value for key, value in qs_dict.items()}
        packed = [key for key in facts if key.startswith(_PACKED)]
        if len(packed) > 1 or (not packed and "quant_type" not in facts):
            raise ValueError(
                f"[QuantState] not a quantised state: expected one key {_PACKED}nf4 or "
                f"{_PACKED}fp4, got {', '.join(sorted(facts)) or 'no keys'}. Pass what belongs to "
                "one weight."
            )
        if packed:
            facts |= _unpacked(facts.pop(packed[0]), packed[0][len(_PACKED) :])
        _check(facts)

        def tensor(key: str) -> Tensor:
            value: Tensor = facts[key]
            return value if device is None else value.to(device)

        offset = state2 = None
        if "nested_absmax" in facts:
            import paddle

            place = tensor("absmax").place
            offset = paddle.to_tensor(float(facts["nested_offset"]), dtype="float32", place=place)
            state2 = cls(
                tensor("nested_absmax"),
                code=tensor("nested_quant_map"),
                blocksize=facts["nested_blocksize"],
                dtype=facts["nested_dtype"],
            )
        return cls(
            tensor("absmax"),
            facts["shape"],
            tensor("quant_map"),
            facts["blocksize"],
            facts["quant_type"],
            facts["dtype"],
            offset,
            state2,
        )


def _short(key: str) -> str:
    """Return a key without its prefix: "a.weight.absmax" is absmax."""
    at = key.find(_PACKED)
    return key[at:] if at >= 0 else key.rpartition(".")[2]


def _unpacked(text: Any, quant_type: str) -> dict[str, Any]:
    try:
        facts = json.loads(bytes(text.numpy().tobytes()).decode())
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"[QuantState] the packed state is damaged: expected a tensor with the bytes of JSON, "
            f"got {type(error).__name__}: {error}. Load the file again."
        ) from error
    if not isinstance(facts, dict) or facts.get("quant_type") != quant_type:
        raise ValueError(
            f"[QuantState] the packed state contradicts itself: expected quant_type {quant_type!r} "
            f"as in its key, got {facts!r}. Load the file again."
        )
    return facts


def _check(facts: Mapping[str, Any]) -> None:
    wanted = ["quant_type", "blocksize", "dtype", "shape", "absmax", "quant_map"]
    nested = [key for key in facts if key.startswith("nested_")]
    if nested:
        wanted += ["nested_absmax", "nested_quant_map", "nested_blocksize", "nested_dtype"]
        wanted.append("nested_offset")
    missing = [key for key in wanted if key not in facts]
    unknown = [key for key in facts if key not in wanted]
    if missing or unknown:
        raise ValueError(
            f"[QuantState] not a quantised state: expected {', '.join(wanted)}, got "
            f"{', '.join(sorted(facts))}. Pass what belongs to one weight."
        )
    code_books.check_4bit_type("QuantState", facts["quant_type"])
    if facts["dtype"] not in _DTYPES:
        raise ValueError(
            f"[QuantState] bad dtype: expected one of {', '.join(_DTYPES)}, got {facts['dtype']!r}."
            " Load the file again."
        )
    count = 1
    for size in facts["shape"]:
        count *= int(size)
    blocksize = int(facts["blocksize"])
    if blocksize < 1 or facts["absmax"].size != -(-count // blocksize):
        raise ValueError(
            f"[QuantState] absmax does not fit: expected one number for every {blocksize} of "
            f"{count} elements, got {facts['absmax'].size}. Load the file again."
        )
