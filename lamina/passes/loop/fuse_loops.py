"""`fuse-loops`: a loop that writes a temporary, and the reduction that reads it, become one loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue

from lamina.dialects.loop import memref, scf
from lamina.passes.base import LaminaPass
from lamina.passes.loop.cleanup import PURE

VIEWS = (memref.CastOp, memref.ReinterpretCastOp, memref.SubviewOp, memref.CollapseShapeOp)


@dataclass(frozen=True)
class FuseLoopsPass(LaminaPass):
    """An innermost loop that fills a temporary goes into the reduction over the same positions that reads it next.

        scf.for %i = %c0 to %n step %c1 { … memref.store %e, %t[%i] }
        %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %zero) { %x = memref.load %t[%i] … }
    →
        %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %zero) { … memref.store %e, %t[%i] … }

    The exponentials of a softmax are summed where they are computed. The temporary is an allocation of the function
    that the reduction reads at its own position only; the reduction writes nothing; what stands between the loops
    touches other allocations only, and moves ahead.
    """

    name = "fuse-loops"
    requires: ClassVar[frozenset[str]] = frozenset({"loops"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.walk():
            if isinstance(function, func.FuncOp):
                for block in [
                    block for inner in function.walk() for region in inner.regions for block in region.blocks
                ]:
                    _fuse_in(block)


def _fuse_in(block: Block) -> None:
    """Fuse the loops of one block, in order."""
    op = block.first_op
    while op is not None:
        following = op.next_op
        if isinstance(op, scf.ForOp) and _is_simple(op) and not op.iter_args:
            between: list[Operation] = []
            while following is not None and not isinstance(following, scf.ForOp) and _may_move(following):
                between.append(following)
                following = following.next_op
            if isinstance(following, scf.ForOp) and _fits(op, between, following):
                _fuse(op, between, following)
            else:
                following = op.next_op
        op = following


def _is_simple(loop: scf.ForOp) -> bool:
    """Whether all that a loop does is arithmetic, loads and stores."""
    return all(
        inner.name.startswith(("arith.", "math.")) or isinstance(inner, memref.LoadOp | memref.StoreOp | scf.YieldOp)
        for inner in loop.body.block.ops
    )


def _may_move(op: Operation) -> bool:
    return isinstance(op, (*PURE, memref.LoadOp, memref.StoreOp)) or op.name.startswith("arith.")


def root_of(buffer: SSAValue) -> SSAValue:
    """The buffer that views are of."""
    while isinstance(buffer.owner, VIEWS):
        buffer = buffer.owner.operands[0]
    return buffer


def _accesses(ops: Sequence[Operation], kind: type[memref.LoadOp] | type[memref.StoreOp]) -> set[SSAValue]:
    """The roots of what is loaded or stored."""
    return {root_of(op.memref) for op in ops if isinstance(op, kind)}


def _is_own(root: SSAValue) -> bool:
    """Whether no other name of the buffer exists."""
    return isinstance(root.owner, memref.AllocaOp | memref.AllocOp)


def _fits(first: scf.ForOp, between: Sequence[Operation], second: scf.ForOp) -> bool:
    if not _is_simple(second) or not second.iter_args:
        return False
    if (first.lb, first.ub, first.step) != (second.lb, second.ub, second.step):
        return False
    inside, after = list(first.body.block.ops), list(second.body.block.ops)
    stores = [op for op in inside if isinstance(op, memref.StoreOp)]
    if _accesses(after, memref.StoreOp) or len(stores) != 1:
        return False
    (store,) = stores
    written = root_of(store.memref)
    if not _is_own(written) or list(store.indices) != [first.body.block.args[0]]:
        return False
    if written in _accesses(inside, memref.LoadOp):
        return False
    reads = [op for op in after if isinstance(op, memref.LoadOp) and root_of(op.memref) is written]
    position = second.body.block.args[0]
    if not reads or any(op.memref is not store.memref or list(op.indices) != [position] for op in reads):
        return False
    moved = _accesses(between, memref.StoreOp)
    touched = {written} | _accesses(inside, memref.LoadOp)
    return all(_is_own(root) and root not in touched for root in moved) and written not in _accesses(
        between, memref.LoadOp
    )


def _fuse(first: scf.ForOp, between: Sequence[Operation], second: scf.ForOp) -> None:
    """Move the body of the first loop to the start of the second one's, which is then as far up as it need be."""
    for op in between:
        op.detach()
        first.parent_block().insert_op_before(op, first)  # pyright: ignore[reportOptionalMemberAccess]
    body = second.body.block
    position = body.args[0]
    first.body.block.args[0].replace_all_uses_with(position)
    start = body.first_op
    for op in list(first.body.block.ops):
        if isinstance(op, scf.YieldOp) or start is None:
            continue
        op.detach()
        body.insert_op_before(op, start)
        if isinstance(op, memref.StoreOp):
            for read in list(body.ops):
                if isinstance(read, memref.LoadOp) and read.memref is op.memref:
                    read.results[0].replace_all_uses_with(op.value)
                    read.detach()
                    read.erase()
                    if read is start:
                        start = op.next_op
    first.detach()
    first.erase()
