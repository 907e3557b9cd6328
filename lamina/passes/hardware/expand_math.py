"""`expand-math`: transcendental functions as arithmetic that LLVM vectorizes, at any shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from xdsl.context import Context
from xdsl.dialects import func, math
from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import BFloat16Type, Float16Type, FloatAttr, ModuleOp, f32, f64
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import Attribute, Operation

from lamina.dialects.hardware.cpu import has_scale
from lamina.passes.base import LaminaPass
from lamina.passes.hardware import device_functions, exponential, tables, trigonometric, wide_trigonometric
from lamina.passes.hardware.error_function import erf
from lamina.passes.hardware.expressions import Expression
from lamina.passes.loop.emitter import Constants, Emitter
from lamina.passes.registers import has_target_feature, target_vector_bits

KERNEL = "gpu.func"
"""The functions of a device; by name, since only GPU targets load that dialect."""

NON_POSITIVE = "lamina.non_positive"
"""On `math.exp`: the operand is never above 0 (it may be NaN), so that it need not be kept from overflowing."""

VANISHES = "lamina.vanishes_below"
"""On such a `math.exp`: a number below which the result may be 0."""

SCALING_FEATURE = "avx512f"
"""The feature of targets with an instruction for x · 2ⁿ."""

Expansion: TypeAlias = Callable[..., Expression]


@dataclass(frozen=True)
class Rule:
    """How a function is computed.

    `accuracy`: the largest error found in units of the last place, by the formats that the formula is good in (measured
    against 80-bit arithmetic over the whole range; the tests measure it again).
    """

    expansion: Expansion
    accuracy: Mapping[Attribute, float]


RULES: Mapping[str, Rule] = {
    "math.acos": Rule(trigonometric.acos, {f32: 1.3}),
    "math.acosh": Rule(exponential.acosh, {f32: 2.6, f64: 2.2}),
    "math.asin": Rule(trigonometric.asin, {f32: 2.4}),
    "math.asinh": Rule(exponential.asinh, {f32: 2.0, f64: 2.0}),
    "math.atan": Rule(trigonometric.atan, {f32: 2.9}),
    "math.atan2": Rule(trigonometric.atan2, {f32: 2.9}),
    "math.atanh": Rule(exponential.atanh, {f32: 2.4, f64: 2.0}),
    "math.cbrt": Rule(exponential.cbrt, {f32: 0.6}),
    "math.cos": Rule(trigonometric.cos, {f32: 1.6}),
    "math.cosh": Rule(exponential.cosh, {f32: 1.5, f64: 1.8}),
    "math.erf": Rule(erf, {f32: 1.6}),
    "math.exp": Rule(exponential.exp, {f32: 1.3, f64: 1.3}),
    "math.exp2": Rule(exponential.exp2, {f32: 1.3, f64: 1.4}),
    "math.expm1": Rule(exponential.expm1, {f32: 1.5, f64: 2.0}),
    "math.log": Rule(exponential.log, {f32: 0.9, f64: 0.9}),
    "math.log10": Rule(exponential.log10, {f32: 2.1, f64: 3.0}),
    "math.log1p": Rule(exponential.log1p, {f32: 1.5, f64: 1.5}),
    "math.log2": Rule(exponential.log2, {f32: 1.7, f64: 1.5}),
    "math.powf": Rule(exponential.power, {f32: 0.6}),
    "math.rsqrt": Rule(exponential.rsqrt, {f32: 1.5, f64: 1.5}),
    "math.sin": Rule(trigonometric.sin, {f32: 1.6}),
    "math.sinh": Rule(exponential.sinh, {f32: 1.7}),
    "math.tan": Rule(trigonometric.tan, {f32: 3.5}),
    "math.tanh": Rule(exponential.tanh, {f32: 2.6, f64: 2.6}),
}
"""By op name. What has no rule in a format stays: the printer calls the C library for it, element by element."""


WIDE_RULES: Mapping[str, Rule] = {
    "math.erf": Rule(tables.erf, {f32: 2.2}),
    "math.exp": Rule(tables.exp, {f32: 1.0}),
    "math.tanh": Rule(tables.tanh, {f32: 1.4}),
}
"""For f32 in vectors of 512 bits, in the place of `RULES`: about half the operations."""

DEVICE_RULES: Mapping[str, Rule] = {
    "math.acos": Rule(device_functions.acos, {f64: 2.5}),
    "math.asin": Rule(device_functions.asin, {f64: 2.0}),
    "math.atan": Rule(device_functions.atan, {f64: 1.5}),
    "math.atan2": Rule(device_functions.atan2, {f64: 1.5}),
    "math.cbrt": Rule(device_functions.cbrt, {f64: 1.5}),
    "math.cos": Rule(wide_trigonometric.cos, {f64: 1.0}),
    "math.erf": Rule(device_functions.erf, {f64: 1.5}),
    "math.powf": Rule(device_functions.power, {f64: 2.0}),
    "math.sin": Rule(wide_trigonometric.sin, {f64: 1.0}),
    "math.sinh": Rule(device_functions.sinh, {f64: 3.0}),
    "math.tan": Rule(wide_trigonometric.tan, {f64: 2.1}),
}
"""For kernels of a device, which has no C library: what `RULES` has not in a format."""


@dataclass(frozen=True)
class ExpandMathPass(LaminaPass):
    """Transcendental functions become polynomials and rational functions, on scalars and on n-D vectors.

    `%y = math.exp %x : vector<8x48xf32>` becomes about twenty `arith` and `math.fma` ops on the same type. f16 and bf16
    are computed in f32. NaN gives NaN, infinities and signed zeros give what C's functions give; results may be
    subnormal. Constants go to the start of the function, where equal ones are shared. `cpu.ldexp` stands for a product
    with a power of two where `lamina.target` has a feature for it, `cpu.scale` and `cpu.lookup`
    where it has vectors of 512 bits.
    """

    name = "expand-math"
    # What is still in `graph` would become `math` ops afterwards.
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"math-expanded"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        scales = has_target_feature(op, SCALING_FEATURE)
        wide = scales and target_vector_bits(op) == 512
        for function in op.walk():
            if (not isinstance(function, func.FuncOp) and function.name != KERNEL) or not function.regions[0].blocks:
                continue
            constants = Constants(function.regions[0].block)
            for nested in [nested for nested in function.walk() if nested.name in RULES]:
                if function.name == KERNEL and _is_approximate(nested):
                    continue
                on_cpu = isinstance(function, func.FuncOp)
                expand(nested, constants, scales=scales and on_cpu, wide=wide and on_cpu)
            if function.name == KERNEL:
                for nested in [nested for nested in function.walk() if nested.name in DEVICE_RULES]:
                    expand(nested, constants, rule=DEVICE_RULES[nested.name])


def _is_approximate(op: Operation) -> bool:
    """Whether an op is 2ˣ in f32 by the device's own instruction, which is good to two units of the last place."""
    flags = op.properties.get("fastmath")
    allowed = isinstance(flags, FastMathFlagsAttr) and FastMathFlag.APPROX_FUNC in flags.data
    return allowed and isinstance(op, math.Exp2Op) and op.operands[0].type == f32


def expand(
    op: Operation, constants: Constants, *, scales: bool = False, wide: bool = False, rule: Rule | None = None
) -> None:
    """Replace one op by its rule (or another one), where that has the format; `scales`: the target has `cpu.ldexp` in
    hardware; `wide`: `cpu.scale`, too."""
    rule = rule or RULES[op.name]
    emitter = Emitter.ahead_of(op, constants)
    operands = [Expression(operand, emitter, scales) for operand in op.operands]
    element = operands[0].element
    small = isinstance(element, Float16Type | BFloat16Type)
    if (f32 if small else element) not in rule.accuracy:
        return
    if small:
        operands = [operand.convert(f32) for operand in operands]
    bounded = isinstance(op, math.ExpOp) and NON_POSITIVE in op.attributes
    if bounded and wide and has_scale(operands[0].value.type):
        lowest = op.attributes.get(VANISHES)
        result = exponential.weight(operands[0], lowest.value.data if isinstance(lowest, FloatAttr) else None)
    elif wide and op.name in WIDE_RULES and has_scale(operands[0].value.type):
        result = WIDE_RULES[op.name].expansion(operands[0])
    else:
        result = exponential.exp(operands[0], non_positive=True) if bounded else rule.expansion(*operands)
    if small:
        result = result.convert(element)
    result.value.name_hint = op.results[0].name_hint
    op.results[0].replace_all_uses_with(result.value)
    op.detach()
    op.erase()
