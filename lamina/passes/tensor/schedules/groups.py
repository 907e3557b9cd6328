"""Schedules of convolutions with narrow groups: a vector has the outputs of several of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Attribute

from lamina.passes.registers import group_panel
from lamina.passes.tensor.schedules.contraction import (
    accumulator_bits,
    group_of_columns,
    packed_panel,
    padding_entry,
)
from lamina.passes.tensor.schedules.convolution import even_rows
from lamina.passes.tensor.schedules.stage_view import StageView, contraction_grain, numbers, plain_dims, texts

ROWS: Mapping[int, tuple[int, int]] = {512: (12, 8), 256: (6, 4), 128: (6, 4)}
"""Rows of a tile, by vector width, where the features of a vector's groups fill one vector, or two: sums and features
of every row, a vector of weights and one of spread features stay in registers."""

MOST_FEATURES = 32
"""Features of a group that are written out in the innermost loop."""


def groups_schedule(stage: StageView, vector_bits: int) -> Mapping[str, Attribute] | None:
    """The schedule of a convolution of which a vector holds the outputs of several groups; None for any other op."""
    bits = accumulator_bits(stage.op)
    axes = _row_and_column(stage) if bits is not None else None
    if axes is None or bits is None:
        return None
    row, column = axes
    group, size = group_of_columns(stage, column), stage.sizes[column]
    if group is None or size is None or group.factor > MOST_FEATURES:
        return None
    lanes = vector_bits // bits
    panel = group_panel(size // group.divisor, group.factor, group.divisor, lanes)
    if panel == group.divisor or packed_panel(stage, column) not in (None, panel):
        return None
    loads = ceil(panel // group.divisor * group.factor / lanes)
    rows = even_rows(stage.sizes[row], ROWS[vector_bits][loads - 1])
    names = stage.names
    reduced = [dim for dim, parallel in enumerate(stage.parallel) if not parallel]
    others = [dim for dim, parallel in enumerate(stage.parallel) if parallel and dim not in axes]
    work = 2 * stage.size(row) * panel * prod(stage.size(dim) for dim in reduced)
    return {
        "kind": StringAttr("contraction"),
        "row": StringAttr(names[row]),
        "column": StringAttr(names[column]),
        "tile": numbers({names[row]: rows, names[column]: lanes}),
        "block": numbers({names[column]: panel}),
        **padding_entry(stage),
        "parallel": texts([names[dim] for dim in (*others, column)]),
        "grain": contraction_grain(stage, work),
    }


def _row_and_column(stage: StageView) -> tuple[int, int] | None:
    """The last spatial axis and the output features."""
    op = stage.op
    if len(op.inputs) != 2 or len(op.outputs) != 1:
        return None
    rhs, output = (plain_dims(map_) for map_ in stage.maps[1:])
    if len(output) < 2 or None in output or not stage.maps[0].results:
        return None
    row, column = output[-2], output[-1]
    if row is None or column is None or group_of_columns(stage, column) is None:
        return None
    plain = rhs[-1] == column and rhs.count(column) == 1
    by_lhs = [dim for result in stage.maps[0].results for dim in result.used_dims()]
    return (row, column) if row in by_lhs and (plain or packed_panel(stage, column) is not None) else None
