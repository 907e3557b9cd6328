"""Schedules of products of a vector with a large matrix that lies in memory as it came."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from xdsl.dialects.builtin import Float32Type, Float64Type, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute

from lamina.passes.loop.contraction import read_factors
from lamina.passes.tensor.schedules.stage_view import CHUNK_OPERATIONS, StageView, numbers, plain_dims, texts

LARGE_BYTES = 2**20
"""A matrix beyond the second cache. Panels of columns would read some lines of every row, each on another page; whole
rows are read as fast as memory gives them."""

BLOCK_COLUMNS, COLUMN_MULTIPLE = 2048, 32
"""Sums of a piece of work, at most, and what their number is a multiple of; the pieces are even in number. They stay in
the first cache while rows are added to them."""

MOST_ROWS = 2**13
"""Of a matrix whose rows are added one after the other: rounding errors grow with their number."""

LEAST_COLUMNS = 512
"""Fewer are a few lines of every row, however they are read."""

ROWS_TOGETHER = 4
"""Rows that are multiplied with a vector in one loop: memory is read at several places at a time."""


def vector_product_schedule(stage: StageView) -> Mapping[str, Attribute] | None:
    """The schedule of `row · matrix` or `matrix · vector` for a large matrix that is not packed; None for any other op.

    - `row · matrix`: the loop over the columns becomes the innermost one, with several steps of the sum in one pass.
    - `matrix · vector`: some rows make one loop, with a sum for each (both in `linalg-to-loops`).
    """
    op = stage.op
    if len(op.inputs) != 2 or len(op.outputs) != 1 or None in stage.sizes or len(stage.sizes) < 2:
        return None
    *others, first, last = range(len(stage.sizes))
    type_ = op.body.block.args[-1].type
    if any(stage.size(dim) != 1 or not stage.parallel[dim] for dim in others) or read_factors(op.body.block) is None:
        return None
    if not isinstance(type_, Float32Type | Float64Type):
        return None
    if stage.size(first) * stage.size(last) * type_.size <= LARGE_BYTES:
        return None
    lhs, rhs, output = (plain_dims(map_) for map_ in stage.maps)
    if rhs[-2:] != [first, last]:
        return None
    if not stage.parallel[first] and stage.parallel[last] and last not in lhs and output[-1:] == [last]:
        return _columns(stage, last) if stage.size(first) <= MOST_ROWS else None
    if stage.parallel[first] and not stage.parallel[last] and lhs[-1:] == [last] and output[-1:] == [first]:
        return _rows(stage, first, last)
    return None


def _columns(stage: StageView, column: int) -> Mapping[str, Attribute] | None:
    columns, name = stage.size(column), stage.names[column]
    if columns < LEAST_COLUMNS:
        return None
    pieces = 2 * ceil(columns / (2 * BLOCK_COLUMNS))
    return {
        "kind": StringAttr("rows"),
        "block": numbers({name: ceil(columns / pieces / COLUMN_MULTIPLE) * COLUMN_MULTIPLE}),
        "parallel": texts([name]),
        "grain": IntegerAttr(1, i64),
    }


def _rows(stage: StageView, row: int, summed: int) -> Mapping[str, Attribute] | None:
    if stage.size(row) % ROWS_TOGETHER:
        return None
    work = 2 * ROWS_TOGETHER * stage.size(summed)
    return {
        "kind": StringAttr("rows"),
        "block": numbers({stage.names[row]: ROWS_TOGETHER}),
        "parallel": texts([stage.names[row]]),
        "grain": IntegerAttr(ceil(CHUNK_OPERATIONS / work), i64),
    }
