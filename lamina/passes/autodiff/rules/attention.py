"""The derivative of attention: its weights are computed again, in blocks of queries where they are large.

The backward pass of Dao, "FlashAttention-2", 2023: with S = scale · Q · Kᵀ + mask, P = softmax(S) and the cotangent T
of P · V: V̄ = Pᵀ · T, S̄ = P ∘ (T · Vᵀ - rowsum(P ∘ T · Vᵀ)), Q̄ = scale · S̄ · K, K̄ = scale · S̄ᵀ · Q, and the mask's
is S̄. Nothing of the size of the scores is kept from the forward pass, nor made as a whole where it is large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.ir import SSAValue

from lamina.dialects.graph.attention import KEY, QUERY, RESULT, VALUE, AttentionOp
from lamina.dialects.graph.base import GraphOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder, is_real
from lamina.passes.autodiff.rule import Rule
from lamina.passes.autodiff.rules.composite import softmax_derivative

Builder = DerivativeBuilder

WHOLE_BYTES = 8 << 20
"""Scores of up to so many bytes are computed at once."""
BLOCK_BYTES = 4 << 20
"""Scores of a block of queries, which are to stay in the cache."""
LEAST_ROWS = 8
"""Blocks of fewer queries are not worth their turn of the loop."""


@dataclass(frozen=True)
class _Attention:
    """An attention whose operands have heads before tokens and are at least f32; key heads and their query heads are
    two axes where a key head serves several."""

    b: Builder
    op: AttentionOp
    query: SSAValue
    key: SSAValue
    value: SSAValue

    @property
    def group(self) -> int:
        return self.op.sizes([self.b.shape(operand) for operand in self.op.operands[:3]]).group

    @property
    def batching(self) -> range:
        """The axes of batch and key heads."""
        return range(self.b.rank(self.key) - 2)

    def split(self, value: SSAValue) -> SSAValue:
        """Query heads as [key heads, group]."""
        return self.op.split_heads(self.b, value, self.b.rank(value) - 3, self.group) if self.group != 1 else value

    def merge(self, value: SSAValue) -> SSAValue:
        """[key heads, group] as query heads."""
        return self.op.merge_heads(self.b, value, self.b.rank(value) - 4) if self.group != 1 else value

    def rows_times_columns(self, rows: SSAValue, columns: SSAValue) -> SSAValue:
        """[h, m, d] and [k, n, d] as [h, m, n]."""
        last = self.b.rank(self.key) - 1
        split = self.split(rows)
        product = self.b.dot_general(split, columns, (self.b.rank(split) - 1,), (last,), self.batching, self.batching)
        return self.merge(product)

    def mixed(self, weights: SSAValue, columns: SSAValue) -> SSAValue:
        """[h, m, n] and [k, n, d] as [h, m, d]."""
        split = self.split(weights)
        product = self.b.dot_general(
            split, columns, (self.b.rank(split) - 1,), (self.b.rank(columns) - 2,), self.batching, self.batching
        )
        return self.merge(product)

    def gathered(self, weights: SSAValue, rows: SSAValue) -> SSAValue:
        """[h, m, n] and [h, m, d] as [k, n, d]: sums over the queries of all heads that a key head serves."""
        left, right = self.split(weights), self.split(rows)
        summed = range(len(self.batching), self.b.rank(left) - 1)
        return self.b.dot_general(left, right, summed, summed, self.batching, self.batching)

    def weights(
        self, query: SSAValue, mask: SSAValue | None, first: SSAValue | None = None, count: int | None = None
    ) -> SSAValue:
        """The weights of all queries; of the queries from `first` on, of `count` in all, where they are a block."""
        scores = self.rows_times_columns(self.b.multiply(query, self.op.scale.value.data), self.key)
        scores = self.op.masked(self.b, scores, mask, first, count)
        return self.b.softmax(scores, self.b.rank(scores) - 1)


def _attention(b: Builder, op: AttentionOp) -> _Attention:
    return _Attention(b, op, *(_wide(b, op, which, op.operands[which]) for which in (QUERY, KEY, VALUE)))


def _wide(b: Builder, op: AttentionOp, which: int, value: SSAValue) -> SSAValue:
    """A value of the shape of an operand (or the result), heads before tokens and at least f32."""
    return b.widen(op.heads_first_value(b, which, value))


def _narrow(b: Builder, op: AttentionOp, which: int, value: SSAValue) -> SSAValue:
    """The inverse of `_wide`."""
    return op.heads_first_value(b, which, b.cast(value, b.element_type(op.query)))


def _jvp(b: Builder, op: AttentionOp, tangents: Sequence[Derivative]) -> Derivative:
    one, scale = _attention(b, op), op.scale.value.data
    query, key, value = (
        None if tangent is None else _wide(b, op, which, tangent) for which, tangent in enumerate(tangents[:3])
    )
    weights = one.weights(one.query, op.mask)
    products = [
        None if query is None else one.rows_times_columns(b.multiply(query, scale), one.key),
        None if key is None else one.rows_times_columns(b.multiply(one.query, scale), key),
    ]
    scores = b.total([*products, *(b.widen(tangent) for tangent in tangents[3:] if tangent is not None)])
    if scores is not None:
        moved = softmax_derivative(b, weights, b.broadcast_like(scores, weights), b.rank(weights) - 1)
        scores = one.mixed(moved, one.value)
    total = b.plus(scores, None if value is None else one.mixed(weights, value))
    return None if total is None else _narrow(b, op, RESULT, total)


def _vjp(b: Builder, op: AttentionOp, t: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
    one, cotangent = _attention(b, op), _wide(b, op, RESULT, t)
    wants_mask = op.mask is not None and needed[3] and is_real(op.mask)
    rows = None if wants_mask else _block_rows(b, one)
    if rows is not None:
        moved, mask = _in_blocks(b, one, cotangent, rows), None
    else:
        *moved, scores = _pulled(one, one.query, cotangent, op.mask)
        mask = None
        if op.mask is not None and wants_mask:
            mask = b.cast(b.unbroadcast(scores, op.mask), b.element_type(op.mask))
    result = [
        _narrow(b, op, which, value) if need else None
        for which, (value, need) in enumerate(zip(moved, needed, strict=False))
    ]
    return result if op.mask is None else [*result, mask]


def _pulled(
    one: _Attention,
    query: SSAValue,
    cotangent: SSAValue,
    mask: SSAValue | None,
    first: SSAValue | None = None,
    count: int | None = None,
) -> tuple[SSAValue, SSAValue, SSAValue, SSAValue]:
    """The cotangents of query, key, value and scores, from some queries and the cotangents of their results."""
    b, scale = one.b, one.op.scale.value.data
    weights = one.weights(query, mask, first, count)
    moved = one.rows_times_columns(cotangent, one.value)
    scores = softmax_derivative(b, weights, moved, b.rank(weights) - 1)
    return (
        b.multiply(one.mixed(scores, one.key), scale),
        one.gathered(scores, b.multiply(query, scale)),
        one.gathered(weights, cotangent),
        scores,
    )


# Blocks of queries


def _block_rows(b: Builder, one: _Attention) -> int | None:
    """The number of queries of a block; None where all are computed at once."""
    *outer, queries, _ = b.shape(one.query)
    keys = b.shape(one.key)[-2]
    if not isinstance(queries, int) or not isinstance(keys, int):
        return None
    if _mask_has_rows(b, one.op) and b.shape(one.op.operands[3])[-2] != queries:
        return None
    # Batches of unknown size make blocks smaller than they could be, never wrong.
    width = 4 * keys * math.prod(size for size in outer if isinstance(size, int))
    if width * queries <= WHOLE_BYTES:
        return None
    fitting = (rows for rows in range(queries // 2, LEAST_ROWS - 1, -1) if queries % rows == 0)
    return next((rows for rows in fitting if rows * width <= BLOCK_BYTES), None)


def _in_blocks(b: Builder, one: _Attention, cotangent: SSAValue, rows: int) -> tuple[SSAValue, SSAValue, SSAValue]:
    """The cotangents of query, key and value, from one block of queries after the other."""
    queries = b.shape(one.query)[-2]
    assert isinstance(queries, int)
    mask = one.op.mask
    scanned = [one.query, cotangent, *([mask] if mask is not None and _mask_has_rows(b, one.op) else [])]

    def step(
        position: SSAValue, carried: Sequence[SSAValue], slices: Sequence[SSAValue]
    ) -> tuple[Sequence[SSAValue], Sequence[SSAValue]]:
        query, block, *masks = slices
        first = b.multiply(position, rows)
        moved, key, value, _ = _pulled(one, query, block, masks[0] if masks else mask, first, queries)
        return [b.add(carried[0], key), b.add(carried[1], value)], [moved]

    inits = [b.zeros_like(one.key), b.zeros_like(one.value)]
    (key, value), (query,) = b.scan(inits, [_cut(b, one.op, each, rows) for each in scanned], step)
    return _joined(b, one.op, query), key, value


def _mask_has_rows(b: Builder, op: AttentionOp) -> bool:
    """Whether the mask differs from query to query."""
    return op.mask is not None and b.rank(op.mask) > 1 and b.shape(op.mask)[-2] != 1


def _cut(b: Builder, op: AttentionOp, value: SSAValue, rows: int) -> SSAValue:
    """[…, q, d] as [blocks, …, rows, d]."""
    shape, last = b.shape(value), b.rank(value) - 1
    queries = shape[-2]
    assert isinstance(queries, int)
    sizes: list[tuple[int, int | None]] = [(axis, None) for axis in range(last - 1)]
    value = op.reshaped(b, value, [*sizes, (-1, queries // rows), (-1, rows), (last, None)])
    return b.transpose(value, [last - 1, *range(last - 1), last, last + 1])


def _joined(b: Builder, op: AttentionOp, value: SSAValue) -> SSAValue:
    """The inverse of `_cut`."""
    last = b.rank(value) - 1
    blocks, rows = b.shape(value)[0], b.shape(value)[-2]
    assert isinstance(blocks, int) and isinstance(rows, int)
    value = b.transpose(value, [*range(1, last - 1), 0, last - 1, last])
    sizes: list[tuple[int, int | None]] = [(axis, None) for axis in range(last - 2)]
    return op.reshaped(b, value, [*sizes, (-1, blocks * rows), (last, None)])


RULES: Mapping[type[GraphOp], Rule] = {AttentionOp: Rule(_jvp, _vjp, note="the weights are computed again")}
