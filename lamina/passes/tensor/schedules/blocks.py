"""Schedules of stages that share a loop over blocks of one axis: attention."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from xdsl.dialects.builtin import DictionaryAttr, Float32Type, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute

from lamina.diagnostics import error_at
from lamina.passes.registers import register_block
from lamina.passes.tensor.schedules.stage_view import StageView, numbers, plain_dims

BLOCKS = "lamina.blocks"

BLOCK_VECTORS, MOST_BLOCK_VECTORS = 2, 4
"""Vectors of the blocked axis in one block, and where the first cache holds what the second product works on then:
every block reads all keys and values. Not where the block's end limits another axis: the longer a block, the more of it
is in vain (causal attention, 512 keys: 4 vectors 13 % slower)."""

COLUMN_VECTORS = 4
"""Vectors of another axis that are computed at once."""

DEPTH = 64
"""What the second product sums over at once: so many values, and the weights for them, stay in the first cache while
all rows of a block take them (12 heads, 512 keys: 5 to 10 % faster than each row's sum in one go)."""

UNROLL = 2


def block_schedule(
    stage: StageView, vector_bits: int, first_cache: int | None = None
) -> Mapping[str, Attribute] | None:
    """The schedule of a stage that `lamina.blocks` describes, which is taken off; None for any other.

    `first_cache`: its bytes, where they are known.
    """
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
    most = BLOCK_VECTORS if "limited" in entries else _most_vectors(lanes, vector_bits // 8, first_cache)
    block = _block(size, lanes, most)
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
        if row.data == name:
            reduced = [each for each, parallel in zip(stage.names, stage.parallel, strict=True) if not parallel]
            schedule["block"] = numbers({name: block, reduced[-1]: DEPTH})
    return schedule


def _most_vectors(lanes: int, vector_bytes: int, first_cache: int | None) -> int:
    """The vectors of a block with which its sums, its weights and the values for one step of `DEPTH` are cached."""

    def needed(vectors: int) -> int:
        sums = vectors * lanes * COLUMN_VECTORS
        return (sums + DEPTH * vectors + DEPTH * COLUMN_VECTORS) * vector_bytes

    return MOST_BLOCK_VECTORS if first_cache and needed(MOST_BLOCK_VECTORS) <= first_cache else BLOCK_VECTORS


def _block(size: int | None, lanes: int, most: int) -> int:
    """How long a block is: a few vectors, as many as leave the least of the last block empty."""
    if size is None:
        return BLOCK_VECTORS * lanes
    if size <= most * lanes:
        return max(size, 1)
    blocks = [vectors * lanes for vectors in range(most, BLOCK_VECTORS - 1, -1)]
    return min(blocks, key=lambda block: ceil(size / block) * block)
