"""The figures of memory: true at every step, in both allocator modes, and in the table."""

from __future__ import annotations

import re
import threading

import paddle
import paddle_mps
import pytest
from child import tell
from paddle_mps import _library
from paddle_mps._words import bytes_in_words, limit_in_words

pytestmark = pytest.mark.usefixtures("on_mps")

# Follows the memory of a program in either mode: tensors of many sizes come and go.
PROGRAM = """
import paddle, paddle_mps
paddle.set_device("mps")
def figures():
    paddle_mps.synchronize()
    stats = paddle_mps.memory_stats()
    stats["allocated"] = paddle_mps.memory_allocated()
    stats["requested"] = paddle_mps.memory_requested()
    stats["reserved"] = paddle_mps.memory_reserved()
    return stats
paddle.zeros([1])  # whatever the first allocation brings with it
told["start"] = figures()
sizes = [1, 64, 65, 1000, 16384, 16385, 100_000, 1_000_000]
tensors = [paddle.zeros([size], dtype="float32") for size in sizes]
told["full"] = figures()
told["peak"] = paddle_mps.max_memory_allocated()
del tensors[::2]
told["half"] = figures()
told["peak after"] = paddle_mps.max_memory_allocated()
del tensors
told["empty"] = figures()
told["released"] = paddle_mps.empty_cache()
told["end"] = figures()
"""


def rounded(elements: int, unit_of_large: int) -> int:
    """Bytes of a block for so many float32 numbers."""
    unit = 256 if elements * 4 <= 64 * 1024 else unit_of_large
    return -(-elements * 4 // unit) * unit


SIZES = (1, 64, 65, 1000, 16384, 16385, 100_000, 1_000_000)


def test_tensors_are_blocks() -> None:
    told = tell(PROGRAM)
    start, full, half, end = (told[name] for name in ("start", "full", "half", "end"))
    blocks = [rounded(size, 16 * 1024) for size in SIZES]
    for stats in (start, full, half, end):
        assert stats["allocated"] == stats["blocks_bytes"] == stats["allocated_bytes"]
        assert stats["requested"] == stats["requested_bytes"] <= stats["blocks_bytes"]
        assert stats["blocks_bytes"] <= stats["reserved_bytes"] == stats["reserved"]
        assert stats["peak_allocated_bytes"] == stats["peak_blocks_bytes"]
        assert stats["allocation_count"] - stats["free_count"] == stats["block_count"]
    assert full["blocks_bytes"] - start["blocks_bytes"] == sum(blocks)
    assert full["requested_bytes"] - start["requested_bytes"] == 4 * sum(SIZES)
    assert full["block_count"] - start["block_count"] == len(SIZES)
    assert half["blocks_bytes"] - start["blocks_bytes"] == sum(blocks[1::2])
    assert half["free_count"] - full["free_count"] == len(SIZES) / 2
    assert told["peak"] == told["peak after"] == full["blocks_bytes"]
    assert half["peak_blocks_bytes"] == full["blocks_bytes"]
    assert half["reserved_bytes"] == full["reserved_bytes"]
    assert end["blocks_bytes"] == start["blocks_bytes"] == 0
    assert told["empty"]["reserved_bytes"] - end["reserved_bytes"] == told["released"] > 0
    assert end["reserved_bytes"] == end["heap_count"] == end["largest_free_block_bytes"] == 0


def test_with_paddles_cache_tensors_lie_in_its_blocks() -> None:
    told = tell(PROGRAM, PADDLE_MPS_ALLOCATOR="paddle")
    start, full, half, end = (told[name] for name in ("start", "full", "half", "end"))
    for stats in (start, full, half, end):
        assert stats["allocated"] == stats["allocated_bytes"] <= stats["blocks_bytes"]
        assert stats["requested_bytes"] <= stats["blocks_bytes"] <= stats["reserved_bytes"]
    tensors = [rounded(size, 256) for size in SIZES]
    assert full["allocated"] - start["allocated"] == sum(tensors)
    assert half["allocated"] - start["allocated"] == sum(tensors[1::2])
    assert half["blocks_bytes"] == full["blocks_bytes"]  # Paddle keeps them
    assert told["peak"] == told["peak after"] == full["allocated"]
    assert end["allocated"] == end["reserved_bytes"] == 0
    assert told["released"] > 0


def test_both_modes_say_which_they_are() -> None:
    code = "import paddle_mps; told['mode'] = paddle_mps._library.require('t').allocator(0)"
    work = "\nimport paddle; paddle.set_device('mps'); paddle.ones([1])\n"
    for mode in ("mps", "paddle"):
        assert tell(code, PADDLE_MPS_ALLOCATOR=mode) == {"mode": mode}
        assert tell(work + code, PADDLE_MPS_ALLOCATOR=mode) == {"mode": mode}
    bad = "import paddle_mps\ntry:\n    paddle_mps._library.require('t').allocator(0)\n"
    told = tell(bad + "except ValueError as e:\n    told['e'] = str(e)", PADDLE_MPS_ALLOCATOR="x")
    assert told["e"] == (
        "[allocator] bad value of PADDLE_MPS_ALLOCATOR: expected mps or paddle, got 'x'. Correct "
        "or unset it."
    )


def test_peaks_are_reset_together_or_apart() -> None:
    x = paddle.zeros([1 << 20])
    del x
    paddle_mps.reset_max_memory_allocated()
    stats = paddle_mps.memory_stats()
    assert stats["peak_allocated_bytes"] == stats["allocated_bytes"] < stats["peak_blocks_bytes"]
    paddle_mps.reset_max_memory_reserved()
    stats = paddle_mps.memory_stats()
    assert stats["peak_reserved_bytes"] == stats["reserved_bytes"]
    assert stats["peak_requested_bytes"] == stats["requested_bytes"]
    x = paddle.zeros([1 << 20])
    del x
    assert paddle_mps.max_memory_requested() >= 4 << 20
    paddle_mps.reset_peak_memory_stats()
    stats = paddle_mps.memory_stats()
    for name in ("allocated", "requested", "blocks", "reserved"):
        assert stats[f"peak_{name}_bytes"] == stats[f"{name}_bytes"]


def test_every_figure_is_described_and_there_is_no_other() -> None:
    text = paddle_mps.memory_stats.__doc__ or ""
    names = re.findall(r"`(\w+)`", text)
    described = {name for name in names if name.endswith(("_bytes", "_count"))}
    assert described == set(paddle_mps.memory_stats())


def test_figures_stay_true_when_threads_allocate() -> None:
    before = paddle_mps.memory_stats()
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            paddle.set_device("mps")
            for i in range(60):
                x = paddle.full([1000 * (1 + (i * seed) % 37)], float(seed))
                assert float((x + 1.0)[0]) == seed + 1.0
                stats = paddle_mps.memory_stats()
                assert stats["requested_bytes"] <= stats["blocks_bytes"] <= stats["reserved_bytes"]
        except BaseException as error:  # noqa: B036  it is raised below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert errors == []
    paddle_mps.synchronize()
    after = paddle_mps.memory_stats()
    assert after["blocks_bytes"] == before["blocks_bytes"]
    assert after["allocated_bytes"] == before["allocated_bytes"]
    assert after["allocation_count"] > before["allocation_count"] + 4 * 60


def test_a_view_and_an_empty_tensor_hold_nothing() -> None:
    x = paddle.zeros([100, 100])
    before = paddle_mps.memory_allocated()
    view, empty = x[10:20], paddle.zeros([0, 5])
    assert paddle_mps.memory_allocated() == before
    del view, empty


# -- the table ------------------------------------------------------------------------------------


def test_the_summary_says_what_the_figures_say() -> None:
    x = paddle.zeros([1 << 20])
    lines = paddle_mps.memory_summary().splitlines()
    stats = paddle_mps.memory_stats()
    name = paddle_mps.get_device_name()
    assert lines[0] == f"memory of mps:0, {name}; idle memory is kept by mps"
    found = {line[:18].strip(): line[18:].split("  ") for line in lines[1:] if "---" not in line}
    cells = {label: [cell.strip() for cell in row if cell.strip()] for label, row in found.items()}
    for label, figure in (
        ("in tensors", "allocated_bytes"),
        ("requested", "requested_bytes"),
        ("in blocks", "blocks_bytes"),
        ("reserved", "reserved_bytes"),
    ):
        peak = stats[f"peak_{figure}"]
        assert cells[label] == [bytes_in_words(stats[figure]), bytes_in_words(peak)]
    assert cells["limit"] == [limit_in_words(stats["limit_bytes"])]
    assert cells["largest free"] == [bytes_in_words(stats["largest_free_block_bytes"])]
    assert cells["blocks"] == [f"{stats['block_count']:,}"]
    assert cells["found no room"] == [f"{stats['failure_count']:,}"]
    assert max(map(len, lines[1:])) <= 46
    del x


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1 << 20, "1.00 MiB"),
        (3 << 30, "3.00 GiB"),
        (5 << 40, "5.00 TiB"),
        (2048 << 40, "2048.00 TiB"),
    ],
)
def test_bytes_are_put_into_words(count: int, words: str) -> None:
    assert bytes_in_words(count) == words
    assert limit_in_words(count) == words


def test_no_limit_is_no_number() -> None:
    assert limit_in_words(2**63 - 1) == "no limit"


def test_a_device_that_is_not_there_is_refused_by_the_extension_too() -> None:
    extension = _library.require("test")
    for call in (extension.blocks, extension.memory_history, extension.allocator):
        with pytest.raises(ValueError, match="no such device"):
            call(7)
