"""Lane masks: constants where the sizes are known, comparisons with lane numbers where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina.lowering.to_llvm_text.values import Scalar

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import FunctionPrinter

ALL_LANES = "splat (i1 true)"
NO_LANES = "splat (i1 false)"


def lane_numbers(width: int, start: int, element: str, factor: int = 1) -> str:
    """The constants start, start + 1, … times `factor`."""
    return "<" + ", ".join(f"{element} {(start + lane) * factor}" for lane in range(width)) + ">"


def prefix_mask(printer: FunctionPrinter, width: int, start: int, count: Scalar) -> str:
    """The lanes start … start + width - 1 that are less than `count`."""
    if isinstance(count, int):
        valid = count - start
        if valid >= width:
            return ALL_LANES
        if valid <= 0:
            return NO_LANES
        return "<" + ", ".join(f"i1 {'true' if lane < valid else 'false'}" for lane in range(width)) + ">"
    # Lane numbers are compared in 32 bits (one register each), the count clamped to what they can reach.
    i64, limit = "i64", 2**31 - 1
    low = printer.reused(printer.intrinsic("smax", i64, [(i64, count), (i64, "0")], [i64]))
    bounded = printer.reused(printer.intrinsic("smin", i64, [(i64, low), (i64, str(limit))], [i64]))
    narrow = printer.reused(f"trunc i64 {bounded} to i32")
    type_ = f"<{width} x i32>"
    bound = printer.splat(type_, narrow)
    return printer.reused(f"icmp ult {type_} {lane_numbers(width, start, 'i32')}, {bound}")


def both(printer: FunctionPrinter, width: int, left: str, right: str) -> str:
    """The lanes that are in both masks."""
    if left == ALL_LANES or right == NO_LANES:
        return right
    if right == ALL_LANES or left == NO_LANES:
        return left
    return printer.reused(f"and <{width} x i1> {left}, {right}")


def row_mask(printer: FunctionPrinter, width: int, index: int, count: Scalar) -> str:
    """All lanes when `index < count`, else none."""
    if isinstance(count, int):
        return ALL_LANES if index < count else NO_LANES
    flag = printer.reused(f"icmp sgt i64 {count}, {index}")
    return printer.splat(f"<{width} x i1>", flag)
