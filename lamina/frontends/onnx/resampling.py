"""Resampling along an axis to a size that only the run knows: positions and weights are computed then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xdsl.dialects.builtin import f32, f64, i64
from xdsl.ir import Attribute, SSAValue

from lamina.dialects.graph.types import is_float
from lamina.frontends.onnx.builder import FIX_DIMS, OnnxBuilder, Size
from lamina.frontends.onnx.report import UnsupportedNode


@dataclass(frozen=True)
class Filter:
    """How an axis is resampled, in the words of ONNX Resize."""

    mode: str
    coordinates: str
    rounding: str
    cubic_coefficient: float


@dataclass(frozen=True)
class Lengths:
    """The sizes of an axis before and after, as f64 scalars, and the positions after it (a vector)."""

    before: SSAValue
    after: SSAValue
    position: SSAValue


def _half_pixel(build: OnnxBuilder, axis: Lengths) -> SSAValue:
    return build.subtract(_half_pixel_for_nn(build, axis), 0.5)


def _half_pixel_for_nn(build: OnnxBuilder, axis: Lengths) -> SSAValue:
    return build.divide(build.multiply(build.add(axis.position, 0.5), axis.before), axis.after)


def _pytorch_half_pixel(build: OnnxBuilder, axis: Lengths) -> SSAValue:
    return build.select(build.compare("EQ", axis.after, 1), -0.5, _half_pixel(build, axis))


def _asymmetric(build: OnnxBuilder, axis: Lengths) -> SSAValue:
    return build.divide(build.multiply(axis.position, axis.before), axis.after)


def _align_corners(build: OnnxBuilder, axis: Lengths) -> SSAValue:
    # One element is the first: 0 · (s - 1) / 1.
    last = build.maximum(build.subtract(axis.after, 1), 1)
    return build.divide(build.multiply(axis.position, build.subtract(axis.before, 1)), last)


COORDINATES: Mapping[str, Callable[[OnnxBuilder, Lengths], SSAValue]] = {
    "half_pixel": _half_pixel,
    "tf_half_pixel_for_nn": _half_pixel_for_nn,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "asymmetric": _asymmetric,
    "align_corners": _align_corners,
}
"""The coordinate in the operand of each position of the result."""

ROUNDINGS: Mapping[str, Callable[[OnnxBuilder, SSAValue], SSAValue]] = {
    "floor": lambda build, place: build.floor(place),
    "ceil": lambda build, place: build.ceil(place),
    "round_prefer_floor": lambda build, place: build.ceil(build.subtract(place, 0.5)),
    "round_prefer_ceil": lambda build, place: build.floor(build.add(place, 0.5)),
}


def resample(build: OnnxBuilder, value: SSAValue, axis: int, size: Size, how: Filter) -> SSAValue:
    """`value` with `size` elements along `axis`; indices outside of the axis are those of its ends."""
    coordinate = COORDINATES.get(how.coordinates)
    if coordinate is None:
        raise UnsupportedNode(f"{how.coordinates} needs known sizes", hints=(FIX_DIMS,))
    before = build.cast(build.value(build.size(value, axis), i64), f64)
    after = build.cast(build.value(size, i64), f64)
    place = coordinate(build, Lengths(before, after, build.cast(build.positions([size], 0), f64)))
    if how.mode == "nearest":
        return build.take(value, build.cast(ROUNDINGS[how.rounding](build, place), i64), axis)
    target = build.element_type(value)
    wide: Attribute = target if target in (f32, f64) or not is_float(target) else f32
    floor = build.floor(place)
    fraction = build.cast(build.subtract(place, floor), wide)
    first = build.cast(floor, i64)
    total: SSAValue | None = None
    for offset, weight in _weights(build, fraction, how).items():
        picked = build.cast(build.take(value, _within(build, build.add(first, offset), value, axis), axis), wide)
        part = build.multiply(picked, build.along_axis(weight, axis, build.rank(value)))
        total = part if total is None else build.add(total, part)
    assert total is not None
    return build.cast(total, target)


def _within(build: OnnxBuilder, index: SSAValue, value: SSAValue, axis: int) -> SSAValue:
    last = build.subtract(build.value(build.size(value, axis), i64), 1)
    return build.maximum(build.minimum(index, last), 0)


def _weights(build: OnnxBuilder, fraction: SSAValue, how: Filter) -> dict[int, SSAValue]:
    """The weight of each neighbor by its distance from the one on the left."""
    if how.mode == "linear":
        return {0: build.subtract(1, fraction), 1: fraction}
    a = how.cubic_coefficient

    def near(distance: SSAValue) -> SSAValue:
        cubed = build.subtract(build.multiply(distance, a + 2), a + 3)
        return build.add(build.multiply(build.multiply(cubed, distance), distance), 1)

    def far(distance: SSAValue) -> SSAValue:
        squared = build.add(build.multiply(build.subtract(build.multiply(distance, a), 5 * a), distance), 8 * a)
        return build.subtract(build.multiply(squared, distance), 4 * a)

    return {
        -1: far(build.add(fraction, 1)),
        0: near(fraction),
        1: near(build.subtract(1, fraction)),
        2: far(build.subtract(2, fraction)),
    }
