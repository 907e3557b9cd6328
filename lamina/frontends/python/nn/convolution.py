"""Convolutions and pooling over spatial axes: batch, features, spatial axes, as in PyTorch."""

from __future__ import annotations

import math
from typing import ClassVar

from lamina.diagnostics import LaminaError
from lamina.frontends.python import ops
from lamina.frontends.python.nn.initializers import fan_in_uniform
from lamina.frontends.python.nn.module import Module, Value, parameter
from lamina.frontends.python.pooling import Padding, Sizes, per_axis
from lamina.frontends.python.specs import DTypeLike
from lamina.frontends.python.tracer import Operand, Traced


class _Convolution(Module):
    SPATIAL: ClassVar[int]

    def _parameters(
        self,
        first: int,
        second: int,
        fan_features: int,
        kernel_size: Sizes,
        groups: int,
        bias: int | None,
        dtype: DTypeLike,
    ) -> None:
        if groups < 1 or first % groups or second % groups:
            raise LaminaError(
                f"{type(self).__name__}: expected a number of groups that divides {first} and {second} features, "
                f"found {groups}"
            )
        window = per_axis(kernel_size, self.SPATIAL)
        initializer = fan_in_uniform(fan_features // groups * math.prod(window))
        self.weight: Value = parameter((first, second // groups, *window), initializer, dtype)
        self.bias: Value | None = None if bias is None else parameter((bias,), initializer, dtype)


class _Conv(_Convolution):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: DTypeLike = "f32",
    ):
        self.stride = stride
        self.padding: Padding = padding
        self.dilation = dilation
        self.groups = groups
        out_bias = out_features if bias else None
        self._parameters(out_features, in_features, in_features, kernel_size, groups, out_bias, dtype)

    def __call__(self, x: Operand) -> Traced:
        return ops.conv(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class Conv1d(_Conv):
    """Cross-correlation over one spatial axis: weight (out, in / groups, taps), bias (out)."""

    SPATIAL = 1


class Conv2d(_Conv):
    """Cross-correlation over two spatial axes: weight (out, in / groups, rows, columns), bias (out)."""

    SPATIAL = 2


class Conv3d(_Conv):
    """Cross-correlation over three spatial axes: weight (out, in / groups, …), bias (out)."""

    SPATIAL = 3


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        dtype: DTypeLike = "f32",
    ):
        self.stride = stride
        self.padding = padding
        self.output_padding = output_padding
        self.dilation = dilation
        self.groups = groups
        # PyTorch scales by the output features here.
        out_bias = out_features if bias else None
        self._parameters(in_features, out_features, out_features, kernel_size, groups, out_bias, dtype)

    def __call__(self, x: Operand) -> Traced:
        return ops.conv_transpose(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose1d(_ConvTranspose):
    """The transpose of Conv1d: weight (in, out / groups, taps), bias (out)."""

    SPATIAL = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of Conv2d: weight (in, out / groups, rows, columns), bias (out)."""

    SPATIAL = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose of Conv3d: weight (in, out / groups, …), bias (out)."""

    SPATIAL = 3


class MaxPool(Module):
    """The largest element of each window over the spatial axes; the stride is the window's size when left out."""

    def __init__(self, window: Sizes, stride: Sizes | None = None, padding: Padding = 0):
        self.window = window
        self.stride = stride
        self.padding: Padding = padding

    def __call__(self, x: Operand) -> Traced:
        return ops.max_pool(x, self.window, self.stride, self.padding)


class AvgPool(Module):
    """The mean of each window over the spatial axes; PyTorch counts the padding, as `count_include_pad` says."""

    def __init__(
        self, window: Sizes, stride: Sizes | None = None, padding: Padding = 0, count_include_pad: bool = True
    ):
        self.window = window
        self.stride = stride
        self.padding: Padding = padding
        self.count_include_pad = count_include_pad

    def __call__(self, x: Operand) -> Traced:
        return ops.avg_pool(x, self.window, self.stride, self.padding, self.count_include_pad)


class Upsample(Module):
    """x with its spatial axes resampled, as `ops.resize`."""

    def __init__(
        self,
        size: Sizes | None = None,
        scale: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ):
        self.size = size
        self.scale = scale
        self.mode = mode
        self.align_corners = align_corners

    def __call__(self, x: Operand) -> Traced:
        return ops.resize(x, self.size, scale=self.scale, mode=self.mode, align_corners=self.align_corners)
