"""sin, cos, tan and their inverses in f32, as sequences of arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable

from xdsl.dialects.builtin import f64

from lamina.passes.hardware.expressions import F64, Expression

PIECE_BITS = 29
TWO_OVER_PI = tuple(
    math.ldexp(piece, -PIECE_BITS * position)
    for position, piece in enumerate(
        (0x145F306D, 0x19391054, 0x14FE13AB, 0x1D1F534D, 0x1B81B6C5, 0x05664F10, 0x1C820FF2),
        start=1,
    )
)
"""2/π cut into pieces of 29 bits: the product of a piece and an f32 is exact in f64."""

SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
"""(sin r - r) / r³ and (cos r - 1 + r²/2) / r⁴ in r², for |r| ≤ π/4; Cephes, sinf.c (S. Moshier)."""


def _quadrant(x: Expression) -> tuple[Expression, Expression]:
    """x = q π/2 + r with |r| ≤ π/4: r in f32, and q in the low bits of an integer. For every finite x; NaN for others.

    M. Payne and R. Hanek's idea with floating-point pieces: x · 2/π modulo 4 is the sum of the exact products with the
    pieces, each reduced modulo 4 (exactly, since a product has no more bits than an f64); what is lost is 2⁻⁵¹.
    """
    wide = x.convert(f64)
    turns: Expression | None = None
    for piece in reversed(TWO_OVER_PI):
        product = wide * piece
        reduced = (product * 0.25).round().fma(-4.0, product)
        turns = reduced if turns is None else turns + reduced
    if turns is None:
        raise ValueError("2/π has no pieces")
    shifted = turns + F64.shifter
    rest = turns - (shifted - F64.shifter)
    return (rest * (math.pi / 2)).convert(x.element), shifted.bits()


def _sine_and_cosine(r: Expression) -> tuple[Expression, Expression]:
    """sin r and cos r for |r| ≤ π/4"""
    z = r * r
    sine = z.polynomial(SINE).fma(z * r, r)
    cosine = z.polynomial(COSINE).fma(z * z, z.fma(-0.5, 1.0))
    return sine, cosine


def _in_quadrant(x: Expression, offset: int) -> Expression:
    r, quadrant = _quadrant(x)
    sine, cosine = _sine_and_cosine(r)
    quadrant = quadrant + offset if offset else quadrant
    value = (quadrant & 1).compare("!=", 0).select(cosine, sine)
    return (quadrant & 2).compare("!=", 0).select(-value, value)


def sin(x: Expression) -> Expression:
    """The sine of an angle in radians."""
    # The reduction of -0 is +0.
    return x.compare("==", 0.0).select(x, _in_quadrant(x, 0))


def cos(x: Expression) -> Expression:
    """The cosine of an angle in radians: the sine one quadrant on."""
    return _in_quadrant(x, 1)


def tan(x: Expression) -> Expression:
    """sin / cos, or -cos / sin in odd quadrants."""
    r, quadrant = _quadrant(x)
    sine, cosine = _sine_and_cosine(r)
    odd = (quadrant & 1).compare("!=", 0)
    result = odd.select(-cosine, sine) / odd.select(sine, cosine)
    return x.compare("==", 0.0).select(x, result)


ARCSINE = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
"""(asin s - s) / s³ in s², for |s| ≤ ½; Cephes, asinf.c."""
ARCTANGENT = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
"""(atan t - t) / t³ in t², for |t| ≤ tan(π/8); Cephes, atanf.c."""


def _arcsine_core(size: Expression) -> tuple[Expression, Expression]:
    """For |x| above ½, asin of sqrt((1 - |x|) / 2), else of |x|; and which of the two."""
    large = size.compare(">", 0.5)
    z = large.select((1.0 - size) * 0.5, size * size)
    s = large.select(z.sqrt(), size)
    return z.polynomial(ARCSINE).fma(z * s, s), large


def asin(x: Expression) -> Expression:
    """asin x = π/2 - 2 asin(sqrt((1 - x) / 2)) beyond ½; NaN beyond 1."""
    core, large = _arcsine_core(x.abs())
    return large.select(core.fma(-2.0, math.pi / 2), core).copysign(x)


def acos(x: Expression) -> Expression:
    """2 asin(sqrt((1 - x) / 2)) for x above ½, π minus that of -x below -½, else π/2 - asin x; NaN beyond 1."""
    core, large = _arcsine_core(x.abs())
    double = core + core
    beyond = x.compare("<", 0.0).select(math.pi - double, double)
    return large.select(beyond, math.pi / 2 - core.copysign(x))


def _arctangent(numerator: Expression, denominator: Expression) -> Expression:
    """atan(n / d) for n, d ≥ 0 by one division: n/d, (n - d)/(n + d) or -d/n, whichever is at most tan(π/8) in size."""
    upper = numerator.compare(">", denominator * math.tan(3 * math.pi / 8))
    middle = numerator.compare(">", denominator * math.tan(math.pi / 8))
    top = upper.select(-denominator, middle.select(numerator - denominator, numerator))
    bottom = upper.select(numerator, middle.select(numerator + denominator, denominator))
    t = top / bottom
    z = t * t
    core = z.polynomial(ARCTANGENT).fma(z * t, t)
    base = upper.select(numerator.constant(math.pi / 2), middle.select(numerator.constant(math.pi / 4), 0.0))
    return base + core


def atan(x: Expression) -> Expression:
    """The arc tangent; ±π/2 at infinity."""
    size = x.abs()
    return _arctangent(size, size.constant(1.0)).copysign(x)


def atan2(y: Expression, x: Expression) -> Expression:
    """The angle of the point (x, y), with C's values at zeros and infinities."""
    return angle_of_point(y, x, _arctangent, 2.0**64)


def angle_of_point(
    y: Expression,
    x: Expression,
    arctangent: Callable[[Expression, Expression], Expression],
    enlarged: float,
    lost: float = 0.0,
) -> Expression:
    """`atan2` by the arc tangent of a quotient of numbers that are not negative.

    `enlarged`: what lifts subnormals of the format into its normal numbers; `lost`: π less its nearest number.
    """
    height, width = y.abs(), x.abs()
    both_infinite = height.compare("==", math.inf) & width.compare("==", math.inf)
    both_zero = height.compare("==", 0.0) & width.compare("==", 0.0)
    # Scaled so that neither sums overflow nor subnormals lose bits; equal infinities are a diagonal, 0/0 is 0/1.
    one = x.constant(1.0)
    scale = height.maximum(width).compare(">", 1.0).select(x.constant(0.25), enlarged)
    height = both_infinite.select(one, height * scale)
    width = (both_infinite | both_zero).select(one, width * scale)
    angle = arctangent(height, width)
    turned = math.pi - angle
    angle = x.bits().compare("<", 0).select(turned + lost if lost else turned, angle)
    return angle.copysign(y)
