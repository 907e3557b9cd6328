"""Scalar bodies of structured ops, repeated at the positions that a thread has, and what kind of reduction they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from lamina.dialects.loop import arith, memref
from lamina.dialects.loop.types import is_integer, is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import Emitter, Index, memref_type
from lamina.passes.loop.structured import StructuredOp, body_block, emit_affine, iterators_of, maps_of


@dataclass(frozen=True)
class Kind:
    """A way to combine values: what changes nothing (by type; None: there is no such number), and gpu's name of it."""

    neutral: Callable[[Attribute], float | int | None]
    name: str


KINDS: Mapping[str, Kind] = {
    "arith.addf": Kind(lambda type_: -0.0, "add"),
    "arith.mulf": Kind(lambda type_: 1.0, "mul"),
    "arith.maximumf": Kind(lambda type_: -math.inf, "maximumf"),
    "arith.minimumf": Kind(lambda type_: math.inf, "minimumf"),
    "arith.addi": Kind(lambda type_: 0, "add"),
    "arith.muli": Kind(lambda type_: 1, "mul"),
    "arith.ori": Kind(lambda type_: 0, "or"),
    "arith.andi": Kind(lambda type_: -1, "and"),
    "arith.maxsi": Kind(lambda type_: signed_limit(type_, -1), "maxsi"),
    "arith.minsi": Kind(lambda type_: signed_limit(type_, 1), "minsi"),
    "arith.maxui": Kind(lambda type_: 0, "maxui"),
    "arith.minui": Kind(lambda type_: -1, "minui"),
}
"""By the op that combines the parts of a reduction."""


def signed_limit(type_: Attribute, sign: int) -> int | None:
    """The largest (sign 1) or smallest signed integer of a type; None for another type."""
    if not is_integer(type_):
        return None
    limit = 1 << (type_.width.data - 1)
    return limit - 1 if sign > 0 else -limit


Combine: TypeAlias = Callable[[Emitter, SSAValue, SSAValue], SSAValue]


@dataclass(frozen=True)
class Combiner:
    """How the parts of a reduction are put together: `op` stands at the end of the body."""

    op: Operation
    neutral: float | int
    kind: str

    def __call__(self, emitter: Emitter, left: SSAValue, right: SSAValue) -> SSAValue:
        """The op on two other values."""
        return emitter.value(
            type(self.op).create(
                operands=[left, right],
                result_types=[self.op.results[0].type],
                properties=dict(self.op.properties),
                attributes=dict(self.op.attributes),
            )
        )


def combiner_of(op: StructuredOp) -> Combiner | None:
    """How a reduction with one result may be cut into parts; None where it has to run in order, or is none.

    The result does not move with the reduced dims, and the body ends in `result <combined with> something`.
    """
    if isinstance(op, linalg.FillOp) or len(op.outputs) != 1:
        return None
    iterators = iterators_of(op)
    if all(iterators):
        return None
    block = body_block(op)
    terminator = block.last_op
    accumulator = block.args[-1]
    last = terminator.operands[0].owner if terminator is not None else None
    if not isinstance(last, Operation) or last.name not in KINDS or last.parent_block() is not block:
        return None
    if len(list(accumulator.uses)) != 1 or list(last.operands).count(accumulator) != 1:
        return None
    if any(not iterators[dim] for result in maps_of(op)[-1].results for dim in result.used_dims()):
        return None
    if any(inner.name == "memref.store" for inner in block.walk()):
        return None
    kind = KINDS[last.name]
    neutral = kind.neutral(accumulator.type)
    return None if neutral is None else Combiner(last, neutral, kind.name)


@dataclass(frozen=True)
class Extreme:
    """A reduction to the position of an extreme: results are the extreme and where it is; `last` of equal ones wins."""

    condition: SSAValue
    element: SSAValue
    last: bool

    def takes_second(
        self, emitter: Emitter, block: Block, first: Sequence[SSAValue], second: Sequence[SSAValue]
    ) -> SSAValue:
        """Whether of two parts, (extreme, position) each, the second is the result."""
        better, worse = (
            self._better(emitter, block, pair[0][0], pair[1][0]) for pair in ((second, first), (first, second))
        )
        predicate = "sgt" if self.last else "slt"
        position = emitter.value(arith.CmpiOp(second[1], first[1], predicate))
        differ = emitter.value(arith.XOrIOp(better, worse))
        return emitter.value(arith.SelectOp(differ, better, position))

    def _better(self, emitter: Emitter, block: Block, element: SSAValue, extreme: SSAValue) -> SSAValue:
        """The condition of the body on two other values."""
        known: dict[SSAValue, SSAValue] = {self.element: element, block.args[-2]: extreme}

        def value_of(value: SSAValue) -> SSAValue:
            owner = value.owner
            if value not in known and isinstance(owner, Operation) and owner.parent_block() is block:
                mapped = {operand: value_of(operand) for operand in owner.operands}
                copy = owner.clone(dict(mapped))
                known[value] = emitter.value(copy)
            return known.get(value, value)

        return value_of(self.condition)


LAST_PREDICATES = frozenset({"sge", "sle", "uge", "ule", "oge", "ole"})


def extreme_of(op: StructuredOp) -> Extreme | None:
    """How an op is a reduction to the position of an extreme; None where it is something else."""
    if isinstance(op, linalg.FillOp) or len(op.outputs) != 2:
        return None
    iterators = iterators_of(op)
    block = body_block(op)
    terminator = block.last_op
    if all(iterators) or terminator is None:
        return None
    moves = (dim for map_ in maps_of(op)[-2:] for result in map_.results for dim in result.used_dims())
    if any(not iterators[dim] for dim in moves):
        return None
    chosen = [value.owner for value in terminator.operands]
    if not all(isinstance(owner, arith.SelectOp) for owner in chosen):
        return None
    value, position = chosen
    assert isinstance(value, arith.SelectOp) and isinstance(position, arith.SelectOp)
    accumulators = block.args[-2:]
    if value.operands[0] is not position.operands[0]:
        return None
    if value.operands[2] is not accumulators[0] or position.operands[2] is not accumulators[1]:
        return None
    if not is_integer(position.operands[1].type):
        return None
    predicates = [inner.predicate_name for inner in block.ops if isinstance(inner, arith.CmpiOp | arith.CmpfOp)]
    return Extreme(value.operands[0], value.operands[1], any(name in LAST_PREDICATES for name in predicates))


def emit_body(
    emitter: Emitter, block: Block, arguments: Sequence[SSAValue | None], positions: Sequence[Index]
) -> list[SSAValue]:
    """A copy of a scalar body where `emitter` stands; the values that it yields.

    `arguments` stands for the block's arguments (None for those without uses), `positions` for the iteration dims.
    """
    known: dict[SSAValue, SSAValue] = {
        argument: value for argument, value in zip(block.args, arguments, strict=True) if value is not None
    }
    *ops, terminator = block.ops
    for op in ops:
        if isinstance(op, linalg.IndexOp):
            known[op.result] = emitter.index(positions[op.dim.value.data])
            continue
        copy = op.clone(dict(known))
        for inner in [inner for inner in copy.walk() if isinstance(inner, linalg.IndexOp)]:
            inner.result.replace_all_uses_with(emitter.index(positions[inner.dim.value.data]))
            inner.detach()
            inner.erase()
        emitter.append(copy)
        copy.location = op.location
        known.update(zip(op.results, copy.results, strict=True))
    return [known.get(value, value) for value in terminator.operands]


def argument_at(emitter: Emitter, operand: SSAValue, map_: AffineMap, positions: Sequence[Index]) -> SSAValue:
    """What an operand of a structured op is at some positions: an element of a buffer, or the scalar itself."""
    if not isinstance(operand.type, MemRefType):
        return operand
    return emitter.load(operand, [emit_affine(emitter, expression, positions) for expression in map_.results])


def flat_dims(map_: AffineMap, extents: Sequence[Index]) -> list[int] | None:
    """The dims of more than one position, where a map is those in order and nothing else; None for any other map."""
    dims: list[int] = []
    for result in map_.results:
        if isinstance(result, AffineConstantExpr) and result.value == 0:
            continue
        if not isinstance(result, AffineDimExpr):
            return None
        if extents[result.position] != 1:
            dims.append(result.position)
    return dims


def static_shape(buffer: SSAValue) -> Sequence[int]:
    """The sizes of a buffer, -1 for dynamic ones."""
    return memref_type(buffer).get_shape() if is_memref(buffer.type) else ()


def take_fill(op: StructuredOp, buffer: SSAValue) -> Attribute | None:
    """The constant that a buffer has been filled with just for `op`, whose fill is removed; None: there is none."""
    before = op.prev_op
    while before is not None:
        if isinstance(before, linalg.FillOp) and before.outputs[0] is buffer:
            value = before.operands[0].owner
            if not isinstance(value, arith.ConstantOp):
                return None
            before.detach()
            before.erase()
            return value.value
        if any(buffer in inner.operands for inner in before.walk()):
            return None
        before = before.prev_op
    return None


def forget(buffer: SSAValue) -> None:
    """Remove a buffer that only its release still uses."""
    users = [use.operation for use in buffer.uses]
    if not isinstance(buffer.owner, memref.AllocOp) or not all(isinstance(one, memref.DeallocOp) for one in users):
        return
    for one in users:
        one.detach()
        one.erase()
    buffer.owner.detach()
    buffer.owner.erase()
