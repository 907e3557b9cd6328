"""`outline-gpu-kernels`: structured ops become kernels, and `main` the host program that launches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, LocationAttr, ModuleOp, SymbolRefAttr, UnitAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_target import GpuDescription, gpu_target_of
from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.graph.inline_calls import inline
from lamina.passes.hardware.gpu_products import THREADS, lower_product, product_of
from lamina.passes.hardware.gpu_stages import (
    Team,
    delinearized,
    lower_cooperatively,
    lower_one_position,
    parallel_extents,
    workgroup_type,
)
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import Constants, Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.stages import Group, find_groups
from lamina.passes.loop.structured import StructuredOp, is_structured, iterators_of, require_buffers
from lamina.passes.loop.tile import MAX_TEMPORARY_BYTES, tile_rows

KERNELS = "kernels"
CONTAINER = "gpu.container_module"
ROW_THREADS, ELEMENT_THREADS, LEAST_THREADS = 256, 256, 32


@dataclass(frozen=True)
class OutlineGpuKernelsPass(LaminaPass):
    """Every stage, or group of stages that share rows, becomes a `gpu.func`; kernel functions are inlined into `main`.

        func.func @main(…) { func.call @softmax(%x, %y) }
        func.func private @softmax(%x: memref<8x128xf32>, %y: memref<8x128xf32>) { linalg.generic … linalg.generic … }
    →
        gpu.module @kernels { gpu.func @softmax(%x: …, %y: …) workgroup(%max : memref<1xf32, …>, …) kernel {
          %row = gpu.block_id x; %thread = gpu.thread_id x; … gpu.barrier … gpu.return } }
        func.func @main(…) { gpu.launch_func @kernels::@softmax blocks in (%c8, …) threads in (%c128, …) args(…) }

    - `rows`: one block of threads per row; what the stages pass on lies in shared memory, where it has a static size
      and fits into the target's; reductions meet in shared memory.
    - `gpu-product`: one block per block of the result (`lamina.passes.hardware.gpu_products`).
    - all else: one thread per parallel position.
    """

    name = "outline-gpu-kernels"
    requires: ClassVar[frozenset[str]] = frozenset({"buffers"})
    ensures: ClassVar[frozenset[str]] = frozenset({"loops", "tiled", "gpu-kernels"})
    counters: ClassVar[Mapping[str, str]] = {"kernels": "kernels for the device"}

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = gpu_target_of(op)
        device = gpu.ModuleOp(KERNELS, Block())
        functions = [one for one in op.ops if isinstance(one, func.FuncOp) and one.body.blocks]
        for function in functions:
            _Outliner(function, device, target).run()
        self.count("kernels", len(list(device.body.block.ops)))
        _inline_kernel_functions(op, functions)
        op.attributes[CONTAINER] = UnitAttr()
        op.body.block.add_op(device)


def _inline_kernel_functions(module: ModuleOp, functions: Sequence[func.FuncOp]) -> None:
    by_name = {function.sym_name.data: function for function in functions}
    kernels = {name: function for name, function in by_name.items() if "lamina.kernel" in function.attributes}
    for call in [one for one in module.walk() if isinstance(one, func.CallOp)]:
        callee = kernels.get(call.callee.string_value())
        if callee is not None:
            inline(call, callee)
    for function in kernels.values():
        function.detach()
        function.erase()


@dataclass
class _Kernel:
    """A kernel while it is made: the device function's body and what is passed to it."""

    block: Block
    emitter: Emitter
    arguments: dict[SSAValue, SSAValue]
    shared: list[tuple[Attribute, Sequence[int]]] = field(default_factory=list[tuple[Attribute, Sequence[int]]])

    def share(self, element: Attribute, shape: Sequence[int]) -> SSAValue:
        """A new workgroup buffer."""
        argument = self.block.insert_arg(workgroup_type(element, shape), len(self.block.args))
        self.shared.append((element, shape))
        return argument

    def drop_unused(self) -> None:
        """Forget arguments and workgroup buffers that nothing uses, such as the shape of a window."""
        passed, shared = self.block.args[: len(self.arguments)], self.block.args[len(self.arguments) :]
        self.shared = [one for one, argument in zip(self.shared, shared, strict=True) if argument.uses]
        self.arguments = {value: argument for value, argument in self.arguments.items() if argument.uses}
        for argument in (*passed, *shared):
            if not argument.uses:
                self.block.erase_arg(argument)


class _Outliner:
    """Makes kernels of the structured ops of one function."""

    def __init__(self, function: func.FuncOp, device: gpu.ModuleOp, target: GpuDescription):
        self.function = function
        self.block = function.body.block
        self.device = device
        self.target = target
        self.constants = Constants(self.block)
        self.base = function.sym_name.data
        self.count = 0

    def run(self) -> None:
        """Outline what is at the top level of the function, and in its loops."""
        self._refuse_assertions()
        for group in find_groups(self.block, self.constants):
            if self._suits_rows(group):
                tile_rows(group, self.constants)
        for op in list(self.block.walk()):
            if op.parent is None or self._is_inside_parallel_loop(op):
                continue
            if isinstance(op, scf.ForallOp):
                self._outline_rows(op)
            elif isinstance(op, linalg.GenericOp | linalg.FillOp):
                require_buffers(op)
                self._outline_stage(op)
        erase_dead_ops(self.block)

    def _is_inside_parallel_loop(self, op: Operation) -> bool:
        parent = op.parent_op()
        while parent is not None and parent is not self.function:
            if isinstance(parent, scf.ForallOp | linalg.GenericOp | linalg.FillOp):
                return True
            parent = parent.parent_op()
        return parent is None

    def _refuse_assertions(self) -> None:
        for op in self.block.walk():
            if op.name == "cf.assert" and any(is_structured(parent) for parent in _parents(op)):
                raise LaminaError(
                    f"kernel '{self.base}': checks of data inside a kernel are not supported on {self.target.name}",
                    where=location_text(op.location),
                )

    # Rows

    def _suits_rows(self, group: Group) -> bool:
        """Whether the stages of a group go into one kernel with a block of threads per row."""
        if group.schedule.kind != "rows" or group.schedule.blocked is not None:
            return False
        generics = [op for op in group.ops if isinstance(op, linalg.GenericOp)]
        if len(generics) == 1 and all(iterators_of(generics[0])):
            return False
        total = 0
        for buffer, dropped in group.temporaries().items():
            type_ = memref_type(buffer)
            shape = [size for axis, size in enumerate(type_.get_shape()) if axis not in dropped]
            size = 0 if DYNAMIC_INDEX in shape else prod(shape) * element_bytes(type_.get_element_type())
            total += size if size <= MAX_TEMPORARY_BYTES else 0
        return total + 8 * ROW_THREADS <= self.target.shared_memory

    def _outline_rows(self, loop: scf.ForallOp) -> None:
        host = Emitter.ahead_of(loop, self.constants)
        grid = host.product(list(loop.upper_bounds))
        threads = _row_threads(loop)
        kernel = self._begin(loop)
        inner, body = kernel.emitter, loop.body.block
        row = inner.value(gpu.BlockIdOp())
        team = Team(inner.value(gpu.ThreadIdOp()), threads, kernel.share)
        uppers = [inner.index(bound) for bound in loop.upper_bounds]
        positions = delinearized(inner, row, uppers)
        for argument, position in zip(body.args, positions, strict=True):
            argument.replace_all_uses_with(inner.index(position))
        for op in list(body.ops):
            inner.location = op.location
            if isinstance(op, memref.AllocaOp):
                type_ = memref_type(op.memref)
                op.memref.replace_all_uses_with(kernel.share(type_.get_element_type(), type_.get_shape()))
            elif isinstance(op, linalg.GenericOp | linalg.FillOp):
                lower_cooperatively(inner, op, team)
            elif not isinstance(op, scf.InParallelOp):
                op.detach()
                inner.append(op)
        self._finish(loop, kernel, grid, threads)

    # Single stages

    def _outline_stage(self, op: StructuredOp) -> None:
        host = Emitter.ahead_of(op, self.constants)
        product = product_of(op) if isinstance(op, linalg.GenericOp) else None
        if product is not None:
            grid = host.product(product.grid(host))
            kernel = self._begin(op)
            inner = kernel.emitter
            block = inner.value(gpu.BlockIdOp())
            team = Team(inner.value(gpu.ThreadIdOp()), THREADS, kernel.share)
            lower_product(inner, product, block, team)
            self._finish(None, kernel, grid, THREADS)
            return
        total = host.product(parallel_extents(host, op))
        threads = ELEMENT_THREADS if not isinstance(total, int) else _power_of_two(total, ELEMENT_THREADS)
        grid = host.ceil_divide(total, threads)
        kernel = self._begin(op)
        inner = kernel.emitter
        block, thread = inner.value(gpu.BlockIdOp()), inner.value(gpu.ThreadIdOp())
        worker = inner.index(inner.add(inner.multiply(block, threads), thread))
        limit = inner.product(parallel_extents(inner, op))

        def body(nested: Emitter) -> None:
            lower_one_position(nested, op, worker)

        inner.branch(inner.compare("ult", worker, limit), body)
        self._finish(None, kernel, grid, threads)

    # Kernels

    def _begin(self, op: Operation) -> _Kernel:
        """Start a kernel of what `op` does: values from outside become arguments, constants are repeated in it.

        `op` is moved into the kernel's body, so that what it uses is found there.
        """
        location = op.location
        captured = _captured(op)
        passed = [value for value in captured if not isinstance(value.owner, arith.ConstantOp)]
        block = Block(arg_types=[value.type for value in passed])
        arguments: dict[SSAValue, SSAValue] = dict(zip(passed, block.args, strict=True))
        constants = Constants(block)
        self._place = _Place(op)
        op.detach()
        block.add_op(op)
        for value in captured:
            owner = value.owner
            inside = arguments.get(value)
            if isinstance(owner, arith.ConstantOp):
                inside = constants.get(owner.value, value.type)
            if inside is not None:
                _replace_uses_inside(op, value, inside)
        emitter = Emitter(block, constants, location)
        return _Kernel(block, emitter, arguments)

    def _finish(self, op: Operation | None, kernel: _Kernel, grid: Index, threads: int) -> None:
        if op is not None:
            op.detach()
            op.erase()
        location = kernel.emitter.location
        kernel.emitter.append(gpu.ReturnOp())
        erase_dead_ops(kernel.block)
        kernel.drop_unused()
        self._check_shared(kernel)
        name = self.base if self.count == 0 else f"{self.base}__{self.count}"
        self.count += 1
        function = gpu.FuncOp(name, len(kernel.arguments), kernel.block, threads)
        function.location = location
        self.device.body.block.add_op(function)
        host = self._place.emitter(self.constants, location)
        one = host.index(1)
        symbol = SymbolRefAttr(KERNELS, [name])
        sizes = [host.index(grid), one, one], [host.index(threads), one, one]
        host.append(gpu.LaunchFuncOp(symbol, *sizes, list(kernel.arguments)))

    def _check_shared(self, kernel: _Kernel) -> None:
        used = sum(prod(shape) * element_bytes(element) for element, shape in kernel.shared)
        if used > self.target.shared_memory:
            raise LaminaError(
                f"kernel '{self.base}' needs {used} bytes of shared memory, {self.target.name} has"
                f" {self.target.shared_memory}",
                where=location_text(self.function.location),
            )


class _Place:
    """Where an op stood."""

    def __init__(self, op: Operation):
        block = op.parent_block()
        if block is None:
            raise ValueError(f"{op.name} is not in a block")
        self.block = block
        self.following = op.next_op

    def emitter(self, constants: Constants, location: LocationAttr) -> Emitter:
        """An emitter there."""
        return Emitter(self.block, constants, location, self.following)


def _parents(op: Operation) -> list[Operation]:
    found: list[Operation] = []
    parent = op.parent_op()
    while parent is not None:
        found.append(parent)
        parent = parent.parent_op()
    return found


def _captured(op: Operation) -> list[SSAValue]:
    """The values that an op and what is inside it use from outside, in order."""
    inside = set(op.walk())
    found: dict[SSAValue, None] = {}
    for inner in op.walk():
        for operand in inner.operands:
            owner = operand.owner
            is_own = owner in inside if isinstance(owner, Operation) else owner.parent_op() in inside
            if not is_own:
                found[operand] = None
    return list(found)


def _replace_uses_inside(op: Operation, old: SSAValue, new: SSAValue) -> None:
    for inner in op.walk():
        inner.operands = [new if operand is old else operand for operand in inner.operands]


def _power_of_two(size: int, most: int) -> int:
    threads = LEAST_THREADS
    while threads < min(size, most):
        threads *= 2
    return threads


def _row_threads(loop: scf.ForallOp) -> int:
    """Threads for the longest stage of a row."""
    longest = 1
    for op in loop.body.block.ops:
        if not isinstance(op, linalg.GenericOp):
            continue
        for operand in op.operands:
            if is_memref(operand.type):
                shape = operand.type.get_shape()
                longest = max(longest, ROW_THREADS if DYNAMIC_INDEX in shape else prod(shape))
    return _power_of_two(longest, ROW_THREADS)
