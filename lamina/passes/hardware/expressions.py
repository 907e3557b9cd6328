"""Arithmetic on scalars or n-D vectors written with Python operators; every operator inserts one op."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.dialects import math
from xdsl.dialects.builtin import (
    AnyFloat,
    Float32Type,
    Float64Type,
    IntegerType,
    bf16,
    f16,
    f32,
    f64,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.dialects.hardware.cpu import LdexpOp, LookupOp, ScaleOp
from lamina.dialects.loop import arith
from lamina.dialects.loop.arith import same_shape
from lamina.dialects.loop.types import is_vector
from lamina.passes.loop.emitter import Emitter, scalar_attribute

INTEGER_OPS = {
    "+": arith.AddiOp,
    "-": arith.SubiOp,
    "&": arith.AndIOp,
    "|": arith.OrIOp,
    "^": arith.XOrIOp,
    "<<": arith.ShLIOp,
    ">>": arith.ShRSIOp,
}
FLOAT_OPS = {"+": arith.AddfOp, "-": arith.SubfOp, "*": arith.MulfOp, "/": arith.DivfOp}
COMPARISONS = {
    "<": ("olt", "slt"),
    "<=": ("ole", "sle"),
    ">": ("ogt", "sgt"),
    ">=": ("oge", "sge"),
    "==": ("oeq", "eq"),
    "!=": ("une", "ne"),
}
"""Comparison -> predicate on floats (ordered, `!=` unordered), on signed integers."""


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 binary format: its types, the bits of its fraction, and the bias of its exponent."""

    type: Float32Type | Float64Type
    bits: IntegerType
    fraction: int
    bias: int

    @property
    def shifter(self) -> float:
        """1.5 · 2^fraction: adding it rounds to an integer, which then stands in the sum's low bits."""
        return 1.5 * 2.0**self.fraction


F32 = FloatFormat(f32, i32, 23, 127)
F64 = FloatFormat(f64, i64, 52, 1023)
FORMATS: dict[Attribute, FloatFormat] = {f32: F32, f64: F64}
BITWIDTHS: dict[Attribute, int] = {bf16: 16, f16: 16, f32: 32, f64: 64}


@dataclass(frozen=True, eq=False)
class Expression:
    """A value with operators. Numbers beside it become constants of its type.

    `+ - * /`, unary `-`, and on integers `& | ^ << >>` (arithmetic). Comparisons are methods, since their result is an
    expression: `x.compare("<", 0.0)`.
    """

    value: SSAValue
    emitter: Emitter
    scales: bool = False
    """Whether the target multiplies by a power of two in one operation, `cpu.ldexp`."""

    @property
    def element(self) -> Attribute:
        """The element type."""
        type_ = self.value.type
        return type_.get_element_type() if is_vector(type_) else type_

    @property
    def format(self) -> FloatFormat:
        """The format of a float."""
        return FORMATS[self.element]

    # Building

    def apply(self, op_type: type[Operation], *operands: Expression, element: Attribute | None = None) -> Expression:
        """An op without properties on these operands, the result in this expression's shape."""
        type_ = self.value.type if element is None else same_shape(self.value.type, element)
        op = op_type.create(operands=[operand.value for operand in operands], result_types=[type_])
        for name, attribute in DEFAULT_PROPERTIES.get(op_type, ()):
            op.properties[name] = attribute
        return replace(self, value=self.emitter.value(op))

    def constant(self, number: float, element: Attribute | None = None) -> Expression:
        """A number in this expression's shape, in its element type unless another is given."""
        element = element or self.element
        attribute = scalar_attribute(number, element)
        type_ = same_shape(self.value.type, element)
        emitter = self.emitter
        constant = emitter.splat(attribute, type_) if is_vector(type_) else emitter.constants.get(attribute, type_)
        return replace(self, value=constant)

    def _operand(self, other: Expression | float) -> Expression:
        return other if isinstance(other, Expression) else self.constant(other)

    def _binary(self, operator: str, other: Expression | float) -> Expression:
        table = FLOAT_OPS if isinstance(self.element, AnyFloat) else INTEGER_OPS
        return self.apply(table[operator], self, self._operand(other))

    def __add__(self, other: Expression | float) -> Expression:
        return self._binary("+", other)

    def __radd__(self, other: float) -> Expression:
        return self.constant(other) + self

    def __sub__(self, other: Expression | float) -> Expression:
        return self._binary("-", other)

    def __rsub__(self, other: float) -> Expression:
        return self.constant(other) - self

    def __mul__(self, other: Expression | float) -> Expression:
        return self._binary("*", other)

    def __rmul__(self, other: float) -> Expression:
        return self * other

    def __truediv__(self, other: Expression | float) -> Expression:
        return self._binary("/", other)

    def __rtruediv__(self, other: float) -> Expression:
        return self.constant(other) / self

    def __neg__(self) -> Expression:
        return self.apply(arith.NegfOp, self)

    def __and__(self, other: Expression | int) -> Expression:
        return self._binary("&", other)

    def __or__(self, other: Expression | int) -> Expression:
        return self._binary("|", other)

    def __xor__(self, other: Expression | int) -> Expression:
        return self._binary("^", other)

    def __lshift__(self, count: int) -> Expression:
        return self._binary("<<", count)

    def __rshift__(self, count: int) -> Expression:
        return self._binary(">>", count)

    # Floats

    def fma(self, factor: Expression | float, addend: Expression | float) -> Expression:
        """self · factor + addend, rounded once."""
        return self.apply(math.FmaOp, self, self._operand(factor), self._operand(addend))

    def clamp(self, low: float, high: float) -> Expression:
        """Between two numbers; NaN stays NaN."""
        return self.minimum(high).maximum(low)

    def minimum(self, other: Expression | float) -> Expression:
        """The smaller; NaN when one is."""
        return self.apply(arith.MinimumfOp, self, self._operand(other))

    def maximum(self, other: Expression | float) -> Expression:
        """The larger; NaN when one is."""
        return self.apply(arith.MaximumfOp, self, self._operand(other))

    def abs(self) -> Expression:
        """The magnitude."""
        return self.apply(math.AbsFOp, self)

    def ldexp(self, exponent: Expression) -> Expression:
        """self · 2ⁿ of an integer n, rounded once."""
        return self.apply(LdexpOp, self, exponent)

    def scale(self, exponent: Expression) -> Expression:
        """self · 2^⌊n⌋ of a float n, rounded once."""
        return self.apply(ScaleOp, self, exponent)

    def lookup(self, table: Sequence[float]) -> Expression:
        """The element of a table of 16 or 32 f32 that this integer's low bits name."""
        type_ = same_shape(self.value.type, f32)
        return replace(self, value=self.emitter.value(LookupOp(self.value, table, type_)))

    def sqrt(self) -> Expression:
        """The square root."""
        return self.apply(math.SqrtOp, self)

    def floor(self) -> Expression:
        """Rounded down."""
        return self.apply(math.FloorOp, self)

    def round(self) -> Expression:
        """Rounded to the nearest integer, ties to even."""
        return self.apply(math.RoundEvenOp, self)

    def copysign(self, sign: Expression) -> Expression:
        """The magnitude with another's sign."""
        return self.apply(math.CopySignOp, self, sign)

    def polynomial(self, coefficients: Sequence[float]) -> Expression:
        """Horner's scheme; coefficients from the highest power down."""
        result = self.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            result = result.fma(self, coefficient)
        return result

    # Bits, types, choices

    def bits(self) -> Expression:
        """A float's bits as an integer."""
        return self.apply(arith.BitcastOp, self, element=self.format.bits)

    def as_float(self, format_: FloatFormat) -> Expression:
        """An integer's bits as a float."""
        return self.apply(arith.BitcastOp, self, element=format_.type)

    def to_float(self, format_: FloatFormat) -> Expression:
        """A signed integer's value as a float."""
        return self.apply(arith.SIToFPOp, self, element=format_.type)

    def convert(self, element: Attribute) -> Expression:
        """A float in another format."""
        before, after = (BITWIDTHS[item] for item in (self.element, element))
        if before == after:
            return self
        return self.apply(arith.ExtFOp if after > before else arith.TruncFOp, self, element=element)

    def compare(self, operator: str, other: Expression | float) -> Expression:
        """An i1 in this shape: `<`, `<=`, `>`, `>=`, `==` are false for NaN, `!=` is true."""
        is_float = isinstance(self.element, AnyFloat)
        op_type = arith.CmpfOp if is_float else arith.CmpiOp
        op = op_type(self.value, self._operand(other).value, COMPARISONS[operator][0 if is_float else 1])
        return replace(self, value=self.emitter.value(op))

    def select(self, on_true: Expression, on_false: Expression | float) -> Expression:
        """`on_true` where this i1 holds, else `on_false`."""
        return on_true.apply(arith.SelectOp, self, on_true, on_true._operand(on_false))


NO_FLAGS = arith.FastMathFlagsAttr("none")
NO_OVERFLOW = arith.IntegerOverflowAttr("none")
DEFAULT_PROPERTIES: dict[type[Operation], tuple[tuple[str, Attribute], ...]] = {
    **dict.fromkeys(
        (
            *FLOAT_OPS.values(),
            arith.NegfOp,
            arith.MinimumfOp,
            arith.MaximumfOp,
            math.FmaOp,
            math.AbsFOp,
            math.SqrtOp,
            math.FloorOp,
            math.RoundEvenOp,
            math.CopySignOp,
        ),
        (("fastmath", NO_FLAGS),),
    ),
    **dict.fromkeys((arith.AddiOp, arith.SubiOp, arith.ShLIOp), (("overflowFlags", NO_OVERFLOW),)),
}
"""Properties that an op's constructor would fill in and `create` does not."""
