"""A `linalg.generic` as schedules see it, and the writing of their attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IndexType, IntegerAttr, StringAttr, i64
from xdsl.ir import Attribute, Operation
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_tensor
from lamina.dialects.tensor import linalg

AXES, SCHEDULE, BORDER = "lamina.axes", "lamina.schedule", "lamina.border"

CHUNK_OPERATIONS = 16 * 1024
"""Scalar operations in one piece of parallel work, at least: some microseconds, against one for handing it out."""

ALONE_OPERATIONS = 128 * 1024
"""A contraction of fewer multiplications and additions is done, vectorized, before another thread has begun."""

ASSUMED_SIZE = 128
"""What an unknown size counts as."""


class StageView:
    """A `linalg.generic` as schedules see it."""

    def __init__(self, op: linalg.GenericOp):
        self.op = op
        self.maps: Sequence[AffineMap] = [attribute.data for attribute in op.indexing_maps]
        self.parallel = [kind.data == linalg.IteratorType.PARALLEL for kind in op.iterator_types]
        self.sizes = self._sizes()
        self.names = self._names()

    def _sizes(self) -> list[int | None]:
        """The static size of each iteration dim, None where it is dynamic."""
        sizes: list[int | None] = [None] * len(self.parallel)
        for operand, map_ in zip(self.op.operands, self.maps, strict=True):
            if not is_tensor(operand.type):
                continue
            for expression, size in zip(map_.results, operand.type.get_shape(), strict=True):
                if isinstance(expression, AffineDimExpr) and size >= 0:
                    sizes[expression.position] = size
        return sizes

    def _names(self) -> list[str]:
        """The axes' names; written on the op where it has none."""
        written = self.op.attributes.get(AXES)
        names = [name.data for name in cast("ArrayAttr[StringAttr]", written)] if isinstance(written, ArrayAttr) else []
        if len(names) != len(self.parallel):
            names = [f"{'i' if parallel else 'r'}{dim}" for dim, parallel in enumerate(self.parallel)]
            self.op.attributes[AXES] = texts(names)
        return names

    @property
    def output_maps(self) -> Sequence[AffineMap]:
        return self.maps[len(self.op.inputs) :]

    @property
    def leading_parallel(self) -> int:
        """How many dims before the first reduction."""
        return self.parallel.index(False) if False in self.parallel else len(self.parallel)

    def size(self, dim: int) -> int:
        """The size of a dim, assumed where it is dynamic."""
        size = self.sizes[dim]
        return ASSUMED_SIZE if size is None else size

    @property
    def is_padded(self) -> bool:
        """Whether the first input is a copy of another tensor with zeros around it."""
        owner = self.op.inputs[0].owner
        return isinstance(owner, Operation) and BORDER in owner.attributes

    def operations(self, outer: int) -> int:
        """Scalar operations of one iteration of the `outer` leading dims; those on positions leave the loops."""
        inner = prod(self.size(dim) for dim in range(outer, len(self.parallel)))
        return inner * max(1, sum(1 for op in self.op.body.walk() if not _is_on_positions(op)) - 1)


def _is_on_positions(op: Operation) -> bool:
    """Whether an op gives an index, or compares two."""
    values = op.operands if isinstance(op, arith.CmpiOp) else op.results
    return any(isinstance(value.type, IndexType) for value in values)


def plain_dims(map_: AffineMap) -> list[int | None]:
    return [result.position if isinstance(result, AffineDimExpr) else None for result in map_.results]


def write_schedule(op: Operation, schedule: Mapping[str, Attribute]) -> None:
    op.attributes.setdefault(SCHEDULE, DictionaryAttr(dict(schedule)))


def texts(names: Sequence[str]) -> ArrayAttr[StringAttr]:
    return ArrayAttr([StringAttr(name) for name in names])


def numbers(entries: Mapping[str, int]) -> DictionaryAttr:
    return DictionaryAttr({name: IntegerAttr(value, i64) for name, value in entries.items()})


def contraction_grain(stage: StageView, work: int) -> IntegerAttr:
    """How many blocks of `work` operations make one piece: a contraction that is small as a whole is one piece."""
    total = 2 * prod(stage.size(dim) for dim in range(len(stage.sizes)))
    pieces = ceil(ALONE_OPERATIONS / max(work, 1)) if total < ALONE_OPERATIONS else CHUNK_OPERATIONS // max(work, 1)
    return IntegerAttr(max(1, pieces), i64)
