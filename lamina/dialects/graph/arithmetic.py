"""Arithmetic that NumPy lacks, or defines otherwise than the dialect does."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[Any]


def erf(operand: Numbers) -> Numbers:
    """The error function, by C's erf in double precision."""
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(operand), np.float64)


def logistic(operand: Numbers) -> Numbers:
    """1 / (1 + exp(-x)), without overflow on either side."""
    # Two forms, so that neither exp overflows where its form is used.
    return np.where(operand >= 0, 1 / (1 + np.exp(-operand)), np.exp(operand) / (1 + np.exp(operand)))


def truncating_divide(lhs: Numbers, rhs: Numbers) -> Numbers:
    """Integer division towards zero; by zero all ones; the smallest divided by -1 itself."""
    divisor = np.where(rhs == 0, np.ones_like(rhs), rhs)
    floor = lhs // divisor
    inexact = (lhs % divisor != 0) & ((lhs < 0) != (divisor < 0))
    quotient = floor + inexact.astype(lhs.dtype)
    return np.where(rhs == 0, ~np.zeros_like(rhs), quotient)


def truncating_remainder(lhs: Numbers, rhs: Numbers) -> Numbers:
    """The integer remainder with the dividend's sign; modulo zero the dividend."""
    divisor = np.where(rhs == 0, np.ones_like(rhs), rhs)
    return np.where(rhs == 0, lhs, np.fmod(lhs, divisor))


def integer_power(lhs: Numbers, rhs: Numbers) -> Numbers:
    """Integer powers modulo 2^bits; of negative exponents the truncated reciprocal, 0 for base 0."""
    base, exponent = np.broadcast_arrays(lhs, rhs)
    zero, one = np.zeros_like(base), np.ones_like(base)
    result, square, rest = one, base, np.where(exponent < 0, zero, exponent)
    while (rest > 0).any():
        result = np.where(rest & 1, result * square, result)
        square, rest = square * square, rest >> 1
    minus_one = np.where(exponent & 1, -one, one)
    reciprocal = np.where(base == 1, one, np.where(base + one == 0, minus_one, zero))
    return np.where(exponent < 0, reciprocal, result)


def shift(shift: Callable[[Numbers, Numbers], Numbers], lhs: Numbers, rhs: Numbers, outside: Numbers) -> Numbers:
    """Shift by amounts within [0, bits), else `outside`."""
    valid = (rhs >= 0) & (rhs < lhs.dtype.itemsize * 8)
    return np.where(valid, shift(lhs, np.where(valid, rhs, np.zeros_like(rhs))), outside)
