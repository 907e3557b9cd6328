"""What each pass over a row asks memory for: its share of the next row; a single one: what is a little further on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from xdsl.dialects.builtin import DYNAMIC_INDEX, NoneAttr, f32
from xdsl.ir import Block, BlockArgument, SSAValue

from lamina.dialects.loop import memref, scf
from lamina.passes.loop.emitter import Emitter, Index, memref_type
from lamina.passes.loop.lines import LINE_BYTES
from lamina.passes.loop.stream_stores import SHORT

LINE_ELEMENTS: Final = LINE_BYTES // 4
"""f32 elements of a line of the caches."""

SECOND_CACHE: Final = 2
"""Locality of prefetches: the first cache has the row that is being worked on."""

SHORTEST: Final = 1024
"""Elements of a row from which on it is worth while."""

DISTANCE: Final = 2048
"""Elements ahead that a single pass asks for. Exponentials and the like are so many instructions that no load of the
next lines is among those a processor has in hand, and what it fetches by itself ends with the page: without asking,
a GELU of 64 MiB whose result goes past the caches takes as long as memory and arithmetic together (10.3 ms; with 512,
1024, 2048, 4096 elements ahead 5.9, 5.5, 5.5, 5.5; two operands: 1024 and 4096 are 5 to 10 % behind 2048). An addition
gains nothing. That was behind a last cache of 480 MiB. With one of 32 MiB exponentials are at the speed of memory
without, and asking 1024 elements ahead took twice the time."""

SHARES: Final = {2: (2, 2), 3: (4, 4, 2)}
"""By the number of passes: each asks for one in so many lines of the next row. The pass with most to do is the last of
these numbers."""


@dataclass(frozen=True)
class Ahead:
    """A pass's share of the next rows: from element `first` on, one line for `every` lines that the pass reads."""

    rows: Sequence[SSAValue]
    first: int
    every: int

    def emit(self, emitter: Emitter, position: Index, width: int) -> None:
        """Ask for what belongs to the step from `position` on."""
        place = emitter.add(emitter.divide(position, self.every), self.first)
        for row in self.rows:
            for offset in range(0, max(width // self.every, LINE_ELEMENTS), LINE_ELEMENTS):
                emitter.append(memref.PrefetchOp(row, [emitter.index(emitter.add(place, offset))], SECOND_CACHE))


def shares(
    block: Block, heavy: Sequence[scf.ForOp], loops: Sequence[scf.ForOp], least: int, far: bool
) -> dict[scf.ForOp, Ahead]:
    """What the loops of a block over rows are to ask for: several passes over rows of arguments larger than `least`, or
    one with much to do where memory is far (`memory_is_far`).

    While a row is gone through again, out of the caches, or while much is computed, memory would wait. `loops`: the
    innermost ones; `heavy`: those with most to do.
    """
    inside = {loop: _pass_of(loop, block) for loop in loops if SHORT not in loop.attributes}
    passes = [op for op in block.ops if op in inside.values()]
    read = {op.memref for loop in loops for op in loop.body.block.ops if isinstance(op, memref.LoadOp)}
    views = [op for op in block.ops if isinstance(op, memref.SubviewOp) and op.result in read]
    rows = [op.result for op in views if _is_row(op, block, least)]
    if rows and far and len(passes) == 1 and heavy:
        return {loop: Ahead(rows, DISTANCE, 1) for loop in inside}
    if len(passes) not in SHARES or not rows:
        return {}
    length = memref_type(rows[0]).get_shape()[0]
    if any(memref_type(row).get_shape() != (length,) for row in rows):
        return {}
    main = next((op for loop, op in inside.items() if loop in heavy), passes[-1])
    order = [op for op in passes if op is not main] + [main]
    result: dict[scf.ForOp, Ahead] = {}
    first = length
    for op, every in zip(order, SHARES[len(passes)], strict=True):
        result |= {loop: Ahead(rows, first, every) for loop, outer in inside.items() if outer is op}
        first += length // every
    return result


def _pass_of(loop: scf.ForOp, block: Block) -> scf.ForOp | None:
    """The loop of the block that is or has this one."""
    op = loop
    while op.parent_block() is not block:
        parent = op.parent_op()
        if not isinstance(parent, scf.ForOp):
            return None
        op = parent
    return op


def _is_row(op: memref.SubviewOp, block: Block, least: int) -> bool:
    """Whether a view is a row, or a block of the one axis, of a large argument of f32, the next one behind it."""
    type_, shape = memref_type(op.source), memref_type(op.result).get_shape()
    source = op.source.owner.source if isinstance(op.source.owner, memref.ReinterpretCastOp) else op.source
    if not isinstance(source, BlockArgument) or source.owner.parent_op() is block.parent_op():
        return False
    whole = type_.get_shape()
    if type_.get_element_type() != f32 or not isinstance(type_.layout, NoneAttr) or DYNAMIC_INDEX in whole:
        return False
    if len(shape) != 1 or (len(whole) > 1 and shape[0] != whole[-1]):
        return False
    return shape[0] >= SHORTEST and 4 * prod(whole) > least
