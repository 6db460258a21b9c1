"""Events, the time between them, and callbacks."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import paddle
import paddle_mps
import pytest
from child import run_program, tell

pytestmark = pytest.mark.usefixtures("mps")


@pytest.fixture(autouse=True)
def device(mps: None) -> None:
    paddle.set_device("mps")
    yield
    assert paddle_mps.current_stream() == paddle_mps.default_stream()
    paddle.set_device("mps")


# -- events and time ------------------------------------------------------------------------------


def test_an_event_that_was_never_recorded_is_reached() -> None:
    for event in (paddle_mps.Event(), paddle_mps.Event("mps:0"), paddle_mps.Event(device=0)):
        assert event.query() is True
        event.synchronize()
        event.wait()
        assert event.device == paddle.CustomPlace("mps", 0)
    assert repr(paddle_mps.Event(enable_timing=True)) == (
        "<paddle_mps.Event device=mps:0 enable_timing=True>"
    )


def test_an_event_of_paddles_can_be_wrapped() -> None:
    theirs = paddle.device.Event()
    for given in (theirs, theirs.event_base, paddle.base.core.CustomDeviceEvent("mps", 0)):
        event = paddle_mps.Event(enable_timing=True, event_base=given)
        event.record(paddle.device.current_stream("mps"))
        event.synchronize()
        assert event.query()
        assert event.elapsed_time(given) == 0.0
    assert paddle_mps.Event(0, event_base=theirs).event_base is theirs.event_base


def test_record_event_makes_one() -> None:
    stream = paddle_mps.Stream()
    event = stream.record_event()
    assert isinstance(event, paddle_mps.Event)
    assert stream.record_event(event) is event
    event.synchronize()
    assert event.query()


def test_elapsed_time_is_that_of_the_work_between() -> None:
    start, middle, end = (paddle_mps.Event(enable_timing=True) for _ in range(3))
    x = paddle.ones([400, 400])
    paddle.matmul(x, x)
    paddle_mps.synchronize()
    begin = time.perf_counter()
    start.record()
    for _ in range(5):
        y = paddle.matmul(x, x)
    middle.record()
    y = y + 1.0
    end.record()
    end.synchronize()
    wall = (time.perf_counter() - begin) * 1e3
    products = start.elapsed_time(middle)
    assert isinstance(products, float)
    assert 0 <= products <= start.elapsed_time(end) <= wall
    assert start.elapsed_time(end) == pytest.approx(products + middle.elapsed_time(end))
    assert end.elapsed_time(start) == pytest.approx(-start.elapsed_time(end))


def test_elapsed_time_includes_what_a_slow_device_waits(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can be slowed down")
    told = tell(
        """
import time, paddle, paddle_mps
paddle.set_device("mps")
start, end = (paddle_mps.Event(enable_timing=True) for _ in range(2))
x = paddle.ones([10])
paddle_mps.synchronize()
begin = time.perf_counter()
start.record()
for _ in range(20):
    x = x + 1.0
end.record()
told["reached"] = end.query()
try:
    start.elapsed_time(end)
except ValueError as error:
    told["error"] = str(error)
end.synchronize()
told["wall"] = (time.perf_counter() - begin) * 1e3
told["elapsed"] = start.elapsed_time(end)
""",
        PADDLE_MPS_HOST_DELAY_US="20000",
    )
    assert told["reached"] is False
    assert told["error"].startswith("[elapsed_time] the end event is not reached yet: expected ")
    assert 20 < told["elapsed"] <= told["wall"]


def test_elapsed_time_wants_two_timed_events() -> None:
    timed, other, plain = paddle_mps.Event(enable_timing=True), paddle_mps.Event(0, True), None
    timed.record()
    timed.synchronize()
    with pytest.raises(ValueError, match=r"^\[elapsed_time\] the end event has no time: expected"):
        timed.elapsed_time(other)  # never recorded
    plain = paddle_mps.Event()
    plain.record()
    plain.synchronize()
    with pytest.raises(ValueError, match=r"^\[elapsed_time\] the start event has no time"):
        plain.elapsed_time(timed)
    with pytest.raises(TypeError, match=r"^\[elapsed_time\] not an event: expected"):
        timed.elapsed_time(3)  # type: ignore[arg-type]


# -- callbacks ------------------------------------------------------------------------------------


def test_callbacks_run_in_order_on_another_thread() -> None:
    seen: list[tuple[int, bool]] = []
    done = threading.Event()
    stream = paddle_mps.Stream()
    for i in range(20):
        stream.add_callback(
            lambda i=i: seen.append((i, threading.current_thread() is threading.main_thread()))
        )
    stream.add_callback(done.set)
    assert done.wait(60)
    assert seen == [(i, False) for i in range(20)]


def test_a_callback_may_wait_and_compute() -> None:
    results: list[float] = []
    done = threading.Event()
    stream = paddle_mps.Stream()

    def work() -> None:
        stream.synchronize()
        results.append(float(paddle.ones([4]).sum()))
        done.set()

    stream.add_callback(work)
    assert done.wait(60)
    assert results == [4.0]


def test_what_a_callback_raises_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    done = threading.Event()
    monkeypatch.setattr(sys, "unraisablehook", lambda what: reported.append(what.exc_type))
    stream = paddle_mps.Stream()
    stream.add_callback(lambda: 1 // 0)
    stream.add_callback(done.set)
    assert done.wait(60)
    assert reported == [ZeroDivisionError]


def test_a_callback_is_let_go() -> None:
    import weakref

    class Function:
        def __call__(self) -> None:
            done.set()

    done = threading.Event()
    function = Function()
    gone = weakref.ref(function)
    paddle_mps.current_stream().add_callback(function)
    del function
    assert done.wait(60)
    end = time.monotonic() + 30
    while gone() is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert gone() is None


def test_callbacks_that_are_left_run_before_the_process_ends(tmp_path: Path, backend: str) -> None:
    told = tmp_path / "told"
    delay = "20000" if backend == "host" else "0"
    process = run_program(
        f"""
        for i in range(5):
            x = paddle.ones([10]) + 1.0
        paddle_mps.current_stream().add_callback(
            lambda: open({str(told)!r}, "w").write("done")
        )
        """,
        delay,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert told.read_text() == "done"
