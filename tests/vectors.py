"""Numbers that the original implementations of quantised formats gave (tests/data/README.md)."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import paddle

DATA = Path(__file__).parent / "data"
DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


class Vectors:
    """One file: arrays by key. bfloat16 lies there as uint16, under a key that ends so.

    What several keys share lies there once: the text `aliases` tells of which key the others are.
    """

    def __init__(self, name: str) -> None:
        self._file = np.load(DATA / f"{name}.npz")
        own = set(self._file.files) - {"aliases"}
        self._aliases = {}
        if len(own) < len(self._file.files):
            self._aliases = json.loads(self._file["aliases"].tobytes())
        self.keys = sorted(own | set(self._aliases))

    def __contains__(self, key: str) -> bool:
        return key in self.keys or f"{key}_bf16bits" in self.keys

    def __getitem__(self, key: str) -> np.ndarray:
        """The array; bfloat16 as float32."""
        if key not in self.keys:
            return (self._array(f"{key}_bf16bits").astype(np.uint32) << 16).view(np.float32)
        return self._array(key)

    def _array(self, key: str) -> np.ndarray:
        return self._file[self._aliases.get(key, key)]

    def tensor(self, key: str) -> paddle.Tensor:
        """The same on the device, in its own dtype."""
        tensor = paddle.to_tensor(self[key])
        return tensor if key in self.keys else tensor.astype("bfloat16")


@functools.cache
def load(name: str) -> Vectors:
    return Vectors(name)


def values(tensor: paddle.Tensor) -> np.ndarray:
    """A tensor's numbers; bfloat16 as float32, which holds them all."""
    return tensor.astype("float32").numpy() if tensor.dtype == paddle.bfloat16 else tensor.numpy()


def assert_same(got: paddle.Tensor, expected: np.ndarray) -> None:
    """The same numbers (0 is -0)."""
    np.testing.assert_array_equal(values(got).reshape(expected.shape), expected)
