"""Blocks of vector registers: how many rows and columns of a result a target holds at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr

TARGET = "lamina.target"

DEFAULT_VECTOR_BITS = 256
"""For modules without `lamina.target`."""

ROWS_BY_COLUMN_VECTORS: Mapping[int, Mapping[int, int]] = {
    512: {1: 8, 2: 8, 3: 8, 4: 6},
    256: {1: 12, 2: 6},
    128: {1: 12, 2: 6},
}
"""Register blocks: the most rows by vectors of columns; with these and one broadcast they fit 31 or 15 registers.

Not more than 8 rows where that is enough accumulators: rows whose stride is a power of two share a set of the first
cache, which has 8 or 12 ways (12 rows ran at half to a quarter of the speed there).
"""

REGISTERS: Mapping[int, int] = {512: 31, 256: 15, 128: 15}
"""Vector registers that a block may take, by vector width."""

SHORT_BLOCK_ROWS, SHORT_BLOCK_VECTORS = 3, 8
"""With so few rows a block has more vectors of columns: enough accumulators to hide the latency of a multiply-add."""


ENOUGH_PANELS = 4
"""Panels of a product of a few rows, which threads share."""

ROW_CYCLES, VECTOR_CYCLES, LEAST_CYCLES = 0.2, 0.5, 4.0
"""What a step of a block takes beside its multiply-adds, for each row (a number of the left factor, in the first cache)
and for each vector of columns (a line of the panel, in the second one), and what it takes at least, the latency of a
multiply-add: in cycles of a core with two multiply-adds a cycle. Measured (512 bits): 2x3 4.4, 2x4 5.9, 8x2 10.4, 8x3
and 6x4 nearly the same, 4 % less for a multiply-add than 8x2."""

REST_CYCLES = 3
"""What a rest of rows or columns counts besides: it is code of its own, which the few rows of a block of attention do
not make up for (32 rows by 64 columns as 6x4 and a rest of 2 took 1.07 times what 8x2 took)."""

PANEL_EFFICIENCY: Mapping[int, Mapping[int, float]] = {256: {2: 1.0, 1: 0.9}, 128: {2: 1.0, 1: 0.9}}
"""What part of the peak blocks of so many vectors of columns reach, where registers are too few for a choice: they have
the most rows (256 bits, 3x3 of 512 features on 7x7 positions: 4x16 and a rest of 3 rows, or 7x8, take 1.15 times what
6x16 and a rest of one take; 128x768x768 in 4x16 takes 1.15 times what 6x16 takes)."""


def target_vector_bits(module: ModuleOp) -> int:
    """The width of the target's vectors that schedules count on: 128, 256 or 512."""
    target = module.attributes.get(TARGET)
    bits = target.data.get("vector_bits") if isinstance(target, DictionaryAttr) else None
    width = bits.value.data if isinstance(bits, IntegerAttr) else DEFAULT_VECTOR_BITS
    return max((known for known in ROWS_BY_COLUMN_VECTORS if known <= width), default=min(ROWS_BY_COLUMN_VECTORS))


def is_for_cpu(module: ModuleOp) -> bool:
    """Whether the module's target is a CPU; False where it has none."""
    target = module.attributes.get(TARGET)
    return isinstance(target, DictionaryAttr) and "vector_bits" in target.data


def has_target_feature(module: ModuleOp, feature: str) -> bool:
    """Whether the target's features name one, `+avx512f` for `avx512f`."""
    target = module.attributes.get(TARGET)
    features = target.data.get("features") if isinstance(target, DictionaryAttr) else None
    return isinstance(features, StringAttr) and f"+{feature}" in features.data.split(",")


def register_block(rows: int | None, columns: int | None, lanes: int, vector_bits: int) -> tuple[int, int]:
    """Rows, and vectors of columns, that the registers hold; sizes are None where they are dynamic."""
    if rows is not None and rows <= SHORT_BLOCK_ROWS:
        most = short_block_vectors(rows, vector_bits)
        return max(rows, 1), most if columns is None else _dividing(max(1, ceil(columns / lanes)), most)
    vectors = _block_vectors(None if columns is None else max(1, ceil(columns / lanes)), vector_bits, rows)
    return block_rows(rows, vectors, vector_bits), vectors


def block_rows(rows: int | None, vectors: int, vector_bits: int) -> int:
    """The rows of a block with so many vectors of columns: those with which all rows take the fewest cycles."""
    most = ROWS_BY_COLUMN_VECTORS[vector_bits][vectors]
    if rows is None:
        return most
    if rows < most or vector_bits in PANEL_EFFICIENCY:
        return max(min(rows, most), 1)
    return min(
        range(most, most // 2, -1),
        key=lambda count: (round(_cycles_of_rows(rows, count, vectors), 3), -count),
    )


def _step_cycles(rows: int, vectors: int) -> float:
    """What one step of the reduction takes in a block: two multiply-adds a cycle, and what its loads cost beside."""
    return max(rows * vectors / 2 + ROW_CYCLES * rows + VECTOR_CYCLES * vectors, LEAST_CYCLES)


def _cycles_of_rows(rows: int, count: int, vectors: int) -> float:
    """The same for all rows of a product, in blocks of `count` and one of the rest."""
    whole, rest = divmod(rows, count)
    return whole * _step_cycles(count, vectors) + (_step_cycles(rest, vectors) + REST_CYCLES if rest else 0)


def _block_vectors(columns: int | None, vector_bits: int, rows: int | None) -> int:
    """The vectors of columns of a block with which a product takes the fewest cycles; `columns` counts vectors."""
    if not columns or rows == 0:
        return max(ROWS_BY_COLUMN_VECTORS[vector_bits])
    if (efficiency := PANEL_EFFICIENCY.get(vector_bits)) is not None:
        return max(efficiency, key=lambda vectors: efficiency[vectors] / (ceil(columns / vectors) * vectors))

    def cycles(vectors: int) -> float:
        count = block_rows(rows, vectors, vector_bits)
        whole, rest = divmod(columns, vectors)
        all_rows = count if rows is None else rows
        total = whole * _cycles_of_rows(all_rows, count, vectors)
        return (total + (_cycles_of_rows(all_rows, count, rest) + REST_CYCLES if rest else 0)) / all_rows

    return min((count for count in reversed(ROWS_BY_COLUMN_VECTORS[vector_bits]) if count <= columns), key=cycles)


def short_block_vectors(rows: int, vector_bits: int) -> int:
    """The most vectors of columns of a block with at most `SHORT_BLOCK_ROWS` rows."""
    return min(SHORT_BLOCK_VECTORS, (REGISTERS[vector_bits] - 1) // (max(rows, 1) + 1))


def panel_vectors(columns: int, lanes: int, vector_bits: int, rows: int | None = None) -> int:
    """How many vectors of columns a panel of a packed operand holds.

    `rows`: those of the product, where they are known. A few of them need no more than each weight once, at the speed
    of the caches: wide panels without a rest, and enough of them for some threads.
    """
    needed = ceil(columns / lanes)
    if rows is not None and rows <= SHORT_BLOCK_ROWS:
        return _dividing(needed, max(1, min(short_block_vectors(rows, vector_bits), ceil(needed / ENOUGH_PANELS))))
    return _block_vectors(needed, vector_bits, rows)


def _dividing(needed: int, most: int) -> int:
    """A number of vectors that divides what is needed, so that no panel needs masks, or `most`."""
    if needed <= most:
        return needed
    return next((count for count in range(most, most // 2, -1) if needed % count == 0), most)


def group_panel(groups: int, features: int, outputs: int, lanes: int) -> int:
    """Output features that a panel of a convolution with groups has: those of one group, or of several narrow ones.

    `features` and `outputs` are those of one group. Several groups fill one vector of outputs; their input features
    fit two vectors. Their number divides that of all groups, so that all panels are alike.
    """
    most = min(lanes // max(outputs, 1), 2 * lanes // max(features, 1), groups)
    return outputs * next((count for count in range(most, 1, -1) if groups % count == 0), 1)
