"""Convolutions with groups of any number and width, beside ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper

import lamina
from support.oracles import onnxruntime_session

TOLERANCE = 2e-5
"""Of the largest result: sums of up to a thousand products in f32, in another order."""

WIDTHS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 17, 24, 40)
"""Features of a group: narrow ones that share a vector, whole vectors, several, and with a rest."""


def grouped(
    random: Generator,
    groups: int,
    features: int,
    outputs: int,
    kernel: list[int],
    sizes: list[int | str],
    *,
    activation: bool = True,
    **attributes: object,
) -> onnx.ModelProto:
    """A convolution of x [n, groups * features, sizes …], `features` and `outputs` those of one group, with a bias."""
    shape = (groups * outputs, features, *kernel)
    weight = random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    constants = {"w": weight, "b": random.standard_normal(groups * outputs)}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], group=groups, **attributes)]
    if activation:
        nodes[0].output[0] = "c"
        nodes.append(helper.make_node("Relu", ["c"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "grouped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [sizes[0], groups * features, *sizes[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def check(model: onnx.ModelProto, x: np.ndarray, vector_bits: int, threads: int = 1) -> None:
    (expected,) = onnxruntime_session(model, 1).run(None, {"x": x})
    (found,) = lamina.compile(model, threads=threads, cache=False, target={"vector_bits": vector_bits})(x=x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1, float(np.abs(expected).max())))


@pytest.mark.parametrize("seed", range(40))
def test_random_groups(seed: int) -> None:
    """Any rank, number and width of groups, stride, dilation and padding."""
    random = np.random.default_rng(seed)

    def choice(*values: int) -> int:
        return int(random.choice(values))

    rank = choice(1, 2, 2, 2, 3)
    groups = choice(2, 3, 4, 7, 8, 9, 12, 16, 32)
    features = WIDTHS[seed % len(WIDTHS)]
    outputs = features if random.random() < 0.6 else choice(*WIDTHS)
    kernel = [choice(1, 2, 3, 3, 5) for _ in range(rank)]
    dilations = [choice(1, 1, 2) for _ in range(rank)]
    sizes = [step * (taps - 1) + 1 + choice(0, 1, 5, 13) for taps, step in zip(kernel, dilations, strict=True)]
    batch = choice(1, 1, 2)
    attributes = {
        "strides": [choice(1, 1, 2, 3) for _ in range(rank)],
        "dilations": dilations,
        "pads": [choice(0, 1, 2) for _ in range(2 * rank)],
    }
    declared: list[int | str] = [batch, *sizes]
    if random.random() < 0.3:
        declared[choice(0, rank)] = "symbolic"
    model = grouped(random, groups, features, outputs, kernel, declared, activation=seed % 3 > 0, **attributes)
    x = random.standard_normal((batch, groups * features, *sizes), dtype=np.float32)
    check(model, x, choice(128, 256, 512), 1 + seed % 2)


@pytest.mark.parametrize("vector_bits", [128, 256, 512])
@pytest.mark.parametrize(
    ("groups", "features", "outputs"), [(32, 4, 4), (16, 2, 4), (12, 6, 6), (8, 1, 3), (24, 2, 1), (3, 24, 24)]
)
def test_every_group_keeps_its_infinities(groups: int, features: int, outputs: int, vector_bits: int) -> None:
    """What is infinite or NaN in one group reaches the outputs of that group only."""
    random = np.random.default_rng(groups)
    model = grouped(random, groups, features, outputs, [3], [1, 21], activation=False, pads=[1, 1])
    x = random.standard_normal((1, groups * features, 21), dtype=np.float32)
    x[0, features, 2], x[0, -1, 4] = np.inf, np.nan
    (found,) = lamina.compile(model, cache=False, target={"vector_bits": vector_bits})(x=x)
    finite = np.isfinite(found).reshape(groups, outputs, -1).all(axis=(1, 2))
    assert finite.tolist() == [group not in (1, groups - 1) for group in range(groups)]
    (expected,) = onnxruntime_session(model, 1).run(None, {"x": x})
    same = np.isfinite(expected).reshape(groups, outputs, -1).all(axis=(1, 2))
    np.testing.assert_allclose(
        found.reshape(groups, -1)[finite & same], expected.reshape(groups, -1)[finite & same], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, TOLERANCE), (np.float16, 4e-3)])
@pytest.mark.parametrize("features", [4, 24])
def test_other_elements(features: int, dtype: type[np.floating], tolerance: float) -> None:
    """Half precision is multiplied in f32, double precision in vectors of half as many lanes."""
    random = np.random.default_rng(features)
    model = grouped(random, 8, features, features, [3, 3], [1, 9, 14], pads=[1, 1, 1, 1], strides=[1, 2])
    x = random.standard_normal((1, 8 * features, 9, 14), dtype=np.float32).astype(dtype)
    (expected,) = onnxruntime_session(model, 1).run(None, {"x": x.astype(np.float32)})
    element_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = element_type
    for constant in model.graph.initializer:
        constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant).astype(dtype), constant.name))
    (found,) = lamina.compile(model, cache=False, target={"vector_bits": 512})(x=x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1, float(np.abs(expected).max())))
