"""The shape analysis against what NumPy computes: every symbolic size and element, for several sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, NameLoc, NoneAttr, StringAttr, f32, i1, i64
from xdsl.ir import Operation, SSAValue

import lamina
from graph_models import context, encoder, encoder_inputs, module_of, parse
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor, Array
from lamina.dialects.graph.dims import evaluate as evaluate_dim
from lamina.dialects.graph.dims import symbol, symbols_of
from lamina.passes.graph.form_kernels import FormKernelsPass
from lamina.passes.graph.infer_types import InferTypesPass
from lamina.passes.graph.shape_analysis import Origin, ShapeAnalysis
from lamina.resources import ResourceStore
from lamina.targets.reference.evaluate import Evaluator
from random_graphs import inputs_for, programs


class Recorder(Evaluator):
    """Keeps every array that a function computes, outside regions that run more than once."""

    def __init__(self, resources: ResourceStore):
        super().__init__(resources)
        self.arrays: dict[SSAValue, Array] = {}

    def op(self, op: Operation, environment: dict[SSAValue, Array]) -> tuple[Array, ...]:
        results = super().op(op, environment)
        self.arrays.update(zip(op.results, results, strict=True))
        return results


def main_of(module: ModuleOp) -> func.FuncOp:
    return next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "main")


def check(module: ModuleOp, inputs: list[Array], resources: ResourceStore | None = None) -> ShapeAnalysis:
    """Compare all of main's sizes and elements with a run; the symbols get their values at their origins."""
    main = main_of(module)
    analysis = ShapeAnalysis(main)
    recorder = Recorder(resources or ResourceStore())
    recorder.call(main, inputs)
    arrays = recorder.arrays | dict(zip(main.body.block.args, map(np.asarray, inputs), strict=True))

    def value_of(origin: Origin) -> int:
        array = arrays[origin.value]
        return array.shape[origin.index] if origin.kind == "size" else int(array.reshape(-1)[origin.index])

    def run_time(dim: object) -> int:
        names = symbols_of(dim)
        return evaluate_dim(dim, {name: value_of(analysis.origin(name)) for name in names})

    checked = 0
    for value, array in arrays.items():
        if value.owner is not main.body.block and value.owner.parent is not main.body.block:
            continue
        assert tuple(run_time(dim) for dim in analysis.shape(value)) == array.shape, value
        elements = analysis.elements(value)
        if elements is not None:
            assert [run_time(element) for element in elements] == array.reshape(-1).tolist(), value
            checked += 1
    return analysis


@pytest.mark.parametrize("sizes", [(1, 1), (2, 7), (5, 3)])
def test_encoder(sizes: tuple[int, int]) -> None:
    ctx = context()
    module = encoder(ctx, layers=1)
    analysis = check(module, encoder_inputs(*sizes), ctx.resources)
    (result,) = main_of(module).body.block.last_op.operands
    assert [str(dim) for dim in analysis.shape(result)] == ["batch", "seq", "64"]
    assert not analysis.constraints


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 5))
def test_random_graphs(program, size: int) -> None:
    ctx = context()
    check(program(ctx), inputs_for(size), ctx.resources)


def test_sizes_computed_from_sizes() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<?x6xf32> {lamina.dims = ["n", "6"]}) -> tensor<?x?xf32> {
          %shape = graph.shape_of %x : tensor<?x6xf32> -> tensor<2xi64>
          %two = graph.constant dense<2> : tensor<i64>
          %double = graph.multiply %shape, %two : tensor<2xi64>, tensor<i64> -> tensor<2xi64>
          %first = graph.slice %double, [0] to [1] step [1] : tensor<2xi64> -> tensor<1xi64>
          %three = graph.constant dense<3> : tensor<1xi64>
          %target = graph.concatenate %first, %three dimension 0 : tensor<1xi64>, tensor<1xi64> -> tensor<2xi64>
          %y = graph.dynamic_reshape %x, %target : tensor<?x6xf32>, tensor<2xi64> -> tensor<?x?xf32>
          func.return %y : tensor<?x?xf32>
        }
        """
    )
    for size in (1, 2, 5):
        analysis = check(module, [np.zeros((size, 6), np.float32)])
    (result,) = main_of(module).body.block.last_op.operands
    assert [str(dim) for dim in analysis.shape(result)] == ["2*n", "3"]


@pytest.mark.parametrize("target", [[2, 6], [-1, 4], [3, -1], [1, 12]])
def test_reshape_to_sizes_given_by_data(target: list[int]) -> None:
    """A -1 among the data must not end up as a size."""
    module = parse(
        """
        func.func @main(%x: tensor<?x4xf32>, %shape: tensor<2xi64>) -> tensor<?x?xf32> {
          %y = graph.dynamic_reshape %x, %shape : tensor<?x4xf32>, tensor<2xi64> -> tensor<?x?xf32>
          func.return %y : tensor<?x?xf32>
        }
        """
    )
    check(module, [np.zeros((3, 4), np.float32), np.array(target)])


def test_unnamed_arguments_and_expressions() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<?x?xf32> {lamina.dims = ["n", "n+1"]}, %y: tensor<?xf32>,
                        %z: tensor<?xf32> {lamina.dims = ["unheard+1"]}) -> tensor<?x?xf32> {
          %r = graph.exp %x : tensor<?x?xf32>
          func.return %r : tensor<?x?xf32>
        }
        """
    )
    analysis = ShapeAnalysis(main_of(module))
    x, y, z = main_of(module).body.block.args
    assert [str(dim) for dim in analysis.shape(x)] == ["n", "n+1"]
    assert analysis.origin("n") == Origin(x, "size", 0)
    assert analysis.shape(y) == (symbol("size_arg1_0"),)
    assert analysis.origin("size_arg1_0") == Origin(y, "size", 0)
    # Nothing gives `unheard`: the size is its own symbol.
    assert analysis.shape(z) == (symbol("size_arg2_0"),)
    assert analysis.origin("unheard") is None


def test_sizes_taken_to_be_equal_are_reported() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<?xf32> {lamina.dims = ["a"]}, %y: tensor<?xf32> {lamina.dims = ["b"]})
            -> tensor<?xf32> {
          %r = graph.add %x, %y : tensor<?xf32>
          func.return %r : tensor<?xf32>
        }
        """
    )
    analysis = ShapeAnalysis(main_of(module))
    assert [(item.op.name, str(item.left), str(item.right)) for item in analysis.constraints] == [
        ("graph.add", "a", "b")
    ]


@pytest.mark.parametrize(
    ("dims", "message"),
    [('["n"]', "has 1 entries, expected 2"), ('["n", "4)"]', "is not a size")],
)
def test_wrong_dims_are_an_error(dims: str, message: str) -> None:
    module = parse(
        f"""
        func.func @main(%x: tensor<?x4xf32> {{lamina.dims = {dims}}}) -> tensor<?x4xf32> {{
          %r = graph.exp %x : tensor<?x4xf32>
          func.return %r : tensor<?x4xf32>
        }}
        """
    )
    with pytest.raises(LaminaError, match=message):
        ShapeAnalysis(main_of(module))


def test_loop_values() -> None:
    """What stays the same from one iteration to the next keeps its size, the rest becomes opaque."""
    ctx = context()

    def build(b, x, count):
        known = [AbstractTensor((), i64), AbstractTensor((symbol("n"), 4), f32), AbstractTensor((symbol("m"), 4), f32)]

        def body(values):
            index, same, longer = values
            return [b.add(index, 1), b.negate(same), b.concatenate([longer, x], 0)]

        results = b.while_([b.constant(np.int64(0)), x, x], lambda v: [b.compare("LT", v[0], count)], body, known)
        return results[1:]

    module = module_of(ctx, [(["n", 4], f32), ([], i64)], build)
    for count in (0, 3):
        analysis = check(module, [np.zeros((2, 4), np.float32), np.int64(count)], ctx.resources)
    same, longer = main_of(module).body.block.last_op.operands
    assert [str(dim) for dim in analysis.shape(same)] == ["n", "4"]
    assert str(analysis.shape(longer)[0]).startswith("size_")
    (loop,) = [op for op in main_of(module).walk() if op.name == "graph.while"]
    index = loop.regions[1].block.args[0]
    assert analysis.origin(str(analysis.elements(index)[0])) == Origin(index, "element", 0)


def test_branches_that_differ() -> None:
    ctx = context()

    def build(b, flag, x):
        return b.if_(flag, lambda: [x, b.negate(x)], lambda: [b.concatenate([x, x], 0), x])

    module = module_of(ctx, [([], i1), (["n"], f32)], build)
    for flag in (True, False):
        analysis = check(module, [np.bool_(flag), np.zeros(3, np.float32)], ctx.resources)
    first, second = main_of(module).body.block.last_op.operands
    assert str(analysis.shape(first)[0]).startswith("size_")
    assert str(analysis.shape(second)[0]) == "n"


@pytest.mark.parametrize("sizes", [(2, 7), (4, 1)])
def test_calls(sizes: tuple[int, int]) -> None:
    """After form-kernels the results of calls have the sizes that their ops had."""
    ctx = context()
    module = encoder(ctx, layers=1)
    InferTypesPass().apply(ctx, module)
    FormKernelsPass().apply(ctx, module)
    analysis = check(module, encoder_inputs(*sizes), ctx.resources)
    names = {
        name
        for op in main_of(module).walk()
        for result in op.results
        for dim in analysis.shape(result)
        for name in symbols_of(dim)
    }
    assert names == {"batch", "seq"}


def test_calls_by_attributes_alone() -> None:
    """A function whose body is no longer of graph ops is described by its attributes."""
    ctx = context()
    ctx.allow_unregistered = True
    module = parse(
        """
        func.func @main(%x: tensor<?x3xf32> {lamina.dims = ["n", "3"]}) -> tensor<?xf32> {
          %y = func.call @flat(%x) : (tensor<?x3xf32>) -> tensor<?xf32>
          func.return %y : tensor<?xf32>
        }
        func.func private @flat(%x: tensor<?x3xf32> {lamina.dims = ["d0", "3"]})
            -> (tensor<?xf32> {lamina.dims = ["3*d0"]}) {
          %y = "other.flatten"(%x) : (tensor<?x3xf32>) -> tensor<?xf32>
          func.return %y : tensor<?xf32>
        }
        """,
        ctx,
    )
    analysis = ShapeAnalysis(main_of(module))
    (result,) = main_of(module).body.block.last_op.operands
    assert str(analysis.shape(result)[0]) == "3*n"


def test_a_misfit_names_the_op_and_its_place() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<?xf32> {lamina.dims = ["n"]}) -> tensor<?xf32> {
          %c = graph.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
          %y = graph.concatenate %x, %x dimension 0 : tensor<?xf32>, tensor<?xf32> -> tensor<?xf32>
          %s = graph.slice %y, [0] to [2] step [1] : tensor<?xf32> -> tensor<?xf32>
          %r = graph.add %c, %s : tensor<3xf32>, tensor<?xf32> -> tensor<3xf32>
          func.return %r : tensor<3xf32>
        }
        """.replace("-> tensor<?xf32> {\n          %c", "-> tensor<3xf32> {\n          %c")
    )
    for op in module.walk():
        op.location = NameLoc(StringAttr(f"node {op.name}"), NoneAttr())
    main = main_of(module)
    slice_op = next(op for op in main.walk() if op.name == "graph.slice")
    slice_op.operands[0] = next(op for op in main.walk() if op.name == "graph.constant").results[0]
    with pytest.raises(LaminaError, match=r"graph\.add") as raised:
        ShapeAnalysis(main)
    assert raised.value.where == "node graph.add"


def test_large_unsigned_elements_are_no_symbols():
    """Symbols are signed: the larger of 2**64 - 1 and 7 is not 7."""
    module = parse("""func.func @main(%x: tensor<2xui64>) -> tensor<2xui64> {
             %c = graph.constant dense<7> : tensor<ui64>
             %y = graph.maximum %x, %c : tensor<2xui64>, tensor<ui64> -> tensor<2xui64>
             func.return %y : tensor<2xui64>
           }""")
    x = np.array([3, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(lamina.compile(module)(x)[0], np.maximum(x, np.uint64(7)))
