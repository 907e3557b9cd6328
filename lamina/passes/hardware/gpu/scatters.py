"""Scatters: all updates at once, by atomic operations, instead of one row after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects import builtin
from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerAttr, i32
from xdsl.ir import Block, Operation, SSAValue

from lamina.dialects.hardware import gpu
from lamina.dialects.loop import arith, memref, scf
from lamina.dialects.loop.atomics import AtomicRMWOp, AtomicYieldOp, GenericAtomicRMWOp
from lamina.dialects.loop.types import is_memref
from lamina.dialects.tensor import linalg
from lamina.passes.hardware.gpu.bodies import emit_body
from lamina.passes.hardware.gpu.elements import threads_for
from lamina.passes.hardware.gpu.kernel import Kernel, KernelMaker
from lamina.passes.hardware.gpu.stages import delinearized
from lamina.passes.loop.emitter import INDEX, Emitter, Index, memref_type
from lamina.passes.loop.plan_arena import element_bytes
from lamina.passes.loop.structured import iterators_of

NATIVE = {
    "arith.addf": "addf",
    "arith.addi": "addi",
    "arith.maxsi": "maxs",
    "arith.maxui": "maxu",
    "arith.minsi": "mins",
    "arith.minui": "minu",
}
"""What `memref.atomic_rmw` does for the op that combines an element with its update."""

WORDS = (4, 8)
"""Bytes of elements that are updated atomically; of others, a thread has a column and goes through the updates."""


@dataclass(frozen=True)
class Scatter:
    """A loop over updates: row `number` of `updates` is combined with a row of `target`.

    `row` is where, cut to the rows that there are; `hit` whether it was one of them. `old` and `new` are the body's
    arguments for the two elements.
    """

    loop: scf.ForOp
    stage: linalg.GenericOp
    target: SSAValue
    updates: SSAValue
    row: SSAValue
    hit: SSAValue
    old: SSAValue
    new: SSAValue

    @staticmethod
    def of(loop: scf.ForOp) -> Scatter | None:
        """The scatter that a loop on buffers is, None for any other loop."""
        ops = list(loop.body.block.ops)
        stages = [op for op in ops if isinstance(op, linalg.GenericOp)]
        if loop.iter_args or len(stages) != 1 or len(stages[0].outputs) != 1 or len(stages[0].inputs) != 2:
            return None
        (stage,) = stages
        if iterators_of(stage) != [True] or not all(isinstance(op, KNOWN) for op in ops):
            return None
        target = _row_of(stage.outputs[0])
        inputs = [_row_of(operand) for operand in stage.inputs]
        if target is None or inputs[0] != target or inputs[1] is None or inputs[1][1] is not loop.body.block.args[0]:
            return None
        result = stage.body.block.last_op
        chosen = None if result is None else result.operands[0].owner
        if not isinstance(chosen, arith.SelectOp) or chosen.operands[2] is not stage.body.block.args[0]:
            return None
        hit = chosen.operands[0]
        if hit.owner not in ops:
            return None
        old, new, _ = stage.body.block.args
        return Scatter(loop, stage, target[0], inputs[1][0], target[1], hit, old, new)

    @property
    def combining(self) -> SSAValue:
        """What an element becomes where the row is hit, in the body."""
        result = self.stage.body.block.last_op
        assert result is not None and isinstance(result.operands[0].owner, arith.SelectOp)
        return result.operands[0].owner.operands[1]

    @property
    def assigns(self) -> bool:
        """Whether the element becomes the update."""
        return self.combining is self.new

    @property
    def native(self) -> str | None:
        """The kind of the `memref.atomic_rmw` that does it."""
        owner = self.combining.owner
        if not isinstance(owner, Operation) or set(owner.operands) != {self.old, self.new}:
            return None
        return NATIVE.get(owner.name)


KNOWN = (
    memref.LoadOp,
    memref.SubviewOp,
    arith.IndexCastOp,
    arith.MinSIOp,
    arith.MaxSIOp,
    arith.CmpiOp,
    builtin.UnrealizedConversionCastOp,
    linalg.GenericOp,
    scf.YieldOp,
)


def _row_of(value: SSAValue) -> tuple[SSAValue, SSAValue] | None:
    """The matrix and the number of the row that a buffer is a view of."""
    owner = value.owner
    while isinstance(owner, builtin.UnrealizedConversionCastOp):
        owner = owner.operands[0].owner
    if not isinstance(owner, memref.SubviewOp) or len(owner.offsets) != 1:
        return None
    if tuple(owner.static_offsets.get_values()) != (DYNAMIC_INDEX, 0):
        return None
    return owner.source, owner.offsets[0]


def outline_scatter(maker: KernelMaker, scatter: Scatter) -> None:
    """Make the kernels of a scatter.

        scf.for %u to %count { row %positions[%u] of %rows is combined with row %u of %updates }
    →
        one thread per element of the updates: memref.atomic_rmw addf %update, %rows[%row, %column]
        (assign: the highest number of an update of each row first, by memref.atomic_rmw maxs; then that one is stored)

    Sums are in no fixed order then. Elements of less than 32 bits are updated in order, by one thread per column.
    """
    element = memref_type(scatter.target).get_element_type()
    if scatter.assigns:
        _assign(maker, scatter)
    elif element_bytes(element) in WORDS:
        _outline(maker, scatter, _update)
    else:
        _in_order(maker, scatter)


def _bounds(emitter: Emitter, scatter: Scatter) -> tuple[Index, Index]:
    """The number of updates, and of the elements of each."""
    width = emitter.size(scatter.updates, 1)
    return emitter.subtract(scatter.loop.ub, scatter.loop.lb), width


Carry = Callable[[Emitter, Scatter, SSAValue, SSAValue, Index, SSAValue | None], None]
"""Emits what happens to one element: row and column of the target, number of the update, the winners."""


def _outline(maker: KernelMaker, scatter: Scatter, carry: Carry, winners: SSAValue | None = None) -> None:
    """A kernel with one thread per element of the updates, in place of the loop."""
    host = maker.host(scatter.loop)
    count, width = _bounds(host, scatter)
    total = host.multiply(count, width)
    threads = threads_for(total)
    grid = host.ceil_divide(total, threads)
    kernel = maker.begin(scatter.loop)
    held = None if winners is None else _passed(kernel, winners)
    inner, moved = kernel.emitter, _inside(kernel, scatter)
    worker = _worker(inner, threads)
    count, width = _bounds(inner, moved)

    def element(emitter: Emitter) -> None:
        number, column = delinearized(emitter, worker, [count, width])
        row, hit = _place(emitter, moved, number)
        emitter.branch(hit, lambda nested: carry(nested, moved, row, emitter.index(column), number, held))

    inner.branch(inner.compare("ult", worker, inner.multiply(count, width)), element)
    _erase(moved.loop)
    maker.finish(kernel, grid, threads)


def _worker(emitter: Emitter, threads: int) -> SSAValue:
    block, thread = emitter.value(gpu.BlockIdOp()), emitter.value(gpu.ThreadIdOp())
    return emitter.index(emitter.add(emitter.multiply(block, threads), thread))


def _inside(kernel: Kernel, scatter: Scatter) -> Scatter:
    """The scatter once its loop is in the kernel."""
    found = Scatter.of(scatter.loop)
    assert found is not None
    return found


def _passed(kernel: Kernel, buffer: SSAValue) -> SSAValue:
    """A buffer of the host as an argument of a kernel that has just begun."""
    argument = kernel.block.insert_arg(buffer.type, len(kernel.arguments))
    kernel.arguments[buffer] = argument
    return argument


def _place(emitter: Emitter, scatter: Scatter, number: Index) -> tuple[SSAValue, SSAValue]:
    """The row that an update goes to, and whether there is one."""
    known: dict[SSAValue, SSAValue] = {scatter.loop.body.block.args[0]: emitter.index(number)}
    for op in scatter.loop.body.block.ops:
        if isinstance(op, memref.SubviewOp | builtin.UnrealizedConversionCastOp | linalg.GenericOp | scf.YieldOp):
            continue
        copy = op.clone(dict(known))
        emitter.append(copy)
        known.update(zip(op.results, copy.results, strict=True))
    return known[scatter.row], known[scatter.hit]


def _combined(emitter: Emitter, scatter: Scatter, old: SSAValue, new: SSAValue, column: Index) -> SSAValue:
    """What an element becomes; the condition of the body holds."""
    block = scatter.stage.body.block
    always = emitter.scalar_constant(True, scatter.hit.type)
    copy = scatter.stage.clone()
    for op in copy.body.block.ops:
        op.operands = [always if operand is scatter.hit else operand for operand in op.operands]
    (value,) = emit_body(emitter, copy.body.block, [old, new, None], [column])
    copy.erase()
    assert block is not None
    return value


def _update(
    emitter: Emitter, scatter: Scatter, row: SSAValue, column: SSAValue, number: Index, winners: SSAValue | None
) -> None:
    """One atomic operation."""
    new = emitter.load(scatter.updates, [number, column])
    if scatter.native is not None:
        emitter.append(AtomicRMWOp(scatter.native, new, scatter.target, [row, column]))
        return
    block = Block(arg_types=[new.type])
    inner = emitter.nested(block)
    inner.append(AtomicYieldOp(_combined(inner, scatter, block.args[0], new, column)))
    emitter.append(GenericAtomicRMWOp(scatter.target, [row, column], block))


# Assignments: the last one wins


def _assign(maker: KernelMaker, scatter: Scatter) -> None:
    loop = scatter.loop
    host = maker.host(loop)
    rows = host.size(scatter.target, 0)
    known = isinstance(rows, int)
    shape = [rows if isinstance(rows, int) else DYNAMIC_INDEX]
    winners = host.value(memref.AllocOp.get(i32, 64, shape, [] if known else [rows]))
    none = host.constants.get(IntegerAttr(-1, i32), i32)
    fill = linalg.FillOp([none], [winners], ())
    host.append(fill)
    count = host.subtract(loop.ub, loop.lb)
    threads = threads_for(count)
    # The copy of the loop becomes the kernel that finds the winners.
    first = loop.clone()
    host.append(first)
    release = memref.DeallocOp.get(winners)
    release.location = loop.location
    owner = loop.parent_block()
    assert owner is not None
    owner.insert_op_after(release, loop)
    kernel = maker.begin(first)
    held = _passed(kernel, winners)
    inner, moved = kernel.emitter, Scatter.of(first)
    assert moved is not None
    worker = _worker(inner, threads)
    limit = inner.subtract(first.ub, first.lb)

    def vote(emitter: Emitter) -> None:
        row, hit = _place(emitter, moved, worker)
        number = emitter.value(arith.IndexCastOp.create(operands=[worker], result_types=[i32]))
        emitter.branch(hit, lambda nested: nested.append(AtomicRMWOp("maxs", number, held, [row])) and None)

    inner.branch(inner.compare("ult", worker, limit), vote)
    _erase(first)
    maker.finish(kernel, host.ceil_divide(count, threads), threads)
    _outline(maker, scatter, _store_winner, winners)


def _store_winner(
    emitter: Emitter, scatter: Scatter, row: SSAValue, column: SSAValue, number: Index, winners: SSAValue | None
) -> None:
    assert winners is not None
    last = emitter.value(arith.IndexCastOp.create(operands=[emitter.load(winners, [row])], result_types=[INDEX]))

    def store(inner: Emitter) -> None:
        inner.store(inner.load(scatter.updates, [number, column]), scatter.target, [row, column])

    emitter.branch(emitter.compare("eq", last, number), store)


# Elements that have no atomic operations


def _in_order(maker: KernelMaker, scatter: Scatter) -> None:
    """One thread per column, through the updates in order."""
    host = maker.host(scatter.loop)
    _, width = _bounds(host, scatter)
    threads = threads_for(width)
    grid = host.ceil_divide(width, threads)
    kernel = maker.begin(scatter.loop)
    inner, moved = kernel.emitter, _inside(kernel, scatter)
    worker = _worker(inner, threads)
    count, width = _bounds(inner, moved)

    def column(emitter: Emitter) -> None:
        def one(deep: Emitter, number: SSAValue) -> None:
            row, hit = _place(deep, moved, number)

            def update(last: Emitter) -> None:
                old, new = last.load(moved.target, [row, worker]), last.load(moved.updates, [number, worker])
                last.store(_combined(last, moved, old, new, worker), moved.target, [row, worker])

            deep.branch(hit, update)

        emitter.loop(0, count, 1, one)

    inner.branch(inner.compare("ult", worker, width), column)
    _erase(moved.loop)
    maker.finish(kernel, grid, threads)


def _erase(op: Operation) -> None:
    op.detach()
    op.erase()


def scatters_of(ops: Sequence[Operation]) -> list[Scatter]:
    """The scatters among some ops."""
    found = [Scatter.of(op) for op in ops if isinstance(op, scf.ForOp)]
    return [scatter for scatter in found if scatter is not None and is_memref(scatter.target.type)]
