"""Derivatives of functions in text: made, run, and compared with central differences and with native code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr

import lamina
from lamina.parser import parse_text
from lamina.passes.autodiff.functions import differentiate
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
    executable = lamina.compile(entry, cache=False)
    for threads in (1, 2):
        found = executable.call(values, threads=threads)
        for actual, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-12, atol=1e-12)
