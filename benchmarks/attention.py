"""Attention beside ONNX Runtime (spelled out and its own op), OpenVINO, PyTorch and JAX.

    python benchmarks/attention.py [--peer torch=PYTHON] [--peer jax=PYTHON] [--threads 1 2] [--only TEXT] [--json FILE]

Queries, keys and values are [1, tokens, heads, 64], as projections give them, and so is the result: transposes are part
of the work. How contenders are timed: `peers.py`. The ratio is ours / the fastest of the others: below 1 we are faster;
`onnxruntime:fused` is MultiHeadAttention, `onnxruntime` MatMul, Softmax, MatMul as exporters write them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import f32

sys.path[:0] = [str(Path(__file__).parents[1] / "test"), str(Path(__file__).parents[1] / "test" / "unit")]

from peers import NAMES, Case, add_options, contest, finish, pythons_of, started, table_head, table_row  # noqa: E402

from graph_models import module_of  # noqa: E402
from lamina import api  # noqa: E402

FEATURES = 64
FUSED = "onnxruntime:fused"
CONTENDERS = ("lamina", "onnxruntime", FUSED, *NAMES[2:])


@dataclass(frozen=True)
class Row:
    """One attention: query heads, key heads, queries and keys (equally many), causal or not, with a mask or not."""

    heads: int
    key_heads: int
    tokens: int
    causal: bool
    masked: bool = False

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        shapes: list[tuple[int, ...]] = [
            (1, self.tokens, heads, FEATURES) for heads in (self.heads, self.key_heads, self.key_heads)
        ]
        return [*shapes, (1, 1, 1, self.tokens)] if self.masked else shapes

    @property
    def name(self) -> str:
        kind = "causal" if self.causal else "masked" if self.masked else "full"
        return f"{self.heads}/{self.key_heads} heads, {self.tokens} keys, {kind}"


ROWS = [
    *(
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
    ),
    Row(12, 12, 128, causal=False, masked=True),
    Row(12, 12, 512, causal=False, masked=True),
]


def ours(row: Row) -> str:
    """Graph-level text."""
    causal = "start" if row.causal else None

    def build(builder, *operands):
        return [builder.attention(*operands, scale=FEATURES**-0.5, causal=causal, tokens_first=(0, 1, 2, 3))]

    module = module_of(api.make_context(), [(shape, f32) for shape in row.shapes], build)
    return str(module)


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
    if row.masked:
        nodes.append(helper.make_node("Add", ["scaled", "m"], ["masked"]))
    nodes += [
        helper.make_node("Softmax", ["masked" if row.causal or row.masked else "scaled"], ["weights"], axis=-1),
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


def model_of(row: Row, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip("qkvm", row.shapes, strict=False)
    ]
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, row.shapes[0])
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "attention", inputs, [output], initializers)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def exact(row: Row, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The definition in f64."""
    group = row.heads // row.key_heads
    q, k, v = (feeds[name].astype(np.float64).transpose(0, 2, 1, 3) for name in "qkv")
    scores = q @ np.repeat(k, group, 1).transpose(0, 1, 3, 2) * FEATURES**-0.5
    if row.causal:
        scores = np.where(np.tri(row.tokens, dtype=np.bool_), scores, -np.inf)
    if row.masked:
        scores = scores + feeds["m"]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True) @ np.repeat(v, group, 1)).transpose(0, 2, 1, 3)


def case_of(row: Row, folder: Path) -> Case:
    """A row with its models in files."""
    rng = np.random.default_rng(0)
    feeds = {
        name: rng.standard_normal(shape, dtype=np.float32) for name, shape in zip("qkvm", row.shapes, strict=False)
    }
    if row.masked:
        feeds["m"] = (
            np.where(np.arange(row.tokens) < row.tokens * 7 // 8, 0, -1e4).astype(np.float32).reshape(1, 1, 1, -1)
        )
    spelled = folder / "spelled.onnx"
    onnx.save(model_of(row, *spelled_out(row)), spelled)
    models = {"lamina": folder / "case.mlir"}
    models["lamina"].write_text(ours(row))
    if row.heads == row.key_heads and not row.masked:
        models[FUSED] = folder / "fused.onnx"
        onnx.save(model_of(row, *fused(row)), models[FUSED])
    mask = ", attn_mask=m" if row.masked else ""
    torch = (
        f"F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), "
        f"is_causal={row.causal}, enable_gqa={row.heads != row.key_heads}{mask}).transpose(1, 2).contiguous()"
    )
    jax = f"jax.nn.dot_product_attention(q, k, v, is_causal={row.causal}{', bias=m' if row.masked else ''})"
    return Case(row.name, spelled, torch, jax, feeds, exact(row, feeds), models)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, CONTENDERS)
    options = parser.parse_args()
    pythons = pythons_of(options)
    rows: list[dict[str, object]] = []
    for threads in options.threads:
        print(table_head(list(pythons)), flush=True)
        with started(pythons, threads) as peers, tempfile.TemporaryDirectory() as folder:
            for row in ROWS:
                if options.only not in row.name:
                    continue
                found = contest(case_of(row, Path(folder)), peers, options.rounds, options.seconds)
                rows.append(found | {"threads": threads})
                print(table_row(rows[-1], list(pythons)), flush=True)
    return finish(rows, options.json)


if __name__ == "__main__":
    sys.exit(main())
