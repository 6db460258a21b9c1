"""Pretrain a small GPT on characters, quantise it to NF4, and fine-tune adapters on other text.

    python examples/qlora_char_gpt.py

QLoRA (Dettmers and others, 2023) next to full fine-tuning: both begin with the same pretrained
network and see the same text. The texts are Python's own: the network is pretrained on the
documentation strings of the standard library, and fine-tuned on its source. At the end it reports
losses, and the bytes of weights, gradients and optimiser state of both.
"""

from __future__ import annotations

import argparse
import ast
import copy
import sys
import sysconfig
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import paddle_mps
from paddle import nn
from paddle_mps.nn import Linear4bit, LoRALinear
from paddle_mps.optimizer import Adam8bit
from tqdm import tqdm

CHARACTERS = "".join(map(chr, range(32, 127))) + "\n"


class Block(nn.Layer):
    """Attention to what came before, then two linear layers, each beside the stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Turn [B, T, width] into the same."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape([batch, length, 3, self.heads, width // self.heads])
        q, k, v = qkv.unbind(axis=2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.reshape([batch, length, width]))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class CharGPT(nn.Layer):
    """Characters in, scores of the next ones out."""

    def __init__(self, width: int, depth: int, length: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(len(CHARACTERS), width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.LayerList([Block(width, width // 32) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(CHARACTERS))

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        """Turn [B, T] into [B, T, characters]."""
        x = self.characters(ids) + self.places(paddle.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def read_texts(limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return prose (documentation strings) and code of the standard library, as numbers."""
    folder = Path(sysconfig.get_path("stdlib"))
    prose: list[str] = []
    code: list[str] = []
    for path in sorted(folder.glob("*.py")):
        source = path.read_text(encoding="utf-8", errors="replace")
        code.append(source)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                prose.append(ast.get_docstring(node) or "")
    numbers = {character: i for i, character in enumerate(CHARACTERS)}

    def encode(parts: list[str]) -> np.ndarray:
        text = "\n".join(parts)[:limit]
        return np.array([numbers[c] for c in text if c in numbers], "int64")

    return encode(prose), encode(code)


def batch_of(text: np.ndarray, rng: np.random.Generator, size: int, length: int) -> paddle.Tensor:
    """Return random pieces of the text, [size, length + 1]."""
    starts = rng.integers(0, len(text) - length - 1, size=size)
    return paddle.to_tensor(np.stack([text[s : s + length + 1] for s in starts]))


def loss_of(net: nn.Layer, batch: paddle.Tensor) -> paddle.Tensor:
    """Return the mean loss of the next characters."""
    scores = net(batch[:, :-1])
    return F.cross_entropy(scores.reshape([-1, len(CHARACTERS)]), batch[:, 1:].reshape([-1]))


def train(
    net: nn.Layer, text: np.ndarray, steps: int, rate: float, what: str, args: argparse.Namespace
) -> None:
    """Train what is not frozen, with an 8-bit optimiser."""
    trained = [p for p in net.parameters() if not p.stop_gradient]
    optimizer = Adam8bit(rate, parameters=trained)
    rng = np.random.default_rng(args.seed)
    net.train()
    for _ in tqdm(range(steps), what, disable=not sys.stderr.isatty()):
        loss_of(net, batch_of(text, rng, args.batch_size, args.length)).backward()
        optimizer.step()
        optimizer.clear_grad()


def evaluate(net: nn.Layer, text: np.ndarray, args: argparse.Namespace) -> float:
    """Return the loss on pieces that training does not see: the last tenth of the text."""
    held_out, rng = text[-len(text) // 10 :], np.random.default_rng(1)
    net.eval()
    with paddle.no_grad():
        losses = [float(loss_of(net, batch_of(held_out, rng, 16, args.length))) for _ in range(8)]
    return sum(losses) / len(losses)


def training_bytes(net: nn.Layer) -> int:
    """Return the bytes of weights, of gradients, and of two 8-bit moments."""
    trained = sum(int(p.size) for p in net.parameters() if not p.stop_gradient)
    return paddle_mps.quantize.model_bytes(net) + trained * (4 + 2)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="QLoRA on characters")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--pretrain", type=int, default=300, help="steps")
    parser.add_argument("--finetune", type=int, default=150, help="steps")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main() -> int:
    """Pretrain, fine-tune twice, report; return the exit status."""
    args = options()
    if not paddle_mps.is_available():
        print(paddle_mps.unavailable_reason(), file=sys.stderr)
        return 1
    paddle.set_device("mps")
    paddle.seed(args.seed)
    prose, code = read_texts(400_000)
    net = CharGPT(args.width, args.depth, args.length)
    train(net, prose[: -len(prose) // 10], args.pretrain, 2e-3, "pretraining", args)
    before = evaluate(net, code, args)
    print(f"pretrained: loss {evaluate(net, prose, args):.3f} on prose, {before:.3f} on code")

    full = copy.deepcopy(net)
    report = paddle_mps.quantize_model(net, "nf4", skip=["head"])
    print(f"quantised to NF4: {report}")
    print(f"quantised: loss {evaluate(net, code, args):.3f} on code")
    for parameter in net.parameters():
        parameter.stop_gradient = True
    for block in net.blocks:
        for name, layer in list(block.named_children()):
            if isinstance(layer, Linear4bit):
                setattr(block, name, LoRALinear(layer, rank=args.rank))

    text = code[: -len(code) // 10]
    for what, model, rate in (("adapters", net, 4e-3), ("everything", full, 1e-3)):
        train(model, text, args.finetune, rate, what, args)
        trained = sum(int(p.size) for p in model.parameters() if not p.stop_gradient)
        print(
            f"fine-tuned {what}: loss {evaluate(model, code, args):.3f} on code, {trained:,} "
            f"numbers trained, {training_bytes(model):,} bytes of weights, gradients and state"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
