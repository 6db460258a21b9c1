"""`import paddle` must survive whatever is wrong with the plugin, and say what it is.

Each test builds a small world in a temporary folder (a loader, perhaps a plugin, perhaps another
Paddle) and imports Paddle there in a process of its own. They rely on nothing but the two installed
libraries.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

END = ".dylib" if sys.platform == "darwin" else ".so"
LOADER = f"libpaddle-mps{END}"
PLUGIN = f"libpaddle_mps_plugin{END}"
MARKER = "PADDLE_MPS_LOADER"

# Prints, as the last line, what a user would see.
PROGRAM = """
import ctypes, glob, json, os, paddle
found = {"devices": paddle.device.get_all_custom_device_type()}
found["available"] = paddle.device.get_available_custom_device()
paddle.set_device("cpu")
found["sum"] = float((paddle.ones([2, 3]) + 1).sum())
found["reasons"] = {}
for path in glob.glob(os.environ["CUSTOM_DEVICE_ROOT"] + "/*"):
    ask = ctypes.CDLL(path).paddle_mps_unavailable_reason
    ask.restype = ctypes.c_char_p
    found["reasons"][os.path.basename(path)] = ask().decode()
print()
print(json.dumps(found))
"""


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)  # does not import it
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{name} is not installed")
    return Path(spec.submodule_search_locations[0])


class World:
    """A folder that looks like site-packages, and a way to import Paddle there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices = folder / "paddle_custom_device"
        self.devices.mkdir()
        self.plugin = folder / "paddle_mps" / "lib" / PLUGIN
        self.plugin.parent.mkdir(parents=True)
        self.extra_env: dict[str, str] = {}

    def add_loader(self, name: str = LOADER) -> Path:
        installed = _package("paddle").parent / "paddle_custom_device" / LOADER
        if not installed.exists():
            pytest.skip(f"{installed} is not installed")
        # An editable install's loader knows the source tree's plugin; this world must not reach it.
        text = re.sub(
            rb"(editable-folder:)([^\0]*)",
            lambda m: m[1] + b"\0" * len(m[2]),
            installed.read_bytes(),
        )
        (self.devices / name).write_bytes(text)
        return self.devices / name

    def add_plugin(self) -> None:
        shutil.copy(_package("paddle_mps") / "lib" / PLUGIN, self.plugin)

    def add_paddle(self, version: str) -> None:
        """Add a copy of Paddle, made of links, that says it is of another version."""
        real = _package("paddle")
        copy = self.folder / "paddle"
        skip = shutil.ignore_patterns("include")
        shutil.copytree(real, copy, copy_function=os.symlink, ignore=skip)
        told = copy / "version" / "__init__.py"
        text = re.sub(
            r"(?m)^(full_version\s*=\s*).*", rf"\g<1>'{version}'", told.read_text(encoding="utf-8")
        )
        shutil.rmtree(told.parent / "__pycache__", ignore_errors=True)
        told.unlink()
        told.write_text(text, encoding="utf-8")
        self.extra_env["PYTHONPATH"] = str(self.folder)

    def run(self, **env: str) -> Result:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PADDLE_MPS", "FLAGS_"))}
        clean.pop("PYTHONPATH", None)
        clean.update(CUSTOM_DEVICE_ROOT=str(self.devices), **self.extra_env)
        clean.update(env)
        process = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=clean,
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Result(process)


class Result:
    """What one process said. The program must have ended well, whatever the world looked like."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        assert process.returncode == 0, process.stderr
        found = json.loads(process.stdout.splitlines()[-1])
        assert found["sum"] == 12.0
        self.devices: list[str] = found["devices"]
        self.available: list[str] = found["available"]
        self.reasons: dict[str, str] = found["reasons"]
        self.said = [line for line in process.stderr.splitlines() if line.startswith("paddle_mps ")]

    def assert_unusable(self, *words: str) -> None:
        """Check that there is no device, one line that says why, and the same as the reason."""
        assert self.available == []
        (reason,) = self.reasons.values()
        assert re.fullmatch(r"\[load\] .+: expected .+, got.+\. .+\.", reason), reason
        for word in words:
            assert word in reason
        assert self.said == [f"paddle_mps warning: {reason} Programs run on the CPU."]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_right_world_has_a_device_and_no_reason(world: World) -> None:
    world.add_loader()
    world.add_plugin()
    result = world.run()
    assert result.devices == ["mps"]
    assert [name.split(":")[0] for name in result.available] == ["mps"]
    assert result.reasons == {LOADER: ""}
    assert result.said == []


def test_another_paddle_version_is_refused(world: World) -> None:
    world.add_loader()
    world.add_plugin()
    world.add_paddle("3.2.9")
    world.run().assert_unusable(
        "wrong Paddle version: expected", "got 3.2.9", "Install paddlepaddle=="
    )


def test_a_missing_plugin_is_named(world: World) -> None:
    world.add_loader()
    world.run().assert_unusable("the plugin is missing", PLUGIN, "Install paddle_mps again")


def test_a_broken_plugin_is_named_with_the_linkers_own_words(world: World) -> None:
    world.add_loader()
    world.plugin.write_bytes(b"this is no library" * 100)
    words = ("cannot be opened", PLUGIN, "Install paddle_mps again")
    world.run().assert_unusable(*words)


def test_a_plugin_without_its_entry_is_refused(world: World) -> None:
    loader = world.add_loader()
    shutil.copy(loader, world.plugin)  # a library like any other
    world.run().assert_unusable("cannot be opened", "paddle_mps_init_plugin")


def test_switched_off_is_silent_and_has_a_reason(world: World) -> None:
    world.add_loader()
    world.add_plugin()
    result = world.run(PADDLE_MPS_DISABLE="1")
    assert result.available == []
    assert result.said == []
    assert result.reasons[LOADER].startswith("[load] paddle_mps is switched off: expected ")


def test_a_second_copy_is_ignored_and_named(world: World) -> None:
    world.add_loader("libpaddle-mps-old" + END)
    world.add_loader()
    world.add_plugin()
    result = world.run()
    assert result.devices == ["mps"]
    assert [name.split(":")[0] for name in result.available] == ["mps"]
    (used,) = [name for name, reason in result.reasons.items() if not reason]
    (ignored,) = [name for name, reason in result.reasons.items() if reason]
    reason = result.reasons[ignored]
    assert "installed twice: expected one library" in reason
    assert f"{used}' (in use)" in reason
    assert f"{ignored}' (ignored)" in reason
    assert result.said == [f"paddle_mps warning: {reason}"]


@pytest.mark.parametrize("marker", ["own path", "another path", "no path"])
def test_a_marker_from_a_parent_process_means_nothing(world: World, marker: str) -> None:
    path = world.add_loader()
    world.add_plugin()
    markers = {"own path": str(path), "another path": str(world.plugin), "no path": ""}
    result = world.run(**{MARKER: markers[marker]})
    assert len(result.available) == 1
    assert result.reasons == {LOADER: ""}


def test_lines_can_be_switched_off_but_reasons_stay(world: World) -> None:
    world.add_loader()
    result = world.run(PADDLE_MPS_LOG="error")
    assert result.said == []
    assert "the plugin is missing" in result.reasons[LOADER]
