"""Products and convolutions by blocks of threads: blocks of both factors in shared memory, sums in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap

from lamina.diagnostics import error_at
from lamina.dialects.hardware.gpu import BarrierOp, BlockIdOp
from lamina.dialects.hardware.nvgpu import COPY_BYTES, AsyncCreateGroupOp, AsyncWaitOp
from lamina.dialects.loop import arith, memref, vector
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.alignment import is_dense, starts_aligned
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.product_engines import Cells, Engine, Fragments, MultiplyAdd, zeros
from lamina.passes.hardware.gpu.product_epilogue import Surroundings, Writer, surroundings
from lamina.passes.hardware.gpu.product_groups import GroupAxis, Groups
from lamina.passes.hardware.gpu.product_loads import (
    FactorLoader,
    FlatAxis,
    aligned_load,
    aligned_store,
    shared_shape,
    widest_load,
)
from lamina.passes.hardware.gpu.product_matrix_cores import MatrixCores
from lamina.passes.hardware.gpu.product_padding import without_padding
from lamina.passes.hardware.gpu.product_schedule import PRODUCT, WARPGROUP_LINE, WARPGROUPS, ProductSchedule
from lamina.passes.hardware.gpu.product_warpgroups import (
    MapAxes,
    MappedFactor,
    Warpgroups,
    map_axes,
    suits_warpgroups,
    without_warpgroups,
)
from lamina.passes.hardware.gpu.row_shapes import static_extents
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.hardware.gpu.swizzle import can_swizzle
from lamina.passes.loop.emitter import Emitter, Index, memref_type, vector_of
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import axes_of, extent, iterators_of, maps_of

__all__ = ["PRODUCT", "outline_product"]

FRAGMENT_ENGINES: Mapping[str, type[Fragments] | type[MatrixCores]] = {
    "mma": Fragments,
    "mfma": MatrixCores,
    "wmma": MatrixCores,
}
"""By the schedule's instruction, what multiplies fragments."""
ALONG_DEPTH = frozenset({"mfma", "wmma"})
"""Instructions whose fragments are read along the depth, however the factors lie in memory."""


HALVED_TILE, HALVED_RESIDENT = (8, 4), 512
"""A thread's tile with half of the most sums, and threads of a processor then: ptxas by itself spills to have more."""


@dataclass(frozen=True)
class Product:
    """A contraction as blocks see it: its iteration dims by what they are. `factors`: which input has the rows, which
    the columns."""

    op: linalg.GenericOp
    schedule: ProductSchedule
    rows: Sequence[int]
    columns: Sequence[int]
    depth: Sequence[int]
    batch: Sequence[int]
    factors: tuple[int, int]
    before: Mapping[int, Sequence[int]] = field(default_factory=dict[int, Sequence[int]])
    """By input that is read as if it were padded, the positions before the first of every axis."""
    groups: Groups | None = None
    """Where the columns are in groups, each of which reads its own part of the other factor."""

    def map_of(self, number: int) -> AffineMap:
        """The map of a factor (0: that with the rows); the columns' dim stands for the number of a group."""
        factor = self.factors[number]
        if self.groups is not None and self.groups.factor == factor:
            return self.groups.map_
        return maps_of(self.op)[factor]

    def group_count(self, emitter: Emitter) -> Index:
        """How many groups there are."""
        if self.groups is None:
            return 1
        return emitter.divide(extent(emitter, self.op, self.groups.dim), self.groups.columns)

    def column_axis(self, emitter: Emitter, group: Index) -> FlatAxis:
        """The columns, or those of a group."""
        if self.groups is None:
            return self.axis(emitter, self.columns)
        return GroupAxis(self.columns, [self.groups.columns], emitter.multiply(group, self.groups.columns))

    def axis(self, emitter: Emitter, dims: Sequence[int]) -> FlatAxis:
        """Some dims as one axis."""
        return FlatAxis(dims, [extent(emitter, self.op, dim) for dim in dims])

    def grid(self, emitter: Emitter) -> list[Index]:
        """Blocks along the batches, groups, rows and columns."""
        axes = self.axis(emitter, self.rows), self.column_axis(emitter, 0)
        sides = [
            emitter.ceil_divide(axis.total(emitter), block)
            for axis, block in zip(axes, self.schedule.block, strict=False)
        ]
        groups = [] if self.groups is None else [self.group_count(emitter)]
        return [*(extent(emitter, self.op, dim) for dim in self.batch), *groups, *sides]


def outline_product(maker: KernelMaker, op: linalg.GenericOp) -> None:
    """Make the kernel of a product, its fill and what follows it element by element."""
    before = without_padding(op)
    product = replace(_product_of(op), before=before)
    product.schedule.check_target(op, maker.base, maker.target, _factor_bytes(op))
    product = replace(product, schedule=_as_aligned(product, maker.unaligned))
    taken = surroundings(op)
    unaligned = [one for stage in taken.ops for one in stage.operands if not _starts_aligned(one, maker.unaligned)]
    threads = product.schedule.threads(maker.target.warp)
    if product.schedule.split > 1:
        _outline_split(maker, product, taken, threads, unaligned)
        return
    host = maker.host(op)
    grid = host.product(product.grid(host))
    kernel = maker.begin(*taken.ops)
    lowering = _Lowering(kernel, product, threads, maker)
    sums = lowering.sums(taken.start or 0.0)
    row, column = lowering.starts
    block = product.schedule.block[0], product.schedule.block[1]
    apart = {kernel.arguments[one] for one in unaligned if one in kernel.arguments}
    writer = Writer(taken, lowering.rows, lowering.columns, lowering.batch, row, column, block, apart)
    for cells, value in zip(lowering.cells, sums, strict=True):
        writer.write(kernel.emitter, cells, value)
    _erase(taken.ops)
    halved = product.schedule.fragment is None and product.schedule.tile == HALVED_TILE
    maker.finish(kernel, grid, threads, HALVED_RESIDENT if halved else 0)


def _outline_split(
    maker: KernelMaker, product: Product, taken: Surroundings, threads: int, unaligned: Sequence[SSAValue]
) -> None:
    """Two kernels: parts of the sums go to a workspace, and are added up where the stages behind them are carried out.

    %parts = memref.alloc() : memref<split x batches x rows x columns xf32>
    gpu.launch_func @product …; gpu.launch_func @product__1 …
    """
    op, schedule = product.op, product.schedule
    host = maker.host(taken.ops[0])
    grid = product.grid(host)
    batches = host.product(grid[:-2])
    sides = [host.multiply(count, size) for count, size in zip(grid[-2:], schedule.block, strict=False)]
    sizes = [schedule.split, batches, *sides]
    total = memref_type(op.outputs[0]).get_element_type()
    parts = host.value(
        memref.AllocOp.get(
            total,
            shape=[size if isinstance(size, int) else DYNAMIC_INDEX for size in sizes],
            dynamic_sizes=[size for size in sizes if not isinstance(size, int)],
        )
    )
    copy = op.clone()
    host.append(copy)
    kernel = maker.begin(copy)
    kept = kernel.capture(parts)
    part = replace(product, op=copy)
    lowering = _Lowering(kernel, part, threads, maker)
    sums = lowering.sums(0.0)
    emitter = kernel.emitter
    batch = lowering.batch_number()
    for cells, value in zip(lowering.cells, sums, strict=True):
        column = emitter.add(lowering.starts[1], cells.column)
        for number, row in enumerate(cells.rows):
            line = emitter.value(vector.ExtractOp(value, [number], vector_of((cells.columns,), total)))
            place = [lowering.part, batch, emitter.add(lowering.starts[0], row), column]
            aligned_store(emitter, line, kept, place, cells.columns)
    _erase([copy])
    maker.finish(kernel, host.multiply(host.product(grid), schedule.split), threads)
    _outline_combination(maker, product, taken, parts, unaligned)


COMBINED_COLUMNS, COMBINING_THREADS = 2, 128
"""Neighbors that one thread adds up, and threads of a block that do so."""


def _outline_combination(
    maker: KernelMaker, product: Product, taken: Surroundings, parts: SSAValue, unaligned: Sequence[SSAValue]
) -> None:
    def counts(emitter: Emitter) -> list[Index]:
        batch, rows, columns = (
            product.axis(emitter, dims).total(emitter) for dims in (product.batch, product.rows, product.columns)
        )
        return [batch, rows, emitter.ceil_divide(columns, COMBINED_COLUMNS)]

    host = maker.host(taken.ops[0])
    grid = host.ceil_divide(host.product(counts(host)), COMBINING_THREADS)
    kernel = maker.begin(*taken.ops)
    kept, emitter = kernel.capture(parts), kernel.emitter
    apart = {kernel.arguments[one] for one in unaligned if one in kernel.arguments}
    total = memref_type(parts).get_element_type()
    thread, block = kernel.team(COMBINING_THREADS).worker, emitter.value(BlockIdOp())
    flat = emitter.index(emitter.add(emitter.multiply(block, COMBINING_THREADS), thread))

    def combine(inner: Emitter) -> None:
        batch, row, pair = delinearized(inner, flat, counts(inner))
        column = inner.multiply(pair, COMBINED_COLUMNS)
        cells = Cells([row], column, COMBINED_COLUMNS)
        value: SSAValue | None = None
        for number in range(product.schedule.split):
            found = aligned_load(inner, kept, [number, batch, row, column], COMBINED_COLUMNS)
            value = found if value is None else inner.value(arith.AddfOp(value, found))
        if value is None:
            raise ValueError("a sum has at least one part")
        summed = inner.value(vector.ShapeCastOp(value, vector_of(cells.shape, total)))
        if taken.start:
            summed = inner.value(arith.AddfOp(summed, zeros(inner, cells, total, taken.start)))
        rows, columns, batches = (product.axis(inner, dims) for dims in (product.rows, product.columns, product.batch))
        at: Mapping[int, Index] = batches.positions(inner, batch) if product.batch else {}
        Writer(taken, rows, columns, at, 0, 0, (1, COMBINED_COLUMNS), apart).write(inner, cells, summed)

    emitter.branch(emitter.compare("ult", flat, emitter.product(counts(emitter))), combine)
    _erase(taken.ops)
    maker.finish(kernel, grid, COMBINING_THREADS)
    kernel.place.emitter(maker.constants, emitter.location).append(memref.DeallocOp.get(parts))


def _erase(ops: Sequence[Operation]) -> None:
    for op in reversed(ops):
        op.detach()
        op.erase()


def _starts_aligned(value: SSAValue, unaligned: set[SSAValue]) -> bool:
    return not is_memref(value.type) or (is_dense(value.type) and starts_aligned(value, unaligned))


def _as_aligned(product: Product, unaligned: set[SSAValue]) -> ProductSchedule:
    """The schedule, with loads of one element of factors that may start anywhere."""
    schedule = product.schedule
    inputs = [product.op.inputs[factor] for factor in product.factors]
    wide = [_starts_aligned(factor, unaligned) for factor in inputs]
    if schedule.instruction == WARPGROUPS and not (all(wide) and _has_maps(product)):
        schedule = without_warpgroups(schedule, _factor_bytes(product.op))
    if all(wide):
        return schedule
    first, second = (count if is_wide else 1 for count, is_wide in zip(schedule.vector, wide, strict=True))
    if schedule.asynchronous and _factor_bytes(product.op) < min(COPY_BYTES):
        return replace(schedule, vector=(first, second), asynchronous=False, stages=2)
    return replace(schedule, vector=(first, second))


def _map_axes(product: Product, number: int) -> MapAxes | None:
    """The tensor map of a factor, None where it cannot have one."""
    factor = product.op.inputs[product.factors[number]]
    if product.before.get(product.factors[number]) or product.groups is not None:
        return None
    side = (product.rows, product.columns)[number]
    map_, shape = maps_of(product.op)[product.factors[number]], memref_type(factor).get_shape()
    return map_axes(map_, shape, side, product.depth, _factor_bytes(product.op))


def _has_maps(product: Product) -> bool:
    element = memref_type(product.op.inputs[0]).get_element_type()
    return suits_warpgroups([_map_axes(product, number) for number in (0, 1)], element)


def _factor_bytes(op: linalg.GenericOp) -> int:
    return element_bytes(memref_type(op.inputs[0]).get_element_type())


def _product_of(op: linalg.GenericOp) -> Product:
    """The op with its schedule, read back; raises LaminaError where the schedule does not suit it."""
    schedule, names = ProductSchedule.of(op), axes_of(op) or []
    rows, columns, depth = (
        [names.index(axis) for axis in axes] for axes in (schedule.rows, schedule.columns, schedule.depth)
    )
    parallel = iterators_of(op)
    maps = maps_of(op)
    sizes = static_extents(op)
    groups = Groups.of(maps, sizes) if len(columns) == 1 else None
    if groups is not None and groups.dim == columns[0] and schedule.split == 1:
        maps = groups.ungrouped(maps)
    else:
        groups = None
    used = [{dim for result in map_.results for dim in result.used_dims()} for map_ in maps[:2]]
    factors = (0, 1) if set(rows) <= used[0] else (1, 0)
    own = [used[factor] for factor in factors]
    batch = [dim for dim in range(len(parallel)) if dim not in {*rows, *columns, *depth}]
    long = {dim for dim in depth if sizes[dim] != 1}
    fits = (
        all(parallel[dim] for dim in (*rows, *columns, *batch))
        and not any(parallel[dim] for dim in depth)
        and set(rows) <= own[0] - own[1]
        and set(columns) <= own[1] - own[0]
        and long <= own[0] & own[1]
    )
    if not fits:
        raise error_at(op, "its schedule's rows, columns and depth are not those of a product")
    return Product(op, schedule, rows, columns, depth, batch, factors, groups=groups)


class _Lowering:
    """Emits the kernel of one product."""

    def __init__(self, kernel: Kernel, product: Product, threads: int, maker: KernelMaker):
        self.emitter = kernel.emitter
        self.kernel = kernel
        self.product = product
        self.schedule = product.schedule
        self.threads = threads
        self.worker = kernel.team(threads).worker
        emitter = self.emitter
        block = emitter.value(BlockIdOp())
        self.part, *at = delinearized(emitter, block, [self.schedule.split, *product.grid(emitter)])
        self.batch: dict[int, Index] = dict(zip(product.batch, at, strict=False))
        self.starts = [emitter.multiply(index, size) for index, size in zip(at[-2:], self.schedule.block, strict=False)]
        self.group = at[-3] if product.groups is not None else 0
        self.rows, self.depth = (product.axis(emitter, dims) for dims in (product.rows, product.depth))
        self.columns = product.column_axis(emitter, self.group)
        self.total = memref_type(product.op.outputs[0]).get_element_type()
        self.loaders: list[FactorLoader] = []
        self.shared: list[SSAValue] = []
        self.engine: Engine
        self.warpgroups: Warpgroups | None = None
        if self.schedule.instruction == WARPGROUPS:
            self.warpgroups = self._warpgroups(maker)
            self.cells = self.warpgroups.cells
            return
        self.loaders = [self._loader(number) for number in (0, 1)]
        self.shared = [loader.shared for loader in self.loaders]
        self.engine = self._engine()
        self.cells = self.engine.cells

    def _warpgroups(self, maker: KernelMaker) -> Warpgroups:
        given = {argument: value for value, argument in self.kernel.arguments.items()}
        product, factors = self.product, list[MappedFactor]()
        for number, side in enumerate((product.rows, product.columns)):
            axes = _map_axes(product, number)
            if axes is None:
                raise error_at(product.op, "its schedule has tensor maps, which a factor cannot have")
            if number == 1 and not axes.along_depth:
                self._check_panels()
            buffer = given[product.op.inputs[product.factors[number]]]
            factors.append(MappedFactor(buffer, axes, tuple(side), self.starts[number], self.schedule.block[number]))
        host = self.kernel.place.emitter(maker.constants, self.emitter.location)
        return Warpgroups(self.kernel, host, self.schedule, self.worker, factors, self.batch)

    def _check_panels(self) -> None:
        """Raise LaminaError where blocks end in the midst of a line of the right factor, whose lines are its rows."""
        line = WARPGROUP_LINE // _factor_bytes(self.product.op)
        for what, columns in (("block n", self.schedule.block[1]), ("warp n", self.schedule.warp[1])):
            if columns % line:
                raise error_at(
                    self.product.op,
                    f"its schedule has {what} = {columns}; {WARPGROUPS} takes multiples of {line} where the right"
                    " factor's rows are contiguous",
                )

    def _loader(self, number: int) -> FactorLoader:
        product, schedule = self.product, self.schedule
        factor = product.op.inputs[product.factors[number]]
        map_ = product.map_of(number)
        batch = self.batch
        if product.groups is not None and product.groups.factor == product.factors[number]:
            batch = {**batch, product.groups.dim: self.group}
        side = self.rows if number == 0 else self.columns
        type_ = memref_type(factor)
        element = type_.get_element_type()
        block, depth = schedule.block[number], schedule.block[2]
        along_depth = runs_along(map_, product.depth[-1], side.dims[-1])
        axis = self.depth if along_depth else side
        size = axis.extents[-1]
        widest = widest_load(
            map_, type_.get_shape(), axis.dims[-1], size if isinstance(size, int) else None, element_bytes(element)
        )
        vector = schedule.vector[number]
        line = depth if along_depth else block
        if widest % vector or line % vector:
            limit = f"{widest} lie next to each other, and a line of the block has {line}"
            raise error_at(product.op, f"its schedule loads {vector} elements at a time, {limit}")
        keeps_rows = schedule.fragment is not None and (along_depth or schedule.instruction in ALONG_DEPTH)
        shape = shared_shape(block, depth, schedule.stages, schedule.row_padding, keeps_rows=keeps_rows)
        line_bytes = shape[-1] * element_bytes(element)
        if schedule.swizzle and not can_swizzle(line_bytes):
            raise error_at(product.op, f"its schedule swizzles lines of {line_bytes} bytes, expected 32, 64 or n x 128")
        return FactorLoader(
            factor=factor,
            map_=map_,
            side=side,
            depth=self.depth,
            batch=batch,
            start=self.starts[number],
            block=block,
            block_depth=depth,
            shared=self.kernel.share(element, shape),
            keeps_rows=keeps_rows,
            along_depth=along_depth,
            vector=vector,
            worker=self.worker,
            threads=self.threads,
            before=product.before.get(product.factors[number], ()),
            swizzle=schedule.swizzle,
        )

    def _engine(self) -> Engine:
        if self.schedule.fragment is None:
            return MultiplyAdd(self.emitter, self.schedule, self.worker, self.total)
        kept = {loader.shared: loader.keeps_rows for loader in self.loaders}
        engine = FRAGMENT_ENGINES[self.schedule.instruction]
        return engine(self.emitter, self.schedule, self.worker, (self.loaders[0].element, self.total), kept)

    def batch_number(self) -> Index:
        """The number of this block's batch."""
        number: Index = 0
        for dim, position in self.batch.items():
            number = self.emitter.multiply(number, extent(self.emitter, self.product.op, dim))
            number = self.emitter.add(number, position)
        return number

    def sums(self, start: float) -> Sequence[SSAValue]:
        """Emit the loop over the depth, or this block's part of it; its results, one vector for each of the cells.

        scf.for %k = 0 to %depth step 32 iter_args(sums) {
          the next block of both factors begins to come; the block in shared memory is multiplied; gpu.barrier
        }
        """
        emitter = self.emitter
        for loader in self.loaders:
            loader.prepare(emitter)
        total = self.depth.total(emitter)
        self.first: Index = 0
        self.end: Index = total
        if self.schedule.split > 1:
            blocks = emitter.ceil_divide(emitter.ceil_divide(total, self.schedule.block[2]), self.schedule.split)
            own = emitter.multiply(blocks, self.schedule.block[2])
            self.first = emitter.multiply(self.part, own)
            self.end = emitter.minimum(emitter.add(self.first, own), total)
        if self.warpgroups is not None:
            return self.warpgroups.sums(self.first, self.end, start)
        sums: Sequence[SSAValue] = [zeros(emitter, cells, self.total, start) for cells in self.engine.cells]
        if self.schedule.asynchronous:
            return self._pipelined(total, sums)
        if self.schedule.stages > 1:
            return self._double_buffered(total, sums)
        return self._one_by_one(total, sums)

    def _limit(self, total: Index) -> Index | None:
        """Where the depth ends, None where no block reaches beyond."""
        return None if isinstance(total, int) and total % self.schedule.block[2] == 0 else total

    def _one_by_one(self, total: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        def step(inner: Emitter, depth: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            for loader in self.loaders:
                for chunk in loader.chunks(inner, depth, self._limit(total)):
                    loader.store(inner, chunk, loader.load(inner, chunk), 0)
            inner.append(BarrierOp())
            results = self.engine.step(inner, self.shared, 0, carried)
            inner.append(BarrierOp())
            return results

        return self.emitter.for_loop(self.first, self.end, self.schedule.block[2], sums, step)

    def _double_buffered(self, total: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Loads of the next block are under way, in registers, while this one is multiplied."""
        emitter, size = self.emitter, self.schedule.block[2]

        def bring_first(inner: Emitter) -> None:
            for loader in self.loaders:
                for chunk in loader.chunks(inner, self.first, self._limit(total)):
                    loader.store(inner, chunk, loader.load(inner, chunk), 0)

        # An empty sum has nothing to bring.
        if isinstance(self.first, int) and isinstance(self.end, int) and self.first < self.end:
            bring_first(emitter)
        else:
            emitter.branch(emitter.compare("ult", self.first, self.end), bring_first)
        emitter.append(BarrierOp())

        def step(inner: Emitter, depth: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            following = inner.add(depth, size)
            more = inner.compare("ult", following, self.end)
            # Behind the last block the first one comes once more, and is not used.
            first = inner.value(arith.SelectOp(more, inner.index(following), inner.index(self.first)))
            slot = inner.remainder(self._number(inner, depth), 2)
            chunks = [loader.chunks(inner, first, self._limit(total)) for loader in self.loaders]
            loaded = [
                [loader.load(inner, chunk) for chunk in own] for loader, own in zip(self.loaders, chunks, strict=True)
            ]
            results = self.engine.step(inner, self.shared, slot, carried)
            other = inner.subtract(1, slot)
            for loader, own, values in zip(self.loaders, chunks, loaded, strict=True):
                for chunk, value in zip(own, values, strict=True):
                    loader.store(inner, chunk, value, other)
            inner.append(BarrierOp())
            return results

        return emitter.for_loop(self.first, self.end, size, sums, step)

    def _pipelined(self, total: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Copies of `stages - 1` blocks are under way while one is multiplied."""
        emitter, size, stages = self.emitter, self.schedule.block[2], self.schedule.stages
        token: SSAValue | None = None
        for stage in range(stages - 1):
            token = self._copy(emitter, emitter.add(self.first, stage * size), total, stage)
        if token is None:
            raise ValueError("a pipeline has at least two stages")

        def step(inner: Emitter, depth: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            *own, last = carried
            inner.append(AsyncWaitOp(last, stages - 2))
            inner.append(BarrierOp())
            number = self._number(inner, depth)
            free = inner.remainder(inner.add(number, stages - 1), stages)
            following = self._copy(inner, inner.add(depth, (stages - 1) * size), total, free)
            return [*self.engine.step(inner, self.shared, inner.remainder(number, stages), own), following]

        *results, last = emitter.for_loop(self.first, self.end, size, [*sums, token], step)
        emitter.append(AsyncWaitOp(last, 0))
        return results

    def _number(self, emitter: Emitter, depth: Index) -> Index:
        """The number of a block of the depth, among those of this part."""
        return emitter.divide(emitter.subtract(depth, self.first), self.schedule.block[2])

    def _copy(self, emitter: Emitter, first: Index, total: Index, slot: Index) -> SSAValue:
        tokens = [
            loader.copy(emitter, chunk, slot)
            for loader in self.loaders
            for chunk in loader.chunks(emitter, first, total)
        ]
        return emitter.value(AsyncCreateGroupOp([token for token in tokens if token is not None]))


def runs_along(map_: AffineMap, depth: int, side: int) -> bool:
    """Whether neighbors in a factor are neighbors along the depth, rather than along the result's axis."""
    last = map_.results[-1].used_dims() if map_.results else set[int]()
    return depth in last or side not in last
