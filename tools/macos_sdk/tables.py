"""What Apple's frameworks declare, as data: the files in api/, read into one look-up.

The files say what exists (names, types, values, first macOS). They are facts from public sources,
which each file names, with their date; README.md describes the fields. Nothing is declared or
checked anywhere in this project that is not looked up here.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

API = Path(__file__).resolve().parent / "api"
# Later ones use earlier ones, never the other way round.
FRAMEWORKS = ("corefoundation", "dispatch", "os", "iokit", "foundation", "metal", "mps", "mpsgraph")


class SdkError(Exception):
    """Something is asked for that the tables do not have."""


@dataclass
class Method:
    """One selector of one type; a property's accessors are methods, too."""

    selector: str
    returns: str
    args: list[str]
    macos: str
    class_method: bool = False
    nullable_return: bool = False
    variadic: bool = False
    optional: bool = False
    deprecated: str | bool | None = None
    property: str | None = None  # the property that it reads or writes


@dataclass
class Property:
    """One declared property."""

    name: str
    type: str
    macos: str
    readonly: bool = False
    nullable: bool = False
    class_property: bool = False
    getter: str = ""
    setter: str = ""
    attrs: list[str] = field(default_factory=list)
    deprecated: str | bool | None = None


@dataclass
class Type:
    """A class or a protocol, categories merged in."""

    name: str
    kind: str  # "class" or "protocol"
    framework: str
    macos: str
    super: str | None = None
    conforms: list[str] = field(default_factory=list)
    generics: list[str] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    methods: dict[str, Method] = field(default_factory=dict)  # key: selector, or "+selector"
    properties: dict[str, Property] = field(default_factory=dict)


def version(text: str) -> tuple[int, ...]:
    """Read a macOS version, so that it can be compared."""
    return tuple(int(part) for part in text.split("."))


def property_of(name: str, row: dict) -> Property:
    """Read a property; its accessors have their usual names unless the row gives others."""
    bare = name.lstrip("+")
    fields = {key: row[key] for key in Property.__dataclass_fields__ if key in row}
    fields.setdefault("getter", bare)
    fields.setdefault("setter", f"set{bare[0].upper()}{bare[1:]}:")
    return Property(name=bare, **fields)


def accessors(prop: Property) -> list[Method]:
    """Give the methods that a property stands for."""
    common = {
        "macos": prop.macos,
        "class_method": prop.class_property,
        "deprecated": prop.deprecated,
        "property": prop.name,
    }
    found = [Method(prop.getter, prop.type, [], nullable_return=prop.nullable, **common)]
    if not prop.readonly:
        argument = prop.type + (" _Nullable" if prop.nullable else "")
        found.append(Method(prop.setter, "void", [argument], **common))
    return found


class Tables:
    """All files of api/ together."""

    def __init__(self, folder: Path = API) -> None:
        """Read the files."""
        self.types: dict[str, Type] = {}
        self.plain: dict[str, dict[str, tuple[str, object]]] = {
            kind: {}
            for kind in ("enums", "structs", "typedefs", "functions", "globals", "constants")
        }
        for framework in FRAMEWORKS:
            data = json.loads((folder / f"{framework}.json").read_text(encoding="utf-8"))
            for kind, rows in (("class", data["classes"]), ("protocol", data["protocols"])):
                for name, row in rows.items():
                    # NSObject is both; code that speaks of one rarely cares about the other.
                    key = f"<{name}>" if name in self.types else name
                    self.types[key] = self._type(name, kind, framework, row)
            for kind, rows in self.plain.items():
                rows.update({name: (framework, row) for name, row in data[kind].items()})

    @staticmethod
    def _type(name: str, kind: str, framework: str, row: dict) -> Type:
        heads = ("super", "conforms", "generics", "unavailable")
        found = Type(name, kind, framework, row["macos"], **{k: row[k] for k in heads if k in row})
        for key, fields in row["properties"].items():
            found.properties[key] = property_of(key, fields)
        for prop in found.properties.values():
            for method in accessors(prop):
                known = found.methods.get(method.selector)
                both = known and known.class_method != method.class_method
                found.methods["+" * bool(both) + method.selector] = method
        for key, fields in row["methods"].items():
            wanted = {k: v for k, v in fields.items() if k in Method.__dataclass_fields__}
            wanted.setdefault("args", [])
            found.methods[key] = Method(key.lstrip("+"), **wanted)
        return found

    def protocol(self, name: str) -> Type | None:
        """Find a protocol, also one that shares its name with a class."""
        found = self.types.get(f"<{name}>") or self.types.get(name)
        return found if found and found.kind == "protocol" else None

    def ancestry(self, name: str) -> list[Type]:
        """Give a type and all that it inherits from, nearest first."""
        found: list[Type] = []
        waiting = [self.types[name]]
        while waiting:
            one = waiting.pop(0)
            if one in found:
                continue
            found.append(one)
            if one.super:
                waiting.append(self.types[one.super])
            waiting += [p for p in map(self.protocol, one.conforms) if p]
        return found

    def resolve(self, name: str, member: str) -> tuple[Type, list[Method], Property | None]:
        """Find a selector or property of a type, where it is declared."""
        for owner in self.ancestry(name):
            prop = owner.properties.get(member)
            if prop is None:
                method = owner.methods.get(member)
                prop = owner.properties.get(method.property) if method and method.property else None
            if prop is not None:
                return owner, accessors(prop), prop
            if member in owner.methods:
                return owner, [owner.methods[member]], None
        raise SdkError(
            f"{name} has no member '{member}': expected one that api/ lists, nearest: "
            f"{', '.join(self.nearest(name, member)) or 'none'}. Correct the name, or add it to "
            f"api/{self.types[name].framework}.json."
        )

    def nearest(self, name: str, member: str) -> list[str]:
        """Guess what was meant: members of that type first, then those of any type."""
        own = {key for one in self.ancestry(name) for key in {**one.methods, **one.properties}}
        found = difflib.get_close_matches(member, sorted(own), n=3, cutoff=0.6)
        for one in self.types.values():
            if member in one.methods or member in one.properties:
                found.append(f"{one.name}'s {member}")
        return found[:6]

    def nearest_name(self, name: str) -> list[str]:
        """Guess which type, function, enum or constant was meant."""
        names = set(self.types).union(*self.plain.values())
        return difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.6)

    def selectors(self) -> set[str]:
        """Give every selector that any type has."""
        return {method.selector for one in self.types.values() for method in one.methods.values()}


def identifiers(type_text: str) -> list[str]:
    """List the names in the spelling of a type."""
    return re.findall(r"[A-Za-z_]\w*", type_text)
