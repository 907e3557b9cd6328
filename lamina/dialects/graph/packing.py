"""Packing: an axis cut into panels, so that what a block of registers reads stands together in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, LocationAttr
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def
from xdsl.pattern_rewriter import RewritePattern

from lamina.dialects.graph.base import AbstractTensor, Array, GraphOp, InferenceError
from lamina.dialects.graph.construction import check_at_least, check_axes, construct, unequal_pairs
from lamina.dialects.graph.data_movement_base import DataMovementOp
from lamina.dialects.graph.dims import Dim, ceil_divide
from lamina.dialects.graph.properties import TENSOR, integer


@irdl_op_definition
class PackOp(DataMovementOp):
    """An axis in panels of `tile` elements: `y[p, …, j] = x[…, p · tile + j, …]`, 0 behind its end.

    Operand: any tensor. Result: the panels, the operand's other axes in order, the elements of a panel.

    Constraints:
    1. `dimension` is an axis of the operand, `tile` at least 1.

    MLIR linalg.pack with outer_dims_perm that puts the panels first.
    """

    name = "graph.pack"
    operand = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    tile = prop_def(IntegerAttr[I64])
    result = result_def(TENSOR)
    assembly_format = "$operand `dimension` $dimension `tile` $tile attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self, operand: SSAValue | Operation, dimension: int, tile: int, *, location: LocationAttr | None = None
    ):
        construct(self, (operand,), {"dimension": integer(dimension), "tile": integer(tile)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        shape = operands[0].shape
        axis, tile = self.dimension.value.data, self.tile.value.data
        check_axes(self.name, "dimension", (axis,), len(shape))
        check_at_least(self.name, "tile", (tile,), 1)
        panels = ceil_divide(shape[axis], tile)
        return (AbstractTensor((panels, *shape[:axis], *shape[axis + 1 :], tile), operands[0].element_type),)

    def reference(self, *operands: Array) -> Array:
        return pack(operands[0], self.dimension.value.data, self.tile.value.data)


@irdl_op_definition
class UnpackOp(DataMovementOp):
    """The inverse of `pack`: the axis of `size` elements at `dimension`, without what `pack` added.

    Operand: panels, other axes, elements of a panel. Result: the other axes in order, with that axis among them.

    Constraints:
    1. The operand has at least two axes, the last one is not empty; `dimension` is an axis of the result.
    2. There are as many panels as `size` elements need.

    MLIR linalg.unpack.
    """

    name = "graph.unpack"
    operand = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    size = prop_def(IntegerAttr[I64])
    result = result_def(TENSOR)
    assembly_format = "$operand `dimension` $dimension `size` $size attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self, operand: SSAValue | Operation, dimension: int, size: int, *, location: LocationAttr | None = None
    ):
        construct(self, (operand,), {"dimension": integer(dimension), "size": integer(size)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        shape = operands[0].shape
        axis, size = self.dimension.value.data, self.size.value.data
        if len(shape) < 2 or shape[-1] == 0:
            raise InferenceError(f"{self.name}: expected panels of at least 1 element, found {operands[0].type}")
        check_axes(self.name, "dimension", (axis,), len(shape) - 1)
        check_at_least(self.name, "size", (size,), 0)
        panels = ceil_divide(size, shape[-1])
        if isinstance(shape[0], int) and isinstance(panels, int) and shape[0] != panels:
            raise InferenceError(
                f"{self.name}: size: {size} elements make {panels} panels of {shape[-1]}, found {shape[0]}"
            )
        others = shape[1:-1]
        return (AbstractTensor((*others[:axis], size, *others[axis:]), operands[0].element_type),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        shape = operands[0].shape
        return unequal_pairs([(shape[0], ceil_divide(self.size.value.data, shape[-1]))])

    def reference(self, *operands: Array) -> Array:
        return unpack(operands[0], self.dimension.value.data, self.size.value.data)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.packing import DropUnpackOfPack

        return (DropUnpackOfPack(),)


def packed_shape(shape: Sequence[int], dimension: int, tile: int) -> tuple[int, ...]:
    """The shape that `pack` gives."""
    return (-(-shape[dimension] // tile), *shape[:dimension], *shape[dimension + 1 :], tile)


def pack(array: Array, dimension: int, tile: int, into: Array | None = None) -> Array:
    """`graph.pack` in NumPy; the result is contiguous: a new array, or `into`, whatever that held before."""
    columns = np.moveaxis(array, dimension, -1)
    size = columns.shape[-1]
    packed = np.empty(packed_shape(array.shape, dimension, tile), array.dtype) if into is None else into
    whole, panels = size // tile, len(packed)
    full = columns[..., : whole * tile].reshape(*columns.shape[:-1], whole, tile)
    packed[:whole] = np.moveaxis(full, -2, 0)
    if whole < panels:
        packed[whole, ..., : size - whole * tile] = columns[..., whole * tile :]
        packed[whole, ..., size - whole * tile :] = 0
    return packed


def unpack(array: Array, dimension: int, size: int) -> Array:
    """`graph.unpack` in NumPy."""
    columns = np.moveaxis(array, 0, -2)
    joined = columns.reshape(*columns.shape[:-2], columns.shape[-2] * columns.shape[-1])
    return np.ascontiguousarray(np.moveaxis(joined[..., :size], -1, dimension))


PACKING_OPS: tuple[type[GraphOp], ...] = (PackOp, UnpackOp)
