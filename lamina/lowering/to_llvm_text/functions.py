"""`func`: definitions, calls and returns. Every function of ours takes the call context first."""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, SymbolRefAttr
from xdsl.ir import Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.loop.types import is_memref
from lamina.lowering.to_llvm_text.abi import aggregate_type, argument_types
from lamina.lowering.to_llvm_text.blocks import print_block
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, Typed
from lamina.lowering.to_llvm_text.module import ModuleText, function_symbol, symbol
from lamina.lowering.to_llvm_text.streaming import make_visible
from lamina.lowering.to_llvm_text.types import element_text, memref_type
from lamina.lowering.to_llvm_text.values import Scalar


def result_types(function: func.FuncOp) -> list[str]:
    """The LLVM types of a function's results; raises LaminaError for a result that is not a scalar."""
    try:
        return [element_text(type_) for type_ in function.function_type.outputs]
    except LaminaError as error:
        error.message = f"function '{function.sym_name.data}' cannot return it: {error.message}"
        error.where = location_text(function.location)
        raise


def define_function(module: ModuleText, function: func.FuncOp, linkage: str) -> None:
    """Print a function's definition into `module`."""
    printer = FunctionPrinter(module)
    name = function.sym_name.data
    exclusive = module.program.exclusive_arguments.get(name, frozenset[int]())
    returned = result_types(function)
    printer.return_values = tuple(returned)
    parameters = ["ptr %context"]
    if len(function.body.blocks) > 1:
        raise LaminaError("only structured control flow has a translation", where=location_text(function.location))
    block = function.body.block
    try:
        types = argument_types(function)
        for position, (argument, parts) in enumerate(zip(block.args, types, strict=True)):
            names = [f"%a{position}", *(f"%a{position}.{index}" for index in range(1, len(parts)))]
            for part, operand in zip(parts, names, strict=True):
                attribute = " noalias" if part == "ptr" and position in exclusive else ""
                parameters.append(f"{part}{attribute} {operand}")
            type_ = argument.type
            if is_memref(type_):
                sizes = printer.mixed_sizes(type_, names[1:])
                buffer = printer.dense_buffer(type_, names[0], sizes, exclusive=position in exclusive)
                printer.set(argument, buffer)
            else:
                printer.set(argument, names[0])
    except LaminaError as error:
        error.where = error.where or location_text(function.location)
        raise
    print_block(printer, block)
    own = function_symbol(name)
    head = f"define {linkage} {aggregate_type(returned)} {own}({', '.join(parameters)}) #0 {{"
    module.define(own, f"{head}\n{printer.body_text()}\n}}")


def call(printer: FunctionPrinter, op: Operation) -> None:
    """`func.call`; a function without a body is a C function and does not take the context."""
    callee = op.properties["callee"]
    name = callee.string_value() if isinstance(callee, SymbolRefAttr) else ""
    function = printer.module.program.functions.get(name)
    if function is None:
        raise LaminaError(f"there is no function '{name}'")
    is_external = not function.body.blocks
    operands: list[Typed] = [] if is_external else [("ptr", printer.context)]
    for operand in op.operands:
        operands += _passed(printer, operand)
    returned = result_types(function)
    type_ = aggregate_type(returned)
    target = symbol(name) if is_external else function_symbol(name)
    if is_external:
        printer.module.externals.add(name)
    text = printer.call_text(target, type_, operands)
    if not returned:
        printer.emit(text)
        return
    result = printer.value(text)
    if len(returned) == 1:
        printer.set(op.results[0], result)
        return
    for position, value in enumerate(op.results):
        printer.set(value, printer.value(f"extractvalue {type_} {result}, {position}"))


def _passed(printer: FunctionPrinter, operand: SSAValue) -> list[Typed]:
    """An argument: a scalar, or the pointer and the dynamic sizes of a buffer."""
    if not is_memref(operand.type):
        return [(element_text(operand.type), printer.text(operand))]
    buffer = printer.buffer(operand)
    shape = memref_type(operand).get_shape()
    dynamic: list[Scalar] = [size for size, static in zip(buffer.sizes, shape, strict=True) if static == DYNAMIC_INDEX]
    return [("ptr", printer.pointer(buffer)), *(("i64", str(size)) for size in dynamic)]


def return_(printer: FunctionPrinter, op: Operation) -> None:
    """`func.return`"""
    make_visible(printer)
    operands = [(element_text(value.type), printer.text(value)) for value in op.operands]
    if len(operands) < 2:
        printer.emit(f"ret {operands[0][0]} {operands[0][1]}" if operands else "ret void")
        return
    type_ = aggregate_type([part for part, _ in operands])
    result = "poison"
    for position, (part, operand) in enumerate(operands):
        result = printer.value(f"insertvalue {type_} {result}, {part} {operand}, {position}")
    printer.emit(f"ret {type_} {result}")


FUNCTION_CASES: dict[str, Case] = {"func.call": call, "func.return": return_}
