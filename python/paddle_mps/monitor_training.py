"""The small training that `python -m paddle_mps.monitor --self` shows.

Only ops with an mps kernel, so that nothing is printed into the picture; batches of changing sizes,
so that there is something to see.
"""

from __future__ import annotations

import threading

import numpy as np
import paddle
import paddle.nn.functional as F

_WIDTHS = (64, 512, 512, 8)
_BATCHES = (64, 128, 256, 512, 1024, 2048, 1024, 512, 256, 128)
_STEPS_PER_BATCH = 6
_RATE = 0.05
_PAUSE_S = 0.02  # between steps: it is to be watched, not to be fast


class Training:
    """A multi-layer perceptron that learns to imitate another one."""

    def __init__(self) -> None:
        """Make both networks; the device becomes the current one."""
        paddle.set_device("mps")
        self._random = np.random.default_rng(0)
        self._stopped = threading.Event()
        self._teacher = self._network()
        self._weights = self._network()

    def run(self, steps: int | None = None) -> None:
        """Train for so many steps; None: until `stop`. May be called on a thread of its own."""
        paddle.set_device("mps")
        step = 0
        while step != steps and not self._stopped.is_set():
            self._step(_BATCHES[step // _STEPS_PER_BATCH % len(_BATCHES)])
            step += 1
            if steps is None:
                self._stopped.wait(_PAUSE_S)

    def stop(self) -> None:
        """Let `run` return after its step."""
        self._stopped.set()

    def _network(self) -> list[paddle.Tensor]:
        shapes = zip(_WIDTHS, _WIDTHS[1:])
        weights = [
            paddle.to_tensor(self._normal(inputs, outputs) / np.sqrt(inputs, dtype=np.float32))
            for inputs, outputs in shapes
        ]
        for weight in weights:
            weight.stop_gradient = False
        return weights

    def _normal(self, rows: int, columns: int) -> np.ndarray:
        return self._random.standard_normal((rows, columns), np.float32)

    @staticmethod
    def _apply(weights: list[paddle.Tensor], x: paddle.Tensor) -> paddle.Tensor:
        for weight in weights[:-1]:
            x = F.relu(x @ weight)
        return x @ weights[-1]

    def _step(self, batch: int) -> None:
        x = paddle.to_tensor(self._normal(batch, _WIDTHS[0]))
        with paddle.no_grad():
            wanted = self._apply(self._teacher, x)
        difference = self._apply(self._weights, x) - wanted
        (difference * difference).mean().backward()
        with paddle.no_grad():
            for index, weight in enumerate(self._weights):
                better = weight - _RATE * weight.grad
                better.stop_gradient = False
                self._weights[index] = better
