"""Resize and Upsample: `graph.resize` over the axes whose size changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim, exact_quotient
from lamina.dialects.graph.interpolation import MODES, ROUNDINGS
from lamina.dialects.graph.resize import STATIC_COORDINATES, ResizeOp, doubles, resized
from lamina.dialects.graph.types import is_float
from lamina.frontends.onnx.axes import same_length
from lamina.frontends.onnx.builder import FIX_DIMS, OnnxBuilder, Size
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode
from lamina.frontends.onnx.resampling import Filter, resample


@dataclass
class Target:
    """Axes with the sizes (-1: from the scale) and scales (0: from the sizes) that they get."""

    axes: list[int] = field(default_factory=list[int])
    sizes: list[int] = field(default_factory=list[int])
    scales: list[float] = field(default_factory=list[float])
    computed: list[tuple[int, Size]] = field(default_factory=list[tuple[int, Size]])
    """Axes whose new size is only known when the model runs."""

    def add(self, axis: int, size: int, scale: float) -> None:
        """Resample an axis."""
        self.axes.append(axis)
        self.sizes.append(size)
        self.scales.append(scale)


def resize(node: Node, build: OnnxBuilder) -> SSAValue:
    """From operator set 11 on: by scales or to sizes."""
    value = node.operand(0)
    rank = build.rank(value)
    axes = [build.axis(value, axis) for axis in node.integers("axes", range(rank))]
    crops = node.string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    scales = _floats(build, node.optional(2), "scales")
    if scales is not None and len(scales):
        same_length("scales", scales, len(axes))
        target = _by_scales(build, value, axes, scales, every=crops)
    else:
        target = _to_sizes(node, build, value, axes, node.operand(3))
    roi = _floats(build, node.optional(1), "roi") if crops else None
    if crops and (roi is None or len(roi) != 2 * len(axes)):
        raise LaminaError(f"{node.op_type}: tf_crop_and_resize needs a roi of {2 * len(axes)} numbers")
    if roi is not None:
        chosen = [axes.index(axis) for axis in target.axes]
        roi = [roi[index] for index in chosen] + [roi[len(axes) + index] for index in chosen]
    return _resized(
        build,
        value,
        target,
        mode=node.string("mode", "nearest"),
        coordinates=node.string("coordinate_transformation_mode", "half_pixel"),
        rounding=node.string("nearest_mode", "round_prefer_floor"),
        cubic_coefficient=node.floating("cubic_coeff_a", -0.75),
        exclude_outside=node.flag("exclude_outside"),
        antialias=node.flag("antialias"),
        roi=None if roi is None else doubles(roi),
        extrapolation_value=node.floating("extrapolation_value", 0.0) if crops else None,
    )


def upsample(node: Node, build: OnnxBuilder) -> SSAValue:
    """Upsample, and Resize of operator set 10: asymmetric, to the left neighbor, to the right one where axes shrink."""
    value = node.operand(0)
    scales = node.attributes.get("scales") if node.has("scales") else _floats(build, node.operand(1), "scales")
    same_length("scales", scales or (), build.rank(value))
    target = _by_scales(build, value, range(build.rank(value)), scales or ())
    shrinks = any(scale < 1 for scale in target.scales)
    return _resized(
        build,
        value,
        target,
        mode=node.string("mode", "nearest"),
        coordinates="asymmetric",
        rounding="ceil" if shrinks else "floor",
        cubic_coefficient=-0.75,
    )


def _resized(build: OnnxBuilder, value: SSAValue, target: Target, **properties: object) -> SSAValue:
    """Axes that keep their elements are left out; integers are interpolated in f32."""
    mode, rounding = properties["mode"], properties["rounding"]
    if mode not in MODES:
        raise LaminaError(f"the mode is {', '.join(MODES)}, found '{mode}'")
    if rounding not in ROUNDINGS:
        raise LaminaError(f"the nearest mode is {', '.join(ROUNDINGS)}, found '{rounding}'")
    if target.computed:
        value = _computed(build, value, target, properties)
    if not target.axes:
        return value
    special = properties["coordinates"] in STATIC_COORDINATES or properties.get("antialias")
    known = all(isinstance(build.shape(value)[axis], int) for axis in target.axes)
    if not known and (special or properties.get("exclude_outside")):
        raise UnsupportedNode("this form of resampling needs known sizes", hints=(FIX_DIMS,))
    element_type = build.element_type(value)
    wide = value if properties["mode"] == "nearest" or is_float(element_type) else build.cast(value, f32)
    result = build.create(
        ResizeOp,
        (wide,),
        dimensions=target.axes,
        sizes=target.sizes,
        scales=doubles(target.scales),
        **properties,
    )
    return build.cast(result, element_type)


def _computed(build: OnnxBuilder, value: SSAValue, target: Target, properties: Mapping[str, object]) -> SSAValue:
    if properties.get("antialias") or properties.get("exclude_outside"):
        raise UnsupportedNode("this form of resampling needs known sizes", hints=(FIX_DIMS,))
    mode, coefficient = str(properties["mode"]), properties["cubic_coefficient"]
    how = Filter(
        mode,
        str(properties["coordinates"]),
        str(properties["rounding"]),
        coefficient if isinstance(coefficient, float) else -0.75,
    )
    element_type = build.element_type(value)
    result = value if mode == "nearest" or is_float(element_type) else build.cast(value, f32)
    for axis, size in target.computed:
        result = resample(build, result, axis, size, how)
    return build.cast(result, element_type)


def _floats(build: OnnxBuilder, value: SSAValue | None, what: str) -> list[float] | None:
    if value is None or build.shape(value) == (0,):
        return None
    array = build.static(value)
    if array is None:
        raise UnsupportedNode(f"{what} that are computed at run time are not built yet")
    return [float(item) for item in np.asarray(array, np.float64).reshape(-1)]


def _by_scales(
    build: OnnxBuilder, value: SSAValue, axes: Sequence[int], scales: Sequence[float], *, every: bool = False
) -> Target:
    target = Target()
    for axis, scale in zip(axes, scales, strict=True):
        if not 0 < scale < np.inf:
            raise LaminaError(f"scales must be positive, found {list(scales)}")
        size = build.shape(value)[axis]
        if resized(size, scale) is None:
            raise UnsupportedNode("a scale that is no simple fraction needs a known size", hints=(FIX_DIMS,))
        if scale != 1 or every:
            target.add(axis, -1, scale)
    return target


def _to_sizes(node: Node, build: OnnxBuilder, value: SSAValue, axes: Sequence[int], sizes: SSAValue) -> Target:
    wanted, entries = build.elements(sizes), build.entries(sizes)
    same_length("sizes", entries, len(axes))
    shape = build.shape(value)
    policy = node.string("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        if wanted is None:
            raise UnsupportedNode("keeping the aspect ratio needs known sizes", hints=(FIX_DIMS,))
        return _with_aspect_ratio(policy, shape, axes, wanted)
    target = Target()
    for axis, size, entry in zip(axes, wanted or [None] * len(axes), entries, strict=True):
        if size is None:
            target.computed.append((axis, entry))
            continue
        if size == shape[axis]:
            continue
        ratio = None if isinstance(size, int) else exact_quotient(size, shape[axis])
        if isinstance(size, int):
            target.add(axis, size, 0.0)
        elif isinstance(ratio, int) and ratio > 0:
            target.add(axis, -1, float(ratio))
        else:
            target.computed.append((axis, entry))
    return target


def _with_aspect_ratio(policy: str, shape: Sequence[Dim], axes: Sequence[int], wanted: Sequence[Dim]) -> Target:
    """One scale for all axes: the smallest or the largest that the sizes ask for."""
    choose = {"not_larger": min, "not_smaller": max}.get(policy)
    if choose is None:
        raise LaminaError(f"keep_aspect_ratio_policy is stretch, not_larger or not_smaller, found {policy}")
    known = [shape[axis] for axis in axes]
    sizes = [size for size in known if isinstance(size, int)]
    limits = [size for size in wanted if isinstance(size, int)]
    if len(sizes) < len(axes) or len(limits) < len(axes):
        raise UnsupportedNode("keeping the aspect ratio needs known sizes", hints=(FIX_DIMS,))
    scale = choose(limit / size for limit, size in zip(limits, sizes, strict=True))
    target = Target()
    for axis, size in zip(axes, sizes, strict=True):
        target.add(axis, int(scale * size + 0.5), scale)
    return target


RESIZE: Mapping[str, Versions] = {
    "Resize": {10: upsample, 11: resize},
    "Upsample": {7: upsample},
}
