"""Products with a symbolic number of rows: whole tiles, half a tile and single rows, against f64."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina

RNG = np.random.default_rng(11)
DEPTH, COLUMNS = 150, 100
WEIGHTS = (RNG.standard_normal((DEPTH, COLUMNS)) / np.sqrt(DEPTH)).astype(np.float32)
BIAS = RNG.standard_normal(COLUMNS).astype(np.float32)


def executable_of(epilogue: str, threads: int):
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum"]),
            helper.make_node(epilogue, ["sum"], ["y"]),
        ],
        "rows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", DEPTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", COLUMNS])],
        [numpy_helper.from_array(WEIGHTS, "weights"), numpy_helper.from_array(BIAS, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return lamina.compile(model, cache=False, threads=threads)


FUNCTIONS = {"Relu": lambda x: np.maximum(x, 0), "Sigmoid": lambda x: 1 / (1 + np.exp(-x))}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("epilogue", FUNCTIONS)
def test_every_number_of_rows(epilogue: str, threads: int):
    executable = executable_of(epilogue, threads)
    for rows in (*range(18), *range(61, 73), 127, 129):
        x = RNG.standard_normal((rows, DEPTH)).astype(np.float32)
        (result,) = executable(x)
        wanted = FUNCTIONS[epilogue](x.astype(np.float64) @ WEIGHTS + BIAS)
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=2e-6, err_msg=f"{rows} rows")


def test_nothing_is_read_behind_the_last_row():
    executable = executable_of("Relu", 1)
    for rows in (1, 3, 5, 7):
        x = np.full((rows + 8, DEPTH), np.nan, np.float32)
        x[:rows] = 1
        (result,) = executable(x[:rows])
        assert np.isfinite(result).all()
