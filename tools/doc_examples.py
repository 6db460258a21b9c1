"""Runs every example in the package's public docstrings and in some pages, on the device.

A public function without an example fails too. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = (
    "quantization.md",
    "streams_and_memory.md",
)  # with examples to be run, in order, in one namespace
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


PARTS = ("functional", "nn", "optimizer")  # packages inside the package


def public_names() -> dict[str, Any]:
    """Return what the package and its parts offer, and the package itself."""
    import paddle_mps

    names = {"paddle_mps": paddle_mps} | {
        name: getattr(paddle_mps, name) for name in paddle_mps.__all__
    }
    for part in PARTS:
        module = importlib.import_module(f"paddle_mps.{part}")
        names |= {f"{part}.{name}": getattr(module, name) for name in module.__all__}
    return names


def needs_example(thing: Any) -> bool:
    """Say whether a name must show how it is used; what functions return is shown there."""
    return not inspect.isclass(thing)


def run(name: str, thing: Any) -> list[str]:
    """Run one docstring's examples; return what failed, as text."""
    finder = doctest.DocTestFinder(recurse=False)
    tests = [test for test in finder.find(thing, name, globs={}) if test.examples]
    if not tests:
        return [f"{name}: no example in its docstring\n"] if needs_example(thing) else []
    return _failures(tests)


def run_page(name: str) -> list[str]:
    """Run the examples of a page; return what failed, as text."""
    text = (DOCS / name).read_text(encoding="utf-8")
    text = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)  # would be taken for output
    test = doctest.DocTestParser().get_doctest(text, {}, name, str(DOCS / name), 0)
    return _failures([test]) if test.examples else [f"{name}: no example\n"]


def _failures(tests: list[doctest.DocTest]) -> list[str]:
    failures: list[str] = []
    for test in tests:
        runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
        runner.run(test, out=failures.append)
    return failures


def main() -> int:
    """Run all examples; return the exit status."""
    import paddle
    import paddle_mps

    if not paddle_mps.is_available():
        print(f"The examples need a device. {paddle_mps.unavailable_reason()}", file=sys.stderr)
        return 1
    paddle.set_device("mps")
    results = [run(name, thing) for name, thing in public_names().items()]
    results += [run_page(name) for name in PAGES]
    failed = sum(bool(failures) for failures in results)
    sys.stdout.write("".join(text for failures in results for text in failures))
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
