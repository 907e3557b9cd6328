"""`outline-gpu-kernels`: structured ops become kernels, and `main` the host program that launches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, UnitAttr
from xdsl.ir import Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_target import gpu_target_of
from lamina.dialects.loop import memref, scf
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.base import LaminaPass
from lamina.passes.graph.inline_calls import inline
from lamina.passes.hardware.gpu.alignment import unaligned_arguments
from lamina.passes.hardware.gpu.attention import ATTENTION, outline_attention
from lamina.passes.hardware.gpu.direct_products import DIRECT, outline_direct
from lamina.passes.hardware.gpu.elements import outline_elements
from lamina.passes.hardware.gpu.in_place import updated_in_place
from lamina.passes.hardware.gpu.kernel import KERNELS, KernelMaker
from lamina.passes.hardware.gpu.products import PRODUCT, outline_product
from lamina.passes.hardware.gpu.reductions import Reduction, outline_reduction
from lamina.passes.hardware.gpu.row_shapes import static_extents
from lamina.passes.hardware.gpu.rows import outline_rows, stages_of
from lamina.passes.hardware.gpu.scans import Scan, outline_scan
from lamina.passes.hardware.gpu.scatters import outline_scatter, scatters_of
from lamina.passes.hardware.gpu.stages import (
    clear,
    delinearized,
    lower_cooperatively,
)
from lamina.passes.hardware.gpu.transposes import Transpose, outline_transpose
from lamina.passes.loop.cleanup import erase_dead_ops
from lamina.passes.loop.emitter import memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.stages import Group, find_groups
from lamina.passes.loop.structured import Schedule, StructuredOp, axes_of, is_structured, iterators_of, require_buffers
from lamina.passes.loop.tile import MAX_TEMPORARY_BYTES, tile_rows

CONTAINER = "gpu.container_module"
ROW_THREADS, LEAST_THREADS = 256, 32

LONG_ROW, LONG_SEARCHED_ROW = 1 << 16, 1 << 12
"""Positions of a stage on one row from which on one block of threads is too slow for it, where it reads what is next to
it and where it looks for what it reads, as a sort does; with fewer rows than processors."""

KINDS: Mapping[str, Callable[[KernelMaker, linalg.GenericOp], None]] = {
    PRODUCT: outline_product,
    ATTENTION: outline_attention,
    DIRECT: outline_direct,
}
"""By the kind of a schedule, what makes kernels of an op that has it, and of the ops that it takes with it (its fill,
its epilogue, the other stages of its kind), which it erases. All other kinds are rows."""


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
    - `gpu-product`: one block per block of the result (`lamina.passes.hardware.gpu.products`).
    - `gpu-direct`: one thread per few features and positions (`lamina.passes.hardware.gpu.direct_products`).
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
        unaligned, in_place = unaligned_arguments(op), updated_in_place(op)
        for function in functions:
            outliner = _Outliner(function, device, target)
            outliner.unaligned, outliner.in_place = unaligned, in_place
            outliner.run()
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


class _Outliner(KernelMaker):
    """Makes kernels of the structured ops of one function."""

    def run(self) -> None:
        """Outline what is at the top level of the function, and in its loops."""
        self._refuse_assertions()
        for op in list(self.block.walk()):
            outline = _kind_of(op)
            # Another op's kernel may have taken this one with it.
            if outline is not None and isinstance(op, linalg.GenericOp) and op.parent is not None:
                require_buffers(op)
                outline(self, op)
        for scatter in scatters_of(list(self.block.ops)):
            outline_scatter(self, scatter)
        for scan in [scan for op in self.block.ops if (scan := Scan.of(op)) is not None]:
            require_buffers(scan.op)
            outline_scan(self, scan)
        for group in find_groups(self.block, self.constants):
            if self._suits_rows(group):
                tile_rows(group, self.constants)
        # Before fills become kernels: a reduction starts from what its result was filled with.
        for op in [op for op in self.block.ops if isinstance(op, linalg.GenericOp)]:
            if Reduction.of(op) is not None:
                require_buffers(op)
                self._outline_stage(op)
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
        reduction = Reduction.of(generics[0]) if len(generics) == 1 else None
        if reduction is not None and (not reduction.along_rows or reduction.splits > 1):
            return False
        if self._needs_more_blocks(group):
            return False
        total = 0
        for buffer, dropped in group.temporaries().items():
            type_ = memref_type(buffer)
            shape = [size for axis, size in enumerate(type_.get_shape()) if axis not in dropped]
            size = 0 if DYNAMIC_INDEX in shape else prod(shape) * element_bytes(type_.get_element_type())
            total += size if size <= MAX_TEMPORARY_BYTES else 0
        return total + 8 * ROW_THREADS <= self.target.shared_memory

    def _needs_more_blocks(self, group: Group) -> bool:
        """Whether rows are so few and so long that their stages go over all of the device one by one."""
        rows, longest, reads = 1, 0, False
        for op in group.ops:
            if not isinstance(op, linalg.GenericOp):
                continue
            names, sizes = axes_of(op) or [], static_extents(op)
            own = [size for name, size in zip(names, sizes, strict=True) if name in group.schedule.parallel]
            inner = [size for name, size in zip(names, sizes, strict=True) if name not in group.schedule.parallel]
            if None in sizes:
                return False
            rows = max(rows, prod(size for size in own if size is not None))
            longest = max(longest, prod(size for size in inner if size is not None))
            reads = reads or any(one.name == "memref.load" for one in op.body.walk())
        return rows < self.target.processors and longest > (LONG_SEARCHED_ROW if reads else LONG_ROW)

    def _outline_rows(self, loop: scf.ForallOp) -> None:
        stages = stages_of(loop)
        if stages is not None:
            outline_rows(self, loop, stages)
            return
        host = self.host(loop)
        grid = host.product(list(loop.upper_bounds))
        threads = _row_threads(loop)
        kernel = self.begin(loop)
        inner, body = kernel.emitter, loop.body.block
        row = inner.value(gpu.BlockIdOp())
        team = kernel.team(threads)
        uppers = [inner.index(bound) for bound in loop.upper_bounds]
        positions = delinearized(inner, row, uppers)
        for argument, position in zip(body.args, positions, strict=True):
            argument.replace_all_uses_with(inner.index(position))
        for op in list(body.ops):
            inner.location = op.location
            if isinstance(op, memref.AllocaOp):
                type_ = memref_type(op.memref)
                shared = kernel.share(type_.get_element_type(), type_.get_shape())
                if _is_carried_from_nothing(op.memref):
                    clear(inner, shared, team)
                op.memref.replace_all_uses_with(shared)
            elif isinstance(op, linalg.GenericOp | linalg.FillOp):
                lower_cooperatively(inner, op, team)
            elif not isinstance(op, scf.InParallelOp):
                op.detach()
                inner.append(op)
        loop.detach()
        loop.erase()
        self.finish(kernel, grid, threads)

    # Single stages

    def _outline_stage(self, op: StructuredOp) -> None:
        reduction = Reduction.of(op) if isinstance(op, linalg.GenericOp) else None
        transpose = Transpose.of(op)
        if reduction is not None:
            outline_reduction(self, reduction)
        elif transpose is not None:
            outline_transpose(self, transpose)
        else:
            outline_elements(self, op)


def _kind_of(op: Operation) -> Callable[[KernelMaker, linalg.GenericOp], None] | None:
    schedule = Schedule.of(op) if isinstance(op, linalg.GenericOp) else None
    return None if schedule is None else KINDS.get(schedule.kind)


def _is_carried_from_nothing(buffer: SSAValue) -> bool:
    """Whether the first stage that has a buffer is a reduction into it: what is there is loaded, if not used."""
    users = {use.operation for use in buffer.uses}
    block = buffer.owner.parent_block() if isinstance(buffer.owner, Operation) else None
    first = next((op for op in (() if block is None else block.ops) if op in users), None)
    return isinstance(first, linalg.GenericOp) and buffer in first.outputs and not all(iterators_of(first))


def _parents(op: Operation) -> list[Operation]:
    found: list[Operation] = []
    parent = op.parent_op()
    while parent is not None:
        found.append(parent)
        parent = parent.parent_op()
    return found


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
