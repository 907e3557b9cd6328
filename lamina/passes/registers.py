"""Blocks of vector registers: how many rows and columns of a result a target holds at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr

TARGET = "lamina.target"

DEFAULT_VECTOR_BITS = 256
"""For modules without `lamina.target`."""

ROWS_BY_COLUMN_VECTORS: Mapping[int, Mapping[int, int]] = {
    512: {1: 8, 2: 8, 3: 8},
    256: {1: 12, 2: 6},
    128: {1: 12, 2: 6},
}
"""Register blocks: rows by vectors of columns; with the columns and one broadcast they fit 31 or 15 registers.

Not more than 8 rows where that is enough accumulators: rows whose stride is a power of two share a set of the first
cache, which has 8 or 12 ways (12 rows ran at half to a quarter of the speed there).
"""

REGISTERS: Mapping[int, int] = {512: 31, 256: 15, 128: 15}
"""Vector registers that a block may take, by vector width."""

SHORT_BLOCK_ROWS, SHORT_BLOCK_VECTORS = 3, 8
"""With so few rows a block has more vectors of columns: enough accumulators to hide the latency of a multiply-add."""


ENOUGH_PANELS = 4
"""Panels of a product of a few rows, which threads share."""

PANEL_EFFICIENCY: Mapping[int, Mapping[int, float]] = {
    512: {3: 1.0, 2: 0.85, 1: 0.7},
    256: {2: 1.0, 1: 0.9},
    128: {2: 1.0, 1: 0.9},
}
"""What part of the peak blocks of so many vectors of columns reach, by vector width (measured, f32)."""


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
    widest = max(ROWS_BY_COLUMN_VECTORS[vector_bits])
    if rows is not None and rows <= SHORT_BLOCK_ROWS:
        most = short_block_vectors(rows, vector_bits)
        return max(rows, 1), most if columns is None else _dividing(max(1, ceil(columns / lanes)), most)
    vectors = widest if columns is None else _dividing(max(1, ceil(columns / lanes)), widest)
    return block_rows(rows, vectors, vector_bits), vectors


def block_rows(rows: int | None, vectors: int, vector_bits: int) -> int:
    """The rows of a block with so many vectors of columns; a number that divides `rows`, where one is near."""
    most = ROWS_BY_COLUMN_VECTORS[vector_bits][vectors]
    if rows is None:
        return most
    if rows < most:
        return max(rows, 1)
    return next((count for count in (most, most - 1, most - 2) if rows % count == 0), most)


def short_block_vectors(rows: int, vector_bits: int) -> int:
    """The most vectors of columns of a block with at most `SHORT_BLOCK_ROWS` rows."""
    return min(SHORT_BLOCK_VECTORS, (REGISTERS[vector_bits] - 1) // (max(rows, 1) + 1))


def panel_vectors(columns: int, lanes: int, vector_bits: int, rows: int | None = None) -> int:
    """How many vectors of columns a panel of a packed operand holds: the widest that wastes little at the edge.

    `rows`: those of the product, where they are known. A few of them need no more than each weight once, at the speed
    of the caches: wide panels without a rest, and enough of them for some threads.
    """
    needed = ceil(columns / lanes)
    if rows is not None and rows <= SHORT_BLOCK_ROWS:
        return _dividing(needed, max(1, min(short_block_vectors(rows, vector_bits), ceil(needed / ENOUGH_PANELS))))
    efficiency = PANEL_EFFICIENCY[vector_bits]

    def worth(vectors: int) -> float:
        width = vectors * lanes
        return efficiency[vectors] * columns / (ceil(columns / width) * width)

    return max(efficiency, key=worth)


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
