"""What we print is true: examples run, docstrings are complete, generated pages are fresh."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import paddle_mps
import pytest
from child import run_python
from paddle_mps import _library

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import doc_examples  # noqa: E402
import env_md  # noqa: E402
import paddle_mps.functional  # noqa: E402
import paddle_mps.nn  # noqa: E402
import paddle_mps.optimizer  # noqa: E402

FUNCTIONS = [
    name for name, thing in doc_examples.public_names().items() if inspect.isfunction(thing)
]
PARTS = [paddle_mps.functional, paddle_mps.nn, paddle_mps.optimizer]


def test_examples_run() -> None:
    # In a child, since some of them reset counters that the whole test run needs.
    process = run_python(str(ROOT / "tools" / "doc_examples.py"))
    assert process.returncode == 0, process.stdout + process.stderr
    count = len(doc_examples.public_names()) + len(doc_examples.PAGES)
    assert process.stdout == f"{count} passed, 0 failed\n"


def test_an_example_that_is_wrong_or_missing_is_noticed() -> None:
    def wrong() -> None:
        """Add.

        >>> 1 + 1
        3
        """

    assert len(doc_examples.run("wrong", wrong)) == 1
    assert "no example" in doc_examples.run("_", lambda: None)[0]


def test_a_wrong_example_on_a_page_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doc_examples, "DOCS", tmp_path)
    (tmp_path / "page.md").write_text("```pycon\n>>> 1 + 1\n2\n```\n\n>>> 2 + 2\n5\n")
    (failure,) = doc_examples.run_page("page.md")
    assert "2 + 2" in failure
    (tmp_path / "empty.md").write_text("nothing\n")
    assert "no example" in doc_examples.run_page("empty.md")[0]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_are_complete(name: str) -> None:
    function = doc_examples.public_names()[name]
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    for parameter in signature.parameters:
        assert re.search(rf"^    {parameter}: ", text, re.M), f"{parameter} is not described"
    if signature.return_annotation != "None":
        assert "\nReturns:\n" in text
    assert re.search(r"ynchronise|Waits", text), "does it synchronise?"
    never_fails = "Never raises" in text or name == "is_compiled_with_mps"
    assert never_fails != ("\nRaises:\n" in text)


def test_the_public_names_are_sorted_and_complete() -> None:
    for module in [paddle_mps, *PARTS]:
        assert module.__all__ == sorted(module.__all__)
    mine = {
        name
        for name, thing in vars(paddle_mps).items()
        if not name.startswith("_") and getattr(thing, "__module__", "").startswith("paddle_mps")
    }
    assert mine == set(paddle_mps.__all__)


def test_the_page_of_variables_is_fresh() -> None:
    assert env_md.PAGE.read_text(encoding="utf-8") == env_md.page()


def test_the_plugin_reads_the_variables_that_the_page_shows() -> None:
    assert _library.require("test").env() == [tuple(row) for row in env_md.rows()]
