"""Attention as stages of one kernel: nothing of the size of the scores is needed beyond a block of queries.

The scores of a block are stored with the queries innermost, [keys, queries]: products, maxima, exponentials and sums
then run in vectors of queries, without a step across the lanes, and the second product reads neighboring weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from xdsl.dialects import math
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FloatAttr, StringAttr, UnitAttr, bf16, f16, f64, i1
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.dialects.graph.attention import KEY, QUERY, RESULT, VALUE, AttentionOp
from lamina.dialects.graph.construction import accumulation_type
from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.graph.types import dtype_of
from lamina.dialects.hardware.gpu_target import is_for_gpu
from lamina.dialects.loop import arith
from lamina.dialects.tensor import linalg
from lamina.lowering.graph_to_linalg.body import Body
from lamina.lowering.graph_to_linalg.emitter import element_type_of, tensor_type
from lamina.lowering.graph_to_linalg.indexing import ZERO, Indices, Linear, dim_index
from lamina.lowering.graph_to_linalg.spaces import Axis
from lamina.passes.caches import cache_bytes
from lamina.passes.hardware.expand_math import NON_POSITIVE, VANISHES

if TYPE_CHECKING:
    from lamina.lowering.graph_to_linalg.stages import Lowering

BLOCKS = "lamina.blocks"
"""On stages that exchange nothing but blocks of one axis: what `assign-schedules` makes one loop of."""

HEAD, MEMBER, ROW, COLUMN, FEATURE, OUTPUT = "h", "g", "m", "n", "d", "e"
"""Axes: key heads, query heads of one key head, queries, keys, features, features of the values."""

COPYING_QUERIES = 512
"""Queries of one key head that repay a copy of its keys and values: it takes as long as products with 20 to 30."""

LOWEST_SCORE = -80.0
"""Scores so far below the largest have no weight: 1.8e-35 beside 1. Some CPUs take 150 ns for a vector of subnormal
weights, or of their products with values (a mask of -88 for 64 of 512 keys: 11 times as slow)."""

Build = Callable[[Body, Sequence[SSAValue], "Place"], SSAValue]


def lower_attention(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """The stages of a `graph.attention`; gives the updated destination."""
    assert isinstance(op, AttentionOp)
    return _Attention(lowering, op, destination, permutation).lower()


@dataclass(frozen=True)
class Place:
    """Where a body stands: the index of each axis by name."""

    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Linear:
        return dim_index(self.names.index(name))

    def at(self, names: Sequence[str]) -> tuple[Linear, ...]:
        """The indices of several axes."""
        return tuple(self[name] for name in names)


class _Attention:
    def __init__(self, lowering: Lowering, op: AttentionOp, destination: SSAValue, permutation: Sequence[int]):
        self.function = lowering.function
        self.op = op
        self.destination = destination
        self.permutation = permutation
        sizes = op.sizes([self.function.shape(operand) for operand in op.operands[:3]])
        self.batch = tuple(f"b{axis}" for axis in range(len(sizes.batch)))
        self.group = sizes.group
        self.outer = (*self.batch, HEAD, *((MEMBER,) if self.group > 1 else ()))
        self.sizes: dict[str, Dim] = {
            **dict(zip(self.batch, sizes.batch, strict=True)),
            HEAD: sizes.key_heads,
            MEMBER: self.group,
            ROW: sizes.queries,
            COLUMN: sizes.keys,
            FEATURE: sizes.features,
            OUTPUT: sizes.value_features,
        }
        self.narrow = element_type_of(op.query)
        self.type = accumulation_type(self.narrow)
        """Of all that is between the operands and the result."""
        self.copies: dict[int, SSAValue] = {}
        """Keys and values, heads first, where they are copied."""

    def lower(self) -> SSAValue:
        mask = self._transposed_mask()
        self.copies = {which: self._heads_first(which) for which in (KEY, VALUE) if self._is_scattered(which)}
        query = self._packed_query()
        scores = self._scores(query)
        if mask is not None:
            scores = self._masked(scores, mask)
        weights = self._exponentials(scores)
        return self._mixture(weights)

    def _read(self, body: Body, value: SSAValue, indices: Indices) -> SSAValue:
        """An element of an operand, widened."""
        element = body.read(value, indices)
        if element.type not in (f16, bf16) or element.type == self.type:
            return element
        return body.emit(arith.ExtFOp, (element,), self.type)

    # Building stages

    def _temporary(self, names: Sequence[str]) -> SSAValue:
        shape = tuple(self.sizes[name] for name in names)
        return self.function.empty(shape, tensor_type(shape, self.type))

    def _filled(self, value: float, names: Sequence[str]) -> SSAValue:
        from lamina.lowering.graph_to_linalg.stages import fill

        return fill(self.function, self.function.constant(value, self.type), self._temporary(names))

    def _stage(
        self,
        names: Sequence[str],
        output: SSAValue,
        indices: Callable[[Place], tuple[Linear, ...]],
        build: Build,
        reduced: str | None = None,
        tile: str | None = None,
        blocks: bool = True,
    ) -> SSAValue:
        """A generic over named axes; `tile` names the rows of a contraction."""
        from lamina.lowering.graph_to_linalg.stages import Output, generic

        axes = [Axis(name, self.sizes[name], name == reduced) for name in names]
        place = Place(tuple(names))
        results = generic(
            self.function,
            axes,
            [Output(output, indices(place))],
            lambda body, outputs: [build(body, outputs, place)],
        )
        stage = results[0].owner
        if blocks and isinstance(stage, linalg.GenericOp):
            stage.attributes[BLOCKS] = self._blocks(tile)
        return results[0]

    def _blocks(self, tile: str | None) -> DictionaryAttr:
        entries: dict[str, Attribute] = {
            "axis": StringAttr(ROW),
            "parallel": ArrayAttr([StringAttr(name) for name in (*self.outer, ROW)]),
        }
        if tile is not None:
            entries["row"] = StringAttr(tile)
        if self.op.causal is not None:
            entries |= {"limited": StringAttr(COLUMN), "limit": self.op.causal}
        return DictionaryAttr(entries)

    def _operand(self, which: int, place: Place, token: str, feature: str) -> tuple[Linear, ...]:
        """Where the query, the key, the value or the result is accessed."""
        head = place[HEAD]
        if which in (QUERY, RESULT) and self.group > 1:
            head = head.times(self.group).plus(place[MEMBER])
        inner = (head, place[token], place[feature])
        if self.op.has_tokens_first(which):
            inner = (inner[1], inner[0], inner[2])
        return (*place.at(self.batch), *inner)

    # The stages

    def _transposed_mask(self) -> SSAValue | None:
        """A mask of its own for every query, with the queries innermost; as a graph-level value otherwise.

        On a GPU, where threads have neighboring keys of a query, it stays as it is.
        """
        mask = self.op.mask
        if mask is None or is_for_gpu(self.op):
            return mask
        shape = self.function.canonical_shape(mask)
        if len(shape) < 2 or shape[-2] == 1 or mask not in self.function.values:
            return mask
        from lamina.lowering.graph_to_linalg.stages import Output, generic

        rank = len(shape)
        turned: Shape = (*shape[:-2], shape[-1], shape[-2])
        names = tuple(f"t{axis}" for axis in range(rank))
        output = self.function.empty(turned, tensor_type(turned, element_type_of(mask)))
        dims = tuple(dim_index(axis) for axis in (*range(rank - 2), rank - 1, rank - 2))
        axes = [Axis(name, size) for name, size in zip(names, self.function.shape(mask), strict=True)]
        indices: Indices = tuple(dim_index(axis) for axis in range(rank))
        return generic(self.function, axes, [Output(output, dims)], lambda body, outputs: [body.read(mask, indices)])[0]

    def _is_scattered(self, which: int) -> bool:
        """Whether the rows of one head lie so far apart that the second cache does not keep them.

        With tokens first they are as far apart as all heads are wide, and share a few sets of the caches. Where the
        keys and values of all heads do not fit the second cache, those of one head come from beyond it for every block
        of queries; many queries repay a copy, heads first (one thread, 2 MiB: 8 heads, 1024 keys 26 and 16 ms, 4 heads,
        2048 keys 50 and 32; 12 heads, 512 keys about even).
        """
        cache = cache_bytes(self.op, "l2")
        if cache is None or not self.op.has_tokens_first(which) or is_for_gpu(self.op):
            return False
        heads, keys, queries, *widths = (self.sizes[name] for name in (HEAD, COLUMN, ROW, FEATURE, OUTPUT))
        if not isinstance(heads, int) or not isinstance(keys, int) or not isinstance(queries, int):
            return False
        elements = heads * keys * sum(width for width in widths if isinstance(width, int))
        nbytes = elements * dtype_of(self.narrow).itemsize
        return heads > 1 and queries * self.group >= COPYING_QUERIES and nbytes > cache

    def _heads_first(self, which: int) -> SSAValue:
        """A copy of the keys or the values with the tokens of a head next to each other."""
        feature = FEATURE if which == KEY else OUTPUT
        axes = (*self.batch, HEAD, COLUMN, feature)

        def build(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            return self._read(body, self.op.operands[which], self._operand(which, place, COLUMN, feature))

        # In the order of what is read: pages are gone through once.
        names = (*self.batch, COLUMN, HEAD, feature)
        return self._stage(names, self._temporary(axes), lambda place: place.at(axes), build, blocks=False)

    def _element(self, body: Body, which: int, place: Place, feature: str) -> SSAValue:
        """An element of the keys or the values, widened."""
        copy = self.copies.get(which)
        if copy is not None:
            return body.inputs.argument(copy, place.at((*self.batch, HEAD, COLUMN, feature)))
        return self._read(body, self.op.operands[which], self._operand(which, place, COLUMN, feature))

    def _packed_query(self) -> SSAValue:
        """scale · query, with the queries innermost."""
        axes = (*self.outer, FEATURE, ROW)
        scale = self.op.scale.value.data

        def build(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            element = self._read(body, self.op.query, self._operand(QUERY, place, ROW, FEATURE))
            if scale == 1:
                return element
            return body.emit(arith.MulfOp, (element, body.constant(scale, self.type)), self.type)

        names = (*self.outer, ROW, FEATURE)
        return self._stage(names, self._temporary(axes), lambda place: place.at(axes), build)

    def _scores(self, query: SSAValue) -> SSAValue:
        axes = (*self.outer, COLUMN, ROW)

        def build(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            key = self._element(body, KEY, place, FEATURE)
            return self._multiply_add(
                body, outputs[0], key, body.inputs.argument(query, place.at((*self.outer, FEATURE, ROW)))
            )

        names = (*axes, FEATURE)
        return self._stage(
            names, self._filled(0, axes), lambda place: place.at(axes), build, reduced=FEATURE, tile=COLUMN
        )

    def _multiply_add(self, body: Body, accumulator: SSAValue, left: SSAValue, right: SSAValue) -> SSAValue:
        from lamina.lowering.graph_to_linalg.stages import MULTIPLY_ADD

        product = body.emit(arith.MulfOp, (left, right), self.type, MULTIPLY_ADD)
        return body.emit(arith.AddfOp, (accumulator, product), self.type, MULTIPLY_ADD)

    def _masked(self, scores: SSAValue, mask: SSAValue) -> SSAValue:
        axes = (*self.outer, COLUMN, ROW)

        def build(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            score = body.inputs.argument(scores, place.at(axes))
            element = self._mask_element(body, mask, place)
            if element.type == i1:
                return body.select(element, score, body.constant(-inf, self.type))
            return body.emit(arith.AddfOp, (score, element), self.type)

        return self._stage(axes, scores, lambda place: place.at(axes), build)

    def _mask_element(self, body: Body, mask: SSAValue, place: Place) -> SSAValue:
        head = place[HEAD].times(self.group).plus(place[MEMBER]) if self.group > 1 else place[HEAD]
        graph_mask = self.op.mask
        assert graph_mask is not None
        shape = self.function.canonical_shape(graph_mask)
        full = (*place.at(self.batch), head, place[ROW], place[COLUMN])[-len(shape) :] if shape else ()
        indices = tuple(ZERO if size == 1 else index for size, index in zip(shape, full, strict=True))
        if mask is graph_mask:
            return self._read(body, mask, indices)
        return body.inputs.argument(mask, (*indices[:-2], indices[-1], indices[-2]))

    def _takes_part(self, body: Body, place: Place) -> SSAValue | None:
        """Whether a query sees a key, where attention is causal."""
        if self.op.causal is None:
            return None
        last = body.index(place[ROW])
        if self.op.causal.data == "end":
            keys, queries = (self.function.size(self.sizes[name]) for name in (COLUMN, ROW))
            offset = self.function.index_op(arith.SubiOp, keys, queries)
            last = body.index_op(arith.AddiOp, last, offset)
        return body.compare("sle", body.index(place[COLUMN]), last)

    def _exponentials(self, scores: SSAValue) -> SSAValue:
        """exp(score - the largest of the query), 0 for what takes no part."""
        axes, rows = (*self.outer, COLUMN, ROW), (*self.outer, ROW)
        lowest = self.function.constant(-inf, self.type)

        def largest(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            score = body.inputs.argument(scores, place.at(axes))
            # NaN need not win here: its exponential is NaN anyway.
            above = body.compare("ogt", score, outputs[0])
            seen = self._takes_part(body, place)
            if seen is not None:
                above = body.emit(arith.AndIOp, (above, seen), i1)
            return body.select(above, score, outputs[0])

        maxima = self._stage(axes, self._filled(-inf, rows), lambda place: place.at(rows), largest, reduced=COLUMN)

        def exponential(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            score = body.inputs.argument(scores, place.at(axes))
            largest = body.inputs.argument(maxima, place.at(rows))
            seen = self._takes_part(body, place)
            if seen is not None:
                score = body.select(seen, score, lowest)
            shifted = body.emit(arith.SubfOp, (score, largest), self.type)
            power = body.emit(math.ExpOp, (shifted,), self.type)
            if isinstance(power.owner, math.ExpOp):
                power.owner.attributes |= {NON_POSITIVE: UnitAttr(), VANISHES: FloatAttr(LOWEST_SCORE, f64)}
            return power

        return self._stage(axes, scores, lambda place: place.at(axes), exponential)

    def _mixture(self, weights: SSAValue) -> SSAValue:
        """The values, weighted, divided by the sum of the weights."""
        from lamina.lowering.graph_to_linalg.stages import REASSOCIATE

        axes, rows, result = (*self.outer, COLUMN, ROW), (*self.outer, ROW), (*self.outer, ROW, OUTPUT)

        def total(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            weight = body.inputs.argument(weights, place.at(axes))
            return body.emit(arith.AddfOp, (outputs[0], weight), self.type, REASSOCIATE)

        sums = self._stage(axes, self._filled(0, rows), lambda place: place.at(rows), total, reduced=COLUMN)

        def mixed(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            weight = body.inputs.argument(weights, place.at(axes))
            value = self._element(body, VALUE, place, OUTPUT)
            return self._multiply_add(body, outputs[0], weight, value)

        mixture = self._stage(
            (*result, COLUMN),
            self._filled(0, result),
            lambda place: place.at(result),
            mixed,
            reduced=COLUMN,
            tile=ROW,
        )

        def divided(body: Body, outputs: Sequence[SSAValue], place: Place) -> SSAValue:
            element = body.inputs.argument(mixture, place.at(result))
            quotient = body.emit(arith.DivfOp, (element, body.inputs.argument(sums, place.at(rows))), self.type)
            return quotient if self.narrow == self.type else body.emit(arith.TruncFOp, (quotient,), self.narrow)

        def written(place: Place) -> tuple[Linear, ...]:
            indices = self._operand(RESULT, place, ROW, OUTPUT)
            return tuple(indices[axis] for axis in self.permutation)

        return self._stage(result, self.destination, written, divided)
