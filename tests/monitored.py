"""Programs that the monitor watches, and the monitor itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from child import clean_environment, run_python


@contextlib.contextmanager
def process(code: str, **env: str | None) -> Iterator[subprocess.Popen[str]]:
    """A program that says "ready" and then does what it reads, line by line, answering each."""
    program = (
        "import json, os, signal, sys, threading, time\nimport paddle, paddle_mps\n"
        f"paddle.set_device('mps')\n{code}\nprint('ready', flush=True)\n"
        "for line in sys.stdin:\n    exec(line)\n    print('done', flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        env=clean_environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate(timeout=60)


def do(child: subprocess.Popen[str], line: str) -> str:
    """Let the program do something; return what it prints before its answer."""
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()
    printed = ""
    while (answer := child.stdout.readline()) != "done\n":
        assert answer, "the program has ended"
        printed += answer
    return printed


def monitor(*arguments: str, **env: str | None) -> subprocess.CompletedProcess[str]:
    return run_python("-W", "ignore", "-m", "paddle_mps.monitor", *arguments, **env)


def as_json(*arguments: str) -> Any:
    ended = monitor(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
