"""Programs that must wait, once as they are and once with every piece of work late."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from child import run_program, run_python

pytestmark = pytest.mark.usefixtures("mps")


# -- programs that must wait ----------------------------------------------------------------------

PROGRAMS = {
    "a side stream between two ops": """
        side = paddle_mps.Stream()
        x = paddle.full([200, 200], 1.0)
        for i in range(20):
            y = x + float(i)
            with paddle_mps.stream(side):
                side.wait_stream(paddle_mps.default_stream())
                z = y * 2.0
            paddle_mps.current_stream().wait_stream(side)
            w = z + 1.0
            assert (w.numpy() == 2.0 * i + 3.0).all(), (i, w)
        """,
    "events back and forth": """
        a, b = paddle_mps.Stream(), paddle_mps.Stream()
        there, back = paddle_mps.Event(), paddle_mps.Event()
        with paddle_mps.stream(a):
            x = paddle.zeros([300, 100])
        for i in range(30):
            with paddle_mps.stream(a):
                back.wait(a)
                x = x + 1.0
                there.record()
            with paddle_mps.stream(b):
                b.wait_event(there)
                x = x * 1.0
                back.record(b)
        back.synchronize()
        assert (x.numpy() == 30.0).all()
        """,
    "Paddle's own guard, stream and event": """
        side = paddle.device.Stream("mps")
        event = paddle.device.Event()
        for i in range(20):
            x = paddle.full([200, 200], float(i)) + 1.0
            event.record(paddle.device.current_stream("mps"))
            with paddle.device.stream_guard(side):
                side.wait_event(event)
                y = x * 3.0
                done = side.record_event()
            paddle.device.current_stream("mps").wait_event(done)
            z = y + x
            assert (z.numpy() == 4.0 * (i + 1)).all()
        """,
    "both kinds mixed": """
        theirs, ours = paddle.device.Stream("mps"), paddle_mps.Stream()
        event = paddle_mps.Event()
        for i in range(20):
            with paddle.device.stream_guard(theirs):
                x = paddle.full([200, 200], float(i)) + 1.0
                event.record(theirs)
            with paddle_mps.stream(ours):
                ours.wait_event(event)
                y = x * 2.0
            theirs.wait_stream(ours)
            with paddle_mps.stream(theirs):
                z = y + 1.0
            paddle_mps.default_stream().wait_stream(theirs)
            assert (z.numpy() == 2.0 * i + 3.0).all()
        """,
    "memory that another stream still reads": """
        # The batch is made on one stream and used on another, and dropped at once.
        side = paddle_mps.Stream()
        numbers = np.ones([150, 200], "float32")
        total = paddle.zeros([150, 200])
        for i in range(40):
            with paddle_mps.stream(side):
                batch = paddle_mps.from_numpy(numbers * i, copy=True) * 2.0
            paddle_mps.current_stream().wait_stream(side)
            total = total + batch
            del batch
        assert (total.numpy() == 2.0 * sum(range(40))).all(), total
        """,
    "memory of the default stream, dropped by another": """
        side = paddle_mps.Stream()
        for i in range(30):
            x = paddle.full([200, 200], float(i))
            with paddle_mps.stream(side):
                side.wait_stream(paddle_mps.default_stream())
                y = x + 1.0
            del x
            z = paddle.full([200, 200], -1.0) * 2.0  # may lie where x was
            side.synchronize()
            assert (y.numpy() == i + 1.0).all(), (i, y)
        """,
    "numbers from the host on a side stream": """
        side = paddle_mps.Stream()
        for i in range(15):
            numbers = np.full([200, 200], float(i), "float32")
            busy = paddle.full([200, 200], 7.0) * 2.0
            del busy  # its memory may be what follows
            with paddle_mps.stream(side):
                a = paddle.to_tensor(numbers)
                b = paddle.to_tensor(numbers, place=paddle.CPUPlace()).to("mps")
                c = paddle_mps.from_numpy(numbers, copy=True)
                numbers[:] = -1
                d = a + b + c
            assert (d.numpy() == 3.0 * i).all(), (i, d)
        """,
    "gradients on a side stream": """
        side = paddle_mps.Stream()
        w = paddle.full([100, 100], 2.0)
        w.stop_gradient = False
        for i in range(10):
            with paddle_mps.stream(side):
                side.wait_stream(paddle_mps.default_stream())
                (w * float(i)).sum().backward()
                assert (w.grad.numpy() == float(i)).all()
                w.clear_grad()
        """,
    "a compiled function on a side stream": """
        def double(x):
            return paddle.matmul(x, x) + x
        static = paddle.jit.to_static(double, full_graph=True)
        side = paddle_mps.Stream()
        x = paddle.ones([150, 150])
        assert float(static(x).sum()) == 150.0 * 150 * 151
        for i in range(10):
            with paddle_mps.stream(side):
                side.wait_stream(paddle_mps.default_stream())
                y = static(x * float(i)) + 1.0
                side.synchronize()
                assert (y.numpy() == 150.0 * i * i + i + 1.0).all()
        """,
    "callbacks see what is done": """
        import threading
        seen = []
        done = threading.Event()
        stream = paddle_mps.current_stream()
        for i in range(10):
            x = paddle.full([200, 100], float(i)) + 1.0
            event = stream.record_event()
            stream.add_callback(lambda event=event, i=i: seen.append((i, event.query())))
        stream.add_callback(done.set)
        assert done.wait(60)
        assert seen == [(i, True) for i in range(10)], seen
        """,
    "threads with streams of their own, and one without": """
        import threading
        problems = []
        def work(seed):
            paddle.set_device("mps")
            side = paddle_mps.Stream() if seed % 2 == 0 else None
            numbers = np.full([150, 150], float(seed), "float32")
            for i in range(25):
                with paddle_mps.stream(side):
                    x = paddle.full([150, 150], float(seed))
                    y = paddle_mps.from_numpy(numbers, copy=True)
                    z = paddle.to_tensor(numbers)
                    for _ in range(4):
                        x = x * 2.0 + 1.0
                    w = x + y + z
                    del x, y, z
                    got = w.numpy()
                if not (got == 18.0 * seed + 15.0).all():
                    problems.append((seed, i, got.min(), got.max()))
        threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems
        """,
}


@pytest.mark.parametrize("delay_us", ["0", "1500"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_waits_for_what_it_needs(
    name: str, delay_us: str, backend: str, tmp_path: Path
) -> None:
    if delay_us != "0" and backend != "host":
        pytest.skip("only the host backend can be slowed down")
    if "to_static" in PROGRAMS[name]:  # reads its source
        script = tmp_path / "program.py"
        head = "import numpy as np\nimport paddle\nimport paddle_mps\npaddle.set_device('mps')\n"
        script.write_text(head + textwrap.dedent(PROGRAMS[name]))
        process = run_python(str(script), PADDLE_MPS_HOST_DELAY_US=delay_us)
    else:
        process = run_program(PROGRAMS[name], delay_us)
    assert process.returncode == 0, process.stderr[-2000:]


def test_a_slow_device_shows_a_missing_wait(backend: str) -> None:
    """The programs above could not fail otherwise."""
    if backend != "host":
        pytest.skip("only the host backend can be slowed down")
    program = """
        side = paddle_mps.Stream()
        wrong = 0
        for i in range(1, 30):
            x = paddle.zeros([200, 200])
            paddle_mps.synchronize()
            x.fill_(float(i))
            with paddle_mps.stream(side):
                y = x + 0.0
            wrong += not (y.numpy() == i).all()
        assert wrong > 0
        """
    process = run_program(program, "1500")
    assert process.returncode == 0, process.stderr[-2000:]
