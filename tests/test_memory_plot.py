"""Figures over time from a snapshot, and the pictures: of real and of made-up memory."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import paddle_mps
import pytest
from child import run_python
from matplotlib.colors import to_rgb
from paddle_mps.memory_picture import _COLOURS, _columns, _place_of
from paddle_mps.memory_timeline import Holder, timeline

MIB = 1 << 20


def event(number: int, action: str, size: int, address: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "time": 100.0 + number,
        "action": action,
        "op": "matmul",
        "stream": 0,
        "address": address,
        "bytes": size - 10 if action in ("allocate", "free") else size,
        "block_bytes": size,
        "stack": None,
        **more,
    }


def block(offset: int, size: int, state: str, **more: Any) -> dict[str, Any]:
    asked = size // 2 if state == "in use" else 0
    return {"offset": offset, "bytes": size, "requested_bytes": asked, "state": state, **more}


def made_up(**changes: Any) -> dict[str, Any]:
    """A snapshot with one heap, a quarter of it for each state but waiting."""
    quarter = MIB // 4
    arena = {
        "address": 1 << 32,
        "bytes": MIB,
        "class": "small",
        "stream": 0,
        "unit_bytes": 256,
        "blocks": [
            block(0, quarter, "in use", op="relu", stack=0),
            block(quarter, quarter, "idle"),
            block(2 * quarter, quarter, "waiting"),
            block(3 * quarter, quarter, "free"),
        ],
    }
    stats = {"blocks_bytes": quarter, "block_count": 1, "limit_bytes": 1 << 40}
    snapshot = {
        "schema": "paddle_mps.memory_snapshot",
        "version": 1,
        "device": {"index": 0, "name": "a device", "backend": "host"},
        "statistics": stats,
        "arenas": [arena],
        "history": [],
        "after_history": {"requested_bytes": 0, "blocks_bytes": 0, "reserved_bytes": 0},
        "stacks": [[["/a/program.py", 12, "work"]]],
    }
    return {**snapshot, **changes}


HISTORY = made_up(
    history=[
        event(7, "reserve", MIB),  # others came before it and are lost
        event(8, "allocate", 1000, address=1, stack=0),
        event(9, "allocate", 3000, address=2, stack=0, op="add"),
        event(10, "free", 1000, address=1),
        event(11, "out of memory", 50 * MIB),
        event(12, "free", 500, address=77),  # older than the history
        event(13, "release", MIB),
    ],
    after_history={"requested_bytes": 5000, "blocks_bytes": 4500, "reserved_bytes": 2 * MIB},
)


# -- over time ------------------------------------------------------------------------------------


def test_figures_over_time_end_where_the_snapshot_says() -> None:
    line = timeline(HISTORY)
    assert line is not None
    assert line.figures["blocks_bytes"].tolist() == [
        2000, 2000, 3000, 6000, 5000, 5000, 4500, 4500,
    ]  # fmt: skip
    assert line.figures["requested_bytes"].tolist()[-1] == 5000
    assert line.figures["requested_bytes"].tolist()[0] == 5000 + 490 - (3000 - 10)
    assert (line.figures["reserved_bytes"] / MIB).tolist() == [2, 3, 3, 3, 3, 3, 3, 2]
    assert line.seconds.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert line.peak == 3
    assert line.failures == [5]


def test_the_holders_of_the_peak_add_up_to_it() -> None:
    line = timeline(HISTORY)
    assert line is not None
    stack = HISTORY["stacks"][0]
    assert line.holders == [
        Holder("add", stack, 3000, 1),
        Holder("", None, 2000, 0),
        Holder("matmul", stack, 1000, 1),
    ]
    assert sum(holder.bytes for holder in line.holders) == line.figures["blocks_bytes"][line.peak]


def test_no_history_is_no_timeline() -> None:
    assert timeline(made_up()) is None


@pytest.mark.usefixtures("on_mps")
def test_a_real_timeline_ends_at_the_figures_of_now_and_has_the_real_peak() -> None:
    import paddle

    paddle.zeros([1])
    paddle_mps.record_memory_history()
    paddle_mps.reset_peak_memory_stats()
    kept = []
    for size in (100, 500_000, 2_000_000):
        x = paddle.full([size], 1.0)
        kept.append(x + 1.0)
        del x
    del kept[0]
    snapshot = paddle_mps.memory_snapshot()
    paddle_mps.record_memory_history(False)
    line = timeline(json.loads(json.dumps(snapshot)))
    assert line is not None
    stats = snapshot["statistics"]
    for name, values in line.figures.items():
        assert values[-1] == stats[name]
        assert values.max() == stats[f"peak_{name}"]
    assert sum(holder.bytes for holder in line.holders) == stats["peak_blocks_bytes"]
    assert line.holders[0].op in ("full", "scale", "")


# -- pictures -------------------------------------------------------------------------------------


def colours_of(path: Path) -> dict[str, float]:
    """Share of the picture that has each of the colours of states."""
    pixels = matplotlib.image.imread(path)[..., :3]
    return {
        name: float((np.abs(pixels - np.array(to_rgb(colour))).max(axis=-1) < 0.01).mean())
        for name, colour in _COLOURS.items()
    }


def test_a_picture_shows_as_much_of_each_state_as_there_is(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    figure = paddle_mps.plot_memory_snapshot(made_up(), path)
    shares = colours_of(path)
    assert shares["idle"] == pytest.approx(shares["waiting"], rel=0.15)
    assert shares["free"] == pytest.approx(shares["waiting"], rel=0.15)
    assert shares["in use"] == pytest.approx(shares["rounding"], rel=0.2)
    assert shares["in use"] == pytest.approx(shares["idle"] / 2, rel=0.2)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "relu 256.00 KiB" in texts
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "in use: what was asked for: 128.00 KiB (12.5%)" in legend
    assert "free: 256.00 KiB (25.0%)" in legend
    assert "25% in 1 block" in [
        t.get_text() for t in figure.axes[1].child_axes[0].get_yticklabels()
    ]


def test_a_block_without_room_for_words_has_none() -> None:
    snapshot = made_up()
    size = MIB // 64
    snapshot["arenas"][0]["blocks"] = [
        block(i * size, size, "in use", op="a_kernel_with_a_long_name") for i in range(64)
    ]
    figure = paddle_mps.plot_memory_snapshot(snapshot)
    assert list(figure.axes[1].texts) == []


def test_memory_without_heaps_is_a_picture_too(tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    figure = paddle_mps.plot_memory_snapshot(made_up(arenas=[]), path)
    assert "nothing is reserved" in [text.get_text() for text in figure.axes[1].texts]
    assert path.read_text().startswith("<?xml")


def test_of_very_many_heaps_the_largest_are_shown() -> None:
    snapshot = made_up()
    arenas = [copy.deepcopy(snapshot["arenas"][0]) for _ in range(100)]
    for i, arena in enumerate(arenas):
        arena["address"] += i * MIB
    arenas[50]["bytes"] *= 2
    arenas[50]["blocks"].append(block(MIB, MIB, "free"))
    figure = paddle_mps.plot_memory_snapshot({**snapshot, "arenas": arenas})
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert len(labels) == 60
    assert "2.00 MiB, small, stream 0" in labels
    assert figure.axes[1].get_xlabel() == "and 40 smaller heaps"


def test_a_picture_over_time_marks_the_peak_and_names_the_holders(tmp_path: Path) -> None:
    path = tmp_path / "history.png"
    figure = paddle_mps.plot_memory_history(HISTORY, path)
    above, below = figure.axes
    assert [text.get_text() for text in above.texts] == ["peak: 5.86 KiB at 2.000 s"]
    lines = {line.get_label(): line for line in above.lines}
    assert lines["allocated (in blocks): 5.86 KiB at most"].get_ydata().max() == 6000
    assert "out of memory (1)" in lines
    texts = [text.get_text() for text in below.texts]
    assert "2.93 KiB (50%), 1 block" in texts
    assert "add, in work (program.py:12)" in texts
    assert "older than the history" in texts
    assert path.stat().st_size > 10_000


def test_the_limit_is_drawn_where_it_is_near() -> None:
    near = copy.deepcopy(HISTORY)
    near["statistics"]["limit_bytes"] = 4 * MIB
    for snapshot, wanted in ((near, True), (HISTORY, False)):
        figure = paddle_mps.plot_memory_history(snapshot)
        labels = [line.get_label() for line in figure.axes[0].lines]
        assert ("limit" in labels) == wanted


def test_very_many_events_are_drawn_as_the_least_and_the_most() -> None:
    history = []
    for number in range(0, 40_000, 2):
        size = 5_000 if number == 20_000 else 1_000
        history.append(event(number, "allocate", size, address=1))
        history.append(event(number + 1, "free", size, address=1))
    sums = {"requested_bytes": 0, "blocks_bytes": 0, "reserved_bytes": 0}
    figure = paddle_mps.plot_memory_history(made_up(history=history, after_history=sums))
    (line,) = [x for x in figure.axes[0].lines if str(x.get_label()).startswith("allocated")]
    times, most = line.get_data()
    assert 2000 < len(times) < 3001
    assert most.max() == 5_000
    assert times[most.argmax()] == pytest.approx(20_000, abs=60)
    assert sorted(set(most.tolist())) == [0, 1_000, 5_000]


def test_a_quiet_time_between_many_events_is_drawn_as_quiet() -> None:
    history = [event(n, "allocate", 1000, address=n) for n in range(5_000)]
    for number, row in enumerate(history):
        row["time"] = number * 1e-6 + (100.0 if number >= 2_500 else 0.0)
    sums = {"requested_bytes": 0, "blocks_bytes": 5_000_000, "reserved_bytes": 0}
    line = timeline(made_up(history=history, after_history=sums))
    assert line is not None
    times, low, high = _columns(line.seconds, line.figures["blocks_bytes"])
    before = int(np.searchsorted(times, 50.0)) - 1  # what holds in the middle
    assert low[before] == high[before] == 2_500_000
    assert (low <= high).all()
    assert high[-1] == 5_000_000


def test_small_holders_are_one() -> None:
    history = [event(i, "allocate", 1000, address=i, op=f"op{i}") for i in range(1, 41)]
    sums = {"requested_bytes": 0, "blocks_bytes": 40_000, "reserved_bytes": 0}
    figure = paddle_mps.plot_memory_history(made_up(history=history, after_history=sums))
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert "33 other places" in texts
    assert "32.23 KiB (82%), 33 blocks" in texts


def test_frames_of_the_program_come_before_those_of_packages() -> None:
    frames = [["/x/site-packages/paddle/a.py", 1, "ones"]]
    frames += [[f"/me/{name}.py", 2, name] for name in "abcde"]
    words = _place_of(Holder("full", frames, 1, 1))
    assert words == "full, in a (a.py:2) < b (b.py:2) < c (c.py:2) < 2 more"
    assert _place_of(Holder("full", frames[:1], 1, 1)) == "full, in ones (a.py:1)"
    assert _place_of(Holder("mps", None, 1, 1)) == "outside of the plugin's ops"


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plot_memory_snapshot", "plot_memory_history"])
def test_what_is_no_snapshot_is_a_value_error(name: str, tmp_path: Path) -> None:
    plot = getattr(paddle_mps, name)
    path = tmp_path / "file"
    for text in ("no JSON", "[1]", "{}", json.dumps(made_up(version=2))):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"^\[{name}\] not a snapshot: expected .+, got .+"):
            plot(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=rf"^\[{name}\] not a snapshot"):
        plot(path)
    with pytest.raises(ValueError, match=rf"^\[{name}\] not a snapshot: .+ got NoneType\."):
        plot(None)
    with pytest.raises(FileNotFoundError):
        plot(tmp_path / "none")


def test_no_history_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^\[plot_memory_history\] the snapshot has no history: "):
        paddle_mps.plot_memory_history(made_up())


def test_an_ending_that_is_no_picture_is_a_value_error(tmp_path: Path) -> None:
    for name in ("picture.txt", "picture"):
        with pytest.raises(
            ValueError, match=r"^\[plot_memory_snapshot\] no such kind of picture: .+ png.+ got .+"
        ):
            paddle_mps.plot_memory_snapshot(made_up(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# -- the command ----------------------------------------------------------------------------------


def test_the_command_draws_both_without_paddle(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(json.dumps(HISTORY))
    picture = tmp_path / "picture.png"
    stub = tmp_path / "paddle"
    stub.mkdir()
    (stub / "__init__.py").write_text("raise SystemExit('Paddle was imported')")
    here = Path(paddle_mps.__file__).parents[1]
    process = run_python(
        "-m", "paddle_mps.memory_plot", str(snapshot), "-o", str(picture),
        PYTHONPATH=f"{tmp_path}:{here}",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    second = tmp_path / "picture-history.png"
    assert process.stdout == f"{picture}\n{second}\n"
    assert picture.exists()
    assert second.exists()


def test_the_command_names_the_picture_after_the_snapshot(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(json.dumps(made_up()))
    process = run_python("-m", "paddle_mps.memory_plot", str(snapshot))
    assert process.stdout == f"{tmp_path / 'snapshot.png'}\n"
    assert (tmp_path / "snapshot.png").exists()


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    process = run_python("-m", "paddle_mps.memory_plot", str(tmp_path / "none.json"))
    assert process.returncode == 1
    assert "No such file" in process.stderr
    assert "Traceback" not in process.stderr


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'matplotlib'\", name='matplotlib')"
    )
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(json.dumps(made_up()))
    here = Path(paddle_mps.__file__).parents[1]
    process = run_python(
        "-m", "paddle_mps.memory_plot", str(snapshot), PYTHONPATH=f"{tmp_path}:{here}"
    )
    assert process.returncode == 1
    assert process.stderr == (
        "[plot_memory_snapshot] matplotlib is missing: expected it to be installed, got no module "
        "named matplotlib. Install it: pip install 'paddle_mps[tools]'.\n"
    )
