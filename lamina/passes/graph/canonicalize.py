"""`canonicalize` with locations kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.transforms.canonicalize import CanonicalizationRewritePattern

from lamina.passes.base import LaminaPass
from lamina.passes.graph.rewriting import rewrite


@dataclass(frozen=True)
class CanonicalizePass(LaminaPass):
    """Fold ops and apply their canonicalization patterns until nothing changes; remove dead ops.

    ```mlir
    %t = graph.transpose %x, [1, 0] : …   →   (uses of %u become %x)
    %u = graph.transpose %t, [1, 0] : …
    ```

    xDSL's pass of this name, with one difference: constants and ops that a rewrite creates get the location of the
    op that they replace (xDSL's have none).
    """

    name = "canonicalize"
    requires: ClassVar[frozenset[str]] = frozenset()
    ensures: ClassVar[frozenset[str]] = frozenset()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        rewrite(op, (CanonicalizationRewritePattern(),), ctx, fold=True)
