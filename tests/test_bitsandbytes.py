"""State dicts go from bitsandbytes to here and back, and mean the same on both sides.

Needs bitsandbytes and the CPU build of torch, in an environment of their own, whose Python
`MPS_BITSANDBYTES` names (benchmarks/quantisation.py says how to make one).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle_mps import nn

PYTHON = os.environ.get("MPS_BITSANDBYTES", "")
PEER = Path(__file__).with_name("bitsandbytes_peer.py")
pytestmark = [
    pytest.mark.usefixtures("on_mps"),
    pytest.mark.skipif(not PYTHON, reason="MPS_BITSANDBYTES names no Python with bitsandbytes"),
]


def peer(*arguments: str) -> None:
    process = subprocess.run(
        [PYTHON, str(PEER), *arguments], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr


def layer_of(kind: str) -> paddle.nn.Layer:
    if kind == "int8":
        return nn.Linear8bitLt(128, 48, has_fp16_weights=False)
    return nn.Linear4bit(128, 48, quant_type=kind[:3], compress_statistics=kind.endswith("nested"))


def result_of(kind: str, layer: paddle.nn.Layer, x: paddle.Tensor) -> np.ndarray:
    return layer(x.astype("float16") if kind == "int8" else x).astype("float32").numpy()


def test_there_and_back(tmp_path: Path) -> None:
    peer("make", str(tmp_path / "theirs.npz"))
    theirs = dict(np.load(tmp_path / "theirs.npz"))
    x = paddle.to_tensor(theirs["x"])
    kinds = [key[: -len(".result")] for key in theirs if key.endswith(".result")]
    assert len(kinds) == 5
    ours = {"x": theirs["x"]}
    results = {}
    for kind in kinds:
        start = f"{kind}.sd:"
        state = {key[len(start) :]: value for key, value in theirs.items() if key.startswith(start)}
        layer = layer_of(kind)
        assert nn.load_state_dict(layer, state) == ([], [])
        tolerance = 5e-3 if kind == "int8" else 1e-5
        np.testing.assert_allclose(
            result_of(kind, layer, x), theirs[f"{kind}.result"], rtol=tolerance, atol=tolerance
        )
        for key, value in layer.state_dict().items():
            assert value.numpy().astype(state[key].dtype).tobytes() == state[key].tobytes(), key
        # And a layer of our own making.
        made = layer_of(kind)
        results[kind] = result_of(kind, made, x)
        for key, value in made.state_dict().items():
            dtype = state[key].dtype if key == "bias" else value.numpy().dtype
            ours[f"{kind}.sd:{key}"] = value.numpy().astype(dtype)
    np.savez(tmp_path / "ours.npz", **ours)
    peer("read", str(tmp_path / "ours.npz"), str(tmp_path / "results.npz"))
    for kind, result in np.load(tmp_path / "results.npz").items():
        tolerance = 5e-3 if kind == "int8" else 1e-5
        np.testing.assert_allclose(result, results[kind], rtol=tolerance, atol=tolerance)
