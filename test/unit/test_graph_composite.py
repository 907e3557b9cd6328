"""Composites: definition (NumPy, f64), decomposition and ONNX Runtime agree."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from xdsl.ir import Block
from xdsl.transforms.canonicalize import CanonicalizePass

from lamina.dialects.graph.composite import (
    COMPOSITE_OPS,
    BatchNormOp,
    GeluOp,
    LayerNormOp,
    LogSoftmaxOp,
    MeanOp,
    ReluOp,
    RmsNormOp,
    SiluOp,
    SoftmaxOp,
    StopGradientOp,
)
from support.graph_ops import check, outcome, parse, run_decomposed, type_of
from support.onnx_nodes import run_node

BFLOAT16 = ml_dtypes.bfloat16
FLOATS = (np.float64, np.float32, np.float16, BFLOAT16)
PRECISION = {np.float64: 1e-13, np.float32: 2e-6, np.float16: 1e-3, BFLOAT16: 1e-2}

shapes = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)
arrays = hnp.arrays(np.float32, shapes, elements=st.floats(-20, 20, width=32))


def agree(op_type, inputs, *arguments, onnx=None):
    """Definition = decomposition = ONNX Runtime, within the precision of the element type."""
    result = check(op_type, inputs, *arguments)
    tolerance = PRECISION[inputs[0].dtype.type]
    scale = max(1.0, float(np.abs(result.astype(np.float64)).max(initial=0)))
    decomposed = run_decomposed(op_type, inputs, arguments)
    for other in (decomposed,) if onnx is None else (decomposed, onnx):
        np.testing.assert_allclose(
            other.astype(np.float64), result.astype(np.float64), rtol=tolerance, atol=tolerance * scale
        )
    return result


def test_every_composite_is_covered():
    assert set(COMPOSITE_OPS) == {op for op, _, _ in CASES} | {BatchNormOp}


def parameters(shape, count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 2, shape).astype(np.float32) for _ in range(count)]


CASES = [
    (ReluOp, (), lambda x: run_node("Relu", [x], 14)),
    (StopGradientOp, (), lambda x: run_node("Identity", [x], 16)),
    (GeluOp, ("none",), lambda x: run_node("Gelu", [x], 20)),
    (GeluOp, ("tanh",), lambda x: run_node("Gelu", [x], 20, approximate="tanh")),
    (SiluOp, (), lambda x: run_node("Mul", [x, run_node("Sigmoid", [x], 13)], 14)),
    (SoftmaxOp, (0,), lambda x: run_node("Softmax", [x], 13, axis=0)),
    (LogSoftmaxOp, (0,), lambda x: run_node("LogSoftmax", [x], 13, axis=0)),
    (MeanOp, ([0],), lambda x: run_node("ReduceMean", [x, np.array([0])], 18, keepdims=0)),
    (MeanOp, ([0], True), lambda x: run_node("ReduceMean", [x, np.array([0])], 18, keepdims=1)),
    (LayerNormOp, (0, 1e-5), lambda x, *p: run_node("LayerNormalization", [x, *p], 17, axis=0, epsilon=1e-5)),
    (RmsNormOp, (0, 1e-5), lambda x, *p: run_node("RMSNormalization", [x, *p], 23, axis=0, epsilon=1e-5)),
]
PARAMETER_COUNT = {LayerNormOp: 2, RmsNormOp: 1}


@settings(max_examples=25, deadline=None)
@given(arrays)
@pytest.mark.parametrize(("op", "arguments", "onnx"), CASES)
def test_composites_are_onnx_runtimes(op, arguments, onnx, x):
    # Elements that hardly differ: the rounding error of their mean is divided by sqrt(epsilon).
    assume(op is not LayerNormOp or x.std() > 0.1)
    inputs = [x, *parameters(x.shape, PARAMETER_COUNT.get(op, 0))]
    agree(op, inputs, *arguments, onnx=onnx(*inputs))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("op", "arguments"), [(op, arguments) for op, arguments, _ in CASES])
def test_every_element_type(op, arguments, dtype):
    x = (np.random.default_rng(0).standard_normal((6, 5)) * 3).astype(dtype)
    inputs = [x, *(p.astype(dtype) for p in parameters((6, 5), PARAMETER_COUNT.get(op, 0)))]
    result = agree(op, inputs, *arguments)
    assert result.dtype == dtype
    # The definition of a narrow type is that of f64, rounded once.
    wide = check(op, [a.astype(np.float64) for a in inputs], *arguments)
    np.testing.assert_array_equal(result, wide.astype(dtype))


@settings(max_examples=30, deadline=None)
@given(arrays, st.data())
def test_any_axis(x, data):
    axis = data.draw(st.integers(0, x.ndim - 1))
    agree(SoftmaxOp, [x], axis, onnx=run_node("Softmax", [x], 13, axis=axis))
    agree(LogSoftmaxOp, [x], axis, onnx=run_node("LogSoftmax", [x], 13, axis=axis))
    if x.reshape(-1, int(np.prod(x.shape[axis:]))).std(1).min() > 0.1:
        inputs = [x, *parameters(x.shape[axis:], 2)]
        agree(LayerNormOp, inputs, axis, 1e-5, onnx=run_node("LayerNormalization", inputs, 17, axis=axis))
    agree(RmsNormOp, [x, *parameters(x.shape[axis:], 1)], axis, 1e-5)
    p = parameters(x.shape[axis], 4)
    agree(BatchNormOp, [x, *p], axis, 1e-5)
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1))
    onnx = run_node("ReduceMean", [x, np.array(axes)], 18, keepdims=0)
    agree(MeanOp, [x], axes, onnx=onnx)


def test_operands_have_their_names():
    block = Block(arg_types=[type_of(a) for a in (np.zeros((3, 4), np.float32), *parameters(4, 2))])
    op = LayerNormOp(*block.args, 1)
    assert (op.operand, op.scale, op.bias) == tuple(block.args)
    op = RmsNormOp(*block.args[:2], 1)
    assert (op.operand, op.scale) == tuple(block.args[:2])
    x = np.zeros((4, 3), np.float32)
    block = Block(arg_types=[type_of(a) for a in (x, *parameters(4, 4))])
    op = BatchNormOp(*block.args, 0)
    assert (op.operand, op.scale, op.bias, op.mean, op.variance) == tuple(block.args)


def test_batch_norm_is_onnx_runtimes():
    x = np.random.default_rng(5).standard_normal((2, 3, 4, 5), np.float32)
    inputs = [x, *parameters((3,), 4)]
    agree(BatchNormOp, inputs, 1, 1e-3, onnx=run_node("BatchNormalization", inputs, 15, epsilon=1e-3))


def test_parameters_broadcast():
    x = np.random.default_rng(6).standard_normal((2, 3, 4), np.float32)
    for shape in ((4,), (1,), (), (3, 1), (1, 4)):
        scale, bias = parameters(shape, 2)
        full = [np.broadcast_to(p, (3, 4)).copy() for p in (scale, bias)]
        np.testing.assert_array_equal(
            agree(LayerNormOp, [x, scale, bias], 1, 1e-5), check(LayerNormOp, [x, *full], 1, 1e-5)
        )
        np.testing.assert_array_equal(agree(RmsNormOp, [x, scale], 1), check(RmsNormOp, [x, full[0]], 1))


def test_special_values():
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e30, -1e30, 88.8, -105], np.float32)
    for op, arguments in ((ReluOp, ()), (GeluOp, ("none",)), (GeluOp, ("tanh",)), (SiluOp, ())):
        agree(op, [special], *arguments)
    np.testing.assert_array_equal(check(ReluOp, [special]), np.maximum(special, 0))
    rows = np.array([[1, np.nan], [-np.inf, 3], [np.inf, 3], [-np.inf, -np.inf], [3e38, -3e38]], np.float32)
    expected = run_node("Softmax", [rows], 13, axis=1)
    expected[3] = np.nan  # ONNX Runtime has no NaN for rows of -inf alone on every machine; NumPy and PyTorch have.
    agree(SoftmaxOp, [rows], 1, onnx=expected)
    agree(LogSoftmaxOp, [rows], 1)


def test_large_inputs_do_not_overflow():
    x = np.array([[1e4, 1e4 + 1, 0]], np.float32)
    np.testing.assert_allclose(agree(SoftmaxOp, [x], 1), [[0.26894143, 0.7310586, 0]], rtol=1e-5)


def test_empty_and_zero_size():
    empty = np.zeros((2, 0), np.float32)
    for op, arguments, _ in CASES:
        inputs = [empty, *parameters(empty.shape, PARAMETER_COUNT.get(op, 0))]
        result = check(op, inputs, *arguments)
        np.testing.assert_array_equal(run_decomposed(op, inputs, arguments), result)
    np.testing.assert_array_equal(check(MeanOp, [empty], [1]), [np.nan, np.nan])
    np.testing.assert_array_equal(run_decomposed(MeanOp, [empty], ([1],)), [np.nan, np.nan])


def test_relu_of_integers():
    x = np.array([-3, 0, 7], np.int8)
    np.testing.assert_array_equal(check(ReluOp, [x]), [0, 0, 7])
    np.testing.assert_array_equal(run_decomposed(ReluOp, [x]), [0, 0, 7])


X = np.zeros((2, 3, 4), np.float32)
V = np.zeros((3,), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((ReluOp, [X.astype(bool)]), "operand: expected a float or an integer, found i1"),
        ((GeluOp, [X.astype(np.int32)]), "operand: expected a float, found i32"),
        ((GeluOp, [X], "fast"), "approximate: expected one of none, tanh, found fast"),
        ((SoftmaxOp, [X], 3), "dimension: expected axes within [0, 3), found [3]"),
        ((MeanOp, [X], [0, 0]), "dimensions: expected distinct axes, found [0, 0]"),
        ((MeanOp, [X.astype(np.int32)], [0]), "operand: expected a float, found i32"),
        ((LayerNormOp, [X, V, V], 2), "parameter: expected equal sizes, found 4 and 3"),
        ((LayerNormOp, [X, X, X], 1), "parameter: expected f32 with at most 2 axes, found tensor<2x3x4xf32>"),
        ((RmsNormOp, [X, V.astype(np.float64)], 1), "parameter: expected f32 with at most 2 axes, found tensor<3xf64>"),
        ((RmsNormOp, [X, V], 3), "axis: expected axes within [0, 3), found [3]"),
        ((BatchNormOp, [X, V, V, V, V], 2), "parameter: expected equal sizes, found 4 and 3"),
        ((BatchNormOp, [X, V, V, V, V[0:1].reshape(())], 1), "parameter: expected one axis, found tensor<f32>"),
    ],
)
def test_errors_name_expected_and_found(call, message):
    op_type, *arguments = call
    text = outcome(check, op_type, *arguments)
    assert text.startswith(op_type.name) and message in text


def test_relu_of_relu():
    module = parse("""
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %y = graph.relu %x : tensor<4xf32> -> tensor<4xf32>
          %z = graph.relu %y : tensor<4xf32> -> tensor<4xf32>
          func.return %z : tensor<4xf32>
        }""")
    CanonicalizePass().apply(None, module)
    (function,) = module.ops
    assert [op.name for op in function.body.block.ops] == ["graph.relu", "func.return"]
