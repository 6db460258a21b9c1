"""Adam and AdamW, with state in 8 bits or in 32."""

from __future__ import annotations

from typing import Any

from .base import BlockOptimizer


class Adam(BlockOptimizer):
    """Adam with its state in float32, or in 8 bits.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p *= 1 - lr weight_decay;
    p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps).

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.001.
        parameters: What to update, or groups of it.
        betas: b1 and b2. Default: (0.9, 0.999).
        eps: Added to the root. Default: 1e-08.
        weight_decay: Default: 0.0.
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
        Kingma and Ba, "Adam: a method for stochastic optimization", 2015;
        `bitsandbytes.optim.Adam`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adam
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Adam(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        parameters: Any = None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.0,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        percentile_clipping: int = 100,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            "adam",
            learning_rate,
            parameters,
            betas,
            eps,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            name=name,
        )


class Adam8bit(Adam):
    """`Adam` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `Adam`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.Adam8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adam8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Adam8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class Adam32bit(Adam):
    """`Adam` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `Adam`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.Adam32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adam32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Adam32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)


class AdamW(BlockOptimizer):
    """AdamW with its state in float32, or in 8 bits.

    `Adam` with a weight decay: p *= 1 - lr weight_decay before the update.

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.001.
        parameters: What to update, or groups of it.
        betas: b1 and b2. Default: (0.9, 0.999).
        eps: Added to the root. Default: 1e-08.
        weight_decay: Default: 0.01.
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
        Loshchilov and Hutter, "Decoupled weight decay regularization", 2019;
        `bitsandbytes.optim.AdamW`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import AdamW
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = AdamW(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        parameters: Any = None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.01,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        percentile_clipping: int = 100,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            "adam",
            learning_rate,
            parameters,
            betas,
            eps,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            name=name,
        )


class AdamW8bit(AdamW):
    """`AdamW` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `AdamW`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.AdamW8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import AdamW8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = AdamW8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class AdamW32bit(AdamW):
    """`AdamW` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `AdamW`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.AdamW32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import AdamW32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = AdamW32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)
