"""Everything that is no contraction beside ONNX Runtime, OpenVINO, PyTorch and JAX, and the matrix-vector products.

    python benchmarks/rows.py [--peer torch=PYTHON] [--peer jax=PYTHON] [--threads 1 2] [--only TEXT]
                              [--size cache|memory] [--rounds N] [--json FILE]

Rows, reductions, elementwise chains, moved data, each with operands that fit the caches and with some that do not. How
contenders are timed: `peers.py`. The ratio is ours / the fastest of the others: below 1 we are faster. GB/s counts what
an operation has to read and write once; `share` is its part of the measured bandwidth (`bandwidth.py`) for the nearest
pattern of reads and writes, for memory-sized rows. `error` is our largest error against f64, of the largest magnitude.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.parser

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

import bandwidth
from peers import Case, add_options, contest, finish, pythons_of, started, table_head, table_row

from support.oracles import double_outputs

NUMBERS = "int64[1] last = {-1}, int64[1] first = {0}, float half = {0.5}, int64[2] spatial = {2, 3}"

# rows and columns in cache (512 KiB) and in memory (64 MiB); channels-first images of the same sizes; tokens and heads
SIZES: Mapping[str, Mapping[str, int]] = {
    "cache": {"r": 128, "c": 1024, "n": 1, "ch": 32, "h": 64, "w": 64, "t": 128, "hd": 16, "f": 64, "k": 384, "m": 512},
    "memory": {"r": 4096, "c": 4096, "n": 4, "ch": 256, "h": 128, "w": 128, "t": 16384, "hd": 16, "f": 64}
    | {"k": 4096, "m": 4096},
}

MATRIX = {"x": "float[r, c] x"}
TWO = {**MATRIX, "z": "float[r, c] z"}
ROW = {"s": "float[c] s", "b": "float[c] b"}
IMAGE = {"x": "float[n, ch, h, w] x"}


@dataclass(frozen=True)
class Row:
    """Inputs, output and body in ONNX's text format; the same for torch (`F` its functions) and JAX."""

    inputs: Mapping[str, str]
    output: str
    body: str
    torch: str
    jax: str


def layer_norm_jax(x: str) -> str:
    """The definition, on an expression."""
    return f"(lambda a: (a - a.mean(-1, keepdims=True)) * jax.lax.rsqrt(a.var(-1, keepdims=True) + 1e-5) * s + b)({x})"


CASES: Mapping[str, Row] = {
    "softmax": Row(MATRIX, "float[r, c] y", "y = Softmax <axis = -1> (x)", "F.softmax(x, -1)", "jax.nn.softmax(x, -1)"),
    "softmax first axis": Row(
        MATRIX, "float[r, c] y", "y = Softmax <axis = 0> (x)", "F.softmax(x, 0)", "jax.nn.softmax(x, 0)"
    ),
    "log softmax": Row(
        MATRIX, "float[r, c] y", "y = LogSoftmax <axis = -1> (x)", "F.log_softmax(x, -1)", "jax.nn.log_softmax(x, -1)"
    ),
    "layer norm": Row(
        MATRIX | ROW,
        "float[r, c] y",
        "y = LayerNormalization (x, s, b)",
        "F.layer_norm(x, s.shape, s, b)",
        layer_norm_jax("x"),
    ),
    "residual, layer norm": Row(
        TWO | ROW,
        "float[r, c] y",
        "a = Add(x, z) y = LayerNormalization (a, s, b)",
        "F.layer_norm(x + z, s.shape, s, b)",
        layer_norm_jax("x + z"),
    ),
    "rms norm": Row(
        MATRIX | ROW,
        "float[r, c] y",
        "q = Mul(x, x) m = ReduceMean(q, last) e = Add(m, half) t = Sqrt(e) d = Div(x, t) y = Mul(d, s)",
        "F.rms_norm(x, s.shape, s, 0.5)",
        "x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 0.5) * s",
    ),
    "gelu": Row(MATRIX, "float[r, c] y", "y = Gelu (x)", "F.gelu(x)", "jax.nn.gelu(x, approximate=False)"),
    "gelu tanh": Row(
        MATRIX,
        "float[r, c] y",
        'y = Gelu <approximate = "tanh"> (x)',
        "F.gelu(x, approximate='tanh')",
        "jax.nn.gelu(x, approximate=True)",
    ),
    "silu multiply": Row(
        TWO, "float[r, c] y", "t = Sigmoid(x) g = Mul(x, t) y = Mul(g, z)", "F.silu(x) * z", "jax.nn.silu(x) * z"
    ),
    "tanh": Row(MATRIX, "float[r, c] y", "y = Tanh(x)", "torch.tanh(x)", "jnp.tanh(x)"),
    "exp": Row(MATRIX, "float[r, c] y", "y = Exp(x)", "torch.exp(x)", "jnp.exp(x)"),
    "add": Row(TWO, "float[r, c] y", "y = Add(x, z)", "x + z", "x + z"),
    "bias, residual, relu": Row(
        TWO | ROW,
        "float[r, c] y",
        "a = Add(x, b) t = Add(a, z) y = Relu(t)",
        "torch.relu_(x + b + z)",
        "jnp.maximum(x + b + z, 0)",
    ),
    "bias, residual, gelu": Row(
        TWO | ROW,
        "float[r, c] y",
        "a = Add(x, b) t = Add(a, z) y = Gelu(t)",
        "F.gelu(x + b + z)",
        "jax.nn.gelu(x + b + z, approximate=False)",
    ),
    "sum of rows": Row(MATRIX, "float[r] y", "y = ReduceSum <keepdims = 0> (x, last)", "x.sum(-1)", "x.sum(-1)"),
    "maximum of rows": Row(MATRIX, "float[r] y", "y = ReduceMax <keepdims = 0> (x, last)", "x.amax(-1)", "x.max(-1)"),
    "sum of columns": Row(MATRIX, "float[c] y", "y = ReduceSum <keepdims = 0> (x, first)", "x.sum(0)", "x.sum(0)"),
    "maximum of columns": Row(MATRIX, "float[c] y", "y = ReduceMax <keepdims = 0> (x, first)", "x.amax(0)", "x.max(0)"),
    "sum of all": Row(MATRIX, "float[1, 1] y", "y = ReduceSum (x)", "x.sum()", "x.sum()"),
    "maximum of all": Row(MATRIX, "float[1, 1] y", "y = ReduceMax (x)", "x.max()", "x.max()"),
    "pooled image": Row(IMAGE, "float[n, ch, 1, 1] y", "y = GlobalAveragePool (x)", "x.mean((2, 3))", "x.mean((2, 3))"),
    "transpose": Row(MATRIX, "float[c, r] y", "y = Transpose <perm = [1, 0]> (x)", "x.T.contiguous()", "x.T.copy()"),
    "transpose, first two of three": Row(
        {"x": "float[t, hd, f] x"},
        "float[hd, t, f] y",
        "y = Transpose <perm = [1, 0, 2]> (x)",
        "x.permute(1, 0, 2).contiguous()",
        "x.transpose(1, 0, 2)",
    ),
    "transpose, last two of three": Row(
        {"x": "float[hd, t, f] x"},
        "float[hd, f, t] y",
        "y = Transpose <perm = [0, 2, 1]> (x)",
        "x.permute(0, 2, 1).contiguous()",
        "x.transpose(0, 2, 1)",
    ),
    "heads split": Row(
        {"x": "float[1, t, hd, f] x"},
        "float[1, hd, t, f] y",
        "y = Transpose <perm = [0, 2, 1, 3]> (x)",
        "x.permute(0, 2, 1, 3).contiguous()",
        "x.transpose(0, 2, 1, 3)",
    ),
    "heads merged": Row(
        {"x": "float[1, hd, t, f] x"},
        "float[1, t, hd, f] y",
        "y = Transpose <perm = [0, 2, 1, 3]> (x)",
        "x.permute(0, 2, 1, 3).contiguous()",
        "x.transpose(0, 2, 1, 3)",
    ),
    "nchw to nhwc": Row(
        IMAGE,
        "float[n, h, w, ch] y",
        "y = Transpose <perm = [0, 2, 3, 1]> (x)",
        "x.permute(0, 2, 3, 1).contiguous()",
        "x.transpose(0, 2, 3, 1)",
    ),
    "nhwc to nchw": Row(
        {"x": "float[n, h, w, ch] x"},
        "float[n, ch, h, w] y",
        "y = Transpose <perm = [0, 3, 1, 2]> (x)",
        "x.permute(0, 3, 1, 2).contiguous()",
        "x.transpose(0, 3, 1, 2)",
    ),
    "concat": Row(
        TWO, "float[r, d] y", "y = Concat <axis = 1> (x, z)", "torch.cat((x, z), 1)", "jnp.concatenate((x, z), 1)"
    ),
    "concat first axis": Row(
        TWO, "float[d, c] y", "y = Concat <axis = 0> (x, z)", "torch.cat((x, z), 0)", "jnp.concatenate((x, z), 0)"
    ),
    "gather rows": Row(
        MATRIX | {"i": "int64[r] i"},
        "float[r, c] y",
        "y = Gather <axis = 0> (x, i)",
        "x[i]",
        "x[i]",
    ),
    "max pool": Row(
        IMAGE,
        "float[n, ch, ho, wo] y",
        "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)",
        "F.max_pool2d(x, 2)",
        "x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))",
    ),
    "group norm": Row(
        IMAGE | {"g": "float[ch] g", "a": "float[ch] a"},
        "float[n, ch, h, w] y",
        "y = GroupNormalization <num_groups = 8> (x, g, a)",
        "F.group_norm(x, 8, g, a)",
        "(lambda v: ((v - v.mean(-1, keepdims=True)) * jax.lax.rsqrt(v.var(-1, keepdims=True) + 1e-5))"
        ".reshape(x.shape) * g[:, None, None] + a[:, None, None])(x.reshape(x.shape[0], 8, -1))",
    ),
    "matrix times vector": Row(
        {"x": "float[m, k] x", "v": "float[k] v"}, "float[m] y", "y = MatMul(x, v)", "x @ v", "x @ v"
    ),
    "vector times matrix": Row(
        {"v": "float[1, k] v", "x": "float[k, m] x"}, "float[1, m] y", "y = MatMul(v, x)", "v @ x", "v @ x"
    ),
}


def model_of(row: Row, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """The row as an ONNX model with static shapes."""
    header = '<ir_version: 10, opset_import: ["" : 21]>'
    text = f"{header} g ({', '.join(row.inputs.values())}) => ({row.output}) <{NUMBERS}> {{ {row.body} }}"
    model = onnx.parser.parse_model(text)
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_value = sizes[dim.dim_param]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def feeds_of(model: onnx.ModelProto, rows: int) -> dict[str, np.ndarray]:
    """Normal numbers; indices of rows."""
    random = np.random.default_rng(0)
    feeds: dict[str, np.ndarray] = {}
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        integers = value.type.tensor_type.elem_type == onnx.TensorProto.INT64
        feeds[value.name] = random.integers(0, rows, shape) if integers else random.standard_normal(shape, np.float32)
    return feeds


def case_of(name: str, size: str, folder: Path) -> Case:
    """A case with its model in a file."""
    row, sizes = CASES[name], dict(SIZES[size])
    model = model_of(row, sizes)
    path = folder / "case.onnx"
    onnx.save(model, path)
    feeds = feeds_of(model, sizes["r"])
    (exact,) = double_outputs(model, feeds)
    return Case(name, path, row.torch, row.jax, feeds, np.asarray(exact))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--size", choices=sorted(SIZES), help="one of the sizes; both by default")
    options = parser.parse_args()
    pythons = pythons_of(options)
    sizes = [options.size] if options.size else list(SIZES)
    rows: list[dict[str, object]] = []
    for threads in options.threads:
        limits = bandwidth.measure(threads, 64) if "memory" in sizes else {}
        if limits:
            print(f"bandwidth, {threads} threads, GB/s: {limits}")
        print(table_head(list(pythons), "size", "gb_per_s", "share"), flush=True)
        with started(pythons, threads) as peers, tempfile.TemporaryDirectory() as folder:
            for size in sizes:
                for name in CASES:
                    if options.only not in name:
                        continue
                    case = case_of(name, size, Path(folder))
                    row = contest(case, peers, options.rounds, options.seconds)
                    row |= {"threads": threads, "size": size}
                    read, written = sum(array.nbytes for array in case.feeds.values()), case.exact.size * 4
                    if "lamina_ms" in row:
                        seconds = row["lamina_ms"] / 1e3
                        row["gb_per_s"] = round((read + written) / seconds / 1e9, 1)
                        if size == "memory":
                            row["share"] = round(bandwidth.share(limits, read, written, seconds), 2)
                            row["bandwidth"] = limits
                    rows.append(row)
                    print(table_row(row, list(pythons), "size", "gb_per_s", "share"), flush=True)
    return finish(rows, options.json)


if __name__ == "__main__":
    sys.exit(main())
