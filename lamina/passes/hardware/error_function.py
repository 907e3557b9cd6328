"""erf in f32, as a sequence of arithmetic."""

from __future__ import annotations

from lamina.passes.hardware.expressions import F32, Expression

SPLIT = 0.65
NEAR = (0.004399869590997696, -0.026569465175271034, 0.11279349029064178, -0.3761240243911743, 0.12837915122509003)
"""erf(x) / x - 1 in x², for |x| ≤ SPLIT."""
FAR = (
    0.0003055404522456229,
    -0.004621356260031462,
    0.032994646579027176,
    -0.15184937417507172,
    -0.91713547706604,
    -1.628110647201538,
)
"""log2(1 - erf(t)) / t in t, for SPLIT ≤ t ≤ SATURATED."""
POWER_OF_TWO = (
    -0.00015594680735375732,
    -0.0013406644575297832,
    -0.009617692790925503,
    -0.055503103882074356,
    -0.24022652208805084,
    -0.6931472420692444,
    -1.0,
)
"""-2ʳ for |r| ≤ ½. These three are minimax fits (Remez), relative to what comes out, highest power first."""
SATURATED = 4.0
"""From here on erf is 1 to the last bit."""


def erf(x: Expression) -> Expression:
    """The error function: x + x P(x²) near 0, beyond that 1 - 2^(|x| Q(|x|)); no division."""
    size = x.abs().minimum(SATURATED)
    square = size * size
    near = square.polynomial(NEAR).fma(x, x)
    exponent = size.polynomial(FAR) * size
    # The exponent lies between -26 and 0, so that one factor 2ᵏ will do; its bits come out of the sum's low end.
    shifter = F32.shifter + F32.bias
    shifted = exponent + shifter
    rest = exponent - (shifted - shifter)
    scale = (shifted.bits() << F32.fraction).as_float(F32)
    far = rest.polynomial(POWER_OF_TWO).fma(scale, 1.0)
    return size.compare("<=", SPLIT).select(near, far.copysign(x))
