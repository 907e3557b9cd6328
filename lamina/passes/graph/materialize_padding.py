"""`materialize-padding`: the padded input of a convolution or window is a tensor of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import Float32Type, Float64Type, ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.context import resources_of
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.data_movement import PadOp, TransposeOp
from lamina.dialects.graph.properties import integers
from lamina.dialects.graph.reduction import ReduceWindowOp, identity_of
from lamina.dialects.graph.types import dtype_of
from lamina.dialects.hardware.gpu_target import is_for_gpu
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import tensor_type
from lamina.resources import ResourceStore

FEW_FEATURES = 4
"""Colors of an image, say."""


@dataclass(frozen=True)
class MaterializePaddingPass(LaminaPass):
    """Pad the input of convolutions and windows ahead of them.

    ```mlir
    %y = graph.convolution %x, %w, padding = [1, 1, 1, 1] …      →      %p = graph.pad %x, %zero, low [0, 1, 1, 0] …
                                                                        %y = graph.convolution %p, %w …
    ```

    What pads is a kernel of its own, which takes in the elementwise ops before it; the padded tensor lies in the arena,
    and convolutions of the same input share it after `cse`. The gaps of transposed convolutions are filled as well.
    """

    name = "materialize-padding"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"padding-materialized"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        resources = resources_of(ctx)
        for function in graph_functions(op):
            for inner in list(function.walk()):
                if isinstance(inner, ConvolutionOp):
                    _pad_convolution(inner, resources)
                elif isinstance(inner, ReduceWindowOp):
                    _pad_window(inner, resources)


def _pad_convolution(op: ConvolutionOp, resources: ResourceStore) -> None:
    padding, dilation = op.padding.get_values(), op.lhs_dilation.get_values()
    if _is_skipped(op):
        return
    if not any(padding) and all(step == 1 for step in dilation):
        return
    order = op.input_order
    rank = len(order.permutation)
    low, high, interior = [0] * rank, [0] * rank, [0] * rank
    for number, axis in enumerate(order.spatial):
        low[axis], high[axis], interior[axis] = padding[2 * number], padding[2 * number + 1], dilation[number] - 1
    op.operands[0] = _padded(op, op.lhs, np.float64(0), (low, high, interior), resources)
    op.properties["padding"] = integers((0,) * len(padding))
    op.properties["lhs_dilation"] = integers((1,) * len(dilation))


def _is_skipped(op: ConvolutionOp) -> bool:
    """Whether the kernel itself leaves out the taps on the padding: features last, one group or as many as features.

    An image of a few features is turned first; what turns it writes the padding at no cost.
    """
    rank = len(op.input_order.permutation)
    features = tensor_type(op.lhs.type).get_shape()[-1]
    groups, outputs = op.feature_group_count.value.data, tensor_type(op.result.type).get_shape()[-1]
    orders = (op.input_order.second, op.output_order.second, op.kernel_order.first)
    return (
        all(order == rank - 1 for order in orders)
        and all(step == 1 for step in op.lhs_dilation.get_values())
        and all(width >= 0 for width in op.padding.get_values())
        and (groups == 1 or groups == outputs == features or groups < outputs or is_for_gpu(op))
        and isinstance(tensor_type(op.result.type).get_element_type(), Float32Type | Float64Type)
        and not (isinstance(op.lhs.owner, TransposeOp) and 0 <= features <= FEW_FEATURES)
    )


def _pad_window(op: ReduceWindowOp, resources: ResourceStore) -> None:
    padding = op.padding.get_values()
    if not any(padding):
        return
    identity = identity_of(op.kind.data, dtype_of(tensor_type(op.operand.type).get_element_type()))
    gaps = (0,) * (len(padding) // 2)
    op.operands[0] = _padded(op, op.operand, identity, (padding[::2], padding[1::2], gaps), resources)
    op.properties["padding"] = integers((0,) * len(padding))


def _padded(
    op: Operation, operand: SSAValue, value: np.generic, amounts: Sequence[Sequence[int]], resources: ResourceStore
) -> SSAValue:
    dtype = dtype_of(tensor_type(operand.type).get_element_type())
    constant = ConstantOp.from_array(np.asarray(value).astype(dtype), resources, op.location)
    low, high, interior = amounts
    pad = PadOp(operand, constant.result, low, high, interior)
    pad.location = op.location
    Rewriter.insert_op([constant, pad], InsertPoint.before(op))
    return pad.result
