"""GPT-2 (Radford et al. 2019) and greedy decoding with a cache of keys and values that is updated in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import lamina
from lamina import nn, ops

IGNORED = ("lm_head.weight", "*.attn.bias", "*.attn.masked_bias")
"""What files of Hugging Face's `GPT2LMHeadModel` hold besides: the embedding once more, and causal masks."""


class Dense(nn.Module):
    """x · weight + bias, the weight stored as (in, out)."""

    def __init__(self, features: int, outputs: int):
        self.weight = nn.parameter((features, outputs))
        self.bias = nn.parameter((outputs,))

    def __call__(self, x: Any) -> Any:
        return x @ self.weight + self.bias


class Attention(nn.Module):
    """Causal attention over a cache, from `position` on."""

    def __init__(self, width: int, heads: int):
        self.heads = heads
        self.c_attn, self.c_proj = Dense(width, 3 * width), Dense(width, width)

    def __call__(self, x: Any, cache: nn.KeyValueCache | None, position: Any) -> Any:
        query, key, value = (ops.split_heads(part, self.heads) for part in ops.split(self.c_attn(x), 3, axis=-1))
        if cache is None:
            return self.c_proj(ops.merge_heads(ops.attention(query, key, value, causal=True))), None
        cache = cache.extended(key, value, position)
        mask = ops.reach(query, cache.keys, position)
        return self.c_proj(ops.merge_heads(ops.attention(query, cache.keys, cache.values, mask=mask))), cache


class FeedForward(nn.Module):
    def __init__(self, width: int):
        self.c_fc, self.c_proj = Dense(width, 4 * width), Dense(4 * width, width)

    def __call__(self, x: Any) -> Any:
        return self.c_proj(ops.gelu(self.c_fc(x), "tanh"))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int):
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), FeedForward(width)

    def __call__(self, x: Any, cache: nn.KeyValueCache | None, position: Any) -> Any:
        attended, cache = self.attn(self.ln_1(x), cache, position)
        x = x + attended
        return x + self.mlp(self.ln_2(x)), cache


class Gpt2(nn.Module):
    """Token ids (batch, length) → logits (batch, length, vocabulary); with caches, one per layer, and the position of
    the first token also the extended caches. The names are those of Hugging Face's files."""

    def __init__(self, layers: int = 12, width: int = 768, heads: int = 12, vocabulary: int = 50257, positions=1024):
        self.heads, self.size = heads, width // heads
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(positions, width)
        self.h = [Layer(width, heads) for _ in range(layers)]
        self.ln_f = nn.LayerNorm(width)

    def __call__(self, tokens: Any, caches: Sequence[nn.KeyValueCache] | None = None, position: Any = 0) -> Any:
        x = self.wte(tokens) + self.wpe(ops.arange(tokens.shape[1]) + position)
        extended = []
        for index, layer in enumerate(self.h):
            x, cache = layer(x, None if caches is None else caches[index], position)
            extended.append(cache)
        logits = self.wte.attend(self.ln_f(x))
        return logits if caches is None else (logits, extended)

    def empty_caches(self, batch: int, capacity: int) -> list[nn.KeyValueCache]:
        """Arrays for `capacity` positions."""
        return [nn.KeyValueCache.zeros(batch, self.heads, capacity, self.size) for _ in self.h]


class Decoder:
    """Greedy decoding: one compiled function takes the prompt and then token by token, its caches updated in place."""

    def __init__(self, model: Gpt2, capacity: int, threads: int | None = None):
        def step(tokens: Any, caches: Any, position: Any) -> Any:
            logits, caches = model(tokens, caches, position)
            return ops.argmax(logits[:, -1], axis=-1)[:, None], caches

        self.model, self.capacity = model, capacity
        traced = lamina.trace(
            step,
            lamina.spec((1, "length"), "i64"),
            model.empty_caches(1, capacity),
            lamina.spec((), "i64"),
            donate=("caches",),
        )
        self.step = lamina.compile(traced, threads=threads)

    def generate(self, prompt: Sequence[int], count: int) -> list[int]:
        """The `count` tokens that follow; raises LaminaError where they do not fit into the cache."""
        if len(prompt) + count - 1 > self.capacity:
            raise lamina.LaminaError(f"{len(prompt)} + {count} tokens do not fit into a cache of {self.capacity}")
        caches, position = self.model.empty_caches(1, self.capacity), 0
        tokens = np.array([prompt], np.int64)
        found: list[int] = []
        for _ in range(count):
            length = tokens.shape[1]
            tokens, caches = self.step(tokens, caches, np.array(position))
            position += length
            found.append(int(tokens[0, 0]))
        return found
