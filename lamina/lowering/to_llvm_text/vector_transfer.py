"""Vectors from and to buffers: `vector.transfer_read/write`, `load`, `store`, `maskedload`, `maskedstore`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import AffineMapAttr, BoolAttr, IntegerAttr
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import is_array
from lamina.lowering.to_llvm_text.masks import ALL_LANES, both, lane_numbers, prefix_mask, row_mask
from lamina.lowering.to_llvm_text.segments import operand_segments
from lamina.lowering.to_llvm_text.streaming import nontemporal_hint
from lamina.lowering.to_llvm_text.types import VectorLayout, element_bytes, lanes_of, memory_text, with_element
from lamina.lowering.to_llvm_text.values import Buffer, Scalar, linearized, unlinearized

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, PartProducer


@dataclass
class Transfer:
    """Where the parts of a vector lie in a buffer, and which lanes exist.

    `axes` gives the buffer's axis of every axis of the vector, None where the vector repeats one element. `alignment`:
    bytes that the address is known to be a multiple of, where that is more than an element's. `nontemporal`: a store
    goes past the caches.
    """

    printer: FunctionPrinter
    buffer: Buffer
    indices: Sequence[Scalar]
    layout: VectorLayout
    axes: Sequence[int | None]
    in_bounds: Sequence[bool]
    mask: SSAValue | None
    alignment: int = 1
    nontemporal: bool = False

    def __post_init__(self) -> None:
        self.strides: list[Scalar] = [0 if axis is None else self.buffer.strides[axis] for axis in self.axes]
        # Lanes that a mask leaves out may lie before the buffer, the first one among them.
        self.inbounds = self.mask is None
        self.base, self.offset = self.printer.element_address(self.buffer, self.indices, inbounds=self.inbounds)

    @property
    def step(self) -> Scalar:
        """The distance of neighboring lanes in memory, in elements."""
        return self.strides[-1] if self.strides else 1

    def row_and_column(self, part: int) -> tuple[tuple[int, ...], int]:
        """The leading indices of a part and its first column."""
        row, position = divmod(part, self.layout.parts_per_row)
        return unlinearized(row, self.layout.shape[:-1]), position * self.layout.lanes

    def address(self, part: int, lane: int = 0) -> str:
        """The address of a lane of a part."""
        row, column = self.row_and_column(part)
        pointer, offset = self.base, self.offset
        position = (*row, column + lane) if self.strides else ()
        for index, stride in zip(position, self.strides, strict=True):
            distance = self.printer.multiply(index, stride)
            if isinstance(distance, int):
                offset += distance
            else:
                pointer = self._moved(pointer, distance)
        return self._moved(pointer, offset)

    def _moved(self, pointer: str, distance: Scalar) -> str:
        return self.printer.offset_pointer(pointer, distance, self.buffer.element, inbounds=self.inbounds)

    def addresses(self, part: int) -> str:
        """The addresses of all lanes of a part as one vector of pointers."""
        width = lanes_of(self.layout.types[part])
        element = memory_text(self.buffer.element)
        pointer, step = self.address(part), self.step
        if isinstance(step, int):
            distances = lane_numbers(width, 0, "i64", step)
        else:
            stride = self.printer.splat(f"<{width} x i64>", step)
            distances = self.printer.reused(f"mul <{width} x i64> {lane_numbers(width, 0, 'i64')}, {stride}")
        return self.printer.reused(f"getelementptr {element}, ptr {pointer}, <{width} x i64> {distances}")

    def lane_mask(self, part: int) -> str:
        """The lanes of a part that exist: within bounds, and in the mask."""
        printer, width = self.printer, lanes_of(self.layout.types[part])
        row, column = self.row_and_column(part)
        lanes = ALL_LANES
        for position, (axis, within) in enumerate(zip(self.axes, self.in_bounds, strict=True)):
            if within or axis is None:
                continue
            left = printer.subtract(self.buffer.sizes[axis], self.indices[axis])
            if position < len(self.axes) - 1:
                bound = row_mask(printer, width, row[position], left)
            else:
                bound = prefix_mask(printer, width, column, left)
            lanes = both(printer, width, lanes, bound)
        return lanes if self.mask is None else both(printer, width, lanes, self.mask_part(part, self.mask))

    def mask_part(self, part: int, mask: SSAValue) -> str:
        """The mask operand for a part. Its axes are the buffer's that the vector covers, in the buffer's order."""
        covered = [(axis, position) for position, axis in enumerate(self.axes) if axis is not None]
        order = [position for _, position in sorted(covered)]
        layout = self.printer.layout(mask.type)
        row, column = self.row_and_column(part)
        if order and order[-1] == len(self.axes) - 1:
            mask_row = linearized([row[position] for position in order[:-1]], layout.shape[:-1])
            return self.printer.parts(mask)[mask_row * layout.parts_per_row + column // layout.lanes]
        elements = self.printer.elements(mask)
        width = lanes_of(self.layout.types[part])
        positions = [(*row, column + lane) for lane in range(width)]
        taken = [elements[linearized([place[item] for item in order], layout.shape)] for place in positions]
        return self.printer.gathered(f"<{width} x i1>", taken)

    def memory_type(self, part: int) -> str:
        """The LLVM type of a part in memory."""
        type_ = self.layout.types[part]
        return with_element(type_, memory_text(self.layout.element))


def from_memory(printer: FunctionPrinter, operand: str, memory: str, element: str) -> str:
    """A loaded value: a byte becomes an i1."""
    if element != "i1":
        return operand
    zero = "zeroinitializer" if memory.startswith("<") else "0"
    return printer.value(f"icmp ne {memory} {operand}, {zero}")


def to_memory(printer: FunctionPrinter, operand: str, memory: str, element: str) -> str:
    """A value to be stored: an i1 becomes a byte."""
    if element != "i1":
        return operand
    return printer.value(f"zext {with_element(memory, 'i1')} {operand} to {memory}")


def load_scalar(printer: FunctionPrinter, pointer: str, element: str) -> str:
    """Load one element; a bfloat as an integer, see `store_scalar`."""
    if element == "bfloat":
        return printer.value(f"bitcast i16 {load_scalar(printer, pointer, 'i16')} to bfloat")
    memory = memory_text(element)
    loaded = printer.value(f"load {memory}, ptr {pointer}, align {element_bytes(element)}")
    return from_memory(printer, loaded, memory, element)


def store_scalar(printer: FunctionPrinter, operand: str, pointer: str, element: str) -> None:
    """Store one element; a bfloat as an integer.

    LLVM's loop vectorizer makes shuffles of scalar accesses, and LLVM 22 crashes on wide shuffles of bfloat where the
    CPU has avx512bf16 but no avx512fp16.
    """
    if element == "bfloat":
        operand, element = printer.value(f"bitcast bfloat {operand} to i16"), "i16"
    memory = memory_text(element)
    stored = to_memory(printer, operand, memory, element)
    printer.emit(f"store {memory} {stored}, ptr {pointer}, align {element_bytes(element)}")


def read_part(transfer: Transfer, part: int, otherwise: str) -> str:
    """Load a part; lanes that do not exist are `otherwise`, a vector operand."""
    printer, element = transfer.printer, transfer.layout.element
    memory, lanes = transfer.memory_type(part), transfer.lane_mask(part)
    align = max(transfer.alignment, element_bytes(element))
    if transfer.step == 1 and lanes == ALL_LANES:
        loaded = printer.value(f"load {memory}, ptr {transfer.address(part)}, align {align}")
        return from_memory(printer, loaded, memory, element)
    if transfer.step == 0 and lanes == ALL_LANES:
        return printer.splat(transfer.layout.types[part], load_scalar(printer, transfer.address(part), element))
    width = lanes_of(memory)
    kept = to_memory(printer, otherwise, memory, element)
    if transfer.step == 1:
        name, place, overload = "masked.load", ("ptr", transfer.address(part)), "ptr"
    else:
        overload = f"<{width} x ptr>"
        name, place = "masked.gather", (overload, transfer.addresses(part))
    arguments = [(f"{place[0]} align {align}", place[1]), (f"<{width} x i1>", lanes), (memory, kept)]
    loaded = printer.value(printer.intrinsic(name, memory, arguments, [memory, overload]))
    return from_memory(printer, loaded, memory, element)


def write_part(transfer: Transfer, part: int, operand: str) -> None:
    """Store the lanes of a part that exist."""
    printer, element = transfer.printer, transfer.layout.element
    memory, lanes = transfer.memory_type(part), transfer.lane_mask(part)
    stored, align = to_memory(printer, operand, memory, element), max(transfer.alignment, element_bytes(element))
    if transfer.step == 1 and lanes == ALL_LANES:
        hint = nontemporal_hint(printer) if transfer.nontemporal else ""
        printer.emit(f"store {memory} {stored}, ptr {transfer.address(part)}, align {align}{hint}")
        return
    width = lanes_of(memory)
    if transfer.step == 1:
        name, place, overload = "masked.store", ("ptr", transfer.address(part)), "ptr"
    else:
        overload = f"<{width} x ptr>"
        name, place = "masked.scatter", (overload, transfer.addresses(part))
    arguments = [(memory, stored), (f"{place[0]} align {align}", place[1]), (f"<{width} x i1>", lanes)]
    printer.emit(printer.intrinsic(name, "void", arguments, [memory, overload]))


def _transfer(printer: FunctionPrinter, op: Operation, vector: SSAValue) -> tuple[Transfer, SSAValue | None]:
    """The transfer that a `transfer_read` or `transfer_write` describes, and the padding."""
    segments = operand_segments(op)
    reads = op.name == "vector.transfer_read"
    source, indices = (segments[0], segments[1]) if reads else (segments[1], segments[2])
    layout = printer.layout(vector.type)
    map_attribute = op.properties["permutation_map"]
    if not isinstance(map_attribute, AffineMapAttr):
        raise LaminaError(f"'{op.name}' has no permutation map")
    axes: list[int | None] = []
    for result in map_attribute.data.results:
        if isinstance(result, AffineDimExpr):
            axes.append(result.position)
        elif isinstance(result, AffineConstantExpr) and result.value == 0:
            axes.append(None)
        else:
            raise LaminaError(f"{map_attribute} is not a permutation map")
    bounds = op.properties.get("in_bounds")
    flags = bounds.data if is_array(bounds) else ()
    in_bounds = [isinstance(flag, IntegerAttr) and bool(flag.value.data) for flag in flags]
    transfer = Transfer(
        printer,
        printer.buffer(source[0]),
        [printer.scalar(index) for index in indices],
        layout,
        axes,
        in_bounds or [False] * len(axes),
        segments[3][0] if segments[3] else None,
    )
    return transfer, segments[2][0] if reads else None


def _is_column(transfer: Transfer) -> bool:
    """Whether lanes lie apart and all exist: such a vector is kept as scalars, for outer products."""
    return transfer.step not in (0, 1) and all(
        transfer.lane_mask(part) == ALL_LANES for part in range(len(transfer.layout.types))
    )


def _is_left_factor(op: Operation) -> bool:
    """Whether a vector is read for nothing but the rows of outer products: each of its lanes alone is broadcast.

    Scalars are broadcast as they are loaded; of a vector of 6 lanes LLVM loads the last two at once and broadcasts them
    by shuffles, which take turns with the multiply-adds, and spills a register.
    """
    uses = list(op.results[0].uses)
    return bool(uses) and all(use.operation.name == "vector.outerproduct" and use.index == 0 for use in uses)


def transfer_read_producer(printer: FunctionPrinter, op: Operation) -> PartProducer | None:
    """How to print one part of a `transfer_read`, or None for a column of scalars."""
    transfer, padding = _transfer(printer, op, op.results[0])
    if _is_column(transfer) or padding is None:
        return None
    if transfer.mask is None and all(transfer.in_bounds) and _is_left_factor(op):
        return None
    operand = printer.text(padding)
    return lambda part: read_part(transfer, part, printer.splat(transfer.layout.types[part], operand))


def transfer_read(printer: FunctionPrinter, op: Operation) -> None:
    """A column, kept as scalars."""
    transfer, _ = _transfer(printer, op, op.results[0])
    element = transfer.layout.element
    printer.set_elements(
        op.results[0],
        [
            load_scalar(printer, transfer.address(part, lane), element)
            for part, type_ in enumerate(transfer.layout.types)
            for lane in range(lanes_of(type_))
        ],
    )


def transfer_write(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.transfer_write`"""
    vector = op.operands[0]
    transfer, _ = _transfer(printer, op, vector)
    if _is_column(transfer):
        elements = iter(printer.elements(vector))
        for part, type_ in enumerate(transfer.layout.types):
            for lane in range(lanes_of(type_)):
                store_scalar(printer, next(elements), transfer.address(part, lane), transfer.layout.element)
        return
    for part, operand in enumerate(printer.parts(vector)):
        write_part(transfer, part, operand)


def _direct(
    printer: FunctionPrinter,
    vector: SSAValue,
    base: SSAValue,
    indices: Sequence[SSAValue],
    mask: SSAValue | None = None,
    alignment: int = 1,
) -> Transfer:
    """The transfer of `vector.load` and its kind: the vector's axes are the buffer's last ones, all within bounds."""
    buffer, layout = printer.buffer(base), printer.layout(vector.type)
    rank = len(buffer.sizes)
    axes = list(range(rank - len(layout.shape), rank))
    return Transfer(
        printer, buffer, [printer.scalar(index) for index in indices], layout, axes, [True] * len(axes), mask, alignment
    )


def _alignment(op: Operation) -> int:
    """The bytes that an access is said to be aligned to, 1 where nothing is said."""
    attribute = op.properties.get("alignment", op.attributes.get("alignment"))
    return attribute.value.data if isinstance(attribute, IntegerAttr) else 1


def load(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.load`"""
    base, *indices = op.operands
    transfer = _direct(printer, op.results[0], base, indices, alignment=_alignment(op))
    parts = [read_part(transfer, part, "poison") for part in range(len(transfer.layout.types))]
    printer.set_parts(op.results[0], parts)


def store(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.store`"""
    vector, base, *indices = op.operands
    transfer = _direct(printer, vector, base, indices, alignment=_alignment(op))
    transfer.nontemporal = op.properties.get("nontemporal") == BoolAttr.from_bool(True)
    for part, operand in enumerate(printer.parts(vector)):
        write_part(transfer, part, operand)


def masked_load(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.maskedload`"""
    base, *indices, mask, otherwise = op.operands
    transfer = _direct(printer, op.results[0], base, indices, mask)
    kept = printer.parts(otherwise)
    printer.set_parts(op.results[0], [read_part(transfer, part, operand) for part, operand in enumerate(kept)])


def masked_store(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.maskedstore`"""
    base, *indices, mask, vector = op.operands
    transfer = _direct(printer, vector, base, indices, mask)
    for part, operand in enumerate(printer.parts(vector)):
        write_part(transfer, part, operand)


TRANSFER_CASES: dict[str, Case] = {
    "vector.transfer_read": transfer_read,
    "vector.transfer_write": transfer_write,
    "vector.load": load,
    "vector.store": store,
    "vector.maskedload": masked_load,
    "vector.maskedstore": masked_store,
}
