"""What of the tables is declared: used.txt, and whatever that needs to be understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tables import Method, Property, SdkError, Tables, Type, identifiers, version

USED = Path(__file__).with_name("used.txt")
# Names that are the compiler's, or that come with zig's copy of Apple's C headers.
C_NAMES = set(
    """_Nullable _Nonnull void id instancetype const float double char Class SEL IMP long short
    unsigned int bool struct Protocol size_t va_list int32_t int64_t uint8_t uint32_t uint64_t
    _NSZone intptr_t uintptr_t kern_return_t mach_port_t os_log_t
    dispatch_data_t dispatch_object_t dispatch_queue_t dispatch_queue_global_t dispatch_semaphore_t
    dispatch_source_t dispatch_source_type_s OS_dispatch_queue_attr
    __CFAllocator __CFData __CFDictionary __CFNumber __CFString""".split()
)


@dataclass
class Chosen:
    """The chosen part of one class or protocol."""

    type: Type
    methods: dict[str, Method] = field(default_factory=dict)
    properties: dict[str, Property] = field(default_factory=dict)


def words_of(path: Path) -> list[tuple[int, str, str | None]]:
    """Read a list of used names: line number, name, and for a member the name of its type."""
    found = []
    owner = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.split("#")[0].rstrip()
        if not text:
            continue
        if text[0] != " ":
            owner = text
            found.append((number, text, None))
        elif owner is None:
            raise SdkError(f"{path.name}:{number}: '{text.strip()}' belongs to no type.")
        else:
            found.append((number, text.strip(), owner))
    return found


class Selection:
    """The part of the tables that headers, stubs and checks are about."""

    def __init__(self, tables: Tables, oldest: str, path: Path = USED) -> None:
        """Choose what the file names; `oldest` is the macOS that the result has to run on."""
        self.tables = tables
        self.oldest = version(oldest)
        self.types: dict[str, Chosen] = {}
        self.plain: dict[str, dict[str, tuple[str, object]]] = {kind: {} for kind in tables.plain}
        for number, name, owner in words_of(path):
            try:
                if owner is None:
                    self._add_named(name)
                else:
                    self._add_member(owner, name)
            except SdkError as error:
                raise SdkError(f"[macos_sdk] {path.name}:{number}: {error}") from None

    def _add_named(self, name: str) -> None:
        if name in self.tables.types:
            self.add_type(name)
        elif not self._add_plain(name):
            nearest = ", ".join(self.tables.nearest_name(name)) or "none"
            raise SdkError(
                f"'{name}' is unknown: expected a type, function, global, enum or constant of "
                f"api/, nearest: {nearest}. Correct the name, or add it to a file of api/."
            )

    def _add_plain(self, name: str) -> bool:
        for kind, rows in self.tables.plain.items():
            if name not in rows:
                continue
            if name in self.plain[kind]:
                return True
            framework, row = rows[name]
            self.plain[kind][name] = (framework, row)
            if kind == "structs":
                for _, text in row:
                    self._add_names_in(text)
            elif kind == "typedefs":
                self._add_names_in(row)
            elif kind == "functions":
                self._add_names_in(row["returns"], *row.get("args", []))
            else:
                self._add_names_in(row["type"])
            return True
        return False

    def add_type(self, name: str) -> Chosen:
        """Declare a type, without members, and what it inherits from."""
        if name not in self.types:
            one = self.tables.types[name]
            self.types[name] = Chosen(one)
            if one.super:
                self.add_type(one.super)
            for protocol in one.conforms:
                found = self.tables.protocol(protocol)
                if found:  # NSCoding and the like, which nothing here uses, are left out
                    self.add_type(
                        f"<{protocol}>" if f"<{protocol}>" in self.tables.types else protocol
                    )
        return self.types[name]

    def _add_member(self, owner: str, member: str) -> None:
        if member == "*":
            self._add_all(self.add_type(owner))
            return
        found, methods, prop = self.tables.resolve(owner, member)
        key = f"<{found.name}>" if self.tables.types[found.name] is not found else found.name
        chosen = self.add_type(key)
        if prop is not None:
            self._add_property(chosen, prop)
        for method in methods:
            if prop is None:
                self._add_method(chosen, method)

    def _add_all(self, chosen: Chosen) -> None:
        one = chosen.type
        for prop in one.properties.values():
            if not self._outdated(prop.deprecated):
                self._add_property(chosen, prop)
        for method in one.methods.values():
            if method.property is None and not self._outdated(method.deprecated):
                self._add_method(chosen, method)

    def _outdated(self, deprecated: str | bool | None) -> bool:
        return isinstance(deprecated, str) and version(deprecated) <= self.oldest

    def _add_property(self, chosen: Chosen, prop: Property) -> None:
        chosen.properties["+" * prop.class_property + prop.name] = prop
        self._add_names_in(prop.type, generics=chosen.type.generics)

    def _add_method(self, chosen: Chosen, method: Method) -> None:
        chosen.methods["+" * method.class_method + method.selector] = method
        self._add_names_in(method.returns, *method.args, generics=chosen.type.generics)

    def _add_names_in(self, *texts: str, generics: list[str] = ()) -> None:
        for name in {name for text in texts for name in identifiers(text)}:
            if name in C_NAMES or name in generics:
                continue
            if name in self.tables.types:
                self.add_type(name)
            elif not self._add_plain(name):
                raise SdkError(
                    f"the type '{name}' is unknown: expected one that api/ lists, got a member "
                    "that needs it. Add it to a file of api/, or to C_NAMES in used.py."
                )
