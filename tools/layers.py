"""Refuse includes that point the wrong way.

The rooms of this project depend on each other in one direction only (docs/architecture.md). That is
what lets core, graphs and the host device build and be tested with neither Paddle nor a Mac.

    python tools/layers.py [file ...]       without files: everything under git
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (".h", ".cc", ".mm", ".def", ".metal", ".inc")

# Room -> what its files may include besides the standard library. A room is a folder with all that
# is below it; of two, the longer name counts. A file name allows that one file.
ROOMS: dict[str, set[str]] = {
    # What POSIX has and C++ has not; nothing of a system's own.
    "plugin/core": {"pthread.h", "dirent.h", "fcntl.h", "sys/stat.h", "unistd.h"},
    "plugin/host": {"plugin/core", "kernels/custom", "oneDNN", "system"},
    "plugin/null": {"plugin/core"},
    "plugin/metal": {"plugin/core", "kernels/custom", "Apple", "system"},
    # Opened by any Paddle, so it must not need ours: one C header, and the dynamic linker.
    "plugin/loader": {"Paddle", "system", "mach-o/dyld.h"},
    # Legalisation: for the host device that refuses what a Mac could not do.
    "plugin/paddle": {
        "plugin/core",
        "plugin/metal/legal/legal.h",
        "Paddle",
        "system",
    },
    "kernels": set(),  # tables
    "kernels/graphs": {"plugin/core", "kernels"},
    "kernels/custom": {"plugin/core"},
    "kernels/ops": {
        "plugin/paddle",
        "plugin/core",
        "kernels",
        "kernels/graphs",
        "kernels/custom",
        "Paddle",
    },
    # Python sees the plugin through one C struct.
    "python/paddle_mps/_C": {
        "plugin/paddle/exports.h",
        "plugin/core/figures.def",
        "Python",
        "system",
    },
    # Apple's frameworks themselves, for Linux. Its files are not checked: they include what is
    # generated for them.
    "tests/apple_double": {"plugin/core", "plugin/host", "Apple", "GoogleTest", "system"},
    "tests/cpp": {
        "tests/apple_double/double.h",
        "plugin/core",
        "plugin/host",
        "plugin/null",
        "plugin/metal",
        "kernels",
        "kernels/graphs",
        "kernels/custom",
        "GoogleTest",
        "system",
    },
}

# Whose header an angle-bracket include is. Anything else with a slash or with ".h" is "system".
OWNERS = (
    ("Paddle", r"(paddle|phi|pir)/"),
    ("oneDNN", r"(oneapi/|dnnl)"),
    ("GoogleTest", r"(gtest|gmock)/"),
    ("Python", r"(pybind11/|Python\.h)"),
    (
        "Apple",
        r"((Foundation|Metal\w*|CoreFoundation|Accelerate|IOKit|objc|dispatch|mach|mach-o|os)/"
        r"|TargetConditionals\.h|Availability\w*\.h|Block\.h)",
    ),
)
INCLUDE = re.compile(r'^\s*#\s*(?:include|import)\s*(["<])([^">]+)[">]', re.M)


def room_of(path: str) -> str | None:
    """Find the room that a path of this project lies in."""
    found = [room for room in ROOMS if path.startswith(room + "/")]
    return max(found, key=len) if found else None


def owner_of(header: str) -> str:
    """Tell who owns a header that is not ours."""
    for owner, pattern in OWNERS:
        if re.match(pattern, header):
            return owner
    return "system" if "/" in header or header.endswith(".h") else "std"


def problems(path: str, text: str) -> list[str]:
    """List what is wrong with the includes of one file."""
    room = room_of(path)
    if room is None:
        return [f"{path}: belongs to no room; add its folder to tools/layers.py"]
    allowed = ROOMS[room]
    found = []
    for match in INCLUDE.finditer(text):
        header = match[2]
        line = text.count("\n", 0, match.start(2)) + 1
        if header == "filesystem" and path.startswith(("plugin/", "kernels/")):
            found.append(f"{path}:{line}: not <filesystem>: plugin/core/files.h says why")
            continue
        if match[1] == '"' and room_of(header):
            target = room_of(header)
            fine = target == room or target in allowed or header in allowed
        elif match[1] == '"' and owner_of(header) in ("system", "std"):
            found.append(f'{path}:{line}: "{header}" is not a path from the top of the source tree')
            continue
        else:
            target = owner_of(header)
            # <stdint.h>: exports.h is plain C, where <cstdint> does not exist.
            fine = target in allowed or target == "std" or header in allowed | {"stdint.h"}
        if not fine:
            names = ", ".join(sorted(allowed | {room})) or "nothing"
            found.append(f"{path}:{line}: {room} includes {header} ({target}); it may use: {names}")
    return found


def files() -> list[str]:
    """List the C++ files under git, or about to be."""
    # safe.directory: in CI's containers the checkout often belongs to another user.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files"]
    command += ["--cached", "--others", "--exclude-standard"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    tops = ("plugin/", "kernels/", "python/", "tests/cpp/")
    names = sorted(set(out.stdout.splitlines()))
    return [name for name in names if name.endswith(SOURCES) and name.startswith(tops)]


def main() -> int:
    """Print every wrong include."""
    found = []
    for name in sys.argv[1:] or files():
        if (ROOT / name).exists():
            found += problems(name, (ROOT / name).read_text(encoding="utf-8"))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
