"""Tensors made from sizes, and elements put elsewhere: functions of NumPy that are made of other operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.types import element_type_of
from lamina.frontends.python import shapes
from lamina.frontends.python.specs import DTypeLike, parse_dtype
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, as_value, operation


def _filled(name: str, value: float) -> tuple[Callable[..., Traced], Callable[..., Traced]]:
    @operation
    def function(shape: int | Dim | Sequence[int | Dim], dtype: DTypeLike = "float32") -> Traced:
        sizes: Any = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
        builder = active_tracer().builder
        return Traced(shapes.broadcast_to(builder.constant(value, element_type_of(parse_dtype(dtype))), sizes))

    @operation
    def like(x: Operand) -> Traced:
        builder = active_tracer().builder
        operand = as_value(x)
        filler = builder.constant(value, builder.element_type(operand))
        return Traced(shapes.broadcast_to(filler, builder.shape(operand)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A tensor of {name}."
    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f"{name.capitalize()} in the shape and dtype of x."
    return function, like


zeros, zeros_like = _filled("zeros", 0)
ones, ones_like = _filled("ones", 1)


def _rows_and_columns(rows: Dim, columns: Dim) -> tuple[SSAValue, SSAValue]:
    """The positions as [rows, 1] and [1, columns]."""
    builder = active_tracer().builder
    positions: list[SSAValue] = []
    for size, shape, dimension in ((rows, (rows, 1), 0), (columns, (1, columns), 1)):
        if isinstance(size, int):
            numbers = [each for each in shape if isinstance(each, int)]
            positions.append(builder.iota(i64, numbers, dimension))
        else:
            positions.append(builder.dynamic_iota(i64, shapes.vector_of(shape), dimension))
    return positions[0], positions[1]


@operation
def eye(rows: int | Dim, columns: int | Dim | None = None, k: int = 0, dtype: DTypeLike = "float32") -> Traced:
    """A matrix with 1 on the diagonal, or on the k-th one above it, and 0 elsewhere."""
    builder = active_tracer().builder
    first, second = _rows_and_columns(rows, rows if columns is None else columns)
    hits = builder.compare("EQ", second, builder.add(first, k))
    return Traced(builder.cast(hits, element_type_of(parse_dtype(dtype))))


def _triangle(name: str, direction: str, which: str) -> Callable[..., Traced]:
    @operation
    def function(x: Operand, k: int = 0) -> Traced:
        builder = active_tracer().builder
        value = as_value(x)
        if builder.rank(value) < 2:
            raise LaminaError(f"{name}: expected at least two axes, found {list(builder.shape(value))}")
        rows, columns = _rows_and_columns(*builder.shape(value)[-2:])
        kept = builder.compare(direction, columns, builder.add(rows, k))
        return Traced(builder.select(kept, value, builder.constant(0, builder.element_type(value))))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"x with 0 {which} the diagonal of the last two axes, or the k-th one above it."
    return function


tril = _triangle("tril", "LE", "above")
triu = _triangle("triu", "GE", "below")


@operation
def moveaxis(x: Operand, source: int | Sequence[int], destination: int | Sequence[int]) -> Traced:
    """Axes moved to other positions, the rest in their order."""
    builder = active_tracer().builder
    value = as_value(x)
    pairs = [(axes,) if isinstance(axes, int) else tuple(axes) for axes in (source, destination)]
    found = [[builder.axis(value, axis) for axis in axes] for axes in pairs]
    if len(found[0]) != len(found[1]) or any(len(set(axes)) != len(axes) for axes in found):
        raise LaminaError(f"moveaxis: expected as many different axes, found {source} and {destination}")
    places = dict(zip(found[1], found[0], strict=True))
    rest = iter([axis for axis in range(builder.rank(value)) if axis not in found[0]])
    order = [places[axis] if axis in places else next(rest) for axis in range(builder.rank(value))]
    return Traced(builder.transpose(value, order))


@operation
def ravel(x: Operand) -> Traced:
    """All elements along one axis."""
    return Traced(shapes.reshape(as_value(x), (-1,)))


@operation
def repeat(x: Operand, repeats: int, axis: int) -> Traced:
    """Every element along an axis several times in a row."""
    builder = active_tracer().builder
    value = as_value(x)
    axis = builder.axis(value, axis)
    return Traced(_copies(value, axis, repeats, axis + 1))


def _copies(value: SSAValue, axis: int, count: int, new_axis: int) -> SSAValue:
    """An axis with copies of itself, or of its elements, by a new axis before or after it."""
    builder = active_tracer().builder
    if count < 0:
        raise LaminaError(f"expected a number of copies of at least 0, found {count}")
    shape = builder.shape(value)
    if not count:
        limits = [0 if each == axis else shapes.MAX_SIZE for each in range(len(shape))]
        return builder.slice(value, (0,) * len(shape), limits)
    wide = shapes.reshape(value, (*shape[:new_axis], 1, *shape[new_axis:]))
    wide = shapes.broadcast_to(wide, (*shape[:new_axis], count, *shape[new_axis:]))
    return shapes.reshape(wide, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))


@operation
def tile(x: Operand, repeats: int | Sequence[int]) -> Traced:
    """Copies of x side by side, as many along each axis as `repeats` says (the last axes when it is shorter)."""
    builder = active_tracer().builder
    value = as_value(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    missing = len(counts) - builder.rank(value)
    if missing > 0:
        value = shapes.reshape(value, (*(1,) * missing, *builder.shape(value)))
    first = builder.rank(value) - len(counts)
    for axis, count in enumerate(counts, first):
        if count != 1:
            value = _copies(value, axis, count, axis)
    return Traced(value)


@operation
def roll(x: Operand, shift: int, axis: int) -> Traced:
    """x shifted along an axis; what leaves at its end enters at its beginning."""
    builder = active_tracer().builder
    value = as_value(x)
    axis = builder.axis(value, axis)
    size = builder.shape(value)[axis]
    if not isinstance(size, int):
        raise LaminaError(f"roll: expected a static size of axis {axis}, found {size}")
    cut = -shift % size if size else 0
    if not cut:
        return Traced(value)
    rank = builder.rank(value)

    def part(low: int, high: int) -> SSAValue:
        starts, limits = [0] * rank, [shapes.MAX_SIZE] * rank
        starts[axis], limits[axis] = low, high
        return builder.slice(value, starts, limits)

    return Traced(builder.concatenate((part(cut, size), part(0, cut)), axis))


@operation
def take_along_axis(x: Operand, indices: Operand, axis: int) -> Traced:
    """For each element of `indices` (as x, but along the axis) the element of x at that position of the axis.

    Negative positions count from the end, those outside are clamped.
    """
    builder = active_tracer().builder
    value, positions = as_value(x), as_value(indices)
    axis = builder.axis(value, axis)
    rank = builder.rank(value)
    if builder.rank(positions) != rank:
        raise LaminaError(f"take_along_axis: expected indices with {rank} axes, found {list(builder.shape(positions))}")
    positions = shapes.from_start(positions, builder.dimension(value, axis))
    others = [each for each in range(rank) if each != axis]
    result = builder.gather(
        value,
        shapes.reshape(positions, (*builder.shape(positions), 1)),
        slice_sizes=(1,) * rank,
        collapsed_slice_dims=(axis,),
        operand_batching_dims=others,
        start_indices_batching_dims=others,
        start_index_map=(axis,),
        index_vector_dim=rank,
    )
    return Traced(result)
