"""One tile of a contraction: accumulators through the reduction loops, the epilogues, the stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.dialects import math
from xdsl.ir import Operation, SSAValue

from lamina.dialects.loop import arith, memref, vector
from lamina.dialects.loop.types import is_memref, is_vector
from lamina.passes.loop.contraction import Contraction, Epilogue
from lamina.passes.loop.contraction_groups import GroupFeatures
from lamina.passes.loop.emitter import Emitter, Index, scalar_attribute, vector_of
from lamina.passes.loop.structured import Linear, body_block, element_type, emit_linear
from lamina.passes.loop.vector_access import VectorAxis, VectorMemory, cast_at_shape, present_axes, vector_body

if TYPE_CHECKING:
    from lamina.passes.loop.contraction_loops import TileLoops

LANES = 16
"""Vectors narrower than a tile are rounded up to a multiple of this (or, below it, to a power of two) and masked."""

NEXT_CACHE = 2
"""Locality of prefetches: the second cache, which holds a block of a panel; the first one does not."""

MAX_TILE_BODY = 8
"""Epilogues of more ops, or with transcendental functions, run row by row on the stored tile: a tile has too many
registers for their temporaries, and one row at a time halves the time of code generation."""

CHEAP_MATH = (math.FmaOp, math.AbsFOp, math.SqrtOp, math.CopySignOp, math.FloorOp, math.CeilOp, math.AbsIOp)

Positions = dict[int, Index]
"""Where a tile is, by iteration dim."""


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


@dataclass(frozen=True)
class Ahead:
    """What a tile prefetches: vectors of an input, from a column on, `distance` steps of the last reduction ahead."""

    input: int
    distance: Index
    column: Index
    count: int


@dataclass(frozen=True)
class Segment:
    """Neighboring rows of a tile, and the taps of their windows along the rows that meet elements."""

    row: int
    rows: int
    taps: frozenset[int]


@dataclass(frozen=True)
class Strip:
    """Rows of a tile that are summed together: where they are, their vectors, and which taps they have (None: all)."""

    at: Positions
    memory: VectorMemory
    taps: frozenset[int] | None = None


class Tile:
    """One tile: accumulators through the reduction loops, the epilogues, the stores."""

    def __init__(
        self,
        loops: TileLoops,
        at: Positions,
        memory: VectorMemory,
        depth: DepthBlock | None = None,
        *,
        segments: Sequence[Segment] = (),
        inside: bool = False,
    ):
        self.loops = loops
        self.contraction = loops.contraction
        self.at = at
        self.memory = memory
        self.depth = depth
        self.inside = inside
        self.strips = [self._strip(segment) for segment in segments] or [Strip(dict(at), memory)]
        self.rank = len(loops.extents)
        self.ahead: Ahead | None = None
        self.features = GroupFeatures(loops.contraction)

    def emit(self, emitter: Emitter) -> None:
        """Emit the tile."""
        self.memory.prepare(emitter, self.contraction.positions)
        for strip in self.strips:
            strip.memory.prepare(emitter, self.contraction.positions)
            self.features.prepare(emitter, strip.memory)
        self.ahead = self._ahead(emitter)
        if self.depth is not None:
            self._emit_block(emitter, self.depth)
            return
        sums = self._sum(emitter, [self._initial(emitter, strip) for strip in self.strips])
        for strip, total in zip(self.strips, sums, strict=True):
            self._finish(emitter, strip, total)

    def _strip(self, segment: Segment) -> Strip:
        row, column = self.memory.axes
        return Strip(
            {**self.at, row.dim: segment.row}, VectorMemory([VectorAxis(row.dim, segment.rows), column]), segment.taps
        )

    def _emit_block(self, emitter: Emitter, depth: DepthBlock) -> None:
        """Add what one block of the reduction gives to the partial sums; the last block finishes the tile.

        Each block is summed from zero: rounding errors grow with its length and with the number of blocks.
        """
        column = self.memory.axes[-1].dim
        element = element_type(self.contraction.accumulator)
        zeros = [
            emitter.splat(scalar_attribute(0, element), vector_of(strip.memory.shape, element)) for strip in self.strips
        ]
        sums = self._sum(emitter, zeros)
        partial = self.loops.partial_sums()
        identity = tuple(
            Linear(((dim, 1),), 0) for dim in (*self.contraction.others, *(axis.dim for axis in self.memory.axes))
        )
        stored = [
            (strip, VectorMemory([VectorAxis(axis.dim, axis.lanes) for axis in strip.memory.axes]), total)
            for strip, total in zip(self.strips, sums, strict=True)
        ]

        def local(strip: Strip) -> list[Index]:
            return self._positions({**strip.at, column: 0})

        def start(inner: Emitter) -> None:
            for strip, whole, sum_ in stored:
                total = inner.value(_add(self.contraction, self._initial(inner, strip), sum_))
                whole.write(inner, total, partial, identity, local(strip))

        def proceed(inner: Emitter) -> None:
            totals = [
                inner.value(_add(self.contraction, whole.read(inner, partial, identity, local(strip)), sum_))
                for strip, whole, sum_ in stored
            ]

            def final(last: Emitter) -> None:
                for (strip, _, _), total in zip(stored, totals, strict=True):
                    self._finish(last, strip, total)

            def middle(before: Emitter) -> None:
                for (strip, whole, _), total in zip(stored, totals, strict=True):
                    whole.write(before, total, partial, identity, local(strip))

            inner.branch(inner.compare("eq", depth.end, depth.size), final, middle)

        emitter.branch(emitter.compare("eq", depth.start, 0), start, proceed)

    def _ahead(self, emitter: Emitter) -> Ahead | None:
        """What is asked for while this tile is summed: its share of the block of the panel that comes next.

        Tiles take turns at the vectors of a panel's row, by their numbers.
        """
        contraction, schedule = self.contraction, self.contraction.schedule
        if not schedule.prefetch or contraction.row is None:
            return None
        panel = next(
            (
                factor.input
                for factor in contraction.factors
                if any(position.coefficient(contraction.column) for position in contraction.positions[factor.input])
            ),
            None,
        )
        taps = [self.loops.extents[dim] for dim in contraction.reductions[:-1]]
        if panel is None or not all(isinstance(size, int) for size in taps):
            return None
        size = self.loops.extents[contraction.reductions[-1]]
        whole = emitter.product([*taps, size])
        distance: Index = whole
        if self.depth is not None:
            last = emitter.compare("eq", self.depth.end, self.depth.size)
            to_next_panel = emitter.subtract(whole, self.depth.start)
            choice = arith.SelectOp(last, emitter.index(to_next_panel), emitter.index(self.depth.step))
            distance = emitter.value(choice)
        number = emitter.divide(self.at[contraction.row], schedule.tile_of(schedule.row or ""))
        for dim in contraction.others:
            number = emitter.add(number, self.at[dim])
        columns = self.memory.axes[-1].lanes
        vectors = max(1, columns // LANES)
        first = emitter.multiply(emitter.remainder(emitter.multiply(number, schedule.prefetch), vectors), LANES)
        return Ahead(panel, distance, first, min(schedule.prefetch, vectors))

    def _prefetch(self, emitter: Emitter, ahead: Ahead, at: Positions) -> None:
        contraction = self.contraction
        last = contraction.reductions[-1]
        for vector_number in range(ahead.count):
            column = emitter.add(ahead.column, vector_number * LANES)
            place = {**at, last: emitter.add(at[last], ahead.distance), contraction.column: column}
            indices = [
                emit_linear(emitter, position, self._positions(place))
                for position in contraction.positions[ahead.input]
            ]
            buffer = contraction.op.inputs[ahead.input]
            emitter.append(memref.PrefetchOp(buffer, [emitter.index(index) for index in indices], NEXT_CACHE))

    def _finish(self, emitter: Emitter, strip: Strip, result: SSAValue) -> None:
        """What is done with the sums."""
        contraction = self.contraction
        if not contraction.epilogues:
            strip.memory.write(
                emitter, result, contraction.accumulator, contraction.positions[-1], self._positions(strip.at)
            )
        elif contraction.row is not None and any(map(self._needs_rows, contraction.epilogues)):
            self._epilogue_by_rows(emitter, strip, result)
        else:
            self._epilogue(emitter, result, strip.at, strip.memory)

    def _positions(self, at: Positions) -> list[Index]:
        return [at.get(dim, 0) for dim in range(self.rank)]

    def _initial(self, emitter: Emitter, strip: Strip) -> SSAValue:
        fill, memory = self.contraction.fill, strip.memory
        if fill is not None:
            return memory.splat(emitter, fill.inputs[0])
        positions = self.contraction.positions[-1]
        value = memory.read(emitter, self.contraction.accumulator, positions, self._positions(strip.at))
        return memory.spread(emitter, value, positions)

    # The reduction

    def _sum(self, emitter: Emitter, initial: Sequence[SSAValue]) -> list[SSAValue]:
        """All products added to the initial strips; one strip in as many tiles as the schedule says."""
        dims = list(self.contraction.reductions)
        if len(self.strips) > 1:
            return list(self._reduce(emitter, self.strips, initial, dict(self.at), dims))
        turns = self._accumulators()
        tiles = [*initial, *([_zero(emitter, initial[0])] * (turns - 1))]
        first, *others = self._reduce(emitter, self.strips * turns, tiles, dict(self.at), dims)
        for other in others:
            first = emitter.value(_add(self.contraction, first, other))
        return [first]

    def _accumulators(self) -> int:
        """The tiles that take turns: as many as the schedule says, more where a few rows leave registers free."""
        contraction, schedule = self.contraction, self.contraction.schedule
        if contraction.row is None:
            return schedule.accumulators
        free = schedule.tile_of(schedule.row or "") // self.memory.axes[0].lanes
        return max(schedule.accumulators, min(schedule.unroll, free))

    def _reduce(
        self, emitter: Emitter, strips: Sequence[Strip], tiles: Sequence[SSAValue], at: Positions, dims: list[int]
    ) -> Sequence[SSAValue]:
        """The products of all positions of `dims`, added to the tiles: those of several strips, or of one in turn."""
        taking_turns = len(self.strips) == 1
        if not dims:
            done = 1 if taking_turns else len(tiles)
            return [*self._step(emitter, strips[:done], tiles[:done], at), *tiles[done:]]
        dim, inner_dims = dims[0], dims[1:]
        if self.contraction.groups is not None and dim == self.contraction.groups.feature:
            return self._features(emitter, strips, tiles, at, inner_dims)
        lower: Index = 0
        size = self.loops.extents[dim]
        border = self.loops.borders.get(dim)
        if border is not None:
            along_rows = self.contraction.row is not None and border.position.coefficient(self.contraction.row) != 0
            if along_rows and strips[0].taps is not None:
                return self._taps(emitter, strips, tiles, at, dims)
            if not (along_rows and self.inside):
                lower, size = border.taps(emitter, self._positions(at), size)
        depth = self.depth if self.depth is not None and self.depth.dim == dim else None
        if depth is not None:
            lower, size = depth.start, depth.end
        count = emitter.subtract(size, lower)
        # Tiles at the ends of a line are few, and their taps are written out: unrolling them only costs compile time.
        unroll = 1 if inner_dims or len(self.strips) > 1 else self.contraction.schedule.unroll
        unroll = min(unroll, count) if isinstance(count, int) and count > 0 else unroll
        if unroll == 1 or (depth is not None and depth.is_multiple_of(unroll)):
            main: Index = size
        else:
            main = emitter.add(lower, emitter.round_down(count, unroll))

        def run(step: int) -> Callable[[Emitter, SSAValue, Sequence[SSAValue]], Sequence[SSAValue]]:
            def body(inner: Emitter, index: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                values = list(carried)
                for offset in range(step):
                    here = {**at, dim: inner.add(index, offset)}
                    # The tiles take turns.
                    turn = 0 if inner_dims or not taking_turns else offset % len(values)
                    values[turn:] = self._reduce(inner, strips[turn:], values[turn:], here, inner_dims)
                return values

            return body

        tiles = emitter.for_loop(lower, main, unroll, tiles, run(unroll))
        if isinstance(size, int) and isinstance(main, int):
            for position in range(main, size):
                tiles = self._reduce(emitter, strips, tiles, {**at, dim: position}, inner_dims)
        elif main is not size:
            tiles = emitter.for_loop(main, size, 1, tiles, run(1))
        return tiles

    def _features(
        self, emitter: Emitter, strips: Sequence[Strip], tiles: Sequence[SSAValue], at: Positions, dims: list[int]
    ) -> Sequence[SSAValue]:
        """The features of narrow groups one by one; they are read together."""
        groups = self.contraction.groups
        assert groups is not None
        self.features.forget()
        values = list(tiles)
        for number in range(groups.features):
            turn = 0 if dims or len(self.strips) > 1 else number % len(values)
            here = {**at, groups.feature: number}
            values[turn:] = self._reduce(emitter, strips[turn:], values[turn:], here, dims)
        return values

    def _taps(
        self, emitter: Emitter, strips: Sequence[Strip], tiles: Sequence[SSAValue], at: Positions, dims: list[int]
    ) -> Sequence[SSAValue]:
        """The taps along the rows one by one, each for the strips that it does not leave in the padding."""
        dim, inner_dims = dims[0], dims[1:]
        size = self.loops.extents[dim]
        assert isinstance(size, int)
        values = list(tiles)
        for tap in range(size):
            there = [number for number, strip in enumerate(strips) if strip.taps is not None and tap in strip.taps]
            if not there:
                continue
            some = [strips[number] for number in there], [values[number] for number in there]
            updated = self._reduce(emitter, *some, {**at, dim: tap}, inner_dims)
            for number, value in zip(there, updated, strict=True):
                values[number] = value
        return values

    def _step(
        self, emitter: Emitter, strips: Sequence[Strip], tiles: Sequence[SSAValue], at: Positions
    ) -> list[SSAValue]:
        """One product for every strip; what does not vary along the rows is read once."""
        if self.ahead is not None:
            self._prefetch(emitter, self.ahead, at)
        shared: dict[int, SSAValue] = {}
        return [self._strip_step(emitter, strip, tile, at, shared) for strip, tile in zip(strips, tiles, strict=True)]

    def _strip_step(
        self, emitter: Emitter, strip: Strip, accumulator: SSAValue, at: Positions, shared: dict[int, SSAValue]
    ) -> SSAValue:
        contraction, memory, row = self.contraction, strip.memory, self.contraction.row
        positions = self._positions(at if row is None else {**at, row: strip.at[row]})
        values: list[SSAValue] = []
        accesses: list[tuple[Linear, ...]] = []
        for factor in contraction.factors:
            access = contraction.positions[factor.input]
            value = shared.get(factor.input)
            if value is None and contraction.groups is not None and factor.input == contraction.groups.input:
                value = self.features.get(emitter, factor, memory, positions)
            elif value is None:
                value = memory.read(emitter, contraction.op.inputs[factor.input], access, positions)
                for cast in factor.casts:
                    value = emitter.value(cast_at_shape(cast, value))
            if row is None or not any(position.coefficient(row) for position in access):
                shared[factor.input] = value
            values.append(value)
            accesses.append(access)
        present = [present_axes(access, memory.axes) for access in accesses]
        if len(memory.axes) == 2 and sorted(len(axes) for axes in present) == [1, 1] and present[0] != present[1]:
            left, right = values if present[0][0] is memory.axes[0] else values[::-1]
            return emitter.value(vector.OuterProductOp(left, right, accumulator))
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

    def _epilogue_by_rows(self, emitter: Emitter, strip: Strip, result: SSAValue) -> None:
        """Store the tile, then compute the epilogues row by row."""
        row, column = strip.memory.axes
        scratch = self.loops.scratch_for(strip.memory.shape, self.contraction.accumulator)
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
            self._epilogue(inner, value, {**strip.at, row.dim: inner.add(strip.at[row.dim], index)}, masked)

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
