"""U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597), up-sampling by resizing or by transposed
convolutions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from lamina import nn, ops


class DoubleConvolution(nn.Module):
    """Two 3×3 convolutions: with batch norm and ReLU, or with group norm and SiLU."""

    def __init__(self, features: int, outputs: int, groups: int):
        def norm() -> nn.Module:
            return nn.GroupNorm(groups, outputs) if groups else nn.BatchNorm(outputs)

        self.conv1, self.norm1 = nn.Conv2d(features, outputs, 3, 1, 1), norm()
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, 1, 1), norm()
        self.activation = ops.silu if groups else ops.relu

    def __call__(self, x: Any) -> Any:
        x = self.activation(self.norm1(self.conv1(x)))
        return self.activation(self.norm2(self.conv2(x)))


def upsampling(features: int, outputs: int, resize: bool) -> nn.Module:
    """Twice the height and width, and another number of features."""
    if not resize:
        return nn.ConvTranspose2d(features, outputs, 2, 2)
    return nn.Sequential(nn.Upsample(scale=2, mode="linear"), nn.Conv2d(features, outputs, 1))


class UNet(nn.Module):
    """Images (batch, 3, height, width) → two scores per pixel; height and width are multiples of 2^(levels - 1)."""

    def __init__(self, width: int = 32, levels: int = 4, resize: bool = True):
        groups = 4 if resize else 0
        widths = [width << level for level in range(levels)]
        self.down = [DoubleConvolution(a, b, groups) for a, b in pairwise([3, *widths])]
        pairs = list(pairwise(reversed(widths)))
        self.up = [upsampling(wide, narrow, resize) for wide, narrow in pairs]
        self.merge = [DoubleConvolution(2 * narrow, narrow, groups) for _, narrow in pairs]
        self.head = nn.Conv2d(width, 2, 1)

    def __call__(self, image: Any) -> Any:
        kept, x = [], image
        for index, block in enumerate(self.down):
            x = block(ops.max_pool(x, 2) if index else x)
            kept.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(kept[:-1]), strict=True):
            x = merge(ops.concatenate([skip, up(x)], axis=1))
        return self.head(x)
