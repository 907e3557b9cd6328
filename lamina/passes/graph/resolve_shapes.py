"""`resolve-shapes`: shapes that are known after all are written into the ops that compute with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.dialects.graph.base import AbstractTensor, GraphOp
from lamina.dialects.graph.data_movement import BroadcastOp, IotaOp, PadOp, ReshapeOp, SliceOp
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.elementwise import ElementwiseOp
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.roles import integer_of
from lamina.passes.graph.shape_analysis import ShapeAnalysis, tensor_type

TO_THE_END = 2**63 - 1


@dataclass(frozen=True)
class ResolveShapesPass(LaminaPass):
    """Replace ops whose shapes are operands by those whose shapes are attributes, where the sizes are known.

    ```mlir
    %s = graph.constant dense<[-1, 8]>                       →      %y = graph.reshape %x, [-1, 8]
    %y = graph.dynamic_reshape %x, %s : …
    %b = graph.dynamic_broadcast %x, %shape_of_z : …         →      %r = graph.add %x, %z
    %r = graph.add %b, %z
    ```

    One unknown size of a reshape becomes -1; broadcasts that an elementwise op does by itself are left out.
    """

    name = "resolve-shapes"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"shapes-resolved"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in graph_functions(op):
            resolve_shapes(function)


def resolve_shapes(function: func.FuncOp) -> None:
    """Resolve shapes in one function; dead ops are removed."""
    analysis = ShapeAnalysis(function)
    for op in list(function.walk()):
        case = CASES.get(op.name)
        replacement = case(op, analysis) if case is not None else None
        if replacement is not None:
            replacement.location = op.location
            _replace(op, replacement, analysis)
            op = replacement
        if op.name in ("graph.broadcast", "graph.dynamic_broadcast"):
            _leave_to_users(op, analysis)
    region_dce(function.body)


def _replace(op: Operation, replacement: Operation, analysis: ShapeAnalysis) -> None:
    Rewriter.insert_op(replacement, InsertPoint.before(op))
    old, new = op.results[0], replacement.results[0]
    if old.type != new.type:
        new = Rewriter.replace_value_with_new_type(new, old.type)
    new.name_hint = old.name_hint
    analysis.adopt(new, old)
    old.replace_all_uses_with(new)
    Rewriter.erase_op(op)


def _reshape(op: Operation, analysis: ShapeAnalysis) -> Operation | None:
    target = [dim if isinstance(dim, int) else -1 for dim in analysis.shape(op.results[0])]
    # Beside a size of 0, -1 could be anything.
    if target.count(-1) > 1 or (-1 in target and 0 in target):
        return None
    return ReshapeOp(op.operands[0], target)


def _broadcast(op: Operation, analysis: ShapeAnalysis) -> Operation | None:
    operand, result = analysis.shape(op.operands[0]), analysis.shape(op.results[0])
    aligned: list[Dim | None] = [*[None] * (len(result) - len(operand)), *operand]
    target = [
        dim if isinstance(dim, int) else -1 if dim == own else None for dim, own in zip(result, aligned, strict=True)
    ]
    known = [size for size in target if size is not None]
    return BroadcastOp(op.operands[0], known) if len(known) == len(target) else None


def _slice(op: Operation, analysis: ShapeAnalysis) -> Operation | None:
    starts, limits, strides = (analysis.elements(operand) or () for operand in op.operands[1:4])
    shape = analysis.shape(op.operands[0])
    ends = [TO_THE_END if limit == size else limit for limit, size in zip(limits, shape, strict=False)]
    known = [[item for item in items if isinstance(item, int)] for items in (starts, ends, strides)]
    if any(len(items) != len(shape) for items in known):
        return None
    return SliceOp(op.operands[0], *known)


def _pad(op: Operation, analysis: ShapeAnalysis) -> Operation | None:
    amounts = [analysis.elements(operand) or () for operand in op.operands[2:4]]
    known = [[item for item in items if isinstance(item, int)] for items in amounts]
    if any(len(items) != len(analysis.shape(op.operands[0])) for items in known):
        return None
    mode = op.properties["mode"]
    return PadOp(op.operands[0], op.operands[1], *known, mode=mode.data if isinstance(mode, StringAttr) else "constant")


def _iota(op: Operation, analysis: ShapeAnalysis) -> Operation | None:
    shape = analysis.shape(op.results[0])
    known = [dim for dim in shape if isinstance(dim, int)]
    if len(known) != len(shape):
        return None
    return IotaOp(known, integer_of(op, "dimension"), tensor_type(op.results[0].type).get_element_type())


CASES: Mapping[str, Callable[[Operation, ShapeAnalysis], Operation | None]] = {
    "graph.dynamic_reshape": _reshape,
    "graph.dynamic_broadcast": _broadcast,
    "graph.dynamic_slice": _slice,
    "graph.dynamic_pad": _pad,
    "graph.dynamic_iota": _iota,
}


def _leave_to_users(op: Operation, analysis: ShapeAnalysis) -> None:
    """elementwise(broadcast(x), y) -> elementwise(x, y) where y has the result's shape already"""
    for use in list(op.results[0].uses):
        user = use.operation
        if not isinstance(user, ElementwiseOp):
            continue
        operands = [analysis.of(operand) for operand in user.operands]
        operands[use.index] = analysis.of(op.operands[0])
        if _shape_of(user, operands) == analysis.shape(user.results[0]):
            user.operands[use.index] = op.operands[0]


def _shape_of(op: GraphOp, operands: list[AbstractTensor]) -> tuple[Dim, ...]:
    return op.infer(operands)[0].shape
