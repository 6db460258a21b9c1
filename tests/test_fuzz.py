"""The fuzzer of tests/fuzz, for a minute or so; `make fuzz` looks for other programs each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from child import run_python

FUZZ = Path(__file__).parent / "fuzz"
SEED = "20261131"  # of which 10,000 programs were run without a difference

pytestmark = [pytest.mark.usefixtures("mps"), pytest.mark.timeout(300)]

# The fuzzer, with a function of Paddle's that is wrong on mps alone, and only for some tensors.
PLANTED = f"""
import sys
sys.path.insert(0, {str(FUZZ)!r})
import paddle
right = paddle.roll

def wrong(x, *rest):
    result = right(x, *rest)
    if "cpu" not in str(x.place) and x.ndim == 2 and x.shape[0] > 1 and x.dtype != paddle.bool:
        result[0] = result[0] + 1
    return result

paddle.roll = wrong
from paddle_mps.selftest import harness
from hunt import Hunt, replay
from program import read
from table import ROWS

rows = [row for row in ROWS if "any" in row.name]
with harness.on_mps():
    hunt = Hunt(seed=1, rows=rows)
    hunt.run(programs=5000, seconds=120)
    (found,) = hunt.found
    print(found)
    again = replay(read(found.text))
    paddle.roll = right
    print("again" if again else "lost", "and gone" if not replay(read(found.text)) else "and there")
"""


def run(*arguments: str):
    return run_python(str(FUZZ), *arguments, seconds=280)


def test_random_programs_are_right() -> None:
    # So many, not so long: the same programs on every machine.
    process = run("--programs", "1500", "--seconds", "250", "--seed", SEED)
    assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-2000:]
    told = re.search(
        rf"--seed {SEED}: (\d+) programs, (\d+) of them with gr.* 0 differ", process.stdout
    )
    assert told, process.stdout
    assert int(told[1]) > 200
    assert int(told[2]) > 0


def test_a_wrong_kernel_is_found_and_the_program_is_small() -> None:
    process = run_python("-c", PLANTED, seconds=280)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
    *_, last = process.stdout.splitlines()
    assert last == "again and gone"
    lines = [line for line in process.stdout.splitlines() if re.match(r"v\d+ = ", line)]
    assert len(lines) == 2, process.stdout
    assert lines[0].split(" = ")[1].startswith("given(")
    assert "paddle.roll(" in lines[1]


# Programs that must not differ. Names matter: gradients are drawn from a result's number.
PROGRAMS = {
    # Found by the fuzzer: the terms of a slope cancel, and the tolerance was that of their sum.
    "slopes of prelu": """
v22 = given('nonzero', [2, 3, 4, 5], 'float32', 'transposed', seed=38)
v23 = given('small', [3], 'float32', 'contiguous', seed=33)
v24 = case("prelu")(v22, v23)  # prelu: v22 v23
""",
    # The same of differences that are added up.
    "differences of messages": """
v9 = given('small', [7], 'float32', 'contiguous', seed=55)
v13 = given('small', [5], 'float32', 'contiguous', seed=34)
v14 = case("send_ue_recv-sub_mean")(v13, v9)  # send_ue_recv-sub_mean: v13 v9
""",
    # Where there is nothing to add up, Paddle's CPU kernel copies, and int32 stays int32.
    "a reduction to the same shape": """
v6 = given('small', [5, 1], 'int32', 'contiguous', seed=44)
v7 = case("reduce_as")(v6)  # reduce_as: v6
""",
    # What comes to rows of padding is NaN, and no part of any gradient.
    "padding that gets NaN": """
v8 = given('unit', [20, 4, 2, 8], 'float32', 'contiguous', seed=0)
v9 = case("flash_attn_varlen_qkvpacked-padded")(v8)  # flash_attn_varlen_qkvpacked-padded: v8
v10 = case("add")(v9, v9)  # add: v9 v9
v11 = case("atan2")(v10, v10)  # atan2: v10 v10
""",
    # At 0 a size has no slope; Paddle's is the one from above.
    "zeros in a norm": """
v4 = given('unit', [20, 4, 2, 8], 'float32', 'contiguous', seed=0)
v5 = case("flash_attn_varlen_qkvpacked-padded")(v4)  # flash_attn_varlen_qkvpacked-padded: v4
v6 = case("renorm-1")(v5)  # renorm-1: v5
""",
    # Differences of probabilities, times some hundreds: they cancel, as the slopes of prelu do.
    "a steep loss of texts": """
v14 = given('small', [9, 4, 5], 'float32', 'repeated', seed=57)
v15 = case("warpctc-norm_by_times")(v14)  # warpctc-norm_by_times: v14
v17 = case("exp")(v15)  # exp: v15
""",
    # Paddle's own gradient of what is changed in place is wrong, on the CPU device too.
    "elements put into a constant": """
v2 = given('small', [3], 'float32', 'contiguous', seed=0)
v7 = given('few', [40], 'float32', 'contiguous', seed=0)
v8 = case("histogram-density")(v7)  # histogram-density: v7
v9 = case("index_elementwise_put_with_tensor")(v8, v2)  # index_elementwise_put_with_tensor: v8 v2
""",
    "something in place of a sum": """
v0 = given('any', [2, 3], 'float32', 'transposed', seed=1)
v1 = paddle.sum(v0, axis=[0], keepdim=False)  # sum any: v0
v1.fill_(2)  # fill in place: v1
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_run_again_from_its_text(name: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(PROGRAMS[name])
    process = run("--replay", str(program))
    assert (process.returncode, process.stdout) == (0, "no difference\n"), process.stderr[-2000:]
