"""`vector` with the n-D ops that xDSL 0.74 lacks: outer products, masks, reductions over some axes, reshapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import ClassVar, Self

from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    IntegerAttr,
    IntegerType,
    VectorType,
    i1,
    i64,
)
from xdsl.dialects.vector import (
    BitcastOp,
    BroadcastOp,
    CombiningKindAttr,
    CombiningKindFlag,
    CreateMaskOp,
    ExtractOp,
    FMAOp,
    InsertOp,
    LoadOp,
    MaskedLoadOp,
    MaskedStoreOp,
    ShuffleOp,
    StoreOp,
    TransferReadOp,
    TransferWriteOp,
)
from xdsl.dialects.vector import Vector as XdslVector
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AnyAttr,
    IRDLOperation,
    ParsePropInAttrDict,
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.loop.replace import with_ops
from lamina.dialects.loop.types import AnyVector, is_vector

__all__ = [
    "BitcastOp",
    "BroadcastOp",
    "CombiningKindAttr",
    "CombiningKindFlag",
    "ConstantMaskOp",
    "CreateMaskOp",
    "ExtractOp",
    "ExtractStridedSliceOp",
    "FMAOp",
    "FromElementsOp",
    "InsertOp",
    "LoadOp",
    "MaskedLoadOp",
    "MaskedStoreOp",
    "MultiReductionOp",
    "OuterProductOp",
    "ReductionOp",
    "ShapeCastOp",
    "ShuffleOp",
    "StepOp",
    "StoreOp",
    "TransferReadOp",
    "TransferWriteOp",
    "TransposeOp",
    "Vector",
]

NO_FLAGS = FastMathFlagsAttr("none")
ADD = CombiningKindAttr(CombiningKindFlag.ADD)


def _shape(value: SSAValue) -> tuple[int, ...]:
    type_ = value.type
    return type_.get_shape() if isinstance(type_, VectorType) else ()


def _element_type(value: SSAValue) -> Attribute:
    type_ = value.type
    return type_.get_element_type() if is_vector(type_) else type_


def _integers(array: ArrayAttr[IntegerAttr]) -> tuple[int, ...]:
    return tuple(item.value.data for item in array)


@irdl_op_definition
class OuterProductOp(IRDLOperation):
    """`acc + lhs ⊗ rhs`: m elements times n elements into m×n, or times one scalar into m.

    With floats the product and the sum are fused where the target can (`kind` add only, as we emit it).
    """

    name = "vector.outerproduct"

    lhs = operand_def(base(AnyVector))
    rhs = operand_def()
    acc = opt_operand_def(base(AnyVector))
    kind = prop_def(CombiningKindAttr, default_value=ADD)
    result = result_def(base(AnyVector))
    traits = traits_def(Pure())

    def __init__(self, lhs: SSAValue | Operation, rhs: SSAValue | Operation, acc: SSAValue | Operation | None = None):
        lhs, rhs = SSAValue.get(lhs), SSAValue.get(rhs)
        result_type = VectorType(_element_type(lhs), _shape(lhs) + _shape(rhs))
        super().__init__(operands=[lhs, rhs, acc], result_types=[result_type], properties={"kind": ADD})

    def verify_(self) -> None:
        expected = VectorType(_element_type(self.lhs), _shape(self.lhs) + _shape(self.rhs))
        if self.result.type != expected or (self.acc is not None and self.acc.type != expected):
            raise VerifyException(f"expected accumulator and result of type {expected}, found {self.result.type}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        operands = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        lhs_type = parser.parse_type()
        parser.parse_punctuation(",")
        rhs_type = parser.parse_type()
        if not is_vector(lhs_type) or not 2 <= len(operands) <= 3:
            parser.raise_error("expected two or three operands, the first a vector", start, parser.pos)
        right = rhs_type.get_shape() if isinstance(rhs_type, VectorType) else ()
        result_type = VectorType(lhs_type.get_element_type(), lhs_type.get_shape() + right)
        types: list[Attribute] = [lhs_type, rhs_type, result_type]
        op = cls(*parser.resolve_operands(operands, types[: len(operands)], start))
        op.properties["kind"] = attributes.pop("kind", ADD)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.operands, printer.print_ssa_value)
        kind = {} if self.kind == ADD else {"kind": self.kind}
        printer.print_op_attributes(kind | self.attributes)
        printer.print_string(" : ")
        printer.print_list((self.lhs.type, self.rhs.type), printer.print_attribute)


@irdl_op_definition
class ConstantMaskOp(IRDLOperation):
    """A mask that is set in the leading `mask_dim_sizes` of each axis."""

    name = "vector.constant_mask"

    mask_dim_sizes = prop_def(DenseArrayBase.constr(i64))
    result = result_def(base(AnyVector))
    traits = traits_def(Pure())
    assembly_format = "$mask_dim_sizes attr-dict `:` type($result)"

    def __init__(self, sizes: Sequence[int], shape: Sequence[int]):
        super().__init__(
            result_types=[VectorType(i1, shape)],
            properties={"mask_dim_sizes": DenseArrayBase.from_list(i64, sizes)},
        )

    def verify_(self) -> None:
        sizes, shape = self.mask_dim_sizes.get_values(), _shape(self.result)
        if len(sizes) != len(shape) or any(not 0 <= size <= bound for size, bound in zip(sizes, shape, strict=True)):
            raise VerifyException(f"expected sizes within {shape}, found {tuple(sizes)}")


@irdl_op_definition
class ReductionOp(IRDLOperation):
    """All elements of a 1-D vector, and `acc` when given, combined into one scalar."""

    name = "vector.reduction"

    T: ClassVar = VarConstraint("T", AnyAttr())
    vector = operand_def(VectorType.constr(T))
    acc = opt_operand_def(T)
    dest = result_def(T)
    kind = prop_def(CombiningKindAttr)
    fastmath = prop_def(FastMathFlagsAttr, default_value=NO_FLAGS)
    traits = traits_def(Pure())
    assembly_format = (
        "$kind `,` $vector (`,` $acc^)? (`fastmath` `` $fastmath^)? attr-dict `:` type($vector) `into` type($dest)"
    )

    def __init__(
        self,
        vector: SSAValue | Operation,
        kind: CombiningKindAttr,
        acc: SSAValue | Operation | None = None,
        fastmath: FastMathFlagsAttr = NO_FLAGS,
    ):
        vector = SSAValue.get(vector)
        super().__init__(
            operands=[vector, acc],
            result_types=[_element_type(vector)],
            properties={"kind": kind, "fastmath": fastmath},
        )


@irdl_op_definition
class MultiReductionOp(IRDLOperation):
    """Some axes of a vector combined into `acc`: `vector.multi_reduction <add>, %v, %acc [1] : … to …`."""

    name = "vector.multi_reduction"

    T: ClassVar = VarConstraint("T", AnyAttr())
    source = operand_def(base(AnyVector))
    acc = operand_def(T)
    kind = prop_def(CombiningKindAttr)
    reduction_dims = prop_def(DenseArrayBase.constr(i64))
    dest = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "$kind `,` $source `,` $acc attr-dict $reduction_dims `:` type($source) `to` type($dest)"

    def __init__(
        self, kind: CombiningKindAttr, source: SSAValue | Operation, acc: SSAValue | Operation, dims: Sequence[int]
    ):
        acc = SSAValue.get(acc)
        super().__init__(
            operands=[source, acc],
            result_types=[acc.type],
            properties={"kind": kind, "reduction_dims": DenseArrayBase.from_list(i64, dims)},
        )

    def verify_(self) -> None:
        dims = self.reduction_dims.get_values()
        kept = tuple(size for axis, size in enumerate(_shape(self.source)) if axis not in dims)
        if _shape(self.dest) != kept:
            raise VerifyException(f"expected accumulator and result of shape {kept}, found {self.dest.type}")


@irdl_op_definition
class ShapeCastOp(IRDLOperation):
    """The elements in row-major order under another shape of the same size."""

    name = "vector.shape_cast"

    source = operand_def(base(AnyVector))
    result = result_def(base(AnyVector))
    traits = traits_def(Pure())
    assembly_format = "$source attr-dict `:` type($source) `to` type($result)"

    def __init__(self, source: SSAValue | Operation, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        same_size = prod(_shape(self.source)) == prod(_shape(self.result))
        if not same_size or _element_type(self.source) != _element_type(self.result):
            raise VerifyException(f"{self.source.type} cannot be cast to {self.result.type}")


@irdl_op_definition
class TransposeOp(IRDLOperation):
    """Result axis i is source axis `permutation[i]`."""

    name = "vector.transpose"

    vector = operand_def(base(AnyVector))
    permutation = prop_def(DenseArrayBase.constr(i64))
    result = result_def(base(AnyVector))
    traits = traits_def(Pure())
    assembly_format = "$vector `,` $permutation attr-dict `:` type($vector) `to` type($result)"

    def __init__(self, vector: SSAValue | Operation, permutation: Sequence[int]):
        vector = SSAValue.get(vector)
        shape = _shape(vector)
        super().__init__(
            operands=[vector],
            result_types=[VectorType(_element_type(vector), [shape[axis] for axis in permutation])],
            properties={"permutation": DenseArrayBase.from_list(i64, permutation)},
        )

    def verify_(self) -> None:
        permutation, shape = self.permutation.get_values(), _shape(self.vector)
        if sorted(permutation) != list(range(len(shape))):
            raise VerifyException(f"expected a permutation of {len(shape)} axes, found {tuple(permutation)}")
        if _shape(self.result) != tuple(shape[axis] for axis in permutation):
            raise VerifyException(f"result type {self.result.type} does not fit {self.vector.type}")


@irdl_op_definition
class FromElementsOp(IRDLOperation):
    """A vector of scalars in row-major order."""

    name = "vector.from_elements"

    elements = var_operand_def()
    dest = result_def(base(AnyVector))
    traits = traits_def(Pure())

    def __init__(self, elements: Sequence[SSAValue | Operation], result_type: Attribute):
        super().__init__(operands=[elements], result_types=[result_type])

    def verify_(self) -> None:
        expected = prod(_shape(self.dest))
        if len(self.elements) != expected or any(item.type != _element_type(self.dest) for item in self.elements):
            raise VerifyException(f"expected {expected} elements of type {_element_type(self.dest)}")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        elements = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_unresolved_operand)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        type_ = parser.parse_type()
        if not is_vector(type_):
            parser.raise_error("expected a vector type", start, parser.pos)
        element_type = type_.get_element_type()
        op = cls(parser.resolve_operands(elements, [element_type] * len(elements), start), type_)
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_list(self.elements, printer.print_ssa_value)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.dest.type)


@irdl_op_definition
class StepOp(IRDLOperation):
    """The numbers 0, 1, … as `index`."""

    name = "vector.step"

    result = result_def(base(AnyVector))
    traits = traits_def(Pure())
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, result_type: Attribute):
        super().__init__(result_types=[result_type])


@irdl_op_definition
class ExtractStridedSliceOp(IRDLOperation):
    """A part of the leading axes: `{offsets = [0], sizes = [4], strides = [1]}`."""

    name = "vector.extract_strided_slice"

    source = operand_def(base(AnyVector))
    offsets = prop_def(ArrayAttr[IntegerAttr[IntegerType]])
    sizes = prop_def(ArrayAttr[IntegerAttr[IntegerType]])
    strides = prop_def(ArrayAttr[IntegerAttr[IntegerType]])
    result = result_def(base(AnyVector))
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$source attr-dict `:` type($source) `to` type($result)"

    def __init__(self, source: SSAValue | Operation, offsets: Sequence[int], sizes: Sequence[int]):
        source = SSAValue.get(source)
        shape = (*sizes, *_shape(source)[len(sizes) :])
        lists = (("offsets", offsets), ("sizes", sizes), ("strides", [1] * len(sizes)))
        super().__init__(
            operands=[source],
            result_types=[VectorType(_element_type(source), shape)],
            properties={name: ArrayAttr([IntegerAttr(item, i64) for item in values]) for name, values in lists},
        )

    def verify_(self) -> None:
        sizes, shape = _integers(self.sizes), _shape(self.source)
        if _shape(self.result) != sizes + shape[len(sizes) :]:
            raise VerifyException(f"result type {self.result.type} does not fit sizes {sizes} of {self.source.type}")
        for offset, size, bound in zip(_integers(self.offsets), sizes, shape, strict=False):
            if offset < 0 or offset + size > bound:
                raise VerifyException(f"slice {offset}..{offset + size} is outside an axis of {bound}")


Vector = with_ops(
    XdslVector,
    [
        ConstantMaskOp,
        ExtractStridedSliceOp,
        FromElementsOp,
        MultiReductionOp,
        OuterProductOp,
        ReductionOp,
        ShapeCastOp,
        StepOp,
        TransposeOp,
    ],
)
