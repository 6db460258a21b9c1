"""docs/ops.md is what the plugin has: tools/ops.json against the registry, part asked again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from child import clean_environment
from conftest import is_unreachable, registered_kernels

ROOT = Path(__file__).resolve().parents[1]
COLLECT = ROOT / "tools" / "ops_collect.py"

pytestmark = pytest.mark.usefixtures("mps")


def table() -> dict[tuple[str, str], str]:
    rows = json.loads((ROOT / "tools" / "ops.json").read_text(encoding="utf-8"))
    return {(k, dtype): since for k, dtypes in rows.items() for dtype, since in dtypes.items()}


def ask(release: str, only: str) -> set[tuple[str, str]]:
    command = [sys.executable, str(COLLECT), "--ask", "--only", only]
    process = subprocess.run(
        command,
        env=clean_environment(PADDLE_MPS_HOST_MACOS=release),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return {tuple(pair) for pair in json.loads(process.stdout.splitlines()[-1])}


def test_the_table_names_every_registered_kernel_and_no_other() -> None:
    registered = {pair for pair in registered_kernels() if not is_unreachable(*pair)}
    asked = set(table())
    why = "run tools/ops_collect.py, then tools/ops_md.py"
    assert not registered - asked, f"not in tools/ops.json: {sorted(registered - asked)}; {why}"
    assert not asked - registered, f"not registered: {sorted(asked - registered)}; {why}"


@pytest.mark.parametrize("release", ["12.0", "13.3", "14.0"])
def test_the_releases_are_those_that_legalisation_says(release: str) -> None:
    since = table()
    works = {
        pair for pair, first in since.items() if first != "host" and float(first) <= float(release)
    }
    for only in ("cumsum", "where", "bitwise_and"):
        mine = {pair for pair in since if pair[0] in (only, f"{only}_grad")}
        asked = ask(release, only)
        assert mine, only
        assert asked & mine == works & mine, f"{only}: run tools/ops_collect.py, tools/ops_md.py"


def test_a_release_that_cannot_be_read_is_an_error() -> None:
    process = subprocess.run(
        [sys.executable, "-c", "import paddle; paddle.set_device('mps')"],
        env=clean_environment(PADDLE_MPS_HOST_MACOS="eleven", GLOG_minloglevel="1"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode != 0
    assert (
        "bad PADDLE_MPS_HOST_MACOS: expected a release from 12.0 on, got eleven" in process.stderr
    )
