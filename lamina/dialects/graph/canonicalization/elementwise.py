"""Canonicalization of elementwise ops. Every rewrite is exact, for NaN, infinities and the sign of zero too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.canonicalization.support import constant, forward, keeps_shape, replace, splat, static_sizes
from lamina.dialects.graph.data_movement import BroadcastOp
from lamina.dialects.graph.elementwise import (
    ELEMENTWISE_OPS,
    AbsOp,
    AddOp,
    AndOp,
    BinaryOp,
    BitcastOp,
    CastOp,
    ClampOp,
    CompareOp,
    DivideOp,
    MaximumOp,
    MinimumOp,
    MultiplyOp,
    NegateOp,
    NotOp,
    OrOp,
    PowerOp,
    SelectOp,
    ShiftLeftOp,
    ShiftRightOp,
    SqrtOp,
    SubtractOp,
    UnaryOp,
    XorOp,
)
from lamina.dialects.graph.types import bit_width, dtype_of, is_boolean, is_float, is_integer, is_unsigned

Scalar: TypeAlias = "float | int | bool"
Neutral: TypeAlias = "Callable[[Scalar, Attribute], bool]"


def _element_type(value: SSAValue) -> Attribute:
    return cast("TensorType[Attribute]", value.type).get_element_type()


def _one(value: Scalar, element_type: Attribute) -> bool:
    return value == 1


def _zero(value: Scalar, element_type: Attribute) -> bool:
    """0, of floats only +0.0."""
    return value == 0 and math.copysign(1.0, value) > 0


def _negative_zero(value: Scalar, element_type: Attribute) -> bool:
    """0, of floats only -0.0."""
    return value == 0 and (not is_float(element_type) or math.copysign(1.0, value) < 0)


def _all_ones(value: Scalar, element_type: Attribute) -> bool:
    if is_boolean(element_type):
        return bool(value)
    return value == (2 ** bit_width(element_type) - 1 if is_unsigned(element_type) else -1)


def _lowest(value: Scalar, element_type: Attribute) -> bool:
    return value == (-math.inf if is_float(element_type) else np.iinfo(cast(Any, dtype_of(element_type))).min)


def _highest(value: Scalar, element_type: Attribute) -> bool:
    return value == (math.inf if is_float(element_type) else np.iinfo(cast(Any, dtype_of(element_type))).max)


NEUTRAL_OPERANDS: Mapping[type[BinaryOp], tuple[Neutral, bool]] = {
    AddOp: (_negative_zero, True),
    SubtractOp: (_zero, False),
    MultiplyOp: (_one, True),
    DivideOp: (_one, False),
    PowerOp: (_one, False),
    MaximumOp: (_lowest, True),
    MinimumOp: (_highest, True),
    AndOp: (_all_ones, True),
    OrOp: (_zero, True),
    XorOp: (_zero, True),
    ShiftLeftOp: (_zero, False),
    ShiftRightOp: (_zero, False),
}
"""Per op, the right operand that leaves the left one as it is, and whether the two may change places."""


class DropNeutralOperand(RewritePattern):
    """x + 0 -> x, x * 1 -> x and so on (of floats x + -0.0, x - 0.0: x + 0.0 changes -0.0)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BinaryOp, rewriter: PatternRewriter, /) -> None:
        neutral, commutes = NEUTRAL_OPERANDS[type(op)]
        candidates = [(op.lhs, op.rhs), (op.rhs, op.lhs)] if commutes else [(op.lhs, op.rhs)]
        for kept, dropped in candidates:
            value = splat(dropped)
            if value is not None and neutral(value, _element_type(dropped)) and keeps_shape(op, kept):
                forward(op, kept, rewriter)
                return


class NegateInsteadOfSubtract(RewritePattern):
    """0 - x -> -x (of floats -0.0 - x: 0.0 - 0.0 is not -0.0)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: SubtractOp, rewriter: PatternRewriter, /) -> None:
        value = splat(op.lhs)
        if value is not None and _negative_zero(value, _element_type(op.lhs)) and keeps_shape(op, op.rhs):
            replace(op, NegateOp(op.rhs), rewriter)


class ExpandPower(RewritePattern):
    """x^2 -> x * x; x^-1 -> 1 / x; x^0.5 -> |sqrt x|, and inf for -inf as C's pow has it"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PowerOp, rewriter: PatternRewriter, /) -> None:
        exponent = splat(op.rhs)
        if exponent is None or not keeps_shape(op, op.lhs):
            return
        if exponent == 2:
            replace(op, MultiplyOp(op.lhs, op.lhs), rewriter)
            return
        element_type = _element_type(op.lhs)
        if not is_float(element_type):
            return
        dtype = dtype_of(element_type)
        if exponent == -1:
            one = constant(np.ones((), dtype))
            replace(op, (one, DivideOp(one, op.lhs)), rewriter)
        if exponent == 0.5:
            lowest, highest = (constant(np.asarray(sign * np.inf).astype(dtype)) for sign in (-1, 1))
            is_lowest = CompareOp("EQ", op.lhs, lowest)
            root = SqrtOp(op.lhs)
            positive = AbsOp(root)
            replace(op, (lowest, highest, is_lowest, root, positive, SelectOp(is_lowest, highest, positive)), rewriter)


class CancelInverse(RewritePattern):
    """-(-x) -> x, not(not x) -> x"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: NegateOp | NotOp, rewriter: PatternRewriter, /) -> None:
        inner = op.operand.owner
        if isinstance(inner, type(op)):
            forward(op, inner.operand, rewriter)


class AbsoluteOfSignChange(RewritePattern):
    """abs(-x) -> abs(x), abs(abs(x)) -> abs(x)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: AbsOp, rewriter: PatternRewriter, /) -> None:
        inner = op.operand.owner
        if isinstance(inner, NegateOp | AbsOp):
            replace(op, AbsOp(inner.operand), rewriter)


class DropUnboundedClamp(RewritePattern):
    """clamp(-inf, x, b) -> minimum(x, b), clamp(a, x, inf) -> maximum(x, a)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ClampOp, rewriter: PatternRewriter, /) -> None:
        element_type = _element_type(op.operand)
        lower, upper = splat(op.lower), splat(op.upper)
        if not keeps_shape(op, op.operand):
            return
        if lower is not None and _lowest(lower, element_type):
            replace(op, MinimumOp(op.operand, op.upper), rewriter)
        elif upper is not None and _highest(upper, element_type):
            replace(op, MaximumOp(op.operand, op.lower), rewriter)


class SelectKnown(RewritePattern):
    """select(true, a, b) -> a, select(p, a, a) -> a, select(not p, a, b) -> select(p, b, a)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: SelectOp, rewriter: PatternRewriter, /) -> None:
        predicate = splat(op.pred)
        if op.on_true is op.on_false or predicate is not None:
            chosen = op.on_false if predicate is not None and not predicate else op.on_true
            if keeps_shape(op, chosen):
                forward(op, chosen, rewriter)
            return
        if isinstance(op.pred.owner, NotOp):
            replace(op, SelectOp(op.pred.owner.operand, op.on_false, op.on_true), rewriter)


class MergeCasts(RewritePattern):
    """cast(x) to its own type -> x; cast(cast(x)) -> cast(x) where the inner one is exact"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: CastOp, rewriter: PatternRewriter, /) -> None:
        if keeps_shape(op, op.operand):
            forward(op, op.operand, rewriter)
            return
        inner = op.operand.owner
        if isinstance(inner, CastOp) and merges(_element_type(inner.operand), inner.element_type, op.element_type):
            replace(op, CastOp(inner.operand, op.element_type), rewriter)


class MergeBitcasts(RewritePattern):
    """bitcast(x) to its own type -> x; bitcast(bitcast(x)) -> bitcast(x)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BitcastOp, rewriter: PatternRewriter, /) -> None:
        if keeps_shape(op, op.operand):
            forward(op, op.operand, rewriter)
        elif isinstance(op.operand.owner, BitcastOp):
            replace(op, BitcastOp(op.operand.owner.operand, op.element_type), rewriter)


FLOAT_FORMATS: Mapping[str, tuple[int, int]] = {"f64": (53, 11), "f32": (24, 8), "f16": (11, 5), "bf16": (8, 8)}
"""Bits of the significand (with the hidden one) and of the exponent."""


def represents_all(target: Attribute, source: Attribute) -> bool:
    """Whether every value of `source` is one of `target`, so that a cast to it loses nothing."""
    if target == source:
        return True
    if is_boolean(target):
        return False
    if is_boolean(source):
        return True
    if is_float(source):
        return is_float(target) and all(
            have >= need for have, need in zip(FLOAT_FORMATS[str(target)], FLOAT_FORMATS[str(source)], strict=True)
        )
    magnitude = bit_width(source) - (not is_unsigned(source))
    if is_float(target):
        return FLOAT_FORMATS[str(target)][0] >= magnitude
    if is_unsigned(target):
        return is_unsigned(source) and bit_width(target) >= magnitude
    return bit_width(target) > magnitude


def merges(source: Attribute, middle: Attribute, target: Attribute) -> bool:
    """Whether source -> middle -> target gives what source -> target gives.

    The inner cast has to be exact; an integer that comes back from a float saturates instead of wrapping around.
    """
    wraps = is_integer(source) and is_float(middle) and is_integer(target) and not represents_all(target, source)
    return represents_all(middle, source) and not wraps


class ReadThroughBroadcast(RewritePattern):
    """add(broadcast(x), y) -> add(x, y) where y alone gives the shape: elementwise ops broadcast by themselves"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: GraphOp, rewriter: PatternRewriter, /) -> None:
        shape = static_sizes(op.results[0])
        if shape is None:
            return
        for index, operand in enumerate(op.operands):
            owner = operand.owner
            if not isinstance(owner, BroadcastOp):
                continue
            others = [static_sizes(other) for position, other in enumerate(op.operands) if position != index]
            shapes = [*others, static_sizes(owner.operand)]
            if None not in shapes and np.broadcast_shapes(*cast("list[tuple[int, ...]]", shapes)) == shape:
                op.operands[index] = owner.operand
                rewriter.notify_op_modified(op)
                return


@dataclass(frozen=True)
class _Row:
    ops: Sequence[type[Operation]]
    pattern: RewritePattern


_ROWS = (
    _Row(tuple(NEUTRAL_OPERANDS), DropNeutralOperand()),
    _Row((SubtractOp,), NegateInsteadOfSubtract()),
    _Row((PowerOp,), ExpandPower()),
    _Row((NegateOp, NotOp), CancelInverse()),
    _Row((AbsOp,), AbsoluteOfSignChange()),
    _Row((ClampOp,), DropUnboundedClamp()),
    _Row((SelectOp,), SelectKnown()),
    _Row((CastOp,), MergeCasts()),
    _Row((BitcastOp,), MergeBitcasts()),
    _Row(tuple(op for op in ELEMENTWISE_OPS if not issubclass(op, UnaryOp)), ReadThroughBroadcast()),
)

PATTERNS: Mapping[type[Operation], tuple[RewritePattern, ...]] = {
    op: tuple(row.pattern for row in _ROWS if op in row.ops) for op in ELEMENTWISE_OPS
}
