"""Build the C++ side with CMake and put the libraries where Python and Paddle look.

Used by setup.py (for `pip install`) and by the Makefile (for the edit-build-test loop), so that
both build the same thing. Only the standard library, because it runs before anything is installed.

    python tools/setup/native.py --folder build/dev --develop
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import debian_headers

ROOT = Path(__file__).resolve().parents[2]
# A hanging compiler must not hold a CI machine for ever.
TIME_LIMIT_S = 3 * 3600


def paddle_version_wanted() -> str:
    """Read the one Paddle version that this source works with."""
    text = (ROOT / "requirements" / "paddle.txt").read_text(encoding="utf-8")
    return re.search(r"^paddlepaddle==([0-9.]+)", text, re.M)[1]


def target_paddle() -> Path | None:
    """Find the Paddle of the environment that is being installed into, if it is the right one.

    pip's isolated build hides that environment's packages from `import`, but sysconfig still tells
    its folder. Building against it saves a 200 MB download into the isolated environment.
    """
    paddle = Path(sysconfig.get_path("platlib")) / "paddle"
    try:
        text = (paddle / "version" / "__init__.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^full_version\s*=\s*['\"]([^'\"]+)", text, re.M)
    return paddle if found and found[1] == paddle_version_wanted() else None


def fetch_onednn_headers() -> None:
    """Fetch the headers if they are of use here.

    A failure is told there, and is fatal only under MPS_REQUIRE_ONEDNN (CMake sees to that).
    """
    script = Path(__file__).with_name("onednn_headers.py")
    subprocess.run([sys.executable, str(script)], timeout=600, check=False)


def jobs() -> int:
    """Choose how many compilers run at once.

    One a core, but no more than memory allows: a file of kernels takes about 1 GB.
    """
    asked = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL")
    if asked:
        return max(1, int(asked))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory >> 30))


def _tool(name: str) -> str | None:
    """Find a program beside this Python (pip installs cmake and ninja there) or on the PATH."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def _python() -> str:
    """Name this Python in one way: CMake's cache must not see python and python3 as two."""
    name = Path(sys.prefix) / "bin" / "python"
    return str(name if name.exists() else sys.executable)


class Native:
    """One CMake build folder."""

    def __init__(
        self, folder: Path, *, editable: bool = False, defines: dict[str, str] | None = None
    ) -> None:
        """Describe the build; nothing runs yet."""
        self.folder = ROOT / folder
        self.cmake = _tool("cmake")
        if self.cmake is None:
            sys.exit("[build] no cmake: expected it beside Python or on the PATH. Install it: pip.")
        ninja = _tool("ninja")
        self.generator = "Ninja" if ninja else "Unix Makefiles"
        self.defines = {
            "Python_EXECUTABLE": _python(),
            # Told to the loader, which cannot guess where a source tree is.
            "MPS_EDITABLE_DIR": str(ROOT / "python" / "paddle_mps" / "lib") if editable else "",
        }
        if ninja:
            self.defines["CMAKE_MAKE_PROGRAM"] = ninja
        # Named each time, because pip's isolated environments come and go with their paths.
        pybind11 = importlib.util.find_spec("pybind11")
        if pybind11:
            cmake_files = Path(pybind11.origin).parent / "share" / "cmake" / "pybind11"
            self.defines["pybind11_DIR"] = str(cmake_files)
        headers = debian_headers.header_folder(
            str(Path(sys.prefix) / "paddle_mps_headers"), sys.version_info
        )
        if headers:
            self.defines["Python_INCLUDE_DIR"] = headers
        if importlib.util.find_spec("paddle") is None and target_paddle():
            self.defines["PADDLE_DIR"] = str(target_paddle())
        for variable, option in (
            ("MPS_REQUIRE_GTEST", "MPS_REQUIRE_GTEST"),
            ("MPS_REQUIRE_ONEDNN", "MPS_ONEDNN"),
        ):
            if os.environ.get(variable, "0") not in ("", "0"):
                self.defines[option] = "ON"
        self.defines.update(defines or {})

    def _run(self, *command: str, quiet: bool = False) -> None:
        process = subprocess.run(
            [self.cmake, *command],
            cwd=ROOT,
            timeout=TIME_LIMIT_S,
            check=False,
            stdout=subprocess.PIPE if quiet else None,
            text=True,
        )
        if process.returncode != 0:
            if quiet:
                print(process.stdout)
            sys.exit(f"[build] cmake failed (status {process.returncode}); its words are above.")

    def has_tests(self) -> bool:
        """Tell whether the C++ tests are part of the build: CMake makes their folder."""
        return (self.folder / "tests" / "cpp").is_dir()

    def configure(self) -> None:
        """Write the build files, unless they are there and were written for these settings."""
        stamp = self.folder / "paddle_mps_settings.json"
        # Things that CMake looks for once and that may turn up later.
        headers = (ROOT / "build" / "onednn" / "include").exists()
        compiler = [os.environ.get("CXX"), os.environ.get("CXXFLAGS")]
        settings = json.dumps([self.cmake, self.generator, self.defines, headers, compiler])
        # GoogleTest, which the C++ tests and the packaged exam need.
        without_tests = ("MPS_BUILD_TESTS", "MPS_BUILD_EXAM")
        tests_settled = self.has_tests() or all(
            self.defines.get(name) == "OFF" for name in without_tests
        )
        files = any((self.folder / name).exists() for name in ("build.ninja", "Makefile"))
        same = stamp.exists() and stamp.read_text(encoding="utf-8") == settings
        if same and files and tests_settled:
            return
        if not same:
            # Another cmake or generator cannot go on in the same cache. Objects stay: ninja
            # compares the commands that made them.
            stamp.unlink(missing_ok=True)
            (self.folder / "CMakeCache.txt").unlink(missing_ok=True)
            shutil.rmtree(self.folder / "CMakeFiles", ignore_errors=True)
        options = [f"-D{name}={value}" for name, value in self.defines.items()]
        self._run("-S", str(ROOT), "-B", str(self.folder), "-G", self.generator, *options)
        stamp.write_text(settings, encoding="utf-8")

    def build(self, *targets: str) -> None:
        """Compile what has changed."""
        self.configure()
        wanted = ["--target", *targets] if targets else []
        self._run("--build", str(self.folder), "--parallel", str(jobs()), *wanted)

    def install(self, component: str, prefix: Path, *, strip: bool = False) -> None:
        """Copy the libraries of one component ("package" or "loader") below the prefix."""
        command = ["--install", str(self.folder), "--component", component]
        command += ["--prefix", str(prefix)]
        self._run(*command, *(["--strip"] if strip else []), quiet=True)


def develop(folder: Path) -> None:
    """Build, and make `import paddle` of this Python find the result in the source tree.

    pip registers the package once; afterwards the libraries are only copied.
    """
    native = Native(folder, editable=True)
    native.build()
    stamp = Path(sys.prefix) / "paddle_mps_editable"
    digest = hashlib.sha256(f"{ROOT} {folder}".encode())
    for path in ("setup.py", "pyproject.toml", "VERSION", "tools/setup/backend.py"):
        digest.update((ROOT / path).read_bytes())
    site = Path(sysconfig.get_path("platlib"))
    registered = any(site.glob("paddle_mps-*.dist-info/RECORD"))
    if registered and stamp.exists() and stamp.read_text(encoding="utf-8") == digest.hexdigest():
        native.install("package", ROOT / "python")
        native.install("loader", site)
        return
    stamp.unlink(missing_ok=True)
    print("[set-up] registering the package with pip", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-build-isolation", "--no-deps", "--editable", str(ROOT)]
    env = dict(os.environ, MPS_BUILD_FOLDER=str(folder))
    if subprocess.run(pip, env=env, timeout=TIME_LIMIT_S, check=False).returncode != 0:
        sys.exit("[set-up] pip could not register the package; its words are above.")
    stamp.write_text(digest.hexdigest(), encoding="utf-8")


def main() -> None:
    """Serve the Makefile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="relative to the source tree")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--develop", action="store_true", help="build all, install in place")
    what.add_argument("--tests", action="store_true", help="build the C++ tests and their needs")
    parser.add_argument("-D", dest="defines", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    fetch_onednn_headers()
    if options.develop:
        develop(options.folder)
        return
    if options.tests:
        # With the settings of --develop, so that both share one folder.
        native = Native(options.folder, editable=True)
        native.configure()
        if native.has_tests():
            native.build("mps_cpp_tests")
        return
    Native(options.folder, defines=dict(d.split("=", 1) for d in options.defines)).build()


if __name__ == "__main__":
    main()
