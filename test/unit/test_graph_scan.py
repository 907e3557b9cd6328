"""`scan`: syntax, evaluation, canonicalizations that keep the results, and machine code, against loops in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.transforms.canonicalize import CanonicalizePass
from xdsl.transforms.dead_code_elimination import dce

import lamina
from lamina.dialects.graph.scan import ScanOp
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import parse

RNG = np.random.default_rng(7)

CELL = """
func.func @main(%x: tensor<?x?x4xf32> {lamina.name = "x", lamina.dims = ["n", "b", "4"]},
                %w: tensor<4x4xf32> {lamina.name = "w"},
                %h0: tensor<?x4xf32> {lamina.name = "h0", lamina.dims = ["b", "4"]})
    -> (tensor<?x4xf32> {lamina.name = "h"}, tensor<?x?x4xf32> {lamina.name = "ys"},
        tensor<?x?x4xf32> {lamina.name = "hs"}) {
  %h, %ys, %hs = graph.scan %i, (%h_t = %h0) over (%x_t = %x) DIRECTION
    : (tensor<?x4xf32>, tensor<?x?x4xf32>) -> (tensor<?x4xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>) {
    %d = graph.dot_general %h_t, %w, contract = [1] x [0] : tensor<?x4xf32>, tensor<4x4xf32> -> tensor<?x4xf32>
    %s = graph.add %d, %x_t : tensor<?x4xf32>
    %t = graph.tanh %s : tensor<?x4xf32>
    %j = graph.cast %i : tensor<i64> -> tensor<f32>
    %y = graph.add %t, %j : tensor<?x4xf32>, tensor<f32> -> tensor<?x4xf32>
    graph.yield %t, %y, %t : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
  }
  func.return %h, %ys, %hs : tensor<?x4xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>
}
"""


def cell(x, w, h, *, reverse: bool):
    ys, hs = np.empty_like(x), np.empty_like(x)
    for position in range(len(x))[:: -1 if reverse else 1]:
        h = np.tanh(h @ w + x[position])
        ys[position], hs[position] = h + np.float32(position), h
    return h, ys, hs


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("direction", ["", "reverse"])
def test_recurrence(direction: str, threads: int):
    executable = lamina.compile(parse(CELL.replace("DIRECTION", direction)), threads=threads)
    for steps, batch in ((5, 3), (1, 1), (0, 2), (17, 8), (3, 0)):
        x = RNG.standard_normal((steps, batch, 4)).astype(np.float32)
        w = RNG.standard_normal((4, 4)).astype(np.float32)
        h = RNG.standard_normal((batch, 4)).astype(np.float32)
        expected = cell(x, w, h, reverse=bool(direction))
        before = h.copy()
        for result, wanted in zip(executable(x, w, h), expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=2e-6)
        np.testing.assert_array_equal(h, before)  # the carried value has a buffer of its own
        module = parse(CELL.replace("DIRECTION", direction))
        for result, wanted in zip(evaluate(module, (x, w, h)), expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=2e-5, atol=2e-6)


FIBONACCI = """
func.func @main(%n: tensor<i64> {lamina.name = "n"}, %a: tensor<2xi64> {lamina.name = "a"},
                %b: tensor<2xi64> {lamina.name = "b"})
    -> (tensor<2xi64> {lamina.name = "x"}, tensor<2xi64> {lamina.name = "y"}) {
  %x, %y = graph.scan %i, (%u = %a, %v = %b) over () length %n
    : (tensor<2xi64>, tensor<2xi64>, tensor<i64>) -> (tensor<2xi64>, tensor<2xi64>) {
    %s = graph.add %u, %v : tensor<2xi64>
    graph.yield %v, %s : tensor<2xi64>, tensor<2xi64>
  }
  func.return %x, %y : tensor<2xi64>, tensor<2xi64>
}
"""


def test_values_that_change_places():
    executable = lamina.compile(parse(FIBONACCI), cache=False)
    for count in (0, 1, 2, 11, -3):
        u, v = np.asarray([0, 5], np.int64), np.asarray([1, -2], np.int64)
        inputs = (np.asarray(count, np.int64), u, v)
        for _ in range(count):
            u, v = v, u + v
        for results in (executable(*inputs), evaluate(parse(FIBONACCI), inputs)):
            np.testing.assert_array_equal(results[0], u)
            np.testing.assert_array_equal(results[1], v)


SUMS = """
func.func @main(%x: tensor<?xf32> {lamina.name = "x", lamina.dims = ["n"]},
                %k: tensor<?xui8> {lamina.name = "k", lamina.dims = ["m"]})
    -> (tensor<f32> {lamina.name = "total"}, tensor<?xf32> {lamina.name = "running"},
        tensor<?xui8> {lamina.name = "copy"}, tensor<?x2xf32> {lamina.name = "constant"}) {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %pair = graph.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %total, %running, %copy, %constant = graph.scan %i, (%s = %zero) over (%e = %x, %c = %k)
    : (tensor<f32>, tensor<?xf32>, tensor<?xui8>)
      -> (tensor<f32>, tensor<?xf32>, tensor<?xui8>, tensor<?x2xf32>) {
    %t = graph.add %s, %e : tensor<f32>
    graph.yield %t, %t, %c, %pair : tensor<f32>, tensor<f32>, tensor<ui8>, tensor<2xf32>
  }
  func.return %total, %running, %copy, %constant
    : tensor<f32>, tensor<?xf32>, tensor<?xui8>, tensor<?x2xf32>
}
"""


def test_scalars_slices_and_constants_are_stacked():
    executable = lamina.compile(parse(SUMS), cache=False)
    for steps in (0, 1, 9):
        x = RNG.standard_normal(steps).astype(np.float32)
        k = RNG.integers(0, 255, steps, np.uint8)
        total, running, copy, constant = executable(x, k)
        np.testing.assert_allclose(running, np.cumsum(x), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(total, x.sum(), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(copy, k)
        np.testing.assert_array_equal(constant, np.tile(np.float32([1, 2]), (steps, 1)))


def test_lengths_that_differ_are_refused_at_run_time():
    executable = lamina.compile(parse(SUMS), cache=False)
    with pytest.raises(lamina.LaminaError, match="equal sizes"):
        executable(np.zeros(3, np.float32), np.zeros(4, np.uint8))


NESTED = """
func.func @main(%x: tensor<3x?x2xf32> {lamina.name = "x", lamina.dims = ["3", "n", "2"]})
    -> (tensor<3x?x2xf32> {lamina.name = "y"}) {
  %zero = graph.constant dense<0.0> : tensor<2xf32>
  %y = graph.scan %i, () over (%row = %x) : (tensor<3x?x2xf32>) -> (tensor<3x?x2xf32>) {
    %last, %sums = graph.scan %j, (%s = %zero) over (%e = %row) reverse
      : (tensor<2xf32>, tensor<?x2xf32>) -> (tensor<2xf32>, tensor<?x2xf32>) {
      %t = graph.add %s, %e : tensor<2xf32>
      graph.yield %t, %t : tensor<2xf32>, tensor<2xf32>
    }
    graph.yield %sums : tensor<?x2xf32>
  }
  func.return %y : tensor<3x?x2xf32>
}
"""


def test_nested_loops():
    executable = lamina.compile(parse(NESTED), cache=False)
    for steps in (0, 1, 4):
        x = RNG.standard_normal((3, steps, 2)).astype(np.float32)
        expected = np.cumsum(x[:, ::-1], axis=1)[:, ::-1]
        np.testing.assert_allclose(executable(x)[0], expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(evaluate(parse(NESTED), (x,))[0], expected, rtol=1e-6, atol=1e-6)


UNUSED = """
func.func @main(%x: tensor<?x2xf32> {lamina.dims = ["n", "2"]}, %y: tensor<?x2xf32> {lamina.dims = ["n", "2"]},
                %a: tensor<2xf32>, %w: tensor<2xf32>) -> tensor<2xf32> {
  %r0, %r1, %r2, %s0, %s1 = graph.scan %i, (%c0 = %a, %c1 = %a, %c2 = %w) over (%e = %x, %f = %y)
    : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<?x2xf32>, tensor<?x2xf32>)
      -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<?x2xf32>, tensor<?x2xf32>) {
    %k = graph.exp %c2 : tensor<2xf32>
    %p = graph.add %c0, %k : tensor<2xf32>
    %q = graph.add %c1, %f : tensor<2xf32>
    graph.yield %p, %q, %c2, %q, %e : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
  }
  func.return %r0 : tensor<2xf32>
}
"""


def test_what_no_result_needs_is_dropped_and_invariant_work_hoisted():
    module = parse(UNUSED)
    CanonicalizePass().apply(None, module)
    dce(module)
    module.verify()
    (scan,) = (op for op in module.walk() if isinstance(op, ScanOp))
    assert (len(scan.inits), len(scan.scanned), len(scan.outputs)) == (1, 0, 1)
    assert scan.length is not None
    assert [op.name for op in scan.body_region.block.ops] == ["graph.add", "graph.yield"]
    for steps in (0, 3):
        inputs = [RNG.standard_normal(shape).astype(np.float32) for shape in ((steps, 2), (steps, 2), (2,), (2,))]
        (expected,), (result,) = evaluate(parse(UNUSED), inputs), evaluate(module, inputs)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_allclose(expected, inputs[2] + steps * np.exp(inputs[3]), rtol=1e-6)
