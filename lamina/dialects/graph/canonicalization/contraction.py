"""Canonicalization of contractions."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.canonicalization.support import replace
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.data_movement import TransposeOp


class AbsorbTransposes(RewritePattern):
    """dot_general(transpose(a), b) -> dot_general(a, b) with other axes, where the free axes keep their order"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DotGeneralOp, rewriter: PatternRewriter, /) -> None:
        lhs, (lhs_batch, lhs_contracted) = _absorb(op.lhs, *op.lhs_axes)
        rhs, (rhs_batch, rhs_contracted) = _absorb(op.rhs, *op.rhs_axes)
        if lhs is op.lhs and rhs is op.rhs:
            return
        absorbed = DotGeneralOp(lhs, rhs, lhs_contracted, rhs_contracted, lhs_batch, rhs_batch, op.element_type)
        replace(op, absorbed, rewriter)


def _absorb(
    operand: SSAValue, batch: Sequence[int], free: Sequence[int], contracted: Sequence[int]
) -> tuple[SSAValue, tuple[Sequence[int], Sequence[int]]]:
    """The operand of a transpose and the axes there; the operand itself where it has to stay."""
    transpose = operand.owner
    if not isinstance(transpose, TransposeOp):
        return operand, (batch, contracted)
    permutation = transpose.permutation.get_values()
    moved = [permutation[axis] for axis in free]
    if moved != sorted(moved):
        return operand, (batch, contracted)
    return transpose.operand, ([permutation[axis] for axis in batch], [permutation[axis] for axis in contracted])
