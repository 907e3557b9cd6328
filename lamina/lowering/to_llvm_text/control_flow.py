"""`scf` as branches and phis, and `cf.assert`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Block, Operation, SSAValue

from lamina.diagnostics import LaminaError
from lamina.lowering.to_llvm_text.abi import ASSERTION_FAILED, fail
from lamina.lowering.to_llvm_text.blocks import print_block
from lamina.lowering.to_llvm_text.segments import integers, mixed, operand_segments
from lamina.lowering.to_llvm_text.types import element_text

if TYPE_CHECKING:
    from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, Typed


def _flat(printer: FunctionPrinter, values: Sequence[SSAValue]) -> list[Typed]:
    return [typed for value in values for typed in printer.flat(value)]


def _operands(printer: FunctionPrinter, terminator: Operation | None) -> list[str]:
    return [] if terminator is None else [operand for _, operand in _flat(printer, terminator.operands)]


def for_loop(printer: FunctionPrinter, op: Operation) -> None:
    """`scf.for`"""
    lower, upper, step, *carried = op.operands
    block = op.regions[0].block
    induction, *arguments = block.args

    def body(index: str, names: list[str]) -> Sequence[str]:
        printer.set(induction, index)
        printer.bind_flat(arguments, names)
        return _operands(printer, print_block(printer, block))

    bounds = [printer.scalar(value) for value in (lower, upper, step)]
    initial = _flat(printer, carried)
    results = printer.loop(bounds[0], bounds[1], bounds[2], initial, body, element_text(induction.type))
    printer.bind_flat(op.results, results)


def forall_loop(printer: FunctionPrinter, op: Operation) -> None:
    """`scf.forall` as sequential loops."""
    lists = [
        [printer.scalar(item) if isinstance(item, SSAValue) else item for item in mixed(integers(op, name), dynamic)]
        for name, dynamic in zip(
            ("staticLowerBound", "staticUpperBound", "staticStep"), operand_segments(op), strict=False
        )
    ]
    block = op.regions[0].block
    bounds = list(zip(*lists, strict=True))

    def level(axis: int) -> None:
        if axis == len(bounds):
            print_block(printer, block)
            return

        def body(index: str, _: list[str]) -> Sequence[str]:
            printer.set(block.args[axis], index)
            level(axis + 1)
            return ()

        lower, upper, step = bounds[axis]
        printer.loop(lower, upper, step, (), body)

    level(0)


def branches(printer: FunctionPrinter, op: Operation, blocks: Sequence[tuple[str, Block | None]], join: str) -> None:
    """The alternatives `blocks` (label and block), and the results of `op` where they meet at `join`."""
    ends: list[tuple[str, list[str]]] = []
    for label, block in blocks:
        printer.start_block(label)
        with printer.scope():
            operands = [] if block is None else _operands(printer, print_block(printer, block))
        printer.branch(join)
        ends.append((printer.label, operands))
    printer.start_block(join)
    types = [type_ for result in op.results for type_ in printer.flat_types(result.type)]
    merged = [
        printer.value(f"phi {type_} " + ", ".join(f"[ {operands[index]}, %{label} ]" for label, operands in ends))
        for index, type_ in enumerate(types)
    ]
    printer.bind_flat(op.results, merged)


def if_else(printer: FunctionPrinter, op: Operation) -> None:
    """`scf.if`"""
    number = printer.fresh("")
    then, otherwise, join = f"then{number}", f"else{number}", f"join{number}"
    printer.emit(f"br i1 {printer.text(op.operands[0])}, label %{then}, label %{otherwise}")
    first, second = op.regions
    branches(printer, op, [(then, first.block), (otherwise, second.block if second.blocks else None)], join)


def index_switch(printer: FunctionPrinter, op: Operation) -> None:
    """`scf.index_switch`"""
    number = printer.fresh("")
    default, *regions = op.regions
    labels = [f"case{number}_{position}" for position in range(len(regions))]
    cases = " ".join(f"i64 {value}, label %{label}" for value, label in zip(integers(op, "cases"), labels, strict=True))
    printer.emit(f"switch i64 {printer.text(op.operands[0])}, label %default{number} [ {cases} ]")
    blocks = [(label, region.block) for label, region in zip(labels, regions, strict=True)]
    branches(printer, op, [(f"default{number}", default.block), *blocks], f"join{number}")


def execute_region(printer: FunctionPrinter, op: Operation) -> None:
    """`scf.execute_region` with one block"""
    terminator = print_block(printer, op.regions[0].block)
    printer.bind_flat(op.results, _operands(printer, terminator))


def while_loop(printer: FunctionPrinter, op: Operation) -> None:
    """`scf.while`: the first region decides, the second one makes the next values."""
    before, after = (region.block for region in op.regions)
    number = printer.fresh("")
    head, inside, done = f"while{number}", f"do{number}", f"end{number}"
    initial, entry = _flat(printer, op.operands), printer.label
    names = [f"%w{number}_{position}" for position in range(len(initial))]
    printer.branch(head)
    printer.start_block(head)
    phi_line = len(printer.lines)
    printer.lines.append("")
    printer.loop_depth += 1
    printer.bind_flat(before.args, names)
    condition = print_block(printer, before)
    if condition is None:
        raise LaminaError("'scf.while' has no condition")
    flag, *forwarded = condition.operands
    passed = [operand for _, operand in _flat(printer, forwarded)]
    printer.emit(f"br i1 {printer.text(flag)}, label %{inside}, label %{done}")
    printer.start_block(inside)
    with printer.scope():
        printer.bind_flat(after.args, passed)
        following = _operands(printer, print_block(printer, after))
    printer.branch(head)
    printer.loop_depth -= 1
    printer.lines[phi_line] = "\n".join(
        f"  {name} = phi {type_} [ {start}, %{entry} ], [ {again}, %{printer.label} ]"
        for name, (type_, start), again in zip(names, initial, following, strict=True)
    )
    printer.start_block(done)
    printer.bind_flat(op.results, passed)


def assertion(printer: FunctionPrinter, op: Operation) -> None:
    """`cf.assert`: store the error; outside loops also return."""
    message = op.properties["msg"]
    if not isinstance(message, StringAttr):
        raise LaminaError("'cf.assert' has no message")
    number = printer.fresh("")
    printer.emit(f"br i1 {printer.text(op.operands[0])}, label %holds{number}, label %fails{number}")
    printer.start_block(f"fails{number}")
    fail(printer, ASSERTION_FAILED, message.data)
    if printer.loop_depth:
        printer.branch(f"holds{number}")
    else:
        printer.return_early()
    printer.start_block(f"holds{number}")


CONTROL_FLOW_CASES: dict[str, Case] = {
    "scf.for": for_loop,
    "scf.forall": forall_loop,
    "scf.if": if_else,
    "scf.index_switch": index_switch,
    "scf.execute_region": execute_region,
    "scf.while": while_loop,
    "cf.assert": assertion,
}
