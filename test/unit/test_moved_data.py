"""Transposes at every alignment of their buffers, and products of vectors with large matrices, beside NumPy."""

from __future__ import annotations

from functools import reduce

import numpy as np
import onnx
import pytest
from onnx import helper

import lamina
from lamina import api, ops, pipelines
from lamina.dialects.loop import scf

TYPES = {np.float32: onnx.TensorProto.FLOAT, np.float64: onnx.TensorProto.DOUBLE, np.int32: onnx.TensorProto.INT32}
LINE_BYTES = 64


def placed(array: np.ndarray, offset: int) -> np.ndarray:
    """A copy that begins so many bytes after the start of a line."""
    raw = np.zeros(array.nbytes + 2 * LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % LINE_BYTES + offset
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def compiled(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, np.ndarray],
    result: np.ndarray,
    threads: int,
    target: dict[str, int] | None = None,
):
    """A model with inputs and a result as these arrays."""
    values = [helper.make_tensor_value_info(name, TYPES[a.dtype.type], a.shape) for name, a in inputs.items()]
    output = helper.make_tensor_value_info("y", TYPES[result.dtype.type], result.shape)
    graph = helper.make_graph(nodes, "moved", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return lamina.compile(model, threads=threads, target=target)  # for other numbers of threads from the cache


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("shape", "permutation", "dtype"),
    [
        ((128, 272), (1, 0), np.float32),
        ((1, 32, 16, 16), (0, 2, 3, 1), np.float32),
        ((1, 16, 16, 32), (0, 3, 1, 2), np.int32),
        ((3, 144, 64), (0, 2, 1), np.float64),
        ((131, 144), (1, 0), np.float32),
        ((144, 131), (1, 0), np.float32),
        ((2064, 2112), (1, 0), np.float32),
        ((17, 2048, 144), (0, 2, 1), np.float32),
        ((1, 128, 16, 64), (0, 2, 1, 3), np.float32),
        ((2, 16, 48, 80), (0, 2, 1, 3), np.float32),
        ((40, 24, 67), (1, 0, 2), np.float32),
        ((5, 3, 33, 9), (2, 0, 1, 3), np.int32),
        ((24, 64, 48), (1, 0, 2), np.float64),
    ],
)
@pytest.mark.parametrize("target", [None, {"l3": 4096}], ids=["host", "streamed"])
def test_transposes_at_every_alignment(shape, permutation, dtype, threads, target) -> None:
    """Blocks begin where lines do, wherever the buffers begin; with a small last cache they are stored past it."""
    random = np.random.default_rng(0)
    x = (100 * random.standard_normal(shape)).astype(dtype)
    bias = (100 * random.standard_normal([shape[axis] for axis in permutation])).astype(dtype)
    wanted = x.transpose(permutation) + bias
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=permutation),
        helper.make_node("Add", ["t", "b"], ["y"]),
    ]
    executable = compiled(nodes, {"x": x, "b": bias}, wanted, threads, target)
    for read, written in ((0, 0), (16, 48), (8, 24), (0, 32), (56, 8)):
        # An element before and behind the result must stay as it is.
        around = placed(np.full(wanted.size + 2 * LINE_BYTES, 7, dtype), written)
        out = around[LINE_BYTES : LINE_BYTES + wanted.size].reshape(wanted.shape)
        for _ in range(2):
            executable.call([placed(x, read), placed(bias, written)], out=[out])
        np.testing.assert_array_equal(out, wanted)
        assert (around[:LINE_BYTES] == 7).all()
        assert (around[LINE_BYTES + wanted.size :] == 7).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, 1029), (1029, 520)),
        ((520,), (520, 1029)),
        ((1, 2048), (2048, 1000)),
        ((1028, 520), (520,)),
        ((1027, 520), (520,)),
        ((1024, 2048), (2048,)),
    ],
)
def test_vectors_and_large_matrices(left, right, threads) -> None:
    """Matrices beyond the second cache, in sizes with and without a rest."""
    random = np.random.default_rng(1)
    x, w = random.standard_normal(left, np.float32), random.standard_normal(right, np.float32)
    exact = x.astype(np.float64) @ w
    executable = compiled([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x, "w": w}, x @ w, threads)
    (result,) = executable.call([x, w])
    np.testing.assert_allclose(result, exact, rtol=0, atol=4e-6 * np.abs(exact).max())


def test_errors_of_long_sums_do_not_grow() -> None:
    """All of one sign, so that a sum that is added up one by one loses what is small beside it."""
    random = np.random.default_rng(2)
    x, w = random.random((1, 100_000), np.float32) + 0.5, random.random((100_000, 512), np.float32) + 0.5
    exact = x.astype(np.float64) @ w
    (result,) = compiled([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x, "w": w}, x @ w, 1).call([x, w])
    np.testing.assert_allclose(result, exact, rtol=1e-6)


@pytest.mark.parametrize(("points", "loops"), [((24,) * 12, 2), (tuple(range(4, 28, 2)), 16)])
def test_sums_of_concatenations(points: tuple[int, ...], loops: int):
    """Operands joined at the same rows are asked for together; joined at others, they do not double the loops each time."""
    generator = np.random.default_rng(4)
    parts = [(generator.random((at, 100), np.float32), generator.random((32 - at, 100), np.float32)) for at in points]

    def total(*arrays):
        joined = [ops.concatenate(arrays[at : at + 2], 0) for at in range(0, len(arrays), 2)]
        return sum(joined[1:], joined[0])

    traced = lamina.trace(total, *(part for pair in parts for part in pair))
    context = api.make_context()
    module = traced.module.clone()
    pipelines.run_phases(module, context, to="loop")
    assert sum(isinstance(op, scf.ForOp) for op in module.walk()) <= 2 * loops
    (result,) = lamina.compile(traced)(*(part for pair in parts for part in pair))
    np.testing.assert_array_equal(result, reduce(np.add, [np.concatenate(pair) for pair in parts]))
