"""What every test of a graph op does: build it, verify it, read back its text, run its rules on symbols, run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import Block, Region
from xdsl.parser import Parser

from lamina.dialects.builtin import builtin_dialect
from lamina.dialects.graph import Graph
from lamina.dialects.graph.base import AbstractTensor, Differentiability, GraphOp, abstract_operands
from lamina.dialects.graph.builder import GraphBuilder
from lamina.dialects.graph.composite import CompositeOp
from lamina.dialects.graph.dims import evaluate, symbol
from lamina.dialects.graph.types import element_type_of
from lamina.targets.reference.evaluate import evaluate as evaluate_module


def context() -> Context:
    ctx = Context()
    for dialect in (builtin_dialect(), Func, Graph):
        ctx.load_dialect(dialect)
    return ctx


def parse(text: str) -> ModuleOp:
    module = Parser(context(), text).parse_module()
    module.verify()
    return module


def type_of(array: np.ndarray) -> TensorType:
    return TensorType(element_type_of(array.dtype), array.shape)


def function_of(op: GraphOp, block: Block) -> ModuleOp:
    block.add_op(op)
    block.add_op(ReturnOp(*op.results))
    types = [argument.type for argument in block.args], [result.type for result in op.results]
    return ModuleOp([FuncOp("main", types, Region(block))])


def check(op_type: type[GraphOp], arrays: Sequence[np.ndarray], *arguments: Any, **options: Any) -> np.ndarray:
    """The result of an op on arrays; every hook but the fold and the canonicalization is called and checked."""
    block = Block(arg_types=[type_of(array) for array in arrays])
    op = op_type(*block.args, *arguments, **options)
    module = function_of(op, block)
    module.verify()
    text = str(module)
    assert str(parse(text)) == text
    with np.errstate(all="ignore"):
        result = op.reference(*arrays)
    assert isinstance(result, np.ndarray)
    assert TensorType(element_type_of(result.dtype), result.shape) == op.results[0].type
    check_symbolic(op, arrays, result.shape)
    assert isinstance(op.DIFFERENTIABILITY, Differentiability)
    if isinstance(op, CompositeOp):
        decomposed = run_decomposed(op_type, arrays, arguments, options)
        assert (decomposed.shape, decomposed.dtype) == (result.shape, result.dtype)
    return result


def check_symbolic(op: GraphOp, arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> None:
    """The op's rule on sizes with names gives, once the names have values, the sizes of the result."""
    # A size of 1 keeps its number: it may stretch, which a name never does.
    known = [
        AbstractTensor(
            tuple(size if size == 1 else symbol(f"s{i}_{axis}") for axis, size in enumerate(array.shape)),
            element_type_of(array.dtype),
        )
        for i, array in enumerate(arrays)
    ]
    values = {f"s{i}_{axis}": size for i, array in enumerate(arrays) for axis, size in enumerate(array.shape)}
    (result,) = op.infer(known)
    assert tuple(evaluate(dim, values) for dim in result.shape) == shape
    for left, right in op.constraints(known):
        assert evaluate(left, values) == evaluate(right, values)
    assert list(op.constraints(abstract_operands(op))) == []


def run_decomposed(
    op_type: type[GraphOp], arrays: Sequence[np.ndarray], arguments: Sequence[Any] = (), options: Any = None
) -> np.ndarray:
    """The result of a composite's decomposition, statically and dynamically shaped alike."""
    results = []
    for dynamic in (False, True):
        types = [TensorType(type_of(a).element_type, [DYNAMIC_INDEX] * a.ndim if dynamic else a.shape) for a in arrays]
        block = Block(arg_types=types)
        op = op_type(*block.args, *arguments, **(options or {}))
        assert isinstance(op, CompositeOp)
        block.add_op(op)
        (value,) = op.decompose(GraphBuilder.at_end(block))
        op.detach()
        op.erase()
        block.add_op(ReturnOp(value))
        module = ModuleOp([FuncOp("main", (types, [value.type]), Region(block))])
        module.verify()
        results.append(evaluate_module(module, arrays)[0])
    np.testing.assert_array_equal(*results)
    return results[0]


def outcome(function: Any, *arguments: Any, **options: Any) -> str:
    """The message of the error that a call raises."""
    try:
        function(*arguments, **options)
    except Exception as error:
        return str(error)
    raise AssertionError("expected an error")
