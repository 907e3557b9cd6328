"""Upstream `nvgpu` ops for copies by tensor maps and the barriers in memory that say when they are there (sm_90)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import IndexType, UnrankedMemRefType, i1
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.hardware.nvgpu_types import (
    SWIZZLE_BYTES,
    MBarrierGroupType,
    MBarrierTokenType,
    TensorMapType,
    bytes_of_element,
    workgroup_buffer,
)
from lamina.dialects.loop.traits import DescribesBuffer
from lamina.dialects.loop.types import AnyMemRef

INDEX = IndexType()
BARRIER_TOKEN = MBarrierTokenType()


def barriers_type(value: SSAValue) -> MBarrierGroupType:
    """The type of a group of barriers."""
    if not isinstance(value.type, MBarrierGroupType):
        raise VerifyException(f"expected a group of barriers, found {value.type}")
    return value.type


def map_type(value: SSAValue) -> TensorMapType:
    """The type of a tensor map."""
    if not isinstance(value.type, TensorMapType):
        raise VerifyException(f"expected a tensor map, found {value.type}")
    return value.type


@irdl_op_definition
class MBarrierCreateOp(IRDLOperation):
    """Shared memory for barriers, 8 bytes each."""

    name = "nvgpu.mbarrier.create"

    barriers = result_def(base(MBarrierGroupType))
    assembly_format = "attr-dict `->` type($barriers)"

    def __init__(self, number: int):
        super().__init__(result_types=[MBarrierGroupType(number)])


@irdl_op_definition
class MBarrierInitOp(IRDLOperation):
    """A barrier waits for so many arrivals in each of its phases, the first of which is phase 0.

    `nvgpu.mbarrier.init %b[%i], %count, predicate = %p : …`; without the predicate every thread does it.
    """

    name = "nvgpu.mbarrier.init"

    barriers = operand_def(base(MBarrierGroupType))
    number = operand_def(INDEX)
    count = operand_def(INDEX)
    predicate = opt_operand_def(i1)
    assembly_format = (
        "$barriers `[` $number `]` `,` $count (`,` `predicate` `=` $predicate^)? attr-dict `:` type($barriers)"
    )

    def __init__(self, barriers: SSAValue, number: SSAValue, count: SSAValue, predicate: SSAValue | None = None):
        super().__init__(operands=[barriers, number, count, predicate])


@irdl_op_definition
class MBarrierArriveOp(IRDLOperation):
    """One arrival; the token names the phase."""

    name = "nvgpu.mbarrier.arrive"

    barriers = operand_def(base(MBarrierGroupType))
    number = operand_def(INDEX)
    token = result_def(BARRIER_TOKEN)
    assembly_format = "$barriers `[` $number `]` attr-dict `:` type($barriers) `->` type($token)"

    def __init__(self, barriers: SSAValue, number: SSAValue):
        super().__init__(operands=[barriers, number], result_types=[BARRIER_TOKEN])


@irdl_op_definition
class MBarrierArriveExpectOp(IRDLOperation):
    """One arrival, and so many bytes of copies to wait for in this phase besides (0: none)."""

    name = "nvgpu.mbarrier.arrive.expect_tx"

    barriers = operand_def(base(MBarrierGroupType))
    number = operand_def(INDEX)
    bytes = operand_def(INDEX)
    predicate = opt_operand_def(i1)
    assembly_format = (
        "$barriers `[` $number `]` `,` $bytes (`,` `predicate` `=` $predicate^)? attr-dict `:` type($barriers)"
    )

    def __init__(self, barriers: SSAValue, number: SSAValue, bytes_: SSAValue, predicate: SSAValue | None = None):
        super().__init__(operands=[barriers, number, bytes_, predicate])


@irdl_op_definition
class MBarrierTestWaitOp(IRDLOperation):
    """Whether the phase of a token is over."""

    name = "nvgpu.mbarrier.test.wait"

    barriers = operand_def(base(MBarrierGroupType))
    number = operand_def(INDEX)
    token = operand_def(BARRIER_TOKEN)
    complete = result_def(i1)
    assembly_format = "$barriers `[` $number `]` `,` $token attr-dict `:` type($barriers) `,` type($token)"

    def __init__(self, barriers: SSAValue, number: SSAValue, token: SSAValue):
        super().__init__(operands=[barriers, number, token], result_types=[i1])


@irdl_op_definition
class MBarrierTryWaitOp(IRDLOperation):
    """Wait until the phase of a parity is over: the first phase's is 0. `ticks` hint for how long to sleep."""

    name = "nvgpu.mbarrier.try_wait.parity"

    barriers = operand_def(base(MBarrierGroupType))
    number = operand_def(INDEX)
    parity = operand_def(i1)
    ticks = operand_def(INDEX)
    assembly_format = "$barriers `[` $number `]` `,` $parity `,` $ticks attr-dict `:` type($barriers)"

    def __init__(self, barriers: SSAValue, number: SSAValue, parity: SSAValue, ticks: SSAValue):
        super().__init__(operands=[barriers, number, parity, ticks])


@irdl_op_definition
class TmaFenceOp(IRDLOperation):
    """What was written to a tensor map in global memory is seen by copies that come."""

    name = "nvgpu.tma.fence.descriptor"

    map = operand_def(base(TensorMapType))
    assembly_format = "$map attr-dict `:` type($map)"

    def __init__(self, map_: SSAValue):
        super().__init__(operands=[map_])


@irdl_op_definition
class TmaPrefetchOp(IRDLOperation):
    """Fetch a tensor map into the cache."""

    name = "nvgpu.tma.prefetch.descriptor"

    map = operand_def(base(TensorMapType))
    predicate = opt_operand_def(i1)
    assembly_format = "$map (`,` `predicate` `=` $predicate^)? attr-dict `:` type($map)"

    def __init__(self, map_: SSAValue, predicate: SSAValue | None = None):
        super().__init__(operands=[map_, predicate])


@irdl_op_definition
class TmaCreateOp(IRDLOperation):
    """A tensor map, on the host: a buffer, and how large the part is that one copy brings.

    `nvgpu.tma.create.descriptor %x box[%c128, %c64] : memref<*xf16> -> !nvgpu.tensormap.descriptor<…>`
    """

    name = "nvgpu.tma.create.descriptor"

    tensor = operand_def(base(UnrankedMemRefType))
    box = var_operand_def(INDEX)
    map = result_def(base(TensorMapType))
    traits = traits_def(Pure(), DescribesBuffer())
    assembly_format = "$tensor `box` `[` $box `]` attr-dict `:` type($tensor) `->` type($map)"

    def __init__(self, tensor: SSAValue, box: Sequence[SSAValue], type_: TensorMapType):
        super().__init__(operands=[tensor, box], result_types=[type_])

    def verify_(self) -> None:
        part = map_type(self.map).box
        if len(self.box) != part.get_num_dims():
            raise VerifyException(f"expected a box of {part.get_num_dims()} axes, found {len(self.box)}")
        found = cast("UnrankedMemRefType[Attribute]", self.tensor.type).element_type
        if found != part.get_element_type():
            raise VerifyException(f"cannot describe {found} as {part.get_element_type()}")


@irdl_op_definition
class TmaLoadOp(IRDLOperation):
    """Begin to copy a part of a tensor to shared memory; its bytes count at the barrier when they are there.

    `nvgpu.tma.async.load %map[%k, %i], %b[%stage] to %s, predicate = %p : …, … -> memref<64x64xf16, …>`. Coordinates
    are those of the part's first element, the fastest axis first, as in PTX: the reverse of the shape's order. What is
    outside of the tensor comes as zeros, and counts.
    """

    name = "nvgpu.tma.async.load"

    target = operand_def()
    barriers = operand_def(base(MBarrierGroupType))
    map = operand_def(base(TensorMapType))
    coordinates = var_operand_def(INDEX)
    number = operand_def(INDEX)
    predicate = opt_operand_def(i1)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    assembly_format = (
        "$map `[` $coordinates `]` `,` $barriers `[` $number `]` `to` $target (`,` `predicate` `=` $predicate^)?"
        " attr-dict `:` type($map) `,` type($barriers) `->` type($target)"
    )

    def __init__(
        self,
        map_: SSAValue,
        coordinates: Sequence[SSAValue],
        barriers: SSAValue,
        number: SSAValue,
        target: SSAValue,
        predicate: SSAValue | None = None,
    ):
        super().__init__(operands=[target, barriers, map_, coordinates, number, predicate])

    def verify_(self) -> None:
        check_part(map_type(self.map), workgroup_buffer(self.target), self.coordinates)


@irdl_op_definition
class TmaStoreOp(IRDLOperation):
    """Copy a part of a tensor from shared memory, and wait until shared memory has been read.

    All threads of the block come to it, and meet: what they have written before is copied.
    """

    name = "nvgpu.tma.async.store"

    source = operand_def()
    map = operand_def(base(TensorMapType))
    coordinates = var_operand_def(INDEX)
    predicate = opt_operand_def(i1)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    assembly_format = (
        "$source `to` $map `[` $coordinates `]` (`,` `predicate` `=` $predicate^)? attr-dict `:`"
        " type($source) `->` type($map)"
    )

    def __init__(
        self, source: SSAValue, map_: SSAValue, coordinates: Sequence[SSAValue], predicate: SSAValue | None = None
    ):
        super().__init__(operands=[source, map_, coordinates, predicate])

    def verify_(self) -> None:
        check_part(map_type(self.map), workgroup_buffer(self.source), self.coordinates)


def check_part(map_: TensorMapType, buffer: AnyMemRef, coordinates: Sequence[SSAValue]) -> None:
    """Raise VerifyException where a buffer in shared memory does not hold the part of a tensor map."""
    part = map_.box
    if len(coordinates) != part.get_num_dims():
        raise VerifyException(f"expected {part.get_num_dims()} coordinates, found {len(coordinates)}")
    if part.get_element_type() != buffer.get_element_type():
        raise VerifyException(f"cannot copy {part.get_element_type()} as {buffer.get_element_type()}")
    if part.get_shape() != buffer.get_shape():
        raise VerifyException(f"expected a buffer of shape {list(part.get_shape())}, found {list(buffer.get_shape())}")
    line = part.get_shape()[-1] * bytes_of_element(part.get_element_type())
    expected = SWIZZLE_BYTES[map_.swizzle.data]
    if expected and line != expected:
        raise VerifyException(f"expected lines of {expected} bytes with {map_.swizzle.data}, found {line}")
    if line % 16:
        raise VerifyException(f"expected lines of a multiple of 16 bytes, found {line}")


OPS: tuple[type[Operation], ...] = (
    MBarrierCreateOp,
    MBarrierInitOp,
    MBarrierArriveOp,
    MBarrierArriveExpectOp,
    MBarrierTestWaitOp,
    MBarrierTryWaitOp,
    TmaFenceOp,
    TmaPrefetchOp,
    TmaCreateOp,
    TmaLoadOp,
    TmaStoreOp,
)
