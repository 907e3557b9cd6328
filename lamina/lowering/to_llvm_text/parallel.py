"""`cpu.parallel_for`: the body as a function over a range of iterations, what it captures in a closure on the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Operation, Region, SSAValue

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.abi import PARALLEL_FOR, context_field
from lamina.lowering.to_llvm_text.blocks import print_block
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, Typed
from lamina.lowering.to_llvm_text.module import symbol
from lamina.lowering.to_llvm_text.streaming import make_visible
from lamina.lowering.to_llvm_text.types import element_text
from lamina.lowering.to_llvm_text.values import Buffer, Scalar, Value, Vector


def captured_values(op: Operation) -> list[SSAValue]:
    """The values that an op's regions use and that are defined outside, in order of first use."""
    found: dict[SSAValue, None] = {}
    inside: set[SSAValue] = set()

    def visit(regions: Sequence[Region]) -> None:
        for region in regions:
            for block in region.blocks:
                inside.update(block.args)
                for nested in block.ops:
                    found.update(dict.fromkeys(operand for operand in nested.operands if operand not in inside))
                    visit(nested.regions)
                    inside.update(nested.results)

    visit(op.regions)
    return list(found)


@dataclass
class Closure:
    """LLVM operands of the enclosing function that the body needs, each once, and their names in the body."""

    typed: list[Typed] = field(default_factory=list[Typed])
    exclusive: list[bool] = field(default_factory=list[bool])
    names: dict[str, str] = field(default_factory=dict[str, str])

    def capture(self, type_: str, operand: Scalar, *, exclusive: bool = False) -> Scalar:
        """The operand as the body knows it; constants and symbols are the same there."""
        if isinstance(operand, int) or not operand.startswith("%"):
            return operand
        name = self.names.get(operand)
        if name is None:
            name = self.names[operand] = f"%captured{len(self.typed)}"
            self.typed.append((type_, operand))
            self.exclusive.append(exclusive)
        elif type_ == "ptr":
            # Two buffers at one address: neither is alone.
            position = int(name.removeprefix("%captured"))
            self.exclusive[position] = self.exclusive[position] and exclusive
        return name


def _captured(printer: FunctionPrinter, closure: Closure, value: SSAValue, alone: set[str]) -> Value:
    """What the body knows of a captured value."""
    known = printer.values[value]
    if isinstance(known, Vector):
        operands = zip(known.layout.types, printer.vector_parts(known), strict=True)
        return Vector(known.layout, [str(closure.capture(type_, part)) for type_, part in operands])
    if isinstance(known, Buffer):
        exclusive = known.exclusive and known.base in alone and known.base == known.pointer
        base = closure.capture("ptr", known.base, exclusive=exclusive)
        pointer = closure.capture("ptr", known.pointer, exclusive=exclusive)
        return Buffer(
            str(base),
            str(pointer),
            known.offset,
            tuple(closure.capture("i64", size) for size in known.sizes),
            tuple(closure.capture("i64", stride) for stride in known.strides),
            known.element,
            exclusive,
        )
    return closure.capture(element_text(value.type), known)


def _bases_used_once(printer: FunctionPrinter, values: Sequence[SSAValue]) -> set[str]:
    """Allocations that the body reaches by one pointer only."""
    pointers: dict[str, set[str]] = {}
    for value in values:
        known = printer.values[value]
        if isinstance(known, Buffer):
            pointers.setdefault(known.base, set()).add(known.pointer)
    return {base for base, used in pointers.items() if len(used) == 1}


def parallel_for(printer: FunctionPrinter, op: Operation) -> None:
    """A call of `context.parallel_for` with a body, and a closure of what it uses."""
    lower, upper = (printer.text(operand) for operand in op.operands)
    grain = op.properties["grain"]
    if not isinstance(grain, IntegerAttr):
        raise LaminaError("'cpu.parallel_for' has no grain")
    values = captured_values(op)
    closure, alone = Closure(), _bases_used_once(printer, values)
    known = {value: _captured(printer, closure, value, alone) for value in values}
    number = printer.module.next_number()
    body_name, range_name = symbol(f"parallel.{number}"), symbol(f"parallel.{number}.range")
    _define_range(printer, op, range_name, closure, known)
    layout = f"{{ {', '.join(type_ for type_, _ in closure.typed)} }}"
    slot = printer.alloca(f"{layout}, align 64") if closure.typed else "null"
    for position, (type_, operand) in enumerate(closure.typed):
        place = printer.reused(f"getelementptr inbounds {layout}, ptr {slot}, i64 0, i32 {position}")
        printer.emit(f"store {type_} {operand}, ptr {place}")
    _define_body(printer, body_name, range_name, closure, layout)
    run = context_field(printer, PARALLEL_FOR)
    arguments = f"ptr {printer.context}, ptr {body_name}, ptr {slot}, i64 {lower}, i64 {upper}, i64 {grain.value.data}"
    printer.emit(f"call void {run}({arguments})")


def _define_range(
    printer: FunctionPrinter, op: Operation, name: str, closure: Closure, known: dict[SSAValue, Value]
) -> None:
    """The iterations `begin … end - 1`, what they capture as arguments (so that pointers can be `noalias`)."""
    inner = FunctionPrinter(printer.module)
    inner.values.update(known)
    block = op.regions[0].block

    def body(index: str, _: list[str]) -> Sequence[str]:
        inner.set(block.args[0], index)
        print_block(inner, block)
        return ()

    inner.loop("%begin", "%end", 1, (), body)
    make_visible(inner)
    inner.emit("ret void")
    parameters = ["ptr %context", "i64 %begin", "i64 %end"]
    for position, ((type_, _), exclusive) in enumerate(zip(closure.typed, closure.exclusive, strict=True)):
        attribute = " noalias" if exclusive and type_ == "ptr" else ""
        parameters.append(f"{type_}{attribute} %captured{position}")
    printer.module.define(name, f"define internal void {name}({', '.join(parameters)}) #0 {{\n{inner.body_text()}\n}}")


def _define_body(printer: FunctionPrinter, name: str, range_name: str, closure: Closure, layout: str) -> None:
    """The function that the pool calls: it opens the closure."""
    lines: list[str] = []
    operands = ["ptr %context", "i64 %begin", "i64 %end"]
    for position, (type_, _) in enumerate(closure.typed):
        lines.append(f"  %place{position} = getelementptr inbounds {layout}, ptr %closure, i64 0, i32 {position}")
        lines.append(f"  %captured{position} = load {type_}, ptr %place{position}")
        operands.append(f"{type_} %captured{position}")
    lines.append(f"  call void {range_name}({', '.join(operands)})")
    head = f"define internal void {name}(ptr %context, ptr %closure, i64 %begin, i64 %end) #0 {{"
    printer.module.define(name, "\n".join([head, "entry:", *lines, "  ret void", "}"]))


PARALLEL_CASES: dict[str, Case] = {"cpu.parallel_for": parallel_for}
