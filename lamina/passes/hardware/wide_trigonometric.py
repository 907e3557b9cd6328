"""sin, cos and tan in f64 for devices, which have no C library to call."""

from __future__ import annotations

from math import factorial

from lamina.passes.hardware import wide_reduction
from lamina.passes.hardware.expressions import F64, Expression

LARGEST = 2.0**50
"""From here on the floats are a quarter apart: the simple reduction is not made for them."""

HALF_PI = (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c07p-54"), -1.4973849048591833e-33)
"""π/2 as the sum of three f64, good to 2⁻¹⁶¹."""
TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")

SINE = tuple((-1) ** (n // 2) / factorial(n) for n in range(17, 2, -2))
COSINE = tuple((-1) ** (n // 2) / factorial(n) for n in range(18, 3, -2))
"""Taylor's coefficients of (sin r - r) / r³ and (cos r - 1 + r²/2) / r⁴ in r²: what is left out is below 2⁻⁶⁰ of the
result for |r| ≤ π/4."""


def _reduced(x: Expression) -> tuple[Expression, Expression, Expression]:
    """The rest of an angle in two floats, and the quadrant in the low bits of an integer."""
    is_near = x.abs().compare("<", LARGEST)
    r, s, quadrant = wide_reduction.chosen(is_near, x, _near, wide_reduction.far)
    return r, s, quadrant


def _near(x: Expression) -> tuple[Expression, Expression, Expression]:
    """x = q π/2 + r + s with |r| ≤ π/4 and a small s, and the quadrant q in the low bits of an integer.

    W. Cody and W. Waite's reduction with fused products: x - q·h is exact for the first part h of π/2, since it is a
    multiple of 2⁻⁵² below 1 or so; q times the second part is an exact sum of two f64.
    """
    shifted = x * TWO_OVER_PI + F64.shifter
    quarters = shifted - F64.shifter
    first = quarters.fma(-HALF_PI[0], x)
    product = quarters * HALF_PI[1]
    lost = quarters.fma(HALF_PI[1], -product)
    # The exact sum of two floats of any magnitudes, as D. Knuth gives it.
    r = first - product
    part = r - first
    s = (first - (r - part)) - (product + part) - quarters.fma(HALF_PI[2], lost)
    return r, s, shifted.bits()


def _sine_and_cosine(r: Expression, s: Expression) -> tuple[Expression, Expression]:
    z = r * r
    sine = r + (z.polynomial(SINE) * (z * r) + z.fma(-0.5, 1.0) * s)
    half = z * 0.5
    one = 1.0 - half
    # What 1 - z/2 loses when it is rounded is added again.
    cosine = one + ((1.0 - one) - half + (z.polynomial(COSINE) * (z * z) - r * s))
    return sine, cosine


def _in_quadrant(x: Expression, offset: int) -> Expression:
    r, s, quadrant = _reduced(x)
    sine, cosine = _sine_and_cosine(r, s)
    quadrant = quadrant + offset if offset else quadrant
    value = (quadrant & 1).compare("!=", 0).select(cosine, sine)
    return (quadrant & 2).compare("!=", 0).select(-value, value)


def sin(x: Expression) -> Expression:
    """The sine of an angle in radians."""
    return x.compare("==", 0.0).select(x, _in_quadrant(x, 0))


def cos(x: Expression) -> Expression:
    """The cosine of an angle in radians."""
    return _in_quadrant(x, 1)


def tan(x: Expression) -> Expression:
    """sin / cos, or -cos / sin in odd quadrants."""
    r, s, quadrant = _reduced(x)
    sine, cosine = _sine_and_cosine(r, s)
    odd = (quadrant & 1).compare("!=", 0)
    result = odd.select(-cosine, sine) / odd.select(sine, cosine)
    return x.compare("==", 0.0).select(x, result)
