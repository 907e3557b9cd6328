"""Contractions beside ONNX Runtime, one row per shape: GFLOP/s of both, and of the machine's peak.

    python benchmarks/kernels.py [--set NAME] [--threads N] [--only TEXT] [--rounds N] [--json FILE]

One process, contenders in turn with a pause between them; the time of a contender is the minimum over the rounds of the
median of a short run. The ratio is ours / ONNX Runtime's: below 1 we are faster. The peak is the best rate that any
contender reached in this run. `largest_error` is ours against a product in f64, over that of ONNX Runtime.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

from contest import fastest

import lamina
from support.oracles import onnxruntime_session

SLICE_SECONDS = 0.15


@dataclass(frozen=True)
class Product:
    """`x @ w`, with w constant where `constant` says so; `batch` axes stand before both, or before x alone."""

    label: str
    m: int
    k: int
    n: int
    constant: bool = True
    batch: tuple[int, ...] = ()
    transposed: bool = False
    """w is stored as [n, k]."""
    epilogue: str = "none"

    @property
    def name(self) -> str:
        """`bert 128x768x3072`, m by k by n."""
        batch = "".join(f"{size}x" for size in self.batch)
        return f"{self.label} {batch}{self.m}x{self.k}x{self.n}{'' if self.constant else ' both'}" + (
            f" {self.epilogue}" if self.epilogue != "none" else ""
        )

    @property
    def operations(self) -> int:
        """Floating-point operations."""
        return 2 * int(np.prod(self.batch, dtype=int)) * self.m * self.k * self.n


SQUARES = (128, 256, 512, 768, 1024, 1536, 2048)
LAYERS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "bert": ((768, 768), (768, 2304), (768, 3072), (3072, 768)),
    "llama": ((2048, 2048), (2048, 512), (2048, 5632), (5632, 2048)),
    "minilm": ((384, 384), (384, 1536), (1536, 384)),
}
ROWS = (1, 16, 128, 512)


def squares() -> Iterator[Product]:
    """Square products, of a constant and of two inputs."""
    for size in SQUARES:
        yield Product("square", size, size, size)
        if size <= 1024:
            yield Product("square", size, size, size, constant=False)


def layers() -> Iterator[Product]:
    """Linear layers of transformers."""
    for label, shapes in LAYERS.items():
        for k, n in shapes:
            for m in ROWS:
                yield Product(label, m, k, n)


def heads() -> Iterator[Product]:
    """GPT-2's output head, whose weights are stored as [n, k]."""
    for m in (1, 16, 128):
        yield Product("gpt2-head", m, 768, 50257, transposed=True)


def attention() -> Iterator[Product]:
    """Scores and weighted values of 12 heads."""
    for length in (128, 512):
        yield Product("scores", length, 64, length, constant=False, batch=(12,), transposed=True)
        yield Product("values", length, length, 64, constant=False, batch=(12,))


def small() -> Iterator[Product]:
    """The layers of the MLP, and a product with a leading batch axis."""
    for m in (1, 2, 4, 64):
        for k, n in ((784, 256), (256, 128), (128, 10)):
            yield Product("mlp", m, k, n, epilogue="relu")
    yield Product("batched", 32, 384, 384, batch=(8,))
    yield Product("batched", 1, 768, 768, batch=(16,))
    yield Product("odd", 37, 129, 1001)


SETS: dict[str, Callable[[], Iterator[Product]]] = {
    "squares": squares,
    "layers": layers,
    "heads": heads,
    "attention": attention,
    "small": small,
}


def arrays_of(product: Product) -> tuple[np.ndarray, np.ndarray]:
    """Both factors, seeded."""
    random = np.random.default_rng(0)
    shape = (product.n, product.k) if product.transposed else (product.k, product.n)
    w_batch = () if product.constant else product.batch
    x = random.standard_normal((*product.batch, product.m, product.k), dtype=np.float32)
    return x, random.standard_normal((*w_batch, *shape), dtype=np.float32) / np.float32(np.sqrt(product.k))


def model_of(product: Product) -> tuple[onnx.ModelProto, dict[str, np.ndarray], np.ndarray]:
    """The product as an ONNX model, its inputs, and the result in f64."""
    x, w = arrays_of(product)
    initializers: list[onnx.TensorProto] = []
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    feeds = {"x": x}
    if product.constant:
        initializers.append(numpy_helper.from_array(w, "w"))
    else:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, w.shape))
        feeds["w"] = w
    nodes: list[onnx.NodeProto] = []
    factor = "w"
    expected_w = w.astype(np.float64)
    if product.transposed:
        axes = [*range(w.ndim - 2), w.ndim - 1, w.ndim - 2]
        nodes.append(helper.make_node("Transpose", ["w"], ["wt"], perm=axes))
        factor, expected_w = "wt", np.swapaxes(expected_w, -1, -2)
    expected = x.astype(np.float64) @ expected_w
    relu = product.epilogue == "relu"
    nodes.append(helper.make_node("MatMul", ["x", factor], ["p" if relu else "y"]))
    if relu:
        bias = np.random.default_rng(1).standard_normal(product.n, dtype=np.float32)
        initializers.append(numpy_helper.from_array(bias, "b"))
        nodes.append(helper.make_node("Add", ["p", "b"], ["q"]))
        nodes.append(helper.make_node("Relu", ["q"], ["y"]))
        expected = np.maximum(expected + bias, 0)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "product", inputs, [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), feeds, expected


def measure(product: Product, threads: int, rounds: int) -> dict[str, object]:
    """One row."""
    model, feeds, expected = model_of(product)
    start = time.perf_counter()
    executable = lamina.compile(model, threads=threads, cache=False)
    compile_seconds = time.perf_counter() - start
    session = onnxruntime_session(model, threads)
    ours = float(np.abs(executable(**feeds)[0] - expected).max())
    theirs = float(np.abs(np.asarray(session.run(None, feeds)[0]) - expected).max())
    contenders = {"lamina": lambda: executable(**feeds), "onnxruntime": lambda: session.run(None, feeds)}
    best = fastest(contenders, rounds, SLICE_SECONDS)
    return {
        "product": product.name,
        "threads": threads,
        "lamina_ms": round(best["lamina"], 5),
        "onnxruntime_ms": round(best["onnxruntime"], 5),
        "ratio": round(best["lamina"] / best["onnxruntime"], 3),
        "gflops": round(product.operations / best["lamina"] / 1e6, 1),
        "onnxruntime_gflops": round(product.operations / best["onnxruntime"] / 1e6, 1),
        "compile_s": round(compile_seconds, 2),
        "largest_error": round(ours / max(theirs, 1e-12), 2),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=SETS, help="one set of shapes")
    parser.add_argument("--threads", type=int, default=1, help="threads of both contenders")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--only", default="", metavar="TEXT", help="products whose name contains TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    options = parser.parse_args()
    print("| product (m x k x n) | lamina ms | onnxruntime ms | ratio | GFLOP/s | theirs | compile s | error ratio |")
    print("|---|---|---|---|---|---|---|---|")
    rows: list[dict[str, object]] = []
    for name in [options.set] if options.set else SETS:
        for product in SETS[name]():
            if options.only not in product.name:
                continue
            row = measure(product, options.threads, options.rounds)
            rows.append(row)
            columns = [
                "lamina_ms",
                "onnxruntime_ms",
                "ratio",
                "gflops",
                "onnxruntime_gflops",
                "compile_s",
                "largest_error",
            ]
            print(f"| {row['product']} | " + " | ".join(str(row[column]) for column in columns) + " |", flush=True)
    if rows:
        best = max(max(float(str(row["gflops"])), float(str(row["onnxruntime_gflops"]))) for row in rows)
        print(f"\n{options.threads} threads; the best rate of any row: {best} GFLOP/s")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
