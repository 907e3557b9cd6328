"""Products with a symbolic number of rows: whole tiles, half a tile and tiles of what is left, against f64."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina

RNG = np.random.default_rng(11)
DEPTH, COLUMNS = 150, 100
LONG_DEPTH = 1100
"""Summed in blocks: partial sums are kept between them."""


def weights_of(depth: int) -> np.ndarray:
    return (np.random.default_rng(depth).standard_normal((depth, COLUMNS)) / np.sqrt(depth)).astype(np.float32)


BIAS = RNG.standard_normal(COLUMNS).astype(np.float32)


def executable_of(epilogue: str, depth: int = DEPTH):
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum"]),
            helper.make_node(epilogue, ["sum"], ["y"]),
        ],
        "rows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", depth])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", COLUMNS])],
        [numpy_helper.from_array(weights_of(depth), "weights"), numpy_helper.from_array(BIAS, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return lamina.compile(model, cache=False)


FUNCTIONS = {"Relu": lambda x: np.maximum(x, 0), "Sigmoid": lambda x: 1 / (1 + np.exp(-x))}


@pytest.mark.parametrize("epilogue", FUNCTIONS)
def test_every_number_of_rows(epilogue: str):
    executable = executable_of(epilogue)
    for rows in (*range(18), *range(61, 73), 127, 129):
        x = RNG.standard_normal((rows, DEPTH)).astype(np.float32)
        wanted = FUNCTIONS[epilogue](x.astype(np.float64) @ weights_of(DEPTH) + BIAS)
        for threads in (1, 2):
            (result,) = executable.call([x], threads=threads)
            np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=2e-6, err_msg=f"{rows} rows")


@pytest.mark.parametrize("epilogue", FUNCTIONS)
def test_every_number_of_rows_of_a_long_sum(epilogue: str):
    executable, weights = executable_of(epilogue, LONG_DEPTH), weights_of(LONG_DEPTH).astype(np.float64)
    for rows in (*range(10), 15, 17, 70):
        x = RNG.standard_normal((rows, LONG_DEPTH)).astype(np.float32)
        (result,) = executable.call([x], threads=1)
        wanted = FUNCTIONS[epilogue](x.astype(np.float64) @ weights + BIAS)
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=2e-6, err_msg=f"{rows} rows")


def test_nothing_is_read_behind_the_last_row():
    executable = executable_of("Relu")
    for rows in (1, 3, 5, 7):
        x = np.full((rows + 8, DEPTH), np.nan, np.float32)
        x[:rows] = 1
        (result,) = executable(x[:rows])
        assert np.isfinite(result).all()
