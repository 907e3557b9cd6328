"""Linear algebra under NumPy's names (`lamina.numpy.linalg`), of matrices of static size in the last two axes.

Elimination is a counted loop over columns (`graph.scan`), so everything here has derivatives of any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.frontends.python import numpy_arrays as arrays
from lamina.frontends.python import numpy_functions as functions
from lamina.frontends.python import ops
from lamina.frontends.python.numpy_functions import Axes, asarray, floats
from lamina.frontends.python.tracer import Operand, Traced, operation, static

cross = arrays.cross
matmul = ops.matmul
matrix_transpose = arrays.matrix_transpose
outer = functions.outer
tensordot = functions.tensordot
vecdot = arrays.vecdot


def _square(name: str, x: Operand) -> tuple[Traced, int]:
    value = floats(x)
    if value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        raise LaminaError(f"linalg.{name}: expected square matrices in the last two axes, found {list(value.shape)}")
    return value, static(value.shape[-1], f"linalg.{name}")


def _eliminated(matrix: Traced, right: Traced, size: int) -> tuple[Traced, Traced, Traced]:
    """Gauss-Jordan elimination with the largest pivot of a column: A⁻¹ B, the sign of the rows' order, the pivots."""
    places = ops.arange(size)

    def step(state: Any, column: Traced) -> Any:
        left, right, sign = state
        entries = ops.take(left, column, -1)
        here = ops.equal(places, column)
        candidates = ops.where(ops.less(places, column), -1.0, ops.abs(entries))
        chosen = ops.argmax(candidates, -1)
        swapped = ops.where(ops.equal(places, chosen[..., None]), column, places)
        order = ops.where(here, chosen[..., None], swapped)[..., None]
        left = ops.take_along_axis(left, ops.broadcast_to(order, left.shape), -2)
        right = ops.take_along_axis(right, ops.broadcast_to(order, right.shape), -2)
        sign = ops.where(ops.equal(chosen, column), sign, -sign)
        entries = ops.take(left, column, -1)
        pivot = ops.take(entries, column, -1)
        rows = [ops.take(each, column, -2) / pivot[..., None] for each in (left, right)]
        factors = ops.where(here, 0.0, entries)[..., None]
        own = here[:, None]
        left, right = (
            ops.where(own, row[..., None, :], each - factors * row[..., None, :])
            for each, row in zip((left, right), rows, strict=True)
        )
        return (left, right, sign), pivot

    sign = ops.ones(matrix.shape[:-2], matrix.dtype)
    (_, solution, sign), pivots = ops.scan(step, (matrix, right, sign), places)
    return solution, sign, pivots


@operation
def solve(a: Operand, b: Operand) -> Traced:
    """x with a @ x = b; b is a vector, or matrices. Infinite or NaN where a is singular."""
    matrix, size = _square("solve", a)
    right = floats(b)
    if right.ndim == 1:
        return solve(a, right[:, None])[..., 0]
    batch = np.broadcast_shapes(*(tuple(static(n, "linalg.solve") for n in v.shape[:-2]) for v in (matrix, right)))
    matrix = ops.broadcast_to(matrix, (*batch, size, size))
    return _eliminated(matrix, ops.broadcast_to(right, (*batch, *right.shape[-2:])), size)[0]


@operation
def inv(a: Operand) -> Traced:
    """The inverse."""
    matrix, size = _square("inv", a)
    return _eliminated(matrix, ops.broadcast_to(ops.eye(size, size, 0, matrix.dtype), matrix.shape), size)[0]


def _pivots(name: str, a: Operand) -> tuple[Traced, Traced]:
    matrix, size = _square(name, a)
    _, sign, pivots = _eliminated(matrix, ops.zeros((*matrix.shape[:-1], 1), matrix.dtype), size)
    return sign, pivots


@operation
def det(a: Operand) -> Traced:
    """The determinant."""
    sign, pivots = _pivots("det", a)
    return sign * ops.prod(pivots, 0)


@operation
def slogdet(a: Operand) -> tuple[Traced, Traced]:
    """The sign of the determinant, and the logarithm of its absolute value."""
    sign, pivots = _pivots("slogdet", a)
    return sign * ops.prod(ops.sign(pivots), 0), ops.sum(ops.log(ops.abs(pivots)), 0)


@operation
def cholesky(a: Operand) -> Traced:
    """The lower triangle L with L Lᵀ = a, of symmetric positive matrices (the lower triangle is read); else NaN."""
    matrix, size = _square("cholesky", a)
    places = ops.arange(size)

    def step(lower: Traced, column: Traced) -> Any:
        row = ops.take(lower, column, -2)
        rest = ops.take(matrix, column, -1) - ops.matmul(lower, row[..., None])[..., 0]
        pivot = ops.sqrt(ops.take(rest, column, -1))
        entries = ops.where(ops.less(places, column), 0.0, rest / pivot[..., None])
        return ops.where(ops.equal(places, column), entries[..., None], lower), None

    return ops.scan(step, ops.zeros(matrix.shape, matrix.dtype), places)[0]


@operation
def matrix_power(a: Operand, n: int) -> Traced:
    """a multiplied n times, by repeated squaring; of its inverse where n is negative."""
    matrix, size = _square("matrix_power", a)
    if n < 0:
        return matrix_power(inv(matrix), -n)
    result: Traced | None = None
    while n:
        if n & 1:
            result = matrix if result is None else ops.matmul(result, matrix)
        n >>= 1
        if n:
            matrix = ops.matmul(matrix, matrix)
    return ops.broadcast_to(ops.eye(size, size, 0, matrix.dtype), matrix.shape) if result is None else result


@operation
def multi_dot(matrices: Sequence[Operand]) -> Traced:
    """The product of matrices, from left to right."""
    result = asarray(matrices[0])
    for matrix in matrices[1:]:
        result = ops.matmul(result, matrix)
    return result


@operation
def vector_norm(x: Operand, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Traced:
    """The norm along axes: ord 2, 1, 0 (how many elements are not 0), ±∞, or another power."""
    value = ops.abs(floats(x))
    if ord == 2:
        return functions.norm(value, axis, keepdims)
    if ord == 0:
        return ops.cast(functions.count_nonzero(value, axis, keepdims), value.dtype)
    if math.isinf(ord):
        return (ops.max if ord > 0 else ops.min)(value, axis, keepdims)
    if ord == 1:
        return ops.sum(value, axis, keepdims)
    power = np.asarray(ord, value.dtype)
    return ops.power(ops.sum(ops.power(value, power), axis, keepdims), np.asarray(1 / ord, value.dtype))


@operation
def norm(x: Operand, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Traced:
    """NumPy's norm: the root of the sum of squares; with `ord` of vectors, or of matrices "fro", 1, -1, ±∞."""
    value = floats(x)
    axes = range(value.ndim) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if ord is None or (ord == "fro" and len(axes) == 2):
        return functions.norm(value, axis, keepdims)
    if len(axes) == 1:
        return vector_norm(value, axes[0], keepdims, float(ord))
    if len(axes) != 2 or ord not in (1, -1, math.inf, -math.inf):
        raise LaminaError(f"linalg.norm: ord {ord} of {len(axes)} axes: expected 'fro', 1, -1, inf or -inf of matrices")
    summed, other = axes if abs(ord) == 1 else (axes[1], axes[0])
    sums = ops.sum(ops.abs(value), summed, True)
    found = (ops.max if ord > 0 else ops.min)(sums, other, True)
    return found if keepdims else ops.squeeze(found, tuple(axes))


@operation
def trace(x: Operand) -> Traced:
    """The sums of the diagonals of matrices."""
    value, size = _square("trace", x)
    return ops.sum(ops.where(ops.eye(size, size, 0, "bool"), value, 0), (-2, -1))


@operation
def diagonal(x: Operand) -> Traced:
    """The diagonals of square matrices."""
    value, size = _square("diagonal", x)
    return ops.sum(ops.where(ops.eye(size, size, 0, "bool"), value, 0), -1)
