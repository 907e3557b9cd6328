"""`expand-math`: transcendental functions as arithmetic that LLVM vectorizes, at any shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import BFloat16Type, Float16Type, ModuleOp, f32, f64
from xdsl.ir import Attribute, Operation

from lamina.passes.base import LaminaPass
from lamina.passes.hardware import exponential, trigonometric
from lamina.passes.hardware.error_function import erf
from lamina.passes.hardware.expressions import Expression
from lamina.passes.loop.emitter import Constants, Emitter

Expansion: TypeAlias = Callable[..., Expression]


@dataclass(frozen=True)
class Rule:
    """How a function is computed, and the formats that the formula is accurate in."""

    expansion: Expansion
    formats: frozenset[Attribute]


BOTH = frozenset[Attribute]({f32, f64})
SINGLE = frozenset[Attribute]({f32})

RULES: Mapping[str, Rule] = {
    "math.exp": Rule(exponential.exp, BOTH),
    "math.exp2": Rule(exponential.exp2, BOTH),
    "math.expm1": Rule(exponential.expm1, BOTH),
    "math.log": Rule(exponential.log, BOTH),
    "math.log2": Rule(exponential.log2, BOTH),
    "math.log10": Rule(exponential.log10, BOTH),
    "math.log1p": Rule(exponential.log1p, BOTH),
    "math.tanh": Rule(exponential.tanh, BOTH),
    "math.rsqrt": Rule(exponential.rsqrt, BOTH),
    "math.cosh": Rule(exponential.cosh, BOTH),
    "math.sinh": Rule(exponential.sinh, SINGLE),
    "math.asinh": Rule(exponential.asinh, BOTH),
    "math.acosh": Rule(exponential.acosh, BOTH),
    "math.atanh": Rule(exponential.atanh, BOTH),
    "math.powf": Rule(exponential.power, SINGLE),
    "math.cbrt": Rule(exponential.cbrt, SINGLE),
    "math.erf": Rule(erf, SINGLE),
    "math.sin": Rule(trigonometric.sin, SINGLE),
    "math.cos": Rule(trigonometric.cos, SINGLE),
    "math.tan": Rule(trigonometric.tan, SINGLE),
    "math.asin": Rule(trigonometric.asin, SINGLE),
    "math.acos": Rule(trigonometric.acos, SINGLE),
    "math.atan": Rule(trigonometric.atan, SINGLE),
    "math.atan2": Rule(trigonometric.atan2, SINGLE),
}
"""By op name. What has no rule in a format stays: the printer calls the C library for it, element by element."""


@dataclass(frozen=True)
class ExpandMathPass(LaminaPass):
    """Transcendental functions become polynomials and rational functions, on scalars and on n-D vectors.

    `%y = math.exp %x : vector<8x48xf32>` becomes about twenty `arith` and `math.fma` ops on the same type. f16 and bf16
    are computed in f32. NaN gives NaN, infinities and signed zeros give what C's functions give; results may be
    subnormal. Constants go to the start of the function, where equal ones are shared.
    """

    name = "expand-math"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if not isinstance(function, func.FuncOp) or not function.body.blocks:
                continue
            constants = Constants(function.body.block)
            for nested in [nested for nested in function.walk() if nested.name in RULES]:
                expand(nested, constants)


def expand(op: Operation, constants: Constants) -> None:
    """Replace one op by its rule, where it has one for the format."""
    rule = RULES[op.name]
    emitter = Emitter.ahead_of(op, constants)
    operands = [Expression(operand, emitter) for operand in op.operands]
    element = operands[0].element
    small = isinstance(element, Float16Type | BFloat16Type)
    if (f32 if small else element) not in rule.formats:
        return
    if small:
        operands = [operand.convert(f32) for operand in operands]
    result = rule.expansion(*operands)
    if small:
        result = result.convert(element)
    result.value.name_hint = op.results[0].name_hint
    op.results[0].replace_all_uses_with(result.value)
    op.detach()
    op.erase()
