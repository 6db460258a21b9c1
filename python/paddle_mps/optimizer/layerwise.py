"""LAMB and LARS: updates that are no larger than the parameter allows.

bitsandbytes has LAMB8bit and LARS8bit by name. Its CUDA library refuses them, and its CPU library
leaves out what makes them LAMB and LARS; so they are not here.
"""

from __future__ import annotations

from typing import Any

from .base import BlockOptimizer


class LAMB(BlockOptimizer):
    """Adam whose updates are shortened to a part of the parameter's norm.

    u = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), m and v as in `Adam`;
    p *= 1 - lr weight_decay; p -= lr min(1, max_unorm |p| / |u|) u. State is float32.

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.001.
        parameters: What to update, or groups of it.
        betas: b1 and b2. Default: (0.9, 0.999).
        eps: Added to the root. Default: 1e-08.
        weight_decay: Default: 0.0.
        max_unorm: Most that an update's norm may be, in norms of the parameter; 0 for any.
            Default: 1.0.
        grad_clip: One of Paddle's. Default: none.
        name: Default: none.

    Raises:
        ValueError: Numbers out of range; a parameter that is not on mps, at the first step.

    Synchronises:
        At each step, once for each parameter, for the norms.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        You and others, "Large batch optimization for deep learning", 2020;
        `bitsandbytes.optim.LAMB`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import LAMB
        >>> layer = paddle.nn.Linear(4, 2)
        >>> layer.weight.set_value(paddle.full([4, 2], 0.5))
        >>> layer(paddle.ones([1, 4])).sum().backward()
        >>> LAMB(0.1, parameters=[layer.weight], max_unorm=0.5).step()
        >>> round(float(layer.weight[0, 0]), 4)
        0.475
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        parameters: Any = None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.0,
        max_unorm: float = 1.0,
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
            32,
            0,
            100,
            grad_clip,
            max_unorm=max_unorm,
            name=name,
        )


class LARS(BlockOptimizer):
    """SGD with momentum whose updates are shortened to a part of the parameter's norm.

    g += weight_decay p; m = g at the first step, then momentum m + g;
    p -= lr min(1, max_unorm |p| / |m|) m. State is float32.

    Args:
        learning_rate: lr, a number or a scheduler. Default: 0.001.
        parameters: What to update, or groups of it.
        momentum: More than 0. Default: 0.9.
        weight_decay: Default: 0.0.
        max_unorm: Most that an update's norm may be, in norms of the parameter; 0 for any.
            Default: 0.02.
        grad_clip: One of Paddle's. Default: none.
        name: Default: none.

    Raises:
        ValueError: Numbers out of range; a parameter that is not on mps, at the first step.

    Synchronises:
        At each step, once for each parameter, for the norms.

    Accuracy:
        p within 2e-6 of bitsandbytes after ten steps.

    Source:
        You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017;
        `bitsandbytes.optim.LARS`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import LARS
        >>> layer = paddle.nn.Linear(4, 2)
        >>> layer.weight.set_value(paddle.full([4, 2], 0.5))
        >>> layer(paddle.ones([1, 4])).sum().backward()
        >>> LARS(1.0, parameters=[layer.weight]).step()
        >>> round(float(layer.weight[0, 0]), 4)
        0.49
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        parameters: Any = None,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        max_unorm: float = 0.02,
        grad_clip: Any = None,
        name: str | None = None,
    ) -> None:
        """Check the numbers."""
        if not momentum > 0:
            raise ValueError(
                f"[LARS] bad momentum: expected more than 0, got {momentum}. Take 0.9, or SGD."
            )
        super().__init__(
            "momentum",
            learning_rate,
            parameters,
            (momentum,),
            0.0,
            weight_decay,
            32,
            0,
            100,
            grad_clip,
            max_unorm=max_unorm,
            name=name,
        )
