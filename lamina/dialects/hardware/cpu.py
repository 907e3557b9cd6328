"""The `cpu` dialect: a parallel loop on the thread pool, and what some CPUs have an instruction for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    TensorType,
    f32,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import NoTerminator, Pure, RecursiveMemoryEffect
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.loop.arith import same_shape
from lamina.dialects.loop.types import is_vector

INDEX = IndexType()

SCALED_LANES = 16
"""Of the vectors that `cpu.scale` is an instruction for."""


@irdl_op_definition
class ParallelForOp(IRDLOperation):
    """`cpu.parallel_for %i = %lower to %upper grain 4 {…}`: iterations in any order, on any thread of the pool.

    The pool hands out runs of `grain` iterations; the grain is part of the program, never of the machine, so that
    results do not depend on the thread count. The body may use every value that dominates the loop; it becomes a
    function of its own only when it is printed. `memref.alloca` in the body is private to a thread. It yields nothing.
    """

    name = "cpu.parallel_for"

    lower = operand_def(INDEX)
    upper = operand_def(INDEX)
    grain = prop_def(IntegerAttr[IntegerType])
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), RecursiveMemoryEffect())

    def __init__(self, lower: SSAValue | Operation, upper: SSAValue | Operation, grain: int, body: Region | Block):
        super().__init__(
            operands=[lower, upper],
            properties={"grain": IntegerAttr(grain, i64)},
            regions=[body if isinstance(body, Region) else Region(body)],
        )

    def verify_(self) -> None:
        if self.grain.value.data < 1:
            raise VerifyException(f"expected a grain of at least 1, found {self.grain.value.data}")
        types = [argument.type for argument in self.body.block.args]
        if types != [INDEX]:
            found = ", ".join(map(str, types)) or "none"
            raise VerifyException(f"expected a body with one argument of type index, found {found}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        induction = parser.parse_argument(expect_type=False).resolve(INDEX)
        parser.parse_punctuation("=")
        lower = parser.parse_operand(INDEX)
        parser.parse_characters("to")
        upper = parser.parse_operand(INDEX)
        parser.parse_keyword("grain")
        grain = parser.parse_integer(allow_negative=False)
        body = parser.parse_region([induction])
        op = cls(lower, upper, grain, body)
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.body.block.args[0])
        printer.print_string(" = ")
        printer.print_ssa_value(self.lower)
        printer.print_string(" to ")
        printer.print_ssa_value(self.upper)
        printer.print_string(f" grain {self.grain.value.data} ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)
        if self.attributes:
            printer.print_string(" ")
            printer.print_attr_dict(self.attributes)


@irdl_op_definition
class LdexpOp(IRDLOperation):
    """`cpu.ldexp %x, %n : vector<16xf32>`: x · 2ⁿ with n of type i32 in x's shape, rounded once, as C's `ldexp`.

    For targets that have an instruction for it; on others LLVM calls the C library, element by element.
    """

    T: ClassVar = VarConstraint("T", AnyAttr())

    name = "cpu.ldexp"

    operand = operand_def(T)
    exponent = operand_def(Attribute)
    result = result_def(T)

    traits = traits_def(Pure())

    assembly_format = "$operand `,` $exponent attr-dict `:` type($operand) `,` type($exponent)"

    def verify_(self) -> None:
        expected = same_shape(self.operand.type, i32)
        if self.exponent.type != expected:
            raise VerifyException(f"expected an exponent of type {expected}, found {self.exponent.type}")


@irdl_op_definition
class ScaleOp(IRDLOperation):
    """`cpu.scale %x, %n : vector<32xf32>`: x · 2^⌊n⌋ with n of x's type, rounded once.

    For targets with vectors of 512 bits and an instruction for it on those of f32 (`vscalefps`).
    """

    T: ClassVar = VarConstraint("T", AnyAttr())

    name = "cpu.scale"

    operand = operand_def(T)
    exponent = operand_def(T)
    result = result_def(T)

    traits = traits_def(Pure())

    assembly_format = "$operand `,` $exponent attr-dict `:` type($operand)"

    def verify_(self) -> None:
        if not has_scale(self.operand.type):
            raise VerifyException(f"expected f32 in multiples of 16 lanes, found {self.operand.type}")


TABLE_SIZES = (16, 32)
"""Elements of a table of `cpu.lookup`: one register, or two."""


@irdl_op_definition
class LookupOp(IRDLOperation):
    """`cpu.lookup %i, dense<…> : vector<32xi32> -> vector<32xf32>`: the element of a table of 16 or 32 f32 that the
    low 4 or 5 bits of i name.

    For targets with vectors of 512 bits, which pick lanes of one register, or of two, in one instruction (`vpermps`).
    """

    name = "cpu.lookup"

    index = operand_def(Attribute)
    table = prop_def(DenseIntOrFPElementsAttr)
    result = result_def(Attribute)

    traits = traits_def(Pure())

    assembly_format = "$index `,` $table attr-dict `:` type($index) `->` type($result)"

    def __init__(self, index: SSAValue | Operation, table: Sequence[float], type_: Attribute):
        values = DenseIntOrFPElementsAttr.from_list(TensorType(f32, [len(table)]), list(table))
        super().__init__(operands=[index], properties={"table": values}, result_types=[type_])

    def verify_(self) -> None:
        if not has_scale(self.result.type):
            raise VerifyException(f"expected f32 in multiples of 16 lanes, found {self.result.type}")
        expected = same_shape(self.result.type, i32)
        if self.index.type != expected:
            raise VerifyException(f"expected an index of type {expected}, found {self.index.type}")
        shape, element = self.table.get_shape(), self.table.get_element_type()
        if len(shape) != 1 or shape[0] not in TABLE_SIZES or element != f32:
            raise VerifyException(f"expected a table of 16 or 32 f32, found {self.table.type}")


def has_scale(type_: Attribute) -> bool:
    """Whether `cpu.scale` takes a type, and `cpu.lookup` gives it."""
    return is_vector(type_) and type_.get_element_type() == f32 and type_.get_shape()[-1] % SCALED_LANES == 0


Cpu = Dialect("cpu", [LdexpOp, LookupOp, ParallelForOp, ScaleOp])
