"""The cross compiler as the build uses it, for the tests: same program, same flags."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "macos"
CMAKE = BUILD / "cmake"
SDK = BUILD / "sdk"
LOADER = CMAKE / "plugin" / "loader" / "libpaddle-mps.dylib"
PLUGIN = CMAKE / "plugin" / "paddle" / "libpaddle_mps_plugin.dylib"
MODULES = CMAKE / "python" / "paddle_mps" / "_C"
EXAM = CMAKE / "tests" / "cpp" / "mps_conformance_metal"
SECONDS = 120
OLDEST = (ROOT / "MACOS_TARGET").read_text(encoding="utf-8").strip()


def need_build() -> None:
    """Fail without the cross build, or skip for those who asked to."""
    if os.environ.get("MPS_SKIP_MACOS", "") not in ("", "0"):
        pytest.skip("MPS_SKIP_MACOS is set: nothing that is built for macOS is checked")
    if sys.platform != "linux":
        pytest.skip("the cross build is for Linux")
    if not PLUGIN.exists():
        pytest.fail(
            f"[macos] nothing was built for macOS: expected {PLUGIN}, got no such file. Run `make "
            "macos-wheel` (it needs pip's network once), or set MPS_SKIP_MACOS=1.",
            pytrace=False,
        )


def cached(name: str) -> str:
    """Read what CMake was configured with."""
    text = (CMAKE / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(rf"^{name}:\w+=(.*)$", text, re.M)[1]


def zig() -> Path:
    """Find the compiler of the build."""
    return Path(cached("MPS_ZIG"))


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder; zig's cache is the build's."""
    env = dict(os.environ)
    env["ZIG_GLOBAL_CACHE_DIR"] = env["ZIG_LOCAL_CACHE_DIR"] = str(BUILD / "zig-cache")
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def compile_object(source: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Compile an Objective-C++ source to folder/source.o with the flags of the build."""
    (folder / "source.mm").write_text(source, encoding="utf-8")
    flags = cached("CMAKE_CXX_FLAGS").split() + ["-Wall", "-Wextra", "-fvisibility=hidden"]
    command = [zig(), "c++", "-target", f"aarch64-macos.{OLDEST}"]
    command += ["-std=c++17", "-fobjc-arc", "-O1"]
    return run(*command, *flags, *more, "-c", "source.mm", "-o", "source.o", folder=folder)


def generate(folder: Path, used: str | None = None) -> subprocess.CompletedProcess[str]:
    """Write headers and stubs below a folder, for the project's list of used names or another."""
    script = ROOT / "tools" / "macos_sdk" / "generate.py"
    command: list[str | Path] = [sys.executable, script, "--out", folder]
    if used is not None:
        (folder / "used.txt").write_text(used, encoding="utf-8")
        command += ["--used", folder / "used.txt"]
    return run(*command, folder=folder)


def link(folder: Path, *more: str, oldest: str = OLDEST) -> subprocess.CompletedProcess[str]:
    """Link folder/source.o to folder/library.dylib as the build links the plugin."""
    flags = cached("CMAKE_SHARED_LINKER_FLAGS").split()
    command = [zig(), "c++", "-target", f"aarch64-macos.{oldest}", "-dynamiclib"]
    libraries = [SDK / "lib" / "libcxx.tbd", SDK / "lib" / "libobjc.tbd"]
    for framework in (
        "Foundation",
        "Metal",
        "MetalPerformanceShaders",
        "MetalPerformanceShadersGraph",
    ):
        libraries += ["-framework", framework]
    output = ["source.o", "-o", "library.dylib"]
    return run(*command, *flags, *output, *libraries, *more, folder=folder)
