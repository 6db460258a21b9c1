"""What memory cannot be shared, and what is said of it."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import paddle
import paddle_mps
import pytest
from child import run_python
from shared_memory import filled

pytestmark = pytest.mark.usefixtures("mps", "nothing_stays_shared")


# -- bad input ------------------------------------------------------------------------------------


def test_as_numpy_and_to_dlpack_want_a_tensor_of_the_device() -> None:
    for name in ("as_numpy", "to_dlpack"):
        function = getattr(paddle_mps, name)
        with pytest.raises(
            ValueError, match=rf"^\[{name}\] wrong device: .+ got one on Place\(cpu"
        ):
            function(paddle.ones([2], device="cpu"))
        for foreign in (np.ones(2), [1.0], None, 3):
            with pytest.raises(TypeError, match=rf"^\[{name}\] not a tensor: expected .+, got .+"):
                function(foreign)


@pytest.mark.parametrize("bad", [[1.0], 3, None, "array", paddle.ones([2], device="cpu")], ids=str)
def test_from_numpy_wants_an_array(bad: object) -> None:
    with pytest.raises(TypeError, match=r"^\[from_numpy\] not an array: expected .+, got .+\. .+"):
        paddle_mps.from_numpy(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dtype", ["uint32", "uint64", "object", "U3", "datetime64[s]", ">f4", "longdouble", "i4,f4"]
)
@pytest.mark.parametrize("copy", [False, None, True])
def test_from_numpy_refuses_other_dtypes(dtype: str, copy: bool | None) -> None:
    with pytest.raises(
        TypeError, match=r"^\[from_numpy\] wrong dtype: expected one of bool, .+got"
    ):
        paddle_mps.from_numpy(np.empty(3, dtype), copy=copy)


def test_from_numpy_says_why_an_array_cannot_be_shared() -> None:
    array = filled((40, 50))
    read_only = filled(10)
    read_only.flags.writeable = False
    cases = {
        "expected a C-contiguous one, got strides": (
            array.T,
            array[:, 1:],
            array[::2],
            array[::-1],
        ),
        "expected one that may be written, got a read-only one": (read_only,),
        "expected memory from the start of a page of": (array[1:], array.reshape(-1)[1:]),
    }
    for words, arrays in cases.items():
        for bad in arrays:
            with pytest.raises(
                ValueError, match=r"^\[from_numpy\] the array cannot be shared: "
            ) as e:
                paddle_mps.from_numpy(bad)
            assert words in str(e.value)
            assert str(e.value).endswith("or pass copy=True.")


@pytest.mark.parametrize("device", [99, "cpu", "mps:3"])
@pytest.mark.parametrize("name", ["from_numpy", "from_dlpack"])
def test_sharing_with_a_device_that_does_not_exist(name: str, device: object) -> None:
    with pytest.raises(ValueError, match=rf"^\[{name}\] .+: expected .+, got .+\. .+\.$"):
        getattr(paddle_mps, name)(filled(), device)


@pytest.mark.parametrize("bad", [[1.0], 3, None, "capsule"], ids=str)
def test_from_dlpack_wants_a_source(bad: object) -> None:
    with pytest.raises(TypeError, match=r"^\[from_dlpack\] not a DLPack source: .+, got .+\. .+"):
        paddle_mps.from_dlpack(bad)


def test_from_dlpack_wants_memory_of_the_cpu() -> None:
    with pytest.raises(ValueError, match=r"^\[from_dlpack\] wrong device: .+ on Place\(mps:0\)\."):
        paddle_mps.from_dlpack(paddle.ones([2]))

    class Elsewhere:
        def __dlpack__(self, **options: Any) -> Any:
            return filled(2).__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

    with pytest.raises(ValueError, match=r"^\[from_dlpack\] wrong device: .+ on DLPack device 2\."):
        paddle_mps.from_dlpack(Elsewhere())


def test_nothing_is_shared_without_a_device() -> None:
    program = """
        import numpy as np, paddle, paddle_mps
        a = paddle_mps.empty_numpy(3)
        a[:] = 1
        for name, argument in (("from_numpy", a), ("from_dlpack", a)):
            try:
                getattr(paddle_mps, name)(argument)
            except RuntimeError as error:
                assert str(error).startswith(f"[{name}] there is no mps device. "), error
            else:
                raise AssertionError(name)
        """
    process = run_python("-c", textwrap.dedent(program), PADDLE_MPS_DISABLE="1")
    assert process.returncode == 0, process.stderr[-2000:]
