"""A pytest plugin: what the usual run asks of the double. `suite.py --all` asks everything.

The operator suite has more than twenty thousand questions. Many of them tell nothing more here than
on the host device, and a run at five releases has to end before somebody loses patience.
"""

from __future__ import annotations

import os

import pytest

RELEASE = os.environ.get("PADDLE_MPS_DOUBLE_OS", "26.0")
# At the oldest and the newest release every question about operators is asked, in between every
# operator in every dtype by value: what differs there is which dtypes and methods there are.
ENDS = ("12.0", "26.0")
BETWEEN = {"test_value"}
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
LAYOUTS = {"test_layout", "test_mixed_layouts", "test_in_place_on_a_part_leaves_the_rest_alone"}
OPERATORS = "test_ops.py"


def is_asked(item: pytest.Item) -> bool:
    """Tell whether the usual run asks this question at this release."""
    name = getattr(item, "originalname", item.name)
    if name in NOT_OURS or name in HOST_ALONE:
        return False
    if name in LAYOUTS:
        case, dtype = item.callspec.params["case"], item.callspec.params["dtype"]
        one = "float32" if "float32" in case.dtypes else case.dtypes[0]
        return case.kernel in MOVERS or dtype == one
    return RELEASE in ENDS or item.path.name != OPERATORS or name in BETWEEN


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out, and count them."""
    if os.environ.get("PADDLE_MPS_DOUBLE_ALL") == "1":
        return
    left_out = [item for item in items if not is_asked(item)]
    items[:] = [item for item in items if is_asked(item)]
    config.hook.pytest_deselected(items=left_out)
