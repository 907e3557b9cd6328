"""Random weights for graphs that were kept without: by name and seed, scaled so that activations stay of order one.

The same name gives the same values in every graph, so that two graphs of one network agree (GPT-2's prefill and its
decode step), and PyTorch can be given the same ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Iterator, Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

KEPT_ELEMENTS = 64
TRANSPOSED = ".transposed"
# Per-channel steps between a convolution and what it feeds; all weights but one operand.
AFFINE = ("BatchNormalization", "Mul", "Add")
RECTIFIERS = ("Relu", "Clip", "LRN")
VIEWS = ("Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Cast", "Expand")

Shape = tuple[int, ...]
Uses = Mapping[str, list[tuple[NodeProto, int]]]


def _integer(node: NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _matrix_fan_in(node: NodeProto, shape: Shape) -> int:
    """The length of the contracted axis of a MatMul's or a Gemm's right operand."""
    return shape[-1] if _integer(node, "transB", 0) else shape[-2]


def _transposed_fan_in(node: NodeProto, shape: Shape) -> int:
    """Weights [C, M / group, window…]: products that meet in one element of the result, for stride = 1 at most."""
    strides = next((attribute.ints for attribute in node.attribute if attribute.name == "strides"), [1])
    group = _integer(node, "group", 1)
    return max(1, shape[0] // group * int(np.prod(shape[2:])) // int(np.prod(strides)))


# By operator and input: the number of products summed into one element of the result.
FAN_IN: Mapping[tuple[str, int], Callable[[NodeProto, Shape], int]] = {
    ("Conv", 1): lambda node, shape: int(np.prod(shape[1:])),
    ("ConvTranspose", 1): _transposed_fan_in,
    ("MatMul", 1): _matrix_fan_in,
    ("Gemm", 1): _matrix_fan_in,
    ("LSTM", 1): lambda node, shape: shape[-1],
    ("LSTM", 2): lambda node, shape: shape[-1],
    ("Gather", 0): lambda node, shape: shape[-1],
}
# The factors that multiply a signal: near one. Of a Mul, whichever operand is the weight.
NEAR_ONE = {
    ("LayerNormalization", 1), ("BatchNormalization", 1), ("InstanceNormalization", 1), ("Mul", 0), ("Mul", 1),
}  # fmt: skip
# By a part of the name. GPT-2 with weights of equal scale says one token for ever: positions must count for more than the
# part of the signal that all tokens share, and attention must be far from uniform.
SCALES = {".wpe.": 10.0, ".c_proj.weight": 0.5, ".c_attn.weight": 3.0}
VARIANCE = ("BatchNormalization", 4)


def is_left_out(initializer: TensorProto) -> bool:
    """Whether an initializer was kept without its data."""
    size = int(np.prod(initializer.dims, dtype=np.int64))
    has_data = initializer.raw_data or initializer.float_data
    return initializer.data_type == TensorProto.FLOAT and size > KEPT_ELEMENTS and not has_data


def random_weight(name: str, shape: Shape, node: NodeProto, index: int, seed: int = 0, gain: float = 1.0) -> np.ndarray:
    """f32 values of the initializer `name`, which is input `index` of `node`.

    Variances average to about two, factors to one, biases and means to zero; weights have variance gain / fan-in.
    `NAME.transposed` is the transpose of `NAME`.
    """
    base = name.removesuffix(TRANSPOSED)
    transposed = base != name
    generator = np.random.default_rng([seed, zlib.crc32(base.encode())])
    noise = generator.standard_normal(shape[::-1] if transposed else shape, dtype=np.float32)
    noise = np.ascontiguousarray(noise.T) if transposed else noise
    key = (node.op_type, index)
    if key in FAN_IN:
        scale = next((scale for part, scale in SCALES.items() if part in base), 1.0)
        return noise * np.float32(scale * (gain / FAN_IN[key](node, shape)) ** 0.5)
    if key == VARIANCE:
        return np.float32(1) + np.abs(noise)
    return np.float32(key in NEAR_ONE) + np.float32(0.1) * noise


def gain_of(node: NodeProto, where: Uses, weights: Container[str]) -> float:
    """The variance that a convolution or a dense layer adds.

    2 where a rectifier takes half of it away, 1/4 where it is added to a residual (so that sums do not grow), else 1.
    """
    if node.op_type not in ("Conv", "Gemm"):
        return 1.0
    while True:
        readers = [reader for reader, _ in where.get(node.output[0], [])]
        if any(reader.op_type in RECTIFIERS for reader in readers):
            return 2.0
        if len(readers) != 1 or readers[0].op_type not in (*AFFINE, "Sum"):
            return 1.0
        others = [name for name in readers[0].input if name != node.output[0]]
        if readers[0].op_type == "Sum" or not all(name in weights for name in others):
            return 0.25 if readers[0].op_type in ("Sum", "Add") else 1.0
        node = readers[0]


def uses(model: onnx.ModelProto) -> Uses:
    """Where each value is read, outer graph and subgraphs; reads through reshapes and the like count for their source."""
    found: dict[str, list[tuple[NodeProto, int]]] = {}
    for node in _nodes(model.graph):
        for index, name in enumerate(node.input):
            found.setdefault(name, []).append((node, index))
    for node in reversed(list(_nodes(model.graph))):
        if node.op_type in VIEWS:
            found[node.input[0]] = [*found.get(node.output[0], []), *found[node.input[0]]]
    return found


def _nodes(graph: onnx.GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def fill_weights(
    model: onnx.ModelProto, weights: Mapping[str, np.ndarray] | None = None, seed: int = 0
) -> onnx.ModelProto:
    """Give data to the initializers that were kept without: by name from `weights`, else `random_weight`."""
    where, constant = uses(model), _constants(model)
    for initializer in model.graph.initializer:
        if not is_left_out(initializer):
            continue
        if weights is None:
            node, index = where[initializer.name][0]
            gain = gain_of(node, where, constant)
            array = random_weight(initializer.name, tuple(initializer.dims), node, index, seed, gain)
        else:
            array = weight_by_name(weights, initializer.name)
        initializer.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), initializer.name))
    return model


def _constants(model: onnx.ModelProto) -> set[str]:
    """Initializers and views of them."""
    found = {one.name for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in VIEWS and node.input[0] in found:
            found.add(node.output[0])
    return found


def weight_by_name(weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """`NAME.transposed` is the transpose of `NAME`; the prefix `bert.` is the exporting wrapper's."""
    base = name.removeprefix("bert.")
    if base.endswith(TRANSPOSED):
        return weights[base.removesuffix(TRANSPOSED)].T
    return weights[base]


def with_weights_as_initializers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The ONNX package's light models make their weights by ConstantOfShape: leave them out as kept graphs do."""
    graph = model.graph
    shapes = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    made = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    for node in made:
        dims = tuple(int(dim) for dim in shapes[node.input[0]])
        graph.node.remove(node)
        if int(np.prod(dims)) > KEPT_ELEMENTS:
            graph.initializer.append(TensorProto(name=node.output[0], dims=dims, data_type=TensorProto.FLOAT))
    where = uses(model)
    for node in made:
        dims = tuple(int(dim) for dim in shapes[node.input[0]])
        if int(np.prod(dims)) <= KEPT_ELEMENTS:
            array = random_weight(node.output[0], dims, *where[node.output[0]][0])
            graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    read = {name for node in graph.node for name in node.input}
    _keep(graph.initializer, lambda one: one.name in read)
    weights = {one.name for one in graph.initializer}
    _keep(graph.input, lambda one: one.name in read and one.name not in weights)
    return model


def _keep(values, wanted) -> None:
    kept = [value for value in values if wanted(value)]
    del values[:]
    values.extend(kept)
