"""The upstream `amdgpu` dialect as far as it is emitted: products of fragments by AMD's matrix cores.

A fragment is what one lane of a wave holds of a small matrix. AMD's matrix instruction calculator says which elements
(`--register-layout`); `MATRIX_CORES` has that as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from xdsl.dialects.builtin import IntegerAttr, VectorType, bf16, f16, f32, f64, i32
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, Dialect, Operation, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from lamina.dialects.loop.types import is_vector

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class MatrixCore:
    """How the lanes of a wave hold the matrices of one instruction `d = a · b + c`.

    `lanes` of a wave. A lane holds `held` neighbors along the depth of row `lane % m` of a (of column `lane % n` of b),
    from `held * (lane / m)` on; where that is the whole depth, all groups of m lanes hold the same. Of c and d it holds
    column `lane % n`: its register r is row `rows[r] + step * (lane / n)`.
    """

    lanes: int
    held: int
    rows: tuple[int, ...]
    step: int

    @property
    def runs(self) -> int:
        """Neighboring rows that follow each other in registers of c and d."""
        count = 1
        while count < len(self.rows) and self.rows[count] == count:
            count += 1
        return count


def _tiles_of_four(count: int, apart: int) -> tuple[int, ...]:
    return tuple(apart * tile + row for tile in range(count) for row in range(4))


_SMALL, _LARGE = _tiles_of_four(1, 8), _tiles_of_four(4, 8)

MATRIX_CORES: Mapping[str, Mapping[tuple[Shape, Attribute, Attribute], MatrixCore]] = {
    "mfma": {
        ((16, 16, 16), f16, f32): MatrixCore(64, 4, _SMALL, 4),
        ((16, 16, 16), bf16, f32): MatrixCore(64, 4, _SMALL, 4),
        ((32, 32, 8), f16, f32): MatrixCore(64, 4, _LARGE, 4),
        ((32, 32, 8), bf16, f32): MatrixCore(64, 4, _LARGE, 4),
        ((16, 16, 4), f32, f32): MatrixCore(64, 1, _SMALL, 4),
        ((32, 32, 2), f32, f32): MatrixCore(64, 1, _LARGE, 4),
        ((16, 16, 4), f64, f64): MatrixCore(64, 1, (0, 4, 8, 12), 1),
    },
    "wmma": {
        ((16, 16, 16), f16, f32): MatrixCore(32, 16, tuple(range(0, 16, 2)), 1),
        ((16, 16, 16), bf16, f32): MatrixCore(32, 16, tuple(range(0, 16, 2)), 1),
    },
}
"""By op, shape (m, n, k), elements of the factors and of the sums."""


class PermutationEnum(StrEnum):
    """How the lanes of b are permuted first."""

    NONE = "none"
    FIRST_32 = "bcast_first_32"
    SECOND_32 = "bcast_second_32"
    ROTATE_16 = "rotate_16_right"
    FIRST_16 = "bcast_first_16"
    SECOND_16 = "bcast_second_16"
    THIRD_16 = "bcast_third_16"
    FOURTH_16 = "bcast_fourth_16"


@irdl_attr_definition
class PermutationAttr(EnumAttribute[PermutationEnum], SpacedOpaqueSyntaxAttribute):
    """`#amdgpu<mfma_perm_b none>`."""

    name = "amdgpu.mfma_perm_b"


def element_of(value: SSAValue) -> Attribute:
    """The element type of a fragment, which may be a number."""
    return value.type.get_element_type() if is_vector(value.type) else value.type


def _count(value: SSAValue) -> int:
    if not is_vector(value.type):
        return 1
    return value.type.get_shape()[0] if len(value.type.get_shape()) == 1 else 0


def fragment_type(element: Attribute, count: int) -> Attribute:
    """The type of so many values of a lane."""
    found: Attribute = element if count == 1 else VectorType(element, (count,))
    return found


class MatrixCoreOp(IRDLOperation):
    """The base of the products of fragments: `a · b + c` by all lanes of a wave together."""

    KIND: ClassVar[str]
    """The key in `MATRIX_CORES`."""

    DEFAULTS: ClassVar[Mapping[str, Attribute]] = {}
    """Properties beside the shape, each with the value that stands for itself."""

    a = operand_def(Attribute)
    b = operand_def(Attribute)
    c = operand_def(Attribute)
    m = prop_def(IntegerAttr)
    n = prop_def(IntegerAttr)
    k = prop_def(IntegerAttr)
    result = result_def(Attribute)
    traits = traits_def(Pure())

    def __init__(self, a: SSAValue, b: SSAValue, c: SSAValue, shape: Shape):
        sizes = {name: IntegerAttr(size, i32) for name, size in zip("mnk", shape, strict=True)}
        super().__init__(operands=[a, b, c], result_types=[c.type], properties={**sizes, **self.DEFAULTS})

    @property
    def sizes(self) -> Shape:
        """m, n and k."""
        return self.m.value.data, self.n.value.data, self.k.value.data

    @property
    def key(self) -> tuple[Shape, Attribute, Attribute]:
        """The key in the tables of this kind of op."""
        return self.sizes, element_of(self.a), element_of(self.c)

    @property
    def core(self) -> MatrixCore:
        """The layout of its fragments; the verifier has seen that there is one."""
        return MATRIX_CORES[self.KIND][self.key]

    def verify_(self) -> None:
        if self.b.type != self.a.type:
            raise VerifyException(f"expected factors of one type, found {self.a.type} and {self.b.type}")
        shape, element, total = self.key
        core = MATRIX_CORES[self.KIND].get(self.key)
        if core is None:
            listed = "x".join(map(str, shape))
            raise VerifyException(f"there is no {self.KIND} of shape {listed} for {element} and sums of {total}")
        for name, value, count in (("a", self.a, core.held), ("c", self.c, len(core.rows))):
            wanted = fragment_type(element_of(value), count)
            if _count(value) != count or value.type != wanted:
                raise VerifyException(f"expected matrix {name} of type {wanted}, found {value.type}")
        if self.result.type != self.c.type:
            raise VerifyException(f"expected a result of type {self.c.type}, found {self.result.type}")
        for name, value in self.DEFAULTS.items():
            if self.properties.get(name, value) != value:
                raise VerifyException(f"'{name}' other than {value} is not supported")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        sizes = _parse_sizes(parser)
        operands: list[UnresolvedOperand] = [parser.parse_unresolved_operand()]
        for separator in ("*", "+"):
            parser.parse_characters(separator)
            operands.append(parser.parse_unresolved_operand())
        attributes = parser.parse_optional_attr_dict()
        cls._parse_rest(parser, attributes)
        parser.parse_punctuation(":")
        types = [parser.parse_type()]
        for _ in range(2):
            parser.parse_punctuation(",")
            types.append(parser.parse_type())
        a, b, c = (parser.resolve_operand(one, type_) for one, type_ in zip(operands, types, strict=True))
        op = cls(a, b, c, sizes)
        for name, value in attributes.items():
            (op.properties if name in cls.DEFAULTS else op.attributes)[name] = value
        return op

    @classmethod
    def _parse_rest(cls, parser: Parser, attributes: dict[str, Attribute]) -> None:
        """Parse what stands between the attributes and the types."""

    def _print_rest(self, printer: Printer) -> None:
        """Print what stands between the attributes and the types."""

    def _shown(self) -> dict[str, Attribute]:
        """The properties that are not what is assumed where they are left out."""
        return {name: value for name, value in self.properties.items() if self.DEFAULTS.get(name, value) != value}

    def print(self, printer: Printer) -> None:
        printer.print_string(f" {'x'.join(map(str, self.sizes))} ")
        for value, separator in zip(self.operands, (" * ", " + ", ""), strict=True):
            printer.print_ssa_value(value)
            printer.print_string(separator)
        printer.print_op_attributes(self._shown() | self.attributes)
        self._print_rest(printer)
        printer.print_string(" : ")
        printer.print_list(self.operands, lambda value: printer.print_attribute(value.type))


def _parse_sizes(parser: Parser) -> Shape:
    start = parser.pos
    sizes = parser.parse_dimension_list()
    if len(sizes) != 3:
        parser.raise_error("expected a shape m x n x k", start, parser.pos)
    return sizes[0], sizes[1], sizes[2]


@irdl_op_definition
class MfmaOp(MatrixCoreOp):
    """A product of fragments on CDNA (gfx90a, gfx942), 64 lanes.

    `amdgpu.mfma 16x16x16 %a * %b + %c blgp = none : vector<4xf16>, vector<4xf16>, vector<4xf32>`. Upstream's broadcasts
    and permutations (cbsz, abid, blgp) and several blocks are not supported.
    """

    name = "amdgpu.mfma"

    blocks = prop_def(IntegerAttr)
    cbsz = prop_def(IntegerAttr)
    abid = prop_def(IntegerAttr)
    blgp = prop_def(PermutationAttr)

    KIND: ClassVar[str] = "mfma"
    DEFAULTS: ClassVar[Mapping[str, Attribute]] = {
        "blocks": IntegerAttr(1, i32),
        "cbsz": IntegerAttr(0, i32),
        "abid": IntegerAttr(0, i32),
        "blgp": PermutationAttr(PermutationEnum.NONE),
    }

    @classmethod
    def _parse_rest(cls, parser: Parser, attributes: dict[str, Attribute]) -> None:
        parser.parse_keyword("blgp")
        parser.parse_punctuation("=")
        attributes["blgp"] = PermutationAttr(parser.parse_str_enum(PermutationEnum))

    def _print_rest(self, printer: Printer) -> None:
        printer.print_string(f" blgp = {self.blgp.data.value}")

    def _shown(self) -> dict[str, Attribute]:
        return {name: value for name, value in super()._shown().items() if name != "blgp"}


@irdl_op_definition
class WmmaOp(MatrixCoreOp):
    """A product of fragments on RDNA 3 (gfx1100), 32 lanes.

    `amdgpu.wmma 16x16x16 %a * %b + %c : vector<16xf16>, vector<16xf16>, vector<8xf32>`.
    """

    name = "amdgpu.wmma"

    offset = prop_def(IntegerAttr, prop_name="subwordOffset")

    KIND: ClassVar[str] = "wmma"
    DEFAULTS: ClassVar[Mapping[str, Attribute]] = {"subwordOffset": IntegerAttr(0, i32)}


OPS: tuple[type[Operation], ...] = (MfmaOp, WmmaOp)

Amdgpu = Dialect("amdgpu", list(OPS), [PermutationAttr])
"""The dialect, which xDSL has not."""
