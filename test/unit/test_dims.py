"""Symbolic sizes: text, substitution and evaluation agree with Python's integers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lamina.dialects.graph.dims import (
    MAX_SIZE,
    Dim,
    DimExpr,
    bounds,
    ceil_divide,
    evaluate,
    exact_quotient,
    fresh,
    maximum,
    minimum,
    parse_dim,
    product,
    substitute,
    symbol,
    symbol_name,
    symbols_of,
    truncating_divide,
)

NAMES = ("batch", "sequence", "d0")
OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "max": lambda a, b: maximum(a, b),
    "min": lambda a, b: minimum(a, b),
}
ON_INTEGERS = {**OPERATIONS, "max": max, "min": min}

leaves = st.integers(-4, 12) | st.sampled_from(NAMES)
trees = st.recursive(leaves, lambda inner: st.tuples(st.sampled_from(sorted(OPERATIONS)), inner, inner), max_leaves=8)
values = st.fixed_dictionaries({name: st.integers(0, 40) for name in NAMES})


def build(tree, operations, leaf):
    if isinstance(tree, tuple):
        operation, left, right = tree
        return operations[operation](build(left, operations, leaf), build(right, operations, leaf))
    return leaf(tree)


def symbolic(tree) -> Dim:
    try:
        return build(tree, OPERATIONS, lambda leaf: symbol(leaf) if isinstance(leaf, str) else leaf)
    except ZeroDivisionError:
        assume(False)
        raise


def concrete(tree, sizes) -> int:
    try:
        return build(tree, ON_INTEGERS, lambda leaf: sizes[leaf] if isinstance(leaf, str) else leaf)
    except ZeroDivisionError:
        assume(False)
        raise


@given(trees, values)
def test_evaluates_as_python_integers_do(tree, sizes):
    expected = concrete(tree, sizes)
    assert evaluate(symbolic(tree), sizes) == expected


@given(trees)
def test_text_reads_back(tree):
    dim = symbolic(tree)
    assert parse_dim(str(dim)) == dim


@given(trees, values, trees)
def test_substitution_then_evaluation(tree, sizes, replacement):
    inner = symbolic(replacement)
    inner_value = concrete(replacement, sizes)
    assume(bounds(inner)[0] >= 0)
    expected = concrete(tree, {**sizes, "batch": inner_value})
    assert evaluate(substitute(symbolic(tree), {"batch": inner}), sizes) == expected


@given(trees, values)
def test_bounds_hold(tree, sizes):
    low, high = bounds(symbolic(tree))
    assert low <= concrete(tree, sizes) <= high


@given(trees, trees, values)
def test_divisions(left, right, sizes):
    a, b = concrete(left, sizes), concrete(right, sizes)
    assume(b != 0)
    quotient = truncating_divide(symbolic(left), symbolic(right))
    if quotient is not None:
        expected = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        assert evaluate(quotient, sizes) == expected
    exact = exact_quotient(symbolic(left), symbolic(right))
    if exact is not None:
        assert evaluate(exact, sizes) * b == a


def test_division_by_nothing():
    """A literal 0 is no divisor; quotient and remainder by a size that turns out to be 0 are the dividend."""
    n, m = symbol("n"), symbol("m")
    assert truncating_divide(5, 0) is None
    assert truncating_divide(n, 0) is None
    assert evaluate(4 * m // n, {"n": 0, "m": 3}) == 12
    assert evaluate(4 * m % n, {"n": 0, "m": 3}) == 12


@given(trees, trees)
def test_normal_form(left, right):
    a, b = symbolic(left), symbolic(right)
    assert a + b == b + a
    assert a * b == b * a
    assert a - a == 0
    assert (a + b) - b == a
    assert hash(a + b) == hash(b + a)
    assert maximum(a, b) == maximum(b, a)
    assert minimum(a, b) == minimum(b, a)


def test_simplifications():
    s, t = symbol("s"), symbol("t")
    assert 2 * s - s == s
    assert (s * t * 768) // 768 == s * t
    assert (s * t) // t == s
    assert (8 * s + 7) // 8 == s
    assert ((s - 1) // 2) // 2 == (s - 1) // 4
    assert maximum(s, 0) == s
    assert minimum(s, 2**63 - 1) == s
    assert minimum(s, MAX_SIZE) == s
    assert minimum(s + 1, s) == s
    assert ceil_divide(4 * s, 4) == s
    assert product((s, 2, t)) == 2 * s * t
    assert product(()) == 1
    assert str(2 * s * t - 3) == "2*s*t-3"
    assert symbols_of(maximum(s, t) + 1) == {"s", "t"}
    assert fresh() != fresh()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("128", 128),
        ("-3", -3),
        ("batch", symbol("batch")),
        ("2*batch+1", 2 * symbol("batch") + 1),
        ("max(a, b) - 1", maximum(symbol("a"), symbol("b")) - 1),
        ("a//2", symbol("a") // 2),
        ("batch size", symbol("batch_size")),
        ("input.shape[0]", symbol("input_shape_0_")),
        ("2d", symbol("_2d")),
        ("lambda", symbol("_lambda")),
        ("True", symbol("_True")),
    ],
)
def test_names_and_expressions(text, expected):
    dim = parse_dim(text)
    assert dim == expected
    assert parse_dim(str(dim)) == dim


@pytest.mark.parametrize(
    "text", ["", "(", "(" * 5000, "a" * 5000, "f(x)", "max(1)", "a*", "2**3", "-" * 3000 + "(1)", "()"]
)
def test_refuses_what_is_no_size(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_dim(text)


def test_missing_symbol_is_named():
    with pytest.raises(KeyError, match="sequence"):
        evaluate(symbol("batch") + symbol("sequence"), {"batch": 2})


@given(st.text(max_size=20))
def test_any_name_becomes_an_identifier(text):
    name = symbol_name(text)
    assert name.isidentifier()
    dim = symbol(name) * 2 + 1
    assert isinstance(dim, DimExpr)
    assert parse_dim(str(dim)) == dim
