"""Schedules of stages that share a loop over blocks of one axis: attention."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import DictionaryAttr, Float32Type, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute

from lamina.diagnostics import error_at
from lamina.passes.registers import register_block
from lamina.passes.tensor.schedules.stage_view import StageView, numbers, plain_dims

BLOCKS = "lamina.blocks"

BLOCK_VECTORS = 2
"""Vectors of the blocked axis in one block: what is stored for it stays in the nearest caches (4 are slower)."""

COLUMN_VECTORS = 4
"""Vectors of another axis that are computed at once."""

UNROLL = 2


def block_schedule(stage: StageView, vector_bits: int) -> Mapping[str, Attribute] | None:
    """The schedule of a stage that `lamina.blocks` describes, which is taken off; None for any other."""
    blocks = stage.op.attributes.pop(BLOCKS, None)
    if not isinstance(blocks, DictionaryAttr):
        return None
    entries = dict(blocks.data)
    axis = entries.pop("axis", None)
    if not isinstance(axis, StringAttr) or axis.data not in stage.names:
        raise error_at(stage.op, f"`{BLOCKS}` lacks `axis`, the name of one of the axes {', '.join(stage.names)}")
    lanes = vector_bits // (32 if isinstance(stage.op.body.block.args[-1].type, Float32Type) else 64)
    name = axis.data
    size = stage.sizes[stage.names.index(name)]
    block = _block(size, lanes)
    last = plain_dims(stage.output_maps[0])[-1]
    if last is None:
        raise error_at(stage.op, f"`{BLOCKS}` needs a result whose last axis is one of the loop's own")
    column = stage.names[last]
    schedule: dict[str, Attribute] = {
        **entries,
        "kind": StringAttr("columns"),
        "column": StringAttr(column),
        "tile": numbers({column: block if column == name else COLUMN_VECTORS * lanes}),
        "blocked": axis,
        "block": numbers({name: block}),
        "grain": IntegerAttr(1, i64),
    }
    row = entries.get("row")
    if row is not None:
        if not isinstance(row, StringAttr) or row.data not in stage.names:
            raise error_at(stage.op, f"`row` in `{BLOCKS}` names none of the axes {', '.join(stage.names)}")
        rows, columns = (block if each == name else stage.sizes[stage.names.index(each)] for each in (row.data, column))
        count, vectors = register_block(rows, columns, lanes, vector_bits)
        schedule["kind"] = StringAttr("contraction")
        schedule["tile"] = numbers({row.data: count, column: vectors * lanes})
        schedule["unroll"] = IntegerAttr(UNROLL, i64)
    return schedule


def _block(size: int | None, lanes: int) -> int:
    """How long a block is: a few vectors, a divisor of the size where there is one."""
    most = BLOCK_VECTORS * lanes
    if size is None:
        return most
    if size <= most:
        return max(size, 1)
    return next((block for block in range(most, most // 2, -lanes) if size % block == 0), most)
