"""Dropping what a pass leaves unused."""

from __future__ import annotations

from xdsl.dialects.builtin import UnrealizedConversionCastOp
from xdsl.ir import Block, Operation

from lamina.dialects.loop import memref

UNUSED_ALLOCATIONS = (memref.AllocOp, memref.AllocaOp)
PURE = (
    memref.DimOp,
    memref.SubviewOp,
    memref.CastOp,
    memref.ReinterpretCastOp,
    memref.GetGlobalOp,
    memref.CollapseShapeOp,
    UnrealizedConversionCastOp,
)


def touches_memory(op: Operation) -> bool:
    """Whether an op may read or write buffers, so that structured ops cannot be moved across it."""
    if op.name.startswith(("arith.", "math.")):
        return False
    return not isinstance(op, (*PURE, *UNUSED_ALLOCATIONS, memref.ViewOp, memref.ExpandShapeOp))


def _is_dead(op: Operation) -> bool:
    if not op.results or op.regions:
        return False
    uses = [use for result in op.results for use in result.uses]
    if isinstance(op, UNUSED_ALLOCATIONS):
        return all(isinstance(use.operation, memref.DeallocOp) for use in uses)
    return not uses and (isinstance(op, PURE) or op.name.startswith(("arith.", "vector.", "math.")))


def erase_dead_ops(block: Block) -> None:
    """Erase pure ops without uses, and allocations that are only released, in a block and the regions inside it."""
    for op in reversed(list(block.ops)):
        for region in op.regions:
            for inner in region.blocks:
                erase_dead_ops(inner)
        if not _is_dead(op):
            continue
        for result in op.results:
            for use in list(result.uses):
                use.operation.detach()
                use.operation.erase()
        op.detach()
        op.erase()
