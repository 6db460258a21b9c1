"""The history in a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import paddle
import paddle_mps
import pytest
from paddle_mps import MemoryEvent

pytestmark = pytest.mark.usefixtures("on_mps")


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    paddle.zeros([1])  # what the first allocation brings with it is not the subject here
    yield
    paddle_mps.record_memory_history(False)


def actions(events: list[MemoryEvent]) -> list[tuple[str, str]]:
    return [(event.action, event.op) for event in events]


# -- the snapshot ---------------------------------------------------------------------------------


def test_a_snapshot_accounts_for_every_byte(tmp_path: Path) -> None:
    paddle_mps.record_memory_history()
    kept = [paddle.full([size], 1.0) for size in (1, 1000, 100_000, 3_000_000)]
    dropped = paddle.full([2000], 1.0)
    paddle_mps.synchronize()
    del dropped
    path = tmp_path / "snapshot.json"
    snapshot = paddle_mps.memory_snapshot(path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(snapshot))
    stats = snapshot["statistics"]
    assert snapshot["consistent"] is True
    assert stats == paddle_mps.memory_stats()
    assert snapshot["schema"] == "paddle_mps.memory_snapshot"
    assert snapshot["version"] == 1
    assert snapshot["allocator"] == "mps"
    assert snapshot["paddle_mps"] == paddle_mps.__version__
    assert snapshot["device"]["name"] == paddle_mps.get_device_name()
    assert snapshot["streams"] == sorted({a["stream"] for a in snapshot["arenas"]})
    assert sum(arena["bytes"] for arena in snapshot["arenas"]) == stats["reserved_bytes"]
    assert len(snapshot["arenas"]) == stats["heap_count"]
    used: list[dict[str, object]] = []
    states = set()
    for arena in snapshot["arenas"]:
        end = 0
        for block in arena["blocks"]:
            assert block["offset"] == end
            assert block["bytes"] % arena["unit_bytes"] == 0
            end += block["bytes"]
            states.add(block["state"])
            assert (block["state"] == "in use") == (block["requested_bytes"] > 0)
            if block["state"] == "in use":
                used.append({**block, "address": arena["address"] + block["offset"]})
        assert end == arena["bytes"]
    assert {"free", "idle", "in use"} <= states <= {"free", "idle", "in use", "waiting"}
    assert len(used) == stats["block_count"]
    assert sum(block["bytes"] for block in used) == stats["blocks_bytes"]
    assert sum(block["requested_bytes"] for block in used) == stats["requested_bytes"]
    mine = {block["address"]: block for block in used}
    for tensor in kept:
        block = mine[tensor.data_ptr()]
        assert block["requested_bytes"] == 4 * tensor.size
        assert block["op"] == "full"
        stack = snapshot["stacks"][block["stack"]]
        assert any(frame[0] == __file__ for frame in stack)
    assert [e["number"] for e in snapshot["history"]] == list(range(len(snapshot["history"])))
    numbers = {event["stack"] for event in snapshot["history"]} - {None}
    assert numbers <= set(range(len(snapshot["stacks"])))


def test_a_block_from_before_the_history_has_no_op() -> None:
    x = paddle.full([12_345], 1.0)
    paddle_mps.record_memory_history()
    y = paddle.full([12_345], 1.0)
    snapshot = paddle_mps.memory_snapshot()
    blocks = {
        arena["address"] + block["offset"]: block
        for arena in snapshot["arenas"]
        for block in arena["blocks"]
    }
    assert "op" not in blocks[x.data_ptr()]
    assert blocks[y.data_ptr()]["op"] == "full"


def test_a_snapshot_knows_where_the_history_ended() -> None:
    paddle_mps.record_memory_history(stacks=None)
    x = paddle.full([1 << 20], 1.0)
    going_on = paddle_mps.memory_snapshot()
    assert going_on["after_history"]["blocks_bytes"] == going_on["statistics"]["blocks_bytes"]
    paddle_mps.record_memory_history(False)
    at_end = paddle_mps.memory_stats()["blocks_bytes"]
    y = paddle.full([1 << 20], 1.0)
    snapshot = paddle_mps.memory_snapshot()
    assert snapshot["after_history"]["blocks_bytes"] == at_end
    assert snapshot["statistics"]["blocks_bytes"] == at_end + (4 << 20)
    del x, y


def test_a_snapshot_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        paddle_mps.memory_snapshot(tmp_path / "no folder" / "snapshot.json")
    with pytest.raises(ValueError, match=r"^\[memory_snapshot\] no such device"):
        paddle_mps.memory_snapshot(device=99)
