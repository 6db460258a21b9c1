"""RMSprop and Adagrad, with state in 8 bits or in 32."""

from __future__ import annotations

from typing import Any

from .base import BlockOptimizer


class RMSprop(BlockOptimizer):
    """RMSprop with its state in float32, or in 8 bits.

    g += weight_decay p; v = alpha v + (1 - alpha) g^2; p -= lr g / (sqrt(v) + eps).

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.01.
        parameters: What to update, or groups of it.
        alpha: Of v. Default: 0.99.
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
        Tieleman and Hinton, 2012;
        `bitsandbytes.optim.RMSprop`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import RMSprop
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = RMSprop(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        parameters: Any = None,
        alpha: float = 0.99,
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
            "rmsprop",
            learning_rate,
            parameters,
            (alpha,),
            eps,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            name=name,
        )


class RMSprop8bit(RMSprop):
    """`RMSprop` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `RMSprop`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.RMSprop8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import RMSprop8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = RMSprop8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.01, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class RMSprop32bit(RMSprop):
    """`RMSprop` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `RMSprop`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.RMSprop32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import RMSprop32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = RMSprop32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.01, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)


class Adagrad(BlockOptimizer):
    """Adagrad with its state in float32, or in 8 bits.

    g += weight_decay p; v += g^2; p -= lr g / (sqrt(v) + eps).

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.01.
        parameters: What to update, or groups of it.
        eps: Added to the root. Default: 1e-10.
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
        Duchi, Hazan and Singer, 2011;
        `bitsandbytes.optim.Adagrad`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adagrad
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Adagrad(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        parameters: Any = None,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        percentile_clipping: int = 100,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            "adagrad",
            learning_rate,
            parameters,
            (),
            eps,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            name=name,
        )


class Adagrad8bit(Adagrad):
    """`Adagrad` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `Adagrad`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.Adagrad8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adagrad8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Adagrad8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.01, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class Adagrad32bit(Adagrad):
    """`Adagrad` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `Adagrad`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.Adagrad32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adagrad32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Adagrad32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.01, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)
