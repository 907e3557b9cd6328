"""Types of upstream's `nvgpu` dialect for sm_90a: barriers in memory, tensor maps, factors and sums of warpgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

from xdsl.dialects.builtin import FixedBitwidthType, FloatTF32Type, IntAttr, StringAttr, f32
from xdsl.ir import Attribute, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import irdl_attr_definition, param_def
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.hardware.gpu import WORKGROUP
from lamina.dialects.loop.types import AnyMemRef, AnyVector, is_memref, is_vector

SWIZZLE_BYTES: Mapping[str, int] = {"none": 0, "swizzle_32b": 32, "swizzle_64b": 64, "swizzle_128b": 128}
"""By the name of a swizzle, the bytes of a line within which chunks of 16 bytes change places."""
PROMOTION_BYTES: Mapping[str, int] = {"none": 0, "l2promo_64b": 64, "l2promo_128b": 128, "l2promo_256b": 256}
"""By name, the bytes that are fetched into the L2 cache at a time."""
OUT_OF_BOUNDS = ("zero", "nan")
INTERLEAVES = ("none", "interleave_16b", "interleave_32b")

WORDS = frozenset({"swizzle", "l2promo", "oob", "interleave"})
"""Fields that are words."""

MOST_BOX, MOST_AXES = 256, 5
"""Elements of a tensor map's box along one axis, and its axes, at most."""


def workgroup_buffer(value: SSAValue) -> AnyMemRef:
    """The type of a buffer in shared memory; raises VerifyException for anything else."""
    if not is_memref(value.type) or value.type.memory_space != WORKGROUP:
        raise VerifyException(f"expected a buffer in memory space {WORKGROUP}, found {value.type}")
    return value.type


def check_indices(indices: Sequence[SSAValue], type_: AnyMemRef) -> None:
    """Raise VerifyException where a buffer has another number of axes."""
    if len(indices) != type_.get_num_dims():
        raise VerifyException(f"expected {type_.get_num_dims()} indices, found {len(indices)}")


def bytes_of_element(type_: Attribute) -> int:
    """Bytes of an element; raises VerifyException where it has none of its own."""
    if not isinstance(type_, FixedBitwidthType) or type_.bitwidth % 8:
        raise VerifyException(f"expected elements of whole bytes, found {type_}")
    return type_.bitwidth // 8


class _Fields(ParametrizedAttribute, TypeAttribute):
    """A type written as `<key = value, …>`; words stand for strings, numbers for integers."""

    KEYS: ClassVar[Sequence[str]] = ()
    OPTIONAL: ClassVar[Mapping[str, Attribute]] = {}
    """Keys at the end that are left out where they have this value."""

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            fields = zip(self.KEYS, self.parameters, strict=True)
            shown = [(key, value) for key, value in fields if self.OPTIONAL.get(key) != value]
            for number, (key, value) in enumerate(shown):
                printer.print_string(f"{', ' if number else ''}{key} = ")
                if isinstance(value, StringAttr):
                    printer.print_string(value.data)
                elif isinstance(value, IntAttr):
                    printer.print_string(str(cast("IntAttr", value).data))
                else:
                    printer.print_attribute(value)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        found: dict[str, Attribute] = {}
        with parser.in_angle_brackets():
            for key in cls.KEYS:
                if found and not parser.parse_optional_punctuation(","):
                    break
                parser.parse_characters(key)
                parser.parse_punctuation("=")
                found[key] = cls.parse_field(parser, key)
        missing = [key for key in cls.KEYS if key not in found and key not in cls.OPTIONAL]
        if missing:
            parser.raise_error(f"expected {missing[0]}")
        return [found.get(key) or cls.OPTIONAL[key] for key in cls.KEYS]

    @classmethod
    def parse_field(cls, parser: AttrParser, key: str) -> Attribute:
        """The value of a key."""
        return StringAttr(parser.parse_identifier()) if key in WORDS else parser.parse_attribute()


@irdl_attr_definition
class MBarrierGroupType(_Fields):
    """Barriers in memory: `!nvgpu.mbarrier.group<memorySpace = #gpu.address_space<workgroup>, num_barriers = 4>`."""

    name = "nvgpu.mbarrier.group"

    memory_space: Attribute = param_def()
    number: IntAttr = param_def()

    KEYS: ClassVar[Sequence[str]] = ("memorySpace", "num_barriers")
    OPTIONAL: ClassVar[Mapping[str, Attribute]] = {"num_barriers": IntAttr(1)}

    def __init__(self, number: int | IntAttr = 1, memory_space: Attribute = WORKGROUP):
        super().__init__(memory_space, IntAttr(number) if isinstance(number, int) else number)

    @classmethod
    def new(cls, params: Sequence[Attribute]) -> MBarrierGroupType:
        space, number = params
        return cls(number, space)  # pyright: ignore[reportArgumentType]

    @classmethod
    def parse_field(cls, parser: AttrParser, key: str) -> Attribute:
        return IntAttr(parser.parse_integer()) if key == "num_barriers" else parser.parse_attribute()

    @property
    def count(self) -> int:
        """How many barriers there are."""
        return self.number.data

    def verify(self) -> None:
        if self.memory_space != WORKGROUP:
            raise VerifyException(f"expected barriers in memory space {WORKGROUP}, found {self.memory_space}")
        if self.count < 1:
            raise VerifyException(f"expected at least one barrier, found {self.count}")


@irdl_attr_definition
class MBarrierTokenType(ParametrizedAttribute, TypeAttribute):
    """The phase that an arrival belongs to: `!nvgpu.mbarrier.token`."""

    name = "nvgpu.mbarrier.token"


@irdl_attr_definition
class TensorMapType(_Fields):
    """How parts of a tensor in global memory are copied to shared memory: `!nvgpu.tensormap.descriptor<tensor =
    memref<128x64xf16, #gpu.address_space<workgroup>>, swizzle = swizzle_128b, l2promo = l2promo_128b, oob = zero,
    interleave = none>`; `tensor` is the part: a box, up to 256 elements along each of up to five axes.

    With a swizzle of 128 bytes, a line of the box has 128 bytes, and the chunk of 16 bytes at place c of line r lies at
    place `c xor (r mod 8)` (PTX ISA, "Swizzling modes"); `swizzled_chunk` is the formula.
    """

    name = "nvgpu.tensormap.descriptor"

    tensor: Attribute = param_def()
    swizzle: StringAttr = param_def()
    promotion: StringAttr = param_def()
    outside: StringAttr = param_def()
    interleave: StringAttr = param_def()

    KEYS: ClassVar[Sequence[str]] = ("tensor", "swizzle", "l2promo", "oob", "interleave")

    @staticmethod
    def of(tensor: AnyMemRef, swizzle: str = "swizzle_128b") -> TensorMapType:
        """The type for a box, zeros outside of the tensor, lines of 128 bytes fetched into the L2 cache."""
        return TensorMapType(
            tensor, StringAttr(swizzle), StringAttr("l2promo_128b"), StringAttr("zero"), StringAttr("none")
        )

    @property
    def box(self) -> AnyMemRef:
        """The part in shared memory."""
        if not is_memref(self.tensor):
            raise VerifyException(f"expected a memref as the tensor, found {self.tensor}")
        return self.tensor

    def verify(self) -> None:
        shape = self.box.get_shape()
        if self.box.memory_space != WORKGROUP:
            raise VerifyException(f"expected a tensor in memory space {WORKGROUP}, found {self.box}")
        if not 1 <= len(shape) <= MOST_AXES:
            raise VerifyException(f"expected 1 to {MOST_AXES} axes, found {len(shape)}")
        if any(not 1 <= size <= MOST_BOX for size in shape):
            raise VerifyException(f"expected 1 to {MOST_BOX} elements along every axis, found {list(shape)}")
        choices = (
            ("swizzle", self.swizzle, tuple(SWIZZLE_BYTES)),
            ("l2promo", self.promotion, tuple(PROMOTION_BYTES)),
            ("oob", self.outside, OUT_OF_BOUNDS),
            ("interleave", self.interleave, INTERLEAVES),
        )
        for key, value, known in choices:
            if value.data not in known:
                raise VerifyException(f"expected one of {', '.join(known)} as {key}, found {value.data}")
        if self.interleave.data != "none":
            raise VerifyException("interleaved tensor maps are not supported")


@irdl_attr_definition
class WarpgroupDescriptorType(_Fields):
    """Where a warpgroup finds a factor in shared memory: `!nvgpu.warpgroup.descriptor<tensor = memref<64x64xbf16,
    #gpu.address_space<workgroup>>>`; the shape is m × k of the left factor and k × n of the right one."""

    name = "nvgpu.warpgroup.descriptor"

    tensor: Attribute = param_def()
    KEYS: ClassVar[Sequence[str]] = ("tensor",)

    @property
    def matrix(self) -> AnyMemRef:
        """The factor."""
        if not is_memref(self.tensor):
            raise VerifyException(f"expected a memref as the tensor, found {self.tensor}")
        return self.tensor

    def verify(self) -> None:
        if self.matrix.memory_space != WORKGROUP or self.matrix.get_num_dims() != 2:
            raise VerifyException(f"expected a matrix in memory space {WORKGROUP}, found {self.tensor}")


@irdl_attr_definition
class AccumulatorType(_Fields):
    """Sums that the 128 threads of a warpgroup hold: `!nvgpu.warpgroup.accumulator<fragmented = vector<64x128xf32>>`.

    Thread t has, of every 64 × 8 cells, rows `16 (t / 32) + (t mod 32) / 4` and the eighth after it, columns
    `2 (t mod 4)` and the next (PTX ISA, "Register fragments and shared memory matrix layouts").
    """

    name = "nvgpu.warpgroup.accumulator"

    fragmented: Attribute = param_def()
    KEYS: ClassVar[Sequence[str]] = ("fragmented",)

    @property
    def vector(self) -> AnyVector:
        """All sums."""
        if not is_vector(self.fragmented):
            raise VerifyException(f"expected a vector, found {self.fragmented}")
        return self.fragmented

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.vector.get_shape()
        return rows, columns

    def verify(self) -> None:
        shape = self.vector.get_shape()
        if len(shape) != 2 or shape[0] % 64 or shape[1] % 8 or not 8 <= shape[1] <= MOST_BOX:
            raise VerifyException(
                f"expected a multiple of 64 rows and a multiple of 8 columns up to {MOST_BOX}, found {self.fragmented}"
            )


def swizzled_chunk(row: int, chunk: int, line_bytes: int) -> int:
    """The place of a chunk of 16 bytes in a line of 32, 64, 128 or more bytes, so that eight lines that follow each
    other have the same chunk in all eight sixteenths of the 32 banks.

    >>> [swizzled_chunk(row, 0, 128) for row in range(8)]
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    chunks = min(line_bytes // 16, 8)
    return chunk ^ (row * chunks // 8 % chunks)


def multiplied(element: Attribute) -> Attribute:
    """The elements that matrix units multiply, where memory has elements of a type: of f32, what tf32 keeps.

    The units leave out the last 13 bits; copies by a tensor map whose dtype is tf32 have rounded before.
    """
    return FloatTF32Type() if element == f32 else element


TYPES: tuple[type[ParametrizedAttribute], ...] = (
    MBarrierGroupType,
    MBarrierTokenType,
    TensorMapType,
    WarpgroupDescriptorType,
    AccumulatorType,
)
