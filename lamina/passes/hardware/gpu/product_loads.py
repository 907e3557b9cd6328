"""Bringing blocks of a product's factors into shared memory, through registers or by asynchronous copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.hardware.nvgpu import AsyncCopyOp
from lamina.dialects.loop import arith, vector
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.hardware.gpu.swizzle import swizzled
from lamina.passes.loop.emitter import Emitter, Index, memref_type, scalar_attribute, vector_of
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import emit_affine, linear

MOST_BYTES = 16
"""What a thread loads or stores at a time, at most."""


@dataclass(frozen=True)
class FlatAxis:
    """Iteration dims taken as one axis, the last the fastest."""

    dims: Sequence[int]
    extents: Sequence[Index]

    def total(self, emitter: Emitter) -> Index:
        """The size of the axis."""
        return emitter.product(self.extents)

    def positions(self, emitter: Emitter, flat: Index) -> Mapping[int, Index]:
        """The position along every dim."""
        if len(self.dims) == 1:
            return {self.dims[0]: flat}
        return dict(zip(self.dims, delinearized(emitter, emitter.index(flat), self.extents), strict=True))


@dataclass(frozen=True)
class Chunk:
    """Neighboring elements that one thread brings: where they lie in the block, and in the factor.

    `inside`: whether they exist (None: always), `guard`: whether this thread brings them at all (None: always).
    """

    side: Index
    deep: Index
    cell: Sequence[Index]
    inside: SSAValue | None
    guard: SSAValue | None


def widest_load(map_: AffineMap, shape: Sequence[int], dim: int, size: int | None, bytes_each: int) -> int:
    """How many neighbors along an iteration dim lie next to each other and aligned in an operand, at most 16 bytes.

    `shape` is the operand's (-1: dynamic), `size` that of the dim (None: dynamic).
    """
    found = linear(map_.results[-1]) if map_.results else None
    if found is None or found.coefficient(dim) != 1 or size is None or shape[-1] < 1:
        return 1
    if any(dim in result.used_dims() for result in map_.results[:-1]):
        return 1
    others = [factor for other, factor in found.terms if other != dim]
    return gcd(MOST_BYTES // bytes_each, size, shape[-1], found.constant, *others)


def aligned_load(emitter: Emitter, buffer: SSAValue, indices: Sequence[Index], count: int) -> SSAValue:
    """`count` neighbors as a vector, at an address that is a multiple of their size."""
    element = memref_type(buffer).get_element_type()
    return emitter.value(
        vector.LoadOp.create(
            operands=[buffer, *(emitter.index(index) for index in indices)],
            result_types=[vector_of((count,), element)],
            attributes=_alignment(element, count),
        )
    )


def aligned_store(emitter: Emitter, value: SSAValue, buffer: SSAValue, indices: Sequence[Index], count: int) -> None:
    """The converse of `aligned_load`."""
    emitter.append(
        vector.StoreOp.create(
            operands=[value, buffer, *(emitter.index(index) for index in indices)],
            attributes=_alignment(memref_type(buffer).get_element_type(), count),
        )
    )


def _alignment(element: Attribute, count: int) -> dict[str, Attribute]:
    return {"alignment": IntegerAttr(element_bytes(element) * count, i64)}


@dataclass
class FactorLoader:
    """Brings blocks of one factor.

    `side` is the axis that the result has too, `start` where this block begins on it and `block` its size; `batch` the
    positions of the other dims. `shared` is `[stages, block, block_depth + padding]` where `keeps_rows`, else
    `[stages, block_depth, block + padding]`. `along_depth`: neighbors in the factor are neighbors along the depth.
    """

    factor: SSAValue
    map_: AffineMap
    side: FlatAxis
    depth: FlatAxis
    batch: dict[int, Index]
    start: Index
    block: int
    block_depth: int
    shared: SSAValue
    keeps_rows: bool
    along_depth: bool
    vector: int
    worker: SSAValue
    threads: int
    before: Sequence[int] = ()
    """Where the factor is read as if it were padded: positions before the first of every axis."""
    swizzle: bool = False
    """Whether chunks of 16 bytes of a line of shared memory change places."""

    def __post_init__(self) -> None:
        self._placed: list[tuple[Index, Index, SSAValue | None]] = []
        self._sides: dict[Index, tuple[Mapping[int, Index], SSAValue | None]] = {}

    @property
    def element(self) -> Attribute:
        return memref_type(self.factor).get_element_type()

    def places(self, emitter: Emitter) -> list[tuple[Index, Index, SSAValue | None]]:
        """For every chunk of this thread, where it lies along the side and the depth of a block, and its guard."""
        fast, slow = (self.block_depth, self.block) if self.along_depth else (self.block, self.block_depth)
        per_line = fast // self.vector
        total = per_line * slow
        found: list[tuple[Index, Index, SSAValue | None]] = []
        for number in range(-(-total // self.threads)):
            if self.threads % per_line == 0:
                line = emitter.add(emitter.divide(self.worker, per_line), number * (self.threads // per_line))
                position = emitter.remainder(self.worker, per_line)
            else:
                flat = emitter.add(self.worker, number * self.threads)
                line, position = emitter.divide(flat, per_line), emitter.remainder(flat, per_line)
            guard = None
            if (number + 1) * self.threads > total:
                guard = emitter.compare("ult", emitter.add(self.worker, number * self.threads), total)
                # Threads without a chunk load what exists, and do not store it.
                line = _first_unless(emitter, guard, line)
            along = emitter.multiply(position, self.vector)
            found.append((line, along, guard) if self.along_depth else (along, line, guard))
        return found

    def prepare(self, emitter: Emitter) -> None:
        """Compute what does not depend on the depth, ahead of the loop."""
        total = self.side.total(emitter)
        fits = isinstance(total, int) and total % self.block == 0
        self._placed = self.places(emitter)
        for side, _, _ in self._placed:
            key = side
            if key in self._sides:
                continue
            flat = emitter.add(self.start, side)
            inside = None if fits else emitter.compare("ult", flat, total)
            self._sides[key] = self.side.positions(emitter, _first_unless(emitter, inside, flat)), inside

    def chunks(self, emitter: Emitter, first: Index, limit: Index | None) -> list[Chunk]:
        """The chunks of the block that begins at `first` of the depth; nothing exists from `limit` on."""
        found: list[Chunk] = []
        for side, deep, guard in self._placed:
            positions, inside = self._sides[side]
            flat = emitter.add(first, deep)
            if limit is not None:
                within = emitter.compare("ult", flat, limit)
                inside = within if inside is None else emitter.value(arith.AndIOp(inside, within))
                flat = _first_unless(emitter, within, flat)
            at = {**self.batch, **positions, **self.depth.positions(emitter, flat)}
            ordered = [at.get(dim, 0) for dim in range(self.map_.num_dims)]
            cell = [emit_affine(emitter, expression, ordered) for expression in self.map_.results]
            cell, inside = self._unpadded(emitter, cell, inside)
            found.append(Chunk(side, deep, cell, inside, guard))
        return found

    def _unpadded(
        self, emitter: Emitter, cell: Sequence[Index], inside: SSAValue | None
    ) -> tuple[Sequence[Index], SSAValue | None]:
        """A position in the factor itself, where the map gives one in the padded factor."""
        if not self.before:
            return cell, inside
        found: list[Index] = []
        for axis, (position, low, expression) in enumerate(zip(cell, self.before, self.map_.results, strict=True)):
            if isinstance(expression, AffineDimExpr):
                found.append(position)
                continue
            own = emitter.subtract(position, low)
            within = emitter.compare("ult", own, emitter.size(self.factor, axis))
            found.append(_first_unless(emitter, within, own))
            inside = within if inside is None else emitter.value(arith.AndIOp(inside, within))
        return found, inside

    def load(self, emitter: Emitter, chunk: Chunk) -> SSAValue:
        """The elements of a chunk in a register, zeros where they do not exist."""
        if self.vector == 1:
            value = emitter.load(self.factor, chunk.cell)
            zero = emitter.scalar_constant(0.0, self.element)
        else:
            value = aligned_load(emitter, self.factor, chunk.cell, self.vector)
            type_ = vector_of((self.vector,), self.element)
            zero = emitter.splat(scalar_attribute(0.0, self.element), type_)
        if chunk.inside is None:
            return value
        return emitter.value(arith.SelectOp(chunk.inside, value, zero))

    def store(self, emitter: Emitter, chunk: Chunk, value: SSAValue, slot: Index) -> None:
        """Put a chunk into shared memory."""
        if chunk.guard is None:
            self._store(emitter, chunk, value, slot)
        else:
            emitter.branch(chunk.guard, lambda inner: self._store(inner, chunk, value, slot))

    def _store(self, emitter: Emitter, chunk: Chunk, value: SSAValue, slot: Index) -> None:
        if self.vector == 1:
            emitter.store(value, self.shared, self._place(emitter, chunk, slot))
        elif self.along_depth == self.keeps_rows:
            aligned_store(emitter, value, self.shared, self._place(emitter, chunk, slot), self.vector)
        else:
            for number in range(self.vector):
                element = emitter.value(vector.ExtractOp(value, [number], self.element))
                emitter.store(element, self.shared, self._place(emitter, chunk, slot, number))

    def copy(self, emitter: Emitter, chunk: Chunk, slot: Index) -> SSAValue | None:
        """Begin to copy a chunk to shared memory; the copy's token, None where not every thread copies."""
        present = None
        if chunk.inside is not None:
            sizes = emitter.index(self.vector), emitter.index(0)
            present = emitter.value(arith.SelectOp(chunk.inside, *sizes))

        cell, place = ([emitter.index(index) for index in at] for at in (chunk.cell, self._place(emitter, chunk, slot)))
        op = AsyncCopyOp(self.factor, cell, self.shared, place, self.vector, present)
        if chunk.guard is None:
            return emitter.value(op)
        emitter.branch(chunk.guard, lambda inner: _append(inner, op))
        return None

    def _place(self, emitter: Emitter, chunk: Chunk, slot: Index, shift: int = 0) -> list[Index]:
        side, deep = chunk.side, chunk.deep
        if shift:
            side, deep = (side, emitter.add(deep, shift)) if self.along_depth else (emitter.add(side, shift), deep)
        line, column = (side, deep) if self.keeps_rows else (deep, side)
        return [slot, *shared_place(emitter, self.shared, line, column, swizzle=self.swizzle)]


def _append(emitter: Emitter, op: Operation) -> None:
    emitter.append(op)


def _first_unless(emitter: Emitter, inside: SSAValue | None, flat: Index) -> Index:
    """A position that exists: the first of all where this one does not."""
    if inside is None:
        return flat
    return emitter.value(arith.SelectOp(inside, emitter.index(flat), emitter.index(0)))


def shared_place(
    emitter: Emitter, shared: SSAValue, line: Index, column: Index, *, swizzle: bool
) -> tuple[Index, Index]:
    """Where an element lies in a stage of a factor's shared memory."""
    if not swizzle:
        return line, column
    type_ = memref_type(shared)
    each = element_bytes(type_.get_element_type())
    return line, swizzled(emitter, line, column, each, type_.get_shape()[-1] * each)


def shared_shape(block: int, block_depth: int, stages: int, padding: int, *, keeps_rows: bool) -> list[int]:
    """The shape of a factor's shared memory."""
    return [stages, block, block_depth + padding] if keeps_rows else [stages, block_depth, block + padding]
