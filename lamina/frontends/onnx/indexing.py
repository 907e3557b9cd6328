"""Operators that pick elements by index: all of them are `graph.gather`, or a slice where the indices are a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import OnnxBuilder, Size
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode


def gather(node: Node, build: OnnxBuilder) -> SSAValue:
    """Slices along an axis; negative indices count from its end."""
    value, indices = node.operand(0), node.operand(1)
    axis = build.axis(value, node.integer("axis"))
    sliced = _as_slice(build, value, indices, axis)
    if sliced is not None:
        return sliced
    return build.take(value, wrapped(build, indices, build.size(value, axis)), axis)


def _as_slice(build: OnnxBuilder, value: SSAValue, indices: SSAValue, axis: int) -> SSAValue | None:
    """Constant indices a, a + s, a + 2·s, … with s > 0 are a slice."""
    array = build.static(indices)
    size = build.shape(value)[axis]
    if array is None or array.ndim > 1 or not array.size:
        return None
    positions = [int(position) for position in array.reshape(-1).tolist()]
    if isinstance(size, int):
        if not all(-size <= position < size for position in positions):
            raise LaminaError(f"indices {positions} are out of range for an axis of size {size}")
        positions = [position % size for position in positions]
    stride = positions[1] - positions[0] if len(positions) > 1 else 1
    first, last = positions[0], positions[-1]
    regular = positions == [first + index * stride for index in range(len(positions))]
    if stride <= 0 or not regular or first < 0 <= last:
        return None
    # -1 + 1 would be position 0.
    limits = {} if last == -1 else {axis: last + 1}
    picked = build.slice_axes(value, {axis: first}, limits, {axis: stride})
    if array.ndim:
        return picked
    return build.reshape_to(picked, [each for other, each in enumerate(build.sizes_of(picked)) if other != axis])


def wrapped(build: OnnxBuilder, indices: SSAValue, size: Size) -> SSAValue:
    """Indices with negative ones counted from the end."""
    array = build.static(indices)
    if array is not None and isinstance(size, int):
        if array.size and not -size <= array.min() <= array.max() < size:  # pyright: ignore[reportOperatorIssue]
            raise LaminaError(f"an index is out of range for an axis of size {size}")
        return build.constant(np.where(array < 0, array + size, array).astype(np.int64))  # pyright: ignore
    indices = build.cast(indices, i64)
    return build.select(build.compare("LT", indices, 0), build.add(indices, build.value(size, i64)), indices)


def gather_elements(node: Node, build: OnnxBuilder) -> SSAValue:
    """result[i, j, …] = value[i, index[i, j, …], …]: all axes but one are batch axes of a gather."""
    value, indices = node.operand(0), node.operand(1)
    rank = build.rank(value)
    axis = build.axis(value, node.integer("axis"))
    if build.rank(indices) != rank:
        raise LaminaError(f"GatherElements: expected indices with {rank} axes, found {build.rank(indices)}")
    positions = wrapped(build, indices, build.size(value, axis))
    batch = [other for other in range(rank) if other != axis]
    cropped = [other for other in batch if build.shape(value)[other] != build.shape(indices)[other]]
    if cropped:
        value = _cropped(build, value, indices, cropped)
    return build.gather(
        value,
        positions,
        slice_sizes=[1] * rank,
        collapsed_slice_dims=[axis],
        start_index_map=[axis],
        index_vector_dim=rank,
        operand_batching_dims=batch,
        start_indices_batching_dims=batch,
    )


def _cropped(build: OnnxBuilder, value: SSAValue, like: SSAValue, axes: Sequence[int]) -> SSAValue:
    """The beginning of a tensor: as much along `axes` as another one has."""
    sizes: dict[int, Size] = {axis: build.size(like, axis) for axis in axes}
    static = {axis: size for axis, size in sizes.items() if isinstance(size, int)}
    if len(static) == len(sizes):
        return build.slice_axes(value, {}, static)
    rank = build.rank(value)
    limits = [sizes.get(axis, build.size(value, axis)) for axis in range(rank)]
    return build.dynamic_slice(value, build.vector([0] * rank), build.vector(limits), build.vector([1] * rank))


def gather_nd(node: Node, build: OnnxBuilder) -> SSAValue:
    """Slices at index vectors (the last axis of the indices), behind `batch_dims` axes that both have."""
    value, indices = node.operand(0), node.operand(1)
    rank, index_rank = build.rank(value), build.rank(indices)
    batch_dims = node.integer("batch_dims", 0)
    if index_rank < 1 or not 0 <= batch_dims < index_rank or batch_dims > rank:
        raise LaminaError(f"GatherND: batch_dims {batch_dims} does not fit {rank} and {index_rank} axes")
    depth = build.shape(indices)[-1]
    if not isinstance(depth, int):
        raise UnsupportedNode("the length of the index vectors must be known")
    if not 1 <= depth <= rank - batch_dims:
        raise LaminaError(f"GatherND: index vectors of length {depth} do not fit {rank} axes")
    indexed = range(batch_dims, batch_dims + depth)
    sizes = build.vector([build.size(value, axis) for axis in indexed])
    indices = build.cast(indices, i64)
    positions = build.select(build.compare("LT", indices, 0), build.add(indices, sizes), indices)
    kept = range(batch_dims + depth, rank)
    return build.gather(
        value,
        positions,
        slice_sizes=[-1 if axis in kept else 1 for axis in range(rank)],
        offset_dims=range(index_rank - 1, index_rank - 1 + len(kept)),
        collapsed_slice_dims=indexed,
        start_index_map=indexed,
        index_vector_dim=index_rank - 1,
        operand_batching_dims=range(batch_dims),
        start_indices_batching_dims=range(batch_dims),
    )


def reverse_sequence(node: Node, build: OnnxBuilder) -> SSAValue:
    """Along the time axis the first so many elements of each sequence of the batch turned around."""
    value, lengths = node.operand(0), build.cast(node.operand(1), i64)
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    rank = build.rank(value)
    if {batch, time} != {0, 1} or rank < 2:
        raise LaminaError(f"ReverseSequence: the batch and time axes are 0 and 1, found {batch} and {time}")
    position = build.reshape_to(build.positions([build.size(value, time)], 0), [1, build.size(value, time)])
    lengths = build.reshape_to(lengths, [build.size(value, batch), 1])
    turned = build.select(
        build.compare("LT", position, lengths), build.subtract(build.subtract(lengths, 1), position), position
    )
    result = build.gather(
        value,
        turned,
        slice_sizes=[1, 1, *[-1] * (rank - 2)],
        offset_dims=range(2, rank),
        collapsed_slice_dims=[time],
        start_index_map=[time],
        index_vector_dim=2,
        operand_batching_dims=[batch],
        start_indices_batching_dims=[0],
    )
    return build.transposed(result, (batch, time, *range(2, rank)))


INDEXING: Mapping[str, Versions] = {
    "Gather": {1: gather},
    "GatherElements": {11: gather_elements},
    "GatherND": {11: gather_nd},
    "ReverseSequence": {10: reverse_sequence},
}
