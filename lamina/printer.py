"""Writing textual IR: xDSL's printer, with locations where MLIR's parser expects them."""

from __future__ import annotations

from xdsl.dialects.scf import WhileOp
from xdsl.ir import Operation
from xdsl.printer import Printer


class LocatingPrinter(Printer):
    """xDSL's printer; the location of an `scf.while` stands after its regions only, so that `mlir-opt` reads it."""

    def print_operation_type(self, op: Operation) -> None:
        if isinstance(op, WhileOp) and not self.print_generic_format:
            self.print_function_type(op.operand_types, op.result_types)
        else:
            super().print_operation_type(op)
