"""PaddlePaddle on Apple GPUs: what there is to know and to do beyond `paddle.set_device("mps")`.

Importing Paddle is enough to use the device. This package adds queries and controls for it, and is
also `paddle.mps`:

    >>> import paddle
    >>> paddle.mps.is_available()
    True

Importing it never fails for want of a device: ask `is_available()`, and if that is False,
`unavailable_reason()`. `python -m paddle_mps.info` prints what a bug report needs.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import _paddle_mps_hook

from . import _library
from .device import (
    DeviceProperties,
    current_device,
    device_count,
    get_device_name,
    get_device_properties,
    is_available,
    is_bfloat16_supported,
    is_compiled_with_mps,
    is_float16_supported,
    set_device,
    synchronize,
    unavailable_reason,
)
from .memory import (
    driver_allocated_memory,
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    recommended_max_memory,
    reset_max_memory_allocated,
    reset_max_memory_reserved,
)
from .random import RngState, get_rng_state, manual_seed, seed, set_rng_state
from .report import (
    FallbackReport,
    GraphCacheInfo,
    OpCalls,
    clear_graph_cache,
    fallback_report,
    graph_cache_info,
    last_error,
    reset_fallback_report,
)
from .streams import Event, Stream, current_stream, default_stream, stream
from .zero_copy import as_numpy, empty_numpy, from_dlpack, from_numpy, to_dlpack

__all__ = [
    "DeviceProperties",
    "Event",
    "FallbackReport",
    "GraphCacheInfo",
    "OpCalls",
    "RngState",
    "Stream",
    "as_numpy",
    "clear_graph_cache",
    "current_device",
    "current_stream",
    "default_stream",
    "device_count",
    "driver_allocated_memory",
    "empty_cache",
    "empty_numpy",
    "fallback_report",
    "from_dlpack",
    "from_numpy",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "graph_cache_info",
    "is_available",
    "is_bfloat16_supported",
    "is_compiled_with_mps",
    "is_float16_supported",
    "last_error",
    "manual_seed",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "recommended_max_memory",
    "reset_fallback_report",
    "reset_max_memory_allocated",
    "reset_max_memory_reserved",
    "seed",
    "set_device",
    "set_rng_state",
    "stream",
    "synchronize",
    "to_dlpack",
    "unavailable_reason",
]


def _version() -> str:
    try:
        return metadata.version("paddle_mps")
    except metadata.PackageNotFoundError:  # used from a source tree that was never installed
        return (Path(__file__).resolve().parents[2] / "VERSION").read_text(encoding="utf-8").strip()


def _runs_info() -> bool:
    """Say whether this is `python -m paddle_mps.info`, which itself must not import Paddle.

    It must also report on a Paddle whose import ends the process.

    While Python looks for the module to run, `sys.argv[0]` is "-m". (`sys.orig_argv` came with
    Python 3.10.)
    """
    return sys.argv[:1] == ["-m"] and "paddle_mps.info" in getattr(
        sys, "orig_argv", ["paddle_mps.info"]
    )


def _offer() -> None:
    """Make this package `paddle.mps`."""
    _library.state()  # imports Paddle
    _paddle_mps_hook.install()
    paddle: Any = sys.modules.get("paddle")
    if paddle is not None:
        paddle.mps = sys.modules[__name__]


__version__ = _version()
if not _runs_info():
    _offer()
