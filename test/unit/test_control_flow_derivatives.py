"""Branches and loops in Python, forward and backward, against JAX in f64 on drawn sizes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import LaminaError, ops


@pytest.fixture(scope="module")
def j() -> Any:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return SimpleNamespace(jax=jax, np=jax.numpy, lax=jax.lax)


def recurrence(reverse: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A recurrent net: the sum of what it gives at each step and of its last state."""

    def ours(weights: Any, start: Any, xs: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            state = ops.tanh(state @ weights + x)
            return state, ops.sin(state) * x

        last, outputs = ops.scan(step, start, xs, reverse=reverse)
        return (outputs * outputs).sum() + last.sum()

    def theirs(j: Any, weights: Any, start: Any, xs: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            state = j.np.tanh(state @ weights + x)
            return state, j.np.sin(state) * x

        last, outputs = j.lax.scan(step, start, xs, reverse=reverse)
        return (outputs * outputs).sum() + last.sum()

    return ours, theirs


def branch(taken: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A condition that the values decide, captured values in both branches, a scan inside one of them."""
    sign = 1.0 if taken else -1.0

    def ours(weights: Any, start: Any, xs: Any) -> Any:
        def loop(x: Any) -> Any:
            return ops.scan(lambda state, row: (ops.tanh(state @ weights + row), state), x, xs)[0]

        total = (xs * xs).sum() * sign
        return ops.cond(total > 0.0, loop, lambda x: ops.exp(x * 0.1) @ weights, start).sum()

    def theirs(j: Any, weights: Any, start: Any, xs: Any) -> Any:
        def loop(x: Any) -> Any:
            return j.lax.scan(lambda state, row: (j.np.tanh(state @ weights + row), state), x, xs)[0]

        total = (xs * xs).sum() * sign
        return j.lax.cond(total > 0.0, loop, lambda x: j.np.exp(x * 0.1) @ weights, start).sum()

    return ours, theirs


def bounded_loop() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Steps until a count that the data gives, at most 9; JAX differentiates a loop of known length backward."""

    def ours(weights: Any, start: Any, xs: Any) -> Any:
        count = ops.cast(ops.floor((xs * 0.0).sum() + 3.5), "i64")

        def step(state: Any) -> Any:
            return {"i": state["i"] + 1, "x": ops.tanh(state["x"] @ weights) + xs[0]}

        first = {"i": ops.cast(count * 0, "i64"), "x": start}
        return (ops.while_loop(lambda state: state["i"] < count, step, first, max_iterations=9)["x"] ** 2.0).sum()

    def theirs(j: Any, weights: Any, start: Any, xs: Any) -> Any:
        x = j.lax.fori_loop(0, 3, lambda _, x: j.np.tanh(x @ weights) + xs[0], start)
        return (x**2.0).sum()

    return ours, theirs


CASES = {
    "scan": recurrence(False),
    "scan backwards": recurrence(True),
    "branch taken": branch(True),
    "branch not taken": branch(False),
    "while": bounded_loop(),
}


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(1, 6), steps=st.integers(1, 7), seed=st.integers(0, 2**32 - 1))
def test_control_flow(name: str, j: Any, width: int, steps: int, seed: int):
    ours, theirs = CASES[name]
    draw = np.random.default_rng(seed)
    inputs = [draw.standard_normal(shape) * 0.7 for shape in ((width, width), (width,), (steps, width))]
    tangents = [draw.standard_normal(each.shape) for each in inputs]
    wrt = (0, 1, 2)

    def jax_function(*arguments: Any) -> Any:
        return theirs(j, *arguments)

    expected = j.jax.jit(j.jax.grad(jax_function, wrt))(*inputs)
    for bar, other in zip(lamina.grad(ours, wrt)(*inputs), expected, strict=True):
        np.testing.assert_allclose(bar, np.asarray(other), rtol=1e-9, atol=1e-10)
    value, dot = lamina.jvp(ours, tuple(inputs), tuple(tangents))
    forward = j.jax.jit(lambda x, t: j.jax.jvp(jax_function, x, t))
    expected_value, expected_dot = forward(tuple(inputs), tuple(tangents))
    np.testing.assert_allclose(value, np.asarray(expected_value), rtol=1e-10)
    np.testing.assert_allclose(dot, np.asarray(expected_dot), rtol=1e-9, atol=1e-10)


def test_a_bound_is_at_least_one():
    with pytest.raises(LaminaError, match="max_iterations: expected at least 1, found 0"):
        lamina.trace(
            lambda x: ops.while_loop(lambda s: s.sum() < 9.0, lambda s: s + 1.0, x, max_iterations=0),
            lamina.spec((3,), "f32"),
        )
