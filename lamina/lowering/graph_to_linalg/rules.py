"""The tables of lowering rules: the core's, and the rows of a context's plugins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from lamina.lowering.graph_to_linalg import data_movement, elementwise
from lamina.lowering.graph_to_linalg.body import Rules, through_index_rule
from lamina.lowering.graph_to_linalg.stages import STAGE_RULES
from lamina.plugins import Plugin, merged


@cache
def core_rules() -> Rules:
    """How the graph dialect's ops are lowered."""
    scalar = {**elementwise.SCALAR_RULES, **data_movement.SCALAR_RULES}
    return Rules(scalar, data_movement.INDEX_RULES, STAGE_RULES)


def rules_with(plugins: Sequence[Plugin]) -> Rules:
    """The core's rules and those of plugins; raises LaminaError for an op of which two have a rule of one kind."""
    core = core_rules()
    if not plugins:
        return core
    index = merged("index rule", core.index, plugins, lambda plugin: plugin.index_rules)
    from_index = {name: through_index_rule(rule) for name, rule in index.items() if name not in core.index}
    scalar = merged("scalar rule", core.scalar, plugins, lambda plugin: plugin.scalar_rules)
    return Rules(
        {**from_index, **scalar},
        index,
        merged("stage rule", core.stage, plugins, lambda plugin: plugin.stage_rules),
    )
