"""Borders of padded operands that are not in memory: which taps of a window fall on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase
from xdsl.ir import Operation, SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.loop import memref
from lamina.passes.loop.contraction import Contraction
from lamina.passes.loop.emitter import Emitter, Index, memref_type
from lamina.passes.loop.structured import Linear, emit_linear

BORDER = "lamina.border"
"""On a `memref.reinterpret_cast` that shows a buffer as padded: how many positions at the beginnings of the axes, then
at their ends, are not in memory. They count as zero; only contractions read such a buffer, and leave out their taps."""


@dataclass(frozen=True)
class Border:
    """The border of an axis: tap t of a window is at `start + position + dilation * t`, elements at `low` … `end`."""

    tap: int
    dilation: int
    position: Linear
    start: Index
    low: int
    end: Index

    def taps(self, emitter: Emitter, at: Sequence[Index], count: Index) -> tuple[Index, Index]:
        """The first tap of the window at an iteration position that meets an element, and the one after the last."""
        base = emitter.add(self.start, emit_linear(emitter, self.position, at))
        lower = self._reaching(emitter, emitter.subtract(self.low, base))
        upper = emitter.minimum(self._reaching(emitter, emitter.subtract(self.end, base)), count)
        lower = emitter.minimum(lower, count)
        return lower, emitter.maximum(upper, lower)

    def _reaching(self, emitter: Emitter, distance: Index) -> Index:
        """The first tap that is so far from the window's beginning."""
        return emitter.ceil_divide(emitter.maximum(distance, 0), self.dilation)

    def has_tap(self, row: int, step: int, tap: int) -> bool:
        """Whether a tap of the window at a row meets an element, where all is known."""
        assert isinstance(self.start, int) and isinstance(self.end, int)
        place = self.start + self.position.constant + step * row + self.dilation * tap
        return self.low <= place < self.end

    def inner_rows(self, emitter: Emitter, step: int, taps: Index, rows: Index) -> tuple[Index, Index]:
        """The rows, `step` positions apart, all of whose taps meet elements: the first, and the one after the last."""
        base = emitter.add(self.start, self.position.constant)
        reach = emitter.multiply(emitter.subtract(taps, 1), self.dilation)
        first = emitter.ceil_divide(emitter.maximum(emitter.subtract(self.low, base), 0), step)
        beyond = emitter.subtract(emitter.subtract(self.end, base), reach)
        last = emitter.minimum(emitter.ceil_divide(emitter.maximum(beyond, 0), step), rows)
        first = emitter.minimum(first, rows)
        return first, emitter.maximum(last, first)


def border_of(buffer: SSAValue) -> memref.ReinterpretCastOp | None:
    """The op that shows a buffer, or what a sub-view is cut from, as padded; None for one that is in memory."""
    owner = buffer.owner
    while isinstance(owner, memref.SubviewOp):
        owner = owner.operands[0].owner
    return owner if isinstance(owner, memref.ReinterpretCastOp) and BORDER in owner.attributes else None


def read_borders(contraction: Contraction, emitter: Emitter) -> dict[int, Border]:
    """The borders that windows reach over, by their taps' dims. Raises LaminaError where a window is no such thing."""
    found: dict[int, Border] = {}
    op = contraction.op
    for factor in contraction.factors:
        buffer = op.inputs[factor.input]
        cast = border_of(buffer)
        if cast is None:
            continue
        low, high = border_widths(cast, memref_type(cast.results[0]).get_num_dims())
        starts = _starts(emitter, op, buffer)
        positions = contraction.positions[factor.input]
        dropped = len(low) - len(positions)
        for axis, position in enumerate(positions):
            before, after = low[dropped + axis], high[dropped + axis]
            if before == after == 0:
                continue
            taps = [(dim, factor) for dim, factor in position.terms if dim in contraction.reductions]
            if len(taps) != 1:
                raise error_at(op, f"axis {axis} of a padded operand is not read by windows")
            tap, dilation = taps[0]
            rest = Linear(tuple(term for term in position.terms if term[0] != tap), position.constant)
            end = emitter.subtract(emitter.size(cast.results[0], dropped + axis), after)
            found[tap] = Border(tap, dilation, rest, starts[axis], before, end)
    return found


def border_widths(op: Operation, rank: int) -> tuple[Sequence[int], Sequence[int]]:
    """What an op says to be padded at the beginning and at the end of every axis."""
    attribute = op.attributes[BORDER]
    widths = attribute.get_values() if isinstance(attribute, DenseArrayBase) else ()
    if len(widths) != 2 * rank:
        raise error_at(op, f"{BORDER} must have two numbers for each of {rank} axes")
    numbers = [int(width) for width in widths]
    return numbers[:rank], numbers[rank:]


def _starts(emitter: Emitter, op: Operation, buffer: SSAValue) -> list[Index]:
    """Where a sub-view of a padded buffer begins in it, by the sub-view's axes; leading ones may have been dropped."""
    rank = memref_type(buffer).get_num_dims()
    starts: list[Index] = [0] * rank
    while isinstance(view := buffer.owner, memref.SubviewOp):
        sizes, steps = view.static_sizes.get_values(), view.static_strides.get_values()
        dropped = memref_type(view.source).get_num_dims() - memref_type(buffer).get_num_dims()
        if any(size != 1 for size in sizes[:dropped]) or any(step != 1 for step in steps):
            raise error_at(op, "a sub-view of a padded operand may leave out leading axes only, and no positions")
        dynamic = iter(view.offsets)
        offsets: list[Index] = [
            next(dynamic) if offset == DYNAMIC_INDEX else int(offset) for offset in view.static_offsets.get_values()
        ]
        starts = [emitter.add(start, offset) for start, offset in zip(starts, offsets[-rank:], strict=True)]
        buffer = view.source
    return starts
