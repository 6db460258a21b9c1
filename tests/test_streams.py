"""Streams, events, callbacks and time, by paddle_mps and by Paddle's own functions.

Programs that depend on waiting run in a process of their own, once as they are and once with every
piece of work late (PADDLE_MPS_HOST_DELAY_US), so that a missing wait shows.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import paddle
import paddle_mps
import pytest
from child import SECONDS, clean_environment, run_program, tell

core = paddle.base.core

pytestmark = pytest.mark.usefixtures("mps")


@pytest.fixture(autouse=True)
def device(mps: None) -> None:
    paddle.set_device("mps")
    yield
    assert paddle_mps.current_stream() == paddle_mps.default_stream()
    paddle.set_device("mps")


def handle_of_paddles_current_stream() -> int:
    return paddle.device.current_stream("mps").stream_base.raw_stream


# -- streams --------------------------------------------------------------------------------------


def test_a_stream_knows_its_device() -> None:
    stream = paddle_mps.Stream("mps:0")
    assert stream.device == paddle.CustomPlace("mps", 0)
    assert isinstance(stream.stream_base, core.CustomDeviceStream)
    assert repr(stream).startswith("<paddle_mps.Stream device=mps:0 handle=0x")
    assert stream.query() is True
    stream.synchronize()


@pytest.mark.parametrize("priority", [-1, 0, 1, 2])
def test_priorities_are_accepted(priority: int) -> None:
    stream = paddle_mps.Stream(priority=priority)
    assert stream.priority == priority
    with paddle_mps.stream(stream):
        assert paddle.ones([3]).tolist() == [1.0] * 3


@pytest.mark.parametrize("priority", [3, -2, 0.5, "high", True, None])
def test_other_priorities_are_refused(priority: object) -> None:
    with pytest.raises(ValueError, match=r"^\[Stream\] no such priority: expected .+, got .+\. .+"):
        paddle_mps.Stream(priority=priority)  # type: ignore[arg-type]


def test_streams_are_told_apart() -> None:
    one, other = paddle_mps.Stream(), paddle_mps.Stream()
    again = paddle_mps.Stream(stream_base=one)
    assert one == again and hash(one) == hash(again)
    assert one != other
    assert one != "a stream"
    assert len({one, other, again}) == 2


def test_a_stream_of_paddles_can_be_wrapped() -> None:
    theirs = paddle.device.Stream("mps")
    for given in (theirs, theirs.stream_base):
        ours = paddle_mps.Stream(stream_base=given)
        assert ours == theirs
        assert ours.stream_base.raw_stream == theirs.stream_base.raw_stream
    assert paddle_mps.Stream("mps:0", stream_base=theirs) == theirs


def test_paddles_functions_take_our_streams_and_events() -> None:
    ours, event = paddle_mps.Stream(), paddle_mps.Event()
    theirs = paddle.device.Stream("mps")
    with paddle.device.stream_guard(ours):
        assert handle_of_paddles_current_stream() == ours.stream_base.raw_stream
        assert paddle_mps.current_stream() == ours
        x = paddle.full([3], 4.0)
    assert x.tolist() == [4.0] * 3
    theirs.wait_event(event)
    theirs.wait_stream(ours)
    theirs.record_event(event)
    paddle.device.Event().record(ours)
    before = paddle.device.set_stream(ours)
    try:
        assert paddle_mps.current_stream() == ours
    finally:
        paddle.device.set_stream(before)


def test_stream_makes_a_stream_current_and_undoes_it() -> None:
    default = paddle_mps.default_stream()
    one, other = paddle_mps.Stream(), paddle.device.Stream("mps")
    with paddle_mps.stream(one):
        assert paddle_mps.current_stream() == one
        assert handle_of_paddles_current_stream() == one.stream_base.raw_stream
        with paddle_mps.stream(other):
            assert paddle_mps.current_stream() == other
            with paddle_mps.stream(None):
                assert paddle_mps.current_stream() == other
            with paddle_mps.stream(default):
                assert paddle_mps.current_stream() == default
        assert paddle_mps.current_stream() == one
    assert paddle_mps.current_stream() == default


def test_a_block_that_raises_is_left_like_any_other() -> None:
    with pytest.raises(ZeroDivisionError), paddle_mps.stream(paddle_mps.Stream()):
        _ = 1 // 0
    assert paddle_mps.current_stream() == paddle_mps.default_stream()


def test_a_context_may_be_entered_again() -> None:
    stream = paddle_mps.Stream()
    context = paddle_mps.stream(stream)
    for _ in range(2):
        with context, context:
            assert paddle_mps.current_stream() == stream
        assert paddle_mps.current_stream() == paddle_mps.default_stream()


def test_setting_paddles_current_stream_inside_a_block_ends_with_it() -> None:
    one, other = paddle_mps.Stream(), paddle_mps.Stream()
    with paddle_mps.stream(one):
        paddle.device.set_stream(other)
        assert paddle_mps.current_stream() == other
    assert paddle_mps.current_stream() == paddle_mps.default_stream()


def test_each_thread_has_a_current_stream() -> None:
    mine = paddle_mps.Stream()
    seen: dict[str, bool] = {}
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        theirs = paddle_mps.Stream()
        seen["before"] = paddle_mps.current_stream() == paddle_mps.default_stream()
        with paddle_mps.stream(theirs):
            inside.set()
            leave.wait(60)
            seen["inside"] = paddle_mps.current_stream() == theirs
        seen["after"] = paddle_mps.current_stream() == paddle_mps.default_stream()

    thread = threading.Thread(target=work)
    with paddle_mps.stream(mine):
        thread.start()
        assert inside.wait(60)
        assert paddle_mps.current_stream() == mine
        leave.set()
        thread.join(60)
        assert paddle_mps.current_stream() == mine
    assert seen == {"before": True, "inside": True, "after": True}


def test_a_stream_may_be_used_by_several_threads() -> None:
    stream = paddle_mps.Stream()
    problems: list[str] = []

    def work(seed: int) -> None:
        try:
            for i in range(30):
                with paddle_mps.stream(stream):
                    x = paddle.full([40, 40], float(seed)) + float(i)
                if not (x.numpy() == seed + i).all():
                    problems.append(f"thread {seed}, round {i}")
                event = stream.record_event()
                event.synchronize()
        except Exception as error:  # a thread's exception would vanish
            problems.append(repr(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems


def test_memory_held_for_a_stream_is_given_back() -> None:
    side = paddle_mps.Stream()
    paddle_mps.synchronize()
    gc.collect()
    before = paddle_mps.memory_allocated()
    for _ in range(5):
        x = paddle.ones([1000])
        with paddle_mps.stream(side):
            side.wait_stream(paddle_mps.default_stream())
            y = x + 1.0
        paddle_mps.default_stream().wait_stream(side)
        z = y + x
        del x, y, z
    paddle_mps.synchronize()
    assert paddle_mps.memory_allocated() == before
    with paddle_mps.stream(side):
        x = paddle.ones([1000])
    y = x + 1.0
    del x, y
    paddle_mps.default_stream().synchronize()
    assert paddle_mps.memory_allocated() == before


# -- coming and going -----------------------------------------------------------------------------


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def settled_threads(at_most: int) -> int:
    end = time.monotonic() + 30
    while threads() > at_most and time.monotonic() < end:
        time.sleep(0.05)  # a joined thread may be listed a moment longer
    return threads()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts as Linux does")
@pytest.mark.parametrize("what", ["streams", "events", "timed events", "streams that worked"])
def test_ten_thousand_come_and_go(what: str) -> None:
    x = paddle.ones([10])

    def once() -> None:
        if what == "streams":
            paddle_mps.Stream()
        elif what == "events":
            paddle_mps.Event().record()
        elif what == "timed events":
            paddle_mps.Event(enable_timing=True).record()
        else:
            stream = paddle_mps.Stream()
            with paddle_mps.stream(stream):
                y = x + 1.0
            stream.record_event().synchronize()
            del y

    for _ in range(500):
        once()
    gc.collect()
    before, threads_before = resident_kb(), threads()
    for _ in range(10_000):
        once()
    gc.collect()
    assert resident_kb() - before < 8_000, f"{what} leave memory behind"
    assert settled_threads(threads_before) <= threads_before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts as Linux does")
def test_threads_with_streams_come_and_go() -> None:
    def work() -> None:
        with paddle_mps.stream(paddle_mps.Stream()):
            assert paddle.ones([3]).tolist() == [1.0] * 3

    def round_of_threads(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    round_of_threads(50)
    before, threads_before = resident_kb(), threads()
    round_of_threads(500)
    assert resident_kb() - before < 8_000
    assert settled_threads(threads_before) <= threads_before


ENDS = {
    "inside a block": """
        import sys
        with paddle_mps.stream(paddle_mps.Stream()):
            x = paddle.ones([100]) * 2.0
            print("done")
            sys.exit(0)
        """,
    "a daemon thread inside a block": """
        import threading, time
        def work():
            with paddle_mps.stream(paddle_mps.Stream()):
                paddle.ones([3])
                inside.set()
                time.sleep(600)
        inside = threading.Event()
        threading.Thread(target=work, daemon=True).start()
        inside.wait(60)
        print("done")
        """,
    "streams and events in a module": """
        import sys
        sys.kept = [paddle_mps.Stream() for _ in range(5)], [paddle_mps.Event() for _ in range(5)]
        with paddle_mps.stream(sys.kept[0][0]):
            sys.x = paddle.ones([100]) * 2.0
        sys.y = sys.x + 1.0
        print("done")
        """,
    "another current stream": """
        paddle.device.set_stream(paddle_mps.Stream())
        x = paddle.ones([100]) * 2.0
        print("done")
        """,
}


@pytest.mark.parametrize("name", ENDS)
def test_a_process_with_streams_ends_with_status_0(name: str) -> None:
    process = run_program(ENDS[name], "0")
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.strip().endswith("done")


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", [99, "mps:7", "cpu", -1])
@pytest.mark.parametrize("make", ["Stream", "Event", "current_stream", "default_stream"])
def test_a_device_that_does_not_exist_is_a_value_error(make: str, device: object) -> None:
    with pytest.raises(ValueError, match=rf"^\[{make}\] .*: expected .+, got .+\. .+\.$"):
        getattr(paddle_mps, make)(device)


@pytest.mark.parametrize("bad", [3, "stream", [], paddle.CPUPlace()], ids=repr)
def test_what_is_no_stream_or_event_is_a_type_error(bad: object) -> None:
    stream, event = paddle_mps.Stream(), paddle_mps.Event()
    calls = {
        "Stream": lambda: paddle_mps.Stream(stream_base=bad),
        "Event": lambda: paddle_mps.Event(event_base=bad),
        "stream": lambda: paddle_mps.stream(bad),
        "wait_stream": lambda: stream.wait_stream(bad),
        "wait_event": lambda: stream.wait_event(bad),
        "record": lambda: event.record(bad),
        "wait": lambda: event.wait(bad),
        "elapsed_time": lambda: event.elapsed_time(bad),
    }
    for name, call in calls.items():
        what = rf"^\[{name}\] not (a stream|an event): expected .+, got {type(bad).__name__}\. .+"
        with pytest.raises(TypeError, match=what):
            call()


def test_streams_and_events_are_not_taken_for_each_other() -> None:
    with pytest.raises(TypeError, match=r"^\[wait_event\] not an event"):
        paddle_mps.Stream().wait_event(paddle_mps.Stream())
    with pytest.raises(TypeError, match=r"^\[wait_stream\] not a stream"):
        paddle_mps.Stream().wait_stream(paddle_mps.Event())


@pytest.mark.parametrize("bad", [None, 3, "print"])
def test_a_callback_must_be_callable(bad: object) -> None:
    with pytest.raises(TypeError, match=r"^\[add_callback\] not a function: expected .+, got "):
        paddle_mps.Stream().add_callback(bad)  # type: ignore[arg-type]


def test_two_devices_do_not_mix(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can pretend to be two")
    told = tell(
        """
import paddle, paddle_mps
def error(call):
    try:
        call()
    except ValueError as error:
        return str(error)
streams = [paddle_mps.Stream(i) for i in range(2)]
events = [paddle_mps.Event(i, enable_timing=True) for i in range(2)]
told["record"] = error(lambda: events[0].record(streams[1]))
told["record_event"] = error(lambda: streams[0].record_event(events[1]))
for event in events:
    event.record()
    event.synchronize()
told["elapsed_time"] = error(lambda: events[0].elapsed_time(events[1]))
told["Stream"] = error(lambda: paddle_mps.Stream(0, stream_base=streams[1]))
told["Event"] = error(lambda: paddle_mps.Event(0, event_base=events[1]))
streams[0].wait_event(events[1])  # a stream may wait for another device
streams[0].wait_stream(streams[1])
events[0].wait(streams[1])
with paddle_mps.stream(streams[1]):
    told["inside"] = paddle.get_device(), str(paddle.ones([2]).place)
    told["current"] = [
        paddle_mps.current_stream(i) == s
        for i, s in enumerate([paddle_mps.default_stream(0), streams[1]])
    ]
    with paddle_mps.stream(streams[0]):
        told["both"] = [paddle_mps.current_stream(i) == streams[i] for i in range(2)]
        told["nested"] = paddle.get_device()
    told["one left"] = [
        paddle_mps.current_stream(i) == s
        for i, s in enumerate([paddle_mps.default_stream(0), streams[1]])
    ]
told["after"] = paddle.get_device()
paddle.set_device("cpu")
with paddle_mps.stream(streams[1]):
    told["from the cpu"] = paddle.get_device()
""",
        PADDLE_MPS_HOST_DEVICES="2",
    )
    for name in ("record", "elapsed_time", "Stream", "Event"):
        assert told[name].startswith(f"[{name}] two devices: expected "), told[name]
    assert told["record_event"].startswith("[record] two devices")
    assert told["inside"] == ["mps:1", "Place(mps:1)"]
    assert told["nested"] == "mps:0"
    assert told["current"] == told["both"] == told["one left"] == [True, True]
    assert told["after"] == "mps:0"
    assert told["from the cpu"] == "cpu"


# -- Paddle's own ---------------------------------------------------------------------------------


def test_paddles_streams_and_events_work() -> None:
    streams = [paddle.device.Stream(), paddle.device.Stream("mps"), paddle.device.Stream("mps:0")]
    streams += [paddle.device.Stream(paddle.CustomPlace("mps", 0), priority=-1)]
    for stream in streams:
        event = stream.record_event()
        stream.wait_event(event)
        stream.wait_stream(streams[0])
        stream.synchronize()
        event.synchronize()
        assert stream.query() and event.query()
    timed = paddle.device.Event(enable_timing=True)
    timed.record()
    paddle.device.synchronize()
    paddle.device.synchronize("mps:0")
    assert timed.query()


def test_what_paddle_lacks_is_there() -> None:
    """docs/streams_and_memory.md lists these; if Paddle repairs one, the list shrinks."""
    with pytest.raises(TypeError):
        paddle.device.Event("mps")
    assert paddle_mps.Event("mps").query()
    with pytest.raises(AttributeError):
        paddle.device.Event().elapsed_time(paddle.device.Event())
    assert not hasattr(paddle.device, "default_stream")


def test_nothing_is_offered_without_a_device() -> None:
    environment = clean_environment(PADDLE_MPS_DISABLE="1")
    for call in ("Stream()", "Event()", "current_stream()", "default_stream()"):
        code = f"import paddle_mps; paddle_mps.{call}"
        process = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert process.returncode == 1
        name = call.removesuffix("()")
        assert f"RuntimeError: [{name}] there is no mps device." in process.stderr


def test_numbers_survive_all_this() -> None:
    """Streams change where ops run, not what they give."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((64, 64)).astype("float32")
    x = paddle.to_tensor(a)
    expected = (paddle.matmul(x, x) + x).numpy()
    for _ in range(3):
        with paddle_mps.stream(paddle_mps.Stream()) as nothing:
            assert nothing is None
            got = (paddle.matmul(x, x) + x).numpy()
        np.testing.assert_array_equal(got, expected)
