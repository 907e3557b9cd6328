"""Multi-head attention, with grouped queries, rotary positions and a cache of keys and values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.frontends.python import ops
from lamina.frontends.python.nn.layers import Linear
from lamina.frontends.python.nn.module import Module
from lamina.frontends.python.specs import DTypeLike, Spec, parse_dtype
from lamina.frontends.python.tracer import Operand, Traced


class KeyValueCache(NamedTuple):
    """The keys and values of earlier positions: (batch, heads, capacity, size) each."""

    keys: Any
    values: Any

    @staticmethod
    def zeros(batch: int, heads: int, capacity: int, size: int, dtype: DTypeLike = "f32") -> KeyValueCache:
        """An empty cache, as NumPy arrays."""
        shape = (batch, heads, capacity, size)
        return KeyValueCache(np.zeros(shape, parse_dtype(dtype)), np.zeros(shape, parse_dtype(dtype)))

    @staticmethod
    def spec(batch: Any, heads: int, capacity: Any, size: int, dtype: DTypeLike = "f32") -> KeyValueCache:
        """A cache of specs, for `lamina.trace`; batch and capacity may be names."""
        from lamina.frontends.python.specs import spec

        each: Spec = spec((batch, heads, capacity, size), dtype)
        return KeyValueCache(each, each)

    def extended(self, keys: Traced, values: Traced, position: Operand) -> KeyValueCache:
        """The cache with the keys and values (batch, heads, length, size) of the positions from `position` on."""
        zero, start = ops.constant(np.zeros(1, np.int64)), ops.reshape(ops.cast(position, "i64"), (1,))
        starts = ops.concatenate([zero, zero, start, zero])
        return KeyValueCache(
            ops.dynamic_update_slice(self.keys, keys, starts), ops.dynamic_update_slice(self.values, values, starts)
        )


class MultiHeadAttention(Module):
    """Scaled dot-product attention of several heads between four dense layers `query`, `key`, `value` and `output`.

    `key_value_heads`: fewer heads for keys and values, each of which serves a group of queries' heads. `rotary`: the
    base of rotary position embeddings (Llama's halves). x is (batch, length, width), as is the result; `memory`
    (batch, keys, width) is what keys and values are made of, x when left out. `mask`, booleans that broadcast to
    (batch, heads, length, keys), is true where a query may look.

    With a cache and the `position` of x's first element, the result comes with the extended cache, whose positions
    up to each query's own are looked at.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        key_value_heads: int | None = None,
        head_size: int | None = None,
        bias: bool = True,
        causal: bool = False,
        rotary: float | None = None,
        dtype: DTypeLike = "f32",
    ):
        if head_size is None and width % heads:
            raise LaminaError(f"MultiHeadAttention: expected a number of heads that divides {width}, found {heads}")
        self.heads = heads
        self.key_value_heads = heads if key_value_heads is None else key_value_heads
        if self.key_value_heads < 1 or heads % self.key_value_heads:
            raise LaminaError(
                "MultiHeadAttention: expected a number of key_value_heads that divides "
                f"{heads}, found {key_value_heads}"
            )
        self.head_size = width // heads if head_size is None else head_size
        self.causal = causal
        self.rotary = rotary
        self.query = Linear(width, heads * self.head_size, bias, dtype)
        self.key = Linear(width, self.key_value_heads * self.head_size, bias, dtype)
        self.value = Linear(width, self.key_value_heads * self.head_size, bias, dtype)
        self.output = Linear(heads * self.head_size, width, bias, dtype)

    def __call__(
        self,
        x: Traced,
        memory: Traced | None = None,
        mask: Operand | None = None,
        cache: KeyValueCache | None = None,
        position: Operand | None = None,
    ) -> Any:
        source = x if memory is None else memory
        query = ops.split_heads(self.query(x), self.heads)
        key = ops.split_heads(self.key(source), self.key_value_heads)
        value = ops.split_heads(self.value(source), self.key_value_heads)
        if self.rotary is not None:
            start = 0 if position is None else position
            query, key = ops.rotary(query, start, self.rotary), ops.rotary(key, start, self.rotary)
        if cache is None:
            return self.output(ops.merge_heads(ops.attention(query, key, value, mask=mask, causal=self.causal)))
        if position is None:
            raise LaminaError("MultiHeadAttention: a cache needs the position of the first element")
        cache = cache.extended(key, value, position)
        reach = ops.reach(query, cache.keys, position)
        mask = reach if mask is None else ops.bitwise_and(reach, mask)
        return self.output(ops.merge_heads(ops.attention(query, cache.keys, cache.values, mask=mask))), cache
