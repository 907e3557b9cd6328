"""`vector` ops between registers: broadcasts, masks, outer products, reductions, reshapes, extracting and inserting."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr
from xdsl.dialects.vector import CombiningKindAttr
from xdsl.ir import Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.types import is_array
from lamina.lowering.to_llvm_text.conversions import convert_float
from lamina.lowering.to_llvm_text.elementwise import fast_math, float_intrinsic
from lamina.lowering.to_llvm_text.masks import ALL_LANES, both, lane_numbers, prefix_mask, row_mask
from lamina.lowering.to_llvm_text.segments import integers, mixed
from lamina.lowering.to_llvm_text.types import (
    SMALL_FLOATS,
    VectorLayout,
    element_bytes,
    element_of,
    is_vector,
    lanes_of,
    literal,
    memory_text,
    with_element,
)
from lamina.lowering.to_llvm_text.values import Scalar, Vector, linearized, unlinearized
from lamina.lowering.to_llvm_text.vector_transfer import from_memory, load_scalar, store_scalar, to_memory

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter

FLOAT_KINDS = {
    "maximumf": ("maximum", "fmaximum"),
    "minimumf": ("minimum", "fminimum"),
    "maxnumf": ("maxnum", "fmax"),
    "minnumf": ("minnum", "fmin"),
}
"""Combining kind of floats -> (intrinsic of two vectors, reduction of one)."""
INTEGER_INTRINSICS = {"maxsi": "smax", "minsi": "smin", "maxui": "umax", "minui": "umin"}
INSTRUCTIONS = {
    "add": ("fadd", "add"),
    "mul": ("fmul", "mul"),
    "and": ("", "and"),
    "or": ("", "or"),
    "xor": ("", "xor"),
}
"""Combining kind -> (instruction on floats, on integers)."""
START = {"fadd": -0.0, "fmul": 1.0}


def is_float(type_: str) -> bool:
    """Whether an LLVM type is, or holds, floats."""
    return not element_of(type_).startswith("i")


def combine(printer: FunctionPrinter, kind: str, type_: str, left: str, right: str, flags: str = "") -> str:
    """Two operands of one LLVM type by a combining kind."""
    if element_of(type_) in SMALL_FLOATS:
        single = with_element(type_, "float")
        wide = [convert_float(printer, operand, type_, single) for operand in (left, right)]
        return convert_float(printer, combine(printer, kind, single, wide[0], wide[1], flags), single, type_)
    if kind in INSTRUCTIONS:
        opcode = INSTRUCTIONS[kind][0 if is_float(type_) else 1]
        return printer.value(f"{opcode}{flags if is_float(type_) else ''} {type_} {left}, {right}")
    name, extra = (FLOAT_KINDS[kind][0], flags) if kind in FLOAT_KINDS else (INTEGER_INTRINSICS[kind], "")
    return printer.value(printer.intrinsic(name, type_, [(type_, left), (type_, right)], [type_], extra))


def reduce_register(
    printer: FunctionPrinter, kind: str, type_: str, operand: str, flags: str, start: str | None
) -> str:
    """All lanes of one register; `start` comes first in an ordered sum."""
    element = element_of(type_)
    if kind in ("add", "mul") and is_float(type_):
        opcode = INSTRUCTIONS[kind][0]
        first = start if start is not None else literal(element, START[opcode])
        arguments = [(element, first), (type_, operand)]
        return printer.value(printer.intrinsic(f"vector.reduce.{opcode}", element, arguments, [type_], flags))
    name = FLOAT_KINDS[kind][1] if kind in FLOAT_KINDS else INTEGER_INTRINSICS.get(kind, kind)
    extra = flags if kind in FLOAT_KINDS else ""
    result = printer.value(printer.intrinsic(f"vector.reduce.{name}", element, [(type_, operand)], [type_], extra))
    return result if start is None else combine(printer, kind, element, result, start, flags)


def reduce_registers(
    printer: FunctionPrinter, kind: str, types: Sequence[str], operands: Sequence[str], flags: str, start: str | None
) -> str:
    """All lanes of several registers, and `start`. A float sum or product keeps its order unless `reassoc` is set.

    With it registers are added by halves, without the flag, as LLVM for x86 adds the lanes of the last one (the flag
    leaves that order open; a test holds it): from whichever lane on one begins to count, the sum is the same (loops
    from line to line begin in any).
    """
    element = element_of(types[0])
    if element in SMALL_FLOATS:
        singles = [with_element(type_, "float") for type_ in types]
        wide = [
            convert_float(printer, operand, type_, single)
            for operand, type_, single in zip(operands, types, singles, strict=True)
        ]
        first = None if start is None else convert_float(printer, start, element, "float")
        return convert_float(printer, reduce_registers(printer, kind, singles, wide, flags, first), "float", element)
    ordered = kind in ("add", "mul") and is_float(types[0]) and " reassoc" not in flags
    if ordered:
        for type_, operand in zip(types, operands, strict=True):
            start = reduce_register(printer, kind, type_, operand, flags, start)
        return start if start is not None else operands[0]
    by_type: dict[str, list[str]] = {}
    for type_, operand in zip(types, operands, strict=True):
        by_type.setdefault(type_, []).append(operand)
    for type_, level in by_type.items():
        while len(level) > 1:
            half = len(level) // 2
            pairs = zip(level[:half], level[half : 2 * half], strict=True)
            kept = flags.replace(" reassoc", "")
            level = [combine(printer, kind, type_, a, b, kept) for a, b in pairs] + level[2 * half :]
        start = reduce_register(printer, kind, type_, level[0], flags, start)
    return start if start is not None else operands[0]


def combining_kind(op: Operation) -> str:
    """The op's combining kind, `add` when it has none."""
    attribute = op.properties.get("kind")
    return attribute.data.value if isinstance(attribute, CombiningKindAttr) else "add"


def broadcast(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.broadcast`, `vector.splat`: a scalar, or trailing axes, repeated; axes of size 1 are stretched."""
    source, result = op.operands[0], op.results[0]
    layout = printer.layout(result.type)
    if not is_vector(source):
        operand = printer.text(source)
        printer.set_parts(result, [printer.splat(type_, operand) for type_ in layout.types])
        return
    inner = printer.layout(source.type)
    lead = len(layout.shape) - len(inner.shape)

    def origin(position: Sequence[int]) -> tuple[int, ...]:
        return tuple(0 if size == 1 else item for item, size in zip(position[lead:], inner.shape, strict=True))

    parts: list[str] = []
    whole_rows = inner.columns == layout.columns and len(inner.shape) > 0
    source_parts = printer.parts(source)
    elements = [] if whole_rows else printer.elements(source)
    count = inner.parts_per_row
    for row in range(layout.rows):
        position = unlinearized(row, layout.shape[:-1])
        if whole_rows:
            source_row = linearized(origin((*position, 0))[:-1], inner.shape[:-1])
            parts += source_parts[source_row * count : (source_row + 1) * count]
        else:
            element = elements[linearized(origin((*position, 0)), inner.shape)]
            parts += [printer.splat(type_, element) for type_ in layout.types[: layout.parts_per_row]]
    printer.set_parts(result, parts)


def set_mask(printer: FunctionPrinter, result: SSAValue, sizes: Sequence[Scalar]) -> None:
    """The mask whose leading `sizes` are set."""
    layout = printer.layout(result.type)
    parts: list[str] = []
    for row in range(layout.rows):
        position = unlinearized(row, layout.shape[:-1])
        for part, width in enumerate(layout.widths):
            lanes = prefix_mask(printer, width, part * layout.lanes, sizes[-1]) if sizes else ALL_LANES
            for index, size in zip(position, sizes[:-1], strict=True):
                lanes = both(printer, width, lanes, row_mask(printer, width, index, size))
            parts.append(lanes)
    printer.set_parts(result, parts)


def create_mask(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.create_mask`"""
    set_mask(printer, op.results[0], [printer.scalar(size) for size in op.operands])


def constant_mask(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.constant_mask`"""
    set_mask(printer, op.results[0], integers(op, "mask_dim_sizes"))


def outer_product(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.outerproduct`: with floats and the kind `add`, a multiply-add per register (fused where that is fast)."""
    lhs, rhs, *rest = op.operands
    result, kind = op.results[0], combining_kind(op)
    layout = printer.layout(result.type)
    accumulator = printer.parts(rest[0]) if rest else None
    fused = float_intrinsic("fmuladd")(printer, op)
    if is_vector(rhs):
        columns = printer.parts(rhs)
        factors = [
            (printer.splat(layout.types[part], element), column)
            for element in printer.elements(lhs)
            for part, column in enumerate(columns)
        ]
    else:
        scalar = printer.text(rhs)
        factors = [
            (part, printer.splat(type_, scalar)) for part, type_ in zip(printer.parts(lhs), layout.types, strict=True)
        ]
    parts: list[str] = []
    for index, (type_, (left, right)) in enumerate(zip(layout.types, factors, strict=True)):
        if accumulator is not None and kind == "add" and is_float(type_):
            parts.append(fused([left, right, accumulator[index]], type_, type_))
            continue
        product = combine(printer, "mul", type_, left, right)
        parts.append(product if accumulator is None else combine(printer, kind, type_, accumulator[index], product))
    printer.set_parts(result, parts)


def reduction(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.reduction`"""
    vector, *rest = op.operands
    start = printer.text(rest[0]) if rest else None
    types = printer.layout(vector.type).types
    flags = fast_math(op)
    printer.set(
        op.results[0], reduce_registers(printer, combining_kind(op), types, printer.parts(vector), flags, start)
    )


def multi_reduction(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.multi_reduction`; as MLIR says nothing of its order, sums along a row may be reassociated."""
    source, accumulator = op.operands
    kind, axes = combining_kind(op), set(integers(op, "reduction_dims"))
    layout, result = printer.layout(source.type), op.results[0]
    parts = printer.parts(source)
    shape, count = layout.shape, layout.parts_per_row
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    along_row = len(shape) - 1 in axes
    leading = [axis for axis in kept if axis != len(shape) - 1]
    kept_shape = [shape[axis] for axis in leading]
    groups: list[list[int]] = [[] for _ in range(prod(kept_shape))]
    for row in range(layout.rows):
        position = unlinearized(row, shape[:-1])
        groups[linearized([position[axis] for axis in leading], kept_shape)].append(row)
    if not along_row:
        combined = printer.parts(accumulator)
        folded: list[str] = []
        for group, rows in enumerate(groups):
            for part in range(count):
                operand, type_ = combined[group * count + part], layout.types[part]
                for row in rows:
                    operand = combine(printer, kind, type_, operand, parts[row * count + part])
                folded.append(operand)
        printer.set_parts(result, folded)
        return
    starts = printer.elements(accumulator) if is_vector(accumulator) else [printer.text(accumulator)]
    row_types = layout.types[:count]
    elements = [
        reduce_registers(
            printer,
            kind,
            row_types * len(rows),
            [parts[row * count + part] for row in rows for part in range(count)],
            " reassoc" if is_float(row_types[0]) else "",
            start,
        )
        for rows, start in zip(groups, starts, strict=True)
    ]
    if is_vector(result):
        printer.set_elements(result, elements)
    else:
        printer.set(result, elements[0])


def regrouped(printer: FunctionPrinter, vector: Vector, layout: VectorLayout, result: SSAValue) -> None:
    """Bind `result` to the elements of `vector` in row-major order."""
    if vector.parts is not None and vector.layout.types == layout.types:
        printer.values[result] = Vector(layout, vector.parts)
    else:
        printer.values[result] = Vector(layout, elements=printer.vector_elements(vector))


def shape_cast(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.shape_cast`"""
    regrouped(printer, printer.vector(op.operands[0]), printer.layout(op.results[0].type), op.results[0])


def bitcast(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.bitcast`, also to wider or narrower elements."""
    source, result = op.operands[0], op.results[0]
    before, after = printer.layout(source.type), printer.layout(result.type)
    if before.types == after.types:
        printer.set_parts(result, printer.parts(source))
        return
    if before.widths == after.widths:
        parts = [
            printer.value(f"bitcast {type_} {part} to {wanted}")
            for type_, part, wanted in zip(before.types, printer.parts(source), after.types, strict=True)
        ]
        printer.set_parts(result, parts)
        return
    slot = _spilled(printer, printer.vector(source))
    printer.set_parts(result, _reloaded(printer, slot, after))


def _spilled(printer: FunctionPrinter, vector: Vector) -> str:
    """A vector stored densely in a stack slot; its pointer."""
    element = memory_text(vector.layout.element)
    slot = printer.alloca(f"[{prod(vector.layout.shape)} x {element}], align 64")
    start = 0
    for type_, part in zip(vector.layout.types, printer.vector_parts(vector), strict=True):
        memory = with_element(type_, element)
        stored = to_memory(printer, part, memory, vector.layout.element)
        pointer = printer.offset_pointer(slot, start, vector.layout.element)
        printer.emit(f"store {memory} {stored}, ptr {pointer}, align {element_bytes(vector.layout.element)}")
        start += lanes_of(type_)
    return slot


def _reloaded(printer: FunctionPrinter, pointer: str, layout: VectorLayout) -> list[str]:
    """A vector that lies densely at `pointer`, by its parts."""
    parts: list[str] = []
    start = 0
    for type_ in layout.types:
        memory = with_element(type_, memory_text(layout.element))
        place = printer.offset_pointer(pointer, start, layout.element)
        loaded = printer.value(f"load {memory}, ptr {place}, align {element_bytes(layout.element)}")
        parts.append(from_memory(printer, loaded, memory, layout.element))
        start += lanes_of(type_)
    return parts


def transpose(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.transpose`; whole rows are renamed when the last axis stays last, otherwise elements are moved."""
    source, result = op.operands[0], op.results[0]
    permutation = integers(op, "permutation")
    before, after = printer.layout(source.type), printer.layout(result.type)

    def origin(position: Sequence[int]) -> list[int]:
        place = [0] * len(permutation)
        for item, axis in zip(position, permutation, strict=True):
            place[axis] = item
        return place

    if permutation and permutation[-1] == len(permutation) - 1:
        parts, count = printer.parts(source), before.parts_per_row
        rows = [
            linearized(origin((*unlinearized(row, after.shape[:-1]), 0))[:-1], before.shape[:-1])
            for row in range(after.rows)
        ]
        printer.set_parts(result, [part for row in rows for part in parts[row * count : (row + 1) * count]])
        return
    width = before.lanes
    if before.shape == after.shape == (width, width) and len(before.types) == width and width & (width - 1) == 0:
        printer.set_parts(result, _turned(printer, printer.parts(source), before.types[0]))
        return
    elements = printer.elements(source)
    moved = [
        elements[linearized(origin(unlinearized(index, after.shape)), before.shape)]
        for index in range(prod(after.shape))
    ]
    printer.set_elements(result, moved)


def _turned(printer: FunctionPrinter, rows: list[str], type_: str) -> list[str]:
    """The columns of a square of registers: squares of 1, 2, 4, … elements change places across the diagonal."""
    width, rows = len(rows), list(rows)
    step = 1
    while step < width:
        upper = [lane if lane & step == 0 else width + lane - step for lane in range(width)]
        lower = [lane + step if lane & step == 0 else width + lane for lane in range(width)]
        for first in (row for row in range(width) if row & step == 0):
            pair = rows[first], rows[first + step]
            for row, lanes in ((first, upper), (first + step, lower)):
                mask = ", ".join(f"i32 {lane}" for lane in lanes)
                rows[row] = printer.value(
                    f"shufflevector {type_} {pair[0]}, {type_} {pair[1]}, <{width} x i32> <{mask}>"
                )
        step *= 2
    return rows


def from_elements(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.from_elements`"""
    printer.set_elements(op.results[0], [printer.text(operand) for operand in op.operands])


def to_elements(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.to_elements`"""
    for result, element in zip(op.results, printer.elements(op.operands[0]), strict=True):
        printer.set(result, element)


def step(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.step`"""
    layout = printer.layout(op.results[0].type)
    parts = [lane_numbers(width, part * layout.lanes, layout.element) for part, width in enumerate(layout.widths)]
    printer.set_parts(op.results[0], parts)


def _positions(printer: FunctionPrinter, op: Operation, dynamic: Sequence[SSAValue]) -> list[Scalar]:
    items = mixed(integers(op, "static_position"), dynamic)
    return [printer.scalar(item) if isinstance(item, SSAValue) else item for item in items]


def _split(position: Sequence[Scalar]) -> tuple[list[int], bool]:
    known = [item for item in position if isinstance(item, int)]
    return known, len(known) == len(position)


def extract(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.extract`; positions that are not constants go through the stack."""
    source, *dynamic = op.operands
    result = op.results[0]
    layout = printer.layout(source.type)
    position, is_static = _split(found := _positions(printer, op, dynamic))
    inner = layout.shape[len(found) :]
    size = prod(inner)
    if not is_static:
        slot = _spilled(printer, printer.vector(source))
        pointer = printer.offset_pointer(slot, _distance(printer, found, layout, size), layout.element)
        if is_vector(result):
            printer.set_parts(result, _reloaded(printer, pointer, printer.layout(result.type)))
        else:
            printer.set(result, load_scalar(printer, pointer, layout.element))
        return
    start = linearized(position, layout.shape[: len(position)]) * size
    if not is_vector(result):
        printer.set(result, element_at(printer, printer.vector(source), start))
        return
    vector = printer.vector(source)
    inner_layout = printer.layout(result.type)
    if vector.parts is not None and inner:
        first = start // layout.columns * layout.parts_per_row
        parts = printer.parts(source)[first : first + len(inner_layout.types)]
        printer.set_parts(result, parts)
    else:
        printer.set_elements(result, printer.elements(source)[start : start + size])


def element_at(printer: FunctionPrinter, vector: Vector, index: int) -> str:
    """One scalar of a vector."""
    if vector.elements is not None:
        return vector.elements[index]
    layout = vector.layout
    row, column = divmod(index, layout.columns)
    part, lane = divmod(column, layout.lanes)
    number = row * layout.parts_per_row + part
    return printer.reused(f"extractelement {layout.types[number]} {printer.vector_parts(vector)[number]}, i64 {lane}")


def _distance(printer: FunctionPrinter, position: Sequence[Scalar], layout: VectorLayout, size: int) -> Scalar:
    distance: Scalar = 0
    for item, bound in zip(position, layout.shape, strict=False):
        distance = printer.add(printer.multiply(distance, bound), item)
    return printer.multiply(distance, size)


def insert(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.insert`; positions that are not constants go through the stack."""
    source, target, *dynamic = op.operands
    result = op.results[0]
    layout = printer.layout(result.type)
    position, is_static = _split(found := _positions(printer, op, dynamic))
    size = prod(layout.shape[len(found) :])
    if not is_static:
        slot = _spilled(printer, printer.vector(target))
        pointer = printer.offset_pointer(slot, _distance(printer, found, layout, size), layout.element)
        operands = printer.elements(source) if is_vector(source) else [printer.text(source)]
        for index, operand in enumerate(operands):
            store_scalar(printer, operand, printer.offset_pointer(pointer, index, layout.element), layout.element)
        printer.set_parts(result, _reloaded(printer, slot, layout))
        return
    start = linearized(position, layout.shape[: len(position)]) * size
    if is_vector(source) and len(position) < len(layout.shape):
        parts = list(printer.parts(target))
        first = start // layout.columns * layout.parts_per_row
        replacement = printer.parts(source)
        parts[first : first + len(replacement)] = replacement
        printer.set_parts(result, parts)
        return
    operand = printer.elements(source)[0] if is_vector(source) else printer.text(source)
    parts = list(printer.parts(target))
    row, column = divmod(start, layout.columns)
    part, lane = divmod(column, layout.lanes)
    number = row * layout.parts_per_row + part
    type_ = layout.types[number]
    parts[number] = printer.value(f"insertelement {type_} {parts[number]}, {layout.element} {operand}, i64 {lane}")
    printer.set_parts(result, parts)


def shuffle(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.shuffle` along the leading axis of two vectors."""
    mask = op.properties.get("mask") or op.attributes.get("mask")
    if mask is None:
        raise LaminaError("'vector.shuffle' has no mask")
    indices = integers(op, "mask")
    if _shuffle_registers(printer, op, indices):
        return
    first, second = (printer.elements(operand) for operand in op.operands)
    layout = printer.layout(op.operands[0].type)
    inner = prod(layout.shape[1:])
    both_elements = [*first, *second]
    taken = [element for index in indices for element in both_elements[index * inner : (index + 1) * inner]]
    printer.set_elements(op.results[0], taken)


def _shuffle_registers(printer: FunctionPrinter, op: Operation, indices: Sequence[int]) -> bool:
    """A shuffle of 1-D vectors each register of whose result takes lanes of one or two; False where there are more."""
    layouts = [printer.layout(operand.type) for operand in op.operands]
    result = printer.layout(op.results[0].type)
    types = {type_ for layout in layouts for type_ in layout.types}
    if any(len(layout.shape) != 1 for layout in layouts) or len(types) != 1:
        return False
    lanes, parts = layouts[0].widths[0], [part for operand in op.operands for part in printer.parts(operand)]
    made: list[str] = []
    starts = list(itertools.accumulate(result.widths, initial=0))
    for start, end in itertools.pairwise(starts):
        sources = list(dict.fromkeys(index // lanes for index in indices[start:end]))
        if len(sources) > 2:
            return False
        places = [sources.index(index // lanes) * lanes + index % lanes for index in indices[start:end]]
        (type_,) = types
        first, *second = (parts[source] for source in sources)
        mask = ", ".join(f"i32 {place}" for place in places)
        made.append(
            printer.value(
                f"shufflevector {type_} {first}, {type_} {second[0] if second else 'poison'}, "
                f"<{end - start} x i32> <{mask}>"
            )
        )
    printer.set_parts(op.results[0], made)
    return True


def _integer_array(op: Operation, name: str) -> list[int]:
    attribute = op.properties.get(name) or op.attributes.get(name)
    items = attribute.data if is_array(attribute) else ()
    return [item.value.data for item in items if isinstance(item, IntegerAttr)]


def extract_strided_slice(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.extract_strided_slice`; whole rows are renamed."""
    source, result = op.operands[0], op.results[0]
    before, after = printer.layout(source.type), printer.layout(result.type)
    origins = _slice_origins(op, before.shape, after.shape)
    if before.columns == after.columns and printer.vector(source).parts is not None:
        parts, count = printer.parts(source), before.parts_per_row
        rows = [origins[row * after.columns] // before.columns for row in range(after.rows)]
        printer.set_parts(result, [part for row in rows for part in parts[row * count : (row + 1) * count]])
        return
    vector = printer.vector(source)
    printer.set_elements(result, [element_at(printer, vector, index) for index in origins])


def insert_strided_slice(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.insert_strided_slice`"""
    source, target = op.operands
    layout = printer.layout(target.type)
    elements = list(printer.elements(target))
    lead = len(layout.shape) - len(printer.layout(source.type).shape)
    shape = (1,) * lead + printer.layout(source.type).shape
    for index, element in zip(_slice_origins(op, layout.shape, shape), printer.elements(source), strict=True):
        elements[index] = element
    printer.set_elements(op.results[0], elements)


def _slice_origins(op: Operation, shape: Sequence[int], part: Sequence[int]) -> list[int]:
    """Positions in a vector of `shape` of the elements of a slice of shape `part`."""
    offsets, strides = _integer_array(op, "offsets"), _integer_array(op, "strides")
    offsets += [0] * (len(shape) - len(offsets))
    strides = [1] * (len(shape) - len(strides)) + strides if op.name.startswith("vector.insert") else strides
    strides += [1] * (len(shape) - len(strides))
    return [
        linearized(
            [
                offset + item * stride
                for offset, item, stride in zip(offsets, unlinearized(index, part), strides, strict=True)
            ],
            shape,
        )
        for index in range(prod(part))
    ]


def gather(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.gather`: `base[indices] + index_vec`, lane by lane, where the mask is set."""
    base, *indices, index_vector, mask, otherwise = op.operands
    buffer, layout = printer.buffer(base), printer.layout(op.results[0].type)
    pointer, offset = printer.element_address(buffer, [printer.scalar(index) for index in indices])
    pointer = printer.offset_pointer(pointer, offset, buffer.element)
    stride = buffer.strides[-1] if buffer.strides else 1
    element = memory_text(layout.element)
    distance_type = printer.layout(index_vector.type)
    parts: list[str] = []
    for number, (type_, index, lanes, kept) in enumerate(
        zip(layout.types, printer.parts(index_vector), printer.parts(mask), printer.parts(otherwise), strict=True)
    ):
        width, memory = lanes_of(type_), with_element(type_, element)
        wide, narrow = f"<{width} x i64>", distance_type.types[number]
        distance = index if narrow == wide else printer.value(f"sext {narrow} {index} to {wide}")
        if stride != 1:
            distance = printer.value(f"mul {wide} {distance}, {printer.splat(wide, str(stride))}")
        pointers = f"<{width} x ptr>"
        places = printer.value(f"getelementptr {element}, ptr {pointer}, {wide} {distance}")
        arguments = [
            (f"{pointers} align {element_bytes(layout.element)}", places),
            (f"<{width} x i1>", lanes),
            (memory, to_memory(printer, kept, memory, layout.element)),
        ]
        loaded = printer.value(printer.intrinsic("masked.gather", memory, arguments, [memory, pointers]))
        parts.append(from_memory(printer, loaded, memory, layout.element))
    printer.set_parts(op.results[0], parts)


VECTOR_CASES: dict[str, Case] = {
    "vector.broadcast": broadcast,
    "vector.splat": broadcast,
    "vector.create_mask": create_mask,
    "vector.constant_mask": constant_mask,
    "vector.outerproduct": outer_product,
    "vector.reduction": reduction,
    "vector.multi_reduction": multi_reduction,
    "vector.shape_cast": shape_cast,
    "vector.bitcast": bitcast,
    "vector.transpose": transpose,
    "vector.from_elements": from_elements,
    "vector.to_elements": to_elements,
    "vector.step": step,
    "vector.extract": extract,
    "vector.insert": insert,
    "vector.shuffle": shuffle,
    "vector.extract_strided_slice": extract_strided_slice,
    "vector.insert_strided_slice": insert_strided_slice,
    "vector.gather": gather,
}
