"""Whole programs, each in a process of its own: on a slow device, and to their end.

On the host backend every piece of work can be made to start late (PADDLE_MPS_HOST_DELAY_US). A
program that gives another result then has read something before it was there: a missing wait, as a
busy GPU would show it.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from child import SECONDS, clean_environment, run_python

pytestmark = pytest.mark.usefixtures("mps")

DELAYED = {
    "eager": """
        x = paddle.arange(40_000, dtype="float32").reshape([200, 200])
        y = (x.t() * 2.0 + x).sum(axis=0)
        numbers = np.arange(40_000).reshape(200, 200)
        assert (y.numpy() == (numbers.T * 2.0 + numbers).sum(0)).all()
        """,
    "a source that changes": """
        source = np.full([100_000], 3.0, "float32")
        on_cpu = paddle.to_tensor(source, place=paddle.CPUPlace())
        on_mps = on_cpu.to("mps")
        on_cpu.fill_(4.0)
        assert on_mps.numpy().min() == 3.0 == on_mps.numpy().max()
        """,
    "memory that is used again": """
        for i in range(20):
            x = paddle.full([30_000], float(i)) + 1.0
            y = x * 2.0
            del x
            z = paddle.zeros([30_000])  # may lie where x was
            assert y.numpy().min() == y.numpy().max() == 2.0 * i + 2.0
        """,
    "a copy that does not block": """
        x = paddle.full([50_000], 2.0) * 3.0
        y = x._copy_to(paddle.CPUPlace(), False)
        paddle.device.synchronize()
        assert y.numpy().min() == 6.0
        """,
    "a data loader": """
        class Data(paddle.io.Dataset):
            def __len__(self):
                return 24
            def __getitem__(self, i):
                return np.full([5000], i, "float32")
        seen = [x[:, -1].tolist() for x in paddle.io.DataLoader(Data(), batch_size=4)]
        assert sum(seen, []) == [float(i) for i in range(24)]
        """,
    "static programs": """
        paddle.enable_static()
        numbers = np.random.default_rng(0).random((120, 130)).astype("float32")
        for _ in range(5):
            program = paddle.static.Program()
            with paddle.static.program_guard(program):
                x = paddle.static.data("x", [120, 130], "float32")
                y = paddle.stack([x, x + x], axis=-1)
            executor = paddle.static.Executor(paddle.CustomPlace("mps", 0))
            (found,) = executor.run(program, feed={"x": numbers}, fetch_list=[y])
            assert (found[..., 0] == numbers).all() and (found[..., 1] == numbers * 2).all()
        """,
}


@pytest.mark.parametrize("name", DELAYED)
def test_a_slow_device_gives_the_same_results(name: str, backend: str) -> None:
    """Every piece of work starts up to 2 ms late: whoever does not wait reads something else."""
    if backend != "host":
        pytest.skip("only the host backend can be slowed down")
    body = textwrap.dedent(DELAYED[name])
    code = f"import numpy as np\nimport paddle\n{body}"
    process = run_python("-c", code, PADDLE_MPS_HOST_DELAY_US="2000")
    assert process.returncode == 0, process.stderr[-2000:]


PROGRAMS = {
    "eager, work in flight": """
        x = paddle.ones([512, 512])
        for _ in range(50):
            x = paddle.matmul(x, x) / 512.0
        """,
    "static program": """
        paddle.enable_static()
        program = paddle.static.Program()
        with paddle.static.program_guard(program):
            x = paddle.static.data("x", [2, 3], "float32")
            y = paddle.nn.functional.relu(x + x)
        executor = paddle.static.Executor(paddle.CustomPlace("mps", 0))
        (result,) = executor.run(program, feed={"x": np.ones([2, 3], "float32")}, fetch_list=[y])
        assert (result == 2).all()
        """,
    "to_static": """
        def double(x):
            return paddle.matmul(x, x) + x
        static = paddle.jit.to_static(double, full_graph=True)
        assert float(static(paddle.ones([2, 2])).sum()) == 12.0
        """,
    "data loader": """
        class Data(paddle.io.Dataset):
            def __len__(self):
                return 20
            def __getitem__(self, i):
                return np.ones([3], "float32")
        loader = paddle.io.DataLoader(Data(), batch_size=4, num_workers=2)
        assert sum(float(x.sum()) for x in loader) == 60.0
        """,
    "an exception": """
        try:
            paddle.matmul(paddle.ones([2, 3]), paddle.ones([4, 5]))
        except ValueError:
            pass
        """,
    "a thread still computing": """
        import threading
        def work():
            paddle.set_device("mps")
            for _ in range(20):
                paddle.matmul(paddle.ones([256, 256]), paddle.ones([256, 256]))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """,
    "streams and events": """
        streams = [paddle.device.Stream("mps") for _ in range(3)]
        events = [paddle.base.core.CustomDeviceEvent("mps", 0) for _ in range(3)]
        x = paddle.ones([3]) + 1
        """,
    "tensors in a module": """
        import sys
        sys.kept = [paddle.ones([i + 1]) for i in range(50)]
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_process_ends_with_status_0(name: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"  # a file, because to_static reads its source
    body = textwrap.dedent(PROGRAMS[name])
    script.write_text(
        f"import numpy as np\nimport paddle\npaddle.set_device('mps')\n{body}\nprint('done')\n"
    )
    process = subprocess.run(
        [sys.executable, str(script)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.strip().endswith("done")
