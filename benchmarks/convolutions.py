"""Distinct convolutions of ResNet-50, MobileNetV2, ResNeXt-50 and RegNetY beside ONNX Runtime, OpenVINO and PyTorch.

    python benchmarks/convolutions.py [--network NAME] [--peer torch=PYTHON] [--threads 1 2] [--only TEXT] [--json FILE]

How contenders are timed and checked: `peers.py`. The ratio is ours / the fastest of the others: below 1 we are faster.
`share` is our part of the arithmetic peak (`peak.py`), measured first; taps on the padding count as done, so that a
share may exceed 1. Every layer has a bias and most an activation. With `--order nchw` inputs and outputs are as in
ONNX, and everybody has the transposes which a whole network needs at its ends only; `nhwc` (the default) takes them
away: the model has a transpose in front of the layer and one behind it, which meet the layout that we, OpenVINO and
PyTorch's oneDNN work in (ONNX Runtime computes them). PyTorch has weights packed by oneDNN, and the activation in the
same call.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

import peak
from peers import NAMES, Case, add_options, contest, finish, pythons_of, started, table_head, table_row

from support.oracles import double_outputs

CONTENDERS = NAMES[:4]


@dataclass(frozen=True)
class Layer:
    """A convolution of a square input with a square kernel, padded by (kernel - 1) / 2."""

    network: str
    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1
    activation: str = "relu"

    @property
    def name(self) -> str:
        """`64x56-256-1x1s1g1`."""
        kernel = f"{self.kernel}x{self.kernel}s{self.stride}"
        kind = " stem" if self.inputs == 3 else f"g{self.groups}" if self.groups > 1 else ""
        return f"{self.inputs}x{self.size}-{self.outputs}-{kernel}{kind}"

    @property
    def operations(self) -> int:
        """Floating-point operations, padding taps included."""
        positions = (-(-self.size // self.stride)) ** 2
        return 2 * positions * self.outputs * (self.inputs // self.groups) * self.kernel**2


def resnet50() -> list[Layer]:
    """The 23 distinct convolutions of ResNet-50 at 224 x 224."""
    layers = [Layer("resnet50", 3, 64, 224, 7, 2)]
    inputs, size = 64, 56
    for width in (64, 128, 256, 512):
        stride = 1 if width == 64 else 2
        out = 4 * width
        layers += [
            Layer("resnet50", inputs, width, size, 1),
            Layer("resnet50", width, width, size, 3, stride),
            Layer("resnet50", inputs, out, size, 1, stride, activation="none"),
        ]
        size //= stride
        layers += [
            Layer("resnet50", width, out, size, 1, activation="none"),
            Layer("resnet50", out, width, size, 1),
            Layer("resnet50", width, width, size, 3),
        ]
        inputs = out
    return list(dict.fromkeys(layers))


def mobilenet_v2() -> list[Layer]:
    """The distinct convolutions of MobileNetV2 (width 1) at 224 x 224."""
    blocks = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers = [Layer("mobilenetv2", 3, 32, 224, 3, 2, activation="relu6")]
    inputs, size = 32, 112
    for expansion, outputs, count, first_stride in blocks:
        for number in range(count):
            stride = first_stride if number == 0 else 1
            width = inputs * expansion
            if expansion > 1:
                layers.append(Layer("mobilenetv2", inputs, width, size, 1, activation="relu6"))
            layers.append(Layer("mobilenetv2", width, width, size, 3, stride, width, "relu6"))
            size //= stride
            layers.append(Layer("mobilenetv2", width, outputs, size, 1, activation="none"))
            inputs = outputs
    layers.append(Layer("mobilenetv2", inputs, 1280, size, 1, activation="relu6"))
    return list(dict.fromkeys(layers))


def resnext50() -> list[Layer]:
    """The convolutions with groups of ResNeXt-50 32x4d at 224 x 224."""
    layers: list[Layer] = []
    size = 56
    for width in (128, 256, 512, 1024):
        if width > 128:
            layers.append(Layer("resnext50", width, width, size, 3, 2, 32))
            size //= 2
        layers.append(Layer("resnext50", width, width, size, 3, 1, 32))
    return layers


REGNETS = {"400mf": (8, (48, 104, 208, 440)), "1.6gf": (24, (48, 120, 336, 888)), "8gf": (56, (224, 448, 896, 2016))}
"""Features of a group, and those of each stage, of RegNetY by its size."""


def regnet_y() -> list[Layer]:
    """The convolutions with groups and without a stride of three RegNetY at 224 x 224."""
    return [
        Layer("regnety", width, width, 56 >> stage, 3, 1, width // group)
        for group, widths in REGNETS.values()
        for stage, width in enumerate(widths)
    ]


NETWORKS: dict[str, Callable[[], list[Layer]]] = {
    "resnet50": resnet50,
    "mobilenetv2": mobilenet_v2,
    "resnext50": resnext50,
    "regnety": regnet_y,
}


def weights_of(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Seeded weights [outputs, inputs / groups, height, width] and biases."""
    random = np.random.default_rng(0)
    fan_in = layer.inputs // layer.groups * layer.kernel**2
    shape = (layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel)
    weight = (random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
    return weight, random.standard_normal(layer.outputs).astype(np.float32)


def model_of(layer: Layer, *, features_last: bool = False) -> onnx.ModelProto:
    """The layer as an ONNX model of its own, between two transposes where inputs have their features last."""
    weight, bias = weights_of(layer)
    initializers = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    pad = (layer.kernel - 1) // 2
    convolution = helper.make_node(
        "Conv",
        ["image" if features_last else "x", "w", "b"],
        ["c"],
        strides=[layer.stride] * 2,
        pads=[pad] * 4,
        group=layer.groups,
    )
    nodes, last, shape = [convolution], "c", (1, layer.inputs, layer.size, layer.size)
    if layer.activation == "relu":
        nodes.append(helper.make_node("Relu", ["c"], ["a"]))
        last = "a"
    if layer.activation == "relu6":
        initializers += [numpy_helper.from_array(np.float32(value), name) for name, value in (("lo", 0), ("hi", 6))]
        nodes.append(helper.make_node("Clip", ["c", "lo", "hi"], ["a"]))
        last = "a"
    if features_last:
        shape = (1, layer.size, layer.size, layer.inputs)
        nodes.insert(0, helper.make_node("Transpose", ["x"], ["image"], perm=[0, 3, 1, 2]))
        nodes.append(helper.make_node("Transpose", [last], ["y"], perm=[0, 2, 3, 1]))
        last = "y"
    graph = helper.make_graph(
        nodes,
        layer.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


ONEDNN_ACTIVATIONS = {"none": '"none", []', "relu": '"relu", []', "relu6": '"hardtanh", [0.0, 6.0]'}


def case_of(layer: Layer, folder: Path, *, features_last: bool) -> Case:
    """A case with its model in a file."""
    model = model_of(layer, features_last=features_last)
    path = folder / f"{layer.name.replace(' ', '-')}.onnx"
    onnx.save(model, path)
    shape = (layer.size, layer.size, layer.inputs) if features_last else (layer.inputs, layer.size, layer.size)
    feeds = {"x": np.random.default_rng(1).standard_normal((1, *shape), dtype=np.float32)}
    weight, bias = weights_of(layer)
    pad = (layer.kernel - 1) // 2
    geometry = f"[{pad}, {pad}], [{layer.stride}, {layer.stride}], [1, 1], {layer.groups}"
    sizes = [1, layer.inputs, layer.size, layer.size]
    setup = f"p = torch.ops.mkldnn._reorder_convolution_weight(w, {geometry}, {sizes})"
    image = "x.permute(0, 3, 1, 2)" if features_last else "x"
    activation = ONEDNN_ACTIVATIONS[layer.activation]
    call = f"torch.ops.mkldnn._convolution_pointwise({image}, p, b, {geometry}, {activation}, '')"
    (exact,) = double_outputs(model, feeds)
    torch = f"{call}.permute(0, 2, 3, 1)" if features_last else call
    return Case(layer.name, path, torch, "", feeds, exact, constants={"w": weight, "b": bias}, setup=setup)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, CONTENDERS)
    parser.add_argument("--network", choices=NETWORKS, help="one network")
    parser.add_argument("--order", choices=("nhwc", "nchw"), default="nhwc", help="of inputs and outputs")
    options = parser.parse_args()
    pythons = pythons_of(options)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        layers = [layer for name in [options.network] if name for layer in NETWORKS[name]()]
        layers = layers or [layer for network in NETWORKS.values() for layer in network()]
        cases = {
            layer: case_of(layer, Path(folder), features_last=options.order == "nhwc")
            for layer in layers
            if options.only in layer.name
        }
        for threads in options.threads:
            limit = peak.measure(threads)
            print(f"peak, {threads} threads: {limit} GFLOP/s")
            print(table_head(list(pythons), "gflops", "share"), flush=True)
            with started(pythons, threads) as peers:
                for layer, case in cases.items():
                    row = contest(case, peers, options.rounds, options.seconds)
                    row |= {"network": layer.network, "layer": layer.name, "order": options.order}
                    row |= {"threads": threads, "peak": limit, "operations": layer.operations}
                    if "lamina_ms" in row:
                        row["gflops"] = round(layer.operations / row["lamina_ms"] / 1e6, 1)
                        row["share"] = round(row["gflops"] / limit, 2)
                    rows.append(row)
                    print(table_row(row, list(pythons), "gflops", "share"), flush=True)
    return finish(rows, options.json)


if __name__ == "__main__":
    sys.exit(main())
