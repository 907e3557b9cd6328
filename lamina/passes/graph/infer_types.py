"""`infer-types`: what the shape analysis knows, written into the types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, ModuleOp, StringAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.dims import Dim
from lamina.passes.base import LaminaPass
from lamina.passes.graph.shape_analysis import DIMS, ShapeAnalysis, result_attributes, terminator_operands


@dataclass(frozen=True)
class InferTypesPass(LaminaPass):
    """Refine the types of all values from those of the arguments; write the symbolic result shapes (`lamina.dims`).

    ```mlir
    func.func @main(%x: tensor<?x4xf32> {lamina.dims = ["n", "4"]}) -> tensor<?x?xf32> {
      %y = graph.exp %x : tensor<?x4xf32> -> tensor<?x?xf32>
      →
    func.func @main(%x: …) -> (tensor<?x4xf32> {lamina.dims = ["n", "4"]}) {
      %y = graph.exp %x : tensor<?x4xf32>
    ```

    Arguments keep their types; a `?` that turns out to be a known size becomes that size, never the reverse. Functions
    that are called, and what is passed to a call, keep theirs too: the two sides of a call must agree.
    """

    name = "infer-types"
    ensures: ClassVar[frozenset[str]] = frozenset({"types-inferred"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        called = {call.callee.string_value() for call in op.walk() if isinstance(call, func.CallOp)}
        for function in graph_functions(op):
            if function.sym_name.data not in called:
                infer_types(function)


def graph_functions(module: ModuleOp) -> Iterator[func.FuncOp]:
    """The functions of a module that are at the graph level: graph ops and calls only."""
    for op in module.ops:
        if not isinstance(op, func.FuncOp) or not op.body.blocks:
            continue
        if all(isinstance(inner, GraphOp | func.ReturnOp | func.CallOp) for inner in op.body.block.ops):
            yield op


def infer_types(function: func.FuncOp) -> ShapeAnalysis:
    """Refine the types in one function and return the analysis that says so."""
    analysis = ShapeAnalysis(function)
    for op in list(function.walk()):
        for value in _refinable_values(op):
            refined = analysis.of(value).type
            if value.type != refined and not any(isinstance(use.operation, func.CallOp) for use in value.uses):
                Rewriter.replace_value_with_new_type(value, refined)
    write_result_dims(function, analysis)
    return analysis


def _refinable_values(op: Operation) -> Iterator[SSAValue]:
    if not isinstance(op, GraphOp):
        return
    yield from op.results
    for region in op.regions:
        for block in region.blocks:
            yield from block.args


def write_result_dims(function: func.FuncOp, analysis: ShapeAnalysis) -> None:
    """Set the function's result types, and `lamina.dims` on its results, from what it returns."""
    returned = terminator_operands(function.body)
    function.function_type = FunctionType.from_lists(
        function.function_type.inputs.data, [value.type for value in returned]
    )
    function.res_attrs = ArrayAttr(
        DictionaryAttr({**result_attributes(function, index), DIMS: dims_attribute(analysis.shape(value))})
        for index, value in enumerate(returned)
    )


def dims_attribute(dims: Sequence[Dim]) -> ArrayAttr[Attribute]:
    """Sizes as an array of strings, as `lamina.dims` holds them."""
    return ArrayAttr([StringAttr(str(dim)) for dim in dims])
