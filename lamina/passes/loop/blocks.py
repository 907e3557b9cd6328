"""Stages that exchange only blocks of one axis: one parallel loop over the blocks, whose temporaries are a block's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.dialects.builtin import DYNAMIC_INDEX, DictionaryAttr, IntegerAttr, MemRefType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineDimExpr

from lamina.diagnostics import error_at
from lamina.dialects.loop import memref
from lamina.passes.loop.bufferizer import ALIGNMENT
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.restrict import Part, Views, restrict
from lamina.passes.loop.stages import Group
from lamina.passes.loop.structured import SCHEDULE, Schedule, extent, maps_of

MAX_STACK_BYTES = 64 * 1024
"""What one temporary of a block may take of the stack; larger ones come from the context's allocator."""

DONE_BY_TILE = ("parallel", "grain", "blocked", "limited", "limit")


def tile_blocks(group: Group, constants: Constants) -> None:
    """One parallel loop over the parallel axes of the group, its blocked axis in blocks.

        linalg.generic {m, n, d} ins(%k, %q) outs(%scores : memref<64x512xf32>) …  // blocked = "m", block = {m = 64}
        linalg.generic {m, e, n} ins(%scores, %v) outs(%result) …
    →
        scf.forall (%m) = (0) to (512) step (64) {
          %block = memref.alloca() : memref<64x64xf32>
          linalg.generic {m, n, d} ins(%k, %q[%m]) outs(%block)
          linalg.generic {m, e, n} ins(%block, %v) outs(%result[%m])
        }

    Where an axis is `limited`, a block has only its first positions: those up to the block's last row (`limit = start`)
    or, counted from the ends of the two axes, up to there (`end`). The stages make nothing of the others.
    """
    emitter = Emitter.ahead_of(group.ops[-1], constants)
    sizes = _AxisSizes(emitter, group)
    schedule = group.schedule
    blocked = schedule.blocked or ""
    block = dict(schedule.block)[blocked]
    rows = sizes[blocked]
    axes = [axis for axis in schedule.parallel if axis != blocked]
    temporaries = {buffer: _axis_names(group, buffer) for buffer in group.temporaries()}

    def body(inner: Emitter, positions: Sequence[SSAValue]) -> None:
        at = dict(zip(schedule.parallel, positions, strict=True))
        divides = isinstance(rows, int) and rows % block == 0
        size = block if divides else inner.minimum(inner.subtract(rows, at[blocked]), block)
        parts = {axis: Part(at[axis], None) for axis in axes} | {blocked: Part(at[blocked], size)}
        if schedule.limited is not None:
            parts[schedule.limited] = Part(0, _limit(inner, schedule, sizes, inner.add(at[blocked], size)))
        scratch = {buffer: _Scratch(inner, buffer, names, parts, block) for buffer, names in temporaries.items()}
        views = Views({buffer: each.view for buffer, each in scratch.items()})
        for op in group.ops:
            names = group.names[op]
            own = Schedule.of(op)
            copy = restrict(
                inner, op, {names.index(axis): part for axis, part in parts.items() if axis in names}, views
            )
            if own is not None and own.kind in ("contraction", "columns"):
                copy.attributes[SCHEDULE] = _remaining(copy.attributes[SCHEDULE], blocked, rows)
            else:
                copy.attributes.pop(SCHEDULE, None)
        for each in scratch.values():
            each.release(inner)

    steps = [block if axis == blocked else 1 for axis in schedule.parallel]
    attributes: dict[str, Attribute] = {"lamina.grain": IntegerAttr(schedule.grain, i64)}
    emitter.forall([sizes[axis] for axis in schedule.parallel], steps, body, attributes)
    for op in group.ops:
        op.detach()
        op.erase()


class _AxisSizes:
    """The sizes of named axes, static ones where an op of the group has them."""

    def __init__(self, emitter: Emitter, group: Group):
        self.emitter = emitter
        self.group = group
        self.known: dict[str, Index] = {}

    def __getitem__(self, axis: str) -> Index:
        if axis not in self.known:
            found = [
                extent(self.emitter, op, names.index(axis)) for op, names in self.group.names.items() if axis in names
            ]
            if not found:
                raise error_at(self.group.ops[0], f"no stage has an axis '{axis}'")
            self.known[axis] = next((size for size in found if isinstance(size, int)), found[0])
        return self.known[axis]


def _limit(emitter: Emitter, schedule: Schedule, sizes: _AxisSizes, end: Index) -> Index:
    """How many positions of the limited axis a block that ends before row `end` has."""
    whole = sizes[schedule.limited or ""]
    if schedule.limit == "end":
        end = emitter.add(end, emitter.subtract(whole, sizes[schedule.blocked or ""]))
        end = emitter.maximum(end, 0)
    return emitter.minimum(end, whole)


def _axis_names(group: Group, buffer: SSAValue) -> list[str]:
    """The names of the axes of a temporary."""
    for op in group.ops:
        for operand, map_ in zip(op.operands, maps_of(op), strict=True):
            if operand is buffer:
                dims = [each.position for each in map_.results if isinstance(each, AffineDimExpr)]
                return [group.names[op][dim] for dim in dims]
    raise error_at(group.ops[0], "a temporary that no stage uses")


class _Scratch:
    """What a block needs of a temporary: storage for a whole block, and a view of the part that there is."""

    def __init__(self, emitter: Emitter, buffer: SSAValue, names: Sequence[str], parts: Mapping[str, Part], block: int):
        type_ = memref_type(buffer)
        shape: list[Index] = []
        used: list[Index] = []
        for axis, name in enumerate(names):
            part = parts.get(name)
            if part is not None and part.size is None:
                continue
            whole = emitter.size(buffer, axis)
            is_block = part is not None and part.offset != 0
            shape.append(block if is_block else whole)
            used.append(whole if part is None or part.size is None else part.size)
        static = [size if isinstance(size, int) else DYNAMIC_INDEX for size in shape]
        fits = DYNAMIC_INDEX not in static and prod(static) * element_bytes(type_.get_element_type()) <= MAX_STACK_BYTES
        element = type_.get_element_type()
        self.storage = emitter.value(
            memref.AllocaOp.get(element, ALIGNMENT, static)
            if fits
            else memref.AllocOp(
                [size for size in shape if isinstance(size, SSAValue)],
                (),
                MemRefType(element, static),
                IntegerAttr(ALIGNMENT, 64),
            )
        )
        self.is_allocated = not fits
        self.view = self.storage if used == shape else emitter.subview(self.storage, [0] * len(shape), used)

    def release(self, emitter: Emitter) -> None:
        """Give storage back that is not on the stack."""
        if self.is_allocated:
            emitter.append(memref.DeallocOp.get(self.storage))


def _remaining(schedule: Attribute, blocked: str, size: Index) -> Attribute:
    """What is left for `vectorize`."""
    if not isinstance(schedule, DictionaryAttr):
        return schedule
    entries = {name: value for name, value in schedule.data.items() if name not in DONE_BY_TILE}
    entries["whole"] = DictionaryAttr({blocked: IntegerAttr(size if isinstance(size, int) else -1, i64)})
    return DictionaryAttr(entries)
