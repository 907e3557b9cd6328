"""`tensor` with a `tensor.reshape` that allows dynamic sizes (xDSL 0.74 multiplies the markers of `?`)."""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.dialects.tensor import (
    CastOp,
    CollapseShapeOp,
    DimOp,
    EmptyOp,
    ExpandShapeOp,
    ExtractOp,
    ExtractSliceOp,
    FromElementsOp,
    InsertSliceOp,
)
from xdsl.dialects.tensor import Tensor as XdslTensor
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation, base, irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.loop.replace import with_ops
from lamina.dialects.loop.types import is_tensor

__all__ = [
    "CastOp",
    "CollapseShapeOp",
    "DimOp",
    "EmptyOp",
    "ExpandShapeOp",
    "ExtractOp",
    "ExtractSliceOp",
    "FromElementsOp",
    "InsertSliceOp",
    "ReshapeOp",
    "Tensor",
]


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The elements of `source` in row-major order under the sizes in `shape`, a 1-D tensor of integers."""

    name = "tensor.reshape"

    source = operand_def(base(TensorType[Attribute]))
    shape = operand_def(base(TensorType[Attribute]))
    result = result_def(base(TensorType[Attribute]))
    traits = traits_def(Pure())
    assembly_format = "attr-dict $source `(` $shape `)` `:` `(` type($source) `,` type($shape) `)` `->` type($result)"

    def __init__(self, source: SSAValue | Operation, shape: SSAValue | Operation, result_type: Attribute):
        super().__init__(operands=[source, shape], result_types=[result_type])

    def verify_(self) -> None:
        source, shape, result = self.source.type, self.shape.type, self.result.type
        if not is_tensor(source) or not is_tensor(shape) or not is_tensor(result):
            raise VerifyException("expected tensors")
        if source.get_element_type() != result.get_element_type():
            raise VerifyException(f"expected equal element types, found {source} and {result}")
        if shape.get_shape() not in ((result.get_num_dims(),), (DYNAMIC_INDEX,)):
            raise VerifyException(f"expected a shape of {result.get_num_dims()} elements, found {shape}")
        sizes = (source.get_shape(), result.get_shape())
        static = not any(DYNAMIC_INDEX in side for side in sizes)
        if static and prod(sizes[0]) != prod(sizes[1]):
            raise VerifyException(f"expected as many elements in {source} as in {result}")


Tensor = with_ops(XdslTensor, [ReshapeOp])
