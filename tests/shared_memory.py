"""Arrays whose memory tensors share, and how much of it there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle_mps

STAND_INS = {"bfloat16": "uint16", "float8_e4m3fn": "int8", "float8_e5m2": "int8"}
SHARED = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "bfloat16",
)


def external() -> tuple[int, int]:
    stats = paddle_mps.memory_stats()
    return stats["external_count"], stats["external_bytes"]


def filled(shape: Any = 6, dtype: Any = "float32") -> np.ndarray:
    array = paddle_mps.empty_numpy(shape, dtype)
    array[...] = np.arange(array.size).reshape(array.shape) % 7
    return array


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
