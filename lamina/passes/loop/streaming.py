"""Results too large for the caches: computed in a scratch buffer, block by block, and copied past the caches.

An ordinary store reads the line that it overwrites, so that a copy moves three bytes for two; and it throws out of the
caches what others will read sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ModuleOp,
    NoneAttr,
    UnitAttr,
)
from xdsl.ir import BlockArgument, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from lamina.dialects.loop import memref
from lamina.dialects.tensor import linalg
from lamina.passes.caches import cache_bytes
from lamina.passes.loop.emitter import Emitter, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.stages import Group, captured_buffers
from lamina.passes.loop.structured import StructuredOp, body_block, iterators_of, maps_of

STREAMED = "lamina.streamed"
"""On `memref.copy`: the stores are to go past the caches; `LINES`: the target is whole lines, of static size. On
`memref.store`: so are those of a loop that begins where a line does and has whole lines."""
LINES = "lines"

AHEAD = "lamina.ahead"
"""On `memref.load`: memory is asked for what is so many elements further on."""
INDEPENDENT = "lamina.independent"
"""On `scf.for`: no step reads what an earlier one writes; within one all loads come first."""

LEAST_BLOCK_BYTES = 1024
"""What a block has to write at one place, at least."""

CACHE_SHARE = 2
"""A result larger than the last cache divided by this is streamed."""

CACHE_BYTES = 32 * 2**20
"""What a process counts on of a last cache that is larger. Such a cache belongs to many cores, or to other virtual
machines, and is hardly faster than memory. A copy on one core of a machine that tells of 480 MiB, again and again over
the same buffers, stored through the caches / past them, GB/s: 4 MiB 28 / 28, 16 MiB 19 / 27, 64 MiB 16 / 24, 256 MiB
14 / 18; the same with a pass that reads the result, bytes of three passes: 4 MiB 28 / 23, 8 MiB 22 / 22, 16 MiB
19 / 22, 64 MiB 16 / 20."""


def streaming_threshold(module: ModuleOp | None) -> int | None:
    """The bytes from which on a result is streamed; None where the target does not say how large its caches are."""
    size = cache_bytes(module, "l3") if module is not None else None
    return None if size is None else min(size, CACHE_BYTES) // CACHE_SHARE


def memory_is_far(module: ModuleOp) -> bool:
    """Whether memory is behind a cache of many cores: what a core fetches ahead by itself comes late."""
    return (cache_bytes(module, "l3") or 0) > CACHE_BYTES


def streamed_destinations(group: Group, threshold: int | None) -> dict[SSAValue, list[int]]:
    """The destinations of a group to stream, with the axes of which an iteration has one position.

    They are arguments of static size that the group writes whole before it reads any of them.
    """
    if threshold is None:
        return {}
    captured = {buffer for op in group.ops for buffer in captured_buffers(op)}
    found: dict[SSAValue, list[int]] = {}
    for buffer, positions in group.accesses():
        if buffer in found or buffer in captured or not isinstance(buffer, BlockArgument):
            continue
        if is_large(buffer, threshold) and None not in positions and _writes_all(group.ops, buffer):
            found[buffer] = [position for position in positions if position is not None]
    return found


def is_large(buffer: SSAValue, threshold: int | None) -> bool:
    """Whether a buffer, contiguous and of static size, has more bytes than the threshold, if there is one."""
    if threshold is None:
        return False
    type_ = memref_type(buffer)
    shape = type_.get_shape()
    if DYNAMIC_INDEX in shape or not isinstance(type_.layout, NoneAttr):
        return False
    return prod(shape) * element_bytes(type_.get_element_type()) > threshold


def _writes_all(ops: Sequence[StructuredOp], buffer: SSAValue) -> bool:
    """Whether the first op that has the buffer writes all of it and reads nothing."""
    op = next(op for op in ops if buffer in op.operands)
    if isinstance(op, linalg.FillOp):
        return True
    number = list(op.operands).index(buffer)
    if number < len(op.inputs) or not all(iterators_of(op)) or list(op.operands).count(buffer) > 1:
        return False
    return _is_projection(maps_of(op)[number]) and not body_block(op).args[number].uses


def _is_projection(map_: AffineMap) -> bool:
    dims = [result.position for result in map_.results if isinstance(result, AffineDimExpr)]
    return len(dims) == len(map_.results) == len(set(dims))


def block_bytes(buffer: SSAValue, dropped: Sequence[int]) -> int:
    """The bytes of a static buffer at one position of the dropped axes."""
    type_ = memref_type(buffer)
    kept = [size for axis, size in enumerate(type_.get_shape()) if axis not in dropped]
    return prod(kept) * element_bytes(type_.get_element_type())


def copy_streamed(emitter: Emitter, scratch: SSAValue, target: SSAValue) -> None:
    """Copy a block to where it belongs, past the caches."""
    op = memref.CopyOp(scratch, target)
    op.attributes[STREAMED] = UnitAttr()
    emitter.append(op)


def part_of_rows(emitter: Emitter, buffer: SSAValue, dropped: Sequence[int], positions: Sequence[SSAValue]) -> SSAValue:
    """What one iteration has of a buffer: one position of each of the dropped axes."""
    shape = memref_type(buffer).get_shape()
    at = dict(zip(dropped, positions, strict=True))
    offsets = [at.get(axis, 0) for axis in range(len(shape))]
    sizes = [1 if axis in at else size for axis, size in enumerate(shape)]
    return emitter.subview(buffer, offsets, sizes, dropped)
