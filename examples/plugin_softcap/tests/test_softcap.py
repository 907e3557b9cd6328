"""A model of the custom domain `example.softcap`, compiled natively, against ONNX Runtime on standard operators."""

import numpy as np
import onnx
import onnxruntime
import pytest
from lamina_softcap import PLUGIN
from onnx import TensorProto, helper, numpy_helper

import lamina

CAP = 3.0
WEIGHTS = np.random.default_rng(0).standard_normal((64, 48)).astype(np.float32)
CAPPED = [helper.make_node("Softcap", ["p"], ["c"], domain="example.softcap", cap=CAP)]
STANDARD = [
    helper.make_node("Div", ["p", "cap"], ["ratio"]),
    helper.make_node("Tanh", ["ratio"], ["tanh"]),
    helper.make_node("Mul", ["tanh", "cap"], ["c"]),
]


def attention_scores(capping: list[onnx.NodeProto]) -> bytes:
    """x @ w, capped, then softmax."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["p"]), *capping, helper.make_node("Softmax", ["c"], ["y"])],
        "scores",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 48])],
        [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(np.float32(CAP), "cap")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.softcap", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


@pytest.mark.parametrize("rows", [0, 1, 7, 130])
def test_model_agrees_with_onnx_runtime(rows: int):
    executable = lamina.compile(attention_scores(CAPPED), plugins=[PLUGIN], cache=False)
    session = onnxruntime.InferenceSession(attention_scores(STANDARD), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(rows).standard_normal((rows, 64)).astype(np.float32)
    (ours,) = executable(x)
    (theirs,) = session.run(None, {"x": x})
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-6)


def test_without_the_plugin_the_operator_is_unknown():
    with pytest.raises(lamina.LaminaError, match=r"unknown domain 'example\.softcap'"):
        lamina.compile(attention_scores(CAPPED), cache=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_special_values(dtype: type):
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e-3, -2, 100], dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        [helper.make_node("Softcap", ["x"], ["y"], domain="example.softcap", cap=CAP)],
        "one",
        [helper.make_tensor_value_info("x", kind, ["n"])],
        [helper.make_tensor_value_info("y", kind, ["n"])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.softcap", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    (y,) = lamina.compile(model, plugins=[PLUGIN], cache=False)(x)
    exact = CAP * np.tanh(x.astype(np.float64) / CAP)
    np.testing.assert_allclose(y, exact.astype(dtype), rtol=4 * np.finfo(dtype).eps)
    assert np.array_equal(np.signbit(y[1:]), np.signbit(x[1:]))
