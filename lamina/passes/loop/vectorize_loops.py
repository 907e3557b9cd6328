"""`vectorize-loops`: innermost loops of f32 become loops over explicit vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import ClassVar, Final

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    BoolAttr,
    IndexType,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    UnitAttr,
    VectorType,
    f32,
    i1,
    i64,
)
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.dialects.vector import CombiningKindAttr, CombiningKindFlag
from xdsl.ir import Block, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith, memref, scf, vector
from lamina.passes.base import LaminaPass
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import (
    Constants,
    Emitter,
    Index,
    known_index,
    memref_type,
    scalar_attribute,
    strides_of,
    vector_of,
)
from lamina.passes.loop.fuse_loops import root_of
from lamina.passes.loop.lines import LINE_BYTES, until_line
from lamina.passes.loop.prefetch_rows import LINE_ELEMENTS, SECOND_CACHE, Ahead, shares
from lamina.passes.loop.stream_stores import SHORT
from lamina.passes.loop.streaming import AHEAD, INDEPENDENT, LINES, STREAMED, memory_is_far, streaming_threshold
from lamina.passes.loop.vector_access import TRAPPING, at_shape
from lamina.passes.registers import TARGET, target_vector_bits

INDEX = IndexType()
F32_BYTES: Final = 4
TRUE = BoolAttr.from_bool(True)

OPTIMIZED: Final = "lamina.optimized"
"""On functions: LLVM's pipeline is to run although they have explicit vectors."""

VECTORS: Final = 4
"""Vectors of one step of a loop: enough sums at a time to hide the latency of an addition."""

EXPENSIVE: Final = frozenset({"math.erf", "math.tanh", "math.exp"})

STRAIGHT: Final = 2
"""Up to so many steps are written one after the other, without a loop."""

ALIGNED_MOVES, ALIGNED, ALIGNED_SUMS = 4, 16, 32
"""Loops of at least so many vectors begin where a line does: those that only move elements, others, those with sums. An
access that crosses two lines costs two: with registers of a whole line each of them does, in arrays that begin
anywhere. NumPy's begin 16 bytes behind a line: sums of 512 KiB took 7.0 µs there, 4.3 at the start of a line; rows of
256 bytes that change places 22 and 12. But the masked steps at either end cost short rows with arithmetic more than
that (RMS norm of rows of 64: 22 %)."""

LEAST_BITS: Final = 256
"""Narrower registers have no masks: there LLVM's vectorizer does as well."""

ROUNDED = (arith.AddfOp, arith.MulfOp)
"""What depends on the order."""

KINDS: Mapping[type[Operation], tuple[CombiningKindFlag, float]] = {
    arith.AddfOp: (CombiningKindFlag.ADD, 0.0),
    arith.MulfOp: (CombiningKindFlag.MUL, 1.0),
    arith.MaximumfOp: (CombiningKindFlag.MAXIMUMF, -inf),
    arith.MinimumfOp: (CombiningKindFlag.MINIMUMF, inf),
}
"""What may be carried: how vectors of it are combined in the end, and the neutral element."""


@dataclass(frozen=True)
class VectorizeLoopsPass(LaminaPass):
    """Innermost loops over neighboring f32 elements take several vectors at a time, what is left masked ones.

        %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %zero) -> (f32) {
          %v = memref.load %x[%i]
          %next = arith.addf %s, %v fastmath<reassoc>
        }
    →
        %sums = scf.for %i = %c0 to %whole step %c64 iter_args(%s = %zeros) -> (vector<64xf32>) {
          %v = vector.transfer_read %x[%i] : …, vector<64xf32>
          %next = arith.addf %s, %v fastmath<reassoc> : vector<64xf32>
        }
        %sum = vector.reduction <add>, %sums …

    All innermost loops of a function are rewritten, or none, where it has functions that are cheaper on whole registers
    (`EXPENSIVE`) or stores past the caches. Elsewhere long loops over its arguments are, where registers have a whole
    line: after a masked vector they go from line to line of what they write, else of what they read. The loops have
    arithmetic on f32 only, read and write elements next to each other (or one and the same), and carry sums, products,
    maxima or minima that may be reordered (`fastmath<reassoc>`).
    """

    name = "vectorize-loops"
    requires: ClassVar[frozenset[str]] = frozenset({"loops"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        bits = target_vector_bits(op)
        if TARGET not in op.attributes or bits < LEAST_BITS:
            return
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                _vectorize_in(function, bits // 32, streaming_threshold(op), memory_is_far(op))


def may_be_vectors(function: func.FuncOp, lanes: int) -> bool:
    """Whether the innermost loops of a function, all of them, can and will be rewritten."""
    loops = _loops_of(function, lanes)
    return bool(loops) and len(loops) == len(_innermost_loops(function))


def _innermost_loops(function: func.FuncOp) -> Sequence[Operation]:
    return [op for op in function.walk() if isinstance(op, scf.ForOp | scf.WhileOp) and _is_innermost(op)]


def _loops_of(function: func.FuncOp, lanes: int) -> Sequence[_Loop]:
    """The innermost loops of a function that are rewritten: all, if they can be and it is worth while, else those that
    are to go from line to line."""
    if any(isinstance(value.type, VectorType) for op in function.walk() for value in op.results):
        return []
    loops = _innermost_loops(function)
    read = [_Loop.read(op, lanes) for op in loops if isinstance(op, scf.ForOp)]
    found = [loop for loop in read if loop is not None]
    if len(found) == len(loops) and any(_is_worth_while(op) for op in function.walk()):
        return found
    return [loop for loop in found if _aligned_access(loop, lanes) is not None]


def _aligned_access(loop: _Loop, lanes: int) -> memref.LoadOp | memref.StoreOp | None:
    """What a loop writes to an argument, else reads from one, where it is to go from line to line of that.

    Buffers of our own begin where lines do; stores past the caches are whole lines already.
    """
    op, block = loop.op, loop.op.body.block
    lower, upper = known_index(op.lb), known_index(op.ub)
    if lanes * F32_BYTES != LINE_BYTES or not isinstance(lower, int) or not isinstance(upper, int):
        return None
    if any(isinstance(each, ROUNDED) for each in loop.combined):
        least = ALIGNED_SUMS
    else:
        moves = all(isinstance(each, memref.LoadOp) for each in block.ops if f32 in (one.type for one in each.results))
        least = ALIGNED_MOVES if moves else ALIGNED
    if upper - lower < least * lanes or SHORT in op.attributes or INDEPENDENT in op.attributes:
        return None
    stores = [each for each in block.ops if isinstance(each, memref.StoreOp)]
    if any(STREAMED in store.attributes for store in stores):
        return None
    for access in stores or [each for each in block.ops if isinstance(each, memref.LoadOp)]:
        if not access.indices or access.indices[-1] not in loop.moving:
            continue
        if isinstance(root_of(access.memref), BlockArgument) and None not in strides_of(memref_type(access.memref)):
            return access
    return None


def _vectorize_in(function: func.FuncOp, lanes: int, threshold: int | None, far: bool) -> None:
    """Rewrite the innermost loops of a function."""
    found = _loops_of(function, lanes)
    if not found:
        return
    constants = Constants(function.body.block)
    ahead = _prefetched([loop.op for loop in found], threshold, far)
    for loop in found:
        lines = _Lines.after(loop.op)
        _Rewriter(loop, lanes, constants, ahead.get(loop.op), lines).rewrite()
        if lines is not None:
            lines.copy.detach()
            lines.copy.erase()
    function.attributes[OPTIMIZED] = UnitAttr()
    erase_dead_ops(function.body.block)


def _is_worth_while(op: Operation) -> bool:
    return op.name in EXPENSIVE or (isinstance(op, memref.CopyOp | memref.StoreOp) and STREAMED in op.attributes)


def _prefetched(loops: Sequence[scf.ForOp], threshold: int | None, far: bool) -> dict[scf.ForOp, Ahead]:
    """What loops over rows of large arguments ask for ahead."""
    if threshold is None:
        return {}
    result: dict[scf.ForOp, Ahead] = {}
    blocks = {outer.body.block for loop in loops if (outer := _forall_around(loop)) is not None}
    for block in blocks:
        inside = [loop for loop in loops if (outer := _forall_around(loop)) is not None and outer.body.block is block]
        if any(INDEPENDENT in loop.attributes for loop in inside):
            continue
        heavy = [loop for loop in inside if any(op.name in EXPENSIVE for op in loop.body.block.ops)]
        result |= shares(block, heavy, inside, threshold, far)
    return result


def _forall_around(op: Operation) -> scf.ForallOp | None:
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, scf.ForallOp):
        parent = parent.parent_op()
    return parent


@dataclass(frozen=True)
class _Lines:
    """The copy of a piece of whole lines past the caches, which a loop fills: its stores may go there themselves."""

    copy: memref.CopyOp
    piece: SSAValue
    target: SSAValue
    start: SSAValue

    @staticmethod
    def after(loop: scf.ForOp) -> _Lines | None:
        """What follows a loop, if it is that."""
        view, copy = loop.next_op, loop.next_op.next_op if loop.next_op is not None else None
        if not isinstance(view, memref.SubviewOp) or not isinstance(copy, memref.CopyOp):
            return None
        if copy.attributes.get(STREAMED) != StringAttr(LINES) or copy.operands[1] is not view.result:
            return None
        source, offsets = memref_type(view.source), list(view.offsets)
        if source.get_num_dims() != 1 or len(offsets) != 1 or strides_of(source) != [1]:
            return None
        (length,) = memref_type(copy.operands[0]).get_shape()
        if length % LINE_ELEMENTS or known_index(loop.lb) != 0 or known_index(loop.ub) != length:
            return None
        stores = [op for op in loop.body.block.ops if isinstance(op, memref.StoreOp)]
        users = {use.operation for use in copy.operands[0].uses}
        if len(stores) != 1 or users != {stores[0], copy}:
            return None
        return _Lines(copy, copy.operands[0], view.source, offsets[0])


def _is_innermost(op: Operation) -> bool:
    return not any(inner.regions for region in op.regions for block in region.blocks for inner in block.ops)


@dataclass(frozen=True)
class _Loop:
    """A loop that can be rewritten: which values grow with it by one a step, and how what it carries is combined."""

    op: scf.ForOp
    moving: frozenset[SSAValue]
    combined: Sequence[Operation]

    @staticmethod
    def read(loop: scf.ForOp, lanes: int) -> _Loop | None:
        """A loop; None where it has no form with vectors."""
        if known_index(loop.step) != 1:
            return None
        lower, upper = known_index(loop.lb), known_index(loop.ub)
        if isinstance(lower, int) and isinstance(upper, int) and upper - lower < lanes:
            return None
        block = loop.body.block
        moving: set[SSAValue] = {block.args[0]}
        if not all(_is_understood(op, block, moving) for op in block.ops):
            return None
        if INDEPENDENT not in loop.attributes and not _is_independent(block):
            return None
        combined = _combined(loop)
        return None if combined is None else _Loop(loop, frozenset(moving), combined)


def _is_inside(value: SSAValue, block: Block) -> bool:
    return value.owner is block or (isinstance(value.owner, Operation) and value.owner.parent_block() is block)


def _is_understood(op: Operation, block: Block, moving: set[SSAValue]) -> bool:
    """Whether an op has a form with vectors; sums of the position and something fixed are added to `moving`."""
    if isinstance(op, scf.YieldOp):
        return True
    if isinstance(op, memref.LoadOp | memref.StoreOp):
        return _is_access(op, block, moving)
    if isinstance(op, arith.AddiOp) and op.result.type == INDEX:
        inside = [operand for operand in op.operands if _is_inside(operand, block)]
        if len(inside) != 1 or inside[0] not in moving:
            return False
        moving.add(op.result)
        return True
    if isinstance(op, TRAPPING) or op.regions or not op.name.startswith(("arith.", "math.")):
        return False
    return len(op.results) == 1 and all(value.type in (f32, i1) for value in (*op.operands, *op.results))


def _is_access(op: memref.LoadOp | memref.StoreOp, block: Block, moving: set[SSAValue]) -> bool:
    type_ = memref_type(op.memref)
    if type_.get_element_type() != f32 or _is_inside(op.memref, block):
        return False
    *leading, last = [None, *op.indices] if op.indices else [None, None]
    if any(index is not None and _is_inside(index, block) for index in leading):
        return False
    if last in moving:
        return strides_of(type_)[-1] == 1
    return isinstance(op, memref.LoadOp) and (last is None or not _is_inside(last, block))


def _is_independent(block: Block) -> bool:
    """Whether no step reads what another one writes; different arguments are different buffers, or read and written at
    the same positions."""
    stores = {root_of(op.memref): op for op in block.ops if isinstance(op, memref.StoreOp)}
    if len(stores) != sum(isinstance(op, memref.StoreOp) for op in block.ops):
        return False
    for op in block.ops:
        store = stores.get(root_of(op.memref)) if isinstance(op, memref.LoadOp) else None
        if store is not None and (op.operands[0] is not store.memref or list(op.operands[1:]) != list(store.indices)):
            return False
    return True


def _combined(loop: scf.ForOp) -> Sequence[Operation] | None:
    """The ops that give what the loop carries on; None where one is not to be reordered."""
    block = loop.body.block
    found: list[Operation] = []
    terminator = block.last_op
    for argument, value in zip(block.args[1:], terminator.operands if terminator is not None else (), strict=True):
        op = value.owner
        if not isinstance(op, arith.AddfOp | arith.MulfOp | arith.MaximumfOp | arith.MinimumfOp):
            return None
        if FastMathFlag.REASSOC not in op.fastmath.data or len(list(argument.uses)) != 1:
            return None
        if list(op.operands).count(argument) != 1 or len(list(value.uses)) != 1 or op.parent_block() is not block:
            return None
        found.append(op)
    return found


class _Rewriter:
    """Writes the loops with vectors for one loop."""

    def __init__(self, loop: _Loop, lanes: int, constants: Constants, ahead: Ahead | None, lines: _Lines | None):
        self.loop = loop
        self.lines = lines
        self.ahead = ahead
        self.op = loop.op
        self.block = loop.op.body.block
        self.lanes = lanes
        self.emitter = Emitter.ahead_of(loop.op, constants)
        self.fixed: dict[SSAValue, SSAValue] = {}
        self.in_order = False

    def rewrite(self) -> None:
        """Whole steps first, the rest masked; the loop is erased."""
        emitter = self.emitter
        self._read_ahead()
        results: list[SSAValue] = list(self.op.iter_args)
        lower, upper = known_index(self.op.lb), known_index(self.op.ub)
        step = self.lanes * (2 if any(op.name in EXPENSIVE for op in self.block.ops) else VECTORS)
        length = emitter.subtract(upper, lower)
        aligned = _aligned_access(self.loop, self.lanes) if self.lines is None else None
        if aligned is not None and isinstance(length, int):
            results = self._from_line_to_line(aligned, length, step, results)
        elif isinstance(length, int):
            whole = length // step * step
            results = self._section(lower, emitter.add(lower, whole), step, step, False, results)
            rest = length - whole
            if rest:
                width = -(-rest // self.lanes) * self.lanes
                start = emitter.add(lower, whole)
                results = self._section(start, emitter.add(start, rest), width, width, rest < width, results)
        else:
            start = lower
            if SHORT not in self.op.attributes:
                start = emitter.add(lower, emitter.round_down(emitter.maximum(length, 0), step))
                results = self._section(lower, start, step, step, False, results)
            results = self._section(start, upper, self.lanes, self.lanes, True, results)
        for old, new in zip(self.op.results, results, strict=True):
            old.replace_all_uses_with(new)
        self.op.detach()
        self.op.erase()

    def _from_line_to_line(
        self, access: memref.LoadOp | memref.StoreOp, length: int, step: int, results: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """A masked vector up to the first line of what is accessed, whole steps, whole vectors, masked ones."""
        emitter, lanes = self.emitter, self.lanes
        lower = known_index(self.op.lb)
        first = until_line(emitter, access.memref, self._offset(access, lower))
        if any(isinstance(op, ROUNDED) for op in self.loop.combined):
            return self._sums_from_line_to_line(first, length, step, results)
        start = emitter.add(lower, first)
        certain = length - (lanes - 1)
        whole = certain // step * step
        results = self._section(start, emitter.add(start, whole), step, step, False, results) if whole else results
        carried: Sequence[SSAValue] = self._neutral(lanes)
        carried = self._step(emitter, emitter.index(lower), lanes, self._mask(emitter, first, lanes), carried)
        start = emitter.add(start, whole)
        # What carries nothing reads all of its vectors before it writes any.
        vectors = (certain - whole) // lanes
        widths = [lanes] * vectors if self.loop.combined else [vectors * lanes] * (vectors > 0)
        for width in widths:
            carried = self._step(emitter, emitter.index(start), width, None, carried)
            start = emitter.add(start, width)
        upper = emitter.add(lower, length)
        for _ in range(ceil((length - whole - vectors * lanes) / lanes)):
            mask = self._mask(emitter, emitter.subtract(upper, start), lanes)
            carried = self._step(emitter, emitter.index(start), lanes, mask, carried)
            start = emitter.add(start, lanes)
        return self._totals(results, carried)

    def _sums_from_line_to_line(
        self, first: Index, length: int, step: int, results: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """Steps from the line in which the loop begins, the first and the last one masked.

        Sums are the same wherever the line begins: each lane adds up what is a whole number of steps apart, in order,
        and in the end the lanes are added by halves (see `reduce_registers`), which is the same from whichever lane on.
        """
        emitter = self.emitter
        lower = known_index(self.op.lb)
        behind = emitter.value(
            arith.AndIOp.create(
                operands=[emitter.index(emitter.subtract(0, first)), emitter.index(self.lanes - 1)],
                result_types=[INDEX],
            )
        )
        begin, upper = emitter.subtract(lower, behind), emitter.add(lower, length)
        mask_type = vector_of([step], i1)
        every = emitter.value(vector.ConstantMaskOp([step], [step]))
        inside = emitter.value(
            arith.XOrIOp.create(operands=[self._mask(emitter, behind, step), every], result_types=[mask_type])
        )
        self.in_order = True
        sums: Sequence[SSAValue] = self._step(emitter, emitter.index(begin), step, inside, self._neutral(step))
        begin = emitter.add(begin, step)
        end = emitter.add(begin, emitter.round_down(emitter.subtract(upper, begin), step))
        sums = emitter.for_loop(
            begin, end, step, sums, lambda inner, at, carried: self._step(inner, at, step, None, carried)
        )
        rest = self._mask(emitter, emitter.subtract(upper, end), step)
        sums = self._step(emitter, emitter.index(end), step, rest, sums)
        return self._totals(results, sums)

    def _offset(self, access: memref.LoadOp | memref.StoreOp, lower: Index) -> Index:
        """How far behind the beginning of its buffer the first element lies that is accessed."""
        emitter = self.emitter
        offset: Index = 0
        for index, stride in zip(access.indices, strides_of(memref_type(access.memref)), strict=True):
            at = self._moved(index, lower) if index in self.loop.moving else index
            offset = emitter.add(offset, emitter.multiply(at, stride or 0))
        return offset

    def _moved(self, index: SSAValue, position: Index) -> Index:
        """What grows with the position, at one."""
        if index is self.block.args[0]:
            return position
        total: Index = 0
        for operand in index.owner.operands if isinstance(index.owner, Operation) else ():
            total = self.emitter.add(total, self._moved(operand, position) if operand in self.loop.moving else operand)
        return total

    def _mask(self, emitter: Emitter, count: Index, width: int) -> SSAValue:
        """The mask of so many elements of one vector."""
        mask = vector.CreateMaskOp.create(operands=[emitter.index(count)], result_types=[vector_of([width], i1)])
        return emitter.value(mask)

    def _read_ahead(self) -> None:
        """Load what every step reads at the same place."""
        for op in self.block.ops:
            if isinstance(op, memref.LoadOp) and not any(index in self.loop.moving for index in op.indices):
                self.emitter.location = op.location
                self.fixed[op.results[0]] = self.emitter.load(op.memref, list(op.indices))
        self.emitter.location = self.op.location

    def _section(
        self, lower: Index, upper: Index, step: int, width: int, masked: bool, results: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """Steps of one width from `lower` to `upper`; scalars combined with what they give."""
        emitter = self.emitter
        length = emitter.subtract(upper, lower)
        if length == 0:
            return list(results)
        sums: Sequence[SSAValue] = self._neutral(width)
        if isinstance(length, int) and length <= STRAIGHT * step:
            for offset in range(0, length, step):
                count = min(length - offset, width)
                mask = None
                if masked and count < width:
                    mask = emitter.value(vector.ConstantMaskOp([count], [width]))
                sums = self._step(emitter, emitter.index(emitter.add(lower, offset)), width, mask, sums)
        else:

            def run(inner: Emitter, position: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
                mask = None
                if masked:
                    left = inner.index(inner.subtract(upper, position))
                    mask = inner.value(
                        vector.CreateMaskOp.create(operands=[left], result_types=[vector_of([width], i1)])
                    )
                return self._step(inner, position, width, mask, carried)

            sums = emitter.for_loop(lower, upper, step, sums, run)
        return self._totals(results, sums)

    def _neutral(self, width: int) -> list[SSAValue]:
        """Vectors of what changes nothing, one for each value that is carried."""
        type_ = vector_of([width], f32)
        return [self.emitter.splat(scalar_attribute(KINDS[type(op)][1], f32), type_) for op in self.loop.combined]

    def _totals(self, results: Sequence[SSAValue], sums: Sequence[SSAValue]) -> list[SSAValue]:
        """What is carried on: what was there before and the lanes."""
        return [
            self._total(op, start, vectors)
            for op, start, vectors in zip(self.loop.combined, results, sums, strict=True)
        ]

    def _total(self, op: Operation, start: SSAValue, vectors: SSAValue) -> SSAValue:
        """One scalar of the lanes and what was there before."""
        kind = CombiningKindAttr(KINDS[type(op)][0])
        flags = op.properties["fastmath"]
        lanes = self.emitter.value(
            vector.ReductionOp.create(
                operands=[vectors], result_types=[f32], properties={"kind": kind, "fastmath": flags}
            )
        )
        return self.emitter.value(
            type(op).create(operands=[start, lanes], result_types=[f32], properties=op.properties)
        )

    def _step(
        self, emitter: Emitter, position: SSAValue, width: int, mask: SSAValue | None, sums: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """The body at `width` positions; what it carries on."""
        known: dict[SSAValue, SSAValue] = {self.block.args[0]: position}
        known.update(zip(self.block.args[1:], sums, strict=True))
        carried = dict(zip(self.loop.combined, sums, strict=True))
        if self.ahead is not None and mask is None:
            self.ahead.emit(emitter, self._place(emitter, known), width)
        for op in self.block.ops:
            if isinstance(op, scf.YieldOp):
                return [known[value] for value in op.operands]
            emitter.location = op.location
            if isinstance(op, memref.StoreOp):
                self._write(emitter, op, known, width, mask)
                continue
            if isinstance(op, arith.ConstantOp):
                known[op.result] = self._vector(emitter, op.result, known, width)
            elif isinstance(op, memref.LoadOp):
                known[op.results[0]] = self._read(emitter, op, known, width, mask)
            elif op.results[0] in self.loop.moving:
                left, right = (known.get(operand, operand) for operand in op.operands)
                known[op.results[0]] = emitter.index(emitter.add(left, right))
            else:
                operands = [self._vector(emitter, operand, known, width) for operand in op.operands]
                each = at_shape(op, operands, [width])
                if self.in_order and op in carried:
                    each.properties = {**each.properties, "fastmath": vector.NO_FLAGS}
                value = emitter.value(each)
                if mask is not None and op in carried:
                    value = emitter.value(
                        arith.SelectOp.create(operands=[mask, value, carried[op]], result_types=[value.type])
                    )
                known[op.results[0]] = value
        return []

    def _place(self, emitter: Emitter, known: Mapping[SSAValue, SSAValue]) -> Index:
        """Where in its row a step begins."""
        total: Index = known[self.block.args[0]]
        outer = self.op.parent_op()
        return emitter.add(outer.body.block.args[0], total) if isinstance(outer, scf.ForOp) else total

    def _vector(self, emitter: Emitter, value: SSAValue, known: Mapping[SSAValue, SSAValue], width: int) -> SSAValue:
        """A value in all lanes."""
        found = known.get(value, value)
        if isinstance(found.type, VectorType):
            return found
        owner = found.owner
        if isinstance(owner, arith.ConstantOp):
            return emitter.splat(owner.value, vector_of([width], found.type))
        return self.emitter.computed(vector.BroadcastOp, (found,), vector_of([width], found.type))

    def _read(
        self,
        emitter: Emitter,
        op: memref.LoadOp,
        known: Mapping[SSAValue, SSAValue],
        width: int,
        mask: SSAValue | None,
    ) -> SSAValue:
        fixed = self.fixed.get(op.results[0])
        if fixed is not None:
            return fixed
        indices = [known.get(index, index) for index in op.indices]
        if AHEAD in op.attributes:
            self._ask(emitter, op, indices, width)
        return emitter.value(
            vector.TransferReadOp(
                op.memref,
                indices,
                emitter.scalar_constant(0.0, f32),
                vector_of([width], f32),
                ArrayAttr([TRUE]),
                _last_axis(len(indices)),
                mask,
            )
        )

    def _ask(self, emitter: Emitter, op: memref.LoadOp, indices: Sequence[SSAValue], width: int) -> None:
        """Prefetch what a later step or row reads."""
        distance = op.attributes[AHEAD]
        if not isinstance(distance, IntegerAttr):
            return
        for offset in range(0, width, LINE_ELEMENTS):
            place = emitter.index(emitter.add(indices[-1], distance.value.data + offset))
            emitter.append(memref.PrefetchOp(op.memref, [*indices[:-1], place], SECOND_CACHE))

    def _write(
        self,
        emitter: Emitter,
        op: memref.StoreOp,
        known: Mapping[SSAValue, SSAValue],
        width: int,
        mask: SSAValue | None,
    ) -> None:
        indices = [known.get(index, index) for index in op.indices]
        value = self._vector(emitter, op.value, known, width)
        lines = self.lines
        if lines is not None and op.memref is lines.piece:
            self._write_lines(emitter, value, lines.target, [emitter.index(emitter.add(lines.start, indices[0]))])
            return
        if STREAMED in op.attributes and mask is None:
            self._write_lines(emitter, value, op.memref, indices)
            return
        emitter.append(
            vector.TransferWriteOp(value, op.memref, indices, ArrayAttr([TRUE]), mask, _last_axis(len(indices)))
        )

    def _write_lines(self, emitter: Emitter, value: SSAValue, target: SSAValue, indices: Sequence[SSAValue]) -> None:
        """Store whole lines past the caches."""
        store = vector.StoreOp(value, target, indices, TRUE)
        store.attributes["alignment"] = IntegerAttr(4 * self.lanes, i64)
        emitter.append(store)


def _last_axis(rank: int) -> AffineMapAttr:
    return AffineMapAttr(AffineMap(rank, 0, (AffineDimExpr(rank - 1),)))
