"""Sorting: the reference against NumPy, JAX and ONNX Runtime, native code against the reference."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

import lamina
from lamina import api, ops
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.sort import ArgSortOp, SortOp
from lamina.dialects.graph.types import element_type_of
from lamina.parser import parse_text
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import check

DTYPES = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.int8, np.uint64, np.uint8, np.bool_)
NAN = [3, np.nan, -0.0, 0.0, -np.inf, np.nan, np.inf, 3, -1]


def ties(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Few different values, with NaN where there is one."""
    generator = np.random.default_rng(len(shape) + sum(shape))
    x = generator.integers(0, 2 if dtype == np.bool_ else 5, shape).astype(dtype)
    if np.issubdtype(dtype, np.floating) or dtype == ml_dtypes.bfloat16:
        x[generator.random(shape) < 0.2] = np.nan
    return x


def assert_same(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, NaN too, which NumPy does not know of bfloat16."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if found.dtype == ml_dtypes.bfloat16:
        found, wanted = found.astype(np.float32), wanted.astype(np.float32)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_order_is_numpys(dtype: Any, axis: int):
    x = ties((3, 7, 4), dtype)
    exact = x.astype(np.float64) if x.dtype.kind not in "iub" else x
    order = np.argsort(exact, axis, kind="stable")
    np.testing.assert_array_equal(check(ArgSortOp, [x], axis), order)
    if dtype != ml_dtypes.bfloat16:  # whose NaN `check` does not compare
        assert_same(check(SortOp, [x], axis), np.take_along_axis(x, order, axis))


def test_descending_keeps_the_order_of_equal_elements():
    np.testing.assert_array_equal(check(ArgSortOp, [np.array(NAN)], 0, True), [1, 5, 6, 0, 7, 2, 3, 8, 4])
    np.testing.assert_array_equal(check(ArgSortOp, [np.array(NAN)], 0), [4, 8, 2, 3, 0, 7, 6, 1, 5])


@pytest.mark.parametrize("descending", [False, True])
def test_order_is_jax(descending: bool):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x = ties((5, 40), np.float64)
    expected = jax.numpy.argsort(x, axis=1, stable=True, descending=descending)
    np.testing.assert_array_equal(check(ArgSortOp, [x], 1, descending), expected)


def module_of(x: np.ndarray, axis: int, descending: bool, symbolic: bool) -> ModuleOp:
    sizes = "".join(f"{'?' if symbolic else size}x" for size in x.shape)
    element, word = element_type_of(x.dtype), "descending" if descending else ""
    return parse_text(
        api.make_context(),
        f"""func.func @main(%x: tensor<{sizes}{element}>) -> (tensor<{sizes}i64>, tensor<{sizes}{element}>) {{
          %a = graph.arg_sort %x, {axis} {word} : tensor<{sizes}{element}> -> tensor<{sizes}i64>
          %s = graph.sort %x, {axis} {word} : tensor<{sizes}{element}> -> tensor<{sizes}{element}>
          func.return %a, %s : tensor<{sizes}i64>, tensor<{sizes}{element}>
        }}""",
        "sort.mlir",
    )


SHAPES = (((1,), 0), ((2,), 0), ((5,), 0), ((4, 8), 1), ((7, 4), 0), ((2, 33, 3), 1), ((3, 129), 1), ((2, 1000), 1))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_native_code(shape: tuple[int, ...], axis: int, descending: bool):
    x = ties(shape, np.float32)
    module = module_of(x, axis, descending, False)
    expected = evaluate(module, [x])
    executable = lamina.compile(module)
    for threads in (1, 2):
        for found, wanted in zip(executable.call([x], threads=threads), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_native_code_of_every_element_type(dtype: Any):
    x = ties((3, 21), dtype)
    module = module_of(x, 1, False, False)
    for found, wanted in zip(lamina.compile(module.clone())(x), evaluate(module, [x]), strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis", "count"),
    [
        ((5,), 0, 1),
        ((4, 9), 1, 9),
        ((9, 4), 0, 2),
        ((3, 200), 1, 7),
        ((2, 700), 1, 100),
        ((1, 321), 1, 320),
        ((4, 3), 1, 0),
    ],
)
def test_the_first_elements_only(shape: tuple[int, ...], axis: int, count: int, descending: bool, dtype: Any):
    """Blocks are cut off while they are merged; ties and NaN are in order, whatever the number of threads. Of an axis
    of unknown size that is shorter, all."""
    x = ties(shape, dtype)
    first = check(ArgSortOp, [x], axis, descending, count)
    np.testing.assert_array_equal(first, np.take(check(ArgSortOp, [x], axis, descending), range(count), axis))
    element = element_type_of(x.dtype)
    sizes, found = "x".join(map(str, x.shape)), "x".join(map(str, first.shape))
    module = parse_text(
        api.make_context(),
        f"""func.func @main(%x: tensor<{sizes}x{element}>) -> tensor<{found}xi64> {{
          %a = graph.arg_sort %x, {axis} first {count} {"descending" if descending else ""}
            : tensor<{sizes}x{element}> -> tensor<{found}xi64>
          func.return %a : tensor<{found}xi64>
        }}""",
        "sort.mlir",
    )
    executable = lamina.compile(module.clone())
    for threads in (1, 2):
        np.testing.assert_array_equal(executable.call([x], threads=threads)[0], first)
    if dtype == np.float32:
        spec = lamina.spec([f"n{number}" for number in range(x.ndim)])
        compiled = lamina.compile(lamina.trace(lambda x: ops.top_k(x, count, axis, largest=descending)[1], spec))
        for part in (x, np.take(x, range(max(0, count - 1)), axis)):
            wanted = np.take(check(ArgSortOp, [part], axis, descending), range(min(count, part.shape[axis])), axis)
            np.testing.assert_array_equal(compiled(part)[0], wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.uint32, np.int64, np.uint64, np.float64])
def test_extremes_of_the_type(dtype: Any):
    """Elements that are as large as what stands behind the end, and both zeros."""
    info: Any = np.finfo(dtype) if np.issubdtype(dtype, np.floating) else np.iinfo(dtype)
    values = [info.max, info.min, 0, info.max, info.min, 1]
    if np.issubdtype(dtype, np.floating):
        values += [np.inf, -np.inf, np.nan, -0.0, -np.nan, info.tiny, -info.tiny, info.smallest_subnormal]
    x = np.array(values * 3, dtype)
    for descending in (False, True):
        module = module_of(x, 0, descending, False)
        for found, wanted in zip(lamina.compile(module.clone())(x), evaluate(module, [x]), strict=True):
            assert_same(found, wanted)


def test_native_code_of_unknown_sizes():
    """One compilation for all sizes, none and one included."""
    compiled = lamina.compile(module_of(ties((3, 21), np.float32), 1, True, True), threads=2)
    for shape in ((3, 21), (2, 1), (1, 2), (4, 0), (0, 4), (2, 1000), (3, 128), (2, 129), (1, 5000)):
        x = ties(shape, np.float32)
        for found, wanted in zip(compiled(x), evaluate(module_of(x, 1, True, True), [x]), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_many_elements():
    x = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    order, values = lamina.compile(module_of(x, 1, False, False))(x)
    np.testing.assert_array_equal(order, np.argsort(x, 1, kind="stable"))
    np.testing.assert_array_equal(values, np.sort(x, 1))


def test_from_python():
    x = ties((4, 9), np.float32)

    @lamina.jit
    def function(x: Any) -> Any:
        return ops.sort(x, 0), ops.argsort(x, descending=True), ops.top_k(x, 3), ops.top_k(x, 2, 0, largest=False)

    values, order, (largest, where), (smallest, place) = function(x)
    np.testing.assert_array_equal(values, np.sort(x, 0))
    descending = check(ArgSortOp, [x], 1, True)
    np.testing.assert_array_equal(order, descending)
    np.testing.assert_array_equal(where, descending[:, :3])
    np.testing.assert_array_equal(largest, np.take_along_axis(x, where, 1))
    np.testing.assert_array_equal(place, np.argsort(x, 0, kind="stable")[:2])
    np.testing.assert_array_equal(smallest, np.sort(x, 0)[:2])
    with pytest.raises(LaminaError, match="expected at most 9 elements of axis 1, found 10"):
        lamina.jit(lambda x: ops.top_k(x, 10))(x)
