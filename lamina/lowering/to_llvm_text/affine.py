"""`affine.apply` and `affine.min`: affine expressions as index arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import Operation
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineSymExpr,
)

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.values import Scalar

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter


def floor_division(printer: FunctionPrinter, left: Scalar, right: Scalar) -> Scalar:
    """left floordiv right for a positive right."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    if isinstance(right, int) and right & (right - 1) == 0:
        return left if right == 1 else printer.reused(f"ashr i64 {left}, {right.bit_length() - 1}")
    quotient = printer.reused(f"sdiv i64 {left}, {right}")
    rest = printer.reused(f"srem i64 {left}, {right}")
    negative = printer.reused(f"ashr i64 {rest}, 63")
    return printer.reused(f"add i64 {quotient}, {negative}")


def ceiling_division(printer: FunctionPrinter, left: Scalar, right: Scalar) -> Scalar:
    """left ceildiv right for a positive right: (left + right - 1) floordiv right."""
    if isinstance(left, int) and isinstance(right, int):
        return -(-left // right)
    return floor_division(printer, printer.add(left, printer.subtract(right, 1)), right)


def modulo(printer: FunctionPrinter, left: Scalar, right: Scalar) -> Scalar:
    """left mod right for a positive right; never negative."""
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    if isinstance(right, int) and right & (right - 1) == 0:
        return printer.reused(f"and i64 {left}, {right - 1}")
    return printer.subtract(left, printer.multiply(floor_division(printer, left, right), right))


def evaluate(
    printer: FunctionPrinter, expression: AffineExpr, dims: Sequence[Scalar], symbols: Sequence[Scalar]
) -> Scalar:
    """The value of an affine expression."""
    match expression:
        case AffineConstantExpr():
            return expression.value
        case AffineDimExpr():
            return dims[expression.position]
        case AffineSymExpr():
            return symbols[expression.position]
        case AffineBinaryOpExpr():
            left = evaluate(printer, expression.lhs, dims, symbols)
            right = evaluate(printer, expression.rhs, dims, symbols)
            return BINARY[expression.kind](printer, left, right)
        case _:
            raise LaminaError(f"affine expression {expression} has no translation")


def _add(printer: FunctionPrinter, left: Scalar, right: Scalar) -> Scalar:
    return printer.add(left, right)


def _multiply(printer: FunctionPrinter, left: Scalar, right: Scalar) -> Scalar:
    return printer.multiply(left, right)


BINARY = {
    AffineBinaryOpKind.Add: _add,
    AffineBinaryOpKind.Mul: _multiply,
    AffineBinaryOpKind.Mod: modulo,
    AffineBinaryOpKind.FloorDiv: floor_division,
    AffineBinaryOpKind.CeilDiv: ceiling_division,
}


def _results(printer: FunctionPrinter, op: Operation) -> list[Scalar]:
    attribute = op.properties.get("map") or op.attributes.get("map")
    if not isinstance(attribute, AffineMapAttr):
        raise LaminaError(f"'{op.name}' has no map")
    map_ = attribute.data
    operands = [printer.scalar(operand) for operand in op.operands]
    dims, symbols = operands[: map_.num_dims], operands[map_.num_dims :]
    return [evaluate(printer, result, dims, symbols) for result in map_.results]


def apply(printer: FunctionPrinter, op: Operation) -> None:
    """`affine.apply`"""
    printer.set(op.results[0], _results(printer, op)[0])


def minimum(printer: FunctionPrinter, op: Operation) -> None:
    """`affine.min`"""
    smallest, *others = _results(printer, op)
    for other in others:
        if isinstance(smallest, int) and isinstance(other, int):
            smallest = min(smallest, other)
        else:
            arguments = [("i64", str(smallest)), ("i64", str(other))]
            smallest = printer.reused(printer.intrinsic("smin", "i64", arguments, ["i64"]))
    printer.set(op.results[0], smallest)


AFFINE_CASES: dict[str, Case] = {"affine.apply": apply, "affine.min": minimum}
