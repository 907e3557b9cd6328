"""`split-groups`: convolutions with groups become one convolution for each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.convolution import ConvolutionOp
from lamina.dialects.graph.data_movement import ConcatenateOp, SliceOp
from lamina.dialects.graph.properties import integer
from lamina.dialects.hardware.gpu_target import is_for_gpu
from lamina.passes.base import LaminaPass
from lamina.passes.graph.rewriting import rewrite
from lamina.passes.graph.shape_analysis import shape_of_type
from lamina.passes.registers import is_for_cpu

MAX_PARTS = 8
"""Beyond it the copies of the parts, and the many small kernels, cost more than scalar loops."""


@dataclass(frozen=True)
class SplitGroupsPass(LaminaPass):
    """Write a convolution with groups of several features as 2 to 8 convolutions of the groups.

    ```mlir
    %y = graph.convolution %x, %w, groups = 2 …      →      %x0, %x1 = graph.slice %x …; %w0, %w1 = graph.slice %w …
                                                            %y0 = graph.convolution %x0, %w0, groups = 1 …
                                                            %y1 = graph.convolution %x1, %w1, groups = 1 …
                                                            %y = graph.concatenate %y0, %y1
    ```

    Depthwise convolutions stay, and so do those with more than 8 groups, and all of them for CPUs and GPUs, where one
    kernel has all groups. Groups are never joined by weights that are 0 between them: infinities and NaN would go from
    one group to another.
    """

    name = "split-groups"
    requires: ClassVar[frozenset[str]] = frozenset({"types-inferred"})
    ensures: ClassVar[frozenset[str]] = frozenset({"groups-split"})
    counters: ClassVar[Mapping[str, str]] = {"convolutions": "convolutions split"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if not is_for_cpu(op):
            rewrite(op, (SplitGroups(self),))


@dataclass
class SplitGroups(RewritePattern):
    """convolution(x, w) -> concatenate(convolution(slice(x), slice(w)), …)"""

    owner: SplitGroupsPass

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ConvolutionOp, rewriter: PatternRewriter, /) -> None:
        groups = op.feature_group_count.value.data
        kernel = shape_of_type(op.rhs.type)
        features, outputs = kernel[op.kernel_order.second], kernel[op.kernel_order.first]
        if not 1 < groups <= MAX_PARTS or outputs <= groups or features < 1 or is_for_gpu(op):
            return
        count = outputs // groups
        parts: list[ConvolutionOp] = []
        for group in range(groups):
            source = _part(rewriter, op.lhs, op.input_order.second, group * features, features)
            weights = _part(rewriter, op.rhs, op.kernel_order.first, group * count, count)
            part = ConvolutionOp(
                source,
                weights,
                op.window_strides.get_values(),
                op.padding.get_values(),
                op.lhs_dilation.get_values(),
                op.rhs_dilation.get_values(),
                1,
                op.input_order,
                op.kernel_order,
                op.output_order,
            )
            parts.append(part)
        rewriter.insert(parts)
        joined = ConcatenateOp.create(
            operands=[part.result for part in parts],
            result_types=op.result_types,
            properties={"dimension": integer(op.output_order.second)},
        )
        rewriter.replace(op, joined)
        self.owner.count("convolutions")


def _part(rewriter: PatternRewriter, value: SSAValue, axis: int, start: int, size: int) -> SSAValue:
    """`size` positions of an axis from `start`; all of the others."""
    shape = shape_of_type(value.type)
    last = (1 << 63) - 1
    starts, limits = [0] * len(shape), [last if length < 0 else length for length in shape]
    starts[axis], limits[axis] = start, start + size
    part = SliceOp(value, starts, limits, [1] * len(shape))
    rewriter.insert(part)
    return part.results[0]
