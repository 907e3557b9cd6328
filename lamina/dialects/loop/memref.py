"""`memref` with `prefetch`, and MLIR's syntax for `global`, `copy` and `cast`, which xDSL 0.74 has in generic form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    AnyDenseElement,
    BoolAttr,
    DenseIntOrFPElementsAttr,
    DenseResourceAttr,
    IndexType,
    IntegerAttr,
    MemRefType,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    UnitAttr,
    UnrankedMemRefType,
    i32,
)
from xdsl.dialects.memref import (
    AllocaOp,
    AllocOp,
    CollapseShapeOp,
    DeallocOp,
    DimOp,
    ExpandShapeOp,
    GetGlobalOp,
    LoadOp,
    ReinterpretCastOp,
    StoreOp,
    SubviewOp,
    ViewOp,
)
from xdsl.dialects.memref import MemRef as XdslMemRef
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import MemoryReadEffect, MemoryWriteEffect, NoMemoryEffect, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.loop.atomics import ATOMIC_OPS
from lamina.dialects.loop.replace import with_ops
from lamina.dialects.loop.types import is_memref

__all__ = [
    "AllocOp",
    "AllocaOp",
    "CastOp",
    "CollapseShapeOp",
    "CopyOp",
    "DeallocOp",
    "DimOp",
    "ExpandShapeOp",
    "GetGlobalOp",
    "GlobalOp",
    "LoadOp",
    "MemRef",
    "PrefetchOp",
    "ReinterpretCastOp",
    "StoreOp",
    "SubviewOp",
    "ViewOp",
]


def _compatible(left: Attribute, right: Attribute) -> bool:
    """Memrefs of one element type and rank whose static sizes do not differ."""
    if not is_memref(left) or not is_memref(right):
        return False
    sizes = list(zip(left.get_shape(), right.get_shape(), strict=False))
    return (
        left.get_element_type() == right.get_element_type()
        and left.get_num_dims() == right.get_num_dims()
        and all(a == b or DYNAMIC_INDEX in (a, b) for a, b in sizes)
    )


@irdl_op_definition
class CopyOp(IRDLOperation):
    """Copies the elements of one buffer to another of the same run-time shape; the two must not overlap."""

    name = "memref.copy"

    source = operand_def(base(MemRefType[Attribute]))
    target = operand_def(base(MemRefType[Attribute]))
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())
    assembly_format = "$source `,` $target attr-dict `:` type($source) `to` type($target)"

    def __init__(self, source: SSAValue | Operation, target: SSAValue | Operation):
        super().__init__(operands=[source, target])

    def verify_(self) -> None:
        if not _compatible(self.source.type, self.target.type):
            raise VerifyException(f"cannot copy {self.source.type} to {self.target.type}")


@irdl_op_definition
class CastOp(IRDLOperation):
    """The same buffer under a type with more, or fewer, static sizes."""

    name = "memref.cast"

    source = operand_def(base(MemRefType[Attribute]) | base(UnrankedMemRefType))
    dest = result_def(base(MemRefType[Attribute]) | base(UnrankedMemRefType))
    traits = traits_def(NoMemoryEffect())
    assembly_format = "$source attr-dict `:` type($source) `to` type($dest)"

    def __init__(self, source: SSAValue | Operation, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        source, dest = self.source.type, self.dest.type
        if is_memref(source) and is_memref(dest) and not _compatible(source, dest):
            raise VerifyException(f"{source} and {dest} are cast incompatible")


@irdl_op_definition
class PrefetchOp(IRDLOperation):
    """Asks for the cache line of an element; nothing is read, so the indices may point behind the buffer.

    `memref.prefetch %w[%i, %j], read, locality<2>, data : memref<64x48xf32>`; locality 0 (none) … 3 (nearest cache).
    """

    name = "memref.prefetch"

    memref = operand_def(base(MemRefType[Attribute]))
    indices = var_operand_def(IndexType())
    isWrite = prop_def(BoolAttr)
    localityHint = prop_def(IntegerAttr)
    isDataCache = prop_def(BoolAttr)
    # Reading memory keeps what has no result from being dropped.
    traits = traits_def(MemoryReadEffect(), MemoryWriteEffect())

    def __init__(
        self,
        memref: SSAValue,
        indices: Sequence[SSAValue],
        locality: int,
        *,
        write: bool = False,
        data: bool = True,
    ):
        super().__init__(
            operands=[memref, list(indices)],
            properties={
                "isWrite": BoolAttr.from_bool(write),
                "localityHint": IntegerAttr(locality, i32),
                "isDataCache": BoolAttr.from_bool(data),
            },
        )

    def verify_(self) -> None:
        type_ = self.memref.type
        if is_memref(type_) and len(self.indices) != type_.get_num_dims():
            raise VerifyException(f"expected {type_.get_num_dims()} indices, found {len(self.indices)}")
        if not 0 <= self.localityHint.value.data <= 3:
            raise VerifyException(f"locality must be 0 to 3, found {self.localityHint.value.data}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        buffer = parser.parse_unresolved_operand()
        indices = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_unresolved_operand)
        parser.parse_punctuation(",")
        write = _parse_one_of(parser, ("read", "write")) == "write"
        parser.parse_punctuation(",")
        parser.parse_keyword("locality")
        with parser.in_angle_brackets():
            locality = parser.parse_integer()
        parser.parse_punctuation(",")
        data = _parse_one_of(parser, ("data", "instr")) == "data"
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        op = cls(
            parser.resolve_operand(buffer, type_),
            [parser.resolve_operand(index, IndexType()) for index in indices],
            locality,
            write=write,
            data=data,
        )
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.memref)
        with printer.in_square_brackets():
            printer.print_list(self.indices, printer.print_ssa_value)
        kind = "write" if self.isWrite.value.data else "read"
        cache = "data" if self.isDataCache.value.data else "instr"
        printer.print_string(f", {kind}, locality<{self.localityHint.value.data}>, {cache}")
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.memref.type)


def _parse_one_of(parser: Parser, keywords: Sequence[str]) -> str:
    found = next((keyword for keyword in keywords if parser.parse_optional_keyword(keyword)), None)
    if found is None:
        parser.raise_error(f"expected one of {', '.join(keywords)}")
    return found


@irdl_op_definition
class GlobalOp(IRDLOperation):
    """A named buffer of the module: `memref.global "private" constant @w : memref<4xf32> = dense<1.0>`."""

    name = "memref.global"

    sym_name = prop_def(SymbolNameConstraint())
    sym_visibility = opt_prop_def(StringAttr)
    type = prop_def(base(MemRefType[Attribute]))
    initial_value = opt_prop_def(base(UnitAttr) | base(DenseIntOrFPElementsAttr) | base(DenseResourceAttr))
    constant = opt_prop_def(UnitAttr)
    alignment = opt_prop_def(IntegerAttr)
    traits = traits_def(SymbolOpInterface())

    RESERVED: ClassVar = ("sym_name", "sym_visibility", "type", "initial_value", "constant")

    def __init__(
        self,
        name: str,
        type: Attribute,
        initial_value: Attribute | None,
        *,
        visibility: str | None = "private",
        constant: bool = True,
    ):
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "sym_visibility": None if visibility is None else StringAttr(visibility),
                "type": type,
                "initial_value": initial_value,
                "constant": UnitAttr() if constant else None,
            }
        )

    def verify_(self) -> None:
        value = self.initial_value
        if isinstance(value, DenseIntOrFPElementsAttr | DenseResourceAttr):
            type_ = self.type
            expected = TensorType(type_.get_element_type(), type_.shape)
            if value.type != expected:
                raise VerifyException(f"expected an initial value of type {expected}, found {value.type}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        visibility = parser.parse_optional_str_literal()
        constant = parser.parse_optional_keyword("constant") is not None
        name = parser.parse_symbol_name()
        parser.parse_punctuation(":")
        start = parser.pos
        type_ = parser.parse_type()
        if not is_memref(type_):
            parser.raise_error("expected a memref type", start, parser.pos)
        value = None
        if parser.parse_optional_punctuation("="):
            value = _parse_initial_value(parser, type_)
        attributes = parser.parse_optional_attr_dict()
        op = cls(name.data, type_, value, visibility=visibility, constant=constant)
        alignment = attributes.pop("alignment", None)
        if alignment is not None:
            op.properties["alignment"] = alignment
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        if self.sym_visibility is not None:
            printer.print_string(f' "{self.sym_visibility.data}"')
        if self.constant is not None:
            printer.print_string(" constant")
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string(" : ")
        printer.print_attribute(self.type)
        value = self.initial_value
        if isinstance(value, UnitAttr):
            printer.print_string(" = uninitialized")
        elif value is not None:
            printer.print_string(" = ")
            value.print_without_type(printer)
        printer.print_op_attributes(self.properties | self.attributes, reserved_attr_names=self.RESERVED)


def _parse_initial_value(parser: Parser, type_: MemRefType[Attribute]) -> Attribute:
    """`uninitialized`, or `dense<…>` or `dense_resource<…>` without the type, which is the global's as a tensor."""
    if parser.parse_optional_keyword("uninitialized"):
        return UnitAttr()
    tensor_type = TensorType(type_.get_element_type(), type_.shape)
    if parser.parse_optional_keyword("dense_resource"):
        with parser.in_angle_brackets():
            return DenseResourceAttr.from_params(parser.parse_identifier(" for resource handle"), tensor_type)
    parser.parse_keyword("dense")
    return parser.parse_dense_int_or_fp_elements_attr(cast(TensorType[AnyDenseElement], tensor_type))


MemRef = with_ops(XdslMemRef, [CastOp, CopyOp, GlobalOp, PrefetchOp, *ATOMIC_OPS])
