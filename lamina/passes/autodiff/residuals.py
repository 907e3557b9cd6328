"""What the forward pass through a region keeps for the backward pass, and what is computed again.

The backward ops of a step are first built behind a copy of the step itself. What they read of it then either becomes a
result of the forward step (a residual), or is computed again where that costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import Rewriter

from lamina.dialects.graph.barrier import OptimizationBarrierOp
from lamina.passes.autodiff.builder import DerivativeBuilder
from lamina.passes.autodiff.engine import captured_by

_CHEAP = """
    constant iota dynamic_iota shape_of dimension reshape dynamic_reshape transpose broadcast dynamic_broadcast cast
    compare not negate
"""
CHEAP = frozenset(f"graph.{name}" for name in _CHEAP.split())
"""Ops that are computed again rather than kept, where they need no more than one value that is not at hand."""


@dataclass(frozen=True)
class ForwardPart:
    """The ops of a step that stand before its backward ops in one block; `marker` stands between them.

    The marker reads what the step gives, and so follows where a derivative rule puts other values in their place.
    """

    block: Block
    marker: Operation

    @property
    def ops(self) -> list[Operation]:
        """The ops of the forward step, in order."""
        found: list[Operation] = []
        for op in self.block.ops:
            if op is self.marker:
                break
            found.append(op)
        return found

    @property
    def results(self) -> list[SSAValue]:
        """What the step gives."""
        return list(self.marker.operands)

    def residuals(
        self, free: Set[SSAValue], can_be_kept: Callable[[SSAValue], bool], *, again_if_invariant: bool = True
    ) -> list[SSAValue]:
        """The values to keep for the ops behind the marker; block arguments among them, but for the `free` ones.

        Values that cannot be kept are computed again, and by default those that depend on no argument of the block.
        """
        ops = self.ops
        varying: set[SSAValue] = set(self.block.args)
        for op in ops:
            if not again_if_invariant or any(value in varying for value in _read_by(op)):
                varying.update(op.results)
        needed: dict[SSAValue, None] = {}
        behind = self.marker.next_op
        while behind is not None:
            needed.update(dict.fromkeys(_read_by(behind)))
            behind = behind.next_op
        kept: list[SSAValue] = []
        for op in reversed(ops):
            wanted = [result for result in op.results if result in needed]
            if not wanted:
                continue
            read = [value for value in dict.fromkeys(_read_by(op)) if value in varying]
            at_hand = sum(1 for value in read if value in free or value in needed)
            is_cheap = op.name in CHEAP and len(read) - at_hand <= 1
            if is_cheap or not read or not all(map(can_be_kept, wanted)):
                needed.update(dict.fromkeys(read))
            else:
                kept += wanted
        arguments = [value for value in self.block.args if value in needed and value not in free]
        return [*arguments, *reversed(kept)]

    def remove_unused(self) -> None:
        """Erase the marker and the forward ops that nothing reads."""
        ops = self.ops
        self.marker.detach()
        self.marker.erase()
        for op in reversed(ops):
            if not any(result.uses for result in op.results):
                op.detach()
                op.erase()


def _read_by(op: Operation) -> list[SSAValue]:
    return [*op.operands, *captured_by(op.regions)]


def mark(b: DerivativeBuilder, results: Sequence[SSAValue]) -> Operation:
    """Insert the op that ends a forward part and reads what it gives."""
    op = OptimizationBarrierOp.create(operands=results, result_types=[value.type for value in results])
    op.location = b.location
    Rewriter.insert_op(op, b.insertion_point)
    return op
