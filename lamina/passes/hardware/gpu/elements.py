"""Elementwise stages: neighboring elements by one thread, loaded and stored 16 bytes at a time; all else one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX, MemRefType, NoneAttr
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from lamina.dialects.hardware import gpu
from lamina.dialects.loop import arith, memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.alignment import has_vectors, is_dense, load_many, starts_aligned, store_many
from lamina.passes.hardware.gpu.bodies import argument_at, emit_body
from lamina.passes.hardware.gpu.kernel import KernelMaker
from lamina.passes.hardware.gpu.row_shapes import VECTOR_BYTES, static_extents
from lamina.passes.hardware.gpu.stages import delinearized, lower_one_position, parallel_extents
from lamina.passes.loop.emitter import Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import (
    StructuredOp,
    body_block,
    element_type,
    emit_affine,
    extent,
    iterators_of,
    maps_of,
)

THREADS, LEAST_THREADS = 256, 32
"""Threads of a block, and of one that has little to do."""


def outline_elements(maker: KernelMaker, op: StructuredOp) -> None:
    """Make the kernel of a stage whose parallel positions have nothing to do with each other.

        linalg.generic {identity maps} ins(%x : memref<64x96xf32>) outs(%y : memref<64x96xf32>)
    →
        6 blocks of 256 threads, four elements each: where all four are inside, four loads, four bodies, four stores,
        which LLVM makes one load and one store of 128 bits; at the end of the buffer one by one

    Where rows are not one piece of memory and their length is dynamic, the kernel asks whether it is a multiple of what
    a thread has; where it is not, threads have as many elements that lie a grid apart, one by one.

    Reductions run in sequence in the thread that has the position.
    """
    vector = vector_of(op)
    wide = [is_memref(operand.type) and starts_aligned(operand, maker.unaligned) for operand in op.operands]
    host = maker.host(op)
    total = host.product(parallel_extents(host, op))
    chunks = host.ceil_divide(total, vector)
    threads = threads_for(chunks)
    grid = host.ceil_divide(chunks, threads)
    kernel = maker.begin(op)
    inner = kernel.emitter
    block, thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
    worker = inner.index(inner.add(inner.multiply(block, threads), thread))
    limit = inner.product(parallel_extents(inner, op))
    if vector > 1:
        _Elements(op, vector, wide).emit(inner, worker, limit)
        op.detach()
        op.erase()
    else:
        inside = inner.compare("ult", worker, limit)
        inner.branch(inside, lambda nested: lower_one_position(nested, op, worker))
    maker.finish(kernel, grid, threads)


def threads_for(count: Index) -> int:
    """Threads of a block for so much work: a power of two."""
    threads = LEAST_THREADS
    while threads < THREADS and (not isinstance(count, int) or threads < count):
        threads *= 2
    return threads


def vector_of(op: StructuredOp) -> int:
    """How many neighboring elements one thread computes; 1 where they are not read and written side by side."""
    if not all(iterators_of(op)) or any(inner.regions or inner.name == "memref.load" for inner in op.body.walk()):
        return 1
    widest = max(element_bytes(element_type(operand)) for operand in op.operands)
    vector = VECTOR_BYTES // widest
    if is_flat(op):
        return vector
    sizes = static_extents(op)
    if not sizes:
        return 1
    maps = maps_of(op)
    last = AffineMap.identity(len(sizes)).results[-1]
    outputs = maps[len(op.inputs) :]
    if any(not map_.results or map_.results[-1] != last for map_ in outputs):
        return 1
    size = sizes[-1]
    while vector > 1 and size is not None and size % vector:
        vector //= 2
    return vector


def is_flat(op: StructuredOp) -> bool:
    """Whether all buffers are contiguous and accessed in the order that they lie in."""
    rank = len(iterators_of(op))
    if rank == 0 or any(isinstance(inner, linalg.IndexOp) for inner in op.body.walk()):
        return False
    return all(
        not is_memref(operand.type)
        or not map_.results
        or (map_ == AffineMap.identity(rank) and isinstance(memref_type(operand).layout, NoneAttr))
        for operand, map_ in zip(op.operands, maps_of(op), strict=True)
    )


class _Elements:
    """Emits an elementwise stage on chunks of neighboring elements."""

    def __init__(self, op: StructuredOp, vector: int, aligned: Sequence[bool]):
        self.op = op
        self.vector = vector
        self.flat = is_flat(op)
        sizes = static_extents(op)
        self.asks = not self.flat and bool(sizes) and sizes[-1] is None
        """Whether chunks are of one row is only known when the kernel runs."""
        self.wide = [is_aligned and self._is_wide(number) for number, is_aligned in enumerate(aligned)]

    def _is_wide(self, number: int) -> bool:
        """Whether an operand's elements of a chunk are one load or store: neighbors at a multiple of their size."""
        operand, map_ = self.op.operands[number], maps_of(self.op)[number]
        if not map_.results or not has_vectors(operand) or not is_dense(memref_type(operand)):
            return False
        if self.flat:
            return True
        rank = map_.num_dims
        moving = AffineMap.identity(rank).results[-1]
        size = memref_type(operand).get_shape()[-1]
        return (
            map_.results[-1] == moving
            and (size % self.vector == 0 if size > 0 else self.asks and size == DYNAMIC_INDEX)
            and all(rank - 1 not in result.used_dims() for result in map_.results[:-1])
        )

    def emit(self, emitter: Emitter, worker: SSAValue, limit: Index) -> None:
        """What the thread with number `worker` does of `limit` elements."""
        start = emitter.index(emitter.multiply(worker, self.vector))
        buffers = list(self.op.operands)
        if self.flat:
            buffers = [self._one_axis(emitter, operand, limit) for operand in buffers]
        extents = [extent(emitter, self.op, dim) for dim in range(len(iterators_of(self.op)))]
        whole = isinstance(limit, int) and limit % self.vector == 0

        def chunk(inner: Emitter) -> None:
            self._chunk(inner, buffers, self._positions(inner, start, extents, range(self.vector)))

        def rest(inner: Emitter) -> None:
            for number in range(self.vector - 1):
                at = inner.add(start, number)

                def one(nested: Emitter, number: int = number) -> None:
                    self._chunk(nested, buffers, self._positions(nested, start, extents, [number]))

                inner.branch(inner.compare("ult", at, limit), one)

        if self.asks:
            self._ask(emitter, worker, limit, extents, chunk)
            return
        end = start if whole else emitter.add(start, self.vector - 1)
        emitter.branch(emitter.compare("ult", end, limit), chunk, None if whole else rest)

    def _ask(
        self,
        emitter: Emitter,
        worker: SSAValue,
        limit: Index,
        extents: Sequence[Index],
        chunk: Callable[[Emitter], None],
    ) -> None:
        """A chunk where rows are whole chunks, else elements one by one."""
        buffers = list(self.op.operands)
        lengths = [extents[-1]]
        for buffer, wide in zip(buffers, self.wide, strict=True):
            if wide:
                lengths.append(emitter.size(buffer, memref_type(buffer).get_num_dims() - 1))
        rests = [emitter.remainder(length, self.vector) for length in dict.fromkeys(lengths)]
        divides = emitter.compare("eq", 0, 0)
        for rest in rests:
            if rest != 0:
                divides = emitter.value(arith.AndIOp(divides, emitter.compare("eq", rest, 0)))
        start = emitter.multiply(worker, self.vector)
        stride = emitter.ceil_divide(limit, self.vector)

        def together(inner: Emitter) -> None:
            inner.branch(inner.compare("ult", start, limit), chunk)

        def apart(inner: Emitter) -> None:
            for number in range(self.vector):
                flat = inner.index(inner.add(worker, inner.multiply(stride, number)))

                def one(nested: Emitter, flat: SSAValue = flat) -> None:
                    self._chunk(nested, buffers, [delinearized(nested, flat, extents)])

                inside = inner.compare("ult", flat, limit)
                owned = inner.value(arith.AndIOp(inside, inner.compare("ult", worker, stride)))
                inner.branch(owned, one)

        emitter.branch(divides, together, apart)

    def _one_axis(self, emitter: Emitter, buffer: SSAValue, total: Index) -> SSAValue:
        if not is_memref(buffer.type) or buffer.type.get_num_dims() < 2:
            return buffer
        size = total if isinstance(total, int) else DYNAMIC_INDEX
        type_ = MemRefType(memref_type(buffer).get_element_type(), [size])
        return emitter.value(memref.ReinterpretCastOp.from_dynamic(buffer, [0], [total], [1], type_))

    def _positions(
        self, emitter: Emitter, start: SSAValue, extents: Sequence[Index], numbers: Sequence[int]
    ) -> list[list[Index]]:
        """The positions of some elements of the chunk: one index where buffers have one axis."""
        if self.flat:
            return [[emitter.add(start, number)] for number in numbers]
        first = delinearized(emitter, start, extents)
        return [[*first[:-1], emitter.add(first[-1], number)] for number in numbers]

    def _chunk(self, emitter: Emitter, buffers: Sequence[SSAValue], places: Sequence[Sequence[Index]]) -> None:
        op, block = self.op, body_block(self.op)
        maps = maps_of(op)
        if self.flat:
            maps = [AffineMap(1, 0, AffineMap.identity(1).results if map_.results else ()) for map_ in maps]
        many = len(places) == self.vector
        columns = [
            self._loaded(emitter, buffer, map_, places, wide and many) if argument.uses else [None] * len(places)
            for buffer, map_, argument, wide in zip(buffers, maps, block.args, self.wide, strict=True)
        ]
        results = [
            emit_body(emitter, block, [column[number] for column in columns], at) for number, at in enumerate(places)
        ]
        first = len(op.inputs)
        for index in range(len(op.outputs)):
            values = [result[index] for result in results]
            buffer, map_, wide = buffers[first + index], maps[first + index], self.wide[first + index]
            cells = [[emit_affine(emitter, expression, at) for expression in map_.results] for at in places]
            if wide and many:
                store_many(emitter, values, buffer, cells[0])
                continue
            for value, cell in zip(values, cells, strict=True):
                emitter.store(value, buffer, cell)

    def _loaded(
        self, emitter: Emitter, buffer: SSAValue, map_: AffineMap, places: Sequence[Sequence[Index]], wide: bool
    ) -> Sequence[SSAValue]:
        """An operand's elements at some positions."""
        if wide:
            cell = [emit_affine(emitter, expression, places[0]) for expression in map_.results]
            return load_many(emitter, buffer, cell, self.vector)
        return [argument_at(emitter, buffer, map_, at) for at in places]
