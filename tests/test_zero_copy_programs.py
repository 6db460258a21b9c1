"""Shared memory on several threads and devices, and to the end of the process."""

from __future__ import annotations

import mmap
import textwrap

import pytest
from child import run_python, tell

pytestmark = pytest.mark.usefixtures("mps")


# -- waiting, ending, several devices -------------------------------------------------------------

PROGRAMS = {
    "as_numpy waits": """
        for i in range(20):
            x = paddle.full([300, 100], float(i)) * 2.0 + 1.0
            assert (paddle_mps.as_numpy(x) == 2.0 * i + 1.0).all()
            x = x * 1.0
            assert (np.from_dlpack(paddle_mps.to_dlpack(x)) == 2.0 * i + 1.0).all()
        """,
    "the last tensor waits before the array goes": """
        for i in range(20):
            a = paddle_mps.empty_numpy([300, 100])
            a[:] = i
            x = paddle_mps.from_numpy(a)
            y = x * 2.0
            x.fill_(-1.0)
            del x
            assert (a == -1.0).all()
            a[:] = 5
            del a
            assert (y.numpy() == 2.0 * i).all()
        """,
    "pages that are gone are not written": """
        import gc
        for i in range(20):
            x = paddle_mps.from_numpy(paddle_mps.empty_numpy([300, 100]))
            x.fill_(float(i))
            del x
            gc.collect()
        assert paddle_mps.memory_stats()["external_count"] == 0
        """,
    "memory of an array, used by another stream": """
        side = paddle_mps.Stream()
        for i in range(10):
            a = paddle_mps.empty_numpy([300, 100])
            a[:] = i
            x = paddle_mps.from_numpy(a)
            with paddle_mps.stream(side):
                side.wait_stream(paddle_mps.default_stream())
                y = x + 1.0
            del x
            a[:] = -5
            side.synchronize()
            assert (y.numpy() == i + 1.0).all()
        """,
    "threads share arrays": """
        import threading
        problems = []
        def work(seed):
            paddle.set_device("mps")
            a = paddle_mps.empty_numpy([100, 100])
            for i in range(20):
                a[:] = seed
                x = paddle_mps.from_numpy(a)
                y = paddle_mps.as_numpy(x * 2.0 + 1.0)
                del x
                if not (y == 2.0 * seed + 1.0).all():
                    problems.append((seed, i))
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems
        """,
    "ends with everything alive": """
        import sys
        sys.kept = [paddle_mps.empty_numpy(5000) for _ in range(4)]
        sys.tensors = [paddle_mps.from_numpy(a) for a in sys.kept]
        sys.views = [paddle_mps.as_numpy(t + 1.0) for t in sys.tensors]
        sys.offers = [paddle_mps.to_dlpack(t) for t in sys.tensors]
        for t in sys.tensors:
            t.fill_(2.0)
        """,
}


@pytest.mark.parametrize("delay_us", ["0", "1500"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_shares_memory(name: str, delay_us: str, backend: str) -> None:
    if delay_us != "0" and backend != "host":
        pytest.skip("only the host backend can be slowed down")
    head = "import numpy as np\nimport paddle\nimport paddle_mps\npaddle.set_device('mps')\n"
    code = head + textwrap.dedent(PROGRAMS[name])
    process = run_python("-c", code, PADDLE_MPS_HOST_DELAY_US=delay_us)
    assert process.returncode == 0, process.stderr[-2000:]


def test_two_devices_share_one_array(backend: str) -> None:
    if backend != "host":
        pytest.skip("only the host backend can pretend to be two")
    told = tell(
        """
import gc, numpy as np, paddle, paddle_mps
a = paddle_mps.empty_numpy(5000)
a[:] = 3
x, y = (paddle_mps.from_numpy(a, i) for i in range(2))
told["places"] = [str(t.place) for t in (x, y)]
paddle_mps.set_device(1)
y.fill_(4.0)
paddle_mps.synchronize(1)
told["seen"] = float(x[0]), float(a[1])
told["default"] = str(paddle_mps.from_numpy(a).place)
told["copy"] = str(paddle_mps.from_numpy(a, 0, copy=True).place)
told["external"] = [paddle_mps.memory_stats(i)["external_bytes"] for i in range(2)]
view = paddle_mps.as_numpy(y)
view[0] = 9
del y, view
gc.collect()
told["left"] = [paddle_mps.memory_stats(i)["external_count"] for i in range(2)]
""",
        PADDLE_MPS_HOST_DEVICES="2",
    )
    assert told["places"] == ["Place(mps:0)", "Place(mps:1)"]
    assert told["seen"] == [4.0, 4.0]
    assert told["default"] == "Place(mps:1)" and told["copy"] == "Place(mps:0)"
    size = -(-20_000 // mmap.PAGESIZE) * mmap.PAGESIZE
    assert told["external"] == [size, size]
    assert told["left"] == [1, 0]
