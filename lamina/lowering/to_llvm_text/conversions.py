"""Conversions between float types, in instructions that every CPU has (no calls of a compiler's support library)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina.lowering.to_llvm_text.types import BITS, SMALL_FLOATS, element_of, literal, with_element

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import FunctionPrinter


def constant(type_: str, value: float | int) -> str:
    """A constant of an LLVM type, in every lane of a vector."""
    element = element_of(type_)
    text = literal(element, value)
    return f"splat ({element} {text})" if type_.startswith("<") else text


def convert_float(printer: FunctionPrinter, operand: str, source: str, result: str) -> str:
    """A float of one LLVM type as another, rounded to nearest even."""
    source_bits, result_bits = BITS[element_of(source)], BITS[element_of(result)]
    if source == result:
        return operand
    if result_bits > source_bits:
        return printer.value(f"fpext {source} {operand} to {result}")
    if element_of(result) not in SMALL_FLOATS:
        return printer.value(f"fptrunc {source} {operand} to {result}")
    single = with_element(source, "float")
    if source_bits == 64:
        operand = _rounded_to_odd(printer, operand, source)
    elif source_bits == 16:
        operand = printer.value(f"fpext {source} {operand} to {single}")
    if element_of(result) == "half" or printer.rounds_to_bfloat:
        return printer.value(f"fptrunc {single} {operand} to {result}")
    return _float_to_bfloat(printer, operand, single)


def _rounded_to_odd(printer: FunctionPrinter, operand: str, double: str) -> str:
    """A double as a float with the last bit set when inexact, so that a further rounding is not a double rounding.

    S. Boldo, G. Melquiond: "When double rounding is odd", 2005.
    """
    single, integer = with_element(double, "float"), with_element(double, "i32")
    flags = with_element(double, "i1")
    value = printer.value
    nearest = value(f"fptrunc {double} {operand} to {single}")
    back = value(f"fpext {single} {nearest} to {double}")
    inexact = value(f"fcmp one {double} {back}, {operand}")
    size, size_back = (value(printer.intrinsic("fabs", double, [(double, item)], [double])) for item in (operand, back))
    away = value(f"fcmp ogt {double} {size_back}, {size}")
    bits = value(f"bitcast {single} {nearest} to {integer}")
    one = value(f"zext {flags} {away} to {integer}")
    truncated = value(f"sub {integer} {bits}, {one}")
    odd = value(f"or {integer} {truncated}, {constant(integer, 1)}")
    chosen = value(f"select {flags} {inexact}, {integer} {odd}, {integer} {bits}")
    return value(f"bitcast {integer} {chosen} to {single}")


def _float_to_bfloat(printer: FunctionPrinter, operand: str, single: str) -> str:
    """A float as bfloat: add half of the last place, ties to even, and drop the lower half; NaN stays NaN."""
    integer, short, flags = with_element(single, "i32"), with_element(single, "i16"), with_element(single, "i1")
    value = printer.value
    bits = value(f"bitcast {single} {operand} to {integer}")
    upper = value(f"lshr {integer} {bits}, {constant(integer, 16)}")
    odd = value(f"and {integer} {upper}, {constant(integer, 1)}")
    bias = value(f"add {integer} {odd}, {constant(integer, 0x7FFF)}")
    rounded = value(f"add {integer} {bits}, {bias}")
    quiet = value(f"or {integer} {bits}, {constant(integer, 0x400000)}")
    is_nan = value(f"fcmp uno {single} {operand}, {operand}")
    chosen = value(f"select {flags} {is_nan}, {integer} {quiet}, {integer} {rounded}")
    shifted = value(f"lshr {integer} {chosen}, {constant(integer, 16)}")
    narrow = value(f"trunc {integer} {shifted} to {short}")
    return value(f"bitcast {short} {narrow} to {with_element(single, 'bfloat')}")
