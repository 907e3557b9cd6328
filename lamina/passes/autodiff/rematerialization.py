"""What a backward pass keeps of a function that is marked `lamina.remat`, and what it computes again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType, StringAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.attention import AttentionOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.elementwise import CastOp
from lamina.passes.autodiff.builder import is_real
from lamina.passes.graph.infer_types import dims_attribute
from lamina.passes.graph.shape_analysis import DIMS, ShapeAnalysis

REMAT = "lamina.remat"
"""On a function: the policy for the values inside it, when a call of it is differentiated backward."""

POLICIES: Mapping[str, str] = {
    "nothing": "the arguments only: everything else is computed again",
    "dots": "the arguments and the results of dot_general, convolution and attention outside of regions",
    "everything": "whatever the backward pass reads, as without a mark",
}
"""What is kept, by policy."""

CONTRACTIONS = (DotGeneralOp, ConvolutionOp, AttentionOp)


def check_policy(policy: str, where: str | None = None) -> str:
    """The policy; raises LaminaError for an unknown one."""
    if policy not in POLICIES:
        raise LaminaError(
            f"remat: unknown policy '{policy}'", where=where, hints=(f"the policies are {', '.join(POLICIES)}",)
        )
    return policy


def policy_of(function: func.FuncOp) -> str:
    """The policy of a function; raises LaminaError for a mark that is none."""
    mark = function.attributes.get(REMAT)
    if mark is None:
        return "everything"
    return check_policy(mark.data if isinstance(mark, StringAttr) else str(mark), location_text(function.location))


def contractions_of(function: func.FuncOp) -> list[Operation]:
    """The ops whose results the policy `dots` keeps."""
    return [op for op in function.body.block.ops if isinstance(op, CONTRACTIONS) and is_real(op.results[0])]


def return_contractions(function: func.FuncOp) -> None:
    """Let a function give what the policy `dots` keeps, in place of its results."""
    values = [op.results[0] for op in contractions_of(function)]
    terminator = function.body.block.last_op
    assert terminator is not None
    analysis = ShapeAnalysis(function)
    attributes = [dims_of(analysis, value) for value in values]
    returned = func.ReturnOp(*values)
    returned.location = terminator.location
    Rewriter.replace_op(terminator, returned, [])
    region_dce(function.body)
    function.function_type = FunctionType.from_lists(
        function.function_type.inputs.data, [value.type for value in values]
    )
    function.res_attrs = ArrayAttr([DictionaryAttr(item) for item in attributes])


def dims_of(analysis: ShapeAnalysis, value: SSAValue) -> dict[str, Attribute]:
    """The attribute that states the sizes of a value."""
    return {DIMS: dims_attribute(analysis.shape(value))}


def mark_contractions(function: func.FuncOp) -> list[CastOp]:
    """Put a cast of no effect behind everything that is kept: a place to cut, which derivatives pass through."""
    markers: list[CastOp] = []
    for op in contractions_of(function):
        result = op.results[0]
        marker = CastOp(result, result.type.get_element_type())  # pyright: ignore
        marker.location = op.location
        Rewriter.insert_op(marker, InsertPoint.after(op))
        result.replace_uses_with_if(marker.result, lambda use, marker=marker: use.operation is not marker)
        markers.append(marker)
    return markers


def cut(function: func.FuncOp, markers: Sequence[CastOp]) -> None:
    """Read what is kept from new last arguments; what computed it goes unless its own inputs are needed."""
    block = function.body.block
    for marker in markers:
        argument = block.insert_arg(marker.result.type, len(block.args))
        argument.name_hint = "kept"
        marker.result.replace_all_uses_with(argument)
        Rewriter.erase_op(marker)
