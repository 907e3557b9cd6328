"""The reference evaluator: whole functions in NumPy, against NumPy written by hand."""

from __future__ import annotations

import gc
import weakref

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects.builtin import NameLoc, NoneAttr, StringAttr, TensorType, bf16, f32, i1, i64
from xdsl.rewriter import Rewriter

from graph_models import context, module_of, parse
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.dims import symbol
from lamina.targets.reference.evaluate import Evaluator, evaluate


def test_a_small_function() -> None:
    ctx = context()
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)

    def build(b, x):
        return [b.relu(b.dot_general(x, weight, (1,), (0,))), b.shape_of(x)]

    module = module_of(ctx, [(["n", 4], f32)], build)
    for size in (0, 1, 5):
        x = np.random.default_rng(size).normal(size=(size, 4)).astype(np.float32)
        product, shape = evaluate(module, [x], ctx.resources)
        np.testing.assert_allclose(product, np.maximum(x @ weight, 0), rtol=1e-6)
        assert shape.tolist() == [size, 4]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_loops_and_branches_see_values_around_them(count: int) -> None:
    ctx = context()

    def build(b, x, limit):
        def body(values):
            index, state = values
            even = b.compare("EQ", b.remainder(index, 2), 0)
            (state,) = b.if_(even, lambda: [b.add(state, x)], lambda: [b.multiply(state, 2.0)])
            return [b.add(index, 1), state]

        loop_values = [AbstractTensor((), i64), AbstractTensor((symbol("n"),), f32)]
        inits = [b.constant(np.int64(0)), x]
        return b.while_(inits, lambda values: [b.compare("LT", values[0], limit)], body, loop_values)

    module = module_of(ctx, [(["n"], f32), ([], i64)], build)
    x = np.array([1, 2, 3], np.float32)
    state = x
    for index in range(count):
        state = state + x if index % 2 == 0 else state * 2
    index, result = evaluate(module, [x, np.int64(count)], ctx.resources)
    assert index == count
    np.testing.assert_array_equal(result, state)


def test_calls_and_other_entry_points() -> None:
    module = parse(
        """
        func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {
          %y = func.call @twice(%x) : (tensor<?xf32>) -> tensor<?xf32>
          %z = func.call @twice(%y) : (tensor<?xf32>) -> tensor<?xf32>
          func.return %z : tensor<?xf32>
        }
        func.func private @twice(%x: tensor<?xf32>) -> tensor<?xf32> {
          %y = graph.add %x, %x : tensor<?xf32>
          func.return %y : tensor<?xf32>
        }
        """
    )
    x = np.array([1.5, -2.0], np.float32)
    np.testing.assert_array_equal(evaluate(module, [x])[0], 4 * x)
    np.testing.assert_array_equal(evaluate(module, [x], function="twice")[0], 2 * x)
    with pytest.raises(LaminaError, match="no function @thrice"):
        evaluate(module, [x], function="thrice")


def test_dtypes_and_empty_tensors() -> None:
    ctx = context()
    module = module_of(ctx, [(["n"], bf16), (["n"], i1)], lambda b, x, p: [b.select(p, b.negate(x), x)])
    x = np.array([1.5, 2.0], ml_dtypes.bfloat16)
    (result,) = evaluate(module, [x, np.array([True, False])])
    assert result.dtype == ml_dtypes.bfloat16
    assert result.astype(np.float32).tolist() == [-1.5, 2.0]
    assert evaluate(module, [x[:0], np.zeros(0, bool)])[0].shape == (0,)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "expected 1 inputs, found 0"),
        ([np.zeros((2, 3), np.float64)], r"input 0: expected tensor<\?x3xf32>, found .* float64"),
        ([np.zeros((2, 4), np.float32)], r"found an array of shape \(2, 4\)"),
        ([np.zeros(3, np.float32)], r"found an array of shape \(3,\)"),
    ],
)
def test_inputs_are_checked(inputs: list[np.ndarray], message: str) -> None:
    module = module_of(context(), [(["n", 3], f32)], lambda b, x: [b.exp(x)])
    with pytest.raises(LaminaError, match=message):
        evaluate(module, inputs)


def test_inputs_are_not_written_to() -> None:
    ctx = context()

    def build(b, cache, update):
        return [b.dynamic_update_slice(cache, update, b.constant(np.array([1])))]

    module = module_of(ctx, [([4], f32), ([2], f32)], build)
    cache = np.zeros(4, np.float32)
    (result,) = evaluate(module, [cache, np.ones(2, np.float32)])
    assert result.tolist() == [0, 1, 1, 0] and not cache.any()


def test_wrong_types_name_the_op_and_its_place() -> None:
    module = module_of(context(), [(["n"], f32)], lambda b, x: [b.concatenate([x, x], 0)])
    (op,) = [op for op in module.walk() if op.name == "graph.concatenate"]
    op.location = NameLoc(StringAttr("/decoder/join"), NoneAttr())
    Rewriter.replace_value_with_new_type(op.results[0], TensorType(f32, [3]))
    with pytest.raises(
        LaminaError, match=r"graph\.concatenate: expected tensor<3xf32>, found .* shape \(4,\)"
    ) as error:
        evaluate(module, [np.zeros(2, np.float32)])
    assert error.value.where == "/decoder/join"


def test_an_op_that_fails_names_its_place() -> None:
    module = module_of(context(), [(["n"], f32)], lambda b, x: [b.reshape(x, (-1, 4))])
    (op,) = [op for op in module.walk() if op.name == "graph.reshape"]
    op.location = NameLoc(StringAttr("/split"), NoneAttr())
    with pytest.raises(LaminaError, match=r"graph\.reshape: cannot be evaluated") as error:
        evaluate(module, [np.zeros(6, np.float32)])
    assert error.value.where == "/split"


def test_constants_missing_from_the_store() -> None:
    ctx = context()
    module = module_of(ctx, [], lambda b: [b.constant(np.arange(100, dtype=np.float32))])
    with pytest.raises(LaminaError, match="no constant named"):
        evaluate(module, [])


def test_values_are_dropped_after_their_last_use() -> None:
    """No more than a few of the many intermediate arrays are alive at a time."""
    ctx = context()

    def build(b, x):
        for _ in range(20):
            x = b.negate(x)
        return [x]

    module = module_of(ctx, [([1000], f32)], build)
    alive: list[weakref.ref] = []
    most = 0

    class Counting(Evaluator):
        def op(self, op, environment):
            nonlocal most
            results = super().op(op, environment)
            alive.extend(weakref.ref(array) for array in results)
            most = max(most, sum(reference() is not None for reference in alive))
            return results

    gc.collect()
    Counting(ctx.resources).call(module.body.block.first_op, [np.zeros(1000, np.float32)])
    assert most <= 2
