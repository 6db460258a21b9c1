"""What paddle_mps tells and controls: memory, random numbers, where ops ran, compiled graphs."""

from __future__ import annotations

from collections.abc import Iterator

import paddle
import paddle_mps
import pytest
from child import run_python, tell

MIB = 1 << 20


@pytest.fixture(autouse=True)
def mps() -> Iterator[None]:
    assert paddle_mps.is_available(), paddle_mps.unavailable_reason()
    paddle.set_device("mps")
    yield
    paddle.set_device("mps")


@pytest.fixture
def unit() -> int:
    """The smallest unit of memory."""
    before = paddle_mps.memory_allocated()
    tensor = paddle.zeros([1], dtype="int8")
    unit = paddle_mps.memory_allocated() - before
    del tensor
    if paddle_mps.get_device_properties().backend == "host":
        assert unit == 256
    return unit


# -- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype", "size_bytes"),
    [
        ([1], "float32", 4),
        ([64], "float32", 256),
        ([65], "float32", 260),
        ([1000, 3], "int8", 3000),
    ],
)
def test_memory_allocated_follows_a_tensors_life(
    shape: list[int], dtype: str, size_bytes: int, unit: int
) -> None:
    before = paddle_mps.memory_allocated()
    tensor = paddle.zeros(shape, dtype=dtype)
    block = -(-size_bytes // unit) * unit
    assert paddle_mps.memory_allocated() - before == block
    view = tensor.reshape([-1])[0]
    assert paddle_mps.memory_allocated() - before == block
    del tensor
    assert paddle_mps.memory_allocated() - before == block  # the view holds it
    del view
    assert paddle_mps.memory_allocated() == before


def test_nothing_is_allocated_when_all_tensors_are_gone() -> None:
    told = tell("""
import paddle, paddle_mps
told["at first"] = paddle_mps.memory_allocated(), paddle_mps.max_memory_allocated()
layer = paddle.nn.Linear(32, 32)
loss = layer(paddle.ones([8, 32])).mean()
loss.backward()
told["in use"] = paddle_mps.memory_allocated()
del layer, loss
import gc; gc.collect()
told["at last"] = paddle_mps.memory_allocated()
told["peak"] = paddle_mps.max_memory_allocated()
told["released"] = paddle_mps.empty_cache()
told["reserved"] = paddle_mps.memory_reserved(), paddle_mps.memory_stats()["blocks_bytes"]
""")
    assert told["at first"] == [0, 0]
    assert told["in use"] > 4 * 32 * 32
    assert told["at last"] == 0
    assert told["peak"] >= told["in use"]
    assert told["released"] > 0
    assert told["reserved"] == [0, 0]


def test_tensors_without_elements_count_nothing() -> None:
    before = paddle_mps.memory_allocated()
    empty = paddle.zeros([0, 5])
    assert paddle_mps.memory_allocated() == before
    assert empty.shape == [0, 5]


def test_peaks_and_their_resets() -> None:
    before = paddle_mps.memory_allocated()
    paddle_mps.reset_max_memory_allocated()
    assert paddle_mps.max_memory_allocated() == before
    big = paddle.zeros([MIB], dtype="int8")
    del big
    assert paddle_mps.memory_allocated() == before
    assert paddle_mps.max_memory_allocated() == before + MIB
    paddle_mps.reset_max_memory_allocated()
    assert paddle_mps.max_memory_allocated() == before


def test_empty_cache_gives_memory_back() -> None:
    paddle_mps.empty_cache()
    before = paddle_mps.memory_reserved()
    big = paddle.zeros([64 * MIB], dtype="int8")
    assert paddle_mps.memory_reserved() >= before + 64 * MIB
    assert paddle_mps.driver_allocated_memory() >= 64 * MIB
    del big
    assert paddle_mps.empty_cache() >= 64 * MIB
    assert paddle_mps.memory_reserved() == before
    assert paddle_mps.max_memory_reserved() >= before + 64 * MIB
    paddle_mps.reset_max_memory_reserved()
    assert paddle_mps.max_memory_reserved() == before


def test_empty_cache_leaves_what_is_in_use() -> None:
    kept = paddle.full([1000], 7.0)
    paddle_mps.empty_cache()
    assert paddle_mps.memory_reserved() > 0
    assert float(kept.sum()) == 7000.0


def test_memory_stats_hold_together() -> None:
    kept = paddle.zeros([1000])
    stats = paddle_mps.memory_stats()
    assert stats["block_count"] > 0
    assert stats["heap_count"] > 0
    assert paddle_mps.memory_allocated() <= stats["blocks_bytes"] <= stats["reserved_bytes"]
    assert stats["reserved_bytes"] <= stats["peak_reserved_bytes"] <= stats["limit_bytes"]
    assert stats["requested_bytes"] <= stats["blocks_bytes"] <= stats["peak_blocks_bytes"]
    assert stats["requested_bytes"] <= stats["peak_requested_bytes"]
    free = stats["reserved_bytes"] - stats["blocks_bytes"]
    assert stats["largest_free_block_bytes"] <= free
    assert stats["reserved_bytes"] == paddle_mps.memory_reserved()
    assert kept.shape == [1000]


def test_the_limit_is_the_environments() -> None:
    told = tell(
        "import paddle_mps; told['limit'] = paddle_mps.memory_stats()['limit_bytes']",
        PADDLE_MPS_MEMORY_LIMIT="96M",
    )
    assert told["limit"] == 96 * MIB


# -- random numbers -------------------------------------------------------------------------------


def _numbers() -> list[float]:
    return paddle.rand([16]).tolist() + paddle.randn([16]).tolist()


def test_a_seed_gives_the_same_numbers_again() -> None:
    paddle_mps.manual_seed(2026)
    first = _numbers()
    second = _numbers()
    paddle_mps.manual_seed(2026)
    assert _numbers() == first
    assert second != first
    paddle_mps.manual_seed(2027)
    assert _numbers() != first


def test_a_chosen_seed_can_be_set_again() -> None:
    chosen = paddle_mps.seed()
    first = _numbers()
    assert paddle_mps.seed() != chosen
    assert _numbers() != first
    paddle_mps.manual_seed(chosen)
    assert _numbers() == first


def test_a_state_can_be_kept_and_set_again() -> None:
    _numbers()
    state = paddle_mps.get_rng_state()
    first = _numbers()
    paddle_mps.set_rng_state(state)
    assert _numbers() == first
    with pytest.raises(TypeError, match=r"^\[set_rng_state\] not a state: expected .+, got int\."):
        paddle_mps.set_rng_state(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_a_value_error(seed: int) -> None:
    with pytest.raises(ValueError, match=r"^\[manual_seed\] seed out of range: expected .+, got "):
        paddle_mps.manual_seed(seed)


def test_the_largest_seed_is_taken() -> None:
    paddle_mps.manual_seed(2**64 - 1)


# -- reports --------------------------------------------------------------------------------------


def test_fallback_report_counts_exactly() -> None:
    # In a child, since a reset would make the whole test run forget what it has covered.
    told = tell("""
import paddle, paddle_mps
single = paddle.ones([4], dtype="float32")
double = paddle.ones([4], dtype="float64")
paddle_mps.reset_fallback_report()
for _ in range(3):
    single + single
for _ in range(2):
    double + double
report = paddle_mps.fallback_report()
told["problem"] = report.problem
told["float32"] = vars(report.row("add", "float32"))
told["float64"] = vars(report.row("add", "float64"))
told["int32"] = vars(report.row("add", "int32"))
told["fell back"] = [vars(row) for row in report.fell_back]
told["all"] = report.mps_calls, report.cpu_calls
told["text"] = str(report).splitlines()
paddle_mps.reset_fallback_report()
told["after"] = len(paddle_mps.fallback_report().rows)
""")
    float64 = {"op": "add", "dtype": "float64", "mps_calls": 0, "cpu_calls": 2}
    assert told == {
        "problem": "",
        "float32": {"op": "add", "dtype": "float32", "mps_calls": 3, "cpu_calls": 0},
        "float64": float64,
        "int32": {"op": "add", "dtype": "int32", "mps_calls": 0, "cpu_calls": 0},
        "fell back": [float64],
        "all": [3, 2],
        "text": [
            "op     dtype    mps calls  cpu calls",
            "add    float64          0          2",
            "add    float32          3          0",
            "total                   3          2",
        ],
        "after": 0,
    }


def test_a_fallback_is_said_once_per_op_and_dtype() -> None:
    program = "import paddle; x = paddle.ones([4], dtype='float64'); x + x; x + x"
    process = run_python("-c", program)
    assert process.returncode == 0, process.stderr
    words = "[add] float64 runs on the CPU"
    assert [words in line for line in process.stderr.splitlines()].count(True) == 1


def test_fallbacks_can_go_uncounted_and_the_report_says_so() -> None:
    told = tell(
        """
import paddle, paddle_mps
x = paddle.ones([4], dtype="float64")
x + x
report = paddle_mps.fallback_report()
told["calls"] = report.cpu_calls
told["problem"] = report.problem
told["text"] = str(report)
""",
        PADDLE_MPS_TRACK_FALLBACK="0",
    )
    assert told["calls"] == 0
    assert "PADDLE_MPS_TRACK_FALLBACK" in told["problem"]
    assert told["problem"] in told["text"]
