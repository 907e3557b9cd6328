"""Functions of NumPy that `lamina.ops` has under no name, or with other defaults: each is made of those of `ops`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any, TypeAlias, cast

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.frontends.python import ops, shapes
from lamina.frontends.python.specs import DTypeLike, parse_dtype
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, as_value, operation, static

Axes: TypeAlias = "int | Sequence[int] | None"
Sizes: TypeAlias = "int | Dim | Sequence[int | Dim]"


@operation
def asarray(data: Any, dtype: DTypeLike | None = None) -> Traced:
    """A traced value of data: arrays, numbers, nested lists of these, or a traced value as it is."""
    if isinstance(data, Traced):
        return data if dtype is None else ops.cast(data, dtype)
    if isinstance(data, list | tuple):
        items = cast("Sequence[Any]", data)
        if any(isinstance(each, Traced) for each in items):
            return ops.stack([asarray(each, dtype) for each in items])
    array: Any = np.asarray(cast(Any, data))
    if dtype is None and array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic):
        dtype = "float32"
    return ops.constant(array, dtype)


# Creation


@operation
def full_like(x: Operand, value: float, dtype: DTypeLike | None = None) -> Traced:
    """One value in the shape of x."""
    operand = asarray(x)
    return ops.full(operand.shape, value, operand.dtype if dtype is None else dtype)


@operation
def arange(start: Any, stop: Any = None, step: float = 1, dtype: DTypeLike | None = None) -> Traced:
    """start, start + step, … below stop; from 0 to the first argument when it is the only one."""
    if stop is None:
        start, stop = 0, start
    numbers = [each for each in (start, stop, step) if not isinstance(each, int)]
    if any(not isinstance(each, float) for each in numbers):
        if start != 0 or step != 1:
            raise LaminaError("arange: with a symbolic size, expected a start of 0 and a step of 1")
        return ops.arange(stop, "int64" if dtype is None else dtype)
    if dtype is None:
        dtype = "float32" if numbers else "int64"
    count = max(0, math.ceil((stop - start) / step))
    positions = ops.arange(count, dtype)
    if (start, step) == (0, 1):
        return positions
    return positions * parse_dtype(dtype).type(step) + parse_dtype(dtype).type(start)


@operation
def linspace(start: float, stop: float, count: int = 50, endpoint: bool = True, dtype: DTypeLike = "float32") -> Traced:
    """`count` numbers from start to stop, or to one step before."""
    return ops.constant(np.linspace(start, stop, count, endpoint), dtype)


@operation
def meshgrid(*vectors: Operand, indexing: str = "xy") -> tuple[Traced, ...]:
    """Each vector along an axis of its own, broadcast to all; the first two exchanged for "xy"."""
    values = [asarray(each) for each in vectors]
    order = list(range(len(values)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    elif indexing not in ("xy", "ij"):
        raise LaminaError(f"meshgrid: expected indexing 'xy' or 'ij', found '{indexing}'")
    shape: list[Any] = [0] * len(values)
    for position, value in zip(order, values, strict=True):
        shape[position] = value.shape[0]
    rows = zip(order, values, strict=True)
    places = [[value.shape[0] if axis == at else 1 for axis in range(len(order))] for at, value in rows]
    return tuple(ops.broadcast_to(ops.reshape(v, place), shape) for v, place in zip(values, places, strict=True))


@operation
def broadcast_arrays(*operands: Operand) -> tuple[Traced, ...]:
    """All operands in the shape that they broadcast to."""
    values = [asarray(each) for each in operands]
    whole: Any = values[0]
    for value in values[1:]:
        whole = ops.where(True, whole, ops.cast(value, whole.dtype))
    return tuple(value if value.shape == whole.shape else ops.broadcast_to(value, whole.shape) for value in values)


@operation
def tri(rows: int, columns: int | None = None, k: int = 0, dtype: DTypeLike = "float32") -> Traced:
    """1 at and below the diagonal, or the k-th one above it, 0 elsewhere."""
    return ops.tril(ops.ones((rows, rows if columns is None else columns), dtype), k)


@operation
def diag(x: Operand, k: int = 0) -> Traced:
    """A matrix with the vector on the k-th diagonal, or that diagonal of a matrix."""
    value = asarray(x)
    if value.ndim == 1:
        size = static(value.shape[0], "diag") + abs(k)
        rows = ops.pad(value, [(max(-k, 0), max(k, 0))])[:, None]
        return ops.where(ops.eye(size, size, k, "bool"), rows, 0)
    if value.ndim != 2:
        raise LaminaError(f"diag: expected a vector or a matrix, found {value.ndim} axes")
    rows, columns = (static(size, "diag") for size in value.shape)
    count = max(0, min(rows + min(k, 0), columns - max(k, 0)))
    first = max(-k, 0) * columns + max(k, 0)
    return ops.take(ops.ravel(value), np.arange(count) * (columns + 1) + first)


# Elements


def unary(summary: str, function: Callable[[Any], Any]) -> Callable[[Any], Traced]:
    """An operation written as a lambda."""
    function.__doc__ = summary
    return operation(function)


def binary(summary: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Traced]:
    """The same for two operands."""
    function.__doc__ = summary
    return operation(function)


def floats(x: Operand) -> Traced:
    """Floats as they are, integers and booleans as f32."""
    value = asarray(x)
    return value if value.dtype.kind not in "iub" else ops.cast(value, "float32")


square = unary("x².", lambda x: asarray(x) * asarray(x))
reciprocal = unary("1 / x.", lambda x: 1.0 / floats(x))
log2 = unary("The logarithm to base 2.", lambda x: ops.log(floats(x)) * (1 / math.log(2)))
log10 = unary("The logarithm to base 10.", lambda x: ops.log(floats(x)) * (1 / math.log(10)))
exp2 = unary("2 to the power of x.", lambda x: ops.exp(floats(x) * math.log(2)))
hypot = binary("√(x² + y²); squares may overflow.", lambda x, y: ops.sqrt(square(x) + square(y)))
trunc = unary("The integral value next to x towards 0.", lambda x: ops.sign(x) * ops.floor(ops.abs(x)))
isfinite = unary("Neither infinite nor NaN.", lambda x: ops.logical_not(ops.bitwise_or(ops.isnan(x), ops.isinf(x))))
logaddexp = binary(
    "log(exp(x) + exp(y)), without overflow.",
    lambda x, y: ops.maximum(x, y) + ops.log1p(ops.exp(-ops.abs(asarray(x) - y))),
)
deg2rad = unary("Degrees as radians.", lambda x: floats(x) * (math.pi / 180))
rad2deg = unary("Radians as degrees.", lambda x: floats(x) * (180 / math.pi))
heaviside = binary(
    "0 below 0, `at_zero` at 0, 1 above.",
    lambda x, at_zero: ops.where(ops.equal(x, 0), at_zero, ops.cast(ops.greater(x, 0), asarray(x).dtype)),
)
logical_and = binary("And of whether elements are not 0.", lambda x, y: ops.bitwise_and(truth(x), truth(y)))
logical_or = binary("Or of whether elements are not 0.", lambda x, y: ops.bitwise_or(truth(x), truth(y)))
logical_xor = binary("Whether exactly one element is not 0.", lambda x, y: ops.bitwise_xor(truth(x), truth(y)))
logical_not = unary("Whether an element is 0.", lambda x: ops.logical_not(truth(x)))


def truth(x: Operand) -> Traced:
    """Whether elements are not 0."""
    return ops.cast(asarray(x), "bool")


@operation
def nan_to_num(x: Operand, nan: float = 0.0) -> Traced:
    """x with NaN replaced, and infinities by the largest finite numbers."""
    value = asarray(x)
    if value.dtype.kind != "f":
        return value
    bounds = np.finfo(cast(Any, value.dtype))
    return ops.where(ops.isnan(value), nan, ops.clip(value, float(bounds.min), float(bounds.max)))


# Reductions with NumPy's defaults: over all elements


def _flat_by_default(name: str) -> Callable[..., Traced]:
    function = getattr(ops, name)

    @operation
    def call(x: Operand, axis: int | None = None, **options: Any) -> Traced:
        return function(ops.ravel(asarray(x)), 0, **options) if axis is None else function(x, axis, **options)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{function.__doc__} Without an axis, of all elements in a row."
    return call


cumsum = _flat_by_default("cumsum")
cumprod = _flat_by_default("cumprod")
argmax = _flat_by_default("argmax")
argmin = _flat_by_default("argmin")


@operation
def prod(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The product along axes; booleans are 0 and 1."""
    value = asarray(x)
    return ops.prod(ops.cast(value, "int64") if value.dtype.kind == "b" else value, axis, keepdims)


@operation
def ptp(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The largest element less the smallest."""
    return ops.max(x, axis, keepdims) - ops.min(x, axis, keepdims)


@operation
def count_nonzero(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """How many elements are not 0."""
    return ops.sum(truth(x), axis, keepdims)


@operation
def average(x: Operand, axis: Axes = None, weights: Operand | None = None) -> Traced:
    """The mean, weighted if there are weights of the same shape."""
    if weights is None:
        return ops.mean(x, axis)
    return ops.sum(asarray(x) * weights, axis) / ops.sum(weights, axis)


@operation
def norm(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The square root of the sum of squares."""
    return ops.sqrt(ops.sum(square(floats(x)), axis, keepdims))


# Shapes


@operation
def repeat(x: Operand, repeats: int, axis: int | None = None) -> Traced:
    """Every element along an axis several times in a row; without an axis, of all elements in a row."""
    return ops.repeat(ops.ravel(asarray(x)), repeats, 0) if axis is None else ops.repeat(x, repeats, axis)


@operation
def roll(x: Operand, shift: int, axis: int | None = None) -> Traced:
    """x shifted along an axis, or with all elements in a row."""
    if axis is not None:
        return ops.roll(x, shift, axis)
    value = asarray(x)
    return ops.reshape(ops.roll(ops.ravel(value), shift, 0), value.shape)


@operation
def take(x: Operand, indices: Operand, axis: int | None = None) -> Traced:
    """Slices at positions along an axis, or of all elements in a row; positions outside are clamped."""
    return ops.take(ops.ravel(asarray(x)), indices, 0) if axis is None else ops.take(x, indices, axis)


@operation
def concatenate(operands: Sequence[Operand], axis: int | None = 0) -> Traced:
    """Operands one after the other along an axis, or all their elements in a row."""
    if axis is None:
        return ops.concatenate([ops.ravel(asarray(each)) for each in operands])
    return ops.concatenate(operands, axis)


def at_least(x: Operand, rank: int) -> Traced:
    """x with further axes of size 1 in front, up to a rank."""
    value = asarray(x)
    return value if value.ndim >= rank else ops.reshape(value, (*(1,) * (rank - value.ndim), *value.shape))


atleast_1d = unary("x with at least one axis.", lambda x: at_least(x, 1))
atleast_2d = unary("x with at least two axes.", lambda x: at_least(x, 2))
vstack = unary(
    "Rows, or matrices, one below the other.",
    lambda operands: ops.concatenate([at_least(each, 2) for each in operands], 0),
)
hstack = unary(
    "Operands side by side: along the second axis, vectors along the first.",
    lambda operands: ops.concatenate(
        [at_least(each, 1) for each in operands], min(1, at_least(operands[0], 1).ndim - 1)
    ),
)
column_stack = unary("Vectors as columns.", lambda operands: ops.stack(operands, 1))
flipud = unary("The first axis reversed.", lambda x: ops.flip(x, 0))
fliplr = unary("The second axis reversed.", lambda x: ops.flip(x, 1))


@operation
def pad(x: Operand, widths: Any, mode: str = "constant", constant_values: Operand = 0) -> Traced:
    """x with more elements: (before, after) for all axes or for each; constant, edge or reflect."""
    value = asarray(x)
    pairs = np.broadcast_to(np.asarray(widths), (value.ndim, 2))
    return ops.pad(value, [(int(low), int(high)) for low, high in pairs], constant_values, mode)


@operation
def diff(x: Operand, axis: int = -1) -> Traced:
    """The differences of neighbors along an axis."""
    value = ops.moveaxis(asarray(x), axis, -1)
    return ops.moveaxis(value[..., 1:] - value[..., :-1], -1, axis)


# Products


@operation
def dot(x: Operand, y: Operand) -> Traced:
    """NumPy's dot: over the last axis of x and the second to last of y (the only one of a vector)."""
    left, right = asarray(x), asarray(y)
    if not left.ndim or not right.ndim:
        return left * right
    return tensordot(left, right, ([left.ndim - 1], [max(right.ndim - 2, 0)]))


@operation
def tensordot(x: Operand, y: Operand, axes: Any = 2) -> Traced:
    """The sum of products over axes of both: the last of x and the first of y, or two lists."""
    left, right = asarray(x), asarray(y)
    if isinstance(axes, int):
        axes = (list(range(left.ndim - axes, left.ndim)), list(range(axes)))
    first, second = ([each] if isinstance(each, int) else list(each) for each in axes)
    return ops.dot_general(
        left,
        right,
        lhs_contracting_dimensions=[axis % left.ndim for axis in first],
        rhs_contracting_dimensions=[axis % right.ndim for axis in second],
    )


outer = binary(
    "All products of an element of each, as a matrix.",
    lambda x, y: ops.ravel(asarray(x))[:, None] * ops.ravel(asarray(y))[None, :],
)
inner = binary("The sum of products over the last axes.", lambda x, y: tensordot(x, y, ([-1], [-1])))
vdot = binary("The sum of products of all elements.", lambda x, y: dot(ops.ravel(asarray(x)), ops.ravel(asarray(y))))


@operation
def trace(x: Operand) -> Traced:
    """The sum of the diagonal of a matrix."""
    return ops.sum(diag(x))


# Updates of parts


class IndexUpdates:
    """`x.at[index]`: what gives x with the elements at an index changed."""

    def __init__(self, x: Traced):
        self._x = x

    def __getitem__(self, index: Any) -> IndexUpdate:
        return IndexUpdate(self._x, index)


class IndexUpdate:
    """Copies of a tensor in which the elements at an index are other ones.

    The index is as for reading: ints, slices, None, Ellipsis and integer tensors, positions outside are clamped. Of
    several assignments to one element the last counts; sums take all.
    """

    def __init__(self, x: Traced, index: Any):
        self._x = x
        self._index = index

    def get(self) -> Traced:
        """The elements."""
        return self._x[self._index]

    def set(self, values: Operand) -> Traced:
        """With `values` in their place."""
        return self._combined("assign", values)

    def add(self, values: Operand) -> Traced:
        """With `values` added to them."""
        return self._combined("add", values)

    def multiply(self, values: Operand) -> Traced:
        """Multiplied by `values`."""
        return self._combined("multiply", values)

    def min(self, values: Operand) -> Traced:
        """At most `values`."""
        return self._combined("minimum", values)

    def max(self, values: Operand) -> Traced:
        """At least `values`."""
        return self._combined("maximum", values)

    def _combined(self, kind: str, values: Operand) -> Traced:
        return _scatter(kind, self._x, self._index, values)


@operation
def _scatter(kind: str, x: Traced, index: Any, values: Operand) -> Traced:
    builder = active_tracer().builder
    if isinstance(index, Traced) and index.dtype.kind in "iu":
        return _scatter_rows(kind, x, index, values)
    box = _box(x.shape, index)
    if box is not None:
        return _update_box(kind, x, index, box, values)
    shape = [static(size, "at[]") for size in x.shape]
    count = math.prod(shape)
    positions = ops.reshape(ops.arange(count), shape)[index]
    updates = ops.broadcast_to(Traced(builder.value(*_typed(values, x))), positions.shape)
    result = builder.scatter(
        kind,
        as_value(ops.ravel(x)),
        as_value(ops.ravel(positions)),
        as_value(ops.ravel(updates)),
        inserted_window_dims=(0,),
        scatter_dims_to_operand_dims=(0,),
        index_vector_dim=1,
    )
    return ops.reshape(Traced(result), shape)


Box: TypeAlias = "tuple[list[int], list[Dim]]"
"""Starts and sizes along all axes."""


def _box(shape: Sequence[Dim], index: Any) -> Box | None:
    """The part that an index of ints and of slices with bounds takes; None for any other index."""
    keys: list[Any] = list(cast("tuple[Any, ...]", index)) if isinstance(index, tuple) else [index]
    if any(isinstance(key, bool) or not isinstance(key, int | np.integer | slice | EllipsisType) for key in keys):
        return None
    ellipses = [place for place, key in enumerate(keys) if key is Ellipsis]
    whole = [slice(None)] * (len(shape) - len(keys) + len(ellipses))
    place = ellipses[0] if ellipses else len(keys)
    keys = [*keys[:place], *whole, *keys[place + 1 :]]
    if len(ellipses) > 1 or len(keys) != len(shape):
        return None
    starts: list[int] = []
    sizes: list[Dim] = []
    for size, key in zip(shape, keys, strict=True):
        if isinstance(key, slice) and key == slice(None):
            start, count = 0, size
        elif not isinstance(size, int):
            return None
        elif isinstance(key, slice):
            bounds: list[Any] = [key.start, key.stop, key.step]  # pyright: ignore[reportUnknownMemberType]
            if bounds[2] not in (None, 1) or any(not isinstance(each, int | None) for each in bounds):
                return None
            start, stop, _ = key.indices(size)  # pyright: ignore[reportUnknownMemberType]
            count = max(0, stop - start)
        elif -size <= key < size:
            start, count = int(key) % size, 1
        else:
            return None
        starts.append(start)
        sizes.append(count)
    return starts, sizes


def _update_box(kind: str, x: Traced, index: Any, box: Box, values: Operand) -> Traced:
    """Where the elements lie side by side along all axes, each once."""
    builder = active_tracer().builder
    before = x[index]
    updates = ops.broadcast_to(Traced(builder.value(*_typed(values, x))), before.shape)
    if kind != "assign":
        updates = Traced(builder.create(kind, [as_value(before), as_value(updates)]))
    starts, sizes = box
    if 0 in sizes:
        return x
    update = as_value(ops.reshape(updates, sizes))
    return Traced(builder.dynamic_update_slice(as_value(x), update, builder.constant(np.array(starts, np.int64))))


def _scatter_rows(kind: str, x: Traced, index: Traced, values: Operand) -> Traced:
    """At positions along the first axis, by whole slices."""
    builder = active_tracer().builder
    size = builder.dimension(as_value(x), 0)
    positions = builder.clamp(0, shapes.from_start(as_value(index), size), builder.subtract(size, 1))
    updates = ops.broadcast_to(Traced(builder.value(*_typed(values, x))), (*index.shape, *x.shape[1:]))
    result = builder.scatter(
        kind,
        as_value(x),
        positions,
        as_value(updates),
        update_window_dims=range(index.ndim, updates.ndim),
        inserted_window_dims=(0,),
        scatter_dims_to_operand_dims=(0,),
        index_vector_dim=index.ndim,
    )
    return Traced(result)


def _typed(values: Operand, x: Traced) -> tuple[Any, Any]:
    """What the builder takes for data in the dtype of x."""
    if isinstance(values, Traced):
        return as_value(values), None
    return np.asarray(values).astype(x.dtype), None
