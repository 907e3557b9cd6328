"""`flatten-scatters`: every scatter becomes one of rows along the first axis of a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, i64
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.context import resources_of
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.scatter import ScatterOp
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import ShapeAnalysis, tensor_type
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class FlattenScattersPass(LaminaPass):
    """Bring scatters into the form that is lowered: rows of updates go to rows of a matrix.

    ```mlir
    %y = graph.scatter add %x, %i, %u, … : tensor<4x8x2xf32>, …
      →
    %r = graph.reshape %x, [4, 16] : …          // [rows, elements of a row]
    %p = …                                      // tensor<Nxi64>: the row of each update, -1 where it is dropped
    %v = graph.reshape %u, [N, 16] : …
    %s = graph.scatter add %r, %p, %v, update_window_dims [1] inserted_window_dims [0] …
    %y = graph.reshape %s, [4, 8, 2] : …
    ```

    A row is the longest run of last axes that every update covers as a whole; it may be one element.
    """

    name = "flatten-scatters"
    ensures: ClassVar[frozenset[str]] = frozenset({"scatters-flat"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in graph_functions(op):
            scatters = [inner for inner in function.walk() if isinstance(inner, ScatterOp)]
            if not scatters:
                continue
            analysis = ShapeAnalysis(function)
            for scatter in scatters:
                if not is_flat(scatter, analysis):
                    Flattening(scatter, analysis, resources_of(ctx)).run()


def is_flat(op: ScatterOp, analysis: ShapeAnalysis) -> bool:
    """Whether a scatter is in the lowered form: i64 row numbers, whole rows."""
    numbers = op.numbers
    vector = (numbers.offset_dims, numbers.collapsed_slice_dims, numbers.start_index_map, numbers.index_vector_dim)
    shape, update = analysis.shape(op.operand), analysis.shape(op.updates)
    return (
        vector == ((1,), (0,), (0,), 1)
        and not numbers.operand_batching_dims
        and len(shape) == 2
        and len(analysis.shape(op.indices)) == 1
        and shape[1] == update[1]
        and tensor_type(op.indices.type).get_element_type() == i64
    )


class Flattening:
    """One scatter and the ops that take its place."""

    def __init__(self, op: ScatterOp, analysis: ShapeAnalysis, resources: ResourceStore):
        self.op = op
        self.builder = GraphBuilder(InsertPoint.before(op), resources, op.location)
        for operand in op.operands:
            self.builder.declare(operand, analysis.of(operand))
        self.shape = self.builder.shape(op.operand)
        self.update = self.builder.shape(op.updates)
        self.numbers = op.numbers
        walked = self.numbers.offset_axes(len(self.shape))
        self.window = dict(zip(walked, self.numbers.offset_dims, strict=True))
        self.lead = self._lead()
        self.batch = [axis for axis in range(len(self.update)) if axis not in self.numbers.offset_dims]

    def _lead(self) -> int:
        """How many axes of the operand are not in a row."""
        lead = len(self.shape)
        while lead:
            axis = lead - 1
            place = self.window.get(axis)
            if place is None or axis in self.numbers.start_index_map or self.update[place] != self.shape[axis]:
                break
            lead = axis
        return lead

    def run(self) -> None:
        """Replace the op."""
        b, op = self.builder, self.op
        stepped = [self.window[axis] for axis in range(self.lead) if axis in self.window]
        row = [self.window[axis] for axis in range(self.lead, len(self.shape))]
        order = [*self.batch, *stepped, *row]
        updates = op.updates if order == list(range(len(order))) else b.transpose(op.updates, order)
        width = self._product(op.operand, range(self.lead, len(self.shape)))
        rows = self._product(op.operand, range(self.lead))
        count = self._product(op.updates, [*self.batch, *stepped])
        matrix = self._reshaped(op.operand, [rows, width])
        flat = b.create(
            "scatter",
            (matrix, self._positions(count), self._reshaped(updates, [count, width])),
            kind=op.kind.data,
            update_window_dims=[1],
            inserted_window_dims=[0],
            scatter_dims_to_operand_dims=[0],
            index_vector_dim=1,
        )
        sizes = [self._size(op.operand, axis) for axis in range(len(self.shape))]
        result = self._reshaped(flat, sizes)
        if result.type != op.result.type:
            result = Rewriter.replace_value_with_new_type(result, op.result.type)
        result.name_hint = op.result.name_hint
        op.result.replace_all_uses_with(result)
        Rewriter.erase_op(op)

    # ---- sizes, as numbers or i64 scalars

    def _size(self, value: SSAValue, axis: int) -> int | SSAValue:
        known: Dim = self.builder.shape(value)[axis]
        return known if isinstance(known, int) else self.builder.dimension(value, axis)

    def _product(self, value: SSAValue, axes: range | list[int]) -> int | SSAValue:
        total: int | SSAValue = 1
        for axis in axes:
            total = self._times(total, self._size(value, axis))
        return total

    def _times(self, left: int | SSAValue, right: int | SSAValue) -> int | SSAValue:
        if isinstance(left, int) and isinstance(right, int):
            return left * right
        if left == 1 or right == 1:
            return right if left == 1 else left
        return self.builder.multiply(left, right)

    def _vector(self, sizes: list[int | SSAValue]) -> SSAValue:
        b = self.builder
        if all(isinstance(size, int) for size in sizes):
            return b.constant(np.asarray(sizes, np.int64))
        parts = [b.constant(np.asarray([s], np.int64)) if isinstance(s, int) else b.reshape(s, [1]) for s in sizes]
        return parts[0] if len(parts) == 1 else b.concatenate(parts, 0)

    def _reshaped(self, value: SSAValue, sizes: list[int | SSAValue]) -> SSAValue:
        static = [size for size in sizes if isinstance(size, int)]
        if len(static) == len(sizes):
            return value if self.builder.shape(value) == tuple(static) else self.builder.reshape(value, static)
        return self.builder.dynamic_reshape(value, self._vector(sizes))

    # ---- rows

    def _positions(self, count: int | SSAValue) -> SSAValue:
        """The row of every update, -1 where its slice does not fit."""
        b = self.builder
        strides: list[int | SSAValue] = [1] * self.lead
        for axis in reversed(range(self.lead - 1)):
            strides[axis] = self._times(strides[axis + 1], self._size(self.op.operand, axis + 1))
        total: SSAValue | None = None
        inside: SSAValue | None = None
        for axis in range(self.lead):
            start = self._start(axis)
            if start is None:
                continue
            if axis in self.numbers.start_index_map:
                fits = self._fits(axis, start)
                inside = fits if inside is None else b.and_(inside, fits)
            part = start if strides[axis] == 1 else b.multiply(start, strides[axis])
            total = part if total is None else b.add(total, part)
        batch = self._product(self.op.updates, self.batch)
        if total is None:
            total = b.dynamic_broadcast(b.constant(0), self._vector([batch]))
        column: list[int | SSAValue] = [batch, 1]
        positions = self._reshaped(total, column)
        offsets = self._offsets(strides)
        if offsets is not None:
            positions = b.add(positions, offsets)
        if inside is not None:
            positions = b.select(self._reshaped(inside, column), positions, -1)
        return self._reshaped(positions, [count])

    def _start(self, axis: int) -> SSAValue | None:
        """Where the slices start along an axis of the operand, in the shape of the batch; None for 0."""
        b, numbers = self.builder, self.numbers
        indices, vector = self.op.indices, numbers.index_vector_dim
        rank = b.rank(indices)
        if axis in numbers.operand_batching_dims:
            partner = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(axis)]
            sizes = [self._size(self.op.updates, place) for place in self.batch]
            return b.dynamic_iota(i64, self._vector(sizes), numbers.batch_axis(partner))
        if axis not in numbers.start_index_map:
            return None
        wide = b.cast(indices, i64)
        if vector == rank:
            return wide
        entry = numbers.start_index_map.index(axis)
        low = [entry if at == vector else 0 for at in range(rank)]
        high = [entry + 1 if at == vector else 2**63 - 1 for at in range(rank)]
        taken = b.slice(wide, low, high)
        return self._reshaped(taken, [self._size(indices, at) for at in range(rank) if at != vector])

    def _fits(self, axis: int, start: SSAValue) -> SSAValue:
        b = self.builder
        place = self.window.get(axis)
        extent: int | SSAValue = 1 if place is None else self._size(self.op.updates, place)
        size = self._size(self.op.operand, axis)
        if isinstance(size, int) and isinstance(extent, int):
            last: SSAValue = b.constant(size - extent)
        else:
            last = b.subtract(*(b.constant(each) if isinstance(each, int) else each for each in (size, extent)))
        return b.and_(b.compare("GE", start, 0), b.compare("LE", start, last))

    def _offsets(self, strides: list[int | SSAValue]) -> SSAValue | None:
        """The rows of a slice's parts, counted from its start, as [1, parts]; None where it has one part."""
        b = self.builder
        stepped = [axis for axis in range(self.lead) if axis in self.window]
        if not stepped:
            return None
        sizes = [self._size(self.op.updates, self.window[axis]) for axis in stepped]
        total: SSAValue | None = None
        for number, axis in enumerate(stepped):
            along = b.dynamic_iota(i64, self._vector(sizes), number)
            part = along if strides[axis] == 1 else b.multiply(along, strides[axis])
            total = part if total is None else b.add(total, part)
        assert total is not None
        parts: int | SSAValue = 1
        for size in sizes:
            parts = self._times(parts, size)
        return self._reshaped(total, [1, parts])
