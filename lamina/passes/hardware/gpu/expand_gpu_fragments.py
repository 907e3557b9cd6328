"""`expand-gpu-fragments`: products of fragments and asynchronous copies where a target has none, by shared memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from xdsl.context import Context
from xdsl.dialects import math
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type, IntegerAttr, ModuleOp, f32, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.rewriter import Rewriter

from lamina.diagnostics import LaminaError, error_at, location_text
from lamina.dialects.hardware import amdgpu, gpu, nvgpu
from lamina.dialects.hardware.gpu_target import GpuDescription, gpu_target_of
from lamina.dialects.loop import arith, scf, vector
from lamina.dialects.loop.types import is_vector
from lamina.passes.base import LaminaPass
from lamina.passes.hardware.gpu.emulated_matrix_cores import emulated_matrix_core
from lamina.passes.hardware.gpu.emulated_warpgroups import expand_warpgroups
from lamina.passes.hardware.gpu.stages import delinearized, workgroup_type
from lamina.passes.loop.emitter import INDEX, Constants, Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes

WARP = 32
TF32_BITS = -8192
"""What is kept of an f32 in a matrix unit: all but the last 13 bits."""

FACTORS: Mapping[type[Attribute], str] = {
    Float16Type: "f16",
    BFloat16Type: "bf16",
    Float32Type: "tf32",
    Float64Type: "f64",
}
"""Factors of fragments as `fragment_types` of a target names them."""


@dataclass(frozen=True)
class ExpandGpuFragmentsPass(LaminaPass):
    """Ops of `nvgpu` that the target has no instruction for become loads and stores of shared memory.

        %d = nvgpu.mma.sync(%a, %b, %c) {mmaShape = [16, 8, 16]} : …
    →
        memref.store %a[…], %shared[%thread, …] …; gpu.barrier
        %d = scf.for %k = 0 to 16 iter_args(%c) { rows of %a, columns of %b from the threads that have them; math.fma }
        gpu.barrier

    - `amdgpu.mfma`, `amdgpu.wmma`: the same with their layouts, for waves of 64 and of 32 lanes.
    - `nvgpu.ldmatrix`: threads tell each other the addresses of their rows.
    - `nvgpu.device_async_copy`: the elements are copied at once; groups and waits are nothing then.

    All threads of a block must come to these ops together, as the kernels of products do. `NATIVE` says what a target
    has by itself: that stays.
    """

    name = "expand-gpu-fragments"
    requires: ClassVar[frozenset[str]] = frozenset()
    ensures: ClassVar[frozenset[str]] = frozenset()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [one for one in op.walk() if isinstance(one, gpu.FuncOp)]
        if not kernels:
            return
        target = gpu_target_of(op)
        expand_warpgroups(op, target)
        for kernel in kernels:
            _Expander(kernel, target).run()


def _has_fragment(op: Operation, target: GpuDescription) -> bool:
    if not isinstance(op, nvgpu.MmaSyncOp) or not is_vector(op.matrix_a.type):
        return False
    largest = target.fragment.split("x")
    return (
        target.kind == "ptx"
        and FACTORS.get(type(op.matrix_a.type.get_element_type())) in target.fragment_types.split()
        and op.sizes[2] <= int(largest[-1])
    )


def _has_tiles(op: Operation, target: GpuDescription) -> bool:
    return target.kind == "ptx" and bool(target.fragment_types)


def _has_copies(op: Operation, target: GpuDescription) -> bool:
    return target.copy >= (op.bytes if isinstance(op, nvgpu.AsyncCopyOp) else 1)


def _has_matrix_core(op: Operation, target: GpuDescription) -> bool:
    return (
        isinstance(op, amdgpu.MatrixCoreOp)
        and target.kind == "amdgcn"
        and target.instruction == op.KIND
        and str(op.key[1]) in target.fragment_types.split()
    )


NATIVE: Mapping[type[Operation], Callable[[Operation, GpuDescription], bool]] = {
    amdgpu.MfmaOp: _has_matrix_core,
    amdgpu.WmmaOp: _has_matrix_core,
    nvgpu.MmaSyncOp: _has_fragment,
    nvgpu.LdMatrixOp: _has_tiles,
    nvgpu.AsyncCopyOp: _has_copies,
    nvgpu.AsyncCreateGroupOp: _has_copies,
    nvgpu.AsyncWaitOp: _has_copies,
}
"""By op, whether a target has an instruction for it."""


class _Expander:
    """Expands the ops of one kernel."""

    def __init__(self, kernel: gpu.FuncOp, target: GpuDescription):
        self.kernel = kernel
        self.block = kernel.body.block
        self.target = target
        self.constants = Constants(self.block)
        self.scratch: dict[tuple[str, Attribute, int], SSAValue] = {}
        self.thread: SSAValue | None = None
        self.expansions: Mapping[type[Operation], Callable[[Emitter, Operation], SSAValue | None]] = {
            amdgpu.MfmaOp: self._matrix_core,
            amdgpu.WmmaOp: self._matrix_core,
            nvgpu.MmaSyncOp: self._mma,
            nvgpu.LdMatrixOp: self._ldmatrix,
            nvgpu.AsyncCopyOp: self._copy,
            nvgpu.AsyncCreateGroupOp: self._group,
            nvgpu.AsyncWaitOp: self._wait,
        }

    def run(self) -> None:
        """Expand what the target has not."""
        for op in list(self.block.walk()):
            is_native = NATIVE.get(type(op))
            if is_native is None or is_native(op, self.target):
                continue
            self._check_threads(op)
            emitter = Emitter.ahead_of(op, self.constants)
            value = self.expansions[type(op)](emitter, op)
            if value is not None:
                op.results[0].replace_all_uses_with(value)
            op.detach()
            op.erase()
        self._retype_tokens()
        self._check_shared()

    def _check_threads(self, op: Operation) -> None:
        lanes = op.core.lanes if isinstance(op, amdgpu.MatrixCoreOp) else WARP
        takes_warps = isinstance(op, amdgpu.MatrixCoreOp | nvgpu.MmaSyncOp | nvgpu.LdMatrixOp)
        if takes_warps and self.kernel.threads % lanes:
            raise error_at(op, f"takes whole warps of {lanes} threads, its kernel has {self.kernel.threads} threads")

    def _check_shared(self) -> None:
        types = [memref_type(one) for one in self.kernel.workgroup]
        used = sum(prod(type_.get_shape()) * element_bytes(type_.get_element_type()) for type_ in types)
        if self.scratch and used > self.target.shared_memory:
            raise LaminaError(
                f"kernel '{self.kernel.sym_name.data}' needs {used} bytes of shared memory with its fragments emulated,"
                f" {self.target.name} has {self.target.shared_memory}",
                where=location_text(self.kernel.location),
            )

    def _retype_tokens(self) -> None:
        """Loops that carry tokens of expanded groups carry integers now, which nobody reads."""
        if self.target.copy:
            return
        for op in list(self.block.walk()):
            if isinstance(op, scf.ForOp):
                for value in (*op.body.block.args, *op.results):
                    if value.type == nvgpu.TOKEN:
                        Rewriter.replace_value_with_new_type(value, i32)

    def _shared(self, purpose: str, element: Attribute, each: int) -> SSAValue:
        """`each` elements of shared memory for every thread."""
        key = purpose, element, each
        if key not in self.scratch:
            type_ = workgroup_type(element, [self.kernel.threads, each])
            self.scratch[key] = self.block.insert_arg(type_, len(self.block.args))
        return self.scratch[key]

    def _positions(self, emitter: Emitter) -> tuple[SSAValue, Index, Index, Index]:
        """This thread, the first of its warp, and its lane's group of four and place in it."""
        thread = emitter.value(gpu.ThreadIdOp())
        lane = emitter.remainder(thread, WARP)
        return thread, emitter.subtract(thread, lane), emitter.divide(lane, 4), emitter.remainder(lane, 4)

    # Ops

    def _matrix_core(self, emitter: Emitter, op: Operation) -> SSAValue | None:
        return emulated_matrix_core(emitter, op, self._shared) if isinstance(op, amdgpu.MatrixCoreOp) else None

    def _mma(self, emitter: Emitter, op: Operation) -> SSAValue | None:
        if not isinstance(op, nvgpu.MmaSyncOp):
            return None
        thread, warp, group, member = self._positions(emitter)
        factors = [self._passed(emitter, number, value, thread) for number, value in enumerate(op.operands[:2])]
        emitter.append(gpu.BarrierOp())
        type_ = op.result.type
        if not is_vector(type_):
            return None
        rows, columns = type_.get_shape()
        element = type_.get_element_type()
        wide = f32 if isinstance(element, Float16Type) else element
        cells = [(row, column) for row in range(rows) for column in range(columns)]
        start = [emitter.value(vector.ExtractOp(op.matrix_c, cell, element)) for cell in cells]
        if wide != element:
            start = [emitter.value(arith.ExtFOp(value, wide)) for value in start]

        def step(inner: Emitter, depth: SSAValue, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            left = [self._held(inner, factors[0], warp, group, row, depth, 2, wide) for row in range(rows)]
            right = [
                self._held(inner, factors[1], warp, inner.add(inner.multiply(member, 2), column), 0, depth, 1, wide)
                for column in range(columns)
            ]
            return [
                inner.value(math.FmaOp(left[row], right[column], total))
                for (row, column), total in zip(cells, sums, strict=True)
            ]

        sums = emitter.for_loop(0, op.sizes[2], 1, start, step)
        emitter.append(gpu.BarrierOp())
        if wide != element:
            sums = [emitter.value(arith.TruncFOp(value, element)) for value in sums]
        return emitter.value(vector.FromElementsOp(list(sums), type_))

    def _passed(self, emitter: Emitter, number: int, value: SSAValue, thread: SSAValue) -> tuple[SSAValue, int]:
        """A factor's fragments of all threads in shared memory, and elements of a register."""
        type_ = value.type
        if not is_vector(type_):
            raise error_at(self.kernel, f"expected a fragment, found {type_}")
        registers, width = type_.get_shape()
        element = type_.get_element_type()
        buffer = self._shared(f"factor{number}", element, registers * width)
        for register in range(registers):
            for position in range(width):
                one = emitter.value(vector.ExtractOp(value, [register, position], element))
                emitter.store(one, buffer, [thread, register * width + position])
        return buffer, width

    def _held(
        self,
        emitter: Emitter,
        factor: tuple[SSAValue, int],
        warp: Index,
        group: Index,
        row: int,
        depth: SSAValue,
        rows: int,
        wide: Attribute,
    ) -> SSAValue:
        """The element at a place along the depth, of row (or column) `group + 8 * row` of a factor.

        PTX ISA, "Matrix fragments for mma.m16n8k16": groups of four threads hold a row, neighbors in registers; the
        second half of the depth lies in further registers.
        """
        buffer, width = factor
        span = 4 * width
        lane = emitter.add(emitter.multiply(group, 4), emitter.divide(emitter.remainder(depth, span), width))
        register = emitter.add(emitter.multiply(emitter.divide(depth, span), rows), row)
        place = emitter.add(emitter.multiply(register, width), emitter.remainder(depth, width))
        value = emitter.load(buffer, [emitter.add(warp, lane), place])
        if isinstance(value.type, Float32Type):
            bits = emitter.value(arith.BitcastOp(value, i32))
            kept = emitter.constants.get(IntegerAttr(TF32_BITS, i32), i32)
            return emitter.value(arith.BitcastOp(emitter.value(arith.AndIOp(bits, kept)), f32))
        return value if value.type == wide else emitter.value(arith.ExtFOp(value, wide))

    def _ldmatrix(self, emitter: Emitter, op: Operation) -> SSAValue | None:
        if not isinstance(op, nvgpu.LdMatrixOp) or not is_vector(op.result.type):
            return None
        thread, warp, group, member = self._positions(emitter)
        shape = list(memref_type(op.source).get_shape())
        flat: Index = 0
        for index, size in zip(op.indices, shape, strict=True):
            flat = emitter.add(emitter.multiply(flat, size), index)
        rows = self._shared("rows", INDEX, 1)
        emitter.store(emitter.index(flat), rows, [thread, 0])
        emitter.append(gpu.BarrierOp())
        count, width = op.result.type.get_shape()
        elements: list[SSAValue] = []
        for tile in range(count):
            for position in range(width):
                along = emitter.add(emitter.multiply(member, width), position)
                row, column = (along, group) if op.is_transposed else (group, along)
                first = emitter.load(rows, [emitter.add(emitter.add(warp, tile * 8), row), 0])
                at = delinearized(emitter, emitter.index(emitter.add(first, column)), shape)
                elements.append(emitter.load(op.source, at))
        emitter.append(gpu.BarrierOp())
        return emitter.value(vector.FromElementsOp(elements, op.result.type))

    def _copy(self, emitter: Emitter, op: Operation) -> SSAValue | None:
        if not isinstance(op, nvgpu.AsyncCopyOp):
            return None
        element = memref_type(op.source).get_element_type()
        present = op.source_elements

        def run(inner: Emitter, number: SSAValue) -> None:
            def moved(indices: Sequence[SSAValue]) -> list[Index]:
                return [*indices[:-1], inner.add(indices[-1], number)]

            def read(nested: Emitter) -> None:
                nested.store(nested.load(op.source, moved(op.source_indices)), op.target, moved(op.target_indices))

            def clear(nested: Emitter) -> None:
                nested.store(nested.scalar_constant(0.0, element), op.target, moved(op.target_indices))

            if present is None:
                read(inner)
            else:
                inner.branch(inner.compare("ult", number, present), read, clear)

        emitter.loop(0, op.count, 1, run)
        return emitter.constants.get(IntegerAttr(0, i32), i32)

    def _group(self, emitter: Emitter, op: Operation) -> SSAValue | None:
        return emitter.constants.get(IntegerAttr(0, i32), i32)

    def _wait(self, emitter: Emitter, op: Operation) -> SSAValue | None:
        return None
