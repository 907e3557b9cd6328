"""Rows: a team of threads per row keeps it in registers, and meets in shuffles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from xdsl.dialects.builtin import IntegerAttr, i32
from xdsl.ir import Block, Operation, SSAValue

from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_communication import AllReduceOp, ShuffleOp, SubgroupReduceOp
from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.alignment import has_vectors, is_dense, load_many, starts_aligned, store_many
from lamina.passes.hardware.gpu.bodies import (
    Combiner,
    Extreme,
    argument_at,
    emit_body,
    static_shape,
)
from lamina.passes.hardware.gpu.in_place import loaded_where, root_of
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.row_shapes import Shape, Stage, shape_of
from lamina.passes.hardware.gpu.stages import Team, delinearized
from lamina.passes.loop.emitter import Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.stages import captured_buffers
from lamina.passes.loop.structured import (
    StructuredOp,
    body_block,
    element_type,
    emit_affine,
    extent,
    maps_of,
)

Values: TypeAlias = Sequence[SSAValue]
Chunk: TypeAlias = Callable[[Emitter, "Place", Values], Values]


def stages_of(loop: scf.ForallOp) -> list[Stage] | None:
    """The stages of a row, None where one of them is of another kind."""
    ops = [op for op in loop.body.block.ops if isinstance(op, linalg.GenericOp | linalg.FillOp)]
    stages = [Stage.of(op) for op in ops]
    return stages if stages and all(stage.is_supported for stage in stages) else None


def outline_rows(maker: KernelMaker, loop: scf.ForallOp, stages: Sequence[Stage]) -> None:
    """Make the kernel of a loop over rows.

        scf.forall (%row) in (70) { %max = fold of %x[%row]; %e = exp(%x[%row] - %max); %sum = fold of %e; %e / %sum }
    →
        8 threads per row, 16 rows per block:
        8 elements of %x in registers; their maximum; gpu.subgroup_reduce maximumf … cluster(size = 8)
        8 exponentials; their sum; gpu.subgroup_reduce add …; 8 quotients, stored 4 at a time

    A row of more than a warp has a block of its own and `gpu.all_reduce`; one that registers do not hold is read again.
    """
    temporaries: set[SSAValue] = {op.memref for op in loop.body.block.ops if isinstance(op, memref.AllocaOp)}
    kept = _kept(stages, temporaries)
    in_memory = any(prod(static_shape(buffer)) != 1 and buffer not in kept for buffer in temporaries)
    threads, needs_registers = maker.target.maximum_threads, any(buffer in kept for buffer in temporaries)
    attempts = ((in_memory, _runs_across(stages)), (in_memory, False), (True, False))
    shape = next(
        (
            shape
            for memory, across in attempts
            if (shape := shape_of(stages, memory, threads, across)).length is not None or not needs_registers
        ),
        shape_of(stages, True, threads),
    )
    host = maker.host(loop)
    count = host.product(list(loop.upper_bounds))
    grid = host.ceil_divide(count, shape.rows)
    aligned = {
        operand
        for stage in stages
        for operand in stage.op.operands
        if is_memref(operand.type)
        and starts_aligned(operand, maker.unaligned, shape.vector * element_bytes(element_type(operand)))
    }
    kernel = maker.begin(loop)
    # What the loop's body defines is still the same value in the kernel.
    aligned |= {kernel.arguments[value] for value in aligned if value in kernel.arguments}
    in_place = {kernel.arguments[value] for value in maker.in_place if value in kernel.arguments}
    _RowKernel(kernel, loop, stages, shape, kept, aligned, maker.target.warp, in_place).emit()
    maker.finish(kernel, grid, shape.workers * shape.rows)


def _is_row(buffer: SSAValue) -> bool:
    return prod(static_shape(buffer)) != 1


def _runs_across(stages: Sequence[Stage]) -> bool:
    """Whether neighboring elements of all rows that come from outside lie apart in memory."""
    rows = [
        operand
        for stage in stages
        for number, operand in enumerate(stage.op.operands)
        if is_memref(operand.type) and _is_row(operand) and stage.is_flat(number)
    ]
    outside = [buffer for buffer in rows if not isinstance(buffer.owner, memref.AllocaOp)]
    return bool(outside) and not any(is_dense(memref_type(buffer)) for buffer in outside)


def _kept(stages: Sequence[Stage], temporaries: set[SSAValue]) -> set[SSAValue]:
    """The buffers that every stage accesses in order, all stages being equally long: threads keep their parts."""
    lengths = {stage.total for stage in stages if stage.total != 1}
    if len(lengths) > 1 or None in lengths:
        return set()
    accessed: dict[SSAValue, bool] = {}
    reads: dict[SSAValue, int] = {}
    for stage in stages:
        for number, operand in enumerate(stage.op.operands):
            if not is_memref(operand.type) or prod(static_shape(operand)) == 1:
                continue
            flat = stage.is_flat(number) and stage.total in lengths
            accessed[operand] = accessed.get(operand, True) and flat
            reads[operand] = reads.get(operand, 0) + 1
        for buffer in captured_buffers(stage.op):
            accessed[buffer] = False
    return {buffer for buffer, flat in accessed.items() if flat and (buffer in temporaries or reads[buffer] > 1)}


@dataclass(frozen=True)
class Place:
    """The elements `start` … of a row that a thread has at a time; `step` counts them, None in a loop.

    `inside`: whether they are in the row, None where they always are; `start` is inside in any case.
    """

    start: Index
    step: int | None
    inside: SSAValue | None


class _RowKernel:
    """Emits the stages of one kernel."""

    def __init__(
        self,
        kernel: Kernel,
        loop: scf.ForallOp,
        stages: Sequence[Stage],
        shape: Shape,
        kept: set[SSAValue],
        aligned: set[SSAValue],
        warp: int,
        in_place: set[SSAValue],
    ):
        """`in_place`: what another thread may write while one that has no element of its own reads it again."""
        self.in_place = in_place
        self.kernel = kernel
        self.warp = warp
        self.emitter = kernel.emitter
        self.loop = loop
        self.stages = {stage.op: stage for stage in stages}
        self.shape = shape
        self.kept = kept if shape.length is not None else set[SSAValue]()
        self.registers: dict[SSAValue, dict[tuple[int, int], SSAValue]] = {}
        self.scalars: dict[SSAValue, SSAValue] = {}
        self.aligned = aligned

    def emit(self) -> None:
        """Where this thread is, then one stage after the other."""
        inner, body, shape = self.emitter, self.loop.body.block, self.shape
        block, thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        uppers = [inner.index(bound) for bound in self.loop.upper_bounds]
        row: Index = block
        self.worker: SSAValue = thread
        self.valid: SSAValue | None = None
        if shape.rows > 1:
            count = inner.product(uppers)
            own = inner.add(inner.multiply(block, shape.rows), inner.divide(thread, shape.workers))
            self.worker = inner.index(inner.remainder(thread, shape.workers))
            if not isinstance(count, int) or count % shape.rows:
                # A thread without a row of its own does the last one again and stores nothing.
                self.valid = inner.compare("ult", own, count)
                last = inner.index(inner.subtract(count, 1))
                own = inner.value(arith.SelectOp(self.valid, inner.index(own), last))
            row = own
        for argument, position in zip(body.args, delinearized(inner, inner.index(row), uppers), strict=True):
            argument.replace_all_uses_with(inner.index(position))
        ops = list(body.ops)
        for number, op in enumerate(ops):
            inner.location = op.location
            if isinstance(op, memref.AllocaOp):
                self._allocate(op)
            elif isinstance(op, linalg.GenericOp | linalg.FillOp):
                self._stage(self.stages[op])
                if self._must_wait(op, ops[number + 1 :]):
                    inner.append(gpu.BarrierOp())
                op.detach()
                op.erase()
            elif not isinstance(op, scf.InParallelOp):
                op.detach()
                inner.append(op)
        self.loop.detach()
        self.loop.erase()

    def _allocate(self, op: memref.AllocaOp) -> None:
        """A temporary that is neither a scalar nor in registers lies in shared memory."""
        buffer = op.memref
        type_ = memref_type(buffer)
        if prod(type_.get_shape()) == 1 or buffer in self.kept:
            return
        shared = self.kernel.share(type_.get_element_type(), type_.get_shape())
        buffer.replace_all_uses_with(shared)
        self.aligned.add(shared)

    def _must_wait(self, op: StructuredOp, following: Sequence[Operation]) -> bool:
        """Whether a later stage reads what other threads have written in this one."""
        written = {output for output in op.outputs if output not in self.kept and output not in self.scalars}
        for later in following:
            if not isinstance(later, linalg.GenericOp | linalg.FillOp):
                continue
            if captured_buffers(later) & written:
                return True
            stage = self.stages[later]
            for number, operand in enumerate(later.operands):
                if operand in written and not (self._is_own(self.stages[op], operand) and stage.is_flat(number)):
                    return True
        return False

    def _is_own(self, stage: Stage, buffer: SSAValue) -> bool:
        """Whether a thread writes the elements of a buffer that it has in stages of its length."""
        return all(stage.is_flat(number) for number, operand in enumerate(stage.op.operands) if operand is buffer)

    # Stages

    def _stage(self, stage: Stage) -> None:
        if stage.total == 1:
            self._scalar(stage)
        elif stage.combiner is not None:
            self._reduce(stage, stage.combiner)
        elif stage.extreme is not None:
            self._locate(stage, stage.extreme)
        else:
            self._map(stage)

    def _results(self, stage: Stage, values: Values) -> None:
        """What every thread has as the results of a row; one of them stores it where others look."""
        op = stage.op
        zeros: list[Index] = [0] * len(stage.extents)
        for output, value in zip(op.outputs, values, strict=True):
            self.scalars[output] = value
            if isinstance(output.owner, memref.AllocaOp):
                continue
            first = self.emitter.compare("eq", self.worker, 0)
            self.emitter.branch(self._and_valid(self.emitter, first), self._storing(stage, output, value, zeros))

    def _storing(
        self, stage: Stage, output: SSAValue, value: SSAValue, positions: Sequence[Index]
    ) -> Callable[[Emitter], None]:
        map_ = maps_of(stage.op)[list(stage.op.operands).index(output)]

        def store(inner: Emitter) -> None:
            inner.store(value, output, [emit_affine(inner, expression, positions) for expression in map_.results])

        return store

    def _and_valid(self, emitter: Emitter, condition: SSAValue) -> SSAValue:
        return condition if self.valid is None else emitter.value(arith.AndIOp(condition, self.valid))

    def _scalar(self, stage: Stage) -> None:
        """One position, computed by every thread."""
        zeros: list[Index] = [0] * len(stage.extents)
        arguments = [
            self._read(self.emitter, stage, number, zeros, None, 0) if argument.uses else None
            for number, argument in enumerate(body_block(stage.op).args)
        ]
        self._results(stage, emit_body(self.emitter, body_block(stage.op), arguments, zeros))

    def _reduce(self, stage: Stage, combiner: Combiner) -> None:
        """Parts by thread, `vector` of them, and what the threads of the row have together."""
        inner, op = self.emitter, stage.op
        block = body_block(op)
        neutral = inner.scalar_constant(combiner.neutral, block.args[-1].type)

        def chunk(emitter: Emitter, place: Place, parts: Values) -> Values:
            elements = self._arguments(emitter, stage, place)
            found: list[SSAValue] = []
            for part, (arguments, positions) in zip(parts, elements, strict=True):
                (value,) = emit_body(emitter, block, [*arguments[:-1], part], positions)
                if place.inside is not None:
                    value = emitter.value(arith.SelectOp(place.inside, value, part))
                found.append(value)
            return found

        parts = list(self._visit(stage, chunk, [neutral] * self._vector(stage)))
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [combiner(inner, *pair) for pair in zip(parts[:half], parts[half:], strict=True)]
        total = self._together(parts[0], combiner)
        zeros: list[Index] = [0] * len(stage.extents)
        old = self._read(inner, stage, len(op.inputs), zeros, None, 0)
        self._results(stage, [combiner(inner, old, total)])

    def _together(self, part: SSAValue, combiner: Combiner) -> SSAValue:
        """What the threads of a row have together."""
        if self.shape.workers == 1:
            return part
        if self.shape.rows == 1:
            return self.emitter.value(AllReduceOp(combiner.kind, part))
        return self.emitter.value(SubgroupReduceOp(combiner.kind, part, self.shape.workers))

    def _locate(self, stage: Stage, extreme: Extreme) -> None:
        """The position of an extreme: the same with pairs of values, passed on by shuffles."""
        inner, op = self.emitter, stage.op
        block, zeros = body_block(op), [0] * len(stage.extents)
        first = len(op.inputs)
        start = [self._read(inner, stage, first + number, zeros, None, 0) for number in range(2)]

        def chunk(emitter: Emitter, place: Place, best: Values) -> Values:
            for arguments, positions in self._arguments(emitter, stage, place):
                found = emit_body(emitter, block, [*arguments[:first], *best], positions)
                if place.inside is not None:
                    found = [
                        emitter.value(arith.SelectOp(place.inside, new, old))
                        for new, old in zip(found, best, strict=True)
                    ]
                best = found
            return best

        best = list(self._visit(stage, chunk, start))
        team = Team(self.worker, self.shape.workers, self.kernel.share)

        def combine(emitter: Emitter, left: Values, right: Values) -> Values:
            return _chosen(emitter, extreme, block, left, right)

        self._results(stage, exchange(inner, team, self.warp, best, combine))

    def _map(self, stage: Stage) -> None:
        """All elements, each by the thread that has it."""
        block, op = body_block(stage.op), stage.op
        first = len(op.inputs)

        def chunk(emitter: Emitter, place: Place, carried: Values) -> Values:
            elements = self._arguments(emitter, stage, place)
            results = [emit_body(emitter, block, arguments, positions) for arguments, positions in elements]
            stores: list[tuple[int, SSAValue, Sequence[Index]]] = []
            for number, (values, (_, positions)) in enumerate(zip(results, elements, strict=True)):
                for index, (output, value) in enumerate(zip(op.outputs, values, strict=True)):
                    if output in self.kept and place.step is not None:
                        self.registers.setdefault(output, {})[place.step, number] = value
                    if not isinstance(output.owner, memref.AllocaOp):
                        stores.append((first + index, value, positions))
            if stores:
                self._store(emitter, stage, place, stores)
            return carried

        self._visit(stage, chunk, [])

    def _store(
        self, emitter: Emitter, stage: Stage, place: Place, stores: Sequence[tuple[int, SSAValue, Sequence[Index]]]
    ) -> None:
        """Write some elements; not those outside of the row, or of no row."""

        def write(inner: Emitter) -> None:
            for operand in dict.fromkeys(number for number, _, _ in stores):
                own = [(value, positions) for number, value, positions in stores if number == operand]
                buffer, map_ = stage.op.operands[operand], maps_of(stage.op)[operand]
                if self._is_wide(stage, operand):
                    cell = [emit_affine(inner, one, own[0][1]) for one in map_.results]
                    store_many(inner, [value for value, _ in own], buffer, cell)
                    continue
                for value, positions in own:
                    self._storing(stage, buffer, value, positions)(inner)

        condition = place.inside
        if self.valid is not None:
            condition = self.valid if condition is None else emitter.value(arith.AndIOp(condition, self.valid))
        if condition is None:
            write(emitter)
        else:
            emitter.branch(condition, write)

    # Elements

    def _vector(self, stage: Stage) -> int:
        return self.shape.vector if stage.total is not None else 1

    def _extents(self, emitter: Emitter, stage: Stage) -> list[Index]:
        return [size if size is not None else extent(emitter, stage.op, dim) for dim, size in enumerate(stage.extents)]

    def _visit(self, stage: Stage, chunk: Chunk, carried: Values) -> Values:
        """Carry out `chunk` on all elements that this thread has of a row."""
        shape, outer = self.shape, self.emitter
        vector = self._vector(stage)
        if shape.length is not None and stage.total == shape.length:
            for step in range(shape.steps):
                first = outer.multiply(outer.add(self.worker, step * shape.workers), vector)
                inside: SSAValue | None = None
                if (step + 1) * shape.workers * vector > shape.length:
                    inside = outer.compare("ult", first, shape.length)
                    first = outer.value(arith.SelectOp(inside, outer.index(first), outer.index(0)))
                carried = chunk(outer, Place(first, step, inside), carried)
            return carried
        total = outer.product(self._extents(outer, stage))
        chunks = outer.divide(total, vector)

        def run(inner: Emitter, index: SSAValue, values: Values) -> Values:
            return chunk(inner, Place(inner.multiply(index, vector), None, None), values)

        return outer.for_loop(self.worker, chunks, shape.workers, list(carried), run)

    def _arguments(
        self, emitter: Emitter, stage: Stage, place: Place
    ) -> list[tuple[list[SSAValue | None], list[Index]]]:
        """The arguments of the body, and the positions, for all elements of a chunk; what is loaded is loaded first."""
        extents = self._extents(emitter, stage)
        block = body_block(stage.op)
        count = self._vector(stage)
        positions: list[list[Index]] = []
        for number in range(count):
            flat = emitter.index(emitter.add(place.start, number))
            at: list[Index] = [0] * len(extents)
            for dim, index in zip(
                stage.dims, delinearized(emitter, flat, [extents[dim] for dim in stage.dims]), strict=True
            ):
                at[dim] = index
            positions.append(at)
        columns: list[Sequence[SSAValue | None]] = []
        for index, argument in enumerate(block.args):
            if not argument.uses or (stage.reduces and index >= len(stage.op.inputs)):
                columns.append([None] * count)
            else:
                columns.append(self._read_chunk(emitter, stage, index, positions, place))
        return [([column[number] for column in columns], positions[number]) for number in range(count)]

    def _read_chunk(
        self, emitter: Emitter, stage: Stage, operand: int, positions: Sequence[Sequence[Index]], place: Place
    ) -> list[SSAValue]:
        """Neighboring elements of an operand: from registers, by one load, or one by one.

        Threads without elements read others' again, but not from where those may have been updated already.
        """
        buffer = stage.op.operands[operand]
        condition = self.valid if place.inside is None else self._and_valid(emitter, place.inside)
        if condition is None or buffer in self.scalars or root_of(buffer) not in self.in_place:
            return self._read_all(emitter, stage, operand, positions, place.step)
        held = self.registers.get(buffer, {}) if place.step is not None else {}
        if (place.step, 0) in held:
            return self._read_all(emitter, stage, operand, positions, place.step)

        def load(inner: Emitter) -> list[SSAValue]:
            return self._read_all(inner, stage, operand, positions, None)

        values = loaded_where(emitter, condition, [element_type(buffer)] * len(positions), load)
        if place.step is not None and buffer in self.kept:
            own = {(place.step, number): value for number, value in enumerate(values)}
            self.registers.setdefault(buffer, {}).update(own)
        return values

    def _read_all(
        self, emitter: Emitter, stage: Stage, operand: int, positions: Sequence[Sequence[Index]], step: int | None
    ) -> list[SSAValue]:
        buffer = stage.op.operands[operand]
        held = self.registers.get(buffer, {}) if step is not None else {}
        if self._is_wide(stage, operand) and buffer not in self.scalars and (step, 0) not in held:
            cell = [emit_affine(emitter, one, positions[0]) for one in maps_of(stage.op)[operand].results]
            values = load_many(emitter, buffer, cell, len(positions))
            if step is not None and buffer in self.kept:
                self.registers.setdefault(buffer, {}).update(
                    {(step, number): value for number, value in enumerate(values)}
                )
            return values
        return [self._read(emitter, stage, operand, at, step, number) for number, at in enumerate(positions)]

    def _is_wide(self, stage: Stage, operand: int) -> bool:
        """Whether the elements of a chunk are one load or store: neighbors at a multiple of their size."""
        buffer = stage.op.operands[operand]
        return (
            self._vector(stage) > 1
            and is_memref(buffer.type)
            and stage.is_flat(operand)
            and buffer in self.aligned
            and has_vectors(buffer)
            and is_dense(memref_type(buffer))
        )

    def _read(
        self, emitter: Emitter, stage: Stage, operand: int, positions: Sequence[Index], step: int | None, number: int
    ) -> SSAValue:
        """An element of an operand: from a register where it is in one."""
        buffer = stage.op.operands[operand]
        if buffer in self.scalars:
            return self.scalars[buffer]
        held = self.registers.get(buffer, {}) if step is not None else {}
        if step is not None and (step, number) in held:
            return held[step, number]
        value = argument_at(emitter, buffer, maps_of(stage.op)[operand], positions)
        if step is not None and buffer in self.kept and stage.is_flat(operand):
            self.registers.setdefault(buffer, {})[step, number] = value
        return value


def _chosen(emitter: Emitter, extreme: Extreme, block: Block, left: Values, right: Values) -> Values:
    second = extreme.takes_second(emitter, block, left, right)
    return [emitter.value(arith.SelectOp(second, new, old)) for new, old in zip(right, left, strict=True)]


def exchange(
    emitter: Emitter, team: Team, warp: int, values: Values, combine: Callable[[Emitter, Values, Values], Values]
) -> Values:
    """What the threads of a team have together, for each of them: shuffles in a warp, then shared memory.

    Values travel in tuples; `combine` puts two of those together.
    """

    def number(value: int) -> SSAValue:
        return emitter.constants.get(IntegerAttr(value, i32), i32)

    def butterfly(values: Values, size: int) -> Values:
        distance = size // 2
        while distance:
            others: list[SSAValue] = []
            for value in values:
                shuffle = ShuffleOp("xor", value, number(distance), number(max(2, size)))
                emitter.append(shuffle)
                others.append(shuffle.result)
            values = combine(emitter, values, others)
            distance //= 2
        return values

    values = butterfly(values, min(team.workers, warp))
    warps = team.workers // warp
    if warps <= 1:
        return values
    buffers = [team.shared(value.type, [warps]) for value in values]
    lane, own = emitter.remainder(team.worker, warp), emitter.divide(team.worker, warp)

    def write(inner: Emitter) -> None:
        for value, buffer in zip(values, buffers, strict=True):
            inner.store(value, buffer, [own])

    emitter.branch(emitter.compare("eq", lane, 0), write)
    emitter.append(gpu.BarrierOp())
    place = emitter.remainder(team.worker, warps)
    return butterfly([emitter.load(buffer, [place]) for buffer in buffers], warps)
