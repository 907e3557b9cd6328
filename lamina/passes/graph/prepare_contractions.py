"""`prepare-contractions`: the right operand of every contraction can be read in vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.data_movement import TransposeOp
from lamina.dialects.graph.properties import integers
from lamina.dialects.hardware.gpu_target import reads_any_layout
from lamina.passes.base import LaminaPass
from lamina.passes.graph.rewriting import rewrite


@dataclass(frozen=True)
class PrepareContractionsPass(LaminaPass):
    """Make the last axis of each right operand a free one, by a transpose where it is not.

    ```mlir
    %y = graph.dot_general %x, %w, contract = [1] x [1]      →      %t = graph.transpose %w, [1, 0]
                                                                    %y = graph.dot_general %x, %t, contract = [1] x [0]
    ```

    Vectors run along the last free axis of the right operand. A right operand without free axes (a vector) changes
    places with the left one: the result's axes stay in order. What a vector is multiplied with stays as it is, unless
    it is a constant. Transposes of constants are left to `fold-constants`;
    run `canonicalize` before, not after: it lets contractions absorb transposes.
    """

    name = "prepare-contractions"
    ensures: ClassVar[frozenset[str]] = frozenset({"contractions-prepared"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite(op, (SwapVector(), TransposeRight()))


class SwapVector(RewritePattern):
    """dot_general(matrix, vector) -> dot_general(vector, matrix)"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DotGeneralOp, rewriter: PatternRewriter, /) -> None:
        lhs_batch, lhs_free, lhs_contracted = op.lhs_axes
        rhs_batch, rhs_free, rhs_contracted = op.rhs_axes
        if rhs_free or not lhs_free:
            return
        swapped = contraction(op, op.rhs, op.lhs, (rhs_batch, rhs_contracted), (lhs_batch, lhs_contracted))
        rewriter.replace(op, swapped)


class TransposeRight(RewritePattern):
    """dot_general(x, w) -> dot_general(x, transpose(w)): batch, contracted, free axes in this order"""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: DotGeneralOp, rewriter: PatternRewriter, /) -> None:
        batch, free, contracted = op.rhs_axes
        if not free or free[-1] == len(batch) + len(free) + len(contracted) - 1 or reads_any_layout(op):
            return
        # A vector meets the rows of a matrix, one sum each, in less time than the matrix is turned in.
        if not op.lhs_axes[1] and not isinstance(op.rhs.owner, ConstantOp):
            return
        transpose = TransposeOp(op.rhs, (*batch, *contracted, *free))
        axes = range(len(batch)), range(len(batch), len(batch) + len(contracted))
        prepared = contraction(
            op, op.lhs, transpose.results[0], (op.lhs_axes[0], op.lhs_axes[2]), (tuple(axes[0]), tuple(axes[1]))
        )
        rewriter.replace(op, (transpose, prepared))


def contraction(
    op: DotGeneralOp,
    lhs: SSAValue,
    rhs: SSAValue,
    lhs_axes: tuple[tuple[int, ...], tuple[int, ...]],
    rhs_axes: tuple[tuple[int, ...], tuple[int, ...]],
) -> DotGeneralOp:
    """A contraction of other operands with the result type of `op`; the axes are batch and contracted ones."""
    properties = {
        **op.properties,
        "lhs_batching_dimensions": integers(lhs_axes[0]),
        "rhs_batching_dimensions": integers(rhs_axes[0]),
        "lhs_contracting_dimensions": integers(lhs_axes[1]),
        "rhs_contracting_dimensions": integers(rhs_axes[1]),
    }
    return DotGeneralOp.create(
        operands=(lhs, rhs), result_types=op.result_types, properties=properties, location=op.location
    )
