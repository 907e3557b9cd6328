"""Upstream `nvgpu` ops for products by a warpgroup, four warps that multiply what lies in shared memory (sm_90a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, FloatTF32Type, IntegerAttr, UnitAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    base,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.hardware.nvgpu_tma import map_type
from lamina.dialects.hardware.nvgpu_types import (
    SWIZZLE_BYTES,
    AccumulatorType,
    TensorMapType,
    WarpgroupDescriptorType,
    bytes_of_element,
    multiplied,
    workgroup_buffer,
)
from lamina.dialects.loop.types import AnyMemRef, is_memref

WARPGROUP, WARPGROUP_ROWS = 128, 64
"""Threads of a warpgroup, and rows of the result that one of its instructions gives."""
SWIZZLE = "swizzle_128b"
LINE_BYTES = SWIZZLE_BYTES[SWIZZLE]

DEPTHS: Mapping[type[Attribute], int] = {Float16Type: 16, BFloat16Type: 16, FloatTF32Type: 8}
"""By elements of the factors, the depth of one instruction: 32 bytes."""
LATEST = "waitGroup"


def descriptor_type(value: SSAValue) -> WarpgroupDescriptorType:
    """The type of a factor's descriptor."""
    if not isinstance(value.type, WarpgroupDescriptorType):
        raise VerifyException(f"expected a descriptor of a matrix, found {value.type}")
    return value.type


def accumulator_type(value: SSAValue) -> AccumulatorType:
    """The type of a warpgroup's sums."""
    if not isinstance(value.type, AccumulatorType):
        raise VerifyException(f"expected sums of a warpgroup, found {value.type}")
    return value.type


def panels_of(buffer: AnyMemRef) -> tuple[int, int, int]:
    """How many panels a buffer of a factor has, their lines, and the elements of a line."""
    shape = buffer.get_shape()
    panels, lines, elements = (1, *shape) if len(shape) == 2 else shape
    return panels, lines, elements


@irdl_op_definition
class GenerateDescriptorOp(IRDLOperation):
    """A factor as matrix units find it: lines of 128 bytes, swizzled as a tensor map leaves them.

    `nvgpu.warpgroup.generate.descriptor %s, %map : memref<2x64x64xbf16, strided<[4096, 64, 1], offset: ?>, …>, … ->
    !nvgpu.warpgroup.descriptor<tensor = memref<64x128xbf16, …>>`: the buffer is one panel of lines or several, each of
    which has the next 128 bytes of every line. Lines are rows of the matrix, or its columns.
    """

    name = "nvgpu.warpgroup.generate.descriptor"

    tensor = operand_def()
    map = operand_def(base(TensorMapType))
    descriptor = result_def(base(WarpgroupDescriptorType))
    traits = traits_def(Pure())
    assembly_format = "$tensor `,` $map attr-dict `:` type($tensor) `,` type($map) `->` type($descriptor)"

    def __init__(self, tensor: SSAValue, map_: SSAValue, matrix: AnyMemRef):
        super().__init__(operands=[tensor, map_], result_types=[WarpgroupDescriptorType(matrix)])

    def verify_(self) -> None:
        buffer, matrix = workgroup_buffer(self.tensor), descriptor_type(self.descriptor).matrix
        if map_type(self.map).swizzle.data != SWIZZLE:
            raise VerifyException(f"expected a tensor map with {SWIZZLE}, found {map_type(self.map).swizzle.data}")
        if buffer.get_num_dims() not in (2, 3):
            raise VerifyException(f"expected panels of lines, found {buffer}")
        panels, lines, elements = panels_of(buffer)
        if elements * bytes_of_element(buffer.get_element_type()) != LINE_BYTES:
            raise VerifyException(f"expected lines of {LINE_BYTES} bytes, found {elements} elements")
        if sorted(matrix.get_shape()) != sorted((lines, panels * elements)):
            raise VerifyException(f"{panels} panels of {lines} lines are no matrix of shape {list(matrix.get_shape())}")
        found = buffer.get_element_type(), multiplied(buffer.get_element_type())
        if matrix.get_element_type() not in found:
            raise VerifyException(f"cannot multiply {found[0]} as {matrix.get_element_type()}")


@irdl_op_definition
class WarpgroupMmaOp(IRDLOperation):
    """`c + a · b` by a warpgroup, whose sums the result is once all but the last `waitGroup` such ops are over.

    `nvgpu.warpgroup.mma %a, %b, %c {transposeB} : …, …, … -> !nvgpu.warpgroup.accumulator<fragmented =
    vector<64x128xf32>>`: a is m × k with its rows as lines, b is k × n with its columns as lines, or with its rows
    where it is transposed (16-bit elements only). What reads sums waits for them.
    """

    name = "nvgpu.warpgroup.mma"

    a = operand_def(base(WarpgroupDescriptorType))
    b = operand_def(base(WarpgroupDescriptorType))
    c = operand_def(base(AccumulatorType))
    wait_group = opt_prop_def(IntegerAttr, prop_name=LATEST)
    transpose_a = opt_prop_def(UnitAttr, prop_name="transposeA")
    transpose_b = opt_prop_def(UnitAttr, prop_name="transposeB")
    result = result_def(base(AccumulatorType))

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$a `,` $b `,` $c attr-dict `:` type($a) `,` type($b) `,` type($c) `->` type($result)"

    def __init__(self, a: SSAValue, b: SSAValue, c: SSAValue, *, transpose_b: bool, pending: int = 0):
        super().__init__(
            operands=[a, b, c],
            result_types=[c.type],
            properties={
                LATEST: IntegerAttr(pending, i64) if pending != 1 else None,
                "transposeB": UnitAttr() if transpose_b else None,
            },
        )

    @property
    def pending(self) -> int:
        """Products of this warpgroup that may still go on, this one among them; 1 where it is left out."""
        return 1 if self.wait_group is None else self.wait_group.value.data

    @property
    def depth(self) -> int:
        """Elements of a row of a."""
        return descriptor_type(self.a).matrix.get_shape()[1]

    def verify_(self) -> None:
        left, right = (descriptor_type(value).matrix for value in (self.a, self.b))
        sums = accumulator_type(self.c)
        element = left.get_element_type()
        if right.get_element_type() != element:
            raise VerifyException(f"expected factors of one type, found {element} and {right.get_element_type()}")
        if type(element) not in DEPTHS or not isinstance(sums.vector.get_element_type(), Float32Type):
            total = sums.vector.get_element_type()
            raise VerifyException(f"there is no product of {element} with sums of {total}")
        if self.result.type != self.c.type:
            raise VerifyException(f"expected a result of type {self.c.type}, found {self.result.type}")
        (rows, depth), (height, columns) = left.get_shape(), right.get_shape()
        if depth != height:
            raise VerifyException(f"expected factors of one depth, found {depth} and {height}")
        if (rows, columns) != sums.sizes:
            raise VerifyException(f"expected sums of shape {[rows, columns]}, found {list(sums.sizes)}")
        if depth % DEPTHS[type(element)]:
            raise VerifyException(f"expected a depth of a multiple of {DEPTHS[type(element)]}, found {depth}")
        if self.transpose_a is not None:
            raise VerifyException("a left factor with its columns as lines is not supported")
        if self.transpose_b is not None and isinstance(element, FloatTF32Type):
            raise VerifyException("only factors of 16-bit elements can come transposed")


@irdl_op_definition
class InitAccumulatorOp(IRDLOperation):
    """Sums of zeros."""

    name = "nvgpu.warpgroup.mma.init.accumulator"

    result = result_def(base(AccumulatorType))
    traits = traits_def(Pure())
    assembly_format = "attr-dict `->` type($result)"

    def __init__(self, type_: AccumulatorType):
        super().__init__(result_types=[type_])


@irdl_op_definition
class WarpgroupStoreOp(IRDLOperation):
    """Store a warpgroup's sums, when they are there."""

    name = "nvgpu.warpgroup.mma.store"

    sums = operand_def(base(AccumulatorType))
    target = operand_def()
    assembly_format = "$sums `,` $target attr-dict `:` type($sums) `to` type($target)"

    def __init__(self, sums: SSAValue, target: SSAValue):
        super().__init__(operands=[sums, target])

    def verify_(self) -> None:
        sums, target = accumulator_type(self.sums), self.target.type
        expected: Sequence[int] = sums.sizes
        if not is_memref(target) or tuple(target.get_shape()) != tuple(expected):
            raise VerifyException(f"expected a buffer of shape {list(expected)}, found {target}")
        if target.get_element_type() != sums.vector.get_element_type():
            raise VerifyException(f"cannot store {sums.vector.get_element_type()} as {target.get_element_type()}")


OPS: tuple[type[Operation], ...] = (GenerateDescriptorOp, WarpgroupMmaOp, InitAccumulatorOp, WarpgroupStoreOp)
