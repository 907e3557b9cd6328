"""Functions of traced values, with NumPy's names and conventions where NumPy has them.

Operands are traced values, arrays (which become constants) and numbers (which take the other operand's dtype). Two
dtypes are never mixed silently: convert with `astype`. Every function raises LaminaError, naming the calling line, for
operands that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias
from typing import cast as cast_type

import numpy as np
from xdsl.dialects.builtin import f32, i1, i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.types import dtype_of, element_type_of, is_boolean, is_float
from lamina.frontends.python import arranging, control, neural, pooling, shapes, sorting
from lamina.frontends.python import einsum as sums
from lamina.frontends.python import linear as products
from lamina.frontends.python.specs import DTypeLike, parse_dtype
from lamina.frontends.python.tracer import (
    Operand,
    Traced,
    active_tracer,
    as_value,
    operation,
    plain,
    plains,
    static,
)

Axes: TypeAlias = "int | Sequence[int] | None"
"""One axis, several, or None for all; negative ones count from the end."""

cond = control.cond
while_loop = control.while_loop
scan = control.scan
fori_loop = control.fori_loop
matmul = products.matmul
einsum = sums.einsum
linear = neural.linear
conv = pooling.conv
conv_transpose = pooling.conv_transpose
max_pool = pooling.max_pool
avg_pool = pooling.avg_pool
resize = pooling.resize
eye = arranging.eye
moveaxis = arranging.moveaxis
ones = arranging.ones
ones_like = arranging.ones_like
ravel = arranging.ravel
repeat = arranging.repeat
roll = arranging.roll
take_along_axis = arranging.take_along_axis
tile = arranging.tile
tril = arranging.tril
triu = arranging.triu
zeros = arranging.zeros
zeros_like = arranging.zeros_like
argsort = sorting.argsort
sort = sorting.sort
top_k = sorting.top_k
attention = neural.attention
gelu = neural.gelu
softmax = neural.softmax
log_softmax = neural.log_softmax
layer_norm = neural.layer_norm
rms_norm = neural.rms_norm
batch_norm = neural.batch_norm
element_count = neural.element_count
elu = neural.elu
group_norm = neural.group_norm
hard_sigmoid = neural.hard_sigmoid
hard_swish = neural.hard_swish
leaky_relu = neural.leaky_relu
logsumexp = neural.logsumexp
merge_heads = neural.merge_heads
reach = neural.reach
relu6 = neural.relu6
rotary = neural.rotary
softplus = neural.softplus
split_heads = neural.split_heads


def _unary(name: str, summary: str) -> Callable[[Operand], Traced]:
    @operation
    def function(x: Operand) -> Traced:
        return Traced(active_tracer().builder.create(name, (as_value(x),)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary
    return function


def _binary(name: str, summary: str) -> Callable[[Operand, Operand], Traced]:
    @operation
    def function(x: Operand, y: Operand) -> Traced:
        builder = active_tracer().builder
        return Traced(builder.create(name, builder.values(*plains((x, y)))))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary
    return function


def _comparison(direction: str, summary: str) -> Callable[[Operand, Operand], Traced]:
    @operation
    def function(x: Operand, y: Operand) -> Traced:
        builder = active_tracer().builder
        return Traced(builder.compare(direction, *plains((x, y))))

    function.__doc__ = summary
    return function


abs = _unary("abs", "The absolute value.")
negative = _unary("negate", "The value with the other sign.")
sign = _unary("sign", "-1, 0 or 1.")
exp = _unary("exp", "The exponential.")
expm1 = _unary("expm1", "exp(x) - 1, exact for small x.")
log = _unary("log", "The natural logarithm.")
log1p = _unary("log1p", "log(1 + x), exact for small x.")
sqrt = _unary("sqrt", "The square root.")
rsqrt = _unary("rsqrt", "One over the square root.")
sin = _unary("sin", "The sine.")
cos = _unary("cos", "The cosine.")
tan = _unary("tan", "The tangent.")
arcsin = _unary("asin", "The inverse sine.")
arccos = _unary("acos", "The inverse cosine.")
arctan = _unary("atan", "The inverse tangent.")
sinh = _unary("sinh", "The hyperbolic sine.")
cosh = _unary("cosh", "The hyperbolic cosine.")
tanh = _unary("tanh", "The hyperbolic tangent.")
arcsinh = _unary("asinh", "The inverse hyperbolic sine.")
arccosh = _unary("acosh", "The inverse hyperbolic cosine.")
arctanh = _unary("atanh", "The inverse hyperbolic tangent.")
erf = _unary("erf", "The error function.")
sigmoid = _unary("logistic", "1 / (1 + exp(-x)).")
floor = _unary("floor", "The largest integral value that is not above.")
ceil = _unary("ceil", "The smallest integral value that is not below.")
round = _unary("round_nearest_even", "The nearest integral value, ties to even.")
logical_not = _unary("not", "Not, of each bit for integers.")
isnan = _unary("is_nan", "Whether an element is NaN.")
relu = _unary("relu", "max(x, 0).")
silu = _unary("silu", "x · sigmoid(x).")

add = _binary("add", "x + y.")
subtract = _binary("subtract", "x - y.")
multiply = _binary("multiply", "x · y.")
power = _binary("power", "x to the power of y.")
maximum = _binary("maximum", "The larger element; NaN where either is.")
minimum = _binary("minimum", "The smaller element; NaN where either is.")
arctan2 = _binary("atan2", "The angle of the point (y, x), here arctan2(y, x).")
fmod = _binary("remainder", "The remainder with the sign of x, as C's.")
bitwise_and = _binary("and", "And, of each bit for integers.")
bitwise_or = _binary("or", "Or, of each bit for integers.")
bitwise_xor = _binary("xor", "Exclusive or, of each bit for integers.")
left_shift = _binary("shift_left", "x shifted to the left by y bits.")
right_shift = _binary("shift_right", "x shifted to the right by y bits, the sign kept.")

equal = _comparison("EQ", "x == y.")
not_equal = _comparison("NE", "x != y.")
less = _comparison("LT", "x < y.")
less_equal = _comparison("LE", "x <= y.")
greater = _comparison("GT", "x > y.")
greater_equal = _comparison("GE", "x >= y.")


def _two(x: Operand, y: Operand) -> tuple[SSAValue, SSAValue]:
    left, right = active_tracer().builder.values(*plains((x, y)))
    return left, right


@operation
def divide(x: Operand, y: Operand) -> Traced:
    """x / y of floats; integers have `floor_divide`."""
    left, right = _two(x, y)
    builder = active_tracer().builder
    if not is_float(builder.element_type(left)):
        raise LaminaError(
            f"divide: expected floats, found {dtype_of(builder.element_type(left))}",
            hints=("use // for integers, or convert with .astype",),
        )
    return Traced(builder.divide(left, right))


@operation
def floor_divide(x: Operand, y: Operand) -> Traced:
    """x // y, rounded down as in Python."""
    left, right = _two(x, y)
    builder = active_tracer().builder
    if is_float(builder.element_type(left)):
        # The multiple below x, not the rounded-down quotient: 1.0 // 0.1 is 9.
        below = builder.subtract(left, _modulo(left, right))
        quotient = builder.round_nearest_even(builder.divide(below, right))
        is_zero = builder.compare("EQ", right, 0)
        return Traced(builder.select(is_zero, builder.divide(left, right), quotient))
    quotient = builder.divide(left, right)
    exact = builder.compare("EQ", builder.multiply(quotient, right), left)
    negative = builder.xor(builder.compare("LT", left, 0), builder.compare("LT", right, 0))
    inexact = builder.and_(builder.not_(exact), negative)
    return Traced(builder.subtract(quotient, builder.cast(inexact, builder.element_type(left))))


@operation
def modulo(x: Operand, y: Operand) -> Traced:
    """x % y with the sign of y, as in Python."""
    return Traced(_modulo(*_two(x, y)))


def _modulo(left: SSAValue, right: SSAValue) -> SSAValue:
    builder = active_tracer().builder
    rest = builder.remainder(left, right)
    other_sign = builder.xor(builder.compare("LT", rest, 0), builder.compare("LT", right, 0))
    wrong = builder.and_(builder.compare("NE", rest, 0), other_sign)
    return builder.select(wrong, builder.add(rest, right), rest)


@operation
def isinf(x: Operand) -> Traced:
    """Whether an element is infinite."""
    return Traced(active_tracer().builder.is_inf(as_value(x)))


@operation
def where(condition: Operand, x: Operand, y: Operand) -> Traced:
    """x where the condition holds, else y."""
    return Traced(active_tracer().builder.select(plain(condition), *plains((x, y))))


@operation
def clip(x: Operand, lower: Operand, upper: Operand) -> Traced:
    """x, at least `lower` and at most `upper`."""
    builder = active_tracer().builder
    operand, low, high = builder.values(*plains((x, lower, upper)))
    return Traced(builder.clamp(low, operand, high))


@operation
def cast(x: Operand, dtype: DTypeLike) -> Traced:
    """The elements converted: towards zero and saturating from floats to integers, `!= 0` to booleans."""
    return Traced(active_tracer().builder.cast(plain(x), element_type_of(parse_dtype(dtype))))


@operation
def bitcast(x: Operand, dtype: DTypeLike) -> Traced:
    """The bits of the elements as another dtype of the same width."""
    return Traced(active_tracer().builder.bitcast(plain(x), element_type_of(parse_dtype(dtype))))


@operation
def constant(data: Any, dtype: DTypeLike | None = None) -> Traced:
    """A constant from an array, a number, or nested lists of numbers."""
    array = np.asarray(data) if dtype is None else np.asarray(data).astype(parse_dtype(dtype))
    return Traced(active_tracer().builder.constant(array))


# Shapes


@operation
def reshape(x: Operand, shape: int | Dim | Sequence[int | Dim]) -> Traced:
    """The elements under another shape; sizes are numbers, expressions from `.shape`, and at most one -1."""
    return Traced(shapes.reshape(as_value(x), _shape(shape)))


def _shape(shape: Any) -> tuple[Dim, ...]:
    entries: list[Any] = list(cast_type("Sequence[Any]", shape)) if isinstance(shape, tuple | list) else [shape]
    return tuple(int(entry) if shapes.is_number(entry) else entry for entry in entries)


@operation
def broadcast_to(x: Operand, shape: int | Dim | Sequence[int | Dim]) -> Traced:
    """x under a shape that it broadcasts to."""
    return Traced(shapes.broadcast_to(as_value(x), _shape(shape)))


@operation
def transpose(x: Operand, axes: Sequence[int] | None = None) -> Traced:
    """The axes in another order, reversed when none is given."""
    builder = active_tracer().builder
    value = as_value(x)
    rank = builder.rank(value)
    order = range(rank)[::-1] if axes is None else [builder.axis(value, axis) for axis in axes]
    return Traced(builder.transpose(value, order))


@operation
def swapaxes(x: Operand, first: int, second: int) -> Traced:
    """Two axes exchanged."""
    builder = active_tracer().builder
    value = as_value(x)
    order = list(range(builder.rank(value)))
    first, second = builder.axis(value, first), builder.axis(value, second)
    order[first], order[second] = order[second], order[first]
    return Traced(builder.transpose(value, order))


@operation
def expand_dims(x: Operand, axis: int) -> Traced:
    """x with a new axis of size 1."""
    value = as_value(x)
    shape = active_tracer().builder.shape(value)
    position = axis if axis >= 0 else len(shape) + 1 + axis
    if not 0 <= position <= len(shape):
        raise LaminaError(f"axis: expected a number within [{-len(shape) - 1}, {len(shape)}], found {axis}")
    return Traced(shapes.reshape(value, (*shape[:position], 1, *shape[position:])))


@operation
def squeeze(x: Operand, axis: Axes = None) -> Traced:
    """x without axes of size 1: those given, or all."""
    builder = active_tracer().builder
    value = as_value(x)
    shape = builder.shape(value)
    axes = [a for a, size in enumerate(shape) if size == 1] if axis is None else _axes(value, axis)
    for each in axes:
        if isinstance(shape[each], int) and shape[each] != 1:
            raise LaminaError(f"squeeze: expected size 1 of axis {each}, found {shape[each]}")
    return Traced(shapes.without_axes(value, axes))


@operation
def index(x: Traced, key: Any) -> Traced:
    """`x[key]`: ints, slices, None, Ellipsis and integer tensors, as in NumPy; positions outside are clamped."""
    return Traced(shapes.index(x, key))


@operation
def take(x: Operand, indices: Operand, axis: int = 0) -> Traced:
    """Slices at positions along an axis; negative positions count from the end, those outside are clamped."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(shapes.take(value, as_value(indices), builder.axis(value, axis)))


@operation
def gather(x: Operand, indices: Operand, **dimension_numbers: Any) -> Traced:
    """`graph.gather` with StableHLO's dimension numbers as keywords; positions are clamped."""
    return Traced(active_tracer().builder.gather(plain(x), plain(indices), **dimension_numbers))


@operation
def concatenate(operands: Sequence[Operand], axis: int = 0) -> Traced:
    """Operands one after the other along an axis."""
    builder = active_tracer().builder
    values = builder.values(*plains(operands))
    if not values:
        raise LaminaError("concatenate: expected at least one operand")
    return Traced(builder.concatenate(values, builder.axis(values[0], axis)))


@operation
def stack(operands: Sequence[Operand], axis: int = 0) -> Traced:
    """Operands one after the other along a new axis."""
    return concatenate([expand_dims(operand, axis) for operand in operands], axis)


@operation
def split(x: Operand, parts: int | Sequence[int], axis: int = 0) -> tuple[Traced, ...]:
    """x cut along an axis: into equal parts, or at the positions given, as NumPy's."""
    builder = active_tracer().builder
    value = as_value(x)
    axis = builder.axis(value, axis)
    if isinstance(parts, int):
        size = static(builder.shape(value)[axis], "split")
        if parts < 1 or size % parts:
            raise LaminaError(f"split: expected a number of parts that divides {size}, found {parts}")
        parts = range(size // parts, size, size // parts) if size else (0,) * (parts - 1)
    bounds = [0, *parts, shapes.MAX_SIZE]
    rank = builder.rank(value)
    pieces: list[Traced] = []
    for low, high in pairwise(bounds):
        starts, limits = [0] * rank, [shapes.MAX_SIZE] * rank
        starts[axis], limits[axis] = low, high
        pieces.append(Traced(builder.slice(value, starts, limits)))
    return tuple(pieces)


@operation
def flip(x: Operand, axis: Axes = None) -> Traced:
    """x with the order of the elements along axes reversed."""
    value = as_value(x)
    return Traced(active_tracer().builder.reverse(value, _axes(value, axis)))


@operation
def pad(x: Operand, widths: Sequence[tuple[int, int]], value: Operand = 0, mode: str = "constant") -> Traced:
    """x with (before, after) more elements per axis: a constant, edge or reflect; negative numbers crop."""
    operand = as_value(x)
    low, high = [low for low, _ in widths], [high for _, high in widths]
    return Traced(active_tracer().builder.pad(operand, plain(value), low, high, mode=mode))


@operation
def dynamic_slice(x: Operand, starts: Operand, sizes: Sequence[int]) -> Traced:
    """A part of static sizes at positions computed at run time (an i64 vector), which are clamped to fit."""
    builder = active_tracer().builder
    value = as_value(x)
    axes = range(builder.rank(value))
    return Traced(
        builder.gather(
            value,
            plain(starts),
            slice_sizes=sizes,
            offset_dims=axes,
            start_index_map=axes,
            index_vector_dim=0,
        )
    )


@operation
def dynamic_update_slice(x: Operand, update: Operand, starts: Operand) -> Traced:
    """x with a part replaced, at positions computed at run time (an i64 vector), which are clamped to fit."""
    builder = active_tracer().builder
    operand, part = builder.values(*plains((x, update)))
    return Traced(builder.dynamic_update_slice(operand, part, plain(starts)))


@operation
def arange(count: int | Dim, dtype: DTypeLike = "int64") -> Traced:
    """0, 1, …, count - 1."""
    return iota((count,), 0, dtype)


@operation
def iota(shape: Sequence[int | Dim], axis: int = 0, dtype: DTypeLike = "int64") -> Traced:
    """A tensor whose elements are their positions along an axis."""
    builder = active_tracer().builder
    sizes = _shape(shape)
    element_type = element_type_of(parse_dtype(dtype))
    numbers = [size for size in sizes if isinstance(size, int)]
    if len(numbers) == len(sizes):
        return Traced(builder.iota(element_type, numbers, axis))
    return Traced(builder.dynamic_iota(element_type, shapes.vector_of(sizes), axis))


@operation
def full(shape: int | Dim | Sequence[int | Dim], value: float, dtype: DTypeLike = "float32") -> Traced:
    """A tensor of one value."""
    builder = active_tracer().builder
    return Traced(shapes.broadcast_to(builder.constant(value, element_type_of(parse_dtype(dtype))), _shape(shape)))


@operation
def one_hot(indices: Operand, depth: int, dtype: DTypeLike = "float32") -> Traced:
    """1 at each index along a new last axis, 0 elsewhere (everywhere for an index outside)."""
    builder = active_tracer().builder
    value = as_value(indices)
    positions = builder.iota(builder.element_type(value), [depth])
    hits = builder.compare("EQ", shapes.reshape(value, (*builder.shape(value), 1)), positions)
    return Traced(builder.cast(hits, element_type_of(parse_dtype(dtype))))


@operation
def shape_of(x: Operand) -> Traced:
    """The sizes as an i64 vector."""
    return Traced(active_tracer().builder.shape_of(plain(x)))


# Reductions


def _axes(value: SSAValue, axis: Axes) -> list[int]:
    builder = active_tracer().builder
    if axis is None:
        return list(range(builder.rank(value)))
    return [builder.axis(value, each) for each in ((axis,) if isinstance(axis, int) else axis)]


def _reduction(kind: str, logical_kind: str | None, summary: str) -> Callable[..., Traced]:
    @operation
    def function(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
        builder = active_tracer().builder
        value = as_value(x)
        name = kind
        if is_boolean(builder.element_type(value)):
            if logical_kind is None:
                value = builder.cast(value, i64)
            else:
                name = logical_kind
        return Traced(builder.reduce(name, value, _axes(value, axis), keepdims))

    function.__doc__ = summary
    return function


sum = _reduction("add", None, "The sum along axes; booleans are counted.")
prod = _reduction("multiply", "and", "The product along axes.")
max = _reduction("maximum", "or", "The largest elements along axes; NaN where there is one.")
min = _reduction("minimum", "and", "The smallest elements along axes; NaN where there is one.")


@operation
def any(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """Whether any element along axes is not 0."""
    value = active_tracer().builder.cast(plain(x), i1)
    return Traced(active_tracer().builder.reduce("or", value, _axes(value, axis), keepdims))


@operation
def all(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """Whether no element along axes is 0."""
    value = active_tracer().builder.cast(plain(x), i1)
    return Traced(active_tracer().builder.reduce("and", value, _axes(value, axis), keepdims))


def _float_value(x: Operand) -> SSAValue:
    """The operand, integers and booleans as f32."""
    value = as_value(x)
    builder = active_tracer().builder
    return value if is_float(builder.element_type(value)) else builder.cast(value, f32)


@operation
def mean(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The arithmetic mean along axes; of integers in f32."""
    value = _float_value(x)
    return Traced(active_tracer().builder.mean(value, _axes(value, axis), keepdims))


@operation
def var(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The mean of the squared deviations from the mean along axes; of integers in f32."""
    builder = active_tracer().builder
    value = _float_value(x)
    axes = _axes(value, axis)
    wide = builder.widen(value)
    centered = builder.subtract(wide, builder.mean(wide, axes, True))
    result = builder.mean(builder.multiply(centered, centered), axes, keepdims)
    return Traced(builder.cast(result, builder.element_type(value)))


@operation
def std(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The square root of the variance along axes."""
    return sqrt(var(x, axis, keepdims))


@operation
def argmax(x: Operand, axis: int = -1, keepdims: bool = False, select_last: bool = False) -> Traced:
    """The positions (int64) of the largest elements along an axis; of several the first, or the last."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.arg_reduce("maximum", value, builder.axis(value, axis), keepdims, select_last))


@operation
def argmin(x: Operand, axis: int = -1, keepdims: bool = False, select_last: bool = False) -> Traced:
    """The positions (int64) of the smallest elements along an axis; of several the first, or the last."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.arg_reduce("minimum", value, builder.axis(value, axis), keepdims, select_last))


def _cumulative(kind: str, summary: str) -> Callable[..., Traced]:
    @operation
    def function(x: Operand, axis: int, exclusive: bool = False, reverse: bool = False) -> Traced:
        builder = active_tracer().builder
        value = as_value(x)
        return Traced(builder.cumulative(kind, value, builder.axis(value, axis), exclusive, reverse))

    function.__doc__ = summary
    return function


cumsum = _cumulative("add", "The running sum along an axis.")
cumprod = _cumulative("multiply", "The running product along an axis.")
cummax = _cumulative("maximum", "The running maximum along an axis.")
cummin = _cumulative("minimum", "The running minimum along an axis.")


@operation
def dot_general(x: Operand, y: Operand, **dimensions: Any) -> Traced:
    """`graph.dot_general` with StableHLO's dimensions and `dtype` as keywords."""
    dtype = dimensions.pop("dtype", None)
    element_type = None if dtype is None else element_type_of(parse_dtype(dtype))
    return Traced(active_tracer().builder.dot_general(plain(x), plain(y), element_type=element_type, **dimensions))
