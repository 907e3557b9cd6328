"""Schedules of depthwise convolutions: every channel is summed over its own taps."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, prod

from xdsl.dialects.builtin import Float32Type, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute

from lamina.passes.tensor.schedules.contraction import is_multiply_add, padding_entry
from lamina.passes.tensor.schedules.stage_view import StageView, contraction_grain, numbers, plain_dims, texts

ACCUMULATORS: Mapping[int, int] = {512: 16, 256: 8, 128: 8}
"""Vectors that a block sums into: half the registers, since each product takes a loaded vector as well."""

MOST_VECTORS = 2
"""Vectors of channels in a block: whole cache lines; more rows share the loaded taps."""

MOST_TAPS = 16
"""Taps of the innermost axis that are written out."""


def depthwise_schedule(stage: StageView, vector_bits: int) -> Mapping[str, Attribute] | None:
    """The schedule of a depthwise convolution with the channels last; None for any other op.

    `row` is the last spatial axis, `column` the channels; all taps of a block are summed in registers.
    """
    axes = _row_and_channel(stage)
    if axes is None:
        return None
    row, channel = axes
    element_type = stage.op.body.block.args[-1].type
    lanes = vector_bits // (32 if isinstance(element_type, Float32Type) else 64)
    vectors = min(MOST_VECTORS, ceil(max(stage.size(channel), 1) / lanes))
    if ceil(stage.size(channel) / lanes) % vectors:
        vectors = 1
    rows = even_rows(stage.sizes[row], ACCUMULATORS[vector_bits] // vectors)
    reduced = [dim for dim, parallel in enumerate(stage.parallel) if not parallel]
    others = [dim for dim, parallel in enumerate(stage.parallel) if parallel and dim not in axes]
    # A piece of work has all rows and channels of one line: neighboring channels lie in the same pages.
    work = 2 * stage.size(row) * stage.size(channel) * prod(stage.size(dim) for dim in reduced)
    names = stage.names
    return {
        "kind": StringAttr("contraction"),
        "row": StringAttr(names[row]),
        "column": StringAttr(names[channel]),
        "tile": numbers({names[row]: rows, names[channel]: vectors * lanes}),
        "unroll": IntegerAttr(min(stage.size(reduced[-1]), MOST_TAPS), i64),
        **padding_entry(stage),
        "parallel": texts([names[dim] for dim in others]),
        "grain": contraction_grain(stage, work),
    }


def even_rows(rows: int | None, most: int) -> int:
    """Rows of a block, at most so many, such that the last block is about as long as the others."""
    return most if rows is None else max(1, ceil(rows / max(1, ceil(rows / most))))


def _row_and_channel(stage: StageView) -> tuple[int, int] | None:
    """The last spatial axis and the channels of a product that sums over taps only."""
    op = stage.op
    if len(op.inputs) != 2 or len(op.outputs) != 1 or not is_multiply_add(op) or all(stage.parallel):
        return None
    lhs, rhs, output = (plain_dims(map_) for map_ in stage.maps)
    if len(output) < 3 or None in output:
        return None
    channel, row = output[-1], output[-2]
    if channel is None or row is None or lhs[-1:] != [channel] or rhs[-1:] != [channel]:
        return None
    if lhs.count(channel) != 1 or rhs.count(channel) != 1 or row in rhs:
        return None
    by_lhs = [dim for result in stage.maps[0].results for dim in result.used_dims()]
    return (row, channel) if row in by_lhs else None
