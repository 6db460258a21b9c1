"""Build the wheels for macOS on Linux: `make macos-wheel`. docs/metal.md explains how.

python tools/macos_wheel/build.py
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fetch

ROOT = fetch.ROOT
sys.path.insert(0, str(ROOT / "tools" / "macos_sdk"))

import generate  # noqa: E402
import native  # noqa: E402
from tables import SdkError  # noqa: E402

CMAKE = Path("build") / "macos" / "cmake"
SDK = fetch.BUILD / "sdk"
DIST = ROOT / "dist"
TIME_LIMIT_S = 600


def platform_tag() -> str:
    """Name the platform as wheels do: macosx_12_0_arm64."""
    return f"macosx_{generate.oldest_macos().replace('.', '_')}_arm64"


def compile_all(pythons: dict[int, Path]) -> None:
    """Compile plugin, loader and one extension module for each Python."""
    # In the tree, so that `make clean` finds it.
    os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = str(
        fetch.BUILD / "zig-cache"
    )
    try:
        generate.generate(SDK, "apple")
    except SdkError as error:
        sys.exit(str(error))
    # CMake keeps the flags of the first time; other rules need another cache.
    rules = hashlib.sha256()
    for path in sorted((ROOT / "cmake").glob("macos_cross*.cmake")):
        rules.update(path.read_bytes())
    defines = {
        "MPS_CROSS_RULES": rules.hexdigest(),
        "CMAKE_TOOLCHAIN_FILE": str(ROOT / "cmake" / "macos_cross.cmake"),
        "MPS_ZIG": str(fetch.zig()),
        "MPS_MACOS_SDK": str(SDK),
        "PADDLE_DIR": str(fetch.paddle()),
        "MPS_CROSS_PYTHONS": ";".join(f"3.{minor}={path}" for minor, path in pythons.items()),
        "MPS_BUILD_TESTS": "OFF",
        "MPS_ONEDNN": "OFF",
    }
    native.Native(CMAKE, defines=defines).build()


def exams() -> list[Path]:
    """Find the exam of the plugin's device, for `--selftest`; none where GoogleTest is missing."""
    folder = ROOT / CMAKE / "tests" / "cpp"
    return [path for path in sorted(folder.glob("mps_conformance_*")) if path.is_file()]


def pack(minor: int, tree: Path) -> Path:
    """Put one wheel together and give its path."""
    shutil.rmtree(tree, ignore_errors=True)
    # The Python part and the metadata, by the same rules as for every other wheel.
    command = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tree)]
    command += ["dist_info", "--output-dir", str(tree)]
    run(command, "set the package together")
    (info,) = tree.glob("*.dist-info")
    tag = f"cp3{minor}-cp3{minor}-{platform_tag()}"
    (info / "WHEEL").write_text(
        f"Wheel-Version: 1.0\nGenerator: paddle_mps\nRoot-Is-Purelib: false\nTag: {tag}\n",
        encoding="utf-8",
    )
    built = ROOT / CMAKE
    module = f"_C.cpython-3{minor}-darwin.so"
    parts = [
        ("plugin/loader/libpaddle-mps.dylib", "paddle_custom_device"),
        ("plugin/paddle/libpaddle_mps_plugin.dylib", "paddle_mps/lib"),
        (f"python/paddle_mps/_C/{module}", "paddle_mps"),
    ]
    parts += [(str(path.relative_to(built)), "paddle_mps/selftest") for path in exams()]
    for source, target in parts:
        (tree / target).mkdir(parents=True, exist_ok=True)
        shutil.copy(built / source, tree / target)
        (tree / target / Path(source).name).chmod(0o755)
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob(f"paddle_mps-*-{tag}.whl"):
        old.unlink()
    run([sys.executable, "-m", "wheel", "pack", str(tree), "--dest-dir", str(DIST)], "pack")
    (wheel,) = DIST.glob(f"paddle_mps-*-{tag}.whl")
    return wheel


def run(command: list[str], what: str) -> None:
    """Run a program; its words matter only if it fails."""
    process = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    if process.returncode != 0:
        sys.exit(f"{process.stdout}\n[macos] could not {what}; the words above say why.")


def main() -> None:
    """Fetch, compile, pack."""
    pythons = fetch.python_headers()
    compile_all(pythons)
    if not exams():
        fetch.say(
            "*** THESE WHEELS LACK THE EXAM OF `python -m paddle_mps.info --selftest`: expected "
            "GoogleTest's sources, got none. Install them (Debian, Ubuntu: apt-get install "
            "libgtest-dev) or name them: make macos-wheel MPS_GTEST_SOURCE=/folder/of/googletest"
        )
    for minor in pythons:
        wheel = pack(minor, fetch.BUILD / f"wheel-3.{minor}")
        fetch.say(f"{wheel.relative_to(ROOT)} ({wheel.stat().st_size >> 10} KiB)")


if __name__ == "__main__":
    main()
