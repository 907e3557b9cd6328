"""Convolutions and pooling over spatial axes, in ONNX's order of axes: batch, features, spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.resize import doubles
from lamina.frontends.python import shapes
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, as_value, operation, plains, static

Sizes: TypeAlias = "int | Sequence[int]"
"""One number for all spatial axes, or one for each."""
Padding: TypeAlias = "int | str | Sequence[int | tuple[int, int]]"
"""One number for all sides, one number or a pair (low, high) per spatial axis, "valid" (none), or "same"."""


@operation
def conv(
    x: Operand,
    kernel: Operand,
    bias: Operand | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    input_dilation: Sizes = 1,
    groups: int = 1,
) -> Traced:
    """Cross-correlation of x (batch, features, …) with a kernel (output features, features / groups, …).

    "same" pads such that the output has ceil(size / stride) positions. `bias` has one number per output feature.
    """
    builder = active_tracer().builder
    left, right = builder.values(*plains((x, kernel)))
    count = builder.rank(left) - 2
    if count < 0 or builder.rank(right) != count + 2:
        raise LaminaError(
            f"conv: expected operands of equal rank, at least 2, found {list(builder.shape(left))} "
            f"and {list(builder.shape(right))}"
        )
    window = builder.shape(right)[2:]
    strides, dilations = per_axis(stride, count), per_axis(dilation, count)
    pads = _padding(padding, builder.shape(left)[2:], window, strides, dilations)
    spread = per_axis(input_dilation, count)
    result = builder.convolution(left, right, strides, pads, spread, dilations, groups)
    if bias is None:
        return Traced(result)
    (_, vector) = builder.values(result, *plains((bias,)))
    return Traced(builder.add(result, shapes.reshape(vector, (*builder.shape(vector), *(1,) * count))))


@operation
def conv_transpose(
    x: Operand,
    kernel: Operand,
    bias: Operand | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Traced:
    """The transpose of `conv` with the same arguments: x (batch, features, …), kernel (features, output features /
    groups, …). The result has (size - 1) · stride - 2 · padding + dilation · (taps - 1) + output_padding + 1 positions.
    """
    builder = active_tracer().builder
    if not isinstance(kernel, Traced | np.ndarray) or kernel.ndim < 2 or builder.rank(as_value(x)) != kernel.ndim:
        raise LaminaError("conv_transpose: expected a tensor and a kernel of equal rank, at least 2")
    features, out_features, *window = (static(size, "conv_transpose") for size in kernel.shape)
    count = len(window)
    if groups < 1 or features % groups:
        raise LaminaError(f"conv_transpose: expected a number of groups that divides {features}, found {groups}")
    # A convolution of the spread operand with the kernel back to front, its features exchanged in each group.
    spatial = range(3, 3 + count)
    exchanged = kernel.reshape(groups, features // groups, out_features, *window).transpose(0, 2, 1, *spatial)
    exchanged = exchanged.reshape(groups * out_features, features // groups, *window)
    flipped = exchanged[(slice(None), slice(None), *(slice(None, None, -1),) * count)]
    dilations = per_axis(dilation, count)
    low = [(t - 1) * d - p for t, d, p in zip(window, dilations, per_axis(padding, count), strict=True)]
    pads = [(before, before + more) for before, more in zip(low, per_axis(output_padding, count), strict=True)]
    return conv(x, flipped, bias, padding=pads, dilation=dilation, input_dilation=stride, groups=groups)


@operation
def max_pool(
    x: Operand, window: Sizes, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1
) -> Traced:
    """The largest element of each window over the spatial axes; the stride is the window's size when left out."""
    return Traced(_pool("maximum", as_value(x), *_windows(as_value(x), window, stride, padding, dilation)))


@operation
def avg_pool(
    x: Operand,
    window: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    count_include_pad: bool = False,
) -> Traced:
    """The mean of each window over the spatial axes; elements of the padding count only with `count_include_pad`."""
    builder = active_tracer().builder
    value = as_value(x)
    arguments = _windows(value, window, stride, padding, 1)
    sizes, _, _, pads = arguments
    wide = builder.widen(value)
    total = _pool("add", wide, *arguments)
    if count_include_pad or not np.any(pads):
        result = builder.divide(total, float(math.prod(sizes)))
    else:
        inside = builder.constant(1.0, builder.element_type(wide))
        ones = shapes.broadcast_to(inside, (1, 1, *builder.shape(value)[2:]))
        result = builder.divide(total, _pool("add", ones, *arguments))
    return Traced(builder.cast(result, builder.element_type(value)))


MODES = {
    "nearest": ("nearest", "asymmetric", "floor"),
    "linear": ("linear", "half_pixel", "round_prefer_floor"),
    "cubic": ("cubic", "half_pixel", "round_prefer_floor"),
}
"""PyTorch's interpolation modes as `graph.resize` knows them: mode, coordinates, rounding."""


@operation
def resize(
    x: Operand,
    size: Sizes | None = None,
    *,
    scale: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> Traced:
    """x (batch, features, …) with its spatial axes resampled to `size`, or by `scale` (rounded down).

    `mode`: nearest, linear (also of two and three axes) or cubic, as PyTorch's `interpolate` defines them.
    """
    builder = active_tracer().builder
    value = as_value(x)
    count = builder.rank(value) - 2
    if mode not in MODES:
        raise LaminaError(f"resize: expected one of {', '.join(MODES)} as the mode, found {mode!r}")
    if count < 1 or (size is None) == (scale is None):
        raise LaminaError("resize: expected a tensor with spatial axes, and either a size or a scale")
    scales = (0.0,) * count if scale is None else (scale,) * count if isinstance(scale, int | float) else tuple(scale)
    sizes = (-1,) * count if size is None else per_axis(size, count)
    if len(scales) != count:
        raise LaminaError(f"resize: expected one scale or {count}, one per spatial axis, found {list(scales)}")
    name, coordinates, rounding = MODES[mode]
    result = builder.create(
        "resize",
        (value,),
        mode=name,
        dimensions=range(2, 2 + count),
        sizes=sizes,
        scales=doubles(scales),
        coordinates="align_corners" if align_corners else coordinates,
        rounding=rounding,
        cubic_coefficient=-0.75,
    )
    return Traced(result)


def per_axis(sizes: Sizes, count: int) -> tuple[int, ...]:
    """One number for each spatial axis."""
    entries = (sizes,) * count if isinstance(sizes, int) else tuple(sizes)
    if len(entries) != count:
        raise LaminaError(f"expected one number or {count}, one per spatial axis, found {list(entries)}")
    return entries


def _padding(
    padding: Padding, sizes: Sequence[Dim], window: Sequence[Dim], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Low and high for each spatial axis."""
    count = len(sizes)
    if padding == "same":
        pads: list[int] = []
        for size, taps, stride, dilation in zip(sizes, window, strides, dilations, strict=True):
            reach = (static(taps, "padding") - 1) * dilation + 1
            # With stride 1 the size does not matter; otherwise the last window decides.
            last = 0 if stride == 1 else (-static(size, "padding") % stride)
            total = max(reach - stride + last, 0) if stride != 1 else reach - 1
            pads += [total // 2, total - total // 2]
        return pads
    if padding == "valid":
        return [0] * (2 * count)
    if isinstance(padding, str):
        raise LaminaError(f'padding: expected numbers, "same" or "valid", found "{padding}"')
    entries = (padding,) * count if isinstance(padding, int) else tuple(padding)
    if len(entries) != count:
        raise LaminaError(f"padding: expected {count} entries, one per spatial axis, found {list(entries)}")
    return [side for entry in entries for side in ((entry, entry) if isinstance(entry, int) else entry)]


def _windows(
    value: SSAValue, window: Sizes, stride: Sizes | None, padding: Padding, dilation: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], list[int]]:
    shape = active_tracer().builder.shape(value)
    count = len(shape) - 2
    if count < 0:
        raise LaminaError(f"pooling: expected a batch axis and a feature axis, found the shape {list(shape)}")
    sizes, dilations = per_axis(window, count), per_axis(dilation, count)
    strides = sizes if stride is None else per_axis(stride, count)
    return sizes, strides, dilations, _padding(padding, shape[2:], sizes, strides, dilations)


def _pool(
    kind: str,
    value: SSAValue,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: list[int],
) -> SSAValue:
    return active_tracer().builder.reduce_window(
        kind, value, (1, 1, *window), (1, 1, *strides), (1, 1, *dilations), (0, 0, 0, 0, *pads)
    )
