"""A device that fails: every program gets one clear exception, goes on, and has lost nothing.

Faults are injected at the device's own interface (plugin/core/fault.h, paddle_mps._testing): a
program is run once for each call that it makes, with that call failing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from child import Session, tell
from programs import PRELUDE, PROGRAMS, filled

pytestmark = pytest.mark.usefixtures("mps")

FAILED = r"\[\w+\] the device failed: expected it to do its work, got an injected fault"

# Every call that a program makes of this kind fails once. Nobody may have waited for work that
# failed at the end of a program; then the next wait says so.
SWEEP = (
    PRELUDE
    + """
{setup}
def work():
{work}
expected = work()
work()
if {clears}:
    paddle_mps.clear_graph_cache()
    work()
before, graphs = state(), paddle_mps.graph_cache_info().entries
told["errors"], told["problems"] = [], []
for number in range(1, 1 + {most}):
    if {clears}:
        paddle_mps.clear_graph_cache()
    inject(f"{kind}:{{number}}")
    first = calls("{kind}")
    error = error_of(work)
    late = error_of(paddle_mps.synchronize)
    fired = calls("{kind}") - first >= number
    inject("none")
    if (error or late) and not fired:
        told["problems"].append(f"{{number}}: error without a fault: {{error or late}}")
    if fired:
        told["errors"].append(error or late)
    again = work()
    if again != expected:
        told["problems"].append(f"{{number}}: then wrong: {{again}}")
    if {checks_memory} and state() != before:
        told["problems"].append(f"{{number}}: memory before {{before}}, after {{state()}}")
    if paddle_mps.graph_cache_info().entries != graphs:
        told["problems"].append(f"{{number}}: other graphs are cached than before")
    if not fired:
        break
"""
)

# kind -> what a program must do at all for the kind to be asked
SWEPT = {
    "encode": tuple(PROGRAMS),
    "compile": tuple(PROGRAMS),
    "synchronize": tuple(PROGRAMS),
    "upload": ("copies to the device",),
    "copy": ("copies on the device",),
    "record": ("static program", "data loader", "data loader with workers", "streams and events"),
    "wait": ("static program", "data loader", "data loader with workers", "streams and events"),
}
# What Paddle 3.3.1 never frees, whatever the device: the dense result of an op in place of a view,
# if copying it there throws; and a data loader with workers that was not read to its end.
KEEPS_MEMORY = (
    ("compile", "views and in place"),
    *((kind, "data loader with workers") for kind in SWEPT),
)


@pytest.fixture(scope="module")
def session(mps: None) -> Iterator[Session]:
    session = Session(PADDLE_MPS_FAULT="none")
    yield session
    assert session.close() == 0


@pytest.fixture(scope="module")
def session_with_workers(mps: None) -> Iterator[Session]:
    """One of its own, because Paddle frees the loaders that it kept when nobody expects it."""
    session = Session(PADDLE_MPS_FAULT="none")
    yield session
    assert session.close() == 0


@pytest.mark.parametrize(
    ("kind", "program"), [(kind, program) for kind, names in SWEPT.items() for program in names]
)
def test_every_call_may_fail(
    kind: str, program: str, session: Session, session_with_workers: Session
) -> None:
    if program == "data loader with workers":
        session = session_with_workers
    checks_memory = (kind, program) not in KEEPS_MEMORY
    # Loaders that Paddle keeps keep their streams, and who waits for a device waits for them all.
    most = 12 if program == "data loader with workers" else 1000
    clears = kind == "compile"
    told = session.run(
        filled(SWEEP, program, kind=kind, clears=clears, checks_memory=checks_memory, most=most)
    )
    assert told["errors"], f"{program} makes no such call"
    assert not told["problems"], told["problems"]
    for error in told["errors"]:
        assert error is not None, "a fault that nobody heard of"
        name, text = error
        assert name == "OSError", text
        assert re.search(rf"{FAILED} \(call \d+ of {kind}\)", text), text


# -- other ways to fail ---------------------------------------------------------------------------


def test_an_allocation_that_fails_once_is_tried_again(session: Session) -> None:
    told = session.run(
        PRELUDE
        + """
paddle_mps.empty_cache()
inject("heap:1")
first = calls("heap")
told["sum"] = float(paddle.ones([1 << 24]).sum())  # 64 MiB: a heap of its own
told["heaps"] = calls("heap") - first
inject("none")
"""
    )
    assert told["sum"] == 1 << 24
    assert told["heaps"] >= 2


def test_no_memory_is_a_memory_error_and_loses_nothing(session: Session) -> None:
    told = session.run(
        PRELUDE
        + """
kept = paddle.full([1000], 3.0)
before = state()
inject("heap:1+")
for name, function in {
    "full": lambda: paddle.ones([1 << 24]),
    "copy": lambda: paddle.to_tensor(np.ones(1 << 24, "float32")),
    "to": lambda: paddle.ones([1 << 24], device="cpu").to("mps"),
}.items():
    told[name] = error_of(function)
inject("none")
told["kept"] = float(kept.sum())
told["same"] = state() == before
told["sum"] = float(paddle.ones([1 << 24]).sum())
"""
    )
    for name in ("full", "copy", "to"):
        kind, text = told[name]
        assert kind == "MemoryError", (name, text)
        assert "64.00 MiB" in text, text  # what was asked for
    assert told["kept"] == 3000.0
    assert told["same"] is True
    assert told["sum"] == 1 << 24


def test_two_devices_fail_each_for_itself() -> None:
    told = tell(
        PRELUDE
        + """
one, two = (paddle.full([4], float(i), device=f"mps:{i}") for i in (0, 1))
inject("encode:1", device=1)
three = two + 1.0
told["other"] = (one + 1.0).tolist()
told["copy"] = error_of(lambda: three._copy_to(MPS, True))
told["then"] = (two + 1.0)._copy_to(MPS, True).tolist()
""",
        PADDLE_MPS_FAULT="none",
        PADDLE_MPS_HOST_DEVICES="2",
    )
    assert told["other"] == [1.0] * 4
    assert told["copy"][0] == "OSError"
    assert re.search(FAILED, told["copy"][1])
    assert told["then"] == [2.0] * 4


def test_a_dropped_event_does_not_end_the_process(session: Session) -> None:
    """Paddle waits for an event in its destructor, where an error would be fatal."""
    told = session.run(
        PRELUDE
        + """
inject("encode:1")
event = paddle.base.core.CustomDeviceEvent("mps", 0)
y = paddle.ones([3]) + 1.0
event.record(paddle.device.current_stream("mps").stream_base)
event.synchronize()
del event
gc.collect()
told["then"] = error_of(y.numpy)
inject("none")
"""
    )
    kind, text = told["then"]
    assert kind == "OSError" and re.search(FAILED, text)


def test_what_failed_on_another_stream_does_not_pass_unheard(session: Session) -> None:
    told = session.run(
        PRELUDE
        + """
side = paddle.device.Stream("mps")
x = paddle.ones([3])
inject("encode:1")
with paddle.device.stream_guard(side):
    y = x + 1.0
inject("none")
told["read"] = error_of(y.numpy)
told["then"] = (x + 1.0).tolist()
"""
    )
    assert told["read"][0] == "OSError" and re.search(FAILED, told["read"][1])
    assert told["then"] == [2.0] * 3


# -- the private module ---------------------------------------------------------------------------


def test_faults_can_be_ordered_by_the_environment() -> None:
    told = tell(
        PRELUDE + "told['error'] = error_of((paddle.ones([3]) + 1).numpy)",
        PADDLE_MPS_FAULT="encode:2",
    )
    assert told["error"][0] == "OSError"
    assert "[scale] the device failed" in told["error"][1]


def test_a_fault_that_does_not_exist_is_the_reason_for_no_device() -> None:
    told = tell(
        "import paddle_mps\ntold['reason'] = paddle_mps.unavailable_reason()",
        PADDLE_MPS_FAULT="meteor:1",
    )
    assert "no such fault: expected one of heap, wrap, compile" in told["reason"]


@pytest.mark.parametrize("words", ["meteor:1", "encode:0", "encode:x", "encode:1-2"])
def test_bad_words_are_refused(words: str, session: Session) -> None:
    told = session.run(PRELUDE + f"told['error'] = error_of(lambda: inject({words!r}))")
    kind, text = told["error"]
    assert kind == "ValueError"
    assert re.match(r"\[inject_faults\] .*: expected .+, got .+\. .+", text)


def test_without_the_variable_nothing_can_be_injected() -> None:
    told = tell(PRELUDE + "told['error'] = error_of(lambda: inject('encode:1'))")
    assert told["error"][0] == "NotImplementedError"
    assert "PADDLE_MPS_FAULT=none" in told["error"][1]
