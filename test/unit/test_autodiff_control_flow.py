"""Derivatives of branches and loops, by the reference and by native code."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from autodiff_testing import X, check, derive, native, parse, run
from lamina.diagnostics import LaminaError
from lamina.passes.autodiff.functions import differentiate

# ---- control flow

BRANCH = """
func.func @f(%x: tensor<4xf64>, %w: tensor<4xf64>, %p: tensor<i1>) -> (tensor<4xf64>, tensor<4xf64>, tensor<i64>) {
  %s = graph.sin %x : tensor<4xf64>
  %y, %z, %i = graph.if %p -> (tensor<4xf64>, tensor<4xf64>, tensor<i64>) {
    %a = graph.multiply %s, %w : tensor<4xf64>
    %b = graph.exp %a : tensor<4xf64>
    %k = graph.constant dense<1> : tensor<i64>
    graph.yield %b, %x, %k : tensor<4xf64>, tensor<4xf64>, tensor<i64>
  } else {
    %a = graph.cos %s : tensor<4xf64>
    %k = graph.constant dense<2> : tensor<i64>
    %c = graph.constant dense<2.0> : tensor<4xf64>
    graph.yield %a, %c, %k : tensor<4xf64>, tensor<4xf64>, tensor<i64>
  }
  func.return %y, %z, %i : tensor<4xf64>, tensor<4xf64>, tensor<i64>
}
"""


@pytest.mark.parametrize("taken", [True, False])
def test_if(taken: bool):
    check(parse(BRANCH), X, X[::-1].copy(), taken)


NESTED = """
func.func @f(%x: tensor<4xf64>, %p: tensor<i1>, %q: tensor<i1>) -> tensor<4xf64> {
  %y = graph.if %p -> (tensor<4xf64>) {
    %a = graph.sin %x : tensor<4xf64>
    %b = graph.if %q -> (tensor<4xf64>) {
      %c = graph.multiply %a, %x : tensor<4xf64>
      graph.yield %c : tensor<4xf64>
    } else {
      graph.yield %a : tensor<4xf64>
    }
    %d = graph.exp %b : tensor<4xf64>
    graph.yield %d : tensor<4xf64>
  } else {
    graph.yield %x : tensor<4xf64>
  }
  func.return %y : tensor<4xf64>
}
"""


@pytest.mark.parametrize("taken", [(True, True), (True, False), (False, True)])
def test_nested_if(taken: tuple[bool, bool]):
    check(parse(NESTED), X, *taken)


LOOP = """
func.func @f(%x: tensor<4xf64>, %w: tensor<4xf64>, %n: tensor<i64>) -> tensor<4xf64> {
  %one = graph.constant dense<1> : tensor<i64>
  %zero = graph.constant dense<0> : tensor<i64>
  %start = graph.constant dense<0.5> : tensor<4xf64>
  %i, %y, %z = graph.while (%i = %zero, %y = %x, %z = %start)
      : (tensor<i64>, tensor<4xf64>, tensor<4xf64>) -> (tensor<i64>, tensor<4xf64>, tensor<4xf64>) {
    %more = graph.compare LT, %i, %n : tensor<i64>, tensor<i64> -> tensor<i1>
    graph.yield %more : tensor<i1>
  } do {
    %j = graph.add %i, %one : tensor<i64>
    %a = graph.multiply %y, %w : tensor<4xf64>
    %b = graph.sin %a : tensor<4xf64>
    %c = graph.multiply %z, %y : tensor<4xf64>
    graph.yield %j, %b, %c : tensor<i64>, tensor<4xf64>, tensor<4xf64>
  }
  %r = graph.add %y, %z : tensor<4xf64>
  func.return %r : tensor<4xf64>
}
"""


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_while(count: int):
    check(parse(LOOP), X, X[::-1].copy(), count, max_iterations=5)


def test_more_iterations_than_the_bound_give_no_number():
    module = parse(LOOP)
    name = derive(module, kind="pullback", max_iterations=3)
    assert np.isfinite(run(module, name, X, X, 3, X)[0]).all()
    assert np.isnan(run(module, name, X, X, 4, X)[0]).all()


def test_a_loop_says_its_bound():
    module = parse(LOOP.replace("  %r =", "  %r =").replace("tensor<i64>, tensor<4xf64>, tensor<4xf64>\n  }\n",
        "tensor<i64>, tensor<4xf64>, tensor<4xf64>\n  } attributes {lamina.max_iterations = 4 : i64}\n"))  # fmt: skip
    check(module, X, X[::-1].copy(), 4)


def test_a_loop_without_a_bound_runs_forward_only():
    module = parse(LOOP)
    before = str(module)
    with pytest.raises(
        LaminaError, match=r"graph.while cannot be differentiated backward(.|\n)*max-iterations"
    ) as error:
        differentiate(module, "f", kind="pullback")
    assert error.value.where is not None and error.value.where.startswith("model.mlir:6")
    assert str(module) == before
    derive(module, kind="jvp")


def scan(text: str, arguments: str, results: str, returned: str) -> str:
    return f"func.func @f({arguments}) -> ({results}) {{\n{text}\n  func.return {returned} : {results}\n}}"


SCANS = {
    "recurrence": (
        scan(
            """
  %h, %ys = graph.scan %i, (%c = %h0) over (%x = %xs) REVERSE : (tensor<3xf64>, tensor<SIZEx2xf64>) -> (tensor<3xf64>, tensor<SIZEx3xf64>) {
    %a = graph.dot_general %x, %w, contract = [0] x [0] : tensor<2xf64>, tensor<2x3xf64> -> tensor<3xf64>
    %b = graph.add %a, %c : tensor<3xf64>
    %d = graph.tanh %b : tensor<3xf64>
    %e = graph.multiply %d, %c : tensor<3xf64>
    graph.yield %d, %e : tensor<3xf64>, tensor<3xf64>
  }
""",
            "%h0: tensor<3xf64>, %xs: tensor<SIZEx2xf64>, %w: tensor<2x3xf64>",
            "tensor<3xf64>, tensor<SIZEx3xf64>",
            "%h, %ys",
        ),
        [np.linspace(-1, 1, 3), np.random.default_rng(2).standard_normal((5, 2)), np.linspace(-1, 2, 6).reshape(2, 3)],
    ),
    "counted": (
        scan(
            """
  %n = graph.constant dense<4> : tensor<i64>
  %y = graph.scan %i, (%c = %x) over () length %n REVERSE : (tensor<4xf64>, tensor<i64>) -> (tensor<4xf64>) {
    %s = graph.cast %i : tensor<i64> -> tensor<f64>
    %a = graph.multiply %c, %s : tensor<4xf64>, tensor<f64> -> tensor<4xf64>
    %b = graph.sin %a : tensor<4xf64>
    %d = graph.add %b, %x : tensor<4xf64>
    graph.yield %d : tensor<4xf64>
  }
""",
            "%x: tensor<4xf64>",
            "tensor<4xf64>",
            "%y",
        ),
        [X],
    ),
    "map": (
        scan(
            """
  %ys = graph.scan %i, () over (%x = %xs) REVERSE : (tensor<SIZEx2xf64>) -> (tensor<SIZEx2xf64>) {
    %a = graph.multiply %x, %w : tensor<2xf64>
    %b = graph.exp %a : tensor<2xf64>
    graph.yield %b : tensor<2xf64>
  }
""",
            "%xs: tensor<SIZEx2xf64>, %w: tensor<2xf64>",
            "tensor<SIZEx2xf64>",
            "%ys",
        ),
        [np.random.default_rng(2).standard_normal((5, 2)), np.array([0.3, -0.7])],
    ),
}


@pytest.mark.parametrize("reverse", ["", "reverse"])
@pytest.mark.parametrize("size", ["5", "?"])
@pytest.mark.parametrize("name", SCANS)
def test_scan(name: str, size: str, reverse: str):
    text, inputs = SCANS[name]
    check(parse(text.replace("SIZE", size).replace("REVERSE", reverse)), *inputs)


def test_scan_of_no_steps():
    text, inputs = SCANS["recurrence"]
    inputs = [inputs[0], np.zeros((0, 2)), inputs[2]]
    check(parse(text.replace("SIZE", "?").replace("REVERSE", "")), *inputs)


def body_of(module: ModuleOp, name: str) -> str:
    """The text of one function."""
    text = str(module)
    return text[text.index(f"@{name}(") :].split("\n  func.func ")[0]


def test_a_scan_keeps_what_the_way_back_reads():
    """Nothing is computed twice but what is cheap, and of the carried values only those that are read are kept."""
    text = SCANS["recurrence"][0].replace("SIZE", "?").replace("REVERSE", "")
    module = parse(text)
    function = body_of(module, derive(module, kind="vjp"))
    assert function.count("graph.tanh") == 1
    assert function.count("graph.dot_general") == 3  # the step's, and one for each cotangent


def test_a_branch_keeps_what_the_way_back_reads():
    module = parse(BRANCH)
    function = body_of(module, derive(module, kind="vjp"))
    assert function.count("graph.exp") == 1 and function.count("graph.cos") == 2  # one is the derivative of sin


NESTED_LOOPS = """
func.func @f(%x: tensor<4xf64>, %w: tensor<4xf64>, %p: tensor<i1>) -> tensor<4xf64> {
  %n = graph.constant dense<3> : tensor<i64>
  %zero = graph.constant dense<0> : tensor<i64>
  %one = graph.constant dense<1> : tensor<i64>
  %y, %ys = graph.scan %i, (%c = %x) over () length %n : (tensor<4xf64>, tensor<i64>) -> (tensor<4xf64>, tensor<?x4xf64>) {
    %k, %d = graph.while (%k = %zero, %d = %c) : (tensor<i64>, tensor<4xf64>) -> (tensor<i64>, tensor<4xf64>) {
      %more = graph.compare LE, %k, %i : tensor<i64>, tensor<i64> -> tensor<i1>
      graph.yield %more : tensor<i1>
    } do {
      %j = graph.add %k, %one : tensor<i64>
      %a = graph.multiply %d, %w : tensor<4xf64>
      %b = graph.sin %a : tensor<4xf64>
      graph.yield %j, %b : tensor<i64>, tensor<4xf64>
    }
    %e = graph.if %p -> (tensor<4xf64>) {
      %m = graph.scan %l, (%g = %d) over () length %n : (tensor<4xf64>, tensor<i64>) -> (tensor<4xf64>) {
        %h = graph.multiply %g, %c : tensor<4xf64>
        %o = graph.tanh %h : tensor<4xf64>
        graph.yield %o : tensor<4xf64>
      }
      graph.yield %m : tensor<4xf64>
    } else {
      %m = graph.exp %d : tensor<4xf64>
      graph.yield %m : tensor<4xf64>
    }
    graph.yield %e, %d : tensor<4xf64>, tensor<4xf64>
  }
  %s = graph.reduce add %ys, [0] : tensor<?x4xf64> -> tensor<4xf64>
  %r = graph.add %y, %s : tensor<4xf64>
  func.return %r : tensor<4xf64>
}
"""


@pytest.mark.parametrize("taken", [True, False])
def test_nested_loops(taken: bool):
    """A loop with a bound, and a scan in a branch, inside of a scan; to second order, and as native code."""
    module = parse(NESTED_LOOPS)
    inputs = [X, 0.5 * X[::-1].copy(), taken]
    check(module, *inputs, max_iterations=3, tolerance=1e-5)
    native(module, derive(module, kind="vjp", max_iterations=3), *inputs, X)


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
@pytest.mark.parametrize("taken", [True, False])
def test_native_if(taken: bool, kind: str):
    module = parse(BRANCH)
    cotangents = [X, X] if kind == "vjp" else [X, X + 1]
    native(module, derive(module, kind=kind), X, X[::-1].copy(), taken, *cotangents)


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_native_while(kind: str):
    module = parse(LOOP)
    derivatives = [X] if kind == "vjp" else [X, X + 1]
    native(module, derive(module, kind=kind, max_iterations=4), X, X[::-1].copy(), 3, *derivatives)


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
@pytest.mark.parametrize("size", ["5", "?"])
@pytest.mark.parametrize("name", SCANS)
def test_native_scan(name: str, size: str, kind: str):
    text, inputs = SCANS[name]
    module = parse(text.replace("SIZE", size).replace("REVERSE", ""))
    outputs = run(module, "f", *inputs)
    derivatives = [np.asarray(value) + 0.5 for value in (outputs if kind == "vjp" else inputs)]
    native(module, derive(module, kind=kind), *inputs, *derivatives)
