"""A decoder block as in Llama (Touvron et al. 2023, https://arxiv.org/abs/2302.13971): RMSNorm, rotary positions,
grouped queries (Ainslie et al. 2023), SwiGLU."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops

RENAME = {
    r"attention\.(.)(?:uery|ey|alue|utput)\.": r"self_attn.\1_proj.",
    r"attention_norm\.": "input_layernorm.",
    r"output_norm\.": "post_attention_layernorm.",
    r"(gate|up|down)\.": r"mlp.\1_proj.",
}
"""From the paths of parameters here to the names in files of Hugging Face's `LlamaDecoderLayer`."""


class LlamaBlock(nn.Module):
    """x (batch, length, width) → the same; with a cache and a position also the extended cache."""

    def __init__(self, width: int, inner: int, heads: int, key_value_heads: int, epsilon: float = 1e-6):
        self.attention_norm = nn.RMSNorm(width, epsilon)
        self.attention = nn.MultiHeadAttention(width, heads, key_value_heads, bias=False, causal=True, rotary=10000.0)
        self.output_norm = nn.RMSNorm(width, epsilon)
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def __call__(self, x: Any, cache: nn.KeyValueCache | None = None, position: Any = None) -> Any:
        normalized = self.attention_norm(x)
        if cache is None:
            return self._feed_forward(x + self.attention(normalized))
        attended, cache = self.attention(normalized, cache=cache, position=position)
        return self._feed_forward(x + attended), cache

    def _feed_forward(self, x: Any) -> Any:
        normalized = self.output_norm(x)
        return x + self.down(ops.silu(self.gate(normalized)) * self.up(normalized))
