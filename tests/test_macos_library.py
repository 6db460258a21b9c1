"""The libraries that are built for macOS on Linux: what can be told of them without a Mac."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import zipfile
from pathlib import Path

import lief
import pytest
from macos import cross, library

WHEELS = cross.ROOT / "dist"


@pytest.fixture(autouse=True)
def built() -> None:
    """All of these need the cross build."""
    cross.need_build()


def test_plugin() -> None:
    exports = {"_paddle_mps_init_plugin", "_paddle_mps_exports"}
    assert library.problems(cross.PLUGIN, exports) == []


def test_loader() -> None:
    exports = {"_InitPlugin", "_paddle_mps_unavailable_reason"}
    assert library.problems(cross.LOADER, exports) == []


def test_loader_needs_no_paddle() -> None:
    """It is opened by any Paddle, so it may take nothing from one."""
    owners = {owner for owner, _ in library.undefined(library.read(cross.LOADER)).values()}
    assert all(owner.startswith("/usr/lib/") for owner in owners), owners


def test_extension_modules() -> None:
    modules = sorted(cross.MODULES.glob("*.so"))
    assert modules
    for module in modules:
        assert library.problems(module, {"_PyInit__C"}, python=True) == [], module.name


def need_exam() -> None:
    """It needs GoogleTest, which a developer may do without, but CI may not."""
    if not cross.EXAM.exists():
        if os.environ.get("MPS_REQUIRE_GTEST", "0") not in ("", "0"):
            pytest.fail(f"no exam for macOS: expected {cross.EXAM}", pytrace=False)
        pytest.skip("GoogleTest's sources were missing: the wheels have no exam")


def test_exam() -> None:
    """A program of its own, below Paddle: the system and nothing else."""
    need_exam()
    assert library.problems(cross.EXAM, set()) == []
    binary = library.read(cross.EXAM)
    assert binary.header.file_type == lief.MachO.Header.FILE_TYPE.EXECUTE
    owners = {owner for owner, _ in library.undefined(binary).values()}
    assert all(owner.startswith(("/usr/lib/", "/System/Library/Frameworks/")) for owner in owners)
    assert any("/Metal.framework/" in owner for owner in owners), "it examines no GPU"


def test_plugin_takes_custom_devices_from_the_process() -> None:
    """The official macOS wheel lacks custom devices: what the plugin needs of them stays open."""
    found = library.undefined(library.read(cross.PLUGIN))
    left_open = {library.demangled(name[1:]) for name, (owner, _) in found.items() if owner == ""}
    assert any("phi::CustomContext::" in name for name in left_open), left_open
    official = Path(cross.cached("PADDLE_DIR")) / "libs" / "libphi_core.dylib"
    assert not left_open & {library.demangled(name[1:]) for name in library.exported(official)}


def wheels() -> list[Path]:
    """The wheels of this version."""
    version = (cross.ROOT / "VERSION").read_text(encoding="utf-8").strip()
    return sorted(WHEELS.glob(f"paddle_mps-{version}-*-macosx_*_arm64.whl"))


def test_wheels_are_whole() -> None:
    platform = f"macosx_{cross.OLDEST.replace('.', '_')}_arm64"
    assert wheels()
    for path in wheels():
        match = re.fullmatch(r"paddle_mps-([\d.]+)-(cp3(\d+))-\2-(\w+)\.whl", path.name)
        assert match and match[4] == platform, path.name
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            assert {
                "paddle_custom_device/libpaddle-mps.dylib",
                "paddle_mps/lib/libpaddle_mps_plugin.dylib",
                f"paddle_mps/_C.cpython-3{match[3]}-darwin.so",
                "paddle_mps/__init__.py",
                "paddle_mps/selftest/suite.py",
                "paddle_mps/selftest/cases/elementwise.py",
            } <= names
            # Paddle opens every library in this folder.
            assert [n for n in names if n.startswith("paddle_custom_device/")] == [
                "paddle_custom_device/libpaddle-mps.dylib"
            ]
            info = f"paddle_mps-{match[1]}.dist-info"
            text = archive.read(f"{info}/WHEEL").decode()
            assert f"Tag: {match[2]}-{match[2]}-{platform}" in text
            assert "Root-Is-Purelib: false" in text
            assert f"Version: {match[1]}" in archive.read(f"{info}/METADATA").decode()
            listed = {}
            for name, digest, _ in csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode())):
                listed[name] = digest
            assert set(listed) == names
            for name, digest in listed.items():
                if not name.endswith("/RECORD"):
                    hashed = hashlib.sha256(archive.read(name)).digest()
                    encoded = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
                    assert digest == f"sha256={encoded}", name


def test_wheels_carry_what_was_checked() -> None:
    parts = [
        ("paddle_custom_device/libpaddle-mps.dylib", cross.LOADER),
        ("paddle_mps/lib/libpaddle_mps_plugin.dylib", cross.PLUGIN),
    ]
    if cross.EXAM.exists():
        parts.append((f"paddle_mps/selftest/{cross.EXAM.name}", cross.EXAM))
    for path in wheels():
        with zipfile.ZipFile(path) as archive:
            for name, built in parts:
                assert archive.read(name) == built.read_bytes(), f"{path.name}: {name}"
                assert archive.getinfo(name).external_attr >> 16 & 0o111, "not executable"
