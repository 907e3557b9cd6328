"""Schedules of everything that is no contraction: stages that share rows share one parallel loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, prod

from xdsl.dialects.builtin import IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.tensor import linalg, tensor
from lamina.passes.size_classes import SizeClasses
from lamina.passes.tensor.schedules.stage_view import (
    CHUNK_OPERATIONS,
    StageView,
    numbers,
    plain_dims,
    texts,
    write_schedule,
)

COLUMN_BLOCK, LONG_COLUMN_BLOCK, LARGE = 512, 2048, 2**20
"""Columns of a piece of work, whose results stay in the first cache; more where the operand has so many elements that
it is read from memory, a piece of every row at a time."""

LONG_ROW = 32
"""Elements that one iteration of a parallel loop should write, at least."""


PIECE = 2048
"""Elements of a piece of rows that change places: so many are next to each other in the result. The pieces are in the
operand's order: 64 MiB in rows of 256 bytes for 16 heads took 7.5 ms in C, in the result's order, where each row that
is read is on a page of its own, 10.3; past the caches 5.4, with pieces of 512 elements 6.4. In the caches all are
alike."""


def schedule_rows(stages: Sequence[StageView]) -> None:
    """Give stages that follow each other the leading parallel axes that they share, in runs as long as possible."""
    run: list[StageView] = []
    for stage in stages:
        if run and _shared_axes([*run, stage]) == 0:
            _write_rows(run)
            run = []
        run.append(stage)
    if run:
        _write_rows(run)


def _shared_axes(stages: Sequence[StageView]) -> int:
    """How many leading axes the stages of one parallel loop can share.

    They are parallel in all stages, and what one stage computes another reads in the same rows only. One inner dim
    is left, unless that is all there is: innermost loops run along memory.
    """
    shared = min(stage.leading_parallel for stage in stages)
    shared = min(shared, *(max(1, len(stage.parallel) - 1) for stage in stages))
    for maps in _exchanged(stages):
        shared = min(shared, *(_matching(map_) for map_ in maps))
    first = stages[0]
    sizes = SizeClasses()
    for stage in stages:
        sizes.add(stage.op, stage.maps)
    for dim in range(shared):
        if any(
            stage.names[dim] != first.names[dim] or not sizes.equal(first.op, dim, stage.op, dim) for stage in stages
        ):
            return dim
    return shared


def _matching(map_: AffineMap) -> int:
    """How many leading results of a map are the iteration dims of the same number."""
    count = 0
    while count < len(map_.results) and map_.results[count] == AffineDimExpr(count):
        count += 1
    return count


def _exchanged(stages: Sequence[StageView]) -> Iterator[Sequence[AffineMap]]:
    """The maps at which each tensor that passes from one of the stages to another is written and read.

    A read at computed positions may be anywhere: no axis is shared then.
    """
    written: dict[SSAValue, AffineMap] = {}
    for stage in stages:
        written.update(zip(stage.op.results, stage.output_maps, strict=True))
    for stage in stages:
        for operand, map_ in zip(stage.op.operands, stage.maps, strict=True):
            if operand in written:
                yield written[operand], map_
        for op in stage.op.body.walk():
            if isinstance(op, tensor.ExtractOp) and op.tensor in written:
                yield (AffineMap(0, 0, ()),)


def _with_long_rows(stages: Sequence[StageView], shared: int) -> int:
    """Fewer parallel axes where a row of a lone stage would be short: finding its position would cost more than it."""
    if len(stages) > 1 or not all(stages[0].parallel):
        return shared
    stage = stages[0]
    while shared > 1 and prod(stage.size(dim) for dim in range(shared, len(stage.sizes))) < LONG_ROW:
        shared -= 1
    return shared


def _has_columns(stage: StageView) -> bool:
    """Whether a stage reduces leading axes and has a long last one, at plain positions."""
    last = len(stage.parallel) - 1
    others = [stage.size(dim) for dim in range(last) if stage.parallel[dim]]
    if all(stage.parallel) or not stage.parallel[-1] or set(others) - {1} or stage.size(last) < 2 * COLUMN_BLOCK:
        return False
    for map_ in stage.maps:
        if any(last in result.used_dims() and not isinstance(result, AffineDimExpr) for result in map_.results):
            return False
    return not any(op.regions or isinstance(op, tensor.ExtractOp | linalg.IndexOp) for op in stage.op.body.block.ops)


def _write_columns(stage: StageView) -> bool:
    """Give a reduction of leading axes, a stage of its own, parallel blocks of its last axis; False for any other.

    Each element is reduced in the order that it would be alone, whatever the blocks are. The other axes are reduced, or
    have one element.
    """
    if not _has_columns(stage):
        return False
    last = len(stage.parallel) - 1
    name = stage.names[last]
    rows, columns = prod(stage.size(dim) for dim in range(last)), stage.size(last)
    block = min(LONG_COLUMN_BLOCK, columns // 2 // LONG_ROW * LONG_ROW) if rows * columns > LARGE else COLUMN_BLOCK
    work = max(stage.operations(len(stage.parallel)) * rows * block, 1)
    schedule: dict[str, Attribute] = {
        "kind": StringAttr("rows"),
        "block": numbers({name: block}),
        "parallel": texts([name]),
        "grain": IntegerAttr(max(1, ceil(CHUNK_OPERATIONS / work)), i64),
    }
    write_schedule(stage.op, schedule)
    return True


def _write_moved_rows(stage: StageView) -> bool:
    """Give a stage that puts short rows into another order pieces of several that are neighbors in the result, in the
    order of the operand; False for any other."""
    maps = [plain_dims(map_) for map_ in stage.maps]
    if not all(stage.parallel) or len(stage.output_maps) != 1 or any(None in dims for dims in maps):
        return False
    *inputs, output = ([dim for dim in dims if dim is not None] for dims in maps)
    axes = [dim for dim in output if stage.sizes[dim] != 1]
    if len(set(output)) < len(stage.parallel) or len(axes) < 3:
        return False
    *_, neighbors, row = axes
    moved = next((dims for dims in inputs if row in dims and _order(dims, axes) != _order(axes, dims)), None)
    length, count = stage.sizes[row], stage.sizes[neighbors]
    if moved is None or length is None or count is None or not 0 < length <= PIECE // 2:
        return False
    if any(row in dims and _order(dims, axes)[-1] != row for dims in inputs):
        return False
    block = min(count, PIECE // length)
    order = [dim for dim in (*moved, *(dim for dim in output if dim not in moved)) if dim != row]
    schedule: dict[str, Attribute] = {
        "kind": StringAttr("rows"),
        "block": numbers({stage.names[neighbors]: block}),
        "parallel": texts([stage.names[dim] for dim in order]),
        "grain": IntegerAttr(max(1, ceil(CHUNK_OPERATIONS / (block * length))), i64),
    }
    write_schedule(stage.op, schedule)
    return True


def _order(dims: Sequence[int], others: Sequence[int]) -> list[int]:
    """The dims that are among the others, in their own order."""
    return [dim for dim in dims if dim in others]


def _write_rows(stages: Sequence[StageView]) -> None:
    if len(stages) == 1 and (_write_columns(stages[0]) or _write_moved_rows(stages[0])):
        return
    shared = _with_long_rows(stages, _shared_axes(stages))
    pieces = prod(stages[0].size(dim) for dim in range(shared))
    if len(stages) > 1 and pieces == 1 and any(_has_columns(stage) for stage in stages):
        for stage in stages:
            _write_rows([stage])
        return
    names = stages[0].names[:shared]
    work = sum(stage.operations(shared) for stage in stages)
    schedule: dict[str, Attribute] = {"kind": StringAttr("rows"), "parallel": texts(names)}
    if shared:
        schedule["grain"] = IntegerAttr(max(1, ceil(CHUNK_OPERATIONS / max(work, 1))), i64)
    for stage in stages:
        write_schedule(stage.op, schedule)
