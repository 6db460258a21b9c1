"""Builds the wheel. pyproject.toml holds the metadata; here is what depends on the machine.

CMake makes three libraries (cmake/install.cmake lists them). A wheel carries all of them; an
editable install leaves two in the source tree, and tools/setup/backend.py adds the third, the
loader, to the editable wheel.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools" / "setup"))

import native  # noqa: E402


class CMakeBuild(build_ext):
    """Runs CMake instead of setuptools' own compiler."""

    def run(self) -> None:
        native.fetch_onednn_headers()
        # The Makefile names its folder, so that nothing is compiled twice (and it wants the C++
        # tests); else there is one folder per Python version.
        shared = os.environ.get("MPS_BUILD_FOLDER")
        folder = Path(shared or f"build/pip-{sys.implementation.cache_tag}")
        defines = {} if shared else {"MPS_BUILD_TESTS": "OFF"}
        build = native.Native(folder, editable=self.editable_mode, defines=defines)
        build.build()
        if self.editable_mode:
            build.install("package", ROOT / "python")
            shutil.rmtree(ROOT / "build" / "editable", ignore_errors=True)
            build.install("loader", ROOT / "build" / "editable")
        else:
            build.install("package", Path(self.build_lib), strip=True)
            build.install("loader", Path(self.build_lib), strip=True)

    # setuptools asks for these to list and copy its own extensions; CMake copies ours.
    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_source_files(self) -> list[str]:
        return []


setup(
    package_dir={"": "python"},
    packages=find_packages("python"),
    py_modules=sorted(path.stem for path in (ROOT / "python").glob("*.py")),
    package_data={"paddle_mps": ["py.typed", "*.pyi"]},
    install_requires=[
        "numpy",
        # Not on macOS: the one on PyPI has custom devices compiled out there, so users build
        # Paddle themselves.
        f"paddlepaddle=={native.paddle_version_wanted()}; sys_platform == 'linux'",
    ],
    # Named so that the wheel is marked for this platform and Python.
    ext_modules=[Extension("paddle_mps._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
