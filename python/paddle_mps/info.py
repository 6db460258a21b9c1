"""`python -m paddle_mps.info`: everything that a bug report needs, in every world.

Facts about the machine and the files are gathered here. What only a process with Paddle in it can
tell is asked of a child process, so that a Paddle that cannot be imported, or whose import ends the
process, is a line in the report. The exit status is 0 if there is a usable device, else 1.

With --selftest the device is examined as well (paddle_mps/selftest).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import paddle_mps

from . import _library
from ._words import bytes_in_words, limit_in_words
from .selftest.child import how_it_ended

_TIMEOUT_S = 120
_MARK = "paddle_mps.info: "  # opens the child's line; imports may print other ones
_CHILD = (
    f"import json, paddle_mps.info as info; print({_MARK!r} + json.dumps(info.facts_of_process()))"
)
_PREFIXES = ("PADDLE_MPS_", "FLAGS_", "GLOG_")
_VARIABLES = ("CUSTOM_DEVICE_ROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH")
_INTERNAL = "PADDLE_MPS_LOADER"  # set by the loader for itself; children inherit it


def collect() -> dict[str, Any]:
    """Return the report as plain data, whatever is wrong with Paddle or the plugin."""
    facts = facts_of_files()
    facts.update(_ask_child())
    known = {row[0] for row in facts.pop("env_table", [])}
    mine = [name for name in facts["environment"] if name.startswith("PADDLE_MPS_")]
    facts["unknown_variables"] = [name for name in mine if known and name not in known]
    facts["usable"] = bool(facts["devices"])
    return facts


def facts_of_files() -> dict[str, Any]:
    """Return what can be told without importing Paddle."""
    folder = _library.plugin_folder()
    paddle = _library.paddle_folder()
    return {
        "paddle_mps": paddle_mps.__version__,
        "package": str(_library.PLUGIN_PATH.parent.parent),
        "plugin": str(_library.PLUGIN_PATH) if _library.PLUGIN_PATH.exists() else None,
        "plugin_folder": str(folder) if folder else None,
        "plugin_folder_libraries": [path.name for path in _library.plugin_libraries()],
        "paddle_folder": str(paddle) if paddle else None,
        "paddle_has_custom_devices": _library.has_custom_devices(),
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": _system(),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if (name.startswith(_PREFIXES) and name != _INTERNAL) or name in _VARIABLES
        },
    }


def facts_of_process() -> dict[str, Any]:
    """Return what this process knows after importing Paddle; runs in the child."""
    state = _library.state()
    facts: dict[str, Any] = {"reason": state.reason, "devices": []}
    paddle: Any = sys.modules.get("paddle")
    if paddle is not None:
        facts["paddle"] = f"{paddle.__version__}, commit {paddle.version.commit}"
    if state.extension is not None:
        facts["plugin_version"] = state.extension.plugin_version()
        facts["plugin_built_for_paddle"] = state.extension.paddle_version()
        facts["fallback_tracking_problem"] = state.extension.fallback_tracking_problem()
        facts["env_table"] = state.extension.env()
        facts["mps_kernels"] = _count_kernels(paddle)
        facts["monitor_page"] = state.extension.monitor_page()
    for index in range(state.device_count):
        device = asdict(paddle_mps.get_device_properties(index))
        device["memory"] = paddle_mps.memory_stats(index)
        device["memory_limit"] = _limit(index)
        device["allocator"] = _allocator(state.extension, index)
        device["graph_cache"] = asdict(paddle_mps.graph_cache_info(index))
        facts["devices"].append(device)
    return facts


def format_text(facts: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [f"usable: {'yes' if facts['usable'] else 'no'}"]
    if facts["reason"]:
        lines.append(f"reason: {facts['reason']}")
    if facts["unknown_variables"]:
        lines.append(f"warning: no such variables: {', '.join(facts['unknown_variables'])}")
    if facts.get("plugin_version", facts["paddle_mps"]) != facts["paddle_mps"]:
        lines.append(
            "warning: package and plugin are of different versions; install paddle_mps again"
        )
    for key, value in facts.items():
        if key not in ("usable", "reason", "unknown_variables", "devices", "environment"):
            lines.append(f"{key}: {_plain(value)}")
    for index, device in enumerate(facts["devices"]):
        lines.append(f"device mps:{index}:")
        lines += [f"  {line}" for line in _lines(device)]
    lines.append("environment:" if facts["environment"] else "environment: nothing set")
    lines += [f"  {name}={value}" for name, value in facts["environment"].items()]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the report; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m paddle_mps.info",
        description="Print what a bug report about paddle_mps needs.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    test = parser.add_argument_group(
        "self-test",
        "Exit status: 0 if everything was asked and is right, 1 if something is wrong, 2 if "
        "nothing is wrong but something was left out.",
    )
    test.add_argument("--selftest", action="store_true", help="ask the device everything")
    test.add_argument("--report", type=Path, metavar="FILE", help="write the report there")
    test.add_argument("--only", default="", metavar="TEXT", help="questions named like this")
    test.add_argument("--minutes", type=float, default=60, help="most time to take (default: 60)")
    options = parser.parse_args(arguments)
    if options.selftest:
        from .selftest import run

        return run.selftest(options.only, options.minutes, options.report)
    facts = collect()
    print(json.dumps(facts, indent=2) if options.json else format_text(facts))
    return 0 if facts["usable"] else 1


def _ask_child() -> dict[str, Any]:
    """Import Paddle in a process of its own; if it gives no answer, how it ended is the reason."""
    command = [sys.executable, "-c", _CHILD]
    try:
        child = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _no_answer(f"no end of it after {_TIMEOUT_S} seconds", "")
    ended = how_it_ended(child.returncode)
    answers = [line for line in child.stdout.splitlines() if line.startswith(_MARK)]
    if not answers:
        return _no_answer(ended, child.stderr)
    facts: dict[str, Any] = json.loads(answers[-1][len(_MARK) :])
    if child.returncode != 0:
        facts["exit_problem"] = f"the process with Paddle ended with {ended} after its answer"
    return facts


def _no_answer(how: str, stderr: str) -> dict[str, Any]:
    reason = (
        f"[load] a process that imports Paddle gave no answer: expected a report, got {how}. Read "
        f"its last lines, and move the plugins in {_library.plugin_folder()} (now: "
        f"{_library.plugin_names()}) away one by one."
    )
    return {"reason": reason, "devices": [], "last_lines": stderr.strip().splitlines()[-12:]}


def _limit(index: int) -> str:
    """Return "4.00 GiB, 0.22 of the recommended 17.66 GiB"."""
    recommended = bytes_in_words(paddle_mps.recommended_max_memory(index))
    fraction = paddle_mps.get_per_process_memory_fraction(index)
    limit = limit_in_words(paddle_mps.memory_stats(index)["limit_bytes"])
    return f"{limit}, {fraction:.2f} of the recommended {recommended}"


def _allocator(extension: Any, index: int) -> str:
    try:
        return extension.allocator(index)
    except ValueError as error:  # a bad PADDLE_MPS_ALLOCATOR
        return str(error)


def _count_kernels(paddle: Any) -> int:
    rows = paddle.base.core._get_registered_phi_kernels("function").values()
    return sum(any(entry.startswith(f"({_library.DEVICE_TYPE},") for entry in row) for row in rows)


def _system() -> str:
    mac = platform.mac_ver()[0]
    libc = " ".join(platform.libc_ver())
    name = f"macOS {mac}" if mac else platform.platform()
    return f"{name}, {platform.machine()}, {os.cpu_count()} CPUs {libc}".strip()


def _plain(value: Any) -> str:
    if value in (None, ""):
        return "none"
    if isinstance(value, list):
        return ("\n  " + "\n  ".join(map(str, value))) if value else "none"
    return str(value)


def _short(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value or "none"


def _lines(device: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in device.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_short(each)}" for name, each in value.items())
        lines.append(f"{key}: {f'{value:,}' if type(value) is int else value}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
