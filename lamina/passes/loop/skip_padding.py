"""`skip-padding`: convolutions read their input where it is, and leave out the taps that fall on its padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import MemRefType, ModuleOp, StridedLayoutAttr
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.dialects.loop import memref
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.loop.borders import BORDER, border_widths
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.contraction import read_factors
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type, row_major_strides
from lamina.passes.loop.structured import Schedule, body_block, iterators_of, maps_of, positions_of_map

SKIPPED = "skipped"


@dataclass(frozen=True)
class SkipPaddingPass(LaminaPass):
    """Take away copies that only pad the input of a convolution.

        %padded = memref.alloc() : memref<1x9x9x512xf32>
        linalg.generic outs(%padded) attrs = {lamina.border = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>} { … memref.load %x … }
        linalg.generic ins(%padded, %w …) attrs = {lamina.schedule = {kind = "contraction", padding = "skipped", …}}
    →
        %padded = memref.reinterpret_cast %x to offset: [%offset], sizes: [1, 9, 9, 512], strides: …
          {lamina.border = array<i64: 0, 1, 1, 0, 0, 1, 1, 0>} : memref<1x7x7x512xf32> to memref<1x9x9x512xf32, …>
        linalg.generic ins(%padded, %w …) …

    The view has its elements where the copy had them; those of the border lie anywhere, and `vectorize` does not read
    them. A border in front of the buffer makes the offset negative. Copies that anything else reads stay.
    """

    name = "skip-padding"
    requires: ClassVar[frozenset[str]] = frozenset({"buffers"})
    ensures: ClassVar[frozenset[str]] = frozenset({"padding-skipped"})
    counters: ClassVar[Mapping[str, str]] = {"skipped": "padded copies taken away"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, func.FuncOp) and function.body.blocks:
                self.count("skipped", skip_padding(function))


def skip_padding(function: func.FuncOp) -> int:
    """Take away the padded copies of one function; returns how many."""
    block = function.body.block
    constants = Constants(block)
    count = 0
    for op in list(block.ops):
        if not isinstance(op, linalg.GenericOp) or BORDER not in op.attributes:
            continue
        source = _source(op)
        if source is None or not _is_read_by_windows_only(op):
            continue
        _replace(op, source, constants)
        count += 1
    if count:
        erase_dead_ops(block)
    return count


def _source(op: linalg.GenericOp) -> SSAValue | None:
    """What is copied: the one buffer that the body reads; row-major, as arguments are."""
    loads = [inner for inner in op.body.walk() if isinstance(inner, memref.LoadOp)]
    if op.inputs or len(op.outputs) != 1 or len(loads) != 1:
        return None
    source = loads[0].memref
    same_rank = memref_type(source).get_num_dims() == memref_type(op.outputs[0]).get_num_dims()
    return source if source.owner is op.parent_block() and same_rank else None


def _is_read_by_windows_only(op: linalg.GenericOp) -> bool:
    buffer = op.outputs[0]
    if not isinstance(buffer.owner, memref.AllocOp):
        return False
    low, high = border_widths(op, memref_type(buffer).get_num_dims())
    for use in buffer.uses:
        user = use.operation
        if user is op or isinstance(user, memref.DeallocOp | memref.DimOp):
            continue
        if (
            not isinstance(user, linalg.GenericOp)
            or use.index >= len(user.inputs)
            or not _is_window(user, use.index, low, high)
        ):
            return False
    return True


def _is_window(op: linalg.GenericOp, number: int, low: Sequence[int], high: Sequence[int]) -> bool:
    """Whether a contraction reads the axes of an input that are padded with one reduced dim each."""
    schedule = Schedule.of(op)
    if schedule is None or schedule.kind != "contraction" or schedule.padding != SKIPPED:
        return False
    positions, parallel = positions_of_map(maps_of(op)[number]), iterators_of(op)
    if positions is None or read_factors(body_block(op)) is None:
        return False
    padded = [before or after for before, after in zip(low, high, strict=True)]
    return all(
        not there or sum(not parallel[dim] for dim, _ in position.terms) == 1
        for there, position in zip(padded, positions, strict=True)
    )


def _replace(op: linalg.GenericOp, source: SSAValue, constants: Constants) -> None:
    """Show the source as padded, in place of the copy."""
    buffer = op.outputs[0]
    low, _ = border_widths(op, memref_type(buffer).get_num_dims())
    emitter = Emitter.ahead_of(op, constants)
    emitter.location = op.location
    strides = row_major_strides(emitter, emitter.sizes(source))
    offset: Index = 0
    for width, stride in zip(low, strides, strict=True):
        offset = emitter.subtract(offset, emitter.multiply(stride, width))
    # Not a static offset: those may not be negative.
    view = emitter.value(
        memref.ReinterpretCastOp.from_dynamic(
            source,
            [emitter.index(offset)],
            emitter.sizes(buffer),
            strides,
            _view_type(buffer, strides),
        )
    )
    assert isinstance(view.owner, Operation)
    view.owner.attributes[BORDER] = op.attributes[BORDER]
    allocation = buffer.owner
    op.detach()
    op.erase()
    for use in list(buffer.uses):
        if isinstance(use.operation, memref.DeallocOp):
            use.operation.detach()
            use.operation.erase()
    buffer.replace_all_uses_with(view)
    assert isinstance(allocation, Operation)
    allocation.detach()
    allocation.erase()


def _view_type(buffer: SSAValue, strides: Sequence[Index]) -> MemRefType[Attribute]:
    """The copy's sizes, the source's strides, an offset that is not static."""
    known = [stride if isinstance(stride, int) else None for stride in strides]
    type_ = memref_type(buffer)
    return MemRefType(type_.get_element_type(), type_.get_shape(), StridedLayoutAttr(known, None))
