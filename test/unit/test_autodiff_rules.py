"""Every derivative rule in f64: against central differences, against JAX, forward against reverse, second order."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, f64
from xdsl.ir import Block, Operation, Region

from lamina.dialects.graph import GRAPH_OPS
from lamina.dialects.graph.base import AbstractTensor, Differentiability, GraphOp
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.composite import CompositeOp
from lamina.dialects.graph.dims import symbol
from lamina.passes.autodiff.functions import differentiate
from lamina.passes.autodiff.rules import REGION_RULES, RULES
from lamina.resources import ResourceStore
from lamina.targets.reference.evaluate import evaluate
from support.derivative_cases import CASES, FIXED_SIZES, Case


class Function:
    """The function of a case in a module, and its derivatives, run by the reference."""

    def __init__(self, case: Case, symbolic: bool):
        self.case, self.resources = case, ResourceStore()
        shapes = [self.sizes(array.shape, symbolic) for array in case.inputs]
        known = [AbstractTensor(tuple(s if isinstance(s, int) else symbol(s) for s in shape), f64) for shape in shapes]
        block = Block(arg_types=[item.type for item in known])
        builder = GraphBuilder.at_end(block, self.resources)
        for argument, item in zip(block.args, known, strict=True):
            builder.declare(argument, item)
        result = case.build(builder, *block.args)
        block.add_op(func.ReturnOp(result))
        function = func.FuncOp("f", ([a.type for a in block.args], [result.type]), Region(block))
        names = [ArrayAttr([StringAttr(str(size)) for size in shape]) for shape in shapes]
        function.arg_attrs = ArrayAttr([DictionaryAttr({"lamina.dims": dims}) for dims in names])
        self.module = ModuleOp([function])
        self.module.verify()

    def sizes(self, shape: tuple[int, ...], symbolic: bool) -> list[int | str]:
        if not symbolic:
            return list(shape)
        if self.case.symbolic == "batch_and_space":
            return [size if axis == 1 else f"n{axis}" for axis, size in enumerate(shape)]
        return [size if size == 1 else f"n{size}" for size in shape]

    def derive(self, function: str, kind: str, **options: Any) -> str:
        name = differentiate(self.module, function, kind=kind, resources=self.resources, **options)
        self.module.verify()
        return name

    def __call__(self, name: str, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        with np.errstate(all="ignore"):
            return evaluate(self.module, [np.asarray(x) for x in inputs], self.resources, name)


def directions(case: Case, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(array.shape) for array in case.inputs]


def inner(left: Any, right: Any) -> float:
    return float(sum(np.vdot(a, b) for a, b in zip(left, right, strict=True)))


def moved(inputs: Any, tangents: Any, step: float) -> list[np.ndarray]:
    return [x + step * t for x, t in zip(inputs, tangents, strict=True)]


VARIANTS = [(case, symbolic) for case in CASES for symbolic in (False, True) if case.symbolic or not symbolic]


@pytest.mark.parametrize(
    ("case", "symbolic"), VARIANTS, ids=[case.name + ("-symbolic" if symbolic else "") for case, symbolic in VARIANTS]
)
def test_rule(case: Case, symbolic: bool):
    check(case, symbolic)


def check(case: Case, symbolic: bool) -> None:
    """Forward against central differences, reverse against forward, both once more."""
    f = Function(case, symbolic)
    x, t = list(case.inputs), directions(case, 1)
    (y,) = f("f", *x)
    c = np.random.default_rng(2).standard_normal(y.shape)
    step = 1e-6

    jvp = f.derive("f", "jvp")
    value, dot = f(jvp, *x, *t)
    close(value, y, 1e-12)
    with np.errstate(invalid="ignore"):
        difference = (f("f", *moved(x, t, step))[0] - f("f", *moved(x, t, -step))[0]) / (2 * step)
    # The infinities that running extremes of nothing are do not move.
    close(dot, np.where(np.isinf(y), 0.0, difference), 1e-7)

    vjp = f.derive("f", "vjp")
    value, *bars = f(vjp, *x, c)
    close(value, y, 1e-12)
    assert [bar.shape for bar in bars] == [array.shape for array in x]
    assert inner(bars, t) == pytest.approx(inner([c], [dot]), rel=1e-10, abs=1e-10)

    # Products along an axis are differentiated through a running product, which is not along unknown sizes.
    if not (symbolic and case.name.startswith("reduce_multiply")):
        second_order(f, x, t, c, step)


def second_order(f: Function, x: list[np.ndarray], t: list[np.ndarray], c: np.ndarray, step: float) -> None:
    """The pullback differentiated again, forward and reverse."""
    pullback = f.derive("f", "pullback")
    count = len(x)
    wrt = tuple(range(count))
    forward = f.derive(pullback, "jvp", wrt=wrt)
    results = f(forward, *x, c, *t)
    dots = results[count:]
    after, before = (f(pullback, *moved(x, t, sign * step), c) for sign in (1, -1))
    for dot, left, right in zip(dots, after, before, strict=True):
        close(dot, (left - right) / (2 * step), 1e-5)
    u = directions(f.case, 3)
    reverse = f.derive(pullback, "pullback", wrt=wrt)
    bars = f(reverse, *x, c, *u)
    # The Hessian of <c, f> is symmetric: so are <u, H t> and <H u, t>.
    assert inner(bars, t) == pytest.approx(inner(dots, u), rel=1e-8, abs=1e-8)


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert actual.shape == expected.shape
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.fixture(scope="module")
def j() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return SimpleNamespace(jax=jax, np=jax.numpy, lax=jax.lax, nn=jax.nn)


JAX_CASES = [case for case in CASES if case.jax is not None]


@pytest.mark.parametrize("case", JAX_CASES, ids=[case.name for case in JAX_CASES])
def test_rule_against_jax(case: Case, j: Any):
    check_against_jax(case, j)


def check_against_jax(case: Case, j: Any) -> None:
    f = Function(case, False)
    x, t = list(case.inputs), directions(case, 1)
    assert case.jax is not None
    theirs = functools.partial(case.jax, j)
    expected, expected_dot = j.jax.jit(lambda x, t: j.jax.jvp(theirs, x, t))(tuple(x), tuple(t))
    (y,) = f("f", *x)
    close(y, np.asarray(expected), 1e-11)
    _, dot = f(f.derive("f", "jvp"), *x, *t)
    close(dot, np.asarray(expected_dot), 1e-11)
    c = np.random.default_rng(2).standard_normal(y.shape)
    others = j.jax.jit(lambda x, c: j.jax.vjp(theirs, *x)[1](c))(tuple(x), j.np.asarray(c))
    _, *bars = f(f.derive("f", "vjp"), *x, c)
    for bar, other in zip(bars, others, strict=True):
        close(bar, np.asarray(other), 1e-11)


DRAWN_CASES = [case for case in CASES if case.symbolic and case.name not in FIXED_SIZES]


@pytest.mark.parametrize("case", DRAWN_CASES, ids=[case.name for case in DRAWN_CASES])
@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rule_on_drawn_shapes(case: Case, j: Any, data: st.DataObject):
    other = drawn(case, data)
    check(other, False)
    if case.jax is not None:
        check_against_jax(other, j)


def drawn(case: Case, data: st.DataObject) -> Case:
    """The case with other sizes and values: a size above 1 grows, to the same wherever it stands, and larger ones stay
    larger; values stay between the least and the largest of an input, which keeps them in the domain of the function."""
    known: dict[int, int] = {}
    channels = {array.shape[1] for array in case.inputs if case.symbolic == "batch_and_space" and array.ndim > 1}
    for size in sorted({size for array in case.inputs for size in array.shape}):
        least = max(size, 1 + max(known.values(), default=0))
        known[size] = size if size <= 1 or size in channels else data.draw(st.integers(least, least + 2))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    inputs = tuple(
        generator.uniform(array.min(), array.max(), [known[size] for size in array.shape]) if array.size else array
        for array in case.inputs
    )
    return replace(case, inputs=inputs)


@pytest.mark.parametrize("op", GRAPH_OPS, ids=lambda op: op.name)
def test_every_op_has_a_rule_or_a_reason(op: type[GraphOp]):
    checked = {name for case in CASES for name in case.ops}
    if op.DIFFERENTIABILITY is Differentiability.DIFFERENTIABLE:
        assert (op in RULES and op.name in checked) or op in REGION_RULES
    elif op.DIFFERENTIABILITY is Differentiability.BY_DECOMPOSITION:
        assert issubclass(op, CompositeOp) and op.name in checked
    else:
        assert op not in RULES and op not in REGION_RULES


LIT = Path(__file__).parent.parent / "lit" / "passes" / "autodiff"


@pytest.mark.parametrize("op", [*RULES, *REGION_RULES], ids=lambda op: op.name)
def test_every_rule_is_shown(op: type[Operation]):
    """A lit test has a function with the op; its derivatives, in both directions, stand above it as CHECK lines."""
    for path in LIT.glob("*.mlir"):
        for part in path.read_text().split("\nfunc.func @")[1:]:
            name, _, body = part.partition("(")
            shown = f"@{name}.vjp(" in path.read_text() and f"@{name}.jvp(" in path.read_text()
            if shown and re.search(rf"{re.escape(op.name)}(?![\w.])", body.split("\n}")[0]):
                return
    pytest.fail(f"no file in {LIT} shows the derivatives of {op.name}")
