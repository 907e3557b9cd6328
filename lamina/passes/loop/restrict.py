"""A structured op on a part of its iteration space: its operands become sub-views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, StringAttr
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.ir.affine import AffineMap

from lamina.diagnostics import error_at
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.loop.emitter import Constants, Emitter, Index
from lamina.passes.loop.structured import (
    AXES,
    Divided,
    Grouped,
    Linear,
    Position,
    StructuredOp,
    affine,
    axes_of,
    emit_affine,
    emit_linear,
    extent,
    iterators_of,
    maps_of,
    positions_of_map,
)


@dataclass(frozen=True)
class Part:
    """The part of an iteration dim that is kept: `size` positions from `offset`; None: one, and the dim goes away.

    `offset` is a multiple of `step`, and no part is longer than that.
    """

    offset: Index
    size: Index | None
    step: int = 1


class Views:
    """The sub-views of one tile: equal ones are one op. `replaced` gives buffers that stand for views of others."""

    def __init__(self, replaced: Mapping[SSAValue, SSAValue] | None = None):
        self.replaced = dict(replaced or {})
        self._known: dict[tuple[object, ...], SSAValue] = {}

    def get(
        self,
        emitter: Emitter,
        buffer: SSAValue,
        offsets: Sequence[Index],
        sizes: Sequence[Index],
        dropped: Sequence[int],
    ) -> SSAValue:
        """A sub-view of a buffer."""
        if buffer in self.replaced:
            return self.replaced[buffer]
        key = (buffer, *offsets, *sizes, *dropped)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = emitter.subview(buffer, offsets, sizes, dropped)
        return found


def restrict(emitter: Emitter, op: StructuredOp, parts: Mapping[int, Part], views: Views) -> StructuredOp:
    """Emit `op` on parts of its iteration dims; its body is moved there, and `op` is left to be erased.

    Needs maps that are sums with positive coefficients (see `load_irregular_operands`), or panels of a packed operand
    over a dim of which each part lies in one panel.

        linalg.generic {(i, j) -> (i, j)} ins(%x : memref<8x16xf32>) …
    → with part `offset %i` of dim i:
        %row = memref.subview %x[%i, 0] [1, 16] [1, 1] : memref<8x16xf32> to memref<16xf32, strided<[1], offset: ?>>
        linalg.generic {(j) -> (j)} ins(%row : …) …
    """
    emitter.location = op.location
    kept = [dim for dim in range(len(iterators_of(op))) if dim not in parts or parts[dim].size is not None]
    numbers = {dim: number for number, dim in enumerate(kept)}
    operands: list[SSAValue] = []
    maps: list[AffineMap] = []
    for operand, map_ in zip(op.operands, maps_of(op), strict=True):
        positions: Sequence[Position] = positions_of_map(map_) or ()
        if is_memref(operand.type) and positions:
            operand, positions = _restrict_operand(emitter, op, operand, positions, parts, views)
        results = tuple(affine(_renumbered(position, numbers)) for position in positions)
        operands.append(operand)
        maps.append(AffineMap(len(kept), 0, results))
    if isinstance(op, linalg.FillOp):
        copy: StructuredOp = linalg.FillOp(operands[:1], operands[1:], ())
    else:
        copy = _restrict_generic(emitter, op, operands, maps, parts, numbers)
    emitter.append(copy)
    return copy


def _restrict_operand(
    emitter: Emitter,
    op: StructuredOp,
    operand: SSAValue,
    positions: Sequence[Position],
    parts: Mapping[int, Part],
    views: Views,
) -> tuple[SSAValue, list[Position]]:
    """The sub-view of an operand, and its positions relative to that."""
    offsets: list[Index] = []
    sizes: list[Index] = []
    dropped: list[int] = []
    relative: list[Position] = []
    starts = [parts[dim].offset if dim in parts else 0 for dim in range(len(iterators_of(op)))]
    for axis, position in enumerate(positions):
        if not any(dim in parts for dim, _ in position.terms):
            offsets.append(0)
            sizes.append(emitter.size(operand, axis))
            relative.append(position)
            continue
        if isinstance(position, Divided):
            offset, size, kept = _panel(emitter, position, parts[position.dim])
            offsets.append(offset)
            sizes.append(size)
            dropped += [axis] if kept is None else []
            relative += [] if kept is None else [kept]
            continue
        if isinstance(position, Grouped):
            if (part := parts.get(position.dim)) is None or any(dim in parts for dim, _ in position.rest.terms):
                raise error_at(op, "the features of a group are read in panels of whole groups only")
            offsets.append(emitter.multiply(emitter.divide(part.offset, position.divisor), position.factor))
            groups = emitter.divide(part.size or 1, position.divisor)
            sizes.append(emitter.multiply(groups, position.factor))
            relative.append(position.rest if part.step == position.divisor else position)
            continue
        remaining = tuple(
            (dim, factor) for dim, factor in position.terms if dim not in parts or parts[dim].size is not None
        )
        if not remaining:
            offsets.append(emit_linear(emitter, position, starts))
            sizes.append(1)
            dropped.append(axis)
            continue
        offsets.append(emit_linear(emitter, Linear(position.terms, 0), starts))
        plain = Linear(remaining, position.constant).plain
        size = parts[plain].size if plain is not None and plain in parts else None
        sizes.append(_reach(emitter, op, Linear(remaining, position.constant), parts) if size is None else size)
        relative.append(Linear(remaining, position.constant))
    whole = all(offset == 0 for offset in offsets) and not dropped and sizes == emitter.sizes(operand)
    view = operand if whole else views.get(emitter, operand, offsets, sizes, dropped)
    return view, relative


def _panel(emitter: Emitter, position: Divided, part: Part) -> tuple[Index, Index, Linear | None]:
    """Offset and size of what a part of a packed axis has of it, and the position there; None: one position."""
    if not position.remainder:
        return emitter.divide(part.offset, position.divisor), 1, None
    starts_panel = part.step % position.divisor == 0
    offset = 0 if starts_panel else emitter.remainder(part.offset, position.divisor)
    if part.size is None:
        return offset, 1, None
    return offset, part.size, Linear(((position.dim, 1),), 0)


def _reach(emitter: Emitter, op: StructuredOp, position: Linear, parts: Mapping[int, Part]) -> Index:
    """One more than the largest value of a position over its dims."""
    reach: Index = position.constant + 1
    for dim, factor in position.terms:
        part = parts.get(dim)
        size = extent(emitter, op, dim) if part is None or part.size is None else part.size
        reach = emitter.add(reach, emitter.multiply(emitter.subtract(size, 1), factor))
    return reach


def _renumbered(position: Position, numbers: Mapping[int, int]) -> Position:
    if isinstance(position, Divided):
        return Divided(numbers[position.dim], position.divisor, position.remainder)
    if isinstance(position, Grouped):
        rest = Linear(tuple((numbers[dim], factor) for dim, factor in position.rest.terms), position.rest.constant)
        return Grouped(numbers[position.dim], position.divisor, position.factor, rest)
    return Linear(tuple((numbers[dim], factor) for dim, factor in position.terms), position.constant)


def _restrict_generic(
    emitter: Emitter,
    op: linalg.GenericOp,
    operands: Sequence[SSAValue],
    maps: Sequence[AffineMap],
    parts: Mapping[int, Part],
    numbers: Mapping[int, int],
) -> linalg.GenericOp:
    block = op.body.block
    for index in [inner for inner in block.walk() if isinstance(inner, linalg.IndexOp)]:
        dim = index.dim.value.data
        part = parts.get(dim)
        at = Emitter.ahead_of(index, emitter.constants)
        if dim in numbers:
            position: Index = at.value(linalg.IndexOp(numbers[dim]))
            position = position if part is None else at.add(position, part.offset)
        else:
            position = 0 if part is None else part.offset
        index.result.replace_all_uses_with(at.index(position))
        index.detach()
        index.erase()
    inputs = len(op.inputs)
    names = axes_of(op)
    attributes: dict[str, Attribute] = dict(op.attributes)
    if names is not None:
        attributes[AXES] = ArrayAttr([StringAttr(names[dim]) for dim in numbers])
    return linalg.GenericOp(
        operands[:inputs],
        operands[inputs:],
        Region(op.body.detach_block(block)),
        [AffineMapAttr(map_) for map_ in maps],
        [op.iterator_types.data[dim] for dim in numbers],
        attributes=attributes,
    )


def has_subviews(op: StructuredOp, steps: Mapping[int, int] | None = None) -> bool:
    """Whether sub-views describe what parts of the iteration space access of every operand.

    `steps`: the dims that will be cut, and into what.
    """
    return all(_has_subview(map_, steps or {}) for map_ in maps_of(op))


def _has_subview(map_: AffineMap, steps: Mapping[int, int]) -> bool:
    positions = positions_of_map(map_)
    return positions is not None and all(_is_in_subview(position, steps) for position in positions)


def _is_in_subview(position: Position, steps: Mapping[int, int]) -> bool:
    """Whether a part of the iteration space has a contiguous part of an axis, where dims are cut into `steps`."""
    match position:
        case Divided():
            return position.divisor % steps.get(position.dim, position.divisor + 1) == 0
        case Grouped():
            whole_groups = steps.get(position.dim, 1) % position.divisor == 0
            return whole_groups and all(factor > 0 and dim not in steps for dim, factor in position.rest.terms)
        case _:
            return all(factor > 0 for _, factor in position.terms)


def load_irregular_operands(
    op: linalg.GenericOp, constants: Constants, steps: Mapping[int, int] | None = None
) -> linalg.GenericOp:
    """Turn inputs that no sub-view describes (divided or reversed positions) into loads in the body.

        linalg.generic {(i) -> (7 - i)} ins(%x) { ^bb(%a): … }
    →
        linalg.generic { %i = linalg.index 0; %a = memref.load %x[7 - %i] … }

    Returns the op that stands for it: itself where there is no such input, or where only that gives a dim its size.
    """
    maps = maps_of(op)
    kept = [
        index
        for index in range(len(op.operands))
        if index >= len(op.inputs) or not maps[index].results or _has_subview(maps[index], steps or {})
    ]
    sized = {
        position.plain
        for index in kept
        for position in positions_of_map(maps[index]) or ()
        if isinstance(position, Linear)
    }
    if len(kept) == len(op.operands) or not sized.issuperset(range(len(op.iterator_types))):
        return op
    block = op.body.block
    body = Emitter(block, constants, op.location, block.first_op)
    at: list[Index] = [body.value(linalg.IndexOp(dim)) for dim in range(len(op.iterator_types))]
    for index in sorted(set(range(len(op.operands))).difference(kept), reverse=True):
        cell = [emit_affine(body, expression, at) for expression in maps[index].results]
        argument = block.args[index]
        argument.replace_all_uses_with(body.load(op.operands[index], cell))
        block.erase_arg(argument)
    inputs = len(kept) - len(op.outputs)
    operands = [op.operands[index] for index in kept]
    emitter = Emitter.ahead_of(op, constants)
    copy = linalg.GenericOp(
        operands[:inputs],
        operands[inputs:],
        Region(op.body.detach_block(block)),
        [AffineMapAttr(maps[index]) for index in kept],
        op.iterator_types,
        attributes=dict(op.attributes),
    )
    emitter.append(copy)
    op.detach()
    op.erase()
    return copy
