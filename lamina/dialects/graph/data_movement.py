"""Data movement: ops that rearrange, select, repeat or count elements and compute nothing with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np
from xdsl.dialects.builtin import I64, IntegerAttr, LocationAttr, StringAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, var_operand_def

from lamina.dialects.graph.base import (
    MAX_TRACKED_ELEMENTS,
    AbstractTensor,
    Array,
    Differentiability,
    GraphOp,
    InferenceError,
)
from lamina.dialects.graph.broadcasting import broadcast_constraints, broadcast_shapes
from lamina.dialects.graph.construction import (
    check_at_least,
    check_axes,
    check_equal_sizes,
    check_length,
    construct,
    more_precise,
    unequal_pairs,
)
from lamina.dialects.graph.data_movement_base import (
    CountingOp,
    DataMovementOp,
    PaddingOp,
    check_vector,
    iota,
    same_count,
)
from lamina.dialects.graph.dims import Dim, Shape
from lamina.dialects.graph.dynamic_data_movement import (
    DynamicBroadcastOp,
    DynamicIotaOp,
    DynamicPadOp,
    DynamicReshapeOp,
    DynamicSliceOp,
)
from lamina.dialects.graph.indexing import (
    GatherDimensions,
    gather,
    gather_shape,
    pad,
    reshaped,
    slice_size,
)
from lamina.dialects.graph.properties import INTEGERS, TENSOR, ElementTypeAndType, Keyword, integer, integers
from lamina.dialects.graph.scatter import ScatterOp
from lamina.dialects.graph.types import INTEGER


@irdl_op_definition
class ReshapeOp(DataMovementOp):
    """The elements in row-major order under another shape.

    Operand: any tensor. Result: the same element type; a -1 in `shape` is the size that is left.

    Constraints:
    1. `shape` has sizes of at least 0 and at most one -1.
    2. The number of elements stays the same (checked at run time where it is symbolic).

    ONNX Reshape, Squeeze, Unsqueeze, Flatten; StableHLO reshape.
    """

    name = "graph.reshape"
    operand = operand_def(TENSOR)
    shape = prop_def(INTEGERS)
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $shape attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue | Operation, shape: Sequence[int], *, location: LocationAttr | None = None):
        construct(self, (operand,), {"shape": integers(shape)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        return (self.moved(operands, reshaped(self.name, operands[0].shape, self.shape.get_values())),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return same_count(operands[0].shape, reshaped(self.name, operands[0].shape, self.shape.get_values()))

    def reference(self, *operands: Array) -> Array:
        return operands[0].reshape(self.shape.get_values())


@irdl_op_definition
class TransposeOp(DataMovementOp):
    """Axis i of the result is axis `permutation[i]` of the operand.

    Constraints:
    1. `permutation` holds every axis of the operand once.

    ONNX Transpose, StableHLO transpose.
    """

    name = "graph.transpose"
    operand = operand_def(TENSOR)
    permutation = prop_def(INTEGERS)
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $permutation attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self, operand: SSAValue | Operation, permutation: Sequence[int], *, location: LocationAttr | None = None
    ):
        construct(self, (operand,), {"permutation": integers(permutation)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        permutation = self.permutation.get_values()
        check_length(self.name, "permutation", permutation, len(operand.shape))
        check_axes(self.name, "permutation", permutation, len(operand.shape))
        return (self.moved(operands, tuple(operand.shape[axis] for axis in permutation)),)

    def reference(self, *operands: Array) -> Array:
        return operands[0].transpose(self.permutation.get_values())


@irdl_op_definition
class BroadcastOp(DataMovementOp):
    """The operand broadcast together with a shape, as NumPy broadcasts two operands.

    Axes align at the end; where `shape` is shorter or has a 1, or a -1, the operand's size stays.

    Constraints:
    1. `shape` has sizes of at least -1; -1 only where the operand has an axis.
    2. The operand's sizes and `shape` broadcast together.

    ONNX Expand, StableHLO broadcast_in_dim.
    """

    name = "graph.broadcast"
    operand = operand_def(TENSOR)
    shape = prop_def(INTEGERS)
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $shape attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue | Operation, shape: Sequence[int], *, location: LocationAttr | None = None):
        construct(self, (operand,), {"shape": integers(shape)}, location=location)

    def _target(self, operand: Shape) -> Shape:
        shape = self.shape.get_values()
        check_at_least(self.name, "shape", shape, -1)
        new_axes = len(shape) - len(operand)
        if -1 in shape[: max(new_axes, 0)]:
            raise InferenceError(f"{self.name}: shape: expected sizes for the axes before the operand's, found -1")
        return tuple(operand[axis - new_axes] if size == -1 else size for axis, size in enumerate(shape))

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        shape = operands[0].shape
        return (self.moved(operands, broadcast_shapes(self.name, (shape, self._target(shape)))),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        shape = operands[0].shape
        return broadcast_constraints((shape, self._target(shape)))

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        target = cast("tuple[int, ...]", self._target(operand.shape))
        return np.broadcast_to(operand, np.broadcast_shapes(operand.shape, target))


@irdl_op_definition
class SliceOp(DataMovementOp):
    """Elements `starts`, `starts + strides`, … before `limits` along every axis.

    As a Python slice: negative bounds count from the end, bounds outside the axis are clamped.

    Constraints:
    1. `starts`, `limits`, `strides` have one entry per axis.
    2. `strides` are at least 1.

    ONNX Slice (positive steps), Split; StableHLO slice.
    """

    name = "graph.slice"
    operand = operand_def(TENSOR)
    starts = prop_def(INTEGERS)
    limits = prop_def(INTEGERS)
    strides = prop_def(INTEGERS)
    result = result_def(TENSOR)
    assembly_format = (
        "$operand `,` $starts `to` $limits `step` $strides attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        starts: Sequence[int],
        limits: Sequence[int],
        strides: Sequence[int] | None = None,
        *,
        location: LocationAttr | None = None,
    ):
        properties = {
            "starts": integers(starts),
            "limits": integers(limits),
            "strides": integers((1,) * len(starts) if strides is None else strides),
        }
        construct(self, (operand,), properties, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        starts, limits, strides = (bound.get_values() for bound in (self.starts, self.limits, self.strides))
        for what, bound in (("starts", starts), ("limits", limits), ("strides", strides)):
            check_length(self.name, what, bound, len(operand.shape))
        check_at_least(self.name, "strides", strides, 1)
        shape = tuple(map(slice_size, operand.shape, starts, limits, strides))
        return (self.moved(operands, shape),)

    def reference(self, *operands: Array) -> Array:
        bounds = (self.starts.get_values(), self.limits.get_values(), self.strides.get_values())
        return operands[0][tuple(map(slice, *bounds))]


@irdl_op_definition
class ReverseOp(DataMovementOp):
    """The order of the elements turned around along `dimensions`, distinct axes of the operand. StableHLO reverse."""

    name = "graph.reverse"
    operand = operand_def(TENSOR)
    dimensions = prop_def(INTEGERS)
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $dimensions attr-dict `:` type($operand) `->` type($result)"

    def __init__(
        self, operand: SSAValue | Operation, dimensions: Sequence[int], *, location: LocationAttr | None = None
    ):
        construct(self, (operand,), {"dimensions": integers(dimensions)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        check_axes(self.name, "dimensions", self.dimensions.get_values(), len(operands[0].shape))
        return (self.moved(operands, operands[0].shape),)

    def reference(self, *operands: Array) -> Array:
        return np.flip(operands[0], self.dimensions.get_values())


@irdl_op_definition
class PadOp(PaddingOp):
    """The operand with elements put before (`low`), after (`high`) and between (`interior`) its own.

    Negative `low` and `high` crop. `mode` is `constant` (new elements are `value`), `edge` (the nearest element) or
    `reflect` (mirrored at the first and last element, over and over). Interior elements come first, then the ends.

    Operands: any tensor, and a scalar `value` of its element type (not read in the other modes).

    Constraints:
    1. `low`, `high`, `interior` have one entry per axis; no resulting size is negative.
    2. `interior` is at least 0, and 0 in the modes edge and reflect.
    3. In the modes edge and reflect a padded axis is not empty.

    ONNX Pad, StableHLO pad.
    """

    name = "graph.pad"
    operand = operand_def(TENSOR)
    value = operand_def(TENSOR)
    low = prop_def(INTEGERS)
    high = prop_def(INTEGERS)
    interior = prop_def(INTEGERS)
    mode = prop_def(StringAttr)
    result = result_def(TENSOR)
    custom_directives = (Keyword,)
    assembly_format = (
        "custom<Keyword>($mode) $operand `,` $value `,` `low` $low `high` $high `interior` $interior attr-dict "
        "`:` type($operand) `,` type($value) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        value: SSAValue | Operation,
        low: Sequence[int],
        high: Sequence[int],
        interior: Sequence[int] | None = None,
        mode: str = "constant",
        *,
        location: LocationAttr | None = None,
    ):
        properties = {
            "low": integers(low),
            "high": integers(high),
            "interior": integers((0,) * len(low) if interior is None else interior),
            "mode": StringAttr(mode),
        }
        construct(self, (operand, value), properties, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        low, high, interior = (amount.get_values() for amount in (self.low, self.high, self.interior))
        for what, amount in (("low", low), ("high", high), ("interior", interior)):
            check_length(self.name, what, amount, len(operands[0].shape))
        return (self.padded(operands, self.mode.data, list(zip(low, high, interior, strict=True))),)

    def reference(self, *operands: Array) -> Array:
        operand, value = operands
        amounts = (self.low.get_values(), self.high.get_values(), self.interior.get_values())
        return pad(operand, value, *amounts, self.mode.data)


@irdl_op_definition
class ConcatenateOp(DataMovementOp):
    """The operands one after the other along axis `dimension`.

    Constraints:
    1. There is at least one operand; all have one element type and one rank.
    2. `dimension` is an axis; all other axes have equal sizes.

    ONNX Concat, StableHLO concatenate.
    """

    name = "graph.concatenate"
    DATA: ClassVar[int | None] = None
    inputs = var_operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    result = result_def(TENSOR)
    assembly_format = "$inputs `dimension` $dimension attr-dict `:` type($inputs) `->` type($result)"

    def __init__(self, inputs: Sequence[SSAValue | Operation], dimension: int, *, location: LocationAttr | None = None):
        construct(self, inputs, {"dimension": integer(dimension)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        dimension = self.dimension.value.data
        if not operands:
            raise InferenceError(f"{self.name}: expected at least one operand, found none")
        first, *others = operands
        check_axes(self.name, "dimension", (dimension,), len(first.shape))
        shape = list(first.shape)
        for operand in others:
            if operand.element_type != first.element_type or len(operand.shape) != len(shape):
                raise InferenceError(
                    f"{self.name}: expected operands of one element type and rank, "
                    f"found {first.type} and {operand.type}"
                )
            for axis, size in enumerate(operand.shape):
                if axis == dimension:
                    shape[axis] = shape[axis] + size
                    continue
                check_equal_sizes(self.name, f"axis {axis}", shape[axis], size)
                shape[axis] = more_precise(shape[axis], size)
        return (self.moved(operands, tuple(shape)),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        dimension = self.dimension.value.data
        result = self.infer(operands)[0].shape
        pairs = [
            (result[axis], size) for operand in operands for axis, size in enumerate(operand.shape) if axis != dimension
        ]
        return unequal_pairs(dict.fromkeys(pairs))

    def reference(self, *operands: Array) -> Array:
        return np.concatenate(operands, self.dimension.value.data)


@irdl_op_definition
class GatherOp(DataMovementOp):
    """Slices of the operand at index vectors, as in StableHLO.

    For every index vector (along `index_vector_dim` of the indices; scalars where that is their rank) a slice of
    `slice_sizes` starts where the vector says: entry k is the start on axis `start_index_map[k]`. Starts are clamped
    so that the slice fits. A slice size of -1 is the whole axis. Axes in `collapsed_slice_dims` are dropped from the
    slice, the others become the axes `offset_dims` of the result; `operand_batching_dims` run together with
    `start_indices_batching_dims` of the indices.

    Operands: any tensor, integer indices. Result: the operand's element type; the indices' axes without the index
    vector's, the kept slice axes in between.

    Constraints: as in the StableHLO specification (section "gather"), and slice sizes of dropped axes are 1.

    ONNX Gather, GatherElements, GatherND; StableHLO gather.
    """

    name = "graph.gather"
    operand = operand_def(TENSOR)
    indices = operand_def(TENSOR)
    offset_dims = prop_def(INTEGERS)
    collapsed_slice_dims = prop_def(INTEGERS)
    operand_batching_dims = prop_def(INTEGERS, default_value=integers(()))
    start_indices_batching_dims = prop_def(INTEGERS, default_value=integers(()))
    start_index_map = prop_def(INTEGERS)
    index_vector_dim = prop_def(IntegerAttr[I64])
    slice_sizes = prop_def(INTEGERS)
    result = result_def(TENSOR)
    assembly_format = (
        "$operand `,` $indices `,` `offset_dims` $offset_dims `collapsed_slice_dims` $collapsed_slice_dims "
        "(`operand_batching_dims` $operand_batching_dims^ `start_indices_batching_dims` $start_indices_batching_dims)? "
        "`start_index_map` $start_index_map `index_vector_dim` $index_vector_dim `slice_sizes` $slice_sizes attr-dict "
        "`:` type($operand) `,` type($indices) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        indices: SSAValue | Operation,
        *,
        offset_dims: Sequence[int],
        collapsed_slice_dims: Sequence[int],
        start_index_map: Sequence[int],
        index_vector_dim: int,
        slice_sizes: Sequence[int],
        operand_batching_dims: Sequence[int] = (),
        start_indices_batching_dims: Sequence[int] = (),
        location: LocationAttr | None = None,
    ):
        properties = {
            "offset_dims": integers(offset_dims),
            "collapsed_slice_dims": integers(collapsed_slice_dims),
            "operand_batching_dims": integers(operand_batching_dims),
            "start_indices_batching_dims": integers(start_indices_batching_dims),
            "start_index_map": integers(start_index_map),
            "index_vector_dim": integer(index_vector_dim),
            "slice_sizes": integers(slice_sizes),
        }
        construct(self, (operand, indices), properties, location=location)

    @classmethod
    def along_axis(
        cls,
        operand: SSAValue,
        indices: SSAValue,
        axis: int,
        operand_rank: int,
        indices_rank: int,
        *,
        location: LocationAttr | None = None,
    ) -> GatherOp:
        """`numpy.take(operand, indices, axis)`: the indices' axes in place of `axis` (ONNX Gather)."""
        kept = [position for position in range(operand_rank) if position != axis]
        return cls(
            operand,
            indices,
            offset_dims=[position if position < axis else position - 1 + indices_rank for position in kept],
            collapsed_slice_dims=[axis],
            start_index_map=[axis],
            index_vector_dim=indices_rank,
            slice_sizes=[1 if position == axis else -1 for position in range(operand_rank)],
            location=location,
        )

    @property
    def numbers(self) -> GatherDimensions:
        """The dimension numbers as Python values."""
        return GatherDimensions(
            self.offset_dims.get_values(),
            self.collapsed_slice_dims.get_values(),
            self.operand_batching_dims.get_values(),
            self.start_indices_batching_dims.get_values(),
            self.start_index_map.get_values(),
            self.index_vector_dim.value.data,
        )

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, indices = operands
        if not INTEGER.accepts(indices.element_type):
            raise InferenceError(f"{self.name}: indices: expected {INTEGER.description}, found {indices.element_type}")
        shape = gather_shape(self.name, operand.shape, indices.shape, self.numbers, self.slice_sizes.get_values())
        for left, right in self._batching_pairs(operands):
            check_equal_sizes(self.name, "batching dimensions", left, right)
        return (self.moved(operands, shape),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return unequal_pairs(self._batching_pairs(operands))

    def _batching_pairs(self, operands: Sequence[AbstractTensor]) -> list[tuple[Dim, Dim]]:
        operand, indices = operands
        numbers = self.numbers
        axes = zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
        return [(operand.shape[left], indices.shape[right]) for left, right in axes]

    def reference(self, *operands: Array) -> Array:
        operand, indices = operands
        return gather(operand, indices, self.numbers, self.slice_sizes.get_values())


@irdl_op_definition
class DynamicUpdateSliceOp(DataMovementOp):
    """The operand with `update` written at `starts`, clamped so that it fits.

    Operands: any tensor; an update of the same element type and rank, no larger on any axis; an i64 vector with one
    entry per axis. Result: the operand's type.

    StableHLO dynamic_update_slice.
    """

    name = "graph.dynamic_update_slice"
    DATA: ClassVar[int | None] = 2
    operand = operand_def(TENSOR)
    update = operand_def(TENSOR)
    starts = operand_def(TENSOR)
    result = result_def(TENSOR)
    assembly_format = (
        "$operand `,` $update `,` $starts attr-dict "
        "`:` type($operand) `,` type($update) `,` type($starts) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        update: SSAValue | Operation,
        starts: SSAValue | Operation,
        *,
        location: LocationAttr | None = None,
    ):
        construct(self, (operand, update, starts), {}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, update, starts = operands
        check_vector(self.name, "starts", starts, len(operand.shape))
        if update.element_type != operand.element_type or len(update.shape) != len(operand.shape):
            raise InferenceError(
                f"{self.name}: update: expected element type and rank of {operand.type}, found {update.type}"
            )
        for axis, (size, part) in enumerate(zip(operand.shape, update.shape, strict=True)):
            if isinstance(size, int) and isinstance(part, int) and part > size:
                raise InferenceError(f"{self.name}: update: expected at most {size} on axis {axis}, found {part}")
        return (self.moved(operands, operand.shape),)

    def reference(self, *operands: Array) -> Array:
        operand, update, starts = operands
        begin = [
            min(max(start, 0), size - part)
            for start, size, part in zip(
                np.asarray(starts, np.int64).tolist(), operand.shape, update.shape, strict=True
            )
        ]
        result = operand.copy()
        result[tuple(slice(start, start + part) for start, part in zip(begin, update.shape, strict=True))] = update
        return result


@irdl_op_definition
class IotaOp(CountingOp):
    """Element [i0, i1, …] is i of axis `dimension`, as a number of `element_type`.

    Result: a tensor of `shape`.

    Constraints:
    1. `shape` has sizes of at least 0; `dimension` is one of its axes.
    2. `element_type` is a float or an integer.

    ONNX Range, StableHLO iota.
    """

    name = "graph.iota"
    shape = prop_def(INTEGERS)
    dimension = prop_def(IntegerAttr[I64])
    element_type = prop_def(Attribute)
    result = result_def(TENSOR)
    custom_directives = (ElementTypeAndType,)
    assembly_format = (
        "$shape `dimension` $dimension attr-dict `:` custom<ElementTypeAndType>($element_type, type($result))"
    )

    def __init__(
        self,
        shape: Sequence[int],
        dimension: int,
        element_type: Attribute,
        *,
        location: LocationAttr | None = None,
    ):
        properties = {"shape": integers(shape), "dimension": integer(dimension), "element_type": element_type}
        construct(self, (), properties, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        shape = self.shape.get_values()
        check_at_least(self.name, "shape", shape, 0)
        return (self.counted(shape, self.dimension.value.data, self.element_type),)

    def reference(self, *operands: Array) -> Array:
        return iota(self.shape.get_values(), self.dimension.value.data, self.element_type)


@irdl_op_definition
class ShapeOfOp(DataMovementOp):
    """The operand's sizes, as an i64 vector with one entry per axis. ONNX Shape, StableHLO shape_of."""

    name = "graph.shape_of"
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED
    operand = operand_def(TENSOR)
    result = result_def(TENSOR)
    assembly_format = "$operand attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue | Operation, *, location: LocationAttr | None = None):
        construct(self, (operand,), {}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        shape = operands[0].shape
        elements = shape if len(shape) <= MAX_TRACKED_ELEMENTS else None
        return (AbstractTensor((len(shape),), i64, elements),)

    def reference(self, *operands: Array) -> Array:
        return np.array(operands[0].shape, np.int64)


@irdl_op_definition
class DimensionOp(DataMovementOp):
    """The operand's size along `axis`, as an i64 scalar. StableHLO get_dimension_size."""

    name = "graph.dimension"
    DIFFERENTIABILITY: ClassVar[Differentiability] = Differentiability.INTEGER_VALUED
    operand = operand_def(TENSOR)
    axis = prop_def(IntegerAttr[I64])
    result = result_def(TENSOR)
    assembly_format = "$operand `,` $axis attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, operand: SSAValue | Operation, axis: int, *, location: LocationAttr | None = None):
        construct(self, (operand,), {"axis": integer(axis)}, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        axis = self.axis.value.data
        check_axes(self.name, "axis", (axis,), len(operands[0].shape))
        return (AbstractTensor((), i64, (operands[0].shape[axis],)),)

    def reference(self, *operands: Array) -> Array:
        return np.array(operands[0].shape[self.axis.value.data], np.int64)


DATA_MOVEMENT_OPS: tuple[type[GraphOp], ...] = (
    ReshapeOp,
    DynamicReshapeOp,
    TransposeOp,
    BroadcastOp,
    DynamicBroadcastOp,
    SliceOp,
    DynamicSliceOp,
    ReverseOp,
    PadOp,
    DynamicPadOp,
    ConcatenateOp,
    GatherOp,
    DynamicUpdateSliceOp,
    ScatterOp,
    IotaOp,
    DynamicIotaOp,
    ShapeOfOp,
    DimensionOp,
)
