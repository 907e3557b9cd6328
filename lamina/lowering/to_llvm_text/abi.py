"""The call context and the entry points' wrappers: the ABI of docs/architecture.md, in LLVM text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.loop.types import is_memref
from lamina.lowering.to_llvm_text.module import ModuleText, function_symbol, symbol
from lamina.lowering.to_llvm_text.types import element_text

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import FunctionPrinter

CONSTANTS, PARALLEL_FOR, ALLOCATE, RELEASE = 8, 24, 32, 40
"""Byte offsets of pointers in `%lamina.context` that do not change during a call."""
ERROR_CODE, ERROR_MESSAGE = 48, 56
ASSERTION_FAILED, OUT_OF_MEMORY = 1, 2
"""Error codes."""

FAIL = "@lamina.fail"
FAIL_TEXT = f"""\
define internal void {FAIL}(ptr %context, i32 %code, ptr %message) cold noinline nounwind {{
entry:
  %place = getelementptr inbounds i8, ptr %context, i64 {ERROR_CODE}
  %swapped = cmpxchg ptr %place, i32 0, i32 %code monotonic monotonic, align 4
  %first = extractvalue {{ i32, i1 }} %swapped, 1
  br i1 %first, label %keep, label %done
keep:
  %text = getelementptr inbounds i8, ptr %context, i64 {ERROR_MESSAGE}
  store ptr %message, ptr %text, align 8
  br label %done
done:
  ret void
}}"""


def context_field(printer: FunctionPrinter, offset: int) -> str:
    """A pointer out of the call context."""
    place = printer.offset_pointer(printer.context, offset, "i8")
    return printer.reused(f"load ptr, ptr {place}, align 8, !invariant.load !0")


def fail(printer: FunctionPrinter, code: int, message: str) -> None:
    """Store an error in the call context unless there is one."""
    printer.module.define(FAIL, FAIL_TEXT)
    text = printer.module.message(message)
    printer.emit(f"call void {FAIL}(ptr {printer.context}, i32 {code}, ptr {text})")


def argument_types(function: func.FuncOp) -> list[list[str]]:
    """The LLVM types of every MLIR argument, without the context: a buffer is a pointer and its dynamic sizes."""
    lists: list[list[str]] = []
    for type_ in function.function_type.inputs:
        if is_memref(type_):
            lists.append(["ptr", *("i64" for size in type_.get_shape() if size == DYNAMIC_INDEX)])
        else:
            lists.append([element_text(type_)])
    return lists


def wrapper(module: ModuleText, function: func.FuncOp, results: Sequence[str]) -> str:
    """`i32 @lamina.NAME(ptr context, ptr arguments, ptr sizes, ptr results)`; returns its name without `@`.

    Raises LaminaError for an argument that is neither a buffer nor `index`, or a result that is not `index`.
    """
    name = f"lamina.{function.sym_name.data}"
    lines: list[str] = []
    operands = ["ptr %context"]
    counts = {"arguments": 0, "sizes": 0}

    def load(where: str, type_: str) -> None:
        position = counts[where]
        counts[where] += 1
        lines.append(f"  %{where}.{position} = getelementptr inbounds i8, ptr %{where}, i64 {8 * position}")
        lines.append(f"  %{where}.v{position} = load {type_}, ptr %{where}.{position}, align 8")
        operands.append(f"{type_} %{where}.v{position}")

    for type_, parts in zip(function.function_type.inputs, argument_types(function), strict=True):
        if not is_memref(type_) and not isinstance(type_, IndexType):
            raise _cannot_export(function, f"an argument of type {type_}")
        for part in parts:
            load("arguments" if part == "ptr" else "sizes", part)
    for type_ in function.function_type.outputs:
        if not isinstance(type_, IndexType):
            raise _cannot_export(function, f"a result of type {type_}")
    returned = aggregate_type(results)
    call = f"call {returned} {function_symbol(function.sym_name.data)}({', '.join(operands)})"
    lines.append(f"  {call}" if not results else f"  %returned = {call}")
    for position in range(len(results)):
        single = len(results) == 1
        if not single:
            lines.append(f"  %result.{position} = extractvalue {returned} %returned, {position}")
        lines.append(f"  %results.{position} = getelementptr inbounds i8, ptr %results, i64 {8 * position}")
        value = "%returned" if single else f"%result.{position}"
        lines.append(f"  store i64 {value}, ptr %results.{position}, align 8")
    body = "\n".join(lines)
    text = f"""\
define i32 {symbol(name)}(ptr %context, ptr %arguments, ptr %sizes, ptr %results) #0 {{
entry:
  %error = getelementptr inbounds i8, ptr %context, i64 {ERROR_CODE}
  store i32 0, ptr %error, align 8
{body}
  %code = load i32, ptr %error, align 8
  ret i32 %code
}}"""
    module.define(symbol(name), text)
    return name


def aggregate_type(types: Sequence[str]) -> str:
    """The LLVM type of a function's results."""
    if not types:
        return "void"
    return types[0] if len(types) == 1 else f"{{ {', '.join(types)} }}"


def _cannot_export(function: func.FuncOp, what: str) -> LaminaError:
    return LaminaError(
        f"function '{function.sym_name.data}' cannot be called from outside: {what}",
        where=location_text(function.location),
    )
