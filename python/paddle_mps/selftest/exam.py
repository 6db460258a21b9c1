"""The conformance exam: a GoogleTest program (tests/cpp/conformance) that the package carries.

A crash costs one question: the program is started again for those that follow.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .. import _library
from .answers import CRASHED, FAILED, PASSED, REFUSED, Answer, Deadline, Part
from .child import Child

FOLDER = Path(__file__).resolve().parent
_STATES = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": REFUSED}
_RUN = re.compile(r"\[ RUN      \] (\S+)")
_END = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?),? .*?\(?(\d+) ms\)")


def program(backend: str) -> Path:
    """Where the exam of a device lies, if the package has it."""
    return FOLDER / f"mps_conformance_{backend}"


def ask(part: Part, backend: str, only: str, deadline: Deadline, env: dict[str, str]) -> None:
    """Ask the questions whose names contain `only`."""
    start, path = time.monotonic(), program(backend)
    if not os.access(path, os.X_OK):
        part.left_out = (
            f"all of it: this installation has no {path.name}. It is built where GoogleTest is "
            "found (Debian, Ubuntu: libgtest-dev; macOS: brew install googletest): install that "
            "and build paddle_mps again"
        )
        return
    try:
        env = _environment(env)
        names = questions(path, env)
    except (OSError, subprocess.SubprocessError) as error:
        part.left_out = f"all of it: {path.name} does not start: {error}"
        return
    asked = [name for name in names if only in f"exam/{name}"]
    whole = len(asked) == len(names)
    while asked and not part.left_out:
        asked = _ask(path, asked, whole, part, deadline, env)
        whole = False
    part.seconds = time.monotonic() - start


def questions(path: Path, env: dict[str, str]) -> list[str]:
    """The names of all questions, as GoogleTest has them."""
    command = [str(path), "--gtest_list_tests"]
    listed = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    names, suite = [], ""
    for line in listed.stdout.splitlines():
        word = line.partition("#")[0].rstrip()
        if line.startswith("  "):
            names.append(suite + word.strip())
        elif word.endswith("."):
            suite = word
    return names


def _environment(env: dict[str, str]) -> dict[str, str]:
    """What the program has to be told of this machine."""
    if sys.platform == "darwin":
        # Some questions are about one macOS. Not platform.mac_ver(): the system tells programs
        # that were built for an older one, as many Pythons are, another number.
        command = ["/usr/bin/sw_vers", "-productVersion"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        release = ".".join([*told.stdout.strip().split("."), "0"][:2])
        return {"PADDLE_MPS_DOUBLE_OS": release, **env}
    paddle = _library.paddle_folder()
    if paddle is None:
        return env
    # The host device computes with one of Paddle's libraries, and Paddle is not there to load it.
    folders = [str(paddle / "libs"), *filter(None, [env.get("LD_LIBRARY_PATH")])]
    return {**env, "LD_LIBRARY_PATH": os.pathsep.join(folders)}


def _ask(
    path: Path, names: list[str], whole: bool, part: Part, deadline: Deadline, env: dict[str, str]
) -> list[str]:
    """Ask these questions; return those that are left because the program died before them."""
    command = [str(path), "--gtest_color=no", "--gtest_catch_exceptions=1"]
    with tempfile.TemporaryDirectory(prefix="paddle_mps.") as folder:
        if not whole:  # thousands of names are too long for a command line
            flags = Path(folder) / "flags"
            flags.write_text(f"--gtest_filter={':'.join(names)}\n", encoding="utf-8")
            command.append(f"--gtest_flagfile={flags}")
        return _listen(Child(command, env), names, part, deadline)


def _listen(child: Child, names: list[str], part: Part, deadline: Deadline) -> list[str]:
    asking, said, trouble, failed = "", [], "", False
    start = time.monotonic()
    try:
        while (line := child.line(deadline.wait())) is not None:
            begin, end = _RUN.match(line), _END.match(line)
            if begin:
                asking, said, start = begin[1], [], time.monotonic()
            elif end and end[2] == asking:
                state = _STATES[end[1]]
                failed = failed or state == FAILED
                seconds = time.monotonic() - start
                part.add(Answer(asking, state, _words(state, said), seconds))
                asking, said = "", []
            else:
                said.append(line)
    except TimeoutError:
        child.kill()
        if deadline.over:
            part.left_out = f"what follows {asking}: {deadline.minutes:.0f} minutes were over"
            return []
        trouble = "no answer in time"
    trouble = trouble or child.end()
    if asking:
        words = [f"the exam ended: {trouble or 'in the middle of this question'}"]
        words += [*said[-8:], child.last_words()]
        part.add(Answer(asking, CRASHED, "\n".join(words).strip()))
        if part.gives_up:
            part.left_out = f"what follows {asking}: too many crashes"
        return names[names.index(asking) + 1 :]
    if trouble and not (failed and trouble == "exit status 1"):
        # Not of one question: GoogleTest's last words, or a death at the end or the beginning.
        words = [f"the exam ended: {trouble}", *said[-20:], child.last_words()]
        bad = FAILED if trouble == "exit status 1" else CRASHED
        part.add(Answer("the whole exam", bad, "\n".join(words).strip()))
    return []


def _words(state: str, said: list[str]) -> str:
    """The message of a failure; of a refusal only its reason, which stands behind the place."""
    if state == PASSED:
        return ""
    if state == REFUSED:
        said = [line for line in said if line and not re.search(r":\d+: Skipped$", line)]
    return "\n".join(said).strip()
