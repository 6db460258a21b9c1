"""Fetch the C++ headers of oneDNN, which Paddle's wheel leaves out, into build/onednn/include.

Paddle ships libdnnl.so.3 (oneDNN 3.6) on x86-64 Linux. The wheel onednn-devel of the same release
carries the headers; its dependencies (a SYCL run time) are not needed. Exit status 0: the headers
are there. 1: they are not, which is not fatal for a build: the host device then takes its plain
paths.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "2025.0.0"  # = oneDNN 3.6.0; 3.6.x have one ABI
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "build" / "onednn"


def wanted() -> bool:
    """Whether this machine is one where Paddle brings oneDNN along."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


def fetch(folder: Path) -> None:
    """Put the headers into folder/include, unless they are there.

    Safe to interrupt: a rename comes last.
    """
    stamp = folder / f"version-{VERSION}"
    if stamp.exists() and (folder / "include/oneapi/dnnl/dnnl.hpp").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="onednn-") as name:
        temp = Path(name)
        # An isolated build hides pip from `import`; -I (ignore the environment) brings it back.
        hidden = importlib.util.find_spec("pip") is None
        command = [sys.executable, *(["-I"] if hidden else []), "-m", "pip", "download", "--quiet"]
        command += ["--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:"]
        command += ["--dest", str(temp), f"onednn-devel=={VERSION}"]
        subprocess.run(command, check=True, timeout=300)
        (wheel,) = temp.glob("*.whl")
        fresh = temp / "fresh"
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                _, found, rest = info.filename.partition(".data/data/include/")
                if found and not info.is_dir():
                    target = fresh / "include" / rest
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(info))
        if not (fresh / "include/oneapi/dnnl/dnnl.hpp").exists():
            raise FileNotFoundError(f"{wheel.name} holds no oneapi/dnnl/dnnl.hpp")
        (fresh / stamp.name).touch()
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def main() -> int:
    """Fetch, or explain in one line why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER)
    folder = parser.parse_args().folder
    if not wanted():
        print("oneDNN headers are used on x86-64 Linux only: nothing to do.")
        return 0
    try:
        fetch(folder)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(
            f"[set-up] no oneDNN headers: expected onednn-devel=={VERSION} from pip, got: {error}; "
            "pip's own words are above. The host device will be built without oneDNN (slower); run "
            "again when the network is back.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
