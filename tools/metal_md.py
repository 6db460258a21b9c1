"""Writes the table of nodes into docs/metal.md, from the tables that legalisation and lowering use.

plugin/core/nodes.def names each node's method of MPSGraph, plugin/metal/legal/compositions.def what
is done instead of it or beside it, plugin/metal/legal/workarounds.def which defects that avoids.

With --check nothing is written; the exit status is 1 if the page is not what would be written.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from generated_page import serve

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "metal.md"
NODES = ROOT / "plugin" / "core" / "nodes.def"
LEGAL = ROOT / "plugin" / "metal" / "legal"
TESTS = ROOT / "tests" / "cpp"

BEGIN = "<!-- begin: tools/metal_md.py -->\n"
END = "<!-- end: tools/metal_md.py -->\n"
OLDEST = 120
NUMBERS = {"kFloats": "floats", "kIntegers": "integers", "kNumbers": ""}


class Workaround(NamedTuple):
    """One row of workarounds.def."""

    name: str
    node: str
    until: int
    link: str
    defect: str
    remedy: str
    test: str


def rows(path: Path, macro: str) -> list[list[str]]:
    """Read the rows of one macro: their arguments, without quotes."""
    text = path.read_text(encoding="utf-8")
    found = []
    for line in re.findall(rf"^{macro}\((.*)\)$", text, re.M):
        parts = re.findall(r'"((?:[^"\\]|\\.)*)"|([^",\s][^",]*)', line)
        found.append([words or bare.strip() for words, bare in parts])
    count = len(re.findall(rf"^{macro}\(", text, re.M))
    if len(found) != count or not found:
        raise ValueError(f"[metal_md] cannot read {path}: expected {count} rows of {macro}.")
    return found


def nodes() -> dict[str, tuple[str, int]]:
    """Find method and release of every node."""
    return {
        kind: (rest[2] if len(rest) == 4 else "", int(rest[-1]))
        for kind, *rest in rows(NODES, "MPS_NODE")
    }


def compositions() -> dict[str, list[tuple[str, str]]]:
    """Find what pointwise nodes become: dtypes (empty: all) and words."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, numbers, _, words in rows(LEGAL / "compositions.def", "MPS_COMPOSITION"):
        found.setdefault(kind, []).append((NUMBERS[numbers], words))
    return found


def rewrites() -> dict[str, tuple[int, str]]:
    """Find what other nodes become: release and words."""
    table = rows(LEGAL / "compositions.def", "MPS_REWRITE")
    return {kind: (int(macos), words) for kind, macos, words in table}


def workarounds() -> list[Workaround]:
    """Read the defects; a row whose test does not exist is an error."""
    table = rows(LEGAL / "workarounds.def", "MPS_WORKAROUND")
    found = [Workaround(row[0], row[1], int(row[2]), *row[3:]) for row in table]
    tests = {
        (suite, question)
        for file in TESTS.rglob("*.cc")
        for suite, question in re.findall(
            r"^TEST_[FP]\((\w+), (\w+)\)", file.read_text(encoding="utf-8"), re.M
        )
    }
    for row in found:
        suite, _, question = row.test.partition(".")
        if not any(s == suite and question in ("", q) for s, q in tests):
            raise ValueError(f"[metal_md] {row.name}: no test {row.test} in {TESTS}.")
    return found


def release(times_ten: int) -> str:
    """Spell a release of macOS."""
    return f"{times_ten // 10}.{times_ten % 10}"


def cell(text: str) -> str:
    """Keep text from ending its cell."""
    return text.replace("|", "\\|")


def node_table() -> str:
    """Return the table of nodes."""
    pointwise, others = compositions(), rewrites()
    known = nodes()
    for kind in [*pointwise, *others]:
        if kind not in known:
            raise ValueError(f"[metal_md] compositions.def: {kind} is no row of nodes.def.")
    lines = ["| node | MPSGraph | macOS | what else | defects avoided |\n|---|---|---|---|---|\n"]
    for kind, (selector, macos) in known.items():
        words = [
            f"{numbers}: {text}" if numbers else text for numbers, text in pointwise.get(kind, [])
        ]
        since = macos
        replaced = any(not numbers for numbers, _ in pointwise.get(kind, [])) or selector == ""
        if kind in others:
            since, text = others[kind]
            words.append(text)
        avoided = [f"`{row.name}`" for row in workarounds() if row.node == kind]
        method = "a composition" if replaced else f"`{selector}`"
        lines.append(
            f"| `{kind}` | {method} | {release(max(since, OLDEST))} | {cell('; '.join(words))} "
            f"| {', '.join(avoided)} |\n"
        )
    return "".join(lines)


def workaround_table() -> str:
    """Return the table of defects."""
    lines = [
        "| defect | what goes wrong | before macOS | what we do | test |\n|---|---|---|---|---|\n"
    ]
    for row in workarounds():
        until = release(row.until) if row.until else "any"
        lines.append(
            f"| [`{row.name}`]({row.link}) | {cell(row.defect)} | {until} | {cell(row.remedy)} "
            f"| `{row.test}` |\n"
        )
    return "".join(lines)


def page() -> str:
    """Return the text of docs/metal.md with fresh tables."""
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"[metal_md] {PAGE} has no place for the tables: expected {BEGIN} and {END}"
        )
    return f"{before}{BEGIN}\n{node_table()}\n{workaround_table()}\n{END}{after}"


if __name__ == "__main__":
    sys.exit(serve(__doc__, PAGE, page))
