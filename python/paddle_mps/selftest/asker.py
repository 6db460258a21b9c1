"""Asks the operator suite in this process; a line of JSON before and after every question.

    python -m paddle_mps.selftest.asker --first 12 --only matmul

operators.py runs it, reads the lines and outlives it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from typing import TextIO

# What the plugin says of a graph that this device or macOS cannot do: a refusal, not a mistake.
_REFUSAL = re.compile(r"\(Unimplemented\) (\[\w+\] [^\n]+)")


def refusal(error: BaseException) -> str:
    """The plugin's reason if the error is a refusal, else ""."""
    found = _REFUSAL.search(str(error)) if isinstance(error, NotImplementedError) else None
    return found[1] if found else ""


def message(error: BaseException) -> str:
    """What an exception says, without the C++ stack that Paddle puts before it."""
    text = str(error).strip()
    said = re.search(r"^\(\w+\) .*", text, re.M | re.S)
    if said:
        text = re.sub(r"\n\s*\[Hint:.*|\s*\(at [^\n]+:\d+\)", "", said[0], flags=re.S)
    return text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"


def ask(first: int, only: str, answers: TextIO) -> None:
    from . import harness, suite

    asked = [question for question in suite.questions() if only in f"operators/{question.name}"]
    print(json.dumps({"count": len(asked)}), file=answers, flush=True)
    for number, question in enumerate(asked[first:], first):
        print(json.dumps({"asking": question.name}), file=answers, flush=True)
        start, state, words = time.monotonic(), "passed", ""
        try:
            with harness.on_mps():
                question.ask(*question.row)
        except Exception as error:
            words = refusal(error)
            state = "refused" if words else "failed"
            words = words or message(error)
        answer = {"state": state, "message": words, "seconds": time.monotonic() - start}
        print(json.dumps({"number": number, **answer}), file=answers, flush=True)
    print(json.dumps({"done": True}), file=answers, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    # Whatever else is printed goes where it disturbs nobody.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    ask(options.first, options.only, answers)


if __name__ == "__main__":
    sys.exit(main())
