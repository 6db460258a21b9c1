"""Recording: what happened, when, where in the program; on threads, at exit, after fork."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import paddle
import paddle_mps
import pytest
from child import run_python, tell
from paddle_mps import MemoryEvent, StackFrame, _library

pytestmark = pytest.mark.usefixtures("on_mps")


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    paddle.zeros([1])  # what the first allocation brings with it is not the subject here
    yield
    paddle_mps.record_memory_history(False)


def actions(events: list[MemoryEvent]) -> list[tuple[str, str]]:
    return [(event.action, event.op) for event in events]


# -- what is recorded -----------------------------------------------------------------------------


def test_events_say_what_happened() -> None:
    x = paddle.full([1000], 2.0)
    before = paddle_mps.memory_stats()
    paddle_mps.record_memory_history()
    y = x + 1.0
    z = paddle.matmul(x, y)
    del y
    paddle_mps.record_memory_history(False)
    del z
    events = paddle_mps.memory_history()
    assert actions(events) == [("allocate", "scale"), ("allocate", "matmul"), ("free", "free")]
    first, second, last = events
    assert (first.bytes, first.block_bytes) == (4000, 4096)
    assert (second.bytes, second.block_bytes) == (4, 256)
    assert (last.address, last.bytes, last.block_bytes) == (first.address, 4000, 4096)
    assert [event.number for event in events] == [0, 1, 2]
    assert first.time <= second.time <= last.time
    assert {event.stream for event in events} == {0}
    assert before["allocation_count"] + 2 == paddle_mps.memory_stats()["allocation_count"]


def test_heaps_and_failures_are_events() -> None:
    told = tell(
        """
import paddle, paddle_mps
paddle.set_device("mps")
paddle.zeros([1])
paddle_mps.record_memory_history(stacks=None)
x = paddle.ones([4 << 20], dtype="float32")
try:
    paddle.ones([64 << 20], dtype="float32")
except MemoryError:
    pass
del x
paddle_mps.empty_cache()
told["events"] = [[e.action, e.op, e.bytes] for e in paddle_mps.memory_history()]
""",
        PADDLE_MPS_MEMORY_LIMIT="64M",
    )
    large = 4 << 22
    assert ["reserve", "full", large] in told["events"]
    assert ["allocate", "full", large] in told["events"]
    assert ["out of memory", "full", 64 << 22] in told["events"]
    assert ["free", "free", large] in told["events"]
    assert ["release", "empty_cache", large] in told["events"]


def test_stacks_lead_to_the_line() -> None:
    def inner(x: paddle.Tensor) -> paddle.Tensor:
        return x * 2.0

    x = paddle.ones([10])
    paddle_mps.record_memory_history()
    y = inner(x)
    paddle_mps.record_memory_history(False)
    (event,) = paddle_mps.memory_history()
    assert event.stack is not None
    own = [frame for frame in event.stack if frame.file == __file__]
    assert all(isinstance(frame, StackFrame) for frame in event.stack)
    assert own[0].line == inner.__code__.co_firstlineno + 1
    assert own[0].function.endswith("inner")
    assert own[1].line == inner.__code__.co_firstlineno + 5
    assert own[1].function.endswith("test_stacks_lead_to_the_line")
    assert event.stack.index(own[0]) < event.stack.index(own[1])  # the innermost first
    del y


def test_equal_stacks_are_one_and_others_are_not() -> None:
    x = paddle.ones([10])
    extension = _library.require("test")
    paddle_mps.record_memory_history()
    for _ in range(50):
        x = x + 1.0
    nodes = extension.frames_in_tree()
    for _ in range(50):
        x = x + 1.0
    stacks = {row[-1] for row in extension.memory_history(0) if row[2] == 0}
    events = [e for e in paddle_mps.memory_history() if e.action == "allocate"]
    assert len(events) == 100
    assert len(stacks) == 2
    assert extension.frames_in_tree() <= nodes + 3  # the second line, and its frames in Paddle
    assert len({id(event.stack) for event in events}) == 2


def test_without_stacks_there_are_none() -> None:
    paddle_mps.record_memory_history(stacks=None)
    paddle.ones([10])
    events = paddle_mps.memory_history()
    assert events
    assert all(event.stack is None for event in events)


def test_the_last_events_are_kept() -> None:
    paddle_mps.record_memory_history(max_entries=10, stacks=None)
    tensors = [paddle.full([10], 0.0) for _ in range(25)]
    paddle_mps.record_memory_history(False)
    assert [event.number for event in paddle_mps.memory_history()] == list(range(15, 25))
    del tensors


def test_beginning_again_forgets_and_ending_keeps() -> None:
    paddle_mps.record_memory_history()
    x = paddle.ones([10])
    paddle_mps.record_memory_history(False)
    kept = paddle_mps.memory_history()
    y = paddle.ones([20])
    assert paddle_mps.memory_history() == kept
    assert kept[-1].stack is not None
    paddle_mps.record_memory_history()
    assert paddle_mps.memory_history() == []
    assert _library.require("test").frames_in_tree() == 0
    paddle_mps.record_memory_history(False)
    paddle_mps.record_memory_history(False)  # ending what has ended is fine
    del x, y


def test_nothing_recorded_is_no_events() -> None:
    told = tell("""
import paddle, paddle_mps
paddle.set_device("mps")
paddle.ones([3])
paddle_mps.record_memory_history(False)
told["events"] = paddle_mps.memory_history()
""")
    assert told["events"] == []


def test_devices_record_apart(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can pretend to be two")
    told = tell(
        """
import paddle, paddle_mps
for i in (0, 1):
    paddle.set_device(f"mps:{i}")
    paddle.zeros([1])
paddle_mps.record_memory_history(device=0)
paddle_mps.record_memory_history(device=1)
x = [paddle.full([10 + i], 1.0, device=f"mps:{i}") for i in (0, 1)]
paddle_mps.record_memory_history(False, device=1)
y = [paddle.full([20 + i], 1.0, device=f"mps:{i}") for i in (0, 1)]
def bytes_of(device):
    return [e.bytes for e in paddle_mps.memory_history(device) if e.action == "allocate"]
told["bytes"] = [bytes_of(i) for i in (0, 1)]
paddle_mps.record_memory_history(device=1)  # must not take device 0's stacks away
told["stacks"] = [e.stack is not None for e in paddle_mps.memory_history(0)]
""",
        PADDLE_MPS_HOST_DEVICES="2",
    )
    assert told["bytes"] == [[40, 80], [44]]
    assert all(told["stacks"])


def test_an_event_during_an_exception_leaves_it_alone() -> None:
    paddle_mps.record_memory_history()

    def fail() -> None:
        x = paddle.ones([10])
        raise KeyError(str(x.shape))

    with pytest.raises(KeyError, match=r"\[10\]"):
        fail()
    assert any(event.action == "free" for event in paddle_mps.memory_history())


def test_deep_recursion_keeps_the_innermost_frames() -> None:
    def down(depth: int) -> paddle.Tensor:
        return paddle.full([7], 1.0) if depth == 0 else down(depth - 1)

    paddle_mps.record_memory_history()
    x = down(500)
    stack = paddle_mps.memory_history()[0].stack
    assert stack is not None
    assert len(stack) == 256
    assert stack[-1].function.endswith("down")
    del x


def test_the_tree_of_stacks_is_bounded() -> None:
    told = tell("""
import paddle, paddle_mps
from paddle_mps import _C
paddle.set_device("mps")
def down(depth):
    return paddle.full([7], 1.0) if depth == 0 else down(depth - 1)
paddle_mps.record_memory_history(max_entries=2000)
for number in range(1300):  # each with about 210 frames that no other one shares
    names = {"down": down}
    exec(f"def unique{number}(): return down(205)", names)
    x = names[f"unique{number}"]()
told["nodes"] = _C.frames_in_tree()
events = [e for e in paddle_mps.memory_history() if e.action == "allocate"]
told["first"], told["last"] = [len(e.stack) for e in (events[0], events[-1])]
told["outermost"] = events[-1].stack[-1].function
paddle_mps.record_memory_history(max_entries=10)
told["after"] = _C.frames_in_tree()
""")
    assert told["nodes"] == 1 << 18
    assert told["first"] > 205
    assert told["last"] == 1  # what was known of it
    assert told["outermost"] == "<module>"
    assert told["after"] == 0


def test_code_is_let_go_when_recording_begins_again() -> None:
    names = {"paddle": paddle}
    exec("def gone(): return paddle.full([7], 1.0)", names)
    function = names.pop("gone")
    code = weakref.ref(function.__code__)
    paddle_mps.record_memory_history()
    function()
    del function, names
    gc.collect()
    assert code() is not None  # its name may still be asked for
    stacks = [event.stack or () for event in paddle_mps.memory_history()]
    assert any(frame.function == "gone" for stack in stacks for frame in stack)
    paddle_mps.record_memory_history()
    gc.collect()
    assert code() is None


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"enabled": "all"},
            TypeError,
            r"bad value of enabled: expected True or False, got str\. Pass False to end "
            r"recording\.",
        ),
        (
            {"max_entries": 0},
            ValueError,
            r"bad number of events: expected max_entries from 1 to 100,000,000, got 0\. Leave it "
            r"out to keep 100,000\.",
        ),
        (
            {"max_entries": 10**12},
            ValueError,
            r"bad number of events: expected max_entries from 1 to 100,000,000, got "
            r"1,000,000,000,000\. Leave it out to keep 100,000\.",
        ),
        (
            {"max_entries": 1e5},
            TypeError,
            r"bad number of events: expected an int, got float\. Leave max_entries out to keep "
            r"100,000\.",
        ),
        (
            {"stacks": "all"},
            ValueError,
            r"no such stacks: expected 'python' or None, got 'all'\. Pass None to record without "
            r"them\.",
        ),
        ({"device": 99}, ValueError, r"no such device: .+"),
        ({"device": "cpu"}, ValueError, r"not an mps device: .+"),
    ],
)
def test_bad_input_is_refused_and_recording_goes_on(
    arguments: dict[str, object], error: type[Exception], text: str
) -> None:
    paddle_mps.record_memory_history(stacks=None)
    x = paddle.ones([10])
    before = paddle_mps.memory_history()
    with pytest.raises(error, match=rf"^\[record_memory_history\] {text}$"):
        paddle_mps.record_memory_history(**arguments)  # type: ignore[arg-type]
    assert paddle_mps.memory_history() == before
    y = paddle.ones([10])
    assert len(paddle_mps.memory_history()) > len(before)
    del x, y


# -- threads, fork, exit --------------------------------------------------------------------------


def test_every_thread_has_its_own_stack() -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            paddle.set_device("mps")
            for _ in range(40):
                paddle.full([number], 1.0)
        except BaseException as error:  # noqa: B036  it is raised below
            errors.append(error)

    paddle_mps.record_memory_history()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(1000, 1004)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert errors == []
    events = [e for e in paddle_mps.memory_history() if e.action == "allocate"]
    assert len(events) == 160
    for event in events:
        assert event.stack is not None
        functions = [frame.function for frame in event.stack]
        assert any(function.endswith("work") for function in functions)
        assert not any("test_every_thread" in f and "<locals>" not in f for f in functions)


def test_threads_while_recording_begins_and_ends() -> None:
    told = tell("""
import threading
import paddle, paddle_mps
paddle.set_device("mps")
stop, errors = threading.Event(), []
def work():
    try:
        paddle.set_device("mps")
        while not stop.is_set():
            float(paddle.full([100], 3.0)[0])
    except BaseException as error:
        errors.append(repr(error))
threads = [threading.Thread(target=work) for _ in range(3)]
[t.start() for t in threads]
for i in range(60):
    paddle_mps.record_memory_history(max_entries=50 + i, stacks=("python", None)[i % 2])
    for event in paddle_mps.memory_history():
        assert event.stack is None or event.stack[-1].function
    paddle_mps.memory_snapshot()
    if i % 3 == 0:
        paddle_mps.record_memory_history(False)
stop.set()
[t.join() for t in threads]
told["errors"] = errors
""")
    assert told["errors"] == []


def test_a_thread_that_python_does_not_know_has_no_stack() -> None:
    """Paddle's loader copies batches to the device on a thread of its own."""
    told = tell("""
import threading
import numpy as np
import paddle, paddle_mps
paddle.set_device("mps")
paddle.zeros([1])
class Data(paddle.io.Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, i):
        return np.full([5000], i, "float32")
paddle_mps.record_memory_history()
seen = [float(x[0, 0]) for x in paddle.io.DataLoader(Data(), batch_size=3)]
copies = [e for e in paddle_mps.memory_history()
          if e.action == "allocate" and e.bytes == 3 * 5000 * 4]
told["seen"], told["copies"] = seen, len(copies)
told["without"] = sum(e.stack is None for e in copies)
""")
    assert told["seen"] == [0.0, 3.0, 6.0, 9.0]
    assert told["copies"] >= 4
    assert told["without"] == told["copies"]


def test_with_paddles_cache_nobody_waits_for_python() -> None:
    """Paddle's cache holds its own lock when it asks for memory."""
    told = tell(
        """
import threading
import paddle, paddle_mps
paddle.set_device("mps")
paddle_mps.record_memory_history()
def work():
    paddle.set_device("mps")
    kept = [paddle.full([100_000 + i], 1.0) for i in range(200)]
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
events = paddle_mps.memory_history()
told["events"], told["ops"] = len(events), sorted({e.op for e in events})
""",
        PADDLE_MPS_ALLOCATOR="paddle",
    )
    assert told["events"] > 0
    assert "allocate" in told["ops"]


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing", "DataLoader"])
def test_fork_while_recording(how: str) -> None:
    parts = {
        "os.fork": """
pid = os.fork()
if pid == 0:
    del kept[:]  # frees what it inherited
    os._exit(17)
told["status"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
""",
        "multiprocessing": """
process = multiprocessing.get_context("fork").Process(target=lambda: (kept.clear(), os._exit(17)))
process.start()
process.join(60)
told["status"] = process.exitcode
""",
        "DataLoader": """
class Data(paddle.io.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return np.full([10], i, "float32")
loader = paddle.io.DataLoader(Data(), batch_size=2, num_workers=2)
told["status"] = 17 if [float(x[0, 0]) for x in loader] == [0.0, 2.0, 4.0, 6.0] else 0
""",
    }
    told = tell(
        f"""
import multiprocessing, os, threading
import numpy as np
import paddle, paddle_mps
paddle.set_device("mps")
stop = threading.Event()
def work():
    paddle.set_device("mps")
    while not stop.is_set():
        paddle.full([100], 3.0)
paddle_mps.record_memory_history()
kept = [paddle.full([100 + i], 1.0) for i in range(50)]
thread = threading.Thread(target=work)
thread.start()
{parts[how]}
stop.set()
thread.join()
told["blocks"] = sum(e.stack is not None for e in paddle_mps.memory_history())
told["sum"] = float(sum(x[0] for x in kept))
"""
    )
    assert told["status"] == 17
    assert told["blocks"] > 50
    assert told["sum"] == 50.0


def test_a_forked_child_records_nothing() -> None:
    told = tell("""
import json, os
import paddle, paddle_mps
paddle.set_device("mps")
kept = [paddle.full([100], 1.0) for i in range(3)]
paddle_mps.record_memory_history()
read, write = os.pipe()
pid = os.fork()
if pid == 0:
    del kept[:]
    errors = {}
    for name in ("record_memory_history", "memory_history", "memory_snapshot", "memory_summary"):
        try:
            getattr(paddle_mps, name)()
        except NotImplementedError as error:
            errors[name] = str(error)
    os.write(write, json.dumps(errors).encode())
    os._exit(0)
os.waitpid(pid, 0)
told["child"] = json.loads(os.read(read, 10_000))
told["parent"] = len(paddle_mps.memory_history())
""")
    assert len(told["child"]) == 4
    for error in told["child"].values():
        assert "the device was used in a forked process" in error
    assert told["parent"] == 0


ENDS = {
    "recording": "",
    "a thread that goes on": """
def work():
    paddle.set_device("mps")
    threading.main_thread().join()
    for _ in range(100):
        paddle.full([100], 3.0)
threading.Thread(target=work).start()
""",
    "tensors in a module": "sys.kept = [paddle.ones([i + 1]) for i in range(50)]",
    "tensors in a cycle": """
class Node: pass
for i in range(20):
    a, b = Node(), Node()
    a.other, b.other, a.x, b.x = b, a, paddle.ones([10]), paddle.ones([20])
""",
    "atexit": "atexit.register(lambda: print(len(paddle_mps.memory_history()) > 0, end=' '))",
    "recording begun by atexit": """
atexit.register(lambda: (paddle_mps.record_memory_history(), paddle.ones([3])))
""",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_process_ends_well_while_recording(name: str) -> None:
    process = run_python(
        "-c",
        "import atexit, sys, threading, time\nimport paddle, paddle_mps\npaddle.set_device('mps')\n"
        "paddle_mps.record_memory_history()\nx = paddle.ones([10]) + 1.0\n"
        f"{ENDS[name]}\nprint('done', flush=True)\n",
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.startswith("done")
    assert name != "atexit" or "True" in process.stdout
