"""Derivatives of gather and scatter: each is the other's transpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import GraphOp
from lamina.dialects.graph.data_movement import GatherOp
from lamina.dialects.graph.scatter import ScatterOp
from lamina.passes.autodiff.builder import Derivative, DerivativeBuilder
from lamina.passes.autodiff.rule import Rule, linear

Builder = DerivativeBuilder
Cotangents = Sequence[Derivative]


def _gather_vjp(b: Builder, op: GatherOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    """Each element is added where it was read; a scatter drops what is outside, so that indices are clamped first."""
    axis = _one_of_each_row(b, op)
    if axis is not None:
        return (_one_hot(b, op, t, axis), None)
    numbers = op.numbers
    # f16 and bf16 would be rounded after every update: many meet where an embedding is read often.
    wide = b.widen(t)
    known = b.abstract(op.operand)
    spread = b.scatter(
        "add",
        b.filled(known.shape, b.element_type(wide), 0.0, op.operand),
        _clamped_indices(b, op),
        wide,
        update_window_dims=numbers.offset_dims,
        inserted_window_dims=numbers.collapsed_slice_dims,
        input_batching_dims=numbers.operand_batching_dims,
        scatter_indices_batching_dims=numbers.start_indices_batching_dims,
        scatter_dims_to_operand_dims=numbers.start_index_map,
        index_vector_dim=numbers.index_vector_dim,
    )
    return (b.cast(spread, known.element_type), None)


def _one_of_each_row(b: Builder, op: GatherOp) -> int | None:
    """The axis of which one element is read for each position of all others, as a label is; None for other gathers."""
    numbers = op.numbers
    rank, index_rank = b.rank(op.operand), b.rank(op.indices)
    if numbers.offset_dims or len(numbers.start_index_map) != 1 or len(numbers.operand_batching_dims) != rank - 1:
        return None
    (axis,) = numbers.start_index_map
    others = [other for other in range(rank) if other != axis]
    shape = list(b.shape(op.indices))
    if numbers.index_vector_dim != index_rank and (numbers.index_vector_dim != index_rank - 1 or shape.pop() != 1):
        return None
    kept = len(shape) == rank and shape[axis] == 1
    if not kept and len(shape) != rank - 1:
        return None
    expected = others if kept else list(range(rank - 1))
    in_order = list(numbers.operand_batching_dims) == others
    return axis if in_order and list(numbers.start_indices_batching_dims) == expected else None


def _one_hot(b: Builder, op: GatherOp, t: SSAValue, axis: int) -> SSAValue:
    """The cotangent at its place in each row, zeros elsewhere: as cheap as the zeros, and part of what reads it."""
    rank = b.rank(op.operand)
    places = _clamped_indices(b, op)
    if b.rank(places) > b.rank(t):
        places = b.reshape_like(places, t)
    if b.rank(t) < rank:
        places, t = b.expand(places, [axis]), b.expand(t, [axis])
    shape = b.shape(op.operand)
    size = shape[axis]
    if isinstance(size, int):
        counted = b.iota(i64, [size if other == axis else 1 for other in range(rank)], axis)
    else:
        counted = b.dynamic_iota(
            i64, b.vector([b.size(op.operand, axis) if o == axis else 1 for o in range(rank)]), axis
        )
    result = b.select(b.compare("EQ", counted, places), t, b.zero(b.element_type(t)))
    b.declare(result, replace(b.abstract(result), shape=shape))
    return result


def _clamped_indices(b: Builder, op: GatherOp) -> SSAValue:
    sizes = op.slice_sizes.get_values()
    shape = b.shape(op.operand)
    room: list[int | SSAValue] = []
    for axis in op.numbers.start_index_map:
        size = shape[axis]
        if sizes[axis] == -1:
            room.append(0)
        elif isinstance(size, int):
            room.append(size - sizes[axis])
        else:
            room.append(b.subtract(b.size(op.operand, axis), sizes[axis]))
    indices = b.cast(op.indices, i64)
    last = b.vector(room) if room else b.constant(np.zeros(0, np.int64))
    # The index vector may be any axis of the indices, or none where indices are scalars.
    rank = b.rank(op.indices)
    trailing = rank - 1 - op.numbers.index_vector_dim
    if op.numbers.index_vector_dim == rank:
        last = b.reshape(last, [])
    elif trailing:
        last = b.reshape(last, [len(room), *[1] * trailing])
    return b.clamp(b.constant(0), indices, last)


def _read_back(b: Builder, op: ScatterOp, source: SSAValue) -> SSAValue:
    """The elements of a tensor like the operand at the places of the updates; 0 where an update is dropped."""
    numbers = op.numbers
    shape = b.shape(op.operand)
    window = dict(zip(numbers.offset_axes(len(shape)), numbers.offset_dims, strict=True))
    sizes: list[int] = []
    for axis, size in enumerate(shape):
        if axis not in window:
            sizes.append(1)
            continue
        taken = b.shape(op.updates)[window[axis]]
        sizes.append(taken if isinstance(taken, int) and taken != size else -1)
    read = b.gather(
        source,
        op.indices,
        slice_sizes=sizes,
        offset_dims=numbers.offset_dims,
        collapsed_slice_dims=numbers.collapsed_slice_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.start_indices_batching_dims,
        start_index_map=numbers.start_index_map,
        index_vector_dim=numbers.index_vector_dim,
    )
    return b.select(_lands(b, op), read, b.zero(b.element_type(read)))


def _lands(b: Builder, op: ScatterOp) -> SSAValue:
    """Which updates are inside the operand: ones scattered nowhere else are read back as they are dropped."""
    numbers = op.numbers
    rank = b.rank(op.indices)
    shape = b.shape(op.operand)
    window = dict(zip(numbers.offset_axes(len(shape)), numbers.offset_dims, strict=True))
    room: list[int | SSAValue] = []
    for axis in numbers.start_index_map:
        size = shape[axis]
        taken = b.shape(op.updates)[window[axis]] if axis in window else 1
        if isinstance(size, int) and isinstance(taken, int):
            room.append(size - taken)
        else:
            extent: SSAValue | int = b.size(op.updates, window[axis]) if axis in window else 1
            room.append(b.subtract(b.size(op.operand, axis), extent))
    indices = b.cast(op.indices, i64)
    last = b.vector(room) if room else b.constant(np.zeros(0, np.int64))
    vector = numbers.index_vector_dim
    if vector == rank:
        last = b.reshape(last, [])
    elif rank - 1 - vector:
        last = b.reshape(last, [len(room), *[1] * (rank - 1 - vector)])
    inside = b.and_(b.compare("GE", indices, 0), b.compare("LE", indices, last))
    if vector < rank:
        inside = b.reduce("and", inside, [vector])
    # The batch axes in place among the window's: one axis of size 1 for each axis of the window.
    return b.expand(inside, sorted(numbers.offset_dims)) if numbers.offset_dims else inside


def _differentiable_kind(b: Builder, op: ScatterOp) -> str:
    if op.kind.data == "multiply":
        raise LaminaError(
            f"{op.name} multiply has no derivative: with repeated indices it is a product of unknown factors",
            where=location_text(op.location),
            hints=("gather, multiply and scatter with assign where the indices are distinct",),
        )
    return op.kind.data


def _scatter_vjp(b: Builder, op: ScatterOp, t: SSAValue, needed: Sequence[bool]) -> Cotangents:
    kind = _differentiable_kind(b, op)
    if kind == "add":
        return (t if needed[0] else None, None, _read_back(b, op, t) if needed[2] else None)
    if kind == "assign":
        kept = b.again(op, (t, op.indices, b.zeros_like(op.updates))) if needed[0] else None
        update = b.multiply(_read_back(b, op, t), _wins(b, op)) if needed[2] else None
        return (kept, None, update)
    shared = b.divide(t, _candidates(b, op))
    zero = b.zero(b.element_type(t))
    kept = b.select(b.compare("EQ", op.operand, op.result), shared, zero) if needed[0] else None
    update = b.multiply(_read_back(b, op, shared), _reaches(b, op)) if needed[2] else None
    return (kept, None, update)


def _scatter_jvp(b: Builder, op: ScatterOp, tangents: Sequence[Derivative]) -> Derivative:
    kind = _differentiable_kind(b, op)
    operand, _, update = tangents
    if kind == "add" or (kind == "assign" and update is None):
        return _spread(b, op, b.materialized(operand, op.operand), b.materialized(update, op.updates), kind)
    if kind == "assign":
        kept = None if operand is None else b.again(op, (operand, op.indices, b.zeros_like(op.updates)))
        assert update is not None
        start = b.zeros_like(op.operand) if kept is None else kept
        return _spread(b, op, start, b.multiply(update, _wins(b, op)), "add")
    zero = b.zero(b.element_type(op.result))
    start = b.zeros_like(op.operand)
    if operand is not None:
        start = b.select(b.compare("EQ", op.operand, op.result), operand, zero)
    if update is not None:
        start = _spread(b, op, start, b.multiply(update, _reaches(b, op)), "add")
    return b.divide(start, _candidates(b, op))


def _spread(b: Builder, op: ScatterOp, operand: SSAValue, updates: SSAValue, kind: str) -> SSAValue:
    properties = {name: value for name, value in op.properties.items() if name != "kind"}
    return b.create("scatter", (operand, op.indices, updates), kind=kind, **properties)


def _wins(b: Builder, op: ScatterOp) -> SSAValue:
    """1 for the updates that an assigning scatter leaves in the result, 0 for those that a later one overwrites.

    Every update writes its number instead; the number read back is its own where it was the last.
    """
    count = b.rank(op.updates)
    element_type = b.element_type(op.updates)
    if count == 0:
        return b.constant(1.0, element_type)
    numbers: SSAValue | None = None
    sizes = b.shape_vector(op.updates)
    for axis in range(count):
        along = b.dynamic_iota(i64, sizes, axis)
        scale = b.reshape(b.size(op.updates, axis), [])
        numbers = along if numbers is None else b.add(b.multiply(numbers, scale), along)
    assert numbers is not None
    places = b.dynamic_broadcast(b.constant(-1), b.shape_vector(op.operand))
    written = _spread(b, op, places, numbers, "assign")
    same = b.compare("EQ", _read_back(b, op, written), numbers)
    return b.cast(same, element_type)


def _reaches(b: Builder, op: ScatterOp) -> SSAValue:
    """1 for the updates that equal the extreme at their place, else 0."""
    return b.cast(b.compare("EQ", _read_back(b, op, op.result), op.updates), b.element_type(op.updates))


def _candidates(b: Builder, op: ScatterOp) -> SSAValue:
    """How many of operand and updates equal the extreme, at every place: ties share evenly."""
    own = b.cast(b.compare("EQ", op.operand, op.result), b.element_type(op.result))
    return _spread(b, op, own, _reaches(b, op), "add")


RULES: Mapping[type[GraphOp], Rule] = {
    GatherOp: linear(_gather_vjp),
    ScatterOp: Rule(_scatter_jvp, _scatter_vjp, note="not for kind multiply; the last of several assignments counts"),
}
