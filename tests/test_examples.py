"""The programs that readers see first do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from child import clean_environment

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(*arguments: str) -> str:
    """What an example prints; it must end well."""
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout


def accuracy(output: str) -> float:
    found = re.search(r"^test accuracy: (\d+\.\d) %$", output, re.MULTILINE)
    assert found, output
    return float(found[1])


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mps")
def test_train_digits_learns_on_mps_and_reports_what_ran_where() -> None:
    output = run("train_digits.py", "--device", "mps")
    assert accuracy(output) >= 97.0
    assert output.startswith("device: mps (")
    memory = re.search(r"^memory: ([\d,]+) allocated / ([\d,]+) at most / ([\d,]+)", output, re.M)
    assert memory, output
    allocated, peak, reserved = (int(number.replace(",", "")) for number in memory.groups())
    assert 0 < allocated <= peak <= reserved
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line.endswith(" 0")}
    for op in ("matmul", "relu", "matmul_grad", "add"):
        assert op in rows, f"{op} did not run on mps alone:\n{output}"


@pytest.mark.timeout(300)
def test_train_digits_learns_on_the_cpu_too() -> None:
    assert accuracy(run("train_digits.py", "--device", "cpu", "--epochs", "10")) >= 95.0


def test_train_digits_says_why_there_is_no_device() -> None:
    process = subprocess.run(
        [sys.executable, str(EXAMPLES / "train_digits.py"), "--device", "mps"],
        env=clean_environment(PADDLE_MPS_DISABLE="1"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert process.returncode == 1
    assert "PADDLE_MPS_DISABLE" in process.stderr


def figures(pattern: str, output: str) -> list[float]:
    return [float(number) for number in re.findall(pattern, output, re.M)]


def held_memory(output: str) -> list[str]:
    """What the device's tensors and arenas held along the way: the last two columns."""
    table = output.split("memory (MiB) at step")[1].split("\n\n")[0].splitlines()[1:]
    return [line.split(maxsplit=2)[2] for line in table]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mps")
def test_char_gpt_learns_and_writes() -> None:
    small = "--steps 60 --batch-size 8 --layers 1 --width 64 --letters 40".split()
    output = run("char_gpt.py", "--device", "mps", *small)
    along = figures(r"^step .+  (\d\.\d+) bits per character$", output)
    assert len(along) == 10
    assert along[-1] < along[0] - 1
    (held_out,) = figures(r"^held-out text: (\d\.\d+) bits per character$", output)
    assert held_out < along[0]
    assert re.search(r"^The ", output, re.M)
    assert len(set(held_memory(output)[1:])) == 1, output
    assert re.search(r"^total +[\d,]+ +0$", output, re.M), output


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mps")
def test_ocr_lines_learns() -> None:
    output = run(
        "ocr_lines.py",
        "--device",
        "mps",
        "--steps",
        "60",  # the arenas grow until the seventh: scores of a step live on into the next
        "--batch-size",
        "16",
        "--test-batches",
        "2",
    )
    losses = figures(r"^step .+  loss (\d+\.\d+)$", output)
    assert len(losses) == 10
    assert losses[-1] < 0.7 * losses[0]
    assert len(re.findall(r"^  .{15} read as  ", output, re.M)) == 5
    assert figures(r"^character accuracy: (-?\d+\.\d+) %$", output)
    assert len(set(held_memory(output)[1:])) == 1, output
    assert re.search(r"^total +[\d,]+ +0$", output, re.M), output


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mps")
def test_watch_memory_runs_out_goes_on_and_draws(tmp_path: Path) -> None:
    output = run("watch_memory.py", "--output", str(tmp_path), "--limit", "12")
    tries = re.findall(
        r"^batch (\d+): \(ResourceExhausted\) \[\w+\] out of memory: .+ a limit of 12\.00 MiB, ",
        output,
        re.M,
    )
    assert tries[0] == "1437"
    batch, accuracy_found = re.findall(r"^batch (\d+): test accuracy (\d+\.\d) %$", output, re.M)[0]
    assert int(batch) == 1437 >> len(tries)
    assert float(accuracy_found) > 90
    assert re.search(rf"^found no room +{len(tries)}$", output, re.M)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["history.png", "step.json", "step.png"]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mps")
def test_bitnet_digits_learns_and_packs() -> None:
    output = run("bitnet_digits.py")
    assert accuracy(output) >= 95.0
    assert re.search(r"^ternary weights: .+: 8\.0 times smaller$", output, re.M), output
    difference = re.search(r"differ by at most (\S+)$", output, re.M)
    assert difference, output
    assert float(difference[1]) < 1e-4


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mps")
def test_qlora_char_gpt_adapts_in_less_memory() -> None:
    output = run(
        "qlora_char_gpt.py", "--width", "64", "--depth", "1", "--length", "32",
        "--pretrain", "60", "--finetune", "60",
    )  # fmt: skip
    before = re.search(r"^quantised: loss (\d\.\d+) on code$", output, re.M)
    tuned = re.findall(r"^fine-tuned (\w+): loss (\d\.\d+) .* ([\d,]+) bytes", output, re.M)
    assert before, output
    (adapters, everything) = tuned
    assert (adapters[0], everything[0]) == ("adapters", "everything")
    assert float(adapters[1]) < float(before[1])
    assert int(adapters[2].replace(",", "")) < int(everything[2].replace(",", "")) / 2
