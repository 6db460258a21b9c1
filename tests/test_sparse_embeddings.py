"""nn.Embedding(sparse=True): gradients are rows of the table; training is that of dense ones."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

pytestmark = pytest.mark.usefixtures("on_mps")

OPTIMIZERS = ("SGD", "Momentum", "Adagrad", "RMSProp", "Adam")
CLIPS = {
    "none": None,
    "by_norm": nn.ClipGradByNorm(1.0),
    "by_global_norm": nn.ClipGradByGlobalNorm(1.0),
}


def train(sparse: bool, optimizer: str, clip: object = None, **options: object) -> np.ndarray:
    """The table after three steps; rows 0, 3 and 5 are never read, and row 2 twice a step."""
    layer = nn.Embedding(6, 3, sparse=sparse)
    layer.weight.set_value(np.arange(18, dtype="float32").reshape(6, 3) / 8)
    step = getattr(paddle.optimizer, optimizer)(
        parameters=layer.parameters(), learning_rate=0.25, grad_clip=clip, **options
    )
    for rows in ([[1, 2], [2, 4]], [[2, 2]], [[4, 1]]):
        layer(paddle.to_tensor(rows)).square().sum().backward()
        assert layer.weight.grad.is_selected_rows() == sparse
        step.step()
        step.clear_grad()
    return layer.weight.numpy()


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_that_of_dense_gradients(optimizer: str, clip: str) -> None:
    dense = train(False, optimizer, CLIPS[clip])
    assert not np.array_equal(dense[1], np.arange(3, 6, dtype="float32") / 8)
    np.testing.assert_allclose(train(True, optimizer, CLIPS[clip]), dense, 2e-6, 2e-6)


def test_lazy_adam_leaves_rows_that_were_not_read() -> None:
    before = np.arange(18, dtype="float32").reshape(6, 3) / 8
    after = train(True, "Adam", lazy_mode=True)
    for row in range(6):
        assert np.array_equal(after[row], before[row]) == (row in (0, 3, 5)), row


def test_rows_of_int32_that_are_read_twice_are_merged() -> None:
    table = paddle.ones([4, 2])
    table.stop_gradient = False
    nn.functional.embedding(paddle.to_tensor([3, 3], "int32"), table, sparse=True).sum().backward()
    rows = nn.clip.merge_selected_rows(table.grad)
    assert rows.rows() == [3]
    np.testing.assert_array_equal(nn.clip.get_tensor_from_selected_rows(rows).numpy(), [[2.0, 2.0]])
