"""Functions in f64 as kernels of a device have them, measured on the CPU against 80-bit arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from xdsl.dialects.builtin import f64

from lamina.passes.hardware import expand_math, wide_reduction
from lamina.passes.hardware.wide_trigonometric import LARGEST
from support.math_cases import BINARY, REFERENCES, arguments_of, errors, long_double, loop
from support.native import Native

RULES = expand_math.DEVICE_RULES
TRIGONOMETRIC = ("math.cos", "math.sin", "math.tan")
# Its long double in NumPy is no better than an f64.
NAMES = [name.removeprefix("math.") for name in RULES if name not in (*TRIGONOMETRIC, "math.erf")]


def computed(name: str, monkeypatch: pytest.MonkeyPatch, *inputs: np.ndarray) -> np.ndarray:
    """What a rule of devices gives, as a loop on the CPU."""
    monkeypatch.setattr(expand_math, "RULES", {**expand_math.RULES, **RULES})
    found = np.empty_like(inputs[0])
    program = Native(loop(name, "f64"), passes=("expand-math",))
    assert not program.program.externals
    assert program.call(*inputs, found)[0] == 0
    return found


def check(name: str, found: np.ndarray, exact: np.ndarray, *inputs: np.ndarray) -> None:
    error = errors(found, exact, np.float64)
    worst = int(np.argmax(error))
    place = ", ".join(repr(array[worst]) for array in inputs)
    assert error[worst] <= RULES[f"math.{name}"].accuracy[f64], f"{name}({place}) = {found[worst]!r}: {error[worst]}"
    assert error[worst] > 0.4
    signed = ~np.isnan(found)
    np.testing.assert_array_equal(np.signbit(found[signed]), np.signbit(exact[signed]))


@long_double
@pytest.mark.parametrize("name", ["cos", "sin", "tan"])
def test_angles_of_all_magnitudes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    spans = [generator.uniform(-span, span, 10_000) for span in (1e-3, 1, 10, 100, 1e4, 1e8, LARGEST)]
    turns = np.arange(-2000, 2000) * (np.pi / 2)
    large = np.ldexp(generator.uniform(1, 2, 40_000), generator.integers(40, 1024, 40_000))
    # The f64 that comes nearest to a multiple of π/2, and its neighbors (J.-M. Muller, Elementary Functions).
    nearest = np.ldexp(6381956970095103.0, 797) * np.array([1.0, -1.0])
    specials = [0.0, -0.0, np.nan, np.inf, -np.inf, LARGEST, -LARGEST, np.finfo(np.float64).max]
    x = np.concatenate([specials, *spans, turns, large, nearest, np.nextafter(nearest, 0)])
    found = computed(name, monkeypatch, x)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble))
    # NumPy's sign of tan and the like at 0 is C's.
    check(name, found, exact, x)


@long_double
@pytest.mark.parametrize("name", NAMES)
def test_error_is_as_stated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = arguments_of(name, np.float64)
    generator = np.random.default_rng(1)
    bits = generator.integers(0, 2**64, (2, 20_000), np.uint64).view(np.float64)
    unit = generator.uniform(-1, 1, (2, 10_000))
    more = [np.concatenate([one, other]) for one, other in zip(bits, unit, strict=True)]
    inputs = tuple(np.concatenate([old, new]) for old, new in zip(inputs, more, strict=False))
    if name == "powf":
        # Results of all magnitudes.
        base = np.ldexp(generator.uniform(1, 2, 40_000), generator.integers(-1022, 1024, 40_000))
        with np.errstate(all="ignore"):
            power = generator.uniform(-745, 710, 40_000) / np.log(base)
        inputs = np.concatenate([inputs[0], base]), np.concatenate([inputs[1], power])
    found = computed(name, monkeypatch, *inputs)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](*(array.astype(np.longdouble) for array in inputs)).astype(np.longdouble)
    check(name, found, exact, *inputs)
    assert (len(inputs) == 2) == (name in BINARY)


def exact_erf(x: float) -> Fraction:
    """By its Taylor series in 100 digits."""
    with localcontext() as context:
        context.prec = 100
        value = Decimal(x)
        total = term = value
        n = 0
        while abs(term) > Decimal(10) ** -90:
            n += 1
            term = -term * value * value / n
            total += term / (2 * n + 1)
        pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534")
        return Fraction(2 * total / pi.sqrt())


def test_error_function(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.concatenate([np.linspace(-6.5, 6.5, 701), np.linspace(-1.1, 1.1, 301), 10.0 ** np.linspace(-300, 0, 61)])
    found = computed("erf", monkeypatch, x)
    exact = [exact_erf(float(one)) for one in x]
    error = [
        float(abs(Fraction(float(value)) - true) / Fraction(float(np.spacing(abs(float(true))))))
        for value, true in zip(found, exact, strict=True)
        if true
    ]
    assert 0.4 < max(error) <= RULES["math.erf"].accuracy[f64]
    specials = np.array([0.0, -0.0, np.inf, -np.inf, np.nan])
    result = computed("erf", monkeypatch, specials)
    np.testing.assert_array_equal(result, [0.0, -0.0, 1.0, -1.0, np.nan])
    assert list(np.signbit(result[:2])) == [False, True]


def test_pieces_are_those_of_two_over_pi() -> None:
    """Each has 53 bits at most; against π's digits (OEIS A000796), as far as these go."""
    digits = "314159265358979323846264338327950288419716939937510582097494459230781640628"
    two_over_pi = Fraction(2) / Fraction(int(digits), 10**74)
    total = sum(map(Fraction, wide_reduction.TWO_OVER_PI)) / 2**wide_reduction.SCALE
    assert abs(total - two_over_pi) < Fraction(1, 2**240)
    for number, piece in enumerate(wide_reduction.TWO_OVER_PI, start=1):
        whole = Fraction(piece) * Fraction(2) ** (53 * number - wide_reduction.SCALE)
        assert whole.denominator == 1 and whole < 2**53
    assert math.isfinite(max(wide_reduction.TWO_OVER_PI) * 2.0**511)
