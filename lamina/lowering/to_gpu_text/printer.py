"""Kernels as LLVM IR text, one module each: the table of the hardware level, with the ops and memory of a device."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, VectorType
from xdsl.dialects.gpu import DimensionEnum
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_target import GpuDescription, gpu_target_of
from lamina.dialects.hardware.nvgpu import TOKEN
from lamina.dialects.hardware.nvgpu_tma import MBarrierCreateOp, barriers_type
from lamina.dialects.hardware.nvgpu_types import AccumulatorType, TensorMapType
from lamina.dialects.hardware.nvgpu_warpgroup import WARPGROUP
from lamina.dialects.loop.types import AnyMemRef, is_memref, is_vector
from lamina.lowering.to_gpu_text.atomics import ATOMIC_CASES
from lamina.lowering.to_gpu_text.communication import COMMUNICATION_CASES
from lamina.lowering.to_gpu_text.forms import KERNEL_FORMS, KernelForm
from lamina.lowering.to_gpu_text.fragments import FRAGMENT_CASES
from lamina.lowering.to_gpu_text.matrix_cores import MATRIX_CORE_CASES
from lamina.lowering.to_gpu_text.remainder import REMAINDER_CASES
from lamina.lowering.to_gpu_text.small_floats import without_bfloat
from lamina.lowering.to_gpu_text.warpgroups import WARPGROUP_CASES
from lamina.lowering.to_llvm_text.blocks import print_block
from lamina.lowering.to_llvm_text.elementwise import float_intrinsic
from lamina.lowering.to_llvm_text.function import Case, FunctionPrinter, Typed
from lamina.lowering.to_llvm_text.module import ModuleText, Program, symbol
from lamina.lowering.to_llvm_text.printer import CASES
from lamina.lowering.to_llvm_text.target import LlvmTarget
from lamina.lowering.to_llvm_text.types import VectorLayout, element_bytes, element_text, memory_text, with_element

ALIGNMENT, SWIZZLED_ALIGNMENT = 16, 1024
"""Of buffers in shared memory; where tensor maps swizzle them, of eight lines."""
BARRIER_BYTES = 8
TENSOR_MAP = 'ptr byval([128 x i8]) align 64 "nvvm.grid_constant"'
"""A parameter that a copy by a tensor map finds where the launch has put it."""
VECTOR_BITS = 128
"""Of a part of a vector: what one thread loads at a time, at most."""
INTRINSIC = re.compile(r"@(llvm\.[\w.]+)\(")
POINTER = re.compile(r"\bptr ([%@][\w.$-]+)")
HOST_ONLY = frozenset({"memref.alloc", "memref.dealloc", "memref.get_global", "func.call", "cf.assert", "scf.forall"})
"""Ops whose translation needs the call context, which a device does not have."""


@dataclass(frozen=True)
class KernelText:
    """A kernel as LLVM IR, and what a launch has to know; `where` its source location.

    `shared_memory`: bytes that the text declares; `dynamic_shared_memory`: bytes that a launch has to ask for.
    `declarations` by symbol; `definitions`: shared memory and the kernel itself. `origins`: where the first op stands
    that calls an intrinsic, by its name.
    """

    name: str
    form: KernelForm
    declarations: Mapping[str, str]
    definitions: Sequence[str]
    threads: int
    shared_memory: int
    where: str | None
    dynamic_shared_memory: int = 0
    origins: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def text(self) -> str:
        """An LLVM module with only this kernel."""
        return module_text((self,))


def module_text(kernels: Sequence[KernelText]) -> str:
    """An LLVM module with some kernels of one target."""
    declared = {symbol: text for kernel in kernels for symbol, text in kernel.declarations.items()}
    # Kernels share helper functions.
    defined = dict.fromkeys(text for kernel in kernels for text in kernel.definitions)
    return "\n".join([f'target triple = "{kernels[0].form.triple}"', *declared.values(), *defined, "!0 = !{}", ""])


def print_kernels(module: ModuleOp) -> list[KernelText]:
    """The kernels of every `gpu.module`. Raises LaminaError, with the location, for what has no translation."""
    target = gpu_target_of(module)
    return [
        _print_kernel(function, target)
        for device in module.ops
        if isinstance(device, gpu.ModuleOp)
        for function in device.body.block.ops
        if isinstance(function, gpu.FuncOp)
    ]


class KernelPrinter(FunctionPrinter):
    """Prints one kernel: pointers carry the number of their memory space wherever they are named."""

    def __init__(self, module: ModuleText, form: KernelForm):
        super().__init__(module)
        self.form = form
        self.rounds_to_bfloat = form.rounds_to_bfloat
        self.spaces: dict[str, int] = {}
        self.origins: dict[str, str] = {}
        self.location: str | None = None
        """Of the op that is being printed."""
        self.alignment = ALIGNMENT
        self.barriers = 0
        """Bytes of barriers in shared memory."""

    def value(self, text: str) -> str:
        qualified = self._qualified(text)
        self._note(text)
        name = super().value(qualified)
        if text.startswith("getelementptr"):
            found = POINTER.search(text)
            if found is not None and found[1] in self.spaces:
                self.spaces[name] = self.spaces[found[1]]
        return name

    def emit(self, text: str) -> None:
        self._note(text)
        super().emit(self._qualified(text))

    def alloca(self, text: str) -> str:
        space = self.form.spaces["private"]
        name = super().alloca(f"{text}, addrspace({space})" if space else text)
        if space:
            self.spaces[name] = space
        return name

    def _note(self, text: str) -> None:
        found = INTRINSIC.search(text)
        if found is not None and self.location is not None:
            self.origins.setdefault(found[1], self.location)

    def _qualified(self, text: str) -> str:
        def replace(found: re.Match[str]) -> str:
            space = self.spaces.get(found[1])
            return found[0] if space is None else f"ptr addrspace({space}) {found[1]}"

        return POINTER.sub(replace, text)

    def flat(self, value: SSAValue) -> list[Typed]:
        if isinstance(value.type, AccumulatorType):
            return [("float", element) for element in self.elements(value)]
        return [("i32", "0")] if value.type == TOKEN else super().flat(value)

    def flat_types(self, type_: Attribute) -> tuple[str, ...]:
        # Tokens order ops; there is nothing to pass on.
        if isinstance(type_, AccumulatorType):
            return ("float",) * _held(type_)
        return ("i32",) if type_ == TOKEN else super().flat_types(type_)

    def layout(self, type_: Attribute) -> VectorLayout:
        if isinstance(type_, AccumulatorType):
            return super().layout(VectorType(type_.vector.get_element_type(), [_held(type_), 1]))
        return super().layout(type_)

    def bind_flat(self, values: Sequence[SSAValue], operands: Sequence[str]) -> None:
        start = 0
        for value in values:
            count = len(self.flat_types(value.type))
            if isinstance(value.type, AccumulatorType):
                self.set_elements(value, list(operands[start : start + count]))
            else:
                super().bind_flat([value], operands[start : start + count])
            start += count

    def reserve_barriers(self, op: Operation) -> None:
        """Shared memory for barriers."""
        if isinstance(op, MBarrierCreateOp):
            count, space = barriers_type(op.barriers).count, self.form.spaces["workgroup"]
            name = f"@{_plain(self.name)}__barriers{self.barriers // BARRIER_BYTES}"
            text = f"{name} = internal addrspace({space}) global [{count} x i64] poison, align {BARRIER_BYTES}"
            self.module.define(name, text)
            self.spaces[name] = space
            self.barriers += count * BARRIER_BYTES
            self.set(op.barriers, name)

    def position(self, op: Operation, text: str) -> None:
        """A position in the grid, as i64."""
        if not isinstance(op, gpu.ThreadIdOp | gpu.BlockIdOp) or op.dimension.data != DimensionEnum.X:
            raise LaminaError("grids have one dimension")
        found = self.reused(text)
        if self.form.index_type != "i64":
            found = self.reused(f"zext {self.form.index_type} {found} to i64")
        self.set(op.result, found)

    def define(self, function: gpu.FuncOp) -> tuple[int, int]:
        """Print the kernel into its module; bytes of shared memory that it declares, and that a launch asks for."""
        self.name = name = function.sym_name.data
        parameters: list[str] = []
        if any(isinstance(type_, TensorMapType) for type_ in function.function_type.inputs):
            self.alignment = SWIZZLED_ALIGNMENT
        sizes_of_shared = [self._aligned_bytes(argument) for argument in function.workgroup]
        shared = sum(sizes_of_shared)
        declared = shared + self._barrier_room(function)
        dynamic_name = f"@{_plain(name)}__dynamic" if declared > self.form.static_shared_memory else None
        if dynamic_name is not None:
            space = self.form.spaces["workgroup"]
            self.spaces[dynamic_name] = space
            text = f"{dynamic_name} = external addrspace({space}) global [0 x i8], align {self.alignment}"
            self.module.define(dynamic_name, text)
        taken = 0
        for position, argument in enumerate(function.body.block.args):
            own = f"%a{position}"
            if argument in function.workgroup:
                if dynamic_name is None:
                    self._share(argument, f"@{_plain(name)}__shared{position}")
                else:
                    self._share_dynamically(argument, dynamic_name, taken)
                taken += self._aligned_bytes(argument)
            elif isinstance(argument.type, TensorMapType):
                parameters.append(f"{TENSOR_MAP} {own}")
                self.set(argument, own)
            elif is_memref(argument.type):
                dynamic = sum(1 for size in argument.type.get_shape() if size < 0)
                sizes = [f"{own}.{number + 1}" for number in range(dynamic)]
                self.spaces[own] = self.form.spaces["global"]
                parameters += [f"ptr addrspace({self.spaces[own]}) {own}", *(f"i64 {size}" for size in sizes)]
                mixed = self.mixed_sizes(argument.type, sizes)
                self.set(argument, self.dense_buffer(argument.type, own, mixed, exclusive=False))
            else:
                parameters.append(_scalar_parameter(self, argument, own))
        print_block(self, function.body.block)
        head = f"define {self.form.convention} void {symbol(name)}({', '.join(parameters)})"
        attributes = self.form.attributes.format(threads=function.threads)
        together = function.attributes.get(gpu.BLOCKS_TOGETHER)
        if isinstance(together, IntegerAttr) and self.form.convention == "ptx_kernel":
            attributes += f' "{gpu.BLOCKS_TOGETHER}"="{together.value.data}"'
        size = f"!reqd_work_group_size !{{i32 {function.threads}, i32 1, i32 1}}"
        text = f"{head} {attributes} {size} {{\n{self.body_text()}\n}}"
        self.module.define(symbol(name), text if self.form.has_bfloat else without_bfloat(text))
        return (shared + self.barriers, 0) if dynamic_name is None else (self.barriers, shared)

    def _barrier_room(self, function: gpu.FuncOp) -> int:
        """Bytes of shared memory for barriers, as far as a place where a buffer may begin: they may lie ahead of it."""
        groups = [barriers_type(op.barriers) for op in function.walk() if isinstance(op, MBarrierCreateOp)]
        return -(-sum(group.count for group in groups) * BARRIER_BYTES // self.alignment) * self.alignment

    def _aligned_bytes(self, argument: SSAValue) -> int:
        """The bytes of a workgroup buffer, as far as the next multiple of the alignment."""
        type_ = _workgroup_type(argument)
        used = prod(type_.get_shape()) * element_bytes(element_text(type_.get_element_type()))
        return -(-used // self.alignment) * self.alignment

    def _share_dynamically(self, argument: BlockArgument, name: str, start: int) -> None:
        """A buffer in what a launch asks for, which lies behind one symbol of any size."""
        type_ = _workgroup_type(argument)
        pointer = self.value(f"getelementptr inbounds i8, ptr {name}, i64 {start}")
        self.set(argument, self.dense_buffer(type_, pointer, list(type_.get_shape()), exclusive=True))

    def _share(self, argument: BlockArgument, name: str) -> None:
        type_ = _workgroup_type(argument)
        element = element_text(type_.get_element_type())
        space = self.form.spaces["workgroup"]
        count = prod(type_.get_shape())
        text = f"[{count} x {memory_text(element)}] poison, align {self.alignment}"
        definition = f"{name} = internal addrspace({space}) global {text}"
        self.module.define(name, definition if self.form.has_bfloat else without_bfloat(definition))
        self.spaces[name] = space
        self.set(argument, self.dense_buffer(type_, name, list(type_.get_shape()), exclusive=True))


def _workgroup_type(argument: SSAValue) -> AnyMemRef:
    if not is_memref(argument.type):
        raise LaminaError(f"expected a workgroup buffer, found {argument.type}")
    return argument.type


def _held(type_: AccumulatorType) -> int:
    """Sums that one thread holds."""
    return prod(type_.sizes) // WARPGROUP


def _scalar_parameter(printer: KernelPrinter, argument: BlockArgument, own: str) -> str:
    """A scalar; booleans are passed as bytes."""
    element = element_text(argument.type)
    if element != "i1":
        printer.set(argument, own)
        return f"{element} {own}"
    printer.set(argument, printer.value(f"trunc i8 {own} to i1"))
    return f"i8 {own}"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.$-]", "_", name)


def _barrier(printer: FunctionPrinter, op: Operation) -> None:
    for text in _form(printer).barrier:
        printer.emit(text)


def _thread(printer: FunctionPrinter, op: Operation) -> None:
    _as_kernel(printer).position(op, _form(printer).thread)


def _block(printer: FunctionPrinter, op: Operation) -> None:
    _as_kernel(printer).position(op, _form(printer).block)


def _barriers(printer: FunctionPrinter, op: Operation) -> None:
    _as_kernel(printer).reserve_barriers(op)


def _return(printer: FunctionPrinter, op: Operation) -> None:
    printer.emit("ret void")


def _refuse(printer: FunctionPrinter, op: Operation) -> None:
    raise LaminaError(f"'{op.name}' cannot be in a kernel")


def _extreme(comparison: str) -> Case:
    """`arith.maximumf` and `minimumf` by comparisons: a NaN is what comes out."""

    def case(printer: FunctionPrinter, op: Operation) -> None:
        result = op.results[0]
        if is_vector(result.type):
            types = printer.layout(result.type).types
            factors = (printer.parts(operand) for operand in op.operands)
            printer.set_parts(result, [extreme(printer, *one) for one in zip(types, *factors, strict=True)])
            return
        printer.set(result, extreme(printer, element_text(result.type), *(printer.text(one) for one in op.operands)))

    def extreme(printer: FunctionPrinter, type_: str, left: str, right: str) -> str:
        flags = with_element(type_, "i1")
        chosen = printer.value(f"fcmp {comparison} {type_} {left}, {right}")
        ordered = printer.value(f"select {flags} {chosen}, {type_} {left}, {type_} {right}")
        is_unordered = printer.value(f"fcmp uno {type_} {left}, {right}")
        either = printer.value(f"fadd {type_} {left}, {right}")
        return printer.value(f"select {flags} {is_unordered}, {type_} {either}, {type_} {ordered}")

    return case


def _approximate_power(printer: FunctionPrinter, op: Operation) -> None:
    """`math.exp2 fastmath<afn>`: the instruction that every device has; all others have been expanded."""
    printer.set(op.results[0], float_intrinsic("exp2")(printer, op)([printer.text(op.operands[0])], "float", "float"))


EXTREMES: Mapping[str, Case] = {"arith.maximumf": _extreme("ogt"), "arith.minimumf": _extreme("olt")}

GPU_CASES: Mapping[str, Case] = {
    **CASES,
    **REMAINDER_CASES,
    **dict.fromkeys(HOST_ONLY, _refuse),
    "gpu.barrier": _barrier,
    "gpu.thread_id": _thread,
    "gpu.block_id": _block,
    "gpu.return": _return,
    "math.exp2": _approximate_power,
}


def _as_kernel(printer: FunctionPrinter) -> KernelPrinter:
    if not isinstance(printer, KernelPrinter):
        raise LaminaError("only kernels have positions in a grid")
    return printer


def _form(printer: FunctionPrinter) -> KernelForm:
    return _as_kernel(printer).form


def _located(case: Case) -> Case:
    def run(printer: FunctionPrinter, op: Operation) -> None:
        kernel = _as_kernel(printer)
        before, kernel.location = kernel.location, location_text(op.location)
        case(printer, op)
        kernel.location = before

    return run


def _print_kernel(function: gpu.FuncOp, target: GpuDescription) -> KernelText:
    form = KERNEL_FORMS[target.kind]
    name, where = function.sym_name.data, location_text(function.location)
    cases = {
        **GPU_CASES,
        **COMMUNICATION_CASES[target.kind],
        **ATOMIC_CASES[target.kind],
        **FRAGMENT_CASES[target.kind],
        **MATRIX_CORE_CASES[target.kind],
    }
    if target.kind == "ptx":
        cases |= {**WARPGROUP_CASES, "nvgpu.mbarrier.create": _barriers}
    if form.quiet_extremes:
        cases |= EXTREMES
    located = {name: _located(case) for name, case in cases.items()}
    module = ModuleText(Program(LlvmTarget(VECTOR_BITS, form.triple), {}, {}, {}, {}), located)
    module.declarations.update(form.declarations)
    printer = KernelPrinter(module, form)
    try:
        shared, dynamic = printer.define(function)
    except LaminaError as error:
        error.message = f"kernel '{name}' for {target.name}: {error.message}"
        error.where = error.where or where
        raise
    if module.externals:
        raise LaminaError(
            f"kernel '{name}': {', '.join(sorted(module.externals))} has no form on {target.name}", where=where
        )
    definitions = list(module.definitions.values())
    return KernelText(
        name, form, module.declarations, definitions, function.threads, shared, where, dynamic, printer.origins
    )
