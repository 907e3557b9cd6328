"""Attention: mixtures of values, weighted by how well their keys fit a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from xdsl.dialects.builtin import Float64Type, FloatAttr, StringAttr, f64, i1, i64
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, GraphOp, InferenceError
from lamina.dialects.graph.broadcasting import broadcast_constraints, broadcast_shapes
from lamina.dialects.graph.composite import CompositeOp, Doubles, check_element_kind
from lamina.dialects.graph.construction import check_axes, check_equal_sizes, construct, more_precise, unequal_pairs
from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.graph.properties import INTEGERS, TENSOR, Keyword, integers
from lamina.dialects.graph.types import FLOAT, DType

if TYPE_CHECKING:
    from lamina.dialects.graph.builder import GraphBuilder

CAUSAL = ("start", "end")
QUERY, KEY, VALUE, RESULT = range(4)
"""What `tokens_first` counts."""


@dataclass(frozen=True)
class AttentionSizes:
    """The sizes of an attention: batch axes, heads of the query, heads of the key, and the four lengths."""

    batch: Shape
    heads: Dim
    key_heads: Dim
    queries: Dim
    keys: Dim
    features: Dim
    value_features: Dim

    @property
    def group(self) -> int:
        """How many heads of the query share one of the key."""
        if isinstance(self.heads, int) and isinstance(self.key_heads, int) and self.key_heads:
            return self.heads // self.key_heads
        return 1

    @property
    def scores(self) -> Shape:
        """The shape that a mask broadcasts to."""
        return (*self.batch, self.heads, self.queries, self.keys)


@irdl_op_definition
class AttentionOp(CompositeOp, HasCanonicalizationPatternsInterface):
    """softmax(scale · query · keyᵀ + mask) · value for every head. Vaswani et al., "Attention Is All You Need", 2017.

    Operands: query [b…, h, q, d], key [b…, k, s, d], value [b…, k, s, e] and an optional mask that broadcasts to
    [b…, h, q, s], of their element type (added to the scores) or i1 (false: the key does not take part). Result:
    [b…, h, q, e]. Each key head serves h / k neighboring query heads (grouped queries). The operands that
    `tokens_first` lists (0 query, 1 key, 2 value, 3 the result) have tokens before heads: [b…, q, h, d].

    With `causal = start` query i takes part in keys 0 … i; with `causal = end` in keys 0 … i + s - q: the last query
    sees every key, as it should when the first keys come from a cache. f16 and bf16 are computed in f32.

    A query that takes part in no key gives NaN, as softmax of -inf does.

    Constraints:
    1. query, key and value are floats of one element type and at least three axes; the mask is i1 or of that type.
    2. The batch axes, the features d and the keys s are equally many.
    3. h is a multiple of k; where they differ, both are known.
    4. The mask broadcasts to [b…, h, q, s].
    5. `causal` is start or end; `tokens_first` are distinct and within [0, 4).

    ONNX Attention (`is_causal` is start, or end with a cache), PyTorch scaled_dot_product_attention (`is_causal` is
    start); StableHLO has no counterpart.
    """

    name = "graph.attention"
    IS_KERNEL: ClassVar[bool] = True
    query = operand_def(TENSOR)
    key = operand_def(TENSOR)
    value = operand_def(TENSOR)
    mask = opt_operand_def(TENSOR)
    scale = prop_def(FloatAttr[Float64Type])
    causal = opt_prop_def(StringAttr)
    tokens_first = prop_def(INTEGERS, default_value=integers(()))
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    custom_directives = (Keyword,)
    assembly_format = (
        "$query `,` $key `,` $value (`mask` `=` $mask^)? `scale` `=` $scale "
        "(`causal` `=` custom<Keyword>($causal)^)? (`tokens_first` `=` $tokens_first^)? attr-dict "
        "`:` type($query) `,` type($key) `,` type($value) (`,` type($mask)^)? `->` type($result)"
    )

    def __init__(
        self,
        query: SSAValue | Operation,
        key: SSAValue | Operation,
        value: SSAValue | Operation,
        mask: SSAValue | Operation | None = None,
        *,
        scale: float,
        causal: str | None = None,
        tokens_first: Sequence[int] = (),
    ):
        operands = (query, key, value) if mask is None else (query, key, value, mask)
        properties = {
            "scale": FloatAttr(scale, f64),
            "causal": None if causal is None else StringAttr(causal),
            "tokens_first": integers(tokens_first),
        }
        construct(self, operands, properties)

    def has_tokens_first(self, which: int) -> bool:
        """Whether an operand, or the result (3), has its tokens before its heads."""
        return which in self.tokens_first.get_values()

    def heads_first(self, which: int, shape: Shape) -> Shape:
        """The shape of an operand or the result as [b…, heads, tokens, features], or back."""
        if not self.has_tokens_first(which):
            return shape
        return (*shape[:-3], shape[-2], shape[-3], shape[-1])

    def sizes(self, shapes: Sequence[Shape]) -> AttentionSizes:
        """The sizes from the shapes of query, key and value."""
        query, key, value = (self.heads_first(which, shapes[which]) for which in (QUERY, KEY, VALUE))
        batch = tuple(
            more_precise(more_precise(a, b), c) for a, b, c in zip(query[:-3], key[:-3], value[:-3], strict=True)
        )
        return AttentionSizes(
            batch,
            query[-3],
            more_precise(key[-3], value[-3]),
            query[-2],
            more_precise(key[-2], value[-2]),
            more_precise(query[-1], key[-1]),
            value[-1],
        )

    def _pairs(self, shapes: Sequence[Shape]) -> list[tuple[Dim, Dim]]:
        """The sizes that must be equal."""
        query, key, value = (self.heads_first(which, shapes[which]) for which in (QUERY, KEY, VALUE))
        batch = [pair for other in (key, value) for pair in zip(query[:-3], other[:-3], strict=True)]
        pairs = [*batch, (key[-3], value[-3]), (key[-2], value[-2]), (query[-1], key[-1])]
        if not (isinstance(query[-3], int) and isinstance(key[-3], int)):
            pairs.append((query[-3], key[-3]))
        return pairs

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        query, key, value, *masks = operands
        rank = len(query.shape)
        for what, operand in (("query", query), ("key", key), ("value", value)):
            check_element_kind(self.name, what, FLOAT, operand.element_type)
            if len(operand.shape) != rank or rank < 3 or operand.element_type != query.element_type:
                raise InferenceError(
                    f"{self.name}: {what}: expected {query.element_type} with {max(rank, 3)} axes, found {operand.type}"
                )
        check_axes(self.name, "tokens_first", self.tokens_first.get_values(), 4)
        if self.causal is not None and self.causal.data not in CAUSAL:
            raise InferenceError(f"{self.name}: causal: expected one of {', '.join(CAUSAL)}, found {self.causal.data}")
        shapes = [operand.shape for operand in operands[:3]]
        for left, right in self._pairs(shapes):
            check_equal_sizes(self.name, "batch, key, feature or head axes", left, right)
        sizes = self.sizes(shapes)
        if isinstance(sizes.heads, int) and isinstance(sizes.key_heads, int):
            fits = sizes.heads % sizes.key_heads == 0 if sizes.key_heads else sizes.heads == 0
            if not fits:
                raise InferenceError(
                    f"{self.name}: expected a number of query heads that {sizes.key_heads} key heads divide, "
                    f"found {sizes.heads}"
                )
        for mask in masks:
            self._check_mask(mask, query, sizes)
        result = (*sizes.batch, sizes.heads, sizes.queries, sizes.value_features)
        return (AbstractTensor(self.heads_first(RESULT, result), query.element_type),)

    def _check_mask(self, mask: AbstractTensor, query: AbstractTensor, sizes: AttentionSizes) -> None:
        if mask.element_type not in (i1, query.element_type):
            raise InferenceError(f"{self.name}: mask: expected i1 or {query.element_type}, found {mask.element_type}")
        shape = broadcast_shapes(self.name, (mask.shape, sizes.scores))
        if len(mask.shape) > len(sizes.scores) or any(
            size != wanted and wanted == 1 for size, wanted in zip(shape, sizes.scores, strict=True)
        ):
            raise InferenceError(
                f"{self.name}: mask: expected a shape that broadcasts to the scores', found {mask.type}"
            )

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        shapes = [operand.shape for operand in operands]
        pairs = unequal_pairs(self._pairs(shapes))
        for mask in shapes[3:]:
            pairs += broadcast_constraints((self.sizes(shapes).scores, mask))
        return pairs

    # The definition in primitives

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        query, key, value = (
            builder.widen(self.heads_first_value(builder, which, self.operands[which])) for which in range(3)
        )
        sizes = self.sizes([builder.shape(operand) for operand in self.operands[:3]])
        batch, rank, group = len(sizes.batch), len(sizes.batch) + 3, sizes.group
        query = builder.multiply(query, self.scale.value.data)
        if group != 1:
            query = self.split_heads(builder, query, rank - 3, group)
        batching = tuple(range(batch + 1))
        scores = builder.dot_general(query, key, (builder.rank(query) - 1,), (rank - 1,), batching, batching)
        if group != 1:
            scores = self.merge_heads(builder, scores, rank - 3)
        scores = self.masked(builder, scores, self.mask)
        weights = builder.softmax(scores, rank - 1)
        if group != 1:
            weights = self.split_heads(builder, weights, rank - 3, group)
        result = builder.dot_general(weights, value, (builder.rank(weights) - 1,), (rank - 2,), batching, batching)
        if group != 1:
            result = self.merge_heads(builder, result, rank - 3)
        result = builder.cast(result, builder.element_type(self.query))
        return (self.heads_first_value(builder, RESULT, result),)

    def heads_first_value(self, builder: GraphBuilder, which: int, value: SSAValue) -> SSAValue:
        """A value of the shape of an operand (or the result) with heads before tokens, or back."""
        if not self.has_tokens_first(which):
            return value
        rank = builder.rank(value)
        return builder.transpose(value, (*range(rank - 3), rank - 2, rank - 3, rank - 1))

    @staticmethod
    def reshaped(builder: GraphBuilder, value: SSAValue, source: Sequence[tuple[int, int | None]]) -> SSAValue:
        """A reshape to axes given as (axis of the value, or -1; size, or None for the size of that axis)."""
        shape = builder.shape(value)
        wanted = [shape[axis] if size is None else size for axis, size in source]
        dynamic = [number for number, size in enumerate(wanted) if not isinstance(size, int)]
        if len(dynamic) <= 1:
            return builder.reshape(value, [size if isinstance(size, int) else -1 for size in wanted])
        known = {wanted[number]: builder.dimension(value, source[number][0]) for number in dynamic}
        return builder.dynamic_reshape(value, builder.sizes(wanted, known))

    def split_heads(self, builder: GraphBuilder, value: SSAValue, axis: int, group: int) -> SSAValue:
        """Heads as [key heads, group]."""
        heads = builder.shape(value)[axis]
        assert isinstance(heads, int)
        before: list[tuple[int, int | None]] = [(each, None) for each in range(axis)]
        after: list[tuple[int, int | None]] = [(each, None) for each in range(axis + 1, builder.rank(value))]
        return self.reshaped(builder, value, [*before, (-1, heads // group), (-1, group), *after])

    def merge_heads(self, builder: GraphBuilder, value: SSAValue, axis: int) -> SSAValue:
        """[key heads, group] as heads."""
        first, second = builder.shape(value)[axis : axis + 2]
        assert isinstance(first, int) and isinstance(second, int)
        before: list[tuple[int, int | None]] = [(each, None) for each in range(axis)]
        after: list[tuple[int, int | None]] = [(each, None) for each in range(axis + 2, builder.rank(value))]
        return self.reshaped(builder, value, [*before, (-1, first * second), *after])

    def masked(
        self,
        builder: GraphBuilder,
        scores: SSAValue,
        mask: SSAValue | None,
        first: SSAValue | None = None,
        count: int | None = None,
    ) -> SSAValue:
        """Scores [b…, h, q, s] under a mask, and causal as the op is; -inf where a key does not take part.

        `first` is given where the scores are of a block of queries: the first one's number, and `count` of them in all.
        """
        if mask is not None and builder.element_type(mask) == i1:
            scores = builder.select(mask, scores, -np.inf)
        elif mask is not None:
            scores = builder.add(scores, builder.widen(mask))
        if self.causal is None:
            return scores
        rank = builder.rank(scores)
        rows, columns = (self._positions(builder, scores, rank, axis) for axis in (rank - 2, rank - 1))
        if first is not None:
            rows = builder.add(rows, first)
        if self.causal.data == "end":
            queries = builder.dimension(scores, rank - 2) if count is None else builder.constant(np.int64(count))
            rows = builder.add(rows, builder.subtract(builder.dimension(scores, rank - 1), queries))
        return builder.select(builder.compare("LE", columns, rows), scores, -np.inf)

    @staticmethod
    def _positions(builder: GraphBuilder, scores: SSAValue, rank: int, axis: int) -> SSAValue:
        """The positions along one of the last two axes, as [n, 1] or [1, n]."""
        size = builder.shape(scores)[axis]
        shape: list[Dim] = [size, 1] if axis == rank - 2 else [1, size]
        dimension = axis - (rank - 2)
        if isinstance(size, int):
            return builder.iota(i64, [each for each in shape if isinstance(each, int)], dimension)
        return builder.dynamic_iota(i64, builder.sizes(shape, {size: builder.dimension(scores, axis)}), dimension)

    # The definition in NumPy

    def reference(self, *operands: Array) -> Array:
        query_type: DType = operands[0].dtype
        query, key, value = (
            np.asarray(self._heads_first_array(which, operands[which]), np.float64) for which in range(3)
        )
        group = query.shape[-3] // key.shape[-3] if key.shape[-3] else 1
        key, value = (np.repeat(each, group, axis=-3) for each in (key, value))
        scores: Doubles = np.matmul(query * self.scale.value.data, np.swapaxes(key, -1, -2))
        if len(operands) > 3:
            mask = operands[3]
            scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask.astype(np.float64)
        if self.causal is not None:
            queries, keys = int(scores.shape[-2]), int(scores.shape[-1])
            offset = keys - queries if self.causal.data == "end" else 0
            scores = np.where(np.arange(keys) <= np.arange(queries)[:, None] + offset, scores, -np.inf)
        with np.errstate(invalid="ignore"):
            weights = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
            weights = weights / weights.sum(-1, keepdims=True)
        result: Array = np.matmul(weights, value).astype(query_type)
        return self._heads_first_array(RESULT, result)

    def _heads_first_array(self, which: int, array: Array) -> Array:
        rank = array.ndim
        turned = (*range(rank - 3), rank - 2, rank - 3, rank - 1)
        return array.transpose(turned) if self.has_tokens_first(which) else array

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.attention import AbsorbTransposes, TurnResult

        return (AbsorbTransposes(), TurnResult())


ATTENTION_OPS: tuple[type[GraphOp], ...] = (AttentionOp,)
