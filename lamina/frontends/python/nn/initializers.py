"""What parameters begin with: functions of a NumPy generator and a shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = "npt.NDArray[Any]"
Initializer: TypeAlias = Callable[[np.random.Generator, Sequence[int]], Array]


def zeros(_: np.random.Generator, shape: Sequence[int]) -> Array:
    """All 0."""
    return np.zeros(shape, np.float32)


def ones(_: np.random.Generator, shape: Sequence[int]) -> Array:
    """All 1."""
    return np.ones(shape, np.float32)


def constant(value: float) -> Initializer:
    """All the same."""
    return lambda _, shape: np.full(shape, value, np.float32)


def normal(deviation: float) -> Initializer:
    """Normal around 0, f32."""
    return lambda generator, shape: generator.standard_normal(shape, np.float32) * np.float32(deviation)


def uniform(bound: float) -> Initializer:
    """Uniform within [-bound, bound), f32."""
    return lambda generator, shape: ((generator.random(shape, np.float32) * 2 - 1) * np.float32(bound)).astype("f4")


def fan_in_uniform(fan_in: int) -> Initializer:
    """Uniform within ± 1 / √fan_in, PyTorch's choice for the weights and biases of Linear and Conv."""
    return uniform(1 / math.sqrt(max(fan_in, 1)))


def kaiming_normal(fan: int) -> Initializer:
    """Normal with deviation √(2 / fan), for layers before a ReLU (He et al. 2015, arXiv:1502.01852)."""
    return normal(math.sqrt(2 / max(fan, 1)))
