"""graph-to-linalg of elementwise ops and casts, all element types; MLIR's own lowering and LLVM run the tensor level."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import (
    FileLineColLoc,
)

from lamina.dialects.graph.types import BFLOAT16, DTYPES
from lamina.lowering.graph_to_linalg.graph_to_linalg import GraphToLinalgPass
from lamina.parser import parse_text
from linalg_testing import MORE, check, compiled, context, kernel, module_of, values
from support import upstream

pytestmark = pytest.mark.skipif(not upstream.is_available(), reason="MLIR's tools (mlir-22-tools) are not installed")


# ---- elementwise

UNARY_FLOAT = {
    "abs": 0,
    "negate": 0,
    "sign": 0,
    "floor": 0,
    "ceil": 0,
    "round_nearest_even": 0,
    "sqrt": 1,
    "rsqrt": 3,
    "exp": 4,
    "expm1": 4,
    "log": 4,
    "log1p": 4,
    "sin": 4,
    "cos": 4,
    "tan": 8,
    "asin": 4,
    "acos": 4,
    "atan": 4,
    "sinh": 8,
    "cosh": 8,
    "asinh": 8,
    "acosh": 8,
    "atanh": 8,
    "tanh": 4,
    "erf": 8,
    "logistic": 8,
}
UNARY_INTEGER = ("abs", "negate", "sign", "not")
BINARY_FLOAT = {
    "add": 0,
    "subtract": 0,
    "multiply": 0,
    "divide": 0,
    "remainder": 0,
    "power": 8,
    "maximum": 0,
    "minimum": 0,
    "atan2": 4,
}
BINARY_INTEGER = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "remainder",
    "power",
    "maximum",
    "minimum",
    "and",
    "or",
    "xor",
    "shift_left",
    "shift_right",
)
DIRECTIONS = ("EQ", "NE", "LT", "LE", "GT", "GE")
FLOATS = [str(t) for t, d in DTYPES.items() if d.kind == "f" or d == BFLOAT16]
INTEGERS = [str(t) for t, d in DTYPES.items() if d.kind in "iu"]
TYPES = {str(t): d for t, d in DTYPES.items()}


def elementwise_module(element_type: str) -> str:
    vector = f"tensor<?x{element_type}>"
    one, two = (
        f'%a: {vector} {{lamina.dims = ["n"]}}',
        f'%a: {vector} {{lamina.dims = ["n"]}}, %b: {vector} {{lamina.dims = ["n"]}}',
    )
    is_float = element_type in FLOATS
    functions = []
    for op in UNARY_FLOAT if is_float else UNARY_INTEGER:
        functions.append(kernel(op, one, vector, f"%y = graph.{op} %a : {vector}"))
    for op in BINARY_FLOAT if is_float else BINARY_INTEGER:
        functions.append(kernel(op, two, vector, f"%y = graph.{op} %a, %b : {vector}"))
    for direction in DIRECTIONS:
        functions.append(
            kernel(
                direction,
                two,
                "tensor<?xi1>",
                f"%y = graph.compare {direction}, %a, %b : {vector}, {vector} -> tensor<?xi1>",
            )
        )
    three = two + f', %c: {vector} {{lamina.dims = ["n"]}}'
    functions.append(kernel("clamp", three, vector, f"%y = graph.clamp %a, %b, %c : {vector}"))
    if is_float:
        functions.append(kernel("is_nan", one, "tensor<?xi1>", f"%y = graph.is_nan %a : {vector} -> tensor<?xi1>"))
        for negative, positive in ((True, True), (True, False), (False, True), (False, False)):
            flags = f"negative {str(negative).lower()}, positive {str(positive).lower()}"
            body = f"%y = graph.is_inf %a, {flags} : {vector} -> tensor<?xi1>"
            functions.append(kernel(f"is_inf_{negative}_{positive}", one, "tensor<?xi1>", body))
    return module_of(*functions)


@pytest.mark.parametrize("element_type", [*FLOATS, *INTEGERS])
def test_elementwise(element_type: str):
    library = compiled(elementwise_module(element_type))

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        size = data.draw(st.integers(0, 40))
        for name, function in library.graph_functions.items():
            inputs = [values(data, TYPES[element_type], (size,)) for _ in function.body.block.args]
            ulps = {**UNARY_FLOAT, **BINARY_FLOAT}.get(name, 0) if element_type in FLOATS else 0
            if element_type in ("f16", "bf16"):
                ulps = min(ulps, 1)
            check(library, name, inputs, ulps=ulps)

    run()


@pytest.mark.parametrize("source", TYPES)
def test_cast(source: str):
    functions = [
        kernel(
            f"to_{target}",
            f"%a: tensor<?x{source}>",
            f"tensor<?x{target}>",
            f"%y = graph.cast %a : tensor<?x{source}> -> tensor<?x{target}>",
        )
        for target in TYPES
    ]
    library = compiled(module_of(*functions))

    @MORE
    @given(st.data())
    def run(data: st.DataObject) -> None:
        inputs = [values(data, TYPES[source], (data.draw(st.integers(0, 60)),), low=-300, high=300)]
        for name in library.graph_functions:
            check(library, name, inputs)

    run()


def test_ops_have_their_locations():
    """Every op of a lowered kernel is from a line of the graph level."""
    text = elementwise_module("f32")
    ctx = context()
    module = parse_text(ctx, text, "model.mlir")
    GraphToLinalgPass().apply(ctx, module)
    lines = text.splitlines()
    for function in module.ops:
        for op in function.walk():
            assert isinstance(op.location, FileLineColLoc), op
            assert op.location.filename.data == "model.mlir"
    tanh = next(op for op in module.walk() if op.name == "math.tanh")
    assert "graph.tanh" in lines[tanh.location.line.data - 1]
