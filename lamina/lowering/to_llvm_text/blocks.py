"""The ops of a block in order; chains of elementwise ops on many-part vectors go part by part: registers die early."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from xdsl.ir import Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.lowering.to_llvm_text.elementwise import ELEMENTWISE, elementwise_producer
from lamina.lowering.to_llvm_text.types import VectorLayout, is_vector
from lamina.lowering.to_llvm_text.values import Vector
from lamina.lowering.to_llvm_text.vector_transfer import transfer_read_producer

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import FunctionPrinter, PartProducer

ProducerMaker: TypeAlias = "Callable[[FunctionPrinter, Operation], PartProducer | None]"

PARTWISE: dict[str, ProducerMaker] = {
    **dict.fromkeys(ELEMENTWISE, elementwise_producer),
    "vector.transfer_read": transfer_read_producer,
}
"""Ops whose result can be printed part by part. A maker may decline with None: the op is then printed at once."""

TRANSPARENT_DIALECTS = ("arith.", "math.", "affine.")
TRANSPARENT = frozenset(
    {
        "memref.cast",
        "memref.collapse_shape",
        "memref.dim",
        "memref.expand_shape",
        "memref.subview",
        "vector.broadcast",
        "vector.constant_mask",
        "vector.create_mask",
        "vector.step",
    }
)
"""Ops without effects, which may be printed before the pending ones that they do not use."""


class PartwiseRun:
    """Ops of one block that wait to be printed together: all of part 0, then all of part 1 …

    `%y = f(%x); %z = g(%y)` on parts 0, 1 gives f0, g0, f1, g1, where one op after the other would be f0, f1, g0, g1.
    """

    def __init__(self, printer: FunctionPrinter):
        self.printer = printer
        self.pending: list[tuple[list[str], PartProducer]] = []
        self.results: set[SSAValue] = set()
        self.layout: VectorLayout | None = None

    def take(self, op: Operation) -> bool:
        """Queue `op` if it goes part by part; otherwise print what waits, unless `op` can go before that."""
        maker = PARTWISE.get(op.name)
        if maker is None or not is_vector(op.results[0]):
            self._make_way_for(op)
            return False
        layout = self.printer.layout(op.results[0].type)
        if self.layout is not None and (layout.rows, layout.widths) != (self.layout.rows, self.layout.widths):
            self.flush()
        producer = maker(self.printer, op)
        if producer is None:
            self._make_way_for(op)
            return False
        parts: list[str] = []
        self.printer.values[op.results[0]] = Vector(layout, parts)
        self.pending.append((parts, producer))
        self.results.add(op.results[0])
        self.layout = layout
        return True

    def _make_way_for(self, op: Operation) -> None:
        transparent = op.name.startswith(TRANSPARENT_DIALECTS) or op.name in TRANSPARENT
        if self.pending and not (transparent and self.results.isdisjoint(op.operands)):
            self.flush()

    def flush(self) -> None:
        """Print everything that waits."""
        if self.layout is None:
            return
        for part in range(len(self.layout.types)):
            for parts, producer in self.pending:
                parts.append(producer(part))
        self.pending.clear()
        self.results.clear()
        self.layout = None


TERMINATORS = frozenset({"scf.yield", "scf.condition", "scf.forall.in_parallel", "memref.atomic_yield"})


def print_block(printer: FunctionPrinter, block: Block) -> Operation | None:
    """Print the ops of a block up to its terminator, which is returned for the caller to read."""
    run = PartwiseRun(printer)
    for op in block.ops:
        if op.name in TERMINATORS:
            run.flush()
            return op
        try:
            if not run.take(op):
                print_operation(printer, op)
        except LaminaError as error:
            error.where = error.where or location_text(op.location)
            raise
    run.flush()
    return None


def print_operation(printer: FunctionPrinter, op: Operation) -> None:
    """Print one op by its case; raises LaminaError when there is none."""
    case = printer.module.cases.get(op.name)
    if case is None:
        raise LaminaError(f"no LLVM translation for '{op.name}'")
    case(printer, op)
