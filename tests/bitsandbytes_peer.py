"""Run by test_bitsandbytes.py in an environment with torch and bitsandbytes.

python bitsandbytes_peer.py make FILE          layers and their results
python bitsandbytes_peer.py read FILE RESULTS  results of layers whose state dicts are in FILE
"""

from __future__ import annotations

import sys

import bitsandbytes as bnb
import numpy as np
import torch

INPUTS, OUTPUTS = 128, 48


def layer_of(kind: str) -> torch.nn.Module:
    """A layer on the CPU.

    Of 4 bits in training, so that its weight stays in order; of int8 in evaluation, since training
    multiplies with what is dequantised.
    """
    if kind == "int8":
        return bnb.nn.Linear8bitLt(INPUTS, OUTPUTS, has_fp16_weights=False).to("cpu").eval()
    name, _, nested = kind.partition("-")
    layer = bnb.nn.Linear4bit(
        INPUTS,
        OUTPUTS,
        quant_type=name,
        compress_statistics=nested == "nested",
        compute_dtype=torch.float32,
    )
    return layer.to("cpu").train()


KINDS = ("nf4-plain", "nf4-nested", "fp4-plain", "fp4-nested", "int8")


def result_of(kind: str, layer: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return layer(x.half() if kind == "int8" else x).float().numpy()


def make(path: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(5, INPUTS)
    arrays = {"x": x.numpy()}
    for kind in KINDS:
        layer = layer_of(kind)
        arrays[f"{kind}.result"] = result_of(kind, layer, x)
        for key, value in layer.state_dict().items():
            arrays[f"{kind}.sd:{key}"] = value.numpy()
    np.savez(path, **arrays)


def read(path: str, results: str) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    found = {}
    for kind in KINDS:
        start = f"{kind}.sd:"
        state = {
            k[len(start) :]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith(start)
        }
        layer = layer_of(kind)
        if kind == "int8":
            layer.load_state_dict(state)
        else:
            weight = state.pop("weight")
            stats = {key: state.pop(key) for key in list(state) if key.startswith("weight.")}
            layer.weight = bnb.nn.Params4bit.from_prequantized(weight, stats, device="cpu")
            layer.load_state_dict(state, strict=False)
        found[kind] = result_of(kind, layer, torch.from_numpy(arrays["x"]))
    np.savez(results, **found)


if __name__ == "__main__":
    {"make": make, "read": read}[sys.argv[1]](*sys.argv[2:])
