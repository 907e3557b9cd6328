"""The ring of stages of a kernel by warpgroups: barriers and copies played through in any order that PTX allows."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import pytest
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Block, Operation, SSAValue

from lamina.dialects.hardware import gpu
from lamina.dialects.hardware.nvgpu_tma import (
    MBarrierArriveExpectOp,
    MBarrierCreateOp,
    MBarrierInitOp,
    MBarrierTryWaitOp,
    TmaLoadOp,
    map_type,
)
from lamina.dialects.hardware.nvgpu_types import bytes_of_element
from lamina.dialects.hardware.nvgpu_warpgroup import GenerateDescriptorOp, WarpgroupMmaOp
from lamina.dialects.loop import arith, memref, scf
from support.gpu_products import outlined, traced
from support.product_cases import product, warpgroups

WARP, DEPTH = 32, 64
"""Threads of a warp, elements of the depth of a stage."""

Turn = Generator[Callable[[], bool], None, None]
"""What a thread does: it goes on where what it yields is true."""

NUMBERS: Mapping[str, Callable[[int, int], int]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.divui": lambda a, b: a // b,
    "arith.remui": lambda a, b: a % b,
}
COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {"eq": lambda a, b: a == b, "ult": lambda a, b: a < b}


@dataclass
class Barrier:
    """PTX ISA, "mbarrier": a phase is over when all have arrived and all bytes are there."""

    count: int
    pending: int
    bytes: int = 0
    phase: int = 0

    def arrive(self, expected: int) -> None:
        self.bytes += expected
        assert self.pending > 0, "more arrivals than a phase has"
        self.pending -= 1
        self._settle()

    def complete(self, found: int) -> None:
        self.bytes -= found
        self._settle()

    def _settle(self) -> None:
        if self.pending == 0 and self.bytes == 0:
            self.phase += 1
            self.pending = self.count

    def is_over(self, parity: bool) -> bool:
        """Whether the phase of a parity is over, as far as a thread that is less than two phases behind can see."""
        return self.phase % 2 != int(parity)


@dataclass
class Stage:
    """A buffer's part: where in the depth its content begins, copies on their way, and who still has to read it."""

    depth: int | None = None
    coming: int = 0
    readers: set[int] = field(default_factory=set[int])


class Ring:
    """One block: the first thread of each warp, and copies that may come at any time after they began.

    A warp's products are over for itself alone: no warp learns from its own `wgmma.wait_group` what others have read.
    """

    def __init__(self, function: gpu.FuncOp, seed: int):
        self.function, self.random = function, random.Random(seed)
        self.warps = function.threads // WARP
        self.barriers: dict[tuple[SSAValue, int], Barrier] = {}
        self.stages: dict[tuple[SSAValue, int], Stage] = {}
        self.copies: list[Callable[[], None]] = []
        self.met = [0] * self.warps
        self.products = [0] * self.warps
        """By warp, how many products it has begun."""

    def run(self) -> None:
        """Let one thread, or one copy, go on at a time until all are through; a deadlock is an AssertionError."""
        turns = [self.block(self.function.body.block, {}, warp) for warp in range(self.warps)]
        waiting = [next(turn, None) for turn in turns]
        while True:
            able = [warp for warp, may in enumerate(waiting) if may is not None and may()]
            choices = [*able, *([-1] if self.copies else [])]
            if not choices:
                break
            chosen = self.random.choice(choices)
            if chosen < 0:
                self.copies.pop(self.random.randrange(len(self.copies)))()
            else:
                waiting[chosen] = next(turns[chosen], None)
        assert waiting == [None] * self.warps, "deadlock"
        assert all(not one.coming for one in self.stages.values())

    def block(self, block: Block, values: dict[SSAValue, Any], warp: int) -> Turn:
        """The ops of a block, as far as the sums are read."""
        for op in block.ops:
            if op.name == "builtin.unrealized_conversion_cast":
                return
            yield from self.op(op, values, warp)

    def op(self, op: Operation, values: dict[SSAValue, Any], warp: int) -> Turn:
        given = [values.get(one) for one in op.operands]
        match op:
            case arith.ConstantOp():
                values[op.result] = op.value.value.data if isinstance(op.value, IntegerAttr) else None
            case gpu.ThreadIdOp():
                values[op.result] = WARP * warp
            case gpu.BlockIdOp():
                values[op.result] = 0
            case arith.CmpiOp():
                name = arith.CMPI_COMPARISON_OPERATIONS[op.predicate.value.data]
                values[op.result] = COMPARISONS[name](*given)
            case _ if op.name in NUMBERS:
                values[op.results[0]] = NUMBERS[op.name](*given)
            case scf.IfOp():
                if given[0]:
                    yield from self.block(op.true_region.block, values, warp)
            case scf.ForOp():
                lower, upper, step = given[:3]
                for number in range(lower, upper, step):
                    values[op.body.block.args[0]] = number
                    yield from self.block(op.body.block, values, warp)
            case gpu.BarrierOp():
                self.met[warp] += 1
                number = self.met[warp]
                yield lambda: all(one >= number for one in self.met)
            case memref.SubviewOp():
                offsets = iter(op.offsets)
                first = op.static_offsets.get_values()[0]
                values[op.result] = op.source, values[next(offsets)] if first < 0 else first
            case GenerateDescriptorOp():
                values[op.descriptor] = given[0]
            case MBarrierCreateOp() | MBarrierInitOp() | MBarrierArriveExpectOp() | MBarrierTryWaitOp() | TmaLoadOp():
                yield from self.communicate(op, values)
            case WarpgroupMmaOp():
                yield lambda: True
                self.multiply(op, [values[op.a], values[op.b]], warp)
            case _:
                pass

    def communicate(self, op: Operation, values: dict[SSAValue, Any]) -> Turn:
        predicate = getattr(op, "predicate", None)
        if isinstance(op, MBarrierCreateOp) or (isinstance(predicate, SSAValue) and not values[predicate]):
            return
        yield lambda: True
        key = op.barriers, values[op.number]
        match op:
            case MBarrierInitOp():
                count = values[op.count]
                self.barriers[key] = Barrier(count, count)
            case MBarrierArriveExpectOp():
                self.barriers[key].arrive(values[op.bytes])
            case MBarrierTryWaitOp():
                yield lambda: self.barriers[key].is_over(values[op.parity])
            case TmaLoadOp():
                self.copy(op, self.barriers[key], values)
            case _:
                pass

    def copy(self, op: TmaLoadOp, barrier: Barrier, values: dict[SSAValue, Any]) -> None:
        """Begin a copy into a stage that all have read."""
        buffer, slot = values[op.target]
        stage = self.stages.setdefault((buffer, slot), Stage())
        # The left factor comes with its depth as the fastest axis, the right one with its columns.
        depth = values[op.coordinates[0 if buffer is self.function.workgroup[0] else 1]]
        if stage.depth != depth:
            assert not stage.readers and not stage.coming, f"stage {slot} is overwritten"
            stage.depth, stage.readers = depth, set(range(self.warps))
        stage.coming += 1
        part = map_type(op.map).box
        size = prod(part.get_shape()) * bytes_of_element(part.get_element_type())

        def come() -> None:
            stage.coming -= 1
            barrier.complete(size)

        self.copies.append(come)

    def multiply(self, op: WarpgroupMmaOp, factors: Sequence[tuple[SSAValue, int]], warp: int) -> None:
        """Begin a product; that before the last `waitGroup` is over, and has read its stage."""
        number = self.products[warp]
        for key in factors:
            stage = self.stages[key]
            assert stage.depth == number * DEPTH and not stage.coming, f"product {number} reads {stage}"
            assert warp in stage.readers
        self.products[warp] += 1
        over = (number - op.pending) * DEPTH
        for stage in self.stages.values():
            if stage.depth is not None and stage.depth <= over:
                stage.readers.discard(warp)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stages", [2, 3, 4])
def test_rings_neither_stop_nor_overwrite(stages: int, groups: int):
    for steps in range(1, 10):
        case = product(64 * groups, DEPTH * steps - 8, 128, "bf16")
        module, context = traced(case.function, *case.specs)
        edit = warpgroups((64 * groups, 128), (64, 128), stages=stages)
        made = outlined(module, context, "ptx:sm_90a", edit=edit)
        (kernel,) = (op for op in made.module.walk() if isinstance(op, gpu.FuncOp))
        assert kernel.threads == 128 * groups
        for seed in range(5):
            ring = Ring(kernel, seed)
            ring.run()
            assert ring.products == [steps] * 4 * groups
