"""`graph.scatter`: the reference against NumPy's ufunc.at and JAX, native code against the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.ir import Block, Region

import lamina
from lamina.api import make_context
from lamina.dialects.graph.scatter import KINDS, ScatterOp
from lamina.dialects.graph.types import BFLOAT16, element_type_of
from lamina.parser import parse_text
from lamina.passes.graph.flatten_scatters import FlattenScattersPass, is_flat
from lamina.passes.graph.shape_analysis import ShapeAnalysis
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import context


@dataclass(frozen=True)
class Case:
    name: str
    operand: tuple[int, ...]
    indices: np.ndarray
    updates: tuple[int, ...]
    window: tuple[int, ...] = ()
    inserted: tuple[int, ...] = ()
    to_operand: tuple[int, ...] = (0,)
    vector: int = 1
    batching: dict[str, tuple[int, ...]] = field(default_factory=dict)
    static_axes: tuple[int, ...] = ()
    """Axes of the indices that stay static: the index vector's."""

    def module(self, kind: str, dtype: Any = np.float64, index: Any = np.int64, symbolic: bool = False) -> ModuleOp:
        def type_of(shape: tuple[int, ...], element: Any, keep: tuple[int, ...] = ()) -> TensorType[Any]:
            sizes = [DYNAMIC_INDEX if symbolic and axis not in keep else n for axis, n in enumerate(shape)]
            return TensorType(element_type_of(element), sizes)

        block = Block(
            arg_types=[
                type_of(self.operand, dtype),
                type_of(self.indices.shape, index, self.static_axes),
                type_of(self.updates, dtype),
            ]
        )
        op = ScatterOp(
            *block.args,
            kind,
            update_window_dims=self.window,
            inserted_window_dims=self.inserted,
            scatter_dims_to_operand_dims=self.to_operand,
            index_vector_dim=self.vector,
            **self.batching,
        )
        block.add_ops([op, func.ReturnOp(op.result)])
        module = ModuleOp([func.FuncOp("main", (block.arg_types, [op.result.type]), Region(block))])
        module.verify()
        return module

    def inputs(self, dtype: Any = np.float64, index: Any = np.int64) -> list[np.ndarray]:
        generator = np.random.default_rng(len(self.name))
        x, u = (generator.uniform(-4, 4, shape) for shape in (self.operand, self.updates))
        limits = np.iinfo(index)
        return [x.astype(dtype), np.clip(self.indices, limits.min, limits.max).astype(index), u.astype(dtype)]


def at(*rows: Any) -> np.ndarray:
    return np.array(rows)


CASES = [
    Case("rows", (4, 6), at(1, 3, 1, 9, -1), (5, 6), (1,), (0,)),
    Case("vectors_of_one", (4, 6), at([1], [3], [1]), (3, 6), (1,), (0,), static_axes=(1,)),
    Case("rows_of_a_cube", (4, 3, 2), at(1, 0, 1), (3, 3, 2), (1, 2), (0,)),
    Case("columns", (4, 6), at(5, 0, 5, 6), (4, 4), (0,), (1,), (1,)),
    Case("elements", (4, 6), at([1, 2], [3, 5], [1, 2], [4, 0], [0, -1]), (5,), (), (0, 1), (0, 1), 1,
         static_axes=(1,)),
    Case("elements_transposed", (4, 6), at([1, 2], [3, 5], [1, 2]).T, (3,), (), (0, 1), (1, 0), 0, static_axes=(0,)),
    Case("patches", (5, 7), at([1, 2], [3, 5], [0, 0], [2, 3]), (4, 3, 2), (1, 2), (), (0, 1), 1, static_axes=(1,)),
    Case("patches_in_front", (5, 7), at([1, 2], [3, 5], [0, 0]), (2, 3, 3), (0, 2), (), (0, 1), 1, static_axes=(1,)),
    Case("one_slice", (5, 7), at(2, 1), (3, 2), (0, 1), (), (0, 1), 0, static_axes=(0,)),
    Case("scalar_index", (5, 7), np.array(2), (7,), (0,), (0,), (0,), 0),
    Case("no_index", (3, 4), np.zeros((2, 0)), (2, 3, 4), (1, 2), (), (), 1, static_axes=(1,)),
    Case("narrow_window", (4, 6), at(1, 3, 1), (3, 4), (1,), (0,)),
    Case("two_batch_axes", (4, 6), at([1, 3, 1], [0, 0, 7]), (2, 3, 6), (2,), (0,), vector=2),
    Case("batched", (3, 5), at([1, 2], [0, 0], [4, 9])[..., None], (3, 2), (), (1,), (1,), 2, static_axes=(2,),
         batching={"input_batching_dims": (0,), "scatter_indices_batching_dims": (0,)}),
    Case("nothing", (4, 6), np.zeros(0), (0, 6), (1,), (0,)),
    Case("into_nothing", (0, 6), at(0, 1), (2, 6), (1,), (0,)),
    Case("empty_rows", (4, 0), at(0, 1), (2, 0), (1,), (0,)),
]  # fmt: skip
IDS = [case.name for case in CASES]
FUNCTIONS = {"add": np.add, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_as_numpy_does(kind: str):
    x, i, u = CASES[0].inputs()
    expected = x.copy()
    if kind == "assign":
        for row, update in zip(i[:3], u[:3], strict=True):
            expected[row] = update
    else:
        FUNCTIONS[kind].at(expected, i[:3], u[:3])
    np.testing.assert_array_equal(evaluate(CASES[0].module(kind), [x, i, u])[0], expected)


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("kind", ["add", "multiply", "maximum", "minimum"])
def test_reference_against_jax(case: Case, kind: str):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x, i, u = case.inputs()
    batching = case.batching.values() if case.batching else ((), ())
    numbers = jax.lax.ScatterDimensionNumbers(case.window, case.inserted, case.to_operand, *batching)
    run = {"add": "scatter_add", "multiply": "scatter_mul", "maximum": "scatter_max", "minimum": "scatter_min"}[kind]
    vector = np.moveaxis(i, case.vector, -1) if case.vector < i.ndim else i[..., None]
    expected = getattr(jax.lax, run)(x, vector, u, numbers, mode="drop")
    np.testing.assert_allclose(evaluate(case.module(kind), [x, i, u])[0], np.asarray(expected), rtol=1e-14)


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_flattened(case: Case, symbolic: bool):
    module = case.module("assign", symbolic=symbolic)
    inputs = case.inputs()
    expected = evaluate(module, inputs)[0]
    FlattenScattersPass().apply(context(), module)
    module.verify()
    (function,) = module.ops
    analysis = ShapeAnalysis(function)  # pyright: ignore[reportArgumentType]
    assert all(is_flat(op, analysis) for op in module.walk() if isinstance(op, ScatterOp))
    np.testing.assert_array_equal(evaluate(module, inputs)[0], expected)


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "symbolic"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_native(case: Case, symbolic: bool):
    kind = list(KINDS)[len(case.name) % len(KINDS)]
    module = case.module(kind, np.float32, symbolic=symbolic)
    inputs = case.inputs(np.float32)
    expected = evaluate(module, inputs)[0]
    executable = lamina.compile(module, cache=False)
    for threads in (1, 2):
        np.testing.assert_array_equal(executable.call(inputs, threads=threads)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtype", "index"),
    [(np.float64, np.int32), (np.float16, np.uint8), (BFLOAT16, np.int64), (np.int32, np.int64), (np.uint8, np.uint64)],
    ids=str,
)
def test_native_element_types(kind: str, dtype: Any, index: Any):
    case = CASES[0]
    module, inputs = case.module(kind, dtype, index), case.inputs(dtype, index)
    expected = evaluate(module, inputs)[0]
    np.testing.assert_array_equal(lamina.compile(module, cache=False)(*inputs)[0], expected)


def test_booleans_are_assigned():
    case = CASES[0]
    module, inputs = case.module("assign", np.bool_), case.inputs(np.bool_)
    inputs[2] = np.random.default_rng(0).random(case.updates) < 0.5
    expected = evaluate(module, inputs)[0]
    np.testing.assert_array_equal(lamina.compile(module, cache=False)(*inputs)[0], expected)


@pytest.mark.parametrize("source", ["u", "x"])
@pytest.mark.parametrize("threads", [1, 2])
def test_in_place(source: str, threads: int):
    """A donated operand takes the updates itself, unless they are read from it."""
    body = f"""
      %y = graph.scatter add %x, %i, %{source}, update_window_dims [1] inserted_window_dims [0]
        scatter_dims_to_operand_dims [0] index_vector_dim 1 : tensor<9x4xf32>, tensor<9xi64>, tensor<9x4xf32> -> tensor<9x4xf32>
      func.return %y : tensor<9x4xf32>"""
    arguments = "%x: tensor<9x4xf32>, %i: tensor<9xi64>, %u: tensor<9x4xf32>"
    text = f"func.func @main({arguments}) -> (tensor<9x4xf32> {{lamina.alias = 0 : i64}}) {{{body}\n}}"
    module = parse_text(make_context(), text, "scatter.mlir")
    generator = np.random.default_rng(0)
    x, u = generator.standard_normal((2, 9, 4)).astype(np.float32)
    i = np.array([3, 0, -1, 3, 9, 8, 1, 3, 0])
    expected = evaluate(module, [x, i, u])[0]
    given = x.copy()
    (found,) = lamina.compile(module, threads=threads).call([given, i, u])
    np.testing.assert_array_equal(found, expected)
    assert np.shares_memory(found, given)
