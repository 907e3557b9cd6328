"""Elementwise stages over contiguous buffers: one long axis in blocks."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, IntegerAttr, MemRefType, NoneAttr, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineMap

from lamina.dialects.loop import memref
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type, row_major_strides
from lamina.passes.loop.restrict import Part, Views, restrict
from lamina.passes.loop.stages import Group
from lamina.passes.loop.streaming import copy_streamed, streamed_destinations
from lamina.passes.loop.structured import SCHEDULE, StructuredOp, extent, iterators_of, maps_of

BLOCK = 4096
"""Elements of one block: long enough to pay for a task, short enough that temporaries stay in L1."""


def collapse_elementwise(group: Group, constants: Constants, threshold: int | None = None) -> bool:
    """Run purely elementwise stages over one long axis in blocks; False, and nothing changed, where they are not that.

        linalg.generic {identity maps} ins(%x : memref<64x96xf32>) outs(%y : memref<64x96xf32>)
    →
        %x1 = memref.reinterpret_cast %x to offset: [0], sizes: [6144], strides: [1] : … to memref<6144xf32>
        scf.forall (%b) = (0) to (6144) step (4096) {
          %size = min(4096, 6144 - %b)
          linalg.generic ins(%x1[%b] [%size]) outs(%y1[%b] [%size])
        }

    Destinations of more than `threshold` bytes are streamed: computed in a scratch buffer and copied past the caches.
    """
    if not all(_is_elementwise(op) for op in group.ops):
        return False
    emitter = Emitter.ahead_of(group.ops[-1], constants)
    last = group.ops[-1]
    sizes = [extent(emitter, last, dim) for dim in range(len(iterators_of(last)))]
    total = emitter.product(sizes)
    flat = _FlatBuffers(emitter, total)
    temporaries = [flat.of(buffer) for buffer in group.temporaries()]
    streamed = [flat.of(buffer) for buffer in streamed_destinations(group, threshold)]
    ops = [_flattened(emitter, op, flat) for op in group.ops]
    length = BLOCK if not isinstance(total, int) else min(BLOCK, total)
    divides = isinstance(total, int) and length > 0 and total % length == 0

    def body(inner: Emitter, positions: Sequence[SSAValue]) -> None:
        (start,) = positions
        size = length if divides else inner.minimum(inner.subtract(total, start), length)
        scratch = {buffer: _scratch(inner, buffer, length, size) for buffer in (*temporaries, *streamed)}
        views = Views(scratch)
        for op in ops:
            copy = restrict(inner, op, {0: Part(start, size)}, views)
            copy.attributes.pop(SCHEDULE, None)
        for buffer in streamed:
            copy_streamed(inner, scratch[buffer], inner.subview(buffer, [start], [size]))

    grain: Attribute = IntegerAttr(max(1, group.schedule.grain * _inner_size(group, sizes) // BLOCK), i64)
    emitter.forall([total], [max(1, length)], body, {"lamina.grain": grain})
    for op in [*ops, *group.ops]:
        op.detach()
        op.erase()
    return True


def _is_elementwise(op: StructuredOp) -> bool:
    rank = len(iterators_of(op))
    if not all(iterators_of(op)) or rank == 0 or any(isinstance(inner, linalg.IndexOp) for inner in op.body.walk()):
        return False
    return all(
        (map_ == AffineMap.identity(rank) and isinstance(memref_type(operand).layout, NoneAttr))
        or not is_memref(operand.type)
        or not map_.results
        for operand, map_ in zip(op.operands, maps_of(op), strict=True)
    )


def _inner_size(group: Group, sizes: Sequence[Index]) -> int:
    """How many elements one iteration of the schedule has, as far as that is known."""
    names = group.names[group.ops[-1]]
    count = 1
    for name, size in zip(names, sizes, strict=True):
        if name not in group.schedule.parallel and isinstance(size, int):
            count *= size
    return count


class _FlatBuffers:
    """One-dimensional views of buffers."""

    def __init__(self, emitter: Emitter, total: Index):
        self.emitter = emitter
        self.total = total
        self.known: dict[SSAValue, SSAValue] = {}

    def of(self, buffer: SSAValue) -> SSAValue:
        """The buffer as one axis; scalars stay."""
        if not is_memref(buffer.type) or buffer.type.get_num_dims() == 0:
            return buffer
        if buffer not in self.known:
            self.known[buffer] = self._view(buffer)
        return self.known[buffer]

    def _view(self, buffer: SSAValue) -> SSAValue:
        source = memref_type(buffer)
        if source.get_num_dims() == 1:
            return buffer
        size = DYNAMIC_INDEX if isinstance(self.total, SSAValue) else self.total
        type_ = MemRefType(source.get_element_type(), [size])
        sizes = [self.total]
        strides = row_major_strides(self.emitter, sizes)
        return self.emitter.value(memref.ReinterpretCastOp.from_dynamic(buffer, [0], sizes, strides, type_))


def _flattened(emitter: Emitter, op: StructuredOp, flat: _FlatBuffers) -> StructuredOp:
    operands = [flat.of(operand) for operand in op.operands]
    if isinstance(op, linalg.FillOp):
        copy: StructuredOp = linalg.FillOp(operands[:1], operands[1:], ())
    else:
        inputs = len(op.inputs)
        maps = [AffineMap(1, 0, AffineMap.identity(1).results if map_.results else ()) for map_ in maps_of(op)]
        copy = linalg.GenericOp(
            operands[:inputs],
            operands[inputs:],
            op.detach_region(op.body),
            [AffineMapAttr(map_) for map_ in maps],
            [linalg.IteratorTypeAttr.parallel()],
        )
    emitter.append(copy)
    copy.location = op.location
    return copy


def _scratch(emitter: Emitter, buffer: SSAValue, length: int, size: Index) -> SSAValue:
    """A buffer for one block of a temporary."""
    element_type = memref_type(buffer).get_element_type()
    whole = emitter.value(memref.AllocaOp.get(element_type, ALIGNMENT, [length]))
    return whole if size == length else emitter.subview(whole, [0], [size])
