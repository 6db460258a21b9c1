"""Mistakes put into plugin/metal itself are caught on the double, with a sentence that names them.

Each mutant is one file of plugin/metal with a line changed, compiled as the build does it and
linked into the conformance exam in place of the right one. The exam must then fail with the words
that are written here: otherwise the double would let such a mistake pass.

    python -m pytest tests/apple_double/mutants.py     (after make test-double has built)
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MPS_DOUBLE_BUILD", "build/double")
EXAM = "tests/cpp/mps_conformance_metal"
SECONDS = 240


@dataclass(frozen=True)
class Mutant:
    """A mistake: what is replaced in which file, how the exam is asked, and what it must answer."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    answer: str
    questions: str = "Copies.*:Graphs.*:InPlace.*:Streams.*"
    release: str = "26.0"


MUTANTS = (
    Mutant(
        "strided feed",
        "executable_metal.mm",
        (("    descriptor.preferPackedRows = YES;", "    descriptor.preferPackedRows = NO;"),),
        "a strided feed",
        questions="*Movement*:*Matmul*:*Reduction*",
    ),
    Mutant(
        "unbalanced encoder",
        "encoding_metal.mm",
        (
            (
                "MPSCommandBuffer* Encoding::commands() {\n  end_encoder();",
                "MPSCommandBuffer* Encoding::commands() {",
            ),
        ),
        "an encoder of this command buffer is still open",
    ),
    Mutant(
        "encoder left open",
        "encoding_metal.mm",
        (
            ("void Encoding::commit() {\n  end_encoder();", "void Encoding::commit() {"),
            (
                "MPSCommandBuffer* Encoding::commands() {\n  end_encoder();",
                "MPSCommandBuffer* Encoding::commands() {",
            ),
        ),
        "an encoder of this command buffer is still open",
        questions="Copies.*",
    ),
    Mutant(
        "missing autorelease pool",
        "queue_metal.mm",
        (
            (
                "  if (progress_.committed() >= ticket || is_forked()) return;\n  MPS_POOL;",
                "  if (progress_.committed() >= ticket || is_forked()) return;",
            ),
        ),
        "was autoreleased on a thread without a pool",
    ),
    Mutant(
        "use after free of a buffer",
        "executable_metal.mm",
        (
            (
                "  encoding.keep(buffer.get());\n  return buffer.get();\n}\n\n// Before macOS 15",
                "  return buffer.get();\n}\n\n// Before macOS 15",
            ),
        ),
        r"was sent to a deallocated MTLBuffer",
        questions="InPlace.*",
    ),
    Mutant(
        "event never signalled",
        "queue_metal.mm",
        (
            (
                "  [encoding.commands() encodeSignalEvent:timeline_.get() value:window->last];",
                "  encoding.commands();",
            ),
            (
                "  if ([timeline_.get() signaledValue] < window->last) "
                "[timeline_.get() setSignaledValue:window->last];",
                "",
            ),
        ),
        "nothing signals it|does not end",
        questions="*Streams.EventsOrderStreams",
    ),
    Mutant(
        "newer selector without a guard",
        "executable_metal.mm",
        (
            (
                "bool takes_offsets() { return os_at_least(15, 0); }",
                "bool takes_offsets() { return true; }",
            ),
            (
                "  if (MPS_AVAILABLE(15, 0)) {\n    MPSNDArrayDescriptor",
                "  if (true) {\n    MPSNDArrayDescriptor",
            ),
        ),
        r"is there from macOS 15\.0 on, but this is macOS 14\.0: the use is not guarded",
        release="14.0",
    ),
    Mutant(
        "result in the place of a feed",
        "executable_metal.mm",
        (("const bool direct = !is_fed(range, feeds) && ", "const bool direct = "),),
        r"result \d+ lies where input \d+ lies",
    ),
    Mutant(
        "no optimisation level",
        "compile_metal.mm",
        (
            (
                "options.optimizationLevel = MPSGraphOptimizationLevel0;",
                "static_cast<void>(options);",
            ),
        ),
        "without MPSGraphOptimizationLevel0",
    ),
    Mutant(
        "blit of odd bytes",
        "bytes_metal.mm",
        (("return (a | b | c) % 4 == 0;", "return (a | b | c) % 1 == 0;"),),
        "must be multiples of 4",
    ),
    Mutant(
        "buffer of another storage mode",
        "buffer_metal.mm",
        (
            (
                "  [descriptor.get() setStorageMode:MTLStorageModeShared];",
                "",
            ),
        ),
        "storage and cache mode differ from the heap's",
    ),
    Mutant(
        "untracked heap",
        "buffer_metal.mm",
        (
            (
                "MTLResourceStorageModeShared | MTLResourceHazardTrackingModeTracked",
                "MTLResourceStorageModeShared | MTLResourceHazardTrackingModeUntracked",
            ),
        ),
        "an untracked buffer that another pass",
    ),
    Mutant(
        "complex tensor among real ones",
        "lower_metal.mm",
        (("[graph_ realPartOfTensor:found name:nil]", "found"),),
        "reshapeTensor.* of complex numbers: not known to work",
        questions="*Spectra*InBothDirections*",
    ),
    Mutant(
        "transform the other way",
        "lower_metal.mm",
        (("      what.inverse = Fourier::of(from_.attributes(node)).inverse;\n", ""),),
        "got -?[0-9.e+-]+, want ",
        questions="*Spectra*InBothDirections*",
    ),
    Mutant(
        "feeds in our order",
        "compile_metal.mm",
        (
            (
                "    const NSUInteger place = [all indexOfObject:tensor];",
                "    const NSUInteger place = found.size();",
            ),
        ),
        "input \\d+: expected |got -?[0-9.e+]+, want ",
        questions="Graphs.*:*Movement*",
    ),
)


def commands() -> dict[str, str]:
    """Give the build's own commands, by what they make."""
    text = subprocess.run(
        ["ninja", "-C", str(BUILD), "-t", "commands", EXAM],
        check=True, timeout=60, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    found = {}
    for line in text.splitlines():
        made = re.search(r" -o (\S+)", line)
        if made:
            found[made[1]] = line
    return found


def run(command: str) -> None:
    process = subprocess.run(
        command, shell=True, cwd=BUILD, check=False, timeout=SECONDS, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


def mutate(mutant: Mutant, folder: Path) -> Path:
    """Compile the mutant and link it into an exam of its own."""
    source = ROOT / "plugin" / "metal" / mutant.file
    text = source.read_text(encoding="utf-8")
    for right, wrong in mutant.changes:
        assert text.count(right) == 1, f"{mutant.file} has changed: it has no line '{right}'"
        text = text.replace(right, wrong)
    changed = folder / mutant.file
    changed.write_text(text, encoding="utf-8")
    all_commands = commands()
    made = f"plugin/metal/CMakeFiles/mps_metal.dir/{mutant.file}.o"
    compile_command = all_commands[made].replace(str(source), shlex.quote(str(changed)))
    run(compile_command.replace(f" -o {made}", f" -Wno-error -o {folder / 'mutant.o'}"))
    # Before the archive, so that the linker needs nothing of the right one.
    exam = folder / "exam"
    run(all_commands[EXAM].replace(f" -o {EXAM}", f" {folder / 'mutant.o'} -o {exam}"))
    return exam


def ask(exam: Path, mutant: Mutant | None, folder: Path) -> subprocess.CompletedProcess:
    env = dict(os.environ)
    env["PADDLE_MPS_DOUBLE_OS"] = mutant.release if mutant else "26.0"
    env["PADDLE_MPS_DOUBLE_PATIENCE_MS"] = "5000"
    env["PADDLE_MPS_GRAPH_FOLDER"] = str(folder / "graphs")
    questions = mutant.questions if mutant else "Copies.*:Graphs.*:InPlace.*:Streams.*"
    return subprocess.run(
        [str(exam), "--gtest_brief=1", f"--gtest_filter={questions}"],
        env=env, check=False, timeout=SECONDS, capture_output=True, text=True,
    )  # fmt: skip


def test_the_right_code_passes(tmp_path: Path) -> None:
    process = ask(BUILD / EXAM, None, tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_mistake_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    process = ask(mutate(mutant, tmp_path), mutant, tmp_path)
    words = process.stdout + process.stderr
    assert process.returncode != 0, f"nobody noticed: {words}"
    assert re.search(mutant.answer, words), words
