"""Elementwise operators, activations and conversions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from xdsl.dialects.builtin import f64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import is_boolean, is_float, is_unsigned
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.node import Converter, Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode
from lamina.frontends.onnx.tensors import element_type


def unary(name: str) -> Converter:
    """An operator that is one op of the dialect."""
    return lambda node, build: build(name, node.operand(0))


def binary(name: str) -> Converter:
    """An operator on two operands that is one op of the dialect."""
    return lambda node, build: build(name, node.operand(0), node.operand(1))


def comparison(direction: str) -> Converter:
    """A comparison."""
    return lambda node, build: build.compare(direction, node.operand(0), node.operand(1))


def variadic(name: str) -> Converter:
    """An operator on one or more operands, combined from the left."""
    return lambda node, build: combined(build, name, node.operands)


def combined(build: OnnxBuilder, name: str, operands: Sequence[SSAValue]) -> SSAValue:
    """The operands combined from the left by a binary op."""
    return functools.reduce(lambda left, right: build(name, left, right), operands)


def mean(node: Node, build: OnnxBuilder) -> SSAValue:
    total = combined(build, "add", node.operands)
    return build.divide(total, len(node.inputs))


def modulo(node: Node, build: OnnxBuilder) -> SSAValue:
    """With `fmod` the result has the sign of the dividend (C), else that of the divisor (Python)."""
    dividend, divisor = node.operand(0), node.operand(1)
    remainder = build.remainder(dividend, divisor)
    if node.flag("fmod") or is_unsigned(build.element_type(dividend)):
        return remainder
    negative = build.compare("LT", divisor, 0)
    wrong_sign = build.compare("NE", build.compare("LT", remainder, 0), negative)
    adjusted = build.select(wrong_sign, build.add(remainder, divisor), remainder)
    # A remainder of zero stays; as a float it has the sign of the divisor.
    zero = build.constant(0, build.element_type(dividend))
    if is_float(build.element_type(dividend)):
        zero = build.select(negative, build.negate(zero), zero)
    return build.select(build.compare("EQ", remainder, 0), zero, adjusted)


def bit_shift(node: Node, build: OnnxBuilder) -> SSAValue:
    direction = node.string("direction")
    if direction not in SHIFTS:
        raise LaminaError(f"the direction of BitShift is LEFT or RIGHT, found {direction}")
    return build(SHIFTS[direction], node.operand(0), node.operand(1))


SHIFTS: Mapping[str, str] = {"LEFT": "shift_left", "RIGHT": "shift_right"}


def power(node: Node, build: OnnxBuilder) -> SSAValue:
    """The base's type is the result's; an integer to a float power is computed in f64."""
    base, exponent = node.operand(0), node.operand(1)
    base_type, exponent_type = build.element_type(base), build.element_type(exponent)
    if is_float(exponent_type) and not is_float(base_type):
        result = build.power(build.cast(base, f64), build.cast(exponent, f64))
        return build.cast(result, base_type)
    return build.power(base, build.cast(exponent, base_type))


def is_inf(node: Node, build: OnnxBuilder) -> SSAValue:
    return build.is_inf(node.operand(0), node.flag("detect_negative"), node.flag("detect_positive"))


def where(node: Node, build: OnnxBuilder) -> SSAValue:
    return build.select(*node.operands)


def cast_to(node: Node, build: OnnxBuilder) -> SSAValue:
    return build.cast(node.operand(0), element_type(node.integer("to")).attribute)


def cast_like(node: Node, build: OnnxBuilder) -> SSAValue:
    return build.cast(node.operand(0), build.element_type(node.operand(1)))


def bit_cast(node: Node, build: OnnxBuilder) -> SSAValue:
    target = element_type(node.integer("to")).attribute
    source = build.element_type(node.operand(0))
    if is_boolean(source) != is_boolean(target):
        raise UnsupportedNode("the bits of booleans are not a number's")
    return build.bitcast(node.operand(0), target)


def clip(node: Node, build: OnnxBuilder) -> SSAValue:
    return clamped(build, node.operand(0), node.optional(1), node.optional(2))


def clip_by_attributes(node: Node, build: OnnxBuilder) -> SSAValue:
    return build.clamp(node.floating("min"), node.operand(0), node.floating("max"))


def clamped(build: OnnxBuilder, value: SSAValue, lower: SSAValue | None, upper: SSAValue | None) -> SSAValue:
    """Limit a value from either side; None is no limit."""
    if lower is not None and upper is not None:
        return build.clamp(build.reshape_to(lower, ()), value, build.reshape_to(upper, ()))
    if lower is not None:
        return build.maximum(value, build.reshape_to(lower, ()))
    return value if upper is None else build.minimum(value, build.reshape_to(upper, ()))


def reciprocal(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return build.divide(1, value)


# Activations


def relu(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    if is_float(build.element_type(value)):
        return build.relu(value)
    return build.maximum(value, 0)


def scaled(build: OnnxBuilder, value: SSAValue, factor: float) -> SSAValue:
    """A value times a constant; nothing to do for 1."""
    return value if factor == 1 else build.multiply(value, factor)


def where_positive(build: OnnxBuilder, value: SSAValue, positive: SSAValue, otherwise: SSAValue) -> SSAValue:
    """`positive` where the value is above 0, else (NaN too) `otherwise`."""
    return build.select(build.compare("GT", value, 0), positive, otherwise)


def hard_sigmoid(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return _hard_sigmoid(build, value, node.floating("alpha"), node.floating("beta"))


def _hard_sigmoid(build: OnnxBuilder, value: SSAValue, alpha: float, beta: float) -> SSAValue:
    line = build.add(scaled(build, value, alpha), beta)
    return build.clamp(0, line, 1)


def hard_swish(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return build.multiply(value, _hard_sigmoid(build, value, 1 / 6, 0.5))


def elu(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return where_positive(build, value, value, scaled(build, build.expm1(value), node.floating("alpha")))


def selu(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    inner = where_positive(build, value, value, scaled(build, build.expm1(value), node.floating("alpha")))
    return scaled(build, inner, node.floating("gamma"))


def celu(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    alpha = node.floating("alpha")
    quotient = value if alpha == 1 else build.divide(value, alpha)
    return where_positive(build, value, value, scaled(build, build.expm1(quotient), alpha))


def leaky_relu(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return _where_negative(build, value, scaled(build, value, node.floating("alpha")))


def prelu(node: Node, build: OnnxBuilder) -> SSAValue:
    value, slope = node.operand(0), node.operand(1)
    return _where_negative(build, value, build.multiply(value, slope))


def _where_negative(build: OnnxBuilder, value: SSAValue, negative: SSAValue) -> SSAValue:
    return build.select(build.compare("LT", value, 0), negative, value)


def thresholded_relu(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    above = build.compare("GT", value, node.floating("alpha"))
    return build.select(above, value, 0)


def softplus(node: Node, build: OnnxBuilder) -> SSAValue:
    return _softplus(build, node.operand(0))


def _softplus(build: OnnxBuilder, value: SSAValue) -> SSAValue:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which does not overflow."""
    small = build.log1p(build.exp(build.negate(build.abs(value))))
    return build.add(build.maximum(value, 0), small)


def softsign(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return build.divide(value, build.add(build.abs(value), 1))


def mish(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    return build.multiply(value, build.tanh(_softplus(build, value)))


def swish(node: Node, build: OnnxBuilder) -> SSAValue:
    return _swish(build, node.operand(0), node.floating("alpha", 1.0))


def quick_gelu(node: Node, build: OnnxBuilder) -> SSAValue:
    return _swish(build, node.operand(0), node.floating("alpha", 1.702))


def _swish(build: OnnxBuilder, value: SSAValue, alpha: float) -> SSAValue:
    if alpha == 1:
        return build.silu(value)
    return build.multiply(value, build.logistic(scaled(build, value, alpha)))


def shrink(node: Node, build: OnnxBuilder) -> SSAValue:
    value = node.operand(0)
    element_type_ = build.element_type(value)
    if not is_float(element_type_):
        value = build.cast(value, f64)
    threshold, bias = node.floating("lambd"), node.floating("bias")
    above = build.select(build.compare("GT", value, threshold), build.subtract(value, bias), 0)
    shrunk = build.select(build.compare("LT", value, -threshold), build.add(value, bias), above)
    return build.cast(shrunk, element_type_)


def gelu(node: Node, build: OnnxBuilder) -> SSAValue:
    approximate = node.string("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise LaminaError(f"the approximation of Gelu is none or tanh, found {approximate}")
    return build.gelu(node.operand(0), approximate)


def gelu_of_sum(approximate: str) -> Converter:
    """Contributed forms of Gelu that add an optional bias first."""

    def convert(node: Node, build: OnnxBuilder) -> SSAValue:
        value, bias = node.operand(0), node.optional(1)
        return build.gelu(value if bias is None else build.add(value, bias), approximate)

    return convert


SAME_NAME: Sequence[str] = (
    *("Abs", "Sign", "Exp", "Log", "Sqrt", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh"),
    *("Acosh", "Atanh", "Tanh", "Erf", "Floor", "Ceil", "Not"),
)
"""Operators whose op has their name in lower case."""

UNARY: Mapping[str, str] = {
    **{name: name.lower() for name in SAME_NAME},
    "Neg": "negate",
    "Sigmoid": "logistic",
    "Round": "round_nearest_even",
    "IsNaN": "is_nan",
    "BitwiseNot": "not",
}
BINARY: Mapping[str, str] = {
    "Add": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "Div": "divide",
    "And": "and",
    "Or": "or",
    "Xor": "xor",
    "BitwiseAnd": "and",
    "BitwiseOr": "or",
    "BitwiseXor": "xor",
}
VARIADIC: Mapping[str, str] = {"Sum": "add", "Max": "maximum", "Min": "minimum"}
COMPARISONS: Mapping[str, str] = {
    "Equal": "EQ",
    "Less": "LT",
    "LessOrEqual": "LE",
    "Greater": "GT",
    "GreaterOrEqual": "GE",
}
OTHERS: Mapping[str, Callable[[Node, OnnxBuilder], SSAValue]] = {
    "BitCast": bit_cast,
    "BitShift": bit_shift,
    "Cast": cast_to,
    "CastLike": cast_like,
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "IsInf": is_inf,
    "LeakyRelu": leaky_relu,
    "Mean": mean,
    "Mish": mish,
    "Mod": modulo,
    "PRelu": prelu,
    "Pow": power,
    "Reciprocal": reciprocal,
    "Relu": relu,
    "Selu": selu,
    "Shrink": shrink,
    "Softplus": softplus,
    "Softsign": softsign,
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
    "Where": where,
}

ELEMENTWISE: Mapping[str, Versions] = {
    **{name: {1: unary(op)} for name, op in UNARY.items()},
    **{name: {1: binary(op)} for name, op in BINARY.items()},
    **{name: {1: variadic(op)} for name, op in VARIADIC.items()},
    **{name: {1: comparison(direction)} for name, direction in COMPARISONS.items()},
    **{name: {1: converter} for name, converter in OTHERS.items()},
    "Clip": {6: clip_by_attributes, 11: clip},
}

CONTRIBUTED: Mapping[str, Versions] = {
    "BiasGelu": {1: gelu_of_sum("none")},
    "FastGelu": {1: gelu_of_sum("tanh")},
    "Gelu": {1: gelu_of_sum("none")},
    "QuickGelu": {1: quick_gelu},
}
