"""What manifests of GPU programs are made of: sizes that are known at a call, as numbers or as text over symbols.

`max(4*batch, 64)//32`
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TypeAlias

from lamina.diagnostics import LaminaError

MANIFEST, CONSTANTS, FORMAT_VERSION = "manifest.json", "constants.safetensors", 1
"""The files of a compiled folder that a launcher starts from, and the version of their form."""

Size: TypeAlias = int | str
"""An integer, or an expression over the names of symbolic dims and loop variables."""

OPERATORS: Mapping[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
    ast.BitAnd: lambda left, right: left & right,
    ast.BitOr: lambda left, right: left | right,
}
FUNCTIONS: Mapping[str, Callable[..., int]] = {"min": min, "max": max}


def binary(symbol: str, left: Size, right: Size) -> Size:
    """`left symbol right`, computed where both sides are numbers; `min` and `max` are symbols too."""
    text = f"{symbol}({left}, {right})" if symbol in FUNCTIONS else f"({left} {symbol} {right})"
    if isinstance(left, int) and isinstance(right, int):
        return evaluate(text, {})
    if (symbol, right) in {("+", 0), ("-", 0), ("*", 1), ("//", 1)}:
        return left
    return right if (symbol, left) in {("+", 0), ("*", 1)} else text


def choice(condition: Size, on_true: Size, on_false: Size) -> Size:
    """One of two values."""
    if isinstance(condition, int):
        return on_true if condition else on_false
    return f"({on_true} if {condition} else {on_false})"


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """The value of a size; raises LaminaError for a symbol without a value, or text that is no size."""
    if isinstance(size, int):
        return size
    try:
        return int(_value(ast.parse(size, mode="eval").body, values))
    except (SyntaxError, ZeroDivisionError, KeyError, TypeError) as error:
        raise LaminaError(f"'{size}' has no value: {error}") from None


def _value(node: ast.AST, values: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.BinOp(left=left, op=kind, right=right) | ast.Compare(left=left, ops=[kind], comparators=[right]):
            return OPERATORS[type(kind)](_value(left, values), _value(right, values))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, values) else other, values)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*(_value(argument, values) for argument in arguments))
        case _:
            raise TypeError(f"unexpected {type(node).__name__}")
