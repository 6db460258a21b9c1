"""Which tests `pytest --fast` (make test-fast) runs: about three minutes on two cores.

Every case's values in float32, a tenth of the rest of the sweeps over cases, and all other files
but those below.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

# Files of which nothing is run: they start many processes, wait, or compile.
LEFT_OUT = (
    "test_build_paddle_macos.py",
    "test_examples.py",
    "test_faults.py",
    "test_fork.py",
    "test_info.py",
    "test_lost_device.py",
    "test_mac_pages.py",
    "test_macos_headers.py",
    "test_macos_library.py",
    "test_macos_mistakes.py",
    "test_memory_history.py",
    "test_memory_machine.py",
    "test_memory_plot.py",
    "test_monitor.py",
    "test_monitor_view.py",
    "test_plugin_load.py",
    "test_processes.py",
    "test_selftest.py",
    "test_signals.py",
    "test_soak.py",
    "test_stream_programs.py",
    "test_zero_copy_programs.py",
)
# The same of single tests.
SLOW_TESTS = (
    "test_large[",
    "test_more_than_two_gib",
    "test_nothing_is_offered_without_a_device",
)
# Files that ask every case in every dtype and layout: one test in so many.
SWEEPS = ("test_ops.py", "test_grads.py", "test_layouts.py")
ONE_IN = 10


def is_fast(item: pytest.Item) -> bool:
    """Whether the test is one of the quick ones; the same ones in every run."""
    file = Path(item.path).name
    if file in LEFT_OUT or item.name.startswith(SLOW_TESTS):
        return False
    if file not in SWEEPS or (item.name.startswith("test_value[") and "-float32" in item.name):
        return True
    return zlib.crc32(item.name.encode()) % ONE_IN == 0


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the other tests out of a run."""
    slow = [item for item in items if not is_fast(item)]
    items[:] = [item for item in items if is_fast(item)]
    config.hook.pytest_deselected(items=slow)
