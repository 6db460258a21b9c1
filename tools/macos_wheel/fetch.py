"""What the cross build needs from elsewhere: zig, Paddle for macOS, CPython's headers.

Everything lands below build/macos, once; running again costs nothing. zig itself is a Python
package (requirements/macos.txt) and is in the environment already.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "setup"))

import debian_headers  # noqa: E402
import native  # noqa: E402

BUILD = ROOT / "build" / "macos"
# Which of its wheels does not matter: headers and libraries have nothing of Python's in them.
PADDLE_WHEEL = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
PADDLE_PARTS = re.compile(
    r"paddle/(include/|version/__init__\.py$|libs/lib(phi|phi_core|common)\.dylib$)"
)
# The CPythons that Paddle has macOS wheels for, and the Debian release that carries each one's
# headers. Debian skipped 3.10 and 3.12.
PYTHONS = {9: "bullseye", 10: None, 11: "bookworm", 12: None, 13: "trixie"}


def say(text: str) -> None:
    """Tell what takes long."""
    print(f"[macos] {text}", flush=True)


def pinned(name: str) -> str:
    """Read the version that requirements/macos.txt wants."""
    text = (ROOT / "requirements" / "macos.txt").read_text(encoding="utf-8")
    return re.search(rf"^{name}==(\S+)", text, re.M)[1]


def zig() -> Path:
    """Find the program that is clang, linker and archiver in one."""
    spec = importlib.util.find_spec("ziglang")
    found = importlib.metadata.version("ziglang") if spec else "none"
    if found != pinned("ziglang"):
        sys.exit(
            f"[macos] no compiler for macOS: expected ziglang {pinned('ziglang')} beside "
            f"{sys.executable}, got {found}. Run: make macos-wheel."
        )
    return Path(spec.origin).with_name("zig")


def paddle() -> Path:
    """Fetch headers and libraries of Paddle's own wheel for macOS; give its package folder."""
    version = native.paddle_version_wanted()
    folder = BUILD / f"paddle-{version}"
    if (folder / "complete").exists():
        return folder / "paddle"
    say(f"fetching paddlepaddle {version} for macOS (100 MB, once)")
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="paddle-") as name:
        temp = Path(name)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", *PADDLE_WHEEL]
        command += ["--platform", "macosx_11_0_arm64", "--dest", str(temp)]
        command += [f"paddlepaddle=={version}"]
        if subprocess.run(command, check=False, timeout=1800).returncode != 0:
            sys.exit(
                f"[macos] no Paddle for macOS: expected pip to fetch paddlepaddle {version} for "
                "macosx_11_0_arm64, got the errors above. Check the network and run again."
            )
        (wheel,) = temp.glob(f"paddlepaddle-{version}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if PADDLE_PARTS.match(n)]
            archive.extractall(temp / "fresh", names)
        found = (temp / "fresh/paddle/version/__init__.py").read_text(encoding="utf-8")
        if f"'{version}'" not in found:
            sys.exit(f"[macos] {wheel.name} is not Paddle {version}. Remove pip's cache.")
        (temp / "fresh/complete").touch()
        shutil.rmtree(folder, ignore_errors=True)
        (temp / "fresh").rename(folder)
    return folder / "paddle"


def python_headers() -> dict[int, Path]:
    """Collect CPython headers, by minor version; says of each missing one why.

    They are those of Linux. What matters of pyconfig.h, the sizes of C types, is alike on arm64
    macOS; the module uses nothing that depends on the rest.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    found = {}
    given = os.environ.get("PYTHON_HEADERS", "").split()
    named = dict(word.split("=", 1) for word in given)
    for minor, release in PYTHONS.items():
        folder = BUILD / f"python-3.{minor}"
        if not (folder / "include" / "Python.h").exists():
            source = _headers_of(minor, release, named.get(f"3.{minor}"))
            if source is None:
                where = f"Debian {release} could not be asked" if release else "no Debian has them"
                say(
                    f"no wheel for CPython 3.{minor}: its headers are not here and {where}. "
                    f"Name them: make macos-wheel PYTHON_HEADERS=3.{minor}=/folder/of/Python.h"
                )
                continue
            _copy_headers(source, folder)
            shutil.rmtree(_unpacked(minor), ignore_errors=True)
        found[minor] = folder / "include"
    return found


def _headers_of(minor: int, release: str | None, named: str | None) -> Path | None:
    if named:
        return Path(named)
    if sys.version_info[:2] == (3, minor):
        own = Path(sysconfig.get_path("include"))
        if (own / "Python.h").exists():
            return own
    if release is None:
        return None
    unpacked = str(_unpacked(minor))
    if not debian_headers.fetch(unpacked, (3, minor), release):
        return None
    return Path(debian_headers.header_folder(unpacked, (3, minor)))


def _unpacked(minor: int) -> Path:
    return BUILD / f"debian-python-3.{minor}"


def _copy_headers(source: Path, folder: Path) -> None:
    """Copy, with the real pyconfig.h (Debian's first one only knows Linux) made fit for macOS."""
    if not (source / "Python.h").exists():
        sys.exit(f"[macos] no Python headers: expected {source}/Python.h, got no such file.")
    fresh = folder.with_suffix(".fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(source, fresh / "include")
    for real in source.parent.glob(f"*-linux-gnu/{source.name}/pyconfig.h"):
        shutil.copy(real, fresh / "include" / "pyconfig.h")
    config = fresh / "include" / "pyconfig.h"
    text = config.read_text(encoding="utf-8")
    # Python.h of 3.9 and 3.10 includes crypt.h where there is one. macOS has none.
    config.write_text(text.replace("#define HAVE_CRYPT_H 1\n", ""), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
