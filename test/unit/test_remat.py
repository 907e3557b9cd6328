"""Recomputation in backward passes: the same gradients from less memory, whatever the policy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr

import lamina
from lamina import api, ops, pipelines
from lamina.diagnostics import LaminaError
from lamina.parser import parse_text
from lamina.passes.autodiff.functions import differentiate
from lamina.passes.autodiff.remat import RematPass
from lamina.report import report
from lamina.targets.reference.evaluate import evaluate

LAYERS, WIDTH, HIDDEN, ROWS = 6, 16, 64, 32
POLICIES = ("nothing", "dots", "everything")


def text(rows: str) -> str:
    """A residual MLP of LAYERS layers; `rows` is the batch's size or `?`."""
    x, u, v = f"tensor<{rows}x{WIDTH}xf32>", f"tensor<{WIDTH}x{HIDDEN}xf32>", f"tensor<{HIDDEN}x{WIDTH}xf32>"
    hidden = f"tensor<{rows}x{HIDDEN}xf32>"
    dims = ' {lamina.dims = ["n", "16"]}' if rows == "?" else ""
    weights = ", ".join(f"%u{i}: {u}, %v{i}: {v}" for i in range(LAYERS))
    calls = "\n".join(
        f"%x{i + 1} = func.call @layer(%x{i}, %u{i}, %v{i}) : ({x}, {u}, {v}) -> {x}" for i in range(LAYERS)
    )
    return f"""
    func.func private @layer(%x: {x}, %u: {u}, %v: {v}) -> {x} {{
      %a = graph.dot_general %x, %u, contract = [1] x [0] : {x}, {u} -> {hidden}
      %b = graph.gelu %a : {hidden} -> {hidden}
      %c = graph.dot_general %b, %v, contract = [1] x [0] : {hidden}, {v} -> {x}
      %d = graph.add %c, %x : {x}
      func.return %d : {x}
    }}
    func.func @loss(%x0: {x}{dims}, {weights}) -> tensor<f32> {{
      {calls}
      %s = graph.multiply %x{LAYERS}, %x{LAYERS} : {x}
      %l = graph.mean %s, [0, 1] : {x} -> tensor<f32>
      func.return %l : tensor<f32>
    }}"""


def functions(module: ModuleOp) -> dict[str, func.FuncOp]:
    return {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}


def gradient(policy: str | None, segments: int | None = None, rows: str = str(ROWS)) -> ModuleOp:
    """A module whose main gives the loss and the gradients of all weights."""
    context = api.make_context()
    module = parse_text(context, text(rows), "mlp.mlir")
    if segments is not None:
        pipelines.run_passes(module, context, ["inline-calls"])
    if policy is not None:
        RematPass(policy=policy, segments=segments).apply(context, module)
    name = differentiate(module, "loss", kind="value-and-gradient", wrt=range(1, 2 * LAYERS + 1))
    functions(module)["loss"].detach()
    functions(module)[name].sym_name = StringAttr("main")
    module.verify()
    return module


def inputs() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = [(ROWS, WIDTH), *[(WIDTH, HIDDEN), (HIDDEN, WIDTH)] * LAYERS]
    return [(generator.standard_normal(shape) / 4).astype(np.float32) for shape in shapes]


@cache
def expected() -> tuple[np.ndarray, ...]:
    return evaluate(gradient(None), inputs())


@pytest.mark.parametrize("rows", [str(ROWS), "?"])
@pytest.mark.parametrize(
    ("policy", "segments"), [*((policy, None) for policy in POLICIES), ("nothing", 3), ("dots", 3)]
)
def test_gradients_do_not_depend_on_the_policy(policy: str, segments: int | None, rows: str):
    module = gradient(policy, segments, rows)
    for found, wanted in zip(evaluate(module, inputs()), expected(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)
    executable = lamina.compile(module)
    for threads in (1, 2):
        for found, wanted in zip(executable.call(inputs(), threads=threads), expected(), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-6)


def arena(module: ModuleOp) -> int:
    return report(module, api.make_context()).memory.arena_bytes({})


def test_peak_memory():
    nothing, dots, everything = (arena(gradient(policy)) for policy in POLICIES)
    activation, hidden = ROWS * WIDTH * 4, ROWS * HIDDEN * 4
    assert everything == arena(gradient(None))
    # Kept: what enters each layer, beside what one layer works with.
    assert nothing <= LAYERS * activation + 3 * hidden
    assert dots <= LAYERS * (activation + hidden) + 4 * hidden
    assert nothing < 0.6 * dots < 0.6 * 0.8 * everything
    assert nothing < arena(gradient("nothing", 3)) < everything


MARKED = """
func.func private @layer(%x: tensor<4xf64>, %n: tensor<i64>) -> (tensor<4xf64>, tensor<i64>) attributes {lamina.remat = "POLICY"} {
  %a = graph.sin %x : tensor<4xf64>
  %d = graph.dot_general %a, %x, contract = [0] x [0] : tensor<4xf64>, tensor<4xf64> -> tensor<f64>
  %e = graph.exp %d : tensor<f64>
  %y = graph.multiply %a, %e : tensor<4xf64>, tensor<f64> -> tensor<4xf64>
  func.return %y, %n : tensor<4xf64>, tensor<i64>
}
func.func @f(%x: tensor<4xf64>) -> tensor<f64> {
  %n = graph.constant dense<2> : tensor<i64>
  %y, %m = func.call @layer(%x, %n) : (tensor<4xf64>, tensor<i64>) -> (tensor<4xf64>, tensor<i64>)
  %z, %k = func.call @layer(%y, %m) : (tensor<4xf64>, tensor<i64>) -> (tensor<4xf64>, tensor<i64>)
  %l = graph.reduce add %z, [0] : tensor<4xf64> -> tensor<f64>
  func.return %l : tensor<f64>
}"""


def loss(x: np.ndarray) -> float:
    for _ in range(2):
        x = np.sin(x) * np.exp(np.sin(x) @ x)
    return float(x.sum())


@pytest.mark.parametrize("policy", POLICIES)
def test_second_order(policy: str):
    """Forward over reverse and reverse over reverse against central differences of the gradient."""
    module = parse_text(api.make_context(), MARKED.replace("POLICY", policy), "marked.mlir")
    x, t = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4))
    first = differentiate(module, "f", kind="gradient")

    def value(name: str, *arguments: np.ndarray) -> np.ndarray:
        return evaluate(module, list(arguments), None, name)[-1]

    step = 1e-6
    numeric = [(loss(x + step * one) - loss(x - step * one)) / (2 * step) for one in np.eye(4)]
    np.testing.assert_allclose(value(first, x), numeric, rtol=1e-7, atol=1e-7)
    product = (value(first, x + step * t) - value(first, x - step * t)) / (2 * step)
    for kind in ("jvp", "pullback"):
        name = differentiate(module, first, kind=kind)
        module.verify()
        np.testing.assert_allclose(value(name, x, t), product, rtol=1e-6, atol=1e-7)


def test_a_mark_that_is_none():
    module = parse_text(api.make_context(), MARKED.replace("POLICY", "some"), "marked.mlir")
    with pytest.raises(LaminaError, match="unknown policy 'some'"):
        differentiate(module, "f", kind="gradient")
    assert set(functions(module)) == {"layer", "f"}


def layer(x: object, w: object) -> object:
    return ops.tanh(x @ w) + x  # type: ignore[operator]


@pytest.mark.parametrize("policy", POLICIES)
def test_from_python(policy: str):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((8, 16)).astype(np.float32)
    weights = [generator.standard_normal((16, 16)).astype(np.float32) / 4 for _ in range(4)]

    def total(function: object, weights: list[object], x: object) -> object:
        for weight in weights:
            x = function(x, weight)  # type: ignore[operator]
        return (x * x).mean()  # type: ignore[attr-defined, operator]

    checkpointed = lamina.checkpoint(layer, policy=policy)
    plain = lamina.jit(lamina.grad(lambda weights, x: total(layer, weights, x)))
    marked = lamina.jit(lamina.grad(lambda weights, x: total(checkpointed, weights, x)))
    for found, wanted in zip(marked(weights, x), plain(weights, x), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    sizes = [arena(each.trace(weights, x).module) for each in (plain, marked)]
    assert sizes[1] < sizes[0] if policy == "nothing" else sizes[1] <= sizes[0]
    np.testing.assert_allclose(checkpointed(x, weights[0]), np.tanh(x @ weights[0]) + x, rtol=1e-5, atol=1e-6)
