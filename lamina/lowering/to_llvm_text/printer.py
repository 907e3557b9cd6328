"""From the hardware level to LLVM IR text: which functions go into which LLVM module, and the modules' text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xdsl.dialects import func
from xdsl.dialects.builtin import DenseResourceAttr, ModuleOp, UnitAttr, VectorType
from xdsl.ir import Attribute, Operation

from lamina.diagnostics import LaminaError, location_text
from lamina.lowering.to_llvm_text.abi import wrapper
from lamina.lowering.to_llvm_text.affine import AFFINE_CASES
from lamina.lowering.to_llvm_text.aliasing import exclusive_arguments
from lamina.lowering.to_llvm_text.control_flow import CONTROL_FLOW_CASES
from lamina.lowering.to_llvm_text.elementwise import ELEMENTWISE_CASES
from lamina.lowering.to_llvm_text.function import Case
from lamina.lowering.to_llvm_text.functions import FUNCTION_CASES, define_function, result_types
from lamina.lowering.to_llvm_text.memory import MEMORY_CASES
from lamina.lowering.to_llvm_text.module import ModuleText, Program
from lamina.lowering.to_llvm_text.parallel import PARALLEL_CASES
from lamina.lowering.to_llvm_text.target import LlvmTarget
from lamina.lowering.to_llvm_text.vector_operations import VECTOR_CASES
from lamina.lowering.to_llvm_text.vector_transfer import TRANSFER_CASES
from lamina.passes.loop.vectorize_loops import OPTIMIZED

CASES: Mapping[str, Case] = {
    **ELEMENTWISE_CASES,
    **AFFINE_CASES,
    **MEMORY_CASES,
    **TRANSFER_CASES,
    **VECTOR_CASES,
    **CONTROL_FLOW_CASES,
    **PARALLEL_CASES,
    **FUNCTION_CASES,
}
"""Every op that has a translation, by name: upstream's ops may be xDSL's classes or ours."""

EXPLICIT, SCALAR = "explicit", "scalar"


class LlvmModule(NamedTuple):
    """One LLVM module. `optimize`: run LLVM's pipeline before code generation; on explicit vectors it would spill."""

    name: str
    text: str
    optimize: bool


@dataclass(frozen=True)
class LlvmProgram:
    """The LLVM modules of one MLIR module; they link against each other by hidden symbols.

    `constants` are the resource keys in the order of `context.constants`; `entry_points` the exported wrappers' names
    (`lamina.main`) by function; `externals` the C functions (libm) that must be resolved.
    """

    modules: tuple[LlvmModule, ...]
    constants: tuple[str, ...]
    entry_points: Mapping[str, str]
    externals: tuple[str, ...]


@dataclass(frozen=True)
class LlvmText:
    """The same as one module."""

    text: str
    constants: tuple[str, ...]
    entry_points: Mapping[str, str]
    externals: tuple[str, ...]


def print_llvm_text(
    module: ModuleOp, *, target: LlvmTarget | None = None, functions: Collection[str] | None = None
) -> LlvmText:
    """All functions, or those named and what they call, as one LLVM module.

    `target` defaults to the module's `lamina.target`. Raises LaminaError, with the location, for an op or a type that
    has no translation.
    """
    program = _program(module, target or LlvmTarget.of(module))
    names = _reachable(program.functions, functions)
    text, entry_points = _print_module(program, names, names)
    return LlvmText(text.text(), tuple(program.constants), entry_points, tuple(sorted(text.externals)))


def print_llvm(module: ModuleOp, *, target: LlvmTarget | None = None, partitions: int = 4) -> LlvmProgram:
    """Functions with explicit vectors and scalar functions as separate modules, each kind in up to `partitions`.

    A module of scalar functions is to be optimized by LLVM, one of explicit vectors only compiled. Raises LaminaError
    as `print_llvm_text` does.
    """
    program = _program(module, target or LlvmTarget.of(module))
    defined = {name: function for name, function in program.functions.items() if function.body.blocks}
    kinds = {name: _kind(function) for name, function in defined.items()}
    modules: list[LlvmModule] = []
    entry_points: dict[str, str] = {}
    externals: set[str] = set()
    for kind in (EXPLICIT, SCALAR):
        names = [name for name in defined if kinds[name] == kind]
        for number, group in enumerate(_balanced(names, defined, partitions)):
            text, entries = _print_module(program, group, _private_to(group, defined))
            modules.append(LlvmModule(f"{kind}{number}", text.text(), kind == SCALAR))
            entry_points |= entries
            externals |= text.externals
    return LlvmProgram(tuple(modules), tuple(program.constants), entry_points, tuple(sorted(externals)))


def _program(module: ModuleOp, target: LlvmTarget) -> Program:
    from lamina.dialects.loop.memref import GlobalOp

    functions: dict[str, func.FuncOp] = {}
    globals_: dict[str, GlobalOp] = {}
    constants: dict[str, int] = {}
    for op in module.ops:
        if isinstance(op, func.FuncOp):
            functions[op.sym_name.data] = op
        elif isinstance(op, GlobalOp):
            globals_[op.sym_name.data] = op
            if isinstance(op.initial_value, DenseResourceAttr):
                constants.setdefault(op.initial_value.resource_handle.data, len(constants))
        else:
            raise LaminaError(f"no LLVM translation for '{op.name}'", where=location_text(op.location))
    defined = {name: function for name, function in functions.items() if function.body.blocks}
    return Program(target, functions, globals_, constants, exclusive_arguments(defined))


def _print_module(
    program: Program, names: Sequence[str], internal: Collection[str]
) -> tuple[ModuleText, dict[str, str]]:
    """The text of some functions; those not `internal` are hidden symbols for the other modules."""
    text = ModuleText(program, CASES)
    entry_points: dict[str, str] = {}
    for name in names:
        function = program.functions[name]
        define_function(text, function, "internal" if name in internal else "hidden")
        if isinstance(_attribute(function, "llvm.emit_c_interface"), UnitAttr):
            entry_points[name] = wrapper(text, function, result_types(function))
    return text, entry_points


def _attribute(op: Operation, name: str) -> Attribute | None:
    return op.attributes.get(name) or op.properties.get(name)


def _kind(function: func.FuncOp) -> str:
    """Whether a function has explicit vectors, for which LLVM's pipeline is of no use."""
    if OPTIMIZED in function.attributes:
        return SCALAR
    has_vectors = any(
        isinstance(value.type, VectorType) for op in function.walk() for value in (*op.operands, *op.results)
    )
    return EXPLICIT if has_vectors else SCALAR


def _callees(function: func.FuncOp) -> list[str]:
    return [op.callee.string_value() for op in function.walk() if isinstance(op, func.CallOp)]


def _reachable(functions: Mapping[str, func.FuncOp], roots: Collection[str] | None) -> list[str]:
    """The defined functions, in the module's order, that are called from `roots`, or all."""
    defined = [name for name, function in functions.items() if function.body.blocks]
    if roots is None:
        return defined
    missing = [name for name in roots if name not in defined]
    if missing:
        raise LaminaError(f"there is no function '{missing[0]}'", hints=(f"the functions are {', '.join(defined)}",))
    found: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in found and functions[name].body.blocks:
            found.add(name)
            pending += _callees(functions[name])
    return [name for name in defined if name in found]


def _private_to(group: Sequence[str], defined: Mapping[str, func.FuncOp]) -> set[str]:
    """The functions of a group that no function outside it calls."""
    members = set(group)
    called = {callee for name, function in defined.items() if name not in members for callee in _callees(function)}
    return members - called


def _balanced(names: Sequence[str], functions: Mapping[str, func.FuncOp], partitions: int) -> list[list[str]]:
    """The names in up to `partitions` groups of about equal numbers of ops."""
    groups: list[list[str]] = [[] for _ in range(min(partitions, len(names)))]
    loads = [0] * len(groups)
    sizes = {name: sum(1 for _ in functions[name].walk()) for name in names}
    for name in sorted(names, key=lambda name: -sizes[name]):
        lightest = loads.index(min(loads))
        groups[lightest].append(name)
        loads[lightest] += sizes[name]
    order = {name: position for position, name in enumerate(names)}
    return [sorted(group, key=order.__getitem__) for group in groups]
