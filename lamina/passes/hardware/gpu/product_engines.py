"""How the threads of a block multiply what lies in shared memory: by multiply-adds, or by fragments of matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Protocol

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Attribute, SSAValue

from lamina.dialects.hardware.nvgpu import FRAGMENTS, LdMatrixOp, MmaSyncOp
from lamina.dialects.loop import arith, vector
from lamina.dialects.loop.types import is_vector
from lamina.passes.hardware.gpu.product_loads import shared_place
from lamina.passes.hardware.gpu.product_schedule import ProductSchedule
from lamina.passes.loop.emitter import Emitter, Index, memref_type, scalar_attribute, vector_of
from lamina.passes.loop.plan_arena import element_bytes

WARP = 32
"""Threads that hold the fragments of one matrix."""


@dataclass(frozen=True)
class Cells:
    """The cells of the block's result that one vector of sums holds: some rows, and neighboring columns."""

    rows: Sequence[Index]
    column: Index
    columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the vector."""
        return len(self.rows), self.columns


class Engine(Protocol):
    """What multiplies. `cells` says which cells each vector of sums holds."""

    cells: Sequence[Cells]

    def step(
        self, emitter: Emitter, shared: Sequence[SSAValue], slot: Index, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """Add the product of the blocks in `slot`."""
        ...


class MultiplyAdd:
    """Every thread has a tile of the result, in squares of four at most that lie apart: neighbors read neighbors."""

    def __init__(self, emitter: Emitter, schedule: ProductSchedule, worker: SSAValue, total: Attribute):
        self.depth = schedule.block[2]
        self.total = total
        across = schedule.block[1] // schedule.tile[1]
        threads = schedule.block[0] // schedule.tile[0], across
        places = emitter.divide(worker, across), emitter.remainder(worker, across)
        self.sizes = [gcd(4, size) for size in schedule.tile]
        self.starts: list[list[Index]] = [
            [emitter.add(emitter.multiply(place, size), number * size * count) for number in range(tile // size)]
            for place, size, count, tile in zip(places, self.sizes, threads, schedule.tile, strict=True)
        ]
        rows, columns = self.starts
        self.cells: Sequence[Cells] = [
            Cells([emitter.add(row, number) for number in range(self.sizes[0])], column, self.sizes[1])
            for row in rows
            for column in columns
        ]

    def step(
        self, emitter: Emitter, shared: Sequence[SSAValue], slot: Index, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        def multiply(inner: Emitter, depth: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            left, right = (
                [self._read(inner, buffer, [slot, depth, start], size) for start in starts]
                for buffer, starts, size in zip(shared, self.starts, self.sizes, strict=True)
            )
            return [
                inner.value(vector.OuterProductOp(row, column, carried[i * len(right) + j]))
                for i, row in enumerate(left)
                for j, column in enumerate(right)
            ]

        return emitter.for_loop(0, self.depth, 1, sums, multiply)

    def _read(self, emitter: Emitter, buffer: SSAValue, at: Sequence[Index], size: int) -> SSAValue:
        type_ = memref_type(buffer)
        element = type_.get_element_type()
        bytes_each = element_bytes(element)
        value = emitter.value(
            vector.LoadOp.create(
                operands=[buffer, *(emitter.index(index) for index in at)],
                result_types=[vector_of((size,), element)],
                attributes={"alignment": IntegerAttr(gcd(size, type_.get_shape()[-1]) * bytes_each, i64)},
            )
        )
        return widened(emitter, value, self.total)


def widened(emitter: Emitter, value: SSAValue, element: Attribute) -> SSAValue:
    """A vector with elements of a wider float type."""
    type_ = value.type
    if is_vector(type_) and type_.get_element_type() != element:
        return emitter.value(arith.ExtFOp(value, vector_of(type_.get_shape(), element)))
    return value


class Fragments:
    """Every warp has a part of the block's result, in fragments."""

    def __init__(
        self,
        emitter: Emitter,
        schedule: ProductSchedule,
        worker: SSAValue,
        types: tuple[Attribute, Attribute],
        kept: Mapping[SSAValue, bool],
    ):
        """`types`: elements of factors and sums; `kept`: by shared buffer, whether its last axis is depth."""
        factor, total = types
        if schedule.fragment is None:
            raise ValueError("the schedule has no fragments")
        self.shape = schedule.fragment
        self.kept = kept
        self.swizzle = schedule.swizzle
        self.factor = factor
        self.depth = schedule.block[2]
        self.registers = FRAGMENTS[self.shape, factor, total]
        across = schedule.block[1] // schedule.warp[1]
        warp, self.lane = emitter.divide(worker, WARP), emitter.remainder(worker, WARP)
        self.row = emitter.multiply(emitter.divide(warp, across), schedule.warp[0])
        self.column = emitter.multiply(emitter.remainder(warp, across), schedule.warp[1])
        self.counts = schedule.warp[0] // self.shape[0], schedule.warp[1] // self.shape[1]
        self.group, self.member = emitter.divide(self.lane, 4), emitter.remainder(self.lane, 4)
        sums, columns = self.registers[2]
        rows = [
            [emitter.add(emitter.add(self.row, self.group), i * self.shape[0] + number * 8) for number in range(sums)]
            for i in range(self.counts[0])
        ]
        own = emitter.multiply(self.member, columns)
        self.cells: Sequence[Cells] = [
            Cells(rows[i], emitter.add(emitter.add(self.column, own), j * self.shape[1]), columns)
            for i in range(self.counts[0])
            for j in range(self.counts[1])
        ]

    def step(
        self, emitter: Emitter, shared: Sequence[SSAValue], slot: Index, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        rows, columns = self.counts
        results = list(sums)
        for depth in range(0, self.depth, self.shape[2]):
            left = [self._left(emitter, shared[0], slot, i * self.shape[0], depth) for i in range(rows)]
            right = self._right(emitter, shared[1], slot, depth)
            for i in range(rows):
                for j in range(columns):
                    at = i * columns + j
                    results[at] = emitter.value(MmaSyncOp(left[i], right[j], results[at], self.shape))
        return results

    def _left(self, emitter: Emitter, buffer: SSAValue, slot: Index, row: int, depth: int) -> SSAValue:
        start = emitter.add(self.row, row)
        if self.registers[0][1] == 1:
            places = [(number % 2 * 8, number // 2 * 4) for number in range(self.registers[0][0])]
            return self._scattered(emitter, buffer, slot, start, depth, places)
        count = self.registers[0][0]
        low, high = emitter.remainder(self.lane, 16), emitter.divide(self.lane, 16)
        if self.kept[buffer]:
            at = [slot, emitter.add(start, low), emitter.add(emitter.multiply(high, 8), depth)]
            return self._matrix(emitter, buffer, at, count, transpose=False)
        in_tile, tile = emitter.remainder(self.lane, 8), emitter.divide(low, 8)
        down = emitter.add(emitter.add(in_tile, emitter.multiply(high, 8)), depth)
        at = [slot, down, emitter.add(start, emitter.multiply(tile, 8))]
        return self._matrix(emitter, buffer, at, count, transpose=True)

    def _right(self, emitter: Emitter, buffer: SSAValue, slot: Index, depth: int) -> list[SSAValue]:
        count, width = self.registers[1]
        if width == 1:
            places = [(0, number * 4) for number in range(count)]
            return [
                self._scattered(emitter, buffer, slot, emitter.add(self.column, j * 8), depth, places)
                for j in range(self.counts[1])
            ]
        found: list[SSAValue] = []
        j = 0
        while j < self.counts[1]:
            pair = 2 if j + 1 < self.counts[1] else 1
            found += self._columns(emitter, buffer, slot, j, depth, pair)
            j += pair
        return found

    def _columns(
        self, emitter: Emitter, buffer: SSAValue, slot: Index, number: int, depth: int, pair: int
    ) -> list[SSAValue]:
        """The fragments of one or two neighbors of a factor's columns with one instruction."""
        count = self.registers[1][0]
        start = emitter.add(self.column, number * 8)
        in_tile = emitter.remainder(self.lane, 8)
        tile = emitter.divide(self.lane, 8)
        in_depth = emitter.multiply(emitter.remainder(tile, count), 8)
        across = emitter.multiply(emitter.divide(tile, count), 8) if pair == 2 else 0
        if self.kept[buffer]:
            at = [
                slot,
                emitter.add(start, emitter.add(in_tile, across)),
                emitter.add(in_depth, depth),
            ]
        else:
            at = [slot, emitter.add(emitter.add(in_tile, in_depth), depth), emitter.add(start, across)]
        loaded = self._matrix(emitter, buffer, at, count * pair, transpose=not self.kept[buffer])
        if pair == 1:
            return [loaded]
        return [self._part(emitter, loaded, position * count, count) for position in range(pair)]

    def _part(self, emitter: Emitter, value: SSAValue, start: int, count: int) -> SSAValue:
        return emitter.value(vector.ExtractStridedSliceOp(value, [start], [count]))

    def _matrix(
        self, emitter: Emitter, buffer: SSAValue, at: Sequence[Index], count: int, *, transpose: bool
    ) -> SSAValue:
        indices = [emitter.index(index) for index in self._place(emitter, buffer, at)]
        return emitter.value(LdMatrixOp(buffer, indices, count, transpose=transpose))

    def _place(self, emitter: Emitter, buffer: SSAValue, at: Sequence[Index]) -> list[Index]:
        slot, line, column = at
        return [slot, *shared_place(emitter, buffer, line, column, swizzle=self.swizzle)]

    def _scattered(
        self,
        emitter: Emitter,
        buffer: SSAValue,
        slot: Index,
        start: Index,
        depth: int,
        places: Sequence[tuple[int, int]],
    ) -> SSAValue:
        """A fragment whose registers hold one element each; `places`: along the side and the depth, by register."""
        elements: list[SSAValue] = []
        for along_side, along_depth in places:
            side = emitter.add(emitter.add(start, self.group), along_side)
            deep = emitter.add(self.member, depth + along_depth)
            at = [slot, side, deep] if self.kept[buffer] else [slot, deep, side]
            elements.append(emitter.load(buffer, self._place(emitter, buffer, at)))
        return emitter.value(vector.FromElementsOp(elements, vector_of((len(elements), 1), self.factor)))


def zeros(emitter: Emitter, cells: Cells, total: Attribute, value: float = 0.0) -> SSAValue:
    """Sums to begin with."""
    return emitter.splat(scalar_attribute(value, total), vector_of(cells.shape, total))
