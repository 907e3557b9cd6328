"""Products by blocks of threads: tiles of both factors in shared memory, a tile of the result in each thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import math
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from lamina.diagnostics import error_at
from lamina.dialects.hardware.gpu import BarrierOp
from lamina.dialects.loop import arith
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu_stages import Team, delinearized
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import Schedule, axes_of, emit_affine, extent, iterators_of, maps_of

BLOCK, DEPTH, THREADS_PER_SIDE = 64, 16, 16
"""Rows and columns of the result that one block of threads computes, the part of the sum that lies in shared memory at
a time, and threads along rows and along columns."""

PADDING = 1
"""Added to a row of shared memory, so that threads that go down a column meet different banks."""

THREADS = THREADS_PER_SIDE**2
TILE = BLOCK // THREADS_PER_SIDE


@dataclass(frozen=True)
class Product:
    """A contraction as tiles see it: iteration dims of rows, columns and the sum; the others are batches."""

    op: linalg.GenericOp
    row: int
    column: int
    depth: int

    @property
    def batch(self) -> list[int]:
        """The parallel dims that are neither rows nor columns."""
        return [dim for dim, parallel in enumerate(iterators_of(self.op)) if parallel and dim not in self.sides]

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.row, self.column

    def grid(self, emitter: Emitter) -> list[Index]:
        """Blocks along the batches, rows and columns."""
        sides = [emitter.ceil_divide(extent(emitter, self.op, dim), BLOCK) for dim in self.sides]
        return [*(extent(emitter, self.op, dim) for dim in self.batch), *sides]


def product_of(op: linalg.GenericOp) -> Product | None:
    """How an op with a `gpu-product` schedule is computed, None for other schedules."""
    schedule, names = Schedule.of(op), axes_of(op)
    if schedule is None or schedule.kind != "gpu-product" or names is None:
        return None
    if schedule.row not in names or schedule.column not in names:
        raise error_at(op, "its schedule names no row or column among its axes")
    depth = iterators_of(op).index(False)
    return Product(op, names.index(schedule.row), names.index(schedule.column), depth)


def lower_product(emitter: Emitter, product: Product, block: SSAValue, team: Team) -> None:
    """Emit one kernel.

    %a, %b: 64×16 tiles of the factors in shared memory
    scf.for %k = 0 to %depth step 16 iter_args(4×4 sums) {
      every thread loads 4 elements of %a and 4 of %b, zeros outside of the factors; gpu.barrier
      for 16 steps: sums += a column of 4 of %a times a row of 4 of %b; gpu.barrier
    }
    the sums are added to the result, where they are inside of it
    """
    op = product.op
    maps = maps_of(op)
    extents = [extent(emitter, op, dim) for dim in range(maps[0].num_dims)]
    at = delinearized(emitter, block, product.grid(emitter))
    origin: list[Index] = [0] * len(extents)
    for dim, index in zip(product.batch, at, strict=False):
        origin[dim] = index
    for dim, index in zip(product.sides, at[-2:], strict=True):
        origin[dim] = emitter.multiply(index, BLOCK)
    tiles = [team.shared(f32, [DEPTH, BLOCK + PADDING]) for _ in range(2)]
    thread_row = emitter.computed(arith.DivUIOp, (team.worker, emitter.index(THREADS_PER_SIDE)), team.worker.type)
    thread_column = emitter.computed(arith.RemUIOp, (team.worker, emitter.index(THREADS_PER_SIDE)), team.worker.type)
    zero = emitter.scalar_constant(0.0, f32)

    def step(inner: Emitter, depth: SSAValue, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        for number, (factor, side) in enumerate(zip(op.inputs, product.sides, strict=True)):
            first = {**dict(enumerate(origin)), product.depth: depth}
            _load_tile(inner, factor, maps[number], extents, first, side, product.depth, tiles[number], team)
        inner.append(BarrierOp())

        def multiply(deep: Emitter, k: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            left, right = (
                [deep.load(tile, [k, deep.add(thread, number * THREADS_PER_SIDE)]) for number in range(TILE)]
                for tile, thread in zip(tiles, (thread_row, thread_column), strict=True)
            )
            return [
                _multiply_add(deep, left[row], right[column], carried[row * TILE + column])
                for row in range(TILE)
                for column in range(TILE)
            ]

        results = inner.for_loop(0, DEPTH, 1, sums, multiply)
        inner.append(BarrierOp())
        return results

    sums = emitter.for_loop(0, extents[product.depth], DEPTH, [zero] * TILE**2, step)
    for number, value in enumerate(sums):
        row, column = divmod(number, TILE)
        cell = list(origin)
        for dim, thread, offset in zip(product.sides, (thread_row, thread_column), (row, column), strict=True):
            cell[dim] = emitter.add(origin[dim], emitter.add(thread, offset * THREADS_PER_SIDE))
        row_inside, column_inside = (emitter.compare("ult", cell[dim], extents[dim]) for dim in product.sides)

        def store(inner: Emitter, at: Sequence[Index] = cell, value: SSAValue = value) -> None:
            place = [emit_affine(inner, expression, at) for expression in maps[2].results]
            old = inner.load(op.outputs[0], place)
            inner.store(inner.value(arith.AddfOp(old, value)), op.outputs[0], place)

        emitter.branch(emitter.value(arith.AndIOp(row_inside, column_inside)), store)
    op.detach()
    op.erase()


def _load_tile(
    emitter: Emitter,
    factor: SSAValue,
    map_: AffineMap,
    extents: Sequence[Index],
    first: dict[int, Index],
    side: int,
    depth: int,
    tile: SSAValue,
    team: Team,
) -> None:
    """Every thread brings some elements of a factor; neighbors take neighbors along its last axis."""
    along_depth = bool(map_.results) and depth in map_.results[-1].used_dims()
    fast, slow = (DEPTH, BLOCK) if along_depth else (BLOCK, DEPTH)
    high, low = (
        emitter.computed(kind, (team.worker, emitter.index(fast)), team.worker.type)
        for kind in (arith.DivUIOp, arith.RemUIOp)
    )
    rows = team.workers // fast
    for number in range(slow // rows):
        across = emitter.add(high, number * rows)
        in_depth, in_side = (low, across) if along_depth else (across, low)
        at = dict(first)
        at[depth], at[side] = emitter.add(first[depth], in_depth), emitter.add(first[side], in_side)
        deep_inside, side_inside = (emitter.compare("ult", at[dim], extents[dim]) for dim in (depth, side))
        inside = emitter.value(arith.AndIOp(deep_inside, side_inside))
        # Outside of the factor its first element of this block is read, and not used.
        safe = dict(at)
        for dim in (depth, side):
            safe[dim] = emitter.value(arith.SelectOp(inside, emitter.index(at[dim]), emitter.index(first[dim])))
        cell = [
            emit_affine(emitter, expression, [safe[dim] for dim in range(len(extents))]) for expression in map_.results
        ]
        found = emitter.load(factor, cell)
        value = emitter.value(arith.SelectOp(inside, found, emitter.scalar_constant(0.0, f32)))
        emitter.store(value, tile, [in_depth, in_side])


def _multiply_add(emitter: Emitter, left: SSAValue, right: SSAValue, total: SSAValue) -> SSAValue:
    return emitter.value(math.FmaOp(left, right, total))
