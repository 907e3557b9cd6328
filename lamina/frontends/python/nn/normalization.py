"""Normalizations: batch, layer, group, root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lamina.diagnostics import LaminaError
from lamina.frontends.python import ops
from lamina.frontends.python.nn.initializers import ones, zeros
from lamina.frontends.python.nn.module import Module, Value, is_training, parameter
from lamina.frontends.python.specs import DTypeLike
from lamina.frontends.python.tracer import Operand, Traced


class BatchNorm(Module):
    """Normalizes each feature (axis 1) by statistics over the batch and the spatial axes, then scales and shifts.

    Outside of `nn.training` the statistics are `running_mean` and `running_var`. Inside they are the batch's, and
    running_* := (1 - momentum) · running_* + momentum · batch's (unbiased variance), as PyTorch's: the module has to be
    an argument of the traced function, which gives it, updated, as a result.
    """

    BUFFERS: ClassVar[tuple[str, ...]] = ("running_mean", "running_var")

    def __init__(self, features: int, epsilon: float = 1e-5, momentum: float = 0.1, dtype: DTypeLike = "f32"):
        self.epsilon = epsilon
        self.momentum = momentum
        self.weight: Value = parameter((features,), ones, dtype)
        self.bias: Value = parameter((features,), zeros, dtype)
        self.running_mean: Value = parameter((features,), zeros, dtype)
        self.running_var: Value = parameter((features,), ones, dtype)

    def __call__(self, x: Traced) -> Traced:
        mean, variance = self._updated(x) if is_training() else (self.running_mean, self.running_var)
        return ops.batch_norm(x, self.weight, self.bias, mean, variance, axis=1, epsilon=self.epsilon)

    def _updated(self, x: Traced) -> tuple[Traced, Traced]:
        if not isinstance(self.running_mean, Traced):
            raise LaminaError(
                "BatchNorm updates its statistics in training, and those of this module are constants",
                hints=("make the module an argument of the traced function, and return it",),
            )
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean, variance = ops.mean(x, axes), ops.var(x, axes)
        count = ops.element_count(x, axes)
        unbiased = variance * (count / (count - 1))
        self.running_mean = self.running_mean * (1 - self.momentum) + mean * self.momentum
        self.running_var = self.running_var * (1 - self.momentum) + unbiased * self.momentum
        return mean, variance


class LayerNorm(Module):
    """(x - mean) / √(variance + epsilon) over the last axes, of the sizes `shape`, · weight + bias."""

    def __init__(self, shape: int | Sequence[int], epsilon: float = 1e-5, bias: bool = True, dtype: DTypeLike = "f32"):
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        self.epsilon = epsilon
        self.axis = -len(sizes)
        self.weight: Value = parameter(sizes, ones, dtype)
        self.bias: Value | None = parameter(sizes, zeros, dtype) if bias else None

    def __call__(self, x: Operand) -> Traced:
        bias = 0.0 if self.bias is None else self.bias
        return ops.layer_norm(x, self.weight, bias, axis=self.axis, epsilon=self.epsilon)


class RMSNorm(Module):
    """x / √(mean(x²) + epsilon) over the last axis, · weight."""

    def __init__(self, width: int, epsilon: float = 1e-6, dtype: DTypeLike = "f32"):
        self.epsilon = epsilon
        self.weight: Value = parameter((width,), ones, dtype)

    def __call__(self, x: Operand) -> Traced:
        return ops.rms_norm(x, self.weight, axis=-1, epsilon=self.epsilon)


class GroupNorm(Module):
    """Normalizes each of `groups` groups of features (axis 1) over these and the spatial axes, · weight + bias."""

    def __init__(self, groups: int, features: int, epsilon: float = 1e-5, dtype: DTypeLike = "f32"):
        if groups < 1 or features % groups:
            raise LaminaError(f"GroupNorm: expected a number of groups that divides {features}, found {groups}")
        self.groups = groups
        self.epsilon = epsilon
        self.weight: Value = parameter((features,), ones, dtype)
        self.bias: Value = parameter((features,), zeros, dtype)

    def __call__(self, x: Traced) -> Traced:
        return ops.group_norm(x, self.groups, self.weight, self.bias, self.epsilon)
