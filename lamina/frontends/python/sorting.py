"""Sorting along an axis; NaN counts as the largest element, and equal elements keep their order."""

from __future__ import annotations

from lamina.diagnostics import LaminaError
from lamina.frontends.python.tracer import Operand, Traced, active_tracer, as_value, operation


@operation
def argsort(x: Operand, axis: int = -1, descending: bool = False) -> Traced:
    """The positions (int64) of the elements along an axis in ascending, or descending, order."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.arg_sort(value, builder.axis(value, axis), descending))


@operation
def sort(x: Operand, axis: int = -1, descending: bool = False) -> Traced:
    """The elements along an axis in ascending, or descending, order."""
    builder = active_tracer().builder
    value = as_value(x)
    return Traced(builder.sort(value, builder.axis(value, axis), descending))


@operation
def top_k(x: Operand, k: int, axis: int = -1, largest: bool = True) -> tuple[Traced, Traced]:
    """The k largest (smallest) elements along an axis, the most extreme first, and their positions (int64)."""
    if k < 0:
        raise LaminaError(f"top_k: expected k of at least 0, found {k}")
    builder = active_tracer().builder
    value = as_value(x)
    values, positions = builder.top_k(value, k, builder.axis(value, axis), largest)
    return Traced(values), Traced(positions)
