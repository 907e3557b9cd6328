"""Schedules of elementwise work on operands that are contiguous along different axes: blocks turned in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil, prod

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, Float32Type, Float64Type, IntegerAttr, IntegerType, StringAttr, i64
from xdsl.ir import Attribute
from xdsl.ir.affine import AffineConstantExpr

from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import linalg
from lamina.passes.loop.vector_access import is_vectorizable
from lamina.passes.tensor.schedules.stage_view import CHUNK_OPERATIONS, StageView, numbers, plain_dims, texts

SHORT_SIDE, LONG_SIDE = 64, 256
"""Of a piece of work: few enough pages and lines to stay in the nearest caches while they are read and written. The
long side is along the longer axis: the innermost loop goes along it."""

LINE_BITS = 512

LINE_VECTORS = 8
"""So many vectors make up for a block that is cut at the start of a line and another at the end of the axis."""

LARGE_BYTES = 16 * 2**20
"""From here on operands are in memory: the result is written in whole lines even where an axis is short, and each block
asks for what the rows that it reads have `AHEAD` vectors further on; a block of whole rows asks for the next block."""

AHEAD, LARGE_ROWS, LARGE_COLUMNS = 4, 1024, 64

SHORT_ROW, MORE_COLUMNS = 256, 128
"""Of shorter rows a block has more: long pieces of the result are written at a time."""

CACHE_WAY_BYTES, FEWER_COLUMNS = 128 * 1024, 32
"""With rows that are a multiple of so many bytes apart, fewer of them: they share lines of the second cache."""


def transpose_schedule(stage: StageView, vector_bits: int) -> Mapping[str, Attribute] | None:
    """The schedule of a kernel that is one elementwise stage with inputs in another order; None for any other.

    `row` is the axis along which an input is contiguous, `column` that of the result. `merge` lists runs of axes that
    lie next to each other in every operand: they count as one, named after its last. `lines`: where an operand's other
    axes are whole lines long, blocks begin where its lines begin.
    """
    op = stage.op
    lanes = _lanes(op, vector_bits)
    if lanes is None or not all(stage.parallel) or len(op.outputs) != 1 or not _is_alone(op):
        return None
    if not is_vectorizable(op.body.block) or not all(_is_plain(stage, number) for number in range(len(stage.maps))):
        return None
    lists = [[dim for dim in plain_dims(map_) if dim is not None] for map_ in stage.maps]
    output = lists[-1]
    if sorted(output) != list(range(len(stage.parallel))) or len(output) < 2:
        return None
    runs = _runs(output, lists)
    run_of = {dim: run for run in runs for dim in run}
    column = run_of[output[-1]]
    ends = [run_of[dims[-1]] for dims in lists[:-1] if dims]
    row = next((end for end in ends if end is not column), None)
    others = [dims for dims, end in zip([d for d in lists[:-1] if d], ends, strict=True) if end not in (row, column)]
    if row is None or any(set(dims) & {*row, *column} for dims in others):
        return None
    # What is contiguous along the rows but has no columns could be read as it is; nothing turns then.
    if not any(set(row) & set(dims) and set(column) & set(dims) and dims[-1] in row for dims in lists[:-1]):
        return None
    sizes = {run[-1]: _size(stage, run) for run in runs}
    if any(size is not None and size < lanes // 2 for size in (sizes[row[-1]], sizes[column[-1]])):
        return None
    names = stage.names
    row_size, column_size = sizes[row[-1]], sizes[column[-1]]
    along_rows = row_size is not None and column_size is not None and row_size >= column_size
    sides = (LONG_SIDE, SHORT_SIDE) if along_rows else (SHORT_SIDE, LONG_SIDE)
    whole, width = [size for size in stage.sizes if size is not None], vector_bits // lanes // 8
    is_large = len(whole) == len(stage.sizes) and prod(whole) * width > LARGE_BYTES
    if is_large and row_size is not None:
        sides = (LARGE_ROWS, _large_columns(row_size, row_size * width))
    line = LINE_BITS * lanes // vector_bits
    step = max(lanes, line)
    rows, columns = (_even_block(size, most, step) for size, most in zip((row_size, column_size), sides, strict=True))
    ahead = AHEAD if row_size is None or rows < row_size else columns // lanes
    lines = [
        names[run[-1]]
        for run, size in ((row, row_size), (column, column_size))
        if size is not None and size % step == 0 and (is_large or size >= LINE_VECTORS * lanes)
    ]
    return {
        "kind": StringAttr("transpose"),
        "row": StringAttr(names[row[-1]]),
        "column": StringAttr(names[column[-1]]),
        "merge": ArrayAttr([texts([names[dim] for dim in run]) for run in runs if len(run) > 1]),
        "tile": numbers({names[row[-1]]: lanes, names[column[-1]]: lanes}),
        "block": numbers({names[row[-1]]: rows, names[column[-1]]: columns}),
        **({"lines": texts(lines)} if lines else {}),
        **({"prefetch": IntegerAttr(ahead, i64)} if is_large else {}),
        "parallel": texts([names[run[-1]] for run in runs]),
        "grain": IntegerAttr(ceil(CHUNK_OPERATIONS / (rows * columns)), i64),
    }


def _large_columns(row_size: int, stride: int) -> int:
    """The columns of a block of operands in memory, whose rows are `stride` bytes apart."""
    if row_size <= SHORT_ROW:
        return MORE_COLUMNS
    return FEWER_COLUMNS if stride % CACHE_WAY_BYTES == 0 else LARGE_COLUMNS


def _even_block(size: int | None, most: int, step: int) -> int:
    """At most so many, a multiple of `step`, such that the last block is about as long as the others."""
    if size is None:
        return most
    return ceil(size / ceil(size / most) / step) * step


def _lanes(op: linalg.GenericOp, vector_bits: int) -> int | None:
    """Elements in a vector; None where operands have elements of several sizes, or of one that is not turned."""
    types = [operand.type.get_element_type() if is_tensor(operand.type) else operand.type for operand in op.operands]
    widths = {_bits(type_) for type_ in types}
    width = widths.pop()
    return None if widths or width is None else vector_bits // width


def _bits(type_: Attribute) -> int | None:
    match type_:
        case Float32Type():
            return 32
        case Float64Type():
            return 64
        case IntegerType() if type_.width.data in (32, 64):
            return type_.width.data
        case _:
            return None


def _is_alone(op: linalg.GenericOp) -> bool:
    """Whether the op is all that its kernel does."""
    parent = op.parent_op()
    return isinstance(parent, func.FuncOp) and not any(
        isinstance(other, linalg.GenericOp | linalg.FillOp) and other is not op for other in parent.body.block.ops
    )


def _is_plain(stage: StageView, number: int) -> bool:
    """Whether an operand is read at plain dims, each once, and at 0 along the other axes."""
    dims = plain_dims(stage.maps[number])
    found = [dim for dim in dims if dim is not None]
    zeros = (
        isinstance(result, AffineConstantExpr) and result.value == 0
        for result, dim in zip(stage.maps[number].results, dims, strict=True)
        if dim is None
    )
    return len(set(found)) == len(found) and all(zeros)


def _runs(output: Sequence[int], lists: Sequence[Sequence[int]]) -> list[list[int]]:
    """The dims in the output's order, those together that every operand has next to each other or not at all."""
    runs = [[output[0]]]
    for first, second in pairwise(output):
        together = all(
            (first in dims) == (second in dims) and (first not in dims or (first, second) in pairwise(dims))
            for dims in lists
        )
        if together:
            runs[-1].append(second)
        else:
            runs.append([second])
    return runs


def _size(stage: StageView, run: Sequence[int]) -> int | None:
    sizes = [stage.sizes[dim] for dim in run]
    known = [size for size in sizes if size is not None]
    return prod(known) if len(known) == len(sizes) else None
