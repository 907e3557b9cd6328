"""Properties of graph ops: constraints, builders and assembly directives for lists of integers, axes and kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, cast

from xdsl.dialects.builtin import I64, DenseArrayBase, IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Attribute
from xdsl.irdl import AttrConstraint, IRDLOperation, base
from xdsl.irdl.declarative_assembly_format import (
    AttributeVariable,
    CustomDirective,
    ParsingState,
    PrintingState,
    TypeDirective,
    irdl_custom_directive,
)
from xdsl.parser import Parser
from xdsl.printer import Printer

Integers: TypeAlias = DenseArrayBase[I64]

TENSOR: AttrConstraint[TensorType[Attribute]] = base(TensorType[Attribute])
"""The constraint of every operand and result; shapes and element types are `infer`'s to check."""

INTEGERS: AttrConstraint[Integers] = DenseArrayBase.constr(i64)
"""The constraint of a list of integers, printed as `[1, 0]`."""


def integers(values: Iterable[int]) -> Integers:
    """`array<i64: …>`."""
    return DenseArrayBase.from_list(i64, tuple(values))


def integer(value: int) -> IntegerAttr[I64]:
    """`value : i64`."""
    return IntegerAttr(value, i64)


@irdl_custom_directive
class Keyword(CustomDirective):
    """`custom<Keyword>($kind)`: a string property out of a closed set, written as a bare word."""

    attribute: AttributeVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        self.attribute.set(state, StringAttr(parser.parse_identifier()))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        word = self.attribute.get(op)
        state.print_whitespace(printer)
        printer.print_string(word.data if isinstance(word, StringAttr) else str(word))
        state.should_emit_space = True
        state.last_was_punctuation = False

    def is_present(self, op: IRDLOperation) -> bool:
        return self.attribute.is_present(op)

    def is_anchorable(self) -> bool:
        return self.attribute.is_anchorable()


@irdl_custom_directive
class ElementTypeAndType(CustomDirective):
    """`custom<ElementTypeAndType>($element_type, type($result))`: the property is read from the result's type."""

    attribute: AttributeVariable
    type: TypeDirective

    def parse(self, parser: Parser, state: ParsingState) -> None:
        position = parser.pos
        type_ = parser.parse_type()
        if not isinstance(type_, TensorType):
            parser.raise_error(f"expected a tensor type, found {type_}", at_position=position, end_position=parser.pos)
        tensor = cast("TensorType[Attribute]", type_)
        self.type.inner.set_types(state, (tensor,))
        self.attribute.set(state, tensor.get_element_type())

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        self.type.print(printer, state, op)
