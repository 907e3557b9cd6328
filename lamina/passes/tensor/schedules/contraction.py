"""Schedules of contractions: blocks of registers, panels of columns, pieces of parallel work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod

from xdsl.dialects.builtin import Float32Type, Float64Type, IntegerAttr, StringAttr, f32, f64, i32, i64
from xdsl.ir import Attribute

from lamina.dialects.loop import arith
from lamina.dialects.tensor import linalg
from lamina.passes.loop.contraction import read_factors
from lamina.passes.loop.structured import Divided, Grouped, group_of, position_of
from lamina.passes.registers import (
    ROWS_BY_COLUMN_VECTORS,
    SHORT_BLOCK_ROWS,
    block_rows,
    register_block,
    short_block_vectors,
)
from lamina.passes.tensor.schedules.stage_view import StageView, contraction_grain, numbers, plain_dims, texts

BLOCK_ROWS = 64
"""Rows of a contraction that one piece of work covers, about: they share the panel of columns in the caches."""

MAX_DEPTH, DEPTH_MULTIPLE = 512, 8
"""What a panel of columns is summed over at once, at most, and a number that divides it: that much of a panel stays in
the second cache, and rounding errors do not grow with the length of the whole sum."""

FEW_ROWS_DEPTH = 256
"""The same where a block has a few rows and one sum for each element: it is stored and taken up again more often, which
costs little beside the panel and loses fewer digits."""

FOLDED_ROWS = 256
"""Rows of a piece of work that takes in several lines of an image: one pass over a panel serves all of them."""

ENOUGH_PIECES = 24
"""Pieces of work that several threads share evenly: panels at the edge are narrower, lines at the ends have fewer taps,
and the last piece is waited for (16 pieces: 2.5 % slower on two threads, 3x3 on 7x7 positions of 512 features)."""

SMALL_OPERAND_BYTES = 256 * 1024
"""A right operand that stays in the second cache beside rows of the left one: pieces of work go through it whole, so
that threads keep the rows they have; a larger one is gone through once, each panel for all rows."""

MIN_PREFETCHING_TILES = 2
"""With one tile in a block the panel is read as fast as it can be anyway."""

ELEMENT_BYTES = 4

UNROLL = 2

ACCUMULATOR_BITS: Mapping[Attribute, int] = {f32: 32, f64: 64, i32: 32, i64: 64}

ENOUGH_ACCUMULATORS = 8
"""Vectors that are added to in turn, at least: they hide the latency of a multiply-add."""

SHORT_AXIS = 3
"""With at most so many rows another axis may be the longer one."""


def contraction_schedule(stage: StageView, vector_bits: int) -> Mapping[str, Attribute] | None:
    """The schedule of a contraction that explicit vectors suit, None for any other op."""
    axes, bits = _row_and_column(stage), accumulator_bits(stage.op)
    if axes is None or bits is None:
        return None
    row, column = axes
    lanes = vector_bits // bits
    group = group_of_columns(stage, column)
    columns = stage.sizes[column] if group is None else group.divisor
    panel = packed_panel(stage, column)
    if panel is None or group is not None:
        if group is not None and (group.divisor == 1 or panel not in (None, group.divisor)):
            return None
        rows, vectors = register_block(stage.sizes[row], columns, lanes, vector_bits)
        panel = None
    else:
        vectors = panel // lanes
        rows = _panel_rows(stage.sizes[row], vectors, vector_bits)
        if panel % lanes or rows is None:
            return None
    accumulators = ceil(ENOUGH_ACCUMULATORS / (rows * vectors))
    block = max(rows, BLOCK_ROWS // rows * rows)
    if stage.is_padded and stage.sizes[row] is not None:
        # Whole lines: which of their windows reach into the padding is known then.
        block = max(block, ceil(stage.size(row) / rows) * rows)
    if (size := stage.sizes[row]) is not None:
        block = min(block, ceil(max(size, 1) / rows) * rows)
    reduced = [dim for dim, parallel in enumerate(stage.parallel) if not parallel]
    others = [dim for dim, parallel in enumerate(stage.parallel) if parallel and dim not in axes]
    names = stage.names
    width = vectors * lanes
    part = width if group is None else group.divisor
    few = panel is not None and rows <= SHORT_BLOCK_ROWS and accumulators == 1
    blocks = {names[row]: block, **_depth_block(stage, reduced, FEW_ROWS_DEPTH if few else MAX_DEPTH)}
    if group is not None:
        blocks[names[column]] = group.divisor
    panels = ceil(stage.size(column) / part)
    lines, folded = 1, _folded_axis(stage, row, others)
    if folded is not None:
        lines = _lines(stage, folded, block, panels * ceil(stage.size(row) / block))
        others.remove(folded)
        blocks = {names[folded]: lines, **blocks}
    row_axes = [row] if folded is None else [folded, row]
    inner = [column, *row_axes] if _is_large(stage, column, reduced) else [*row_axes, column]
    work = 2 * lines * block * part * prod(stage.size(dim) for dim in reduced)
    tiles = lines * ceil(min(block, stage.size(row)) / rows)
    prefetch = 0 if panel is None or tiles < MIN_PREFETCHING_TILES else ceil(vectors / tiles)
    return {
        "kind": StringAttr("contraction"),
        "row": StringAttr(names[row]),
        "column": StringAttr(names[column]),
        "tile": numbers({names[row]: rows, names[column]: width}),
        "block": numbers(blocks),
        "unroll": IntegerAttr(max(UNROLL, accumulators), i64),
        **({"accumulators": IntegerAttr(accumulators, i64)} if accumulators > 1 else {}),
        **({"prefetch": IntegerAttr(prefetch, i64)} if prefetch else {}),
        **padding_entry(stage),
        "parallel": texts([names[dim] for dim in (*others, *inner)]),
        "grain": contraction_grain(stage, work),
    }


def _panel_rows(rows: int | None, vectors: int, vector_bits: int) -> int | None:
    """The rows of a block beside a panel of so many vectors; None where registers hold no such block."""
    if rows is not None and rows <= SHORT_BLOCK_ROWS and vectors <= short_block_vectors(rows, vector_bits):
        return max(rows, 1)
    return block_rows(rows, vectors, vector_bits) if vectors in ROWS_BY_COLUMN_VECTORS[vector_bits] else None


def padding_entry(stage: StageView) -> Mapping[str, Attribute]:
    """Of a window over a padded input: the taps on the padding are left out, and the input is read where it is."""
    return {"padding": StringAttr("skipped")} if stage.is_padded else {}


def _folded_axis(stage: StageView, row: int, others: Sequence[int]) -> int | None:
    """The axis, besides the rows, of which a piece of work takes several positions: the lines of an image.

    Only the left operand moves with it, so that a panel of the right one serves all of them.
    """
    lhs, rhs = ({dim for result in map_.results for dim in result.used_dims()} for map_ in stage.maps[:2])
    return next((dim for dim in reversed(others) if dim in lhs and dim not in rhs and dim != row), None)


def _lines(stage: StageView, folded: int, block: int, pieces: int) -> int:
    """Lines of a piece of work: about `FOLDED_ROWS` rows, fewer where few pieces would be left."""
    size = max(stage.size(folded), 1)
    parts = ceil(size / max(1, FOLDED_ROWS // block))
    while parts < size and parts * pieces < ENOUGH_PIECES:
        parts += 1
    return ceil(size / parts)


def _is_large(stage: StageView, column: int, reduced: Sequence[int]) -> bool:
    """Whether panels of the right operand come and go while rows of the left one stay."""
    rhs = {dim for result in stage.maps[1].results for dim in result.used_dims()}
    elements = prod(stage.size(dim) for dim in (column, *reduced))
    batched = any(stage.parallel[dim] and dim != column for dim in rhs)
    return batched or elements * ELEMENT_BYTES > SMALL_OPERAND_BYTES


def _depth_block(stage: StageView, reduced: Sequence[int], depth: int) -> Mapping[str, int]:
    """The block of a reduction that is too long, along the last of its axes: the input features of a convolution."""
    *outer, last = (stage.sizes[dim] for dim in reduced)
    taps = prod(size or 1 for size in outer)
    if last is None or None in outer or taps * last <= MAX_DEPTH or taps > MAX_DEPTH // DEPTH_MULTIPLE:
        return {}
    step = ceil(last / ceil(taps * last / depth))
    return {stage.names[reduced[-1]]: ceil(step / DEPTH_MULTIPLE) * DEPTH_MULTIPLE}


def _row_and_column(stage: StageView) -> tuple[int, int] | None:
    """The dims that registers hold a block of, for products whose columns are contiguous."""
    op = stage.op
    if len(op.inputs) != 2 or len(op.outputs) != 1 or accumulator_bits(op) is None:
        return None
    rhs, output = (plain_dims(map_) for map_ in stage.maps[1:])
    if not output or not rhs or None in output:
        return None
    column = output[-1]
    used_by_lhs = {dim for result in stage.maps[0].results for dim in result.used_dims()}
    if column is None or (column in used_by_lhs and group_of_columns(stage, column) is None):
        return None
    if packed_panel(stage, column) is None and (rhs[-1] != column or rhs.count(column) != 1):
        return None
    used_by_rhs = {dim for result in stage.maps[1].results for dim in result.used_dims()}
    rows = [dim for dim in output[:-1] if dim is not None and dim in used_by_lhs and dim not in used_by_rhs]
    if not rows or all(stage.parallel):
        return None
    # The axis nearest to the columns; where that has few rows, the longest one.
    row = next((dim for dim in reversed(rows) if stage.size(dim) > SHORT_AXIS), None)
    return max(rows, key=stage.size) if row is None else row, column


def group_of_columns(stage: StageView, column: int) -> Grouped | None:
    """The groups of columns that have features of their own in the left operand; None where there are none."""
    results = stage.maps[0].results
    return group_of(position_of(results[-1]), column) if results else None


def packed_panel(stage: StageView, column: int) -> int | None:
    """The columns that a panel of the right operand holds, where it is packed."""
    *others, last = map(position_of, stage.maps[1].results)
    if not isinstance(last, Divided) or not last.remainder or last.dim != column:
        return None
    panels = [place for place in others if place is None or any(dim == column for dim, _ in place.terms)]
    return last.divisor if panels == [Divided(column, last.divisor, remainder=False)] else None


def accumulator_bits(op: linalg.GenericOp) -> int | None:
    """The bits of one sum of a body `accumulator + f(left) * g(right)`, f and g casts; None for another body.

    Floats are summed in f32 and f64, integers in i32 and i64: vectors of narrower elements have no multiply-add.
    """
    block = op.body.block
    factors = read_factors(block)
    bits = ACCUMULATOR_BITS.get(block.args[-1].type)
    return bits if factors is not None and {factor.input for factor in factors} == {0, 1} else None


def is_multiply_add(op: linalg.GenericOp) -> bool:
    """Whether the body is `accumulator + left * right` on f32 or f64."""
    body = list(op.body.block.ops)
    if len(body) != 3 or not isinstance(op.body.block.args[-1].type, Float32Type | Float64Type):
        return False
    multiply, add, _ = body
    left, right, accumulator = op.body.block.args
    return (
        isinstance(multiply, arith.MulfOp)
        and isinstance(add, arith.AddfOp)
        and set(multiply.operands) == {left, right}
        and set(add.operands) == {accumulator, multiply.result}
    )
