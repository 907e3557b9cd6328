"""`linalg` with a `linalg.generic` of any number of results (xDSL 0.74 cannot read two in MLIR's syntax)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, cast

from xdsl.dialects.builtin import I64, AffineMapAttr, ArrayAttr, IndexType, IntegerAttr, StringAttr, i64
from xdsl.dialects.linalg import Linalg as XdslLinalg
from xdsl.dialects.linalg.abstract_ops import LinalgStructuredOperation
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, YieldOp
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import HasParent, Pure

from lamina.dialects.loop.replace import with_ops

ITERATOR_KINDS: Mapping[str, IteratorType] = {str(kind.value): kind for kind in IteratorType}

__all__ = ["FillOp", "GenericOp", "IndexOp", "IteratorType", "IteratorTypeAttr", "Linalg", "YieldOp"]


@irdl_op_definition
class GenericOp(LinalgStructuredOperation):
    """A perfect loop nest over tensors (one result per output) or buffers (no result)."""

    name = "linalg.generic"

    indexing_maps = prop_def(ArrayAttr[AffineMapAttr])
    iterator_types = prop_def(ArrayAttr[IteratorTypeAttr])
    doc = opt_prop_def(StringAttr)
    library_call = opt_prop_def(StringAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
        body: Region,
        indexing_maps: Sequence[AffineMapAttr] | ArrayAttr[AffineMapAttr],
        iterator_types: Sequence[IteratorTypeAttr] | ArrayAttr[IteratorTypeAttr],
        result_types: Sequence[Attribute] = (),
        attributes: Mapping[str, Attribute | None] | None = None,
    ):
        super().__init__(
            operands=[inputs, outputs],
            result_types=[result_types],
            properties={"indexing_maps": ArrayAttr(indexing_maps), "iterator_types": ArrayAttr(iterator_types)},
            attributes=attributes,
            regions=[body],
        )

    def get_indexing_maps(self) -> ArrayAttr[AffineMapAttr]:
        return self.indexing_maps

    def get_iterator_types(self) -> ArrayAttr[IteratorTypeAttr]:
        return self.iterator_types

    def print(self, printer: Printer) -> None:
        printer.print_string(" {indexing_maps = ")
        printer.print_attribute(self.indexing_maps)
        printer.print_string(", iterator_types = [")
        printer.print_list(self.iterator_types, lambda kind: printer.print_string_literal(kind.data))
        printer.print_string("]")
        for name, attribute in (("doc", self.doc), ("library_call", self.library_call)):
            if attribute is not None:
                printer.print_string(f", {name} = ")
                printer.print_attribute(attribute)
        printer.print_string("}")
        for keyword, values in (("ins", self.inputs), ("outs", self.outputs)):
            if values:
                printer.print_string(f" {keyword}(")
                printer.print_list(values, printer.print_ssa_value)
                printer.print_string(" : ")
                printer.print_list(values.types, printer.print_attribute)
                printer.print_string(")")
        if self.attributes:
            printer.print_string(" attrs =")
            printer.print_op_attributes(self.attributes)
        printer.print_string(" ")
        printer.print_region(self.body)
        if not self.res:
            return
        printer.print_string(" -> ")
        if len(self.res) == 1:
            printer.print_attribute(self.res[0].type)
            return
        with printer.in_parens():
            printer.print_list(self.res.types, printer.print_attribute)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        properties = parser.parse_optional_attr_dict()
        maps = properties.get("indexing_maps")
        kinds = properties.get("iterator_types")
        if not isinstance(maps, ArrayAttr) or not isinstance(kinds, ArrayAttr):
            parser.raise_error("linalg.generic needs indexing_maps and iterator_types", start, parser.pos)
        iterator_types = [_iterator_type(parser, kind) for kind in cast(ArrayAttr[Attribute], kinds)]
        inputs = _parse_operands(parser, "ins")
        outputs = _parse_operands(parser, "outs")
        attributes: dict[str, Attribute] = {}
        if parser.parse_optional_keyword("attrs"):
            parser.parse_punctuation("=")
            attributes = parser.parse_optional_attr_dict()
        body = parser.parse_region()
        result_types: Sequence[Attribute] = ()
        if parser.parse_optional_punctuation("->"):
            result_types = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type) or [
                parser.parse_type()
            ]
        op = cls(inputs, outputs, body, cast(ArrayAttr[AffineMapAttr], maps), iterator_types, result_types, attributes)
        for name in ("doc", "library_call"):
            if name in properties:
                op.properties[name] = properties[name]
        return op


def _iterator_type(parser: Parser, kind: Attribute) -> IteratorTypeAttr:
    if isinstance(kind, IteratorTypeAttr):
        return kind
    if isinstance(kind, StringAttr) and kind.data in ITERATOR_KINDS:
        return IteratorTypeAttr(ITERATOR_KINDS[kind.data])
    return parser.raise_error(f"unknown iterator type {kind}")


def _parse_operands(parser: Parser, keyword: str) -> Sequence[SSAValue]:
    """`ins(%a, %b : type, type)`, or nothing."""
    start = parser.pos
    if not parser.parse_optional_keyword(keyword):
        return ()
    with parser.in_parens():
        operands = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
    return parser.resolve_operands(operands, types, start)


@irdl_op_definition
class IndexOp(IRDLOperation):
    """The current index of iteration dim `dim`, inside a `linalg.generic`."""

    name = "linalg.index"

    dim = prop_def(IntegerAttr[I64])
    result = result_def(IndexType)
    traits = traits_def(HasParent(GenericOp), Pure())
    assembly_format = "$dim attr-dict `:` type($result)"

    def __init__(self, dim: int):
        super().__init__(properties={"dim": IntegerAttr(dim, i64)}, result_types=[IndexType()])


Linalg = with_ops(XdslLinalg, [GenericOp, IndexOp])
