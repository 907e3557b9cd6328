"""Contractions beside ONNX Runtime, OpenVINO, PyTorch (oneDNN) and NumPy (OpenBLAS): GFLOP/s, and the machine's peak.

    python benchmarks/kernels.py [--set NAME] [--peer torch=PYTHON] [--threads 1 2] [--only TEXT] [--json FILE]

How contenders are timed and checked: `peers.py`. The ratio is ours / the fastest of the others: below 1 we are faster.
`share` is our part of the arithmetic peak (`peak.py`), which is measured first. NumPy has no bias and no activation in
one step: rows with an epilogue are several calls for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import peak
from onnx import TensorProto, helper, numpy_helper
from peers import NAMES, Case, add_options, contest, finish, pythons_of, started, table_head, table_row

CONTENDERS = (*NAMES[:4], "numpy")


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


def bias_of(product: Product) -> np.ndarray:
    """Seeded."""
    return np.random.default_rng(1).standard_normal(product.n, dtype=np.float32)


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
        bias = bias_of(product)
        initializers.append(numpy_helper.from_array(bias, "b"))
        nodes.append(helper.make_node("Add", ["p", "b"], ["q"]))
        nodes.append(helper.make_node("Relu", ["q"], ["y"]))
        expected = np.maximum(expected + bias, 0)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "product", inputs, [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), feeds, expected


def case_of(product: Product, folder: Path) -> Case:
    """A case with its model in a file."""
    model, feeds, exact = model_of(product)
    path = folder / "product.onnx"
    onnx.save(model, path)
    _, w = arrays_of(product)
    constants = {"w": w} if product.constant else {}
    factor = "w.swapaxes(-1, -2)" if product.transposed else "w"
    expression = f"x @ {factor}"
    torch = f"torch.matmul(x, {factor})"
    if product.epilogue == "relu":
        constants["b"] = bias_of(product)
        expression, torch = f"np.maximum({expression} + b, 0)", "torch.relu_(torch.nn.functional.linear(x, w.T, b))"
    return Case(product.name, path, torch, expression, feeds, exact, constants=constants)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, CONTENDERS)
    parser.add_argument("--set", choices=SETS, help="one set of shapes")
    options = parser.parse_args()
    pythons = pythons_of(options)
    rows: list[dict[str, object]] = []
    for threads in options.threads:
        limit = peak.measure(threads)
        print(f"peak, {threads} threads: {limit} GFLOP/s")
        print(table_head(list(pythons), "gflops", "share"), flush=True)
        with started(pythons, threads) as peers, tempfile.TemporaryDirectory() as folder:
            for name in [options.set] if options.set else SETS:
                for product in SETS[name]():
                    if options.only not in product.name:
                        continue
                    row = contest(case_of(product, Path(folder)), peers, options.rounds, options.seconds)
                    row |= {"threads": threads, "peak": limit, "operations": product.operations}
                    if "lamina_ms" in row:
                        row["gflops"] = round(product.operations / row["lamina_ms"] / 1e6, 1)
                        row["share"] = round(row["gflops"] / limit, 2)
                    rows.append(row)
                    print(table_row(row, list(pythons), "gflops", "share"), flush=True)
    return finish(rows, options.json)


if __name__ == "__main__":
    sys.exit(main())
