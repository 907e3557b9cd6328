"""`scf` with `scf.forall` on buffers, the parallel loop of the loop level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from xdsl.dialects.builtin import DYNAMIC_INDEX, ArrayAttr, DenseArrayBase, IndexType, i64
from xdsl.dialects.scf import ConditionOp, ForOp, IfOp, WhileOp, YieldOp
from xdsl.dialects.scf import Scf as XdslScf
from xdsl.dialects.utils import get_dynamic_index_list, split_dynamic_index_list, verify_dynamic_index_list
from xdsl.dialects.utils.dynamic_index_list import (
    parse_dynamic_index_list_without_types,
    print_dynamic_index_list,
)
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    lazy_traits_def,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import (
    HasParent,
    IsTerminator,
    NoTerminator,
    Pure,
    RecursiveMemoryEffect,
    SingleBlockImplicitTerminator,
)
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.loop.replace import with_ops
from lamina.dialects.loop.types import is_array

__all__ = ["ConditionOp", "ForOp", "ForallOp", "IfOp", "InParallelOp", "Scf", "WhileOp", "YieldOp"]

INDEX = IndexType()


@irdl_op_definition
class InParallelOp(IRDLOperation):
    """The terminator of `scf.forall`; on buffers its region is empty."""

    name = "scf.forall.in_parallel"

    region = region_def("single_block")
    traits = lazy_traits_def(lambda: (IsTerminator(), Pure(), HasParent(ForallOp), NoTerminator()))

    def __init__(self) -> None:
        super().__init__(regions=[Region(Block())])

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        if any(block.ops for block in parser.parse_region().blocks):
            parser.raise_error("expected an empty region: buffers need no parallel insertion", start, parser.pos)
        op = cls()
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" {}")
        printer.print_op_attributes(self.attributes)


@irdl_op_definition
class ForallOp(IRDLOperation):
    """A parallel loop nest over buffers: iterations may run in any order, or at once.

    `scf.forall (%i, %j) in (%m, 8) {…}` runs from 0 in steps of 1, and
    `scf.forall (%i) = (%l) to (%u) step (%s) {…}` in general. Bounds are `index` values or integers. Tensor results
    (`shared_outs`) do not exist at the loop level.
    """

    name = "scf.forall"

    dynamic_lower_bound = var_operand_def(IndexType)
    dynamic_upper_bound = var_operand_def(IndexType)
    dynamic_step = var_operand_def(IndexType)
    outputs = var_operand_def()
    static_lower_bound = prop_def(DenseArrayBase.constr(i64), prop_name="staticLowerBound")
    static_upper_bound = prop_def(DenseArrayBase.constr(i64), prop_name="staticUpperBound")
    static_step = prop_def(DenseArrayBase.constr(i64), prop_name="staticStep")
    mapping = opt_prop_def(ArrayAttr)
    res = var_result_def()
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(SingleBlockImplicitTerminator(InParallelOp), RecursiveMemoryEffect())

    RESERVED: ClassVar = ("operandSegmentSizes", "staticLowerBound", "staticUpperBound", "staticStep")

    def __init__(
        self,
        lower_bounds: Sequence[SSAValue | int],
        upper_bounds: Sequence[SSAValue | int],
        steps: Sequence[SSAValue | int],
        body: Region | Block,
        mapping: ArrayAttr[Attribute] | None = None,
    ):
        lists = [split_dynamic_index_list(values, DYNAMIC_INDEX) for values in (lower_bounds, upper_bounds, steps)]
        names = ("staticLowerBound", "staticUpperBound", "staticStep")
        super().__init__(
            operands=[*(dynamic for _, dynamic in lists), []],
            result_types=[[]],
            properties={
                **{name: DenseArrayBase.from_list(i64, static) for name, (static, _) in zip(names, lists, strict=True)},
                "mapping": mapping,
            },
            regions=[body if isinstance(body, Region) else Region(body)],
        )

    @property
    def lower_bounds(self) -> list[SSAValue | int]:
        """Where each induction variable starts."""
        return get_dynamic_index_list(self.static_lower_bound.get_values(), self.dynamic_lower_bound, DYNAMIC_INDEX)

    @property
    def upper_bounds(self) -> list[SSAValue | int]:
        """Where each induction variable ends (exclusive)."""
        return get_dynamic_index_list(self.static_upper_bound.get_values(), self.dynamic_upper_bound, DYNAMIC_INDEX)

    @property
    def steps(self) -> list[SSAValue | int]:
        """The step of each induction variable."""
        return get_dynamic_index_list(self.static_step.get_values(), self.dynamic_step, DYNAMIC_INDEX)

    @property
    def induction_variables(self) -> Sequence[SSAValue]:
        """The induction variables, outermost first."""
        return self.body.block.args

    def is_normalized(self) -> bool:
        """Whether it runs from 0 in steps of 1."""
        return all(bound == 0 for bound in self.lower_bounds) and all(step == 1 for step in self.steps)

    def verify_(self) -> None:
        if self.outputs or self.res:
            raise VerifyException("scf.forall works on buffers here: shared_outs and results are not supported")
        rank = len(self.body.block.args)
        for static, dynamic, what in (
            (self.static_lower_bound, self.dynamic_lower_bound, "lower bounds"),
            (self.static_upper_bound, self.dynamic_upper_bound, "upper bounds"),
            (self.static_step, self.dynamic_step, "steps"),
        ):
            if len(static) != rank:
                raise VerifyException(f"expected {rank} {what}, found {len(static)}")
            verify_dynamic_index_list(static.get_values(), dynamic, DYNAMIC_INDEX, f" in the {what}")
        if any(argument.type != INDEX for argument in self.body.block.args):
            raise VerifyException("expected induction variables of type index")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        arguments = parser.parse_comma_separated_list(
            parser.Delimiter.PAREN, lambda: parser.parse_argument(expect_type=False)
        )

        def bounds() -> list[SSAValue | int]:
            return _resolve(
                parser, *parse_dynamic_index_list_without_types(parser, DYNAMIC_INDEX, delimiter=parser.Delimiter.PAREN)
            )

        if parser.parse_optional_keyword("in"):
            lower: list[SSAValue | int] = [0] * len(arguments)
            steps: list[SSAValue | int] = [1] * len(arguments)
            upper = bounds()
        else:
            parser.parse_punctuation("=")
            lower = bounds()
            parser.parse_keyword("to")
            upper = bounds()
            parser.parse_keyword("step")
            steps = bounds()
        body = parser.parse_region([argument.resolve(INDEX) for argument in arguments])
        attributes = parser.parse_optional_attr_dict()
        if not body.block.ops or not isinstance(body.block.last_op, InParallelOp):
            body.block.add_op(InParallelOp())
        mapping = attributes.pop("mapping", None)
        if mapping is not None and not is_array(mapping):
            parser.raise_error("expected an array as mapping")
        op = cls(lower, upper, steps, body, mapping)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        def bounds(values: Sequence[SSAValue | int]) -> None:
            static, dynamic = split_dynamic_index_list(values, DYNAMIC_INDEX)
            print_dynamic_index_list(printer, DYNAMIC_INDEX, dynamic, static, delimiter=Parser.Delimiter.PAREN)

        printer.print_string(" (")
        printer.print_list(self.body.block.args, printer.print_ssa_value)
        if self.is_normalized():
            printer.print_string(") in ")
            bounds(self.upper_bounds)
        else:
            printer.print_string(") = ")
            bounds(self.lower_bounds)
            printer.print_string(" to ")
            bounds(self.upper_bounds)
            printer.print_string(" step ")
            bounds(self.steps)
        printer.print_string(" ")
        printer.print_region(
            self.body, print_entry_block_args=False, print_empty_block=False, print_block_terminators=False
        )
        printer.print_op_attributes(self.properties | self.attributes, reserved_attr_names=self.RESERVED)


def _resolve(parser: Parser, dynamic: Sequence[UnresolvedOperand], static: Sequence[int]) -> list[SSAValue | int]:
    values = [parser.resolve_operand(operand, INDEX) for operand in dynamic]
    return get_dynamic_index_list(static, values, DYNAMIC_INDEX)


Scf = with_ops(XdslScf, [ForallOp, InParallelOp])
