"""Derivatives of data movement: all linear in what is moved, so tangents are moved the same way and cotangents back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.dialects.graph import data_movement as ops
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.dims import MAX_SIZE
from lamina.dialects.graph.dynamic_data_movement import (
    DynamicBroadcastOp,
    DynamicPadOp,
    DynamicReshapeOp,
    DynamicSliceOp,
)
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule, linear

Builder = DerivativeBuilder
Cotangents = Sequence[Derivative]


def _first(transpose: Callable[[Builder, Any, SSAValue], SSAValue]) -> Rule:
    """The rule of an op that moves its first operand; the others say where."""

    def vjp(b: Builder, op: Any, cotangent: SSAValue, needed: Sequence[bool]) -> Cotangents:
        return (transpose(b, op, cotangent), *[None] * (len(op.operands) - 1))

    return linear(vjp)


def _transposed(b: Builder, op: ops.TransposeOp, t: SSAValue) -> SSAValue:
    return b.transpose(t, [int(axis) for axis in np.argsort(op.permutation.get_values())])


# ---- slices


def _static_slice(b: Builder, op: ops.SliceOp, t: SSAValue) -> SSAValue:
    """The cotangent with zeros around and between its elements."""
    bounds = list(zip(op.starts.get_values(), op.limits.get_values(), op.strides.get_values(), strict=True))
    low: list[int | SSAValue] = []
    high: list[int | SSAValue] = []
    for axis, (start, limit, stride) in enumerate(bounds):
        size, taken = b.shape(op.operand)[axis], b.shape(t)[axis]
        if isinstance(size, int) and isinstance(taken, int):
            first = slice(start, limit, stride).indices(size)[0] if taken else 0
            low.append(first)
            high.append(size - first - ((taken - 1) * stride + 1 if taken else 0))
        elif start == 0 and (size == taken or (stride == 1 and limit >= MAX_SIZE)):
            low.append(0)
            high.append(0)
        else:
            first, after = _amounts(b, op.operand, t, axis, b.constant(np.asarray([start], np.int64)), stride)
            low.append(first)
            high.append(after)
    strides = [stride for _, _, stride in bounds]
    return _spread(b, t, low, high, strides)


def _amounts(
    b: Builder, operand: SSAValue, taken: SSAValue, axis: int, start: SSAValue, stride: int
) -> tuple[SSAValue, SSAValue]:
    """How much is before and after the elements that a slice takes of an axis; `start` as in a Python slice."""
    size = b.size(operand, axis)
    count = b.size(taken, axis)
    from_end = b.select(b.compare("LT", start, 0), b.add(start, size), start)
    first = b.clamp(b.constant(np.asarray([0], np.int64)), from_end, size)
    extent = b.maximum(b.add(b.multiply(b.subtract(count, 1), stride), 1), 0)
    return first, b.subtract(b.subtract(size, first), extent)


def _spread(
    b: Builder, t: SSAValue, low: Sequence[int | SSAValue], high: Sequence[int | SSAValue], strides: Sequence[int]
) -> SSAValue:
    """Zeros around and between the elements."""
    zero = b.zero(b.element_type(t))
    interior = [stride - 1 for stride in strides]
    static = [(a, z) for a, z in zip(low, high, strict=True) if isinstance(a, int) and isinstance(z, int)]
    if len(static) == len(low):
        if not any(interior) and not any(a or z for a, z in static):
            return t
        return b.pad(t, zero, [a for a, _ in static], [z for _, z in static], interior)
    if any(interior):
        t = b.pad(t, zero, [0] * len(interior), [0] * len(interior), interior)
    return b.dynamic_pad(t, zero, b.vector(low), b.vector(high))


def _dynamic_slice(b: Builder, op: DynamicSliceOp, t: SSAValue) -> SSAValue:
    """Padding where the strides are known, else a scatter along each axis."""
    strides = b.abstract(op.strides).elements
    rank = b.rank(op.operand)
    if strides is not None and all(isinstance(stride, int) for stride in strides):
        steps = [stride for stride in strides if isinstance(stride, int)]
        amounts = [_amounts(b, op.operand, t, axis, entry(b, op.starts, axis), step) for axis, step in enumerate(steps)]
        return _spread(b, t, [low for low, _ in amounts], [high for _, high in amounts], steps)
    for axis in range(rank):
        first, _ = _amounts(b, op.operand, t, axis, entry(b, op.starts, axis), 1)
        count = b.dynamic_iota(i64, b.size(t, axis))
        positions = b.add(first, b.multiply(count, entry(b, op.strides, axis)))
        t = add_along(b, t, positions, axis, b.size(op.operand, axis))
    return t


def entry(b: Builder, vector: SSAValue, index: int) -> SSAValue:
    """Entry `index` of a vector, as a vector."""
    return b.slice(vector, [index], [index + 1])


def add_along(b: Builder, updates: SSAValue, positions: SSAValue, axis: int, size: SSAValue) -> SSAValue:
    """Zeros with each slice of the updates along an axis added where `positions` says: the transpose of a take."""
    rank = b.rank(updates)
    shape = b.shape(updates)
    sizes: list[int | SSAValue] = [
        size if at == axis else known if isinstance(known, int) else b.size(updates, at)
        for at, known in enumerate(shape)
    ]
    zeros = b.dynamic_broadcast(b.zero(b.element_type(updates)), b.vector(sizes))
    return b.scatter(
        "add",
        zeros,
        positions,
        updates,
        update_window_dims=[at for at in range(rank) if at != axis],
        inserted_window_dims=[axis],
        scatter_dims_to_operand_dims=[axis],
        index_vector_dim=1,
    )


# ---- padding


def _pad_vjp(b: Builder, op: ops.PadOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    low, high = op.low.get_values(), op.high.get_values()
    if op.mode.data != "constant":
        amounts = [(b.vector([a]), a != 0 or z != 0) for a, z in zip(low, high, strict=True)]
        return (_folded_back(b, op, t, amounts), None)
    kept = t
    if any(low) or any(high):
        kept = b.pad(t, b.zero(b.element_type(t)), [-a for a in low], [-z for z in high])
    strides = [between + 1 for between in op.interior.get_values()]
    if any(stride > 1 for stride in strides):
        kept = b.slice(kept, [0] * len(strides), [2**63 - 1] * len(strides), strides)
    return _with_value(b, op, t, kept, needed)


def _dynamic_pad_vjp(b: Builder, op: DynamicPadOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    if op.mode.data != "constant":
        amounts = [(entry(b, op.low, axis), True) for axis in range(b.rank(t))]
        return (_folded_back(b, op, t, amounts), None, None, None)
    kept = b.dynamic_pad(t, b.zero(b.element_type(t)), b.negate(op.low), b.negate(op.high))
    return (*_with_value(b, op, t, kept, needed), None, None)


def _with_value(b: Builder, op: Any, t: SSAValue, kept: SSAValue, needed: Sequence[bool]) -> Cotangents:
    """Cotangents of the operand and of the padding value, which gets all that the operand does not."""
    value = b.subtract(b.reduce("add", t), b.reduce("add", kept)) if needed[1] else None
    return (kept if needed[0] else None, value)


def _folded_back(b: Builder, op: Any, t: SSAValue, low: Sequence[tuple[SSAValue, bool]]) -> SSAValue:
    """The transpose of padding with elements of the operand: every one is added where it was read."""
    for axis, (before, changed) in enumerate(low):
        if not changed:
            continue
        size = b.size(op.operand, axis)
        last = b.subtract(size, 1)
        positions = b.subtract(b.dynamic_iota(i64, b.size(t, axis)), before)
        if op.mode.data == "edge":
            positions = b.clamp(b.constant(np.asarray([0], np.int64)), positions, last)
        else:
            period = b.maximum(b.multiply(last, 2), 1)
            folded = b.remainder(b.abs(positions), period)
            positions = b.minimum(folded, b.subtract(period, folded))
        t = add_along(b, t, positions, axis, size)
    return t


# ---- several operands


def _concatenate_vjp(b: Builder, op: ops.ConcatenateOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    axis = op.dimension.value.data
    rank = b.rank(t)
    result: list[Derivative] = []
    start: int | SSAValue = 0
    for operand, need in zip(op.operands, needed, strict=True):
        size = b.shape(operand)[axis]
        end: int | SSAValue
        if isinstance(start, int) and isinstance(size, int):
            end = start + size
        else:
            end = b.add(b.vector([start]), b.size(operand, axis))
        if not need:
            result.append(None)
        elif isinstance(start, int) and isinstance(end, int):
            limits = [end if at == axis else 2**63 - 1 for at in range(rank)]
            result.append(b.slice(t, [start if at == axis else 0 for at in range(rank)], limits))
        else:
            starts = b.vector([start if at == axis else 0 for at in range(rank)])
            limits = b.vector([end if at == axis else 2**63 - 1 for at in range(rank)])
            result.append(_as_large_as(b, b.dynamic_slice(t, starts, limits, b.vector([1] * rank)), operand))
        start = end
    return result


def _as_large_as(b: Builder, value: SSAValue, like: SSAValue) -> SSAValue:
    """State that a value has the shape of another, which its own inference cannot see."""
    b.declare(value, b.abstract(like))
    return value


def clamped_starts(b: Builder, op: ops.DynamicUpdateSliceOp) -> SSAValue:
    """Where an update really starts: so that it fits."""
    room = b.subtract(b.shape_vector(op.operand), b.shape_vector(op.update))
    return b.clamp(b.constant(np.asarray(0, np.int64)), op.starts, room)


def _dynamic_update_slice_vjp(
    b: Builder, op: ops.DynamicUpdateSliceOp, t: SSAValue, needed: Sequence[bool]
) -> Cotangents:
    operand = b.dynamic_update_slice(t, b.zeros_like(op.update), op.starts) if needed[0] else None
    if not needed[1]:
        return (operand, None, None)
    starts = clamped_starts(b, op)
    limits = b.add(starts, b.shape_vector(op.update))
    update = b.dynamic_slice(t, starts, limits, b.vector([1] * b.rank(t)))
    return (operand, _as_large_as(b, update, op.update), None)


RULES: Mapping[type[GraphOp], Rule] = {
    ops.ReshapeOp: _first(lambda b, op, t: b.reshape_like(t, op.operand)),
    DynamicReshapeOp: _first(lambda b, op, t: b.reshape_like(t, op.operand)),
    ops.TransposeOp: _first(_transposed),
    ops.BroadcastOp: _first(lambda b, op, t: b.unbroadcast(t, op.operand)),
    DynamicBroadcastOp: _first(lambda b, op, t: b.unbroadcast(t, op.operand)),
    ops.SliceOp: _first(_static_slice),
    DynamicSliceOp: _first(_dynamic_slice),
    ops.ReverseOp: _first(lambda b, op, t: b.reverse(t, op.dimensions.get_values())),
    ops.PadOp: linear(_pad_vjp, data=2),
    DynamicPadOp: linear(_dynamic_pad_vjp, data=2),
    ops.ConcatenateOp: linear(_concatenate_vjp, data=None),
    ops.DynamicUpdateSliceOp: linear(_dynamic_update_slice_vjp, data=2),
}
