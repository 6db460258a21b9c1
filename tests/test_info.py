"""`python -m paddle_mps.info`: the reason and the exit status in every world, never a traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Callable

import paddle_mps
import pytest
from child import run_python
from paddle_mps import _library

HERE = str(Path(paddle_mps.__file__).parents[1])
REASON = r"\[load\] .+: expected .+, got .+\. .+\."

# The least that the package asks of Paddle.
STUB = """
import types
__version__ = {version!r}
version = types.SimpleNamespace(commit="none")
device = types.SimpleNamespace(get_all_custom_device_type=lambda: [])
"""


def report(**env: str | None) -> tuple[dict[str, Any], str, int]:
    """Run the command as JSON and as text; both must agree."""
    process = run_python("-m", "paddle_mps.info", "--json", **env)
    assert process.stderr == ""
    facts = json.loads(process.stdout)
    text = run_python("-m", "paddle_mps.info", **env)
    assert text.stderr == ""
    assert text.returncode == process.returncode
    assert text.stdout.startswith(f"usable: {'yes' if facts['usable'] else 'no'}\n")
    return facts, text.stdout, process.returncode


# -- a good world ---------------------------------------------------------------------------------


def test_a_good_world() -> None:
    facts, text, status = report()
    assert status == 0, text
    assert facts["usable"] is True
    assert facts["reason"] == ""
    assert facts["paddle_mps"] == facts["plugin_version"] == paddle_mps.__version__
    assert facts["paddle"].startswith(f"{_library.PADDLE_VERSION}, commit ")
    assert facts["paddle_has_custom_devices"] is True
    assert facts["plugin_folder_libraries"] == [_library.LOADER_NAME]
    assert facts["mps_kernels"] > 0
    assert facts["unknown_variables"] == []
    assert "exit_problem" not in facts
    assert len(facts["devices"]) == paddle_mps.device_count()
    device = facts["devices"][0]
    assert device["name"] == paddle_mps.get_device_name()
    assert device["memory"]["limit_bytes"] > 0
    for words in (
        device["name"],
        "driver_allocated_bytes",
        f"paddle_mps: {paddle_mps.__version__}",
    ):
        assert words in text


def test_variables_are_told_and_those_that_do_not_exist_are_named() -> None:
    facts, text, status = report(PADDLE_MPS_CACHE_ENTRIES="12", PADDLE_MPS_CASH_ENTRIES="13")
    assert status == 0
    assert facts["environment"]["PADDLE_MPS_CACHE_ENTRIES"] == "12"
    assert facts["unknown_variables"] == ["PADDLE_MPS_CASH_ENTRIES"]
    assert "warning: no such variables: PADDLE_MPS_CASH_ENTRIES" in text
    assert facts["devices"][0]["graph_cache"]["max_entries"] == 12


# -- bad worlds -----------------------------------------------------------------------------------


def empty_folder(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "plugins").mkdir()
    return {"CUSTOM_DEVICE_ROOT": str(tmp_path / "plugins")}


def broken_library(tmp_path: Path) -> dict[str, str]:
    env = empty_folder(tmp_path)
    (tmp_path / "plugins" / f"libother{_library.PLUGIN_PATH.suffix}").write_bytes(b"no library")
    return env


def loader_without_plugin(tmp_path: Path) -> dict[str, str]:
    env = empty_folder(tmp_path)
    _copy_loader(tmp_path / "plugins")
    return env


def foreign_plugin(tmp_path: Path) -> dict[str, str]:
    env = empty_folder(tmp_path)
    # A library that offers "mps" and is not ours: ours without the function by which it is known.
    _copy_loader(
        tmp_path / "plugins",
        name=f"libforeign{_library.PLUGIN_PATH.suffix}",
        replace=(b"paddle_mps_unavailable_reason", b"paddle_xyz_unavailable_reason"),
    )
    return env


def another_copy(tmp_path: Path) -> dict[str, str]:
    env = loader_without_plugin(tmp_path)
    lib = tmp_path / "paddle_mps" / "lib"
    lib.mkdir(parents=True)
    shutil.copy(_library.PLUGIN_PATH, lib)
    return env


def no_paddle(tmp_path: Path) -> dict[str, str]:
    return _stub(tmp_path, "raise ModuleNotFoundError(\"No module named 'paddle'\", name='paddle')")


def paddle_that_aborts(tmp_path: Path) -> dict[str, str]:
    return _stub(
        tmp_path, "import os, sys; print('last words', file=sys.stderr, flush=True); os.abort()"
    )


def paddle_that_exits(tmp_path: Path) -> dict[str, str]:
    return _stub(tmp_path, "import os; os._exit(255)")


def another_paddle(tmp_path: Path) -> dict[str, str]:
    return _stub(tmp_path, STUB.format(version="3.9.9"))


def paddle_without_custom_devices(tmp_path: Path) -> dict[str, str]:
    env = _stub(tmp_path, STUB.format(version=_library.PADDLE_VERSION))
    header = tmp_path / "paddle" / "include" / "paddle" / "phi" / "config.h"
    header.parent.mkdir(parents=True)
    header.write_text("// WITH_ONEDNN\n#if ON\n#endif\n\n// WITH_CUSTOM_DEVICE\n#if OFF\n#endif\n")
    return env


def _stub(tmp_path: Path, code: str) -> dict[str, str]:
    """A package called paddle, before the real one."""
    (tmp_path / "paddle").mkdir()
    (tmp_path / "paddle" / "__init__.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), HERE])}


def _copy_loader(folder: Path, name: str = "", replace: tuple[bytes, bytes] = (b"", b"")) -> None:
    found = _library.plugin_folder()
    assert found is not None
    code = (found / _library.LOADER_NAME).read_bytes()
    # An editable install's loader knows where the plugin is; this one must not.
    code = re.sub(rb"(editable-folder:)([^\0]*)", lambda m: m[1] + b"\0" * len(m[2]), code)
    (folder / (name or _library.LOADER_NAME)).write_bytes(
        code.replace(*replace) if replace[0] else code
    )


def switched_off(tmp_path: Path) -> dict[str, str]:
    return {"PADDLE_MPS_DISABLE": "1"}


def bad_backend(tmp_path: Path) -> dict[str, str]:
    return {"PADDLE_MPS_BACKEND": "cuda"}


def bad_limit(tmp_path: Path) -> dict[str, str]:
    return {"PADDLE_MPS_MEMORY_LIMIT": "plenty"}


def bad_monitor(tmp_path: Path) -> dict[str, str]:
    return {"PADDLE_MPS_MONITOR": "yes"}


def bad_vectors(tmp_path: Path) -> dict[str, str]:
    return {"PADDLE_MPS_HOST_VECTORS": "mmx"}


World = Callable[[Path], "dict[str, str]"]
WORLDS: list[tuple[World, list[str]]] = [
    (empty_folder, ["Paddle did not open the plugin", _library.LOADER_NAME, "got none"]),
    (broken_library, ["Paddle cannot be imported", "libother", "remove or repair"]),
    (loader_without_plugin, ["the plugin is missing", _library.PLUGIN_PATH.name]),
    (foreign_plugin, ["another plugin offers the device type mps", "libforeign"]),
    (another_copy, ["installed twice", str(_library.PLUGIN_PATH)]),
    (
        no_paddle,
        ["Paddle is not installed", f"pip install paddlepaddle=={_library.PADDLE_VERSION}"],
    ),
    (paddle_that_aborts, ["gave no answer", "signal SIGABRT"]),
    (paddle_that_exits, ["gave no answer", "exit status 255"]),
    (another_paddle, ["wrong Paddle version", f"expected {_library.PADDLE_VERSION}, got 3.9.9"]),
    (paddle_without_custom_devices, ["-DWITH_CUSTOM_DEVICE=ON", "Build Paddle"]),
    (switched_off, ["switched off", "PADDLE_MPS_DISABLE"]),
]


@pytest.mark.parametrize(("world", "words"), WORLDS, ids=[world.__name__ for world, _ in WORLDS])
def test_a_bad_world_has_a_reason(world: World, words: list[str], tmp_path: Path) -> None:
    facts, text, status = report(**world(tmp_path))
    assert status == 1
    assert facts["usable"] is False
    assert facts["devices"] == []
    assert re.fullmatch(REASON, facts["reason"]), facts["reason"]
    for word in words:
        assert word in facts["reason"]
    assert f"reason: {facts['reason']}\n" in text


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (bad_backend, ["PADDLE_MPS_BACKEND", "expected one of", "got 'cuda'"]),
        (bad_limit, ["PADDLE_MPS_MEMORY_LIMIT", "got 'plenty'"]),
        (bad_monitor, ["PADDLE_MPS_MONITOR", "expected 0 or 1", "got 'yes'"]),
        (bad_vectors, ["PADDLE_MPS_HOST_VECTORS", "expected one of baseline", "got 'mmx'"]),
    ],
)
def test_a_bad_variable_is_the_reason(world: World, words: list[str], tmp_path: Path) -> None:
    facts, _, status = report(**world(tmp_path))
    assert status == 1
    for word in words:
        assert word in facts["reason"]


def test_the_last_words_of_a_process_are_told(tmp_path: Path) -> None:
    facts, text, _ = report(**paddle_that_aborts(tmp_path))
    assert facts["last_lines"] == ["last words"]
    assert "last words" in text


def test_the_package_can_be_imported_in_every_world_that_python_survives(tmp_path: Path) -> None:
    program = (
        "import paddle_mps as m; print(m.is_available(), m.device_count(), m.unavailable_reason())"
    )
    process = run_python("-c", program, **no_paddle(tmp_path))
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("False 0 [load] Paddle is not installed: ")
