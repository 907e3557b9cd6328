"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops

Settings = tuple[tuple[int, int, int, int], ...]
"""Rows of expansion, features, repetitions, stride."""
FULL: Settings = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def convolution(features: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size, but for the stride, and its normalization."""
    return [
        nn.Conv2d(features, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm(outputs),
    ]


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection."""

    def __init__(self, features: int, outputs: int, stride: int, expansion: int):
        width = features * expansion
        expand = [*convolution(features, width, 1), ops.relu6] if expansion != 1 else []
        depthwise = [*convolution(width, width, 3, stride, groups=width), ops.relu6]
        self.body = nn.Sequential(*expand, *depthwise, *convolution(width, outputs, 1))
        self.residual = stride == 1 and features == outputs

    def __call__(self, x: Any) -> Any:
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    """Images (batch, 3, height, width) → logits (batch, classes)."""

    def __init__(self, settings: Settings = FULL, first: int = 32, last: int = 1280, classes: int = 1000):
        layers: list[Any] = [*convolution(3, first, 3, 2), ops.relu6]
        features = first
        for expansion, outputs, repetitions, stride in settings:
            for index in range(repetitions):
                layers.append(InvertedResidual(features, outputs, stride if index == 0 else 1, expansion))
                features = outputs
        self.features = nn.Sequential(*layers, *convolution(features, last, 1), ops.relu6)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def __call__(self, image: Any) -> Any:
        return self.classifier(self.features(image).mean((2, 3)))
