"""Which buffer arguments of a function no other argument of the same call overlaps (LLVM's `noalias`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TypeAlias

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerAttr, MemRefType
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

VIEWS = frozenset(
    {
        "builtin.unrealized_conversion_cast",
        "memref.assume_alignment",
        "memref.cast",
        "memref.collapse_shape",
        "memref.expand_shape",
        "memref.memory_space_cast",
        "memref.reinterpret_cast",
        "memref.subview",
    }
)
Root: TypeAlias = object
Pair: TypeAlias = tuple[int, int]


def exclusive_arguments(functions: Mapping[str, func.FuncOp]) -> dict[str, frozenset[int]]:
    """By function: the positions of buffer arguments that are alone in every call of the module.

    A function that is not called here is taken to be called with distinct buffers when `llvm.noalias` stands on the
    argument. Two parts of the arena at different offsets are distinct: what lives at once does not overlap there.
    """
    calls: dict[str, list[tuple[str, Operation]]] = {name: [] for name in functions}
    for name, function in functions.items():
        for op in function.walk():
            if isinstance(op, func.CallOp) and (callee := op.callee.string_value()) in calls:
                calls[callee].append((name, op))
    overlapping: dict[str, set[Pair]] = {name: _declared_overlaps(function) for name, function in functions.items()}
    changed = True
    while changed:
        changed = False
        for name, sites in calls.items():
            for caller, site in sites:
                found = _overlaps(site, functions[caller], overlapping[caller])
                if not found <= overlapping[name]:
                    overlapping[name] |= found
                    changed = True
    result: dict[str, frozenset[int]] = {}
    for name, function in functions.items():
        buffers = _buffer_positions(function.function_type.inputs)
        if not calls[name]:
            buffers = [position for position in buffers if _has(function, position, "llvm.noalias")]
        shared = {position for pair in overlapping[name] for position in pair}
        result[name] = frozenset(buffers) - shared
    return result


def _buffer_positions(types: Iterable[Attribute]) -> list[int]:
    return [position for position, type_ in enumerate(types) if isinstance(type_, MemRefType)]


def _attributes(function: func.FuncOp, position: int) -> Mapping[str, Attribute]:
    lists: ArrayAttr[DictionaryAttr] | None = function.arg_attrs
    return {} if lists is None else lists.data[position].data


def _has(function: func.FuncOp, position: int, name: str) -> bool:
    return name in _attributes(function, position)


def _declared_overlaps(function: func.FuncOp) -> set[Pair]:
    """Arguments that stand for one storage: `lamina.alias = 0` on an argument is argument 0's."""
    pairs: set[Pair] = set()
    for position in range(len(function.function_type.inputs)):
        alias = _attributes(function, position).get("lamina.alias")
        if isinstance(alias, IntegerAttr):
            pairs.add((min(position, alias.value.data), max(position, alias.value.data)))
    return pairs


def _root(value: SSAValue) -> Root:
    """What a buffer is part of: an argument, an allocation, or a place in the arena."""
    while isinstance(value, OpResult):
        op = value.op
        if op.name in VIEWS:
            value = op.operands[0]
        elif op.name == "memref.view":
            return (_root(op.operands[0]), _offset(op.operands[1]))
        elif op.name == "memref.get_global":
            return op.properties["name"]
        else:
            break
    return value


def _offset(value: SSAValue) -> Root:
    if isinstance(value, OpResult) and value.op.name == "arith.constant":
        return value.op.properties["value"]
    return value


def _overlaps(call: Operation, caller: func.FuncOp, overlapping: set[Pair]) -> set[Pair]:
    """Pairs of the call's buffer operands that may overlap."""
    positions = _buffer_positions(operand.type for operand in call.operands)
    roots = {position: _root(call.operands[position]) for position in positions}
    entry = caller.body.blocks.first
    return {
        (first, second)
        for first, second in combinations(positions, 2)
        if roots[first] == roots[second] or _pair(roots[first], roots[second], entry) in overlapping
    }


def _pair(first: Root, second: Root, entry: Block | None) -> Pair:
    numbers = [entry.args.index(root) if entry is not None and root in entry.args else -1 for root in (first, second)]
    return (min(numbers), max(numbers))
