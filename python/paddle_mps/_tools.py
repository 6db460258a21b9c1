"""Packages that only the tools need: `pip install paddle_mps[tools]`."""

from __future__ import annotations

import importlib
from typing import Any


def require_package(op: str, module: str) -> Any:
    """Import a module of an optional package; if it is missing, say how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there, and something that it needs is not
        raise ImportError(
            f"[{op}] {package} is missing: expected it to be installed, got no module named "
            f"{error.name}. Install it: pip install 'paddle_mps[tools]'."
        ) from None
