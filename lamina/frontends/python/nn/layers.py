"""Dense layers, embeddings and dropout."""

from __future__ import annotations

from typing import Any

from lamina.diagnostics import LaminaError
from lamina.frontends.python import ops
from lamina.frontends.python.nn.initializers import fan_in_uniform, normal
from lamina.frontends.python.nn.module import Module, Value, is_training, next_key, parameter
from lamina.frontends.python.random import dropout
from lamina.frontends.python.specs import DTypeLike
from lamina.frontends.python.tracer import Operand, Traced


class Linear(Module):
    """x · weightᵀ + bias over the last axis: weight (out, in), bias (out)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike = "f32"):
        initializer = fan_in_uniform(in_features)
        self.weight: Value = parameter((out_features, in_features), initializer, dtype)
        self.bias: Value | None = parameter((out_features,), initializer, dtype) if bias else None

    def __call__(self, x: Operand) -> Traced:
        return ops.linear(x, self.weight, self.bias)


class Embedding(Module):
    """Rows of `weight` (rows, width) at the positions given; negative ones count from the end, others are clamped."""

    def __init__(self, rows: int, width: int, dtype: DTypeLike = "f32"):
        self.weight: Value = parameter((rows, width), normal(1.0), dtype)

    def __call__(self, indices: Operand) -> Traced:
        return ops.take(self.weight, indices, axis=0)

    def attend(self, x: Operand) -> Traced:
        """x · weightᵀ: the scores of all rows, for a model whose output layer is its embedding."""
        return ops.linear(x, self.weight)


class Dropout(Module):
    """In training, elements are 0 with probability `rate` and the others scaled up; otherwise the operand."""

    def __init__(self, rate: float):
        if not 0 <= rate < 1:
            raise LaminaError(f"Dropout: expected a rate within [0, 1), found {rate}")
        self.rate = rate

    def __call__(self, x: Any) -> Any:
        if not is_training() or not self.rate:
            return x
        return dropout(next_key(), x, self.rate)
