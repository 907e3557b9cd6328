"""Canonicalization of packing."""

from __future__ import annotations

from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.canonicalization.support import forward
from lamina.dialects.graph.packing import PackOp, UnpackOp


class DropUnpackOfPack(RewritePattern):
    """unpack(pack(x)) -> x, along the same axis"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: UnpackOp, rewriter: PatternRewriter, /) -> None:
        pack = op.operand.owner
        if isinstance(pack, PackOp) and pack.dimension == op.dimension and pack.operand.type == op.result.type:
            forward(op, pack.operand, rewriter)
