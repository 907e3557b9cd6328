"""Derivatives of functions: control flow, calls, rules of the user's, composition, names, errors."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr

import lamina
from lamina.diagnostics import LaminaError
from lamina.parser import parse_text
from lamina.passes.autodiff.functions import KINDS, differentiate
from lamina.targets.reference.evaluate import evaluate
from support.graph_ops import context

X = np.random.default_rng(0).standard_normal(4)


def parse(text: str) -> ModuleOp:
    module = parse_text(context(), text, "model.mlir")
    module.verify()
    return module


def derive(module: ModuleOp, function: str = "f", **options: Any) -> str:
    name = differentiate(module, function, **options)
    module.verify()
    return name


def run(module: ModuleOp, name: str, *inputs: Any) -> tuple[np.ndarray, ...]:
    return evaluate(module, [np.asarray(value) for value in inputs], None, name)


def check(module: ModuleOp, *inputs: Any, function: str = "f", tolerance: float = 1e-6, **options: Any) -> None:
    """JVP against central differences, VJP and second order against the JVP; all float arguments and results."""
    target = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == function)
    reals = [i for i, t in enumerate(target.function_type.inputs.data) if "f64" in str(t)]
    outputs = [i for i, t in enumerate(target.function_type.outputs.data) if "f64" in str(t)]
    generator = np.random.default_rng(1)
    x = [np.asarray(value) for value in inputs]
    t = [generator.standard_normal(x[i].shape) for i in reals]
    y = [run(module, function, *x)[i] for i in outputs]
    c = [generator.standard_normal(value.shape) for value in y]

    def moved(values: list[np.ndarray], step: float) -> list[np.ndarray]:
        result = list(values)
        for index, tangent in zip(reals, t, strict=True):
            result[index] = values[index] + step * tangent
        return result

    step = 1e-6
    jvp = derive(module, function, kind="jvp", **options)
    dots = run(module, jvp, *x, *t)[-len(outputs) :]
    ahead, behind = run(module, function, *moved(x, step)), run(module, function, *moved(x, -step))
    for index, dot in zip(outputs, dots, strict=True):
        np.testing.assert_allclose(dot, (ahead[index] - behind[index]) / (2 * step), rtol=tolerance, atol=tolerance)
    pullback = derive(module, function, kind="pullback", **options)
    bars = run(module, pullback, *x, *c)
    assert inner(bars, t) == pytest.approx(inner(c, dots), rel=1e-9, abs=1e-9)
    again = derive(module, pullback, kind="jvp", wrt=reals, **options)
    second = run(module, again, *x, *c, *t)[len(reals) :]
    ahead, behind = run(module, pullback, *moved(x, step), *c), run(module, pullback, *moved(x, -step), *c)
    for dot, left, right in zip(second, ahead, behind, strict=True):
        np.testing.assert_allclose(dot, (left - right) / (2 * step), rtol=10 * tolerance, atol=10 * tolerance)
    u = [generator.standard_normal(value.shape) for value in t]
    back = derive(module, pullback, kind="pullback", wrt=reals, **options)
    assert inner(run(module, back, *x, *c, *u), t) == pytest.approx(inner(u, second), rel=1e-8, abs=1e-8)


def inner(left: Any, right: Any) -> float:
    return float(sum(np.vdot(a, b) for a, b in zip(left, right, strict=True)))


SUM_OF_CUBES = """
func.func @f(%x: tensor<4xf64>) -> tensor<f64> {
  %a = graph.multiply %x, %x : tensor<4xf64>
  %b = graph.multiply %a, %x : tensor<4xf64>
  %s = graph.reduce add %b, [0] : tensor<4xf64> -> tensor<f64>
  func.return %s : tensor<f64>
}
"""


def test_every_kind():
    module = parse(SUM_OF_CUBES)
    ones, c = np.ones(4), np.array(2.0)
    names = {kind: derive(module, kind=kind) for kind in KINDS}
    assert list(names.values()) == ["f.jvp", "f.vjp", "f.pullback", "f.grad", "f.value_and_grad"]
    gradient = 3 * X**2
    value, tangent = run(module, names["jvp"], X, ones)
    np.testing.assert_allclose([value, tangent], [np.sum(X**3), gradient.sum()])
    np.testing.assert_allclose(run(module, names["vjp"], X, c)[1], 2 * gradient)
    np.testing.assert_allclose(run(module, names["pullback"], X, c)[0], 2 * gradient)
    np.testing.assert_allclose(run(module, names["gradient"], X)[0], gradient)
    value, found = run(module, names["value-and-gradient"], X)
    np.testing.assert_allclose(value, np.sum(X**3))
    np.testing.assert_allclose(found, gradient)


def test_it_composes_to_any_order():
    module = parse(SUM_OF_CUBES)
    gradient = derive(module, kind="gradient")
    product = derive(module, gradient, kind="jvp", wrt=[0])
    t = np.arange(4.0)
    np.testing.assert_allclose(run(module, product, X, t)[1], 6 * X * t)
    third = derive(module, product, kind="jvp", wrt=[0], outputs=[1])
    np.testing.assert_allclose(run(module, third, X, t, np.ones(4))[2], 6 * t)
    fourth = derive(module, third, kind="pullback", wrt=[0], outputs=[2])
    np.testing.assert_allclose(run(module, fourth, X, t, np.ones(4), np.ones(4))[0], 0)


def test_a_derivative_is_made_once_and_can_be_named():
    module = parse(SUM_OF_CUBES)
    first = derive(module, kind="gradient")
    assert derive(module, kind="gradient") == first
    assert derive(module, kind="gradient", name="slope") == "slope"
    with pytest.raises(LaminaError, match="has a function @f already"):
        differentiate(module, "f", kind="vjp", name="f")


def test_names_and_sizes_of_what_is_added():
    module = parse("""
        func.func @f(%x: tensor<?x3xf64> {lamina.name = "x", lamina.dims = ["n", "3"]}, %i: tensor<2xi64>)
            -> (tensor<?xf64> {lamina.name = "y", lamina.dims = ["n"], lamina.alias = 0 : i64}, tensor<2xi64>) {
          %y = graph.reduce add %x, [1] : tensor<?x3xf64> -> tensor<?xf64>
          func.return %y, %i : tensor<?xf64>, tensor<2xi64>
        }""")
    derive(module, kind="vjp")
    line = next(line for line in str(module).splitlines() if "@f.vjp" in line)
    assert '%y_cotangent: tensor<?xf64> {lamina.dims = ["n"], lamina.name = "y.cotangent"}' in line
    assert 'tensor<?x3xf64> {lamina.dims = ["n", "3"], lamina.name = "x.cotangent"}' in line
    assert "alias" not in line
    (_, _, bar) = run(module, "f.vjp", np.ones((5, 3)), [1, 2], np.arange(5.0))
    np.testing.assert_array_equal(bar, np.repeat(np.arange(5.0)[:, None], 3, 1))


def test_zeros_are_never_built_on_the_way():
    module = parse("""
        func.func @f(%x: tensor<4xf64>, %y: tensor<4xf64>) -> (tensor<4xf64>, tensor<4xf64>) {
          %a = graph.sin %x : tensor<4xf64>
          %b = graph.multiply %a, %y : tensor<4xf64>
          %c = graph.floor %b : tensor<4xf64>
          func.return %b, %c : tensor<4xf64>, tensor<4xf64>
        }""")
    name = derive(module, kind="pullback", wrt=[1], outputs=[0])
    text = str(module)[str(module).index(f"@{name}") :]
    assert "constant" not in text and "cos" not in text
    name = derive(module, kind="pullback", wrt=[0], outputs=[1])
    np.testing.assert_array_equal(run(module, name, X, X, X)[0], np.zeros(4))


# ---- conventions at kinks


@pytest.mark.parametrize(
    ("op", "at", "expected"),
    [
        ("graph.abs %x : tensor<4xf64>", [0.0, -0.0, 2, -2], [1, 1, 1, -1]),
        ("graph.relu %x : tensor<4xf64> -> tensor<4xf64>", [0.0, -0.0, 2, -2], [0, 0, 1, 0]),
        ("graph.sqrt %x : tensor<4xf64>", [0.0, 1, 4, 0.25], [np.inf, 0.5, 0.25, 1]),
        ("graph.maximum %x, %zero : tensor<4xf64>, tensor<f64> -> tensor<4xf64>", [0.0, -0.0, 2, -2], [0.5, 0.5, 1, 0]),
        ("graph.minimum %x, %zero : tensor<4xf64>, tensor<f64> -> tensor<4xf64>", [0.0, -0.0, 2, -2], [0.5, 0.5, 0, 1]),
        (
            "graph.clamp %zero, %x, %one : tensor<f64>, tensor<4xf64>, tensor<f64> -> tensor<4xf64>",
            [0.0, 1.0, 0.5, 2],
            [0, 0, 1, 0],
        ),
        ("graph.power %x, %zero : tensor<4xf64>, tensor<f64> -> tensor<4xf64>", [0.0, 1.0, 0.5, -2], [0, 0, 0, 0]),
        ("graph.power %zero, %x : tensor<f64>, tensor<4xf64> -> tensor<4xf64>", [1.0, 0.5, 2, 3], [0, 0, 0, 0]),
        ("graph.floor %x : tensor<4xf64>", [0.0, 1.0, 0.5, -2], [0, 0, 0, 0]),
        ("graph.sign %x : tensor<4xf64>", [0.0, 1.0, 0.5, -2], [0, 0, 0, 0]),
    ],
)
def test_kinks(op: str, at: list[float], expected: list[float]):
    module = parse(f"""
        func.func @f(%x: tensor<4xf64>) -> tensor<4xf64> {{
          %zero = graph.constant dense<0.0> : tensor<f64>
          %one = graph.constant dense<1.0> : tensor<f64>
          %y = {op}
          func.return %y : tensor<4xf64>
        }}""")
    for kind in ("jvp", "pullback"):
        found = run(module, derive(module, kind=kind), np.array(at), np.ones(4))[-1]
        np.testing.assert_array_equal(found, expected)


JAX_KINKS: dict[str, tuple[str, Any, list[float]]] = {
    "abs": ("graph.abs %x : tensor<4xf64>", lambda j, x: j.numpy.abs(x), [0.0, -0.0, 2, -2]),
    "relu": ("graph.relu %x : tensor<4xf64> -> tensor<4xf64>", lambda j, x: j.nn.relu(x), [0.0, -0.0, 2, -2]),
    "sqrt": ("graph.sqrt %x : tensor<4xf64>", lambda j, x: j.numpy.sqrt(x), [0.0, 1, 4, 0.25]),
    "sign": ("graph.sign %x : tensor<4xf64>", lambda j, x: j.numpy.sign(x), [0.0, -0.0, 2, -2]),
    "floor": ("graph.floor %x : tensor<4xf64>", lambda j, x: j.numpy.floor(x), [0.0, 1.0, 0.5, -2]),
    "maximum": (
        "graph.maximum %x, %zero : tensor<4xf64>, tensor<f64> -> tensor<4xf64>",
        lambda j, x: j.numpy.maximum(x, 0.0),
        [0.0, -0.0, 2, -2],
    ),
    "minimum": (
        "graph.minimum %x, %zero : tensor<4xf64>, tensor<f64> -> tensor<4xf64>",
        lambda j, x: j.numpy.minimum(x, 0.0),
        [0.0, -0.0, 2, -2],
    ),
    "clamp": (
        "graph.clamp %zero, %x, %one : tensor<f64>, tensor<4xf64>, tensor<f64> -> tensor<4xf64>",
        lambda j, x: j.lax.clamp(0.0, x, 1.0),
        [0.0, 1.0, 0.5, 2],
    ),
    "reduce maximum": (
        "graph.reduce maximum %x, [0] keep_dimensions : tensor<4xf64> -> tensor<1xf64>",
        lambda j, x: j.numpy.max(x, 0, keepdims=True),
        [3.0, 1, 3, 1],
    ),
    "reduce_window maximum": (
        "graph.reduce_window maximum %x, window = [3], strides = [1], dilations = [1], padding = [0, 0]"
        " : tensor<4xf64> -> tensor<2xf64>",
        lambda j, x: j.lax.reduce_window(x, -np.inf, j.lax.max, (3,), (1,), "VALID"),
        [3.0, 3, 1, 3],
    ),
}


@pytest.mark.parametrize("name", JAX_KINKS)
def test_kinks_are_as_jax_has_them(name: str):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    op, function, at = JAX_KINKS[name]
    result = op.rpartition(" -> ")[2] if " -> " in op else "tensor<4xf64>"
    module = parse(f"""
        func.func @f(%x: tensor<4xf64>) -> {result} {{
          %zero = graph.constant dense<0.0> : tensor<f64>
          %one = graph.constant dense<1.0> : tensor<f64>
          %y = {op}
          func.return %y : {result}
        }}""")
    x = np.array(at)
    value, pull = jax.vjp(lambda x: function(jax, x), x)
    ones = np.ones(value.shape)
    (found,) = run(module, derive(module, kind="pullback"), x, ones)
    np.testing.assert_array_equal(found, np.asarray(pull(ones)[0]))


@pytest.mark.parametrize(("kind", "share"), [("maximum", [0.5, 0, 0.5, 0]), ("minimum", [0, 0.5, 0, 0.5])])
def test_ties_of_a_reduction_share_evenly(kind: str, share: list[float]):
    module = parse(f"""
        func.func @f(%x: tensor<4xf64>) -> tensor<f64> {{
          %y = graph.reduce {kind} %x, [0] : tensor<4xf64> -> tensor<f64>
          func.return %y : tensor<f64>
        }}""")
    np.testing.assert_array_equal(run(module, derive(module, kind="gradient"), [3.0, 1, 3, 1])[0], share)


def test_repeated_indices_accumulate():
    module = parse("""
        func.func @f(%x: tensor<3x2xf64>) -> tensor<4x2xf64> {
          %i = graph.constant dense<[1, 1, 7, -1]> : tensor<4xi64>
          %y = graph.gather %x, %i, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1
               slice_sizes [1, -1] : tensor<3x2xf64>, tensor<4xi64> -> tensor<4x2xf64>
          func.return %y : tensor<4x2xf64>
        }""")
    bar = run(module, derive(module, kind="pullback"), np.ones((3, 2)), np.arange(8.0).reshape(4, 2))[0]
    np.testing.assert_array_equal(bar, [[6, 7], [2, 4], [4, 5]])


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


# ---- calls and the user's rules

CALLS = """
func.func @layer(%x: tensor<4xf64>, %k: tensor<i64>, %w: tensor<4xf64>) -> (tensor<4xf64>, tensor<i64>) {
  %a = graph.multiply %x, %w : tensor<4xf64>
  %b = graph.tanh %a : tensor<4xf64>
  func.return %b, %k : tensor<4xf64>, tensor<i64>
}
func.func @f(%x: tensor<4xf64>, %w: tensor<4xf64>, %k: tensor<i64>) -> tensor<4xf64> {
  %a, %i = func.call @layer(%x, %k, %w) : (tensor<4xf64>, tensor<i64>, tensor<4xf64>) -> (tensor<4xf64>, tensor<i64>)
  %b, %j = func.call @layer(%a, %i, %w) : (tensor<4xf64>, tensor<i64>, tensor<4xf64>) -> (tensor<4xf64>, tensor<i64>)
  func.return %b : tensor<4xf64>
}
"""


def test_calls():
    module = parse(CALLS)
    check(module, X, X[::-1].copy(), 3)
    names = [op.sym_name.data for op in module.ops]  # pyright: ignore[reportAttributeAccessIssue]
    assert names.count("layer.jvp") == 1 and names.count("layer.pullback") == 1


RULED = """
func.func @slope(%x: tensor<4xf64>, %t: tensor<4xf64>) -> tensor<4xf64> {{
  %two = graph.constant dense<2.0> : tensor<f64>
  %a = graph.multiply %x, %two : tensor<4xf64>, tensor<f64> -> tensor<4xf64>
  %b = graph.multiply %a, %t : tensor<4xf64>
  func.return %b : tensor<4xf64>
}}
func.func @both(%x: tensor<4xf64>, %t: tensor<4xf64>) -> (tensor<4xf64>, tensor<4xf64>) {{
  %y = graph.multiply %x, %x : tensor<4xf64>
  %d = func.call @slope(%x, %t) : (tensor<4xf64>, tensor<4xf64>) -> tensor<4xf64>
  func.return %y, %d : tensor<4xf64>, tensor<4xf64>
}}
func.func @square(%x: tensor<4xf64>) -> tensor<4xf64> attributes {{{rules}}} {{
  %y = graph.multiply %x, %x : tensor<4xf64>
  func.return %y : tensor<4xf64>
}}
func.func @f(%x: tensor<4xf64>) -> tensor<4xf64> {{
  %y = graph.sin %x : tensor<4xf64>
  %z = func.call @square(%y) : (tensor<4xf64>) -> tensor<4xf64>
  func.return %z : tensor<4xf64>
}}
"""


@pytest.mark.parametrize(
    "rules", ["lamina.vjp = @slope", "lamina.jvp = @both", "lamina.vjp = @slope, lamina.jvp = @both"]
)
def test_rules_of_the_user(rules: str):
    """One rule serves both directions: it is linear, and its transpose is found by differentiating it."""
    module = parse(RULED.format(rules=rules))
    check(module, X)
    called = str(module)[str(module).index("@f.pullback") :]
    assert "@square.pullback" not in called


def test_a_rule_need_not_be_the_derivative():
    text = RULED.format(rules="lamina.vjp = @slope").replace("dense<2.0>", "dense<5.0>")
    module = parse(text)
    (bar,) = run(module, derive(module, kind="pullback"), X, np.ones(4))
    np.testing.assert_allclose(bar, 5 * np.sin(X) * np.cos(X))


def test_a_rule_of_a_wrong_type():
    module = parse(RULED.format(rules="lamina.vjp = @both"))
    with pytest.raises(
        LaminaError, match=r"@both, lamina.vjp of @square: expected \(tensor<4xf64>, tensor<4xf64>\) -> tensor"
    ):
        differentiate(module, "f", kind="pullback")


def test_stop_gradient():
    module = parse("""
        func.func @f(%x: tensor<4xf64>) -> tensor<f64> {
          %c = graph.stop_gradient %x : tensor<4xf64> -> tensor<4xf64>
          %y = graph.multiply %x, %c : tensor<4xf64>
          %s = graph.reduce add %y, [0] : tensor<4xf64> -> tensor<f64>
          func.return %s : tensor<f64>
        }""")
    np.testing.assert_array_equal(run(module, derive(module, kind="gradient"), X)[0], X)
    np.testing.assert_allclose(run(module, derive(module, kind="jvp"), X, X)[1], np.sum(X * X))


# ---- element types


@pytest.mark.parametrize("element", ["f16", "bf16", "f32"])
def test_narrow_floats_keep_their_type(element: str):
    module = parse(f"""
        func.func @f(%x: tensor<8x4x{element}>, %w: tensor<4x3x{element}>, %b: tensor<3x{element}>) -> tensor<f32> {{
          %y = graph.dot_general %x, %w, contract = [1] x [0] into f32
               : tensor<8x4x{element}>, tensor<4x3x{element}> -> tensor<8x3xf32>
          %c = graph.cast %b : tensor<3x{element}> -> tensor<3xf32>
          %z = graph.add %y, %c : tensor<8x3xf32>, tensor<3xf32> -> tensor<8x3xf32>
          %n = graph.softmax %z, 1 : tensor<8x3xf32> -> tensor<8x3xf32>
          %q = graph.multiply %n, %n : tensor<8x3xf32>
          %s = graph.reduce add %q, [0, 1] : tensor<8x3xf32> -> tensor<f32>
          func.return %s : tensor<f32>
        }}""")
    if element == "f32":
        module = parse(
            str(module).replace(
                "%c = graph.cast %b : tensor<3xf32> -> tensor<3xf32>",
                "%c = graph.cast %b : tensor<3xf32> -> tensor<3xf32>",
            )
        )
    name = derive(module, kind="gradient")
    from lamina.dialects.graph.types import DTYPES

    dtype = {str(key): value for key, value in DTYPES.items()}[element]
    generator = np.random.default_rng(3)
    x, w, b = (generator.standard_normal(shape).astype(dtype) for shape in ((8, 4), (4, 3), (3,)))
    found = run(module, name, x, w, b)
    assert [array.dtype for array in found] == [dtype] * 3

    def loss(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
        z = x @ w + b
        e = np.exp(z - z.max(1, keepdims=True))
        return float(((e / e.sum(1, keepdims=True)) ** 2).sum())

    wide = [array.astype(np.float64) for array in (x, w, b)]
    tolerance = {"f16": 2e-3, "bf16": 2e-2, "f32": 1e-5}[element]
    for index, gradient in enumerate(found):
        expected = np.zeros(wide[index].shape)
        for place in np.ndindex(expected.shape):
            step = np.zeros(expected.shape)
            step[place] = 1e-5
            ahead, behind = ([*wide[:index], wide[index] + sign * step, *wide[index + 1 :]] for sign in (1, -1))
            expected[place] = (loss(*ahead) - loss(*behind)) / 2e-5
        np.testing.assert_allclose(gradient.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


# ---- errors

ERRORS = """
func.func @f(%x: tensor<4xf64>, %i: tensor<4xi64>) -> (tensor<4xf64>, tensor<f64>, tensor<4xi64>) {
  %y = graph.sin %x : tensor<4xf64>
  %s = graph.reduce add %y, [0] : tensor<4xf64> -> tensor<f64>
  func.return %y, %s, %i : tensor<4xf64>, tensor<f64>, tensor<4xi64>
}
"""


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"kind": "vjp", "wrt": [1]}, "argument 1: no derivative of tensor<4xi64>", "cast it to a float"),
        ({"kind": "vjp", "wrt": [2]}, r"indices within \[0, 2\), found 2", ""),
        ({"kind": "vjp", "wrt": [0, 0]}, "expected distinct indices", ""),
        ({"kind": "jvp", "outputs": [2]}, "result 2: no derivative of tensor<4xi64>", ""),
        ({"kind": "gradient"}, "result 0: a gradient is of a scalar, found tensor<4xf64>", "graph.reduce add"),
        ({"kind": "gradient", "outputs": [0, 1]}, "a gradient is of one result, found 2", "kind=vjp"),
        ({"kind": "hessian"}, "unknown kind 'hessian'", "pullback"),
        ({"function": "g"}, "no function @g", "@f"),
    ],
)
def test_bad_requests(options: dict[str, Any], message: str, hint: str):
    module = parse(ERRORS)
    before = str(module)
    with pytest.raises(LaminaError, match=message) as error:
        differentiate(module, **{"function": "f", **options})
    assert hint in str(error.value)
    assert str(module) == before


def test_an_op_without_a_rule():
    module = parse("""
        func.func @f(%x: tensor<3x2xf64>, %i: tensor<1xi64>) -> tensor<3x2xf64> {
          %u = graph.slice %x, [0, 0] to [1, 2] step [1, 1] : tensor<3x2xf64> -> tensor<1x2xf64>
          %y = graph.scatter multiply %x, %i, %u, update_window_dims [1] inserted_window_dims [0]
               scatter_dims_to_operand_dims [0] index_vector_dim 1
               : tensor<3x2xf64>, tensor<1xi64>, tensor<1x2xf64> -> tensor<3x2xf64>
          func.return %y : tensor<3x2xf64>
        }""")
    for kind in ("jvp", "vjp"):
        with pytest.raises(LaminaError, match=r"graph\.scatter multiply has no derivative") as error:
            differentiate(module, "f", kind=kind)
        assert error.value.where == "model.mlir:4:11"


def test_an_op_of_two_results_without_a_rule():
    module = parse("""
        func.func @f(%x: tensor<4xf64>) -> tensor<4xf64> {
          %a, %b = builtin.unrealized_conversion_cast %x : tensor<4xf64> to tensor<4xf64>, tensor<4xf64>
          func.return %b : tensor<4xf64>
        }""")
    for kind in ("jvp", "vjp"):
        with pytest.raises(LaminaError, match=r"unrealized_conversion_cast has no derivative rule"):
            differentiate(module, "f", kind=kind)


def test_library_calls_have_no_rule():
    module = parse("""
        func.func private @outside(tensor<4xf64>) -> tensor<4xf64>
        func.func @f(%x: tensor<4xf64>) -> tensor<4xf64> {
          %y = func.call @outside(%x) : (tensor<4xf64>) -> tensor<4xf64>
          func.return %y : tensor<4xf64>
        }""")
    with pytest.raises(LaminaError, match=r"@outside has no body to differentiate(.|\n)*lamina.vjp"):
        differentiate(module, "f", kind="vjp")


# ---- native code


def native(module: ModuleOp, name: str, *inputs: Any) -> None:
    """The derivative as compiled code equals the reference."""
    values = [np.asarray(value) for value in inputs]
    expected = evaluate(module, values, None, name)
    entry = parse(str(module))
    for op in list(entry.ops):
        assert isinstance(op, func.FuncOp)
        if op.sym_name.data == name:
            op.sym_name = StringAttr("main")
        else:
            op.sym_visibility = StringAttr("private")
    for threads in (1, 2):
        found = lamina.compile(entry.clone(), cache=False, threads=threads)(*values)
        for actual, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-12)


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


def test_native_calls():
    module = parse(CALLS)
    native(module, derive(module, kind="vjp"), X, X[::-1].copy(), 3, X)


@pytest.mark.parametrize("element", ["f16", "bf16"])
def test_sums_of_narrow_cotangents_are_formed_in_f32(element: str):
    """Gradients of weights, biases and embeddings over many rows: rounded once, not after every row."""
    t = element
    module = parse(f"""
        func.func @f(%x: tensor<4096x8x{t}>, %w: tensor<8x4x{t}>, %b: tensor<4x{t}>, %e: tensor<3x4x{t}>, %i: tensor<4096xi64>)
            -> tensor<4096x4x{t}> {{
          %a = graph.dot_general %x, %w, contract = [1] x [0] : tensor<4096x8x{t}>, tensor<8x4x{t}> -> tensor<4096x4x{t}>
          %c = graph.add %a, %b : tensor<4096x4x{t}>, tensor<4x{t}> -> tensor<4096x4x{t}>
          %g = graph.gather %e, %i, offset_dims [1] collapsed_slice_dims [0] start_index_map [0] index_vector_dim 1
            slice_sizes [1, -1] : tensor<3x4x{t}>, tensor<4096xi64> -> tensor<4096x4x{t}>
          %d = graph.add %c, %g : tensor<4096x4x{t}>
          func.return %d : tensor<4096x4x{t}>
        }}""")
    name = derive(module, kind="pullback", wrt=[1, 2, 3])
    dtype = np.float16 if element == "f16" else ml_dtypes.bfloat16
    generator = np.random.default_rng(0)
    x, w, b, e, c = (generator.uniform(0.5, 1, s).astype(dtype) for s in ((4096, 8), (8, 4), 4, (3, 4), (4096, 4)))
    i = generator.integers(0, 3, 4096)
    wide = c.astype(np.float64)
    expected = [x.astype(np.float64).T @ wide, wide.sum(0), np.eye(3)[i].T @ wide]
    found = run(module, name, x, w, b, e, i, c)
    target = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == name)
    for op in [op for op in module.ops if op is not target]:
        op.detach()
    target.sym_name = StringAttr("main")
    native = lamina.compile(module)(x, w, b, e, i, c)
    for exact, *results in zip(expected, found, native, strict=True):
        for result in results:
            assert result.dtype == dtype
            error = np.abs(result.astype(np.float64) / exact - 1).max()
            assert error <= 0.51 * float(ml_dtypes.finfo(dtype).eps)


@pytest.mark.parametrize("element", ["f16", "bf16"])
def test_sums_over_uses_and_steps_are_formed_in_f32(element: str):
    """A value that is used often, and one that every step of a scan uses: rounded once."""
    uses = 40
    used = "".join(
        f"""
          %s{n} = graph.slice %c, [{n}, 0] to [{n + 1}, 3] step [1, 1] : tensor<{uses}x3x{element}> -> tensor<1x3x{element}>
          %y{n} = graph.multiply %w, %s{n} : tensor<3x{element}>, tensor<1x3x{element}> -> tensor<1x3x{element}>"""
        for n in range(uses)
    )
    names = ", ".join(f"%y{n}" for n in range(uses))
    types = ", ".join([f"tensor<1x3x{element}>"] * uses)
    module = parse(f"""
        func.func @often(%w: tensor<3x{element}>, %c: tensor<{uses}x3x{element}>) -> tensor<{uses}x3x{element}> {{{used}
          %r = graph.concatenate {names} dimension 0 : {types} -> tensor<{uses}x3x{element}>
          func.return %r : tensor<{uses}x3x{element}>
        }}
        func.func @steps(%w: tensor<3x{element}>, %c: tensor<{uses}x3x{element}>) -> tensor<{uses}x3x{element}> {{
          %r = graph.scan %i, () over (%x = %c) : (tensor<{uses}x3x{element}>) -> (tensor<{uses}x3x{element}>) {{
            %y = graph.multiply %w, %x : tensor<3x{element}>
            graph.yield %y : tensor<3x{element}>
          }}
          func.return %r : tensor<{uses}x3x{element}>
        }}""")
    dtype = np.float16 if element == "f16" else ml_dtypes.bfloat16
    generator = np.random.default_rng(0)
    w, c, t = (generator.uniform(0.5, 1, shape).astype(dtype) for shape in (3, (uses, 3), (uses, 3)))
    exact = (c * t).astype(np.float64).sum(0)
    for function in ("often", "steps"):
        (bar,) = run(module, derive(module, function, kind="pullback", wrt=[0]), w, c, t)
        assert bar.dtype == dtype
        assert np.abs(bar.astype(np.float64) / exact - 1).max() <= 0.51 * float(ml_dtypes.finfo(dtype).eps)
