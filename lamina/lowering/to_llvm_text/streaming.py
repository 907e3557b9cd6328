"""Copies past the caches: stores of whole lines that do not read what they overwrite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina.lowering.to_llvm_text.module import symbol
from lamina.lowering.to_llvm_text.values import Scalar
from lamina.passes.loop.lines import LINE_BYTES

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import FunctionPrinter

SHORTEST = 512
"""Bytes from which on a block is worth the test of where its lines begin."""

NAME = symbol("stream")
UNROLL = 4
VECTOR = f"<{LINE_BYTES // 4} x i32>"
NONTEMPORAL = "!1 = !{i32 1}"


def stream(printer: FunctionPrinter, target: str, source: str, size: Scalar) -> None:
    """Copy `size` bytes between buffers that do not overlap; the function's end has to make the stores visible."""
    _define_helper(printer)
    printer.streams = True
    printer.emit(f"call void {NAME}(ptr {target}, ptr {source}, i64 {size})")


def stream_lines(printer: FunctionPrinter, target: str, source: str, size: Scalar) -> None:
    """Copy whole lines, in place; both pointers are at the start of a line."""
    hint = nontemporal_hint(printer)
    for start in range(0, int(size), LINE_BYTES):
        line = printer.value(f"load {VECTOR}, ptr {printer.offset_pointer(source, start, 'i8')}, align {LINE_BYTES}")
        place = printer.offset_pointer(target, start, "i8")
        printer.emit(f"store {VECTOR} {line}, ptr {place}, align {LINE_BYTES}{hint}")


def nontemporal_hint(printer: FunctionPrinter) -> str:
    """What a store that goes past the caches ends with; the function's end makes it visible."""
    printer.streams = True
    printer.module.define("!1", NONTEMPORAL)
    return ", !nontemporal !1"


def make_visible(printer: FunctionPrinter) -> None:
    """Order streamed stores, which other threads may otherwise see late, before all that follows."""
    if not printer.streams:
        return
    if (printer.module.target.triple or "").startswith("x86_64"):
        printer.emit(printer.intrinsic("x86.sse.sfence", "void", [], []))
    else:
        printer.emit("fence seq_cst")


def _define_helper(printer: FunctionPrinter) -> None:
    """`void stream(ptr target, ptr source, i64 size)`: up to the target's first line, whole lines, the rest."""
    module = printer.module
    if NAME in module.definitions:
        return
    step = UNROLL * LINE_BYTES
    memcpy = "@llvm.memcpy.p0.p0.i64"
    module.declare(memcpy, "void", ["ptr", "ptr", "i64", "i1"])
    lines = [
        f"define internal void {NAME}(ptr noalias %target, ptr noalias %source, i64 %size) #0 {{",
        "entry:",
        "  %address = ptrtoint ptr %target to i64",
        "  %negated = sub i64 0, %address",
        f"  %before = and i64 %negated, {LINE_BYTES - 1}",
        f"  %long = icmp uge i64 %size, {SHORTEST}",
        "  br i1 %long, label %lines, label %short",
        "short:",
        f"  call void {memcpy}(ptr %target, ptr %source, i64 %size, i1 false)",
        "  ret void",
        "lines:",
        f"  call void {memcpy}(ptr %target, ptr %source, i64 %before, i1 false)",
        "  %left = sub i64 %size, %before",
        f"  %whole = and i64 %left, {-step}",
        "  %end = add i64 %before, %whole",
        "  br label %loop",
        "loop:",
        "  %at = phi i64 [ %before, %lines ], [ %next, %loop ]",
    ]
    for number in range(UNROLL):
        lines.append(f"  %at{number} = add i64 %at, {number * LINE_BYTES}")
        lines += [
            f"  %from{number} = getelementptr i8, ptr %source, i64 %at{number}",
            f"  %line{number} = load {VECTOR}, ptr %from{number}, align 1",
        ]
    for number in range(UNROLL):
        lines += [
            f"  %to{number} = getelementptr i8, ptr %target, i64 %at{number}",
            f"  store {VECTOR} %line{number}, ptr %to{number}, align {LINE_BYTES}, !nontemporal !1",
        ]
    lines += [
        f"  %next = add i64 %at, {step}",
        "  %more = icmp ult i64 %next, %end",
        "  br i1 %more, label %loop, label %rest",
        "rest:",
        "  %remaining = sub i64 %size, %end",
        "  %last = getelementptr i8, ptr %target, i64 %end",
        "  %lastsource = getelementptr i8, ptr %source, i64 %end",
        f"  call void {memcpy}(ptr %last, ptr %lastsource, i64 %remaining, i1 false)",
        "  ret void",
        "}",
    ]
    module.define(NAME, "\n".join(lines))
    module.define("!1", NONTEMPORAL)
