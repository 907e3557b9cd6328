"""Loads, stores, views and atomic operations, as the interpreter of kernels runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase
from xdsl.ir import Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import is_memref
from lamina.targets.gpu.checked_memory import Buffer
from lamina.targets.gpu.kernel_machine import Group, Machine, Special, View, dense, same
from lamina.targets.gpu.lane_operations import Lanes, dtype_of, shape_of, unsigned


def _load(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    indices = [machine.lanes(group, one) for one in op.operands[1:]]
    group.values[op.results[0]] = machine.loaded(group, op, machine.view(group, op.operands[0]), indices, active)


def _store(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    value, indices = machine.lanes(group, op.operands[0]), [machine.lanes(group, one) for one in op.operands[2:]]
    machine.stored(group, op, value, machine.view(group, op.operands[1]), indices, active)


def _columns(indices: Sequence[Lanes], count: int) -> list[list[Lanes]]:
    """The indices of each of `count` neighbors along the last axis."""
    return [[*indices[:-1], indices[-1] + number] for number in range(count)]


def _vector_load(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view, shape = machine.view(group, op.operands[0]), shape_of(op.results[0].type)
    indices = [machine.lanes(group, one) for one in op.operands[1:]]
    parts = [machine.loaded(group, op, view, at, active) for at in _columns(indices, prod(shape))]
    group.values[op.results[0]] = np.stack(parts, axis=1).reshape(group.lanes, *shape)


def _vector_store(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    value, view = machine.lanes(group, op.operands[0]), machine.view(group, op.operands[1])
    indices = [machine.lanes(group, one) for one in op.operands[2:]]
    flat = value.reshape(len(value), -1)
    for number, at in enumerate(_columns(indices, flat.shape[1])):
        machine.stored(group, op, flat[:, number], view, at, active)


def _alloca(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    """Memory of each thread's own."""
    type_ = memref_of(op.results[0])
    size = prod(type_.get_shape()) * dtype_of(type_).itemsize
    buffer = Buffer.new("private buffer", size * group.lanes)
    sizes = [same(one) for one in type_.get_shape()]
    start = np.arange(group.lanes, dtype=np.int64) * size
    group.values[op.results[0]] = dense(buffer, start, sizes, type_.get_element_type())


def memref_of(value: SSAValue) -> Any:
    """The type of a buffer."""
    if not is_memref(value.type):
        raise LaminaError(f"expected a buffer, found {value.type}")
    return value.type


def _dim(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    axis = int(machine.lanes(group, op.operands[1])[0])
    group.values[op.results[0]] = machine.view(group, op.operands[0]).sizes[axis]


def _cast(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    if not is_memref(op.operands[0].type):
        group.values[op.results[0]] = group.values[op.operands[0]]
        return
    group.values[op.results[0]] = machine.view(group, op.operands[0])


def _listed(machine: Machine, group: Group, op: Operation, name: str) -> list[Lanes]:
    static = op.properties[f"static_{name}"]
    dynamic = iter(getattr(op, name))
    if not isinstance(static, DenseArrayBase):
        raise LaminaError(f"'{op.name}' has no {name}")
    numbers = [int(one) for one in static.get_values()]
    return [machine.lanes(group, next(dynamic)) if one == DYNAMIC_INDEX else same(one) for one in numbers]


def _subview(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view = machine.view(group, op.operands[0])
    offsets, sizes, steps = (_listed(machine, group, op, name) for name in ("offsets", "sizes", "strides"))
    shift = same(0)
    for offset, stride in zip(offsets, view.strides, strict=True):
        shift = shift + offset * stride
    start = view.start + shift * dtype_of(view.element).itemsize
    strides = [stride * step for stride, step in zip(view.strides, steps, strict=True)]
    dropped = len(sizes) - memref_of(op.results[0]).get_num_dims()
    kept: list[int] = []
    static: Any = op.properties["static_sizes"]
    for axis, size in enumerate(static.get_values()):
        if size == 1 and dropped:
            dropped -= 1
        else:
            kept.append(axis)
    group.values[op.results[0]] = View(
        view.buffer, start, tuple(sizes[axis] for axis in kept), tuple(strides[axis] for axis in kept), view.element
    )


def _reinterpret(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view = machine.view(group, op.operands[0])
    (offset,), sizes, strides = (_listed(machine, group, op, name) for name in ("offsets", "sizes", "strides"))
    start = view.start + offset * dtype_of(view.element).itemsize
    group.values[op.results[0]] = View(view.buffer, start, tuple(sizes), tuple(strides), view.element)


def _collapse(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view, shape = machine.view(group, op.operands[0]), memref_of(op.results[0]).get_shape()
    reassociation: Any = op.properties["reassociation"]
    groups = [[int(axis.value.data) for axis in one] for one in reassociation]
    sizes: list[Lanes] = []
    for axes, static in zip(groups, shape, strict=True):
        size = same(1)
        for axis in axes:
            size = size * view.sizes[axis]
        sizes.append(size if static == DYNAMIC_INDEX else same(static))
    group.values[op.results[0]] = view.sized(sizes)


def _expand(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view, shape = machine.view(group, op.operands[0]), memref_of(op.results[0]).get_shape()
    dynamic = iter(op.operands[1:])
    sizes = [machine.lanes(group, next(dynamic)) if one == DYNAMIC_INDEX else same(one) for one in shape]
    group.values[op.results[0]] = view.sized(sizes)


def _view(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view, shift = machine.view(group, op.operands[0]), machine.lanes(group, op.operands[1])
    type_ = memref_of(op.results[0])
    dynamic = iter(op.operands[2:])
    sizes = [machine.lanes(group, next(dynamic)) if one == DYNAMIC_INDEX else same(one) for one in type_.get_shape()]
    group.values[op.results[0]] = dense(view.buffer, view.start + shift, sizes, type_.get_element_type())


def _largest_unsigned(left: Lanes, right: Lanes) -> Lanes:
    return np.maximum(unsigned(left), unsigned(right)).view(left.dtype)


def _smallest_unsigned(left: Lanes, right: Lanes) -> Lanes:
    return np.minimum(unsigned(left), unsigned(right)).view(left.dtype)


def _assigned(left: Lanes, right: Lanes) -> Lanes:
    return right


COMBINED: Mapping[str, Callable[[Lanes, Lanes], Lanes]] = {
    "addf": np.add,
    "addi": np.add,
    "mulf": np.multiply,
    "muli": np.multiply,
    "maximumf": np.maximum,
    "minimumf": np.minimum,
    "maxnumf": np.fmax,
    "minnumf": np.fmin,
    "maxs": np.maximum,
    "mins": np.minimum,
    "maxu": _largest_unsigned,
    "minu": _smallest_unsigned,
    "andi": np.bitwise_and,
    "ori": np.bitwise_or,
    "xori": np.bitwise_xor,
    "assign": _assigned,
}


def _atomic(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    values = np.broadcast_to(machine.lanes(group, op.operands[0]), (group.lanes,))
    view = machine.view(group, op.operands[1])
    indices = [machine.lanes(group, one) for one in op.operands[2:]]
    combine = COMBINED[str(cast(Any, op).kind_name)]

    def new(lanes: Lanes, old: Lanes) -> Lanes:
        return combine(old, np.ascontiguousarray(values[lanes]))

    group.values[op.results[0]] = machine.updated(group, op, view, indices, active, new)


def _generic_atomic(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    view = machine.view(group, op.operands[0])
    indices = [machine.lanes(group, one) for one in op.operands[1:]]
    block = op.regions[0].block

    def new(lanes: Lanes, old: Lanes) -> Lanes:
        wide = np.zeros(group.lanes, old.dtype)
        wide[lanes] = old
        chosen = np.zeros(group.lanes, np.bool_)
        chosen[lanes] = True
        group.values[block.args[0]] = wide
        (result,) = machine.run_block(group, block, chosen)
        return np.broadcast_to(cast(Lanes, result), (group.lanes,))[lanes]

    group.values[op.results[0]] = machine.updated(group, op, view, indices, active, new)


def _nothing(machine: Machine, group: Group, op: Operation, active: Lanes) -> None:
    pass


MEMORY: Mapping[str, Special] = {
    "memref.load": _load,
    "memref.store": _store,
    "memref.alloca": _alloca,
    "memref.dim": _dim,
    "memref.cast": _cast,
    "memref.assume_alignment": _cast,
    "builtin.unrealized_conversion_cast": _cast,
    "memref.subview": _subview,
    "memref.reinterpret_cast": _reinterpret,
    "memref.collapse_shape": _collapse,
    "memref.expand_shape": _expand,
    "memref.view": _view,
    "memref.atomic_rmw": _atomic,
    "memref.generic_atomic_rmw": _generic_atomic,
    "memref.prefetch": _nothing,
    "vector.load": _vector_load,
    "vector.store": _vector_store,
}
"""By op, what runs it."""
