"""NumPy's statistics and signal functions for traced functions, made of those of `ops`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.frontends.python import numpy_arrays as arrays
from lamina.frontends.python import numpy_functions as functions
from lamina.frontends.python import ops
from lamina.frontends.python.numpy_functions import Axes, asarray, floats
from lamina.frontends.python.tracer import Operand, Traced, operation, static

# Without NaN


def _replaced(x: Operand, number: float) -> Traced:
    value = asarray(x)
    return value if value.dtype.kind != "f" else ops.where(ops.isnan(value), number, value)


def _numbers(x: Operand, axis: Axes, keepdims: bool) -> Traced:
    value = floats(x)
    return ops.cast(ops.sum(ops.logical_not(ops.isnan(value)), axis, keepdims), value.dtype)


@operation
def nansum(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The sum of what is no NaN."""
    return ops.sum(_replaced(x, 0.0), axis, keepdims)


@operation
def nanprod(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The product of what is no NaN."""
    return functions.prod(_replaced(x, 1.0), axis, keepdims)


def _nan_extreme(kind: str, worst: float) -> Callable[..., Traced]:
    @operation
    def call(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
        value = floats(x)
        found = getattr(ops, kind)(_replaced(value, worst), axis, keepdims)
        return ops.where(ops.equal(_numbers(value, axis, keepdims), 0), math.nan, found)

    call.__name__ = call.__qualname__ = f"nan{kind}"
    call.__doc__ = f"The {kind}imum of what is no NaN; NaN where there is nothing else."
    return call


nanmax = _nan_extreme("max", -math.inf)
nanmin = _nan_extreme("min", math.inf)


@operation
def nanmean(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The mean of what is no NaN; NaN where there is nothing else."""
    return nansum(floats(x), axis, keepdims) / _numbers(x, axis, keepdims)


@operation
def nanvar(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The variance of what is no NaN."""
    value = floats(x)
    distance = value - nanmean(value, axis, True)
    return nanmean(distance * distance, axis, keepdims)


@operation
def nanstd(x: Operand, axis: Axes = None, keepdims: bool = False) -> Traced:
    """The standard deviation of what is no NaN."""
    return ops.sqrt(nanvar(x, axis, keepdims))


@operation
def nanargmax(x: Operand, axis: int | None = None) -> Traced:
    """Where the largest number is; the first place where there is none."""
    return functions.argmax(_replaced(x, -math.inf), axis)


@operation
def nanargmin(x: Operand, axis: int | None = None) -> Traced:
    """Where the smallest number is; the first place where there is none."""
    return functions.argmin(_replaced(x, math.inf), axis)


# Order statistics


@operation
def quantile(x: Operand, q: float | Any, axis: int | None = None, keepdims: bool = False) -> Traced:
    """The q-th quantiles (0 to 1, a number or an array of them), between two elements by the line through them.

    NaN where there is one; the axis has a static size.
    """
    value = floats(x)
    if axis is None:
        shape = (1,) * value.ndim
        found = quantile(ops.ravel(value), q, 0)
        return ops.reshape(found, (*found.shape, *shape)) if keepdims else found
    moved = ops.sort(ops.moveaxis(value, axis, 0), 0)
    size = static(moved.shape[0], "quantile")
    if not size:
        raise LaminaError("quantile: expected at least one element")
    wanted = np.asarray(q, np.float64)
    if not ((wanted >= 0) & (wanted <= 1)).all():
        raise LaminaError(f"quantile: expected numbers within [0, 1], found {q}")
    places = wanted * (size - 1)
    low = np.asarray(np.floor(places), np.int64)
    share = np.asarray(places - low, value.dtype).reshape((*wanted.shape, *(1,) * (moved.ndim - 1)))
    below, above = (ops.take(moved, at, 0) for at in (low, np.asarray(np.minimum(low + 1, size - 1))))
    found = below + (above - below) * share
    # NaN is last in order: the whole slice has one where the last element is.
    found = ops.where(ops.isnan(moved[-1]), math.nan, found)
    return ops.expand_dims(found, axis % value.ndim + wanted.ndim) if keepdims else found


@operation
def percentile(x: Operand, q: float | Any, axis: int | None = None, keepdims: bool = False) -> Traced:
    """As `quantile`, of hundredths."""
    return quantile(x, np.asarray(q) / 100, axis, keepdims)


@operation
def median(x: Operand, axis: int | None = None, keepdims: bool = False) -> Traced:
    """The element in the middle, or the mean of the two there."""
    return quantile(x, 0.5, axis, keepdims)


# Counts


@operation
def bincount(x: Operand, weights: Operand | None = None, *, length: int) -> Traced:
    """How often each of 0 … length - 1 occurs, or the sum of the weights there; what is outside is not counted."""
    value = asarray(x)
    dtype = "int64" if weights is None else asarray(weights).dtype
    added = ops.ones(value.shape, dtype) if weights is None else asarray(weights)
    outside = ops.bitwise_or(ops.less(value, 0), ops.greater_equal(value, length))
    # One more place, for what is outside.
    return ops.zeros((length + 1,), dtype).at[ops.where(outside, length, value)].add(added)[:length]


@operation
def histogram(x: Operand, bins: int | Any = 10, range: tuple[float, float] | None = None) -> tuple[Traced, Traced]:
    """How many elements each bin has, and the edges of the bins; the last bin has its upper edge."""
    value = ops.ravel(floats(x))
    if isinstance(bins, int):
        low, high = (ops.min(value), ops.max(value)) if range is None else (range[0], range[1])
        steps = ops.constant(np.arange(bins + 1) / bins, value.dtype)
        edges = steps * (high - low) + low
    else:
        edges = asarray(np.asarray(bins).astype(value.dtype) if not isinstance(bins, Traced) else bins)
    count = static(edges.shape[0], "histogram") - 1
    place = arrays.searchsorted(edges, value, "right") - 1
    place = ops.where(ops.equal(value, edges[-1]), count - 1, place)
    return bincount(place, length=count), edges


# Two variables


@operation
def cov(x: Operand, ddof: int = 1) -> Traced:
    """The covariances of variables, which are rows; with `ddof` fewer than the number of observations as divisor."""
    value = functions.atleast_2d(floats(x))
    distance = value - ops.mean(value, 1, True)
    found = ops.matmul(distance, ops.swapaxes(distance, 0, 1)) / float(static(value.shape[1], "cov") - ddof)
    return ops.squeeze(found) if value.shape[0] == 1 else found


@operation
def corrcoef(x: Operand) -> Traced:
    """The correlations of variables, which are rows."""
    found = cov(x)
    if found.ndim == 0:
        return found / found
    deviation = ops.sqrt(arrays.diagonal(found))
    return found / deviation[:, None] / deviation[None, :]


@operation
def interp(x: Operand, positions: Operand, values: Operand) -> Traced:
    """The line through the points (positions ascend) at x; the first and last value outside."""
    at, places, heights = floats(x), floats(positions), floats(values)
    count = static(places.shape[0], "interp")
    if count == 1:
        return ops.broadcast_to(heights[0], at.shape)
    index = ops.clip(arrays.searchsorted(places, at, "right"), 1, count - 1)
    left, right = ops.take(places, index - 1), ops.take(places, index)
    low, high = ops.take(heights, index - 1), ops.take(heights, index)
    width = right - left
    share = (at - left) / ops.where(ops.equal(width, 0), 1, width)
    found = low + (high - low) * share
    found = ops.where(ops.less(at, places[0]), heights[0], found)
    return ops.where(ops.greater_equal(at, places[-1]), heights[-1], found)


@operation
def trapezoid(y: Operand, x: Operand | None = None, dx: float = 1.0, axis: int = -1) -> Traced:
    """The area under the line through points, which are `dx` apart or at x."""
    value = ops.moveaxis(floats(y), axis, -1)
    means = (value[..., 1:] + value[..., :-1]) * 0.5
    if x is None:
        return ops.sum(means, -1) * dx
    places = floats(x)
    return ops.sum(means * functions.diff(places if places.ndim == 1 else ops.moveaxis(places, axis, -1)), -1)


@operation
def gradient(x: Operand, spacing: float = 1.0, axis: int = -1) -> Traced:
    """Central differences along an axis, one-sided ones at its ends."""
    value = ops.moveaxis(floats(x), axis, -1)
    if static(value.shape[-1], "gradient") < 2:
        raise LaminaError("gradient: expected at least two elements along the axis")
    inner = (value[..., 2:] - value[..., :-2]) * 0.5
    first, last = value[..., 1:2] - value[..., :1], value[..., -1:] - value[..., -2:-1]
    return ops.moveaxis(ops.concatenate([first, inner, last], -1) * (1 / spacing), -1, axis)


@operation
def convolve(x: Operand, y: Operand, mode: str = "full") -> Traced:
    """The discrete convolution of two vectors: "full", "same" or "valid"."""
    left, right = asarray(x), asarray(y)
    if static(left.shape[0], "convolve") < static(right.shape[0], "convolve"):
        left, right = right, left
    size, width = static(left.shape[0], "convolve"), static(right.shape[0], "convolve")
    padded = ops.pad(left, [(width - 1, width - 1)])
    starts = np.arange(size + width - 1)[:, None] + np.arange(width)[None, :]
    full = ops.matmul(ops.take(padded, starts), ops.flip(right, 0))
    if mode == "full":
        return full
    if mode == "same":
        return full[(width - 1) // 2 : (width - 1) // 2 + size]
    if mode == "valid":
        return full[width - 1 : size]
    raise LaminaError(f"convolve: expected mode 'full', 'same' or 'valid', found '{mode}'")


@operation
def correlate(x: Operand, y: Operand, mode: str = "valid") -> Traced:
    """The cross-correlation of two vectors: their convolution with the second one reversed."""
    if static(asarray(x).shape[0], "correlate") < static(asarray(y).shape[0], "correlate"):
        return ops.flip(convolve(asarray(y), ops.flip(asarray(x), 0), mode), 0)
    return convolve(x, ops.flip(asarray(y), 0), mode)


@operation
def unwrap(x: Operand, period: float = 2 * math.pi, axis: int = -1) -> Traced:
    """Angles without jumps: multiples of the period are added where neighbors differ by more than half of it."""
    value = ops.moveaxis(floats(x), axis, -1)
    step = functions.diff(value)
    half = period / 2
    turned = ops.modulo(step + half, asarray(np.asarray(period, value.dtype))) - half
    turned = ops.where(ops.bitwise_and(ops.equal(turned, -half), ops.greater(step, 0)), half, turned)
    change = ops.where(ops.less(ops.abs(step), half), 0, turned - step)
    return ops.moveaxis(ops.concatenate([value[..., :1], value[..., 1:] + ops.cumsum(change, -1)], -1), -1, axis)
