"""Verification of a module as xDSL does it, with one table of functions for all calls.

xDSL looks for the callee of each call among all ops of the module, which takes longer than all other checks together
where there are hundreds of kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import ErasedSSAValue, Operation
from xdsl.irdl import traits_def
from xdsl.traits import SymbolTable, SymbolUserOpInterface

_DEFINITION = func.CallOp.get_irdl_definition()
_CALL_ALONE = replace(
    _DEFINITION,
    traits=traits_def(*(trait for trait in _DEFINITION.traits if not isinstance(trait, SymbolUserOpInterface))),
)
"""A call without the look at what it calls."""


def verify_module(module: ModuleOp) -> None:
    """Check all invariants of a module, what is nested in it first; raises as `Operation.verify` does."""
    _verify(module, {})


def _verify(op: Operation, functions: Mapping[str, func.FuncOp]) -> None:
    if op.has_trait(SymbolTable, value_if_unregistered=False):
        functions = {
            inner.sym_name.data: inner
            for region in op.regions
            for block in region.blocks
            for inner in block.ops
            if isinstance(inner, func.FuncOp)
        }
    for region in op.regions:
        for block in region.blocks:
            if block.parent is not region:
                raise ValueError("Parent pointer of block does not refer to containing region")
            if not block.ops:
                block.verify()
            for inner in block.ops:
                if inner.parent is not block:
                    raise ValueError("Parent pointer of operation does not refer to containing region")
                _verify(inner, functions)
    if isinstance(op, func.CallOp) and _agrees_with_callee(op, functions):
        _CALL_ALONE.verify(op)
    else:
        op.verify(verify_nested_ops=False)


def _agrees_with_callee(call: func.CallOp, functions: Mapping[str, func.FuncOp]) -> bool:
    """Whether all is well but for what `_CALL_ALONE` checks; where not, xDSL's own check has the message."""
    callee = functions.get(call.callee.root_reference.data)
    if callee is None or call.callee.nested_references.data or call.next_op is None or call.successors:
        return False
    if any(isinstance(operand, ErasedSSAValue) for operand in call.operands):
        return False
    types = callee.function_type
    return (
        types.inputs.data == tuple(operand.type for operand in call.operands)
        and types.outputs.data == tuple(result.type for result in call.results)
    )  # fmt: skip
