"""Large angles in f64 as quarter turns and a rest: what is left of them times 2/π when whole turns are taken away."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from xdsl.ir import Block, Region

from lamina.dialects.loop import scf
from lamina.dialects.loop.types import is_vector
from lamina.passes.hardware.expressions import F64, Expression
from lamina.passes.loop.emitter import Emitter

PIECE_BITS, PIECES = 53, 22
SCALE = 512
"""Arguments are made smaller and pieces larger by 2⁵¹², so that both are normal numbers."""
WINDOW = 5
"""Pieces that matter for one argument: those before give whole turns, those behind less than 2⁻¹⁵⁷ of a quarter."""
HALF_PI = (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c07p-54"))


def _inverse_tangent(denominator: int, unit: int) -> int:
    """atan(1 / denominator) · unit, by Gregory's series in integers."""
    term = total = unit // denominator
    divisor, sign = 3, -1
    while term:
        term //= denominator * denominator
        total += sign * (term // divisor)
        divisor, sign = divisor + 2, -sign
    return total


def _pieces() -> tuple[float, ...]:
    """2/π in pieces of 53 bits; π by J. Machin's formula."""
    bits = PIECE_BITS * PIECES + 64
    unit = 1 << bits
    pi = 4 * (4 * _inverse_tangent(5, unit) - _inverse_tangent(239, unit))
    ratio = 2 * unit * unit // pi
    mask = (1 << PIECE_BITS) - 1
    return tuple(
        math.ldexp((ratio >> (bits - PIECE_BITS * number)) & mask, SCALE - PIECE_BITS * number)
        for number in range(1, PIECES + 1)
    )


TWO_OVER_PI = _pieces()


def _exact_sum(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """The exact sum of two floats of any magnitudes as a sum of two (D. Knuth)."""
    total = left + right
    part = total - left
    return total, (left - (total - part)) + (right - part)


def far(x: Expression) -> tuple[Expression, Expression, Expression]:
    """x = q π/2 + r + s with |r| ≤ π/4 and a small s, and the quadrant q in the low bits of an integer, for |x| ≥ 2⁴⁰.

    M. Payne and R. Hanek's idea with floating-point pieces: exact products with the pieces of 2/π that matter, each
    reduced modulo 4 (exactly), are added up in three floats. Infinities and NaN give NaN.
    """
    size = x.abs()
    scaled = x * 2.0**-SCALE
    chosen = [x.constant(piece) for piece in TWO_OVER_PI[:WINDOW]]
    for skipped in range(1, PIECES - WINDOW + 1):
        # The product of the piece before with any bit of such an argument is a multiple of 4.
        exponent = 54 + PIECE_BITS * skipped
        if exponent > 1023:
            break
        beyond = size.compare(">=", 2.0**exponent)
        following = TWO_OVER_PI[skipped : skipped + WINDOW]
        chosen = [beyond.select(x.constant(new), old) for new, old in zip(following, chosen, strict=True)]
    sums = [x.constant(0.0)] * 3
    for piece in chosen:
        product = scaled * piece
        for part in (product, scaled.fma(piece, -product)):
            reduced = (part * 0.25).round().fma(-4.0, part)
            first, lost = _exact_sum(sums[0], reduced)
            second, last = _exact_sum(sums[1], lost)
            sums = [first, second, sums[2] + last]
    shifted = sums[0] + F64.shifter
    rest, lost = _exact_sum(sums[0] - (shifted - F64.shifter), sums[1])
    low = lost + sums[2]
    # What is left may be a half and a little more: the next quarter is nearer then, which does not matter.
    r = rest * HALF_PI[0]
    return r, rest.fma(HALF_PI[0], -r) + (rest * HALF_PI[1] + low * HALF_PI[0]), shifted.bits()


Give = Callable[[Expression], Sequence[Expression]]


def chosen(condition: Expression, x: Expression, on_true: Give, on_false: Give) -> list[Expression]:
    """What one of two functions gives for x: `scf.if` on numbers, both and selections on vectors."""
    if is_vector(x.value.type):
        pairs = zip(on_true(x), on_false(x), strict=True)
        return [condition.select(left, right) for left, right in pairs]

    def side(give: Give) -> tuple[Region, Sequence[Expression]]:
        block = Block()
        inner: Emitter = x.emitter.nested(block)
        values = give(Expression(x.value, inner, x.scales))
        inner.append(scf.YieldOp(*(one.value for one in values)))
        return Region(block), values

    then, values = side(on_true)
    otherwise, _ = side(on_false)
    op = scf.IfOp(condition.value, [one.value.type for one in values], then, otherwise)
    x.emitter.append(op)
    return [Expression(result, x.emitter, x.scales) for result in op.results]
