"""dot_general and convolution against NumPy, ONNX Runtime and plain loops."""

from __future__ import annotations

import itertools
import string

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import f32, f64, i1, i8, i32
from xdsl.ir import Block
from xdsl.transforms.canonicalize import CanonicalizePass

from lamina.dialects.graph.contraction import CONTRACTION_OPS, DotGeneralOp
from lamina.dialects.graph.convolution import CONVOLUTION_OPS, ConvolutionOp, axis_order
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import check, outcome, parse, type_of
from support.onnx_nodes import run_node

BFLOAT16 = ml_dtypes.bfloat16


def test_every_op_is_covered():
    assert (*CONTRACTION_OPS, *CONVOLUTION_OPS) == (DotGeneralOp, ConvolutionOp)


@st.composite
def contractions(draw):
    """Two arrays of small integers as floats, and the axes in any order."""
    sizes = st.lists(st.integers(0, 3), max_size=2)
    batch, rows, columns, depth = draw(sizes), draw(sizes), draw(sizes), draw(sizes)
    letters = iter(string.ascii_lowercase)
    names = [[(next(letters), size) for size in group] for group in (batch, rows, columns, depth)]
    batch, rows, columns, depth = names
    left = draw(st.permutations(batch + rows + depth))
    right = draw(st.permutations(batch + columns + depth))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    arrays = [rng.integers(-4, 5, [size for _, size in axes]).astype(np.float32) for axes in (left, right)]
    free = [axis for axis in left if axis in rows] + [axis for axis in right if axis in columns]
    text = "".join(n for n, _ in left) + "," + "".join(n for n, _ in right) + "->"
    text += "".join(n for n, _ in batch + free)
    options = {
        "lhs_contracting_dimensions": [left.index(axis) for axis in depth],
        "rhs_contracting_dimensions": [right.index(axis) for axis in depth],
        "lhs_batching_dimensions": [left.index(axis) for axis in batch],
        "rhs_batching_dimensions": [right.index(axis) for axis in batch],
    }
    return arrays, options, text


@settings(max_examples=100, deadline=None)
@given(contractions())
def test_dot_general_is_einsum(case):
    arrays, options, text = case
    # Small integers: every order of summation gives the same.
    np.testing.assert_array_equal(check(DotGeneralOp, arrays, **options), np.einsum(text, *arrays))


@pytest.mark.parametrize("dtype", (np.float64, np.float32, np.float16, BFLOAT16, np.int64, np.int32, np.int8, np.uint8))
def test_dot_general_of_every_element_type(dtype):
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 9, (4, 300)).astype(dtype), rng.integers(-9, 9, (300, 5)).astype(dtype)
    result = check(DotGeneralOp, [a, b], [1], [0])
    exact = a.astype(np.int64) @ b.astype(np.int64)
    np.testing.assert_array_equal(result, exact.astype(dtype))
    assert result.dtype == dtype


def test_narrow_floats_accumulate_in_f32():
    for dtype in (np.float16, BFLOAT16):
        ones = np.ones((4096,), dtype)
        assert check(DotGeneralOp, [ones, ones], [0], [0]) == 4096
        assert check(DotGeneralOp, [ones, ones], [0], [0], element_type=f32).dtype == np.float32


def test_element_type_of_the_result():
    a, b = np.full((2, 300), 255, np.uint8), np.full((300, 2), -128, np.int8)
    np.testing.assert_array_equal(check(DotGeneralOp, [a, b], [1], [0], element_type=i32), np.full((2, 2), -9792000))
    x = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)
    result = check(DotGeneralOp, [x, x], [1], [1], element_type=f64)
    np.testing.assert_allclose(result, x.astype(np.float64) @ x.T.astype(np.float64), rtol=1e-14)


def test_dot_general_propagates_nan_and_infinities():
    a = np.array([[np.nan, 1], [np.inf, 0], [np.inf, -np.inf], [1, 2]], np.float32)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(check(DotGeneralOp, [a, a], [1], [1]), a @ a.T)


def test_matmul_is_onnx_runtimes():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 3, 5, 7), np.float32), rng.standard_normal((2, 3, 7, 4), np.float32)
    block = Block(arg_types=[type_of(a), type_of(b)])
    op = DotGeneralOp.matmul(*block.args)
    op.verify()
    np.testing.assert_allclose(op.reference(a, b), run_node("MatMul", [a, b], 13), rtol=1e-4, atol=1e-5)


A, B = np.zeros((2, 3, 4), np.float32), np.zeros((2, 4, 5), np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([A, B], ([2], [1, 0]), "rhs_contracting_dimensions: expected 1 entries, found 2"),
        ([A, B], ([2], [1], [0], []), "rhs_batching_dimensions: expected 1 entries, found 0"),
        ([A, B], ([3], [1]), "axes of the left operand: expected axes within [0, 3), found [3]"),
        ([A, B], ([2], [1], [2], [0]), "axes of the left operand: expected distinct axes, found [2, 2]"),
        ([A, B], ([1], [1], [0], [0]), "contracted axes 1 and 1: expected equal sizes, found 3 and 4"),
        ([A, B], ([2], [1], [1], [0]), "batch axes 1 and 0: expected equal sizes, found 3 and 2"),
        ([A, B.astype(np.float64)], ([2], [1]), "expected operands of equal element types, found f32 and f64"),
        ([A.astype(np.int8), B.astype(np.uint8)], ([2], [1]), "expected operands of equal element types"),
        ([A.astype(bool), B.astype(bool)], ([2], [1]), "expected operands of a float or an integer, found i1"),
        ([A, B], ([2], [1], (), (), i8), "element_type: expected a float, found i8"),
        ([A.astype(np.int8), B.astype(np.int8)], ([2], [1], (), (), i1), "element_type: expected an integer, found i1"),
    ],
)
def test_dot_general_errors(arrays, options, message):
    text = outcome(check, DotGeneralOp, arrays, *options)
    assert text.startswith("graph.dot_general") and message in text


def test_sizes_that_must_be_equal_are_constraints():
    module = parse("""
        func.func @main(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>) -> tensor<?xf32> {
          %c = graph.dot_general %a, %b, batch = [0] x [1], contract = [1] x [0]
            : tensor<?x?xf32>, tensor<?x?xf32> -> tensor<?xf32>
          func.return %c : tensor<?xf32>
        }""")
    (function,) = module.ops
    op = function.body.block.first_op
    from lamina.dialects.graph.base import abstract_operands

    pairs = op.constraints(abstract_operands(op))
    assert [(str(a), str(b)) for a, b in pairs] == [("operand0_0", "operand1_1"), ("operand0_1", "operand1_0")]


def test_transposes_are_absorbed():
    for lhs, rhs in itertools.product(itertools.permutations(range(3)), repeat=2):
        a_shape, b_shape = (2, 3, 4), (2, 4, 5)
        before = [[0] * 3, [0] * 3]
        for shape, permutation, out in ((a_shape, lhs, before[0]), (b_shape, rhs, before[1])):
            for axis, source in enumerate(permutation):
                out[source] = shape[axis]
        a, b = ("x".join(map(str, sizes)) for sizes in before)
        text = f"""
          func.func @main(%a: tensor<{a}xf32>, %b: tensor<{b}xf32>) -> tensor<2x3x5xf32> {{
            %at = graph.transpose %a, {list(lhs)} : tensor<{a}xf32> -> tensor<2x3x4xf32>
            %bt = graph.transpose %b, {list(rhs)} : tensor<{b}xf32> -> tensor<2x4x5xf32>
            %c = graph.dot_general %at, %bt, batch = [0] x [0], contract = [2] x [1]
              : tensor<2x3x4xf32>, tensor<2x4x5xf32> -> tensor<2x3x5xf32>
            func.return %c : tensor<2x3x5xf32>
          }}"""
        module = parse(text)
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-5, 5, sizes).astype(np.float32) for sizes in before]
        expected = evaluate(module, inputs)
        CanonicalizePass().apply(None, module)
        module.verify()
        (function,) = module.ops
        # One free axis on each side: every transpose can go.
        assert [op.name for op in function.body.block.ops] == ["graph.dot_general", "func.return"]
        np.testing.assert_array_equal(evaluate(module, inputs), expected)


def test_a_transpose_that_changes_the_order_of_free_axes_stays():
    module = parse("""
        func.func @main(%a: tensor<4x3x2xf32>, %b: tensor<4xf32>) -> tensor<2x3xf32> {
          %at = graph.transpose %a, [2, 1, 0] : tensor<4x3x2xf32> -> tensor<2x3x4xf32>
          %c = graph.dot_general %at, %b, contract = [2] x [0] : tensor<2x3x4xf32>, tensor<4xf32> -> tensor<2x3xf32>
          func.return %c : tensor<2x3xf32>
        }""")
    text = str(module)
    CanonicalizePass().apply(None, module)
    assert str(module) == text


@st.composite
def convolutions(draw):
    """Input, kernel and attributes in ONNX's order of axes; sizes such that the window fits."""
    rank = draw(st.integers(0, 3))
    groups = draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 99)))

    def numbers(low, high, count=rank):
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    kernel, strides, dilation = numbers(1, 3), numbers(1, 3), numbers(1, 2)
    padding = numbers(0, 2, 2 * rank)
    sizes = [(k - 1) * d + 1 + extra for k, d, extra in zip(kernel, dilation, numbers(0, 4), strict=True)]
    batch, features, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    x = rng.integers(-4, 5, (batch, features * groups, *sizes)).astype(np.float32)
    w = rng.integers(-4, 5, (outputs * groups, features, *kernel)).astype(np.float32)
    return x, w, strides, padding, dilation, groups


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_convolution_is_onnx_runtimes(case):
    x, w, strides, padding, dilation, groups = case
    result = check(ConvolutionOp, [x, w], strides, padding, None, dilation, groups)
    if not strides:
        expected = np.einsum("ngi,goi->ngo", x.reshape(len(x), groups, -1), w.reshape(groups, -1, w.shape[1]))
        np.testing.assert_array_equal(result, expected.reshape(result.shape))
        return
    pads = [*padding[::2], *padding[1::2]]
    expected = run_node("Conv", [x, w], 11, strides=strides, pads=pads, dilations=dilation, group=groups)
    np.testing.assert_array_equal(result, expected)


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.data())
def test_axes_in_any_order(case, data):
    x, w, strides, padding, dilation, groups = case
    expected = check(ConvolutionOp, [x, w], strides, padding, None, dilation, groups)
    orders = []
    permutations = []
    for _ in range(3):
        first, second = data.draw(st.permutations(range(x.ndim)))[:2]
        order = axis_order(first, second, x.ndim)
        orders.append(order)
        permutations.append(np.argsort(order.permutation))
    arrays = [np.ascontiguousarray(a.transpose(p)) for a, p in zip((x, w), permutations, strict=False)]
    result = check(ConvolutionOp, arrays, strides, padding, None, dilation, groups, *orders)
    np.testing.assert_array_equal(result, expected.transpose(permutations[2]))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
def test_dilated_input_is_onnx_runtimes_transposed_convolution(size, kernel, stride, crop, dilation):
    reach = (kernel - 1) * dilation
    crop = min(crop, reach)
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (2, 3, size)).astype(np.float32)
    w = rng.integers(-4, 5, (3, 4, kernel)).astype(np.float32)
    if (size - 1) * stride + reach + 1 - 2 * crop < 1:
        return
    expected = run_node("ConvTranspose", [x, w], 11, strides=[stride], pads=[crop, crop], dilations=[dilation])
    flipped = np.ascontiguousarray(w[:, :, ::-1].transpose(1, 0, 2))
    padding = [reach - crop] * 2
    result = check(ConvolutionOp, [x, flipped], [1], padding, [stride], [dilation])
    np.testing.assert_array_equal(result, expected)


def test_convolution_where_nothing_fits():
    x, w = np.ones((1, 1, 2), np.float32), np.ones((1, 1, 5), np.float32)
    assert ConvolutionOp(*Block(arg_types=[type_of(x), type_of(w)]).args, [1]).reference(x, w).shape == (1, 1, 0)
    empty = np.ones((0, 1, 8), np.float32)
    assert check(ConvolutionOp, [empty, w], [1]).shape == (0, 1, 4)


def test_convolution_propagates_nan():
    x = np.array([[[1, np.nan, 3, 4, np.inf]]], np.float32)
    result = check(ConvolutionOp, [x, np.ones((1, 1, 2), np.float32)], [1])
    np.testing.assert_array_equal(result, [[[np.nan, np.nan, 7, np.inf]]])


def test_narrow_convolutions_accumulate_in_f32():
    for dtype in (np.float16, BFLOAT16):
        x, w = np.ones((1, 4096, 1), dtype), np.ones((1, 4096, 1), dtype)
        assert check(ConvolutionOp, [x, w], [1]).reshape(()) == 4096


X, W = np.zeros((1, 4, 6, 6), np.float32), np.zeros((2, 4, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ([X, W[0]], ([1, 1],), "expected operands of equal rank, at least 2, found 4 and 3"),
        ([X, W.astype(np.float64)], ([1, 1],), "expected equal numeric element types, found f32 and f64"),
        ([X.astype(bool), W.astype(bool)], ([1, 1],), "expected equal numeric element types, found i1 and i1"),
        ([X, W[:, :3]], ([1, 1],), "input features and kernel features of all groups: expected equal sizes"),
        ([X, W[:, :1]], ([1, 1], None, None, None, 4), "expected output features divisible by 4 groups, found 2"),
        ([X, W], ([1],), "input axes: expected 4 entries, found 3"),
        ([X, W], ([1, 0],), "window_strides: expected values of at least 1, found [1, 0]"),
        ([X, W], ([1, 1], [0, 0]), "padding: expected 4 entries, found 2"),
        ([X, W], ([1, 1], [0, 0, -1, 0]), "padding: expected values of at least 0, found [0, 0, -1, 0]"),
        ([X, W], ([1, 1], None, [0, 1]), "lhs_dilation: expected values of at least 1, found [0, 1]"),
        ([X, W], ([1, 1], None, None, [1]), "rhs_dilation: expected 2 entries, found 1"),
        ([X, W], ([1, 1], None, None, None, 0), "feature_group_count: expected values of at least 1, found [0]"),
        ([X, W[:, :, :0]], ([1, 1],), "expected a non-empty kernel, found [2, 4, 0, 3]"),
    ],
)
def test_convolution_errors(arrays, options, message):
    text = outcome(check, ConvolutionOp, arrays, *options)
    assert text.startswith("graph.convolution") and message in text
