"""Functions of `lamina.ops` that are made of several operations: what NumPy computes, static, symbolic and native."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import LaminaError, ops, spec, trace
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import outcome


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def same(function, expected, *arrays, symbolic=True, exact=True):
    """At the graph level and native, static and with a name for every size above 1."""
    for named in (False, True)[: 1 + symbolic]:
        specs = [
            spec([f"a{i}_{axis}" if named and size > 1 else size for axis, size in enumerate(a.shape)], a.dtype)
            for i, a in enumerate(arrays)
        ]
        traced = trace(function, *specs)
        (reference,) = evaluate(traced.module, arrays, traced.resources)
        (native,) = lamina.compile(traced)(*arrays)
        for result in (reference, native):
            assert result.shape == expected.shape and result.dtype == expected.dtype
            if exact:
                np.testing.assert_array_equal(result, expected)
            else:
                np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-5)


X = normal(3, 4, 5)
ROWS = np.array([[0, -1, 2], [1, 1, 0]])
COLUMNS = np.array([[3], [-4]])
S = np.s_


@pytest.mark.parametrize(
    "key",
    [
        S[ROWS, COLUMNS],
        S[:, COLUMNS, ROWS],
        S[ROWS, :, COLUMNS],
        S[0, :, COLUMNS],
        S[ROWS, :, 0],
        S[ROWS, 0],
        S[0, COLUMNS],
        S[None, ROWS, COLUMNS, None],
        S[ROWS, None, COLUMNS],
        S[..., COLUMNS, COLUMNS],
        S[1:, None, COLUMNS, ::-1],
        S[ROWS, COLUMNS, COLUMNS],
        S[ROWS, 0, None, COLUMNS],
    ],
)
def test_indexing_by_tensors_is_numpys(key):
    same(lambda x: x[key], X[key], X)


def test_indexing_by_traced_tensors():
    same(lambda x, i, j: x[i, j], X[ROWS, COLUMNS], X, ROWS, COLUMNS.astype(np.int32))
    positions = np.array([2, 0, 1])
    same(lambda x, i: x[np.arange(3), i], X[np.arange(3), positions], X, positions)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("values", [[100, 3], [-1, 127], [-128, -100]])
def test_indices_of_few_bits(dtype, values):
    """The axis is longer than the largest number of the indices' dtype."""
    x, positions = normal(300), np.array(values).astype(dtype)
    added = x.copy()
    np.add.at(added, positions, 1)
    same(lambda x, i: x.at[i].add(1.0), added, x, positions)
    same(lambda x, i: x[i], x[positions], x, positions)
    same(lambda x, i: x[i, i], np.outer(x, x)[positions, positions], np.outer(x, x), positions, symbolic=False)
    same(lambda x, i: ops.take_along_axis(x, i, 0), x[positions], x, positions)


def test_indices_beyond_signed_integers():
    x, positions = normal(5), np.array([3, 2**64 - 1], np.uint64)
    same(lambda x, i: x[i], x[[3, 4]], x, positions)


EINSUM = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
    ("i,j->ij", (3,), (4,)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...i->...", (2, 3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ij,ij->i", (3, 4), (3, 4)),
    ("ij,kl", (2, 3), (4, 5)),
    ("ik,kj", (2, 3), (3, 5)),
    ("i,ij,jk->k", (2,), (2, 3), (3, 4)),
    ("ijk,i->kj", (2, 3, 4), (2,)),
    ("...ij->ij", (3, 4)),
]


@pytest.mark.parametrize(("subscripts", "shapes"), [(first, rest) for first, *rest in EINSUM])
def test_einsum(subscripts, shapes):
    arrays = [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    expected = np.einsum(subscripts, *arrays)
    same(lambda *x: ops.einsum(subscripts, *x), expected, *arrays, symbolic=False, exact=False)


POSITIONS = np.array([[[0, -1, 3, 1, 2]], [[1, 1, 0, -4, 3]], [[2, 2, 2, 2, 2]]])
CASES = {
    "tril": (lambda x: ops.tril(x, 1), np.tril(X, 1)),
    "triu": (lambda x: ops.triu(x, -1), np.triu(X, -1)),
    "moveaxis": (lambda x: ops.moveaxis(x, 0, -1), np.moveaxis(X, 0, -1)),
    "moveaxis of two": (lambda x: ops.moveaxis(x, (0, 1), (2, 0)), np.moveaxis(X, (0, 1), (2, 0))),
    "ravel": (ops.ravel, X.ravel()),
    "repeat": (lambda x: ops.repeat(x, 3, 1), np.repeat(X, 3, 1)),
    "repeat none": (lambda x: ops.repeat(x, 0, 1), np.repeat(X, 0, 1)),
    "tile": (lambda x: ops.tile(x, (2, 1, 3)), np.tile(X, (2, 1, 3))),
    "tile to a new axis": (lambda x: ops.tile(x, (2, 1, 1, 2)), np.tile(X, (2, 1, 1, 2))),
    "tile the last": (lambda x: ops.tile(x, 2), np.tile(X, 2)),
    "take_along_axis": (lambda x: ops.take_along_axis(x, POSITIONS, 1), np.take_along_axis(X, POSITIONS, 1)),
    "ones_like": (ops.ones_like, np.ones_like(X)),
    "zeros": (lambda x: ops.zeros(x.shape, "i32") + 0, np.zeros(X.shape, np.int32)),
    "eye": (lambda x: x[0] + ops.eye(x.shape[1], x.shape[2], 1), X[0] + np.eye(4, 5, 1, np.float32)),
}


@pytest.mark.parametrize("name", CASES)
def test_arranging(name):
    function, expected = CASES[name]
    # Positions of a constant's shape need a tensor of these sizes.
    same(function, expected, X, symbolic=name != "take_along_axis")


def test_roll():
    for shift in (0, 1, -2, 7):
        same(lambda x, shift=shift: ops.roll(x, shift, 1) + 0, np.roll(X, shift, 1), X, symbolic=False)


def test_activations():
    x = np.array([-200.0, -3.5, -1, -0.0, 0, 0.5, 2, 7, 200], np.float32)
    wide = x.astype(np.float64)
    clipped = np.clip(wide + 3, 0, 6)
    for function, expected in (
        (ops.relu6, np.clip(wide, 0, 6)),
        (ops.hard_sigmoid, clipped / 6),
        (ops.hard_swish, wide * clipped / 6),
        (ops.leaky_relu, np.where(wide < 0, 0.01 * wide, wide)),
        (ops.elu, np.where(wide < 0, np.expm1(np.minimum(wide, 0)), wide)),
        (ops.softplus, np.logaddexp(wide, 0)),
    ):
        same(function, expected.astype(np.float32), x, exact=False)


def test_logsumexp():
    x = normal(3, 4) * 100
    x[1] = -np.inf
    x[2, 0] = np.inf
    expected = np.logaddexp.reduce(x.astype(np.float64), 1)
    same(lambda x: ops.logsumexp(x, 1), expected.astype(np.float32), x, exact=False)
    same(lambda x: ops.logsumexp(x, 1, keepdims=True), expected.astype(np.float32)[:, None], x, exact=False)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 7])
def test_scan(reverse, length):
    xs = {"a": normal(length, 3), "b": normal(length, seed=1)}
    weight = normal(3, seed=2)

    def step(carried, x):
        total, count = carried
        total = total * 0.5 + x["a"] * x["b"] + weight
        return (total, count + 1), {"sum": total.sum(), "first": x["a"]}

    def function(xs):
        return ops.scan(step, (ops.zeros(3), 0), xs, reverse=reverse)

    expected, sums = np.zeros(3), np.zeros(length)
    for i in reversed(range(length)) if reverse else range(length):
        expected = expected * 0.5 + xs["a"][i] * xs["b"][i] + weight
        sums[i] = expected.sum()
    for size in (length, "n"):
        executable = lamina.compile(trace(function, {"a": spec((size, 3)), "b": spec(size)}))
        (total, count), ys = executable(xs)
        assert count == length
        np.testing.assert_allclose(total, expected, rtol=1e-5)
        np.testing.assert_allclose(ys["sum"], sums, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(ys["first"], xs["a"])


def test_scan_over_positions():
    def function(x):
        last, squares = ops.scan(lambda total, i: (total + i, i * i), 0, length=x.shape[0])
        return last, squares, ops.fori_loop(4, lambda i, total: total * 2 + i, 1)

    executable = lamina.compile(trace(function, spec("n")))
    for count in (0, 5):
        last, squares, looped = executable(np.zeros(count, np.float32))
        assert last == sum(range(count)) and squares.tolist() == [i * i for i in range(count)]
        assert looped == 1 * 16 + 0 + 1 * 4 + 2 * 2 + 3


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: ops.einsum("ij,jk", x), "'ij,jk' is for 2 operands, found 1"),
        (lambda x: ops.einsum("ij->i", x), "'ij' in 'ij->i' does not name the axes of an operand of rank 3"),
        (lambda x: ops.einsum("iij->j", x), "a label stands twice in 'iij'"),
        (lambda x: ops.einsum("ijk->l", x), "has a label twice, or one that no operand has"),
        (lambda x: ops.scan(lambda c, x: (c, x), 0, x, length=3), "either tensors to scan or a length"),
        (lambda x: ops.scan(lambda c, x: (c, x), 0), "either tensors to scan or a length"),
        (lambda x: ops.scan(lambda c, x: c, x[0], x), "expected the function to give (carried values, step's result)"),
        (lambda x: ops.scan(lambda c, x: ((c, c), x), x[0], x), "the carried values: expected the structure *"),
        (lambda x: ops.scan(lambda c, x: (c[0], x), x[0], x), "types (4x5xf32), found (5xf32)"),
        (lambda x: ops.tril(x[0, 0]), "tril: expected at least two axes, found [5]"),
        (lambda x: ops.moveaxis(x, (0, 1), (0, 0)), "expected as many different axes"),
        (lambda x: ops.repeat(x, -1, 0), "copies of at least 0, found -1"),
        (lambda x: ops.take_along_axis(x, np.zeros(3, np.int64), 0), "indices with 3 axes, found [3]"),
        (lambda x: ops.linear(x, x[0, 0]), "linear: expected a weight (out, in), found [5]"),
        (lambda x: ops.linear(x, np.ones(5, np.float32)), "linear: expected a weight (out, in), found [5]"),
        (lambda x: ops.einsum("...ij->ij", x), "einsum: the axes of '...' are missing in the result"),
        (lambda x: ops.einsum("...ij,...jk->ik", x, x), "einsum: the axes of '...' are missing in the result"),
        (lambda x: ops.einsum(3, x), "einsum: expected subscripts first, found 3"),
        (lambda x: ops.group_norm(x[0, 0], 1, 1.0, 0.0), "group_norm: expected (batch, features, …), found [5]"),
        (lambda x: ops.rotary(x[0, 0]), "rotary: expected (…, length, size), found [5]"),
        (lambda x: ops.reach(x[0, 0], x, 0), "reach: expected queries (…, length, size), found [5]"),
        (lambda x: ops.reach(x, x[0, 0], 0), "reach: expected keys (…, capacity, size), found [5]"),
        (lambda x: ops.attention(x[0, 0], x, x), "attention: expected queries (…, heads, length, size), found [5]"),
        (lambda x: ops.split_heads(x[0, 0], 5), "split_heads: expected (…, length, heads · size), found [5]"),
        (lambda x: ops.split_heads(x, 3), "number of heads that divides 5, found 3"),
        (lambda x: ops.rotary(x), "rotary: expected an even size, found 5"),
        (lambda x: ops.group_norm(x, 3, x[0, :, 0], x[0, :, 0]), "groups that divides 4, found 3"),
        (lambda x: ops.conv_transpose(x, x[0]), "expected a tensor and a kernel of equal rank"),
        (lambda x: ops.conv_transpose(x, np.ones((4, 2, 3), np.float32), groups=3), "divides 4, found 3"),
        (lambda x: ops.resize(x), "either a size or a scale"),
        (lambda x: ops.resize(x, 3, mode="best"), "one of nearest, linear, cubic as the mode, found 'best'"),
        (lambda x: ops.resize(x, scale=(1, 2)), "one scale or 1, one per spatial axis, found [1, 2]"),
        (lambda x: ops.attention(x, x, x[..., :3], mask=x > 0), "graph.attention"),
    ],
)
def test_errors_name_the_line(function, message):
    with pytest.raises(LaminaError) as caught:
        trace(function, spec((3, 4, 5)))
    assert message in caught.value.message
    assert __file__ in caught.value.where


def test_a_name_without_a_tensor():
    assert "no tensor has the size 'k'" in outcome(trace, lambda x: ops.zeros(spec("k").shape), spec(2))
