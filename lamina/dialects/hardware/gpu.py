"""The upstream `gpu` dialect as far as it is emitted, with upstream's custom syntax, which xDSL's has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FunctionType,
    IndexType,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    UnitAttr,
    i32,
)
from xdsl.dialects.gpu import GPU as XdslGpu
from xdsl.dialects.gpu import DimensionAttr, DimensionEnum
from xdsl.ir import Attribute, Block, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    opt_prop_def,
    param_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import IsolatedFromAbove, IsTerminator, NoTerminator, Pure, SymbolOpInterface, SymbolTable
from xdsl.utils.exceptions import VerifyException

from lamina.dialects.hardware.gpu_communication import COMMUNICATION_ATTRIBUTES, COMMUNICATION_OPS

INDEX = IndexType()
DIMENSIONS = ("x", "y", "z")
MEMORY_SPACES = ("global", "workgroup", "private")


@irdl_attr_definition
class AddressSpaceAttr(ParametrizedAttribute):
    """A memory space of a buffer's type: `#gpu.address_space<workgroup>`; one of `MEMORY_SPACES`."""

    name = "gpu.address_space"
    space: StringAttr = param_def()

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return [StringAttr(parser.parse_identifier(" for the memory space"))]

    def print_parameters(self, printer: Printer) -> None:
        printer.print_string(f"<{self.space.data}>")

    def verify(self) -> None:
        if self.space.data not in MEMORY_SPACES:
            raise VerifyException(f"expected one of {', '.join(MEMORY_SPACES)}, found {self.space.data}")


WORKGROUP = AddressSpaceAttr(StringAttr("workgroup"))
"""Memory that the threads of a block share."""


class _PositionOp(IRDLOperation):
    """The base of the ops that ask for a position in the grid along x, y or z."""

    dimension = prop_def(DimensionAttr)
    result = result_def(INDEX)
    traits = traits_def(Pure())

    def __init__(self, dimension: str = "x"):
        super().__init__(
            properties={"dimension": DimensionAttr(DimensionEnum(dimension))},
            result_types=[INDEX],
        )

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        start = parser.pos
        dimension = parser.parse_identifier(" for the dimension")
        if dimension not in DIMENSIONS:
            parser.raise_error("expected x, y or z", start, parser.pos)
        op = cls(dimension)
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(f"  {self.dimension.data.value}")
        printer.print_op_attributes(self.attributes)


@irdl_op_definition
class ThreadIdOp(_PositionOp):
    """`gpu.thread_id x`: the position of this thread in its block."""

    name = "gpu.thread_id"


@irdl_op_definition
class BlockIdOp(_PositionOp):
    """`gpu.block_id x`: the position of this block in the grid."""

    name = "gpu.block_id"


@irdl_op_definition
class BarrierOp(IRDLOperation):
    """All threads of a block wait for each other, and see what the others have written until then."""

    name = "gpu.barrier"
    assembly_format = "attr-dict"


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """The end of a kernel."""

    name = "gpu.return"
    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict"


@irdl_op_definition
class ModuleOp(IRDLOperation):
    """`gpu.module @kernels {…}`: code for the device."""

    name = "gpu.module"

    sym_name = prop_def(SymbolNameConstraint())
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), NoTerminator(), SymbolOpInterface(), SymbolTable())

    def __init__(self, name: str, body: Region | Block):
        super().__init__(
            properties={"sym_name": StringAttr(name)},
            regions=[body if isinstance(body, Region) else Region(body)],
        )

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        name = parser.parse_symbol_name()
        attributes = parser.parse_optional_attr_dict_with_keyword()
        body = parser.parse_region()
        if not body.blocks:
            body.add_block(Block())
        op = cls(name.data, body)
        if attributes is not None:
            op.attributes |= attributes.data
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_op_attributes(self.attributes, print_keyword=True)
        printer.print_string(" ")
        printer.print_region(self.body)


BLOCKS_TOGETHER = "nvvm.minctasm"
"""On a kernel: how many blocks of threads a processor has at a time, at least. Without it, NVIDIA's assembler may
rather spill registers than have fewer blocks than it would like."""


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A kernel: `gpu.func @k(%x: memref<4xf32>) workgroup(%s : memref<…>) kernel attributes {…} {… gpu.return}`.

    The last `workgroup_attributions` arguments of the body are buffers that each block of threads has for itself.
    `known_block_size` is the number of threads of a block along x, y and z.
    """

    name = "gpu.func"

    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    kernel = opt_prop_def(UnitAttr)
    known_block_size = opt_prop_def(DenseArrayBase.constr(i32))
    body = region_def()
    traits = traits_def(IsolatedFromAbove(), SymbolOpInterface())

    RESERVED: ClassVar = ("sym_name", "function_type", "kernel")

    def __init__(self, name: str, arguments: int, body: Region | Block, block_size: int | None = None):
        """`body`'s first `arguments` arguments are passed by the host, the others are shared by a block."""
        region = body if isinstance(body, Region) else Region(body)
        inputs = [argument.type for argument in region.block.args[:arguments]]
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "function_type": FunctionType.from_lists(inputs, []),
                "kernel": UnitAttr(),
                "known_block_size": None if block_size is None else DenseArrayBase.from_list(i32, (block_size, 1, 1)),
            },
            regions=[region],
        )

    @property
    def workgroup(self) -> Sequence[SSAValue]:
        """The buffers that the threads of a block share."""
        return self.body.block.args[len(self.function_type.inputs) :]

    @property
    def threads(self) -> int:
        """Threads of a block; 1 where it is not known."""
        if self.known_block_size is None:
            return 1
        x, y, z = (int(size) for size in self.known_block_size.get_values())
        return x * y * z

    def verify_(self) -> None:
        types = [argument.type for argument in self.body.block.args]
        inputs = list(self.function_type.inputs)
        if types[: len(inputs)] != inputs:
            raise VerifyException("expected the body's first arguments to be those of the function type")
        for type_ in types[len(inputs) :]:
            if getattr(type_, "memory_space", None) != WORKGROUP:
                raise VerifyException(f"expected a workgroup buffer in memory space {WORKGROUP}, found {type_}")
        if self.function_type.outputs.data:
            raise VerifyException("a kernel returns nothing")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        name = parser.parse_symbol_name()
        arguments = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        shared: list[Parser.Argument] = []
        if parser.parse_optional_keyword("workgroup"):
            shared = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_argument)
        is_kernel = parser.parse_optional_keyword("kernel") is not None
        attributes = parser.parse_optional_attr_dict_with_keyword()
        op = cls(name.data, len(arguments), parser.parse_region([*arguments, *shared]))
        if not is_kernel:
            op.properties.pop("kernel")
        given: Mapping[str, Attribute] = {} if attributes is None else attributes.data
        for key, value in given.items():
            (op.properties if key == "known_block_size" else op.attributes)[key] = value
        return op

    def print(self, printer: Printer) -> None:
        arguments = self.body.block.args
        passed = len(self.function_type.inputs)
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        with printer.in_parens():
            printer.print_list(arguments[:passed], printer.print_block_argument)
        if passed < len(arguments):
            printer.print_string(" workgroup(")
            printer.print_list(arguments[passed:], lambda argument: _print_attribution(printer, argument))
            printer.print_string(")")
        if self.kernel is not None:
            printer.print_string(" kernel")
        printer.print_op_attributes(
            self.properties | self.attributes, reserved_attr_names=self.RESERVED, print_keyword=True
        )
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False)


def _print_attribution(printer: Printer, argument: SSAValue) -> None:
    printer.print_ssa_value(argument)
    printer.print_string(" : ")
    printer.print_attribute(argument.type)


@irdl_op_definition
class LaunchFuncOp(IRDLOperation):
    """`gpu.launch_func @kernels::@k blocks in (%x, %y, %z) threads in (…) args(%a : memref<4xf32>)`.

    Launches follow each other: each sees what the ones before it have written.
    """

    name = "gpu.launch_func"

    async_dependencies = var_operand_def()
    grid = var_operand_def(INDEX)
    block = var_operand_def(INDEX)
    cluster = var_operand_def(INDEX)
    dynamic_shared_memory = var_operand_def(i32)
    kernel_operands = var_operand_def()
    async_object = var_operand_def()
    kernel = prop_def(SymbolRefAttr)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        kernel: SymbolRefAttr,
        grid: Sequence[SSAValue],
        block: Sequence[SSAValue],
        operands: Sequence[SSAValue],
    ):
        super().__init__(operands=[[], grid, block, [], [], operands, []], properties={"kernel": kernel})

    def verify_(self) -> None:
        if len(self.grid) != len(DIMENSIONS) or len(self.block) != len(DIMENSIONS):
            raise VerifyException("expected three sizes of the grid and three of the block")

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        def sizes(keyword: str) -> list[SSAValue]:
            parser.parse_keyword(keyword)
            parser.parse_keyword("in")
            found = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_unresolved_operand)
            return [parser.resolve_operand(operand, INDEX) for operand in found]

        def operand() -> SSAValue:
            found = parser.parse_unresolved_operand()
            parser.parse_punctuation(":")
            return parser.resolve_operand(found, parser.parse_type())

        kernel = parser.parse_attribute()
        if not isinstance(kernel, SymbolRefAttr):
            parser.raise_error("expected the kernel's symbol")
        grid, block = sizes("blocks"), sizes("threads")
        operands: list[SSAValue] = []
        if parser.parse_optional_keyword("args"):
            operands = parser.parse_comma_separated_list(parser.Delimiter.PAREN, operand)
        op = cls(kernel, grid, block, operands)
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_attribute(self.kernel)
        for keyword, sizes in (("blocks", self.grid), ("threads", self.block)):
            printer.print_string(f" {keyword} in (")
            printer.print_list(sizes, printer.print_ssa_value)
            printer.print_string(")")
        if self.kernel_operands:
            printer.print_string(" args(")
            printer.print_list(self.kernel_operands, lambda value: _print_attribution(printer, value))
            printer.print_string(")")
        printer.print_op_attributes(self.attributes)


OPS: tuple[type[Operation], ...] = (
    *(ModuleOp, FuncOp, LaunchFuncOp, ThreadIdOp, BlockIdOp, BarrierOp, ReturnOp),
    *COMMUNICATION_OPS,
)

_REPLACED = frozenset(op.name for op in (*OPS, *COMMUNICATION_ATTRIBUTES))

Gpu = Dialect(
    "gpu",
    [*OPS, *(op for op in XdslGpu.operations if op.name not in _REPLACED)],
    [
        *(AddressSpaceAttr, *COMMUNICATION_ATTRIBUTES),
        *(attribute for attribute in XdslGpu.attributes if attribute.name not in _REPLACED),
    ],
)
"""xDSL's dialect with our ops in place of those of the same names."""
