"""Faults on demand, for tests of what a program sees of a failing device. Private.

The process has to be started with PADDLE_MPS_FAULT (`none`, or faults): only then is there
something between the runtime and the device that can fail (plugin/core/fault.h).
"""

from __future__ import annotations

from . import _library


def inject(faults: str, device: int = 0) -> None:
    """Let calls of a device fail from now on, instead of those that were to fail so far.

    Args:
        faults: "encode:3" for the third executable from now, "heap:2+" for every heap from the
            second on; several with commas; "none" for no fault. The kinds are those of
            plugin/core/fault.def.
        device: Index of the device.

    Raises:
        NotImplementedError: The process was started without PADDLE_MPS_FAULT.
        RuntimeError: There is no mps device.
        ValueError: There is no such fault or device.
    """
    _library.require("inject").inject_faults(device, faults)


def calls(fault: str, device: int = 0) -> int:
    """Return how often a device was asked for what this kind of fault is about.

    Raises what `inject` does.
    """
    count: int = _library.require("calls").count_calls(device, fault)
    return count
