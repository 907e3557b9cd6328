"""Schedules become parallel loops over parts of the buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DictionaryAttr,
    IntegerAttr,
    ModuleOp,
    UnitAttr,
    i64,
)
from xdsl.ir import Attribute, BlockArgument, SSAValue
from xdsl.ir.affine import AffineDimExpr

from lamina.diagnostics import error_at
from lamina.dialects.loop import arith, memref
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.loop.blocks import tile_blocks
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.collapse import collapse_elementwise
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type
from lamina.passes.loop.lines import contiguous_operands, until_line
from lamina.passes.loop.merge_axes import merge_axes
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.restrict import Part, Views, restrict
from lamina.passes.loop.stages import Group, find_groups
from lamina.passes.loop.streaming import (
    LEAST_BLOCK_BYTES,
    STREAMED,
    block_bytes,
    copy_streamed,
    is_large,
    part_of_rows,
    streamed_destinations,
    streaming_threshold,
)
from lamina.passes.loop.structured import SCHEDULE, Schedule, body_block, extent, iterators_of, maps_of

GRAIN = "lamina.grain"
MAX_TEMPORARY_BYTES = 64 * 1024
"""What one iteration may keep on the stack for one buffer; larger temporaries stay whole buffers."""


@dataclass(frozen=True)
class TilePass(LaminaPass):
    """Carry out the parallel part of `lamina.schedule`: `scf.forall` over parts of the iteration space.

        linalg.fill ins(%zero) outs(%sums : memref<128xf32>)
        linalg.generic {["parallel", "reduction"]} ins(%x : memref<128x64xf32>) outs(%sums)
          attrs = {lamina.schedule = {kind = "rows", parallel = ["i"], grain = 8}, lamina.axes = ["i", "j"]} {…}
    →
        scf.forall (%i) in (128) {
          %sum = memref.subview %sums[%i] [1] [1] : memref<128xf32> to memref<f32, strided<[], offset: ?>>
          linalg.fill ins(%zero) outs(%sum)
          %row = memref.subview %x[%i, 0] [1, 64] [1, 1] : … to memref<64xf32, strided<[1], offset: ?>>
          linalg.generic {["reduction"]} ins(%row) outs(%sum) {…}
        } {lamina.grain = 8 : i64}

    - `rows`: all stages that share the parallel axes go into one loop. A temporary that only they use shrinks to what
      one iteration needs (`memref.alloca`); one that is dynamic or above 64 KiB stays a whole buffer, the destination
      where the last stage computes that from it.
    - Elementwise stages over contiguous buffers run over one long axis in blocks instead.
    - `rows` with `block`: blocks of that axis, for a stage of its own.
    - A result of these three that is larger than half of the last cache, or 16 MiB, is computed in a scratch buffer,
      piece by piece, and copied past the caches (`memref.copy` with `lamina.streamed`).
    - `blocked`: all stages with the same schedule go into one loop over blocks of that axis, products included.
    - `transpose`: the axes of `merge` become one; rows and columns in blocks, all others one by one. Along the axes of
      `lines` blocks begin where lines of memory do: the first one is longer, the last one shorter. A large result is
      streamed (`lamina.streamed` stays on the op).
    - `contraction`: batch axes one by one, columns in panels of their tile, rows in blocks. What is left for
      `vectorize` stays in the schedule, with `whole`, the sizes of the axes that were cut (-1: dynamic).
    """

    name = "tile"
    requires: ClassVar[frozenset[str]] = frozenset({"buffers"})
    ensures: ClassVar[frozenset[str]] = frozenset({"tiled"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                tile_function(function, streaming_threshold(op))


def tile_function(function: func.FuncOp, threshold: int | None = None) -> None:
    """Carry out the parallel part of every schedule in a function; results above `threshold` bytes are streamed."""
    block = function.body.block
    constants = Constants(block)
    groups = find_groups(block, constants)
    for group in groups:
        if group.schedule.blocked is not None:
            tile_blocks(group, constants)
        elif group.schedule.kind == "transpose":
            tile_transpose(merge_axes(group, constants), constants, threshold)
        elif group.schedule.kind == "contraction" or group.schedule.block:
            tile_contraction(group, constants, threshold=threshold)
        elif not collapse_elementwise(group, constants, threshold):
            tile_rows(group, constants, threshold)
    if groups:
        erase_dead_ops(block)


def _finish(group: Group) -> None:
    """Erase the ops whose restricted forms stand in the loop."""
    for op in group.ops:
        op.detach()
        op.erase()


def _loop_attributes(schedule: Schedule) -> dict[str, Attribute]:
    return {GRAIN: IntegerAttr(schedule.grain, i64)}


# Rows


def tile_rows(group: Group, constants: Constants, threshold: int | None = None) -> None:
    """One parallel loop over the rows of all stages."""
    emitter = Emitter.ahead_of(group.ops[-1], constants)
    axes = group.schedule.parallel
    uppers = [_extent_of_axis(emitter, group, axis) for axis in axes]
    temporaries: dict[SSAValue, Sequence[int]] = {}
    for buffer, dropped in group.temporaries().items():
        if _fits_one_iteration(buffer, dropped):
            temporaries[buffer] = dropped
        else:
            _borrow_destination(group, buffer)
    streamed = {
        buffer: dropped
        for buffer, dropped in streamed_destinations(group, threshold).items()
        if _fits_one_iteration(buffer, dropped) and block_bytes(buffer, dropped) >= LEAST_BLOCK_BYTES
    }

    def body(inner: Emitter, positions: Sequence[SSAValue]) -> None:
        at = dict(zip(axes, positions, strict=True))
        scratch = _shrink(inner, {**temporaries, **streamed})
        views = Views(scratch)
        for op in group.ops:
            names = group.names[op]
            parts = {names.index(axis): Part(position, None) for axis, position in at.items()}
            copy = restrict(inner, op, parts, views)
            copy.attributes.pop(SCHEDULE, None)
        for buffer, dropped in streamed.items():
            copy_streamed(inner, scratch[buffer], part_of_rows(inner, buffer, dropped, positions))

    emitter.forall(uppers, [1] * len(axes), body, _loop_attributes(group.schedule))
    _finish(group)


def _extent_of_axis(emitter: Emitter, group: Group, axis: str) -> Index:
    """The size of a named axis: a static one where an op of the group has one."""
    dynamic: Index | None = None
    for op in group.ops:
        names = group.names[op]
        if axis in names:
            size = extent(emitter, op, names.index(axis))
            if isinstance(size, int):
                return size
            dynamic = size if dynamic is None else dynamic
    if dynamic is None:
        raise error_at(group.ops[0], f"no stage has an axis '{axis}'")
    return dynamic


def _kept_shape(buffer: SSAValue, dropped: Sequence[int]) -> list[int]:
    return [size for axis, size in enumerate(memref_type(buffer).get_shape()) if axis not in dropped]


def _fits_one_iteration(buffer: SSAValue, dropped: Sequence[int]) -> bool:
    """Whether what one iteration needs of a temporary may lie on the stack."""
    shape = _kept_shape(buffer, dropped)
    size = prod(shape) * element_bytes(memref_type(buffer).get_element_type())
    return DYNAMIC_INDEX not in shape and size <= MAX_TEMPORARY_BYTES


def _shrink(emitter: Emitter, temporaries: Mapping[SSAValue, Sequence[int]]) -> dict[SSAValue, SSAValue]:
    """For temporaries, by the axes that one iteration has one position of, buffers for one iteration."""
    return {
        buffer: emitter.value(
            memref.AllocaOp.get(memref_type(buffer).get_element_type(), ALIGNMENT, _kept_shape(buffer, dropped))
        )
        for buffer, dropped in temporaries.items()
    }


def _borrow_destination(group: Group, temporary: SSAValue) -> None:
    """Keep a large temporary in the destination that the last stage computes from it, element by element.

    Not where that stage reads an argument at the same positions: a caller may give it the destination's buffer.
    """
    users = [op for op in group.ops if temporary in op.operands]
    last = users[-1]
    if not isinstance(last, linalg.GenericOp) or not all(iterators_of(last)) or temporary not in last.inputs:
        return
    maps = maps_of(last)
    here = maps[list(last.inputs).index(temporary)]
    inputs = list(zip(last.inputs, maps, strict=False))
    if any(isinstance(operand, BlockArgument) and map_ == here for operand, map_ in inputs):
        return
    if any(operand is temporary and map_ != here for operand, map_ in inputs):
        return
    for output, map_ in zip(last.outputs, maps[len(last.inputs) :], strict=True):
        only_here = [use.operation for use in output.uses if not isinstance(use.operation, memref.DimOp)] == [last]
        same = map_ == here and output.type == temporary.type
        if isinstance(output, BlockArgument) and only_here and same:
            temporary.replace_uses_with_if(output, lambda use: not isinstance(use.operation, memref.DeallocOp))
            return


# Contractions


@dataclass(frozen=True)
class _Cut:
    """How one axis of a contraction is divided among the iterations of the parallel loop.

    `shift`: by how much the first part is longer and the last one shorter.
    """

    axis: str
    step: int
    size: Index
    drops: bool
    shift: Index = 0

    def part(self, emitter: Emitter, position: SSAValue) -> Part:
        """What the iteration at `position` has of the axis."""
        if self.drops:
            return Part(position, None)
        if self.shift != 0:
            first = emitter.compare("eq", position, 0)
            after = emitter.index(emitter.add(position, self.shift))
            start = emitter.value(arith.SelectOp(first, emitter.index(0), after))
            end = emitter.minimum(emitter.add(after, self.step), self.size)
            return Part(start, emitter.subtract(end, start))
        if isinstance(self.size, int) and self.size % self.step == 0:
            return Part(position, self.step, self.step)
        return Part(position, emitter.minimum(emitter.subtract(self.size, position), self.step), self.step)


def tile_transpose(group: Group, constants: Constants, threshold: int | None) -> None:
    """One parallel loop over blocks of rows and columns; results above `threshold` bytes are marked as streamed."""
    op, schedule = group.ops[0], group.schedule
    emitter = Emitter.ahead_of(op, constants)
    names = group.names[op]
    shifts = {
        axis: until_line(emitter, buffer) for axis, buffer in contiguous_operands(op, names, schedule.lines).items()
    }
    if schedule.column in shifts and is_large(op.outputs[0], threshold) and not body_block(op).args[-1].uses:
        op.attributes[STREAMED] = UnitAttr()
    tile_contraction(group, constants, shifts)


def tile_contraction(
    group: Group,
    constants: Constants,
    shifts: Mapping[str, Index] | None = None,
    threshold: int | None = None,
) -> None:
    """One parallel loop over batch axes, panels of columns and blocks of rows; a block of rows that change places is
    streamed where the result has more than `threshold` bytes."""
    emitter = Emitter.ahead_of(group.ops[-1], constants)
    schedule, shifts = group.schedule, shifts or {}
    cuts: list[_Cut] = []
    for axis in schedule.parallel:
        step = dict(schedule.block).get(axis, schedule.tile_of(axis))
        size = _extent_of_axis(emitter, group, axis)
        drops = axis not in (schedule.row, schedule.column, *dict(schedule.block))
        if drops or not isinstance(size, int) or size > step:
            cuts.append(_Cut(axis, 1 if drops else step, size, drops, shifts.get(axis, 0)))
    whole = {cut.axis: cut.size if isinstance(cut.size, int) else -1 for cut in cuts if not cut.drops}
    if not cuts:
        return

    pieces = _streamed_pieces(group, cuts, threshold)

    def body(inner: Emitter, positions: Sequence[SSAValue]) -> None:
        cut_parts = {cut.axis: cut.part(inner, position) for cut, position in zip(cuts, positions, strict=True)}
        scratch = {piece.buffer: piece.scratch(inner) for piece in pieces}
        views = Views(scratch)
        for op in group.ops:
            names = group.names[op]
            parts = {names.index(axis): part for axis, part in cut_parts.items() if axis in names}
            copy = restrict(inner, op, parts, views)
            if op is group.anchor:
                copy.attributes[SCHEDULE] = _remaining_schedule(copy.attributes[SCHEDULE], whole)
            else:
                copy.attributes.pop(SCHEDULE, None)
        for piece in pieces:
            copy_streamed(inner, scratch[piece.buffer], piece.place(inner, cut_parts))

    emitter.forall([cut.size for cut in cuts], [cut.step for cut in cuts], body, _loop_attributes(schedule))
    _finish(group)


@dataclass(frozen=True)
class _Piece:
    """What one iteration writes of a large result: the axis that each of the buffer's is over, and how much of it."""

    buffer: SSAValue
    axes: Sequence[str]
    sizes: Sequence[int]
    dropped: Sequence[int]

    def scratch(self, emitter: Emitter) -> SSAValue:
        """A buffer for it."""
        shape = [size for axis, size in enumerate(self.sizes) if axis not in self.dropped]
        return emitter.value(memref.AllocaOp.get(memref_type(self.buffer).get_element_type(), ALIGNMENT, shape))

    def place(self, emitter: Emitter, parts: Mapping[str, Part]) -> SSAValue:
        """Where it belongs."""
        offsets = [parts[axis].offset if axis in parts else 0 for axis in self.axes]
        return emitter.subview(self.buffer, offsets, self.sizes, self.dropped)


def _streamed_pieces(group: Group, cuts: Sequence[_Cut], threshold: int | None) -> list[_Piece]:
    """The large result of an op of rows, if all of its pieces have one static size and are long enough."""
    if group.schedule.kind != "rows" or len(group.ops) > 1:
        return []
    op, names = group.ops[0], group.names[group.ops[0]]
    by_axis = {cut.axis: cut for cut in cuts}
    found: list[_Piece] = []
    for buffer in streamed_destinations(group, threshold):
        dims = [result.position for result in maps_of(op)[-1].results if isinstance(result, AffineDimExpr)]
        axes, whole = [names[dim] for dim in dims], memref_type(buffer).get_shape()
        sizes = [by_axis[axis].step if axis in by_axis else size for axis, size in zip(axes, whole, strict=True)]
        dropped = [position for position, axis in enumerate(axes) if axis in by_axis and by_axis[axis].drops]
        nbytes = prod(sizes) * element_bytes(memref_type(buffer).get_element_type())
        even = all(size % step == 0 for size, step in zip(whole, sizes, strict=True))
        if even and LEAST_BLOCK_BYTES <= nbytes <= MAX_TEMPORARY_BYTES:
            found.append(_Piece(buffer, axes, sizes, dropped))
    return found


DONE_BY_TILE = ("parallel", "grain", "merge")


def _remaining_schedule(schedule: Attribute, whole: Mapping[str, int]) -> Attribute:
    if not isinstance(schedule, DictionaryAttr):
        return schedule
    entries = {name: value for name, value in schedule.data.items() if name not in DONE_BY_TILE}
    if whole:
        entries["whole"] = DictionaryAttr({axis: IntegerAttr(size, i64) for axis, size in whole.items()})
    return DictionaryAttr(entries)
