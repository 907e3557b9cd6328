"""Buffers of entry functions get places in one arena, whose size is known before the function runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, FixedBitwidthType, ModuleOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.dialects.graph.dims import Dim
from lamina.dialects.loop import arith, memref, scf
from lamina.passes.base import LaminaPass
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import INDEX, Constants, Emitter, Index, known_index, memref_type
from lamina.passes.loop.entry_points import OUTPUT, PLAN_SUFFIX, dynamic_sizes, plan_leaf
from lamina.passes.loop.sizes import NotComputable, SizeCloner, SizeExpressions, named_sizes

VIEWS = (memref.CastOp, memref.ReinterpretCastOp, memref.SubviewOp, memref.CollapseShapeOp, memref.ExpandShapeOp)


@dataclass(frozen=True)
class PlanArenaPass(LaminaPass):
    """Replace `memref.alloc` in entry functions by views of the arena, and let the plan return the arena's size.

        func.func @main(%arena: memref<?xi8>, …) { %a = memref.alloc() : memref<16xf32> … memref.dealloc %a }
        func.func @main.plan() -> index { return %c0 }
    →
        func.func @main(%arena: memref<?xi8>, …) { %a = memref.view %arena[%c0][] : memref<?xi8> to memref<16xf32> … }
        func.func @main.plan() -> index { return %c64 }

    Offsets are multiples of 64 bytes. Buffers whose lifetimes do not overlap share memory: static ones by the best fit,
    those of symbolic size where the sizes are equal. A buffer used in `scf.if` or `scf.while` lives as long as that op.
    Buffers whose size depends on data stay `memref.alloc` and `memref.dealloc`.
    """

    name = "plan-arena"
    requires: ClassVar[frozenset[str]] = frozenset({"buffers"})
    ensures: ClassVar[frozenset[str]] = frozenset({"arena-planned"})
    counters: ClassVar[Mapping[str, str]] = {
        "placed": "buffers with a place in the arena",
        "static-bytes": "bytes of the arena for buffers of static size",
        "slots": "stretches of the arena for buffers of symbolic size",
    }

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {function.sym_name.data: function for function in op.ops if isinstance(function, func.FuncOp)}
        for name, function in functions.items():
            plan = functions.get(name + PLAN_SUFFIX)
            if plan is not None and function.body.blocks:
                for counter, amount in _ArenaPlanner(function, plan).run().items():
                    self.count(counter, amount)
                erase_dead_ops(function.body.block)
                erase_dead_ops(plan.body.block)


@dataclass
class _Placement:
    """A buffer to be placed: how many bytes, and from which to which op of the function's block it lives."""

    op: memref.AllocOp
    size: Dim
    first: int
    last: int
    offset: int = 0

    def overlaps(self, other: _Placement) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass
class _Slot:
    """A stretch of the arena of symbolic size, with the buffers that take turns in it."""

    placements: list[_Placement] = field(default_factory=list[_Placement])

    def is_free_for(self, placement: _Placement) -> bool:
        return not any(other.overlaps(placement) for other in self.placements)


class _ArenaPlanner:
    """Places the buffers of one function."""

    def __init__(self, function: func.FuncOp, plan: func.FuncOp):
        self.plan = plan
        self.block = function.body.block
        outputs = sum(1 for item in function.arg_attrs or () if OUTPUT in item.data)
        self.dynamic = dynamic_sizes(self.block.args[1 : len(self.block.args) - outputs])
        self.expressions = SizeExpressions(named_sizes(function))

    def run(self) -> Mapping[str, int]:
        """Place what can be placed, in the function and in its plan; gives the pass's counters."""
        placements = self._placements()
        static = [placement for placement in placements if isinstance(placement.size, int)]
        static_bytes = place_static(static)
        slots = self._slots([placement for placement in placements if not isinstance(placement.size, int)])
        emitter, cloner = self._at_entry()
        offsets, _ = self._offsets(emitter, cloner, static_bytes, slots)
        self._emit_plan(static_bytes, slots)
        for placement in static:
            self._replace(placement.op, emitter, placement.offset)
        for slot, offset in zip(slots, offsets, strict=True):
            for placement in slot.placements:
                self._replace(placement.op, emitter, offset)
        return {"placed": len(placements), "static-bytes": static_bytes, "slots": len(slots)}

    def _placements(self) -> list[_Placement]:
        positions = {op: position for position, op in enumerate(self.block.ops)}

        def position(op: Operation) -> int:
            ancestor = self.block.find_ancestor_op_in_block(op)
            return positions[op if ancestor is None else ancestor]

        found: list[_Placement] = []
        for op in self.block.walk():
            if isinstance(op, memref.AllocOp) and not _is_in_parallel_loop(op) and self._is_computable(op):
                uses = [position(user) for user in users_through_views(op.memref)] or [position(op)]
                found.append(_Placement(op, self._bytes(op), min(uses), max(uses)))
        return found

    def _is_computable(self, op: memref.AllocOp) -> bool:
        scratch = Block(arg_types=[INDEX] * len(self.dynamic))
        leaf = plan_leaf(dict(zip(self.dynamic, scratch.args, strict=True)))
        cloner = SizeCloner(Emitter(scratch, Constants(scratch), op.location), leaf)
        try:
            for size in op.dynamic_sizes:
                cloner.value(size)
        except NotComputable:
            return False
        return True

    def _bytes(self, op: memref.AllocOp) -> Dim:
        type_ = memref_type(op.memref)
        total: Dim = element_bytes(type_.get_element_type())
        dynamic = iter(op.dynamic_sizes)
        for size in type_.get_shape():
            total = total * (self.expressions.of(next(dynamic)) if size == DYNAMIC_INDEX else size)
        return total

    def _slots(self, placements: Sequence[_Placement]) -> list[_Slot]:
        slots: dict[Dim, list[_Slot]] = {}
        for placement in placements:
            candidates = slots.setdefault(placement.size, [])
            slot = next((slot for slot in candidates if slot.is_free_for(placement)), None)
            if slot is None:
                slot = _Slot()
                candidates.append(slot)
            slot.placements.append(placement)
        return [slot for candidates in slots.values() for slot in candidates]

    def _at_entry(self) -> tuple[Emitter, SizeCloner]:
        """Where the function computes offsets: before anything else, from the sizes of its inputs."""
        first = next(op for op in self.block.ops if not isinstance(op, arith.ConstantOp))
        emitter = Emitter.ahead_of(first, Constants(self.block))
        inputs = set(self.dynamic)

        def leaf(value: SSAValue) -> Index | None:
            owner = value.owner
            axis = known_index(owner.index) if isinstance(owner, memref.DimOp) else None
            if not isinstance(owner, memref.DimOp) or not isinstance(axis, int) or (owner.source, axis) not in inputs:
                return None
            return emitter.computed(memref.DimOp, (owner.source, emitter.index(axis)), INDEX)

        return emitter, SizeCloner(emitter, leaf)

    def _offsets(
        self, emitter: Emitter, cloner: SizeCloner, static_bytes: int, slots: Sequence[_Slot]
    ) -> tuple[list[Index], Index]:
        """Where the slots begin, and where the last one ends."""
        offsets: list[Index] = []
        end: Index = static_bytes
        for slot in slots:
            offsets.append(end)
            op = slot.placements[0].op
            type_ = memref_type(op.memref)
            static = prod(size for size in type_.get_shape() if size != DYNAMIC_INDEX)
            elements = emitter.product([cloner.value(size) for size in op.dynamic_sizes])
            size = emitter.multiply(elements, static * element_bytes(type_.get_element_type()))
            end = emitter.add(end, emitter.multiply(emitter.ceil_divide(size, ALIGNMENT), ALIGNMENT))
        return offsets, end

    def _emit_plan(self, static_bytes: int, slots: Sequence[_Slot]) -> None:
        block = self.plan.body.block
        terminator = block.last_op
        if terminator is None:
            return
        emitter = Emitter.ahead_of(terminator, Constants(block))
        leaf = plan_leaf(dict(zip(self.dynamic, block.args, strict=True)))
        _, end = self._offsets(emitter, SizeCloner(emitter, leaf), static_bytes, slots)
        terminator.operands[0] = emitter.index(end)

    def _replace(self, op: memref.AllocOp, entry: Emitter, offset: Index) -> None:
        emitter = Emitter.ahead_of(op, entry.constants)
        view = emitter.value(
            memref.ViewOp(self.block.args[0], emitter.index(offset), op.dynamic_sizes, memref_type(op.memref))
        )
        for use in list(op.memref.uses):
            if isinstance(use.operation, memref.DeallocOp):
                use.operation.detach()
                use.operation.erase()
        op.memref.replace_all_uses_with(view)
        op.detach()
        op.erase()


def place_static(placements: Sequence[_Placement]) -> int:
    """Give buffers of static size their offsets, the largest first, each in the smallest gap; the bytes in all."""
    placed: list[_Placement] = []
    total = 0
    for placement in sorted(placements, key=lambda item: -_static_bytes(item)):
        size = _static_bytes(placement)
        gaps: list[tuple[int, int]] = []
        end = 0
        for other in sorted((item for item in placed if item.overlaps(placement)), key=lambda item: item.offset):
            if other.offset - end >= size:
                gaps.append((other.offset - end, end))
            end = max(end, other.offset + _static_bytes(other))
        placement.offset = min(gaps)[1] if gaps else end
        total = max(total, placement.offset + size)
        placed.append(placement)
    return total


def _static_bytes(placement: _Placement) -> int:
    """The aligned size of a buffer of static size."""
    size = placement.size if isinstance(placement.size, int) else 0
    return -(-size // ALIGNMENT) * ALIGNMENT


def _is_in_parallel_loop(op: Operation) -> bool:
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, scf.ForallOp):
        parent = parent.parent_op()
    return parent is not None


def element_bytes(type_: Attribute) -> int:
    """Bytes of an element in memory: at least one; an index has eight."""
    return -(-type_.bitwidth // 8) if isinstance(type_, FixedBitwidthType) else 8


def users_through_views(buffer: SSAValue) -> list[Operation]:
    """All ops that use a buffer, or a view of it, its release excepted."""
    users: list[Operation] = []
    for use in buffer.uses:
        if isinstance(use.operation, memref.DeallocOp):
            continue
        users.append(use.operation)
        if isinstance(use.operation, VIEWS):
            users += users_through_views(use.operation.results[0])
    return users
