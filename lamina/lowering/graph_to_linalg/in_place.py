"""Twins of kernels for calls in which the result lies in the buffer of an operand: they write what differs.

`bufferize` takes the twin for a call whose operand and destination are one buffer, and drops twins that no call needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerAttr, ModuleOp, StringAttr, SymbolRefAttr
from xdsl.ir import Operation, SSAValue

from lamina.dialects.tensor import tensor
from lamina.lowering.graph_to_linalg.body import Rules
from lamina.lowering.graph_to_linalg.data_movement import clamped_start, elements
from lamina.lowering.graph_to_linalg.emitter import Tensor
from lamina.lowering.graph_to_linalg.kernel import lower_kernel
from lamina.lowering.graph_to_linalg.scatter import lower_scatter
from lamina.lowering.graph_to_linalg.stages import Lowering, StageRule
from lamina.passes.graph.share_kernels import kernels_of
from lamina.passes.loop.destinations import IN_PLACE

SUFFIX = "_in_place"


def updating_kernels(callers: Iterable[func.FuncOp]) -> set[str]:
    """The kernels called with an argument that a result of theirs is written into (`lamina.alias`)."""
    found: set[str] = set()
    for caller in callers:
        terminator = caller.body.block.last_op
        for index, attributes in enumerate(caller.res_attrs or ()):
            alias = attributes.data.get("lamina.alias")
            if not isinstance(alias, IntegerAttr) or not isinstance(terminator, func.ReturnOp):
                continue
            call, position = terminator.operands[index].owner, alias.value.data
            if isinstance(call, func.CallOp) and 0 <= position < len(caller.body.block.args):
                argument = caller.body.block.args[position]
                found |= {call.callee.string_value()} if argument in call.operands else set()
    return found


def make_twins(module: ModuleOp, rules: Rules) -> None:
    """Put a twin behind every kernel that is one op of `UPDATES`, and name it in the kernel's `lamina.in_place`."""
    names = {op.sym_name.data for op in module.ops if isinstance(op, func.FuncOp)}
    twin_rules = replace(rules, stage={**rules.stage, **UPDATES})
    for kernel in kernels_of(module):
        ops = [op.name for op in kernel.body.block.ops if not isinstance(op, func.ReturnOp)]
        if len(ops) != 1 or ops[0] not in UPDATES:
            continue
        name = kernel.sym_name.data + SUFFIX
        while name in names:
            name += "_"
        names.add(name)
        twin = kernel.clone()
        twin.location = kernel.location
        twin.sym_name = StringAttr(name)
        module.body.block.insert_op_after(twin, kernel)
        lower_kernel(twin, twin_rules)
        kernel.attributes[IN_PLACE] = SymbolRefAttr(name)


def _insert_window(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """The update, put into a destination that holds the operand: `tensor.insert_slice` at the clamped starts."""
    function = lowering.function
    operand, update = op.operands[0], op.operands[1]
    sizes, extents = function.shape(operand), function.shape(update)
    starts = [
        clamped_start(function, start, size - extent)
        for start, size, extent in zip(elements(function, op, 2), sizes, extents, strict=True)
    ]
    value = function.values[update]
    shape = cast(Tensor, value.type).get_shape()
    insertion = tensor.InsertSliceOp.get(
        value,
        destination,
        shape,
        static_offsets=[start if isinstance(start, int) else DYNAMIC_INDEX for start in starts],
        offsets=[start for start in starts if not isinstance(start, int)],
        sizes=[function.size(extent) for extent, size in zip(extents, shape, strict=True) if size == DYNAMIC_INDEX],
    )
    return function.append(insertion).results[0]


def _scatter_rows(lowering: Lowering, op: Operation, destination: SSAValue, permutation: Sequence[int]) -> SSAValue:
    """The updates, one after the other, in a destination that holds the operand."""
    return lower_scatter(lowering, op, destination, permutation, holds_operand=True)


UPDATES: Mapping[str, StageRule] = {"graph.dynamic_update_slice": _insert_window, "graph.scatter": _scatter_rows}
"""Ops whose result is an operand but for a part, and how that part is written."""
