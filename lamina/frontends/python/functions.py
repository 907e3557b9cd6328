"""Functions traced into functions of their own, which the trace in progress calls, and so do their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, LocationAttr
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import SymbolTable

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor
from lamina.frontends.python.trace import described
from lamina.frontends.python.tracer import Traced, Tracer, active_tracer, as_value, tracing
from lamina.passes.autodiff.functions import JVP, VJP
from lamina.passes.autodiff.rematerialization import REMAT
from lamina.passes.graph.inline_calls import inline
from lamina.passes.graph.shape_analysis import DIMS
from lamina.trees import Structure, flatten


class FunctionTracer(Tracer):
    """The trace of a function inside another trace; what it uses from outside becomes arguments, after its own."""

    def __init__(self, outer: Tracer):
        super().__init__(Block(), outer.builder.resources, outer.module)
        self.outer = outer
        self.names = outer.names
        self.sizes = dict(outer.sizes)
        self.builder.location = outer.builder.location
        self.captures: dict[SSAValue, tuple[SSAValue, SSAValue]] = {}
        """For each outer value that is used: where the outer trace has it, and the argument."""

    def add_argument(self, known: AbstractTensor, location: LocationAttr, name: str | None) -> SSAValue:
        """A new last argument."""
        block = self.blocks[0]
        argument = block.insert_arg(known.type, len(block.args))
        argument.location = location
        argument.name_hint = None if name is None else SSAValue.extract_valid_name(name.replace(".", "_"))
        self.builder.declare(argument, known)
        return argument

    def check_visible(self, value: SSAValue) -> SSAValue:
        """The value or, for one of an outer trace, the argument that stands for it."""
        if self.is_visible(value):
            return value
        if value not in self.captures:
            outside = self.outer.check_visible(value)
            known = self.outer.builder.abstract(outside)
            argument = self.add_argument(known, self.outer.builder.location, outside.name_hint)
            self.captures[value] = outside, argument
        return self.captures[value][1]


@dataclass(frozen=True)
class TracedFunction:
    """A private function of the module of the trace in progress.

    `results` are what is known of its results. `captures`: outer values that a call passes after the arguments, all of
    the trace that the function was traced in.
    """

    name: str
    arguments: tuple[AbstractTensor, ...]
    paths: tuple[str, ...]
    captures: tuple[SSAValue, ...]
    results: tuple[AbstractTensor, ...]
    result_structure: Structure


def trace_function(function: Callable[..., Any], arguments: Sequence[Any], names: Sequence[str]) -> TracedFunction:
    """Trace a function of trees as a private function; `names` are those of its parameters."""
    outer = active_tracer()
    inner = FunctionTracer(outer)
    location = outer.builder.location
    trees: list[Any] = []
    known: list[AbstractTensor] = []
    paths: list[str] = []
    for name, tree in zip(names, arguments, strict=True):
        found, structure = flatten(tree)
        values: list[Traced] = []
        for path, leaf in zip(structure.paths(name), found, strict=True):
            shape = outer.builder.abstract(as_value(leaf))
            plain = AbstractTensor(shape.shape, shape.element_type)
            values.append(Traced(inner.add_argument(plain, location, path)))
            known.append(plain)
            paths.append(path)
        trees.append(structure.unflatten(values))
    with tracing(inner):
        outputs, structure = flatten(function(*trees))
        returned = [as_value(leaf) for leaf in outputs]
    return_op = ReturnOp(*returned)
    return_op.location = location
    block = inner.blocks[0]
    block.add_op(return_op)
    results = [inner.builder.abstract(value) for value in returned]
    captured = list(inner.captures.values())
    all_paths = [*paths, *(f"captured{index}" for index in range(len(captured)))]
    shapes = [*known, *(inner.builder.abstract(argument) for _, argument in captured)]
    op = FuncOp(
        _free_name(outer, getattr(function, "__name__", "function")),
        ([argument.type for argument in block.args], [value.type for value in returned]),
        Region(block),
        visibility="private",
        arg_attrs=ArrayAttr([described(path, one.shape) for path, one in zip(all_paths, shapes, strict=True)]),
        res_attrs=ArrayAttr([DictionaryAttr({DIMS: described("", one.shape).data[DIMS]}) for one in results]),
    )
    op.location = location
    Rewriter.insert_op(op, InsertPoint.at_end(outer.module.body.block))
    _inline_calls(op)
    return TracedFunction(
        op.sym_name.data,
        tuple(known),
        tuple(paths),
        tuple(outside for outside, _ in captured),
        tuple(AbstractTensor(one.shape, one.element_type) for one in results),
        structure,
    )


def call(name: str, operands: Sequence[SSAValue], results: Sequence[AbstractTensor]) -> list[SSAValue]:
    """Call a function of the module, of whose results this is known."""
    tracer = active_tracer()
    op = CallOp(name, operands, [known.type for known in results])
    op.location = tracer.builder.location
    Rewriter.insert_op(op, tracer.builder.insertion_point)
    for result, known in zip(op.results, results, strict=True):
        tracer.builder.declare(result, known)
    return list(op.results)


def operands_of(arguments: Sequence[Any]) -> list[SSAValue]:
    """The leaves of the arguments as values of the trace in progress."""
    return [as_value(leaf) for tree in arguments for leaf in flatten(tree)[0]]


def find_function(name: str) -> FuncOp:
    """A function of the module of the trace in progress."""
    found = SymbolTable.lookup_symbol(active_tracer().module, name)
    if not isinstance(found, FuncOp):
        raise LaminaError(f"the module has no function @{name}")
    return found


def _free_name(tracer: Tracer, wanted: str) -> str:
    """A name that no function of the module has: identifiers as they are, `function` for lambdas."""
    stem = wanted if wanted.isidentifier() else "function"
    taken = tracer.names | {op.sym_name.data for op in tracer.module.ops if isinstance(op, FuncOp)}
    name, number = stem, 0
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def _inline_calls(function: FuncOp) -> None:
    """Derivatives of what was called share its values with the rest; functions with rules or marks stay functions."""
    for op in [inner for inner in function.walk() if isinstance(inner, CallOp)]:
        callee = SymbolTable.lookup_symbol(op, op.callee)
        if isinstance(callee, FuncOp) and not {VJP, JVP, REMAT} & callee.attributes.keys():
            inline(op, callee)
