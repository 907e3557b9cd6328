"""`vectorize-loops`: innermost loops of f32 become loops over explicit vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
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
from xdsl.ir import Block, Operation, SSAValue
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
from lamina.passes.loop.prefetch_rows import LINE_ELEMENTS, SECOND_CACHE, Ahead, shares
from lamina.passes.loop.stream_stores import SHORT
from lamina.passes.loop.streaming import AHEAD, INDEPENDENT, LINES, STREAMED, memory_is_far, streaming_threshold
from lamina.passes.loop.vector_access import TRAPPING, at_shape
from lamina.passes.registers import TARGET, target_vector_bits

INDEX = IndexType()
TRUE = BoolAttr.from_bool(True)

OPTIMIZED: Final = "lamina.optimized"
"""On functions: LLVM's pipeline is to run although they have explicit vectors."""

VECTORS: Final = 4
"""Vectors of one step of a loop: enough sums at a time to hide the latency of an addition."""

EXPENSIVE: Final = frozenset({"math.erf", "math.tanh", "math.exp"})

STRAIGHT: Final = 2
"""Up to so many steps are written one after the other, without a loop."""

LEAST_BITS: Final = 256
"""Narrower registers have no masks: there LLVM's vectorizer does as well."""

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

    All innermost loops of a function are rewritten, or none, and only where it has functions that are cheaper on whole
    registers (`EXPENSIVE`). The loops have arithmetic on f32 only, read and write elements next to each other (or one
    and the same), and carry sums, products, maxima or minima that may be reordered (`fastmath<reassoc>`).
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
    """Whether the innermost loops of a function can and will be rewritten."""
    return bool(_loops_of(function, lanes))


def _loops_of(function: func.FuncOp, lanes: int) -> Sequence[_Loop]:
    """The innermost loops of a function, if all of them can be rewritten and it is worth while."""
    if any(isinstance(value.type, VectorType) for op in function.walk() for value in op.results):
        return []
    loops = [op for op in function.walk() if isinstance(op, scf.ForOp | scf.WhileOp) and _is_innermost(op)]
    plain = [op for op in loops if isinstance(op, scf.ForOp)]
    if not plain or len(plain) != len(loops) or not any(_is_worth_while(op) for op in function.walk()):
        return []
    read = [_Loop.read(loop, lanes) for loop in plain]
    found = [loop for loop in read if loop is not None]
    return found if len(found) == len(plain) else []


def _vectorize_in(function: func.FuncOp, lanes: int, threshold: int | None, far: bool) -> None:
    """Rewrite the innermost loops of a function, if all of them can be."""
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

    def rewrite(self) -> None:
        """Whole steps first, the rest masked; the loop is erased."""
        emitter = self.emitter
        self._read_ahead()
        results: list[SSAValue] = list(self.op.iter_args)
        lower, upper = known_index(self.op.lb), known_index(self.op.ub)
        step = self.lanes * (2 if any(op.name in EXPENSIVE for op in self.block.ops) else VECTORS)
        length = emitter.subtract(upper, lower)
        if isinstance(length, int):
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
        type_ = vector_of([width], f32)
        sums: Sequence[SSAValue] = [
            emitter.splat(scalar_attribute(KINDS[type(op)][1], f32), type_) for op in self.loop.combined
        ]
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
                value = emitter.value(at_shape(op, operands, [width]))
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
