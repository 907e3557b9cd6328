"""`share-kernels`: identical kernels become one function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import ClassVar, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, FusedLoc, LocationAttr, ModuleOp, NoneAttr, StringAttr, SymbolRefAttr
from xdsl.ir import Attribute
from xdsl.printer import Printer
from xdsl.rewriter import Rewriter

from lamina.diagnostics import remark
from lamina.passes.base import LaminaPass
from lamina.passes.graph.rewriting import UNKNOWN

KERNEL = "lamina.kernel"


@dataclass(frozen=True)
class ShareKernelsPass(LaminaPass):
    """Merge kernels whose text is the same up to the function's name, locations left aside.

    ```mlir
    func.call @dot_general_add(%x, %w0, %b0)          →      func.call @dot_general_add(%x, %w0, %b0)
    func.call @dot_general_add_1(%y, %w1, %b1)               func.call @dot_general_add(%y, %w1, %b1)
    ```

    The first of several stays. Its ops get the fused locations of all; the calls keep their own.
    """

    name = "share-kernels"
    requires: ClassVar[frozenset[str]] = frozenset({"kernels-formed"})
    ensures: ClassVar[frozenset[str]] = frozenset({"kernels-shared"})
    counters: ClassVar[Mapping[str, str]] = {"merged": "kernels that were the same as another and are gone"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        first: dict[str, func.FuncOp] = {}
        replaced: dict[str, str] = {}
        copies: dict[func.FuncOp, list[func.FuncOp]] = {}
        for function in kernels_of(op):
            kept = first.setdefault(kernel_text(function), function)
            copies.setdefault(kept, []).append(function)
            if kept is not function:
                replaced[function.sym_name.data] = kept.sym_name.data
        for kept, same in copies.items():
            _fuse_locations(kept, same)
            for function in same[1:]:
                remark(function, f"kernel @{function.sym_name.data} is the same as @{kept.sym_name.data}: merged")
                Rewriter.erase_op(function)
        self.count("merged", len(replaced))
        for call in op.walk():
            if isinstance(call, func.CallOp) and (name := replaced.get(call.callee.string_value())) is not None:
                call.callee = SymbolRefAttr(name)


def is_kernel(function: func.FuncOp) -> bool:
    """Whether a function is a kernel."""
    return KERNEL in function.attributes


def kernels_of(module: ModuleOp) -> list[func.FuncOp]:
    """The kernels of a module, in order."""
    return [op for op in module.ops if isinstance(op, func.FuncOp) and is_kernel(op)]


def kernel_text(function: func.FuncOp) -> str:
    """The text of a function without its name, the names of its values, and locations."""
    named = function.clone()
    named.sym_name = StringAttr("kernel")
    for op in named.walk():
        for value in (*op.results, *(argument for region in op.regions for b in region.blocks for argument in b.args)):
            value.name_hint = None
    stream = StringIO()
    Printer(stream).print_op(named)
    return stream.getvalue()


def fused_location(locations: list[LocationAttr]) -> LocationAttr:
    """One location for several: the location itself where there is one, else `fused[…]` of the distinct ones."""
    parts: dict[Attribute, None] = {}
    for location in locations:
        if isinstance(location, FusedLoc):
            parts.update(dict.fromkeys(cast("ArrayAttr[Attribute]", location.locations)))
        elif location != UNKNOWN:
            parts[location] = None
    known = list(parts)
    if not known:
        return UNKNOWN
    return cast(LocationAttr, known[0]) if len(known) == 1 else FusedLoc(ArrayAttr(known), NoneAttr())


def _fuse_locations(kept: func.FuncOp, same: list[func.FuncOp]) -> None:
    if len(same) < 2:
        return
    for ops in zip(*(list(function.walk()) for function in same), strict=True):
        ops[0].location = fused_location([op.location for op in ops])
