"""Canonicalization of barriers: what nobody reads, and constants, need none."""

from __future__ import annotations

from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.barrier import OptimizationBarrierOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.data_movement import BroadcastOp


class DropBarrierOperands(RewritePattern):
    """barrier(x, unused, constant) -> barrier(x)

    An operand that is not read behind the barrier would be kept in memory for nothing.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: OptimizationBarrierOp, rewriter: PatternRewriter, /) -> None:
        pairs = list(zip(op.inputs, op.outputs, strict=True))
        for operand, result in pairs:
            if _takes_no_memory(operand) and result.first_use is not None and result.type == operand.type:
                rewriter.replace_all_uses_with(result, operand)
        kept = [index for index, (_, result) in enumerate(pairs) if result.first_use is not None]
        if len(kept) == len(pairs):
            return
        if not kept:
            rewriter.erase(op)
            return
        smaller = OptimizationBarrierOp([op.inputs[index] for index in kept], op.location)
        replacements = dict(zip(kept, smaller.outputs, strict=True))
        rewriter.replace(op, smaller, [replacements.get(index) for index in range(len(pairs))])


def _takes_no_memory(value: SSAValue) -> bool:
    """Constants, also broadcast."""
    while isinstance(value.owner, BroadcastOp):
        value = value.owner.operand
    return isinstance(value.owner, ConstantOp)


PATTERNS: tuple[RewritePattern, ...] = (DropBarrierOperands(),)
