"""Derivatives of elementwise ops: per operand, what multiplies a tangent or a cotangent.

At kinks JAX's conventions hold: abs has derivative sign(x), maximum and minimum split ties evenly, clamp has none
where the operand meets a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xdsl.ir import SSAValue

from lamina.dialects.graph import elementwise as ops
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.canonicalization.support import splat
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder, is_real
from lamina.passes.autodiff.rule import Partial, Rule, diagonal

Builder = DerivativeBuilder


def _scaled(derivative: Callable[[Builder, SSAValue, SSAValue], SSAValue]) -> Rule:
    """The rule of a function of one operand from its derivative, a function of operand x and result y."""
    return diagonal(lambda b, op, t: b.multiply(t, derivative(b, op.operand, op.result)))


def _divided(divisor: Callable[[Builder, SSAValue, SSAValue], SSAValue]) -> Rule:
    """As `_scaled`, for derivatives that are the reciprocal of something."""
    return diagonal(lambda b, op, t: b.divide(t, divisor(b, op.operand, op.result)))


def _one_minus_square(b: Builder, x: SSAValue) -> SSAValue:
    return b.subtract(1.0, b.multiply(x, x))


def _same(b: Builder, op: Any, t: SSAValue) -> SSAValue:
    return t


def _negative(b: Builder, op: Any, t: SSAValue) -> SSAValue:
    return b.negate(t)


def _absolute(b: Builder, op: ops.AbsOp, t: SSAValue) -> SSAValue:
    return b.select(b.compare("GE", op.operand, 0.0), t, b.negate(t))


def _power_base(b: Builder, op: ops.PowerOp, t: SSAValue) -> SSAValue:
    exponent = splat(op.rhs)
    if exponent == 2:
        return b.multiply(t, b.multiply(op.lhs, 2.0))
    slope = b.multiply(op.rhs, b.power(op.lhs, b.subtract(op.rhs, 1.0)))
    if not exponent:
        # x^0 is constant, at 0 as well, where 0 · 0^-1 is not a number.
        slope = b.select(b.compare("EQ", op.rhs, 0.0), 0.0, slope)
    return b.multiply(t, slope)


def _power_exponent(b: Builder, op: ops.PowerOp, t: SSAValue) -> SSAValue:
    base = b.select(b.compare("EQ", op.lhs, 0.0), 1.0, op.lhs)
    return b.multiply(t, b.multiply(b.log(base), op.result))


def _larger(side: int) -> Partial:
    """The share of operand `side` in a maximum or minimum: all where it is the result, half where both are."""

    def partial(b: Builder, op: Any, t: SSAValue) -> SSAValue:
        mine, other = op.operands[side], op.operands[1 - side]
        like = b.element_type(t)
        share = b.select(b.compare("EQ", mine, other), b.constant(0.5, like), b.constant(1.0, like))
        return b.select(b.compare("EQ", mine, op.result), b.multiply(t, share), b.zero(like))

    return partial


def _truncated_quotient(b: Builder, op: ops.RemainderOp, t: SSAValue) -> SSAValue:
    quotient = b.divide(op.lhs, op.rhs)
    return b.negate(b.multiply(t, b.multiply(b.sign(quotient), b.floor(b.abs(quotient)))))


def _atan2(side: int) -> Partial:
    def partial(b: Builder, op: ops.Atan2Op, t: SSAValue) -> SSAValue:
        other = op.operands[1 - side]
        square = b.add(b.multiply(op.lhs, op.lhs), b.multiply(op.rhs, op.rhs))
        slope = b.divide(other, square)
        return b.multiply(t, b.negate(slope) if side else slope)

    return partial


def _clamped(test: Callable[[Builder, Any], SSAValue]) -> Partial:
    return lambda b, op, t: b.select(test(b, op), t, b.zero(b.element_type(t)))


def _inside(b: Builder, op: ops.ClampOp) -> SSAValue:
    return b.and_(b.compare("GT", op.operand, op.lower), b.compare("LT", op.operand, op.upper))


def _cast_jvp(b: Builder, op: ops.CastOp, tangents: Sequence[Derivative]) -> Derivative:
    (tangent,) = tangents
    return b.cast(tangent, op.element_type) if tangent is not None and is_real(op.result) else None


def _cast_vjp(b: Builder, op: ops.CastOp, cotangent: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
    return (b.cast(cotangent, b.element_type(op.operand)),)


TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

RULES: Mapping[type[GraphOp], Rule] = {
    ops.AbsOp: diagonal(_absolute, note="1 at 0"),
    ops.NegateOp: diagonal(_negative),
    ops.ExpOp: _scaled(lambda b, x, y: y),
    ops.Expm1Op: _scaled(lambda b, x, y: b.add(y, 1.0)),
    ops.LogOp: _divided(lambda b, x, y: x),
    ops.Log1pOp: _divided(lambda b, x, y: b.add(x, 1.0)),
    ops.SqrtOp: diagonal(lambda b, op, t: b.multiply(t, b.divide(0.5, op.result))),
    ops.RsqrtOp: diagonal(lambda b, op, t: b.multiply(t, b.multiply(b.divide(op.result, op.operand), -0.5))),
    ops.SinOp: _scaled(lambda b, x, y: b.cos(x)),
    ops.CosOp: _scaled(lambda b, x, y: b.negate(b.sin(x))),
    ops.TanOp: _scaled(lambda b, x, y: b.add(b.multiply(y, y), 1.0)),
    ops.AsinOp: _scaled(lambda b, x, y: b.rsqrt(_one_minus_square(b, x))),
    ops.AcosOp: _scaled(lambda b, x, y: b.negate(b.rsqrt(_one_minus_square(b, x)))),
    ops.AtanOp: _divided(lambda b, x, y: b.add(b.multiply(x, x), 1.0)),
    ops.SinhOp: _scaled(lambda b, x, y: b.cosh(x)),
    ops.CoshOp: _scaled(lambda b, x, y: b.sinh(x)),
    ops.AsinhOp: _scaled(lambda b, x, y: b.rsqrt(b.add(b.multiply(x, x), 1.0))),
    # Two factors: their product overflows and cancels later than x² - 1.
    ops.AcoshOp: _scaled(lambda b, x, y: b.multiply(b.rsqrt(b.subtract(x, 1.0)), b.rsqrt(b.add(x, 1.0)))),
    ops.AtanhOp: _divided(lambda b, x, y: _one_minus_square(b, x)),
    ops.TanhOp: _scaled(lambda b, x, y: _one_minus_square(b, y)),
    ops.ErfOp: _scaled(lambda b, x, y: b.multiply(b.exp(b.negate(b.multiply(x, x))), TWO_OVER_ROOT_PI)),
    ops.LogisticOp: _scaled(lambda b, x, y: b.multiply(y, b.subtract(1.0, y))),
    ops.AddOp: diagonal(_same, _same),
    ops.SubtractOp: diagonal(_same, _negative),
    ops.MultiplyOp: diagonal(
        lambda b, op, t: b.multiply(t, op.rhs),
        lambda b, op, t: b.multiply(t, op.lhs),
    ),
    ops.DivideOp: diagonal(
        lambda b, op, t: b.divide(t, op.rhs),
        lambda b, op, t: b.negate(b.multiply(t, b.divide(op.result, op.rhs))),
    ),
    ops.RemainderOp: diagonal(_same, _truncated_quotient),
    ops.PowerOp: diagonal(_power_base, _power_exponent, note="x^0 has derivative 0; that in y at x = 0 is 0"),
    ops.MaximumOp: diagonal(_larger(0), _larger(1), note="ties: half each"),
    ops.MinimumOp: diagonal(_larger(0), _larger(1), note="ties: half each"),
    ops.Atan2Op: diagonal(_atan2(0), _atan2(1)),
    ops.SelectOp: diagonal(
        None,
        lambda b, op, t: b.select(op.pred, t, b.zero(b.element_type(t))),
        lambda b, op, t: b.select(op.pred, b.zero(b.element_type(t)), t),
    ),
    ops.ClampOp: diagonal(
        _clamped(lambda b, op: b.compare("GT", op.lower, op.operand)),
        _clamped(_inside),
        _clamped(lambda b, op: b.compare("LT", op.upper, op.operand)),
        note="0 where the operand equals a bound",
    ),
    ops.CastOp: Rule(_cast_jvp, _cast_vjp, note="between floats"),
}
