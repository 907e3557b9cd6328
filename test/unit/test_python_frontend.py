"""Tracing: what Python operators and `lamina.ops` build computes what NumPy and ONNX Runtime compute."""

from __future__ import annotations

import inspect
import linecache
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from xdsl.dialects.builtin import FileLineColLoc
from xdsl.dialects.func import FuncOp

import lamina
from lamina import LaminaError, ops, spec, trace
from lamina.dialects.graph.base import GraphOp
from lamina.frontends.python import Traced, TracedModule
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import outcome, parse
from support.onnx_nodes import run_node

BFLOAT16 = ml_dtypes.bfloat16


def run(function, *arrays, symbolic=False):
    """What a function computes on arrays, traced with static sizes, or with a name for every size other than 1."""
    specs = [
        spec([f"a{i}_{axis}" if symbolic and size != 1 else size for axis, size in enumerate(a.shape)], a.dtype)
        for i, a in enumerate(arrays)
    ]
    traced = trace(function, *specs)
    results = evaluate(traced.module, arrays, traced.resources)
    text = str(traced.module)
    assert str(parse(text)) == text
    return results[0] if len(results) == 1 else results


def same(function, expected, *arrays, exact=True):
    """The traced function computes `expected`, an array or a function of the arrays; sizes static and named."""
    if callable(expected):
        with np.errstate(all="ignore"):
            expected = np.asarray(expected(*arrays))
    for symbolic in (False, True):
        result = run(function, *arrays, symbolic=symbolic)
        assert result.shape == expected.shape
        if exact:
            np.testing.assert_array_equal(result, expected)
        else:
            np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-5)


def rand(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 3, shape).astype(dtype)


X, Y = rand(3, 4), rand(3, 4, seed=1)
NEGATIVE = np.array([[-7, 7, -8, 8], [3, -3, 0, 5], [1, 2, -1, -2]], np.float32)
INTEGERS = NEGATIVE.astype(np.int64)
DIVISORS = np.array([[2, -2, 3, -3], [4, 4, -5, 5], [-1, 1, 7, -7]], np.int64)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: x / y,
        lambda x, y: x**2 - y**1,
        lambda x, y: (x + 1) * 2 - 3 / (y + 0.5),
        lambda x, y: 2 - x * (1 / y),
        lambda x, y: -x + abs(-y) + +x,
        lambda x, y: np.float32(2) * x + np.ones((4,), np.float32) * y,
        lambda x, y: (x < y) & (x <= y) | (x > y) ^ (x >= y),
        lambda x, y: ~(x == y) | (x != y),
        lambda x, y: x @ y.T,
        lambda x, y: (x.T @ y).T.T,
    ],
)
def test_operators_are_numpys(function):
    same(function, function, X, Y, exact=False)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a // b,
        lambda a, b: a % b,
        lambda a, b: 100 // b,
        lambda a, b: 100 % b,
        lambda a, b: a // 3 + a % -3,
    ],
)
def test_floor_division_is_pythons(function):
    for dtype in (np.int64, np.int32, np.int8, np.float32, np.float64):
        same(function, function, INTEGERS.astype(dtype), DIVISORS.astype(dtype))


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, 6, elements=st.floats(-1e3, 1e3)),
    hnp.arrays(np.float64, 6, elements=st.floats(-10, 10).filter(lambda v: v == 0 or abs(v) > 1e-3)),
)
def test_floor_division_of_floats(a, b):
    quotient, rest = run(lambda x, y: (x // y, x % y), a, b)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(rest, a % b)
        np.testing.assert_array_equal(quotient, a // b)


def test_integer_operators():
    a, b = INTEGERS.astype(np.int32), np.array([1, 2, 3, 0], np.int32)
    same(lambda x, y: (x & y) | (x ^ 5) | ~y, lambda x, y: (x & y) | (x ^ 5) | ~y, a, b)
    same(lambda x, y: (x << y) + (x >> y) + (1 << y), lambda x, y: (x << y) + (x >> y) + (1 << y), a, b)
    unsigned = np.array([7, 8, 250], np.uint8)
    same(lambda x: x // 3 + x % 3, lambda x: x // np.uint8(3) + x % np.uint8(3), unsigned)


UNARY = {
    "abs": np.abs,
    "negative": np.negative,
    "sign": np.sign,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "arcsin": lambda x: np.arcsin(x),
    "arccos": np.arccos,
    "arctan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arcsinh": np.arcsinh,
    "arccosh": np.arccosh,
    "arctanh": np.arctanh,
    "erf": lambda x: run_node("Erf", [x], 13),
    "sigmoid": lambda x: run_node("Sigmoid", [x], 13),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: run_node("Gelu", [x], 20),
}
BINARY = {
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "arctan2": np.arctan2,
    "fmod": np.fmod,
}


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(name):
    same(
        getattr(ops, name),
        UNARY[name],
        np.concatenate([X - 1.5, [[np.nan, np.inf, 0.5, 1]]], dtype=np.float32),
        exact=False,
    )


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions(name):
    same(getattr(ops, name), BINARY[name], X, Y, exact=False)
    same(lambda x: getattr(ops, name)(x, 2), lambda x: BINARY[name](x, np.float32(2)), X, exact=False)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.sum(), lambda x: x.sum()),
        (lambda x: x.sum(axis=-1), lambda x: x.sum(axis=-1)),
        (lambda x: x.sum((0, 2), keepdims=True), lambda x: x.sum((0, 2), keepdims=True)),
        (lambda x: x.mean(1), lambda x: x.mean(1)),
        (lambda x: x.var((1, 2)), lambda x: x.var((1, 2))),
        (lambda x: ops.std(x, -2, keepdims=True), lambda x: x.std(-2, keepdims=True)),
        (lambda x: x.prod(0), lambda x: x.prod(0)),
        (lambda x: x.max(), lambda x: x.max()),
        (lambda x: x.min(axis=[1]), lambda x: x.min(axis=1)),
        (lambda x: x.argmax(1), lambda x: x.argmax(1)),
        (lambda x: x.argmin(-1, keepdims=True), lambda x: x.argmin(-1, keepdims=True)),
        (lambda x: ops.argmax(x), lambda x: x.argmax(-1)),
        (lambda x: ops.cumsum(x, 1), lambda x: np.cumsum(x, 1)),
        (lambda x: ops.cumprod(x, -1), lambda x: np.cumprod(x, -1)),
        (lambda x: ops.cummax(x, 0), lambda x: np.maximum.accumulate(x, 0)),
        (lambda x: ops.cummin(x, 0, reverse=True), lambda x: np.minimum.accumulate(x[::-1], 0)[::-1]),
        (lambda x: (x > 1).sum(0), lambda x: (x > 1).sum(0)),
        (lambda x: (x > 1).max(0), lambda x: (x > 1).max(0)),
        (lambda x: (x > 1).min(0), lambda x: (x > 1).min(0)),
        (lambda x: (x > 1).mean(0), lambda x: (x > 1).mean(0)),
        (lambda x: ops.any(x > 2.9, 1), lambda x: np.any(x > 2.9, 1)),
        (lambda x: ops.all(x > 0.2, (0, 1)), lambda x: np.all(x > 0.2, (0, 1))),
    ],
)
def test_reductions_are_numpys(function, expected):
    same(function, expected, rand(3, 4, 5), exact=False)


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        (1, 2),
        (slice(None), -2),
        (Ellipsis, 1),
        (1, Ellipsis, -1),
        slice(1, 3),
        (slice(None), slice(-3, None), slice(None, None, 2)),
        slice(None, None, -1),
        (slice(3, None, -2), slice(-2, 0, -1)),
        (slice(10, -10, -1), slice(-10, 10)),
        (slice(2, 2),),
        None,
        (None, 1, None, slice(1, 4), Ellipsis, None),
        (Ellipsis, None, slice(None), 0),
        (),
        Ellipsis,
        (slice(None), np.array([[0, 2], [-1, 1]])),
        (None, np.array([0, 2]), slice(1, None)),
    ],
)
def test_indexing_is_numpys(key):
    x = rand(4, 5, 6)
    same(lambda x: x[key], x[key], x)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.data())
def test_slices_are_numpys(size, data):
    bound = st.none() | st.integers(-8, 8)
    step = data.draw(st.none() | st.integers(-3, 3).filter(bool))
    key = slice(data.draw(bound), data.draw(bound), step)
    x = np.arange(size, dtype=np.float32)
    for symbolic in (False, True):
        np.testing.assert_array_equal(run(lambda x: x[key], x, symbolic=symbolic), x[key])


def test_integer_tensors_as_indices():
    x, ids = rand(7, 3), np.array([[0, 6, -1], [2, 2, -7]])
    same(lambda x, i: x[i], lambda x, i: x[i], x, ids)
    same(lambda x, i: x[1:, i[0] % 3], lambda x, i: x[1:, i[0] % 3], x, ids)
    same(lambda x, i: ops.take(x, i, axis=1), lambda x, i: x.take(i, axis=1), x, ids % 3 - 1)
    clamped = run(lambda x, i: ops.take(x, i), x, np.array([100, -100]))
    np.testing.assert_array_equal(clamped, x[[6, 0]])
    rows = run(
        lambda x, i: ops.gather(
            x, i, slice_sizes=[1, 3], offset_dims=[1], collapsed_slice_dims=[0], start_index_map=[0], index_vector_dim=1
        ),
        x,
        np.array([5, 1]),
    )
    np.testing.assert_array_equal(rows, x[[5, 1]])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.reshape(4, 6), lambda x: x.reshape(4, 6)),
        (lambda x: x.reshape((2, -1)), lambda x: x.reshape(2, -1)),
        (lambda x: x.reshape(-1), lambda x: x.reshape(-1)),
        (lambda x: x.reshape(x.shape[0] * x.shape[1], x.shape[2]), lambda x: x.reshape(-1, 4)),
        (lambda x: x.reshape(x.shape[2], x.shape[0], -1), lambda x: x.reshape(4, 2, 3)),
        (lambda x: x.reshape(x.shape[1], x.shape[2] * x.shape[0]), lambda x: x.reshape(3, 8)),
        (lambda x: x.reshape(*x.shape, 1)[..., 0], lambda x: x),
        (lambda x: x.transpose(), lambda x: x.transpose()),
        (lambda x: x.transpose(0, -1, 1), lambda x: x.transpose(0, 2, 1)),
        (lambda x: x.transpose([2, 0, 1]), lambda x: x.transpose(2, 0, 1)),
        (lambda x: ops.swapaxes(x, 0, -1), lambda x: x.swapaxes(0, -1)),
        (lambda x: ops.expand_dims(ops.expand_dims(x, 0), -1), lambda x: x[None, ..., None]),
        (lambda x: ops.squeeze(x[:, None, :, None]), lambda x: x),
        (lambda x: ops.squeeze(x[:, None, :, None], 1), lambda x: x[:, :, None]),
        (lambda x: ops.squeeze(x[:, :1], 1), lambda x: x[:, 0]),
        (lambda x: ops.broadcast_to(x, (5, *x.shape)), lambda x: np.broadcast_to(x, (5, 2, 3, 4))),
        (lambda x: ops.broadcast_to(x[:, :1], (2, 3, 4)), lambda x: np.broadcast_to(x[:, :1], x.shape)),
        (lambda x: ops.broadcast_to(x[0, 0, 0], (x.shape[1], x.shape[0] + 1)), lambda x: np.full((3, 3), x[0, 0, 0])),
        (lambda x: ops.concatenate([x, x * 2, x[:, :2]], axis=1), lambda x: np.concatenate([x, x * 2, x[:, :2]], 1)),
        (lambda x: ops.stack([x, -x], axis=-1), lambda x: np.stack([x, -x], -1)),
        (lambda x: ops.flip(x, (0, -1)), lambda x: np.flip(x, (0, -1))),
        (lambda x: ops.flip(x), lambda x: np.flip(x)),
        (
            lambda x: ops.pad(x, [(0, 0), (1, 2), (0, 1)], 7),
            lambda x: np.pad(x, [(0, 0), (1, 2), (0, 1)], constant_values=7),
        ),
        (
            lambda x: ops.pad(x, [(0, 0), (2, 1), (0, 1)], mode="reflect"),
            lambda x: np.pad(x, [(0, 0), (2, 1), (0, 1)], "reflect"),
        ),
        (
            lambda x: ops.pad(x, [(1, 0), (2, 1), (0, 1)], mode="edge"),
            lambda x: np.pad(x, [(1, 0), (2, 1), (0, 1)], "edge"),
        ),
        (lambda x: ops.where(x > 1, x, 0), lambda x: np.where(x > 1, x, np.float32(0))),
        (lambda x: ops.clip(x, 0.5, 1.5), lambda x: np.clip(x, 0.5, 1.5)),
        (lambda x: ops.shape_of(x), lambda x: np.array(x.shape)),
        (
            lambda x: ops.iota((x.shape[1], 2), 1, "f32") + ops.arange(x.shape[1], "f32").reshape(-1, 1),
            lambda x: np.add.outer(np.arange(3), np.arange(2)).astype(np.float32),
        ),
        (lambda x: ops.full(x.shape[:2], 2.5), lambda x: np.full((2, 3), 2.5, np.float32)),
        (lambda x: ops.full(3, 7, "int32"), lambda x: np.full(3, 7, np.int32)),
        (lambda x: x.astype("i32"), lambda x: x.astype(np.int32)),
        (lambda x: ops.bitcast(x, np.uint32), lambda x: x.view(np.uint32)),
        (
            lambda x: ops.constant([[1, 2], [3, 4]], "f32") * x[0, 0, 0],
            lambda x: np.array([[1, 2], [3, 4]], np.float32) * x[0, 0, 0],
        ),
        (
            lambda x: ops.one_hot((x[0, 0] * 2).astype("int64"), 5),
            lambda x: np.eye(5, dtype=np.float32)[(x[0, 0] * 2).astype(int)],
        ),
    ],
)
def test_shapes_are_numpys(function, expected):
    x = rand(2, 3, 4) % 2
    same(function, expected, x)


def test_split():
    x = rand(6, 5)
    for parts, axis in ((3, 0), ([1, 4], 1), ([2], -1), (1, 0)):
        results = run(lambda x, parts=parts, axis=axis: ops.split(x, parts, axis), x)
        results = results if isinstance(results, tuple) else (results,)
        for result, expected in zip(results, np.split(x, parts, axis), strict=True):
            np.testing.assert_array_equal(result, expected)
    first, second = run(lambda x: tuple(x[:2]), x)
    np.testing.assert_array_equal([first, second], x[:2])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (6, 4, 5)),
        ((6, 3, 4), (2, 1, 4, 5)),
        ((1, 6, 3, 4), (2, 1, 4, 5)),
        ((2, 6, 3, 4), (1, 1, 4, 5)),
        ((1, 3, 4), (1, 4, 5)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 5)),
        ((7, 1, 2, 1, 3, 4), (8, 1, 6, 4, 5)),
        ((3, 0), (0, 5)),
        ((0, 4), (4, 5)),
    ],
)
def test_matmul_is_numpys(a, b):
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-4, 5, shape).astype(np.float32) for shape in (a, b))
    if 0 in (*a, *b):
        np.testing.assert_array_equal(run(lambda x, y: x @ y, x, y), x @ y)
        return
    same(lambda x, y: x @ y, lambda x, y: x @ y, x, y)
    same(lambda x: x @ y, lambda x: x @ y, x)


def test_convolution_and_pooling_are_onnx_runtimes():
    x, w, b = rand(2, 4, 9, 8), rand(6, 2, 3, 2), rand(6)
    expected = run_node("Conv", [x, w, b], 11, strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2], group=2)
    same(
        lambda x: ops.conv(x, w, b, stride=(2, 1), padding=[(1, 2), (0, 1)], dilation=(1, 2), groups=2),
        expected,
        x,
        exact=False,
    )
    for stride in (1, 2, 3):
        expected = run_node("Conv", [x, rand(3, 4, 3, 2)], 11, strides=[stride] * 2, auto_pad="SAME_UPPER")
        got = run(lambda x, s=stride: ops.conv(x, rand(3, 4, 3, 2), stride=s, padding="same"), x)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    same(lambda x: ops.max_pool(x, 2), run_node("MaxPool", [x], 12, kernel_shape=[2, 2], strides=[2, 2]), x)
    expected = run_node("MaxPool", [x], 12, kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 1, 1])
    same(lambda x: ops.max_pool(x, (3, 2), stride=(1, 2), padding=[1, (0, 1)]), expected, x)
    for include in (0, 1):
        expected = run_node(
            "AveragePool", [x], 19, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=include
        )
        same(lambda x, i=include: ops.avg_pool(x, 3, 2, 1, bool(i)), expected, x, exact=False)
    same(
        lambda x: ops.avg_pool(x, 3, 2, "valid"),
        run_node("AveragePool", [x], 19, kernel_shape=[3, 3], strides=[2, 2]),
        x,
        exact=False,
    )
    transposed = run_node("ConvTranspose", [x, rand(4, 5, 3, 2)], 11, strides=[2, 2])
    flipped = rand(4, 5, 3, 2)[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    got = run(lambda x: ops.conv(x, flipped, padding=(2, 1), input_dilation=2), x)
    np.testing.assert_allclose(got, transposed, rtol=1e-5, atol=1e-5)


def test_networks_functions():
    x, s, b = rand(2, 3, 4), rand(4), rand(4, seed=3)
    same(lambda x: ops.softmax(x), run_node("Softmax", [x], 13, axis=-1), x, exact=False)
    same(lambda x: ops.log_softmax(x, 1), run_node("LogSoftmax", [x], 13, axis=1), x, exact=False)
    same(lambda x: ops.gelu(x, "tanh"), run_node("Gelu", [x], 20, approximate="tanh"), x, exact=False)
    same(lambda x: ops.layer_norm(x, s, b), run_node("LayerNormalization", [x, s, b], 17, axis=-1), x, exact=False)
    ones = np.ones(4, np.float32)
    same(lambda x: ops.layer_norm(x), run_node("LayerNormalization", [x, ones, ones * 0], 17, axis=-1), x, exact=False)
    same(lambda x: ops.rms_norm(x, s), run_node("RMSNormalization", [x, s], 23, axis=-1), x, exact=False)
    p = [rand(3, seed=i) for i in range(4)]
    same(lambda x: ops.batch_norm(x, *p), run_node("BatchNormalization", [x, *p], 15), x, exact=False)
    same(
        lambda x: ops.dot_general(x, x, lhs_contracting_dimensions=[2], rhs_contracting_dimensions=[2], dtype="f64"),
        np.einsum("abk,cdk->abcd", x.astype(np.float64), x.astype(np.float64)),
        x,
        exact=False,
    )


def test_dynamic_slices():
    x, start = rand(5, 6), np.array([3, -2])
    np.testing.assert_array_equal(run(lambda x, s: ops.dynamic_slice(x, s, (2, 3)), x, start), x[3:5, 0:3])
    update = np.full((2, 2), 9, np.float32)
    expected = x.copy()
    expected[3:5, 0:2] = 9
    np.testing.assert_array_equal(run(lambda x, s: ops.dynamic_update_slice(x, update, s), x, start), expected)
    same(lambda x: ops.dynamic_update_slice(x, update, start), expected, x)


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.0])
def test_cond(value):
    def function(x):
        y, d = ops.cond(x.sum() > 0, lambda v: (v * 2, {"k": v.sum()}), lambda v: (-v, {"k": x[0]}), x)
        return y + d["k"]

    x = np.full(3, value, np.float32)
    same(function, x * 2 + x.sum() if value > 0 else -x + x[0], x)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_while_loop(count):
    def function(n, x):
        def body(state):
            return {"i": state["i"] + 1, "total": state["total"] + x * state["i"].astype("f32")}

        state = ops.while_loop(lambda s: s["i"] < n, body, {"i": 0, "total": ops.full(x.shape, 0.0)})
        return state["total"], state["i"]

    x = rand(3)
    for symbolic in (False, True):
        total, i = run(function, np.array(count), x, symbolic=symbolic)
        assert i == count
        np.testing.assert_allclose(total, sum(x * i for i in range(count)) + 0 * x, rtol=1e-6)


def test_nested_control_flow():
    def function(n):
        def body(state):
            i, total = state
            even = ops.cond(i % 2 == 0, lambda: total + i, lambda: total)
            return i + 1, even

        return ops.while_loop(lambda s: s[0] < n, body, (0, 0))[1]

    assert run(function, np.array(9)) == sum(range(0, 9, 2))


def test_every_element_type():
    for dtype in (
        np.float64,
        np.float32,
        np.float16,
        BFLOAT16,
        *(f"{u}int{w}" for u in ("", "u") for w in (8, 16, 32, 64)),
    ):
        x = np.arange(1, 7).astype(np.dtype(dtype))
        result = run(lambda x: x * 2 + 1, x)
        assert result.dtype == x.dtype
        np.testing.assert_array_equal(result, x * x.dtype.type(2) + x.dtype.type(1))
    assert run(lambda x: ~x, np.array([True, False])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("f32", "float32"),
        ("float32", "float32"),
        (np.float32, "float32"),
        (np.dtype("int8"), "int8"),
        ("i1", "bool"),
        ("bool", "bool"),
        (bool, "bool"),
        ("bf16", "bfloat16"),
        ("bfloat16", "bfloat16"),
        (BFLOAT16, "bfloat16"),
        ("ui8", "uint8"),
        ("u8", "uint8"),
        ("uint8", "uint8"),
        ("i64", "int64"),
        ("f16", "float16"),
        (float, "float64"),
        (int, "int64"),
    ],
)
def test_dtypes(dtype, name):
    assert spec((), dtype).dtype.name == name


class State(NamedTuple):
    cache: object
    step: object


def main_of(traced: TracedModule) -> FuncOp:
    (function,) = traced.module.ops
    return function


def attributes(traced: TracedModule):
    main = main_of(traced)
    names = [a.data["lamina.name"].data for a in main.arg_attrs]
    results = [(r.data["lamina.name"].data, r.data.get("lamina.alias")) for r in main.res_attrs]
    return names, [(n, None if a is None else a.value.data) for n, a in results]


def test_trees_and_names():
    def step(state, params, x, *rest):
        return State(state.cache + x, state.step + 1), {"b": params["w"][1], "a": [x, rest[0]]}

    f = spec((2,))
    traced = trace(step, State(f, spec((), "i64")), {"w": [f, f], "a": f}, spec(2, name="tokens"), f, f)
    names, results = attributes(traced)
    assert names == ["state.0", "state.1", "params.a", "params.w.0", "params.w.1", "tokens", "rest0", "rest1"]
    assert [name for name, _ in results] == ["output0.0", "output0.1", "output1.a.0", "output1.a.1", "output1.b"]
    assert attributes(trace(lambda x: x + 1, f))[1] == [("output", None)]
    assert attributes(trace(lambda x: {"y": x + 1}, f))[1] == [("y", None)]
    assert main_of(trace(lambda x: x, f, name="step")).sym_name.data == "step"


def test_symbolic_sizes():
    def function(x, y):
        b, s, d = x.shape
        heads = x.reshape(b, s, 4, d // 4).transpose(0, 2, 1, 3)
        scores = heads @ heads.transpose(0, 1, 3, 2)
        return ops.softmax(scores), ops.concatenate([x, y], axis=1), x.reshape(b * s, d)[1:]

    traced = trace(function, spec(("batch", "seq", 8)), spec(("batch", "2*seq", 8)))
    main = main_of(traced)
    dims = [[d.data for d in r.data["lamina.dims"]] for r in main.res_attrs]
    assert dims[:2] == [["batch", "4", "seq", "seq"], ["batch", "3*seq", "8"]]
    assert [d.data for d in main.arg_attrs.data[1].data["lamina.dims"]] == ["batch", "2*seq", "8"]
    x, y = rand(2, 5, 8), rand(2, 10, 8)
    results = evaluate(traced.module, [x, y], traced.resources)
    assert [r.shape for r in results] == [(2, 4, 5, 5), (2, 15, 8), (9, 8)]


def test_constants_go_to_the_resource_store():
    weights = rand(100, 3)
    traced = trace(lambda x: x @ weights + weights[0], spec((2, 100)))
    assert len(traced.resources) == 1 and traced.context.resources is traced.resources
    x = rand(2, 100)
    (result,) = evaluate(traced.module, [x], traced.resources)
    np.testing.assert_allclose(result, x @ weights + weights[0], rtol=1e-5)


def test_locations_are_the_users():
    def function(x):
        y = x + 1
        return ops.cond(
            y.sum() > 0,
            lambda: ops.exp(y),
            lambda: y,
        )

    traced = trace(function, spec((2,)))
    first = inspect.getsourcelines(function)[1]
    lines = {}
    for op in traced.module.walk():
        if isinstance(op, GraphOp):
            assert isinstance(op.location, FileLineColLoc)
            assert op.location.filename.data == __file__
            lines.setdefault(op.name, set()).add(op.location.line.data - first)
            text = linecache.getline(__file__, op.location.line.data)
            assert op.location.column.data >= 1 and text[op.location.column.data - 1] != " "
    assert lines["graph.add"] == {1} and lines["graph.exp"] == {4} and lines["graph.reduce"] == {3}


def test_donation():
    def step(cache, x):
        return cache.sum(), ops.dynamic_update_slice(cache, x, np.array([0, 1])), cache * 0

    specs = (spec((4, 4), name="cache"), spec((2, 2)))
    assert attributes(trace(step, *specs, donate={"cache": 1}))[1] == [
        ("output0", None),
        ("output1", 0),
        ("output2", None),
    ]
    assert attributes(trace(step, *specs, donate={0: 2}))[1][2] == ("output2", 0)
    assert attributes(trace(step, *specs, donate=("cache",)))[1][1] == ("output1", 0)
    assert attributes(trace(step, *specs, donate=[0]))[1][1] == ("output1", 0)
    tree = {"a": spec(3), "b": spec(3)}
    swapped = trace(lambda state: (state["b"], state["a"]), tree, donate=("state",))
    assert attributes(swapped)[1] == [("output0", 0), ("output1", 1)]

    def error(donate):
        return outcome(trace, step, *specs, donate=donate)

    assert (
        "donate: expected result 0 to have the type of 'cache', tensor<4x4xf32> of sizes [4, 4], found tensor<f32>"
        in error({"cache": 0})
    )
    assert "donate: no result 7 for 'cache'" in error({"cache": 7})
    assert "donate: no argument is named 'kv'" in error({"kv": 0}) and "→ the arguments: cache, x" in error({"kv": 0})
    assert "donate: expected an argument within [0, 2), found 2" in error([2])
    assert "donate: no result of the type of 'x'" in error(["x"])
    assert "is given twice" in error({"cache": 1, 0: 2})
    symbolic = outcome(trace, lambda a, b: (b, a), spec("n"), spec("m"), donate={"a": 0})
    assert "of sizes [n], found tensor<?xf32> of sizes [m]" in symbolic


def here() -> int:
    return inspect.currentframe().f_back.f_lineno


def raised(function, *specs):
    with pytest.raises(LaminaError) as caught:
        trace(function, *(specs or (spec((2, 3)),)))
    return caught.value


def test_errors_name_the_users_line():
    line = here() + 1
    error = raised(lambda x: x + np.zeros((4, 4), np.float32))
    assert error.where.startswith(f"{__file__}:{line}:")
    assert "graph.add: expected shapes that broadcast together, found [2, 3], [4, 4]" in error.message


def branch(x):
    return x + 1 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        (branch, "bool() of a traced value", "ops.where"),
        (lambda x: x * float(x[0, 0]), "float() of a traced value", "astype"),
        (lambda x: x * int(x[0, 0]), "int() of a traced value", "astype"),
        (lambda x: [1, 2, 3][x[0, 0]], "an index of a traced value", "ops.take"),
        (lambda x: np.asarray(x), "a NumPy array of a traced value", "lamina.ops"),
        (lambda x: x + x.astype("i32"), "expected one dtype, found float32 and int32", "astype"),
        (lambda x: x + np.zeros(3), "expected one dtype, found float32 and float64", "astype"),
        (lambda x: x + "a", "expected a tensor, an array or a number, found 'a'", ""),
        (lambda x: x.astype("i32") + 0.5, "expected a value that int32 holds, found 0.5", ""),
        (lambda x: x.astype("i8") + 300, "expected a value that int8 holds, found 300", ""),
        (lambda x: x.astype("i32") / 2, "divide: expected floats, found int32", "//"),
        (lambda x: x.astype("complex64"), "no element type for the NumPy dtype complex64", "supported"),
        (lambda x: x.astype("f99"), "unknown dtype 'f99'", "float32"),
        (lambda x: x[5], "index 5 is out of bounds for axis 0 with size 2", ""),
        (lambda x: x[0, 0, 0], "expected at most 2 indices", ""),
        (lambda x: x[..., ...], "one Ellipsis", ""),
        (lambda x: x["a"], "as indices, found 'a'", ""),
        (lambda x: x[True], "as indices, found True", ""),
        (lambda x: x[::0], "slice step cannot be zero", ""),
        (lambda x: x[x > 0], "expected integers in a tensor of indices, found bool", "ops.where"),
        (lambda x: x.reshape(4), "graph.reshape", ""),
        (lambda x: x.reshape(x.sum()), "a size of a traced value", "shape"),
        (lambda x: x.reshape("a"), "expected a size, found 'a'", ""),
        (lambda x: ops.full(lamina.spec("k").shape, 1), "no tensor has the size 'k'", "spec"),
        (lambda x: x.sum(2), "axis: expected a number within [-2, 2), found 2", ""),
        (lambda x: ops.expand_dims(x, 4), "axis: expected a number within [-3, 2], found 4", ""),
        (lambda x: ops.squeeze(x, 0), "squeeze: expected size 1 of axis 0, found 2", ""),
        (lambda x: ops.broadcast_to(x, (3, 2)), "cannot broadcast the shape [2, 3] to [3, 2]", ""),
        (lambda x: ops.concatenate([]), "concatenate: expected at least one operand", ""),
        (lambda x: ops.split(x, 2, 1), "split: expected a number of parts that divides 3, found 2", ""),
        (lambda x: x @ x, "graph.dot_general: contracted axes", ""),
        (lambda x: x @ 2, "matmul: expected at least one axis, found a scalar", ""),
        (lambda x: ops.conv(x, x[0]), "conv: expected operands of equal rank", ""),
        (lambda x: ops.max_pool(x.sum(), 2), "pooling: expected a batch axis", ""),
        (
            lambda x: ops.max_pool(x[None, None], 2, padding="full"),
            'expected numbers, "same" or "valid", found "full"',
            "",
        ),
        (lambda x: ops.max_pool(x[None, None], (2, 2, 2)), "expected one number or 2, one per spatial axis", ""),
        (lambda x: ops.cond(x, lambda: x, lambda: x), "cond: expected a boolean scalar, found tensor<2x3xf32>", ""),
        (lambda x: ops.cond(x.sum() > 0, lambda: x, lambda: (x, x)), "expected the structure *, found (*, *)", ""),
        (lambda x: ops.cond(x.sum() > 0, lambda: x, lambda: x[0]), "found (2x3xf32) and (3xf32)", ""),
        (
            lambda x: ops.while_loop(lambda i: i, lambda i: i, 0),
            "the condition: expected a boolean scalar, found tensor<i64>",
            "",
        ),
        (lambda x: ops.while_loop(lambda i: i < 3, lambda i: (i, i), 0), "the body: expected the structure", ""),
        (
            lambda x: ops.while_loop(lambda i: i.sum() < 3, lambda i: ops.concatenate([i, i]), x),
            "loop value 0: expected f32 of sizes [2, 3] from the body, found f32 of sizes [4, 3]",
            "",
        ),
        (lambda x: None, "the function gives no result", "return"),
        (lambda x: (), "the function gives no result", ""),
        (lambda x: "text", "expected a tensor, an array or a number, found 'text'", ""),
    ],
)
def test_errors(function, message, hint):
    error = raised(function)
    assert message in error.message
    assert any(hint in each for each in error.hints) or not hint
    assert __file__ in error.where


def test_values_out_of_scope():
    leaked = []

    def function(x):
        ops.cond(x.sum() > 0, lambda: leaked.append(x + 1) or x, lambda: x)
        return leaked[0]

    assert "used outside of the function that computed it" in raised(function).message
    kept = []
    trace(lambda x: kept.append(x) or x, spec((2,)))
    assert "used outside of the function" in raised(lambda x: x + kept[0]).message
    assert "work inside of a traced function" in outcome(ops.exp, np.ones(3))
    assert "work inside of a traced function" in outcome(lambda: kept[0] + 1)
    assert isinstance(kept[0], Traced) and repr(kept[0]) == "Traced(tensor<2xf32>)"


def test_specs():
    assert "expected sizes of at least 0, found -1" in outcome(spec, (-1,))
    assert "'2**n' is not a size" in outcome(spec, ("2**n",))
    assert "expected lamina.spec" in outcome(trace, lambda x: x, [1.0])
    assert "two arguments are named 'x'" in outcome(trace, lambda x, y: x, spec(2), spec(2, name="x"))
