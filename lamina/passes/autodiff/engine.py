"""Differentiation of a block: forward, one tangent op after the other, or backward, from results to operands.

The engine walks the ops of a block and asks the tables. Rules of ops with regions and of calls walk inner blocks
with the same engine. A value without an entry has the derivative zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from xdsl.dialects import func
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import Differentiability, GraphOp
from lamina.dialects.graph.construction import accumulation_type
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder, is_real
from lamina.passes.autodiff.rule import Rule

Derivatives: TypeAlias = MutableMapping[SSAValue, SSAValue]
"""Tangents or cotangents by value."""

WITHOUT = frozenset(
    {
        Differentiability.INTEGER_VALUED,
        Differentiability.DISCRETE,
        Differentiability.STRUCTURAL,
        Differentiability.STOPPED,
    }
)
"""Ops whose results have derivative zero."""


@dataclass(frozen=True)
class RegionRule:
    """The derivative of an op with regions, or of a call.

    `varied(engine, op, varied)` adds the results (and the values inside) that depend on varied values. `jvp(engine, op,
    tangents)` adds tangents of the results; it may replace the op. `vjp(engine, op, cotangents, results, varied)` adds
    the cotangents of operands and captured values, given those of the results.
    """

    varied: Callable[[Engine, Any, set[SSAValue]], None]
    jvp: Callable[[Engine, Any, Derivatives], None]
    vjp: Callable[[Engine, Any, Derivatives, Sequence[Derivative], Set[SSAValue]], None]
    note: str = ""


class Callees(Protocol):
    """Where calls get the derivatives of the functions that they call."""

    def tangents(self, engine: Engine, call: func.CallOp, tangents: Sequence[Derivative]) -> Sequence[Derivative]:
        """Call the callee's forward derivative: the tangents of the results."""
        ...

    def cotangents(
        self, engine: Engine, call: func.CallOp, results: Sequence[Derivative], needed: Sequence[bool]
    ) -> Sequence[Derivative]:
        """Call the callee's pullback: the cotangents of the operands."""
        ...


@dataclass
class Engine:
    """Differentiates blocks of one function under construction.

    `max_iterations` bounds the loops that are differentiated backward, None: only loops that say their bound.
    """

    builder: DerivativeBuilder
    rules: Mapping[type[GraphOp], Rule]
    region_rules: Mapping[type[Operation], RegionRule]
    callees: Callees
    max_iterations: int | None = None
    _wide: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    """For sums of narrow cotangents so far: those sums before they were rounded."""

    # ---- which values vary

    def varied(self, block: Block, varied: set[SSAValue]) -> None:
        """Add the values of a block that depend, differentiably, on varied ones."""
        for op in block.ops:
            region_rule = self.region_rules.get(type(op))
            if region_rule is not None:
                region_rule.varied(self, op, varied)
            elif any(operand in varied for operand in op.operands) and not self.is_constant(op):
                varied.update(result for result in op.results if is_real(result))

    def is_constant(self, op: Operation) -> bool:
        """Whether the results of an op have derivative zero whatever the operands'."""
        if isinstance(op, GraphOp) and op.DIFFERENTIABILITY in WITHOUT:
            return True
        return not any(is_real(result) for result in op.results)

    def rule(self, op: Operation) -> Rule:
        """The rule of an op; raises LaminaError for one that has none."""
        found = self.rules.get(type(op)) if isinstance(op, GraphOp) else None
        if found is not None:
            return found
        raise no_rule(op)

    # ---- forward

    def forward(self, block: Block, tangents: Derivatives) -> None:
        """Put after every op of a block the ops for the tangents of its results."""
        for op in list(block.ops):
            region_rule = self.region_rules.get(type(op))
            if region_rule is not None:
                self.builder.location = op.location
                self.builder.insertion_point = InsertPoint.after(op)
                region_rule.jvp(self, op, tangents)
                continue
            given = [tangents.get(operand) for operand in op.operands]
            if all(tangent is None for tangent in given) or self.is_constant(op) or op.next_op is None:
                continue
            self.builder.location = op.location
            self.builder.insertion_point = InsertPoint.before(op.next_op)
            tangent = self.rule(op).jvp(self.builder, op, given)
            if tangent is not None:
                tangents[op.results[0]] = tangent

    # ---- backward

    def backward(self, ops: Sequence[Operation], cotangents: Derivatives, varied: Set[SSAValue]) -> None:
        """Append at the builder's place the cotangents of what `ops`, which stand before, read of varied values."""
        for op in reversed(ops):
            given = [cotangents.pop(result, None) for result in op.results]
            if all(cotangent is None for cotangent in given):
                continue
            self.builder.location = op.location
            region_rule = self.region_rules.get(type(op))
            if region_rule is not None:
                region_rule.vjp(self, op, cotangents, given, varied)
                continue
            needed = [operand in varied for operand in op.operands]
            if not any(needed) or self.is_constant(op):
                continue
            # An op without a rule may have several results.
            rule = self.rule(op)
            (cotangent,) = given
            assert cotangent is not None
            found = rule.vjp(self.builder, op, cotangent, needed)
            for operand, need, part in zip(op.operands, needed, found, strict=True):
                if need:
                    self.accumulate(cotangents, operand, part)

    def accumulate(self, cotangents: Derivatives, value: SSAValue, part: Derivative) -> None:
        """Add a part to the cotangent of a value."""
        if part is None:
            return
        before = cotangents.get(value)
        cotangents[value] = part if before is None else self._sum(before, part)

    def _sum(self, before: SSAValue, part: SSAValue) -> SSAValue:
        """The sum of two cotangents; those of f16 and bf16 are summed in f32, rounded when all parts are there."""
        b = self.builder
        narrow = b.element_type(before)
        wide = accumulation_type(narrow)
        if wide == narrow:
            return b.add(before, part)
        total = b.add(self._wide.get(before) or b.cast(before, wide), b.cast(part, wide))
        rounded = b.cast(total, narrow)
        self._wide[rounded] = total
        return rounded


def no_rule(op: Operation) -> LaminaError:
    """The error for an op that cannot be differentiated."""
    reason = op.DIFFERENTIABILITY.value if isinstance(op, GraphOp) else "not of the graph dialect"
    return LaminaError(
        f"{op.name} has no derivative rule ({reason})",
        where=location_text(op.location),
        hints=(
            "put it into a function of its own with a rule: `attributes {lamina.vjp = @rule}`",
            "or pass its operands through graph.stop_gradient where they are to count as constants",
        ),
    )


def captured_by(regions: Sequence[Region]) -> list[SSAValue]:
    """The values from outside that ops in the regions use, in order of first use."""
    inside: set[SSAValue] = set()
    found: dict[SSAValue, None] = {}
    for region in regions:
        for block in region.blocks:
            _capture(block, inside, found)
    return list(found)


def _capture(block: Block, inside: set[SSAValue], found: dict[SSAValue, None]) -> None:
    inside.update(block.args)
    for op in block.ops:
        for operand in op.operands:
            if operand not in inside:
                found.setdefault(operand)
        for region in op.regions:
            for inner in region.blocks:
                _capture(inner, inside, found)
        inside.update(op.results)
