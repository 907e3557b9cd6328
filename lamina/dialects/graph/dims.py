"""Dimension sizes: an int, or a polynomial over named symbols with integer coefficients.

One arithmetic serves type inference, the shape analysis and code generation: a rule written with `+ - * // %` and
`maximum`/`minimum` works for static and dynamic sizes alike. Two expressions are equal when their normal forms are,
so that `2 * batch - batch == batch`. A symbol stands for a size between 0 and `MAX_SIZE`; expressions may be negative.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

MAX_SIZE = 2**48
"""No axis is longer: what one process can address. Slice limits at or above it mean "to the end"."""

SIGNED_PREFIX = "signed_"
"""Symbols with such names stand for integers that data gives, which may be negative (a slice's start)."""

MAX_TEXT, MAX_NAME = 4096, 256
"""Longer expressions and names are refused: they come from damaged files, not from models."""


@dataclass(frozen=True)
class Symbol:
    """A named unknown size, such as `batch`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Call:
    """A size that no polynomial expresses: `floordiv`, `max` or `min` of two sizes."""

    function: str
    operands: tuple[Dim, Dim]

    def __str__(self) -> str:
        return f"{self.function}({self.operands[0]}, {self.operands[1]})"


Atom: TypeAlias = Symbol | Call
Monomial: TypeAlias = tuple[Atom, ...]

FUNCTIONS: Mapping[str, Callable[[int, int], int]] = {
    "floordiv": lambda a, b: a // (b or 1),
    "mod": lambda a, b: a % b if b else a,
    "max": max,
    "min": min,
}
"""A quotient by 0 is the dividend, and so is the remainder: an axis without elements must stop nothing."""


@dataclass(frozen=True)
class DimExpr:
    """A polynomial in normal form: (monomial, coefficient) pairs, sorted, no zero coefficients, not a constant."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Dim) -> Dim:
        return _combine(self, other, 1)

    __radd__ = __add__

    def __sub__(self, other: Dim) -> Dim:
        return _combine(self, other, -1)

    def __rsub__(self, other: int) -> Dim:
        return _combine(other, self, -1)

    def __mul__(self, other: Dim) -> Dim:
        product: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right, key=str))
                product[monomial] = product.get(monomial, 0) + a * b
        return _normal(product)

    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return self * -1

    def __floordiv__(self, other: Dim) -> Dim:
        return _divide(self, other)

    def __rfloordiv__(self, other: int) -> Dim:
        return _divide(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return self - _divide(self, other) * other if exact_quotient(self, other) is None else 0

    def __rmod__(self, other: int) -> Dim:
        return other - _divide(other, self) * self if exact_quotient(other, self) is None else 0

    def __str__(self) -> str:
        def term(monomial: Monomial, coefficient: int) -> str:
            factors = [str(atom) for atom in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            return "*".join(factors)

        text = ""
        for monomial, coefficient in self.terms:
            sign = "-" if coefficient < 0 else "+" if text else ""
            text += sign + term(monomial, coefficient)
        return text

    __repr__ = __str__


Dim: TypeAlias = int | DimExpr
Shape: TypeAlias = tuple[Dim, ...]


def _terms(dim: Dim) -> Iterable[tuple[Monomial, int]]:
    if isinstance(dim, DimExpr):
        return dim.terms
    return (((), dim),) if dim else ()


def _normal(terms: Mapping[Monomial, int]) -> Dim:
    kept = {monomial: coefficient for monomial, coefficient in terms.items() if coefficient}
    if not kept:
        return 0
    if tuple(kept) == ((),):
        return kept[()]
    return DimExpr(tuple(sorted(kept.items(), key=lambda item: (-len(item[0]), [str(atom) for atom in item[0]]))))


def _combine(left: Dim, right: Dim, sign: int) -> Dim:
    total = dict(_terms(left))
    for monomial, coefficient in _terms(right):
        total[monomial] = total.get(monomial, 0) + sign * coefficient
    return _normal(total)


def _call(function: str, left: Dim, right: Dim) -> Dim:
    if function in _COMMUTATIVE and str(left) > str(right):
        left, right = right, left
    return DimExpr((((Call(function, (left, right)),), 1),))


_COMMUTATIVE = ("max", "min")


def exact_quotient(dividend: Dim, divisor: Dim) -> Dim | None:
    """`dividend / divisor` where the division is exact for every value of the symbols, else None."""
    divisor_terms = tuple(_terms(divisor))
    if len(divisor_terms) != 1:
        return 1 if dividend == divisor and divisor_terms else None
    ((monomial, coefficient),) = divisor_terms
    quotient: dict[Monomial, int] = {}
    for atoms, factor in _terms(dividend):
        rest = list(atoms)
        for atom in monomial:
            if atom not in rest:
                return None
            rest.remove(atom)
        if factor % coefficient:
            return None
        quotient[tuple(rest)] = factor // coefficient
    return _normal(quotient)


def _divide(dividend: Dim, divisor: Dim) -> Dim:
    if isinstance(dividend, int) and isinstance(divisor, int):
        return FUNCTIONS["floordiv"](dividend, divisor)
    if divisor == 0:
        return dividend
    if dividend == 0:
        return 0
    exact = exact_quotient(dividend, divisor)
    if exact is not None:
        return exact
    # floor((q·d + r) / d) = q + floor(r / d)
    whole: Dim = 0
    rest: Dim = 0
    for monomial, coefficient in _terms(dividend):
        term = _normal({monomial: coefficient})
        quotient = exact_quotient(term, divisor)
        if quotient is None:
            rest = rest + term
        else:
            whole = whole + quotient
    if isinstance(divisor, int):
        low, high = bounds(rest)
        if low // divisor == high // divisor:
            return whole + low // divisor
        nested = _single_call(rest)
        if nested is not None and nested.function == "floordiv" and divisor > 0:
            inner = nested.operands[1]
            if isinstance(inner, int) and inner > 0:
                return whole + _divide(nested.operands[0], inner * divisor)
    low, high = _call_bounds(Call("floordiv", (rest, divisor)))
    return whole + (low if low == high else _call("floordiv", rest, divisor))


def _single_call(dim: Dim) -> Call | None:
    """The call, where an expression is nothing but one."""
    if isinstance(dim, DimExpr) and len(dim.terms) == 1:
        ((monomial, coefficient),) = dim.terms
        if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Call):
            return monomial[0]
    return None


def bounds(dim: Dim) -> tuple[int, int]:
    """The smallest and the largest value that interval arithmetic allows.

    Symbols are within [0, MAX_SIZE], signed ones within ±MAX_SIZE.
    """
    if isinstance(dim, int):
        return dim, dim
    low = high = 0
    for monomial, coefficient in dim.terms:
        term = (coefficient, coefficient)
        for atom in monomial:
            term = _interval_product(term, _symbol_bounds(atom) if isinstance(atom, Symbol) else _call_bounds(atom))
        low, high = low + term[0], high + term[1]
    return low, high


def _symbol_bounds(atom: Symbol) -> tuple[int, int]:
    return (-MAX_SIZE if atom.name.startswith(SIGNED_PREFIX) else 0, MAX_SIZE)


def _interval_product(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    corners = [a * b for a in left for b in right]
    return min(corners), max(corners)


def _call_bounds(call: Call) -> tuple[int, int]:
    left, right = (bounds(operand) for operand in call.operands)
    if call.function in _COMMUTATIVE:
        choose = FUNCTIONS[call.function]
        return choose(left[0], right[0]), choose(left[1], right[1])
    if right[1] < 1:
        reach = max(abs(left[0]), abs(left[1]))
        return -reach, reach
    # A divisor of 0 has no value: the smallest one is 1.
    corners = [a // b for a in left for b in (max(right[0], 1), right[1])]
    if right[0] < 0:
        corners += [-corner for corner in corners]
    return min(corners), max(corners)


_fresh_names = (f"unknown_{number}" for number in itertools.count())


def fresh() -> Dim:
    """A size that depends on data: a symbol that equals no other."""
    return symbol(next(_fresh_names))


def symbol(name: str) -> Dim:
    """The size called `name`, an identifier."""
    return DimExpr((((Symbol(name),), 1),))


def symbol_name(text: str) -> str:
    """An identifier from any name, so that expressions over it can be read back."""
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text)
    if not name or name[0].isdigit() or keyword.iskeyword(name):
        return "_" + name
    return name


def maximum(left: Dim, right: Dim) -> Dim:
    """max(left, right), folded where the sign of the difference is known."""
    low, high = bounds(left - right)
    if low >= 0:
        return left
    return right if high <= 0 else _call("max", left, right)


def minimum(left: Dim, right: Dim) -> Dim:
    """min(left, right), folded where the sign of the difference is known."""
    low, high = bounds(left - right)
    if low >= 0:
        return right
    return left if high <= 0 else _call("min", left, right)


def truncating_divide(dividend: Dim, divisor: Dim) -> Dim | None:
    """`dividend / divisor` rounded towards zero, None where the signs are unknown or the divisor is 0.

    By a size that is 0 only at run time: the dividend, as all quotients of sizes (`FUNCTIONS`).
    """
    if bounds(divisor) == (0, 0):
        return None
    if isinstance(dividend, int) and isinstance(divisor, int) and divisor:
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    exact = exact_quotient(dividend, divisor)
    if exact is not None:
        return exact
    return dividend // divisor if bounds(dividend)[0] >= 0 and bounds(divisor)[0] >= 0 else None


def ceil_divide(dividend: Dim, divisor: Dim) -> Dim:
    """ceil(dividend / divisor)."""
    return (dividend + divisor - 1) // divisor


def product(dims: Iterable[Dim]) -> Dim:
    """The number of elements of a shape."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def symbols_of(dim: Dim) -> frozenset[str]:
    """The names of the symbols in an expression."""
    if isinstance(dim, int):
        return frozenset()
    names: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            if isinstance(atom, Symbol):
                names.add(atom.name)
            else:
                names |= symbols_of(atom.operands[0]) | symbols_of(atom.operands[1])
    return frozenset(names)


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """Replace symbols by sizes (ints or expressions); symbols without a value stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in monomial:
            if isinstance(atom, Symbol):
                factor = factor * values.get(atom.name, symbol(atom.name))
            else:
                left, right = (substitute(operand, values) for operand in atom.operands)
                factor = factor * _apply(atom.function, left, right)
        total = total + factor
    return total


def _apply(function: str, left: Dim, right: Dim) -> Dim:
    if isinstance(left, int) and isinstance(right, int):
        return FUNCTIONS[function](left, right)
    match function:
        case "max":
            return maximum(left, right)
        case "min":
            return minimum(left, right)
        case "mod":
            return left % right
        case _:
            return left // right


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """The size for given symbols; raises KeyError naming a symbol without a value."""
    result = substitute(dim, values)
    if isinstance(result, int):
        return result
    raise KeyError(", ".join(sorted(symbols_of(result))))


def parse_dim(text: str) -> Dim:
    """Read what `str` of a size prints, or a name: characters that no identifier has become `_`.

    Raises ValueError for other syntax.
    """
    try:
        if len(text) <= MAX_TEXT:
            return _from_ast(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        if 0 < len(text) <= MAX_NAME and not any(character in text for character in "()+*"):
            return symbol(symbol_name(text))
    raise ValueError(f"'{text[:80]}' is not a size")


def _from_ast(node: ast.expr) -> Dim:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return symbol(symbol_name(name))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _from_ast(operand) * -1
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _from_ast(left) + _from_ast(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _from_ast(left) - _from_ast(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _from_ast(left) * _from_ast(right)
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return _apply("floordiv", _from_ast(left), _from_ast(right))
        case ast.Call(func=ast.Name(id=function), args=[left, right]) if function in FUNCTIONS:
            return _apply(function, _from_ast(left), _from_ast(right))
        case _:
            raise ValueError(ast.dump(node))


def static_size(shape: Shape) -> int | None:
    """The number of elements when every size is known, else None."""
    if any(isinstance(dim, DimExpr) for dim in shape):
        return None
    return math.prod(dim for dim in shape if isinstance(dim, int))
