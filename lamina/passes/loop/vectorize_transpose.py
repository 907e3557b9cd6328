"""Stages scheduled as `transpose`: square blocks are read, turned in registers and written along another axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.loop import memref, vector
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type, vector_of
from lamina.passes.loop.lines import LINE_BYTES, contiguous_operands, until_line
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.streaming import STREAMED
from lamina.passes.loop.structured import (
    Linear,
    Schedule,
    axes_of,
    body_block,
    emit_linear,
    extent,
    iterators_of,
    linear_map,
    maps_of,
)
from lamina.passes.loop.vector_access import (
    TRUE,
    VectorAxis,
    VectorMemory,
    axis_of,
    can_access,
    present_axes,
    vector_body,
)

NEXT_CACHE = 2
"""Locality of prefetches: the second cache; rows of strides that are powers of two share few lines of the first one."""


def lower_transpose(op: linalg.GenericOp, schedule: Schedule, constants: Constants) -> None:
    """Emit the loops of one op, which is left to be erased.

        linalg.generic {(c, p) -> (p, c), (c, p) -> (c, p)} ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
    →
        scf.for %c = … step %c16 { scf.for %p = … step %c16 {
          %block = vector.transfer_read %x[%p, %c] : memref<?x?xf32>, vector<16x16xf32>
          %turned = vector.transpose %block, [1, 0] : vector<16x16xf32> to vector<16x16xf32>
          vector.transfer_write %turned, %y[%c, %p]
        } }

    The innermost loop goes along the longer side of the schedule's block, or along the columns where the schedule asks
    for what is read next (`prefetch`): a block of every row of an operand, then the next one. Along the axes of `lines`
    blocks begin where lines of memory do, so that none is read or written in two halves; what lies before and behind
    whole blocks is a block with a mask. Such blocks of an op marked `lamina.streamed` are stored past the caches.
    """
    names = axes_of(op)
    if names is None or schedule.row not in names or schedule.column not in names or not all(iterators_of(op)):
        raise error_at(op, "a schedule of kind 'transpose' needs parallel axes, two of them its row and its column")
    row, column = names.index(schedule.row), names.index(schedule.column)
    positions: list[tuple[Linear, ...]] = []
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        found = linear_map(map_)
        if found is None or (is_memref(operand.type) and not can_access(found, [row, column])):
            raise error_at(op, f"blocks cannot be read at {map_}")
        positions.append(found)
    emitter = Emitter.ahead_of(op, constants)
    emitter.location = op.location
    extents = [extent(emitter, op, dim) for dim in range(len(names))]
    tiles = (schedule.tile_of(schedule.row), schedule.tile_of(schedule.column))
    heads: dict[int, Index] = {
        names.index(axis): until_line(emitter, buffer)
        for axis, buffer in contiguous_operands(op, names, schedule.lines).items()
    }
    width = element_bytes(memref_type(op.outputs[0]).get_element_type())
    streamed = STREAMED in op.attributes and column in heads and tiles[1] * width == LINE_BYTES
    sides = dict(schedule.block)
    rows_inside = bool(sides) and sides.get(schedule.row, 0) >= sides.get(schedule.column, 0)
    order = (1, 0) if rows_inside and not schedule.prefetch else (0, 1)
    along, lanes = (row, tiles[0]) if schedule.row in dict(schedule.whole) else (column, tiles[1])
    ahead = {along: schedule.prefetch * lanes} if schedule.prefetch else {}
    blocks = _Blocks(op, positions, extents, (row, column), tiles, order, heads, ahead=ahead, streamed=streamed)
    blocks.emit(emitter, [0] * len(names), 0)


@dataclass(frozen=True)
class _Blocks:
    op: linalg.GenericOp
    positions: Sequence[tuple[Linear, ...]]
    extents: Sequence[Index]
    turned: tuple[int, int]
    tiles: tuple[int, int]
    order: tuple[int, int]
    heads: Mapping[int, Index]
    """By dim: the positions before the first that is at the start of a line."""
    ahead: Mapping[int, int]
    """How far ahead is asked for what is read, along one dim; empty: not at all."""
    streamed: bool

    def emit(self, emitter: Emitter, at: Sequence[Index], dim: int) -> None:
        """The loops over the axes from `dim` on that are not turned, then the blocks."""
        while dim < len(at) and (dim in self.turned or self.extents[dim] == 1):
            dim += 1
        if dim == len(at):
            self._blocks(emitter, at)
            return
        emitter.loop(
            0, self.extents[dim], 1, lambda inner, index: self.emit(inner, [*at[:dim], index, *at[dim + 1 :]], dim + 1)
        )

    def _blocks(self, emitter: Emitter, at: Sequence[Index]) -> None:
        def along_outer(middle: Emitter, outer: VectorAxis, start: Index) -> None:
            def block(innermost: Emitter, inner: VectorAxis, first: Index) -> None:
                places = {outer.dim: start, inner.dim: first}
                here = [places.get(dim, index) for dim, index in enumerate(at)]
                row, column = (outer, inner) if self.order == (0, 1) else (inner, outer)
                self._block(innermost, row, column, here)

            self._steps(middle, self.order[1], block)

        self._steps(emitter, self.order[0], along_outer)

    def _steps(self, emitter: Emitter, which: int, body: Callable[[Emitter, VectorAxis, Index], None]) -> None:
        """Whole blocks along one of the two axes, then what remains."""
        dim, lanes = self.turned[which], self.tiles[which]
        size = self.extents[dim]
        if dim in self.heads:
            self._steps_from_line(emitter, VectorAxis(dim, lanes), body)
            return
        whole = emitter.round_down(size, lanes)
        if whole != 0:
            emitter.loop(0, whole, lanes, lambda inner, start: body(inner, VectorAxis(dim, lanes), start))
        rest = emitter.subtract(size, whole)
        if rest == 0:
            return
        if isinstance(rest, int):
            body(emitter, VectorAxis(dim, lanes, rest), whole)
            return
        emitter.branch(emitter.compare("sgt", rest, 0), lambda inner: body(inner, VectorAxis(dim, lanes, rest), whole))

    def _steps_from_line(
        self, emitter: Emitter, axis: VectorAxis, body: Callable[[Emitter, VectorAxis, Index], None]
    ) -> None:
        """Blocks that begin where lines do; the first and the last one may be cut."""
        dim, lanes, size = axis.dim, axis.lanes, self.extents[axis.dim]
        # A position at the start of a line that is not behind the first one.
        until = emitter.index(self.heads[dim])
        start = emitter.subtract(emitter.remainder(emitter.add(until, lanes - 1), lanes), lanes - 1)

        def step(inner: Emitter, position: SSAValue) -> None:
            low = inner.maximum(position, 0)
            count = inner.subtract(inner.minimum(inner.add(position, lanes), size), low)
            body(inner, VectorAxis(dim, lanes, count), low)

        emitter.loop(start, size, lanes, step)

    def _block(self, emitter: Emitter, row: VectorAxis, column: VectorAxis, at: Sequence[Index]) -> None:
        """A block; one of which nobody knows whether it is whole in two ways."""
        cut = [axis for axis in (row, column) if axis.dim in self.heads and axis.count is not None]
        if not cut:
            self._turn(emitter, row, column, at)
            return
        counted: Index = 0
        for axis in cut:
            counted = emitter.add(counted, 0 if axis.count is None else axis.count)
        rows, columns = (replace(axis, count=None) if axis in cut else axis for axis in (row, column))
        emitter.branch(
            emitter.compare("eq", counted, sum(axis.lanes for axis in cut)),
            lambda inner: self._turn(inner, rows, columns, at),
            lambda inner: self._turn(inner, row, column, at),
        )

    def _turn(self, emitter: Emitter, row: VectorAxis, column: VectorAxis, at: Sequence[Index]) -> None:
        memory = VectorMemory([row, column])
        if self.ahead and row.count is None and column.count is None:
            self._prefetch(emitter, row, column, at)
        arguments: list[SSAValue] = []
        for operand, positions, argument in zip(
            self.op.operands, self.positions, body_block(self.op).args, strict=True
        ):
            if not argument.uses:
                arguments.append(operand)
            elif not is_memref(operand.type):
                arguments.append(memory.splat(emitter, operand))
            else:
                arguments.append(self._read(emitter, memory, operand, positions, at))
        (value,) = vector_body(emitter, body_block(self.op), arguments, memory)
        if self.streamed and row.count is None and column.count is None:
            self._stream(emitter, value, row, at)
        else:
            memory.write(emitter, value, self.op.outputs[0], self.positions[-1], at)

    def _prefetch(self, emitter: Emitter, row: VectorAxis, column: VectorAxis, at: Sequence[Index]) -> None:
        """Ask for the lines of what is turned that a later block reads."""
        for operand, positions in zip(self.op.inputs, self.positions, strict=False):
            turned = [positions[-1].plain == row.dim, axis_of(positions, column.dim) is not None] if positions else []
            if not is_memref(operand.type) or not turned or not all(turned):
                continue
            for number in range(column.lanes):
                place = [
                    emitter.add(index, self.ahead.get(dim, 0) + (number if dim == column.dim else 0))
                    for dim, index in enumerate(at)
                ]
                indices = [emitter.index(emit_linear(emitter, position, place)) for position in positions]
                emitter.append(memref.PrefetchOp(operand, indices, NEXT_CACHE))

    def _stream(self, emitter: Emitter, value: SSAValue, row: VectorAxis, at: Sequence[Index]) -> None:
        """Store the lines of a block past the caches."""
        type_ = vector_of([self.tiles[1]], memref_type(self.op.outputs[0]).get_element_type())
        for number in range(row.lanes):
            place = [emitter.add(index, number) if dim == row.dim else index for dim, index in enumerate(at)]
            indices = [emitter.index(emit_linear(emitter, position, place)) for position in self.positions[-1]]
            line = emitter.value(vector.ExtractOp(value, [number], type_))
            store = vector.StoreOp(line, self.op.outputs[0], indices, TRUE)
            store.attributes["alignment"] = IntegerAttr(LINE_BYTES, i64)
            emitter.append(store)

    @staticmethod
    def _read(
        emitter: Emitter, memory: VectorMemory, operand: SSAValue, positions: Sequence[Linear], at: Sequence[Index]
    ) -> SSAValue:
        """What an operand has of a block, in the block's order."""
        present = present_axes(positions, memory.axes)
        present.sort(key=lambda axis: axis_of(positions, axis.dim) or 0)
        value = VectorMemory(present).read(emitter, operand, positions, at)
        if len(present) == 2:
            turned = present[0] is not memory.axes[0]
            return emitter.value(vector.TransposeOp(value, [1, 0])) if turned else value
        if not present:
            return memory.splat(emitter, value)
        return memory.spread(emitter, value, positions)
