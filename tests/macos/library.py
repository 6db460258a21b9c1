"""What is in a library for macOS, and what is wrong with it.

LIEF reads the format. The rules are ours: problems() lists every one that a library breaks.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import lief

from macos import cross, tables

DYNAMIC_LOOKUP = -2  # the library is not named: whoever has the symbol
CODE_DIRECTORY = 0xFADE0C02
AD_HOC = 0x2
SYSTEM = re.compile(r"/usr/lib/lib(System\.B|c\+\+\.1|objc\.A)\.dylib$")
FRAMEWORK = re.compile(r"/System/Library/Frameworks/(\w+)\.framework/Versions/[A-Z]/\1$")


class NotArm64(Exception):
    """The file is of another kind of machine."""


def read(path: Path) -> lief.MachO.Binary:
    """Read a library with one architecture."""
    lief.logging.disable()  # it finds fault with empty sections
    fat = lief.MachO.parse(str(path))
    binary = fat.take(lief.MachO.Header.CPU_TYPE.ARM64) if fat else None
    if binary is None:
        raise NotArm64(path)
    return binary


def undefined(binary: lief.MachO.Binary) -> dict[str, tuple[str, bool]]:
    """Give each symbol that the library takes from others: whose it is, and whether it is weak.

    Weak: the library loads where the symbol is missing. The name of the other is "" for a symbol
    that is looked up in all libraries of the process.
    """
    found: dict[str, tuple[str, bool]] = {}
    for binding in binary.bindings:
        # The linker's wish that copies of one inline function be one; each library has its own.
        coalescing = binding.binding_class == lief.MachO.DyldBindingInfo.CLASS.WEAK
        if coalescing or not binding.has_symbol:
            continue
        name = binding.symbol.name
        owner = binding.library.name if binding.has_library else ""
        weak = binding.weak_import and found.get(name, ("", True))[1]
        found[name] = (owner, weak)
    return found


def selectors(binary: lief.MachO.Binary) -> set[str]:
    """Give every selector that the library sends or implements."""
    section = binary.get_section("__objc_methname")
    if section is None:
        return set()
    return {text.decode() for text in bytes(section.content).split(b"\0") if text}


def own_selectors(binary: lief.MachO.Binary) -> set[str]:
    """Give the selectors of the library's own classes, by the names of their methods' code."""
    found = {".cxx_construct", ".cxx_destruct"}
    for symbol in binary.symbols:
        match = re.match(r"[-+]\[\w+(?:\(\w+\))? ([^\]]+)\]$", symbol.name)
        if match:
            found.add(match[1])
    return found


def signature_problems(path: Path, binary: lief.MachO.Binary) -> Iterator[str]:
    """Check the signature: without a right one arm64 macOS ends the process."""
    if not binary.has_code_signature:
        yield "it is not signed"
        return
    data = path.read_bytes()
    start = binary.code_signature.data_offset
    _, _, count = struct.unpack_from(">III", data, start)
    directories = 0
    for index in range(count):
        _, offset = struct.unpack_from(">II", data, start + 12 + 8 * index)
        at = start + offset
        if struct.unpack_from(">I", data, at)[0] != CODE_DIRECTORY:
            continue
        directories += 1
        words = struct.unpack_from(">IIIIIIIIIBBBB", data, at)
        flags, hashes, slots, limit = words[3], words[4], words[7], words[8]
        size, kind, page = words[9], words[10], 1 << words[12]
        if not flags & AD_HOC:
            yield "its signature is not an ad hoc one"
        if (size, kind) != (32, 2) or slots != -(-limit // page) or limit != start:
            yield "its signature does not cover the file by SHA-256"
            continue
        for slot in range(slots):
            part = data[slot * page : min((slot + 1) * page, limit)]
            at_hash = at + hashes + slot * size
            if hashlib.sha256(part).digest() != data[at_hash : at_hash + size]:
                yield f"its signature is wrong for page {slot}"
    if directories == 0:
        yield "its signature has no code directory"


@cache
def system_symbols() -> set[str]:
    """Give what libSystem exports, from the stub of Apple's that zig ships."""
    text = (cross.zig().parent / "lib/libc/darwin/libSystem.tbd").read_text(encoding="utf-8")
    return set(re.findall(r"[ ,\[]'?(_[\w$.]+)'?[,\s]", text)) | {"dyld_stub_binder"}


@cache
def exported(path: Path) -> set[str]:
    """Give what a library of Paddle's exports."""
    binary = read(path)  # must outlive what it lists
    return {symbol.name for symbol in binary.exported_symbols}


@cache
def demangler() -> tuple[ctypes._CFuncPtr, ctypes._CFuncPtr]:
    """Find the C++ library's function for the purpose, and the one that frees what it gives."""
    demangle = ctypes.CDLL("libstdc++.so.6").__cxa_demangle
    demangle.restype = ctypes.c_void_p
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    return demangle, free


def demangled(name: str) -> str:
    """Write a C++ symbol as declared, without what differs between Linux and macOS.

    libstdc++ and libc++ keep strings in inner namespaces of their own, and int64_t is `long` on one
    and `long long` on the other.
    """
    demangle, free = demangler()
    status = ctypes.c_int()
    address = demangle(name.encode(), None, None, ctypes.byref(status))
    if status.value != 0 or address is None:
        return name
    text = ctypes.string_at(address).decode()
    free(address)
    text = re.sub(r"std::__(1|cxx11)::", "std::", text).replace("long long", "long")
    return re.sub(r"\[abi:cxx11\]", "", text).replace("> >", ">>")


@cache
def custom_device_symbols() -> set[str]:
    """Give what a Paddle with custom devices exports: the one for Linux is such a one.

    The wheel for macOS is built without, so its libraries cannot tell.
    """
    import importlib.util

    package = Path(importlib.util.find_spec("paddle").origin).parent
    found = set()
    for name in ("libphi_core.so", "libphi.so", "libcommon.so"):
        library = lief.ELF.parse(str(package / "libs" / name))
        found |= {symbol.name for symbol in library.exported_symbols}
    return {demangled(name) for name in found}


def stray_addresses(binary: lief.MachO.Binary) -> set[int]:
    """Give the addresses that code computes (adrp, then add) and where nothing of the library is.

    The linker makes them of symbols that it takes from another library but code takes for its own.
    """
    sections = [(s.virtual_address, s.virtual_address + s.size) for s in binary.sections]
    text = binary.get_section("__text")
    words = struct.unpack(f"<{text.size // 4}I", bytes(text.content)[: text.size // 4 * 4])
    header = binary.imagebase
    pages: dict[int, int] = {}
    stray = set()
    for number, word in enumerate(words):
        target, source = word & 31, word >> 5 & 31
        if word & 0x9F000000 == 0x90000000:  # adrp
            high = (word >> 29 & 3) | (word >> 5 & 0x7FFFF) << 2
            page = (text.virtual_address + 4 * number) // 4096 + (high ^ 1 << 20) - (1 << 20)
            pages[target] = 4096 * page
        elif word & 0xFFC00000 == 0x91000000 and source in pages:  # add of a number
            address = pages.pop(source) + (word >> 10 & 0xFFF)
            # The header itself is what code calls __dso_handle; an end may be an address, too.
            if address != header and not any(start <= address <= end for start, end in sections):
                stray.add(address)
        else:
            pages.pop(target, None)
    return stray


def owner_problem(name: str, owner: str) -> str | None:
    """Say what is wrong with taking a symbol from a library; None: nothing."""
    if owner == "":
        if demangled(name[1:]) in custom_device_symbols():
            return None
        return f"nobody provides {demangled(name[1:])}: neither the system nor Paddle"
    if owner.startswith("@rpath/"):
        library = Path(cross.cached("PADDLE_DIR")) / "libs" / owner[len("@rpath/") :]
        return None if name in exported(library) else f"{library.name} does not export {name}"
    system = SYSTEM.match(owner)
    if system:
        known = {
            "System.B": system_symbols,
            "c++.1": lambda: tables.library("libcxx"),
            "objc.A": lambda: (
                tables.library("libobjc") | {"_OBJC_CLASS_$_NSObject", "_OBJC_METACLASS_$_NSObject"}
            ),
        }[system[1]]()
        return None if name in known else f"{owner} does not export {name}"
    framework = FRAMEWORK.match(owner)
    if framework is None:
        return f"{name} is taken from {owner}, which no Mac has"
    if tables.first_macos(name) or name == "___CFConstantStringClassReference":
        return None
    return f"{framework[1]} does not export {name}, as far as the tables know"


def problems(path: Path, exports: set[str], python: bool = False) -> list[str]:
    """List what is wrong with a library that should export these symbols.

    An extension module of Python's takes Python's own symbols from the program that loads it.
    """
    try:
        binary = read(path)
    except NotArm64:
        return ["it is not for arm64"]
    found = list(signature_problems(path, binary))
    oldest = tables.version(cross.OLDEST)
    build = binary.build_version
    if build is None or build.platform != lief.MachO.BuildVersion.PLATFORMS.MACOS:
        found.append("it is not for macOS")
    elif tuple(build.minos)[: len(oldest)] != oldest:
        found.append(f"it asks for macOS {build.minos}, not for {cross.OLDEST}")
    missing = exports - {symbol.name for symbol in binary.exported_symbols}
    found += [f"it does not export {name}" for name in sorted(missing)]

    for name, (owner, weak) in sorted(undefined(binary).items()):
        if python and owner == "" and re.match("__?Py", name):
            continue
        trouble = owner_problem(name, owner)
        if trouble is not None:
            found.append(trouble)
        since = tables.first_macos(name)
        if since is not None and tables.version(since) > oldest and not weak:
            found.append(f"{name} is of macOS {since} but not weak: older ones cannot load this")
    stray = sorted(map(hex, stray_addresses(binary)))
    if stray:
        found.append(f"its code takes addresses where nothing is: {', '.join(stray[:5])}")
    unknown = selectors(binary) - tables.selectors() - own_selectors(binary)
    found += [f"no class has a selector {name}" for name in sorted(unknown)]
    if str(cross.ROOT).encode() in path.read_bytes():
        found.append(f"it names {cross.ROOT}, a folder of this machine")
    return found
