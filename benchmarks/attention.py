"""Attention beside ONNX Runtime: MatMul, Softmax, MatMul as exporters write them, and its own MultiHeadAttention.

    python benchmarks/attention.py [--json FILE] [--threads 1 2] [--seconds 2]

Queries, keys and values are [1, tokens, heads, 64], as projections give them, and so is the result: transposes are part
of the work. Contenders have short runs in turn in one process, with a pause between; the figure is the shortest
call. The ratio is ONNX Runtime's best time / ours: above 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import f32

sys.path[:0] = [str(Path(__file__).parents[1] / "test"), str(Path(__file__).parents[1] / "test" / "unit")]

from contest import fastest  # noqa: E402

import lamina  # noqa: E402
from graph_models import module_of  # noqa: E402
from lamina import api  # noqa: E402

FEATURES = 64
ROUNDS = 5
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Row:
    """One attention: query heads, key heads, queries and keys (equally many), causal or not."""

    heads: int
    key_heads: int
    tokens: int
    causal: bool

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [(1, self.tokens, heads, FEATURES) for heads in (self.heads, self.key_heads, self.key_heads)]


ROWS = [
    Row(heads, key_heads, tokens, causal)
    for causal in (False, True)
    for heads, key_heads, tokens in (
        (12, 12, 128),
        (12, 12, 256),
        (12, 12, 512),
        (8, 8, 1024),
        (4, 4, 2048),
        (12, 4, 512),
    )
]


def ours(row: Row, threads: int):
    """Our executable."""
    causal = "start" if row.causal else None

    def build(builder, *operands):
        return [builder.attention(*operands, scale=FEATURES**-0.5, causal=causal, tokens_first=(0, 1, 2, 3))]

    module = module_of(api.make_context(), [(shape, f32) for shape in row.shapes], build)
    return lamina.compile(module, threads=threads, cache=False)


def spelled_out(row: Row):
    """Nodes and constants of the exporters' form."""
    group = row.heads // row.key_heads
    nodes, constants, names = [], {"scale": np.float32(FEATURES**-0.5)}, {"q": "qt"}
    nodes.append(helper.make_node("Transpose", ["q"], ["qt"], perm=[0, 2, 1, 3]))
    for name, last in (("k", [0, 1, 3, 2]), ("v", None)):
        if group == 1:
            perm = [0, 2, 3, 1] if last else [0, 2, 1, 3]
            nodes.append(helper.make_node("Transpose", [name], [f"{name}t"], perm=perm))
            names[name] = f"{name}t"
            continue
        constants["axis"] = np.array([2])
        constants["repeated"] = np.array([1, row.key_heads, group, row.tokens, FEATURES])
        constants["merged"] = np.array([1, row.heads, row.tokens, FEATURES])
        nodes += [
            helper.make_node("Transpose", [name], [f"{name}1"], perm=[0, 2, 1, 3]),
            helper.make_node("Unsqueeze", [f"{name}1", "axis"], [f"{name}2"]),
            helper.make_node("Expand", [f"{name}2", "repeated"], [f"{name}3"]),
            helper.make_node("Reshape", [f"{name}3", "merged"], [f"{name}4"]),
        ]
        names[name] = f"{name}4"
        if last:
            nodes.append(helper.make_node("Transpose", [f"{name}4"], [f"{name}5"], perm=last))
            names[name] = f"{name}5"
    nodes += [
        helper.make_node("MatMul", [names["q"], names["k"]], ["scores"]),
        helper.make_node("Mul", ["scores", "scale"], ["scaled"]),
    ]
    if row.causal:
        constants["mask"] = np.where(np.tri(row.tokens, dtype=np.bool_), 0, -np.inf).astype(np.float32)
        nodes.append(helper.make_node("Add", ["scaled", "mask"], ["masked"]))
    nodes += [
        helper.make_node("Softmax", ["masked" if row.causal else "scaled"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", names["v"]], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["o"], perm=[0, 2, 1, 3]),
    ]
    return nodes, constants


def fused(row: Row):
    """Nodes and constants of ONNX Runtime's own op."""
    nodes = [helper.make_node("Reshape", [name, "merged"], [f"{name}3"]) for name in "qkv"]
    nodes += [
        helper.make_node(
            "MultiHeadAttention",
            ["q3", "k3", "v3"],
            ["o3"],
            domain="com.microsoft",
            num_heads=row.heads,
            unidirectional=int(row.causal),
        ),
        helper.make_node("Reshape", ["o3", "split"], ["o"]),
    ]
    width = row.heads * FEATURES
    return nodes, {"merged": np.array([1, -1, width]), "split": np.array([1, -1, row.heads, FEATURES])}


def session(row: Row, form: Callable[[Row], tuple[list, dict]], threads: int) -> onnxruntime.InferenceSession:
    """A session of ONNX Runtime with all its optimizations."""
    nodes, constants = form(row)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip("qkv", row.shapes, strict=True)
    ]
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, row.shapes[0])
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "attention", inputs, [output], initializers)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def bound(of: onnxruntime.InferenceSession, inputs: Sequence[np.ndarray]) -> tuple[Callable[[], object], np.ndarray]:
    """A call without copies, and the array that it writes."""
    binding = of.io_binding()
    for name, array in zip("qkv", inputs, strict=True):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    result = np.zeros(inputs[0].shape, np.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(result)
    binding.bind_ortvalue_output("o", value)
    of.run_with_iobinding(binding)
    return lambda: of.run_with_iobinding(binding), value.numpy()


def measure(row: Row, threads: int, seconds: float) -> dict[str, object]:
    """One row of the table; results are compared first."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape, dtype=np.float32) for shape in row.shapes]
    executable = ours(row, threads)
    result = [executable.call(inputs)[0].copy()]
    calls: list[Callable[[], object]] = [lambda: executable.call(inputs, out=result)]
    difference = 0.0
    for form in (spelled_out, fused) if row.heads == row.key_heads else (spelled_out,):
        call, theirs = bound(session(row, form, threads), inputs)
        difference = max(difference, float(np.abs(theirs - result[0]).max()))
        calls.append(call)
    share = seconds / ROUNDS / len(calls)
    contenders = {str(number): call for number, call in enumerate(calls)}
    times = list(fastest(contenders, ROUNDS, share, pause=PAUSE_SECONDS, of_run=min).values())
    return {
        **asdict(row),
        "threads": threads,
        "lamina_us": round(1e3 * times[0], 1),
        "onnxruntime_us": [round(1e3 * each, 1) for each in times[1:]],
        "ratio": round(min(times[1:]) / times[0], 2),
        "difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    print("| heads | keys | causal | threads | lamina µs | onnxruntime µs (graph, fused) | ratio | difference |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for threads in arguments.threads:
        for row in ROWS:
            found = measure(row, threads, arguments.seconds)
            rows.append(found)
            theirs = ", ".join(map(str, found["onnxruntime_us"]))
            print(
                f"| {row.heads}/{row.key_heads} | {row.tokens} | {row.causal} | {threads} | {found['lamina_us']} | "
                f"{theirs} | {found['ratio']} | {found['difference']:.1e} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
