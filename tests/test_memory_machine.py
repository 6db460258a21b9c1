"""Tensors made, viewed, written, copied and dropped in any order, against NumPy as the model.

Hypothesis looks for a sequence of allocate, free, resolve (through views) and empty_cache after
which some tensor does not hold what was written to it, or the figures of the memory are wrong.
"""

from __future__ import annotations

import gc

import numpy as np
import paddle
import paddle_mps
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

# Around the sizes where the allocator changes its ways: 256 bytes, 64 KiB, pages, arenas.
SIZES = st.one_of(
    st.integers(1, 600),
    st.integers((64 << 10) - 300, (64 << 10) + 300),
    st.integers(1, 40).map(lambda n: n * (16 << 10)),
    st.sampled_from([(1 << 20) - 1, 8 << 20, (8 << 20) + 1, 12 << 20]),
)


class MemoryMachine(RuleBasedStateMachine):
    tensors = Bundle("tensors")

    def __init__(self) -> None:
        super().__init__()
        paddle_mps.empty_cache()
        self.before = paddle_mps.memory_stats()
        self.live: dict[int, tuple[paddle.Tensor, np.ndarray]] = {}
        self.made = 0

    def keep(self, tensor: paddle.Tensor, numbers: np.ndarray) -> int:
        self.made += 1
        self.live[self.made] = (tensor, numbers)
        return self.made

    @rule(target=tensors, size=SIZES, value=st.integers(0, 255))
    def allocate(self, size: int, value: int) -> int:
        return self.keep(paddle.full([size], value, "uint8"), np.full(size, value, np.uint8))

    @rule(target=tensors, size=SIZES)
    def upload(self, size: int) -> int:
        numbers = np.arange(size, dtype=np.uint8)
        return self.keep(paddle.to_tensor(numbers), numbers)

    @rule(key=consumes(tensors))
    def free(self, key: int) -> None:
        tensor, numbers = self.live.pop(key)
        np.testing.assert_array_equal(tensor.numpy(), numbers)

    @rule(target=tensors, key=consumes(tensors), data=st.data())
    def keep_only_a_view(self, key: int, data: st.DataObject) -> int:
        tensor, numbers = self.live.pop(key)
        first = data.draw(st.integers(0, numbers.size - 1))
        last = data.draw(st.integers(first, numbers.size - 1)) + 1
        return self.keep(tensor[first:last], numbers[first:last])

    @rule(target=tensors, key=tensors)
    def compute(self, key: int) -> int:
        tensor, numbers = self.live[key]
        return self.keep(tensor + tensor, numbers + numbers)

    @rule(key=tensors, value=st.integers(0, 255))
    def change_in_place(self, key: int, value: int) -> None:
        tensor, numbers = self.live[key]
        tensor.fill_(value)
        numbers = np.full_like(numbers, value)
        self.live[key] = (tensor, numbers)

    @rule()
    def empty_cache(self) -> None:
        paddle_mps.empty_cache()

    @rule(seed=st.integers(0, 2**16))
    def check_one(self, seed: int) -> None:
        if not self.live:
            return
        tensor, numbers = list(self.live.values())[seed % len(self.live)]
        np.testing.assert_array_equal(tensor.numpy(), numbers)

    @invariant()
    def figures_are_true(self) -> None:
        stats = paddle_mps.memory_stats()
        held = sum(numbers.nbytes for _, numbers in self.live.values())
        assert stats["requested_bytes"] - self.before["requested_bytes"] >= held
        assert stats["requested_bytes"] <= stats["blocks_bytes"] <= stats["reserved_bytes"]
        assert stats["reserved_bytes"] <= stats["limit_bytes"]
        assert stats["block_count"] - self.before["block_count"] == len(self.live)

    def teardown(self) -> None:
        while self.live:
            self.free(next(iter(self.live)))
        stats = paddle_mps.memory_stats()
        assert stats["blocks_bytes"] == self.before["blocks_bytes"]
        assert stats["waiting_bytes"] == 0


@pytest.mark.usefixtures("on_mps")
def test_no_sequence_of_calls_confuses_the_memory() -> None:
    paddle.ones([1])  # the first tensor of a process comes from Paddle's own cache
    gc.collect()  # tensors of other tests must not go in the middle of this one
    MemoryMachine.TestCase.settings = settings(
        max_examples=60,
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    MemoryMachine.TestCase("runTest").runTest()
