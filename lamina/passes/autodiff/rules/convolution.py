"""Derivatives of convolution: linear in each operand, and each transpose is a convolution again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from xdsl.ir import SSAValue

from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.convolution import AxisOrder, ConvolutionOp, axis_properties, dilated
from lamina.dialects.graph.dims import Dim
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule, bilinear

Builder = DerivativeBuilder


class Geometry:
    """The sizes and properties of a convolution, one entry per spatial axis."""

    def __init__(self, b: Builder, op: ConvolutionOp):
        self.strides = op.window_strides.get_values()
        self.lhs_dilation = op.lhs_dilation.get_values()
        self.rhs_dilation = op.rhs_dilation.get_values()
        padding = op.padding.get_values()
        self.low, self.high = padding[::2], padding[1::2]
        self.groups = op.feature_group_count.value.data
        shapes = b.shape(op.lhs), b.shape(op.rhs), b.shape(op.result)
        orders = op.input_order, op.kernel_order, op.output_order
        self.inputs, self.kernels, self.outputs = (
            [shape[axis] for axis in order.spatial] for shape, order in zip(shapes, orders, strict=True)
        )
        self.windows: list[Dim] = [
            dilated(size, step) for size, step in zip(self.kernels, self.rhs_dilation, strict=True)
        ]
        self.spread: list[Dim] = [
            dilated(size, step) for size, step in zip(self.inputs, self.lhs_dilation, strict=True)
        ]
        self.reach: list[Dim] = [(size - 1) * step + 1 for size, step in zip(self.outputs, self.strides, strict=True)]


def _convolution_vjp(b: Builder, op: ConvolutionOp, t: SSAValue, needed: Sequence[bool]) -> Sequence[Derivative]:
    geometry = Geometry(b, op)
    if any(size == 0 for size in geometry.outputs):
        return tuple(b.zeros_like(operand) for operand in op.operands)
    return (
        _towards_input(b, op, t, geometry) if needed[0] else None,
        _towards_kernel(b, op, t, geometry) if needed[1] else None,
    )


def _towards_input(b: Builder, op: ConvolutionOp, t: SSAValue, g: Geometry) -> SSAValue:
    """The cotangent, dilated by the strides, convolved with the flipped kernel whose features are exchanged."""
    kernel, order = b.reverse(op.rhs, op.kernel_order.spatial), op.kernel_order
    if g.groups == 1:
        kernel_order = AxisOrder(order.second, order.first, order.spatial)
    else:
        kernel, kernel_order = _exchanged(b, op, kernel, g.groups)
    source, target = op.output_order, op.input_order
    low: list[int] = []
    high: list[int] = []
    exact = True
    for axis, window in enumerate(g.windows):
        if not isinstance(window, int):
            raise b.error(f"{op.name}: no derivative with a kernel of unknown size; give its spatial axes static sizes")
        before = window - 1 - g.low[axis]
        after = g.spread[axis] + window - 1 - g.reach[axis] - before
        if not isinstance(after, int):
            # Between the bounds of the remainder of a division by the stride: too much is computed, and cut off.
            exact = False
            after = window - 1 - g.high[axis] + g.strides[axis] - 1
        low.append(before)
        high.append(after)
    dilation = g.strides
    if min((*low, *high), default=0) < 0:
        amounts = [0] * b.rank(t), [0] * b.rank(t), [0] * b.rank(t)
        for axis, place in enumerate(source.spatial):
            amounts[0][place], amounts[1][place], amounts[2][place] = low[axis], high[axis], g.strides[axis] - 1
        t = b.pad(t, b.zero(b.element_type(t)), *amounts)
        low, high, dilation = [0] * len(low), [0] * len(high), (1,) * len(low)
    result = _convolve(
        b,
        t,
        kernel,
        strides=g.lhs_dilation,
        padding=[amount for pair in zip(low, high, strict=True) for amount in pair],
        lhs_dilation=dilation,
        rhs_dilation=g.rhs_dilation,
        groups=g.groups,
        orders=(source, kernel_order, target),
    )
    return result if exact else _cut(b, result, op.lhs)


def _exchanged(b: Builder, op: ConvolutionOp, kernel: SSAValue, groups: int) -> tuple[SSAValue, AxisOrder]:
    """The kernel with output and input features exchanged inside every group: (groups · inputs, outputs, spatial)."""
    order = op.kernel_order
    kernel = b.transpose(kernel, order.permutation)
    sizes = [size for size in b.shape(kernel) if isinstance(size, int)]
    if len(sizes) != b.rank(kernel):
        raise b.error(f"{op.name}: no derivative of grouped kernels of unknown size; give the kernel a static shape")
    outputs, inputs, *spatial = sizes
    rank = len(spatial)
    kernel = b.reshape(kernel, [groups, outputs // groups, inputs, *spatial])
    kernel = b.transpose(kernel, [0, 2, 1, *range(3, 3 + rank)])
    kernel = b.reshape(kernel, [groups * inputs, outputs // groups, *spatial])
    return kernel, AxisOrder(0, 1, tuple(range(2, 2 + rank)))


def _towards_kernel(b: Builder, op: ConvolutionOp, t: SSAValue, g: Geometry) -> SSAValue:
    """The input convolved with the cotangent as its kernel: batch and features exchange their parts."""
    source = op.input_order
    operand = op.lhs
    input_order = AxisOrder(source.second, source.first, source.spatial)
    if g.groups > 1:
        operand, input_order = _batch_by_groups(b, op, g.groups)
    low, high = list(g.low), list(g.high)
    exact = True
    crop = [0] * b.rank(operand)
    for axis, (window, reach) in enumerate(zip(g.windows, g.reach, strict=True)):
        unused = g.spread[axis] + g.low[axis] + g.high[axis] - reach - (window - 1)
        if not isinstance(unused, int):
            exact = False
            continue
        if unused <= high[axis]:
            high[axis] -= unused
        elif g.lhs_dilation[axis] == 1:
            crop[input_order.spatial[axis]] = high[axis] - unused
            high[axis] = 0
        else:
            exact = False
    if any(crop):
        operand = b.pad(operand, b.zero(b.element_type(operand)), [0] * len(crop), crop)
    output = op.output_order
    kernel = op.kernel_order
    result = _convolve(
        b,
        operand,
        t,
        strides=g.rhs_dilation,
        padding=[amount for pair in zip(low, high, strict=True) for amount in pair],
        lhs_dilation=g.lhs_dilation,
        rhs_dilation=g.strides,
        groups=g.groups,
        orders=(
            input_order,
            AxisOrder(output.second, output.first, output.spatial),
            AxisOrder(kernel.second, kernel.first, kernel.spatial),
        ),
    )
    return result if exact else _cut(b, result, op.rhs)


def _batch_by_groups(b: Builder, op: ConvolutionOp, groups: int) -> tuple[SSAValue, AxisOrder]:
    """The input as (features of a group, groups · batch, spatial): a group sees its own batch only."""
    operand = b.transpose(op.lhs, op.input_order.permutation)
    batch, features, *spatial = b.shape(operand)
    rank = len(spatial)
    if not isinstance(features, int):
        raise b.error(f"{op.name}: no derivative of grouped features of unknown number; make the feature axis static")
    parts = features // groups
    sizes: list[int | SSAValue] = [
        size if isinstance(size, int) else b.size(operand, 0 if axis == 0 else axis - 1)
        for axis, size in enumerate((batch, groups, parts, *spatial))
    ]
    operand = b.dynamic_reshape(operand, b.vector(sizes)) if rank else b.dynamic_reshape(operand, b.vector(sizes[:3]))
    operand = b.transpose(operand, [2, 1, 0, *range(3, 3 + rank)])
    head = sizes[0]
    merged = groups * head if isinstance(head, int) else b.multiply(head, groups)
    operand = b.dynamic_reshape(operand, b.vector([parts, merged, *sizes[3:]]))
    return operand, AxisOrder(0, 1, tuple(range(2, 2 + rank)))


def _convolve(
    b: Builder,
    lhs: SSAValue,
    rhs: SSAValue,
    *,
    strides: Sequence[int],
    padding: Sequence[int],
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
    groups: int,
    orders: tuple[AxisOrder, AxisOrder, AxisOrder],
) -> SSAValue:
    return b.create(
        "convolution",
        (lhs, rhs),
        window_strides=strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        feature_group_count=groups,
        **axis_properties(*orders),
    )


def _cut(b: Builder, value: SSAValue, like: SSAValue) -> SSAValue:
    """The first elements along every axis, as many as another value has."""
    rank = b.rank(value)
    zeros, ones = (b.constant(np.full(rank, number, np.int64)) for number in (0, 1))
    cut = b.dynamic_slice(value, zeros, b.shape_vector(like), ones)
    b.declare(cut, b.abstract(like))
    return cut


RULES: Mapping[type[GraphOp], Rule] = {ConvolutionOp: bilinear(_convolution_vjp)}
