"""What recognizing composites stands on: products, polynomials and roots read off a tree of ops, in any order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.dialects.graph.canonicalization.support import sizes, splat
from lamina.dialects.graph.composite import MeanOp
from lamina.dialects.graph.elementwise import (
    AbsOp,
    AddOp,
    DivideOp,
    MultiplyOp,
    NegateOp,
    PowerOp,
    RsqrtOp,
    SelectOp,
    SqrtOp,
    SubtractOp,
)
from lamina.dialects.graph.types import is_float

MAX_DEPTH: Final = 8
"""How many ops deep a tree is followed."""

MAX_DEGREE: Final = 3
"""The highest power that a polynomial here has."""

EPSILONS: Mapping[str, float] = {"f64": 2.0**-52, "f32": 2.0**-23, "f16": 2.0**-10, "bf16": 2.0**-7}
"""The distance from 1 to the next number of a float type."""

Polynomial = dict[int, float]
"""Exponent → coefficient."""

Linear = tuple[SSAValue, float, float]
"""(x, a, b) for a · x + b."""


def element_type(value: SSAValue) -> Attribute:
    """The element type of a tensor."""
    return cast("TensorType[Attribute]", value.type).get_element_type()


def rank(value: SSAValue) -> int:
    """The number of axes of a tensor."""
    return len(sizes(value))


def is_float_tensor(value: SSAValue) -> bool:
    """Whether the elements are floats."""
    return is_float(element_type(value))


def scalar(value: SSAValue) -> float | None:
    """The one element of a constant of floats, which stretches no other operand."""
    if not is_float_tensor(value) or any(size != 1 for size in sizes(value)):
        return None
    number = splat(value)
    return None if number is None else float(number)


def equal(found: float, expected: float, of_type: Attribute) -> bool:
    """Whether a constant is `expected` rounded to an element type, a few units in the last place aside."""
    return abs(found - expected) <= 8 * EPSILONS[str(of_type)] * abs(expected)


def sole_user(value: SSAValue) -> Operation | None:
    """The op that alone uses a value, once."""
    use = next(iter(value.uses), None)
    return use.operation if use is not None and value.has_one_use() else None


def scalar_factor(op: MultiplyOp | DivideOp) -> tuple[SSAValue, float] | None:
    """(x, c) for x · c or x / c."""
    right = scalar(op.rhs)
    if right is not None:
        if isinstance(op, MultiplyOp):
            return op.lhs, right
        return (op.lhs, 1 / right) if right else None
    left = scalar(op.lhs)
    return (op.rhs, left) if left is not None and isinstance(op, MultiplyOp) else None


def visited_factors(value: SSAValue) -> list[SSAValue]:
    """The values met when a product is taken apart, its factors and partial products, constants left out."""
    found: dict[SSAValue, None] = {}
    pending = [(value, 0)]
    while pending:
        current, depth = pending.pop()
        owner = current.owner
        if current is not value and scalar(current) is None:
            found[current] = None
        if depth < MAX_DEPTH and isinstance(owner, MultiplyOp):
            pending += [(owner.lhs, depth + 1), (owner.rhs, depth + 1)]
        elif depth < MAX_DEPTH and isinstance(owner, DivideOp | NegateOp):
            pending.append((owner.operands[0], depth + 1))
    return list(found)


def factors(value: SSAValue, whole: SSAValue, depth: int = MAX_DEPTH) -> tuple[float, list[SSAValue]]:
    """A product as coefficient and factors; `whole` is not taken apart."""
    number = scalar(value)
    if number is not None:
        return number, []
    owner = value.owner
    if value is whole or depth == 0:
        return 1.0, [value]
    if isinstance(owner, MultiplyOp):
        (left, lefts), (right, rights) = (factors(operand, whole, depth - 1) for operand in owner.operands)
        return left * right, [*lefts, *rights]
    if isinstance(owner, DivideOp) and (divisor := scalar(owner.rhs)):
        coefficient, values = factors(owner.lhs, whole, depth - 1)
        return coefficient / divisor, values
    if isinstance(owner, NegateOp):
        coefficient, values = factors(owner.operand, whole, depth - 1)
        return -coefficient, values
    return 1.0, [value]


def linear(value: SSAValue, depth: int = MAX_DEPTH) -> Linear:
    """A value as a · x + b with x not of that form."""
    owner = value.owner
    if depth == 0:
        return value, 1.0, 0.0
    if isinstance(owner, NegateOp):
        x, a, b = linear(owner.operand, depth - 1)
        return x, -a, -b
    if isinstance(owner, AddOp | MultiplyOp | SubtractOp | DivideOp):
        left, right = scalar(owner.lhs), scalar(owner.rhs)
        match owner:
            case AddOp() if (number := right if right is not None else left) is not None:
                x, a, b = linear(owner.lhs if right is not None else owner.rhs, depth - 1)
                return x, a, b + number
            case MultiplyOp() if (number := right if right is not None else left) is not None:
                x, a, b = linear(owner.lhs if right is not None else owner.rhs, depth - 1)
                return x, a * number, b * number
            case SubtractOp() if right is not None:
                x, a, b = linear(owner.lhs, depth - 1)
                return x, a, b - right
            case DivideOp() if right:
                x, a, b = linear(owner.lhs, depth - 1)
                return x, a / right, b / right
            case _:
                pass
    return value, 1.0, 0.0


def polynomial(value: SSAValue, x: SSAValue, depth: int = MAX_DEPTH) -> Polynomial | None:
    """A value as a polynomial in x of degree 3 at most; None where it is none."""
    if value is x:
        return {1: 1.0}
    number = scalar(value)
    if number is not None:
        return {0: number}
    owner = value.owner
    if depth == 0 or not isinstance(owner, Operation):
        return None
    rule = _POLYNOMIAL_RULES.get(type(owner))
    if rule is None:
        return None
    parts = [polynomial(operand, x, depth - 1) for operand in owner.operands]
    known = [part for part in parts if part is not None]
    return rule(*known) if len(known) == len(parts) else None


def _sum(left: Polynomial, right: Polynomial) -> Polynomial:
    return {degree: left.get(degree, 0.0) + right.get(degree, 0.0) for degree in {**left, **right}}


def _difference(left: Polynomial, right: Polynomial) -> Polynomial:
    return _sum(left, _negative(right))


def _negative(only: Polynomial) -> Polynomial:
    return {degree: -coefficient for degree, coefficient in only.items()}


def _product(left: Polynomial, right: Polynomial) -> Polynomial | None:
    result: Polynomial = {}
    for first, a in left.items():
        for second, b in right.items():
            if first + second > MAX_DEGREE:
                return None
            result[first + second] = result.get(first + second, 0.0) + a * b
    return result


def _quotient(left: Polynomial, right: Polynomial) -> Polynomial | None:
    divisor = right.get(0, 0.0)
    if set(right) != {0} or divisor == 0:
        return None
    return {degree: coefficient / divisor for degree, coefficient in left.items()}


def _power(base: Polynomial, exponent: Polynomial) -> Polynomial | None:
    times = exponent.get(0)
    if set(exponent) != {0} or times not in (1.0, 2.0, 3.0):
        return None
    result: Polynomial | None = base
    for _ in range(int(times) - 1):
        result = None if result is None else _product(result, base)
    return result


_POLYNOMIAL_RULES: Mapping[type[Operation], Callable[..., Polynomial | None]] = {
    AddOp: _sum,
    SubtractOp: _difference,
    NegateOp: _negative,
    MultiplyOp: _product,
    DivideOp: _quotient,
    PowerOp: _power,
}


# ---- roots and means


def rooted(value: SSAValue) -> SSAValue | None:
    """v of √v; also of v^0.5 as `canonicalize` expands it: inf where v is -inf, else |√v|."""
    owner = value.owner
    if isinstance(owner, SelectOp) and isinstance(owner.on_false.owner, AbsOp):
        owner = owner.on_false.owner.operand.owner
    elif isinstance(owner, PowerOp) and scalar(owner.rhs) == 0.5:
        return owner.lhs
    return owner.operand if isinstance(owner, SqrtOp) else None


def inverse_root(value: SSAValue) -> SSAValue | None:
    """v of 1 / √v."""
    owner = value.owner
    if isinstance(owner, RsqrtOp):
        return owner.operand
    if isinstance(owner, PowerOp) and scalar(owner.rhs) == -0.5:
        return owner.lhs
    if isinstance(owner, DivideOp) and scalar(owner.lhs) == 1.0:
        return rooted(owner.rhs)
    return None


def over_root(value: SSAValue) -> list[tuple[SSAValue, SSAValue]]:
    """The (n, v) for which a value is n / √v."""
    owner = value.owner
    if isinstance(owner, DivideOp):
        v = rooted(owner.rhs)
        return [] if v is None else [(owner.lhs, v)]
    if isinstance(owner, MultiplyOp):
        pairs = ((owner.lhs, owner.rhs), (owner.rhs, owner.lhs))
        return [(kept, v) for kept, other in pairs if (v := inverse_root(other)) is not None]
    return []


def trailing_mean(value: SSAValue) -> tuple[SSAValue, int] | None:
    """(x, axis) of a mean of x over all axes from `axis` on, kept as axes of size 1."""
    owner = value.owner
    if not isinstance(owner, MeanOp) or owner.keep_dimensions is None:
        return None
    axes = sorted(owner.dimensions.get_values())
    if not axes or axes != list(range(axes[0], rank(owner.operand))):
        return None
    return owner.operand, axes[0]


def squared(value: SSAValue) -> SSAValue | None:
    """x of x²."""
    owner = value.owner
    if isinstance(owner, MultiplyOp) and owner.lhs is owner.rhs:
        return owner.lhs
    if isinstance(owner, PowerOp) and scalar(owner.rhs) == 2.0:
        return owner.lhs
    return None
