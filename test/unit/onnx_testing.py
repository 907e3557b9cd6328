"""What the tests of the ONNX front end share: small models, imported and run, and ONNX Runtime as the oracle."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from onnx import helper, numpy_helper
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from lamina.context import LaminaContext
from lamina.dialects.graph.base import GraphOp
from lamina.frontends.onnx import import_model
from lamina.targets.reference.evaluate import evaluate

RANDOM = np.random.default_rng(0)


def parse(body: str, opset: int = 20, functions: str = "", domains: str = "") -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{domains}]>\n{body}\n{functions}')


def imported(model, **options) -> tuple[ModuleOp, LaminaContext]:
    context = LaminaContext()
    module = import_model(model, context, **options)
    module.verify()
    return module, context


def main_of(module: ModuleOp) -> FuncOp:
    (main,) = module.body.block.ops
    assert isinstance(main, FuncOp)
    return main


def ops_of(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("graph.") for op in module.walk() if isinstance(op, GraphOp)]


def interface(attributes: ArrayAttr[DictionaryAttr] | None) -> list[tuple[str, list[str] | None]]:
    assert attributes is not None
    rows: list[tuple[str, list[str] | None]] = []
    for row in attributes:
        name, dims = row.data["lamina.name"], row.data.get("lamina.dims")
        assert isinstance(name, StringAttr)
        rows.append((name.data, None if dims is None else [size.data for size in dims]))  # type: ignore[union-attr]
    return rows


def run(model, *inputs: np.ndarray, **options) -> tuple[np.ndarray, ...]:
    module, context = imported(model, **options)
    return evaluate(module, inputs, context.resources)


def runtime(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, map(np.asarray, inputs), strict=True)))


def check_against_runtime(model: onnx.ModelProto, *inputs: np.ndarray, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    expected = runtime(model, *inputs)
    results = run(model, *inputs)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(result, wanted, rtol=rtol, atol=atol)


def one_node(node: onnx.NodeProto, inputs: dict[str, np.ndarray], opset: int, constants=None) -> onnx.ModelProto:
    """A model of one node with one output `y`; `constants` become initializers."""
    constants = constants or {}
    graph = helper.make_graph(
        [node],
        "one_node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    graph.output[0].type.tensor_type.elem_type = next(iter(graph.input)).type.tensor_type.elem_type
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)
