"""AMD's matrix instructions as LLVM IR text."""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.dialects.hardware.amdgpu import MatrixCoreOp, element_of
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter
from lamina.lowering.to_llvm_text.types import is_vector, lanes_of, with_element

MFMA_SUFFIXES: Mapping[type[Attribute], str] = {
    Float16Type: "f16",
    BFloat16Type: "bf16.1k",
    Float32Type: "f32",
    Float64Type: "f64",
}
"""The end of `llvm.amdgcn.mfma.T.MxNxK*` by the elements of the factors."""

WMMA_SUFFIXES: Mapping[type[Attribute], str] = {Float16Type: "f16.v8f32.v16f16", BFloat16Type: "bf16.v8f32.v16i16"}
"""The end of `llvm.amdgcn.wmma.f32.MxNxK.*`."""


def _joined(printer: FunctionPrinter, value: SSAValue) -> tuple[str, str]:
    """A fragment as one operand, bfloats as the integers that the instructions take: its type and text."""
    if not is_vector(value):
        return printer.flat(value)[0]
    types, parts = list(printer.layout(value.type).types), list(printer.parts(value))
    while len(parts) > 1:
        width = lanes_of(types[0])
        if len(parts) % 2 or any(lanes_of(type_) != width for type_ in types):
            raise LaminaError(f"{value.type} is no fragment: expected a power of two")
        lanes = ", ".join(f"i32 {lane}" for lane in range(2 * width))
        element = types[0][:-1].partition(" x ")[2]
        parts = [
            printer.value(f"shufflevector {types[0]} {left}, {types[0]} {right}, <{2 * width} x i32> <{lanes}>")
            for left, right in zip(parts[::2], parts[1::2], strict=True)
        ]
        types = [f"<{2 * width} x {element}>"] * len(parts)
    if not types[0].endswith("bfloat>"):
        return types[0], parts[0]
    integers = with_element(types[0], "i16")
    return integers, printer.value(f"bitcast {types[0]} {parts[0]} to {integers}")


def _set_joined(printer: FunctionPrinter, result: SSAValue, type_: str, text: str) -> None:
    """Bind what an instruction gives, cut as vectors of its type are."""
    parts: list[str] = []
    start = 0
    for part in printer.layout(result.type).types:
        width = lanes_of(part)
        lanes = ", ".join(f"i32 {lane}" for lane in range(start, start + width))
        cut = f"shufflevector {type_} {text}, {type_} poison, <{width} x i32> <{lanes}>"
        parts.append(text if width == lanes_of(type_) else printer.value(cut))
        start += width
    printer.set_parts(result, parts)


def _product(printer: FunctionPrinter, op: Operation, name: str, immediates: int) -> None:
    operands = [_joined(printer, value) for value in op.operands]
    result = operands[-1][0]
    types = [type_ for type_, _ in operands] + ["i32 immarg"] * immediates
    symbol = f"@llvm.amdgcn.{name}"
    printer.module.declarations[symbol] = f"declare {result} {symbol}({', '.join(types)})"
    listed = ", ".join([*(f"{type_} {text}" for type_, text in operands), *(["i32 0"] * immediates)])
    found = printer.value(f"call {result} {symbol}({listed})")
    _set_joined(printer, op.results[0], result, found)


def mfma(printer: FunctionPrinter, op: Operation) -> None:
    """`amdgpu.mfma`: `v_mfma_*`."""
    if not isinstance(op, MatrixCoreOp):
        raise LaminaError(f"'{op.name}' is no product of fragments")
    (m, n, k), element, total = op.key
    _product(printer, op, f"mfma.{total}.{m}x{n}x{k}{MFMA_SUFFIXES[type(element)]}", 3)


def wmma(printer: FunctionPrinter, op: Operation) -> None:
    """`amdgpu.wmma`: `v_wmma_*`."""
    if not isinstance(op, MatrixCoreOp):
        raise LaminaError(f"'{op.name}' is no product of fragments")
    m, n, k = op.sizes
    _product(printer, op, f"wmma.f32.{m}x{n}x{k}.{WMMA_SUFFIXES[type(element_of(op.a))]}", 0)


def _emulated(printer: FunctionPrinter, op: Operation) -> None:
    raise LaminaError(f"'{op.name}' has no native form here: run expand-gpu-fragments before")


_NATIVE: Mapping[str, Case] = {"amdgpu.mfma": mfma, "amdgpu.wmma": wmma}

MATRIX_CORE_CASES: Mapping[str, Mapping[str, Case]] = {
    "ptx": dict.fromkeys(_NATIVE, _emulated),
    "amdgcn": _NATIVE,
    "spirv": dict.fromkeys(_NATIVE, _emulated),
}
"""By the kind of target, how these ops are printed; what a kind has not is expanded before (`expand-gpu-fragments`)."""
