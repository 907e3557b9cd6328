"""Control flow with regions: a branch, a loop, and the terminator of their regions.

Regions may use values defined outside them. `reference` runs regions that do not: an evaluator of whole functions
(`lamina.targets.reference`), which knows the values around an op, runs the others.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar, Self, cast

from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType, i1
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    lazy_traits_def,
    operand_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.pattern_rewriter import RewritePattern
from xdsl.printer import Printer
from xdsl.traits import HasParent, IsTerminator, Pure, RecursivelySpeculatable, RecursiveMemoryEffect

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import (
    AbstractTensor,
    Array,
    Differentiability,
    GraphOp,
    InferenceError,
    abstract_of,
    compatible,
)
from lamina.dialects.graph.construction import construct
from lamina.dialects.graph.dims import fresh
from lamina.dialects.graph.properties import TENSOR

PREDICATE = TensorType(i1, [])


class ControlFlowOp(GraphOp, ABC):
    """An op whose results come from its regions."""

    def verify_(self) -> None:
        for region in self.regions:
            terminated_by_yield(self, region)
        super().verify_()


def run_region(region: Region, arguments: Sequence[Array]) -> tuple[Array, ...]:
    """What a region of graph ops yields; raises LaminaError where it uses a value from outside."""
    environment: dict[SSAValue, Array] = dict(zip(region.block.args, arguments, strict=True))
    results: tuple[Array, ...] = ()
    for op in region.block.ops:
        assert isinstance(op, GraphOp)
        if not all(operand in environment for operand in op.operands):
            raise LaminaError(f"{op.name} uses a value from outside the region", where=location_text(op.location))
        computed = op.reference(*(environment[operand] for operand in op.operands))
        results = computed if isinstance(computed, tuple) else (computed,)
        environment.update(zip(op.results, results, strict=False))
    return results


def terminated_by_yield(op: Operation, region: Region) -> YieldOp:
    """The terminator of a region of one block; raises InferenceError where it is not `graph.yield`."""
    last = region.block.last_op if len(region.blocks) == 1 else None
    if not isinstance(last, YieldOp):
        found = "nothing" if last is None else last.name
        raise InferenceError(f"{op.name}: expected regions of one block that end in graph.yield, found {found}")
    return last


def loops_and_branches() -> tuple[type[Operation], ...]:
    """The ops whose regions end in `graph.yield`."""
    from lamina.dialects.graph.scan import ScanOp

    return (IfOp, WhileOp, ScanOp)


@irdl_op_definition
class YieldOp(GraphOp):
    """Ends a region of `if`, `while` or `scan` and gives its results.

    Operands: any number of tensors. Constraints: the parent op's. StableHLO return.
    """

    name = "graph.yield"
    DIFFERENTIABILITY: ClassVar = Differentiability.STRUCTURAL
    arguments = var_operand_def(TENSOR)
    traits = lazy_traits_def(lambda: (IsTerminator(), HasParent(*loops_and_branches()), Pure()))
    assembly_format = "attr-dict ($arguments^ `:` type($arguments))?"

    def __init__(self, *arguments: SSAValue | Operation):
        construct(self, arguments, {}, result_count=0)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        return ()

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        """What the region yields."""
        return operands


@irdl_op_definition
class IfOp(ControlFlowOp, HasCanonicalizationPatternsInterface):
    """Runs one of two regions.

    Operand: `predicate`, tensor<i1>. Results: what `graph.yield` of the region that ran gives; a size that the two
    regions do not agree on is dynamic.

    Constraints:
    1. `predicate` is tensor<i1>.
    2. The regions have no arguments, one block, and end in `graph.yield`.
    3. They yield the same number of tensors, of equal ranks and element types in pairs.

    ONNX If; StableHLO if.
    """

    name = "graph.if"
    predicate = operand_def(PREDICATE)
    then_region = region_def("single_block")
    else_region = region_def("single_block")
    outputs = var_result_def(TENSOR)
    traits = traits_def(RecursiveMemoryEffect(), RecursivelySpeculatable())
    assembly_format = "$predicate `->` `(` type($outputs) `)` $then_region `else` $else_region attr-dict-with-keyword"

    def __init__(self, predicate: SSAValue | Operation, then_region: Region, else_region: Region):
        result_count = len(terminated_by_yield(self, then_region).operands)
        construct(self, (predicate,), {}, (then_region, else_region), result_count)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (predicate,) = operands
        if predicate.type != PREDICATE:
            raise InferenceError(f"{self.name}: predicate: expected {PREDICATE}, found {predicate.type}")
        for name, region in (("then", self.then_region), ("else", self.else_region)):
            if region.block.args:
                raise InferenceError(f"{self.name}: {name}: expected no arguments, found {len(region.block.args)}")
        left, right = self.then_yield.operand_types, self.else_yield.operand_types
        if len(left) != len(right):
            raise InferenceError(
                f"{self.name}: expected as many results from both regions, found {len(left)} and {len(right)}"
            )
        return [self._join(index, *types) for index, types in enumerate(zip(left, right, strict=True))]

    def _join(self, index: int, left: Attribute, right: Attribute) -> AbstractTensor:
        """What is known of a result; a size that differs or is dynamic depends on which region runs."""
        first, second = abstract_of(left, "then"), abstract_of(right, "else")
        if len(first.shape) != len(second.shape) or first.element_type != second.element_type:
            raise InferenceError(
                f"{self.name}: result {index}: expected equal ranks and element types from both regions, "
                f"found {left} and {right}"
            )
        shape = tuple(a if a == b else fresh() for a, b in zip(first.shape, second.shape, strict=True))
        return AbstractTensor(shape, first.element_type)

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        return run_region(self.then_region if operands[0].item() else self.else_region, ())

    @property
    def then_yield(self) -> YieldOp:
        """The terminator of the region for true."""
        return terminated_by_yield(self, self.then_region)

    @property
    def else_yield(self) -> YieldOp:
        """The terminator of the region for false."""
        return terminated_by_yield(self, self.else_region)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.control_flow import (
            DropUnusedIfResults,
            ForwardCommonIfResults,
            InlineConstantIf,
        )

        return (InlineConstantIf(), ForwardCommonIfResults(), DropUnusedIfResults())


@irdl_op_definition
class WhileOp(ControlFlowOp, HasCanonicalizationPatternsInterface):
    """Runs `body` on the loop values for as long as `condition` of them holds.

    Operands: the initial loop values. Results: the last ones. Both regions have the loop values as arguments; the
    condition yields tensor<i1>, the body the next loop values. A size that changes from one iteration to the next is
    `?` in the types of the regions' arguments.

    Constraints:
    1. The regions have one block, end in `graph.yield`, and have arguments of equal types, one for each operand.
    2. The condition yields one tensor<i1>.
    3. Operands, yielded values and results fit the arguments' types: equal ranks and element types, and no two
       different static sizes.

    ONNX Loop (its trip count and scan outputs are values of the loop); StableHLO while.
    """

    name = "graph.while"
    inits = var_operand_def(TENSOR)
    condition_region = region_def("single_block")
    body_region = region_def("single_block")
    outputs = var_result_def(TENSOR)
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(self, inits: Sequence[SSAValue | Operation], condition_region: Region, body_region: Region):
        construct(self, inits, {}, (condition_region, body_region), len(inits))

    @property
    def loop_types(self) -> tuple[TensorType[Attribute], ...]:
        """The types of the loop values inside the regions."""
        return tuple(cast("TensorType[Attribute]", argument.type) for argument in self.body_region.block.args)

    @property
    def condition_yield(self) -> YieldOp:
        """The terminator of the condition."""
        return terminated_by_yield(self, self.condition_region)

    @property
    def body_yield(self) -> YieldOp:
        """The terminator of the body."""
        return terminated_by_yield(self, self.body_region)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        condition_types = [argument.type for argument in self.condition_region.block.args]
        if condition_types != list(self.loop_types):
            raise InferenceError(
                f"{self.name}: expected the arguments of both regions to have equal types, found "
                f"({_listed(condition_types)}) and ({_listed(self.loop_types)})"
            )
        yielded = [value.type for value in self.condition_yield.operands]
        if yielded != [PREDICATE]:
            raise InferenceError(f"{self.name}: condition: expected to yield {PREDICATE}, found ({_listed(yielded)})")
        self._check_fits("initial values", [operand.type for operand in operands])
        self._check_fits("values yielded by the body", [value.type for value in self.body_yield.operands])
        return [
            AbstractTensor(
                tuple(fresh() if size == DYNAMIC_INDEX else size for size in type_.get_shape()),
                type_.get_element_type(),
            )
            for type_ in self.loop_types
        ]

    def _check_fits(self, what: str, types: Sequence[Attribute]) -> None:
        fits = len(types) == len(self.loop_types) and all(
            compatible(type_, loop_type) for type_, loop_type in zip(types, self.loop_types, strict=True)
        )
        if not fits:
            raise InferenceError(
                f"{self.name}: {what}: expected ({_listed(self.loop_types)}), found ({_listed(types)})"
            )

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        values = operands
        while run_region(self.condition_region, values)[0].item():
            values = run_region(self.body_region, values)
        return values

    def print(self, printer: Printer) -> None:
        pairs = tuple(zip(self.condition_region.block.args, self.inits, strict=True))
        printer.print_string(" ")
        with printer.in_parens():
            printer.print_list(pairs, lambda pair: _print_pair(printer, *pair))
        printer.print_string(" : ")
        with printer.in_parens():
            printer.print_list(self.operand_types, printer.print_attribute)
        printer.print_string(" -> ")
        with printer.in_parens():
            printer.print_list(self.result_types, printer.print_attribute)
        printer.print_string(" ")
        printer.print_region(self.condition_region, print_entry_block_args=False)
        printer.print_string(" do ")
        with printer.in_parens():
            printer.print_list(self.body_region.block.args, printer.print_ssa_value)
        printer.print_string(" ")
        printer.print_region(self.body_region, print_entry_block_args=False)
        if self.attributes:
            printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        position = parser.pos
        pairs = parser.parse_comma_separated_list(parser.Delimiter.PAREN, lambda: _parse_pair(parser))
        parser.parse_punctuation(":")
        type_ = parser.parse_function_type()
        inputs, outputs = type_.inputs.data, type_.outputs.data
        if not len(pairs) == len(inputs) == len(outputs):
            parser.raise_error(
                f"expected {len(pairs)} operand and result types, found {len(inputs)} and {len(outputs)}",
                position,
                parser.pos,
            )
        names = [name for name, _ in pairs]
        operands = [parser.resolve_operand(operand, t) for (_, operand), t in zip(pairs, inputs, strict=True)]
        condition = parser.parse_region([name.resolve(t) for name, t in zip(names, outputs, strict=True)])
        parser.parse_keyword("do")
        position = parser.pos
        body_names = parser.parse_optional_comma_separated_list(
            parser.Delimiter.PAREN, lambda: parser.parse_argument(expect_type=False)
        )
        if body_names is None:
            body_names = names
        if len(body_names) != len(names):
            parser.raise_error(f"expected {len(names)} loop values, found {len(body_names)}", position, parser.pos)
        body = parser.parse_region([name.resolve(t) for name, t in zip(body_names, outputs, strict=True)])
        attributes = parser.parse_optional_attr_dict_with_keyword()
        return cls.create(
            operands=operands,
            result_types=outputs,
            attributes=attributes.data if attributes is not None else {},
            regions=(condition, body),
        )

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.control_flow import (
            DropUnusedLoopValues,
            ForwardInvariantLoopValues,
            RemoveLoopThatNeverRuns,
        )

        return (RemoveLoopThatNeverRuns(), ForwardInvariantLoopValues(), DropUnusedLoopValues())


def _listed(types: Sequence[Attribute]) -> str:
    return ", ".join(str(type_) for type_ in types)


def _print_pair(printer: Printer, argument: SSAValue, init: SSAValue) -> None:
    printer.print_ssa_value(argument)
    printer.print_string(" = ")
    printer.print_ssa_value(init)


def _parse_pair(parser: Parser):
    name = parser.parse_argument(expect_type=False)
    parser.parse_punctuation("=")
    return name, parser.parse_unresolved_operand()


CONTROL_FLOW_OPS: tuple[type[GraphOp], ...] = (IfOp, WhileOp, YieldOp)
