"""exp, expm1, log, power and the hyperbolic functions, as sequences of arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xdsl.dialects.builtin import f64

from lamina.passes.hardware.expressions import F32, Expression, FloatFormat

LN2 = math.log(2.0)
LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class ExponentialTable:
    """Coefficients for one float format.

    `polynomial`: (eʳ - 1 - r) / r² for |r| ≤ ln2/2, highest power first, a minimax fit (Remez, relative to eʳ, carried
    out in 80-bit arithmetic). `ln2_high` has so many trailing zeros that its product with an exponent is exact,
    `ln2_low` is the rest. `low` and `high` bound the argument: eˡᵒʷ rounds to 0, eʰⁱᵍʰ/2 to infinity.
    """

    polynomial: tuple[float, ...]
    ln2_high: float
    ln2_low: float
    low: float
    high: float


EXPONENTIAL = {
    23: ExponentialTable(
        (0.001381315989419818, 0.008369418792426586, 0.04166845604777336, 0.16666515171527863, 0.4999999403953552),
        0.693145751953125,
        1.428606765330187e-06,
        -104.0,
        90.0,
    ),
    52: ExponentialTable(
        (
            2.506780149753651e-08,
            2.7630542770630605e-07,
            2.755736496479136e-06,
            2.4801491946611643e-05,
            0.00019841269752415735,
            0.0013888888945035418,
            0.00833333333338766,
            0.041666666666524195,
            0.16666666666666557,
            0.5000000000000011,
        ),
        0.6931471803691238,
        1.9082149292705877e-10,
        -746.0,
        711.0,
    ),
}
"""By the bits of the format's fraction."""


WEIGHT_POLYNOMIAL = (
    0.008290276862680912,
    0.04189816117286682,
    0.1666763871908188,
    0.4999914765357971,
    0.9999997019767761,
    1.0,
)
"""eʳ for |r| ≤ ln2/2, good to 9.2e-8 (Remez, relative to eʳ, the last coefficient fixed)."""


def _power_of_two(exponent: Expression, format_: FloatFormat) -> Expression:
    """2ⁿ of an integer n already offset by the exponent's bias."""
    return (exponent << format_.fraction).as_float(format_)


def _reduced(x: Expression) -> tuple[Expression, Expression]:
    """k = round(x / ln2) in the low bits of a sum with the shifter, and r = x - k ln2 (in two steps, so exact)."""
    format_ = x.format
    table = EXPONENTIAL[format_.fraction]
    shifter = format_.shifter + 2 * format_.bias
    shifted = x.fma(LOG2_E, shifter)
    k = shifted - shifter
    return shifted, k.fma(-table.ln2_low, k.fma(-table.ln2_high, x))


def _scaled_power(shifted: Expression, mantissa: Expression) -> Expression:
    """mantissa · 2ᵏ, where the low bits of `shifted` are k + 2·bias; the result may be subnormal or infinite.

    One operation where the target has one; else two factors of about half the exponent, each of them normal. What is
    above the low bits is shifted out.
    """
    format_ = mantissa.format
    bits = shifted.bits()
    if mantissa.scales and format_ is F32:
        return mantissa.ldexp(bits - int.from_bytes(_packed(format_.shifter + 2 * format_.bias, format_), "little"))
    first = bits >> 1
    return mantissa * _power_of_two(first, format_) * _power_of_two(bits - first, format_)


def _exponential_parts(x: Expression) -> tuple[Expression, Expression]:
    """eʳ - 1 and 2ᵏ with eˣ = 2ᵏ eʳ, for x whose 2ᵏ is a normal number."""
    format_ = x.format
    shifted, r = _reduced(x)
    scale = _power_of_two(shifted.bits() - format_.bias, format_)
    return r.polynomial(EXPONENTIAL[format_.fraction].polynomial).fma(r * r, r), scale


def exp(x: Expression, factor: float = 1.0, *, non_positive: bool = False) -> Expression:
    """factor · eˣ for a factor that is a power of two (applied before overflow); `non_positive`: x is never above 0.

    Cody and Waite's reduction x = k ln2 + r, a polynomial on |r| ≤ ln2/2, then 2ᵏ.
    """
    format_ = x.format
    table = EXPONENTIAL[format_.fraction]
    x = x.maximum(table.low) if non_positive else x.clamp(table.low, table.high)
    shifted, r = _reduced(x)
    mantissa = r.polynomial(table.polynomial).fma(r * r, r + 1.0)
    return _scaled_power(shifted, mantissa if factor == 1.0 else mantissa * factor)


def weight(x: Expression, lowest: float | None = None) -> Expression:
    """eˣ of f32 vectors for x that is never above 0, as in a softmax: half the operations of `exp`, for `cpu.scale`.

    Off by at most 2.2 units of the last place down to -10, by 5 at -80: the weights there are too small to count, and
    the scores, rounded, are off by more. 0 for x below `lowest`; without it, for what rounds to 0.
    """
    shifter = x.format.shifter
    vanishes = x.compare("<", EXPONENTIAL[x.format.fraction].low if lowest is None else lowest)
    k = x.fma(LOG2_E, shifter) - shifter
    result = k.fma(-LN2, x).polynomial(WEIGHT_POLYNOMIAL).scale(k)
    return vanishes.select(x.constant(0.0), result)


def exp2(x: Expression) -> Expression:
    """2ˣ: as `exp`, with the reduction x = k + r exact."""
    format_ = x.format
    table = EXPONENTIAL[format_.fraction]
    x = x.clamp(table.low * LOG2_E, table.high * LOG2_E)
    shifter = format_.shifter + 2 * format_.bias
    shifted = x + shifter
    r = (x - (shifted - shifter)) * LN2
    mantissa = r.polynomial(table.polynomial).fma(r * r, r + 1.0)
    return _scaled_power(shifted, mantissa)


def expm1(x: Expression) -> Expression:
    """eˣ - 1 = 2ᵏ (eʳ - 1) + (2ᵏ - 1), which loses nothing near 0; the sign of -0 is kept."""
    format_ = x.format
    # Below, the result is -1; above, infinity, which the halves of e⁽ˣ⁻ˡⁿ²⁾ reach by being added.
    bounded = x.clamp(-(format_.fraction + 3) * LN2, EXPONENTIAL[format_.fraction].high - 1.0)
    shifted, r = _reduced(bounded)
    scale = _power_of_two(shifted.bits() - (format_.bias + 1), format_)
    inner = r.polynomial(EXPONENTIAL[format_.fraction].polynomial).fma(r * r, r)
    half = inner.fma(scale, scale - 0.5)
    return (half + half).copysign(x)


LOG_POLYNOMIAL_F32 = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
"""(log(1+f) - f + f²/2) / f³ for sqrt(½) ≤ 1+f < sqrt(2); Cephes, logf.c (S. Moshier)."""
LOG_POLYNOMIAL_F64 = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)
"""(log((1+s)/(1-s)) - 2s) / s in z = s²; fdlibm, e_log.c (Sun Microsystems)."""


def _log_parts(x: Expression) -> tuple[Expression, Expression]:
    """x = 2ᵉ (1 + f) with sqrt(½) ≤ 1 + f < sqrt(2), for positive finite x; e as a float, and f."""
    format_ = x.format
    tiny = x.compare("<", 2.0 ** (1 - format_.bias))
    normal = tiny.select(x * 2.0 ** (format_.fraction + 1), x)
    base = int.from_bytes(_packed(math.sqrt(0.5), format_), "little")
    bits = normal.bits() - base
    exponent = (bits >> format_.fraction).to_float(format_)
    exponent = tiny.select(exponent - float(format_.fraction + 1), exponent)
    mantissa = ((bits & ((1 << format_.fraction) - 1)) + base).as_float(format_)
    return exponent, mantissa - 1.0


def _packed(value: float, format_: FloatFormat) -> bytes:
    return format_.type.pack((value,))


def _log_special(x: Expression, result: Expression) -> Expression:
    """The logarithm's values outside the positive finite numbers: 0 → -∞, negative → NaN, ∞ and NaN → themselves."""
    result = x.compare("<", math.inf).select(result, x)
    result = x.compare("<", 0.0).select(x.constant(math.nan), result)
    return x.compare("==", 0.0).select(x.constant(-math.inf), result)


def _log1p_reduced(f: Expression) -> tuple[Expression, Expression]:
    """log(1+f) = f - c for sqrt(½) ≤ 1+f < sqrt(2), as f and c; c is small against f, so the difference is accurate."""
    half_square = f * f * 0.5
    if f.format is F32:
        square = f * f
        return f, half_square - f * square * f.polynomial(LOG_POLYNOMIAL_F32)
    s = f / (f + 2.0)
    z = s * s
    rest = z * z.polynomial(LOG_POLYNOMIAL_F64)
    return f, half_square - s * (half_square + rest)


def log(x: Expression) -> Expression:
    """The natural logarithm: e ln2 + log(1+f), the small terms added first."""
    table = EXPONENTIAL[x.format.fraction]
    exponent, f = _log_parts(x)
    main, correction = _log1p_reduced(f)
    small = exponent.fma(table.ln2_low, -correction)
    return _log_special(x, exponent.fma(table.ln2_high, small + main))


def log2(x: Expression) -> Expression:
    """log(1+f) / ln2 + e."""
    exponent, f = _log_parts(x)
    main, correction = _log1p_reduced(f)
    return _log_special(x, (main - correction).fma(LOG2_E, exponent))


def log10(x: Expression) -> Expression:
    """log(x) / ln10."""
    return log(x) * (1.0 / math.log(10.0))


def log1p(x: Expression) -> Expression:
    """log(u) + (x - (u - 1)) / u with u = 1 + x rounded: the correction restores what the rounding lost (Kahan)."""
    u = x + 1.0
    correction = (x - (u - 1.0)) / u
    # At -1 and infinity the logarithm says it all, and the correction is NaN.
    usable = (u - u).compare("==", 0.0)
    correction = usable.select(u.compare("==", 0.0).select(x.constant(0.0), correction), 0.0)
    return (log(u) + correction).copysign(x)


def sinh(x: Expression) -> Expression:
    """(eˣ - e⁻ˣ) / 2; for |x| < 1 an odd polynomial (Cephes, sinhf.c), where the difference would cancel."""
    size = x.abs()
    half = exp(size, 0.5)
    large = (half - 0.25 / half).copysign(x)
    z = x * x
    small = z.polynomial((2.03721912945e-4, 8.33028376239e-3, 1.66667160211e-1)).fma(z * x, x)
    return size.compare("<", 1.0).select(small, large)


def cosh(x: Expression) -> Expression:
    """(eˣ + e⁻ˣ) / 2"""
    half = exp(x.abs(), 0.5)
    return half + 0.25 / half


def asinh(x: Expression) -> Expression:
    """log(|x| + sqrt(x² + 1)) as log1p(|x| + x² / (1 + sqrt(x² + 1))); log(2|x|) where x² would lose the 1."""
    size = x.abs()
    square = size * size
    small = log1p(size + square / ((square + 1.0).sqrt() + 1.0))
    large = log(size) + LN2
    return size.compare("<", 2.0 ** (x.format.fraction // 2 + 2)).select(small, large).copysign(x)


def acosh(x: Expression) -> Expression:
    """log(x + sqrt(x² - 1)) as log1p(t + sqrt(2t + t²)) with t = x - 1; NaN below 1."""
    t = x - 1.0
    small = log1p(t + (t * (t + 2.0)).sqrt())
    large = log(x) + LN2
    result = x.compare(">", 2.0 ** (x.format.fraction // 2 + 2)).select(large, small)
    return x.compare("<", 1.0).select(x.constant(math.nan), result)


def atanh(x: Expression) -> Expression:
    """½ log((1 + x) / (1 - x)) as ½ log1p(2|x| / (1 - |x|))"""
    size = x.abs()
    return (log1p((size + size) / (1.0 - size)) * 0.5).copysign(x)


def power(x: Expression, y: Expression) -> Expression:
    """xʸ of f32 as e^(y log|x|) in f64, which leaves about half an ulp; the special cases are C's `powf`."""
    wide = exp(y.convert(f64) * log(x.abs().convert(f64))).convert(x.element)
    is_integer = y.floor().compare("==", y)
    half = y * 0.5
    is_odd = is_integer & half.floor().compare("!=", half)
    negative = (x.bits()).compare("<", 0)
    signed = (negative & is_odd).select(-wide, wide)
    undefined = x.compare("<", 0.0) & x.compare("!=", -math.inf) & y.abs().compare("!=", math.inf)
    undefined = undefined & y.floor().compare("!=", y)
    result = undefined.select(x.constant(math.nan), signed)
    # 1 whatever the exponent is, and ±1 to an infinite power.
    one = x.compare("==", 1.0) | y.compare("==", 0.0)
    one = one | (x.compare("==", -1.0) & y.abs().compare("==", math.inf))
    return one.select(x.constant(1.0), result)


def cbrt(x: Expression) -> Expression:
    """The cube root of f32, as e^(log|x| / 3) in f64."""
    wide = exp(log(x.abs().convert(f64)) * (1.0 / 3.0))
    return wide.convert(x.element).copysign(x)


def rsqrt(x: Expression) -> Expression:
    """1 / sqrt(x)"""
    return 1.0 / x.sqrt()


def tanh(x: Expression) -> Expression:
    """-m / (m + 2) with m = expm1(-2|x|), which is -1 to the last bit where |x| is cut off."""
    fraction = x.format.fraction
    size = x.abs().minimum((fraction + 3) * LN2 / 2)
    inner, scale = _exponential_parts(size * -2.0)
    m = inner.fma(scale, scale - 1.0)
    return (-m / (m + 2.0)).copysign(x)
