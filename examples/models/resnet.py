"""ResNet with bottleneck blocks (He et al. 2015, https://arxiv.org/abs/1512.03385), stride on the 3×3 convolution."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions around a shortcut."""

    def __init__(self, features: int, width: int, stride: int):
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(features, width, 1, bias=False), nn.BatchNorm(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm(outputs)
        self.downsample = None
        if stride != 1 or features != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(features, outputs, 1, stride, bias=False), nn.BatchNorm(outputs))

    def __call__(self, x: Any) -> Any:
        y = ops.relu(self.bn1(self.conv1(x)))
        y = ops.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return ops.relu(self.bn3(self.conv3(y)) + shortcut)


class ResNet(nn.Module):
    """Images (batch, 3, height, width) → logits (batch, classes); `blocks` per stage: (3, 4, 6, 3) is ResNet-50."""

    def __init__(self, width: int = 64, blocks: tuple[int, ...] = (3, 4, 6, 3), classes: int = 1000):
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm(width)
        self.layers: list[Bottleneck] = []
        features = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                self.layers.append(Bottleneck(features, width << stage, 2 if stage and not block else 1))
                features = 4 * (width << stage)
        self.fc = nn.Linear(features, classes)

    def __call__(self, image: Any) -> Any:
        x = ops.max_pool(ops.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.mean((2, 3)))
