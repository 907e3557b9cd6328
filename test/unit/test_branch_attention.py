"""`branch-attention`: one executable for one query and for many, against NumPy in f64."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import lamina

RNG = np.random.default_rng(5)
HEADS, FEATURES = 3, 20


def decoder(key_heads: int, mask: str) -> lamina.api.Executable:
    """Attention over a symbolic batch, number of queries and number of keys, its query with tokens first."""
    nodes = [
        helper.make_node("Transpose", ["q"], ["heads"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["k"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["heads", "turned"], ["products"]),
        helper.make_node("Mul", ["products", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mask"], ["scores"])
        if mask
        else helper.make_node("Identity", ["scaled"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["y"], perm=[0, 2, 1, 3]),
    ]
    shapes: dict[str, list[int | str]] = {
        "q": ["batch", "queries", HEADS, FEATURES],
        "k": ["batch", key_heads, "keys", FEATURES],
        "v": ["batch", key_heads, "keys", FEATURES],
        **({"mask": ["batch", 1, "queries" if mask == "rows" else 1, "keys"]} if mask else {}),
    }
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "queries", HEADS, FEATURES])],
        [numpy_helper.from_array(np.array(FEATURES**-0.5, np.float32), "scale")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return lamina.compile(model, cache=False, threads=2)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | float) -> np.ndarray:
    q, k, v = (each.astype(np.float64) for each in (q.transpose(0, 2, 1, 3), k, v))
    scores = q @ k.transpose(0, 1, 3, 2) * FEATURES**-0.5 + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3)


@pytest.mark.parametrize(("key_heads", "mask"), [(HEADS, ""), (HEADS, "rows"), (HEADS, "one"), (1, "rows")])
def test_every_number_of_queries(key_heads: int, mask: str):
    executable = decoder(key_heads, mask)
    for batch, queries, keys in ((1, 1, 1), (1, 1, 37), (3, 1, 18), (2, 2, 18), (1, 33, 40), (0, 1, 5), (2, 0, 5)):
        q = RNG.standard_normal((batch, queries, HEADS, FEATURES)).astype(np.float32)
        k, v = (RNG.standard_normal((batch, key_heads, keys, FEATURES)).astype(np.float32) for _ in range(2))
        masks = []
        if mask:
            shape = (batch, 1, queries if mask == "rows" else 1, keys)
            masks = [np.where(RNG.random(shape) < 0.3, np.float32(-30), np.float32(0))]
        (result,) = executable(q, k, v, *masks)
        wanted = attention(q, k, v, masks[0] if masks else 0.0)
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=2e-6, err_msg=f"{batch}, {queries}, {keys}")


def test_a_size_that_is_not_asked_about_is_checked():
    executable = decoder(HEADS, "rows")
    q = np.zeros((1, 1, HEADS, FEATURES), np.float32)
    k = np.zeros((1, HEADS, 4, FEATURES), np.float32)
    with pytest.raises(lamina.LaminaError):
        executable(q, k, np.zeros((1, HEADS, 5, FEATURES), np.float32), np.zeros((1, 1, 1, 4), np.float32))
