"""A pytest plugin: what the usual run asks of the double. `suite.py --all` asks everything.

The operator suite has more than twenty thousand questions. Many of them tell nothing more here than
on the host device, and a run at five releases has to end before somebody loses patience.
"""

from __future__ import annotations

import os

import pytest

RELEASE = os.environ.get("PADDLE_MPS_DOUBLE_OS", "26.0")
# Questions about operators are shared out. The oldest release is asked all of them; the newest all
# values, and the rest of the dtypes that the oldest has not or has in part. Those between are asked
# the values of float32 and of the dtypes that are new in them.
OLDEST, NEWEST = "12.0", "26.0"
LATE = ("bfloat16", "int64")
NEW = {"13.3": "int64", "14.0": "bfloat16"}
VALUES = "test_value"
# Gradients are asked of the newest release, in the dtype of most and in that of fewest digits.
GRADIENTS = ("float32", "bfloat16")
# They ask Paddle's CPU device, not ours.
NOT_OURS = {
    "test_the_truth_is_also_numpys",
    "test_paddles_cpu_gradient_agrees_with_finite_differences",
}
# They measure what the host device takes for itself.
HOST_ALONE = {"test_a_product_never_holds_the_whole_weight"}
# Operators see dense elements, whatever layout they came in: kernels that move elements are asked
# about layouts in every dtype, the others in one.
MOVERS = {"assign", "contiguous", "strided_copy"}
# The newest release reads memory at an offset as it is, which is the same for every op.
WITH_OFFSETS = {"add", "matmul", "sum", "concat", "gather", "where"}
LAYOUTS = {"test_layout", "test_mixed_layouts", "test_in_place_on_a_part_leaves_the_rest_alone"}


def _asks_operators(name: str, dtype: str | None) -> bool:
    if RELEASE == OLDEST or dtype is None:
        return True
    if RELEASE == NEWEST:
        return name == VALUES or dtype in LATE
    return name == VALUES and dtype in ("float32", NEW.get(RELEASE))


def is_asked(item: pytest.Item) -> bool:
    """Tell whether the usual run asks this question at this release."""
    name = getattr(item, "originalname", item.name)
    if name in NOT_OURS or name in HOST_ALONE:
        return False
    if name in LAYOUTS:
        case, dtype = item.callspec.params["case"], item.callspec.params["dtype"]
        one = "float32" if "float32" in case.dtypes else case.dtypes[0]
        asked = case.kernel in WITH_OFFSETS or RELEASE == OLDEST
        return case.kernel in MOVERS or (dtype == one and asked)
    dtype = item.callspec.params.get("dtype") if hasattr(item, "callspec") else None
    if item.path.name == "test_grads.py":
        return dtype is None or dtype in GRADIENTS
    return item.path.name != "test_ops.py" or _asks_operators(name, dtype)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out, and count them."""
    if os.environ.get("PADDLE_MPS_DOUBLE_ALL") == "1":
        return
    left_out = [item for item in items if not is_asked(item)]
    items[:] = [item for item in items if is_asked(item)]
    config.hook.pytest_deselected(items=left_out)
