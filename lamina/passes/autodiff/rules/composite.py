"""Derivatives of composites that have a better one than their decomposition; all others are decomposed first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xdsl.ir import SSAValue

from lamina.dialects.graph import composite as ops
from lamina.dialects.graph.base import GraphOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule, diagonal

Builder = DerivativeBuilder
Cotangents = Sequence[Derivative]


def _relu(b: Builder, op: ops.ReluOp, t: SSAValue) -> SSAValue:
    # The result is positive where the operand is, and keeping it alone lets relu stay with the op before it.
    return b.select(b.compare("GT", op.result, 0.0), t, b.zero(b.element_type(t)))


def _softmax(b: Builder, op: ops.SoftmaxOp, t: SSAValue) -> SSAValue:
    return softmax_derivative(b, op.result, t, op.dimension.value.data)


def softmax_derivative(b: Builder, y: SSAValue, t: SSAValue, dimension: int) -> SSAValue:
    """y · (t - Σ t · y) of softmax's result y: symmetric, so that one function serves both directions."""
    total = b.reduce("add", b.multiply(t, y), (dimension,), True)
    return b.multiply(y, b.subtract(t, total))


def _log_softmax_jvp(b: Builder, op: ops.LogSoftmaxOp, tangents: Sequence[Derivative]) -> Derivative:
    (t,) = tangents
    assert t is not None
    weighted = b.multiply(t, b.exp(op.result))
    return b.subtract(t, b.reduce("add", weighted, (op.dimension.value.data,), True))


def _log_softmax_vjp(b: Builder, op: ops.LogSoftmaxOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    total = b.reduce("add", t, (op.dimension.value.data,), True)
    return (b.subtract(t, b.multiply(b.exp(op.result), total)),)


def _mean_jvp(b: Builder, op: ops.MeanOp, tangents: Sequence[Derivative]) -> Derivative:
    (t,) = tangents
    assert t is not None
    return b.again(op, (t,))


def _mean_vjp(b: Builder, op: ops.MeanOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    axes = op.dimensions.get_values()
    count = b.element_count(op.operand, axes, b.element_type(t))
    spread = b.keep_reduced(b.divide(t, count), op.operand, axes, op.keep_dimensions is not None)
    return (b.broadcast_like(spread, op.operand),)


def _normalized(b: Builder, op: Any) -> tuple[SSAValue, SSAValue, range]:
    """The normalized operand before scale and bias, 1 / deviation, and the axes; layer_norm centers first."""
    x = b.widen(op.operand)
    axes = op.normalized_axes(b.rank(x))
    if isinstance(op, ops.LayerNormOp):
        x = b.subtract(x, b.mean(x, axes, True))
    square = b.mean(b.multiply(x, x), axes, True)
    inverse = b.rsqrt(b.add(square, op.epsilon.value.data))
    return b.multiply(x, inverse), inverse, axes


def _projected(b: Builder, op: Any, t: SSAValue, normal: SSAValue, inverse: SSAValue, axes: range) -> SSAValue:
    """(t - normal · mean(t · normal) [- mean(t)]) / deviation: the derivative of normalization, symmetric."""
    along = b.multiply(normal, b.mean(b.multiply(t, normal), axes, True))
    rest = b.subtract(t, along)
    if isinstance(op, ops.LayerNormOp):
        rest = b.subtract(rest, b.mean(t, axes, True))
    return b.multiply(rest, inverse)


def _norm_jvp(b: Builder, op: Any, tangents: Sequence[Derivative]) -> Derivative:
    normal, inverse, axes = _normalized(b, op)
    operand, scale, *bias = tangents
    element_type = b.element_type(op.result)
    terms: list[Derivative] = [b.widen(t) for t in bias if t is not None]
    if scale is not None:
        terms.append(b.multiply(normal, b.widen(scale)))
    if operand is not None:
        moved = _projected(b, op, b.widen(operand), normal, inverse, axes)
        terms.append(b.multiply(moved, b.widen(op.scale)))
    total = b.total(terms)
    return None if total is None else b.broadcast_like(b.cast(total, element_type), op.result)


def _norm_vjp(b: Builder, op: Any, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    normal, inverse, axes = _normalized(b, op)
    element_type = b.element_type(op.result)
    wide = b.widen(t)
    result: list[Derivative] = [None] * len(op.operands)
    if needed[0]:
        scaled = b.multiply(wide, b.widen(op.scale))
        result[0] = b.cast(_projected(b, op, scaled, normal, inverse, axes), element_type)
    if needed[1]:
        result[1] = b.cast(b.unbroadcast(b.multiply(wide, normal), op.scale), element_type)
    if len(result) > 2 and needed[2]:
        result[2] = b.unbroadcast(t, op.operands[2])
    return result


RULES: Mapping[type[GraphOp], Rule] = {
    ops.ReluOp: diagonal(_relu, note="0 at 0"),
    ops.SoftmaxOp: Rule(
        lambda b, op, tangents: None if tangents[0] is None else _softmax(b, op, tangents[0]),
        lambda b, op, t, needed: (_softmax(b, op, t),),
    ),
    ops.LogSoftmaxOp: Rule(_log_softmax_jvp, _log_softmax_vjp),
    ops.MeanOp: Rule(_mean_jvp, _mean_vjp),
    ops.LayerNormOp: Rule(_norm_jvp, _norm_vjp),
    ops.RmsNormOp: Rule(_norm_jvp, _norm_vjp),
}
