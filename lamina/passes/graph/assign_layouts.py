"""`assign-layouts`: convolutions and their neighbors work with the features last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp
from lamina.dialects.graph.data_movement import BroadcastOp, ReshapeOp, TransposeOp
from lamina.dialects.graph.properties import integer, integers
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.roles import Role, has_flag, integer_of, integers_of, role_of
from lamina.passes.graph.shape_analysis import shape_of_type, tensor_type

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class AssignLayoutsPass(LaminaPass):
    """Give convolutions of any rank the orders batch, spatial axes, features; kernels spatial axes, input, output.

    ```mlir
    %y = graph.convolution %x, %w, [b, f, 0, 1] x …      →      %t = graph.transpose %x, [0, 2, 3, 1]
    %z = graph.relu %y                                          %y = graph.convolution %t, …, [b, 0, 1, f] x …
                                                                %r = graph.relu %y
                                                                %z = graph.transpose %r, [0, 3, 1, 2]
    ```

    The transposes back move down through elementwise ops, pads, concatenations, windows and reductions until they meet
    those of the next convolution and cancel. Transposes that only move axes of size 1 become reshapes. The transposes
    of constant kernels are left to `fold-constants`.
    """

    name = "assign-layouts"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"layouts-assigned"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in graph_functions(op):
            assign_layouts(function)


def assign_layouts(function: func.FuncOp) -> None:
    """Assign layouts in one function; dead ops are removed."""
    convolutions = [op for op in function.walk() if isinstance(op, ConvolutionOp)]
    if not convolutions:
        return
    mover = TransposeMover()
    for op in list(function.walk()):
        if isinstance(op, ConvolutionOp):
            mover.features_last(op)
        else:
            mover.move_below(op)
    region_dce(function.body)
    for op in list(function.walk()):
        if isinstance(op, TransposeOp):
            _unit_axes_to_reshape(op)


class Part(Enum):
    """How a property depends on the order of the axes."""

    AXIS = auto()
    AXES = auto()
    PER_AXIS = auto()
    PAIRS = auto()


_ALONG_AXIS = {"dimension": Part.AXIS}
_PER_AXIS = Part.PER_AXIS

LAYOUT_PROPERTIES: Mapping[str, Mapping[str, Part]] = {
    "graph.batch_norm": _ALONG_AXIS,
    "graph.softmax": _ALONG_AXIS,
    "graph.log_softmax": _ALONG_AXIS,
    "graph.cumulative": _ALONG_AXIS,
    "graph.concatenate": _ALONG_AXIS,
    "graph.reverse": {"dimensions": Part.AXES},
    "graph.pad": {"low": _PER_AXIS, "high": _PER_AXIS, "interior": _PER_AXIS},
    "graph.slice": {"starts": _PER_AXIS, "limits": _PER_AXIS, "strides": _PER_AXIS},
    "graph.reduce_window": {
        "window_dimensions": _PER_AXIS,
        "window_strides": _PER_AXIS,
        "window_dilations": _PER_AXIS,
        "padding": Part.PAIRS,
    },
}
"""Ops besides elementwise ones whose result has their operand's layout, and the properties that change with it."""

REDUCTIONS: Mapping[str, str] = {
    "graph.reduce": "dimensions",
    "graph.mean": "dimensions",
    "graph.arg_reduce": "dimension",
}
"""Ops that drop axes, and the property that lists them."""


@dataclass
class TransposeMover:
    """Moves the transposes that it made towards the results."""

    _layout: set[Operation] = field(default_factory=set[Operation])

    # ---- convolutions

    def features_last(self, op: ConvolutionOp) -> None:
        """Convolution in the order batch, spatial axes, features, between transposes."""
        rank = len(shape_of_type(op.result.type))
        spatial = tuple(range(1, rank - 1))
        data = AxisOrder(0, rank - 1, spatial)
        kernel = AxisOrder(rank - 1, rank - 2, tuple(range(rank - 2)))
        if (op.input_order, op.kernel_order, op.output_order) == (data, kernel, data):
            return
        lhs = self._transposed(op.lhs, _between(op.input_order, data), op)
        rhs = self._transposed(op.rhs, _between(op.kernel_order, kernel), op)
        convolution = ConvolutionOp(
            lhs,
            rhs,
            op.window_strides.get_values(),
            op.padding.get_values(),
            op.lhs_dilation.get_values(),
            op.rhs_dilation.get_values(),
            op.feature_group_count.value.data,
            data,
            kernel,
            data,
        )
        convolution.location = op.location
        back = _between(data, op.output_order)
        with_type(convolution.result, permuted_type(op.result.type, _inverse(back)))
        Rewriter.insert_op(convolution, InsertPoint.before(op))
        self._finish(op, convolution.result, back)

    # ---- everything else

    def move_below(self, op: Operation) -> None:
        """Rewrite an op that reads one of our transposes to work before it."""
        if not isinstance(op, GraphOp) or not any(operand.owner in self._layout for operand in op.operands):
            return
        if isinstance(op, TransposeOp):
            self._merge(op)
        elif op.name in REDUCTIONS:
            self._move_below_reduction(op)
        elif op.name in LAYOUT_PROPERTIES or role_of(op) is Role.ELEMENTWISE:
            self._move_below_same_layout(op)

    def _merge(self, op: TransposeOp) -> None:
        source, first = self._source(op.operand)
        merged = tuple(first[axis] for axis in op.permutation.get_values())
        self._finish(op, source, merged)

    def _move_below_same_layout(self, op: GraphOp) -> None:
        moved = range(len(op.operands)) if op.name not in LAYOUT_PROPERTIES or _all_moved(op) else range(1)
        permutation = self._common_permutation(op, [op.operands[index] for index in moved])
        if permutation is None:
            return
        rank = len(permutation)
        operands = [
            self._in_layout(operand, permutation, rank, op) if index in moved else operand
            for index, operand in enumerate(op.operands)
        ]
        properties = {**op.properties, **_permuted_properties(op, permutation)}
        result_type = permuted_type(op.results[0].type, _inverse(permutation))
        made = type(op).create(
            operands=operands, result_types=(result_type,), properties=properties, location=op.location
        )
        Rewriter.insert_op(made, InsertPoint.before(op))
        self._finish(op, made.results[0], permutation)

    def _move_below_reduction(self, op: GraphOp) -> None:
        source, permutation = self._source(op.operands[0])
        name = REDUCTIONS[op.name]
        axes = integers_of(op, name) or (integer_of(op, name),)
        moved = sorted(permutation[axis] for axis in axes)
        if has_flag(op, "keep_dimensions"):
            after = permutation
        else:
            kept = [permutation[axis] for axis in range(len(permutation)) if axis not in axes]
            after = tuple(sorted(kept).index(axis) for axis in kept)
        attribute: Attribute = integers(moved) if name == "dimensions" else integer(moved[0])
        made = type(op).create(
            operands=(source,),
            result_types=(permuted_type(op.results[0].type, _inverse(after)),),
            properties={**op.properties, name: attribute},
            location=op.location,
        )
        Rewriter.insert_op(made, InsertPoint.before(op))
        self._finish(op, made.results[0], after)

    def _common_permutation(self, op: Operation, operands: Sequence[SSAValue]) -> Permutation | None:
        """The layout of most full operands, where moving the transpose needs no more transposes than it saves."""
        rank = len(shape_of_type(op.results[0].type))
        found = [self._source(operand)[1] for operand in operands if operand.owner in self._layout]
        permutation = max(found, key=found.count)
        if len(permutation) != rank:
            return None
        saved = sum(1 for item in found if item == permutation)
        others = sum(
            1
            for operand in operands
            if not (operand.owner in self._layout and self._source(operand)[1] == permutation)
            and not isinstance(operand.owner, ConstantOp)
            and sum(1 for size in shape_of_type(operand.type) if size != 1) > 1
        )
        return permutation if saved >= others else None

    def _in_layout(self, operand: SSAValue, permutation: Permutation, rank: int, op: Operation) -> SSAValue:
        """An operand (which may broadcast) as it was before the transpose."""
        if operand.owner in self._layout:
            source, own = self._source(operand)
            if own == permutation:
                return source
        shape = shape_of_type(operand.type)
        if not shape:
            return operand
        if len(shape) < rank:
            operand = _with_leading_axes(operand, rank - len(shape), op)
        return self._transposed(operand, _inverse(permutation), op)

    # ---- transposes

    def _source(self, value: SSAValue) -> tuple[SSAValue, Permutation]:
        """What one of our transposes transposes, and how."""
        transpose = cast(TransposeOp, value.owner)
        return transpose.operand, transpose.permutation.get_values()

    def _transposed(self, value: SSAValue, permutation: Permutation, before: Operation) -> SSAValue:
        """`value` transposed, by way of what it is already a transpose of."""
        if value.owner in self._layout:
            value, first = self._source(value)
            permutation = tuple(first[axis] for axis in permutation)
        if permutation == tuple(range(len(permutation))):
            return value
        transpose = TransposeOp(value, permutation)
        transpose.location = before.location
        Rewriter.insert_op(transpose, InsertPoint.before(before))
        self._layout.add(transpose)
        return transpose.results[0]

    def _finish(self, op: Operation, value: SSAValue, permutation: Permutation) -> None:
        """Replace the result of `op` by a transposed value."""
        result = op.results[0]
        replacement = self._transposed(value, permutation, op)
        if isinstance(replacement.owner, TransposeOp) and replacement.owner in self._layout:
            replacement = with_type(replacement, result.type)
        replacement.name_hint = replacement.name_hint or result.name_hint
        result.replace_all_uses_with(replacement)
        Rewriter.erase_op(op)


def with_type(value: SSAValue, type_: Attribute) -> SSAValue:
    """The value of another type that takes the place of `value`, its uses included."""
    return value if value.type == type_ else Rewriter.replace_value_with_new_type(value, type_)


def permuted_type(type_: Attribute, permutation: Permutation) -> TensorType[Attribute]:
    """The type after a transpose."""
    tensor = tensor_type(type_)
    shape = tensor.get_shape()
    return TensorType(tensor.get_element_type(), [shape[axis] for axis in permutation])


def _between(source: AxisOrder, target: AxisOrder) -> Permutation:
    """The permutation that brings a tensor from one order of axes to another."""
    axis_of = dict(zip(target.permutation, source.permutation, strict=True))
    return tuple(axis_of[axis] for axis in range(len(axis_of)))


def _inverse(permutation: Permutation) -> Permutation:
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


def _all_moved(op: Operation) -> bool:
    return op.name == "graph.concatenate"


def _permuted_properties(op: Operation, permutation: Permutation) -> dict[str, Attribute]:
    """The properties of an op that works before a transpose instead of after it."""
    inverse = _inverse(permutation)

    def per_axis(values: Sequence[int]) -> list[int]:
        return [values[axis] for axis in inverse]

    def pairs(values: Sequence[int]) -> list[int]:
        return [value for axis in inverse for value in values[2 * axis : 2 * axis + 2]]

    def axes(values: Sequence[int]) -> list[int]:
        return [permutation[axis] for axis in values]

    lists: Mapping[Part, Callable[[Sequence[int]], list[int]]] = {
        Part.AXES: axes,
        Part.PER_AXIS: per_axis,
        Part.PAIRS: pairs,
    }
    return {
        name: integer(permutation[integer_of(op, name)])
        if part is Part.AXIS
        else integers(lists[part](integers_of(op, name)))
        for name, part in LAYOUT_PROPERTIES.get(op.name, {}).items()
    }


def _with_leading_axes(value: SSAValue, count: int, before: Operation) -> SSAValue:
    """`value` with axes of size 1 in front: a view where the sizes can be written down."""
    shape = shape_of_type(value.type)
    ones = (1,) * count
    if _can_be_written_down(shape):
        made: Operation = ReshapeOp(value, (*ones, *(-1 if size == DYNAMIC_INDEX else size for size in shape)))
    else:
        made = BroadcastOp(value, (*ones, *(-1 for _ in shape)))
    made.location = before.location
    Rewriter.insert_op(made, InsertPoint.before(before))
    return made.results[0]


def _unit_axes_to_reshape(op: TransposeOp) -> None:
    """transpose(x) -> reshape(x) where only axes of size 1 change places"""
    shape = shape_of_type(op.operand.type)
    moved = [axis for axis in op.permutation.get_values() if shape[axis] != 1]
    if moved != sorted(moved) or not _can_be_written_down(shape):
        return
    target = [-1 if size == DYNAMIC_INDEX else size for size in shape_of_type(op.results[0].type)]
    reshape = ReshapeOp(op.operand, target)
    reshape.location = op.location
    with_type(reshape.results[0], op.results[0].type)
    Rewriter.replace_op(op, reshape)


def _can_be_written_down(shape: Sequence[int]) -> bool:
    """Whether a reshape to these sizes has at most one to infer, and the others give it."""
    unknown = shape.count(DYNAMIC_INDEX)
    return unknown == 0 or (unknown == 1 and 0 not in shape)
