"""Sorting: runs of 1, 2, 4, … elements are merged, and every element of a merged run is found by itself.

A level of the merge sort is one parallel stage. The element at place q of the merged run of A and B (A before B) comes
from the first i elements of A and q - i of B, where i is found by binary search: the smallest i for which A[i] comes
after B[q - i - 1]. That is O(n log² n) work in all, O(log² n) deep, with no writes but to the own place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.types import is_float
from lamina.dialects.loop import arith, scf
from lamina.dialects.tensor import tensor
from lamina.lowering.graph_to_linalg.body import Body
from lamina.lowering.graph_to_linalg.elementwise import predicate
from lamina.lowering.graph_to_linalg.emitter import INDEX, Scope, element_type_of, signless, tensor_type
from lamina.lowering.graph_to_linalg.indexing import dim_index, identity_indices
from lamina.lowering.graph_to_linalg.properties import flag, integer
from lamina.lowering.graph_to_linalg.spaces import Axis

if TYPE_CHECKING:
    from lamina.lowering.graph_to_linalg.stages import Lowering

LEVELS = 32
"""Levels for a size that is not known before run time: enough for 2^32 elements; those beyond the size only copy."""


def lower_arg_sort(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """One stage per level, which gives positions and keys; two tensors of each take turns.

    The positions of the last level lie in the destination.
    """
    from lamina.lowering.graph_to_linalg.stages import Output, fill, generic

    function = lowering.function
    (operand,) = op.operands
    sizes = function.shape(operand)
    sorted_axis = integer(op, "dimension")
    size = sizes[sorted_axis]
    rank = len(sizes)
    dims = tuple(range(rank))
    axes = [Axis(f"i{axis}", each) for axis, each in enumerate(sizes)]
    levels = (size - 1).bit_length() if isinstance(size, int) else LEVELS
    straight = list(permutation) == list(dims)
    if not levels:
        return fill(function, function.constant(0, i64), destination)
    target = destination if straight else function.empty_like(op.results[0])
    element_type = element_type_of(operand)
    key_type = tensor_type(sizes, signless(element_type))
    places = [target, function.empty_like(op.results[0])] if levels > 1 else [target]
    keys = [function.empty(sizes, key_type) for _ in range(min(levels - 1, 2))]
    source: tuple[SSAValue, SSAValue] | None = None
    for level in range(levels):
        is_last = level == levels - 1
        place, key = (levels - 1 - level) % 2, level % 2
        merge = Merge(operand, element_type, sorted_axis, size, level, flag(op, "descending"), source)
        outputs = [Output(places[place], dims)]
        if not is_last:
            outputs.append(Output(keys[key], dims))
        results = generic(function, axes, outputs, lambda body, _, merge=merge, last=is_last: merge.build(body, last))
        places[place] = results[0]
        if not is_last:
            keys[key] = results[1]
            source = results[0], results[1]
    if straight:
        return places[0]

    def transposed(body: Body, outputs: Sequence[SSAValue]) -> Sequence[SSAValue]:
        return [body.inputs.argument(places[0], identity_indices(rank))]  # pyright: ignore[reportArgumentType]

    return generic(function, axes, [Output(destination, tuple(permutation))], transposed)[0]


class Merge:
    """The body of one level: `source` holds positions and keys in sorted runs of 2^level, None for the first level."""

    def __init__(
        self,
        operand: SSAValue,
        element_type: Attribute,
        axis: int,
        size: Dim,
        level: int,
        descending: bool,
        source: tuple[SSAValue, SSAValue] | None,
    ):
        self.operand = operand
        self.element_type = element_type
        self.axis = axis
        self.size = size
        self.level = level
        self.descending = descending
        self.source = source

    def build(self, body: Body, is_last: bool) -> Sequence[SSAValue]:
        """The position of the element that comes here, and unless this is the last level its key."""
        width = body.constant(1 << self.level, INDEX)
        zero, one = body.constant(0, INDEX), body.constant(1, INDEX)
        size, here = body.index(self.size), body.index(dim_index(self.axis))
        # A is [start, middle), B is [middle, end), both cut at the end of the axis.
        run = body.emit(arith.DivUIOp, (here, body.constant(2 << self.level, INDEX)), INDEX)
        start = body.index_op(arith.MuliOp, run, body.constant(2 << self.level, INDEX))
        middle = body.index_op(arith.MinSIOp, body.index_op(arith.AddiOp, start, width), size)
        end = body.index_op(arith.MinSIOp, body.index_op(arith.AddiOp, middle, width), size)
        length_a = body.index_op(arith.SubiOp, middle, start)
        length_b = body.index_op(arith.SubiOp, end, middle)
        place = body.index_op(arith.SubiOp, here, start)
        low = body.index_op(arith.MaxSIOp, body.index_op(arith.SubiOp, place, length_b), zero)
        high = body.index_op(arith.MinSIOp, place, length_a)

        search = body.branch()
        block = Block(arg_types=[INDEX, INDEX, INDEX])
        _, least, most = block.args
        both = search.index_op(arith.AddiOp, least, most)
        center = search.index_op(arith.DivUIOp, both, search.constant(2, INDEX))
        is_open = search.compare("slt", least, most)
        # Where the search is over, the positions may lie outside: those at the ends are read in their place.
        at_a = self._clamped(search, search.index_op(arith.AddiOp, start, center), size)
        behind = search.index_op(arith.SubiOp, place, center)
        at_b = self._clamped(
            search,
            search.index_op(arith.SubiOp, search.index_op(arith.AddiOp, middle, behind), one),
            size,
        )
        b_first = self._precedes(search, self._key(search, at_b), self._key(search, at_a))
        above = search.index_op(arith.AddiOp, center, one)
        forward = search.emit(arith.AndIOp, (is_open, self._not(search, b_first)), i1)
        backward = search.emit(arith.AndIOp, (is_open, b_first), i1)
        search.append(scf.YieldOp(search.select(forward, above, least), search.select(backward, center, most)))
        block.add_ops(search.ops)
        steps: SSAValue = body.constant(self.level + 1, INDEX)
        if not isinstance(self.size, int):
            steps = body.select(body.compare("slt", width, size), steps, zero)
        loop = scf.ForOp(zero, steps, one, [low, high], Region(block))
        from_a = body.append(loop).results[0]
        if not isinstance(self.size, int):
            from_a = body.select(body.compare("slt", width, size), from_a, place)

        from_b = body.index_op(arith.SubiOp, place, from_a)
        at_a = self._clamped(body, body.index_op(arith.AddiOp, start, from_a), size)
        at_b = self._clamped(body, body.index_op(arith.AddiOp, middle, from_b), size)
        b_first = self._precedes(body, self._key(body, at_b), self._key(body, at_a))
        a_is_over = body.compare("sge", from_a, length_a)
        b_is_left = body.compare("slt", from_b, length_b)
        take_b = body.emit(arith.AndIOp, (b_is_left, body.emit(arith.OrIOp, (a_is_over, b_first), i1)), i1)
        chosen = body.select(take_b, at_b, at_a)
        position = self._position(body, chosen)
        return [position] if is_last else [position, self._key(body, chosen)]

    def _clamped(self, scope: Scope, index: SSAValue, size: SSAValue) -> SSAValue:
        last = scope.index_op(arith.SubiOp, size, scope.constant(1, INDEX))
        return scope.index_op(arith.MaxSIOp, scope.index_op(arith.MinSIOp, index, last), scope.constant(0, INDEX))

    def _not(self, scope: Scope, value: SSAValue) -> SSAValue:
        return scope.emit(arith.XOrIOp, (value, scope.constant(True, i1)), i1)

    def _indices(self, body: Body, at: SSAValue) -> list[SSAValue]:
        rank = len(body.sizes)
        return [at if axis == self.axis else body.index(dim_index(axis)) for axis in range(rank)]

    def _key(self, body: Body, at: SSAValue) -> SSAValue:
        if self.source is None:
            return body.read(self.operand, tuple(self._indices(body, at)))
        keys = self.source[1]
        return body.emit(tensor.ExtractOp, (keys, *self._indices(body, at)), element_type_of(keys))

    def _position(self, body: Body, at: SSAValue) -> SSAValue:
        if self.source is None:
            return body.emit(arith.IndexCastOp, (at,), i64)
        return body.emit(tensor.ExtractOp, (self.source[0], *self._indices(body, at)), i64)

    def _precedes(self, scope: Scope, left: SSAValue, right: SSAValue) -> SSAValue:
        """Whether `left` has to come before `right`, also where it stands behind it."""
        before = scope.compare(predicate("GT" if self.descending else "LT", self.element_type), left, right)
        if not is_float(self.element_type):
            return before
        # NaN is larger than every number.
        larger, smaller = (left, right) if self.descending else (right, left)
        is_nan = scope.compare("uno", larger, larger)
        is_number = scope.compare("ord", smaller, smaller)
        return scope.emit(arith.OrIOp, (before, scope.emit(arith.AndIOp, (is_nan, is_number), i1)), i1)
