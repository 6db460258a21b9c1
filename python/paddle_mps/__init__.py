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
from .events import Event
from .memory import (
    driver_allocated_memory,
    empty_cache,
    max_memory_allocated,
    max_memory_requested,
    max_memory_reserved,
    memory_allocated,
    memory_requested,
    memory_reserved,
    memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_reserved,
    reset_peak_memory_stats,
)
from .memory_limit import (
    get_per_process_memory_fraction,
    recommended_max_memory,
    set_per_process_memory_fraction,
)
from .memory_picture import plot_memory_history, plot_memory_snapshot
from .memory_record import MemoryEvent, StackFrame, memory_history, record_memory_history
from .memory_report import memory_snapshot, memory_summary
from .quantize import QuantizationReport, quantize_model
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
from .streams import Stream, current_stream, default_stream, stream
from .zero_copy import as_numpy, empty_numpy, from_dlpack, from_numpy, to_dlpack

__all__ = [
    "DeviceProperties",
    "Event",
    "FallbackReport",
    "GraphCacheInfo",
    "MemoryEvent",
    "OpCalls",
    "QuantizationReport",
    "RngState",
    "StackFrame",
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
    "get_per_process_memory_fraction",
    "get_rng_state",
    "graph_cache_info",
    "is_available",
    "is_bfloat16_supported",
    "is_compiled_with_mps",
    "is_float16_supported",
    "last_error",
    "manual_seed",
    "max_memory_allocated",
    "max_memory_requested",
    "max_memory_reserved",
    "memory_allocated",
    "memory_history",
    "memory_requested",
    "memory_reserved",
    "memory_snapshot",
    "memory_stats",
    "memory_summary",
    "plot_memory_history",
    "plot_memory_snapshot",
    "quantize_model",
    "recommended_max_memory",
    "record_memory_history",
    "reset_fallback_report",
    "reset_max_memory_allocated",
    "reset_max_memory_reserved",
    "reset_peak_memory_stats",
    "seed",
    "set_device",
    "set_per_process_memory_fraction",
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


# `python -m paddle_mps.info` must also report on a Paddle whose import ends the process; the others
# look at other processes or at files, and should start at once.
_WITHOUT_PADDLE = ("paddle_mps.info", "paddle_mps.monitor", "paddle_mps.memory_plot")


def _runs_without_paddle() -> bool:
    """Say whether this is `python -m` with one of those modules.

    While Python looks for the module to run, `sys.argv[0]` is "-m". (`sys.orig_argv` came with
    Python 3.10.)
    """
    arguments = getattr(sys, "orig_argv", _WITHOUT_PADDLE)
    return sys.argv[:1] == ["-m"] and any(name in arguments for name in _WITHOUT_PADDLE)


def _offer() -> None:
    """Make this package `paddle.mps`."""
    _library.state()  # imports Paddle
    _paddle_mps_hook.install()
    paddle: Any = sys.modules.get("paddle")
    if paddle is not None:
        paddle.mps = sys.modules[__name__]


__version__ = _version()
if not _runs_without_paddle():
    _offer()
