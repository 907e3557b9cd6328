"""How the threads of a block exchange values: upstream's `gpu` ops on subgroups, which xDSL lacks or has generically.

A subgroup is what runs in step: a warp on NVIDIA's GPUs, a wavefront on AMD's. Its threads are its lanes.
"""

from __future__ import annotations

from typing import Self

from xdsl.dialects.builtin import AnyFloat, IndexType, IntegerAttr, IntegerType, UnitAttr, i1, i32
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Operation, Region, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import NoMemoryEffect, Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

INDEX = IndexType()

FLOAT_KINDS = frozenset({"add", "mul", "maximumf", "minimumf", "maxnumf", "minnumf"})
INTEGER_KINDS = frozenset({"add", "mul", "minsi", "minui", "maxsi", "maxui", "and", "or", "xor"})
"""What may be done with floats, and with integers."""


class ReductionEnum(StrEnum):
    """How the threads' values are combined; xDSL's enumeration has older names."""

    Add = "add"
    Mul = "mul"
    Minui = "minui"
    Minsi = "minsi"
    Minnumf = "minnumf"
    Maxui = "maxui"
    Maxsi = "maxsi"
    Maxnumf = "maxnumf"
    And = "and"
    Or = "or"
    Xor = "xor"
    Minimumf = "minimumf"
    Maximumf = "maximumf"


@irdl_attr_definition
class ReductionAttr(EnumAttribute[ReductionEnum], SpacedOpaqueSyntaxAttribute):
    """`#gpu<all_reduce_op maximumf>`."""

    name = "gpu.all_reduce_op"


class ShuffleModeEnum(StrEnum):
    """Whose value a lane gets: that of its number xor, minus or plus the offset, or of the lane `offset`."""

    Xor = "xor"
    Up = "up"
    Down = "down"
    Idx = "idx"


@irdl_attr_definition
class ShuffleModeAttr(EnumAttribute[ShuffleModeEnum], SpacedOpaqueSyntaxAttribute):
    """`#gpu<shuffle_mode xor>`."""

    name = "gpu.shuffle_mode"


@irdl_op_definition
class ShuffleOp(IRDLOperation):
    """`%value, %valid = gpu.shuffle xor %x, %offset, %width : f32`: the value of another lane of the subgroup.

    Lanes are in segments of `width`; `valid` is false where the other lane is outside of the segment, and the value is
    the lane's own then. All lanes of a subgroup carry it out together.
    """

    name = "gpu.shuffle"

    value = operand_def(Attribute)
    offset = operand_def(i32)
    width = operand_def(i32)
    mode = prop_def(ShuffleModeAttr)
    result = result_def(Attribute)
    valid = result_def(i1)
    traits = traits_def(NoMemoryEffect())

    def __init__(self, mode: str, value: SSAValue, offset: SSAValue, width: SSAValue):
        super().__init__(
            operands=[value, offset, width],
            properties={"mode": ShuffleModeAttr(ShuffleModeEnum(mode))},
            result_types=[value.type, i1],
        )

    def verify_(self) -> None:
        if self.value.type != self.result.type:
            raise VerifyException(f"expected a result of type {self.value.type}, found {self.result.type}")
        if not isinstance(self.value.type, IntegerType | AnyFloat):
            raise VerifyException(f"expected a number, found {self.value.type}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        mode = parser.parse_identifier(" for the mode")
        if mode not in {one.value for one in ShuffleModeEnum}:
            parser.raise_error("expected xor, up, down or idx", start, parser.pos)
        value = parser.parse_unresolved_operand()
        numbers: list[SSAValue] = []
        for _ in range(2):
            parser.parse_punctuation(",")
            numbers.append(parser.resolve_operand(parser.parse_unresolved_operand(), i32))
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        op = cls(mode, parser.resolve_operand(value, parser.parse_type()), *numbers)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f"  {self.mode.data.value} ")
        printer.print_list(self.operands, printer.print_ssa_value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.value.type)


def _check_reduced(kind: ReductionAttr | None, operand: SSAValue, result: SSAValue) -> None:
    """Raise VerifyException where types and kind of a reduction do not go together."""
    if operand.type != result.type:
        raise VerifyException(f"expected a result of type {operand.type}, found {result.type}")
    if kind is None:
        return
    type_: Attribute = operand.type
    allowed = FLOAT_KINDS if isinstance(type_, AnyFloat) else INTEGER_KINDS
    if not isinstance(type_, AnyFloat | IntegerType | IndexType) or kind.data.value not in allowed:
        raise VerifyException(f"'{kind.data.value}' does not combine {operand.type}")


def _parse_kind(parser: Parser) -> ReductionAttr | None:
    for kind in ReductionEnum:
        if parser.parse_optional_keyword(kind.value):
            return ReductionAttr(kind)
    return None


def _print_types(printer: Printer, op: Operation) -> None:
    printer.print_string(" : (")
    printer.print_attribute(op.operands[0].type)
    printer.print_string(") -> ")
    printer.print_attribute(op.results[0].type)


def _parse_types(parser: Parser) -> tuple[Attribute, Attribute]:
    parser.parse_punctuation(":")
    parser.parse_punctuation("(")
    operand = parser.parse_type()
    parser.parse_punctuation(")")
    parser.parse_punctuation("->")
    return operand, parser.parse_type()


@irdl_op_definition
class AllReduceOp(IRDLOperation):
    """`gpu.all_reduce add %x uniform {} : (f32) -> f32`: what all threads of a block have together, for each of them.

    `uniform`: all threads of the block carry it out together. A region in the place of a kind is not supported.
    """

    name = "gpu.all_reduce"

    operand = operand_def(Attribute)
    op = prop_def(ReductionAttr)
    uniform = opt_prop_def(UnitAttr)
    body = region_def()
    result = result_def(Attribute)
    traits = traits_def(NoMemoryEffect())

    def __init__(self, kind: str, operand: SSAValue):
        super().__init__(
            operands=[operand],
            properties={"op": ReductionAttr(ReductionEnum(kind)), "uniform": UnitAttr()},
            regions=[Region()],
            result_types=[operand.type],
        )

    def verify_(self) -> None:
        _check_reduced(self.op, self.operand, self.result)
        if self.body.blocks:
            raise VerifyException("expected a kind of reduction and no region")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        kind = _parse_kind(parser)
        if kind is None:
            parser.raise_error("expected a kind of reduction", start, parser.pos)
        operand = parser.parse_unresolved_operand()
        uniform = parser.parse_optional_keyword("uniform") is not None
        region = parser.parse_region()
        attributes = parser.parse_optional_attr_dict()
        given, result = _parse_types(parser)
        return cls.create(
            operands=[parser.resolve_operand(operand, given)],
            result_types=[result],
            properties={"op": kind, **({"uniform": UnitAttr()} if uniform else {})},
            regions=[region],
            attributes=attributes,
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(f"  {self.op.data.value} ")
        printer.print_ssa_value(self.operand)
        if self.uniform is not None:
            printer.print_string(" uniform")
        printer.print_string(" ")
        printer.print_region(self.body)
        printer.print_op_attributes(self.attributes)
        _print_types(printer, self)


@irdl_op_definition
class SubgroupReduceOp(IRDLOperation):
    """`gpu.subgroup_reduce add %x uniform cluster(size = 8) : (f32) -> f32`: what lanes have together, for each.

    In clusters of `size` neighboring lanes, a power of two, or of the whole subgroup where no size is given.
    """

    name = "gpu.subgroup_reduce"

    value = operand_def(Attribute)
    op = prop_def(ReductionAttr)
    uniform = opt_prop_def(UnitAttr)
    cluster_size = opt_prop_def(IntegerAttr)
    cluster_stride = prop_def(IntegerAttr, default_value=IntegerAttr(1, i32))
    result = result_def(Attribute)
    traits = traits_def(NoMemoryEffect())

    def __init__(self, kind: str, value: SSAValue, cluster_size: int | None = None):
        super().__init__(
            operands=[value],
            properties={
                "op": ReductionAttr(ReductionEnum(kind)),
                "uniform": UnitAttr(),
                "cluster_size": None if cluster_size is None else IntegerAttr(cluster_size, i32),
                "cluster_stride": IntegerAttr(1, i32),
            },
            result_types=[value.type],
        )

    def verify_(self) -> None:
        _check_reduced(self.op, self.value, self.result)
        size = None if self.cluster_size is None else self.cluster_size.value.data
        if size is not None and (size < 1 or size & (size - 1)):
            raise VerifyException(f"expected a power of two as the size of a cluster, found {size}")
        if self.cluster_stride.value.data != 1:
            raise VerifyException("expected clusters of neighboring lanes")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        kind = _parse_kind(parser)
        if kind is None:
            parser.raise_error("expected a kind of reduction", start, parser.pos)
        operand = parser.parse_unresolved_operand()
        properties: dict[str, Attribute] = {"op": kind, "cluster_stride": IntegerAttr(1, i32)}
        if parser.parse_optional_keyword("uniform"):
            properties["uniform"] = UnitAttr()
        if parser.parse_optional_keyword("cluster"):
            for name, attribute in parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: _setting(parser)):
                properties[f"cluster_{name}"] = IntegerAttr(attribute, i32)
        attributes = parser.parse_optional_attr_dict()
        given, result = _parse_types(parser)
        return cls.create(
            operands=[parser.resolve_operand(operand, given)],
            result_types=[result],
            properties=properties,
            attributes=attributes,
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(f"  {self.op.data.value} ")
        printer.print_ssa_value(self.value)
        if self.uniform is not None:
            printer.print_string(" uniform")
        if self.cluster_size is not None:
            printer.print_string(f" cluster(size = {self.cluster_size.value.data})")
        printer.print_op_attributes(self.attributes)
        _print_types(printer, self)


def _setting(parser: Parser) -> tuple[str, int]:
    name = parser.parse_identifier()
    parser.parse_punctuation("=")
    return name, parser.parse_integer()


@irdl_op_definition
class LaneIdOp(IRDLOperation):
    """`gpu.lane_id`: the number of this thread in its subgroup."""

    name = "gpu.lane_id"
    result = result_def(INDEX)
    traits = traits_def(Pure())
    assembly_format = "attr-dict"

    def __init__(self):
        super().__init__(result_types=[INDEX])


@irdl_op_definition
class SubgroupIdOp(IRDLOperation):
    """`gpu.subgroup_id : index`: the number of this thread's subgroup in its block."""

    name = "gpu.subgroup_id"
    result = result_def(INDEX)
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self):
        super().__init__(result_types=[INDEX])


COMMUNICATION_OPS: tuple[type[Operation], ...] = (ShuffleOp, AllReduceOp, SubgroupReduceOp, LaneIdOp, SubgroupIdOp)
"""What this file adds to the `gpu` dialect, with `COMMUNICATION_ATTRIBUTES`."""

COMMUNICATION_ATTRIBUTES: tuple[type[Attribute], ...] = (ReductionAttr, ShuffleModeAttr)
