"""The distinct convolutions of ResNet-50 and MobileNetV2 beside ONNX Runtime, one row per layer.

    python benchmarks/convolutions.py [--network NAME] [--threads N] [--only TEXT] [--json FILE]

One process, contenders in turn; the time of a contender is the minimum over the rounds of the median of a short run,
the ratio ours / ONNX Runtime's: below 1 we are faster. Every layer has a bias and an activation; inputs and outputs are
NCHW, as in ONNX, so that our time has the transposes which a whole network needs at its ends only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

from contest import fastest

import lamina
from support.oracles import onnxruntime_session

SLICE_SECONDS = 0.12


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
        return f"{self.inputs}x{self.size}-{self.outputs}-{kernel}" + (f"g{self.groups}" if self.groups > 1 else "")

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


NETWORKS: dict[str, Callable[[], list[Layer]]] = {"resnet50": resnet50, "mobilenetv2": mobilenet_v2}


def model_of(layer: Layer) -> onnx.ModelProto:
    """The layer as an ONNX model of its own, with seeded random weights."""
    random = np.random.default_rng(0)
    fan_in = layer.inputs // layer.groups * layer.kernel**2
    shape = (layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel)
    weight = (random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
    bias = random.standard_normal(layer.outputs).astype(np.float32)
    initializers = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    pad = (layer.kernel - 1) // 2
    convolution = helper.make_node(
        "Conv",
        ["x", "w", "b"],
        ["y" if layer.activation == "none" else "c"],
        strides=[layer.stride] * 2,
        pads=[pad] * 4,
        group=layer.groups,
    )
    nodes = [convolution]
    if layer.activation == "relu":
        nodes.append(helper.make_node("Relu", ["c"], ["y"]))
    if layer.activation == "relu6":
        initializers += [numpy_helper.from_array(np.float32(value), name) for name, value in (("lo", 0), ("hi", 6))]
        nodes.append(helper.make_node("Clip", ["c", "lo", "hi"], ["y"]))
    graph = helper.make_graph(
        nodes,
        layer.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, layer.inputs, layer.size, layer.size))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def measure(layer: Layer, threads: int, rounds: int) -> dict[str, object]:
    """One row."""
    model = model_of(layer)
    feeds = {"x": np.random.default_rng(1).standard_normal((1, layer.inputs, layer.size, layer.size), dtype=np.float32)}
    start = time.perf_counter()
    executable = lamina.compile(model, threads=threads, cache=False)
    compile_seconds = time.perf_counter() - start
    session = onnxruntime_session(model, threads)
    expected = np.asarray(session.run(None, feeds)[0])
    difference = float(np.abs(executable(**feeds)[0] - expected).max())
    contenders = {"lamina": lambda: executable(**feeds), "onnxruntime": lambda: session.run(None, feeds)}
    best = fastest(contenders, rounds, SLICE_SECONDS)
    return {
        "network": layer.network,
        "layer": layer.name,
        "threads": threads,
        "lamina_ms": round(best["lamina"], 4),
        "onnxruntime_ms": round(best["onnxruntime"], 4),
        "ratio": round(best["lamina"] / best["onnxruntime"], 3),
        "gflops": round(layer.operations / best["lamina"] / 1e6, 1),
        "onnxruntime_gflops": round(layer.operations / best["onnxruntime"] / 1e6, 1),
        "compile_s": round(compile_seconds, 2),
        "largest_difference": difference,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, help="one network")
    parser.add_argument("--threads", type=int, default=1, help="threads of both contenders")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--only", default="", metavar="TEXT", help="layers whose name contains TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    options = parser.parse_args()
    print(
        "| network | layer | lamina ms | onnxruntime ms | ratio | GFLOP/s | theirs | compile s | largest difference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    rows: list[dict[str, object]] = []
    for name in [options.network] if options.network else NETWORKS:
        for layer in NETWORKS[name]():
            if options.only not in layer.name:
                continue
            row = measure(layer, options.threads, options.rounds)
            rows.append(row)
            print(
                f"| {row['network']} | {row['layer']} | {row['lamina_ms']} | {row['onnxruntime_ms']} | {row['ratio']} "
                f"| {row['gflops']} | {row['onnxruntime_gflops']} | {row['compile_s']} "
                f"| {row['largest_difference']:.1e} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
