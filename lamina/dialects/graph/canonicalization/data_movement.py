"""Canonicalization of data movement: nothing is moved that stays where it is, or moved twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.base import InferenceError, abstract_of
from lamina.dialects.graph.broadcasting import broadcast_shapes
from lamina.dialects.graph.canonicalization.support import (
    constant,
    elements,
    forward,
    keeps_shape,
    replace,
    sizes,
    static_sizes,
)
from lamina.dialects.graph.data_movement import (
    BroadcastOp,
    ConcatenateOp,
    DimensionOp,
    DynamicBroadcastOp,
    DynamicIotaOp,
    DynamicPadOp,
    DynamicReshapeOp,
    DynamicSliceOp,
    DynamicUpdateSliceOp,
    IotaOp,
    PadOp,
    ReshapeOp,
    ReverseOp,
    ShapeOfOp,
    SliceOp,
    TransposeOp,
)
from lamina.dialects.graph.dims import MAX_SIZE, Shape
from lamina.dialects.graph.indexing import reshaped


class DropIdentity(RewritePattern):
    """A reshape, broadcast or slice to the shape that the operand has -> the operand"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReshapeOp | BroadcastOp | SliceOp, rewriter: PatternRewriter, /) -> None:
        if keeps_shape(op, op.operand):
            forward(op, op.operand, rewriter)


class MergeReshapes(RewritePattern):
    """reshape(reshape(x)) -> reshape(x), to a static shape or to one computed at run time"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReshapeOp | DynamicReshapeOp, rewriter: PatternRewriter, /) -> None:
        inner = op.operand.owner
        if not isinstance(inner, ReshapeOp | DynamicReshapeOp):
            return
        if isinstance(op, ReshapeOp):
            replace(op, ReshapeOp(inner.operand, op.shape.get_values()), rewriter)
        else:
            replace(op, DynamicReshapeOp(inner.operand, op.shape), rewriter)


class MergeTransposes(RewritePattern):
    """transpose(x) in place -> x; transpose(transpose(x, p), q) -> transpose(x, p∘q)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: TransposeOp, rewriter: PatternRewriter, /) -> None:
        permutation = op.permutation.get_values()
        if permutation == tuple(range(len(permutation))):
            forward(op, op.operand, rewriter)
            return
        inner = op.operand.owner
        if isinstance(inner, TransposeOp):
            first = inner.permutation.get_values()
            replace(op, TransposeOp(inner.operand, [first[axis] for axis in permutation]), rewriter)


class MergeBroadcasts(RewritePattern):
    """broadcast(broadcast(x)) -> broadcast(x), where the last shape is static"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: BroadcastOp, rewriter: PatternRewriter, /) -> None:
        inner = op.operand.owner
        shape = static_sizes(op.result)
        if isinstance(inner, BroadcastOp) and shape is not None:
            replace(op, BroadcastOp(inner.operand, shape), rewriter)


class MergeSlices(RewritePattern):
    """slice(slice(x)) -> slice(x), axes of unknown size only where one of the two takes them whole"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: SliceOp, rewriter: PatternRewriter, /) -> None:
        inner = op.operand.owner
        if not isinstance(inner, SliceOp):
            return
        bounds: list[tuple[int, int, int]] = []
        for size, first, second in zip(sizes(inner.operand), _axes(inner), _axes(op), strict=True):
            merged = _compose(size, first, second)
            if merged is None:
                return
            bounds.append(merged)
        starts, limits, strides = zip(*bounds, strict=True) if bounds else ((), (), ())
        replace(op, SliceOp(inner.operand, starts, limits, strides), rewriter)


def _axes(op: SliceOp) -> list[tuple[int, int, int]]:
    return list(zip(op.starts.get_values(), op.limits.get_values(), op.strides.get_values(), strict=True))


def _compose(size: int, first: tuple[int, int, int], second: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """The slice that takes `second` of `first` of an axis."""
    if _is_whole(first):
        return second
    if _is_whole(second):
        return first
    if size == DYNAMIC_INDEX:
        return None
    taken = range(size)[slice(*first)][slice(*second)]
    return (taken[0], taken[-1] + 1, taken.step) if taken else (0, 0, 1)


def _is_whole(bounds: tuple[int, int, int]) -> bool:
    start, limit, stride = bounds
    return start == 0 and limit >= MAX_SIZE and stride == 1


class DropReverse(RewritePattern):
    """reverse along axes of size 0 or 1 -> x; reverse(reverse(x)) along the same axes -> x"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReverseOp, rewriter: PatternRewriter, /) -> None:
        shape = sizes(op.operand)
        dimensions = op.dimensions.get_values()
        inner = op.operand.owner
        if all(shape[axis] in (0, 1) for axis in dimensions):
            forward(op, op.operand, rewriter)
        elif isinstance(inner, ReverseOp) and sorted(inner.dimensions.get_values()) == sorted(dimensions):
            forward(op, inner.operand, rewriter)


class DropEmptyPad(RewritePattern):
    """pad by nothing -> x"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PadOp, rewriter: PatternRewriter, /) -> None:
        if not any((*op.low.get_values(), *op.high.get_values(), *op.interior.get_values())):
            forward(op, op.operand, rewriter)


class SimplifyConcatenate(RewritePattern):
    """concatenate(x) -> x; operands of size 0 go; concatenate(concatenate(a, b), c) -> concatenate(a, b, c)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ConcatenateOp, rewriter: PatternRewriter, /) -> None:
        dimension = op.dimension.value.data
        if len(op.inputs) == 1:
            forward(op, op.inputs[0], rewriter)
            return
        kept: list[SSAValue] = []
        for operand in op.inputs:
            owner = operand.owner
            if sizes(operand)[dimension] == 0:
                continue
            if isinstance(owner, ConcatenateOp) and owner.dimension == op.dimension and operand.has_one_use():
                kept.extend(owner.inputs)
            else:
                kept.append(operand)
        if kept and tuple(kept) != tuple(op.inputs):
            replace(op, ConcatenateOp(kept, dimension), rewriter)


class DropWholeUpdate(RewritePattern):
    """dynamic_update_slice(x, update of x's size) -> update"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DynamicUpdateSliceOp, rewriter: PatternRewriter, /) -> None:
        if static_sizes(op.update) is not None and op.update.type == op.operand.type:
            forward(op, op.update, rewriter)


def known_shape(shape: Sequence[int]) -> list[int] | None:
    """A shape with one -1 in place of its only `?`; None where -1 would not say which size."""
    if shape.count(DYNAMIC_INDEX) > 1 or (DYNAMIC_INDEX in shape and 0 in shape):
        return None
    return [-1 if size == DYNAMIC_INDEX else size for size in shape]


def _fits(rule: Callable[..., Shape], *arguments: object) -> bool:
    """Whether a shape rule accepts its arguments: a wrong declared type is left to fail at run time."""
    try:
        rule(*arguments)
    except InferenceError:
        return False
    return True


class MakeReshapeStatic(RewritePattern):
    """dynamic_reshape -> reshape, where the shape is constant or the result's type tells it"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DynamicReshapeOp, rewriter: PatternRewriter, /) -> None:
        shape = elements(op.shape) or known_shape(sizes(op.result))
        if shape is not None and _fits(reshaped, op.name, abstract_of(op.operand.type, "operand").shape, shape):
            replace(op, ReshapeOp(op.operand, shape), rewriter)


class MakeBroadcastStatic(RewritePattern):
    """dynamic_broadcast -> broadcast, where the shape is constant or the result's type tells it"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DynamicBroadcastOp, rewriter: PatternRewriter, /) -> None:
        shape = elements(op.shape) or static_sizes(op.result)
        if shape is None:
            return
        operand = abstract_of(op.operand.type, "operand").shape
        if _fits(broadcast_shapes, op.name, (operand, shape)):
            replace(op, BroadcastOp(op.operand, shape), rewriter)


class MakeSliceStatic(RewritePattern):
    """dynamic_slice with constant bounds -> slice"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DynamicSliceOp, rewriter: PatternRewriter, /) -> None:
        starts, limits, strides = (elements(bound) for bound in (op.starts, op.limits, op.strides))
        if starts is not None and limits is not None and strides is not None:
            replace(op, SliceOp(op.operand, starts, limits, strides), rewriter)


class MakePadStatic(RewritePattern):
    """dynamic_pad by constant amounts -> pad"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DynamicPadOp, rewriter: PatternRewriter, /) -> None:
        low, high = elements(op.low), elements(op.high)
        if low is not None and high is not None:
            replace(op, PadOp(op.operand, op.value, low, high, mode=op.mode.data), rewriter)


class MakeIotaStatic(RewritePattern):
    """dynamic_iota -> iota, where the shape is constant or the result's type tells it"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DynamicIotaOp, rewriter: PatternRewriter, /) -> None:
        known = elements(op.shape)
        shape = static_sizes(op.result) if known is None else [max(size, 0) for size in known]
        if shape is not None:
            replace(op, IotaOp(shape, op.dimension.value.data, op.element_type), rewriter)


class ShapeOfStatic(RewritePattern):
    """shape_of and dimension of static sizes -> constants"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ShapeOfOp | DimensionOp, rewriter: PatternRewriter, /) -> None:
        shape = sizes(op.operand)
        known = shape if isinstance(op, ShapeOfOp) else shape[op.axis.value.data]
        array = np.array(known, np.int64)
        if not (array == DYNAMIC_INDEX).any():
            replace(op, constant(array), rewriter)


PATTERNS: Mapping[type[Operation], tuple[RewritePattern, ...]] = {
    ReshapeOp: (DropIdentity(), MergeReshapes()),
    DynamicReshapeOp: (MakeReshapeStatic(), MergeReshapes()),
    TransposeOp: (MergeTransposes(),),
    BroadcastOp: (DropIdentity(), MergeBroadcasts()),
    DynamicBroadcastOp: (MakeBroadcastStatic(),),
    SliceOp: (DropIdentity(), MergeSlices()),
    DynamicSliceOp: (MakeSliceStatic(),),
    ReverseOp: (DropReverse(),),
    PadOp: (DropEmptyPad(),),
    DynamicPadOp: (MakePadStatic(),),
    ConcatenateOp: (SimplifyConcatenate(),),
    DynamicUpdateSliceOp: (DropWholeUpdate(),),
    DynamicIotaOp: (MakeIotaStatic(),),
    ShapeOfOp: (ShapeOfStatic(),),
    DimensionOp: (ShapeOfStatic(),),
}
