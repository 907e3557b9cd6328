"""Products by AMD's matrix cores: every wave has a part of the block's result, in fragments of `amdgpu` ops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import gcd

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Attribute, SSAValue

from lamina.dialects.hardware.amdgpu import MATRIX_CORES, MatrixCoreOp, MfmaOp, WmmaOp, fragment_type
from lamina.dialects.hardware.gpu_target import GpuDescription
from lamina.dialects.loop import vector
from lamina.passes.hardware.gpu.product_engines import Cells
from lamina.passes.hardware.gpu.product_loads import MOST_BYTES
from lamina.passes.hardware.gpu.product_schedule import ProductSchedule
from lamina.passes.loop.emitter import Emitter, Index, memref_type, vector_of
from lamina.passes.loop.plan_arena import element_bytes

OPS: Mapping[str, type[MatrixCoreOp]] = {"mfma": MfmaOp, "wmma": WmmaOp}

BLOCK_SHAPES: tuple[tuple[tuple[int, int, int], tuple[int, int]], ...] = (
    ((128, 128, 32), (64, 64)),
    ((128, 64, 32), (64, 32)),
    ((64, 64, 32), (32, 32)),
    ((32, 64, 32), (32, 16)),
    ((16, 64, 64), (16, 16)),
)
"""Blocks and the waves' parts with 16-bit factors; wider ones have as many bytes along the depth."""

NARROW_WARPS: Mapping[tuple[int, int], tuple[int, int]] = {(64, 64): (64, 32)}
"""The parts of waves of 32 lanes, which have half the registers for as many sums."""


def matrix_core_shape(target: GpuDescription, element: Attribute, sums: Attribute) -> tuple[int, int, int] | None:
    """The shape of the target's matrix instruction for a type of factors, None where it has none.

    `fragment` of the target is that for 16-bit factors; wider ones have the same m and n.
    """
    m, n, k = (int(size) for size in target.fragment.split("x")) if target.fragment else (0, 0, 0)
    shapes = [shape for shape, *types in MATRIX_CORES.get(target.instruction, {}) if types == [element, sums]]
    if str(element) not in target.fragment_types.split():
        return None
    found = [shape for shape in shapes if shape[:2] == (m, n)]
    return (m, n, k) if (m, n, k) in found else next(iter(found), None)


def matrix_core_shapes(
    target: GpuDescription, bytes_each: int
) -> Iterator[tuple[tuple[int, int, int], tuple[int, int]]]:
    """Blocks and the waves' parts, from the one that reads least per multiplication on."""
    for (m, n, k), warp in BLOCK_SHAPES:
        part = warp if target.warp == 64 else NARROW_WARPS.get(warp, warp)
        yield (m, n, k * 2 // bytes_each), part


class MatrixCores:
    """Every wave has a part of the block's result, in fragments.

    Both factors lie in shared memory with the depth contiguous. Where c's registers are neighboring rows the factors
    change places, so that they are neighboring columns of the result, which are stored together. A lane loads several
    fragments of a factor at a time: any order of the depth will do as long as both factors have the same.
    """

    def __init__(
        self,
        emitter: Emitter,
        schedule: ProductSchedule,
        worker: SSAValue,
        types: tuple[Attribute, Attribute],
        kept: Mapping[SSAValue, bool],
    ):
        """`types`: elements of factors and sums; `kept`: by shared buffer, whether its last axis is depth (all)."""
        if schedule.fragment is None or not all(kept.values()):
            raise ValueError("matrix cores read fragments along the depth")
        self.element, self.total = types
        self.shape = schedule.fragment
        self.op = OPS[schedule.instruction]
        self.core = MATRIX_CORES[schedule.instruction][self.shape, *types]
        self.depth = schedule.block[2]
        m, n, k = self.shape
        lanes = self.core.lanes
        across = schedule.block[1] // schedule.warp[1]
        wave, self.lane = emitter.divide(worker, lanes), emitter.remainder(worker, lanes)
        self.starts = (
            emitter.multiply(emitter.divide(wave, across), schedule.warp[0]),
            emitter.multiply(emitter.remainder(wave, across), schedule.warp[1]),
        )
        self.counts = schedule.warp[0] // m, schedule.warp[1] // n
        self.together = gcd(self.depth // k, max(1, MOST_BYTES // element_bytes(self.element) // self.core.held))
        self.turned = self.core.runs > 1
        self.cells: Sequence[Cells] = [
            cells
            for i in range(self.counts[0])
            for j in range(self.counts[1])
            for cells in self._cells(emitter, emitter.add(self.starts[0], i * m), emitter.add(self.starts[1], j * n))
        ]
        self.each = len(self.cells) // (self.counts[0] * self.counts[1])

    def _cells(self, emitter: Emitter, row: Index, column: Index) -> Iterator[Cells]:
        """What a lane holds of one fragment of the sums, in the order of its registers."""
        n = self.shape[1]
        own, group = emitter.remainder(self.lane, n), emitter.multiply(emitter.divide(self.lane, n), self.core.step)
        if not self.turned:
            rows = [emitter.add(emitter.add(row, group), number) for number in self.core.rows]
            yield Cells(rows, emitter.add(column, own), 1)
            return
        for start in self.core.rows[:: self.core.runs]:
            yield Cells([emitter.add(row, own)], emitter.add(emitter.add(column, group), start), self.core.runs)

    def step(
        self, emitter: Emitter, shared: Sequence[SSAValue], slot: Index, sums: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """Add the product of the blocks in `slot`."""
        rows, columns = self.counts
        total = fragment_type(self.total, len(self.core.rows))
        held = [self._joined(emitter, sums[at : at + self.each]) for at in range(0, len(sums), self.each)]
        for depth in range(0, self.depth, self.shape[2] * self.together):
            factors = [
                [self._loaded(emitter, buffer, slot, start, number, side, depth) for number in range(count)]
                for buffer, start, count, side in zip(shared, self.starts, self.counts, self.shape, strict=False)
            ]
            for part in range(self.together):
                left, right = ([self._fragment(emitter, one, part) for one in loaded] for loaded in factors)
                for i in range(rows):
                    for j in range(columns):
                        at = i * columns + j
                        pair = (right[j], left[i]) if self.turned else (left[i], right[j])
                        held[at] = emitter.value(self.op(*pair, held[at], self.shape))
        if any(one.type != total for one in held):
            raise ValueError("a fragment of sums has lost its type")
        return [part for one in held for part in self._parted(emitter, one)]

    def _joined(self, emitter: Emitter, parts: Sequence[SSAValue]) -> SSAValue:
        """The sums of one fragment, from those of its cells."""
        if len(parts) == 1:
            return emitter.value(vector.ShapeCastOp(parts[0], vector_of((len(self.core.rows),), self.total)))
        elements = [
            emitter.value(vector.ExtractOp(part, [0, number], self.total))
            for part in parts
            for number in range(self.core.runs)
        ]
        return emitter.value(vector.FromElementsOp(elements, vector_of((len(elements),), self.total)))

    def _parted(self, emitter: Emitter, value: SSAValue) -> Iterator[SSAValue]:
        """The converse."""
        if self.each == 1:
            yield emitter.value(vector.ShapeCastOp(value, vector_of(self.cells[0].shape, self.total)))
            return
        runs = self.core.runs
        for start in range(0, len(self.core.rows), runs):
            part = emitter.value(vector.ExtractStridedSliceOp(value, [start], [runs]))
            yield emitter.value(vector.ShapeCastOp(part, vector_of((1, runs), self.total)))

    def _loaded(
        self, emitter: Emitter, buffer: SSAValue, slot: Index, start: Index, number: int, side: int, depth: int
    ) -> SSAValue:
        """What a lane holds of one or more fragments that follow each other along the depth."""
        count = self.core.held * self.together
        row = emitter.add(emitter.add(start, number * side), emitter.remainder(self.lane, side))
        groups = self.shape[2] // self.core.held
        along: Index = 0
        if groups > 1:
            along = emitter.multiply(emitter.divide(self.lane, side), count)
        indices = [emitter.index(slot), emitter.index(row), emitter.index(emitter.add(along, depth))]
        if count == 1:
            return emitter.load(buffer, indices)
        alignment = gcd(gcd(count, memref_type(buffer).get_shape()[-1]) * element_bytes(self.element), MOST_BYTES)
        return emitter.value(
            vector.LoadOp.create(
                operands=[buffer, *indices],
                result_types=[vector_of((count,), self.element)],
                attributes={"alignment": IntegerAttr(alignment, i64)},
            )
        )

    def _fragment(self, emitter: Emitter, loaded: SSAValue, part: int) -> SSAValue:
        """One of the fragments that came together."""
        if self.together == 1:
            return loaded
        held = self.core.held
        if held == 1:
            return emitter.value(vector.ExtractOp(loaded, [part], self.element))
        return emitter.value(vector.ExtractStridedSliceOp(loaded, [part * held], [held]))
