"""Everything that is no contraction beside ONNX Runtime: rows, reductions, elementwise chains, moved data.

    python benchmarks/rows.py [--threads N] [--only TEXT] [--size cache|memory] [--rounds N] [--json FILE]

One process, contenders in turn with a pause between them; the time of a contender is the minimum over the rounds of the
fastest call of a short run. The ratio is ours / ONNX Runtime's: below 1 we are faster. GB/s counts what an operation
has to read and write once. `error` is our largest error against an f64 evaluation, of the largest magnitude; one above
twice ONNX Runtime's plus 1e-6 has an exclamation mark and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

from contest import error_ratio, fastest

import lamina
from support.oracles import double_outputs, onnxruntime_session

PAUSE_SECONDS = 0.05
SLICE_SECONDS = 0.1
MARK = " !"

NUMBERS = "int64[1] last = {-1}, int64[1] first = {0}, float half = {0.5}, int64[2] spatial = {2, 3}"

# rows and columns in cache (512 KiB) and in memory (64 MiB); channels-first images of the same sizes
SIZES: Mapping[str, Mapping[str, int]] = {
    "cache": {"r": 128, "c": 1024, "n": 1, "ch": 32, "h": 64, "w": 64},
    "memory": {"r": 4096, "c": 4096, "n": 4, "ch": 256, "h": 128, "w": 128},
}

MATRIX = {"x": "float[r, c] x"}
TWO = {**MATRIX, "z": "float[r, c] z"}
ROW = {"s": "float[c] s", "b": "float[c] b"}
IMAGE = {"x": "float[n, ch, h, w] x"}

CASES: Mapping[str, tuple[Mapping[str, str], str, str]] = {
    "softmax": (MATRIX, "float[r, c] y", "y = Softmax <axis = -1> (x)"),
    "softmax first axis": (MATRIX, "float[r, c] y", "y = Softmax <axis = 0> (x)"),
    "layer norm": (MATRIX | ROW, "float[r, c] y", "y = LayerNormalization (x, s, b)"),
    "residual, layer norm": (TWO | ROW, "float[r, c] y", "a = Add(x, z) y = LayerNormalization (a, s, b)"),
    "rms norm": (
        MATRIX | ROW,
        "float[r, c] y",
        "q = Mul(x, x) m = ReduceMean(q, last) e = Add(m, half) t = Sqrt(e) d = Div(x, t) y = Mul(d, s)",
    ),
    "gelu": (MATRIX, "float[r, c] y", "y = Gelu (x)"),
    "gelu tanh": (MATRIX, "float[r, c] y", 'y = Gelu <approximate = "tanh"> (x)'),
    "silu multiply": (TWO, "float[r, c] y", "t = Sigmoid(x) g = Mul(x, t) y = Mul(g, z)"),
    "tanh": (MATRIX, "float[r, c] y", "y = Tanh(x)"),
    "exp": (MATRIX, "float[r, c] y", "y = Exp(x)"),
    "add": (TWO, "float[r, c] y", "y = Add(x, z)"),
    "bias, residual, relu": (TWO | ROW, "float[r, c] y", "a = Add(x, b) t = Add(a, z) y = Relu(t)"),
    "sum of rows": (MATRIX, "float[r] y", "y = ReduceSum <keepdims = 0> (x, last)"),
    "sum of columns": (MATRIX, "float[c] y", "y = ReduceSum <keepdims = 0> (x, first)"),
    "maximum of columns": (MATRIX, "float[c] y", "y = ReduceMax <keepdims = 0> (x, first)"),
    "sum of all": (MATRIX, "float[1, 1] y", "y = ReduceSum (x)"),
    "pooled image": (IMAGE, "float[n, ch, 1, 1] y", "y = GlobalAveragePool (x)"),
    "transpose": (MATRIX, "float[c, r] y", "y = Transpose <perm = [1, 0]> (x)"),
    "nchw to nhwc": (IMAGE, "float[n, h, w, ch] y", "y = Transpose <perm = [0, 2, 3, 1]> (x)"),
    "nhwc to nchw": (IMAGE, "float[n, w, ch, h] y", "y = Transpose <perm = [0, 3, 1, 2]> (x)"),
    "heads": (IMAGE, "float[n, h, ch, w] y", "y = Transpose <perm = [0, 2, 1, 3]> (x)"),
    "concat": (TWO, "float[r, d] y", "y = Concat <axis = 1> (x, z)"),
    "concat first axis": (TWO, "float[d, c] y", "y = Concat <axis = 0> (x, z)"),
    "gather rows": (MATRIX | {"i": "int64[r] i"}, "float[r, c] y", "y = Gather <axis = 0> (x, i)"),
    "max pool": (
        IMAGE,
        "float[n, ch, ho, wo] y",
        "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)",
    ),
    "group norm": (
        IMAGE | {"g": "float[ch] g", "a": "float[ch] a"},
        "float[n, ch, h, w] y",
        "y = GroupNormalization <num_groups = 8> (x, g, a)",
    ),
}


def model_of(case: str, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """The case as an ONNX model with static shapes."""
    inputs, output, body = CASES[case]
    header = '<ir_version: 10, opset_import: ["" : 21]>'
    text = f"{header} g ({', '.join(inputs.values())}) => ({output}) <{NUMBERS}> {{ {body} }}"
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


def measure(case: str, size: str, threads: int, rounds: int) -> dict[str, object]:
    """One row."""
    model = model_of(case, SIZES[size])
    feeds = feeds_of(model, SIZES[size]["r"])
    executable = lamina.compile(model, threads=threads, cache=False)
    session = onnxruntime_session(model, threads)
    (ours,), (theirs,) = executable(**feeds), session.run(None, feeds)
    # Both write to the same memory again and again: no page is new.
    place = np.empty_like(ours)
    arguments = [feeds[value.name] for value in model.graph.input]
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    bound = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(np.asarray(theirs)))
    binding.bind_ortvalue_output(session.get_outputs()[0].name, bound)
    contenders: dict[str, Callable[[], object]] = {
        "lamina": lambda: executable.call(arguments, out=[place]),
        "onnxruntime": lambda: session.run_with_iobinding(binding),
    }
    best = fastest(contenders, rounds, SLICE_SECONDS, pause=PAUSE_SECONDS, of_run=min)
    errors = error_ratio([ours], [np.asarray(theirs)], double_outputs(model, feeds))
    moved = sum(array.nbytes for array in feeds.values()) + ours.nbytes
    return {
        "case": case,
        "size": size,
        "threads": threads,
        "lamina_ms": round(best["lamina"], 4),
        "onnxruntime_ms": round(best["onnxruntime"], 4),
        "ratio": round(best["lamina"] / best["onnxruntime"], 2),
        "gb_per_s": round(moved / best["lamina"] / 1e6, 1),
        "error": f"{errors['error']:.1e}" + MARK * (errors["error"] > errors["error_bound"]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--size", choices=sorted(SIZES), help="one of the sizes; both by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for size in [options.size] if options.size else SIZES:
        for case in CASES:
            if options.only not in case:
                continue
            try:
                row = measure(case, size, options.threads, options.rounds)
            except lamina.LaminaError as error:
                row = {"case": case, "size": size, "error": str(error).splitlines()[0]}
            rows.append(row)
            print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))
    return int(any(str(row.get("error", "")).endswith(MARK) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
