"""Reductions against NumPy, ONNX Runtime and plain loops."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block
from xdsl.transforms.canonicalize import CanonicalizePass

from lamina.dialects.graph.reduction import KINDS, ArgReduceOp, CumulativeOp, ReduceOp, ReduceWindowOp, identity_of
from support.graph_ops import check, outcome, parse, type_of
from support.onnx_nodes import run_node

BFLOAT16 = ml_dtypes.bfloat16
ARITHMETIC = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}
LOGICAL = {"and": np.bitwise_and.reduce, "or": np.bitwise_or.reduce}
FLOATS = (np.float64, np.float32, np.float16, BFLOAT16)
INTEGERS = (np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8)
SPECIAL = np.array([[np.nan, 1, -np.inf], [2, np.inf, 0], [-0.0, -3, 2]])

shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
floats = hnp.arrays(np.float32, shapes, elements=st.floats(-8, 8, width=32))


@settings(max_examples=40, deadline=None)
@given(floats, st.data())
@pytest.mark.parametrize("kind", ARITHMETIC)
def test_reduce_is_numpys(kind, x, data):
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True))
    keep = data.draw(st.booleans())
    if kind == "multiply":
        x = x / np.float32(8)  # products of up to 625 elements stay finite
    result = check(ReduceOp, [x], kind, axes, keep)
    initial = {"maximum": {"initial": -np.inf}, "minimum": {"initial": np.inf}}.get(kind, {})
    expected = ARITHMETIC[kind](x.astype(np.float64), axis=tuple(axes), keepdims=keep, **initial)
    # Sums cancel, products do not: theirs are right to the last digits, down to the smallest normal numbers.
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-36 if kind == "multiply" else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, np.bool_))
def test_reduce_of_every_element_type(kind, dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype == np.bool_ else 100, (3, 4, 2)).astype(dtype)
    if not KINDS[kind].elements.accepts(type_of(x).element_type):
        assert "graph.reduce" in outcome(check, ReduceOp, [x], kind, [1])
        return
    result = check(ReduceOp, [x], kind, [1])
    if dtype in FLOATS:
        with np.errstate(over="ignore"):
            expected = ARITHMETIC[kind](x.astype(np.float64), axis=1).astype(dtype)
        np.testing.assert_allclose(result.astype(np.float64), expected.astype(np.float64), rtol=2e-7)
        return
    with np.errstate(over="ignore"):
        expected = KINDS[kind].combine.reduce(x, axis=1, dtype=dtype)
    np.testing.assert_array_equal(result, expected)


def test_reduce_propagates_nan_and_infinities():
    for dtype in FLOATS:
        x = SPECIAL.astype(dtype)
        for kind, function in ARITHMETIC.items():
            with np.errstate(invalid="ignore"):
                expected = function(x.astype(np.float64), axis=1)
            np.testing.assert_array_equal(check(ReduceOp, [x], kind, [1]).astype(np.float64), expected)


def test_narrow_floats_are_summed_in_f32():
    for dtype in (np.float16, BFLOAT16):
        # 2048 ones, or 4096, would stop growing at 2048 (f16) and 256 (bf16) in their own type.
        assert check(ReduceOp, [np.ones((4096,), dtype)], "add", [0]) == 4096
        assert check(CumulativeOp, [np.ones((4096,), dtype)], "add", 0)[-1] == 4096
        window = check(ReduceWindowOp, [np.ones((4096,), dtype)], "add", [4096])
        np.testing.assert_array_equal(window, np.array([4096], dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_combine_gives_the_identity(kind):
    for dtype in (np.float32, np.int8, np.uint8, np.bool_):
        x = np.zeros((2, 0), dtype)
        if KINDS[kind].elements.accepts(type_of(x).element_type):
            np.testing.assert_array_equal(check(ReduceOp, [x], kind, [1]), np.full(2, identity_of(kind, x.dtype)))
            some = np.ones((3,), dtype)
            np.testing.assert_array_equal(KINDS[kind].combine(some, identity_of(kind, some.dtype)), some)
    assert identity_of("maximum", np.dtype(np.float32)) == -np.inf
    assert identity_of("minimum", np.dtype(np.int8)) == 127


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int32, hnp.array_shapes(max_dims=3, max_side=5), elements=st.integers(0, 3)), st.data())
def test_arg_reduce_is_onnx_runtimes_and_numpys(x, data):
    axis = data.draw(st.integers(0, x.ndim - 1))
    last = data.draw(st.booleans())
    keep = data.draw(st.booleans())
    x = x.astype(np.float32)
    for kind, name, function in (("maximum", "ArgMax", np.argmax), ("minimum", "ArgMin", np.argmin)):
        result = check(ArgReduceOp, [x], kind, axis, keep, last)
        if not last:
            np.testing.assert_array_equal(result, function(x, axis=axis, keepdims=keep))
        expected = run_node(name, [x], 13, np.int64, axis=axis, keepdims=int(keep), select_last_index=int(last))
        np.testing.assert_array_equal(result, expected)


def test_arg_reduce_takes_nan_for_the_extreme():
    for dtype in FLOATS:
        x = np.array([[1, np.nan, 5, np.nan], [3, 1, 3, 1]]).astype(dtype)
        for kind, function in (("maximum", np.argmax), ("minimum", np.argmin)):
            np.testing.assert_array_equal(check(ArgReduceOp, [x], kind, 1), function(x.astype(np.float64), axis=1))
        np.testing.assert_array_equal(check(ArgReduceOp, [x], "maximum", 1, False, True), [3, 2])


def test_arg_reduce_over_nothing():
    assert "expected a non-empty axis, found size 0" in outcome(
        check, ArgReduceOp, [np.zeros((2, 0), np.float32)], "maximum", 1
    )
    op = ArgReduceOp(Block(arg_types=[type_of(np.zeros((2, 3), np.float32))]).args[0], "maximum", 1)
    np.testing.assert_array_equal(op.reference(np.zeros((2, 0), np.float32)), [0, 0])


@settings(max_examples=40, deadline=None)
@given(floats, st.data())
def test_cumulative_is_onnx_runtimes_cumsum(x, data):
    axis = data.draw(st.integers(0, x.ndim - 1))
    exclusive, reverse = data.draw(st.booleans()), data.draw(st.booleans())
    result = check(CumulativeOp, [x], "add", axis, exclusive, reverse)
    if x.size:
        expected = run_node("CumSum", [x, np.array(axis, np.int64)], 14, exclusive=int(exclusive), reverse=int(reverse))
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("exclusive", "reverse"), list(itertools.product((False, True), repeat=2)))
def test_cumulative_is_a_reduction_of_each_prefix(kind, exclusive, reverse):
    x = np.random.default_rng(1).integers(1, 50, (2, 5, 3)).astype(np.int16)
    result = check(CumulativeOp, [x], kind, 1, exclusive, reverse)
    for i in range(5):
        part = slice(i + exclusive, None) if reverse else slice(None, i + (not exclusive))
        np.testing.assert_array_equal(result[:, i], check(ReduceOp, [x[:, part]], kind, [1]))


def test_cumulative_propagates_nan():
    result = check(CumulativeOp, [np.array([1, np.nan, 3, 7], np.float32)], "maximum", 0)
    np.testing.assert_array_equal(result, [1, np.nan, np.nan, np.nan])


def naive_window(x, kind, window, strides, dilations, padding):
    low, high = padding[::2], padding[1::2]
    padded = np.pad(x, list(zip(low, high, strict=True)), constant_values=identity_of(kind, x.dtype))
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilations, strict=True)]
    counts = [max((n - r) // s + 1, 0) for n, r, s in zip(padded.shape, reach, strides, strict=True)]
    result = np.empty(counts, x.dtype)
    for position in np.ndindex(*counts):
        corner = [p * s for p, s in zip(position, strides, strict=True)]
        region = tuple(slice(c, c + r, d) for c, r, d in zip(corner, reach, dilations, strict=True))
        result[position] = KINDS[kind].combine.reduce(padded[region], axis=None, dtype=x.dtype)
    return result


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int32, hnp.array_shapes(max_dims=3, min_side=0, max_side=6), elements=st.integers(-9, 9)), st.data()
)
def test_reduce_window_is_a_plain_loops(x, data):
    def draw(low, high, count=x.ndim):
        return data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    kind = data.draw(st.sampled_from(tuple(KINDS)))
    window, strides, dilations, padding = draw(1, 3), draw(1, 3), draw(1, 2), draw(0, 2, 2 * x.ndim)
    expected = naive_window(x, kind, window, strides, dilations, padding)
    fits = all(
        n + padding[2 * i] + padding[2 * i + 1] >= (window[i] - 1) * dilations[i] + 1 for i, n in enumerate(x.shape)
    )
    if fits:
        result = check(ReduceWindowOp, [x], kind, window, strides, dilations, padding)
    else:
        op = ReduceWindowOp(Block(arg_types=[type_of(x)]).args[0], kind, window, strides, dilations, padding)
        assert op.result.type.get_shape() == expected.shape
        result = op.reference(x)
    np.testing.assert_array_equal(result, expected)


def test_reduce_window_is_onnx_runtimes_max_pool():
    x = np.random.default_rng(2).standard_normal((1, 2, 9, 8), np.float32)
    expected = run_node("MaxPool", [x], 12, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], dilations=[2, 1])
    result = check(ReduceWindowOp, [x], "maximum", [1, 1, 3, 2], [1, 1, 2, 1], [1, 1, 2, 1], [0, 0, 0, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((ReduceOp, "mean", [0]), "kind: expected one of add, multiply, maximum, minimum, and, or, found mean"),
        ((ReduceOp, "and", [0]), "and: expected an integer or i1, found f32"),
        ((ReduceOp, "add", [2]), "dimensions: expected axes within [0, 2), found [2]"),
        ((ReduceOp, "add", [0, 0]), "dimensions: expected distinct axes, found [0, 0]"),
        ((ArgReduceOp, "add", 0), "kind: expected one of maximum, minimum, found add"),
        ((ArgReduceOp, "maximum", -1), "dimension: expected axes within [0, 2), found [-1]"),
        ((CumulativeOp, "add", 2), "dimension: expected axes within [0, 2), found [2]"),
        ((ReduceWindowOp, "add", [1]), "window_dimensions: expected 2 entries, found 1"),
        ((ReduceWindowOp, "add", [1, 0]), "window_dimensions: expected values of at least 1, found [1, 0]"),
        ((ReduceWindowOp, "add", [1, 1], [1]), "window_strides: expected 2 entries, found 1"),
        ((ReduceWindowOp, "add", [1, 1], None, [0, 1]), "window_dilations: expected values of at least 1"),
        ((ReduceWindowOp, "add", [1, 1], None, None, [0, 0]), "padding: expected 4 entries, found 2"),
        ((ReduceWindowOp, "add", [1, 1], None, None, [0, 0, 0, -1]), "padding: expected values of at least 0"),
    ],
)
def test_errors_name_expected_and_found(call, message):
    op_type, *arguments = call
    text = outcome(check, op_type, [np.zeros((2, 3), np.float32)], *arguments)
    assert text.startswith(op_type.name) and message in text


def canonical(text: str) -> ModuleOp:
    module = parse(text)
    CanonicalizePass().apply(None, module)
    module.verify()
    return module


def body(module: ModuleOp) -> list[str]:
    (function,) = module.ops
    return [op.name for op in function.body.block.ops]


def test_every_reduction_op_is_covered():
    from lamina.dialects.graph.reduction import REDUCTION_OPS

    assert set(REDUCTION_OPS) == {ReduceOp, ArgReduceOp, CumulativeOp, ReduceWindowOp}


@pytest.mark.parametrize(
    ("line", "result", "expected"),
    [
        ("graph.reduce add %x, [1]", "tensor<4x8xf32>", ["graph.reshape", "func.return"]),
        ("graph.reduce add %x, [1] keep_dimensions", "tensor<4x1x8xf32>", ["func.return"]),
        ("graph.reduce add %x, []", "tensor<4x1x8xf32>", ["func.return"]),
        ("graph.reduce add %x, [2]", "tensor<4x1xf32>", ["graph.reduce", "func.return"]),
        ("graph.mean %x, [1]", "tensor<4x8xf32>", ["graph.reshape", "func.return"]),
        ("graph.mean %x, [0]", "tensor<1x8xf32>", ["graph.mean", "func.return"]),
    ],
)
def test_reductions_of_unit_axes_are_reshapes(line, result, expected):
    module = canonical(
        f"func.func @main(%x: tensor<4x1x8xf32>) -> {result} {{\n"
        f"%y = {line} : tensor<4x1x8xf32> -> {result}\nfunc.return %y : {result}\n}}"
    )
    assert body(module) == expected
