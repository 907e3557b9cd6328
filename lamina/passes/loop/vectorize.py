"""Scheduled contractions become loops over tiles held in n-D vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func, math
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from lamina.dialects.loop import arith, memref, vector
from lamina.dialects.loop.types import is_memref, is_vector
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.contraction import Contraction, Epilogue, read_contraction
from lamina.passes.loop.emitter import Constants, Emitter, Index, scalar_attribute, vector_of
from lamina.passes.loop.structured import (
    Linear,
    Schedule,
    axes_of,
    body_block,
    element_type,
    extent,
    require_buffers,
)
from lamina.passes.loop.vector_access import VectorAxis, VectorMemory, at_shape, present_axes, vector_body
from lamina.passes.loop.vectorize_columns import lower_columns
from lamina.passes.loop.vectorize_transpose import lower_transpose

LANES = 16
"""Vectors narrower than a tile are rounded up to a multiple of this (or, below it, to a power of two) and masked."""

MAX_TILE_BODY = 8
"""Epilogues of more ops, or with transcendental functions, run row by row on the stored tile: a tile has too many
registers for their temporaries, and one row at a time halves the time of code generation."""

CHEAP_MATH = (math.FmaOp, math.AbsFOp, math.SqrtOp, math.CopySignOp, math.FloorOp, math.CeilOp, math.AbsIOp)


@dataclass(frozen=True)
class VectorizePass(LaminaPass):
    """Lower contractions and convolutions scheduled as such to explicit n-D vectors.

        linalg.fill ins(%zero) outs(%c)
        linalg.generic {m, n, k} ins(%a, %b) outs(%c) attrs = {lamina.schedule = {kind = "contraction", row = "m",
          column = "n", tile = {m = 8, n = 48}, unroll = 2}} { mulf, addf }
        linalg.generic {m, n} ins(%c, %bias) outs(%d) { addf, maximumf }
    →
        scf.for %i = %c0 to %rows step %c8 {
          %tile = scf.for %k … step %c2 iter_args(%acc = %zeros) -> (vector<8x48xf32>) {
            %column = vector.transfer_read %a[%i, %k] {permutation_map = (d0, d1) -> (d0)} : …, vector<8xf32>
            %row = vector.transfer_read %b[%k, %j] : …, vector<48xf32>
            %next = vector.outerproduct %column, %row, %acc
            …
          }
          … addf, maximumf : vector<8x48xf32>
          vector.transfer_write %y, %d[%i, %j] : vector<8x48xf32>, …
        }

    Remainders of static size are tiles of their own (columns rounded up and masked); columns of a dynamic remainder
    are masked, its rows are half a tile and single ones.
    Stages of kind `columns` become loops over vectors along that axis (`passes/loop/vectorize_columns.py`), those of
    kind `transpose` loops over square blocks (`passes/loop/vectorize_transpose.py`).
    Long epilogues run over the rows of the tile, stored on the stack. Raises LaminaError for a scheduled op that is no
    contraction.
    """

    name = "vectorize"
    requires: ClassVar[frozenset[str]] = frozenset({"tiled"})
    ensures: ClassVar[frozenset[str]] = frozenset({"vectorized"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                vectorize_function(function)


def vectorize_function(function: func.FuncOp) -> None:
    """Lower the scheduled contractions of one function."""
    scheduled = [
        (op, schedule)
        for op in function.walk()
        if isinstance(op, linalg.GenericOp) and (schedule := Schedule.of(op)) and schedule.kind == "contraction"
    ]
    constants = Constants(function.body.block)
    for op, schedule in scheduled:
        require_buffers(op)
        contraction = read_contraction(op, schedule)
        stages = contraction.stages
        emitter = Emitter.ahead_of(stages[-1], constants)
        emitter.location = op.location
        _TileLoops(contraction, emitter).emit()
        for stage in stages:
            stage.detach()
            stage.erase()
    columns = [
        (op, schedule)
        for op in function.walk()
        if isinstance(op, linalg.GenericOp) and (schedule := Schedule.of(op)) and schedule.kind == "columns"
    ]
    for op, schedule in columns:
        require_buffers(op)
        for stage in lower_columns(op, schedule, constants):
            stage.detach()
            stage.erase()
    turned = [
        (op, schedule)
        for op in function.walk()
        if isinstance(op, linalg.GenericOp) and (schedule := Schedule.of(op)) and schedule.kind == "transpose"
    ]
    for op, schedule in turned:
        require_buffers(op)
        lower_transpose(op, schedule, constants)
        op.detach()
        op.erase()
    if scheduled or columns or turned:
        erase_dead_ops(function.body.block)


@dataclass(frozen=True)
class DepthBlock:
    """The part of reduction `dim` from `start` to `end` of `size`; parts but the last are `step` long."""

    dim: int
    start: SSAValue
    end: Index
    size: int
    step: int

    def is_multiple_of(self, count: int) -> bool:
        """Whether every part is."""
        return self.size % count == 0 and self.step % count == 0


Positions = dict[int, Index]
"""Where a tile is, by iteration dim."""


class _TileLoops:
    """The loops over the tiles of a contraction, with their remainders."""

    def __init__(self, contraction: Contraction, emitter: Emitter):
        self.contraction = contraction
        self.emitter = emitter
        self.extents = [extent(emitter, contraction.op, dim) for dim in range(len(contraction.op.iterator_types))]
        self.scratch: dict[tuple[int, ...], SSAValue] = {}

    def emit(self) -> None:
        """Emit everything."""
        self._others(self.emitter, {}, list(self.contraction.others))

    def _others(self, emitter: Emitter, at: Positions, dims: list[int]) -> None:
        if not dims:
            self._columns(emitter, at)
            return

        def run(inner: Emitter, index: SSAValue) -> None:
            self._others(inner, {**at, dims[0]: index}, dims[1:])

        emitter.loop(0, self.extents[dims[0]], 1, run)

    def _columns(self, emitter: Emitter, at: Positions) -> None:
        def panel(inner: Emitter, start: Index, axis: VectorAxis) -> None:
            self._depth(inner, {**at, axis.dim: start}, axis)

        self._tiles(emitter, self.contraction.column, self.contraction.schedule.column, _padded, panel)

    def _depth(self, emitter: Emitter, at: Positions, column: VectorAxis) -> None:
        """The reduction in blocks, where the schedule has any: all rows take what one block has of a panel."""
        blocks = self._depth_blocks()
        if blocks is None:
            self._rows(emitter, at, column)
            return
        dim, size, step = blocks

        def block(inner: Emitter, start: SSAValue) -> None:
            end = inner.add(start, step)
            end = end if size % step == 0 else inner.minimum(end, size)
            self._rows(inner, at, column, DepthBlock(dim, start, end, size, step))

        emitter.loop(0, size, step, block)

    def _depth_blocks(self) -> tuple[int, int, int] | None:
        """The reduction that is done in blocks, its size and theirs; None where all is done in one go."""
        contraction, schedule = self.contraction, self.contraction.schedule
        names = axes_of(contraction.op)
        steps = dict(schedule.block)
        blocked = [dim for dim in contraction.reductions if names is not None and names[dim] in steps]
        if names is None or contraction.row is None or len(blocked) != 1:
            return None
        rows = self.extents[contraction.row]
        cut = dict(schedule.whole).get(schedule.row or "") is not None
        if not cut and (not isinstance(rows, int) or rows > dict(schedule.block).get(schedule.row or "", 0)):
            return None  # more rows than `partial_sums` has
        size, step = self.extents[blocked[0]], steps[names[blocked[0]]]
        return None if not isinstance(size, int) or size <= step else (blocked[0], size, step)

    def _rows(self, emitter: Emitter, at: Positions, column: VectorAxis, depth: DepthBlock | None = None) -> None:
        row = self.contraction.row
        if row is None:
            self._tile(emitter, at, [column])
            return

        def block(inner: Emitter, start: Index, axis: VectorAxis) -> None:
            self._tile(inner, {**at, axis.dim: start}, [axis, column], depth)

        self._tiles(emitter, row, self.contraction.schedule.row, _exact, block)

    def _tiles(
        self,
        emitter: Emitter,
        dim: int,
        name: str | None,
        lanes_of: Callable[[int], int],
        tile: Callable[[Emitter, Index, VectorAxis], None],
    ) -> None:
        """Full tiles of an axis in a loop, then what remains of it."""
        schedule = self.contraction.schedule
        step = schedule.tile_of(name or "")
        size = self.extents[dim]
        whole = dict(schedule.whole).get(name or "")
        block = dict(schedule.block).get(name or "", step)
        cut = whole is not None and block % step == 0
        single = cut and block == step and not isinstance(size, int)
        full = 0 if single else emitter.round_down(size, step)
        rest = emitter.subtract(size, full)
        # Cut at multiples of the tile: what remains of a part is nothing, or what remains of the whole axis.
        known_rest = whole % step if cut and whole is not None and whole > 0 else rest
        lanes = lanes_of(known_rest) if isinstance(known_rest, int) and known_rest else step
        count = None if known_rest == lanes else known_rest

        def full_tile(inner: Emitter, start: Index) -> None:
            tile(inner, start, VectorAxis(dim, step))

        def first_tile(inner: Emitter) -> None:
            full_tile(inner, 0)

        def rest_tile(inner: Emitter) -> None:
            if dim == self.contraction.row and not isinstance(known_rest, int):
                self._few_rows(inner, full, rest, step, tile)
            else:
                tile(inner, full, VectorAxis(dim, lanes, count))

        if single:
            emitter.branch(emitter.compare("eq", size, step), first_tile, None if known_rest == 0 else rest_tile)
            return
        if full == step:
            first_tile(emitter)
        elif full != 0:
            emitter.loop(0, full, step, full_tile)
        if isinstance(rest, int) and rest:
            rest_tile(emitter)
        elif not isinstance(rest, int) and known_rest != 0:
            emitter.branch(emitter.compare("sgt", rest, 0), rest_tile)

    def _few_rows(
        self,
        emitter: Emitter,
        start: Index,
        count: Index,
        step: int,
        tile: Callable[[Emitter, Index, VectorAxis], None],
    ) -> None:
        """Fewer rows than a tile has, how many is known at run time: half a tile, then one row after the other.

        A masked tile would compute all of its rows: many times the work where a symbolic batch is one.
        """
        row = self.contraction.row
        assert row is not None
        end, half = emitter.add(start, count), step // 2
        single = start
        if half > 1 and step % half == 0:

            def half_tile(inner: Emitter) -> None:
                tile(inner, start, VectorAxis(row, half))

            emitter.branch(emitter.compare("sge", count, half), half_tile)
            single = emitter.add(start, emitter.round_down(count, half))

        emitter.loop(single, end, 1, lambda inner, position: tile(inner, position, VectorAxis(row, 1)))

    def _tile(
        self, emitter: Emitter, at: Positions, axes: Sequence[VectorAxis], depth: DepthBlock | None = None
    ) -> None:
        _Tile(self, at, VectorMemory(axes), depth).emit(emitter)

    def partial_sums(self) -> SSAValue:
        """Stack space for the tiles of all rows of a panel."""
        contraction, schedule = self.contraction, self.contraction.schedule
        row, column = schedule.row or "", schedule.column or ""
        rows = dict(schedule.block).get(row, schedule.tile_of(row))
        rows = -(-rows // schedule.tile_of(row)) * schedule.tile_of(row)
        return self.scratch_for((rows, schedule.tile_of(column)), contraction.accumulator)

    def scratch_for(self, shape: Sequence[int], type_: SSAValue) -> SSAValue:
        """Stack space for a tile, outside the loops."""
        key = tuple(shape)
        if key not in self.scratch:
            first = next(iter(self.contraction.stages))
            outside = Emitter.ahead_of(first, self.emitter.constants)
            self.scratch[key] = outside.value(memref.AllocaOp.get(element_type(type_), ALIGNMENT, shape))
        return self.scratch[key]


def _padded(count: int) -> int:
    """The lanes for a remainder of columns."""
    if count > LANES:
        return -(-count // LANES) * LANES
    return 1 << (count - 1).bit_length()


def _exact(count: int) -> int:
    """The lanes for a remainder of rows."""
    return count


class _Tile:
    """One tile: accumulators through the reduction loops, the epilogues, the stores."""

    def __init__(self, loops: _TileLoops, at: Positions, memory: VectorMemory, depth: DepthBlock | None = None):
        self.loops = loops
        self.contraction = loops.contraction
        self.at = at
        self.memory = memory
        self.depth = depth
        self.rank = len(loops.extents)

    def emit(self, emitter: Emitter) -> None:
        """Emit the tile."""
        self.memory.prepare(emitter, self.contraction.positions)
        if self.depth is None:
            self._finish(emitter, self._sum(emitter, self._initial(emitter)))
        else:
            self._emit_block(emitter, self.depth)

    def _emit_block(self, emitter: Emitter, depth: DepthBlock) -> None:
        """Add what one block of the reduction gives to the partial sums; the last block finishes the tile.

        Each block is summed from zero: rounding errors grow with its length and with the number of blocks.
        """
        row, column = self.memory.axes
        identity = (Linear(((row.dim, 1),), 0), Linear(((column.dim, 1),), 0))
        whole = VectorMemory([VectorAxis(row.dim, row.lanes), VectorAxis(column.dim, column.lanes)])
        partial = self.loops.partial_sums()
        local = self._positions({**self.at, column.dim: 0})
        element = element_type(self.contraction.accumulator)
        zero = emitter.splat(scalar_attribute(0, element), vector_of(self.memory.shape, element))
        sums = self._sum(emitter, zero)

        def start(inner: Emitter) -> None:
            total = inner.value(_add(self.contraction, self._initial(inner), sums))
            whole.write(inner, total, partial, identity, local)

        def proceed(inner: Emitter) -> None:
            total = inner.value(_add(self.contraction, whole.read(inner, partial, identity, local), sums))
            last = inner.compare("eq", depth.end, depth.size)
            inner.branch(
                last,
                lambda final: self._finish(final, total),
                lambda middle: whole.write(middle, total, partial, identity, local),
            )

        emitter.branch(emitter.compare("eq", depth.start, 0), start, proceed)

    def _finish(self, emitter: Emitter, result: SSAValue) -> None:
        """What is done with the sums."""
        contraction = self.contraction
        if not contraction.epilogues:
            self.memory.write(
                emitter, result, contraction.accumulator, contraction.positions[-1], self._positions(self.at)
            )
        elif contraction.row is not None and any(map(self._needs_rows, contraction.epilogues)):
            self._epilogue_by_rows(emitter, result)
        else:
            self._epilogue(emitter, result, self.at, self.memory)

    def _positions(self, at: Positions) -> list[Index]:
        return [at.get(dim, 0) for dim in range(self.rank)]

    def _initial(self, emitter: Emitter) -> SSAValue:
        fill = self.contraction.fill
        if fill is not None:
            return self.memory.splat(emitter, fill.inputs[0])
        positions = self.contraction.positions[-1]
        value = self.memory.read(emitter, self.contraction.accumulator, positions, self._positions(self.at))
        return self.memory.spread(emitter, value, positions)

    # The reduction

    def _sum(self, emitter: Emitter, initial: SSAValue) -> SSAValue:
        """All products added to the initial tile, in as many tiles as the schedule says."""
        zero = _zero(emitter, initial)
        tiles = [initial] + [zero] * (self._accumulators() - 1)
        first, *others = self._reduce(emitter, tiles, dict(self.at), list(self.contraction.reductions))
        for other in others:
            first = emitter.value(_add(self.contraction, first, other))
        return first

    def _accumulators(self) -> int:
        """The tiles that take turns: as many as the schedule says, more where a few rows leave registers free."""
        contraction, schedule = self.contraction, self.contraction.schedule
        if contraction.row is None:
            return schedule.accumulators
        free = schedule.tile_of(schedule.row or "") // self.memory.axes[0].lanes
        return max(schedule.accumulators, min(schedule.unroll, free))

    def _reduce(
        self, emitter: Emitter, tiles: Sequence[SSAValue], at: Positions, dims: list[int]
    ) -> Sequence[SSAValue]:
        if not dims:
            return [self._step(emitter, tiles[0], at), *tiles[1:]]
        dim, inner_dims = dims[0], dims[1:]
        size = self.loops.extents[dim]
        unroll = 1 if inner_dims else self.contraction.schedule.unroll
        lower: Index = 0
        depth = self.depth if self.depth is not None and self.depth.dim == dim else None
        if depth is not None:
            lower, size = depth.start, depth.end
        unroll = min(unroll, size) if isinstance(size, int) and size > 0 else unroll
        if depth is not None and depth.is_multiple_of(unroll):
            main: Index = size
        else:
            main = emitter.add(lower, emitter.round_down(emitter.subtract(size, lower), unroll))

        def run(step: int) -> Callable[[Emitter, SSAValue, Sequence[SSAValue]], Sequence[SSAValue]]:
            def body(inner: Emitter, index: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                values = list(carried)
                for offset in range(step):
                    here = {**at, dim: inner.add(index, offset)}
                    # The tiles take turns.
                    turn = 0 if inner_dims else offset % len(values)
                    values[turn:] = self._reduce(inner, values[turn:], here, inner_dims)
                return values

            return body

        tiles = emitter.for_loop(lower, main, unroll, tiles, run(unroll))
        if isinstance(size, int) and isinstance(main, int):
            for position in range(main, size):
                tiles = self._reduce(emitter, tiles, {**at, dim: position}, inner_dims)
        elif main is not size:
            tiles = emitter.for_loop(main, size, 1, tiles, run(1))
        return tiles

    def _step(self, emitter: Emitter, accumulator: SSAValue, at: Positions) -> SSAValue:
        contraction, memory = self.contraction, self.memory
        positions = self._positions(at)
        values: list[SSAValue] = []
        accesses: list[tuple[Linear, ...]] = []
        for factor in contraction.factors:
            access = contraction.positions[factor.input]
            value = memory.read(emitter, contraction.op.inputs[factor.input], access, positions)
            for cast in factor.casts:
                value = emitter.value(_cast(cast, value))
            values.append(value)
            accesses.append(access)
        present = [present_axes(access, memory.axes) for access in accesses]
        if len(memory.axes) == 2 and sorted(len(axes) for axes in present) == [1, 1] and present[0] != present[1]:
            row, column = values if present[0][0] is memory.axes[0] else values[::-1]
            return emitter.value(vector.OuterProductOp(row, column, accumulator))
        left, right = (memory.spread(emitter, value, access) for value, access in zip(values, accesses, strict=True))
        return self._multiply_add(emitter, left, right, accumulator)

    def _multiply_add(self, emitter: Emitter, left: SSAValue, right: SSAValue, accumulator: SSAValue) -> SSAValue:
        type_ = accumulator.type
        terminator = body_block(self.contraction.op).last_op
        total = None if terminator is None else terminator.operands[0].owner
        if isinstance(total, arith.AddfOp):
            return emitter.value(
                math.FmaOp.create(
                    operands=[left, right, accumulator], result_types=[type_], properties={"fastmath": total.fastmath}
                )
            )
        product = emitter.value(arith.MuliOp.create(operands=[left, right], result_types=[type_]))
        return emitter.value(arith.AddiOp.create(operands=[product, accumulator], result_types=[type_]))

    # Epilogues

    def _needs_rows(self, epilogue: Epilogue) -> bool:
        """Whether an epilogue runs row by row: long ones, and those with operands that vary along the rows."""
        ops = list(body_block(epilogue.op).ops)
        heavy = any(op.name.startswith("math.") and not isinstance(op, CHEAP_MATH) for op in ops)
        return heavy or len(ops) > MAX_TILE_BODY or self._varies_along_rows(epilogue)

    def _varies_along_rows(self, epilogue: Epilogue) -> bool:
        row = self.contraction.row
        own = self._own_buffers()
        return row is not None and any(
            operand not in own and is_memref(operand.type) and any(p.coefficient(row) for p in positions)
            for operand, positions in zip(epilogue.op.inputs, epilogue.positions, strict=False)
        )

    def _own_buffers(self) -> set[SSAValue]:
        return {
            self.contraction.accumulator,
            *(output for epilogue in self.contraction.epilogues for output in epilogue.op.outputs),
        }

    def _epilogue_by_rows(self, emitter: Emitter, result: SSAValue) -> None:
        """Store the tile, then compute the epilogues row by row."""
        row, column = self.memory.axes
        scratch = self.loops.scratch_for(self.memory.shape, self.contraction.accumulator)
        identity = (Linear(((row.dim, 1),), 0), Linear(((column.dim, 1),), 0))
        whole = VectorMemory([VectorAxis(row.dim, row.lanes), VectorAxis(column.dim, column.lanes)])
        whole.write(emitter, result, scratch, identity, [0] * self.rank)
        line = VectorMemory([VectorAxis(column.dim, column.lanes)])
        masked = VectorMemory([column])
        masked.prepare(emitter, [(identity[1],)])

        def run(inner: Emitter, index: SSAValue) -> None:
            local: list[Index] = [0] * self.rank
            local[row.dim] = index
            value = line.read(inner, scratch, identity, local)
            self._epilogue(inner, value, {**self.at, row.dim: inner.add(self.at[row.dim], index)}, masked)

        emitter.loop(0, row.lanes if row.count is None else row.count, 1, run)

    def _epilogue(self, emitter: Emitter, result: SSAValue, at: Positions, memory: VectorMemory) -> None:
        contraction = self.contraction
        positions = self._positions(at)
        values: dict[SSAValue, SSAValue] = {contraction.accumulator: result}
        accesses = {contraction.accumulator: contraction.positions[-1]}
        for epilogue in contraction.epilogues:
            op = epilogue.op
            arguments: list[SSAValue] = []
            for operand, access, argument in zip(op.operands, epilogue.positions, body_block(op).args, strict=True):
                if operand in values:
                    arguments.append(values[operand])
                elif not argument.uses:
                    arguments.append(result)
                elif is_memref(operand.type):
                    arguments.append(memory.spread(emitter, memory.read(emitter, operand, access, positions), access))
                else:
                    arguments.append(memory.splat(emitter, operand))
            outer, emitter.location = emitter.location, op.location
            yielded = vector_body(emitter, body_block(op), arguments, memory)
            emitter.location = outer
            for output, access, value in zip(op.outputs, epilogue.positions[len(op.inputs) :], yielded, strict=True):
                values.pop(output, None)
                values[output] = value
                accesses[output] = access
        for buffer, value in values.items():
            if contraction.is_needed(buffer):
                memory.write(emitter, value, buffer, accesses[buffer], positions)


def _zero(emitter: Emitter, tile: SSAValue) -> SSAValue:
    """A tile of zeros like another one."""
    if not is_vector(tile.type):
        return emitter.scalar_constant(0, tile.type)
    return emitter.splat(scalar_attribute(0, tile.type.get_element_type()), tile.type)


def _add(contraction: Contraction, left: SSAValue, right: SSAValue) -> Operation:
    """The sum of two tiles."""
    terminator = body_block(contraction.op).last_op
    total = None if terminator is None else terminator.operands[0].owner
    op_type = arith.AddfOp if isinstance(total, arith.AddfOp) else arith.AddiOp
    properties = total.properties if isinstance(total, arith.AddfOp | arith.AddiOp) else {}
    return op_type.create(operands=[left, right], result_types=[left.type], properties=properties)


def _cast(op: Operation, value: SSAValue) -> Operation:
    """A cast of a scalar body on a scalar or a vector."""
    if is_vector(value.type):
        return at_shape(op, [value], value.type.get_shape())
    return type(op).create(operands=[value], result_types=[op.results[0].type], properties=op.properties)
