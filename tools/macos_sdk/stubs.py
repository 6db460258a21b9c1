"""Text stubs (.tbd) for the linker: which library exports which of the chosen symbols."""

from __future__ import annotations

from pathlib import Path

from headers import write_if_changed
from tables import API
from used import Selection

# Our names for the tables -> the framework, and where it lies on a Mac. A framework re-exports what
# it is built on (Foundation: CoreFoundation and libobjc), so a symbol may be looked for in it even
# where a part of it has the symbol.
FRAMEWORKS = {
    "corefoundation": ("CoreFoundation", "A"),
    "foundation": ("Foundation", "C"),
    "iokit": ("IOKit", "A"),
    "metal": ("Metal", "A"),
    "mps": ("MetalPerformanceShaders", "A"),
    "mpsgraph": ("MetalPerformanceShadersGraph", "A"),
}
LIBRARIES = {"libobjc": "/usr/lib/libobjc.A.dylib", "libcxx": "/usr/lib/libc++.1.dylib"}
# Constant strings: @"" and CFSTR("").
LITERALS = {"corefoundation": ["___CFConstantStringClassReference"]}


def stub(install_name: str, symbols: list[str], classes: list[str]) -> str:
    """Write one stub."""
    text = (
        "--- !tapi-tbd\ntbd-version:     4\ntargets:         [ arm64-macos ]\n"
        f"install-name:    '{install_name}'\nexports:\n  - targets:         [ arm64-macos ]\n"
    )
    if symbols:
        text += f"    symbols:         [ {', '.join(sorted(symbols))} ]\n"
    if classes:
        text += f"    objc-classes:    [ {', '.join(sorted(classes))} ]\n"
    return text + "...\n"


def symbols_of_library(name: str) -> list[str]:
    """Read a list of symbols of api/."""
    lines = (API / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def write(selection: Selection, folder: Path) -> None:
    """Write all stubs below the folder: frameworks for -F, libraries as files."""
    for key, (name, letter) in FRAMEWORKS.items():
        symbols = list(LITERALS.get(key, []))
        for kind in ("functions", "globals"):
            symbols += [
                f"_{symbol}"
                for symbol, (owner, row) in selection.plain[kind].items()
                if owner == key and not row.get("inline")
            ]
        classes = [
            chosen.type.name
            for chosen in selection.types.values()
            if chosen.type.framework == key
            and chosen.type.kind == "class"
            and chosen.type.name != "NSObject"
        ]
        install = f"/System/Library/Frameworks/{name}.framework/Versions/{letter}/{name}"
        path = folder / f"{name}.framework" / f"{name}.tbd"
        write_if_changed(path, stub(install, symbols, classes))
    for name, install in LIBRARIES.items():
        classes = ["NSObject"] if name == "libobjc" else []
        write_if_changed(folder / f"{name}.tbd", stub(install, symbols_of_library(name), classes))
