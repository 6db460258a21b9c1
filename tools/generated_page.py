"""The command line of the tools that generate a page of docs: env_md, metal_md, ops_md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def serve(doc: str, path: Path, page: Callable[[], str]) -> int:
    """Write the page, or with --check compare it; return the exit status."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    name = f"docs/{path.name}"
    parser.add_argument(
        "--check", action="store_true", help=f"write nothing; fail if {name} is out of date"
    )
    check = parser.parse_args().check
    text = page()
    if not check:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{name} is out of date: run tools/{Path(sys.argv[0]).name}", file=sys.stderr)
    return 1
