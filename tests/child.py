"""Python in a process of its own, for what must not happen to the process that runs the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def run_python(*arguments: str, **env: str | None) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; `env` changes its environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(**env),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def tell(code: str, **env: str | None) -> dict[str, Any]:
    """Run a program that fills the dict `told`, and return it; the program must end well."""
    program = f"import json\ntold = {{}}\n{code}\nprint('told:' + json.dumps(told))\n"
    process = run_python("-c", program, **env)
    assert process.returncode == 0, process.stderr
    (line,) = [line for line in process.stdout.splitlines() if line.startswith("told:")]
    return json.loads(line[len("told:") :])
