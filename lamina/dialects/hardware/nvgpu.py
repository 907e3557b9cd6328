"""The upstream `nvgpu` dialect as far as it is emitted: matrix fragments, asynchronous copies and groups of them; what
sm_90a has besides is in `nvgpu_types`, `nvgpu_tma` and `nvgpu_warpgroup`.

A fragment is what one thread of a warp holds of a small matrix: a vector of 32-bit registers, each of them a row of
neighboring elements. PTX ISA, "Matrix multiply-accumulate operation using mma instruction", says which elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

from xdsl.dialects.builtin import (
    ArrayAttr,
    BFloat16Type,
    BoolAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerAttr,
    UnitAttr,
    VectorType,
    bf16,
    f16,
    f32,
    f64,
    i32,
    i64,
)
from xdsl.ir import Attribute, Dialect, Operation, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    base,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.hardware import nvgpu_tma, nvgpu_warpgroup
from lamina.dialects.hardware.gpu import WORKGROUP
from lamina.dialects.hardware.nvgpu_types import TYPES, check_indices, workgroup_buffer
from lamina.dialects.loop.types import AnyVector, is_memref, is_vector

INDEX = IndexType()
REGISTER_BITS = 32
COPY_BYTES = (4, 8, 16)
"""What one thread may copy at a time."""

Shape = tuple[int, ...]

FRAGMENTS: Mapping[tuple[Shape, Attribute, Attribute], tuple[Shape, Shape, Shape]] = {
    ((16, 8, 8), f16, f16): ((2, 2), (1, 2), (2, 2)),
    ((16, 8, 8), f16, f32): ((2, 2), (1, 2), (2, 2)),
    ((16, 8, 8), bf16, f32): ((2, 2), (1, 2), (2, 2)),
    ((16, 8, 16), f16, f16): ((4, 2), (2, 2), (2, 2)),
    ((16, 8, 16), f16, f32): ((4, 2), (2, 2), (2, 2)),
    ((16, 8, 16), bf16, f32): ((4, 2), (2, 2), (2, 2)),
    ((16, 8, 4), f32, f32): ((2, 1), (1, 1), (2, 2)),
    ((16, 8, 8), f32, f32): ((4, 1), (2, 1), (2, 2)),
    ((8, 8, 4), f64, f64): ((1, 1), (1, 1), (1, 2)),
}
"""By shape (m, n, k), elements of the factors and of the sum: what a thread holds of both factors and of the sum. f32
factors are tf32: 10 bits of the mantissa count."""

BITS: Mapping[type[Attribute], int] = {Float16Type: 16, BFloat16Type: 16, Float32Type: 32, Float64Type: 64}


@irdl_attr_definition
class AsyncTokenType(ParametrizedAttribute, TypeAttribute):
    """A copy, or a group of copies, that may still go on: `!nvgpu.device.async.token`."""

    name = "nvgpu.device.async.token"


TOKEN = AsyncTokenType()


def _shape(value: SSAValue) -> Shape:
    return tuple(value.type.get_shape()) if is_vector(value.type) else ()


def _element(value: SSAValue) -> Attribute:
    return value.type.get_element_type() if is_vector(value.type) or is_memref(value.type) else value.type


@irdl_op_definition
class MmaSyncOp(IRDLOperation):
    """`c + a · b` by all threads of a warp together, each of which holds its fragments.

    `nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : (vector<4x2xf16>, vector<2x2xf16>, vector<2x2xf32>) ->
    vector<2x2xf32>`; f32 factors need `tf32Enabled`. `FRAGMENTS` has the types.
    """

    name = "nvgpu.mma.sync"

    matrix_a = operand_def(base(AnyVector))
    matrix_b = operand_def(base(AnyVector))
    matrix_c = operand_def(base(AnyVector))
    shape = prop_def(ArrayAttr[IntegerAttr], prop_name="mmaShape")
    tf32 = opt_prop_def(UnitAttr, prop_name="tf32Enabled")
    result = result_def(base(AnyVector))

    irdl_options = (ParsePropInAttrDict(),)
    traits = traits_def(Pure())
    assembly_format = (
        "`(` $matrix_a `,` $matrix_b `,` $matrix_c `)` attr-dict `:`"
        " `(` type($matrix_a) `,` type($matrix_b) `,` type($matrix_c) `)` `->` type($result)"
    )

    def __init__(self, a: SSAValue, b: SSAValue, c: SSAValue, shape: Sequence[int]):
        tf32 = UnitAttr() if _element(a) == f32 else None
        super().__init__(
            operands=[a, b, c],
            result_types=[c.type],
            properties={"mmaShape": ArrayAttr([IntegerAttr(size, i64) for size in shape]), "tf32Enabled": tf32},
        )

    @property
    def sizes(self) -> Shape:
        """m, n and k."""
        return tuple(size.value.data for size in self.shape)

    def verify_(self) -> None:
        element, total = _element(self.matrix_a), _element(self.matrix_c)
        if _element(self.matrix_b) != element:
            raise VerifyException(f"expected factors of one type, found {element} and {_element(self.matrix_b)}")
        expected = FRAGMENTS.get((self.sizes, element, total))
        if expected is None:
            raise VerifyException(f"there is no fragment of shape {list(self.sizes)} for {element} and sums of {total}")
        if (element == f32) != (self.tf32 is not None):
            raise VerifyException("expected tf32Enabled with f32 factors, and only with them")
        for name, value, shape in zip("abc", (self.matrix_a, self.matrix_b, self.matrix_c), expected, strict=True):
            if _shape(value) != shape:
                wanted: Attribute = VectorType(_element(value), shape)
                raise VerifyException(f"expected matrix {name} of type {wanted}, found {value.type}")
        if self.result.type != self.matrix_c.type:
            raise VerifyException(f"expected a result of type {self.matrix_c.type}, found {self.result.type}")


@irdl_op_definition
class LdMatrixOp(IRDLOperation):
    """1, 2 or 4 tiles of 8 × 16 bytes from shared memory, as fragments; thread i gives the address of row i.

    `nvgpu.ldmatrix %s[%i, %j] {numTiles = 4 : i32, transpose = false} : memref<…> -> vector<4x2xf16>`; with `transpose`
    (16-bit elements only) every tile comes transposed.
    """

    name = "nvgpu.ldmatrix"

    source = operand_def()
    indices = var_operand_def(INDEX)
    transpose = prop_def(BoolAttr)
    tiles = prop_def(IntegerAttr, prop_name="numTiles")
    result = result_def(base(AnyVector))

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$source `[` $indices `]` attr-dict `:` type($source) `->` type($result)"

    def __init__(self, source: SSAValue, indices: Sequence[SSAValue], tiles: int, *, transpose: bool):
        element = _element(source)
        width = REGISTER_BITS // BITS.get(type(element), REGISTER_BITS)
        super().__init__(
            operands=[source, indices],
            result_types=[VectorType(element, (tiles, width))],
            properties={"numTiles": IntegerAttr(tiles, i32), "transpose": BoolAttr.from_bool(transpose)},
        )

    @property
    def is_transposed(self) -> bool:
        """Whether every tile comes transposed."""
        return bool(self.transpose.value.data)

    @property
    def count(self) -> int:
        """The number of tiles."""
        return self.tiles.value.data

    def verify_(self) -> None:
        type_ = workgroup_buffer(self.source)
        check_indices(self.indices, type_)
        bits = BITS.get(type(type_.get_element_type()), 0)
        if bits not in (16, 32):
            raise VerifyException(f"expected elements of 16 or 32 bits, found {type_.get_element_type()}")
        if self.is_transposed and bits != 16:
            raise VerifyException("only tiles of 16-bit elements can come transposed")
        if self.count not in (1, 2, 4):
            raise VerifyException(f"expected 1, 2 or 4 tiles, found {self.count}")
        expected: Attribute = VectorType(type_.get_element_type(), (self.count, REGISTER_BITS // bits))
        if self.result.type != expected:
            raise VerifyException(f"expected a result of type {expected}, found {self.result.type}")


@irdl_op_definition
class AsyncCopyOp(IRDLOperation):
    """Begin to copy 4, 8 or 16 bytes from global to shared memory.

    `nvgpu.device_async_copy %x[%i, %j], %s[%k, %l], 8 {bypassL1} : memref<…> to memref<…>`; with `, %n` after the
    number of elements only the first %n are read, zeros take the place of the others. `bypassL1` is about 16 bytes.
    """

    name = "nvgpu.device_async_copy"

    target = operand_def()
    target_indices = var_operand_def(INDEX)
    source = operand_def()
    source_indices = var_operand_def(INDEX)
    source_elements = opt_operand_def(INDEX)
    elements = prop_def(IntegerAttr, prop_name="dstElements")
    bypass = opt_prop_def(UnitAttr, prop_name="bypassL1")
    token = result_def(TOKEN)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        source: SSAValue,
        source_indices: Sequence[SSAValue],
        target: SSAValue,
        target_indices: Sequence[SSAValue],
        elements: int,
        source_elements: SSAValue | None = None,
    ):
        bits = BITS.get(type(_element(source)), 0)
        super().__init__(
            operands=[target, target_indices, source, source_indices, source_elements],
            result_types=[TOKEN],
            properties={
                "dstElements": IntegerAttr(elements, INDEX),
                "bypassL1": UnitAttr() if elements * bits // 8 == max(COPY_BYTES) else None,
            },
        )

    @property
    def count(self) -> int:
        """Elements that are written."""
        return self.elements.value.data

    @property
    def bytes(self) -> int:
        """Bytes that are written."""
        return self.count * BITS.get(type(_element(self.source)), 0) // 8

    def verify_(self) -> None:
        target = workgroup_buffer(self.target)
        if not is_memref(self.source.type) or self.source.type.memory_space == WORKGROUP:
            raise VerifyException(f"expected a buffer in global memory, found {self.source.type}")
        check_indices(self.target_indices, target)
        check_indices(self.source_indices, self.source.type)
        if _element(self.source) != _element(self.target):
            raise VerifyException(f"cannot copy {_element(self.source)} to {_element(self.target)}")
        if self.bytes not in COPY_BYTES:
            raise VerifyException(f"expected to copy 4, 8 or 16 bytes, found {self.bytes}")
        if self.bypass is not None and self.bytes != max(COPY_BYTES):
            raise VerifyException("bypassL1 needs copies of 16 bytes")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        def place() -> tuple[UnresolvedOperand, list[SSAValue]]:
            buffer = parser.parse_unresolved_operand()
            found = parser.parse_comma_separated_list(parser.Delimiter.SQUARE, parser.parse_unresolved_operand)
            return buffer, [parser.resolve_operand(one, INDEX) for one in found]

        source, source_indices = place()
        parser.parse_punctuation(",")
        target, target_indices = place()
        parser.parse_punctuation(",")
        elements = parser.parse_integer()
        given: SSAValue | None = None
        if parser.parse_optional_punctuation(","):
            given = parser.resolve_operand(parser.parse_unresolved_operand(), INDEX)
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        source_type = parser.parse_type()
        parser.parse_keyword("to")
        target_type = parser.parse_type()
        places = parser.resolve_operand(source, source_type), parser.resolve_operand(target, target_type)
        op = cls(places[0], source_indices, places[1], target_indices, elements, given)
        bypass = attributes.pop("bypassL1", None)
        op.properties.pop("bypassL1", None)
        if bypass is not None:
            op.properties["bypassL1"] = bypass
        op.attributes |= attributes
        return op

    def print(self, printer: Printer) -> None:
        for separator, buffer, indices in (
            (" ", self.source, self.source_indices),
            (", ", self.target, self.target_indices),
        ):
            printer.print_string(separator)
            printer.print_ssa_value(buffer)
            printer.print_string("[")
            printer.print_list(indices, printer.print_ssa_value)
            printer.print_string("]")
        printer.print_string(f", {self.count}")
        if self.source_elements is not None:
            printer.print_string(", ")
            printer.print_ssa_value(self.source_elements)
        bypass: dict[str, Attribute] = {} if self.bypass is None else {"bypassL1": self.bypass}
        printer.print_op_attributes(bypass | self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.source.type)
        printer.print_string(" to ")
        printer.print_attribute(self.target.type)


@irdl_op_definition
class AsyncCreateGroupOp(IRDLOperation):
    """The copies that this thread has begun since the last group are one group."""

    name = "nvgpu.device_async_create_group"

    tokens = var_operand_def(TOKEN)
    token = result_def(TOKEN)
    assembly_format = "$tokens attr-dict"

    def __init__(self, tokens: Sequence[SSAValue]):
        super().__init__(operands=[tokens], result_types=[TOKEN])


@irdl_op_definition
class AsyncWaitOp(IRDLOperation):
    """Wait until all groups of this thread but the last `numGroups` (0 when left out) are there."""

    name = "nvgpu.device_async_wait"

    token = operand_def(TOKEN)
    groups = opt_prop_def(IntegerAttr, prop_name="numGroups")

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$token attr-dict"

    def __init__(self, token: SSAValue, groups: int):
        super().__init__(operands=[token], properties={"numGroups": IntegerAttr(groups, i32)})

    @property
    def pending(self) -> int:
        """Groups that may still go on."""
        return 0 if self.groups is None else self.groups.value.data


OPS: tuple[type[Operation], ...] = (MmaSyncOp, LdMatrixOp, AsyncCopyOp, AsyncCreateGroupOp, AsyncWaitOp)

Nvgpu = Dialect("nvgpu", [*OPS, *nvgpu_tma.OPS, *nvgpu_warpgroup.OPS], [AsyncTokenType, *TYPES])
"""The dialect, which xDSL has not."""
