"""Writes expected_losses.json: the first losses of the character model in JAX, with JAX's derivatives.

python examples/characters/expected_losses.py        (needs jax)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from data import Configuration, batch, encoded, first_weights

STEPS = 50


def norm(weights: Any, path: str, x: Any) -> Any:
    centered = x - x.mean(-1, keepdims=True)
    variance = (centered**2).mean(-1, keepdims=True)
    return centered / jnp.sqrt(variance + 1e-5) * weights[f"{path}.weight"] + weights[f"{path}.bias"]


def dense(weights: Any, path: str, x: Any) -> Any:
    return x @ weights[f"{path}.weight"].T + weights[f"{path}.bias"]


def logits(weights: Any, text: Any, configuration: Configuration) -> Any:
    rows, length = text.shape
    heads, size = configuration.heads, configuration.width // configuration.heads
    x = weights["tokens.weight"][text] + weights["positions"][:length]
    mask = jnp.tril(jnp.ones((length, length), bool))
    for layer in range(configuration.layers):
        block = f"blocks.{layer}"
        y = norm(weights, f"{block}.first_norm", x)
        query, key, value = (
            dense(weights, f"{block}.attention.{name}", y).reshape(rows, length, heads, size).swapaxes(1, 2)
            for name in ("query", "key", "value")
        )
        scores = jnp.where(mask, query @ key.swapaxes(2, 3) / size**0.5, -jnp.inf)
        y = (jax.nn.softmax(scores) @ value).swapaxes(1, 2).reshape(rows, length, -1)
        x = x + dense(weights, f"{block}.attention.output", y)
        y = jax.nn.gelu(dense(weights, f"{block}.expand", norm(weights, f"{block}.second_norm", x)), approximate=True)
        x = x + dense(weights, f"{block}.contract", y)
    return norm(weights, "norm", x) @ weights["head.weight"].T


def loss(weights: Any, text: Any, configuration: Configuration) -> Any:
    scores = jax.nn.log_softmax(logits(weights, text[:, :-1], configuration))
    return -jnp.take_along_axis(scores, text[:, 1:, None], 2).mean()


def main() -> None:
    jax.config.update("jax_default_matmul_precision", "highest")
    configuration = Configuration()
    text = encoded()
    weights = {path: jnp.asarray(value) for path, value in first_weights(configuration).items()}
    mean = square = jax.tree.map(jnp.zeros_like, weights)
    gradient = jax.jit(jax.value_and_grad(loss), static_argnums=2)
    losses: list[float] = []
    for step in range(STEPS):
        value, gradients = gradient(weights, jnp.asarray(batch(text, step, configuration)), configuration)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradients)
        first, second = 1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1)
        weights = jax.tree.map(
            lambda p, m, v, first=first, second=second: (
                p - configuration.rate * (m / first) / (jnp.sqrt(v / second) + 1e-8)
            ),
            weights,
            mean,
            square,
        )
        losses.append(float(value))
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"jax": jax.__version__, "losses": losses}, indent=1) + "\n")


main()
