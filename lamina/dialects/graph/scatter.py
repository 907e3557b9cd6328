"""Scatter: slices written into a copy of a tensor at index vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, LocationAttr, StringAttr
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from lamina.dialects.graph.base import AbstractTensor, Array, InferenceError
from lamina.dialects.graph.construction import check_equal_sizes, check_length, construct, unequal_pairs
from lamina.dialects.graph.data_movement_base import DataMovementOp
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.indexing import GatherDimensions, gather_shape
from lamina.dialects.graph.properties import INTEGERS, TENSOR, Keyword, integer, integers
from lamina.dialects.graph.types import BFLOAT16, FLOAT16, INTEGER, NUMBER

KINDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "assign": lambda old, new: new,
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
"""Per kind: what is left where an update meets an element."""


@irdl_op_definition
class ScatterOp(DataMovementOp):
    """The operand with slices combined into it at index vectors, as in StableHLO: the transpose of `gather`.

    For every index vector (along `index_vector_dim` of the indices; scalars where that is their rank) a slice of the
    updates meets the operand where the vector says: entry k is the start on axis `scatter_dims_to_operand_dims[k]`.
    `kind` says what becomes of an element that an update meets: `assign` (the update), `add`, `multiply`, `maximum`
    or `minimum` of both. The axes `update_window_dims` of the updates walk the slice; the operand's axes
    `inserted_window_dims` are not among them, and its `input_batching_dims` run together with
    `scatter_indices_batching_dims` of the indices.

    A slice that does not fit as a whole is dropped. Slices are combined in the row-major order of the index vectors:
    with repeated indices the last assignment wins, and sums are formed in that order. f16 and bf16 are rounded after
    every update.

    Operands: a tensor of any type (of numbers, except for `assign`), integer indices, updates of the operand's element
    type. Result: the operand's type.

    Constraints: as in the StableHLO specification (section "scatter"), with ascending `update_window_dims`; the
    updates have the shape that a `gather` at the same places gives, or are smaller along window axes.

    ONNX ScatterND, ScatterElements; StableHLO scatter.
    """

    name = "graph.scatter"
    DATA: ClassVar[int | None] = None
    operand = operand_def(TENSOR)
    indices = operand_def(TENSOR)
    updates = operand_def(TENSOR)
    kind = prop_def(StringAttr)
    update_window_dims = prop_def(INTEGERS)
    inserted_window_dims = prop_def(INTEGERS)
    input_batching_dims = prop_def(INTEGERS, default_value=integers(()))
    scatter_indices_batching_dims = prop_def(INTEGERS, default_value=integers(()))
    scatter_dims_to_operand_dims = prop_def(INTEGERS)
    index_vector_dim = prop_def(IntegerAttr[I64])
    result = result_def(TENSOR)
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($kind) $operand `,` $indices `,` $updates `,` `update_window_dims` $update_window_dims "
        "`inserted_window_dims` $inserted_window_dims "
        "(`input_batching_dims` $input_batching_dims^ "
        "`scatter_indices_batching_dims` $scatter_indices_batching_dims)? "
        "`scatter_dims_to_operand_dims` $scatter_dims_to_operand_dims `index_vector_dim` $index_vector_dim attr-dict "
        "`:` type($operand) `,` type($indices) `,` type($updates) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        indices: SSAValue | Operation,
        updates: SSAValue | Operation,
        kind: str,
        *,
        update_window_dims: Sequence[int],
        inserted_window_dims: Sequence[int],
        scatter_dims_to_operand_dims: Sequence[int],
        index_vector_dim: int,
        input_batching_dims: Sequence[int] = (),
        scatter_indices_batching_dims: Sequence[int] = (),
        location: LocationAttr | None = None,
    ):
        properties = {
            "kind": StringAttr(kind),
            "update_window_dims": integers(update_window_dims),
            "inserted_window_dims": integers(inserted_window_dims),
            "input_batching_dims": integers(input_batching_dims),
            "scatter_indices_batching_dims": integers(scatter_indices_batching_dims),
            "scatter_dims_to_operand_dims": integers(scatter_dims_to_operand_dims),
            "index_vector_dim": integer(index_vector_dim),
        }
        construct(self, (operand, indices, updates), properties, location=location)

    @property
    def numbers(self) -> GatherDimensions:
        """The dimension numbers of the gather that reads where this op writes."""
        return GatherDimensions(
            self.update_window_dims.get_values(),
            self.inserted_window_dims.get_values(),
            self.input_batching_dims.get_values(),
            self.scatter_indices_batching_dims.get_values(),
            self.scatter_dims_to_operand_dims.get_values(),
            self.index_vector_dim.value.data,
        )

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, indices, updates = operands
        if self.kind.data not in KINDS:
            raise InferenceError(f"{self.name}: kind: expected one of {', '.join(KINDS)}, found {self.kind.data}")
        if self.kind.data != "assign" and not NUMBER.accepts(operand.element_type):
            raise InferenceError(
                f"{self.name}: {self.kind.data}: expected {NUMBER.description}, found {operand.element_type}"
            )
        if not INTEGER.accepts(indices.element_type):
            raise InferenceError(f"{self.name}: indices: expected {INTEGER.description}, found {indices.element_type}")
        if updates.element_type != operand.element_type:
            raise InferenceError(
                f"{self.name}: updates: expected {operand.element_type} as the operand, found {updates.element_type}"
            )
        numbers = self.numbers
        rank = len(operand.shape)
        walked = numbers.offset_axes(rank)
        # Where an axis has no elements every update is dropped: that is no error, as it is for a gather.
        shape = tuple(size if axis in walked else 1 for axis, size in enumerate(operand.shape))
        slices = [-1 if axis in walked else 1 for axis in range(rank)]
        places = gather_shape(self.name, shape, indices.shape, numbers, slices)
        check_length(self.name, "axes of the updates", updates.shape, len(places))
        for axis, (size, most) in enumerate(zip(updates.shape, places, strict=True)):
            if axis not in numbers.offset_dims:
                check_equal_sizes(self.name, f"axis {axis} of the updates", most, size)
            elif isinstance(size, int) and isinstance(most, int) and size > most:
                raise InferenceError(f"{self.name}: updates: expected at most {most} on axis {axis}, found {size}")
        for left, right in self._batching_pairs(operands):
            check_equal_sizes(self.name, "batching dimensions", left, right)
        known = indices.elements is not None and all(isinstance(element, int) for element in indices.elements)
        if known and self.kind.data == "assign":
            return (self.moved(operands, operand.shape),)
        return (AbstractTensor(operand.shape, operand.element_type),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        _, indices, updates = operands
        batch = [size for axis, size in enumerate(updates.shape) if axis not in self.numbers.offset_dims]
        pairs = zip(self.numbers.batch_shape(indices.shape), batch, strict=True)
        return unequal_pairs([*pairs, *self._batching_pairs(operands)])

    def _batching_pairs(self, operands: Sequence[AbstractTensor]) -> list[tuple[Dim, Dim]]:
        operand, indices, _ = operands
        axes = zip(self.numbers.operand_batching_dims, self.numbers.start_indices_batching_dims, strict=True)
        return [(operand.shape[left], indices.shape[right]) for left, right in axes]

    def reference(self, *operands: Array) -> Array:
        operand, indices, updates = operands
        numbers = self.numbers
        result = operand.copy()
        combine = KINDS[self.kind.data]
        if indices.dtype == np.uint64:
            indices = np.minimum(indices, np.uint64(np.iinfo(np.int64).max))
        vectors = np.asarray(indices, np.int64)
        if numbers.index_vector_dim == vectors.ndim:
            vectors = vectors[..., np.newaxis]
        else:
            vectors = np.moveaxis(vectors, numbers.index_vector_dim, -1)
        windows = np.moveaxis(updates, numbers.offset_dims, range(-len(numbers.offset_dims), 0))
        walked = numbers.offset_axes(operand.ndim)
        narrow = operand.dtype in (FLOAT16, BFLOAT16)
        for place in np.ndindex(vectors.shape[:-1]):
            window: Any = windows[(*place, ...)]
            starts = [0] * operand.ndim
            for axis, start in zip(numbers.start_index_map, vectors[place].tolist(), strict=True):
                starts[axis] = start
            for axis, index_axis in zip(
                numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True
            ):
                starts[axis] = place[numbers.batch_axis(index_axis)]
            extents = dict(zip(walked, window.shape, strict=True))
            ends = [start + extents.get(axis, 1) for axis, start in enumerate(starts)]
            if any(start < 0 or end > size for start, end, size in zip(starts, ends, operand.shape, strict=True)):
                continue
            target = tuple(
                slice(start, end) if axis in extents else start
                for axis, (start, end) in enumerate(zip(starts, ends, strict=True))
            )
            old: Any = result[target]
            new: Any = window
            if narrow:
                old, new = old.astype(np.float32), new.astype(np.float32)
            with np.errstate(all="ignore"):
                result[target] = np.asarray(combine(old, new)).astype(operand.dtype)
        return result
