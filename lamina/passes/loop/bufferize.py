"""Tensors become buffers: kernels write their destinations, entry functions get an arena and output arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, SymbolRefAttr

from lamina.diagnostics import error_at
from lamina.dialects.loop.types import is_tensor
from lamina.passes.base import LaminaPass
from lamina.passes.loop.bufferizer import (
    Bufferizer,
    GlobalConstants,
    buffer_type,
    replace_terminator,
    underlying,
)
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.destinations import (
    IN_PLACE,
    DestinationCheck,
    chain_start,
    in_place_pairs,
    split_shared_empties,
)
from lamina.passes.loop.entry_points import EntryPoint, is_entry_point


@dataclass(frozen=True)
class BufferizePass(LaminaPass):
    """Replace tensors by buffers, structurally: an op writes into the buffer of its destination operand.

        func.func private @k(%x: tensor<4xf32>, %d: tensor<4xf32>) -> tensor<4xf32> {
          %y = linalg.generic ins(%x) outs(%d) {…}
          return %y
        }
        func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
          %e = tensor.empty()
          %y = call @k(%x, %e)
          return %y
        }
    →
        func.func private @k(%x: memref<4xf32>, %d: memref<4xf32>) {
          linalg.generic ins(%x) outs(%d) {…}
          return
        }
        func.func @main(%arena: memref<?xi8>, %x: memref<4xf32>, %y: memref<4xf32>) {
          call @k(%x, %y)
          return
        }
        func.func @main.plan() -> index { return %zero }

    Entry functions are those that are not private; `NAME.plan` takes the dynamic sizes of the inputs in order and
    returns the bytes of the arena (0 until `plan-arena`) and the dynamic sizes of the output arguments. Every
    `memref.alloc` has its `memref.dealloc` at the end of its block. Constants become globals. A result with
    `lamina.alias` has no output argument; it is written to that input, directly where nothing reads the input later.
    Raises LaminaError for an op that would need a copy, and for a result whose size depends on data.
    """

    name = "bufferize"
    requires: ClassVar[frozenset[str]] = frozenset({"linalg"})
    ensures: ClassVar[frozenset[str]] = frozenset({"buffers"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = {
            function.sym_name.data: function
            for function in op.ops
            if isinstance(function, func.FuncOp) and function.body.blocks
        }
        constants = GlobalConstants(op)
        entries = [
            EntryPoint(function, functions, constants) for function in functions.values() if is_entry_point(function)
        ]
        # In-place calls are decided on tensors, before any function changes.
        constants.in_place = in_place_pairs(functions.values())
        for entry in entries:
            entry.assign_outputs()
        for function in functions.values():
            if not is_entry_point(function):
                bufferize_kernel(function, constants)
        for declaration in op.ops:
            if isinstance(declaration, func.FuncOp) and not declaration.body.blocks:
                bufferize_declaration(declaration)
        for entry in entries:
            op.body.block.add_op(entry.bufferize())
        for function in functions.values():
            erase_dead_ops(function.body.block)
        take_twins(op, functions)


def take_twins(module: ModuleOp, functions: Mapping[str, func.FuncOp]) -> None:
    """Let calls that update a buffer in place call the kernel that does only that; drop kernels that nothing calls."""
    twins: dict[str, func.FuncOp] = {}
    for name, function in functions.items():
        twin = function.attributes.pop(IN_PLACE, None)
        if isinstance(twin, SymbolRefAttr):
            twins[name] = functions[twin.string_value()]
    if not twins:
        return
    called: set[str] = set()
    for call in [op for op in module.walk() if isinstance(op, func.CallOp)]:
        twin = twins.get(call.callee.string_value())
        if twin is not None:
            target = underlying(call.operands[-1])
            if any(underlying(operand) is target for operand in call.operands[:-1]):
                call.callee = SymbolRefAttr(twin.sym_name.data)
        called.add(call.callee.string_value())
    for name, twin in twins.items():
        for function in (functions[name], twin):
            if function.sym_name.data not in called:
                function.detach()
                function.erase()


def bufferize_declaration(function: func.FuncOp) -> None:
    """A function from outside takes buffers for tensors; its last arguments are the destinations of its results."""
    inputs = [buffer_type(type_) if is_tensor(type_) else type_ for type_ in function.function_type.inputs]
    outputs = [type_ for type_ in function.function_type.outputs if not is_tensor(type_)]
    function.function_type = FunctionType.from_lists(inputs, outputs)


def bufferize_kernel(function: func.FuncOp, constants: GlobalConstants) -> None:
    """Replace tensors by buffers in a function that is given a destination for each of its results."""
    block = function.body.block
    first_target = len(block.args) - len(function.function_type.outputs)
    split_shared_empties(block)
    DestinationCheck(block.args[first_target:]).block(block)
    terminator = block.last_op
    if terminator is None:
        return
    for index, value in enumerate(terminator.operands):
        if chain_start(value) is not block.args[first_target + index]:
            raise error_at(terminator, f"result {index} of '{function.sym_name.data}' is not in its destination")
    bufferizer = Bufferizer(function, constants)
    bufferizer.block(block)
    replace_terminator(block, func.ReturnOp())
    bufferizer.release(block)
    function.function_type = FunctionType.from_lists(block.arg_types, [])
    function.properties.pop("res_attrs", None)
