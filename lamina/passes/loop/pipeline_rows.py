"""`pipeline-rows`: the last pass over a row goes on while the next rows are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr, UnitAttr, f32, i64
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from lamina.dialects.loop import arith, memref, scf
from lamina.passes.base import LaminaPass
from lamina.passes.caches import cache_bytes
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import INDEX, Constants, Emitter, Index, known_index, memref_type, strides_of
from lamina.passes.loop.fuse_loops import root_of
from lamina.passes.loop.lines import LINE_BYTES, until_line
from lamina.passes.loop.stream_stores import SHORT
from lamina.passes.loop.streaming import AHEAD, INDEPENDENT, LINES, STREAMED
from lamina.passes.loop.vectorize_loops import LEAST_BITS, may_be_vectors
from lamina.passes.registers import TARGET, target_vector_bits

LEAST_ROWS: Final = 64
SHARES: Final = 8
"""Pieces of work that there are at least."""
BLOCK: Final = 64
"""Rows of a piece of work: one or two of them are gone through in the ordinary way at either end."""
LEAST_LENGTH: Final = 512
WIDTH: Final = 64
"""Elements of which a step of a loop over vectors takes all, or a part."""
PASSES: Final = 3
"""Norms of two passes are as fast in the ordinary way."""
MOST_STREAMS: Final = 3
"""Rows that are read in one step, at most, where they are more than the first cache holds (`l1`): with more of them,
lines of the second cache come too slowly."""
DISTANCE: Final = 4096
"""How many elements ahead memory is asked."""
LINE: Final = LINE_BYTES // 4


@dataclass(frozen=True)
class PipelineRowsPass(LaminaPass):
    """A loop over rows of three passes, whose results go past the caches, does all at once, each for another row.

        scf.forall %row {
          %m = scf.for %j { maximum of %x[%row, %j] }
          %s = scf.for %j { %t[%j] = exp(%x[%row, %j] - %m), sum }
          scf.for %j { %y[%row, %j] = %t[%j] / %s }
        }
    →
        scf.forall %block {
          … the first rows …
          scf.for %row iter_args(%m, %s) {
            scf.for %j { %y[%row - 2, %j] = %t[%j] / %s;  %t[%j] = exp(%x[%row - 1, %j] - %m), sum;
                         maximum of %x[%row, %j] }
          }
          … the last rows …
        }

    So memory is read and written all the time, not written while one pass of three runs. In a step everything is read
    before anything is written: a load behind a store to the same place of another page waits for it. Positions are the
    same in all passes but the last, which is ahead by what is missing up to the next line of its result: sums do not
    depend on where that begins.

    Done for three passes over rows of static length, of which the last one writes a result that is streamed, where the
    rows of a step fit the first cache or are few (`MOST_STREAMS`) and `vectorize-loops` can write all of the function
    with vectors.
    """

    name = "pipeline-rows"
    requires: ClassVar[frozenset[str]] = frozenset({"loops"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        bits = target_vector_bits(op)
        if TARGET not in op.attributes or bits < LEAST_BITS:
            return
        for function in op.ops:
            if not isinstance(function, func.FuncOp) or not function.body.blocks:
                continue
            if not may_be_vectors(function, bits // 32):
                continue
            for forall in [each for each in function.body.block.ops if isinstance(each, scf.ForallOp)]:
                rows = _read(forall, cache_bytes(op, "l1") or 0)
                if rows is not None:
                    _Writer(rows, Constants(function.body.block)).rewrite()
                    erase_dead_ops(function.body.block)


@dataclass
class _Stage:
    """One pass over a row: its loop, and what follows of it."""

    loop: scf.ForOp
    after: list[Operation] = field(default_factory=list[Operation])

    @property
    def ops(self) -> list[Operation]:
        return [self.loop, *self.after]


@dataclass(frozen=True)
class _Rows:
    """A parallel loop over rows: its passes, what each needs first, and the copy of the result."""

    forall: scf.ForallOp
    count: int
    length: int
    stages: Sequence[_Stage]
    copy: memref.CopyOp
    setup: Sequence[Operation]


# ---- what is there


def _read(forall: scf.ForallOp, first_cache: int) -> _Rows | None:
    """The passes of a parallel loop; None where it is none that can be rewritten."""
    block = forall.body.block
    count = _row_count(forall)
    if count < LEAST_ROWS or not _may_promote(block):
        return None
    ops = list(block.ops)[:-1]
    loops = [op for op in ops if isinstance(op, scf.ForOp)]
    copy = ops[-1]
    if len(loops) != PASSES or not isinstance(copy, memref.CopyOp) or STREAMED not in copy.attributes:
        return None
    length = known_index(loops[0].ub)
    if not isinstance(length, int) or length < LEAST_LENGTH or not all(_is_pass(loop, length) for loop in loops):
        return None
    if not _fits(loops, copy, length):
        return None
    streams = _streams(loops)
    if streams > MOST_STREAMS and 4 * streams * length > first_cache:
        return None
    _promote(block)
    stages = [_Stage(loop) for loop in loops]
    setup = _in_stages(block, stages, copy)
    return None if setup is None else _Rows(forall, count, length, stages, copy, setup)


def _row_count(forall: scf.ForallOp) -> int:
    """The positions of a parallel loop over one axis from 0 in steps of 1; 0 for any other, or unknown ones."""
    bounds = [each.get_values() for each in (forall.static_lower_bound, forall.static_upper_bound, forall.static_step)]
    return bounds[1][0] if len(bounds[0]) == 1 and bounds[0][0] == 0 and bounds[2][0] == 1 else 0


def _is_pass(loop: scf.ForOp, length: int) -> bool:
    if known_index(loop.lb) != 0 or known_index(loop.ub) != length or known_index(loop.step) != 1:
        return False
    return not any(op.regions for op in loop.body.block.ops)


def _fits(loops: Sequence[scf.ForOp], copy: memref.CopyOp, length: int) -> bool:
    """Whether a pass writes temporaries only that it does not read, at its position, and the next one reads them there;
    the last pass writes what is copied."""
    scratch, target = copy.operands
    if memref_type(target).get_shape() != (length,) or strides_of(memref_type(target)) != [1]:
        return False
    if not isinstance(scratch.owner, memref.AllocaOp):
        return False
    if loops[-1].iter_args or memref_type(scratch).get_element_type() != f32:
        return False
    writer: dict[SSAValue, int] = {}
    for number, loop in enumerate(loops):
        position = loop.body.block.args[0]
        for op in loop.body.block.ops:
            if isinstance(op, memref.StoreOp):
                own = isinstance(op.memref.owner, memref.AllocaOp) and list(op.indices) == [position]
                if not own or op.memref in writer or (op.memref is scratch) != (loop is loops[-1]):
                    return False
                writer[op.memref] = number
    if list(writer.values()).count(len(loops) - 1) != 1:
        return False
    for number, loop in enumerate(loops):
        position = loop.body.block.args[0]
        for op in loop.body.block.ops:
            if not isinstance(op, memref.LoadOp) or root_of(op.memref) not in writer:
                continue
            if writer.get(op.memref) != number - 1 or list(op.indices) != [position]:
                return False
    return True


def _streams(loops: Sequence[scf.ForOp]) -> int:
    """How many rows one step reads, as each pass has a row of its own."""
    return sum(
        len({op.memref for op in loop.body.block.ops if isinstance(op, memref.LoadOp) and _moves(op, loop)})
        for loop in loops
    )


def _moves(op: memref.LoadOp, loop: scf.ForOp) -> bool:
    return loop.body.block.args[0] in op.indices


def _in_stages(block: Block, stages: Sequence[_Stage], copy: memref.CopyOp) -> list[Operation] | None:
    """Give every stage the arithmetic that needs its loop; gives what needs none; None if there is more."""
    stage_of: dict[Operation, int] = {stage.loop: number for number, stage in enumerate(stages)}
    setup: list[Operation] = []
    for op in list(block.ops)[:-1]:
        if op in stage_of or op is copy or isinstance(op, memref.AllocaOp):
            continue
        if not op.name.startswith(("arith.", "math.")) and not isinstance(op, memref.SubviewOp):
            return None
        owners = [operand.owner for operand in op.operands]
        needed = max((stage_of.get(owner, -1) for owner in owners if isinstance(owner, Operation)), default=-1)
        if needed < 0:
            setup.append(op)
        else:
            stage_of[op] = needed
            stages[needed].after.append(op)
    return setup


# ---- scalars in memory


def _cells(block: Block) -> list[memref.AllocaOp]:
    return [
        op for op in block.ops if isinstance(op, memref.AllocaOp) and set(memref_type(op.memref).get_shape()) <= {1}
    ]


def _may_promote(block: Block) -> bool:
    """Whether all scalars in memory are stored by the block itself before they are loaded."""
    for cell in _cells(block):
        stored = False
        users = {use.operation for use in cell.memref.uses}
        for op in block.walk():
            if op not in users:
                continue
            if isinstance(op, memref.StoreOp) and op.memref is cell.memref and op.parent_block() is block:
                stored = True
            elif not isinstance(op, memref.LoadOp) or not stored:
                return False
    return True


def _promote(block: Block) -> None:
    """Make values of scalars in memory."""
    for cell in _cells(block):
        users = {use.operation for use in cell.memref.uses}
        value: SSAValue | None = None
        for op in [op for op in block.walk() if op in users]:
            if isinstance(op, memref.StoreOp):
                value = op.value
            elif value is not None:
                op.results[0].replace_all_uses_with(value)
            op.detach()
            op.erase()
        cell.detach()
        cell.erase()


# ---- what takes its place

Carried = tuple[SSAValue, int]
"""A value of one stage, and by how many rows a stage that needs it is behind."""


class _Writer:
    """Writes the pipelined loop for one parallel loop."""

    def __init__(self, rows: _Rows, constants: Constants):
        self.rows = rows
        self.constants = constants
        self.depth = len(rows.stages)
        self.main = (rows.length - LINE + 1) // WIDTH * WIDTH
        self.carried = self._carried()

    def rewrite(self) -> None:
        """Blocks of rows in parallel, in each of them the rows one after the other."""
        rows = self.rows
        old = rows.forall
        size = min(BLOCK, rows.count // SHARES)
        blocks = rows.count // size
        emitter = Emitter.ahead_of(old, self.constants)

        def body(inner: Emitter, at: Sequence[SSAValue]) -> None:
            for op in list(old.body.block.ops):
                if isinstance(op, memref.AllocaOp):
                    op.detach()
                    inner.append(op)
            start = inner.multiply(at[0], size)
            end = inner.add(start, size)
            if blocks * size != rows.count:
                last = inner.compare("eq", at[0], blocks - 1)
                ends = [last, inner.index(rows.count), inner.index(end)]
                end = inner.value(arith.SelectOp.create(operands=ends, result_types=[INDEX]))
            self._block(inner, inner.index(start), inner.index(end))

        emitter.forall([blocks], [1], body, {"lamina.grain": IntegerAttr(1, i64)})
        old.detach()
        old.erase()

    def _carried(self) -> list[Carried]:
        """The values that pass from stage to stage, each as often as the rows of the stages are apart."""
        owner: dict[SSAValue, int] = {}
        for number, stage in enumerate(self.rows.stages):
            for op in stage.ops:
                owner |= dict.fromkeys(op.results, number)
        apart: dict[SSAValue, int] = {}
        for number, stage in enumerate(self.rows.stages):
            for op in [inner for each in stage.ops for inner in each.walk()]:
                for operand in op.operands:
                    if operand in owner and owner[operand] < number:
                        apart[operand] = max(apart.get(operand, 0), number - owner[operand])
        self.owner = owner
        return [(value, distance) for value, most in apart.items() for distance in range(1, most + 1)]

    def _block(self, emitter: Emitter, start: SSAValue, end: SSAValue) -> None:
        """The rows of one piece of work: at any time each stage is one row behind the one before it."""
        known: dict[Carried, SSAValue] = {}
        for time in range(self.depth - 1):
            known = self._one_by_one(emitter, emitter.add(start, time), range(time + 1), known)
        first = emitter.add(start, self.depth - 1)
        chain = [known[each] for each in self.carried]

        def run(inner: Emitter, time: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            found = self._together(inner, time, dict(zip(self.carried, carried, strict=True)))
            return [found[each] for each in self.carried]

        results = emitter.for_loop(first, end, 1, chain, run)
        known = dict(zip(self.carried, results, strict=True))
        for time in range(self.depth - 1):
            known = self._one_by_one(emitter, emitter.add(end, time), range(time + 1, self.depth), known)

    def _mapping(
        self, emitter: Emitter, number: int, time: Index, known: Mapping[Carried, SSAValue]
    ) -> dict[SSAValue, SSAValue]:
        """What the values of a stage are at a time: those of its row."""
        row = emitter.index(emitter.subtract(time, number))
        mapping: dict[SSAValue, SSAValue] = {self.rows.forall.body.block.args[0]: row}
        for op in self.rows.setup:
            _clone(emitter, op, mapping)
        for (value, distance), carried in known.items():
            if distance == number - self.owner[value]:
                mapping[value] = carried
        return mapping

    def _next(
        self, known: Mapping[Carried, SSAValue], mappings: Mapping[int, Mapping[SSAValue, SSAValue]]
    ) -> dict[Carried, SSAValue]:
        """The carried values one row later."""
        found: dict[Carried, SSAValue] = {}
        for value, distance in self.carried:
            number = self.owner[value]
            if distance > 1 and (value, distance - 1) in known:
                found[value, distance] = known[value, distance - 1]
            elif distance == 1 and number in mappings:
                found[value, distance] = mappings[number][value]
        return found

    def _one_by_one(
        self, emitter: Emitter, time: Index, numbers: Sequence[int], known: Mapping[Carried, SSAValue]
    ) -> dict[Carried, SSAValue]:
        """Some of the stages, each by loops of its own; later stages first, which read what earlier ones overwrite."""
        mappings: dict[int, dict[SSAValue, SSAValue]] = {}
        for number in reversed(numbers):
            mapping = mappings[number] = self._mapping(emitter, number, time, known)
            for op in self.rows.stages[number].ops:
                _clone(emitter, op, mapping)
            if number == self.depth - 1:
                _clone(emitter, self.rows.copy, mapping)
        return self._next(known, mappings)

    def _together(self, emitter: Emitter, time: Index, known: Mapping[Carried, SSAValue]) -> dict[Carried, SSAValue]:
        """All stages in one loop."""
        stages, length = self.rows.stages, self.rows.length
        mappings = {number: self._mapping(emitter, number, time, known) for number in range(self.depth)}
        final = mappings[self.depth - 1]
        target = final.get(self.rows.copy.operands[1], self.rows.copy.operands[1])
        first = emitter.index(until_line(emitter, target))
        self._write_part(emitter, 0, first, target, final)
        loops = [stage.loop for stage in stages]
        starts = [mappings[number].get(value, value) for number, loop in enumerate(loops) for value in loop.iter_args]

        def run(inner: Emitter, position: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self._step(inner, position, carried, mappings, target, first)

        results = list(emitter.for_loop(0, self.main, 1, starts, run))
        if isinstance(emitter.block.last_op, scf.ForOp):
            emitter.block.last_op.attributes[INDEPENDENT] = UnitAttr()
        self._write_part(emitter, emitter.add(first, self.main), length, target, final)
        for number in reversed(range(self.depth)):
            mapping, loop = mappings[number], loops[number]
            if number < self.depth - 1:
                self._rest(emitter, loop, mapping, [results.pop() for _ in loop.iter_args][::-1])
            for op in stages[number].after:
                _clone(emitter, op, mapping)
        return self._next(known, mappings)

    def _write_part(
        self, emitter: Emitter, lower: Index, upper: Index, target: SSAValue, mapping: Mapping[SSAValue, SSAValue]
    ) -> None:
        """The last stage for some positions, with ordinary stores."""
        loop = self.rows.stages[-1].loop

        def run(inner: Emitter, position: SSAValue) -> None:
            known = {**mapping, loop.body.block.args[0]: position}
            for op in loop.body.block.ops:
                if isinstance(op, memref.StoreOp):
                    inner.store(known.get(op.value, op.value), target, [position])
                elif not isinstance(op, scf.YieldOp):
                    _clone(inner, op, known)

        emitter.loop(lower, upper, 1, run)
        if isinstance(emitter.block.last_op, scf.ForOp):
            emitter.block.last_op.attributes[SHORT] = UnitAttr()

    def _rest(
        self, emitter: Emitter, loop: scf.ForOp, mapping: dict[SSAValue, SSAValue], carried: Sequence[SSAValue]
    ) -> None:
        """What the common loop has left over of a stage."""

        def run(inner: Emitter, position: SSAValue, values: Sequence[SSAValue]) -> Sequence[SSAValue]:
            known = dict(mapping) | dict(zip(loop.body.block.args, (position, *values), strict=True))
            for op in loop.body.block.ops:
                if isinstance(op, scf.YieldOp):
                    return [known.get(value, value) for value in op.operands]
                _clone(inner, op, known)
            return []

        results = emitter.for_loop(self.main, self.rows.length, 1, carried, run)
        mapping.update(zip(loop.results, results, strict=True))

    def _step(
        self,
        emitter: Emitter,
        position: SSAValue,
        carried: Sequence[SSAValue],
        mappings: Mapping[int, Mapping[SSAValue, SSAValue]],
        target: SSAValue,
        first: SSAValue,
    ) -> list[SSAValue]:
        """One step of all stages: all loads, the arithmetic, all stores."""
        left = list(carried)
        known: dict[int, dict[SSAValue, SSAValue]] = {}
        ahead = emitter.index(emitter.add(position, first))
        for number, stage in enumerate(self.rows.stages):
            arguments = stage.loop.body.block.args
            place = ahead if number == self.depth - 1 else position
            values = [left.pop(0) for _ in arguments[1:]]
            known[number] = dict(mappings[number]) | dict(zip(arguments, (place, *values), strict=True))
        order = [(number, op) for number in reversed(known) for op in self.rows.stages[number].loop.body.block.ops]
        for number, op in order:
            if isinstance(op, memref.LoadOp):
                copied = _clone(emitter, op, known[number])
                if number == 0 and _is_row(copied.operands[0]):
                    copied.attributes[AHEAD] = IntegerAttr(DISTANCE, i64)
        for number, op in order:
            if not isinstance(op, memref.LoadOp | memref.StoreOp | scf.YieldOp):
                _clone(emitter, op, known[number])
        yielded: list[SSAValue] = []
        for number, op in order:
            if isinstance(op, memref.StoreOp) and number == self.depth - 1:
                emitter.store(known[number].get(op.value, op.value), target, [ahead])
                if emitter.block.last_op is not None:
                    emitter.block.last_op.attributes[STREAMED] = StringAttr(LINES)
            elif isinstance(op, memref.StoreOp):
                _clone(emitter, op, known[number])
            elif isinstance(op, scf.YieldOp):
                yielded = [known[number].get(value, value) for value in op.operands] + yielded
        return yielded


def _is_row(view: SSAValue) -> bool:
    """Whether a view is a part of an argument."""
    return isinstance(view.owner, memref.SubviewOp) and isinstance(view.owner.source, BlockArgument)


def _clone(emitter: Emitter, op: Operation, mapping: dict[SSAValue, SSAValue]) -> Operation:
    """A copy of an op, with its own location; its results join the mapping."""
    before = emitter.location
    emitter.location = op.location
    copied = emitter.append(op.clone(mapping))
    emitter.location = before
    return copied
