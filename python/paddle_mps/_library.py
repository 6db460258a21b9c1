"""Finds the plugin in this process, or says in one sentence why there is none.

Nothing is ever loaded here: Paddle opens the loader (`paddle_custom_device/libpaddle-mps.*`) when
it is imported, and the loader opens the plugin (`paddle_mps/lib`). This module imports Paddle,
looks which of the two are there, and keeps the answer: it cannot change while the process lives.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PADDLE_VERSION = "3.3.1"  # the one in requirements/paddle.txt
DEVICE_TYPE = "mps"

_END = ".dylib" if sys.platform == "darwin" else ".so"
LOADER_NAME = f"libpaddle-mps{_END}"
PLUGIN_PATH = Path(__file__).resolve().parent / "lib" / f"libpaddle_mps_plugin{_END}"
# The official wheels for macOS cannot load plugins, so pip is no help there.
_GET_PADDLE = (
    f"Build Paddle {PADDLE_VERSION} from source with -DWITH_CUSTOM_DEVICE=ON and install it"
    if sys.platform == "darwin"
    else f"Install it: pip install paddlepaddle=={PADDLE_VERSION}"
)
_REINSTALL = "Install paddle_mps again: pip install --force-reinstall --no-deps paddle_mps."


@dataclass(frozen=True)
class State:
    """What there is to work with in this process."""

    device_count: int
    reason: str  # why there is no device; empty if there is one
    extension: Any  # paddle_mps._C, attached to the plugin; None if there is no plugin


@functools.cache
def state() -> State:
    """Import Paddle and look for the plugin; the first call decides for the life of the process."""
    try:
        paddle = importlib.import_module("paddle")
    except Exception as error:  # whatever it is, it is the reason
        return State(0, _why_no_paddle(error), None)
    extension = _extension()
    try:
        attached = extension is not None and extension.attach(str(PLUGIN_PATH))
    except RuntimeError as error:
        return State(0, str(error), None)
    if not attached:
        return State(0, _why_not_attached(paddle, extension), None)
    return State(extension.device_count(), extension.unavailable_reason(), extension)


def require(op: str) -> Any:
    """Return the extension; without a device, raise RuntimeError that says why."""
    now = state()
    if now.device_count == 0:
        raise RuntimeError(f"[{op}] there is no mps device. {now.reason}")
    return now.extension


def paddle_folder() -> Path | None:
    """Return the folder of the Paddle package without importing it."""
    if "paddle" in sys.modules:
        file = sys.modules["paddle"].__file__
        return Path(file).parent if file else None
    spec = importlib.util.find_spec("paddle")
    return (
        Path(spec.submodule_search_locations[0])
        if spec and spec.submodule_search_locations
        else None
    )


def plugin_folder() -> Path | None:
    """Return the folder in which Paddle looks for plugins."""
    root = os.environ.get("CUSTOM_DEVICE_ROOT")
    if root:
        return Path(root)
    paddle = paddle_folder()
    return paddle.parent / "paddle_custom_device" if paddle else None


def plugin_libraries() -> list[Path]:
    """Return every library that Paddle opens as a plugin."""
    folder = plugin_folder()
    return sorted(folder.glob(f"*{_END}")) if folder else []


def plugin_names() -> str:
    """Return their names, for messages."""
    return ", ".join(path.name for path in plugin_libraries()) or "none"


def has_custom_devices() -> bool | None:
    """Say whether Paddle was built with custom devices; None if that cannot be told.

    The header that Paddle's build writes knows.
    """
    folder = paddle_folder()
    header = folder / "include" / "paddle" / "phi" / "config.h" if folder else None
    if header is None or not header.exists():
        return None
    text = header.read_text(encoding="utf-8")
    switch = re.search(r"// WITH_CUSTOM_DEVICE\s+#if (ON|OFF)\b", text)
    return switch[1] == "ON" if switch else None


def _extension() -> Any:
    try:
        extension = importlib.import_module("paddle_mps._C")
    except ImportError:
        return None
    # Without the built library, Python takes the folder with its sources for an empty package.
    return extension if hasattr(extension, "attach") else None


def _summary(error: BaseException) -> str:
    """Return what an exception says in one line; Paddle's have a C++ stack and a hint around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if re.match(r"\(\w+\) ", line)] or lines[-1:] or ["no message"]
    return f"{type(error).__name__}: {said[0].rstrip('.')}"


def _why_no_paddle(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "paddle":
        return (
            f"[load] Paddle is not installed: expected paddlepaddle {PADDLE_VERSION}, got no "
            f"module named paddle. {_GET_PADDLE}."
        )
    return (
        "[load] Paddle cannot be imported: expected `import paddle` to succeed, got "
        f"{_summary(error)}. If it names a library in {plugin_folder()} (now there: "
        f"{plugin_names()}), remove or repair that one; Paddle opens them all."
    )


def _why_not_attached(paddle: Any, extension: Any) -> str:
    """Ask one check after the other; the first with something to say is the most precise."""
    version = str(getattr(paddle, "__version__", "unknown"))
    loaders = [library for library in map(_open_loader, plugin_libraries()) if library is not None]
    reasons: list[str] = [library.paddle_mps_unavailable_reason().decode() for library in loaders]
    if reasons and all(reasons):
        return reasons[0]
    if has_custom_devices() is False:
        return (
            "[load] this Paddle cannot load plugins: expected one built with "
            f"-DWITH_CUSTOM_DEVICE=ON, got paddlepaddle {version} without it, like the official "
            f"wheels for macOS. Build Paddle {PADDLE_VERSION} from source with "
            "-DWITH_CUSTOM_DEVICE=ON and install it in place of this one."
        )
    if version != PADDLE_VERSION:
        return (
            f"[load] wrong Paddle version: expected {PADDLE_VERSION}, got {version}. "
            f"{_GET_PADDLE}, or use a paddle_mps that was built for your Paddle."
        )
    if not loaders and DEVICE_TYPE in paddle.device.get_all_custom_device_type():
        return (
            f"[load] another plugin offers the device type {DEVICE_TYPE}: expected {LOADER_NAME} "
            f"to do it, got one of {plugin_names()} in {plugin_folder()}. Remove that one."
        )
    if not loaders:
        return (
            f"[load] Paddle did not open the plugin: expected {LOADER_NAME} in {plugin_folder()}, "
            f"where Paddle looks, got {plugin_names()}. Unset CUSTOM_DEVICE_ROOT if you have set "
            "it, and install paddle_mps into the site-packages that Paddle is in."
        )
    if extension is None:
        return (
            f"[load] the package is incomplete: expected the extension _C in "
            f"{PLUGIN_PATH.parent.parent}, got none for Python {sys.version_info.major}."
            f"{sys.version_info.minor}. {_REINSTALL}"
        )
    return (
        f"[load] paddle_mps is installed twice: expected the plugin {PLUGIN_PATH} to be in use, "
        f"got another, which the loader in {plugin_folder()} belongs to. Remove one of the two."
    )


def _open_loader(path: Path) -> Any:
    """Return the library if it is open in this process and is a loader of ours."""
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_NOLOAD)
        library.paddle_mps_unavailable_reason.restype = ctypes.c_char_p
    except (OSError, AttributeError):
        return None
    return library
