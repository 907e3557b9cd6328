"""Sizes and source positions of slices, pads and gathers, apart from the syntax of the ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lamina.dialects.graph.base import Array, InferenceError
from lamina.dialects.graph.construction import check_axes
from lamina.dialects.graph.dims import MAX_SIZE, Dim, Shape, bounds, ceil_divide, maximum, minimum, product

Positions = npt.NDArray[np.int64]


def reshaped(name: str, operand: Shape, shape: Sequence[Dim]) -> Shape:
    """The result shape of a reshape; one -1 stands for what is left. Raises InferenceError where it does not fit."""
    if any(isinstance(size, int) and size < -1 for size in shape) or list(shape).count(-1) > 1:
        raise InferenceError(f"{name}: expected sizes of at least 0 and at most one -1, found {text(shape)}")
    total = product(operand)
    rest = product(size for size in shape if size != -1)
    if -1 not in shape:
        difference = total - rest
        if isinstance(difference, int) and difference:
            raise InferenceError(f"{name}: expected {total} elements as in the operand, found shape {text(shape)}")
        return tuple(shape)
    if rest == 0 or (isinstance(total, int) and isinstance(rest, int) and total % rest):
        raise InferenceError(f"{name}: expected a size in place of -1 that gives {total} elements in {text(shape)}")
    return tuple(total // rest if size == -1 else size for size in shape)


def slice_size(size: Dim, start: Dim, limit: Dim, stride: int) -> Dim:
    """len(range(size)[start:limit:stride]) for a positive stride."""
    if isinstance(limit, int) and limit >= MAX_SIZE:
        limit = size
    first, last = _from_start(size, start), _from_start(size, limit)
    return maximum(ceil_divide(minimum(last, size) - maximum(first, 0), stride), 0)


def _from_start(size: Dim, bound: Dim) -> Dim:
    low, high = bounds(bound)
    if low >= 0:
        return bound
    if high < 0:
        return size + bound
    is_negative = minimum(maximum(bound * -1, 0), 1)
    # Never below 0, so that differences of extreme bounds do not overflow.
    return maximum(bound + is_negative * size, 0)


def padded_size(size: Dim, low: Dim, high: Dim, interior: int) -> Dim:
    """The size of a padded axis: `interior` elements go between neighbors, `low` before, `high` after."""
    between = maximum(size - 1, 0) * interior if interior else 0
    return size + between + low + high


def _edge(positions: Positions, size: int) -> Positions:
    return np.clip(positions, 0, size - 1)


def _reflect(positions: Positions, size: int) -> Positions:
    period = max(2 * (size - 1), 1)
    folded = positions % period
    return np.minimum(folded, period - folded) if size > 1 else folded


PAD_MODES: Mapping[str, Callable[[Positions, int], Positions] | None] = {
    "constant": None,
    "edge": _edge,
    "reflect": _reflect,
}
"""Per mode, which element of an axis a position outside of it reads; None: the padding value."""


def pad(
    operand: Array, value: Array, low: Sequence[int], high: Sequence[int], interior: Sequence[int], mode: str
) -> Array:
    """The operand with elements put around and between its own; negative `low` and `high` crop."""
    result = operand
    for axis in range(operand.ndim):
        spread = interior[axis] + 1
        size = operand.shape[axis]
        extent = max((size - 1) * spread + 1, 0) if size else 0
        positions = np.arange(-low[axis], extent + high[axis], dtype=np.int64)
        source = PAD_MODES[mode]
        if source is not None:
            result = np.take(result, source(positions, size), axis)
            continue
        inside = (positions >= 0) & (positions < extent) & (positions % spread == 0)
        shape = (*result.shape[:axis], positions.size, *result.shape[axis + 1 :])
        padded = np.full(shape, value[()], dtype=result.dtype)
        target = (slice(None),) * axis
        padded[(*target, inside)] = np.take(result, positions[inside] // spread, axis)
        result = padded
    return result


@dataclass(frozen=True)
class GatherDimensions:
    """The dimension numbers of a StableHLO gather."""

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    operand_batching_dims: tuple[int, ...]
    start_indices_batching_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    index_vector_dim: int

    def offset_axes(self, rank: int) -> list[int]:
        """The axes of the operand that the result keeps."""
        dropped = (*self.collapsed_slice_dims, *self.operand_batching_dims)
        return [axis for axis in range(rank) if axis not in dropped]

    def batch_shape(self, indices: Shape) -> list[Dim]:
        """The sizes of the indices' axes other than the index vector's."""
        return [size for axis, size in enumerate(indices) if axis != self.index_vector_dim]

    def batch_axis(self, axis: int) -> int:
        """An axis of the indices, counted without the index vector's."""
        return axis - (axis > self.index_vector_dim)


def gather_shape(
    name: str, operand: Shape, indices: Shape, numbers: GatherDimensions, slice_sizes: Sequence[int]
) -> Shape:
    """The result shape of a gather; raises InferenceError for dimension numbers that do not fit."""
    rank = len(operand)
    if len(slice_sizes) != rank:
        raise InferenceError(f"{name}: slice_sizes: expected {rank} entries, found {list(slice_sizes)}")
    if not 0 <= numbers.index_vector_dim <= len(indices):
        raise InferenceError(
            f"{name}: index_vector_dim: expected an axis within [0, {len(indices)}], found {numbers.index_vector_dim}"
        )
    dropped = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    check_axes(name, "collapsed_slice_dims and operand_batching_dims", dropped, rank)
    check_axes(name, "start_index_map", (*numbers.start_index_map, *numbers.operand_batching_dims), rank)
    check_axes(name, "start_indices_batching_dims", numbers.start_indices_batching_dims, len(indices))
    has_vector = numbers.index_vector_dim < len(indices)
    vector_size = indices[numbers.index_vector_dim] if has_vector else 1
    if isinstance(vector_size, int) and vector_size != len(numbers.start_index_map):
        raise InferenceError(
            f"{name}: start_index_map: expected {vector_size} entries as the index vector, "
            f"found {list(numbers.start_index_map)}"
        )
    if len(numbers.operand_batching_dims) != len(numbers.start_indices_batching_dims):
        raise InferenceError(f"{name}: expected as many operand_batching_dims as start_indices_batching_dims")
    if numbers.index_vector_dim in numbers.start_indices_batching_dims and has_vector:
        raise InferenceError(f"{name}: start_indices_batching_dims: expected axes other than index_vector_dim")
    for axis, (size, taken) in enumerate(zip(operand, slice_sizes, strict=True)):
        if taken < -1 or (isinstance(size, int) and taken > size):
            raise InferenceError(f"{name}: slice_sizes: expected at most {size} for axis {axis}, found {taken}")
        if axis in dropped and taken != 1 and not (taken == -1 and size == 1):
            raise InferenceError(f"{name}: slice_sizes: expected 1 for the dropped axis {axis}, found {taken}")
    batch = numbers.batch_shape(indices)
    offsets = [operand[axis] if slice_sizes[axis] == -1 else slice_sizes[axis] for axis in numbers.offset_axes(rank)]
    if len(numbers.offset_dims) != len(offsets):
        raise InferenceError(f"{name}: offset_dims: expected {len(offsets)} entries, found {list(numbers.offset_dims)}")
    check_axes(name, "offset_dims", numbers.offset_dims, len(batch) + len(offsets))
    if list(numbers.offset_dims) != sorted(numbers.offset_dims):
        raise InferenceError(f"{name}: offset_dims: expected ascending axes, found {list(numbers.offset_dims)}")
    sizes = iter(batch)
    at = dict(zip(numbers.offset_dims, offsets, strict=True))
    return tuple(at[axis] if axis in at else next(sizes) for axis in range(len(batch) + len(offsets)))


def gather(operand: Array, indices: Array, numbers: GatherDimensions, slice_sizes: Sequence[int]) -> Array:
    """StableHLO gather: slices of the operand at index vectors, which are clamped so that every slice fits."""
    rank = operand.ndim
    if indices.dtype == np.uint64:
        indices = np.minimum(indices, np.uint64(np.iinfo(np.int64).max))
    vectors = np.asarray(indices, np.int64)
    if numbers.index_vector_dim == vectors.ndim:
        vectors = vectors[..., np.newaxis]
    else:
        vectors = np.moveaxis(vectors, numbers.index_vector_dim, -1)
    batch_shape = vectors.shape[:-1]
    offset_axes = numbers.offset_axes(rank)
    sizes = [operand.shape[axis] if taken == -1 else taken for axis, taken in enumerate(slice_sizes)]
    result_rank = len(batch_shape) + len(offset_axes)

    def along(axis: int, count: int) -> Positions:
        shape = [1] * result_rank
        shape[axis] = count
        return np.arange(count, dtype=np.int64).reshape(shape)

    positions: list[Positions] = []
    for axis in range(rank):
        position: Any = np.zeros((1,) * result_rank, np.int64)
        if axis in numbers.start_index_map:
            start = vectors[..., numbers.start_index_map.index(axis)]
            clamped = np.clip(start, 0, operand.shape[axis] - sizes[axis])
            position = clamped.reshape((*batch_shape, *(1,) * len(offset_axes)))
        elif axis in numbers.operand_batching_dims:
            partner = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(axis)]
            position = along(numbers.batch_axis(partner), operand.shape[axis])
        if axis in offset_axes:
            position = position + along(len(batch_shape) + offset_axes.index(axis), sizes[axis])
        positions.append(position)
    shape = (*batch_shape, *(sizes[axis] for axis in offset_axes))
    slices = np.broadcast_to(operand[tuple(positions)], shape)
    return np.moveaxis(slices, range(len(batch_shape), result_rank), numbers.offset_dims)


def text(shape: Sequence[Dim]) -> str:
    """A shape for a message."""
    return f"[{', '.join(str(size) for size in shape)}]"
