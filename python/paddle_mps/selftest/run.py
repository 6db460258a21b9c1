"""Asks everything and writes the report."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from .. import info
from . import exam, operators, report
from .answers import CRASHED, FAILED, Answer, Deadline, Part


def selftest(only: str, minutes: float, file: Path | None) -> int:
    """Run the self-test; print its report, or write it to a file; return the exit status."""
    facts, parts = info.collect(), []
    deadline = Deadline(minutes)
    env = dict(os.environ)
    env.setdefault("GLOG_minloglevel", "2")
    if facts["usable"]:
        backend = facts["devices"][0]["backend"]
        parts = [Part("exam", tell=_tell), Part("operators", tell=_tell)]
        exam.ask(parts[0], backend, only, deadline, env)
        if backend == "null":
            parts[1].left_out = "all of it: the null device computes nothing"
        else:
            operators.ask(parts[1], only, deadline, env)
        if not any(part.answers or part.left_out for part in parts):
            words = (
                f"[selftest] no such question: expected a part of a name, got {only!r}. Names look "
                "like exam/DTypes/Matmul.Sizes/float32 or operators/value[add-float32]."
            )
            print(words, file=sys.stderr)
            return 2
    when = time.strftime("%Y-%m-%d %H:%M")
    text = report.text(facts, parts, info.format_text(facts), when)
    if file is None:
        print(text, end="")
    else:
        file.write_text(text, encoding="utf-8")
        print(f"{text.splitlines()[0][2:]}. The report is in {file}.")
    return report.status(facts, parts)


def _tell(answer: Answer) -> None:
    """Show that something happens: what is wrong at once, in a terminal also the rest."""
    if answer.state in (FAILED, CRASHED):
        print(f"{answer.state}: {answer.name}", file=sys.stderr, flush=True)
    elif sys.stderr.isatty():
        print(f"\r\033[K{answer.name[:70]}", end="\r", file=sys.stderr, flush=True)
