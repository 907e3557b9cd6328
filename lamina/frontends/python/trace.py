"""Run a Python function on traced values and keep what it did as a module of the graph dialect."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, LocationAttr, ModuleOp, StringAttr, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import VerifyException

from lamina.context import LaminaContext
from lamina.diagnostics import LaminaError
from lamina.dialects.graph.base import AbstractTensor, Array
from lamina.dialects.graph.dims import Shape
from lamina.frontends.python.specs import Spec
from lamina.frontends.python.tracer import Traced, Tracer, as_value, errors_at, tracing, user_location
from lamina.resources import ResourceStore
from lamina.trees import Structure, flatten, leaves

Donations: TypeAlias = "Sequence[str | int] | Mapping[str | int, int]"
"""Arguments whose storage results may take: names or positions, or a mapping of these to positions of results."""


@dataclass(frozen=True)
class TracedModule:
    """A graph-level module and its constants, which go together, and what it looks like from Python."""

    module: ModuleOp
    resources: ResourceStore
    parameters: tuple[tuple[str, Structure], ...]
    """Names and structures of the traced function's arguments."""
    results: Structure
    """The structure of what the traced function gave."""

    @property
    def context(self) -> LaminaContext:
        """A context with the constants."""
        return LaminaContext(resources=self.resources)


def trace(function: Callable[..., Any], *specs: Any, donate: Donations = (), name: str = "main") -> TracedModule:
    """Run `function` once, on traced values, and give the module of what it did, as `func.func @name`.

    `specs` are its arguments: `lamina.spec(shape, dtype, name)`, arrays, which stand for their shape and dtype, or
    trees (`lamina.trees`) of these, such as an `nn.Module` with its parameters. It gives a traced value or a tree of
    traced values, arrays and numbers. Arguments are named after the specs, else after the function's parameters and the
    paths in trees (`state.cache`); results after the paths in the tree (`output` for one alone). Arrays that it uses
    become constants, also those of a module that is traced itself or is not among the arguments.

    `donate` lets results be written into the storage of arguments, which the caller must not use any more (a cache, an
    optimizer's state). A mapping says which result takes which argument's place; for names or positions alone it is the
    first result of the same type that is not taken yet, at the same path in its tree if there is one; a name also
    stands for all arguments of the tree below it.

    Raises LaminaError, with the line of the user's code, where an op does not fit, where the function needs the
    elements of a traced value, gives something else than tensors, or where a donation does not fit.
    """
    location = user_location()
    with errors_at(location):
        return _trace(function, specs, donate, name, location)


def _trace(
    function: Callable[..., Any], specs: Sequence[Any], donate: Donations, name: str, location: LocationAttr
) -> TracedModule:
    _check_has_values(function)
    trees = [flatten(tree) for tree in specs]
    parameters = tuple(zip(parameter_names(function, len(specs)), (shape for _, shape in trees), strict=True))
    arguments = list(_named_specs(parameters, [found for found, _ in trees]))
    resources = ResourceStore()
    block = Block(arg_types=[AbstractTensor(spec.shape, spec.element_type).type for _, spec in arguments])
    tracer = Tracer(block, resources)
    tracer.names.add(name)
    for argument, (argument_name, spec) in zip(block.args, arguments, strict=True):
        argument.location = location
        argument.name_hint = SSAValue.extract_valid_name(argument_name.replace(".", "_"))
        tracer.builder.declare(argument, AbstractTensor(spec.shape, spec.element_type))
        tracer.remember_sizes(argument)
    remaining = iter(block.args)
    traced = [shape.unflatten([Traced(next(remaining)) for _ in found]) for found, shape in trees]
    with tracing(tracer):
        tracer.builder.location = location
        outputs, result_structure = flatten(function(*traced))
        results = list(zip(_result_names(result_structure), outputs, strict=True))
        values = [as_value(leaf) for _, leaf in results]
        shapes = [tracer.builder.shape(value) for value in values]
    return_op = ReturnOp(*values)
    return_op.location = location
    block.add_op(return_op)
    names = [argument_name for argument_name, _ in arguments]
    argument_types = [(spec.shape, argument.type) for argument, (_, spec) in zip(block.args, arguments, strict=True)]
    result_types = [(shape, value.type) for shape, value in zip(shapes, values, strict=True)]
    result_names = [result_name for result_name, _ in results]
    aliases = _aliases(donate, names, argument_types, result_names, result_types)
    main = FuncOp(
        name,
        ([argument.type for argument in block.args], [value.type for value in values]),
        Region(block),
        arg_attrs=ArrayAttr([described(argument_name, spec.shape) for argument_name, spec in arguments]),
        res_attrs=ArrayAttr(
            [
                described(result_name, shape, aliases.get(index))
                for index, ((result_name, _), shape) in enumerate(zip(results, shapes, strict=True))
            ]
        ),
    )
    main.location = location
    module = tracer.module
    Rewriter.insert_op(main, InsertPoint.at_start(module.body.block))
    module.location = location
    try:
        module.verify()
    except VerifyException as error:
        raise LaminaError(str(error)) from error
    return TracedModule(module, resources, tuple(_named_parameters(parameters, names)), result_structure)


def _spec_of(leaf: Any) -> Any:
    """The spec that an array stands for; everything else as it is."""
    if not isinstance(leaf, np.ndarray):
        return leaf
    array = cast(Array, leaf)
    return Spec(array.shape, array.dtype)


def _named_specs(
    parameters: Sequence[tuple[str, Structure]], trees: Sequence[Sequence[Any]]
) -> Iterator[tuple[str, Spec]]:
    """The leaves of the specs with the arguments' names."""
    seen: set[str] = set()
    for (parameter, shape), tree in zip(parameters, trees, strict=True):
        for path, leaf in zip(shape.paths(parameter), tree, strict=True):
            found = _spec_of(leaf)
            if not isinstance(found, Spec):
                raise LaminaError(f"argument '{path}': expected lamina.spec(…) or an array, found {leaf!r}")
            name = found.name or path
            if name in seen:
                raise LaminaError(f"two arguments are named '{name}'")
            seen.add(name)
            yield name, found


def _named_parameters(
    parameters: Sequence[tuple[str, Structure]], names: Sequence[str]
) -> Iterator[tuple[str, Structure]]:
    """The parameters, those of one leaf under the leaf's name."""
    first = 0
    for parameter, shape in parameters:
        yield (names[first] if shape.is_leaf else parameter), shape
        first += shape.count


def _check_has_values(function: Callable[..., Any]) -> None:
    """Raises LaminaError for a module that is traced itself while it has specs for parameters."""
    without = [path for path, leaf in leaves(function) if isinstance(leaf, Spec)]
    if without:
        raise LaminaError(
            f"parameter '{without[0]}' has no value" + (f", nor have {len(without) - 1} more" if without[1:] else ""),
            hints=(
                "give values with nn.initialize(module, seed) or nn.load(module, path)",
                "or make the parameters arguments: lamina.trace(lambda module, x: module(x), module, …)",
            ),
        )


def parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the first parameters; the rest of `*parameters` are numbered."""
    names: list[str] = []
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}{index}" for index in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return [*names[:count], *(f"input{index}" for index in range(len(names), count))]


def _result_names(results: Structure) -> list[str]:
    """Names for the leaves of what a function gave; raises LaminaError where there are none."""
    if not results.count:
        raise LaminaError("the function gives no result", hints=("does it lack a return?",))
    return [f"output{path}" if path[:1].isdigit() else path or "output" for path in results.paths()]


Typed: TypeAlias = "tuple[Shape, Attribute]"


def _aliases(
    donate: Donations,
    names: Sequence[str],
    arguments: Sequence[Typed],
    result_names: Sequence[str],
    results: Sequence[Typed],
) -> dict[int, int]:
    """For results that are written into an argument's storage, the position of the argument."""
    aliases: dict[int, int] = {}
    chosen = donate if isinstance(donate, Mapping) else dict.fromkeys(donate)
    for key, result in chosen.items():
        for argument in _donated(key, names):
            if result is None:
                fitting = [i for i, other in enumerate(results) if other == arguments[argument] and i not in aliases]
                index = _preferred(names[argument], fitting, result_names)
            else:
                index = result
            if index is None or not 0 <= index < len(results):
                raise LaminaError(
                    f"donate: no result {'of the type of' if index is None else f'{index} for'} '{names[argument]}'"
                )
            if index in aliases or argument in aliases.values():
                raise LaminaError(f"donate: result {index} or argument '{names[argument]}' is given twice")
            if arguments[argument] != results[index]:
                raise LaminaError(
                    f"donate: expected result {index} to have the type of '{names[argument]}', "
                    f"{_text(arguments[argument])}, found {_text(results[index])}"
                )
            aliases[index] = argument
    return aliases


def _donated(key: str | int, names: Sequence[str]) -> list[int]:
    if isinstance(key, int):
        if not 0 <= key < len(names):
            raise LaminaError(f"donate: expected an argument within [0, {len(names)}), found {key}")
        return [key]
    found = [index for index, name in enumerate(names) if name == key or name.startswith(key + ".")]
    if not found:
        raise LaminaError(f"donate: no argument is named '{key}'", hints=(f"the arguments: {', '.join(names)}",))
    return found


def _preferred(name: str, fitting: Sequence[int], result_names: Sequence[str]) -> int | None:
    """The first result at the argument's place in its tree (`0.weight` for `state.weight`), else the first."""
    _, _, path = name.partition(".")
    same_path = (index for index in fitting if path and result_names[index].partition(".")[2] == path)
    return next(same_path, next(iter(fitting), None))


def _text(typed: Typed) -> str:
    shape, type_ = typed
    return f"{type_} of sizes {list(shape)}"


def described(name: str, shape: Shape, alias: int | None = None) -> DictionaryAttr:
    """What a function's argument or result says of itself."""
    attributes: dict[str, Attribute] = {
        "lamina.name": StringAttr(name),
        "lamina.dims": ArrayAttr([StringAttr(str(dim)) for dim in shape]),
    }
    if alias is not None:
        attributes["lamina.alias"] = IntegerAttr(alias, i64)
    return DictionaryAttr(attributes)
