"""Windows whose places matter: maxima with their indices, and the ways back from windows to images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import Attribute, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import dtype_of, is_float
from lamina.frontends.onnx.axes import same_length
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.convolution import maxima, pooling_window
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode

MOST_ELEMENTS = 128
"""Windows of more elements than this are refused: each element becomes a few ops."""


def _offsets(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """All places in a window, in row-major order."""
    if math.prod(sizes) > MOST_ELEMENTS:
        raise UnsupportedNode(f"windows of more than {MOST_ELEMENTS} elements are not built yet")
    return list(itertools.product(*map(range, sizes)))


def max_pool(node: Node, build: OnnxBuilder) -> SSAValue | Sequence[SSAValue | None]:
    return _maxima_with_indices(node, build) if node.wants(1) else maxima(node, build)


def _maxima_with_indices(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
    """The maxima and, for each, its place in the flattened input: the elements of a window are compared in turn."""
    value = node.operand(0)
    window, extension = pooling_window(node, build, value)
    if node.integer("storage_order", 0):
        raise UnsupportedNode("indices in column-major order are not built yet")
    shape = build.static_shape(value, "the sizes of an input whose maxima have indices")
    spatial, low = shape[2:], [0, 0, *window.low]
    high = [0, 0, *(pad + more for pad, more in zip(window.high, extension, strict=True))]
    element_type = build.element_type(value)
    places = build.constant(np.arange(math.prod(shape), dtype=np.int64).reshape(shape))
    padded = build.pad(value, build.constant(_least(element_type), element_type), low, high)
    padded_places = build.pad(places, -1, low, high)
    counts = [
        (size + before + after - extent) // stride + 1
        for size, before, after, extent, stride in zip(
            spatial, low[2:], high[2:], window.extents, window.strides, strict=True
        )
    ]
    best: SSAValue | None = None
    index: SSAValue | None = None
    for offset in _offsets(window.sizes):
        starts = {
            axis + 2: place * step for axis, (place, step) in enumerate(zip(offset, window.dilations, strict=True))
        }
        limits = {
            axis + 2: starts[axis + 2] + (count - 1) * stride + 1
            for axis, (count, stride) in enumerate(zip(counts, window.strides, strict=True))
        }
        strides = {axis + 2: stride for axis, stride in enumerate(window.strides)}
        element = build.slice_axes(padded, starts, limits, strides)
        place = build.slice_axes(padded_places, starts, limits, strides)
        if best is None or index is None:
            best, index = element, place
            continue
        larger = build.compare("GT", element, best)
        if is_float(element_type):
            # The first NaN of a window stays, as without indices.
            more = build.or_(larger, build.compare("NE", element, element))
            larger = build.and_(more, build.compare("EQ", best, best))
        # A window's first element may be padding, which even the least element of the input beats.
        larger = build.or_(larger, build.and_(build.compare("LT", index, 0), build.compare("GE", place, 0)))
        best, index = build.select(larger, element, best), build.select(larger, place, index)
    return best, index


def _least(element_type: Attribute) -> float:
    return -math.inf if is_float(element_type) else int(np.iinfo(dtype_of(element_type)).min)  # pyright: ignore[reportCallIssue, reportArgumentType]


def max_unpool(node: Node, build: OnnxBuilder) -> SSAValue:
    """Zeros but for the given elements, each at its place in the flattened result."""
    value, indices = node.operand(0), node.operand(1)
    kernel = node.integers("kernel_shape")
    rank = len(kernel)
    strides, pads = node.integers("strides", [1] * rank), node.integers("pads", [0] * (2 * rank))
    same_length("kernel_shape", kernel, build.rank(value) - 2)
    batch, channels, *spatial = build.static_shape(value)
    inferred = [
        (size - 1) * stride - before - after + extent
        for size, stride, before, after, extent in zip(spatial, strides, pads[:rank], pads[rank:], kernel, strict=True)
    ]
    shape = (batch, channels, *inferred)
    given = node.optional(2)
    target = shape if given is None else build.require_integers(given, "the result's shape")
    same_length("the result's shape", target, len(shape))
    count = math.prod((batch, channels, *spatial))
    flat = build.scatter(
        "assign",
        build.filled(0, [math.prod(shape)], build.element_type(value)),
        build.reshape_to(build.cast(indices, i64), [count, 1]),
        build.reshape_to(value, [count]),
        inserted_window_dims=[0],
        scatter_dims_to_operand_dims=[0],
        index_vector_dim=1,
    )
    result = build.reshape_to(flat, shape)
    if tuple(target) == shape:
        return result
    after = [wanted - size for wanted, size in zip(target, shape, strict=True)]
    if min(after) < 0:
        raise LaminaError(f"MaxUnpool: the result's shape {list(target)} is smaller than {list(shape)}")
    return build.pad(result, build.constant(0, build.element_type(value)), [0] * len(shape), after)


def col2im(node: Node, build: OnnxBuilder) -> SSAValue:
    """Sums of overlapping blocks: for each place in a block all blocks, spread out by the strides."""
    value = node.operand(0)
    image = build.require_integers(node.operand(1), "the image's shape")
    block = build.require_integers(node.operand(2), "the block's shape")
    rank = len(image)
    strides, dilations = node.integers("strides", [1] * rank), node.integers("dilations", [1] * rank)
    pads = node.integers("pads", [0] * (2 * rank))
    for what, values in (("the block's shape", block), ("strides", strides), ("dilations", dilations)):
        same_length(what, values, rank)
    same_length("pads", pads, 2 * rank)
    low, high = pads[:rank], pads[rank:]
    counts = [
        (size + before + after - (extent - 1) * dilation - 1) // stride + 1
        for size, before, after, extent, dilation, stride in zip(
            image, low, high, block, dilations, strides, strict=True
        )
    ]
    batch, planes, _ = build.sizes_of(value)
    channels = build.combine("divide", planes, math.prod(block))
    blocks = build.reshape_to(value, [batch, channels, math.prod(block), *counts])
    zero = build.constant(0, build.element_type(value))
    total: SSAValue | None = None
    for number, offset in enumerate(_offsets(block)):
        part = build.reshape_to(build.slice_axis(blocks, 2, number, number + 1), [batch, channels, *counts])
        before = [place * step - pad for place, step, pad in zip(offset, dilations, low, strict=True)]
        after = [
            size - start - (count - 1) * stride - 1
            for size, start, count, stride in zip(image, before, counts, strides, strict=True)
        ]
        spread = build.pad(part, zero, [0, 0, *before], [0, 0, *after], [0, 0, *(stride - 1 for stride in strides)])
        total = spread if total is None else build.add(total, spread)
    if total is None:
        raise LaminaError("Col2Im: a block has no elements")
    return total


WINDOWS: Mapping[str, Versions] = {"Col2Im": {18: col2im}, "MaxPool": {1: max_pool}, "MaxUnpool": {9: max_unpool}}
