"""tools/build_paddle_macos.sh, with stand-ins for macOS, git, Python, cmake and make.

What a real Mac does with it nobody has seen; what is asked of the machine, what is said when
something is missing, and that a build goes on where it was, can be tried here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from paddle_mps import _library

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "build_paddle_macos.sh"
VERSION = _library.PADDLE_VERSION
HEADER = "// WITH_CUSTOM_DEVICE\n#if {switch}\n"

# Each writes down that it was called. $PYTHON is the Python that runs the tests.
STAND_INS = {
    "uname": 'case $1 in -s) echo Darwin ;; -m) echo arm64 ;; esac',
    "sw_vers": "echo 14.5",
    "xcode-select": "echo /Library/Developer",
    "xcrun": "echo /usr/bin/clang++",
    "sysctl": 'case $2 in hw.ncpu) echo 8 ;; hw.memsize) echo 8589934592 ;; esac',
    "df": 'echo header; echo "disk 0 0 ${FREE_KB:-99999999} 0% /"',
    "git": """
case $1 in
  clone) for folder; do :; done
         mkdir -p $folder/.git $folder/python && touch $folder/python/requirements.txt ;;
  *) [ -z "${FAIL_SUBMODULES:-}" ] ;;
esac""",
    "make": """
[ -z "${FAIL_MAKE:-}" ] || exit 2
mkdir -p $2/python/dist && cp $WHEEL $2/python/dist/""",
    "mac_python": """
case $1 in
  -m) [ $2 = venv ] && mkdir -p $3/bin && cp $0 $3/bin/python && cp $(dirname $0)/cmake $3/bin/cmake
      exit 0 ;;
  -c) case $2 in
        *platform.machine*) echo "${PY_FACTS:-3.11 arm64 True}" ;;
        *) echo /include ;;
      esac ;;
  *) exec $PYTHON "$@" ;;
esac""",
    "cmake": ":",
}  # fmt: skip


class Mac:
    """A folder of stand-ins, and the calls that they saw."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name, body in STAND_INS.items():
            self.command(name, body)
        self.wheel("ON", VERSION)

    def command(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>$CALLS\n{body}\n')
        path.chmod(0o755)

    def wheel(self, switch: str, version: str) -> None:
        with zipfile.ZipFile(self._wheel, "w") as archive:
            archive.writestr("paddle/include/paddle/phi/config.h", HEADER.format(switch=switch))
            archive.writestr("paddle/version/__init__.py", f"full_version    = '{version}'\n")

    @property
    def _wheel(self) -> Path:
        return self.folder / f"paddlepaddle-{VERSION}-cp311-cp311-macosx_14_0_arm64.whl"

    @property
    def build(self) -> Path:
        return self.folder / "build"

    def run(self, *arguments: str, **env: str) -> tuple[int, str]:
        process = subprocess.run(
            ["bash", str(SCRIPT), *(arguments or ("--check",))]
            + ["--python", "mac_python", "--folder", str(self.build)],
            env={
                **os.environ,
                "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
                "CALLS": str(self.folder / "calls"),
                "WHEEL": str(self._wheel),
                "PYTHON": sys.executable,
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return process.returncode, process.stdout

    def calls(self, name: str) -> list[str]:
        """What a command was called with since the last question."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


def test_a_good_machine_passes_and_nothing_is_built(mac: Mac) -> None:
    status, text = mac.run()
    assert status == 0, text
    assert f"everything is there to build Paddle {VERSION}" in text
    assert "macOS 14.5, arm64" in text
    assert "compilers at once: 4" in text  # 8 GB of memory are less than 8 cores
    assert mac.calls("git") == []


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("uname", "echo Linux", "wrong system: expected macOS, got Linux"),
        ("uname", "[ $1 = -s ] && echo Darwin || echo x86_64", "expected arm64, got x86_64"),
        ("sw_vers", "echo 11.7.10", "expected 12.0 or newer, got 11.7.10"),
        ("xcode-select", "exit 2", "xcode-select --install"),
        ("xcrun", "exit 1", "xcodebuild -license"),
        ("mac_python", "exit 1", "mac_python does not run"),
    ],
)
def test_what_is_missing_is_told(mac: Mac, name: str, body: str, words: str) -> None:
    mac.command(name, body)
    status, text = mac.run()
    assert status == 1
    assert words in text
    assert "expected" in text


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PY_FACTS": "3.8 arm64 True"}, "expected 3.9 to 3.13, got 3.8"),
        ({"PY_FACTS": "3.11 x86_64 True"}, "expected one for arm64, got one for x86_64"),
        ({"PY_FACTS": "3.11 arm64 False"}, "lacks its C headers"),
        ({"FREE_KB": "20971520"}, "expected 40 GB"),
    ],
)
def test_what_does_not_fit_is_told(mac: Mac, env: dict[str, str], words: str) -> None:
    status, text = mac.run(**env)
    assert status == 1
    assert words in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--jobs", "none"), "wrong number of jobs"),
        (("--jobs", "0"), "wrong number of jobs"),
        (("--fast",), "no such option"),
    ],
)
def test_bad_arguments_are_told(mac: Mac, arguments: tuple[str, ...], words: str) -> None:
    status, text = mac.run(*arguments)
    assert status == 1
    assert words in text
    assert mac.calls("git") == []


def test_an_option_without_its_value(mac: Mac) -> None:
    process = subprocess.run(
        ["bash", str(SCRIPT), "--folder"], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 1
    assert "--folder lacks its value" in process.stderr


def test_a_build(mac: Mac) -> None:
    status, text = mac.run("--jobs", "3")
    assert status == 0, text
    wheel = mac.build / f"paddlepaddle-{VERSION}-cp311-cp311-macosx_14_0_arm64.whl"
    assert wheel.exists()
    assert f"done: {wheel}" in text
    (mac.folder / "kept").write_text((mac.folder / "calls").read_text())
    clone, *_ = mac.calls("git")
    assert f"--branch v{VERSION} https://github.com/PaddlePaddle/Paddle.git" in clone
    calls = (mac.folder / "kept").read_text()
    assert "-DWITH_CUSTOM_DEVICE=ON -DWITH_ARM=ON" in calls
    assert "-DPY_VERSION=3.11" in calls
    assert "TARGET=ARMV8 -j 3" in calls


def test_an_interrupted_build_goes_on(mac: Mac) -> None:
    status, text = mac.run("--jobs", "2", FAIL_SUBMODULES="1")
    assert status != 0 and "configure" not in text
    assert any("clone" in call for call in mac.calls("git"))
    status, text = mac.run("--jobs", "2", FAIL_MAKE="1")
    assert status != 0
    assert not any("clone" in call for call in mac.calls("git")), "the clone was there"
    status, text = mac.run("--jobs", "2")
    assert status == 0, text
    for name in ("source", "environment", "configure"):
        assert f"{name}: done before" in text
    assert mac.calls("cmake") == []
    status, text = mac.run("--jobs", "2")
    assert status == 0 and "compile: done before" in text
    assert mac.calls("make") == []


@pytest.mark.parametrize(
    ("switch", "version", "words"),
    [
        ("OFF", VERSION, "custom devices: expected ON in phi/config.h, got OFF"),
        ("ON", "0.0.0", f"version: expected {VERSION}, got full_version    = '0.0.0'"),
    ],
)
def test_a_wheel_that_was_not_asked_for_is_refused(
    mac: Mac, switch: str, version: str, words: str
) -> None:
    mac.wheel(switch, version)
    status, text = mac.run("--jobs", "2")
    assert status == 1
    assert words in text
    assert not list(mac.build.glob("*.whl"))


def test_it_is_a_program_that_bash_understands() -> None:
    assert os.access(SCRIPT, os.X_OK)
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True, timeout=60)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(SCRIPT)], check=True, timeout=60)
