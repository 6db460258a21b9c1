"""The other side of quantisation.py: bitsandbytes, in an environment of its own.

Reads the name of a job from standard input, does it once and writes a line when it is done.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

warnings.filterwarnings("ignore")

import bitsandbytes as bnb  # noqa: E402
import bitsandbytes.functional as F  # noqa: E402
import torch  # noqa: E402

SIZE = 4096


def linear(rows: int, dtype: torch.dtype, train: bool) -> Callable[[], object]:
    """A Linear4bit; in evaluation it may use a kernel with a weight in an order of its own."""
    layer = bnb.nn.Linear4bit(
        SIZE, SIZE, bias=False, quant_type="nf4", compute_dtype=dtype, compress_statistics=False
    )
    layer = layer.to("cpu").train(train)
    x = torch.randn(rows, SIZE, dtype=dtype)
    return lambda: layer(x)


def linear_int8(rows: int) -> Callable[[], object]:
    """A Linear8bitLt without outliers."""
    layer = bnb.nn.Linear8bitLt(SIZE, SIZE, bias=False, has_fp16_weights=False, threshold=0.0).to(
        "cpu"
    )
    x = torch.randn(rows, SIZE, dtype=torch.float16)
    return lambda: layer(x)


def step(kind: type) -> Callable[[], object]:
    """One step of an optimiser with one parameter."""
    p = torch.nn.Parameter(torch.randn(SIZE, SIZE))
    p.grad = torch.randn(SIZE, SIZE)
    return kind([p], lr=1e-3).step


def jobs() -> dict[str, Callable[[], Callable[[], object]]]:
    """What can be asked for; made when it first is."""
    w = torch.randn(SIZE, SIZE)
    packed, state = F.quantize_4bit(w, quant_type="nf4")
    codes, state8 = F.quantize_blockwise(w, blocksize=256)
    return {
        "quantize_4bit nf4": lambda: lambda: F.quantize_4bit(w, quant_type="nf4"),
        "quantize_4bit fp4": lambda: lambda: F.quantize_4bit(w, quant_type="fp4"),
        "dequantize_4bit": lambda: lambda: F.dequantize_4bit(packed, state),
        "quantize_blockwise": lambda: lambda: F.quantize_blockwise(w, blocksize=256),
        "dequantize_blockwise": lambda: lambda: F.dequantize_blockwise(codes, state8),
        "matmul_4bit 1 float32": lambda: linear(1, torch.float32, True),
        "matmul_4bit 1 bfloat16": lambda: linear(1, torch.bfloat16, False),
        "matmul_4bit 32 float32": lambda: linear(32, torch.float32, True),
        "matmul_4bit 512 float32": lambda: linear(512, torch.float32, True),
        "int8 linear 32 float16": lambda: linear_int8(32),
        "int8 linear 512 float16": lambda: linear_int8(512),
        "Adam8bit": lambda: step(bnb.optim.Adam8bit),
        "Lion8bit": lambda: step(bnb.optim.Lion8bit),
    }


def main() -> None:
    """Do what is asked for until the input ends."""
    torch.set_num_threads(int(sys.argv[1]))
    known, made = jobs(), {}
    print(f"bitsandbytes {bnb.__version__}, torch {torch.__version__}", flush=True)
    with torch.no_grad():
        for line in sys.stdin:
            name = line.strip()
            if name not in made:
                made.clear()
                made[name] = known[name]()
            made[name]()
            print("done", flush=True)


if __name__ == "__main__":
    main()
