"""The threads of a kernel that run together in NumPy: their values, and every access that they make to memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.hardware import gpu
from lamina.dialects.loop.types import is_memref
from lamina.targets.gpu.checked_memory import (
    OUT_OF_BOUNDS,
    UNINITIALIZED,
    Access,
    AddressSpace,
    Buffer,
    read,
    write,
)
from lamina.targets.gpu.lane_operations import PLAIN, VECTORS, WITH_OP, Lanes, constant, dtype_of

MOST_LANES = 1 << 14
"""Threads that run together: blocks are taken in groups of that many."""


@dataclass(frozen=True)
class Finding:
    """Something wrong in a kernel: its kind (`checked_memory.KINDS`), where it comes from, and what was seen first."""

    kernel: str
    kind: str
    op: str
    where: str | None
    message: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}kernel '{self.kernel}', {self.op}: {self.kind}: {self.message}"


@dataclass(frozen=True)
class View:
    """A buffer as a kernel sees it: where it starts in bytes (for each thread, or the same), sizes and strides."""

    buffer: Buffer
    start: Lanes
    sizes: tuple[Lanes, ...]
    strides: tuple[Lanes, ...]
    element: Attribute

    def sized(self, sizes: Sequence[Lanes], element: Attribute | None = None) -> View:
        """The same place, dense, with other sizes."""
        return dense(self.buffer, self.start, sizes, self.element if element is None else element)


def dense(buffer: Buffer, start: Lanes, sizes: Sequence[Lanes], element: Attribute) -> View:
    """A buffer whose elements lie in order."""
    strides: list[Lanes] = []
    step = np.array([1], np.int64)
    for size in reversed(sizes):
        strides.append(step)
        step = step * size
    return View(buffer, start, tuple(sizes), tuple(reversed(strides)), element)


Value: TypeAlias = "Lanes | View"


def same(number: int) -> Lanes:
    """A number that all threads have."""
    return np.array([number], np.int64)


@dataclass(frozen=True)
class Copy:
    """Elements that asynchronous copies of some threads bring: to where, what, and each thread's groups before it."""

    buffer: Buffer
    lanes: Lanes
    offset: Lanes
    values: Lanes
    group: Lanes


@dataclass
class Group:
    """Blocks that run together: each thread's number in its block, its block, and the barriers of each block so far.

    `copies`: asynchronous ones that were not waited for; `committed`: how many groups of them each thread has made.
    """

    thread: Lanes
    block: Lanes
    slot: Lanes
    threads: int
    barriers: Lanes
    committed: Lanes
    values: dict[SSAValue, Value] = field(default_factory=dict[SSAValue, Value])
    copies: list[Copy] = field(default_factory=list[Copy])

    @property
    def lanes(self) -> int:
        """Threads."""
        return len(self.thread)


class Machine:
    """Runs kernels and collects what it finds; `seed` decides the order of blocks and of threads that collide.

    `special`: by name, what runs the ops that are no functions of numbers.
    """

    def __init__(self, special: Mapping[str, Special], seed: int = 0):
        self._special = special
        self.memory = AddressSpace()
        self.warp = 32
        """Threads of a subgroup."""
        self.findings: dict[tuple[str, str, int], Finding] = {}
        self._random = np.random.default_rng(seed)
        self._kernel = ""
        self._source: str | None = None

    def run(
        self, function: gpu.FuncOp, blocks: int, threads: int, arguments: Sequence[int], source: str | None = None
    ) -> None:
        """Launch a kernel on addresses and sizes, as a driver gives them. Raises LaminaError for an unknown op.

        `source`: where the kernel comes from, for findings at ops that do not say it.
        """
        self._kernel = function.sym_name.data
        self._source = source or location_text(function.location)
        self.memory.begin()
        order = self._random.permutation(blocks)
        together = max(1, MOST_LANES // threads)
        with np.errstate(all="ignore"):
            for first in range(0, blocks, together):
                self._run_group(function, order[first : first + together], threads, arguments)

    def _run_group(self, function: gpu.FuncOp, chosen: Lanes, threads: int, arguments: Sequence[int]) -> None:
        count = len(chosen)
        group = Group(
            np.tile(np.arange(threads, dtype=np.int64), count),
            np.repeat(chosen.astype(np.int64), threads),
            np.repeat(np.arange(count, dtype=np.int64), threads),
            threads,
            np.zeros(count, np.int64),
            np.zeros(threads * count, np.int64),
        )
        self._bind(function, group, arguments)
        self.run_block(group, function.body.block, np.ones(group.lanes, np.bool_))

    def _bind(self, function: gpu.FuncOp, group: Group, arguments: Sequence[int]) -> None:
        given = iter(arguments)
        shared = set(function.workgroup)
        for number, argument in enumerate(function.body.block.args):
            type_ = argument.type
            if not is_memref(type_):
                value = np.array([next(given)], np.uint64).view(np.int64)
                group.values[argument] = value.astype(dtype_of(type_))
                continue
            element = type_.get_element_type()
            if argument in shared:
                size = prod(type_.get_shape()) * dtype_of(element).itemsize
                buffer = Buffer.new(f"workgroup buffer {number}", size * len(group.barriers))
                start, sizes = group.slot * size, [same(one) for one in type_.get_shape()]
            else:
                buffer, offset = self.memory.find(next(given))
                start = same(offset)
                sizes = [same(next(given) if one == DYNAMIC_INDEX else one) for one in type_.get_shape()]
            group.values[argument] = dense(buffer, start, sizes, element)

    # Ops

    def run_block(self, group: Group, block: Block, active: Lanes) -> list[Value]:
        """Run a block; the operands of its terminator."""
        for op in block.ops:
            if op.next_op is None and op.name in TERMINATORS:
                return [group.values[operand] for operand in op.operands]
            self._op(group, op, active)
        return []

    def _op(self, group: Group, op: Operation, active: Lanes) -> None:
        special = self._special.get(op.name)
        if special is not None:
            special(self, group, op, active)
            return
        if op.name == "arith.constant":
            group.values[op.results[0]] = constant(op)
            return
        plain, other = PLAIN.get(op.name), WITH_OP.get(op.name) or VECTORS.get(op.name)
        operands = [self.lanes(group, operand) for operand in op.operands]
        if plain is not None:
            found = plain(*operands)
        elif other is not None:
            found = other(op, *operands)
        else:
            raise LaminaError(
                f"kernel '{self._kernel}': '{op.name}' cannot be checked",
                where=location_text(op.location),
                hints=("compile for spirv, where it is expanded",),
            )
        group.values[op.results[0]] = found

    def lanes(self, group: Group, value: SSAValue) -> Lanes:
        """A number or a vector of every thread."""
        found = group.values[value]
        if isinstance(found, View):
            raise LaminaError(f"kernel '{self._kernel}': expected a number, found a buffer")
        return found

    def view(self, group: Group, value: SSAValue) -> View:
        """A buffer."""
        found = group.values[value]
        if not isinstance(found, View):
            raise LaminaError(f"kernel '{self._kernel}': expected a buffer, found a number")
        return found

    def reporter(self, op: Operation) -> Callable[[str, str], None]:
        """What remembers the first finding of each kind at an op."""

        def report(kind: str, message: str) -> None:
            key = (self._kernel, kind, id(op))
            if key not in self.findings:
                where = location_text(op.location) or self._source
                self.findings[key] = Finding(self._kernel, kind, op.name, where, message)

        return report

    # Memory

    def access(
        self, group: Group, op: Operation, view: View, indices: Sequence[Lanes], active: Lanes, atomic: bool = False
    ) -> tuple[Lanes, Access]:
        """The threads whose access lies inside of the buffer, and the access; reports what lies outside."""
        inside = active.copy()
        offset = np.zeros(group.lanes, np.int64)
        size = dtype_of(view.element).itemsize
        for axis, (index, extent, stride) in enumerate(zip(indices, view.sizes, view.strides, strict=True)):
            wide = np.broadcast_to(index.astype(np.int64), (group.lanes,))
            wrong = inside & ((wide < 0) | (wide >= extent))
            if wrong.any():
                lane = int(np.flatnonzero(wrong)[0])
                limit = int(np.broadcast_to(extent, (group.lanes,))[lane])
                self.reporter(op)(
                    OUT_OF_BOUNDS,
                    f"thread {group.thread[lane]} of block {group.block[lane]} is at {wide[lane]} of {limit}"
                    f" along axis {axis}",
                )
                inside &= ~wrong
            offset = offset + wide * stride
        offset = view.start + offset * size
        wrong = inside & ((offset < 0) | (offset + size > len(view.buffer.data)))
        if wrong.any():
            lane = int(np.flatnonzero(wrong)[0])
            self.reporter(op)(
                OUT_OF_BOUNDS,
                f"thread {group.thread[lane]} of block {group.block[lane]} is at byte {offset[lane]} of"
                f" {view.buffer.name}, which has {len(view.buffer.data)}",
            )
            inside &= ~wrong
        lanes = np.flatnonzero(inside)
        return lanes, self.accessed(group, lanes, offset[lanes], atomic)

    def accessed(self, group: Group, lanes: Lanes, offset: Lanes, atomic: bool = False) -> Access:
        """An access of some threads now."""
        thread = group.block[lanes] * group.threads + group.thread[lanes]
        return Access(offset, thread, group.block[lanes], group.barriers[group.slot[lanes]], group.threads, atomic)

    def loaded(self, group: Group, op: Operation, view: View, indices: Sequence[Lanes], active: Lanes) -> Lanes:
        """The elements that active threads read; 0 for the others."""
        dtype = dtype_of(view.element)
        found = np.zeros(group.lanes, dtype)
        lanes, access = self.access(group, op, view, indices, active)
        if len(lanes):
            # What no op looks at is no number that anything depends on.
            report = self.reporter(op) if any(is_looked_at(one) for one in op.results) else _ignore_unwritten(self, op)
            found[lanes] = read(view.buffer, access, dtype, report)
        return found

    def stored(
        self, group: Group, op: Operation, values: Lanes, view: View, indices: Sequence[Lanes], active: Lanes
    ) -> None:
        """Write the elements of active threads, in random order."""
        lanes, access = self.access(group, op, view, indices, active)
        if len(lanes):
            order = self._random.permutation(len(lanes))
            taken = np.broadcast_to(values, (group.lanes,))[lanes]
            write(view.buffer, access.pick(order), taken[order], self.reporter(op))

    def updated(
        self, group: Group, op: Operation, view: View, indices: Sequence[Lanes], active: Lanes, new: Update
    ) -> Lanes:
        """One atomic update per active thread, in random order: `new` of lanes and old elements. The old elements."""
        dtype = dtype_of(view.element)
        found = np.zeros(group.lanes, dtype)
        lanes, access = self.access(group, op, view, indices, active, atomic=True)
        order = self._random.permutation(len(lanes))
        while len(order):
            # One thread per element at a time.
            _, first = np.unique(access.offset[order], return_index=True)
            now = order[first]
            part = access.pick(now)
            old = read(view.buffer, part, dtype, self.reporter(op))
            found[lanes[now]] = old
            write(view.buffer, part, new(lanes[now], old).astype(dtype), self.reporter(op))
            order = np.delete(order, first)
        return found


def is_looked_at(value: SSAValue) -> bool:
    """Whether any op computes with a value; a loop that only carries it to its first iteration does not."""
    for use in value.uses:
        if use.operation.name != "scf.for" or use.index < LOOP_BOUNDS:
            return True
        if use.operation.regions[0].block.args[use.index - LOOP_BOUNDS + 1].uses:
            return True
    return False


def _ignore_unwritten(machine: Machine, op: Operation) -> Callable[[str, str], None]:
    report = machine.reporter(op)
    return lambda kind, message: None if kind == UNINITIALIZED else report(kind, message)


LOOP_BOUNDS = 3
"""Operands of `scf.for` ahead of the carried values."""

Update: TypeAlias = "Callable[[Lanes, Lanes], Lanes]"
Special: TypeAlias = "Callable[[Machine, Group, Operation, Lanes], None]"

TERMINATORS = frozenset({"scf.yield", "scf.condition", "gpu.return", "memref.atomic_yield"})
