"""The cache of compiled graphs, and the folder where they are kept between runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import paddle
import paddle_mps
import pytest
from child import tell


@pytest.fixture(autouse=True)
def mps() -> Iterator[None]:
    assert paddle_mps.is_available(), paddle_mps.unavailable_reason()
    paddle.set_device("mps")
    yield
    paddle.set_device("mps")


def test_graph_cache_counts_hits_and_misses() -> None:
    x = paddle.ones([7, 11, 13])
    paddle_mps.clear_graph_cache()
    assert paddle_mps.graph_cache_info().entries == 0
    start = paddle_mps.graph_cache_info()
    x * x
    after_one = paddle_mps.graph_cache_info()
    assert (after_one.misses - start.misses, after_one.hits - start.hits) == (1, 0)
    assert after_one.entries == 1
    assert 0 < after_one.bytes <= after_one.max_bytes
    for _ in range(5):
        x * x
    after_six = paddle_mps.graph_cache_info()
    assert (after_six.misses - start.misses, after_six.hits - start.hits) == (1, 5)
    paddle_mps.empty_cache()
    assert paddle_mps.graph_cache_info().entries == 1
    paddle_mps.empty_cache(graphs=True)
    assert paddle_mps.graph_cache_info().entries == 0
    x * x
    assert paddle_mps.graph_cache_info().misses == after_six.misses + 1


def test_the_graph_cache_is_bounded() -> None:
    told = tell(
        """
import paddle, paddle_mps
for n in range(1, 9):
    x = paddle.ones([n])
    x * x
info = paddle_mps.graph_cache_info()
told.update(entries=info.entries, most=info.max_entries, evictions=info.evictions)
""",
        PADDLE_MPS_CACHE_ENTRIES="4",
    )
    assert told["entries"] == told["most"] == 4
    assert told["evictions"] > 0


def test_kept_graphs_can_be_removed(tmp_path: Path) -> None:
    told = tell(
        """
import os, paddle, paddle_mps
paddle.set_device("mps")
x = paddle.ones([3, 17])
def count(folder):
    return len(os.listdir(folder)) if os.path.isdir(folder) else 0
(x * x).numpy()
told["backend"] = paddle_mps.get_device_properties().backend
told["folder"] = folder = paddle_mps.graph_cache_info().folder
told["kept"] = count(folder)
paddle_mps.clear_graph_cache(kept=True)
told["entries"] = paddle_mps.graph_cache_info().entries
told["left"] = count(folder)
(x * x).numpy()
told["again"] = count(folder)
""",
        PADDLE_MPS_GRAPH_FOLDER=str(tmp_path / "graphs"),
    )
    assert told["entries"] == told["left"] == 0
    if told["backend"] != "metal":
        assert told["folder"] == "", "only Metal keeps compiled graphs"
    elif told["folder"]:  # from macOS 14 on
        assert told["folder"] == str(tmp_path / "graphs")
        assert told["kept"] > 0
        assert told["again"] > 0
    assert os.listdir(tmp_path) in ([], ["graphs"])
