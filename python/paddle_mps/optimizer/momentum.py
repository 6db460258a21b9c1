"""Lion and SGD with momentum, with state in 8 bits or in 32."""

from __future__ import annotations

from typing import Any

from .base import BlockOptimizer


class Lion(BlockOptimizer):
    """Lion with its state in float32, or in 8 bits.

    p *= 1 - lr weight_decay; p -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g.

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.0001.
        parameters: What to update, or groups of it.
        betas: b1 and b2. Default: (0.9, 0.99).
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
        Chen and others, "Symbolic discovery of optimization algorithms", 2023;
        `bitsandbytes.optim.Lion`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Lion
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Lion(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.0001,
        parameters: Any = None,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        percentile_clipping: int = 100,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            "lion",
            learning_rate,
            parameters,
            betas,
            0.0,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            name=name,
        )


class Lion8bit(Lion):
    """`Lion` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `Lion`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.Lion8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Lion8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Lion8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.0001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class Lion32bit(Lion):
    """`Lion` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `Lion`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.Lion32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Lion32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = Lion32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.0001, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)


class SGD(BlockOptimizer):
    """SGD with its state in float32, or in 8 bits.

    g += weight_decay p; m = momentum m + g, and g at the first step; p -= lr m.

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.01.
        parameters: What to update, or groups of it.
        momentum: Of m. Default: 0.9.
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
        Sutskever, Martens, Dahl and Hinton, 2013;
        `bitsandbytes.optim.SGD`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import SGD
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = SGD(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        parameters: Any = None,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        percentile_clipping: int = 100,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            "momentum",
            learning_rate,
            parameters,
            (momentum,),
            0.0,
            weight_decay,
            optim_bits,
            min_8bit_size,
            percentile_clipping,
            grad_clip,
            name=name,
        )


class SGD8bit(SGD):
    """`SGD` with its state in 8 bits.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `SGD`, but optim_bits.

    Accuracy:
        State after one step has the bits of bitsandbytes' CUDA kernels; p is within 2e-6 of theirs
        after ten.

    Source:
        Dettmers, Lewis, Shleifer and Zettlemoyer, "8-bit optimizers via block-wise
        quantization", 2022; `bitsandbytes.optim.SGD8bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import SGD8bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = SGD8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.uint8'
    """

    def __init__(self, learning_rate: Any = 0.01, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=8, **options)


class SGD32bit(SGD):
    """`SGD` with its state in float32.

    Args:
        learning_rate: As there.
        parameters: As there.
        options: The others of `SGD`, but optim_bits.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        `bitsandbytes.optim.SGD32bit`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import SGD32bit
        >>> layer = paddle.nn.Linear(100, 50)
        >>> optimizer = SGD32bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    def __init__(self, learning_rate: Any = 0.01, parameters: Any = None, **options: Any) -> None:
        """Check the numbers."""
        super().__init__(learning_rate, parameters, optim_bits=32, **options)
