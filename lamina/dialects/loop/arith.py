"""`arith` with comparisons, select and casts on vectors (xDSL 0.74 has them on scalars only), and the ops it lacks."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar, Self, TypeAlias

from xdsl.dialects.arith import (
    CMPF_COMPARISON_OPERATIONS,
    CMPI_COMPARISON_OPERATIONS,
    AddfOp,
    AddiOp,
    AndIOp,
    BitcastOp,
    CeilDivSIOp,
    CeilDivUIOp,
    ConstantOp,
    DivfOp,
    DivSIOp,
    DivUIOp,
    ExtFOp,
    FastMathFlagsAttr,
    FloorDivSIOp,
    IntegerOverflowAttr,
    MaximumfOp,
    MaxnumfOp,
    MaxSIOp,
    MaxUIOp,
    MinimumfOp,
    MinnumfOp,
    MinSIOp,
    MinUIOp,
    MulfOp,
    MuliOp,
    NegfOp,
    OrIOp,
    RemSIOp,
    RemUIOp,
    ShLIOp,
    ShRSIOp,
    ShRUIOp,
    SubfOp,
    SubiOp,
    TruncFOp,
    XOrIOp,
)
from xdsl.dialects.arith import Arith as XdslArith
from xdsl.dialects.builtin import AnyFloat, IndexType, IntegerAttr, IntegerType, TensorType, VectorType, i1, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.type import get_element_type_or_self, have_compatible_shape

from lamina.dialects.loop.replace import with_ops
from lamina.dialects.loop.types import is_integer

__all__ = [
    "AddfOp",
    "AddiOp",
    "AndIOp",
    "Arith",
    "BitcastOp",
    "CeilDivSIOp",
    "CeilDivUIOp",
    "CmpfOp",
    "CmpiOp",
    "ConstantOp",
    "DivSIOp",
    "DivUIOp",
    "DivfOp",
    "ExtFOp",
    "ExtSIOp",
    "ExtUIOp",
    "FPToSIOp",
    "FPToUIOp",
    "FastMathFlagsAttr",
    "FloorDivSIOp",
    "IndexCastOp",
    "IndexCastUIOp",
    "IntegerOverflowAttr",
    "MaxSIOp",
    "MaxUIOp",
    "MaximumfOp",
    "MaxnumfOp",
    "MinSIOp",
    "MinUIOp",
    "MinimumfOp",
    "MinnumfOp",
    "MulfOp",
    "MuliOp",
    "NegfOp",
    "OrIOp",
    "RemFOp",
    "RemSIOp",
    "RemUIOp",
    "SIToFPOp",
    "SelectOp",
    "ShLIOp",
    "ShRSIOp",
    "ShRUIOp",
    "SubfOp",
    "SubiOp",
    "TruncFOp",
    "TruncIOp",
    "UIToFPOp",
    "XOrIOp",
    "same_shape",
]

Elements: TypeAlias = tuple[type[Attribute], ...]

NO_FLAGS = FastMathFlagsAttr("none")
FLOATS: Elements = AnyFloat.__args__


def same_shape(type_: Attribute, element_type: Attribute) -> Attribute:
    """The type like `type_` (a scalar, a vector or a tensor) with another element type."""
    if isinstance(type_, VectorType):
        return VectorType(element_type, type_.shape, type_.scalable_dims)
    if isinstance(type_, TensorType):
        return TensorType(element_type, type_.shape)
    return element_type


class CastOperation(IRDLOperation, ABC):
    """A conversion of scalars, or elementwise of vectors and tensors."""

    input = operand_def()
    result = result_def()
    traits = traits_def(Pure())
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"

    SOURCES: ClassVar[Elements]
    RESULTS: ClassVar[Elements]

    def __init__(self, value: SSAValue | Operation, target_type: Attribute):
        super().__init__(operands=[value], result_types=[target_type])

    def verify_(self) -> None:
        source = get_element_type_or_self(self.input.type)
        result = get_element_type_or_self(self.result.type)
        if not have_compatible_shape(self.input.type, self.result.type):
            raise VerifyException(f"expected equal shapes, found {self.input.type} and {self.result.type}")
        if not isinstance(source, self.SOURCES) or not isinstance(result, self.RESULTS):
            raise VerifyException(f"{self.input.type} and {self.result.type} are cast incompatible")
        self.verify_elements(source, result)

    def verify_elements(self, source: Attribute, result: Attribute) -> None:
        """What the element types must fulfil beyond their kinds."""


class WideningOperation(CastOperation, ABC):
    SOURCES: ClassVar[Elements] = (IntegerType,)
    RESULTS: ClassVar[Elements] = (IntegerType,)

    def verify_elements(self, source: Attribute, result: Attribute) -> None:
        if _width(source) >= _width(result):
            raise VerifyException(f"expected a wider result, found {source} to {result}")


def _width(type_: Attribute) -> int:
    return type_.width.data if is_integer(type_) else 0


class IndexCastOperation(CastOperation, ABC):
    SOURCES: ClassVar[Elements] = (IntegerType, IndexType)
    RESULTS: ClassVar[Elements] = (IntegerType, IndexType)

    def verify_elements(self, source: Attribute, result: Attribute) -> None:
        if isinstance(source, IndexType) == isinstance(result, IndexType):
            raise VerifyException(f"expected index on exactly one side, found {source} to {result}")


@irdl_op_definition
class ExtSIOp(WideningOperation):
    """Sign extension of integers, also i1."""

    name = "arith.extsi"


@irdl_op_definition
class ExtUIOp(WideningOperation):
    """Zero extension of integers."""

    name = "arith.extui"


@irdl_op_definition
class TruncIOp(CastOperation):
    """Truncation of integers."""

    name = "arith.trunci"
    SOURCES: ClassVar[Elements] = (IntegerType,)
    RESULTS: ClassVar[Elements] = (IntegerType,)

    def verify_elements(self, source: Attribute, result: Attribute) -> None:
        if _width(source) <= _width(result):
            raise VerifyException(f"expected a narrower result, found {source} to {result}")


@irdl_op_definition
class FPToSIOp(CastOperation):
    """Float to signed integer, rounding towards zero; poison when out of range."""

    name = "arith.fptosi"
    SOURCES: ClassVar[Elements] = FLOATS
    RESULTS: ClassVar[Elements] = (IntegerType,)


@irdl_op_definition
class FPToUIOp(CastOperation):
    """Float to unsigned integer, rounding towards zero; poison when out of range."""

    name = "arith.fptoui"
    SOURCES: ClassVar[Elements] = FLOATS
    RESULTS: ClassVar[Elements] = (IntegerType,)


@irdl_op_definition
class SIToFPOp(CastOperation):
    """Signed integer to float."""

    name = "arith.sitofp"
    SOURCES: ClassVar[Elements] = (IntegerType,)
    RESULTS: ClassVar[Elements] = FLOATS


@irdl_op_definition
class UIToFPOp(CastOperation):
    """Unsigned integer to float."""

    name = "arith.uitofp"
    SOURCES: ClassVar[Elements] = (IntegerType,)
    RESULTS: ClassVar[Elements] = FLOATS


@irdl_op_definition
class IndexCastOp(IndexCastOperation):
    """index to or from a signed integer."""

    name = "arith.index_cast"


@irdl_op_definition
class IndexCastUIOp(IndexCastOperation):
    """index to or from an unsigned integer."""

    name = "arith.index_castui"


class CompareOperation(IRDLOperation, ABC):
    """An elementwise comparison; the result is i1 in the operands' shape."""

    T: ClassVar = VarConstraint("T", AnyAttr())
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def()
    predicate = prop_def(IntegerAttr)
    traits = traits_def(Pure())

    PREDICATES: ClassVar[Sequence[str]]
    OPERANDS: ClassVar[Elements]

    @property
    def predicate_name(self) -> str:
        """The predicate as written, such as `slt` or `oeq`."""
        return self.PREDICATES[self.predicate.value.data]

    @classmethod
    def predicate_attribute(cls, predicate: str | int) -> IntegerAttr:
        """The predicate's attribute; raises VerifyException for an unknown name."""
        if isinstance(predicate, int):
            return IntegerAttr(predicate, i64)
        if predicate not in cls.PREDICATES:
            raise VerifyException(f"unknown predicate '{predicate}', expected one of {', '.join(cls.PREDICATES)}")
        return IntegerAttr(cls.PREDICATES.index(predicate), i64)

    def verify_(self) -> None:
        if not isinstance(get_element_type_or_self(self.lhs.type), self.OPERANDS):
            raise VerifyException(f"{self.name} cannot compare {self.lhs.type}")
        expected = same_shape(self.lhs.type, i1)
        if self.result.type != expected:
            raise VerifyException(f"expected result type {expected}, found {self.result.type}")
        if not 0 <= self.predicate.value.data < len(self.PREDICATES):
            raise VerifyException(f"unknown predicate {self.predicate.value.data}")

    @classmethod
    def parse_operands(cls, parser: Parser) -> tuple[str, list[SSAValue], FastMathFlagsAttr, dict[str, Attribute]]:
        """`predicate, %lhs, %rhs fastmath<…> {attributes} : type`"""
        start = parser.pos
        predicate = parser.parse_identifier()
        if predicate not in cls.PREDICATES:
            parser.raise_error(f"expected one of {', '.join(cls.PREDICATES)}", start, parser.pos)
        parser.parse_punctuation(",")
        lhs = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        rhs = parser.parse_unresolved_operand()
        flags = NO_FLAGS
        if parser.parse_optional_keyword("fastmath"):
            flags = FastMathFlagsAttr(FastMathFlagsAttr.parse_parameter(parser))
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        operands = parser.resolve_operands([lhs, rhs], [parser.parse_type()] * 2, start)
        return predicate, list(operands), flags, attributes

    def print_operands(self, printer: Printer, flags: FastMathFlagsAttr = NO_FLAGS) -> None:
        """The counterpart of `parse_operands`."""
        printer.print_string(f" {self.predicate_name}, ")
        printer.print_list((self.lhs, self.rhs), printer.print_ssa_value)
        if flags != NO_FLAGS:
            printer.print_string(" fastmath")
            flags.print_parameter(printer)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.lhs.type)


@irdl_op_definition
class CmpiOp(CompareOperation):
    """Comparison of integers or indices: `arith.cmpi slt, %x, %y : vector<8xi32>`."""

    name = "arith.cmpi"
    PREDICATES: ClassVar[Sequence[str]] = CMPI_COMPARISON_OPERATIONS
    OPERANDS: ClassVar[Elements] = (IntegerType, IndexType)

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation, predicate: str | int):
        lhs = SSAValue.get(lhs)
        super().__init__(
            operands=[lhs, rhs],
            result_types=[same_shape(lhs.type, i1)],
            properties={"predicate": self.predicate_attribute(predicate)},
        )

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        predicate, (lhs, rhs), _, attributes = cls.parse_operands(parser)
        op = cls(lhs, rhs, predicate)
        op.attributes = attributes
        return op

    def print(self, printer: Printer) -> None:
        self.print_operands(printer)


@irdl_op_definition
class CmpfOp(CompareOperation):
    """Comparison of floats, ordered (`olt`) or unordered (`ult`: true when either is NaN)."""

    name = "arith.cmpf"
    PREDICATES: ClassVar[Sequence[str]] = CMPF_COMPARISON_OPERATIONS
    OPERANDS: ClassVar[Elements] = FLOATS
    fastmath = prop_def(FastMathFlagsAttr, default_value=NO_FLAGS)

    def __init__(
        self,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        predicate: str | int,
        fastmath: FastMathFlagsAttr = NO_FLAGS,
    ):
        lhs = SSAValue.get(lhs)
        super().__init__(
            operands=[lhs, rhs],
            result_types=[same_shape(lhs.type, i1)],
            properties={"predicate": self.predicate_attribute(predicate), "fastmath": fastmath},
        )

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        predicate, (lhs, rhs), flags, attributes = cls.parse_operands(parser)
        op = cls(lhs, rhs, predicate, flags)
        op.attributes = attributes
        return op

    def print(self, printer: Printer) -> None:
        self.print_operands(printer, self.fastmath)


@irdl_op_definition
class SelectOp(IRDLOperation):
    """`lhs` where `cond` holds, else `rhs`; `cond` is one i1, or i1 in the operands' shape."""

    name = "arith.select"

    T: ClassVar = VarConstraint("T", AnyAttr())
    cond = operand_def()
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    traits = traits_def(Pure())

    def __init__(self, cond: SSAValue | Operation, lhs: SSAValue | Operation, rhs: SSAValue | Operation):
        lhs = SSAValue.get(lhs)
        super().__init__(operands=[cond, lhs, rhs], result_types=[lhs.type])

    def verify_(self) -> None:
        if self.cond.type not in (i1, same_shape(self.lhs.type, i1)):
            raise VerifyException(f"expected a condition i1 or {same_shape(self.lhs.type, i1)}, found {self.cond.type}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        operands = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        if len(operands) != 3:
            parser.raise_error("expected three operands", start, parser.pos)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
        condition_type = types[0] if len(types) == 2 else i1
        op = cls(*parser.resolve_operands(operands, [condition_type, types[-1], types[-1]], start))
        op.attributes = attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        types = [self.lhs.type] if self.cond.type == i1 else [self.cond.type, self.lhs.type]
        printer.print_list(types, printer.print_attribute)


@irdl_op_definition
class RemFOp(IRDLOperation):
    """The remainder of a division rounded towards zero (C's fmod), with the sign of `lhs`."""

    name = "arith.remf"

    T: ClassVar = VarConstraint("T", AnyAttr())
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    fastmath = prop_def(FastMathFlagsAttr, default_value=NO_FLAGS)
    traits = traits_def(Pure())
    assembly_format = "$lhs `,` $rhs (`fastmath` `` $fastmath^)? attr-dict `:` type($result)"

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation, fastmath: FastMathFlagsAttr = NO_FLAGS):
        lhs = SSAValue.get(lhs)
        super().__init__(operands=[lhs, rhs], result_types=[lhs.type], properties={"fastmath": fastmath})


Arith = with_ops(
    XdslArith,
    [
        CmpfOp,
        CmpiOp,
        ExtSIOp,
        ExtUIOp,
        FPToSIOp,
        FPToUIOp,
        IndexCastOp,
        IndexCastUIOp,
        RemFOp,
        SIToFPOp,
        SelectOp,
        TruncIOp,
        UIToFPOp,
    ],
)
