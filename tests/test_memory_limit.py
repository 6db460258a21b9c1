"""Limits, running out, and giving memory back: each in a process of its own."""

from __future__ import annotations

import math
import re

import paddle_mps
import pytest
from child import tell

pytestmark = pytest.mark.usefixtures("mps")

BYTES = r"\d+(?:\.\d\d)? (?:B|KiB|MiB|GiB)"
# The one sentence, with its figures.
SENTENCE = re.compile(
    rf"\[(?P<op>\w+)\] out of memory: expected room for (?P<request>{BYTES}), got a limit of "
    rf"(?P<limit>{BYTES}), (?P<allocated>{BYTES}) allocated, (?P<reserved>{BYTES}) reserved, "
    rf"largest free block (?P<largest>{BYTES})\. Delete tensors, make the batch smaller, or raise "
    r"PADDLE_MPS_MEMORY_LIMIT or set_per_process_memory_fraction\(\)\."
)


def figures_of(message: str) -> dict[str, str]:
    """The figures in a MemoryError: the sentence, and around it what Paddle adds."""
    found = re.fullmatch(
        rf"\(ResourceExhausted\) {SENTENCE.pattern} \(at plugin/paddle/guard\.cc:\d+\)\n"
        r"(  \[operator < \w+ > error\])?",
        message,
    )
    assert found, message
    return found.groupdict()


# -- the limit ------------------------------------------------------------------------------------


def test_the_limit_is_the_recommendation_unless_something_is_said() -> None:
    told = tell("""
import paddle_mps
told["fraction"] = paddle_mps.get_per_process_memory_fraction()
told["same"] = paddle_mps.memory_stats()["limit_bytes"] == paddle_mps.recommended_max_memory()
""")
    assert told == {"fraction": 1.0, "same": True}


def test_the_variable_and_the_fraction() -> None:
    told = tell(
        """
import paddle_mps
most = paddle_mps.recommended_max_memory()
def limit():
    return paddle_mps.memory_stats()["limit_bytes"], paddle_mps.get_per_process_memory_fraction()
told["variable"] = limit()[0]
told["fractions"] = {}
for fraction in (0.5, 1, 2.0, 1e-300, 0):
    paddle_mps.set_per_process_memory_fraction(fraction)
    told["fractions"][str(fraction)] = limit()
told["no limit"] = paddle_mps.memory_summary()
told["most"] = most
""",
        PADDLE_MPS_MEMORY_LIMIT="64M",
    )
    most = told["most"]
    assert told["variable"] == 64 << 20
    assert told["fractions"]["0.5"] == [most // 2, pytest.approx(0.5)]
    assert told["fractions"]["1"] == [most, 1.0]
    assert told["fractions"]["2.0"] == [most * 2, 2.0]
    assert told["fractions"]["1e-300"][0] == 1  # 0 would mean something else
    assert told["fractions"]["0"] == [2**63 - 1, 0.0]
    assert re.search(r"^limit +no limit$", told["no limit"], re.M)


@pytest.mark.parametrize("fraction", [-0.1, 2.1, math.nan, math.inf, 1000])
def test_a_fraction_out_of_range_is_a_value_error(fraction: float) -> None:
    before = paddle_mps.memory_stats()["limit_bytes"]
    with pytest.raises(
        ValueError,
        match=r"^\[set_per_process_memory_fraction\] fraction out of range: expected a number from "
        r"0 to 2, got .+\. It is a share of recommended_max_memory\(\), and 0 means no limit\.$",
    ):
        paddle_mps.set_per_process_memory_fraction(fraction)
    assert paddle_mps.memory_stats()["limit_bytes"] == before


@pytest.mark.parametrize("fraction", ["0.5", None, True, 1j, [1]])
def test_what_is_no_number_is_a_type_error(fraction: object) -> None:
    with pytest.raises(
        TypeError,
        match=r"^\[set_per_process_memory_fraction\] not a fraction: expected a number from 0 to "
        r"2, got \w+\. Write 0\.5 for half of recommended_max_memory\(\)\.$",
    ):
        paddle_mps.set_per_process_memory_fraction(fraction)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", [99, "cpu"])
def test_a_fraction_of_no_device_is_a_value_error(device: object) -> None:
    with pytest.raises(ValueError, match=r"^\[set_per_process_memory_fraction\] "):
        paddle_mps.set_per_process_memory_fraction(0.5, device)  # type: ignore[arg-type]


def test_devices_have_limits_of_their_own(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can pretend to be two")
    told = tell(
        """
import paddle, paddle_mps
paddle_mps.set_per_process_memory_fraction(0.25, "mps:1")
told["fractions"] = [paddle_mps.get_per_process_memory_fraction(i) for i in (0, 1)]
""",
        PADDLE_MPS_HOST_DEVICES="2",
    )
    assert told["fractions"] == [1.0, pytest.approx(0.25)]


# -- running out ----------------------------------------------------------------------------------

OUT = """
import numpy as np
import paddle, paddle_mps
paddle.set_device("mps")
kept = paddle.ones([1 << 20], dtype="float32")
asks = {
    "full": lambda: paddle.ones([64 << 20], dtype="float32"),
    "matmul": lambda: paddle.matmul(paddle.ones([1 << 14, 8]), paddle.ones([8, 1 << 14])),
    "mps": lambda: paddle.to_tensor(np.ones(64 << 20, "float32")),
}
told["errors"], told["kinds"], told["last"], told["stats"] = {}, {}, {}, {}
for op, ask in asks.items():
    try:
        ask()
    except BaseException as error:
        told["errors"][op], told["kinds"][op] = str(error), type(error).__name__
        told["last"][op] = paddle_mps.last_error()
    told["stats"][op] = paddle_mps.memory_stats()
told["goes on"] = float((kept + paddle.full([1 << 20], 2.0)).sum())
"""


def test_an_op_that_finds_no_room_says_what_there_is() -> None:
    told = tell(OUT, PADDLE_MPS_MEMORY_LIMIT="64M")
    assert told["kinds"] == {"full": "MemoryError", "matmul": "MemoryError", "mps": "MemoryError"}
    requests = {"full": "256.00 MiB", "matmul": "1.00 GiB", "mps": "256.00 MiB"}
    for op, request in requests.items():
        figures = figures_of(told["errors"][op])
        assert figures["op"] == op
        assert figures["request"] == request
        assert figures["limit"] == "64.00 MiB"
        assert figures["allocated"] == ("5.00 MiB" if op == "matmul" else "4.00 MiB")
        assert figures["reserved"] == ("8.00 MiB" if op == "matmul" else "4.00 MiB")
        assert figures["largest"] == ("3.00 MiB" if op == "matmul" else "0 B")
    for tries, op in enumerate(requests, start=1):
        stats = told["stats"][op]
        assert stats["failure_count"] == stats["retry_count"] == tries
        assert stats["blocks_bytes"] == 4 << 20
    assert told["goes on"] == 3.0 * (1 << 20)


def test_with_paddles_cache_the_sentence_is_the_last_error() -> None:
    told = tell(OUT, PADDLE_MPS_MEMORY_LIMIT="64M", PADDLE_MPS_ALLOCATOR="paddle")
    assert set(told["kinds"].values()) == {"MemoryError"}
    for op in told["kinds"]:
        found = SENTENCE.fullmatch(told["last"][op])
        assert found, told["last"][op]
        assert found["limit"] == "64.00 MiB"
        assert found["op"] == "allocate"
    assert told["goes on"] == 3.0 * (1 << 20)


def test_running_out_again_and_again_loses_nothing() -> None:
    told = tell(
        """
import paddle, paddle_mps
paddle.set_device("mps")
told["failures"], told["most"] = 0, []
for _ in range(20):
    tensors = []
    try:
        while True:
            tensors.append(paddle.full([1 << 18], float(len(tensors))))
    except MemoryError:
        told["failures"] += 1
    assert [float(t[-1]) for t in tensors[:5]] == [0.0, 1.0, 2.0, 3.0, 4.0]
    told["most"].append(len(tensors))
    del tensors
paddle_mps.empty_cache()
told["end"] = paddle_mps.memory_stats()
""",
        PADDLE_MPS_MEMORY_LIMIT="40M",
    )
    assert told["failures"] == 20
    assert (
        len(set(told["most"])) == 1 and told["most"][0] >= 32
    )  # of 40, one heap is for small ones
    assert told["end"]["blocks_bytes"] == told["end"]["reserved_bytes"] == 0


def test_threads_that_run_out_together_get_an_error_each_or_their_numbers() -> None:
    told = tell(
        """
import threading
import paddle, paddle_mps
paddle.set_device("mps")
told["errors"], told["other"], told["good"] = 0, [], 0
lock = threading.Lock()
def work(number):
    paddle.set_device("mps")
    for i in range(25):
        try:
            x = paddle.full([3 << 20], float(number))
            y = x + 1.0
            value = float(y[-1])
            with lock:
                told["good"] += value == number + 1.0
        except MemoryError as error:
            with lock:
                told["errors"] += "out of memory: expected room for" in str(error)
        except BaseException as error:
            told["other"].append(repr(error))
threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
told["end"] = float((paddle.ones([1 << 20]) + 1.0).sum())
""",
        PADDLE_MPS_MEMORY_LIMIT="48M",
    )
    assert told["other"] == []
    assert told["good"] + told["errors"] == 6 * 25
    assert told["good"] > 0
    assert told["end"] == 2.0 * (1 << 20)


def test_a_limit_below_what_is_held_lets_it_stay() -> None:
    told = tell("""
import paddle, paddle_mps
paddle.set_device("mps")
held = paddle.ones([8 << 20])
paddle_mps.set_per_process_memory_fraction(1e-9)
told["held"] = float(held.numpy().sum())
try:
    more = paddle.ones([8 << 20])
except MemoryError as error:
    told["error"] = str(error)
del held
told["in place of it"] = float(paddle.full([8 << 20], 2.0).numpy().sum())
paddle_mps.set_per_process_memory_fraction(1.0)
told["again"] = float(paddle.ones([16 << 20]).sum())
""")
    assert told["held"] == float(8 << 20)
    assert figures_of(told["error"])["request"] == "32.00 MiB"
    assert told["in place of it"] == 2.0 * (8 << 20)
    assert told["again"] == float(16 << 20)


# -- training at the limit ------------------------------------------------------------------------

TRAINING = """
import gc
import numpy as np
import paddle, paddle_mps
import paddle.nn.functional as F
paddle.set_device("mps")

class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.layers = paddle.nn.LayerList(
            [paddle.nn.Linear(a, b) for a, b in ((32, 256), (256, 256), (256, 4))])
    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)

random = np.random.default_rng(0)
teacher = random.standard_normal((32, 4)).astype("float32")

def train(batch, steps):
    paddle.seed(0)
    net = Net()
    net.to("mps")
    optimizer = paddle.optimizer.Adam(3e-3, parameters=net.parameters())
    losses = []
    for _ in range(steps):
        numbers = random.standard_normal((batch, 32)).astype("float32")
        x, y = paddle.to_tensor(numbers), paddle.to_tensor(np.tanh(numbers @ teacher))
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return losses
"""


def test_training_just_below_its_need_raises_and_trains_with_a_smaller_batch() -> None:
    told = tell(
        TRAINING
        + """
train(4096, 2)
gc.collect()
need = paddle_mps.memory_stats()["peak_blocks_bytes"]
told["need"] = need
paddle_mps.empty_cache()
paddle_mps.reset_peak_memory_stats()

# What the tensors need at once, without anything around them, less a page.
paddle_mps.set_per_process_memory_fraction((need - 16384) / paddle_mps.recommended_max_memory())
told["limit"] = paddle_mps.memory_stats()["limit_bytes"]
try:
    train(4096, 2)
except MemoryError as error:
    told["error"] = str(error)
gc.collect()
told["after"] = paddle_mps.memory_stats()
told["losses"] = train(1024, 60)
told["peak"] = paddle_mps.memory_stats()["peak_reserved_bytes"]

paddle_mps.set_per_process_memory_fraction(1.0)
told["unlimited"] = train(4096, 3)
"""
    )
    figures = figures_of(told["error"])
    assert figures["op"] != "mps"  # some op of the training, by its name
    assert need_in_words(told["limit"]) == figures["limit"]
    assert told["need"] - 2 * 16384 <= told["limit"] < told["need"]
    assert told["after"]["blocks_bytes"] == 0
    assert told["after"]["failure_count"] == 1
    losses = told["losses"]
    assert all(map(math.isfinite, losses))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert told["peak"] <= told["limit"]
    assert all(map(math.isfinite, told["unlimited"]))


def need_in_words(count: int) -> str:
    return f"{count / 2**20:.2f} MiB"


# -- giving it back -------------------------------------------------------------------------------


def test_empty_cache_returns_every_empty_heap_to_the_system(backend: str) -> None:
    if backend != "host":
        pytest.skip("elsewhere the system counts the device's memory apart from the process's")
    told = tell("""
import os
import paddle, paddle_mps
paddle.set_device("mps")
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
kept = paddle.ones([10])
def fill():
    large = [paddle.full([16 << 20], float(i)) for i in range(4)]
    small = [paddle.full([100], float(i)) for i in range(5_000)]
    paddle_mps.synchronize()
    return large, small
fill()  # so that what Python and Paddle keep for themselves is there before
paddle_mps.empty_cache()
told["before"] = resident()
tensors = fill()
told["full"], told["reserved"] = resident(), paddle_mps.memory_reserved()
del tensors
told["freed"] = resident()
told["released"] = paddle_mps.empty_cache()
told["after"], told["still"] = resident(), paddle_mps.memory_stats()
told["kept"] = float(kept.sum())
del kept
paddle_mps.empty_cache()
told["end"] = paddle_mps.memory_stats()
""")
    assert told["full"] - told["before"] > 256 << 20
    assert told["full"] - told["freed"] < 16 << 20  # kept for the next one
    assert told["freed"] - told["after"] > 250 << 20
    assert told["after"] - told["before"] < 24 << 20
    assert told["released"] == told["reserved"] - told["still"]["reserved_bytes"]
    assert told["still"]["heap_count"] == 1  # the one with `kept`
    assert told["kept"] == 10.0
    assert told["end"]["reserved_bytes"] == told["end"]["heap_count"] == 0
