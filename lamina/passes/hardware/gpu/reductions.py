"""Reductions that stand alone: rows by teams of threads, columns by tiles of threads, long ones by several blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_communication import AllReduceOp, SubgroupReduceOp
from lamina.dialects.loop import arith, memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.bodies import Combiner, argument_at, combiner_of, emit_body, take_fill
from lamina.passes.hardware.gpu.elements import outline_elements
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.row_shapes import static_extents
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import Emitter, Index
from lamina.passes.loop.structured import body_block, emit_affine, extent, iterators_of, maps_of

THREADS, COLUMNS = 256, 32
"""Threads of a block, and columns that a block of them has where columns are reduced."""

SHORT = 32
"""So many elements, at most, are reduced by one thread: windows of pooling, for example."""

ENOUGH_BLOCKS, LEAST_STEPS = 512, 8
"""A reduction of fewer blocks is cut into parts, of so many elements per thread at least."""


@dataclass(frozen=True)
class Reduction:
    """A reduction: its parallel and its reduced dims, those that memory runs along last; sizes where they are known."""

    op: linalg.GenericOp
    combiner: Combiner
    kept: Sequence[int]
    reduced: Sequence[int]
    along_rows: bool
    results: int | None
    length: int | None

    @staticmethod
    def of(op: linalg.GenericOp) -> Reduction | None:
        """The reduction that an op is, None where it is none, or is so short that one thread does it."""
        combiner = combiner_of(op)
        if combiner is None:
            return None
        parallel, sizes = iterators_of(op), static_extents(op)
        kept = [dim for dim, kind in enumerate(parallel) if kind]
        reduced = [dim for dim, kind in enumerate(parallel) if not kind]
        last = _contiguous_dims(op)
        results, length = _total(sizes, kept), _total(sizes, reduced)
        if length is not None and length <= SHORT:
            return None
        along_rows = any(dim in last for dim in reduced)
        order = sorted(kept, key=lambda dim: dim in last), sorted(reduced, key=lambda dim: dim in last)
        return Reduction(op, combiner, *order, along_rows, results, length)

    @property
    def workers(self) -> int:
        """Threads that share a result."""
        if self.along_rows:
            return THREADS if self.length is None else min(THREADS, _power_of_two(-(-self.length // LEAST_STEPS)))
        return THREADS // self.columns

    @property
    def columns(self) -> int:
        """Results that are next to each other, of one block."""
        if self.along_rows:
            return max(1, THREADS // 2 // self.workers) if self.workers <= COLUMNS else 1
        return COLUMNS if self.results is None else min(COLUMNS, _power_of_two(self.results))

    @property
    def splits(self) -> int:
        """Parts that the sum is cut into, for blocks of their own."""
        if self.results is None:
            return 1
        room = ENOUGH_BLOCKS // max(1, -(-self.results // self.columns))
        # A dynamic length may be anything; each part costs next to nothing where it is empty.
        most = COLUMNS if self.length is None else self.length // (self.workers * LEAST_STEPS)
        return max(1, min(room, most))


def _contiguous_dims(op: linalg.GenericOp) -> set[int]:
    """The dims that the largest input's last axis moves with."""
    ranked = [
        (len(map_.results), -number, map_)
        for number, (operand, map_) in enumerate(zip(op.inputs, maps_of(op), strict=False))
        if is_memref(operand.type) and map_.results and body_block(op).args[number].uses
    ]
    if not ranked:
        return set()
    return set(max(ranked, key=lambda entry: entry[:2])[2].results[-1].used_dims())


def _total(sizes: Sequence[int | None], dims: Sequence[int]) -> int | None:
    known = [size for dim in dims if (size := sizes[dim]) is not None]
    return prod(known) if len(known) == len(dims) else None


def _power_of_two(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()


def outline_reduction(maker: KernelMaker, reduction: Reduction) -> None:
    """Make the kernel, or the two kernels, of a reduction.

        linalg.generic {["reduction"]} ins(%x : memref<1000000xf32>) outs(%sum : memref<f32>) {%acc + %x}
    →
        %parts = memref.alloc() : memref<488xf32>
        488 blocks: each thread adds up every 256th element of a part, gpu.all_reduce, thread 0 stores %parts[block]
        1 block: %sum += what %parts add up to, in the same way

    Columns: a block has 32 columns and 8 rows at a time, whose sums meet in shared memory.
    """
    op, splits = reduction.op, reduction.splits
    host = maker.host(op)
    cut = _cut(host, reduction, splits) if splits > 1 else None
    initial = take_fill(op, op.outputs[0]) if cut is None else None
    sizes = [extent(host, op, dim) for dim in reduction.kept]
    blocks = host.multiply(host.ceil_divide(host.product(sizes), reduction.columns), splits)
    kernel = maker.begin(op)
    target = op.outputs[0]
    if cut is not None:
        target = kernel.block.insert_arg(cut[0].type, len(kernel.arguments))
        kernel.arguments[cut[0]] = target
    _ReductionKernel(kernel, reduction, splits, target, initial).emit()
    op.detach()
    op.erase()
    threads = reduction.workers * reduction.columns
    maker.finish(kernel, blocks, threads)
    if cut is None:
        return
    rest = Reduction.of(cut[1])
    if rest is None:
        outline_elements(maker, cut[1])
    else:
        outline_reduction(maker, rest)


def _cut(host: Emitter, reduction: Reduction, splits: int) -> tuple[SSAValue, linalg.GenericOp]:
    """A buffer for the parts, and the op that puts them together, behind the reduction."""
    op = reduction.op
    sizes = static_extents(op)
    shape = [splits, *(size for dim in reduction.kept if (size := sizes[dim]) is not None)]
    element = body_block(op).args[-1].type
    parts = host.value(memref.AllocOp.get(element, 64, shape))
    count = len(reduction.kept)
    kept = [AffineExpr.dimension(dim) for dim in range(count)]
    renamed: list[AffineExpr] = [AffineExpr.constant(0)] * len(sizes)
    for number, dim in enumerate(reduction.kept):
        renamed[dim] = kept[number]
    read = AffineMap(count + 1, 0, (AffineExpr.dimension(count), *kept))
    written = tuple(result.replace_dims_and_symbols(renamed, []) for result in maps_of(op)[-1].results)
    block = Block(arg_types=[element, element])
    inner = host.nested(block)
    inner.append(linalg.YieldOp(reduction.combiner(inner, block.args[1], block.args[0])))
    kinds = [linalg.IteratorTypeAttr.parallel()] * count + [linalg.IteratorTypeAttr.reduction()]
    maps = [AffineMapAttr(read), AffineMapAttr(AffineMap(count + 1, 0, written))]
    second = linalg.GenericOp([parts], list(op.outputs), Region(block), maps, kinds)
    second.location = op.location
    release = memref.DeallocOp.get(parts)
    release.location = op.location
    owner = op.parent_block()
    assert owner is not None
    owner.insert_ops_after([second, release], op)
    return parts, second


class _ReductionKernel:
    """Emits one kernel; `target` gets the results, or, of several splits, the parts; `initial`: what results start
    from, where that is not what is there."""

    def __init__(self, kernel: Kernel, reduction: Reduction, splits: int, target: SSAValue, initial: Attribute | None):
        self.kernel = kernel
        self.reduction = reduction
        self.splits = splits
        self.target = target
        self.initial = initial

    def emit(self) -> None:
        """Where this thread is, its part of the sum, what its neighbors have."""
        inner, reduction = self.kernel.emitter, self.reduction
        op = reduction.op
        extents = [extent(inner, op, dim) for dim in range(len(iterators_of(op)))]
        block, thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        tile, split = inner.divide(block, self.splits), inner.remainder(block, self.splits)
        if reduction.along_rows:
            column, worker = inner.divide(thread, reduction.workers), inner.remainder(thread, reduction.workers)
        else:
            column, worker = inner.remainder(thread, reduction.columns), inner.divide(thread, reduction.columns)
        results = inner.product([extents[dim] for dim in reduction.kept])
        own = inner.add(inner.multiply(tile, reduction.columns), column)
        valid = None
        if reduction.columns > 1:
            valid = inner.compare("ult", own, results)
            own = inner.value(arith.SelectOp(valid, inner.index(own), inner.index(0)))
        positions: list[Index] = [0] * len(extents)
        kept = delinearized(inner, inner.index(own), [extents[dim] for dim in reduction.kept])
        for dim, index in zip(reduction.kept, kept, strict=False):
            positions[dim] = index
        part = self._part(extents, positions, worker, split)
        total = self._together(part, thread, column, worker)

        def store(emitter: Emitter) -> None:
            self._store(emitter, total, positions, split)

        first = inner.compare("eq", worker, 0)
        inner.branch(first if valid is None else inner.value(arith.AndIOp(first, valid)), store)

    def _part(self, extents: Sequence[Index], positions: Sequence[Index], worker: Index, split: Index) -> SSAValue:
        """What this thread adds up."""
        inner, reduction = self.kernel.emitter, self.reduction
        op, block = reduction.op, body_block(reduction.op)
        sizes = [extents[dim] for dim in reduction.reduced]
        length = inner.product(sizes)
        lower, upper = worker, length
        if self.splits > 1:
            share = inner.ceil_divide(length, self.splits)
            start = inner.multiply(split, share)
            lower = inner.add(start, worker)
            upper = inner.minimum(inner.add(start, share), length)

        def step(emitter: Emitter, flat: SSAValue, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            at = list(positions)
            for dim, index in zip(reduction.reduced, delinearized(emitter, flat, sizes), strict=True):
                at[dim] = index
            arguments = [
                argument_at(emitter, operand, map_, at) if argument.uses else None
                for operand, map_, argument in zip(op.inputs, maps_of(op), block.args, strict=False)
            ]
            return emit_body(emitter, block, [*arguments, carried[0]], at)

        neutral = inner.scalar_constant(reduction.combiner.neutral, block.args[-1].type)
        return inner.for_loop(lower, upper, reduction.workers, [neutral], step)[0]

    def _together(self, part: SSAValue, thread: SSAValue, column: Index, worker: Index) -> SSAValue:
        """What all threads of a result have together, for the first of them at least."""
        inner, reduction = self.kernel.emitter, self.reduction
        combiner, workers = reduction.combiner, reduction.workers
        if workers == 1:
            return part
        if reduction.along_rows and reduction.columns == 1:
            return inner.value(AllReduceOp(combiner.kind, part))
        if reduction.along_rows:
            return inner.value(SubgroupReduceOp(combiner.kind, part, workers))
        columns = reduction.columns
        scratch = self.kernel.share(part.type, [workers * columns])
        inner.store(part, scratch, [thread])
        inner.append(gpu.BarrierOp())
        half = workers // 2
        while half:

            def fold(emitter: Emitter, distance: int = half) -> None:
                other = emitter.load(scratch, [emitter.add(thread, distance * columns)])
                emitter.store(combiner(emitter, emitter.load(scratch, [thread]), other), scratch, [thread])

            inner.branch(inner.compare("ult", worker, half), fold)
            inner.append(gpu.BarrierOp())
            half //= 2
        return inner.load(scratch, [column])

    def _store(self, emitter: Emitter, total: SSAValue, positions: Sequence[Index], split: Index) -> None:
        reduction = self.reduction
        if self.splits > 1:
            emitter.store(total, self.target, [split, *(positions[dim] for dim in reduction.kept)])
            return
        cell = [emit_affine(emitter, expression, positions) for expression in maps_of(reduction.op)[-1].results]
        if self.initial is None:
            old = emitter.load(self.target, cell)
        else:
            old = emitter.constants.get(self.initial, total.type)
        emitter.store(reduction.combiner(emitter, old, total), self.target, cell)
