"""`python -m paddle_mps.info --selftest`: what it asks, and what it makes of crashes and hangs."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

import pytest
from child import run_python
from paddle_mps.selftest import answers, exam, operators, report, suite
from paddle_mps.selftest.answers import CRASHED, FAILED, PASSED, REFUSED, Answer, Deadline, Part


def selftest(*arguments: str, **env: str | None) -> tuple[str, str, int]:
    process = run_python("-m", "paddle_mps.info", "--selftest", *arguments, seconds=140, **env)
    return process.stdout, process.stderr, process.returncode


def states(part: Part) -> dict[str, str]:
    return {answer.name: answer.state for answer in part.answers}


def words(part: Part, name: str) -> str:
    return next(answer.message for answer in part.answers if answer.name == name)


def needs_exam(backend: str) -> None:
    if not exam.program(backend).exists():
        pytest.skip("GoogleTest was missing when the package was built")


# -- the whole ------------------------------------------------------------------------------------


def test_a_good_device_passes_and_the_report_is_a_file(tmp_path: Path, backend: str) -> None:
    needs_exam(backend)
    file = tmp_path / "report.md"
    out, _, status = selftest("--only", "bmm", "--report", str(file))
    assert out == f"paddle_mps self-test: passed. The report is in {file}.\n"
    assert status == 0
    text = file.read_text(encoding="utf-8")
    asked = [q.name for q in suite.questions() if "bmm" in q.name]
    assert len(asked) > 5
    assert f"| operators | {len(asked)} | {len(asked)} | 0 | 0 | 0 |" in text
    assert f", {backend}\n" in text
    assert "## The installation" in text and "usable: yes" in text


def test_the_exam_runs_on_the_installed_device(backend: str) -> None:
    needs_exam(backend)
    out, _, status = selftest("--only", "Matmul.Batches")
    assert status == 0, out
    part = Part("exam")
    exam.ask(part, backend, "Matmul.Batches", Deadline(2), dict(os.environ))
    assert part.answers and set(states(part).values()) == {PASSED}
    assert f"| exam | {len(part.answers)} | {len(part.answers)} |" in out


def test_what_a_device_does_wrong_is_reported(backend: str) -> None:
    """The device that injects faults fails a launch: some questions see it, and say how."""
    out, err, status = selftest("--only", "operators/value[bmm", PADDLE_MPS_FAULT="encode:2+")
    assert status == 1
    assert out.startswith("# paddle_mps self-test: FAILED\n")
    assert "### operators/value[bmm-float32]: failed" in out
    assert "failed: operators/value[bmm-float32]" not in err  # named once, in words of its own
    assert "failed: value[bmm-float32]" in err
    assert "[bmm]" in out.partition("## What went wrong")[2]


def test_a_device_that_computes_nothing_leaves_things_out() -> None:
    out, _, status = selftest(PADDLE_MPS_BACKEND="null")
    assert status == 2, out
    assert "LEFT OUT of exam: all of it: this installation has no mps_conformance_null" in out
    assert "LEFT OUT of operators: all of it: the null device computes nothing" in out


def test_no_device_is_the_report() -> None:
    out, _, status = selftest(PADDLE_MPS_DISABLE="1")
    assert status == 1
    assert "- device: none. [load] " in out and "PADDLE_MPS_DISABLE" in out


def test_a_name_that_fits_nothing_is_an_error(backend: str) -> None:
    needs_exam(backend)
    out, err, status = selftest("--only", "nothing of the kind")
    assert (out, status) == ("", 2)
    assert "no such question" in err


def test_questions_have_names_of_their_own() -> None:
    names = [question.name for question in suite.questions()]
    assert len(names) == len(set(names))
    assert len(names) > 5000


# -- the operator suite, with questions that do harm -----------------------------------------------

_BAD_QUESTIONS = """
import os, sys
from paddle_mps.selftest import asker, suite
def wrong(): assert False, "[x] is wrong"
def refused(): raise NotImplementedError("stack\\n(Unimplemented) [x] bfloat16 needs macOS 14.\\n")
def paddles(): raise NotImplementedError("(Unimplemented) something of Paddle's")
def dies(): print("last words", file=sys.stderr, flush=True); os.abort()
def talks(): print("not an answer"); os.system("echo neither")
def ends(): os._exit(3)
TABLE = [("right", lambda: None), ("wrong", wrong), ("dies", dies), ("refused", refused),
         ("paddles", paddles), ("talks", talks), ("ends", ends), ("last", lambda: None)]
suite.questions = lambda: [suite.Question(name, ask, ()) for name, ask in TABLE]
asker.main()
"""


@pytest.mark.usefixtures("mps")
def test_bad_questions_cost_themselves_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "_COMMAND", [sys.executable, "-c", _BAD_QUESTIONS])
    part = Part("operators")
    operators.ask(part, "", Deadline(3), {**os.environ, "GLOG_minloglevel": "2"})
    assert part.left_out == ""
    assert states(part) == {
        "right": PASSED,
        "wrong": FAILED,
        "dies": CRASHED,
        "refused": REFUSED,
        "paddles": FAILED,
        "talks": PASSED,
        "ends": CRASHED,
        "last": PASSED,
    }
    assert words(part, "wrong") == "[x] is wrong"
    assert "SIGABRT" in words(part, "dies") and "last words" in words(part, "dies")
    assert words(part, "refused") == "[x] bfloat16 needs macOS 14."
    assert "exit status 3" in words(part, "ends")


def test_a_suite_that_does_not_start_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "_COMMAND", [sys.executable, "-c", "import no_such_module"])
    part = Part("operators")
    operators.ask(part, "", Deadline(1), dict(os.environ))
    assert not part.answers
    assert "exit status 1" in part.left_out and "no_such_module" in part.left_out


# -- the exam, played by a script -----------------------------------------------------------------

_LIST = 'if [ "$1" = --gtest_list_tests ]; then printf "Suite.\\n  %s\\n"; exit; fi'


def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, *says: str) -> Part:
    """The exam's answers when its program is this script; each line is bash."""
    path = tmp_path / "mps_conformance_host"
    listed = "\\n  ".join(names.split())
    # How often it was started, so that it can say something else the next time.
    counts = 'echo >>"$0.starts"; starts=$(wc -l <"$0.starts"); for last; do :; done'
    path.write_text("\n".join(["#!/bin/bash", _LIST % listed, counts, *says]) + "\n")
    path.chmod(0o755)
    monkeypatch.setattr(exam, "FOLDER", tmp_path)
    part = Part("exam")
    exam.ask(part, "host", "", Deadline(1), dict(os.environ))
    return part


def run(name: str) -> str:
    return f'echo "[ RUN      ] Suite.{name}"'


def end(word: str, name: str, more: str = "") -> str:
    return f'echo "[ {word:>8} ] Suite.{name}{more} (7 ms)"'


def test_answers_of_googletest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = play(
        tmp_path,
        monkeypatch,
        "A B/1 C",
        run("A") + "; " + end("OK", "A"),
        run("B/1") + '; echo "a.cc:7: Failure"; echo "it is wrong"',
        end("FAILED", "B/1", ", where GetParam() = 4"),
        run("C") + '; echo "a.cc:9: Skipped"; echo "needs macOS 14"; ' + end("SKIPPED", "C"),
        'echo "[  FAILED  ] Suite.B/1, where GetParam() = 4"; exit 1',
    )
    assert states(part) == {"Suite.A": PASSED, "Suite.B/1": FAILED, "Suite.C": REFUSED}
    assert words(part, "Suite.B/1") == "a.cc:7: Failure\nit is wrong"
    assert words(part, "Suite.C") == "needs macOS 14"
    assert part.left_out == ""


def test_a_crash_costs_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = play(
        tmp_path,
        monkeypatch,
        "A B C",
        f"if [ $starts = 1 ]; then {run('A')}; {end('OK', 'A')}; {run('B')}",
        "  echo oh dear >&2; kill -SEGV $$; fi",
        # The second time it is asked for what is left, by a file of flags.
        "grep -qx -- --gtest_filter=Suite.C ${last#--gtest_flagfile=} || exit 9",
        run("C") + "; " + end("OK", "C"),
    )
    assert states(part) == {"Suite.A": PASSED, "Suite.B": CRASHED, "Suite.C": PASSED}
    assert "SIGSEGV" in words(part, "Suite.B") and "oh dear" in words(part, "Suite.B")


def test_a_hang_costs_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SECONDS_PER_QUESTION", 2.0)
    part = play(
        tmp_path,
        monkeypatch,
        "A B",
        f"if [ $starts = 1 ]; then {run('A')}; sleep 100; fi",
        run("B") + "; " + end("OK", "B"),
    )
    assert states(part) == {"Suite.A": CRASHED, "Suite.B": PASSED}
    assert "no answer in time" in words(part, "Suite.A")


def test_the_last_word_of_the_exam_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = play(
        tmp_path,
        monkeypatch,
        "A",
        run("A") + "; " + end("OK", "A"),
        'echo "never asked: select of bool"; exit 1',
    )
    assert states(part) == {"Suite.A": PASSED, "the whole exam": FAILED}
    assert "never asked: select of bool" in words(part, "the whole exam")


def test_too_many_crashes_end_the_exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = " ".join(f"T{i}" for i in range(answers.MOST_CRASHES + 5))
    first = "first=$((starts - 1)); "
    part = play(
        tmp_path, monkeypatch, names, first + 'echo "[ RUN      ] Suite.T$first"; kill -KILL $$'
    )
    assert part.count(CRASHED) == len(part.answers) == answers.MOST_CRASHES
    assert "too many crashes" in part.left_out


def test_the_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mps_conformance_host"
    path.write_text(f"#!/bin/bash\n{_LIST % 'A'}\n{run('A')}\nsleep 100\n")
    path.chmod(0o755)
    monkeypatch.setattr(exam, "FOLDER", tmp_path)
    part = Part("exam")
    exam.ask(part, "host", "", Deadline(0.03), dict(os.environ))
    assert part.answers == []
    assert "Suite.A" in part.left_out and "were over" in part.left_out


# -- the report -----------------------------------------------------------------------------------

FACTS = {
    "usable": True,
    "reason": "",
    "devices": [{"name": "Apple M9", "backend": "metal"}],
    "system": "macOS 26.1, arm64",
    "paddle_mps": "0.1.0",
    "python": "3.11.9, /usr/bin/python3",
    "fallback_tracking_problem": "not on macOS",
}


@pytest.mark.parametrize(
    ("state", "left_out", "status"),
    [
        (PASSED, "", 0),
        (REFUSED, "", 0),
        (FAILED, "", 1),
        (CRASHED, "the rest", 1),
        (PASSED, "the rest", 2),
    ],
)
def test_the_status(state: str, left_out: str, status: int) -> None:
    part = Part("exam", [Answer("A", state, "why")], left_out)
    assert report.status(FACTS, [part]) == status
    text = report.text(FACTS, [part], "usable: yes", "2026-11-28 12:00")
    assert ("FAILED" in text.splitlines()[0]) == (status == 1)
    assert ("LEFT OUT of exam: the rest." in text) == bool(left_out)


def test_a_report_fits_into_an_issue() -> None:
    noise = "\n".join(str(zlib.crc32(bytes([i]))) * 20 for i in range(200))
    many = [Answer(f"Suite.Question/{i}", FAILED, noise + "```") for i in range(500)]
    refused = [Answer(f"R{i}", REFUSED, "needs macOS 14") for i in range(3)]
    part = Part("exam", many + refused)
    text = report.text(FACTS, [part], "usable: yes", "2026-11-28 12:00")
    assert len(text) < 65_536
    assert "### exam/Suite.Question/0: failed" in text
    assert "- exam/Suite.Question/499: failed" in text  # without its message, but named
    assert "- 3 times: needs macOS 14" in text
    assert "ops that ran on the CPU were not seen: not on macOS" in text
