"""Derivatives of Python functions inside a trace: the function is traced by itself, `differentiate` adds its derivative
to the module, and the trace in progress calls that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from xdsl.dialects.builtin import StringAttr, SymbolRefAttr
from xdsl.ir import SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor
from lamina.dialects.graph.types import dtype_of, is_float
from lamina.frontends.python.functions import TracedFunction, call, find_function, operands_of, trace_function
from lamina.frontends.python.tracer import Traced, active_tracer, as_value, operation
from lamina.passes.autodiff.functions import VJP, differentiate
from lamina.passes.autodiff.rematerialization import REMAT, check_policy
from lamina.trees import Structure, difference, flatten, map_leaves, structure

Function: TypeAlias = "Callable[..., Any]"


@operation
def value_and_gradient(
    function: Function,
    arguments: Sequence[Any],
    names: Sequence[str],
    positions: Sequence[int],
    has_aux: bool,
    what: str = "value_and_grad",
) -> tuple[Any, tuple[Any, ...]]:
    """What the function gives, and the gradients with respect to the arguments at `positions`.

    `names` are the arguments', for messages. The result is a float scalar, with `has_aux` the first of two results.
    """
    traced = trace_function(function, arguments, names)
    wrt = _leaves_of(arguments, positions)
    _check_floats(what, traced, wrt)
    value_structure = _value_structure(what, traced, has_aux)
    name = _derivative(traced, "value-and-gradient", wrt, (0,))
    gradients = [traced.arguments[index] for index in wrt]
    results = call(name, [*operands_of(arguments), *traced.captures], [*traced.results, *gradients])
    count = len(traced.results)
    remaining = iter(results[count:])
    trees = tuple(_filled(structure(arguments[position]), remaining) for position in positions)
    return _tree(value_structure, results[:count]), trees


@operation
def forward(
    function: Function, primals: Sequence[Any], tangents: Sequence[Any], names: Sequence[str]
) -> tuple[Any, Any]:
    """What the function gives, and the derivative of it along the tangents."""
    traced = trace_function(function, primals, names)
    wrt = range(len(traced.arguments))
    _check_floats("jvp", traced, wrt)
    if len(tangents) != len(primals):
        raise LaminaError(f"jvp: expected {len(primals)} tangents, one for each argument, found {len(tangents)}")
    given: list[SSAValue] = []
    for name, primal, tangent in zip(names, primals, tangents, strict=True):
        given += _checked("jvp", "tangent", name, structure(primal), _known_of(primal), tangent)
    outputs = _float_results("jvp", traced)
    name = _derivative(traced, "jvp", tuple(wrt), outputs)
    operands = [*operands_of(primals), *traced.captures, *given]
    results = call(name, operands, [*traced.results, *(traced.results[index] for index in outputs)])
    count = len(traced.results)
    return _tree(traced.result_structure, results[:count]), _tree(traced.result_structure, results[count:])


@operation
def backward(
    function: Function, primals: Sequence[Any], names: Sequence[str]
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """What the function gives, and a function from a cotangent of that to the cotangents of the arguments."""
    traced = trace_function(function, primals, names)
    wrt = tuple(range(len(traced.arguments)))
    _check_floats("vjp", traced, wrt)
    outputs = _float_results("vjp", traced)
    operands = [*operands_of(primals), *traced.captures]
    results = call(traced.name, operands, traced.results)

    @operation
    def pull_back(cotangents: Any) -> tuple[Any, ...]:
        given = _checked("vjp", "cotangent", "result", traced.result_structure, traced.results, cotangents)
        name = _derivative(traced, "pullback", wrt, outputs)
        visible = [active_tracer().check_visible(operand) for operand in operands]
        found = iter(call(name, [*visible, *given], traced.arguments))
        return tuple(_filled(structure(primal), found) for primal in primals)

    return _tree(traced.result_structure, results), pull_back


@operation
def with_rule(function: Function, rule: Function, arguments: Sequence[Any], names: Sequence[str]) -> Any:
    """Call the function, whose backward derivative is `rule(*arguments, cotangent)` → a cotangent for each argument."""
    traced = trace_function(function, arguments, names)
    outputs = _float_results("custom_vjp", traced)
    given = [SpecOf(known) for known in traced.results]
    cotangent = traced.result_structure.unflatten([Traced(each.value()) for each in given])
    known_arguments = [_known_of(argument) for argument in arguments]
    floats = [index for index, known in enumerate(traced.arguments) if is_float(known.element_type)]

    def flat_rule(*operands: Any) -> list[Any]:
        found = rule(*operands)
        if not isinstance(found, tuple) or len(found) != len(arguments):  # pyright: ignore[reportUnknownArgumentType]
            raise LaminaError(f"custom_vjp: expected the rule to give a tuple of {len(arguments)} cotangents")
        leaves: list[Any] = []
        rows = zip(names, arguments, known_arguments, found, strict=True)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        for name, argument, known, part in rows:  # pyright: ignore[reportUnknownVariableType]
            if any(is_float(one.element_type) for one in known):
                leaves += _checked("custom_vjp", "cotangent", name, structure(argument), known, part)
        return [Traced(leaf) for leaf in leaves]

    traced_rule = trace_function(flat_rule, [*arguments, cotangent], [*names, "cotangent"])
    if traced.captures or traced_rule.captures:
        raise LaminaError(
            "custom_vjp: the function or its rule uses a traced value from outside", hints=("pass it as an argument",)
        )
    assert len(outputs) == len(given) and len(traced_rule.results) == len(floats)
    find_function(traced.name).attributes[VJP] = SymbolRefAttr(traced_rule.name)
    return _tree(traced.result_structure, call(traced.name, operands_of(arguments), traced.results))


@operation
def checkpointed(function: Function, policy: str, arguments: Sequence[Any], names: Sequence[str]) -> Any:
    """Call the function, of whose values a backward pass keeps what `policy` says."""
    traced = trace_function(function, arguments, names)
    find_function(traced.name).attributes[REMAT] = StringAttr(check_policy(policy))
    return _tree(
        traced.result_structure, call(traced.name, [*operands_of(arguments), *traced.captures], traced.results)
    )


class SpecOf:
    """Stands for a value of which only the type counts."""

    def __init__(self, known: AbstractTensor):
        self.known = known

    def value(self) -> SSAValue:
        """A constant of the type, of no consequence."""
        from lamina.frontends.python.shapes import broadcast_to

        builder = active_tracer().builder
        return broadcast_to(builder.constant(0.0, self.known.element_type), self.known.shape)


@operation
def stop_gradient(tree: Any) -> Any:
    """The values, which count as constants where derivatives are taken."""
    builder = active_tracer().builder

    def stopped(leaf: Any) -> Traced:
        return Traced(builder.create("stop_gradient", (as_value(leaf),)))

    return map_leaves(stopped, tree)


def _leaves_of(arguments: Sequence[Any], positions: Sequence[int]) -> tuple[int, ...]:
    """The indices of all leaves of the arguments at `positions`."""
    counts = [structure(argument).count for argument in arguments]
    starts = [sum(counts[:position]) for position in range(len(counts))]
    return tuple(starts[position] + index for position in positions for index in range(counts[position]))


def _known_of(tree: Any) -> list[AbstractTensor]:
    builder = active_tracer().builder
    return [builder.abstract(as_value(leaf)) for leaf in flatten(tree)[0]]


def _derivative(traced: TracedFunction, kind: str, wrt: Sequence[int], outputs: Sequence[int]) -> str:
    tracer = active_tracer()
    return differentiate(
        tracer.module, traced.name, kind=kind, wrt=wrt, outputs=outputs, resources=tracer.builder.resources
    )


def _check_floats(what: str, traced: TracedFunction, wrt: Sequence[int]) -> None:
    for index in wrt:
        known = traced.arguments[index]
        if not is_float(known.element_type):
            raise LaminaError(
                f"{what}: argument '{traced.paths[index]}' is {_text(known)}: only floats have derivatives",
                hints=("leave it out of argnums, pass it by closure, or cast it with .astype('f32') before",),
            )


def _value_structure(what: str, traced: TracedFunction, has_aux: bool) -> Structure:
    """The structure of the function's result; raises LaminaError unless the value is a float scalar."""
    found = traced.result_structure
    value = found
    if has_aux:
        if found.kind is not tuple or len(found.children) != 2:
            raise LaminaError(f"{what}: with has_aux the function gives (value, other results), found {found}")
        value = found.children[0]
    if not value.is_leaf:
        raise LaminaError(
            f"{what}: expected the function to give one scalar, found {value}",
            hints=("give has_aux=True for (value, other results)",),
        )
    known = traced.results[0]
    if known.shape != () or not is_float(known.element_type):
        raise LaminaError(
            f"{what}: a gradient is of a float scalar, the function gives {_text(known)}",
            hints=("reduce it with .mean() or .sum(), or use lamina.vjp with a cotangent",),
        )
    return found


def _float_results(what: str, traced: TracedFunction) -> tuple[int, ...]:
    for path, known in zip(traced.result_structure.paths("result"), traced.results, strict=True):
        if not is_float(known.element_type):
            raise LaminaError(
                f"{what}: '{path}' of the function is {_text(known)}: only floats have derivatives",
                hints=("give it separately, outside of the function",),
            )
    return tuple(range(len(traced.results)))


def _checked(
    what: str, word: str, name: str, expected: Structure, known: Sequence[AbstractTensor], tree: Any
) -> list[SSAValue]:
    """The leaves of a tangent; raises LaminaError unless they have the types of what they belong to."""
    found, shape = flatten(tree)
    if shape != expected:
        raise LaminaError(f"{what}: the {word} of '{name}': {difference(expected, shape)}")
    values: list[SSAValue] = []
    builder = active_tracer().builder
    for path, wanted, leaf in zip(expected.paths(name), known, found, strict=True):
        is_number = isinstance(leaf, int | float)
        value = builder.value(leaf, wanted.element_type) if is_number else as_value(leaf)
        given = builder.abstract(value)
        if (given.shape, given.element_type) != (wanted.shape, wanted.element_type):
            raise LaminaError(
                f"{what}: the {word} of '{path}' must have its type, {_text(wanted)}, found {_text(given)}",
                hints=("shape and dtype must agree: convert with .astype, or broadcast it",),
            )
        values.append(value)
    return values


def _text(known: AbstractTensor) -> str:
    return f"{dtype_of(known.element_type)}[{', '.join(map(str, known.shape))}]"


def _filled(shape: Structure, values: Any) -> Any:
    """A tree from the next values of an iterator."""
    return shape.unflatten([Traced(next(values)) for _ in range(shape.count)])


def _tree(shape: Structure, values: Sequence[SSAValue]) -> Any:
    return shape.unflatten([Traced(value) for value in values])
