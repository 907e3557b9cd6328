"""`graph.scan`: a counted loop over slices of tensors that stacks what its steps give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self, TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, TensorType, UnitAttr, i32, i64
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute, BlockArgument, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    irdl_op_definition,
    opt_operand_def,
    opt_prop_def,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.pattern_rewriter import RewritePattern
from xdsl.printer import Printer
from xdsl.traits import RecursiveMemoryEffect

from lamina.dialects.graph.base import AbstractTensor, Array, InferenceError, abstract_of, compatible
from lamina.dialects.graph.construction import check_equal_sizes, construct, flag, more_precise, unequal_pairs
from lamina.dialects.graph.control_flow import ControlFlowOp, YieldOp, run_region, terminated_by_yield
from lamina.dialects.graph.dims import Dim, fresh, maximum
from lamina.dialects.graph.properties import TENSOR
from lamina.dialects.graph.types import dtype_of

POSITION = TensorType(i64, [])

Step: TypeAlias = "Callable[[Sequence[Array]], Sequence[Array]]"
"""What a body gives for the position, the carried values and the slices."""


@irdl_op_definition
class ScanOp(ControlFlowOp, HasCanonicalizationPatternsInterface):
    """Runs `body` once per position of the scanned tensors' first axis, in order, or from the last one with `reverse`.

    Operands: `inits`, the carried values before the first step; `scanned`, tensors of one length n along axis 0; where
    there are none, `length`, tensor<i64>, n itself (negative counts as 0). The body's arguments: the position,
    tensor<i64>; the carried values; at each step one slice of every scanned tensor, without axis 0. It yields the next
    carried values, then what is stacked. Results: the carried values after the last step; for each stacked value a
    tensor with axis 0, of size n, in front, of which step i gave element i.

    Constraints:
    1. The body has one block that ends in `graph.yield` and has an argument for the position, each init and each
       scanned tensor.
    2. Scanned tensors have at least one axis and one length; `length` is there where nothing is scanned, only there.
    3. The sizes of carried values do not change: inits, arguments, yielded values and results have equal ranks and
       element types, and no two different static sizes.

    ONNX Scan, and Loop with a known number of iterations; in StableHLO a while.
    """

    name = "graph.scan"
    inits = var_operand_def(TENSOR)
    scanned = var_operand_def(TENSOR)
    length = opt_operand_def(TENSOR)
    reverse = opt_prop_def(UnitAttr)
    body_region = region_def("single_block")
    outputs = var_result_def(TENSOR)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(RecursiveMemoryEffect())

    def __init__(
        self,
        inits: Sequence[SSAValue | Operation],
        scanned: Sequence[SSAValue | Operation],
        body_region: Region,
        length: SSAValue | Operation | None = None,
        reverse: bool = False,
    ):
        lengths = [] if length is None else [length]
        properties = {
            "operandSegmentSizes": segments(len(inits), len(scanned), len(lengths)),
            "reverse": flag(reverse),
        }
        result_count = len(terminated_by_yield(self, body_region).operands)
        construct(self, [*inits, *scanned, *lengths], properties, (body_region,), result_count)

    # ---- parts

    @property
    def carried_count(self) -> int:
        """The number of carried values."""
        return len(self.inits)

    @property
    def position(self) -> SSAValue:
        """The body's argument for the position."""
        return self.body_region.block.args[0]

    @property
    def carried(self) -> Sequence[BlockArgument]:
        """The body's arguments for the carried values."""
        return self.body_region.block.args[1 : 1 + self.carried_count]

    @property
    def slices(self) -> Sequence[BlockArgument]:
        """The body's arguments for the slices."""
        return self.body_region.block.args[1 + self.carried_count :]

    @property
    def body_yield(self) -> YieldOp:
        """The terminator of the body."""
        return terminated_by_yield(self, self.body_region)

    @property
    def next_values(self) -> Sequence[SSAValue]:
        """The carried values that the body yields."""
        return self.body_yield.operands[: self.carried_count]

    @property
    def step_outputs(self) -> Sequence[SSAValue]:
        """What the body yields to be stacked."""
        return self.body_yield.operands[self.carried_count :]

    @property
    def carried_results(self) -> Sequence[SSAValue]:
        """The carried values after the last step."""
        return self.outputs[: self.carried_count]

    @property
    def stacked_results(self) -> Sequence[SSAValue]:
        """What the steps gave, stacked."""
        return self.outputs[self.carried_count :]

    # ---- types

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        carried_count, scanned_count = self.carried_count, len(self.scanned)
        inits, rest = operands[:carried_count], operands[carried_count:]
        scanned, lengths = rest[:scanned_count], rest[scanned_count:]
        size = self._length(scanned, lengths)
        types = [argument.type for argument in self.body_region.block.args]
        if len(types) != 1 + carried_count + scanned_count or types[0] != POSITION:
            raise InferenceError(
                f"{self.name}: expected arguments of the body for the position ({POSITION}), {carried_count} carried "
                f"values and {scanned_count} slices, found ({_listed(types)})"
            )
        carried_types = types[1 : 1 + carried_count]
        yielded = [value.type for value in self.body_yield.operands]
        self._check_fit("initial values", [known.type for known in inits], carried_types)
        self._check_fit("carried values yielded by the body", yielded[:carried_count], carried_types)
        slices = [AbstractTensor(known.shape[1:], known.element_type).type for known in scanned]
        self._check_fit("arguments for slices", types[1 + carried_count :], slices)
        carried = [
            AbstractTensor(_merged(known.shape, type_), known.element_type)
            for known, type_ in zip(inits, carried_types, strict=True)
        ]
        steps = [abstract_of(type_, "step") for type_ in yielded[carried_count:]]
        stacked = [
            AbstractTensor((size, *(dim if isinstance(dim, int) else fresh() for dim in step.shape)), step.element_type)
            for step in steps
        ]
        return [*carried, *stacked]

    def _length(self, scanned: Sequence[AbstractTensor], lengths: Sequence[AbstractTensor]) -> Dim:
        if bool(scanned) == bool(lengths):
            raise InferenceError(f"{self.name}: expected a length where nothing is scanned, and only there")
        if lengths:
            if lengths[0].type != POSITION:
                raise InferenceError(f"{self.name}: length: expected {POSITION}, found {lengths[0].type}")
            known = lengths[0].elements
            return known_length(known[0]) if known is not None else fresh()
        if any(not known.shape for known in scanned):
            raise InferenceError(f"{self.name}: scanned: expected tensors of at least one axis")
        size = scanned[0].shape[0]
        for known in scanned[1:]:
            check_equal_sizes(self.name, "scanned", size, known.shape[0])
            size = more_precise(size, known.shape[0])
        return size

    def _check_fit(self, what: str, types: Sequence[Attribute], expected: Sequence[Attribute]) -> None:
        fits = len(types) == len(expected) and all(
            compatible(type_, cast("TensorType[Attribute]", other))
            for type_, other in zip(types, expected, strict=True)
        )
        if not fits:
            raise InferenceError(f"{self.name}: {what}: expected ({_listed(expected)}), found ({_listed(types)})")

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        scanned = operands[self.carried_count : self.carried_count + len(self.scanned)]
        return unequal_pairs((scanned[0].shape[0], known.shape[0]) for known in scanned[1:])

    # ---- values

    def reference(self, *operands: Array) -> tuple[Array, ...]:
        return self.run(operands, lambda arguments: run_region(self.body_region, arguments))

    def run(self, operands: Sequence[Array], step: Step) -> tuple[Array, ...]:
        """The results in NumPy, `step` being the body."""
        values = list(operands[: self.carried_count])
        scanned = operands[self.carried_count : self.carried_count + len(self.scanned)]
        count = len(scanned[0]) if scanned else max(int(operands[-1].item()), 0)
        outputs: list[Sequence[Array]] = []
        positions = range(count)
        for position in reversed(positions) if self.reverse is not None else positions:
            at = np.asarray(position, np.int64)
            yielded = step([at, *values, *(np.asarray(each[position]) for each in scanned)])
            values = list(yielded[: self.carried_count])
            outputs.append(yielded[self.carried_count :])
        if not count:
            return (*values, *self._nothing(values, scanned, step))
        ordered = outputs[::-1] if self.reverse is not None else outputs
        return (*values, *(np.stack(parts) for parts in zip(*ordered, strict=True)))

    def _nothing(self, values: Sequence[Array], scanned: Sequence[Array], step: Step) -> list[Array]:
        """Stacks of length 0; what no type tells of their sizes, a step on zeros does."""
        types = [cast("TensorType[Attribute]", value.type) for value in self.step_outputs]
        if all(DYNAMIC_INDEX not in type_.get_shape() for type_ in types):
            return [np.empty((0, *type_.get_shape()), dtype_of(type_.get_element_type())) for type_ in types]
        slices = [np.zeros(each.shape[1:], each.dtype) for each in scanned]
        with np.errstate(all="ignore"):
            given = step([np.asarray(0, np.int64), *values, *slices])
        return [np.empty((0, *each.shape), each.dtype) for each in given[self.carried_count :]]

    # ---- text

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.position)
        printer.print_string(", ")
        _print_pairs(printer, self.carried, self.inits)
        printer.print_string(" over ")
        _print_pairs(printer, self.slices, self.scanned)
        if self.length is not None:
            printer.print_string(" length ")
            printer.print_ssa_value(self.length)
        if self.reverse is not None:
            printer.print_string(" reverse")
        printer.print_string(" : ")
        with printer.in_parens():
            printer.print_list(self.operand_types, printer.print_attribute)
        printer.print_string(" -> ")
        with printer.in_parens():
            printer.print_list(self.result_types, printer.print_attribute)
        printer.print_string(" ")
        printer.print_region(self.body_region, print_entry_block_args=False)
        if self.attributes:
            printer.print_op_attributes(self.attributes, print_keyword=True)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        position = parser.parse_argument(expect_type=False)
        parser.parse_punctuation(",")
        carried = _parse_pairs(parser)
        parser.parse_keyword("over")
        scanned = _parse_pairs(parser)
        lengths = [parser.parse_unresolved_operand()] if parser.parse_optional_keyword("length") else []
        reverse = parser.parse_optional_keyword("reverse") is not None
        parser.parse_punctuation(":")
        type_ = parser.parse_function_type()
        inputs, outputs = type_.inputs.data, type_.outputs.data
        unresolved = [*(operand for _, operand in (*carried, *scanned)), *lengths]
        if len(unresolved) != len(inputs) or len(outputs) < len(carried):
            parser.raise_error(
                f"expected {len(unresolved)} operand types and at least {len(carried)} result types, "
                f"found {len(inputs)} and {len(outputs)}",
                start,
                parser.pos,
            )
        operands = [parser.resolve_operand(operand, type_) for operand, type_ in zip(unresolved, inputs, strict=True)]
        arguments = [position.resolve(POSITION)]
        arguments += [name.resolve(type_) for (name, _), type_ in zip(carried, outputs, strict=False)]
        arguments += [
            name.resolve(slice_type(type_))
            for (name, _), type_ in zip(scanned, inputs[len(carried) : len(carried) + len(scanned)], strict=True)
        ]
        body = parser.parse_region(arguments)
        attributes = parser.parse_optional_attr_dict_with_keyword()
        properties: dict[str, Attribute] = {"operandSegmentSizes": segments(len(carried), len(scanned), len(lengths))}
        if reverse:
            properties["reverse"] = UnitAttr()
        return cls.create(
            operands=operands,
            result_types=outputs,
            properties=properties,
            attributes=attributes.data if attributes is not None else {},
            regions=(body,),
        )

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.scan import (
            DropUnusedScanValues,
            ForwardInvariantScanValues,
            HoistInvariantOps,
        )

        return (ForwardInvariantScanValues(), DropUnusedScanValues(), HoistInvariantOps())


def segments(*counts: int) -> Attribute:
    """How many operands belong to each group."""
    return DenseArrayBase.from_list(i32, counts)


def known_length(size: Dim) -> Dim:
    """A length, not below 0."""
    return maximum(size, 0)


def slice_type(type_: Attribute) -> Attribute:
    """The type of what is left of a tensor without its first axis; a type that has none stays."""
    if not isinstance(type_, TensorType):
        return type_
    tensor = cast("TensorType[Attribute]", type_)
    return TensorType(tensor.get_element_type(), tensor.get_shape()[1:])


def _merged(shape: Sequence[Dim], type_: Attribute) -> tuple[Dim, ...]:
    """Sizes of an initial value, the static ones of a type where those are unknown."""
    declared = cast("TensorType[Attribute]", type_).get_shape()
    return tuple(dim if size == DYNAMIC_INDEX else size for dim, size in zip(shape, declared, strict=True))


def _listed(types: Sequence[Attribute]) -> str:
    return ", ".join(str(type_) for type_ in types)


def _print_pairs(printer: Printer, arguments: Sequence[SSAValue], operands: Sequence[SSAValue]) -> None:
    def pair(item: tuple[SSAValue, SSAValue]) -> None:
        printer.print_ssa_value(item[0])
        printer.print_string(" = ")
        printer.print_ssa_value(item[1])

    with printer.in_parens():
        printer.print_list(tuple(zip(arguments, operands, strict=True)), pair)


def _parse_pairs(parser: Parser):
    def pair():
        name = parser.parse_argument(expect_type=False)
        parser.parse_punctuation("=")
        return name, parser.parse_unresolved_operand()

    return parser.parse_comma_separated_list(parser.Delimiter.PAREN, pair)


SCAN_OPS = (ScanOp,)
