"""The stages of an attention as `graph-to-linalg` makes them, read back; and their bodies, wherever a thread stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects.builtin import AnyFloat, DictionaryAttr, Float32Type, FloatAttr, StringAttr
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_memref, is_tensor
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.bodies import argument_at
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import axes_of, body_block, extent, iterators_of, maps_of

BLOCKS = "lamina.blocks"
ROW, COLUMN, FEATURE, OUTPUT = "m", "n", "d", "e"
"""The attribute by which the stages of an attention are known, and their axes: queries, keys, features of both."""

Known: TypeAlias = "Mapping[linalg.GenericOp, SSAValue]"
"""Elements, by the stage that has computed them."""


@dataclass(frozen=True)
class Attention:
    """The stages of an attention, as `graph-to-linalg` makes them; `masked` where there is a mask."""

    query: linalg.GenericOp
    scores: linalg.GenericOp
    masked: linalg.GenericOp | None
    maxima: linalg.GenericOp
    weights: linalg.GenericOp
    sums: linalg.GenericOp
    mixture: linalg.GenericOp
    result: linalg.GenericOp

    @staticmethod
    def of(ops: Sequence[linalg.GenericOp]) -> Attention | None:
        """The attention that stages are, in order; None where they are something else."""
        if len(ops) not in (7, 8):
            return None
        query, scores, *masked, maxima, weights, sums, mixture, result = ops
        expected = [(query, None), (scores, FEATURE), *((one, None) for one in masked), (maxima, COLUMN)]
        expected += [(weights, None), (sums, COLUMN), (mixture, COLUMN), (result, None)]
        if any(_reduced_axis(op) != axis or len(op.outputs) != 1 for op, axis in expected):
            return None
        found = Attention(query, scores, masked[0] if masked else None, maxima, weights, sums, mixture, result)
        return found if found._is_complete() else None

    def _is_complete(self) -> bool:
        if any(not isinstance(body_block(op).args[-1].type, Float32Type) for op in self.ops[:-1]):
            return False
        if not isinstance(body_block(self.result).args[-1].type, AnyFloat):
            return False
        if any(inner.regions for op in self.ops for inner in body_block(op).ops):
            return False
        factors = other_factor(self.scores, self.query), other_factor(self.mixture, self.weights)
        return None not in factors and {ROW, FEATURE} <= set(axes_of(self.query) or ())

    @property
    def ops(self) -> list[linalg.GenericOp]:
        """All stages in order."""
        masked = [] if self.masked is None else [self.masked]
        rest = [self.maxima, self.weights, self.sums, self.mixture, self.result]
        return [self.query, self.scores, *masked, *rest]

    @property
    def limit(self) -> str | None:
        """From where causal attention counts, `start` or `end`; None where every query sees every key."""
        blocks = self.maxima.attributes.get(BLOCKS)
        limit = blocks.data.get("limit") if isinstance(blocks, DictionaryAttr) else None
        return limit.data if isinstance(limit, StringAttr) else None

    @property
    def sources(self) -> tuple[Source, Source, Source] | None:
        """Query, key and value as they lie in memory; None where one is computed, or their types differ."""
        last = body_block(self.query).last_op
        key, value = other_factor(self.scores, self.query), other_factor(self.mixture, self.weights)
        if last is None or key is None or value is None:
            return None
        queries, keys, values = (
            Source.of(self.query, last.operands[0]),
            Source.of(self.scores, key),
            Source.of(self.mixture, value),
        )
        if queries is None or keys is None or values is None or (keys.scale, values.scale) != (1, 1):
            return None
        return (queries, keys, values) if queries.element == keys.element == values.element else None

    @property
    def outer(self) -> list[str]:
        """The axes of batches and heads."""
        return [name for name in axes_of(self.maxima) or () if name not in (ROW, COLUMN)]


@dataclass(frozen=True)
class Source:
    """An operand of an attention: what a stage reads, where, and by what it multiplies it."""

    op: linalg.GenericOp
    operand: SSAValue
    map: AffineMap
    scale: float

    @property
    def element(self) -> Attribute:
        """The type of its elements."""
        type_ = self.operand.type
        return type_.get_element_type() if is_memref(type_) or is_tensor(type_) else type_

    @property
    def shape(self) -> Sequence[int]:
        """Its sizes, -1 for dynamic ones."""
        type_ = self.operand.type
        return type_.get_shape() if is_memref(type_) or is_tensor(type_) else ()

    def dim(self, name: str) -> int:
        """The number of an axis of the stage."""
        return (axes_of(self.op) or []).index(name)

    @staticmethod
    def of(op: linalg.GenericOp, value: SSAValue) -> Source | None:
        """The operand that a value of a body is, widened and multiplied by a constant at most."""
        scale = 1.0
        if isinstance(value.owner, arith.MulfOp):
            value, factor = value.owner.operands
            constant = factor.owner
            number = constant.value if isinstance(constant, arith.ConstantOp) else None
            if not isinstance(number, FloatAttr):
                return None
            scale = float(number.value.data)
        if isinstance(value.owner, arith.ExtFOp):
            value = value.owner.operands[0]
        if not isinstance(value, BlockArgument) or value.owner is not body_block(op) or value.index >= len(op.inputs):
            return None
        operand = op.operands[value.index]
        if not is_memref(operand.type) and not is_tensor(operand.type):
            return None
        return Source(op, operand, maps_of(op)[value.index], scale)


def _reduced_axis(op: linalg.GenericOp) -> str | None:
    """The one axis that an op reduces, None where it has none; an empty text where there are more."""
    names = axes_of(op) or []
    reduced = [name for name, parallel in zip(names, iterators_of(op), strict=True) if not parallel]
    return None if not reduced else reduced[0] if len(reduced) == 1 else ""


def _argument_of(op: linalg.GenericOp, source: linalg.GenericOp) -> int | None:
    """The number of the input that another stage has computed."""
    made = {*source.outputs, *source.results}
    found = [number for number, operand in enumerate(op.inputs) if operand in made]
    return found[0] if len(found) == 1 else None


def other_factor(op: linalg.GenericOp, source: linalg.GenericOp) -> SSAValue | None:
    """What a product multiplies with what another stage has computed; None where it is no product."""
    number = _argument_of(op, source)
    block = body_block(op)
    last = block.last_op
    total = None if last is None else last.operands[0].owner
    if number is None or not isinstance(total, arith.AddfOp) or total.operands[0] is not block.args[-1]:
        return None
    product = total.operands[1].owner
    if not isinstance(product, arith.MulfOp) or block.args[number] not in product.operands:
        return None
    others = [operand for operand in product.operands if operand is not block.args[number]]
    return others[0] if len(others) == 1 else None


def sizes_of(emitter: Emitter, attention: Attention) -> dict[str, Index]:
    """The sizes of all axes."""
    sizes: dict[str, Index] = {}
    for op in attention.ops:
        for dim, name in enumerate(axes_of(op) or ()):
            known = sizes.get(name)
            if known is None or (not isinstance(known, int) and isinstance(static_extent(op, dim), int)):
                sizes[name] = extent(emitter, op, dim)
    return sizes


def static_extent(op: linalg.GenericOp, dim: int) -> int | None:
    """The size of an iteration dim, None where no buffer says it."""
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        shape = operand.type.get_shape() if is_memref(operand.type) else ()
        for result, size in zip(map_.results, shape, strict=False):
            if isinstance(result, AffineDimExpr) and result.position == dim and size >= 0:
                return size
    return None


class StageBodies:
    """Emits what the bodies of stages compute; values by axis name say where a body stands."""

    def positions(self, op: linalg.GenericOp, at: Mapping[str, Index]) -> list[Index]:
        return [at.get(name, 0) for name in axes_of(op) or ()]

    def result(
        self,
        emitter: Emitter,
        op: linalg.GenericOp,
        at: Mapping[str, Index],
        known: Known,
        accumulator: SSAValue | None = None,
    ) -> SSAValue:
        """What a stage's body gives somewhere; `known` are the elements that other stages have computed."""
        terminator = body_block(op).last_op
        assert terminator is not None
        return self.value(emitter, op, terminator.operands[0], at, known, accumulator)

    def value(
        self,
        emitter: Emitter,
        op: linalg.GenericOp,
        value: SSAValue,
        at: Mapping[str, Index],
        known: Known,
        accumulator: SSAValue | None = None,
    ) -> SSAValue:
        """A value of a stage's body somewhere: what it needs is emitted, and no more."""
        block, positions, maps = body_block(op), self.positions(op, at), maps_of(op)
        buffers = {source.outputs[0]: element for source, element in known.items()}
        found: dict[SSAValue, SSAValue] = {}

        def of(wanted: SSAValue) -> SSAValue:
            if wanted in found:
                return found[wanted]
            owner = wanted.owner
            if isinstance(owner, Block):
                if owner is not block:
                    return wanted
                number = block.args.index(wanted)  # pyright: ignore[reportArgumentType]
                operand = op.operands[number]
                if number >= len(op.inputs) and accumulator is not None:
                    found[wanted] = accumulator
                elif operand in buffers:
                    found[wanted] = buffers[operand]
                else:
                    found[wanted] = argument_at(emitter, operand, maps[number], positions)
                return found[wanted]
            if owner.parent_block() is not block:
                return wanted
            if isinstance(owner, linalg.IndexOp):
                found[wanted] = emitter.index(positions[owner.dim.value.data])
                return found[wanted]
            copy = owner.clone({operand: of(operand) for operand in owner.operands})
            for inner in [inner for inner in copy.walk() if isinstance(inner, linalg.IndexOp)]:
                inner.result.replace_all_uses_with(emitter.index(positions[inner.dim.value.data]))
                inner.detach()
                inner.erase()
            emitter.append(copy)
            found.update(zip(owner.results, copy.results, strict=True))
            return found[wanted]

        return of(value)
