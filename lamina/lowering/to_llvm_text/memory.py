"""`memref`: allocation, access, and views, whose offsets, sizes and strides exist only in the printer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseIntOrFPElementsAttr,
    DenseResourceAttr,
    IntegerAttr,
    NoneAttr,
    StringAttr,
    SymbolRefAttr,
)
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.abi import ALLOCATE, CONSTANTS, OUT_OF_MEMORY, RELEASE, context_field, fail
from lamina.lowering.to_llvm_text.elementwise import dense_values
from lamina.lowering.to_llvm_text.module import escaped, symbol
from lamina.lowering.to_llvm_text.segments import integers, mixed, operand_segments
from lamina.lowering.to_llvm_text.streaming import stream, stream_lines
from lamina.lowering.to_llvm_text.types import element_bytes, element_text, memory_text, memref_type
from lamina.lowering.to_llvm_text.values import Buffer, Scalar
from lamina.lowering.to_llvm_text.vector_transfer import load_scalar, store_scalar
from lamina.passes.loop.streaming import LINES, STREAMED

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter

ALIGNMENT = 64


def _alignment(op: Operation) -> int:
    attribute = op.properties.get("alignment")
    return max(ALIGNMENT, attribute.value.data) if isinstance(attribute, IntegerAttr) else ALIGNMENT


def _allocated_sizes(printer: FunctionPrinter, op: Operation) -> list[Scalar]:
    type_ = memref_type(op.results[0])
    if not isinstance(type_.layout, NoneAttr):
        raise LaminaError(f"cannot allocate {type_}: only dense buffers are allocated")
    return printer.mixed_sizes(type_, [printer.scalar(size) for size in operand_segments(op)[0]])


def alloc(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.alloc`: `context.allocate`; the function returns at once when there is no memory."""
    type_ = memref_type(op.results[0])
    sizes = _allocated_sizes(printer, op)
    element = element_text(type_.get_element_type())
    size = printer.multiply(printer.product(sizes), element_bytes(element))
    allocate = context_field(printer, ALLOCATE)
    pointer = printer.value(f"call ptr {allocate}(ptr {printer.context}, i64 {size}, i64 {_alignment(op)})")
    number = printer.fresh("")
    missing = printer.value(f"icmp eq ptr {pointer}, null")
    printer.emit(f"br i1 {missing}, label %empty{number}, label %allocated{number}")
    printer.start_block(f"empty{number}")
    fail(printer, OUT_OF_MEMORY, "out of memory")
    printer.return_early()
    printer.start_block(f"allocated{number}")
    printer.set(op.results[0], printer.dense_buffer(type_, pointer, sizes, exclusive=True))


def dealloc(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.dealloc`"""
    release = context_field(printer, RELEASE)
    printer.emit(f"call void {release}(ptr {printer.context}, ptr {printer.buffer(op.operands[0]).base})")


def alloca(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.alloca`: static sizes in the entry block, dynamic ones in place, freed with the loop's iteration."""
    type_ = memref_type(op.results[0])
    sizes = _allocated_sizes(printer, op)
    element = memory_text(element_text(type_.get_element_type()))
    count = printer.product(sizes)
    if isinstance(count, int):
        pointer = printer.alloca(f"[{count} x {element}], align {_alignment(op)}")
    else:
        pointer = printer.value(f"alloca {element}, i64 {count}, align {_alignment(op)}")
        printer.frame_is_dynamic = True
    printer.set(op.results[0], printer.dense_buffer(type_, pointer, sizes, exclusive=True))


def load(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.load`"""
    source, *indices = op.operands
    buffer = printer.buffer(source)
    pointer = _element_pointer(printer, buffer, indices)
    printer.set(op.results[0], load_scalar(printer, pointer, buffer.element))


def store(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.store`"""
    value, target, *indices = op.operands
    buffer = printer.buffer(target)
    pointer = _element_pointer(printer, buffer, indices)
    store_scalar(printer, printer.text(value), pointer, buffer.element)


def _element_pointer(printer: FunctionPrinter, buffer: Buffer, indices: Sequence[SSAValue]) -> str:
    pointer, offset = printer.element_address(buffer, [printer.scalar(index) for index in indices])
    return printer.offset_pointer(pointer, offset, buffer.element)


def dim(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.dim`"""
    sizes = printer.buffer(op.operands[0]).sizes
    axis = printer.scalar(op.operands[1])
    if isinstance(axis, int):
        if not 0 <= axis < len(sizes):
            raise LaminaError(f"axis {axis} of a buffer with {len(sizes)} axes")
        printer.set(op.results[0], sizes[axis])
        return
    found: Scalar = 0
    for number, size in enumerate(sizes):
        is_axis = printer.value(f"icmp eq i64 {axis}, {number}")
        found = printer.value(f"select i1 {is_axis}, i64 {size}, i64 {found}")
    printer.set(op.results[0], found)


def rank(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.rank`"""
    printer.set(op.results[0], len(printer.buffer(op.operands[0]).sizes))


def get_global(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.get_global`: bytes of this module, or a pointer out of the context's constants."""
    name = op.properties["name"]
    definition = printer.module.program.globals.get(name.string_value()) if isinstance(name, SymbolRefAttr) else None
    if definition is None:
        raise LaminaError(f"there is no global {name}")
    type_ = memref_type(op.results[0])
    initial: Attribute | None = definition.initial_value
    if isinstance(initial, DenseResourceAttr):
        index = printer.module.program.constants[initial.resource_handle.data]
        constants = context_field(printer, CONSTANTS)
        place = printer.offset_pointer(constants, index, "i64")
        pointer = printer.reused(f"load ptr, ptr {place}, align 8, !invariant.load !0")
    elif isinstance(initial, DenseIntOrFPElementsAttr) and definition.constant is not None:
        pointer = symbol(f"constant.{definition.sym_name.data}")
        data = constant_bytes(initial)
        text = "zeroinitializer" if not any(data) else f'c"{escaped(data)}"'
        printer.module.define(
            pointer, f"{pointer} = private unnamed_addr constant [{len(data)} x i8] {text}, align {ALIGNMENT}"
        )
    else:
        raise LaminaError("only constant globals with a value can be used: functions are re-entrant")
    printer.set(op.results[0], printer.dense_buffer(type_, pointer, type_.get_shape(), exclusive=True))


def constant_bytes(attribute: DenseIntOrFPElementsAttr) -> bytes:
    """The elements of a dense attribute in row-major order as they lie in memory, i1 as a byte."""
    element_type = attribute.get_element_type()
    count = 1
    for size in attribute.get_shape():
        count *= size
    if element_text(element_type) == "i1":
        data = bytes(int(value) & 1 for value in dense_values(attribute))
    else:
        data = bytes(attribute.data.data)
    return data if len(attribute) == count else data * count


def view(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.view`: part of a byte buffer as a buffer of another type."""
    source, shift, *dynamic = op.operands
    type_ = memref_type(op.results[0])
    buffer = printer.buffer(source)
    pointer = printer.offset_pointer(printer.pointer(buffer), printer.scalar(shift), "i8")
    sizes = printer.mixed_sizes(type_, [printer.scalar(size) for size in dynamic])
    printer.set(op.results[0], printer.dense_buffer(type_, pointer, sizes, exclusive=False))


def _lists(printer: FunctionPrinter, op: Operation) -> tuple[list[Scalar], list[Scalar], list[Scalar]]:
    """Offsets, sizes and strides of `subview` and `reinterpret_cast`."""
    _, *dynamic = operand_segments(op)
    offsets, sizes, strides = (
        [
            printer.scalar(item) if isinstance(item, SSAValue) else item
            for item in mixed(integers(op, f"static_{name}"), values)
        ]
        for name, values in zip(("offsets", "sizes", "strides"), dynamic, strict=True)
    )
    return offsets, sizes, strides


def subview(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.subview`; axes that the result type drops are those of size 1."""
    buffer = printer.buffer(op.operands[0])
    offsets, sizes, strides = _lists(printer, op)
    pointer, offset = printer.element_address(buffer, offsets)
    steps = [printer.multiply(stride, outer) for stride, outer in zip(strides, buffer.strides, strict=True)]
    kept = _kept_axes(sizes, steps, memref_type(op.results[0]).get_shape(), _static_strides(op.results[0]))
    printer.set(
        op.results[0],
        Buffer(
            buffer.base,
            pointer,
            offset,
            tuple(sizes[axis] for axis in kept),
            tuple(steps[axis] for axis in kept),
            buffer.element,
            buffer.exclusive,
        ),
    )


def _static_strides(value: SSAValue) -> list[int | None]:
    strides = memref_type(value).get_strides()
    return [] if strides is None else [None if stride == DYNAMIC_INDEX else stride for stride in strides]


def _kept_axes(
    sizes: Sequence[Scalar], steps: Sequence[Scalar], shape: Sequence[int], strides: Sequence[int | None]
) -> list[int]:
    """The axes of a subview that its (perhaps rank-reduced) result type keeps, matched by size and known stride."""
    kept: list[int] = []
    droppable = len(sizes) - len(shape)
    axis = 0
    for position, size in enumerate(shape):
        stride = strides[position] if position < len(strides) else None
        while droppable and sizes[axis] == 1 and (size != 1 or _differs(stride, steps[axis])):
            axis += 1
            droppable -= 1
        kept.append(axis)
        axis += 1
    return kept


def _differs(expected: int | None, found: Scalar) -> bool:
    return expected is not None and isinstance(found, int) and expected != found


def reinterpret_cast(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.reinterpret_cast`: offset, sizes and strides from the start of the allocation."""
    buffer = printer.buffer(op.operands[0])
    offsets, sizes, strides = _lists(printer, op)
    offset = offsets[0] if offsets else 0
    pointer = buffer.base if isinstance(offset, int) else printer.offset_pointer(buffer.base, offset, buffer.element)
    static = offset if isinstance(offset, int) else 0
    printer.set(
        op.results[0],
        Buffer(buffer.base, pointer, static, tuple(sizes), tuple(strides), buffer.element, buffer.exclusive),
    )


def conversion(printer: FunctionPrinter, op: Operation) -> None:
    """`builtin.unrealized_conversion_cast` of a contiguous part of a buffer: its offset goes into the pointer."""
    if len(op.operands) != 1 or len(op.results) != 1:
        raise LaminaError("'builtin.unrealized_conversion_cast' has one operand and one result here")
    buffer = printer.buffer(op.operands[0])
    pointer, offset = printer.element_address(buffer, [0] * len(buffer.sizes))
    pointer = printer.offset_pointer(pointer, offset, buffer.element)
    printer.set(op.results[0], printer.dense_buffer(memref_type(op.results[0]), pointer, buffer.sizes, exclusive=False))


def cast_buffer(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.cast`: what the result type knows statically is taken from it."""
    buffer, result = printer.buffer(op.operands[0]), op.results[0]
    shape = memref_type(result).get_shape()
    sizes = [known if size == DYNAMIC_INDEX else size for size, known in zip(shape, buffer.sizes, strict=True)]
    strides = [
        known if stride is None else stride
        for stride, known in zip(_static_strides(result), buffer.strides, strict=True)
    ]
    printer.set(
        result,
        Buffer(
            buffer.base, buffer.pointer, buffer.offset, tuple(sizes), tuple(strides), buffer.element, buffer.exclusive
        ),
    )


def _groups(op: Operation) -> list[list[int]]:
    attribute = op.properties["reassociation"]
    if not isinstance(attribute, ArrayAttr):
        raise LaminaError(f"'{op.name}' has no reassociation")
    groups: list[list[int]] = []
    for group in cast("ArrayAttr[ArrayAttr[IntegerAttr]]", attribute):
        groups.append([item.value.data for item in group])
    return groups


def collapse_shape(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.collapse_shape`"""
    buffer = printer.buffer(op.operands[0])
    sizes: list[Scalar] = []
    strides: list[Scalar] = []
    for group in _groups(op):
        sizes.append(printer.product(buffer.sizes[axis] for axis in group))
        # An axis of size 1 has a stride that means nothing.
        counted = [axis for axis in group if buffer.sizes[axis] != 1]
        strides.append(buffer.strides[(counted or group)[-1]])
    printer.set(
        op.results[0],
        Buffer(
            buffer.base, buffer.pointer, buffer.offset, tuple(sizes), tuple(strides), buffer.element, buffer.exclusive
        ),
    )


def expand_shape(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.expand_shape`"""
    source, *dynamic = op.operands
    buffer = printer.buffer(source)
    items = mixed(integers(op, "static_output_shape"), dynamic)
    sizes = [printer.scalar(item) if isinstance(item, SSAValue) else item for item in items]
    strides: list[Scalar] = [1] * len(sizes)
    for axis, group in enumerate(_groups(op)):
        stride = buffer.strides[axis]
        for inner in reversed(group):
            strides[inner] = stride
            stride = printer.multiply(stride, sizes[inner])
    printer.set(
        op.results[0],
        Buffer(
            buffer.base, buffer.pointer, buffer.offset, tuple(sizes), tuple(strides), buffer.element, buffer.exclusive
        ),
    )


def extract_strided_metadata(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.extract_strided_metadata`"""
    buffer = printer.buffer(op.operands[0])
    base, offset, *rest = op.results
    printer.set(base, Buffer(buffer.base, buffer.base, 0, (), (), buffer.element, buffer.exclusive))
    start, first = (
        printer.value(f"ptrtoint ptr {pointer} to i64") for pointer in (buffer.base, printer.pointer(buffer))
    )
    distance = printer.value(f"sub i64 {first}, {start}")
    printer.set(offset, printer.value(f"sdiv exact i64 {distance}, {element_bytes(buffer.element)}"))
    for value, known in zip(rest, (*buffer.sizes, *buffer.strides), strict=True):
        printer.set(value, known)


def pointer_as_index(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.extract_aligned_pointer_as_index`"""
    base = printer.buffer(op.operands[0]).base
    printer.set(op.results[0], printer.value(f"ptrtoint ptr {base} to i64"))


def same_buffer(printer: FunctionPrinter, op: Operation) -> None:
    """An op that gives back its operand."""
    for result in op.results:
        printer.set(result, printer.buffer(op.operands[0]))


def copy(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.copy`: the trailing axes that lie densely in both buffers as one block, loops around it.

    With `lamina.streamed` the stores go past the caches.
    """
    source, target = (printer.buffer(operand) for operand in op.operands)
    sizes = [left if isinstance(left, int) else right for left, right in zip(source.sizes, target.sizes, strict=True)]
    block: Scalar = 1
    outer = len(sizes)
    while outer and (sizes[outer - 1] == 1 or source.strides[outer - 1] == target.strides[outer - 1] == block):
        block = printer.multiply(block, sizes[outer - 1])
        outer -= 1

    def level(axis: int, indices: list[Scalar]) -> None:
        if axis < outer:

            def body(index: str, _: list[str]) -> Sequence[str]:
                level(axis + 1, [*indices, index])
                return ()

            printer.loop(0, sizes[axis], 1, (), body)
            return
        position: list[Scalar] = [*indices, *[0] * (len(sizes) - outer)]
        pointers: list[str] = []
        for buffer in (target, source):
            pointer, offset = printer.element_address(buffer, position)
            pointers.append(printer.offset_pointer(pointer, offset, buffer.element))
        if block == 1:
            store_scalar(printer, load_scalar(printer, pointers[1], source.element), pointers[0], target.element)
            return
        size = printer.multiply(block, element_bytes(source.element))
        if STREAMED in op.attributes:
            lines = op.attributes[STREAMED] == StringAttr(LINES) and isinstance(size, int)
            (stream_lines if lines else stream)(printer, pointers[0], pointers[1], size)
            return
        arguments = [("ptr", pointers[0]), ("ptr", pointers[1]), ("i64", str(size)), ("i1", "false")]
        printer.emit(printer.intrinsic("memmove", "void", arguments, ["ptr", "ptr", "i64"]))

    level(0, [])


def prefetch(printer: FunctionPrinter, op: Operation) -> None:
    """`memref.prefetch`; its address may lie behind the buffer, and so is not computed `inbounds`."""
    source, *indices = op.operands
    buffer = printer.buffer(source)
    pointer, offset = printer.element_address(buffer, [printer.scalar(index) for index in indices], inbounds=False)
    pointer = printer.offset_pointer(pointer, offset, buffer.element, inbounds=False)

    def flag(name: str) -> int:
        attribute = op.properties.get(name) or op.attributes.get(name)
        return attribute.value.data if isinstance(attribute, IntegerAttr) else 0

    immediates = [("i32", str(abs(flag("isWrite")))), ("i32", str(flag("localityHint")))]
    arguments = [("ptr", pointer), *immediates, ("i32", str(abs(flag("isDataCache"))))]
    printer.emit(printer.intrinsic("prefetch", "void", arguments, ["ptr"]))


MEMORY_CASES: dict[str, Case] = {
    "memref.alloc": alloc,
    "memref.dealloc": dealloc,
    "memref.alloca": alloca,
    "memref.load": load,
    "memref.store": store,
    "memref.dim": dim,
    "memref.rank": rank,
    "memref.get_global": get_global,
    "memref.view": view,
    "memref.subview": subview,
    "builtin.unrealized_conversion_cast": conversion,
    "memref.reinterpret_cast": reinterpret_cast,
    "memref.cast": cast_buffer,
    "memref.memory_space_cast": same_buffer,
    "memref.assume_alignment": same_buffer,
    "memref.collapse_shape": collapse_shape,
    "memref.expand_shape": expand_shape,
    "memref.extract_strided_metadata": extract_strided_metadata,
    "memref.extract_aligned_pointer_as_index": pointer_as_index,
    "memref.copy": copy,
    "memref.prefetch": prefetch,
}
