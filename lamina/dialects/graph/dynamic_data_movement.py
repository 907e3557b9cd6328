"""Data movement by shapes, bounds and amounts that are computed at run time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, LocationAttr, StringAttr
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from lamina.dialects.graph.base import (
    AbstractTensor,
    Array,
    InferenceError,
)
from lamina.dialects.graph.broadcasting import broadcast_constraints, broadcast_shapes
from lamina.dialects.graph.construction import (
    construct,
)
from lamina.dialects.graph.data_movement_base import (
    CountingOp,
    DataMovementOp,
    PaddingOp,
    check_vector,
    iota,
    same_count,
    sizes_of,
)
from lamina.dialects.graph.dims import Dim, Shape, fresh, maximum
from lamina.dialects.graph.indexing import (
    pad,
    reshaped,
    slice_size,
)
from lamina.dialects.graph.properties import TENSOR, ElementTypeAndType, Keyword, integer


@irdl_op_definition
class DynamicReshapeOp(DataMovementOp):
    """`reshape` to a shape computed at run time: an i64 vector of static length, at most one entry -1.

    ONNX Reshape (allowzero = 1), StableHLO dynamic_reshape.
    """

    name = "graph.dynamic_reshape"
    operand = operand_def(TENSOR)
    shape = operand_def(TENSOR)
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $shape attr-dict `:` type($operand) `,` type($shape) `->` type($result)"

    def __init__(
        self, operand: SSAValue | Operation, shape: SSAValue | Operation, *, location: LocationAttr | None = None
    ):
        construct(self, (operand, shape), {}, location=location)

    def _shape(self, operands: Sequence[AbstractTensor]) -> Shape:
        sizes = sizes_of(self.name, "shape", operands[1])
        return sizes if operands[1].elements is None else reshaped(self.name, operands[0].shape, sizes)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        return (self.moved(operands, self._shape(operands)),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return () if operands[1].elements is None else same_count(operands[0].shape, self._shape(operands))

    def reference(self, *operands: Array) -> Array:
        operand, shape = operands
        return operand.reshape(np.asarray(shape, np.int64).tolist())


@irdl_op_definition
class DynamicBroadcastOp(DataMovementOp):
    """The operand broadcast together with a shape computed at run time, an i64 vector of static length.

    NumPy broadcasting of two operands: where the shape is shorter or has a 1, the operand's size stays.

    ONNX Expand, StableHLO dynamic_broadcast_in_dim.
    """

    name = "graph.dynamic_broadcast"
    operand = operand_def(TENSOR)
    shape = operand_def(TENSOR)
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $shape attr-dict `:` type($operand) `,` type($shape) `->` type($result)"

    def __init__(
        self, operand: SSAValue | Operation, shape: SSAValue | Operation, *, location: LocationAttr | None = None
    ):
        construct(self, (operand, shape), {}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, shape = operands
        sizes = sizes_of(self.name, "shape", shape)
        if any(isinstance(size, int) and size < 0 for size in sizes):
            raise InferenceError(f"{self.name}: shape: expected sizes of at least 0, found {list(sizes)}")
        if shape.elements is not None:
            return (self.moved(operands, broadcast_shapes(self.name, (operand.shape, sizes))),)
        # An unknown size may be 1: then the operand's stays. Only a static size above 1 is certain.
        padding = max(len(sizes) - len(operand.shape), 0)
        aligned = [1] * padding + list(operand.shape)
        unknown = [fresh() for _ in range(len(aligned) - len(sizes))] + list(sizes)
        kept = len(aligned) - len(sizes)
        result = tuple(
            size if axis < kept or (isinstance(size, int) and size != 1) else unknown[axis]
            for axis, size in enumerate(aligned)
        )
        return (AbstractTensor(result, operand.element_type),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        operand, shape = operands
        return () if shape.elements is None else broadcast_constraints((operand.shape, shape.elements))

    def reference(self, *operands: Array) -> Array:
        operand, shape = operands
        return np.broadcast_to(operand, np.broadcast_shapes(operand.shape, tuple(np.asarray(shape, np.int64).tolist())))


@irdl_op_definition
class DynamicSliceOp(DataMovementOp):
    """`slice` with bounds computed at run time: i64 vectors with one entry per axis; strides at least 1.

    ONNX Slice (positive steps), StableHLO real_dynamic_slice.
    """

    name = "graph.dynamic_slice"
    operand = operand_def(TENSOR)
    starts = operand_def(TENSOR)
    limits = operand_def(TENSOR)
    strides = operand_def(TENSOR)
    result = result_def(TENSOR)
    assembly_format = (
        "$operand `,` $starts `to` $limits `step` $strides attr-dict "
        "`:` type($operand) `,` type($starts) `,` type($limits) `,` type($strides) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        starts: SSAValue | Operation,
        limits: SSAValue | Operation,
        strides: SSAValue | Operation,
        *,
        location: LocationAttr | None = None,
    ):
        construct(self, (operand, starts, limits, strides), {}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, *bounds = operands
        rank = len(operand.shape)
        for what, bound in zip(("starts", "limits", "strides"), bounds, strict=True):
            check_vector(self.name, what, bound, rank)
        known = [bound.elements for bound in bounds]
        shape: list[Dim] = []
        for axis, size in enumerate(operand.shape):
            start, limit, stride = (None if elements is None else elements[axis] for elements in known)
            if isinstance(stride, int) and stride < 1:
                raise InferenceError(f"{self.name}: strides: expected at least 1, found {stride} for axis {axis}")
            if start is None or limit is None or not isinstance(stride, int):
                shape.append(fresh())
            else:
                shape.append(slice_size(size, start, limit, stride))
        return (self.moved(operands, tuple(shape)),)

    def reference(self, *operands: Array) -> Array:
        operand, *bounds = operands
        return operand[tuple(map(slice, *(np.asarray(bound, np.int64).tolist() for bound in bounds)))]


@irdl_op_definition
class DynamicPadOp(PaddingOp):
    """`pad` with amounts computed at run time: `low` and `high` are i64 vectors with one entry per axis.

    ONNX Pad, StableHLO dynamic_pad.
    """

    name = "graph.dynamic_pad"
    operand = operand_def(TENSOR)
    value = operand_def(TENSOR)
    low = operand_def(TENSOR)
    high = operand_def(TENSOR)
    mode = prop_def(StringAttr)
    result = result_def(TENSOR)
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($mode) $operand `,` $value `,` `low` $low `high` $high attr-dict "
        "`:` type($operand) `,` type($value) `,` type($low) `,` type($high) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        value: SSAValue | Operation,
        low: SSAValue | Operation,
        high: SSAValue | Operation,
        mode: str = "constant",
        *,
        location: LocationAttr | None = None,
    ):
        construct(self, (operand, value, low, high), {"mode": StringAttr(mode)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, _, low, high = operands
        rank = len(operand.shape)
        check_vector(self.name, "low", low, rank)
        check_vector(self.name, "high", high, rank)
        amounts = [
            (low.elements[axis] if low.elements else None, high.elements[axis] if high.elements else None, 0)
            for axis in range(rank)
        ]
        return (self.padded(operands, self.mode.data, amounts),)

    def reference(self, *operands: Array) -> Array:
        operand, value, low, high = operands
        before, after = (np.asarray(amount, np.int64).tolist() for amount in (low, high))
        return pad(operand, value, before, after, (0,) * operand.ndim, self.mode.data)


@irdl_op_definition
class DynamicIotaOp(CountingOp):
    """`iota` of a shape computed at run time: an i64 vector of static length.

    ONNX Range, StableHLO dynamic_iota.
    """

    name = "graph.dynamic_iota"
    shape = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    element_type = prop_def(Attribute)
    result = result_def(TENSOR)
    custom_directives = (ElementTypeAndType,)
    assembly_format = (
        "$shape `dimension` $dimension attr-dict "
        "`:` type($shape) `->` custom<ElementTypeAndType>($element_type, type($result))"
    )

    def __init__(
        self,
        shape: SSAValue | Operation,
        dimension: int,
        element_type: Attribute,
        *,
        location: LocationAttr | None = None,
    ):
        properties = {"dimension": integer(dimension), "element_type": element_type}
        construct(self, (shape,), properties, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        shape = sizes_of(self.name, "shape", operands[0])
        return (self.counted(tuple(maximum(size, 0) for size in shape), self.dimension.value.data, self.element_type),)

    def reference(self, *operands: Array) -> Array:
        shape = np.maximum(np.asarray(operands[0], np.int64), 0).tolist()
        return iota(shape, self.dimension.value.data, self.element_type)
