"""Wide loads, matrix fragments and asynchronous copies as LLVM IR text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type, IntegerAttr
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.nvgpu import AsyncCopyOp, AsyncWaitOp, LdMatrixOp, MmaSyncOp
from lamina.dialects.loop.types import is_vector
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter
from lamina.lowering.to_llvm_text.types import element_bytes, lanes_of, memory_text, with_element
from lamina.lowering.to_llvm_text.vector_transfer import from_memory, to_memory

GLOBAL, SHARED = "ptr addrspace(1)", "ptr addrspace(3)"

MMA_SUFFIXES: Mapping[tuple[type[Attribute], type[Attribute]], str] = {
    (Float16Type, Float32Type): "f32.f32",
    (Float16Type, Float16Type): "f16.f16",
    (BFloat16Type, Float32Type): "bf16",
    (Float32Type, Float32Type): "tf32",
    (Float64Type, Float64Type): "f64",
}
"""The end of `llvm.nvvm.mma.mMnNkK.row.col.*` by the elements of the factors and of the sums."""


def _element_pointer(printer: FunctionPrinter, base: SSAValue, indices: Sequence[SSAValue]) -> str:
    buffer = printer.buffer(base)
    pointer, offset = printer.element_address(buffer, [printer.scalar(index) for index in indices])
    return printer.offset_pointer(pointer, offset, buffer.element)


def _wide(op: Operation, vector: SSAValue, element: str) -> tuple[int, int]:
    """The lanes of a vector, and the alignment of its place in memory."""
    count = vector.type.get_shape()[-1] if is_vector(vector.type) and len(vector.type.get_shape()) == 1 else 0
    if not count:
        raise LaminaError(f"'{op.name}' of {vector.type}: only vectors with one axis are loaded and stored in kernels")
    alignment = op.attributes.get("alignment")
    return count, alignment.value.data if isinstance(alignment, IntegerAttr) else element_bytes(element)


def load(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.load`: one instruction, whatever the vector's width."""
    base, *indices = op.operands
    element = printer.buffer(base).element
    count, alignment = _wide(op, op.results[0], element)
    pointer = _element_pointer(printer, base, indices)
    type_ = f"<{count} x {element}>" if count > 1 else element
    memory = with_element(type_, memory_text(element))
    loaded = from_memory(printer, printer.value(f"load {memory}, ptr {pointer}, align {alignment}"), memory, element)
    if count == 1:
        printer.set_elements(op.results[0], [loaded])
        return
    parts: list[str] = []
    start = 0
    for part in printer.layout(op.results[0].type).types:
        parts.append(_slice(printer, loaded, type_, start, lanes_of(part)))
        start += lanes_of(part)
    printer.set_parts(op.results[0], parts)


def _slice(printer: FunctionPrinter, value: str, type_: str, start: int, count: int) -> str:
    if count == lanes_of(type_):
        return value
    lanes = ", ".join(f"i32 {lane}" for lane in range(start, start + count))
    return printer.value(f"shufflevector {type_} {value}, {type_} poison, <{count} x i32> <{lanes}>")


def store(printer: FunctionPrinter, op: Operation) -> None:
    """`vector.store`: one instruction, whatever the vector's width."""
    vector, base, *indices = op.operands
    element = printer.buffer(base).element
    count, alignment = _wide(op, vector, element)
    pointer = _element_pointer(printer, base, indices)
    if count == 1:
        memory = memory_text(element)
        stored = to_memory(printer, printer.elements(vector)[0], memory, element)
        printer.emit(f"store {memory} {stored}, ptr {pointer}, align {alignment}")
        return
    types, parts = list(printer.layout(vector.type).types), printer.parts(vector)
    while len(parts) > 1:
        widths = [lanes_of(type_) for type_ in types]
        if widths[0] != widths[1]:
            raise LaminaError(f"'{op.name}' of {vector.type}: expected a power of two")
        lanes = ", ".join(f"i32 {lane}" for lane in range(2 * widths[0]))
        parts = [
            printer.value(f"shufflevector {types[0]} {left}, {types[0]} {right}, <{2 * widths[0]} x i32> <{lanes}>")
            for left, right in zip(parts[::2], parts[1::2], strict=True)
        ]
        types = [f"<{2 * widths[0]} x {element}>"] * len(parts)
    memory = with_element(types[0], memory_text(element))
    stored = to_memory(printer, parts[0], memory, element)
    printer.emit(f"store {memory} {stored}, ptr {pointer}, align {alignment}")


def _declare(printer: FunctionPrinter, name: str, result: str, arguments: Sequence[str], attributes: str = "") -> str:
    """A declared intrinsic's symbol."""
    symbol = f"@llvm.nvvm.{name}"
    printer.module.declarations[symbol] = f"declare {result} {symbol}({', '.join(arguments)}){attributes}"
    return symbol


def _registers(printer: FunctionPrinter, value: SSAValue, packed: str | None) -> list[tuple[str, str]]:
    """A fragment as operands of a matrix instruction, each with its type; `packed`: the type that registers pass as."""
    types = printer.layout(value.type).types
    if packed is None and lanes_of(types[0]) == 2 and not types[0].endswith(("float>", "double>")):
        return list(zip(types, printer.parts(value), strict=True))
    if packed is None or lanes_of(types[0]) == 1:
        element = types[0][:-1].partition(" x ")[2]
        elements = [(element, text) for text in printer.elements(value)]
        if packed is None:
            return elements
        return [(packed, printer.value(f"bitcast {element} {text} to {packed}")) for _, text in elements]
    parts = zip(types, printer.parts(value), strict=True)
    return [(packed, printer.value(f"bitcast {type_} {part} to {packed}")) for type_, part in parts]


def mma(printer: FunctionPrinter, op: Operation) -> None:
    """`nvgpu.mma.sync`: PTX `mma.sync.aligned.row.col`."""
    if not isinstance(op, MmaSyncOp):
        raise LaminaError(f"'{op.name}' is no product of fragments")
    factor, total = (value.type.get_element_type() for value in (op.matrix_a, op.matrix_c) if is_vector(value.type))
    suffix = MMA_SUFFIXES[type(factor), type(total)]
    packed = "i32" if suffix in ("bf16", "tf32") else None
    operands = [
        *_registers(printer, op.matrix_a, packed),
        *_registers(printer, op.matrix_b, packed),
        *_registers(printer, op.matrix_c, None),
    ]
    m, n, k = op.sizes
    results = [type_ for type_, _ in _registers(printer, op.matrix_c, None)]
    result = f"{{{', '.join(results)}}}"
    name = f"mma.m{m}n{n}k{k}.row.col.{suffix}"
    symbol = _declare(printer, name, result, [type_ for type_, _ in operands])
    listed = ", ".join(f"{type_} {text}" for type_, text in operands)
    # LLVM's declaration does not say so: only together with the whole warp, never in a branch of some lanes.
    found = printer.value(f"call {result} {symbol}({listed}) convergent")
    values = [printer.value(f"extractvalue {result} {found}, {number}") for number in range(len(results))]
    if results[0].startswith("<"):
        printer.set_parts(op.result, values)
    else:
        printer.set_elements(op.result, values)


def ldmatrix(printer: FunctionPrinter, op: Operation) -> None:
    """`nvgpu.ldmatrix`: PTX `ldmatrix.sync.aligned.m8n8.xN[.trans].shared.b16`."""
    if not isinstance(op, LdMatrixOp):
        raise LaminaError(f"'{op.name}' loads no tiles")
    pointer = _element_pointer(printer, op.source, op.indices)
    result = "i32" if op.count == 1 else f"{{{', '.join(['i32'] * op.count)}}}"
    transposed = ".trans" if op.is_transposed else ""
    name = f"ldmatrix.sync.aligned.m8n8.x{op.count}{transposed}.b16.p3"
    found = printer.value(f"call {result} {_declare(printer, name, result, [SHARED])}(ptr {pointer})")
    words = [found]
    if op.count > 1:
        words = [printer.value(f"extractvalue {result} {found}, {number}") for number in range(op.count)]
    types = printer.layout(op.result.type).types
    parts = [printer.value(f"bitcast i32 {word} to {type_}") for type_, word in zip(types, words, strict=True)]
    printer.set_parts(op.result, parts)


def async_copy(printer: FunctionPrinter, op: Operation) -> None:
    """`nvgpu.device_async_copy`: PTX `cp.async`."""
    if not isinstance(op, AsyncCopyOp):
        raise LaminaError(f"'{op.name}' is no copy")
    target = _element_pointer(printer, op.target, op.target_indices)
    source = _element_pointer(printer, op.source, op.source_indices)
    kind = "ca" if op.bypass is None else "cg"
    name = f"cp.async.{kind}.shared.global.{op.bytes}"
    if op.source_elements is None:
        symbol = _declare(printer, name, "void", [SHARED, GLOBAL])
        printer.emit(f"call void {symbol}(ptr {target}, ptr {source})")
    else:
        each = op.bytes // op.count
        bytes_ = printer.multiply(printer.scalar(op.source_elements), each)
        count = bytes_ if isinstance(bytes_, int) else printer.value(f"trunc i64 {bytes_} to i32")
        symbol = _declare(printer, f"{name}.s", "void", [SHARED, GLOBAL, "i32"])
        printer.emit(f"call void {symbol}(ptr {target}, ptr {source}, i32 {count})")
    printer.set(op.token, 0)


def async_group(printer: FunctionPrinter, op: Operation) -> None:
    """`nvgpu.device_async_create_group`: PTX `cp.async.commit_group`."""
    printer.emit(f"call void {_declare(printer, 'cp.async.commit.group', 'void', [])}()")
    printer.set(op.results[0], 0)


def async_wait(printer: FunctionPrinter, op: Operation) -> None:
    """`nvgpu.device_async_wait`: PTX `cp.async.wait_group`."""
    if not isinstance(op, AsyncWaitOp):
        raise LaminaError(f"'{op.name}' waits for nothing")
    symbol = _declare(printer, "cp.async.wait.group", "void", ["i32 immarg"])
    printer.emit(f"call void {symbol}(i32 {op.pending})")


def _emulated(printer: FunctionPrinter, op: Operation) -> None:
    raise LaminaError(f"'{op.name}' has no native form here: run expand-gpu-fragments before")


_WIDE: Mapping[str, Case] = {"vector.load": load, "vector.store": store}

_NATIVE: Mapping[str, Case] = {
    "nvgpu.mma.sync": mma,
    "nvgpu.ldmatrix": ldmatrix,
    "nvgpu.device_async_copy": async_copy,
    "nvgpu.device_async_create_group": async_group,
    "nvgpu.device_async_wait": async_wait,
}

FRAGMENT_CASES: Mapping[str, Mapping[str, Case]] = {
    "ptx": {**_WIDE, **_NATIVE},
    "amdgcn": {**_WIDE, **dict.fromkeys(_NATIVE, _emulated)},
    "spirv": {**_WIDE, **dict.fromkeys(_NATIVE, _emulated)},
}
"""By the kind of target, how these ops are printed; what a kind has not is expanded before (`expand-gpu-fragments`)."""
