"""Contractions whose leading axes become one: odd, empty and unknown sizes, chains of kernels, against NumPy in f64."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.pipelines import LEVELS

BODIES = {
    "chain": "p = MatMul(x, w) q = Add(p, c) t = Tanh(q) m = MatMul(t, v) y = Add(m, x)",
    "broadcast over the batch": "p = MatMul(x, w) q = Add(p, o) m = MatMul(q, v) y = Relu(m)",
    "broadcast over the sequence": "p = MatMul(x, w) q = Add(p, n) m = MatMul(q, v) y = Relu(m)",
    "rows apart": "p = MatMul(x, w) t = Transpose <perm = [1, 0, 2]> (p) m = MatMul(t, v) y = Relu(m)",
    "norm": "p = MatMul(x, w) q = Add(p, z) t = LayerNormalization(q, c, c) y = MatMul(t, v)",
    "all axes": "p = MatMul(x, w) q = Add(p, z) t = ReduceMax <keepdims = 0> (q, last) y = Mul(t, t)",
}
DEPTH, COLUMNS = 24, 40


def model_of(body: str, batch: int | str, length: int | str) -> onnx.ModelProto:
    """The body with x [batch, length, depth] and operands that have its leading axes, one of them or none."""
    shapes = {
        "x": (batch, length, DEPTH),
        "w": (DEPTH, COLUMNS),
        "v": (COLUMNS, DEPTH),
        "z": (batch, length, COLUMNS),
        "o": (1, length, COLUMNS),
        "n": (batch, 1, COLUMNS),
        "c": (COLUMNS,),
    }
    used = [name for name in shapes if f"{name}," in body or f"{name})" in body]
    inputs = ", ".join(f"float[{', '.join(map(str, shapes[name]))}] {name}" for name in used)
    text = f'<ir_version: 10, opset_import: ["" : 21]> g ({inputs}) => (float[i, j, k] y)'
    model = onnx.parser.parse_model(f"{text} <int64[1] last = {{2}}> {{ {body} }}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def expected(body: str, x: dict[str, np.ndarray]) -> np.ndarray:
    """The bodies in f64."""
    f = {name: array.astype(np.float64) for name, array in x.items()}
    p = f["x"] @ f["w"]
    if body == "chain":
        return np.tanh(p + f["c"]) @ f["v"] + f["x"]
    if body == "broadcast over the batch":
        return np.maximum((p + f["o"]) @ f["v"], 0)
    if body == "broadcast over the sequence":
        return np.maximum((p + f["n"]) @ f["v"], 0)
    if body == "rows apart":
        return np.maximum(p.transpose(1, 0, 2) @ f["v"], 0)
    q = p + f["z"]
    if body == "norm":
        centered = q - q.mean(-1, keepdims=True)
        return (centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * f["c"] + f["c"]) @ f["v"]
    return q.max(-1) ** 2


def feeds_of(model: onnx.ModelProto, batch: int, length: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(batch * 100 + length)
    sizes = {"b": batch, "s": length}
    return {
        value.name: random.standard_normal(
            [sizes.get(dim.dim_param, dim.dim_value) for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in model.graph.input
    }


@pytest.fixture(scope="module")
def symbolic() -> dict[str, lamina.Executable]:
    """Every body for unknown batch and length."""
    return {name: lamina.compile(model_of(body, "b", "s"), threads=2, cache=False) for name, body in BODIES.items()}


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(BODIES)), batch=st.integers(0, 9), length=st.integers(0, 19))
def test_unknown_sizes(symbolic, name, batch, length):
    feeds = feeds_of(model_of(BODIES[name], "b", "s"), batch, length)
    (found,) = symbolic[name](**feeds)
    np.testing.assert_allclose(found, expected(name, feeds), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("level", [level.name for level in LEVELS if level.name != "graph"])
@pytest.mark.parametrize(("batch", "length"), [(3, 5), (1, 7), (4, 1), (0, 3)])
@pytest.mark.parametrize("name", sorted(BODIES))
def test_known_sizes(name, batch, length, level):
    model = model_of(BODIES[name], batch, length)
    feeds = feeds_of(model, batch, length)
    (found,) = lamina.api.executable_for(model, level=level, threads=1, cache=False)(**feeds)
    np.testing.assert_allclose(found, expected(name, feeds), rtol=1e-4, atol=1e-4)
