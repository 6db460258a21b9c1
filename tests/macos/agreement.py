"""Where declarations and tables disagree: types, nullability, values, macOS versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from macos import tables
from macos.declarations import Declared
from macos.tables import plain


def of(declared: list[Declared], kind: str) -> list[Declared]:
    """Give those of one kind; there are always some."""
    found = [one for one in declared if one.kind == kind]
    assert found, f"no {kind} was read: the reader is broken"
    return found


def typed(text: str, nullable: Any) -> str:
    """Write a table's type with the nullability that it keeps beside it."""
    text = plain(text)
    if not nullable:
        return text
    return text.replace("(^)", "(^ _Nullable)", 1) if "(^)" in text else f"{text} _Nullable"


def effective(one: Declared, row: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the first macOS as declared and as in the tables: a member is no older than its type.

    Where a method overrides an older one, clang drops the newer version from the method; the type
    still has it.
    """
    owner = tables.rows("classes").get(one.owner) or tables.rows("protocols").get(one.owner)
    oldest = tables.version(owner["macos"] if owner else "10.0")
    told = tables.version(row["macos"] or "10.0")
    return max(tables.version(one.gate), oldest), max(told, oldest)


def differences(one: Declared, row: dict[str, Any], type_key: str, nullable_key: str) -> list[str]:
    """Compare what a declaration and its row say."""
    compared = [
        ("type", plain(one.type), typed(row[type_key], row.get(nullable_key))),
        ("first macOS", *effective(one, row)),
        ("arguments", [plain(a) for a in one.args], [plain(a) for a in row.get("args", [])]),
        ("readonly", one.readonly, bool(row.get("readonly"))),
        ("variadic", one.variadic, bool(row.get("variadic"))),
    ]
    deprecated = row.get("deprecated")
    if isinstance(deprecated, str):
        compared.append(("last macOS", one.deprecated, deprecated))
    where = f"{one.sign}[{one.owner} {one.name}]" if one.owner else one.name
    return [f"{where}: {what} is {a}, the tables say {b}" for what, a, b in compared if a != b]


def members(declared: list[Declared]) -> Iterator[str]:
    """Compare methods and properties."""
    for one in of(declared, "method") + of(declared, "property"):
        row = tables.members().get((one.owner, one.sign, one.name))
        if row is None:
            known = tables.rows("classes").get(one.owner, {}).get("unavailable", [])
            if f"{one.sign}{one.name}" not in known:
                yield f"{one.sign}[{one.owner} {one.name}] is not in the tables"
            continue
        keys = ("type", "nullable") if one.kind == "property" else ("returns", "nullable_return")
        yield from differences(one, row, *keys)


def types(declared: list[Declared]) -> Iterator[str]:
    """Compare classes and protocols: their version, and what they inherit from."""
    for kind, rows in (("class", tables.rows("classes")), ("protocol", tables.rows("protocols"))):
        for one in of(declared, kind):
            row = rows[one.name]
            if one.gate != row["macos"]:
                yield f"{one.name}: first macOS is {one.gate}, the tables say {row['macos']}"
            known = {row.get("super"), *(f"<{name}>" for name in row.get("conforms", []))}
            yield from (f"{one.name} is no {name}" for name in one.supers if name not in known)
            if row.get("super") and row["super"] not in one.supers:
                yield f"{one.name}: its superclass {row['super']} is not declared"


def enums(declared: list[Declared]) -> Iterator[str]:
    """Compare enumerations and the values of their constants."""
    for one in of(declared, "enum"):
        row = tables.rows("enums")[one.name]
        # The type of an option set is written as the set's own name, which is a name for it.
        if plain(one.type) not in (row["type"], one.name):
            yield f"{one.name}: type is {one.type}, the tables say {row['type']}"
        if one.gate != row["macos"]:
            yield f"{one.name}: first macOS is {one.gate}, the tables say {row['macos']}"
        gates = row.get("constants_macos", {})
        want = {
            name: (value, gates.get(name, "10.0"))
            for name, value in row["constants"].items()
            if gates.get(name) != "unavailable"
        }
        got = {c.name: (c.value, c.gate) for c in of(declared, "constant") if c.owner == one.name}
        yield from (
            f"{name}: is {got.get(name)}, the tables say {want.get(name)}"
            for name in sorted(set(got) | set(want))
            if got.get(name) != want.get(name)
        )


def structs(declared: list[Declared]) -> Iterator[str]:
    """Compare the fields of structs, in order."""
    got: dict[str, list[list[str]]] = {}
    for one in of(declared, "field"):
        got.setdefault(one.owner, []).append([one.name, plain(one.type)])
    for name, fields in got.items():
        want = [[field, plain(kind)] for field, kind in tables.rows("structs")[name]]
        if fields != want:
            yield f"{name}: fields are {fields}, the tables say {want}"


def plain_names(declared: list[Declared]) -> Iterator[str]:
    """Compare functions, globals, constants and names of types."""
    for one in of(declared, "function"):
        yield from differences(
            one, tables.rows("functions")[one.name], "returns", "nullable_return"
        )
    for one in of(declared, "global"):
        if one.name == "__dso_handle":  # the linker's; os/signpost.h needs it
            continue
        constant = tables.rows("constants").get(one.name)
        row = constant or tables.rows("globals")[one.name]
        kind = plain(row["type"].removesuffix(" const"))
        if plain(one.type) not in (f"{kind} const", f"const {kind}", f"{kind}const"):
            yield f"{one.name}: type is {one.type}, the tables say {row['type']}"
        if constant and one.value != constant["value"]:
            yield f"{one.name}: is {one.value}, the tables say {constant['value']}"
        if not constant and one.gate != row["macos"]:
            yield f"{one.name}: first macOS is {one.gate}, the tables say {row['macos']}"
    for one in of(declared, "typedef"):
        row = tables.rows("typedefs").get(one.name)
        if one.name == "os_log_t":  # written by a macro of Apple's os/object.h
            continue
        if row is None:
            enum = tables.rows("enums").get(one.name)
            row = enum["type"] if enum and enum["kind"] == "NS_OPTIONS" else one.name
        if plain(one.type) != plain(row):
            yield f"{one.name}: type is {one.type}, the tables say {row}"


def disagreements(declared: list[Declared]) -> list[str]:
    """List everything in which the headers and the tables differ."""
    checks = (members, types, enums, structs, plain_names)
    return [text for check in checks for text in check(declared)]
