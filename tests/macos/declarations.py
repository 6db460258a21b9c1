"""What clang makes of our headers: its syntax tree, turned into a list of declarations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macos import cross


@dataclass
class Declared:
    """One declaration of one of our headers."""

    kind: str  # method, property, class, protocol, enum, constant, field, function, global, typedef
    owner: str  # its class, protocol, enum or struct
    name: str
    type: str  # of a function or method: of its result
    args: list[str] = field(default_factory=list)
    sign: str = ""  # "-", "+": method; "@-", "@+": property
    gate: str = "10.0"
    deprecated: str | None = None
    value: int | None = None
    readonly: bool = False
    variadic: bool = False
    supers: list[str] = field(default_factory=list)


def syntax_tree(headers: list[str], include: Path, folder: Path) -> dict[str, Any]:
    """Let clang read headers and tell what it understood."""
    (folder / "all.mm").write_text("".join(f"#include <{h}>\n" for h in headers), encoding="utf-8")
    lib = cross.zig().parent / "lib"
    # The bare compiler: through `zig c++` it would be asked for an object file, too.
    command = [cross.zig(), "clang", "-target", f"arm64-apple-macos{cross.OLDEST}"]
    command += ["-x", "objective-c++", "-std=c++17", "-fobjc-arc", "-nostdinc"]
    command += ["-isystem", lib / "include", "-isystem", lib / "libc/include/any-darwin-any"]
    command += ["-I", include, "-fsyntax-only", "-Xclang", "-ast-dump=json", "all.mm"]
    process = cross.run(*command, folder=folder)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


class Reader:
    """Walks the tree in the order in which it was printed.

    clang leaves out a file's name where it is that of the location printed before, so the order
    matters. Versions are not part of the printed tree: they are read from the header's text, at the
    place where clang says that the attribute stands.
    """

    def __init__(self, include: Path) -> None:
        """Say which folder's declarations are wanted."""
        self.include = include
        self.file = ""
        self.texts: dict[str, str] = {}

    def locate(self, node: Any) -> None:
        """Note in each location which file it is in."""
        if isinstance(node, list):
            for one in node:
                self.locate(one)
        elif isinstance(node, dict):
            if "offset" in node:
                self.file = node.get("file", self.file)
                node["file"] = self.file
            for one in node.values():
                if isinstance(one, (dict, list)):
                    self.locate(one)

    def is_ours(self, node: dict[str, Any]) -> bool:
        """Tell whether one of the wanted headers declares this."""
        place = node.get("loc", {})
        place = place.get("expansionLoc", place)
        return Path(place.get("file", "/")).is_relative_to(self.include)

    def gates(self, node: dict[str, Any]) -> tuple[str, str | None]:
        """Read the first and the last macOS of a declaration."""
        gate, deprecated = "10.0", None
        for attribute in node.get("inner", []):
            if attribute["kind"] != "AvailabilityAttr":
                continue
            place = attribute["range"]["begin"].get("expansionLoc", attribute["range"]["begin"])
            if place["file"] not in self.texts:
                self.texts[place["file"]] = Path(place["file"]).read_text(encoding="utf-8")
            text = self.texts[place["file"]][place["offset"] :]
            clauses = re.match(r"availability\(macos,([\w=.,]+)\)", text)[1].split(",")
            for word, number in (clause.split("=") for clause in clauses):
                if word == "introduced":
                    gate = number
                else:
                    deprecated = number
        return gate, deprecated

    def read(self, tree: dict[str, Any]) -> Iterator[Declared]:
        """List the declarations of our headers."""
        self.locate(tree)
        yield from self.visit(tree["inner"], "")

    def visit(self, nodes: list[dict[str, Any]], owner: str) -> Iterator[Declared]:
        """List what these nodes declare."""
        options = ""  # an enum without a name belongs to the typedef before it
        for node in nodes:
            kind = node["kind"]
            if kind == "LinkageSpecDecl":
                yield from self.visit(node.get("inner", []), owner)
                continue
            if not self.is_ours(node) or node.get("isImplicit"):
                continue
            method = getattr(self, f"on_{kind}", None)
            if method is not None:
                yield from method(node, node.get("name") or options, owner)
            options = node.get("name", "") if kind == "TypedefDecl" else ""

    def make(
        self, kind: str, node: dict[str, Any], owner: str, type_text: str, **more: Any
    ) -> Declared:
        """Fill in what every declaration has."""
        gate, deprecated = self.gates(node)
        more.setdefault("name", node.get("name", ""))
        return Declared(kind, owner, type=type_text, gate=gate, deprecated=deprecated, **more)

    def container(self, kind: str, node: dict[str, Any], name: str) -> Iterator[Declared]:
        """List a class or protocol with its members; a mere announcement declares nothing."""
        if "range" not in node or not self.is_definition(node):
            return
        supers = [node["super"]["name"]] if "super" in node else []
        supers += [f"<{protocol['name']}>" for protocol in node.get("protocols", [])]
        yield self.make(kind, node, "", "", supers=supers)
        yield from self.visit(node.get("inner", []), name)

    def is_definition(self, node: dict[str, Any]) -> bool:
        """Tell a definition by its @end."""
        end = node["range"]["end"]
        end = end.get("expansionLoc", end)
        if end["file"] not in self.texts:
            self.texts[end["file"]] = Path(end["file"]).read_text(encoding="utf-8")
        text = self.texts[end["file"]]
        return text[end["offset"] - 1 : end["offset"] + 3] == "@end"

    def on_ObjCInterfaceDecl(self, node, name, owner):  # noqa: N802
        """Handle @interface."""
        yield from self.container("class", node, name)

    def on_ObjCProtocolDecl(self, node, name, owner):  # noqa: N802
        """Handle @protocol."""
        yield from self.container("protocol", node, name)

    def on_ObjCMethodDecl(self, node, name, owner):  # noqa: N802
        """Handle a method that is not a property's."""
        args = [one["type"]["qualType"] for one in parameters(node)]
        yield self.make(
            "method",
            node,
            owner,
            node["returnType"]["qualType"],
            args=args,
            sign="-" if node.get("instance") else "+",
            variadic=bool(node.get("variadic")),
        )

    def on_ObjCPropertyDecl(self, node, name, owner):  # noqa: N802
        """Handle a property."""
        yield self.make(
            "property",
            node,
            owner,
            node["type"]["qualType"],
            sign="@+" if node.get("class") else "@-",
            readonly=bool(node.get("readonly")),
        )

    def on_EnumDecl(self, node, name, owner):  # noqa: N802
        """Handle an enumeration and its constants."""
        constants = [one for one in node.get("inner", []) if one["kind"] == "EnumConstantDecl"]
        if not constants:
            return
        yield self.make("enum", node, "", node["fixedUnderlyingType"]["qualType"], name=name)
        for one in constants:
            (value,) = [i["value"] for i in one["inner"] if i["kind"] == "ConstantExpr"]
            yield self.make("constant", one, name, "", value=int(value))

    def on_CXXRecordDecl(self, node, name, owner):  # noqa: N802
        """Handle the fields of a struct."""
        for one in node.get("inner", []):
            if one["kind"] == "FieldDecl":
                yield self.make("field", one, name, one["type"]["qualType"])

    def on_FunctionDecl(self, node, name, owner):  # noqa: N802
        """Handle a function."""
        args = [one["type"]["qualType"] for one in parameters(node)]
        result = node["type"]["qualType"].split("(")[0]
        variadic = bool(node.get("variadic"))
        yield self.make("function", node, "", result, args=args, variadic=variadic)

    def on_VarDecl(self, node, name, owner):  # noqa: N802
        """Handle a global, or a constant with its value."""
        values = list(literals(node.get("inner", [])))
        value = values[0] if values else None
        yield self.make("global", node, "", node["type"]["qualType"], value=value)

    def on_TypedefDecl(self, node, name, owner):  # noqa: N802
        """Handle another name for a type."""
        yield self.make("typedef", node, "", node["type"]["qualType"])


def parameters(node: dict[str, Any]) -> list[dict[str, Any]]:
    """List the parameters of a function or method."""
    return [one for one in node.get("inner", []) if one["kind"] == "ParmVarDecl"]


def literals(nodes: list[dict[str, Any]]) -> Iterator[int]:
    """Find the integer that a constant is."""
    for node in nodes:
        if node["kind"] == "IntegerLiteral":
            yield int(node["value"])
        yield from literals(node.get("inner", []))
