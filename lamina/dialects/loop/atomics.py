"""`memref.atomic_rmw` and `memref.generic_atomic_rmw` with MLIR's syntax, which xDSL 0.74 lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from xdsl.dialects.builtin import AnyFloat, IndexType, IntegerAttr, IntegerType, MemRefType, i64
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, MemoryReadEffect, MemoryWriteEffect, Pure
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.loop.types import is_memref

INDEX = IndexType()

ATOMIC_KINDS: tuple[str, ...] = (
    *("addf", "addi", "assign", "maximumf", "maxs", "maxu", "minimumf", "mins", "minu", "mulf", "muli", "ori", "andi"),
    *("maxnumf", "minnumf", "xori"),
)
"""What may be done to an element, in the order of upstream's numbers."""

FLOAT_KINDS = frozenset({"addf", "maximumf", "minimumf", "mulf", "maxnumf", "minnumf"})


def _element_type(buffer: SSAValue) -> Attribute:
    if not is_memref(buffer.type):
        raise VerifyException(f"expected a buffer, found {buffer.type}")
    return buffer.type.get_element_type()


def _check_element(op: Operation, buffer: SSAValue, indices: Sequence[SSAValue], values: Sequence[SSAValue]) -> None:
    """Raise VerifyException where values or indices do not fit a buffer."""
    element = _element_type(buffer)
    if not isinstance(element, AnyFloat | IntegerType):
        raise VerifyException(f"expected numbers, found elements of type {element}")
    if is_memref(buffer.type) and buffer.type.get_num_dims() != len(indices):
        raise VerifyException(f"expected {buffer.type.get_num_dims()} indices, found {len(indices)}")
    for value in values:
        if value.type != element:
            raise VerifyException(f"expected a value of type {element}, found {value.type}")


@irdl_op_definition
class AtomicRMWOp(IRDLOperation):
    """`memref.atomic_rmw addf %x, %buffer[%i] : (f32, memref<10xf32>) -> f32`: no other thread comes between.

    The result is the element as it was before.
    """

    name = "memref.atomic_rmw"

    value = operand_def(Attribute)
    memref = operand_def(base(MemRefType[Attribute]))
    indices = var_operand_def(INDEX)
    kind = prop_def(IntegerAttr)
    result = result_def(Attribute)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    def __init__(self, kind: str, value: SSAValue, buffer: SSAValue, indices: Sequence[SSAValue]):
        super().__init__(
            operands=[value, buffer, list(indices)],
            properties={"kind": IntegerAttr(ATOMIC_KINDS.index(kind), i64)},
            result_types=[value.type],
        )

    @property
    def kind_name(self) -> str:
        """What is done, such as `addf`."""
        return ATOMIC_KINDS[self.kind.value.data]

    def verify_(self) -> None:
        if not 0 <= self.kind.value.data < len(ATOMIC_KINDS):
            raise VerifyException(f"unknown kind {self.kind.value.data}")
        _check_element(self, self.memref, self.indices, [self.value, self.result])
        is_float = isinstance(self.value.type, AnyFloat)
        if self.kind_name != "assign" and is_float != (self.kind_name in FLOAT_KINDS):
            raise VerifyException(f"'{self.kind_name}' does not combine {self.value.type}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        kind = parser.parse_identifier(" for the kind")
        if kind not in ATOMIC_KINDS:
            parser.raise_error(f"expected one of {', '.join(ATOMIC_KINDS)}", start, parser.pos)
        value = parser.parse_unresolved_operand()
        parser.parse_punctuation(",")
        buffer, indices = _parse_element(parser)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        parser.parse_punctuation("(")
        value_type = parser.parse_type()
        parser.parse_punctuation(",")
        buffer_type = parser.parse_type()
        parser.parse_punctuation(")")
        parser.parse_punctuation("->")
        op = cls(kind, parser.resolve_operand(value, value_type), parser.resolve_operand(buffer, buffer_type), indices)
        if parser.parse_type() != value_type:
            parser.raise_error("expected the type of the value as that of the result", start, parser.pos)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {self.kind_name} ")
        printer.print_ssa_value(self.value)
        printer.print_string(", ")
        _print_element(printer, self.memref, self.indices)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : (")
        printer.print_attribute(self.value.type)
        printer.print_string(", ")
        printer.print_attribute(self.memref.type)
        printer.print_string(") -> ")
        printer.print_attribute(self.result.type)


@irdl_op_definition
class AtomicYieldOp(IRDLOperation):
    """`memref.atomic_yield %new : f32`: what an element becomes."""

    name = "memref.atomic_yield"

    value = operand_def(Attribute)
    traits = traits_def(Pure(), IsTerminator())
    assembly_format = "$value attr-dict `:` type($value)"

    def __init__(self, value: SSAValue):
        super().__init__(operands=[value])


@irdl_op_definition
class GenericAtomicRMWOp(IRDLOperation):
    """`memref.generic_atomic_rmw %buffer[%i] : memref<10xf32> {^bb0(%old: f32): … memref.atomic_yield %new : f32}`.

    The body may be carried out several times, until no other thread has come between. The result is the element as it
    was before.
    """

    name = "memref.generic_atomic_rmw"

    memref = operand_def(base(MemRefType[Attribute]))
    indices = var_operand_def(INDEX)
    body = region_def("single_block")
    result = result_def(Attribute)
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    def __init__(self, buffer: SSAValue, indices: Sequence[SSAValue], body: Region | Block):
        super().__init__(
            operands=[buffer, list(indices)],
            regions=[body if isinstance(body, Region) else Region(body)],
            result_types=[_element_type(buffer)],
        )

    def verify_(self) -> None:
        block = self.body.block
        _check_element(self, self.memref, self.indices, [self.result, *block.args])
        if len(block.args) != 1 or not isinstance(block.last_op, AtomicYieldOp):
            raise VerifyException("expected a body of one argument that ends in memref.atomic_yield")
        if block.last_op.value.type != self.result.type:
            raise VerifyException(f"expected the body to give {self.result.type}, found {block.last_op.value.type}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        buffer, indices = _parse_element(parser)
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        op = cls(parser.resolve_operand(buffer, type_), indices, parser.parse_region())
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        _print_element(printer, self.memref, self.indices)
        printer.print_string(" : ")
        printer.print_attribute(self.memref.type)
        printer.print_string(" ")
        printer.print_region(self.body)
        printer.print_op_attributes(self.attributes)


def _parse_element(parser: Parser) -> tuple[UnresolvedOperand, list[SSAValue]]:
    buffer = parser.parse_unresolved_operand()
    indices = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_unresolved_operand)
    return buffer, [parser.resolve_operand(index, INDEX) for index in indices]


def _print_element(printer: Printer, buffer: SSAValue, indices: Sequence[SSAValue]) -> None:
    printer.print_ssa_value(buffer)
    printer.print_string("[")
    printer.print_list(indices, printer.print_ssa_value)
    printer.print_string("]")


ATOMIC_OPS: tuple[type[Operation], ...] = (AtomicRMWOp, AtomicYieldOp, GenericAtomicRMWOp)
