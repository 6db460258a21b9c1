"""The operator suite: asked in a process of its own, which may die of a question.

The next process goes on behind the question that killed the last one.
"""

from __future__ import annotations

import json
import sys
import time

from .answers import CRASHED, Answer, Deadline, Part
from .child import Child

_COMMAND = [sys.executable, "-m", "paddle_mps.selftest.asker"]


def ask(part: Part, only: str, deadline: Deadline, env: dict[str, str]) -> None:
    """Ask the questions whose names contain `only`."""
    start, first = time.monotonic(), 0
    while first is not None and not part.left_out:
        first = _ask_from(first, part, only, deadline, env)
    part.seconds = time.monotonic() - start


def _ask_from(
    first: int, part: Part, only: str, deadline: Deadline, env: dict[str, str]
) -> int | None:
    """Ask from one question on; return the one to go on with, None after the last."""
    child = Child([*_COMMAND, "--first", str(first), "--only", only], env)
    asking, next_one, done, trouble = "", first, False, ""
    try:
        while (line := child.line(deadline.wait())) is not None:
            said = json.loads(line)
            done = done or "done" in said
            if "asking" in said:
                asking = said["asking"]
            elif "state" in said:
                part.add(Answer(asking, said["state"], said["message"], said["seconds"]))
                asking, next_one = "", said["number"] + 1
    except TimeoutError:
        child.kill()
        if deadline.over:
            part.left_out = f"what follows {asking}: {deadline.minutes:.0f} minutes were over"
            return None
        trouble = "no answer in time"
    trouble = trouble or child.end()
    if not trouble and done:
        return None
    words = f"the process ended: {trouble or 'without the last answer'}\n{child.last_words()}"
    if not asking and not done:
        part.left_out = f"what was still to be asked: {words.strip()}"
        return None
    part.add(Answer(asking or "the end of the process", CRASHED, words.strip()))
    if part.gives_up and not done:
        part.left_out = f"what follows {asking}: too many crashes"
    return None if done else next_one + 1
