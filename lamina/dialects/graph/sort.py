"""Sorting along an axis: the order of the elements, and the elements in that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import I64, IntegerAttr, LocationAttr, UnitAttr, i64
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, Differentiability, GraphOp, InferenceError
from lamina.dialects.graph.composite import CompositeOp
from lamina.dialects.graph.construction import check_axes, construct, flag
from lamina.dialects.graph.dims import minimum
from lamina.dialects.graph.properties import TENSOR, integer
from lamina.dialects.graph.types import BFLOAT16, FLOAT16, INTEGER_OR_BOOLEAN, NUMBER

if TYPE_CHECKING:
    from lamina.dialects.graph.builder import GraphBuilder


def check_sortable(name: str, operand: AbstractTensor, dimension: int) -> None:
    """Numbers or booleans, and an axis that is there; raises InferenceError."""
    if not NUMBER.accepts(operand.element_type) and not INTEGER_OR_BOOLEAN.accepts(operand.element_type):
        raise InferenceError(f"{name}: operand: expected numbers or booleans, found {operand.element_type}")
    check_axes(name, "dimension", (dimension,), len(operand.shape))


def order_of(operand: Array, axis: int, descending: bool) -> npt.NDArray[np.int64]:
    """The positions of the elements in order, as `arg_sort` defines it."""
    # Exact, and NumPy's sort knows no NaN of bfloat16.
    keys = operand.astype(np.float32) if operand.dtype in (FLOAT16, BFLOAT16) else operand
    if not descending:
        return np.asarray(np.argsort(keys, axis=axis, kind="stable"), np.int64)
    # Backwards in a reversed axis: equal elements stay in order.
    order = np.argsort(np.flip(keys, axis), axis=axis, kind="stable")
    return np.asarray(operand.shape[axis] - 1 - np.flip(order, axis), np.int64)


@irdl_op_definition
class ArgSortOp(GraphOp):
    """The positions, along an axis, of the elements in ascending order, or of the first `count` of them.

    Operand: numbers or booleans. Result: i64 of the operand's shape, `count` long along the axis where it is given.
    Entry k along the axis is the position of the element that comes k-th.

    Equal elements keep their order (the sort is stable), -0.0 equals 0.0. NaN counts as larger than every number: it
    comes last, or with `descending` first.

    Constraints:
    1. `dimension` is within [0, rank).
    2. `count` is at least 0 and at most the size of the axis where that is known; else all elements are wanted where
       there are fewer.

    NumPy argsort(kind="stable"), JAX argsort(descending=…); with `count` the positions of ONNX TopK and JAX top_k.
    """

    name = "graph.arg_sort"
    DIFFERENTIABILITY: ClassVar = Differentiability.INTEGER_VALUED
    operand = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    count = opt_prop_def(IntegerAttr[I64])
    descending = opt_prop_def(UnitAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$operand `,` $dimension (`first` $count^)? (`descending` $descending^)? attr-dict"
        " `:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        dimension: int,
        descending: bool = False,
        count: int | None = None,
        location: LocationAttr | None = None,
    ):
        properties = {
            "dimension": integer(dimension),
            "descending": flag(descending),
            "count": None if count is None else integer(count),
        }
        construct(self, (operand,), properties, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        axis = self.dimension.value.data
        check_sortable(self.name, operand, axis)
        if self.count is None:
            return (AbstractTensor(operand.shape, i64),)
        count, size = self.count.value.data, operand.shape[axis]
        if count < 0 or (isinstance(size, int) and count > size):
            raise InferenceError(f"{self.name}: count: expected at least 0 and at most {size}, found {count}")
        return (AbstractTensor((*operand.shape[:axis], minimum(count, size), *operand.shape[axis + 1 :]), i64),)

    def reference(self, *operands: Array) -> Array:
        axis = self.dimension.value.data
        order = order_of(operands[0], axis, self.descending is not None)
        if self.count is None:
            return order
        return np.take(order, range(min(self.count.value.data, order.shape[axis])), axis)


@irdl_op_definition
class SortOp(CompositeOp):
    """The elements along an axis in ascending order, or with `descending` in descending order.

    Operand and result: numbers or booleans, of the same type. Order, equal elements and NaN as in `arg_sort`.

    Constraints:
    1. `dimension` is within [0, rank).

    NumPy sort, JAX sort; StableHLO sort with one operand.
    """

    name = "graph.sort"
    operand = operand_def(TENSOR)
    dimension = prop_def(IntegerAttr[I64])
    descending = opt_prop_def(UnitAttr)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$operand `,` $dimension (`descending` $descending^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(
        self,
        operand: SSAValue | Operation,
        dimension: int,
        descending: bool = False,
        location: LocationAttr | None = None,
    ):
        properties = {"dimension": integer(dimension), "descending": flag(descending)}
        construct(self, (operand,), properties, location=location)

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        (operand,) = operands
        check_sortable(self.name, operand, self.dimension.value.data)
        return (AbstractTensor(operand.shape, operand.element_type),)

    def decompose(self, builder: GraphBuilder) -> Sequence[SSAValue]:
        axis = self.dimension.value.data
        order = builder.arg_sort(self.operand, axis, self.descending is not None)
        return (builder.take_along(self.operand, order, axis),)

    def reference(self, *operands: Array) -> Array:
        (operand,) = operands
        axis = self.dimension.value.data
        return np.take_along_axis(operand, order_of(operand, axis, self.descending is not None), axis)


SORT_OPS: tuple[type[GraphOp], ...] = (ArgSortOp, SortOp)
