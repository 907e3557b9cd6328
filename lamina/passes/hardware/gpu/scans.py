"""Running sums and their kind along rows: scans in registers, over the lanes of a warp, and over warps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import IntegerAttr, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.diagnostics import error_at
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_communication import ShuffleOp
from lamina.dialects.loop import arith, memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.bodies import KINDS, Combiner, argument_at, forget, take_fill
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.row_shapes import static_extents
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import body_block, emit_affine, extent, iterators_of, maps_of

ELEMENTS, THREADS = 4, 256
"""Neighboring elements of one thread, and threads of a row at most."""

BLOCK_THREADS = 128
"""Threads of a block that has several rows."""

LEAST_TILES, PARTS = 4, 32
"""A long row is cut into parts for blocks of their own: of so many tiles at least, and so many where it is dynamic."""


@dataclass(frozen=True)
class Scan:
    """A stage with two results: the running value, and what it is before (`exclusive`) or after each element."""

    op: linalg.GenericOp
    scanned: int
    combiner: Combiner
    element: SSAValue
    exclusive: bool

    @staticmethod
    def of(op: Operation) -> Scan | None:
        """The scan along neighboring elements that an op is, None for any other op."""
        if not isinstance(op, linalg.GenericOp) or len(op.outputs) != 2 or BLOCKING & set(op.attributes):
            return None
        parallel = iterators_of(op)
        reduced = [dim for dim, kind in enumerate(parallel) if not kind]
        running, written = maps_of(op)[-2:]
        if len(reduced) != 1 or any(reduced[0] in result.used_dims() for result in running.results):
            return None
        if not written.results or written.results[-1] != AffineDimExpr(reduced[0]):
            return None
        block = body_block(op)
        before, unused = block.args[-2:]
        terminator = block.last_op
        if terminator is None or unused.uses or any(inner.regions for inner in block.ops):
            return None
        after, stored = terminator.operands
        owner = after.owner
        if not isinstance(owner, Operation) or owner.name not in KINDS or owner.parent_block() is not block:
            return None
        if list(owner.operands).count(before) != 1 or stored not in (before, after):
            return None
        users = {use.operation for use in before.uses}
        if not users <= {owner, terminator}:
            return None
        neutral = KINDS[owner.name].neutral(after.type)
        if neutral is None:
            return None
        (element,) = [operand for operand in owner.operands if operand is not before]
        combiner = Combiner(owner, neutral, KINDS[owner.name].name)
        return Scan(op, reduced[0], combiner, element, stored is before)

    @property
    def workers(self) -> int:
        """Threads that share a row."""
        size = static_extents(self.op)[self.scanned]
        if size is None:
            return THREADS
        needed = -(-size // ELEMENTS)
        return min(THREADS, 1 << max(0, needed - 1).bit_length())

    def parts(self, processors: int) -> int:
        """Blocks of threads that share a row, so that all processors have something to do."""
        sizes = static_extents(self.op)
        size = sizes[self.scanned]
        others = [size for dim, size in enumerate(sizes) if dim != self.scanned]
        rows = prod(size for size in others if size is not None)
        if None in others or self.workers < THREADS or not rows:
            return 1
        most = PARTS if size is None else size // (self.workers * ELEMENTS * LEAST_TILES)
        return max(1, min(2 * processors // rows, most, self.workers))


BLOCKING = frozenset({"lamina.blocks"})


def outline_scan(maker: KernelMaker, scan: Scan) -> None:
    """Make the kernel of a scan.

        linalg.generic {["parallel", "reduction"]} ins(%x) outs(%running, %y) {%next = %running + %x; yield both}
    →
        256 threads per row, 4 neighbors each, 1024 elements at a time:
        the thread's sums; those of the lanes before it, by gpu.shuffle up 1, 2, 4, 8, 16; those of the warps before it,
        through shared memory; and what came before the 1024 elements

    Sums are put together in another order than one after the other. Short rows share a block. Of long rows that are
    few, every block has a part (N. Merrill, A. Grimshaw, "Parallel Scan for Stream Architectures", 2009):

        %parts = memref.alloc() : memref<rows x parts>
        a kernel that puts the sum of each part behind its place, the first running value into place 0
        a kernel that adds up the places as far as its own, and runs over its part
    """
    op = scan.op
    parts = scan.parts(maker.target.processors)
    if parts > 1:
        _outline_parts(maker, scan, parts)
        return
    initial = take_fill(op, op.outputs[0])
    running = op.outputs[0]
    workers = scan.workers
    rows = max(1, BLOCK_THREADS // workers) if workers <= maker.target.warp else 1
    host = maker.host(op)
    sizes = [extent(host, op, dim) for dim, parallel in enumerate(iterators_of(op)) if parallel]
    grid = host.ceil_divide(host.product(sizes), rows)
    kernel = maker.begin(op)
    _ScanKernel(kernel, scan, workers, rows, initial, maker.target.warp).emit()
    op.detach()
    op.erase()
    maker.finish(kernel, grid, workers * rows)
    if initial is not None:
        forget(running)


def _outline_parts(maker: KernelMaker, scan: Scan, count: int) -> None:
    """The two kernels of rows that several blocks share."""
    op = scan.op
    initial = take_fill(op, op.outputs[0])
    running, workers = op.outputs[0], scan.workers
    host = maker.host(op)
    rows = host.product([extent(host, op, dim) for dim, parallel in enumerate(iterators_of(op)) if parallel])
    if not isinstance(rows, int):
        raise error_at(op, "rows that several blocks share are of a known number")
    places = host.value(memref.AllocOp.get(body_block(op).args[-2].type, 64, [rows, count]))
    copy = op.clone()
    host.append(copy)
    release = memref.DeallocOp.get(places)
    release.location = op.location
    Rewriter.insert_op(release, InsertPoint.after(op))
    for one, blocks in ((copy, count - 1), (op, count)):
        kernel = maker.begin(one)
        own = Scan.of(one)
        if own is None:
            raise error_at(one, "expected a scan")
        parts = Parts(kernel.capture(places), blocks, count, sums=one is copy)
        _ScanKernel(kernel, own, workers, 1, initial, maker.target.warp, parts).emit()
        one.detach()
        one.erase()
        maker.finish(kernel, rows * blocks, workers)
    if initial is not None:
        forget(running)


@dataclass(frozen=True)
class Parts:
    """Where a block stands that has a part of a row.

    `places`: by row, what the row starts from and the sums of all parts but the last; `blocks` of a row, of `count`
    parts; `sums`: whether the block finds its part's sum, or runs over it.
    """

    places: SSAValue
    blocks: int
    count: int
    sums: bool


class _ScanKernel:
    """Emits one kernel."""

    def __init__(
        self,
        kernel: Kernel,
        scan: Scan,
        workers: int,
        rows: int,
        initial: Attribute | None,
        warp: int,
        parts: Parts | None = None,
    ):
        self.parts = parts
        self.kernel = kernel
        self.emitter = kernel.emitter
        self.scan = scan
        self.workers = workers
        self.rows = rows
        self.initial = initial
        self.warp = warp

    def emit(self) -> None:
        """Where this thread is, and the loop over what the threads have at a time."""
        inner, op = self.emitter, self.scan.op
        extents = [extent(inner, op, dim) for dim in range(len(iterators_of(op)))]
        self.length = extents[self.scan.scanned]
        block, thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        self.worker = inner.remainder(thread, self.workers) if self.rows > 1 else thread
        kept = [dim for dim in range(len(extents)) if dim != self.scan.scanned]
        count = inner.product([extents[dim] for dim in kept])
        row: Index = block
        part: Index = 0
        if self.parts is not None:
            row, part = inner.divide(block, self.parts.blocks), inner.remainder(block, self.parts.blocks)
        self.valid: SSAValue | None = None
        if self.rows > 1:
            row = inner.add(inner.multiply(block, self.rows), inner.divide(thread, self.workers))
            self.valid = inner.compare("ult", row, count)
            row = inner.value(arith.SelectOp(self.valid, inner.index(row), inner.index(0)))
        self.positions: list[Index] = [0] * len(extents)
        for dim, index in zip(
            kept, delinearized(inner, inner.index(row), [extents[dim] for dim in kept]), strict=False
        ):
            self.positions[dim] = index
        tiles = self.workers // self.warp
        self.shared = self.kernel.share(body_block(op).args[-2].type, [tiles]) if tiles > 1 else None
        if self.parts is not None:
            self._part(self.parts, inner.index(row), inner.index(part))
            return
        start = self._start()
        (last,) = inner.for_loop(0, self.length, self.workers * ELEMENTS, [start], self._tile)
        if self.initial is None:
            cell = [emit_affine(inner, one, self.positions) for one in maps_of(op)[-2].results]
            first = inner.compare("eq", self.worker, 0)
            if self.valid is not None:
                first = inner.value(arith.AndIOp(first, self.valid))
            inner.branch(first, lambda nested: nested.store(last, op.outputs[0], cell))

    def _part(self, parts: Parts, row: SSAValue, part: SSAValue) -> None:
        """One part of a row: its sum, or its running values."""
        inner, combine, worker = self.emitter, self.scan.combiner, self.worker
        tile = self.workers * ELEMENTS
        size = inner.multiply(inner.ceil_divide(inner.ceil_divide(self.length, tile), parts.count), tile)
        begin = inner.multiply(part, size)
        end = inner.minimum(inner.add(begin, size), self.length)
        neutral = inner.scalar_constant(combine.neutral, body_block(self.scan.op).args[-2].type)
        is_first = inner.compare("eq", worker, 0)
        if parts.sums:
            (total,) = inner.for_loop(begin, end, tile, [neutral], self._tile)
            inner.branch(is_first, lambda nested: nested.store(total, parts.places, [row, nested.add(part, 1)]))
            starts = inner.value(arith.AndIOp(is_first, inner.compare("eq", part, 0)))
            inner.branch(starts, lambda nested: nested.store(self._start(nested), parts.places, [row, 0]))
            return
        place = inner.minimum(worker, parts.count - 1)
        found = inner.load(parts.places, [row, place])
        counts = inner.compare("ule", worker, part)
        _, start = self._before(inner, inner.value(arith.SelectOp(counts, found, neutral)), neutral)
        (last,) = inner.for_loop(begin, end, tile, [start], self._tile)
        if self.initial is None:
            cell = [emit_affine(inner, one, self.positions) for one in maps_of(self.scan.op)[-2].results]
            ends = inner.value(arith.AndIOp(is_first, inner.compare("eq", part, parts.count - 1)))
            inner.branch(ends, lambda nested: nested.store(last, self.scan.op.outputs[0], cell))

    def _start(self, emitter: Emitter | None = None) -> SSAValue:
        """What the running value is before the row."""
        inner, op = emitter or self.emitter, self.scan.op
        if self.initial is not None:
            return inner.constants.get(self.initial, body_block(op).args[-2].type)
        return inner.load(op.outputs[0], [emit_affine(inner, one, self.positions) for one in maps_of(op)[-2].results])

    def _tile(self, emitter: Emitter, start: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """Some elements of every thread; gives the running value behind all of them."""
        combine, (before,) = self.scan.combiner, carried
        first = emitter.add(start, emitter.multiply(self.worker, ELEMENTS))
        places = [emitter.add(first, number) for number in range(ELEMENTS)]
        inside = [emitter.compare("ult", place, self.length) for place in places]
        neutral = emitter.scalar_constant(combine.neutral, before.type)
        elements = [
            self._element(emitter, place, exists, neutral) for place, exists in zip(places, inside, strict=True)
        ]
        sums = [elements[0]]
        for element in elements[1:]:
            sums.append(combine(emitter, sums[-1], element))
        preceding, total = self._before(emitter, sums[-1], neutral)
        if self.parts is not None and self.parts.sums:
            return [combine(emitter, before, total)]
        own = combine(emitter, before, preceding)
        after = [combine(emitter, own, each) for each in sums]
        values = [own, *after[:-1]] if self.scan.exclusive else after
        for place, exists, value in zip(places, inside, values, strict=True):
            condition = exists if self.valid is None else emitter.value(arith.AndIOp(exists, self.valid))
            at = list(self.positions)
            at[self.scan.scanned] = place

            def store(inner: Emitter, at: Sequence[Index] = at, value: SSAValue = value) -> None:
                cell = [emit_affine(inner, one, at) for one in maps_of(self.scan.op)[-1].results]
                inner.store(value, self.scan.op.outputs[1], cell)

            emitter.branch(condition, store)
        return [combine(emitter, before, total)]

    def _element(self, emitter: Emitter, place: Index, exists: SSAValue, neutral: SSAValue) -> SSAValue:
        """What is added at a place; what changes nothing behind the end of the row."""
        op, block = self.scan.op, body_block(self.scan.op)
        at = list(self.positions)
        at[self.scan.scanned] = emitter.value(arith.SelectOp(exists, emitter.index(place), emitter.index(0)))
        known: dict[SSAValue, SSAValue] = {}

        def of(value: SSAValue) -> SSAValue:
            if value in known:
                return known[value]
            owner = value.owner
            if owner is block:
                number = list(block.args).index(value)  # pyright: ignore[reportArgumentType]
                known[value] = argument_at(emitter, op.operands[number], maps_of(op)[number], at)
                return known[value]
            if not isinstance(owner, Operation) or owner.parent_block() is not block:
                return value
            if isinstance(owner, linalg.IndexOp):
                return emitter.index(at[owner.dim.value.data])
            copy = owner.clone({operand: of(operand) for operand in owner.operands})
            emitter.append(copy)
            known.update(zip(owner.results, copy.results, strict=True))
            return known[value]

        return emitter.value(arith.SelectOp(exists, of(self.scan.element), neutral))

    def _before(self, emitter: Emitter, own: SSAValue, neutral: SSAValue) -> tuple[SSAValue, SSAValue]:
        """What the threads before this one have together, and what all have."""
        combine = self.scan.combiner
        width = min(self.warp, self.workers)

        def number(value: int) -> SSAValue:
            return emitter.constants.get(IntegerAttr(value, i32), i32)

        sums, distance = own, 1
        while distance < width:
            shuffle = ShuffleOp("up", sums, number(distance), number(width))
            emitter.append(shuffle)
            joined = combine(emitter, shuffle.result, sums)
            sums = emitter.value(arith.SelectOp(shuffle.valid, joined, sums))
            distance *= 2
        if width == 1:
            return neutral, own
        lower = ShuffleOp("up", sums, number(1), number(width))
        emitter.append(lower)
        before = emitter.value(arith.SelectOp(lower.valid, lower.result, neutral))
        whole = ShuffleOp("idx", sums, number(width - 1), number(width))
        emitter.append(whole)
        if self.shared is None:
            return before, whole.result
        shared, warps = self.shared, self.workers // self.warp
        warp, lane = emitter.divide(self.worker, self.warp), emitter.remainder(self.worker, self.warp)
        emitter.append(gpu.BarrierOp())
        emitter.branch(emitter.compare("eq", lane, 0), lambda inner: inner.store(whole.result, shared, [warp]))
        emitter.append(gpu.BarrierOp())
        earlier, total = neutral, neutral
        for other in range(warps):
            part = emitter.load(shared, [other])
            is_earlier = emitter.compare("ult", emitter.index(other), warp)
            joined = combine(emitter, earlier, part)
            earlier = emitter.value(arith.SelectOp(is_earlier, joined, earlier))
            total = combine(emitter, total, part)
        return combine(emitter, earlier, before), total
