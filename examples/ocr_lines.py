"""Train a network to read lines of text, on `mps` or on the CPU, and count the letters it misreads.

    python examples/ocr_lines.py --device mps

Lines of words and numbers are drawn as they are needed, with the DejaVu fonts that come with
matplotlib: five faces, three sizes, moved, faded and under noise, so that no image is seen twice.
The network is a CRNN (Shi et al., 2015): convolutions that keep the width, an LSTM that runs along
the line both ways, and CTC, which needs no word about where in the image a letter is. It reports
the share of letters read right in lines never seen (the edit distance counts what is wrong), time,
memory along the way, and where each op ran.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 .,-"  # class 0 is CTC's blank
HEIGHT, WIDTH = 24, 128  # pixels
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Oblique")


class Lines:
    """Draws lines of text; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self.fonts = [
            ImageFont.truetype(folder / f"{face}.ttf", size)
            for face in FACES
            for size in (13, 15, 17)
        ]
        self.rng = np.random.default_rng(seed)

    def text(self) -> str:
        """Two or three made-up words or numbers, 5 to 14 letters in all."""
        length = int(self.rng.integers(5, 15))
        letters = list(self.rng.choice(list(LETTERS), length))
        for i in range(length):  # a space now and then, none at the ends or next to another
            if letters[i] == " " and (i in (0, length - 1) or letters[i - 1] == " "):
                letters[i] = "e"
        return "".join(letters)

    def line(self) -> tuple[np.ndarray, str]:
        """An image [HEIGHT, WIDTH], 0 where there is paper and about 1 where there is ink."""
        text, font = self.text(), self.fonts[self.rng.integers(len(self.fonts))]
        while (length := font.getlength(text)) > WIDTH - 6:
            text = text[:-1].rstrip()
        image = Image.new("L", (WIDTH, HEIGHT))
        left = self.rng.integers(2, WIDTH - 3 - int(length))
        middle = HEIGHT // 2 + self.rng.integers(-2, 3)
        ImageDraw.Draw(image).text((left, middle), text, fill=255, font=font, anchor="lm")
        pixels = np.asarray(image, "float32") / 255 * self.rng.uniform(0.6, 1)
        return pixels + self.rng.normal(0, 0.08, pixels.shape), text

    def batch(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
        """Images [N, 1, HEIGHT, WIDTH], classes of letters [N, longest], lengths [N], the texts."""
        images, texts = zip(*(self.line() for _ in range(count)))
        lengths = np.array([len(text) for text in texts], "int64")
        labels = np.zeros((count, 14), "int32")
        for row, text in zip(labels, texts):
            row[: len(text)] = [1 + LETTERS.index(letter) for letter in text]
        return np.stack(images)[:, np.newaxis].astype("float32"), labels, lengths, list(texts)


class Crnn(nn.Layer):
    """From images [N, 1, HEIGHT, WIDTH] to scores [WIDTH / 4, N, classes]."""

    def __init__(self) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int) -> list[nn.Layer]:
            convolution = nn.Conv2D(inputs, outputs, 3, padding=1, bias_attr=False)
            return [convolution, nn.BatchNorm2D(outputs), nn.ReLU()]

        self.images = nn.Sequential(
            *conv(1, 16),
            nn.MaxPool2D(2),
            *conv(16, 32),
            nn.MaxPool2D(2),
            *conv(32, 64),
            nn.MaxPool2D((2, 1)),
        )
        self.narrow = nn.Linear(64 * HEIGHT // 8, 64)
        self.sequence = nn.LSTM(64, 64, direction="bidirect")
        self.letters = nn.Linear(128, 1 + len(LETTERS))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """See the class."""
        x = self.images(x).flatten(1, 2).transpose([0, 2, 1])
        x, _ = self.sequence(F.relu(self.narrow(x)))
        return self.letters(x).transpose([1, 0, 2])


def train(net: Crnn, lines: Lines, args: argparse.Namespace) -> list[str]:
    """Train with Adam; returns a line about memory for each tenth of the way."""
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(args.learning_rate, args.steps)
    optimizer = paddle.optimizer.Adam(
        schedule, parameters=net.parameters(), grad_clip=nn.ClipGradByGlobalNorm(5.0)
    )
    tenth = max(1, args.steps // 10)
    memory, total = [], 0.0
    with tqdm(total=args.steps, unit="step", disable=not sys.stderr.isatty()) as bar:
        for step in range(1, args.steps + 1):
            images, labels, lengths, _ = lines.batch(args.batch_size)
            scores = net(paddle.to_tensor(images))
            steps = paddle.full([args.batch_size], scores.shape[0], "int64")
            loss = F.ctc_loss(scores, paddle.to_tensor(labels), steps, paddle.to_tensor(lengths))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            schedule.step()
            total += float(loss)
            bar.update()
            if step % tenth == 0:
                bar.set_postfix(loss=f"{total / tenth:.4f}")
                if bar.disable:
                    print(f"step {step}/{args.steps}  loss {total / tenth:.4f}", flush=True)
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


def read(net: Crnn, images: np.ndarray) -> list[str]:
    """The likeliest class of each step, repeats and blanks left out."""
    with paddle.no_grad():
        classes = net(paddle.to_tensor(images)).argmax(-1).numpy().T
    texts = []
    for row in classes:
        kept = [now for before, now in zip([0, *row], row) if now and now != before]
        texts.append("".join(LETTERS[i - 1] for i in kept))
    return texts


def edit_distance(a: str, b: str) -> int:
    """How many letters to put in, take out or change (Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != other))
    return row[-1]


def accuracy(net: Crnn, lines: Lines, batches: int, batch_size: int) -> tuple[float, list[tuple]]:
    """1 - edit distance / letters over new lines, and a few lines with what was read."""
    net.eval()
    wrong = letters = 0
    pairs = []
    for _ in range(batches):
        images, _, _, texts = lines.batch(batch_size)
        for text, found in zip(texts, read(net, images)):
            wrong += edit_distance(text, found)
            letters += len(text)
            pairs.append((text, found))
    return 1 - wrong / letters, pairs[:5]


def main() -> int:
    """Parse the command line, train, read, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["mps", "cpu"], default="mps")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--test-batches", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    if args.device == "mps":
        import paddle_mps

        if not paddle_mps.is_available():
            print(paddle_mps.unavailable_reason(), file=sys.stderr)
            return 1
    paddle.set_device(args.device)
    paddle.seed(args.seed)

    name = paddle.mps.get_device_name() if args.device == "mps" else "Paddle's CPU device"
    print(f"device: {args.device} ({name})")
    net = Crnn()
    print(f"network: {sum(p.size for p in net.parameters()):,} parameters")
    begin = time.perf_counter()
    memory = train(net, Lines(args.seed), args)
    seconds = time.perf_counter() - begin
    share, examples = accuracy(net, Lines(args.seed + 1), args.test_batches, args.batch_size)
    print()
    for text, found in examples:
        print(f"  {text:<15} read as  {found}")
    print()
    print(f"character accuracy: {100 * share:.2f} %")
    print(f"training time: {seconds:.1f} s, {1000 * seconds / args.steps:.1f} ms per step")
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
