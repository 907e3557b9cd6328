"""Kernels with several results: when groups are merged, and that the numbers stay."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, ModuleOp, f32

import lamina
from graph_models import module_of, normal
from lamina import api
from lamina.passes.graph.form_kernels import FormKernelsPass
from lamina.passes.graph.share_kernels import kernels_of
from lamina.targets.reference.evaluate import evaluate

RNG = np.random.default_rng(0)
ROWS = (["n", 24], f32)


def check(arguments, build, inputs, *, results: list[int], aliases: dict[int, int] | None = None) -> None:
    """Form kernels with so many results each, in order, and run the compiled module at 1 and 2 threads."""
    ctx = api.make_context()
    module = module_of(ctx, arguments, build)
    if aliases:
        function = next(op for op in module.ops if isinstance(op, func.FuncOp))
        count = len(function.function_type.outputs)
        function.res_attrs = ArrayAttr(
            DictionaryAttr({"lamina.alias": IntegerAttr(aliases[i], 64)} if i in aliases else {}) for i in range(count)
        )
    expected = evaluate(module, inputs, ctx.resources)
    formed = module.clone()
    FormKernelsPass().apply(ctx, formed)
    formed.verify()
    assert [len(kernel.function_type.outputs) for kernel in kernels_of(formed)] == results
    in_order(formed)
    executable = lamina.compile(module, context=ctx, cache=False)
    for threads in (1, 2):
        given = [array.copy() for array in inputs]
        for ours, exact in zip(executable.call(given, threads=threads), expected, strict=True):
            np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-6)


def in_order(module: ModuleOp) -> None:
    """Every value is computed before it is read."""
    for function in module.ops:
        assert isinstance(function, func.FuncOp)
        seen = set(function.body.block.args)
        for op in function.body.block.ops:
            assert set(op.operands) <= seen
            seen |= set(op.results)


def test_a_sum_and_its_norm() -> None:
    def build(b, x, y):
        total = b.add(x, y)
        return [total, b.rms_norm(total, normal(RNG, 24), 1, 1e-5)]

    check([ROWS, ROWS], build, [normal(RNG, 7, 24), normal(RNG, 7, 24)], results=[2])


def test_the_sum_is_read_by_another_kernel_before_the_norm() -> None:
    def build(b, x, y):
        total = b.add(x, y)
        column = b.reduce("maximum", total, (0,))
        return [column, b.softmax(total, 1)]

    check([ROWS, ROWS], build, [normal(RNG, 7, 24), normal(RNG, 7, 24)], results=[1, 2])


def test_a_norm_and_what_follows_it() -> None:
    def build(b, x):
        normed = b.softmax(x, 1)
        return [normed, b.multiply(b.exp(normed), x)]

    check([ROWS], build, [normal(RNG, 7, 24)], results=[2])


def test_what_comes_back_through_another_kernel_is_not_merged() -> None:
    """total → column maxima (a kernel of its own) → the norm's operand: one kernel would wait for itself."""

    def build(b, x, y):
        total = b.add(x, y)
        column = b.reduce("maximum", total, (0,), True)
        return [total, b.softmax(b.subtract(total, b.exp(column)), 1)]

    check([ROWS, ROWS], build, [normal(RNG, 7, 24), normal(RNG, 7, 24)], results=[1, 1, 1])


def test_two_functions_of_one_tensor() -> None:
    def build(b, x):
        return [b.sin(x), b.cos(x)]

    check([ROWS], build, [normal(RNG, 7, 24)], results=[2])


def test_siblings_of_which_one_needs_the_other_through_a_kernel() -> None:
    def build(b, x):
        first = b.sin(x)
        column = b.reduce("add", first, (0,), True)
        return [first, b.multiply(b.cos(x), b.tanh(column))]

    check([ROWS], build, [normal(RNG, 7, 24)], results=[1, 1, 1])


@pytest.mark.parametrize("size", [1, 37, 9000])
def test_a_step_of_adam_is_one_kernel_in_place(size: int) -> None:
    def build(b, weight, gradient, first, second):
        first = b.add(b.multiply(first, 0.9), b.multiply(gradient, 0.1))
        second = b.add(b.multiply(second, 0.999), b.multiply(b.multiply(gradient, gradient), 0.001))
        step = b.divide(b.multiply(first, 0.01), b.add(b.sqrt(second), 1e-8))
        return [b.subtract(weight, step), first, second]

    vector = ([size], f32)
    inputs = [normal(RNG, size), normal(RNG, size), normal(RNG, size), np.abs(normal(RNG, size))]
    check([vector] * 4, build, inputs, results=[3], aliases={0: 0, 1: 2, 2: 3})


def test_exchanged_arguments_are_not_overwritten_too_early() -> None:
    """Both results need both arguments, each is written to one of them."""

    def build(b, x, y):
        return [b.add(b.sin(x), y), b.subtract(b.cos(x), y)]

    check([ROWS, ROWS], build, [normal(RNG, 7, 24), normal(RNG, 7, 24)], results=[2], aliases={0: 0, 1: 1})
