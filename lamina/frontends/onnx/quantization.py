"""Quantized operators, computed as the standard defines them: integers are shifted and scaled, sums are exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import f32, i32
from xdsl.ir import Attribute, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.types import dtype_of, is_float
from lamina.frontends.onnx.builder import OnnxBuilder
from lamina.frontends.onnx.contraction import matrix_product
from lamina.frontends.onnx.convolution import kernel_sizes, window_of
from lamina.frontends.onnx.node import Node, Versions
from lamina.frontends.onnx.report import UnsupportedNode
from lamina.frontends.onnx.tensors import element_type

Product: TypeAlias = "Callable[[SSAValue, SSAValue], SSAValue]"
"""A product of two tensors of equal element types: it is linear in each."""

EXACT_INTEGERS = 2**24
"""Up to here every integer is an f32, so that sums of integers in f32 are exact."""

FLOAT = 1
"""The number of float32 in `precision`."""

DEFAULT_ELEMENT_TYPE = element_type(2).attribute
"""What QuantizeLinear gives without a zero point: uint8."""


def quantize_linear(node: Node, build: OnnxBuilder) -> SSAValue:
    """saturate(round(x / scale) + zero point), ties to even; the saturation is that of the cast."""
    value, scale, zero = node.operand(0), node.operand(1), node.optional(2)
    given = node.integer("output_dtype", 0)
    target = element_type(given).attribute if given else None
    if node.integer("precision", 0) not in (0, FLOAT):
        raise UnsupportedNode("a division in another precision than float is not built yet")
    if zero is not None:
        if target is not None and target != build.element_type(zero):
            raise LaminaError("QuantizeLinear: output_dtype differs from the element type of the zero point")
        target = build.element_type(zero)
    elif target is None:
        target = DEFAULT_ELEMENT_TYPE
    scale = _along(node, build, scale, value)
    zero = None if zero is None else _along(node, build, zero, value)
    return quantized(build, value, scale, zero, target)


def quantized(
    build: OnnxBuilder, value: SSAValue, scale: SSAValue, zero: SSAValue | None, target: Attribute
) -> SSAValue:
    """Floats as integers; scale and zero point broadcast. Computed in f32, and in f64 for values in f64."""
    wide = element_type(11).attribute if dtype_of(build.element_type(value)) == np.float64 else f32
    scaled = build.divide(build.cast(value, wide), build.cast(scale, wide))
    rounded = build.round_nearest_even(scaled)
    if zero is not None:
        rounded = build.add(rounded, build.cast(zero, wide))
    return build.cast(rounded, target)


def dequantize_linear(node: Node, build: OnnxBuilder) -> SSAValue:
    """(x - zero point) * scale, of the scale's element type."""
    value, scale, zero = node.operand(0), node.operand(1), node.optional(2)
    given = node.integer("output_dtype", 0)
    target = element_type(given).attribute if given else build.element_type(scale)
    wide = f32 if is_float(target) and dtype_of(target).itemsize <= 4 else target
    shifted = _shifted(build, value, None if zero is None else _along(node, build, zero, value), wide)
    return build.cast(build.multiply(shifted, build.cast(_along(node, build, scale, value), wide)), target)


def _shifted(build: OnnxBuilder, value: SSAValue, zero: SSAValue | None, wide: Attribute) -> SSAValue:
    """An integer tensor minus its zero point. Exact: the difference of 32-bit integers is formed before it is cast."""
    if zero is None:
        return build.cast(value, wide)
    if dtype_of(build.element_type(value)).itemsize >= 4:
        return build.cast(build.subtract(value, zero), wide)
    return build.subtract(build.cast(value, wide), build.cast(zero, wide))


def _along(node: Node, build: OnnxBuilder, parameter: SSAValue, value: SSAValue) -> SSAValue:
    """A scale or zero point shaped so that it broadcasts: for all, per position of an axis, or per block of one."""
    rank, block = build.rank(value), node.integer("block_size", 0)
    if build.rank(parameter) == 0 or rank == 0:
        return build.reshape_to(parameter, ())
    if block:
        return _per_block(build, parameter, value, build.axis(value, node.integer("axis", 1)), block)
    if build.rank(parameter) != 1:
        raise LaminaError(
            f"{node.op_type}: expected a scalar or a vector of scales, found {build.rank(parameter)} axes"
        )
    if build.shape(parameter) == (1,):
        return build.reshape_to(parameter, ())
    return build.along_axis(parameter, build.axis(value, node.integer("axis", 1)), rank)


def _per_block(build: OnnxBuilder, parameter: SSAValue, value: SSAValue, axis: int, block: int) -> SSAValue:
    """Each entry repeated `block` times along `axis`; the last block may be cut short."""
    sizes, size = build.sizes_of(parameter), build.shape(value)[axis]
    if not isinstance(size, int):
        raise UnsupportedNode("blocks along an axis of unknown size are not built yet")
    if block < 0 or build.rank(parameter) != build.rank(value):
        raise LaminaError(f"blocks of {block} elements, and {build.rank(parameter)} axes of their scales")
    count = sizes[axis]
    if isinstance(count, int) and count != -(-size // block):
        raise LaminaError(f"expected a scale for each {block} of the {size} elements of axis {axis}, found {count}")
    split = [*sizes[: axis + 1], 1, *sizes[axis + 1 :]]
    spread = [*sizes[: axis + 1], block, *sizes[axis + 1 :]]
    repeated = build.broadcast_to(build.reshape_to(parameter, split), spread)
    joined = [*sizes[:axis], build.combine("multiply", sizes[axis], block), *sizes[axis + 1 :]]
    repeated = build.reshape_to(repeated, joined)
    return build.slice_axis(repeated, axis, 0, size)


# Products of integers


def _integer_product(
    build: OnnxBuilder,
    lhs: SSAValue,
    rhs: SSAValue,
    zeros: tuple[SSAValue | None, SSAValue | None],
    terms: int | None,
    product: Product,
) -> SSAValue:
    """The exact product of two shifted integer tensors, as i32.

    In f32 where no sum of `terms` products can leave the integers that f32 has: that is much faster.
    """
    largest = math.inf if terms is None else terms * _largest(build, lhs, zeros[0]) * _largest(build, rhs, zeros[1])
    wide = f32 if largest <= EXACT_INTEGERS else i32
    left, right = _shifted(build, lhs, zeros[0], wide), _shifted(build, rhs, zeros[1], wide)
    return build.cast(product(left, right), i32)


def _largest(build: OnnxBuilder, value: SSAValue, zero: SSAValue | None) -> int:
    """A bound of the absolute values of an integer tensor minus its zero point."""
    limits = np.iinfo(dtype_of(build.element_type(value)))  # pyright: ignore[reportCallIssue, reportArgumentType]
    shift = None if zero is None else build.static(zero)
    lowest, highest = (0, 0) if zero is None else (int(limits.min), int(limits.max))
    if shift is not None and shift.size:
        lowest, highest = int(shift.min()), int(shift.max())  # pyright: ignore[reportArgumentType]
    return max(int(limits.max) - lowest, highest - int(limits.min))


def _terms(build: OnnxBuilder, value: SSAValue, axes: range) -> int | None:
    sizes = [build.shape(value)[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _rows_zero(build: OnnxBuilder, zero: SSAValue | None) -> SSAValue | None:
    """A zero point per row of the left operand (a vector), shaped to broadcast along its rows."""
    if zero is None or build.rank(zero) != 1:
        return zero
    size = build.size(zero, 0)
    return build.reshape_to(zero, () if size == 1 else (size, 1))


def _scalar(build: OnnxBuilder, value: SSAValue | None) -> SSAValue | None:
    """A parameter of one element as a scalar; others as they are."""
    return build.reshape_to(value, ()) if value is not None and build.shape(value) == (1,) else value


def _matrix(
    build: OnnxBuilder, lhs: SSAValue, rhs: SSAValue, lhs_zero: SSAValue | None, rhs_zero: SSAValue | None
) -> SSAValue:
    if not build.rank(lhs) or not build.rank(rhs):
        raise LaminaError("a matrix product takes operands with at least one axis")
    last = build.rank(lhs) - 1
    zeros = _rows_zero(build, lhs_zero), _scalar(build, rhs_zero)
    return _integer_product(
        build, lhs, rhs, zeros, _terms(build, lhs, range(last, last + 1)), lambda a, b: matrix_product(build, a, b)
    )


def matmul_integer(node: Node, build: OnnxBuilder) -> SSAValue:
    return _matrix(build, node.operand(0), node.operand(1), node.optional(2), node.optional(3))


def qlinear_matmul(node: Node, build: OnnxBuilder) -> SSAValue:
    """The product of the integers, scaled to the result's."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (node.operand(index) for index in range(8))
    total = build.cast(_matrix(build, a, b, a_zero, b_zero), f32)
    left, right, result = (
        build.cast(part, f32) for part in (_rows(build, a_scale), _scalar_of(build, b_scale), _rows(build, y_scale))
    )
    scale = build.divide(build.multiply(left, right), result)
    zero = _rows(build, y_zero)
    return _rescaled(build, total, scale, zero, build.element_type(y_zero))


def _rows(build: OnnxBuilder, value: SSAValue) -> SSAValue:
    rows = _rows_zero(build, value)
    return value if rows is None else rows


def _scalar_of(build: OnnxBuilder, value: SSAValue) -> SSAValue:
    scalar = _scalar(build, value)
    return value if scalar is None else scalar


def _rescaled(build: OnnxBuilder, total: SSAValue, scale: SSAValue, zero: SSAValue, target: Attribute) -> SSAValue:
    """saturate(round(total * scale) + zero point)"""
    rounded = build.round_nearest_even(build.multiply(total, scale))
    return build.cast(build.add(rounded, build.cast(zero, f32)), target)


def _convolved(
    node: Node, build: OnnxBuilder, value: SSAValue, kernel: SSAValue, zeros: tuple[SSAValue | None, SSAValue | None]
) -> SSAValue:
    """The convolution of the shifted integers. What is padded is the zero point, that is 0 after the shift."""
    window = window_of(node, kernel_sizes(node, build, kernel), build.shape(value)[2:])
    rank = build.rank(kernel)
    kernel_zero = _scalar(build, zeros[1])
    if kernel_zero is not None:
        kernel_zero = build.along_axis(kernel_zero, 0, rank)

    def product(lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        return build.convolution(
            lhs,
            rhs,
            window.strides,
            window.padding,
            rhs_dilation=window.dilations,
            feature_group_count=node.integer("group"),
        )

    terms = _terms(build, kernel, range(1, rank))
    return _integer_product(build, value, kernel, (_scalar(build, zeros[0]), kernel_zero), terms, product)


def conv_integer(node: Node, build: OnnxBuilder) -> SSAValue:
    return _convolved(node, build, node.operand(0), node.operand(1), (node.optional(2), node.optional(3)))


def qlinear_conv(node: Node, build: OnnxBuilder) -> SSAValue:
    """The convolution of the integers and the bias (of scale x_scale * w_scale), scaled to the result's."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = (node.operand(index) for index in range(8))
    bias = node.optional(8)
    total = _convolved(node, build, x, w, (x_zero, w_zero))
    rank = build.rank(total)
    if bias is not None:
        total = build.add(total, build.along_axis(bias, 1, rank))
    left, right, result = (build.cast(_scalar_of(build, part), f32) for part in (x_scale, w_scale, y_scale))
    scale = build.along_axis(build.divide(build.multiply(left, right), result), 1, rank)
    return _rescaled(build, build.cast(total, f32), scale, _scalar_of(build, y_zero), build.element_type(y_zero))


QUANTIZATION: Mapping[str, Versions] = {
    "ConvInteger": {10: conv_integer},
    "DequantizeLinear": {10: dequantize_linear},
    "MatMulInteger": {10: matmul_integer},
    "QLinearConv": {10: qlinear_conv},
    "QLinearMatMul": {10: qlinear_matmul},
    "QuantizeLinear": {10: quantize_linear},
}
