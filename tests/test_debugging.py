"""Paddle's helpers for finding what goes wrong in numbers: AMP's statistics, checks for NaN."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from child import tell
from paddle.amp import debugging
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")


def statistics(printed: str) -> dict[str, list[int]]:
    """Calls of each op in float16, bfloat16, float32 and other dtypes."""
    rows = [re.findall(r"\w+", line) for line in printed.splitlines()]
    return {row[0]: [int(n) for n in row[1:]] for row in rows if len(row) == 5 and row[1].isdigit()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_operator_statistics_count_calls_by_dtype(
    capsys: pytest.CaptureFixture, dtype: str
) -> None:
    net = paddle.nn.Linear(4, 4)
    x = paddle.randn([2, 4])
    with debugging.collect_operator_stats(), paddle.amp.auto_cast(level="O1", dtype=dtype):
        F.softmax(net(net(x)), -1).mean()
    rows = statistics(capsys.readouterr().out)
    assert rows["matmul_v2"] == [2 * (dtype == "float16"), 2 * (dtype == "bfloat16"), 0, 0]
    assert rows["softmax"] == [0, 0, 1, 0]


def test_bfloat16_needs_no_import_of_this_package() -> None:
    """Paddle has a list of devices that compute in bfloat16, and turns AMP off on others."""
    told = tell("""
import sys, warnings
import paddle
warnings.simplefilter("error")
paddle.set_device("mps")
net = paddle.nn.Linear(4, 4)
with paddle.amp.auto_cast(level="O1", dtype="bfloat16"):
    told["O1"] = str(paddle.matmul(net.weight, net.weight).dtype)
net = paddle.amp.decorate(net, level="O2", dtype="bfloat16")
told["O2"] = str(net.weight.dtype)
told["imported"] = "paddle_mps" in sys.modules
""")
    assert told == {"O1": "paddle.bfloat16", "O2": "paddle.bfloat16", "imported": False}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_check_finds_what_is_not_a_number(dtype: str, capfd: pytest.CaptureFixture) -> None:
    x = paddle.to_tensor([1.0, float("nan"), float("inf"), 0.0, -2.0]).astype(dtype)
    stats, values = debugging.check_numerics(x, "op", "x", debugging.DebugMode.CHECK_NAN_INF)
    with pytest.raises(RuntimeError, match="num_nan=1, num_inf=1, num_zero=1.* op=op, tensor=x"):
        debugging.check_numerics(x, "op", "x", debugging.DebugMode.CHECK_NAN_INF_AND_ABORT)
    assert stats.tolist() == [1, 1, 1]
    assert values[:2].tolist() == [float("inf"), -2.0]
    assert stats.place.is_custom_place()
    assert paddle._C_ops.check_numerics(x[1:2], "op", "x", 1, -1, "")[1].isnan().all()
    flush_stdout()
    assert "[PRECISION] [ERROR] in [device=mps:0, op=op, tensor=x" in capfd.readouterr().out


def flush_stdout() -> None:
    """That of C, which is not Python's."""
    ctypes.CDLL(None).fflush(None)


def test_a_check_prints_as_much_as_its_level_says(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    plain, large = paddle.to_tensor([1.0, 2.0, 0.0]), paddle.to_tensor([1e5, -1.0])
    for level, prints in ((0, []), (1, []), (2, ["large"]), (3, ["plain", "large"])):
        for name, x in (("plain", plain), ("large", large)):
            paddle._C_ops.check_numerics(x, "op", name, level, -1, "")
        flush_stdout()
        printed = re.findall(
            r"\[PRECISION\] in .*tensor=(\w+), .*num_zero=", capfd.readouterr().out
        )
        assert printed == prints
    nan = paddle.to_tensor([float("nan")])
    paddle._C_ops.check_numerics(nan, "op", "nan", 0, -1, f"{tmp_path}/logs/")
    assert "num_nan=1" in (tmp_path / "logs" / "worker_mps.0").read_text()
    stats, values = paddle._C_ops.check_numerics(paddle.ones([0]), "op", "none", 3, -1, "")
    assert stats.tolist() == [0, 0, 0]
    assert values.tolist() == [0, 0, 0]


def test_a_result_is_compared_with_what_it_should_be() -> None:
    x = paddle.to_tensor([1.0, 2.0, float("nan")])
    assert paddle._C_ops.accuracy_check(x, x + 1e-7, "f", 1e-5, 1e-8, True).all()
    with pytest.raises(RuntimeError, match="kernel name f, res index 1"):
        other = paddle.to_tensor([1.0, 2.1, 3.0])
        paddle._C_ops.accuracy_check(x, other, "f", 1e-5, 1e-8, False)


def test_a_checked_program_names_the_op_that_made_a_nan() -> None:
    config = debugging.TensorCheckerConfig(
        enable=True, debug_mode=debugging.DebugMode.CHECK_NAN_INF_AND_ABORT
    )
    debugging.enable_tensor_checker(config)
    try:
        x = paddle.to_tensor([1.0, -1.0])
        (x * 2.0).tolist()
        with pytest.raises(RuntimeError, match="num_nan=1.* op=log"):
            paddle.log(x)
        large = paddle.full([1 << 22], 1.0)
        large[-1] = -1.0
        with pytest.raises(RuntimeError, match="num_nan=1.* op=log"):
            paddle.log(large)  # of which the end is written last
    finally:
        debugging.disable_tensor_checker()
    assert np.isnan(paddle.log(x).numpy()[1])


def test_flags_set_and_read_back() -> None:
    with harness.flags(check_nan_inf=True):
        assert paddle.get_flags("FLAGS_check_nan_inf")["FLAGS_check_nan_inf"] is True
    assert paddle.get_flags("FLAGS_check_nan_inf")["FLAGS_check_nan_inf"] is False
