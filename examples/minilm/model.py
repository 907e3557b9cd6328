"""all-MiniLM-L6-v2 written with `lamina.ops`: a BERT encoder, mean pooling, and L2 normalization.

The architecture is BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805) with 6 layers, 12 heads and width 384;
the pooling is the one that the model's card gives (sentence-transformers/all-MiniLM-L6-v2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina import ops

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Configuration:
    """Sizes as in the model's `config.json`."""

    layers: int = 6
    heads: int = 12
    epsilon: float = 1e-12


def dense(weights: Weights, name: str, x: Any) -> Any:
    """x · Wᵀ + b, the weight stored as (out, in)."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights: Weights, name: str, x: Any, epsilon: float) -> Any:
    """Layer normalization over the last axis."""
    return ops.layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], axis=-1, epsilon=epsilon)


def attention(weights: Weights, name: str, x: Any, bias: Any, heads: int) -> Any:
    """Multi-head self-attention: x (batch, sequence, width), bias added to the scores (batch, 1, 1, sequence)."""
    batch, sequence, width = x.shape
    size = width // heads

    def split(part: str) -> Any:
        return dense(weights, f"{name}.self.{part}", x).reshape(batch, sequence, heads, size)

    query = split("query").transpose(0, 2, 1, 3)
    key = split("key").transpose(0, 2, 3, 1)
    value = split("value").transpose(0, 2, 1, 3)
    scores = query @ key * size**-0.5 + bias
    context = ops.softmax(scores, axis=-1) @ value
    return context.transpose(0, 2, 1, 3).reshape(batch, sequence, width)


def encoder_layer(weights: Weights, name: str, x: Any, bias: Any, configuration: Configuration) -> Any:
    """Attention and feed-forward, each with a residual and a layer norm after it."""
    epsilon = configuration.epsilon
    attended = attention(weights, f"{name}.attention", x, bias, configuration.heads)
    projected = dense(weights, f"{name}.attention.output.dense", attended)
    x = layer_norm(weights, f"{name}.attention.output.LayerNorm", projected + x, epsilon)
    hidden = ops.gelu(dense(weights, f"{name}.intermediate.dense", x))
    return layer_norm(weights, f"{name}.output.LayerNorm", dense(weights, f"{name}.output.dense", hidden) + x, epsilon)


def encode(weights: Weights, configuration: Configuration, input_ids: Any, attention_mask: Any) -> Any:
    """Token ids and mask, both (batch, sequence) i64 → last hidden state (batch, sequence, width)."""
    _, sequence = input_ids.shape
    words = ops.take(weights["embeddings.word_embeddings.weight"], input_ids, axis=0)
    positions = ops.take(weights["embeddings.position_embeddings.weight"], ops.arange(sequence), axis=0)
    types = weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(weights, "embeddings.LayerNorm", words + types + positions, configuration.epsilon)
    mask = attention_mask.astype("f32")[:, None, None, :]
    bias = (mask - 1.0) * 1e9
    for layer in range(configuration.layers):
        x = encoder_layer(weights, f"encoder.layer.{layer}", x, bias, configuration)
    return x


def embed(weights: Weights, configuration: Configuration, input_ids: Any, attention_mask: Any) -> Any:
    """Token ids and mask (batch, sequence) → unit sentence embeddings (batch, width)."""
    hidden = encode(weights, configuration, input_ids, attention_mask)
    mask = attention_mask.astype("f32")[:, :, None]
    pooled = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
    return pooled / ops.sqrt((pooled * pooled).sum(axis=1, keepdims=True))
