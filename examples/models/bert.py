"""BERT's encoder (Devlin et al. 2019, https://arxiv.org/abs/1810.04805)."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops

RENAME = {
    r"^(word|position|token_type)s\.": r"embeddings.\1_embeddings.",
    r"^norm\.": "embeddings.LayerNorm.",
    r"^layers\.": "encoder.layer.",
    r"\.attention\.(query|key|value)\.": r".attention.self.\1.",
    r"\.attention\.output\.": ".attention.output.dense.",
    r"\.attention_norm\.": ".attention.output.LayerNorm.",
    r"\.up\.": ".intermediate.dense.",
    r"\.down\.": ".output.dense.",
    r"\.output_norm\.": ".output.LayerNorm.",
}
"""From the paths of parameters here to the names in files of Hugging Face's `BertModel`."""
IGNORED = ("pooler.*", "embeddings.position_ids")
"""What these files hold besides the encoder."""


class Layer(nn.Module):
    """Attention and feed-forward, each with a residual and a normalization after it."""

    def __init__(self, width: int, heads: int, inner: int, epsilon: float):
        self.attention = nn.MultiHeadAttention(width, heads)
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.output_norm = nn.LayerNorm(width, epsilon)

    def __call__(self, x: Any, mask: Any) -> Any:
        x = self.attention_norm(self.attention(x, mask=mask) + x)
        return self.output_norm(self.down(ops.gelu(self.up(x))) + x)


class Bert(nn.Module):
    """Token ids, mask and segment ids (batch, length), int64 → the last layer's state (batch, length, width)."""

    def __init__(
        self,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        vocabulary: int = 30522,
        positions: int = 512,
        epsilon: float = 1e-12,
    ):
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.token_types = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, epsilon)
        self.layers = [Layer(width, heads, 4 * width, epsilon) for _ in range(layers)]

    def __call__(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        positions = ops.arange(input_ids.shape[1])
        x = self.norm(self.words(input_ids) + self.token_types(token_type_ids) + self.positions(positions))
        mask = (attention_mask != 0)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return x
