"""`inline-calls`: a model is one function before kernels are formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter
from xdsl.traits import SymbolTable

from lamina.diagnostics import LaminaError, location_text
from lamina.passes.base import LaminaPass

KERNEL = "lamina.kernel"


@dataclass(frozen=True)
class InlineCallsPass(LaminaPass):
    """Put the bodies of called functions in place of the calls; private functions that are left uncalled go.

    ```mlir
    func.func private @square(%x: …) { %y = graph.multiply %x, %x … }      →      func.func @main(%a: …) {
    func.func @main(%a: …) {                                                        %b = graph.multiply %a, %a
      %b = func.call @square(%a)                                                    …
    ```

    Kernels, and functions without a body, stay as they are. Raises LaminaError for functions that call themselves.
    """

    name = "inline-calls"
    counters: ClassVar[dict[str, str]] = {"inlined": "calls replaced by the body of their function"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [inner for inner in op.ops if isinstance(inner, func.FuncOp) and inner.body.blocks]
        done: set[str] = set()
        for function in functions:
            self.inline_into(function, done, ())
        called = {call.callee.string_value() for call in op.walk() if isinstance(call, func.CallOp)}
        for function in functions:
            private = function.sym_visibility == StringAttr("private")
            if private and KERNEL not in function.attributes and function.sym_name.data not in called:
                Rewriter.erase_op(function)

    def inline_into(self, function: func.FuncOp, done: set[str], path: tuple[str, ...]) -> None:
        """Inline all calls in a function, those in its callees first."""
        name = function.sym_name.data
        if name in path:
            raise LaminaError(
                f"@{name} calls itself: {' → '.join(f'@{one}' for one in (*path, name))}",
                where=location_text(function.location),
                hints=("write the recursion as graph.while or graph.scan",),
            )
        if name in done:
            return
        for call in [inner for inner in function.walk() if isinstance(inner, func.CallOp)]:
            callee = SymbolTable.lookup_symbol(call, call.callee)
            if isinstance(callee, func.FuncOp) and callee.body.blocks and KERNEL not in callee.attributes:
                self.inline_into(callee, done, (*path, name))
                inline(call, callee)
                self.count("inlined")
        done.add(name)


def inline(call: func.CallOp, callee: func.FuncOp) -> None:
    """Replace a call by a copy of the callee's body."""
    block = call.parent_block()
    assert block is not None
    mapper: dict[SSAValue, SSAValue] = dict(zip(callee.body.block.args, call.operands, strict=True))
    returned: list[SSAValue] = []
    for op in callee.body.block.ops:
        if isinstance(op, func.ReturnOp):
            returned = [mapper.get(value, value) for value in op.operands]
            continue
        copy = op.clone(mapper)
        for old, new in zip(op.walk(), copy.walk(), strict=True):
            new.location = old.location
        block.insert_op_before(copy, call)
    for result, value in zip(call.results, returned, strict=True):
        value.name_hint = value.name_hint or result.name_hint
        result.replace_all_uses_with(value)
    Rewriter.erase_op(call)
