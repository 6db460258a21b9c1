"""The tables as the checks read them: plain look-ups in the JSON files."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

API = Path(__file__).resolve().parents[2] / "tools" / "macos_sdk" / "api"


@cache
def files() -> list[dict[str, Any]]:
    """Read every file of facts."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(API.glob("*.json"))]


def rows(kind: str) -> dict[str, Any]:
    """Give all rows of a kind ("enums", "functions", ...)."""
    return {name: row for data in files() for name, row in data[kind].items()}


@cache
def members() -> dict[tuple[str, str, str], dict[str, Any]]:
    """Give every method and property: (type, "+", "-" or "@", name) joined -> its row."""
    found = {}
    for kind in ("protocols", "classes"):
        for name, one in rows(kind).items():
            for key, row in one["methods"].items():
                sign = "+" if row.get("class_method") else "-"
                found[name, sign, key.lstrip("+")] = row
            for key, row in one["properties"].items():
                sign = "@+" if row.get("class_property") else "@-"
                found[name, sign, key.lstrip("+")] = row
    return found


@cache
def selectors() -> set[str]:
    """Give every selector, those of properties included."""
    found = set()
    for (_, sign, name), row in members().items():
        if not sign.startswith("@"):
            found.add(name)
            continue
        found.add(row.get("getter", name))
        if not row.get("readonly"):
            found.add(row.get("setter", f"set{name[0].upper()}{name[1:]}:"))
    return found


def first_macos(symbol: str) -> str | None:
    """Tell which macOS first had a symbol ("_OBJC_CLASS_$_MTLHeap", "_NSLog"); None: not a row."""
    for prefix in ("_OBJC_CLASS_$_", "_OBJC_METACLASS_$_"):
        if symbol.startswith(prefix):
            one = rows("classes").get(symbol[len(prefix) :])
            return one and one["macos"]
    row = rows("functions").get(symbol[1:]) or rows("globals").get(symbol[1:])
    return row and row["macos"]


@cache
def library(name: str) -> set[str]:
    """Read what a library of the system exports."""
    lines = (API / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def plain(text: str) -> str:
    """Bring clang's spelling of a type and the tables' to one form."""
    text = re.sub(
        r"\b(_Nonnull|__strong|__autoreleasing|__unsafe_unretained|enum|struct)\b", "", text
    )
    text = text.replace("(void)", "()").replace("_Bool", "bool")
    # A _Nullable of its own word may be glued to what follows; nothing else needs a space there.
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ?([*<>(),^\[\]]) ?", r"\1", text)
    text = re.sub(r" ?_Nullable", " _Nullable", text).strip()
    # `const id` and `id const` are one type.
    return re.sub(r"\bconst (id(?:<\w+>)?(?: _Nullable)?)", r"\1 const", text)


def version(text: str) -> tuple[int, ...]:
    """Read a macOS version, so that it can be compared; 10.0 and 10.15 are older than 12.0."""
    return tuple(int(part) for part in text.split("."))
