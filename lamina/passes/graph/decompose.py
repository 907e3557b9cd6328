"""`decompose`: composites become the primitives that define them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.context import resources_of
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.attention import AttentionOp
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.composite import COMPOSITE_OPS, CompositeOp
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.passes.graph.share_kernels import is_kernel
from lamina.resources import ResourceStore


@dataclass(frozen=True)
class DecomposePass(LaminaPass):
    """Replace composites by primitives, in kernels and elsewhere.

    ```mlir
    %y = graph.softmax %x, 1 : …      →      %m = graph.reduce maximum %x, [1] keep_dimensions : …
                                             %s = graph.subtract %x, %m : …
                                             …
    ```

    Those that a kernel of their own computes (attention) stay in kernels, unless `only` names them.

    `only` names the composites to replace (`softmax`), `keep` those to leave; all are replaced by default.
    """

    name = "decompose"
    ensures: ClassVar[frozenset[str]] = frozenset({"decomposed"})

    only: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        known = [*COMPOSITE_OPS, AttentionOp, *(loaded for loaded in ctx.loaded_ops if issubclass(loaded, CompositeOp))]
        names = {composite.name.removeprefix("graph.") for composite in known}
        for name in (*self.only, *self.keep):
            if name not in names:
                raise LaminaError(
                    f"'{name}' is no composite", hints=(f"the composites are {', '.join(sorted(names))}",)
                )

        def chosen(composite: CompositeOp) -> bool:
            name = composite.name.removeprefix("graph.")
            return name not in self.keep and (not self.only or name in self.only)

        for function in graph_functions(op):
            whole = is_kernel(function) and not self.only
            composites = [
                inner for inner in function.walk() if isinstance(inner, CompositeOp) and not (whole and inner.IS_KERNEL)
            ]
            if composites:
                decompose_ops(composites, ShapeAnalysis(function), resources_of(ctx), chosen)


def decompose_ops(
    ops: Iterable[Operation],
    analysis: ShapeAnalysis,
    resources: ResourceStore,
    chosen: Callable[[CompositeOp], bool],
) -> None:
    """Replace the chosen composites among `ops`; composites in their decompositions too."""
    for op in ops:
        if isinstance(op, CompositeOp) and chosen(op):
            decompose_ops(decompose_op(op, analysis, resources), analysis, resources, chosen)


def decompose_op(op: CompositeOp, analysis: ShapeAnalysis, resources: ResourceStore) -> list[Operation]:
    """Replace one composite by its decomposition, whose ops get its location; gives the new ops."""
    before = op.prev_op
    builder = GraphBuilder(InsertPoint.before(op), resources, op.location)
    for operand in op.operands:
        known = analysis.of(operand)
        builder.declare(operand, AbstractTensor(known.shape, known.element_type, known.elements))
    replacements = op.decompose(builder)
    created = _ops_between(before, op)
    for result, replacement in zip(op.results, replacements, strict=True):
        if replacement.owner in created and result.type != replacement.type:
            # The result may be declared with more or fewer static sizes; its uses rely on that.
            replacement = Rewriter.replace_value_with_new_type(replacement, result.type)
        replacement.name_hint = replacement.name_hint or result.name_hint
        result.replace_all_uses_with(replacement)
    Rewriter.erase_op(op)
    return created


def _ops_between(before: Operation | None, op: Operation) -> list[Operation]:
    """The ops after `before` (the start of the block when None) and before `op`."""
    found: list[Operation] = []
    current = op.prev_op
    while current is not None and current is not before:
        found.append(current)
        current = current.prev_op
    return found[::-1]
