"""AdEMAMix, with state in 8 bits or in 32."""

from __future__ import annotations

from typing import Any

from .base import BlockOptimizer


class AdEMAMix(BlockOptimizer):
    """AdEMAMix with its state in float32, or in 8 bits.

    m1 and m2 are averages of g by b1 and b3, v of g^2 by b2; p *= 1 - lr weight_decay;
    p -= lr (m1 / (1 - b1^t) + alpha m2) / (sqrt(v) / sqrt(1 - b2^t) + eps).

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.001.
        parameters: What to update, or groups of it.
        betas: b1, b2 and b3. Default: (0.9, 0.999, 0.9999).
        eps: Added to the root. Default: 1e-08.
        weight_decay: Default: 0.01.
        alpha: The share of the slow average. Default: 5.
        optim_bits: 8 or 32. Default: 32.
        min_8bit_size: Smaller parameters keep float32 state. Default: 4096.
        percentile_clipping: Gradients are scaled down to this percentile of the norms of the
            last 100 steps, which synchronises. Default: 100, which does not clip.
        grad_clip: One of Paddle's. Default: none.
        name: Default: none.

    Raises:
        ValueError: Numbers out of range; a parameter that is not on mps, at the first step.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        Pagliardini, Ablin and Grangier, "The AdEMAMix optimizer", 2024;
        `bitsandbytes.optim.AdEMAMix`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import AdEMAMix
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = AdEMAMix(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        parameters: Any = None,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        eps: float = 1e-08,
        weight_decay: float = 0.01,
        alpha: float = 5.0,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        percentile_clipping: int = 100,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            "ademamix",
            learning_rate,
            parameters,
            betas,
            eps,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            alpha,
            name=name,
        )


class AdEMAMix8bit(AdEMAMix):
    """`AdEMAMix` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `AdEMAMix`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.AdEMAMix8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import AdEMAMix8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = AdEMAMix8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class AdEMAMix32bit(AdEMAMix):
    """`AdEMAMix` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `AdEMAMix`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.AdEMAMix32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import AdEMAMix32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = AdEMAMix32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)
