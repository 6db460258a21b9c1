"""Python in a process of its own, for what must not happen to the process that runs the tests."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from typing import Any

SECONDS = 120  # Paddle can hang in its own signal handler


def clean_environment(**changes: str | None) -> dict[str, str]:
    """Ours, without what would change Paddle's or the plugin's ways; None removes a variable."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PADDLE_MPS_", "FLAGS_"))}
    env["GLOG_minloglevel"] = "2"
    for name, value in changes.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


def run_python(
    *arguments: str, seconds: float = SECONDS, **env: str | None
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, for so long at most; `env` changes its environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(**env),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def run_program(body: str, delay_us: str) -> subprocess.CompletedProcess[str]:
    """Run a program on mps, with every piece of work up to so many microseconds late."""
    head = "import numpy as np\nimport paddle\nimport paddle_mps\npaddle.set_device('mps')\n"
    return run_python("-c", head + textwrap.dedent(body), PADDLE_MPS_HOST_DELAY_US=delay_us)


def tell(code: str, **env: str | None) -> dict[str, Any]:
    """Run a program that fills the dict `told`, and return it; the program must end well."""
    program = f"import json\ntold = {{}}\n{code}\nprint('told:' + json.dumps(told))\n"
    process = run_python("-c", program, **env)
    assert process.returncode == 0, process.stderr
    (line,) = [line for line in process.stdout.splitlines() if line.startswith("told:")]
    return json.loads(line[len("told:") :])


class Session:
    """A process that runs one piece of code after the other, each in a namespace of its own.

    What Paddle loads and what the pieces leave behind stays, so that many tests cost one start and
    each meets what the ones before it have done to the process. A piece that kills the process, or
    takes too long, fails alone: the next one gets a new process.
    """

    _LOOP = """
import json, linecache, sys, traceback
answers = sys.stdout
sys.stdout = sys.stderr
for number, line in enumerate(sys.stdin):
    code, name = json.loads(line), f"<piece {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    space = {"told": {}, "__name__": name}
    error = ""
    try:
        exec(compile(code, name, "exec"), space)
    except BaseException:
        error = traceback.format_exc()
    told = space.pop("told")
    space.clear()
    print(json.dumps({"told": told, "error": error}), file=answers, flush=True)
"""

    def __init__(self, **env: str | None) -> None:
        self._env = clean_environment(**env)
        self._process: subprocess.Popen[str] | None = None

    def run(self, code: str, seconds: float = SECONDS) -> dict[str, Any]:
        """Run code that fills the dict `told`, and return it; fails if the code raises."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(code) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if not line:
            status = process.poll() if ready else f"no answer in {seconds:.0f} s"
            self.close(seconds=5)
            raise AssertionError(f"the process ended ({status}):\n{self._said()[-3000:]}")
        answer = json.loads(line)
        assert not answer["error"], answer["error"]
        return answer["told"]

    def close(self, seconds: float = SECONDS) -> int | None:
        """End the process the way a program ends, and return its status; None if it has to die."""
        process, self._process = self._process, None
        if process is None:
            return 0
        try:
            process.communicate(timeout=seconds)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            os.killpg(process.pid, signal.SIGKILL)  # and its workers
            process.wait()
            return None
        return process.returncode

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._errors = tempfile.TemporaryFile("w+")
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._LOOP],
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                start_new_session=True,
            )
        return self._process

    def _said(self) -> str:
        time.sleep(0.1)
        self._errors.seek(0)
        return self._errors.read()
