"""Convolutions and pooling over spatial axes, in ONNX's order of axes: batch, features, spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
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
    strides, dilations = _per_axis(stride, count), _per_axis(dilation, count)
    pads = _padding(padding, builder.shape(left)[2:], window, strides, dilations)
    spread = _per_axis(input_dilation, count)
    result = builder.convolution(left, right, strides, pads, spread, dilations, groups)
    if bias is None:
        return Traced(result)
    (_, vector) = builder.values(result, *plains((bias,)))
    return Traced(builder.add(result, shapes.reshape(vector, (*builder.shape(vector), *(1,) * count))))


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


def _per_axis(sizes: Sizes, count: int) -> tuple[int, ...]:
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
    sizes, dilations = _per_axis(window, count), _per_axis(dilation, count)
    strides = sizes if stride is None else _per_axis(stride, count)
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
