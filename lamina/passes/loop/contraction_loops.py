"""The loops over the tiles of a contraction, with their remainders and borders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeAlias

from xdsl.ir import SSAValue

from lamina.dialects.loop import memref
from lamina.passes.loop.borders import Border, read_borders
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.contraction import Contraction
from lamina.passes.loop.contraction_tile import LANES, DepthBlock, Positions, Segment, Tile
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import axes_of, element_type, extent
from lamina.passes.loop.vector_access import VectorAxis, VectorMemory

RowTile: TypeAlias = Callable[[Emitter, Index, VectorAxis], None]
"""Emits the tile at a row."""


class TileLoops:
    """The loops over the tiles of a contraction, with their remainders."""

    def __init__(self, contraction: Contraction, emitter: Emitter):
        self.contraction = contraction
        self.emitter = emitter
        self.extents = [extent(emitter, contraction.op, dim) for dim in range(len(contraction.op.iterator_types))]
        self.borders = read_borders(contraction, emitter)
        self.scratch: dict[tuple[int, ...], SSAValue] = {}

    def emit(self) -> None:
        """Emit everything."""

        def panel(inner: Emitter, start: Index, axis: VectorAxis) -> None:
            self._depth(inner, {axis.dim: start}, axis)

        column = self.contraction.schedule.column
        lanes_of = _padded if self.contraction.groups is None else self._whole_columns
        self._tiles(self.emitter, self.contraction.column, column, lanes_of, panel)

    def _whole_columns(self, count: int) -> int:
        """The lanes for a remainder of columns with narrow groups, which change places in whole registers."""
        return max(count, self.contraction.schedule.tile_of(self.contraction.schedule.column or ""))

    def _depth(self, emitter: Emitter, at: Positions, column: VectorAxis) -> None:
        """The reduction in blocks, where the schedule has any: all rows take what one block has of a panel."""
        others = list(self.contraction.others)
        blocks = self._depth_blocks()
        if blocks is None:
            self._others(emitter, at, others, column)
            return
        dim, size, step = blocks

        def block(inner: Emitter, start: SSAValue) -> None:
            end = inner.add(start, step)
            end = end if size % step == 0 else inner.minimum(end, size)
            self._others(inner, at, others, column, DepthBlock(dim, start, end, size, step))

        emitter.loop(0, size, step, block)

    def _others(
        self, emitter: Emitter, at: Positions, dims: list[int], column: VectorAxis, depth: DepthBlock | None = None
    ) -> None:
        """The parallel axes that a block has besides rows and columns: lines of an image, batches."""
        if not dims:
            self._rows(emitter, at, column, depth)
            return

        def run(inner: Emitter, index: SSAValue) -> None:
            self._others(inner, {**at, dims[0]: index}, dims[1:], column, depth)

        emitter.loop(0, self.extents[dims[0]], 1, run)

    def _depth_blocks(self) -> tuple[int, int, int] | None:
        """The reduction that is done in blocks, its size and theirs; None where all is done in one go."""
        contraction, schedule = self.contraction, self.contraction.schedule
        names = axes_of(contraction.op)
        steps = dict(schedule.block)
        blocked = [dim for dim in contraction.reductions if names is not None and names[dim] in steps]
        if names is None or contraction.row is None or len(blocked) != 1:
            return None
        if not all(self._fits_block(dim, names[dim]) for dim in (contraction.row, *contraction.others)):
            return None  # more rows than `partial_sums` has
        size, step = self.extents[blocked[0]], steps[names[blocked[0]]]
        return None if not isinstance(size, int) or size <= step else (blocked[0], size, step)

    def _fits_block(self, dim: int, name: str) -> bool:
        """Whether no more of a parallel axis is left than the schedule's block has."""
        schedule, size = self.contraction.schedule, self.extents[dim]
        cut = name in dict(schedule.whole) and name in dict(schedule.block)
        return cut or (isinstance(size, int) and size <= dict(schedule.block).get(name, 0))

    def _rows(self, emitter: Emitter, at: Positions, column: VectorAxis, depth: DepthBlock | None = None) -> None:
        row = self.contraction.row
        if row is None:
            Tile(self, at, VectorMemory([column]), depth).emit(emitter)
            return

        def block(inner: Emitter, start: Index, axis: VectorAxis, *, inside: bool = False) -> None:
            Tile(self, {**at, axis.dim: start}, VectorMemory([axis, column]), depth, inside=inside).emit(inner)

        border = next((each for each in self.borders.values() if each.position.coefficient(row)), None)
        if border is None:
            self._tiles(emitter, row, self.contraction.schedule.row, _exact, block)
            return
        size, taps = self.extents[row], self.extents[border.tap]
        known = (border.start, border.end, size, taps)
        if all(isinstance(value, int) for value in known) and border.position.plain_terms == (row,):
            assert isinstance(size, int) and isinstance(taps, int)
            self._known_rows(emitter, {**at}, column, depth, border, size, taps)
        else:
            self._unknown_rows(emitter, border, block, partial(block, inside=True))

    def _known_rows(
        self,
        emitter: Emitter,
        at: Positions,
        column: VectorAxis,
        depth: DepthBlock | None,
        border: Border,
        size: int,
        taps: int,
    ) -> None:
        """Rows of a window's axis whose ends are padded: tiles inside in a loop, those at the ends one by one.

        A tile at an end is cut where a tap leaves the padding, so that no row is multiplied by what is not there.
        """
        row = self.contraction.row
        assert row is not None
        step = self.contraction.schedule.tile_of(self.contraction.schedule.row or "")
        stride = border.position.coefficient(row)
        valid = [
            frozenset(tap for tap in range(taps) if border.has_tap(position, stride, tap)) for position in range(size)
        ]
        everything = frozenset(range(taps))

        def inside(inner: Emitter, start: Index) -> None:
            tile = {**at, row: start}
            Tile(self, tile, VectorMemory([VectorAxis(row, step), column]), depth, inside=True).emit(inner)

        start = 0
        while start < size:
            end = start
            while end + step <= size and all(valid[position] == everything for position in range(end, end + step)):
                end += step
            if end > start:
                emitter.loop(start, end, step, inside)
                start = end
                continue
            end = min(start + step, size)
            cuts = [start, *(each for each in range(start + 1, end) if valid[each] != valid[each - 1]), end]
            segments = [Segment(first, last - first, valid[first]) for first, last in pairwise(cuts)]
            memory = VectorMemory([VectorAxis(row, end - start), column])
            Tile(self, {**at, row: start}, memory, depth, segments=segments).emit(emitter)
            start = end

    def _unknown_rows(self, emitter: Emitter, border: Border, tile: RowTile, inner_tile: RowTile) -> None:
        """The same where sizes are not known: tiles inside; at the ends single rows, which take the taps there are."""
        row = self.contraction.row
        assert row is not None
        step = self.contraction.schedule.tile_of(self.contraction.schedule.row or "")
        size = self.extents[row]
        first, last = border.inner_rows(emitter, border.position.coefficient(row), self.extents[border.tap], size)
        full = emitter.add(first, emitter.round_down(emitter.subtract(last, first), step))

        def single(inner: Emitter, position: Index) -> None:
            tile(inner, position, VectorAxis(row, 1))

        emitter.loop(0, first, 1, single)
        emitter.loop(first, full, step, lambda inner, start: inner_tile(inner, start, VectorAxis(row, step)))
        self._few_rows(emitter, full, emitter.subtract(last, full), step, inner_tile)
        emitter.loop(last, size, 1, single)

    def _tiles(
        self,
        emitter: Emitter,
        dim: int,
        name: str | None,
        lanes_of: Callable[[int], int],
        tile: Callable[[Emitter, Index, VectorAxis], None],
    ) -> None:
        """Full tiles of an axis in a loop, then what remains of it."""
        schedule = self.contraction.schedule
        step = schedule.tile_of(name or "")
        size = self.extents[dim]
        whole = dict(schedule.whole).get(name or "")
        block = dict(schedule.block).get(name or "", step)
        cut = whole is not None and block % step == 0
        single = cut and block == step and not isinstance(size, int)
        full = 0 if single else emitter.round_down(size, step)
        rest = emitter.subtract(size, full)
        # Cut at multiples of the tile: what remains of a part is nothing, or what remains of the whole axis.
        known_rest = whole % step if cut and whole is not None and whole > 0 else rest
        lanes = lanes_of(known_rest) if isinstance(known_rest, int) and known_rest else step
        count = None if known_rest == lanes else known_rest

        def full_tile(inner: Emitter, start: Index) -> None:
            tile(inner, start, VectorAxis(dim, step))

        def first_tile(inner: Emitter) -> None:
            full_tile(inner, 0)

        def rest_tile(inner: Emitter) -> None:
            if dim == self.contraction.row and not isinstance(known_rest, int):
                self._few_rows(inner, full, rest, step, tile)
            else:
                tile(inner, full, VectorAxis(dim, lanes, count))

        if single:
            emitter.branch(emitter.compare("eq", size, step), first_tile, None if known_rest == 0 else rest_tile)
            return
        if full == step:
            first_tile(emitter)
        elif full != 0:
            emitter.loop(0, full, step, full_tile)
        if isinstance(rest, int) and rest:
            rest_tile(emitter)
        elif not isinstance(rest, int) and known_rest != 0:
            emitter.branch(emitter.compare("sgt", rest, 0), rest_tile)

    def _few_rows(
        self,
        emitter: Emitter,
        start: Index,
        count: Index,
        step: int,
        tile: Callable[[Emitter, Index, VectorAxis], None],
    ) -> None:
        """Fewer rows than a tile has, how many is known at run time: half a tile, then the rest in a tile of its size.

        A masked tile would compute all of its rows, many times the work where a symbolic batch is one; a row alone
        takes as long as two or three, for the panel: after half a tile it joins that. Where panels are in the nearest
        caches (nothing is prefetched: blocks of attention) single rows do, with less code.
        """
        half = step // 2

        def parts(inner: Emitter) -> None:
            self._if_rows(inner, "sge", count, start, half, tile)
            done = inner.round_down(count, half)
            self._rest(inner, inner.add(start, done), inner.subtract(count, done), half, tile)

        if half == 1 or step % half:
            self._rest(emitter, start, count, step, tile)
        elif not self.contraction.schedule.prefetch:
            parts(emitter)
        else:
            self._if_rows(emitter, "eq", count, start, half + 1, tile, parts)

    def _rest(self, emitter: Emitter, start: Index, count: Index, step: int, tile: RowTile) -> None:
        """A tile for each number of rows below `step`; one row after the other where no panel comes from memory."""
        row = self.contraction.row
        assert row is not None
        if not self.contraction.schedule.prefetch:
            end = emitter.add(start, count)
            emitter.loop(start, end, 1, lambda inner, position: tile(inner, position, VectorAxis(row, 1)))
            return
        for rows in range(1, step):
            self._if_rows(emitter, "eq", count, start, rows, tile)

    def _if_rows(
        self,
        emitter: Emitter,
        comparison: str,
        count: Index,
        start: Index,
        rows: int,
        tile: RowTile,
        otherwise: Callable[[Emitter], None] | None = None,
    ) -> None:
        """A tile of some rows at `start`, where `count` compares with their number."""
        row = self.contraction.row
        assert row is not None
        axis = VectorAxis(row, rows)
        emitter.branch(emitter.compare(comparison, count, rows), lambda inner: tile(inner, start, axis), otherwise)

    def partial_sums(self) -> SSAValue:
        """Stack space for the tiles of all rows of a panel, by the other axes of a block."""
        contraction, schedule = self.contraction, self.contraction.schedule
        row, column = schedule.row or "", schedule.column or ""
        blocks = dict(schedule.block)
        rows = blocks.get(row, schedule.tile_of(row))
        rows = -(-rows // schedule.tile_of(row)) * schedule.tile_of(row)
        names = axes_of(contraction.op) or []
        lines = [blocks[names[dim]] for dim in contraction.others]
        return self.scratch_for((*lines, rows, schedule.tile_of(column)), contraction.accumulator)

    def scratch_for(self, shape: Sequence[int], type_: SSAValue) -> SSAValue:
        """Stack space for a tile, outside the loops."""
        key = tuple(shape)
        if key not in self.scratch:
            first = next(iter(self.contraction.stages))
            outside = Emitter.ahead_of(first, self.emitter.constants)
            self.scratch[key] = outside.value(memref.AllocaOp.get(element_type(type_), ALIGNMENT, shape))
        return self.scratch[key]


def _padded(count: int) -> int:
    """The lanes for a remainder of columns."""
    if count > LANES:
        return -(-count // LANES) * LANES
    return 1 << (count - 1).bit_length()


def _exact(count: int) -> int:
    """The lanes for a remainder of rows."""
    return count
