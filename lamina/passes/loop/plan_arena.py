"""Buffers of entry functions get places in one arena, whose size is known before the function runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, FixedBitwidthType, ModuleOp, UnrealizedConversionCastOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from lamina.dialects.graph.dims import Dim, bounds
from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.traits import DescribesBuffer
from lamina.passes.base import LaminaPass
from lamina.passes.loop.arena import Lifetime, aligned, stack
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import INDEX, Constants, Emitter, Index, known_index, memref_type
from lamina.passes.loop.entry_points import OUTPUT, PLAN_SUFFIX, dynamic_sizes, plan_leaf
from lamina.passes.loop.sizes import NotComputable, SizeCloner, SizeExpressions, named_sizes

VIEWS = (
    memref.CastOp,
    memref.ReinterpretCastOp,
    memref.SubviewOp,
    memref.CollapseShapeOp,
    memref.ExpandShapeOp,
    UnrealizedConversionCastOp,
)


@dataclass(frozen=True)
class PlanArenaPass(LaminaPass):
    """Replace `memref.alloc` in entry functions by views of the arena, and let the plan return the arena's size.

        func.func @main(%arena: memref<?xi8>, …) { %a = memref.alloc() : memref<16xf32> … memref.dealloc %a }
        func.func @main.plan() -> index { return %c0 }
    →
        func.func @main(%arena: memref<?xi8>, …) { %a = memref.view %arena[%c0][] : memref<?xi8> to memref<16xf32> … }
        func.func @main.plan() -> index { return %c64 }

    Offsets are multiples of 64 bytes, and functions of the sizes. Buffers whose lifetimes do not overlap share memory,
    whatever their sizes (`lamina.passes.loop.arena`). A buffer lives from its first use to its last one; a use inside
    `scf.if`, `scf.for` or `scf.while` counts as the whole op, unless the buffer is made in there as well. Buffers
    whose size depends on data stay `memref.alloc` and `memref.dealloc`.
    """

    name = "plan-arena"
    requires: ClassVar[frozenset[str]] = frozenset({"buffers"})
    ensures: ClassVar[frozenset[str]] = frozenset({"arena-planned"})
    counters: ClassVar[Mapping[str, str]] = {
        "placed": "buffers with a place in the arena",
        "symbolic": "those of symbolic size",
    }

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function, plan in entry_functions(op):
            buffers = arena_buffers(function)
            if buffers:
                _Arena(function, plan, buffers).place()
            self.count("placed", len(buffers))
            self.count("symbolic", sum(1 for buffer in buffers if not isinstance(buffer.lifetime.size, int)))
            erase_dead_ops(function.body.block)
            erase_dead_ops(plan.body.block)


def entry_functions(module: ModuleOp) -> list[tuple[func.FuncOp, func.FuncOp]]:
    """The functions that have an arena, each with its plan."""
    functions = {function.sym_name.data: function for function in module.ops if isinstance(function, func.FuncOp)}
    return [
        (function, functions[name + PLAN_SUFFIX])
        for name, function in functions.items()
        if function.body.blocks and name + PLAN_SUFFIX in functions
    ]


@dataclass(frozen=True)
class ArenaBuffer:
    """A buffer of an entry function that can have a place in the arena."""

    op: memref.AllocOp
    lifetime: Lifetime


def arena_buffers(function: func.FuncOp) -> list[ArenaBuffer]:
    """The buffers of an entry function whose sizes follow from those of its inputs, in order."""
    dynamic = input_sizes(function)
    expressions = SizeExpressions(named_sizes(function))
    spans = _spans(function.body.block)
    return [
        ArenaBuffer(op, Lifetime(aligned(_bytes(op, expressions)), *_lifetime(op, function.body.block, spans)))
        for op in function.body.block.walk()
        if isinstance(op, memref.AllocOp) and not _is_in_parallel_loop(op) and _is_computable(op, dynamic)
    ]


def input_sizes(function: func.FuncOp) -> list[tuple[SSAValue, int]]:
    """The dynamic sizes of an entry function's inputs, as its plan takes them."""
    arguments = function.body.block.args
    outputs = sum(1 for item in function.arg_attrs or () if OUTPUT in item.data)
    return dynamic_sizes(arguments[1 : len(arguments) - outputs])


# Lifetimes

_Span = tuple[int, int]


def _spans(block: Block) -> dict[Operation, _Span]:
    """The numbers of the ops in a block and in their regions, in textual order: of an op itself and of its end."""
    spans: dict[Operation, _Span] = {}
    count = 0

    def number(block: Block) -> None:
        nonlocal count
        for op in block.ops:
            first = count
            count += 1
            for region in op.regions:
                for inner in region.blocks:
                    number(inner)
            spans[op] = (first, count)
            count += 1

    number(block)
    return spans


def _lifetime(op: memref.AllocOp, function: Block, spans: Mapping[Operation, _Span]) -> _Span:
    """From the first use to the last one, as ops of the block that the buffer is made in."""
    users = users_through_views(op.memref) or [op]
    home = op.parent_block() or function
    if any(user.has_trait(IsTerminator) for user in users):
        # Handed on to the next iteration, or out of the region: it lives as long as the outermost op around it.
        users, home = [op, *users], function
    found = [spans[home.find_ancestor_op_in_block(user) or user] for user in users]
    return min(first for first, _ in found), max(last for _, last in found)


def _is_in_parallel_loop(op: Operation) -> bool:
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, scf.ForallOp):
        parent = parent.parent_op()
    return parent is not None


# Sizes


def _is_computable(op: memref.AllocOp, dynamic: Sequence[tuple[SSAValue, int]]) -> bool:
    scratch = Block(arg_types=[INDEX] * len(dynamic))
    leaf = plan_leaf(dict(zip(dynamic, scratch.args, strict=True)))
    cloner = SizeCloner(Emitter(scratch, Constants(scratch), op.location), leaf)
    try:
        for size in op.dynamic_sizes:
            cloner.value(size)
    except NotComputable:
        return False
    return True


def _bytes(op: memref.AllocOp, expressions: SizeExpressions) -> Dim:
    type_ = memref_type(op.memref)
    total: Dim = element_bytes(type_.get_element_type())
    dynamic = iter(op.dynamic_sizes)
    for size in type_.get_shape():
        total = total * (expressions.of(next(dynamic)) if size == DYNAMIC_INDEX else size)
    return total


# Places


class _Arena:
    """Places the buffers of one function."""

    def __init__(self, function: func.FuncOp, plan: func.FuncOp, buffers: Sequence[ArenaBuffer]):
        self.plan = plan
        self.block = function.body.block
        self.dynamic = input_sizes(function)
        self.buffers = buffers
        self.stack = stack([buffer.lifetime for buffer in buffers])

    def place(self) -> None:
        """Place the buffers in the function, and return the arena's size from its plan."""
        first = next(op for op in self.block.ops if not isinstance(op, arith.ConstantOp))
        emitter = Emitter.ahead_of(first, Constants(self.block))
        offsets, _ = self._offsets(emitter, SizeCloner(emitter, self._leaf(emitter)))
        for index, buffer in enumerate(self.buffers):
            self._replace(buffer.op, emitter, offsets[index])
        block = self.plan.body.block
        terminator = block.last_op
        if terminator is None:
            return
        emitter = Emitter.ahead_of(terminator, Constants(block))
        leaf = plan_leaf(dict(zip(self.dynamic, block.args, strict=True)))
        _, end = self._offsets(emitter, SizeCloner(emitter, leaf))
        terminator.operands[0] = emitter.index(end)

    def _leaf(self, emitter: Emitter) -> Callable[[SSAValue], Index | None]:
        """The sizes of the function's inputs, read before anything else."""
        inputs = set(self.dynamic)

        def leaf(value: SSAValue) -> Index | None:
            owner = value.owner
            axis = known_index(owner.index) if isinstance(owner, memref.DimOp) else None
            if not isinstance(owner, memref.DimOp) or not isinstance(axis, int) or (owner.source, axis) not in inputs:
                return None
            return emitter.computed(memref.DimOp, (owner.source, emitter.index(axis)), INDEX)

        return leaf

    def _offsets(self, emitter: Emitter, cloner: SizeCloner) -> tuple[dict[int, Index], Index]:
        """Where the buffers begin, and where the arena ends."""
        offsets: dict[int, _Place] = {}
        ends: dict[int, _Place] = {}
        for index in self.stack.order:
            offsets[index] = start = _highest(emitter, [ends[other] for other in self.stack.below[index]])
            size = self._size(emitter, cloner, self.buffers[index])
            ends[index] = _Place(
                emitter.add(start.value, size.value),
                _highest_of([low + high for low in start.sizes for high in size.sizes]),
            )
        supports = {other for below in self.stack.below for other in below}
        top = _highest(emitter, [end for index, end in ends.items() if index not in supports])
        return {index: place.value for index, place in offsets.items()}, top.value

    @staticmethod
    def _size(emitter: Emitter, cloner: SizeCloner, buffer: ArenaBuffer) -> _Place:
        size = buffer.lifetime.size
        if isinstance(size, int):
            return _Place(size, (size,))
        type_ = memref_type(buffer.op.memref)
        static = prod(size for size in type_.get_shape() if size != DYNAMIC_INDEX)
        static *= element_bytes(type_.get_element_type())
        elements = emitter.product([cloner.value(size) for size in buffer.op.dynamic_sizes])
        bytes_ = emitter.multiply(elements, static)
        if static % ALIGNMENT == 0:
            return _Place(bytes_, (size,))
        return _Place(emitter.multiply(emitter.ceil_divide(bytes_, ALIGNMENT), ALIGNMENT), (size,))

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


MAX_ALTERNATIVES = 8
"""Where more sizes may be the largest, an offset is not compared with others any more."""


@dataclass(frozen=True)
class _Place:
    """An offset as a value, and the sizes of which it is the largest; none where they are too many.

    A list, because expressions of maxima of sums of maxima would double in length from buffer to buffer.
    """

    value: Index
    sizes: tuple[Dim, ...]

    def never_above(self, other: _Place) -> bool:
        """Whether this offset is at most the other one for all sizes."""
        return bool(self.sizes) and all(any(_never_above(mine, high) for high in other.sizes) for mine in self.sizes)


def _highest(emitter: Emitter, places: Sequence[_Place]) -> _Place:
    """The largest of some offsets; those that are never above another one take no part."""
    highest: list[_Place] = []
    for place in places:
        if any(place.never_above(other) for other in highest):
            continue
        highest = [other for other in highest if not other.never_above(place)]
        highest.append(place)
    if not highest:
        return _Place(0, (0,))
    value = highest[0].value
    for place in highest[1:]:
        value = emitter.maximum(value, place.value)
    if not all(place.sizes for place in highest):
        return _Place(value, ())
    return _Place(value, _highest_of([size for place in highest for size in place.sizes]))


def _highest_of(sizes: Sequence[Dim]) -> tuple[Dim, ...]:
    """Sizes without those that are never above another one; none where more than `MAX_ALTERNATIVES` are left."""
    highest: list[Dim] = []
    for size in dict.fromkeys(sizes):
        if any(_never_above(size, other) for other in highest):
            continue
        highest = [other for other in highest if not _never_above(other, size)]
        highest.append(size)
    return tuple(highest) if len(highest) <= MAX_ALTERNATIVES else ()


def _never_above(left: Dim, right: Dim) -> bool:
    return bounds(right - left)[0] >= 0


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
        if isinstance(use.operation, VIEWS) or use.operation.has_trait(DescribesBuffer):
            users += users_through_views(use.operation.results[0])
    return users
