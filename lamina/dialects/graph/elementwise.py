"""Elementwise ops: arithmetic, comparisons, selection, conversions. They broadcast as NumPy does."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from xdsl.dialects.builtin import LocationAttr, StringAttr, i1
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Commutative

from lamina.dialects.graph import dims
from lamina.dialects.graph.arithmetic import (
    Numbers,
    integer_power,
    shift,
    truncating_divide,
    truncating_remainder,
)
from lamina.dialects.graph.base import (
    AbstractTensor,
    Array,
    Differentiability,
    GraphOp,
    InferenceError,
)
from lamina.dialects.graph.construction import construct
from lamina.dialects.graph.conversion import convert
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.elementwise_base import (
    BinaryOp,
    BitwiseOp,
    ElementwiseOp,
    ElementwiseTypes,
    ShiftOp,
    UnaryOp,
)
from lamina.dialects.graph.elementwise_unary import (
    AbsOp,
    AcoshOp,
    AcosOp,
    AsinhOp,
    AsinOp,
    AtanhOp,
    AtanOp,
    CeilOp,
    CoshOp,
    CosOp,
    ErfOp,
    Expm1Op,
    ExpOp,
    FloorOp,
    IsInfOp,
    IsNanOp,
    Log1pOp,
    LogisticOp,
    LogOp,
    NegateOp,
    NotOp,
    RoundNearestEvenOp,
    RsqrtOp,
    SignOp,
    SinhOp,
    SinOp,
    SqrtOp,
    TanhOp,
    TanOp,
)
from lamina.dialects.graph.properties import TENSOR, ElementTypeAndType, Keyword
from lamina.dialects.graph.types import (
    ANY,
    FLOAT,
    ElementKind,
    bit_width,
    dtype_of,
    is_boolean,
)


@irdl_op_definition
class AddOp(BinaryOp):
    """Sum; integers modulo 2^bits. ONNX Add, StableHLO add."""

    name = "graph.add"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs + rhs

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return lhs + rhs


@irdl_op_definition
class SubtractOp(BinaryOp):
    """Difference; integers modulo 2^bits. ONNX Sub, StableHLO subtract."""

    name = "graph.subtract"

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs - rhs

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return lhs - rhs


@irdl_op_definition
class MultiplyOp(BinaryOp):
    """Product; integers modulo 2^bits. ONNX Mul, StableHLO multiply."""

    name = "graph.multiply"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs * rhs

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return lhs * rhs


@irdl_op_definition
class DivideOp(BinaryOp):
    """Quotient; of integers towards zero as in C.

    An integer divided by zero gives all ones (-1, or the largest unsigned), the smallest signed integer divided by -1
    itself: no trap. A quotient of sizes by one that is 0 only at run time is the dividend: ONNX leaves it open.
    ONNX Div, StableHLO divide.
    """

    name = "graph.divide"

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs / rhs if lhs.dtype.kind == "f" else truncating_divide(lhs, rhs)

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return dims.truncating_divide(lhs, rhs)


@irdl_op_definition
class RemainderOp(BinaryOp):
    """lhs - rhs * truncate(lhs / rhs): the sign is the dividend's, as in C and fmod.

    An integer modulo zero gives the dividend; a float modulo zero gives NaN. ONNX Mod with fmod = 1, StableHLO
    remainder.
    """

    name = "graph.remainder"

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return np.fmod(lhs, rhs) if lhs.dtype.kind == "f" else truncating_remainder(lhs, rhs)

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        quotient = dims.truncating_divide(lhs, rhs)
        return None if quotient is None else lhs - rhs * quotient


@irdl_op_definition
class PowerOp(BinaryOp):
    """lhs to the power of rhs.

    Floats as C's pow. Integers modulo 2^bits; a negative exponent gives the truncated reciprocal, and 0 for base 0.
    ONNX Pow, StableHLO power.
    """

    name = "graph.power"

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return np.power(lhs, rhs) if lhs.dtype.kind == "f" else integer_power(lhs, rhs)


@irdl_op_definition
class MaximumOp(BinaryOp):
    """The larger operand; NaN where one is NaN; of two zeros either. ONNX Max, StableHLO maximum."""

    name = "graph.maximum"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return np.maximum(lhs, rhs)

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return dims.maximum(lhs, rhs)


@irdl_op_definition
class MinimumOp(BinaryOp):
    """The smaller operand; NaN where one is NaN; of two zeros either. ONNX Min, StableHLO minimum."""

    name = "graph.minimum"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return np.minimum(lhs, rhs)

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return dims.minimum(lhs, rhs)


@irdl_op_definition
class Atan2Op(BinaryOp):
    """The angle of the point (rhs, lhs), in [-pi, pi]. Floats. StableHLO atan2."""

    name = "graph.atan2"
    ELEMENTS: ClassVar[ElementKind] = FLOAT

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return np.arctan2(lhs, rhs)


@irdl_op_definition
class AndOp(BitwiseOp):
    """Logical and of i1, bitwise and of integers. ONNX And and BitwiseAnd, StableHLO and."""

    name = "graph.and"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs & rhs

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return lhs & rhs if isinstance(lhs, int) and isinstance(rhs, int) else None


@irdl_op_definition
class OrOp(BitwiseOp):
    """Logical or of i1, bitwise or of integers. ONNX Or and BitwiseOr, StableHLO or."""

    name = "graph.or"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs | rhs

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return lhs | rhs if isinstance(lhs, int) and isinstance(rhs, int) else None


@irdl_op_definition
class XorOp(BitwiseOp):
    """Logical exclusive or of i1, bitwise of integers. ONNX Xor and BitwiseXor, StableHLO xor."""

    name = "graph.xor"
    traits = traits_def(Commutative())

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return lhs ^ rhs

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        return lhs ^ rhs if isinstance(lhs, int) and isinstance(rhs, int) else None


@irdl_op_definition
class ShiftLeftOp(ShiftOp):
    """Shift towards the high bits, zeros coming in.

    An amount outside [0, bits) gives 0. ONNX BitShift LEFT, StableHLO shift_left.
    """

    name = "graph.shift_left"

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return shift(np.left_shift, lhs, rhs, np.zeros_like(lhs))


@irdl_op_definition
class ShiftRightOp(ShiftOp):
    """Shift towards the low bits: arithmetic for signed integers, logical for unsigned ones.

    An amount outside [0, bits) gives 0, or -1 for a negative operand. ONNX BitShift RIGHT, StableHLO
    shift_right_arithmetic and shift_right_logical.
    """

    name = "graph.shift_right"

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return shift(np.right_shift, lhs, rhs, np.where(lhs < 0, -1, 0).astype(lhs.dtype))


COMPARISONS: Mapping[str, tuple[Callable[[Numbers, Numbers], Any], Callable[[int, int], bool | None]]] = {
    "EQ": (np.equal, lambda low, high: _decide(low == high == 0, low > 0 or high < 0)),
    "NE": (np.not_equal, lambda low, high: _decide(low > 0 or high < 0, low == high == 0)),
    "LT": (np.less, lambda low, high: _decide(high < 0, low >= 0)),
    "LE": (np.less_equal, lambda low, high: _decide(high <= 0, low > 0)),
    "GT": (np.greater, lambda low, high: _decide(low > 0, high <= 0)),
    "GE": (np.greater_equal, lambda low, high: _decide(low >= 0, high < 0)),
}
"""Per direction: the NumPy function, and the answer where the bounds of lhs - rhs give one."""


def _decide(holds: bool, fails: bool) -> bool | None:
    return True if holds else False if fails else None


@irdl_op_definition
class CompareOp(ElementwiseOp):
    """Comparison of two operands; the result is i1.

    NaN compares unequal to everything, NE is true for it and all others are false; false < true.

    Operands: two tensors of one element type that broadcast together. Result: i1, the shape they broadcast to.

    Constraints:
    1. `direction` is one of EQ, NE, LT, LE, GT, GE.
    2. The operands have one element type.

    ONNX Equal, Less, LessOrEqual, Greater, GreaterOrEqual; StableHLO compare.
    """

    name = "graph.compare"
    ELEMENTS: ClassVar[ElementKind] = ANY
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED
    direction = prop_def(StringAttr)
    lhs = operand_def(TENSOR)
    rhs = operand_def(TENSOR)
    result = result_def(TENSOR)
    custom_directives = (Keyword, ElementwiseTypes)
    assembly_format = (
        "custom<Keyword>($direction) `,` $lhs `,` $rhs attr-dict "
        "`:` custom<ElementwiseTypes>(type(operands), type($result))"
    )

    def __init__(
        self,
        direction: str,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        *,
        location: LocationAttr | None = None,
    ):
        construct(self, (lhs, rhs), {"direction": StringAttr(direction)}, location=location)

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        if self.direction.data not in COMPARISONS:
            raise InferenceError(
                f"{self.name}: direction: expected one of {', '.join(COMPARISONS)}, found {self.direction.data}"
            )
        self.check_elements(operands)
        return i1

    def compute(self, lhs: Numbers, rhs: Numbers) -> Any:
        return COMPARISONS[self.direction.data][0](lhs, rhs)

    def track(self, lhs: Dim, rhs: Dim) -> Dim | None:
        answer = COMPARISONS[self.direction.data][1](*dims.bounds(lhs - rhs))
        return None if answer is None else int(answer)


@irdl_op_definition
class SelectOp(ElementwiseOp):
    """`on_true` where `pred` holds, else `on_false`.

    Operands: `pred` i1, two tensors of one element type; the three broadcast together. Result: their element type.

    Constraints:
    1. `pred` has element type i1.
    2. `on_true` and `on_false` have one element type.

    ONNX Where, StableHLO select.
    """

    name = "graph.select"
    ELEMENTS: ClassVar[ElementKind] = ANY
    pred = operand_def(TENSOR)
    on_true = operand_def(TENSOR)
    on_false = operand_def(TENSOR)
    result = result_def(TENSOR)
    custom_directives = (ElementwiseTypes,)
    assembly_format = (
        "$pred `,` $on_true `,` $on_false attr-dict `:` custom<ElementwiseTypes>(type(operands), type($result))"
    )

    def __init__(
        self,
        pred: SSAValue | Operation,
        on_true: SSAValue | Operation,
        on_false: SSAValue | Operation,
        *,
        location: LocationAttr | None = None,
    ):
        construct(self, (pred, on_true, on_false), {}, location=location)

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        if not is_boolean(operands[0].element_type):
            raise InferenceError(f"{self.name}: pred: expected i1, found {operands[0].element_type}")
        return self.check_elements(operands[1:])

    def compute(self, pred: Numbers, on_true: Numbers, on_false: Numbers) -> Any:
        return np.where(pred, on_true, on_false)

    def track(self, pred: Dim, on_true: Dim, on_false: Dim) -> Dim | None:
        return on_true if pred else on_false


@irdl_op_definition
class ClampOp(ElementwiseOp):
    """min(max(operand, lower), upper); NaN in any operand gives NaN.

    Operands: three tensors of one element type (floats or integers) that broadcast together.

    ONNX Clip, StableHLO clamp.
    """

    name = "graph.clamp"
    lower = operand_def(TENSOR)
    operand = operand_def(TENSOR)
    upper = operand_def(TENSOR)
    result = result_def(TENSOR)
    custom_directives = (ElementwiseTypes,)
    assembly_format = (
        "$lower `,` $operand `,` $upper attr-dict `:` custom<ElementwiseTypes>(type(operands), type($result))"
    )

    def __init__(
        self,
        lower: SSAValue | Operation,
        operand: SSAValue | Operation,
        upper: SSAValue | Operation,
        *,
        location: LocationAttr | None = None,
    ):
        construct(self, (lower, operand, upper), {}, location=location)

    def compute(self, lower: Numbers, operand: Numbers, upper: Numbers) -> Any:
        return np.minimum(np.maximum(operand, lower), upper)

    def track(self, lower: Dim, operand: Dim, upper: Dim) -> Dim | None:
        return dims.minimum(dims.maximum(operand, lower), upper)


class ConversionOp(UnaryOp, ABC):
    """The operand with another element type, named by a property that the text shows in the result's type."""

    ELEMENTS: ClassVar[ElementKind] = ANY
    element_type = prop_def(Attribute)
    custom_directives = (ElementTypeAndType,)
    assembly_format = (
        "$operand attr-dict `:` type($operand) `->` custom<ElementTypeAndType>($element_type, type($result))"
    )

    def __init__(self, operand: SSAValue | Operation, element_type: Attribute, *, location: LocationAttr | None = None):
        construct(self, (operand,), {"element_type": element_type}, location=location)

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        self.check_elements(operands)
        if not ANY.accepts(self.element_type):
            raise InferenceError(f"{self.name}: element_type: expected {ANY.description}, found {self.element_type}")
        return self.element_type


@irdl_op_definition
class CastOp(ConversionOp):
    """Conversion of each element to `element_type`.

    To i1: `!= 0` (NaN is true). Float to integer: towards zero, saturating, NaN gives 0. Integer to integer: modulo
    2^bits. To a float: to nearest, ties to even, in one rounding.

    ONNX Cast, StableHLO convert.
    """

    name = "graph.cast"

    def reference(self, *operands: Array) -> Array:
        return convert(operands[0], dtype_of(self.element_type))

    def compute(self, operand: Numbers) -> Any:
        return convert(operand, dtype_of(self.element_type))

    def track(self, operand: Dim) -> Dim | None:
        if not is_boolean(self.element_type):
            return operand
        low, high = dims.bounds(operand)
        return 0 if low == high == 0 else 1 if low > 0 or high < 0 else None


@irdl_op_definition
class BitcastOp(ConversionOp):
    """The bits of each element read as another element type.

    Constraints:
    1. The element types have the same number of bits; neither is i1.

    ONNX BitCast, StableHLO bitcast_convert between types of one width.
    """

    name = "graph.bitcast"
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.DISCRETE

    def result_element_type(self, operands: Sequence[AbstractTensor]) -> Attribute:
        result = super().result_element_type(operands)
        operand = operands[0].element_type
        if is_boolean(operand) or is_boolean(result) or bit_width(operand) != bit_width(result):
            raise InferenceError(f"{self.name}: expected element types of one width, found {operand} and {result}")
        return result

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        bits = np.ascontiguousarray(operand).view(dtype_of(self.element_type))
        return bits.reshape(operand.shape)

    def compute(self, operand: Numbers) -> Any:
        return self.reference(operand)


ELEMENTWISE_OPS: tuple[type[GraphOp], ...] = (
    AbsOp,
    NegateOp,
    SignOp,
    ExpOp,
    Expm1Op,
    LogOp,
    Log1pOp,
    SqrtOp,
    RsqrtOp,
    SinOp,
    CosOp,
    TanOp,
    AsinOp,
    AcosOp,
    AtanOp,
    SinhOp,
    CoshOp,
    AsinhOp,
    AcoshOp,
    AtanhOp,
    TanhOp,
    ErfOp,
    LogisticOp,
    FloorOp,
    CeilOp,
    RoundNearestEvenOp,
    NotOp,
    IsNanOp,
    AddOp,
    SubtractOp,
    MultiplyOp,
    DivideOp,
    RemainderOp,
    PowerOp,
    MaximumOp,
    MinimumOp,
    Atan2Op,
    AndOp,
    OrOp,
    XorOp,
    ShiftLeftOp,
    ShiftRightOp,
    IsInfOp,
    CompareOp,
    SelectOp,
    ClampOp,
    CastOp,
    BitcastOp,
)
