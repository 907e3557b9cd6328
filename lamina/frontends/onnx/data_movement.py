"""Operators that change shapes and order: reshapes, transposes, broadcasts, joins, cuts, padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.axes import axes_of, given_axes, same_length
from lamina.frontends.onnx.builder import FIX_DIMS, TO_THE_END, OnnxBuilder, Size, bounded
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode


def identity(node: Node, build: OnnxBuilder) -> SSAValue:
    return node.operand(0)


def dropout(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
    """Inference: the input; the mask, where wanted, is all true."""
    value = node.operand(0)
    training = node.optional(2)
    if training is not None and build.require_static(training, "training_mode").any():
        raise UnsupportedNode("training mode drops elements at random, which is not built yet")
    if not node.wants(1):
        return (value,)
    mask_type = build.element_type(value) if node.version < 10 else i1
    return value, build.filled(1, build.sizes_of(value), mask_type)


# Reshapes


def reshape(node: Node, build: OnnxBuilder) -> SSAValue:
    """0 copies the input's size (unless `allowzero`), -1 is what is left."""
    value, shape = node.operand(0), node.operand(1)
    (length,) = build.static_shape(shape, "the length of the shape")
    elements = build.elements(shape)
    keep_zero = node.flag("allowzero")
    if elements is None:
        return build.dynamic_reshape(value, shape if keep_zero else _zeros_copied(build, value, shape, length))
    if elements == build.shape(value):
        return value
    sizes: list[Size] = []
    for index, element in enumerate(elements):
        if element != 0 or keep_zero:
            sizes.append(element if isinstance(element, int) else build.entry(shape, index))
        elif index < build.rank(value):
            sizes.append(build.size(value, index))
        else:
            raise LaminaError(f"the shape copies size {index} of a tensor with {build.rank(value)} axes")
    if all(isinstance(size, int) for size in sizes) or _unknown(sizes) == 1:
        return build.reshape_to(value, sizes)
    rewritten = any(element == 0 for element in elements) and not keep_zero
    return build.dynamic_reshape(value, build.vector(sizes) if rewritten else shape)


def _unknown(sizes: Sequence[Size]) -> int:
    """How many sizes are not positive numbers: one of them can be left to be found."""
    return sum(not isinstance(size, int) or size <= 0 for size in sizes)


def _zeros_copied(build: OnnxBuilder, value: SSAValue, shape: SSAValue, length: int) -> SSAValue:
    """A shape in which each 0 is replaced, when it runs, by the input's size on that axis."""
    sizes: list[Size] = [*build.sizes_of(value)[:length]]
    sizes += [0] * (length - len(sizes))
    return build.select(build.compare("EQ", shape, 0), build.vector(sizes), shape)


def flatten(node: Node, build: OnnxBuilder) -> SSAValue:
    """All axes before `axis` become one, and so do the others."""
    value = node.operand(0)
    rank = build.rank(value)
    axis = node.integer("axis")
    if not -rank <= axis <= rank:
        raise LaminaError(f"axis {axis} is out of range for {rank} axes")
    return flattened(build, value, axis + rank if axis < 0 else axis)


def flattened(build: OnnxBuilder, value: SSAValue, axis: int) -> SSAValue:
    """As a matrix: the axes before `axis`, the axes from it on."""
    sizes = build.sizes_of(value)
    return build.reshape_to(value, [build.product(sizes[:axis]), build.product(sizes[axis:])])


def squeeze(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    shape = build.shape(value)
    axes = given_axes(node, build, 1)
    if axes is None:
        build.static_shape(value, "which axes have size 1")
        axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    dropped = axes_of(axes, len(shape))
    for axis in dropped:
        if isinstance(shape[axis], int) and shape[axis] != 1:
            raise LaminaError(f"axis {axis} cannot be squeezed: its size is {shape[axis]}")
    return build.reshape_to(value, [size for axis, size in enumerate(build.sizes_of(value)) if axis not in dropped])


def unsqueeze(node: Node, build: OnnxBuilder) -> SSAValue:
    axes = given_axes(node, build, 1)
    if axes is None:
        raise LaminaError("Unsqueeze needs axes")
    return unsqueezed(build, node.operand(0), axes)


def unsqueezed(build: OnnxBuilder, value: SSAValue, axes: Sequence[int]) -> SSAValue:
    """Insert axes of size 1, at positions of the result."""
    rank = build.rank(value) + len(axes)
    inserted = axes_of(axes, rank)
    rest = iter(build.sizes_of(value))
    return build.reshape_to(value, [1 if axis in inserted else next(rest) for axis in range(rank)])


def transpose(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    rank = build.rank(value)
    permutation = node.integers("perm", range(rank)[::-1])
    same_length("the permutation", permutation, rank)
    return build.transposed(value, axes_of(permutation, rank))


def depth_to_space(node: Node, build: OnnxBuilder) -> SSAValue:
    """Blocks of channels become squares of pixels; the mode says which of the two orders channels have."""
    value = node.operand(0)
    block = _block_size(node)
    if build.rank(value) != 4:
        raise LaminaError(f"DepthToSpace takes 4 axes, found {build.rank(value)}")
    batch, channels, height, width = build.sizes_of(value)
    depth = build.combine("divide", channels, block * block)
    mode = node.string("mode", "DCR")
    if mode == "DCR":
        parts = build.reshape_to(value, [batch, block, block, depth, height, width])
        moved = build.transposed(parts, (0, 3, 4, 1, 5, 2))
    else:
        parts = build.reshape_to(value, [batch, depth, block, block, height, width])
        moved = build.transposed(parts, (0, 1, 4, 2, 5, 3))
    tall, wide = (build.combine("multiply", size, block) for size in (height, width))
    return build.reshape_to(moved, [batch, depth, tall, wide])


def space_to_depth(node: Node, build: OnnxBuilder) -> SSAValue:
    """Squares of pixels become blocks of channels."""
    value = node.operand(0)
    block = _block_size(node)
    if build.rank(value) != 4:
        raise LaminaError(f"SpaceToDepth takes 4 axes, found {build.rank(value)}")
    batch, channels, height, width = build.sizes_of(value)
    low, narrow = (build.combine("divide", size, block) for size in (height, width))
    parts = build.reshape_to(value, [batch, channels, low, block, narrow, block])
    if node.string("mode", "DCR") == "DCR":
        moved = build.transposed(parts, (0, 3, 5, 1, 2, 4))
    else:
        moved = build.transposed(parts, (0, 1, 3, 5, 2, 4))
    return build.reshape_to(moved, [batch, build.combine("multiply", channels, block * block), low, narrow])


def _block_size(node: Node) -> int:
    block = node.integer("blocksize")
    if block < 1:
        raise LaminaError(f"the block size must be positive, found {block}")
    return block


# Broadcasts


def expand(node: Node, build: OnnxBuilder) -> SSAValue:
    """Broadcast in both directions: a 1 in the shape keeps the input's size."""
    value, shape = node.operand(0), node.operand(1)
    rank = build.rank(value)
    entries = build.entries(shape)
    target: list[Size] = [1] * (rank - len(entries)) + entries
    offset = len(target) - rank
    sizes: list[Size] = []
    for axis, asked in enumerate(target):
        if axis < offset:
            sizes.append(asked)
        else:
            sizes.append(-1 if asked == 1 else _broadcast_size(build, build.size(value, axis - offset), asked))
    return build.broadcast_to(value, sizes)


def _broadcast_size(build: OnnxBuilder, own: Size, asked: Size) -> Size:
    """The common size of two that broadcast."""
    if own == 1 or isinstance(asked, int):
        return asked
    if isinstance(own, int):
        return own
    known_own, known_asked = build.abstract(own).elements, build.abstract(asked).elements
    if known_own is not None and known_own == known_asked:
        return own
    return build.select(build.compare("EQ", asked, 1), own, asked)


def tile(node: Node, build: OnnxBuilder) -> SSAValue:
    """Repeat along each axis: [n, m] -> [n, r, m, s] by broadcasting, then reshaped."""
    value = node.operand(0)
    repeats = build.entries(node.operand(1))
    sizes = build.sizes_of(value)
    same_length("the repeats of Tile", repeats, len(sizes))
    if all(repeat == 1 for repeat in repeats):
        return value
    split: list[Size] = []
    spread: list[Size] = []
    for size, repeat in zip(sizes, repeats, strict=True):
        if repeat != 1:
            split.append(1)
            spread.append(repeat)
        split.append(size)
        spread.append(size)
    tiled = build.broadcast_to(build.reshape_to(value, split), spread)
    return build.reshape_to(
        tiled, [build.combine("multiply", size, repeat) for size, repeat in zip(sizes, repeats, strict=True)]
    )


# Joins and cuts


def concatenate(node: Node, build: OnnxBuilder) -> SSAValue:
    values = node.operands
    axis = build.axis(values[0], node.integer("axis"))
    return values[0] if len(values) == 1 else build.concatenate(values, axis)


def split(node: Node, build: OnnxBuilder) -> Sequence[SSAValue]:
    """Cut into parts of given sizes, or into as many equal ones as there are outputs (the last may be smaller)."""
    value = node.operand(0)
    axis = build.axis(value, node.integer("axis"))
    parts = _part_sizes(node, build, value, axis)
    same_length("the parts of Split", parts, len(node.outputs))
    results: list[SSAValue] = []
    limit: Size = 0
    for part in parts:
        start, limit = limit, build.combine("add", limit, part)
        results.append(_cut(build, value, axis, start, limit))
    size = build.shape(value)[axis]
    if isinstance(size, int) and isinstance(limit, int) and limit != size:
        raise LaminaError(f"the parts of Split add up to {limit}, expected {size}")
    return results


def _part_sizes(node: Node, build: OnnxBuilder, value: SSAValue, axis: int) -> Sequence[Size]:
    operand = node.optional(1)
    parts = build.entries(operand) if operand is not None else node.optional_integers("split")
    if parts is not None:
        if any(isinstance(part, int) and part < 0 for part in parts):
            raise LaminaError("a part of Split has a negative size")
        return parts
    size = build.size(value, axis)
    count = node.integer("num_outputs", len(node.outputs))
    if count < 1:
        raise LaminaError("Split needs an output")
    part = build.combine("divide", build.combine("add", size, count - 1), count)
    rest = size
    equal: list[Size] = []
    for _ in range(count):
        taken = build.combine("minimum", part, rest)
        equal.append(taken)
        rest = build.combine("subtract", rest, taken)
    return equal


def _cut(build: OnnxBuilder, value: SSAValue, axis: int, start: Size, limit: Size) -> SSAValue:
    """From `start` to before `limit` along one axis."""
    if isinstance(start, int) and isinstance(limit, int):
        return build.slice_axis(value, axis, start, limit)
    rank = build.rank(value)
    starts: list[Size] = [start if other == axis else 0 for other in range(rank)]
    limits: list[Size] = [limit if other == axis else TO_THE_END for other in range(rank)]
    return build.dynamic_slice(value, build.vector(starts), build.vector(limits), build.vector([1] * rank))


def slice_by_attributes(node: Node, build: OnnxBuilder) -> SSAValue:
    starts, ends = node.integers("starts"), node.integers("ends")
    axes = node.integers("axes", range(len(starts)))
    return sliced(build, node.operand(0), list(starts), list(ends), axes, [1] * len(starts))


def slice_by_inputs(node: Node, build: OnnxBuilder) -> SSAValue:
    starts, ends = (build.entries(node.operand(index)) for index in (1, 2))
    axes_value, steps_value = node.optional(3), node.optional(4)
    axes = range(len(starts)) if axes_value is None else build.require_integers(axes_value, "the axes of a slice")
    steps = [1] * len(starts) if steps_value is None else build.require_integers(steps_value, "the steps of a slice")
    return sliced(build, node.operand(0), starts, ends, axes, steps)


def sliced(
    build: OnnxBuilder,
    value: SSAValue,
    starts: Sequence[Size],
    ends: Sequence[Size],
    axes: Sequence[int],
    steps: Sequence[int],
) -> SSAValue:
    """NumPy slicing. A negative step reverses the axis: position p counts from its end as -1 - p."""
    rank = build.rank(value)
    for what, values in (("ends", ends), ("axes", axes), ("steps", steps)):
        same_length(f"the {what} of a slice", values, len(starts))
    axes = axes_of(axes, rank)
    if 0 in steps:
        raise LaminaError("the step of a slice is 0")
    reversed_axes = [axis for axis, step in zip(axes, steps, strict=True) if step < 0]
    first: dict[int, Size] = {}
    last: dict[int, Size] = {}
    strides = {axis: abs(step) for axis, step in zip(axes, steps, strict=True)}
    for axis, step, start, end in zip(axes, steps, starts, ends, strict=True):
        first[axis] = start if step > 0 else build.combine("subtract", -1, start)
        last[axis] = end if step > 0 else build.combine("subtract", -1, end)
    if reversed_axes:
        value = build.reverse(value, sorted(reversed_axes))
    static_first = {axis: size for axis, size in first.items() if isinstance(size, int)}
    static_last = {axis: size for axis, size in last.items() if isinstance(size, int)}
    if len(static_first) == len(first) and len(static_last) == len(last):
        return build.slice_axes(value, static_first, static_last, strides)
    return build.dynamic_slice(
        value,
        build.vector([_bound(first.get(axis, 0)) for axis in range(rank)]),
        build.vector([_bound(last.get(axis, TO_THE_END)) for axis in range(rank)]),
        build.vector([strides.get(axis, 1) for axis in range(rank)]),
    )


def _bound(size: Size) -> Size:
    return bounded(size) if isinstance(size, int) else size


# Padding


PAD_MODES = ("constant", "edge", "reflect", "wrap")


def pad_by_attributes(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    fill = build.constant(node.floating("value"), build.element_type(value))
    return _padded(node, build, value, fill, list(node.integers("pads")), range(build.rank(value)))


def pad_by_inputs(node: Node, build: OnnxBuilder) -> SSAValue:
    value, given, axes_value = node.operand(0), node.optional(2), node.optional(3)
    fill = build.constant(0, build.element_type(value)) if given is None else build.reshape_to(given, ())
    rank = build.rank(value)
    axes = range(rank) if axes_value is None else axes_of(build.require_integers(axes_value, "the axes"), rank)
    return _padded(node, build, value, fill, build.entries(node.operand(1)), axes)


def _padded(
    node: Node, build: OnnxBuilder, value: SSAValue, fill: SSAValue, pads: Sequence[Size], axes: Sequence[int]
) -> SSAValue:
    rank, count = build.rank(value), len(axes)
    mode = node.string("mode")
    if mode not in PAD_MODES:
        raise UnsupportedNode(f"the padding mode {mode} is not built yet")
    same_length("the pads", pads, 2 * count)
    low: list[Size] = [0] * rank
    high: list[Size] = [0] * rank
    for index, axis in enumerate(axes):
        low[axis], high[axis] = pads[index], pads[index + count]
    if mode == "wrap":
        return _wrapped(build, value, low, high)
    static_low = [size for size in low if isinstance(size, int)]
    static_high = [size for size in high if isinstance(size, int)]
    if len(static_low) == len(static_high) == rank:
        return build.pad(value, fill, static_low, static_high, mode=mode)
    return build.dynamic_pad(value, fill, build.vector(low), build.vector(high), mode)


def _wrapped(build: OnnxBuilder, value: SSAValue, low: Sequence[Size], high: Sequence[Size]) -> SSAValue:
    """Each axis goes on with its own beginning and starts with its own end; negative pads crop."""
    for axis, (before, after) in enumerate(zip(low, high, strict=True)):
        size = build.shape(value)[axis]
        if before == 0 and after == 0:
            continue
        if not (isinstance(before, int) and isinstance(after, int) and isinstance(size, int)):
            raise UnsupportedNode("the padding mode wrap needs known sizes and pads", hints=(FIX_DIMS,))
        places = np.arange(max(-before, 0), size + min(after, 0), dtype=np.int64)
        if size + before + after < 0 or (not places.size and max(before, after) > 0):
            raise LaminaError(f"axis {axis} has no elements to be padded with")
        # What is cropped does not come back: the axis is continued with what is left of it.
        turns = np.arange(-max(before, 0), places.size + max(after, 0)) % max(places.size, 1)
        value = build.take(value, build.constant(places[turns]), axis)
    return value


DATA_MOVEMENT: Mapping[str, Versions] = {
    "Concat": {4: concatenate},
    "DepthToSpace": {1: depth_to_space},
    "Dropout": {7: dropout},
    "Expand": {8: expand},
    "Flatten": {1: flatten},
    "Identity": {1: identity},
    "Pad": {2: pad_by_attributes, 11: pad_by_inputs},
    "Reshape": {5: reshape},
    "Slice": {1: slice_by_attributes, 10: slice_by_inputs},
    "SpaceToDepth": {1: space_to_depth},
    "Split": {2: split},
    "Squeeze": {1: squeeze},
    "Tile": {6: tile},
    "Transpose": {1: transpose},
    "Unsqueeze": {1: unsqueeze},
}
