"""The `cpu` dialect: a parallel loop on the thread pool, and what some CPUs have an instruction for."""

from __future__ import annotations

from typing import ClassVar, Self

from xdsl.dialects.builtin import IndexType, IntegerAttr, IntegerType, i32, i64
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

INDEX = IndexType()


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


Cpu = Dialect("cpu", [LdexpOp, ParallelForOp])
