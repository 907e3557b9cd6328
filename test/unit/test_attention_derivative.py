"""The derivative of attention in blocks of queries: the same numbers as at once, compiled, and less memory."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
import lamina.api
from lamina import ops
from lamina.passes.autodiff.rules import attention
from lamina.transforms import CompiledFunction

SIZES = {"plain": (2, 3, 3, 32, 24, 5), "grouped": (2, 4, 2, 32, 40, 5)}
MASKS = {
    "none": None,
    "rows": np.random.default_rng(3).random((32, 1)) > -1,
    "booleans": np.random.default_rng(3).random((2, 1, 32, 24)) > 0.3,
    "floats": np.random.default_rng(3).standard_normal((1, 24)),
}


def arrays(kind: str, dtype: type = np.float64) -> list[np.ndarray]:
    batch, heads, key_heads, queries, keys, size = SIZES[kind]
    generator = np.random.default_rng(0)
    shapes = [(batch, heads, queries, size), (batch, key_heads, keys, size), (batch, key_heads, keys, size)]
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


def gradients(inputs, mask, causal):
    def loss(q, k, v, weight):
        return (ops.attention(q, k, v, mask=mask, causal=causal) * weight).sum()

    weight = np.random.default_rng(1).standard_normal(inputs[0].shape).astype(inputs[0].dtype)
    return CompiledFunction(lamina.grad(loss, argnums=(0, 1, 2)), threads=2), [*inputs, weight]


def in_blocks(monkeypatch):
    monkeypatch.setattr(attention, "WHOLE_BYTES", 0)
    monkeypatch.setattr(attention, "BLOCK_BYTES", 8 * 4 * 40 * 8)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("kind", "mask"),
    [("plain", "none"), ("grouped", "none"), ("plain", "rows"), ("plain", "booleans"), ("plain", "floats")],
)
def test_blocks_give_what_the_whole_gives(monkeypatch, kind, mask, causal):
    function, inputs = gradients(arrays(kind), MASKS[mask], causal)
    whole = function(*inputs)
    assert "graph.scan" not in lamina.api.module_text(function.trace(*inputs).module)
    in_blocks(monkeypatch)
    function, _ = gradients(arrays(kind), MASKS[mask], causal)
    assert "graph.scan" in lamina.api.module_text(function.trace(*inputs).module)
    for found, expected in zip(function(*inputs), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_blocks_have_second_derivatives(monkeypatch):
    q, k, v = arrays("plain")

    def penalty(q, k, v):
        gradient = lamina.grad(lambda q: (ops.attention(q, k, v) ** 2).sum())(q)
        return (gradient * gradient).sum()

    whole = lamina.grad(penalty, argnums=(0, 1, 2))(q, k, v)
    in_blocks(monkeypatch)
    for found, expected in zip(lamina.grad(penalty, argnums=(0, 1, 2))(q, k, v), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_scores_are_never_whole():
    heads, length, size = 4, 1024, 32
    generator = np.random.default_rng(0)
    inputs = [generator.standard_normal((1, heads, length, size)).astype(np.float32) for _ in range(3)]
    function, arguments = gradients(inputs, None, False)
    text = lamina.api.module_text(function.trace(*arguments).module)
    assert f"1x{heads}x{length}x{length}x" not in text
    q, k, v, t = (each.astype(np.float64) for each in arguments)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(size)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    moved = t @ v.swapaxes(-1, -2)
    moved = weights * (moved - (weights * moved).sum(-1, keepdims=True)) / np.sqrt(size)
    expected = moved @ k, moved.swapaxes(-1, -2) @ q, weights.swapaxes(-1, -2) @ t
    for found, wanted in zip(function(*arguments), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
