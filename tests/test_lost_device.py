"""A device that is lost: nothing runs on it any more, and the process ends in good order.

What was computed can still be read and freed, and waits return.
"""

from __future__ import annotations

import re

import pytest
from child import tell
from programs import PRELUDE, PROGRAMS, filled

pytestmark = pytest.mark.usefixtures("mps")

LOST = r"\[\w+\] the device is lost: expected it to take work, got an injected fault"

# The device is lost in the middle of a program that has run before.
PROGRAM = (
    PRELUDE
    + """
{setup}
def work():
{work}
before = state()
kept = paddle.full([1000], 3.0)
kept_sum = kept.sum()
work()
inject("lose:2")
told["errors"] = [error_of(work) or error_of(paddle_mps.synchronize) for _ in range(3)]
told["first wait"] = error_of(paddle_mps.synchronize)  # of the work that was lost, if nobody asked
told["waits"] = [error_of(paddle_mps.synchronize), error_of(paddle.device.synchronize)]
told["kept"] = [float(kept_sum), kept.tolist()[-1], float(kept.cpu().sum())]
told["op"] = error_of(lambda: kept + 1.0)
told["new graph"] = error_of(lambda: paddle.full([7, 7], 1.0))
del kept, kept_sum
told["memory"] = [before, state()]
paddle.set_device("cpu")
told["on the CPU"] = float(paddle.ones([3]).sum())
"""
)


# Paddle keeps what a run that failed has left in its scopes and loaders until the next run.
KEEPS_MEMORY = ("to_static", "static program", "data loader", "data loader with workers")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_lost_device_hangs_nobody(program: str) -> None:
    code = filled(PROGRAM, program)
    told = tell(code, PADDLE_MPS_FAULT="none", PADDLE_MPS_HOST_DELAY_US="500")
    heard = [error for error in told["errors"] if error]
    assert heard
    for kind, text in [*heard, told["op"], told["new graph"]]:
        assert kind == "OSError", text
        assert re.search(LOST, text), text
    assert told["waits"] == [None, None]
    assert told["kept"] == [3000.0, 3.0, 3000.0]
    before, after = told["memory"]
    assert after == before or program in KEEPS_MEMORY
    assert told["on the CPU"] == 3.0
