"""Derivatives of functions: control flow, calls, rules of the user's, composition, names, errors."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import StringAttr

import lamina
from autodiff_testing import X, check, derive, native, parse, run
from lamina.diagnostics import LaminaError
from lamina.passes.autodiff.functions import KINDS, differentiate

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
