"""Text, batches and first weights of the character model, in NumPy alone, so that two libraries start from the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TEXT = Path(__file__).with_name("text.txt")
"""An old state of this repository's documentation, which stays as it is."""


@dataclass(frozen=True)
class Configuration:
    """Sizes of the model and of a batch, and how it is trained."""

    width: int = 64
    heads: int = 4
    layers: int = 2
    context: int = 64
    batch: int = 16
    rate: float = 3e-3


def characters() -> str:
    """All characters of the text, in order."""
    return "".join(sorted(set(TEXT.read_text())))


def encoded() -> Any:
    """The text as positions in `characters()`."""
    known = {character: position for position, character in enumerate(characters())}
    return np.array([known[character] for character in TEXT.read_text()])


def batch(text: Any, step: int, configuration: Configuration) -> Any:
    """(batch, context + 1) characters from random places, which depend on the step only."""
    places = np.random.default_rng([3, step]).integers(0, len(text) - configuration.context, configuration.batch)
    return text[places[:, None] + np.arange(configuration.context + 1)]


def shapes(configuration: Configuration) -> dict[str, tuple[int, ...]]:
    """The parameters: their paths and shapes."""
    width, count = configuration.width, len(characters())
    result: dict[str, tuple[int, ...]] = {"tokens.weight": (count, width), "positions": (configuration.context, width)}
    for layer in range(configuration.layers):
        for norm in ("first_norm", "second_norm"):
            result |= {f"blocks.{layer}.{norm}.{name}": (width,) for name in ("weight", "bias")}
        for name, (outputs, inputs) in {
            "attention.query": (width, width),
            "attention.key": (width, width),
            "attention.value": (width, width),
            "attention.output": (width, width),
            "expand": (4 * width, width),
            "contract": (width, 4 * width),
        }.items():
            result |= {f"blocks.{layer}.{name}.weight": (outputs, inputs), f"blocks.{layer}.{name}.bias": (outputs,)}
    return result | {"norm.weight": (width,), "norm.bias": (width,), "head.weight": (count, width)}


def first_weights(configuration: Configuration) -> dict[str, Any]:
    """Norms begin as the identity, biases at 0, all else normally distributed."""
    weights: dict[str, Any] = {}
    for path, shape in shapes(configuration).items():
        if "norm" in path:
            weights[path] = np.full(shape, float(path.endswith("weight")), np.float32)
        elif path.endswith("bias"):
            weights[path] = np.zeros(shape, np.float32)
        else:
            generator = np.random.default_rng([5, *path.encode()])
            scale = 0.02 if path in ("tokens.weight", "positions") else shape[-1] ** -0.5
            weights[path] = (scale * generator.standard_normal(shape)).astype(np.float32)
    return weights
