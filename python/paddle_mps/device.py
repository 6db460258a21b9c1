"""Which mps devices there are, what they can do, and waiting for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _library
from ._index import device_index

if TYPE_CHECKING:
    from paddle import CustomPlace

    from ._index import DeviceLike


@dataclass(frozen=True)
class DeviceProperties:
    """What a device is. All sizes are in bytes.

    Attributes:
        name: "Apple M2 Max", for example; on the host backend, the CPU's name.
        backend: "metal", "host" (a CPU that stands in for the GPU) or "null" (computes nothing; for
            measuring overhead).
        architecture: GPU family, or instruction set of the CPU.
        total_memory: Memory of the machine.
        recommended_max_memory: Most bytes that should be in use at once.
        max_buffer_length: Most bytes that one tensor may take.
        unified_memory: Whether CPU and device share memory.
        core_count: GPU cores, or CPU cores in use; 0 if unknown.
        float16: Whether float16 is supported.
        bfloat16: Whether bfloat16 is supported.
    """

    name: str
    backend: str
    architecture: str
    total_memory: int
    recommended_max_memory: int
    max_buffer_length: int
    unified_memory: bool
    core_count: int
    float16: bool
    bfloat16: bool


def is_compiled_with_mps() -> bool:
    """Say whether this process has loaded the plugin; `paddle.is_compiled_with_mps()` is the same.

    True does not mean that there is a device: see `is_available`.

    Returns:
        True if Paddle has loaded the plugin. Neither synchronises nor allocates. Mirrors
        `paddle.is_compiled_with_cuda`.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.is_compiled_with_mps() == paddle.is_compiled_with_mps()
        True
    """
    return _library.state().extension is not None


def is_available() -> bool:
    """Say whether there is an mps device that this process can use.

    Returns:
        True if there is at least one; if not, `unavailable_reason` tells why. Never raises, neither
        synchronises nor allocates. Mirrors `torch.mps.is_available`.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.ones([2], device="mps" if paddle_mps.is_available() else "cpu")
        >>> float(x.sum())
        2.0
    """
    return _library.state().device_count > 0


def unavailable_reason() -> str:
    """Tell in one sentence why there is no mps device, and what to do about it.

    Returns:
        The reason; an empty string if there is a device. Never raises, neither synchronises nor
        allocates.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.is_available() or "expected" in paddle_mps.unavailable_reason()
        True
    """
    return _library.state().reason


def device_count() -> int:
    """Return the number of mps devices.

    Returns:
        How many there are; 0 if the plugin cannot be used. Never raises, neither synchronises nor
        allocates.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.device_count() > 0
        True
    """
    return _library.state().device_count


def set_device(device: DeviceLike = "mps") -> CustomPlace:
    """Make an mps device the current one: the one that new tensors go to.

    The same as `paddle.set_device("mps:0")`, but for the message when the device does not exist.
    Importing Paddle with the plugin installed makes the first mps device the current one already.

    Args:
        device: An index, "mps", "mps:N" or a place; None keeps the current mps device, or takes the
            first one.

    Returns:
        The place of the device. Neither synchronises nor allocates. Mirrors `paddle.set_device`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> place = paddle_mps.set_device(0)
        >>> paddle.get_device()
        'mps:0'
    """
    index = device_index("set_device", device)
    import paddle

    return paddle.set_device(f"{_library.DEVICE_TYPE}:{index}")


def current_device() -> int:
    """Return the index of the current mps device.

    Returns:
        The index; while the current device is another one (the CPU, say), that of the first mps
        device. Neither synchronises nor allocates. Mirrors `paddle.device.current_device`.

    Raises:
        RuntimeError: There is no mps device.

    Example:
        >>> import paddle_mps
        >>> place = paddle_mps.set_device("mps:0")
        >>> paddle_mps.current_device()
        0
    """
    return device_index("current_device")


def get_device_properties(device: DeviceLike = None) -> DeviceProperties:
    """Return what a device is and how much it can hold.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        Its properties. Neither synchronises nor allocates. Mirrors
        `paddle.device.get_device_properties`, which Paddle 3.3.1 refuses for mps.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> properties = paddle_mps.get_device_properties()
        >>> properties.backend in ("metal", "host", "null")
        True
        >>> properties.recommended_max_memory <= properties.total_memory
        True
    """
    index = device_index("get_device_properties", device)
    return DeviceProperties(**_library.require("get_device_properties").device_properties(index))


def get_device_name(device: DeviceLike = None) -> str:
    """Return a device's name, for example "Apple M2 Max".

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        The name. Neither synchronises nor allocates. Mirrors `paddle.device.get_device_name`, which
        Paddle 3.3.1 refuses for mps.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle_mps
        >>> paddle_mps.get_device_name() == paddle_mps.get_device_properties().name
        True
    """
    return get_device_properties(device_index("get_device_name", device)).name


def is_float16_supported(device: DeviceLike = None) -> bool:
    """Say whether a device computes in float16.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        True if it does. Neither synchronises nor allocates. Mirrors
        `paddle.amp.is_float16_supported`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.is_float16_supported() == paddle.amp.is_float16_supported("mps")
        True
    """
    return get_device_properties(device_index("is_float16_supported", device)).float16


def is_bfloat16_supported(device: DeviceLike = None) -> bool:
    """Say whether a device computes in bfloat16; on Apple GPUs that takes macOS 14.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Returns:
        True if it does. Neither synchronises nor allocates. Mirrors
        `paddle.amp.is_bfloat16_supported`.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.

    Example:
        >>> import paddle, paddle_mps
        >>> paddle_mps.is_bfloat16_supported() == paddle.amp.is_bfloat16_supported("mps")
        True
    """
    return get_device_properties(device_index("is_bfloat16_supported", device)).bfloat16


def synchronize(device: DeviceLike = None) -> None:
    """Wait until everything that was given to a device is done.

    Work runs behind the program's back; reading a tensor's values waits for what it needs by
    itself. Call this before reading a clock, or to learn of errors now. Waits for every stream of
    the device, with the GIL released.

    Args:
        device: An index, "mps", "mps:N" or a place. Default: the current device.

    Raises:
        RuntimeError: There is no mps device.
        ValueError: This one does not exist.
        OSError: Work failed on the device since the last wait; the message names the op and has the
            device's own words. The first failure is raised after all streams have been waited for,
            and the device can be used afterwards.

    Source:
        `paddle.device.synchronize`.

    Example:
        >>> import paddle, paddle_mps
        >>> x = paddle.ones([64, 64]) @ paddle.ones([64, 64])
        >>> paddle_mps.synchronize()
    """
    index = device_index("synchronize", device)
    _library.require("synchronize").synchronize(index)
