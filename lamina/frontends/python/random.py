"""Random numbers as functions of explicit keys: Threefry-2x32 in integer ops, with JAX's use of it.

A key is two uint32. The same key gives the same numbers, on every machine and for every number of threads; `split` and
`fold_in` make independent keys. Bits, numbers within [0, 1), keys and integers equal those of `jax.random` with
`threefry2x32` (partitionable, JAX's default) bit for bit; others to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import Array
from lamina.dialects.graph.dims import Dim, product
from lamina.frontends.python import ops
from lamina.frontends.python.specs import DTypeLike, parse_dtype
from lamina.frontends.python.tracer import Operand, Traced, as_value, operation

Key: TypeAlias = "Traced | Array"
Sizes: TypeAlias = "int | Dim | Sequence[int | Dim]"

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
ROUNDS = 5
"""Groups of four rounds (Salmon et al. 2011, table 2 and section 3.3)."""

MANTISSAS = {"float32": (np.uint32, 9, 0x3F800000), "float16": (np.uint16, 6, 0x3C00)}
"""Per dtype: unsigned integers of its width, the bits above its mantissa, and the bits of 1.0."""

LARGEST_PERMUTATION = 1 << 14


def key(seed: int) -> Array:
    """The key of a seed within [0, 2⁶⁴), an array of two uint32."""
    if not isinstance(seed, int | np.integer):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LaminaError(f"random.key: expected an integer, found {seed!r}")
    seed = int(seed)
    if not 0 <= seed < 1 << 64:
        raise LaminaError(f"random.key: expected a seed within [0, 2**64), found {seed}")
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def _threefry(keys: Key, high: Any, low: Any) -> tuple[Traced, Traced]:
    """Threefry-2x32 with 20 rounds of the counters (high, low)."""
    value = _key(keys)
    first, second = value[0], value[1]
    schedule = (first, second, first ^ second ^ np.array(PARITY, np.uint32))
    x, y = high + first, low + second
    for group in range(ROUNDS):
        for distance in ROTATIONS[group % 2]:
            x = x + y
            y = x ^ _rotated(y, distance)
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.array(group + 1, np.uint32)
    return x, y


def _rotated(x: Traced, distance: int) -> Traced:
    left, right = np.array(distance, np.uint32), np.array(32 - distance, np.uint32)
    return ops.bitwise_or(ops.left_shift(x, left), ops.right_shift(x, right))


def _key(keys: Key) -> Traced:
    value = Traced(as_value(keys))
    if value.shape != (2,) or value.dtype != np.uint32:
        raise LaminaError(
            f"expected a key, uint32[2], found {value.dtype}{list(value.shape)}",
            hints=("random.key(seed) makes one, random.split(key, count)[i] several",),
        )
    return value


def _counters(shape: Sizes) -> tuple[Traced, tuple[Dim, ...]]:
    """The positions of all elements as uint32, and the shape."""
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    count = product(sizes)  # pyright: ignore[reportArgumentType]
    if isinstance(count, int) and count >= 1 << 32:
        raise LaminaError(f"random: expected fewer than 2**32 numbers, found {count}")
    return ops.arange(count, "uint32"), sizes  # pyright: ignore[reportReturnType]


@operation
def split(keys: Key, count: int = 2) -> Traced:
    """`count` independent keys, uint32[count, 2]."""
    low, _ = _counters(count)
    x, y = _threefry(keys, ops.zeros_like(low), low)
    return ops.stack([x, y], 1)


@operation
def fold_in(keys: Key, data: Operand) -> Traced:
    """The key for an integer scalar, such as the number of a step or a layer."""
    low = ops.reshape(_counter(data), (1,))
    x, y = _threefry(keys, ops.zeros_like(low), low)
    return ops.concatenate([x, y])


def _counter(data: Operand) -> Operand:
    """An integer scalar as uint32."""
    dtype, shape = (data.dtype, data.shape) if isinstance(data, Traced) else (np.asarray(data).dtype, np.shape(data))
    if dtype.kind not in "iu" or shape:
        raise LaminaError(f"random.fold_in: expected an integer scalar, found {dtype}{list(shape)}")
    if isinstance(data, Traced):
        return ops.cast(data, "uint32")
    number = int(data)
    if not 0 <= number < 1 << 32:
        raise LaminaError(f"random.fold_in: expected a number within [0, 2**32), found {number}")
    return np.array(number, np.uint32)


@operation
def bits(keys: Key, shape: Sizes = ()) -> Traced:
    """Random uint32."""
    low, sizes = _counters(shape)
    x, y = _threefry(keys, ops.zeros_like(low), low)
    return ops.reshape(x ^ y, sizes)


@operation
def uniform(keys: Key, shape: Sizes = (), dtype: DTypeLike = "float32", low: float = 0.0, high: float = 1.0) -> Traced:
    """Floats (f32 or f16) within [low, high)."""
    found = parse_dtype(dtype)
    if found.name not in MANTISSAS:
        raise LaminaError(f"random.uniform: expected float32 or float16, found {found}", hints=("convert the numbers",))
    integer, above, one = MANTISSAS[found.name]
    words = bits(keys, shape)
    if integer is not np.uint32:
        words = ops.cast(ops.bitwise_and(words, np.array(0xFFFF, np.uint32)), integer)
    words = ops.bitwise_or(ops.right_shift(words, np.array(above, integer)), np.array(one, integer))
    floats = ops.bitcast(words, found) - 1.0
    if (low, high) == (0.0, 1.0):
        return floats
    span = float(np.subtract(high, low, dtype=found))
    return ops.maximum(floats * span + low, low)


@operation
def normal(keys: Key, shape: Sizes = (), dtype: DTypeLike = "float32") -> Traced:
    """Normally distributed floats of mean 0 and variance 1: √2·erf⁻¹ of uniform numbers, computed in f32."""
    smallest = float(np.nextafter(np.float32(-1), np.float32(0)))
    numbers = inverse_erf(uniform(keys, shape, "float32", smallest, 1.0)) * math.sqrt(2)
    return ops.cast(numbers, dtype)


CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
           -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
        1.00167406, 2.83297682)  # fmt: skip


@operation
def inverse_erf(x: Traced) -> Traced:
    """The inverse of the error function within (-1, 1), in f32 to about 3 units in the last place (Giles 2010)."""
    w = -ops.log1p(-(x * x))
    is_central = w < 5.0
    argument = ops.where(is_central, w - 2.5, ops.sqrt(w) - 3.0)
    total: Any = ops.where(is_central, CENTRAL[0], np.float32(TAIL[0]) + argument * 0.0)
    for central, tail in zip(CENTRAL[1:], TAIL[1:], strict=True):
        total = total * argument + ops.where(is_central, np.array(central, np.float32), np.array(tail, np.float32))
    return total * x


@operation
def bernoulli(keys: Key, probability: Operand = 0.5, shape: Sizes = ()) -> Traced:
    """Booleans that are true with a probability, a float or a tensor that broadcasts to the shape."""
    return ops.less(uniform(keys, shape), probability)


@operation
def integers(keys: Key, shape: Sizes, low: int, high: int, dtype: DTypeLike = "int64") -> Traced:
    """Integers within [low, high); `jax.random.randint`."""
    if not -(1 << 31) <= low < high <= 1 << 31:
        raise LaminaError(f"random.integers: expected -2**31 <= low < high <= 2**31, found {low} and {high}")
    span = high - low
    pair = split(keys)
    upper, lower = (ops.cast(bits(pair[index], shape), "int64") for index in range(2))
    # Two draws of 32 bits, so that no remainder is noticeably likelier: (upper · 2³² + lower) mod span, as JAX's.
    factor = (1 << 16) % span
    factor = (factor * factor & 0xFFFFFFFF) % span
    total = ops.fmod(upper, span) * factor + ops.fmod(lower, span)
    total = ops.bitwise_and(total, 0xFFFFFFFF)
    return ops.cast(ops.fmod(total, span) + low, dtype)


@operation
def exponential(keys: Key, shape: Sizes = ()) -> Traced:
    """Exponentially distributed floats of mean 1: -log(1 - u)."""
    return -ops.log1p(-uniform(keys, shape))


@operation
def gumbel(keys: Key, shape: Sizes = ()) -> Traced:
    """Floats with the standard Gumbel distribution: -log(-log(u))."""
    tiny = float(np.finfo(np.float32).tiny)
    return -ops.log(-ops.log(uniform(keys, shape, "float32", tiny, 1.0)))


@operation
def categorical(keys: Key, logits: Traced) -> Traced:
    """For each row a position along the last axis, with the probabilities softmax(logits) (the Gumbel-max trick)."""
    return ops.argmax(gumbel(keys, logits.shape) + ops.cast(logits, "float32"), -1)


@operation
def permutation(keys: Key, count: int) -> Traced:
    """The numbers 0 … count - 1 in a random order (int64), for at most 16384 of them: the order of random bits, each
    place found by comparison with all others."""
    if not 0 <= count <= LARGEST_PERMUTATION:
        raise LaminaError(
            f"random.permutation: expected at most {LARGEST_PERMUTATION} numbers, found {count}",
            hints=("outside of compiled functions, numpy.random.default_rng(seed).permutation has no bound",),
        )
    drawn = bits(keys, (count,))
    position = ops.arange(count)
    column, row = drawn[:, None], drawn[None, :]
    earlier = ops.bitwise_and(ops.equal(row, column), ops.less(position[None, :], position[:, None]))
    return ops.bitwise_or(ops.less(row, column), earlier).sum(1)


@operation
def dropout(keys: Key, x: Traced, rate: float) -> Traced:
    """x with each element 0 at a probability of `rate`, the others divided by 1 - rate."""
    if not 0.0 <= rate < 1.0:
        raise LaminaError(f"random.dropout: expected a rate within [0, 1), found {rate}")
    kept = bernoulli(keys, 1.0 - rate, x.shape)
    return ops.where(kept, x / (1.0 - rate), 0.0)
