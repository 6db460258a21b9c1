"""Convolutional networks as people write them, at small widths, for test_vision_models.py.

Each has loss(), as those of models.py, and scores() for inference.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.vision.models import MobileNetV3Small
from paddle.vision.models.resnet import BasicBlock, BottleneckBlock
from paddle.vision.models.vgg import make_layers

BATCH, CLASSES = 8, 10


def images(channels: int, height: int, width: int, batch: int = BATCH) -> paddle.Tensor:
    rng = np.random.default_rng(3)
    return paddle.to_tensor(rng.standard_normal((batch, channels, height, width)).astype("float32"))


def classes() -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(4).integers(0, CLASSES, BATCH))


class Classifier(nn.Layer):
    """What tells classes of images apart: `layers` gives scores [N, CLASSES]."""

    shape = (3, 32, 32)
    layers: nn.Layer

    def scores(self) -> paddle.Tensor:
        return self.layers(images(*self.shape))

    def loss(self) -> paddle.Tensor:
        return F.cross_entropy(self.scores(), classes())


class LeNet(Classifier):
    shape = (1, 28, 28)

    def __init__(self) -> None:
        super().__init__()
        self.layers = paddle.vision.models.LeNet(CLASSES)


class ResNet(Classifier):
    """Paddle's blocks and its arrangement of them, an eighth as wide.

    The last norm of a block starts at a tenth (Goyal et al., 2017, start it at 0). Starting at 1,
    fifty layers multiply a rounding by 10,000, on the CPU device as much as here.
    """

    shape = (3, 48, 48)  # of which 2x2 are left at the end: a norm of 8 numbers is no measure
    block: type = BasicBlock
    blocks = (2, 2, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        stem = [nn.Conv2D(3, 8, 7, 2, 3, bias_attr=False), nn.BatchNorm2D(8), nn.ReLU()]
        self.layers = nn.Sequential(*stem, nn.MaxPool2D(3, 2, 1))
        inputs = 8
        for stage, count in enumerate(self.blocks):
            planes = 8 * 2**stage
            outputs = planes * self.block.expansion
            for i in range(count):
                stride = 2 if stage and not i else 1
                shortcut = None
                if stride == 2 or inputs != outputs:
                    widen = nn.Conv2D(inputs, outputs, 1, stride, bias_attr=False)
                    shortcut = nn.Sequential(widen, nn.BatchNorm2D(outputs))
                block = self.block(inputs, planes, stride, shortcut)
                last = block.bn3 if self.block is BottleneckBlock else block.bn2
                last.weight.set_value(paddle.full([outputs], 0.1))
                self.layers.append(block)
                inputs = outputs
        for layer in (nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(inputs, CLASSES)):
            self.layers.append(layer)


class ResNet18(ResNet):
    pass


class ResNet50(ResNet):
    block = BottleneckBlock
    blocks = (3, 4, 6, 3)


class MobileNet(Classifier):
    """MobileNetV3 whose dropout drops nothing: two devices draw different numbers."""

    shape = (3, 64, 64)

    def __init__(self) -> None:
        super().__init__()
        self.layers = MobileNetV3Small(scale=0.35, num_classes=CLASSES)
        for layer in self.layers.sublayers():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0


class Vgg(Classifier):
    def __init__(self) -> None:
        super().__init__()
        features = make_layers([8, 8, "M", 16, 16, "M", 32, "M"], batch_norm=True)
        hidden = [nn.Linear(32 * 4 * 4, 32), nn.ReLU(), nn.Dropout(0.0)]
        self.layers = nn.Sequential(features, nn.Flatten(), *hidden, nn.Linear(32, CLASSES))


def conv_bn(inputs: int, outputs: int, stride: int | tuple = 1, groups: int = 1) -> nn.Layer:
    return nn.Sequential(
        nn.Conv2D(inputs, outputs, 3, stride, 1, groups=groups, bias_attr=False),
        nn.BatchNorm2D(outputs),
        nn.Hardswish(),
    )


class SqueezeExcite(nn.Layer):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2D(channels, channels // 4, 1)
        self.up = nn.Conv2D(channels // 4, channels, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        share = F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.up(share))


class DbNet(nn.Layer):
    """Where text is (Liao et al., 2020): a pyramid of features, a map, thresholds, a binary map.

    The loss is PaddleOCR's: cross entropy with the hardest negatives for the map, L1 in a region
    for the thresholds, dice for the binary map.
    """

    height, width = 32, 48

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.LayerList(
            [
                nn.Sequential(conv_bn(3, 8, 2), SqueezeExcite(8)),
                conv_bn(8, 16, 2),
                nn.Sequential(conv_bn(16, 16, 1, groups=16), conv_bn(16, 24, 2)),
            ]
        )
        self.lateral = nn.LayerList([nn.Conv2D(n, 16, 1, bias_attr=False) for n in (8, 16, 24)])
        self.smooth = nn.LayerList(
            [nn.Conv2D(16, 8, 3, padding=1, bias_attr=False) for _ in range(3)]
        )
        self.shrink, self.threshold = self.head(), self.head()

    @staticmethod
    def head() -> nn.Layer:
        up = nn.Conv2DTranspose(24, 8, 2, stride=2)
        return nn.Sequential(up, nn.BatchNorm2D(8), nn.ReLU(), nn.Conv2D(8, 1, 1), nn.Sigmoid())

    def scores(self) -> paddle.Tensor:
        x, features = images(3, self.height, self.width, 2), []
        for stage, lateral in zip(self.stages, self.lateral):
            x = stage(x)
            features.append(lateral(x))
        size = features[0].shape[2:]
        for i in (1, 0):
            features[i] += F.interpolate(features[i + 1], scale_factor=2, mode="nearest")
        smooth = [
            F.interpolate(layer(f), size, mode="bilinear", align_corners=False)
            for layer, f in zip(self.smooth, features)
        ]
        x = paddle.concat(smooth, 1)
        shrink, threshold = (head(x).astype("float32") for head in (self.shrink, self.threshold))
        binary = 1 / (1 + paddle.exp(-50 * (shrink - threshold)))
        return paddle.concat([shrink, threshold, binary], 1)

    def loss(self) -> paddle.Tensor:
        maps = self.scores()
        shrink, threshold, binary = maps[:, 0], maps[:, 1], maps[:, 2]
        rng = np.random.default_rng(5)
        text = np.zeros(shrink.shape, "float32")
        text[:, 8:20, 10:40] = 1
        wanted = paddle.to_tensor(rng.uniform(0.3, 0.7, shrink.shape).astype("float32"))
        text = paddle.to_tensor(text)
        each = F.binary_cross_entropy(shrink, text, reduction="none")
        positive = text.sum()
        hardest = paddle.sort((each * (1 - text)).flatten(), descending=True)[: 3 * 2 * 12 * 30]
        balanced = ((each * text).sum() + hardest.sum()) / (4 * positive + 1e-6)
        border = (paddle.abs(threshold - wanted) * text).sum() / (positive + 1e-6)
        dice = 1 - 2 * (binary * text).sum() / (binary.sum() + positive + 1e-6)
        return balanced + 10 * border + dice


class Crnn(nn.Layer):
    """What text says (Shi et al., 2015): convolutions, an LSTM both ways, CTC."""

    letters = 12

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_bn(1, 8), nn.MaxPool2D(2, 2), conv_bn(8, 16, (2, 1)), nn.MaxPool2D((4, 1), (4, 1))
        )
        self.sequence = nn.LSTM(32, 16, direction="bidirect")
        self.head = nn.Linear(32, self.letters)

    def scores(self) -> paddle.Tensor:
        """[steps, batch, letters], the blank first."""
        x = self.layers(images(1, 32, 40, 4))
        x = x.flatten(1, 2).transpose([0, 2, 1])
        return self.head(self.sequence(x)[0]).transpose([1, 0, 2])

    def loss(self) -> paddle.Tensor:
        scores = self.scores().astype("float32")
        labels = np.random.default_rng(6).integers(1, self.letters, (4, 6)).astype("int32")
        steps = paddle.full([4], scores.shape[0], "int64")
        lengths = paddle.to_tensor(np.array([6, 5, 3, 1]))
        return F.ctc_loss(scores, paddle.to_tensor(labels), steps, lengths)
