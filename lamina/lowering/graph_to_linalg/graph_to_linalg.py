"""`graph-to-linalg`: kernels become structured ops on tensors, everything else upstream ops around calls of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from lamina.context import plugins_of
from lamina.passes.base import LaminaPass
from lamina.passes.graph.share_kernels import is_kernel, kernels_of


@dataclass(frozen=True)
class GraphToLinalgPass(LaminaPass):
    """Lower graph ops to `linalg.generic` on tensors in destination-passing style.

    ```mlir
    func.func private @k(%x: tensor<4xf32>)        →   func.func private @k(%x: tensor<4xf32>, %d: tensor<4xf32>)
        -> tensor<4xf32> {                                  -> tensor<4xf32> {
      %y = graph.exp %x : tensor<4xf32>                  %y = linalg.generic {…} ins(%x : …) outs(%d : …) {
      …                                                    math.exp …
    ```

    Each stored value of a kernel is one `linalg.generic`; elementwise ops and data movement are inlined into its body.
    Library calls become calls of private functions without a body.
    """

    name = "graph-to-linalg"
    requires: ClassVar[frozenset[str]] = frozenset({"kernels-formed"})
    ensures: ClassVar[frozenset[str]] = frozenset({"linalg"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        from lamina.lowering.graph_to_linalg.caller import CallerLowering
        from lamina.lowering.graph_to_linalg.externs import Externs
        from lamina.lowering.graph_to_linalg.in_place import make_twins, updating_kernels
        from lamina.lowering.graph_to_linalg.kernel import lower_kernel
        from lamina.lowering.graph_to_linalg.normalize import normalize
        from lamina.lowering.graph_to_linalg.rules import rules_with
        from lamina.passes.graph.shape_analysis import ShapeAnalysis

        rules = rules_with(plugins_of(ctx))
        callers = [
            inner for inner in op.ops if isinstance(inner, func.FuncOp) and not is_kernel(inner) and inner.body.blocks
        ]
        for caller in callers:
            for block in [block for inner in caller.walk() for region in inner.regions for block in region.blocks]:
                normalize(block)
        # The analysis of a caller looks into the kernels: before these change.
        analyses = [ShapeAnalysis(caller) for caller in callers]
        kernels = kernels_of(op)
        make_twins(op, rules)
        updating = updating_kernels(callers)
        signatures = {
            (name := kernel.sym_name.data): lower_kernel(kernel, rules, keeps_operands=name in updating)
            for kernel in kernels
        }
        externs = Externs()
        for caller, analysis in zip(callers, analyses, strict=True):
            CallerLowering(caller, analysis, signatures, rules, externs).lower()
        op.body.block.add_ops(externs.declarations.values())
