"""Packed constants and blocked sums: the ops in NumPy, and contractions of odd sizes run natively."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import lamina
from lamina.dialects.graph.packing import PackOp, UnpackOp, pack
from lamina.pipelines import LEVELS
from support.graph_ops import check

VECTOR_BITS = (128, 256, 512)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_pack_cuts_an_axis_into_panels(data):
    shape = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3))
    axis, tile = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.integers(1, 5))
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape) + 1
    packed = check(PackOp, [array], axis, tile)
    others = [size for number, size in enumerate(shape) if number != axis]
    assert packed.shape == (-(-shape[axis] // tile), *others, tile)
    columns = np.moveaxis(array, axis, -1)
    for panel in range(packed.shape[0]):
        part = columns[..., panel * tile : (panel + 1) * tile]
        np.testing.assert_array_equal(packed[panel, ..., : part.shape[-1]], part)
        assert not packed[panel, ..., part.shape[-1] :].any()
    np.testing.assert_array_equal(check(UnpackOp, [packed], axis, shape[axis]), array)


def product_model(weights: np.ndarray, rows: tuple[int | str, ...], *, transposed: bool, bias: bool) -> onnx.ModelProto:
    """`x @ w`, or `relu(x @ transpose(w) + bias)` and so on."""
    element = helper.np_dtype_to_tensor_dtype(weights.dtype)
    depth, columns = weights.shape[::-1] if transposed else weights.shape
    initializers = [numpy_helper.from_array(weights, "w")]
    nodes = [helper.make_node("Transpose", ["w"], ["t"])] if transposed else []
    nodes.append(helper.make_node("MatMul", ["x", "t" if transposed else "w"], ["p" if bias else "y"]))
    if bias:
        initializers.append(numpy_helper.from_array(np.linspace(-1, 1, columns).astype(weights.dtype), "b"))
        nodes += [helper.make_node("Add", ["p", "b"], ["q"]), helper.make_node("Relu", ["q"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", element, (*rows, depth))]
    outputs = [helper.make_tensor_value_info("y", element, (*rows, columns))]
    graph = helper.make_graph(nodes, "product", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def expected_product(x: np.ndarray, weights: np.ndarray, *, transposed: bool, bias: bool) -> np.ndarray:
    """The same in f64."""
    w = weights.astype(np.float64)
    product = x.astype(np.float64) @ (w.T if transposed else w)
    if not bias:
        return product
    return np.maximum(product + np.linspace(-1, 1, product.shape[-1]).astype(weights.dtype), 0)


def relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    """The largest error over the largest element."""
    return float(np.abs(result - expected).max(initial=0) / np.abs(expected).max(initial=1e-30))


CASES = {
    "edge panel of half a vector": (5, 300, 201, False),
    "one row, many panels": (1, 700, 1000, False),
    "two rows in blocks of an odd sum": (2, 1031, 97, True),
    "many rows, an edge of rows": (70, 513, 100, False),
    "more pieces than one": (129, 520, 150, True),
    "one product a sum": (9, 1, 9001, False),
    "no rows": (0, 300, 200, False),
}


@pytest.mark.parametrize("bits", VECTOR_BITS)
@pytest.mark.parametrize("case", CASES)
def test_products_of_packed_constants(case: str, bits: int):
    rows, depth, columns, transposed = CASES[case]
    random = np.random.default_rng(0)
    shape = (columns, depth) if transposed else (depth, columns)
    weights = random.standard_normal(shape, dtype=np.float32)
    x = random.standard_normal((rows, depth), dtype=np.float32)
    for bias in (False, True):
        model = product_model(weights, (rows,), transposed=transposed, bias=bias)
        executable = lamina.compile(model, cache=False, target={"vector_bits": bits})
        (result,), (other,) = (executable.call([x], threads=threads) for threads in (1, 2))
        expected = expected_product(x, weights, transposed=transposed, bias=bias)
        assert relative_error(result, expected) < 2e-6
        np.testing.assert_array_equal(other, result)


@pytest.mark.parametrize("level", [level.name for level in LEVELS])
def test_packed_constants_at_every_level(level: str):
    random = np.random.default_rng(1)
    weights = random.standard_normal((130, 101), dtype=np.float32)
    x = random.standard_normal((2, 3, 130), dtype=np.float32)
    model = product_model(weights, ("batch", "rows"), transposed=False, bias=True)
    executable = lamina.api.executable_for(model, level=level, cache=False)
    expected = expected_product(x, weights, transposed=False, bias=True)
    assert relative_error(executable(x)[0], expected) < 2e-6


@pytest.mark.parametrize("sizes", ((1, 1), (3, 7), (2, 9), (0, 4), (1, 70)))
def test_symbolic_rows(sizes: tuple[int, int]):
    random = np.random.default_rng(2)
    weights = random.standard_normal((600, 201), dtype=np.float32)
    model = product_model(weights, ("batch", "rows"), transposed=False, bias=True)
    x = random.standard_normal((*sizes, 600), dtype=np.float32)
    expected = expected_product(x, weights, transposed=False, bias=True)
    assert relative_error(lamina.compile(model, cache=False)(x)[0], expected) < 2e-6


@pytest.mark.parametrize(
    ("dtype", "bound"), ((np.float16, 1e-3), (np.float64, 1e-14), (np.int32, 0.0), (np.int64, 0.0)), ids=str
)
def test_other_element_types(dtype: type[np.generic], bound: float):
    random = np.random.default_rng(3)
    weights = (random.standard_normal((600, 101)) * 4).astype(dtype)
    x = (random.standard_normal((11, 600)) * 4).astype(dtype)
    model = product_model(weights, (11,), transposed=False, bias=False)
    result = lamina.compile(model, cache=False)(x)[0]
    assert result.dtype == dtype
    assert (
        relative_error(result.astype(np.float64), expected_product(x, weights, transposed=False, bias=False)) <= bound
    )


def test_the_packed_constant_replaces_the_other():
    weights = np.random.default_rng(4).standard_normal((256, 300), dtype=np.float32)
    model = product_model(weights, (8,), transposed=False, bias=False)
    executable = lamina.compile(model, cache=False, target={"vector_bits": 512})
    (constant,) = executable.artefact.constants.values()
    np.testing.assert_array_equal(constant, pack(weights, 1, 48))


def test_long_sums_are_as_exact_as_onnxruntime():
    """Blocks of the sum: the error does not grow with its whole length."""
    onnxruntime = pytest.importorskip("onnxruntime")
    random = np.random.default_rng(5)
    weights = random.standard_normal((5632, 100), dtype=np.float32)
    x = random.standard_normal((16, 5632), dtype=np.float32)
    model = product_model(weights, (16,), transposed=False, bias=False)
    expected = expected_product(x, weights, transposed=False, bias=False)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = relative_error(np.asarray(session.run(None, {"x": x})[0]), expected)
    assert relative_error(lamina.compile(model, cache=False)(x)[0], expected) <= 2 * theirs
