"""Operators that read images between their pixels, at positions computed from data: GridSample, RoiAlign."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import f32, f64, i64
from xdsl.ir import Attribute, SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import OnnxBuilder, Size
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode

GRID_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic"}
GRID_PADDINGS = ("zeros", "border", "reflection")
CUBIC_COEFFICIENT = -0.75
ROI_COORDINATES = ("half_pixel", "output_half_pixel")


@dataclass(frozen=True)
class Tap:
    """One neighbor along one axis: its index (i64), its weight, and whether it lies in the image (None: always)."""

    index: SSAValue
    weight: SSAValue | None
    inside: SSAValue | None


def _numbers(build: OnnxBuilder, size: Size, element_type: Attribute) -> SSAValue:
    """A size as a float scalar."""
    return build.constant(size, element_type) if isinstance(size, int) else build.cast(size, element_type)


def _picked(build: OnnxBuilder, images: SSAValue, index: SSAValue) -> SSAValue:
    """[n, c, pixels] at [n, positions] -> [n, c, positions]"""
    return build.gather(
        images,
        index,
        slice_sizes=[1, -1, 1],
        offset_dims=[1],
        collapsed_slice_dims=[2],
        start_index_map=[2],
        index_vector_dim=2,
        operand_batching_dims=[0],
        start_indices_batching_dims=[0],
    )


def _linear_index(build: OnnxBuilder, indices: Sequence[SSAValue], sizes: Sequence[Size]) -> SSAValue:
    total = indices[0]
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        total = build.add(build.multiply(total, build.value(size, i64)), index)
    return total


# GridSample


@dataclass(frozen=True)
class Axis:
    """One spatial axis that is sampled: its size, as a float too, the first and last coordinate of the image."""

    size: Size
    length: SSAValue
    first: SSAValue
    last: SSAValue


def grid_sample(node: Node, build: OnnxBuilder) -> SSAValue:
    """For each position of the grid, whose last axis has coordinates from -1 to 1, the last spatial axis first."""
    value, grid = node.operand(0), node.operand(1)
    mode, padding = node.string("mode"), node.string("padding_mode")
    if mode not in GRID_MODES or padding not in GRID_PADDINGS:
        raise LaminaError(f"GridSample: unknown mode '{mode}' or padding mode '{padding}'")
    rank = build.rank(value) - 2
    width = build.shape(grid)[-1] if build.rank(grid) else 0
    if rank < 1 or build.rank(grid) != rank + 2 or (isinstance(width, int) and width != rank):
        raise LaminaError(f"GridSample: the grid does not fit an input of {rank + 2} axes")
    wide = f64 if build.element_type(grid) == f64 else f32
    grid = build.cast(grid, wide)
    batch, channels, *sizes = build.sizes_of(value)
    outputs = build.sizes_of(grid)[1:-1]
    count = build.product(outputs)
    aligned = node.flag("align_corners")
    taps: list[list[Tap]] = []
    for dimension, size in enumerate(sizes):
        position = rank - 1 - dimension
        part = build.slice_axis(grid, rank + 1, position, position + 1)
        axis = _axis(build, size, wide, aligned)
        taps.append(_grid_taps(build, build.reshape_to(part, (batch, count)), axis, GRID_MODES[mode], padding, aligned))
    images = build.reshape_to(value, [batch, channels, build.product(sizes)])
    total = _weighted_sum(build, images, taps, sizes, build.element_type(value))
    return build.reshape_to(total, [batch, channels, *outputs])


def _axis(build: OnnxBuilder, size: Size, element_type: Attribute, aligned: bool) -> Axis:
    length = _numbers(build, size, element_type)
    last = build.subtract(length, 1 if aligned else 0.5)
    return Axis(size, length, build.constant(0.0 if aligned else -0.5, element_type), last)


def _grid_taps(
    build: OnnxBuilder, coordinate: SSAValue, axis: Axis, mode: str, padding: str, aligned: bool
) -> list[Tap]:
    """The neighbors of positions ([n, positions]) along one axis."""
    if aligned:
        place = build.multiply(build.multiply(build.add(coordinate, 1), 0.5), build.subtract(axis.length, 1))
    else:
        scaled = build.multiply(build.add(coordinate, 1), axis.length)
        place = build.multiply(build.subtract(scaled, 1), 0.5)
    if mode == "nearest":
        place = build.round_nearest_even(place)
    # As PyTorch and ONNX Runtime have it, cubic neighbors are counted from the place as it is.
    if mode != "cubic" and padding == "border":
        outside = _outside(build, place, axis)
        clamped = build.maximum(build.minimum(place, build.subtract(axis.length, 1)), 0)
        place = build.select(outside, clamped, place)
    elif mode != "cubic" and padding == "reflection":
        place = build.select(_outside(build, place, axis), _reflected(build, place, axis), place)
    if mode == "nearest":
        return [_tap(build, place, None, axis, padding)]
    floor = build.floor(place)
    fraction = build.subtract(place, floor)
    if mode == "linear":
        near = _tap(build, floor, build.subtract(1, fraction), axis, padding)
        return [near, _tap(build, build.add(floor, 1), fraction, axis, padding)]
    weights = [_cubic_weight(build, fraction, offset) for offset in (-1, 0, 1, 2)]
    return [
        _tap(build, build.add(floor, offset), weight, axis, padding)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True)
    ]


def _outside(build: OnnxBuilder, place: SSAValue, axis: Axis) -> SSAValue:
    return build.or_(build.compare("LT", place, axis.first), build.compare("GT", place, axis.last))


def _reflected(build: OnnxBuilder, place: SSAValue, axis: Axis) -> SSAValue:
    """Thrown back at either end as often as it takes."""
    # An axis of one pixel between aligned corners has no extent; any does then, all indices being clamped.
    extent = build.maximum(build.subtract(axis.last, axis.first), 0.5)
    distance = build.abs(build.subtract(place, axis.first))
    turns = build.floor(build.divide(distance, extent))
    rest = build.subtract(distance, build.multiply(turns, extent))
    half = build.multiply(turns, 0.5)
    even = build.compare("EQ", half, build.floor(half))
    return build.select(even, build.add(axis.first, rest), build.subtract(axis.last, rest))


def _tap(build: OnnxBuilder, place: SSAValue, weight: SSAValue | None, axis: Axis, padding: str) -> Tap:
    """A neighbor at a whole number; outside of the image it is 0, the last pixel, or one inside."""
    if padding == "reflection":
        place = build.select(_outside(build, place, axis), _reflected(build, place, axis), place)
    most = build.subtract(build.value(axis.size, i64), 1)
    inside = None
    if padding == "zeros":
        inside = build.and_(build.compare("GE", place, 0), build.compare("LT", place, axis.length))
    # The cast of what is not finite is some integer: the clamp behind it keeps every index in the image.
    index = build.maximum(build.minimum(build.cast(place, i64), most), 0)
    return Tap(index, weight, inside)


def _cubic_weight(build: OnnxBuilder, fraction: SSAValue, offset: int) -> SSAValue:
    """The filter of Keys at the distance of a neighbor."""
    a = CUBIC_COEFFICIENT
    distance = build.add(fraction, 1) if offset == -1 else fraction if offset == 0 else build.subtract(offset, fraction)

    def polynomial(*coefficients: float) -> SSAValue:
        total: SSAValue | None = None
        for coefficient in coefficients:
            value = build.constant(coefficient, build.element_type(fraction))
            total = value if total is None else build.add(build.multiply(total, distance), coefficient)
        assert total is not None
        return total

    if offset in (0, 1):
        return polynomial(a + 2, -(a + 3), 0, 1)
    return polynomial(a, -5 * a, 8 * a, -4 * a)


def _weighted_sum(
    build: OnnxBuilder, images: SSAValue, taps: Sequence[Sequence[Tap]], sizes: Sequence[Size], target: Attribute
) -> SSAValue:
    """The sum over all combinations of one neighbor per axis, [n, c, positions]."""
    total: SSAValue | None = None
    for corner in itertools.product(*taps):
        pixel = _picked(build, images, _linear_index(build, [tap.index for tap in corner], sizes))
        inside: SSAValue | None = None
        weight: SSAValue | None = None
        for tap in corner:
            if tap.inside is not None:
                inside = tap.inside if inside is None else build.and_(inside, tap.inside)
            if tap.weight is not None:
                weight = tap.weight if weight is None else build.multiply(weight, tap.weight)
        if inside is not None:
            pixel = build.select(_over_channels(build, inside), pixel, build.constant(0, build.element_type(pixel)))
        if weight is not None:
            pixel = build.multiply(build.cast(pixel, build.element_type(weight)), _over_channels(build, weight))
        total = pixel if total is None else build.add(total, pixel)
    if total is None:
        raise LaminaError("GridSample: expected at least one spatial axis")
    return build.cast(total, target)


def _over_channels(build: OnnxBuilder, value: SSAValue) -> SSAValue:
    """[n, positions] -> [n, 1, positions]"""
    batch, count = build.sizes_of(value)
    return build.reshape_to(value, [batch, 1, count])


# RoiAlign


def roi_align(node: Node, build: OnnxBuilder) -> SSAValue:
    """Each region in a grid of bins; each bin the mean or the maximum of samples between the pixels."""
    value, regions, batch = node.operand(0), node.operand(1), node.operand(2)
    mode, ratio = node.string("mode", "avg"), node.integer("sampling_ratio", 0)
    if build.rank(value) != 4 or build.rank(regions) != 2:
        raise LaminaError("RoiAlign takes images with 4 axes and regions with 2")
    if mode not in ("avg", "max"):
        raise LaminaError(f"RoiAlign: the mode is avg or max, found '{mode}'")
    if ratio <= 0:
        raise UnsupportedNode(
            "with sampling_ratio 0 the number of samples depends on the data",
            hints=("set sampling_ratio (2 is common)",),
        )
    coordinates = node.string("coordinate_transformation_mode", "output_half_pixel")
    if coordinates not in ROI_COORDINATES:
        raise LaminaError(f"RoiAlign: the coordinates are {' or '.join(ROI_COORDINATES)}, found '{coordinates}'")
    half_pixel = coordinates == "half_pixel"
    target = build.element_type(value)
    wide = f64 if target == f64 else f32
    edges = build.subtract(
        build.multiply(build.cast(regions, wide), node.floating("spatial_scale", 1.0)), 0.5 if half_pixel else 0.0
    )
    count = build.size(regions, 0)
    _, channels, *sizes = build.sizes_of(value)
    bins = node.integer("output_height", 1), node.integer("output_width", 1)
    axes = [
        _region_taps(build, edges, axis, bins[axis], ratio, sizes[axis], half_pixel=half_pixel) for axis in range(2)
    ]
    images = build.reshape_to(value, [build.size(value, 0), channels, build.product(sizes)])
    samples = [bins[0], ratio, bins[1], ratio]
    combined: SSAValue | None = None
    for row, column in itertools.product(*axes):
        index = _linear_index(build, [_spread(build, row.index, 0), _spread(build, column.index, 1)], sizes)
        weight = _outer(build, row.weight, column.weight)
        pixels = _picked_of_images(build, images, batch, build.reshape_to(index, [count, math.prod(samples)]))
        pixels = build.reshape_to(pixels, [count, channels, *samples])
        weighted = build.multiply(build.cast(pixels, wide), build.reshape_to(weight, [count, 1, *samples]))
        name = "add" if mode == "avg" else "maximum"
        combined = weighted if combined is None else build(name, combined, weighted)
    if combined is None:
        raise LaminaError("RoiAlign: no samples")
    if mode == "avg":
        return build.cast(build.mean(combined, (3, 5)), target)
    return build.cast(build.reduce("maximum", combined, (3, 5)), target)


def _outer(build: OnnxBuilder, row: SSAValue | None, column: SSAValue | None) -> SSAValue:
    if row is None or column is None:
        raise LaminaError("RoiAlign: a sample without a weight")
    return build.multiply(_spread(build, row, 0), _spread(build, column, 1))


def _spread(build: OnnxBuilder, value: SSAValue, axis: int) -> SSAValue:
    """[r, bins, samples] as [r, bins, samples, 1, 1] or [r, 1, 1, bins, samples]"""
    count, bins, samples = build.sizes_of(value)
    return build.reshape_to(value, [count, bins, samples, 1, 1] if axis == 0 else [count, 1, 1, bins, samples])


def _region_taps(
    build: OnnxBuilder, edges: SSAValue, axis: int, bins: int, ratio: int, size: Size, *, half_pixel: bool
) -> list[Tap]:
    """The two neighbors of every sample along one axis, with weights: [r, bins, samples]. `edges`: x, y, x, y."""
    wide = build.element_type(edges)
    count = build.size(edges, 0)
    start, end = (
        build.reshape_to(build.slice_axis(edges, 1, column, column + 1), [count, 1, 1])
        for column in (1 - axis, 3 - axis)
    )
    extent = build.subtract(end, start)
    if not half_pixel:
        extent = build.maximum(extent, 1)
    bin_size = build.divide(extent, bins)
    bin_index = build.cast(build.iota(i64, (1, bins, 1), 1), wide)
    sample = build.add(build.cast(build.iota(i64, (1, 1, ratio), 2), wide), 0.5)
    offset = build.add(build.multiply(bin_index, bin_size), build.divide(build.multiply(sample, bin_size), ratio))
    place = build.add(start, offset)
    length = _numbers(build, size, wide)
    outside = build.or_(build.compare("LT", place, -1), build.compare("GT", place, length))
    last = build.subtract(length, 1)
    place = build.minimum(build.maximum(place, 0), last)
    floor = build.floor(place)
    fraction = build.subtract(place, floor)
    near = build.cast(floor, i64)
    most = build.subtract(build.value(size, i64), 1)
    far = build.minimum(build.add(near, 1), most)
    weights = (build.select(outside, 0, part) for part in (build.subtract(1, fraction), fraction))
    return [Tap(index, weight, None) for index, weight in zip((near, far), weights, strict=True)]


def _picked_of_images(build: OnnxBuilder, images: SSAValue, batch: SSAValue, index: SSAValue) -> SSAValue:
    """[n, c, pixels] at [r, positions] of the image of each region -> [r, c, positions]"""
    count, positions = build.sizes_of(index)
    image = build.broadcast_to(build.reshape_to(build.cast(batch, i64), [count, 1, 1]), [count, positions, 1])
    pairs = build.concatenate([image, build.reshape_to(index, [count, positions, 1])], 2)
    return build.gather(
        images,
        pairs,
        slice_sizes=[1, -1, 1],
        offset_dims=[1],
        collapsed_slice_dims=[0, 2],
        start_index_map=[0, 2],
        index_vector_dim=2,
    )


SAMPLING: Mapping[str, Versions] = {"GridSample": {16: grid_sample}, "RoiAlign": {10: roi_align}}
