"""Canonicalization of attention."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.attention import RESULT, AttentionOp
from lamina.dialects.graph.canonicalization.support import replace
from lamina.dialects.graph.data_movement import TransposeOp


class AbsorbTransposes(RewritePattern):
    """attention(transpose(q), …) -> attention(q, …) tokens_first = [0], where heads and tokens change places"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: AttentionOp, rewriter: PatternRewriter, /) -> None:
        operands = [op.query, op.key, op.value]
        turned = {which for which, operand in enumerate(operands) if exchanges_heads(operand)}
        if not turned:
            return
        taken = [
            operand.owner.operand if which in turned and isinstance(operand.owner, TransposeOp) else operand
            for which, operand in enumerate(operands)
        ]
        replace(op, _with_turned(op, taken, turned), rewriter)


class TurnResult(RewritePattern):
    """transpose(attention(…)) -> attention(…) tokens_first = [3], where heads and tokens change places"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: AttentionOp, rewriter: PatternRewriter, /) -> None:
        uses = list(op.result.uses)
        if len(uses) != 1:
            return
        user = uses[0].operation
        if isinstance(user, TransposeOp) and exchanges_heads(user.result):
            replace(user, _with_turned(op, [op.query, op.key, op.value], {RESULT}), rewriter)


def exchanges_heads(value: SSAValue) -> bool:
    """Whether a value is a transpose in which the last axis but two and the last but one change places."""
    if not isinstance(value.owner, TransposeOp):
        return False
    permutation = value.owner.permutation.get_values()
    rank = len(permutation)
    return rank >= 3 and tuple(permutation) == (*range(rank - 3), rank - 2, rank - 3, rank - 1)


def _with_turned(op: AttentionOp, operands: Sequence[SSAValue], turned: Collection[int]) -> AttentionOp:
    """The op with other arrangements of what `turned` lists."""
    query, key, value = operands
    return AttentionOp(
        query,
        key,
        value,
        op.mask,
        scale=op.scale.value.data,
        causal=None if op.causal is None else op.causal.data,
        tokens_first=[which for which in range(4) if op.has_tokens_first(which) != (which in turned)],
    )
