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
# Elements of one, two and four bytes: what a layout does to them depends on their size only.
LAYOUT_DTYPES = {"bool", "float16", "float32"}
LAYOUTS = {"test_layout", "test_mixed_layouts", "test_in_place_on_a_part_leaves_the_rest_alone"}
OPERATORS = "test_ops.py"


def is_asked(item: pytest.Item) -> bool:
    """Tell whether the usual run asks this question at this release."""
    name = getattr(item, "originalname", item.name)
    if name in NOT_OURS:
        return False
    if name in LAYOUTS:
        return item.callspec.params["dtype"] in LAYOUT_DTYPES
    return RELEASE in ENDS or item.path.name != OPERATORS or name in BETWEEN


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out, and count them."""
    if os.environ.get("PADDLE_MPS_DOUBLE_ALL") == "1":
        return
    left_out = [item for item in items if not is_asked(item)]
    items[:] = [item for item in items if is_asked(item)]
    config.hook.pytest_deselected(items=left_out)
