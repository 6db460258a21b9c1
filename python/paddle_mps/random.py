"""Seeds and states of the random number generators that ops on an mps device draw from.

Each device has one, counter-based (Philox): its state is a seed and an offset, and the same state
gives the same numbers on every backend. An op that has no mps kernel runs on the CPU and draws from
the CPU's generator. A program cannot see the difference, so both are set, kept and put back
together here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _library
from ._index import device_index

if TYPE_CHECKING:
    from paddle.base.core import GeneratorState

    from ._index import DeviceLike


@dataclass(frozen=True)
class RngState:
    """What `get_rng_state` returns.

    Attributes:
        device: State of the device's generator.
        cpu: State of the CPU's generator, for ops without an mps kernel.
    """

    device: GeneratorState
    cpu: GeneratorState


def manual_seed(seed: int, device: DeviceLike = None) -> None:
    """Set the seed of a device's generator and of the CPU's, and start their sequences anew.

    `paddle.seed` does this for all mps devices at once, if the current device is one of them.

    Args:
        seed: From 0 to 2**64 - 1.
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates. Mirrors `torch.mps.manual_seed`, which leaves the CPU's
    alone.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: The seed is out of range, or the device does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.manual_seed(7)
        >>> first = paddle.rand([4])
        >>> paddle_mps.manual_seed(7)
        >>> paddle.rand([4]).tolist() == first.tolist()
        True
    """
    if not 0 <= seed < 2**64:
        raise ValueError(
            f"[manual_seed] seed out of range: expected 0 to 2**64 - 1, got {seed}. "
            "Take it modulo 2**64."
        )
    for generator in _generators("manual_seed", device):
        generator.manual_seed(seed)


def seed(device: DeviceLike = None) -> int:
    """Set the seed of a device's generator and of the CPU's to a number nobody could guess.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The seed, to be given to `manual_seed` for the same numbers again. Neither synchronises nor
        allocates. Mirrors `torch.seed`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> chosen = paddle_mps.seed()
        >>> first = paddle.rand([4])
        >>> paddle_mps.manual_seed(chosen)
        >>> paddle.rand([4]).tolist() == first.tolist()
        True
    """
    chosen = secrets.randbits(63)
    for generator in _generators("seed", device):
        generator.manual_seed(chosen)
    return chosen


def get_rng_state(device: DeviceLike = None) -> RngState:
    """Return the states of a device's generator and of the CPU's.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        Copies of the states, for `set_rng_state`. Neither synchronises nor allocates. Mirrors
        `paddle.device.get_rng_state`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> state = paddle_mps.get_rng_state()
        >>> first = paddle.rand([4])
        >>> paddle_mps.set_rng_state(state)
        >>> paddle.rand([4]).tolist() == first.tolist()
        True
    """
    mine, cpu = _generators("get_rng_state", device)
    return RngState(mine.get_state(), cpu.get_state())


def set_rng_state(state: RngState, device: DeviceLike = None) -> None:
    """Put a device's generator and the CPU's into a state that `get_rng_state` returned.

    Args:
        state: The state; it can come from another mps device.
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Neither synchronises nor allocates. Mirrors `paddle.device.set_rng_state`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.
        TypeError: `state` is something else.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.set_rng_state(paddle_mps.get_rng_state())
    """
    if not isinstance(state, RngState):
        raise TypeError(
            "[set_rng_state] not a state: expected what get_rng_state returned, got "
            f"{type(state).__name__}. Keep that object whole."
        )
    mine, cpu = _generators("set_rng_state", device)
    mine.set_state(state.device)
    cpu.set_state(state.cpu)


def _generators(op: str, device: DeviceLike) -> tuple[Any, Any]:
    """Return the device's generator and the CPU's."""
    index = device_index(op, device)
    from paddle.base import core

    place = core.CustomPlace(_library.DEVICE_TYPE, index)
    return core.default_custom_device_generator(place), core.default_cpu_generator()
