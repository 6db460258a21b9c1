"""Linear layers and embeddings with weights of int8, row by row."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import paddle
from paddle import nn

from .. import functional as F
from .linear4bit import new_weight
from .params import QuantizedState, to_float, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paddle import Tensor


def _product(
    x: Tensor, weight: Tensor, stats: Tensor, bias: Tensor | None, threshold: float
) -> Tensor:
    if threshold == 0:
        return F.int8_linear(x, weight, stats, bias)
    q, rows, outliers = F.int8_vectorwise_quant(x, threshold)
    return F.int8_mixed_scaled_mm(x, q, weight, rows, stats, outliers, bias)


@functools.cache
def _layer() -> Any:
    class Int8Linear(paddle.autograd.PyLayer):  # type: ignore[misc]
        """y = x W^T + b in int8; dx = dy W with W as numbers, dW = dy^T x where W is trained."""

        @staticmethod
        def forward(
            ctx: Any,
            x: Tensor,
            source: Tensor | None,
            bias: Tensor | None,
            quantized: Any,
            threshold: float,
        ) -> Any:
            weight, stats = quantized
            ctx.quantized = quantized
            ctx.source = source is not None
            ctx.wants = [
                tensor is not None and not tensor.stop_gradient for tensor in (x, source, bias)
            ]
            ctx.save_for_backward(x)
            ctx.has_bias = bias is not None
            return _product(x, weight, stats, bias, threshold)

        @staticmethod
        def backward(ctx: Any, dy: Tensor) -> Any:
            (x,) = ctx.saved_tensor()
            rows = dy.reshape([-1, dy.shape[-1]])
            gradients: list[Any] = [None, None, None]
            if ctx.wants[0]:
                numbers = F.int8_vectorwise_dequant(*ctx.quantized).astype(dy.dtype)
                gradients[0] = dy.matmul(numbers)
            if ctx.wants[1]:
                gradients[1] = rows.matmul(x.reshape([-1, x.shape[-1]]), transpose_x=True)
            if ctx.wants[2]:
                gradients[2] = rows.sum(axis=0)
            there = [True, ctx.source, ctx.has_bias]
            result = tuple(g for g, is_there in zip(gradients, there) if is_there)
            return result if len(result) > 1 else result[0]

    return Int8Linear


class Linear8bitLt(QuantizedState, nn.Layer):  # type: ignore[misc]
    """y = x W^T + b, multiplied in int8: LLM.int8.

    Rows of x and of W [out, in] are quantised to int8; their product is exact. Columns in which
    some |x| reaches `threshold` are multiplied in x's dtype instead.

    Args:
        input_features: K.
        output_features: N.
        bias: Whether there is b [N], a parameter. Default: True.
        has_fp16_weights: Keep W as a parameter that is trained, and quantise it at every call; else
            keep int8 only. Default: True, as in bitsandbytes.
        threshold: Of outliers; 0 for none. Default: 0.
        weight: [N, K]. Default: a new one, as `paddle.nn.Linear` has it.

    Shape:
        x [.., K] in float32, float16 or bfloat16; y [.., N] in x's dtype. Synchronises if there is
        a threshold.

    Raises:
        ValueError: What `functional.int8_vectorwise_quant` refuses.

    Accuracy:
        One part in 127 of the greatest element of each row, in x and in W.

    Source:
        Dettmers, Lewis, Belkada and Zettlemoyer, "LLM.int8()", 2022;
        `bitsandbytes.nn.Linear8bitLt`, which casts x to float16 first.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import Linear8bitLt
        >>> layer = Linear8bitLt(64, 8, has_fp16_weights=False, threshold=6.0)
        >>> list(layer(paddle.ones([2, 64])).shape), sorted(layer.state_dict())
        ([2, 8], ['SCB', 'bias', 'weight', 'weight_format'])
    """

    def __init__(
        self,
        input_features: int,
        output_features: int,
        bias: bool = True,
        has_fp16_weights: bool = True,
        threshold: float = 0.0,
        weight: Tensor | None = None,
    ) -> None:
        """Quantise the weight, unless it is to be trained."""
        super().__init__()
        self.in_features, self.out_features = input_features, output_features
        self.threshold, self.has_fp16_weights = threshold, has_fp16_weights
        if weight is None:
            weight = new_weight(self, [output_features, input_features], self._dtype)
        source = to_float("Linear8bitLt", weight)
        self._quantized: tuple[Tensor, Tensor] | None = None
        if has_fp16_weights:
            self.weight = self.create_parameter(
                source.shape, dtype=str(source.dtype).rpartition(".")[2]
            )
            self.weight.set_value(source)
        else:
            self._quantized = F.int8_vectorwise_quant(source)[:2]
        self.bias = self.create_parameter([output_features], is_bias=True) if bias else None

    @classmethod
    def from_linear(cls, linear: nn.Linear, **options: Any) -> Linear8bitLt:
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

    def quantized(self) -> tuple[Tensor, Tensor]:
        """Return the weight in int8 and its row stats."""
        if self._quantized is not None:
            return self._quantized
        return F.int8_vectorwise_quant(self.weight.detach())[:2]

    def forward(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        bias = None if self.bias is None else self.bias.astype(x.dtype)
        source = self.weight if self.has_fp16_weights else None
        return _layer().apply(x, source, bias, self.quantized(), self.threshold)  # type: ignore[no-any-return]

    def quantized_entries(self) -> dict[str, Tensor]:
        """Return the tensors of an int8 weight by key."""
        if self._quantized is None:
            return {}
        weight, stats = self._quantized
        row = paddle.to_tensor(0, dtype="uint8", place=weight.place)  # the format: by row
        return {"weight": weight, "SCB": stats, "weight_format": row}

    def load_quantized(self, entries: Mapping[str, Tensor]) -> None:
        """Take an int8 weight that was saved."""
        shape = [self.out_features, self.in_features]
        weight, stats = entries.get("weight"), entries.get("SCB")
        fits = (
            weight is not None
            and stats is not None
            and weight.dtype == paddle.int8
            and (weight.shape, list(stats.shape)) == (shape, shape[:1])
        )
        form = entries.get("weight_format")  # bitsandbytes' 0: by row
        if not fits or (form is not None and (form.size != 1 or int(form.sum()) != 0)):
            raise ValueError(
                f"[Linear8bitLt] the weight does not fit: expected int8 {shape} by row and "
                f"{shape[0]} SCB, got {told(entries)}. "
                "Load it into the layer it was saved from."
            )
        assert weight is not None
        assert stats is not None
        self._quantized = (weight, stats)

    def extra_repr(self) -> str:
        """Return the facts."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"threshold={self.threshold}, has_fp16_weights={self.has_fp16_weights}"
        )


class Embedding8bit(QuantizedState, nn.Layer):  # type: ignore[misc]
    """An embedding whose rows are int8 with one scale each; only those looked up are dequantised.

    Args:
        num_embeddings: Rows.
        embedding_dim: Elements of each.
        weight: [num_embeddings, embedding_dim]. Default: a new one.

    Shape:
        ids [..], int32 or int64; the result [.., embedding_dim] in the weight's dtype. Does not
        synchronise, and has no gradient.

    Raises:
        ValueError: What `functional.int8_vectorwise_quant` refuses.

    Source:
        `bitsandbytes.nn.Embedding8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import Embedding8bit
        >>> list(Embedding8bit(10, 16)(paddle.to_tensor([[1, 2, 3]])).shape)
        [1, 3, 16]
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, weight: Tensor | None = None
    ) -> None:
        """Quantise the table."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if weight is None:
            weight = new_weight(self, [num_embeddings, embedding_dim], self._dtype)
        table = to_float("Embedding8bit", weight)
        self._result_dtype = table.dtype
        self._quantized = F.int8_vectorwise_quant(table)[:2]

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows."""
        flat = ids.reshape([-1])
        rows, stats = (paddle.gather(tensor, flat) for tensor in self._quantized)
        numbers = F.int8_vectorwise_dequant(rows, stats).astype(self._result_dtype)
        return numbers.reshape([*ids.shape, self.embedding_dim])

    def quantized_entries(self) -> dict[str, Tensor]:
        """Return the table's tensors by key."""
        weight, stats = self._quantized
        return {"weight": weight, "SCB": stats}

    def load_quantized(self, entries: Mapping[str, Tensor]) -> None:
        """Take a table that was saved."""
        shape = [self.num_embeddings, self.embedding_dim]
        fits = (
            set(entries) == {"weight", "SCB"}
            and (entries["weight"].dtype, entries["weight"].shape) == (paddle.int8, shape)
            and entries["SCB"].size == self.num_embeddings
        )
        if not fits:
            raise ValueError(
                f"[Embedding8bit] the table does not fit: expected int8 {shape} and SCB, got "
                f"{ ({k: (str(v.dtype), v.shape) for k, v in entries.items()}) }. Load it into the "
                "layer it was saved from."
            )
        self._quantized = (entries["weight"], entries["SCB"])
