"""Greedy pattern rewriting that keeps locations: what a rewrite inserts gets the location of the op that it matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from xdsl.context import Context
from xdsl.dialects.builtin import LocationAttr, ModuleOp, TensorType, UnknownLoc
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriterListener,
    PatternRewriteWalker,
    RewritePattern,
)
from xdsl.rewriter import Rewriter
from xdsl.transforms.dead_code_elimination import region_dce

from lamina.dialects.graph.base import compatible

UNKNOWN = UnknownLoc()


@dataclass
class LocationKeeper(RewritePattern):
    """Applies `pattern`; `listener` gives every op that it inserts without a location that of the matched op."""

    pattern: RewritePattern
    location: LocationAttr = UNKNOWN
    listener: PatternRewriterListener = field(init=False)

    def __post_init__(self) -> None:
        self.listener = PatternRewriterListener(operation_insertion_handler=[self._inserted])

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /) -> None:
        self.location = op.location
        self.pattern.match_and_rewrite(op, rewriter)

    def _inserted(self, op: Operation) -> None:
        if op.location == UNKNOWN:
            op.location = self.location


def rewrite(
    module: ModuleOp,
    patterns: Sequence[RewritePattern],
    context: Context | None = None,
    *,
    fold: bool = False,
    recursively: bool = True,
) -> bool:
    """Apply patterns (after the ops' own folders with `fold`) until none matches, then remove dead ops.

    Returns whether anything changed. `recursively=False` visits every op once.
    """
    keeper = LocationKeeper(GreedyRewritePatternApplier(list(patterns), ctx=context, folding_enabled=fold))
    walker = PatternRewriteWalker(
        keeper, apply_recursively=recursively, post_walk_func=region_dce, listener=keeper.listener
    )
    return walker.rewrite_module(module)


def take_over(last: Operation, result: SSAValue, before: Operation | None) -> bool:
    """Let the uses of `last` have a result made in front of it; the op itself stays, dead.

    Not where its type would be another: what was made after `before` is erased then.
    """
    declared = last.results[0].type
    if not compatible(declared, cast("TensorType[Attribute]", result.type)):
        while (unused := last.prev_op) is not None and unused is not before:
            Rewriter.erase_op(unused)
        return False
    if result.type != declared:
        result = Rewriter.replace_value_with_new_type(result, declared)
    result.name_hint = result.name_hint or last.results[0].name_hint
    last.results[0].replace_all_uses_with(result)
    return True
