"""RNN, GRU, LSTM and Scan compiled to machine code, against ONNX Runtime; sizes symbolic, sequences of zero steps too."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina
from onnx_testing import parse, runtime

RNG = np.random.default_rng(3)
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INPUT, HIDDEN = 5, 6


def weights(op_type: str, directions: int) -> dict[str, np.ndarray]:
    gates = GATES[op_type] * HIDDEN
    shapes = {"W": (directions, gates, INPUT), "R": (directions, gates, HIDDEN), "B": (directions, 2 * gates)}
    if op_type == "LSTM":
        shapes["P"] = (directions, 3 * HIDDEN)
    return {name: (RNG.standard_normal(shape) * 0.5).astype(np.float32) for name, shape in shapes.items()}


def model_of(op_type: str, *, lengths: bool, states: bool, peepholes: bool, **attributes) -> onnx.ModelProto:
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    constants = weights(op_type, directions)
    first = ["batch", "steps"] if attributes.get("layout") else ["steps", "batch"]
    state = ["batch", directions, HIDDEN] if attributes.get("layout") else [directions, "batch", HIDDEN]
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [*first, INPUT])]
    names = ["X", "W", "R", "B", "lengths" if lengths else ""]
    if lengths:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]))
    outputs = ["Y", "Y_h"]
    for name in ("h", "c")[: 2 if op_type == "LSTM" else 1]:
        names.append(f"initial_{name}" if states else "")
        if states:
            inputs.append(helper.make_tensor_value_info(f"initial_{name}", TensorProto.FLOAT, state))
    if op_type == "LSTM":
        outputs.append("Y_c")
        names.append("P" if peepholes else "")
    node = helper.make_node(op_type, names, outputs, hidden_size=HIDDEN, **attributes)
    graph = helper.make_graph(
        [node],
        "recurrent",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in names],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def arrays_for(model: onnx.ModelProto, steps: int, batch: int) -> list[np.ndarray]:
    sizes = {"steps": steps, "batch": batch}
    arrays: list[np.ndarray] = []
    for value in model.graph.input:
        shape = [dim.dim_value or sizes[dim.dim_param] for dim in value.type.tensor_type.shape.dim]
        if value.name == "lengths":
            arrays.append(RNG.integers(1, steps + 1, shape).astype(np.int32))
        else:
            arrays.append(RNG.standard_normal(shape).astype(np.float32))
    return arrays


CASES: dict[str, tuple[str, dict]] = {
    "lstm": ("LSTM", {}),
    "lstm-bidirectional": ("LSTM", {"direction": "bidirectional"}),
    "lstm-reverse": ("LSTM", {"direction": "reverse", "states": True}),
    "lstm-lengths": ("LSTM", {"direction": "bidirectional", "lengths": True, "states": True}),
    "lstm-peepholes": ("LSTM", {"peepholes": True, "states": True}),
    "lstm-coupled": ("LSTM", {"input_forget": 1}),
    "lstm-clip": ("LSTM", {"clip": 0.3}),
    "lstm-activations": ("LSTM", {"activations": ["HardSigmoid", "Softsign", "ScaledTanh"],
                                  "activation_alpha": [0.3, 1.5], "activation_beta": [0.4, 0.7]}),
    "gru": ("GRU", {"states": True}),
    "gru-linear": ("GRU", {"linear_before_reset": 1}),
    "gru-bidirectional": ("GRU", {"direction": "bidirectional", "linear_before_reset": 1, "lengths": True}),
    "gru-reverse": ("GRU", {"direction": "reverse"}),
    "gru-clip": ("GRU", {"clip": 0.4}),
    "rnn": ("RNN", {}),
    "rnn-relu": ("RNN", {"activations": ["Relu"], "states": True}),
    "rnn-affine": ("RNN", {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}),
    "rnn-leaky": ("RNN", {"activations": ["LeakyRelu"], "activation_alpha": [0.2], "direction": "reverse"}),
    "rnn-elu": ("RNN", {"activations": ["Elu"], "activation_alpha": [0.7]}),
    "rnn-thresholded": ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.1]}),
    "rnn-softplus": ("RNN", {"activations": ["Softplus"]}),
    "rnn-lengths": ("RNN", {"direction": "bidirectional", "activations": ["Tanh", "Sigmoid"], "lengths": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_like_onnx_runtime(name: str):
    op_type, options = CASES[name]
    model = model_of(op_type, **{"lengths": False, "states": False, "peepholes": False, **options})
    executable = lamina.compile(model, cache=False)
    for steps, batch in ((7, 3), (1, 1), (4, 1)):
        arrays = arrays_for(model, steps, batch)
        expected = runtime(model, *arrays)
        for threads in (1, 2):
            for result, wanted in zip(executable.call(arrays, threads=threads), expected, strict=True):
                assert result.shape == wanted.shape
                np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=2e-6)


def test_no_steps():
    model = model_of("LSTM", lengths=False, states=True, peepholes=False)
    x, h, c = arrays_for(model, 1, 2)
    y, last_h, last_c = lamina.compile(model, cache=False)(x[:0], h, c)
    assert y.shape == (0, 1, 2, HIDDEN)
    np.testing.assert_array_equal(last_h, h)
    np.testing.assert_array_equal(last_c, c)


def test_batch_first_is_the_transpose():
    """ONNX Runtime does not build layout = 1: the same weights with the axes in the default order are the oracle."""
    model = model_of("GRU", lengths=False, states=True, peepholes=False, layout=1)
    x, h = arrays_for(model, 5, 2)
    y, last = lamina.compile(model, cache=False)(x, h)
    default = onnx.ModelProto()
    default.CopyFrom(model)
    node = default.graph.node[0]
    del node.attribute[[attribute.name for attribute in node.attribute].index("layout")]
    for value, names in zip(default.graph.input, (["steps", "batch"], [1, "batch"]), strict=True):
        for dim, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if isinstance(name, str):
                dim.dim_param = name
            else:
                dim.dim_value = name
    wanted_y, wanted_h = runtime(default, x.transpose(1, 0, 2), h.transpose(1, 0, 2))
    np.testing.assert_allclose(y, wanted_y.transpose(2, 0, 1, 3), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(last, wanted_h.transpose(1, 0, 2), rtol=2e-5, atol=2e-6)


SCAN = """
agraph (float[3] start, float[n, 3] x, float[3, n] y) => (float[3] last, float[3, n] sums, float[n, 3] products) {{
  last, sums, products = Scan <num_scan_inputs = 2, scan_input_axes = [0, 1], scan_input_directions = {inputs},
      scan_output_axes = [1, 0], scan_output_directions = {outputs},
      body = step (float[3] s, float[3] a, float[3] b) => (float[3] t, float[3] u, float[3] v) {{
        t = Add (s, a)
        u = Sub (t, b)
        v = Mul (a, b)
      }}> (start, x, y)
}}
"""


@pytest.mark.parametrize("inputs", ["[0, 0]", "[1, 1]", "[0, 1]"])
@pytest.mark.parametrize("outputs", ["[0, 0]", "[1, 1]", "[1, 0]"])
def test_scan(inputs: str, outputs: str):
    model = parse(SCAN.format(inputs=inputs, outputs=outputs))
    executable = lamina.compile(model, cache=False)
    for steps in (4, 1):
        arrays = [RNG.standard_normal(shape).astype(np.float32) for shape in ((3,), (steps, 3), (3, steps))]
        for result, wanted in zip(executable(*arrays), runtime(model, *arrays), strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-6, atol=1e-6)
