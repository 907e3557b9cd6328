"""`expand-gpu-communication`: reductions over threads become shuffles, and shuffles use memory where there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i32
from xdsl.ir import Attribute, Operation, SSAValue

from lamina.diagnostics import error_at
from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.gpu_communication import (
    AllReduceOp,
    LaneIdOp,
    ReductionAttr,
    ShuffleOp,
    SubgroupIdOp,
    SubgroupReduceOp,
)
from lamina.dialects.hardware.gpu_target import GpuDescription, gpu_target_of
from lamina.dialects.loop import arith
from lamina.dialects.loop.types import is_integer
from lamina.passes.base import LaminaPass
from lamina.passes.hardware.gpu.stages import workgroup_type
from lamina.passes.loop.emitter import INDEX, Constants, Emitter

NATIVE_SHUFFLES = frozenset({"ptx", "amdgcn"})
"""The kinds of target whose lanes read each other's registers; elsewhere a subgroup is so many threads that follow each
other, and they meet in shared memory."""

COMBINERS: Mapping[str, tuple[Any, Any]] = {
    "add": (arith.AddiOp, arith.AddfOp),
    "mul": (arith.MuliOp, arith.MulfOp),
    "minui": (arith.MinUIOp, None),
    "minsi": (arith.MinSIOp, None),
    "maxui": (arith.MaxUIOp, None),
    "maxsi": (arith.MaxSIOp, None),
    "and": (arith.AndIOp, None),
    "or": (arith.OrIOp, None),
    "xor": (arith.XOrIOp, None),
    "minimumf": (arith.MinSIOp, arith.MinimumfOp),
    "maximumf": (arith.MaxSIOp, arith.MaximumfOp),
    "minnumf": (arith.MinSIOp, arith.MinnumfOp),
    "maxnumf": (arith.MaxSIOp, arith.MaxnumfOp),
}
"""What combines two integers, and two floats, by the kind of a reduction."""


@dataclass(frozen=True)
class ExpandGpuCommunicationPass(LaminaPass):
    """Collective ops of a kernel become what the target has.

        %sum = gpu.all_reduce add %x uniform {} : (f32) -> f32
    →
        %other, %valid = gpu.shuffle xor %x, %c16, %c32 : f32        // five times: 16, 8, 4, 2, 1
        %warp = arith.addf %x, %other …
        memref.store %warp, %shared[%subgroup]; gpu.barrier          // where a block is more than one subgroup
        %part = memref.load %shared[%lane mod 8] … the same over the parts

    Where the target has no shuffles (`spirv`), a shuffle is a store to shared memory, a barrier and a load; the lane is
    the thread's number modulo the size of a subgroup. All threads of a block must carry it out together then.
    """

    name = "expand-gpu-communication"
    requires: ClassVar[frozenset[str]] = frozenset({"gpu-kernels"})

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = gpu_target_of(op)
        for kernel in [one for one in op.walk() if isinstance(one, gpu.FuncOp)]:
            _Expander(kernel, target).run()


class _Expander:
    """Expands the ops of one kernel."""

    def __init__(self, kernel: gpu.FuncOp, target: GpuDescription):
        self.kernel = kernel
        self.warp = target.warp
        self.threads = kernel.threads
        self.emulated = target.kind not in NATIVE_SHUFFLES
        self.constants = Constants(kernel.body.block)
        self._scratch: dict[tuple[str, Attribute], SSAValue] = {}
        self._used: set[SSAValue] = set()

    def run(self) -> None:
        """Reductions first, whose shuffles are expanded after them."""
        for op_type, expand in self._steps():
            for op in [op for op in self.kernel.walk() if isinstance(op, op_type)]:
                emitter = Emitter.ahead_of(op, self.constants)
                for result, value in zip(op.results, expand(emitter, op), strict=True):
                    value.name_hint = value.name_hint or result.name_hint
                    result.replace_all_uses_with(value)
                op.detach()
                op.erase()

    def _steps(self) -> list[tuple[type[Operation], Callable[[Emitter, Operation], list[SSAValue]]]]:
        steps: list[tuple[type[Operation], Callable[[Emitter, Operation], list[SSAValue]]]] = [
            (AllReduceOp, self._all_reduce),
            (SubgroupReduceOp, self._subgroup_reduce),
            (SubgroupIdOp, self._subgroup),
        ]
        if self.emulated:
            steps += [(ShuffleOp, self._shuffle), (LaneIdOp, self._lane)]
        return steps

    def _shared(self, role: str, element: Attribute, size: int) -> SSAValue:
        """A workgroup buffer of the kernel, one for each role and element type."""
        key = role, element
        if key not in self._scratch:
            block = self.kernel.body.block
            self._scratch[key] = block.insert_arg(workgroup_type(element, [size]), len(block.args))
        return self._scratch[key]

    # Reductions

    def _butterfly(self, emitter: Emitter, kind: ReductionAttr, value: SSAValue, size: int) -> SSAValue:
        """What `size` neighboring lanes have together; every lane gets it."""
        width = self.constants.get(IntegerAttr(min(self.warp, max(size, 1)), i32), i32)
        distance = size // 2
        while distance:
            offset = self.constants.get(IntegerAttr(distance, i32), i32)
            shuffle = ShuffleOp("xor", value, offset, width)
            emitter.append(shuffle)
            value = combined(emitter, kind, value, shuffle.result)
            distance //= 2
        return value

    def _subgroup_reduce(self, emitter: Emitter, op: Operation) -> list[SSAValue]:
        assert isinstance(op, SubgroupReduceOp)
        size = self.warp if op.cluster_size is None else op.cluster_size.value.data
        if size > self.warp:
            raise error_at(op, f"a cluster of {size} lanes is larger than a subgroup, which has {self.warp}")
        return [self._butterfly(emitter, op.op, op.value, size)]

    def _all_reduce(self, emitter: Emitter, op: Operation) -> list[SSAValue]:
        assert isinstance(op, AllReduceOp)
        if self.threads & (self.threads - 1):
            raise error_at(op, f"expected a power of two as the number of threads, found {self.threads}")
        value = self._butterfly(emitter, op.op, op.operand, min(self.warp, self.threads))
        subgroups = self.threads // self.warp
        if subgroups <= 1:
            return [value]
        shared = self._shared("subgroups", value.type, subgroups)
        if shared in self._used or op.parent_op() is not self.kernel:
            # Others may still read what an earlier reduction has left.
            emitter.append(gpu.BarrierOp())
        self._used.add(shared)
        thread = emitter.value(gpu.ThreadIdOp())
        subgroup, lane = emitter.divide(thread, self.warp), emitter.remainder(thread, self.warp)
        emitter.branch(emitter.compare("eq", lane, 0), lambda inner: inner.store(value, shared, [subgroup]))
        emitter.append(gpu.BarrierOp())
        part = emitter.load(shared, [emitter.remainder(thread, subgroups)])
        return [self._butterfly(emitter, op.op, part, subgroups)]

    # Shuffles through memory

    def _lane(self, emitter: Emitter, op: Operation) -> list[SSAValue]:
        return [emitter.index(emitter.remainder(emitter.value(gpu.ThreadIdOp()), self.warp))]

    def _subgroup(self, emitter: Emitter, op: Operation) -> list[SSAValue]:
        return [emitter.index(emitter.divide(emitter.value(gpu.ThreadIdOp()), self.warp))]

    def _shuffle(self, emitter: Emitter, op: Operation) -> list[SSAValue]:
        """Store, wait, load from the other lane, wait until all have done so."""
        assert isinstance(op, ShuffleOp)
        thread = emitter.value(gpu.ThreadIdOp())
        lane = emitter.index(emitter.remainder(thread, self.warp))
        offset, width = (
            emitter.value(arith.IndexCastOp.create(operands=[value], result_types=[INDEX]))
            for value in (op.offset, op.width)
        )
        place = emitter.computed(arith.RemUIOp, (lane, width), INDEX)
        first = emitter.index(emitter.subtract(lane, place))
        end = emitter.index(emitter.add(first, width))
        mode = op.mode.data.value
        others = {
            "xor": lambda: emitter.computed(arith.XOrIOp, (lane, offset), INDEX),
            "up": lambda: emitter.index(emitter.subtract(lane, offset)),
            "down": lambda: emitter.index(emitter.add(lane, offset)),
            "idx": lambda: emitter.index(emitter.add(first, offset)),
        }
        other = others[mode]()
        valid = emitter.value(arith.AndIOp(emitter.compare("sge", other, first), emitter.compare("slt", other, end)))
        source = emitter.value(arith.SelectOp(valid, other, lane))
        base = emitter.index(emitter.subtract(thread, lane))
        shared = self._shared("shuffles", op.value.type, max(self.threads, 1))
        emitter.store(op.value, shared, [thread])
        emitter.append(gpu.BarrierOp())
        value = emitter.load(shared, [emitter.add(base, source)])
        emitter.append(gpu.BarrierOp())
        return [value, valid]


def combined(emitter: Emitter, kind: ReductionAttr, left: SSAValue, right: SSAValue) -> SSAValue:
    """Two values together, by the kind of a reduction."""
    integer, float_ = COMBINERS[kind.data.value]
    op_type = integer if is_integer(left.type) or left.type == INDEX or float_ is None else float_
    return emitter.value(op_type(left, right))
