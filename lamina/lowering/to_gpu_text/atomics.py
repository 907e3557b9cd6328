"""Atomic updates of elements as LLVM IR text: `atomicrmw` where the target has it, else compare and exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xdsl.ir import Operation

from lamina.diagnostics import LaminaError
from lamina.dialects.loop.atomics import AtomicRMWOp
from lamina.lowering.to_llvm_text.blocks import print_block
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter
from lamina.lowering.to_llvm_text.types import element_bytes, element_text

INTEGER_KINDS: Mapping[str, str] = {
    "addi": "add",
    "assign": "xchg",
    "maxs": "max",
    "maxu": "umax",
    "mins": "min",
    "minu": "umin",
    "ori": "or",
    "andi": "and",
    "xori": "xor",
}
"""LLVM's name of what all targets do to integers of 32 and 64 bits."""

FLOAT_ADDITION = frozenset({"ptx", "amdgcn"})
"""The kinds of target that add floats of 32 and 64 bits."""

SCOPES: Mapping[str, str] = {"ptx": "device", "amdgcn": "agent", "spirv": "device"}
"""LLVM's name of all threads of a device."""

LOCAL_MEMORY: Mapping[str, str] = {
    "amdgcn": ", !amdgpu.no.remote.memory !0, !amdgpu.no.fine.grained.memory !0, !amdgpu.ignore.denormal.mode !0"
}
"""What has to be said for native instructions: the buffers are memory of this device, which no other one looks at."""

FLOATS: Mapping[str, Sequence[str]] = {
    "addf": ("fadd {type} {old}, {new}",),
    "mulf": ("fmul {type} {old}, {new}",),
    "maxnumf": ("fcmp ogt {type} {old}, {new}", "fcmp uno {type} {new}, {new}"),
    "minnumf": ("fcmp olt {type} {old}, {new}", "fcmp uno {type} {new}, {new}"),
    "maximumf": ("fcmp ogt {type} {old}, {new}", "fcmp uno {type} {old}, {old}"),
    "minimumf": ("fcmp olt {type} {old}, {new}", "fcmp uno {type} {old}, {old}"),
}
"""How two floats are combined: an instruction, or two conditions under one of which the old one stays."""


def update_case(target: str) -> Case:
    """`memref.atomic_rmw` on one kind of target."""

    def case(printer: FunctionPrinter, op: Operation) -> None:
        if not isinstance(op, AtomicRMWOp):
            raise LaminaError(f"'{op.name}' is no atomic update")
        type_, kind = _word_type(op), op.kind_name
        name = INTEGER_KINDS.get(kind) if type_.startswith("i") else None
        if kind == "addf" and target in FLOAT_ADDITION:
            name = "fadd"
        new = printer.text(op.value)
        if name is not None:
            text = f"atomicrmw {name} ptr {_pointer(printer, op, 1)}, {type_} {new}"
            known = LOCAL_MEMORY.get(target, "")
            printer.set(op.result, printer.value(f'{text} syncscope("{SCOPES[target]}") monotonic{known}'))
            return

        def combine(old: str) -> str:
            if kind == "muli":
                return printer.value(f"mul {type_} {old}, {new}")
            texts = [text.format(type=type_, old=old, new=new) for text in FLOATS[kind]]
            if len(texts) == 1:
                return printer.value(texts[0])
            stays = printer.value(f"or i1 {printer.value(texts[0])}, {printer.value(texts[1])}")
            return printer.value(f"select i1 {stays}, {type_} {old}, {type_} {new}")

        printer.set(op.result, exchange(printer, _pointer(printer, op, 1), type_, target, combine))

    return case


def generic_case(target: str) -> Case:
    """`memref.generic_atomic_rmw` on one kind of target."""

    def case(printer: FunctionPrinter, op: Operation) -> None:
        block, type_ = op.regions[0].block, _word_type(op)

        def combine(old: str) -> str:
            printer.set(block.args[0], old)
            terminator = print_block(printer, block)
            if terminator is None:
                raise LaminaError(f"'{op.name}' gives no value")
            return printer.text(terminator.operands[0])

        printer.set(op.results[0], exchange(printer, _pointer(printer, op, 0), type_, target, combine))

    return case


def exchange(printer: FunctionPrinter, pointer: str, type_: str, target: str, combine: Callable[[str], str]) -> str:
    """Replace an element by what `combine` makes of it, again where another thread came between; the old element."""
    word, number = f"i{8 * element_bytes(type_)}", printer.fresh("")
    again, done, seen = f"again{number}", f"exchanged{number}", f"%seen{number}"
    align = element_bytes(type_)
    scope = f'syncscope("{SCOPES[target]}")'
    first, entry = printer.value(f"load atomic {word}, ptr {pointer} {scope} monotonic, align {align}"), printer.label
    printer.branch(again)
    printer.start_block(again)
    phi_line = len(printer.lines)
    printer.lines.append("")
    printer.loop_depth += 1
    with printer.scope():
        old = seen if type_ == word else printer.value(f"bitcast {word} {seen} to {type_}")
        new = combine(old)
        bits = new if type_ == word else printer.value(f"bitcast {type_} {new} to {word}")
        pair = printer.value(
            f"cmpxchg ptr {pointer}, {word} {seen}, {word} {bits} {scope} monotonic monotonic, align {align}"
        )
        found = printer.value(f"extractvalue {{{word}, i1}} {pair}, 0")
        success = printer.value(f"extractvalue {{{word}, i1}} {pair}, 1")
    printer.loop_depth -= 1
    printer.lines[phi_line] = f"  {seen} = phi {word} [ {first}, %{entry} ], [ {found}, %{printer.label} ]"
    printer.emit(f"br i1 {success}, label %{done}, label %{again}")
    printer.start_block(done)
    return seen if type_ == word else printer.value(f"bitcast {word} {seen} to {type_}")


def _word_type(op: Operation) -> str:
    type_ = element_text(op.results[0].type)
    if type_ == "i1" or element_bytes(type_) not in (4, 8):
        raise LaminaError(f"atomic updates of {type_} elements are not supported")
    return type_


def _pointer(printer: FunctionPrinter, op: Operation, position: int) -> str:
    """The address of the element; the buffer is operand number `position`, its indices follow."""
    buffer = printer.buffer(op.operands[position])
    indices = [printer.scalar(index) for index in op.operands[position + 1 :]]
    pointer, offset = printer.element_address(buffer, indices)
    return printer.offset_pointer(pointer, offset, buffer.element)


ATOMIC_CASES: Mapping[str, Mapping[str, Case]] = {
    target: {"memref.atomic_rmw": update_case(target), "memref.generic_atomic_rmw": generic_case(target)}
    for target in SCOPES
}
"""By the kind of a target."""
