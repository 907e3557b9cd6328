"""`pack-operands`: large right operands of products are packed at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import DYNAMIC_INDEX, Float32Type, Float64Type, ModuleOp
from xdsl.rewriter import InsertPoint, Rewriter

from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.contraction import DotGeneralOp
from lamina.dialects.graph.packing import PackOp, UnpackOp
from lamina.dialects.graph.types import dtype_of
from lamina.passes.base import LaminaPass
from lamina.passes.graph.infer_types import graph_functions
from lamina.passes.graph.shape_analysis import tensor_type
from lamina.passes.registers import panel_vectors, target_vector_bits

MIN_ROWS = 256
"""Rows of the left operand that make up for packing, which costs about as much as 20 to 40 of them."""

MIN_BYTES = 256 * 1024
"""Smaller operands are near as they are (256x256x256 took 1.2 times the time without packing, with 2 MiB)."""


@dataclass(frozen=True)
class PackOperandsPass(LaminaPass):
    """Pack right operands that are computed or given at run time, where many rows read them.

    ```mlir
    %y = graph.dot_general %x, %w, contract = [1] x [0] : tensor<512x512xf32>, tensor<512x512xf32>
    ```
    →
    ```mlir
    %p = graph.pack %w dimension 1 tile 48
    %u = graph.unpack %p dimension 1 size 512
    %y = graph.dot_general %x, %u, contract = [1] x [0]
    ```

    A panel of columns of a large matrix lies on as many pages as it has rows, and where rows are a power of two long in
    few sets of the caches: 512 x 512 took twice the time. What packs is a kernel of its own; `cse` makes one of two.
    Sizes must be known: one row of a symbolic batch would not make up for it. Run after `pack-constants`, with no
    canonicalization before `form-kernels`, which would undo it.
    """

    name = "pack-operands"
    requires: ClassVar[frozenset[str]] = frozenset({"contractions-prepared"})
    ensures: ClassVar[frozenset[str]] = frozenset({"operands-packed"})
    counters: ClassVar[Mapping[str, str]] = {"packed": "operands packed"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        vector_bits = target_vector_bits(op)
        for function in graph_functions(op):
            for contraction in list(function.walk()):
                if isinstance(contraction, DotGeneralOp):
                    self.count("packed", _pack(contraction, vector_bits))


def _pack(op: DotGeneralOp, vector_bits: int) -> int:
    """Pack the right operand of a product where that pays; returns whether it did."""
    batch, free, contracted = op.rhs_axes
    shape, rows = tensor_type(op.rhs.type).get_shape(), tensor_type(op.lhs.type).get_shape()
    element_type = tensor_type(op.rhs.type).get_element_type()
    if batch or len(free) != 1 or DYNAMIC_INDEX in (*shape, *rows) or isinstance(op.rhs.owner, ConstantOp | UnpackOp):
        return 0
    if not isinstance(element_type, Float32Type | Float64Type) or free[0] != len(shape) - 1 or not contracted:
        return 0
    width = dtype_of(element_type).itemsize
    count = prod(rows[axis] for axis in op.lhs_axes[1])
    if count < MIN_ROWS or prod(shape) * width < MIN_BYTES:
        return 0
    columns = shape[free[0]]
    lanes = vector_bits // (8 * width)
    tile = panel_vectors(columns, lanes, vector_bits, count) * lanes
    if columns <= tile:
        return 0
    pack = PackOp(op.rhs, free[0], tile, location=op.location)
    unpack = UnpackOp(pack.result, free[0], columns, location=op.location)
    Rewriter.insert_op([pack, unpack], InsertPoint.before(op))
    op.operands[1] = unpack.result
    return 1
