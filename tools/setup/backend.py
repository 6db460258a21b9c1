"""The build backend: setuptools, and two things that it cannot do.

1. What a build needs depends on the environment: the Paddle that is installed there is good enough
   to build against; only without one is it asked for (200 MB).
2. An editable install must still put the loader into site-packages, where Paddle looks. setuptools
   has no place for such a file in an editable wheel, so it is added here, and listed in RECORD so
   that `pip uninstall` removes it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  the hooks that stay as they are

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import native  # noqa: E402

# setup.py leaves the loader of an editable install here.
EDITABLE_FOLDER = ROOT / "build" / "editable"


def _requirements() -> list[str]:
    text = (ROOT / "requirements" / "build.txt").read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if line and not line.startswith("#")]
    # Already there: pyproject.toml names it, because this file needs it to run.
    found = [line for line in found if not line.startswith("setuptools")]
    if sys.platform == "linux" and native.target_paddle() is None:
        found.append(f"paddlepaddle=={native.paddle_version_wanted()}")
    return found


def get_requires_for_build_wheel(config_settings=None):
    """Tell what to install before a wheel is built."""
    return build_meta.get_requires_for_build_wheel(config_settings) + _requirements()


def get_requires_for_build_editable(config_settings=None):
    """Tell what to install before an editable wheel is built."""
    return build_meta.get_requires_for_build_editable(config_settings) + _requirements()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build a wheel, without modules of earlier builds that have since been deleted or renamed."""
    for folder in (ROOT / "build").glob("lib*"):
        shutil.rmtree(folder)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the editable wheel and add the loader to it."""
    name = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    wheel = Path(wheel_directory) / name
    fresh = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as new:
        record_info = None
        for info in old.infolist():
            if info.filename.endswith(".dist-info/RECORD"):
                record_info = info
            else:
                new.writestr(info, old.read(info))
        record = old.read(record_info).decode()
        for path in sorted((EDITABLE_FOLDER / "paddle_custom_device").iterdir()):
            data = path.read_bytes()
            where = f"paddle_custom_device/{path.name}"
            info = zipfile.ZipInfo(where)
            info.external_attr = 0o100755 << 16
            new.writestr(info, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{where},sha256={digest},{len(data)}\n"
        new.writestr(record_info, record)
    os.replace(fresh, wheel)
    return name
