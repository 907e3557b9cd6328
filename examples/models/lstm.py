"""Two LSTM layers and a dense layer on every step."""

from __future__ import annotations

from typing import Any

from lamina import nn


class Tagger(nn.Module):
    """sequence (batch, length, features) → (scores (batch, length, classes), last hidden and cell states)."""

    def __init__(self, features: int = 128, hidden: int = 256, classes: int = 32):
        self.lstm = nn.LSTM(features, hidden, layers=2)
        self.head = nn.Linear(hidden, classes)

    def __call__(self, sequence: Any) -> Any:
        outputs, (hidden, cell) = self.lstm(sequence)
        return self.head(outputs), hidden, cell
