"""Low-rank adapters beside a layer that is not trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import paddle
from paddle import nn

from .linear4bit import Linear4bit
from .params import Params4bit

if TYPE_CHECKING:
    from paddle import Tensor


class LoRALinear(nn.Layer):  # type: ignore[misc]
    """y = base(x) + alpha / rank * (dropout(x) A) B: a frozen layer and what is learnt beside it.

    A [in, rank] begins random, B [rank, out] with zeros: at first the layer is its base.

    Args:
        base: `Linear4bit` (QLoRA) or `paddle.nn.Linear`. Its parameters are frozen.
        rank: Of the adapter, from 1 on. Default: 8.
        alpha: The scale is alpha / rank. Default: 16.
        dropout: Of x before A, while training. Default: 0.

    Shape:
        x [.., in] and y [.., out], as the base takes them. Does not synchronise.

    Raises:
        TypeError: The base is another layer.
        ValueError: A bad rank.

    Source:
        Hu and others, "LoRA: low-rank adaptation of large language models", 2021; Dettmers,
        Pagnoni, Holtzman and Zettlemoyer, "QLoRA", 2023.

    Example:
        >>> import paddle
        >>> from paddle_mps.nn import LinearNF4, LoRALinear
        >>> layer = LoRALinear(LinearNF4(64, 8), rank=4)
        >>> list(layer(paddle.ones([2, 64])).shape)
        [2, 8]
        >>> [name for name, p in layer.named_parameters() if not p.stop_gradient]
        ['lora_A', 'lora_B']
    """

    def __init__(self, base: Any, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0) -> None:
        """Freeze the base and add an adapter."""
        super().__init__()
        if isinstance(base, Linear4bit):
            inputs, outputs = base.in_features, base.out_features
        elif isinstance(base, nn.Linear):
            inputs, outputs = base.weight.shape
        else:
            raise TypeError(
                f"[LoRALinear] wrong base: expected Linear4bit or paddle.nn.Linear, got "
                f"{type(base).__name__}. Wrap one of those."
            )
        if rank < 1:
            raise ValueError(f"[LoRALinear] bad rank: expected 1 or more, got {rank}. Take 8.")
        self.base, self.rank, self.scale = base, rank, alpha / rank
        for parameter in base.parameters():
            parameter.stop_gradient = True
        limit = 1 / math.sqrt(inputs)
        self.lora_A = self.create_parameter(
            [inputs, rank], default_initializer=nn.initializer.Uniform(-limit, limit)
        )
        self.lora_B = self.create_parameter(
            [rank, outputs], default_initializer=nn.initializer.Constant(0.0)
        )
        self.dropout = nn.Dropout(dropout)
        self._unmerged: Any = None

    @property
    def merged(self) -> bool:
        """Whether the adapter is part of the base's weight now."""
        return self._unmerged is not None

    def forward(self, x: Tensor) -> Tensor:
        """Return base(x) and what the adapter adds."""
        y = self.base(x)
        if self.merged:
            return y
        low = self.dropout(x.astype(self.lora_A.dtype)).matmul(self.lora_A)
        return y + (low.matmul(self.lora_B) * self.scale).astype(y.dtype)

    def delta(self) -> Tensor:
        """Return what the adapter adds to the weight: alpha / rank * A B, [in, out]."""
        return self.lora_A.matmul(self.lora_B) * self.scale

    def merge(self) -> None:
        """Add the adapter to the base's weight; one of 4 bits is quantised again.

        What that rounds away is lost for the merged layer, not for `unmerge`, which puts back the
        weight that was there.
        """
        if self.merged:
            return
        with paddle.no_grad():
            if isinstance(self.base, Linear4bit):
                old = self.base.weight
                dense = old.dequantize()
                total = dense + self.delta().t().astype(dense.dtype)
                state = old.state
                self.base.weight = Params4bit(
                    total,
                    None,
                    state.blocksize or 64,
                    state.nested,
                    state.quant_type or "nf4",
                    str(old.data.dtype).rpartition(".")[2],
                )
                self._unmerged = old
            else:
                self._unmerged = self.base.weight.clone()
                self.base.weight.set_value(
                    self._unmerged + self.delta().astype(self._unmerged.dtype)
                )

    def unmerge(self) -> None:
        """Put back the weight that the base had before `merge`."""
        if not self.merged:
            return
        if isinstance(self.base, Linear4bit):
            self.base.weight = self._unmerged
        else:
            self.base.weight.set_value(self._unmerged)
        self._unmerged = None

    def extra_repr(self) -> str:
        """Return the facts."""
        return f"rank={self.rank}, scale={self.scale}, merged={self.merged}"
