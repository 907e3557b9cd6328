"""What kernels compute in f64 where a CPU calls its C library: erf, power, inverse trigonometric functions and more."""

from __future__ import annotations

import math
from math import factorial

from lamina.passes.hardware.exponential import exp, expm1, log
from lamina.passes.hardware.expressions import F64, Expression
from lamina.passes.hardware.trigonometric import angle_of_point

LN2_HIGH, LN2_LOW = 0.693147180559663, 2.8235290563031577e-13
"""ln 2 to 41 bits, whose product with an exponent is exact, and the rest."""
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
"""√½ as an f64."""

# erf

NEAR_ERROR = tuple(2 / math.sqrt(math.pi) * (-1) ** n / (factorial(n) * (2 * n + 1)) for n in range(19, 0, -1))
"""Taylor's coefficients of erf(x) / x in x² without the first, for |x| ≤ 1: what is left out is below 2⁻⁶²."""
FAR_ERROR = (
    3.3657006736237105e-07,
    1.2966926825389417e-07,
    -1.79706306540687e-06,
    -2.3140931150942177e-06,
    7.5513017799442535e-06,
    1.8617072081910595e-05,
    -3.4182063549802165e-05,
    -0.00012887741536369735,
    0.00022838036598153182,
    0.0008759154630794508,
    -0.002642365963784453,
    -0.003993701166223159,
    0.039922539075574935,
    -0.1250330523788247,
    0.2517131932174494,
    -0.3717367339489734,
    0.2108063640611436,
)
"""(1 - erf t) e^(t²) in (t - CENTER) / (t + CENTER) for 1 ≤ t ≤ SATURATED, by interpolation in 90 digits: what it lacks
in erf is below 2⁻⁵⁶."""
CENTER, SATURATED = 2.5, 6.0
"""From `SATURATED` on erf is 1 to the last bit."""


def erf(x: Expression) -> Expression:
    """The error function: a polynomial near 0, beyond that 1 - e^(-t²) P."""
    size = x.abs().minimum(SATURATED)
    square = size * size
    first = 2 / math.sqrt(math.pi)
    # What the first coefficient loses as an f64 does not matter beside the last bit of the result.
    near = (square.polynomial(NEAR_ERROR) * square).fma(x, x * first)
    place = (size - CENTER) / (size + CENTER)
    far = 1.0 - exp(-square) * place.polynomial(FAR_ERROR)
    return size.compare("<", 1.0).select(near, far).copysign(x)


# Inverse trigonometric functions

ARCTANGENT = (
    (-0.8750608600031904, -16.157537187333652, -75.00855792314705, -122.88666844901361, -64.85021904942025),
    (1.0, 24.858464901423062, 165.02700983169885, 432.88106049129027, 485.3903996359137, 194.5506571482614),
)
"""(atan t - t) / t³ in t², for |t| ≤ 0.66, as a quotient; Cephes, atan.c (S. Moshier)."""
LOST = 6.123233995736766e-17
"""What π/2 loses as an f64."""


def _arctangent(numerator: Expression, denominator: Expression) -> Expression:
    """atan(n / d) for n, d ≥ 0 by one division: n/d, (n - d)/(n + d) or -d/n, whichever is at most 0.66 in size."""
    upper = numerator.compare(">", denominator * math.tan(3 * math.pi / 8))
    middle = numerator.compare(">", denominator * 0.66)
    top = upper.select(-denominator, middle.select(numerator - denominator, numerator))
    bottom = upper.select(numerator, middle.select(numerator + denominator, denominator))
    t = top / bottom
    z = t * t
    over, under = (z.polynomial(part) for part in ARCTANGENT)
    core = (over / under * z).fma(t, t)
    zero = numerator.constant(0.0)
    lost = upper.select(numerator.constant(LOST), middle.select(numerator.constant(LOST / 2), zero))
    base = upper.select(numerator.constant(math.pi / 2), middle.select(numerator.constant(math.pi / 4), zero))
    return base + (core + lost)


def atan(x: Expression) -> Expression:
    """The arc tangent; ±π/2 at infinity."""
    size = x.abs()
    return _arctangent(size, size.constant(1.0)).copysign(x)


def asin(x: Expression) -> Expression:
    """asin x = atan(x / sqrt((1 - x) (1 + x))); NaN beyond 1."""
    size = x.abs()
    return _arctangent(size, ((1.0 - size) * (size + 1.0)).sqrt()).copysign(x)


def acos(x: Expression) -> Expression:
    """acos x = 2 atan(sqrt((1 - x) / (1 + x))); NaN beyond 1."""
    half = _arctangent((1.0 - x).sqrt(), (x + 1.0).sqrt())
    return half + half


def atan2(y: Expression, x: Expression) -> Expression:
    """The angle of the point (x, y), with C's values at zeros and infinities."""
    return angle_of_point(y, x, _arctangent, 2.0**600, 2 * LOST)


# Hyperbolic and algebraic functions


def sinh(x: Expression) -> Expression:
    """(m + m / (m + 1)) / 2 with m = expm1 |x|; where that overflows (e^(|x|/2))² / 2."""
    size = x.abs()
    m = expm1(size.minimum(700.0))
    half = exp(size * 0.5)
    small = (m + m / (m + 1.0)) * 0.5
    return size.compare(">", 700.0).select(half * 0.5 * half, small).copysign(x)


def cbrt(x: Expression) -> Expression:
    """e^(log|x| / 3), and one of Newton's steps; subnormal numbers are scaled first."""
    size = x.abs()
    small = size.compare("<", 2.0**-900)
    scaled = small.select(size * 2.0**300, size)
    near = exp(log(scaled) * (1.0 / 3.0))
    square = near * near
    root = near - square.fma(near, -scaled) / (square * 3.0)
    root = small.select(root * 2.0**-100, root)
    special = size.compare("==", 0.0) | size.compare("==", math.inf)
    return special.select(size, root).copysign(x)


# Power

SERIES = tuple(1.0 / n for n in range(29, 4, -2))
"""log((1 + s) / (1 - s)) = 2 (s + s³/3 + s⁵ (1/5 + s²/7 + …)): what is left out is below 2⁻⁶⁸ for |s| ≤ 0.172."""
THIRD_LOW = 1.850371707708594e-17
"""What 1/3 loses as an f64."""


def _product(left: Expression, right: Expression | float) -> tuple[Expression, Expression]:
    """The exact product of two floats as a sum of two."""
    high = left * right
    return high, left.fma(right, -high)


def _sum(large: Expression, small: Expression) -> tuple[Expression, Expression]:
    """The exact sum of two floats, the first of which is the larger in size, as a sum of two (T. Dekker)."""
    total = large + small
    return total, small - (total - large)


def _logarithm(size: Expression) -> tuple[Expression, Expression]:
    """log of a positive finite number as a sum of two floats, good to about 2⁻⁶⁵ of it."""
    subnormal = size.compare("<", 2.0**-1022)
    normal = subnormal.select(size * 2.0**54, size)
    bits = normal.bits()
    # The exponent of the float that lies in √½ … √2 with the same fraction.
    exponent = (bits - SQRT_HALF_BITS) >> F64.fraction
    reduced = (bits - (exponent << F64.fraction)).as_float(F64)
    k = exponent.to_float(F64)
    k = subnormal.select(k - 54.0, k)
    # s = (m - 1) / (m + 1) as a sum of two: both are exact but for the last bit of m + 1.
    top, (bottom, lost) = reduced - 1.0, _sum(reduced.maximum(1.0), reduced.minimum(1.0))
    s = top / bottom
    rest = (s.fma(-bottom, top) - s * lost) / bottom
    square, square_low = _product(s, s)
    square_low = (s + s).fma(rest, square_low)
    tail = square.polynomial(SERIES) * square * square
    # 1 + s²/3 + …, of which the first is left out.
    third, third_low = _product(square, 1.0 / 3.0)
    third_low = third_low + (square_low * (1.0 / 3.0) + square * THIRD_LOW)
    inner, inner_low = _sum(third, tail)
    inner_low = inner_low + third_low
    part, part_low = _product(s, inner)
    part_low = part_low + (s * inner_low + rest * inner)
    high, low = _sum(s, part)
    low = low + (rest + part_low)
    high, low = high + high, low + low
    whole = k * LN2_HIGH
    is_large = k.compare("!=", 0.0)
    total, total_low = _sum(is_large.select(whole, high), is_large.select(high, 0.0))
    return total, total_low + (low + k * LN2_LOW)


def power(x: Expression, y: Expression) -> Expression:
    """xʸ as e^(y log|x|) with the logarithm in two floats; the special cases are C's `pow`."""
    size = x.abs()
    is_plain = size.compare(">", 0.0) & size.compare("<", math.inf)
    high, low = _logarithm(is_plain.select(size, 1.0))
    exponent, rest = _product(y, high)
    rest = y.fma(low, rest)
    # Beyond that it is 0 or infinity whatever the rest is, which may be no number then.
    near = exponent.abs().compare("<", 800.0)
    value = exp(exponent)
    finite = near.select(value.fma(rest, value), value)
    finite = value.compare("==", math.inf).select(value, finite)
    # 0 and infinity to a power.
    zero = x.constant(0.0)
    infinity = x.constant(math.inf)
    grows = (size.compare("==", math.inf) & y.compare(">", 0.0)) | (size.compare("==", 0.0) & y.compare("<", 0.0))
    wide = is_plain.select(finite, grows.select(infinity, zero))
    # A number to an infinite power: the logarithm's sign decides, which `exponent` has.
    infinite = y.abs().compare("==", math.inf)
    rises = (size.compare(">", 1.0) & y.compare(">", 0.0)) | (size.compare("<", 1.0) & y.compare("<", 0.0))
    wide = infinite.select(rises.select(infinity, zero), wide)
    is_integer = y.floor().compare("==", y)
    half = y * 0.5
    is_odd = is_integer & half.floor().compare("!=", half)
    negative = x.bits().compare("<", 0)
    signed = (negative & is_odd).select(-wide, wide)
    undefined = x.compare("<", 0.0) & x.compare("!=", -math.inf) & y.abs().compare("!=", math.inf)
    undefined = undefined & y.floor().compare("!=", y)
    nan = x.constant(math.nan)
    result = (undefined | x.compare("!=", x) | y.compare("!=", y)).select(nan, signed)
    one = x.compare("==", 1.0) | y.compare("==", 0.0)
    one = one | (x.compare("==", -1.0) & infinite)
    return one.select(x.constant(1.0), result)
