"""The package paddle_mps: how it comes to be `paddle.mps`, and its devices."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import paddle
import paddle_mps
import pytest
from child import tell
from paddle_mps import _library

ROOT = Path(__file__).resolve().parents[1]

# Every function whose last argument is a device and that changes nothing to speak of.
TAKES_DEVICE = [
    "get_device_name",
    "get_device_properties",
    "is_bfloat16_supported",
    "is_float16_supported",
    "synchronize",
    "driver_allocated_memory",
    "empty_cache",
    "get_per_process_memory_fraction",
    "max_memory_allocated",
    "max_memory_requested",
    "max_memory_reserved",
    "memory_allocated",
    "memory_history",
    "memory_requested",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "recommended_max_memory",
    "reset_max_memory_allocated",
    "reset_max_memory_reserved",
    "reset_peak_memory_stats",
    "get_rng_state",
    "seed",
    "clear_graph_cache",
    "graph_cache_info",
    "set_device",
]


@pytest.fixture(autouse=True)
def mps() -> Iterator[None]:
    assert paddle_mps.is_available(), paddle_mps.unavailable_reason()
    paddle.set_device("mps")
    yield
    paddle.set_device("mps")


# -- the package ----------------------------------------------------------------------------------


def test_versions_agree_with_the_source_tree() -> None:
    version = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    assert paddle_mps.__version__ == version
    assert _library.require("test").plugin_version() == version
    wanted = (ROOT / "requirements" / "paddle.txt").read_text(encoding="utf-8")
    assert re.findall(r"^paddlepaddle==([\w.]+)", wanted, re.M) == [_library.PADDLE_VERSION]
    assert _library.require("test").paddle_version() == _library.PADDLE_VERSION


def test_it_is_paddle_mps() -> None:
    assert paddle.mps is paddle_mps
    assert paddle.is_compiled_with_mps() is True
    assert paddle_mps.is_compiled_with_mps() is True


def test_a_usable_plugin_has_no_reason_not_to_be() -> None:
    assert paddle_mps.is_available() is True
    assert paddle_mps.unavailable_reason() == ""


def test_the_extension_raises_what_the_plugin_says() -> None:
    extension = _library.require("test")
    with pytest.raises(ValueError, match=r"^\[memory\] no such device: expected .*, got 99\."):
        extension.memory(99)
    assert paddle_mps.last_error().startswith("[memory] no such device")


def test_a_plugin_that_is_not_open_is_not_opened(tmp_path: Path) -> None:
    copy = tmp_path / _library.PLUGIN_PATH.name
    copy.write_bytes(_library.PLUGIN_PATH.read_bytes())
    assert _library.require("test").attach(str(copy)) is False


# -- `paddle.mps` without `import paddle_mps` -----------------------------------------------------


def test_import_paddle_is_enough() -> None:
    told = tell("""
import sys
mine = set(globals())
import paddle
told["imported"] = "paddle_mps" in sys.modules
hasattr(paddle.mps, "__file__")  # what tools that walk over all modules ask for
told["imported by tools"] = "paddle_mps" in sys.modules
told["left in __main__"] = sorted(set(globals()) - mine - {"mine", "paddle", "__annotations__"})
told["compiled"] = paddle.is_compiled_with_mps()
told["available"] = paddle.mps.is_available()
import paddle_mps
told["same"] = paddle.mps is paddle_mps
""")
    assert told == {
        "imported": False,
        "imported by tools": False,
        "left in __main__": [],
        "compiled": True,
        "available": True,
        "same": True,
    }


@pytest.mark.parametrize(
    "statement",
    ["import paddle.mps as m", "from paddle import mps as m", "import paddle; m = paddle.mps"],
)
def test_every_way_to_import_it_works(statement: str) -> None:
    told = tell(f"""
{statement}
told["count"] = m.device_count()
from paddle.mps import memory_allocated
told["dir"] = "memory_allocated" in dir(m)
import paddle_mps
told["function"] = memory_allocated is paddle_mps.memory_allocated
""")
    assert told == {"count": paddle_mps.device_count(), "dir": True, "function": True}


def test_submodules_cannot_be_imported_a_second_time_under_another_name() -> None:
    told = tell("""
import paddle, paddle_mps
try:
    import paddle.mps.memory
except ModuleNotFoundError as error:
    told["error"] = str(error)
told["attribute"] = paddle.mps.memory is paddle_mps.memory
""")
    assert "'paddle.mps' is not a package" in told["error"]
    assert told["attribute"] is True


def test_the_hook_can_be_switched_off() -> None:
    told = tell(
        """
import paddle
told["before"] = hasattr(paddle, "mps"), hasattr(paddle, "is_compiled_with_mps")
import paddle_mps
told["after"] = paddle.mps is paddle_mps, paddle.is_compiled_with_mps()
""",
        PADDLE_MPS_PYTHON_HOOK="0",
    )
    assert told == {"before": [False, False], "after": [True, True]}


def test_a_switched_off_plugin_says_so() -> None:
    told = tell(
        """
import paddle, paddle_mps
told["available"] = paddle_mps.is_available(), paddle_mps.device_count()
told["compiled"] = paddle.is_compiled_with_mps()
told["reason"] = paddle_mps.unavailable_reason()
told["device"] = paddle.get_device()
try:
    paddle_mps.synchronize()
except RuntimeError as error:
    told["error"] = str(error)
""",
        PADDLE_MPS_DISABLE="1",
    )
    assert told["available"] == [False, 0]
    assert told["compiled"] is False
    assert told["device"] == "cpu"
    assert "PADDLE_MPS_DISABLE" in told["reason"]
    assert told["error"] == f"[synchronize] there is no mps device. {told['reason']}"


# -- devices --------------------------------------------------------------------------------------


def test_device_properties_make_sense() -> None:
    properties = paddle_mps.get_device_properties()
    assert properties.backend in ("metal", "host", "null")
    assert properties.name == paddle_mps.get_device_name() != ""
    assert properties.architecture != ""
    assert 0 < properties.recommended_max_memory <= properties.total_memory
    assert 0 < properties.max_buffer_length <= properties.total_memory
    assert properties.unified_memory is True
    assert properties.core_count > 0
    assert properties.float16 is paddle_mps.is_float16_supported()
    assert properties.bfloat16 is paddle_mps.is_bfloat16_supported()
    assert properties.float16 == paddle.amp.is_float16_supported("mps")
    assert properties.bfloat16 == paddle.amp.is_bfloat16_supported("mps")
    assert properties.recommended_max_memory == paddle_mps.recommended_max_memory()
    with pytest.raises(dataclasses.FrozenInstanceError):
        properties.name = "other"  # type: ignore[misc]


def test_device_count_is_paddles() -> None:
    assert paddle_mps.device_count() == paddle.device.device_count("mps") > 0


@pytest.mark.parametrize(
    "device",
    [None, 0, "mps", "mps:0", "CustomPlace", "place of a tensor"],
)
def test_every_way_to_name_a_device_works(device: object) -> None:
    if device == "CustomPlace":
        device = paddle.CustomPlace("mps", 0)
    if device == "place of a tensor":
        device = paddle.ones([1]).place
    for name in TAKES_DEVICE:
        getattr(paddle_mps, name)(device)
    assert str(paddle_mps.set_device(device)) == "Place(mps:0)"


@pytest.mark.parametrize("name", TAKES_DEVICE)
@pytest.mark.parametrize("device", [99, -1, "mps:99", "cpu", "mps:", "gpu:0", "CPUPlace"])
def test_a_device_that_does_not_exist_is_a_value_error(name: str, device: object) -> None:
    place = paddle.CPUPlace() if device == "CPUPlace" else device
    with pytest.raises(ValueError, match=rf"^\[{name}\] .*: expected .+, got .+\. .+\.$"):
        getattr(paddle_mps, name)(place)


@pytest.mark.parametrize("device", [1.5, True, b"mps", [0]])
def test_what_is_not_a_device_is_a_type_error(device: object) -> None:
    with pytest.raises(TypeError, match=r"^\[synchronize\] not a device: expected .+, got .+\."):
        paddle_mps.synchronize(device)  # type: ignore[arg-type]


def test_set_device_is_paddles() -> None:
    paddle.set_device("cpu")
    assert paddle_mps.current_device() == 0  # of the mps devices
    paddle_mps.set_device()
    assert paddle.get_device() == "mps:0"
    assert str(paddle.ones([1]).place) == "Place(mps:0)"


def test_synchronize_works_from_any_thread() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            paddle_mps.synchronize("mps:0")
        except BaseException as error:  # noqa: B036  it is raised below
            errors.append(error)

    x = paddle.ones([256, 256])
    y = x @ x
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert float(y[0, 0]) == 256.0


def test_two_devices_are_told_apart() -> None:
    if paddle_mps.get_device_properties().backend != "host":
        pytest.skip("only the host backend can pretend to be two")
    told = tell(
        """
import paddle, paddle_mps
told["count"] = paddle_mps.device_count()
paddle_mps.set_device(1)
told["current"] = paddle_mps.current_device(), paddle.get_device()
x = paddle.zeros([1024])
told["allocated"] = [paddle_mps.memory_allocated(i) for i in (None, 0, "mps:1", x.place)]
del x
told["emptied"] = [paddle_mps.memory_stats(i)["blocks_bytes"] for i in (0, 1)]
paddle_mps.set_device(0)
paddle_mps.empty_cache(1)
told["current after"] = paddle_mps.current_device()
told["reserved"] = paddle_mps.memory_reserved(1)
paddle_mps.manual_seed(3, 1)
paddle_mps.manual_seed(4, 0)
told["seeds"] = [paddle_mps.get_rng_state(i).device.current_seed() for i in (0, 1)]
paddle_mps.set_device("mps:1")
state = paddle_mps.get_rng_state()
numbers = paddle.rand([8]).tolist()
paddle_mps.set_rng_state(state, "mps:1")
told["same numbers"] = paddle.rand([8]).tolist() == numbers
""",
        PADDLE_MPS_HOST_DEVICES="2",
    )
    assert told["count"] == 2
    assert told["current"] == [1, "mps:1"]
    assert told["allocated"] == [4096, 0, 4096, 4096]
    assert told["current after"] == 0
    assert told["reserved"] == 0
    assert told["seeds"] == [4, 3]
    assert told["same numbers"] is True


# -- Paddle's own ways to name the device ---------------------------------------------------------


@pytest.mark.parametrize("name", ["mps", "mps:0", "CustomPlace"])
def test_paddle_takes_the_device_by_name(name: str) -> None:
    place = paddle.CustomPlace("mps", 0) if name == "CustomPlace" else name
    paddle.set_device("cpu")
    tensors = [
        paddle.to_tensor([1.0, 2.0], place=place),
        paddle.ones([2], device=place),
        paddle.zeros([2], device=place) + 1,
        paddle.ones([2]).to(place),
        paddle.arange(2, device=place),
        paddle.full([2], 3.0, device=place),
    ]
    assert [str(tensor.place) for tensor in tensors] == ["Place(mps:0)"] * len(tensors)
    assert tensors[0].cpu().tolist() == [1.0, 2.0]
    assert str(tensors[0].cpu().place) == "Place(cpu)"
    assert tensors[3].tolist() == [1.0, 1.0]

    layer = paddle.nn.Linear(3, 2)
    assert str(layer.weight.place) == "Place(cpu)"
    layer.to(place)
    assert str(layer.weight.place) == "Place(mps:0)"
    assert layer(paddle.ones([4, 3]).to(place)).shape == [4, 2]


def test_importing_paddle_makes_mps_the_default() -> None:
    told = tell("import paddle; told['device'] = paddle.get_device(), str(paddle.ones([1]).place)")
    assert told["device"] == ["mps:0", "Place(mps:0)"]
