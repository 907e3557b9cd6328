"""Shapes with symbolic sizes, and indexing as NumPy's."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import InferenceError
from lamina.dialects.graph.broadcasting import broadcast_shapes
from lamina.dialects.graph.dims import MAX_SIZE, Call, Dim, DimExpr, Shape, Symbol, exact_quotient, product
from lamina.dialects.graph.types import dtype_of
from lamina.frontends.python.tracer import Traced, Tracer, active_tracer, as_value, is_number


def scalar_of(dim: Dim) -> SSAValue:
    """The i64 scalar that a size has at run time; raises LaminaError for a name that no tensor seen so far has."""
    tracer = active_tracer()
    builder = tracer.builder
    if isinstance(dim, int):
        return builder.constant(dim)
    total: SSAValue | None = None
    for atoms, factor in dim.terms:
        term = builder.constant(factor) if factor != 1 or not atoms else None
        for atom in atoms:
            value = _symbol(tracer, atom) if isinstance(atom, Symbol) else _call(atom)
            term = value if term is None else builder.multiply(term, value)
        assert term is not None
        total = term if total is None else builder.add(total, term)
    assert total is not None
    return total


def _symbol(tracer: Tracer, symbol: Symbol) -> SSAValue:
    source = tracer.sizes.get(symbol.name)
    if source is None:
        raise LaminaError(
            f"no tensor has the size '{symbol.name}'",
            hints=("name it in the spec of an argument, or take it from the shape of a tensor",),
        )
    value, axis = source
    return tracer.builder.dimension(tracer.check_visible(value), axis)


def _call(call: Call) -> SSAValue:
    builder = active_tracer().builder
    left, right = (scalar_of(operand) for operand in call.operands)
    match call.function:
        case "max":
            return builder.maximum(left, right)
        case "min":
            return builder.minimum(left, right)
        case "mod":
            return builder.remainder(left, right)
        case _:
            return builder.divide(left, right)


def vector_of(shape: Shape) -> SSAValue:
    """The i64 vector of sizes."""
    known: dict[Dim, SSAValue] = {dim: scalar_of(dim) for dim in shape if isinstance(dim, DimExpr)}
    return active_tracer().builder.sizes(shape, known)


def reshape(value: SSAValue, shape: Sequence[Dim]) -> SSAValue:
    """The elements under another shape; at most one -1."""
    builder = active_tracer().builder
    current = builder.shape(value)
    target = tuple(shape)
    if target == current:
        return value
    symbolic = [axis for axis, dim in enumerate(target) if not is_number(dim)]
    numbers = [dim if isinstance(dim, int) else -1 for dim in target]
    if not symbolic or (len(symbolic) == 1 and -1 not in target and _follows(current, target, symbolic[0])):
        return builder.reshape(value, numbers)
    if -1 in target:
        rest = product(dim for dim in target if dim != -1)
        missing = exact_quotient(product(current), rest)
        if missing is not None:
            target = tuple(missing if dim == -1 else dim for dim in target)
    return builder.dynamic_reshape(value, vector_of(target))


def _follows(current: Shape, target: Shape, axis: int) -> bool:
    """Whether a size is what the other sizes and the number of elements leave."""
    rest = product(dim for other, dim in enumerate(target) if other != axis)
    return rest != 0 and exact_quotient(product(current), rest) == target[axis]


def broadcast_to(value: SSAValue, shape: Sequence[Dim]) -> SSAValue:
    """The value under a shape that it broadcasts to."""
    builder = active_tracer().builder
    current, target = builder.shape(value), tuple(shape)
    try:
        fits = len(current) <= len(target) and broadcast_shapes("broadcast_to", (current, target)) == target
    except InferenceError:
        fits = False
    if not fits:
        raise LaminaError(f"cannot broadcast the shape {list(current)} to {list(target)}")
    if current == target:
        return value
    offset = len(target) - len(current)
    if all(is_number(dim) or (axis >= offset and current[axis - offset] == dim) for axis, dim in enumerate(target)):
        return builder.broadcast(value, [dim if isinstance(dim, int) else -1 for dim in target])
    return builder.dynamic_broadcast(value, vector_of(target))


def without_axes(value: SSAValue, axes: Sequence[int]) -> SSAValue:
    """The value without some axes of size 1."""
    shape = active_tracer().builder.shape(value)
    return reshape(value, [dim for axis, dim in enumerate(shape) if axis not in axes])


def from_start(indices: SSAValue, size: SSAValue) -> SSAValue:
    """Positions along an axis of a size (an i64 scalar) as i64, negative ones counted from the end.

    A size does not fit into every dtype of indices, so that all is computed in i64.
    """
    builder = active_tracer().builder
    dtype = dtype_of(builder.element_type(indices))
    if dtype.kind == "u":
        return builder.cast(builder.minimum(indices, MAX_SIZE) if dtype.itemsize == 8 else indices, i64)
    indices = builder.cast(indices, i64)
    return builder.select(builder.compare("LT", indices, 0), builder.add(indices, size), indices)


def take(value: SSAValue, indices: SSAValue, axis: int) -> SSAValue:
    """Slices at positions along an axis; negative ones count from the end, those outside are clamped."""
    builder = active_tracer().builder
    return builder.take(value, from_start(indices, builder.dimension(value, axis)), axis)


def index(operand: Traced, key: Any) -> SSAValue:
    """`operand[key]`: ints, slices, None, Ellipsis and integer tensors as in NumPy."""
    builder = active_tracer().builder
    value = operand.value
    keys: tuple[Any, ...] = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
    keys = _expanded(keys, builder.rank(value))
    axes = [item for item in keys if item is not None]
    tensors = [axis for axis, item in enumerate(axes) if isinstance(item, Traced | np.ndarray)]
    value = _sliced(value, [slice(None) if axis in tensors else item for axis, item in enumerate(axes)])
    # Axes that an int takes away, after the slices; the last first, so that the others keep their numbers.
    for axis in reversed(range(len(axes))):
        if axis not in tensors and not isinstance(axes[axis], slice):
            value = _at(value, axis, int(axes[axis]))
    if not tensors:
        return _with_new_axes(value, keys, 0, len(keys))
    # Where ints and tensors do not stand side by side, NumPy puts the axes of the tensors first.
    advanced = [place for place, item in enumerate(keys) if item is not None and not isinstance(item, slice)]
    together = advanced[-1] - advanced[0] == len(advanced) - 1
    left = [axis for axis, item in enumerate(axes) if axis in tensors or isinstance(item, slice)]
    positions = [left.index(axis) for axis in tensors]
    value, rank = _taken(value, [as_value(axes[axis]) for axis in tensors], positions, to_front=not together)
    if not together:
        whole: list[Any] = [item for item in keys if item is None or isinstance(item, slice)]
        return _with_new_axes(value, whole, rank, 0)
    first = next(place for place, item in enumerate(keys) if isinstance(item, Traced | np.ndarray))
    rest: list[Any] = [item for item in keys if item is None or isinstance(item, slice)]
    before = sum(item is None or isinstance(item, slice) for item in keys[:first])
    return _with_new_axes(value, rest, rank, before)


def _taken(
    value: SSAValue, indices: Sequence[SSAValue], axes: Sequence[int], *, to_front: bool
) -> tuple[SSAValue, int]:
    """The elements at positions along some axes, whose place the positions' axes take; and how many these are."""
    builder = active_tracer().builder
    shape = builder.shape(value)
    first = 0 if to_front else axes[0]
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    order = [*rest[:first], *axes, *rest[first:]]
    if order != list(range(len(shape))):
        value = builder.transpose(value, order)
    if len(axes) == 1:
        return take(value, indices[0], first), builder.rank(indices[0])
    # One position in the elements of all the axes, row by row.
    merged: SSAValue | None = None
    for axis, each in zip(axes, indices, strict=True):
        size = builder.dimension(value, order.index(axis))
        each = builder.clamp(0, from_start(each, size), builder.subtract(size, 1))
        merged = each if merged is None else builder.add(builder.multiply(merged, size), each)
    assert merged is not None
    sizes = [shape[axis] for axis in order]
    count = product(sizes[first : first + len(axes)])
    flat = reshape(value, [*sizes[:first], count, *sizes[first + len(axes) :]])
    return builder.take(flat, merged, first), builder.rank(merged)


def _expanded(keys: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    """The key with one entry per axis, the Ellipsis replaced by whole slices."""
    used = sum(item is not None and not isinstance(item, EllipsisType) for item in keys)
    ellipses = [position for position, item in enumerate(keys) if isinstance(item, EllipsisType)]
    if used > rank or len(ellipses) > 1:
        raise LaminaError(f"expected at most {rank} indices and one Ellipsis, found {len(keys)} entries")
    whole = (slice(None),) * (rank - used)
    for item in keys:
        dtype = cast(Any, item).dtype if isinstance(item, Traced | np.ndarray) else None
        if dtype is not None and dtype.kind not in "iu":
            raise LaminaError(
                f"expected integers in a tensor of indices, found {dtype}",
                hints=("the number of elements that a mask chooses is not known while tracing: use ops.where",),
            )
        known = item is None or isinstance(item, int | np.integer | slice | EllipsisType | Traced | np.ndarray)
        if not known or isinstance(item, bool):
            raise LaminaError(f"expected ints, slices, None, Ellipsis or integer tensors as indices, found {item!r}")
    if not ellipses:
        return keys + whole
    return keys[: ellipses[0]] + whole + keys[ellipses[0] + 1 :]


def _sliced(value: SSAValue, items: Sequence[Any]) -> SSAValue:
    """The slices of a key; ints are left for later."""
    builder = active_tracer().builder
    reversed_axes: list[int] = []
    bounds: list[tuple[int, int, int]] = []
    for axis, item in enumerate(items):
        if not isinstance(item, slice) or item == slice(None):
            bounds.append((0, MAX_SIZE, 1))
            continue
        part = cast("slice[Any, Any, Any]", item)
        start, stop, step = (None if each is None else _bound(each) for each in (part.start, part.stop, part.step))
        if step == 0:
            raise LaminaError("slice step cannot be zero")
        if step is None or step > 0:
            bounds.append((start or 0, MAX_SIZE if stop is None else stop, step or 1))
            continue
        # Backwards from `start` is forwards in the reversed axis, where position i is -1 - i.
        reversed_axes.append(axis)
        bounds.append((0 if start is None else -1 - start, MAX_SIZE if stop is None else -1 - stop, -step))
    if reversed_axes:
        value = builder.reverse(value, reversed_axes)
    if any(bound != (0, MAX_SIZE, 1) for bound in bounds):
        starts, limits, strides = zip(*bounds, strict=True)
        value = builder.slice(value, starts, limits, strides)
    return value


def _bound(bound: Any) -> int:
    if not is_number(bound):
        raise LaminaError(f"expected a number as the bound of a slice, found {bound}", hints=("use ops.dynamic_slice",))
    return int(bound)


def _at(value: SSAValue, axis: int, position: int) -> SSAValue:
    """The slice at one position of an axis, which is dropped."""
    builder = active_tracer().builder
    shape = builder.shape(value)
    size = shape[axis]
    if not isinstance(size, int):
        return take(value, builder.constant(position), axis)
    if not -size <= position < size:
        raise LaminaError(f"index {position} is out of bounds for axis {axis} with size {size}")
    starts, limits = [0] * len(shape), [MAX_SIZE] * len(shape)
    starts[axis] = position % size
    limits[axis] = starts[axis] + 1
    return without_axes(builder.slice(value, starts, limits), [axis])


def _with_new_axes(value: SSAValue, keys: Sequence[Any], tensor_rank: int, before: int) -> SSAValue:
    """Axes of size 1 where a key has None; the axes of tensors come after the first `before` keys."""
    if all(item is not None for item in keys):
        return value
    remaining = iter(active_tracer().builder.shape(value))
    shape: list[Dim] = []
    for place in range(len(keys) + 1):
        if place == before:
            shape += [next(remaining) for _ in range(tensor_rank)]
        if place < len(keys) and keys[place] is None:
            shape.append(1)
        elif place < len(keys) and isinstance(keys[place], slice):
            shape.append(next(remaining))
    return reshape(value, shape)
