"""`remove-barriers`: barriers go as soon as no pass can merge what they keep apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from lamina.dialects.graph.barrier import OptimizationBarrierOp
from lamina.passes.base import LaminaPass


@dataclass(frozen=True)
class RemoveBarriersPass(LaminaPass):
    """Replace the results of optimization barriers by their operands, once kernels are formed.

    ```mlir
    %c = graph.optimization_barrier %x : …     →      %y = func.call @exp(%x)
    %y = func.call @exp(%c)
    ```
    """

    name = "remove-barriers"
    requires: ClassVar[frozenset[str]] = frozenset({"kernels-formed"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for inner in list(op.walk()):
            if isinstance(inner, OptimizationBarrierOp):
                for operand, result in zip(inner.inputs, inner.outputs, strict=True):
                    result.replace_all_uses_with(operand)
                Rewriter.erase_op(inner)
