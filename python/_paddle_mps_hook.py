"""Offers `paddle.mps` to programs that only wrote `import paddle`.

The plugin calls install() while Paddle is being imported, when `paddle` is in `sys.modules` but
half empty. So this module stands beside the package and not in it, imports nothing of either, and
leaves everything to the first use of `paddle.mps`. `import paddle_mps` calls install() too: there
is one way in which `paddle.mps` comes to be.
"""

from __future__ import annotations

import gc
import os
import sys
import types
from typing import Any

import _paddle_mps_attention
from _paddle_mps_imports import when_imported


class _LazyModule(types.ModuleType):
    """`sys.modules["paddle.mps"]`: forwards attributes to paddle_mps, imported at the first one.

    It is not a package (there is no `__path__`), so that no submodule of paddle_mps can be imported
    a second time under another name.
    """

    def __getattr__(self, name: str) -> Any:
        # Only tools that walk over all modules ask for these; they must not import anything.
        if name.startswith("__"):
            raise AttributeError(f"module 'paddle.mps' has no attribute {name!r}")
        import paddle_mps

        return getattr(paddle_mps, name)

    def __dir__(self) -> list[str]:
        import paddle_mps

        return dir(paddle_mps)


def is_compiled_with_mps() -> bool:
    """Say whether Paddle has loaded the plugin; `paddle.is_compiled_with_mps` is this function."""
    import paddle_mps

    return paddle_mps.is_compiled_with_mps()


def _let_amp_use_bfloat16(amp: Any) -> None:
    """Have AMP ask the device whether it computes in bfloat16.

    Paddle 3.3.1 has a list of the names of custom devices that do. On all others `auto_cast` and
    `decorate` warn, if at all, and leave the program in float32.
    """
    by_name = getattr(amp, "_is_custom_device_bfloat16_supported", None)
    if by_name is None:
        return

    def is_supported() -> bool:
        place = amp._current_expected_place()
        if not place.is_custom_place() or place.get_device_type() != "mps":
            return bool(by_name())
        return bool(sys.modules["paddle"].amp.is_bfloat16_supported())

    amp._is_custom_device_bfloat16_supported = is_supported


def install() -> None:
    """Put `paddle.mps` and `paddle.is_compiled_with_mps` in place, if Paddle is there, and AMP."""
    paddle: Any = sys.modules.get("paddle")
    if paddle is None or hasattr(paddle, "mps"):
        return
    # A child of fork() must not destroy tensors that it inherits as garbage. Paddle's allocator
    # would take a lock that another thread may have held at the fork, a data loader's for example,
    # and that nobody in the child will ever release.
    os.register_at_fork(after_in_child=gc.freeze)
    paddle.mps = sys.modules["paddle.mps"] = _LazyModule(
        "paddle.mps", "The Python package paddle_mps."
    )
    paddle.is_compiled_with_mps = is_compiled_with_mps
    _paddle_mps_attention.install()
    when_imported("paddle.amp.auto_cast", _let_amp_use_bfloat16)
