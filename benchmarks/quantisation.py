"""Quantisation on mps, side by side with bitsandbytes on the CPU, and what the formats cost.

    python benchmarks/quantisation.py --peer ENVIRONMENT/bin/python --check
    python benchmarks/quantisation.py --errors

bitsandbytes and the CPU build of torch live in an environment of their own, which `--peer` names:

    python -m venv ENVIRONMENT
    ENVIRONMENT/bin/pip install torch==2.13.0+cpu bitsandbytes==0.50.2 numpy

Both processes take turns in every round, so that each is alone when it is timed (but for what else
the machine does). Weights are 4096 x 4096 random normal numbers, blocks of 64 (4 bits) or 256 (8
bits); bitsandbytes runs as it does best: with its own order of weights where it has a kernel for it
(bfloat16, one row). BitNet is compared with the float32 product of Paddle's CPU device. Without
`--peer` only that is run.

`--errors` prints what each format makes of the weights of a network trained by
examples/qlora_char_gpt.py: bits per weight, and the error relative to the weights' own size.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timing

timing.prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle_mps  # noqa: E402
import paddle_mps.functional as F  # noqa: E402
from paddle_mps import nn, optimizer  # noqa: E402

SIZE = 4096
# How many times as fast as bitsandbytes (BitNet: as Paddle's CPU device) each has to be.
BARS = {
    "quantize_4bit nf4": 5.0,
    "quantize_4bit fp4": 5.0,
    "dequantize_4bit": 1.5,
    "matmul_4bit 1 float32": 10.0,
    "matmul_4bit 1 bfloat16": 1.0,
    "matmul_4bit 32 float32": 2.0,
    "matmul_4bit 512 float32": 2.0,
    "int8 linear 32 float16": 1.5,
    "int8 linear 512 float16": 1.5,
    "quantize_blockwise": 2.0,
    "dequantize_blockwise": 1.0,
    "Adam8bit": 3.0,
    "Lion8bit": 3.0,
    "BitNet 1 float32": 4.0,
}


class Peer:
    """A process that does one job at a time."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("quantisation_peer.py")
        self._process = subprocess.Popen(
            [python, str(script), str(timing.physical_cores())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.name = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("[quantisation] the peer has ended. Look at what it printed.")
        return line

    def do(self, job: str) -> None:
        """Return when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{job}\n")
        self._process.stdin.flush()
        self._answer()


def random(*shape: int, dtype: str = "float32") -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(1).normal(size=shape).astype("float32")).astype(
        dtype
    )


def linear_4bit(rows: int, dtype: str) -> Callable[[], object]:
    layer = nn.Linear4bit(
        SIZE,
        SIZE,
        bias=False,
        quant_type="nf4",
        compress_statistics=False,
        weight=random(SIZE, SIZE),
    )
    x = random(rows, SIZE, dtype=dtype)
    return lambda: layer(x)


def linear_int8(rows: int) -> Callable[[], object]:
    layer = nn.Linear8bitLt(
        SIZE, SIZE, bias=False, has_fp16_weights=False, weight=random(SIZE, SIZE)
    )
    x = random(rows, SIZE, dtype="float16")
    return lambda: layer(x)


def step(kind: Any) -> Callable[[], object]:
    p = paddle.create_parameter([SIZE, SIZE], "float32")
    p.grad = random(SIZE, SIZE)
    taker = kind(1e-3, parameters=[p])
    return taker.step  # type: ignore[no-any-return]


def bitnet() -> Callable[[], object]:
    layer = nn.BitLinear(SIZE, SIZE, weight=random(SIZE, SIZE)).pack()
    x = random(1, SIZE)
    return lambda: layer(x)


def jobs() -> dict[str, Callable[[], Callable[[], object]]]:
    """The same as in quantisation_peer.py."""
    w = random(SIZE, SIZE)
    packed, state = F.quantize_4bit(w, quant_type="nf4")
    codes, state8 = F.quantize_blockwise(w, blocksize=256)
    return {
        "quantize_4bit nf4": lambda: lambda: F.quantize_4bit(w, quant_type="nf4"),
        "quantize_4bit fp4": lambda: lambda: F.quantize_4bit(w, quant_type="fp4"),
        "dequantize_4bit": lambda: lambda: F.dequantize_4bit(packed, state),
        "quantize_blockwise": lambda: lambda: F.quantize_blockwise(w, blocksize=256),
        "dequantize_blockwise": lambda: lambda: F.dequantize_blockwise(codes, state8),
        "matmul_4bit 1 float32": lambda: linear_4bit(1, "float32"),
        "matmul_4bit 1 bfloat16": lambda: linear_4bit(1, "bfloat16"),
        "matmul_4bit 32 float32": lambda: linear_4bit(32, "float32"),
        "matmul_4bit 512 float32": lambda: linear_4bit(512, "float32"),
        "int8 linear 32 float16": lambda: linear_int8(32),
        "int8 linear 512 float16": lambda: linear_int8(512),
        "Adam8bit": lambda: step(optimizer.Adam8bit),
        "Lion8bit": lambda: step(optimizer.Lion8bit),
        "BitNet 1 float32": bitnet,
    }


def other_side(name: str, peer: Peer | None) -> Callable[[], object] | None:
    if name == "BitNet 1 float32":
        x, w = (random(n, SIZE).cpu() for n in (1, SIZE))
        return lambda: paddle.matmul(x, w, transpose_y=True)
    return None if peer is None else lambda: peer.do(name)


def run(args: Any) -> int:
    """Time every job; return how many bars are missed."""
    peer = Peer(args.peer) if args.peer else None
    print(f"peer: {peer.name if peer else 'none'}")
    rows, numbers, missed = [], {}, 0
    for name, make in jobs().items():
        other = other_side(name, peer)
        if other is None or args.only not in name:
            continue
        with paddle.no_grad():
            ours = timing.Way("mps", make(), paddle_mps.synchronize)
            times = timing.compare(
                [ours, timing.Way("other", other)], rounds=args.rounds, sample_s=0.01
            )
        ratio = times.ratio("other", "mps")
        is_missed = ratio < BARS[name]
        missed += is_missed
        ms = {way: times.median(way) * 1e3 for way in ("mps", "other")}
        numbers[name] = {**ms, "faster": ratio, "spread": times.spread("mps"), "bar": BARS[name]}
        rows.append(
            [
                name,
                *(f"{ms[way]:.3f}" for way in ms),
                f"{ratio:.2f}",
                f"{BARS[name]:g}",
                "missed" if is_missed else "",
            ]
        )
    timing.print_table(["4096 x 4096", "mps ms", "other ms", "faster", "bar", ""], rows)
    path = args.json or timing.OUT / "quantisation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"conditions": timing.conditions(), "peer": peer.name if peer else "", "rows": numbers}
    path.write_text(json.dumps(facts, indent=2))
    return missed if args.check else 0


# -- errors ---------------------------------------------------------------------------------------


def trained_weights() -> list[paddle.Tensor]:
    """The matrices of the example's network, after its pretraining."""
    path = Path(__file__).resolve().parents[1] / "examples" / "qlora_char_gpt.py"
    spec = importlib.util.spec_from_file_location("qlora_char_gpt", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    args = example.options(["--pretrain", "200"])
    paddle.seed(0)
    net = example.CharGPT(args.width, args.depth, args.length)
    example.train(net, example.read_texts(200_000)[0], args.pretrain, 2e-3, "pretraining", args)
    return [
        layer.weight.detach() for layer in net.sublayers() if isinstance(layer, paddle.nn.Linear)
    ]


def formats() -> dict[str, tuple[Callable[[paddle.Tensor], paddle.Tensor], float]]:
    """What a weight becomes, and bits per weight (in a matrix of 4096 columns)."""

    def blocks_4(**options: Any) -> Callable[[paddle.Tensor], paddle.Tensor]:
        return lambda w: F.dequantize_4bit(*F.quantize_4bit(w, **options))

    def rows_8(w: paddle.Tensor) -> paddle.Tensor:
        q, stats, _ = F.int8_vectorwise_quant(w)
        return F.int8_vectorwise_dequant(q, stats)

    def ternary(w: paddle.Tensor) -> paddle.Tensor:
        q, scale = F.ternary_quantize(w)
        return q.astype("float32") / scale

    return {
        "8 bits, blocks of 256": (
            lambda w: F.dequantize_blockwise(*F.quantize_blockwise(w, blocksize=256)),
            8 + 32 / 256,
        ),
        "int8 rows": (rows_8, 8 + 32 / 4096),
        "NF4, blocks of 64": (blocks_4(quant_type="nf4"), 4.5),
        "NF4, blocks of 64, nested": (blocks_4(quant_type="nf4", compress_statistics=True), 4.127),
        "NF4, blocks of 256": (blocks_4(quant_type="nf4", blocksize=256), 4.125),
        "FP4, blocks of 64": (blocks_4(quant_type="fp4"), 4.5),
        "BitNet (not trained for it)": (ternary, 2.0),
    }


def errors() -> int:
    """Print a table of errors."""
    weights = trained_weights()
    rows = []
    for name, (through, bits) in formats().items():
        difference = sum(float(((through(w) - w) ** 2).sum()) for w in weights)
        size = sum(float((w**2).sum()) for w in weights)
        rows.append(
            [name, f"{bits:.3f}", f"{16 / bits:.2f}", f"{(difference / size) ** 0.5 * 100:.2f} %"]
        )
    timing.print_table(["format", "bits", "smaller than float16", "error"], rows)
    return 0


def main() -> int:
    parser = timing.arguments("Quantisation against bitsandbytes")
    parser.add_argument("--peer", help="a Python with torch and bitsandbytes")
    parser.add_argument("--errors", action="store_true", help="print what the formats cost")
    args = parser.parse_args()
    paddle.set_device("mps")
    return errors() if args.errors else run(args)


if __name__ == "__main__":
    sys.exit(main())
