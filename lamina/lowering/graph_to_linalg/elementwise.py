"""Elementwise ops on scalars: arithmetic, comparisons, selection, conversions.

f16 and bf16 are computed in f32 and rounded, as the graph ops define it. Integers are signless here: the graph-level
element type decides between signed and unsigned ops. Division by zero and oversized shifts, which upstream leaves
undefined, give what the graph ops say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from xdsl.dialects import math
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    UnitAttr,
    f32,
    f64,
    i1,
    i32,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from lamina.dialects.graph.elementwise import SubtractOp
from lamina.dialects.graph.reduction import ReduceOp
from lamina.dialects.graph.types import bit_width, is_boolean, is_float, is_unsigned
from lamina.dialects.loop import arith, scf
from lamina.lowering.graph_to_linalg.body import Body, ScalarRule
from lamina.lowering.graph_to_linalg.emitter import INDEX, Scope, element_type_of, signless
from lamina.lowering.graph_to_linalg.indexing import ZERO, Indices
from lamina.lowering.graph_to_linalg.properties import integer, keyword
from lamina.passes.hardware.expand_math import NON_POSITIVE

Compute: TypeAlias = Callable[[Scope, Attribute, Sequence[SSAValue]], SSAValue]
"""An op on scalars: the operands' graph-level element type (f32 for f16 and bf16), the operands, the result."""

ScalarFunction: TypeAlias = Callable[[Scope, Operation, Sequence[SSAValue]], SSAValue]
"""An op on scalars: the op, for its properties; one element of each operand, f32 for f16 and bf16; the result."""

NARROW_FLOATS = (Float16Type, BFloat16Type)


# ---- float and integer ops


def by_type(
    float_op: type[Operation] | None, signed_op: type[Operation] | None, unsigned_op: type[Operation] | None = None
) -> Compute:
    """One upstream op, chosen by the element type; booleans count as unsigned."""

    def compute(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
        if is_float(element_type):
            chosen = float_op
        else:
            unsigned = is_unsigned(element_type) or is_boolean(element_type)
            chosen = (unsigned_op or signed_op) if unsigned else signed_op
        assert chosen is not None, f"no op on {element_type}"
        return scope.emit(chosen, operands, operands[0].type)

    return compute


def _absolute(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    (x,) = operands
    if is_float(element_type):
        return scope.emit(math.AbsFOp, (x,), x.type)
    if is_unsigned(element_type):
        return x
    return scope.emit(arith.MaxSIOp, (x, scope.emit(arith.SubiOp, (scope.constant(0, x.type), x), x.type)), x.type)


def _negate(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    (x,) = operands
    if is_float(element_type):
        return scope.emit(arith.NegfOp, (x,), x.type)
    return scope.emit(arith.SubiOp, (scope.constant(0, x.type), x), x.type)


def _sign(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    """1, -1, 0 for both zeros, NaN for NaN."""
    (x,) = operands
    zero = scope.constant(0, x.type)
    if is_unsigned(element_type):
        return scope.select(scope.compare("ne", x, zero), scope.constant(1, x.type), zero)
    of_floats = is_float(element_type)
    greater, less = ("ogt", "olt") if of_floats else ("sgt", "slt")
    # -0.0 + 0.0 is 0.0, and NaN stays NaN.
    neither = scope.emit(arith.AddfOp, (x, zero), x.type) if of_floats else zero
    negative = scope.select(scope.compare(less, x, zero), scope.constant(-1, x.type), neither)
    return scope.select(scope.compare(greater, x, zero), scope.constant(1, x.type), negative)


def _logistic(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    """1 / (1 + exp(-x)): exp overflows to infinity, which gives 0, so no other form is needed."""
    (x,) = operands
    one = scope.constant(1, x.type)
    power = scope.emit(math.ExpOp, (scope.emit(arith.NegfOp, (x,), x.type),), x.type)
    return scope.emit(arith.DivfOp, (one, scope.emit(arith.AddfOp, (one, power), x.type)), x.type)


def _not(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    (x,) = operands
    return scope.emit(arith.XOrIOp, (x, scope.constant(-1, x.type)), x.type)


def _is_nan(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    return scope.compare("uno", operands[0], operands[0])


def _divide(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    x, y = operands
    if is_float(element_type):
        return scope.emit(arith.DivfOp, (x, y), x.type)
    zero = scope.constant(0, x.type)
    if is_unsigned(element_type):
        quotient = scope.emit(arith.DivUIOp, (x, _not_zero(scope, y)), x.type)
    else:
        # The smallest integer over -1 overflows, which traps: a negation wraps around instead.
        quotient = scope.emit(arith.DivSIOp, (x, _not_zero_or_minus_one(scope, y)), x.type)
        negated = scope.emit(arith.SubiOp, (zero, x), x.type)
        quotient = scope.select(scope.compare("eq", y, scope.constant(-1, x.type)), negated, quotient)
    return scope.select(scope.compare("eq", y, zero), scope.constant(-1, x.type), quotient)


def _remainder(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    x, y = operands
    if is_float(element_type):
        return scope.emit(arith.RemFOp, (x, y), x.type)
    zero = scope.constant(0, x.type)
    if is_unsigned(element_type):
        remainder = scope.emit(arith.RemUIOp, (x, _not_zero(scope, y)), x.type)
    else:
        # Modulo 1 stands for modulo -1, which traps for the smallest integer: both give 0.
        remainder = scope.emit(arith.RemSIOp, (x, _not_zero_or_minus_one(scope, y)), x.type)
    return scope.select(scope.compare("eq", y, zero), x, remainder)


def _not_zero(scope: Scope, divisor: SSAValue) -> SSAValue:
    """The divisor, 1 in the place of 0."""
    is_zero = scope.compare("eq", divisor, scope.constant(0, divisor.type))
    return scope.select(is_zero, scope.constant(1, divisor.type), divisor)


def _not_zero_or_minus_one(scope: Scope, divisor: SSAValue) -> SSAValue:
    """The divisor, 1 in the place of 0 and -1."""
    above = scope.emit(arith.AddiOp, (divisor, scope.constant(1, divisor.type)), divisor.type)
    either = scope.compare("ule", above, scope.constant(1, divisor.type))
    return scope.select(either, scope.constant(1, divisor.type), divisor)


def _power(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    x, y = operands
    if is_float(element_type):
        return scope.emit(math.PowFOp, (x, y), x.type)
    return _integer_power(scope, element_type, x, y)


def _integer_power(scope: Scope, element_type: Attribute, base: SSAValue, exponent: SSAValue) -> SSAValue:
    """Square and multiply over the bits of the exponent, wrapping around; negative ones give the quotient 1 / x**n."""
    type_ = base.type
    zero, one = scope.constant(0, type_), scope.constant(1, type_)
    loop = Scope(scope)
    block = Block(arg_types=[INDEX, type_, type_, type_])
    _, result, power, rest = block.args
    is_odd = loop.compare("ne", loop.emit(arith.AndIOp, (rest, one), type_), zero)
    product = loop.emit(arith.MuliOp, (result, power), type_)
    following = (
        loop.select(is_odd, product, result),
        loop.emit(arith.MuliOp, (power, power), type_),
        loop.emit(arith.ShRUIOp, (rest, one), type_),
    )
    loop.append(scf.YieldOp(*following))
    block.add_ops(loop.ops)
    first, last, step = (scope.constant(bound, INDEX) for bound in (0, bit_width(element_type), 1))
    total = scope.append(scf.ForOp(first, last, step, [one, base, exponent], Region(block))).results[0]
    if is_unsigned(element_type):
        return total
    # 1 / x**n is 1 for 1, ±1 for -1 (the low bit of the exponent is its sign there), and 0 otherwise.
    minus_one = scope.constant(-1, type_)
    odd = scope.compare("ne", scope.emit(arith.AndIOp, (exponent, one), type_), zero)
    of_minus_one = scope.select(odd, minus_one, one)
    inverse = scope.select(scope.compare("eq", base, minus_one), of_minus_one, zero)
    inverse = scope.select(scope.compare("eq", base, one), one, inverse)
    return scope.select(scope.compare("slt", exponent, zero), inverse, total)


def _shift(left: bool) -> Compute:
    """A shift by the width or more (or a negative amount) shifts everything out."""

    def compute(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
        x, amount = operands
        width = scope.constant(bit_width(element_type), x.type)
        if not left and not is_unsigned(element_type):
            most = scope.constant(bit_width(element_type) - 1, x.type)
            return scope.emit(arith.ShRSIOp, (x, scope.emit(arith.MinUIOp, (amount, most), x.type)), x.type)
        shifted = scope.emit(arith.ShLIOp if left else arith.ShRUIOp, (x, amount), x.type)
        return scope.select(scope.compare("ult", amount, width), shifted, scope.constant(0, x.type))

    return compute


MAXIMUM = by_type(arith.MaximumfOp, arith.MaxSIOp, arith.MaxUIOp)
MINIMUM = by_type(arith.MinimumfOp, arith.MinSIOp, arith.MinUIOp)


def _clamp(scope: Scope, element_type: Attribute, operands: Sequence[SSAValue]) -> SSAValue:
    lower, x, upper = operands
    return MINIMUM(scope, element_type, (MAXIMUM(scope, element_type, (lower, x)), upper))


COMPUTE: Mapping[str, Compute] = {
    "graph.abs": _absolute,
    "graph.negate": _negate,
    "graph.sign": _sign,
    "graph.logistic": _logistic,
    "graph.not": _not,
    "graph.is_nan": _is_nan,
    "graph.add": by_type(arith.AddfOp, arith.AddiOp),
    "graph.subtract": by_type(arith.SubfOp, arith.SubiOp),
    "graph.multiply": by_type(arith.MulfOp, arith.MuliOp),
    "graph.divide": _divide,
    "graph.remainder": _remainder,
    "graph.power": _power,
    "graph.maximum": MAXIMUM,
    "graph.minimum": MINIMUM,
    "graph.and": by_type(None, arith.AndIOp),
    "graph.or": by_type(None, arith.OrIOp),
    "graph.xor": by_type(None, arith.XOrIOp),
    "graph.shift_left": _shift(left=True),
    "graph.shift_right": _shift(left=False),
    "graph.clamp": _clamp,
    "graph.atan2": by_type(math.Atan2Op, None),
    "graph.sqrt": by_type(math.SqrtOp, None),
    "graph.rsqrt": by_type(math.RsqrtOp, None),
    "graph.floor": by_type(math.FloorOp, None),
    "graph.ceil": by_type(math.CeilOp, None),
    "graph.round_nearest_even": by_type(math.RoundEvenOp, None),
    "graph.exp": by_type(math.ExpOp, None),
    "graph.expm1": by_type(math.ExpM1Op, None),
    "graph.log": by_type(math.LogOp, None),
    "graph.log1p": by_type(math.Log1pOp, None),
    "graph.sin": by_type(math.SinOp, None),
    "graph.cos": by_type(math.CosOp, None),
    "graph.tan": by_type(math.TanOp, None),
    "graph.asin": by_type(math.AsinOp, None),
    "graph.acos": by_type(math.AcosOp, None),
    "graph.atan": by_type(math.AtanOp, None),
    "graph.sinh": by_type(math.SinhOp, None),
    "graph.cosh": by_type(math.CoshOp, None),
    "graph.tanh": by_type(math.TanhOp, None),
    "graph.asinh": by_type(math.AsinhOp, None),
    "graph.acosh": by_type(math.AcoshOp, None),
    "graph.atanh": by_type(math.AtanhOp, None),
    "graph.erf": by_type(math.ErfOp, None),
}
"""Ops whose operands and result (but for predicates) have one element type."""


# ---- broadcasting


def read_operand(body: Body, op: Operation, index: int, indices: Indices) -> SSAValue:
    """The element of an operand that meets result element `indices`: axes align at the end, size 1 stretches."""
    operand = op.operands[index]
    shape = body.shape(operand)
    aligned = indices[len(indices) - len(shape) :]
    result = body.shape(op.results[0])[len(indices) - len(shape) :]
    stretched = (size == 1 and full != 1 for size, full in zip(shape, result, strict=True))
    return body.read(operand, tuple(ZERO if stretch else at for at, stretch in zip(aligned, stretched, strict=True)))


def elementwise_rule(compute: ScalarFunction) -> ScalarRule:
    """The rule of an op whose operands have one element type, by its function of scalars."""

    def rule(body: Body, op: Operation, indices: Indices) -> SSAValue:
        element_type = element_type_of(op.operands[0])
        operands = [read_operand(body, op, index, indices) for index in range(len(op.operands))]
        if not isinstance(element_type, NARROW_FLOATS):
            return compute(body, op, operands)
        result = compute(body, op, [body.emit(arith.ExtFOp, (operand,), f32) for operand in operands])
        return body.emit(arith.TruncFOp, (result,), element_type) if result.type == f32 else result

    return rule


def _elementwise(compute: Compute) -> ScalarRule:
    def by_element_type(scope: Scope, op: Operation, operands: Sequence[SSAValue]) -> SSAValue:
        element_type = element_type_of(op.operands[0])
        return compute(scope, f32 if isinstance(element_type, NARROW_FLOATS) else element_type, operands)

    return elementwise_rule(by_element_type)


def _exponential(body: Body, op: Operation, indices: Indices) -> SSAValue:
    """eˣ; where x is something less its own maximum, as in a softmax, the op says that it is not above 0."""
    result = _elementwise(COMPUTE[op.name])(body, op, indices)
    shifted = op.operands[0].owner
    if isinstance(shifted, SubtractOp) and isinstance(result.owner, math.ExpOp):
        largest = shifted.operands[1].owner
        if isinstance(largest, ReduceOp) and largest.kind.data == "maximum" and largest.operand is shifted.operands[0]:
            result.owner.attributes[NON_POSITIVE] = UnitAttr()
    return result


def _is_inf(body: Body, op: Operation, indices: Indices) -> SSAValue:
    x = read_operand(body, op, 0, indices)
    signs = [sign for sign, name in ((1, "detect_positive"), (-1, "detect_negative")) if integer(op, name)]
    tests = [body.compare("oeq", x, body.constant(sign * float("inf"), x.type)) for sign in signs]
    if not tests:
        return body.constant(False, i1)
    return tests[0] if len(tests) == 1 else body.emit(arith.OrIOp, tests, i1)


PREDICATES: Mapping[str, tuple[str, str, str]] = {
    "EQ": ("oeq", "eq", "eq"),
    "NE": ("une", "ne", "ne"),
    "LT": ("olt", "slt", "ult"),
    "LE": ("ole", "sle", "ule"),
    "GT": ("ogt", "sgt", "ugt"),
    "GE": ("oge", "sge", "uge"),
}
"""Directions of `graph.compare`: predicates for floats, signed and unsigned integers."""


def predicate(direction: str, element_type: Attribute) -> str:
    """The predicate of `arith.cmpf` or `arith.cmpi`."""
    of_floats, of_signed, of_unsigned = PREDICATES[direction]
    if is_float(element_type):
        return of_floats
    return of_unsigned if is_unsigned(element_type) or is_boolean(element_type) else of_signed


def _compare(body: Body, op: Operation, indices: Indices) -> SSAValue:
    left, right = (read_operand(body, op, index, indices) for index in (0, 1))
    return body.compare(predicate(keyword(op, "direction"), element_type_of(op.operands[0])), left, right)


def _select(body: Body, op: Operation, indices: Indices) -> SSAValue:
    condition, on_true, on_false = (read_operand(body, op, index, indices) for index in range(3))
    return body.select(condition, on_true, on_false)


# ---- conversions


def convert(scope: Scope, value: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    """`graph.cast` of a scalar between graph-level element types."""
    if source == target:
        return value
    if is_boolean(target):
        return scope.compare("une" if is_float(source) else "ne", value, scope.constant(0, value.type))
    if is_float(source):
        if is_float(target):
            return _float_to_float(scope, value, target)
        return _float_to_integer(scope, _widened(scope, value), target)
    if is_float(target):
        return _integer_to_float(scope, value, source, target)
    return _resize(scope, value, source, target)


def _widened(scope: Scope, value: SSAValue) -> SSAValue:
    return scope.emit(arith.ExtFOp, (value,), f32) if isinstance(value.type, NARROW_FLOATS) else value


def _float_to_float(scope: Scope, value: SSAValue, target: Attribute) -> SSAValue:
    value = _widened(scope, value)
    if value.type == target:
        return value
    if isinstance(value.type, Float32Type):
        return scope.emit(arith.ExtFOp if target == f64 else arith.TruncFOp, (value,), target)
    if isinstance(target, NARROW_FLOATS):
        return scope.emit(arith.TruncFOp, (_round_to_odd(scope, value),), target)
    return scope.emit(arith.TruncFOp, (value,), target)


def _round_to_odd(scope: Scope, value: SSAValue) -> SSAValue:
    """f64 to f32 so that a second rounding, to f16 or bf16, gives what one rounding would.

    An inexact result gets an odd last bit: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
    algorithms using rounding to odd", 2008.
    """
    rounded = scope.emit(arith.TruncFOp, (value,), f32)
    bits = scope.emit(arith.BitcastOp, (rounded,), i32)
    one = scope.constant(1, i32)
    # |rounded| > |value|: the neighbor towards zero is one less as an integer, whatever the sign.
    magnitudes = [
        scope.emit(math.AbsFOp, (operand,), f64) for operand in (scope.emit(arith.ExtFOp, (rounded,), f64), value)
    ]
    too_far = scope.compare("ogt", *magnitudes)
    too_near = scope.compare("olt", *magnitudes)
    infinity = scope.constant(float("inf"), f64)
    even = scope.compare("eq", scope.emit(arith.AndIOp, (bits, one), i32), scope.constant(0, i32))
    adjustable = scope.emit(arith.AndIOp, (even, scope.compare("one", magnitudes[0], infinity)), i1)
    nearer = scope.select(too_far, scope.emit(arith.SubiOp, (bits, one), i32), bits)
    farther = scope.select(too_near, scope.emit(arith.AddiOp, (bits, one), i32), nearer)
    return scope.emit(arith.BitcastOp, (scope.select(adjustable, farther, bits),), f32)


def _float_to_integer(scope: Scope, value: SSAValue, target: Attribute) -> SSAValue:
    """Towards zero, saturating; NaN gives 0."""
    type_, width = signless(target), bit_width(target)
    unsigned = is_unsigned(target)
    low, high = (0, 2**width) if unsigned else (-(2 ** (width - 1)), 2 ** (width - 1))
    # The bounds are powers of two, exact in f32; `high` itself does not fit.
    not_below = scope.compare("oge", value, scope.constant(low, value.type))
    below_high = scope.compare("olt", value, scope.constant(high, value.type))
    inside = scope.emit(arith.AndIOp, (not_below, below_high), i1)
    safe = scope.select(inside, value, scope.constant(0, value.type))
    converted = scope.emit(arith.FPToUIOp if unsigned else arith.FPToSIOp, (safe,), type_)
    above = scope.compare("oge", value, scope.constant(high, value.type))
    result = scope.select(above, scope.constant(high - 1, type_), converted)
    if unsigned:
        return result
    below = scope.compare("olt", value, scope.constant(low, value.type))
    return scope.select(below, scope.constant(low, type_), result)


def _integer_to_float(scope: Scope, value: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    op = arith.UIToFPOp if is_unsigned(source) or is_boolean(source) else arith.SIToFPOp
    if not isinstance(target, NARROW_FLOATS):
        return scope.emit(op, (value,), target)
    # Up to 16 bits are exact in f32, up to 32 in f64.
    through = f32 if bit_width(source) <= 16 else f64
    return _float_to_float(scope, scope.emit(op, (value,), through), target)


def _resize(scope: Scope, value: SSAValue, source: Attribute, target: Attribute) -> SSAValue:
    before, after = bit_width(source), bit_width(target)
    if before == after:
        return value
    if before > after:
        op: type[Operation] = arith.TruncIOp
    else:
        op = arith.ExtUIOp if is_unsigned(source) or is_boolean(source) else arith.ExtSIOp
    return scope.emit(op, (value,), signless(target))


def _cast(body: Body, op: Operation, indices: Indices) -> SSAValue:
    source, target = element_type_of(op.operands[0]), element_type_of(op.results[0])
    return convert(body, read_operand(body, op, 0, indices), source, target)


def _bitcast(body: Body, op: Operation, indices: Indices) -> SSAValue:
    value, target = read_operand(body, op, 0, indices), body.scalar_type(op.results[0])
    return value if value.type == target else body.emit(arith.BitcastOp, (value,), target)


SCALAR_RULES: Mapping[str, ScalarRule] = {
    **{name: _elementwise(compute) for name, compute in COMPUTE.items()},
    "graph.exp": _exponential,
    "graph.is_inf": _is_inf,
    "graph.compare": _compare,
    "graph.select": _select,
    "graph.cast": _cast,
    "graph.bitcast": _bitcast,
}

EXPENSIVE: Mapping[str, int] = {
    **dict.fromkeys(("divide", "remainder", "sqrt", "rsqrt"), 8),
    **dict.fromkeys(("exp", "expm1", "log", "log1p", "power", "logistic", "erf"), 16),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "atan2"), 16),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), 16),
}
"""How much more than an addition an op costs (by its name without the dialect); others cost 1."""
