"""Stages scheduled as `transpose`: square blocks are read, turned in registers and written along another axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.loop import vector
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import Constants, Emitter, Index
from lamina.passes.loop.structured import (
    Linear,
    Schedule,
    axes_of,
    body_block,
    extent,
    iterators_of,
    linear_map,
    maps_of,
)
from lamina.passes.loop.vector_access import VectorAxis, VectorMemory, axis_of, can_access, present_axes, vector_body


def lower_transpose(op: linalg.GenericOp, schedule: Schedule, constants: Constants) -> None:
    """Emit the loops of one op, which is left to be erased.

        linalg.generic {(c, p) -> (p, c), (c, p) -> (c, p)} ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
    →
        scf.for %c = … step %c16 { scf.for %p = … step %c16 {
          %block = vector.transfer_read %x[%p, %c] : memref<?x?xf32>, vector<16x16xf32>
          %turned = vector.transpose %block, [1, 0] : vector<16x16xf32> to vector<16x16xf32>
          vector.transfer_write %turned, %y[%c, %p]
        } }
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
    _Blocks(op, positions, extents, (row, column), tiles).emit(emitter, [0] * len(names), 0)


@dataclass(frozen=True)
class _Blocks:
    op: linalg.GenericOp
    positions: Sequence[tuple[Linear, ...]]
    extents: Sequence[Index]
    turned: tuple[int, int]
    tiles: tuple[int, int]

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
        def along_rows(inner: Emitter, row: VectorAxis, start: Index) -> None:
            along = [start if dim == row.dim else index for dim, index in enumerate(at)]

            def block(innermost: Emitter, column: VectorAxis, first: Index) -> None:
                here = [first if dim == column.dim else index for dim, index in enumerate(along)]
                self._block(innermost, row, column, here)

            self._steps(inner, 1, block)

        self._steps(emitter, 0, along_rows)

    def _steps(self, emitter: Emitter, which: int, body: Callable[[Emitter, VectorAxis, Index], None]) -> None:
        """Whole blocks along one of the two axes, then what remains."""
        dim, lanes = self.turned[which], self.tiles[which]
        size = self.extents[dim]
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

    def _block(self, emitter: Emitter, row: VectorAxis, column: VectorAxis, at: Sequence[Index]) -> None:
        memory = VectorMemory([row, column])
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
        memory.write(emitter, value, self.op.outputs[0], self.positions[-1], at)

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
