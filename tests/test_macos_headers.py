"""Every declaration that we compile for macOS against agrees with the tables.

clang reads the generated headers back; what it understood is compared, in types, nullability,
values and macOS versions, with the JSON files, without the code that wrote the headers. Then each
kind of deliberate mistake in a header, a list or a table is shown to be noticed.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from macos import agreement, cross, declarations, tables
from macos.declarations import Declared

HEADERS = [
    "Foundation/Foundation.h",
    "Metal/Metal.h",
    "MetalPerformanceShaders/MetalPerformanceShaders.h",
    "MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h",
    "IOKit/IOKitLib.h",
    "os/signpost.h",
]
USED = cross.ROOT / "tools" / "macos_sdk" / "used.txt"


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Headers as they are generated now, in a folder of their own."""
    cross.need_build()
    folder = tmp_path_factory.mktemp("sdk")
    process = cross.generate(folder)
    assert process.returncode == 0, process.stderr
    return folder


def read(folder: Path) -> list[Declared]:
    """What clang makes of the headers below the folder."""
    include = folder / "include"
    tree = declarations.syntax_tree(HEADERS, include, folder)
    return list(declarations.Reader(include).read(tree))


@pytest.fixture(scope="module")
def declared(sdk: Path) -> list[Declared]:
    """All declarations of our headers."""
    return read(sdk)


def test_headers_agree_with_the_tables(declared: list[Declared]) -> None:
    wrong = agreement.disagreements(declared)
    assert not wrong, "\n".join(wrong)
    assert len(declared) > 1500, "the reader misses declarations"


def test_what_is_used_is_declared(declared: list[Declared]) -> None:
    """A name of used.txt that reaches no header would leave the check above with less to do."""
    names = {name for one in declared for name in (one.owner, one.name)} | foreign_names()
    missing = []
    for line in USED.read_text(encoding="utf-8").splitlines():
        name = line.split("#")[0].strip()
        # A property is found by its name, its getter (isX) and its setter (setX:).
        prop = re.sub(r"^(set|is)([A-Z])", lambda m: m[2].lower(), name.rstrip(":"))
        if name not in ("", "*") and not {name, prop} & names:
            missing.append(name)
    assert not missing, missing


def foreign_names() -> set[str]:
    """Names that Apple's own headers declare, of which zig has copies."""
    folder = cross.zig().parent / "lib/libc/include/any-darwin-any"
    paths = [*(folder / "dispatch").glob("*.h"), folder / "objc" / "NSObject.h"]
    words = set(re.findall(r"\w+", "".join(path.read_text(encoding="utf-8") for path in paths)))
    return words | {f"{word}:" for word in words}  # selectors are written with their arguments


GRAPH = "MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h"


@pytest.mark.parametrize(
    ("header", "right", "wrong", "noticed"),
    [
        ("Metal/Metal.h", "(NSUInteger)a1 atIndex:", "(int)a1 atIndex:", "arguments"),
        ("Metal/Metal.h", "(readonly) NSUInteger length", "(readonly) int length", "type is int"),
        ("Metal/Metal.h", "(readonly) NSUInteger length", "NSUInteger length", "readonly is False"),
        ("Metal/Metal.h", "newFence ", "newFense ", "newFense] is not in the tables"),
        ("Metal/Metal.h", "MTLHeapTypePlacement = 1", "MTLHeapTypePlacement = 2", "is (2, "),
        ("Metal/Metal.h", "NSUInteger align;", "long align;", "MTLSizeAndAlign: fields"),
        (GRAPH, "introduced=15.0", "introduced=14.0", "first macOS is (14, 0)"),
        (GRAPH, "name:(NSString* _Nullable)", "name:(NSString*)", "arguments"),
        (
            GRAPH,
            "@interface MPSGraphType : MPSGraphObject",
            "@interface MPSGraphType : NSObject",
            "",
        ),
        ("IOKit/IOKitLib.h", "(mach_port_t a1", "(long a1", "arguments"),
    ],
)
def test_a_wrong_header_is_noticed(
    sdk: Path, tmp_path: Path, header: str, right: str, wrong: str, noticed: str
) -> None:
    shutil.copytree(sdk / "include", tmp_path / "include")
    path = tmp_path / "include" / header
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    found = agreement.disagreements(read(tmp_path))
    assert any(noticed in line for line in found), found[:5]


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ("MTLBuffer\n  lenght\n", ["used.txt:2", "MTLBuffer has no member 'lenght'", "length"]),
        (
            "MTLHeapDescripter\n",
            ["used.txt:1", "'MTLHeapDescripter' is unknown", "MTLHeapDescriptor"],
        ),
        ("MTLHeap\n  newCommandQueue\n", ["used.txt:2", "MTLDevice's newCommandQueue"]),
        ("  contents\n", ["belongs to no type"]),
    ],
)
def test_a_wrong_name_is_told_with_its_place(tmp_path: Path, used: str, words: list[str]) -> None:
    process = cross.generate(tmp_path, used)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    for word in words:
        assert word in process.stderr


# What lowering sends unary, binary and compare nodes with: typed function pointers.
TENSOR, NAME = "MPSGraphTensor*", "NSString* _Nullable"
ARGUMENTS = {
    "kUnary": [TENSOR, NAME],
    "kBinary": [TENSOR, TENSOR, NAME],
    "kCompare": [TENSOR, TENSOR, NAME],
}


def test_the_node_table_names_real_methods() -> None:
    """plugin/core/nodes.def says which MPSGraph method a node becomes, and since which macOS."""
    text = (cross.ROOT / "plugin" / "core" / "nodes.def").read_text(encoding="utf-8")
    rows = re.findall(r'^MPS_NODE\((\w+), (\w+),[^"]*"([^"]*)",\s*(\d+)\)', text, re.M)
    assert len(rows) > 30
    wrong = []
    for kind, family, selector, macos in rows:
        if selector == "":
            continue
        row = tables.members().get(("MPSGraph", "-", selector))
        if row is None:
            wrong.append(f"{kind}: MPSGraph has no {selector}")
            continue
        if tables.version(row["macos"]) != divmod(int(macos), 10):
            wrong.append(f"{kind}: {selector} is of macOS {row['macos']}, the row says {macos}")
        expected = ARGUMENTS.get(family, row["args"])
        if [row["returns"], *row["args"]] != [TENSOR, *expected]:
            wrong.append(f"{kind}: {selector} does not take and return what a {family} node does")
    assert not wrong, "\n".join(wrong)


def test_the_words_on_nodes_name_real_methods() -> None:
    path = cross.ROOT / "plugin" / "metal" / "legal" / "compositions.def"
    selectors = re.findall(r"`((?:\w+:)+)`", path.read_text(encoding="utf-8"))
    assert len(selectors) > 5
    assert [s for s in selectors if ("MPSGraph", "-", s) not in tables.members()] == []
