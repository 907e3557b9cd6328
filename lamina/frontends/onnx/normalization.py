"""Normalizations: over trailing axes, over channels or groups, with given statistics, over a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode
from lamina.frontends.onnx.tensors import element_type


def layer_normalization(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
    """The normalized input and, where they are wanted, the mean and the inverse standard deviation."""
    value, bias = node.operand(0), node.optional(2)
    axis = build.axis(value, node.integer("axis", -1))
    epsilon = node.floating("epsilon", 1e-5)
    result = _layer_norm(build, value, node.operand(1), bias, axis, epsilon)
    if not node.wants(1) and not node.wants(2):
        return (result,)
    wide = build.cast(value, element_type(node.integer("stash_type", 1)).attribute)
    axes = range(axis, build.rank(value))
    mean = build.mean(wide, axes, True)
    centered = build.subtract(wide, mean)
    variance = build.mean(build.multiply(centered, centered), axes, True)
    return result, mean, build.rsqrt(build.add(variance, epsilon))


def _layer_norm(
    build: OnnxBuilder, value: SSAValue, scale: SSAValue, bias: SSAValue | None, axis: int, epsilon: float
) -> SSAValue:
    most = build.rank(value) - axis
    if build.rank(scale) <= most and (bias is None or build.rank(bias) <= most):
        return build.layer_norm(value, scale, 0 if bias is None else bias, axis, epsilon)
    scaled = build.multiply(build.layer_norm(value, 1, 0, axis, epsilon), scale)
    return scaled if bias is None else build.add(scaled, bias)


def rms_normalization(node: Node, build: OnnxBuilder) -> SSAValue:
    """The result has the element type of the scale."""
    value, scale = node.operand(0), node.operand(1)
    axis = build.axis(value, node.integer("axis", -1))
    epsilon = node.floating("epsilon", 1e-5)
    target = build.element_type(scale)
    if target == build.element_type(value) and build.rank(scale) <= build.rank(value) - axis:
        return build.rms_norm(value, scale, axis, epsilon)
    return build.multiply(build.cast(build.rms_norm(value, 1, axis, epsilon), target), scale)


def skip_normalization(node: Node, build: OnnxBuilder) -> Sequence[SSAValue | None]:
    """Contributed: the layer norm of the sum of two inputs and a bias; the fourth output is the sum."""
    if node.wants(1) or node.wants(2):
        raise UnsupportedNode("its mean and inverse standard deviation are not built yet")
    total = build.add(node.operand(0), node.operand(1))
    bias = node.optional(4)
    if bias is not None:
        total = build.add(total, bias)
    axis = build.rank(total) - 1
    result = _layer_norm(build, total, node.operand(2), node.optional(3), axis, node.floating("epsilon", 1e-12))
    return result, None, None, total


def batch_normalization(node: Node, build: OnnxBuilder) -> SSAValue | Sequence[SSAValue | None]:
    """Inference: the statistics are inputs. In training they are the batch's, and the running ones are moved."""
    training = node.integer("training_mode", 0) != 0 or any(node.wants(index) for index in range(1, len(node.outputs)))
    if node.integer("spatial", 1) == 0:
        raise UnsupportedNode("statistics per pixel (spatial = 0) are not built yet")
    value, *parameters = node.operands
    target = build.element_type(value)
    scale, bias, mean, variance = (build.cast(parameter, target) for parameter in parameters)
    if build.rank(value) == 1:
        raise LaminaError("BatchNormalization: expected a batch and a feature axis, found 1 axis")
    epsilon = node.floating("epsilon")
    if not training:
        return build.batch_norm(value, scale, bias, mean, variance, 1, epsilon)
    axes = [axis for axis in range(build.rank(value)) if axis != 1]
    average = build.mean(value, axes, True)
    centered = build.subtract(value, average)
    channels = [build.size(value, 1)]
    average = build.reshape_to(average, channels)
    spread = build.mean(build.multiply(centered, centered), axes)
    result = build.batch_norm(value, scale, bias, average, spread, 1, epsilon)
    momentum = node.floating("momentum", 0.9)
    running: list[SSAValue] = []
    for before, now, parameter in ((mean, average, parameters[2]), (variance, spread, parameters[3])):
        moved = build.add(build.multiply(before, momentum), build.multiply(now, 1 - momentum))
        running.append(build.cast(moved, build.element_type(parameter)))
    return result, *running, average, spread


def instance_normalization(node: Node, build: OnnxBuilder) -> SSAValue:
    """Each channel of each element of the batch by its own statistics."""
    value = node.operand(0)
    rank = build.rank(value)
    if rank < 3:
        raise LaminaError(f"InstanceNormalization: expected at least 3 axes, found {rank}")
    channels = build.size(value, 1)
    if isinstance(channels, int) and channels > 0:
        return build.group_norm(value, node.operand(1), node.operand(2), 1, channels, node.floating("epsilon"))
    normal = build.layer_norm(value, 1, 0, 2, node.floating("epsilon"))
    return _per_channel(build, normal, node.operand(1), node.operand(2))


def group_normalization_per_group(node: Node, build: OnnxBuilder) -> SSAValue:
    """Opset 18: one scale and one bias per group."""
    value, scale, bias = node.operands
    groups = node.integer("num_groups")
    channels = build.size(value, 1)
    per_group = build.combine("divide", channels, groups)

    def spread(parameter: SSAValue) -> SSAValue:
        wide = build.broadcast_to(build.reshape_to(parameter, (groups, 1)), (groups, per_group))
        return build.reshape_to(wide, (channels,))

    return _group_norm(build, value, groups, spread(scale), spread(bias), node)


def group_normalization(node: Node, build: OnnxBuilder) -> SSAValue:
    """Groups of channels by their own statistics; scale and bias per channel."""
    value, scale, bias = node.operands
    return _group_norm(build, value, node.integer("num_groups"), scale, bias, node)


def _group_norm(
    build: OnnxBuilder, value: SSAValue, groups: int, scale: SSAValue, bias: SSAValue, node: Node
) -> SSAValue:
    rank, channels = build.rank(value), build.size(value, 1) if build.rank(value) > 1 else 0
    if rank < 2 or groups < 1 or (isinstance(channels, int) and channels % groups):
        raise LaminaError(f"GroupNormalization: {groups} groups do not divide the channels of {rank} axes")
    return build.group_norm(value, scale, bias, 1, groups, node.floating("epsilon"))


def _per_channel(build: OnnxBuilder, value: SSAValue, scale: SSAValue, bias: SSAValue) -> SSAValue:
    rank = build.rank(value)
    scaled = build.multiply(value, build.along_axis(scale, 1, rank))
    return build.add(scaled, build.along_axis(bias, 1, rank))


def lp_normalization(node: Node, build: OnnxBuilder) -> SSAValue:
    """Divided by the 1- or 2-norm along an axis; zeros where that is 0."""
    value = node.operand(0)
    axis, order = build.axis(value, node.integer("axis")), node.integer("p")
    if order not in (1, 2):
        raise LaminaError(f"LpNormalization: p is 1 or 2, found {order}")
    if order == 1:
        norm = build.reduce("add", build.abs(value), (axis,), True)
    else:
        norm = build.sqrt(build.reduce("add", build.multiply(value, value), (axis,), True))
    return build.select(build.compare("EQ", norm, 0), 0, build.divide(value, norm))


def local_response_normalization(node: Node, build: OnnxBuilder) -> SSAValue:
    """x / (bias + alpha / size · (sum of squares over `size` neighboring channels)) ** beta."""
    value = node.operand(0)
    rank, size = build.rank(value), node.integer("size")
    if rank < 2 or size < 1:
        raise LaminaError(f"LRN: a window of {size} channels does not fit {rank} axes")
    window, padding = [1] * rank, [0] * (2 * rank)
    window[1] = size
    padding[2:4] = (size - 1) // 2, size // 2
    squares = build.reduce_window("add", build.multiply(value, value), window, padding=padding)
    alpha, bias, beta = (node.floating(name) for name in ("alpha", "bias", "beta"))
    base = build.add(build.multiply(squares, alpha / size), bias)
    if beta == 0.75 and min(alpha, bias) >= 0:
        # The exponent of AlexNet, of a base that is not negative: roots take a fifth of the time of a power.
        root = build.sqrt(base)
        return build.divide(value, build.multiply(root, build.sqrt(root)))
    return build.divide(value, build.power(base, beta))


NORMALIZATION: Mapping[str, Versions] = {
    "BatchNormalization": {7: batch_normalization},
    "GroupNormalization": {18: group_normalization_per_group, 21: group_normalization},
    "InstanceNormalization": {6: instance_normalization},
    "LRN": {1: local_response_normalization},
    "LayerNormalization": {17: layer_normalization},
    "LpNormalization": {1: lp_normalization},
    "RMSNormalization": {23: rms_normalization},
    # ONNX Runtime's optimizer writes this one without its domain.
    "SimplifiedLayerNormalization": {1: rms_normalization},
}

CONTRIBUTED: Mapping[str, Versions] = {
    "LayerNormalization": {1: layer_normalization},
    "SimplifiedLayerNormalization": {1: rms_normalization},
    "SkipLayerNormalization": {1: skip_normalization},
}
