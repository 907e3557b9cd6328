"""`assign-layouts`: convolutions and their neighbors work with the features last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp
from lamina.dialects.graph.data_movement import BroadcastOp, ReshapeOp, TransposeOp
from lamina.dialects.graph.properties import integer, integers
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.layout_choice import (
    LAYOUT_PROPERTIES,
    REDUCTIONS,
    LayoutChoice,
    Part,
    Permutation,
    after_reduction,
    between,
    can_be_written_down,
    choose_layouts,
    features_last,
    from_last,
    inverse,
    is_view,
    moved_bytes,
    moved_operands,
    reduced,
    shuffle_of,
    to_last,
)
from lamina.passes.graph.roles import integer_of, integers_of
from lamina.passes.graph.shape_analysis import shape_of_type, tensor_type


@dataclass(frozen=True)
class AssignLayoutsPass(LaminaPass):
    """Give convolutions of any rank the orders batch, spatial axes, features; kernels spatial axes, input, output.

    ```mlir
    %y = graph.convolution %x, %w, [b, f, 0, 1] x …      →      %t = graph.transpose %x, [0, 2, 3, 1]
    %z = graph.relu %y                                          %y = graph.convolution %t, …, [b, 0, 1, f] x …
                                                                %r = graph.relu %y
                                                                %z = graph.transpose %r, [0, 3, 1, 2]
    ```

    Which other ops have the features last as well is decided for the whole function at once, so that transposes move
    as few bytes as possible (`lamina.passes.graph.layout_choice`): elementwise ops, pads, concatenations, windows,
    reductions, shuffles of features, and transposes of the model, which fall away. Transposes that only move axes of
    size 1 become reshapes. Those of constants are left to `fold-constants`.
    """

    name = "assign-layouts"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"layouts-assigned"})

    counters: ClassVar[Mapping[str, str]] = {
        "bytes-before": "bytes that the model's transposes and those around every convolution would move",
        "bytes-after": "bytes that the transposes left move",
    }

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in graph_functions(op):
            moved = assign_layouts(function)
            self.count("bytes-before", moved.before)
            self.count("bytes-after", moved.after)


@dataclass(frozen=True)
class MovedBytes:
    """Bytes read and written by transposes of what is computed; unknown sizes count as 1.

    `before`: by those in the model, and by one ahead of and one behind each convolution. `after`: by those left.
    """

    before: int
    after: int


def assign_layouts(function: func.FuncOp) -> MovedBytes:
    """Assign layouts in one function; dead ops are removed."""
    convolutions = [op for op in function.walk() if isinstance(op, ConvolutionOp)]
    before = transposed_bytes(function) + sum(
        moved_bytes(value, between(order, features_last(order)))
        for op in convolutions
        for value, order in ((op.lhs, op.input_order), (op.result, op.output_order))
    )
    if not convolutions:
        return MovedBytes(before, before)
    _Rewriter(choose_layouts(function)).run(function)
    region_dce(function.body)
    for op in list(function.walk()):
        if isinstance(op, TransposeOp):
            _simplify(op)
    region_dce(function.body)
    return MovedBytes(before, transposed_bytes(function))


def transposed_bytes(function: func.FuncOp) -> int:
    """The bytes that the transposes of a function read and write, those of constants and views left out."""
    return sum(
        moved_bytes(op.operand, op.permutation.get_values()) for op in function.walk() if isinstance(op, TransposeOp)
    )


@dataclass
class _Rewriter:
    """Carries out a choice of layouts."""

    choice: LayoutChoice
    _last: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    """Values with the features last, by the values of the function as it was written."""
    _replaced: list[tuple[Operation, SSAValue, Permutation]] = field(
        default_factory=list[tuple[Operation, SSAValue, Permutation]]
    )
    """Ops with their new results and the transposes that give the old ones."""

    def run(self, function: func.FuncOp) -> None:
        """Rewrite one function."""
        for op in list(function.walk()):
            shuffle = shuffle_of(op) if op in self.choice.last else None
            if isinstance(op, ConvolutionOp):
                self._convolution(op)
            elif isinstance(op, TransposeOp):
                self._transpose(op)
            elif shuffle is not None:
                source = shape_of_type(shuffle.source.type)
                outside, count = [*source[:1], *source[2:]], len(source) - 1
                split = _reshaped(self._features_last(shuffle.source, op), (*outside, *shuffle.factors), op)
                order = (*range(count), *(count + axis for axis in shuffle.order))
                moved = _transposed(split, order, InsertPoint.before(op), op)
                self._finish(op, _reshaped(moved, (*outside, shuffle.features), op), from_last(len(source)))
            elif op in self.choice.last and op.name in REDUCTIONS:
                self._reduction(op)
            elif op in self.choice.last:
                self._same_layout(op)
        for op, value, back in reversed(self._replaced):
            result = op.results[0]
            if result.uses:
                written = _transposed(value, back, _behind(value), op)
                written = with_type(written, result.type)
                written.name_hint = result.name_hint
                result.replace_all_uses_with(written)
            value.name_hint = value.name_hint or result.name_hint
            Rewriter.erase_op(op)

    def _features_last(self, value: SSAValue, reader: Operation) -> SSAValue:
        """A value as written, transposed; once for all who ask."""
        found = self._last.get(value)
        if found is None:
            rank = len(shape_of_type(value.type))
            found = self._last[value] = _transposed(value, to_last(rank), _behind(value), reader)
        return found

    def _finish(self, op: Operation, value: SSAValue, back: Permutation) -> None:
        if back == from_last(len(back)):
            self._last[op.results[0]] = value
        self._replaced.append((op, value, back))

    # ---- convolutions and transposes

    def _convolution(self, op: ConvolutionOp) -> None:
        """Convolution in the order batch, spatial axes, features, between transposes."""
        rank = len(shape_of_type(op.result.type))
        data = features_last(op.output_order)
        kernel = AxisOrder(rank - 1, rank - 2, tuple(range(rank - 2)))
        if (op.input_order, op.kernel_order, op.output_order) == (data, kernel, data):
            return
        before, back = between(op.input_order, data), between(data, op.output_order)
        here = InsertPoint.before(op)
        lhs = self._features_last(op.lhs, op) if before == to_last(rank) else _transposed(op.lhs, before, here, op)
        convolution = ConvolutionOp(
            lhs,
            _transposed(op.rhs, between(op.kernel_order, kernel), here, op),
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
        value = with_type(convolution.result, permuted_type(op.result.type, inverse(back)))
        Rewriter.insert_op(convolution, here)
        self._finish(op, value, back)

    def _transpose(self, op: TransposeOp) -> None:
        """A transpose of the model."""
        if op in self.choice.supplied:
            self._last[op.result] = op.operand
        if op in self.choice.absorbed:
            known = self._last.get(op.result)
            replacement = with_type(self._features_last(op.operand, op), op.result.type)
            op.result.replace_all_uses_with(replacement)
            if known is not None:
                self._last[replacement] = known
            Rewriter.erase_op(op)

    # ---- everything else

    def _same_layout(self, op: Operation) -> None:
        rank = len(shape_of_type(op.results[0].type))
        moved = moved_operands(op)
        operands = [self._operand(value, rank, op) if n in moved else value for n, value in enumerate(op.operands)]
        made = type(op).create(
            operands=operands,
            result_types=(permuted_type(op.results[0].type, to_last(rank)),),
            properties={**op.properties, **_permuted_properties(op, from_last(rank))},
            location=op.location,
        )
        Rewriter.insert_op(made, InsertPoint.before(op))
        self._finish(op, made.results[0], from_last(rank))

    def _operand(self, operand: SSAValue, rank: int, op: Operation) -> SSAValue:
        """An operand, which may broadcast, with the features last."""
        shape = shape_of_type(operand.type)
        if not shape:
            return operand
        if len(shape) < rank:
            padded = _with_leading_axes(operand, rank - len(shape), op)
            return _transposed(padded, to_last(rank), InsertPoint.before(op), op)
        return self._features_last(operand, op)

    def _reduction(self, op: Operation) -> None:
        source = self._features_last(op.operands[0], op)
        permutation, back = from_last(len(shape_of_type(source.type))), after_reduction(op)
        name = REDUCTIONS[op.name]
        axes = sorted(permutation[axis] for axis in reduced(op))
        attribute: Attribute = integers(axes) if name == "dimensions" else integer(axes[0])
        made = type(op).create(
            operands=(source,),
            result_types=(permuted_type(op.results[0].type, inverse(back)),),
            properties={**op.properties, name: attribute},
            location=op.location,
        )
        Rewriter.insert_op(made, InsertPoint.before(op))
        self._finish(op, made.results[0], back)


def _behind(value: SSAValue) -> InsertPoint:
    """Where a value is there for all its uses."""
    return InsertPoint.at_start(value.owner) if isinstance(value.owner, Block) else InsertPoint.after(value.owner)


def _transposed(value: SSAValue, permutation: Permutation, point: InsertPoint, origin: Operation) -> SSAValue:
    """`value` transposed, with the location of `origin`."""
    if permutation == tuple(range(len(permutation))):
        return value
    transpose = TransposeOp(value, permutation)
    transpose.location = origin.location
    Rewriter.insert_op(transpose, point)
    return transpose.result


def _reshaped(value: SSAValue, shape: Sequence[int], before: Operation) -> SSAValue:
    reshape = ReshapeOp(value, [-1 if size == DYNAMIC_INDEX else size for size in shape])
    reshape.location = before.location
    Rewriter.insert_op(reshape, InsertPoint.before(before))
    element_type = tensor_type(value.type).get_element_type()
    return with_type(reshape.result, TensorType(element_type, list(shape)))


def with_type(value: SSAValue, type_: Attribute) -> SSAValue:
    """The value of another type that takes the place of `value`, its uses included."""
    return value if value.type == type_ else Rewriter.replace_value_with_new_type(value, type_)


def permuted_type(type_: Attribute, permutation: Permutation) -> TensorType[Attribute]:
    """The type after a transpose."""
    tensor = tensor_type(type_)
    shape = tensor.get_shape()
    return TensorType(tensor.get_element_type(), [shape[axis] for axis in permutation])


def _permuted_properties(op: Operation, permutation: Permutation) -> dict[str, Attribute]:
    """The properties of an op that works before a transpose instead of after it."""
    moved = inverse(permutation)

    def per_axis(values: Sequence[int]) -> list[int]:
        return [values[axis] for axis in moved]

    def pairs(values: Sequence[int]) -> list[int]:
        return [value for axis in moved for value in values[2 * axis : 2 * axis + 2]]

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
    if can_be_written_down(shape):
        made: Operation = ReshapeOp(value, (*ones, *(-1 if size == DYNAMIC_INDEX else size for size in shape)))
    else:
        made = BroadcastOp(value, (*ones, *(-1 for _ in shape)))
    made.location = before.location
    Rewriter.insert_op(made, InsertPoint.before(before))
    return made.results[0]


def _simplify(op: TransposeOp) -> None:
    """transpose(transpose(x)) -> transpose(x); transpose(x) -> reshape(x) where only axes of size 1 change places"""
    inner = op.operand.owner
    permutation = op.permutation.get_values()
    if isinstance(inner, TransposeOp):
        first = inner.permutation.get_values()
        permutation = tuple(first[axis] for axis in permutation)
        merged = _transposed(inner.operand, permutation, InsertPoint.before(op), op)
        op.result.replace_all_uses_with(with_type(merged, op.result.type) if merged is not inner.operand else merged)
        Rewriter.erase_op(op)
        if not isinstance(merged.owner, TransposeOp) or merged is inner.operand:
            return
        op = merged.owner
    shape = shape_of_type(op.operand.type)
    if not is_view(shape, permutation):
        return
    target = [-1 if size == DYNAMIC_INDEX else size for size in shape_of_type(op.result.type)]
    reshape = ReshapeOp(op.operand, target)
    reshape.location = op.location
    with_type(reshape.result, op.result.type)
    Rewriter.replace_op(op, reshape)
