"""Functions of neural networks: dense layers, attention, rotary positions, normalization, activations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.dims import Shape
from lamina.frontends.python import linear as products
from lamina.frontends.python import shapes
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


@operation
def linear(x: Operand, weight: Operand, bias: Operand | None = None) -> Traced:
    """x · weightᵀ + bias over the last axis: weight (out, in), bias (out)."""
    builder = active_tracer().builder
    found: Sequence[object] = weight.shape if isinstance(weight, np.ndarray) else builder.shape(as_value(weight))
    if len(found) != 2:
        raise LaminaError(f"linear: expected a weight (out, in), found {list(found)}")
    if isinstance(weight, np.ndarray):
        transposed: Operand = weight.T
    else:
        transposed = Traced(builder.transpose(as_value(weight), (1, 0)))
    result = products.matmul(x, transposed)
    if bias is None:
        return result
    return Traced(builder.create("add", builder.values(*plains((result, bias)))))


@operation
def element_count(x: Operand, axis: int | Sequence[int] | None = None) -> Traced:
    """The number of elements along axes, as a scalar of x's dtype."""
    builder = active_tracer().builder
    value = as_value(x)
    each = range(builder.rank(value)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [builder.axis(value, one) for one in each]
    return Traced(builder.value(builder.element_count(value, axes, builder.element_type(value))))


def _shape(value: SSAValue, rank: int, expected: str) -> Shape:
    """The shape of a value with at least so many axes; raises LaminaError for fewer."""
    shape = active_tracer().builder.shape(value)
    if len(shape) < rank:
        raise LaminaError(f"{expected}, found {list(shape)}")
    return shape


# Attention


@operation
def split_heads(x: Operand, heads: int) -> Traced:
    """(batch, length, heads · size) as (batch, heads, length, size)."""
    builder = active_tracer().builder
    value = as_value(x)
    *outer, width = _shape(value, 2, "split_heads: expected (…, length, heads · size)")
    size = static(width, "split_heads")
    if heads < 1 or size % heads:
        raise LaminaError(f"split_heads: expected a number of heads that divides {size}, found {heads}")
    value = shapes.reshape(value, (*outer, heads, size // heads))
    rank = builder.rank(value)
    return Traced(builder.transpose(value, (*range(rank - 3), rank - 2, rank - 3, rank - 1)))


@operation
def merge_heads(x: Operand) -> Traced:
    """(batch, heads, length, size) as (batch, length, heads · size)."""
    builder = active_tracer().builder
    value = as_value(x)
    rank = builder.rank(value)
    if rank < 3:
        raise LaminaError(f"merge_heads: expected (batch, heads, length, size), found {list(builder.shape(value))}")
    value = builder.transpose(value, (*range(rank - 3), rank - 2, rank - 3, rank - 1))
    *outer, heads, size = builder.shape(value)
    return Traced(shapes.reshape(value, (*outer, heads * size)))


@operation
def attention(
    query: Operand,
    key: Operand,
    value: Operand,
    *,
    mask: Operand | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Traced:
    """softmax(scale · query · keyᵀ) · value for every head: (…, heads, length, size) each.

    `scale` is 1 / √size when left out. Fewer heads of key and value serve groups of the query's. `mask` broadcasts to
    (…, heads, queries, keys): booleans, true where a query may look, or floats that are added to the scores. With
    `causal` the last query sees all keys, the one before it one key less. A query that sees no key gives NaN.
    """
    builder = active_tracer().builder
    queries, keys, values = builder.values(*plains((query, key, value)))
    size = _shape(queries, 2, "attention: expected queries (…, heads, length, size)")[-1]
    factor = static(size, "attention") ** -0.5 if scale is None else scale
    chosen = None if mask is None else plain(mask)
    return Traced(
        builder.attention(queries, keys, values, chosen, scale=float(factor), causal="end" if causal else None)
    )


@operation
def reach(query: Operand, keys: Operand, position: Operand) -> Traced:
    """Which keys (…, capacity, size) of a cache queries (…, length, size) from `position` on may look at, as booleans
    (length, capacity): those up to their own position."""
    builder = active_tracer().builder
    rows = _positions(_shape(as_value(query), 2, "reach: expected queries (…, length, size)")[-2], position)
    columns = _positions(_shape(as_value(keys), 2, "reach: expected keys (…, capacity, size)")[-2], 0)
    return Traced(
        builder.compare(
            "LE",
            shapes.reshape(columns, (1, *builder.shape(columns))),
            shapes.reshape(rows, (*builder.shape(rows), 1)),
        )
    )


def _positions(length: object, start: Operand) -> SSAValue:
    """start, start + 1, … as an i64 vector."""
    builder = active_tracer().builder
    if isinstance(length, int):
        positions = builder.iota(i64, [length])
    else:
        positions = builder.dynamic_iota(i64, shapes.vector_of((length,)))  # pyright: ignore[reportArgumentType]
    if isinstance(start, int):
        return builder.add(positions, start) if start else positions
    first = builder.cast(as_value(start), i64)
    if builder.rank(first):
        raise LaminaError(f"position: expected a scalar, found {list(builder.shape(first))}")
    return builder.add(positions, first)


@operation
def rotary(x: Operand, start: Operand = 0, base: float = 10000.0) -> Traced:
    """Rotary position embedding of x (…, length, size) from position `start` on, in Llama's arrangement: element
    i turns with element i + size / 2. (Su et al. 2021, arXiv:2104.09864.)"""
    builder = active_tracer().builder
    value = as_value(x)
    *_, length, width = _shape(value, 2, "rotary: expected (…, length, size)")
    size = static(width, "rotary")
    if size % 2:
        raise LaminaError(f"rotary: expected an even size, found {size}")
    frequencies = (1.0 / base ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))).astype(np.float32)
    positions = builder.cast(_positions(length, start), builder.element_type(builder.constant(frequencies)))
    angles = builder.multiply(shapes.reshape(positions, (*builder.shape(positions), 1)), frequencies)
    cosine, sine = (
        builder.cast(each, builder.element_type(value)) for each in (builder.cos(angles), builder.sin(angles))
    )
    rank, half = builder.rank(value), size // 2

    def part(first: int) -> SSAValue:
        starts, limits = [0] * rank, [shapes.MAX_SIZE] * rank
        starts[-1], limits[-1] = first, first + half
        return builder.slice(value, starts, limits)

    low, high = part(0), part(half)
    turned = (
        builder.subtract(builder.multiply(low, cosine), builder.multiply(high, sine)),
        builder.add(builder.multiply(high, cosine), builder.multiply(low, sine)),
    )
    return Traced(builder.concatenate(turned, rank - 1))


# Normalization and activations


@operation
def group_norm(x: Operand, groups: int, scale: Operand, bias: Operand, epsilon: float = 1e-5) -> Traced:
    """x (batch, features, …) normalized over groups of features and the spatial axes, · scale + bias per feature."""
    builder = active_tracer().builder
    value, factor, offset = builder.values(*plains((x, scale, bias)))
    shape = _shape(value, 2, "group_norm: expected (batch, features, …)")
    features = static(shape[1], "group_norm")
    if groups < 1 or features % groups:
        raise LaminaError(f"group_norm: expected a number of groups that divides {features}, found {groups}")
    return Traced(builder.group_norm(value, factor, offset, 1, groups, epsilon))


def _activation(name: str, summary: str, low: float, high: float, shift: float, scale: float, times_x: bool):
    @operation
    def function(x: Operand) -> Traced:
        builder = active_tracer().builder
        value = as_value(x)
        inner = builder.add(value, shift) if shift else value
        result = builder.clamp(low, inner, high)
        if times_x:
            result = builder.multiply(value, result)
        return Traced(builder.multiply(result, scale) if scale != 1 else result)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary
    return function


relu6 = _activation("relu6", "min(max(x, 0), 6).", 0.0, 6.0, 0.0, 1.0, False)
hard_sigmoid = _activation("hard_sigmoid", "min(max(x + 3, 0), 6) / 6.", 0.0, 6.0, 3.0, 1 / 6, False)
hard_swish = _activation("hard_swish", "x · min(max(x + 3, 0), 6) / 6.", 0.0, 6.0, 3.0, 1 / 6, True)


@operation
def leaky_relu(x: Operand, slope: float = 0.01) -> Traced:
    """x, · slope where negative."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.select(builder.compare("LT", value, 0), builder.multiply(value, slope), value))


@operation
def elu(x: Operand, alpha: float = 1.0) -> Traced:
    """x, alpha · (exp(x) - 1) where negative."""
    builder = active_tracer().builder
    value = as_value(x)
    negative = builder.multiply(builder.expm1(builder.minimum(value, 0)), alpha)
    return Traced(builder.select(builder.compare("LT", value, 0), negative, value))


@operation
def softplus(x: Operand) -> Traced:
    """log(1 + exp(x)), without overflow."""
    builder = active_tracer().builder
    value = as_value(x)
    tail = builder.log1p(builder.exp(builder.negate(builder.abs(value))))
    return Traced(builder.add(builder.maximum(value, 0), tail))


@operation
def logsumexp(x: Operand, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Traced:
    """log(sum(exp(x))) along axes, without overflow."""
    builder = active_tracer().builder
    value = as_value(x)
    each = range(builder.rank(value)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [builder.axis(value, one) for one in each]
    largest = builder.reduce("maximum", value, axes, True)
    # Infinities would give inf - inf.
    finite = builder.select(builder.is_inf(largest), 0.0, largest)
    total = builder.reduce("add", builder.exp(builder.subtract(value, finite)), axes, True)
    result = builder.add(builder.log(total), finite)
    return Traced(result if keepdims else shapes.without_axes(result, axes))


@operation
def gelu(x: Operand, approximate: str = "none") -> Traced:
    """x · Φ(x), exactly or with a tanh."""
    return Traced(active_tracer().builder.gelu(as_value(x), approximate))


@operation
def softmax(x: Operand, axis: int = -1) -> Traced:
    """exp(x) / sum(exp(x)) along an axis."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.softmax(value, builder.axis(value, axis)))


@operation
def log_softmax(x: Operand, axis: int = -1) -> Traced:
    """x - log(sum(exp(x))) along an axis."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.log_softmax(value, builder.axis(value, axis)))


@operation
def layer_norm(x: Operand, scale: Operand = 1.0, bias: Operand = 0.0, axis: int = -1, epsilon: float = 1e-5) -> Traced:
    """(x - mean) / √(variance + epsilon) · scale + bias over the axes from `axis` on."""
    builder = active_tracer().builder
    value, factor, offset = builder.values(*plains((x, scale, bias)))
    return Traced(builder.layer_norm(value, factor, offset, builder.axis(value, axis), epsilon))


@operation
def rms_norm(x: Operand, scale: Operand = 1.0, axis: int = -1, epsilon: float = 1e-5) -> Traced:
    """x / √(mean(x²) + epsilon) · scale over the axes from `axis` on."""
    builder = active_tracer().builder
    value, factor = builder.values(*plains((x, scale)))
    return Traced(builder.rms_norm(value, factor, builder.axis(value, axis), epsilon))


@operation
def batch_norm(
    x: Operand,
    scale: Operand,
    bias: Operand,
    mean: Operand,
    variance: Operand,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> Traced:
    """(x - mean) / √(variance + epsilon) · scale + bias with given statistics per feature along `axis`."""
    builder = active_tracer().builder
    operands = builder.values(*plains((x, scale, bias, mean, variance)))
    dimension = builder.axis(operands[0], axis)
    return Traced(builder.create("batch_norm", operands, dimension=dimension, epsilon=float(epsilon)))
