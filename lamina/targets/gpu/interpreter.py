"""Kernels of the hardware level run in NumPy, all threads together, to find what goes wrong only sometimes on a GPU.

Threads go in step from barrier to barrier, blocks in random order. Whether two threads get in each other's way is not
left to luck: every access is compared with those of other threads that no barrier puts in order with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase
from xdsl.ir import Attribute, Block, Operation, SSAValue

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.hardware import gpu
from lamina.dialects.loop.types import is_memref
from lamina.targets.gpu.checked_memory import (
    DIVERGENCE,
    OUT_OF_BOUNDS,
    UNINITIALIZED,
    Access,
    AddressSpace,
    Buffer,
    read,
    write,
)
from lamina.targets.gpu.lane_operations import (
    PLAIN,
    VECTORS,
    WITH_OP,
    Lanes,
    constant,
    dtype_of,
    shape_of,
    unsigned,
)

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


@dataclass
class Group:
    """Blocks that run together: each thread's number in its block, its block, and the barriers of each block so far."""

    thread: Lanes
    block: Lanes
    slot: Lanes
    threads: int
    barriers: Lanes
    values: dict[SSAValue, Value] = field(default_factory=dict[SSAValue, Value])

    @property
    def lanes(self) -> int:
        """Threads."""
        return len(self.thread)


class Interpreter:
    """Runs kernels and collects what it finds; `seed` decides the order of blocks and of threads that collide."""

    def __init__(self, seed: int = 0):
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
        special = SPECIAL.get(op.name)
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
                hints=("compile for spirv, where fragments, copies and shuffles are plain loads and stores",),
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
        thread = group.block[lanes] * group.threads + group.thread[lanes]
        interval = group.barriers[group.slot[lanes]]
        return lanes, Access(offset[lanes], thread, group.block[lanes], interval, group.threads, atomic)

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


def _ignore_unwritten(machine: Interpreter, op: Operation) -> Callable[[str, str], None]:
    report = machine.reporter(op)
    return lambda kind, message: None if kind == UNINITIALIZED else report(kind, message)


LOOP_BOUNDS = 3
"""Operands of `scf.for` ahead of the carried values."""

Update: TypeAlias = "Callable[[Lanes, Lanes], Lanes]"
Special: TypeAlias = "Callable[[Interpreter, Group, Operation, Lanes], None]"

TERMINATORS = frozenset({"scf.yield", "scf.condition", "gpu.return", "memref.atomic_yield"})


# Positions and barriers


def _dimension(op: Operation) -> str:
    return str(cast(Any, op).dimension.data.value)


def _thread_id(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.thread if _dimension(op) == "x" else same(0)


def _block_id(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.block if _dimension(op) == "x" else same(0)


def _lane_id(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.thread % machine.warp


def _subgroup_id(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    group.values[op.results[0]] = group.thread // machine.warp


def _barrier(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    """All threads of a block come here, or none."""
    count = len(group.barriers)
    arrived = np.bincount(group.slot[active], minlength=count)
    partly = np.flatnonzero((arrived != 0) & (arrived != group.threads))
    if len(partly):
        block = group.block[np.flatnonzero(group.slot == partly[0])[0]]
        machine.reporter(op)(
            DIVERGENCE, f"{arrived[partly[0]]} of {group.threads} threads of block {block} come to a barrier"
        )
    group.barriers[arrived != 0] += 1


def _shuffle(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    """Lanes of a subgroup exchange values; all of them, or none, carry it out."""
    warps = group.slot * -(-group.threads // machine.warp) + group.thread // machine.warp
    arrived = np.bincount(warps[active], minlength=int(warps.max()) + 1)
    whole = np.bincount(warps, minlength=len(arrived))
    partly = np.flatnonzero((arrived != 0) & (arrived != whole))
    if len(partly):
        machine.reporter(op)(DIVERGENCE, f"{arrived[partly[0]]} of {whole[partly[0]]} lanes come to a shuffle")
    value, offset, width = (np.broadcast_to(machine.lanes(group, one), (group.lanes,)) for one in op.operands[:3])
    lane = group.thread % machine.warp
    mode = str(cast(Any, op).mode.data.value)
    source = {"xor": lane ^ offset, "up": lane - offset, "down": lane + offset, "idx": offset}[mode]
    segment = lane // np.maximum(width, 1)
    valid = (source >= 0) & (source // np.maximum(width, 1) == segment)
    valid &= group.thread - lane + source < group.threads
    at = np.arange(group.lanes) - lane + np.where(valid, source, lane)
    group.values[op.results[0]] = value[at]
    group.values[op.results[1]] = valid


# Control flow


def _merge(condition: Lanes, on_true: Value, on_false: Value) -> Value:
    if isinstance(on_true, View) or isinstance(on_false, View):
        raise LaminaError("a buffer that a branch or a loop gives cannot be checked")
    while condition.ndim < max(on_true.ndim, on_false.ndim):
        condition = condition[..., None]
    return np.where(condition, on_true, on_false)


def _if(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    condition = np.broadcast_to(machine.lanes(group, op.operands[0]), (group.lanes,))
    sides: list[list[Value] | None] = []
    for region, chosen in zip(op.regions, (active & condition, active & ~condition), strict=True):
        runs = bool(region.blocks) and bool(chosen.any())
        sides.append(machine.run_block(group, region.block, chosen) if runs else None)
    then, otherwise = sides
    for number, result in enumerate(op.results):
        on_true, on_false = (None if side is None else side[number] for side in (then, otherwise))
        if on_true is None or on_false is None:
            only = on_false if on_true is None else on_true
            nothing = np.zeros((1, *shape_of(result.type)), dtype_of(result.type))
            group.values[result] = nothing if only is None else only
        else:
            group.values[result] = _merge(condition, on_true, on_false)


def _for(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    lower, upper, step = (machine.lanes(group, one) for one in op.operands[:3])
    carried: list[Value] = [group.values[one] for one in op.operands[3:]]
    block = op.regions[0].block
    position = lower
    running = active & (position < upper)
    while running.any():
        for argument, value in zip(block.args, [position, *carried], strict=True):
            group.values[argument] = value
        results = machine.run_block(group, block, running)
        whole = bool((running == active).all())
        carried = [new if whole else _merge(running, new, old) for new, old in zip(results, carried, strict=True)]
        position = position + step
        running = running & (position < upper)
    for result, value in zip(op.results, carried, strict=True):
        group.values[result] = value


def _while(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    before, after = (region.block for region in op.regions)
    carried: list[Value] = [group.values[one] for one in op.operands]
    given: list[Value | None] = [None for _ in op.results]
    running = active
    while True:
        for argument, value in zip(before.args, carried, strict=True):
            group.values[argument] = value
        condition, *forwarded = machine.run_block(group, before, running)
        given = [new if old is None else _merge(running, new, old) for new, old in zip(forwarded, given, strict=True)]
        running = running & np.broadcast_to(cast(Lanes, condition), (group.lanes,))
        if not running.any():
            break
        for argument, value in zip(after.args, forwarded, strict=True):
            group.values[argument] = value
        results = machine.run_block(group, after, running)
        carried = [_merge(running, new, old) for new, old in zip(results, carried, strict=True)]
    for result, value in zip(op.results, given, strict=True):
        if value is not None:
            group.values[result] = value


# Buffers


def _load(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    indices = [machine.lanes(group, one) for one in op.operands[1:]]
    group.values[op.results[0]] = machine.loaded(group, op, machine.view(group, op.operands[0]), indices, active)


def _store(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    value, indices = machine.lanes(group, op.operands[0]), [machine.lanes(group, one) for one in op.operands[2:]]
    machine.stored(group, op, value, machine.view(group, op.operands[1]), indices, active)


def _columns(indices: Sequence[Lanes], count: int) -> list[list[Lanes]]:
    """The indices of each of `count` neighbors along the last axis."""
    return [[*indices[:-1], indices[-1] + number] for number in range(count)]


def _vector_load(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view, shape = machine.view(group, op.operands[0]), shape_of(op.results[0].type)
    indices = [machine.lanes(group, one) for one in op.operands[1:]]
    parts = [machine.loaded(group, op, view, at, active) for at in _columns(indices, prod(shape))]
    group.values[op.results[0]] = np.stack(parts, axis=1).reshape(group.lanes, *shape)


def _vector_store(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    value, view = machine.lanes(group, op.operands[0]), machine.view(group, op.operands[1])
    indices = [machine.lanes(group, one) for one in op.operands[2:]]
    flat = value.reshape(len(value), -1)
    for number, at in enumerate(_columns(indices, flat.shape[1])):
        machine.stored(group, op, flat[:, number], view, at, active)


def _alloca(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    """Memory of each thread's own."""
    type_ = memref_of(op.results[0])
    size = prod(type_.get_shape()) * dtype_of(type_).itemsize
    buffer = Buffer.new("private buffer", size * group.lanes)
    sizes = [same(one) for one in type_.get_shape()]
    start = np.arange(group.lanes, dtype=np.int64) * size
    group.values[op.results[0]] = dense(buffer, start, sizes, type_.get_element_type())


def memref_of(value: SSAValue) -> Any:
    """The type of a buffer."""
    if not is_memref(value.type):
        raise LaminaError(f"expected a buffer, found {value.type}")
    return value.type


def _dim(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    axis = int(machine.lanes(group, op.operands[1])[0])
    group.values[op.results[0]] = machine.view(group, op.operands[0]).sizes[axis]


def _cast(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    if not is_memref(op.operands[0].type):
        group.values[op.results[0]] = group.values[op.operands[0]]
        return
    group.values[op.results[0]] = machine.view(group, op.operands[0])


def _listed(machine: Interpreter, group: Group, op: Operation, name: str) -> list[Lanes]:
    static = op.properties[f"static_{name}"]
    dynamic = iter(getattr(op, name))
    if not isinstance(static, DenseArrayBase):
        raise LaminaError(f"'{op.name}' has no {name}")
    numbers = [int(one) for one in static.get_values()]
    return [machine.lanes(group, next(dynamic)) if one == DYNAMIC_INDEX else same(one) for one in numbers]


def _subview(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view = machine.view(group, op.operands[0])
    offsets, sizes, steps = (_listed(machine, group, op, name) for name in ("offsets", "sizes", "strides"))
    shift = same(0)
    for offset, stride in zip(offsets, view.strides, strict=True):
        shift = shift + offset * stride
    start = view.start + shift * dtype_of(view.element).itemsize
    strides = [stride * step for stride, step in zip(view.strides, steps, strict=True)]
    dropped = len(sizes) - memref_of(op.results[0]).get_num_dims()
    kept: list[int] = []
    static: Any = op.properties["static_sizes"]
    for axis, size in enumerate(static.get_values()):
        if size == 1 and dropped:
            dropped -= 1
        else:
            kept.append(axis)
    group.values[op.results[0]] = View(
        view.buffer, start, tuple(sizes[axis] for axis in kept), tuple(strides[axis] for axis in kept), view.element
    )


def _reinterpret(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view = machine.view(group, op.operands[0])
    (offset,), sizes, strides = (_listed(machine, group, op, name) for name in ("offsets", "sizes", "strides"))
    start = view.start + offset * dtype_of(view.element).itemsize
    group.values[op.results[0]] = View(view.buffer, start, tuple(sizes), tuple(strides), view.element)


def _collapse(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view, shape = machine.view(group, op.operands[0]), memref_of(op.results[0]).get_shape()
    reassociation: Any = op.properties["reassociation"]
    groups = [[int(axis.value.data) for axis in one] for one in reassociation]
    sizes: list[Lanes] = []
    for axes, static in zip(groups, shape, strict=True):
        size = same(1)
        for axis in axes:
            size = size * view.sizes[axis]
        sizes.append(size if static == DYNAMIC_INDEX else same(static))
    group.values[op.results[0]] = view.sized(sizes)


def _expand(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view, shape = machine.view(group, op.operands[0]), memref_of(op.results[0]).get_shape()
    dynamic = iter(op.operands[1:])
    sizes = [machine.lanes(group, next(dynamic)) if one == DYNAMIC_INDEX else same(one) for one in shape]
    group.values[op.results[0]] = view.sized(sizes)


def _view(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view, shift = machine.view(group, op.operands[0]), machine.lanes(group, op.operands[1])
    type_ = memref_of(op.results[0])
    dynamic = iter(op.operands[2:])
    sizes = [machine.lanes(group, next(dynamic)) if one == DYNAMIC_INDEX else same(one) for one in type_.get_shape()]
    group.values[op.results[0]] = dense(view.buffer, view.start + shift, sizes, type_.get_element_type())


# Atomics


def _largest_unsigned(left: Lanes, right: Lanes) -> Lanes:
    return np.maximum(unsigned(left), unsigned(right)).view(left.dtype)


def _smallest_unsigned(left: Lanes, right: Lanes) -> Lanes:
    return np.minimum(unsigned(left), unsigned(right)).view(left.dtype)


def _assigned(left: Lanes, right: Lanes) -> Lanes:
    return right


COMBINED: Mapping[str, Callable[[Lanes, Lanes], Lanes]] = {
    "addf": np.add,
    "addi": np.add,
    "mulf": np.multiply,
    "muli": np.multiply,
    "maximumf": np.maximum,
    "minimumf": np.minimum,
    "maxnumf": np.fmax,
    "minnumf": np.fmin,
    "maxs": np.maximum,
    "mins": np.minimum,
    "maxu": _largest_unsigned,
    "minu": _smallest_unsigned,
    "andi": np.bitwise_and,
    "ori": np.bitwise_or,
    "xori": np.bitwise_xor,
    "assign": _assigned,
}


def _atomic(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    values = np.broadcast_to(machine.lanes(group, op.operands[0]), (group.lanes,))
    view = machine.view(group, op.operands[1])
    indices = [machine.lanes(group, one) for one in op.operands[2:]]
    combine = COMBINED[str(cast(Any, op).kind_name)]

    def new(lanes: Lanes, old: Lanes) -> Lanes:
        return combine(old, np.ascontiguousarray(values[lanes]))

    group.values[op.results[0]] = machine.updated(group, op, view, indices, active, new)


def _generic_atomic(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    view = machine.view(group, op.operands[0])
    indices = [machine.lanes(group, one) for one in op.operands[1:]]
    block = op.regions[0].block

    def new(lanes: Lanes, old: Lanes) -> Lanes:
        wide = np.zeros(group.lanes, old.dtype)
        wide[lanes] = old
        chosen = np.zeros(group.lanes, np.bool_)
        chosen[lanes] = True
        group.values[block.args[0]] = wide
        (result,) = machine.run_block(group, block, chosen)
        return np.broadcast_to(cast(Lanes, result), (group.lanes,))[lanes]

    group.values[op.results[0]] = machine.updated(group, op, view, indices, active, new)


def _nothing(machine: Interpreter, group: Group, op: Operation, active: Lanes) -> None:
    pass


SPECIAL: Mapping[str, Special] = {
    "gpu.thread_id": _thread_id,
    "gpu.block_id": _block_id,
    "gpu.lane_id": _lane_id,
    "gpu.subgroup_id": _subgroup_id,
    "gpu.barrier": _barrier,
    "gpu.shuffle": _shuffle,
    "gpu.return": _nothing,
    "scf.if": _if,
    "scf.for": _for,
    "scf.while": _while,
    "memref.load": _load,
    "memref.store": _store,
    "memref.alloca": _alloca,
    "memref.dim": _dim,
    "memref.cast": _cast,
    "memref.assume_alignment": _cast,
    "builtin.unrealized_conversion_cast": _cast,
    "memref.subview": _subview,
    "memref.reinterpret_cast": _reinterpret,
    "memref.collapse_shape": _collapse,
    "memref.expand_shape": _expand,
    "memref.view": _view,
    "memref.atomic_rmw": _atomic,
    "memref.generic_atomic_rmw": _generic_atomic,
    "memref.prefetch": _nothing,
    "vector.load": _vector_load,
    "vector.store": _vector_store,
}
