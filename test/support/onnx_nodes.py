"""One ONNX node in ONNX Runtime, as an oracle for one op."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import helper


def run_node(name: str, inputs: list[np.ndarray], opset: int, output: Any = None, **attributes: Any) -> np.ndarray:
    """The first output of a node; `output` is its dtype, the first input's when left out."""
    names = [f"x{i}" for i in range(len(inputs))]

    def info(value: str, dtype: Any, shape: Any) -> Any:
        return helper.make_tensor_value_info(value, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    graph = helper.make_graph(
        [helper.make_node(name, names, ["y"], **attributes)],
        "node",
        [info(n, x.dtype, x.shape) for n, x in zip(names, inputs, strict=True)],
        [info("y", inputs[0].dtype if output is None else output, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip(names, inputs, strict=True)))[0]
