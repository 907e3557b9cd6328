"""Vision Transformer (Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929)."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops

RENAME = {
    r"^(class_token|positions)$": r"vit.embeddings.\1",
    r"class_token$": "cls_token",
    r"positions$": "position_embeddings",
    r"^patches\.": "vit.embeddings.patch_embeddings.projection.",
    r"^layers\.": "vit.layers.",
    r"^norm\.": "vit.layernorm.",
    r"\.attention\.(.)(?:uery|ey|alue|utput)\.": r".attention.\1_proj.",
    r"\.attention_norm\.": ".layernorm_before.",
    r"\.output_norm\.": ".layernorm_after.",
    r"\.up\.": ".mlp.fc1.",
    r"\.down\.": ".mlp.fc2.",
}
"""From the paths of parameters here to the names in files of Hugging Face's `ViTForImageClassification`."""


class Layer(nn.Module):
    """Attention and feed-forward, each with a normalization before it and a residual."""

    def __init__(self, width: int, heads: int, inner: int, epsilon: float):
        self.attention_norm = nn.LayerNorm(width, epsilon)
        self.attention = nn.MultiHeadAttention(width, heads)
        self.output_norm = nn.LayerNorm(width, epsilon)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def __call__(self, x: Any) -> Any:
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(ops.gelu(self.up(self.output_norm(x))))


class VisionTransformer(nn.Module):
    """Images (batch, 3, size, size) → logits (batch, classes), from the class token."""

    def __init__(
        self,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        size: int = 224,
        patch: int = 16,
        classes: int = 1000,
        epsilon: float = 1e-12,
    ):
        self.class_token = nn.parameter((1, 1, width))
        self.positions = nn.parameter((1, (size // patch) ** 2 + 1, width))
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.layers = [Layer(width, heads, 4 * width, epsilon) for _ in range(layers)]
        self.norm = nn.LayerNorm(width, epsilon)
        self.classifier = nn.Linear(width, classes)

    def __call__(self, image: Any) -> Any:
        patches = self.patches(image)
        batch, width, *_ = patches.shape
        tokens = patches.reshape(batch, width, -1).transpose(0, 2, 1)
        first = ops.broadcast_to(self.class_token, (batch, 1, width))
        x = ops.concatenate([first, tokens], axis=1) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.classifier(self.norm(x)[:, 0])
