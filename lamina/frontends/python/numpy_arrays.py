"""Further functions of NumPy on elements and arrangements of elements, made of those of `ops`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.frontends.python import numpy_functions as functions
from lamina.frontends.python import ops
from lamina.frontends.python.numpy_functions import (
    Axes,
    asarray,
    at_least,
    binary,
    floats,
    unary,
)
from lamina.frontends.python.specs import DTypeLike
from lamina.frontends.python.tracer import Operand, Traced, operation, static

# Elements

positive = unary("x.", lambda x: asarray(x))
signbit = unary(
    "Whether the sign bit is set, of -0.0 and NaN as well.",
    lambda x: ops.less(_bits(asarray(x)), 0),
)
copysign = binary(
    "|x| with the sign of y.",
    lambda x, y: ops.where(signbit(floats(y)), -ops.abs(floats(x)), ops.abs(floats(x))),
)
cbrt = unary("The cube root.", lambda x: ops.sign(floats(x)) * ops.power(ops.abs(floats(x)), _like(x, 1 / 3)))
float_power = binary("x to the power of y, as floats.", lambda x, y: ops.power(floats(x), floats(y)))
fmax = binary("The larger element, the other one where one is NaN.", lambda x, y: _without_nan(ops.maximum, x, y))
fmin = binary("The smaller element, the other one where one is NaN.", lambda x, y: _without_nan(ops.minimum, x, y))
sinc = unary("sin(πx) / (πx), 1 at 0.", lambda x: _sinc(floats(x)))
isposinf = unary("Whether an element is +∞.", lambda x: ops.equal(floats(x), _like(x, math.inf)))
isneginf = unary("Whether an element is -∞.", lambda x: ops.equal(floats(x), _like(x, -math.inf)))
ldexp = binary("x · 2^y.", lambda x, y: floats(x) * functions.exp2(ops.cast(asarray(y), floats(x).dtype)))
logaddexp2 = binary(
    "log2(2^x + 2^y), without overflow.",
    lambda x, y: ops.maximum(x, y) + functions.log2(1 + functions.exp2(-ops.abs(asarray(x) - y))),
)
gcd = binary("The greatest common divisor.", lambda x, y: _gcd(asarray(x), asarray(y)))
lcm = binary(
    "The least common multiple, 0 where one is 0.",
    lambda x, y: ops.abs(asarray(x) * y) // ops.maximum(_gcd(asarray(x), asarray(y)), _like(x, 1)),
)


def _like(x: Operand, number: float) -> Any:
    """A number in the dtype of a value, as floats where that has integers and the number is a fraction."""
    dtype = asarray(x).dtype
    return np.asarray(number, np.float32 if dtype.kind in "iub" and isinstance(number, float) else dtype)


def _bits(x: Traced) -> Traced:
    if x.dtype.kind in "iu":
        return x
    return ops.bitcast(x, {2: "int16", 4: "int32", 8: "int64"}[x.dtype.itemsize])


def _without_nan(function: Any, x: Operand, y: Operand) -> Traced:
    left, right = asarray(x), asarray(y)
    if left.dtype.kind in "iub":
        return function(left, right)
    return ops.where(ops.isnan(left), right, ops.where(ops.isnan(right), left, function(left, right)))


def _sinc(x: Traced) -> Traced:
    angle = x * math.pi
    at_zero = ops.equal(angle, 0)
    safe = ops.where(at_zero, 1, angle)
    return ops.where(at_zero, 1, ops.sin(safe) / safe)


def _gcd(x: Traced, y: Traced) -> Traced:
    """Euclid's algorithm on all elements at once."""
    left, right = functions.broadcast_arrays(ops.abs(x), ops.abs(y))

    def step(state: Any) -> Any:
        larger, smaller = state
        done = ops.equal(smaller, 0)
        return ops.where(done, larger, smaller), ops.where(done, 0, larger % ops.where(done, 1, smaller))

    return ops.while_loop(lambda state: ops.any(ops.not_equal(state[1], 0)), step, (left, right))[0]


@operation
def divmod(x: Operand, y: Operand) -> tuple[Traced, Traced]:
    """The quotient, rounded down, and the remainder."""
    return ops.floor_divide(x, y), ops.modulo(x, y)


@operation
def isclose(x: Operand, y: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Traced:
    """Whether |x - y| ≤ atol + rtol·|y|; infinities are close to themselves, NaN with `equal_nan`."""
    left, right = floats(x), floats(y)
    near = ops.less_equal(ops.abs(left - right), ops.abs(right) * rtol + atol)
    finite = ops.bitwise_and(functions.isfinite(left), functions.isfinite(right))
    close = ops.bitwise_or(ops.equal(left, right), ops.bitwise_and(finite, near))
    if equal_nan:
        close = ops.bitwise_or(close, ops.bitwise_and(ops.isnan(left), ops.isnan(right)))
    return close


@operation
def allclose(x: Operand, y: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Traced:
    """Whether all elements are close (`isclose`)."""
    return ops.all(isclose(x, y, rtol, atol, equal_nan))


@operation
def array_equal(x: Operand, y: Operand) -> Traced:
    """Whether shapes and all elements are equal."""
    left, right = asarray(x), asarray(y)
    return ops.all(ops.equal(left, right)) if left.shape == right.shape else ops.constant(np.array(False))


@operation
def select(conditions: Sequence[Operand], choices: Sequence[Operand], default: Operand = 0) -> Traced:
    """Of every place the choice whose condition is the first to hold there."""
    if len(conditions) != len(choices):
        raise LaminaError(f"select: expected one choice for each of {len(conditions)} conditions, found {len(choices)}")
    result: Operand = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = ops.where(condition, choice, result)
    return asarray(result)


@operation
def isin(x: Operand, values: Operand) -> Traced:
    """Whether an element is one of the values."""
    return ops.any(ops.equal(asarray(x)[..., None], ops.ravel(asarray(values))), -1)


# Creation


@operation
def empty(shape: Any, dtype: DTypeLike = "float32") -> Traced:
    """Zeros: there are no elements without a value."""
    return ops.zeros(shape, dtype)


@operation
def empty_like(x: Operand) -> Traced:
    """Zeros in the shape and dtype of x."""
    return ops.zeros_like(asarray(x))


@operation
def identity(size: int, dtype: DTypeLike = "float32") -> Traced:
    """The square matrix with ones on the diagonal."""
    return ops.eye(size, size, 0, dtype)


@operation
def logspace(start: float, stop: float, count: int = 50, base: float = 10.0, dtype: DTypeLike = "float32") -> Traced:
    """`count` powers of a base, their exponents evenly from start to stop."""
    return ops.constant(np.logspace(start, stop, count, base=base), dtype)


@operation
def geomspace(start: float, stop: float, count: int = 50, dtype: DTypeLike = "float32") -> Traced:
    """`count` numbers from start to stop, each the one before times one factor."""
    return ops.constant(np.geomspace(start, stop, count), dtype)


def tril_indices(size: int, k: int = 0, columns: int | None = None) -> Any:
    """Rows and columns of a lower triangle, as arrays."""
    return np.tril_indices(size, k, columns)


def triu_indices(size: int, k: int = 0, columns: int | None = None) -> Any:
    """Rows and columns of an upper triangle, as arrays."""
    return np.triu_indices(size, k, columns)


@operation
def vander(x: Operand, count: int | None = None, increasing: bool = False) -> Traced:
    """The powers of a vector's elements as columns, by default the highest first."""
    value = asarray(x)
    columns = static(value.shape[0], "vander") if count is None else count
    powers = [ops.ones_like(value)]
    for _ in range(columns - 1):
        powers.append(powers[-1] * value)
    return ops.stack(powers[:columns] if increasing else powers[:columns][::-1], 1)


# Arrangement


@operation
def atleast_3d(x: Operand) -> Traced:
    """x with at least three axes; a vector becomes the middle one."""
    value = asarray(x)
    if value.ndim >= 3:
        return value
    shape = {0: (1, 1, 1), 1: (1, *value.shape, 1), 2: (*value.shape, 1)}[value.ndim]
    return ops.reshape(value, shape)


dstack = unary("Operands one behind the other, along the third axis.", lambda xs: ops.concatenate(_deep(xs), 2))
matrix_transpose = unary("The last two axes exchanged.", lambda x: ops.swapaxes(x, -1, -2))


def _deep(operands: Sequence[Operand]) -> list[Traced]:
    return [atleast_3d(each) for each in operands]


@operation
def append(x: Operand, values: Operand, axis: int | None = None) -> Traced:
    """x with values behind it along an axis, or both in a row."""
    return functions.concatenate([x, values], axis)


@operation
def array_split(x: Operand, parts: int | Sequence[int], axis: int = 0) -> tuple[Traced, ...]:
    """As `split`; where the parts cannot be equal, the first are longer by one."""
    value = asarray(x)
    if not isinstance(parts, int):
        return ops.split(value, parts, axis)
    whole = static(value.shape[axis], "array_split")
    size, rest = whole // parts, whole % parts
    ends = np.cumsum([size + 1] * rest + [size] * (parts - rest))
    return ops.split(value, [int(end) for end in ends[:-1]], axis)


@operation
def hsplit(x: Operand, parts: int | Sequence[int]) -> tuple[Traced, ...]:
    """`split` along the second axis, of vectors along the first."""
    return ops.split(asarray(x), parts, min(1, asarray(x).ndim - 1))


@operation
def vsplit(x: Operand, parts: int | Sequence[int]) -> tuple[Traced, ...]:
    """`split` along the first axis."""
    return ops.split(asarray(x), parts, 0)


@operation
def dsplit(x: Operand, parts: int | Sequence[int]) -> tuple[Traced, ...]:
    """`split` along the third axis."""
    return ops.split(asarray(x), parts, 2)


@operation
def unstack(x: Operand, axis: int = 0) -> tuple[Traced, ...]:
    """The slices along an axis, without it."""
    value = ops.moveaxis(asarray(x), axis, 0)
    return tuple(value[index] for index in range(static(value.shape[0], "unstack")))


@operation
def rollaxis(x: Operand, axis: int, start: int = 0) -> Traced:
    """The axis moved in front of another."""
    value = asarray(x)
    source, place = axis % value.ndim, start if start >= 0 else start + value.ndim
    return ops.moveaxis(value, source, place - 1 if source < place else place)


@operation
def rot90(x: Operand, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Traced:
    """Turned by k quarters in the plane of two axes, from the first towards the second."""
    value = asarray(x)
    for _ in range(k % 4):
        value = ops.swapaxes(ops.flip(value, axes[1]), *axes)
    return value


@operation
def diagonal(x: Operand, offset: int = 0) -> Traced:
    """A diagonal of the matrices of the first two axes, as the last axis."""
    value = asarray(x)
    rows, columns = (static(size, "diagonal") for size in value.shape[:2])
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    first = max(-offset, 0) * columns + max(offset, 0)
    flat = ops.reshape(value, (rows * columns, *value.shape[2:]))
    return ops.moveaxis(ops.take(flat, np.arange(count) * (columns + 1) + first), 0, -1)


@operation
def diagflat(x: Operand, k: int = 0) -> Traced:
    """The matrix with all elements on the k-th diagonal."""
    return functions.diag(ops.ravel(asarray(x)), k)


@operation
def delete(x: Operand, index: int | Sequence[int], axis: int = 0) -> Traced:
    """x without the slices at given positions along an axis."""
    value = asarray(x)
    size = static(value.shape[axis], "delete")
    gone = {each % size for each in ([index] if isinstance(index, int) else index)}
    return ops.take(value, np.array([each for each in range(size) if each not in gone], np.int64), axis)


@operation
def resize(x: Operand, shape: Any) -> Traced:
    """The elements, over and over, in another shape."""
    value = ops.ravel(asarray(x))
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    count = static(value.shape[0], "resize")
    return ops.reshape(ops.take(value, np.arange(math.prod(sizes)) % count), sizes)


@operation
def put_along_axis(x: Operand, indices: Operand, values: Operand, axis: int) -> Traced:
    """x with other elements at a position for every slice along an axis; NumPy's changes x, this gives a new tensor."""
    value = ops.moveaxis(asarray(x), axis, -1)
    at = ops.moveaxis(asarray(indices), axis, -1)
    new = ops.moveaxis(ops.broadcast_to(asarray(values), asarray(indices).shape), axis, -1)
    size, count = (static(each.shape[-1], "put_along_axis") for each in (value, at))
    rows = math.prod(static(each, "put_along_axis") for each in value.shape[:-1])
    flat = ops.reshape(at, (rows, count))
    places = ops.where(ops.less(flat, 0), flat + size, flat) + ops.iota((rows, count), 0) * size
    changed = ops.ravel(value).at[ops.ravel(places)].set(ops.ravel(new))
    return ops.moveaxis(ops.reshape(changed, value.shape), -1, axis)


@operation
def lexsort(keys: Sequence[Operand], axis: int = -1) -> Traced:
    """The order by several keys, the last one first."""
    order: Traced | None = None
    for key in keys:
        value = asarray(key)
        if order is None:
            order = ops.argsort(value, axis)
            continue
        order = ops.take_along_axis(order, ops.argsort(ops.take_along_axis(value, order, axis), axis), axis)
    if order is None:
        raise LaminaError("lexsort: expected at least one key")
    return order


@operation
def searchsorted(x: Operand, values: Operand, side: str = "left") -> Traced:
    """Where values belong in an ascending vector: how many elements are below them, or not above with "right"."""
    if side not in ("left", "right"):
        raise LaminaError(f"searchsorted: expected side 'left' or 'right', found '{side}'")
    vector, wanted = asarray(x), asarray(values)
    compare = ops.less if side == "left" else ops.less_equal
    return ops.sum(compare(vector, wanted[..., None]), -1)


@operation
def digitize(x: Operand, bins: Operand, right: bool = False) -> Traced:
    """The number of the bin that an element falls into; bins ascend."""
    return searchsorted(bins, x, "left" if right else "right")


@operation
def cross(x: Operand, y: Operand) -> Traced:
    """The cross products of vectors of three elements along the last axis."""
    left, right = functions.broadcast_arrays(x, y)
    if left.shape[-1] != 3:
        raise LaminaError(f"cross: expected vectors of 3 elements, found {left.shape[-1]}")
    a, b = (ops.take(left, np.array(order), -1) for order in ((1, 2, 0), (2, 0, 1)))
    c, d = (ops.take(right, np.array(order), -1) for order in ((2, 0, 1), (1, 2, 0)))
    return a * c - b * d


@operation
def kron(x: Operand, y: Operand) -> Traced:
    """The Kronecker product: every element of x times the whole of y."""
    left, right = asarray(x), asarray(y)
    rank = max(left.ndim, right.ndim)
    left, right = at_least(left, rank), at_least(right, rank)
    first = ops.reshape(left, [size for each in left.shape for size in (each, 1)])
    second = ops.reshape(right, [size for each in right.shape for size in (1, each)])
    return ops.reshape(first * second, [a * b for a, b in zip(left.shape, right.shape, strict=True)])


@operation
def vecdot(x: Operand, y: Operand, axis: int = -1) -> Traced:
    """The sums of products along an axis."""
    return ops.sum(asarray(x) * y, axis)


@operation
def polyval(coefficients: Operand, x: Operand) -> Traced:
    """The polynomial with these coefficients, the highest power first, at x (Horner's rule)."""
    factors, at = asarray(coefficients), asarray(x)
    total: Any = ops.zeros_like(at)
    for index in range(static(factors.shape[0], "polyval")):
        total = total * at + factors[index]
    return total


@operation
def ediff1d(x: Operand) -> Traced:
    """The differences of neighbors of all elements in a row."""
    return functions.diff(ops.ravel(asarray(x)))


@operation
def partition(x: Operand, kth: int, axis: int = -1) -> Traced:
    """The elements with the k-th in its place and none larger before it: in order."""
    return ops.sort(asarray(x), axis)


@operation
def size(x: Operand, axis: Axes = None) -> Any:
    """How many elements there are, in all or along axes: a number, or an expression over symbolic sizes."""
    shape = asarray(x).shape
    chosen = range(len(shape)) if axis is None else [axis] if isinstance(axis, int) else axis
    total: Any = 1
    for each in chosen:
        total = total * shape[each]
    return total


def shape(x: Operand) -> Any:
    """The sizes: numbers, or expressions over symbolic sizes."""
    return asarray(x).shape


def ndim(x: Operand) -> int:
    """How many axes there are."""
    return asarray(x).ndim


broadcast_shapes = np.broadcast_shapes
fabs = ops.abs
bitwise_not = ops.logical_not
