"""Ctrl-C while the device is waited for, and ends of a process that nobody plans."""

from __future__ import annotations

import signal

import pytest
from child import run_python, tell

pytestmark = pytest.mark.usefixtures("mps")

HEAD = """
import os, signal, sys, threading, time
import numpy as np
import paddle
import paddle_mps
paddle.set_device("mps")
"""

# On the host every piece of work may be late by half a second or so: to wait for all lasts five.
SLOW = "600000"

WAITS = {
    "synchronize": "paddle_mps.synchronize()",
    "numpy": "y.numpy()",
    "an event": "event.synchronize()",
    "a stream": "side.synchronize()",
    "item": "float(y.sum())",
}


@pytest.mark.parametrize("wait", WAITS)
def test_an_interrupt_ends_a_wait_and_the_program_goes_on(wait: str, backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can be slowed down")
    told = tell(
        HEAD
        + f"""
x = paddle.ones([300, 300])
paddle_mps.synchronize()
side = paddle_mps.Stream()
side.wait_stream(paddle_mps.current_stream())
y = x
for _ in range(8):
    y = y * 1.0 + 1.0
event = paddle_mps.current_stream().record_event()
side.wait_event(event)
with paddle_mps.stream(side):
    z = y + 1.0
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    {WAITS[wait]}
    told["raised"] = False
except KeyboardInterrupt:
    told["raised"] = True
told["waited"] = time.monotonic() - begin
paddle_mps.synchronize()
told["after"] = [float(y[0, 0]), float(z[0, 0])]
""",
        PADDLE_MPS_HOST_DELAY_US=SLOW,
    )
    assert told["raised"]
    assert told["waited"] < 3.0
    assert told["after"] == [9.0, 10.0]


ENDS = {
    "sys.exit with work in flight": ("sys.exit(5)", 5),
    "os._exit with work in flight": ("os._exit(6)", 6),
    "an exception with work in flight": ("raise RuntimeError('the end')", 1),
    "SIGTERM with work in flight": (
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
        -signal.SIGTERM,
    ),
    "SIGKILL with work in flight": (
        "os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)",
        -signal.SIGKILL,
    ),
    "SystemExit in a thread": (
        "thread = threading.Thread(target=lambda: sys.exit(9)); thread.start(); thread.join()",
        0,
    ),
    "tensors, streams and events that live on": (
        "sys.kept = [x, y, paddle_mps.Stream(), paddle_mps.Event(), paddle_mps.as_numpy(x)]",
        0,
    ),
    "a callback that was not run yet": (
        "paddle_mps.current_stream().add_callback(lambda: None)",
        0,
    ),
    "an error that nobody waited for": (
        "paddle_mps._testing.inject('encode:1'); z = y + 1.0",
        None,
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_process_ends_with_its_own_status(end: str) -> None:
    last, status = ENDS[end]
    process = run_python(
        "-c",
        HEAD
        + f"""
import paddle_mps._testing
x = paddle.ones([400, 400])
y = x
for _ in range(30):
    y = y * 1.0 + 1.0
{last}
""",
        PADDLE_MPS_HOST_DELAY_US="20000",
        PADDLE_MPS_FAULT="none",
    )
    if status is None:  # the injected fault is raised at once or logged at the end: never a crash
        assert process.returncode in (0, 1), process.stderr[-2000:]
        assert "injected fault" in process.stderr
    else:
        assert process.returncode == status, process.stderr[-2000:]


def test_eight_threads_launch_at_once() -> None:
    told = tell(
        HEAD
        + """
problems = []
start = threading.Barrier(8)
def work(seed):
    try:
        paddle.set_device("mps")
        start.wait()
        for i in range(40):
            a = np.full([37, 41], float(seed), "float32")
            x = paddle.to_tensor(a)
            x.stop_gradient = False
            y = (paddle.matmul(x, x.t()) * 0.5 + x.sum()).mean()
            y.backward()
            want = 41 * seed * seed * 0.5 + 37 * 41 * seed
            if abs(float(y) - want) > 1e-3 * max(1.0, want):
                problems.append((seed, i, float(y), want))
            if x.grad.shape != [37, 41]:
                problems.append((seed, i, x.grad.shape))
    except BaseException as error:
        problems.append(repr(error))
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
told["problems"] = problems
paddle_mps.synchronize()
told["allocated"] = paddle_mps.memory_allocated()
"""
    )
    assert told["problems"] == []
    assert told["allocated"] == 0


def test_the_package_can_be_imported_again() -> None:
    told = tell(
        HEAD
        + """
import importlib
x = paddle.ones([5]) * 2.0
before = paddle_mps.memory_allocated()
again = importlib.reload(paddle_mps)
told["reloaded"] = again.memory_allocated() == before
for name in [name for name in sys.modules if name.split(".")[0] == "paddle_mps"]:
    del sys.modules[name]
import paddle_mps as fresh
told["fresh"] = fresh.is_available() and fresh.memory_allocated() == before
side = fresh.Stream()
side.wait_stream(fresh.current_stream())
with fresh.stream(side):
    y = x + 1.0
side.synchronize()
told["y"] = y.tolist()
told["array"] = fresh.as_numpy(x).tolist()
"""
    )
    assert told == {"reloaded": True, "fresh": True, "y": [3.0] * 5, "array": [2.0] * 5}
