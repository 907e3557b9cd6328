"""Resampling along one axis as tables: which elements each result element is made of, and with what weights.

The coordinate transformations and filters are those of ONNX Resize; cubic: Keys, "Cubic Convolution Interpolation for
Digital Image Processing", 1981.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class Sampling:
    """How an axis is resampled: `scale` is result size over operand size; `start` and `end` are the part of the axis
    that tf_crop_and_resize takes, in units of it."""

    mode: str
    coordinates: str
    rounding: str
    scale: float
    cubic_coefficient: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Taps:
    """For each element of the result the `positions` ([result size, taps]) of its sources and their `weights`, and
    whether it is `outside` of the operand (and has the extrapolation value instead)."""

    positions: Positions
    weights: Doubles
    outside: npt.NDArray[np.bool_]


def result_size(size: int, scale: float) -> int:
    """The number of elements that `size` elements become: ⌊size · scale⌋."""
    return math.floor(size * scale)


def taps_of(sampling: Sampling, size: int, length: int) -> Taps:
    """The sources of `length` elements made from `size` (both at least 1)."""
    at = source_coordinates(sampling, size, length)
    outside = np.zeros(length, np.bool_)
    if sampling.coordinates == "tf_crop_and_resize":
        outside = (at < 0) | (at > size - 1)
    if sampling.mode == "nearest":
        positions = np.clip(ROUND[sampling.rounding](at), 0, size - 1).astype(np.int64)[:, None]
        return Taps(positions, np.ones((length, 1)), outside)
    below = np.floor(at)
    # The fraction is in (0, 1]: of two sources equally near, the lower one counts.
    below = np.where(below == at, below - 1, below)
    shrink = min(sampling.scale, 1.0) if sampling.antialias else 1.0
    reach = FILTER_REACH[sampling.mode]
    first = math.floor(-reach / shrink) + 1
    offsets = np.arange(first, 2 - first)
    distances = (offsets[None, :] - (at - below)[:, None]) * shrink
    weights = FILTERS[sampling.mode](np.abs(distances), sampling.cubic_coefficient)
    if sampling.antialias:
        weights = weights / weights.sum(1, keepdims=True)
    positions = below.astype(np.int64)[:, None] + offsets[None, :]
    if sampling.exclude_outside:
        weights = np.where((positions < 0) | (positions >= size), 0.0, weights)
        total = weights.sum(1, keepdims=True)
        weights = weights / np.where(total == 0, 1.0, total)
    return Taps(np.clip(positions, 0, size - 1), weights, outside)


def source_coordinates(sampling: Sampling, size: int, length: int) -> Doubles:
    """Where in the operand the elements of the result lie, in units of its elements."""
    to = np.arange(length, dtype=np.float64)
    scale, width = sampling.scale, sampling.scale * size
    match sampling.coordinates:
        case "asymmetric":
            return to / scale
        case "tf_half_pixel_for_nn":
            return (to + 0.5) / scale
        case "align_corners":
            return to * 0.0 if width == 1 else to * (size - 1) / (width - 1)
        case "pytorch_half_pixel":
            return to * 0.0 - 0.5 if width == 1 else (to + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            return size / 2 * (1 - length / width) + (to + 0.5) / scale - 0.5
        case "tf_crop_and_resize":
            extent = (sampling.end - sampling.start) * (size - 1)
            inner = to * 0.0 + extent / 2 if width == 1 else to * extent / (width - 1)
            return inner + sampling.start * (size - 1)
        case _:
            return (to + 0.5) / scale - 0.5


def _prefer_floor(at: Doubles) -> Doubles:
    return np.ceil(at - 0.5)


def _prefer_ceil(at: Doubles) -> Doubles:
    return np.floor(at + 0.5)


ROUND: Mapping[str, Callable[[Doubles], Doubles]] = {
    "round_prefer_floor": _prefer_floor,
    "round_prefer_ceil": _prefer_ceil,
    "floor": np.floor,
    "ceil": np.ceil,
}

FILTER_REACH: Mapping[str, int] = {"linear": 1, "cubic": 2}
"""How far from a coordinate sources have a weight, in elements."""


def _triangle(distance: Doubles, _: float) -> Doubles:
    return np.clip(1 - distance, 0, 1)


def _cubic(distance: Doubles, coefficient: float) -> Doubles:
    inner = ((coefficient + 2) * distance - (coefficient + 3)) * distance * distance + 1
    outer = ((distance - 5) * distance + 8) * distance * coefficient - 4 * coefficient
    return np.where(distance <= 1, inner, np.where(distance < 2, outer, 0.0))


FILTERS: Mapping[str, Callable[[Doubles, float], Doubles]] = {"linear": _triangle, "cubic": _cubic}
"""The weight of a source by its distance."""
