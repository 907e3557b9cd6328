"""Group norms beside ONNX Runtime: operators, the exporters' spelling, features behind the batch and last."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import f16, f32

import lamina
from graph_models import context, module_of
from lamina import api, pipelines
from lamina.dialects.graph.composite import LayerNormOp
from lamina.dialects.graph.data_movement import TransposeOp
from lamina.dialects.graph.group_norm import GroupNormOp
from lamina.targets.reference.evaluate import evaluate
from onnx_testing import runtime

RANDOM = np.random.default_rng(9)


def model_of(nodes, initializers, sizes, opset: int = 21):
    graph = helper.make_graph(
        nodes,
        "norms",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def spelled_out(channels: int, groups: int, convolution: bool, symbolic: bool):
    """Reshape, instance norm, reshape, scale, bias, between convolutions: as PyTorch exports GroupNorm."""
    sizes = ["n", channels, "h", "w"] if symbolic else [2, channels, 6, 5]
    weights = {
        "one": np.ones(groups, np.float32), "zero": np.zeros(groups, np.float32), "rows": np.array([0, groups, -1]),
        "scale": normal(channels, 1, 1), "bias": normal(channels, 1, 1), "k": normal(channels, channels, 3, 3) / 8,
    }  # fmt: skip
    same = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], **same) if convolution else helper.make_node("Neg", ["x"], ["c"]),
        helper.make_node("Reshape", ["c", "rows"], ["r"]),
        helper.make_node("InstanceNormalization", ["r", "one", "zero"], ["n"], epsilon=1e-5),
        helper.make_node("Shape", ["c"], ["shape"]),
        helper.make_node("Reshape", ["n", "shape"], ["u"]),
        helper.make_node("Mul", ["u", "scale"], ["v"]),
        helper.make_node("Add", ["v", "bias"], ["b"]),
        helper.make_node("Relu", ["b"], ["a"]),
        helper.make_node("Conv", ["a", "k"], ["y"], **same) if convolution else helper.make_node("Neg", ["a"], ["y"]),
    ]
    return model_of(nodes, weights, sizes)


@pytest.mark.parametrize("symbolic", (False, True))
@pytest.mark.parametrize("convolution", (False, True))
@pytest.mark.parametrize(("channels", "groups"), ((8, 4), (12, 1), (6, 6), (48, 3)))
def test_spelled_out(channels: int, groups: int, convolution: bool, symbolic: bool) -> None:
    model = spelled_out(channels, groups, convolution, symbolic)
    executable = lamina.compile(model, cache=False)
    for shape in ((2, channels, 6, 5), *(((1, channels, 1, 17), (3, channels, 9, 4)) if symbolic else ())):
        x = 3 * normal(*shape) + 2
        (wanted,) = runtime(model, x)
        for threads in (1, 2):
            (result,) = executable.call([x], threads=threads)
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def test_no_transposes_between_convolutions() -> None:
    """The norm works with the features last; only the model's input and output change their order."""
    ctx = api.make_context()
    module = api.load_module(spelled_out(8, 4, True, False), ctx)
    api.set_target(module, None)
    pipelines.run_phases(module, ctx, to="graph")
    ops = list(module.walk())
    (norm,) = (op for op in ops if isinstance(op, GroupNormOp))
    assert norm.dimension.value.data == 3
    assert sum(isinstance(op, TransposeOp) for op in ops) == 2
    assert not any(isinstance(op, LayerNormOp) for op in ops)


@pytest.mark.parametrize("sizes", ((2, 8, 6, 5), ("n", 8, "h", "w"), ("n", 8, 7), (3, 8)), ids=str)
@pytest.mark.parametrize("groups", (1, 2, 8))
def test_group_normalization(sizes, groups: int) -> None:
    shape = tuple({"n": 3, "h": 4, "w": 7}.get(size, size) for size in sizes)
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=groups, epsilon=1e-3)
    model = model_of([node], {"s": normal(8), "b": normal(8)}, sizes)
    x = normal(*shape)
    (result,), (wanted,) = lamina.compile(model, cache=False)(x), runtime(model, x)
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", ((2, 8, 6, 5), ("n", 8, "h", "w"), (3, 8)), ids=str)
@pytest.mark.parametrize("opset", (18, 20))
def test_group_normalization_by_group(sizes, opset: int) -> None:
    """Operator sets 18 to 20: one scale and one bias for each group, not for each channel."""
    shape = tuple({"n": 3, "h": 4, "w": 7}.get(size, size) for size in sizes)
    for groups in (1, 2, 8):
        node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=groups, epsilon=1e-3)
        model = model_of([node], {"s": normal(groups), "b": normal(groups)}, sizes)
        model.opset_import[0].version = opset
        x = normal(*shape)
        (result,), (wanted,) = lamina.compile(model, cache=False)(x), runtime(model, x)
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("element_type", (f32, f16), ids=str)
@pytest.mark.parametrize(
    ("shape", "dimension"), (((2, 8, 5), 1), ((2, 5, 8), 2), ((2, 3, 8, 4), 2), ((2, 3, 4, 8), 3), ((2, 8), 1))
)
def test_every_place(shape, dimension: int, element_type) -> None:
    """Beside the definition, far from zero: the mean is a hundred times the deviation."""
    dtype = np.float16 if element_type == f16 else np.float32
    x = (100 * normal(shape[0], *(1,) * (len(shape) - 1)) + normal(*shape)).astype(dtype)
    parameters = [normal(8).astype(dtype) for _ in range(2)]
    for groups in (1, 4, 8):
        for sizes in (shape, tuple(size if axis == dimension else f"size{axis}" for axis, size in enumerate(shape))):
            ctx = context()
            module = module_of(
                ctx,
                [(sizes, element_type), ((8,), element_type), ((8,), element_type)],
                lambda b, x, s, z, groups=groups: [b.group_norm(x, s, z, dimension, groups, 1e-5)],
            )
            (wanted,) = evaluate(module, [x, *parameters], ctx.resources)
            (result,) = lamina.compile(module, cache=False)(x, *parameters)
            tolerance = 1e-2 if element_type == f16 else 2e-4
            np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance)
