"""ConvTranspose compiled to machine code, against ONNX Runtime: groups, paddings, given result sizes, symbolic sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina
from onnx_testing import runtime

RNG = np.random.default_rng(11)

GROUPED = [
    {"channels": (4, 8), "kernel": (3, 2), "group": group, "strides": strides, "pads": (1, 0, 1, 1), **extra}
    for group, (strides, extra) in itertools.product(
        (1, 2, 4),
        (((2, 2), {}), ((2, 3), {"output_padding": (1, 2)}), ((1, 1), {}), ((3, 2), {"output_padding": (2, 0)})),
    )
]
OTHERS = [
    {"channels": (4, 6), "kernel": (3, 3), "group": 2, "strides": (2, 2), "dilations": (2, 1), "pads": (2, 1, 0, 1),
     "output_padding": (1, 1)},
    {"channels": (3, 5), "kernel": (4, 4), "strides": (2, 2), "auto_pad": "SAME_UPPER"},
    {"channels": (3, 5), "kernel": (3, 3), "strides": (2, 2), "auto_pad": "SAME_LOWER"},
    {"channels": (3, 5), "kernel": (3, 3), "strides": (2, 2), "auto_pad": "VALID"},
    {"channels": (3, 5), "kernel": (3, 3), "strides": (2, 2), "output_shape": (14, 11)},
    {"channels": (3, 5), "kernel": (3, 3), "strides": (3, 2), "output_padding": (1, 1), "output_shape": (20, 12)},
    {"channels": (3, 5), "kernel": (3, 3), "strides": (2, 2), "pads": (3, 3, 3, 3)},
    {"channels": (3, 5), "kernel": (2, 2), "strides": (2, 2), "symbolic": True},
    {"channels": (3, 5), "kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "output_padding": (1, 1),
     "symbolic": True},
]  # fmt: skip


@pytest.mark.parametrize("case", [*GROUPED, *OTHERS], ids=str)
def test_like_onnx_runtime(case: dict):
    attributes = dict(case)
    inputs, outputs = attributes.pop("channels")
    kernel = attributes.pop("kernel")
    sizes = ["h", "w"] if attributes.pop("symbolic", False) else [7, 5]
    weights = RNG.standard_normal((inputs, outputs // attributes.get("group", 1), *kernel)).astype(np.float32)
    bias = RNG.standard_normal(outputs).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)],
        "transposed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", inputs, *sizes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    executable = lamina.compile(model, cache=False)
    for batch in (1, 3):
        x = RNG.standard_normal((batch, inputs, 7, 5)).astype(np.float32)
        (result,), (wanted,) = executable(x), runtime(model, x)
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)
