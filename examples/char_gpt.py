"""Train a small GPT on the text of Python's own manual, on `mps` or on the CPU, and let it write.

    python examples/char_gpt.py --device mps

The text comes with every Python: the reference manual that `help()` shows (`pydoc_data.topics`) and
the documentation strings of the standard library, 0.6 million characters; the last twentieth is
held out. The network predicts each character from the up to 64 before it: 3 layers of causal
attention, 128 wide, 0.6 million parameters. It reports bits per character of held-out text, time,
memory along the way, where each op ran, and ends with text of its own.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import math
import resource
import sys
import time
from pydoc_data.topics import topics

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from tqdm import tqdm

MODULES = "argparse asyncio collections csv ctypes datetime decimal difflib email fractions json"
MODULES += (
    " logging pathlib pickle random re sqlite3 statistics subprocess threading unittest zipfile"
)
PROMPT = "The "


def documentation() -> str:
    """Python's manual and documentation strings, in plain ASCII."""
    parts = [topics[name] for name in sorted(topics)]
    for name in MODULES.split():
        module = importlib.import_module(name)
        for member in [module, *(m for _, m in sorted(vars(module).items()) if callable(m))]:
            parts.append(inspect.getdoc(member) or "")
    return "\n\n".join(parts).encode("ascii", "ignore").decode()


class Block(nn.Layer):
    """Causal attention, then two linear layers, each behind a norm and around a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.LayerList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """From [batch, tokens, width] to the same."""
        batch, tokens, width = x.shape
        mixed = self.attention(self.norms[0](x))
        query, key, value = mixed.reshape(
            [batch, tokens, 3, self.heads, width // self.heads]
        ).unbind(2)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.reshape([batch, tokens, width]))
        return x + self.mlp(self.norms[1](x))


class Gpt(nn.Layer):
    """Scores of the next character; the embedding of characters is also the last layer."""

    def __init__(self, characters: int, context: int, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.context = context
        spread = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, 0.02))
        self.characters = nn.Embedding(characters, width, weight_attr=spread)
        self.positions = nn.Embedding(context, width, weight_attr=spread)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        """From ids [batch, tokens] to scores [batch, tokens, characters]."""
        x = self.characters(ids) + self.positions(paddle.arange(ids.shape[1]))
        x = self.norm(self.blocks(x))
        return paddle.matmul(x, self.characters.weight, transpose_y=True)

    def loss(self, ids: paddle.Tensor) -> paddle.Tensor:
        """Mean nats per character of ids [batch, tokens + 1]."""
        scores = self(ids[:, :-1])
        return F.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


def train(net: Gpt, ids: np.ndarray, args: argparse.Namespace) -> list[str]:
    """Train with AdamW on random windows; returns a line about memory for each tenth of the way."""
    warm = min(100, args.steps // 10 + 1)
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(args.learning_rate, args.steps)
    schedule = paddle.optimizer.lr.LinearWarmup(schedule, warm, 0.0, args.learning_rate)
    optimizer = paddle.optimizer.AdamW(
        schedule,
        parameters=net.parameters(),
        weight_decay=0.01,
        grad_clip=nn.ClipGradByGlobalNorm(1.0),
    )
    draw = np.random.default_rng(args.seed)
    window = np.arange(net.context + 1)
    tenth = max(1, args.steps // 10)
    memory, total = [], 0.0
    with tqdm(total=args.steps, unit="step", disable=not sys.stderr.isatty()) as bar:
        for step in range(1, args.steps + 1):
            starts = draw.integers(0, len(ids) - len(window), args.batch_size)
            loss = net.loss(paddle.to_tensor(ids[starts[:, None] + window]))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            schedule.step()
            total += float(loss)
            bar.update()
            if step % tenth == 0:
                bits = total / tenth / math.log(2)
                bar.set_postfix(bits=f"{bits:.3f}")
                if bar.disable:
                    print(f"step {step}/{args.steps}  {bits:.3f} bits per character", flush=True)
                memory.append(f"{step:>8} {memory_now(args.device)}")
                total = 0.0
    return memory


def memory_now(device: str) -> str:
    """What the process held at most, and what the device's tensors hold, in MiB."""
    at_most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    at_most /= 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB here
    text = f"{at_most:>15,.1f}"
    if device == "mps":
        mps = paddle.mps
        text += f"{mps.memory_allocated() / 2**20:>12,.1f}{mps.memory_reserved() / 2**20:>11,.1f}"
    return text


def bits_per_character(net: Gpt, ids: np.ndarray, batch_size: int) -> float:
    """Of held-out text, in windows that do not overlap."""
    windows = np.lib.stride_tricks.sliding_window_view(ids, net.context + 1)[:: net.context]
    windows = windows[: max(1, len(windows) // batch_size) * batch_size]
    with paddle.no_grad():
        losses = [
            float(net.loss(paddle.to_tensor(windows[i : i + batch_size])))
            for i in range(0, len(windows), batch_size)
        ]
    return float(np.mean(losses)) / math.log(2)


def write(net: Gpt, letters: str, length: int, temperature: float) -> str:
    """Text drawn character by character."""
    ids = paddle.to_tensor([[letters.index(letter) for letter in PROMPT]])
    with paddle.no_grad():
        for _ in range(length):
            scores = net(ids[:, -net.context :])[:, -1] / temperature
            ids = paddle.concat([ids, paddle.multinomial(F.softmax(scores, -1), 1)], 1)
    return "".join(letters[i] for i in ids[0].tolist())


def main() -> int:
    """Parse the command line, train, measure, write, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["mps", "cpu"], default="mps")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--letters", type=int, default=400, help="how long the text at the end is")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    if args.device == "mps":
        import paddle_mps

        if not paddle_mps.is_available():
            print(paddle_mps.unavailable_reason(), file=sys.stderr)
            return 1
    paddle.set_device(args.device)
    paddle.seed(args.seed)

    text = documentation()
    letters = "".join(sorted(set(text)))
    ids = np.searchsorted(np.array(list(letters)), np.array(list(text))).astype("int64")
    training, held_out = np.split(ids, [len(ids) * 19 // 20])
    held_out = held_out[:20000]
    name = paddle.mps.get_device_name() if args.device == "mps" else "Paddle's CPU device"
    print(f"device: {args.device} ({name})")
    print(f"text: {len(training):,} characters to train on, {len(letters)} different ones")

    net = Gpt(len(letters), args.context, args.layers, args.width, heads=4)
    print(f"network: {sum(p.size for p in net.parameters()):,} parameters")
    begin = time.perf_counter()
    memory = train(net, training, args)
    seconds = time.perf_counter() - begin
    print()
    bits = bits_per_character(net, held_out, args.batch_size)
    print(f"held-out text: {bits:.3f} bits per character")
    print(f"training time: {seconds:.1f} s, {1000 * seconds / args.steps:.1f} ms per step")
    print()
    print(write(net, letters, args.letters, args.temperature))
    print()
    devices = "  of tensors   reserved" if args.device == "mps" else ""
    print(f"memory (MiB) at step   at most{devices}")
    print("\n".join(memory))
    if args.device == "mps":
        print()
        print(paddle.mps.fallback_report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
