"""The soak of tests/soak, for a minute; `make soak` runs it for ten."""

from __future__ import annotations

from pathlib import Path

import pytest
from child import run_python

SOAK = str(Path(__file__).parent / "soak")

pytestmark = [pytest.mark.usefixtures("mps"), pytest.mark.timeout(600)]


def test_nothing_grows() -> None:
    # A minute ends before the C library and oneDNN have all they want; ten minutes are held to 1 %.
    process = run_python(SOAK, "--seconds", "60", "--most-growth", "0.04", seconds=500)
    assert process.returncode == 0, process.stdout + process.stderr[-4000:]


def test_a_leak_is_found() -> None:
    process = run_python(SOAK, "--seconds", "25", "--most-growth", "0", "--plant-leak", seconds=500)
    assert process.returncode == 1, process.stdout + process.stderr[-4000:]
    assert "resident memory grew by" in process.stderr
