"""Linear layers of BitNet b1.58: trained with weights of -1, 0 and 1, and packed into two bits."""

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


@functools.cache
def _straight_through() -> Any:
    class StraightThrough(paddle.autograd.PyLayer):  # type: ignore[misc]
        """What a function makes of x, with the gradient of x itself."""

        @staticmethod
        def forward(ctx: Any, x: Tensor, quantize: Any) -> Any:
            return quantize(x)

        @staticmethod
        def backward(ctx: Any, dy: Tensor) -> Any:
            return dy

    return StraightThrough


def _fake_ternary(weight: Tensor) -> Tensor:
    q, scale = F.ternary_quantize(weight)
    return (q.astype("float32") / scale).astype(weight.dtype)


def _fake_int8(x: Tensor) -> Tensor:
    q, scale = F.int8_absmax_quantize(x.astype("float32"))
    return (q.astype("float32") / scale).astype(x.dtype)


class BitLinear(QuantizedState, nn.Layer):  # type: ignore[misc]
    """y = q(x) t(W)^T + b, with activations q(x) of 8 bits and weights t(W) of -1, 0 and 1.

    Training keeps W [out, in] as floats and quantises at every call; gradients pass the quantisers
    as if they were not there (straight-through). `pack()` leaves two bits per weight, and
    multiplies integers, exactly.

    Args:
        input_features: K.
        output_features: N.
        bias: Whether there is b [N], a parameter. Default: False.
        use_rms_norm: Normalise x first: x / sqrt(mean(x^2) + epsilon) * norm. Default: False.
        epsilon: Of that. Default: 1e-5.
        weight: [N, K]. Default: a new one, as `paddle.nn.Linear` has it.

    Shape:
        x [.., K] in float32, float16 or bfloat16; y [.., N] in x's dtype. Does not synchronise.

    Raises:
        ValueError: What `functional.ternary_quantize` and `functional.bitnet_linear` refuse.

    Accuracy:
        Packed and not, results differ by some ULP of float32: integers are summed exactly.

    Source:
        Ma and others, "The era of 1-bit LLMs: all large language models are in 1.58 bits", 2024;
        transformers' `BitLinear` and `AutoBitLinear`. The packed weight has their key and bytes.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import BitLinear
        >>> layer = BitLinear(64, 8)
        >>> x = paddle.randn([2, 64])
        >>> before = layer(x)
        >>> packed = layer.pack()
        >>> packed.weight_bytes, bool(paddle.allclose(packed(x), before, rtol=1e-4, atol=1e-5))
        (128, True)
    """

    def __init__(
        self,
        input_features: int,
        output_features: int,
        bias: bool = False,
        use_rms_norm: bool = False,
        epsilon: float = 1e-5,
        weight: Tensor | None = None,
    ) -> None:
        """Keep the weight as floats."""
        super().__init__()
        self.in_features, self.out_features, self.epsilon = input_features, output_features, epsilon
        if weight is None:
            weight = new_weight(self, [output_features, input_features], self._dtype)
        source = to_float("BitLinear", weight)
        self.weight = self.create_parameter(
            source.shape, dtype=str(source.dtype).rpartition(".")[2]
        )
        self.weight.set_value(source)
        self.bias = self.create_parameter([output_features], is_bias=True) if bias else None
        ones = nn.initializer.Constant(1.0)
        self.norm = None
        if use_rms_norm:
            self.norm = self.create_parameter([input_features], default_initializer=ones)
        self._packed: tuple[Tensor, Tensor] | None = None

    @classmethod
    def from_linear(cls, linear: nn.Linear, **options: Any) -> BitLinear:
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

    @property
    def packed(self) -> bool:
        """Whether the weight is in two bits."""
        return self._packed is not None

    @property
    def weight_bytes(self) -> int:
        """The bytes of the weight, without its scale."""
        tensor = self.weight if self._packed is None else self._packed[0]
        return int(tensor.size) * tensor.element_size()

    def pack(self) -> BitLinear:
        """Keep the weight in two bits from now on, and no floats; return the layer itself."""
        if self._packed is None:
            q, scale = F.ternary_quantize(self.weight.detach())
            self._packed = (F.pack_ternary(q), scale)
            del self.weight
            self.weight = None
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the product."""
        if self._packed is not None:
            packed, scale = self._packed
            return F.bitnet_linear(
                x.detach(), packed, scale, self.out_features, self.bias, self.norm, self.epsilon
            )
        straight = _straight_through()
        if self.norm is not None:
            wide = x.astype("float32")
            wide = wide / (wide.square().mean(axis=-1, keepdim=True) + self.epsilon).sqrt()
            x = (wide * self.norm.astype("float32")).astype(x.dtype)
        activations = straight.apply(x, _fake_int8)
        weight = straight.apply(self.weight, _fake_ternary).astype(x.dtype)
        y = activations.matmul(weight, transpose_y=True)
        return y if self.bias is None else y + self.bias.astype(y.dtype)

    def quantized_entries(self) -> dict[str, Tensor]:
        """Return the packed weight by key; nothing while it is trained."""
        if self._packed is None:
            return {}
        return {"weight": self._packed[0], "weight_scale": self._packed[1]}

    def load_quantized(self, entries: Mapping[str, Tensor]) -> None:
        """Take a packed weight that was saved."""
        shape = [-(-self.out_features // 4), self.in_features]
        fits = (
            set(entries) == {"weight", "weight_scale"}
            and (entries["weight"].dtype, entries["weight"].shape) == (paddle.uint8, shape)
            and entries["weight_scale"].size == 1
        )
        if not fits:
            raise ValueError(
                f"[BitLinear] the weight does not fit: expected uint8 {shape} and one "
                f"weight_scale, got {told(entries)}. Load it into the layer it was saved from."
            )
        self._packed = (entries["weight"], entries["weight_scale"].astype("float32").reshape([1]))

    def extra_repr(self) -> str:
        """Return the facts."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"packed={self.packed}, use_rms_norm={self.norm is not None}"
        )
