"""Changes modules of Paddle as soon as they are imported, or at once if they are."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec

_Change = Callable[[types.ModuleType], object]
_CHANGES: dict[str, _Change] = {}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing by itself: has what others find changed after it has run."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        change = _CHANGES.pop(name, None)
        if change is None:
            return None
        if not _CHANGES:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_change(module: types.ModuleType) -> None:
                execute(module)
                change(module)

            spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec


_FINDER = _Finder()


def when_imported(name: str, change: _Change) -> None:
    """Call `change` with the module: now if it is there, else when it has been imported."""
    if name in sys.modules:
        change(sys.modules[name])
        return
    _CHANGES[name] = change
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
