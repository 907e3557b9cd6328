"""Tracing: what Python operators and `lamina.ops` build computes what NumPy and ONNX Runtime compute."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lamina import ops, spec
from python_testing import rand, run, same
from support.onnx_nodes import run_node

BFLOAT16 = ml_dtypes.bfloat16
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
