"""Tensors of an mps device, as functions of this package are given them; and the plugin's own ops.

Paddle knows an op of a plugin only after it was told to look for it in the library, once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import _library

if TYPE_CHECKING:
    from paddle import Tensor


def tensor_device(op: str, tensor: Any) -> int:
    """Return the index of the device that a tensor is on.

    Raises:
        TypeError: It is not a `paddle.Tensor`.
        ValueError: It is on another kind of device, or holds no memory yet.
    """
    import paddle

    if not isinstance(tensor, paddle.Tensor):
        raise TypeError(
            f"[{op}] not a tensor: expected a paddle.Tensor on mps, got {type(tensor).__name__}. "
            "See paddle.to_tensor."
        )
    place = tensor.place
    if not (place.is_custom_place() and place.custom_device_type() == _library.DEVICE_TYPE):
        raise ValueError(
            f"[{op}] wrong device: expected a tensor on mps, got one on {place}. "
            "Move it there: tensor.to('mps')."
        )
    return int(place.custom_device_id())


@functools.cache
def _register_ops() -> None:
    import paddle

    paddle.base.core.load_op_meta_info_and_register_op(str(_library.PLUGIN_PATH))


def run_op(name: str, *arguments: Any) -> list[Tensor]:
    """Run an op of the plugin (plugin/paddle/*_op.cc)."""
    import paddle

    _register_ops()
    results: list[Tensor] = paddle._C_ops._run_custom_op(name, *arguments)
    return results
