"""Attention: definition (NumPy, f64), decomposition and ONNX Runtime agree."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.ir import Block

from lamina.dialects.graph.attention import AttentionOp
from support.graph_ops import check, outcome, run_decomposed, type_of
from support.onnx_nodes import run_node

PRECISION = {np.float64: 1e-13, np.float32: 2e-6, np.float16: 2e-3, ml_dtypes.bfloat16: 2e-2}


def tensors(rng, batch, heads, key_heads, queries, keys, features, values, dtype=np.float32):
    shapes = ((batch, heads, queries, features), (batch, key_heads, keys, features), (batch, key_heads, keys, values))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def agree(inputs, onnx=None, **options):
    """Definition = decomposition = ONNX Runtime, within the precision of the element type."""
    options.setdefault("scale", 0.3)
    result = check(AttentionOp, inputs, **options)
    compare(run_decomposed(AttentionOp, inputs, (), options), result)
    if onnx is not None:
        compare(onnx, result)
    return result


def compare(other, result):
    tolerance = PRECISION[result.dtype.type]
    np.testing.assert_allclose(other.astype(np.float64), result.astype(np.float64), rtol=10 * tolerance, atol=tolerance)


sizes = st.integers(1, 6)


@settings(max_examples=30, deadline=None)
@given(st.tuples(sizes, sizes, sizes, sizes, sizes, sizes), st.integers(0, 3), st.booleans())
def test_definition_is_onnx_runtimes(lengths, mask, causal):
    batch, heads, queries, keys, features, values = lengths
    rng = np.random.default_rng(sum(lengths))
    inputs = tensors(rng, batch, heads, heads, queries, keys, features, values)
    if mask == 1:
        inputs.append(rng.standard_normal((queries, keys)).astype(np.float32))
    elif mask == 2:
        inputs.append(rng.standard_normal((batch, 1, 1, keys)).astype(np.float32))
    elif mask == 3:
        allowed = rng.random((batch, heads, queries, keys)) > 0.3
        allowed[..., 0] = True
        inputs.append(allowed)
    onnx_inputs = inputs
    if mask == 2:
        onnx_inputs = [*inputs[:3], np.broadcast_to(inputs[3], (batch, 1, queries, keys)).copy()]
    onnx = run_node("Attention", onnx_inputs, 23, scale=0.3, is_causal=int(causal))
    agree(inputs, onnx, causal="start" if causal else None)


def test_last_query_sees_every_key():
    q, k, v = tensors(np.random.default_rng(0), 1, 2, 2, 2, 5, 4, 4)
    result = agree([q, k, v], causal="end")
    np.testing.assert_allclose(result[:, :, 1:], agree([q[:, :, 1:], k, v]), rtol=1e-6)
    np.testing.assert_allclose(result[:, :, :1], agree([q[:, :, :1], k[:, :, :4], v[:, :, :4]]), rtol=1e-6)


def test_queries_without_keys_are_nan():
    inputs = tensors(np.random.default_rng(0), 1, 1, 1, 3, 2, 4, 4)
    assert np.isnan(agree(inputs, causal="end")[0, 0, :, 0]).tolist() == [True, False, False]
    masked = agree([*inputs, np.array([[True, False]] * 2 + [[False, False]])])
    assert np.isnan(masked[0, 0, :, 0]).tolist() == [False, False, True]


@pytest.mark.parametrize("dtype", PRECISION)
def test_every_element_type(dtype):
    inputs = tensors(np.random.default_rng(0), 2, 3, 3, 4, 5, 6, 7, dtype)
    mask = np.random.default_rng(1).standard_normal((4, 5)).astype(dtype)
    assert agree([*inputs, mask]).dtype == dtype


@pytest.mark.parametrize("tokens_first", [(0,), (1, 3), (0, 1, 2, 3)])
def test_tokens_before_heads(tokens_first):
    inputs = tensors(np.random.default_rng(0), 2, 3, 3, 4, 5, 6, 7)
    turned = [np.swapaxes(x, 1, 2) if index in tokens_first else x for index, x in enumerate(inputs)]
    expected = agree(inputs)
    result = agree(turned, tokens_first=tokens_first)
    np.testing.assert_array_equal(np.swapaxes(result, 1, 2) if 3 in tokens_first else result, expected)


def test_grouped_queries_are_onnx_runtimes():
    inputs = tensors(np.random.default_rng(0), 2, 6, 2, 4, 5, 8, 8)
    op, result = reference_of(inputs, scale=0.3)
    compare(run_node("Attention", inputs, 23, scale=0.3), result)
    assert isinstance(op, AttentionOp)


def reference_of(inputs, **options):
    op = AttentionOp(*Block(arg_types=[type_of(x) for x in inputs]).args, **options)
    return op, op.reference(*inputs)


X = np.zeros((2, 3, 4, 8), np.float32)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([X, X[0], X[0]], {}, "key: expected f32 with 4 axes, found tensor<3x4x8xf32>"),
        ([X[0, 0]] * 3, {}, "query: expected f32 with 3 axes, found tensor<4x8xf32>"),
        ([X, X[:1], X[:1]], {}, "expected equal sizes, found 2 and 1"),
        ([X, X[..., :5], X], {}, "expected equal sizes, found 8 and 5"),
        ([X, X[:, :2], X[:, :2]], {}, "expected a number of query heads that 2 key heads divide, found 3"),
        ([X, X, X, X[..., :1].astype(np.int8)], {}, "mask: expected i1 or f32, found i8"),
        ([X, X, X, X[..., :3]], {}, "expected shapes that broadcast together"),
        ([X, X, X], {"causal": "middle"}, "causal: expected one of start, end, found middle"),
        ([X, X, X], {"tokens_first": (4,)}, "tokens_first: expected axes within [0, 4), found [4]"),
        ([X.astype(np.int8)] * 3, {}, "query: expected a float, found i8"),
    ],
)
def test_errors(inputs, options, message):
    assert message in outcome(reference_of, inputs, scale=1.0, **options)
