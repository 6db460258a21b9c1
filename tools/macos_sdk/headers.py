"""Header text from a Selection: every declaration with its types, nullability and first macOS.

Two flavours. "apple" is complete and is what plugin/metal is cross-built against. "gnustep" leaves
Foundation to GNUstep, for the Linux test double, and is otherwise the same text.
"""

from __future__ import annotations

import re
from pathlib import Path

from tables import Method, Property, Type, identifiers
from used import Chosen, Selection

# framework -> (header, what it includes)
HEADERS = {
    "corefoundation": ("CoreFoundation/CoreFoundation.h", ["<stdint.h>"]),
    "foundation": (
        "Foundation/Foundation.h",
        ["<objc/NSObject.h>", "<stdarg.h>", "<CoreFoundation/CoreFoundation.h>"],
    ),
    "dispatch": ("dispatch/dispatch.h", ["<Foundation/Foundation.h>", "<stdint.h>"]),
    "metal": ("Metal/Metal.h", ["<Foundation/Foundation.h>", "<dispatch/dispatch.h>"]),
    "mps": (
        "MetalPerformanceShaders/MetalPerformanceShaders.h",
        ["<Foundation/Foundation.h>", "<Metal/Metal.h>"],
    ),
    "mpsgraph": (
        "MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h",
        ["<MetalPerformanceShaders/MetalPerformanceShaders.h>"],
    ),
    "iokit": ("IOKit/IOKitLib.h", ["<CoreFoundation/CoreFoundation.h>"]),
    "os": ("os/signpost.h", ["<stdbool.h>", "<stdint.h>"]),
}
# Headers that somebody else writes: zig has Apple's dispatch, GNUstep has its own Foundation.
FOREIGN = {"apple": {"dispatch"}, "gnustep": {"foundation"}}
# Declared by objc/NSObject.h, objc/objc.h and objc/NSObjCRuntime.h, which both flavours have.
RUNTIME = {"NSObject", "<NSObject>", "BOOL", "NSInteger", "NSUInteger"}
BASE = "macos_sdk_base.h"
HERE = Path(__file__).resolve().parent
BASE_TEXT = """\
// Written by tools/macos_sdk. What its headers have in common.
#pragma once
#ifdef __cplusplus
#define MACOS_SDK_EXTERN extern "C"
#else
#define MACOS_SDK_EXTERN extern
#endif
"""
DISPATCH_OBJECTS = ("data", "object", "queue", "queue_attr", "semaphore", "source")
# What must stand before a header's own declarations, by framework and flavour.
PRELUDES = {
    ("foundation", "apple"): [
        '#define NS_ASSUME_NONNULL_BEGIN _Pragma("clang assume_nonnull begin")',
        '#define NS_ASSUME_NONNULL_END _Pragma("clang assume_nonnull end")',
    ],
    # Objects, as on a Mac: the same code owns them in the same way.
    ("dispatch", "gnustep"): [
        "@protocol OS_dispatch_object <NSObject>",
        "@end",
        *(
            f"@protocol OS_dispatch_{name} <OS_dispatch_object>\n@end"
            for name in DISPATCH_OBJECTS
            if name != "object"
        ),
        *(
            f"typedef NSObject<OS_dispatch_{name}>* dispatch_{name}_t;"
            for name in DISPATCH_OBJECTS
            if name != "queue_attr"
        ),
        "typedef dispatch_queue_t dispatch_queue_global_t;",
        "struct dispatch_source_type_s;",
        "#define DISPATCH_QUEUE_SERIAL nil",
        "#define DISPATCH_DATA_DESTRUCTOR_DEFAULT nil",
        "#define DISPATCH_TIME_NOW (0ull)",
        "#define DISPATCH_TIME_FOREVER (~0ull)",
        "#define DISPATCH_SOURCE_TYPE_MEMORYPRESSURE (&_dispatch_source_type_memorypressure)",
        "enum { DISPATCH_MEMORYPRESSURE_NORMAL = 1, DISPATCH_MEMORYPRESSURE_WARN = 2,",
        "       DISPATCH_MEMORYPRESSURE_CRITICAL = 4 };",
    ],
    ("iokit", "apple"): ["#include <mach/mach.h>"],
    ("iokit", "gnustep"): ["typedef unsigned int mach_port_t;", "typedef int kern_return_t;"],
    ("os", "apple"): ["#include <os/object.h>", "OS_OBJECT_DECL(os_log);"],
    ("os", "gnustep"): [
        "#include <Foundation/Foundation.h>",
        "@protocol OS_os_log;",
        "typedef NSObject<OS_os_log>* os_log_t;",
    ],
    # GNUstep 1.28 has no such type.
    ("metal", "gnustep"): ["typedef NSString* NSErrorUserInfoKey;"],
}


def gate(macos: str | None, deprecated: str | bool | None = None) -> str:
    """Write the attributes for a first and a last macOS; 10.0 means since ever."""
    # Not macros: clang's own account of a declaration would show their names in place of types.
    clauses = [] if macos in (None, "10.0") else [f"introduced={macos}"]
    clauses += [f"deprecated={deprecated}"] if isinstance(deprecated, str) else []
    if not clauses:
        return ""
    return f" __attribute__((availability(macos,{','.join(clauses)})))"


def owned(type_text: str) -> str:
    """Say who owns the objects of an array, which ARC wants to know: the caller does."""
    return re.sub(r"^id _Nullable\*", "id __unsafe_unretained _Nullable*", type_text)


def named(type_text: str, name: str) -> str:
    """Declare a name with a type: blocks, function pointers and arrays take it in the middle."""
    type_text = owned(type_text)
    array = re.search(r"(\[\d*\])$", type_text)
    if array:
        return f"{type_text[: array.start()]} {name}{array[0]}"
    pointer = re.search(r"\((\^|\*)( _Nullable)?\)", type_text)
    if pointer:
        middle = f"({pointer[1]}{pointer[2] or ''} {name})"
        return type_text[: pointer.start()] + middle + type_text[pointer.end() :]
    if type_text.endswith(")"):  # a function type
        head, rest = type_text.split("(", 1)
        return f"{head.rstrip()} {name}({rest}"
    return f"{type_text} {name}"


def returned(type_text: str, nullable: bool) -> str:
    """Write the type of a result."""
    if not nullable:
        return type_text
    block = re.search(r"\(\^\)", type_text)
    if block:
        return type_text.replace("(^)", "(^ _Nullable)", 1)
    return f"{type_text} _Nullable"


def method_text(method: Method) -> str:
    """Write one method declaration."""
    sign = "+" if method.class_method else "-"
    text = f"{sign} ({returned(method.returns, method.nullable_return)})"
    parts = method.selector.split(":")
    if not method.args:
        text += parts[0]
    else:
        words = (
            f"{part}:({owned(arg)})a{number}"
            for number, (part, arg) in enumerate(zip(parts, method.args), 1)
        )
        text += " ".join(words)
    if method.variadic:
        text += ", ..."
        count = len(method.args)
        if method.args[-1] == "NSString*" and parts[-2].lower().endswith("format"):
            text += f" __attribute__((format(__NSString__, {count}, {count + 1})))"
        elif method.args[-1] in ("ObjectType", "id"):
            text += " __attribute__((sentinel(0, 1)))"
    return text + gate(method.macos, method.deprecated) + ";"


def property_text(prop: Property) -> str:
    """Write one property declaration."""
    words = ["class"] if prop.class_property else []
    words += prop.attrs
    if prop.readonly:
        words.append("readonly")
    if prop.nullable:
        words.append("nullable")
    if prop.getter != prop.name:
        words.append(f"getter={prop.getter}")
    if not prop.readonly and prop.setter != f"set{prop.name[0].upper()}{prop.name[1:]}:":
        words.append(f"setter={prop.setter}")
    head = f"@property ({', '.join(words)}) " if words else "@property "
    return f"{head}{named(prop.type, prop.name)}{gate(prop.macos, prop.deprecated)};"


def type_text(chosen: Chosen, protocols: set[str]) -> str:
    """Write one @interface or @protocol."""
    one = chosen.type
    conforms = [name for name in one.conforms if name in protocols]
    lines = []
    if one.kind == "protocol":
        lines.append(gate(one.macos).strip())
        lines.append(f"@protocol {one.name}" + (f" <{', '.join(conforms)}>" if conforms else ""))
    else:
        generics = ", ".join(f"__covariant {name}" for name in one.generics)
        lines.append(gate(one.macos).strip())
        lines.append(
            f"@interface {one.name}"
            + (f"<{generics}>" if generics else "")
            + (f" : {one.super}" if one.super else "")
            + (f" <{', '.join(conforms)}>" if conforms else "")
        )
    for entry in one.unavailable:
        sign, selector = entry[0], entry[1:]
        if selector in ("init", "new"):
            lines.append(f"{sign} (instancetype){selector} __attribute__((unavailable));")
    lines += [property_text(p) for _, p in sorted(chosen.properties.items())]
    methods = [m for _, m in sorted(chosen.methods.items())]
    lines += [method_text(m) for m in methods if not m.optional]
    optional = [method_text(m) for m in methods if m.optional]
    if optional:
        lines += ["@optional", *optional]
    return "\n".join([line for line in lines if line] + ["@end", ""])


def literal(value: int) -> str:
    """Write an integer so that no compiler finds it too large."""
    return f"{value}u" if value > 0x7FFFFFFF else str(value)


def enum_text(name: str, row: dict) -> str:
    """Write an enumeration as the macros NS_ENUM and NS_OPTIONS would in C++ and in C."""
    gates = row.get("constants_macos", {})
    constants = [
        f"  {constant}{gate(gates.get(constant))} = {literal(value)},"
        for constant, value in row["constants"].items()
        if gates.get(constant) != "unavailable"
    ]
    body = "\n".join(["{", *constants, "}"])
    if row["kind"] == "NS_OPTIONS":
        return f"typedef {row['type']} {name};\nenum : {name} {body}{gate(row['macos'])};\n"
    head = f"typedef enum {name} : {row['type']} {name};\n"
    attributes = "__attribute__((enum_extensibility(open)))" + gate(row["macos"])
    return f"{head}enum {attributes} {name} : {row['type']} {body};\n"


def function_text(name: str, row: dict) -> str:
    """Write a function; the inline ones fill a struct from its fields."""
    args = row.get("args", [])
    result = returned(row["returns"], row.get("nullable_return", False))
    consumed = row.get("cf_consumes", [])
    parameters = ", ".join(
        ("__attribute__((cf_consumed)) " if number in consumed else "") + named(arg, f"a{number}")
        for number, arg in enumerate(args, 1)
    )
    if row.get("variadic"):
        parameters += ", ..."
    if row.get("inline"):
        values = ", ".join(f"a{number}" for number in range(1, len(args) + 1))
        return (
            f"static inline {result} {name}({parameters}) {{\n"
            f"  {row['returns']} value = {{{values}}};\n  return value;\n}}\n"
        )
    text = f"MACOS_SDK_EXTERN {result} {name}({parameters or 'void'})"
    if row.get("variadic"):
        text += f" __attribute__((format(__NSString__, {len(args)}, {len(args) + 1})))"
    if row.get("returns_retained"):
        text += " __attribute__((ns_returns_retained))"
    if row.get("cf_returns_retained"):
        text += " __attribute__((cf_returns_retained))"
    return f"{text}{gate(row['macos'])};\n"


def sorted_by_need(names: list[str], needs: dict[str, set[str]]) -> list[str]:
    """Order names so that each comes after those it needs."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        for other in sorted(needs[name]):
            if other in needs and other != name:
                visit(other)
        done.append(name)

    for name in sorted(names):
        visit(name)
    return done


class Writer:
    """Writes the headers of one flavour."""

    def __init__(self, selection: Selection, flavour: str) -> None:
        """Take what to declare and "apple" or "gnustep"."""
        self.selection = selection
        self.flavour = flavour
        self.protocols = {
            c.type.name for c in selection.types.values() if c.type.kind == "protocol"
        }

    def skipped(self, name: str) -> bool:
        """Tell whether a header that we do not write declares the name."""
        return name in RUNTIME

    def rows(self, kind: str, framework: str) -> dict[str, object]:
        """Give the chosen rows of a kind that belong to a framework."""
        rows = self.selection.plain[kind]
        return {
            n: row for n, (owner, row) in rows.items() if owner == framework and not self.skipped(n)
        }

    def chosen(self, framework: str) -> dict[str, Chosen]:
        """Give the chosen types of a framework."""
        types = self.selection.types.items()
        return {k: c for k, c in types if c.type.framework == framework and not self.skipped(k)}

    def needed_by(self, types: list[str]) -> set[str]:
        """Name what must be complete before these types are written.

        Of a class it is enough to know that it is one, unless it is the key of a dictionary, which
        has to be known to be copyable.
        """
        found = set()
        for text in types:
            found |= set(re.findall(r"NSDictionary<(\w+)\*", text))
            found |= {name for name in identifiers(text) if name not in self.selection.types}
        return found

    def declarations(self, framework: str) -> list[str]:
        """Write types of all kinds, each after those that it needs complete."""
        text, needs = {}, {}
        for name, row in self.rows("enums", framework).items():
            text[name], needs[name] = enum_text(name, row), {row["type"]}
        for name, row in self.rows("typedefs", framework).items():
            text[name] = f"typedef {named(row, name)};\n"
            needs[name] = self.needed_by([row])
        for name, row in self.rows("structs", framework).items():
            fields = "".join(f"  {named(kind, field)};\n" for field, kind in row)
            text[name] = f"typedef struct {name} {{\n{fields}}} {name};\n"
            needs[name] = self.needed_by([kind for _, kind in row])
        for key, chosen in self.chosen(framework).items():
            one = chosen.type
            text[key] = type_text(chosen, self.protocols)
            used = [p.type for p in chosen.properties.values()]
            for method in chosen.methods.values():
                used += [method.returns, *method.args]
            types = set(one.conforms) | {one.super or ""}
            needs[key] = types | self.needed_by(used)
        return [text[name] for name in sorted_by_need(list(text), needs)]

    def header(self, framework: str) -> str:
        """Write one header."""
        path, includes = HEADERS[framework]
        lines = [
            f"// {path}: written by tools/macos_sdk from its tables; do not edit.",
            "#pragma once",
        ]
        lines += [f"#include {name}" for name in includes]
        lines.append(f'#include "{BASE}"')
        lines += PRELUDES.get((framework, self.flavour), [])
        # A class may well inherit from one that was put beneath it later (MPSGraphObject).
        lines += [
            "#pragma clang diagnostic push",
            '#pragma clang diagnostic ignored "-Wunguarded-availability"',
            '#pragma clang diagnostic ignored "-Wunguarded-availability-new"',
            '#pragma clang diagnostic ignored "-Wavailability"',
            '#pragma clang diagnostic ignored "-Wobjc-property-no-attribute"',
            # Pointers to pointers say nothing about their second star.
            '#pragma clang diagnostic ignored "-Wnullability-completeness"',
            "#pragma clang assume_nonnull begin",
            "",
        ]
        chosen = self.chosen(framework)
        lines += [forward(chosen[key].type) for key in sorted(chosen)]
        lines += self.declarations(framework)
        for name, row in sorted(self.rows("constants", framework).items()):
            lines.append(f"static const {row['type']} {name} = {literal(row['value'])};")
        for name, row in sorted(self.rows("functions", framework).items()):
            lines.append(function_text(name, row))
        for name, row in sorted(self.rows("globals", framework).items()):
            constant = row["type"] + ("" if row["type"].endswith("const") else " const")
            lines.append(f"MACOS_SDK_EXTERN {named(constant, name)}{gate(row['macos'])};")
        lines += ["#pragma clang assume_nonnull end", "#pragma clang diagnostic pop", ""]
        extra = HERE / "include" / path
        if extra.exists():
            lines.append(extra.read_text(encoding="utf-8"))
        return "\n".join(lines)

    def write(self, folder: Path) -> list[Path]:
        """Write all headers of the flavour below the folder."""
        texts = {BASE: BASE_TEXT}
        for framework, (path, _) in HEADERS.items():
            if framework not in FOREIGN[self.flavour]:
                texts[path] = self.header(framework)
        for path, text in texts.items():
            write_if_changed(folder / path, text)
        return [folder / path for path in texts]


def forward(one: Type) -> str:
    """Announce a type."""
    if one.kind == "protocol":
        return f"@protocol {one.name};"
    generics = ", ".join(one.generics)
    return f"@class {one.name}" + (f"<{generics}>" if generics else "") + ";"


def write_if_changed(path: Path, text: str) -> None:
    """Leave a file alone that is right, so that nothing is compiled again for it."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
