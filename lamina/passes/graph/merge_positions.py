"""`merge-positions`: pointwise convolutions become contractions over all positions at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp
from lamina.dialects.graph.data_movement import ReshapeOp
from lamina.dialects.graph.properties import integers
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.roles import Role, role_of
from lamina.passes.graph.shape_analysis import shape_of_type, tensor_type


@dataclass(frozen=True)
class MergePositionsPass(LaminaPass):
    """Write convolutions with kernels of size 1 and no stride as contractions; their spatial axes become one axis.

    ```mlir
    %c = graph.convolution %x, %w, [b, 0, 1, f] x [0, 1, i, o] …      →      %m = graph.reshape %x, [3136, 64]
         : tensor<1x56x56x64xf32>, tensor<1x1x64x256xf32>                      %v = graph.reshape %w, [64, 256]
    %y = graph.relu %c                                                         %c = graph.dot_general %m, %v, …
                                                                               %r = graph.relu %c : tensor<3136x256xf32>
                                                                               %y = graph.reshape %r, [1, 56, 56, 256]
    ```

    The reshapes are views. Those back move down through elementwise ops, which stay the epilogue of the contraction. A
    batch of one is merged as well. Convolutions whose shapes a reshape cannot state (several unknown sizes) stay.
    """

    name = "merge-positions"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred", "layouts-assigned"})
    ensures: ClassVar[frozenset[str]] = frozenset({"positions-merged"})
    counters: ClassVar[Mapping[str, str]] = {"convolutions": "convolutions written as contractions"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in graph_functions(op):
            self.count("convolutions", merge_positions(function))


def merge_positions(function: func.FuncOp) -> int:
    """Rewrite the pointwise convolutions of one function and return how many there were."""
    merger = _Merger()
    count = 0
    for op in list(function.walk()):
        if isinstance(op, ConvolutionOp) and _is_pointwise(op) and merger.merge(op):
            count += 1
        elif role_of(op) is Role.ELEMENTWISE:
            merger.move_below(op)
    if count:
        region_dce(function.body)
    return count


def _is_pointwise(op: ConvolutionOp) -> bool:
    """Whether an output position needs the input at that position only; features last."""
    rank = len(shape_of_type(op.result.type))
    data = AxisOrder(0, rank - 1, tuple(range(1, rank - 1)))
    kernel = AxisOrder(rank - 1, rank - 2, tuple(range(rank - 2)))
    taps = shape_of_type(op.rhs.type)[:-2]
    return (
        rank > 2
        and (op.input_order, op.kernel_order, op.output_order) == (data, kernel, data)
        and op.feature_group_count.value.data == 1
        and all(size == 1 for size in taps)
        and all(stride == 1 for stride in (*op.window_strides.get_values(), *op.lhs_dilation.get_values()))
        and not any(op.padding.get_values())
    )


@dataclass(frozen=True)
class _Merged:
    """A value with merged positions that a reshape gives the `shape` of the original."""

    value: SSAValue
    shape: tuple[int, ...]


@dataclass
class _Merger:
    _merged: dict[SSAValue, _Merged] = field(default_factory=dict[SSAValue, _Merged])
    """By the result of the reshape back."""

    def merge(self, op: ConvolutionOp) -> bool:
        """Replace a pointwise convolution; False where its shapes cannot be stated."""
        source, result = shape_of_type(op.lhs.type), shape_of_type(op.result.type)
        if not (_can_be_stated(source) and _can_be_stated(result)):
            return False
        lhs = self._in_merged_shape(op.lhs, source, op)
        weights = _reshaped(op.rhs, shape_of_type(op.rhs.type)[-2:], op)
        rank = len(_merged_shape(result))
        properties = {
            "lhs_batching_dimensions": integers(()),
            "rhs_batching_dimensions": integers(()),
            "lhs_contracting_dimensions": integers((rank - 1,)),
            "rhs_contracting_dimensions": integers((0,)),
        }
        made = DotGeneralOp.create(
            operands=(lhs, weights),
            result_types=(_typed(op.result.type, _merged_shape(result)),),
            properties=properties,
            location=op.location,
        )
        self._finish(op, made, result)
        return True

    def move_below(self, op: Operation) -> None:
        """An elementwise op of a reshape becomes the reshape of that op."""
        if not any(operand in self._merged for operand in op.operands) or len(op.results) != 1:
            return
        shape = shape_of_type(op.results[0].type)
        if not any(operand in self._merged and self._merged[operand].shape == shape for operand in op.operands):
            return
        if not all(_keeps_positions(shape_of_type(operand.type), shape) for operand in op.operands):
            return
        operands = [self._in_merged_shape(operand, shape, op) for operand in op.operands]
        made = type(op).create(
            operands=operands,
            result_types=(_typed(op.results[0].type, _merged_shape(shape)),),
            properties=op.properties,
            attributes=op.attributes,
            location=op.location,
        )
        self._finish(op, made, shape)

    def _in_merged_shape(self, value: SSAValue, shape: Sequence[int], before: Operation) -> SSAValue:
        """An operand of an op whose result has `shape`, for an op on merged positions."""
        known = self._merged.get(value)
        if known is not None and known.shape == tuple(shape):
            return known.value
        own = shape_of_type(value.type)
        if not own:
            return value
        padded = (*(1,) * (len(shape) - len(own)), *own)
        return _reshaped(value, _merged_shape(padded, batch=shape[0]), before)

    def _finish(self, op: Operation, made: Operation, shape: tuple[int, ...]) -> None:
        Rewriter.insert_op(made, InsertPoint.before(op))
        made.results[0].name_hint = op.results[0].name_hint
        back = _reshaped(made.results[0], shape, op)
        self._merged[back] = _Merged(made.results[0], shape)
        op.results[0].replace_all_uses_with(back)
        Rewriter.erase_op(op)


def _merged_shape(shape: Sequence[int], batch: int | None = None) -> tuple[int, ...]:
    """The shape with one axis of positions; the batch axis goes where the (whole) batch is one."""
    positions = DYNAMIC_INDEX if DYNAMIC_INDEX in shape[1:-1] else prod(shape[1:-1])
    merged = (positions, shape[-1])
    return merged if (shape[0] if batch is None else batch) == 1 else (shape[0], *merged)


def _can_be_stated(shape: Sequence[int]) -> bool:
    return 0 not in shape and list(shape).count(DYNAMIC_INDEX) <= 1


def _keeps_positions(shape: Sequence[int], result: Sequence[int]) -> bool:
    """Whether an operand varies along all positions of the result or along none."""
    padded = (*(1,) * (len(result) - len(shape)), *shape)
    spatial = padded[1:-1]
    return _can_be_stated(padded) and (spatial == tuple(result[1:-1]) or all(size == 1 for size in spatial))


def _reshaped(value: SSAValue, shape: Sequence[int], before: Operation) -> SSAValue:
    reshape = ReshapeOp(value, [-1 if size == DYNAMIC_INDEX else size for size in shape])
    reshape.location = before.location
    Rewriter.insert_op(reshape, InsertPoint.before(before))
    result = reshape.results[0]
    type_ = _typed(value.type, shape)
    return result if result.type == type_ else Rewriter.replace_value_with_new_type(result, type_)


def _typed(type_: Attribute, shape: Sequence[int]) -> TensorType[Attribute]:
    return TensorType(tensor_type(type_).get_element_type(), list(shape))
