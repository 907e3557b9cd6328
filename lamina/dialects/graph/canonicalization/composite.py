"""Canonicalization of composites."""

from __future__ import annotations

from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.canonicalization.support import forward
from lamina.dialects.graph.composite import ReluOp


class ReluOfRelu(RewritePattern):
    """relu(relu(x)) -> relu(x)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReluOp, rewriter: PatternRewriter, /) -> None:
        if isinstance(op.operand.owner, ReluOp):
            forward(op, op.operand, rewriter)
