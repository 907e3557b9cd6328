"""How the rows of a loop are shared out among threads, and what the stages on a row are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir.affine import AffineDimExpr

from lamina.passes.hardware.gpu.bodies import Combiner, Extreme, combiner_of, extreme_of, flat_dims, static_shape
from lamina.passes.loop.emitter import Index
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import StructuredOp, element_type, iterators_of, maps_of

VECTOR_BYTES = 16
"""What one thread loads and stores at once."""

MOST_KEPT = 32
"""Elements of a row that a thread has in registers, at most; longer rows are read again."""

ELEMENTS_PER_THREAD, BLOCK_THREADS, MOST_THREADS = 8, 128, 1024
"""What a thread should have of a row, threads of a block that has several rows, and of one that has one, at most."""


@dataclass(frozen=True)
class Stage:
    """A structured op on one row. `extents`: None where dynamic; `dims`: those of more than one position, in order."""

    op: StructuredOp
    extents: Sequence[int | None]
    dims: Sequence[int]
    combiner: Combiner | None
    extreme: Extreme | None

    @staticmethod
    def of(op: StructuredOp) -> Stage:
        """Read an op."""
        extents = static_extents(op)
        dims = [dim for dim, size in enumerate(extents) if size != 1]
        return Stage(op, extents, dims, combiner_of(op), extreme_of(op))

    @property
    def total(self) -> int | None:
        """The number of positions, None where that is not known."""
        sizes = [size for size in self.extents if size is not None]
        return prod(sizes) if len(sizes) == len(self.extents) else None

    @property
    def innermost(self) -> int:
        """The number of positions of its innermost axis: loads and stores of neighbors stay within."""
        return self.extents[self.dims[-1]] or 1 if self.dims else 1

    @property
    def reduces(self) -> bool:
        """Whether there is one result for the whole row."""
        return self.combiner is not None or self.extreme is not None

    @property
    def is_supported(self) -> bool:
        """Whether it is a map, or a reduction of all of its positions."""
        parallel = iterators_of(self.op)
        if all(parallel):
            return True
        return self.reduces and not any(parallel[dim] for dim in self.dims)

    def is_flat(self, number: int) -> bool:
        """Whether the elements of an operand are met in order, one per position."""
        known: list[Index] = [1 if size == 1 else 2 for size in self.extents]
        return flat_dims(maps_of(self.op)[number], known) == list(self.dims)


def static_extents(op: StructuredOp) -> list[int | None]:
    """The sizes of the iteration dims as far as types tell them."""
    sizes: list[int | None] = [None] * len(iterators_of(op))
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        for result, size in zip(map_.results, static_shape(operand), strict=False):
            if isinstance(result, AffineDimExpr) and size != DYNAMIC_INDEX:
                sizes[result.position] = size
    return sizes


@dataclass(frozen=True)
class Shape:
    """How threads share rows: `workers` per row, `rows` per block; `length` of a row that is kept in registers (None:
    it is not), in chunks of `vector` elements."""

    workers: int
    rows: int
    vector: int
    length: int | None

    @property
    def steps(self) -> int:
        """Chunks that a thread has of a row that is kept."""
        return -(-(self.length or 0) // (self.workers * self.vector))


def shape_of(stages: Sequence[Stage], in_memory: bool, threads: int, across: bool = False) -> Shape:
    """The shape for the stages of a row; `in_memory`: temporaries lie in shared memory, which a whole block has.

    `across`: memory runs across the rows, so that neighboring threads have neighboring rows, each a whole one.
    """
    totals = [stage.total for stage in stages]
    known = [total for total in totals if total is not None]
    length = max(known, default=1)
    if across and not in_memory:
        is_short = len(known) == len(totals) and length <= MOST_KEPT
        return Shape(1, BLOCK_THREADS, 1, length if is_short else None)
    if len(known) < len(totals):
        return Shape(min(256, threads), 1, 1, None)
    widest = max(
        (element_bytes(element_type(operand)) for stage in stages for operand in stage.op.operands),
        default=VECTOR_BYTES,
    )
    vector = VECTOR_BYTES // widest
    while vector > 1 and any(stage.innermost % vector for stage in stages if stage.total != 1):
        vector //= 2
    share = ELEMENTS_PER_THREAD // 2 if length <= BLOCK_THREADS else ELEMENTS_PER_THREAD
    workers = _power_of_two(-(-length // max(share, vector)))
    if workers > 256 and length <= 256 * MOST_KEPT:
        workers = 256
    workers = min(workers, threads, MOST_THREADS)
    if in_memory:
        workers = max(workers, min(32, threads))
    rows = max(1, BLOCK_THREADS // workers) if workers <= 32 and not in_memory else 1
    if not in_memory and workers > 32:
        rows = 1
    kept = length if length <= workers * MOST_KEPT else None
    return Shape(workers, rows, vector, kept)


def _power_of_two(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()
