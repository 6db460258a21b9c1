"""Bad input is a Python exception: of a fitting type, never an abort, and the program goes on.

Some errors come from Paddle, which checks shapes before any kernel runs; those only have to be
clean. Ours read `[op] what is wrong: expected E, got G. What to do.`
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest
from child import run_python, tell

OURS = r"\[\w+\] [^:]+: expected .+, got .+\. .+\."
PADDLES = ""


class Case(NamedTuple):
    """A statement that must fail."""

    name: str
    code: str
    errors: tuple[type[Exception], ...]
    message: str = PADDLES


CASES = [
    # shapes
    Case("add does not broadcast", "ones([2, 3]) + ones([2, 4])", (ValueError,)),
    Case("multiply does not broadcast", "ones([5]) * ones([2, 4])", (ValueError,)),
    Case(
        "where does not broadcast",
        "paddle.where(ones([3]) > 0, ones([3]), ones([4]))",
        (ValueError,),
    ),
    Case("matmul inner dims", "ones([2, 3]) @ ones([4, 5])", (ValueError,)),
    Case("matmul batch dims", "ones([2, 2, 3]) @ ones([3, 3, 5])", (ValueError,)),
    Case("linear inner dims", "paddle.nn.Linear(3, 2)(ones([4, 5]))", (ValueError,)),
    Case("concat other dims", "paddle.concat([ones([2, 3]), ones([3, 4])], axis=0)", (ValueError,)),
    Case("stack shapes", "paddle.stack([ones([2]), ones([3])])", (ValueError,)),
    Case("reshape size", "ones([2, 3]).reshape([4, 2])", (ValueError,)),
    Case("conv channels", "F.conv2d(ones([1, 3, 8, 8]), ones([4, 2, 3, 3]))", (ValueError,)),
    Case("layer norm shape", "F.layer_norm(ones([2, 3]), [4])", (ValueError,)),
    # axes and attributes
    Case("sum axis", "ones([2, 3]).sum(axis=2)", (ValueError, IndexError)),
    Case("softmax axis", "F.softmax(ones([2, 3]), axis=3)", (ValueError,)),
    Case("concat axis", "paddle.concat([ones([2]), ones([2])], axis=1)", (ValueError,)),
    Case("transpose axes", "ones([2, 3]).transpose([0, 0])", (ValueError,)),
    Case("argmax axis", "ones([2, 3]).argmax(axis=2)", (ValueError,)),
    Case("topk k", "paddle.topk(ones([3]), k=4)", (ValueError,)),
    Case(
        "histogram range",
        "paddle.histogram(paddle.to_tensor([1.0, float('inf')]))",
        (ValueError,),
        OURS,
    ),
    Case(
        "repeats of other rows",
        "paddle.repeat_interleave(ones([4, 3]), paddle.to_tensor([1, 2, 3]), 0)",
        (ValueError,),
    ),
    Case("cross axis", "paddle.cross(ones([2, 3]), ones([2, 3]), axis=0)", (ValueError,)),
    Case("einsum sizes", "paddle.einsum('ij,jk->ik', ones([3, 4]), ones([5, 2]))", (ValueError,)),
    Case("one_hot classes", "F.one_hot(paddle.to_tensor([1]), num_classes=0)", (ValueError,)),
    Case("dropout rate", "F.dropout(ones([2]), p=1.5)", (ValueError,)),
    Case(
        "crop beyond the tensor", "paddle.crop(ones([2, 0]), [2, -1], [0, 2])", (ValueError,), OURS
    ),
    Case("index out of range", "ones([3])[5]", (ValueError, IndexError)),
    # dtypes
    Case(
        "matmul of what is no tensor", "paddle.matmul(ones([2, 2]), 'x')", (TypeError, ValueError)
    ),
    Case(
        "matmul of bool",
        "(ones([2, 2]) > 0) @ (ones([2, 2]) > 0)",
        (RuntimeError, ValueError, TypeError),
    ),
    Case("no such dtype", "ones([2]).astype('float7')", (TypeError, ValueError)),
    Case(
        "embedding with float ids",
        "F.embedding(ones([2]), ones([4, 3]))",
        (ValueError, RuntimeError),
    ),
    Case(
        "softmax of int",
        "F.softmax(paddle.to_tensor([1, 2]))",
        (RuntimeError, ValueError, TypeError),
    ),
    # devices
    Case("paddle's no such device", "paddle.ones([2], device='mps:7')", (ValueError, OSError)),
    Case("no such device", "paddle_mps.set_device('mps:7')", (ValueError,), OURS),
    Case("another kind of device", "paddle_mps.memory_allocated('cpu')", (ValueError,), OURS),
    Case("what is not a device", "paddle_mps.synchronize(2.5)", (TypeError,), OURS),
    Case("seed out of range", "paddle_mps.manual_seed(-3)", (ValueError,), OURS),
    # memory
    Case("more than the limit", "paddle.zeros([1 << 28])", (MemoryError,), OURS),
    Case("more than there can be", "paddle.zeros([1 << 45])", (ValueError,), OURS),
    Case("negative size", "paddle.zeros([-2])", (ValueError,)),
]

_PROGRAM = """
import json, sys
import paddle, paddle_mps
import paddle.nn.functional as F
ones = paddle.ones

paddle.set_device("mps")
for name, code in json.loads(sys.argv[1]):
    try:
        answer = eval(code)
        paddle_mps.synchronize()
        error = None
    except Exception as caught:
        error = caught
    told = {"name": name, "types": [t.__name__ for t in type(error).__mro__], "message": str(error)}
    del error
    # Whatever happened, the device can be used afterwards.
    told["sum"] = float((ones([3]) + 1).sum())
    print("told:" + json.dumps(told), flush=True)
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, dict]:
    """What each case did, all in one process.

    A case that ended the process has no answer, nor have those after it.
    """
    cases = json.dumps([(case.name, case.code) for case in CASES])
    process = run_python("-c", _PROGRAM, cases, PADDLE_MPS_MEMORY_LIMIT="256M")
    lines = [
        line[len("told:") :] for line in process.stdout.splitlines() if line.startswith("told:")
    ]
    answers = {answer["name"]: answer for answer in map(json.loads, lines)}
    answers["the end"] = {"status": process.returncode, "stderr": process.stderr[-4000:]}
    return answers


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input_is_an_exception(case: Case, answers: dict[str, dict]) -> None:
    assert case.name in answers, f"the process ended with {answers['the end']}"
    answer = answers[case.name]
    assert {error.__name__ for error in case.errors} & set(answer["types"]), answer
    assert re.search(case.message, answer["message"]), answer
    assert answer["sum"] == 6.0


def test_all_this_ends_well(answers: dict[str, dict]) -> None:
    assert answers["the end"]["status"] == 0, answers["the end"]["stderr"]


def test_our_errors_have_the_form_of_the_house(answers: dict[str, dict]) -> None:
    messages = [answer.get("message", "") for answer in answers.values()]
    # Paddle puts its own words around what a kernel throws; ours starts a line.
    ours = [
        found[0]
        for text in messages
        for found in re.finditer(r"(?:^|(?<=\) ))\[\w+\].*", text, re.M)
    ]
    assert ours
    for message in ours:
        assert re.match(OURS, message), message


def test_the_program_goes_on_after_running_out_of_memory() -> None:
    told = tell(
        """
import paddle, paddle_mps
kept, errors = [], []
try:
    for _ in range(1000):
        kept.append(paddle.full([1 << 20], 3.0))  # 4 MiB each
except MemoryError as error:
    errors.append(str(error))
told["errors"] = errors
told["kept"] = len(kept)
told["right"] = all(float(tensor[-1]) == 3.0 for tensor in kept)
kept.clear()
big = paddle.full([10 << 20], 2.0)  # 40 MiB, from what was free in pieces
told["sum"] = float(big.sum())
told["reserved"] = paddle_mps.memory_reserved()
""",
        PADDLE_MPS_MEMORY_LIMIT="128M",
    )
    assert len(told["errors"]) == 1
    assert 16 <= told["kept"] <= 32
    assert told["right"] is True
    assert told["sum"] == 2.0 * (10 << 20)
    assert told["reserved"] <= 128 << 20


def test_idle_memory_is_used_before_giving_up() -> None:
    told = tell(
        """
import paddle
for size in (40, 50, 30, 60):  # MiB; none fits beside the block of the one before
    x = paddle.full([size << 18], 1.0)
    told[str(size)] = float(x[-1])
    del x
""",
        PADDLE_MPS_MEMORY_LIMIT="64M",
    )
    assert told == {"40": 1.0, "50": 1.0, "30": 1.0, "60": 1.0}
