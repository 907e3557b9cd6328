"""Group normalization: groups of features by their own statistics, wherever the feature axis is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.builtin import I64, Float64Type, FloatAttr, IntegerAttr, f64
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, GraphOp, InferenceError
from lamina.dialects.graph.composite import CompositeOp, average, check_element_kind, check_parameters
from lamina.dialects.graph.construction import check_axes, check_equal_sizes, construct, unequal_pairs
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.properties import TENSOR, integer
from lamina.dialects.graph.types import FLOAT

if TYPE_CHECKING:
    from lamina.dialects.graph.builder import GraphBuilder


@irdl_op_definition
class GroupNormOp(CompositeOp):
    """(x - mean) / √(variance + epsilon) · scale + bias, statistics per element of the batch and group of features.

    Wu and He, "Group Normalization", 2018. With as many groups as features it is instance normalization (Ulyanov,
    Vedaldi and Lempitsky, 2016).

    Operands: x, floats with the batch first and the features along `dimension`; scale and bias, one number per feature,
    of its element type. Result: x's type.

    Constraints:
    1. The element types are one float type.
    2. `dimension` is within [1, rank).
    3. scale and bias have one axis, of the size of x's `dimension`.
    4. `groups` is at least 1 and divides the features.

    ONNX GroupNormalization, InstanceNormalization; StableHLO has no counterpart.
    """

    name = "graph.group_norm"
    operand = operand_def(TENSOR)
    scale = operand_def(TENSOR)
    bias = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    groups = prop_def(IntegerAttr[I64])
    epsilon = prop_def(FloatAttr[Float64Type])
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$operand `,` $scale `,` $bias `,` `dimension` `=` $dimension `,` `groups` `=` $groups `,` "
        "`epsilon` `=` $epsilon attr-dict `:` type($operand) `,` type($scale) `,` type($bias) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        scale: SSAValue | Operation,
        bias: SSAValue | Operation,
        dimension: int,
        groups: int,
        epsilon: float = 1e-5,
    ):
        properties = {
            "dimension": integer(dimension),
            "groups": integer(groups),
            "epsilon": FloatAttr(epsilon, f64),
        }
        construct(self, (operand, scale, bias), properties)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        operand, *parameters = operands
        axis, groups = self.dimension.value.data, self.groups.value.data
        check_element_kind(self.name, "operand", FLOAT, operand.element_type)
        check_axes(self.name, "dimension", (axis,), len(operand.shape))
        check_parameters(self.name, operand, parameters, 1)
        features = operand.shape[axis]
        if axis == 0:
            raise InferenceError(f"{self.name}: dimension: expected an axis after the batch, found 0")
        if groups < 1 or (isinstance(features, int) and features % groups):
            raise InferenceError(f"{self.name}: groups: expected a number that divides {features}, found {groups}")
        for parameter in parameters:
            if len(parameter.shape) != 1:
                raise InferenceError(f"{self.name}: parameter: expected one axis, found {parameter.type}")
            check_equal_sizes(self.name, "parameter", features, parameter.shape[0])
        return (AbstractTensor(operand.shape, operand.element_type),)

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        operand, *parameters = operands
        features = operand.shape[self.dimension.value.data]
        return unequal_pairs([(parameter.shape[0], features) for parameter in parameters])

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        x, scale, bias = (builder.widen(operand) for operand in self.operands)
        axis = self.dimension.value.data
        features = builder.shape(x)[axis]
        if axis == 1 or not isinstance(features, int):
            result = self._in_rows(builder, x, scale, bias)
        else:
            along = [-1 if place == axis else 1 for place in range(builder.rank(x))]
            mean = self._mean(builder, x, features)
            centered = builder.subtract(x, mean)
            variance = self._mean(builder, builder.multiply(centered, centered), features)
            inverse = builder.rsqrt(builder.add(variance, self.epsilon.value.data))
            # Subtracted once more: kept, the difference would be stored and loaded.
            again = builder.subtract(x, mean)
            factor = builder.multiply(inverse, builder.reshape(scale, along))
            result = builder.add(builder.multiply(again, factor), builder.reshape(bias, along))
        return (builder.cast(result, builder.element_type(self.operand)),)

    def _in_rows(self, builder: GraphBuilder, x: SSAValue, scale: SSAValue, bias: SSAValue) -> SSAValue:
        """With the features behind the batch, where each group is a row in memory."""
        groups, epsilon = self.groups.value.data, self.epsilon.value.data
        order = list(range(builder.rank(x)))
        order.insert(1, order.pop(self.dimension.value.data))
        moved = x if order == sorted(order) else builder.transpose(x, order)
        batch, features, *positions = builder.shape(moved)
        known: dict[Dim, SSAValue] = {} if isinstance(batch, int) else {batch: builder.dimension(moved, 0)}
        per_feature = (-1, *(1 for _ in positions))

        def normalized(value: SSAValue) -> SSAValue:
            return builder.layer_norm(value, 1.0, -0.0, 2, epsilon)

        def scaled(value: SSAValue, along: Sequence[int]) -> SSAValue:
            return builder.add(builder.multiply(value, builder.reshape(scale, along)), builder.reshape(bias, along))

        if features == groups and positions:
            result = scaled(normalized(moved), per_feature)
        elif isinstance(features, int):
            # Features and positions are axes of their own, so that scale and bias belong to the same kernel.
            apart = (groups, features // groups)
            rows = builder.dynamic_reshape(moved, builder.sizes((batch, *apart, -1), known))
            result = builder.dynamic_reshape(scaled(normalized(rows), (*apart, 1)), builder.shape_of(moved))
        else:
            rows = builder.dynamic_reshape(moved, builder.sizes((batch, groups, -1), known))
            result = scaled(builder.dynamic_reshape(normalized(rows), builder.shape_of(moved)), per_feature)
        return result if moved is x else builder.transpose(result, [order.index(axis) for axis in range(len(order))])

    def _mean(self, builder: GraphBuilder, x: SSAValue, features: int) -> SSAValue:
        """The mean of its group for every feature; all other axes but the batch have size 1.

        The innermost positions are summed first: many sums that do not wait for each other.
        """
        shape, axis, groups = builder.shape(x), self.dimension.value.data, self.groups.value.data
        spatial = [place for place in range(1, len(shape)) if place != axis]
        count = builder.element_count(x, spatial, builder.element_type(x))
        if len(spatial) > 1:
            x = builder.reduce("add", x, (spatial.pop(),), True)
        mean = builder.divide(builder.reduce("add", x, spatial, True), count) if spatial else x
        if features == groups:
            return mean
        size, batch = features // groups, shape[0] if isinstance(shape[0], int) else -1
        apart = average(builder, builder.reshape(mean, (batch, groups, size)), (2,), True)
        return builder.reshape(
            builder.broadcast(apart, (-1, -1, size)),
            [batch, *(features if place == axis else 1 for place in range(1, len(shape)))],
        )

    def reference(self, *operands: Array) -> Array:
        x, scale, bias = (operand.astype(np.float64) for operand in operands)
        axis = self.dimension.value.data
        moved = np.moveaxis(x, axis, 1)
        rows = moved.reshape(moved.shape[0], self.groups.value.data, -1)
        with np.errstate(all="ignore"):
            centered = rows - rows.mean(2, keepdims=True)
            normal = centered / np.sqrt((centered * centered).mean(2, keepdims=True) + self.epsilon.value.data)
        along = [-1 if place == 1 else 1 for place in range(x.ndim)]
        result = normal.reshape(moved.shape) * scale.reshape(along) + bias.reshape(along)
        return np.moveaxis(result, 1, axis).astype(operands[0].dtype)


GROUP_NORM_OPS: tuple[type[GraphOp], ...] = (GroupNormOp,)
