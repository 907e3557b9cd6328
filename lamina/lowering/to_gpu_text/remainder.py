"""C's `fmod` as an LLVM function of its own: no GPU has an instruction for it that is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.ir import Operation

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter
from lamina.lowering.to_llvm_text.types import element_text


@dataclass(frozen=True)
class Format:
    """A binary float: the bits of all, and those of its fraction."""

    bits: int
    fraction: int


FORMATS: Mapping[str, Format] = {"float": Format(32, 23), "double": Format(64, 52)}


def function_text(name: str, type_: str) -> str:
    """The function: the mantissa of x is reduced by that of y once per bit that their exponents differ by.

    NaN where x is infinite, y is 0 or one of them is NaN; x where y is larger; the sign is that of x.
    """
    form = FORMATS[type_]
    word, hidden = f"i{form.bits}", 1 << form.fraction
    infinity = ((1 << (form.bits - 1 - form.fraction)) - 1) << form.fraction
    sign = -(1 << (form.bits - 1))
    # Leading zeros of a number whose highest bit is the hidden one.
    leading = form.bits - 1 - form.fraction
    lines = [
        f"define internal {type_} {name}({type_} %x, {type_} %y) nounwind {{",
        "entry:",
        f"  %xb = bitcast {type_} %x to {word}",
        f"  %yb = bitcast {type_} %y to {word}",
        f"  %sign = and {word} %xb, {sign}",
        f"  %ux = and {word} %xb, {-sign - 1}",
        f"  %uy = and {word} %yb, {-sign - 1}",
        f"  %xbad = icmp uge {word} %ux, {infinity}",
        f"  %yzero = icmp eq {word} %uy, 0",
        f"  %ynan = icmp ugt {word} %uy, {infinity}",
        "  %bad0 = or i1 %xbad, %yzero",
        "  %bad = or i1 %bad0, %ynan",
        "  br i1 %bad, label %undefined, label %defined",
        "undefined:",
        f"  %xy = fmul {type_} %x, %y",
        f"  %nan = fdiv {type_} %xy, %xy",
        f"  ret {type_} %nan",
        "defined:",
        f"  %smaller = icmp ult {word} %ux, %uy",
        "  br i1 %smaller, label %same, label %split",
        "same:",
        f"  ret {type_} %x",
        "split:",
    ]
    for side in "xy":
        lines += [
            f"  %z{side} = call {word} @llvm.ctlz.{word}({word} %u{side}, i1 false)",
            f"  %s{side} = sub {word} %z{side}, {leading}",
            f"  %e{side} = lshr {word} %u{side}, {form.fraction}",
            f"  %tiny{side} = icmp eq {word} %e{side}, 0",
            f"  %te{side} = sub {word} 1, %s{side}",
            f"  %tm{side} = shl {word} %u{side}, %s{side}",
            f"  %f{side} = and {word} %u{side}, {hidden - 1}",
            f"  %nm{side} = or {word} %f{side}, {hidden}",
            f"  %exp{side} = select i1 %tiny{side}, {word} %te{side}, {word} %e{side}",
            f"  %man{side} = select i1 %tiny{side}, {word} %tm{side}, {word} %nm{side}",
        ]
    lines += [
        "  br label %loop",
        "loop:",
        f"  %e = phi {word} [ %expx, %split ], [ %lower, %again ]",
        f"  %m = phi {word} [ %manx, %split ], [ %doubled, %again ]",
        f"  %d = sub {word} %m, %many",
        f"  %fits = icmp uge {word} %m, %many",
        f"  %r = select i1 %fits, {word} %d, {word} %m",
        f"  %more = icmp sgt {word} %e, %expy",
        "  br i1 %more, label %again, label %done",
        "again:",
        f"  %doubled = shl {word} %r, 1",
        f"  %lower = sub {word} %e, 1",
        "  br label %loop",
        "done:",
        f"  %zr = call {word} @llvm.ctlz.{word}({word} %r, i1 false)",
        f"  %sr = sub {word} %zr, {leading}",
        f"  %mr0 = shl {word} %r, %sr",
        f"  %er = sub {word} %e, %sr",
        f"  %normal = icmp sgt {word} %er, 0",
        f"  %high = shl {word} %er, {form.fraction}",
        f"  %low = and {word} %mr0, {hidden - 1}",
        f"  %whole = or {word} %high, %low",
        f"  %down0 = sub {word} 1, %er",
        f"  %down = select i1 %normal, {word} 0, {word} %down0",
        f"  %tiny = lshr {word} %mr0, %down",
        f"  %number = select i1 %normal, {word} %whole, {word} %tiny",
        f"  %nothing = icmp eq {word} %r, 0",
        f"  %size = select i1 %nothing, {word} 0, {word} %number",
        f"  %signed = or {word} %size, %sign",
        f"  %result = bitcast {word} %signed to {type_}",
        f"  ret {type_} %result",
        "}",
    ]
    return "\n".join(lines)


def remainder(printer: FunctionPrinter, op: Operation) -> None:
    """`arith.remf` as a call of the function."""
    type_ = element_text(op.results[0].type)
    form = FORMATS.get(type_)
    if form is None:
        raise LaminaError(f"remainders of {type_} are not supported in kernels")
    name, count = f"@lamina_fmod_{form.bits}", f"@llvm.ctlz.i{form.bits}"
    printer.module.declarations[count] = f"declare i{form.bits} {count}(i{form.bits}, i1)"
    if name not in printer.module.definitions:
        printer.module.define(name, function_text(name, type_))
    left, right = (printer.text(operand) for operand in op.operands)
    printer.set(op.results[0], printer.value(f"call {type_} {name}({type_} {left}, {type_} {right})"))


REMAINDER_CASES: Mapping[str, Case] = {"arith.remf": remainder}
"""For every kind of GPU."""
