"""Random convolutions with what stands around them in networks, beside ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper

import lamina
from support.oracles import onnxruntime_session

CASES = 36
TOLERANCE = 2e-5
"""Of the largest result: sums of up to a thousand products in f32, in another order."""


@dataclass
class Network:
    """An ONNX graph under construction; `last` is the name of its newest value."""

    random: Generator
    last: str = "x"
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def normal(self, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        return self.constant(self.random.standard_normal(shape) / np.sqrt(fan_in))

    def add(self, operator: str, *operands: str, **attributes: object) -> str:
        self.last, operands = f"v{len(self.nodes)}", operands or (self.last,)
        self.nodes.append(helper.make_node(operator, operands, [self.last], **attributes))
        return self.last

    def model(self, shape: list[int | str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def random_network(random: Generator) -> tuple[onnx.ModelProto, np.ndarray]:
    """A convolution of rank 1 to 3 with any groups, strides, dilations and padding, and some of its usual neighbors."""

    def choice(*values: int) -> int:
        return int(random.choice(values))

    rank = choice(1, 2, 2, 2, 3)
    groups = choice(1, 1, 1, 2, 3, 4, 12)
    inputs, outputs = groups * choice(1, 3, 8, 17), groups * choice(1, 2, 16, 33)
    if groups == 12:
        inputs = outputs = groups
    kernel = [1] * rank if random.random() < 0.3 else [choice(1, 2, 3, 5) for _ in range(rank)]
    dilations = [choice(1, 1, 2) for _ in range(rank)]
    sizes = [step * (taps - 1) + 1 + choice(0, 1, 5, 13) for taps, step in zip(kernel, dilations, strict=True)]
    batch = choice(1, 1, 2, 3)
    network = Network(random)
    network.add(
        "Conv",
        "x",
        network.normal(outputs, inputs // groups, *kernel),
        *([network.normal(outputs)] if random.random() < 0.6 else []),
        strides=[choice(1, 1, 2, 3) for _ in range(rank)],
        dilations=dilations,
        pads=[choice(0, 1, 2) for _ in range(2 * rank)],
        group=groups,
        kernel_shape=kernel,
    )
    if random.random() < 0.5:
        statistics = [network.normal(outputs) for _ in range(3)]
        variance = network.constant(0.5 + random.random(outputs))
        network.add("BatchNormalization", network.last, *statistics, variance)
    if random.random() < 0.6:
        network.add("Relu")
    if random.random() < 0.4:
        shortcut = network.last
        network.add("Conv", shortcut, network.normal(outputs, outputs, *[1] * rank))
        network.add("Add", network.last, shortcut)
    if random.random() < 0.3:
        operator = str(random.choice(["MaxPool", "AveragePool"]))
        network.add(operator, kernel_shape=[2] * rank, pads=[1] * 2 * rank)
    if random.random() < 0.2:
        network.add("GlobalAveragePool")
    declared = "batch" if random.random() < 0.3 else batch
    x = random.standard_normal((batch, inputs, *sizes), dtype=np.float32)
    return network.model([declared, inputs, *sizes]), x


@pytest.mark.parametrize("seed", range(CASES))
def test_random_convolution(seed: int) -> None:
    random = np.random.default_rng(seed)
    model, x = random_network(random)
    (expected,) = onnxruntime_session(model, 1).run(None, {"x": x})
    target = {"vector_bits": int(random.choice([128, 256, 512]))}
    (found,) = lamina.compile(model, threads=1 + seed % 2, cache=False, target=target)(x=x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1, float(np.abs(expected).max())))


@pytest.mark.parametrize("groups", [4, 16])
def test_groups_do_not_reach_each_other(groups: int) -> None:
    """Infinities and NaN of one group stay in its outputs."""
    network = Network(np.random.default_rng(0))
    network.add("Conv", "x", network.normal(4 * groups, 2, 3), group=groups, pads=[1, 1])
    model = network.model([1, 2 * groups, 9])
    x = np.random.default_rng(1).standard_normal((1, 2 * groups, 9)).astype(np.float32)
    x[0, 0, 2], x[0, 3, 4] = np.inf, np.nan
    (theirs,) = onnxruntime_session(model).run(None, {"x": x})
    assert np.isfinite(theirs[0, 8:]).all()
    (ours,) = lamina.compile(model, threads=1)(x=x)
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def padded_convolution(random: Generator) -> tuple[onnx.ModelProto, np.ndarray]:
    """A convolution, dense or depthwise, behind another one: its padding (up to more than the window) is not in memory."""

    def choice(*values: int) -> int:
        return int(random.choice(values))

    rank = choice(1, 2, 2, 2, 3)
    depthwise = choice(0, 0, 1) == 1
    features, outputs = choice(5, 16, 33, 70), choice(3, 16, 48, 100)
    outputs = features if depthwise else outputs
    kernel = [choice(1, 2, 3, 3, 5) for _ in range(rank)]
    strides, dilations = [choice(1, 1, 2, 3) for _ in range(rank)], [choice(1, 1, 2) for _ in range(rank)]
    pads = [choice(0, 1, 1, 2, 6) for _ in range(2 * rank)]
    sizes = [choice(1, 5, 7, 13, 14, 29) for _ in range(rank)]
    sizes = [
        max(size, dilation * (taps - 1) + 1 - before - after)
        for size, dilation, taps, before, after in zip(sizes, dilations, kernel, pads[:rank], pads[rank:], strict=True)
    ]
    network = Network(random)
    network.add("Conv", "x", network.normal(features, 4, *[1] * rank), kernel_shape=[1] * rank)
    network.add(
        "Conv",
        network.last,
        network.normal(outputs, 1 if depthwise else features, *kernel),
        network.normal(outputs),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=pads,
        group=features if depthwise else 1,
    )
    network.add("Relu")
    batch = choice(1, 1, 2)
    axes: list[int | str] = [(choice(0, 1) and f"s{axis}") or size for axis, size in enumerate(sizes)]
    shape = (batch, 4, *sizes)
    return network.model([batch, 4, *axes]), random.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_padding_is_left_out(seed: int) -> None:
    """Known and symbolic sizes, windows partly and wholly on the padding."""
    model, x = padded_convolution(np.random.default_rng(1000 + seed))
    expected = np.asarray(onnxruntime_session(model, 1).run(None, {"x": x})[0])
    executable = lamina.compile(model, cache=False)
    for threads in (1, 2):
        (found,) = executable.call([x], threads=threads)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1.0, float(np.abs(expected).max())))
