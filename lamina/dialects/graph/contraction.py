"""Contractions: sums of products over axes that two tensors share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.interfaces import HasCanonicalizationPatternsInterface
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import Pure

from lamina.dialects.graph.base import AbstractTensor, Array, GraphOp, InferenceError
from lamina.dialects.graph.construction import (
    check_axes,
    check_equal_sizes,
    check_length,
    construct,
    unequal_pairs,
)
from lamina.dialects.graph.dims import Dim
from lamina.dialects.graph.properties import INTEGERS, TENSOR, integers
from lamina.dialects.graph.types import NUMBER, DType, dtype_of, is_float, is_integer

NO_AXES = integers(())


@irdl_op_definition
class DotGeneralOp(GraphOp, HasCanonicalizationPatternsInterface):
    """Sums of products over the contracted axes, for every position of the batch and free axes.

    Operands: two tensors of numbers. Result: the batch axes, the left operand's free axes, the right operand's free
    axes, each in order; of the operands' element type, or of `element_type`.

    Floating-point sums are formed in f32 (in f64 where an operand or the result is f64), in no fixed order, and rounded
    once. Integers are converted to the result's type first and wrap around. Nothing to contract (a contracted axis of
    size 0) gives 0.

    Constraints:
    1. The operands' element types are numbers; equal, or both integers and `element_type` is given.
    2. `element_type` is a float for floats, an integer for integers.
    3. Batch and contracted axes of an operand are distinct and within [0, rank).
    4. As many batch axes on the left as on the right, and as many contracted axes; of equal sizes in pairs.

    ONNX MatMul, Gemm, Einsum; StableHLO dot_general.
    """

    name = "graph.dot_general"
    lhs = operand_def(TENSOR)
    rhs = operand_def(TENSOR)
    lhs_batching_dimensions = prop_def(INTEGERS, default_value=NO_AXES)
    rhs_batching_dimensions = prop_def(INTEGERS, default_value=NO_AXES)
    lhs_contracting_dimensions = prop_def(INTEGERS)
    rhs_contracting_dimensions = prop_def(INTEGERS)
    element_type = opt_prop_def(Attribute)
    result = result_def(TENSOR)
    traits = traits_def(Pure())
    assembly_format = (
        "$lhs `,` $rhs `,` (`batch` `=` $lhs_batching_dimensions^ `x` $rhs_batching_dimensions `,`)? "
        "`contract` `=` $lhs_contracting_dimensions `x` $rhs_contracting_dimensions "
        "(`into` $element_type^)? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(
        self,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        lhs_contracting_dimensions: Sequence[int],
        rhs_contracting_dimensions: Sequence[int],
        lhs_batching_dimensions: Sequence[int] = (),
        rhs_batching_dimensions: Sequence[int] = (),
        element_type: Attribute | None = None,
    ):
        properties = {
            "lhs_batching_dimensions": integers(lhs_batching_dimensions),
            "rhs_batching_dimensions": integers(rhs_batching_dimensions),
            "lhs_contracting_dimensions": integers(lhs_contracting_dimensions),
            "rhs_contracting_dimensions": integers(rhs_contracting_dimensions),
            "element_type": element_type,
        }
        construct(self, (lhs, rhs), properties)

    @staticmethod
    def matmul(lhs: SSAValue | Operation, rhs: SSAValue | Operation) -> DotGeneralOp:
        """The matrix product of the last two axes; all axes before them are batch axes of equal sizes."""
        type_ = SSAValue.get(lhs).type
        assert isinstance(type_, TensorType)
        batch = range(type_.get_num_dims() - 2)
        return DotGeneralOp(lhs, rhs, (len(batch) + 1,), (len(batch),), batch, batch)

    @property
    def lhs_axes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The left operand's batch, free and contracted axes."""
        return _axes(self.lhs, self.lhs_batching_dimensions.get_values(), self.lhs_contracting_dimensions.get_values())

    @property
    def rhs_axes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The right operand's batch, free and contracted axes."""
        return _axes(self.rhs, self.rhs_batching_dimensions.get_values(), self.rhs_contracting_dimensions.get_values())

    def _paired_sizes(self, operands: Sequence[AbstractTensor]) -> list[tuple[Dim, Dim]]:
        lhs, rhs = operands
        left = (*self.lhs_batching_dimensions.get_values(), *self.lhs_contracting_dimensions.get_values())
        right = (*self.rhs_batching_dimensions.get_values(), *self.rhs_contracting_dimensions.get_values())
        return [(lhs.shape[i], rhs.shape[j]) for i, j in zip(left, right, strict=True)]

    def infer(self, operands: Sequence[AbstractTensor]) -> Sequence[AbstractTensor]:
        lhs, rhs = operands
        batch_count = len(self.lhs_batching_dimensions)
        check_length(self.name, "rhs_batching_dimensions", self.rhs_batching_dimensions.get_values(), batch_count)
        contracted_count = len(self.lhs_contracting_dimensions)
        contracted = self.rhs_contracting_dimensions.get_values()
        check_length(self.name, "rhs_contracting_dimensions", contracted, contracted_count)
        left = (*self.lhs_batching_dimensions.get_values(), *self.lhs_contracting_dimensions.get_values())
        right = (*self.rhs_batching_dimensions.get_values(), *contracted)
        check_axes(self.name, "axes of the left operand", left, len(lhs.shape))
        check_axes(self.name, "axes of the right operand", right, len(rhs.shape))
        for index, sizes in enumerate(self._paired_sizes(operands)):
            kind = "batch" if index < batch_count else "contracted"
            check_equal_sizes(self.name, f"{kind} axes {left[index]} and {right[index]}", *sizes)
        batch = tuple(
            rhs.shape[j] if isinstance(rhs.shape[j], int) else lhs.shape[i]
            for i, j in zip(left[:batch_count], right[:batch_count], strict=True)
        )
        free = tuple(dim for axis, dim in enumerate(lhs.shape) if axis not in left)
        free += tuple(dim for axis, dim in enumerate(rhs.shape) if axis not in right)
        return (AbstractTensor(batch + free, self._result_element_type(lhs.element_type, rhs.element_type)),)

    def _result_element_type(self, left: Attribute, right: Attribute) -> Attribute:
        for operand in (left, right):
            if not NUMBER.accepts(operand):
                raise InferenceError(f"{self.name}: expected operands of {NUMBER.description}, found {operand}")
        if left != right and (self.element_type is None or not (is_integer(left) and is_integer(right))):
            raise InferenceError(f"{self.name}: expected operands of equal element types, found {left} and {right}")
        result = left if self.element_type is None else self.element_type
        if (is_float(left), is_integer(left)) != (is_float(result), is_integer(result)):
            expected = "a float" if is_float(left) else "an integer"
            raise InferenceError(f"{self.name}: element_type: expected {expected}, found {result}")
        return result

    def constraints(self, operands: Sequence[AbstractTensor]) -> Sequence[tuple[Dim, Dim]]:
        return unequal_pairs(self._paired_sizes(operands))

    def reference(self, *operands: Array) -> Array:
        lhs, rhs = operands
        result = lhs.dtype if self.element_type is None else dtype_of(self.element_type)
        dtype = contraction_dtype(lhs.dtype, rhs.dtype, result)
        lhs_batch, lhs_free, lhs_contracted = self.lhs_axes
        rhs_batch, rhs_free, rhs_contracted = self.rhs_axes
        batch = [lhs.shape[axis] for axis in lhs_batch]
        rows = [lhs.shape[axis] for axis in lhs_free]
        columns = [rhs.shape[axis] for axis in rhs_free]
        depth = math.prod(lhs.shape[axis] for axis in lhs_contracted)
        left = lhs.transpose(lhs_batch + lhs_free + lhs_contracted).astype(dtype)
        right = rhs.transpose(rhs_batch + rhs_contracted + rhs_free).astype(dtype)
        product = np.matmul(
            left.reshape(math.prod(batch), math.prod(rows), depth),
            right.reshape(math.prod(batch), depth, math.prod(columns)),
        )
        return product.reshape((*batch, *rows, *columns)).astype(result)

    @classmethod
    def get_canonicalization_patterns(cls) -> tuple[RewritePattern, ...]:
        from lamina.dialects.graph.canonicalization.contraction import AbsorbTransposes

        return (AbsorbTransposes(),)


def contraction_dtype(*dtypes: DType) -> DType:
    """The dtype that sums of products are formed in: the last (the result's) for integers, float64 or float32."""
    if dtypes[-1].kind in "iu":
        return dtypes[-1]
    return np.dtype(np.float64 if np.dtype(np.float64) in dtypes else np.float32)


def _axes(
    operand: SSAValue, batch: tuple[int, ...], contracted: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    type_ = operand.type
    assert isinstance(type_, TensorType)
    free = tuple(axis for axis in range(type_.get_num_dims()) if axis not in batch + contracted)
    return batch, free, contracted


CONTRACTION_OPS: tuple[type[GraphOp], ...] = (DotGeneralOp,)
