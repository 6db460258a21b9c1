"""The networks of model_rows.py in torch: each function returns a step of the same sizes and kind.

Only models.py --torch imports this; torch is not among the requirements.
"""

from __future__ import annotations

from collections.abc import Callable

import model_rows
import torch
import torch.nn.functional as F
from torch import nn


def training(
    net: nn.Module, loss: Callable[[], torch.Tensor], optimizer: str = "adamw"
) -> model_rows.Step:
    if optimizer == "adamw":
        steps = torch.optim.AdamW(net.parameters(), 1e-4, weight_decay=0.01)
    else:
        steps = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        loss().backward()
        steps.step()
        steps.zero_grad()

    return step


def convolution(channels: int, wide: int, size: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, wide, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(wide))


class BasicBlock(nn.Module):
    def __init__(self, channels: int, wide: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(channels, wide, 3, stride)
        self.second = convolution(wide, wide, 3, 1)
        same = stride == 1 and channels == wide
        self.shortcut = nn.Identity() if same else convolution(channels, wide, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def resnet18() -> model_rows.Step:
    layers = [convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for wide in (64, 128, 256, 512):
        for stride in (1 if wide == 64 else 2, 1):
            layers.append(BasicBlock(channels, wide, stride))
            channels = wide
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    images, classes = torch.tensor(model_rows.IMAGES), torch.tensor(model_rows.CLASSES)
    return training(net, lambda: F.cross_entropy(net(images), classes), "momentum")


def encoder() -> model_rows.Step:
    layer = nn.TransformerEncoderLayer(256, 4, 1024, 0.1, "gelu", batch_first=True)
    body, head = nn.TransformerEncoder(layer, 4), nn.Linear(256, 10)
    x, classes = torch.tensor(model_rows.TOKENS), torch.tensor(model_rows.TOKEN_CLASSES)
    net = nn.Sequential(body, head)
    return training(net, lambda: F.cross_entropy(net(x).mean(1), classes))


class LstmClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5000, 128)
        self.network = nn.LSTM(128, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.network(self.embedding(ids))[0][:, -1])


def lstm() -> model_rows.Step:
    net = LstmClassifier()
    ids, classes = torch.tensor(model_rows.WORDS), torch.tensor(model_rows.WORD_CLASSES)
    return training(net, lambda: F.cross_entropy(net(ids), classes))


class Block(nn.Module):
    """As char_gpt.Block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        wide = 4 * width
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        mixed = self.attention(self.norms[0](x)).view(batch, tokens, 3, self.heads, -1)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norms[1](x))


class Gpt(nn.Module):
    """As char_gpt.Gpt."""

    def __init__(self, characters: int, context: int, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.characters, self.positions = (
            nn.Embedding(characters, width),
            nn.Embedding(context, width),
        )
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def loss(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.characters(ids[:, :-1]) + self.positions(torch.arange(ids.shape[1] - 1))
        scores = F.linear(self.norm(self.blocks(x)), self.characters.weight)
        return F.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


def gpt() -> model_rows.Step:
    net = Gpt(96, 64, 3, 128, 4)
    ids = torch.tensor(model_rows.CHARACTERS)
    return training(net, lambda: net.loss(ids))
