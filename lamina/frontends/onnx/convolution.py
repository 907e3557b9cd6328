"""Convolutions and pooling: windows that slide over the spatial axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.frontends.onnx.axes import same_length
from lamina.frontends.onnx.builder import FIX_DIMS, OnnxBuilder
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode


@dataclass(frozen=True)
class Window:
    """Per spatial axis: extent of the window, step, distance of its elements, padding before and after."""

    sizes: Sequence[int]
    strides: Sequence[int]
    dilations: Sequence[int]
    low: Sequence[int]
    high: Sequence[int]

    @property
    def extents(self) -> list[int]:
        """The elements from the first to the last of a window."""
        return [(size - 1) * dilation + 1 for size, dilation in zip(self.sizes, self.dilations, strict=True)]

    @property
    def padding(self) -> list[int]:
        """Pairs of low and high padding, axis by axis."""
        return [pad for pair in zip(self.low, self.high, strict=True) for pad in pair]

    @property
    def is_padded(self) -> bool:
        """Whether any axis is padded."""
        return any(self.padding)


def window_of(node: Node, sizes: Sequence[int], spatial: Sequence[Dim]) -> Window:
    """The window that a node's attributes describe, automatic padding computed."""
    rank = len(spatial)
    strides = node.integers("strides", [1] * rank)
    dilations = node.integers("dilations", [1] * rank)
    for what, values in (("kernel_shape", sizes), ("strides", strides), ("dilations", dilations)):
        same_length(what, values, rank)
        if any(value < 1 for value in values):
            raise LaminaError(f"{what} must be positive, found {list(values)}")
    plain = Window(sizes, strides, dilations, [0] * rank, [0] * rank)
    mode = node.string("auto_pad", "NOTSET")
    if mode == "VALID":
        return plain
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        low, high = _same_padding(plain, spatial, upper=mode == "SAME_UPPER")
        return Window(sizes, strides, dilations, low, high)
    if mode not in ("NOTSET", ""):
        raise LaminaError(f"auto_pad is NOTSET, VALID, SAME_UPPER or SAME_LOWER, found {mode}")
    pads = node.integers("pads", [0] * (2 * rank))
    same_length("pads", pads, 2 * rank)
    if any(pad < 0 for pad in pads):
        raise UnsupportedNode("negative padding is not built yet")
    return Window(sizes, strides, dilations, pads[:rank], pads[rank:])


def _same_padding(window: Window, spatial: Sequence[Dim], *, upper: bool) -> tuple[list[int], list[int]]:
    """Padding such that there are ceil(size / stride) positions; the odd element goes to the upper or lower side."""
    low: list[int] = []
    high: list[int] = []
    for extent, stride, size in zip(window.extents, window.strides, spatial, strict=True):
        if stride == 1:
            total = extent - 1
        elif isinstance(size, int):
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        else:
            raise UnsupportedNode(f"automatic padding with a stride of {stride} needs a known size", hints=(FIX_DIMS,))
        smaller, larger = total // 2, total - total // 2
        low.append(smaller if upper else larger)
        high.append(larger if upper else smaller)
    return low, high


# Convolutions


def convolution(node: Node, build: OnnxBuilder) -> SSAValue:
    value, kernel = node.operand(0), node.operand(1)
    window = window_of(node, kernel_sizes(node, build, kernel), build.shape(value)[2:])
    result = build.convolution(
        value,
        kernel,
        window.strides,
        window.padding,
        rhs_dilation=window.dilations,
        feature_group_count=node.integer("group"),
    )
    return _biased(build, result, node.optional(2))


def kernel_sizes(node: Node, build: OnnxBuilder, kernel: SSAValue) -> tuple[int, ...]:
    """The spatial sizes of a kernel; raises UnsupportedNode where they are not known."""
    if build.rank(kernel) < 3 or build.rank(node.operand(0)) != build.rank(kernel):
        raise LaminaError(
            f"expected an input and a kernel of equal rank, at least 3, found {build.rank(node.operand(0))} and "
            f"{build.rank(kernel)}"
        )
    spatial = build.shape(kernel)[2:]
    sizes = tuple(size for size in spatial if isinstance(size, int))
    if len(sizes) != len(spatial):
        raise UnsupportedNode("the kernel's size must be known")
    if node.optional_integers("kernel_shape") not in (None, (), sizes):
        raise LaminaError(f"kernel_shape is {list(node.integers('kernel_shape'))}, but the kernel's size {list(sizes)}")
    return sizes


def _biased(build: OnnxBuilder, value: SSAValue, bias: SSAValue | None) -> SSAValue:
    return value if bias is None else build.add(value, build.along_axis(bias, 1, build.rank(value)))


def transposed_convolution(node: Node, build: OnnxBuilder) -> SSAValue:
    """A convolution of the input spread out by the strides, with the kernel flipped and its features exchanged."""
    value, kernel = node.operand(0), node.operand(1)
    sizes = kernel_sizes(node, build, kernel)
    spatial = build.shape(value)[2:]
    rank, groups = len(sizes), node.integer("group")
    strides = node.integers("strides", [1] * rank)
    dilations = node.integers("dilations", [1] * rank)
    extra = node.integers("output_padding", [0] * rank)
    for what, values in (("strides", strides), ("dilations", dilations), ("output_padding", extra)):
        same_length(what, values, rank)
    plain = Window(sizes, strides, dilations, [0] * rank, [0] * rank)
    low, high = _transposed_padding(node, plain, extra, spatial)
    # The rest of each window overhangs on both sides; what the padding takes away beyond that is cut off afterwards.
    before = [extent - 1 - pad for extent, pad in zip(plain.extents, low, strict=True)]
    after = [extent - 1 - pad + more for extent, pad, more in zip(plain.extents, high, extra, strict=True)]
    result = build.convolution(
        value,
        _exchanged(build, build.reverse(kernel, range(2, rank + 2)), groups),
        [1] * rank,
        [max(pad, 0) for pair in zip(before, after, strict=True) for pad in pair],
        strides,
        dilations,
        groups,
    )
    starts = {axis + 2: -pad for axis, pad in enumerate(before) if pad < 0}
    limits = {axis + 2: pad for axis, pad in enumerate(after) if pad < 0}
    if starts or limits:
        result = build.slice_axes(result, starts, limits)
    return _biased(build, result, node.optional(2))


def _transposed_padding(
    node: Node, window: Window, extra: Sequence[int], spatial: Sequence[Dim]
) -> tuple[Sequence[int], Sequence[int]]:
    """The padding that is taken away from either side of the result."""
    rank = len(spatial)
    mode = node.string("auto_pad", "NOTSET")
    target = node.optional_integers("output_shape")
    if target is None and mode not in ("SAME_UPPER", "SAME_LOWER"):
        pads = node.integers("pads", [0] * (2 * rank)) if mode != "VALID" else (0,) * (2 * rank)
        same_length("pads", pads, 2 * rank)
        return pads[:rank], pads[rank:]
    known = [size for size in spatial if isinstance(size, int)]
    if len(known) != rank:
        raise UnsupportedNode("a given result size needs a known input size", hints=(FIX_DIMS,))
    if target is None:
        target = tuple(size * stride for size, stride in zip(known, window.strides, strict=True))
    target = target[-rank:]
    same_length("output_shape", target, rank)
    low: list[int] = []
    high: list[int] = []
    for size, stride, extent, more, wanted in zip(known, window.strides, window.extents, extra, target, strict=True):
        total = stride * (size - 1) + more + extent - wanted
        smaller, larger = total // 2, total - total // 2
        low.append(smaller if mode == "SAME_UPPER" else larger)
        high.append(larger if mode == "SAME_UPPER" else smaller)
    return low, high


def _exchanged(build: OnnxBuilder, kernel: SSAValue, groups: int) -> SSAValue:
    """[in, out / groups, …] -> [out, in / groups, …]"""
    rank = build.rank(kernel)
    inputs, outputs, *spatial = build.static_shape(kernel, "the kernel's shape")
    if groups < 1 or inputs % groups:
        raise LaminaError(f"{groups} groups do not divide {inputs} features")
    if groups == 1:
        return build.transpose(kernel, (1, 0, *range(2, rank)))
    grouped = build.reshape(kernel, (groups, inputs // groups, outputs, *spatial))
    exchanged = build.transpose(grouped, (0, 2, 1, *range(3, rank + 1)))
    return build.reshape(exchanged, (groups * outputs, inputs // groups, *spatial))


# Pooling


def pooling_window(node: Node, build: OnnxBuilder, value: SSAValue) -> tuple[Window, list[int]]:
    """The window of a pooling node, and by how much `ceil_mode` extends the high padding per axis."""
    if build.rank(value) < 3:
        raise LaminaError(f"pooling takes at least 3 axes, found {build.rank(value)}")
    spatial = build.shape(value)[2:]
    window = window_of(node, node.integers("kernel_shape"), spatial)
    extension = [0] * len(spatial)
    if not node.integer("ceil_mode", 0):
        return window, extension
    for axis, size in enumerate(spatial):
        stride, extent = window.strides[axis], window.extents[axis]
        if stride == 1:
            continue
        if not isinstance(size, int):
            raise UnsupportedNode(f"ceil_mode with a stride of {stride} needs a known size", hints=(FIX_DIMS,))
        low, high = window.low[axis], window.high[axis]
        positions = -(-(size + low + high - extent) // stride) + 1
        # A window that would start in the padding after the input is left out.
        if (positions - 1) * stride >= size + low:
            positions -= 1
        extension[axis] = max((positions - 1) * stride + extent - (size + low + high), 0)
    return window, extension


def _reduced_windows(
    build: OnnxBuilder, kind: str, value: SSAValue, window: Window, padding: Sequence[int]
) -> SSAValue:
    return build.reduce_window(
        kind, value, (1, 1, *window.sizes), (1, 1, *window.strides), (1, 1, *window.dilations), (0, 0, 0, 0, *padding)
    )


def _extended(window: Window, extension: Sequence[int]) -> list[int]:
    return [
        pad for low, high, more in zip(window.low, window.high, extension, strict=True) for pad in (low, high + more)
    ]


def maxima(node: Node, build: OnnxBuilder) -> SSAValue:
    """The first result of MaxPool."""
    value = node.operand(0)
    window, extension = pooling_window(node, build, value)
    return _reduced_windows(build, "maximum", value, window, _extended(window, extension))


def average_pool(node: Node, build: OnnxBuilder) -> SSAValue:
    """Sums over the number of elements that count: those of the input, and of the padding if asked for."""
    value = node.operand(0)
    window, extension = pooling_window(node, build, value)
    total = _reduced_windows(build, "add", value, window, _extended(window, extension))
    counts_padding = node.integer("count_include_pad", 0) != 0
    if not any(extension) and (counts_padding or not window.is_padded):
        return build.divide(total, math.prod(window.sizes))
    element_type = build.element_type(value)
    ones = build.filled(1, [1, 1, *build.sizes_of(value)[2:]], element_type)
    padding = _extended(window, extension)
    if counts_padding:
        ones = build.pad(ones, 1, [0, 0, *window.low], [0, 0, *window.high])
        padding = [pad for more in extension for pad in (0, more)]
    return build.divide(total, _reduced_windows(build, "add", ones, window, padding))


def lp_pool(node: Node, build: OnnxBuilder) -> SSAValue:
    """The p-norm of each window."""
    value = node.operand(0)
    window, extension = pooling_window(node, build, value)
    order = node.integer("p", 2)
    powers = build.power(build.abs(value), order)
    return _root(build, _reduced_windows(build, "add", powers, window, _extended(window, extension)), order)


def global_lp_pool(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    order = node.integer("p", 2)
    powers = build.power(build.abs(value), order)
    return _root(build, build.reduce_axes("add", powers, range(2, build.rank(value))), order)


def _root(build: OnnxBuilder, value: SSAValue, order: int) -> SSAValue:
    if order < 1:
        raise LaminaError(f"the order of a norm must be positive, found {order}")
    return build.power(value, 1 / order)


def global_average_pool(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return build.mean(value, range(2, build.rank(value)), True)


def global_max_pool(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return build.reduce_axes("maximum", value, range(2, build.rank(value)))


CONVOLUTION: Mapping[str, Versions] = {
    "AveragePool": {7: average_pool},
    "Conv": {1: convolution},
    "ConvTranspose": {1: transposed_convolution},
    "GlobalAveragePool": {1: global_average_pool},
    "GlobalLpPool": {2: global_lp_pool},
    "GlobalMaxPool": {1: global_max_pool},
    "LpPool": {2: lp_pool},
}
