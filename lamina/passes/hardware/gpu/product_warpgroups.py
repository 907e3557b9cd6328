"""Products by warpgroups (sm_90a): tensor maps bring blocks of the factors into a ring of shared memory, from which
the matrix units of four warps at a time read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    MemRefType,
    NoneAttr,
    UnrankedMemRefType,
    UnrealizedConversionCastOp,
    VectorType,
    f32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.hardware.gpu import WORKGROUP, BarrierOp
from lamina.dialects.hardware.nvgpu_tma import (
    MBarrierArriveExpectOp,
    MBarrierCreateOp,
    MBarrierInitOp,
    MBarrierTryWaitOp,
    TmaCreateOp,
    TmaLoadOp,
    TmaPrefetchOp,
)
from lamina.dialects.hardware.nvgpu_types import MOST_AXES, AccumulatorType, TensorMapType, multiplied
from lamina.dialects.hardware.nvgpu_warpgroup import (
    LINE_BYTES,
    WARPGROUP,
    WARPGROUP_ROWS,
    GenerateDescriptorOp,
    InitAccumulatorOp,
    WarpgroupMmaOp,
)
from lamina.dialects.loop import arith, memref
from lamina.passes.hardware.gpu.kernel import Kernel
from lamina.passes.hardware.gpu.product_engines import WARP, Cells
from lamina.passes.hardware.gpu.product_schedule import ProductSchedule
from lamina.passes.loop.emitter import Emitter, Index, memref_type, scalar_attribute, vector_of
from lamina.passes.loop.plan_arena import element_bytes

MAP_BYTES = 16
"""What the start and the steps of a tensor in global memory are multiples of."""
SWIZZLED_BYTES = 2
"""Bytes of an element whose lines in shared memory are swizzled, not padded, where threads bring them."""
BARRIER_ROOM = 1024
"""Bytes of shared memory for barriers, as far as the next place where a swizzle may begin."""
TICKS = 10_000_000
"""How long a thread may sleep at a barrier before it looks again: longer than any copy takes."""
ORDINARY_DEPTH, ORDINARY_PARTS = 64, 32
"""Bytes of the depth of a block, and the columns of a warp's part, where threads load the factors after all."""


Emit: TypeAlias = "Callable[[Emitter], None]"


@dataclass(frozen=True)
class MapAxes:
    """A factor as a tensor map has it: iteration dims that are one axis of the tensor each time, in memory's order.

    `sizes`: of the axes (-1: not known); `along_depth`: neighbors are neighbors along the depth.
    """

    groups: Sequence[tuple[int, ...]]
    sizes: Sequence[int]
    along_depth: bool


def map_axes(
    map_: AffineMap, shape: Sequence[int], side: Sequence[int], depth: Sequence[int], bytes_each: int
) -> MapAxes | None:
    """The axes of a factor's tensor map; None where it cannot have one.

    The factor is read at its dims in some order, where those of its side of the result are neighbors, and those of the
    depth; lines start at multiples of 16 bytes.
    """
    dims: list[int] = []
    for result in map_.results:
        if not isinstance(result, AffineDimExpr) or result.position in dims:
            return None
        dims.append(result.position)
    groups: list[tuple[int, ...]] = []
    at = 0
    while at < len(dims):
        group = next((tuple(one) for one in (side, depth) if dims[at : at + len(one)] == list(one)), (dims[at],))
        groups.append(group)
        at += len(group)
    if tuple(side) not in groups or tuple(depth) not in groups or len(groups) > MOST_AXES:
        return None
    position = {dim: axis for axis, dim in enumerate(dims)}
    sizes: list[int] = []
    for group in groups:
        own = [shape[position[dim]] for dim in group]
        if len(own) > 1 and DYNAMIC_INDEX in own:
            return None
        sizes.append(own[0] if len(own) == 1 else prod(own))
    if groups[-1] not in (tuple(side), tuple(depth)) or sizes[-1] < 1 or sizes[-1] * bytes_each % MAP_BYTES:
        return None
    return MapAxes(groups, sizes, groups[-1] == tuple(depth))


def suits_warpgroups(axes: Sequence[MapAxes | None], element: Attribute) -> bool:
    """Whether warpgroups can multiply factors: the left one along the depth, the right one too where it is f32."""
    left, right = axes
    return left is not None and right is not None and left.along_depth and (right.along_depth or element != f32)


def without_warpgroups(schedule: ProductSchedule, bytes_each: int) -> ProductSchedule:
    """A schedule by warps for the same blocks, whose threads load the factors themselves."""
    block = schedule.block[0], schedule.block[1], ORDINARY_DEPTH // bytes_each
    parts = block[0] * block[1] // (schedule.threads(WARP) // WARP) // WARPGROUP_ROWS
    return replace(
        schedule,
        instruction="mma",
        fragment=(16, 8, ORDINARY_PARTS // bytes_each),
        block=block,
        warp=(WARPGROUP_ROWS, max(8, parts)),
        swizzle=bytes_each == SWIZZLED_BYTES,
        row_padding=0 if bytes_each == SWIZZLED_BYTES else MAP_BYTES // bytes_each,
    )


@dataclass(frozen=True)
class MappedFactor:
    """A factor: `buffer` is its memory as the host knows it, `start` where this block begins on its side."""

    buffer: SSAValue
    axes: MapAxes
    side: tuple[int, ...]
    start: Index
    block: int


class Warpgroups:
    """Every warpgroup has a part of the block's result.

    The first thread begins the copies of a stage, all wait at the stage's `full` barrier, and a thread of every warp
    tells the `empty` barrier of the stage before when its products are over: one is always on its way. Not a thread of
    the warpgroup: `wgmma.wait_group` says that those of the executing threads are over, which CUTLASS takes in the same
    way (PipelineTmaAsync: without clusters, all threads arrive).
    """

    def __init__(
        self,
        kernel: Kernel,
        host: Emitter,
        schedule: ProductSchedule,
        worker: SSAValue,
        factors: Sequence[MappedFactor],
        batch: Mapping[int, Index],
    ):
        emitter = kernel.emitter
        self.emitter, self.schedule, self.worker = emitter, schedule, worker
        self.factors, self.batch = factors, batch
        self.element = memref_type(factors[0].buffer).get_element_type()
        self.line = LINE_BYTES // element_bytes(self.element)
        self.across = schedule.block[1] // schedule.warp[1]
        self.warps = schedule.threads(WARP) // WARP
        self.maps = [kernel.capture(self._map(host, factor)) for factor in factors]
        self.shared = [kernel.share(self.element, self._ring(factor)) for factor in factors]
        group = emitter.divide(worker, WARPGROUP)
        self.row = emitter.multiply(emitter.divide(group, self.across), schedule.warp[0])
        self.column = emitter.multiply(emitter.remainder(group, self.across), schedule.warp[1])
        self.cells = self._cells()

    def _cells(self) -> Sequence[Cells]:
        """PTX ISA, "Register fragments and shared memory matrix layouts" of wgmma: D."""
        emitter, (rows, columns) = self.emitter, self.schedule.warp
        warp = emitter.remainder(emitter.divide(self.worker, WARP), WARPGROUP // WARP)
        lane = emitter.remainder(self.worker, WARP)
        row = emitter.add(emitter.add(self.row, emitter.multiply(warp, 16)), emitter.divide(lane, 4))
        column = emitter.add(self.column, emitter.multiply(emitter.remainder(lane, 4), 2))
        return [
            Cells([emitter.add(row, down), emitter.add(row, down + 8)], emitter.add(column, across), 2)
            for down in range(0, rows, WARPGROUP_ROWS)
            for across in range(0, columns, 8)
        ]

    def _panels(self, factor: MappedFactor) -> tuple[int, int]:
        """Panels of a factor's block, and the lines of each."""
        depth = self.schedule.block[2]
        return (depth // self.line, factor.block) if factor.axes.along_depth else (factor.block // self.line, depth)

    def _is_batch(self, group: Sequence[int]) -> bool:
        return len(group) == 1 and group[0] in self.batch

    def _box(self, factor: MappedFactor) -> list[int]:
        lines = self._panels(factor)[1]
        sizes = [1] * (len(factor.axes.groups) - 1)
        for axis, group in enumerate(factor.axes.groups[:-1]):
            if not self._is_batch(group):
                sizes[axis] = lines
        return [*sizes, self.line]

    def _ring(self, factor: MappedFactor) -> list[int]:
        return [self.schedule.stages, self._panels(factor)[0], *self._box(factor)]

    def _map(self, host: Emitter, factor: MappedFactor) -> SSAValue:
        """The tensor map of a factor, made by the host before the launch."""
        buffer, box = factor.buffer, self._box(factor)
        type_ = memref_type(buffer)
        if len(factor.axes.sizes) < type_.get_num_dims():
            sizes = list(factor.axes.sizes)
            merged = MemRefType(self.element, sizes)
            strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
            buffer = host.value(memref.ReinterpretCastOp.from_dynamic(buffer, [0], sizes, strides, merged))
        unranked = host.value(memref.CastOp(buffer, UnrankedMemRefType.from_type(self.element)))
        part = MemRefType(self.element, box, NoneAttr(), WORKGROUP)
        return host.value(TmaCreateOp(unranked, [host.index(size) for size in box], TensorMapType.of(part)))

    # The loop

    def sums(self, first: Index, end: Index, start: float) -> Sequence[SSAValue]:
        """Emit the loop over the depth from `first` to `end`; its sums, a vector for each of the cells.

        nvgpu.tma.async.load … of the first stages
        %sums = scf.for %k = … { nvgpu.mbarrier.try_wait.parity %full[…]; nvgpu.warpgroup.mma …;
          nvgpu.mbarrier.arrive.expect_tx %empty[…]; nvgpu.tma.async.load … of the stage that is free now }
        """
        emitter, size, stages = self.emitter, self.schedule.block[2], self.schedule.stages
        self._prepare(emitter)
        for stage in range(stages - 1):
            depth = emitter.add(first, stage * size)
            self._if_less(emitter, depth, end, lambda inner, at=depth, slot=stage: self._load(inner, at, slot))
        total = AccumulatorType(VectorType(f32, self.schedule.warp))

        def step(inner: Emitter, depth: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            number = inner.divide(inner.subtract(depth, first), size)
            slot, round_ = inner.remainder(number, stages), inner.divide(number, stages)
            parity = inner.compare("eq", inner.remainder(round_, 2), 1)
            self._wait(inner, self.full, slot, parity)
            following = inner.add(depth, (stages - 1) * size)
            left, right = (self._descriptor(inner, number, slot) for number in (0, 1))
            transposed = not self.factors[1].axes.along_depth
            sums = inner.value(WarpgroupMmaOp(left, right, carried[0], transpose_b=transposed, pending=1))
            free = inner.index(inner.remainder(inner.add(number, stages - 1), stages))
            inner.append(MBarrierArriveExpectOp(self.empty, free, inner.index(0), self.leads))

            def refill(nested: Emitter) -> None:
                nested.branch(self.is_first, lambda deep: self._wait(deep, self.empty, free, parity))
                self._load(nested, following, free)

            inner.branch(inner.compare("ult", following, end), refill)
            return [sums]

        (found,) = emitter.for_loop(first, end, size, [emitter.value(InitAccumulatorOp(total))], step)
        cell = vector_of((2, 2), f32)
        cast = UnrealizedConversionCastOp.get([found], [cell] * len(self.cells))
        emitter.append(cast)
        if not start:
            return cast.results
        more = emitter.splat(scalar_attribute(start, f32), cell)
        return [emitter.value(arith.AddfOp(sums, more)) for sums in cast.results]

    def _prepare(self, emitter: Emitter) -> None:
        stages, first = self.schedule.stages, emitter.index(0)
        self.is_first = emitter.compare("eq", self.worker, 0)
        self.leads = emitter.compare("eq", emitter.remainder(self.worker, WARP), 0)
        self.full, self.empty = (emitter.value(MBarrierCreateOp(stages)) for _ in range(2))
        for map_ in self.maps:
            emitter.append(TmaPrefetchOp(map_, self.is_first))
        for stage in range(stages):
            for barriers, arrivals in ((self.full, 1), (self.empty, self.warps)):
                at, count = emitter.index(stage), emitter.index(arrivals)
                emitter.append(MBarrierInitOp(barriers, at if stage else first, count, self.is_first))
        emitter.append(BarrierOp())

    def _if_less(self, emitter: Emitter, depth: Index, end: Index, emit: Emit) -> None:
        if isinstance(depth, int) and isinstance(end, int):
            if depth < end:
                emit(emitter)
            return
        emitter.branch(emitter.compare("ult", depth, end), emit)

    def _wait(self, emitter: Emitter, barriers: SSAValue, slot: Index, parity: SSAValue) -> None:
        emitter.append(MBarrierTryWaitOp(barriers, emitter.index(slot), parity, emitter.index(TICKS)))

    def _load(self, emitter: Emitter, depth: Index, slot: Index) -> None:
        """Begin to copy both factors' blocks at a place of the depth into a stage."""
        at = emitter.index(slot)
        parts = [(prod(self._ring(factor)[1:])) * element_bytes(self.element) for factor in self.factors]
        emitter.append(MBarrierArriveExpectOp(self.full, at, emitter.index(sum(parts)), self.is_first))
        for factor, map_, shared in zip(self.factors, self.maps, self.shared, strict=True):
            box = self._box(factor)
            for panel in range(self._panels(factor)[0]):
                offsets = [at, panel, *([0] * len(box))]
                target = emitter.subview(shared, offsets, [1, 1, *box], dropped=(0, 1))
                places = self._coordinates(emitter, factor, depth, panel * self.line)
                emitter.append(TmaLoadOp(map_, places, self.full, at, target, self.is_first))

    def _coordinates(self, emitter: Emitter, factor: MappedFactor, depth: Index, shift: int) -> list[SSAValue]:
        """Where a panel begins, the fastest axis first."""
        along_depth = factor.axes.along_depth
        found: list[Index] = []
        for group in factor.axes.groups:
            if group == factor.side:
                found.append(emitter.add(factor.start, 0 if along_depth else shift))
            elif self._is_batch(group):
                found.append(self.batch[group[0]])
            else:
                found.append(emitter.add(depth, shift if along_depth else 0))
        return [emitter.index(one) for one in reversed(found)]

    def _descriptor(self, emitter: Emitter, number: int, slot: Index) -> SSAValue:
        """The part of a stage that this warpgroup multiplies."""
        factor, shared = self.factors[number], self.shared[number]
        own, side = (self.row, self.column)[number], self.schedule.warp[number]
        box, (panels, lines) = self._box(factor), self._panels(factor)
        first_panel: Index = 0
        first_line: Index = 0
        if factor.axes.along_depth:
            first_line, lines = own, side
        else:
            first_panel, panels = emitter.divide(own, self.line), side // self.line
        axis = next(axis for axis, size in enumerate(box) if size > 1)
        offsets: list[Index] = [slot, first_panel, *([0] * len(box))]
        sizes: list[Index] = [1, panels, *box]
        offsets[2 + axis], sizes[2 + axis] = first_line, lines
        dropped = [0, *(2 + one for one in range(len(box) - 1) if one != axis)]
        view = emitter.subview(shared, offsets, sizes, dropped=dropped)
        depth = self.schedule.block[2]
        shape = (side, depth) if number == 0 else (depth, side)
        matrix = MemRefType(multiplied(self.element), shape, NoneAttr(), WORKGROUP)
        return emitter.value(GenerateDescriptorOp(view, self.maps[number], matrix))
