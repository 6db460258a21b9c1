"""paddle.profiler with the device: what was submitted and what ran, when, and of which op."""

from __future__ import annotations

import json
from pathlib import Path

import paddle
import paddle.nn.functional as F
import pytest
from paddle.profiler import Profiler, ProfilerTarget, SortedKeys
from paddle.profiler.profiler_statistic import StatisticData

pytestmark = pytest.mark.usefixtures("on_mps")

TARGETS = [ProfilerTarget.CPU, ProfilerTarget.CUSTOM_DEVICE]
DEVICE = ("Kernel", "Memcpy", "Memset")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profiler leaves a folder of its own where the program runs."""
    monkeypatch.chdir(tmp_path)


def trace(profiler: Profiler, path: Path) -> list[dict]:
    """The events of the exported Chrome trace, without the unit in their names."""
    profiler.export(str(path), format="json")
    events = json.loads(path.read_text())["traceEvents"]
    return [{**event, "name": event["name"].partition("[")[0]} for event in events if event]


def work() -> None:
    x = paddle.randn([64, 32])
    x.stop_gradient = False
    y = F.softmax(paddle.matmul(x, x, transpose_y=True), -1)
    y.sum().backward()
    x.grad.cpu()


@pytest.fixture
def events(tmp_path: Path) -> list[dict]:
    work()
    with Profiler(targets=TARGETS) as profiler:
        work()
    return trace(profiler, tmp_path / "trace.json")


def spans(events: list[dict], *categories: str) -> list[dict]:
    return [e for e in events if e.get("cat") in categories and e.get("ph") == "X"]


def test_each_piece_of_work_is_on_the_timeline(events: list[dict]) -> None:
    kernels = [e["name"] for e in spans(events, "Kernel")]
    for op in ("gaussian", "matmul", "softmax", "sum", "softmax_grad", "matmul_grad"):
        assert kernels.count(op) == 1, kernels
    copies = [e for e in spans(events, "Memcpy") if e["name"] == "download"]
    assert [e["args"]["bytes"] for e in copies] == [64 * 32 * 4]


def test_work_begins_after_it_was_submitted_and_in_order(events: list[dict]) -> None:
    submitted = {e["args"]["correlation id"]: e for e in spans(events, "CudaRuntime")}
    ends = 0.0
    for event in sorted(spans(events, "Kernel"), key=lambda e: e["ts"]):
        its = submitted[event["args"]["correlation id"]]
        assert its["name"] == f"{event['name']} (submit)"
        assert event["ts"] >= its["ts"] - 1  # both are cut to microseconds
        assert event["ts"] >= ends - 1, "a stream does one thing after the other"
        ends = event["ts"] + event["dur"]


def test_submissions_lie_within_their_ops(events: list[dict]) -> None:
    (op,) = (e for e in spans(events, "Operator") if e["name"].startswith("matmul dygraph"))
    (submit,) = (e for e in spans(events, "CudaRuntime") if e["name"] == "matmul (submit)")
    assert op["ts"] - 1 <= submit["ts"]
    assert submit["ts"] + submit["dur"] <= op["ts"] + op["dur"] + 1
    assert submit["tid"] == op["tid"]


def test_the_summary_gives_ops_their_device_time() -> None:
    work()
    with Profiler(targets=TARGETS) as profiler:
        work()
    data = StatisticData(
        profiler.profiler_result.get_data(), profiler.profiler_result.get_extra_info()
    )
    items = data.event_summary.items
    assert items["matmul dygraph"].gpu_time > 0
    assert items["matmul dygraph"].gpu_time <= data.event_summary.kernel_items["matmul"].gpu_time
    profiler.summary(sorted_by=SortedKeys.GPUTotal)


def test_nothing_is_recorded_outside_of_the_profiler(tmp_path: Path) -> None:
    def kernels(schedule: tuple[int, int], name: str) -> list[str]:
        with Profiler(targets=TARGETS, scheduler=schedule) as profiler:
            for step in range(4):
                paddle.full([8], float(step)).exp()
                profiler.step()
        return [e["name"] for e in spans(trace(profiler, tmp_path / name), "Kernel")]

    assert kernels((1, 3), "two").count("exp") == 2
    paddle.full([8], 1.0).tanh()
    found = kernels((2, 3), "one")
    assert found.count("exp") == 1
    assert "tanh" not in found
