"""A kernel: graph ops on its arguments become stages that write to its destinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, FunctionType
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue

from lamina.lowering.graph_to_linalg.body import Rules
from lamina.lowering.graph_to_linalg.data_movement import ELEMENT_OPERANDS, size_symbols
from lamina.lowering.graph_to_linalg.emitter import INDEX, FunctionScope, signless_type
from lamina.lowering.graph_to_linalg.normalize import normalize
from lamina.lowering.graph_to_linalg.plan import Planner, Stage
from lamina.lowering.graph_to_linalg.stages import Lowering
from lamina.passes.graph.shape_analysis import ShapeAnalysis


@dataclass(frozen=True)
class KernelSignature:
    """How a kernel is called: the operands that stay tensors, then symbols as `index` values, then destinations."""

    tensors: tuple[int, ...]
    symbols: tuple[str, ...]


def lower_kernel(kernel: func.FuncOp, rules: Rules, *, keeps_operands: bool = False) -> KernelSignature:
    """Replace a kernel's body and signature: (inputs…) -> results becomes (inputs…, sizes…, destinations…) -> results.

    Inputs of which only the elements are used, as sizes, become `index` arguments. With `keeps_operands`, destinations
    hold nothing but results, since they may be the buffers of inputs: a contraction is summed up elsewhere.
    """
    source = kernel.body.block
    normalize(source)
    function = FunctionScope(ShapeAnalysis(kernel), rules, location=kernel.location)
    terminator = source.last_op
    assert isinstance(terminator, func.ReturnOp)
    ops = [op for op in source.ops if op is not terminator]
    signature = _signature(function, source, ops)
    kept = [source.args[index] for index in signature.tensors]
    results = list(terminator.arguments)
    result_types = [signless_type(type_) for type_ in kernel.function_type.outputs]
    inputs = [*(signless_type(argument.type) for argument in kept), *[INDEX] * len(signature.symbols), *result_types]

    block = Block(arg_types=inputs)
    for old, new in zip(kept, block.args, strict=False):
        function.values[old] = new
        new.name_hint = old.name_hint
    for name, size in zip(signature.symbols, block.args[len(kept) :], strict=False):
        function.sizes[name] = size
        size.name_hint = name
    returned = lower_stages(
        function, ops, results, block.args[len(inputs) - len(results) :], keeps_operands=keeps_operands
    )
    function.location = terminator.location
    function.append(func.ReturnOp(*returned))
    block.add_ops(function.finished_ops())
    attributes = list(kernel.arg_attrs) if kernel.arg_attrs is not None else [DictionaryAttr({})] * len(source.args)
    replace_body(kernel, block, result_types, [attributes[index] for index in signature.tensors])
    return signature


def _signature(function: FunctionScope, block: Block, ops: Sequence[Operation]) -> KernelSignature:
    dropped = {argument for argument in block.args if _only_elements_used(argument)}
    needed = {name for op in ops for name in size_symbols(function.analysis, op)}
    symbols = sorted(
        name for name in needed if (origin := function.analysis.origin(name)) is not None and origin.value in dropped
    )
    return KernelSignature(tuple(argument.index for argument in block.args if argument not in dropped), tuple(symbols))


def _only_elements_used(argument: BlockArgument) -> bool:
    """Whether a tensor is used for nothing but its elements as sizes."""
    return all(
        use.index in ELEMENT_OPERANDS.get(use.operation.name, ()) and use.operation.name not in SIZE_OPS
        for use in argument.uses
    )


SIZE_OPS = frozenset(("graph.shape_of", "graph.dimension"))
"""Ops that use the sizes of their operand, which only the tensor has."""


def lower_stages(
    function: FunctionScope,
    ops: Sequence[Operation],
    results: Sequence[SSAValue],
    destinations: Sequence[SSAValue],
    *,
    keeps_operands: bool = False,
) -> list[SSAValue]:
    """Plan and lower `ops`; each result ends in its destination. Returns the updated destinations."""
    stages = Planner(function, ops, results).plan()
    if keeps_operands:
        stages = [replace(stage, in_place=False) for stage in stages]
    destination_of: dict[SSAValue, SSAValue] = {}
    for value, destination in zip(results, destinations, strict=True):
        if isinstance(value, OpResult):
            destination_of.setdefault(value, destination)

    def new_destination(stage: Stage) -> SSAValue:
        return destination_of.get(stage.value) or function.empty_like(stage.value)

    overwritten = {stage.epilogue_of: stage for stage in stages if stage.in_place}
    lowering = Lowering(function)
    for stage in stages:
        owner = stage.root.owner
        assert isinstance(owner, Operation)
        function.location = owner.location
        last = overwritten.get(stage.value)
        if last is not None:
            target = new_destination(last)
            stage = Stage(stage.value, stage.root, last.permutation)
        elif stage.in_place and stage.epilogue_of is not None:
            target = function.values[stage.epilogue_of]
        else:
            target = new_destination(stage)
        function.values[stage.value] = lowering.lower(stage, target)
    return [
        function.values[value] if destination_of.get(value) is destination else lowering.copy(value, destination)
        for value, destination in zip(results, destinations, strict=True)
    ]


def replace_body(
    function: func.FuncOp,
    block: Block,
    result_types: Sequence[Attribute],
    argument_attributes: Sequence[DictionaryAttr],
) -> None:
    """Give a function a new body, and the type that goes with it; arguments beyond `argument_attributes` have none."""
    function.body.erase_block(0, safe_erase=False)
    function.body.add_block(block)
    types = [argument.type for argument in block.args]
    function.function_type = FunctionType.from_lists(types, list(result_types))
    missing = len(types) - len(argument_attributes)
    function.arg_attrs = ArrayAttr([*argument_attributes, *[DictionaryAttr({})] * missing])
