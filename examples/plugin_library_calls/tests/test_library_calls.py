"""Models that call C's `gmtime_r` and NumPy's `sort`."""

import time

import numpy as np
import pytest
from lamina_library_calls import PLUGIN
from onnx import TensorProto, helper

import lamina
from lamina import api
from lamina.parser import parse_text


@pytest.mark.parametrize("seconds", [0, -1, 951_782_400, 4_102_444_799])
def test_calendar(seconds: int):
    context = api.make_context([PLUGIN])
    module = parse_text(
        context,
        """
        func.func @main(%t: tensor<i64> {lamina.name = "t"}) -> (tensor<14xi32> {lamina.name = "c"}) {
          %c = library.calendar %t : tensor<i64> -> tensor<14xi32>
          func.return %c : tensor<14xi32>
        }
        """,
        "calendar.mlir",
    )
    (words,) = lamina.compile(module, context=context, cache=False)(np.array(seconds))
    expected = time.gmtime(seconds)
    second, minute, hour, day, month, year = words[:6]
    assert (year + 1900, month + 1, day, hour, minute, second) == expected[:6]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_sort_inside_an_onnx_model(rows: int):
    graph = helper.make_graph(
        [
            helper.make_node("Exp", ["x"], ["e"]),
            helper.make_node("Sort", ["e"], ["s"], domain="example.library"),
            helper.make_node("Sub", ["s", "e"], ["y"]),
        ],
        "sorted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "columns"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "columns"])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.library", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    executable = lamina.compile(model, plugins=[PLUGIN], cache=False)
    x = np.random.default_rng(rows).standard_normal((rows, 9)).astype(np.float32)
    np.testing.assert_allclose(executable(x)[0], np.sort(np.exp(x), axis=-1) - np.exp(x), atol=1e-5)
