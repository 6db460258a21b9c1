"""Linear layers and embeddings with weights of 4 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paddle
from paddle import nn

from .. import functional as F
from ..functional.state import dtype_name
from .params import Params4bit, QuantizedState, to_float

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paddle import Tensor


def new_weight(layer: nn.Layer, shape: list[int], dtype: Any) -> Tensor:
    """Return a weight as Paddle initialises it, which no layer owns."""
    weight: Tensor = layer.create_parameter(shape, dtype=dtype_name(dtype)).detach()
    return weight


class Linear4bit(QuantizedState, nn.Layer):  # type: ignore[misc]
    """y = x W^T + b with W [out, in] in 4 bits, which is not trained; b and x have gradients.

    Args:
        input_features: K.
        output_features: N.
        bias: Whether there is b [N], a parameter. Default: True.
        compute_dtype: What x and b are cast to; y has x's dtype again. Default: that of x.
        compress_statistics: Quantise absmax, too: 4.127 instead of 4.5 bits per weight. Default:
            True.
        quant_type: "nf4" or "fp4". Default: "fp4", as in bitsandbytes; "nf4" is better for weights.
        quant_storage: A dtype that the bytes are shown as. Default: uint8.
        blocksize: Elements per absmax. Default: 64.
        weight: [N, K], to be quantised. Default: a new one, as `paddle.nn.Linear` has it.

    Shape:
        x [.., K] in float32, float16 or bfloat16; y [.., N]. Does not synchronise.

    Raises:
        ValueError: What `functional.quantize_4bit` and `functional.matmul_4bit` refuse.

    Accuracy:
        That of `functional.matmul_4bit`; sums stay float32.

    Source:
        Dettmers, Pagnoni, Holtzman and Zettlemoyer, "QLoRA", 2023; `bitsandbytes.nn.Linear4bit`,
        with the same keys and bytes in its state dict.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import Linear4bit
        >>> layer = Linear4bit(64, 8, quant_type="nf4")
        >>> list(layer(paddle.ones([2, 64])).shape)
        [2, 8]
        >>> sorted(layer.state_dict())[:3]
        ['bias', 'weight', 'weight.absmax']
    """

    def __init__(
        self,
        input_features: int,
        output_features: int,
        bias: bool = True,
        compute_dtype: Any = None,
        compress_statistics: bool = True,
        quant_type: str = "fp4",
        quant_storage: Any = "uint8",
        blocksize: int = 64,
        weight: Tensor | None = None,
    ) -> None:
        """Quantise the weight."""
        super().__init__()
        self.in_features, self.out_features = input_features, output_features
        self.compute_dtype = compute_dtype
        if weight is None:
            weight = new_weight(self, [output_features, input_features], self._dtype)
        self.weight = Params4bit(
            to_float("Linear4bit", weight),
            None,
            blocksize,
            compress_statistics,
            quant_type,
            quant_storage,
        )
        self.bias = self.create_parameter([output_features], is_bias=True) if bias else None

    @classmethod
    def from_linear(cls, linear: nn.Linear, **options: Any) -> Linear4bit:
        """Return a layer with the weight of a `paddle.nn.Linear`, whose [in, out] is transposed.

        Args:
            linear: On mps. It is left as it is; the bias is shared.
            options: Of this class.
        """
        inputs, outputs = linear.weight.shape
        weight = linear.weight.detach().t().contiguous()
        layer = cls(inputs, outputs, bias=False, weight=weight, **options)
        layer.bias = linear.bias
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        dtype = x.dtype if self.compute_dtype is None else self.compute_dtype
        bias = self.bias if self.bias is None else self.bias.astype(dtype)
        y = F.matmul_4bit(x.astype(dtype), self.weight.data, self.weight.state, bias=bias)
        return y.astype(x.dtype)

    def quantized_entries(self) -> dict[str, Tensor]:
        """Return the weight's tensors by key."""
        return {f"weight{key}": value for key, value in self.weight.entries().items()}

    def load_quantized(self, entries: Mapping[str, Tensor]) -> None:
        """Take a weight that was saved."""
        self.weight = loaded_weight("Linear4bit", entries, [self.out_features, self.in_features])

    def extra_repr(self) -> str:
        """Return the facts."""
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.weight}"


def loaded_weight(op: str, entries: Mapping[str, Tensor], shape: list[int]) -> Params4bit:
    """Return the weight of a state dict, which must have this shape."""
    stats = {key: value for key, value in entries.items() if key != "weight"}
    if "weight" not in entries or not stats:
        raise ValueError(
            f"[{op}] the weight is incomplete: expected its bytes and its state, got "
            f"{', '.join(sorted(entries))}. Quantise the weight first, or load the file again."
        )
    weight = Params4bit.from_prequantized(entries["weight"], stats)
    count = shape[0] * shape[1]
    packed = int(weight.data.size) * weight.data.element_size()
    if list(weight.state.shape or []) != shape or packed != (count + 1) // 2:
        raise ValueError(
            f"[{op}] the weight does not fit: expected shape {shape} in {(count + 1) // 2} bytes, "
            f"got {weight.state.shape} in {packed}. Load it into the layer it was saved from."
        )
    return weight


class LinearNF4(Linear4bit):
    """`Linear4bit` with quant_type="nf4".

    Args:
        input_features: As there.
        output_features: As there.
        bias: As there.
        options: As there.

    Source:
        `bitsandbytes.nn.LinearNF4`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import LinearNF4
        >>> list(LinearNF4(64, 8)(paddle.ones([64])).shape)
        [8]
    """

    def __init__(
        self, input_features: int, output_features: int, bias: bool = True, **options: Any
    ) -> None:
        """Quantise the weight."""
        super().__init__(input_features, output_features, bias, quant_type="nf4", **options)


class LinearFP4(Linear4bit):
    """`Linear4bit` with quant_type="fp4".

    Args:
        input_features: As there.
        output_features: As there.
        bias: As there.
        options: As there.

    Source:
        `bitsandbytes.nn.LinearFP4`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import LinearFP4
        >>> list(LinearFP4(64, 8)(paddle.ones([64])).shape)
        [8]
    """

    def __init__(
        self, input_features: int, output_features: int, bias: bool = True, **options: Any
    ) -> None:
        """Quantise the weight."""
        super().__init__(input_features, output_features, bias, quant_type="fp4", **options)


class Embedding4bit(QuantizedState, nn.Layer):  # type: ignore[misc]
    """An embedding whose rows are in 4 bits: rows are looked up, and only they are dequantised.

    Args:
        num_embeddings: Rows.
        embedding_dim: Elements of each. Rows are whole blocks (a multiple of the blocksize), or the
            table is dequantised first.
        quant_type: "nf4" or "fp4". Default: "fp4".
        blocksize: Elements per absmax. Default: 64.
        weight: [num_embeddings, embedding_dim]. Default: a new one.

    Shape:
        ids [..], int32 or int64; the result [.., embedding_dim] in the weight's dtype. Does not
        synchronise, and has no gradient.

    Raises:
        ValueError: What `functional.quantize_4bit` refuses.

    Source:
        `bitsandbytes.nn.Embedding4bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import Embedding4bit
        >>> list(Embedding4bit(10, 64)(paddle.to_tensor([[1, 2, 3]])).shape)
        [1, 3, 64]
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        quant_type: str = "fp4",
        blocksize: int = 64,
        weight: Tensor | None = None,
    ) -> None:
        """Quantise the table."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if weight is None:
            weight = new_weight(self, [num_embeddings, embedding_dim], self._dtype)
        table = to_float("Embedding4bit", weight)
        self.weight = Params4bit(table, None, blocksize, False, quant_type)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows."""
        state, width = self.weight.state, self.embedding_dim
        blocksize = state.blocksize or 64
        if width % blocksize != 0 or state.nested:
            return nn.functional.embedding(ids, self.weight.dequantize())
        flat = ids.reshape([-1])
        codes = self.weight.data.reshape([self.num_embeddings, width // 2])
        absmax = state.absmax.reshape([self.num_embeddings, width // blocksize])
        codes, absmax = (paddle.gather(tensor, flat) for tensor in (codes, absmax))
        shape = [*ids.shape, width]
        rows = F.QuantState(
            absmax.reshape([-1]), shape, state.code, blocksize, state.quant_type, state.dtype
        )
        return F.dequantize_4bit(codes, rows)

    def quantized_entries(self) -> dict[str, Tensor]:
        """Return the table's tensors by key."""
        return {f"weight{key}": value for key, value in self.weight.entries().items()}

    def load_quantized(self, entries: Mapping[str, Tensor]) -> None:
        """Take a table that was saved."""
        self.weight = loaded_weight(
            "Embedding4bit", entries, [self.num_embeddings, self.embedding_dim]
        )


class EmbeddingNF4(Embedding4bit):
    """`Embedding4bit` with quant_type="nf4".

    Args:
        num_embeddings: As there.
        embedding_dim: As there.
        options: As there.

    Source:
        `bitsandbytes.nn.EmbeddingNF4`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import EmbeddingNF4
        >>> list(EmbeddingNF4(10, 64)(paddle.to_tensor([1])).shape)
        [1, 64]
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, **options: Any) -> None:
        """Quantise the table."""
        super().__init__(num_embeddings, embedding_dim, quant_type="nf4", **options)


class EmbeddingFP4(Embedding4bit):
    """`Embedding4bit` with quant_type="fp4".

    Args:
        num_embeddings: As there.
        embedding_dim: As there.
        options: As there.

    Source:
        `bitsandbytes.nn.EmbeddingFP4`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import EmbeddingFP4
        >>> list(EmbeddingFP4(10, 64)(paddle.to_tensor([1])).shape)
        [1, 64]
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, **options: Any) -> None:
        """Quantise the table."""
        super().__init__(num_embeddings, embedding_dim, quant_type="fp4", **options)
