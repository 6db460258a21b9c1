"""A pytest plugin: a test that supports() refuses on this macOS is not a failure, but is counted.

The reasons stand here, with the release from which on they must not be heard any more. A refusal
that no row allows stays a failure, and so does any other error.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

# Words of the refusal -> the first release without it; None: there is none yet.
ALLOWED = (
    (r"bitwise_\w+ needs macOS 13\.0: this is macOS [0-9.]*[0-9]", (13, 0)),
    (r"arithmetic on int64 needs macOS 13\.3: this is macOS [0-9.]*[0-9]", (13, 3)),
    (r"bfloat16 needs macOS 14\.0: this is macOS [0-9.]*[0-9]", (14, 0)),
    (r"MPSGraph does not scatter products of int64", None),
)
RELEASE = tuple(int(part) for part in os.environ.get("PADDLE_MPS_DOUBLE_OS", "26.0").split("."))
_REFUSED = pytest.StashKey[Counter]()


def reason_of(text: str) -> str | None:
    """Find the refusal in an error's text, if this release may refuse so."""
    for words, until in ALLOWED:
        found = re.search(words, text)
        if found and (until is None or until > RELEASE):
            return found[0]
    return None


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.stash[_REFUSED] = Counter()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> object:
    """Turn a refusal into a skip that says why."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.excinfo is not None:
        reason = reason_of(str(call.excinfo.value))
        if reason:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: refused: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count, in the process that gathers the reports."""
    if report.skipped and isinstance(report.longrepr, tuple) and "refused: " in report.longrepr[2]:
        _COUNTS[report.longrepr[2].partition("refused: ")[2]] += 1


_COUNTS: Counter = Counter()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was refused."""
    for reason, count in _COUNTS.most_common():
        terminalreporter.line(f"refused {count} times: {reason}")
