"""Canonicalization of reductions."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.canonicalization.support import forward, replace, sizes
from lamina.dialects.graph.composite import MeanOp
from lamina.dialects.graph.data_movement import ReshapeOp
from lamina.dialects.graph.reduction import ReduceOp


class ReduceOfUnitAxes(RewritePattern):
    """reduce(x, [axes of size 1]) -> reshape(x), or x where the shape stays; such axes leave `dimensions` where kept"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReduceOp, rewriter: PatternRewriter, /) -> None:
        dimensions = op.dimensions.get_values()
        shape = sizes(op.operand)
        left = [axis for axis in dimensions if shape[axis] != 1]
        if not left:
            _replace_by_reshape(op, rewriter)
            return
        if len(left) == len(dimensions) or op.keep_dimensions is None:
            return
        replace(op, ReduceOp(op.operand, op.kind.data, left, keep_dimensions=True), rewriter)


class MeanOfUnitAxes(RewritePattern):
    """mean(x, [axes of size 1]) -> reshape(x), or x where the shape stays"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: MeanOp, rewriter: PatternRewriter, /) -> None:
        shape = sizes(op.operand)
        if all(shape[axis] == 1 for axis in op.dimensions.get_values()):
            _replace_by_reshape(op, rewriter)


class MergeReductions(RewritePattern):
    """reduce(reduce(x, a), b) -> reduce(x, a ∪ b) of the same kind, where the inner result has no other use"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReduceOp, rewriter: PatternRewriter, /) -> None:
        inner = op.operand.owner
        if not isinstance(inner, ReduceOp) or inner.kind != op.kind or not inner.result.has_one_use():
            return
        if inner.keep_dimensions != op.keep_dimensions:
            return
        keep = op.keep_dimensions is not None
        replace(op, ReduceOp(inner.operand, op.kind.data, _merged(inner, op), keep), rewriter)


def _merged(inner: ReduceOp, outer: ReduceOp) -> Sequence[int]:
    first, second = inner.dimensions.get_values(), outer.dimensions.get_values()
    if outer.keep_dimensions is not None:
        return sorted({*first, *second})
    remaining = [axis for axis in range(len(sizes(inner.operand))) if axis not in first]
    return sorted((*first, *(remaining[axis] for axis in second)))


def _replace_by_reshape(op: ReduceOp | MeanOp, rewriter: PatternRewriter) -> None:
    """Replace an op whose result has the operand's elements in another shape, where a static reshape can say which."""
    if op.result.type == op.operand.type:
        forward(op, op.operand, rewriter)
        return
    shape = sizes(op.result)
    if shape.count(DYNAMIC_INDEX) > 1 or (DYNAMIC_INDEX in shape and 0 in shape):
        return
    replace(op, ReshapeOp(op.operand, [-1 if size == DYNAMIC_INDEX else size for size in shape]), rewriter)
