"""Sorting: blocks by a network of comparisons, then blocks of ever greater length by merging.

Elements become keys, integers in their order; those of up to 32 bits share a word with the position, which makes all
words different and so the sort stable, others are two tensors. Behind the end stand words that come after all others.

- Blocks of 32 are sorted by Batcher's bitonic network: a step is one stage over pairs of elements at a distance. The
  steps share one parallel loop over units of four blocks.
- A level of merging is one stage over pieces of the result: a binary search finds where in its two blocks a piece
  starts, and the piece is then written in order. Four pieces take turns, as each waits for its last comparison. Of the
  first k elements only, merged blocks are cut off at k, or at the end of the piece that k is in.

A size that is not known before run time has levels for all sizes; those that it does not need have no pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import f32, f64, i1, i32, i64
from xdsl.ir import Block, Operation, Region, SSAValue

from lamina.dialects.graph.dims import Dim, ceil_divide, minimum
from lamina.dialects.graph.types import bit_width, is_float, is_unsigned
from lamina.dialects.loop import arith, scf
from lamina.dialects.tensor import tensor
from lamina.lowering.graph_to_linalg.body import Body
from lamina.lowering.graph_to_linalg.emitter import INDEX, Scope, conditional, element_type_of, tensor_type
from lamina.lowering.graph_to_linalg.indexing import dim_index, identity_indices
from lamina.lowering.graph_to_linalg.properties import flag, integer
from lamina.lowering.graph_to_linalg.spaces import Axis

if TYPE_CHECKING:
    from lamina.lowering.graph_to_linalg.stages import Lowering

BLOCK = 32
"""Elements that a network sorts, at most."""
LANES = 4
"""Pieces of merged blocks that are written in turns."""
UNIT = LANES * BLOCK
"""The number of words is a multiple of it, or the power of two that holds all elements."""
LEVELS = 27
"""Levels of merging for a size that is not known before run time: enough for 2^32 elements."""

Words = Sequence[SSAValue]
"""Keys and positions packed into one tensor, or a tensor of keys and one of positions."""


def lower_arg_sort(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """The stages of a `graph.arg_sort`; gives the updated destination."""
    from lamina.lowering.graph_to_linalg.stages import fill

    function = lowering.function
    (operand,) = op.operands
    if function.shape(operand)[integer(op, "dimension")] == 1:
        return fill(function, function.constant(0, i64), destination)
    return _Sort(lowering, op).lower(destination, permutation)


def network(length: int) -> list[tuple[int, int]]:
    """The steps that sort blocks of `length`, a power of two: (distance, block) each.

    A step puts elements at a distance in order, rising in even blocks and falling in odd ones.
    """
    blocks = [2 << level for level in range((length - 1).bit_length())]
    return [(distance, block) for block in blocks for distance in reversed(_powers_below(block))]


def _powers_below(size: int) -> list[int]:
    return [1 << level for level in range((size - 1).bit_length())]


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


@dataclass(frozen=True)
class Level:
    """Blocks of `length`, of which `size` elements there are in all, become blocks of `merged` in pieces of `piece`.

    `groups` is the number of groups of pieces, 0 where a size of run time needs no such level; `width` elements are
    made.
    """

    length: int
    size: Dim
    merged: int
    piece: int
    groups: Dim
    width: Dim


class _Sort:
    """The stages of one sort."""

    def __init__(self, lowering: Lowering, op: Operation):
        self.function = lowering.function
        self.op = op
        (self.operand,) = op.operands
        self.element_type = element_type_of(self.operand)
        self.axis = integer(op, "dimension")
        sizes = self.function.shape(self.operand)
        self.size = sizes[self.axis]
        self.count = self.function.shape(op.results[0])[self.axis]
        self.others = [axis for axis in range(len(sizes)) if axis != self.axis]
        self.outer = [Axis(f"i{axis}", sizes[axis]) for axis in self.others]
        self.is_packed = bit_width(self.element_type) <= 32
        known = self.size if isinstance(self.size, int) else None
        self.unit = UNIT if known is None else min(UNIT, _power_of_two(known))
        wanted = self.count if known is not None and isinstance(self.count, int) else BLOCK
        self.block = min(BLOCK, self.unit, max(2, _power_of_two(wanted)))
        self.width = ceil_divide(self.size, self.unit) * self.unit

    def lower(self, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
        words = self._blocks()
        # Two tensors take turns while the width stays.
        made: list[tuple[Dim, Words]] = [(self.width, words)]
        for level in self._levels():
            width, target = made[-2] if len(made) > 1 else (0, words)
            if width != level.width:
                target = self._empty(level.width)
            words = self._merged(words, target, level)
            made.append((level.width, words))
        is_known = isinstance(self.size, int)
        return self._positions(words, None if is_known else made[-2][1], destination, permutation)

    def _blocks(self) -> Words:
        """The words of the elements in sorted blocks."""
        words = self._loaded()
        spare = self._empty(self.width // self.unit, self.unit)
        steps = network(self.block)
        for distance, block in steps[:-1]:
            words, spare = self._step(words, spare, distance, block, False), words
        return self._step(words, self._empty(self.width), *steps[-1], True)

    def _levels(self) -> list[Level]:
        found: list[Level] = []
        if not isinstance(self.size, int):
            for number in range(LEVELS):
                length = self.block << number
                groups = self.width // UNIT * minimum((self.width - 1) // length, 1)
                found.append(Level(length, self.width, 2 * length, BLOCK, groups, self.width))
            return found
        assert isinstance(self.count, int) and isinstance(self.width, int)
        length, size = self.block, self.width
        # Blocks that are cut off stay whole pieces; those of no more than one piece need no particular length.
        most = self.count if self.count <= BLOCK else -(-self.count // BLOCK) * BLOCK
        while length < size:
            merged = min(2 * length, most)
            piece = merged if merged < min(2 * length, BLOCK + 1) else max(1, min(UNIT, merged) // LANES)
            pairs, rest = divmod(size, 2 * length)
            pieces = pairs * (merged // piece) + -(-min(rest, merged) // piece)
            groups = -(-pieces // LANES)
            found.append(Level(length, size, merged, piece, groups, groups * LANES * piece))
            length, size = merged, pairs * merged + min(rest, merged)
        return found

    # Building stages

    def _empty(self, *inner: Dim) -> Words:
        shape = (*(axis.size for axis in self.outer), *inner)
        return [self.function.empty(shape, tensor_type(shape, i64)) for _ in range(1 if self.is_packed else 2)]

    # The stages

    def _loaded(self) -> Words:
        """The words of the elements, in units."""
        from lamina.lowering.graph_to_linalg.stages import Output, generic

        rank = len(self.outer)
        here = dim_index(rank).times(self.unit).plus(dim_index(rank + 1))
        position = {axis: dim_index(dim) for dim, axis in enumerate(self.others)} | {self.axis: here}
        indices = tuple(position[axis] for axis in range(len(position)))
        # The largest key; its position is behind those of all elements.
        last = (1 << (31 if self.is_packed else 63)) - 1

        def key(scope: Body) -> SSAValue:
            return self._key(scope, scope.read(self.operand, indices))

        def build(body: Body, _: Sequence[SSAValue]) -> list[SSAValue]:
            inside = None if self.size == self.width else body.inside(here, 0, self.size)
            found = (
                key(body)
                if inside is None
                else body.choose(inside, key, lambda scope: scope.constant(last, i64), always_readable=False)
            )
            number = body.emit(arith.IndexCastOp, (body.index(here),), i64)
            if not self.is_packed:
                return [found, number]
            high = body.emit(arith.ShLIOp, (found, body.constant(32, i64)), i64)
            return [body.emit(arith.OrIOp, (high, number), i64)]

        units = self.width // self.unit
        outputs = [Output(each, tuple(range(rank + 2))) for each in self._empty(units, self.unit)]
        return generic(self.function, [*self.outer, Axis("unit", units), Axis("j", self.unit)], outputs, build)

    def _step(self, words: Words, target: Words, distance: int, block: int, is_last: bool) -> Words:
        """One step of the network; blocks of the last ones all rise, and units come one after the other."""
        from lamina.lowering.graph_to_linalg.stages import Output, generic

        turns, rank = 1 if block == self.block else 2, len(self.outer)
        unit, pair, falling, run, half, offset = (dim_index(rank + each) for each in range(6))
        low = pair.times(turns * block).plus(falling.times(block)).plus(run.times(2 * distance)).plus(offset)
        axes = [
            *self.outer,
            Axis("unit", self.width // self.unit),
            Axis("pair", self.unit // (turns * block)),
            Axis("falling", turns),
            Axis("run", block // (2 * distance)),
            Axis("half", 2),
            Axis("at", distance),
        ]

        def build(body: Body, _: Sequence[SSAValue]) -> list[SSAValue]:
            left, right = (
                [body.inputs.argument(each, (*identity_indices(rank), unit, place)) for each in words]
                for place in (low, low.plus(distance))
            )
            takes_larger = body.compare("ne", body.index(half), body.index(falling))
            if self.is_packed:
                smaller, larger = (body.emit(kind, (left[0], right[0]), i64) for kind in (arith.MinSIOp, arith.MaxSIOp))
                return [body.select(takes_larger, larger, smaller)]
            takes_left = body.emit(arith.XOrIOp, (self.precedes(body, left, right), takes_larger), i1)
            return [body.select(takes_left, one, other) for one, other in zip(left, right, strict=True)]

        place = low.plus(half.times(distance))
        inner = (unit.times(self.unit).plus(place),) if is_last else (rank, place)
        outputs = [Output(each, (*range(rank), *inner)) for each in target]
        return generic(self.function, axes, outputs, build)

    def _merged(self, words: Words, target: Words, level: Level) -> Words:
        """One level: every piece carries how many elements of the first block are written."""
        from lamina.lowering.graph_to_linalg.stages import Output, generic

        function, rank = self.function, len(self.outer)
        group, within, lane = (dim_index(rank + each) for each in range(3))
        shape = (*(axis.size for axis in self.outer), level.groups, LANES)
        state = function.empty(shape, tensor_type(shape, i64))
        piece = group.times(LANES).plus(lane)

        def build(body: Body, before: Sequence[SSAValue]) -> Sequence[SSAValue]:
            merge = _Merge(self, body, words, level, body.index(piece), body.index(within))
            return merge.next(before[0])

        axes = [
            *self.outer,
            Axis("group", level.groups),
            Axis("within", level.piece, reduced=True),
            Axis("lane", LANES),
        ]
        outputs = [Output(state, (*range(rank + 1), rank + 2))]
        outputs += [Output(each, (*range(rank), piece.times(level.piece).plus(within))) for each in target]
        return generic(function, axes, outputs, build)[1:]

    def _positions(
        self, words: Words, spare: Words | None, destination: SSAValue, permutation: Sequence[int]
    ) -> SSAValue:
        """The positions of the elements in order; `spare` holds them where an odd number of levels was needed.

        As the number of levels is odd, the last words are those of level 1, 3, 5, …
        """
        from lamina.lowering.graph_to_linalg.stages import Output, generic

        first = len(self.outer)
        # Not the plain dim: that would have to run over the whole axis.
        place = dim_index(first).plus(dim_index(first + 1))
        position = {axis: dim for dim, axis in enumerate(self.others)} | {self.axis: first + 1}
        dims = tuple(position[axis] for axis in permutation)

        def build(body: Body, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            word = body.inputs.argument(words[-1], (*identity_indices(first), place))
            if spare is not None:
                word = body.select(
                    self._is_odd(), word, body.inputs.argument(spare[-1], (*identity_indices(first), place))
                )
            if not self.is_packed:
                return [word]
            return [body.emit(arith.AndIOp, (word, body.constant(0xFFFFFFFF, i64)), i64)]

        axes = [*self.outer, Axis("one", 1), Axis("j", self.count)]
        return generic(self.function, axes, [Output(destination, dims)], build)[0]

    def _is_odd(self) -> SSAValue:
        """Whether a size of run time needs an odd number of levels."""
        function = self.function
        needed: Dim = 0
        for level in self._levels():
            needed = needed + minimum((self.width - 1) // level.length, 1)
        remainder = function.index_op(arith.RemUIOp, function.size(needed), function.constant(2, INDEX))
        return function.compare("ne", remainder, function.constant(0, INDEX))

    def precedes(self, scope: Scope, left: Words, right: Words) -> SSAValue:
        """Whether one word comes before another; no two are equal."""
        below = scope.compare("slt", left[0], right[0])
        if self.is_packed:
            return below
        equal, earlier = scope.compare("eq", left[0], right[0]), scope.compare("slt", left[1], right[1])
        return scope.emit(arith.OrIOp, (below, scope.emit(arith.AndIOp, (equal, earlier), i1)), i1)

    # Keys

    def _key(self, scope: Scope, element: SSAValue) -> SSAValue:
        """An i64 in the order of the elements: within 32 bits for narrow ones. -0.0 is 0.0, NaN the largest."""
        key = self._float_key(scope, element) if is_float(self.element_type) else self._integer_key(scope, element)
        if not flag(self.op, "descending"):
            return key
        return scope.emit(arith.XOrIOp, (key, scope.constant(-1, i64)), i64)

    def _float_key(self, scope: Scope, element: SSAValue) -> SSAValue:
        """The bits of a float, all but the sign turned over where it is negative."""
        float_type, bits = (f64, i64) if self.element_type == f64 else (f32, i32)
        if element.type != float_type:
            element = scope.emit(arith.ExtFOp, (element,), float_type)
        zero = scope.constant(0.0, float_type)
        element = scope.select(scope.compare("oeq", element, zero), zero, element)
        raw = scope.emit(arith.BitcastOp, (element,), bits)
        largest = scope.constant((1 << bits.width.data - 1) - 1, bits)
        turned = scope.emit(arith.XOrIOp, (raw, largest), bits)
        ordered = scope.select(scope.compare("slt", raw, scope.constant(0, bits)), turned, raw)
        ordered = scope.select(scope.compare("uno", element, element), largest, ordered)
        return ordered if bits == i64 else scope.emit(arith.ExtSIOp, (ordered,), i64)

    def _integer_key(self, scope: Scope, element: SSAValue) -> SSAValue:
        unsigned = is_unsigned(self.element_type)
        width = bit_width(self.element_type)
        if width == 64:
            lowest = scope.constant(-(1 << 63), i64)
            return scope.emit(arith.XOrIOp, (element, lowest), i64) if unsigned else element
        if not unsigned and self.element_type != i1:
            return scope.emit(arith.ExtSIOp, (element,), i64)
        wide = scope.emit(arith.ExtUIOp, (element,), i64)
        return scope.emit(arith.SubiOp, (wide, scope.constant(1 << 31, i64)), i64) if width == 32 else wide


class _Merge:
    """The body of a level: the element at `within` of a piece, from block A or the block B behind it."""

    def __init__(self, sort: _Sort, body: Body, words: Words, level: Level, piece: SSAValue, within: SSAValue):
        self.sort, self.body, self.words, self.within = sort, body, words, within
        ratio = level.merged // level.piece
        run = body.index_op(arith.DivUIOp, piece, body.constant(ratio, INDEX)) if ratio > 1 else piece
        part = body.index_op(arith.RemUIOp, piece, body.constant(ratio, INDEX)) if ratio > 1 else None
        self.place = within
        if part is not None:
            start = body.index_op(arith.MuliOp, part, body.constant(level.piece, INDEX))
            self.place = body.index_op(arith.AddiOp, start, within)
        self.size = body.index(level.size)
        length = body.constant(level.length, INDEX)
        self.start_a = body.index_op(arith.MuliOp, run, body.constant(2 * level.length, INDEX))
        self.start_b = body.index_op(arith.MinSIOp, body.index_op(arith.AddiOp, self.start_a, length), self.size)
        end = body.index_op(arith.MinSIOp, body.index_op(arith.AddiOp, self.start_b, length), self.size)
        self.length_a = body.index_op(arith.SubiOp, self.start_b, self.start_a)
        self.length_b = body.index_op(arith.SubiOp, end, self.start_b)
        self.steps = level.length.bit_length()
        self.starts_at_zero = part is None

    def next(self, before: SSAValue) -> list[SSAValue]:
        """How many elements come from A up to here, this one included, and this element."""
        body = self.body
        before = body.emit(arith.IndexCastOp, (before,), INDEX)
        is_first = body.compare("eq", self.within, body.constant(0, INDEX))
        zero = body.constant(0, INDEX)
        if self.starts_at_zero:
            from_a = body.select(is_first, zero, before)
        else:
            searching, going_on = body.branch(), body.branch()
            from_a = conditional(body, is_first, searching, self._searched(searching), going_on, before)
        from_b = body.index_op(arith.SubiOp, self.place, from_a)
        word_a, word_b = self._word(body, self.start_a, from_a), self._word(body, self.start_b, from_b)
        a_first = self.sort.precedes(body, word_a, word_b)
        a_is_left = body.compare("slt", from_a, self.length_a)
        b_is_over = body.compare("sge", from_b, self.length_b)
        wanted = body.emit(arith.OrIOp, (b_is_over, a_first), i1)
        takes_a = body.emit(arith.AndIOp, (a_is_left, wanted), i1)
        one = body.emit(arith.ExtUIOp, (takes_a,), i64)
        after = body.emit(arith.AddiOp, (body.emit(arith.IndexCastOp, (from_a,), i64), one), i64)
        # Selected by bits: LLVM makes a branch of a select here, which would be taken half of the time, at random.
        mask = body.emit(arith.ExtSIOp, (takes_a,), i64)
        chosen: list[SSAValue] = []
        for a, b in zip(word_a, word_b, strict=True):
            difference = body.emit(arith.AndIOp, (body.emit(arith.XOrIOp, (a, b), i64), mask), i64)
            chosen.append(body.emit(arith.XOrIOp, (b, difference), i64))
        return [after, *chosen]

    def _word(self, scope: Body, start: SSAValue, offset: SSAValue) -> list[SSAValue]:
        """An element of a block; behind the end of all blocks the last one is read."""
        last = scope.index_op(arith.SubiOp, self.size, scope.constant(1, INDEX))
        at = scope.index_op(arith.MinSIOp, scope.index_op(arith.AddiOp, start, offset), last)
        outer = [scope.index(dim_index(dim)) for dim in range(len(self.sort.outer))]
        return [scope.emit(tensor.ExtractOp, (each, *outer, at), i64) for each in self.words]

    def _searched(self, scope: Body) -> SSAValue:
        """How many of the elements before `place` come from A: the least number i with A[i] after B[place - i - 1]."""
        zero, one = scope.constant(0, INDEX), scope.constant(1, INDEX)
        low = scope.index_op(arith.MaxSIOp, scope.index_op(arith.SubiOp, self.place, self.length_b), zero)
        high = scope.index_op(arith.MinSIOp, self.place, self.length_a)
        step = scope.branch()
        block = Block(arg_types=[INDEX, INDEX, INDEX])
        _, least, most = block.args
        center = step.index_op(arith.DivUIOp, step.index_op(arith.AddiOp, least, most), step.constant(2, INDEX))
        is_open = step.compare("slt", least, most)
        # Where the search is over, B may have no such element: another one is read in its place.
        behind = step.index_op(arith.SubiOp, step.index_op(arith.SubiOp, self.place, center), one)
        behind = step.index_op(arith.MaxSIOp, behind, zero)
        word_a, word_b = self._word(step, self.start_a, center), self._word(step, self.start_b, behind)
        a_first = self.sort.precedes(step, word_a, word_b)
        forward = step.emit(arith.AndIOp, (is_open, a_first), i1)
        backward = step.emit(
            arith.AndIOp, (is_open, step.emit(arith.XOrIOp, (a_first, step.constant(True, i1)), i1)), i1
        )
        above = step.index_op(arith.AddiOp, center, one)
        step.append(scf.YieldOp(step.select(forward, above, least), step.select(backward, center, most)))
        block.add_ops(step.ops)
        loop = scf.ForOp(zero, scope.constant(self.steps, INDEX), one, [low, high], Region(block))
        return scope.append(loop).results[0]
