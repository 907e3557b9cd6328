"""The derivative rules of all ops, one file per family, put together in one table."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.ir import Operation

from lamina.dialects.graph.base import GraphOp
from lamina.passes.autodiff.engine import RegionRule
from lamina.passes.autodiff.rule import Rule
from lamina.passes.autodiff.rules import (
    attention,
    barrier,
    calls,
    composite,
    contraction,
    control_flow,
    convolution,
    data_movement,
    elementwise,
    indexing,
    packing,
    reduction,
)

RULES: Mapping[type[GraphOp], Rule] = {
    **elementwise.RULES,
    **data_movement.RULES,
    **indexing.RULES,
    **packing.RULES,
    **reduction.RULES,
    **contraction.RULES,
    **convolution.RULES,
    **composite.RULES,
    **attention.RULES,
}
"""The rules of ops without regions. A composite that is missing is decomposed first."""

REGION_RULES: Mapping[type[Operation], RegionRule] = {**control_flow.RULES, **calls.RULES, **barrier.RULES}
"""The rules of ops with regions, and of calls."""
