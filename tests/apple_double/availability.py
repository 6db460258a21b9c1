"""Write the table of selectors and classes that are newer than the oldest macOS, for the double.

python tests/apple_double/availability.py --out build/double/availability.inc

One row each: APPLE_DOUBLE_NEWER(type, is_protocol, sign, selector, major, minor); the row of a type
itself has "" as its selector.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "tools" / "macos_sdk" / "api"
FRAMEWORKS = ("metal", "mps", "mpsgraph")


def version(text: str) -> tuple[int, int]:
    """Read "13.3"; a third number, as in 10.13.4, plays no role."""
    major, minor, *_ = [*text.split("."), "0"]
    return int(major), int(minor)


def selectors(members: dict) -> list[tuple[str, str, str]]:
    """List sign, selector and first macOS of everything that can be sent to a type."""
    rows = []
    for name, method in members["methods"].items():
        sign = "+" if method.get("class_method") else "-"
        rows.append((sign, name.lstrip("+"), method["macos"]))
    for name, prop in members["properties"].items():
        sign = "+" if prop.get("class_property") else "-"
        rows.append((sign, prop.get("getter", name), prop["macos"]))
        if not prop.get("readonly"):
            setter = prop.get("setter", f"set{name[0].upper()}{name[1:]}:")
            rows.append((sign, setter, prop["macos"]))
    return rows


def rows() -> list[str]:
    """Write the rows of all frameworks."""
    oldest = version((ROOT / "MACOS_TARGET").read_text(encoding="utf-8").strip())
    text = []
    for framework in FRAMEWORKS:
        tables = json.loads((API / f"{framework}.json").read_text(encoding="utf-8"))
        for kind in ("classes", "protocols"):
            for name, members in sorted(tables[kind].items()):
                # Of a protocol every selector matters: an older one may declare it as well.
                found = [] if kind == "protocols" else [("+", "", members["macos"])]
                for sign, selector, macos in found + sorted(selectors(members)):
                    if kind == "classes" and version(macos) <= oldest:
                        continue
                    major, minor = version(macos)
                    text.append(
                        f'APPLE_DOUBLE_NEWER("{name}", {int(kind == "protocols")}, '
                        f"'{sign}', \"{selector}\", {major}, {minor})"
                    )
    return text


def main() -> int:
    """Serve CMake."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join([*rows(), ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
