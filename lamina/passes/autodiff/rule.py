"""What a derivative rule is, and the kinds of rules that most ops have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from xdsl.ir import SSAValue

from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder

# The op is `Any` so that a rule can name its op's own class.
Jvp: TypeAlias = Callable[[DerivativeBuilder, Any, Sequence[Derivative]], Derivative]
Vjp: TypeAlias = Callable[[DerivativeBuilder, Any, SSAValue, Sequence[bool]], Sequence[Derivative]]
Partial: TypeAlias = Callable[[DerivativeBuilder, Any, SSAValue], SSAValue]


@dataclass(frozen=True)
class Rule:
    """The derivative of an op with one result.

    `jvp(builder, op, tangents)` gives the result's tangent from the operands' (None where an operand has none; not all
    are None). `vjp(builder, op, cotangent, needed)` gives the operands' cotangents from the result's; those that are
    not needed may be None. The op stands before the builder's insertion point: its operands and its result may be used.
    """

    jvp: Jvp
    vjp: Vjp
    note: str = ""


def diagonal(*partials: Partial | None, note: str = "") -> Rule:
    """The rule of an elementwise op.

    Partial i multiplies a tangent or a cotangent, element by element, by the derivative with respect to operand i: one
    function serves both directions. None: no derivative.
    """

    def jvp(b: DerivativeBuilder, op: Any, tangents: Sequence[Derivative]) -> Derivative:
        terms = [
            partial(b, op, tangent)
            for partial, tangent in zip(partials, tangents, strict=True)
            if partial is not None and tangent is not None
        ]
        total = b.total(terms)
        return None if total is None else b.broadcast_like(total, op.results[0])

    def vjp(b: DerivativeBuilder, op: Any, cotangent: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
        return [
            b.unbroadcast(partial(b, op, cotangent), operand) if need and partial is not None else None
            for partial, operand, need in zip(partials, op.operands, needed, strict=True)
        ]

    return Rule(jvp, vjp, note)


def linear(transpose: Vjp, *, data: int | None = 1, note: str = "") -> Rule:
    """The rule of an op that is linear in its first `data` operands together (all operands when None)."""

    def jvp(b: DerivativeBuilder, op: Any, tangents: Sequence[Derivative]) -> Derivative:
        count = len(op.operands) if data is None else data
        operands = [
            b.materialized(tangent, operand) if index < count else operand
            for index, (tangent, operand) in enumerate(zip(tangents, op.operands, strict=True))
        ]
        return b.again(op, operands)

    return Rule(jvp, transpose, note)


def bilinear(transpose: Vjp) -> Rule:
    """The rule of an op that is linear in each of its two operands."""

    def jvp(b: DerivativeBuilder, op: Any, tangents: Sequence[Derivative]) -> Derivative:
        left, right = tangents
        return b.plus(
            None if left is None else b.again(op, (left, op.operands[1])),
            None if right is None else b.again(op, (op.operands[0], right)),
        )

    return Rule(jvp, transpose)
