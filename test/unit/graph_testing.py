"""What the tests of graph ops share: modules from values and back, a small evaluator, ONNX Runtime as an oracle."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from xdsl.dialects.builtin import Builtin, ModuleOp, TensorType
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.printer import Printer

from lamina.context import LaminaContext
from lamina.dialects.graph import Graph
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.types import BFLOAT16, DTYPES, ELEMENT_TYPES
from lamina.parser import parse_text
from lamina.passes.graph.canonicalize import CanonicalizePass
from lamina.resources import ResourceStore

FLOATS = [np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.float16), BFLOAT16]
INTEGERS = [dtype for dtype in DTYPES.values() if dtype.kind in "iu"]
BOOL = np.dtype(np.bool_)
ALL = list(DTYPES.values())

SPECIAL_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-3, 100.0, np.inf, -np.inf, np.nan]


def context() -> LaminaContext:
    ctx = LaminaContext()
    for dialect in (Builtin, Func, Graph):
        ctx.load_dialect(dialect)
    return ctx


def shapes(max_dims: int = 3, min_dims: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=0, max_side=4)


def arrays(dtype: np.dtype[Any], shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Arrays with zeros of both signs, infinities, NaN, extreme and small values."""
    if dtype.kind == "b":
        return hnp.arrays(dtype, shape)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        special = st.sampled_from([limits.min, limits.max, 0, 1, 2, 3])
        return hnp.arrays(dtype, shape, elements=special | st.integers(int(limits.min), int(limits.max)))
    elements = st.sampled_from(SPECIAL_FLOATS) | st.floats(-8, 8, width=32) | st.floats(width=32, allow_nan=False)
    return hnp.arrays(np.float32, shape, elements=elements).map(lambda array: quietly(array, dtype))


def quietly(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def tensor(array: np.ndarray) -> TensorType[Any]:
    return TensorType(ELEMENT_TYPES[array.dtype], array.shape)


def function(build: Callable[..., Operation | Sequence[Operation]], *inputs: np.ndarray) -> ModuleOp:
    """`func.func @main` of the inputs' types; `build` gets the arguments and gives ops, the last one returned."""
    block = Block(arg_types=[tensor(array) for array in inputs])
    ops = build(*block.args)
    ops = [ops] if isinstance(ops, Operation) else list(ops)
    block.add_ops(ops)
    block.add_op(ReturnOp(*ops[-1].results))
    main = FuncOp(
        "main", ([arg.type for arg in block.args], [result.type for result in ops[-1].results]), Region(block)
    )
    return ModuleOp([main])


def graph_op(module: ModuleOp) -> Any:
    """The op whose result `main` returns."""
    main = next(iter(module.ops))
    return main.body.block.last_op.operands[0].owner


def evaluate(module: ModuleOp, *inputs: np.ndarray) -> np.ndarray:
    """Run `main` by the ops' references."""
    main = next(iter(module.ops))
    values: dict[SSAValue, np.ndarray] = dict(zip(main.body.block.args, inputs, strict=True))
    for op in main.body.block.ops:
        operands = [values[operand] for operand in op.operands]
        if isinstance(op, ReturnOp):
            return operands[0]
        results = op.reference(*operands)
        values.update(zip(op.results, results if isinstance(results, tuple) else (results,), strict=True))
    raise AssertionError("no return")


def constants(*arrays: np.ndarray) -> list[ConstantOp]:
    return [ConstantOp.from_array(array, ResourceStore()) for array in arrays]


def text(module: ModuleOp, generic: bool = False) -> str:
    stream = io.StringIO()
    Printer(stream, print_generic_format=generic).print_op(module)
    return stream.getvalue()


def assert_round_trips(module: ModuleOp) -> None:
    """Custom and generic form read back as the same module."""
    module.verify()
    for generic in (False, True):
        again = parse_text(context(), text(module, generic), "test.mlir")
        again.verify()
        assert again.is_structurally_equivalent(module), text(module, generic)


def canonicalized(module: ModuleOp) -> ModuleOp:
    copy = module.clone()
    CanonicalizePass().apply(context(), copy)
    copy.verify()
    return copy


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    """Same dtype, shape and elements; the sign of zero counts, the payload of NaN does not."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if actual.dtype.kind not in "fV" and actual.dtype != BFLOAT16:
        np.testing.assert_array_equal(actual, expected)
        return
    left, right = (quietly(array, np.dtype(np.float64)) for array in (actual, expected))
    np.testing.assert_array_equal(left, right)
    number = ~np.isnan(left)
    np.testing.assert_array_equal(np.signbit(left)[number], np.signbit(right)[number])


def onnx_runtime(op: str, inputs: Sequence[np.ndarray], opset: int = 21, **attributes: Any) -> np.ndarray:
    """The first result of a model of one node."""
    import onnx
    import onnxruntime
    from onnx import helper

    names = [f"x{index}" for index in range(len(inputs))]
    node = helper.make_node(op, names, ["y"], **attributes)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, inputs, strict=True)
    ]
    output = onnx.ValueInfoProto()
    output.name = "y"
    graph = helper.make_graph([node], "test", declared, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(array) for name, array in zip(names, inputs, strict=True)})[0]


def check_hooks(module: ModuleOp, inputs: Mapping[int, np.ndarray] | Sequence[np.ndarray]) -> None:
    """Every hook of the op that `main` returns, on the inputs."""
    from lamina.dialects.graph.base import Differentiability, abstract_operands

    op = graph_op(module)
    operands = abstract_operands(op)
    (inferred,) = op.infer(operands)
    assert inferred.type == op.results[0].type
    for left, right in op.constraints(operands):
        assert left != right
    result = evaluate(module, *inputs)
    assert result.shape == inferred.shape
    assert ELEMENT_TYPES[result.dtype] == inferred.element_type
    if inferred.elements is not None:
        np.testing.assert_array_equal(np.asarray(inferred.elements, np.int64), result.reshape(-1).astype(np.int64))
    assert isinstance(op.DIFFERENTIABILITY, Differentiability)
    assert op.__doc__
    assert_round_trips(module)
    op.attributes["note"] = TensorType(ELEMENT_TYPES[BOOL], [1])
    assert_round_trips(module)
    assert_same_bits(evaluate(canonicalized(module), *inputs), result)
