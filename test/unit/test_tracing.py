"""Tracing of Python functions: names, trees, sizes, locations, donation, and what is refused."""

from __future__ import annotations

import inspect
import linecache
from typing import NamedTuple

import numpy as np
import pytest
from xdsl.dialects.builtin import FileLineColLoc
from xdsl.dialects.func import FuncOp

import lamina
from lamina import LaminaError, ops, spec, trace
from lamina.dialects.graph.base import GraphOp
from lamina.frontends.python import Traced, TracedModule
from lamina.targets.reference.evaluate import evaluate
from python_testing import rand
from support.graph_ops import outcome


class State(NamedTuple):
    cache: object
    step: object


def main_of(traced: TracedModule) -> FuncOp:
    (function,) = traced.module.ops
    return function


def attributes(traced: TracedModule):
    main = main_of(traced)
    names = [a.data["lamina.name"].data for a in main.arg_attrs]
    results = [(r.data["lamina.name"].data, r.data.get("lamina.alias")) for r in main.res_attrs]
    return names, [(n, None if a is None else a.value.data) for n, a in results]


def test_trees_and_names():
    def step(state, params, x, *rest):
        return State(state.cache + x, state.step + 1), {"b": params["w"][1], "a": [x, rest[0]]}

    f = spec((2,))
    traced = trace(step, State(f, spec((), "i64")), {"w": [f, f], "a": f}, spec(2, name="tokens"), f, f)
    names, results = attributes(traced)
    assert names == ["state.0", "state.1", "params.a", "params.w.0", "params.w.1", "tokens", "rest0", "rest1"]
    assert [name for name, _ in results] == ["output0.0", "output0.1", "output1.a.0", "output1.a.1", "output1.b"]
    assert attributes(trace(lambda x: x + 1, f))[1] == [("output", None)]
    assert attributes(trace(lambda x: {"y": x + 1}, f))[1] == [("y", None)]
    assert main_of(trace(lambda x: x, f, name="step")).sym_name.data == "step"


def test_symbolic_sizes():
    def function(x, y):
        b, s, d = x.shape
        heads = x.reshape(b, s, 4, d // 4).transpose(0, 2, 1, 3)
        scores = heads @ heads.transpose(0, 1, 3, 2)
        return ops.softmax(scores), ops.concatenate([x, y], axis=1), x.reshape(b * s, d)[1:]

    traced = trace(function, spec(("batch", "seq", 8)), spec(("batch", "2*seq", 8)))
    main = main_of(traced)
    dims = [[d.data for d in r.data["lamina.dims"]] for r in main.res_attrs]
    assert dims[:2] == [["batch", "4", "seq", "seq"], ["batch", "3*seq", "8"]]
    assert [d.data for d in main.arg_attrs.data[1].data["lamina.dims"]] == ["batch", "2*seq", "8"]
    x, y = rand(2, 5, 8), rand(2, 10, 8)
    results = evaluate(traced.module, [x, y], traced.resources)
    assert [r.shape for r in results] == [(2, 4, 5, 5), (2, 15, 8), (9, 8)]


def test_constants_go_to_the_resource_store():
    weights = rand(100, 3)
    traced = trace(lambda x: x @ weights + weights[0], spec((2, 100)))
    assert len(traced.resources) == 1 and traced.context.resources is traced.resources
    x = rand(2, 100)
    (result,) = evaluate(traced.module, [x], traced.resources)
    np.testing.assert_allclose(result, x @ weights + weights[0], rtol=1e-5)


def test_locations_are_the_users():
    def function(x):
        y = x + 1
        return ops.cond(
            y.sum() > 0,
            lambda: ops.exp(y),
            lambda: y,
        )

    traced = trace(function, spec((2,)))
    first = inspect.getsourcelines(function)[1]
    lines = {}
    for op in traced.module.walk():
        if isinstance(op, GraphOp):
            assert isinstance(op.location, FileLineColLoc)
            assert op.location.filename.data == __file__
            lines.setdefault(op.name, set()).add(op.location.line.data - first)
            text = linecache.getline(__file__, op.location.line.data)
            assert op.location.column.data >= 1 and text[op.location.column.data - 1] != " "
    assert lines["graph.add"] == {1} and lines["graph.exp"] == {4} and lines["graph.reduce"] == {3}


def test_donation():
    def step(cache, x):
        return cache.sum(), ops.dynamic_update_slice(cache, x, np.array([0, 1])), cache * 0

    specs = (spec((4, 4), name="cache"), spec((2, 2)))
    assert attributes(trace(step, *specs, donate={"cache": 1}))[1] == [
        ("output0", None),
        ("output1", 0),
        ("output2", None),
    ]
    assert attributes(trace(step, *specs, donate={0: 2}))[1][2] == ("output2", 0)
    assert attributes(trace(step, *specs, donate=("cache",)))[1][1] == ("output1", 0)
    assert attributes(trace(step, *specs, donate=[0]))[1][1] == ("output1", 0)
    tree = {"a": spec(3), "b": spec(3)}
    swapped = trace(lambda state: (state["b"], state["a"]), tree, donate=("state",))
    assert attributes(swapped)[1] == [("output0", 0), ("output1", 1)]

    def error(donate):
        return outcome(trace, step, *specs, donate=donate)

    assert (
        "donate: expected result 0 to have the type of 'cache', tensor<4x4xf32> of sizes [4, 4], found tensor<f32>"
        in error({"cache": 0})
    )
    assert "donate: no result 7 for 'cache'" in error({"cache": 7})
    assert "donate: no argument is named 'kv'" in error({"kv": 0}) and "→ the arguments: cache, x" in error({"kv": 0})
    assert "donate: expected an argument within [0, 2), found 2" in error([2])
    assert "donate: no result of the type of 'x'" in error(["x"])
    assert "is given twice" in error({"cache": 1, 0: 2})
    symbolic = outcome(trace, lambda a, b: (b, a), spec("n"), spec("m"), donate={"a": 0})
    assert "of sizes [n], found tensor<?xf32> of sizes [m]" in symbolic


def here() -> int:
    return inspect.currentframe().f_back.f_lineno


def raised(function, *specs):
    with pytest.raises(LaminaError) as caught:
        trace(function, *(specs or (spec((2, 3)),)))
    return caught.value


def test_errors_name_the_users_line():
    line = here() + 1
    error = raised(lambda x: x + np.zeros((4, 4), np.float32))
    assert error.where.startswith(f"{__file__}:{line}:")
    assert "graph.add: expected shapes that broadcast together, found [2, 3], [4, 4]" in error.message


def branch(x):
    return x + 1 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        (branch, "bool() of a traced value", "ops.where"),
        (lambda x: x * float(x[0, 0]), "float() of a traced value", "astype"),
        (lambda x: x * int(x[0, 0]), "int() of a traced value", "astype"),
        (lambda x: [1, 2, 3][x[0, 0]], "an index of a traced value", "ops.take"),
        (lambda x: np.asarray(x), "a NumPy array of a traced value", "lamina.ops"),
        (lambda x: x + x.astype("i32"), "expected one dtype, found float32 and int32", "astype"),
        (lambda x: x + np.zeros(3), "expected one dtype, found float32 and float64", "astype"),
        (lambda x: x + "a", "expected a tensor, an array or a number, found 'a'", ""),
        (lambda x: x.astype("i32") + 0.5, "expected a value that int32 holds, found 0.5", ""),
        (lambda x: x.astype("i8") + 300, "expected a value that int8 holds, found 300", ""),
        (lambda x: x.astype("i32") / 2, "divide: expected floats, found int32", "//"),
        (lambda x: x.astype("complex64"), "no element type for the NumPy dtype complex64", "supported"),
        (lambda x: x.astype("f99"), "unknown dtype 'f99'", "float32"),
        (lambda x: x[5], "index 5 is out of bounds for axis 0 with size 2", ""),
        (lambda x: x[0, 0, 0], "expected at most 2 indices", ""),
        (lambda x: x[..., ...], "one Ellipsis", ""),
        (lambda x: x["a"], "as indices, found 'a'", ""),
        (lambda x: x[True], "as indices, found True", ""),
        (lambda x: x[::0], "slice step cannot be zero", ""),
        (lambda x: x[x > 0], "expected integers in a tensor of indices, found bool", "ops.where"),
        (lambda x: x.reshape(4), "graph.reshape", ""),
        (lambda x: x.reshape(x.sum()), "a size of a traced value", "shape"),
        (lambda x: x.reshape("a"), "expected a size, found 'a'", ""),
        (lambda x: ops.full(lamina.spec("k").shape, 1), "no tensor has the size 'k'", "spec"),
        (lambda x: x.sum(2), "axis: expected a number within [-2, 2), found 2", ""),
        (lambda x: ops.expand_dims(x, 4), "axis: expected a number within [-3, 2], found 4", ""),
        (lambda x: ops.squeeze(x, 0), "squeeze: expected size 1 of axis 0, found 2", ""),
        (lambda x: ops.broadcast_to(x, (3, 2)), "cannot broadcast the shape [2, 3] to [3, 2]", ""),
        (lambda x: ops.concatenate([]), "concatenate: expected at least one operand", ""),
        (lambda x: ops.split(x, 2, 1), "split: expected a number of parts that divides 3, found 2", ""),
        (lambda x: x @ x, "graph.dot_general: contracted axes", ""),
        (lambda x: x @ 2, "matmul: expected at least one axis, found a scalar", ""),
        (lambda x: ops.conv(x, x[0]), "conv: expected operands of equal rank", ""),
        (lambda x: ops.max_pool(x.sum(), 2), "pooling: expected a batch axis", ""),
        (
            lambda x: ops.max_pool(x[None, None], 2, padding="full"),
            'expected numbers, "same" or "valid", found "full"',
            "",
        ),
        (lambda x: ops.max_pool(x[None, None], (2, 2, 2)), "expected one number or 2, one per spatial axis", ""),
        (lambda x: ops.cond(x, lambda: x, lambda: x), "cond: expected a boolean scalar, found tensor<2x3xf32>", ""),
        (lambda x: ops.cond(x.sum() > 0, lambda: x, lambda: (x, x)), "expected the structure *, found (*, *)", ""),
        (lambda x: ops.cond(x.sum() > 0, lambda: x, lambda: x[0]), "found (2x3xf32) and (3xf32)", ""),
        (
            lambda x: ops.while_loop(lambda i: i, lambda i: i, 0),
            "the condition: expected a boolean scalar, found tensor<i64>",
            "",
        ),
        (lambda x: ops.while_loop(lambda i: i < 3, lambda i: (i, i), 0), "the body: expected the structure", ""),
        (
            lambda x: ops.while_loop(lambda i: i.sum() < 3, lambda i: ops.concatenate([i, i]), x),
            "loop value 0: expected f32 of sizes [2, 3] from the body, found f32 of sizes [4, 3]",
            "",
        ),
        (lambda x: None, "the function gives no result", "return"),
        (lambda x: (), "the function gives no result", ""),
        (lambda x: "text", "expected a tensor, an array or a number, found 'text'", ""),
    ],
)
def test_errors(function, message, hint):
    error = raised(function)
    assert message in error.message
    assert any(hint in each for each in error.hints) or not hint
    assert __file__ in error.where


def test_values_out_of_scope():
    leaked = []

    def function(x):
        ops.cond(x.sum() > 0, lambda: leaked.append(x + 1) or x, lambda: x)
        return leaked[0]

    assert "used outside of the function that computed it" in raised(function).message
    kept = []
    trace(lambda x: kept.append(x) or x, spec((2,)))
    assert "used outside of the function" in raised(lambda x: x + kept[0]).message
    assert "work inside of a traced function" in outcome(ops.exp, np.ones(3))
    assert "work inside of a traced function" in outcome(lambda: kept[0] + 1)
    assert isinstance(kept[0], Traced) and repr(kept[0]) == "Traced(tensor<2xf32>)"


def test_specs():
    assert "expected sizes of at least 0, found -1" in outcome(spec, (-1,))
    assert "'2**n' is not a size" in outcome(spec, ("2**n",))
    assert "expected lamina.spec" in outcome(trace, lambda x: x, [1.0])
    assert "two arguments are named 'x'" in outcome(trace, lambda x, y: x, spec(2), spec(2, name="x"))
