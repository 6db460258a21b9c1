"""What this machine can do at most, measured by machine.cc: bandwidth (STREAM) and arithmetic."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import timing

CORES = timing.physical_cores()


class Machine:
    """The bounds that ops are held against.

    Args:
        elements: Size of the float32 arrays that STREAM moves.
        passes: Of this many passes the best counts.
    """

    def __init__(self, elements: int, passes: int) -> None:
        source = timing.ROOT / "benchmarks" / "machine.cc"
        library = timing.OUT / "libmachine.so"
        if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
            library.parent.mkdir(parents=True, exist_ok=True)
            flags = ["-O3", "-std=c++17", "-shared", "-fPIC", "-pthread"]
            if sys.platform != "darwin":
                flags.append("-march=native")
            subprocess.run(["c++", *flags, str(source), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))
        self._passes = passes
        self._arrays = [self._aligned(elements) for _ in range(3)]

    @staticmethod
    def _aligned(size: int) -> np.ndarray:
        storage = np.ones(size + 16, np.float32)
        skip = -storage.ctypes.data % 64 // 4
        return storage[skip : skip + size]

    def _function(self, name: str) -> ctypes._CFuncPtr:
        function = getattr(self._library, name)
        function.restype = ctypes.c_double
        return function

    def stream_seconds(self, name: str) -> float:
        """The best pass of copy, scale, add or dot: both kinds of stores, one thread and all."""
        function = self._function(f"stream_{name}")
        arrays = self._arrays if name == "add" else self._arrays[:2]
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
        size, threads = ctypes.c_int64(arrays[0].size), sorted({1, CORES})
        each = self._passes // 2 // len(threads)
        return min(function(*pointers, size, count, each) for count in threads) * 1e-9

    def fma_seconds(self, operations: float) -> float:
        """For that many float32 operations, as multiply-adds in registers on all cores."""
        return operations / (self._function("fma_gflops")(CORES) * 1e9)
