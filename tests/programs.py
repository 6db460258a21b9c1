"""Small programs that use the device in every way, for tests of what befalls them.

Each runs in a process of its own (child.py), after PRELUDE.
"""

from __future__ import annotations

import textwrap

# name -> (set-up, work): work() computes something from the set-up and returns numbers.
PROGRAMS = {
    "eager": (
        "x = paddle.to_tensor(np.arange(12.0, dtype='float32').reshape(3, 4))",
        """
        y = paddle.matmul(x, x.t()) * 2.0 + x.sum()
        y = paddle.nn.functional.relu(y - 100.0)
        return y.tolist()
        """,
    ),
    "views and in place": (
        "x = paddle.to_tensor(np.arange(24.0, dtype='float32').reshape(4, 6))",
        """
        y = x.clone()
        y[1:3, ::2].add_(paddle.full([2, 3], 5.0))
        z = y.t().contiguous()
        return (z[2:] * y[0, 0]).tolist() + [float(y.sum())]
        """,
    ),
    "backward": (
        "",
        """
        x = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]], stop_gradient=False)
        y = paddle.tanh(paddle.matmul(x, x)) * x
        y.sum().backward()
        return x.grad.tolist()
        """,
    ),
    "optimiser step": (
        """
        start = np.arange(6.0, dtype="float32").reshape(2, 3)
        x = paddle.ones([4, 2])
        """,
        """
        found = []
        for kind in (paddle.optimizer.SGD, paddle.optimizer.Adam):
            w = paddle.to_tensor(start, stop_gradient=False)
            optimizer = kind(0.1, parameters=[w])
            for _ in range(2):
                paddle.matmul(x, w).mean().backward()
                optimizer.step()
                optimizer.clear_grad()
            found += w.tolist()
        return found
        """,
    ),
    "to_static": (
        """
        paddle.seed(0)
        net = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.ReLU())
        static = paddle.jit.to_static(net, full_graph=True)
        x = paddle.ones([2, 3])
        """,
        """
        net.clear_gradients()
        y = static(x)
        y.sum().backward()
        return y.tolist() + net[0].weight.grad.tolist()
        """,
    ),
    "static program": (
        """
        paddle.enable_static()
        program = paddle.static.Program()
        with paddle.static.program_guard(program):
            x = paddle.static.data("x", [2, 3], "float32")
            y = paddle.nn.functional.relu(x + x) * x
        paddle.disable_static()
        executor = paddle.static.Executor(paddle.CustomPlace("mps", 0))
        numbers = np.arange(6.0, dtype="float32").reshape(2, 3)
        """,
        """
        paddle.enable_static()
        try:
            (found,) = executor.run(program, feed={"x": numbers}, fetch_list=[y])
        finally:
            paddle.disable_static()
        return found.tolist()
        """,
    ),
    "data loader": (
        """
        class Data(paddle.io.Dataset):
            def __len__(self):
                return 10
            def __getitem__(self, i):
                return np.full([3], i, "float32")
        """,
        """
        loader = iter(paddle.io.DataLoader(Data(), batch_size=4, shuffle=False))
        try:
            return [(x * x).tolist() for x in loader]
        finally:
            loader._try_shutdown_all()
        """,
    ),
    "data loader with workers": (
        """
        class Data(paddle.io.Dataset):
            def __len__(self):
                return 6
            def __getitem__(self, i):
                return np.full([3], i, "float32")
        """,
        """
        loader = iter(paddle.io.DataLoader(Data(), batch_size=2, shuffle=False, num_workers=1))
        try:
            return [(x + x).tolist() for x in loader]
        finally:
            loader._try_shutdown_all()
        """,
    ),
    "copies to the device": (
        "numbers = np.arange(6.0, dtype='float32')",
        """
        a = paddle.to_tensor(numbers)
        b = paddle.to_tensor(numbers + 1, place=paddle.CPUPlace()).to("mps")
        c = paddle.zeros([6])
        c.set_value(numbers + 2)
        d = paddle.to_tensor(numbers, place=paddle.CPUPlace())._copy_to(MPS, False)
        return (a + b + c + d).tolist()
        """,
    ),
    "copies from the device": (
        "x = paddle.to_tensor([1.0, 2.0, 3.0])",
        """
        y = x + x
        found = [y.cpu().tolist(), y.numpy().tolist(), float(y[1]), bool((y[2:] - 5.0).sum())]
        return found + [y._copy_to(paddle.CPUPlace(), False).tolist(), repr(y * 2.0)]
        """,
    ),
    "copies on the device": (
        "x = paddle.to_tensor([1.0, 2.0, 3.0])",
        """
        y = (x + x)._copy_to(MPS, True)
        z = (y + x)._copy_to(MPS, False)
        return (z + paddle.assign(y)).tolist() + z.clone().tolist()
        """,
    ),
    "ops on the CPU": (
        "x = paddle.to_tensor([0.1, 0.2, 0.3])",
        "return [paddle.erfinv(x + 0.1).tolist(), paddle.sort(x * -1.0).tolist()]",
    ),
    "streams and events": (
        "x = paddle.ones([1000])",
        """
        event = paddle.base.core.CustomDeviceEvent("mps", 0)
        side = paddle.device.Stream("mps")
        y = x * 3.0
        event.record(paddle.device.current_stream("mps").stream_base)
        side.stream_base.wait_event(event)
        event.synchronize()
        side.synchronize()
        return float(y.sum())
        """,
    ),
}

PRELUDE = """
import gc, re
import numpy as np
import paddle, paddle_mps
from paddle_mps._testing import calls, inject
MPS = paddle.CustomPlace("mps", 0)

if not gc.get_freeze_count():
    gc.freeze()  # what the imports made need not be looked at each time

def state():
    gc.collect()
    paddle_mps.synchronize()
    allocated = paddle_mps.memory_allocated()
    paddle_mps.empty_cache()
    return allocated, paddle_mps.memory_stats()["requested_bytes"]

def error_of(function):
    try:
        function()
    except Exception as error:
        return type(error).__name__, str(error)
    return None
"""


def filled(template: str, program: str, **more: object) -> str:
    """Put a program into a template: {setup}, {work} (the body of a function), and more."""
    setup, work = (textwrap.dedent(text).strip() for text in PROGRAMS[program])
    return template.format(setup=setup, work=textwrap.indent(work, "    "), **more)
