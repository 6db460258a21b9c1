"""Forked children: who touches no tensor of the device is safe, who does gets an error."""

from __future__ import annotations

import pytest
from child import run_python, tell

pytestmark = pytest.mark.usefixtures("mps")

HEAD = """
import gc, os
import numpy as np
import paddle
import paddle_mps
paddle.set_device("mps")
"""

TRAINING = """
class Digits(paddle.io.Dataset):
    def __len__(self):
        return 60
    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        return rng.standard_normal(8).astype("float32"), np.float32(i)

paddle.seed(3)
net = paddle.nn.Linear(8, 1)
optimizer = paddle.optimizer.SGD(0.001, parameters=net.parameters())
told["seen"] = 0.0
for epoch in range(2):
    loader = paddle.io.DataLoader(Digits(), batch_size=7, shuffle=False, num_workers={workers})
    for x, number in loader:
        assert "mps" in str(x.place), x.place
        loss = (net(x)[:, 0] * 0.01 - number * 0.001).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        told["seen"] += float(number.sum())
told["weight"] = net.weight.tolist()
del net, optimizer, loader, x, number, loss
gc.collect()
paddle_mps.synchronize()
told["allocated"] = paddle_mps.memory_allocated()
"""


def test_workers_load_what_the_program_trains_on() -> None:
    found = [tell(HEAD + TRAINING.replace("{workers}", str(workers))) for workers in (0, 2, 4)]
    for one in found:
        assert one["seen"] == 2 * 59 * 60 / 2
        assert one["weight"] == found[0]["weight"]
    assert found[0]["allocated"] == 0


USES = {
    "an op": "x + 1.0",
    "a read": "x.numpy()",
    "a new tensor": "paddle.ones([3])",
    "a wait": "paddle_mps.synchronize(); x.numpy()",
    "a copy": "paddle.to_tensor(np.ones(5000, 'float32'))",
}


@pytest.mark.parametrize("use", USES)
def test_a_child_that_uses_the_device_is_told_so(use: str) -> None:
    told = tell(
        HEAD
        + f"""
x = paddle.ones([4]) * 3.0
read, write = os.pipe()
child = os.fork()
if child == 0:
    try:
        {USES[use]}
        said = "nothing was raised"
    except RuntimeError as error:
        said = "RuntimeError: " + str(error)
    except BaseException as error:
        said = repr(error)
    os.write(write, said.encode())
    os._exit(0)
os.close(write)
told["said"] = b"".join(iter(lambda: os.read(read, 65536), b"")).decode()
told["status"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
told["parent"] = (x + 1.0).tolist()
"""
    )
    assert told["status"] == 0
    assert told["said"].startswith("RuntimeError"), told["said"]
    assert "forked process" in told["said"]
    assert told["parent"] == [4.0] * 4


def test_a_child_of_a_busy_parent_ends_well() -> None:
    """Work is in flight on three streams, in threads, while the children are made."""
    process = run_python(
        "-c",
        HEAD
        + """
import threading
done = threading.Event()
problems = []
def work(seed):
    paddle.set_device("mps")
    with paddle_mps.stream(paddle_mps.Stream()):
        x = paddle.full([300, 300], float(seed))
        while not done.is_set():
            y = x * 2.0 + x
            if float(y[0, 0]) != 3.0 * seed:
                problems.append(seed)
threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 4)]
for thread in threads:
    thread.start()
kept = [paddle.ones([100]) for _ in range(50)]
for _ in range(15):
    child = os.fork()
    if child == 0:
        kept.clear()  # frees what it has inherited
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
done.set()
for thread in threads:
    thread.join()
assert not problems, problems
""",
        PADDLE_MPS_HOST_DELAY_US="300",
    )
    assert process.returncode == 0, process.stderr[-2000:]
