"""`remove-gradient-stops`: what only differentiation asks about goes when compilation starts."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from lamina.dialects.graph.composite import StopGradientOp
from lamina.passes.base import LaminaPass


@dataclass(frozen=True)
class RemoveGradientStopsPass(LaminaPass):
    """Replace gradient stops by their operands.

    ```mlir
    %c = graph.stop_gradient %x : …       →      %y = graph.exp %x : …
    %y = graph.exp %c : …
    ```
    """

    name = "remove-gradient-stops"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in list(op.walk()):
            if isinstance(inner, StopGradientOp):
                inner.result.replace_all_uses_with(inner.operand)
                Rewriter.erase_op(inner)
