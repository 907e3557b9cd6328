"""Conversion of elements between dtypes, as `graph.cast` defines it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lamina.dialects.graph.arithmetic import Numbers
from lamina.dialects.graph.types import BFLOAT16, FLOAT16, DType


def convert(array: Numbers, target: DType) -> Numbers:
    """Convert elements; never warns.

    To bool: `!= 0` (NaN is true). Float to integer: towards zero, saturating, NaN gives 0. Integer to integer: modulo
    2^bits. To a float: to nearest, ties to even, in one rounding.
    """
    source = array.dtype
    if source == target:
        return array
    if target == np.bool_:
        return np.asarray(array != 0)
    with np.errstate(all="ignore"):
        if target.kind in "iu" and _is_float(source):
            return _to_integer(array.astype(np.float64), target)
        if target in (FLOAT16, BFLOAT16) and source.itemsize > 2:
            return _round_to_odd(array).astype(target)
        return array.astype(target)


def _is_float(dtype: DType) -> bool:
    return dtype.kind == "f" or dtype == BFLOAT16


def _to_integer(array: npt.NDArray[np.float64], target: DType) -> Numbers:
    limits = np.iinfo(cast(Any, target))
    # 2^63 and 2^64 are exact in float64, the largest integers are not.
    above = array >= float(limits.max) + (0.0 if target.itemsize == 8 else 1.0)
    below = array < float(limits.min)
    inside = np.where(above | below | np.isnan(array), 0.0, array).astype(target)
    return np.where(above, target.type(limits.max), np.where(below, target.type(limits.min), inside))


def _round_to_odd(array: Numbers) -> npt.NDArray[np.float32]:
    """To float32 so that a second rounding, to 11 bits or fewer, gives what one rounding would.

    An inexact result gets an odd last bit (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
    algorithms using rounding to odd", 2008).
    """
    rounded = array.astype(np.float32)
    if array.dtype == np.float32:
        return rounded
    exact = rounded.astype(np.float64)
    if array.dtype == np.float64:
        too_high, too_low = exact > array, exact < array
    else:
        # Integers below 2^63 compare exactly as integers; a float32 at or above 2^63 is past all of them but u64's.
        limits = np.iinfo(array.dtype)
        overflow = exact > float(limits.max) if limits.bits < 64 else exact >= float(limits.max)
        back = np.where(overflow, 0.0, exact).astype(array.dtype)
        too_high, too_low = overflow | (back > array), ~overflow & (back < array)
    even = (rounded.view(np.uint32) & 1) == 0
    rounded = np.where(even & too_high & np.isfinite(exact), np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return np.where(even & too_low & np.isfinite(exact), np.nextafter(rounded, np.float32(np.inf)), rounded)
